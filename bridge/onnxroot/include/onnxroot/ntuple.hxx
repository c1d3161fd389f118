/// \file ntuple.hxx
/// \brief RNTuples: which columns they have, and the values in their pages.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_NTUPLE_HXX
#define ONNXROOT_NTUPLE_HXX

#include "column.hxx"
#include "error.hxx"
#include "json.hxx"
#include "root_errors.hxx"
#include "root_file.hxx"
#include "unzip.hxx"
#include "xxhash.hxx"

#include <ROOT/RNTupleDescriptor.hxx>
#include <ROOT/RNTupleReader.hxx>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// An RNTuple: its descriptor is ROOT's, its pages are read and decoded here.
class NTuple {
public:
   NTuple(RootFile &file, const Where &where, const std::string &name, const Json &info)
      : fFile(file), fWhere(where), fName(name)
   {
      const std::string path = where.fModel.empty() ? name : where.fModel + "/" + name;
      fReader = RootErrors::Run(where, name, "an RNTuple", [&] {
         auto reader = ROOT::RNTupleReader::Open(path, where.fFile);
         reader->GetDescriptor(); // keeps a copy
         return reader;
      });
      const std::uint64_t rows = info["rows"].Count(), found = fReader->GetNEntries();
      for (const Json &digest : info["digests"].Array())
         fDigests.push_back(digest.String());
      const bool merged = found > rows && rows > 0 && found % rows == 0; // §3.2
      if (found != rows)
         where.Fail(name, std::to_string(rows) + " rows", std::to_string(found),
                    merged ? "the file was probably merged with hadd: restore it from the original"
                           : "the file is damaged");
      for (const auto &cluster : Descriptor().GetClusterIterable())
         fClusters.emplace_back(cluster.GetFirstEntryIndex(), cluster.GetId());
      std::sort(fClusters.begin(), fClusters.end());
      if (fClusters.size() != fDigests.size())
         where.Fail(name, std::to_string(fDigests.size()) + " clusters", std::to_string(fClusters.size()));
      RootErrors::Run(where, name, "columns of plain numbers, strings and lists", [&] { return FindColumns(); });
   }
   std::size_t NClusters() const { return fClusters.size(); }

   /// All columns of the only cluster, by field, checked against the digest.
   std::map<std::string, Column> ReadAll()
   {
      std::map<std::string, Column> columns;
      const std::uint64_t nRows = fReader->GetNEntries();
      fWhere.Need(nRows > 0 && NClusters() == 1, fName, "one cluster", "another number");
      Xxh64 digest;
      for (const auto &[name, parts] : fColumns) {
         Column &column = columns[name];
         std::uint64_t n = nRows;
         for (const Part &part : parts) {
            std::vector<char> data;
            ReadColumn(part, 0, data);
            digest.Update(data.data(), data.size());
            fWhere.Need(data.size() / part.fSize == n, fName, "columns of equal length", "others");
            if (!part.fIsIndex) {
               column.fStorage = part.fStorage;
               column.fValues = std::move(data);
               continue;
            }
            column.fOffsets.emplace_back(n + 1);
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
   /// The values of one cluster of a table in `tensors/`, checked against their digest.
   void ReadValues(std::size_t cluster, int storage, std::vector<char> &out)
   {
      const auto values = std::find_if(fColumns.begin(), fColumns.end(), [](auto &c) { return c.first == "values"; });
      fWhere.Need(cluster < NClusters() && values != fColumns.end() && !values->second.back().fIsIndex &&
                     values->second.back().fStorage == storage,
                  fName, "all values of the payloads", "others");
      ReadColumn(values->second.back(), cluster, out);
      Xxh64 digest;
      digest.Update(out.data(), out.size());
      Check(digest, cluster);
   }

private:
   using ColumnType = ROOT::ENTupleColumnType;
   struct Part {
      ROOT::DescriptorId_t fId;
      ColumnType fType;
      bool fIsIndex;
      int fStorage;
      std::uint64_t fSize; ///< of a value in memory
      bool fSplit, fDelta, fZigzag;
      std::uint64_t fStored; ///< bytes of a value in the file
   };
   const ROOT::RNTupleDescriptor &Descriptor() { return fReader->GetDescriptor(); }

   bool FindColumns()
   {
      const auto &descriptor = Descriptor();
      for (const auto &top : descriptor.GetTopLevelFields()) {
         fColumns.emplace_back(top.GetFieldName(), std::vector<Part>());
         ROOT::DescriptorId_t field = top.GetId();
         for (bool inner = true; inner;) {
            for (const auto &column : descriptor.GetColumnIterable(field))
               fColumns.back().second.push_back(PartOf(column.GetPhysicalId(), column.GetType()));
            inner = false;
            for (const auto &child : descriptor.GetFieldIterable(field)) {
               if (inner || fColumns.back().second.size() > 2)
                  throw std::runtime_error("records");
               field = child.GetId();
               inner = true;
            }
         }
         const auto &parts = fColumns.back().second;
         if (parts.empty() || parts.size() > 3 || parts.back().fIsIndex)
            throw std::runtime_error("the field " + top.GetFieldName());
         for (std::size_t i = 0; i + 1 < parts.size(); ++i)
            if (!parts[i].fIsIndex)
               throw std::runtime_error("two representations of " + top.GetFieldName());
      }
      return true;
   }
   static Part PartOf(ROOT::DescriptorId_t id, ColumnType type)
   {
      using T = ColumnType;
      struct Row {
         T fType, fSplit;
         int fStorage;
      };
      static const Row rows[] = {{T::kUInt8, T::kUInt8, kUInt8},     {T::kByte, T::kByte, kUInt8},
                                 {T::kInt8, T::kInt8, kInt8},        {T::kUInt16, T::kSplitUInt16, kUInt16},
                                 {T::kInt16, T::kSplitInt16, kInt16}, {T::kUInt32, T::kSplitUInt32, kUInt32},
                                 {T::kInt32, T::kSplitInt32, kInt32}, {T::kUInt64, T::kSplitUInt64, kUInt64},
                                 {T::kInt64, T::kSplitInt64, kInt64}, {T::kReal32, T::kSplitReal32, kFloat},
                                 {T::kReal64, T::kSplitReal64, kDouble}, {T::kChar, T::kChar, kText},
                                 {T::kIndex64, T::kSplitIndex64, kInt64}, {T::kIndex32, T::kSplitIndex32, kInt32}};
      for (const Row &row : rows) {
         if (type != row.fType && type != row.fSplit)
            continue;
         const bool isIndex = row.fType == T::kIndex64 || row.fType == T::kIndex32, split = type != row.fType;
         const std::uint64_t stored = InfoOf(row.fStorage).fSize;
         const bool isSigned = row.fStorage % 2 == 1 && row.fStorage < kFloat;
         return {id, type, isIndex, row.fStorage, isIndex ? 8 : stored, split, split && isIndex,
                 split && isSigned && !isIndex, stored};
      }
      throw std::runtime_error("a column of another type");
   }
   void ReadColumn(const Part &part, std::size_t cluster, std::vector<char> &out)
   {
      std::size_t filled = 0; // what `out` had before is overwritten
      const auto &descriptor = Descriptor();
      const auto &details = descriptor.GetClusterDescriptor(fClusters[cluster].second);
      if (!details.ContainsColumn(part.fId) || details.GetColumnRange(part.fId).IsSuppressed())
         fWhere.Fail(fName, "all columns", "one without pages");
      for (const auto &page : details.GetPageRange(part.fId).GetPageInfos()) {
         const auto &locator = page.GetLocator();
         const std::uint64_t stored = locator.GetNBytesOnStorage(), nbytes = page.GetNElements() * part.fStored;
         const bool compressed = stored != nbytes;
         if (locator.GetType() != ROOT::RNTupleLocator::kTypeFile || nbytes > (std::uint64_t(1) << 32) ||
             (compressed && !CanHold(stored, nbytes)))
            fWhere.Fail(fName, "a page of plain numbers in the file", "something else");
         const auto position = locator.template GetPosition<std::uint64_t>();
         const bool plain = part.fStored == part.fSize && !part.fSplit;
         std::vector<char> &target = plain ? out : fPage;
         const std::size_t before = plain ? filled : 0;
         if (target.size() < before + nbytes)
            target.resize(before + nbytes);
         char *const data = target.data() + before;
         if (compressed) {
            fStored.resize(stored);
            fFile.Read(fStored.data(), position, stored, fWhere, fName);
            if (!Unzip(fStored, data, nbytes))
               fWhere.Fail(fName, "compressed values", "bytes that can't be decompressed");
         } else if (nbytes > 0) {
            fFile.Read(data, position, stored, fWhere, fName);
         }
         if (!plain) {
            out.resize(filled);
            Decode(part, page.GetNElements(), out);
         }
         filled += page.GetNElements() * part.fSize;
      }
      out.resize(filled);
      if (filled / part.fSize != details.GetColumnRange(part.fId).GetNElements())
         fWhere.Fail(fName, "pages with all values", "others");
   }
   /// Undo the splitting of values by bytes, and differences and zigzag coding; append the values.
   void Decode(const Part &part, std::uint64_t n, std::vector<char> &out) const
   {
      std::uint64_t sum = 0;
      const std::size_t first = out.size();
      out.resize(first + n * part.fSize);
      for (std::uint64_t i = 0; i < n; ++i) {
         std::uint64_t value = 0;
         for (std::uint64_t b = 0; b < part.fStored; ++b)
            value |= std::uint64_t(static_cast<unsigned char>(fPage[part.fSplit ? b * n + i : i * part.fStored + b]))
                     << (8 * b);
         if (part.fZigzag)
            value = (value >> 1) ^ (0 - (value & 1));
         if (part.fDelta)
            value = sum += value;
         if (part.fIsIndex && part.fStored == 4)
            value &= 0xFFFFFFFF;
         std::memcpy(out.data() + first + i * part.fSize, &value, part.fSize);
      }
   }
   void Check(const Xxh64 &digest, std::size_t cluster) const
   {
      if (digest.Hex() != fDigests[cluster])
         fWhere.Fail(fName + " cluster " + std::to_string(cluster), "the digest " + fDigests[cluster], digest.Hex());
   }
   RootFile &fFile;
   Where fWhere;
   std::string fName;
   std::unique_ptr<ROOT::RNTupleReader> fReader;
   std::vector<std::string> fDigests;
   std::vector<std::pair<std::uint64_t, ROOT::DescriptorId_t>> fClusters;
   std::vector<std::pair<std::string, std::vector<Part>>> fColumns;
   std::vector<char> fStored, fPage;
};

} // namespace onnxroot::detail

#endif
