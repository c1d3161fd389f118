"""Where an RNTuple has what: its columns, and their pages in the file."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from onnxroot._compress import decompressed
from onnxroot._envelopes import (
    Column,
    ColumnPages,
    Field,
    Page,
    parse_footer,
    parse_header,
    parse_page_list,
)
from onnxroot._limits import Limits
from onnxroot.errors import FormatError

__all__ = ["Anchor", "PageMap", "Read", "parse_anchor", "read_piece"]

U8 = npt.NDArray[np.uint8]

Read = Callable[[int, int], U8]
"""Gives the bytes of a file from one position up to another; fewer where it ends."""

_ANCHOR = struct.Struct(">4H7Q")
_EPOCH = 1  # of the format's version, which stands first
_BEFORE_ANCHOR = struct.Struct(">IH")  # how many bytes come behind it, and a version
_IS_COUNT = 0x40000000


class Anchor(NamedTuple):
    """The object that is an RNTuple: where its header and its footer are.

    Attributes:
        header: Position, length, and length once it is decompressed.
        footer: The same.
    """

    header: tuple[int, int, int]
    footer: tuple[int, int, int]


class PageMap:
    """Where an RNTuple has what, from the envelopes that its anchor points to.

    Lists of pages are read when they are asked for: they lie all over the file.

    Attributes:
        types: Code of each column's type.
        columns: By field, the numbers of its columns.
        n_rows: Number of entries.
        n_clusters: Number of clusters.
    """

    def __init__(self, anchor: Anchor, read: Read, limits: Limits) -> None:
        """Read the header and the footer.

        Args:
            anchor: What points to them.
            read: Reads the file.
            limits: How much they may ask for.

        Raises:
            FormatError: It is empty, or damaged.
        """
        self._anchor = anchor
        self._read = read
        self._limits = limits
        if not anchor.header[0]:
            raise FormatError(
                "is empty, as hadd leaves an RNTuple that is in a directory: the file was probably "
                "merged with hadd; copy the model from the original with onnxroot cp"
            )
        header = parse_header(self._envelope(*anchor.header))
        added, self._groups = parse_footer(self._envelope(*anchor.footer))
        columns = header.columns + added.columns
        self.types = [column.type for column in columns]
        self.columns = _physical_columns(header.fields + added.fields, columns)
        self.n_rows = sum(group.n_entries for group in self._groups)
        self._first = list(accumulate((group.n_clusters for group in self._groups), initial=0))
        self.n_clusters = self._first[-1]
        self._clusters: dict[int, list[ColumnPages]] = {}

    def cluster(self, number: int) -> list[ColumnPages]:
        """Return the pages of each column of a cluster.

        Raises:
            FormatError: The list of them is damaged, or another than the footer says.
        """
        if number not in self._clusters:
            self._read_group(bisect_right(self._first, number) - 1)
        return self._clusters[number]

    def _read_group(self, number: int) -> None:
        """Read the pages of all clusters of a group."""
        group = self._groups[number]
        entries, clusters = parse_page_list(self._envelope(*group[2:]))
        if (sum(entries), len(entries), len(clusters)) != (*group[:2], group.n_clusters):
            raise FormatError(
                f"a list of pages has {len(clusters)} clusters with {sum(entries)} entries, "
                f"its footer says {group.n_clusters} with {group.n_entries}"
            )
        self._clusters.update(enumerate(clusters, self._first[number]))

    def page_lists(self, clusters: Iterable[int]) -> list[tuple[int, int]]:
        """Return where the lists of these clusters' pages begin and end in the file."""
        missing = set(clusters) - self._clusters.keys()
        found = {bisect_right(self._first, cluster) - 1 for cluster in missing}
        groups = [self._groups[number] for number in found]
        return [(group.offset, group.offset + group.nbytes) for group in groups]

    def blobs(self) -> list[tuple[int, int]]:
        """Return position and length of every envelope and page in the file.

        Raises:
            FormatError: A list of pages is damaged.
        """
        ends = [self._anchor.header[:2], self._anchor.footer[:2]]
        lists = [(group.offset, group.nbytes) for group in self._groups]
        pages = (
            page
            for number in range(self.n_clusters)
            for column in self.cluster(number)
            for page in column.pages
        )
        return [*ends, *lists, *((page.offset, page.nbytes) for page in pages)]

    def _envelope(self, offset: int, nbytes: int, length: int) -> bytes:
        """Read a piece of the file, and decompress it if it has another length than it should."""
        self._limits.check_object("its description", nbytes, length)
        return bytes(read_piece(self._read, Page(0, offset, nbytes), length))


def parse_anchor(data: bytes) -> Anchor:
    """Parse the object that is an RNTuple.

    Args:
        data: The object, unpacked.

    Raises:
        FormatError: It is cut, its checksum is wrong, or it is of another version.

    Source: RNTuple binary format specification 1.0, "Anchor schema".
    """
    start = _BEFORE_ANCHOR.size
    end = start + _ANCHOR.size
    if len(data) < end or _BEFORE_ANCHOR.unpack_from(data)[0] != _IS_COUNT | end - 4:
        raise FormatError(f"its anchor has another length than {end} bytes")
    anchor, checksum = data[start:end], data[end : end + 8]
    found = xxhash.xxh3_64_intdigest(anchor)
    if len(checksum) < 8 or found != int.from_bytes(checksum, "big"):
        raise FormatError("the checksum of its anchor is wrong")
    epoch, _, _, _, *places = _ANCHOR.unpack(anchor)
    if epoch != _EPOCH:
        raise FormatError(f"it is an RNTuple of version {epoch}, expected {_EPOCH}")
    return Anchor(tuple(places[:3]), tuple(places[3:6]))


def read_piece(
    read: Read, page: Page, length: int, *, zeros_apart: bool = False, out: U8 | None = None
) -> U8:
    """Return the bytes of a page or an envelope, unpacked.

    Args:
        read: Reads the file.
        page: Where it is; its number of elements does not count.
        length: How long it has to be, unpacked.
        zeros_apart: Leave out the zeros at its end, where `decompressed` sees them.
        out: Where it goes, if it is packed, and not to be unpacked into a new array.

    Raises:
        FormatError: It has another length, or the file ends before.
    """
    if page.num_bytes > length:  # no compression makes it longer
        raise FormatError(f"a piece has {page.num_bytes} bytes, expected {length}")
    data = read(page.offset, page.offset + page.num_bytes)
    if len(data) < page.num_bytes:
        raise FormatError(f"the file ends within the piece at byte {page.offset}")
    if page.num_bytes < length:
        return decompressed(data, length, zeros_apart=zeros_apart, out=out)
    if len(data) != length:
        raise FormatError(f"a piece has {len(data)} bytes, expected {length}")
    return data


def _physical_columns(fields: list[Field], columns: list[Column]) -> dict[str, list[int]]:
    """Return the numbers of the columns behind each top-level field, outermost first."""
    top: dict[str, list[int]] = {}
    owner: list[str] = []
    for number, field in enumerate(fields):
        if field.parent > number:
            raise FormatError(f"field {field.name} stands before the one it belongs to")
        name = field.name if field.parent == number else owner[field.parent]
        owner.append(name)
        top.setdefault(name, [])
    for number, column in enumerate(columns):
        if column.field >= len(owner):
            raise FormatError(f"column {number} belongs to no field")
        top[owner[column.field]].append(number)
    return top
