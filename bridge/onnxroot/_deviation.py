"""What the tables cannot say: the deviation of a file from the canonical form. FORMAT.md §7.

`dissect` is the whole way from ONNX bytes to tables. For a file in canonical form it is `split`
alone. For any other the trace of `split` gives, for every record that the tables hold, where it
stands in the file and where in the canonical form; these pieces are copied, what differs is
literal, and so every byte of the file comes back, whatever it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from onnxroot._edits import Edits
from onnxroot._join import Document, join
from onnxroot._layout import Layout, element_sizes, lay_out, payload_records
from onnxroot._limits import DEFAULT_LIMITS
from onnxroot._ragged import distinct, exclusive_sum
from onnxroot._schema import Schema, tag_of
from onnxroot._spans import Buffers, Span
from onnxroot._spec import CHUNK_NBYTES
from onnxroot._split import Split, Trace, split
from onnxroot._varints import decode_varints
from onnxroot._wire import LEN
from onnxroot.tables import Tables

__all__ = ["dissect"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

_SHORT = 8  # a copy of fewer bytes costs more than a literal


def dissect(data: U8, schema: Schema, depth: int = DEFAULT_LIMITS.depth) -> tuple[Tables, Buffers]:
    """Turn the bytes of an ONNX file into tables that give them back exactly.

    Args:
        data: uint8, shape (n_bytes,); the file. Payloads stay views of it.
        schema: The message types.
        depth: How deep messages may nest.

    Returns:
        The tables, deviation included, and the values of their payloads.

    Raises:
        FormatError: The bytes are no ModelProto; the message begins with the byte offset.
    """
    found = split(data, schema, depth)
    if found.trace is None:
        return found.tables, found.buffers
    document = join(found.tables, found.buffers)
    edits = _find_edits(data, found, found.trace, document)
    return replace(found.tables, deviation=edits.to_bytes()), found.buffers


def _find_edits(data: U8, found: Split, trace: list[Trace], canonical: Document) -> Edits:
    """Find the edits that make `data` of its canonical form."""
    start, stop, source = _pieces(found, trace, canonical)
    draft = Edits.of_pieces(start, stop, source, data)
    first = exclusive_sum(draft.copy_nbytes + draft.literal_nbytes)
    piece = _Pieces(first, draft.copy_nbytes, draft.copy_start)
    exact = piece.without(_mismatches(data, found, draft))
    keep = exact.length >= _SHORT
    begin = exact.start[keep]
    return Edits.of_pieces(begin, begin + exact.length[keep], exact.source[keep], data)


class _Pieces:
    """Pieces of the file that are thought to stand in the canonical form."""

    def __init__(self, start: I64, length: I64, source: I64) -> None:
        some = length > 0
        self.start, self.length, self.source = start[some], length[some], source[some]

    def without(self, ranges: tuple[I64, I64]) -> _Pieces:
        """Return what is left when byte ranges (begin, end) of the file are taken out."""
        begin, end = ranges
        cuts = distinct(np.concatenate([begin, end]))
        inside = (
            np.searchsorted(cuts, self.start, "right"),
            np.searchsorted(cuts, self.start + self.length, "left"),
        )
        extra = inside[1] - inside[0]
        which = np.repeat(np.arange(len(self.start)), extra + 1)
        rank = np.arange(len(which)) - np.repeat(exclusive_sum(extra + 1), extra + 1)
        padded = np.append(cuts, 0)
        a = np.where(rank == 0, self.start[which], padded[inside[0][which] + rank - 1])
        b = np.where(
            rank == extra[which],
            (self.start + self.length)[which],
            padded[np.minimum(inside[0][which] + rank, len(cuts))],
        )
        bad = np.searchsorted(end, a, "right")
        hit = bad < len(begin)
        hit[hit] &= begin[bad[hit]] <= a[hit]
        source = self.source[which] + a - self.start[which]
        return _Pieces(a[~hit], (b - a)[~hit], source[~hit])


def _mismatches(data: U8, found: Split, draft: Edits) -> tuple[I64, I64]:
    """Apply the draft, and return the byte ranges in which the result is not the file."""
    document = join(replace(found.tables, deviation=draft.to_bytes()), found.buffers)
    begins, ends = [], []
    for at in range(0, len(data), CHUNK_NBYTES):
        wanted = data[at : at + CHUNK_NBYTES]
        wrong = document.render(at, at + len(wanted)) != wanted
        edges = np.flatnonzero(np.diff(wrong, prepend=False, append=False)) + at
        begins.append(edges[0::2])
        ends.append(edges[1::2])
    none = [np.empty(0, np.int64)]
    return np.concatenate(begins or none), np.concatenate(ends or none)


def _pieces(found: Split, trace: list[Trace], canonical: Document) -> tuple[I64, I64, I64]:
    """Return (start, stop) in the file and source in the canonical form, in file order."""
    layout = lay_out(found.tables)
    shift = _Shift(found.tables, layout)
    parts: list[tuple[I64, I64, I64]] = []
    for one in trace:
        record = _records(found.tables, layout, one)
        known = np.flatnonzero(record >= 0)
        skeleton = record[known]
        behind = skeleton + len(tag_of(one.field))
        if one.field.record_type == LEN:
            limit = np.full(len(behind), len(canonical.skeleton))
            behind = behind + decode_varints(canonical.skeleton, behind, limit)[1]
        record = shift(skeleton)
        value = record + behind - skeleton
        start, middle, stop = one.start[known], one.value_start[known], one.stop[known]
        parts.append((start, middle, record))
        if not one.field.is_message:
            in_parts = np.isin(one.rows[known], [span.row for span in one.copied])
            parts.append((middle[~in_parts], stop[~in_parts], value[~in_parts]))
        by_row = dict(zip(one.rows[known].tolist(), value.tolist(), strict=True))
        parts += [_one_piece(span, by_row[span.row]) for span in one.copied]
    if not parts:
        none = np.empty(0, np.int64)
        return none, none, none
    start, stop, source = (np.concatenate([part[k] for part in parts]) for k in range(3))
    stop = np.minimum(stop, start + np.maximum(canonical.canonical_nbytes - source, 0))
    order = np.argsort(start, kind="stable")
    order = order[(stop > start)[order]]
    return start[order], stop[order], source[order]


def _one_piece(span: Span, value: int) -> tuple[I64, I64, I64]:
    start, stop, source = np.array([[span.start], [span.stop], [value + span.offset]])
    return start, stop, source


class _Shift:
    """Turns skeleton positions of records into positions in the canonical form."""

    def __init__(self, tables: Tables, layout: Layout) -> None:
        self._record = payload_records(tables, layout)
        self._before = np.concatenate([np.zeros(1, np.int64), np.cumsum(tables.payloads.nbytes)])

    def __call__(self, record: I64) -> I64:
        """Add the payloads of all records that begin before these."""
        shifted: I64 = record + self._before[np.searchsorted(self._record, record, "left")]
        return shifted


def _records(tables: Tables, layout: Layout, one: Trace) -> I64:
    """Return where the canonical records begin in the skeleton, -1 where there is none."""
    placed, item = layout.placed[one.message], one.field
    if item.name not in placed.relative:
        return np.full(len(one.rows), -1, np.int64)
    if item.is_message:
        return _headers(tables, layout, one)
    start = placed.start[one.rows] + placed.relative[item.name][one.rows]
    if item.label == "optional":
        return start
    if item.label == "packed":
        return np.where(placed.field_size[item.name][one.rows] > 0, start, -1)
    column = tables.tables[one.message].columns[item.name]
    first, last = column.offsets[0][one.rows], column.offsets[0][one.rows + 1]
    ends = exclusive_sum(np.append(element_sizes(item, column, 0, int(column.offsets[0][-1])), 0))
    element = np.minimum(first + one.index, len(ends) - 1)
    return np.where(first + one.index < last, start + ends[element] - ends[first], -1)


def _headers(tables: Tables, layout: Layout, one: Trace) -> I64:
    """Return where tag and length of messages begin in the skeleton, -1 for further pieces."""
    table, placed = tables.tables[one.field.type], layout.placed[one.field.type]
    held = np.flatnonzero(table.parent_field == one.field.code)
    held = held[np.argsort(table.parent[held], kind="stable")]
    parents = table.parent[held].astype(np.int64)
    which = np.searchsorted(parents, one.rows) + one.index
    known = which < len(held)
    known[known] = parents[which[known]] == one.rows[known]
    child = held[np.where(known, which, 0)]
    return np.where(known, placed.start[child] - placed.header_size[child], -1)
