"""Other users of a file: writers wait for each other, and nobody's bytes are cut off."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import portalocker

from onnxroot.errors import LockedError

__all__ = ["lock_file", "shrink"]

_RETRY_SECONDS: Final = 0.02


def lock_file(path: str, timeout: float) -> io.FileIO:
    """Open a file for reading and writing, and keep other writers out until it is closed.

    Args:
        path: The file.
        timeout: Seconds to wait for another writer.

    Raises:
        LockedError: Another writer has it.
        OSError: It can't be opened.
    """
    deadline = time.monotonic() + timeout
    while True:
        file = io.FileIO(path, "r+")
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):  # noqa: PTH116
                return file  # otherwise it was replaced while we waited
        except portalocker.LockException as error:
            if time.monotonic() > deadline:
                file.close()
                raise LockedError(
                    f"{path}: another program has been writing to it for {timeout:g} s; wait until "
                    "it is done, or write to another file"
                ) from error
        except BaseException:
            file.close()
            raise
        file.close()
        time.sleep(_RETRY_SECONDS)


def shrink(file: io.FileIO, nbytes: int) -> None:
    """Cut off the end of a file, unless somebody else has it open.

    Who has mapped it into memory would be killed by the first look at what is gone. Where that
    can't be found out, the file keeps its length, as ROOT leaves it.

    Args:
        file: The file, open for writing.
        nbytes: How long it needs to be.

    Raises:
        OSError: It can't be cut.
    """
    if file.seek(0, os.SEEK_END) > nbytes:
        with _alone_with(file) as alone:
            if alone:
                file.truncate(nbytes)


@contextmanager
def _alone_with(file: io.FileIO) -> Iterator[bool]:
    """Find out whether nobody else has a file open; if so, let others wait before they open it.

    Linux gives a lease to the only one who has a file open (``fcntl(2)``, "Leases"), and tells its
    holder with a signal if somebody else wants it: with one here that does nothing.
    """
    if sys.platform != "linux":
        yield False
        return
    import fcntl  # noqa: PLC0415  (not everywhere)

    handle = file.fileno()
    try:
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(OSError):
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
