/// \file external.hxx
/// \brief External files, and how they are cut (§6).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_EXTERNAL_HXX
#define ONNXROOT_EXTERNAL_HXX

#include "stored.hxx"
#include "values.hxx"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace onnxroot::detail {

/// A piece of an external file, and the payload that has its bytes.
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

/// A range of bytes of a payload.
struct Piece {
   std::size_t fPayload;
   std::uint64_t fStart, fStop;
};

/// Where the elements of an external tensor are.
inline std::vector<Piece> ExternalPieces(Stored &stored, const std::string &part, std::uint64_t row)
{
   constexpr const char *kMalformed = "the model is malformed";
   std::map<std::string, std::string> entries;
   const Field *const field = stored.Types().Find(stored.Types().Find("TensorProto"), "external_data");
   const Table *const table = stored.Find("StringStringEntryProto");
   for (std::uint64_t i = 0; table && field && i < table->fNRows; ++i)
      if (table->Bits("parent", i) == row && table->Bits("parent_field", i) == field->fCode)
         entries[table->Text("key", i)] = table->Text("value", i);
   auto number = [&](const char *key, std::uint64_t none) {
      const auto found = entries.find(key);
      if (found == entries.end())
         return none;
      const std::string &text = found->second;
      if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
         stored.Location().Fail(part, std::string("a byte count as ") + key, "'" + text + "'", kMalformed);
      return static_cast<std::uint64_t>(std::stoull(text));
   };
   std::string location; // without parts that are '.' or empty
   for (const auto &name : std::filesystem::path(entries["location"]))
      if (name != "." && !name.empty())
         location += (location.empty() ? "" : "/") + name.string();
   const ExternalFile &file = FindExternal(stored, location);
   const std::uint64_t start = number("offset", 0);
   const std::uint64_t length = number("length", file.fNBytes - std::min(start, file.fNBytes));
   if (start > file.fNBytes || length > file.fNBytes - start)
      stored.Location().Fail(part, "elements within " + location, "others", kMalformed);
   std::vector<Piece> pieces;
   for (const Segment &segment : Segments(stored, file)) {
      const std::uint64_t from = std::max(start, segment.fOffset);
      const std::uint64_t to = std::min(start + length, segment.fOffset + segment.fNBytes);
      if (from < to)
         pieces.push_back({segment.fPayload, from - segment.fOffset, to - segment.fOffset});
   }
   return pieces;
}

} // namespace onnxroot::detail

#endif
