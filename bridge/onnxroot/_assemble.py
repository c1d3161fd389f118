"""Parts that were read, put together: tables in the order of the canonical form."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._layout import lay_out, payload_records
from onnxroot._ragged import concatenate, distinct, gather
from onnxroot._records import LongColumn, Records
from onnxroot._schema import Field, MessageType, Schema
from onnxroot._spans import Spans
from onnxroot._spec import PAYLOAD_FIELDS, ROOT_MESSAGE
from onnxroot.tables import NO_ROW, Column, Payloads, Table, Tables

__all__ = ["Part", "Parts", "inverted", "offsets_of"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]


@dataclass(slots=True)
class Part:
    """What a batch was found to hold.

    `found` has the columns by field name, one tuple of arrays each: (values,) for numbers,
    (start, length) in the file for text, (counts, values) for repeated numbers, (counts, start,
    length) for repeated text, (counts, `Records`) for many of either.
    """

    start: I64
    parent: I64
    parent_field: npt.NDArray[np.uint16]
    presence: npt.NDArray[np.uint64]
    found: dict[str, tuple[Any, ...]] = field(default_factory=dict)


class Parts:
    """Everything that was read of one file."""

    def __init__(self, data: U8, schema: Schema, depth: int) -> None:
        """Begin with nothing.

        Args:
            data: The file, which text is copied from.
            schema: The message types.
            depth: How deep messages may nest.
        """
        self._data = data
        self._depth = depth
        self._schema = schema
        self._parts: dict[str, list[Part]] = defaultdict(list)
        self._n_rows: dict[str, int] = defaultdict(int)
        self._spans: dict[int, list[Spans]] = defaultdict(list)

    def add(self, name: str, part: Part) -> int:
        """Add messages of one type; return the row of the first."""
        base = self._n_rows[name]
        self._n_rows[name] += len(part.presence)
        self._parts[name].append(part)
        return base

    def add_spans(self, code: int, spans: Spans) -> None:
        """Add payloads of the field with that code."""
        self._spans[code].append(spans)

    def file_order(self) -> dict[str, Rows]:
        """Return the rows of each type by where they stand in a file in canonical form."""
        order = {}
        for name, parts in self._parts.items():
            start = np.concatenate([part.start for part in parts])
            order[name] = np.argsort(start, kind="stable")
        return order

    def canonical_order(self) -> dict[str, Rows]:
        """Return the rows of each type by where they stand in the canonical form of any file."""
        tables, _ = self.assemble({name: np.arange(n) for name, n in self._n_rows.items()})
        placed = lay_out(tables).placed
        return {name: np.argsort(placed[name].start, kind="stable") for name in placed}

    def assemble(
        self, order: dict[str, Rows], *, in_file_order: bool = False
    ) -> tuple[Tables, Spans]:
        """Make tables of the parts.

        Args:
            order: The rows of each type in the order they are to have.
            in_file_order: The file is in canonical form, so its payloads are in order.

        Returns:
            The tables, and where the payloads lie.
        """
        inverse = {name: inverted(rows) for name, rows in order.items()}
        tables = {
            kind.name: self._assemble_table(kind, order[kind.name], inverse)
            for kind in self._schema
            if kind.name in self._parts
        }
        found: list[Payloads] = []
        spans: list[Spans] = []
        for code, parts in self._spans.items():
            joined = Spans.concatenate(parts)
            message, item = self._schema.fields[code]
            name = message.name
            is_elements = (name, item.name) in PAYLOAD_FIELDS
            joined = replace(joined, row=inverse[name][joined.row])
            n = len(joined.row)
            spans.append(joined)
            found.append(
                Payloads(
                    field=np.full(n, code, np.uint16),
                    row=joined.row,
                    storage=joined.storage,
                    n_values=joined.n_values,
                    nbytes=joined.nbytes,
                    tensor=joined.row if is_elements else np.full(n, -1),
                )
            )
        payloads = Payloads.concatenate(found) if found else Payloads.empty()
        span = Spans.concatenate(spans) if spans else Spans.empty()
        unsorted = Tables(schema=self._schema, tables=tables, payloads=payloads, depth=self._depth)
        if found:
            position = span.start
            if not in_file_order:
                position = payload_records(unsorted, lay_out(unsorted))
            placed = np.argsort(position, kind="stable")
            payloads, span = payloads.select(placed), span.select(placed)
        return replace(unsorted, payloads=payloads), span

    def _assemble_table(self, kind: MessageType, order: Rows, inverse: dict[str, Rows]) -> Table:
        parts = self._parts[kind.name]
        n = self._n_rows[kind.name]
        parent = np.concatenate([part.parent for part in parts])
        codes = np.concatenate([part.parent_field for part in parts])
        if kind.name != ROOT_MESSAGE:
            for code in distinct(codes).tolist():
                here = codes == code
                parent[here] = inverse[self._schema.fields[code][0].name][parent[here]]
        parents = parent.astype(np.uint64)
        parents[parent < 0] = np.uint64(NO_ROW)
        found = {name for part in parts for name, arrays in part.found.items() if len(arrays[-1])}
        columns = {
            item.name: self._assemble_column(item, parts, order)
            for item in kind.fields
            if item.name in found
        }
        return Table(
            n_rows=n,
            parent=parents[order],
            parent_field=codes[order],
            presence=np.concatenate([part.presence for part in parts])[order],
            columns=columns,
        )

    def _assemble_column(self, item: Field, parts: list[Part], order: Rows) -> Column:
        """Join what the parts found of one field; parts that found none have it empty."""
        rows = [np.zeros(len(part.presence), np.int64) for part in parts]
        empty = np.empty(0, np.int64)

        def found_in(default: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
            return [
                part.found.get(item.name, none) for part, none in zip(parts, default, strict=True)
            ]

        def joined(default: list[tuple[Any, ...]], k: int) -> npt.NDArray[Any]:
            return concatenate([values[k] for values in found_in(default)])

        if not item.is_repeated and not item.is_text:
            return Column((), joined([(row.astype(item.dtype),) for row in rows], 0)[order])
        if not item.is_repeated:
            start, length = (joined([(row, row) for row in rows], k)[order] for k in range(2))
            return Column((offsets_of(length),), gather(self._data, start, length), is_text=True)
        default = [(row, empty.astype(item.dtype), empty) for row in rows]
        if item.is_text:
            default = [(row, empty, empty) for row in rows]
        counts = joined(default, 0)
        index = _list_order(counts, order)
        offsets = offsets_of(counts[order])
        some = [found for found in found_in(default) if len(found[-1])]
        if index is None and all(isinstance(found[-1], Records) for found in some):
            return LongColumn(offsets, Records.concatenate([found[-1] for found in some]))
        for part in parts:
            _unpack(part, item)
        if not item.is_text:
            values = joined(default, 1)
            return Column((offsets,), values if index is None else values[index])
        start, length = joined(default, 1), joined(default, 2)
        if index is not None:
            start, length = start[index], length[index]
        return Column(
            (offsets, offsets_of(length)), gather(self._data, start, length), is_text=True
        )


def _unpack(part: Part, item: Field) -> None:
    """Make arrays of the records that a part has of a field."""
    counts, *rest = part.found.get(item.name, (None,))
    if not rest or not isinstance(rest[-1], Records):
        return
    records = rest[-1]
    arrays = records.places() if item.is_text else (records.numbers(0, len(records)),)
    part.found[item.name] = (counts, *arrays)


def inverted(order: Rows) -> Rows:
    """Return the new place of each row that an order moves."""
    inverse = np.empty(len(order), np.intp)
    inverse[order] = np.arange(len(order))
    return inverse


def offsets_of(lengths: I64) -> I64:
    """Return offsets of lists of these lengths: int64, shape (n + 1,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _list_order(counts: I64, order: Rows) -> Rows | None:
    """Return where the elements of lists are found once the lists are put in order."""
    if not (order[1:] < order[:-1]).any():
        return None
    start = np.cumsum(counts) - counts
    lengths = counts[order]
    base = np.repeat(start[order] - (np.cumsum(lengths) - lengths), lengths)
    return base + np.arange(len(base))
