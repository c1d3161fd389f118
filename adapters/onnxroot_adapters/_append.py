"""Steps behind the outputs of an ONNX model: what an exporter left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.shape_inference import InferenceError, infer_shapes

__all__ = [
    "add_constant",
    "append",
    "declare_shapes",
    "keep_outputs",
    "label_above",
    "pin_opset",
    "redeclare",
    "reshape",
    "set_outputs",
    "without_sequences",
]


def append(model: ModelProto, output: str, *operators: str) -> ModelProto:
    """Return a model with operators of one input, such as ``Exp``, behind one of its outputs."""
    result = ModelProto()
    result.CopyFrom(model)
    name = inner = f"{output}_raw"
    _rename_value(result.graph, output, inner)
    for i, operator in enumerate(operators):
        target = output if i == len(operators) - 1 else f"{inner}_{i}"
        result.graph.node.append(helper.make_node(operator, [name], [target]))
        name = target
    require_opset(result, 13)
    return result


def keep_missing(model: ModelProto) -> ModelProto:
    """Return a model whose only output is NaN wherever its only input is."""
    result = ModelProto()
    result.CopyFrom(model)
    (output,) = (value.name for value in result.graph.output)
    (source,) = (value.name for value in result.graph.input)
    _rename_value(result.graph, output, f"{output}_raw")
    nodes = [
        helper.make_node("IsNaN", [source], ["is_missing"]),
        helper.make_node("Where", ["is_missing", source, f"{output}_raw"], [output]),
    ]
    result.graph.node.extend(nodes)
    require_opset(result, 13)
    return result


def label_above(
    model: ModelProto,
    *,
    scores: str,
    label: str,
    column: int,
    threshold: float,
    classes: npt.NDArray[np.generic],
    elem_type: int,
) -> ModelProto:
    """Return a model whose label tells whether a column of the scores reaches a threshold."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    _rename_value(graph, label, f"{label}_raw")
    dtype = helper.tensor_dtype_to_np_dtype(elem_type)
    at = np.array(threshold, dtype=dtype)
    if dtype == np.float32 and float(at) < threshold:
        at = np.nextafter(at, np.float32(np.inf))
    add_constant(graph, "threshold_column", np.array([column], dtype=np.int64))
    add_constant(graph, "threshold", at)
    add_constant(graph, "threshold_shape", np.array([-1], dtype=np.int64))
    for i in range(2):
        add_constant(graph, f"threshold_class_{i}", classes[i])
    nodes = [
        helper.make_node("Gather", [scores, "threshold_column"], ["threshold_score"], axis=1),
        helper.make_node("Reshape", ["threshold_score", "threshold_shape"], ["threshold_flat"]),
        helper.make_node("GreaterOrEqual", ["threshold_flat", "threshold"], ["threshold_above"]),
        helper.make_node(
            "Where", ["threshold_above", "threshold_class_1", "threshold_class_0"], [label]
        ),
    ]
    graph.node.extend(nodes)
    require_opset(result, 13)
    return result


def reshape(model: ModelProto, output: str, shape: Sequence[int]) -> ModelProto:
    """Return a model one of whose outputs has another shape; -1 in it is the number of rows."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    _rename_value(graph, output, f"{output}_raw")
    name = add_constant(graph, f"{output}_shape", np.array(shape, dtype=np.int64))
    graph.node.append(helper.make_node("Reshape", [f"{output}_raw", name], [output]))
    return result


def declare_shapes(model: ModelProto, shapes: Mapping[str, Sequence[int]], n_rows: int) -> None:
    """Declare the shapes of outputs as they were seen with a number of rows."""
    for value in model.graph.output:
        elem_type = value.type.tensor_type.elem_type
        if elem_type and value.name in shapes:
            shape = [None if size == n_rows else size for size in shapes[value.name]]
            value.CopyFrom(helper.make_tensor_value_info(value.name, elem_type, shape))


def redeclare(model: ModelProto) -> ModelProto:
    """Return a model with types and shapes as ONNX infers them, if those declared contradict."""
    inferred = ModelProto()
    inferred.CopyFrom(model)
    del inferred.graph.value_info[:]
    for value in inferred.graph.output:
        value.ClearField("type")
    inferred = infer_shapes(inferred)
    del inferred.graph.value_info[:]
    contradicts = False
    for value, declared in zip(inferred.graph.output, model.graph.output, strict=True):
        if not declared.type.HasField("tensor_type"):  # a sequence of probabilities
            value.type.CopyFrom(declared.type)
            continue
        found, said = value.type.tensor_type.elem_type, declared.type.tensor_type.elem_type
        contradicts = contradicts or bool(found and said and found != said)
        if not found or not value.type.tensor_type.HasField("shape"):
            value.type.CopyFrom(declared.type)
            value.type.tensor_type.elem_type = found or said
            for dim in value.type.tensor_type.shape.dim:
                dim.Clear()
    if not contradicts:
        try:
            infer_shapes(model, check_type=True, strict_mode=True)
        except InferenceError:
            contradicts = True
    return inferred if contradicts else model


def set_outputs(
    graph: GraphProto, outputs: Sequence[tuple[str, int, Sequence[int | None]]]
) -> None:
    """Declare the outputs of a graph: name, element type, shape."""
    del graph.output[:]
    for name, elem_type, shape in outputs:
        graph.output.append(helper.make_tensor_value_info(name, elem_type, list(shape)))


def keep_outputs(model: ModelProto, names: Sequence[str]) -> None:
    """Keep only some outputs, and the nodes they need."""
    kept = [output for output in model.graph.output if output.name in names]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    needed = set(names)
    nodes: list[NodeProto] = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.insert(0, node)
            needed |= set(node.input)
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def add_constant(graph: GraphProto, name: str, value: object) -> str:
    """Add an initializer, of strings too, and return its name."""
    array = np.asarray(value)
    if array.dtype.kind in "US":
        array = array.astype(object)
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    tensor: TensorProto = numpy_helper.from_array(array, name)
    graph.initializer.append(tensor)
    return name


def require_opset(model: ModelProto, version: int) -> None:
    """Raise the version of ``ai.onnx`` to one that has what was appended."""
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = max(opset.version, version)
            return
    model.opset_import.append(helper.make_opsetid("", version))


def without_sequences(model: ModelProto) -> ModelProto:
    """Return a model whose outputs are tensors: those of a sequence, one behind the other."""
    sequences = {o.name: o for o in model.graph.output if o.type.HasField("sequence_type")}
    if not sequences:
        return model
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    axis = add_constant(result.graph, "first_axis", np.array([0], dtype=np.int64))
    for node in model.graph.node:
        if node.op_type != "SequenceConstruct" or node.output[0] not in sequences:
            result.graph.node.append(node)
            continue
        parts = [f"{name}_part" for name in node.input]
        for name, part in zip(node.input, parts, strict=True):
            result.graph.node.append(helper.make_node("Unsqueeze", [name, axis], [part]))
        result.graph.node.append(helper.make_node("Concat", parts, list(node.output), axis=0))
    for output in result.graph.output:
        if output.name in sequences:
            inner = output.type.sequence_type.elem_type.tensor_type.elem_type
            output.CopyFrom(helper.make_tensor_value_info(output.name, inner, [None] * 3))
    require_opset(result, 13)
    return result


def pin_opset(model: ModelProto, version: int) -> None:
    """Declare a version of ``ai.onnx``: the checker and the proof tell whether that is right."""
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = version


def _rename_value(graph: GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]
