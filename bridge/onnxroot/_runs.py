"""Long runs of one repeated field: records with the same tag, end to end.

A tree ensemble has millions of them in a few attributes. They are read and written in blocks that
stay in a processor's cache; where all records of a block are equally long, as bytes of a matrix.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onnxroot._ragged import scatter
from onnxroot._varints import (
    join_groups,
    split_groups,
    values_at,
    varint_width,
    varint_widths,
    write_varints,
)

__all__ = [
    "FIXED32",
    "FIXED64",
    "LEN",
    "VARINT",
    "Run",
    "encode_fixed",
    "encode_numbers",
    "encode_texts",
    "read_run",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

VARINT, FIXED64, LEN, FIXED32 = 0, 1, 2, 5
"""Wire types."""

_FIXED: Final[dict[int, np.dtype[Any]]] = {FIXED64: np.dtype("<u8"), FIXED32: np.dtype("<u4")}
_FIRST_WINDOW: Final = 1 << 11  # bytes
_WINDOW: Final = 1 << 16  # what uint16 can count
_LONGEST: Final = 10  # bytes of a varint


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Some records of a run, at least one; arrays have shape (n,).

    Attributes:
        start: Where the first one begins.
        stop: Where the last one ends.
        heads: uint16; where each begins, behind `start`. Or how long each of them is.
        values: For varints of the narrowest unsigned type, see `_varints.values_at`; for values of
            fixed width their bits as uint32 or uint64; for LEN the lengths, uint8, of values that
            begin two bytes behind their records.
        minimal: Whether every varint is as short as it can be.
    """

    start: int
    stop: int
    heads: npt.NDArray[np.uint16] | int
    values: npt.NDArray[Any]
    minimal: bool

    @property
    def starts(self) -> I64:
        """Where each record begins: int64, shape (n,)."""
        if isinstance(self.heads, int):
            return np.arange(self.start, self.stop, self.heads)
        return self.heads.astype(np.int64) + self.start


# --- reading ----------------------------------------------------------------------------------


def read_run(data: U8, start: int, stop: int, tag: int) -> Iterator[Run]:
    """Read records of one field for as long as they follow one another.

    Args:
        data: uint8, shape (n_bytes,).
        start: Where one of them begins.
        stop: The end of the message.
        tag: Their tag, which takes one byte.

    Yields:
        The records, some at a time. The first one that is cut, overlong or of another tag ends the
        run, and is not among them; nor is, of LEN, one of 128 bytes or more.
    """
    read = {VARINT: _numbers, LEN: _texts}.get(tag & 7, _fixed)
    size = _FIRST_WINDOW
    while start < stop:
        window = data[start : min(start + size, stop)]
        heads, nbytes, values, minimal = read(window, tag)
        if not nbytes:
            return
        stop_of_run = start + nbytes
        short = heads if isinstance(heads, int) else heads.astype(np.uint16)
        yield Run(start=start, stop=stop_of_run, heads=short, values=values, minimal=minimal)
        start = stop_of_run
        size = min(2 * size, _WINDOW)


_Found = tuple[I64 | int, int, npt.NDArray[Any], bool]
"""Heads of the records in a window, the bytes of all, values, and whether they are minimal."""


def _numbers(window: U8, tag: int) -> _Found:
    if len(window) < 2:
        return 0, 0, window, True
    width = int(np.argmax(window[1 : 1 + _LONGEST] < 0x80)) + 1
    n = len(window) // (width + 1)
    records = window[: n * (width + 1)].reshape(n, width + 1)
    fits = (records[:, 0] == tag) & (records[:, width] < 0x80)
    for k in range(1, width):
        fits &= records[:, k] >= 0x80
    if n and fits.all():  # all of them are equally long
        last = records[:, width]
        minimal = width == 1 or (bool(np.all(last)) and (width < _LONGEST or int(last.max()) == 1))
        return width + 1, n * (width + 1), join_groups(records[:, 1:].T), minimal
    ends = np.flatnonzero(window < 0x80)
    n = len(ends) // 2
    pairs = ends[: 2 * n].reshape(n, 2)  # a tag of one byte, and the last byte of a value
    lasts = pairs[:, 1].copy()
    heads = np.empty_like(lasts)
    heads[:1], heads[1:] = 0, lasts[:-1] + 1
    widths = lasts - heads
    fits = (window.take(heads) == tag) & (pairs[:, 0] == heads) & (widths <= _LONGEST)
    if not fits.all():
        n = int(np.argmin(fits))
        heads, lasts, widths = heads[:n], lasts[:n], widths[:n]
    if not n:
        return 0, 0, window, True
    last = window.take(lasts)
    minimal = not np.any((last == 0) & (widths > 1)) and not np.any(
        (last > 1) & (widths == _LONGEST)
    )
    return heads, int(lasts[-1]) + 1, values_at(window, heads + 1, widths), minimal


def _fixed(window: U8, tag: int) -> _Found:
    dtype = _FIXED[tag & 7]
    stride = 1 + dtype.itemsize
    n = len(window) // stride
    fits = window[: n * stride : stride] == tag
    if not fits.all():
        n = int(np.argmin(fits))
    values = _every(window, 1, dtype, stride, n).copy()
    return stride, n * stride, values, True


def _texts(window: U8, tag: int) -> _Found:
    starts = np.flatnonzero(window[:-1] == tag)
    lengths = window.take(starts + 1)
    ends = starts + 2 + lengths
    fits = (lengths < 0x80) & (ends <= len(window))
    fits[:1] &= starts[:1] == 0
    fits[1:] &= starts[1:] == ends[:-1]
    n = len(fits) if fits.all() else int(np.argmin(fits))
    if not n:
        return 0, 0, lengths, True
    if n < len(fits) and starts[n] < ends[n - 1]:  # that byte is in a text, and perhaps others are
        rest = _texts_one_by_one(memoryview(window), int(ends[n - 1]), tag)
        starts = np.concatenate([starts[:n], np.array(rest, np.int64)])
        lengths = window.take(starts + 1)
        n = len(starts)
    return starts[:n], int(starts[n - 1]) + 2 + int(lengths[n - 1]), lengths[:n], True


def _texts_one_by_one(window: memoryview, position: int, tag: int) -> list[int]:
    starts = []
    while position + 1 < len(window) and window[position] == tag and window[position + 1] < 0x80:
        end = position + 2 + window[position + 1]
        if end > len(window):
            break
        starts.append(position)
        position = end
    return starts


def _every(data: U8, first: int, dtype: np.dtype[Any], stride: int, n: int) -> npt.NDArray[Any]:
    """Return a view of n values, each `stride` bytes behind the one before."""
    if not n:
        return np.empty(0, dtype)
    return np.ndarray((n,), dtype, data[first:], strides=(stride,))


# --- writing ----------------------------------------------------------------------------------


def encode_numbers(wire: U64, tag: U8) -> U8:
    """Return a varint for each number, with the tag in front of each.

    Args:
        wire: uint64, shape (n,).
        tag: uint8, shape (n_bytes,); empty for values that are packed.

    Returns:
        uint8, shape (sum of lengths,).
    """
    if not len(wire):
        return np.empty(0, np.uint8)
    widest = varint_width(int(wire.max()))
    if widest == 1 or varint_width(int(wire.min())) == widest:
        out = np.empty((len(wire), len(tag) + widest), np.uint8)
        out[:, : len(tag)] = tag
        split_groups(wire, out[:, len(tag) :].T)
        return out.reshape(-1)
    widths = varint_widths(wire)
    ends = np.cumsum(widths + len(tag))
    starts = ends - widths
    flat = np.empty(int(ends[-1]), np.uint8)
    if len(tag) == 1:
        flat.fill(tag[0])
    else:
        for k, byte in enumerate(tag[::-1], 1):
            flat[starts - k] = byte
    write_varints(flat, starts, wire, widths)
    return flat


def encode_fixed(values: npt.NDArray[Any], tag: U8) -> U8:
    """Return the bytes of each value, with the tag in front of each.

    Args:
        values: Of 4 or 8 bytes, little-endian, shape (n,).
        tag: uint8, shape (n_bytes,); empty for values that are packed.

    Returns:
        uint8, shape (sum of lengths,).
    """
    out = np.empty((len(values), len(tag) + values.dtype.itemsize), np.uint8)
    out[:, : len(tag)] = tag
    flat = out.reshape(-1)
    _every(flat, len(tag), values.dtype, out.shape[1], len(values))[:] = values
    return flat


def encode_texts(lengths: I64, data: U8, tag: U8) -> U8:
    """Return the records of some texts.

    Args:
        lengths: int64, shape (n,).
        data: uint8; the texts end to end.
        tag: uint8, shape (n_bytes,).

    Returns:
        uint8, shape (sum of lengths,).
    """
    widths = varint_widths(lengths.view(np.uint64))
    records = lengths + widths
    records += len(tag)
    ends = np.cumsum(records)
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    begins = ends - records
    for k, byte in enumerate(tag):
        out[begins + k] = byte
    write_varints(out, begins + len(tag), lengths.view(np.uint64), widths)
    scatter(out, ends - lengths, lengths, data)
    return out
