"""Files as Keras 1 and 2 wrote them, made by hand, and what these networks compute, in NumPy."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Array = np.ndarray
GENERATOR = np.random.default_rng(11)


def draw(*shape: int) -> Array:
    return (GENERATOR.normal(size=shape) * 0.4).astype("float32")


def write_weights(
    file: h5py.Group, layers: Mapping[str, Sequence[tuple[str, Array]]], **attributes: Any
) -> None:
    """Write weights as ``model.save_weights`` did: a group for each layer."""
    file.attrs["layer_names"] = [name.encode() for name in layers]
    for name, value in attributes.items():
        file.attrs[name] = value
    for layer, weights in layers.items():
        group = file.create_group(layer)
        group.attrs["weight_names"] = [name.encode() for name, _ in weights]
        for name, value in weights:
            group.create_dataset(name, data=value)


def write_pair(
    folder: Path,
    architecture: dict[str, Any],
    layers: Mapping[str, Sequence[tuple[str, Array]]],
    *,
    names: tuple[str, str] = ("model.json", "model_weights.h5"),
    **attributes: Any,
) -> Path:
    (folder / names[0]).write_text(json.dumps(architecture))
    with h5py.File(folder / names[1], "w") as file:
        write_weights(file, layers, **attributes)
    return folder / names[1]


def write_full(
    path: Path,
    architecture: dict[str, Any],
    layers: Mapping[str, Sequence[tuple[str, Array]]],
    *,
    version: str,
) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(architecture).encode()
        file.attrs["keras_version"] = version.encode()
        file.attrs["backend"] = b"tensorflow"
        write_weights(file.create_group("model_weights"), layers, keras_version=version.encode())
    return path


# --- what they compute ---------------------------------------------------------------------------


def hard_sigmoid(x: Array) -> Array:
    """Of Keras 1 and 2; Keras 3 has x / 6 + 0.5."""
    return np.clip(0.2 * x + 0.5, 0, 1)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def run_lstm(x: Array, w: Mapping[str, Array], gate: Any = hard_sigmoid) -> Array:
    """``w`` holds W_i, U_i, b_i, and those of f, c, o."""
    h = c = np.zeros((len(x), len(w["b_i"])))
    for step in np.moveaxis(x, 1, 0):
        i, f, o = (gate(step @ w[f"W_{g}"] + h @ w[f"U_{g}"] + w[f"b_{g}"]) for g in "ifo")
        c = f * c + i * np.tanh(step @ w["W_c"] + h @ w["U_c"] + w["b_c"])
        h = o * np.tanh(c)
    return h


def run_gru(x: Array, w: Mapping[str, Array], gate: Any = hard_sigmoid) -> Array:
    """``w`` holds W_z, U_z, b_z, and those of r, h; the reset comes before the product."""
    h = np.zeros((len(x), len(w["b_z"])))
    for step in np.moveaxis(x, 1, 0):
        z, r = (gate(step @ w[f"W_{g}"] + h @ w[f"U_{g}"] + w[f"b_{g}"]) for g in "zr")
        new = np.tanh(step @ w["W_h"] + (r * h) @ w["U_h"] + w["b_h"])
        h = z * h + (1 - z) * new
    return h


def gates(names: str, n_inputs: int, n_units: int) -> dict[str, Array]:
    found = {}
    for g in names:
        found |= {f"W_{g}": draw(n_inputs, n_units), f"U_{g}": draw(n_units, n_units)}
        found[f"b_{g}"] = draw(n_units)
    return found


def run_conv_2d(x: Array, kernel: Array, bias: Array) -> Array:
    """Correlate images (n, rows, columns, channels) with (rows, columns, inputs, outputs)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nrcixy,xyio->nrco", windows, kernel) + bias


# --- architectures -------------------------------------------------------------------------------


def layer(class_name: str, /, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def sequential_1(*layers: dict[str, Any]) -> dict[str, Any]:
    """A Sequential of Keras 1: a list."""
    return {"class_name": "Sequential", "config": list(layers), "keras_version": "1.2.2"}


def sequential_2(*layers: dict[str, Any], version: str = "2.2.4") -> dict[str, Any]:
    config = {"name": "sequential_1", "layers": list(layers)}
    return {
        "class_name": "Sequential",
        "config": config,
        "keras_version": version,
        "backend": "tensorflow",
    }


def dense_1(name: str, n: int, activation: str, **more: Any) -> dict[str, Any]:
    """A Dense of Keras 1."""
    return layer(
        "Dense",
        name=name,
        output_dim=n,
        init="glorot_uniform",
        activation=activation,
        W_regularizer=None,
        b_regularizer=None,
        activity_regularizer=None,
        W_constraint=None,
        b_constraint=None,
        bias=True,
        trainable=True,
        **more,
    )


def dense_2(name: str, n: int, activation: str, **more: Any) -> dict[str, Any]:
    """A Dense of Keras 2."""
    initializer = {
        "class_name": "VarianceScaling",
        "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
    }
    return layer(
        "Dense",
        name=name,
        trainable=True,
        units=n,
        activation=activation,
        use_bias=True,
        kernel_initializer=initializer,
        bias_initializer={"class_name": "Zeros", "config": {}},
        kernel_regularizer={"class_name": "L1L2", "config": {"l1": 1e-4, "l2": 0.0}},
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **more,
    )
