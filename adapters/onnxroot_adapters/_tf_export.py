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
from onnx import GraphProto, ModelProto, ValueInfoProto, helper, numpy_helper

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import OnnxRootError, UnsupportedModelError
from onnxroot_adapters._conclude import conclude
from onnxroot_adapters._keras_files import first_line
from onnxroot_adapters._prove import Input, Predict
from onnxroot_adapters._require import require, version_of

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
                f"ones (--samples FILE.npz, samples=...): {first_line(error)}"
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
            model = _with_interface(way(options.opset), source)
        return conclude(
            model,
            inputs=source.inputs,
            predict=predict,
            options=options,
            provenance={"exporter_way": name, **_versions(), **source.what},
            rename=True,
            weight_names=_weight_names(model.graph, source.weights),
        )
    except UnsupportedModelError as error:
        return error
    except OnnxRootError:
        raise
    except Exception as error:  # noqa: BLE001  (the exporter raises of all kinds)
        refusal = UnsupportedModelError(
            f"tf2onnx can't export it: {type(error).__name__}: {first_line(error)}; replace "
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
    with tf.device("/cpu:0"), tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen.graph_def, name="")
        made = tfonnx.process_tf_graph(
            graph,
            continue_on_error=True,  # what it can't translate is found, and named, afterwards
            opset=opset,
            custom_op_handlers=_handlers(),
            shape_override=dict(shapes or {}),
            input_names=list(frozen.inputs),
            output_names=list(frozen.outputs),
            tensors_to_rename=dict(frozen.renamed),
            initialized_tables=frozen.tables,
        )
        model: ModelProto = optimizer.optimize_graph(made, True).make_model("main")
        return model


# --- operators that tf2onnx does not translate ---------------------------------------------------


def _handlers() -> dict[str, tuple[Any, list[Any]]]:
    """Return what to put in the place of operators that tf2onnx leaves as they are."""
    return {
        "Bucketize": (_bucketize, []),
        "Erfc": (_erfc, []),
        "Expm1": (_expm1, []),
        "Log1p": (_log1p, []),
    }


def _replace(ctx: Any, node: Any, make: Callable[[Any, str, npt.DTypeLike], str]) -> None:
    """Remove a node, and put what `make` makes of its input in its place.

    Args:
        ctx: tf2onnx's graph.
        node: To be replaced; it has one input and one output.
        make: A function of the graph, the input and its NumPy type that returns an output.
    """
    utils = require("tf2onnx.utils", extra="tensorflow", what="a model of TensorFlow")
    given, output = node.input[0], node.output[0]
    dtype, shape = ctx.get_dtype(output), ctx.get_shape(output)
    of_input = utils.map_onnx_to_numpy_type(ctx.get_dtype(given))
    ctx.remove_node(node.name)
    made = make(ctx, given, of_input)
    ctx.make_node("Identity", [made], outputs=[output], shapes=[shape], dtypes=[dtype])


def _constant(ctx: Any, value: Any, dtype: npt.DTypeLike) -> str:
    utils = require("tf2onnx.utils", extra="tensorflow", what="a model of TensorFlow")
    made: str = ctx.make_const(utils.make_name("constant"), np.array(value, dtype)).output[0]
    return made


def _apply(ctx: Any, operator: str, *inputs: str, **attributes: Any) -> str:
    made: str = ctx.make_node(operator, list(inputs), attr=attributes).output[0]
    return made


def _erfc(ctx: Any, node: Any, _name: str, _args: Any) -> None:
    """1 - erf(x), which GELU needs."""
    _replace(ctx, node, lambda g, x, t: _apply(g, "Sub", _constant(g, 1, t), _apply(g, "Erf", x)))


def _log1p(ctx: Any, node: Any, _name: str, _args: Any) -> None:
    """log(1 + x)."""
    _replace(ctx, node, lambda g, x, t: _apply(g, "Log", _apply(g, "Add", x, _constant(g, 1, t))))


def _expm1(ctx: Any, node: Any, _name: str, _args: Any) -> None:
    """exp(x) - 1."""
    _replace(ctx, node, lambda g, x, t: _apply(g, "Sub", _apply(g, "Exp", x), _constant(g, 1, t)))


def _bucketize(ctx: Any, node: Any, _name: str, _args: Any) -> None:
    """How many boundaries are not above x."""
    boundaries = list(node.get_attr("boundaries").floats)

    def make(g: Any, x: str, dtype: npt.DTypeLike) -> str:
        wide = _apply(g, "Unsqueeze", x, _constant(g, [-1], np.int64))
        below = _apply(g, "Less", wide, _constant(g, boundaries, dtype))
        counted = _apply(g, "Cast", _apply(g, "Not", below), to=6)
        return _apply(g, "ReduceSum", counted, _constant(g, [-1], np.int64), keepdims=0)

    _replace(ctx, node, make)


# --- names of inputs, outputs and weights --------------------------------------------------------


def _with_interface(model: ModelProto, source: Source) -> ModelProto:
    """Return a model with the source's inputs and outputs: all, in order, under their names."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    inputs = {value.name: value for value in model.graph.input}
    outputs = {value.name: value for value in model.graph.output}
    extra = sorted(set(inputs) - set(source.plain_inputs))
    missing = sorted(set(source.plain_outputs) - set(outputs))
    if extra or missing:
        raise UnsupportedModelError(
            f"tf2onnx lost its way: inputs it invented: {extra or 'none'}; outputs it dropped: "
            f"{missing or 'none'}"
        )
    names = dict(zip(source.plain_inputs, (item.name for item in source.inputs), strict=True))
    names |= dict(zip(source.plain_outputs, source.outputs, strict=True))
    taken = _names_in(graph) - set(names)
    aside = {name: f"{name}__inner" for name in taken & set(names.values())}
    _rename_values(graph, names | aside)
    del graph.input[:], graph.output[:]
    graph.input.extend(
        _input_value(inputs.get(plain), item)
        for plain, item in zip(source.plain_inputs, source.inputs, strict=True)
    )
    first = bool(source.inputs) and source.inputs[0].shape[:1] == (None,) and source.batched
    graph.output.extend(
        _output_value(outputs[plain], name, batched=first)
        for plain, name in zip(source.plain_outputs, source.outputs, strict=True)
    )
    return result


def _names_in(graph: GraphProto) -> set[str]:
    found = {value.name for value in (*graph.input, *graph.output)}
    found |= {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        found |= {*node.input, *node.output}
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= _names_in(attribute.g)
    return found


def _rename_values(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Rename values in a graph and in those within it, and drop the shapes of inner values."""
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename_values(attribute.g, names)
                _clear_drawn_dimensions(attribute.g)


def _clear_drawn_dimensions(graph: GraphProto) -> None:
    """Clear the names of dimensions, which tf2onnx counts through the process."""
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            dim.ClearField("dim_param")


def _input_value(found: ValueInfoProto | None, item: Input) -> ValueInfoProto:
    """Return an input with dimensions named after it; tf2onnx draws names for them."""
    if found is not None:
        element_type = found.type.tensor_type.elem_type
    else:
        element_type = helper.np_dtype_to_tensor_dtype(item.dtype)
    dims = [
        ("batch" if axis == 0 else f"{item.name}_dim_{axis}") if dim is None else dim
        for axis, dim in enumerate(item.shape)
    ]
    return helper.make_tensor_value_info(item.name, element_type, dims)


def _output_value(found: ValueInfoProto, name: str, *, batched: bool) -> ValueInfoProto:
    tensor = found.type.tensor_type
    if not tensor.HasField("shape"):
        return helper.make_tensor_value_info(name, tensor.elem_type, None)
    dims: list[int | str | None] = [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in tensor.shape.dim
    ]
    if batched and dims and dims[0] is None:
        dims[0] = "batch"
    return helper.make_tensor_value_info(name, tensor.elem_type, dims)


def _weight_names(graph: GraphProto, weights: Mapping[str, Array]) -> dict[str, str]:
    """Return the framework's names of the graph's initializers, told by their values.

    The exporter transposes weights and gives them names of its own; what has the same values,
    in any order, is the same weight. What it made of several weights has no name.
    """
    known: dict[bytes, list[str]] = {}
    for name, value in weights.items():
        key = _values_key(value)
        if key:
            known.setdefault(key, []).append(name)
    sizes = {value.size for value in weights.values()}
    found = {}
    for tensor in graph.initializer:
        if int(np.prod(tensor.dims, dtype=np.int64)) not in sizes:
            continue
        key = _values_key(numpy_helper.to_array(tensor))
        names = known.get(key, []) if key else []
        if names:
            found[tensor.name] = names.pop(0) if len(names) > 1 else names[0]
    return found


def _values_key(value: Array) -> bytes | None:
    """Return what two arrays with the same values have in common; None for what anyone may have."""
    if not value.size or value.dtype.kind not in "fiu":
        return None
    values = np.sort(value, axis=None)
    if values[0] == values[-1] and (value.size > 1 or float(values[0] * 1024).is_integer()):
        return None
    return values.dtype.str.encode() + values.tobytes()
