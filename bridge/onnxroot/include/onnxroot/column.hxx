/// \file column.hxx
/// \brief A column of a table, in memory.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_COLUMN_HXX
#define ONNXROOT_COLUMN_HXX

#include "elements.hxx"

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace onnxroot::detail {

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

} // namespace onnxroot::detail

#endif
