"""Distributions drawn with matplotlib, which is optional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxroot._readable import shape_text
from onnxroot._statistics import Elements, histogram_of, statistics_of
from onnxroot.errors import MissingDependencyError, UnsupportedModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_tensor", "plot_tensors"]

_COLUMNS = 4


def plot_tensor(tensor: Elements, axes: Axes | None, n_bins: int) -> Axes:
    """Draw how the elements of a tensor are distributed.

    Args:
        tensor: The tensor; it is read a few MiB at a time.
        axes: Where to draw; None for a figure of its own.
        n_bins: Number of bins.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UnsupportedModelError: It has no finite elements, or no real numbers.
    """
    pyplot = _pyplot()
    statistics = statistics_of(tensor)
    found = histogram_of(tensor, statistics, n_bins) if statistics else None
    if found is None:
        raise UnsupportedModelError(
            f"tensor {tensor.name!r} ({tensor.data_type}, shape {list(tensor.shape)}): there is no "
            "distribution to draw; expected finite real numbers"
        )
    if axes is None:
        _, axes = pyplot.subplots(layout="constrained")
    edges = np.linspace(found.low, found.high, len(found.counts) + 1)
    axes.stairs(found.counts, edges, fill=True, label=tensor.name)
    axes.set_title(tensor.name, fontsize="medium")
    axes.set_xlabel(f"{tensor.data_type}, {shape_text(tensor.shape)}")
    axes.set_ylabel("elements")
    return axes


def plot_tensors(tensors: Sequence[Elements], n_bins: int) -> Figure:
    """Draw the distributions of several tensors beside each other.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UnsupportedModelError: There is none.
    """
    if not tensors:
        raise UnsupportedModelError("the model has no tensor with a distribution to draw")
    n_columns = min(_COLUMNS, len(tensors))
    n_rows = -(-len(tensors) // n_columns)
    size = (3.2 * n_columns, 2.6 * n_rows)
    figure: Figure
    figure, grid = _pyplot().subplots(
        n_rows, n_columns, figsize=size, layout="constrained", squeeze=False
    )
    places = grid.ravel()
    for tensor, axes in zip(tensors, places, strict=False):
        try:
            plot_tensor(tensor, axes, n_bins)
        except UnsupportedModelError:  # noqa: PERF203  (drawing takes longer)
            axes.set_title(tensor.name, fontsize="medium")
            axes.set_xlabel("no finite numbers")
    for axes in places[len(tensors) :]:
        axes.set_visible(False)
    return figure


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise MissingDependencyError(
            "plots need matplotlib: pip install 'onnxroot[plot]'"
        ) from error
    return plt
