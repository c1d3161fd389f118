"""Varints, many at once.

Source: https://protobuf.dev/programming-guides/encoding/#varints
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from onnxroot._ragged import exclusive_sum
from onnxroot.errors import FormatError

__all__ = [
    "decode_varints",
    "encode_varints",
    "fail_truncated",
    "join_groups",
    "read_varint_stream",
    "split_groups",
    "values_at",
    "varint_width",
    "varint_widths",
    "varint_windows",
    "varints_nbytes",
    "write_varints",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Unsigned = npt.NDArray[np.unsignedinteger[Any]]


def decode_varints(data: U8, start: I64, stop: I64) -> tuple[U64, I64, bool]:
    """Decode one varint at each start.

    Args:
        data: uint8, shape (n_bytes,); read only.
        start: int64, shape (n,).
        stop: int64, shape (n,); the end of the message that holds the varint.

    Returns:
        Values, uint64 (n,), higher bits than 64 dropped; widths in bytes, int64 (n,); and whether
        every one was as short as it can be.

    Raises:
        FormatError: A varint passes ten bytes or its stop.
    """
    if (start >= stop).any():
        fail_truncated(start[start >= stop][0])
    byte = data[start]
    values = byte.astype(np.uint64)
    widths = np.ones(len(start), np.int64)
    minimal = True
    more = (byte >= 0x80).nonzero()[0]
    if not more.size:
        return values, widths, minimal
    values[more] &= np.uint64(0x7F)
    position, limit = start[more], stop[more]
    for k in range(1, 10):
        position = position + 1
        if (position >= limit).any():
            fail_truncated(start[more[position >= limit][0]])
        byte = data[position]
        values[more] |= (byte & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * k)
        last = byte < 0x80
        minimal = minimal and not (last & ((byte == 0) | ((byte > 1) & (k == 9)))).any()
        widths[more] = k + 1
        more, position, limit = more[~last], position[~last], limit[~last]
        if not more.size:
            return values, widths, minimal
    raise FormatError(
        "a varint passes ten bytes; this is not a ModelProto, or it is damaged",
        offset=int(start[more[0]]),
    )


def varint_width(value: int) -> int:
    """Return the bytes that a value takes as a minimal varint."""
    return max(-(-value.bit_length() // 7), 1)


def varint_widths(values: U64) -> I64:
    """Return the bytes each value takes as a minimal varint: int64, shape of `values`."""
    widths = np.ones(values.shape, np.uint8)
    for limit in _limits_passed(values):
        widths += values >= limit
    return widths.astype(np.int64)


def varints_nbytes(values: U64) -> int:
    """Return the bytes that all values take as minimal varints."""
    limits = _limits_passed(values)
    return values.size + sum(int(np.count_nonzero(values >= limit)) for limit in limits)


def _limits_passed(values: U64) -> list[np.uint64]:
    """Return from where on varints take one byte more, up to the largest of the values."""
    widest = varint_width(int(values.max())) if values.size else 1
    return [np.uint64(1 << 7 * k) for k in range(1, widest)]


def write_varints(out: U8, start: I64, values: U64, widths: I64) -> None:
    """Write each value as a varint of the given width at its start, in place."""
    if not len(values):
        return
    widest = int(widths.max())
    for k in range(widest):
        byte = ((values >> np.uint64(7 * k)) & np.uint64(0x7F)).astype(np.uint8)
        goes_on = (widths > k + 1).nonzero()[0]
        byte[goes_on] |= np.uint8(0x80)
        out[start + k] = byte
        start, values, widths = start.take(goes_on), values.take(goes_on), widths.take(goes_on)


def encode_varints(values: U64) -> tuple[U8, I64]:
    """Return the values as minimal varints end to end, uint8, and their widths, int64 (n,)."""
    widths = varint_widths(values)
    out = np.empty(int(widths.sum()), np.uint8)
    write_varints(out, exclusive_sum(widths), values, widths)
    return out, widths


def read_varint_stream(stream: U8) -> tuple[U64, I64]:
    """Decode varints that lie end to end.

    Args:
        stream: uint8, shape (n_bytes,).

    Returns:
        Values, uint64 (n,), and widths, int64 (n,).

    Raises:
        FormatError: The last varint is cut, or one passes ten bytes; the offset is in `stream`.
    """
    ends = (stream < 0x80).nonzero()[0].astype(np.int64) + 1
    if (ends[-1] if ends.size else 0) != len(stream):
        raise FormatError("a packed varint is cut at the end", offset=len(stream))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if ends.size else ends
    widths = ends - starts
    if ends.size and int(widths.max()) > 10:
        raise FormatError(
            "a packed varint passes ten bytes", offset=int(starts[np.argmax(widths > 10)])
        )
    return values_at(stream, starts, widths).astype(np.uint64, copy=False), widths


def values_at(stream: U8, starts: I64, widths: I64) -> Unsigned:
    """Return the values of varints.

    Args:
        stream: uint8, shape (n_bytes,).
        starts: int64, shape (n,); where each begins.
        widths: int64, shape (n,); how many bytes each has, at most 10.

    Returns:
        Of the narrowest of uint8, uint16 and uint64 that holds so many bytes, shape (n,); higher
        bits than 64 dropped.
    """
    widest = int(widths.max()) if len(widths) else 1
    if widest == 1:
        return stream.take(starts) & np.uint8(0x7F)
    if widest == 2:  # of many numbers that is the most: cheaper for all than for some
        first, last = stream.take(starts), stream.take(starts + (widths - 1))
        both = (first & np.uint8(0x7F)) | last.astype(np.uint16) << np.uint16(7)
        return np.where(widths == 1, first, both)
    values = (stream.take(starts) & np.uint8(0x7F)).astype(np.uint64)
    more = (widths > 1).nonzero()[0]
    for k in range(1, widest):
        byte = (stream.take(starts.take(more) + k) & np.uint8(0x7F)).astype(np.uint64)
        values[more] |= byte << np.uint64(7 * k)
        more = more[widths.take(more) > k + 1]
    return values


def join_groups(groups: Sequence[U8] | U8) -> Unsigned:
    """Return the values of varints that are equally long.

    Args:
        groups: Their first bytes, second bytes, and so on: uint8, shape (n,) each.

    Returns:
        As of `values_at`.
    """
    dtype = np.dtype({1: np.uint8, 2: np.uint16}.get(len(groups), np.uint64))
    values: Unsigned = (groups[0] & np.uint8(0x7F)).astype(dtype)
    for k, group in enumerate(groups[1:], 1):
        values |= (group & np.uint8(0x7F)).astype(dtype) << dtype.type(7 * k)
    return values


def split_groups(values: U64, out: U8) -> None:
    """Write values as varints that are equally long: the inverse of `join_groups`.

    Args:
        values: uint64, shape (n,).
        out: uint8, shape (n_groups, n); written to.
    """
    last = len(out) - 1
    for k, group in enumerate(out):
        if k < last:
            np.bitwise_or(values >> np.uint64(7 * k), np.uint64(0x80), out=group, casting="unsafe")
        else:
            group[:] = values >> np.uint64(7 * k)


def varint_windows(data: U8, start: int, stop: int, nbytes: int) -> list[tuple[int, int]]:
    """Cut varints that lie end to end into windows of about `nbytes`, between two varints.

    Args:
        data: uint8, shape (n_bytes,).
        start: Where the first varint begins.
        stop: Where the last one ends.
        nbytes: Aim for a window's length, at least 10.

    Returns:
        (start, stop) of each window. The last one takes what is left, cut varints included.
    """
    windows = []
    while stop - start > nbytes:
        tail = data[start + nbytes - 10 : start + nbytes]
        ends = (tail < 0x80).nonzero()[0]
        if not ends.size:
            raise FormatError("a packed varint passes ten bytes", offset=start + nbytes - 10)
        end = start + nbytes - 10 + int(ends[-1]) + 1
        windows.append((start, end))
        start = end
    if start < stop:
        windows.append((start, stop))
    return windows


def fail_truncated(offset: np.int64 | int) -> NoReturn:
    """Raise the error for a record that is cut."""
    raise FormatError(
        "a record passes the end of the message that holds it; the file is truncated, damaged "
        "or not a ModelProto",
        offset=int(offset),
    )
