"""Files that go to the disk while they are written, not only when all of it is there.

The system keeps what is written in memory, and whoever then waits for the disk waits for all of it.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import TracebackType
from typing import Final

from onnxroot._overlap import Threads

__all__ = ["NewFile", "WriteBehind"]

_STEP: Final = 1 << 22  # bytes that are worth it


class WriteBehind:
    """Sends what is written to an open file to the disk, in a thread; a context manager.

    Left normally, it waits until the disk is done; but what came last may be in memory still.
    """

    def __init__(self, handle: int) -> None:
        """Begin with nothing.

        Args:
            handle: The file, which stays open as long as the context is.
        """
        self._handle = handle
        self._waiting = 0
        self._thread: Threads[int, None] | None = None
        self._n_begun = self._n_ended = 0

    def __enter__(self) -> WriteBehind:
        """Return the object."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the thread.

        Raises:
            OSError: The bytes do not get to the disk.
        """
        if self._thread is None:
            return
        with self._thread:
            if kind is None and self._n_ended < self._n_begun:
                self._end(self._thread)

    def wrote(self, nbytes: int) -> None:
        """Note that more was written.

        Raises:
            OSError: What was written before does not get to the disk.
        """
        self._waiting += nbytes
        if self._waiting < _STEP:
            return
        if self._thread is None:
            self._thread = Threads(_to_disk, 1)
        if self._n_ended < self._n_begun:
            if not self._thread.is_done(self._n_ended):
                return
            self._end(self._thread)
        self._waiting = 0
        self._thread.give(self._handle)
        self._n_begun += 1

    def _end(self, thread: Threads[int, None]) -> None:
        """Wait for what has begun; the system tells an error once."""
        self._n_ended += 1
        thread.result(self._n_ended - 1)


class NewFile:
    """A file that is written from its begin to its end; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open it; what it held is gone.

        Raises:
            OSError: It can't be opened.
        """
        self._file = io.FileIO(path, "w")
        self._behind = WriteBehind(self._file.fileno())

    def __enter__(self) -> NewFile:
        """Return the file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file.

        Raises:
            OSError: Its bytes do not get to the disk.
        """
        with self._file:
            self._behind.__exit__(kind, error, traceback)

    def write(self, data: memoryview) -> int:
        """Write some bytes; return how many.

        Raises:
            OSError: They can't be written, or those before them don't get to the disk.
        """
        left = data
        while left:
            left = left[self._file.write(left) :]
        self._behind.wrote(len(data))
        return len(data)


def _to_disk(handle: int) -> None:
    """Wait until the bytes of an open file are on the disk."""
    getattr(os, "fdatasync", os.fsync)(handle)
