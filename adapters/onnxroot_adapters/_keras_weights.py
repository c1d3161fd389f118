"""Weights as Keras 1 and 2 kept them in HDF5, read as plain arrays and put in today's layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot.errors import FormatError

__all__ = ["LayerWeights", "count_by_one", "layers_of", "read_layers", "to_keras_3"]

Array = npt.NDArray[Any]

_CONVOLUTIONS_1 = {
    "AtrousConvolution1D",
    "AtrousConvolution2D",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Convolution1D",
    "Convolution2D",
    "Convolution3D",
    "Deconvolution2D",
}
_GATES = {"ConvLSTM2D": (0, 2, 1, 3), "GRU": (0, 1, 2), "LSTM": (0, 2, 1, 3)}
"""Where the gates of today, in order, were among those of Keras 1."""

_Convert = Callable[[Mapping[str, Any], Sequence[Array], Any], list[Array]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWeights:
    """The weights of one layer, or of a model within the model.

    Attributes:
        name: The layer.
        arrays: In the order of the file.
    """

    name: str
    arrays: tuple[Array, ...]


def read_layers(group: Any, where: str) -> list[LayerWeights]:
    """Read all weights of a group of HDF5.

    Args:
        group: ``h5py.Group`` with the attribute ``layer_names``; of a file that `check_hdf5` took.
        where: The file, for messages.

    Raises:
        FormatError: A layer or an array is missing.
    """
    layers = []
    for name in _texts(group, "layer_names"):
        inner = _member(group, name, where)
        arrays = [
            np.asarray(_member(inner, weight, where)[()])
            for weight in _texts(inner, "weight_names")
        ]
        if arrays:
            layers.append(LayerWeights(name=name, arrays=tuple(arrays)))
    return layers


def _texts(group: Any, name: str) -> list[str]:
    """Return a list of names, which Keras cuts into ``name0``, ``name1`` if it is long."""
    if name in group.attrs:
        found = list(group.attrs[name])
    else:
        found = []
        while f"{name}{len(found)}" in group.attrs:
            found.append(group.attrs[f"{name}{len(found)}"])
        found = [text for part in found for text in part]
    return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for text in found]


def _member(group: Any, name: str, where: str) -> Any:
    """Return a group or an array."""
    found = group
    for part in name.split("/"):
        if not part:
            continue
        if part not in found:
            raise FormatError(f"{where}: no weights {name}; the file is damaged: get it again")
        found = found[part]
    return found


def count_by_one(group: Any) -> None:
    """Give layers in a ``.keras`` archive the names that Keras 3 looks for.

    Keras 2.12 and 2.13 counted twice: dense, dense_2, dense_4 instead of dense, dense_1, dense_2.

    Args:
        group: ``h5py.Group``; changed in place.
    """
    for key in ("_layer_checkpoint_dependencies", "layers"):
        if key not in group:
            continue
        kinds: dict[str, dict[int, str]] = {}
        for name in group[key]:
            base, _, number = name.rpartition("_")
            named = (base, int(number)) if base and number.isdigit() else (name, 0)
            kinds.setdefault(named[0], {})[named[1]] = name
            count_by_one(group[key][name])
        for base, numbered in kinds.items():
            if any(number % 2 for number in numbered):
                continue
            for number in sorted(numbered):
                if number:
                    group[key].move(numbered[number], f"{base}_{number // 2}")


# --- layouts -------------------------------------------------------------------------------------


def to_keras_3(
    entry: Mapping[str, Any],
    arrays: Sequence[Array],
    *,
    layer: Any,
    version: int,
    backend: str | None,
) -> list[Array]:
    """Return a layer's weights in the layout of Keras 3.

    Args:
        entry: The layer in the architecture as it was, before it was modernised.
        arrays: As read.
        layer: The same layer, made with Keras 3.
        version: Of Keras, 1 or 2.
        backend: That the weights were saved with, if the file says so.
    """
    name, config = str(entry["class_name"]), entry["config"]
    found = list(arrays)

    def convert(inner: Mapping[str, Any], part: Sequence[Array], made: Any) -> list[Array]:
        return to_keras_3(inner, part, layer=made, version=version, backend=backend)

    if name == "Bidirectional":
        half, inner = len(found) // 2, config["layer"]
        return [
            *convert(inner, found[:half], getattr(layer, "forward_layer", None)),
            *convert(inner, found[half:], getattr(layer, "backward_layer", None)),
        ]
    if name == "TimeDistributed":
        return convert(config["layer"], found, getattr(layer, "layer", None))
    if layers_of(entry):
        return _of_model(entry, found, layer, convert)
    if name in _GATES and len(found) == 3 * len(_GATES[name]):
        return _gates_1(name, config, found)
    if name in ("CuDNNLSTM", "CuDNNGRU"):
        return _cudnn(name, found)
    if name in _CONVOLUTIONS_1 and found and version < 2:
        found[0] = _kernel_1(name, config, found[0])
    if backend == "theano" and found and found[0].ndim > 2 and "onv" in name:
        spatial = tuple(range(found[0].ndim - 2))
        found[0] = np.flip(found[0], spatial)  # Theano convolves, TensorFlow correlates
    return found


def layers_of(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the layers of a model within an architecture; none of a plain layer."""
    config = entry["config"]
    layers = config if isinstance(config, list) else config.get("layers")
    return list(layers) if isinstance(layers, list) else []


def _of_model(
    entry: Mapping[str, Any], arrays: Sequence[Array], model: Any, convert: _Convert
) -> list[Array]:
    """Convert the weights of a model within the model: trained ones of all its layers first."""
    made = {layer.name: layer for layer in getattr(model, "layers", [])}
    parts = [
        (inner, made[name])
        for inner in layers_of(entry)
        if (name := str(inner.get("name") or inner["config"]["name"])) in made
    ]
    counts = [_n_arrays(inner, layer, len(arrays)) for inner, layer in parts]
    n_trained = sum(trained for trained, _ in counts)
    if n_trained + sum(fixed for _, fixed in counts) != len(arrays):
        return list(arrays)  # does not fit: whoever assigns them says so
    trained, fixed = iter(arrays[:n_trained]), iter(arrays[n_trained:])
    new_trained, new_fixed = [], []
    for (inner, layer), (n_1, n_2) in zip(parts, counts, strict=True):
        converted = convert(inner, [*islice(trained, n_1), *islice(fixed, n_2)], layer)
        end = len(layer.trainable_weights)
        new_trained += converted[:end]
        new_fixed += converted[end:]
    return new_trained + new_fixed


def _n_arrays(entry: Mapping[str, Any], layer: Any, n_all: int) -> tuple[int, int]:
    """Return how many arrays of a layer are trained, and how many are not, in the file.

    Args:
        entry: The layer in the architecture as it was.
        layer: The same, made with Keras 3.
        n_all: How many arrays the whole model has.
    """
    inner = layers_of(entry)
    if inner:
        made = {part.name: part for part in layer.layers}
        counts = [
            _n_arrays(part, made[name], n_all)
            for part in inner
            if (name := str(part.get("name") or part["config"]["name"])) in made
        ]
        return sum(n for n, _ in counts), sum(n for _, n in counts)
    name, config = str(entry["class_name"]), entry["config"]
    n_times = 1
    if name in ("Bidirectional", "TimeDistributed"):
        name, config = str(config["layer"]["class_name"]), config["layer"]["config"]
    if name in _GATES and "inner_init" in config and config.get("consume_less") != "gpu":
        n_times = len(_GATES[name])
    return n_times * len(layer.trainable_weights), n_times * len(layer.non_trainable_weights)


def _gates_1(name: str, config: Mapping[str, Any], arrays: Sequence[Array]) -> list[Array]:
    """Join the arrays that Keras 1 kept for each gate: W, U, b of i, c, f, o or of z, r, h."""
    found = list(arrays)
    if name == "ConvLSTM2D" and config.get("dim_ordering") == "th":
        found = [a.transpose(2, 3, 1, 0) if a.ndim == 4 else a for a in found]
    return [
        np.concatenate([found[3 * gate + kind] for gate in _GATES[name]], axis=-1)
        for kind in range(3)
    ]


def _kernel_1(name: str, config: Mapping[str, Any], kernel: Array) -> Array:
    """Return the kernel of a convolution in Keras 1 as (rows, columns, inputs, outputs)."""
    if name in ("Convolution1D", "AtrousConvolution1D", "Conv1D"):
        if kernel.ndim != 4:
            return kernel
        length = config.get("filter_length", config.get("kernel_size"))
        outputs = config.get("nb_filter", config.get("filters"))
        if kernel.shape[:2] != (length, 1) or kernel.shape[3] != outputs:
            kernel = kernel.transpose(2, 3, 1, 0)
        return kernel[:, 0]
    first = config.get("dim_ordering") == "th"
    if name in ("Deconvolution2D", "Conv2DTranspose"):
        return kernel.transpose(2, 3, 0, 1) if first else kernel.transpose(0, 1, 3, 2)
    if first:
        axes = (*range(2, kernel.ndim), 1, 0)
        return kernel.transpose(axes)
    return kernel


def _cudnn(name: str, arrays: Sequence[Array]) -> list[Array]:
    """Return the weights of cuDNN's LSTM or GRU in the layout of the plain ones."""
    n_gates = 4 if name == "CuDNNLSTM" else 3
    kernel, recurrent, bias = arrays
    kernel = np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(kernel, n_gates)])
    recurrent = np.hstack([k.T for k in np.hsplit(recurrent, n_gates)])
    halves = bias.reshape(2, -1)
    return [kernel, recurrent, halves.sum(axis=0) if name == "CuDNNLSTM" else halves]
