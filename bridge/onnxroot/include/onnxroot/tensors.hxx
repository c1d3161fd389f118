/// \file tensors.hxx
/// \brief The elements of initializers, wherever they are stored.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_TENSORS_HXX
#define ONNXROOT_TENSORS_HXX

#include "elements.hxx"
#include "external.hxx"
#include "messages.hxx"
#include "spec.hxx"
#include "stored.hxx"
#include "values.hxx"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// The initializers of a model.
class Tensors {
public:
   explicit Tensors(Stored &stored) : fStored(&stored), fMessages(stored), fExternalFiles(stored) {}

   /// Their names, those of the main graph first.
   const std::vector<std::string> &Names()
   {
      FindAll();
      return fNames;
   }
   /// What there is to know of one before its elements are read.
   TensorInfo Info(const std::string &name)
   {
      const std::uint64_t row = Find(name);
      const Table &table = *fStored->Find("TensorProto");
      TensorInfo info;
      info.fName = name;
      info.fElementType = static_cast<int>(table.Bits("data_type", row));
      const ElementType &element = ElementOf(info.fElementType);
      info.fTypeName = *element.fName ? element.fName : "data_type " + std::to_string(info.fElementType);
      if (const Column *const dims = table.Find("dims", 1))
         for (std::uint64_t i = dims->fOffsets[0][row]; i < dims->fOffsets[0][row + 1]; ++i)
            info.fShape.push_back(static_cast<std::int64_t>(dims->Bits(i)));
      return info;
   }
   template <typename T>
   Tensor<T> Get(const std::string &name)
   {
      static_assert(std::is_same_v<T, std::string> || (std::is_trivially_copyable_v<T> && !std::is_same_v<T, bool>),
                    "see the documentation of Model::GetTensor");
      const TensorInfo info = Info(name);
      const ElementType &element = ElementOf(info.fElementType);
      if (!Fits<T>(element))
         RefuseType(info, FittingType(element));
      const std::uint64_t n = Count(info);
      Tensor<T> tensor;
      tensor.fShape = info.fShape;
      tensor.fElementType = info.fElementType;
      if constexpr (std::is_same_v<T, std::string>) {
         tensor.fValues = Texts(name, n);
      } else {
         const Elements elements = ElementsOf(name, element);
         if (elements.fAreNumbers)
            ReadNumbers(name, element, elements.fPieces[0].fPayload, n, tensor.fValues);
         else
            ReadBytes(name, element, elements.fPieces, n, tensor.fValues);
      }
      return tensor;
   }

private:
   static constexpr const char *kMalformed = "the model is malformed";
   struct Elements {
      std::vector<Piece> fPieces;
      bool fAreNumbers = false; ///< one for each element, rather than the bytes of `raw_data`
   };
   [[noreturn]] void Fail(const std::string &name, const std::string &expected, const std::string &found,
                          const std::string &advice = kMalformed) const
   {
      fStored->Location().Fail("tensor " + name, expected, found, advice);
   }
   [[noreturn]] void RefuseType(const TensorInfo &info, const std::string &fitting) const
   {
      if (fitting.empty())
         Fail(info.fName, "an element type of ONNX", info.fTypeName);
      Fail(info.fName, "elements of the type asked for", info.fTypeName, "ask for GetTensor<" + fitting + ">");
   }
   std::uint64_t Count(const TensorInfo &info) const
   {
      std::uint64_t n = 1;
      bool none = false;
      for (const std::int64_t dim : info.fShape) {
         if (dim < 0)
            Fail(info.fName, "dimensions", std::to_string(dim));
         none = none || dim == 0;
      }
      for (const std::int64_t dim : info.fShape) {
         if (!none && n > kMaxNBytes / 256 / static_cast<std::uint64_t>(dim))
            Fail(info.fName, "dimensions", "more elements than a file can hold");
         n *= none ? 0 : static_cast<std::uint64_t>(dim);
      }
      return n;
   }
   void FindAll()
   {
      if (!fRows.empty())
         return;
      const Table *const table = fStored->Find("TensorProto");
      const Field *const field = fStored->Types().Find(fStored->Types().Find("GraphProto"), "initializer");
      const std::uint64_t main = fMessages.MainGraph();
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
         fStored->Location().Fail("", "an initializer '" + name + "'", "none of that name",
                                  "TensorNames() lists the " + std::to_string(fNames.size()) + " there are");
      return found->second;
   }
   /// Where the elements of a tensor are.
   Elements ElementsOf(const std::string &name, const ElementType &element)
   {
      const std::uint64_t row = Find(name);
      const int type = fStored->Types().Find("TensorProto");
      if (fStored->Find(type)->Bits("data_location", row) == 1)
         return {fExternalFiles.Tensor(name, row), false};
      const Payloads &index = fStored->Index();
      std::vector<std::size_t> found;
      for (std::size_t i = 0; i < index.fNInside; ++i)
         if (index.fTensor[i] == row)
            found.push_back(i);
      const auto raw = std::find_if(found.begin(), found.end(),
                                    [&](std::size_t i) { return fStored->FieldOf(i).fName == "raw_data"; });
      if (raw != found.end())
         found = {*raw}; // which counts where there are others, as in onnx
      if (found.empty())
         return {};
      const std::size_t payload = found.front();
      const Field &field = fStored->FieldOf(payload);
      if (found.size() > 1)
         Fail(name, "elements in one field", "some in " + field.fName + " and " + fStored->FieldOf(found[1]).fName);
      if (field.fName != "raw_data" && field.fName != element.fField)
         Fail(name, std::string("a field for elements of ") + element.fName, field.fName);
      const std::uint64_t size = InfoOf(static_cast<int>(index.fStorage[payload])).fSize;
      return {{{payload, 0, index.fNValues[payload] * size}}, field.fWire == kVarint};
   }
   /// Elements that lie there as `raw_data` has them.
   template <typename T>
   void ReadBytes(const std::string &name, const ElementType &element, const std::vector<Piece> &pieces,
                  std::uint64_t n, std::vector<T> &out)
   {
      const std::uint64_t nbytes = n / 8 * element.fBits + (n % 8 * element.fBits + 7) / 8;
      std::uint64_t stored = 0, done = 0;
      for (const Piece &piece : pieces)
         stored += piece.fStop - piece.fStart;
      if (stored != nbytes)
         Fail(name, std::to_string(nbytes) + " bytes by its shape", std::to_string(stored));
      std::vector<char> packed;
      for (const Piece &piece : pieces) {
         // The first look at a piece makes sure that the file holds its values, before memory is taken.
         fStored->WriteValues(piece.fPayload, piece.fStart, piece.fStop, [&](const char *data, std::size_t size) {
            if (element.fBits < 8) {
               packed.insert(packed.end(), data, data + size);
               return;
            }
            out.resize(static_cast<std::size_t>(n));
            std::memcpy(reinterpret_cast<char *>(out.data()) + done, data, size);
            done += size;
         });
      }
      if constexpr (std::is_integral_v<T>) // as Fits has made sure
         if (element.fBits < 8)
            Unpack(packed, element.fBits, n, out);
   }
   /// Elements of less than a byte, the first in the lowest bits, into one byte each.
   template <typename T>
   static void Unpack(const std::vector<char> &packed, unsigned bits, std::uint64_t n, std::vector<T> &out)
   {
      out.resize(static_cast<std::size_t>(n));
      for (std::uint64_t i = 0; i < n; ++i) {
         const std::uint64_t place = i * bits;
         unsigned word = static_cast<unsigned char>(packed[place / 8]);
         if (place / 8 + 1 < packed.size())
            word |= static_cast<unsigned>(static_cast<unsigned char>(packed[place / 8 + 1])) << 8;
         out[i] = static_cast<T>(word >> (place % 8) & ((1u << bits) - 1));
      }
   }
   /// Elements that are numbers in a field such as `int32_data`: their lowest bits.
   template <typename T>
   void ReadNumbers(const std::string &name, const ElementType &element, std::size_t payload, std::uint64_t n,
                    std::vector<T> &out)
   {
      const unsigned bits = std::max(8u, element.fBits); // several to a number, as in raw_data, where less
      const std::uint64_t perNumber = element.fBits < 6 ? 8 / element.fBits : 1;
      const std::uint64_t nNumbers = fStored->Index().fNValues[payload];
      if ((n + perNumber - 1) / perNumber != nNumbers)
         Fail(name, std::to_string((n + perNumber - 1) / perNumber) + " numbers by its shape",
              std::to_string(nNumbers));
      const bool isBool = std::string(element.fName) == "BOOL";
      std::vector<char> packed;
      fStored->ForEachNumber(payload, [&](std::uint64_t number, bool isSigned) {
         const auto value = static_cast<std::int64_t>(number);
         if (!isBool && bits < 64 &&
             (isSigned && value < 0 ? value < -(std::int64_t(1) << (bits - 1)) : number >> bits != 0))
            Fail(name, "numbers of " + std::to_string(bits) + " bits",
                 isSigned ? std::to_string(value) : std::to_string(number));
         if constexpr (std::is_integral_v<T>) {
            if (element.fBits < 6)
               packed.push_back(static_cast<char>(number));
            else
               out.push_back(static_cast<T>(isBool ? number != 0 : element.fBits == 6 ? number & 0x3F : number));
         }
      });
      if constexpr (std::is_integral_v<T>)
         if (element.fBits < 6)
            Unpack(packed, element.fBits, n, out);
   }
   /// The elements of `string_data`.
   std::vector<std::string> Texts(const std::string &name, std::uint64_t n)
   {
      const std::uint64_t row = Find(name);
      const Column *const column = fStored->Find("TensorProto")->Find("string_data", 2);
      const std::uint64_t first = column ? column->fOffsets[0][row] : 0,
                          last = column ? column->fOffsets[0][row + 1] : 0;
      if (last - first != n)
         Fail(name, std::to_string(n) + " strings by its shape", std::to_string(last - first));
      std::vector<std::string> texts;
      for (std::uint64_t i = first; i < last; ++i)
         texts.emplace_back(column->Text(i).first, column->Text(i).second);
      return texts;
   }
   Stored *fStored; // not a reference, which could not be assigned
   Messages fMessages;
   ExternalFiles fExternalFiles;
   std::map<std::string, std::uint64_t> fRows;
   std::vector<std::string> fNames;
};

} // namespace onnxroot::detail

#endif
