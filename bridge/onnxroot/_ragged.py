"""Pieces of arrays, many at once: gathered, scattered, counted.

Pieces are given by where they begin and how long they are: int64 arrays of shape (n,).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot import _kernels

__all__ = [
    "are_equal",
    "concatenate",
    "distinct",
    "exclusive_sum",
    "gather",
    "group_starts",
    "scatter",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

_BLOCK = 1 << 20  # bytes that are moved at a time: bounds the memory that it takes
_LONG = 1 << 11  # bytes of a piece that is copied alone
_MANY = 32  # pieces of one length that are faster copied at once


def are_equal(a: U8, b: U8) -> bool:
    """Return whether two arrays hold the same bytes."""
    if _kernels.available():
        return _kernels.are_equal(a, b)
    words = len(a) - len(a) % 8  # eight bytes at a time
    return np.array_equal(a[:words].view(np.uint64), b[:words].view(np.uint64)) and np.array_equal(
        a[words:], b[words:]
    )


def concatenate(parts: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Concatenate, without a copy when there is only one part."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def exclusive_sum(lengths: I64) -> I64:
    """Return where each piece begins when pieces of these lengths are laid end to end."""
    return np.cumsum(lengths) - lengths


def distinct(values: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
    """Return the distinct values, sorted; `numpy.unique` would import 25 ms more of NumPy."""
    ordered = np.sort(values)
    return ordered[group_starts(ordered)]


def group_starts(keys: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
    """Return where runs of equal keys begin: bool, shape of `keys`."""
    first = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    return first


def gather(data: U8, start: I64, length: I64) -> U8:
    """Return the pieces ``data[start:start + length]`` end to end.

    Args:
        data: uint8, shape (n_bytes,).
        start: int64, shape (n,).
        length: int64, shape (n,).

    Returns:
        uint8, shape (sum of lengths,); a view of `data` where the pieces lie end to end there.
    """
    if not len(start):
        return np.empty(0, np.uint8)
    if len(start) == 1 or not (start[1:] != start[:-1] + length[:-1]).any():
        return data[int(start[0]) : int(start[0] + length.sum())]
    out = np.empty(int(length.sum()), np.uint8)
    _move(out, None, data, start, length)
    return out


def scatter(out: U8, start: I64, length: I64, data: U8) -> None:
    """Write consecutive pieces of `data`, of these lengths, at each start of `out`, in place."""
    if len(start):
        _move(out, start, data, None, length)


def _move(out: U8, target: I64 | None, data: U8, source: I64 | None, length: I64) -> None:
    """Copy pieces.

    Args:
        out: uint8, shape (n_bytes,); written to.
        target: int64, shape (n,); where each begins in `out`; None if they lie end to end.
        data: uint8, shape (n_bytes,).
        source: int64, shape (n,); where each begins in `data`; None if they lie end to end.
        length: int64, shape (n,).
    """
    if _kernels.available():
        _kernels.move_pieces(out, target, data, source, length)
        return
    packed = exclusive_sum(length)
    target = packed if target is None else target
    source = packed if source is None else source
    for lo, hi in _blocks(packed, int(packed[-1] + length[-1])):
        here = slice(lo, hi)
        sizes = _few_sizes(length[here])
        if sizes is None:
            _move_one_by_one(out, target[here], data, source[here], length[here])
        else:
            _move_by_size(out, target[here], data, source[here], length[here], sizes)


def _few_sizes(length: I64) -> list[int] | None:
    """Return the distinct lengths but 0, if they are few among many."""
    if len(length) < _MANY or int(length.max()) >= _LONG:
        return None
    sizes = np.bincount(length).nonzero()[0].tolist()
    return [size for size in sizes if size] if len(sizes) * _MANY <= len(length) else None


def _move_one_by_one(out: U8, target: I64, data: U8, source: I64, length: I64) -> None:
    for s, t, n in zip(source.tolist(), target.tolist(), length.tolist(), strict=True):
        out[t : t + n] = data[s : s + n]


def _move_by_size(
    out: U8, target: I64, data: U8, source: I64, length: I64, sizes: list[int]
) -> None:
    """Copy all pieces of one length at once, as values of that size that begin at any byte."""
    for size in sizes:
        here = (length == size).nonzero()[0]
        _at_any_byte(out, size)[target[here]] = _at_any_byte(data, size)[source[here]]


def _at_any_byte(data: U8, size: int) -> npt.NDArray[np.void]:
    return np.ndarray((len(data) - size + 1,), np.dtype((np.void, size)), data, strides=(1,))


def _blocks(offset: I64, total: int) -> list[tuple[int, int]]:
    """Cut pieces that begin at `offset` into blocks of about a mebibyte each."""
    if total <= _BLOCK:
        return [(0, len(offset))]
    cuts = np.searchsorted(offset, np.arange(_BLOCK, total, _BLOCK))
    edges = distinct(np.concatenate([[0], cuts, [len(offset)]])).tolist()
    return list(pairwise(edges))
