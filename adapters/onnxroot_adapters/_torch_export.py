"""A PyTorch module, exported program or TorchScript module to ONNX: one way after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import onnx

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._normalise import normalise
from onnxroot_adapters._prove import BATCH_SIZES, prove
from onnxroot_adapters._torch_exporters import (
    Exported,
    converted_script,
    decomposed,
    dynamo,
    exported,
    torchscript,
)
from onnxroot_adapters._torch_inference import as_for_inference, flattened, quiet, tried
from onnxroot_adapters._torch_inputs import Array, Call, Drawer, named_tensors
from onnxroot_adapters._torch_refusals import UntraceableError

__all__ = ["export_module", "export_program", "export_script"]

_FAR = 1000
"""A size of the batch behind which another formula is looked for, if there is no better guess."""

_N_ROWS = 70
"""How many rows are compared, where the batch is fixed: as many as where it varies."""

_Export = Callable[[Mapping[str, Sequence[int]]], Exported]
_Way = tuple[str, _Export]


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
        ways = _ways(lambda: flat, call, names, options)
        return _first_proven(ways, flat, call, options, rows, provenance)


def export_script(
    module: Any,
    call: Call,
    options: Options,
    provenance: Mapping[str, str],
    rows: Mapping[str, Array],
) -> Conversion:
    """Export a TorchScript module: by torch's older exporter, or converted; see `export_module`."""
    with as_for_inference(module) as ready, quiet():
        call, names = tried(ready, call, options)

        def older(axes: Mapping[str, Sequence[int]]) -> Exported:
            return torchscript(ready, call, names, axes, options)

        def run(*tensors: Any) -> tuple[Any, ...]:
            args, kwargs = call.arguments(tensors)
            return tuple(tensor for _, tensor in named_tensors(ready(*args, **kwargs), ""))

        @cache
        def converted() -> Any:
            return flattened(converted_script(ready, call), call)

        ways = [("dynamo=False", older), *_ways(converted, call, names, options)]
        return _first_proven(ways, run, call, options, rows, provenance)


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
            ways: list[_Way] = [
                ("dynamo=True", lambda _: exported(program, call, names, options)),
                ("dynamo=True", lambda _: exported(decomposed(program), call, names, options)),
            ]
            run = flattened(module, call)
            return _first_proven(ways, run, call, options, rows, provenance, given=True)


def _ways(flat: Callable[[], Any], call: Call, names: list[str], options: Options) -> list[_Way]:
    """Return how a module can be exported: as it is, and expressed by core operators."""

    def plain(axes: Mapping[str, Sequence[int]]) -> Exported:
        return dynamo(flat(), call, names, axes, options)

    def core(axes: Mapping[str, Sequence[int]]) -> Exported:
        return dynamo(flat(), call, names, axes, options, decompose=True)

    return [("dynamo=True", plain), ("dynamo=True", core)]


# --- attempts ------------------------------------------------------------------------------------


def _first_proven(
    ways: Sequence[_Way],
    run: Callable[..., Sequence[Any]],
    call: Call,
    options: Options,
    rows: Mapping[str, Array],
    provenance: Mapping[str, str],
    *,
    given: bool = False,
) -> Conversion:
    """Export in one way after the other: with all axes that may vary, then with a fixed batch.

    Args:
        ways: How, with what provenance says of it.
        run: The module.
        call: Typical inputs.
        options: What the user says.
        rows: The user's samples, by input.
        provenance: What is known about the source.
        given: The source says itself what may vary.

    Raises:
        UnsupportedModelError: What the first way came to, if none is proven; the first that came
            to a model, if one did.
    """
    dynamic = {} if given else _axes(call, options)
    fixed = {name: tuple(axes) for name, axes in options.dynamic.items() if axes}
    attempts = [(*way, dynamic) for way in ways]
    if not given and fixed != dynamic:
        attempts.append((*ways[0], fixed))
    faults: list[UnsupportedModelError] = []  # of exporters
    wrong: list[UnsupportedModelError] = []  # of what they made
    untraceable: list[Mapping[str, Sequence[int]]] = []
    differs = False  # with a batch that varies: then the exporter was right to fix it
    for how, export, axes in attempts:
        if axes in untraceable:
            continue
        try:
            made = export(axes)
        except UnsupportedModelError as error:
            faults.append(error)
            if isinstance(error, UntraceableError):
                untraceable.append(axes)
            continue
        told = {**provenance, "exporter": f"torch.onnx.export, {how}"}
        relaxed = () if given or differs else _relaxed(made, run, call)
        for candidate in (*relaxed, made):
            try:
                return _proven(candidate, run, call, options, rows, told, given=given)
            except UnsupportedModelError as error:  # noqa: PERF203  (few, and slow)
                wrong.append(error)
                differs = differs or candidate.batch is not None
    fault = (wrong or faults)[0]
    raise UnsupportedModelError(*fault.args) from (fault.__cause__ or fault)


def _relaxed(made: Exported, run: Callable[..., Sequence[Any]], call: Call) -> Iterator[Exported]:
    """Let the batch vary where the exporter fixed it; whether it can is for the proof to say."""
    size = call.batch_size
    if made.batch is not None or size < 1:
        return
    shapes = tuple(
        ("batch", *shape[1:]) if shape and shape[0] == size else shape for shape in made.shapes
    )
    model = onnx.ModelProto()
    model.CopyFrom(made.model)
    del model.graph.value_info[:]
    for value, shape in zip(model.graph.input, shapes, strict=True):
        if shape and shape[0] == "batch":
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for value, tensor in zip(model.graph.output, run(*call.tensors), strict=True):
        if tensor.ndim and tensor.shape[0] == size:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    yield Exported(model=model, shapes=shapes, batch="batch", most={"batch": _FAR})


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
    made: Exported,
    run: Callable[..., Sequence[Any]],
    call: Call,
    options: Options,
    rows: Mapping[str, Array],
    provenance: Mapping[str, str],
    *,
    given: bool,
) -> Conversion:
    """Normalise and prove what was exported; what may vary must have varied in the proof."""
    drawer = Drawer(
        call=call,
        shapes=made.shapes,
        batch=made.batch,
        run=lambda tensors: run(*tensors),
        rows=rows,
        most=made.most if given else {},
        ties=all(tensor.is_floating_point() for tensor in run(*call.tensors)),
    )
    size = max(1, call.batch_size)
    sizes = range(max(3, _N_ROWS // size)) if made.batch is None else BATCH_SIZES
    normal = normalise(made.model, graph_name="main", keep_debug_info=options.keep_debug_info)
    batches = prove(normal, (), drawer.predict, options, batch_sizes=sizes, draw=drawer.draw)
    if options.check:
        _check_variety(drawer)
        if not given:  # behind what the exporter took for an end, the module may do something else
            beyond = list(drawer.beyond(made.most))
            prove(
                normal,
                (),
                drawer.predict,
                options,
                batch_sizes=range(len(beyond)),
                draw=lambda place: beyond[place],
            )
    batch = f"fixed at {size}" if made.batch is None else "any"
    if given and made.batch in made.most:
        batch = f"up to {made.most[made.batch]}"
    return Conversion(model=normal, provenance={**provenance, "batch": batch}, batches=batches)


def _check_variety(drawer: Drawer) -> None:
    """Check that a proof was one.

    Raises:
        UnsupportedModelError: A size that may vary did not, or no output was a number.
    """
    stuck = [name for name, sizes in drawer.tried.items() if len(sizes) < 2]
    if stuck:
        raise UnsupportedModelError(
            f"the size {', '.join(stuck)} should vary, but the module accepts one value only: "
            "give samples of several sizes, or don't ask for it"
        )
    if not drawer.n_finite:
        raise UnsupportedModelError(
            "the module gives NaN or infinity for all inputs that were drawn for the proof: give "
            "typical ones (--samples FILE.npz)"
        )
