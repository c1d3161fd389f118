/// \file error.hxx
/// \brief The exception of this library, and where it happened.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_ERROR_HXX
#define ONNXROOT_ERROR_HXX

#include <stdexcept>
#include <string>
#include <utility>

namespace onnxroot {

namespace detail {

/// A text for messages, which may hold names from anywhere: control characters become escapes.
inline std::string Printable(const std::string &text)
{
   std::string printable;
   for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte >= 0x20 && byte != 0x7F)
         printable += c;
      else
         printable += {'\\', 'x', "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
   }
   return printable;
}

} // namespace detail

/// Whatever can be wrong with a file, a model or a request.
class Error : public std::runtime_error {
public:
   Error(std::string file, std::string model, const std::string &part, std::string expected, std::string found,
         const std::string &advice = "")
      : std::runtime_error(detail::Printable(file + (model.empty() ? "" : ":" + model) +
                                             (part.empty() ? "" : "/" + part) + ": expected " + expected + ", found " +
                                             found + (advice.empty() ? "" : "; " + advice))),
        fFile(std::move(file)), fModel(std::move(model)), fExpected(std::move(expected)), fFound(std::move(found))
   {
   }
   const std::string &File() const { return fFile; }         ///< path of the ROOT file
   const std::string &ModelName() const { return fModel; }   ///< the model's directory in it
   const std::string &Expected() const { return fExpected; } ///< what should have been there
   const std::string &Found() const { return fFound; }       ///< what was there instead

private:
   std::string fFile, fModel, fExpected, fFound;
};

namespace detail {

/// Where a model is, for messages.
struct Where {
   std::string fFile, fModel;
   [[noreturn]] void Fail(const std::string &part, const std::string &expected, const std::string &found,
                          const std::string &advice = "the file is damaged") const
   {
      throw Error(fFile, fModel, part, expected, found, advice);
   }
   void Need(bool condition, const std::string &part, const char *expected, const char *found) const
   {
      if (!condition)
         Fail(part, expected, found);
   }
};

} // namespace detail

} // namespace onnxroot

#endif
