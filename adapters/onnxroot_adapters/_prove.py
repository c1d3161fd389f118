"""The proof that an ONNX model is the model it was made from: the same outputs for many inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from onnxroot.adapter import Batch, Difference, Options, compare, default_tolerance
from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot_adapters._errors import first_line
from onnxroot_adapters._require import require

__all__ = ["BATCH_SIZES", "Draw", "Input", "Predict", "prove", "run"]

Array = npt.NDArray[Any]

Predict = Callable[[dict[str, Array]], Sequence[Array]]
"""The source framework: inputs by name in the ONNX model -> outputs in the ONNX model's order."""

Draw = Callable[[int], dict[str, Array]]
"""Inputs by name in the ONNX model, for a size of the batch."""

BATCH_SIZES = (1, 5, 64)
OTHER_SIZES = {1: 32, 5: 48, 64: 32}
"""What other dimensions that may vary are, by size of the batch; networks can halve them."""

_SEED = 20261125


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What may be given to an input.

    Attributes:
        name: Its name in the ONNX model.
        dtype: NumPy type; object for strings.
        shape: None where a dimension may vary. The first is the batch, if it may vary; others are
            the same for all inputs.
        examples: Typical values, with the batch as first dimension: rows are drawn from them.
        below: Integers are drawn from 0 up to this.
        allow_nan: Whether the framework takes NaN for a missing value.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    examples: Array | None = None
    below: int = 2
    allow_nan: bool = False


def prove(
    model: onnx.ModelProto,
    inputs: Sequence[Input],
    predict: Predict,
    options: Options,
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    draw: Draw | None = None,
) -> tuple[Batch, ...]:
    """Compare a model with the framework it is from.

    Args:
        model: The ONNX model.
        inputs: Its inputs.
        predict: What the framework makes of them.
        options: `check`, `tolerance` and `samples` count.
        batch_sizes: How many rows to compare at a time.
        draw: Draws the inputs instead, samples too; for adapters that know the model better.

    Returns:
        The smaller batches that were tried, for others to try again; none without `check`.

    Raises:
        UnsupportedModelError: The outputs differ, or one of the two fails.
        FormatError: The samples do not fit.
        MissingDependencyError: onnxruntime is not installed.
    """
    if not options.check:
        return ()
    session = _session(model)
    inner = _tolerance_of_half(model)
    names = [output.name for output in model.graph.output]
    given = _given(options, inputs) if draw is None else {}
    batches = []
    for size in batch_sizes:
        drawn = _draw(inputs, size, given) if draw is None else draw(size)
        expected = dict(zip(names, map(np.asarray, predict(dict(drawn))), strict=True))
        found = dict(zip(names, _run(session, names, drawn), strict=True))
        tolerance = {
            name: _tolerance(options, value, found[name], inner) for name, value in expected.items()
        }
        differences = [
            difference
            for name in names
            if (difference := compare(name, found[name], expected[name], tolerance[name]))
        ]
        if differences:
            raise _refusal(differences)
        batches.append(Batch(inputs=drawn, outputs=expected, tolerance=tolerance))
    return tuple(batches[:2])


def run(model: onnx.ModelProto, inputs: dict[str, Array]) -> dict[str, Array]:
    """Return what a model makes of inputs, by name of the output.

    Raises:
        UnsupportedModelError: onnxruntime can't load or run it.
        MissingDependencyError: onnxruntime is not installed.
    """
    names = [output.name for output in model.graph.output]
    return dict(zip(names, _run(_session(model), names, inputs), strict=True))


def _session(model: onnx.ModelProto) -> Any:
    runtime = require("onnxruntime", extra="runtime", what="the proof of a conversion")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised, too
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # models are small
    try:
        return runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise UnsupportedModelError(
            f"onnxruntime can't load what the exporter made: {first_line(error)}"
        ) from error


def _run(session: Any, names: list[str], inputs: dict[str, Array]) -> list[Array]:
    try:
        return [np.asarray(value) for value in session.run(names, inputs)]
    except Exception as error:
        raise UnsupportedModelError(
            f"onnxruntime can't run what the exporter made: {first_line(error)}"
        ) from error


def _tolerance_of_half(model: onnx.ModelProto) -> float:
    """Return the tolerance of float16 if the model computes in it somewhere; 0 if not."""
    half = onnx.TensorProto.FLOAT16
    cast = any(
        attribute.name == "to" and attribute.i == half
        for node in model.graph.node
        for attribute in node.attribute
    )
    if cast or any(tensor.data_type == half for tensor in model.graph.initializer):
        return default_tolerance(np.dtype(np.float16))
    return 0.0


def _tolerance(options: Options, expected: Array, found: Array, inner: float) -> float:
    if expected.dtype.kind != "f":
        return 0.0
    if options.tolerance is not None:
        return options.tolerance
    return max(default_tolerance(expected.dtype), default_tolerance(found.dtype), inner)


def _refusal(differences: list[Difference]) -> UnsupportedModelError:
    texts = "; ".join(difference.text for difference in differences)
    return UnsupportedModelError(
        f"the exporter made another model of it: {texts}; it is not stored: "
        "change the model so that it can be exported, or accept the difference with a larger "
        "tolerance (--tolerance)"
    )


# --- inputs --------------------------------------------------------------------------------------


def _given(options: Options, inputs: Sequence[Input]) -> Mapping[str, Array]:
    """Return the user's own samples, by input.

    Raises:
        FormatError: They are not for these inputs.
    """
    if options.samples is None:
        return {}
    with np.load(options.samples, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    wanted = {item.name for item in inputs}
    if set(found) != wanted:
        raise FormatError(
            f"{options.samples}: holds {', '.join(sorted(found))}; the model's inputs are "
            f"{', '.join(sorted(wanted))}: save an array for each of these"
        )
    return found


def _draw(inputs: Sequence[Input], size: int, given: Mapping[str, Array]) -> dict[str, Array]:
    """Draw a batch; the same for the same inputs and size."""
    generator = np.random.default_rng([_SEED, size])
    return {item.name: _draw_one(item, size, generator, given.get(item.name)) for item in inputs}


def _draw_one(item: Input, size: int, generator: np.random.Generator, given: Array | None) -> Array:
    shape = tuple(
        dim if dim is not None else OTHER_SIZES.get(size, 32) if axis else size
        for axis, dim in enumerate(item.shape)
    )
    examples = item.examples if given is None else given
    if examples is not None and item.shape and item.shape[0] is None:
        rows: Array = np.asarray(examples)[generator.integers(len(examples), size=size)]
        return rows.astype(item.dtype, copy=False)
    if examples is not None:
        return np.asarray(examples).astype(item.dtype, copy=False)
    kind = item.dtype.kind
    if kind == "O":
        words = np.array(["", "a", "b", "electron", "muon"], dtype=object)
        drawn: Array = generator.choice(words, size=shape)
        return drawn
    if kind == "b":
        return generator.integers(2, size=shape).astype(bool)
    if kind in "iu":
        return generator.integers(item.below, size=shape).astype(item.dtype)
    values: Array = generator.normal(size=shape) * generator.choice([0.3, 1.0, 3.0], size=shape)
    flat = values.reshape(size, -1) if shape and shape[0] == size else values.reshape(1, -1)
    edges = [0.0, -1.0, 1.0, 30.0, -30.0]
    for row, edge in zip(range(1, len(flat), 2), edges, strict=False):
        flat[row] = edge
    if item.allow_nan and len(flat) > 1:
        flat[-1, generator.integers(flat.shape[1], size=1)] = np.nan
    return np.asarray(values, dtype=item.dtype)
