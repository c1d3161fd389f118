"""Graphs of TensorFlow as sources for the exporter: SavedModels, frozen graphs, TensorFlow Lite.

A graph can hold operators that write or read files when it is run, or already when it is opened.
All operators with a state of their own are refused that are not known to be harmless.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from onnxroot.adapter import Options
from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot_adapters._keras_files import first_line
from onnxroot_adapters._prove import Input
from onnxroot_adapters._require import require
from onnxroot_adapters._tf_export import (
    Frozen,
    Source,
    convert_graph,
    export,
    freeze_saved_model,
    quiet,
)
from onnxroot_adapters._tf_phase import settle

__all__ = ["source_of_frozen", "source_of_loaded", "source_of_saved_model", "source_of_tflite"]

Array = npt.NDArray[Any]
Shape = tuple[int | None, ...]

_HARMLESS = {
    "AnonymousHashTable", "AnonymousMutableHashTable", "Assert", "Assign",
    "AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp", "Bernoulli",
    "DestroyResourceOp", "DisableCopyOnRead", "EmptyTensorList", "HashTable", "HashTableV2",
    "If", "InitializeTable", "InitializeTableV2", "IsVariableInitialized",
    "LookupTableExportV2", "LookupTableFind", "LookupTableFindV2", "LookupTableImportV2",
    "LookupTableSize", "LookupTableSizeV2", "Multinomial", "MutableHashTableV2", "NoOp",
    "PartitionedCall", "Placeholder", "RandomGammaV2", "RandomStandardNormal",
    "RandomUniform", "RandomUniformInt", "ReadVariableOp", "ResourceGather",
    "ResourceGatherNd", "RngReadAndSkip", "Stack", "StackPopV2", "StackPushV2", "StackV2",
    "StatefulPartitionedCall", "StatefulRandomBinomial", "StatefulStandardNormalV2",
    "StatefulUniform", "StatefulUniformInt", "TensorArrayCloseV3", "TensorArrayConcatV3",
    "TensorArrayGatherV3", "TensorArrayReadV3", "TensorArrayScatterV3", "TensorArraySizeV3",
    "TensorArrayV3", "TensorArrayWriteV3", "TruncatedNormal", "VarHandleOp",
    "VarIsInitializedOp", "Variable", "VariableShape", "VariableV2", "While",
}  # fmt: skip
_HARMLESS_KINDS = re.compile(
    r"(CudnnRNN|IteratorGetNext|Optional|Resource(Sparse)?Apply|ResourceScatter|TensorList)\w*"
)
_READS_FILES = {
    "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "MatchingFiles", "ReadFile",
    "Restore", "RestoreSlice",
}  # fmt: skip
_OF_SAVERS = {"MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2", "RestoreV2", "ShardedFilename"}
_SAVER = "__inference__traced_save", "__inference__traced_restore"
_NO_OUTPUT = {"Assert", "Const", "NoOp", "Placeholder", "PlaceholderWithDefault"}


# --- what a graph would do -----------------------------------------------------------------------


def _refuse_side_effects(
    tf: Any, path: Path, graph: Any, options: Options, ends: Iterable[str] | None = None
) -> None:
    """Refuse a graph with operators that may do more than compute.

    Args:
        tf: The module.
        path: Where it is from, for the message.
        graph: A GraphDef.
        options: `allow_pickle` counts.
        ends: Tensors and nodes that will be asked for; None if all may be.

    Raises:
        UnsupportedModelError: It has some, and the user has not allowed them.
    """
    if options.allow_pickle:
        return
    found = sorted(set(_side_effects(tf, graph, ends)))
    if found:
        raise UnsupportedModelError(
            f"{path}: has operators that may write or read files, or run code: "
            f"{', '.join(found[:5])}; if you trust its author, allow them (--allow-pickle, "
            "allow_pickle=True)"
        )


def _side_effects(tf: Any, graph: Any, ends: Iterable[str] | None) -> Iterator[str]:
    """Yield operators; saving and restoring is harmless where nobody asks for it."""
    nodes = {node.name: node for node in graph.node}
    needed = set(nodes) if ends is None else _needed(nodes, ends)
    inner = [node for function in graph.library.function for node in function.node_def]
    called = {
        attribute.func.name
        for node in (*inner, *(nodes[name] for name in needed))
        for attribute in node.attr.values()
    }
    for function in graph.library.function:
        name = function.signature.name
        of_saver = ends is not None and name.startswith(_SAVER) and name not in called
        yield from _suspicious(tf, function.node_def, savers=of_saver)
    for name, node in nodes.items():
        yield from _suspicious(tf, [node], savers=name not in needed)


def _needed(nodes: Mapping[str, Any], ends: Iterable[str]) -> set[str]:
    """Return the names of nodes that must run for others."""
    found: set[str] = set()
    stack = list(ends)
    while stack:
        name = stack.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in found:
            found.add(name)
            stack += nodes[name].input
    return found


def _suspicious(tf: Any, nodes: Iterable[Any], *, savers: bool) -> Iterator[str]:
    registry = tf.raw_ops
    for node in nodes:
        operator = node.op
        if savers and operator in _OF_SAVERS:
            continue
        unknown = operator not in _HARMLESS and _is_stateful(registry, operator)
        if unknown or operator in _READS_FILES | _OF_SAVERS:
            yield operator


def _is_stateful(registry: Any, operator: str) -> bool:
    """Say whether an operator has, or may have, effects beside its outputs."""
    from tensorflow.python.framework import (  # noqa: PLC0415
        op_def_registry,  # there is no public way to ask
    )

    if _HARMLESS_KINDS.fullmatch(operator):
        return False
    definition = op_def_registry.get(operator)
    if definition is None:
        return hasattr(registry, operator)  # unknown: can't be run either
    return bool(definition.is_stateful)


# --- SavedModels ---------------------------------------------------------------------------------


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
        _refuse_side_effects(tf, path, meta.graph_def, options, ends)
    try:
        with quiet():
            loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise FormatError(
            f"{path}: TensorFlow {tf.__version__} can't open it: {first_line(error)}"
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
    shapes = {key: _shape_of(key, spec, options, where) for key, spec in specs.items()}
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
            key: list(shapes[key]) for key, spec in specs.items() if shapes[key] != _dims(spec)
        }
        ways = {
            "SavedModel": lambda opset: _convert_saved_model(tf, folder, name, opset, given),
            **{f"{key}, wrapped": way for key, way in ways.items()},
        }
    return Source(
        inputs=[
            Input(name=key, dtype=np.dtype(_numpy_type(spec)), shape=shapes[key])
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


def _dims(spec: Any) -> Shape | None:
    return None if spec.shape.rank is None else tuple(spec.shape.as_list())


def _shape_of(name: str, spec: Any, options: Options, where: str) -> Shape:
    found = tuple(options.inputs[name]) if name in options.inputs else _dims(spec)
    if found is None:
        raise UnsupportedModelError(_shape_needed(where, name))
    free = options.dynamic.get(name, ())
    return tuple(None if axis in free else dim for axis, dim in enumerate(found))


def _shape_needed(where: str, name: str) -> str:
    return (
        f"{where}: does not say how many dimensions the input {name} has: give its shape "
        f"(--input {name}:SHAPE, such as --input {name}:?x16, inputs={{{name!r}: (None, 16)}})"
    )


def _numpy_type(spec: Any) -> Any:
    found = spec.dtype.as_numpy_dtype
    return object if found is str or found is bytes else found


def _variables(loaded: Any) -> dict[str, Array]:
    found = {}
    for variable in getattr(loaded, "variables", None) or []:
        found[str(variable.name).partition(":")[0]] = np.asarray(variable)
    return found


# --- frozen graphs -------------------------------------------------------------------------------


def source_of_frozen(tf: Any, path: Path, options: Options, what: Mapping[str, str]) -> Source:
    """Return a frozen GraphDef as a source: from its placeholders to the nodes nobody reads.

    Raises:
        FormatError: It is damaged.
        UnsupportedModelError: The shape of an input is needed, or it may do more than compute.
    """
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise FormatError(f"{path}: damaged, not a GraphDef of TensorFlow") from error
    _refuse_side_effects(tf, path, graph, options)
    variables = [n.name for n in graph.node if n.op in ("Variable", "VariableV2", "VarHandleOp")]
    if variables:
        raise UnsupportedModelError(
            f"{path}: is not frozen, its weights are not in it ({variables[0]}, ...): freeze it "
            "with its checkpoint, or convert the SavedModel"
        )
    settle(tf, graph)
    try:
        with tf.Graph().as_default() as imported:
            tf.import_graph_def(graph, name="")
    except ValueError as error:
        raise UnsupportedModelError(
            f"{path}: TensorFlow can't read the graph: {first_line(error)}"
        ) from error
    inputs = [n.name for n in graph.node if n.op == "Placeholder"]
    outputs = list(_unread(imported))
    if not inputs or not outputs:
        raise UnsupportedModelError(f"{path}: a graph without placeholders, or without outputs")
    _check_names(path, inputs, options)
    tensors = {name: imported.get_tensor_by_name(f"{name}:0") for name in inputs}
    shapes = {name: _shape_of(name, t, options, str(path)) for name, t in tensors.items()}
    with quiet():
        run = _runner(tf, imported, inputs, outputs)
    overrides = {f"{name}:0": list(shape) for name, shape in shapes.items()}

    def way(opset: int | None) -> Any:
        loader = require("tf2onnx.tf_loader", extra="tensorflow", what="a frozen graph")
        ends = [f"{name}:0" for name in inputs], outputs
        with tf.Graph().as_default():
            tf.import_graph_def(graph, name="")
            optimized = loader.tf_optimize(*ends, graph)
        renamed = dict(zip([*ends[0], *ends[1]], [*inputs, *plain_outputs], strict=True))
        frozen = Frozen(graph_def=optimized, inputs=ends[0], outputs=ends[1], renamed=renamed)
        return convert_graph(tf, frozen, opset, overrides)

    plain_outputs = [f"{name.replace(':', '_')}__output" for name in outputs]
    return Source(
        inputs=[
            Input(name=name, dtype=np.dtype(_numpy_type(tensors[name])), shape=shapes[name])
            for name in inputs
        ],
        outputs=[name.removesuffix(":0") for name in outputs],
        ways={"frozen graph": way, "newest operators": lambda opset: way(opset or 18)},
        plain_inputs=inputs,
        plain_outputs=plain_outputs,
        predict=run,
        weights={
            node.name: tf.make_ndarray(node.attr["value"].tensor)
            for node in graph.node
            if node.op == "Const" and node.attr["value"].tensor.tensor_shape.dim
        },
        batched=False,
        what=what,
    )


def _check_names(path: Path, inputs: Sequence[str], options: Options) -> None:
    unknown = sorted((set(options.inputs) | set(options.dynamic)) - set(inputs))
    if unknown:
        raise UnsupportedModelError(
            f"{path}: no input {', '.join(unknown)}; its placeholders are {', '.join(inputs)}"
        )


def _unread(graph: Any) -> Iterator[str]:
    """Yield the tensors that no other node reads."""
    for operation in graph.get_operations():
        read = any(tensor.consumers() for tensor in operation.outputs)
        if not read and operation.outputs and operation.type not in _NO_OUTPUT:
            yield from (tensor.name for tensor in operation.outputs)


def _runner(
    tf: Any, graph: Any, inputs: Sequence[str], outputs: Sequence[str]
) -> Callable[[Sequence[Array]], Sequence[Any]]:
    session = tf.compat.v1.Session(graph=graph)
    feeds = [f"{name}:0" for name in inputs]

    def run(flat: Sequence[Array]) -> Sequence[Any]:
        found: Sequence[Any] = session.run(list(outputs), dict(zip(feeds, flat, strict=True)))
        return found

    return run


# --- TensorFlow Lite -----------------------------------------------------------------------------


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
