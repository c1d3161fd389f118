"""Read a model's tables from RNTuples, checked against its manifest.

Whatever uproot makes of a damaged file, the callers see `FormatError` or `IntegrityError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import accumulate, chain, islice, pairwise
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash

from onnxroot._encodings import CHAR, ENCODINGS, Encoding, decode
from onnxroot._envelopes import Page
from onnxroot._lists_read import PageOfList, are_long, record_tasks
from onnxroot._manifest import TableInfo
from onnxroot._overlap import Turns, called, in_order
from onnxroot._page_map import Anchor, PageMap, read_piece
from onnxroot._records import LongColumn, Records, can_be_long
from onnxroot._root_file import RootFile
from onnxroot._schema import Field
from onnxroot._spec import CHUNK_NBYTES, TENSORS
from onnxroot.errors import FormatError, IntegrityError
from onnxroot.tables import Column

__all__ = ["TableReader", "open_table"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_INT64: Final = np.dtype(np.int64)
_WIDEST: Final = 8  # bytes of a value
_LARGE = 1 << 17  # elements of a cluster that is worth several threads
_MERGED = (
    "the file was probably merged with hadd, of models that differ: restore it from the original"
)


def _is_storage(where: str) -> bool:
    """Return whether a table's address is that of payload values."""
    return where.rpartition("/")[0].endswith(f"/{TENSORS}")


def _itemsize(code: int) -> int:
    """Return how long a value of a column is; of an encoding that is not ours, how long at most."""
    encoding = ENCODINGS.get(code)
    return encoding.dtype.itemsize if encoding else _WIDEST


_Task = tuple[Page, Encoding, npt.NDArray[Any]]
"""A page, how its values stand there, and where they go."""


def open_table(file: RootFile, directory: str, name: str, info: TableInfo) -> TableReader:
    """Open one RNTuple of a model.

    Args:
        file: The file.
        directory: The model's.
        name: Within that.
        info: What the manifest says of it.

    Raises:
        FormatError: It is missing, or no RNTuple.
        IntegrityError: It has other rows or clusters than the manifest says.
    """
    where = f"{file.path}:{directory}/{name}"
    anchor = file.anchor(directory, name)
    with file.translated(where):
        return TableReader(file, anchor, where, info)


class TableReader:
    """One RNTuple of a model.

    Attributes:
        where: Its address, for messages.
        n_copies: How often its rows are there: more than once where ``hadd`` has merged copies of
            the model. All that are read are checked, and the first counts.
    """

    def __init__(self, file: RootFile, anchor: Anchor, where: str, info: TableInfo) -> None:
        """Check the number of rows against the manifest.

        Args:
            file: The file it is in.
            anchor: The RNTuple.
            where: Its address, for messages.
            info: What the manifest says of it.

        Raises:
            FormatError: It is no RNTuple.
            IntegrityError: It has other rows than the manifest says.
        """
        self.where = where
        self._file = file
        self._info = info
        try:
            pages = PageMap(anchor, file.read, file.limits)
        except FormatError as error:
            raise FormatError(f"{where}: {error}{file.blame(str(error))}") from error
        self._pages = pages
        self._types, self._columns, self._n_rows = pages.types, pages.columns, pages.n_rows
        self.n_copies = self._check_counts()
        self._check_sizes()

    def _check_counts(self) -> int:
        """Compare rows and clusters with the manifest; return how often all of them are there.

        Raises:
            IntegrityError: They are not what the manifest says, nor a multiple of it.
        """
        where, n_rows, n_clusters = self.where, self._info.n_rows, len(self._info.digests)
        n_copies = n_rows and self._n_rows // n_rows
        found = self._n_rows, self._pages.n_clusters
        if n_copies and found == (n_copies * n_rows, n_copies * n_clusters):
            return n_copies
        if self._n_rows != n_rows:
            hint = self._hint(merged=self._n_rows > n_rows)
            raise IntegrityError(
                f"{where}: {self._n_rows} rows, the manifest says {n_rows}; {hint}"
            )
        raise IntegrityError(
            f"{where}: {self._pages.n_clusters} clusters, the manifest says {n_clusters}; "
            f"{self._file.fault}"
        )

    def _check_sizes(self) -> None:
        """Check what the pages unpack to, before any of them is read.

        Raises:
            FormatError: It is more than so few bytes can hold.
        """
        large = self._columns.get("values", [])[-1:] if _is_storage(self.where) else []
        limits, most = self._file.limits, 0
        stored: set[tuple[int, int]] = set()
        unpacked = payload = 0
        sizes = list(map(_itemsize, self._types))
        self._file.prefetch(self._pages.page_lists(range(self._pages.n_clusters)))
        for cluster in range(self._pages.n_clusters):
            for number, column in enumerate(self._pages.cluster(cluster)):
                nbytes = column.n_elements * (sizes[number] if number < len(sizes) else _WIDEST)
                if column.num_bytes > nbytes:  # they would be fetched
                    raise FormatError(
                        f"{self.where}: pages of column {number} are longer than what they hold; "
                        f"{self._file.fault}"
                    )
                if number in large:
                    payload += nbytes
                    most = max(most, nbytes)
                else:
                    unpacked += nbytes
                    stored.update([page[1:3] for page in column.pages])  # where, and how long
        limits.check_table(self.where, sum(nbytes for _, nbytes in stored), unpacked)
        limits.check_payload(self.where, self._file.nbytes, payload)
        if most > CHUNK_NBYTES:
            raise FormatError(
                f"{self.where}: a cluster of {most} bytes, expected at most {CHUNK_NBYTES}; "
                f"{self._file.fault}"
            )

    def _hint(self, *, merged: bool) -> str:
        """Say what is the matter with rows or values that are not those of the manifest."""
        return _MERGED if merged and not self._file.has_changed else self._file.fault

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._info.n_rows

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self._info.digests)

    def all_columns(
        self,
        fields: Mapping[str, Field] = _NONE,
        expected: Mapping[str, Records] = _NONE,
    ) -> dict[str, Column]:
        """Read the table whole, and check it against its digest.

        Args:
            fields: Those that columns hold, by name: long lists of them may stay records.
            expected: By field, records that long lists may turn out to be: see `encoded`.

        Raises:
            FormatError: It can't be read.
            IntegrityError: It is not what was written.
        """
        copies = [self._table(copy, fields, expected) for copy in range(self.n_copies)]
        for name, column in copies[0].items():
            self._check_offsets(name, column)
        return copies[0]

    def _table(
        self, copy: int, fields: Mapping[str, Field], expected: Mapping[str, Records]
    ) -> dict[str, Column]:
        """Read one copy of the table, and check its digest."""
        digest, turns = xxhash.xxh64(), Turns()
        columns: dict[str, Column] = {}
        with self._file.translated(self.where):
            self._prefetch([copy], range(len(self._types)))
            large = self._large_lists(copy, fields)
            arrays = self._arrays(copy, set(range(len(self._types))) - large)
            long = self._long_lists(copy, fields, large, arrays)
            arrays |= self._arrays(copy, large - {self._columns[name][-1] for name in long})
            pages = partial(self._pages_of_list, copy)
            tasks, left = record_tasks(self._columns, long, expected, arrays, pages, digest, turns)
            recorded = in_order(called, chain(*tasks.values()), turns)
            for name, numbers in self._columns.items():
                if name in long:
                    records = list(chain(*islice(recorded, len(tasks[name]))))
                    columns[name] = LongColumn.of(long[name], arrays[numbers[0]], records)
                    continue
                *offsets, values = (arrays[number] for number in numbers)
                is_text = self._types[numbers[-1]] == CHAR
                columns[name] = Column(tuple(offsets), values, is_text=is_text)
            for array in left:
                digest.update(memoryview(array.view(np.uint8)))
        self._check(digest.hexdigest(), 0)
        return columns

    def _large_lists(self, cluster: int, fields: Mapping[str, Field]) -> set[int]:
        """Return the columns of numbers in lists that may be long enough to stay records."""
        found = set()
        for name, numbers in self._columns.items():
            field = fields.get(name)
            if field is None or field.is_text or len(numbers) != 2:
                continue
            has_type = self._encoding(numbers[1]).dtype == field.dtype
            if has_type and can_be_long(field, 1, self._n_elements(cluster, numbers[1])):
                found.add(numbers[1])
        return found

    def _long_lists(
        self,
        cluster: int,
        fields: Mapping[str, Field],
        large: set[int],
        arrays: Mapping[int, npt.NDArray[Any]],
    ) -> dict[str, Field]:
        """Return the fields whose lists are to be records, given all arrays but the large ones."""
        found = {}
        for name, numbers in self._columns.items():
            if name not in fields or len(numbers) < 2:
                continue
            is_text = len(numbers) == 3 and self._types[numbers[2]] == CHAR
            if numbers[-1] not in large and not (fields[name].is_text and is_text):
                continue
            texts = [arrays[number] for number in numbers[1:]] if is_text else []
            n = self._n_elements(cluster, numbers[1])
            if are_long(fields[name], arrays[numbers[0]], n, *texts):
                found[name] = fields[name]
        return found

    def _n_elements(self, cluster: int, number: int) -> int:
        columns = self._pages.cluster(cluster)
        return columns[number].n_elements if number < len(columns) else 0

    def _pages_of_list(self, cluster: int, number: int) -> list[PageOfList]:
        encoding = self._encoding(number)

        def read(page: Page) -> npt.NDArray[Any]:
            values = np.empty(page.n_elements, encoding.dtype)
            self._fill((page, encoding, values))
            return values

        pages = self._pages.cluster(cluster)[number].pages
        firsts = accumulate((page.n_elements for page in pages), initial=0)
        return [
            PageOfList(first, partial(read, page))
            for first, page in zip(firsts, pages, strict=False)
        ]

    def _arrays(self, cluster: int, numbers: Iterable[int]) -> dict[int, npt.NDArray[Any]]:
        """Read some columns of a cluster, in several threads if they are large."""
        numbers = list(numbers)
        if sum(self._n_elements(cluster, number) for number in numbers) <= _LARGE:
            return {number: self._column(number, cluster) for number in numbers}
        columns = {number: self._new_column(number, cluster) for number in numbers}
        tasks = [task for _, waiting in columns.values() for task in waiting]
        for _ in in_order(self._fill, tasks):
            pass
        return {number: values for number, (values, _) in columns.items()}

    def values(self, cluster: int, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """Read the payload values of one cluster, and check them against their digest.

        May be called from several threads.

        Args:
            cluster: Which.
            out: Where to put them, if not into an array of their own.

        Returns:
            `out`; or an array that is not to be written to.

        Raises:
            FormatError: They can't be read.
            IntegrityError: They are not what was written.
        """
        values = self._values(cluster, 0, out)
        for copy in range(1, self.n_copies):
            self._values(cluster, copy)  # needs only be checked
        return values

    def prefetch(self, clusters: Iterable[int]) -> None:
        """Begin to fetch the values of some clusters, if the file is a remote one.

        Raises:
            FormatError: It can't be read.
            RemoteError: The server refuses, or does not answer.
        """
        with self._file.translated(self.where):
            self._prefetch(clusters, self._columns["values"][-1:])

    def _prefetch(self, clusters: Iterable[int], numbers: Iterable[int]) -> None:
        clusters = [cluster for cluster in clusters if cluster < self._pages.n_clusters]
        self._file.prefetch(self._pages.page_lists(clusters))
        lists = [self._pages.cluster(cluster) for cluster in clusters]
        pages = [
            page
            for columns in lists
            for i in numbers
            if i < len(columns)
            for page in columns[i].pages
        ]
        self._file.prefetch([(page.offset, page.offset + page.num_bytes) for page in pages])

    def _values(
        self, cluster: int, copy: int, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        with self._file.translated(self.where):
            number = self._columns["values"][-1]
            values = self._column(number, copy * self.n_clusters + cluster, out)
        self._check(xxhash.xxh64(memoryview(values.view(np.uint8))).hexdigest(), cluster)
        return values

    def labels(self, cluster: int) -> dict[str, Column]:
        """Read the other columns of one payload cluster; their digest is the caller's to check."""
        columns = {}
        with self._file.translated(self.where):
            for name, numbers in self._columns.items():
                if name == "values":
                    numbers = numbers[:1]  # noqa: PLW2901
                arrays = [self._column(i, cluster).copy() for i in numbers]
                is_text = self._types[numbers[-1]] == CHAR
                columns[name] = Column(tuple(arrays[:-1]), arrays[-1], is_text=is_text)
        return columns

    def payload_columns(self, cluster: int) -> dict[str, Column]:
        """Read one payload cluster whole, and check its values against their digest.

        Raises:
            FormatError: It can't be read.
            IntegrityError: It is not what was written.
        """
        columns = self.labels(cluster)
        columns["values"] = Column((columns["values"].values,), self.values(cluster))
        return columns

    def _column(
        self, number: int, cluster: int, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        """Read one column of one cluster.

        Returns:
            `out`, if it is given; or a new array, or a view of the file. A leading 0 is put before
            the ends of lists.
        """
        encoding = self._encoding(number)
        if out is None and not encoding.is_split and not encoding.is_index:
            columns = self._pages.cluster(cluster)
            pages = columns[number].pages if number < len(columns) else []
            if len(pages) == 1:
                return self._page(pages[0], encoding).view(encoding.dtype)
        values, tasks = self._new_column(number, cluster, out)
        for task in tasks:
            self._fill(task)
        return values

    def _new_column(
        self, number: int, cluster: int, out: npt.NDArray[Any] | None = None
    ) -> tuple[npt.NDArray[Any], list[_Task]]:
        """Make room for a column of a cluster, if there is none; return it, and what fills it."""
        encoding = self._encoding(number)
        columns = self._pages.cluster(cluster)
        pages = columns[number].pages if number < len(columns) else []
        first = int(encoding.is_index)
        dtype = _INT64 if encoding.is_index else encoding.dtype
        size = first + self._n_elements(cluster, number)
        values = np.empty(size, dtype) if out is None else out
        if (len(values), values.dtype) != (size, dtype):
            raise FormatError(f"it holds {size} values of {dtype}, expected {len(values)}")
        values[:first] = 0
        edges = accumulate((page.n_elements for page in pages), initial=first)
        return values, [
            (page, encoding, values[a:b])
            for page, (a, b) in zip(pages, pairwise(edges), strict=True)
        ]

    def _fill(self, task: _Task) -> None:
        page, encoding, out = task
        if encoding.is_split or out.dtype != encoding.dtype:
            decode(self._page(page, encoding), encoding, out)
            return
        place = out.view(np.uint8)
        data = self._page(page, encoding, place)
        if data is not place:  # it was not packed
            place[:] = data

    def _page(self, page: Page, encoding: Encoding, out: U8 | None = None) -> U8:
        nbytes, is_split = page.n_elements * encoding.dtype.itemsize, encoding.is_split
        return read_piece(self._file.read, page, nbytes, zeros_apart=is_split, out=out)

    def _encoding(self, number: int) -> Encoding:
        encoding = ENCODINGS.get(self._types[number])
        if encoding is None:
            raise FormatError(
                f"{self.where}: column {number} has the type {self._types[number]:#04x}, expected "
                f"numbers; {self._file.fault}"
            )
        return encoding

    def _check(self, digest: str, cluster: int) -> None:
        if digest != self._info.digests[cluster]:
            hint = self._hint(merged=self.n_copies > 1)
            raise IntegrityError(
                f"{self.where}: cluster {cluster} has the digest {digest}, the manifest says "
                f"{self._info.digests[cluster]}; {hint}"
            )

    def _check_offsets(self, name: str, column: Column) -> None:
        if isinstance(column, LongColumn):  # was checked before it was made
            if len(column) != self._info.n_rows:
                raise FormatError(f"{self.where}: column {name} has wrong offsets")
            return
        n = self._info.n_rows
        levels = [*column.offsets, None]
        for offsets in levels:
            if offsets is None:
                if len(column.values) != n:
                    raise FormatError(f"{self.where}: column {name} has a wrong length")
                return
            if len(offsets) != n + 1 or offsets[0] != 0 or (offsets[1:] < offsets[:-1]).any():
                raise FormatError(f"{self.where}: column {name} has wrong offsets")
            n = int(offsets[-1])
