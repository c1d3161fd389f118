/// \file unzip.hxx
/// \brief ROOT's compression.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_UNZIP_HXX
#define ONNXROOT_UNZIP_HXX

#include "root_errors.hxx"

#include <RZip.h>

#include <cstdint>
#include <string>
#include <vector>

namespace onnxroot::detail {

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

/// Whether blocks say that they hold so many bytes; to be asked before memory is taken for them.
inline bool Holds(const std::vector<char> &blocks, std::uint64_t nbytes)
{
   auto size = [&](std::size_t i) { // three bytes, the lowest first
      auto byte = [&](std::size_t j) { return std::uint64_t(static_cast<unsigned char>(blocks[j])); };
      return byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16;
   };
   std::uint64_t sum = 0;
   for (std::size_t i = 0; i < blocks.size(); i += 9 + static_cast<std::size_t>(size(i + 3))) {
      if (blocks.size() - i < 10 || size(i + 3) > blocks.size() - i - 9)
         return false;
      sum += size(i + 6);
   }
   return sum == nbytes;
}

} // namespace onnxroot::detail

#endif
