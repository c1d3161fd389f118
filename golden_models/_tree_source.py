"""Boosted trees of three libraries: what their golden models share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from _golden import Array, Golden, exported

__all__ = ["exported_trees"]


def exported_trees(
    file: str,
    save: Callable[[Path], Any],
    sample: Array,
    outputs: Sequence[Array],
    *,
    framework: str,
    package: str,
    guards: str,
) -> Golden:
    """Return the golden model of boosted trees: see `exported`."""
    return exported(
        file,
        save,
        inputs=[sample],
        outputs=outputs,
        framework=framework,
        guards=guards,
        packages=(package, "onnxmltools", "skl2onnx"),
        options={},
    )
