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
   explicit Signature(Stored &stored) : fStored(stored) {}

   /// The values that a field of the main graph lists.
   std::vector<Value> Values(const std::string &name)
   {
      const Schema &types = fStored.Types();
      const int info = types.Find("ValueInfoProto"), type = types.Find("TypeProto");
      std::vector<Value> values;
      for (const std::uint64_t row : Children(fStored, types.Find("GraphProto"), MainGraph(fStored), name)) {
         values.emplace_back();
         values.back().fName = fStored.Find(info)->Text("name", row);
         for (const std::uint64_t inner : Children(fStored, info, row, "type"))
            for (const Field &field : types.fTypes[type].fFields)
               for (const std::uint64_t kind : Children(fStored, type, inner, field.fName))
                  SetType(values.back(), field, kind);
      }
      return values;
   }

private:
   void SetType(Value &value, const Field &field, std::uint64_t row)
   {
      const bool sparse = field.fName == "sparse_tensor_type";
      if (field.fName != "tensor_type" && !sparse) {
         value.fTypeName = field.fName.substr(0, field.fName.rfind("_type"));
         return;
      }
      value.fElementType = static_cast<int>(fStored.Find(field.fMessage)->Bits("elem_type", row));
      const std::string name = ElementOf(value.fElementType).fName;
      value.fTypeName = (sparse ? "sparse " : "") + (name.empty() ? "data_type " + std::to_string(value.fElementType) : name);
      const int shape = fStored.Types().Find("TensorShapeProto"), dim = fStored.Types().Find("TensorShapeProto_Dimension");
      const Field *const size = fStored.Types().Find(dim, "dim_value");
      for (const std::uint64_t outer : Children(fStored, field.fMessage, row, "shape")) {
         value.fShape.emplace();
         for (const std::uint64_t inner : Children(fStored, shape, outer, "dim")) {
            const Table &table = *fStored.Find(dim);
            Dimension dimension;
            if (size && size->fBit >= 0 && table.Bits("presence", inner) >> size->fBit & 1)
               dimension.fValue = static_cast<std::int64_t>(table.Bits("dim_value", inner));
            else
               dimension.fName = table.Text("dim_param", inner);
            value.fShape->push_back(dimension);
         }
      }
   }
   Stored &fStored;
};

} // namespace onnxroot::detail

#endif
