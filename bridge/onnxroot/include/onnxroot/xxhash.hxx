/// \file xxhash.hxx
/// \brief XXH64, the digest of a cluster (§3.4).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_XXHASH_HXX
#define ONNXROOT_XXHASH_HXX

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace onnxroot::detail {

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

} // namespace onnxroot::detail

#endif
