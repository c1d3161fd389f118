/// \file ntuple.hxx
/// \brief RNTuples: which columns they have, and the values in their pages.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_NTUPLE_HXX
#define ONNXROOT_NTUPLE_HXX

#include "column.hxx"
#include "envelopes.hxx"
#include "error.hxx"
#include "json.hxx"
#include "limits.hxx"
#include "root_file.hxx"
#include "spec.hxx"
#include "unzip.hxx"
#include "xxhash.hxx"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// An RNTuple: its metadata and pages are read and decoded here, and checked against the manifest.
class NTuple {
public:
   /// \param info what the manifest says of it
   NTuple(RootFile &file, const Where &where, const std::string &name, const Json &info)
      : fFile(file), fWhere(where), fName(name), fNRows(info["rows"].Count())
   {
      for (const Json &digest : info["digests"].Array())
         fDigests.push_back(digest.String());
      try {
         ReadMetadata(where.fModel.empty() ? name : where.fModel + "/" + name);
      } catch (const std::invalid_argument &error) { // of the functions for metadata
         where.Fail(name, error.what(), "something else", "it is missing or damaged");
      }
      CountCopies();
      CheckSizes();
   }
   std::size_t NClusters() const { return fDigests.size(); }

   /// All columns of the only cluster, by field.
   std::map<std::string, Column> ReadAll()
   {
      fWhere.Need(fNRows > 0 && NClusters() == 1, fName, "one cluster", "another number");
      for (std::size_t copy = 1; copy < fNCopies; ++copy)
         ReadColumns(copy);
      return ReadColumns(0);
   }
   /// The values of one cluster of a table in `tensors/`.
   void ReadValues(std::size_t cluster, int storage, std::vector<char> &out)
   {
      const auto values = std::find_if(fColumns.begin(), fColumns.end(), [](auto &c) { return c.first == "values"; });
      fWhere.Need(cluster < NClusters() && values != fColumns.end() && !values->second.back().fIsIndex &&
                     values->second.back().fStorage == storage,
                  fName, "all values of the payloads", "others");
      for (std::size_t copy = fNCopies; copy-- > 0;) {
         ReadColumn(values->second.back(), fClusters[copy * NClusters() + cluster], out);
         Xxh64 digest;
         digest.Update(out.data(), out.size());
         Check(digest, cluster);
      }
   }

private:
   struct Part {
      std::size_t fNumber; ///< of the column in the RNTuple
      bool fIsIndex;
      int fStorage;
      std::uint64_t fSize; ///< of a value in memory
      bool fSplit, fDelta, fZigzag;
      std::uint64_t fStored; ///< bytes of a value in the file
   };
   void ReadMetadata(const std::string &path)
   {
      const auto object = fFile.Object(path, "ROOT::RNTuple");
      if (!object)
         throw std::invalid_argument("an RNTuple");
      const Anchor anchor = ReadAnchor(*object);
      if (anchor.fHeader.fLength == 0) // hadd of ROOT 6.40 leaves this of every RNTuple in a folder
         fWhere.Fail(fName, "an RNTuple with columns", "one without", kMerged);
      NTupleSchema schema;
      const std::string header = Bytes(anchor.fHeader), footer = Bytes(anchor.fFooter);
      Envelope(header, Envelope::kHeader).ReadHeader(schema);
      for (const EnvelopeLink &link : Envelope(footer, Envelope::kFooter).ReadFooter(schema)) {
         const std::string pages = Bytes(link);
         Envelope(pages, Envelope::kPageList).ReadPageList(fClusters);
      }
      std::sort(fClusters.begin(), fClusters.end(), [](auto &a, auto &b) { return a.fFirst < b.fFirst; });
      FindColumns(schema);
   }
   std::string Bytes(const EnvelopeLink &link)
   {
      std::string bytes;
      const std::uint64_t stored = link.fLocator.fNBytes;
      if (link.fLength > fFile.Limit().MostOfTable(std::min(stored, fFile.NBytes())))
         throw std::invalid_argument("metadata that the bytes at hand can hold");
      if (stored == link.fLength) {
         bytes.resize(fFile.CheckedSize(link.fLocator.fPosition, stored, fWhere, fName));
         fFile.Read(bytes.data(), link.fLocator.fPosition, stored, fWhere, fName);
         return bytes;
      }
      fStored.resize(fFile.CheckedSize(link.fLocator.fPosition, stored, fWhere, fName));
      fFile.Read(fStored.data(), link.fLocator.fPosition, stored, fWhere, fName);
      const bool good = Holds(fStored, link.fLength);
      bytes.resize(good ? static_cast<std::size_t>(link.fLength) : 0);
      if (!good || !Unzip(fStored, bytes.data(), link.fLength))
         throw std::invalid_argument("metadata that can be decompressed");
      return bytes;
   }
   /// The columns of each top-level field, outermost first.
   void FindColumns(const NTupleSchema &schema)
   {
      std::vector<std::size_t> top; // of each field
      for (std::size_t i = 0; i < schema.fFields.size(); ++i) {
         const FieldRecord &field = schema.fFields[i];
         if (field.fParent > i)
            throw std::invalid_argument("fields behind those they belong to");
         top.push_back(field.fParent == i ? fColumns.size() : top[field.fParent]);
         if (field.fParent == i)
            fColumns.emplace_back(field.fName, std::vector<Part>());
      }
      for (std::size_t i = 0; i < schema.fColumns.size(); ++i) {
         const ColumnRecord &column = schema.fColumns[i];
         if (column.fField >= top.size() || column.fRepresentation != 0)
            throw std::invalid_argument("columns of fields, in one representation");
         fColumns[top[column.fField]].second.push_back(PartOf(i, column.fType));
      }
      if (fColumns.empty())
         throw std::invalid_argument("columns");
      for (const auto &[name, parts] : fColumns) {
         bool good = !parts.empty() && parts.size() <= 3;
         for (std::size_t i = 0; i < parts.size(); ++i)
            good = good && parts[i].fIsIndex == (i + 1 < parts.size());
         if (!good)
            throw std::invalid_argument("columns of plain numbers, strings and lists");
      }
   }
   static Part PartOf(std::size_t number, unsigned type)
   {
      struct Row {
         unsigned fType, fSplit;
         int fStorage;
         bool fIsIndex;
      };
      static const Row rows[] = {
         {0x01, 0, kUInt8, false},     {0x02, 0, kText, false},      {0x03, 0, kInt8, false},
         {0x04, 0, kUInt8, false},     {0x05, 0x11, kInt16, false},  {0x06, 0x12, kUInt16, false},
         {0x07, 0x13, kInt32, false},  {0x08, 0x14, kUInt32, false}, {0x09, 0x15, kInt64, false},
         {0x0A, 0x16, kUInt64, false}, {0x0C, 0x18, kFloat, false},  {0x0D, 0x19, kDouble, false},
         {0x0E, 0x1A, kUInt32, true},  {0x0F, 0x1B, kUInt64, true}};
      for (const Row &row : rows) {
         if (type == 0 || (type != row.fType && type != row.fSplit))
            continue;
         const bool split = type != row.fType;
         const bool isSigned = row.fStorage % 2 == 1 && row.fStorage < kFloat;
         const std::uint64_t stored = InfoOf(row.fStorage).fSize;
         return {number, row.fIsIndex, row.fStorage, row.fIsIndex ? 8 : stored, split, split && row.fIsIndex,
                 split && isSigned, stored};
      }
      throw std::invalid_argument("columns of plain numbers, strings and lists");
   }
   /// hadd writes the rows and clusters of all files one after the other (§3.2).
   void CountCopies()
   {
      std::uint64_t rows = 0;
      for (const Cluster &cluster : fClusters)
         rows += cluster.fNRows;
      fNCopies = fNRows > 0 && rows % fNRows == 0 ? static_cast<std::size_t>(rows / fNRows) : 1;
      if (fNCopies > 1 && fClusters.size() == fNCopies * NClusters())
         return;
      const std::string advice = rows > fNRows ? kMerged : "the file is damaged";
      if (rows != fNRows)
         fWhere.Fail(fName, std::to_string(fNRows) + " rows", std::to_string(rows), advice);
      if (fClusters.size() != NClusters())
         fWhere.Fail(fName, std::to_string(NClusters()) + " clusters", std::to_string(fClusters.size()), advice);
   }
   /// What the pages unpack to must be possible, before any is read.
   void CheckSizes() const
   {
      const std::string folder = "tensors/";
      const bool isStorage = fName.compare(0, folder.size(), folder) == 0;
      std::set<std::pair<std::uint64_t, std::uint64_t>> pieces;
      std::uint64_t stored = 0, unpacked = 0, values = 0;
      for (const Cluster &cluster : fClusters)
         for (const auto &[name, parts] : fColumns)
            for (const Part &part : parts) {
               std::uint64_t nbytes = 0;
               const bool large = isStorage && name == "values" && !part.fIsIndex;
               if (part.fNumber >= cluster.fPages.size())
                  continue; // which is found when it is read
               for (const Page &page : cluster.fPages[part.fNumber]) {
                  nbytes += page.fNElements * part.fSize;
                  if (!large && pieces.emplace(page.fLocator.fPosition, page.fLocator.fNBytes).second)
                     stored += std::min(page.fLocator.fNBytes, fFile.NBytes());
               }
               (large ? values : unpacked) += nbytes;
               fWhere.Need(!large || nbytes <= kChunkNBytes, fName, "clusters of at most 8 MiB", "a longer one");
            }
      fWhere.Need(unpacked <= fFile.Limit().MostOfTable(stored) &&
                     values / fFile.Limit().fPayloadRatio <= fFile.NBytes(),
                  fName, "values that the bytes at hand can hold (or higher Limits)", "more");
   }
   std::map<std::string, Column> ReadColumns(std::size_t copy)
   {
      std::map<std::string, Column> columns;
      Xxh64 digest;
      for (const auto &[name, parts] : fColumns) {
         Column &column = columns[name];
         std::uint64_t n = fNRows;
         for (const Part &part : parts) {
            std::vector<char> data;
            ReadColumn(part, fClusters[copy], data);
            digest.Update(data.data(), data.size());
            fWhere.Need(data.size() / part.fSize == n, fName, "columns of equal length", "others");
            if (!part.fIsIndex) {
               column.fStorage = part.fStorage;
               column.fValues = std::move(data);
               continue;
            }
            column.fOffsets.emplace_back(static_cast<std::size_t>(n) + 1);
            auto &ends = column.fOffsets.back();
            if (n > 0)
               std::memcpy(ends.data() + 1, data.data(), data.size());
            fWhere.Need(std::is_sorted(ends.begin(), ends.end()), fName, "ascending ends of lists", "others");
            n = ends.back();
         }
      }
      Check(digest, 0);
      return columns;
   }
   void ReadColumn(const Part &part, const Cluster &cluster, std::vector<char> &out)
   {
      std::size_t filled = 0; // what `out` had before is overwritten
      if (part.fNumber >= cluster.fPages.size())
         fWhere.Fail(fName, "all columns", "one without pages");
      for (const Page &page : cluster.fPages[part.fNumber]) {
         const std::uint64_t stored = page.fLocator.fNBytes, nbytes = page.fNElements * part.fStored;
         const std::size_t size = fFile.CheckedSize(page.fLocator.fPosition, stored, fWhere, fName);
         const bool compressed = stored != nbytes, plain = part.fStored == part.fSize && !part.fSplit;
         if (compressed) {
            fStored.resize(size);
            fFile.Read(fStored.data(), page.fLocator.fPosition, stored, fWhere, fName);
            if (!Holds(fStored, nbytes))
               fWhere.Fail(fName, "pages of plain numbers", "something else");
         }
         std::vector<char> &target = plain ? out : fPage;
         const std::size_t before = plain ? filled : 0;
         if (target.size() < before + nbytes)
            target.resize(before + static_cast<std::size_t>(nbytes));
         char *const data = target.data() + before;
         if (compressed && !Unzip(fStored, data, nbytes))
            fWhere.Fail(fName, "compressed values", "bytes that can't be decompressed");
         if (!compressed)
            fFile.Read(data, page.fLocator.fPosition, stored, fWhere, fName);
         if (!plain) {
            out.resize(filled);
            Decode(part, page.fNElements, out);
         }
         filled += static_cast<std::size_t>(page.fNElements * part.fSize);
      }
      out.resize(filled);
   }
   /// Undo the splitting of values by bytes, and differences and zigzag coding; append the values.
   void Decode(const Part &part, std::uint64_t n, std::vector<char> &out) const
   {
      const std::size_t first = out.size();
      out.resize(first + n * part.fSize);
      char *const target = out.data() + first;
      if (part.fStored == 2)
         DecodeAs<std::uint16_t>(part, n, target);
      else if (part.fStored == 4)
         DecodeAs<std::uint32_t>(part, n, target);
      else
         DecodeAs<std::uint64_t>(part, n, target);
   }
   /// \tparam T holds a value as it is stored
   template <typename T>
   void DecodeAs(const Part &part, std::uint64_t n, char *target) const
   {
      const auto *bytes = reinterpret_cast<const unsigned char *>(fPage.data());
      auto stored = [&](std::uint64_t i) {
         T value = 0;
         if (part.fSplit)
            for (std::size_t b = 0; b < sizeof(T); ++b)
               value = static_cast<T>(value | static_cast<T>(static_cast<T>(bytes[b * n + i]) << (8 * b)));
         else
            std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
         return value;
      };
      if (part.fSplit && !part.fZigzag && !part.fDelta) { // weights: a loop that compilers make fast
         for (std::uint64_t i = 0; i < n; ++i) {
            const T value = stored(i);
            std::memcpy(target + i * sizeof(T), &value, sizeof(T));
         }
         return;
      }
      std::uint64_t sum = 0;
      for (std::uint64_t i = 0; i < n; ++i) {
         T value = stored(i);
         if (part.fZigzag)
            value = static_cast<T>((value >> 1) ^ (T(0) - (value & 1)));
         sum = part.fDelta ? sum + value : value;
         std::memcpy(target + i * part.fSize, &sum, part.fSize); // the lowest bytes come first
      }
   }
   void Check(const Xxh64 &digest, std::size_t cluster) const
   {
      if (digest.Hex() != fDigests[cluster])
         fWhere.Fail(fName + " cluster " + std::to_string(cluster), "the digest " + fDigests[cluster], digest.Hex(),
                     fNCopies > 1 ? kMerged : "the file is damaged");
   }
   static constexpr const char *kMerged =
      "the file was probably merged with hadd, which left no copy that is whole, or "
      "copies that differ: write the model anew from the original";
   RootFile &fFile;
   Where fWhere;
   std::string fName;
   std::uint64_t fNRows;
   std::vector<std::string> fDigests; ///< by cluster
   std::vector<Cluster> fClusters;    ///< those of all copies
   std::size_t fNCopies = 1;
   std::vector<std::pair<std::string, std::vector<Part>>> fColumns;
   std::vector<char> fStored, fPage;
};

} // namespace onnxroot::detail

#endif
