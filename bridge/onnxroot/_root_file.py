"""A ROOT file that is read: its directories, and the objects that models consist of.

Whatever uproot makes of a damaged file, the callers see `FormatError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import Any

import uproot

from onnxroot._address import TIMEOUT_SECONDS
from onnxroot._blocks import parse_blocks
from onnxroot._limits import DEFAULT_LIMITS, Limits
from onnxroot._memory import reuse_memory
from onnxroot._overlap import new_pool
from onnxroot._page_map import U8, Anchor, PageMap, parse_anchor
from onnxroot._root_source import open_bytes
from onnxroot._spec import FORMAT, MANIFEST
from onnxroot.errors import FormatError, ModelNotFoundError, OnnxRootError

__all__ = ["RootFile"]

_NOT_COPIED = (
    "all that is left of the model is its manifest: rootcp copies no RNTuples, onnxroot cp does"
)
_DIRECTORIES = frozenset({"TDirectory", "TDirectoryFile"})
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

    def read(self, start: int, stop: int) -> U8:
        """Return bytes of the file, not to be written to; fewer where it ends. In any thread.

        Raises:
            ValueError: It is closed.
            FormatError: They would begin before the file.
            RemoteError: The server refuses, or does not answer.
        """
        self.check_open()
        return self._bytes.read(start, stop)

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
        """Return an object of a directory, or None; of other classes than ours, the class alone.

        Returns:
            Uproot's ``TObjString``; of an RNTuple an `Anchor`.
        """
        head, _, tail = f"{directory}/{name}".strip("/").rpartition("/")
        found = self._open_directory(head)
        if found is None or tail not in self._keys(head):
            return None
        if not _is_plain(tail):
            return "no part of a model"
        with self.translated(f"{self.path}:{head}/{tail}"):
            key = found.key(tail)
            if key.fClassName == "ROOT::RNTuple":
                self._check_object(key)
                return parse_anchor(bytes(key.get_uncompressed_chunk_cursor()[0].raw_data))
            if key.fClassName == "TObjString":
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
            parse_blocks(memoryview(self.read(start, start + stored)), nbytes)

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
                anchor = self._get(directory, key)
                if isinstance(anchor, Anchor):
                    with self.translated(key):
                        found += PageMap(anchor, self.read, self.limits).blobs()
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

    def anchor(self, directory: str, name: str) -> Anchor:
        """Return the RNTuple of that name, which a manifest lists.

        Raises:
            FormatError: It is missing, or no RNTuple.
        """
        where = f"{self.path}:{directory}/{name}"
        anchor = self._get(directory, name)
        if anchor is None:
            hint = self.fault if self._has_tables(directory) else _NOT_COPIED
            raise FormatError(f"{where}: the manifest lists it, but it is not in the file; {hint}")
        if not isinstance(anchor, Anchor):
            raise FormatError(f"{where}: is no RNTuple")
        return anchor

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
