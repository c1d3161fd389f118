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

/// Whether so many compressed bytes can hold so many, in blocks of at most 16 MiB.
inline bool CanHold(std::uint64_t compressed, std::uint64_t nbytes)
{
   return compressed >= 10 && compressed < nbytes && nbytes / kMAXZIPBUF <= compressed / 10;
}

} // namespace onnxroot::detail

#endif
