"""Payload values in chunks: how the values of one storage are cut into clusters. FORMAT.md §5.3.

All values of one storage lie end to end in the order of their payloads. Cluster number j holds the
values from ``j * n`` on, where n values take `_spec.CHUNK_NBYTES`; its rows are the payloads, or
parts of payloads, that fall into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._dtypes import STORAGES, Storage
from onnxroot._ragged import distinct, exclusive_sum, gather
from onnxroot._schema import Schema
from onnxroot._spans import Buffers, from_wire
from onnxroot._spec import CHUNK_NBYTES
from onnxroot._varints import read_varint_stream, varint_windows
from onnxroot._wire import VARINT
from onnxroot.tables import Column, Payloads

__all__ = ["Chunks", "cut", "labels", "storages_of", "values_of", "values_per_cluster"]

I64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

_WINDOW = 1 << 20


@dataclass(frozen=True, slots=True)
class Chunks:
    """The rows of one cluster; every array has shape (n_rows,).

    Attributes:
        payload: Number of the payload.
        offset: int64; which of the payload's values is the row's first.
        n_values: int64; how many values the row holds.
    """

    payload: Rows
    offset: I64
    n_values: I64


def values_per_cluster(storage: Storage) -> int:
    """Return how many values a full cluster holds."""
    return CHUNK_NBYTES // storage.dtype.itemsize


def cut(payloads: Payloads, storage: Storage) -> Iterator[Chunks]:
    """Yield the clusters of one storage, in order."""
    which = np.flatnonzero(payloads.storage == storage.code)
    n_values = payloads.n_values[which]
    first = exclusive_sum(n_values)
    total = int(n_values.sum())
    step = values_per_cluster(storage)
    for begin in range(0, total, step):
        end = min(begin + step, total)
        lo = int(np.searchsorted(first, begin, "right")) - 1
        hi = int(np.searchsorted(first, end, "left"))
        start = np.maximum(first[lo:hi], begin)
        stop = np.minimum(first[lo:hi] + n_values[lo:hi], end)
        yield Chunks(which[lo:hi], start - first[lo:hi], stop - start)


def labels(chunks: Chunks, payloads: Payloads, names: Column) -> dict[str, Column]:
    """Return the columns that say whose values a cluster holds: FORMAT §5.3.

    Args:
        chunks: The rows of the cluster.
        payloads: All payloads.
        names: Names of all tensors.

    Returns:
        ``tensor``, ``name``, ``offset``, and under ``values`` where each row's values end.
    """
    tensor = payloads.tensor[chunks.payload]
    known = tensor >= 0
    start, length = np.zeros((2, len(tensor)), np.int64)
    start[known] = names.offsets[0][tensor[known]]
    length[known] = names.offsets[0][tensor[known] + 1] - start[known]
    text = gather(names.values, start, length)
    return {
        "tensor": Column((), tensor),
        "name": Column((_ends(length),), text, is_text=True),
        "offset": Column((), chunks.offset.astype(np.uint64)),
        "values": Column((), _ends(chunks.n_values)),
    }


def _ends(lengths: I64) -> I64:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def values_of(
    schema: Schema, payloads: Payloads, buffers: Buffers, storage: Storage
) -> Iterator[tuple[Chunks, npt.NDArray[Any]]]:
    """Yield the clusters of one storage with their values.

    Args:
        schema: The message types.
        payloads: All payloads.
        buffers: Their bytes.
        storage: Which storage.

    Yields:
        The rows of a cluster, and their values end to end: a view of `buffers` where it can be.
    """
    coded = np.array([f.wire_type == VARINT for _, f in schema.fields], np.bool_)
    cursor = _Cursor(buffers)
    for chunks in cut(payloads, storage):
        is_coded = coded[payloads.field[chunks.payload]]
        if not np.any(is_coded):
            yield chunks, _raw(buffers, chunks, storage)
            continue
        values = np.empty(int(chunks.n_values.sum()), storage.dtype)
        target = exclusive_sum(chunks.n_values)
        raw = np.flatnonzero(~is_coded)
        if len(raw):
            some = Chunks(chunks.payload[raw], chunks.offset[raw], chunks.n_values[raw])
            index = np.repeat(target[raw] - exclusive_sum(some.n_values), some.n_values)
            values[index + np.arange(len(index))] = _raw(buffers, some, storage)
        _decode(schema, payloads, cursor, chunks, np.flatnonzero(is_coded), target, values)
        yield chunks, values


def _raw(buffers: Buffers, chunks: Chunks, storage: Storage) -> npt.NDArray[Any]:
    """Return values that lie in the buffers as they are."""
    size = storage.dtype.itemsize
    spans = buffers.spans
    number = spans.buffer[chunks.payload]
    start = spans.start[chunks.payload] + chunks.offset * size
    nbytes = chunks.n_values * size
    if not np.any(number != number[0]):
        return gather(buffers.arrays[int(number[0])], start, nbytes).view(storage.dtype)
    runs = np.split(np.arange(len(number)), np.flatnonzero(np.diff(number)) + 1)
    parts = [gather(buffers.arrays[int(number[r[0]])], start[r], nbytes[r]) for r in runs]
    return np.concatenate(parts).view(storage.dtype)


class _Cursor:
    """Remembers where the values of a payload go on that a cluster had to leave."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.payload = -1
        self.position = 0

    def seek(self, payload: int, offset: int) -> int:
        """Return where value `offset` of a payload begins; offsets of one payload ascend."""
        if payload != self.payload or offset == 0:
            self.payload = payload
            self.position = int(self.buffers.spans.start[payload])
        return self.position


def _decode(
    schema: Schema,
    payloads: Payloads,
    cursor: _Cursor,
    chunks: Chunks,
    rows: Rows,
    target: I64,
    values: npt.NDArray[Any],
) -> None:
    """Decode the varints of some rows of a cluster into `values`, in place."""
    buffers = cursor.buffers
    spans = buffers.spans
    payload = chunks.payload[rows]
    whole = chunks.n_values[rows] == payloads.n_values[payload]
    whole &= spans.nbytes[payload] <= _WINDOW
    group = payloads.field[payload].astype(np.int64) << 32 | spans.buffer[payload]
    for key in distinct(group[whole]).tolist():
        here = np.flatnonzero(whole & (group == key))
        item = schema.fields[key >> 32][1]
        array = buffers.arrays[key & 0xFFFFFFFF]
        blocks = np.cumsum(spans.nbytes[payload[here]]) // _WINDOW
        for some in np.split(here, np.flatnonzero(np.diff(blocks)) + 1):
            piece = payload[some]
            wire, _ = read_varint_stream(gather(array, spans.start[piece], spans.nbytes[piece]))
            counts = chunks.n_values[rows[some]]
            index = np.repeat(target[rows[some]] - exclusive_sum(counts), counts)
            values[index + np.arange(len(index))] = from_wire(item, wire).astype(values.dtype)
    for i in np.flatnonzero(~whole).tolist():
        row = int(rows[i])
        number = int(payload[i])
        item = schema.fields[int(payloads.field[number])][1]
        array = buffers.arrays[int(spans.buffer[number])]
        position = cursor.seek(number, int(chunks.offset[row]))
        done, wanted = int(target[row]), int(target[row] + chunks.n_values[row])
        stop = int(spans.start[number] + spans.nbytes[number])
        while done < wanted:
            a, b = varint_windows(array, position, min(stop, position + _WINDOW + 10), _WINDOW)[0]
            if b < stop:
                b = a + int(np.flatnonzero(array[a:b] < 0x80)[-1]) + 1
            wire, widths = read_varint_stream(array[a:b])
            n = min(len(wire), wanted - done)
            values[done : done + n] = from_wire(item, wire[:n]).astype(values.dtype)
            done += n
            position += int(widths[:n].sum())
        cursor.position = position


def storages_of(payloads: Payloads) -> list[Storage]:
    """Return the storages that have values, in the order of their codes."""
    return [STORAGES[code] for code in distinct(payloads.storage).tolist()]
