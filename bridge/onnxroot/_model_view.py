"""What a model is made of, whichever file it is in: inputs, outputs, nodes, tensors, versions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from onnxroot._dtypes import ELEMENT_TYPES
from onnxroot._html import html_table
from onnxroot._messages import Messages, operator_name
from onnxroot._parts import ModelParts
from onnxroot._plot import plot_tensors
from onnxroot._schema import Field
from onnxroot._spec import ROOT_MESSAGE
from onnxroot._tensors import Tensors

if TYPE_CHECKING:
    import awkward as ak
    from matplotlib.figure import Figure
    from typing_extensions import Self

__all__ = ["ModelView", "Value"]

_MAX_TYPE_LEVELS = 64
"""Types that nest deeper are not spelled out: more than messages may hold without raised limits."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of the model.

    Attributes:
        name: Its name.
        type: Element type in ONNX's terms, such as ``FLOAT``, or a type that holds others, such as
            ``sequence(map(INT64, FLOAT))``; empty where the model gives none.
        shape: A size, a name, or None for each dimension; None where the rank is unknown.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        """Return ``name: TYPE[d, d]``."""
        if self.shape is None:
            return f"{self.name}: {self.type or '?'}"
        dims = ", ".join("?" if d in (None, "") else str(d) for d in self.shape)
        return f"{self.name}: {self.type or '?'}[{dims}]"


class ModelView:
    """A model to be looked at; a context manager.

    Reads tables and tensors when they are asked for. Not to be used from several threads at once.
    """

    def __init__(self, parts: ModelParts) -> None:
        """Wrap an open model; `_look.open_view` is the way to get one of any file."""
        self._parts = parts
        self._held: dict[tuple[str, int], tuple[npt.NDArray[np.intp], npt.NDArray[np.uint64]]] = {}

    def __enter__(self) -> Self:
        """Return the model."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def __repr__(self) -> str:
        """Return the address."""
        return f"<{type(self).__name__} {self.address}>"

    def _repr_html_(self) -> str:
        """Return what the model is, as a table for notebooks."""
        rows = [("input", str(value)) for value in self.inputs]
        rows += [("output", str(value)) for value in self.outputs]
        counts = ", ".join(f"{name} x {n:,}" for name, n in self.operators.items())
        opsets = ", ".join(f"{name or 'ai.onnx'} {n}" for name, n in self.opset_imports.items())
        rows += [
            ("operators", f"{self.n_nodes:,} nodes: {counts}"),
            ("parameters", f"{self.n_parameters:,} in {len(self.tensors):,} tensors"),
            ("opsets", opsets or "none"),
            ("made by", self.producer or "an unknown producer"),
        ]
        return html_table(self.address, ("What", "Value"), rows)

    def plot(self, *, most: int = 12, bins: int = 50) -> Figure:
        """Draw the distributions of the largest tensors, with matplotlib.

        Args:
            most: How many tensors at most, in the model's order.
            bins: Number of bins.

        Returns:
            The figure.

        Raises:
            MissingDependencyError: matplotlib is not installed.
            UnsupportedModelError: There is no tensor of real numbers.
        """
        kinds = ("STRING", "COMPLEX")
        known = [t for t in self.tensors.values() if t.size and not t.data_type.startswith(kinds)]
        largest = {t.name for t in sorted(known, key=lambda tensor: -tensor.size)[:most]}
        return plot_tensors([t for t in known if t.name in largest], bins)

    def close(self) -> None:
        """Close the file."""
        self._parts.close()

    @property
    def address(self) -> str:
        """Where the model is: ``file.root:directory``, or the path of an ONNX file."""
        return self._parts.where

    @property
    def path(self) -> str:
        """The file it is in."""
        return self._parts.path

    @property
    def parts(self) -> ModelParts:
        """The tables and payloads that all this is read from."""
        return self._parts

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of the ONNX file, under an empty name, and of each external file by location."""
        return dict(self._parts.sizes)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each of these files; of ONNX files, they are read for it."""
        return self._parts.digests()

    @cached_property
    def tensors(self) -> Tensors:
        """The initializers by name; reading one reads that tensor's pages alone."""
        return Tensors(self._parts)

    @property
    def inputs(self) -> list[Value]:
        """The inputs of the main graph, initializers among them included."""
        return self._values("input")

    @property
    def outputs(self) -> list[Value]:
        """The outputs of the main graph."""
        return self._values("output")

    @cached_property
    def opset_imports(self) -> dict[str, int]:
        """Version of each operator set the model imports, by domain."""
        pairs = self._children("OperatorSetIdProto", ROOT_MESSAGE, "opset_import", 0)
        return {
            str(self._cell("OperatorSetIdProto", "domain", row) or ""): int(
                self._cell("OperatorSetIdProto", "version", row) or 0
            )
            for row in pairs.tolist()
        }

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The model's own ``metadata_props``."""
        rows = self._children("StringStringEntryProto", ROOT_MESSAGE, "metadata_props", 0)
        return {
            str(self._cell("StringStringEntryProto", "key", row) or ""): str(
                self._cell("StringStringEntryProto", "value", row) or ""
            )
            for row in rows.tolist()
        }

    @cached_property
    def nodes(self) -> ak.Array:
        """The nodes of the main graph in order, as an awkward array of records.

        Fields: ``name``, ``op_type``, ``domain``, ``overload`` (strings), ``input``, ``output``
        (lists of strings); those that no node has are empty.
        """
        import awkward as ak  # noqa: PLC0415  (0.3 s that other readers need not spend)

        rows = self._children("NodeProto", "GraphProto", "node", self.main_graph)
        table = self._parts.table("NodeProto")
        columns: dict[str, Any] = {}
        for name in ("name", "op_type", "domain", "overload", "input", "output"):
            column = table.columns.get(name) if table else None
            if column is None:
                is_list = name in {"input", "output"}
                columns[name] = ak.Array([[""][:0] if is_list else ""] * len(rows))
                continue
            char = ak.contents.NumpyArray(column.values, parameters={"__array__": "char"})
            content: Any = ak.contents.ListOffsetArray(
                ak.index.Index64(column.offsets[-1]), char, parameters={"__array__": "string"}
            )
            for offsets in column.offsets[:-1]:
                content = ak.contents.ListOffsetArray(ak.index.Index64(offsets), content)
            columns[name] = ak.Array(content)[rows]
        return ak.zip(columns, depth_limit=1)

    @cached_property
    def operators(self) -> dict[str, int]:
        """How many nodes of the main graph have each operator, the most frequent first.

        Operators of other domains than ONNX's own are named ``domain::operator``.
        """
        rows = self._children("NodeProto", "GraphProto", "node", self.main_graph)
        messages = Messages(self._parts)
        names, domains = (messages.column("NodeProto", name) for name in ("op_type", "domain"))
        counts = Counter(operator_name(domains[row], names[row]) for row in rows.tolist())
        return dict(counts.most_common())

    @property
    def n_nodes(self) -> int:
        """How many nodes the main graph has."""
        return len(self._children("NodeProto", "GraphProto", "node", self.main_graph))

    @property
    def n_parameters(self) -> int:
        """How many elements the initializers have."""
        return sum(tensor.size for tensor in self.tensors.values())

    @property
    def producer(self) -> str:
        """Name and version of the program that made the model; empty where it gives none."""
        parts = [self._cell(ROOT_MESSAGE, f"producer_{part}", 0) for part in ("name", "version")]
        return " ".join(str(part) for part in parts if part)

    @property
    def ir_version(self) -> int | None:
        """The ONNX IR version, or None where the model gives none."""
        value = self._cell(ROOT_MESSAGE, "ir_version", 0)
        return None if value is None else int(value)

    @cached_property
    def main_graph(self) -> int:
        """Row of the main graph in the table of GraphProto, -1 if there is none."""
        rows = self._children("GraphProto", ROOT_MESSAGE, "graph", 0)
        return int(rows[0]) if len(rows) else -1

    def _children(self, name: str, holder: str, field: str, row: int) -> npt.NDArray[np.intp]:
        """Return the rows of the messages that a field of one message holds."""
        table = self._parts.table(name)
        if table is None or row < 0:
            return np.empty(0, np.intp)
        code = self._parts.schema[holder].by_name[field].code
        if (name, code) not in self._held:  # a model may have a million inputs, each with a type
            rows = np.flatnonzero(table.parent_field == code)
            rows = rows[np.argsort(table.parent[rows], kind="stable")]
            self._held[name, code] = rows, table.parent[rows]
        rows, holders = self._held[name, code]
        first, last = np.searchsorted(holders, np.array([row, row + 1], np.uint64))
        return rows[first:last]

    def _cell(self, name: str, field: str, row: int) -> str | int | None:
        """Return one value of a scalar or string column, None where it is absent."""
        table = self._parts.table(name)
        if table is None or field not in table.columns:
            return None
        kind = self._parts.schema[name]
        bit = np.uint64(kind.optional.index(kind.by_name[field]))
        if not int(table.presence[row] >> bit) & 1:
            return None
        column = table.columns[field]
        return column.text(row) if column.is_text else int(column.values[row])

    def _values(self, field: str) -> list[Value]:
        rows = self._children("ValueInfoProto", "GraphProto", field, self.main_graph)
        return [self.value_at(row) for row in rows.tolist()]

    def value_at(self, row: int) -> Value:
        """Return what a row of the table of ValueInfoProto says."""
        name = str(self._cell("ValueInfoProto", "name", row) or "")
        for kind in self._children("TypeProto", "ValueInfoProto", "type", row).tolist():
            return Value(name, *self._type(kind))
        return Value(name, "", None)

    def _type(self, row: int, level: int = 0) -> tuple[str, tuple[int | str | None, ...] | None]:
        if level > _MAX_TYPE_LEVELS:
            return "...", None
        for field in ("tensor_type", "sparse_tensor_type"):
            message = self._parts.schema["TypeProto"].by_name[field].type
            for tensor in self._children(message, "TypeProto", field, row).tolist():
                number = int(self._cell(message, "elem_type", tensor) or 0)
                element = ELEMENT_TYPES.get(number)
                text = element.name if element else f"data_type {number}"
                sparse = "sparse " if field == "sparse_tensor_type" else ""
                return sparse + text, self._shape(message, tensor)
        for item in self._parts.schema["TypeProto"].fields:
            if item.is_message and len(self._children(item.type, "TypeProto", item.name, row)):
                return self._composed(item, row, level), None
        return "", None

    def _composed(self, item: Field, row: int, level: int) -> str:
        """Return a type that holds others: ``sequence(map(INT64, FLOAT))``."""
        kind = item.name.removesuffix("_type")
        for holder in self._children(item.type, "TypeProto", item.name, row).tolist():
            parts = []
            if kind == "map":
                number = int(self._cell(item.type, "key_type", holder) or 0)
                key = ELEMENT_TYPES.get(number)
                parts.append(key.name if key else f"data_type {number}")
            inner = [
                row
                for field in self._parts.schema[item.type].fields
                if field.type == "TypeProto"
                for row in self._children("TypeProto", item.type, field.name, holder).tolist()
            ]
            held = [Value("", *self._type(row, level + 1)) for row in inner]
            parts += [str(value).removeprefix(": ") for value in held]
            return f"{kind}({', '.join(parts)})" if parts else kind
        return kind

    def _shape(self, message: str, row: int) -> tuple[int | str | None, ...] | None:
        for shape in self._children("TensorShapeProto", message, "shape", row).tolist():
            dims = "TensorShapeProto_Dimension"
            rows = self._children(dims, "TensorShapeProto", "dim", shape)
            return tuple(
                value
                if (value := self._cell(dims, "dim_value", d)) is not None
                else self._cell(dims, "dim_param", d)
                for d in rows.tolist()
            )
        return None
