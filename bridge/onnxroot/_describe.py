"""Models as JSON types: what ``ls`` and ``show`` print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnxroot._address import parse_address
from onnxroot._busy import Progress
from onnxroot._limits import Limits
from onnxroot._model_view import ModelView
from onnxroot._nodes import list_nodes
from onnxroot._readable import near
from onnxroot._root_file import RootFile
from onnxroot._statistics import histogram_of, statistics_of
from onnxroot._store import directory_in
from onnxroot._stored import StoredModel
from onnxroot._tensors import Tensor
from onnxroot.errors import UnsupportedModelError
from onnxroot.model import Model

__all__ = [
    "describe",
    "describe_tensor",
    "summarise",
    "summarise_all",
]

_N_BINS = 20


def summarise(view: ModelView) -> dict[str, Any]:
    """Return one line's worth of a model."""
    when = view.parts.written()
    return {
        "address": view.address,
        "nodes": view.n_nodes,
        "parameters": view.n_parameters,
        "stored_nbytes": view.parts.stored_nbytes(),
        "onnx_nbytes": _onnx_nbytes(view),
        "opset_imports": view.opset_imports,
        "opset": view.opset_imports.get("") or view.opset_imports.get("ai.onnx"),
        "ir_version": view.ir_version,
        "producer": view.producer,
        "written": when.isoformat(sep=" ", timespec="seconds") if when else None,
        "sha256": view.manifest.sha256 if isinstance(view, Model) else None,
    }


def summarise_all(address: str, timeout: float, limits: Limits) -> list[dict[str, Any]]:
    """Return one line's worth of each model in a ROOT file, sorted by name: JSON types only.

    Args:
        address: The file, or its URL; with a directory, the models there and below it.
        timeout: Seconds to wait for an answer of another machine.
        limits: How much the file may ask for.

    Raises:
        FormatError: It is not a ROOT file, or a damaged one.
        ModelNotFoundError: The directory holds no models.
        RemoteError: The other machine refuses, or does not answer.
        OSError: It can't be opened.
    """
    where = parse_address(address)
    with RootFile(where.path, timeout=timeout, limits=limits) as file:
        names = file.directories()
        if where.directory:
            inside = f"{where.directory}/"
            names = [name for name in names if f"{name}/".startswith(inside)]
            names = names or [directory_in(file, where)]
        return [{"name": name, **summarise(Model(StoredModel(file, name)))} for name in names]


def _onnx_nbytes(view: ModelView) -> int | None:
    """Return the size as ONNX; None if an external file is missing."""
    try:
        return sum(view.sizes.values())
    except UnsupportedModelError:
        return None


def describe(
    view: ModelView, *, statistics: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Return all that there is to say of a model.

    Args:
        view: The model.
        statistics: Read every tensor, and say what its elements are like.
        progress: Is told how many bytes of the tensors are read.

    Raises:
        IntegrityError: A tensor is not what was stored.
    """
    manifest = view.manifest if isinstance(view, Model) else None
    tensors = [
        _tensor_row(tensor, statistics=statistics)
        for tensor in _counted(view, progress if statistics else None)
    ]
    return {
        **summarise(view),
        "nodes_inside": _n_nodes_inside(view),
        "inputs": [str(value) for value in view.inputs],
        "outputs": [str(value) for value in view.outputs],
        "operators": view.operators,
        "tensors": tensors,
        "external_files": [
            {"location": f.location, "nbytes": f.nbytes, "sha256": f.sha256}
            for f in (manifest.external_files if manifest else ())
        ],
        "model_metadata": view.metadata,
        "metadata": manifest.metadata if manifest else {},
        "provenance": manifest.provenance if manifest else {},
        "format_version": manifest.format_version if manifest else None,
    }


def _counted(view: ModelView, progress: Progress | None) -> Iterator[Tensor]:
    """Yield the tensors, and say behind each how far it is."""
    total = sum(tensor.nbytes for tensor in view.tensors.values()) if progress else 0
    done = 0
    for tensor in view.tensors.values():
        yield tensor
        if progress:
            done += tensor.nbytes
            progress(done, total)


def _tensor_row(tensor: Tensor, *, statistics: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": tensor.name,
        "type": tensor.data_type,
        "shape": list(tensor.shape),
        "nbytes": _nbytes(tensor),
    }
    if statistics:
        row["statistics"] = _statistics(tensor)
    return row


def _nbytes(tensor: Tensor) -> int | None:
    """Return the size of a tensor; None if it goes on to the end of a file that is missing."""
    try:
        return tensor.nbytes
    except UnsupportedModelError:
        return None


def _statistics(tensor: Tensor) -> dict[str, Any] | None:
    try:
        found = statistics_of(tensor)
    except UnsupportedModelError:
        return None
    return {name: getattr(found, name) for name in found.__slots__} if found else None


def describe_tensor(view: ModelView, name: str, *, n_bins: int = _N_BINS) -> dict[str, Any]:
    """Return what one initializer is like.

    Raises:
        ValueError: There is none of that name.
        UnsupportedModelError: It is malformed.
        IntegrityError: It is not what was stored.
    """
    if name not in view.tensors:
        hint = near(name, view.tensors) or " (to look at a node: --node)"
        raise ValueError(f"{view.address}: no initializer {name!r}{hint}")
    tensor = view.tensors[name]
    found = statistics_of(tensor)
    histogram = histogram_of(tensor, found, n_bins) if found else None
    users = [
        {"node": node["name"], "operator": node["operator"], "input": i}
        for node in list_nodes(view)
        if not node["graph"].startswith(("function ", "training "))
        for i, value in enumerate(node["inputs"])
        if value == name
    ]
    return {
        **_tensor_row(tensor, statistics=False),
        "statistics": {n: getattr(found, n) for n in found.__slots__} if found else None,
        "histogram": {
            "low": histogram.low,
            "high": histogram.high,
            "counts": list(histogram.counts),
        }
        if histogram
        else None,
        "users": users,
    }


def _n_nodes_inside(view: ModelView) -> int:
    """Return how many nodes are not in the main graph."""
    table = view.parts.table("NodeProto")
    return table.n_rows - view.n_nodes if table else 0
