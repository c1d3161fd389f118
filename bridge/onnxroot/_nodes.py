"""The nodes of all graphs of a model, and what is around one of them: JSON types."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from onnxroot._limits import too_deep
from onnxroot._messages import Messages, operator_name
from onnxroot._model_view import ModelView
from onnxroot._readable import near
from onnxroot._spec import TENSOR
from onnxroot.errors import FormatError

__all__ = ["describe_node", "list_nodes"]

_TRAINING = "TrainingInfoProto"


@dataclass(frozen=True, slots=True)
class _Graph:
    """A graph, or the body of a function.

    Attributes:
        holder: Its message type.
        row: Its row in the table of these.
        label: Where it is: empty for the main graph; ``choice.then_branch`` for one in a node;
            ``function local::Sum``, ``training 0 algorithm``.
        key: The rows of the graphs around it, and its own.
    """

    holder: str
    row: int
    label: str
    key: tuple[int, ...]

    def holds(self, other: _Graph) -> bool:
        """Return whether values of this graph are known in another one."""
        return other.key[: len(self.key)] == self.key


def list_nodes(view: ModelView) -> Iterator[dict[str, Any]]:
    """Yield the nodes of all graphs in order; those of the main graph come first.

    Keys: ``graph``, which is empty for these, or else where they are, as ``choice.then_branch``
    (a node and its attribute) or ``function local::Sum``; ``position`` in that graph; ``row`` in
    the table of nodes; ``name``, ``operator``, ``inputs``, ``outputs``.
    """
    messages = Messages(view.parts)
    for graph in _graphs(messages, view.main_graph):
        for i, row in enumerate(messages.held("NodeProto", graph.holder, "node", graph.row)):
            yield {"graph": graph.label, "position": i, "row": row, **messages.node(row)}


def describe_node(view: ModelView, name: str) -> dict[str, Any]:
    """Return one node with its attributes, and the nodes around it.

    Args:
        view: The model.
        name: The node's name, or that of a value that it makes; of several, the first.

    Raises:
        ValueError: There is no such node.
    """
    messages = Messages(view.parts)
    graphs = list(_graphs(messages, view.main_graph))
    rows = {graph: messages.held("NodeProto", graph.holder, "node", graph.row) for graph in graphs}
    places = [
        (graph, i, messages.node(row)) for graph in graphs for i, row in enumerate(rows[graph])
    ]
    by_name = {value: place for place in reversed(places) for value in place[2]["outputs"]}
    by_name |= {place[2]["name"]: place for place in reversed(places) if place[2]["name"]}
    if name not in by_name:
        raise ValueError(f"{view.address}: no node {name!r}{near(name, by_name)}")
    graph, position, found = by_name[name]
    origin: dict[str, str] = {}
    for around in (one for one in graphs if one.holds(graph)):
        origin |= dict.fromkeys(_names(messages, around, "input"), "input of the graph")
        origin |= dict.fromkeys(_initializers(messages, around), "initializer")
        for other, _, node in places:
            if other is around:
                origin |= dict.fromkeys(node["outputs"], _called(node))
    users: dict[str, list[str]] = {value: [] for value in found["outputs"] if value}
    for other, _, node in places:
        if graph.holds(other):
            for value in users.keys() & set(node["inputs"]):
                users[value].append(_called(node))
    for value in _names(messages, graph, "output"):
        if value in users:
            users[value].append("output of the graph")
    attributes = messages.attributes(rows[graph][position])
    return {
        "name": found["name"],
        "operator": found["operator"],
        "graph": graph.label,
        "position": position,
        "inputs": [{"value": v, "from": origin.get(v, "")} for v in found["inputs"]],
        "outputs": [{"value": v, "to": users.get(v, [])} for v in found["outputs"]],
        "attributes": {key: messages.attribute_text(row) for key, row in attributes.items()},
    }


def _graphs(messages: Messages, main: int) -> Iterator[_Graph]:
    """Yield the main graph, those of its nodes, the functions, and the steps of training."""
    inner = _inner_graphs(messages)
    if main >= 0:
        yield from _with_inner(messages, _Graph("GraphProto", main, "", (main,)), inner)
    names = [messages.column("FunctionProto", part) for part in ("domain", "name", "overload")]
    for row, words in enumerate(zip(*names, strict=True)):
        label = f"function {operator_name(*words)}"
        yield from _with_inner(messages, _Graph("FunctionProto", row, label, (-1 - row,)), inner)
    for i, step in enumerate(messages.held(_TRAINING, "ModelProto", "training_info", 0)):
        for field in ("initialization", "algorithm"):
            for row in messages.held("GraphProto", _TRAINING, field, step):
                graph = _Graph("GraphProto", row, f"training {i} {field}", (row,))
                yield from _with_inner(messages, graph, inner)


def _inner_graphs(messages: Messages) -> dict[int, list[tuple[str, int]]]:
    """Return the graphs in the attributes of each node that has any: attribute and row."""
    found: dict[int, list[tuple[str, int]]] = {}
    table, graphs = messages.table("AttributeProto"), messages.table("GraphProto")
    if table is None or graphs is None or graphs.n_rows < 2:
        return found
    names = messages.column("AttributeProto", "name")
    for attribute in range(table.n_rows):
        for row in messages.subgraphs(attribute):
            item = names[attribute], row
            found.setdefault(int(table.parent[attribute]), []).append(item)
    return found


def _with_inner(
    messages: Messages, graph: _Graph, inner: dict[int, list[tuple[str, int]]]
) -> Iterator[_Graph]:
    """Yield a graph, and those in the attributes of its nodes.

    Raises:
        FormatError: They nest too deep: each is held by an attribute, that by a node.
    """
    yield graph
    if not inner:
        return
    below = [_inside(messages, graph, inner)]
    while below:
        found = next(below[-1], None)
        if found is None:
            below.pop()
            continue
        if 3 * len(below) > messages.parts.depth:
            raise FormatError(f"{messages.parts.where}: {too_deep(messages.parts.depth)}")
        yield found
        below.append(_inside(messages, found, inner))


def _inside(
    messages: Messages, graph: _Graph, inner: dict[int, list[tuple[str, int]]]
) -> Iterator[_Graph]:
    """Yield the graphs in the attributes of a graph's own nodes."""
    for node in messages.held("NodeProto", graph.holder, "node", graph.row):
        for attribute, row in inner.get(node, ()):
            found = messages.node(node)
            label = f"{graph.label}/{found['name'] or found['operator']}.{attribute}".lstrip("/")
            yield _Graph("GraphProto", row, label, (*graph.key, row))


def _names(messages: Messages, graph: _Graph, field: str) -> list[str]:
    """Return the names of a graph's inputs or outputs."""
    if graph.holder == "FunctionProto":
        return list(messages.column(graph.holder, field, [])[graph.row])
    names = messages.column("ValueInfoProto", "name")
    return [names[row] for row in messages.held("ValueInfoProto", graph.holder, field, graph.row)]


def _initializers(messages: Messages, graph: _Graph) -> list[str]:
    if graph.holder == "FunctionProto":
        return []
    names = messages.column(TENSOR, "name")
    return [names[row] for row in messages.held(TENSOR, graph.holder, "initializer", graph.row)]


def _called(node: dict[str, Any]) -> str:
    return f"{node['operator']} {node['name']!r}" if node["name"] else str(node["operator"])
