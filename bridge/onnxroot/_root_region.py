"""A part of a ROOT file where nothing is yet, and what is written there: directories and objects.

All of it stands end to end, so that nothing in the region is free. A directory's record comes
before what it holds, its key list behind everything.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from onnxroot._root_empty import directory_record
from onnxroot._root_records import BIG, Directory, Header, Key, KeyList, now
from onnxroot._write_behind import WriteBehind
from onnxroot.errors import FormatError

__all__ = ["NoRoomError", "Place", "Region", "read_at", "write_at"]

_BLOB: Final = b"RBlob"  # class of the pieces of RNTuples
_BLOB_KEY: Final = struct.Struct(f">ihiIhhQQB{len(_BLOB)}sBB")  # one that has large positions
_BLOB_VERSION: Final = 1004
_TOGETHER: Final = 1 << 16  # bytes that are rather collected than written by themselves


class NoRoomError(Exception):
    """A free segment is too short for what is written into it."""


@dataclass(slots=True)
class _Branch:
    """A directory that is being written, and the keys of what it holds so far."""

    key: Key
    record: Directory
    keys: list[Key] = field(default_factory=list)


class Region:
    """A part of a ROOT file, written from its begin on; a context manager.

    Attributes:
        start: Where it begins.
        end: Where the next record goes.
    """

    def __init__(
        self, file: io.FileIO, start: int, limit: int, *, seek_parent: int, in_memory: bool
    ) -> None:
        """Begin with nothing.

        Args:
            file: The ROOT file, open for reading and writing.
            start: Where the region begins.
            limit: Where it must end.
            seek_parent: Where the record of the directory is that it is to hang in.
            in_memory: Write it in one go, when it is complete.
        """
        self.start = self.end = start
        self._file = file
        self._limit = limit
        self._seek_parent = seek_parent
        self._in_memory = in_memory
        self._waiting = bytearray()  # what is not in the file yet
        self._behind = WriteBehind(file.fileno())
        self._time = now()
        self._top: list[Key] = []
        self._branches: dict[str, _Branch] = {}

    def __enter__(self) -> Region:
        """Return the region, to be written."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for what goes to the disk meanwhile.

        Raises:
            OSError: It does not get there.
        """
        self._behind.__exit__(kind, error, traceback)

    @property
    def nbytes(self) -> int:
        """How long the region is."""
        return self.end - self.start

    def add_blob(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Write a part of an RNTuple, which no directory lists.

        Args:
            pieces: What it consists of, end to end.

        Returns:
            Its position.

        Raises:
            NoRoomError: The region ends too early.
        """
        nbytes, length = sum(map(len, pieces)), _BLOB_KEY.size
        sizes = length + nbytes, _BLOB_VERSION, nbytes
        texts = len(_BLOB), _BLOB, 0, 0
        position = self.end + length
        self._append(_BLOB_KEY.pack(*sizes, self._time, length, 1, self.end, 0, *texts), *pieces)
        return position

    def add_object(
        self, path: str, class_name: str, content: bytes, *, title: str = "", nbytes: int = 0
    ) -> None:
        """Write an object, and before it the directories that it needs and that are not there yet.

        Args:
            path: Its directories, and its name.
            class_name: Its class.
            content: Its bytes, which may be compressed.
            title: Its title.
            nbytes: How many bytes it has when it is decompressed; 0 if it is not compressed.

        Raises:
            NoRoomError: The region ends too early.
        """
        folder, _, name = path.rpartition("/")
        key = self._new_key(folder, name, class_name, title, nbytes or len(content))
        self._list(folder, key, content)

    def complete(self) -> None:
        """Write the key lists, after everything else.

        Raises:
            NoRoomError: The region ends too early.
        """
        for branch in self._branches.values():
            own = branch.key._replace(seek_directory=branch.record.seek_directory)
            keys = KeyList(own, tuple(branch.keys)).to_bytes(self.end)
            record = branch.record._replace(seek_keys=self.end, nbytes_keys=len(keys))
            self._append(keys)
            self._overwrite(record.position, record.to_bytes())

    def written(self) -> Key:
        """Make sure that the region is in the file.

        Returns:
            The key of the outermost directory.

        Raises:
            NoRoomError: It is longer than it may be.
            FormatError: There is more than one such directory, or none.
        """
        self._write_waiting()
        if len(self._top) != 1:
            raise FormatError(f"expected one new directory, found {len(self._top)}")
        return self._top[0]

    def _branch(self, path: str) -> _Branch:
        """Return a directory, which is made if there is none."""
        if path not in self._branches:
            folder, _, name = path.rpartition("/")
            key = self._new_key(folder, name, "TDirectory", name, 0)
            record = directory_record(key, key.seek_directory)
            key = key._replace(object_nbytes=record.room)
            key = self._list(folder, key, record.to_bytes().ljust(record.room, b"\0"))
            self._branches[path] = _Branch(key, record)
        return self._branches[path]

    def _new_key(self, folder: str, name: str, class_name: str, title: str, nbytes: int) -> Key:
        """Return a key for an object that is written next; its length is still to come."""
        above = self._branch(folder).key.seek_key if folder else self._seek_parent
        return Key(
            nbytes=0,
            object_nbytes=nbytes,
            datime=self._time,
            cycle=1,
            seek_key=self.end,
            seek_directory=above,
            class_name=class_name.encode(),
            name=name.encode(errors="surrogateescape"),
            title=title.encode(errors="surrogateescape"),
            big=max(self.end, above) >= BIG,
        )

    def _list(self, folder: str, key: Key, content: bytes) -> Key:
        """Write an object, and remember its key for the key list of its directory."""
        key = key._replace(nbytes=key.length + len(content))
        (self._branches[folder].keys if folder else self._top).append(key)
        self._append(key.to_bytes() + content)
        return key

    def _append(self, *pieces: bytes | memoryview) -> None:
        nbytes = sum(map(len, pieces))
        if self._in_memory or nbytes < _TOGETHER:
            self._waiting += b"".join(pieces)
            self.end += nbytes
            if not self._in_memory and len(self._waiting) >= _TOGETHER:
                self._write_waiting()
            return
        self._write_waiting()
        if self.end + nbytes > self._limit:
            raise NoRoomError
        for piece in pieces:
            write_at(self._file, piece, self.end)
            self.end += len(piece)
            self._behind.wrote(len(piece))

    def _write_waiting(self) -> None:
        if self.end > self._limit:
            raise NoRoomError
        if self._waiting:
            write_at(self._file, self._waiting, self.end - len(self._waiting))
            self._behind.wrote(len(self._waiting))
            self._waiting = bytearray()

    def _overwrite(self, position: int, data: bytes) -> None:
        first = position - (self.end - len(self._waiting))
        if first < 0:
            write_at(self._file, data, position)
        else:
            self._waiting[first : first + len(data)] = data


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
    def top(cls, file: io.FileIO, header: Header) -> Place:
        """Return the top directory."""
        key = Key.parse(read_at(file, header.begin, header.nbytes_name))
        position = header.begin + header.nbytes_name
        return cls._at(file, key, position, header.begin + key.nbytes - position)

    @classmethod
    def of(cls, file: io.FileIO, key: Key) -> Place:
        """Return the directory of a key."""
        return cls._at(file, key, key.seek_key + key.length, key.nbytes - key.length)

    @classmethod
    def _at(cls, file: io.FileIO, key: Key, position: int, room: int) -> Place:
        record = Directory.parse(read_at(file, position, min(max(room, 0), 1 << 10)), position)
        if record.seek_keys:
            keys = KeyList.parse(read_at(file, record.seek_keys, record.nbytes_keys))
        else:
            own = key._replace(cycle=1, seek_directory=record.seek_directory)
            keys = KeyList(own, ())
        return cls(key, record, keys)


def read_at(file: io.FileIO, position: int, nbytes: int) -> bytes:
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
