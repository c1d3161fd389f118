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

#include <ROOT/RNTuple.hxx>
#include <ROOT/RNTupleDescriptor.hxx>
#include <ROOT/RNTupleReader.hxx>
#include <RZip.h>
#include <TDirectory.h>
#include <TError.h>
#include <TFile.h>
#include <TKey.h>
#include <TList.h>
#include <TObjString.h>

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
