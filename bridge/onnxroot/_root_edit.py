"""Changes to a ROOT file in place, each of which happens at once or not at all.

What is new goes where nothing is: into free segments, or behind the end of the file. No byte that
something points to is touched. Then a few short writes, one after the other, change the file:

1. the header, to a longer end and to new lists of free segments and streamer infos,
2. the record of one directory, to its new key list: here the change happens, in a write of some
   twenty bytes within one sector,
3. the header again, to a list of free segments with what the change left behind.

Between any two of them the file is whole for every reader: before the second it holds what it held,
after it also what is new. A writer that is killed leaves at worst some bytes that nobody uses. So
there is no journal, and nothing to recover.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final

from onnxroot._file_locks import lock_file, shrink
from onnxroot._root_free import MARK, FreeList
from onnxroot._root_records import BIG, Directory, Header, Key, KeyList, now
from onnxroot._root_region import Place, Region, read_at, write_at
from onnxroot.errors import FormatError

__all__ = ["Patch", "RootEdit"]

Patch = tuple[int, bytes]
"""A position in a file, and the bytes to be there."""

_MOST_GAP: Final = BIG  # ROOT's marks of free segments tell no longer ones

_SECTOR: Final = 512  # bytes that a disk writes at once, and so does a system that kills us
_LONGEST_NAME: Final = 255  # of a directory that we make, in bytes
_BLOB_KEYS: Final = (34, 42)  # lengths of the keys of RNTuples' pages, small and big

_Build = Callable[[int], bytes]  # of a record, for a position


class RootEdit:
    """One change to one directory of a ROOT file; a context manager.

    Left before `commit`, the file is what it was. It is locked all the time, so that two writers do
    not meet: ROOT itself locks no files, and must not write at the same time.
    """

    def __init__(self, path: str, directory: str, *, timeout: float, durable: bool = True) -> None:
        """Open and lock the file, and find the directory that is to change.

        Args:
            path: The ROOT file.
            directory: What is to be added or removed there.
            timeout: Seconds to wait for another writer.
            durable: Wait for the disk where the order of writes matters.

        Raises:
            FormatError: It is not a ROOT file, or a damaged one.
            LockedError: Another writer has the file.
            OSError: It can't be opened for writing.
        """
        self.path = path
        self._file = lock_file(path, timeout)
        self._durable = durable
        try:
            self._open(directory)
        except FormatError as error:
            self._file.close()
            raise error.within(path) from error
        except BaseException:
            self._file.close()
            raise

    def _open(self, directory: str) -> None:
        self._nbytes = self._file.seek(0, os.SEEK_END)
        self._header = Header.parse(read_at(self._file, 0, min(self._nbytes, 100)))
        if self._header.end > self._nbytes:
            raise FormatError(
                f"has {self._nbytes} bytes, its header says {self._header.end}; it is cut"
            )
        if not self._header.seek_free or not self._header.nbytes_free:
            raise FormatError(
                "the program that wrote it did not close it; open it once for update with ROOT, "
                "which recovers what it can"
            )
        record = read_at(self._file, self._header.seek_free, self._header.nbytes_free)
        self._free_key = Key.parse(record)
        self._before = FreeList.parse(record[self._free_key.length :], self._header)
        self._free = self._before
        self._abandoned = [(self._header.seek_free, self._header.seek_free + len(record))]
        self._left_behind: list[tuple[int, int]] = []
        self._patches: list[Patch] = []  # of bytes that nothing points to
        self._switches: list[Patch] = []  # the writes that change the file, in order
        self._before_patches: list[Patch] = []
        self._region_starts: set[int] = set()
        self._begun = False
        parts = [os.fsencode(part) for part in directory.split("/")]
        self._place = Place.top(self._file, self._header)
        self._above: list[Place] = []  # the directories that hold that one, from the top
        for part in parts[:-1]:
            key = self._place.keys.find(part)
            if key is None or not key.is_directory:
                break
            self._above.append(self._place)
            self._place = Place.of(self._file, key)
            parts = parts[1:]
        self._name = parts[0]
        self.inner = os.fsdecode(b"/".join(parts))
        exists = self._place.keys.find(self._name) is not None
        longest = max(map(len, parts[exists:]), default=0)
        if longest > _LONGEST_NAME:
            raise FormatError(
                f"a directory's name of {longest} bytes; expected at most {_LONGEST_NAME}"
            )

    def __enter__(self) -> RootEdit:
        """Return the edit."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unlock the file; without a change, undo what was written where nothing was."""
        try:
            if not self._begun:
                for position, data in reversed(self._before_patches):
                    write_at(self._file, data, position)
                if self._file.seek(0, os.SEEK_END) > self._nbytes:
                    self._file.truncate(self._nbytes)
        finally:
            self._file.close()

    # --- what is new ---------------------------------------------------------------------------

    def region_at_end(self, *, in_memory: bool) -> Region:
        """Return a place for what is new: behind the end of the file.

        Args:
            in_memory: See `Region`.
        """
        return self._region(self._free.end, 1 << 62, in_memory=in_memory)

    def region_inside(self, nbytes: int, *, in_memory: bool) -> Region | None:
        """Return a place for what is new: the shortest free segment that has so many bytes.

        Args:
            nbytes: What it is expected to need.
            in_memory: See `Region`.

        Returns:
            The place, or None if there is no such segment.
        """
        fitting = [(a, b) for a, b in self._free.segments if b - a >= nbytes]
        if not fitting:
            return None
        start, stop = min(fitting, key=lambda s: s[1] - s[0])
        # Of a long segment the mark will do: nobody reads what is behind it.
        self._keep(start, stop - start if in_memory else 4)
        return self._region(start, stop, in_memory=in_memory)

    def _region(self, start: int, limit: int, *, in_memory: bool) -> Region:
        above = self._place.record.seek_directory
        return Region(self._file, start, limit, seek_parent=above, in_memory=in_memory)

    def insert(self, region: Region) -> None:
        """Take over what was written into a region, in the place of what has its name.

        Raises:
            NoRoomError: It does not fit.
            FormatError: It is not one directory.
        """
        key = region.written()
        self._region_starts.add(region.start)
        self._free = self._free.take(region.start, region.end)
        keys = self._place.keys.without_directory(self._name)
        key = key._replace(cycle=keys.next_cycle(self._name))
        self._patches.append((key.seek_key, key.to_bytes()))
        self._place.keys = KeyList(keys.key, (*keys.keys, key))

    def remove(self) -> None:
        """Remove what was asked for."""
        self._place.keys = self._place.keys.without_directory(self._name)

    @property
    def is_empty(self) -> bool:
        """Whether the file is to hold nothing at all."""
        is_top = self._place.record.seek_directory == self._header.begin
        return is_top and not self._place.keys.keys

    def records(self) -> list[tuple[int, int]]:
        """Return the parts of the file that hold what is to be removed, and all below it.

        What RNTuples hold is elsewhere: their objects say where.
        """
        key = self._place.keys.find(self._name)
        found: list[tuple[int, int]] = []
        seen: set[int] = set()
        pending = [key] if key else []
        while pending:
            key = pending.pop()
            if key.seek_key in seen:
                continue
            seen.add(key.seek_key)
            found.append((key.seek_key, key.seek_key + key.nbytes))
            if key.is_directory:
                place = Place.of(self._file, key)
                found += place.key_list
                pending += place.keys.keys
        return found

    def with_keys(self, blobs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return parts of the file, each with the ``RBlob`` key before it, if it has one.

        Those of empty pages, which uproot writes and nothing names, go with what is before them.
        """
        return [
            (self._start_of_blob(start, stop), self._end_of_empty(stop)) for start, stop in blobs
        ]

    def _end_of_empty(self, position: int) -> int:
        key = self._blob_key(position)
        while key and key.nbytes == key.length:
            position += key.nbytes
            key = self._blob_key(position)
        return position

    def _blob_key(self, position: int) -> Key | None:
        """Return the ``RBlob`` key at a position, if there is one."""
        for length in _BLOB_KEYS:
            with suppress(FormatError):
                key = Key.parse(read_at(self._file, position, length))
                if key.class_name == b"RBlob" and key.seek_key == position:
                    return key
        return None

    def _start_of_blob(self, start: int, stop: int) -> int:
        for length in _BLOB_KEYS:
            position = max(start - length, 0)
            key = self._blob_key(position)
            if key and key.length == length and position + key.nbytes == stop:
                return position
        return start

    def release(self, segments: Iterable[tuple[int, int]]) -> None:
        """Free some parts of the file, once nothing points to them any more."""
        bounds = self._header.begin, self._header.end
        self._left_behind += [s for s in segments if bounds[0] <= s[0] < s[1] <= bounds[1]]

    def streamer_infos(self) -> tuple[int, bytes] | None:
        """Return the list of streamer infos, if the file has one: its length, and its bytes.

        There are fewer bytes than that if it is compressed.
        """
        if not self._header.seek_info:
            return None
        record = read_at(self._file, self._header.seek_info, self._header.nbytes_info)
        key = Key.parse(record)
        return key.object_nbytes, record[key.length :]

    def replace_streamer_infos(self, infos: bytes) -> None:
        """Write another list of streamer infos; see `_root_records.object_list`."""
        key = self._free_key._replace(
            class_name=b"TList",
            name=b"StreamerInfo",
            title=b"Doubly linked list",
            datime=now(),
        )
        position = self._allocate(lambda at: key.before(infos, at))
        nbytes = len(self._patches[-1][1])
        if self._header.seek_info:
            old = self._header.seek_info
            self._abandoned.append((old, old + self._header.nbytes_info))
        self._header = self._header._replace(seek_info=position, nbytes_info=nbytes)

    # --- the change ----------------------------------------------------------------------------

    def stage(self) -> Sequence[Patch]:
        """Write all that nothing points to yet.

        Returns:
            What is left to be changed: with it the file would be as it will be.

        Raises:
            OSError: It can't be written; is the disk full?
        """
        turn = self._turn()
        first, last, self._after = self._place_free_lists()
        self._switches = [(0, first.to_bytes()), turn, (0, last.to_bytes())]
        for at, data in self._patches:
            self._keep(at, len(data))
            write_at(self._file, data, at)
        if self._file.seek(0, os.SEEK_END) < first.end:
            self._file.truncate(first.end)
        self._sync()
        return self._switches[1:]

    def commit(self) -> None:
        """Change the file.

        Raises:
            OSError: It can't be written.
        """
        for position, data in self._switches:
            self._begun = True
            write_at(self._file, data, position)
            self._sync()
        written = {at for at, _ in self._patches} | self._region_starts
        marked = frozenset(self._before.segments)
        for start, stop in self._after.segments:
            if (start, stop) in marked and start not in written:
                continue  # it has its mark
            if stop - start < MARK:
                continue  # no room for one
            # For those who walk from record to record: TFile::Map, and TFile::Recover, which ROOT
            # calls by itself where the top directory is empty, and which brings back what it finds.
            mark = -min(stop - start, _MOST_GAP)
            write_at(self._file, mark.to_bytes(4, "big", signed=True), start)
        shrink(self._file, self._after.end)
        self._sync()

    def _keep(self, position: int, nbytes: int) -> None:
        """Remember bytes that are about to be overwritten."""
        kept = min(nbytes, self._nbytes - position)
        if kept > 0:
            self._before_patches.append((position, read_at(self._file, position, kept)))

    def _allocate(self, build: _Build) -> int:
        """Find a place for a record, which may depend on it; return its position."""
        nbytes = len(build(self._free.end))
        position, free = self._free.allocate(nbytes)
        data = build(position)
        if len(data) != nbytes:  # small positions here, large ones behind the end
            position, data = self._free.end, build(self._free.end)
            free = self._free.take(position, position + nbytes)
        self._free = free
        self._patches.append((position, data))
        return position

    def _turn(self) -> Patch:
        """Write the new key list, and return the write that turns the directory to it.

        If that would cross the border of two sectors of a disk, where it could be cut short, the
        directory moves, and the turn is done in the one above. The top never has to: it is at the
        begin of the file.
        """
        place = self._place
        while True:
            position = self._allocate(place.keys.to_bytes)
            self._left_behind += place.key_list
            nbytes = len(self._patches[-1][1])
            record = place.record._replace(seek_keys=position, nbytes_keys=nbytes, modified=now())
            at, data = place.record.changes_to(record)
            if not self._above or at // _SECTOR == (at + len(data) - 1) // _SECTOR:
                return at, data
            moved = self._move(place.key, record)
            place, old = self._above.pop(), place.key
            keys = tuple(moved if key == old else key for key in place.keys.keys)
            place.keys = KeyList(place.keys.key, keys)

    def _move(self, key: Key, record: Directory) -> Key:
        """Write a directory's record anew, elsewhere, and return its new key."""
        room = max(record.room, 60)

        def build(position: int) -> bytes:
            there = record._replace(seek_directory=position, room=room)
            return key.before(there.to_bytes().ljust(room, b"\0"), position)

        self._allocate(build)
        self._left_behind.append((key.seek_key, key.seek_key + key.nbytes))
        return Key.parse(self._patches[-1][1])

    def _place_free_lists(self) -> tuple[Header, Header, FreeList]:
        """Place the lists of free segments for the time before the change, and after it.

        Each needs room for itself, which changes it: so try until the lengths fit. Behind the end
        of the file they always do.
        """
        sizes = (0, 0)
        for attempt in range(64):
            at_end = attempt >= 32
            spots = []
            free = self._free
            for size in sizes:
                position, free = (
                    (free.end, free.take(free.end, free.end + size))
                    if at_end
                    else free.allocate(size)
                )
                spots.append(position)
            before = free.release(self._abandoned)
            own = (spots[0], spots[0] + sizes[0])
            after = free.release([*self._abandoned, *self._left_behind, own])
            lists = [
                self._free_key.before(content.to_bytes(), spot)
                for content, spot in zip((before, after), spots, strict=True)
            ]
            found = (len(lists[0]), len(lists[1]))
            if found == sizes:
                self._patches += zip(spots, lists, strict=True)
                headers = [
                    self._header._replace(
                        end=content.end,
                        seek_free=spot,
                        nbytes_free=len(data),
                        n_free=len(content.segments) + 1,
                    )
                    for content, spot, data in zip((before, after), spots, lists, strict=True)
                ]
                return headers[0], headers[1], after
            sizes = found
        raise FormatError("found no place for the list of free segments")

    def _sync(self) -> None:
        if self._durable:
            os.fsync(self._file.fileno())
