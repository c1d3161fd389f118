"""Files that go to the disk while they are written, not only when all of it is there.

The system keeps what is written in memory, and whoever then waits for the disk waits for all of it.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final

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
        self._pool: ThreadPoolExecutor | None = None
        self._done: Future[None] | None = None

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
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        if self._done is not None and kind is None:
            self._done.result()

    def wrote(self, nbytes: int) -> None:
        """Note that more was written.

        Raises:
            OSError: What was written before does not get to the disk.
        """
        self._waiting += nbytes
        if self._waiting < _STEP or (self._done is not None and not self._done.done()):
            return
        if self._done is not None:
            self._done.result()  # the system tells an error once
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="write-behind")
        self._waiting = 0
        self._done = self._pool.submit(_to_disk, self._handle)


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
