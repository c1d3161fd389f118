"""The messages of a model by what holds them, and their fields as Python values.

For what is shown or compared message by message; the tables are the better form for all else.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from onnxroot._parts import ModelParts
from onnxroot._spec import TENSOR
from onnxroot._tensors import Tensor
from onnxroot.tables import Table

__all__ = ["Messages", "operator_name"]

_ATTRIBUTE = "AttributeProto"
_SINGLE = {1: "f", 2: "i", 3: "s"}  # AttributeProto.AttributeType
_LISTS = {6: "floats", 7: "ints", 8: "strings"}
_MESSAGES = {
    "t": "TensorProto",
    "tensors": "TensorProto",
    "g": "GraphProto",
    "graphs": "GraphProto",
    "sparse_tensor": "SparseTensorProto",
    "sparse_tensors": "SparseTensorProto",
    "tp": "TypeProto",
    "type_protos": "TypeProto",
}
_WORDS = {"SparseTensorProto": "sparse tensor", "TypeProto": "type"}


class Messages:
    """All messages of one model."""

    def __init__(self, parts: ModelParts) -> None:
        """Read nothing yet.

        Args:
            parts: The model.
        """
        self.parts = parts
        self._columns: dict[tuple[str, str], list[Any]] = {}
        self._held: dict[tuple[str, str], dict[int, list[int]]] = {}

    def table(self, name: str) -> Table | None:
        """Return the table of a message type."""
        return self.parts.table(name)

    def column(self, message: str, field: str, default: Any = "") -> list[Any]:
        """Return the values of a column, defaults where there is none."""
        key = message, field
        if key not in self._columns:
            table = self.table(message)
            column = table.columns.get(field) if table else None
            n_rows = table.n_rows if table else 0
            self._columns[key] = column.to_list() if column else [default] * n_rows
        return self._columns[key]

    def held(self, message: str, holder: str, field: str, row: int) -> list[int]:
        """Return the rows of the messages that a field of one message holds."""
        key = message, f"{holder}.{field}"
        if key not in self._held:
            self._held[key] = defaultdict(list)
            table = self.table(message)
            item = self.parts.schema[holder].by_name.get(field)
            if table is not None and item is not None:
                here = np.flatnonzero(table.parent_field == item.code)
                for child, parent in zip(here.tolist(), table.parent[here].tolist(), strict=True):
                    self._held[key][parent].append(child)
        return self._held[key].get(row, [])

    def tensor(self, row: int) -> Tensor:
        """Return a tensor."""
        return Tensor(self.parts, row)

    def node(self, row: int) -> dict[str, Any]:
        """Return a node's ``name``, ``operator``, ``inputs`` and ``outputs``."""
        names = ("domain", "op_type", "overload")
        return {
            "name": self.column("NodeProto", "name")[row],
            "operator": operator_name(*(self.column("NodeProto", name)[row] for name in names)),
            "inputs": self.column("NodeProto", "input", [])[row],
            "outputs": self.column("NodeProto", "output", [])[row],
        }

    def attributes(self, node: int) -> dict[str, int]:
        """Return the rows of a node's attributes, by name."""
        names = self.column("AttributeProto", "name")
        return {
            names[row]: row for row in self.held("AttributeProto", "NodeProto", "attribute", node)
        }

    def subgraphs(self, attribute: int) -> list[int]:
        """Return the rows of the graphs that an attribute holds."""
        return [
            row
            for field in ("g", "graphs")
            for row in self.held("GraphProto", "AttributeProto", field, attribute)
        ]

    def attribute_tensor(self, attribute: int) -> Tensor | None:
        """Return the tensor in an attribute."""
        rows = self.held(TENSOR, _ATTRIBUTE, "t", attribute)
        return self.tensor(rows[0]) if rows else None

    def attribute_text(self, attribute: int) -> str:
        """Return what an attribute holds: ``[3, 3]``, ``'SAME_UPPER'``, ``tensor FLOAT[2]``."""
        reference = self.column(_ATTRIBUTE, "ref_attr_name")[attribute]
        if reference:
            return f"the function's {reference}"
        kind = self.column(_ATTRIBUTE, "type", 0)[attribute]
        if kind in _SINGLE:
            value = self.column(_ATTRIBUTE, _SINGLE[kind], "" if kind == 3 else 0)[attribute]
            return repr(value) if kind == 3 else f"{value:.9g}" if kind == 1 else str(value)
        if kind in _LISTS:
            values = self.column(_ATTRIBUTE, _LISTS[kind], [])[attribute]
            texts = [f"{value:.9g}" if kind == 6 else repr(value) for value in values]
            return f"[{', '.join(texts)}]"
        found = [
            self._in_words(message, child)
            for field, message in _MESSAGES.items()
            for child in self.held(message, _ATTRIBUTE, field, attribute)
        ]
        return ", ".join(found) or "nothing"

    def _in_words(self, message: str, row: int) -> str:
        if message == TENSOR:
            tensor = self.tensor(row)
            return f"tensor {tensor.data_type}[{', '.join(map(str, tensor.shape))}]"
        if message == "GraphProto":
            return f"graph {self.column(message, 'name')[row]!r}"
        return _WORDS[message]


def operator_name(domain: str, name: str, overload: str = "") -> str:
    """Return the full name of an operator or function; ``ai.onnx`` is the default domain."""
    head = f"{domain}::" if domain not in {"", "ai.onnx"} else ""
    return f"{head}{name}:{overload}" if overload else f"{head}{name}"
