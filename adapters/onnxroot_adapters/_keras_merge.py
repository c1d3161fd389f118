"""A Sequential of Keras 1 that begins with a Merge of others, as the graph that it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxroot.errors import UnsupportedModelError

__all__ = ["without_branches"]

Call = list[Any]
"""[layer, number of the call, number of the output]."""


def without_branches(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model in which no Merge holds models; the rest of Keras 1 stays.

    Keras 1 keeps the weights of such a model by layer, as if it were flat.

    Args:
        entry: A layer or model of Keras 1 or later.

    Raises:
        UnsupportedModelError: The shape of an input is not known.
    """
    if not _begins_with_branches(entry):
        return entry
    graph = _Graph()
    end = graph.add_model(entry)
    config = {
        "name": str(entry.get("name", "sequential")),
        "layers": graph.layers,
        "input_layers": graph.inputs,
        "output_layers": [end],
    }
    return {**entry, "class_name": "Model", "config": config}


def _begins_with_branches(entry: Mapping[str, Any]) -> bool:
    layers = _layers(entry)
    if entry.get("class_name") != "Sequential" or not layers:
        return False
    first = layers[0]
    return bool(first["class_name"] == "Merge" and first["config"].get("layers")) or (
        _begins_with_branches(first)
    )


def _layers(entry: Mapping[str, Any]) -> list[Any]:
    config = entry.get("config")
    if isinstance(config, Mapping):
        config = config.get("layers")
    return config if isinstance(config, list) else []


class _Graph:
    """Layers and their calls, as they are found; a layer with a known name is called again."""

    def __init__(self) -> None:
        self.layers: list[dict[str, Any]] = []
        self.inputs: list[Call] = []

    def add_model(self, entry: Mapping[str, Any]) -> Call:
        """Add a model with its own inputs, and return its output."""
        if entry["class_name"] != "Sequential":
            return self._add_functional(entry)
        first, *rest = _layers(entry)
        if first["class_name"] == "Merge" and first["config"].get("layers"):
            ends = [self.add_model(branch) for branch in first["config"]["layers"]]
            config = {key: value for key, value in first["config"].items() if key != "layers"}
            end = self._call({**first, "config": config}, ends)
        elif first["class_name"] in ("Sequential", "Model", "Functional"):
            end = self.add_model(first)
        else:
            end = self._call(first, [self._add_input(first)])
        for layer in rest:
            end = self._call(layer, [end])
        return end

    def _add_functional(self, entry: Mapping[str, Any]) -> Call:
        config = entry["config"]
        self.layers += [dict(layer) for layer in config["layers"]]
        self.inputs += config["input_layers"]
        end: Call = config["output_layers"][0]
        return end

    def _add_input(self, first: Mapping[str, Any]) -> Call:
        config = first["config"]
        shape = config.get("batch_input_shape")
        if shape is None:
            raise UnsupportedModelError(
                f"layer {config.get('name')}: does not say the shape of its input, and is one of "
                "several that do not: convert the model where it was made"
            )
        name = f"{config['name']}_input"
        dtype = config.get("input_dtype") or "float32"
        made = {"name": name, "batch_input_shape": shape, "dtype": dtype}
        call = self._call({"class_name": "InputLayer", "config": made}, [])
        self.inputs.append(call)
        return call

    def _call(self, entry: Mapping[str, Any], inputs: list[Call]) -> Call:
        name = str(entry["config"].get("name") or entry.get("name"))
        known = next((layer for layer in self.layers if layer["name"] == name), None)
        if known is None:
            known = {**entry, "name": name, "inbound_nodes": []}
            self.layers.append(known)
        if not inputs:
            return [name, 0, 0]
        known["inbound_nodes"].append([list(call) for call in inputs])
        return [name, len(known["inbound_nodes"]) - 1, 0]
