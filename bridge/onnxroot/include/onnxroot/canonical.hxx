/// \file canonical.hxx
/// \brief The canonical form of a model (§4.4).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_CANONICAL_HXX
#define ONNXROOT_CANONICAL_HXX

#include "schema.hxx"
#include "spec.hxx"
#include "stored.hxx"
#include "varint.hxx"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// The bytes of a model in canonical form (§4.4): all but those of payloads in memory.
class Canonical {
public:
   explicit Canonical(Stored &stored) : fStored(stored), fIndex(stored.Index())
   {
      const Schema &schema = stored.Types();
      for (const MessageType &type : schema.fTypes) {
         const bool own = type.fName == "ExternalSegment";
         fTables.push_back(own ? nullptr : stored.Find(type.fName));
         fSizes.emplace_back(fTables.back() ? fTables.back()->fNRows : 0);
      }
      for (std::size_t type = 0; type < fTables.size(); ++type)
         fActive.push_back(ActiveFields(schema.fTypes[type], fTables[type]));
      fModel = schema.Find("ModelProto");
      if (fModel < 0 || !fTables[fModel] || fTables[fModel]->fNRows != 1)
         Fail("one ModelProto", "another number");
      fNBytes = Pass(false);
      std::uint64_t inPayloads = 0;
      for (std::size_t i = 0; i < fIndex.fNInside; ++i)
         inPayloads += fIndex.fNBytes[i];
      fSkeleton.reserve(static_cast<std::size_t>(fNBytes - inPayloads));
      Pass(true);
   }
   std::uint64_t NBytes() const { return fNBytes; }

   /// Write bytes `start` to `stop`.
   template <typename F>
   void Write(std::uint64_t start, std::uint64_t stop, F &&write)
   {
      auto hole = std::partition_point(fHoles.begin(), fHoles.end(), [&](const Hole &h) { return h.fEnd <= start; });
      while (start < stop) {
         const bool last = hole == fHoles.end();
         const std::uint64_t begin = last ? fNBytes : hole->fEnd - fIndex.fNBytes[hole->fPayload];
         if (start < begin) {
            const std::uint64_t before = hole == fHoles.begin() ? 0 : (hole - 1)->fPayloadBytes;
            const std::uint64_t end = std::min(begin, stop);
            write(fSkeleton.data() + (start - before), static_cast<std::size_t>(end - start));
            start = end;
         } else {
            const std::uint64_t end = std::min(hole->fEnd, stop);
            fStored.WritePayload(hole->fPayload, start - begin, end - begin, write);
            start = end;
            ++hole;
         }
      }
   }

private:
   struct Hole {
      std::uint64_t fEnd;          ///< in the canonical form
      std::uint64_t fPayloadBytes; ///< up to its end
      std::size_t fPayload;
   };
   struct Active {
      const Field *fField;
      const Column *fColumn;
   };
   [[noreturn]] void Fail(const char *expected, const char *found) const
   {
      fStored.Location().Fail("", expected, found);
   }
   /// Fields that any row may have.
   std::vector<Active> ActiveFields(const MessageType &type, const Table *table) const
   {
      std::vector<Active> fields;
      for (const Field &field : type.fFields) {
         const Column *const column = table ? table->Find(field.fName) : nullptr;
         if (field.fMessage >= 0 ? fTables[field.fMessage] != nullptr
                                 : column || field.fLabel != Label::kRepeated)
            fields.push_back({&field, column});
      }
      return fields;
   }
   /// Go through all messages, and measure or write them; return the model's size.
   std::uint64_t Pass(bool write)
   {
      fWriting = write;
      fCursor.assign(fTables.size(), 0);
      fPayload = 0;
      fCursor[fModel] = 1;
      const std::uint64_t nbytes = Message(fModel, 0, 0);
      for (std::size_t type = 0; type < fTables.size(); ++type)
         if (fTables[type] && fCursor[type] != fTables[type]->fNRows)
            fStored.Location().Fail(fStored.Types().fTypes[type].fName, "a message that holds each row",
                                    "none for row " + std::to_string(fCursor[type]));
      if (fPayload != fIndex.fNInside)
         Fail("a message that holds each payload", "none for payload");
      return nbytes;
   }
   std::uint64_t Message(int type, std::uint64_t row, int depth)
   {
      if (depth > kMaxDepth)
         Fail("messages nested at most 100 deep", "deeper ones");
      const std::uint64_t presence = fTables[type]->Bits("presence", row);
      std::uint64_t size = 0;
      for (const Active &active : fActive[type]) {
         const Field &field = *active.fField;
         if (field.fMessage >= 0)
            size += Children(field, row, depth);
         else if (field.fLabel != Label::kOptional)
            size += Repeated(field, active.fColumn, row);
         else if (presence >> field.fBit & 1)
            size += Optional(field, active.fColumn, row);
      }
      return size;
   }
   std::uint64_t Children(const Field &field, std::uint64_t row, int depth)
   {
      const Table &table = *fTables[field.fMessage];
      const Column *const parent = Parent(field.fMessage, "parent");
      const Column *const code = Parent(field.fMessage, "parent_field");
      std::uint64_t size = 0, &cursor = fCursor[field.fMessage];
      for (int n = 0; cursor < table.fNRows && parent->Bits(cursor) == row && code->Bits(cursor) == field.fCode; ++n) {
         if (n > 0 && field.fLabel == Label::kOptional)
            Fail("one message in an optional field", "two");
         const std::uint64_t child = cursor++;
         std::uint64_t &nbytes = fSizes[field.fMessage][child];
         if (fWriting) {
            size += Varint(field.fTag) + Varint(nbytes);
            Message(field.fMessage, child, depth + 1);
         } else {
            nbytes = Message(field.fMessage, child, depth + 1);
            size += VarintSize(field.fTag) + VarintSize(nbytes);
         }
         size += nbytes;
      }
      return size;
   }
   const Column *Parent(int type, const char *name) const
   {
      const Column *const column = fTables[type]->Find(name);
      if (!column)
         fStored.Location().Fail(fStored.Types().fTypes[type].fName, std::string("a column ") + name, "none");
      return column;
   }
   std::uint64_t Optional(const Field &field, const Column *column, std::uint64_t row)
   {
      std::uint64_t size = Varint(field.fTag);
      if (field.fWire != kLen) {
         if (!column)
            Fail("a column for every field that is present", "none");
         return size + Number(field, *column, row);
      }
      const std::uint64_t inPayload = PayloadOf(field, row);
      if (inPayload > 0) {
         size += Varint(inPayload);
         return size + Payload();
      }
      const auto text = column ? column->Text(row) : std::pair<const char *, std::uint64_t>("", 0);
      return size + Varint(text.second) + Bytes(text.first, text.second);
   }
   std::uint64_t Repeated(const Field &field, const Column *column, std::uint64_t row)
   {
      const std::uint64_t first = column ? column->fOffsets[0][row] : 0;
      const std::uint64_t last = column ? column->fOffsets[0][row + 1] : 0;
      std::uint64_t size = 0;
      if (field.fLabel == Label::kPacked) {
         const std::uint64_t inPayload = PayloadOf(field, row);
         std::uint64_t inColumn = 0;
         for (std::uint64_t i = first; i < last; ++i)
            inColumn += NumberSize(field, *column, i);
         if (inColumn + inPayload == 0)
            return 0;
         size += Varint(field.fTag) + Varint(inColumn + inPayload) + inColumn;
         for (std::uint64_t i = first; fWriting && i < last; ++i)
            Number(field, *column, i);
         return size + (inPayload > 0 ? Payload() : 0);
      }
      for (std::uint64_t i = first; i < last; ++i) {
         size += Varint(field.fTag);
         if (field.fWire == kLen) {
            const auto text = column->Text(i);
            size += Varint(text.second) + Bytes(text.first, text.second);
         } else {
            size += Number(field, *column, i);
         }
      }
      return size;
   }
   /// Bytes of the next payload, if it belongs to that field; otherwise 0.
   std::uint64_t PayloadOf(const Field &field, std::uint64_t row) const
   {
      const bool here =
         fPayload < fIndex.fNInside && fIndex.fField[fPayload] == field.fCode && fIndex.fRow[fPayload] == row;
      return here ? fIndex.fNBytes[fPayload] : 0;
   }
   std::uint64_t Payload()
   {
      const std::uint64_t nbytes = fIndex.fNBytes[fPayload];
      if (fWriting) {
         const std::uint64_t inPayloads = (fHoles.empty() ? 0 : fHoles.back().fPayloadBytes) + nbytes;
         fHoles.push_back({fSkeleton.size() + inPayloads, inPayloads, fPayload});
      }
      ++fPayload;
      return nbytes;
   }
   static std::uint64_t NumberSize(const Field &field, const Column &column, std::uint64_t i)
   {
      return field.fWire == kVarint ? VarintSize(Stored::Coded(field, column.Bits(i))) : InfoOf(column.fStorage).fSize;
   }
   std::uint64_t Number(const Field &field, const Column &column, std::uint64_t i)
   {
      if (field.fWire == kVarint)
         return Varint(Stored::Coded(field, column.Bits(i)));
      const std::uint64_t size = InfoOf(column.fStorage).fSize;
      return Bytes(column.fValues.data() + i * size, size);
   }
   std::uint64_t Varint(std::uint64_t value)
   {
      if (!fWriting)
         return VarintSize(value);
      char bytes[10];
      return Bytes(bytes, PutVarint(bytes, value));
   }
   std::uint64_t Bytes(const char *data, std::uint64_t nbytes)
   {
      if (fWriting && nbytes > 0)
         fSkeleton.append(data, static_cast<std::size_t>(nbytes));
      return nbytes;
   }
   Stored &fStored;
   const Payloads &fIndex;
   std::vector<const Table *> fTables;
   std::vector<std::vector<std::uint64_t>> fSizes;
   std::vector<std::vector<Active>> fActive;
   std::vector<std::uint64_t> fCursor;
   std::size_t fPayload = 0;
   bool fWriting = false;
   int fModel = -1;
   std::uint64_t fNBytes = 0;
   std::string fSkeleton;
   std::vector<Hole> fHoles;
};

} // namespace onnxroot::detail

#endif
