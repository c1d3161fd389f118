"""The seam to other frameworks: how the bridge finds an adapter, and what it gets from one.

An adapter is registered under the entry-point group ``onnxroot.adapters``; a third party can add
one. Looking for an adapter loads the registered modules, which must not import their framework
until `Adapter.convert` is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from onnxroot._batches import Batch, Difference, compare, default_tolerance

if TYPE_CHECKING:
    import onnx

__all__ = [
    "GROUP",
    "Adapter",
    "Batch",
    "Conversion",
    "Difference",
    "Options",
    "compare",
    "default_tolerance",
    "find_adapter",
]

GROUP = "onnxroot.adapters"
"""Name of the entry-point group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user may say about the conversion of a model of another framework.

    Attributes:
        allow_pickle: Open files that can run code when they are opened.
        check: Compare the ONNX model's outputs with those of the framework, and refuse the model
            where they differ.
        tolerance: By how much they may differ, see `compare`; None for `default_tolerance`.
        samples: A ``.npz`` file with inputs to compare with, by name of the input; rows are drawn
            from it.
        opset: Version of the operator set ``ai.onnx``; None for the exporter's own choice.
        inputs: Shapes of inputs by name, where the source does not give them; None in a shape is
            a dimension that may vary.
        dynamic: Axes of inputs that may vary beside the first, by name of the input.
        architecture: File with the network's architecture, where the weights lie alone.
        module: Function that makes the network for its weights, as ``package.module:function``.
        custom_objects: Module with classes and functions of the user's own that a file needs.
        keep_debug_info: Keep source lines and stack traces that the exporter noted.
    """

    allow_pickle: bool = False
    check: bool = True
    tolerance: float | None = None
    samples: Path | None = None
    opset: int | None = None
    inputs: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    dynamic: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    architecture: Path | None = None
    module: str | None = None
    custom_objects: str | None = None
    keep_debug_info: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A model as ONNX.

    Attributes:
        model: The ONNX model, checked.
        provenance: Which framework and exporter it is from, their versions, what it was: texts.
        batches: What it was proven with; empty if it was not.
    """

    model: onnx.ModelProto
    provenance: dict[str, str]
    batches: tuple[Batch, ...] = ()


class Adapter(Protocol):
    """Turns models of one framework into ONNX, by that framework's own exporter."""

    name: str
    """Name of the framework, for messages."""

    def describe(self, path: Path) -> str | None:
        """Say what a file or folder is, if it is one of this framework's.

        By its content first; nothing of the framework is imported, and nothing is run.

        Returns:
            Such as ``a TorchScript archive``; None if it is something else.
        """
        ...

    def accepts(self, model: object) -> bool:
        """Say whether an object is a model of this framework, without importing anything."""
        ...

    def convert(self, source: Any, options: Options) -> Conversion:
        """Export a model to ONNX, and prove it.

        Args:
            source: Path of a file or folder that `describe` knows, or an object that `accepts`
                does.
            options: What the user says about it.

        Raises:
            UnsupportedModelError: It can't be exported, or is not the same; and what to do.
            FormatError: The file is damaged.
            MissingDependencyError: A package is not installed.
        """
        ...


def find_adapter(source: Any) -> tuple[Adapter, str] | None:
    """Return the first adapter, by name, that knows a file, folder or object, and what that is.

    Args:
        source: A path, or an object.

    Returns:
        The adapter, and what the source is; None if none knows it.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415  (20 ms, seldom needed)

    if isinstance(source, Path) and source.exists() and not (source.is_file() or source.is_dir()):
        return None  # a pipe or a device, which adapters would wait for
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        adapter: Adapter = point.load()
        if isinstance(source, Path):
            what = adapter.describe(source)
        else:
            what = f"a model of {adapter.name}" if adapter.accepts(source) else None
        if what:
            return adapter, what
    return None
