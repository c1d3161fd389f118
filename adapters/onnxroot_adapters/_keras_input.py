"""The input of a Sequential that does not say what goes in, as Keras 1 and 2 wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._keras_weights import LayerWeights

__all__ = ["with_input"]

_PASS_THROUGH = {
    "Activation", "ActivityRegularization", "Dropout", "ELU", "GaussianDropout", "GaussianNoise",
    "LeakyReLU", "Masking", "ReLU", "Softmax",
}  # fmt: skip
_SEQUENCES = {"Conv1D", "GRU", "LSTM", "LocallyConnected1D", "SimpleRNN", "SeparableConv1D"}
_RECURRENT = {"LSTM", "GRU", "SimpleRNN", "CuDNNLSTM", "CuDNNGRU", "Bidirectional", "RNN"}


def with_input(
    path: Path, entries: list[dict[str, Any]], layers: Sequence[LayerWeights], options: Options
) -> list[dict[str, Any]]:
    """Put an InputLayer before the layers, with the shape that they, or the weights, tell."""
    if not entries or entries[0]["class_name"] == "InputLayer":
        return entries
    first = _innermost(entries[0])
    name = f"{entries[0]['config'].get('name', 'first')}_input"
    shape: Sequence[int | None] | None = None
    if options.inputs:
        shape = next(iter(options.inputs.values()))
        name = next(iter(options.inputs))
    shape = shape or _stated_shape(first) or _shape_from_weights(entries, layers)
    if shape is None:
        raise UnsupportedModelError(
            f"{path}: neither the architecture nor the weights say the shape of the input: give "
            f"it (--input {name}:SHAPE, such as --input {name}:?x16, inputs={{...}})"
        )
    dtype = "int32" if first["class_name"] == "Embedding" else "float32"
    config = {"name": name, "batch_input_shape": list(shape), "dtype": dtype}
    return [{"class_name": "InputLayer", "config": config}, *entries]


def _innermost(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the first layer of the first layer, if that is a model."""
    while entry["class_name"] in ("Sequential", "Functional") and entry["config"].get("layers"):
        entry = entry["config"]["layers"][0]
    return entry


def _stated_shape(entry: Mapping[str, Any]) -> Sequence[int | None] | None:
    config = entry["config"]
    for key in ("batch_input_shape", "batch_shape"):
        if config.get(key):
            return list(config[key])
    if config.get("input_shape"):
        return [None, *config["input_shape"]]
    if config.get("input_dim") and entry["class_name"] != "Embedding":
        steps = [config.get("input_length")] if entry["class_name"] in _SEQUENCES else []
        return [None, *steps, config["input_dim"]]
    return None


def _shape_from_weights(
    entries: Sequence[Mapping[str, Any]], layers: Sequence[LayerWeights]
) -> Sequence[int | None] | None:
    """Tell the shape from the first kernel, if nothing before it changes the shape."""
    for entry in entries:
        name = str(entry["class_name"])
        if name in _PASS_THROUGH:
            continue
        found = {layer.name: layer for layer in layers}.get(str(entry["config"].get("name")))
        kernel = found.arrays[0] if found else None
        return None if kernel is None else _shape_before(name, entry["config"], kernel)
    return None


def _shape_before(
    name: str, config: Mapping[str, Any], kernel: np.ndarray[Any, Any]
) -> Sequence[int | None] | None:
    if name == "Embedding":
        return [None, config.get("input_length")]
    if name in _RECURRENT and kernel.ndim == 2:
        return [None, None, kernel.shape[0]]
    if name in ("Dense", "BatchNormalization", "LayerNormalization", "PReLU"):
        return [None, kernel.shape[0]] if kernel.ndim in (1, 2) else None
    if name in ("Conv1D", "Conv2D", "Conv3D", "SeparableConv1D", "SeparableConv2D"):
        last = config.get("data_format") != "channels_first"
        spatial: list[int | None] = [None] * (kernel.ndim - 2)
        channels = kernel.shape[-2]
        return [None, *spatial, channels] if last else [None, channels, *spatial]
    return None
