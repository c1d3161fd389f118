"""Tables to ONNX bytes: the mirror image of `_split`.

`join` writes the skeleton, all bytes but those of the payloads, at once; a `Document` then renders
any range of the ONNX file, fetching payload values as it needs them, so that a file of any size
passes through in windows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from onnxroot._edits import Edits
from onnxroot._layout import (
    Placed,
    element_blocks,
    lay_out,
    present,
    row_sizes,
    text_lengths,
    wire_values,
)
from onnxroot._overlap import in_order
from onnxroot._ragged import distinct, exclusive_sum, gather, scatter
from onnxroot._records import LongColumn, Records
from onnxroot._runs import encode_fixed, encode_numbers, encode_texts
from onnxroot._schema import Field, tag_of
from onnxroot._spec import CHUNK_NBYTES, ROOT_MESSAGE
from onnxroot._varints import varint_widths, write_varints
from onnxroot._wire import LEN, VARINT
from onnxroot.errors import FormatError
from onnxroot.tables import Column, Tables

__all__ = ["Document", "PayloadSource", "join"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

_LARGE = 1 << 20  # bytes that are worth several threads
_LONG = 1 << 18  # bytes that are worth a window of their own
_NEAR = 1 << 12  # copies this close in the source are rendered together


class PayloadSource(Protocol):
    """Gives the bytes that payloads take in the ONNX file."""

    def wire_bytes(self, first: int, last: int) -> U8:
        """Return the bytes of the payloads from `first` up to `last`, end to end."""
        ...

    def wire_range(self, payload: int, start: int, stop: int) -> U8:
        """Return some of the bytes of one payload."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The records of one list, which go into the skeleton as a payload does.

    Attributes:
        position: Where, in the skeleton.
        message: Where the message that has the list begins there.
        records: Those of many lists.
        start: Where those of this one begin among the bytes of all.
        stop: Where they end.
    """

    position: int
    message: int
    records: Records
    start: int
    stop: int


class Document:
    """The bytes of an ONNX file, made on demand.

    Attributes:
        nbytes: Length of the file.
        canonical_nbytes: Length of the canonical form.
        skeleton: The canonical form without payloads and stretches.
    """

    def __init__(
        self,
        skeleton: U8,
        hole_start: I64,
        hole_nbytes: I64,
        source: PayloadSource,
        edits: bytes,
        stretches: Sequence[Stretch] = (),
    ) -> None:
        """Keep what `join` made.

        Args:
            skeleton: The canonical form without payloads and stretches.
            hole_start: int64, shape (n_payloads,); where each payload goes in the skeleton.
            hole_nbytes: int64, shape (n_payloads,); how long it is.
            source: Gives the bytes of payload i for hole i.
            edits: Encoded edits; empty if the file is in canonical form.
            stretches: What else goes into the skeleton; behind a payload that goes to the same
                place. Of those of one message, in this order.
        """
        self.skeleton = skeleton.view()
        self.skeleton.flags.writeable = False  # parts of it are given away
        self._source = source
        # A message may end with one, and the message around it go on with another.
        self._stretches = sorted(stretches, key=lambda each: (each.position, -each.message))
        self._stretch_holes: list[int] = []
        if self._stretches:
            position = np.array([stretch.position for stretch in self._stretches])
            holes = np.searchsorted(hole_start, position, "right")
            nbytes = [stretch.stop - stretch.start for stretch in self._stretches]
            hole_start = np.insert(hole_start, holes, position)
            hole_nbytes = np.insert(hole_nbytes, holes, nbytes)
            self._stretch_holes = (holes + np.arange(len(holes))).tolist()
        before = exclusive_sum(hole_nbytes)
        self._hole_in_skeleton = hole_start
        self._hole_start = hole_start + before
        self._hole_stop = self._hole_start + hole_nbytes
        self.canonical_nbytes = len(skeleton) + int(hole_nbytes.sum())
        self._edits = Edits.from_bytes(edits, self.canonical_nbytes) if edits else None
        self._edit_start = self._edits.out_start if self._edits else hole_start
        self.nbytes = self._edits.nbytes if self._edits else self.canonical_nbytes

    def windows(self, nbytes: int = CHUNK_NBYTES) -> Iterator[U8]:
        """Yield the whole file in order, in arrays of at most `nbytes`.

        What can be given away as it is, is not copied.
        """
        for first, last, piece in self._parts():
            for start in range(first, last, nbytes):
                stop = min(start + nbytes, last)
                if piece is None:
                    yield self.render(start, stop)
                else:
                    yield piece[start - first : stop - first]

    def _parts(self) -> Iterator[tuple[int, int, U8 | None]]:
        """Yield the parts of the file, in order: long payloads, long pieces of stretches, the rest.

        Yields:
            Where it begins and ends, and its bytes if it is a piece.
        """
        last = 0
        is_long = self._hole_stop - self._hole_start >= _LONG
        for hole in [] if self._edits else is_long.nonzero()[0].tolist():
            at, stop = int(self._hole_start[hole]), int(self._hole_stop[hole])
            yield last, at, None
            last = at
            for piece in self._pieces(hole, at, stop):
                if len(piece) >= _LONG:
                    yield last, at, None
                    last = at + len(piece)
                    yield at, last, piece
                at += len(piece)
            yield last, stop, None
            last = stop
        yield last, self.nbytes, None

    def render(self, start: int, stop: int) -> U8:
        """Return bytes `start` to `stop` of the file: a new array, or one not to be written to."""
        if self._edits is None:
            return self.render_canonical(start, stop)
        edits = self._edits
        first = int(np.searchsorted(self._edit_start, start, "right")) - 1
        last = int(np.searchsorted(self._edit_start, stop, "left"))
        here = slice(max(first, 0), last)
        out = np.empty(stop - start, np.uint8)
        begin = self._edit_start[here]
        middle = begin + edits.copy_nbytes[here]
        end = middle + edits.literal_nbytes[here]
        a, b = np.maximum(begin, start), np.minimum(middle, stop)
        self._copy(out, a - start, np.maximum(b - a, 0), edits.copy_start[here] + a - begin)
        a, b = np.maximum(middle, start), np.minimum(end, stop)
        literal_start = exclusive_sum(edits.literal_nbytes)[here] + a - middle
        length = np.maximum(b - a, 0)
        scatter(out, a - start, length, gather(edits.literals, literal_start, length))
        return out

    def _copy(self, out: U8, target: I64, length: I64, source: I64) -> None:
        """Copy pieces of the canonical form into `out`, rendering near ones together."""
        keep = (length > 0).nonzero()[0]
        order = keep[np.argsort(source[keep], kind="stable")]
        target, length, source = target[order], length[order], source[order]
        if not len(order):
            return
        reach = np.maximum.accumulate(source + length)
        is_far = source[1:] > reach[:-1] + _NEAR
        is_far |= source[1:] // CHUNK_NBYTES != source[:-1] // CHUNK_NBYTES  # bounds a piece
        far = is_far.nonzero()[0] + 1
        for lo, hi in zip([0, *far.tolist()], [*far.tolist(), len(order)], strict=True):
            base = int(source[lo])
            piece = self.render_canonical(base, int(np.max(source[lo:hi] + length[lo:hi])))
            bytes_ = gather(piece, source[lo:hi] - base, length[lo:hi])
            scatter(out, target[lo:hi], length[lo:hi], bytes_)

    def render_canonical(self, start: int, stop: int) -> U8:
        """Return bytes `start` to `stop` of the canonical form."""
        first = int(np.searchsorted(self._hole_stop, start, "right"))
        last = int(np.searchsorted(self._hole_start, stop, "left"))
        if first >= last:
            begin = self._to_skeleton(start, first)
            return self.skeleton[begin : begin + stop - start]
        if (
            last - first == 1
            and self._hole_start[first] <= start
            and stop <= self._hole_stop[first]
        ):
            [*pieces] = self._pieces(first, start, stop)
            pieces = pieces or [each for _, _, each in self._payload_runs(first, last, start, stop)]
            if len(pieces) == 1:
                return pieces[0]
        begin = self._to_skeleton(start, first)
        end = self._to_skeleton(stop, last - 1)
        edges = np.concatenate([[begin], self._hole_in_skeleton[first:last], [end]])
        np.clip(edges, begin, end, out=edges)
        length = np.diff(edges)
        hole_start = np.maximum(self._hole_start[first:last], start) - start
        hole_stop = np.minimum(self._hole_stop[first:last], stop) - start
        out = np.empty(stop - start, np.uint8)
        scatter(out, np.concatenate([[0], hole_stop]), length, self.skeleton[begin:end])
        for lo, hi, payload in self._payload_runs(first, last, start, stop):
            scatter(
                out,
                hole_start[lo - first : hi - first],
                (hole_stop - hole_start)[lo - first : hi - first],
                payload,
            )
        for hole in self._stretches_in(first, last):
            at = int(max(self._hole_start[hole], start)) - start
            for piece in self._pieces(hole, start, stop):
                out[at : at + len(piece)] = piece
                at += len(piece)
        return out

    def _stretches_in(self, first: int, last: int) -> list[int]:
        """Return which of some holes are stretches."""
        holes = self._stretch_holes
        return holes[bisect_left(holes, first) : bisect_left(holes, last)]

    def _pieces(self, hole: int, start: int, stop: int) -> Iterator[U8]:
        """Yield what bytes `start` to `stop` have of a stretch; nothing if it is a payload."""
        k = bisect_left(self._stretch_holes, hole)
        if self._stretch_holes[k : k + 1] == [hole]:
            stretch = self._stretches[k]
            base = stretch.start - int(self._hole_start[hole])
            lo, hi = max(start + base, stretch.start), min(stop + base, stretch.stop)
            yield from stretch.records.pieces(lo, hi)

    def _to_skeleton(self, position: int, hole: int) -> int:
        """Return the skeleton position of a canonical one that hole `hole` is next to."""
        if hole >= len(self._hole_start):
            return position - (self.canonical_nbytes - len(self.skeleton))
        before = int(self._hole_start[hole] - self._hole_in_skeleton[hole])
        inside = min(max(position - int(self._hole_start[hole]), 0), self._hole_nbytes(hole))
        return position - before - inside

    def _hole_nbytes(self, hole: int) -> int:
        return int(self._hole_stop[hole] - self._hole_start[hole])

    def _payload_runs(
        self, first: int, last: int, start: int, stop: int
    ) -> Iterator[tuple[int, int, U8]]:
        """Yield (first hole, last hole, their bytes) of payloads: whole ones in one run."""
        for lo, hi in pairwise([first - 1, *self._stretches_in(first, last), last]):
            if lo + 1 < hi:
                yield from self._payloads_between(lo + 1, hi, start, stop)

    def _payloads_between(
        self, first: int, last: int, start: int, stop: int
    ) -> Iterator[tuple[int, int, U8]]:
        """Yield the same of holes that are all of payloads."""
        other = bisect_left(self._stretch_holes, first)  # holes that are none, before these
        lo, hi = first, last
        cut_first = self._hole_start[first] < start
        cut_last = self._hole_stop[last - 1] > stop
        if cut_first or (cut_last and last - first == 1):
            begin = max(start - int(self._hole_start[first]), 0)
            end = min(stop - int(self._hole_start[first]), self._hole_nbytes(first))
            yield first, first + 1, self._source.wire_range(first - other, begin, end)
            lo = first + 1
        if cut_last and lo < last:
            end = stop - int(self._hole_start[last - 1])
            yield last - 1, last, self._source.wire_range(last - 1 - other, 0, end)
            hi = last - 1
        if lo < hi:
            yield lo, hi, self._source.wire_bytes(lo - other, hi - other)


def join(tables: Tables, source: PayloadSource) -> Document:
    """Turn tables back into the ONNX file they were made of.

    Args:
        tables: The model.
        source: Gives the bytes of its payloads.

    Returns:
        The file. Memory: the skeleton now, a window at a time later.

    Raises:
        FormatError: The tables contradict each other.
    """
    layout = lay_out(tables)
    skeleton = np.empty(layout.skeleton_nbytes, np.uint8)
    hole_start = np.full(len(tables.payloads), -1, np.int64)
    fields: list[tuple[str, Placed, Field]] = []
    stretches: list[Stretch] = []
    for name, placed in layout.placed.items():
        _write_headers(skeleton, tables, name, placed)
        for item in tables.schema[name].fields:
            column = tables.tables[name].columns.get(item.name)
            if isinstance(column, LongColumn):
                stretches += _stretches(column, placed.start, placed.relative[item.name])
            elif not item.is_message and item.name in placed.relative:
                fields.append((name, placed, item))
    write = partial(_write_field, skeleton, tables)
    apply = in_order if layout.skeleton_nbytes > _LARGE else map
    for (_, placed, item), ends in zip(fields, apply(write, fields), strict=True):
        which = placed.holes.get(item.name)
        if which is not None:
            hole_start[which] = ends[tables.payloads.row[which]]
    n_inside = int(np.count_nonzero(hole_start >= 0))
    hole_start, nbytes = hole_start[:n_inside], tables.payloads.nbytes[:n_inside]
    if (hole_start < 0).any() or (np.diff(hole_start) < 0).any():
        raise FormatError("the payloads do not stand in the order of the ONNX file")
    return Document(skeleton, hole_start, nbytes, source, tables.deviation, stretches)


def _stretches(column: LongColumn, message: I64, relative: I64) -> Iterator[Stretch]:
    """Yield the records of each row that has any.

    Args:
        column: The lists.
        message: int64, shape (n_rows,); where each row begins in the skeleton.
        relative: int64, shape (n_rows,); where its list goes, from there on.
    """
    edges = column.row_edges()
    for row in np.diff(edges).nonzero()[0].tolist():
        yield Stretch(
            position=int(message[row] + relative[row]),
            message=int(message[row]),
            records=column.records,
            start=int(edges[row]),
            stop=int(edges[row + 1]),
        )


def _write_field(out: U8, tables: Tables, field: tuple[str, Placed, Field]) -> I64:
    """Write a field of all rows; return where each row's own bytes end, or 0."""
    name, placed, item = field
    position = placed.start + placed.relative[item.name]
    column = tables.tables[name].columns.get(item.name)
    hole = np.zeros(len(position), np.int64)
    which = placed.holes.get(item.name)
    if which is not None:
        hole[tables.payloads.row[which]] = tables.payloads.nbytes[which]
    if item.label != "optional":
        size = placed.field_size[item.name]
        return _write_repeated(out, item, column, position, size, hole)
    rows = present(tables, name, item).nonzero()[0]
    ends = np.zeros(len(position), np.int64)
    ends[rows] = _write_optional(out, item, column, rows, position[rows], hole)
    return ends


def _write_headers(out: U8, tables: Tables, name: str, placed: Placed) -> None:
    """Write tag and length in front of every message of one type."""
    if name == ROOT_MESSAGE:
        return
    codes = tables.tables[name].parent_field
    for code in distinct(codes).tolist():
        tag = tag_of(tables.schema.fields[code][1])
        rows = (codes == code).nonzero()[0]
        start = placed.start[rows] - placed.header_size[rows]
        size = placed.size[rows].view(np.uint64)
        _write_tags(out, tag, start)
        write_varints(out, start + len(tag), size, placed.header_size[rows] - len(tag))


def _write_tags(out: U8, tag: U8, start: I64) -> None:
    for k, byte in enumerate(tag):
        out[start + k] = byte


def _write_optional(
    out: U8, item: Field, column: Column | None, rows: Rows, start: I64, hole: I64
) -> I64:
    """Write an optional field of the given rows; return where each record's own bytes end."""
    tag = tag_of(item)
    _write_tags(out, tag, start)
    start = start + len(tag)
    if item.wire_type == LEN:
        inline = np.zeros(len(rows), np.int64)
        if column is not None:
            inline = text_lengths(column)[rows]
        total = (inline + hole[rows]).view(np.uint64)
        width = varint_widths(total)
        write_varints(out, start, total, width)
        if column is not None:
            scatter(
                out, start + width, inline, gather(column.values, column.offsets[0][rows], inline)
            )
        return start + width + inline
    if column is None:
        raise FormatError(f"{item.name} has no column")
    return _write_values(out, item, column.values[rows], start)


def _write_values(out: U8, item: Field, values: npt.NDArray[np.generic], start: I64) -> I64:
    """Write a number at each start; return where each ends."""
    if item.wire_type == VARINT:
        wire = wire_values(item, values)
        width = varint_widths(wire)
        write_varints(out, start, wire, width)
        return start + width
    little = np.ascontiguousarray(values, dtype=item.dtype)
    nbytes = little.dtype.itemsize
    for k in range(nbytes):
        out[start + k] = little.view(np.uint8)[k::nbytes]
    return start + nbytes


def _write_repeated(
    out: U8, item: Field, column: Column | None, start: I64, size: I64, hole: I64
) -> I64:
    """Write a repeated field of all rows; return where each row's own bytes end.

    Args:
        out: The skeleton.
        item: The field.
        column: Its values, if they have a column.
        start: int64, shape (n_rows,); where its records begin in each row.
        size: int64, shape (n_rows,); how long they are, without payloads.
        hole: int64, shape (n_rows,); how long the payloads are.
    """
    inline = size
    if item.label == "packed":
        inline = np.zeros(len(start), np.int64) if column is None else row_sizes(item, column)
        tag = tag_of(item)
        total = (inline + hole).view(np.uint64)
        some = (total > 0).nonzero()[0]
        width = varint_widths(total[some])
        _write_tags(out, tag, start[some])
        write_varints(out, start[some] + len(tag), total[some], width)
        start = start.copy()
        start[some] += len(tag) + width
    if column is not None:
        _write_elements(out, item, column, start, inline)
    return start + inline


def _write_elements(out: U8, item: Field, column: Column, start: I64, nbytes: I64) -> None:
    """Write the elements of a repeated field, whose bytes in each row lie end to end."""
    done = 0  # bytes of a row that is written in several blocks
    for lo, hi, first, last in element_blocks(column):
        records = _encode_elements(item, column, lo, hi)
        if last - first > 1:
            scatter(out, start[first:last], nbytes[first:last], records)
            continue
        done = 0 if lo == column.offsets[0][first] else done
        at = int(start[first]) + done
        out[at : at + len(records)] = records
        done += len(records)


def _encode_elements(item: Field, column: Column, lo: int, hi: int) -> U8:
    """Return the records of some elements, or the elements alone if they are packed."""
    tag = tag_of(item)[: None if item.label == "repeated" else 0]
    if item.is_text:
        texts = column.offsets[-1][lo : hi + 1]
        return encode_texts(np.diff(texts), column.values[texts[0] : texts[-1]], tag)
    values = column.values[lo:hi]
    if item.wire_type == VARINT:
        return encode_numbers(wire_values(item, values), tag)
    return encode_fixed(np.ascontiguousarray(values, dtype=item.dtype), tag)
