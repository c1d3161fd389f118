"""ROOT files that hold nothing yet. See `_root_records`."""

from __future__ import annotations

import struct
import uuid
from typing import Final

from onnxroot._root_free import FreeList
from onnxroot._root_records import Directory, Header, Key, now, root_text

__all__ = ["directory_record", "empty_file", "object_list"]

_BEGIN: Final = 100  # where ROOT begins its first record
_VERSION: Final = 63_400  # of the ROOT that reads RNTuples first
_DIRECTORY_NBYTES: Final = 60  # of a directory's record, if its positions become large


def empty_file(name: str) -> bytes:
    """Return a ROOT file that holds nothing.

    Args:
        name: Its name, which ROOT keeps in it.
    """
    text = name.encode(errors="surrogateescape")[-255:]
    key = Key(
        nbytes=0,
        object_nbytes=0,
        datime=now(),
        cycle=1,
        seek_key=_BEGIN,
        seek_directory=0,
        class_name=b"TFile",
        name=text,
        title=b"",
        big=False,
    )
    names = root_text(text) + root_text(b"")
    top = directory_record(key, 0, names=names)
    inner = key._replace(seek_directory=_BEGIN)
    info_key = inner._replace(
        class_name=b"TList", name=b"StreamerInfo", title=b"Doubly linked list"
    )
    seek_info = top.position + top.room
    infos = info_key.before(object_list(b"", 0), seek_info)
    top = top._replace(seek_keys=seek_info + len(infos))
    keys = inner.before(bytes(4), top.seek_keys)
    top = top._replace(nbytes_keys=len(keys))
    record = key.before(names + top.to_bytes().ljust(top.room, b"\0"), _BEGIN)
    seek_free = top.seek_keys + len(keys)
    end, free = 0, b""
    while end != seek_free + len(free):  # twice
        end = seek_free + len(free)
        free = inner.before(FreeList((), end).to_bytes(), seek_free)
    header = Header(
        version=_VERSION,
        begin=_BEGIN,
        end=end,
        seek_free=seek_free,
        nbytes_free=len(free),
        n_free=1,
        nbytes_name=top.nbytes_name,
        units=4,
        compression=0,
        seek_info=seek_info,
        nbytes_info=len(infos),
        uuid=_new_uuid(),
    )
    return header.to_bytes().ljust(_BEGIN, b"\0") + record + infos + keys + free


def directory_record(key: Key, seek_parent: int, *, names: bytes = b"") -> Directory:
    """Return the record of a directory that holds nothing yet.

    Args:
        key: Its key.
        seek_parent: Where the record of the directory above is.
        names: What stands before it: of the top directory, its name and title once more.
    """
    nbytes_name = key.length + len(names)
    return Directory(
        position=key.seek_key + nbytes_name,
        room=_DIRECTORY_NBYTES,
        version=5,
        created=key.datime,
        modified=key.datime,
        nbytes_keys=0,
        nbytes_name=nbytes_name,
        seek_directory=key.seek_key,
        seek_parent=seek_parent,
        seek_keys=0,
        rest=_new_uuid(),
    )


def object_list(objects: bytes, n_objects: int) -> bytes:
    """Return a ``TList`` without a name, as the list of streamer infos is one.

    Args:
        objects: Each behind a pointer, and its option.
        n_objects: How many these are.
    """
    content = struct.pack(">HHIIBi", 5, 1, 0, 0x03000000, 0, n_objects) + objects
    return struct.pack(">I", len(content) | 0x40000000) + content


def _new_uuid() -> bytes:
    return struct.pack(">h", 1) + uuid.uuid4().bytes
