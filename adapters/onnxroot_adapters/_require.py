"""Packages that an adapter needs: imported when they are, or named with the command that helps."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Any

from onnxroot.errors import MissingDependencyError

__all__ = ["require", "version_of"]


def require(name: str, *, extra: str, what: str) -> Any:
    """Import a package.

    Args:
        name: The module.
        extra: The extra of onnxroot that brings it.
        what: What needs it, for the message, such as ``a TorchScript file``.

    Raises:
        MissingDependencyError: It is not installed; the message gives the pip command.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} needs {name.partition('.')[0]}: pip install 'onnxroot[{extra}]' ({error})"
        ) from error


def version_of(*distributions: str) -> dict[str, str]:
    """Return the versions of those distributions that are installed, by name."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    found = {}
    for name in distributions:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
