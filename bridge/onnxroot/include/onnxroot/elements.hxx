/// \file elements.hxx
/// \brief Storages (§5.2) and ONNX's element types.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_ELEMENTS_HXX
#define ONNXROOT_ELEMENTS_HXX

#include <complex>
#include <cstdint>
#include <string>
#include <type_traits>

namespace onnxroot::detail {

/// What an RNTuple column holds: the storages of §5.2 by number, then the bytes of a string.
enum Storage : int { kUInt8, kInt8, kUInt16, kInt16, kUInt32, kInt32, kUInt64, kInt64, kFloat, kDouble, kText };

struct StorageInfo {
   const char *fName;
   std::uint64_t fSize;
};
inline const StorageInfo &InfoOf(int storage)
{
   static const StorageInfo table[] = {{"uint8", 1},  {"int8", 1},   {"uint16", 2}, {"int16", 2},
                                       {"uint32", 4}, {"int32", 4},  {"uint64", 8}, {"int64", 8},
                                       {"float", 4},  {"double", 8}, {"string", 1}};
   return table[storage];
}

/// An element type of ONNX: `TensorProto.DataType` is its place in the table.
struct ElementType {
   const char *fName;
   int fStorage;
   unsigned fBits;
   const char *fField; ///< of TensorProto, that may hold its elements beside raw_data
};
inline const ElementType &ElementOf(std::int64_t number)
{
   static const char *const f = "float_data", *const i = "int32_data", *const u = "uint64_data";
   static const ElementType table[] = {{"", -1, 0, ""},
                                       {"FLOAT", kFloat, 32, f},
                                       {"UINT8", kUInt8, 8, i},
                                       {"INT8", kInt8, 8, i},
                                       {"UINT16", kUInt16, 16, i},
                                       {"INT16", kInt16, 16, i},
                                       {"INT32", kInt32, 32, i},
                                       {"INT64", kInt64, 64, "int64_data"},
                                       {"STRING", kText, 0, ""},
                                       {"BOOL", kUInt8, 8, i},
                                       {"FLOAT16", kUInt16, 16, i},
                                       {"DOUBLE", kDouble, 64, "double_data"},
                                       {"UINT32", kUInt32, 32, u},
                                       {"UINT64", kUInt64, 64, u},
                                       {"COMPLEX64", kUInt64, 64, f},
                                       {"COMPLEX128", kUInt64, 128, "double_data"},
                                       {"BFLOAT16", kUInt16, 16, i},
                                       {"FLOAT8E4M3FN", kUInt8, 8, i},
                                       {"FLOAT8E4M3FNUZ", kUInt8, 8, i},
                                       {"FLOAT8E5M2", kUInt8, 8, i},
                                       {"FLOAT8E5M2FNUZ", kUInt8, 8, i},
                                       {"UINT4", kUInt8, 4, i},
                                       {"INT4", kUInt8, 4, i},
                                       {"FLOAT4E2M1", kUInt8, 4, i},
                                       {"FLOAT8E8M0", kUInt8, 8, i},
                                       {"UINT2", kUInt8, 2, i},
                                       {"INT2", kUInt8, 2, i},
                                       {"FLOAT6E2M3", kUInt8, 6, i},
                                       {"FLOAT6E3M2", kUInt8, 6, i}};
   constexpr std::int64_t n = sizeof table / sizeof table[0];
   return table[number > 0 && number < n ? number : 0];
}

/// Whether a C++ type holds the elements of an ONNX type, or their bits.
template <typename T>
bool Fits(const ElementType &element)
{
   const std::string name = element.fName;
   if constexpr (std::is_same_v<T, std::string>)
      return name == "STRING";
   else if constexpr (std::is_same_v<T, std::complex<float>>)
      return name == "COMPLEX64";
   else if constexpr (std::is_same_v<T, std::complex<double>>)
      return name == "COMPLEX128";
   else if (element.fBits == 0 || name.rfind("COMPLEX", 0) == 0)
      return false;
   else if constexpr (std::is_floating_point_v<T>)
      return element.fStorage == (sizeof(T) == 4 ? kFloat : kDouble) && sizeof(T) <= 8;
   else
      return element.fStorage < kFloat && InfoOf(element.fStorage).fSize == sizeof(T) &&
             (element.fStorage % 2 == 1) == std::is_signed_v<T>;
}

/// The C++ type that fits.
inline std::string FittingType(const ElementType &element)
{
   const std::string name = element.fName;
   if (name == "STRING")
      return "std::string";
   if (element.fBits == 0)
      return "";
   if (name.rfind("COMPLEX", 0) == 0)
      return name == "COMPLEX64" ? "std::complex<float>" : "std::complex<double>";
   const std::string storage = InfoOf(element.fStorage).fName;
   return element.fStorage >= kFloat ? storage : "std::" + storage + "_t";
}

} // namespace onnxroot::detail

#endif
