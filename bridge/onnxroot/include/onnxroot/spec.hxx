/// \file spec.hxx
/// \brief The numbers of FORMAT.md.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_SPEC_HXX
#define ONNXROOT_SPEC_HXX

#include <cstdint>

namespace onnxroot::detail {

constexpr std::uint64_t kFormatVersion = 1;
constexpr std::uint64_t kChunkNBytes = 8388608; // §5.3
constexpr int kMaxDepth = 100;                  // §1.3
constexpr std::uint64_t kMaxNBytes = std::uint64_t(1) << 62;

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "onnxroot.hxx is for little-endian machines"
#endif

} // namespace onnxroot::detail

#endif
