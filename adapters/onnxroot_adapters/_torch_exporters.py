"""PyTorch's exporters, called, and the names and sizes in what they make."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._torch_inference import quiet_graphs
from onnxroot_adapters._torch_inputs import Call, Dim, named_tensors
from onnxroot_adapters._torch_refusals import UntraceableError, refusal

__all__ = ["Exported", "converted_script", "decomposed", "dynamo", "exported", "torchscript"]

_MOST_SIZE = 1 << 40  # of a dimension; more is no end
_PREFIX = "module."  # what `flattened` puts in front of the names of weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an exporter made of a module.

    Attributes:
        model: The ONNX model.
        shapes: Of its inputs.
        batch: Name of the batch among these; None if it is fixed.
        most: Largest values of sizes, where the exporter found an end.
    """

    model: onnx.ModelProto
    shapes: tuple[tuple[Dim, ...], ...]
    batch: str | None
    most: dict[str, int] = field(default_factory=dict)


def dynamo(
    flat: Any,
    call: Call,
    names: list[str],
    axes: Mapping[str, Sequence[int]],
    options: Options,
    *,
    decompose: bool = False,
) -> Exported:
    import torch  # noqa: PLC0415

    auto = torch.export.Dim.AUTO
    shapes = tuple(dict.fromkeys(axes.get(name, ()), auto) for name in call.names)
    try:
        program = torch.export.export(flat, call.tensors, dynamic_shapes=(shapes,), strict=False)
    except Exception as error:
        raise UntraceableError(*refusal(error).args) from error
    if decompose:
        program = decomposed(program)
    made = exported(program, call, names, options)
    for name, shape in zip(call.names, made.shapes, strict=True):
        for axis in options.dynamic.get(name, ()):
            if isinstance(shape[axis], int):
                raise UnsupportedModelError(
                    f"input {name}, axis {axis} can't vary: the module works for "
                    f"{shape[axis]} only; leave it out of --dynamic"
                )
    return made


def exported(program: Any, call: Call, names: list[str], options: Options) -> Exported:
    """Turn an exported program into ONNX.

    Raises:
        UnsupportedModelError: It can't be.
    """
    shapes = _shapes(program, call)
    first = [shape[0] for shape in shapes if shape]
    batch = next((dim for dim in first if isinstance(dim, str)), None)
    model = _named_sizes(_to_onnx(program, call, names, options), shapes, batch)
    most = {
        str(symbol): int(bounds.upper)
        for symbol, bounds in program.range_constraints.items()
        if bounds.upper < _MOST_SIZE
    }
    return Exported(model=model, shapes=shapes, batch=batch, most=most)


def converted_script(module: Any, call: Call) -> Any:
    """Turn a TorchScript module into one that the newer exporter takes.

    Raises:
        UnsupportedModelError: PyTorch can't.
    """
    try:
        from torch._export.converter import TS2EPConverter  # noqa: PLC0415

        program = TS2EPConverter(module, call.args, call.kwargs).convert()
        return program.module(check_guards=False)
    except Exception as error:
        raise refusal(error) from error


def _shapes(program: Any, call: Call) -> tuple[tuple[Dim, ...], ...]:
    """Return the shapes of an exported program's inputs."""
    values = {
        node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"
    }
    found = [
        tuple(_dim(size) for size in values[name].shape)
        for name in program.graph_signature.user_inputs
        if isinstance(name, str) and hasattr(values.get(name), "shape")
    ]
    if len(found) != len(call.names):
        raise UnsupportedModelError(
            f"the exporter sees {len(found)} inputs, the example has {len(call.names)}: wrap the "
            "module in one whose forward takes nothing but tensors"
        )
    return tuple(found)


def _dim(size: Any) -> Dim:
    if isinstance(size, int):
        return size
    expression = size.node.expr
    if expression.is_Integer:
        return int(expression)
    return str(expression) if expression.is_Symbol else expression


def _to_onnx(program: Any, call: Call, names: list[str], options: Options) -> onnx.ModelProto:
    import torch  # noqa: PLC0415

    try:
        made = torch.onnx.export(
            program,
            dynamo=True,
            input_names=list(call.names),
            output_names=names,
            opset_version=options.opset,
            verbose=False,
        )
        model: onnx.ModelProto = made.model_proto
    except Exception as error:
        raise refusal(error) from error
    _check_interface(model, call, options)
    return _without_prefix(model)


def decomposed(program: Any) -> Any:
    """Express a program by core operators, which the exporter may know where it fails otherwise.

    Raises:
        UnsupportedModelError: It can't be.
    """
    import torch  # noqa: PLC0415

    def mean(
        base: Any, dim: int, index: Any, values: Any, reduce: str, *, include_self: bool = True
    ) -> Any:
        """ONNX's ScatterElements has no mean, and the exporter overwrites instead (2.13)."""
        if reduce != "mean":
            return NotImplemented
        start = base if include_self else torch.zeros_like(base)
        count = torch.ones_like(base) if include_self else torch.zeros_like(base)
        total = start.scatter_add(dim, index, values)
        count = count.scatter_add(dim, index, torch.ones_like(values))
        return torch.where(count > 0, total / count.clamp(min=1), base)

    def distances(one: Any, two: Any, order: float, _mode: int | None) -> Any:
        """The exporter has no operator for all distances between two sets of points."""
        return torch.linalg.vector_norm(one.unsqueeze(-2) - two.unsqueeze(-3), order, dim=-1)

    table = torch.export.default_decompositions()
    table[torch.ops.aten._cdist_forward.default] = distances  # noqa: SLF001  (cdist becomes this)
    table[torch.ops.aten.scatter_reduce.two] = mean
    try:
        return program.run_decompositions(table)
    except Exception as error:
        raise refusal(error) from error


def torchscript(
    module: Any, call: Call, names: list[str], axes: Mapping[str, Sequence[int]], options: Options
) -> Exported:
    import torch  # noqa: PLC0415

    labels: dict[str, dict[int, str]] = {
        name: {axis: "batch" if axis == 0 else f"{name}_{axis}" for axis in found}
        for name, found in axes.items()
    }
    size = call.batch_size
    shapes = tuple(
        tuple(labels.get(name, {}).get(axis, int(n)) for axis, n in enumerate(tensor.shape))
        for name, tensor in zip(call.names, call.tensors, strict=True)
    )
    outputs = _varying_outputs(module, call, names, size) if axes else {}
    file = io.BytesIO()
    try:
        with quiet_graphs():
            torch.onnx.export(
                module,
                call.args,
                file,
                kwargs=call.kwargs or None,
                dynamo=False,
                input_names=list(call.names),
                output_names=names,
                dynamic_axes={**labels, **outputs},
                opset_version=options.opset,
            )
        model = onnx.load_model_from_string(file.getvalue())
    except Exception as error:
        raise refusal(error) from error
    _check_interface(model, call, options)
    batch = "batch" if any(0 in found for found in labels.values()) else None
    return Exported(model=model, shapes=shapes, batch=batch)


def _varying_outputs(
    module: Any, call: Call, names: list[str], size: int
) -> dict[str, dict[int, str]]:
    """Say that the first axis of outputs may vary where it is the batch."""
    args, kwargs = call.arguments(call.tensors)
    found = [tensor for _, tensor in named_tensors(module(*args, **kwargs), "")]
    return {
        name: {0: "batch"}
        for name, tensor in zip(names, found, strict=True)
        if tensor.ndim and tensor.shape[0] == size
    }


def _check_interface(model: onnx.ModelProto, call: Call, options: Options) -> None:
    found_names = [value.name for value in model.graph.input]
    if found_names != list(call.names):
        raise UnsupportedModelError(
            f"the exporter made the inputs {', '.join(found_names) or 'none'} of "
            f"{', '.join(call.names)}: leave out inputs that the module does not use"
        )
    found = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
    if options.opset is not None and found != options.opset:
        raise UnsupportedModelError(
            f"the exporter made opset {found}, not {options.opset}: ask for another one (--opset)"
        )


# --- names ---------------------------------------------------------------------------------------


def _without_prefix(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give weights the names that they have in the module."""
    graph = model.graph
    taken = {value.name for value in (*graph.input, *graph.output)}
    taken |= {name for node in graph.node for name in node.output}
    names = {
        tensor.name: tensor.name.removeprefix(_PREFIX)
        for tensor in graph.initializer
        if tensor.name.removeprefix(_PREFIX) not in taken
    }
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for value in graph.value_info:
        value.name = names.get(value.name, value.name)
    _rename_uses(graph, names)
    return model


def _rename_uses(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                _rename_uses(inner, names)
    for value in graph.output:
        value.name = names.get(value.name, value.name)


def _named_sizes(
    model: onnx.ModelProto, shapes: Sequence[tuple[Dim, ...]], batch: str | None
) -> onnx.ModelProto:
    """Name the sizes that may vary: ``batch``, and the others after their inputs."""
    names = {} if batch is None else {batch: "batch"}
    for value, shape in zip(model.graph.input, shapes, strict=True):
        for axis, dim in enumerate(shape):
            if isinstance(dim, str):
                names.setdefault(dim, f"{value.name}_{axis}")

    def renamed(match: re.Match[str]) -> str:
        return names.get(match[0], match[0])

    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = re.sub(r"\w+", renamed, size.dim_param)
    return model
