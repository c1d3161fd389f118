"""Read a model's tables from RNTuples. With `_rntuple_write`, the only module that imports uproot.

Whatever uproot makes of a damaged file, the callers see `FormatError` or `IntegrityError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import accumulate, pairwise
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import uproot
import xxhash

from onnxroot._address import TIMEOUT_SECONDS
from onnxroot._blocks import check_blocks
from onnxroot._encodings import CHAR, ENCODINGS, Encoding, decode
from onnxroot._envelopes import Page
from onnxroot._limits import DEFAULT_LIMITS, Limits
from onnxroot._manifest import TableInfo
from onnxroot._overlap import new_pool
from onnxroot._page_map import PageMap, check_anchor, read_piece
from onnxroot._ragged import reuse_memory
from onnxroot._root_source import open_bytes
from onnxroot._spec import (
    CHUNK_NBYTES,
    FORMAT,
    MANIFEST,
    TENSORS,
)
from onnxroot.errors import FormatError, IntegrityError, ModelNotFoundError, OnnxRootError
from onnxroot.tables import Column

__all__ = ["RootFile", "TableReader"]

I64 = npt.NDArray[np.int64]

_LARGE = 1 << 17  # elements of a cluster that is worth several threads
_MERGED = (
    "the file was probably merged with hadd, of models that differ: restore it from the original"
)
_NOT_COPIED = (
    "all that is left of the model is its manifest: rootcp copies no RNTuples, onnxroot cp does"
)
_DIRECTORIES = frozenset({"TDirectory", "TDirectoryFile"})
_CLASSES = frozenset({"TObjString", "ROOT::RNTuple"})  # of the objects that are read
_MOST_DIRECTORIES = 100  # within one another


class RootFile:
    """A ROOT file open for reading; a context manager."""

    def __init__(
        self,
        path: str,
        *,
        patches: Sequence[tuple[int, bytes]] = (),
        timeout: float = TIMEOUT_SECONDS,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Open the file.

        Args:
            path: The file, or its URL.
            patches: Positions, and bytes to be seen there instead of the file's.
            timeout: Seconds to wait for the answer of another machine.
            limits: How much it may ask for.

        Raises:
            OSError: It can't be opened.
            RemoteError: The server refuses, or does not answer.
            MissingDependencyError: A package for such URLs is not installed.
            FormatError: It is not a ROOT file.
        """
        self.path = path
        self.limits = limits
        self.closed = False
        self._pool: ThreadPoolExecutor | None = None
        self._directories: dict[str, Any] = {}
        self._names: dict[str, frozenset[str]] = {}
        reuse_memory()
        self._bytes = open_bytes(path, patches, timeout)
        try:
            with self.translated(path):
                self._file = uproot.open(
                    {path: None},  # as a key it is taken as it is, colons too
                    handler=self._bytes.handler,
                    object_cache=None,
                    array_cache=None,
                )
                # Uproot makes Python code of the streamer infos in a file, and runs it, for
                # classes that it does not know, and for known ones that can't be read: so it gets
                # to see none.
                self._file.file._streamers = {}  # noqa: SLF001  (no public way)
        except BaseException:
            self._bytes.close()
            raise

    def __enter__(self) -> RootFile:
        """Return the file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; what was read stays valid, but nothing more can be read."""
        self.closed = True
        if self._pool:
            self._pool.shutdown(cancel_futures=True)  # the threads read what is about to go
        self._file.close()
        self._bytes.close()

    @property
    def nbytes(self) -> int:
        """How long the file is."""
        return self._bytes.nbytes

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetch parts of a remote file that will be read: see `RemoteFile.prefetch`."""
        self._bytes.prefetch(ranges)

    def pool(self) -> ThreadPoolExecutor:
        """Return threads to read with; what they do ends with the file."""
        self._pool = self._pool or new_pool()
        return self._pool

    @property
    def has_changed(self) -> bool:
        """Whether another program has changed the file since it was opened."""
        return self._bytes.has_changed

    @property
    def fault(self) -> str:
        """What is the matter if something in the file is wrong."""
        if self.has_changed:
            return "another program has changed the file meanwhile: open it again"
        return "the file is damaged"

    def blame(self, text: str) -> str:
        """Return what to add to a message: what is the matter, unless it says so itself."""
        says = "hadd" in text or "raise the limit" in text
        return "" if says and not self.has_changed else f"; {self.fault}"

    @contextmanager
    def translated(self, where: str) -> Iterator[None]:
        """Turn whatever uproot raises on a damaged file into a FormatError."""
        try:
            yield
        except FormatError as error:
            if str(error).startswith(self.path):
                raise
            raise FormatError(f"{where}: {error}{self.blame(str(error))}") from error
        except (OnnxRootError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the operating system's, not uproot's for a file that is cut
            first = str(error).strip().split("\n")[0] or type(error).__name__
            raise FormatError(f"{where}: can't be read: {first}; {self.fault}") from error

    def check_open(self) -> None:
        """Refuse to read from a closed file, whose memory map is gone.

        Raises:
            ValueError: It is closed.
        """
        if self.closed:
            raise ValueError(f"{self.path} is closed: read from the model before it is closed")

    def directories(self) -> list[str]:
        """Return the directories that hold a manifest, sorted; ``""`` for the file's top."""
        return sorted(name for name in self._walk("") if self.is_model(name))

    def _walk(self, top: str) -> Iterator[str]:
        """Yield a directory and all below it.

        Raises:
            FormatError: One is in two places, and so perhaps within itself.
        """
        seen: set[int] = set()
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            found = self._open_directory(directory)
            if found is None:
                continue
            yield directory
            with self.translated(self.path):
                names = (name for name in self._keys(directory) if _is_plain(name))
                keys = [found.key(name) for name in names]
            for key in keys:
                if key.fClassName not in _DIRECTORIES:
                    continue
                if key.fSeekKey in seen:
                    raise FormatError(
                        f"{self.path}: the directory {directory}/{key.fName} is in two places; "
                        f"{self.fault}"
                    )
                seen.add(key.fSeekKey)
                waiting.append(f"{directory}/{key.fName}".strip("/"))

    def is_model(self, directory: str) -> bool:
        """Return whether a directory has a manifest, and that is one of ours."""
        text = self._get(directory, MANIFEST)
        return text is not None and f'"format":"{FORMAT}"' in str(text)[:50]

    def has(self, key: str) -> bool:
        """Return whether there is an object or a directory of that name."""
        head, _, tail = key.rpartition("/")
        return not key or tail in self._keys(head)

    def _open_directory(self, directory: str) -> Any:
        """Return uproot's directory, read once; None if there is none."""
        self.check_open()
        if directory not in self._directories:
            found = self._file if not directory else None
            head, _, tail = directory.rpartition("/")
            if head.count("/") > _MOST_DIRECTORIES:
                raise FormatError(f"{self.path}: directories nest deeper than {_MOST_DIRECTORIES}")
            if directory and _is_plain(tail) and tail in self._keys(head):
                with self.translated(self.path):
                    key = self._open_directory(head).key(tail)
                    found = key.get() if key.fClassName in _DIRECTORIES else None
            self._directories[directory] = found
        return self._directories[directory]

    def _keys(self, directory: str) -> frozenset[str]:
        """Return the names in a directory, read once; none if there is no such directory."""
        found = self._open_directory(directory)
        if found is None:  # as a truth value uproot counts all that is below it
            return frozenset()
        if directory not in self._names:
            with self.translated(self.path):
                self._names[directory] = frozenset(found.keys(recursive=False, cycle=False))
        return self._names[directory]

    def _get(self, directory: str, name: str) -> Any:
        """Return an object of a directory, or None; of other classes than ours, the class alone."""
        head, _, tail = f"{directory}/{name}".strip("/").rpartition("/")
        found = self._open_directory(head)
        if found is None or tail not in self._keys(head):
            return None
        if not _is_plain(tail):
            return "no part of a model"
        with self.translated(f"{self.path}:{head}/{tail}"):
            key = found.key(tail)
            if key.fClassName in _CLASSES:
                self._check_object(key)
                return key.get()
            return key.fClassName

    def _check_object(self, key: Any) -> None:
        """Check what an object is said to unpack to.

        Raises:
            FormatError: It can't be.
        """
        stored, nbytes = key.data_compressed_bytes, key.data_uncompressed_bytes
        self.limits.check_object("it", max(stored, 0), nbytes)
        if stored != nbytes:
            start = key.data_cursor.index
            chunk = self._file.file.chunk(start, start + stored)
            check_blocks(memoryview(chunk.raw_data).cast("B"), nbytes)
        if key.fClassName == "ROOT::RNTuple":
            check_anchor(bytes(key.get_uncompressed_chunk_cursor()[0].raw_data))

    def not_a_directory(self, directory: str) -> str:
        """Return the first part of a path that is something else than a directory, or ""."""
        parts = directory.split("/")
        for n in range(1, len(parts) + 1):
            head = "/".join(parts[:n])
            if self.has(head) and self._open_directory(head) is None:
                return head
        return ""

    def holds_only(self, directory: str) -> bool:
        """Return whether everything in the file is within that directory."""
        parts = directory.split("/")
        return all(self._all_keys("/".join(parts[:n])) == [part] for n, part in enumerate(parts))

    def _all_keys(self, directory: str) -> list[str]:
        """Return the names in a directory, once for each cycle."""
        found = self._open_directory(directory)
        with self.translated(self.path):
            keys = [] if found is None else found.keys(recursive=False, cycle=True)
        return [key.rpartition(";")[0] for key in keys]

    def keys_below(self, directory: str) -> list[str]:
        """Return the names of all objects and directories below a directory."""
        names = [
            f"{head}/{tail}".strip("/")
            for head in self._walk(directory)
            for tail in self._keys(head)
        ]
        return [name[len(directory) :].strip("/") for name in names]

    def blobs(self, directory: str) -> list[tuple[int, int]]:
        """Return position and length of all that the RNTuples below a directory consist of.

        What can't be read is left out.
        """
        found = []
        for key in self.keys_below(directory):
            with suppress(OnnxRootError):
                ntuple = self._get(directory, key)
                if isinstance(ntuple, uproot.behaviors.RNTuple.RNTuple):
                    with self.translated(key):
                        found += PageMap(ntuple, self.limits).blobs()
        return found

    def written(self, directory: str) -> datetime | None:
        """Return when the manifest was written, in the local time of the machine that did."""
        found = self._open_directory(directory)
        with self.translated(self.path):
            key = found.key(MANIFEST) if found else None
            when = getattr(key, "created_on", None)
        return when if isinstance(when, datetime) else None

    def manifest(self, directory: str) -> str:
        """Return the text of a manifest.

        Raises:
            ModelNotFoundError: There is none.
        """
        text = self._get(directory, MANIFEST)
        if text is None:
            raise ModelNotFoundError(f"{self.path}: no model at {directory!r}")
        return str(text)

    def table(self, directory: str, name: str, info: TableInfo) -> TableReader:
        """Open one RNTuple of a model.

        Raises:
            FormatError: It is missing, or no RNTuple.
            IntegrityError: It has other rows or clusters than the manifest says.
        """
        where = f"{self.path}:{directory}/{name}"
        ntuple = self._get(directory, name)
        if ntuple is None:
            hint = self.fault if self._has_tables(directory) else _NOT_COPIED
            raise FormatError(f"{where}: the manifest lists it, but it is not in the file; {hint}")
        if not isinstance(ntuple, uproot.behaviors.RNTuple.RNTuple):
            raise FormatError(f"{where}: is no RNTuple")
        with self.translated(where):
            return TableReader(self, ntuple, where, info)

    def _has_tables(self, directory: str) -> bool:
        """Return whether there is any RNTuple in a directory."""
        found = self._open_directory(directory)
        with self.translated(self.path):
            names = self._keys(directory)
            return found is not None and any(
                found.key(name).fClassName == "ROOT::RNTuple" for name in names
            )


def _is_plain(name: str) -> bool:
    """Return whether uproot looks for a key of that name, and not for a path or a cycle."""
    return "/" not in name and ";" not in name


def _is_storage(where: str) -> bool:
    """Return whether a table's address is that of payload values."""
    return where.rpartition("/")[0].endswith(f"/{TENSORS}")


def _itemsize(types: Sequence[int], number: int) -> int:
    """Return how long a value of a column is; of an encoding that is not ours, how long at most."""
    encoding = ENCODINGS.get(types[number]) if number < len(types) else None
    return encoding.dtype.itemsize if encoding else 8


_Task = tuple[Page, Encoding, npt.NDArray[Any]]
"""A page, how its values stand there, and where they go."""


class TableReader:
    """One RNTuple of a model.

    Attributes:
        where: Its address, for messages.
        n_copies: How often its rows are there: more than once where ``hadd`` has merged copies of
            the model. All that are read are checked, and the first counts.
    """

    def __init__(self, file: RootFile, ntuple: Any, where: str, info: TableInfo) -> None:
        """Check the number of rows against the manifest.

        Args:
            file: The file it is in.
            ntuple: Uproot's RNTuple.
            where: Its address, for messages.
            info: What the manifest says of it.

        Raises:
            FormatError: It is no RNTuple.
            IntegrityError: It has other rows than the manifest says.
        """
        self.where = where
        self._file = file
        self._info = info
        self._ntuple = ntuple
        try:
            pages = PageMap(ntuple, file.limits)
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
        self._file.prefetch(self._pages.page_lists(range(self._pages.n_clusters)))
        for cluster in range(self._pages.n_clusters):
            for number, pages in enumerate(self._pages.cluster(cluster)):
                nbytes = sum(page.n_elements for page in pages) * _itemsize(self._types, number)
                if number in large:
                    payload += nbytes
                    most = max(most, nbytes)
                else:
                    unpacked += nbytes
                    stored.update((page.offset, page.num_bytes) for page in pages)
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

    def all_columns(self) -> dict[str, Column]:
        """Read the table whole, and check it against its digest.

        Raises:
            FormatError: It can't be read.
            IntegrityError: It is not what was written.
        """
        copies = [self._table(copy) for copy in range(self.n_copies)]
        for name, column in copies[0].items():
            self._check_offsets(name, column)
        return copies[0]

    def _table(self, copy: int) -> dict[str, Column]:
        """Read one copy of the table, and check its digest."""
        digest = xxhash.xxh64()
        columns = {}
        with self._file.translated(self.where):
            self._prefetch([copy], range(len(self._types)))
            found = self._all_columns(copy)
            for name, numbers in self._columns.items():
                arrays = [found[i] for i in numbers]
                for offsets in arrays[:-1]:
                    digest.update(memoryview(offsets[1:].view(np.uint8)))
                digest.update(memoryview(arrays[-1].view(np.uint8)))
                is_text = self._types[numbers[-1]] == CHAR
                columns[name] = Column(tuple(arrays[:-1]), arrays[-1], is_text=is_text)
        self._check(digest.hexdigest(), 0)
        return columns

    def _all_columns(self, cluster: int) -> list[npt.NDArray[Any]]:
        """Read all columns of a cluster, in several threads if they are large."""
        columns, tasks = [], []
        for number in range(len(self._types)):
            values, waiting = self._new_column(number, cluster)
            columns.append(values)
            tasks += waiting
        is_large = sum(len(out) for _, _, out in tasks) > _LARGE
        for _ in self._file.pool().map(self._fill, tasks) if is_large else map(self._fill, tasks):
            pass
        return columns

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
            page for columns in lists for i in numbers if i < len(columns) for page in columns[i]
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
        pages = self._pages.cluster(cluster)[number : number + 1]
        encoding = self._encoding(number)
        is_plain = not encoding.is_split and not encoding.is_index
        if out is None and is_plain and pages and len(pages[0]) == 1:
            return self._page(pages[0][0], encoding).view(encoding.dtype)
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
        pages = columns[number] if number < len(columns) else []
        first = int(encoding.is_index)
        dtype = np.dtype(np.int64) if encoding.is_index else encoding.dtype
        size = first + sum(page.n_elements for page in pages)
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
        decode(self._page(page, encoding), encoding, out)

    def _page(self, page: Page, encoding: Encoding) -> npt.NDArray[np.uint8]:
        self._file.check_open()
        return read_piece(self._ntuple, page, page.n_elements * encoding.dtype.itemsize)

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
        n = self._info.n_rows
        levels = [*column.offsets, None]
        for offsets in levels:
            if offsets is None:
                if len(column.values) != n:
                    raise FormatError(f"{self.where}: column {name} has a wrong length")
                return
            if len(offsets) != n + 1 or offsets[0] != 0 or np.any(np.diff(offsets) < 0):
                raise FormatError(f"{self.where}: column {name} has wrong offsets")
            n = int(offsets[-1])
