/// \file sha256.hxx
/// \brief SHA-256, the digest of a file (§3.1).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_SHA256_HXX
#define ONNXROOT_SHA256_HXX

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__) && !defined(ONNXROOT_PORTABLE)
#define ONNXROOT_SHA_INSTRUCTIONS
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace onnxroot::detail {

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

} // namespace onnxroot::detail

#endif
