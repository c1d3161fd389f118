/// \file file_bytes.hxx
/// \brief The bytes of a file, here or elsewhere.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_FILE_BYTES_HXX
#define ONNXROOT_FILE_BYTES_HXX

#include "error.hxx"
#include "root_errors.hxx"

#include <TDirectory.h>
#include <TFile.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <memory>
#include <string>
#include <system_error>

namespace onnxroot::detail {

/// A file open for reading.
///
/// One that is here under just this name is opened as it is: ROOT takes some characters of a name, such
/// as # and ?, for those of an address. ROOT opens remote ones, and those named by variables.
class FileBytes {
public:
   explicit FileBytes(const Where &where)
   {
      const std::string &path = where.fFile;
      std::error_code ignored;
      const auto type = std::filesystem::status(path, ignored).type();
      if (type == std::filesystem::file_type::directory)
         where.Fail("", "a ROOT file", "a folder", "name a file in it");
      if (type == std::filesystem::file_type::regular)
         OpenHere(where);
      else if (path.find_first_of(":$") != std::string::npos || path.rfind('~', 0) == 0)
         OpenByRoot(where);
      else
         where.Fail("", "a ROOT file", "no file of that name", "check the path");
   }
   std::uint64_t Size() const { return fSize; }
   /// Read bytes that are within the size; whether that went well.
   bool Read(char *out, std::uint64_t position, std::size_t nbytes)
   {
      if (fFile) {
         RootErrors errors;
         return !fFile->ReadBuffer(out, static_cast<Long64_t>(position), static_cast<Int_t>(nbytes));
      }
      const auto n = static_cast<std::streamsize>(nbytes);
      return fHere.pubseekpos(static_cast<std::streamoff>(position)) != std::streampos(std::streamoff(-1)) &&
             fHere.sgetn(out, n) == n;
   }

private:
   void OpenByRoot(const Where &where)
   {
      TDirectory::TContext context;
      fFile = RootErrors::Run(where, "", "a ROOT file", [&] {
         const std::string options = where.fFile.find('?') == std::string::npos ? "?filetype=raw" : "&filetype=raw";
         std::unique_ptr<TFile> file{TFile::Open((where.fFile + options).c_str(), "READ_WITHOUT_GLOBALREGISTRATION")};
         if (file && file->IsZombie())
            file.reset();
         return file;
      });
      fSize = static_cast<std::uint64_t>(std::max<Long64_t>(fFile->GetSize(), 0));
   }
   void OpenHere(const Where &where)
   {
      fHere.pubsetbuf(nullptr, 0); // pieces are large, or few
      const bool open = fHere.open(where.fFile, std::ios::in | std::ios::binary) != nullptr;
      const auto size = open ? std::streamoff(fHere.pubseekoff(0, std::ios::end)) : std::streamoff(-1);
      if (size < 0)
         where.Fail("", "a ROOT file", "one that can't be opened", "may you read it?");
      fSize = static_cast<std::uint64_t>(size);
   }
   std::filebuf fHere;
   std::unique_ptr<TFile> fFile;
   std::uint64_t fSize = 0;
};

} // namespace onnxroot::detail

#endif
