/// \file onnxroot.hxx
/// \brief ONNX models out of ROOT files, in plain C++17 and ROOT: no Python, protobuf or onnx.
///
/// \code
/// onnxroot::Model model{"models.root", "tagger"};
/// std::string onnx = model.Serialize();                       // the ONNX file, bit for bit
/// auto weight = model.GetTensor<float>("conv1.weight");       // reads that tensor alone
/// model.Save("tagger.onnx");                                  // and its external files
/// \endcode
///
/// Written from FORMAT.md, whose sections the comments cite. Needs ROOT's Core, RIO and ROOTNTuple
/// libraries (tried with ROOT 6.40) and a little-endian machine. Every failure is an
/// onnxroot::Error; callbacks and allocations may throw their own exceptions. What is read is checked
/// against the digests in the file, so a damaged file gives an Error, and never wrong data.
///
/// ROOT finds the RNTuples, but their pages are read here: where a damaged number leads ROOT's own
/// views out of a page, they end the process; and none of them checks a digest.
///
/// A Model is not to be used from several threads at once; two models may be.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_HXX
#define ONNXROOT_HXX

#include "onnxroot/canonical.hxx"
#include "onnxroot/deviation.hxx"
#include "onnxroot/elements.hxx"
#include "onnxroot/error.hxx"
#include "onnxroot/output.hxx"
#include "onnxroot/root_file.hxx"
#include "onnxroot/schema.hxx"
#include "onnxroot/spec.hxx"
#include "onnxroot/stored.hxx"
#include "onnxroot/values.hxx"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace onnxroot {

/// The models in a ROOT file, in directories at any depth.
inline std::vector<std::string> ListModels(const std::string &file)
{
   return detail::RootFile(file).Models();
}

/// A model in a ROOT file; tables and tensors are read when they are asked for.
class Model {
public:
   /// Open a model; without a directory, the only one in the file.
   explicit Model(const std::string &file, const std::string &directory = "") : fStored(file, Trim(directory)) {}

   /// What the model says of itself.
   const ManifestInfo &Manifest() const { return fStored.Manifest(); }
   /// The model's directory in the file.
   const std::string &Directory() const { return fStored.Location().fModel; }

   /// The ONNX file.
   std::string Serialize(bool verify = true)
   {
      std::string onnx;
      Rebuild([&](const char *data, std::size_t n) { onnx.append(data, n); }, verify,
              [&](std::uint64_t nbytes) { onnx.reserve(static_cast<std::size_t>(nbytes)); });
      return onnx;
   }
   /// Hand on the ONNX file in pieces; it is right only once this returns, for the SHA-256 comes last.
   void Serialize(const Sink &sink, bool verify = true) { Rebuild(sink, verify, [](std::uint64_t) {}); }
   void Serialize(std::ostream &out, bool verify = true)
   {
      Serialize(Sink([&](const char *data, std::size_t n) { out.write(data, static_cast<std::streamsize>(n)); }), verify);
      if (!out)
         fStored.Location().Fail("", "to write the model", "a failure of the stream", "is the disk full?");
   }
   /// Hand on an external file in pieces, as Serialize does the ONNX file.
   void SerializeExternal(const std::string &location, const Sink &sink, bool verify = true)
   {
      const ExternalFile &file = External(location);
      const auto segments = Segments(file);
      Checked(sink, verify, file.fNBytes, file.fSha256, location, [&](auto &&write) {
         for (const Segment &segment : segments)
            fStored.WritePayload(segment.fPayload, 0, segment.fNBytes, write);
      });
   }
   /// Write the ONNX file, and its external files below the same folder.
   ///
   /// Nothing is left behind where this fails, unless `overwrite` replaced some files before.
   void Save(const std::string &path, bool overwrite = false)
   {
      namespace fs = std::filesystem;
      const fs::path target(path), folder = target.parent_path();
      std::vector<std::pair<fs::path, std::string>> files; // place, and location or nothing
      for (const ExternalFile &file : Manifest().fExternalFiles)
         files.emplace_back(folder / CheckedLocation(file.fLocation), file.fLocation);
      files.emplace_back(target, "");
      std::set<std::string> places;
      for (const auto &[place, location] : files) {
         if (!places.insert(place.lexically_normal().string()).second)
            fStored.Location().Fail(location, "a file for itself", "another of that name", "choose another name");
         RefuseLinks(folder, location);
         if (!overwrite && fs::symlink_status(place).type() != fs::file_type::not_found)
            fStored.Location().Fail("", "no file " + place.string(), "one", "remove it, or overwrite it");
      }
      std::vector<Written> written;
      for (const auto &[place, location] : files) {
         std::error_code failed;
         if (place.has_parent_path())
            fs::create_directories(place.parent_path(), failed);
         RefuseLinks(folder, location);
         written.emplace_back(place, fStored.Location());
         const Sink sink = [&](const char *data, std::size_t n) { written.back().Write(data, n); };
         if (location.empty())
            Serialize(sink);
         else
            SerializeExternal(location, sink);
         written.back().Close();
      }
      for (Written &file : written)
         file.Commit(overwrite);
   }

   /// The names of the initializers, those of the main graph first.
   std::vector<std::string> TensorNames()
   {
      FindTensors();
      return fTensorNames;
   }
   /// The elements of an initializer.
   ///
   /// \tparam T float, double, an integer of the element type's width and sign, or std::complex. BOOL
   /// and 8-bit floats come as std::uint8_t, FLOAT16 and BFLOAT16 as std::uint16_t: their bits; types
   /// of less than 8 bits as std::uint8_t, packed as in ONNX.
   template <typename T>
   Tensor<T> GetTensor(const std::string &name)
   {
      static_assert(std::is_trivially_copyable_v<T> && !std::is_same_v<T, bool>, "see the documentation");
      const std::uint64_t row = FindTensor(name);
      const detail::Table &table = *fStored.Find("TensorProto");
      Tensor<T> tensor;
      tensor.fElementType = static_cast<int>(table.Bits("data_type", row));
      const detail::ElementType &element = detail::ElementOf(tensor.fElementType);
      const std::string found = *element.fName ? element.fName : "data_type " + std::to_string(tensor.fElementType);
      if (!detail::Fits<T>(element))
         fStored.Location().Fail("tensor " + name, "elements that the C++ type holds", found, "ask for another type");
      std::uint64_t n = 1;
      if (const detail::Column *const dims = table.Find("dims"))
         for (std::uint64_t i = dims->fOffsets[0][row]; i < dims->fOffsets[0][row + 1]; ++i) {
            const std::uint64_t dim = dims->Bits(i);
            tensor.fShape.push_back(static_cast<std::int64_t>(dim));
            if (dim >> 62 || (dim > 0 && n > detail::kMaxNBytes / 256 / dim))
               fStored.Location().Fail("tensor " + name, "dimensions", "negative or very large ones", kMalformed);
            n *= dim;
         }
      const std::uint64_t nbytes = n / 8 * element.fBits + (n % 8 * element.fBits + 7) / 8;
      const auto pieces = Pieces(name, row, element);
      std::uint64_t stored = 0;
      for (const Piece &piece : pieces)
         stored += piece.fStop - piece.fStart;
      if (stored != nbytes)
         fStored.Location().Fail("tensor " + name, std::to_string(nbytes) + " bytes by its shape", std::to_string(stored),
                                 kMalformed);
      std::uint64_t done = 0;
      for (const Piece &piece : pieces) {
         // The first look at a piece makes sure that the file holds its values, before memory is taken.
         fStored.WritePayload(piece.fPayload, piece.fStart, piece.fStop, [&](const char *data, std::size_t size) {
            tensor.fValues.resize(static_cast<std::size_t>(nbytes / sizeof(T)));
            std::memcpy(reinterpret_cast<char *>(tensor.fValues.data()) + done, data, size);
            done += size;
         });
      }
      return tensor;
   }
   /// The inputs of the main graph, initializers among them included.
   std::vector<Value> Inputs() { return Values("input"); }
   /// The outputs of the main graph.
   std::vector<Value> Outputs() { return Values("output"); }

private:
   static constexpr const char *kMalformed = "the model is malformed";
   struct Piece {
      std::size_t fPayload;
      std::uint64_t fStart, fStop;
   };
   struct Segment {
      std::size_t fPayload;
      std::uint64_t fOffset, fNBytes;
   };
   static std::string Trim(const std::string &directory)
   {
      const auto first = directory.find_first_not_of('/'), last = directory.find_last_not_of('/');
      return first == std::string::npos ? "" : directory.substr(first, last - first + 1);
   }

   // --- files

   template <typename F>
   void Rebuild(const Sink &sink, bool verify, F &&reserve)
   {
      detail::Canonical canonical(fStored);
      const detail::Deviation deviation(fStored.Location(), fStored.Find("ModelProto")->Text("deviation", 0),
                                        canonical.NBytes());
      fStored.Forget(); // from here on the skeleton has it all
      const ManifestInfo &manifest = Manifest();
      if (deviation.NBytes() != manifest.fNBytes)
         fStored.Location().Fail("", std::to_string(manifest.fNBytes) + " bytes", std::to_string(deviation.NBytes()));
      reserve(manifest.fNBytes);
      Checked(sink, verify, manifest.fNBytes, manifest.fSha256, "",
              [&](auto &&write) { deviation.Write(canonical, write); });
   }
   template <typename F>
   void Checked(const Sink &sink, bool verify, std::uint64_t nbytes, const std::string &sha256, const std::string &part,
                F &&produce)
   {
      detail::Output output(sink, verify);
      std::uint64_t written = 0;
      produce([&](const char *data, std::size_t n) {
         output.Write(data, n);
         written += n;
      });
      const std::string found = output.Finish();
      if (written != nbytes)
         fStored.Location().Fail(part, std::to_string(nbytes) + " bytes", std::to_string(written));
      if (verify && found != sha256)
         fStored.Location().Fail(part, "the SHA-256 " + sha256, found);
   }
   const ExternalFile &External(const std::string &location) const
   {
      for (const ExternalFile &file : Manifest().fExternalFiles)
         if (file.fLocation == location)
            return file;
      fStored.Location().Fail(location, "an external file of the model", "none of that name", "Manifest() names them");
   }
   /// How an external file is cut (§6.2).
   std::vector<Segment> Segments(const ExternalFile &file)
   {
      std::vector<Segment> segments;
      const detail::Payloads &index = fStored.Index();
      const detail::Table *const table = fStored.Find("ExternalSegment");
      std::uint64_t end = 0;
      for (std::uint64_t row = 0; table && row < table->fNRows; ++row) {
         if (table->Text("location", row) != file.fLocation)
            continue;
         const std::uint64_t payload = index.fNInside + row, nbytes = table->Bits("nbytes", row);
         fStored.Location().Need(payload < index.fRow.size() && index.fRow[payload] == row && nbytes > 0 &&
                                    index.fNBytes[payload] == nbytes && table->Bits("offset", row) == end,
                                 "ExternalSegment", "segments without gaps, and a payload for each", "others");
         segments.push_back({static_cast<std::size_t>(payload), end, nbytes});
         end += nbytes;
      }
      if (end != file.fNBytes)
         fStored.Location().Fail(file.fLocation, std::to_string(file.fNBytes) + " bytes", std::to_string(end));
      return segments;
   }
   /// A location that leads to a place below the folder (§6.1).
   const std::string &CheckedLocation(const std::string &location) const
   {
      bool good = location.find_first_of(std::string("\\\0:", 3)) == std::string::npos;
      for (std::size_t first = 0; good && first <= location.size();) {
         const std::size_t end = std::min(location.find('/', first), location.size());
         const std::string part = location.substr(first, end - first);
         good = !part.empty() && part != "." && part != "..";
         first = end + 1;
      }
      if (!good)
         fStored.Location().Fail("", "an external file below the model's folder", "'" + location + "'",
                                 "it is not written");
      return location;
   }
   void RefuseLinks(const std::filesystem::path &folder, const std::string &location) const
   {
      for (std::size_t end = location.find('/'); end != std::string::npos; end = location.find('/', end + 1))
         if (std::filesystem::is_symlink(std::filesystem::symlink_status(folder / location.substr(0, end))))
            fStored.Location().Fail("", "folders at " + location, "a symbolic link", "it is not written through");
   }
   /// A file under another name until it is whole.
   class Written {
   public:
      Written(const std::filesystem::path &place, const detail::Where &where)
         : fPlace(place), fPart(place.string() + ".part"), fWhere(where), fFile(std::fopen(fPart.string().c_str(), "wbx"))
      {
         if (!fFile)
            Fail("to create it", "a failure");
      }
      Written(Written &&other) noexcept
         : fPlace(std::move(other.fPlace)), fPart(std::move(other.fPart)), fWhere(std::move(other.fWhere)),
           fFile(std::exchange(other.fFile, nullptr)), fOwns(std::exchange(other.fOwns, false))
      {
      }
      Written &operator=(Written &&) = delete;
      ~Written()
      {
         if (fFile)
            std::fclose(fFile);
         if (fOwns)
            std::remove(fPart.string().c_str());
      }
      void Write(const char *data, std::size_t n)
      {
         if (std::fwrite(data, 1, n, fFile) != n)
            Fail("to write it", "a failure");
      }
      void Close()
      {
         if (std::fclose(std::exchange(fFile, nullptr)) != 0)
            Fail("to write it", "a failure");
      }
      void Commit(bool overwrite)
      {
         std::error_code failed;
         if (!overwrite && std::filesystem::symlink_status(fPlace).type() != std::filesystem::file_type::not_found)
            Fail("no file", "one");
         std::filesystem::rename(fPart, fPlace, failed);
         if (failed)
            Fail("to name it", failed.message());
         fOwns = false;
      }

   private:
      [[noreturn]] void Fail(const std::string &expected, const std::string &found) const
      {
         fWhere.Fail("", expected + ": " + fPlace.string(), found, "is the folder writable and the disk not full?");
      }
      std::filesystem::path fPlace, fPart;
      detail::Where fWhere;
      std::FILE *fFile;
      bool fOwns = true;
   };

   // --- tensors

   void FindTensors()
   {
      if (!fTensors.empty())
         return;
      const detail::Table *const table = fStored.Find("TensorProto");
      const detail::Field *const field = fStored.Types().Find(fStored.Types().Find("GraphProto"), "initializer");
      const std::uint64_t main = MainGraph();
      for (const bool inMain : {true, false})
         for (std::uint64_t row = 0; table && field && row < table->fNRows; ++row)
            if (table->Bits("parent_field", row) == field->fCode && (table->Bits("parent", row) == main) == inMain &&
                fTensors.emplace(table->Text("name", row), row).second)
               fTensorNames.push_back(table->Text("name", row));
   }
   std::uint64_t FindTensor(const std::string &name)
   {
      FindTensors();
      const auto found = fTensors.find(name);
      if (found == fTensors.end())
         fStored.Location().Fail("", "an initializer '" + name + "'", "none", "TensorNames() lists them");
      return found->second;
   }
   /// Where the elements of a tensor are.
   std::vector<Piece> Pieces(const std::string &name, std::uint64_t row, const detail::ElementType &element)
   {
      const int type = fStored.Types().Find("TensorProto");
      if (fStored.Find(type)->Bits("data_location", row) == 1)
         return ExternalPieces(name, row);
      std::vector<Piece> pieces;
      const detail::Payloads &index = fStored.Index();
      for (std::size_t i = 0; i < index.fNInside; ++i) {
         const auto [holder, position] = fStored.Types().fCodes[index.fField[i]];
         const std::string &field = fStored.Types().fTypes[holder].fFields[position].fName;
         if (holder != type || index.fRow[i] != row || field == "doc_string" || field == "name")
            continue;
         if (!pieces.empty() || static_cast<int>(index.fStorage[i]) != element.fStorage ||
             (field != "raw_data" && field != element.fField))
            fStored.Location().Fail("tensor " + name, std::string("elements of ") + element.fName, "others in " + field,
                                    kMalformed);
         pieces.push_back({i, 0, 0});
         pieces.back().fStop = index.fNValues[i] * detail::InfoOf(element.fStorage).fSize;
      }
      return pieces;
   }
   std::vector<Piece> ExternalPieces(const std::string &name, std::uint64_t row)
   {
      std::map<std::string, std::string> entries;
      const detail::Field *const field = fStored.Types().Find(fStored.Types().Find("TensorProto"), "external_data");
      const detail::Table *const table = fStored.Find("StringStringEntryProto");
      for (std::uint64_t i = 0; table && field && i < table->fNRows; ++i)
         if (table->Bits("parent", i) == row && table->Bits("parent_field", i) == field->fCode)
            entries[table->Text("key", i)] = table->Text("value", i);
      auto number = [&](const char *key, std::uint64_t none) {
         const auto found = entries.find(key);
         if (found == entries.end())
            return none;
         const std::string &text = found->second;
         if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
            fStored.Location().Fail("tensor " + name, std::string("a byte count as ") + key, "'" + text + "'", kMalformed);
         return static_cast<std::uint64_t>(std::stoull(text));
      };
      std::string location; // without parts that are '.' or empty
      for (const auto &part : std::filesystem::path(entries["location"]))
         if (part != "." && !part.empty())
            location += (location.empty() ? "" : "/") + part.string();
      const ExternalFile &file = External(location);
      const std::uint64_t start = number("offset", 0);
      const std::uint64_t length = number("length", file.fNBytes - std::min(start, file.fNBytes));
      if (start > file.fNBytes || length > file.fNBytes - start)
         fStored.Location().Fail("tensor " + name, "elements within " + location, "others", kMalformed);
      std::vector<Piece> pieces;
      for (const Segment &segment : Segments(file)) {
         const std::uint64_t from = std::max(start, segment.fOffset);
         const std::uint64_t to = std::min(start + length, segment.fOffset + segment.fNBytes);
         if (from < to)
            pieces.push_back({segment.fPayload, from - segment.fOffset, to - segment.fOffset});
      }
      return pieces;
   }

   // --- inputs and outputs

   /// The rows of the messages that a field of a message holds.
   std::vector<std::uint64_t> Children(int type, std::uint64_t row, const std::string &name)
   {
      std::vector<std::uint64_t> rows;
      const detail::Field *const field = fStored.Types().Find(type, name);
      const detail::Table *const table = field ? fStored.Find(field->fMessage) : nullptr;
      for (std::uint64_t i = 0; table && i < table->fNRows; ++i)
         if (table->Bits("parent", i) == row && table->Bits("parent_field", i) == field->fCode)
            rows.push_back(i);
      return rows;
   }
   std::uint64_t MainGraph()
   {
      const auto rows = Children(fStored.Types().Find("ModelProto"), 0, "graph");
      return rows.empty() ? ~std::uint64_t(0) : rows.front();
   }
   std::vector<Value> Values(const std::string &name)
   {
      const detail::Schema &types = fStored.Types();
      const int info = types.Find("ValueInfoProto"), type = types.Find("TypeProto");
      std::vector<Value> values;
      for (const std::uint64_t row : Children(types.Find("GraphProto"), MainGraph(), name)) {
         values.emplace_back();
         values.back().fName = fStored.Find(info)->Text("name", row);
         for (const std::uint64_t inner : Children(info, row, "type"))
            for (const detail::Field &field : types.fTypes[type].fFields)
               for (const std::uint64_t kind : Children(type, inner, field.fName))
                  SetType(values.back(), field, kind);
      }
      return values;
   }
   void SetType(Value &value, const detail::Field &field, std::uint64_t row)
   {
      const bool sparse = field.fName == "sparse_tensor_type";
      if (field.fName != "tensor_type" && !sparse) {
         value.fTypeName = field.fName.substr(0, field.fName.rfind("_type"));
         return;
      }
      value.fElementType = static_cast<int>(fStored.Find(field.fMessage)->Bits("elem_type", row));
      const std::string name = detail::ElementOf(value.fElementType).fName;
      value.fTypeName = (sparse ? "sparse " : "") + (name.empty() ? "data_type " + std::to_string(value.fElementType) : name);
      const int shape = fStored.Types().Find("TensorShapeProto"), dim = fStored.Types().Find("TensorShapeProto_Dimension");
      const detail::Field *const size = fStored.Types().Find(dim, "dim_value");
      for (const std::uint64_t outer : Children(field.fMessage, row, "shape")) {
         value.fShape.emplace();
         for (const std::uint64_t inner : Children(shape, outer, "dim")) {
            const detail::Table &table = *fStored.Find(dim);
            Dimension dimension;
            if (size && size->fBit >= 0 && table.Bits("presence", inner) >> size->fBit & 1)
               dimension.fValue = static_cast<std::int64_t>(table.Bits("dim_value", inner));
            else
               dimension.fName = table.Text("dim_param", inner);
            value.fShape->push_back(dimension);
         }
      }
   }

   detail::Stored fStored;
   std::map<std::string, std::uint64_t> fTensors;
   std::vector<std::string> fTensorNames;
};

} // namespace onnxroot

#endif
