/// \file external.hxx
/// \brief External files, and how they are cut (§6).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_EXTERNAL_HXX
#define ONNXROOT_EXTERNAL_HXX

#include "stored.hxx"
#include "values.hxx"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace onnxroot::detail {

/// A piece of an external file.
struct Segment {
   std::size_t fPayload;
   std::uint64_t fOffset, fNBytes;
};

/// The external file at a location.
inline const ExternalFile &FindExternal(const Stored &stored, const std::string &location)
{
   for (const ExternalFile &file : stored.Manifest().fExternalFiles)
      if (file.fLocation == location)
         return file;
   stored.Location().Fail(location, "an external file of the model", "none of that name", "Manifest() names them");
}
/// How an external file is cut (§6.2).
inline std::vector<Segment> Segments(Stored &stored, const ExternalFile &file)
{
   std::vector<Segment> segments;
   const Payloads &index = stored.Index();
   const Table *const table = stored.Find("ExternalSegment");
   std::uint64_t end = 0;
   for (std::uint64_t row = 0; table && row < table->fNRows; ++row) {
      if (table->Text("location", row) != file.fLocation)
         continue;
      const std::uint64_t payload = index.fNInside + row, nbytes = table->Bits("nbytes", row);
      stored.Location().Need(payload < index.fRow.size() && index.fRow[payload] == row && nbytes > 0 &&
                                 index.fNBytes[payload] == nbytes && table->Bits("offset", row) == end,
                              "ExternalSegment", "segments without gaps, and a payload for each", "others");
      segments.push_back({static_cast<std::size_t>(payload), end, nbytes});
      end += nbytes;
   }
   if (end != file.fNBytes)
      stored.Location().Fail(file.fLocation, std::to_string(file.fNBytes) + " bytes", std::to_string(end));
   return segments;
}

} // namespace onnxroot::detail

#endif
