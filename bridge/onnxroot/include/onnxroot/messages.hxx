/// \file messages.hxx
/// \brief Who holds whom among the messages (§4.2).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_MESSAGES_HXX
#define ONNXROOT_MESSAGES_HXX

#include "schema.hxx"
#include "stored.hxx"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace onnxroot::detail {

/// The messages that a field of a message holds; each table is sorted by parents once.
class Messages {
public:
   explicit Messages(Stored &stored) : fStored(&stored) {}

   /// Their rows in the table of the field's type.
   std::vector<std::uint64_t> Held(const Field *field, std::uint64_t row)
   {
      std::vector<std::uint64_t> rows;
      if (!field || field->fMessage < 0)
         return rows;
      const auto &links = Links(field->fMessage);
      auto link = std::lower_bound(links.begin(), links.end(), Link(field->fCode, row, 0));
      for (; link != links.end() && std::get<0>(*link) == field->fCode && std::get<1>(*link) == row; ++link)
         rows.push_back(std::get<2>(*link));
      return rows;
   }
   const Field *FieldOf(int type, const char *name) const { return fStored->Types().Find(type, name); }
   const Field *FieldOf(const char *type, const char *name) const { return FieldOf(fStored->Types().Find(type), name); }
   /// The row of the model's own graph, or one that there is not.
   std::uint64_t MainGraph()
   {
      const auto rows = Held(FieldOf("ModelProto", "graph"), 0);
      return rows.empty() ? ~std::uint64_t(0) : rows.front();
   }

private:
   using Link = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>; // code of the field, parent, row
   const std::vector<Link> &Links(int type)
   {
      const auto known = fLinks.find(type);
      if (known != fLinks.end())
         return known->second;
      auto &links = fLinks[type];
      const Table *const table = fStored->Find(type);
      for (std::uint64_t row = 0; table && row < table->fNRows; ++row)
         links.emplace_back(table->Bits("parent_field", row), table->Bits("parent", row), row);
      std::sort(links.begin(), links.end());
      return links;
   }
   Stored *fStored;
   std::map<int, std::vector<Link>> fLinks; ///< by message type
};

} // namespace onnxroot::detail

#endif
