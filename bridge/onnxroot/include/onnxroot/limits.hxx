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
   std::uint64_t fTableRatio = 1u << 15;   ///< how many times as long as in the file a table may be
   std::uint64_t fObjectRatio = 256;       ///< the same of what describes an RNTuple
   std::uint64_t fPayloadRatio = 1u << 15; ///< how many times as long as the file the values of a table may be

   /// Most bytes that so many may unpack to in a table.
   std::uint64_t MostOfTable(std::uint64_t stored) const { return Most(stored, fTableRatio); }

   /// Most bytes that so many may unpack to in what describes an RNTuple.
   std::uint64_t MostOfObject(std::uint64_t stored) const { return Most(stored, fObjectRatio); }

private:
   std::uint64_t Most(std::uint64_t stored, std::uint64_t ratio) const
   {
      constexpr std::uint64_t kFloor = 1u << 16; // what a short piece may always unpack to
      if (stored > fTableNBytes / ratio)
         return fTableNBytes;
      return std::min(fTableNBytes, kFloor + ratio * stored);
   }
};

} // namespace onnxroot

#endif
