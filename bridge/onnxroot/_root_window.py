"""A view of a ROOT file, through which uproot puts what is new where we want it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from onnxroot._root_empty import empty_parts
from onnxroot._root_free import FreeList
from onnxroot._root_records import LEAST_KEY, Directory, Header, Key, KeyList
from onnxroot.errors import FormatError

__all__ = ["HEAD_NBYTES", "NoRoomError", "Place", "Window", "read_at", "write_at"]

HEAD_NBYTES: Final = 2560
"""A region begins here at the earliest, behind the head of its window."""

_ROOM: Final = 1 << 10  # in the head, for one key of any name, and for a streamer info


class NoRoomError(Exception):
    """A free segment is too short for what is written into it."""


class Window(io.RawIOBase):
    """A ROOT file with an empty head of its own, whose other bytes are a region of a real file.

    Whoever adds objects to it puts them into the region, with positions that hold in the real file.
    """

    def __init__(self, file: io.FileIO, start: int, limit: int, *, in_memory: bool) -> None:
        """Begin with the head alone.

        Args:
            file: The real file, open for reading and writing.
            start: Where the region begins.
            limit: Where it must end.
            in_memory: Write the region in one go, when it is complete.
        """
        super().__init__()
        self.start = start
        head, free = empty_parts("window.root", seek_free=start, room=_ROOM)
        self._head = bytearray(head)
        self._file = file
        self._limit = limit
        self._region = bytearray() if in_memory else None
        self._position = self._end = start
        self.write(free)  # where uproot has it too: it moves on before all that is added

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = base + offset
        return self._position

    def close(self) -> None:
        """Stay open: the region is still to be read."""

    def write(self, data: object) -> int:
        """Write at the position.

        Raises:
            NoRoomError: The region ends too early; one in memory tells at its end.
        """
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        position, stop = self._position, self._position + len(view)
        if position < self.start:
            if stop > len(self._head):
                raise NoRoomError("the head of the window is too small")
            self._head[position:stop] = view
        elif self._region is None:
            if stop > self._limit:
                raise NoRoomError
            write_at(self._file, view, position)
        else:
            first = position - self.start
            self._region.extend(bytes(max(first - len(self._region), 0)))
            self._region[first : first + len(view)] = view
        self._position = stop
        self._end = max(self._end, stop)
        return len(view)

    def read(self, size: int = -1) -> bytes:
        """Read from the position."""
        position = self._position
        stop = self._end if size < 0 else position + size
        self._position = stop
        if position < self.start:
            return bytes(self._head[position:stop])
        if self._region is not None:
            return bytes(self._region[position - self.start : stop - self.start])
        self._file.seek(position)
        return self._file.read(stop - position)

    @property
    def nbytes(self) -> int:
        """How long the region is."""
        return self._content()[1].end - self.start

    def written(self) -> tuple[Key, FreeList]:
        """Complete the region.

        Returns:
            The key of what was added, and the region's free segments and end.

        Raises:
            NoRoomError: It is longer than it may be.
            FormatError: Not one object was added.
        """
        key, free = self._content()
        if free.end > self._limit:
            raise NoRoomError
        if self._region is not None:
            write_at(self._file, self._region[: free.end - self.start], self.start)
            self._region = None
        return key, free

    def _content(self) -> tuple[Key, FreeList]:
        header = Header.parse(bytes(self._head))
        top = Place.top(self, header)
        if len(top.keys.keys) != 1:
            raise FormatError(f"expected one new key, found {len(top.keys.keys)}")
        self.seek(header.seek_free)
        record = self.read(header.nbytes_free)
        free = FreeList.parse(record[Key.parse(record).length :], header)
        own = [(header.seek_free, header.nbytes_free), (header.seek_info, header.nbytes_info)]
        free = free.release((seek, seek + n) for seek, n in own if seek >= self.start)
        free = free.release(self._gaps(free))
        inner = tuple(s for s in free.segments if s[0] >= self.start)
        return top.keys.keys[0], FreeList(inner, free.end)

    def _gaps(self, free: FreeList) -> Iterator[tuple[int, int]]:
        """Yield the gaps between records: uproot leaves a few bytes before some.

        They are found by going from record to record, as those do who search a file.
        """
        ends = dict(free.segments)
        position = self.start
        while position < free.end:
            if position in ends:
                position = ends[position]
                continue
            gap, key = self._key_near(position)
            if key is None:
                return
            if gap:
                yield position, position + gap
            position += gap + key.nbytes

    def _key_near(self, position: int) -> tuple[int, Key | None]:
        """Return the next key, if it is near, and how far that is."""
        self.seek(position)
        data = self.read(LEAST_KEY + 512)
        for gap in range(LEAST_KEY):
            with suppress(FormatError):
                key = Key.parse(data, gap)
                if key.seek_key == position + gap:
                    return gap, key
        return 0, None


class Place:
    """A directory: its own key, its record and its key list."""

    def __init__(self, key: Key, record: Directory, keys: KeyList) -> None:
        self.key = key
        self.record = record
        self.keys = keys

    @property
    def key_list(self) -> list[tuple[int, int]]:
        """The part of the file that the key list takes, if there is one."""
        seek = self.record.seek_keys
        return [(seek, seek + min(self.record.nbytes_keys, self.keys.key.nbytes))] if seek else []

    @classmethod
    def top(cls, file: Window | io.FileIO, header: Header) -> Place:
        """Return the top directory."""
        key = Key.parse(read_at(file, header.begin, header.nbytes_name))
        position = header.begin + header.nbytes_name
        return cls._at(file, key, position, header.begin + key.nbytes - position)

    @classmethod
    def of(cls, file: Window | io.FileIO, key: Key) -> Place:
        """Return the directory of a key."""
        return cls._at(file, key, key.seek_key + key.length, key.nbytes - key.length)

    @classmethod
    def _at(cls, file: Window | io.FileIO, key: Key, position: int, room: int) -> Place:
        record = Directory.parse(read_at(file, position, min(max(room, 0), 1 << 10)), position)
        if record.seek_keys:
            keys = KeyList.parse(read_at(file, record.seek_keys, record.nbytes_keys))
        else:
            own = replace(key, cycle=1, seek_directory=record.seek_directory)
            keys = KeyList(own, ())
        return cls(key, record, keys)


def read_at(file: Window | io.FileIO, position: int, nbytes: int) -> bytes:
    """Read a record.

    Raises:
        FormatError: The file ends too early.
    """
    end = file.seek(0, os.SEEK_END)
    if nbytes < 0 or position + nbytes > end:
        raise FormatError(
            f"a record of {nbytes} bytes at {position} passes the end at {end}; the file is damaged"
        )
    file.seek(position)
    return file.read(nbytes)


def write_at(file: io.FileIO, data: bytes | bytearray | memoryview, position: int) -> None:
    """Write all of the data at a position."""
    file.seek(position)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
