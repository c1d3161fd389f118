// Reads whatever bytes as a ROOT file with models: for libFuzzer, or, with another compiler, on its own.
//
// fuzz [libFuzzer's options] FOLDER, or fuzz SECONDS SEED FILE...: then it changes numbers in these
// files. Whatever is no onnxroot::Error ends the program. Checksums are all right here, so that mutated
// bytes get far, as an attacker's would; the SHA-256 of what comes back still counts.

#define ONNXROOT_XXH3_HXX
#define ONNXROOT_XXHASH_HXX

#include <cstddef>
#include <cstdint>
#include <string>

namespace onnxroot::detail {

struct AnyNumber {
   friend bool operator!=(AnyNumber, std::uint64_t) { return false; }
   friend bool operator!=(std::uint64_t, AnyNumber) { return false; }
};

struct AnyText {
   operator std::string() const { return "a digest"; }
   friend bool operator!=(const AnyText &, const std::string &) { return false; }
};

struct Xxh3 {
   static AnyNumber Of(const void *, std::size_t) { return {}; }
};

struct Xxh64 {
   void Update(const void *, std::size_t) {}
   AnyText Hex() const { return {}; }
};

} // namespace onnxroot::detail

#include "onnxroot.hxx"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>
#include <unistd.h>

namespace {

template <typename F>
void Try(F &&read)
{
   try {
      read();
   } catch (const onnxroot::Error &) {
   }
}

void ReadAll(const std::string &path)
{
   Try([&] { onnxroot::ListModels(path); });
   Try([&] {
      onnxroot::Model model(path);
      Try([&] { model.Serialize(); });
      Try([&] { model.Inputs(); });
      Try([&] { model.Outputs(); });
      Try([&] {
         std::size_t n = 0;
         for (const auto &name : model.TensorNames()) {
            if (++n > 20)
               break;
            Try([&] { model.GetTensorInfo(name); });
            Try([&] { model.GetTensor<float>(name); });
            Try([&] { model.GetTensor<std::int64_t>(name); });
            Try([&] { model.GetTensor<std::string>(name); });
         }
      });
      for (const auto &external : model.Manifest().fExternalFiles)
         Try([&] { model.SerializeExternal(external.fLocation, [](const char *, std::size_t) {}); });
   });
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t nbytes)
{
   static const std::string path = "/dev/shm/onnxroot-fuzz-" + std::to_string(getpid()) + ".root";
   std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char *>(data), std::streamsize(nbytes));
   ReadAll(path);
   std::remove(path.c_str());
   return 0;
}

#ifndef ONNXROOT_LIBFUZZER
int main(int argc, char **argv)
{
   if (argc < 4)
      return 2;
   std::vector<std::string> files;
   for (int i = 3; i < argc; ++i) {
      std::ostringstream bytes;
      bytes << std::ifstream(argv[i], std::ios::binary).rdbuf();
      files.push_back(bytes.str());
   }
   const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
   std::mt19937_64 random(std::strtoull(argv[2], nullptr, 10));
   static const std::uint64_t edges[] = {0, 1, 2, 7, 127, 128, 255, 256, 65535, 1u << 16, 0x7FFFFFFF, 0xFFFFFFFF, ~0ull};
   std::size_t n = 0;
   for (; std::chrono::steady_clock::now() < end; ++n) {
      std::string data = files[random() % files.size()];
      for (auto changes = 1 + random() % 4; changes > 0; --changes) {
         const std::size_t width = std::size_t(1) << random() % 4, at = random() % (data.size() - 64);
         const std::uint64_t number = random() % 2 ? edges[random() % std::size(edges)] : random();
         const bool big = random() % 2;
         for (std::size_t i = 0; i < width; ++i)
            data[at + i] = static_cast<char>(number >> 8 * (big ? width - 1 - i : i));
         if (random() % 6 == 0)
            data.replace(at, 32, data.substr(random() % (data.size() - 64), 32));
      }
      if (random() % 20 == 0)
         data.resize(random() % data.size());
      std::ofstream("fuzz-last.root", std::ios::binary) << data; // what is there after a crash
      LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(data.data()), data.size());
   }
   std::cout << n << " runs\n";
}
#endif
