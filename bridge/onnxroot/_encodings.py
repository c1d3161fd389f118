"""How the values of an RNTuple's columns stand in its pages.

Values are stored as they are, or *split*: the lowest bytes of all values of a page, then the next
ones, up to the highest. The highest bytes of weights resemble each other, so that a compressor
finds something there. Signed integers are zigzag-coded before they are split, and of the ends of
lists the differences are split.

Source: RNTuple binary format specification 1.0, "Column Description".
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["CHAR", "ENCODINGS", "Encoding", "decode", "encode", "encoding_of"]

U8 = npt.NDArray[np.uint8]

CHAR: Final = 0x02
"""Code of the bytes of strings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """One type of column.

    Attributes:
        code: Of the specification.
        dtype: Of its values.
        is_index: Whether they are ends of lists.
        is_split: Whether it is split; `encode` says what else follows from that.
    """

    code: int
    dtype: np.dtype[Any]
    is_index: bool = False
    is_split: bool = False


_PLAIN: Final = {  # code: dtype
    0x01: "<u1",
    CHAR: "<u1",
    0x03: "<i1",
    0x04: "<u1",
    0x05: "<i2",
    0x06: "<u2",
    0x07: "<i4",
    0x08: "<u4",
    0x09: "<i8",
    0x0A: "<u8",
    0x0C: "<f4",
    0x0D: "<f8",
}
_SPLIT: Final = {
    0x11: "<i2",
    0x12: "<u2",
    0x13: "<i4",
    0x14: "<u4",
    0x15: "<i8",
    0x16: "<u8",
    0x18: "<f4",
    0x19: "<f8",
}
_INDEX: Final = {0x0E: "<i4", 0x0F: "<i8"}
_SPLIT_INDEX: Final = {0x1A: "<i4", 0x1B: "<i8"}

ENCODINGS: Final = MappingProxyType(
    {
        code: Encoding(
            code=code,
            dtype=np.dtype(dtype),
            is_index=codes is _INDEX or codes is _SPLIT_INDEX,
            is_split=codes is _SPLIT or codes is _SPLIT_INDEX,
        )
        for codes in (_PLAIN, _SPLIT, _INDEX, _SPLIT_INDEX)
        for code, dtype in codes.items()
    }
)
"""All that hold numbers, bit for bit, by code."""


def encoding_of(dtype: np.dtype[Any], *, is_split: bool, is_index: bool = False) -> Encoding:
    """Return the encoding for values of a type; those of a byte can't be split."""
    is_split = is_split and dtype.itemsize > 1
    fitting = (
        encoding
        for encoding in ENCODINGS.values()
        if encoding.dtype == dtype.newbyteorder("<")
        and (encoding.is_split, encoding.is_index) == (is_split, is_index)
        and encoding.code > CHAR
    )
    return next(fitting)


def encode(values: npt.NDArray[Any], encoding: Encoding) -> U8:
    """Return the bytes of a page.

    Args:
        values: Of the encoding's dtype, shape (n,).
        encoding: Of the column.

    Returns:
        A new array, or a view of values that are stored as they are.
    """
    values = np.ascontiguousarray(values)
    if not encoding.is_split:
        return values.view(np.uint8)
    if encoding.is_index:
        values = np.diff(values, prepend=values.dtype.type(0))
    elif encoding.dtype.kind == "i":
        values = values << 1 ^ values >> 8 * encoding.dtype.itemsize - 1
    size = encoding.dtype.itemsize
    parts = np.empty((size, len(values)), np.uint8)
    for i, part in enumerate(parts):
        part[:] = values.view(np.uint8)[i::size]
    return parts.reshape(-1)


def decode(page: U8, encoding: Encoding) -> npt.NDArray[Any]:
    """Return the values of a page: the inverse of `encode`.

    Args:
        page: A whole number of values.
        encoding: Of the column.

    Returns:
        A new array, or a view of values that are stored as they are.
    """
    if not encoding.is_split:
        return page.view(encoding.dtype)
    size = encoding.dtype.itemsize
    values = np.empty(len(page) // size, encoding.dtype)
    for i, part in enumerate(page.reshape(size, -1)):
        values.view(np.uint8)[i::size] = part
    if encoding.is_index:
        np.cumsum(values, out=values)
    elif encoding.dtype.kind == "i":
        unsigned = values.view(encoding.dtype.str.replace("i", "u"))
        values = (unsigned >> 1).view(encoding.dtype) ^ -(values & 1)
    return values
