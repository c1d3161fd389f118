"""The graphs of a model as Python objects, to be compared with those of another.

The tables are the better form for most things; but what was renamed or rewired is found node by
node, with dictionaries of names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from onnxroot._identity import Identities, Rows
from onnxroot._messages import Messages, operator_name
from onnxroot._model_view import ModelView
from onnxroot._parts import ModelParts
from onnxroot._spec import TENSOR

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
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
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


class ModelContent(Messages):
    """The content of one model: its tables as lists, what holds what, and what says the same."""

    def __init__(self, parts: ModelParts, identities: Identities) -> None:
        """Read all message tables.

        Args:
            parts: The model.
            identities: Shared with the model that this one is compared with.
        """
        super().__init__(parts)
        self.identities = identities
        self.rows: Rows = identities.of_rows(parts)

    def column(self, message: str, field: str, default: Any = "") -> list[Any]:
        """Return the values of a column; equal texts are one object, in both models."""
        is_new = (message, field) not in self._columns
        values = super().column(message, field, default)
        if is_new:
            shared = self.identities.texts.setdefault
            for i, value in enumerate(values):
                if isinstance(value, str):
                    values[i] = shared(value, value)
                elif isinstance(value, list) and value and isinstance(value[0], str):
                    values[i] = tuple(map(shared, value, value))
        return values

    @cached_property
    def view(self) -> ModelView:
        """The model as it is shown."""
        return ModelView(self.parts)

    @cached_property
    def main(self) -> Graph:
        """The main graph; an empty one where the model has none."""
        rows = self.held("GraphProto", "ModelProto", "graph", 0)
        return self.graph(rows[0]) if rows else _empty()

    @cached_property
    def functions(self) -> dict[str, int]:
        """The rows of the functions, by ``domain::name:overload``."""
        parts = [self.column("FunctionProto", name) for name in ("domain", "name", "overload")]
        return {operator_name(*found): row for row, found in enumerate(zip(*parts, strict=True))}

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

    @cached_property
    def has_subgraphs(self) -> bool:
        """Whether any attribute holds a graph."""
        table = self.table("GraphProto")
        return table is not None and table.n_rows > 1

    def attribute_id(self, attribute: int) -> int:
        """Return the number of an attribute's content, graphs aside."""
        return self.rows["AttributeProto"][attribute]

    def _nodes(self, holder: str, row: int) -> list[Node]:
        table = self.table("NodeProto")
        if table is None:
            return []
        names, op_types = (self.column("NodeProto", name) for name in ("name", "op_type"))
        domains, overloads = (self.column("NodeProto", name) for name in ("domain", "overload"))
        inputs, outputs = (self.column("NodeProto", name, []) for name in ("input", "output"))
        docs = self.column("NodeProto", "doc_string")
        contents = self.rows.get("AttributeProto", [])
        has_properties = "StringStringEntryProto" in self.parts.tables().tables
        found = []
        for node in self.held("NodeProto", holder, "node", row):
            attributes = self.held("AttributeProto", "NodeProto", "attribute", node)
            content = self.identities.of(tuple(sorted(contents[a] for a in attributes)))
            properties = self._properties("NodeProto", node) if has_properties else {}
            remarks = self.identities.of((docs[node], tuple(properties.items())))
            operator = operator_name(domains[node], op_types[node], overloads[node])
            operator = self.identities.texts.setdefault(operator, operator)
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


def _without_end(names: Sequence[str]) -> tuple[str, ...]:
    """Return names without empty ones at the end, which mean the same as none."""
    end = len(names)
    while end and not names[end - 1]:
        end -= 1
    return tuple(names[:end])


def _empty() -> Graph:
    return Graph(nodes=[], inputs=[], outputs=[], types={}, tensors={}, rest={})
