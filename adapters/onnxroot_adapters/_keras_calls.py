"""How the layers of a graph are called: as Keras 1 and 2 wrote it, in the form of Keras 3.

A call is [layer, number of the call, number of the output], and in Keras 2 maybe more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["calls_of_keras_3"]

_RECURRENT = {"Bidirectional", "ConvLSTM2D", "GRU", "LSTM", "RNN", "SimpleRNN"}


def calls_of_keras_3(
    config: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the settings of a graph in which each call is what it was.

    Args:
        config: Of a Functional, with ``input_layers`` and ``output_layers``.
        layers: Its layers, made modern.
    """
    found = _count_calls_from(config, layers)
    found["layers"] = [_with_tensors_by_name(layer) for layer in found["layers"]]
    return found | {key: _alone(found[key]) for key in ("input_layers", "output_layers")}


def _count_calls_from(
    config: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a graph in which the calls of models within it count as they do in Keras 3.

    In Keras 2, the first call may have been the model's own making. In Keras 3 that is so for a
    Functional that makes an output, and not where layers are called.
    """
    largest: dict[str, int] = {}

    def note(name: str, index: int) -> int:
        largest[name] = max(largest.get(name, 0), index)
        return index

    parts = {key: config[key] for key in ("input_layers", "output_layers") if key in config}
    nodes = [layer.get("inbound_nodes", []) for layer in layers]
    _map_calls([parts, nodes], note)
    before: dict[str, int] = {}
    functional = {layer.get("name") for layer in layers if layer["class_name"] == "Functional"}
    for layer in layers:
        name, n_calls = str(layer.get("name")), len(layer.get("inbound_nodes", []))
        if layer["class_name"] in ("Sequential", "Functional") and name in largest:
            before[name] = max(0, largest[name] + 1 - n_calls)

    def count(name: str, index: int) -> int:
        return index - before.get(name, 0)

    def count_of_output(name: str, index: int) -> int:
        return count(name, index) + int(name in functional)

    changed = [
        {**layer, "inbound_nodes": _map_calls(layer["inbound_nodes"], count)}
        if "inbound_nodes" in layer
        else layer
        for layer in layers
    ]
    parts = {key: _map_calls(part, count_of_output) for key, part in parts.items()}
    return {**config, **parts, "layers": changed}


def _map_calls(value: Any, function: Callable[[str, int], int]) -> Any:
    """Return a structure in which each [layer, call, output] has another number of the call."""
    if isinstance(value, Mapping):
        return {key: _map_calls(inner, function) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    if _is_call(value):
        rest = [_map_calls(inner, function) for inner in value[3:]]
        return [value[0], function(value[0], value[1]), value[2], *rest]
    return [_map_calls(inner, function) for inner in value]


def _alone(calls: Any) -> Any:
    """Return the only call of a list: models of Keras 2 take and return lists of several only."""
    return calls[0] if len(calls) == 1 and isinstance(calls[0], list) else calls


def _with_tensors_by_name(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a layer in the form of Keras 3 if it is called with tensors by name.

    In the form of Keras 2, Keras 3 takes what stands there for lists of words and numbers. The
    states that a recurrent layer begins with stand behind its input.
    """
    nodes = layer.get("inbound_nodes")
    if not isinstance(nodes, list) or not all(map(_is_node, nodes)):
        return layer
    recurrent = layer["class_name"] in _RECURRENT
    if not any(_has_tensors_by_name(node) or (recurrent and len(node) > 1) for node in nodes):
        return layer
    found = []
    for node in nodes:
        tensors: list[Any] = [_tensor(call) for call in node]
        named = _map_tensors(node[0][3]) if len(node[0]) > 3 else {}
        if recurrent and len(tensors) > 1:
            named["initial_state"], tensors = tensors[1:], tensors[:1]
        found.append({"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": named})
    return {**layer, "inbound_nodes": found}


def _is_node(node: Any) -> bool:
    return isinstance(node, list) and bool(node) and all(map(_is_call, node))


def _has_tensors_by_name(node: Any) -> bool:
    named = node[0][3] if len(node[0]) > 3 else {}
    return bool(_map_tensors(named) != named)


def _is_call(value: Any) -> bool:
    """Say whether a value is [layer, call, output], and maybe more."""
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and type(value[1]) is int
        and type(value[2]) is int
    )


def _map_tensors(value: Any) -> Any:
    """Return a structure with a tensor of Keras 3 for each [layer, call, output]."""
    if isinstance(value, Mapping):
        return {key: _map_tensors(inner) for key, inner in value.items()}
    if _is_call(value):
        return _tensor(value)
    return [_map_tensors(inner) for inner in value] if isinstance(value, list) else value


def _tensor(call: Sequence[Any]) -> dict[str, Any]:
    config = {"shape": [None], "dtype": "float32", "keras_history": list(call[:3])}
    return {"class_name": "__keras_tensor__", "config": config}
