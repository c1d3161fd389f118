// Prints XXH64, XXH3 and SHA-256 of the first n bytes of standard input for n = 0, 1, 2 ..., each
// taken in one piece, in pieces of growing length, and byte by byte.

#include "onnxroot/sha256.hxx"
#include "onnxroot/xxh3.hxx"
#include "onnxroot/xxhash.hxx"

#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>

template <typename Digest>
std::string Of(const std::string &bytes, std::size_t n, std::size_t piece, std::size_t growth)
{
   Digest digest;
   for (std::size_t i = 0; i < n; i += piece, piece += growth)
      digest.Update(bytes.data() + i, std::min(piece, n - i));
   return digest.Hex();
}

int main()
{
   using namespace onnxroot::detail;
   const std::string bytes{std::istreambuf_iterator<char>(std::cin), {}};
   for (std::size_t n = 0; n <= bytes.size(); ++n) {
      const std::string xxh64 = Of<Xxh64>(bytes, n, n + 1, 0), sha256 = Of<Sha256>(bytes, n, n + 1, 0);
      for (const std::size_t growth : {0, 1, 7})
         if (Of<Xxh64>(bytes, n, 1, growth) != xxh64 || Of<Sha256>(bytes, n, 1, growth) != sha256)
            return 1;
      std::printf("%s %016llx %s\n", xxh64.c_str(), static_cast<unsigned long long>(Xxh3::Of(bytes.data(), n)),
                  sha256.c_str());
   }
}
