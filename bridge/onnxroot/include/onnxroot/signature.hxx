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
            SetType(values.back(), type->fMessage, inner, 0);
      }
      return values;
   }

private:
   /// Types that nest deeper are not spelled out: more than messages may hold without raised limits.
   static constexpr int kMaxTypeLevels = 64;

   /// Tell what a row of the table of types says.
   void SetType(Value &value, int type, std::uint64_t row, int level)
   {
      if (level > kMaxTypeLevels) {
         value.fTypeName = "...";
         return;
      }
      for (const char *const name : {"tensor_type", "sparse_tensor_type"}) {
         const Field *const kind = fMessages.FieldOf(type, name);
         for (const std::uint64_t tensor : fMessages.Held(kind, row))
            return SetTensor(value, *kind, tensor);
      }
      for (const Field &kind : fStored.Types().fTypes[type].fFields)
         for (const std::uint64_t holder : fMessages.Held(&kind, row)) {
            value.fTypeName = Composed(type, kind, holder, level);
            return;
         }
   }
   void SetTensor(Value &value, const Field &kind, std::uint64_t row)
   {
      value.fElementType = static_cast<int>(fStored.Find(kind.fMessage)->Bits("elem_type", row));
      value.fTypeName = (kind.fName == "tensor_type" ? "" : "sparse ") + NameOf(value.fElementType);
      const Field *const shape = fMessages.FieldOf(kind.fMessage, "shape");
      for (const std::uint64_t outer : fMessages.Held(shape, row)) {
         value.fShape.emplace();
         const Field *const dim = fMessages.FieldOf(shape->fMessage, "dim");
         for (const std::uint64_t inner : fMessages.Held(dim, outer))
            value.fShape->push_back(DimensionAt(dim->fMessage, inner));
      }
   }
   /// A type that holds others: `sequence(map(INT64, FLOAT))`.
   std::string Composed(int type, const Field &kind, std::uint64_t row, int level)
   {
      std::string parts;
      const auto add = [&parts](const std::string &part) { parts += (parts.empty() ? "" : ", ") + part; };
      const std::string name = kind.fName.substr(0, kind.fName.rfind("_type"));
      if (name == "map")
         add(NameOf(static_cast<int>(fStored.Find(kind.fMessage)->Bits("key_type", row))));
      for (const Field &field : fStored.Types().fTypes[kind.fMessage].fFields)
         if (field.fMessage == type)
            for (const std::uint64_t inner : fMessages.Held(&field, row)) {
               Value held;
               SetType(held, type, inner, level + 1);
               add(TextOf(held));
            }
      return parts.empty() ? name : name + "(" + parts + ")";
   }
   static std::string TextOf(const Value &value)
   {
      const std::string name = value.fTypeName.empty() ? "?" : value.fTypeName;
      if (!value.fShape)
         return name;
      std::string dims;
      for (const Dimension &dim : *value.fShape) {
         dims += dims.empty() ? "" : ", ";
         dims += dim.fValue ? std::to_string(*dim.fValue) : dim.fName.empty() ? "?" : dim.fName;
      }
      return name + "[" + dims + "]";
   }
   static std::string NameOf(int element)
   {
      const std::string name = ElementOf(element).fName;
      return name.empty() ? "data_type " + std::to_string(element) : name;
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
