/// \file varint.hxx
/// \brief Protobuf's variable-length integers.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_VARINT_HXX
#define ONNXROOT_VARINT_HXX

#include <cstddef>
#include <cstdint>

namespace onnxroot::detail {

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

} // namespace onnxroot::detail

#endif
