/// \file stored.hxx
/// \brief A model's tables and payloads.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_STORED_HXX
#define ONNXROOT_STORED_HXX

#include "column.hxx"
#include "error.hxx"
#include "json.hxx"
#include "manifest.hxx"
#include "ntuple.hxx"
#include "root_file.hxx"
#include "schema.hxx"
#include "spec.hxx"
#include "values.hxx"
#include "varint.hxx"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// A table of messages (§4).
struct Table {
   std::uint64_t fNRows = 0;
   std::map<std::string, Column> fColumns;

   const Column *Find(const std::string &name) const
   {
      const auto found = fColumns.find(name);
      return found == fColumns.end() ? nullptr : &found->second;
   }
   /// A column with so many levels of lists, whatever the schema says; or null.
   const Column *Find(const std::string &name, std::size_t depth) const
   {
      const Column *const column = Find(name);
      return column && column->fOffsets.size() == depth ? column : nullptr;
   }
   std::uint64_t Bits(const std::string &name, std::uint64_t row, std::uint64_t none = 0) const
   {
      const Column *const column = Find(name, 0);
      return column ? column->Bits(row) : none;
   }
   std::string Text(const std::string &name, std::uint64_t row) const
   {
      const Column *const column = Find(name, 1);
      if (!column || column->fStorage != kText)
         return "";
      const auto [data, nbytes] = column->Text(row);
      return {data, static_cast<std::size_t>(nbytes)};
   }
};

/// The payloads (§5.2), and where each begins in its storage.
struct Payloads {
   std::vector<std::uint64_t> fField, fRow, fStorage, fNValues, fNBytes, fTensor, fFirst;
   std::array<std::uint64_t, 10> fTotals{};
   std::uint64_t fNInside = 0; ///< those of the ONNX file come first
};

/// A model's tables and payloads, checked as they are read.
class Stored {
public:
   Stored(const std::string &path, const std::string &directory, const Limits &limits = {}) : fFile(path, limits)
   {
      fWhere = fFile.Location();
      fWhere.fModel = directory;
      auto text = fFile.Manifest(directory);
      if (!text && directory.empty()) {
         const auto models = fFile.Models();
         if (models.size() != 1)
            FailWithout(models);
         fWhere.fModel = models.front();
         text = fFile.Manifest(fWhere.fModel);
      }
      if (!text)
         fWhere.Fail("", "a model", "no manifest of one", Have(fFile.Models()));
      fManifest = ParseManifest(*text, fWhere);
      std::uint64_t left = fFile.Limit().fPayloadRatio * fFile.NBytes();
      auto take = [&](std::uint64_t nbytes) {
         fWhere.Need(nbytes <= left, "", "files that the bytes at hand can hold (or higher Limits)", "longer ones");
         left -= nbytes;
      };
      take(Manifest().fNBytes);
      for (const auto &external : Manifest().fExternalFiles)
         take(external.fNBytes);
   }
   const Where &Location() const { return fWhere; }
   const ManifestInfo &Manifest() const { return fManifest->fInfo; }
   const Schema &Types() const { return fManifest->fSchema; }

   /// The table of a message type, or null if the model has none of these.
   const Table *Find(int type)
   {
      if (type < 0)
         return nullptr;
      const auto &name = Types().fTypes[type].fName;
      const auto found = fTables.find(name);
      if (found != fTables.end())
         return &found->second;
      const Json *const info = Info(name);
      if (!info)
         return nullptr;
      NTuple ntuple(fFile, fWhere, name, *info);
      Table table;
      table.fNRows = (*info)["rows"].Count();
      table.fColumns = ntuple.ReadAll();
      CheckTypes(Types().fTypes[type], table);
      return &(fTables[name] = std::move(table));
   }
   const Table *Find(const std::string &name) { return Find(Types().Find(name)); }

   const Payloads &Index()
   {
      if (!fPayloads)
         fPayloads = ReadIndex();
      return *fPayloads;
   }
   /// Forget the tables: the next look reads them again.
   void Forget() { fTables.clear(); }

   /// The field that holds a payload.
   const Field &FieldOf(std::size_t payload)
   {
      const auto [type, position] = Types().fCodes[Index().fField[payload]];
      return Types().fTypes[type].fFields[position];
   }
   /// Write bytes `start` to `stop` of a payload's values, as they are stored.
   template <typename F>
   void WriteValues(std::size_t payload, std::uint64_t start, std::uint64_t stop, F &&write)
   {
      const Payloads &index = Index();
      const int storage = static_cast<int>(index.fStorage[payload]);
      const std::uint64_t first = index.fFirst[payload] * InfoOf(storage).fSize;
      Values(storage, first + start, first + stop, write);
   }
   /// Call a function with each value of an integer payload, extended to 64 bits, and whether it is signed.
   template <typename F>
   void ForEachNumber(std::size_t payload, F &&call)
   {
      for (std::uint64_t i = 0; i < Index().fNValues[payload]; i += kBlock) {
         const Column block = Block(payload, i);
         for (std::uint64_t j = 0; j < block.Size(); ++j)
            call(block.Bits(j), block.fStorage % 2 == 1);
      }
   }
   /// Write bytes `start` to `stop` of a payload, as they stand in the ONNX file.
   template <typename F>
   void WritePayload(std::size_t payload, std::uint64_t start, std::uint64_t stop, F &&write)
   {
      const Payloads &index = Index();
      const Field &field = FieldOf(payload);
      if (field.fWire != kVarint)
         return WriteValues(payload, start, stop, write);
      if (fCoded.fPayload != payload || fCoded.fByte > start)
         fCoded = {payload, 0, 0};
      std::vector<char> out;
      while (fCoded.fByte < stop && fCoded.fValue < index.fNValues[payload]) {
         const Column block = Block(payload, fCoded.fValue);
         out.clear();
         char bytes[10];
         for (std::uint64_t i = 0; i < block.Size(); ++i)
            out.insert(out.end(), bytes, bytes + PutVarint(bytes, Coded(field, block.Bits(i))));
         const std::uint64_t from = std::max(start, fCoded.fByte), to = std::min(stop, fCoded.fByte + out.size());
         if (from < to)
            write(out.data() + (from - fCoded.fByte), static_cast<std::size_t>(to - from));
         if (fCoded.fByte + out.size() > stop)
            return; // this block is wanted again
         fCoded = {payload, fCoded.fValue + block.Size(), fCoded.fByte + out.size()};
      }
      if (fCoded.fByte < stop || (fCoded.fValue == index.fNValues[payload]) != (fCoded.fByte == index.fNBytes[payload]))
         fWhere.Fail("Payload", "values of " + field.fName + " in their length", "another length");
   }
   /// The number that stands in the varint.
   static std::uint64_t Coded(const Field &field, std::uint64_t bits)
   {
      return field.fZigzag ? bits << 1 ^ (0 - (bits >> 63)) : bits;
   }

private:
   [[noreturn]] void FailWithout(const std::vector<std::string> &models) const
   {
      if (models.empty())
         fWhere.Fail("", "a model in the file", "none", "write one with `onnxroot convert`");
      fWhere.Fail("", "the name of one of its models", "no name", Have(models));
   }
   static std::string Have(const std::vector<std::string> &models)
   {
      std::string names;
      for (std::size_t i = 0; i < models.size() && i < 8; ++i)
         names += (i ? ", " : "") + models[i];
      return models.empty() ? "the file holds no models"
                            : "the file holds " + names + (models.size() > 8 ? " ..." : "");
   }
   const Json *Info(const std::string &name) const { return fManifest->Table(name); }
   void CheckTypes(const MessageType &type, const Table &table) const
   {
      auto check = [&](const std::string &name, int storage, std::size_t depth) {
         const Column *const column = table.Find(name);
         if (column && (column->fStorage != storage || column->fOffsets.size() != depth))
            fWhere.Fail(type.fName, "the column " + name + " to have the type of the field", "another type");
      };
      check("parent", kUInt64, 0);
      check("parent_field", kUInt16, 0);
      check("presence", kUInt64, 0);
      if (type.fName == "ModelProto")
         check("deviation", kText, 1);
      for (const Field &field : type.fFields)
         if (field.fMessage < 0)
            check(field.fName, field.fStorage, (field.fStorage == kText) + (field.fLabel != Label::kOptional));
   }
   Payloads ReadIndex()
   {
      Payloads index;
      const Json *const info = Info("Payload");
      if (!info)
         return index;
      auto columns = NTuple(fFile, fWhere, "Payload", *info).ReadAll();
      const std::size_t n = (*info)["rows"].Count();
      auto take = [&](const char *name, int storage) {
         const Column &column = columns[name];
         fWhere.Need(column.fStorage == storage && column.fOffsets.empty() && column.Size() == n, "Payload",
                     "six columns of integers", "others");
         std::vector<std::uint64_t> values(n);
         for (std::size_t i = 0; i < n; ++i)
            values[i] = column.Bits(i);
         return values;
      };
      index.fField = take("field", kUInt16);
      index.fRow = take("row", kUInt64);
      index.fStorage = take("storage", kUInt8);
      index.fNValues = take("n_values", kUInt64);
      index.fNBytes = take("nbytes", kUInt64);
      index.fTensor = take("tensor", kInt64);
      const int external = Types().Find("ExternalSegment");
      std::uint64_t total = 0;
      for (std::size_t i = 0; i < n; ++i) {
         const std::uint64_t nValues = index.fNValues[i], nbytes = index.fNBytes[i];
         fWhere.Need(index.fField[i] < Types().fCodes.size() && index.fStorage[i] < 10 && nValues > 0 &&
                        nValues < kMaxNBytes / 16 && nbytes > 0 && nbytes < kMaxNBytes - total,
                     "Payload", "codes of fields and storages, and sizes", "others");
         const auto [type, position] = Types().fCodes[index.fField[i]];
         const Field &field = Types().fTypes[type].fFields[position];
         const bool fits = field.fWire == kVarint
                              ? nbytes >= nValues && nbytes <= 10 * nValues && index.fStorage[i] < kFloat
                              : nbytes == nValues * InfoOf(static_cast<int>(index.fStorage[i])).fSize;
         const bool isPayload = field.fMessage < 0 && (field.fLabel == Label::kPacked ||
                                                       (field.fLabel == Label::kOptional && field.fWire == kLen));
         fWhere.Need(fits && isPayload, "Payload", "as many bytes as values of a field", "others");
         if (type != external) {
            fWhere.Need(index.fNInside == i, "Payload", "those of external files last", "another order");
            ++index.fNInside;
         }
         std::uint64_t &end = index.fTotals[index.fStorage[i]];
         index.fFirst.push_back(end);
         end += nValues;
         total += nbytes;
      }
      return index;
   }
   /// A block of a payload's values, from one of them on.
   Column Block(std::size_t payload, std::uint64_t first)
   {
      Column block;
      block.fStorage = static_cast<int>(Index().fStorage[payload]);
      const std::uint64_t size = InfoOf(block.fStorage).fSize,
                          end = std::min(first + kBlock, Index().fNValues[payload]);
      WriteValues(payload, first * size, end * size,
                  [&](const char *data, std::size_t n) { block.fValues.insert(block.fValues.end(), data, data + n); });
      return block;
   }
   /// Write the bytes of a storage from `start` to `stop`, cluster by cluster (§5.3).
   template <typename F>
   void Values(int storage, std::uint64_t start, std::uint64_t stop, F &&write)
   {
      for (std::uint64_t cluster = start / kChunkNBytes; start < stop; ++cluster) {
         const std::vector<char> &values = Cluster(storage, cluster);
         const std::uint64_t end = std::min(stop, (cluster + 1) * kChunkNBytes);
         write(values.data() + (start - cluster * kChunkNBytes), static_cast<std::size_t>(end - start));
         start = end;
      }
   }
   const std::vector<char> &Cluster(int storage, std::uint64_t cluster)
   {
      Open &open = fOpen[storage];
      const std::string name = std::string("tensors/") + InfoOf(storage).fName;
      if (!open.fNTuple) {
         const Json *const info = Info(name);
         if (!info)
            fWhere.Fail(name, "to be in the manifest", "that it is not");
         const std::uint64_t total = Index().fTotals[storage] * InfoOf(storage).fSize;
         auto ntuple = std::make_unique<NTuple>(fFile, fWhere, name, *info);
         fWhere.Need(ntuple->NClusters() == (total + kChunkNBytes - 1) / kChunkNBytes, name, "clusters of 8 MiB",
                     "others");
         open.fNTuple = std::move(ntuple);
      }
      if (open.fCluster != cluster) {
         open.fCluster = ~std::uint64_t(0);
         open.fNTuple->ReadValues(static_cast<std::size_t>(cluster), storage, open.fValues);
         const std::uint64_t total = Index().fTotals[storage] * InfoOf(storage).fSize, first = cluster * kChunkNBytes;
         fWhere.Need(first < total && open.fValues.size() == std::min(kChunkNBytes, total - first), name,
                     "clusters of 8 MiB", "another size");
         open.fCluster = cluster;
      }
      return open.fValues;
   }
   static constexpr std::uint64_t kBlock = 1 << 16; ///< values that are coded at a time
   struct Open {
      std::unique_ptr<NTuple> fNTuple;
      std::uint64_t fCluster = ~std::uint64_t(0);
      std::vector<char> fValues;
   };
   RootFile fFile;
   Where fWhere;
   std::optional<StoredManifest> fManifest;
   std::map<std::string, Table> fTables;
   std::optional<Payloads> fPayloads;
   std::array<Open, 10> fOpen;
   struct {
      std::size_t fPayload;
      std::uint64_t fValue, fByte;
   } fCoded{~std::size_t(0), 0, 0}; ///< where the coding of a payload goes on
};

} // namespace onnxroot::detail

#endif
