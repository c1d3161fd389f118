"""How the values of an RNTuple's columns stand in its pages.

Values are stored as they are, or *split*: the lowest bytes of all values of a page, then the next
ones, up to the highest. The highest bytes of weights resemble each other, so that a compressor
finds something there. Signed integers are zigzag-coded before they are split, and of the ends of
lists the differences are split.

Source: RNTuple binary format specification 1.0, "Column Description".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onnxroot import _kernels

__all__ = ["CHAR", "ENCODINGS", "ZEROS_APART", "Encoding", "decode", "encode", "encoding_of"]

U8 = npt.NDArray[np.uint8]

_BLOCK: Final = 1 << 16  # values that are split at a time: they stay in a processor's cache
_UNSIGNED: Final = tuple(np.dtype(f"<u{width}") for width in (1, 1, 2, 4, 4, 8, 8, 8, 8))
"""The narrowest unsigned type with so many bytes."""

CHAR: Final = 0x02
"""Code of the bytes of strings."""

ZEROS_APART: Final = 1 << 16
"""So many zeros at the end of a page are not written to memory, but known to be there."""


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


@cache
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
        A new array, or a view of values that are stored as they are; without the zeros at its end,
        if they are `ZEROS_APART` or more.
    """
    values = np.ascontiguousarray(values)
    if not encoding.is_split:
        return values.view(np.uint8)
    page, n = _split(values, encoding)
    if len(page) - n >= ZEROS_APART:
        return page[:n]
    page[n:] = 0
    return page


def _split(values: npt.NDArray[Any], encoding: Encoding) -> tuple[U8, int]:
    """Split values; return room for a page, and how much of it is filled: what follows is zero."""
    if _kernels.available():
        return _kernels.split_values(values, _kind_of(encoding))
    size, n = encoding.dtype.itemsize, len(values)
    parts = np.zeros((size, n), np.uint8)
    last = values.dtype.type(0)
    most = 0
    is_weight = _kind_of(encoding) == _kernels.AS_THEY_ARE and size < 8
    for start in range(0, n, _BLOCK):
        some = values[start : start + _BLOCK]
        if encoding.is_index:
            some, last = np.diff(some, prepend=last), some[-1]
        elif encoding.dtype.kind == "i":
            some = some << 1 ^ some >> 8 * size - 1
        bits = some.view(f"<u{size}")
        used = size if is_weight else _bytes_of(int(np.bitwise_or.reduce(bits)))
        most = max(most, used + used % 2)
        narrow = bits.astype(_UNSIGNED[used], copy=False).view(np.uint8)
        width = _UNSIGNED[used].itemsize
        for i in range(used):
            parts[i, start : start + _BLOCK] = narrow[i::width]
    return parts.reshape(-1), most * n


def decode(page: U8, encoding: Encoding, out: npt.NDArray[Any]) -> None:
    """Write the values of a page: the inverse of `encode`.

    Args:
        page: A whole number of values; or of split ones the bytes before the zeros at its end.
        encoding: Of the column.
        out: As many as there are in the page, of the encoding's dtype; ends of lists may be wider.
    """
    if not encoding.is_split:
        out[:] = page.view(encoding.dtype)
        return
    size, n = encoding.dtype.itemsize, len(out)
    has_kernels = _kernels.available()
    if len(page) < size * n and (not has_kernels or len(page) < 2 * n or len(page) % n):
        page = np.append(page, np.zeros(size * n - len(page), np.uint8))
    if has_kernels:
        _kernels.join_values(page, size, _kind_of(encoding), out)
        return
    parts = page.reshape(size, -1)
    used = len(parts)
    while used > 1 and not parts[used - 1].any():
        used -= 1
    unsigned = _UNSIGNED[used]
    if encoding.is_index or encoding.dtype.kind == "f":
        unsigned = _UNSIGNED[len(parts)]
    last = out.dtype.type(0)
    for start in range(0, len(out), _BLOCK):
        some = out[start : start + _BLOCK]
        bits = np.zeros(len(some), unsigned)
        for i in range(used):
            bits.view(np.uint8)[i :: unsigned.itemsize] = parts[i, start : start + _BLOCK]
        values = bits.view(encoding.dtype if unsigned.itemsize == len(parts) else unsigned)
        if encoding.is_index:
            np.cumsum(values, out=some)
            some += last
            last = some[-1]
            continue
        if encoding.dtype.kind == "i":
            values = (bits >> 1 ^ -(bits & 1)).view(unsigned.str.replace("u", "i"))
        some[:] = values


def _kind_of(encoding: Encoding) -> int:
    """Return what is done to values before they are split."""
    if encoding.is_index:
        return _kernels.DIFFERENCES
    return _kernels.ZIGZAG if encoding.dtype.kind == "i" else _kernels.AS_THEY_ARE


def _bytes_of(bits: int) -> int:
    """Return how many bytes an unsigned number takes: none if it is 0."""
    return -(-bits.bit_length() // 8)
