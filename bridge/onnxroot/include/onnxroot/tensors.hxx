/// \file tensors.hxx
/// \brief The elements of initializers, wherever they are stored.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_TENSORS_HXX
#define ONNXROOT_TENSORS_HXX

#include "elements.hxx"
#include "external.hxx"
#include "messages.hxx"
#include "stored.hxx"
#include "values.hxx"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// The initializers of a model.
class Tensors {
public:
   explicit Tensors(Stored &stored) : fStored(&stored) {}

   /// Their names, those of the main graph first.
   const std::vector<std::string> &Names()
   {
      FindAll();
      return fNames;
   }
   template <typename T>
   Tensor<T> Get(const std::string &name)
   {
      static_assert(std::is_trivially_copyable_v<T> && !std::is_same_v<T, bool>, "see the documentation");
      const std::uint64_t row = Find(name);
      const Table &table = *fStored->Find("TensorProto");
      Tensor<T> tensor;
      tensor.fElementType = static_cast<int>(table.Bits("data_type", row));
      const ElementType &element = ElementOf(tensor.fElementType);
      const std::string found = *element.fName ? element.fName : "data_type " + std::to_string(tensor.fElementType);
      if (!Fits<T>(element))
         fStored->Location().Fail("tensor " + name, "elements that the C++ type holds", found, "ask for another type");
      std::uint64_t n = 1;
      if (const Column *const dims = table.Find("dims"))
         for (std::uint64_t i = dims->fOffsets[0][row]; i < dims->fOffsets[0][row + 1]; ++i) {
            const std::uint64_t dim = dims->Bits(i);
            tensor.fShape.push_back(static_cast<std::int64_t>(dim));
            if (dim >> 62 || (dim > 0 && n > kMaxNBytes / 256 / dim))
               fStored->Location().Fail("tensor " + name, "dimensions", "negative or very large ones", kMalformed);
            n *= dim;
         }
      const std::uint64_t nbytes = n / 8 * element.fBits + (n % 8 * element.fBits + 7) / 8;
      const auto pieces = Pieces(name, row, element);
      std::uint64_t stored = 0;
      for (const Piece &piece : pieces)
         stored += piece.fStop - piece.fStart;
      if (stored != nbytes)
         fStored->Location().Fail("tensor " + name, std::to_string(nbytes) + " bytes by its shape", std::to_string(stored),
                                 kMalformed);
      std::uint64_t done = 0;
      for (const Piece &piece : pieces) {
         // The first look at a piece makes sure that the file holds its values, before memory is taken.
         fStored->WritePayload(piece.fPayload, piece.fStart, piece.fStop, [&](const char *data, std::size_t size) {
            tensor.fValues.resize(static_cast<std::size_t>(nbytes / sizeof(T)));
            std::memcpy(reinterpret_cast<char *>(tensor.fValues.data()) + done, data, size);
            done += size;
         });
      }
      return tensor;
   }

private:
   static constexpr const char *kMalformed = "the model is malformed";
   struct Piece {
      std::size_t fPayload;
      std::uint64_t fStart, fStop;
   };
   void FindAll()
   {
      if (!fRows.empty())
         return;
      const Table *const table = fStored->Find("TensorProto");
      const Field *const field = fStored->Types().Find(fStored->Types().Find("GraphProto"), "initializer");
      const std::uint64_t main = MainGraph(*fStored);
      for (const bool inMain : {true, false})
         for (std::uint64_t row = 0; table && field && row < table->fNRows; ++row)
            if (table->Bits("parent_field", row) == field->fCode && (table->Bits("parent", row) == main) == inMain &&
                fRows.emplace(table->Text("name", row), row).second)
               fNames.push_back(table->Text("name", row));
   }
   std::uint64_t Find(const std::string &name)
   {
      FindAll();
      const auto found = fRows.find(name);
      if (found == fRows.end())
         fStored->Location().Fail("", "an initializer '" + name + "'", "none", "TensorNames() lists them");
      return found->second;
   }
   /// Where the elements of a tensor are.
   std::vector<Piece> Pieces(const std::string &name, std::uint64_t row, const ElementType &element)
   {
      const int type = fStored->Types().Find("TensorProto");
      if (fStored->Find(type)->Bits("data_location", row) == 1)
         return ExternalPieces(name, row);
      std::vector<Piece> pieces;
      const Payloads &index = fStored->Index();
      for (std::size_t i = 0; i < index.fNInside; ++i) {
         const auto [holder, position] = fStored->Types().fCodes[index.fField[i]];
         const std::string &field = fStored->Types().fTypes[holder].fFields[position].fName;
         if (holder != type || index.fRow[i] != row || field == "doc_string" || field == "name")
            continue;
         if (!pieces.empty() || static_cast<int>(index.fStorage[i]) != element.fStorage ||
             (field != "raw_data" && field != element.fField))
            fStored->Location().Fail("tensor " + name, std::string("elements of ") + element.fName, "others in " + field,
                                    kMalformed);
         pieces.push_back({i, 0, 0});
         pieces.back().fStop = index.fNValues[i] * InfoOf(element.fStorage).fSize;
      }
      return pieces;
   }
   std::vector<Piece> ExternalPieces(const std::string &name, std::uint64_t row)
   {
      std::map<std::string, std::string> entries;
      const Field *const field = fStored->Types().Find(fStored->Types().Find("TensorProto"), "external_data");
      const Table *const table = fStored->Find("StringStringEntryProto");
      for (std::uint64_t i = 0; table && field && i < table->fNRows; ++i)
         if (table->Bits("parent", i) == row && table->Bits("parent_field", i) == field->fCode)
            entries[table->Text("key", i)] = table->Text("value", i);
      auto number = [&](const char *key, std::uint64_t none) {
         const auto found = entries.find(key);
         if (found == entries.end())
            return none;
         const std::string &text = found->second;
         if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
            fStored->Location().Fail("tensor " + name, std::string("a byte count as ") + key, "'" + text + "'", kMalformed);
         return static_cast<std::uint64_t>(std::stoull(text));
      };
      std::string location; // without parts that are '.' or empty
      for (const auto &part : std::filesystem::path(entries["location"]))
         if (part != "." && !part.empty())
            location += (location.empty() ? "" : "/") + part.string();
      const ExternalFile &file = FindExternal(*fStored, location);
      const std::uint64_t start = number("offset", 0);
      const std::uint64_t length = number("length", file.fNBytes - std::min(start, file.fNBytes));
      if (start > file.fNBytes || length > file.fNBytes - start)
         fStored->Location().Fail("tensor " + name, "elements within " + location, "others", kMalformed);
      std::vector<Piece> pieces;
      for (const Segment &segment : Segments(*fStored, file)) {
         const std::uint64_t from = std::max(start, segment.fOffset);
         const std::uint64_t to = std::min(start + length, segment.fOffset + segment.fNBytes);
         if (from < to)
            pieces.push_back({segment.fPayload, from - segment.fOffset, to - segment.fOffset});
      }
      return pieces;
   }
   Stored *fStored; // not a reference, which could not be assigned
   std::map<std::string, std::uint64_t> fRows;
   std::vector<std::string> fNames;
};

} // namespace onnxroot::detail

#endif
