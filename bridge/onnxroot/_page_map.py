"""Where an RNTuple has what: its columns, and their pages in the file."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from onnxroot._compress import decompressed
from onnxroot._envelopes import Header, Page, parse_footer, parse_header, parse_page_list
from onnxroot._limits import Limits
from onnxroot.errors import FormatError

__all__ = ["PageMap", "check_anchor", "read_piece"]

_ANCHOR = struct.Struct(">4H7Q")
_BEFORE_ANCHOR = 6  # a byte count and a version


class PageMap:
    """Where an RNTuple has what, from the envelopes that its anchor points to.

    Lists of pages are read when they are asked for: they lie all over the file.

    Attributes:
        types: Code of each column's type.
        columns: By field, the numbers of its columns.
        n_rows: Number of entries.
        n_clusters: Number of clusters.
    """

    def __init__(self, ntuple: Any, limits: Limits) -> None:
        """Read the header and the footer.

        Args:
            ntuple: Uproot's RNTuple.
            limits: How much they may ask for.

        Raises:
            FormatError: It is empty, or damaged.
        """
        self._ntuple = ntuple
        self._limits = limits
        member = ntuple.member
        if not member("fSeekHeader"):
            raise FormatError(
                "is empty, as hadd leaves an RNTuple that is in a directory: the file was probably "
                "merged with hadd; copy the model from the original with onnxroot cp"
            )
        header = parse_header(
            self._envelope(member("fSeekHeader"), member("fNBytesHeader"), member("fLenHeader"))
        )
        self._groups = parse_footer(
            self._envelope(member("fSeekFooter"), member("fNBytesFooter"), member("fLenFooter")),
            header,
        )
        self.types = [column.type for column in header.columns]
        self.columns = _physical_columns(header)
        self.n_rows = sum(group.n_entries for group in self._groups)
        self._first = list(accumulate((group.n_clusters for group in self._groups), initial=0))
        self.n_clusters = self._first[-1]
        self._lists: dict[int, list[list[list[Page]]]] = {}

    def cluster(self, number: int) -> list[list[Page]]:
        """Return the pages of each column of a cluster.

        Raises:
            FormatError: The list of them is damaged, or another than the footer says.
        """
        group = bisect_right(self._first, number) - 1
        return self._pages_of(group)[number - self._first[group]]

    def _pages_of(self, number: int) -> list[list[list[Page]]]:
        if number not in self._lists:
            group = self._groups[number]
            entries, clusters = parse_page_list(self._envelope(*group[2:]))
            if (sum(entries), len(entries), len(clusters)) != (*group[:2], group.n_clusters):
                raise FormatError(
                    f"a list of pages has {len(clusters)} clusters with {sum(entries)} entries, "
                    f"its footer says {group.n_clusters} with {group.n_entries}"
                )
            self._lists[number] = clusters
        return self._lists[number]

    def page_lists(self, clusters: Iterable[int]) -> list[tuple[int, int]]:
        """Return where the lists of these clusters' pages begin and end in the file."""
        found = {bisect_right(self._first, cluster) - 1 for cluster in clusters}
        groups = [self._groups[number] for number in found - self._lists.keys()]
        return [(group.offset, group.offset + group.nbytes) for group in groups]

    def blobs(self) -> list[tuple[int, int]]:
        """Return position and length of every envelope and page in the file.

        Raises:
            FormatError: A list of pages is damaged.
        """
        member = self._ntuple.member
        ends = [(member(f"fSeek{name}"), member(f"fNBytes{name}")) for name in ("Header", "Footer")]
        lists = [(group.offset, group.nbytes) for group in self._groups]
        pages = (
            page
            for number in range(len(self._groups))
            for cluster in self._pages_of(number)
            for column in cluster
            for page in column
        )
        return [*ends, *lists, *((page.offset, page.nbytes) for page in pages)]

    def _envelope(self, offset: int, nbytes: int, length: int) -> bytes:
        """Read a piece of the file, and decompress it if it has another length than it should."""
        self._limits.check_object("its description", nbytes, length)
        return bytes(read_piece(self._ntuple, Page(0, offset, nbytes), length))


def check_anchor(data: bytes) -> None:
    """Check the object that is an RNTuple's anchor; uproot does so too, but by asserts.

    Args:
        data: The object, unpacked.

    Raises:
        FormatError: It is cut, or its checksum is wrong.
    """
    end = _BEFORE_ANCHOR + _ANCHOR.size
    anchor, checksum = data[_BEFORE_ANCHOR:end], data[end : end + 8]
    found = xxhash.xxh3_64_intdigest(anchor)
    if len(checksum) < 8 or found != int.from_bytes(checksum, "big"):
        raise FormatError("the checksum of its anchor is wrong")


def read_piece(ntuple: Any, page: Page, length: int) -> npt.NDArray[np.uint8]:
    """Return the bytes of a page or an envelope, unpacked.

    Args:
        ntuple: Uproot's RNTuple.
        page: Where it is; its number of elements does not count.
        length: How long it has to be, unpacked.

    Raises:
        FormatError: It has another length.
    """
    if page.num_bytes > length:  # no compression makes it longer
        raise FormatError(f"a piece has {page.num_bytes} bytes, expected {length}")
    chunk = ntuple.file.source.chunk(page.offset, page.offset + page.num_bytes)
    data = np.frombuffer(chunk.raw_data, np.uint8)
    if page.num_bytes < length:
        data = decompressed(data, length)
    if len(data) != length:
        raise FormatError(f"a piece has {len(data)} bytes, expected {length}")
    return data


def _physical_columns(header: Header) -> dict[str, list[int]]:
    """Return the numbers of the columns behind each top-level field, outermost first."""
    top: dict[str, list[int]] = {}
    owner: list[str] = []
    for number, field in enumerate(header.fields):
        if field.parent > number:
            raise FormatError(f"field {field.name} stands before the one it belongs to")
        name = field.name if field.parent == number else owner[field.parent]
        owner.append(name)
        top.setdefault(name, [])
    for number, column in enumerate(header.columns):
        if column.field >= len(owner):
            raise FormatError(f"column {number} belongs to no field")
        top[owner[column.field]].append(number)
    return top
