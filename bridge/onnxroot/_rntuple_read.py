"""Read a model's tables from RNTuples. With `_rntuple_write`, the only module that imports uproot.

Whatever uproot makes of a damaged file, the callers see `FormatError` or `IntegrityError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import uproot
import xxhash

from onnxroot._manifest import TableInfo
from onnxroot._page_map import PageMap
from onnxroot._spec import (
    FORMAT,
    MANIFEST,
)
from onnxroot.errors import FormatError, IntegrityError, ModelNotFoundError, OnnxRootError
from onnxroot.tables import Column

__all__ = ["RootFile", "TableReader"]

I64 = npt.NDArray[np.int64]

_PLAIN = MappingProxyType(
    # RNTuple binary format specification 1.0, "Column Description": types stored as they are.
    {
        0x02: "<u1",
        0x03: "<i1",
        0x04: "<u1",
        0x05: "<i2",
        0x06: "<u2",
        0x07: "<i4",
        0x08: "<u4",
        0x09: "<i8",
        0x0A: "<u8",
        0x0C: "<f4",
        0x0D: "<f8",
        0x0F: "<i8",
    }
)
_MERGED = (
    "the file was probably merged with hadd, of models that differ: restore it from the original"
)
_NOT_COPIED = (
    "all that is left of the model is its manifest: rootcp copies no RNTuples, onnxroot cp does"
)
_CHAR = 0x02
_INDEX64 = 0x0F


class RootFile:
    """A ROOT file open for reading; a context manager."""

    def __init__(self, path: str, *, patches: Sequence[tuple[int, bytes]] = ()) -> None:
        """Open the file.

        Args:
            path: The file.
            patches: Positions, and bytes to be seen there instead of the file's.

        Raises:
            OSError: It can't be opened.
            FormatError: It is not a ROOT file.
        """
        self.path = path
        self.closed = False
        self._directories: dict[str, Any] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._state = _state_of(path)
        _check_magic(path)
        with self.translated(path):
            self._file = uproot.open(
                path,
                handler=_patched(patches) if patches else uproot.source.file.MemmapSource,
                object_cache=None,
                array_cache=None,
            )

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
        self._file.close()

    @property
    def has_changed(self) -> bool:
        """Whether another program has changed the file since it was opened."""
        return _state_of(self.path) != self._state

    @property
    def fault(self) -> str:
        """What is the matter if something in the file is wrong."""
        if self.has_changed:
            return "another program has changed the file meanwhile: open it again"
        return "the file is damaged"

    @contextmanager
    def translated(self, where: str) -> Iterator[None]:
        """Turn whatever uproot raises on a damaged file into a FormatError."""
        try:
            yield
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
        with self.translated(self.path):
            keys = self._file.keys(recursive=True, cycle=False, filter_classname="TObjString")
        found = [key.rpartition("/") for key in keys]
        names = {head for head, _, tail in found if tail == MANIFEST}
        return sorted(name for name in names if self.is_model(name))

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
            found = None
            with self.translated(self.path):
                if not directory:
                    found = self._file
                elif self.has(directory):
                    found = self._file[directory]
            is_directory = isinstance(found, uproot.ReadOnlyDirectory)
            self._directories[directory] = found if is_directory else None
        return self._directories[directory]

    def _keys(self, directory: str) -> frozenset[str]:
        """Return the names in a directory; none if there is no such directory."""
        found = self._open_directory(directory)
        with self.translated(self.path):
            return frozenset(found.keys(recursive=False, cycle=False) if found else ())

    def _get(self, directory: str, name: str) -> Any:
        """Return an object of a directory, or None."""
        head, _, tail = f"{directory}/{name}".strip("/").rpartition("/")
        found = self._open_directory(head)
        if found is None or tail not in self._names.setdefault(head, self._keys(head)):
            return None
        with self.translated(f"{self.path}:{head}/{tail}"):
            return found[tail]

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
            keys = found.keys(recursive=False, cycle=True) if found else []
        return [key.rpartition(";")[0] for key in keys]

    def keys_below(self, directory: str) -> list[str]:
        """Return the names of all objects and directories below a directory."""
        found = self._open_directory(directory)
        with self.translated(self.path):
            return list(found.keys(recursive=True, cycle=False) if found else ())

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
                        found += PageMap(ntuple).blobs
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
            return bool(found and found.keys(recursive=False, filter_classname="ROOT::RNTuple"))


def _state_of(path: str) -> tuple[int, int, int] | None:
    """Return what changes with a file."""
    with suppress(OSError):
        status = Path(path).stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
    return None


def _check_magic(path: str) -> None:
    with Path(path).open("rb") as file:
        head = file.read(512)
    if not head.startswith(b"root"):
        raise FormatError(f"{path}: not a ROOT file: {_looks_like(head)}")


def _looks_like(head: bytes) -> str:
    if not head:
        return "it is empty"
    if head.lstrip()[:1] == b"<":
        return "it begins like an HTML or XML page; was the download refused?"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; fetch the file with `git lfs pull`"
    return f"it begins with {head[:4]!r}, expected b'root'"


def _patched(patches: Sequence[tuple[int, bytes]]) -> type:
    """Return a source of uproot's that sees other bytes in some places of a file."""

    class Patched(uproot.source.file.MemmapSource):  # type: ignore[misc]  # has no types
        def _open(self) -> None:
            self._fallback = None
            self._file = np.memmap(self._file_path, dtype=self._dtype, mode="c")
            for position, data in patches:
                self._file[position : position + len(data)] = np.frombuffer(data, np.uint8)

    return Patched


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
            pages = PageMap(ntuple)
        except FormatError as error:
            fault = "" if "hadd" in str(error) else f"; {file.fault}"
            raise FormatError(f"{where}: {error}{fault}") from error
        self._types, self._columns = pages.types, pages.columns
        self._clusters, self._n_rows = pages.clusters, pages.n_rows
        self.n_copies = self._check_counts()

    def _check_counts(self) -> int:
        """Compare rows and clusters with the manifest; return how often all of them are there.

        Raises:
            IntegrityError: They are not what the manifest says, nor a multiple of it.
        """
        where, n_rows, n_clusters = self.where, self._info.n_rows, len(self._info.digests)
        n_copies = n_rows and self._n_rows // n_rows
        found = self._n_rows, len(self._clusters)
        if n_copies and found == (n_copies * n_rows, n_copies * n_clusters):
            return n_copies
        if self._n_rows != n_rows:
            hint = self._hint(merged=self._n_rows > n_rows)
            raise IntegrityError(
                f"{where}: {self._n_rows} rows, the manifest says {n_rows}; {hint}"
            )
        raise IntegrityError(
            f"{where}: {len(self._clusters)} clusters, the manifest says {n_clusters}; "
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
            for name, numbers in self._columns.items():
                arrays = [self._column(i, copy).copy() for i in numbers]
                for offsets in arrays[:-1]:
                    digest.update(memoryview(offsets[1:].view(np.uint8)))
                digest.update(memoryview(arrays[-1].view(np.uint8)))
                is_text = self._types[numbers[-1]] == _CHAR
                columns[name] = Column(tuple(arrays[:-1]), arrays[-1], is_text=is_text)
        self._check(digest.hexdigest(), 0)
        return columns

    def values(self, cluster: int) -> npt.NDArray[Any]:
        """Read the payload values of one cluster, and check them against their digest.

        Returns:
            An array that may be a view of the file's memory map: not to outlive the open file.

        Raises:
            FormatError: They can't be read.
            IntegrityError: They are not what was written.
        """
        copies = (self._values(cluster, copy) for copy in range(self.n_copies))
        values = next(copies)
        for _ in copies:
            pass  # they need only be checked
        return values

    def _values(self, cluster: int, copy: int) -> npt.NDArray[Any]:
        with self._file.translated(self.where):
            number = self._columns["values"][-1]
            values = self._column(number, copy * self.n_clusters + cluster)
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
                is_text = self._types[numbers[-1]] == _CHAR
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

    def _column(self, number: int, cluster: int) -> npt.NDArray[Any]:
        """Read one column of one cluster; a leading 0 is put before the ends of lists.

        Uproot's own way, which takes longer and copies large columns, serves for encodings that
        uproot does not write.
        """
        self._file.check_open()
        kind = self._types[number]
        if kind not in _PLAIN:
            encoded: npt.NDArray[Any] = self._ntuple.read_cluster_range(
                number, cluster, cluster + 1
            )
            return encoded
        dtype = np.dtype(_PLAIN[kind])
        pages = [np.zeros(1, dtype)] if kind == _INDEX64 else []
        columns = self._clusters[cluster]
        for page in columns[number] if number < len(columns) else ():
            nbytes = page.n_elements * dtype.itemsize
            chunk, _ = self._ntuple.read_locator(page, nbytes)
            data = np.frombuffer(chunk.raw_data, np.uint8)
            if len(data) != nbytes:
                raise FormatError(f"{self.where}: a page has {len(data)} bytes, expected {nbytes}")
            pages.append(data.view(dtype))
        if len(pages) == 1:
            return pages[0]
        return np.concatenate(pages) if pages else np.empty(0, dtype)

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
