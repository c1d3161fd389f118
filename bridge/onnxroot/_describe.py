"""Models in words: what ``ls`` and ``show`` print, as plain data."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from onnxroot._limits import Limits
from onnxroot._rntuple_read import RootFile
from onnxroot._stored import StoredModel
from onnxroot.model import Model

__all__ = ["describe", "readable", "summarise", "summarise_all"]


def summarise(model: Model) -> dict[str, Any]:
    """Return one line's worth of a model: JSON types only."""
    manifest = model.manifest
    return {
        "address": model.address,
        "nodes": len(model.nodes),
        "parameters": sum(tensor.size for tensor in model.tensors.values()),
        "onnx_nbytes": manifest.nbytes + sum(f.nbytes for f in manifest.external_files),
        "opset": model.opset_imports.get("") or model.opset_imports.get("ai.onnx"),
        "producer": model.producer,
    }


def summarise_all(path: str, timeout: float, limits: Limits) -> list[dict[str, Any]]:
    """Return one line's worth of each model in a ROOT file, sorted by name: JSON types only.

    Args:
        path: The file, or its URL.
        timeout: Seconds to wait for an answer of another machine.
        limits: How much the file may ask for.

    Raises:
        FormatError: It is not a ROOT file, or a damaged one.
        RemoteError: The other machine refuses, or does not answer.
        OSError: It can't be opened.
    """
    with RootFile(path, timeout=timeout, limits=limits) as file:
        return [
            {"name": name, **summarise(Model(StoredModel(file, name)))}
            for name in file.directories()
        ]


def describe(model: Model) -> dict[str, Any]:
    """Return all that ``show`` prints of a model: JSON types only."""
    manifest = model.manifest
    operators = Counter(np.asarray(model.nodes["op_type"].to_list(), dtype=object).tolist())
    tensors = [
        {
            "name": tensor.name,
            "type": tensor.data_type,
            "shape": list(tensor.shape),
            "nbytes": tensor.nbytes,
        }
        for tensor in model.tensors.values()
    ]
    return {
        **summarise(model),
        "sha256": manifest.sha256,
        "file_nbytes": model.file_nbytes,
        "ir_version": model.ir_version,
        "opset_imports": model.opset_imports,
        "inputs": [str(value) for value in model.inputs],
        "outputs": [str(value) for value in model.outputs],
        "operators": dict(operators.most_common()),
        "tensors": tensors,
        "external_files": [
            {"location": f.location, "nbytes": f.nbytes, "sha256": f.sha256}
            for f in manifest.external_files
        ],
        "model_metadata": model.metadata,
        "metadata": manifest.metadata,
        "provenance": manifest.provenance,
        "format_version": manifest.format_version,
    }


def readable(nbytes: int) -> str:
    """Return a size as people read it: ``1.5 MB``."""
    if nbytes < 1000:
        return f"{nbytes} B"
    power = min(int(math.log10(nbytes) // 3), 4)
    return f"{nbytes / 1000**power:.1f} {' kMGT'[power]}B"
