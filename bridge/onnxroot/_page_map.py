"""Where an RNTuple has what: its columns, and their pages in the file."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from onnxroot._compress import decompressed
from onnxroot._envelopes import Header, Page, parse_footer, parse_header, parse_page_list
from onnxroot.errors import FormatError

__all__ = ["PageMap", "read_piece"]

_ANCHOR = struct.Struct(">4H7Q")
_ANCHOR_MEMBERS = (
    *(f"fVersion{part}" for part in ("Epoch", "Major", "Minor", "Patch")),
    *(f"f{part}{name}" for name in ("Header", "Footer") for part in ("Seek", "NBytes", "Len")),
    "fMaxKeySize",
)


class PageMap:
    """Where an RNTuple has what, from the envelopes that its anchor points to.

    Attributes:
        types: Code of each column's type.
        columns: By field, the numbers of its columns.
        clusters: For each cluster and column, the pages.
        n_rows: Number of entries.
        blobs: Position and length of every envelope and page in the file.
    """

    def __init__(self, ntuple: Any) -> None:
        """Read the envelopes.

        Args:
            ntuple: Uproot's RNTuple.

        Raises:
            FormatError: It is empty, or damaged.
        """
        self._ntuple = ntuple
        self.blobs: list[tuple[int, int]] = []
        member = ntuple.member
        anchor = _ANCHOR.pack(*map(member, _ANCHOR_MEMBERS))
        if xxhash.xxh3_64_intdigest(anchor) != ntuple._anchor_checksum:  # noqa: SLF001
            raise FormatError("the checksum of its anchor is wrong")  # uproot's is an assert
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
        self.blobs += [(page.offset, page.nbytes) for page in pages]

    def _envelope(self, offset: int, nbytes: int, length: int) -> bytes:
        """Read a piece of the file, and decompress it if it has another length than it should."""
        self.blobs.append((offset, nbytes))
        return read_piece(self._ntuple, Page(0, offset, nbytes), length).tobytes()


def read_piece(ntuple: Any, page: Page, nbytes: int) -> npt.NDArray[np.uint8]:
    """Read a piece of an RNTuple, and decompress it if it has another length than it should.

    Args:
        ntuple: Uproot's RNTuple.
        page: Where the piece is.
        nbytes: How long it is once it is decompressed.

    Raises:
        FormatError: It has another length.
    """
    chunk, _ = ntuple.read_locator(page, 0)  # as it is in the file
    data = np.frombuffer(chunk.raw_data, np.uint8)
    if page.num_bytes != nbytes:
        return decompressed(data, nbytes)
    if len(data) != nbytes:
        raise FormatError(f"a piece of {len(data)} bytes, expected {nbytes}; the file is cut")
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
