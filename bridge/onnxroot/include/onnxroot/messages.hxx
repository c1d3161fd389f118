/// \file messages.hxx
/// \brief Who holds whom among the messages (§4.2).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_MESSAGES_HXX
#define ONNXROOT_MESSAGES_HXX

#include "stored.hxx"

#include <cstdint>
#include <string>
#include <vector>

namespace onnxroot::detail {

/// The rows of the messages that a field of a message holds.
inline std::vector<std::uint64_t> Children(Stored &stored, int type, std::uint64_t row, const std::string &name)
{
   std::vector<std::uint64_t> rows;
   const Field *const field = stored.Types().Find(type, name);
   const Table *const table = field ? stored.Find(field->fMessage) : nullptr;
   for (std::uint64_t i = 0; table && i < table->fNRows; ++i)
      if (table->Bits("parent", i) == row && table->Bits("parent_field", i) == field->fCode)
         rows.push_back(i);
   return rows;
}
/// The row of the model's own graph, or a row that there is not.
inline std::uint64_t MainGraph(Stored &stored)
{
   const auto rows = Children(stored, stored.Types().Find("ModelProto"), 0, "graph");
   return rows.empty() ? ~std::uint64_t(0) : rows.front();
}

} // namespace onnxroot::detail

#endif
