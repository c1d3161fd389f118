/// \file rebuild.hxx
/// \brief ONNX files and external files, whole and checked.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_REBUILD_HXX
#define ONNXROOT_REBUILD_HXX

#include "canonical.hxx"
#include "deviation.hxx"
#include "external.hxx"
#include "output.hxx"
#include "stored.hxx"
#include "values.hxx"

#include <cstddef>
#include <cstdint>
#include <string>

namespace onnxroot::detail {

/// Hand on what a function produces, if it has that length and that SHA-256.
template <typename F>
void Checked(const Stored &stored, const Sink &sink, bool verify, std::uint64_t nbytes, const std::string &sha256,
             const std::string &part, F &&produce)
{
   Output output(sink, verify);
   std::uint64_t written = 0;
   produce([&](const char *data, std::size_t n) {
      if (n > nbytes - written)
         stored.Location().Fail(part, std::to_string(nbytes) + " bytes", "more");
      output.Write(data, n);
      written += n;
   });
   const std::string found = output.Finish();
   if (written != nbytes)
      stored.Location().Fail(part, std::to_string(nbytes) + " bytes", std::to_string(written));
   if (verify && found != sha256)
      stored.Location().Fail(part, "the SHA-256 " + sha256, found);
}

/// Rebuild the ONNX file; `reserve` hears its length first.
template <typename F>
void Rebuild(Stored &stored, const Sink &sink, bool verify, F &&reserve)
{
   Canonical canonical(stored);
   const Deviation deviation(stored.Location(), stored.Find("ModelProto")->Text("deviation", 0),
                                     canonical.NBytes());
   stored.Forget(); // from here on the skeleton has it all
   const ManifestInfo &manifest = stored.Manifest();
   if (deviation.NBytes() != manifest.fNBytes)
      stored.Location().Fail("", std::to_string(manifest.fNBytes) + " bytes", std::to_string(deviation.NBytes()));
   reserve(manifest.fNBytes);
   Checked(stored, sink, verify, manifest.fNBytes, manifest.fSha256, "",
           [&](auto &&write) { deviation.Write(canonical, write); });
}

/// Rebuild an external file.
inline void RebuildExternal(Stored &stored, const std::string &location, const Sink &sink, bool verify)
{
   ExternalFiles files(stored);
   const ExternalFile &file = files.Find(location);
   const auto pieces = files.Range(file, 0, file.fNBytes);
   Checked(stored, sink, verify, file.fNBytes, file.fSha256, location, [&](auto &&write) {
      for (const Piece &piece : pieces)
         stored.WritePayload(piece.fPayload, piece.fStart, piece.fStop, write);
   });
}

} // namespace onnxroot::detail

#endif
