"""Varints, many at once.

Source: https://protobuf.dev/programming-guides/encoding/#varints
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import numpy.typing as npt

from onnxroot._ragged import exclusive_sum
from onnxroot.errors import FormatError

__all__ = [
    "decode_varints",
    "encode_varints",
    "fail_truncated",
    "read_varint_stream",
    "varint_widths",
    "varint_windows",
    "write_varints",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


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
    if np.any(start >= stop):
        fail_truncated(start[start >= stop][0])
    byte = data[start]
    values = byte.astype(np.uint64)
    widths = np.ones(len(start), np.int64)
    minimal = True
    more = np.flatnonzero(byte >= 0x80)
    if not more.size:
        return values, widths, minimal
    values[more] &= np.uint64(0x7F)
    position, limit = start[more], stop[more]
    for k in range(1, 10):
        position = position + 1
        if np.any(position >= limit):
            fail_truncated(start[more[position >= limit][0]])
        byte = data[position]
        values[more] |= (byte & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * k)
        last = byte < 0x80
        minimal = minimal and not np.any(last & ((byte == 0) | ((byte > 1) & (k == 9))))
        widths[more] = k + 1
        more, position, limit = more[~last], position[~last], limit[~last]
        if not more.size:
            return values, widths, minimal
    raise FormatError(
        "a varint passes ten bytes; this is not a ModelProto, or it is damaged",
        offset=int(start[more[0]]),
    )


def varint_widths(values: U64) -> I64:
    """Return the bytes each value takes as a minimal varint: int64, shape of `values`."""
    widths = np.ones(values.shape, np.int64)
    largest = int(values.max()) if values.size else 0
    for k in range(1, 10):
        if largest < 1 << (7 * k):
            break
        widths += values >= np.uint64(1 << (7 * k))
    return widths


def write_varints(out: U8, start: I64, values: U64, widths: I64) -> None:
    """Write each value as a varint of the given width at its start, in place."""
    if not len(values):
        return
    widest = int(widths.max())
    if widest == 1:
        out[start] = values.astype(np.uint8)
        return
    for k in range(widest):
        here = widths > k
        byte = ((values[here] >> np.uint64(7 * k)) & np.uint64(0x7F)).astype(np.uint8)
        byte |= (widths[here] > k + 1).astype(np.uint8) << np.uint8(7)
        out[start[here] + k] = byte


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
    ends = np.flatnonzero(stream < 0x80).astype(np.int64) + 1
    if (ends[-1] if ends.size else 0) != len(stream):
        raise FormatError("a packed varint is cut at the end", offset=len(stream))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if ends.size else ends
    widths = ends - starts
    if ends.size and int(widths.max()) > 10:
        raise FormatError(
            "a packed varint passes ten bytes", offset=int(starts[np.argmax(widths > 10)])
        )
    values = (stream[starts] & np.uint8(0x7F)).astype(np.uint64)
    more = np.flatnonzero(widths > 1)
    k = 1
    while more.size:
        byte = (stream[starts[more] + k] & np.uint8(0x7F)).astype(np.uint64)
        values[more] |= byte << np.uint64(7 * k)
        k += 1
        more = more[widths[more] > k]
    return values, widths


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
        ends = np.flatnonzero(tail < 0x80)
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
