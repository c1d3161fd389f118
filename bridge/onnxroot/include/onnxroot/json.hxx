/// \file json.hxx
/// \brief JSON, as far as the manifest needs it.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_JSON_HXX
#define ONNXROOT_JSON_HXX

#include "spec.hxx"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <set>
#include <string>
#include <vector>

namespace onnxroot::detail {

/// A JSON value; objects keep their order, which gives fields their codes (§3.3).
struct Json {
   enum class Kind { kNull, kTrue, kFalse, kNumber, kString, kArray, kObject };
   Kind fKind = Kind::kNull;
   std::string fText;              ///< of a string, or a number as it stands
   std::vector<Json> fItems;       ///< of an array, or the values of an object
   std::vector<std::string> fKeys; ///< of an object

   [[noreturn]] static void Fail(const std::string &expected) { throw std::invalid_argument(expected); }
   const Json &operator[](const char *key) const
   {
      const auto found = std::find(fKeys.begin(), fKeys.end(), key);
      if (fKind != Kind::kObject || found == fKeys.end())
         Fail(std::string("the key '") + key + "'");
      return fItems[found - fKeys.begin()];
   }
   const Json &Be(Kind kind, const char *what) const
   {
      if (fKind != kind)
         Fail(what);
      return *this;
   }
   const std::string &String() const { return Be(Kind::kString, "a text").fText; }
   const std::vector<Json> &Array() const { return Be(Kind::kArray, "a list").fItems; }
   const Json &Object() const { return Be(Kind::kObject, "an object"); }
   std::uint64_t Count() const
   {
      Be(Kind::kNumber, "a count");
      if (fText.size() > 18 || fText.find_first_not_of("0123456789") != std::string::npos)
         Fail("a count");
      return std::stoull(fText);
   }
   std::map<std::string, std::string> Texts() const
   {
      std::map<std::string, std::string> texts;
      for (std::size_t i = 0; i < Object().fKeys.size(); ++i)
         texts[fKeys[i]] = fItems[i].String();
      return texts;
   }
};

class JsonReader {
public:
   static Json Read(const std::string &text)
   {
      JsonReader reader(text);
      Json value = reader.Value(0);
      reader.Space();
      if (reader.fNext != reader.fEnd)
         Json::Fail("the end of the text");
      return value;
   }

private:
   explicit JsonReader(const std::string &text) : fNext(text.data()), fEnd(text.data() + text.size()) {}
   void Space()
   {
      while (fNext != fEnd && (*fNext == ' ' || *fNext == '\n' || *fNext == '\t' || *fNext == '\r'))
         ++fNext;
   }
   bool Take(char c)
   {
      Space();
      const bool found = fNext != fEnd && *fNext == c;
      fNext += found;
      return found;
   }
   void Need(char c)
   {
      if (!Take(c))
         Json::Fail(std::string("'") + c + "'");
   }
   bool Word(const char *word)
   {
      const std::size_t n = std::strlen(word);
      const bool found = std::size_t(fEnd - fNext) >= n && std::equal(word, word + n, fNext);
      fNext += found ? n : 0;
      return found;
   }
   Json Value(int depth)
   {
      if (depth > kMaxDepth)
         Json::Fail("values nested at most 100 deep");
      Json value;
      if (Take('{')) {
         std::set<std::string> seen; // readers could differ in which of two counts
         value.fKind = Json::Kind::kObject;
         for (bool more = !Take('}'); more; more = !Take('}')) {
            if (!value.fKeys.empty())
               Need(',');
            Need('"');
            value.fKeys.push_back(String());
            if (!seen.insert(value.fKeys.back()).second)
               Json::Fail("each key once");
            Need(':');
            value.fItems.push_back(Value(depth + 1));
         }
      } else if (Take('[')) {
         value.fKind = Json::Kind::kArray;
         for (bool more = !Take(']'); more; more = !Take(']')) {
            if (!value.fItems.empty())
               Need(',');
            value.fItems.push_back(Value(depth + 1));
         }
      } else if (Take('"')) {
         value.fKind = Json::Kind::kString;
         value.fText = String();
      } else if (Word("true")) {
         value.fKind = Json::Kind::kTrue;
      } else if (Word("false")) {
         value.fKind = Json::Kind::kFalse;
      } else if (!Word("null")) {
         value.fKind = Json::Kind::kNumber;
         while (fNext != fEnd && std::strchr("+-.0123456789Ee", *fNext) && *fNext != '\0')
            value.fText += *fNext++;
         if (value.fText.empty())
            Json::Fail("a value");
      }
      return value;
   }
   char Char()
   {
      if (fNext == fEnd)
         Json::Fail("the end of a text");
      return *fNext++;
   }
   unsigned Unit() // the four digits of \uXXXX
   {
      unsigned unit = 0;
      for (int i = 0; i < 4; ++i) {
         const char c = Char();
         const char *const digits = "0123456789abcdef0123456789ABCDEF", *const at = std::strchr(digits, c);
         if (c == '\0' || !at)
            Json::Fail("four hexadecimal digits");
         unit = unit * 16 + unsigned(at - digits) % 16;
      }
      return unit;
   }
   std::string String()
   {
      std::string text;
      for (char c = Char(); c != '"'; c = Char()) {
         if (c != '\\') {
            text += c;
            continue;
         }
         c = Char();
         static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
         if (c == 'u') {
            Append(text, Unit());
            continue;
         }
         std::size_t i = 0;
         while (i + 1 < sizeof escapes && escapes[i] != c)
            i += 2;
         if (i + 1 >= sizeof escapes)
            Json::Fail("an escape sequence");
         text += escapes[i + 1];
      }
      return text;
   }
   void Append(std::string &text, unsigned code) // as UTF-8
   {
      if (code >= 0xD800 && code < 0xDC00 && fEnd - fNext >= 6 && fNext[0] == '\\' && fNext[1] == 'u') {
         const char *const before = fNext;
         fNext += 2;
         const unsigned low = Unit();
         if (low >= 0xDC00 && low < 0xE000)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
         else
            fNext = before;
      }
      if (code < 0x80) {
         text += char(code);
         return;
      }
      const int n = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      text += char((n == 1 ? 0xC0 : n == 2 ? 0xE0 : 0xF0) | code >> (6 * n));
      for (int i = n - 1; i >= 0; --i)
         text += char(0x80 | (code >> (6 * i) & 0x3F));
   }
   const char *fNext, *fEnd;
};

} // namespace onnxroot::detail

#endif
