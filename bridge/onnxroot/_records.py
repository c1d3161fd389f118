"""Long lists of numbers or texts, kept as the records that an ONNX file has for them.

A tree ensemble is a few lists of millions of elements. As records they take a quarter of the memory
that they take as arrays, and where they are in a file that is in memory, none. So they stay records
on the way to a ROOT file and back; a part of them becomes an array when somebody asks for it.

It takes `_kernels`: NumPy would be too slow to do that more than once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onnxroot import _kernels
from onnxroot._ragged import are_equal, distinct
from onnxroot._runs import (
    FIXED32,
    FIXED64,
    LEN,
    VARINT,
    Run,
    encode_fixed,
    encode_numbers,
    encode_texts,
    read_texts,
)
from onnxroot._schema import Field, tag_of
from onnxroot._wire import Tokens
from onnxroot.tables import Column, Sliced, Tables

__all__ = [
    "SHORT_TEXT",
    "Lists",
    "LongColumn",
    "Records",
    "Series",
    "can_be_long",
    "encoded",
    "encoded_texts",
    "long_lists",
    "records_in",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

SHORT_TEXT: Final = 1 << 7
"""Bytes of a text that is too long: the length of a shorter one takes one byte."""

_LONG: Final = 1 << 17  # elements of a column that is worth it
_LONG_LIST: Final = 1 << 12  # elements that its lists have at least, on average


class Series:
    """What can be sliced like an array, and then makes that part of it.

    Attributes:
        dtype: Of its values.
        nbytes: How many bytes all of them take.
    """

    def __init__(
        self, dtype: npt.DTypeLike, length: int, read: Callable[[int, int], npt.NDArray[Any]]
    ) -> None:
        """Make nothing yet.

        Args:
            dtype: Of its values.
            length: How many there are.
            read: Gives those from one up to another one; in any thread.
        """
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.nbytes = length * self.dtype.itemsize
        self._length = length
        self._read = read

    def __len__(self) -> int:
        """Return the number of values."""
        return self._length

    def __getitem__(self, where: slice) -> npt.NDArray[Any]:
        """Return the values from `start` up to `stop`: a new array."""
        start, stop, _ = where.indices(self._length)
        return self._read(start, max(start, stop))


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one repeated field, in order.

    Attributes:
        field: The field: its varints have 64 bits, its texts less than 128 bytes, its tag is one
            byte, and it is not packed.
        data: The bytes that each run is in.
        runs: Records that stand end to end; a list ends with one of them.
        before: How many records stand before each run, and then how many there are.
        wire_before: The same of their bytes.
    """

    field: Field
    data: tuple[U8, ...]
    runs: tuple[Run, ...]
    before: tuple[int, ...]
    wire_before: tuple[int, ...]

    @classmethod
    def of(cls, field: Field, data: Sequence[U8], runs: Sequence[Run]) -> Records:
        """Return the records of some runs, each in bytes of its own."""
        before = accumulate((run.n_records for run in runs), initial=0)
        wire_before = accumulate((run.stop - run.start for run in runs), initial=0)
        return cls(field, tuple(data), tuple(runs), tuple(before), tuple(wire_before))

    @classmethod
    def concatenate(cls, parts: Sequence[Records]) -> Records:
        """Return all records of some parts, at least one, of the same field."""
        data = [each for part in parts for each in part.data]
        return cls.of(parts[0].field, data, [run for part in parts for run in part.runs])

    def __len__(self) -> int:
        """Return how many there are."""
        return self.before[-1]

    @property
    def n_chars(self) -> int:
        """How many bytes all texts have."""
        return self._chars_before(-1)

    def numbers(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return some of the numbers: shape (stop - start,), dtype of the field."""
        out = np.empty(stop - start, self.field.dtype)
        bits = out.view(f"<u{out.itemsize}")
        for k, lo, hi, at in _overlaps(self.before, start, stop):
            data, run, part = self.data[k], self.runs[k], bits[at : at + hi - lo]
            if self.field.wire_type == VARINT:
                place, before = _mark(run, lo)
                _kernels.read_some_varints(data, place, run.stop, run.tag, lo - before, part)
            else:
                size = 1 + out.itemsize
                _kernels.read_fixed(data, run.start + lo * size, run.start + hi * size, part)
        return out

    def ends(self, start: int, stop: int) -> I64:
        """Return where some of the texts end: int64, shape (stop - start,)."""
        out = np.empty(stop - start, np.int64)
        for k, lo, hi, at in _overlaps(self.before, start, stop):
            run = self.runs[k]
            place, before = _mark(run, lo)
            base = self._chars_before(k) + (place - run.start) - 2 * before
            part = out[at : at + hi - lo]
            _kernels.read_ends(self.data[k], place, run.stop, lo - before, base, part)
        return out

    def chars(self, start: int, stop: int) -> U8:
        """Return some of the bytes of all texts: uint8, shape (stop - start,)."""
        out = np.empty(stop - start, np.uint8)
        edges = [self._chars_before(k) for k in range(len(self.before))]
        for k, lo, hi, at in _overlaps(edges, start, stop):
            run = self.runs[k]
            place, before = _mark(run, lo, is_char=True)
            skip = lo - (place - run.start) + 2 * before
            _kernels.read_chars(self.data[k], place, run.stop, skip, out[at : at + hi - lo])
        return out

    def places(self) -> tuple[I64, I64]:
        """Return where each text begins in the bytes of its run, and how long it is."""
        starts, lengths = np.empty((2, len(self)), np.int64)
        for data, run, at in zip(self.data, self.runs, self.before, strict=False):
            here = slice(at, at + run.n_records)
            read_texts(data, run, starts[here], lengths[here])
        return starts, lengths

    def pieces(self, start: int, stop: int) -> Iterator[U8]:
        """Yield some of the bytes of all records, in order."""
        for k, lo, hi, _ in _overlaps(self.wire_before, start, stop):
            first = self.runs[k].start
            yield self.data[k][first + lo : first + hi]

    def matching(self, first: int, wire: U8) -> U8 | None:
        """Return the bytes that begin with record number `first`, if they are these.

        Args:
            first: Which record.
            wire: uint8; what they are thought to be.
        """
        k = bisect_right(self.before, first) - 1
        if k >= len(self.runs):
            return None
        data, run, n = self.data[k], self.runs[k], first - self.before[k]
        if self.field.wire_type in {FIXED32, FIXED64}:
            start = run.start + n * (1 + self.field.dtype.itemsize)
        else:
            place, before = _mark(run, n)
            rest = run.stop, n - before
            if self.field.is_text:
                start = _kernels.skip_texts(data, place, *rest)
            else:
                start = _kernels.skip_varints(data, place, rest[0], run.tag, rest[1])
        found = data[start : start + len(wire)]
        return found if are_equal(found, wire) else None

    def _chars_before(self, k: int) -> int:
        """Return how many bytes the texts before a run have; tag and length take one each."""
        return self.wire_before[k] - 2 * self.before[k]


def _mark(run: Run, wanted: int, *, is_char: bool = False) -> tuple[int, int]:
    """Return the last mark before a record of a run, or before a byte of its texts.

    Returns:
        Where a record begins, and how many of the run come before it.
    """
    if run.marks is None:
        return run.start, 0
    places, before = run.marks
    passed = places - run.start - 2 * before if is_char else before
    k = int(np.searchsorted(passed, wanted, "right")) - 1
    return int(places[k]), int(before[k])


def _overlaps(edges: Sequence[int], start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield what `start` to `stop` has of pieces with these edges.

    Yields:
        The number of a piece, what is meant of it, from its own begin, and where that is, from
        `start`.
    """
    k = bisect_right(edges, start) - 1
    at = start
    while at < stop:
        end = min(stop, edges[k + 1])
        if end > at:
            yield k, at - edges[k], end - edges[k], at - start
        at = end
        k += 1


class LongColumn(Column):
    """A column of lists that are records; its arrays are made when they are asked for.

    Attributes:
        records: The elements of all lists.
    """

    def __init__(self, rows: I64, records: Records) -> None:
        """Keep the records.

        Args:
            rows: int64, shape (n_rows + 1,); offsets of the lists, each of which begins with a run.
            records: Their elements.
        """
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "records", records)
        object.__setattr__(self, "is_text", records.field.is_text)

    records: Records
    _rows: I64

    @classmethod
    def of(cls, field: Field, rows: I64, recorded: Sequence[tuple[int, U8]]) -> LongColumn:
        """Return the column of some lists.

        Args:
            field: The field.
            rows: int64, shape (n_rows + 1,); offsets of the lists.
            recorded: What `encoded` made of their elements, in order.
        """
        tag = int(tag_of(field)[0])
        data = [each for _, each in recorded]
        runs = [single_run(tag, n, 0, len(each)) for n, each in recorded]
        return cls(rows, Records.of(field, data, runs))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows) - 1

    @cached_property
    def offsets(self) -> tuple[I64, ...]:
        """See `Column`."""
        if not self.is_text:
            return (self._rows,)
        return self._rows, np.concatenate([[0], self.records.ends(0, len(self.records))])

    @cached_property
    def values(self) -> npt.NDArray[Any]:
        """See `Column`."""
        records = self.records
        return (
            records.chars(0, records.n_chars) if self.is_text else records.numbers(0, len(records))
        )

    def levels(self) -> list[Sliced]:
        """See `Column`."""
        records, n = self.records, len(self.records)
        if not self.is_text:
            return [self._rows[1:], Series(records.field.dtype, n, records.numbers)]
        ends = Series(np.int64, n, records.ends)
        return [self._rows[1:], ends, Series(np.uint8, records.n_chars, records.chars)]

    def row_edges(self) -> I64:
        """Return where the records of each row begin among the bytes of all, and where they end."""
        records = self.records
        place = np.searchsorted(np.array(records.before), self._rows)
        edges: I64 = np.array(records.wire_before)[place]
        return edges


Lists = Mapping[str, Records]
"""Long lists of the fields of a message type, by name."""


def can_be_long(field: Field, n_lists: int, n_elements: int) -> bool:
    """Return whether lists of a field are better kept as records."""
    long_enough = n_elements >= max(_LONG, _LONG_LIST * n_lists)
    bits = field.type in {"int64", "uint64"} or field.wire_type in {FIXED32, FIXED64, LEN}
    small_tag = field.number < 1 << 4
    return long_enough and field.label == "repeated" and bits and small_tag and _kernels.available()


def encoded(
    field: Field,
    rows: I64,
    first: int,
    values: npt.NDArray[Any],
    expected: Records | None = None,
) -> list[tuple[int, U8]]:
    """Return the records of some elements of lists of numbers, for each list apart.

    Args:
        field: The field.
        rows: int64, shape (n_rows + 1,); offsets of all lists.
        first: The first of these elements.
        values: They themselves, of the field's dtype.
        expected: All records of the field, where they are known: those that are as expected are
            not copied.

    Returns:
        For each list that has some of them, how many, and the bytes of their records.
    """
    tag, found = tag_of(field), []
    for lo, hi in _parts(rows, first, first + len(values)):
        some = values[lo - first : hi - first]
        if field.wire_type == VARINT:
            records = encode_numbers(some.view(np.uint64), tag)
        else:
            records = encode_fixed(some, tag)
        found.append((hi - lo, _kept(records, lo, expected)))
    return found


def encoded_texts(
    field: Field,
    rows: I64,
    offsets: I64,
    chars: U8,
    where: slice,
    expected: Records | None = None,
) -> list[tuple[int, U8]]:
    """Return the records of some elements of lists of texts, for each list apart.

    Args:
        field: The field.
        rows: int64, shape (n_rows + 1,); offsets of all lists.
        offsets: int64, shape (n + 1,); where each text begins in `chars`, and the last one ends.
        chars: uint8; all texts, end to end.
        where: Which elements.
        expected: As for `encoded`.

    Returns:
        As `encoded`.
    """
    start, stop, _ = where.indices(len(offsets) - 1)
    found = []
    for lo, hi in _parts(rows, start, stop):
        edges = offsets[lo : hi + 1]
        records = encode_texts(np.diff(edges), chars[edges[0] : edges[-1]], tag_of(field))
        found.append((hi - lo, _kept(records, lo, expected)))
    return found


def _parts(rows: I64, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Cut elements `start` to `stop` where lists end."""
    inside = rows[np.searchsorted(rows, start, "right") : np.searchsorted(rows, stop)]
    yield from pairwise([start, *distinct(inside).tolist(), stop])


def _kept(records: U8, first: int, expected: Records | None) -> U8:
    """Return records to be kept: where they are as expected, or without the room around them."""
    found = expected.matching(first, records) if expected else None
    if found is None:
        found = records.copy() if records.base is not None else records
    found = found.view()
    found.flags.writeable = False
    return found


def long_lists(tables: Tables) -> dict[str, Lists]:
    """Return the long lists of all message types."""
    return {
        name: {
            field: column.records
            for field, column in table.columns.items()
            if isinstance(column, LongColumn)
        }
        for name, table in tables.tables.items()
    }


def records_in(data: U8, field: Field, tokens: Tokens) -> Records | None:
    """Return the records of a field if they are many in few runs; None if they are not.

    Args:
        data: What the tokens were found in.
        field: The field.
        tokens: Its records, in order, all of its own wire type.
    """
    if not can_be_long(field, len(tokens.number), int(tokens.n_records.sum())):
        return None
    single = tokens.n_records == 1
    if field.is_text and (tokens.value[single] >= SHORT_TEXT).any():
        return None
    gaps = np.flatnonzero(tokens.tag_start[1:] != tokens.value_end[:-1]) + 1
    edges = pairwise([0, *gaps.tolist(), len(single)])
    runs = [_run_of(tokens, first, last, int(data[tokens.tag_start[0]])) for first, last in edges]
    return Records.of(field, [data] * len(runs), runs)


def _run_of(tokens: Tokens, first: int, last: int, tag: int) -> Run:
    """Return entries that stand end to end as one run."""
    start, stop = int(tokens.tag_start[first]), int(tokens.value_end[last - 1])
    n_records = tokens.n_records[first:last].astype(np.int64)
    places, before = [np.array([start])], [np.zeros(1, np.int64)]
    for k in np.flatnonzero(n_records > 1).tolist():
        n_before = int(n_records[:k].sum())
        for part in tokens.runs[int(tokens.tag_start[first + k])]:
            if part.marks is not None:
                places.append(part.marks[0])
                before.append(part.marks[1] + n_before)
            n_before += part.n_records
    run = single_run(tag, int(n_records.sum()), start, stop)
    if len(places) == 1:
        return run
    return run._replace(marks=(np.concatenate(places), np.concatenate(before)))


def single_run(tag: int, n_records: int, start: int, stop: int) -> Run:
    """Return a run of varints that are as short as they can be, or of other records."""
    return Run(tag=tag, n_records=n_records, start=start, stop=stop, minimal=True, heads=None)
