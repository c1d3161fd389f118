"""The graphs of a model as Python objects, to be compared with those of another.

The tables are the better form for most things; but what was renamed or rewired is found node by
node, with dictionaries of names.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from onnxroot._attribute_text import attribute_text
from onnxroot._identity import Identities, Rows
from onnxroot._parts import ModelParts
from onnxroot._spec import TENSOR
from onnxroot._tensors import Tensor
from onnxroot.tables import Table

__all__ = ["Graph", "ModelContent", "Node"]


@dataclass(slots=True, eq=False)
class Node:
    """One node.

    Attributes:
        row: Its row in the table of NodeProto.
        name: Its name, often empty.
        operator: ``domain::op_type:overload``, without what is empty.
        inputs: Names of the values it takes; empty where it takes none.
        outputs: Names of the values it makes.
        content: Number of its attributes' content, graphs aside.
        remarks: Number of what does not matter to a runtime: doc_string, metadata_props ...
    """

    row: int
    name: str
    operator: str
    inputs: list[str]
    outputs: list[str]
    content: int
    remarks: int


@dataclass(slots=True, kw_only=True)
class Graph:
    """The main graph, a graph in an attribute, or the body of a function.

    Attributes:
        nodes: In order.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        types: Row of the ValueInfoProto of each input and output that has one, by name.
        tensors: Row of each initializer, by name.
        rest: Everything else in it: number of the content by field and name.
    """

    nodes: list[Node]
    inputs: list[str]
    outputs: list[str]
    types: dict[str, int]
    tensors: dict[str, int]
    rest: dict[tuple[str, str], int]


class ModelContent:
    """The content of one model: its tables as lists, and what holds what."""

    def __init__(self, parts: ModelParts, identities: Identities) -> None:
        """Read all message tables.

        Args:
            parts: The model.
            identities: Shared with the model that this one is compared with.
        """
        self.parts = parts
        self.identities = identities
        self.rows: Rows = identities.of_rows(parts)
        self._tables = parts.tables().tables
        self._columns: dict[tuple[str, str], list[Any]] = {}
        self._held: dict[tuple[str, str], dict[int, list[int]]] = {}

    def table(self, name: str) -> Table | None:
        """Return the table of a message type."""
        return self._tables.get(name)

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

    @cached_property
    def main(self) -> Graph:
        """The main graph; an empty one where the model has none."""
        rows = self.held("GraphProto", "ModelProto", "graph", 0)
        return self.graph(rows[0]) if rows else _empty()

    @cached_property
    def functions(self) -> dict[str, int]:
        """The rows of the functions, by ``domain::name:overload``."""
        parts = [self.column("FunctionProto", name) for name in ("domain", "name", "overload")]
        return {_operator(*found): row for row, found in enumerate(zip(*parts, strict=True))}

    def graph(self, row: int) -> Graph:
        """Return a graph."""
        values = {
            field: self.held("ValueInfoProto", "GraphProto", field, row)
            for field in ("input", "output", "value_info")
        }
        names = self.column("ValueInfoProto", "name")
        tensors = self.held(TENSOR, "GraphProto", "initializer", row)
        texts = self.column(TENSOR, "name")
        rest = {
            ("type", names[value]): self.rows["ValueInfoProto"][value]
            for value in values["value_info"]
        }
        for field in ("name", "doc_string"):
            content = self.column("GraphProto", field)[row]
            if content:
                rest[field, ""] = self.identities.of(content)
        rest |= self._properties("GraphProto", row)
        rest |= self.unnamed("GraphProto", row, ("sparse_initializer", "quantization_annotation"))
        return Graph(
            nodes=self._nodes("GraphProto", row),
            inputs=[names[value] for value in values["input"]],
            outputs=[names[value] for value in values["output"]],
            types={names[value]: value for value in values["output"] + values["input"]},
            tensors=dict(reversed({texts[row]: row for row in reversed(tensors)}.items())),
            rest=rest,
        )

    def function(self, row: int) -> Graph:
        """Return the body of a function."""
        rest = {
            ("opset", self.column("OperatorSetIdProto", "domain")[opset]): self.rows[
                "OperatorSetIdProto"
            ][opset]
            for opset in self.held("OperatorSetIdProto", "FunctionProto", "opset_import", row)
        }
        for field in ("doc_string", "attribute"):
            content = self.column("FunctionProto", field)[row]
            if content:
                rest[field, ""] = self.identities.of(repr(content))
        rest |= self._properties("FunctionProto", row)
        rest |= self.unnamed("FunctionProto", row, ("attribute_proto", "value_info"))
        return Graph(
            nodes=self._nodes("FunctionProto", row),
            inputs=list(self.column("FunctionProto", "input", [])[row]),
            outputs=list(self.column("FunctionProto", "output", [])[row]),
            types={},
            tensors={},
            rest=rest,
        )

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

    @cached_property
    def has_subgraphs(self) -> bool:
        """Whether any attribute holds a graph."""
        table = self.table("GraphProto")
        return table is not None and table.n_rows > 1

    def attribute_id(self, attribute: int) -> int:
        """Return the number of an attribute's content, graphs aside."""
        return self.rows["AttributeProto"][attribute]

    def attribute_tensor(self, attribute: int) -> Tensor | None:
        """Return the tensor in an attribute."""
        rows = self.held(TENSOR, "AttributeProto", "t", attribute)
        return self.tensor(rows[0]) if rows else None

    def attribute_text(self, attribute: int) -> str:
        """Return what an attribute holds, in words."""
        return attribute_text(self.column, self.held, self.parts, attribute)

    def _nodes(self, holder: str, row: int) -> list[Node]:
        table = self.table("NodeProto")
        if table is None:
            return []
        names, op_types = (self.column("NodeProto", name) for name in ("name", "op_type"))
        domains, overloads = (self.column("NodeProto", name) for name in ("domain", "overload"))
        inputs, outputs = (self.column("NodeProto", name, []) for name in ("input", "output"))
        docs = self.column("NodeProto", "doc_string")
        contents = self.rows.get("AttributeProto", [])
        has_properties = "StringStringEntryProto" in self._tables
        found = []
        for node in self.held("NodeProto", holder, "node", row):
            attributes = self.held("AttributeProto", "NodeProto", "attribute", node)
            content = self.identities.of(tuple(sorted(contents[a] for a in attributes)))
            properties = self._properties("NodeProto", node) if has_properties else {}
            remarks = self.identities.of((docs[node], tuple(properties.items())))
            operator = _operator(domains[node], op_types[node], overloads[node])
            found.append(
                Node(
                    node,
                    names[node],
                    operator,
                    _without_end(inputs[node]),
                    _without_end(outputs[node]),
                    content,
                    remarks,
                )
            )
        return found

    def _properties(self, holder: str, row: int) -> dict[tuple[str, str], int]:
        keys = self.column("StringStringEntryProto", "key")
        return {
            ("metadata", keys[entry]): self.rows["StringStringEntryProto"][entry]
            for entry in self.held("StringStringEntryProto", holder, "metadata_props", row)
        }

    def unnamed(self, holder: str, row: int, fields: tuple[str, ...]) -> dict[tuple[str, str], int]:
        """Return what a message holds that is compared as a whole."""
        found = {}
        for field in fields:
            item = self.parts.schema[holder].by_name.get(field)
            rows = self.held(item.type, holder, field, row) if item else []
            if rows and item:
                numbers = tuple(self.rows[item.type][child] for child in rows)
                found[field, ""] = self.identities.of(numbers)
        return found


def _operator(domain: str, name: str, overload: str) -> str:
    """Return the full name of an operator or function; ``ai.onnx`` is the default domain."""
    head = f"{domain}::" if domain not in {"", "ai.onnx"} else ""
    return f"{head}{name}:{overload}" if overload else f"{head}{name}"


def _without_end(names: list[str]) -> list[str]:
    """Return names without empty ones at the end, which mean the same as none."""
    end = len(names)
    while end and not names[end - 1]:
        end -= 1
    return names[:end]


def _empty() -> Graph:
    return Graph(nodes=[], inputs=[], outputs=[], types={}, tensors={}, rest={})
