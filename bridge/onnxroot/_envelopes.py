"""The metadata of an RNTuple: which columns it has, and where their pages are.

Uproot parses the same, record by record through objects: for a tiny model that is half the time of
reading it, and for a large one with hundreds of clusters most of the time until a tensor is found.
Here the envelopes are unpacked straight from their bytes, and their checksums verified.

Source: RNTuple binary format specification 1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import xxhash

from onnxroot.errors import FormatError

__all__ = [
    "ClusterGroup",
    "Column",
    "ColumnPages",
    "Field",
    "Header",
    "Page",
    "parse_footer",
    "parse_header",
    "parse_page_list",
]

T = TypeVar("T")
Numbers = Sequence[int]

_HEADER, _FOOTER, _PAGE_LIST = 1, 2, 3  # envelope types
_LENGTH_BITS = 16  # the length stands above the type
_DEFERRED = 1  # flag of a column that was added later
_PAGE = struct.Struct("<iiQ")  # of a page that a simple locator points to
_ONE_PAGE = struct.Struct("<qIiiQ")  # a list frame with one of these
_FIELD = struct.Struct("<qIIIHH")  # of these four a size comes first
_COLUMN = struct.Struct("<qHHIHH")
_GROUP = struct.Struct("<qQQIQ")
_SUMMARY = struct.Struct("<qQQ")
_LIST = struct.Struct("<qI")
_I32, _U32, _I64, _U64 = map(struct.Struct, ("<i", "<I", "<q", "<Q"))
_PAIR = struct.Struct("<QQ")
_OPTIONS = ((1, _U64), (2, _U32), (4, _U32))  # flags of a field, and what follows if they are set
_ENTRIES = (1 << 56) - 1  # the upper byte of a cluster's number of entries holds flags


class Field(NamedTuple):
    """A field: its name, and the number of the field it belongs to (its own at the top)."""

    name: str
    parent: int


class Column(NamedTuple):
    """A column: its type's code, and the number of its field."""

    type: int
    field: int


class Page(NamedTuple):
    """A page: how many elements it has, where it begins in the file, and its length there.

    A checksum of 8 bytes may follow it, which the length does not count.
    """

    n_elements: int
    offset: int
    num_bytes: int
    has_checksum: bool = False

    @property
    def nbytes(self) -> int:
        """Length with the checksum."""
        return self.num_bytes + 8 * self.has_checksum


class ColumnPages(NamedTuple):
    """The pages of a column in a cluster, and how many elements and bytes they have together."""

    pages: list[Page]
    n_elements: int
    num_bytes: int


class ClusterGroup(NamedTuple):
    """A cluster group: what it has, and where its page list is; `length` is uncompressed."""

    n_entries: int
    n_clusters: int
    offset: int
    nbytes: int
    length: int


class Header(NamedTuple):
    """The schema, or what a footer adds to it, in the order of the file."""

    fields: list[Field]
    columns: list[Column]


class _Reader:
    """Unpacks one envelope from its bytes.

    Raises:
        FormatError: The checksum or the type is wrong; a frame has an impossible size.
        struct.error: The bytes end too early.
    """

    def __init__(self, data: bytes, kind: int) -> None:
        self.data = data
        self.position = 8
        (head,) = _U64.unpack_from(data)
        length = head >> _LENGTH_BITS
        if head & 0xFFFF != kind or not 16 <= length <= len(data):
            raise FormatError(f"an envelope of type {head & 0xFFFF}, expected {kind}")
        (checksum,) = _U64.unpack_from(data, length - 8)
        if xxhash.xxh3_64_intdigest(data[: length - 8]) != checksum:
            raise FormatError("the checksum of an envelope is wrong")

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        values = layout.unpack_from(self.data, self.position)
        self.position += layout.size
        return values

    def text(self) -> str:
        (length,) = _U32.unpack_from(self.data, self.position)
        start = self.position + _U32.size
        self.position = start + length
        if self.position > len(self.data):
            raise FormatError("a string passes the end of an envelope")
        return self.data[start : self.position].decode(errors="backslashreplace")

    def flags(self) -> None:
        """Skip the feature flags: each has its sign set where another follows."""
        while self.unpack(_I64)[0] < 0:
            pass

    def record(self, read: Callable[[_Reader], T]) -> T:
        """Read a record frame; what a later version added at its end is skipped."""
        start = self.position
        (size,) = self.unpack(_I64)
        if size < 8:
            raise FormatError(f"a record frame of {size} bytes")
        value = read(self)
        self.position = start + size
        return value

    def items(self, read: Callable[[_Reader], T]) -> list[T]:
        """Read a list frame."""
        stop, n = self.list_frame()
        values = [read(self) for _ in range(n)]
        self.position = max(stop, self.position)
        return values

    def records(self, layout: struct.Struct, read: Callable[[_Reader, Numbers], T]) -> list[T]:
        """Read a list frame of record frames, whose size and first numbers have this layout."""
        stop, n = self.list_frame()
        values = []
        for _ in range(n):
            start = self.position
            size, *numbers = layout.unpack_from(self.data, start)
            if size < 8:
                raise FormatError(f"a record frame of {size} bytes")
            self.position = start + layout.size
            values.append(read(self, numbers))
            self.position = start + size
        self.position = max(stop, self.position)
        return values

    def list_frame(self) -> tuple[int, int]:
        """Return where a list frame ends, and how many items it has; they come next."""
        size, n = _LIST.unpack_from(self.data, self.position)
        if size > -12:
            raise FormatError(f"a list frame of {-size} bytes")
        stop = self.position - size
        self.position += _LIST.size
        return stop, n

    def locator(self) -> tuple[int, int]:
        """Return offset and length of a piece of the file."""
        (size,) = self.unpack(_I32)
        if size >= 0:
            (offset,) = self.unpack(_U64)
            return offset, size
        kind, frame = size >> 24 & 0x7F, size & 0xFFFF
        if kind != 1 or frame != 20:
            raise FormatError(f"a locator of type {kind}, expected one of a file")
        length, offset = self.unpack(_PAIR)
        return offset, length


def parse_header(data: bytes) -> Header:
    """Parse a header envelope.

    Raises:
        FormatError: It is damaged.
    """
    return _guarded(_header, _Reader, data, _HEADER)


def parse_footer(data: bytes) -> tuple[Header, list[ClusterGroup]]:
    """Parse a footer envelope.

    Returns:
        The fields and columns that it adds to those of the header, and the cluster groups.

    Raises:
        FormatError: It is damaged.
    """
    return _guarded(_footer, _Reader, data, _FOOTER)


def parse_page_list(data: bytes) -> tuple[list[int], list[list[ColumnPages]]]:
    """Parse a page list envelope.

    Returns:
        For each cluster its number of entries, and for each cluster and column its pages.

    Raises:
        FormatError: It is damaged.
    """
    return _guarded(_page_list, _Reader, data, _PAGE_LIST)


def _guarded(
    parse: Callable[[_Reader], T], reader: Callable[[bytes, int], _Reader], data: bytes, kind: int
) -> T:
    try:
        return parse(reader(data, kind))
    except struct.error as error:
        raise FormatError(f"an envelope ends too early: {error}") from error


def _header(reader: _Reader) -> Header:
    reader.flags()
    for _ in ("name", "description", "writer"):
        reader.text()
    return _schema(reader)


def _footer(reader: _Reader) -> tuple[Header, list[ClusterGroup]]:
    reader.flags()
    reader.unpack(_U64)
    return reader.record(_schema), reader.records(_GROUP, _cluster_group)


def _page_list(reader: _Reader) -> tuple[list[int], list[list[ColumnPages]]]:
    reader.unpack(_U64)
    return reader.records(_SUMMARY, _n_entries), reader.items(_cluster)


def _schema(reader: _Reader) -> Header:
    return Header(reader.records(_FIELD, _field), reader.records(_COLUMN, _column))


def _field(reader: _Reader, numbers: Numbers) -> Field:
    _, _, parent, _, flags = numbers
    for bit, layout in _OPTIONS if flags else ():
        if flags & bit:
            reader.unpack(layout)
    return Field(reader.text(), parent)


def _column(reader: _Reader, numbers: Numbers) -> Column:
    kind, _, field, flags, _ = numbers
    if flags & _DEFERRED and reader.unpack(_I64)[0]:
        raise FormatError("a column begins behind the first row, which no writer of models does")
    return Column(kind, field)


def _cluster_group(reader: _Reader, numbers: Numbers) -> ClusterGroup:
    _, n_entries, n_clusters, length = numbers
    offset, nbytes = reader.locator()
    return ClusterGroup(n_entries, n_clusters, offset, nbytes, length)


def _n_entries(_: _Reader, numbers: Numbers) -> int:
    return numbers[1] & _ENTRIES


def _cluster(reader: _Reader) -> list[ColumnPages]:
    return reader.items(_pages)


def _pages(reader: _Reader) -> ColumnPages:
    """Read the pages of one column: large models have thousands.

    The frame goes on with the first element of the column, and its compression.
    """
    if len(reader.data) - reader.position >= _ONE_PAGE.size:  # most have one
        size, n, n_elements, nbytes, offset = _ONE_PAGE.unpack_from(reader.data, reader.position)
        if n == 1 and nbytes >= 0 and size <= -_ONE_PAGE.size:
            reader.position -= size
            page = Page(abs(n_elements), offset, nbytes, n_elements < 0)
            return ColumnPages([page], page.n_elements, nbytes)
    stop, n = reader.list_frame()
    pages, all_elements, all_bytes = [], 0, 0
    for _ in range(n):
        n_elements, nbytes, offset = _PAGE.unpack_from(reader.data, reader.position)
        if nbytes >= 0:
            reader.position += _PAGE.size
        else:
            reader.position += _I32.size
            offset, nbytes = reader.locator()
        pages.append(Page(abs(n_elements), offset, nbytes, n_elements < 0))
        all_elements += abs(n_elements)
        all_bytes += nbytes
    reader.position = max(stop, reader.position)
    return ColumnPages(pages, all_elements, all_bytes)
