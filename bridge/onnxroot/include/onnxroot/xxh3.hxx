/// \file xxh3.hxx
/// \brief XXH3 of 64 bits, the checksum of ROOT's RNTuple metadata.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_XXH3_HXX
#define ONNXROOT_XXH3_HXX

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace onnxroot::detail {

/// XXH3_64bits with seed 0 and the default secret.
///
/// Source: the XXH3 algorithm description, XXHash specification 0.2.0.
class Xxh3 {
public:
   static std::uint64_t Of(const void *data, std::size_t nbytes)
   {
      const auto *const p = static_cast<const unsigned char *>(data);
      if (nbytes <= 16)
         return Short(p, nbytes);
      if (nbytes <= 128)
         return Medium(p, nbytes);
      return nbytes <= 240 ? Longer(p, nbytes) : Long(p, nbytes);
   }

private:
   using U64 = std::uint64_t;
   static constexpr U64 k32_1 = 0x9E3779B1, k32_2 = 0x85EBCA77, k32_3 = 0xC2B2AE3D;
   static constexpr U64 k1 = 0x9E3779B185EBCA87, k2 = 0xC2B2AE3D27D4EB4F, k3 = 0x165667B19E3779F9,
                        k4 = 0x85EBCA77C2B2AE63, k5 = 0x27D4EB2F165667C5;
   static constexpr std::size_t kSecretNBytes = 192, kStripe = 64, kStripes = (kSecretNBytes - kStripe) / 8;

   static const unsigned char *Secret()
   {
      static const unsigned char secret[kSecretNBytes] = {
         0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4,
         0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e,
         0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43,
         0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
         0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19,
         0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7,
         0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78,
         0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
         0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16,
         0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f,
         0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e};
      return secret;
   }
   template <typename T>
   static U64 Load(const unsigned char *p)
   {
      T value;
      std::memcpy(&value, p, sizeof value);
      return value;
   }
   static U64 Load64(const unsigned char *p) { return Load<std::uint64_t>(p); }
   static U64 Load32(const unsigned char *p) { return Load<std::uint32_t>(p); }
   static U64 Key(std::size_t i) { return Load64(Secret() + i); }
   static U64 Rotate(U64 x, int n) { return (x << n) | (x >> (64 - n)); }
   static U64 Swap(U64 x)
   {
      U64 swapped = 0;
      for (int i = 0; i < 8; ++i, x >>= 8)
         swapped = swapped << 8 | (x & 0xFF);
      return swapped;
   }
   /// The product of 128 bits, its halves combined.
   static U64 Fold(U64 a, U64 b)
   {
      const U64 mask = 0xFFFFFFFF;
      const U64 low = (a & mask) * (b & mask), middle = (a >> 32) * (b & mask) + (low >> 32);
      const U64 other = (a & mask) * (b >> 32) + (middle & mask);
      return ((a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32)) ^ (other << 32 | (low & mask));
   }
   static U64 Mix(const unsigned char *p, std::size_t key)
   {
      return Fold(Load64(p) ^ Key(key), Load64(p + 8) ^ Key(key + 8));
   }
   static U64 Avalanche(U64 h)
   {
      h = (h ^ (h >> 37)) * 0x165667919E3779F9;
      return h ^ (h >> 32);
   }
   static U64 AvalancheOfXxh64(U64 h)
   {
      h = (h ^ (h >> 33)) * k2;
      h = (h ^ (h >> 29)) * k3;
      return h ^ (h >> 32);
   }
   static U64 Short(const unsigned char *p, std::size_t n)
   {
      if (n > 8) {
         const U64 low = Load64(p) ^ Key(24) ^ Key(32), high = Load64(p + n - 8) ^ Key(40) ^ Key(48);
         return Avalanche(n + Swap(low) + high + Fold(low, high));
      }
      if (n >= 4) {
         U64 h = (Load32(p + n - 4) + (Load32(p) << 32)) ^ Key(8) ^ Key(16);
         h = (h ^ Rotate(h, 49) ^ Rotate(h, 24)) * 0x9FB21C651E98DF25;
         h = (h ^ ((h >> 35) + n)) * 0x9FB21C651E98DF25;
         return h ^ (h >> 28);
      }
      if (n == 0)
         return AvalancheOfXxh64(Key(56) ^ Key(64));
      const U64 word = U64(p[0]) << 16 | U64(p[n / 2]) << 24 | p[n - 1] | U64(n) << 8;
      return AvalancheOfXxh64(word ^ Load32(Secret()) ^ Load32(Secret() + 4));
   }
   static U64 Medium(const unsigned char *p, std::size_t n) // 17 to 128
   {
      U64 h = n * k1;
      for (std::size_t i = 0; i <= (n - 1) / 32; ++i)
         h += Mix(p + 16 * i, 32 * i) + Mix(p + n - 16 * (i + 1), 32 * i + 16);
      return Avalanche(h);
   }
   static U64 Longer(const unsigned char *p, std::size_t n) // 129 to 240
   {
      U64 h = n * k1;
      for (std::size_t i = 0; i < 8; ++i)
         h += Mix(p + 16 * i, 16 * i);
      h = Avalanche(h);
      for (std::size_t i = 8; i < n / 16; ++i)
         h += Mix(p + 16 * i, 16 * (i - 8) + 3);
      return Avalanche(h + Mix(p + n - 16, 136 - 17));
   }
   using Lanes = std::array<U64, 8>;
   static void Accumulate(Lanes &lanes, const unsigned char *p, std::size_t key)
   {
      for (std::size_t i = 0; i < 8; ++i) {
         const U64 word = Load64(p + 8 * i), keyed = word ^ Key(key + 8 * i);
         lanes[i ^ 1] += word;
         lanes[i] += (keyed & 0xFFFFFFFF) * (keyed >> 32);
      }
   }
   static U64 Long(const unsigned char *p, std::size_t n)
   {
      Lanes lanes{k32_3, k1, k2, k3, k4, k32_2, k5, k32_1};
      const std::size_t nStripes = (n - 1) / kStripe;
      for (std::size_t i = 0; i < nStripes; ++i) {
         Accumulate(lanes, p + kStripe * i, i % kStripes * 8);
         if (i % kStripes == kStripes - 1 && i + 1 < (n - 1) / (kStripe * kStripes) * kStripes + 1)
            for (std::size_t lane = 0; lane < 8; ++lane)
               lanes[lane] = (lanes[lane] ^ (lanes[lane] >> 47) ^ Key(kSecretNBytes - kStripe + 8 * lane)) * k32_1;
      }
      Accumulate(lanes, p + n - kStripe, kSecretNBytes - kStripe - 7);
      U64 h = n * k1;
      for (std::size_t i = 0; i < 4; ++i)
         h += Fold(lanes[2 * i] ^ Key(11 + 16 * i), lanes[2 * i + 1] ^ Key(19 + 16 * i));
      return Avalanche(h);
   }
};

} // namespace onnxroot::detail

#endif
