"""Long runs of one repeated field: records with the same tag, end to end.

A tree ensemble has millions of them in a few attributes. NumPy reads and writes them in blocks that
stay in a processor's cache; where all records of a block are equally long, as bytes of a matrix.
`_kernels`, where it is there, walks from one to the next.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from onnxroot import _kernels
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
    "find_run",
    "read_numbers",
    "read_texts",
    "starts_of",
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


class Run(NamedTuple):
    """Some records of a run, at least one.

    Attributes:
        tag: Of all of them: one byte.
        n_records: How many there are.
        start: Where the first one begins.
        stop: Where the last one ends.
        minimal: Whether every varint is as short as it can be.
        heads: uint16, shape (n_records,); where each begins, behind `start`. Or how long each of
            them is. None if `_kernels` found them.
        marks: Some of the places that `_kernels` saw, if it did.
    """

    tag: int
    n_records: int
    start: int
    stop: int
    minimal: bool
    heads: npt.NDArray[np.uint16] | int | None
    marks: _kernels.Marks | None = None


# --- reading ----------------------------------------------------------------------------------


def find_run(
    data: U8, start: int, stop: int, tag: int, *, with_starts: bool = False
) -> Iterator[Run]:
    """Find records of one field for as long as they follow one another.

    Args:
        data: uint8, shape (n_bytes,).
        start: Where one of them begins.
        stop: The end of the message.
        tag: Their tag, which takes one byte.
        with_starts: Whether `starts_of` is to say where each begins.

    Yields:
        The records, some at a time. The first one that is cut, overlong or of another tag ends the
        run, and is not among them; nor is, of LEN, one of 128 bytes or more.
    """
    if _kernels.available() and not with_starts:
        n, end, minimal, marks = _count(data, start, stop, tag)
        if n:
            yield Run(
                tag=tag,
                n_records=n,
                start=start,
                stop=end,
                minimal=minimal,
                heads=None,
                marks=marks,
            )
        return
    find = {VARINT: _varints, LEN: _texts}.get(tag & 7, _fixed)
    size = _FIRST_WINDOW
    while start < stop:
        window = data[start : min(start + size, stop)]
        n, nbytes, heads, minimal = find(window, tag)
        if not n:
            return
        end = start + nbytes
        short = heads if isinstance(heads, int) else heads.astype(np.uint16)
        yield Run(tag=tag, n_records=n, start=start, stop=end, minimal=minimal, heads=short)
        start = end
        size = min(2 * size, _WINDOW)


def starts_of(run: Run) -> I64:
    """Return where each record begins: int64, shape (n_records,).

    Raises:
        ValueError: The run was found without.
    """
    if run.heads is None:
        raise ValueError("where the records of this run begin is not known")
    if isinstance(run.heads, int):
        return np.arange(run.start, run.stop, run.heads)
    return run.heads.astype(np.int64) + run.start


def read_numbers(data: U8, run: Run, out: npt.NDArray[Any]) -> None:
    """Read the numbers of a run.

    Args:
        data: What it was found in.
        run: Of varints, or of values of fixed width.
        out: Shape (n_records,); written to. Varints become uint64, higher bits than 64 dropped;
            values of fixed width are bits of uint32 or uint64.
    """
    if run.heads is None:
        if run.tag & 7 == VARINT:
            _kernels.read_varints(data, run.start, run.stop, run.tag, out)
        else:
            _kernels.read_fixed(data, run.start, run.stop, out)
        return
    window = data[run.start : run.stop]
    if run.tag & 7 != VARINT:
        dtype = _FIXED[run.tag & 7]
        out[:] = _every(window, 1, dtype, 1 + dtype.itemsize, run.n_records)
    elif isinstance(run.heads, int):
        out[:] = join_groups(window.reshape(run.n_records, run.heads)[:, 1:].T)
    else:
        heads = run.heads.astype(np.int64)
        widths = np.diff(heads, append=len(window)) - 1
        out[:] = values_at(window, heads + 1, widths)


def read_texts(data: U8, run: Run, starts: I64, lengths: I64) -> None:
    """Find the texts of a run, behind their tags and lengths.

    Args:
        data: What it was found in.
        run: Of LEN.
        starts: int64, shape (n_records,); written to: where each begins.
        lengths: The same: how long each is.
    """
    if run.heads is None:
        _kernels.read_texts(data, run.start, run.stop, starts, lengths)
        return
    np.add(starts_of(run), 2, out=starts)
    lengths[:] = data.take(starts - 1)


def _count(
    data: U8, start: int, stop: int, tag: int
) -> tuple[int, int, bool, _kernels.Marks | None]:
    """Count records; return that, where the last one ends, if all are minimal, and marks."""
    if tag & 7 == VARINT:
        return _kernels.find_varints(data, start, stop, tag)
    if tag & 7 == LEN:
        n, end, marks = _kernels.find_texts(data, start, stop, tag)
        return n, end, True, marks
    size = _FIXED[tag & 7].itemsize
    n = _kernels.find_fixed(data, start, stop, tag, size)
    return n, start + n * (1 + size), True, None


_Found = tuple[int, int, I64 | int, bool]
"""Number of records in a window, the bytes of all, their heads, and whether they are minimal."""


def _varints(window: U8, tag: int) -> _Found:
    if len(window) < 2:
        return 0, 0, 0, True
    width = int(np.argmax(window[1 : 1 + _LONGEST] < 0x80)) + 1
    n = len(window) // (width + 1)
    records = window[: n * (width + 1)].reshape(n, width + 1)
    fits = (records[:, 0] == tag) & (records[:, width] < 0x80)
    for k in range(1, width):
        fits &= records[:, k] >= 0x80
    if n and fits.all():  # all of them are equally long
        last = records[:, width]
        minimal = width == 1 or (bool(np.all(last)) and (width < _LONGEST or int(last.max()) == 1))
        return n, n * (width + 1), width + 1, minimal
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
        return 0, 0, 0, True
    last = window.take(lasts)
    minimal = not np.any((last == 0) & (widths > 1)) and not np.any(
        (last > 1) & (widths == _LONGEST)
    )
    return n, int(lasts[-1]) + 1, heads, minimal


def _fixed(window: U8, tag: int) -> _Found:
    stride = 1 + _FIXED[tag & 7].itemsize
    n = len(window) // stride
    fits = window[: n * stride : stride] == tag
    if not fits.all():
        n = int(np.argmin(fits))
    return n, n * stride, stride, True


def _texts(window: U8, tag: int) -> _Found:
    starts = np.flatnonzero(window[:-1] == tag)
    lengths = window.take(starts + 1)
    ends = starts + 2 + lengths
    fits = (lengths < 0x80) & (ends <= len(window))
    fits[:1] &= starts[:1] == 0
    fits[1:] &= starts[1:] == ends[:-1]
    n = len(fits) if fits.all() else int(np.argmin(fits))
    if not n:
        return 0, 0, 0, True
    if n < len(fits) and starts[n] < ends[n - 1]:  # that byte is in a text, and perhaps others are
        rest = _texts_one_by_one(memoryview(window), int(ends[n - 1]), tag)
        starts = np.concatenate([starts[:n], np.array(rest, np.int64)])
        n = len(starts)
    last = int(starts[n - 1])
    return n, last + 2 + int(window[last + 1]), starts[:n], True


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
    if _kernels.available():
        return _kernels.write_varints(wire, tag)
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
    if _kernels.available():
        return _kernels.write_fixed(values, tag)
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
    if _kernels.available():
        return _kernels.write_texts(lengths, data, tag)
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
