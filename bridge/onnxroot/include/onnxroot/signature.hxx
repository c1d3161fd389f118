/// \file signature.hxx
/// \brief Inputs and outputs.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_SIGNATURE_HXX
#define ONNXROOT_SIGNATURE_HXX

#include "elements.hxx"
#include "messages.hxx"
#include "stored.hxx"
#include "values.hxx"

#include <cstdint>
#include <string>
#include <vector>

namespace onnxroot::detail {

/// The inputs and outputs of the main graph.
class Signature {
public:
   explicit Signature(Stored &stored) : fStored(stored), fMessages(stored) {}

   /// The values that a field of the main graph lists.
   std::vector<Value> Values(const char *name)
   {
      std::vector<Value> values;
      const Field *const field = fMessages.FieldOf("GraphProto", name);
      for (const std::uint64_t row : fMessages.Held(field, fMessages.MainGraph())) {
         values.emplace_back();
         values.back().fName = fStored.Find(field->fMessage)->Text("name", row);
         const Field *const type = fMessages.FieldOf(field->fMessage, "type");
         for (const std::uint64_t inner : fMessages.Held(type, row))
            for (const Field &kind : fStored.Types().fTypes[type->fMessage].fFields)
               for (const std::uint64_t innermost : fMessages.Held(&kind, inner))
                  SetType(values.back(), kind, innermost);
      }
      return values;
   }

private:
   void SetType(Value &value, const Field &kind, std::uint64_t row)
   {
      const bool sparse = kind.fName == "sparse_tensor_type";
      if (kind.fName != "tensor_type" && !sparse) {
         value.fTypeName = kind.fName.substr(0, kind.fName.rfind("_type"));
         return;
      }
      value.fElementType = static_cast<int>(fStored.Find(kind.fMessage)->Bits("elem_type", row));
      const std::string name = ElementOf(value.fElementType).fName;
      value.fTypeName =
         (sparse ? "sparse " : "") + (name.empty() ? "data_type " + std::to_string(value.fElementType) : name);
      const Field *const shape = fMessages.FieldOf(kind.fMessage, "shape");
      for (const std::uint64_t outer : fMessages.Held(shape, row)) {
         value.fShape.emplace();
         const Field *const dim = fMessages.FieldOf(shape->fMessage, "dim");
         for (const std::uint64_t inner : fMessages.Held(dim, outer))
            value.fShape->push_back(DimensionAt(dim->fMessage, inner));
      }
   }
   Dimension DimensionAt(int type, std::uint64_t row)
   {
      const Table &table = *fStored.Find(type);
      const Field *const size = fMessages.FieldOf(type, "dim_value");
      Dimension dimension;
      if (size && size->fBit >= 0 && table.Bits("presence", row) >> size->fBit & 1)
         dimension.fValue = static_cast<std::int64_t>(table.Bits("dim_value", row));
      else
         dimension.fName = table.Text("dim_param", row);
      return dimension;
   }
   Stored &fStored;
   Messages fMessages;
};

} // namespace onnxroot::detail

#endif
