/// \file root_file.hxx
/// \brief Directories, keys and bytes of a ROOT file.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_ROOT_FILE_HXX
#define ONNXROOT_ROOT_FILE_HXX

#include "error.hxx"
#include "file_bytes.hxx"
#include "limits.hxx"
#include "spec.hxx"
#include "unzip.hxx"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// A ROOT file's directories and bytes.
///
/// A damaged directory or list of streamers can end the process in TFile and TKey: here they are read
/// as ROOT's TFile reference describes them.
class RootFile {
public:
   explicit RootFile(const std::string &path, const Limits &limits = {})
      : fWhere{path, ""}, fLimits(limits), fBytes(fWhere), fSize(fBytes.Size())
   {
      Bytes head = Take(0, std::min<std::uint64_t>(fSize, 64), "");
      if (fSize < 64 || head.fData.compare(0, 4, "root") != 0)
         RefuseBegin(head.fData);
      head.fNext = 4;
      const bool large = head.Integer(4) >= 1000000;
      const std::uint64_t begin = head.Integer(4), end = head.Integer(large ? 8 : 4);
      if (end > fSize)
         fWhere.Fail("", std::to_string(end) + " bytes", std::to_string(fSize), "the file was cut: copy it again");
      head.fNext += large ? 16 : 12;
      fTop = begin + head.Integer(4);
   }

   /// The bytes of an object, or nothing if there is none of that name and class.
   std::optional<std::string> Object(const std::string &path, const std::string &className)
   {
      const auto [directory, name] = Halves(path);
      const auto *const keys = KeysIn(directory);
      const Key *const key = keys ? Find(*keys, name) : nullptr;
      if (!key || key->fClass != className)
         return std::nullopt;
      return ReadObject(*key, path);
   }
   /// The text of a manifest, or nothing if there is none in that directory.
   std::optional<std::string> Manifest(const std::string &directory)
   {
      const std::string path = directory.empty() ? "manifest" : directory + "/manifest";
      auto object = Object(path, "TObjString");
      if (!object)
         return std::nullopt;
      Bytes bytes{std::move(*object)};
      bytes.fNext = 12; // byte count and version of TObjString, version and number of TObject
      bytes.fNext += bytes.Integer(4) & 0x10 ? 2 : 0;
      const std::string text = bytes.Text();
      if (!bytes.fGood)
         fWhere.Fail(path, "a text", "one that is cut");
      if (text.rfind("{\"format\":\"onnxroot\"", 0) != 0) // §3.1
         return std::nullopt;
      return text;
   }
   /// The directories with a manifest of ours.
   std::vector<std::string> Models()
   {
      std::vector<std::string> found;
      std::set<std::uint64_t> seen;
      Search("", fTop, 0, seen, found);
      std::sort(found.begin(), found.end());
      return found;
   }
   const Where &Location() const { return fWhere; }
   const Limits &Limit() const { return fLimits; }
   std::uint64_t NBytes() const { return fSize; }

   /// A number of bytes that the file has at that place.
   std::size_t CheckedSize(std::uint64_t position, std::uint64_t nbytes, const Where &where,
                           const std::string &part) const
   {
      if (nbytes > (1u << 30) || nbytes > fSize || position > fSize - nbytes)
         where.Fail(part, "bytes within the file", "some that end behind it");
      return static_cast<std::size_t>(nbytes);
   }
   void Read(char *out, std::uint64_t position, std::uint64_t nbytes, const Where &where, const std::string &part)
   {
      const std::size_t size = CheckedSize(position, nbytes, where, part);
      if (size > 0 && !fBytes.Read(out, position, size))
         where.Fail(part, std::to_string(nbytes) + " bytes", "a failure to read them");
   }

private:
   /// Bytes from the file, read in ROOT's way: big-endian, and 0 where they are at an end.
   struct Bytes {
      std::string fData;
      std::size_t fNext = 0;
      bool fGood = true;

      std::uint64_t Integer(int nbytes)
      {
         std::uint64_t value = 0;
         for (; nbytes > 0; --nbytes)
            value = value << 8 | (Has(1) ? static_cast<unsigned char>(fData[fNext++]) : 0);
         return value;
      }
      bool Has(std::uint64_t nbytes)
      {
         return fGood = fGood && fNext <= fData.size() && nbytes <= fData.size() - fNext;
      }
      std::string Text()
      {
         std::uint64_t n = Integer(1);
         n = n == 255 ? Integer(4) : n;
         const std::string text = Has(n) ? fData.substr(fNext, n) : "";
         fNext += text.size();
         return text;
      }
   };
   struct Key {
      std::uint64_t fNBytes = 0, fObject = 0, fHeader = 0, fCycle = 0, fPosition = 0;
      std::string fClass, fName;
      bool IsDirectory() const { return fClass == "TDirectoryFile" || fClass == "TDirectory"; }
   };
   [[noreturn]] void RefuseBegin(const std::string &head) const
   {
      std::string text;
      for (const char c : head.substr(0, 4))
         text += c >= ' ' && c <= '~' ? c : '.';
      const bool isPointer = head.rfind("version https://git-lfs", 0) == 0, isPage = head.find('<') < 4;
      const char *const advice = isPointer ? "fetch the file with `git lfs pull`"
                                 : isPage  ? "it looks like a web page: was the download refused?"
                                           : "is it the right file?";
      const std::string found = isPointer ? "a Git LFS pointer" : "one that begins with '" + text + "'";
      fWhere.Fail("", "a ROOT file, which begins with 'root'", head.empty() ? "an empty file" : found, advice);
   }
   Bytes Take(std::uint64_t position, std::uint64_t nbytes, const std::string &part)
   {
      Bytes bytes;
      if (nbytes <= fSize)
         bytes.fData.resize(static_cast<std::size_t>(nbytes));
      Read(bytes.fData.data(), position, nbytes, fWhere, part);
      return bytes;
   }
   static Key ReadKey(Bytes &bytes)
   {
      Key key;
      const std::size_t start = bytes.fNext;
      key.fNBytes = bytes.Integer(4);
      const int seek = bytes.Integer(2) > 1000 ? 8 : 4;
      key.fObject = bytes.Integer(4);
      bytes.fNext += 4;
      key.fHeader = bytes.Integer(2);
      key.fCycle = bytes.Integer(2);
      key.fPosition = bytes.Integer(seek);
      bytes.fNext += static_cast<std::size_t>(seek);
      key.fClass = bytes.Text();
      key.fName = bytes.Text();
      bytes.Text(); // the title
      bytes.fGood = bytes.fGood && bytes.fNext - start == key.fHeader && key.fNBytes >= key.fHeader;
      return key;
   }
   /// The keys of the directory whose record begins there, by name, later cycles first.
   std::vector<Key> Keys(std::uint64_t position, const std::string &part)
   {
      Bytes record = Take(position, std::min<std::uint64_t>(42, fSize - std::min(position, fSize)), part);
      const int seek = record.Integer(2) > 1000 ? 8 : 4;
      record.fNext += 8;
      const std::uint64_t nbytes = record.Integer(4);
      record.fNext += 4 + 2 * static_cast<std::size_t>(seek);
      const std::uint64_t place = record.Integer(seek);
      std::vector<Key> keys;
      if (!record.fGood || (place > 0 && nbytes > (1u << 30)))
         fWhere.Fail(part, "a directory", "something else");
      if (place == 0)
         return keys; // it is empty
      Bytes list = Take(place, nbytes, part);
      ReadKey(list);
      for (std::uint64_t n = list.Integer(4); n > 0 && list.fGood; --n)
         keys.push_back(ReadKey(list));
      if (!list.fGood)
         fWhere.Fail(part, "a list of keys", "something else");
      std::stable_sort(keys.begin(), keys.end(), [](auto &a, auto &b) {
         return a.fName != b.fName ? a.fName < b.fName : a.fCycle > b.fCycle;
      });
      return keys;
   }
   /// The key of that name with the highest cycle, or null.
   static const Key *Find(const std::vector<Key> &keys, const std::string &name)
   {
      const auto found =
         std::lower_bound(keys.begin(), keys.end(), name, [](auto &key, auto &wanted) { return key.fName < wanted; });
      return found == keys.end() || found->fName != name ? nullptr : &*found;
   }
   std::string ReadObject(const Key &key, const std::string &path)
   {
      const std::uint64_t stored = key.fNBytes - key.fHeader;
      Bytes object = Take(key.fPosition + key.fHeader, stored, path);
      if (stored == key.fObject)
         return std::move(object.fData);
      std::vector<char> from(object.fData.begin(), object.fData.end());
      const bool good = Holds(from, key.fObject);
      object.fData.assign(good ? static_cast<std::size_t>(key.fObject) : 0, 0);
      if (!good || !Unzip(from, object.fData.data(), key.fObject))
         fWhere.Fail(path, "a compressed object", "bytes that can't be decompressed");
      return std::move(object.fData);
   }
   /// Directory and name.
   static std::pair<std::string, std::string> Halves(const std::string &path)
   {
      const std::size_t slash = path.rfind('/');
      return slash == std::string::npos ? std::pair<std::string, std::string>("", path)
                                        : std::pair(path.substr(0, slash), path.substr(slash + 1));
   }
   /// The keys in a directory, or null if there is none of that name.
   const std::vector<Key> *KeysIn(const std::string &directory)
   {
      const auto known = fKeys.find(directory);
      if (known != fKeys.end())
         return &known->second;
      if (directory.empty())
         return &(fKeys[directory] = Keys(fTop, directory));
      const auto [above, name] = Halves(directory);
      const auto *const keys = KeysIn(above);
      const Key *const key = keys ? Find(*keys, name) : nullptr;
      if (!key || !key->IsDirectory())
         return nullptr;
      return &(fKeys[directory] = Keys(key->fPosition + key->fHeader, directory));
   }
   void Search(const std::string &path, std::uint64_t place, int depth, std::set<std::uint64_t> &seen,
               std::vector<std::string> &found)
   {
      if (depth > kMaxDepth || !seen.insert(place).second)
         return;
      if (Manifest(path))
         found.push_back(path);
      const auto *const keys = KeysIn(path);
      if (!keys)
         return; // a name with a slash, which no path leads to
      for (const Key &key : *keys)
         if (key.IsDirectory() && Find(*keys, key.fName) == &key)
            Search(path.empty() ? key.fName : path + "/" + key.fName, key.fPosition + key.fHeader, depth + 1, seen,
                   found);
   }
   std::map<std::string, std::vector<Key>> fKeys; ///< by directory
   Where fWhere;
   Limits fLimits;
   FileBytes fBytes;
   std::uint64_t fSize = 0, fTop = 0;
};

} // namespace onnxroot::detail

#endif
