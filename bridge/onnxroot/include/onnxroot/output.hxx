/// \file output.hxx
/// \brief The way of rebuilt bytes to whoever wants them.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_OUTPUT_HXX
#define ONNXROOT_OUTPUT_HXX

#include "sha256.hxx"
#include "values.hxx"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace onnxroot::detail {

/// Hands bytes on in blocks of 1 MiB, and hashes them in a second thread meanwhile.
class Output {
public:
   Output(const Sink &sink, bool hash) : fSink(sink), fHash(hash)
   {
      for (auto &block : fBlocks)
         block.reserve(kBlock);
      if (!fHash)
         return;
      try {
         fThread = std::thread([this] { Work(); });
      } catch (const std::system_error &) { // no more threads: hash in this one
      }
   }
   Output(const Output &) = delete;
   Output &operator=(const Output &) = delete;
   ~Output() { Stop(); }

   void Write(const char *data, std::size_t nbytes)
   {
      while (nbytes > 0) {
         auto &block = fBlocks[fProduced % fBlocks.size()];
         const std::size_t n = std::min(nbytes, kBlock - block.size());
         block.insert(block.end(), data, data + n);
         data += n, nbytes -= n;
         if (block.size() == kBlock)
            Flush();
      }
   }
   /// Write what is left, and return the SHA-256.
   std::string Finish()
   {
      Flush();
      Stop();
      return fHash ? fSha.Hex() : "";
   }

private:
   static constexpr std::size_t kBlock = 1 << 20;
   void Flush()
   {
      auto &block = fBlocks[fProduced % fBlocks.size()];
      if (!fThread.joinable()) {
         if (fHash)
            fSha.Update(block.data(), block.size());
         fSink(block.data(), block.size());
         block.clear();
         return;
      }
      {
         std::lock_guard<std::mutex> lock(fMutex);
         ++fProduced;
      }
      fChanged.notify_all();
      fSink(block.data(), block.size());
      std::unique_lock<std::mutex> lock(fMutex);
      fChanged.wait(lock, [this] { return fProduced - fConsumed < fBlocks.size(); });
      fBlocks[fProduced % fBlocks.size()].clear();
   }
   void Work()
   {
      std::unique_lock<std::mutex> lock(fMutex);
      while (true) {
         fChanged.wait(lock, [this] { return fStop || fConsumed < fProduced; });
         if (fConsumed == fProduced)
            return;
         const auto &block = fBlocks[fConsumed % fBlocks.size()];
         lock.unlock();
         fSha.Update(block.data(), block.size());
         lock.lock();
         ++fConsumed;
         fChanged.notify_all();
      }
   }
   void Stop()
   {
      if (!fThread.joinable())
         return;
      {
         std::lock_guard<std::mutex> lock(fMutex);
         fStop = true;
      }
      fChanged.notify_all();
      fThread.join();
   }
   const Sink &fSink;
   const bool fHash;
   Sha256 fSha;
   std::array<std::vector<char>, 8> fBlocks;
   std::uint64_t fProduced = 0, fConsumed = 0;
   bool fStop = false;
   std::mutex fMutex;
   std::condition_variable fChanged;
   std::thread fThread;
};

} // namespace onnxroot::detail

#endif
