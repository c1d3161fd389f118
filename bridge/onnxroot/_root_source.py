"""Where uproot gets the bytes of a ROOT file from: this machine, or another one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import uproot

from onnxroot._address import is_remote
from onnxroot._file_bytes import FileBytes
from onnxroot._remote_file import RemoteFile
from onnxroot.errors import FormatError

__all__ = ["RootBytes", "open_bytes"]

U8 = npt.NDArray[np.uint8]

_HEAD_NBYTES = 512  # enough to see what a file is


class RootBytes(Protocol):
    """The bytes of a file that is open for reading."""

    handler: type
    """What uproot is to read with."""

    nbytes: int
    """How long the file is."""

    @property
    def has_changed(self) -> bool:
        """Whether the file is another one than when it was opened."""
        ...

    def read(self, start: int, stop: int) -> U8:
        """Return bytes, not to be written to; fewer where the file ends. In any thread."""
        ...

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetch what will be read, where that saves time."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def open_bytes(path: str, patches: Sequence[tuple[int, bytes]], timeout: float) -> RootBytes:
    """Open a file.

    Args:
        path: The file, or its URL.
        patches: Positions, and bytes to be seen there instead of the file's; of local files.
        timeout: Seconds to wait for the answer of another machine.

    Raises:
        OSError: It can't be opened.
        RemoteError: The server refuses, or does not answer.
        MissingDependencyError: A package for such URLs is not installed.
        FormatError: It is not a ROOT file.
    """
    return _Remote(path, timeout) if is_remote(path) else _Local(path, patches)


class _Local:
    """A file of this machine."""

    def __init__(self, path: str, patches: Sequence[tuple[int, bytes]]) -> None:
        self._path = path
        self._state = _state_of(path)
        if Path(path).is_fifo():
            raise FormatError(f"{path}: is a pipe; expected a ROOT file, so copy it into one")
        self._file = FileBytes(path, patches)
        self.nbytes = self._file.nbytes
        self.handler = _local(self._file)
        try:
            _check_magic(path, self.read(0, _HEAD_NBYTES).tobytes())
        except BaseException:
            self.close()
            raise

    @property
    def has_changed(self) -> bool:
        return _state_of(self._path) != self._state

    def read(self, start: int, stop: int) -> U8:
        return self._file[start:stop]

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Do nothing: the operating system reads ahead."""

    def close(self) -> None:
        self._file.close()


class _Remote:
    """A file of another machine."""

    def __init__(self, url: str, timeout: float) -> None:
        file = RemoteFile(url, timeout)
        try:
            _check_magic(url, bytes(file.read(0, _HEAD_NBYTES)))
        except BaseException:
            file.close()
            raise
        self._file = file
        self.nbytes = file.nbytes
        self.prefetch, self.close = file.prefetch, file.close
        self.handler = _reading(file)

    @property
    def has_changed(self) -> bool:
        return self._file.has_changed

    def read(self, start: int, stop: int) -> U8:
        if start < 0:
            raise FormatError(f"a piece begins at byte {start}")
        return np.frombuffer(self._file.read(start, stop), np.uint8)


_MODELS = (b"\x89HDF", b"PK\x03\x04", b"\x80")  # HDF5, ZIP, pickle: what frameworks write


def _state_of(path: str) -> tuple[int, int, int] | None:
    """Return what changes with a file."""
    with suppress(OSError):
        status = Path(path).stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
    return None


def _check_magic(path: str, head: bytes) -> None:
    if not head.startswith(b"root"):
        raise FormatError(f"{path}: not a ROOT file: {_looks_like(head)}{_advice(path, head)}")


def _looks_like(head: bytes) -> str:
    if not head:
        return "it is empty"
    if head.lstrip()[:1] == b"<":
        return "it begins like an HTML or XML page; was the download refused?"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; fetch the file with `git lfs pull`"
    return f"it begins with {head[:4]!r}, expected b'root'"


def _advice(path: str, head: bytes) -> str:
    """Return what to do with a file that is not ROOT, if it is known."""
    if path.partition("?")[0].lower().endswith(".onnx"):
        if is_remote(path):
            return "; of remote files only ROOT files are read: download it, and take the copy"
        return "; show, diff, report and view take ONNX files, convert puts them into ROOT files"
    if head.startswith(_MODELS):
        return "; if it is a model of another framework, convert it first: onnxroot convert"
    return ""


def _local(file: FileBytes) -> type:
    """Return a source of uproot's that reads a file of this machine."""

    class Source(uproot.source.file.MemmapSource):  # type: ignore[misc]  # has no types
        def _open(self) -> None:
            self._fallback = None
            self._file = file

        @property
        def closed(self) -> bool:
            return self._file.closed

        def __enter__(self) -> Any:
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            traceback: TracebackType | None,
        ) -> None:
            self._file.close()

        @property
        def num_bytes(self) -> int:
            return self._file.nbytes

    return Source


def _reading(file: RemoteFile) -> type:
    """Return a source of uproot's that reads a remote file."""

    class Reading(uproot.source.chunk.Source):  # type: ignore[misc]  # has no types
        def __init__(self, file_path: str, **_: Any) -> None:
            super().__init__()
            self._file_path = file_path
            self._num_bytes = file.nbytes
            self._is_closed = False

        def chunk(self, start: int, stop: int) -> uproot.source.chunk.Chunk:
            future = uproot.source.futures.TrivialFuture(file.read(start, stop))
            return uproot.source.chunk.Chunk(self, start, stop, future)

        @property
        def closed(self) -> bool:
            return self._is_closed

        def __enter__(self) -> Any:
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            traceback: TracebackType | None,
        ) -> None:
            self._is_closed = True

    return Reading
