"""Pieces of arrays, many at once: gathered, scattered, counted.

Pieces are given by where they begin and how long they are: int64 arrays of shape (n,).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["concatenate", "distinct", "exclusive_sum", "gather", "group_starts", "scatter"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

_BLOCK = 1 << 20  # bytes moved per block of a ragged copy: bounds the index array to 8 MiB
_LONG = 512  # mean piece length from which copying slices beats indexing bytes


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
    if len(start) == 1 or not np.any(start[1:] != start[:-1] + length[:-1]):
        return data[int(start[0]) : int(start[0] + length.sum())]
    out = np.empty(int(length.sum()), np.uint8)
    target = exclusive_sum(length)
    if len(out) > _LONG * len(start):
        for s, t, n in zip(start.tolist(), target.tolist(), length.tolist(), strict=True):
            out[t : t + n] = data[s : s + n]
        return out
    for lo, hi in _blocks(target, len(out)):
        index = _ragged_index(start[lo:hi], length[lo:hi])
        first = int(target[lo])
        out[first : first + len(index)] = data[index]
    return out


def scatter(out: U8, start: I64, length: I64, data: U8) -> None:
    """Write consecutive pieces of `data`, of these lengths, at each start of `out`, in place."""
    if not len(start):
        return
    source = exclusive_sum(length)
    if len(data) > _LONG * len(start):
        for s, t, n in zip(source.tolist(), start.tolist(), length.tolist(), strict=True):
            out[t : t + n] = data[s : s + n]
        return
    for lo, hi in _blocks(source, len(data)):
        index = _ragged_index(start[lo:hi], length[lo:hi])
        first = int(source[lo])
        out[index] = data[first : first + len(index)]


def _ragged_index(start: I64, length: I64) -> I64:
    """Return the positions of all bytes of all pieces: int64, shape (sum of lengths,)."""
    index = np.repeat(start - exclusive_sum(length), length)
    index += np.arange(len(index), dtype=np.int64)
    return index


def _blocks(offset: I64, total: int) -> list[tuple[int, int]]:
    """Cut pieces that begin at `offset` into blocks of about a mebibyte each."""
    if total <= _BLOCK:
        return [(0, len(offset))]
    cuts = np.searchsorted(offset, np.arange(_BLOCK, total, _BLOCK))
    edges = distinct(np.concatenate([[0], cuts, [len(offset)]])).tolist()
    return list(pairwise(edges))
