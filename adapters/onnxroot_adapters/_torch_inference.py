"""A PyTorch module while it is exported: for inference, on the CPU, quiet, as it was afterwards."""

from __future__ import annotations

import copy
import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

import numpy as np

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._errors import type_and_line
from onnxroot_adapters._torch_inputs import Call, named_tensors, output_names, to_array

__all__ = ["as_for_inference", "flattened", "quiet", "quiet_graphs", "tried"]

_LOUD = ("torch", "onnxscript", "onnx_ir")


def tried(module: Any, call: Call, options: Options) -> tuple[Call, list[str]]:
    """Call the module: with two rows instead of one, for one is taken for a constant.

    Returns:
        The call, and the names of the module's outputs.

    Raises:
        UnsupportedModelError: It fails, or gives something else each time.
    """
    outputs = None
    if call.batch_size == 1:
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
            f"the module fails on its example inputs, {_told(call)}: {type_and_line(error)}"
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


def flattened(module: Any, call: Call) -> Any:
    """Wrap a module in one that takes and returns nothing but tensors, one after the other."""
    import torch  # noqa: PLC0415

    class Flat(torch.nn.Module):  # type: ignore[misc]  # mypy is not shown torch
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
def quiet() -> Iterator[None]:
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


@contextmanager
def quiet_graphs() -> Iterator[None]:
    """Keep the graphs that the older exporter prints, from C++, off the standard output."""
    import torch  # noqa: PLC0415

    enabled = torch._C._jit_is_onnx_log_enabled()  # noqa: SLF001  (there is no public name)
    try:
        kept = os.dup(1)
    except OSError:  # there is no standard output
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
        torch._C._jit_set_onnx_log_enabled(enabled)  # noqa: SLF001  (torch 2.13 leaves it on)
