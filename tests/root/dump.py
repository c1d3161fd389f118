"""Write every column of a ROOT file's RNTuples as real ROOT reads it; run by test_root.py.

Usage: dump.py FILE TABLES.json FOLDER

TABLES.json lists [number, table, column, C++ type]. For each, NUMBER.reader gets the values that
RNTupleReader sees and NUMBER.frame those of RDataFrame: numbers as they are in memory, the length
of a string or vector as 8 bytes in front of its content.
"""

import json
import sys
from pathlib import Path

import ROOT

CODE = r"""
#include <ROOT/RDataFrame.hxx>
#include <ROOT/RNTupleReader.hxx>
#include <fstream>
#include <string>
#include <type_traits>
#include <vector>

template <typename T> void Put(std::ostream &out, const T &value) {
   if constexpr (std::is_arithmetic_v<T>) {
      out.write(reinterpret_cast<const char *>(&value), sizeof(T));
   } else {
      Put<std::uint64_t>(out, value.size());
      if constexpr (std::is_same_v<T, std::string>)
         out.write(value.data(), value.size());
      else
         for (const auto &element : value)
            Put(out, element);
   }
}

template <typename T>
void DumpReader(const std::string &file, const std::string &table, const std::string &column,
                const std::string &path) {
   auto reader = ROOT::RNTupleReader::Open(table, file);
   auto view = reader->GetView<T>(column);
   std::ofstream out(path, std::ios::binary);
   for (auto row : *reader)
      Put<T>(out, view(row));
}

template <typename T>
void DumpFrame(const std::string &file, const std::string &table, const std::string &column,
               const std::string &path) {
   ROOT::RDataFrame frame(table, file);
   std::ofstream out(path, std::ios::binary);
   frame.Foreach([&out](const T &value) { Put<T>(out, value); }, {column});
}
"""


def main() -> None:
    file, tables, folder = sys.argv[1:]
    ROOT.gInterpreter.Declare(CODE)
    for number, table, column, kind in json.loads(Path(tables).read_text()):
        for name, ending in (("DumpReader", "reader"), ("DumpFrame", "frame")):
            getattr(ROOT, name)[kind](file, table, column, f"{folder}/{number}.{ending}")


main()
