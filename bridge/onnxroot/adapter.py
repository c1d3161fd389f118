"""The seam to other frameworks: how the bridge finds an adapter, without importing any.

An adapter is registered under the entry-point group ``onnxroot.adapters``; a third party can add
one. Looking for an adapter loads the registered modules, which must not import their framework
until `Adapter.to_onnx` is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import onnx

__all__ = ["GROUP", "Adapter", "find_adapter"]

GROUP = "onnxroot.adapters"
"""Name of the entry-point group."""


class Adapter(Protocol):
    """Turns files of one framework into ONNX, by that framework's own exporter."""

    name: str
    """Name of the framework, for messages."""

    def accepts(self, path: Path) -> bool:
        """Say whether a file or folder is one of this framework's, by its content."""
        ...

    def to_onnx(self, path: Path) -> onnx.ModelProto:
        """Export a file or folder to ONNX.

        Raises:
            UnsupportedModelError: It can't be exported, and why.
            MissingDependencyError: The framework is not installed.
        """
        ...


def find_adapter(path: Path) -> Adapter | None:
    """Return the first adapter, by name, that accepts a file or folder; None if none does."""
    from importlib.metadata import entry_points  # noqa: PLC0415  (20 ms, seldom needed)

    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        adapter: Adapter = point.load()
        if adapter.accepts(path):
            return adapter
    return None
