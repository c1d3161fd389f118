"""The records of a ROOT file that are no objects: header, directories, keys.

A ROOT file is a tree of directories. A directory's *record*, some dozens of bytes that stay where
they are, points to its *key list*, and that to the objects. Whoever writes new objects and a new
key list where nothing else is, and then turns that one pointer, changes the file in one step.

Numbers are big-endian. Positions take 4 bytes, and 8 where one is at `BIG` or beyond; a version
number raised by 1,000 says so (in the header by 1,000,000).

Source: ROOT's reference of its file format, ``io/doc/TFile`` in ROOT's repository.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from onnxroot.errors import FormatError

__all__ = [
    "BIG",
    "LEAST_KEY",
    "Directory",
    "Header",
    "Key",
    "KeyList",
    "now",
    "root_text",
]

BIG: Final = 2_000_000_000
"""Positions from here on take 8 bytes (``TFile::kStartBigFile``)."""

DIRECTORY_CLASSES: Final = frozenset({b"TDirectory", b"TDirectoryFile"})

_UUID_NBYTES: Final = 18


class Header(NamedTuple):
    """The first bytes of the file.

    Attributes:
        version: Version of ROOT that wrote it; 1,000,000 more where positions take 8 bytes.
        begin: Position of the first record, that of the file itself.
        end: The first position behind all records.
        seek_free: Position of the list of free segments, 0 if there is none.
        nbytes_free: Its length.
        n_free: Number of segments in it, the endless one included.
        nbytes_name: Length of what stands before the top directory in the first record.
        units: Length of a position.
        compression: Code of the compression that new objects get.
        seek_info: Position of the list of streamer infos, 0 if there is none.
        nbytes_info: Its length.
        uuid: Version and 16 bytes.
    """

    version: int
    begin: int
    end: int
    seek_free: int
    nbytes_free: int
    n_free: int
    nbytes_name: int
    units: int
    compression: int
    seek_info: int
    nbytes_info: int
    uuid: bytes

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Parse the header.

        Args:
            data: At least the first 75 bytes of the file.

        Raises:
            FormatError: They are no header of a ROOT file.
        """
        if data[:4] != b"root":
            raise FormatError("not a ROOT file")
        big = len(data) >= _BIG_HEADER.size and int.from_bytes(data[4:8], "big") >= 1_000_000
        layout = _BIG_HEADER if big else _SMALL_HEADER
        if len(data) < layout.size:
            raise FormatError("the header of the ROOT file is cut")
        return cls(*layout.unpack_from(data)[1:])

    def to_bytes(self) -> bytes:
        """Return the header, with 8 bytes for positions if one of them needs it."""
        big = self.units == 8 or max(self.end, self.seek_free, self.seek_info) >= BIG
        version = self.version % 1_000_000
        changed = self._replace(version=version + 1_000_000 * big, units=8 if big else 4)
        layout = _BIG_HEADER if big else _SMALL_HEADER
        return layout.pack(b"root", *changed)


_SMALL_HEADER: Final = struct.Struct(">4siiIIiiiBiIi18s")
_BIG_HEADER: Final = struct.Struct(">4siiQQiiiBiQi18s")


class Key(NamedTuple):
    """What stands before an object, and for it in the key list of its directory.

    Attributes:
        nbytes: Length of key and object in the file.
        object_nbytes: Length of the object, decompressed.
        datime: When it was written (`now`).
        cycle: Number that tells objects of one name apart.
        seek_key: Where it is.
        seek_directory: Where the record of its directory is.
        class_name: Class of the object.
        name: Name of the object.
        title: Title of the object.
        big: Whether positions take 8 bytes.
    """

    nbytes: int
    object_nbytes: int
    datime: int
    cycle: int
    seek_key: int
    seek_directory: int
    class_name: bytes
    name: bytes
    title: bytes
    big: bool

    @classmethod
    def parse(cls, data: bytes, position: int = 0) -> Key:
        """Parse the key at a position of some bytes.

        Raises:
            FormatError: There is none.
        """
        try:
            big = struct.unpack_from(">h", data, position + 4)[0] > 1000
            layout = _BIG_KEY if big else _SMALL_KEY
            nbytes, _, object_nbytes, datime, length, cycle, seek, directory = layout.unpack_from(
                data, position
            )
        except struct.error as error:
            raise FormatError("a key is cut") from error
        texts = []
        end = position + layout.size
        for _ in range(3):
            text, end = _parse_text(data, end)
            texts.append(text)
        key = cls(
            nbytes=nbytes,
            object_nbytes=object_nbytes,
            datime=datime,
            cycle=cycle,
            seek_key=seek,
            seek_directory=directory,
            class_name=texts[0],
            name=texts[1],
            title=texts[2],
            big=big,
        )
        if key.length != length or nbytes < length:
            raise FormatError("a key has a wrong length")
        return key

    @property
    def length(self) -> int:
        """Length of the key itself."""
        return (_BIG_KEY if self.big else _SMALL_KEY).size + len(self._texts)

    @property
    def _texts(self) -> bytes:
        return root_text(self.class_name) + root_text(self.name) + root_text(self.title)

    @property
    def is_directory(self) -> bool:
        """Whether the object is a directory."""
        return self.class_name in DIRECTORY_CLASSES

    def to_bytes(self) -> bytes:
        """Return the key."""
        version, layout = (1004, _BIG_KEY) if self.big else (4, _SMALL_KEY)
        texts = self._texts
        numbers = layout.pack(
            self.nbytes,
            version,
            self.object_nbytes,
            self.datime,
            layout.size + len(texts),
            self.cycle,
            self.seek_key,
            self.seek_directory,
        )
        return numbers + texts

    def before(self, content: bytes, position: int) -> bytes:
        """Return a record: this key, made to fit, and some content, for a position in the file."""
        big = max(position, self.seek_directory) >= BIG
        key = self._replace(big=big, seek_key=position, object_nbytes=len(content))
        key = key._replace(nbytes=key.length + len(content))
        return key.to_bytes() + content


_SMALL_KEY: Final = struct.Struct(">ihiIhhII")
LEAST_KEY: Final = _SMALL_KEY.size + 3
"""Bytes of the shortest key: all that a file needs begins with one."""
_BIG_KEY: Final = struct.Struct(">ihiIhhQQ")


class Directory(NamedTuple):
    """The record of a directory.

    Attributes:
        position: Where it is.
        room: How long it may become.
        version: Of its class; 1,000 more where positions take 8 bytes.
        created: When it was made.
        modified: When it was changed.
        nbytes_keys: Length of its key list.
        nbytes_name: Length of what stands before it in its own record.
        seek_directory: Where that record is.
        seek_parent: Where its parent's is.
        seek_keys: Position of its key list, 0 if it has none.
        rest: The bytes behind these: its UUID.
    """

    position: int
    room: int
    version: int
    created: int
    modified: int
    nbytes_keys: int
    nbytes_name: int
    seek_directory: int
    seek_parent: int
    seek_keys: int
    rest: bytes

    @classmethod
    def parse(cls, data: bytes, position: int) -> Directory:
        """Parse the record of a directory.

        Args:
            data: All that its key says it has.
            position: Where it is in the file.

        Raises:
            FormatError: It is cut.
        """
        try:
            big = struct.unpack_from(">h", data)[0] > 1000
            layout = _BIG_DIRECTORY if big else _SMALL_DIRECTORY
            numbers = layout.unpack_from(data)
        except struct.error as error:
            raise FormatError("the record of a directory is cut") from error
        rest = data[layout.size : layout.size + _UUID_NBYTES]
        return cls._make((position, len(data), *numbers, rest))

    def to_bytes(self) -> bytes:
        """Return the record.

        Raises:
            FormatError: It needs more room than it has.
        """
        positions = (self.seek_directory, self.seek_parent, self.seek_keys)
        big = self.version > 1000 or max(positions) >= BIG
        version = self.version % 1000 + 1000 * big
        changed = self._replace(version=version)
        layout = _BIG_DIRECTORY if big else _SMALL_DIRECTORY
        data = layout.pack(*changed[2:-1])
        if len(data + self.rest) > self.room:
            raise FormatError("the record of a directory has no room for large positions")
        return data + self.rest

    def changes_to(self, new: Directory) -> tuple[int, bytes]:
        """Return the write, a position and bytes, that makes another record of this one.

        It begins with the first byte that differs and ends with the last.

        Raises:
            FormatError: See `to_bytes`.
        """
        before, after = self.to_bytes(), new.to_bytes()
        differing = [i for i, byte in enumerate(after) if before[i : i + 1] != bytes([byte])]
        start, stop = (differing[0], differing[-1] + 1) if differing else (0, 0)
        return self.position + start, after[start:stop]


_SMALL_DIRECTORY: Final = struct.Struct(">hIIiiIII")
_BIG_DIRECTORY: Final = struct.Struct(">hIIiiQQQ")


@dataclass(frozen=True, slots=True)
class KeyList:
    """The key list of a directory.

    Attributes:
        key: Its own key.
        keys: Those it lists.
    """

    key: Key
    keys: tuple[Key, ...]

    @classmethod
    def parse(cls, data: bytes) -> KeyList:
        """Parse the record of a key list.

        Raises:
            FormatError: It is damaged.
        """
        own = Key.parse(data)
        position = own.length + 4
        if len(data) < position:
            raise FormatError("a key list is cut")
        keys = []
        for _ in range(int.from_bytes(data[own.length : position], "big", signed=True)):
            keys.append(Key.parse(data, position))
            position += keys[-1].length
        return cls(own, tuple(keys))

    def find(self, name: bytes) -> Key | None:
        """Return the key of that name with the highest cycle."""
        found = [key for key in self.keys if key.name == name]
        return max(found, key=lambda key: key.cycle, default=None)

    def without_directory(self, name: bytes) -> KeyList:
        """Return the list without the directory of that name; other objects may have it, too."""
        kept = (key for key in self.keys if key.name != name or not key.is_directory)
        return KeyList(self.key, tuple(kept))

    def next_cycle(self, name: bytes) -> int:
        """Return a cycle for one more key of that name."""
        return 1 + max((key.cycle for key in self.keys if key.name == name), default=0)

    def to_bytes(self, position: int) -> bytes:
        """Return the record for a position in the file."""
        content = b"".join(key.to_bytes() for key in self.keys)
        return self.key.before(struct.pack(">i", len(self.keys)) + content, position)


def now() -> int:
    """Return the time as ROOT keeps it (``TDatime``): local, in seconds, from 1995 on."""
    t = datetime.now()  # noqa: DTZ005  (ROOT's has no zone)
    date = (t.year - 1995) << 26 | t.month << 22 | t.day << 17
    return date | t.hour << 12 | t.minute << 6 | t.second


def root_text(text: bytes) -> bytes:
    """Return a ``TString``: its length, and its bytes."""
    if len(text) < 255:
        return bytes([len(text)]) + text
    return struct.pack(">BI", 255, len(text)) + text


def _parse_text(data: bytes, position: int) -> tuple[bytes, int]:
    """Return a string and the position behind it.

    Raises:
        FormatError: It is cut.
    """
    start = position + 1
    length = data[position] if position < len(data) else len(data)
    if length == 255:
        length, start = int.from_bytes(data[start : start + 4], "big"), start + 4
    if start + length > len(data):
        raise FormatError("the name in a key is cut")
    return data[start : start + length], start + length
