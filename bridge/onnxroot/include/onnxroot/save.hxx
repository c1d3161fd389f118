/// \file save.hxx
/// \brief Files that appear whole or not at all, in places where they may.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_SAVE_HXX
#define ONNXROOT_SAVE_HXX

#include "error.hxx"
#include "values.hxx"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// A location that leads to a place below the folder (§6.1).
inline const std::string &CheckedLocation(const Where &where, const std::string &location)
{
   bool good = location.find_first_of(std::string("\\\0", 2)) == std::string::npos &&
               location.substr(0, location.find('/')).find(':') == std::string::npos; // a drive of Windows
   for (std::size_t first = 0; good && first <= location.size();) {
      const std::size_t end = std::min(location.find('/', first), location.size());
      const std::string part = location.substr(first, end - first);
      good = !part.empty() && part != "." && part != "..";
      first = end + 1;
   }
   if (!good)
      where.Fail("", "an external file below the model's folder", "'" + location + "'", "nothing is written");
   return location;
}
/// Refuse to write through symbolic links between the folder and the file.
inline void RefuseLinks(const Where &where, const std::filesystem::path &folder, const std::string &location)
{
   for (std::size_t end = location.find('/'); end != std::string::npos; end = location.find('/', end + 1))
      if (std::filesystem::is_symlink(std::filesystem::symlink_status(folder / location.substr(0, end))))
         where.Fail("", "folders at " + location, "a symbolic link", "nothing is written through it");
}
/// Whether there is something at a place, be it a link that leads nowhere.
inline bool Exists(const std::filesystem::path &place)
{
   return std::filesystem::symlink_status(place).type() != std::filesystem::file_type::not_found;
}

/// Folders that had to be made; they go again, unless they are kept.
class MadeFolders {
public:
   MadeFolders() = default;
   MadeFolders(const MadeFolders &) = delete;
   MadeFolders &operator=(const MadeFolders &) = delete;
   ~MadeFolders()
   {
      std::error_code ignored;
      for (auto folder = fMade.rbegin(); folder != fMade.rend(); ++folder)
         std::filesystem::remove(*folder, ignored); // which an empty one alone lets happen
   }
   /// Make one, and those above; where that fails, so will the creation of a file in it, which says why.
   void Make(const std::filesystem::path &folder)
   {
      if (folder.empty() || Exists(folder))
         return;
      Make(folder.parent_path());
      std::error_code failed;
      if (std::filesystem::create_directory(folder, failed))
         fMade.push_back(folder);
   }
   void Keep() { fMade.clear(); }

private:
   std::vector<std::filesystem::path> fMade;
};

/// A file under another name until it is whole.
class WrittenFile {
public:
   WrittenFile(const std::filesystem::path &place, const Where &where)
      : fPlace(place), fPart(place.string() + ".part"), fWhere(where), fFile(std::fopen(fPart.string().c_str(), "wbx"))
   {
      if (!fFile)
         Fail("create", fPart, std::strerror(errno));
   }
   WrittenFile(WrittenFile &&other) noexcept
      : fPlace(std::move(other.fPlace)), fPart(std::move(other.fPart)), fWhere(std::move(other.fWhere)),
        fFile(std::exchange(other.fFile, nullptr)), fOwns(std::exchange(other.fOwns, false))
   {
   }
   WrittenFile &operator=(WrittenFile &&) = delete;
   ~WrittenFile()
   {
      if (fFile)
         std::fclose(fFile);
      std::error_code ignored;
      if (fOwns)
         std::filesystem::remove(fPart, ignored);
   }
   void Write(const char *data, std::size_t n)
   {
      if (std::fwrite(data, 1, n, fFile) != n)
         Fail("write", fPart, std::strerror(errno));
   }
   void Close()
   {
      if (std::fclose(std::exchange(fFile, nullptr)) != 0)
         Fail("write", fPart, std::strerror(errno));
   }
   /// Give it its name; without `overwrite` never that of a file that is there, however late it came.
   void Commit(bool overwrite)
   {
      std::error_code failed;
      if (!overwrite) {
         std::filesystem::create_hard_link(fPart, fPlace, failed);
         if (!failed)
            return; // the other name goes with this object
         if (Exists(fPlace))
            Fail("create", fPlace, "it exists");
      }
      std::filesystem::rename(fPart, fPlace, failed);
      if (failed)
         Fail("create", fPlace, failed.message());
      fOwns = false;
   }

private:
   [[noreturn]] void Fail(const char *what, const std::filesystem::path &place, const std::string &found) const
   {
      fWhere.Fail("", std::string("to ") + what + " " + place.string(), found,
                  "is the folder writable, the disk not full, and no other program at work there?");
   }
   std::filesystem::path fPlace, fPart;
   Where fWhere;
   std::FILE *fFile;
   bool fOwns = true;
};

/// Write the ONNX file and the external files below its folder, or none of them.
///
/// `produce` is called with the location of each, empty for the ONNX file, and a sink.
template <typename F>
void SaveAll(const Where &where, const std::filesystem::path &target, const std::vector<ExternalFile> &externalFiles,
             bool overwrite, F &&produce)
{
   const std::filesystem::path folder = target.parent_path();
   if (!folder.empty() && !std::filesystem::is_directory(folder))
      where.Fail("", "a folder " + folder.string(), "none", "make it first");
   std::vector<std::pair<std::filesystem::path, std::string>> files; // place, and location or nothing
   for (const ExternalFile &file : externalFiles)
      files.emplace_back(folder / CheckedLocation(where, file.fLocation), file.fLocation);
   files.emplace_back(target, "");
   std::set<std::string> places;
   for (const auto &[place, location] : files) {
      if (!places.insert(place.lexically_normal().string()).second)
         where.Fail(location, "a file for itself", "another of that name", "choose another name");
      RefuseLinks(where, folder, location);
      if (!overwrite && Exists(place))
         where.Fail("", "no file " + place.string(), "one", "remove it, or overwrite it");
   }
   MadeFolders made; // goes last: files are gone before their folders
   std::vector<WrittenFile> written;
   for (const auto &[place, location] : files) {
      made.Make(place.parent_path());
      RefuseLinks(where, folder, location);
      written.emplace_back(place, where);
      produce(location, [&](const char *data, std::size_t n) { written.back().Write(data, n); });
      written.back().Close();
   }
   for (WrittenFile &file : written)
      file.Commit(overwrite);
   made.Keep();
}

} // namespace onnxroot::detail

#endif
