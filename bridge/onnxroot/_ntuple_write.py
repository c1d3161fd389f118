"""RNTuples, written cluster by cluster into a region of a ROOT file.

Each has one group of clusters. A page has a checksum, which ROOT and hadd verify.

Source: RNTuple binary format specification 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash

from onnxroot._compress import METADATA, Compression, Piece, nbytes_of
from onnxroot._encodings import CHAR, ENCODINGS, Encoding, encode, encoding_of
from onnxroot._envelopes_write import (
    ClusterRecord,
    ColumnPages,
    ColumnRecord,
    FieldRecord,
    Link,
    PageRecord,
    anchor,
    footer,
    header,
    page_list,
)
from onnxroot._overlap import Turns, in_order
from onnxroot._root_region import Region
from onnxroot._spec import CHUNK_NBYTES
from onnxroot.tables import Column, Sliced

__all__ = ["NTuple", "Pages"]

_TABLE_PAGE: Final = (
    1 << 20
)  # bytes of a page: what several threads make of it stays in their caches
_LARGE: Final = 1 << 20  # bytes of a table that are worth several threads
_INDEX: Final = np.dtype("<i8")


_Page = tuple[int, list[Piece]]
"""Number of elements, and pieces of bytes, the last of them the checksum of the others."""

_Task = tuple[Sliced, slice, Encoding]
"""A column, which of its values make a page, and how they stand there."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The columns of one cluster, ready to be written.

    Attributes:
        n_rows: How many rows it has.
        columns: For each column its pages.
    """

    n_rows: int
    columns: list[list[_Page]]


@dataclass(slots=True)
class _Schema:
    fields: list[FieldRecord] = field(default_factory=list)
    encodings: list[Encoding] = field(default_factory=list)
    columns: list[ColumnRecord] = field(default_factory=list)

    def add(self, name: str, column: Column, *, is_split: bool) -> None:
        """Add a field, and the column of each of its levels."""
        *lists, values = column.levels()
        dtype = values.dtype
        type_ = "std::string" if column.is_text else _type_of(dtype)
        own = ENCODINGS[CHAR] if column.is_text else encoding_of(dtype, is_split=is_split)
        ends = encoding_of(_INDEX, is_split=is_split, is_index=True)
        if len(lists) > column.is_text:
            self._add_field(name, f"std::vector<{type_}>", len(self.fields))
            self._add_column(ends)
            self._add_field("_0", type_, len(self.fields) - 1)
        else:
            self._add_field(name, type_, len(self.fields))
        if column.is_text:
            self._add_column(ends)
        self._add_column(own)

    def _add_field(self, name: str, type_: str, parent: int) -> None:
        self.fields.append(FieldRecord(name, type_, parent))

    def _add_column(self, encoding: Encoding) -> None:
        self.encodings.append(encoding)
        n_bits = 8 * encoding.dtype.itemsize
        self.columns.append(ColumnRecord(encoding.code, n_bits, len(self.fields) - 1))


class NTuple:
    """An RNTuple that is being written.

    Attributes:
        n_rows: How many rows it has so far.
    """

    def __init__(
        self, region: Region, path: str, columns: Mapping[str, Column], compression: Compression
    ) -> None:
        """Write its header.

        Args:
            region: Where to write.
            path: Its directories and its name.
            columns: By field, any columns of the types that are to come.
            compression: Of its pages; without one, values are stored as they are in memory.
        """
        self._region, self._path, self._compression = region, path, compression
        self._schema = _Schema()
        for name, column in columns.items():
            self._schema.add(name, column, is_split=bool(compression.head))
        self._name = path.rpartition("/")[2]
        self._header = header(self._name, self._schema.fields, self._schema.columns)
        self._header_at = self._add_envelope(self._header)
        self._n_elements = [0] * len(self._schema.columns)
        self._clusters: list[ClusterRecord] = []
        self.n_rows = 0

    def pages_of(self, columns: Mapping[str, Column]) -> Pages:
        """Encode and compress a cluster; in any thread."""
        pages = [
            [self._page(level[where], encoding) for level, where, encoding in tasks]
            for tasks in self._cut(columns, CHUNK_NBYTES)
        ]
        return Pages(len(next(iter(columns.values()))), pages)

    def add(self, pages: Pages) -> None:
        """Write a cluster."""
        self._add(pages.n_rows, pages.columns)

    def add_table(self, columns: Mapping[str, Column]) -> str:
        """Encode, compress and write a cluster, page by page, in several threads if it is large.

        Returns:
            Its digest, as FORMAT §3.4 says: of each column the ends of lists, then the values.
        """
        cut = self._cut(columns, _TABLE_PAGE)
        is_large = sum(level.nbytes for c in columns.values() for level in c.levels()) > _LARGE
        digest, turns = xxhash.xxh64(), Turns()
        alone = nullcontext(lambda: None)  # one thread takes them in order anyway

        def page(task: tuple[int, _Task]) -> _Page:
            number, (level, where, encoding) = task
            with turns.of(number) if is_large else alone as wait:
                values = np.ascontiguousarray(level[where])
                wait()
                digest.update(memoryview(values.view(np.uint8)))
            return self._page(values, encoding)

        numbered = enumerate(chain(*cut))
        pages = in_order(page, numbered, turns) if is_large else map(page, numbered)
        n_rows = len(next(iter(columns.values())))
        self._add(n_rows, (islice(pages, len(tasks)) for tasks in cut))
        return digest.hexdigest()

    def _cut(self, columns: Mapping[str, Column], nbytes: int) -> list[list[_Task]]:
        """Cut each column of a cluster into pages of at most so many bytes."""
        levels = (level for column in columns.values() for level in column.levels())
        pairs = zip(levels, self._schema.encodings, strict=True)
        return [_cut(level, encoding, nbytes) for level, encoding in pairs]

    def _page(self, values: npt.NDArray[Any], encoding: Encoding) -> _Page:
        """Make a page."""
        data = encode(values, encoding)
        pieces = self._compression(data, values.nbytes - len(data))
        checksum = xxhash.xxh3_64()
        for piece in pieces:
            checksum.update(piece)
        return len(values), [*pieces, checksum.digest()[::-1]]

    def _add(self, n_rows: int, pages: Iterable[Iterable[_Page]]) -> None:
        """Write the pages of each column of a cluster."""
        columns = []
        for number, column in enumerate(pages):
            records = [
                PageRecord(n, self._region.add_blob(pieces), nbytes_of(pieces[:-1]))
                for n, pieces in column
            ]
            columns.append(ColumnPages(pages=records, first_element=self._n_elements[number]))
            self._n_elements[number] += sum(page.n_elements for page in records)
        self._clusters.append(ClusterRecord(first_row=self.n_rows, n_rows=n_rows, columns=columns))
        self.n_rows += n_rows

    def close(self) -> None:
        """Write what follows the clusters, and the object itself."""
        pages = page_list(self._header, self._clusters, self._compression.code)
        links = self._add_envelope(pages)
        end = self._add_envelope(footer(self._header, self.n_rows, len(self._clusters), links))
        content = anchor(self._header_at, end)
        self._region.add_object(self._path, "ROOT::RNTuple", content, title=self._name)

    def _add_envelope(self, envelope: bytes) -> Link:
        """Write an envelope; return where it is."""
        pieces = METADATA(np.frombuffer(envelope, np.uint8))
        return self._region.add_blob(pieces), nbytes_of(pieces), len(envelope)


def _cut(level: Sliced, encoding: Encoding, nbytes: int) -> list[_Task]:
    """Cut the values of a column into pages."""
    step = nbytes // encoding.dtype.itemsize
    starts = range(0, len(level), step)
    return [(level, slice(start, start + step), encoding) for start in starts]


def _type_of(dtype: np.dtype[Any]) -> str:
    kind, bits = dtype.kind, 8 * dtype.itemsize
    if kind == "f":
        return "float" if bits == 32 else "double"
    return f"std::{'u' if kind == 'u' else ''}int{bits}_t"
