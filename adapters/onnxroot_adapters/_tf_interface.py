"""Names of inputs, outputs and weights: those of the layers, not what tf2onnx draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, ValueInfoProto, helper, numpy_helper

from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._prove import Input

__all__ = ["weight_names", "with_interface"]

Array = npt.NDArray[Any]


def with_interface(
    model: ModelProto,
    *,
    inputs: Sequence[Input],
    outputs: Sequence[str],
    plain_inputs: Sequence[str],
    plain_outputs: Sequence[str],
    batched: bool,
) -> ModelProto:
    """Return a model with the source's inputs and outputs: all, in order, under their names.

    Args:
        model: What tf2onnx made.
        inputs: What they are to be.
        outputs: Their names.
        plain_inputs: What the model calls the inputs.
        plain_outputs: What the model calls the outputs.
        batched: Whether the outputs' first dimension is the batch.

    Raises:
        UnsupportedModelError: The model has other inputs or outputs.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    made_inputs = {value.name: value for value in model.graph.input}
    made_outputs = {value.name: value for value in model.graph.output}
    extra = sorted(set(made_inputs) - set(plain_inputs))
    missing = sorted(set(plain_outputs) - set(made_outputs))
    if extra or missing:
        raise UnsupportedModelError(
            f"tf2onnx lost its way: inputs it invented: {extra or 'none'}; outputs it dropped: "
            f"{missing or 'none'}"
        )
    names = dict(zip(plain_inputs, (item.name for item in inputs), strict=True))
    names |= dict(zip(plain_outputs, outputs, strict=True))
    taken = _names_in(graph) - set(names)
    aside = {name: f"{name}__inner" for name in taken & set(names.values())}
    _rename_values(graph, names | aside)
    del graph.input[:], graph.output[:]
    graph.input.extend(
        _input_value(made_inputs.get(plain), item)
        for plain, item in zip(plain_inputs, inputs, strict=True)
    )
    first = bool(inputs) and inputs[0].shape[:1] == (None,) and batched
    graph.output.extend(
        _output_value(made_outputs[plain], name, batched=first)
        for plain, name in zip(plain_outputs, outputs, strict=True)
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


def weight_names(graph: GraphProto, weights: Mapping[str, Array]) -> dict[str, str]:
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
