"""Records of protobuf's wire format, put together byte by byte.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct

__all__ = [
    "float32",
    "float64",
    "group",
    "integer",
    "length_delimited",
    "message",
    "packed_floats",
    "varint",
]

_VARINT, _FIXED64, _LEN, _START_GROUP, _END_GROUP, _FIXED32 = range(6)


def length_delimited(
    number: int, *parts: bytes | str, tag_nbytes: int = 0, length_nbytes: int = 0
) -> bytes:
    """Return one record of a string, bytes, packed or message field.

    Args:
        number: Field number.
        parts: The value, in pieces.
        tag_nbytes: Least width of the tag; an overlong varint makes up for what it lacks. Protobuf
            refuses tags and lengths of over five bytes.
        length_nbytes: Least width of the length.
    """
    value = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return _tag(number, _LEN, tag_nbytes) + varint(len(value), length_nbytes) + value


def message(*records: bytes) -> bytes:
    """Return a message of these records."""
    return b"".join(records)


def varint(value: int, nbytes: int = 0) -> bytes:
    """Return a varint of at least `nbytes` bytes; negative numbers take ten, as protobuf has it."""
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80 or len(out) + 1 < nbytes:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _tag(number: int, wire_type: int, nbytes: int = 0) -> bytes:
    return varint(number << 3 | wire_type, nbytes)


def integer(number: int, value: int, *, tag_nbytes: int = 0, nbytes: int = 0) -> bytes:
    """Return one varint record; the widths are least widths."""
    return _tag(number, _VARINT, tag_nbytes) + varint(value, nbytes)


def float32(number: int, value: float) -> bytes:
    """Return one record of four bytes."""
    return _tag(number, _FIXED32) + struct.pack("<f", value)


def float64(number: int, value: float) -> bytes:
    """Return one record of eight bytes."""
    return _tag(number, _FIXED64) + struct.pack("<d", value)


def group(number: int, *records: bytes) -> bytes:
    """Return a message between the tags of a group."""
    return _tag(number, _START_GROUP) + message(*records) + _tag(number, _END_GROUP)


def packed_floats(*values: float) -> bytes:
    """Return a packed field's value."""
    return struct.pack(f"<{len(values)}f", *values)
