"""Keras in HDF5: whole models, and weights beside their architecture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxroot.adapter import Options
from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot_adapters._keras_build import build, load, refuse_code, text_of
from onnxroot_adapters._keras_config import major_version, runs_code
from onnxroot_adapters._keras_layers import former_objects
from onnxroot_adapters._keras_merge import without_branches
from onnxroot_adapters._keras_weights import LayerWeights, layers_of, read_layers, to_keras_3
from onnxroot_adapters._tf_files import architecture_beside, read_architecture

__all__ = ["open_full", "open_weights"]


def open_full(
    keras: Any, path: Path, file: Any, custom: dict[str, Any], options: Options
) -> tuple[Any, dict[str, str]]:
    """Open a whole model: see `_keras_files.open_keras`."""
    text = file.attrs["model_config"]
    config = json.loads(text)
    version = file.attrs.get("keras_version")
    if version is None and "model_weights" in file:
        version = file["model_weights"].attrs.get("keras_version")
    refuse_code(path, config, options)
    if runs_code(config) or major_version(version) >= 3:
        return load(keras, path, custom, options), {"keras_version": text_of(version)}
    if "model_weights" not in file:
        raise FormatError(f"{path}: has no weights; the file is damaged: get it again")
    return _assemble(keras, path, config, file["model_weights"], custom, options)


def open_weights(
    keras: Any, path: Path, file: Any, custom: dict[str, Any], options: Options
) -> tuple[Any, dict[str, str]]:
    """Open weights, with the architecture that is given or lies beside them."""
    where = options.architecture or architecture_beside(path)
    if where is None:
        raise UnsupportedModelError(
            f"{path}: holds weights only, and no file with the architecture lies beside it: give "
            "the .json that model.to_json() wrote (--architecture FILE, architecture=FILE)"
        )
    config = read_architecture(where)
    refuse_code(where, config, options)
    group = file.get("model_weights", file)
    if any(name.startswith("layer_names") for name in group.attrs):
        return _assemble(keras, path, config, group, custom, options)
    if "module" not in config:
        raise UnsupportedModelError(
            f"{path}: weights of Keras 3, but {where} is the architecture of Keras 2: write it "
            "again with model.to_json() where the weights were saved"
        )
    model = keras.models.model_from_json(
        json.dumps(config), custom_objects=former_objects(keras) | custom
    )
    model.load_weights(str(path))
    return model, {"keras_version": "3", "architecture": where.name}


def _assemble(
    keras: Any,
    path: Path,
    config: dict[str, Any],
    group: Any,
    custom: dict[str, Any],
    options: Options,
) -> tuple[Any, dict[str, str]]:
    """Build a network of Keras 1, 2 or 3, and give it the weights of a group of HDF5."""
    version = config.get("keras_version") or group.attrs.get("keras_version")
    layers = read_layers(group, str(path))
    model = build(keras, path, config, version, layers, custom, options)
    entries = _entries(without_branches(config))
    made = {layer.name: layer for layer in model.layers}
    backend = text_of(group.attrs["backend"]) if "backend" in group.attrs else None
    converted = [
        LayerWeights(
            name=layer.name,
            arrays=tuple(
                to_keras_3(
                    entries[layer.name],
                    layer.arrays,
                    layer=made.get(layer.name),
                    version=major_version(version),
                    backend=backend,
                )
                if layer.name in entries
                else layer.arrays
            ),
        )
        for layer in layers
    ]
    _assign(path, model, converted)
    return model, {"keras_version": text_of(version)}


def _entries(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the layers of an architecture by name, those of models within it left out."""
    return {
        str(entry.get("name") or entry["config"].get("name")): entry for entry in layers_of(config)
    }


def _assign(path: Path, model: Any, layers: Sequence[LayerWeights]) -> None:
    """Give weights to layers: by name, or in order where the names are not the same.

    Raises:
        UnsupportedModelError: They do not fit.
    """
    wanted = {layer.name: layer for layer in model.layers if layer.weights}
    found = {layer.name: layer for layer in layers}
    if set(wanted) == set(found):
        pairs = [(wanted[name], found[name]) for name in wanted]
    elif len(wanted) == len(layers):
        pairs = list(zip(wanted.values(), layers, strict=True))
    else:
        missing = sorted(set(wanted) ^ set(found))
        raise UnsupportedModelError(
            f"{path}: has weights of {len(layers)} layers, the architecture {len(wanted)} with "
            f"weights ({', '.join(missing[:5])} only in one of them): give the architecture that "
            "belongs to it (--architecture FILE)"
        )
    for layer, weights in pairs:
        variables = [*layer.trainable_weights, *layer.non_trainable_weights]
        shapes = [tuple(variable.shape) for variable in variables]
        given = [array.shape for array in weights.arrays]
        if shapes != given:
            raise UnsupportedModelError(
                f"{path}: layer {layer.name}: weights of shape {given}, the architecture says "
                f"{shapes}: give the architecture that belongs to it (--architecture FILE)"
            )
        for variable, array in zip(variables, weights.arrays, strict=True):
            variable.assign(array)
    for layer in _with_inner(model):
        if hasattr(layer, "finalize_state"):  # Normalization computes with what it makes of them
            layer.finalize_state()


def _with_inner(layer: Any) -> Iterator[Any]:
    """Yield a layer and all within it."""
    yield layer
    for inner in getattr(layer, "layers", None) or []:
        yield from _with_inner(inner)
