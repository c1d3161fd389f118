"""The normal form of what exporters make: the same for every framework.

The same source gives the same bytes, in another process and in another folder; no path, user name
or source line of the machine it was made on is left; and what is left is a valid model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import onnx
from google.protobuf.message import Message
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

from onnxroot.errors import UnsupportedModelError

__all__ = ["normalise"]

_DEBUG_KEYS = re.compile(
    r"pkg\.(torch|onnxscript)\.|namespace|stack_trace|source|location", re.IGNORECASE
)
_MOST_NBYTES = 2**31 - 1  # of a protobuf message


def normalise(
    model: ModelProto,
    *,
    graph_name: str,
    rename: bool = False,
    weight_names: Mapping[str, str] | None = None,
    keep_debug_info: bool = False,
) -> ModelProto:
    """Bring a model into the normal form.

    Args:
        model: What the exporter made.
        graph_name: The name its graph gets.
        rename: Give nodes and inner values names that tell their place, for exporters that count
            or draw names. Inputs and outputs keep theirs; weights are in the order of their use.
        weight_names: New names of weights by the exporter's, where `rename` need not number them.
        keep_debug_info: Keep doc strings and metadata of nodes and values.

    Returns:
        A new model.

    Raises:
        UnsupportedModelError: It is not valid.
    """
    result = ModelProto()
    result.CopyFrom(model)
    result.graph.name = graph_name
    result.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx takes them from a set
    if not keep_debug_info:
        _clear_debug_info(result)
    if rename:
        _rename(result.graph, weight_names or {})
    _check(result)
    return result


# --- what the exporter noted ---------------------------------------------------------------------


def _clear_debug_info(model: ModelProto) -> None:
    """Clear all doc strings, and the metadata of everything but the model itself."""
    model.doc_string = ""
    kept = [entry for entry in model.metadata_props if not _DEBUG_KEYS.match(entry.key)]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    for message in _messages(model):
        if message is model:
            continue
        names = message.DESCRIPTOR.fields_by_name
        if "doc_string" in names:
            message.ClearField("doc_string")
        if "metadata_props" in names:
            message.ClearField("metadata_props")


def _messages(message: Message) -> Iterator[Message]:
    """Yield a message and all in it, but the values of tensors."""
    yield message
    for item, value in message.ListFields():
        if item.type != item.TYPE_MESSAGE:
            continue
        for inner in value if isinstance(value, Iterable) else [value]:
            yield from _messages(inner)


# --- names ---------------------------------------------------------------------------------------


def _rename(graph: GraphProto, weight_names: Mapping[str, str]) -> None:
    """Name nodes and values by their place in the graph."""
    outer = {value.name for value in (*graph.input, *graph.output)}
    names = _Names(outer, weight_names)
    _sort_nodes(graph)
    _sort_weights(graph)
    _rename_within(graph, {name: name for name in outer}, "", names)


class _Names:
    """Names that are given once in a model."""

    def __init__(self, taken: Iterable[str], weights: Mapping[str, str]) -> None:
        self._taken = set(taken)
        self._weights = weights

    def new(self, wanted: str) -> str:
        """Return a name, with a number behind it if it is taken."""
        name, i = wanted, 1
        while name in self._taken:
            name, i = f"{wanted}_{i}", i + 1
        self._taken.add(name)
        return name

    def of_weight(self, old: str, otherwise: str) -> str:
        return self.new(self._weights.get(old, otherwise))


def _sort_nodes(graph: GraphProto) -> None:
    """Put nodes, of inner graphs too, in the order in which the outputs need them.

    Exporters that draw names sort by them: the order of what does not depend on each other varies.
    """
    for node in graph.node:
        for inner in _graphs_of(node):
            _sort_nodes(inner)
            _sort_weights(inner)
    _settle_copies(graph)
    maker = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    ends = [value.name for value in graph.output]
    order: list[int] = []
    placed: set[int] = set()
    stack = [(maker[name], False) for name in reversed(ends) if name in maker]
    while stack:
        i, ready = stack.pop()
        if i in placed:
            continue
        if ready:
            placed.add(i)
            order.append(i)
            continue
        stack.append((i, True))
        needed = [maker[name] for name in _read_by(graph.node[i]) if name in maker]
        stack += [(j, False) for j in reversed(needed) if j not in placed]
    order += [i for i in range(len(graph.node)) if i not in placed]
    if order != sorted(order):
        _reorder(graph.node, order)


def _settle_copies(graph: GraphProto) -> None:
    """Let the first of several outputs with the same value be it, and the others its copies.

    Copies within the graph go.
    """
    made = {name: node for node in graph.node for name in node.output if name}

    def origin(name: str) -> str:
        while made[name].op_type == "Identity" and made[name].input[0] in made:
            name = made[name].input[0]
        return name

    names = {name: origin(name) for name in made}
    if all(name == found for name, found in names.items()):
        return
    kept = [
        node
        for node in graph.node
        if not any(names.get(name, name) != name for name in node.output)
    ]
    copies: list[NodeProto] = []
    first: dict[str, str] = {}
    for value in graph.output:
        found = names.get(value.name)
        if found is None:
            continue
        if found in first:
            copy = onnx.helper.make_node("Identity", [first[found]], [value.name])
            copies.append(copy)
        first.setdefault(found, value.name)
    final = {name: first.get(found, found) for name, found in names.items()}
    for node in kept:
        node.output[:] = [final.get(name, name) for name in node.output]
    nodes = [_copy_of(node) for node in (*kept, *copies)]
    for node in nodes[: len(kept)]:
        _read_others(node, final)
    del graph.node[:]
    graph.node.extend(nodes)


def _copy_of(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def _read_others(node: NodeProto, names: Mapping[str, str]) -> None:
    """Let a node, and the graphs within it, read other values."""
    node.input[:] = [names.get(name, name) for name in node.input]
    for graph in _graphs_of(node):
        for inner in graph.node:
            _read_others(inner, names)
        for value in graph.output:
            value.name = names.get(value.name, value.name)


def _sort_weights(graph: GraphProto) -> None:
    """Put initializers in the order of their first use."""
    place: dict[str, int] = {}
    for node in _nodes_of(graph):
        for name in node.input:
            place.setdefault(name, len(place))
    last = len(place)
    uses = [place.get(tensor.name, last) for tensor in graph.initializer]
    order = sorted(range(len(uses)), key=uses.__getitem__)
    if order != sorted(order):
        _reorder(graph.initializer, order)


def _reorder(messages: Any, order: Sequence[int]) -> None:
    """Put the messages of a repeated field in another order."""
    copies = [type(message)() for message in messages]
    for copy, message in zip(copies, messages, strict=True):
        copy.CopyFrom(message)
    del messages[:]
    messages.extend(copies[i] for i in order)


def _read_by(node: NodeProto) -> Iterator[str]:
    """Yield the names that a node reads, and those that graphs within it do."""
    yield from node.input
    for graph in _graphs_of(node):
        for inner in graph.node:
            yield from _read_by(inner)
        yield from (value.name for value in graph.output)


def _rename_within(graph: GraphProto, known: dict[str, str], prefix: str, taken: _Names) -> None:
    """Rename what a graph defines, and what it uses; `known` has the names from around it."""
    names = dict(known)

    def define(old: str, new: str) -> str:
        if old not in names:
            names[old] = taken.new(new)
        return names[old]

    weights = (*graph.initializer, *(t.values for t in graph.sparse_initializer))
    for i, tensor in enumerate(weights):
        if tensor.name not in names:
            names[tensor.name] = taken.of_weight(tensor.name, f"{prefix}weight_{i}")
        tensor.name = names[tensor.name]
    if prefix:  # inner graphs: their inputs and outputs are nobody's interface
        for i, value in enumerate(graph.input):
            value.name = define(value.name, f"{prefix}input_{i}")
    for i, node in enumerate(graph.node):
        node.name = f"{prefix}{node.op_type}_{i}"
        node.input[:] = [names.get(name, name) for name in node.input]
        several = len(node.output) > 1
        node.output[:] = [
            define(name, f"{node.name}_{j if several else 'out'}") if name else ""
            for j, name in enumerate(node.output)
        ]
        for j, inner in enumerate(_graphs_of(node)):
            inner.name = f"{node.name}_graph_{j}"
            _rename_within(inner, names, f"{node.name}_", taken)
    for value in (*(graph.output if prefix else ()), *graph.value_info):
        value.name = names.get(value.name, value.name)
    for annotation in graph.quantization_annotation:
        annotation.tensor_name = names.get(annotation.tensor_name, annotation.tensor_name)


def _graphs_of(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


# --- validity ------------------------------------------------------------------------------------


def _check(model: ModelProto) -> None:
    """Check a model as ONNX defines it, types and shapes included.

    Raises:
        UnsupportedModelError: It is not valid, or uses operators that ONNX does not define.
    """
    foreign = sorted(_foreign_operators(model))
    if foreign:
        raise UnsupportedModelError(
            f"the exporter left operators that no ONNX runtime has: {', '.join(foreign)}; use "
            "layers that the exporter can translate"
        )
    if model.ByteSize() > _MOST_NBYTES:
        return  # the checker takes no more; the proof runs it all the same
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first = str(error).strip().split("\n")[0]
        raise UnsupportedModelError(f"the exporter made an invalid model: {first}") from error


def _foreign_operators(model: ModelProto) -> set[str]:
    """Return operators of domains that neither ONNX nor the model itself defines."""
    own = {(function.domain, function.name) for function in model.functions}
    graphs: list[GraphProto | FunctionProto] = [model.graph, *model.functions]
    nodes = [node for graph in graphs for node in _nodes_of(graph)]
    known = {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "com.microsoft"}
    found = {
        f"{node.domain}::{node.op_type}"
        for node in nodes
        if node.domain not in known and (node.domain, node.op_type) not in own
    }
    defined = {
        schema.name for schema in onnx.defs.get_all_schemas() if schema.domain in ("", "ai.onnx")
    }
    found |= {
        node.op_type
        for node in nodes
        if node.domain in ("", "ai.onnx")
        and node.op_type not in defined
        and (node.domain, node.op_type) not in own
    }
    return found


def _nodes_of(graph: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    """Yield the nodes of a graph, and those of graphs within them."""
    for node in graph.node:
        yield node
        for inner in _graphs_of(node):
            yield from _nodes_of(inner)
