"""ONNX bytes to tables: the mirror image of `_join`.

Messages are read generation by generation: all messages of one type at one depth in one scan. What
is found goes to columns and spans; only when all messages are known are strings copied, in the
order of the canonical form.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._assemble import Part, Parts, inverted, offsets_of
from onnxroot._layout import wire_values
from onnxroot._limits import DEFAULT_LIMITS, too_deep
from onnxroot._memory import reuse_memory
from onnxroot._overlap import in_order
from onnxroot._ragged import distinct, exclusive_sum, gather, group_starts
from onnxroot._records import records_in
from onnxroot._runs import Run, read_numbers, read_texts
from onnxroot._schema import Field, MessageType, Schema
from onnxroot._spans import Buffers, Span, check_whole, find_spans, from_wire, read_pieces
from onnxroot._spec import PAYLOAD_FIELDS, ROOT_MESSAGE, SPILL_NBYTES, TENSOR
from onnxroot._wire import LEN, VARINT, Tokens, scan
from onnxroot.errors import FormatError
from onnxroot.tables import Tables

__all__ = ["Split", "Trace", "split"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

_LARGE = 1 << 20  # bytes of values that are worth several threads


@dataclass(frozen=True, slots=True)
class Split:
    """What `split` found.

    Attributes:
        tables: The model; `Tables.deviation` is not known yet.
        buffers: The values of its payloads.
        trace: Where every record stands in the file, if it is not in canonical form, else None.
    """

    tables: Tables
    buffers: Buffers
    trace: list[Trace] | None


@dataclass(frozen=True, slots=True)
class Trace:
    """Records of one field that the tables hold, by where they stand in the file.

    Attributes:
        message: The message type whose field it is.
        field: The field; for one that holds messages, tag and length stand for the record.
        rows: int64, shape (n,); row in the table of `message`.
        index: int64, shape (n,); which of the row's values, for repeated fields.
        start: int64, shape (n,); where the record begins.
        value_start: int64, shape (n,); where its value begins.
        stop: int64, shape (n,); where it ends.
        copied: For payloads, what can be copied of their values.
    """

    message: str
    field: Field
    rows: I64
    index: I64
    start: I64
    value_start: I64
    stop: I64
    copied: list[Span]


@dataclass(slots=True)
class _Batch:
    """Messages of one type at one depth: pieces of bytes, and the row each belongs to."""

    start: I64
    stop: I64
    row: I64
    parent: I64
    parent_field: npt.NDArray[np.uint16]


def split(data: U8, schema: Schema, depth: int = DEFAULT_LIMITS.depth) -> Split:
    """Turn the bytes of an ONNX file into tables.

    Args:
        data: uint8, shape (n_bytes,); the file. Payloads stay views of it.
        schema: The message types; fields that it doesn't know are left to the deviation.
        depth: How deep messages may nest.

    Returns:
        The tables, the payloads, and the trace that the deviation is found from.

    Raises:
        FormatError: The bytes are no ModelProto; the message begins with the byte offset.
    """
    reuse_memory()
    reader = _Reader(data, schema, depth, trace=False)
    reader.read()
    if reader.canonical:
        tables, reader.buffers.spans = reader.parts.assemble(
            reader.parts.file_order(), in_file_order=True
        )
        return Split(tables, reader.buffers, None)
    reader = _Reader(data, schema, depth, trace=True)
    reader.read()
    order = reader.parts.canonical_order()
    tables, reader.buffers.spans = reader.parts.assemble(order)
    return Split(tables, reader.buffers, reader.traced(order))


class _Reader:
    """Reads one file; the state of `split`."""

    def __init__(self, data: U8, schema: Schema, depth: int, *, trace: bool) -> None:
        self.data = data
        self.depth = depth
        self.schema = schema
        self.buffers = Buffers(data)
        self.canonical = True
        self.parts = Parts(data, schema, depth)
        self.trace: list[Trace] | None = [] if trace else None

    # --- reading -------------------------------------------------------------------------------

    def read(self) -> None:
        """Read all messages, generation by generation; or find out that a trace is needed."""
        zero = np.zeros(1, np.int64)
        root = _Batch(
            start=zero,
            stop=np.array([len(self.data)]),
            row=zero,
            parent=np.array([-1]),
            parent_field=np.zeros(1, np.uint16),
        )
        generation = {ROOT_MESSAGE: [root]}
        depth = 0
        while generation:
            if depth > self.depth:
                first = min(int(b.start.min()) for batches in generation.values() for b in batches)
                raise FormatError(too_deep(self.depth), offset=first)
            children: dict[str, list[_Batch]] = defaultdict(list)
            for name, batches in generation.items():
                self._read_batch(self.schema[name], _merge(batches), children)
                if self.trace is None and not self.canonical:
                    return  # to be read anew, with a trace
            generation = children
            depth += 1

    def _read_batch(
        self, kind: MessageType, batch: _Batch, children: dict[str, list[_Batch]]
    ) -> None:
        tokens, canonical = scan(
            self.data, batch.start, batch.stop, kind.rules, joined=self.trace is None
        )
        n = len(batch.parent)
        self.canonical &= canonical and len(batch.row) == n
        if self.trace is None and not self.canonical:
            return
        rows = batch.row[tokens.message]
        tokens, rows = self._drop_overridden(kind, tokens, rows)
        first = np.searchsorted(batch.row, np.arange(n))
        part = Part(batch.start[first], batch.parent, batch.parent_field, np.zeros(n, np.uint64))
        base = self.parts.add(kind.name, part)
        in_pieces = len(batch.row) > n
        occurring = set(distinct(tokens.number).tolist())
        for item in kind.fields:
            if item.number not in occurring:
                continue
            index = (tokens.number == item.number).nonzero()[0]
            if in_pieces:
                index = index[np.lexsort((tokens.tag_start[index], rows[index]))]
            elif len(index) > 1 and (rows[index][1:] < rows[index][:-1]).any():
                index = index[np.argsort(rows[index], kind="stable")]
            found, at = tokens.select(index), rows[index]
            if item.is_message:
                children[item.type].append(self._children(item, found, at, base, kind.name))
            else:
                self._read_field(kind, item, part, found, at, base)

    def _drop_overridden(self, kind: MessageType, tokens: Tokens, rows: I64) -> tuple[Tokens, I64]:
        """Drop members of a oneof that a later, other member replaces."""
        for numbers in kind.oneofs:
            index = np.isin(tokens.number, numbers).nonzero()[0]
            if len(index) <= 1 or np.bincount(rows[index]).max() <= 1:
                continue
            index = index[np.lexsort((tokens.tag_start[index], rows[index]))]
            number, row = tokens.number[index], rows[index]
            last = np.append(row[1:] != row[:-1], True).nonzero()[0]
            group = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
            differs = np.where(number != number[last][group], np.arange(len(index)), -1)
            switch = np.maximum.reduceat(differs, np.append(0, last[:-1] + 1))
            dead = index[np.arange(len(index)) <= switch[group]]
            if len(dead):
                self.canonical = False
                keep = np.ones(len(rows), np.bool_)
                keep[dead] = False
                tokens, rows = tokens.select(keep.nonzero()[0]), rows[keep]
        return tokens, rows

    def _children(self, item: Field, tokens: Tokens, rows: I64, base: int, holder: str) -> _Batch:
        """Return the messages that a field holds as a batch of their own."""
        if item.is_repeated:
            child = np.arange(len(rows))
            parent = rows
        else:
            first = group_starts(rows)
            parent, child = rows[first], np.cumsum(first) - 1
        batch = _Batch(
            start=tokens.value_start,
            stop=tokens.value_end,
            row=child.astype(np.int64),
            parent=parent + base,
            parent_field=np.full(len(parent), item.code, np.uint16),
        )
        if self.trace is not None:
            self._note(holder, item, tokens, rows + base)
        return batch

    def _read_field(
        self, kind: MessageType, item: Field, part: Part, tokens: Tokens, rows: I64, base: int
    ) -> None:
        n = len(part.presence)
        copied: list[Span] = []
        if item.label == "optional":
            bit = np.uint64(1) << np.uint64(kind.optional.index(item))
            part.presence[rows] |= bit
        if (kind.name, item.name) in PAYLOAD_FIELDS:
            copied = self._read_payload(kind, item, part, tokens, rows, base)
        elif item.label != "optional":
            self._read_vector(item, part, tokens, rows, n)
        elif item.is_text:
            copied = self._read_text(kind, item, part, tokens, rows, base)
        else:
            values = np.zeros(n, item.dtype)
            values[rows] = self._numbers(item, tokens)
            part.found[item.name] = (values,)
        if self.trace is not None:
            self._note(kind.name, item, tokens, rows + base, copied)

    def _numbers(self, item: Field, tokens: Tokens) -> npt.NDArray[Any]:
        """Return the values of records that hold one number each."""
        if item.wire_type == VARINT:
            values = from_wire(item, tokens.value)
            self.canonical &= not (wire_values(item, values) != tokens.value).any()
            return values
        length = np.full(len(tokens.value), item.dtype.itemsize)
        return gather(self.data, tokens.value_start, length).copy().view(item.dtype)

    def _all_numbers(self, item: Field, tokens: Tokens) -> npt.NDArray[Any]:
        """Return the values of records that hold a number each, or a run of them."""
        read = partial(self._read_numbers, item)
        return _unrolled(tokens, [self._numbers(item, tokens)], read)[0]

    def _read_numbers(self, item: Field, run: Run, out: npt.NDArray[Any]) -> None:
        if item.wire_type != VARINT or item.type in {"int64", "uint64"}:  # any bits are a value
            read_numbers(self.data, run, out.view(f"<u{out.itemsize}"))
            return
        wire = np.empty(run.n_records, np.uint64)
        read_numbers(self.data, run, wire)
        out[:] = from_wire(item, wire)
        if (wire_values(item, out) != wire).any():
            self.canonical = False

    def _read_text(
        self, kind: MessageType, item: Field, part: Part, tokens: Tokens, rows: I64, base: int
    ) -> list[Span]:
        start, length = np.zeros((2, len(part.presence)), np.int64)
        start[rows] = tokens.value_start
        length[rows] = tokens.value_end - tokens.value_start
        copied: list[Span] = []
        if (length >= SPILL_NBYTES).any():
            large = (length[rows] >= SPILL_NBYTES).nonzero()[0]
            copied = self._read_payload(kind, item, part, tokens.select(large), rows[large], base)
            length[length >= SPILL_NBYTES] = 0
        part.found[item.name] = start, length
        return copied

    def _read_payload(
        self, kind: MessageType, item: Field, part: Part, tokens: Tokens, rows: I64, base: int
    ) -> list[Span]:
        data_type = None
        if kind.name == TENSOR:
            # data_type has a lower number than every payload field, so it is read already.
            none = (np.zeros(len(part.presence), np.int32),)
            data_type = part.found.get("data_type", none)[0].astype(np.int64)
        spans, copied = find_spans(self.buffers, item, tokens, rows, data_type)
        self.canonical &= not (spans.buffer != 0).any()
        if item.label == "packed":
            self.canonical &= bool((tokens.value_end > tokens.value_start).all())
        self.parts.add_spans(item.code, replace(spans, row=spans.row + base))
        return [Span(s.row + base, s.start, s.stop, s.offset) for s in copied]

    def _read_vector(self, item: Field, part: Part, tokens: Tokens, rows: I64, n: int) -> None:
        counts = np.zeros(n, np.int64)
        np.add.at(counts, rows, tokens.n_records)
        records = records_in(self.data, item, tokens) if self.trace is None else None
        if records:
            part.found[item.name] = counts, records
            return
        if item.is_text:
            single = [tokens.value_start, tokens.value_end - tokens.value_start]
            start, length = _unrolled(tokens, single, partial(read_texts, self.data))
            part.found[item.name] = counts, start, length
            return
        packed = tokens.wire_type == LEN
        if not packed.any():
            part.found[item.name] = counts, self._all_numbers(item, tokens)
            return
        length = tokens.value_end - tokens.value_start
        self.canonical &= bool((length > 0).all())
        check_whole(self.data, item, tokens, length)
        stream = gather(self.data, tokens.value_start, length)
        ends = np.cumsum(length)
        if item.wire_type == VARINT:
            wire, widths = read_pieces(stream, tokens.value_start, length)
            values = from_wire(item, wire)
            self.canonical &= not (wire_values(item, values) != wire).any()
            after = np.searchsorted(offsets_of(widths), ends)
        else:
            after = ends // item.dtype.itemsize
            values = stream.copy().view(item.dtype)
        counts[:] = 0
        np.add.at(counts, rows, np.diff(after, prepend=0))
        part.found[item.name] = counts, values

    def _note(
        self, name: str, item: Field, tokens: Tokens, rows: I64, copied: list[Span] | None = None
    ) -> None:
        """Note where records stand that the tables hold."""
        if self.trace is None:
            return
        first = group_starts(rows).nonzero()[0]
        index = np.arange(len(rows)) - np.repeat(first, np.diff(np.append(first, len(rows))))
        self.trace.append(
            Trace(
                name,
                item,
                rows,
                index,
                tokens.tag_start,
                tokens.value_start,
                tokens.value_end,
                copied or [],
            )
        )

    def traced(self, order: dict[str, Rows]) -> list[Trace]:
        """Return the trace, with rows in the given order."""
        inverse = {name: inverted(rows) for name, rows in order.items()}
        return [
            replace(
                trace,
                rows=inverse[trace.message][trace.rows],
                copied=[
                    Span(int(inverse[trace.message][s.row]), s.start, s.stop, s.offset)
                    for s in trace.copied
                ],
            )
            for trace in self.trace or []
        ]


def _unrolled(
    tokens: Tokens, single: list[npt.NDArray[Any]], read: Callable[..., None]
) -> list[npt.NDArray[Any]]:
    """Return arrays with a value for each record, not for each entry.

    Args:
        tokens: Entries of one record, or of a run of them.
        single: shape (n_entries,) each; the values of those of one record.
        read: Is given part of a run, and those places of the arrays that are its own; in any
            thread.
    """
    runs = (tokens.n_records > 1).nonzero()[0]
    if not len(runs):
        return single
    target = exclusive_sum(tokens.n_records.astype(np.int64))
    arrays = [np.empty(int(tokens.n_records.sum()), values.dtype) for values in single]
    for array, values in zip(arrays, single, strict=True):
        array[target] = values
    tasks = []
    for first, start in zip(target[runs].tolist(), tokens.tag_start[runs].tolist(), strict=True):
        stop = first
        for part in tokens.runs[start]:
            begin, stop = stop, stop + part.n_records
            tasks.append((part, *(array[begin:stop] for array in arrays)))
    apply = in_order if sum(array.nbytes for array in arrays) > _LARGE else map
    for _ in apply(lambda task: read(*task), tasks):
        pass
    return arrays


def _merge(batches: list[_Batch]) -> _Batch:
    """Join batches of one type, counting their rows on."""
    if len(batches) == 1:
        return batches[0]
    base = np.cumsum([0] + [len(b.parent) for b in batches[:-1]])
    return _Batch(
        start=np.concatenate([b.start for b in batches]),
        stop=np.concatenate([b.stop for b in batches]),
        row=np.concatenate([b.row + n for b, n in zip(batches, base, strict=True)]),
        parent=np.concatenate([b.parent for b in batches]),
        parent_field=np.concatenate([b.parent_field for b in batches]),
    )
