/// \file deviation.hxx
/// \brief The deviation from the canonical form (§7).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_DEVIATION_HXX
#define ONNXROOT_DEVIATION_HXX

#include "canonical.hxx"
#include "error.hxx"
#include "schema.hxx"
#include "spec.hxx"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// The edits that make the ONNX file of its canonical form (§7).
class Deviation {
public:
   Deviation(const Where &where, std::string text, std::uint64_t canonicalNBytes) : fText(std::move(text))
   {
      if (fText.empty()) {
         fEdits.push_back({0, canonicalNBytes, 0});
         fNBytes = canonicalNBytes;
         return;
      }
      std::array<std::vector<std::uint64_t>, 3> numbers;
      std::size_t position = 0;
      bool good = true;
      for (std::size_t field = 0; field < 4 && good; ++field) {
         good = position < fText.size() && fText[position] == static_cast<char>((field + 1) << 3 | kLen);
         ++position;
         const std::uint64_t nbytes = good ? Read(position, fText.size(), good) : 0;
         good = good && nbytes <= fText.size() - position;
         if (!good)
            break;
         const std::size_t end = position + static_cast<std::size_t>(nbytes);
         fLiterals = position;
         while (field < 3 && good && position < end)
            numbers[field].push_back(Read(position, end, good));
         position = end;
      }
      good = good && position == fText.size() && numbers[0].size() == numbers[1].size() &&
             numbers[0].size() == numbers[2].size();
      std::uint64_t literals = 0;
      for (std::size_t i = 0; good && i < numbers[0].size(); ++i) {
         const Edit edit{numbers[0][i], numbers[1][i], numbers[2][i]};
         good = edit.fStart <= canonicalNBytes && edit.fNBytes <= canonicalNBytes - edit.fStart &&
                edit.fLiteral <= fText.size() - fLiterals - literals && fNBytes < kMaxNBytes - edit.fNBytes;
         literals += edit.fLiteral;
         fNBytes += edit.fNBytes + edit.fLiteral;
         fEdits.push_back(edit);
      }
      where.Need(good && literals == fText.size() - fLiterals, "ModelProto.deviation", "edits of the model", "others");
   }
   std::uint64_t NBytes() const { return fNBytes; }
   template <typename F>
   void Write(Canonical &canonical, F &&write) const
   {
      const char *literal = fText.data() + fLiterals;
      for (const Edit &edit : fEdits) {
         canonical.Write(edit.fStart, edit.fStart + edit.fNBytes, write);
         write(literal, static_cast<std::size_t>(edit.fLiteral));
         literal += edit.fLiteral;
      }
   }

private:
   struct Edit {
      std::uint64_t fStart, fNBytes, fLiteral;
   };
   std::uint64_t Read(std::size_t &position, std::size_t end, bool &good) const
   {
      std::uint64_t value = 0;
      for (int shift = 0; shift < 64; shift += 7) {
         if (position >= end)
            break;
         const auto byte = static_cast<unsigned char>(fText[position++]);
         value |= std::uint64_t(byte & 0x7F) << shift;
         if (byte < 0x80)
            return value;
      }
      good = false;
      return 0;
   }
   std::string fText;
   std::vector<Edit> fEdits;
   std::size_t fLiterals = 0;
   std::uint64_t fNBytes = 0;
};

} // namespace onnxroot::detail

#endif
