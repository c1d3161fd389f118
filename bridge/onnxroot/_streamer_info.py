"""Objects of ROOT as bytes: the streamer info of ``ROOT::RNTuple``, which JSROOT needs, and texts.

Source: ROOT's own description of how objects are streamed, "Streamer Information" in the ROOT file
format; the members are those of ``ROOT/RNTuple.hxx``, class version 2.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from onnxroot._root_empty import object_list
from onnxroot._root_records import root_text
from onnxroot.errors import FormatError

__all__ = ["add_to_list", "string_object"]

_CLASS_NAME: Final = "ROOT::RNTuple"
_CLASS_VERSION: Final = 2

_CHECKSUM: Final = 0x28E632EC  # TClass::GetCheckSum of version 2
_UNSIGNED_SHORT, _UNSIGNED_LONG = (12, 2, "unsigned short"), (14, 8, "unsigned long")
_MEMBERS: Final = (
    *((f"fVersion{part}", _UNSIGNED_SHORT) for part in ("Epoch", "Major", "Minor", "Patch")),
    *(
        (name, _UNSIGNED_LONG)
        for name in (
            "fSeekHeader",
            "fNBytesHeader",
            "fLenHeader",
            "fSeekFooter",
            "fNBytesFooter",
            "fLenFooter",
            "fMaxKeySize",
        )
    ),
)
_HAS_BYTE_COUNT: Final = 0x40000000
_NEW_CLASS: Final = 0xFFFFFFFF


_NOT_DELETED: Final = 0x02000000  # a bit of TObject: it is alive
_HAS_PROCESS_ID: Final = 0x10  # a bit of TObject, after which two more bytes follow


def add_to_list(infos: bytes, others: Mapping[str, bytes]) -> bytes | None:
    """Add the streamer infos of ``ROOT::RNTuple`` and of other classes to a file's list of them.

    Args:
        infos: A ``TList``, decompressed; or nothing.
        others: By class name, streamer infos as they stand in such a list.

    Returns:
        The new list; None if all are there already.

    Raises:
        FormatError: It is no list.
    """
    wanted = {_CLASS_NAME: _streamer_info(), **others}
    infos = infos or object_list(b"", 0)
    new = [info for name, info in wanted.items() if _short_text(name) not in infos]
    if not new:
        return None
    try:
        nbytes, version, _, _, bits = struct.unpack_from(">IHHII", infos)
        count = 16 + (2 if bits & _HAS_PROCESS_ID else 0)
        count += 1 + infos[count]  # the name of the list
        (n_infos,) = struct.unpack_from(">i", infos, count)
    except (struct.error, IndexError) as error:
        raise FormatError("the list of streamer infos is cut; the file is damaged") from error
    stop = (nbytes ^ _HAS_BYTE_COUNT) + 4  # uproot leaves room behind it
    if not count < stop <= len(infos) or version > 5:
        raise FormatError("the list of streamer infos has a wrong length; the file is damaged")
    start, rest = infos[4:count], infos[count + 4 : stop]
    content = start + struct.pack(">i", n_infos + len(new)) + rest + b"".join(new)
    return struct.pack(">I", len(content) | _HAS_BYTE_COUNT) + content


def string_object(text: bytes) -> bytes:
    """Return a ``TObjString``."""
    return _versioned(1, struct.pack(">HII", 1, 0, _NOT_DELETED) + root_text(text))


def _streamer_info() -> bytes:
    """Return the TStreamerInfo as it stands in a file's list of them, list option included."""
    elements = b"".join(
        _object("TStreamerBasicType", _element(name, *kind)) for name, kind in _MEMBERS
    )
    array = _t_object() + _short_text("") + struct.pack(">ii", len(_MEMBERS), 0) + elements
    info = _t_named(_CLASS_NAME) + struct.pack(">Ii", _CHECKSUM, _CLASS_VERSION)
    info += _object("TObjArray", _versioned(3, array))
    return _object("TStreamerInfo", _versioned(9, info)) + b"\0"


def _element(name: str, type_code: int, size: int, type_name: str) -> bytes:
    """Return a TStreamerBasicType."""
    no_array = struct.pack(">7i", *(0,) * 7)
    base = _t_named(name) + struct.pack(">ii", type_code, size) + no_array + _short_text(type_name)
    return _versioned(2, _versioned(4, base))


def _object(class_name: str, content: bytes) -> bytes:
    """Return an object behind a pointer: byte count, class, content."""
    tagged = struct.pack(">I", _NEW_CLASS) + class_name.encode() + b"\0" + content
    return struct.pack(">I", len(tagged) | _HAS_BYTE_COUNT) + tagged


def _versioned(version: int, content: bytes) -> bytes:
    """Return an object's content behind its byte count and class version."""
    return struct.pack(">IH", len(content) + 2 | _HAS_BYTE_COUNT, version) + content


def _t_named(name: str) -> bytes:
    return _versioned(1, _t_object() + _short_text(name) + _short_text(""))


def _t_object() -> bytes:
    return struct.pack(">HII", 1, 0, 0)  # version, unique ID, bits


def _short_text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()
