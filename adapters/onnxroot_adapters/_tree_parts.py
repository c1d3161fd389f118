"""Ensembles put together from a regressor for each score, where an exporter fails with the whole.

The scores, what is added to them, and what is made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, TensorProto, helper

from onnxroot_adapters._append import add_constant, require_opset, set_outputs

__all__ = ["Head", "assemble", "compose", "without_zipmap"]

Array = npt.NDArray[Any]

INPUT = "X"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is made of the scores of an ensemble.

    Attributes:
        link: ``Identity``, ``Sigmoid``, ``Exp``, ``Softmax``, ``Softplus``, ``Step``,
            ``SignedSquare`` or ``Sort``, each row in ascending order.
        base: Added to each score.
        scale: Each score is multiplied with it first.
        classes: Labels, of a classifier.
        label_of_each: Each score is a label of its own, 0 or 1.
        missing: A number that stands for a missing value.
        missing_width: What is as near to that number as this stands for it, too.
        missing_is_zero: A missing value counts as 0.
    """

    link: str = "Identity"
    base: tuple[float, ...] = (0.0,)
    scale: float = 1.0
    classes: Array | None = None
    label_of_each: bool = False
    missing: float | None = None
    missing_width: float = 0.0
    missing_is_zero: bool = False


def assemble(parts: Sequence[ModelProto], head: Head, n_features: int) -> ModelProto:
    """Return a model of ``X``, float32 (n, n_features), with one regressor for each score.

    Its outputs are ``variable`` (n, n_scores), or ``label`` and ``probabilities`` (n, n_classes).
    """
    graph = GraphProto(name="trees")
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, n_features]))
    source = _with_zero(graph) if head.missing_is_zero else _with_nan(graph, head)
    scores = [_include(graph, part.graph, f"score{i}_", source) for i, part in enumerate(parts)]
    graph.node.append(helper.make_node("Concat", scores, ["scores"], axis=1))
    scale = add_constant(graph, "scale", np.array(head.scale, dtype=np.float32))
    base = add_constant(graph, "base", np.array([head.base], dtype=np.float32))
    graph.node.append(helper.make_node("Mul", ["scores", scale], ["scaled"]))
    graph.node.append(helper.make_node("Add", ["scaled", base], ["margins"]))
    if head.classes is None and not head.label_of_each:
        _link(graph, head.link, "margins", "variable", len(parts))
        set_outputs(graph, [("variable", TensorProto.FLOAT, [None, len(parts)])])
    else:
        _link(graph, head.link, "margins", "linked", len(parts))
        _classify(graph, head, len(parts))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", 3)])
    model.ir_version = max(part.ir_version for part in parts)
    require_opset(model, 13)
    return model


def _with_nan(graph: GraphProto, head: Head) -> str:
    """Replace the number that stands for a missing value, and return the name of the result."""
    if head.missing is None:
        return INPUT
    number = add_constant(graph, "missing", np.array(head.missing, dtype=np.float32))
    width = add_constant(graph, "missing_width", np.array(head.missing_width, dtype=np.float32))
    nan = add_constant(graph, "nan", np.array(np.nan, dtype=np.float32))
    graph.node.append(helper.make_node("Sub", [INPUT, number], ["from_missing"]))
    graph.node.append(helper.make_node("Abs", ["from_missing"], ["distance"]))
    graph.node.append(helper.make_node("LessOrEqual", ["distance", width], ["is_missing"]))
    graph.node.append(helper.make_node("Where", ["is_missing", nan, INPUT], ["with_nan"]))
    return "with_nan"


def _with_zero(graph: GraphProto) -> str:
    """Replace missing values by 0, and return the name of the result."""
    zero = add_constant(graph, "no_value", np.array(0, dtype=np.float32))
    graph.node.append(helper.make_node("IsNaN", [INPUT], ["is_missing"]))
    graph.node.append(helper.make_node("Where", ["is_missing", zero, INPUT], ["with_zero"]))
    return "with_zero"


def _include(graph: GraphProto, part: GraphProto, prefix: str, source: str) -> str:
    """Copy a graph of one input into another, and return the name of its last output."""
    names = {part.input[0].name: source}
    for tensor in part.initializer:
        names[tensor.name] = prefix + tensor.name
        graph.initializer.append(tensor)
        graph.initializer[-1].name = names[tensor.name]
    for node in part.node:
        graph.node.append(node)
        copied = graph.node[-1]
        copied.name = ""  # it may be that of another
        for name in node.output:
            names[name] = prefix + name if name else ""
        copied.input[:] = [names.get(name, name) for name in node.input]
        copied.output[:] = [names[name] for name in node.output]
    return names[part.output[-1].name]


def _link(graph: GraphProto, link: str, source: str, target: str, n_scores: int) -> None:
    if link == "Softmax":
        graph.node.append(helper.make_node(link, [source], [target], axis=1))
    elif link == "Step":
        zero = add_constant(graph, "zero", np.array(0, dtype=np.float32))
        graph.node.append(helper.make_node("Greater", [source, zero], ["is_above"]))
        graph.node.append(helper.make_node("Cast", ["is_above"], [target], to=TensorProto.FLOAT))
    elif link == "SignedSquare":
        graph.node.append(helper.make_node("Abs", [source], ["size"]))
        graph.node.append(helper.make_node("Mul", [source, "size"], [target]))
    elif link == "Sort":
        n = add_constant(graph, "n_scores", np.array([n_scores]))
        inputs, outputs = [source, n], [target, "order"]
        graph.node.append(helper.make_node("TopK", inputs, outputs, axis=1, largest=0))
    else:
        graph.node.append(helper.make_node(link, [source], [target]))


def _classify(graph: GraphProto, head: Head, n_scores: int) -> None:
    """Add the label to the probabilities ``linked``."""
    if head.label_of_each:
        half = add_constant(graph, "half", np.array(0.5, dtype=np.float32))
        graph.node.append(helper.make_node("Greater", ["linked", half], ["above_half"]))
        graph.node.append(helper.make_node("Cast", ["above_half"], ["label"], to=TensorProto.INT64))
        graph.node.append(helper.make_node("Identity", ["linked"], ["probabilities"]))
        set_outputs(
            graph,
            [
                ("label", TensorProto.INT64, [None, n_scores]),
                ("probabilities", TensorProto.FLOAT, [None, n_scores]),
            ],
        )
        return
    classes = np.asarray(head.classes)
    text = classes.dtype.kind in "OUS"
    table = add_constant(graph, "classes", classes if text else classes.astype(np.int64))
    if n_scores == 1:
        one = add_constant(graph, "one", np.array(1, dtype=np.float32))
        graph.node.append(helper.make_node("Sub", [one, "linked"], ["others"]))
        graph.node.append(
            helper.make_node("Concat", ["others", "linked"], ["probabilities"], axis=1)
        )
    else:
        graph.node.append(helper.make_node("Identity", ["linked"], ["probabilities"]))
    nodes = [
        helper.make_node("ArgMax", ["probabilities"], ["best"], axis=1, keepdims=0),
        helper.make_node("Gather", [table, "best"], ["label"], axis=0),
    ]
    graph.node.extend(nodes)
    set_outputs(
        graph,
        [
            ("label", TensorProto.STRING if text else TensorProto.INT64, [None]),
            ("probabilities", TensorProto.FLOAT, [None, len(classes)]),
        ],
    )


def compose(first: ModelProto, second: ModelProto) -> ModelProto:
    """Return a model that feeds the only output of one into the only input of another."""
    result = ModelProto()
    result.CopyFrom(first)
    graph = result.graph
    (output,) = graph.output
    source = "features"
    for node in graph.node:
        node.output[:] = [source if name == output.name else name for name in node.output]
        node.input[:] = [source if name == output.name else name for name in node.input]
    if output.type.tensor_type.elem_type != TensorProto.FLOAT:
        graph.node.append(
            helper.make_node("Cast", [source], ["features_float"], to=TensorProto.FLOAT)
        )
        source = "features_float"
    inner = GraphProto()
    inner.CopyFrom(second.graph)
    for value in inner.output:  # the names of the second stay
        for node in inner.node:
            node.output[:] = [f"\0{n}" if n == value.name else n for n in node.output]
            node.input[:] = [f"\0{n}" if n == value.name else n for n in node.input]
    for node in inner.node:
        node.name = ""  # it may be that of another
        node.output[:] = [n[1:] if n[:1] == "\0" else f"trees_{n}" for n in node.output]
        names = {tensor.name for tensor in inner.initializer}
        node.input[:] = [
            source
            if n == inner.input[0].name
            else n[1:]
            if n[:1] == "\0"
            else f"trees_{n}"
            if n or n in names
            else ""
            for n in node.input
        ]
    for tensor in inner.initializer:
        tensor.name = f"trees_{tensor.name}"
    graph.node.extend(inner.node)
    graph.initializer.extend(inner.initializer)
    del graph.output[:]
    graph.output.extend(inner.output)
    del graph.value_info[:]
    versions = {opset.domain: opset.version for opset in result.opset_import}
    for opset in second.opset_import:
        versions[opset.domain] = max(opset.version, versions.get(opset.domain, 0))
    del result.opset_import[:]
    result.opset_import.extend(helper.make_opsetid(d, v) for d, v in versions.items())
    result.ir_version = max(result.ir_version, second.ir_version)
    return result


def without_zipmap(model: ModelProto) -> ModelProto:
    """Return a model whose probabilities are a tensor, not a list of dictionaries."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    for i, node in enumerate(graph.node):
        if node.op_type == "ZipMap":
            source, target = node.input[0], node.output[0]
            classes = sum(len(a.ints) + len(a.strings) for a in node.attribute)
            del graph.node[i]
            graph.node.append(helper.make_node("Identity", [source], [target]))
            for output in graph.output:
                if output.name == target:
                    output.CopyFrom(
                        helper.make_tensor_value_info(target, TensorProto.FLOAT, [None, classes])
                    )
            break
    require_opset(result, 13)
    return result
