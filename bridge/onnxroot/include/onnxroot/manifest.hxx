/// \file manifest.hxx
/// \brief The manifest: what a model says of itself (§3).
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_MANIFEST_HXX
#define ONNXROOT_MANIFEST_HXX

#include "error.hxx"
#include "json.hxx"
#include "schema.hxx"
#include "spec.hxx"
#include "values.hxx"
#include "xxhash.hxx"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace onnxroot::detail {

/// A manifest: what is for the user, and what leads to the tables.
struct StoredManifest {
   ManifestInfo fInfo;
   Json fTables;
   Schema fSchema;

   /// What it says of a table, or null.
   const Json *Table(const std::string &name) const
   {
      const auto found = std::find(fTables.fKeys.begin(), fTables.fKeys.end(), name);
      return found == fTables.fKeys.end() ? nullptr : &fTables.fItems[found - fTables.fKeys.begin()];
   }
};

/// The digest of a text in which 16 digits, its own, count as zeros.
inline std::string DigestOf(std::string text, const std::string &own)
{
   const std::size_t place = text.find(own);
   if (own.size() == 16 && place != std::string::npos)
      text.replace(place, 16, 16, '0');
   Xxh64 digest;
   digest.Update(text.data(), text.size());
   return digest.Hex();
}

inline std::string WriterOf(const Json &json)
{
   const auto &keys = json["provenance"].Object().fKeys;
   const bool known = std::find(keys.begin(), keys.end(), "onnxroot") != keys.end();
   return known ? "onnxroot " + json["provenance"]["onnxroot"].String() : "a later onnxroot";
}

inline StoredManifest ParseManifest(const std::string &text, const Where &where)
{
   try {
      const Json json = JsonReader::Read(text);
      ManifestInfo info;
      info.fText = text;
      info.fFormatVersion = json["format_version"].Count();
      if (info.fFormatVersion > kFormatVersion)
         where.Fail("manifest", "a format version up to " + std::to_string(kFormatVersion),
                    std::to_string(info.fFormatVersion),
                    "it was written by " + WriterOf(json) + ": take the onnxroot.hxx of that version or a later one");
      const std::string &digest = json["digest"].String(), found = DigestOf(text, digest);
      if (info.fFormatVersion < 1 || digest != found)
         where.Fail("manifest", "the digest " + digest, found);
      info.fNBytes = json["onnx"]["nbytes"].Count();
      info.fSha256 = json["onnx"]["sha256"].String();
      for (const Json &file : json["external_files"].Array())
         info.fExternalFiles.push_back(
            {file["location"].String(), file["nbytes"].Count(), file["sha256"].String()});
      info.fProvenance = json["provenance"].Texts();
      info.fMetadata = json["metadata"].Texts();
      for (const Json &table : json["tables"].Object().fItems) {
         table["rows"].Count();
         for (const Json &cluster : table["digests"].Array())
            cluster.String();
      }
      return {info, json["tables"], Schema(json["schema"])};
   } catch (const std::logic_error &error) { // of our own JSON reader, and the library's conversions
      where.Fail("manifest", error.what(), "something else");
   }
}

} // namespace onnxroot::detail

#endif
