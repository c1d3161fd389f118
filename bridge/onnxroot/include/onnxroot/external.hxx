/// \file external.hxx
/// \brief External files, and how they are cut (§6).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_EXTERNAL_HXX
#define ONNXROOT_EXTERNAL_HXX

#include "messages.hxx"
#include "schema.hxx"
#include "stored.hxx"
#include "values.hxx"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// A range of bytes of a payload.
struct Piece {
   std::size_t fPayload;
   std::uint64_t fStart, fStop;
};

/// The external files of a model, and where their tensors are in them.
class ExternalFiles {
public:
   explicit ExternalFiles(Stored &stored) : fStored(&stored), fMessages(stored) {}

   const ExternalFile &Find(const std::string &location) const
   {
      for (const ExternalFile &file : fStored->Manifest().fExternalFiles)
         if (file.fLocation == location)
            return file;
      fStored->Location().Fail(location, "an external file of the model", "none of that name", "Manifest() names them");
   }
   /// The pieces of a range of a file.
   std::vector<Piece> Range(const ExternalFile &file, std::uint64_t start, std::uint64_t stop)
   {
      const auto &segments = Segments(file);
      std::vector<Piece> pieces;
      auto segment = std::partition_point(segments.begin(), segments.end(),
                                          [&](const Segment &s) { return s.fOffset + s.fNBytes <= start; });
      for (; segment != segments.end() && segment->fOffset < stop; ++segment) {
         const std::uint64_t first = std::max(start, segment->fOffset);
         const std::uint64_t last = std::min(stop, segment->fOffset + segment->fNBytes);
         if (first < last)
            pieces.push_back({segment->fPayload, first - segment->fOffset, last - segment->fOffset});
      }
      return pieces;
   }
   /// The pieces of an external tensor, by the row of its TensorProto.
   std::vector<Piece> Tensor(const std::string &name, std::uint64_t row)
   {
      const Field *const field = fMessages.FieldOf("TensorProto", "external_data");
      std::map<std::string, std::string> entries;
      for (const std::uint64_t i : fMessages.Held(field, row)) {
         const Table &table = *fStored->Find(field->fMessage);
         entries[table.Text("key", i)] = table.Text("value", i);
      }
      std::string location; // without parts that are '.' or empty
      for (const auto &part : std::filesystem::path(entries["location"]))
         if (part != "." && !part.empty())
            location += (location.empty() ? "" : "/") + part.string();
      const ExternalFile &file = Find(location);
      const std::uint64_t start = Number(name, entries, "offset", 0);
      const std::uint64_t length = Number(name, entries, "length", file.fNBytes - std::min(start, file.fNBytes));
      if (start > file.fNBytes || length > file.fNBytes - start)
         fStored->Location().Fail("tensor " + name, "elements within " + location, "others", "the model is malformed");
      return Range(file, start, start + length);
   }

private:
   struct Segment {
      std::size_t fPayload;
      std::uint64_t fOffset, fNBytes;
   };
   /// How a file is cut (§6.2).
   const std::vector<Segment> &Segments(const ExternalFile &file)
   {
      const auto known = fSegments.find(file.fLocation);
      if (known != fSegments.end())
         return known->second;
      std::vector<Segment> segments;
      const Payloads &index = fStored->Index();
      const Table *const table = fStored->Find("ExternalSegment");
      std::uint64_t end = 0;
      for (std::uint64_t row = 0; table && row < table->fNRows; ++row) {
         if (table->Text("location", row) != file.fLocation)
            continue;
         const std::uint64_t payload = index.fNInside + row, nbytes = table->Bits("nbytes", row);
         fStored->Location().Need(payload < index.fRow.size() && index.fRow[payload] == row && nbytes > 0 &&
                                     index.fNBytes[payload] == nbytes && table->Bits("offset", row) == end,
                                  "ExternalSegment", "segments without gaps, and a payload for each", "others");
         segments.push_back({static_cast<std::size_t>(payload), end, nbytes});
         end += nbytes;
      }
      if (end != file.fNBytes)
         fStored->Location().Fail(file.fLocation, std::to_string(file.fNBytes) + " bytes", std::to_string(end));
      return fSegments[file.fLocation] = std::move(segments);
   }
   std::uint64_t Number(const std::string &name, const std::map<std::string, std::string> &entries, const char *key,
                        std::uint64_t none) const
   {
      const auto found = entries.find(key);
      if (found == entries.end())
         return none;
      const std::string &text = found->second;
      if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
         fStored->Location().Fail("tensor " + name, std::string("a byte count as ") + key, "'" + text + "'",
                                  "the model is malformed");
      return static_cast<std::uint64_t>(std::stoull(text));
   }
   Stored *fStored;
   Messages fMessages;
   std::map<std::string, std::vector<Segment>> fSegments; ///< by location
};

} // namespace onnxroot::detail

#endif
