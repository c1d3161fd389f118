"""A PyTorch module, exported program or TorchScript module to ONNX: one way after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import onnx

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._normalise import normalise
from onnxroot_adapters._prove import BATCH_SIZES, prove
from onnxroot_adapters._torch_exporters import (
    Exported,
    dynamo,
    named_sizes,
    program_shapes,
    to_onnx,
    torchscript,
)
from onnxroot_adapters._torch_inference import as_for_inference, flattened, quiet, tried
from onnxroot_adapters._torch_inputs import Array, Call, Drawer, named_tensors
from onnxroot_adapters._torch_refusals import UntraceableError

__all__ = ["export_module", "export_program", "export_script"]

_N_ROWS = 70
"""How many rows are compared, where the batch is fixed: as many as where it varies."""

_Export = Callable[[Mapping[str, Sequence[int]]], Exported]


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
    with as_for_inference(module) as ready, quiet():
        call, names = tried(ready, call, options)
        flat = flattened(ready, call)

        def plain(axes: Mapping[str, Sequence[int]]) -> Exported:
            return dynamo(flat, call, names, axes, options)

        def decomposed(axes: Mapping[str, Sequence[int]]) -> Exported:
            return dynamo(flat, call, names, axes, options, decompose=True)

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
    with as_for_inference(module) as ready, quiet():
        call, names = tried(ready, call, options)

        def export(axes: Mapping[str, Sequence[int]]) -> Exported:
            return torchscript(ready, call, names, axes, options)

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
    with quiet():
        module = program.module(check_guards=False)
        with as_for_inference(module, switch=False):
            call, names = tried(module, call, options)
            shapes = program_shapes(program, call)
            model = to_onnx(program, call, names, options)
            batch = next((s[0] for s in shapes if s and isinstance(s[0], str)), None)
            model = named_sizes(model, shapes, batch)
            exported = Exported(model=model, shapes=shapes, batch=batch)
            exporter = {"exporter": "torch.onnx.export (dynamo=True)"}
            return _proven(
                exported, flattened(module, call), call, options, rows, {**provenance, **exporter}
            )


# --- attempts ------------------------------------------------------------------------------------


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
            if isinstance(error, UntraceableError):
                untraceable.append(axes)
            continue
        for candidate in (*_relaxed(exported, run, call), exported):
            try:
                return _proven(candidate, run, call, options, rows, provenance)
            except UnsupportedModelError as error:  # noqa: PERF203  (few, and slow)
                faults.append(error)
    raise UnsupportedModelError(*faults[0].args) from (faults[0].__cause__ or faults[0])


def _relaxed(
    exported: Exported, run: Callable[..., Sequence[Any]], call: Call
) -> Iterator[Exported]:
    """Let the batch vary where the exporter fixed it; whether it can is for the proof to say."""
    size = call.batch_size
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
    yield Exported(model=model, shapes=shapes, batch="batch")


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
    size = call.batch_size
    found = {name: set(options.dynamic.get(name, ())) for name in call.names}
    for name, tensor in zip(call.names, call.tensors, strict=True):
        if tensor.ndim and tensor.shape[0] == size:
            found[name].add(0)
    return {name: tuple(sorted(axes)) for name, axes in found.items() if axes}


def _proven(
    exported: Exported,
    run: Callable[..., Sequence[Any]],
    call: Call,
    options: Options,
    rows: Mapping[str, Array],
    provenance: Mapping[str, str],
) -> Conversion:
    """Normalise and prove what was exported; what may vary must have varied in the proof."""
    drawer = Drawer(
        call=call,
        shapes=exported.shapes,
        batch=exported.batch,
        run=lambda tensors: run(*tensors),
        rows=rows,
    )
    size = max(1, call.batch_size)
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
