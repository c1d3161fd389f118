"""A remote file: small reads are widened and kept, large ones fetched as they are.

What a ROOT file says of itself is spread over many small pieces that lie near each other, and each
question to a server takes as long as a hundred thousand bytes: so a few wide reads serve them all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Final

from onnxroot._transports import Range, connect

__all__ = ["RemoteFile"]

_WINDOW: Final = 1 << 16  # a small read is widened to this
_BEFORE: Final = 1 << 13  # of which this lies before it: RNTuples end with what is read first
_LARGE: Final = 1 << 20  # reads that are neither widened nor kept
_KEPT: Final = 1 << 25  # bytes that are kept
_PENDING: Final = 8  # large reads that are under way at once


class RemoteFile:
    """A remote file, open for reading; by several threads, too.

    Attributes:
        nbytes: Its length.
    """

    def __init__(self, url: str, timeout: float) -> None:
        """Connect, and read both ends of the file.

        Args:
            url: The file.
            timeout: Seconds to wait for an answer.

        Raises:
            FileNotFoundError: There is none.
            RemoteError: The server refuses, or does not answer.
            MissingDependencyError: A package for such URLs is not installed.
            FormatError: There are no such URLs.
        """
        self._transport = connect(url, timeout)
        self.nbytes = self._transport.nbytes
        self._lock = Lock()  # of what is kept and under way; nobody waits for the server in it
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self._pending: OrderedDict[Range, Future[list[bytes]]] = OrderedDict()
        if self._transport.head:
            self._keep(0, self._transport.head)
        tail = (max(self.nbytes - _WINDOW, 0), self.nbytes)
        self.prefetch([(0, min(_WINDOW, self.nbytes)), tail])

    @property
    def has_changed(self) -> bool:
        """Whether it is another file than when it was opened; asks the server."""
        return self._transport.has_changed()

    def read(self, start: int, stop: int) -> memoryview:
        """Return some bytes; fewer where the file ends.

        Raises:
            FileNotFoundError: The file is gone.
            RemoteError: The server refuses, or does not answer.
        """
        stop = min(stop, self.nbytes)
        if start >= stop:
            return memoryview(b"")
        with self._lock:
            under_way = self._pending.pop((start, stop), None)
            found = None if under_way else self._kept(start, stop)
        if under_way is not None:
            return memoryview(self._transport.result(under_way)[0])
        if found is not None:
            return found
        if stop - start >= _LARGE:
            return memoryview(self._fetch([(start, stop)])[0])
        first = max(start - _BEFORE, 0)
        last = min(max(first + _WINDOW, stop), self.nbytes)
        data = self._fetch([(first, last)])[0]
        self._keep(first, data)
        return memoryview(data)[start - first : stop - first]

    def prefetch(self, ranges: Sequence[Range]) -> None:
        """Fetch what will be read: small pieces at once, large ones while others are worked on.

        Large pieces must then be read as they were asked for.

        Raises:
            FileNotFoundError: The file is gone.
            RemoteError: The server refuses, or does not answer.
        """
        ranges = [(a, b) for a, b in ranges if 0 <= a < b <= self.nbytes]
        with self._lock:
            small = [r for r in ranges if r[1] - r[0] < _LARGE and self._kept(*r) is None]
            for item in ranges:
                if item[1] - item[0] < _LARGE or item in self._pending:
                    continue
                while len(self._pending) >= _PENDING:  # the oldest were not read after all
                    self._pending.popitem(last=False)[1].cancel()
                self._pending[item] = self._transport.start([item])
        wide = _joined(small)
        if wide:
            for (start, _), data in zip(wide, self._fetch(wide), strict=True):
                self._keep(start, data)

    def close(self) -> None:
        """Give up what is under way."""
        with self._lock:
            while self._pending:
                self._pending.popitem()[1].cancel()
            self._pieces.clear()
        self._transport.close()

    def _fetch(self, ranges: Sequence[Range]) -> list[bytes]:
        return self._transport.result(self._transport.start(ranges))

    def _kept(self, start: int, stop: int) -> memoryview | None:
        for first, data in self._pieces.items():
            if first <= start and stop <= first + len(data):
                return memoryview(data)[start - first : stop - first]
        return None

    def _keep(self, start: int, data: bytes) -> None:
        """Keep a piece; the oldest ones go where they become too many."""
        with self._lock:
            if len(data) > len(self._pieces.get(start, b"")):
                self._pieces[start] = data
            while sum(map(len, self._pieces.values())) > _KEPT and len(self._pieces) > 1:
                self._pieces.popitem(last=False)


def _joined(ranges: Sequence[Range]) -> list[Range]:
    """Return ranges in order, those near each other as one."""
    found: list[Range] = []
    for start, stop in sorted(ranges):
        if found and start - found[-1][1] < _WINDOW:
            found[-1] = found[-1][0], max(stop, found[-1][1])
        else:
            found.append((start, stop))
    return found
