/// \file limits.hxx
/// \brief How much a file may ask of who reads it.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_LIMITS_HXX
#define ONNXROOT_LIMITS_HXX

#include <algorithm>
#include <cstdint>

namespace onnxroot {

/// What the bytes at hand may unpack to; to be raised for files whose author one trusts.
struct Limits {
   std::uint64_t fTableNBytes = 1u << 30;  ///< of one table, or of what describes an RNTuple
   std::uint64_t fTableRatio = 256;        ///< how many times as long as in the file these may be
   std::uint64_t fPayloadRatio = 1u << 15; ///< how many times as long as the file the values of a table may be

   /// Most bytes that so many may unpack to in a table.
   std::uint64_t MostOfTable(std::uint64_t stored) const
   {
      constexpr std::uint64_t kFloor = 1u << 16; // what a short piece may always unpack to
      if (stored > fTableNBytes / fTableRatio)
         return fTableNBytes;
      return std::min(fTableNBytes, kFloor + fTableRatio * stored);
   }
};

} // namespace onnxroot

#endif
