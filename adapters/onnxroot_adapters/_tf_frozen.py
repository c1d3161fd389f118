"""Frozen graphs of TensorFlow as sources for the exporter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from onnxroot_adapters._tf_export import Frozen, Source, convert_graph, quiet
from onnxroot_adapters._tf_phase import settle
from onnxroot_adapters._tf_specs import numpy_type, shape_of

__all__ = ["source_of_frozen"]

Array = npt.NDArray[Any]

_NO_OUTPUT = {"Assert", "Const", "NoOp", "Placeholder", "PlaceholderWithDefault"}


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
    refuse_side_effects(tf, path, graph, options)
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
            f"{path}: TensorFlow can't read the graph: {in_one_line(error)}"
        ) from error
    inputs = [n.name for n in graph.node if n.op == "Placeholder"]
    outputs = list(_unread(imported))
    if not inputs or not outputs:
        raise UnsupportedModelError(f"{path}: a graph without placeholders, or without outputs")
    _check_names(path, inputs, options)
    tensors = {name: imported.get_tensor_by_name(f"{name}:0") for name in inputs}
    shapes = {name: shape_of(name, t, options, str(path)) for name, t in tensors.items()}
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
            Input(name=name, dtype=np.dtype(numpy_type(tensors[name])), shape=shapes[name])
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
