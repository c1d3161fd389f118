"""Models of TensorFlow Lite as sources for the exporter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot.errors import FormatError
from onnxroot_adapters._prove import Input
from onnxroot_adapters._require import require
from onnxroot_adapters._tf_export import Source, quiet

__all__ = ["source_of_tflite"]

Array = npt.NDArray[Any]


def source_of_tflite(tf: Any, path: Path, what: Mapping[str, str]) -> Source:
    """Return a TensorFlow Lite model as a source.

    Raises:
        FormatError: It is damaged.
    """
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the interpreter is to move to another package
            interpreter = tf.lite.Interpreter(str(path))
    except ValueError as error:
        raise FormatError(f"{path}: not a model of TensorFlow Lite: {error}") from error
    given, made = interpreter.get_input_details(), interpreter.get_output_details()

    def predict(flat: Sequence[Array]) -> Sequence[Any]:
        for detail, value in zip(given, flat, strict=True):
            interpreter.resize_tensor_input(detail["index"], value.shape)
        interpreter.allocate_tensors()
        for detail, value in zip(given, flat, strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"]) for detail in made]

    def way(opset: int | None) -> Any:
        convert = require("tf2onnx.convert", extra="tensorflow", what="a model of TensorFlow Lite")
        return convert.from_tflite(str(path), opset=opset)[0]

    inputs = [
        Input(
            name=_short(detail["name"]),
            dtype=np.dtype(detail["dtype"]),
            shape=tuple(None if dim == -1 else int(dim) for dim in detail["shape_signature"]),
        )
        for detail in given
    ]
    return Source(
        inputs=inputs,
        outputs=[_short(detail["name"]) for detail in made],
        ways={"TensorFlow Lite": way},
        plain_inputs=[detail["name"] for detail in given],
        plain_outputs=[detail["name"] for detail in made],
        predict=predict,
        batched=False,
        what=what,
    )


def _short(name: str) -> str:
    """Return a name without the signature that the converter put before it."""
    return name.removeprefix("serving_default_").removesuffix(":0")
