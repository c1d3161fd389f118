"""The list of free segments of a ROOT file: which bytes nothing needs. See `_root_records`."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from onnxroot._root_records import BIG, LEAST_KEY, Header
from onnxroot.errors import FormatError

__all__ = ["MARK", "FreeList"]

MARK: Final = 4
"""Bytes at the begin of a free segment that tell how long it is."""


@dataclass(frozen=True, slots=True)
class FreeList:
    """The parts of a file that nothing needs: segments, and all behind the end.

    Attributes:
        segments: Begin and end of each, ascending, neither touching nor overlapping.
        end: The end of the file.
    """

    segments: tuple[tuple[int, int], ...]
    end: int

    @classmethod
    def parse(cls, content: bytes, header: Header) -> FreeList:
        """Parse the content of a list of free segments.

        Raises:
            FormatError: It is damaged.
        """
        segments = []
        position = 0
        try:
            for _ in range(header.n_free):
                big = struct.unpack_from(">h", content, position)[0] > 1000
                layout = _BIG_FREE if big else _SMALL_FREE
                _, first, last = layout.unpack_from(content, position)
                position += layout.size
                segments.append((first, last + 1))
        except struct.error as error:
            raise FormatError("the list of free segments is cut") from error
        inner = [s for s in segments if s[0] < header.end]
        if any(not header.begin <= start < stop <= header.end for start, stop in inner):
            raise FormatError("the list of free segments is damaged")
        return cls((), header.end).release(inner)

    def to_bytes(self) -> bytes:
        """Return the content of the list: the segments, and an endless one."""
        endless = BIG
        while endless <= self.end:
            endless += 1_000_000_000
        out = []
        for start, last in [*((a, b - 1) for a, b in self.segments), (self.end, endless)]:
            big = last > BIG
            layout = _BIG_FREE if big else _SMALL_FREE
            out.append(layout.pack(1001 if big else 1, start, last))
        return b"".join(out)

    def release(self, segments: Iterable[tuple[int, int]]) -> FreeList:
        """Return the list with more free segments; the file ends sooner if these are its last.

        What is needed begins with a key: gaps that are too short for one are free too.
        """
        merged: list[tuple[int, int]] = []
        for start, stop in sorted([*self.segments, *segments]):
            if merged and start < merged[-1][1] + LEAST_KEY:
                merged[-1] = merged[-1][0], max(stop, merged[-1][1])
            elif start < stop:
                merged.append((start, stop))
        end = self.end
        if merged and merged[-1][1] > end - LEAST_KEY:
            end = merged.pop()[0]
        return FreeList(tuple(merged), end)

    def take(self, start: int, stop: int) -> FreeList:
        """Return the list without a part of a segment, or of what is behind the end."""
        if start >= self.end:
            longer = FreeList(self.segments, stop)
            return longer.release([(self.end, start)])
        left = [part for a, b in self.segments for part in ((a, min(b, start)), (max(a, stop), b))]
        return FreeList(tuple(part for part in left if part[0] < part[1]), self.end)

    def allocate(self, nbytes: int) -> tuple[int, FreeList]:
        """Take so many bytes from the first segment that has them, or behind the end.

        What is left of a segment has room for its mark, or there is nothing left.
        """
        left = ((start, stop - start - nbytes) for start, stop in self.segments)
        fitting = (start for start, rest in left if rest == 0 or rest >= MARK)
        start = next(fitting, self.end)
        return start, self.take(start, start + nbytes)


_SMALL_FREE: Final = struct.Struct(">hII")
_BIG_FREE: Final = struct.Struct(">hQQ")
