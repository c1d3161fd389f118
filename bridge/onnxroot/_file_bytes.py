"""The bytes of a file, so that it may change while it is read.

A file that is mapped into memory and then made shorter kills who looks at what is gone. So files
are read, piece by piece; and what must be in memory as a whole is mapped only if it is large, and
then others are kept from changing it, where the system can do that.
"""

from __future__ import annotations

import io
import mmap
import os
import signal
import stat
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from onnxroot._memory import new_buffer
from onnxroot.errors import FormatError

__all__ = ["FileBytes", "is_root_file", "whole_file"]

U8 = npt.NDArray[np.uint8]

_SMALL: Final = 1 << 24  # bytes of files that are read and not mapped
_BLOCK: Final = 1 << 14  # bytes that are read at once where fewer are wanted
_MOST_BLOCKS: Final = 1 << 6  # that are kept


class FileBytes:
    """A file that is sliced like an array, and read when it is.

    What a ROOT file says of itself is many small pieces that lie near each other: so blocks are
    read, and some of them kept.
    """

    def __init__(self, path: str, patches: Sequence[tuple[int, bytes]] = ()) -> None:
        """Open the file.

        Args:
            path: The file.
            patches: Positions, and bytes to be seen there instead of the file's.

        Raises:
            OSError: It can't be opened.
        """
        self._file = io.FileIO(path)
        self._patches = patches
        self._lock = Lock()
        self._blocks: dict[int, U8] = {}
        self.nbytes = os.fstat(self._file.fileno()).st_size

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    def close(self) -> None:
        """Close it; what was read stays valid."""
        self._file.close()

    def __getitem__(self, where: slice) -> U8:
        """Return bytes, from `start` up to `stop`, not to be written to; fewer where the file ends.

        Raises:
            FormatError: They would begin before the file.
        """
        start, stop = where.start, where.stop
        if start < 0:
            raise FormatError(f"a piece begins at byte {start}")
        number = start // _BLOCK
        first = number * _BLOCK
        if stop > first + _BLOCK:
            return self._read(start, stop)
        block = self._blocks.get(number)
        if block is None:
            block = self._read(first, first + _BLOCK)
            block.flags.writeable = False
            if len(self._blocks) >= _MOST_BLOCKS:
                self._blocks.clear()
            self._blocks[number] = block
        return block[start - first : stop - first]

    def _read(self, start: int, stop: int) -> U8:
        start = min(start, self.nbytes)
        out = new_buffer(max(min(stop, self.nbytes) - start, 0))
        with self._lock:
            self._file.seek(start)
            out = out[: _read_into(self._file, out)]
        for position, data in self._patches:
            lo, hi = max(position, start), min(position + len(data), start + len(out))
            if lo < hi:
                new = np.frombuffer(data, np.uint8)
                out[lo - start : hi - start] = new[lo - position : hi - position]
        return out


def _read_into(file: io.FileIO, out: U8) -> int:
    """Fill an array as far as the file goes; return how far."""
    view, done = memoryview(out), 0
    while done < len(view):
        n = file.readinto(view[done:])
        if not n:
            break
        done += n
    return done


def is_root_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as ROOT files do; no folder, pipe or device does.

    Raises:
        OSError: It can't be opened.
    """
    no_wait = getattr(os, "O_NONBLOCK", 0)  # for whoever writes to a pipe
    handle = os.open(path, os.O_RDONLY | no_wait | getattr(os, "O_BINARY", 0))
    try:
        return stat.S_ISREG(os.fstat(handle).st_mode) and os.read(handle, 4) == b"root"
    finally:
        os.close(handle)


def whole_file(handle: int, where: str) -> U8:
    """Return all bytes of an open file.

    Args:
        handle: The file, which may be closed then.
        where: Its name, for messages.

    Returns:
        uint8, shape (n_bytes,), not to be written to. Large files are mapped: see the module.

    Raises:
        FormatError: It is no regular file, or has become shorter meanwhile.
        OSError: It can't be read.
    """
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"{where}: is a pipe or a device; expected a file, so copy it into one")
    if status.st_size > _SMALL:
        return _mapped(handle)
    out = np.empty(status.st_size, np.uint8)
    with io.FileIO(handle, closefd=False) as file:
        if _read_into(file, out) < len(out):
            raise FormatError(f"{where}: another program has made it shorter meanwhile")
    return out


def _mapped(handle: int) -> U8:
    """Map a file, and let others wait before they change it, as long as anyone needs the bytes.

    Linux gives a lease to who reads a file that nobody has open for writing (``fcntl(2)``,
    "Leases"), and who wants to change it then waits, for up to 45 s.
    """
    kept = os.dup(handle)
    try:
        mapped = mmap.mmap(kept, 0, access=mmap.ACCESS_READ)
    except BaseException:
        os.close(kept)
        raise
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415  (not everywhere)

        with suppress(OSError):  # somebody has it open for writing, or it is another user's
            fcntl.fcntl(kept, fcntl.F_SETSIG, signal.SIGURG)  # which does nothing
            fcntl.fcntl(kept, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    weakref.finalize(mapped, os.close, kept)
    return np.frombuffer(mapped, np.uint8)
