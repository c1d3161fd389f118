"""The metadata of an RNTuple as bytes: the inverse of `_envelopes`.

Source: RNTuple binary format specification 1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import xxhash

__all__ = [
    "ClusterRecord",
    "ColumnPages",
    "ColumnRecord",
    "FieldRecord",
    "Link",
    "PageRecord",
    "anchor",
    "footer",
    "header",
    "page_list",
]

_HEADER, _FOOTER, _PAGE_LIST = 1, 2, 3  # envelope types
_VERSION: Final = (1, 0, 0, 1)
_FIELD: Final = struct.Struct("<IIIHH")
_COLUMN: Final = struct.Struct("<HHIHH")
_NO_TEXT: Final = bytes(4)
_MOST_KEY_NBYTES: Final = 1 << 30  # of what stands behind one key, as ROOT has it

Link = tuple[int, int, int]
"""Position of an envelope, its length there, and its length once it is decompressed."""


class FieldRecord(NamedTuple):
    """A field: its name, C++ type, and number of the field it belongs to (its own at the top)."""

    name: str
    type: str
    parent: int

    def to_bytes(self) -> bytes:
        """Return the record."""
        role = int(self.type.startswith("std::vector"))
        texts = _text(self.name) + _text(self.type) + _NO_TEXT + _NO_TEXT
        return _FIELD.pack(0, 0, self.parent, role, 0) + texts


class ColumnRecord(NamedTuple):
    """A column: its type's code, the bits of a value, and the number of its field."""

    type: int
    n_bits: int
    field: int

    def to_bytes(self) -> bytes:
        """Return the record."""
        return _COLUMN.pack(self.type, self.n_bits, self.field, 0, 0)


class PageRecord(NamedTuple):
    """A page: how many elements it has, where it begins in the file, and its length there.

    A checksum follows it, which the length does not count.
    """

    n_elements: int
    offset: int
    num_bytes: int


class ColumnPages(NamedTuple):
    """The pages of one column in a cluster, and how many elements it has in clusters before."""

    pages: Sequence[PageRecord]
    first_element: int

    def to_bytes(self, compression: int) -> bytes:
        """Return the list."""
        pages = [struct.pack("<iiQ", -p.n_elements, p.num_bytes, p.offset) for p in self.pages]
        return _list(pages, struct.pack("<QI", self.first_element, compression))


class ClusterRecord(NamedTuple):
    """A cluster: its first row, its number of rows, and its columns."""

    first_row: int
    n_rows: int
    columns: Sequence[ColumnPages]


def header(name: str, fields: Iterable[FieldRecord], columns: Iterable[ColumnRecord]) -> bytes:
    """Return a header envelope."""
    texts = b"".join(map(_text, (name, "", "onnxroot")))
    return _envelope(_HEADER, struct.pack("<q", 0) + texts + _schema(fields, columns))


def page_list(head: bytes, clusters: Sequence[ClusterRecord], compression: int) -> bytes:
    """Return a page list envelope.

    Args:
        head: The header envelope.
        clusters: All of one group.
        compression: ROOT's code of what the pages are compressed with.
    """
    summaries = _list(_record(struct.pack("<QQ", c.first_row, c.n_rows)) for c in clusters)
    pages = _list(_list(column.to_bytes(compression) for column in c.columns) for c in clusters)
    return _envelope(_PAGE_LIST, _checksum_of(head) + summaries + pages)


def footer(head: bytes, n_rows: int, n_clusters: int, pages: Link) -> bytes:
    """Return a footer envelope of an RNTuple with one group of clusters.

    Args:
        head: The header envelope.
        n_rows: How many rows there are.
        n_clusters: How many clusters there are.
        pages: Where the page list is.
    """
    position, nbytes, length = pages
    group = struct.pack("<QQIQiQ", 0, n_rows, n_clusters, length, nbytes, position)
    extension = _record(_schema((), ()))
    content = struct.pack("<q", 0) + _checksum_of(head) + extension + _list([_record(group)])
    return _envelope(_FOOTER, content)


def anchor(top: Link, foot: Link) -> bytes:
    """Return the object behind an RNTuple's key.

    Args:
        top: Where the header is.
        foot: Where the footer is.
    """
    members = struct.pack(">4H7Q", *_VERSION, *top, *foot, _MOST_KEY_NBYTES)
    checksum = xxhash.xxh3_64_intdigest(members)
    return (
        struct.pack(">IH", 0x40000000 | len(members) + 2, 2) + members + checksum.to_bytes(8, "big")
    )


def _schema(fields: Iterable[FieldRecord], columns: Iterable[ColumnRecord]) -> bytes:
    """Return the four lists of a schema; there are no alias columns, nor extra types."""
    records = (
        _list(_record(f.to_bytes()) for f in fields),
        _list(_record(c.to_bytes()) for c in columns),
    )
    return b"".join(records) + 2 * _list(())


def _envelope(kind: int, content: bytes) -> bytes:
    data = struct.pack("<Q", len(content) + 16 << 16 | kind) + content
    return data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    return xxhash.xxh3_64_intdigest(data).to_bytes(8, "little")


def _checksum_of(envelope: bytes) -> bytes:
    return envelope[-8:]


def _record(content: bytes) -> bytes:
    return struct.pack("<q", len(content) + 8) + content


def _list(items: Iterable[bytes], behind: bytes = b"") -> bytes:
    """Return a list frame; some go on behind their items."""
    parts = list(items)
    content = b"".join(parts) + behind
    return struct.pack("<qI", -len(content) - 12, len(parts)) + content


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "little") + data
