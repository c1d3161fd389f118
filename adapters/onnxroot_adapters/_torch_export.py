"""A PyTorch module, exported program or TorchScript module to ONNX: torch's own exporters."""

from __future__ import annotations

import copy
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._normalise import normalise
from onnxroot_adapters._prove import BATCH_SIZES, prove
from onnxroot_adapters._torch_inputs import (
    Array,
    Call,
    Dim,
    Drawer,
    named_tensors,
    output_names,
    to_array,
)

__all__ = ["as_for_inference", "export_module", "export_program", "export_script"]

_PREFIX = "module."  # what `_flat` puts in front of the names of weights
_LOUD = ("torch", "onnxscript", "onnx_ir")


_N_ROWS = 70
"""How many rows are compared, where the batch is fixed: as many as where it varies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exported:
    """What an exporter made of a module.

    Attributes:
        model: The ONNX model.
        shapes: Of its inputs.
        batch: Name of the batch among these; None if it is fixed.
    """

    model: onnx.ModelProto
    shapes: tuple[tuple[Dim, ...], ...]
    batch: str | None


_Export = Callable[[Mapping[str, Sequence[int]]], _Exported]


def export_module(
    module: Any,
    call: Call,
    options: Options,
    provenance: Mapping[str, str],
    rows: Mapping[str, Array],
) -> Conversion:
    """Export a module: with a batch that may vary, or if that fails, with a fixed one.

    Args:
        module: A ``torch.nn.Module``; it is as it was afterwards.
        call: Typical inputs.
        options: What the user says.
        provenance: What is known about the source.
        rows: The user's samples, by input.

    Raises:
        UnsupportedModelError: It can't be exported, or the ONNX model is not the same.
    """
    with as_for_inference(module) as ready, _quiet():
        call, names = _tried(ready, call, options)
        flat = _flat(ready, call)

        def plain(axes: Mapping[str, Sequence[int]]) -> _Exported:
            return _dynamo(flat, call, names, axes, options)

        def decomposed(axes: Mapping[str, Sequence[int]]) -> _Exported:
            return _dynamo(flat, call, names, axes, options, decompose=True)

        exporter = {"exporter": "torch.onnx.export (dynamo=True)"}
        ways = (plain, decomposed)
        return _first_proven(ways, flat, call, options, rows, {**provenance, **exporter})


def export_script(
    module: Any,
    call: Call,
    options: Options,
    provenance: Mapping[str, str],
    rows: Mapping[str, Array],
) -> Conversion:
    """Export a TorchScript module, which only torch's older exporter takes; see `export_module`."""
    with as_for_inference(module) as ready, _quiet():
        call, names = _tried(ready, call, options)

        def export(axes: Mapping[str, Sequence[int]]) -> _Exported:
            return _torchscript(ready, call, names, axes, options)

        def flat(*tensors: Any) -> tuple[Any, ...]:
            args, kwargs = call.arguments(tensors)
            return tuple(tensor for _, tensor in named_tensors(ready(*args, **kwargs), ""))

        exporter = {"exporter": "torch.onnx.export (dynamo=False)"}
        return _first_proven((export,), flat, call, options, rows, {**provenance, **exporter})


def export_program(
    program: Any,
    call: Call,
    options: Options,
    provenance: Mapping[str, str],
    rows: Mapping[str, Array],
) -> Conversion:
    """Export an exported program: which axes may vary was said when it was made."""
    with _quiet():
        module = program.module(check_guards=False)
        with as_for_inference(module, switch=False):
            call, names = _tried(module, call, options)
            shapes = _program_shapes(program, call)
            model = _to_onnx(program, call, names, options)
            batch = next((s[0] for s in shapes if s and isinstance(s[0], str)), None)
            model = _named_sizes(model, shapes, batch)
            exported = _Exported(model=model, shapes=shapes, batch=batch)
            exporter = {"exporter": "torch.onnx.export (dynamo=True)"}
            return _proven(
                exported, _flat(module, call), call, options, rows, {**provenance, **exporter}
            )


# --- attempts ------------------------------------------------------------------------------------


class _UntraceableError(UnsupportedModelError):
    """The module can't be traced, in whatever form."""


def _first_proven(
    exports: Sequence[_Export],
    run: Callable[..., Sequence[Any]],
    call: Call,
    options: Options,
    rows: Mapping[str, Array],
    provenance: Mapping[str, str],
) -> Conversion:
    """Export in one way after the other: with all axes that may vary, then with a fixed batch.

    Raises:
        UnsupportedModelError: What the first way came to, if none is proven.
    """
    dynamic = _axes(call, options)
    fixed = {name: tuple(axes) for name, axes in options.dynamic.items() if axes}
    ways = [(export, dynamic) for export in exports]
    if fixed != dynamic:
        ways.append((exports[0], fixed))
    faults: list[UnsupportedModelError] = []
    untraceable: list[Mapping[str, Sequence[int]]] = []
    for export, axes in ways:
        if axes in untraceable:
            continue
        try:
            exported = export(axes)
        except UnsupportedModelError as error:
            faults.append(error)
            if isinstance(error, _UntraceableError):
                untraceable.append(axes)
            continue
        for candidate in (*_relaxed(exported, run, call), exported):
            try:
                return _proven(candidate, run, call, options, rows, provenance)
            except UnsupportedModelError as error:  # noqa: PERF203  (few, and slow)
                faults.append(error)
    raise UnsupportedModelError(*faults[0].args) from (faults[0].__cause__ or faults[0])


def _relaxed(
    exported: _Exported, run: Callable[..., Sequence[Any]], call: Call
) -> Iterator[_Exported]:
    """Let the batch vary where the exporter fixed it; whether it can is for the proof to say."""
    size = _batch_size(call)
    if exported.batch is not None or size < 1:
        return
    shapes = tuple(
        ("batch", *shape[1:]) if shape and shape[0] == size else shape for shape in exported.shapes
    )
    model = onnx.ModelProto()
    model.CopyFrom(exported.model)
    del model.graph.value_info[:]
    for value, shape in zip(model.graph.input, shapes, strict=True):
        if shape and shape[0] == "batch":
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for value, tensor in zip(model.graph.output, run(*call.tensors), strict=True):
        if tensor.ndim and tensor.shape[0] == size:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    yield _Exported(model=model, shapes=shapes, batch="batch")


def _axes(call: Call, options: Options) -> dict[str, tuple[int, ...]]:
    """Return the axes that may vary: the batch of all inputs that have it, and the user's own.

    Raises:
        UnsupportedModelError: There is no such input or axis.
    """
    ranks = {name: tensor.ndim for name, tensor in zip(call.names, call.tensors, strict=True)}
    for name, axes in options.dynamic.items():
        if name not in ranks:
            raise UnsupportedModelError(
                f"there is no input {name} whose axes may vary (--dynamic); the inputs are "
                f"{', '.join(ranks)}"
            )
        if any(not 0 <= axis < ranks[name] for axis in axes):
            raise UnsupportedModelError(
                f"input {name} has {ranks[name]} axes, from 0 on: --dynamic {name}:"
                f"{max(axes)} names another"
            )
    size = _batch_size(call)
    found = {name: set(options.dynamic.get(name, ())) for name in call.names}
    for name, tensor in zip(call.names, call.tensors, strict=True):
        if tensor.ndim and tensor.shape[0] == size:
            found[name].add(0)
    return {name: tuple(sorted(axes)) for name, axes in found.items() if axes}


def _batch_size(call: Call) -> int:
    """Return the first dimension of the first input that has one."""
    return next((int(tensor.shape[0]) for tensor in call.tensors if tensor.ndim), -1)


def _proven(
    exported: _Exported,
    run: Callable[..., Sequence[Any]],
    call: Call,
    options: Options,
    rows: Mapping[str, Array],
    provenance: Mapping[str, str],
) -> Conversion:
    """Normalise and prove what was exported, and check that what may vary has varied in the proof."""
    drawer = Drawer(
        call=call,
        shapes=exported.shapes,
        batch=exported.batch,
        run=lambda tensors: run(*tensors),
        rows=rows,
    )
    size = max(1, _batch_size(call))
    batch = f"fixed at {size}" if exported.batch is None else "any"
    sizes = range(max(3, _N_ROWS // size)) if exported.batch is None else BATCH_SIZES
    normal = normalise(exported.model, graph_name="main", keep_debug_info=options.keep_debug_info)
    batches = prove(normal, (), drawer.predict, options, batch_sizes=sizes, draw=drawer.draw)
    stuck = [name for name, sizes in drawer.tried.items() if len(sizes) < 2]
    if stuck and options.check:
        raise UnsupportedModelError(
            f"the size {', '.join(stuck)} should vary, but the module accepts one value only: "
            "give samples of several sizes, or don't ask for it"
        )
    return Conversion(model=normal, provenance={**provenance, "batch": batch}, batches=batches)


# --- the exporters -------------------------------------------------------------------------------


def _dynamo(
    flat: Any,
    call: Call,
    names: list[str],
    axes: Mapping[str, Sequence[int]],
    options: Options,
    *,
    decompose: bool = False,
) -> _Exported:
    import torch  # noqa: PLC0415

    auto = torch.export.Dim.AUTO
    shapes = tuple(dict.fromkeys(axes.get(name, ()), auto) for name in call.names)
    try:
        program = torch.export.export(flat, call.tensors, dynamic_shapes=(shapes,), strict=False)
    except Exception as error:
        raise _UntraceableError(*_refusal(error).args) from error
    if decompose:
        program = _decomposed(program)
    found = _program_shapes(program, call)
    for name, shape in zip(call.names, found, strict=True):
        for axis in options.dynamic.get(name, ()):
            if isinstance(shape[axis], int):
                raise UnsupportedModelError(
                    f"input {name}, axis {axis} can't vary: the module works for "
                    f"{shape[axis]} only; leave it out of --dynamic"
                )
    batched = (
        shape[0] for name, shape in zip(call.names, found, strict=True) if 0 in axes.get(name, ())
    )
    batch = next((dim for dim in batched if isinstance(dim, str)), None)
    model = _to_onnx(program, call, names, options)
    return _Exported(model=_named_sizes(model, found, batch), shapes=found, batch=batch)


def _program_shapes(program: Any, call: Call) -> tuple[tuple[Dim, ...], ...]:
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
        raise _refusal(error) from error
    _check_opset(model, options)
    if [value.name for value in model.graph.input] != list(call.names):
        raise UnsupportedModelError(
            f"the exporter made the inputs {', '.join(v.name for v in model.graph.input)} of "
            f"{', '.join(call.names)}: leave out inputs that the module does not use"
        )
    return _without_prefix(model)


def _decomposed(program: Any) -> Any:
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

    table = torch.export.default_decompositions()
    table[torch.ops.aten.scatter_reduce.two] = mean
    try:
        return program.run_decompositions(table)
    except Exception as error:
        raise _refusal(error) from error


def _torchscript(
    module: Any, call: Call, names: list[str], axes: Mapping[str, Sequence[int]], options: Options
) -> _Exported:
    import torch  # noqa: PLC0415

    labels: dict[str, dict[int, str]] = {
        name: {axis: "batch" if axis == 0 else f"{name}_{axis}" for axis in found}
        for name, found in axes.items()
    }
    size = _batch_size(call)
    shapes = tuple(
        tuple(labels.get(name, {}).get(axis, int(n)) for axis, n in enumerate(tensor.shape))
        for name, tensor in zip(call.names, call.tensors, strict=True)
    )
    outputs = _varying_outputs(module, call, names, size) if axes else {}
    file = io.BytesIO()
    try:
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
        raise _refusal(error) from error
    _check_opset(model, options)
    batch = "batch" if any(0 in found for found in labels.values()) else None
    return _Exported(model=model, shapes=shapes, batch=batch)


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


def _check_opset(model: onnx.ModelProto, options: Options) -> None:
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


# --- the module while it is exported ---------------------------------------------------------


def _tried(module: Any, call: Call, options: Options) -> tuple[Call, list[str]]:
    """Call the module: with two rows instead of one, for one is taken for a constant.

    Returns:
        The call, and the names of the module's outputs.

    Raises:
        UnsupportedModelError: It fails, or gives something else each time.
    """
    outputs = None
    if _batch_size(call) == 1:
        twice = call.with_tensors(
            [
                t.repeat(2, *[1] * (t.ndim - 1)) if t.ndim and len(t) == 1 else t
                for t in call.tensors
            ]
        )
        with suppress(Exception):
            args, kwargs = twice.arguments(twice.tensors)
            outputs = module(*args, **kwargs)
            call = twice
    try:
        args, kwargs = call.arguments([tensor.clone() for tensor in call.tensors])
        outputs = module(*args, **kwargs)
        args, kwargs = call.arguments([tensor.clone() for tensor in call.tensors])
        again = module(*args, **kwargs)
    except Exception as error:
        raise UnsupportedModelError(
            f"the module fails on its example inputs, {_told(call)}: {_first_line(error)}"
        ) from error
    names = output_names(outputs, call.names)
    pairs = zip(named_tensors(outputs, ""), named_tensors(again, ""), strict=True)
    if options.check and not all(
        np.array_equal(to_array(a), to_array(b), equal_nan=a.dtype.is_floating_point)
        for (_, a), (_, b) in pairs
    ):
        raise UnsupportedModelError(
            "the module gives other outputs each time for the same inputs: it draws random numbers "
            "or keeps a state; take them as inputs, or export without proof (--no-check)"
        )
    return call, names


def _told(call: Call) -> str:
    return ", ".join(
        f"{name}:{'x'.join(map(str, tensor.shape)) or 'scalar'} {str(tensor.dtype)[6:]}"
        for name, tensor in zip(call.names, call.tensors, strict=True)
    )


def _flat(module: Any, call: Call) -> Any:
    """Wrap a module in one that takes and returns nothing but tensors, one after the other."""
    import torch  # noqa: PLC0415

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module
            self.training = False

        def forward(self, *tensors: Any) -> tuple[Any, ...]:
            args, kwargs = call.arguments(tensors)
            return tuple(tensor for _, tensor in named_tensors(self.module(*args, **kwargs), ""))

    return Flat()


@contextmanager
def as_for_inference(module: Any, *, switch: bool = True) -> Iterator[Any]:
    """Set a module to inference on the CPU; it and the random state are as before afterwards."""
    import torch  # noqa: PLC0415

    if any(tensor.device.type != "cpu" for tensor in (*module.parameters(), *module.buffers())):
        if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
            raise UnsupportedModelError("the module has no values (device meta): load its weights")
        module = copy.deepcopy(module).cpu()
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            if switch:
                for part, _ in modes:
                    part.training = False
            yield module
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
        if switch:
            for part, mode in modes:
                part.training = mode


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporters log and warn to themselves."""

    def drop(record: logging.LogRecord) -> bool:
        return record.name.partition(".")[0] not in _LOUD

    named = logging.getLogger().manager.loggerDict
    loggers = [logging.getLogger(name) for name in named if name.partition(".")[0] in _LOUD]
    handlers = {
        handler for logger in (logging.getLogger(), *loggers) for handler in logger.handlers
    } | ({logging.lastResort} if logging.lastResort else set())
    for handler in handlers:
        handler.addFilter(drop)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(drop)


# --- what went wrong -----------------------------------------------------------------------------


_CONTROL_FLOW = re.compile(
    r"data.dependent|GuardOnDataDependent|control flow|Could not guard|"
    r"Could not extract specialized integer|unbacked",
    re.IGNORECASE,
)


def _refusal(error: Exception) -> UnsupportedModelError:
    """Say in one line why an exporter failed, and what helps."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    text = "\n".join(f"{type(part).__name__}: {part}" for part in chain)
    missing = re.search(
        r"No (?:ONNX function|decompositions?) .*?for <OpOverload\(op='([\w.]+)'", text
    )
    missing = missing or re.search(r"Exporting the operator '([\w:]+)'", text)
    missing = missing or re.search(r"No ONNX function found for <?([\w.:']+)", text)
    if missing:
        return UnsupportedModelError(
            f"torch's exporter has no translation of the operator {missing[1]}: express it by "
            "others, or try another opset (--opset)"
        )
    if _CONTROL_FLOW.search(text):
        return UnsupportedModelError(
            "the module's forward branches or sizes tensors by values that it computes "
            "(data-dependent control flow), which can't be exported: use torch.where or torch.cond "
            "instead"
        )
    return UnsupportedModelError(f"torch's exporter fails: {_first_line(chain[-1])}")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
