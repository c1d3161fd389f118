/// \file onnxroot.hxx
/// \brief ONNX models out of ROOT files, in plain C++17 and ROOT: no Python, protobuf or onnx.
///
/// \code
/// onnxroot::Model model{"models.root", "tagger"};
/// std::string onnx = model.Serialize();                       // the ONNX file, bit for bit
/// auto weight = model.GetTensor<float>("conv1.weight");       // reads that tensor alone
/// model.Save("tagger.onnx");                                  // and its external files
/// \endcode
///
/// Written from FORMAT.md, whose sections the comments cite. Needs ROOT's Core, RIO and ROOTNTuple
/// libraries (tried with ROOT 6.40) and a little-endian machine. Every failure is an
/// onnxroot::Error; callbacks and allocations may throw their own exceptions. What is read is checked
/// against the digests in the file, so a damaged file gives an Error, and never wrong data.
///
/// ROOT finds the RNTuples, but their pages are read here: where a damaged number leads ROOT's own
/// views out of a page, they end the process; and none of them checks a digest.
///
/// A Model is not to be used from several threads at once; two models may be.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_HXX
#define ONNXROOT_HXX

#include <ROOT/RNTupleDescriptor.hxx>
#include <ROOT/RNTupleReader.hxx>
#include <RZip.h>
#include <TDirectory.h>
#include <TError.h>
#include <TFile.h>

#include <algorithm>
#include <array>
#include <complex>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#define ONNXROOT_SHA_INSTRUCTIONS
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace onnxroot {

/// Receives bytes piece by piece, in order.
using Sink = std::function<void(const char *data, std::size_t nbytes)>;

/// Whatever can be wrong with a file, a model or a request.
class Error : public std::runtime_error {
public:
   Error(std::string file, std::string model, const std::string &part, std::string expected, std::string found,
         const std::string &advice = "")
      : std::runtime_error(file + (model.empty() ? "" : ":" + model) + (part.empty() ? "" : "/" + part) +
                           ": expected " + expected + ", found " + found + (advice.empty() ? "" : "; " + advice)),
        fFile(std::move(file)), fModel(std::move(model)), fExpected(std::move(expected)), fFound(std::move(found))
   {
   }
   const std::string &File() const { return fFile; }         ///< path of the ROOT file
   const std::string &ModelName() const { return fModel; }   ///< the model's directory in it
   const std::string &Expected() const { return fExpected; } ///< what should have been there
   const std::string &Found() const { return fFound; }       ///< what was there instead

private:
   std::string fFile, fModel, fExpected, fFound;
};

/// One dimension of an input or output.
struct Dimension {
   std::optional<std::int64_t> fValue; ///< its size, if the model gives one
   std::string fName;                  ///< otherwise its name; empty if it is unknown
};

/// An input or output of a model.
struct Value {
   std::string fName;
   int fElementType = 0;                         ///< `TensorProto.DataType`; 0 if it is no tensor
   std::string fTypeName;                        ///< ONNX's name of it, or `sequence`, `map` ...; may be empty
   std::optional<std::vector<Dimension>> fShape; ///< nothing where the rank is unknown
};

/// The elements of a tensor, last dimension fastest.
template <typename T>
struct Tensor {
   std::vector<std::int64_t> fShape;
   int fElementType = 0; ///< `TensorProto.DataType`
   std::vector<T> fValues;
};

/// An external file of a model.
struct ExternalFile {
   std::string fLocation; ///< path relative to the ONNX file's folder
   std::uint64_t fNBytes = 0;
   std::string fSha256;
};

/// What a model says of itself (FORMAT §3).
struct ManifestInfo {
   std::string fText; ///< the JSON text, whole
   std::uint64_t fFormatVersion = 0;
   std::uint64_t fNBytes = 0; ///< of the ONNX file
   std::string fSha256;       ///< of the ONNX file
   std::vector<ExternalFile> fExternalFiles;
   std::map<std::string, std::string> fProvenance;
   std::map<std::string, std::string> fMetadata;
};

namespace detail {

constexpr std::uint64_t kFormatVersion = 1;
constexpr std::uint64_t kChunkNBytes = 8388608; // §5.3
constexpr int kMaxDepth = 100;                  // §1.3
constexpr std::uint64_t kMaxNBytes = std::uint64_t(1) << 62;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "onnxroot.hxx is for little-endian machines"
#endif

// --- digests --------------------------------------------------------------------------------------

/// XXH64 with seed 0.
class Xxh64 {
public:
   void Update(const void *data, std::size_t nbytes)
   {
      if (nbytes == 0)
         return; // and data may be null
      auto p = static_cast<const unsigned char *>(data);
      fTotal += nbytes;
      if (fFill > 0) {
         const std::size_t n = std::min(nbytes, fTail.size() - fFill);
         std::memcpy(fTail.data() + fFill, p, n);
         fFill += n, p += n, nbytes -= n;
         if (fFill < fTail.size())
            return;
         Stripe(fTail.data());
         fFill = 0;
      }
      for (; nbytes >= fTail.size(); p += fTail.size(), nbytes -= fTail.size())
         Stripe(p);
      if (nbytes > 0)
         std::memcpy(fTail.data(), p, nbytes);
      fFill = nbytes;
   }
   std::string Hex() const
   {
      std::uint64_t h = fLane[2] + k5;
      if (fTotal >= fTail.size()) {
         h = Rotate(fLane[0], 1) + Rotate(fLane[1], 7) + Rotate(fLane[2], 12) + Rotate(fLane[3], 18);
         for (std::uint64_t lane : fLane)
            h = (h ^ Round(0, lane)) * k1 + k4;
      }
      h += fTotal;
      const unsigned char *p = fTail.data(), *const end = p + fFill;
      for (; end - p >= 8; p += 8)
         h = Rotate(h ^ Round(0, Load<std::uint64_t>(p)), 27) * k1 + k4;
      for (; end - p >= 4; p += 4)
         h = Rotate(h ^ (Load<std::uint32_t>(p) * k1), 23) * k2 + k3;
      for (; p < end; ++p)
         h = Rotate(h ^ (*p * k5), 11) * k1;
      h = (h ^ (h >> 33)) * k2;
      h = (h ^ (h >> 29)) * k3;
      h ^= h >> 32;
      char text[17];
      std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(h));
      return text;
   }

private:
   static constexpr std::uint64_t k1 = 0x9E3779B185EBCA87, k2 = 0xC2B2AE3D27D4EB4F, k3 = 0x165667B19E3779F9,
                                  k4 = 0x85EBCA77C2B2AE63, k5 = 0x27D4EB2F165667C5;
   static std::uint64_t Rotate(std::uint64_t x, int n) { return (x << n) | (x >> (64 - n)); }
   static std::uint64_t Round(std::uint64_t lane, std::uint64_t word) { return Rotate(lane + word * k2, 31) * k1; }
   template <typename T>
   static T Load(const unsigned char *p)
   {
      T value;
      std::memcpy(&value, p, sizeof value);
      return value;
   }
   void Stripe(const unsigned char *p)
   {
      for (int i = 0; i < 4; ++i)
         fLane[i] = Round(fLane[i], Load<std::uint64_t>(p + 8 * i));
   }
   std::array<std::uint64_t, 4> fLane{k1 + k2, k2, 0, 0 - k1};
   std::array<unsigned char, 32> fTail{};
   std::size_t fFill = 0;
   std::uint64_t fTotal = 0;
};

/// SHA-256 (FIPS 180-4), by the processor's own instructions where it has them.
class Sha256 {
public:
   void Update(const void *data, std::size_t nbytes)
   {
      if (nbytes == 0)
         return; // and data may be null
      auto p = static_cast<const unsigned char *>(data);
      fTotal += nbytes;
      if (fFill > 0) {
         const std::size_t n = std::min(nbytes, fTail.size() - fFill);
         std::memcpy(fTail.data() + fFill, p, n);
         fFill += n, p += n, nbytes -= n;
         if (fFill < fTail.size())
            return;
         Compress(fTail.data(), 1);
      }
      Compress(p, nbytes / 64);
      fFill = nbytes % 64;
      if (fFill > 0)
         std::memcpy(fTail.data(), p + nbytes - fFill, fFill);
   }
   std::string Hex()
   {
      const std::uint64_t nBits = 8 * fTotal;
      unsigned char end[72] = {0x80};
      const std::size_t padding = (fFill < 56 ? 56 : 120) - fFill;
      for (int i = 0; i < 8; ++i)
         end[padding + i] = static_cast<unsigned char>(nBits >> (56 - 8 * i));
      Update(end, padding + 8);
      std::string text;
      char word[9];
      for (std::uint32_t h : fState) {
         std::snprintf(word, sizeof word, "%08x", static_cast<unsigned>(h));
         text += word;
      }
      return text;
   }

private:
   static const std::uint32_t *Constants()
   {
      static const std::uint32_t k[64] = {
         0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
         0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
         0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
         0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
         0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
         0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
         0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
         0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
      return k;
   }
   static void Portable(std::uint32_t *state, const unsigned char *p, std::size_t nBlocks)
   {
      const std::uint32_t *const k = Constants();
      auto rotate = [](std::uint32_t x, int n) { return (x >> n) | (x << (32 - n)); };
      for (; nBlocks > 0; --nBlocks, p += 64) {
         std::uint32_t w[64], s[8];
         for (int i = 0; i < 16; ++i)
            w[i] = std::uint32_t(p[4 * i]) << 24 | std::uint32_t(p[4 * i + 1]) << 16 |
                   std::uint32_t(p[4 * i + 2]) << 8 | p[4 * i + 3];
         for (int i = 16; i < 64; ++i)
            w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3)) +
                   (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10));
         std::copy(state, state + 8, s);
         for (int i = 0; i < 64; ++i) {
            const std::uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                                     ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
            const std::uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                                     ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            std::copy_backward(s, s + 7, s + 8);
            s[4] += t1;
            s[0] = t1 + t2;
         }
         for (int i = 0; i < 8; ++i)
            state[i] += s[i];
      }
   }
#ifdef ONNXROOT_SHA_INSTRUCTIONS
   static bool HasInstructions()
   {
      unsigned a = 0, b = 0, c = 0, d = 0, b7 = 0, c7 = 0;
      return __get_cpuid(1, &a, &b, &c, &d) && __get_cpuid_count(7, 0, &a, &b7, &c7, &d) && (c >> 19 & 1) &&
             (c >> 9 & 1) && (b7 >> 29 & 1); // SSE4.1, SSSE3, SHA
   }
   __attribute__((target("sha,sse4.1"))) static void
   Instructions(std::uint32_t *state, const unsigned char *p, std::size_t nBlocks)
   {
      auto at = [](const void *q) { return static_cast<const __m128i *>(q); };
      const __m128i bigEndian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
      const __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(at(state)), 0xB1);
      const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(at(state + 4)), 0x1B);
      __m128i s0 = _mm_alignr_epi8(cdab, efgh, 8), s1 = _mm_blend_epi16(efgh, cdab, 0xF0);
      for (; nBlocks > 0; --nBlocks, p += 64) {
         const __m128i before0 = s0, before1 = s1;
         __m128i w[4];
         for (int i = 0; i < 4; ++i)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128(at(p + 16 * i)), bigEndian);
#pragma GCC unroll 16 // or the words stay in memory
         for (int i = 0; i < 16; ++i) {
            __m128i sum = _mm_add_epi32(w[i % 4], _mm_loadu_si128(at(Constants() + 4 * i)));
            s1 = _mm_sha256rnds2_epu32(s1, s0, sum);
            s0 = _mm_sha256rnds2_epu32(s0, s1, _mm_shuffle_epi32(sum, 0x0E));
            if (i >= 12)
               continue;
            const __m128i last = w[(i + 3) % 4];
            sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]),
                                _mm_alignr_epi8(last, w[(i + 2) % 4], 4));
            w[i % 4] = _mm_sha256msg2_epu32(sum, last);
         }
         s0 = _mm_add_epi32(s0, before0);
         s1 = _mm_add_epi32(s1, before1);
      }
      const __m128i feba = _mm_shuffle_epi32(s0, 0x1B), dchg = _mm_shuffle_epi32(s1, 0xB1);
      _mm_storeu_si128(reinterpret_cast<__m128i *>(state), _mm_blend_epi16(feba, dchg, 0xF0));
      _mm_storeu_si128(reinterpret_cast<__m128i *>(state + 4), _mm_alignr_epi8(dchg, feba, 8));
   }
#endif
   void Compress(const unsigned char *p, std::size_t nBlocks)
   {
#ifdef ONNXROOT_SHA_INSTRUCTIONS
      static const bool has = HasInstructions();
      if (has)
         return Instructions(fState.data(), p, nBlocks);
#endif
      Portable(fState.data(), p, nBlocks);
   }
   std::array<std::uint32_t, 8> fState{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
   std::array<unsigned char, 64> fTail{};
   std::size_t fFill = 0;
   std::uint64_t fTotal = 0;
};

/// Hands bytes on in blocks of 1 MiB, and hashes them in a second thread meanwhile.
class Output {
public:
   Output(const Sink &sink, bool hash) : fSink(sink), fHash(hash)
   {
      for (auto &block : fBlocks)
         block.reserve(kBlock);
      if (!fHash)
         return;
      try {
         fThread = std::thread([this] { Work(); });
      } catch (const std::system_error &) { // no more threads: hash in this one
      }
   }
   Output(const Output &) = delete;
   Output &operator=(const Output &) = delete;
   ~Output() { Stop(); }

   void Write(const char *data, std::size_t nbytes)
   {
      while (nbytes > 0) {
         auto &block = fBlocks[fProduced % fBlocks.size()];
         const std::size_t n = std::min(nbytes, kBlock - block.size());
         block.insert(block.end(), data, data + n);
         data += n, nbytes -= n;
         if (block.size() == kBlock)
            Flush();
      }
   }
   /// Write what is left, and return the SHA-256.
   std::string Finish()
   {
      Flush();
      Stop();
      return fHash ? fSha.Hex() : "";
   }

private:
   static constexpr std::size_t kBlock = 1 << 20;
   void Flush()
   {
      auto &block = fBlocks[fProduced % fBlocks.size()];
      if (!fThread.joinable()) {
         if (fHash)
            fSha.Update(block.data(), block.size());
         fSink(block.data(), block.size());
         block.clear();
         return;
      }
      {
         std::lock_guard<std::mutex> lock(fMutex);
         ++fProduced;
      }
      fChanged.notify_all();
      fSink(block.data(), block.size());
      std::unique_lock<std::mutex> lock(fMutex);
      fChanged.wait(lock, [this] { return fProduced - fConsumed < fBlocks.size(); });
      fBlocks[fProduced % fBlocks.size()].clear();
   }
   void Work()
   {
      std::unique_lock<std::mutex> lock(fMutex);
      while (true) {
         fChanged.wait(lock, [this] { return fStop || fConsumed < fProduced; });
         if (fConsumed == fProduced)
            return;
         const auto &block = fBlocks[fConsumed % fBlocks.size()];
         lock.unlock();
         fSha.Update(block.data(), block.size());
         lock.lock();
         ++fConsumed;
         fChanged.notify_all();
      }
   }
   void Stop()
   {
      if (!fThread.joinable())
         return;
      {
         std::lock_guard<std::mutex> lock(fMutex);
         fStop = true;
      }
      fChanged.notify_all();
      fThread.join();
   }
   const Sink &fSink;
   const bool fHash;
   Sha256 fSha;
   std::array<std::vector<char>, 8> fBlocks;
   std::uint64_t fProduced = 0, fConsumed = 0;
   bool fStop = false;
   std::mutex fMutex;
   std::condition_variable fChanged;
   std::thread fThread;
};

// --- JSON -----------------------------------------------------------------------------------------

/// A JSON value; objects keep their order, which gives fields their codes (§3.3).
struct Json {
   enum class Kind { kNull, kTrue, kFalse, kNumber, kString, kArray, kObject };
   Kind fKind = Kind::kNull;
   std::string fText;              ///< of a string, or a number as it stands
   std::vector<Json> fItems;       ///< of an array, or the values of an object
   std::vector<std::string> fKeys; ///< of an object

   [[noreturn]] static void Fail(const std::string &expected) { throw std::invalid_argument(expected); }
   const Json &operator[](const char *key) const
   {
      const auto found = std::find(fKeys.begin(), fKeys.end(), key);
      if (fKind != Kind::kObject || found == fKeys.end())
         Fail(std::string("the key '") + key + "'");
      return fItems[found - fKeys.begin()];
   }
   const Json &Be(Kind kind, const char *what) const
   {
      if (fKind != kind)
         Fail(what);
      return *this;
   }
   const std::string &String() const { return Be(Kind::kString, "a text").fText; }
   const std::vector<Json> &Array() const { return Be(Kind::kArray, "a list").fItems; }
   const Json &Object() const { return Be(Kind::kObject, "an object"); }
   std::uint64_t Count() const
   {
      Be(Kind::kNumber, "a count");
      if (fText.size() > 18 || fText.find_first_not_of("0123456789") != std::string::npos)
         Fail("a count");
      return std::stoull(fText);
   }
   std::map<std::string, std::string> Texts() const
   {
      std::map<std::string, std::string> texts;
      for (std::size_t i = 0; i < Object().fKeys.size(); ++i)
         texts[fKeys[i]] = fItems[i].String();
      return texts;
   }
};

class JsonReader {
public:
   static Json Read(const std::string &text)
   {
      JsonReader reader(text);
      Json value = reader.Value(0);
      reader.Space();
      if (reader.fNext != reader.fEnd)
         Json::Fail("the end of the text");
      return value;
   }

private:
   explicit JsonReader(const std::string &text) : fNext(text.data()), fEnd(text.data() + text.size()) {}
   void Space()
   {
      while (fNext != fEnd && (*fNext == ' ' || *fNext == '\n' || *fNext == '\t' || *fNext == '\r'))
         ++fNext;
   }
   bool Take(char c)
   {
      Space();
      const bool found = fNext != fEnd && *fNext == c;
      fNext += found;
      return found;
   }
   void Need(char c)
   {
      if (!Take(c))
         Json::Fail(std::string("'") + c + "'");
   }
   bool Word(const char *word)
   {
      const std::size_t n = std::strlen(word);
      const bool found = std::size_t(fEnd - fNext) >= n && std::equal(word, word + n, fNext);
      fNext += found ? n : 0;
      return found;
   }
   Json Value(int depth)
   {
      if (depth > kMaxDepth)
         Json::Fail("values nested at most 100 deep");
      Json value;
      if (Take('{')) {
         value.fKind = Json::Kind::kObject;
         for (bool more = !Take('}'); more; more = !Take('}')) {
            if (!value.fKeys.empty())
               Need(',');
            Need('"');
            value.fKeys.push_back(String());
            Need(':');
            value.fItems.push_back(Value(depth + 1));
         }
      } else if (Take('[')) {
         value.fKind = Json::Kind::kArray;
         for (bool more = !Take(']'); more; more = !Take(']')) {
            if (!value.fItems.empty())
               Need(',');
            value.fItems.push_back(Value(depth + 1));
         }
      } else if (Take('"')) {
         value.fKind = Json::Kind::kString;
         value.fText = String();
      } else if (Word("true")) {
         value.fKind = Json::Kind::kTrue;
      } else if (Word("false")) {
         value.fKind = Json::Kind::kFalse;
      } else if (!Word("null")) {
         value.fKind = Json::Kind::kNumber;
         while (fNext != fEnd && std::strchr("+-.0123456789Ee", *fNext) && *fNext != '\0')
            value.fText += *fNext++;
         if (value.fText.empty())
            Json::Fail("a value");
      }
      return value;
   }
   char Char()
   {
      if (fNext == fEnd)
         Json::Fail("the end of a text");
      return *fNext++;
   }
   unsigned Unit() // the four digits of \uXXXX
   {
      unsigned unit = 0;
      for (int i = 0; i < 4; ++i) {
         const char c = Char();
         const char *const digits = "0123456789abcdef0123456789ABCDEF", *const at = std::strchr(digits, c);
         if (c == '\0' || !at)
            Json::Fail("four hexadecimal digits");
         unit = unit * 16 + unsigned(at - digits) % 16;
      }
      return unit;
   }
   std::string String()
   {
      std::string text;
      for (char c = Char(); c != '"'; c = Char()) {
         if (c != '\\') {
            text += c;
            continue;
         }
         c = Char();
         static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
         if (c == 'u') {
            Append(text, Unit());
            continue;
         }
         std::size_t i = 0;
         while (i + 1 < sizeof escapes && escapes[i] != c)
            i += 2;
         if (i + 1 >= sizeof escapes)
            Json::Fail("an escape sequence");
         text += escapes[i + 1];
      }
      return text;
   }
   void Append(std::string &text, unsigned code) // as UTF-8
   {
      if (code >= 0xD800 && code < 0xDC00 && fEnd - fNext >= 6 && fNext[0] == '\\' && fNext[1] == 'u') {
         const char *const before = fNext;
         fNext += 2;
         const unsigned low = Unit();
         if (low >= 0xDC00 && low < 0xE000)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
         else
            fNext = before;
      }
      if (code < 0x80) {
         text += char(code);
         return;
      }
      const int n = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      text += char((n == 1 ? 0xC0 : n == 2 ? 0xE0 : 0xF0) | code >> (6 * n));
      for (int i = n - 1; i >= 0; --i)
         text += char(0x80 | (code >> (6 * i) & 0x3F));
   }
   const char *fNext, *fEnd;
};

// --- types ----------------------------------------------------------------------------------------

/// What an RNTuple column holds: the storages of §5.2 by number, then the bytes of a string.
enum Storage : int { kUInt8, kInt8, kUInt16, kInt16, kUInt32, kInt32, kUInt64, kInt64, kFloat, kDouble, kText };

struct StorageInfo {
   const char *fName;
   std::uint64_t fSize;
};
inline const StorageInfo &InfoOf(int storage)
{
   static const StorageInfo table[] = {{"uint8", 1},  {"int8", 1},   {"uint16", 2}, {"int16", 2},
                                       {"uint32", 4}, {"int32", 4},  {"uint64", 8}, {"int64", 8},
                                       {"float", 4},  {"double", 8}, {"string", 1}};
   return table[storage];
}

/// An element type of ONNX: `TensorProto.DataType` is its place in the table.
struct ElementType {
   const char *fName;
   int fStorage;
   unsigned fBits;
   const char *fField; ///< of TensorProto, that may hold its elements beside raw_data
};
inline const ElementType &ElementOf(std::int64_t number)
{
   static const char *const f = "float_data", *const i = "int32_data", *const u = "uint64_data";
   static const ElementType table[] = {{"", -1, 0, ""},
                                       {"FLOAT", kFloat, 32, f},
                                       {"UINT8", kUInt8, 8, i},
                                       {"INT8", kInt8, 8, i},
                                       {"UINT16", kUInt16, 16, i},
                                       {"INT16", kInt16, 16, i},
                                       {"INT32", kInt32, 32, i},
                                       {"INT64", kInt64, 64, "int64_data"},
                                       {"STRING", kText, 0, ""},
                                       {"BOOL", kUInt8, 8, i},
                                       {"FLOAT16", kUInt16, 16, i},
                                       {"DOUBLE", kDouble, 64, "double_data"},
                                       {"UINT32", kUInt32, 32, u},
                                       {"UINT64", kUInt64, 64, u},
                                       {"COMPLEX64", kUInt64, 64, f},
                                       {"COMPLEX128", kUInt64, 128, "double_data"},
                                       {"BFLOAT16", kUInt16, 16, i},
                                       {"FLOAT8E4M3FN", kUInt8, 8, i},
                                       {"FLOAT8E4M3FNUZ", kUInt8, 8, i},
                                       {"FLOAT8E5M2", kUInt8, 8, i},
                                       {"FLOAT8E5M2FNUZ", kUInt8, 8, i},
                                       {"UINT4", kUInt8, 4, i},
                                       {"INT4", kUInt8, 4, i},
                                       {"FLOAT4E2M1", kUInt8, 4, i},
                                       {"FLOAT8E8M0", kUInt8, 8, i},
                                       {"UINT2", kUInt8, 2, i},
                                       {"INT2", kUInt8, 2, i},
                                       {"FLOAT6E2M3", kUInt8, 6, i},
                                       {"FLOAT6E3M2", kUInt8, 6, i}};
   constexpr std::int64_t n = sizeof table / sizeof table[0];
   return table[number > 0 && number < n ? number : 0];
}

/// Whether a C++ type holds the elements of an ONNX type, or their bits.
template <typename T>
bool Fits(const ElementType &element)
{
   const std::string name = element.fName;
   if constexpr (std::is_same_v<T, std::complex<float>>)
      return name == "COMPLEX64";
   else if constexpr (std::is_same_v<T, std::complex<double>>)
      return name == "COMPLEX128";
   else if (element.fBits == 0 || element.fBits > 64)
      return false;
   else if constexpr (std::is_floating_point_v<T>)
      return element.fStorage == (sizeof(T) == 4 ? kFloat : kDouble) && sizeof(T) <= 8;
   else
      return element.fStorage < kFloat && InfoOf(element.fStorage).fSize == sizeof(T) &&
             (element.fStorage % 2 == 1) == std::is_signed_v<T>;
}

enum class Label { kOptional, kRepeated, kPacked };
enum Wire : unsigned { kVarint = 0, kFixed64 = 1, kLen = 2, kFixed32 = 5 };

/// A field of a message type (§3.3).
struct Field {
   std::uint32_t fTag = 0; ///< number and wire type
   std::string fName;
   Label fLabel = Label::kOptional;
   Wire fWire = kLen;
   int fStorage = kText;
   bool fZigzag = false;
   int fMessage = -1;       ///< the message type it holds, or -1
   std::uint32_t fCode = 0; ///< §3.3
   int fBit = -1;           ///< in `presence` (§4.3)
};
struct MessageType {
   std::string fName;
   std::vector<Field> fFields;
};

/// The schema of a manifest.
struct Schema {
   std::vector<MessageType> fTypes;
   std::vector<std::pair<int, int>> fCodes; ///< message type and field by code

   explicit Schema(const Json &json)
   {
      static const std::map<std::string, std::pair<Wire, int>> scalars = {
         {"int32", {kVarint, kInt32}},    {"int64", {kVarint, kInt64}},     {"uint32", {kVarint, kUInt32}},
         {"uint64", {kVarint, kUInt64}},  {"sint32", {kVarint, kInt32}},    {"sint64", {kVarint, kInt64}},
         {"enum", {kVarint, kInt32}},     {"bool", {kVarint, kUInt8}},      {"fixed32", {kFixed32, kUInt32}},
         {"fixed64", {kFixed64, kUInt64}}, {"sfixed32", {kFixed32, kInt32}}, {"sfixed64", {kFixed64, kInt64}},
         {"float", {kFixed32, kFloat}},   {"double", {kFixed64, kDouble}},  {"string", {kLen, kText}},
         {"bytes", {kLen, kText}}};
      static const std::map<std::string, Label> labels = {
         {"optional", Label::kOptional}, {"repeated", Label::kRepeated}, {"packed", Label::kPacked}};
      const auto &names = json.Object().fKeys;
      for (std::size_t type = 0; type < names.size(); ++type) {
         fTypes.push_back({names[type], {}});
         std::uint64_t last = 0;
         int bit = 0;
         for (const Json &item : json.fItems[type].Array()) {
            if (item.Array().size() != 4)
               Json::Fail("four entries for a field");
            Field field;
            const std::uint64_t number = item.fItems[0].Count();
            const auto label = labels.find(item.fItems[3].String());
            const auto scalar = scalars.find(item.fItems[2].String());
            const auto message = std::find(names.begin(), names.end(), item.fItems[2].fText);
            if (number <= last || number >> 29 || label == labels.end())
               Json::Fail("fields in ascending order, and labels of protobuf");
            if (scalar != scalars.end()) {
               field.fWire = scalar->second.first;
               field.fStorage = scalar->second.second;
               field.fZigzag = scalar->first.front() == 's' && field.fWire == kVarint;
            } else if (message != names.end()) {
               field.fMessage = static_cast<int>(message - names.begin());
            } else {
               Json::Fail("a type, not " + item.fItems[2].fText);
            }
            field.fName = item.fItems[1].String();
            field.fLabel = label->second;
            if (field.fLabel == Label::kPacked && field.fWire == kLen)
               Json::Fail("packed fields to hold numbers");
            if (field.fLabel == Label::kOptional && field.fMessage < 0)
               field.fBit = bit++;
            const unsigned wire = field.fLabel == Label::kPacked ? kLen : field.fWire;
            field.fTag = static_cast<std::uint32_t>(number << 3 | wire);
            field.fCode = static_cast<std::uint32_t>(fCodes.size());
            fCodes.emplace_back(static_cast<int>(type), static_cast<int>(fTypes.back().fFields.size()));
            fTypes.back().fFields.push_back(field);
            last = number;
         }
         if (bit > 64)
            Json::Fail("at most 64 optional fields");
      }
   }
   int Find(const std::string &name) const
   {
      for (std::size_t i = 0; i < fTypes.size(); ++i)
         if (fTypes[i].fName == name)
            return static_cast<int>(i);
      return -1;
   }
   /// The field of that name, or null.
   const Field *Find(int type, const std::string &name) const
   {
      if (type >= 0)
         for (const Field &field : fTypes[type].fFields)
            if (field.fName == name)
               return &field;
      return nullptr;
   }
};

/// The bytes of a varint.
inline std::size_t VarintSize(std::uint64_t value)
{
   std::size_t n = 1;
   while (value >>= 7)
      ++n;
   return n;
}
inline std::size_t PutVarint(char *out, std::uint64_t value)
{
   std::size_t n = 0;
   for (; value >= 0x80; value >>= 7)
      out[n++] = static_cast<char>(value | 0x80);
   out[n++] = static_cast<char>(value);
   return n;
}

// --- ROOT files -----------------------------------------------------------------------------------

/// Where a model is, for messages.
struct Where {
   std::string fFile, fModel;
   [[noreturn]] void Fail(const std::string &part, const std::string &expected, const std::string &found,
                          const std::string &advice = "the file is damaged") const
   {
      throw Error(fFile, fModel, part, expected, found, advice);
   }
   void Need(bool condition, const std::string &part, const char *expected, const char *found) const
   {
      if (!condition)
         Fail(part, expected, found);
   }
};

/// While it lives, ROOT's fatal errors in this thread become exceptions, and others are kept, not printed.
///
/// ROOT ends the process where a compressed header contradicts itself.
class RootErrors {
public:
   RootErrors() : fLock(Mutex()), fBefore(Current())
   {
      Current() = this;
      fHandler = ::SetErrorHandler(&Handle);
   }
   RootErrors(const RootErrors &) = delete;
   RootErrors &operator=(const RootErrors &) = delete;
   ~RootErrors()
   {
      ::SetErrorHandler(fHandler);
      Current() = fBefore;
   }
   /// Run a function; whatever it throws, or null, becomes an Error.
   template <typename F>
   static auto Run(const Where &where, const std::string &part, const std::string &expected, F &&function)
   {
      RootErrors errors;
      std::string found = "something else";
      try {
         if (auto result = function())
            return result;
      } catch (const Error &) {
         throw;
      } catch (const std::exception &error) {
         found = error.what();
         found = found.substr(0, found.find('\n'));
      }
      where.Fail(part, expected, found + (errors.fText.empty() ? "" : " (" + errors.fText + ")"),
                 "it is missing or damaged");
   }

private:
   static std::recursive_mutex &Mutex()
   {
      static std::recursive_mutex mutex;
      return mutex;
   }
   static RootErrors *&Current()
   {
      static RootErrors *current = nullptr;
      return current;
   }
   static void Handle(int level, Bool_t abort, const char *location, const char *text)
   {
      RootErrors *const errors = Current();
      if (!errors || errors->fThread != std::this_thread::get_id())
         return ::DefaultErrorHandler(level, abort, location, text);
      if (level >= kError || abort)
         errors->fText = std::string(location ? location : "") + ": " + (text ? text : "");
      if (level >= kFatal || abort)
         throw std::runtime_error("a contradiction in the file");
   }
   std::unique_lock<std::recursive_mutex> fLock;
   RootErrors *fBefore;
   ::ErrorHandlerFunc_t fHandler = nullptr;
   std::thread::id fThread = std::this_thread::get_id();
   std::string fText;
};

/// Decompress blocks, each behind a header of nine bytes; whether they gave all bytes.
inline bool Unzip(std::vector<char> &from, char *data, std::uint64_t nbytes)
{
   auto *source = reinterpret_cast<unsigned char *>(from.data());
   auto *target = reinterpret_cast<unsigned char *>(data);
   std::uint64_t left = from.size();
   while (nbytes > 0) {
      int size = 0, to = 0, done = 0;
      const std::string method = left >= 10 ? std::string(source, source + 2) : "";
      const bool known = method == "ZL" || method == "XZ" || method == "L4" || method == "ZS";
      if (known && R__unzip_header(&size, source, &to) == 0 && size > 0 && std::uint64_t(size) <= left && to > 0 &&
          std::uint64_t(to) <= nbytes) {
         RootErrors errors;
         R__unzip(&size, source, &to, target, &done);
      }
      if (done <= 0 || done != to)
         return false;
      source += size, left -= std::uint64_t(size);
      target += done, nbytes -= std::uint64_t(done);
   }
   return true;
}

/// Whether so many compressed bytes can hold so many, in blocks of at most 16 MiB.
inline bool CanHold(std::uint64_t compressed, std::uint64_t nbytes)
{
   return compressed >= 10 && compressed < nbytes && nbytes / kMAXZIPBUF <= compressed / 10;
}

/// A ROOT file's directories and bytes.
///
/// A damaged directory or list of streamers can end the process in TFile and TKey, so TFile gives bytes
/// alone here, and the directories are read as ROOT's TFile reference describes them.
class RootFile {
public:
   explicit RootFile(const std::string &path)
   {
      fWhere.fFile = path;
      TDirectory::TContext context;
      fFile = RootErrors::Run(fWhere, "", "a ROOT file", [&] {
         const std::string raw = path + (path.find('?') == std::string::npos ? "?" : "&") + "filetype=raw";
         std::unique_ptr<TFile> file{TFile::Open(raw.c_str(), "READ_WITHOUT_GLOBALREGISTRATION")};
         if (file && file->IsZombie())
            file.reset();
         return file;
      });
      fSize = static_cast<std::uint64_t>(std::max<Long64_t>(fFile->GetSize(), 0));
      Bytes head = Take(0, std::min<std::uint64_t>(fSize, 64), "");
      if (fSize < 64 || head.fData.compare(0, 4, "root") != 0)
         fWhere.Fail("", "a ROOT file", fSize == 0 ? "no bytes" : "other bytes at its begin", "is it the right file?");
      head.fNext = 4;
      const bool large = head.Integer(4) >= 1000000;
      const std::uint64_t begin = head.Integer(4);
      head.fNext += large ? 24 : 16;
      fTop = begin + head.Integer(4);
   }

   /// The text of a manifest, or nothing if there is none in that directory.
   std::optional<std::string> Manifest(const std::string &directory)
   {
      std::uint64_t place = fTop;
      for (std::size_t first = 0; first < directory.size();) {
         const std::size_t end = std::min(directory.find('/', first), directory.size());
         const auto keys = Keys(place, directory);
         const Key *const key = Find(keys, directory.substr(first, end - first));
         if (!key || !key->IsDirectory())
            return std::nullopt;
         place = key->fPosition + key->fHeader;
         first = end + 1;
      }
      return Manifest(Keys(place, directory), directory);
   }
   /// The directories with a manifest of ours.
   std::vector<std::string> Models()
   {
      std::vector<std::string> found;
      std::set<std::uint64_t> seen;
      Search(fTop, "", 0, seen, found);
      std::sort(found.begin(), found.end());
      return found;
   }
   const Where &Location() const { return fWhere; }

   void Read(char *out, std::uint64_t position, std::uint64_t nbytes, const Where &where, const std::string &part)
   {
      if (nbytes > (1u << 30) || nbytes > fSize || position > fSize - nbytes)
         where.Fail(part, "bytes within the file", "some that end behind it");
      RootErrors errors;
      if (nbytes > 0 && fFile->ReadBuffer(out, static_cast<Long64_t>(position), static_cast<Int_t>(nbytes)))
         where.Fail(part, std::to_string(nbytes) + " bytes", "a failure to read them");
   }

private:
   /// Bytes from the file, read in ROOT's way: big-endian, and 0 where they are at an end.
   struct Bytes {
      std::string fData;
      std::size_t fNext = 0;
      bool fGood = true;

      std::uint64_t Integer(int nbytes)
      {
         std::uint64_t value = 0;
         for (; nbytes > 0; --nbytes)
            value = value << 8 | (Has(1) ? static_cast<unsigned char>(fData[fNext++]) : 0);
         return value;
      }
      bool Has(std::uint64_t nbytes) { return fGood = fGood && fNext <= fData.size() && nbytes <= fData.size() - fNext; }
      std::string Text()
      {
         std::uint64_t n = Integer(1);
         n = n == 255 ? Integer(4) : n;
         const std::string text = Has(n) ? fData.substr(fNext, n) : "";
         fNext += text.size();
         return text;
      }
   };
   struct Key {
      std::uint64_t fNBytes = 0, fObject = 0, fHeader = 0, fCycle = 0, fPosition = 0;
      std::string fClass, fName;
      bool IsDirectory() const { return fClass == "TDirectoryFile" || fClass == "TDirectory"; }
   };
   Bytes Take(std::uint64_t position, std::uint64_t nbytes, const std::string &part)
   {
      Bytes bytes;
      if (nbytes <= fSize)
         bytes.fData.resize(static_cast<std::size_t>(nbytes));
      Read(bytes.fData.data(), position, nbytes, fWhere, part);
      return bytes;
   }
   static Key ReadKey(Bytes &bytes)
   {
      Key key;
      const std::size_t start = bytes.fNext;
      key.fNBytes = bytes.Integer(4);
      const int seek = bytes.Integer(2) > 1000 ? 8 : 4;
      key.fObject = bytes.Integer(4);
      bytes.fNext += 4;
      key.fHeader = bytes.Integer(2);
      key.fCycle = bytes.Integer(2);
      key.fPosition = bytes.Integer(seek);
      bytes.fNext += static_cast<std::size_t>(seek);
      key.fClass = bytes.Text();
      key.fName = bytes.Text();
      bytes.Text(); // the title
      bytes.fGood = bytes.fGood && bytes.fNext - start == key.fHeader && key.fNBytes >= key.fHeader;
      return key;
   }
   /// The keys of the directory whose record begins there.
   std::vector<Key> Keys(std::uint64_t position, const std::string &part)
   {
      Bytes record = Take(position, std::min<std::uint64_t>(42, fSize - std::min(position, fSize)), part);
      const int seek = record.Integer(2) > 1000 ? 8 : 4;
      record.fNext += 8;
      const std::uint64_t nbytes = record.Integer(4);
      record.fNext += 4 + 2 * static_cast<std::size_t>(seek);
      const std::uint64_t place = record.Integer(seek);
      std::vector<Key> keys;
      if (!record.fGood || (place > 0 && nbytes > (1u << 30)))
         fWhere.Fail(part, "a directory", "something else");
      if (place == 0)
         return keys; // it is empty
      Bytes list = Take(place, nbytes, part);
      ReadKey(list);
      for (std::uint64_t n = list.Integer(4); n > 0 && list.fGood; --n)
         keys.push_back(ReadKey(list));
      if (!list.fGood)
         fWhere.Fail(part, "a list of keys", "something else");
      return keys;
   }
   /// The key of that name with the highest cycle.
   static const Key *Find(const std::vector<Key> &keys, const std::string &name)
   {
      const Key *found = nullptr;
      for (const Key &key : keys)
         if (key.fName == name && (!found || key.fCycle > found->fCycle))
            found = &key;
      return found;
   }
   std::optional<std::string> Manifest(const std::vector<Key> &keys, const std::string &directory)
   {
      const std::string part = directory.empty() ? "manifest" : directory + "/manifest";
      const Key *const key = Find(keys, "manifest");
      if (!key || key->fClass != "TObjString")
         return std::nullopt;
      const std::uint64_t stored = key->fNBytes - key->fHeader;
      Bytes object = Take(key->fPosition + key->fHeader, stored, part);
      if (stored != key->fObject) {
         std::vector<char> from(object.fData.begin(), object.fData.end());
         const bool good = CanHold(stored, key->fObject);
         object.fData.assign(good ? static_cast<std::size_t>(key->fObject) : 0, 0);
         if (!good || !Unzip(from, object.fData.data(), key->fObject))
            fWhere.Fail(part, "a text", "bytes that can't be decompressed");
      }
      object.fNext = 12; // byte count and version of TObjString, version and number of TObject
      object.fNext += object.Integer(4) & 0x10 ? 2 : 0;
      const std::string text = object.Text();
      if (!object.fGood)
         fWhere.Fail(part, "a text", "one that is cut");
      if (text.rfind("{\"format\":\"onnxroot\"", 0) != 0) // §3.1
         return std::nullopt;
      return text;
   }
   void Search(std::uint64_t place, const std::string &path, int depth, std::set<std::uint64_t> &seen,
               std::vector<std::string> &found)
   {
      if (depth > kMaxDepth || !seen.insert(place).second)
         return;
      const auto keys = Keys(place, path);
      if (Manifest(keys, path))
         found.push_back(path);
      for (const Key &key : keys)
         if (key.IsDirectory() && Find(keys, key.fName) == &key)
            Search(key.fPosition + key.fHeader, path.empty() ? key.fName : path + "/" + key.fName, depth + 1, seen, found);
   }
   Where fWhere;
   std::unique_ptr<TFile> fFile;
   std::uint64_t fSize = 0, fTop = 0;
};

/// A column of a table: for each level of lists the begin of each list and the end of the last; values.
struct Column {
   int fStorage = kUInt8;
   std::vector<std::vector<std::uint64_t>> fOffsets;
   std::vector<char> fValues;

   std::uint64_t Size() const { return fValues.size() / InfoOf(fStorage).fSize; }
   /// One value, sign-extended, or the bits of a floating-point number.
   std::uint64_t Bits(std::uint64_t i) const
   {
      std::uint64_t bits = 0;
      const std::uint64_t size = InfoOf(fStorage).fSize;
      std::memcpy(&bits, fValues.data() + i * size, size);
      const unsigned shift = 64 - 8 * static_cast<unsigned>(size);
      if (fStorage % 2 == 1 && fStorage < kFloat && shift > 0 && bits >> (8 * size - 1))
         bits |= ~std::uint64_t(0) << (64 - shift);
      return bits;
   }
   /// String number i of the innermost level.
   std::pair<const char *, std::uint64_t> Text(std::uint64_t i) const
   {
      const auto &ends = fOffsets.back();
      return {fValues.data() + ends[i], ends[i + 1] - ends[i]};
   }
};

/// An RNTuple: its descriptor is ROOT's, its pages are read and decoded here.
class NTuple {
public:
   NTuple(RootFile &file, const Where &where, const std::string &name, const Json &info)
      : fFile(file), fWhere(where), fName(name)
   {
      const std::string path = where.fModel.empty() ? name : where.fModel + "/" + name;
      fReader = RootErrors::Run(where, name, "an RNTuple", [&] {
         auto reader = ROOT::RNTupleReader::Open(path, where.fFile);
         reader->GetDescriptor(); // keeps a copy
         return reader;
      });
      const std::uint64_t rows = info["rows"].Count(), found = fReader->GetNEntries();
      for (const Json &digest : info["digests"].Array())
         fDigests.push_back(digest.String());
      const bool merged = found > rows && rows > 0 && found % rows == 0; // §3.2
      if (found != rows)
         where.Fail(name, std::to_string(rows) + " rows", std::to_string(found),
                    merged ? "the file was probably merged with hadd: restore it from the original"
                           : "the file is damaged");
      for (const auto &cluster : Descriptor().GetClusterIterable())
         fClusters.emplace_back(cluster.GetFirstEntryIndex(), cluster.GetId());
      std::sort(fClusters.begin(), fClusters.end());
      if (fClusters.size() != fDigests.size())
         where.Fail(name, std::to_string(fDigests.size()) + " clusters", std::to_string(fClusters.size()));
      RootErrors::Run(where, name, "columns of plain numbers, strings and lists", [&] { return FindColumns(); });
   }
   std::size_t NClusters() const { return fClusters.size(); }

   /// All columns of the only cluster, by field, checked against the digest.
   std::map<std::string, Column> ReadAll()
   {
      std::map<std::string, Column> columns;
      const std::uint64_t nRows = fReader->GetNEntries();
      fWhere.Need(nRows > 0 && NClusters() == 1, fName, "one cluster", "another number");
      Xxh64 digest;
      for (const auto &[name, parts] : fColumns) {
         Column &column = columns[name];
         std::uint64_t n = nRows;
         for (const Part &part : parts) {
            std::vector<char> data;
            ReadColumn(part, 0, data);
            digest.Update(data.data(), data.size());
            fWhere.Need(data.size() / part.fSize == n, fName, "columns of equal length", "others");
            if (!part.fIsIndex) {
               column.fStorage = part.fStorage;
               column.fValues = std::move(data);
               continue;
            }
            column.fOffsets.emplace_back(n + 1);
            auto &ends = column.fOffsets.back();
            if (n > 0)
               std::memcpy(ends.data() + 1, data.data(), data.size());
            fWhere.Need(std::is_sorted(ends.begin(), ends.end()), fName, "ascending ends of lists", "others");
            n = ends.back();
         }
      }
      Check(digest, 0);
      return columns;
   }
   /// The values of one cluster of a table in `tensors/`, checked against their digest.
   void ReadValues(std::size_t cluster, int storage, std::vector<char> &out)
   {
      const auto values = std::find_if(fColumns.begin(), fColumns.end(), [](auto &c) { return c.first == "values"; });
      fWhere.Need(cluster < NClusters() && values != fColumns.end() && !values->second.back().fIsIndex &&
                     values->second.back().fStorage == storage,
                  fName, "all values of the payloads", "others");
      ReadColumn(values->second.back(), cluster, out);
      Xxh64 digest;
      digest.Update(out.data(), out.size());
      Check(digest, cluster);
   }

private:
   using ColumnType = ROOT::ENTupleColumnType;
   struct Part {
      ROOT::DescriptorId_t fId;
      ColumnType fType;
      bool fIsIndex;
      int fStorage;
      std::uint64_t fSize; ///< of a value in memory
      bool fSplit, fDelta, fZigzag;
      std::uint64_t fStored; ///< bytes of a value in the file
   };
   const ROOT::RNTupleDescriptor &Descriptor() { return fReader->GetDescriptor(); }

   bool FindColumns()
   {
      const auto &descriptor = Descriptor();
      for (const auto &top : descriptor.GetTopLevelFields()) {
         fColumns.emplace_back(top.GetFieldName(), std::vector<Part>());
         ROOT::DescriptorId_t field = top.GetId();
         for (bool inner = true; inner;) {
            for (const auto &column : descriptor.GetColumnIterable(field))
               fColumns.back().second.push_back(PartOf(column.GetPhysicalId(), column.GetType()));
            inner = false;
            for (const auto &child : descriptor.GetFieldIterable(field)) {
               if (inner || fColumns.back().second.size() > 2)
                  throw std::runtime_error("records");
               field = child.GetId();
               inner = true;
            }
         }
         const auto &parts = fColumns.back().second;
         if (parts.empty() || parts.size() > 3 || parts.back().fIsIndex)
            throw std::runtime_error("the field " + top.GetFieldName());
         for (std::size_t i = 0; i + 1 < parts.size(); ++i)
            if (!parts[i].fIsIndex)
               throw std::runtime_error("two representations of " + top.GetFieldName());
      }
      return true;
   }
   static Part PartOf(ROOT::DescriptorId_t id, ColumnType type)
   {
      using T = ColumnType;
      struct Row {
         T fType, fSplit;
         int fStorage;
      };
      static const Row rows[] = {{T::kUInt8, T::kUInt8, kUInt8},     {T::kByte, T::kByte, kUInt8},
                                 {T::kInt8, T::kInt8, kInt8},        {T::kUInt16, T::kSplitUInt16, kUInt16},
                                 {T::kInt16, T::kSplitInt16, kInt16}, {T::kUInt32, T::kSplitUInt32, kUInt32},
                                 {T::kInt32, T::kSplitInt32, kInt32}, {T::kUInt64, T::kSplitUInt64, kUInt64},
                                 {T::kInt64, T::kSplitInt64, kInt64}, {T::kReal32, T::kSplitReal32, kFloat},
                                 {T::kReal64, T::kSplitReal64, kDouble}, {T::kChar, T::kChar, kText},
                                 {T::kIndex64, T::kSplitIndex64, kInt64}, {T::kIndex32, T::kSplitIndex32, kInt32}};
      for (const Row &row : rows) {
         if (type != row.fType && type != row.fSplit)
            continue;
         const bool isIndex = row.fType == T::kIndex64 || row.fType == T::kIndex32, split = type != row.fType;
         const std::uint64_t stored = InfoOf(row.fStorage).fSize;
         const bool isSigned = row.fStorage % 2 == 1 && row.fStorage < kFloat;
         return {id, type, isIndex, row.fStorage, isIndex ? 8 : stored, split, split && isIndex,
                 split && isSigned && !isIndex, stored};
      }
      throw std::runtime_error("a column of another type");
   }
   void ReadColumn(const Part &part, std::size_t cluster, std::vector<char> &out)
   {
      std::size_t filled = 0; // what `out` had before is overwritten
      const auto &descriptor = Descriptor();
      const auto &details = descriptor.GetClusterDescriptor(fClusters[cluster].second);
      if (!details.ContainsColumn(part.fId) || details.GetColumnRange(part.fId).IsSuppressed())
         fWhere.Fail(fName, "all columns", "one without pages");
      for (const auto &page : details.GetPageRange(part.fId).GetPageInfos()) {
         const auto &locator = page.GetLocator();
         const std::uint64_t stored = locator.GetNBytesOnStorage(), nbytes = page.GetNElements() * part.fStored;
         const bool compressed = stored != nbytes;
         if (locator.GetType() != ROOT::RNTupleLocator::kTypeFile || nbytes > (std::uint64_t(1) << 32) ||
             (compressed && !CanHold(stored, nbytes)))
            fWhere.Fail(fName, "a page of plain numbers in the file", "something else");
         const auto position = locator.template GetPosition<std::uint64_t>();
         const bool plain = part.fStored == part.fSize && !part.fSplit;
         std::vector<char> &target = plain ? out : fPage;
         const std::size_t before = plain ? filled : 0;
         if (target.size() < before + nbytes)
            target.resize(before + nbytes);
         char *const data = target.data() + before;
         if (compressed) {
            fStored.resize(stored);
            fFile.Read(fStored.data(), position, stored, fWhere, fName);
            if (!Unzip(fStored, data, nbytes))
               fWhere.Fail(fName, "compressed values", "bytes that can't be decompressed");
         } else if (nbytes > 0) {
            fFile.Read(data, position, stored, fWhere, fName);
         }
         if (!plain) {
            out.resize(filled);
            Decode(part, page.GetNElements(), out);
         }
         filled += page.GetNElements() * part.fSize;
      }
      out.resize(filled);
      if (filled / part.fSize != details.GetColumnRange(part.fId).GetNElements())
         fWhere.Fail(fName, "pages with all values", "others");
   }
   /// Undo the splitting of values by bytes, and differences and zigzag coding; append the values.
   void Decode(const Part &part, std::uint64_t n, std::vector<char> &out) const
   {
      std::uint64_t sum = 0;
      const std::size_t first = out.size();
      out.resize(first + n * part.fSize);
      for (std::uint64_t i = 0; i < n; ++i) {
         std::uint64_t value = 0;
         for (std::uint64_t b = 0; b < part.fStored; ++b)
            value |= std::uint64_t(static_cast<unsigned char>(fPage[part.fSplit ? b * n + i : i * part.fStored + b]))
                     << (8 * b);
         if (part.fZigzag)
            value = (value >> 1) ^ (0 - (value & 1));
         if (part.fDelta)
            value = sum += value;
         if (part.fIsIndex && part.fStored == 4)
            value &= 0xFFFFFFFF;
         std::memcpy(out.data() + first + i * part.fSize, &value, part.fSize);
      }
   }
   void Check(const Xxh64 &digest, std::size_t cluster) const
   {
      if (digest.Hex() != fDigests[cluster])
         fWhere.Fail(fName + " cluster " + std::to_string(cluster), "the digest " + fDigests[cluster], digest.Hex());
   }
   RootFile &fFile;
   Where fWhere;
   std::string fName;
   std::unique_ptr<ROOT::RNTupleReader> fReader;
   std::vector<std::string> fDigests;
   std::vector<std::pair<std::uint64_t, ROOT::DescriptorId_t>> fClusters;
   std::vector<std::pair<std::string, std::vector<Part>>> fColumns;
   std::vector<char> fStored, fPage;
};

/// A table of messages (§4).
struct Table {
   std::uint64_t fNRows = 0;
   std::map<std::string, Column> fColumns;

   const Column *Find(const std::string &name) const
   {
      const auto found = fColumns.find(name);
      return found == fColumns.end() ? nullptr : &found->second;
   }
   std::uint64_t Bits(const std::string &name, std::uint64_t row, std::uint64_t none = 0) const
   {
      const Column *const column = Find(name);
      return column ? column->Bits(row) : none;
   }
   std::string Text(const std::string &name, std::uint64_t row) const
   {
      const Column *const column = Find(name);
      return column ? std::string(column->Text(row).first, column->Text(row).second) : "";
   }
};

/// The payloads (§5.2), and where each begins in its storage.
struct Payloads {
   std::vector<std::uint64_t> fField, fRow, fStorage, fNValues, fNBytes, fTensor, fFirst;
   std::array<std::uint64_t, 10> fTotals{};
   std::uint64_t fNInside = 0; ///< those of the ONNX file come first
};

/// A model's tables and payloads, checked as they are read.
class Stored {
public:
   Stored(const std::string &path, const std::string &directory) : fFile(path)
   {
      fWhere = fFile.Location();
      fWhere.fModel = directory;
      auto text = fFile.Manifest(directory);
      if (!text && directory.empty()) {
         const auto models = fFile.Models();
         if (models.size() != 1)
            fWhere.Fail("", "the name of a model", "none, and " + std::to_string(models.size()) + " models in the file",
                        "ListModels names them");
         fWhere.fModel = models.front();
         text = fFile.Manifest(fWhere.fModel);
      }
      if (!text)
         fWhere.Fail("", "a model", "no manifest of one", "ListModels names those in the file");
      try {
         Parse(*text);
      } catch (const std::logic_error &error) { // of our own JSON reader, and the library's conversions
         fWhere.Fail("manifest", error.what(), "something else");
      }
   }
   const Where &Location() const { return fWhere; }
   const ManifestInfo &Manifest() const { return fManifest; }
   const Schema &Types() const { return *fSchema; }

   /// The table of a message type, or null if the model has none of these.
   const Table *Find(int type)
   {
      if (type < 0)
         return nullptr;
      const auto &name = Types().fTypes[type].fName;
      const auto found = fTables.find(name);
      if (found != fTables.end())
         return &found->second;
      const Json *const info = Info(name);
      if (!info)
         return nullptr;
      NTuple ntuple(fFile, fWhere, name, *info);
      Table table;
      table.fNRows = (*info)["rows"].Count();
      table.fColumns = ntuple.ReadAll();
      CheckTypes(Types().fTypes[type], table);
      return &(fTables[name] = std::move(table));
   }
   const Table *Find(const std::string &name) { return Find(Types().Find(name)); }

   const Payloads &Index()
   {
      if (!fPayloads)
         fPayloads = ReadIndex();
      return *fPayloads;
   }
   /// Forget the tables: the next look reads them again.
   void Forget() { fTables.clear(); }

   /// Write bytes `start` to `stop` of a payload, as they stand in the ONNX file.
   template <typename F>
   void WritePayload(std::size_t payload, std::uint64_t start, std::uint64_t stop, F &&write)
   {
      const Payloads &index = Index();
      const auto [type, position] = Types().fCodes[index.fField[payload]];
      const Field &field = Types().fTypes[type].fFields[position];
      const int storage = static_cast<int>(index.fStorage[payload]);
      const std::uint64_t size = InfoOf(storage).fSize;
      if (field.fWire != kVarint) {
         Values(storage, index.fFirst[payload] * size + start, index.fFirst[payload] * size + stop, write);
         return;
      }
      if (fCoded.fPayload != payload || fCoded.fByte > start)
         fCoded = {payload, 0, 0};
      std::vector<char> out;
      while (fCoded.fByte < stop && fCoded.fValue < index.fNValues[payload]) {
         const std::uint64_t value = fCoded.fValue, end = std::min(value + (1 << 16), index.fNValues[payload]);
         const std::uint64_t first = index.fFirst[payload];
         out.clear();
         Column block;
         block.fStorage = storage;
         Values(storage, (first + value) * size, (first + end) * size,
                [&](const char *data, std::size_t n) { block.fValues.insert(block.fValues.end(), data, data + n); });
         char bytes[10];
         for (std::uint64_t i = 0; i < end - value; ++i)
            out.insert(out.end(), bytes, bytes + PutVarint(bytes, Coded(field, block.Bits(i))));
         const std::uint64_t from = std::max(start, fCoded.fByte), to = std::min(stop, fCoded.fByte + out.size());
         if (from < to)
            write(out.data() + (from - fCoded.fByte), to - from);
         if (fCoded.fByte + out.size() > stop)
            return; // this block is wanted again
         fCoded = {payload, end, fCoded.fByte + out.size()};
      }
      if (fCoded.fByte < stop || (fCoded.fValue == index.fNValues[payload]) != (fCoded.fByte == index.fNBytes[payload]))
         fWhere.Fail("Payload", "values of " + field.fName + " in their length", "another length");
   }
   /// The number that stands in the varint.
   static std::uint64_t Coded(const Field &field, std::uint64_t bits)
   {
      return field.fZigzag ? bits << 1 ^ (0 - (bits >> 63)) : bits;
   }

private:
   void Parse(const std::string &text)
   {
      const Json json = JsonReader::Read(text);
      fManifest.fText = text;
      fManifest.fFormatVersion = json["format_version"].Count();
      if (fManifest.fFormatVersion > kFormatVersion || fManifest.fFormatVersion < 1)
         fWhere.Fail("manifest", "a format version up to " + std::to_string(kFormatVersion),
                     std::to_string(fManifest.fFormatVersion), "take a later onnxroot.hxx");
      fManifest.fNBytes = json["onnx"]["nbytes"].Count();
      fManifest.fSha256 = json["onnx"]["sha256"].String();
      for (const Json &file : json["external_files"].Array())
         fManifest.fExternalFiles.push_back(
            {file["location"].String(), file["nbytes"].Count(), file["sha256"].String()});
      fManifest.fProvenance = json["provenance"].Texts();
      fManifest.fMetadata = json["metadata"].Texts();
      fTableInfos = json["tables"].Object();
      fSchema = std::make_unique<Schema>(json["schema"]);
   }
   const Json *Info(const std::string &name) const
   {
      const auto &keys = fTableInfos.fKeys;
      const auto found = std::find(keys.begin(), keys.end(), name);
      return found == keys.end() ? nullptr : &fTableInfos.fItems[found - keys.begin()];
   }
   void CheckTypes(const MessageType &type, const Table &table) const
   {
      auto check = [&](const std::string &name, int storage, std::size_t depth) {
         const Column *const column = table.Find(name);
         if (column && (column->fStorage != storage || column->fOffsets.size() != depth))
            fWhere.Fail(type.fName, "the column " + name + " to have the type of the field", "another type");
      };
      check("parent", kUInt64, 0);
      check("parent_field", kUInt16, 0);
      check("presence", kUInt64, 0);
      if (type.fName == "ModelProto")
         check("deviation", kText, 1);
      for (const Field &field : type.fFields)
         if (field.fMessage < 0)
            check(field.fName, field.fStorage, (field.fStorage == kText) + (field.fLabel != Label::kOptional));
   }
   Payloads ReadIndex()
   {
      Payloads index;
      const Json *const info = Info("Payload");
      if (!info)
         return index;
      auto columns = NTuple(fFile, fWhere, "Payload", *info).ReadAll();
      const std::size_t n = (*info)["rows"].Count();
      auto take = [&](const char *name, int storage) {
         const Column &column = columns[name];
         fWhere.Need(column.fStorage == storage && column.fOffsets.empty() && column.Size() == n, "Payload",
                     "six columns of integers", "others");
         std::vector<std::uint64_t> values(n);
         for (std::size_t i = 0; i < n; ++i)
            values[i] = column.Bits(i);
         return values;
      };
      index.fField = take("field", kUInt16);
      index.fRow = take("row", kUInt64);
      index.fStorage = take("storage", kUInt8);
      index.fNValues = take("n_values", kUInt64);
      index.fNBytes = take("nbytes", kUInt64);
      index.fTensor = take("tensor", kInt64);
      const int external = Types().Find("ExternalSegment");
      std::uint64_t total = 0;
      for (std::size_t i = 0; i < n; ++i) {
         const std::uint64_t nValues = index.fNValues[i], nbytes = index.fNBytes[i];
         fWhere.Need(index.fField[i] < Types().fCodes.size() && index.fStorage[i] < 10 && nValues > 0 &&
                        nValues < kMaxNBytes / 16 && nbytes > 0 && nbytes < kMaxNBytes - total,
                     "Payload", "codes of fields and storages, and sizes", "others");
         const auto [type, position] = Types().fCodes[index.fField[i]];
         const Field &field = Types().fTypes[type].fFields[position];
         const bool fits = field.fWire == kVarint ? nbytes >= nValues && nbytes <= 10 * nValues && index.fStorage[i] < kFloat
                                                  : nbytes == nValues * InfoOf(static_cast<int>(index.fStorage[i])).fSize;
         const bool isPayload = field.fMessage < 0 && (field.fLabel == Label::kPacked ||
                                                       (field.fLabel == Label::kOptional && field.fWire == kLen));
         fWhere.Need(fits && isPayload, "Payload", "as many bytes as values of a field", "others");
         if (type != external) {
            fWhere.Need(index.fNInside == i, "Payload", "those of external files last", "another order");
            ++index.fNInside;
         }
         std::uint64_t &end = index.fTotals[index.fStorage[i]];
         index.fFirst.push_back(end);
         end += nValues;
         total += nbytes;
      }
      return index;
   }
   /// Write the bytes of a storage from `start` to `stop`, cluster by cluster (§5.3).
   template <typename F>
   void Values(int storage, std::uint64_t start, std::uint64_t stop, F &&write)
   {
      for (std::uint64_t cluster = start / kChunkNBytes; start < stop; ++cluster) {
         const std::vector<char> &values = Cluster(storage, cluster);
         const std::uint64_t end = std::min(stop, (cluster + 1) * kChunkNBytes);
         write(values.data() + (start - cluster * kChunkNBytes), static_cast<std::size_t>(end - start));
         start = end;
      }
   }
   const std::vector<char> &Cluster(int storage, std::uint64_t cluster)
   {
      Open &open = fOpen[storage];
      const std::string name = std::string("tensors/") + InfoOf(storage).fName;
      if (!open.fNTuple) {
         const Json *const info = Info(name);
         if (!info)
            fWhere.Fail(name, "to be in the manifest", "that it is not");
         open.fNTuple = std::make_unique<NTuple>(fFile, fWhere, name, *info);
      }
      if (open.fCluster != cluster) {
         open.fCluster = ~std::uint64_t(0);
         open.fNTuple->ReadValues(static_cast<std::size_t>(cluster), storage, open.fValues);
         const std::uint64_t total = Index().fTotals[storage] * InfoOf(storage).fSize, first = cluster * kChunkNBytes;
         fWhere.Need(first < total && open.fValues.size() == std::min(kChunkNBytes, total - first), name,
                     "clusters of 8 MiB", "another size");
         open.fCluster = cluster;
      }
      return open.fValues;
   }
   struct Open {
      std::unique_ptr<NTuple> fNTuple;
      std::uint64_t fCluster = ~std::uint64_t(0);
      std::vector<char> fValues;
   };
   RootFile fFile;
   Where fWhere;
   ManifestInfo fManifest;
   Json fTableInfos;
   std::unique_ptr<Schema> fSchema;
   std::map<std::string, Table> fTables;
   std::optional<Payloads> fPayloads;
   std::array<Open, 10> fOpen;
   struct {
      std::size_t fPayload;
      std::uint64_t fValue, fByte;
   } fCoded{~std::size_t(0), 0, 0}; ///< where the coding of a payload goes on
};

// --- the canonical form ---------------------------------------------------------------------------

/// The bytes of a model in canonical form (§4.4): all but those of payloads in memory.
class Canonical {
public:
   explicit Canonical(Stored &stored) : fStored(stored), fIndex(stored.Index())
   {
      const Schema &schema = stored.Types();
      for (const MessageType &type : schema.fTypes) {
         const bool own = type.fName == "ExternalSegment";
         fTables.push_back(own ? nullptr : stored.Find(type.fName));
         fSizes.emplace_back(fTables.back() ? fTables.back()->fNRows : 0);
      }
      for (std::size_t type = 0; type < fTables.size(); ++type)
         fActive.push_back(ActiveFields(schema.fTypes[type], fTables[type]));
      fModel = schema.Find("ModelProto");
      if (fModel < 0 || !fTables[fModel] || fTables[fModel]->fNRows != 1)
         Fail("one ModelProto", "another number");
      fNBytes = Pass(false);
      std::uint64_t inPayloads = 0;
      for (std::size_t i = 0; i < fIndex.fNInside; ++i)
         inPayloads += fIndex.fNBytes[i];
      fSkeleton.reserve(static_cast<std::size_t>(fNBytes - inPayloads));
      Pass(true);
   }
   std::uint64_t NBytes() const { return fNBytes; }

   /// Write bytes `start` to `stop`.
   template <typename F>
   void Write(std::uint64_t start, std::uint64_t stop, F &&write)
   {
      auto hole = std::partition_point(fHoles.begin(), fHoles.end(), [&](const Hole &h) { return h.fEnd <= start; });
      while (start < stop) {
         const bool last = hole == fHoles.end();
         const std::uint64_t begin = last ? fNBytes : hole->fEnd - fIndex.fNBytes[hole->fPayload];
         if (start < begin) {
            const std::uint64_t before = hole == fHoles.begin() ? 0 : (hole - 1)->fPayloadBytes;
            const std::uint64_t end = std::min(begin, stop);
            write(fSkeleton.data() + (start - before), static_cast<std::size_t>(end - start));
            start = end;
         } else {
            const std::uint64_t end = std::min(hole->fEnd, stop);
            fStored.WritePayload(hole->fPayload, start - begin, end - begin, write);
            start = end;
            ++hole;
         }
      }
   }

private:
   struct Hole {
      std::uint64_t fEnd;          ///< in the canonical form
      std::uint64_t fPayloadBytes; ///< up to its end
      std::size_t fPayload;
   };
   struct Active {
      const Field *fField;
      const Column *fColumn;
   };
   [[noreturn]] void Fail(const char *expected, const char *found) const
   {
      fStored.Location().Fail("", expected, found);
   }
   /// Fields that any row may have.
   std::vector<Active> ActiveFields(const MessageType &type, const Table *table) const
   {
      std::vector<Active> fields;
      for (const Field &field : type.fFields) {
         const Column *const column = table ? table->Find(field.fName) : nullptr;
         if (field.fMessage >= 0 ? fTables[field.fMessage] != nullptr
                                 : column || field.fLabel != Label::kRepeated)
            fields.push_back({&field, column});
      }
      return fields;
   }
   /// Go through all messages, and measure or write them; return the model's size.
   std::uint64_t Pass(bool write)
   {
      fWriting = write;
      fCursor.assign(fTables.size(), 0);
      fPayload = 0;
      fCursor[fModel] = 1;
      const std::uint64_t nbytes = Message(fModel, 0, 0);
      for (std::size_t type = 0; type < fTables.size(); ++type)
         if (fTables[type] && fCursor[type] != fTables[type]->fNRows)
            fStored.Location().Fail(fStored.Types().fTypes[type].fName, "a message that holds each row",
                                    "none for row " + std::to_string(fCursor[type]));
      if (fPayload != fIndex.fNInside)
         Fail("a message that holds each payload", "none for payload");
      return nbytes;
   }
   std::uint64_t Message(int type, std::uint64_t row, int depth)
   {
      if (depth > kMaxDepth)
         Fail("messages nested at most 100 deep", "deeper ones");
      const std::uint64_t presence = fTables[type]->Bits("presence", row);
      std::uint64_t size = 0;
      for (const Active &active : fActive[type]) {
         const Field &field = *active.fField;
         if (field.fMessage >= 0)
            size += Children(field, row, depth);
         else if (field.fLabel != Label::kOptional)
            size += Repeated(field, active.fColumn, row);
         else if (presence >> field.fBit & 1)
            size += Optional(field, active.fColumn, row);
      }
      return size;
   }
   std::uint64_t Children(const Field &field, std::uint64_t row, int depth)
   {
      const Table &table = *fTables[field.fMessage];
      const Column *const parent = Parent(field.fMessage, "parent");
      const Column *const code = Parent(field.fMessage, "parent_field");
      std::uint64_t size = 0, &cursor = fCursor[field.fMessage];
      for (int n = 0; cursor < table.fNRows && parent->Bits(cursor) == row && code->Bits(cursor) == field.fCode; ++n) {
         if (n > 0 && field.fLabel == Label::kOptional)
            Fail("one message in an optional field", "two");
         const std::uint64_t child = cursor++;
         std::uint64_t &nbytes = fSizes[field.fMessage][child];
         if (fWriting) {
            size += Varint(field.fTag) + Varint(nbytes);
            Message(field.fMessage, child, depth + 1);
         } else {
            nbytes = Message(field.fMessage, child, depth + 1);
            size += VarintSize(field.fTag) + VarintSize(nbytes);
         }
         size += nbytes;
      }
      return size;
   }
   const Column *Parent(int type, const char *name) const
   {
      const Column *const column = fTables[type]->Find(name);
      if (!column)
         fStored.Location().Fail(fStored.Types().fTypes[type].fName, std::string("a column ") + name, "none");
      return column;
   }
   std::uint64_t Optional(const Field &field, const Column *column, std::uint64_t row)
   {
      std::uint64_t size = Varint(field.fTag);
      if (field.fWire != kLen) {
         if (!column)
            Fail("a column for every field that is present", "none");
         return size + Number(field, *column, row);
      }
      const std::uint64_t inPayload = PayloadOf(field, row);
      if (inPayload > 0) {
         size += Varint(inPayload);
         return size + Payload();
      }
      const auto text = column ? column->Text(row) : std::pair<const char *, std::uint64_t>("", 0);
      return size + Varint(text.second) + Bytes(text.first, text.second);
   }
   std::uint64_t Repeated(const Field &field, const Column *column, std::uint64_t row)
   {
      const std::uint64_t first = column ? column->fOffsets[0][row] : 0;
      const std::uint64_t last = column ? column->fOffsets[0][row + 1] : 0;
      std::uint64_t size = 0;
      if (field.fLabel == Label::kPacked) {
         const std::uint64_t inPayload = PayloadOf(field, row);
         std::uint64_t inColumn = 0;
         for (std::uint64_t i = first; i < last; ++i)
            inColumn += NumberSize(field, *column, i);
         if (inColumn + inPayload == 0)
            return 0;
         size += Varint(field.fTag) + Varint(inColumn + inPayload) + inColumn;
         for (std::uint64_t i = first; fWriting && i < last; ++i)
            Number(field, *column, i);
         return size + (inPayload > 0 ? Payload() : 0);
      }
      for (std::uint64_t i = first; i < last; ++i) {
         size += Varint(field.fTag);
         if (field.fWire == kLen) {
            const auto text = column->Text(i);
            size += Varint(text.second) + Bytes(text.first, text.second);
         } else {
            size += Number(field, *column, i);
         }
      }
      return size;
   }
   /// Bytes of the next payload, if it belongs to that field; otherwise 0.
   std::uint64_t PayloadOf(const Field &field, std::uint64_t row) const
   {
      const bool here = fPayload < fIndex.fNInside && fIndex.fField[fPayload] == field.fCode && fIndex.fRow[fPayload] == row;
      return here ? fIndex.fNBytes[fPayload] : 0;
   }
   std::uint64_t Payload()
   {
      const std::uint64_t nbytes = fIndex.fNBytes[fPayload];
      if (fWriting) {
         const std::uint64_t inPayloads = (fHoles.empty() ? 0 : fHoles.back().fPayloadBytes) + nbytes;
         fHoles.push_back({fSkeleton.size() + inPayloads, inPayloads, fPayload});
      }
      ++fPayload;
      return nbytes;
   }
   static std::uint64_t NumberSize(const Field &field, const Column &column, std::uint64_t i)
   {
      return field.fWire == kVarint ? VarintSize(Stored::Coded(field, column.Bits(i))) : InfoOf(column.fStorage).fSize;
   }
   std::uint64_t Number(const Field &field, const Column &column, std::uint64_t i)
   {
      if (field.fWire == kVarint)
         return Varint(Stored::Coded(field, column.Bits(i)));
      const std::uint64_t size = InfoOf(column.fStorage).fSize;
      return Bytes(column.fValues.data() + i * size, size);
   }
   std::uint64_t Varint(std::uint64_t value)
   {
      if (!fWriting)
         return VarintSize(value);
      char bytes[10];
      return Bytes(bytes, PutVarint(bytes, value));
   }
   std::uint64_t Bytes(const char *data, std::uint64_t nbytes)
   {
      if (fWriting && nbytes > 0)
         fSkeleton.append(data, static_cast<std::size_t>(nbytes));
      return nbytes;
   }
   Stored &fStored;
   const Payloads &fIndex;
   std::vector<const Table *> fTables;
   std::vector<std::vector<std::uint64_t>> fSizes;
   std::vector<std::vector<Active>> fActive;
   std::vector<std::uint64_t> fCursor;
   std::size_t fPayload = 0;
   bool fWriting = false;
   int fModel = -1;
   std::uint64_t fNBytes = 0;
   std::string fSkeleton;
   std::vector<Hole> fHoles;
};

/// The edits that make the ONNX file of its canonical form (§7).
class Deviation {
public:
   Deviation(const Where &where, std::string text, std::uint64_t canonicalNBytes) : fText(std::move(text))
   {
      if (fText.empty()) {
         fEdits.push_back({0, canonicalNBytes, 0});
         fNBytes = canonicalNBytes;
         return;
      }
      std::array<std::vector<std::uint64_t>, 3> numbers;
      std::size_t position = 0;
      bool good = true;
      for (std::size_t field = 0; field < 4 && good; ++field) {
         good = position < fText.size() && fText[position] == static_cast<char>((field + 1) << 3 | kLen);
         ++position;
         const std::uint64_t nbytes = good ? Read(position, fText.size(), good) : 0;
         good = good && nbytes <= fText.size() - position;
         if (!good)
            break;
         const std::size_t end = position + static_cast<std::size_t>(nbytes);
         fLiterals = position;
         while (field < 3 && good && position < end)
            numbers[field].push_back(Read(position, end, good));
         position = end;
      }
      good = good && position == fText.size() && numbers[0].size() == numbers[1].size() &&
             numbers[0].size() == numbers[2].size();
      std::uint64_t literals = 0;
      for (std::size_t i = 0; good && i < numbers[0].size(); ++i) {
         const Edit edit{numbers[0][i], numbers[1][i], numbers[2][i]};
         good = edit.fStart <= canonicalNBytes && edit.fNBytes <= canonicalNBytes - edit.fStart &&
                edit.fLiteral <= fText.size() - fLiterals - literals && fNBytes < kMaxNBytes - edit.fNBytes;
         literals += edit.fLiteral;
         fNBytes += edit.fNBytes + edit.fLiteral;
         fEdits.push_back(edit);
      }
      where.Need(good && literals == fText.size() - fLiterals, "ModelProto.deviation", "edits of the model", "others");
   }
   std::uint64_t NBytes() const { return fNBytes; }
   template <typename F>
   void Write(Canonical &canonical, F &&write) const
   {
      const char *literal = fText.data() + fLiterals;
      for (const Edit &edit : fEdits) {
         canonical.Write(edit.fStart, edit.fStart + edit.fNBytes, write);
         write(literal, static_cast<std::size_t>(edit.fLiteral));
         literal += edit.fLiteral;
      }
   }

private:
   struct Edit {
      std::uint64_t fStart, fNBytes, fLiteral;
   };
   std::uint64_t Read(std::size_t &position, std::size_t end, bool &good) const
   {
      std::uint64_t value = 0;
      for (int shift = 0; shift < 64; shift += 7) {
         if (position >= end)
            break;
         const auto byte = static_cast<unsigned char>(fText[position++]);
         value |= std::uint64_t(byte & 0x7F) << shift;
         if (byte < 0x80)
            return value;
      }
      good = false;
      return 0;
   }
   std::string fText;
   std::vector<Edit> fEdits;
   std::size_t fLiterals = 0;
   std::uint64_t fNBytes = 0;
};

} // namespace detail

// --- the public face ------------------------------------------------------------------------------

/// The models in a ROOT file, in directories at any depth.
inline std::vector<std::string> ListModels(const std::string &file)
{
   return detail::RootFile(file).Models();
}

/// A model in a ROOT file; tables and tensors are read when they are asked for.
class Model {
public:
   /// Open a model; without a directory, the only one in the file.
   explicit Model(const std::string &file, const std::string &directory = "") : fStored(file, Trim(directory)) {}

   /// What the model says of itself.
   const ManifestInfo &Manifest() const { return fStored.Manifest(); }
   /// The model's directory in the file.
   const std::string &Directory() const { return fStored.Location().fModel; }

   /// The ONNX file.
   std::string Serialize(bool verify = true)
   {
      std::string onnx;
      Rebuild([&](const char *data, std::size_t n) { onnx.append(data, n); }, verify,
              [&](std::uint64_t nbytes) { onnx.reserve(static_cast<std::size_t>(nbytes)); });
      return onnx;
   }
   /// Hand on the ONNX file in pieces; it is right only once this returns, for the SHA-256 comes last.
   void Serialize(const Sink &sink, bool verify = true) { Rebuild(sink, verify, [](std::uint64_t) {}); }
   void Serialize(std::ostream &out, bool verify = true)
   {
      Serialize(Sink([&](const char *data, std::size_t n) { out.write(data, static_cast<std::streamsize>(n)); }), verify);
      if (!out)
         fStored.Location().Fail("", "to write the model", "a failure of the stream", "is the disk full?");
   }
   /// Hand on an external file in pieces, as Serialize does the ONNX file.
   void SerializeExternal(const std::string &location, const Sink &sink, bool verify = true)
   {
      const ExternalFile &file = External(location);
      const auto segments = Segments(file);
      Checked(sink, verify, file.fNBytes, file.fSha256, location, [&](auto &&write) {
         for (const Segment &segment : segments)
            fStored.WritePayload(segment.fPayload, 0, segment.fNBytes, write);
      });
   }
   /// Write the ONNX file, and its external files below the same folder.
   ///
   /// Nothing is left behind where this fails, unless `overwrite` replaced some files before.
   void Save(const std::string &path, bool overwrite = false)
   {
      namespace fs = std::filesystem;
      const fs::path target(path), folder = target.parent_path();
      std::vector<std::pair<fs::path, std::string>> files; // place, and location or nothing
      for (const ExternalFile &file : Manifest().fExternalFiles)
         files.emplace_back(folder / CheckedLocation(file.fLocation), file.fLocation);
      files.emplace_back(target, "");
      std::set<std::string> places;
      for (const auto &[place, location] : files) {
         if (!places.insert(place.lexically_normal().string()).second)
            fStored.Location().Fail(location, "a file for itself", "another of that name", "choose another name");
         RefuseLinks(folder, location);
         if (!overwrite && fs::symlink_status(place).type() != fs::file_type::not_found)
            fStored.Location().Fail("", "no file " + place.string(), "one", "remove it, or overwrite it");
      }
      std::vector<Written> written;
      for (const auto &[place, location] : files) {
         std::error_code failed;
         if (place.has_parent_path())
            fs::create_directories(place.parent_path(), failed);
         RefuseLinks(folder, location);
         written.emplace_back(place, fStored.Location());
         const Sink sink = [&](const char *data, std::size_t n) { written.back().Write(data, n); };
         if (location.empty())
            Serialize(sink);
         else
            SerializeExternal(location, sink);
         written.back().Close();
      }
      for (Written &file : written)
         file.Commit(overwrite);
   }

   /// The names of the initializers, those of the main graph first.
   std::vector<std::string> TensorNames()
   {
      FindTensors();
      return fTensorNames;
   }
   /// The elements of an initializer.
   ///
   /// \tparam T float, double, an integer of the element type's width and sign, or std::complex. BOOL
   /// and 8-bit floats come as std::uint8_t, FLOAT16 and BFLOAT16 as std::uint16_t: their bits; types
   /// of less than 8 bits as std::uint8_t, packed as in ONNX.
   template <typename T>
   Tensor<T> GetTensor(const std::string &name)
   {
      static_assert(std::is_trivially_copyable_v<T> && !std::is_same_v<T, bool>, "see the documentation");
      const std::uint64_t row = FindTensor(name);
      const detail::Table &table = *fStored.Find("TensorProto");
      Tensor<T> tensor;
      tensor.fElementType = static_cast<int>(table.Bits("data_type", row));
      const detail::ElementType &element = detail::ElementOf(tensor.fElementType);
      const std::string found = *element.fName ? element.fName : "data_type " + std::to_string(tensor.fElementType);
      if (!detail::Fits<T>(element))
         fStored.Location().Fail("tensor " + name, "elements that the C++ type holds", found, "ask for another type");
      std::uint64_t n = 1;
      if (const detail::Column *const dims = table.Find("dims"))
         for (std::uint64_t i = dims->fOffsets[0][row]; i < dims->fOffsets[0][row + 1]; ++i) {
            const std::uint64_t dim = dims->Bits(i);
            tensor.fShape.push_back(static_cast<std::int64_t>(dim));
            if (dim >> 62 || (dim > 0 && n > detail::kMaxNBytes / 256 / dim))
               fStored.Location().Fail("tensor " + name, "dimensions", "negative or very large ones", kMalformed);
            n *= dim;
         }
      const std::uint64_t nbytes = n / 8 * element.fBits + (n % 8 * element.fBits + 7) / 8;
      const auto pieces = Pieces(name, row, element);
      std::uint64_t stored = 0;
      for (const Piece &piece : pieces)
         stored += piece.fStop - piece.fStart;
      if (stored != nbytes)
         fStored.Location().Fail("tensor " + name, std::to_string(nbytes) + " bytes by its shape", std::to_string(stored),
                                 kMalformed);
      std::uint64_t done = 0;
      for (const Piece &piece : pieces) {
         // The first look at a piece makes sure that the file holds its values, before memory is taken.
         fStored.WritePayload(piece.fPayload, piece.fStart, piece.fStop, [&](const char *data, std::size_t size) {
            tensor.fValues.resize(static_cast<std::size_t>(nbytes / sizeof(T)));
            std::memcpy(reinterpret_cast<char *>(tensor.fValues.data()) + done, data, size);
            done += size;
         });
      }
      return tensor;
   }
   /// The inputs of the main graph, initializers among them included.
   std::vector<Value> Inputs() { return Values("input"); }
   /// The outputs of the main graph.
   std::vector<Value> Outputs() { return Values("output"); }

private:
   static constexpr const char *kMalformed = "the model is malformed";
   struct Piece {
      std::size_t fPayload;
      std::uint64_t fStart, fStop;
   };
   struct Segment {
      std::size_t fPayload;
      std::uint64_t fOffset, fNBytes;
   };
   static std::string Trim(const std::string &directory)
   {
      const auto first = directory.find_first_not_of('/'), last = directory.find_last_not_of('/');
      return first == std::string::npos ? "" : directory.substr(first, last - first + 1);
   }

   // --- files

   template <typename F>
   void Rebuild(const Sink &sink, bool verify, F &&reserve)
   {
      detail::Canonical canonical(fStored);
      const detail::Deviation deviation(fStored.Location(), fStored.Find("ModelProto")->Text("deviation", 0),
                                        canonical.NBytes());
      fStored.Forget(); // from here on the skeleton has it all
      const ManifestInfo &manifest = Manifest();
      if (deviation.NBytes() != manifest.fNBytes)
         fStored.Location().Fail("", std::to_string(manifest.fNBytes) + " bytes", std::to_string(deviation.NBytes()));
      reserve(manifest.fNBytes);
      Checked(sink, verify, manifest.fNBytes, manifest.fSha256, "",
              [&](auto &&write) { deviation.Write(canonical, write); });
   }
   template <typename F>
   void Checked(const Sink &sink, bool verify, std::uint64_t nbytes, const std::string &sha256, const std::string &part,
                F &&produce)
   {
      detail::Output output(sink, verify);
      std::uint64_t written = 0;
      produce([&](const char *data, std::size_t n) {
         output.Write(data, n);
         written += n;
      });
      const std::string found = output.Finish();
      if (written != nbytes)
         fStored.Location().Fail(part, std::to_string(nbytes) + " bytes", std::to_string(written));
      if (verify && found != sha256)
         fStored.Location().Fail(part, "the SHA-256 " + sha256, found);
   }
   const ExternalFile &External(const std::string &location) const
   {
      for (const ExternalFile &file : Manifest().fExternalFiles)
         if (file.fLocation == location)
            return file;
      fStored.Location().Fail(location, "an external file of the model", "none of that name", "Manifest() names them");
   }
   /// How an external file is cut (§6.2).
   std::vector<Segment> Segments(const ExternalFile &file)
   {
      std::vector<Segment> segments;
      const detail::Payloads &index = fStored.Index();
      const detail::Table *const table = fStored.Find("ExternalSegment");
      std::uint64_t end = 0;
      for (std::uint64_t row = 0; table && row < table->fNRows; ++row) {
         if (table->Text("location", row) != file.fLocation)
            continue;
         const std::uint64_t payload = index.fNInside + row, nbytes = table->Bits("nbytes", row);
         fStored.Location().Need(payload < index.fRow.size() && index.fRow[payload] == row && nbytes > 0 &&
                                    index.fNBytes[payload] == nbytes && table->Bits("offset", row) == end,
                                 "ExternalSegment", "segments without gaps, and a payload for each", "others");
         segments.push_back({static_cast<std::size_t>(payload), end, nbytes});
         end += nbytes;
      }
      if (end != file.fNBytes)
         fStored.Location().Fail(file.fLocation, std::to_string(file.fNBytes) + " bytes", std::to_string(end));
      return segments;
   }
   /// A location that leads to a place below the folder (§6.1).
   const std::string &CheckedLocation(const std::string &location) const
   {
      bool good = location.find_first_of(std::string("\\\0:", 3)) == std::string::npos;
      for (std::size_t first = 0; good && first <= location.size();) {
         const std::size_t end = std::min(location.find('/', first), location.size());
         const std::string part = location.substr(first, end - first);
         good = !part.empty() && part != "." && part != "..";
         first = end + 1;
      }
      if (!good)
         fStored.Location().Fail("", "an external file below the model's folder", "'" + location + "'",
                                 "it is not written");
      return location;
   }
   void RefuseLinks(const std::filesystem::path &folder, const std::string &location) const
   {
      for (std::size_t end = location.find('/'); end != std::string::npos; end = location.find('/', end + 1))
         if (std::filesystem::is_symlink(std::filesystem::symlink_status(folder / location.substr(0, end))))
            fStored.Location().Fail("", "folders at " + location, "a symbolic link", "it is not written through");
   }
   /// A file under another name until it is whole.
   class Written {
   public:
      Written(const std::filesystem::path &place, const detail::Where &where)
         : fPlace(place), fPart(place.string() + ".part"), fWhere(where), fFile(std::fopen(fPart.string().c_str(), "wbx"))
      {
         if (!fFile)
            Fail("to create it", "a failure");
      }
      Written(Written &&other) noexcept
         : fPlace(std::move(other.fPlace)), fPart(std::move(other.fPart)), fWhere(std::move(other.fWhere)),
           fFile(std::exchange(other.fFile, nullptr)), fOwns(std::exchange(other.fOwns, false))
      {
      }
      Written &operator=(Written &&) = delete;
      ~Written()
      {
         if (fFile)
            std::fclose(fFile);
         if (fOwns)
            std::remove(fPart.string().c_str());
      }
      void Write(const char *data, std::size_t n)
      {
         if (std::fwrite(data, 1, n, fFile) != n)
            Fail("to write it", "a failure");
      }
      void Close()
      {
         if (std::fclose(std::exchange(fFile, nullptr)) != 0)
            Fail("to write it", "a failure");
      }
      void Commit(bool overwrite)
      {
         std::error_code failed;
         if (!overwrite && std::filesystem::symlink_status(fPlace).type() != std::filesystem::file_type::not_found)
            Fail("no file", "one");
         std::filesystem::rename(fPart, fPlace, failed);
         if (failed)
            Fail("to name it", failed.message());
         fOwns = false;
      }

   private:
      [[noreturn]] void Fail(const std::string &expected, const std::string &found) const
      {
         fWhere.Fail("", expected + ": " + fPlace.string(), found, "is the folder writable and the disk not full?");
      }
      std::filesystem::path fPlace, fPart;
      detail::Where fWhere;
      std::FILE *fFile;
      bool fOwns = true;
   };

   // --- tensors

   void FindTensors()
   {
      if (!fTensors.empty())
         return;
      const detail::Table *const table = fStored.Find("TensorProto");
      const detail::Field *const field = fStored.Types().Find(fStored.Types().Find("GraphProto"), "initializer");
      const std::uint64_t main = MainGraph();
      for (const bool inMain : {true, false})
         for (std::uint64_t row = 0; table && field && row < table->fNRows; ++row)
            if (table->Bits("parent_field", row) == field->fCode && (table->Bits("parent", row) == main) == inMain &&
                fTensors.emplace(table->Text("name", row), row).second)
               fTensorNames.push_back(table->Text("name", row));
   }
   std::uint64_t FindTensor(const std::string &name)
   {
      FindTensors();
      const auto found = fTensors.find(name);
      if (found == fTensors.end())
         fStored.Location().Fail("", "an initializer '" + name + "'", "none", "TensorNames() lists them");
      return found->second;
   }
   /// Where the elements of a tensor are.
   std::vector<Piece> Pieces(const std::string &name, std::uint64_t row, const detail::ElementType &element)
   {
      const int type = fStored.Types().Find("TensorProto");
      if (fStored.Find(type)->Bits("data_location", row) == 1)
         return ExternalPieces(name, row);
      std::vector<Piece> pieces;
      const detail::Payloads &index = fStored.Index();
      for (std::size_t i = 0; i < index.fNInside; ++i) {
         const auto [holder, position] = fStored.Types().fCodes[index.fField[i]];
         const std::string &field = fStored.Types().fTypes[holder].fFields[position].fName;
         if (holder != type || index.fRow[i] != row || field == "doc_string" || field == "name")
            continue;
         if (!pieces.empty() || static_cast<int>(index.fStorage[i]) != element.fStorage ||
             (field != "raw_data" && field != element.fField))
            fStored.Location().Fail("tensor " + name, std::string("elements of ") + element.fName, "others in " + field,
                                    kMalformed);
         pieces.push_back({i, 0, 0});
         pieces.back().fStop = index.fNValues[i] * detail::InfoOf(element.fStorage).fSize;
      }
      return pieces;
   }
   std::vector<Piece> ExternalPieces(const std::string &name, std::uint64_t row)
   {
      std::map<std::string, std::string> entries;
      const detail::Field *const field = fStored.Types().Find(fStored.Types().Find("TensorProto"), "external_data");
      const detail::Table *const table = fStored.Find("StringStringEntryProto");
      for (std::uint64_t i = 0; table && field && i < table->fNRows; ++i)
         if (table->Bits("parent", i) == row && table->Bits("parent_field", i) == field->fCode)
            entries[table->Text("key", i)] = table->Text("value", i);
      auto number = [&](const char *key, std::uint64_t none) {
         const auto found = entries.find(key);
         if (found == entries.end())
            return none;
         const std::string &text = found->second;
         if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
            fStored.Location().Fail("tensor " + name, std::string("a byte count as ") + key, "'" + text + "'", kMalformed);
         return static_cast<std::uint64_t>(std::stoull(text));
      };
      std::string location; // without parts that are '.' or empty
      for (const auto &part : std::filesystem::path(entries["location"]))
         if (part != "." && !part.empty())
            location += (location.empty() ? "" : "/") + part.string();
      const ExternalFile &file = External(location);
      const std::uint64_t start = number("offset", 0);
      const std::uint64_t length = number("length", file.fNBytes - std::min(start, file.fNBytes));
      if (start > file.fNBytes || length > file.fNBytes - start)
         fStored.Location().Fail("tensor " + name, "elements within " + location, "others", kMalformed);
      std::vector<Piece> pieces;
      for (const Segment &segment : Segments(file)) {
         const std::uint64_t from = std::max(start, segment.fOffset);
         const std::uint64_t to = std::min(start + length, segment.fOffset + segment.fNBytes);
         if (from < to)
            pieces.push_back({segment.fPayload, from - segment.fOffset, to - segment.fOffset});
      }
      return pieces;
   }

   // --- inputs and outputs

   /// The rows of the messages that a field of a message holds.
   std::vector<std::uint64_t> Children(int type, std::uint64_t row, const std::string &name)
   {
      std::vector<std::uint64_t> rows;
      const detail::Field *const field = fStored.Types().Find(type, name);
      const detail::Table *const table = field ? fStored.Find(field->fMessage) : nullptr;
      for (std::uint64_t i = 0; table && i < table->fNRows; ++i)
         if (table->Bits("parent", i) == row && table->Bits("parent_field", i) == field->fCode)
            rows.push_back(i);
      return rows;
   }
   std::uint64_t MainGraph()
   {
      const auto rows = Children(fStored.Types().Find("ModelProto"), 0, "graph");
      return rows.empty() ? ~std::uint64_t(0) : rows.front();
   }
   std::vector<Value> Values(const std::string &name)
   {
      const detail::Schema &types = fStored.Types();
      const int info = types.Find("ValueInfoProto"), type = types.Find("TypeProto");
      std::vector<Value> values;
      for (const std::uint64_t row : Children(types.Find("GraphProto"), MainGraph(), name)) {
         values.emplace_back();
         values.back().fName = fStored.Find(info)->Text("name", row);
         for (const std::uint64_t inner : Children(info, row, "type"))
            for (const detail::Field &field : types.fTypes[type].fFields)
               for (const std::uint64_t kind : Children(type, inner, field.fName))
                  SetType(values.back(), field, kind);
      }
      return values;
   }
   void SetType(Value &value, const detail::Field &field, std::uint64_t row)
   {
      const bool sparse = field.fName == "sparse_tensor_type";
      if (field.fName != "tensor_type" && !sparse) {
         value.fTypeName = field.fName.substr(0, field.fName.rfind("_type"));
         return;
      }
      value.fElementType = static_cast<int>(fStored.Find(field.fMessage)->Bits("elem_type", row));
      const std::string name = detail::ElementOf(value.fElementType).fName;
      value.fTypeName = (sparse ? "sparse " : "") + (name.empty() ? "data_type " + std::to_string(value.fElementType) : name);
      const int shape = fStored.Types().Find("TensorShapeProto"), dim = fStored.Types().Find("TensorShapeProto_Dimension");
      const detail::Field *const size = fStored.Types().Find(dim, "dim_value");
      for (const std::uint64_t outer : Children(field.fMessage, row, "shape")) {
         value.fShape.emplace();
         for (const std::uint64_t inner : Children(shape, outer, "dim")) {
            const detail::Table &table = *fStored.Find(dim);
            Dimension dimension;
            if (size && size->fBit >= 0 && table.Bits("presence", inner) >> size->fBit & 1)
               dimension.fValue = static_cast<std::int64_t>(table.Bits("dim_value", inner));
            else
               dimension.fName = table.Text("dim_param", inner);
            value.fShape->push_back(dimension);
         }
      }
   }

   detail::Stored fStored;
   std::map<std::string, std::uint64_t> fTensors;
   std::vector<std::string> fTensorNames;
};

} // namespace onnxroot

#endif
