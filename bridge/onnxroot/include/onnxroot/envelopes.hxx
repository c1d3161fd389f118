/// \file envelopes.hxx
/// \brief The metadata of an RNTuple: which columns it has, and where their pages are.
///
/// ROOT's own reader of these reads out of its buffers where a file is damaged, and ends the process.
/// Here nothing is believed before its checksum is right, and nothing read behind the end of the bytes.
///
/// Source: RNTuple binary format specification 1.0.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_ENVELOPES_HXX
#define ONNXROOT_ENVELOPES_HXX

#include "xxh3.hxx"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace onnxroot::detail {

/// A piece of the file.
struct Locator {
   std::uint64_t fPosition = 0, fNBytes = 0;
};
/// An envelope: a piece of the file, and how long it is once it is decompressed.
struct EnvelopeLink {
   Locator fLocator;
   std::uint64_t fLength = 0;
};
struct Anchor {
   EnvelopeLink fHeader, fFooter;
};
struct FieldRecord {
   std::string fName;
   std::uint32_t fParent = 0; ///< the number of the field it belongs to; its own at the top
};
struct ColumnRecord {
   unsigned fType = 0; ///< a code of the specification
   std::uint32_t fField = 0;
   unsigned fRepresentation = 0;
};
struct Page {
   std::uint64_t fNElements = 0;
   Locator fLocator;
};
struct Cluster {
   std::uint64_t fFirst = 0, fNRows = 0;
   std::vector<std::vector<Page>> fPages; ///< by column
};
/// What header and footer say.
struct NTupleSchema {
   std::vector<FieldRecord> fFields;
   std::vector<ColumnRecord> fColumns;
};

/// Unpacks an envelope.
///
/// std::invalid_argument says what was expected where the bytes are something else.
class Envelope {
public:
   enum Kind : unsigned { kHeader = 1, kFooter = 2, kPageList = 3 };

   Envelope(const std::string &bytes, Kind kind) : fBytes(bytes), fEnd(bytes.size())
   {
      const auto head = Take<std::uint64_t>();
      const std::uint64_t length = head >> 16;
      if ((head & 0xFFFF) != kind || length < 16 || length > fEnd)
         Fail("an envelope of an RNTuple");
      fEnd = static_cast<std::size_t>(length) - 8;
      std::uint64_t checksum = 0;
      std::memcpy(&checksum, fBytes.data() + fEnd, 8);
      if (Xxh3::Of(fBytes.data(), fEnd) != checksum)
         Fail("an envelope with the checksum of its bytes");
   }
   /// Fields and columns of a header.
   void ReadHeader(NTupleSchema &schema)
   {
      Flags();
      for (int i = 0; i < 3; ++i)
         Text(); // name, description, writer
      ReadSchema(schema);
   }
   /// Fields and columns that a footer adds; the page lists it names.
   std::vector<EnvelopeLink> ReadFooter(NTupleSchema &schema)
   {
      Flags();
      Take<std::uint64_t>(); // checksum of the header
      Record([&] { ReadSchema(schema); });
      std::vector<EnvelopeLink> links;
      List([&] {
         Record([&] {
            Skip(8 + 8 + 4); // rows and number of clusters, which the page list says again
            EnvelopeLink link;
            link.fLength = Take<std::uint64_t>();
            link.fLocator = ReadLocator();
            links.push_back(link);
         });
      });
      return links;
   }
   /// Append the clusters of a page list.
   void ReadPageList(std::vector<Cluster> &clusters)
   {
      Take<std::uint64_t>(); // checksum of the header
      const std::size_t first = clusters.size();
      List([&] {
         Record([&] {
            Cluster cluster;
            cluster.fFirst = Take<std::uint64_t>();
            cluster.fNRows = Take<std::uint64_t>() & ((std::uint64_t(1) << 56) - 1); // flags above
            clusters.push_back(cluster);
         });
      });
      std::size_t next = first;
      List([&] {
         if (next >= clusters.size())
            Fail("pages of as many clusters as there are");
         auto &pages = clusters[next++].fPages;
         List([&] {
            pages.emplace_back();
            List([&] { pages.back().push_back(ReadPage()); }); // then come the first element and the compression
         });
      });
      if (next != clusters.size())
         Fail("pages of every cluster");
   }

private:
   [[noreturn]] static void Fail(const char *expected) { throw std::invalid_argument(expected); }
   void Skip(std::uint64_t nbytes)
   {
      if (nbytes > fEnd - fNext)
         Fail("an envelope that is whole");
      fNext += static_cast<std::size_t>(nbytes);
   }
   template <typename T>
   T Take()
   {
      const std::size_t before = fNext;
      Skip(sizeof(T));
      T value;
      std::memcpy(&value, fBytes.data() + before, sizeof value);
      return value;
   }
   std::string Text()
   {
      const auto nbytes = Take<std::uint32_t>();
      const std::size_t before = fNext;
      Skip(nbytes);
      return fBytes.substr(before, nbytes);
   }
   /// Feature flags: each has its sign set where another follows. We know of none.
   void Flags()
   {
      while (Take<std::int64_t>() < 0) {
      }
   }
   /// Go on behind a frame that began there.
   void EndFrame(std::size_t start, std::uint64_t nbytes)
   {
      if (nbytes < fNext - start)
         Fail("frames that hold their parts");
      fNext = start;
      Skip(nbytes);
   }
   template <typename F>
   void Record(F &&read)
   {
      const std::size_t start = fNext;
      const auto nbytes = Take<std::int64_t>();
      if (nbytes < 8)
         Fail("a record");
      read();
      EndFrame(start, static_cast<std::uint64_t>(nbytes));
   }
   template <typename F>
   void List(F &&read)
   {
      const std::size_t start = fNext;
      const auto nbytes = Take<std::int64_t>();
      const auto n = Take<std::uint32_t>();
      if (nbytes > -12)
         Fail("a list");
      for (std::uint32_t i = 0; i < n; ++i)
         read(); // takes bytes, so the number is bounded by them
      EndFrame(start, 0 - static_cast<std::uint64_t>(nbytes));
   }
   Locator ReadLocator()
   {
      Locator locator;
      const auto size = Take<std::int32_t>();
      if (size >= 0) {
         locator.fPosition = Take<std::uint64_t>();
         locator.fNBytes = static_cast<std::uint64_t>(size);
         return locator;
      }
      const auto head = static_cast<std::uint32_t>(size);
      if ((head >> 24 & 0x7F) != 1 || (head & 0xFFFF) != 20)
         Fail("pages within the file");
      locator.fNBytes = Take<std::uint64_t>();
      locator.fPosition = Take<std::uint64_t>();
      return locator;
   }
   Page ReadPage()
   {
      Page page;
      const std::int64_t n = Take<std::int32_t>(); // negative where a checksum follows the page
      page.fNElements = static_cast<std::uint64_t>(n < 0 ? -n : n);
      page.fLocator = ReadLocator();
      return page;
   }
   void ReadSchema(NTupleSchema &schema)
   {
      List([&] {
         Record([&] {
            FieldRecord field;
            Skip(4 + 4); // versions
            field.fParent = Take<std::uint32_t>();
            Skip(2); // structural role
            const auto flags = Take<std::uint16_t>();
            Skip((flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0) + (flags & 4 ? 4 : 0));
            field.fName = Text();
            schema.fFields.push_back(std::move(field));
         });
      });
      List([&] {
         Record([&] {
            ColumnRecord column;
            column.fType = Take<std::uint16_t>();
            Skip(2); // bits
            column.fField = Take<std::uint32_t>();
            Skip(2); // flags
            column.fRepresentation = Take<std::uint16_t>();
            schema.fColumns.push_back(column);
         });
      });
   }
   const std::string &fBytes;
   std::size_t fNext = 0, fEnd;
};

/// Unpack the object behind an RNTuple's key: big-endian, as ROOT streams.
inline Anchor ReadAnchor(const std::string &object)
{
   constexpr std::size_t kHead = 6, kNBytes = 64; // byte count and class version; the members
   auto integer = [&](std::size_t position) {
      std::uint64_t value = 0;
      for (std::size_t i = 0; i < 8; ++i)
         value = value << 8 | static_cast<unsigned char>(object[position + i]);
      return value;
   };
   if (object.size() < kHead + kNBytes + 8 || integer(kHead + kNBytes) != Xxh3::Of(object.data() + kHead, kNBytes))
      throw std::invalid_argument("an anchor with the checksum of its bytes");
   auto link = [&](std::size_t position) {
      return EnvelopeLink{{integer(position), integer(position + 8)}, integer(position + 16)};
   };
   return {link(kHead + 8), link(kHead + 32)};
}

} // namespace onnxroot::detail

#endif
