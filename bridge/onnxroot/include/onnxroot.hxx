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
/// Written from FORMAT.md, whose sections the comments cite. Needs ROOT's libraries Core and RIO (tried
/// with ROOT 6.40) and a little-endian machine. Every failure is an onnxroot::Error; callbacks and
/// allocations may throw their own exceptions. What is read is checked against the digests in the file,
/// so a damaged file gives an Error, and never wrong data.
///
/// ROOT decompresses, and opens remote files. Directories and RNTuples are read here, because ROOT's
/// own readers of them check no digest, and end the process where a damaged number leads them astray.
///
/// A Model is not to be used from several threads at once; two models may be.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_HXX
#define ONNXROOT_HXX

#include "onnxroot/error.hxx"
#include "onnxroot/limits.hxx"
#include "onnxroot/rebuild.hxx"
#include "onnxroot/root_file.hxx"
#include "onnxroot/save.hxx"
#include "onnxroot/signature.hxx"
#include "onnxroot/stored.hxx"
#include "onnxroot/tensors.hxx"
#include "onnxroot/values.hxx"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <ostream>
#include <string>
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
   ///
   /// Limits say how much the file may ask for; raise them if you trust its author.
   explicit Model(const std::string &file, const std::string &directory = "", const Limits &limits = {})
      : fStored(std::make_unique<detail::Stored>(file, Trim(directory), limits))
   {
   }

   /// What the model says of itself.
   const ManifestInfo &Manifest() const { return fStored->Manifest(); }
   /// The model's directory in the file.
   const std::string &Directory() const { return fStored->Location().fModel; }

   /// The ONNX file.
   std::string Serialize(bool verify = true)
   {
      std::string onnx;
      detail::Rebuild(
         *fStored, [&](const char *data, std::size_t n) { onnx.append(data, n); }, verify,
         [&](std::uint64_t nbytes) { onnx.reserve(static_cast<std::size_t>(nbytes)); });
      return onnx;
   }
   /// Hand on the ONNX file in pieces; it is right only once this returns, for the SHA-256 comes last.
   void Serialize(const Sink &sink, bool verify = true)
   {
      detail::Rebuild(*fStored, sink, verify, [](std::uint64_t) {});
   }
   void Serialize(std::ostream &out, bool verify = true)
   {
      Serialize(Sink([&](const char *data, std::size_t n) { out.write(data, static_cast<std::streamsize>(n)); }),
                verify);
      if (!out)
         fStored->Location().Fail("", "to write the model", "a failure of the stream", "is the disk full?");
   }
   std::string Serialize(const char *) = delete; // a path is for Save
   /// Write the ONNX file to memory of exactly `Manifest().fNBytes` bytes.
   void SerializeTo(void *buffer, std::size_t nbytes, bool verify = true)
   {
      if (nbytes != Manifest().fNBytes)
         fStored->Location().Fail("", "a buffer of " + std::to_string(Manifest().fNBytes) + " bytes",
                                  "one of " + std::to_string(nbytes), "Manifest().fNBytes tells the length");
      auto *next = static_cast<char *>(buffer);
      Serialize(Sink([&](const char *data, std::size_t n) {
                   std::memcpy(next, data, n);
                   next += n;
                }),
                verify);
   }
   /// Hand on an external file in pieces, as Serialize does the ONNX file.
   void SerializeExternal(const std::string &location, const Sink &sink, bool verify = true)
   {
      detail::RebuildExternal(*fStored, location, sink, verify);
   }
   /// Write the ONNX file, and its external files below the same folder.
   ///
   /// All are written under other names first: where this fails, the folder is as it was, unless the
   /// last step, in which they get their own, fails half-way.
   void Save(const std::string &path, bool overwrite = false)
   {
      detail::SaveAll(fStored->Location(), path, Manifest().fExternalFiles, overwrite,
                      [&](const std::string &location, const Sink &sink) {
                         location.empty() ? Serialize(sink) : SerializeExternal(location, sink);
                      });
   }

   /// The names of the initializers, those of the main graph first.
   std::vector<std::string> TensorNames() { return fTensors.Names(); }
   /// Element type and shape of an initializer.
   TensorInfo GetTensorInfo(const std::string &name) { return fTensors.Info(name); }
   /// The elements of an initializer, wherever the model keeps them: external files included.
   ///
   /// \tparam T float, double, std::string, std::complex, or an integer of the element type's width and
   /// sign. Types that C++ lacks come as their bits: FLOAT16 and BFLOAT16 as std::uint16_t; BOOL, 8-bit
   /// floats, and integers and floats of less than 8 bits, one element to a byte, as std::uint8_t.
   template <typename T>
   Tensor<T> GetTensor(const std::string &name)
   {
      return fTensors.Get<T>(name);
   }
   /// The inputs of the main graph, initializers among them included.
   std::vector<Value> Inputs() { return detail::Signature(*fStored).Values("input"); }
   /// The outputs of the main graph.
   std::vector<Value> Outputs() { return detail::Signature(*fStored).Values("output"); }

private:
   static std::string Trim(const std::string &directory)
   {
      const auto first = directory.find_first_not_of('/'), last = directory.find_last_not_of('/');
      return first == std::string::npos ? "" : directory.substr(first, last - first + 1);
   }
   std::unique_ptr<detail::Stored> fStored; // RNTuples in it know its address
   detail::Tensors fTensors{*fStored};
};

} // namespace onnxroot

#endif
