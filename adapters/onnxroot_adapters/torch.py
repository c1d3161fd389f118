"""PyTorch to ONNX, by torch's own exporters.

`to_onnx` takes a module and example inputs; `adapter` is how onnxroot finds this module.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot_adapters._require import require, version_of
from onnxroot_adapters._torch_export import export_module, export_program, export_script
from onnxroot_adapters._torch_files import describe, open_file, provenance_of
from onnxroot_adapters._torch_inference import as_for_inference
from onnxroot_adapters._torch_inputs import Array, Call, bind

if TYPE_CHECKING:
    import onnx

__all__ = ["adapter", "convert_module", "to_onnx"]

_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module"}
"""Modules that say how another one runs, and where they keep it."""

_EXAMPLE = "example_input_array"  # PyTorch Lightning's name for typical inputs


def to_onnx(
    module: Any,
    example_inputs: Any = None,
    *,
    opset: int | None = None,
    dynamic: Mapping[str, Sequence[int]] | None = None,
    tolerance: float | None = None,
    check: bool = True,
    keep_debug_info: bool = False,
) -> onnx.ModelProto:
    """Export a module, and prove that the ONNX model gives the same outputs.

    Args:
        module: A ``torch.nn.Module``, exported program or TorchScript module; it is as it was
            afterwards.
        example_inputs: Typical inputs: a tensor, a tuple of arguments, or a dict of arguments by
            name; values in the range that the module is for. An exported program has its own.
        opset: Version of the operator set; None for the exporter's choice.
        dynamic: Axes of inputs that may vary beside the batch, by name of the input.
        tolerance: By how much outputs may differ; None for the default of their type.
        check: Compare the outputs.
        keep_debug_info: Keep source lines and stack traces in the model.

    Returns:
        The model, checked.

    Raises:
        UnsupportedModelError: It can't be exported, or the ONNX model is not the same.
        MissingDependencyError: A package is not installed.
    """
    options = Options(
        opset=opset,
        dynamic={name: tuple(axes) for name, axes in (dynamic or {}).items()},
        tolerance=tolerance,
        check=check,
        keep_debug_info=keep_debug_info,
    )
    return convert_module(module, example_inputs, options).model


def convert_module(module: Any, example_inputs: Any, options: Options) -> Conversion:
    """Export a module as `to_onnx` does; the conversion has the batches of the proof, too."""
    return _convert(module, example_inputs, options, {"source": f"a {type(module).__name__}"})


class _Adapter:
    """The adapter for PyTorch; see `onnxroot.adapter.Adapter`."""

    name = "PyTorch"

    def describe(self, path: Path) -> str | None:
        """Say what a file is, if it is one of PyTorch's."""
        return describe(path)

    def accepts(self, model: object) -> bool:
        """Say whether an object is a module or an exported program."""
        return any(
            (base.__module__.partition(".")[0], base.__name__)
            in {("torch", "Module"), ("torch", "ExportedProgram")}
            for base in type(model).__mro__
        )

    def convert(self, source: Any, options: Options) -> Conversion:
        """Export a file or a module, and prove it."""
        if not isinstance(source, Path):
            return convert_module(source, None, options)
        _import_torch()
        return _convert(open_file(source, options), None, options, provenance_of(source))


adapter = _Adapter()


def _import_torch() -> Any:
    torch = require("torch", extra="torch", what="a PyTorch model")
    require("onnxscript", extra="torch", what="torch's exporter")
    return torch


def _convert(
    module: Any, example_inputs: Any, options: Options, source: Mapping[str, str]
) -> Conversion:
    torch = _import_torch()
    provenance = {
        "framework": "PyTorch",
        **version_of("torch", "onnxscript", "onnx-ir", "onnx"),
        **source,
    }
    rows = _samples(options)
    for wrapper, inner in _WRAPPERS.items():
        if type(module).__name__ == wrapper and isinstance(module, torch.nn.Module):
            module = getattr(module, inner)
    if isinstance(module, torch.export.ExportedProgram):
        call = _program_call(module, example_inputs, rows)
        return export_program(module, call, options, provenance, rows)
    if not isinstance(module, torch.nn.Module):
        raise UnsupportedModelError(
            f"a {type(module).__name__} is no torch.nn.Module: give a module, an exported program "
            "or a TorchScript module"
        )
    call = _call(module, example_inputs, options, rows)
    if isinstance(module, torch.jit.ScriptModule):
        return export_script(module, call, options, provenance, rows)
    return export_module(module, call, options, provenance, rows)


# --- example inputs ------------------------------------------------------------------------------


def _samples(options: Options) -> dict[str, Array]:
    """Return the user's samples, by input.

    Raises:
        FormatError: The file holds something else.
    """
    if options.samples is None:
        return {}
    try:
        with np.load(options.samples, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, AttributeError, TypeError) as error:
        raise FormatError(
            f"{options.samples}: no .npz file of plain arrays, as numpy.savez writes it ({error})"
        ) from error


def _call(module: Any, example_inputs: Any, options: Options, rows: Mapping[str, Array]) -> Call:
    """Return a typical call: from example inputs, samples or shapes, in that order.

    Raises:
        UnsupportedModelError: There are none; the message names the inputs.
    """
    if example_inputs is None and not rows and not options.inputs:
        example_inputs = getattr(module, _EXAMPLE, None)
    if example_inputs is not None:
        return _bound(module, example_inputs)
    wanted, others = _parameters(module)
    given = {**options.inputs, **rows}
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in (*wanted, *others)]
    if unknown:
        raise UnsupportedModelError(
            f"the module has no input {', '.join(unknown)}; its inputs are "
            f"{', '.join((*wanted, *others))}"
        )
    if missing:
        options_to_add = " ".join(f"--input {name}:SHAPE" for name in missing)
        raise UnsupportedModelError(
            f"the shape of {', '.join(missing)} is needed, which the model does not tell: add "
            f"{options_to_add}, or typical values of all inputs (--samples FILE.npz)"
        )
    return _from_shapes(module, {name: given[name] for name in (*wanted, *others) if name in given})


def _bound(module: Any, example_inputs: Any) -> Call:
    if isinstance(example_inputs, Mapping):
        return bind(module, (), dict(example_inputs))
    if not isinstance(example_inputs, tuple | list):
        example_inputs = (example_inputs,)
    return bind(module, tuple(example_inputs), {})


def _parameters(module: Any) -> tuple[list[str], list[str]]:
    """Return the names of a forward's parameters: those it needs, and the others."""
    if hasattr(module, "code") and hasattr(module.forward, "schema"):  # TorchScript
        arguments = module.forward.schema.arguments[1:]
        needed = [argument.name for argument in arguments if not argument.has_default_value()]
        return needed, [a.name for a in arguments if a.has_default_value()]
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except ValueError:
        return [], []
    plain = [p for p in parameters if p.kind.name not in ("VAR_POSITIONAL", "VAR_KEYWORD")]
    return (
        [p.name for p in plain if p.default is inspect.Parameter.empty],
        [p.name for p in plain if p.default is not inspect.Parameter.empty],
    )


def _from_shapes(module: Any, given: Mapping[str, Any]) -> Call:
    """Make a call of samples, and of random values where only the shape is known.

    Whether the module takes numbers or indices is found out by calling it: numbers first.
    """
    import torch  # noqa: PLC0415

    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    generator = torch.Generator().manual_seed(20261125)
    drawn: dict[str, list[Any]] = {}
    for name, value in given.items():
        if isinstance(value, np.ndarray):
            tensor = torch.from_numpy(np.ascontiguousarray(value))
            drawn[name] = [tensor]
            continue
        shape = [(5 if i == 0 else 7) if size is None else size for i, size in enumerate(value)]
        numbers = torch.randn(shape, generator=generator).to(dtype)
        drawn[name] = [numbers, torch.randint(2, shape, generator=generator)]
    first = {name: values[0] for name, values in drawn.items()}
    choices = [first]
    for name, values in drawn.items():
        choices += [{**first, name: value} for value in values[1:]]
    choices.append({name: values[-1] for name, values in drawn.items()})
    for choice in choices:
        call = bind(module, (), choice)
        try:
            with as_for_inference(module) as copied:
                copied(*call.args, **call.kwargs)
        except Exception:  # noqa: BLE001, S112  (a module raises what it likes; told later)
            continue
        return call
    return bind(module, (), first)


def _program_call(program: Any, example_inputs: Any, rows: Mapping[str, Array]) -> Call:
    """Return the typical call of an exported program: what was given, or its own.

    Raises:
        UnsupportedModelError: It has none.
    """
    import torch  # noqa: PLC0415

    module = program.module(check_guards=False)
    if example_inputs is not None:
        return _bound(module, example_inputs)
    names = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    if rows:
        if set(rows) != set(names):
            raise FormatError(
                f"the samples hold {', '.join(sorted(rows))}; the model's inputs are "
                f"{', '.join(names)}: save an array for each of these"
            )
        tensors = [torch.from_numpy(np.ascontiguousarray(rows[name])) for name in names]
        return bind(module, tuple(tensors), {})
    if program.example_inputs is None:
        raise UnsupportedModelError(
            "the exported program has no sample inputs: give typical ones (--samples FILE.npz)"
        )
    args, kwargs = program.example_inputs
    return bind(module, args, kwargs)
