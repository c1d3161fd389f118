"""Real ONNX models to try the codec on: those inside the onnx package, and those it generates.

All are produced lazily, as (name, bytes). None of them uses external data today, but
`uses_external_data` asks; the files then lie beside the model, whose path `wheel_paths` gives.
"""

import contextlib
import importlib
import inspect
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx

DATA_FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data"


def wheel_paths() -> Iterator[tuple[str, Path]]:
    """Yield name and path of every .onnx file in the installed onnx package; 149 with onnx 1.23."""
    for path in sorted(DATA_FOLDER.rglob("*.onnx")):
        yield path.relative_to(DATA_FOLDER).as_posix(), path


def wheel_models() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every .onnx file in the installed onnx package."""
    for name, path in wheel_paths():
        yield name, path.read_bytes()


def node_models() -> Iterator[tuple[str, bytes]]:
    """Yield the models of onnx's test cases for operators; 1,884 with onnx 1.23.

    The first model takes 5 to 10 s, because onnx computes all inputs and outputs with them.
    """
    yield from _node_models()


def example_models() -> Iterator[tuple[str, bytes]]:
    """Yield the models of onnx's other test cases; 26 with onnx 1.23."""
    yield from _example_models()


def corpus() -> Iterator[tuple[str, bytes]]:
    """Yield every model of this module; the name starts with its source."""
    sources: dict[str, Callable[[], Iterator[tuple[str, bytes]]]] = {
        "wheel": wheel_models,
        "node": node_models,
        "example": example_models,
    }
    return chain.from_iterable(
        ((f"{source}/{name}", data) for name, data in models())
        for source, models in sources.items()
    )


def uses_external_data(data: bytes) -> bool:
    """Whether any tensor of a model, at any depth, lies in another file."""
    return any(
        isinstance(message, onnx.TensorProto) and message.data_location == message.EXTERNAL
        for message in _submessages(onnx.ModelProto.FromString(data))
    )


@cache
def _node_models() -> Sequence[tuple[str, bytes]]:
    return _collect("onnx.backend.test.case.node")


@cache
def _example_models() -> Sequence[tuple[str, bytes]]:
    return _collect("onnx.backend.test.case.model")


def _collect(package: str) -> Sequence[tuple[str, bytes]]:
    """Run a package of test cases, without the warnings of its arithmetic and its prints.

    Older versions of onnx want no argument. A case without a model names one to download.
    """
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        # Imported only now: it drags in all of onnx's test cases.
        collect = importlib.import_module(package).collect_testcases
        found = collect(*[None] * len(inspect.signature(collect).parameters))
    return tuple(
        (case.name, case.model.SerializeToString(deterministic=True))
        for case in found
        if case.model is not None
    )


def _submessages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if isinstance(value, Sequence) else [value]:
                yield from _submessages(inner)
