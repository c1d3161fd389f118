"""SavedModels, and what TensorFlow has loaded of them, as sources for the exporter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from onnxroot.adapter import Options
from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot_adapters._errors import in_one_line
from onnxroot_adapters._prove import Input
from onnxroot_adapters._require import require
from onnxroot_adapters._tf_effects import refuse_side_effects
from onnxroot_adapters._tf_export import Source, convert_graph, export, freeze_saved_model, quiet
from onnxroot_adapters._tf_phase import settle
from onnxroot_adapters._tf_specs import dims_of, numpy_type, shape_of

__all__ = ["source_of_loaded", "source_of_saved_model"]

Array = npt.NDArray[Any]


def source_of_saved_model(tf: Any, path: Path, options: Options, what: Mapping[str, str]) -> Source:
    """Return a SavedModel as a source.

    Raises:
        FormatError: It is damaged.
        UnsupportedModelError: It has no signature, or several, or may do more than compute.
    """
    pb = require(
        "tensorflow.core.protobuf.saved_model_pb2", extra="tensorflow", what="a SavedModel"
    )
    message = pb.SavedModel()
    try:
        message.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise FormatError(f"{path}/saved_model.pb: damaged, not a SavedModel") from error
    for meta in message.meta_graphs:
        ends = [
            tensor.name
            for signature in meta.signature_def.values()
            for tensor in signature.outputs.values()
        ]
        refuse_side_effects(tf, path, meta.graph_def, options, ends)
    try:
        with quiet():
            loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise FormatError(
            f"{path}: TensorFlow {tf.__version__} can't open it: {in_one_line(error)}"
        ) from error
    return source_of_loaded(tf, loaded, options, what, where=str(path), folder=path)


def source_of_loaded(
    tf: Any,
    loaded: Any,
    options: Options,
    what: Mapping[str, str],
    *,
    where: str = "the object",
    folder: Path | None = None,
) -> Source:
    """Return an object with signatures, or with one function, as a source.

    Raises:
        UnsupportedModelError: It is not clear which function is meant.
    """
    name, concrete = _signature(tf, loaded, options, where)
    specs = _specs(concrete)
    outputs = concrete.structured_outputs
    if not isinstance(outputs, Mapping):
        flat = tf.nest.flatten(outputs)
        outputs = {f"output_{i}" if len(flat) > 1 else "output": v for i, v in enumerate(flat)}
    plain_outputs = sorted(outputs)
    shapes = {key: shape_of(key, spec, options, where) for key, spec in specs.items()}
    by_name = isinstance(concrete.structured_outputs, Mapping)

    def call(flat: Sequence[Any]) -> dict[str, Any]:
        arguments = dict(zip(specs, flat, strict=True))
        found = concrete(**arguments) if folder or _is_signature(concrete) else concrete(*flat)
        if by_name:
            return dict(found)
        return dict(zip(plain_outputs, tf.nest.flatten(found), strict=True))

    wrapped = tf.function(
        lambda *flat: call(flat),
        input_signature=[tf.TensorSpec(shapes[k], s.dtype, name=k) for k, s in specs.items()],
    )
    ways = export(tf, loaded, wrapped)
    if folder is not None:
        given = {
            key: list(shapes[key]) for key, spec in specs.items() if shapes[key] != dims_of(spec)
        }
        ways = {
            "SavedModel": lambda opset: _convert_saved_model(tf, folder, name, opset, given),
            **{f"{key}, wrapped": way for key, way in ways.items()},
        }
    return Source(
        inputs=[
            Input(name=key, dtype=np.dtype(numpy_type(spec)), shape=shapes[key])
            for key, spec in specs.items()
        ],
        outputs=[key if key not in specs else f"{key}_output" for key in plain_outputs],
        ways=ways,
        plain_inputs=list(specs),
        plain_outputs=plain_outputs,
        predict=lambda flat: list(map(call([tf.constant(a) for a in flat]).get, plain_outputs)),
        weights=_variables(loaded),
        batched=False,
        what={**what, "signature": name},
    )


def _convert_saved_model(
    tf: Any,
    folder: Path,
    signature: str,
    opset: int | None,
    shapes: Mapping[str, Sequence[int | None]],
) -> Any:
    """Let tf2onnx translate a signature, whose inputs may have other shapes than it says."""
    frozen = freeze_saved_model(str(folder), signature)
    settle(tf, frozen.graph_def, {name.partition(":")[0] for name in frozen.inputs})
    names = {key: name for name, key in frozen.renamed.items() if name in frozen.inputs}
    overrides = {names.get(key, f"{key}:0"): shape for key, shape in shapes.items()}
    return convert_graph(tf, frozen, opset, overrides)


def _signature(tf: Any, loaded: Any, options: Options, where: str) -> tuple[str, Any]:
    signatures = dict(getattr(loaded, "signatures", None) or {})
    signatures = {k: v for k, v in signatures.items() if not k.startswith("_")}
    if options.inputs:
        fitting = {k: v for k, v in signatures.items() if set(_specs(v)) == set(options.inputs)}
        signatures = fitting or signatures
    if "serving_default" in signatures:
        return "serving_default", signatures["serving_default"]
    if len(signatures) == 1:
        return next(iter(signatures.items()))
    if signatures:
        listed = "; ".join(f"{k}({', '.join(_specs(v))})" for k, v in signatures.items())
        raise UnsupportedModelError(
            f"{where}: has several signatures, none of them serving_default: {listed}: choose one "
            "by its inputs (--input NAME:SHAPE for each, inputs={...})"
        )
    return "__call__", _own_function(tf, loaded, options, where)


def _own_function(tf: Any, loaded: Any, options: Options, where: str) -> Any:
    """Return the function that an object is, or is called with."""
    candidate: Any
    for candidate in (loaded, getattr(loaded, "__call__", None)):  # noqa: B004  (a tf.function)
        if hasattr(candidate, "structured_outputs"):
            return candidate
        if not hasattr(candidate, "get_concrete_function"):
            continue
        known = getattr(candidate, "concrete_functions", None)
        if known:
            return known[0]
        if getattr(candidate, "input_signature", None) is not None:
            return candidate.get_concrete_function()
        if options.inputs:
            return candidate.get_concrete_function(
                *(tf.TensorSpec(shape, tf.float32, name=k) for k, shape in options.inputs.items())
            )
    raise UnsupportedModelError(
        f"{where}: has no signature to export: save it with signatures=..., or give its inputs "
        "(--input NAME:SHAPE, inputs={...})"
    )


def _is_signature(concrete: Any) -> bool:
    arguments, named = concrete.structured_input_signature
    return not arguments and bool(named)


def _specs(concrete: Any) -> dict[str, Any]:
    """Return the tensors that a function takes, by name."""
    arguments, named = concrete.structured_input_signature
    found = {}
    for i, spec in enumerate(arguments):
        if hasattr(spec, "shape"):
            found[str(spec.name or f"input_{i}")] = spec
    return found | {key: spec for key, spec in sorted(named.items()) if hasattr(spec, "shape")}


def _variables(loaded: Any) -> dict[str, Array]:
    found = {}
    for variable in getattr(loaded, "variables", None) or []:
        found[str(variable.name).partition(":")[0]] = np.asarray(variable)
    return found
