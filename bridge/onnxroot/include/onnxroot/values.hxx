/// \file values.hxx
/// \brief What a model gives: values, tensors, external files, the manifest.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_VALUES_HXX
#define ONNXROOT_VALUES_HXX

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace onnxroot {

/// Receives bytes piece by piece, in order.
using Sink = std::function<void(const char *data, std::size_t nbytes)>;

/// One dimension of an input or output.
struct Dimension {
   std::optional<std::int64_t> fValue; ///< its size, if the model gives one
   std::string fName;                  ///< otherwise its name; empty if it is unknown
};

/// An input or output of a model.
struct Value {
   std::string fName;
   int fElementType = 0;                         ///< `TensorProto.DataType`; 0 if it is no tensor
   std::string fTypeName;                        ///< ONNX's name of it, or `sequence(FLOAT)` ...; may be empty
   std::optional<std::vector<Dimension>> fShape; ///< nothing where the rank is unknown
};

/// What an initializer is, without its elements.
struct TensorInfo {
   std::string fName;
   int fElementType = 0;  ///< `TensorProto.DataType`
   std::string fTypeName; ///< ONNX's name of it, such as `FLOAT`
   std::vector<std::int64_t> fShape;
};

/// The elements of a tensor, last dimension fastest.
template <typename T>
struct Tensor {
   std::vector<std::int64_t> fShape;
   int fElementType = 0; ///< `TensorProto.DataType`
   std::vector<T> fValues;
};

/// An external file of a model.
struct ExternalFile {
   std::string fLocation; ///< path relative to the ONNX file's folder
   std::uint64_t fNBytes = 0;
   std::string fSha256;
};

/// What a model says of itself (FORMAT §3).
struct ManifestInfo {
   std::string fText; ///< the JSON text, whole
   std::uint64_t fFormatVersion = 0;
   std::uint64_t fNBytes = 0; ///< of the ONNX file
   std::string fSha256;       ///< of the ONNX file
   std::vector<ExternalFile> fExternalFiles;
   std::map<std::string, std::string> fProvenance;
   std::map<std::string, std::string> fMetadata;
};

} // namespace onnxroot

#endif
