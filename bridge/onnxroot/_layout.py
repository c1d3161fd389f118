"""Where every message and field stands in the canonical form of a model: FORMAT.md §4.4.

Sizes are summed from the deepest messages up, positions handed out from the top down, a whole table
at a time. Positions are *skeleton* positions: the canonical bytes without those of the payloads,
which are put in when bytes are made (`_join`), as those of `LongColumn`s are. Lengths written in
front of messages do count them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._limits import too_deep
from onnxroot._ragged import distinct, exclusive_sum, group_starts
from onnxroot._records import LongColumn
from onnxroot._schema import Field, tag_of
from onnxroot._spec import PAYLOAD_FIELDS, ROOT_MESSAGE
from onnxroot._varints import varint_widths, varints_nbytes
from onnxroot._wire import LEN, VARINT
from onnxroot.errors import FormatError
from onnxroot.tables import NO_ROW, Column, Payloads, Table, Tables

__all__ = [
    "Layout",
    "Placed",
    "element_blocks",
    "element_sizes",
    "lay_out",
    "payload_records",
    "present",
    "row_sizes",
    "text_lengths",
    "wire_values",
]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.intp]

_BLOCK = 1 << 15  # elements of a repeated field that are laid out at a time
_NO_ROWS = np.empty(0, np.intp)


@dataclass(frozen=True, slots=True)
class Children:
    """Messages of one type at one depth that one field of one type holds, grouped by parent."""

    message: str
    parent_message: str
    field: Field
    rows: Rows
    parents: Rows


@dataclass(frozen=True, slots=True)
class Placed:
    """One message type in the layout; every array has shape (n_rows,).

    Attributes:
        size: int64; bytes of the message, payloads included.
        skeleton_size: int64; the same without payloads.
        start: int64; skeleton position of the message's first byte, behind tag and length.
        header_size: int64; bytes of tag and length in front of it, 0 for the model itself.
        relative: int64 by field name; where the field's first record begins, from `start`.
        field_size: int64 by field name; bytes of the field's records, without payloads.
        holes: Index of the payloads of this type's fields, by field name.
    """

    size: I64
    skeleton_size: I64
    start: I64
    header_size: I64
    relative: dict[str, I64] = field(default_factory=dict)
    field_size: dict[str, I64] = field(default_factory=dict)
    holes: dict[str, Rows] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a whole model.

    Attributes:
        placed: By message type, for the types that have rows.
        skeleton_nbytes: Length of the canonical form without payloads.
    """

    placed: dict[str, Placed]
    skeleton_nbytes: int


def lay_out(tables: Tables) -> Layout:
    """Compute the layout of a model's canonical form.

    Args:
        tables: The model; rows may stand in any order in which siblings are in theirs.

    Returns:
        The layout.

    Raises:
        FormatError: Parents, codes or offsets contradict each other.
    """
    messages = {name: table for name, table in tables.tables.items() if name in tables.schema.tree}
    if ROOT_MESSAGE not in messages or messages[ROOT_MESSAGE].n_rows != 1:
        raise FormatError(f"a model has one {ROOT_MESSAGE}, this one has not")
    field_codes = tables.payloads.field
    by_code = {c: (field_codes == c).nonzero()[0] for c in distinct(field_codes).tolist()}
    placed = {name: _measure(tables, name, table, by_code) for name, table in messages.items()}
    generations = _generations(tables, messages)
    for generation in reversed(generations):
        for group in generation:
            _add_to_parents(group, placed)
    for name in messages:
        _place_fields(tables.schema[name].fields, placed[name])
    for generation in generations:
        for group in generation:
            _place_children(group, placed)
    return Layout(placed, int(placed[ROOT_MESSAGE].skeleton_size[0]))


def payload_records(tables: Tables, layout: Layout) -> I64:
    """Return where the record of each payload begins in the skeleton: int64, (n_payloads,)."""
    payloads = tables.payloads
    position = np.zeros(len(payloads), np.int64)
    for code in distinct(payloads.field).tolist():
        message, item = tables.schema.fields[code]
        here = payloads.field == code
        rows = payloads.row[here]
        placed = layout.placed[message.name]
        position[here] = placed.start[rows] + placed.relative[item.name][rows]
    return position


def present(tables: Tables, name: str, item: Field) -> npt.NDArray[np.bool_]:
    """Return which rows hold an optional scalar field: bool, shape (n_rows,)."""
    bit = np.uint64(1) << np.uint64(tables.schema[name].optional.index(item))
    held: npt.NDArray[np.bool_] = (tables.tables[name].presence & bit) != 0
    return held


def text_lengths(column: Column) -> I64:
    """Return the length of each string in bytes: int64, shape (n_strings,)."""
    return np.diff(column.offsets[-1])


def wire_values(item: Field, values: npt.NDArray[Any]) -> U64:
    """Return the numbers that stand on the wire for the values of a varint field.

    Returns:
        uint64, shape (n,); a view where the values have 64 bits.
    """
    if item.type in {"sint32", "sint64"}:
        wide = values.astype(np.int64)
        return ((wide << 1) ^ (wide >> 63)).view(np.uint64)
    if values.dtype.kind == "u":
        return values.astype(np.uint64, copy=False)
    return values.astype(np.int64, copy=False).view(np.uint64)


def _measure(tables: Tables, name: str, table: Table, by_code: dict[int, Rows]) -> Placed:
    """Return the message type with the sizes of all fields but those that hold messages."""
    size = np.zeros(table.n_rows, np.int64)
    skeleton = np.zeros(table.n_rows, np.int64)
    sizes: dict[str, I64] = {}
    holes: dict[str, Rows] = {}
    for item in tables.schema[name].fields:
        if item.is_message:
            continue
        column = table.columns.get(item.name)
        here = by_code.get(item.code, _NO_ROWS)
        if here.size:
            holes[item.name] = here
        hole = _hole_sizes(tables.payloads, here, table.n_rows, name, item)
        if item.label == "optional":
            is_there = present(tables, name, item)
            if column is None and not here.size and not is_there.any():
                continue
            orphans = np.count_nonzero(~is_there[tables.payloads.row[here]])
            if orphans:
                raise FormatError(f"{name}.{item.name}: {orphans} payloads of rows without it")
            if not is_there.any():
                continue
            fields = np.where(is_there, _optional_sizes(name, item, column, hole), 0)
        elif column is None and not here.size:
            continue
        elif isinstance(column, LongColumn):  # put in when bytes are made, as payloads are
            fields, hole = np.zeros(table.n_rows, np.int64), hole + row_sizes(item, column)
        else:
            fields = _repeated_sizes(item, column, hole)
        sizes[item.name] = fields
        skeleton += fields
        size += fields + hole
    start = np.zeros(table.n_rows, np.int64)
    return Placed(size, skeleton, start, start.copy(), {}, sizes, holes)


def _hole_sizes(payloads: Payloads, here: Rows, n_rows: int, name: str, item: Field) -> I64:
    """Return the payload bytes of each row: int64, shape (n_rows,)."""
    out = np.zeros(n_rows, np.int64)
    if not here.size:
        return out
    rows = payloads.row[here]
    if ((rows < 0) | (rows >= n_rows)).any() or len(distinct(rows)) < len(rows):
        raise FormatError(f"{name}.{item.name}: payloads belong to rows that don't exist, or twice")
    out[rows] = payloads.nbytes[here]
    return out


def _optional_sizes(name: str, item: Field, column: Column | None, hole: I64) -> I64:
    """Return the skeleton size of an optional field in each row, were it present in all."""
    tag = len(tag_of(item))
    if column is None and (name, item.name) not in PAYLOAD_FIELDS:
        raise FormatError(f"{name}.{item.name}: rows hold this field, but it has no column")
    if item.wire_type == LEN:
        inline = text_lengths(column) if column is not None else np.zeros(len(hole), np.int64)
        return tag + varint_widths((inline + hole).view(np.uint64)) + inline
    if column is not None and item.wire_type == VARINT:
        return tag + varint_widths(wire_values(item, column.values))
    return np.full(len(hole), tag + item.dtype.itemsize, np.int64)


def _repeated_sizes(item: Field, column: Column | None, hole: I64) -> I64:
    """Return the skeleton size of a repeated field in each row."""
    tag = len(tag_of(item))
    inline = np.zeros(len(hole), np.int64)
    if column is not None:
        inline = row_sizes(item, column)
    if item.label != "packed":
        return inline
    total = inline + hole
    return np.where(total > 0, tag + varint_widths(total.view(np.uint64)) + inline, 0)


def row_sizes(item: Field, column: Column) -> I64:
    """Return the bytes of all elements of a repeated field in each row: int64, shape (n_rows,)."""
    if isinstance(column, LongColumn):
        return np.diff(column.row_edges())
    offsets = column.offsets[0]
    out = np.zeros(len(offsets) - 1, np.int64)
    for lo, hi, first, last in element_blocks(column):
        if last - first == 1:
            out[first] += _elements_nbytes(item, column, lo, hi)
            continue
        sizes = element_sizes(item, column, lo, hi)
        starts = offsets[first:last]
        some = (offsets[first + 1 : last + 1] > starts).nonzero()[0]
        out[first + some] = np.add.reduceat(sizes, starts[some] - lo, dtype=np.int64)
    return out


def element_blocks(column: Column) -> Iterator[tuple[int, int, int, int]]:
    """Cut the elements of a repeated field into blocks that stay in a processor's cache.

    Yields:
        Begin and end of some elements, and of the rows that they are in. They are all elements of
        these rows, or some of a single one.
    """
    offsets = column.offsets[0]
    row, n_rows = 0, len(offsets) - 1
    while row < n_rows:
        lo = int(offsets[row])
        last = int(np.searchsorted(offsets, lo + _BLOCK, "right")) - 1
        if last > row:
            if offsets[last] > lo:
                yield lo, int(offsets[last]), row, last
            row = last
            continue
        stop = int(offsets[row + 1])
        for start in range(lo, stop, _BLOCK):
            yield start, min(start + _BLOCK, stop), row, row + 1
        row += 1


def element_sizes(item: Field, column: Column, lo: int, hi: int) -> I64:
    """Return the bytes of some elements of a repeated field, with the tag unless it is packed."""
    tag = 0 if item.label == "packed" else len(tag_of(item))
    if item.is_text:
        lengths = np.diff(column.offsets[-1][lo : hi + 1])
        return tag + varint_widths(lengths.view(np.uint64)) + lengths
    if item.wire_type == VARINT:
        return tag + varint_widths(wire_values(item, column.values[lo:hi]))
    return np.full(hi - lo, tag + item.dtype.itemsize, np.int64)


def _elements_nbytes(item: Field, column: Column, lo: int, hi: int) -> int:
    """Return the sum of `element_sizes`."""
    tag = 0 if item.label == "packed" else len(tag_of(item))
    if item.is_text:
        texts = column.offsets[-1][lo : hi + 1]
        inside = int(texts[-1] - texts[0])
        return tag * (hi - lo) + varints_nbytes(np.diff(texts).view(np.uint64)) + inside
    if item.wire_type == VARINT:
        return tag * (hi - lo) + varints_nbytes(wire_values(item, column.values[lo:hi]))
    return (tag + item.dtype.itemsize) * (hi - lo)


def _generations(tables: Tables, messages: dict[str, Table]) -> list[list[Children]]:
    """Sort all messages but the model by depth, and within one depth by type and field."""
    depth = {name: np.full(table.n_rows, -1, np.int64) for name, table in messages.items()}
    depth[ROOT_MESSAGE][0] = 0
    waiting = _groups(tables, messages)
    generations: list[list[Children]] = []
    while waiting:
        if len(generations) > tables.depth:
            raise FormatError(too_deep(tables.depth))
        found, left = [], []
        for group in waiting:
            now = depth[group.parent_message][group.parents] == len(generations)
            if now.any():
                found.append(_subset(group, now))
            if not now.all():
                left.append(_subset(group, ~now))
        if not found:
            group = left[0]
            raise FormatError(
                f"{group.message} row {int(group.rows[0])}: no model holds it: its parent "
                f"{group.parent_message} row {int(group.parents[0])} leads nowhere"
            )
        generations.append(found)
        for group in found:
            depth[group.message][group.rows] = len(generations)
        waiting = left
    return generations


def _subset(group: Children, mask: npt.NDArray[np.bool_]) -> Children:
    if mask.all():
        return group
    rows, parents = group.rows[mask], group.parents[mask]
    return Children(group.message, group.parent_message, group.field, rows, parents)


def _groups(tables: Tables, messages: dict[str, Table]) -> list[Children]:
    """Group the messages by type and holding field, each group sorted by parent."""
    groups = []
    for name, table in messages.items():
        for code in distinct(table.parent_field).tolist():
            if name == ROOT_MESSAGE:
                continue
            if code >= len(tables.schema.fields):
                raise FormatError(f"{name}: a parent_field is {code}: no such code")
            holder, item = tables.schema.fields[code]
            rows = (table.parent_field == code).nonzero()[0]
            parents = table.parent[rows]
            if item.type != name or holder.name not in messages:
                raise FormatError(f"{name}: {holder.name}.{item.name} can't hold it")
            if (parents >= np.uint64(messages[holder.name].n_rows)).any():
                raise FormatError(f"{name}: a parent is no row of {holder.name}")
            if (parents[1:] < parents[:-1]).any():
                order = np.argsort(parents, kind="stable")
                rows, parents = rows[order], parents[order]
            if not item.is_repeated and (parents[1:] == parents[:-1]).any():
                raise FormatError(f"{name}: one {holder.name}.{item.name} holds two")
            groups.append(Children(name, holder.name, item, rows, parents.astype(np.intp)))
    root = messages[ROOT_MESSAGE]
    if root.parent[0] != np.uint64(NO_ROW):
        raise FormatError(f"{ROOT_MESSAGE} has a parent")
    return groups


def _add_to_parents(group: Children, placed: dict[str, Placed]) -> None:
    """Add the records of these messages to the sizes of those that hold them."""
    child, parent = placed[group.message], placed[group.parent_message]
    size = child.size[group.rows]
    header = len(tag_of(group.field)) + varint_widths(size.view(np.uint64))
    child.header_size[group.rows] = header
    record = header + child.skeleton_size[group.rows]
    _add_at(parent.size, group.parents, header + size)
    _add_at(parent.skeleton_size, group.parents, record)
    if group.field.name not in parent.field_size:
        parent.field_size[group.field.name] = np.zeros(len(parent.size), np.int64)
    _add_at(parent.field_size[group.field.name], group.parents, record)


def _add_at(total: I64, index: Rows, values: I64) -> None:
    """Add values at ascending indices that may recur, in place."""
    first = group_starts(index).nonzero()[0]
    total[index[first]] += np.add.reduceat(values, first)


def _place_fields(fields: tuple[Field, ...], placed: Placed) -> None:
    """Lay the fields of each message end to end in the order of their numbers."""
    position = np.zeros(len(placed.size), np.int64)
    for item in fields:
        if item.name in placed.field_size:
            placed.relative[item.name] = position
            position = position + placed.field_size[item.name]


def _place_children(group: Children, placed: dict[str, Placed]) -> None:
    """Lay these messages end to end within those that hold them."""
    child, parent = placed[group.message], placed[group.parent_message]
    header = child.header_size[group.rows]
    before = exclusive_sum(header + child.skeleton_size[group.rows])
    first = group_starts(group.parents)
    base = before[first][np.cumsum(first) - 1]
    field_start = parent.start[group.parents] + parent.relative[group.field.name][group.parents]
    child.start[group.rows] = field_start + before - base + header
