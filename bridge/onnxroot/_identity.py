"""Which messages of two models say the same: a number per row, equal where the content is.

Numbers are handed out by content, so equal ones mean equal content for certain. Content is what a
reader of ONNX sees: a default that is written out is the same as one that is not, the order of
bytes in the file does not count, nor does where the elements of a tensor lie.

Loops run over rows here, in Python, a few microseconds each: a model has some 100,000 of them, and
numbers by content need a dictionary.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash

from onnxroot._layout import lay_out
from onnxroot._parts import ModelParts
from onnxroot._ragged import distinct
from onnxroot._schema import Schema
from onnxroot._spec import TENSOR
from onnxroot._tensors import Tensor
from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot.tables import Column, Table

__all__ = ["Identities", "Rows", "content_digest"]

_GRAPH = "GraphProto"
_BY_PARTS: Final = frozenset({"GraphProto", "NodeProto"})
_DIMENSION = "TensorShapeProto_Dimension"
_NOT_COMPARED: Final = {  # what is compared by name, or does not matter to a reader
    TENSOR: frozenset({"data_location"}),
    "ValueInfoProto": frozenset({"name"}),
}

Rows = dict[str, list[int]]
"""The number of every row, by message type."""


class Identities:
    """Hands out numbers by content, for several models: equal numbers, equal content.

    Attributes:
        texts: One object for all equal texts of the models, by itself.
    """

    def __init__(self, *schemas: Schema) -> None:
        """Begin without any content.

        Args:
            schemas: Those of the models, which may be of different versions of ONNX.
        """
        self._known: dict[Any, int] = {}
        self.texts: dict[str, str] = {}
        names: dict[str, set[str]] = defaultdict(set)
        for kind in (kind for schema in schemas for kind in schema):
            names[kind.name] |= {item.name for item in kind.fields if not item.is_message}
        self._fields = {
            name: sorted(found - _NOT_COMPARED.get(name, frozenset()))
            for name, found in names.items()
        }

    def of(self, content: Any) -> int:
        """Return the number of some content, which must be hashable."""
        return self._known.setdefault(content, len(self._known))

    def of_rows(self, parts: ModelParts) -> Rows:
        """Return the number of every message of a model.

        Graphs get the same number all, and nodes none for what they hold: they are compared one by
        one. So do the elements of initializers, which may be large: `content_digest` gives theirs.

        Args:
            parts: The model.

        Raises:
            FormatError: Its tables contradict each other.
        """
        tables = _checked_tables(parts)
        own = {name: self._own(parts, name, table) for name, table in tables.items()}
        children: dict[str, dict[int, list[tuple[str, int]]]] = defaultdict(dict)
        depths = _depths(parts, tables)
        deepest = max((int(depth.max()) for depth in depths.values() if len(depth)), default=0)
        fields = parts.schema.fields
        apart = [kind.name in _BY_PARTS or f.name == "external_data" for kind, f in fields]
        for level in range(deepest, 0, -1):
            for name, table in tables.items():
                rows = np.flatnonzero(depths[name] == level)
                mine = children.get(name, {})
                for row in sorted(set(mine) & set(rows.tolist())) if name not in _BY_PARTS else ():
                    own[name][row] = self.of((own[name][row], tuple(mine[row])))
                rows = rows[~np.array(apart)[table.parent_field[rows]]]
                holders = table.parent[rows].tolist()
                codes = table.parent_field[rows].tolist()
                for row, holder, code in zip(rows.tolist(), holders, codes, strict=True):
                    item = (fields[code][1].name, own[name][row])
                    children[fields[code][0].name].setdefault(holder, []).append(item)
        return own

    def _own(self, parts: ModelParts, name: str, table: Table) -> list[int]:
        """Return numbers for what the columns of a table say."""
        if name in _BY_PARTS:
            return [self.of(name)] * table.n_rows
        digests = _spilled(parts, name)
        keys: list[Any] = [repeat(name)]
        for field in self._fields[name]:
            column = table.columns.get(field)
            values = _comparable(column) if column else None
            if values is None:
                keys.append(repeat(None))
                continue
            for row, digest in digests.pop(field, {}).items():
                values[row] = digest
            # A default says as much as no column at all.
            keys.append([value or None for value in values])
        keys.append(table.presence.tolist() if name == _DIMENSION else repeat(0, table.n_rows))
        if name == TENSOR:
            keys.append(_elements(parts, table))
        known = self._known
        return [known.setdefault(key, len(known)) for key in zip(*keys, strict=False)]


def _checked_tables(parts: ModelParts) -> dict[str, Table]:
    """Return the tables; each row leads to one that is there, and these to the model.

    Raises:
        FormatError: They do not, as only a forged file has it.
    """
    tables = parts.tables()
    try:
        lay_out(tables)
    except FormatError as error:
        raise error.within(parts.where) from error
    return tables.tables


def content_digest(tensor: Tensor) -> tuple[Any, ...]:
    """Return type, shape and a digest of the elements of a tensor, wherever they lie.

    Raises:
        IntegrityError: The file is damaged.
    """
    digest = xxhash.xxh3_128()
    try:
        for block in tensor.blocks():
            if block.dtype == object:
                digest.update(repr(block.tolist()).encode(errors="surrogatepass"))
            else:
                digest.update(block.view(np.uint8) if block.size else b"")
    except UnsupportedModelError as error:
        digest.update(f"malformed: {error}".encode(errors="surrogatepass"))
        for part in tensor.stored_bytes():
            digest.update(part)
    return tensor.data_type, tensor.shape, digest.hexdigest()


def _elements(parts: ModelParts, table: Table) -> list[Any]:
    """Return digests of the elements of tensors, None for initializers."""
    code = parts.schema[_GRAPH].by_name["initializer"].code
    return [
        None if field == code else content_digest(Tensor(parts, row))
        for row, field in enumerate(table.parent_field.tolist())
    ]


def _spilled(parts: ModelParts, name: str) -> dict[str, dict[int, str]]:
    """Return digests of long strings that stand among the payloads, by field and row."""
    payloads = parts.payloads
    found: dict[str, dict[int, str]] = defaultdict(dict)
    codes = {item.code: item.name for item in parts.schema[name].fields}
    which = np.isin(payloads.field, list(set(codes) - set(parts.tensor_codes)))
    for index in np.flatnonzero(which).tolist():
        digest = xxhash.xxh3_128(np.ascontiguousarray(parts.values(index))).hexdigest()
        found[codes[int(payloads.field[index])]][int(payloads.row[index])] = digest
    return found


def _comparable(column: Column) -> list[Any]:
    """Return the values of a column so that equal bits are equal values, and lists are hashable."""
    values = column.values
    if values.dtype.kind == "f":
        column = Column(column.offsets, values.view(f"i{values.dtype.itemsize}"))
    listed = column.to_list()
    if len(column.offsets) > column.is_text:
        return [tuple(value) for value in listed]
    return listed


def _depths(parts: ModelParts, tables: dict[str, Table]) -> dict[str, npt.NDArray[np.int64]]:
    """Return how many messages are around each one."""
    depths = {name: np.full(table.n_rows, -1) for name, table in tables.items()}
    if "ModelProto" in depths:
        depths["ModelProto"][:] = 0
    level = 0
    changed = True
    while changed:
        changed = False
        for name, table in tables.items():
            unknown = np.flatnonzero(depths[name] < 0)
            for code in distinct(table.parent_field[unknown]).tolist():
                here = unknown[table.parent_field[unknown] == code]
                holder = depths[parts.schema.fields[code][0].name]
                at = here[holder[table.parent[here].astype(np.int64)] == level]
                depths[name][at] = level + 1
                changed |= bool(len(at))
        level += 1
    return depths
