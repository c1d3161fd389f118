"""Payloads as they lie in memory: which bytes, of what storage, how many values.

`_split` finds the records that hold payload; here they become one span of canonical bytes per
message and field, without a copy where the file has them like that. `_chunks` cuts the spans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._dtypes import ELEMENT_TYPES, STORAGES, storage_of_dtype
from onnxroot._layout import wire_values
from onnxroot._ragged import distinct, exclusive_sum, gather, group_starts, scatter
from onnxroot._schema import Field
from onnxroot._varints import encode_varints, read_varint_stream, varint_widths, varint_windows
from onnxroot._wire import FIXED32, FIXED64, VARINT, Tokens
from onnxroot.errors import FormatError

__all__ = [
    "Buffers",
    "Span",
    "Spans",
    "check_whole",
    "find_spans",
    "from_wire",
    "read_pieces",
    "storage_of_bytes",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Unsigned = npt.NDArray[np.unsignedinteger[Any]]

_WINDOW = 1 << 20


class Buffers:
    """The arrays that spans point into; implements `_join.PayloadSource` once it has all spans.

    Attributes:
        arrays: uint8 arrays; the first is the ONNX file.
        spans: Where each payload lies.
    """

    def __init__(self, data: U8) -> None:
        """Begin with the ONNX file alone."""
        self.arrays: list[U8] = [data]
        self.spans = Spans.empty()

    def add(self, array: U8) -> int:
        """Add an array, which is not to be written to from now on; return its number."""
        array.flags.writeable = False
        self.arrays.append(array)
        return len(self.arrays) - 1

    def wire_bytes(self, first: int, last: int) -> U8:
        """Return the bytes of the payloads from `first` up to `last`, end to end."""
        buffer = self.spans.buffer[first:last]
        start, nbytes = self.spans.start[first:last], self.spans.nbytes[first:last]
        if not np.any(buffer != buffer[0]):
            return gather(self.arrays[int(buffer[0])], start, nbytes)
        out = np.empty(int(nbytes.sum()), np.uint8)
        target = exclusive_sum(nbytes)
        for number in distinct(buffer).tolist():
            here = buffer == number
            piece = gather(self.arrays[number], start[here], nbytes[here])
            scatter(out, target[here], nbytes[here], piece)
        return out

    def wire_range(self, payload: int, start: int, stop: int) -> U8:
        """Return some of the bytes of one payload, as a view."""
        base = int(self.spans.start[payload])
        return self.arrays[int(self.spans.buffer[payload])][base + start : base + stop]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Canonical bytes of payloads; every array has shape (n,).

    Attributes:
        row: int64; row of the message.
        buffer: int64; number of the array in `Buffers`.
        start: int64; where the bytes begin in it.
        nbytes: int64; how many there are.
        storage: uint8; storage code.
        n_values: int64; how many values the bytes are.
    """

    row: I64
    buffer: I64
    start: I64
    nbytes: I64
    storage: U8
    n_values: I64

    def select(self, index: npt.NDArray[np.intp]) -> Spans:
        """Return the spans at `index`, in its order."""
        return Spans(**{name: getattr(self, name)[index] for name in self.__slots__})

    @classmethod
    def concatenate(cls, parts: list[Spans]) -> Spans:
        """Return all spans of `parts`, in order."""
        names = cls.__slots__
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})

    @classmethod
    def empty(cls) -> Spans:
        """Return no spans."""
        none = np.empty(0, np.int64)
        return cls(
            row=none,
            buffer=none,
            start=none,
            nbytes=none,
            storage=none.astype(np.uint8),
            n_values=none,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Some bytes of the file that stand, at `offset`, in the canonical bytes of a payload too."""

    row: int
    start: int
    stop: int
    offset: int


def find_spans(
    buffers: Buffers, item: Field, tokens: Tokens, rows: I64, data_type: I64 | None
) -> tuple[Spans, list[Span]]:
    """Turn the records of one payload field into spans.

    Args:
        buffers: The file; what has to be put together anew is added to it.
        item: The field.
        tokens: Its records, in order of row and bytes.
        rows: int64, shape (n_records,); the row of each record.
        data_type: int64, by row; ``TensorProto.data_type``, or None for other messages.

    Returns:
        The spans, one per row that has values; and where the file's bytes were not canonical,
        which of them can be copied all the same (FORMAT §7).

    Raises:
        FormatError: A packed record does not hold a whole number of values.
    """
    data = buffers.arrays[0]
    length = tokens.value_end - tokens.value_start
    check_whole(data, item, tokens, length)
    copied: list[Span] = []
    joined: list[Span] = []
    if item.label == "optional":
        last = np.append(rows[1:] != rows[:-1], True)  # the last of several counts
        row, start, nbytes = rows[last], tokens.value_start[last], length[last]
        buffer = np.zeros(len(row), np.int64)
    else:
        row, start, nbytes, buffer = _join_records(buffers, tokens, rows, length, joined)
    keep = nbytes > 0
    row, start, nbytes, buffer = row[keep], start[keep], nbytes[keep], buffer[keep]
    types = np.zeros(len(row), np.int64) if data_type is None else data_type[row]
    if item.wire_type == VARINT:
        before = buffer.copy()
        n_values, low, high = _tighten(buffers, item, row, buffer, start, nbytes, copied)
        changed = set(row[buffer != before].tolist())
        joined = [span for span in joined if span.row not in changed]
        storage = _storage_of_numbers(item, types, low, high)
    else:
        natural = storage_of_bytes(types, nbytes)
        if not item.is_text:
            natural = _storage_of_floats(item, types, natural)
        storage = natural
        itemsize = np.array([s.dtype.itemsize for s in STORAGES])
        n_values = nbytes // itemsize[storage]
    spans = Spans(
        row=row, buffer=buffer, start=start, nbytes=nbytes, storage=storage, n_values=n_values
    )
    return spans, copied + joined


def from_wire(item: Field, values: Unsigned) -> npt.NDArray[Any]:
    """Return the column values that varints on the wire stand for, as protobuf reads them."""
    if item.type == "bool":
        return np.minimum(values, np.uint64(1)).astype(np.uint8)
    if item.type in {"sint32", "sint64"}:
        values = values.astype(np.uint64, copy=False)
        sign = -(values & np.uint64(1)).view(np.int64)
        signed: I64 = (values >> np.uint64(1)).view(np.int64) ^ sign
        return signed.astype(item.dtype)
    low_bits: npt.NDArray[Any] = values.astype(f"<u{item.dtype.itemsize}", copy=False).view(
        item.dtype
    )
    return low_bits


def storage_of_bytes(data_type: I64, nbytes: I64) -> U8:
    """Choose the storage of raw elements: FORMAT §5.2.

    Args:
        data_type: int64, shape (n,); ``TensorProto.data_type``, any number.
        nbytes: int64, shape (n,).

    Returns:
        Storage codes, uint8, shape (n,): the element type's where the bytes are a whole number of
        elements, uint8 otherwise.
    """
    n = max(ELEMENT_TYPES) + 2
    storage, size = np.zeros(n, np.uint8), np.ones(n, np.int64)
    by_name = {s.name: s.code for s in STORAGES}
    for number, element in ELEMENT_TYPES.items():
        storage[number] = by_name[element.storage]
        size[number] = max(element.bits // 8, 1)
    known = np.where((data_type > 0) & (data_type < n), data_type, 0)
    return np.where(nbytes % size[known] == 0, storage[known], 0).astype(np.uint8)


def _storage_of_floats(item: Field, data_type: I64, raw: U8) -> U8:
    """Choose the storage of `float_data` and `double_data`: the element type's, or their own."""
    own = storage_of_dtype(item.dtype).code
    complex_type = {FIXED32: 14, FIXED64: 15}.get(item.wire_type)
    return np.where(data_type == complex_type, np.where(raw == 0, own, raw), own).astype(np.uint8)


def _storage_of_numbers(item: Field, data_type: I64, low: I64, high: I64) -> U8:
    """Choose the storage of integers: the element type's if all of them fit, or the field's own."""
    out = np.full(len(data_type), storage_of_dtype(item.dtype).code, np.uint8)
    names = {s.name: s for s in STORAGES}
    for number in distinct(data_type).tolist():
        element = ELEMENT_TYPES.get(number)
        if element is None or not element.bits or names[element.storage].dtype.kind == "f":
            continue
        storage = names[element.storage]
        info = np.iinfo(storage.dtype)
        if element.bits > 8 * storage.dtype.itemsize:
            continue
        if info.max >= 2**63 - 1:
            fits = (low >= 0) | (info.min < 0) | (item.dtype.kind == "u")
            fits &= item.dtype.itemsize == storage.dtype.itemsize
            fits &= item.dtype.kind == storage.dtype.kind
        else:
            fits = (low >= info.min) & (high <= info.max)
        out[(data_type == number) & fits] = storage.code
    return out


def check_whole(data: U8, item: Field, tokens: Tokens, length: I64) -> None:
    """Refuse packed records that end within a value.

    Args:
        data: The file.
        item: A repeated field of numbers, or any field of text.
        tokens: Its records.
        length: int64, shape (n_records,); bytes of their values.

    Raises:
        FormatError: One does; with the offset of its record.
    """
    if item.is_text:
        return
    if item.wire_type == VARINT:
        some = (length > 0).nonzero()[0]
        cut = np.zeros(len(length), np.bool_)
        cut[some] = data[tokens.value_end[some] - 1] >= 0x80
    else:
        cut = length % item.dtype.itemsize != 0
    if np.any(cut):
        raise FormatError(
            f"packed field {item.name} does not hold a whole number of values",
            offset=int(tokens.tag_start[np.argmax(cut)]),
        )


def _join_records(
    buffers: Buffers, tokens: Tokens, rows: I64, length: I64, copied: list[Span]
) -> tuple[I64, I64, I64, I64]:
    """Return row, start, length and buffer of each row's values, records of one row joined."""
    first = group_starts(rows).nonzero()[0]
    counts = np.diff(np.append(first, len(rows)))
    row, start, nbytes = rows[first], tokens.value_start[first], np.add.reduceat(length, first)
    buffer = np.zeros(len(row), np.int64)
    split = counts > 1
    if np.any(split):
        within = np.repeat(split, counts)
        joined = gather(buffers.arrays[0], tokens.value_start[within], length[within])
        buffer[split] = buffers.add(joined)
        start = start.copy()
        start[split] = exclusive_sum(nbytes[split])
        _note_copies(tokens, rows, length, within, copied)
    return row, start, nbytes, buffer


def _note_copies(
    tokens: Tokens, rows: I64, length: I64, within: npt.NDArray[np.bool_], copied: list[Span]
) -> None:
    """Note where each record of a joined payload stands among its values."""
    offset = 0
    previous = -1
    picked = zip(
        rows[within].tolist(),
        tokens.value_start[within].tolist(),
        length[within].tolist(),
        strict=True,
    )
    for row, start, nbytes in picked:
        offset = 0 if row != previous else offset
        if nbytes > 64:
            copied.append(Span(row, start, start + nbytes, offset))
        offset += nbytes
        previous = row


class _Counts:
    """Number, smallest and largest of the values of payloads, and whether they are minimal.

    Arrays of shape (n_payloads,). For uint64 fields smallest and largest are those of the values
    seen as int64.
    """

    def __init__(self, n: int) -> None:
        self.n_values, self.low, self.high = (np.zeros(n, np.int64) for _ in range(3))
        self.minimal = np.ones(n, np.bool_)


def _tighten(
    buffers: Buffers,
    item: Field,
    row: I64,
    buffer: I64,
    start: I64,
    nbytes: I64,
    copied: list[Span],
) -> tuple[I64, I64, I64]:
    """Count the varints of each payload; put those anew that are not minimal.

    Args:
        buffers: Where they lie; new arrays are added.
        item: The field.
        row: int64, shape (n,).
        buffer: int64, shape (n,); changed in place, like `start` and `nbytes`.
        start: int64, shape (n,).
        nbytes: int64, shape (n,).
        copied: Gets what can be copied of the payloads that change.

    Returns:
        Number, smallest and largest of the values: int64, shape (n,) each.
    """
    counts = _Counts(len(row))
    small = (nbytes <= _WINDOW).nonzero()[0]
    for number in distinct(buffer[small]).tolist():
        here = small[buffer[small] == number]
        cuts = (np.diff(np.cumsum(nbytes[here]) // _WINDOW)).nonzero()[0] + 1
        for some in np.split(here, cuts):
            _count_small(buffers.arrays[number], item, some, start, nbytes, counts)
    for i in (nbytes > _WINDOW).nonzero()[0].tolist():
        begin = int(start[i])
        _count_large(buffers.arrays[int(buffer[i])], item, i, begin, begin + int(nbytes[i]), counts)
    for i in (~counts.minimal).nonzero()[0].tolist():
        _rewrite(buffers, item, i, row, buffer, start, nbytes, copied)
    return counts.n_values, counts.low, counts.high


def _count_small(
    array: U8,
    item: Field,
    some: npt.NDArray[np.intp],
    start: I64,
    nbytes: I64,
    counts: _Counts,
) -> None:
    """Count payloads that fit one window together."""
    stream = gather(array, start[some], nbytes[some])
    values, widths = read_pieces(stream, start[some], nbytes[some])
    signed = from_wire(item, values).astype(np.int64)
    first = np.searchsorted(np.cumsum(widths) - widths, exclusive_sum(nbytes[some]))
    counts.n_values[some] = np.diff(np.append(first, len(values)))
    counts.low[some] = np.minimum.reduceat(signed, first)
    counts.high[some] = np.maximum.reduceat(signed, first)
    altered = _altered(item, stream, values, widths)
    counts.minimal[some] = ~np.logical_or.reduceat(altered, first)


def _count_large(array: U8, item: Field, i: int, start: int, stop: int, counts: _Counts) -> None:
    """Count one payload window by window."""
    lows, highs = [], []
    for a, b in varint_windows(array, start, stop, _WINDOW):
        values, widths = _read_checked(array[a:b], a)
        signed = from_wire(item, values).astype(np.int64)
        counts.n_values[i] += len(values)
        counts.minimal[i] &= not np.any(_altered(item, array[a:b], values, widths))
        lows.append(int(signed.min()))
        highs.append(int(signed.max()))
    counts.low[i], counts.high[i] = min(lows), max(highs)


def _altered(item: Field, stream: U8, values: U64, widths: I64) -> npt.NDArray[np.bool_]:
    """Return which of the varints of a stream the canonical form writes in other bytes."""
    wire = wire_values(item, from_wire(item, values))
    too_wide = (widths == 10) & (stream[np.cumsum(widths) - 1] > 1)
    altered: npt.NDArray[np.bool_] = (wire != values) | (varint_widths(wire) != widths) | too_wide
    return altered


def _read_checked(stream: U8, offset: int) -> tuple[U64, I64]:
    return read_pieces(stream, np.array([offset]), np.array([len(stream)]))


def read_pieces(stream: U8, start: I64, length: I64) -> tuple[U64, I64]:
    """Decode varints that were gathered from pieces of a file.

    Args:
        stream: uint8; the pieces end to end.
        start: int64, shape (n_pieces,); where each begins in the file.
        length: int64, shape (n_pieces,).

    Returns:
        Values and widths, as `read_varint_stream` gives them.

    Raises:
        FormatError: A varint is cut or too long; with its offset in the file.
    """
    try:
        return read_varint_stream(stream)
    except FormatError as error:
        inside = error.offset or 0
        ends = np.cumsum(length)
        k = min(int(np.searchsorted(ends, inside, "right")), len(ends) - 1)
        offset = int(start[k] + inside - (ends[k] - length[k]))
        raise FormatError("a packed varint is cut or too long", offset=offset) from error


def _rewrite(
    buffers: Buffers,
    item: Field,
    i: int,
    row: I64,
    buffer: I64,
    start: I64,
    nbytes: I64,
    copied: list[Span],
) -> None:
    """Encode one payload anew, canonically; note which of its bytes stay as they are."""
    array, begin = buffers.arrays[int(buffer[i])], int(start[i])
    in_file = int(buffer[i]) == 0
    parts: list[U8] = []
    offset = 0
    for a, b in varint_windows(array, begin, begin + int(nbytes[i]), _WINDOW):
        values, old = _read_checked(array[a:b], a)
        encoded, new = encode_varints(wire_values(item, from_wire(item, values)))
        if in_file:
            # A new piece begins behind every value whose bytes change.
            cuts = _altered(item, array[a:b], values, old).nonzero()[0]
            old_end, new_end = np.cumsum(old), np.cumsum(new)
            begins = np.concatenate([[0], old_end[cuts]])
            stops = np.concatenate([old_end[cuts] - old[cuts], [b - a]])
            offsets = np.concatenate([[0], new_end[cuts]])
            for s, e, o in zip(begins.tolist(), stops.tolist(), offsets.tolist(), strict=True):
                if e > s:
                    copied.append(Span(int(row[i]), a + s, a + e, offset + o))
        parts.append(encoded)
        offset += len(encoded)
    buffer[i] = buffers.add(np.concatenate(parts))
    start[i], nbytes[i] = 0, offset
