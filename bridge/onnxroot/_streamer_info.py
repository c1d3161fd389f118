"""The streamer info of ``ROOT::RNTuple``, which JSROOT needs and uproot does not write.

Source: ROOT's own description of how objects are streamed, "Streamer Information" in the ROOT file
format; the members are those of ``ROOT/RNTuple.hxx``, class version 2.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["CLASS_NAME", "CLASS_VERSION", "streamer_info"]

CLASS_NAME: Final = "ROOT::RNTuple"
CLASS_VERSION: Final = 2

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


def streamer_info() -> bytes:
    """Return the TStreamerInfo as it stands in a file's list of them, list option included."""
    elements = b"".join(
        _object("TStreamerBasicType", _element(name, *kind)) for name, kind in _MEMBERS
    )
    array = _t_object() + _string("") + struct.pack(">ii", len(_MEMBERS), 0) + elements
    info = _t_named(CLASS_NAME) + struct.pack(">Ii", _CHECKSUM, CLASS_VERSION)
    info += _object("TObjArray", _versioned(3, array))
    return _object("TStreamerInfo", _versioned(9, info)) + b"\0"


def _element(name: str, type_code: int, size: int, type_name: str) -> bytes:
    """Return a TStreamerBasicType."""
    no_array = struct.pack(">7i", *(0,) * 7)
    base = _t_named(name) + struct.pack(">ii", type_code, size) + no_array + _string(type_name)
    return _versioned(2, _versioned(4, base))


def _object(class_name: str, content: bytes) -> bytes:
    """Return an object behind a pointer: byte count, class, content."""
    tagged = struct.pack(">I", _NEW_CLASS) + class_name.encode() + b"\0" + content
    return struct.pack(">I", len(tagged) | _HAS_BYTE_COUNT) + tagged


def _versioned(version: int, content: bytes) -> bytes:
    """Return an object's content behind its byte count and class version."""
    return struct.pack(">IH", len(content) + 2 | _HAS_BYTE_COUNT, version) + content


def _t_named(name: str) -> bytes:
    return _versioned(1, _t_object() + _string(name) + _string(""))


def _t_object() -> bytes:
    return struct.pack(">HII", 1, 0, 0)  # version, unique ID, bits


def _string(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()
