"""A TensorFlow function as ONNX: the ways there are, and what tf2onnx needs help with.

In this order, until one proves: as a SavedModel, which freezes most models; as a function, for
those whose variables a SavedModel can't hold; and the first again with the newest operators.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import OnnxRootError, UnsupportedModelError
from onnxroot_adapters._conclude import conclude
from onnxroot_adapters._errors import in_one_line, type_and_text
from onnxroot_adapters._prove import Input, Predict
from onnxroot_adapters._require import require, version_of
from onnxroot_adapters._tf_interface import weight_names, with_interface
from onnxroot_adapters._tf_operators import handlers
from onnxroot_adapters._tf_order import in_order

__all__ = [
    "NEWEST_OPSET",
    "Frozen",
    "Source",
    "convert_graph",
    "export",
    "import_tensorflow",
    "quiet",
    "to_conversion",
]

Array = npt.NDArray[Any]

NEWEST_OPSET = 18
"""The newest operator set that tf2onnx knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A graph without variables, as tf2onnx takes it.

    Attributes:
        graph_def: The graph.
        inputs: Tensors, such as ``x:0``.
        outputs: Tensors.
        tables: Contents of look-up tables.
        renamed: Names of tensors in the ONNX model.
    """

    graph_def: Any
    inputs: Sequence[str]
    outputs: Sequence[str]
    tables: Any = None
    renamed: Mapping[str, str] = field(default_factory=dict)


Way = Callable[[int | None], ModelProto]
"""Export with an operator set, or the exporter's own choice; the interface is `PLAIN`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model of TensorFlow, whatever it came from.

    Attributes:
        inputs: Of the ONNX model, in order.
        outputs: Of the ONNX model, in order.
        ways: To export it: the names of its inputs and outputs are those of the two below.
        plain_inputs: What a way calls the inputs.
        plain_outputs: What a way calls the outputs.
        predict: Flat inputs, in order -> flat outputs, in order.
        weights: By name.
        batched: Whether the outputs' first dimension is the batch.
        what: For the provenance.
    """

    inputs: Sequence[Input]
    outputs: Sequence[str]
    ways: Mapping[str, Way]
    plain_inputs: Sequence[str]
    plain_outputs: Sequence[str]
    predict: Callable[[Sequence[Array]], Sequence[Any]]
    weights: Mapping[str, Array] = field(default_factory=dict)
    batched: bool = True
    what: Mapping[str, str] = field(default_factory=dict)


# --- to a conversion -----------------------------------------------------------------------------


def to_conversion(source: Source, options: Options) -> Conversion:
    """Export, normalise and prove: in the first way that does.

    Raises:
        UnsupportedModelError: None does; the message is that of the first.
        MissingDependencyError: A package is not installed.
    """
    if options.opset is not None and options.opset > NEWEST_OPSET:
        raise UnsupportedModelError(
            f"tf2onnx makes operator sets up to {NEWEST_OPSET}, not {options.opset}: leave --opset "
            "out, or give a smaller one"
        )
    names = [item.name for item in source.inputs]

    def predict(given: dict[str, Array]) -> Sequence[Array]:
        try:
            with quiet():
                found = source.predict([given[name] for name in names])
                return [np.asarray(value) for value in found]
        except Exception as error:
            raise UnsupportedModelError(
                "TensorFlow can't run it on the inputs that were drawn for the proof, give typical "
                f"ones (--samples FILE.npz, samples=...): {in_one_line(error)}"
            ) from error

    refusals = []
    for name, way in source.ways.items():
        found = _tried(name, way, source, predict, options)
        if isinstance(found, Conversion):
            return found
        refusals.append(found)
    raise next((e for e in refusals if "another model" in str(e)), refusals[0])


def _tried(
    name: str, way: Way, source: Source, predict: Predict, options: Options
) -> Conversion | UnsupportedModelError:
    """Return a conversion in one way, or why there is none."""
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = with_interface(
                way(options.opset),
                inputs=source.inputs,
                outputs=source.outputs,
                plain_inputs=source.plain_inputs,
                plain_outputs=source.plain_outputs,
                batched=source.batched,
            )
        return conclude(
            model,
            inputs=source.inputs,
            predict=predict,
            options=options,
            provenance={"exporter_way": name, **_versions(), **source.what},
            rename=True,
            weight_names=weight_names(model.graph, source.weights),
        )
    except UnsupportedModelError as error:
        return error
    except OnnxRootError:
        raise
    except Exception as error:  # noqa: BLE001  (the exporter raises of all kinds)
        refusal = UnsupportedModelError(
            f"tf2onnx can't export it: {type_and_text(error)}; replace "
            "the layer that this is about by one that it can translate"
        )
        refusal.__cause__ = error
        return refusal


def _versions() -> dict[str, str]:
    found = version_of("tensorflow", "tensorflow-cpu", "keras", "tf_keras", "tf2onnx")
    tensorflow = found.pop("tensorflow-cpu", None) or found.get("tensorflow")
    return {
        "framework": "TensorFlow",
        "framework_version": tensorflow or "",
        "exporter": "tf2onnx",
        "exporter_version": found.get("tf2onnx", ""),
        "keras_version": found.get("keras", found.get("tf_keras", "")),
    }


def import_tensorflow() -> Any:
    """Import TensorFlow and tf2onnx, without what TensorFlow's libraries print meanwhile.

    Raises:
        MissingDependencyError: One of them is not installed.
    """
    what = "a model of Keras or TensorFlow"
    if "tensorflow" in sys.modules and "tf2onnx" in sys.modules:
        return sys.modules["tensorflow"]
    with quiet(), _without_stderr():
        tf = require("tensorflow", extra="tensorflow", what=what)
        tf.config.list_physical_devices("CPU")  # they print once more when they are first used
        require("tf2onnx", extra="tensorflow", what=what)
    return tf


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Send what C++ prints before it has a log, and so can't be told not to, to nowhere."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def quiet() -> Iterator[None]:
    """Let TensorFlow and tf2onnx be silent, and leave the settings of `logging` as they were.

    TensorFlow's C++ log is turned down by its environment variable, if the user has not set it.
    """
    variable = "TF_CPP_MIN_LOG_LEVEL"
    level = os.environ.setdefault(variable, "3")
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)
        os.environ[variable] = level  # importing tf2onnx sets it


# --- ways ----------------------------------------------------------------------------------------


def export(tf: Any, trackable: Any, function: Any) -> dict[str, Way]:
    """Return the ways to export a function.

    Args:
        tf: The module.
        trackable: What holds the function's variables.
        function: ``tf.function`` with an input signature of named tensors, that returns a
            dictionary of tensors.
    """

    def saved_model(opset: int | None) -> ModelProto:
        holder = tf.Module()
        holder.model, holder.function = trackable, function
        with tempfile.TemporaryDirectory() as folder:
            tf.saved_model.save(holder, folder, signatures={"serving_default": function})
            return convert_graph(tf, freeze_saved_model(folder), opset)

    def traced(opset: int | None) -> ModelProto:
        concrete = function.get_concrete_function()
        return convert_graph(tf, _freeze_function(trackable, concrete), opset)

    return {
        "SavedModel": saved_model,
        "function": traced,
        "SavedModel, newest operators": lambda opset: saved_model(opset or NEWEST_OPSET),
    }


def freeze_saved_model(folder: str, signature: str = "serving_default") -> Frozen:
    """Return a signature of a SavedModel, its variables turned into constants."""
    loader = require("tf2onnx.tf_loader", extra="tensorflow", what="a model of TensorFlow")
    graph_def, inputs, outputs, tables, renamed = loader.from_saved_model(
        folder,
        None,
        None,
        tag="serve",
        signatures=[signature],
        return_initialized_tables=True,
        return_tensors_to_rename=True,
    )
    return Frozen(
        graph_def=graph_def, inputs=inputs, outputs=outputs, tables=tables, renamed=renamed
    )


def _freeze_function(trackable: Any, concrete: Any) -> Frozen:
    """Return a function, its variables and what else it captured turned into constants."""
    loader = require("tf2onnx.tf_loader", extra="tensorflow", what="a model of TensorFlow")
    captured = {tensor.name for _, tensor in concrete.graph.captures}
    inputs = [tensor.name for tensor in concrete.inputs if tensor.name not in captured]
    outputs = [tensor.name for tensor in concrete.outputs]
    renamed = {tensor.name: key for key, tensor in concrete.structured_outputs.items()}
    renamed |= {name: name.partition(":")[0] for name in inputs}
    graph_def, tables = loader.from_trackable(trackable, concrete, inputs, outputs, False)
    return Frozen(
        graph_def=graph_def, inputs=inputs, outputs=outputs, tables=tables, renamed=renamed
    )


def convert_graph(
    tf: Any,
    frozen: Frozen,
    opset: int | None,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
) -> ModelProto:
    """Let tf2onnx translate a graph.

    Args:
        tf: The module.
        frozen: The graph.
        opset: Operator set; None for tf2onnx's choice.
        shapes: Of inputs whose own is not to be used; None for what may vary.
    """
    tfonnx = require("tf2onnx.tfonnx", extra="tensorflow", what="a model of TensorFlow")
    optimizer = require("tf2onnx.optimizer", extra="tensorflow", what="a model of TensorFlow")
    with in_order(), tf.device("/cpu:0"), tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen.graph_def, name="")
        made = tfonnx.process_tf_graph(
            graph,
            continue_on_error=True,  # what it can't translate is found, and named, afterwards
            opset=opset,
            custom_op_handlers=handlers(),
            shape_override=dict(shapes or {}),
            input_names=list(frozen.inputs),
            output_names=list(frozen.outputs),
            tensors_to_rename=dict(frozen.renamed),
            initialized_tables=frozen.tables,
        )
        model: ModelProto = optimizer.optimize_graph(made, True).make_model("main")
        return model
