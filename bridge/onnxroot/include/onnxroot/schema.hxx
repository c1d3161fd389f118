/// \file schema.hxx
/// \brief The message types and their fields (§3.3).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_SCHEMA_HXX
#define ONNXROOT_SCHEMA_HXX

#include "elements.hxx"
#include "json.hxx"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace onnxroot::detail {

enum class Label { kOptional, kRepeated, kPacked };
enum Wire : unsigned { kVarint = 0, kFixed64 = 1, kLen = 2, kFixed32 = 5 };

/// A field of a message type (§3.3).
struct Field {
   std::uint32_t fTag = 0; ///< number and wire type
   std::string fName;
   Label fLabel = Label::kOptional;
   Wire fWire = kLen;
   int fStorage = kText;
   bool fZigzag = false;
   int fMessage = -1;       ///< the message type it holds, or -1
   std::uint32_t fCode = 0; ///< §3.3
   int fBit = -1;           ///< in `presence` (§4.3)
};
struct MessageType {
   std::string fName;
   std::vector<Field> fFields;
};

/// The schema of a manifest.
struct Schema {
   std::vector<MessageType> fTypes;
   std::vector<std::pair<int, int>> fCodes; ///< message type and field by code

   explicit Schema(const Json &json)
   {
      static const std::map<std::string, std::pair<Wire, int>> scalars = {
         {"int32", {kVarint, kInt32}},    {"int64", {kVarint, kInt64}},     {"uint32", {kVarint, kUInt32}},
         {"uint64", {kVarint, kUInt64}},  {"sint32", {kVarint, kInt32}},    {"sint64", {kVarint, kInt64}},
         {"enum", {kVarint, kInt32}},     {"bool", {kVarint, kUInt8}},      {"fixed32", {kFixed32, kUInt32}},
         {"fixed64", {kFixed64, kUInt64}}, {"sfixed32", {kFixed32, kInt32}}, {"sfixed64", {kFixed64, kInt64}},
         {"float", {kFixed32, kFloat}},   {"double", {kFixed64, kDouble}},  {"string", {kLen, kText}},
         {"bytes", {kLen, kText}}};
      static const std::map<std::string, Label> labels = {
         {"optional", Label::kOptional}, {"repeated", Label::kRepeated}, {"packed", Label::kPacked}};
      const auto &names = json.Object().fKeys;
      for (std::size_t type = 0; type < names.size(); ++type) {
         fTypes.push_back({names[type], {}});
         std::uint64_t last = 0;
         int bit = 0;
         for (const Json &item : json.fItems[type].Array()) {
            if (item.Array().size() != 4)
               Json::Fail("four entries for a field");
            Field field;
            const std::uint64_t number = item.fItems[0].Count();
            const auto label = labels.find(item.fItems[3].String());
            const auto scalar = scalars.find(item.fItems[2].String());
            const auto message = std::find(names.begin(), names.end(), item.fItems[2].fText);
            if (number <= last || number >> 29 || label == labels.end())
               Json::Fail("fields in ascending order, and labels of protobuf");
            if (scalar != scalars.end()) {
               field.fWire = scalar->second.first;
               field.fStorage = scalar->second.second;
               field.fZigzag = scalar->first.front() == 's' && field.fWire == kVarint;
            } else if (message != names.end()) {
               field.fMessage = static_cast<int>(message - names.begin());
            } else {
               Json::Fail("a type, not " + item.fItems[2].fText);
            }
            field.fName = item.fItems[1].String();
            field.fLabel = label->second;
            if (field.fLabel == Label::kPacked && field.fWire == kLen)
               Json::Fail("packed fields to hold numbers");
            if (field.fLabel == Label::kOptional && field.fMessage < 0)
               field.fBit = bit++;
            const unsigned wire = field.fLabel == Label::kPacked ? kLen : field.fWire;
            field.fTag = static_cast<std::uint32_t>(number << 3 | wire);
            field.fCode = static_cast<std::uint32_t>(fCodes.size());
            fCodes.emplace_back(static_cast<int>(type), static_cast<int>(fTypes.back().fFields.size()));
            fTypes.back().fFields.push_back(field);
            last = number;
         }
         if (bit > 64)
            Json::Fail("at most 64 optional fields");
      }
   }
   int Find(const std::string &name) const
   {
      for (std::size_t i = 0; i < fTypes.size(); ++i)
         if (fTypes[i].fName == name)
            return static_cast<int>(i);
      return -1;
   }
   /// The field of that name, or null.
   const Field *Find(int type, const std::string &name) const
   {
      if (type >= 0)
         for (const Field &field : fTypes[type].fFields)
            if (field.fName == name)
               return &field;
      return nullptr;
   }
};

} // namespace onnxroot::detail

#endif
