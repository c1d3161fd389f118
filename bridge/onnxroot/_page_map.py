"""Where an RNTuple has what: its columns, and their pages in the file."""

from __future__ import annotations

import struct
from typing import Any

import xxhash

from onnxroot._blocks import check_blocks
from onnxroot._envelopes import Header, Page, parse_footer, parse_header, parse_page_list
from onnxroot._limits import Limits
from onnxroot.errors import FormatError

__all__ = ["PageMap", "check_anchor", "read_piece"]

_ANCHOR = struct.Struct(">4H7Q")
_BEFORE_ANCHOR = 6  # a byte count and a version


class PageMap:
    """Where an RNTuple has what, from the envelopes that its anchor points to.

    Attributes:
        types: Code of each column's type.
        columns: By field, the numbers of its columns.
        clusters: For each cluster and column, the pages.
        n_rows: Number of entries.
        blobs: Position and length of every envelope and page in the file.
    """

    def __init__(self, ntuple: Any, limits: Limits) -> None:
        """Read the envelopes.

        Args:
            ntuple: Uproot's RNTuple.
            limits: How much they may ask for.

        Raises:
            FormatError: It is empty, or damaged.
        """
        self._ntuple = ntuple
        self._limits = limits
        self.blobs: list[tuple[int, int]] = []
        member = ntuple.member
        if not member("fSeekHeader"):
            raise FormatError(
                "is empty, as hadd leaves an RNTuple that is in a directory: the file was probably "
                "merged with hadd; copy the model from the original with onnxroot cp"
            )
        header = parse_header(
            self._envelope(member("fSeekHeader"), member("fNBytesHeader"), member("fLenHeader"))
        )
        groups = parse_footer(
            self._envelope(member("fSeekFooter"), member("fNBytesFooter"), member("fLenFooter")),
            header,
        )
        self.types = [column.type for column in header.columns]
        self.columns = _physical_columns(header)
        self.clusters: list[list[list[Page]]] = []
        self.n_rows = 0
        for group in groups:
            entries, clusters = parse_page_list(self._envelope(*group))
            self.n_rows += sum(entries)
            self.clusters += clusters
        pages = (page for cluster in self.clusters for column in cluster for page in column)
        self.blobs += [(page.offset, page.num_bytes) for page in pages]

    def _envelope(self, offset: int, nbytes: int, length: int) -> bytes:
        """Read a piece of the file, and decompress it if it has another length than it should."""
        self.blobs.append((offset, nbytes))
        self._limits.check_table("its description", nbytes, length)
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


def read_piece(ntuple: Any, page: Page, length: int) -> memoryview:
    """Return the bytes of a page or an envelope, unpacked.

    Args:
        ntuple: Uproot's RNTuple.
        page: Where it is; its number of elements does not count.
        length: How long it has to be, unpacked.

    Raises:
        FormatError: It has another length.
    """
    if page.num_bytes < length:
        chunk = ntuple.file.source.chunk(page.offset, page.offset + page.num_bytes)
        check_blocks(memoryview(chunk.raw_data).cast("B"), length)
    chunk, _ = ntuple.read_locator(page, length)
    data = memoryview(chunk.raw_data).cast("B")
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
