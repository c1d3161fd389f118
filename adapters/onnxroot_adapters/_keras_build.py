"""Networks of every Keras, built from their architecture by Keras 3."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._keras_config import (
    major_version,
    modernise,
    resizes_as_tensorflow_1,
    runs_code,
    without_shapes,
)
from onnxroot_adapters._keras_input import with_input
from onnxroot_adapters._keras_layers import former_objects
from onnxroot_adapters._keras_weights import LayerWeights

__all__ = ["build", "load", "refuse_code", "text_of"]

_CODE_REFUSED = (
    "{path}: holds {what}, which runs its author's code when the model is opened; if you trust its "
    "author, allow it (--allow-pickle, allow_pickle=True), or replace it by a layer and save again"
)


def refuse_code(path: Path, config: object, options: Options) -> None:
    """Refuse an architecture that runs its author's code.

    Raises:
        UnsupportedModelError: It does, and the user has not allowed it.
    """
    what = runs_code(config)
    if what and not options.allow_pickle:
        raise UnsupportedModelError(_CODE_REFUSED.format(path=path, what=what))


def load(keras: Any, path: Path, custom: dict[str, Any], options: Options) -> Any:
    """Let Keras open a file, with what former versions had and what the user brings."""
    return keras.models.load_model(
        str(path),
        custom_objects=former_objects(keras) | custom,
        compile=False,
        safe_mode=not options.allow_pickle,
    )


def build(
    keras: Any,
    path: Path,
    config: dict[str, Any],
    version: object,
    layers: Sequence[LayerWeights],
    custom: dict[str, Any],
    options: Options,
) -> Any:
    """Build a network of Keras 1, 2 or 3 without its weights."""
    objects = former_objects(keras) | custom
    if "module" in config and major_version(version) >= 3:
        return keras.models.model_from_json(json.dumps(config), custom_objects=objects)
    if resizes_as_tensorflow_1(config, text_of(version)):
        raise UnsupportedModelError(
            f"{path}: has UpSampling2D with bilinear interpolation, and Keras {text_of(version)} "
            "did that in another way than today: convert the model where it was made"
        )
    modern = modernise(config, major_version(version))
    name = modern["class_name"]
    if name not in ("Sequential", "Functional") or "layers" not in modern["config"]:
        raise UnsupportedModelError(
            f"{path}: the architecture is a {name}, not a Sequential or Model: convert the model "
            "itself where it was made"
        )
    if name == "Sequential":
        modern["config"]["layers"] = with_input(path, modern["config"]["layers"], layers, options)
    kind = keras.Sequential if name == "Sequential" else keras.Model
    with keras.saving.custom_object_scope(objects):  # for layers within layers
        return kind.from_config(without_shapes(modern)["config"], custom_objects=objects)


def text_of(value: object) -> str:
    """Return a version as HDF5 or JSON has it as a text; none is that of Keras 1."""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "1")
