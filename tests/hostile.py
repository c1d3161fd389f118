"""Change ROOT files as an attacker would: what is changed gets the checksum that it ought to have.

Written from ROOT's specifications of its file format and of RNTuple's, not from onnxroot's modules.
New pieces are put behind the end of a file, and what points to the old ones is turned.
"""

import struct
from dataclasses import dataclass

import cramjam
import xxhash

_ANCHOR = struct.Struct(">4H7Q")


@dataclass
class Table:
    """An RNTuple in the bytes of a file: where its anchor is, and what that says."""

    data: bytearray
    position: int
    members: list[int]

    SEEK_HEADER, NBYTES_HEADER, LEN_HEADER = 4, 5, 6
    SEEK_FOOTER, NBYTES_FOOTER, LEN_FOOTER = 7, 8, 9

    def seal(self):
        """Write the anchor, with its checksum."""
        anchor = _ANCHOR.pack(*self.members)
        checksum = struct.pack(">Q", xxhash.xxh3_64_intdigest(anchor))
        self.data[self.position : self.position + len(anchor) + 8] = anchor + checksum

    def header(self):
        """Return the header envelope."""
        return self._get(*self.members[4:7])

    def footer(self):
        """Return the footer envelope."""
        return self._get(*self.members[7:10])

    def set_header(self, envelope, *, zipped=False):
        """Point to another header."""
        self.members[4:7] = self._put(envelope, zipped=zipped)
        self.seal()

    def set_footer(self, envelope, *, zipped=False):
        """Point to another footer."""
        self.members[7:10] = self._put(envelope, zipped=zipped)
        self.seal()

    def page_list(self):
        """Return the page list of the only cluster group."""
        length, nbytes, offset = self._group()
        return self._get(offset, nbytes, length)

    def set_page_list(self, envelope, *, zipped=False):
        """Point to another page list."""
        offset, nbytes, length = self._put(envelope, zipped=zipped)
        footer = bytearray(self.footer())
        struct.pack_into("<QiQ", footer, len(footer) - 8 - 20, length, nbytes, offset)
        self.set_footer(sealed(bytes(footer)))

    def double(self):
        """Let the footer list the only cluster group twice, and so every row."""
        footer = self.footer()
        group = footer[-8 - 48 : -8]
        frame = struct.pack("<qI", -(12 + 2 * len(group)), 2)
        self.set_footer(sealed(footer[: -8 - 48 - 12] + frame + 2 * group + bytes(8)))

    def _group(self):
        """Return length, stored length and position of the page list: the footer's last item."""
        footer = self.footer()
        return struct.unpack_from("<QiQ", footer, len(footer) - 8 - 20)

    def _get(self, position, nbytes, length):
        """Return a piece, unzipped."""
        piece = bytes(self.data[position : position + nbytes])
        return piece if nbytes == length else bytes(cramjam.zstd.decompress(piece[9:]))

    def _put(self, envelope, *, zipped):
        """Append a piece; return where it is, how long, and how long when it is unzipped."""
        stored = zipped_blocks(envelope) if zipped else envelope
        position = append(self.data, stored)
        return position, len(stored), len(envelope)


def find_table(data, name):
    """Find an RNTuple by the name in its key; a file that holds one model has each name once."""
    for start in keys_of(data, name):
        if (
            struct.unpack_from(">I", data, start - 8)[0] == start - 26
        ):  # the list of keys has it, too
            position = start + 14 + 2 * (1 + len(name)) + 6  # behind a byte count and a version
            return Table(data, position, list(_ANCHOR.unpack_from(data, position)))
    raise LookupError(name)


def keys_of(data, name):
    """Return where the class, the name and the title of an RNTuple are, in all its keys."""
    text = bytes([len(name)]) + name.encode()
    key = b"\x0dROOT::RNTuple" + text + text
    found, at = [], data.find(key)
    while at >= 0:
        found.append(at)
        at = data.find(key, at + 1)
    return found


def append(data, piece):
    """Append bytes to a file; return where they are."""
    position = len(data)
    data += piece
    return position


def sealed(envelope):
    """Return an envelope with the length and the checksum that it ought to have."""
    (head,) = struct.unpack_from("<Q", envelope)
    body = struct.pack("<Q", head & 0xFFFF | len(envelope) << 16) + envelope[8:-8]
    return body + struct.pack("<Q", xxhash.xxh3_64_intdigest(body))


def zipped_blocks(data, level=19):
    """Compress as ROOT does: zstd in blocks of at most 16 MiB, each with a header of 9 bytes."""
    out = b""
    for start in range(0, len(data), 0xFFFFFF):
        piece = data[start : start + 0xFFFFFF]
        packed = bytes(cramjam.zstd.compress(piece, level=level))
        out += block_header(b"ZS", len(packed), len(piece)) + packed
    return out


def block_header(algorithm, nbytes, length):
    """Return the header of a compressed block, whatever it says."""
    return algorithm + b"\x01" + nbytes.to_bytes(3, "little") + length.to_bytes(3, "little")


def page_list(entries, columns):
    """Make the page list of one cluster.

    Args:
        entries: Number of rows that it claims.
        columns: For each column, its pages: (number of elements, position, length).
    """
    summary = struct.pack("<qQQ", 24, 0, entries)
    body = struct.pack("<Q", 0) + _list([summary])
    pages = [
        _list([struct.pack("<iiQ", n, nbytes, position) for n, position, nbytes in column], 12)
        for column in columns
    ]
    body += _list([_list(pages)])
    return sealed(struct.pack("<Q", 3) + body + bytes(8))


def _list(items, rest=0):
    """Return a list frame; that of pages is followed by a first element and a compression."""
    content = b"".join(items)
    return struct.pack("<qI", -(12 + len(content) + rest), len(items)) + content + bytes(rest)


def pages_of(envelope):
    """Return the pages of each column of a page list of one cluster, as `page_list` takes them."""
    position = 16 + 12 + 24 + 12  # envelope, header's checksum, summaries, list of clusters
    _, n_columns = struct.unpack_from("<qI", envelope, position)
    position += 12
    columns = []
    for _ in range(n_columns):
        size, n_pages = struct.unpack_from("<qI", envelope, position)
        pages = []
        for i in range(n_pages):
            n, nbytes, offset = struct.unpack_from("<iiQ", envelope, position + 12 + 16 * i)
            pages.append((abs(n), offset, nbytes))
        columns.append(pages)
        position -= size
    return columns


# --- Directories ------------------------------------------------------------------------------


def nested_directories(data, depth, fan):
    """Add directories to the top of a file, within one another, each `fan` times in its parent."""
    begin, name_nbytes = struct.unpack_from(">i", data, 8)[0], struct.unpack_from(">i", data, 28)[0]
    child = None
    for _ in range(depth):
        keys = [_key(f"d{i}", *child) for i in range(fan)] if child else []
        listed = _key("list", 0, 0, 0) + struct.pack(">i", len(keys)) + b"".join(keys)
        position = append(data, listed)
        rest = struct.pack(">hIIiiIII", 5, 0, 0, len(listed), 50, 0, begin, position) + bytes(18)
        key = _key("d0", len(data), len(_key("d0", 0, 0, 0)) + len(rest), len(rest))
        child = (append(data, key + rest), len(key) + len(rest), len(rest))
    top = begin + name_nbytes
    nbytes, _, _, _, position = struct.unpack_from(">iiIII", data, top + 10)
    old = bytes(data[position : position + nbytes])
    (length,) = struct.unpack_from(">h", old, 14)
    (n,) = struct.unpack_from(">i", old, length)
    new = [_key(f"d{i}", *child) for i in range(fan)]
    listed = old[:length] + struct.pack(">i", n + fan) + old[length + 4 :] + b"".join(new)
    struct.pack_into(">i", data, top + 10, len(listed))
    struct.pack_into(">I", data, top + 26, append(data, listed))
    struct.pack_into(">I", data, 12, len(data))


def _key(name, position, nbytes, length):
    """Return the key of a directory."""
    texts = b"".join(bytes([len(text)]) + text for text in (b"TDirectory", name.encode(), b""))
    return struct.pack(">ihiIhhII", nbytes, 4, length, 0, 26 + len(texts), 1, position, 100) + texts
