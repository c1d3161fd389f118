"""What the elements of a tensor are like: extremes, mean, zeros, and how they are distributed."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Elements", "Histogram", "Statistics", "histogram_of", "statistics_of"]

F64 = npt.NDArray[np.float64]

_LARGEST = sys.float_info.max


class Elements(Protocol):
    """A tensor, as far as its elements are counted."""

    name: str
    data_type: str
    shape: tuple[int, ...]

    def blocks(self) -> Iterator[npt.NDArray[Any]]:
        """Read the elements in order, flat, a few MiB at a time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Of a tensor's elements, those that are finite; None where there is none.

    Attributes:
        n_elements: How many elements there are.
        n_zeros: How many of them are zero, -0.0 included.
        n_nan: How many are no numbers.
        n_infinite: How many are infinite.
        min: The smallest.
        max: The largest.
        mean: Their mean, in double precision; None where it overflows.
        std: Their standard deviation, likewise.
    """

    n_elements: int
    n_zeros: int
    n_nan: int
    n_infinite: int
    min: float | None
    max: float | None
    mean: float | None
    std: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many finite elements fall into bins of equal width.

    Attributes:
        low: Lower edge of the first bin.
        high: Upper edge of the last bin, which belongs to it.
        counts: Of the bins.
    """

    low: float
    high: float
    counts: tuple[int, ...]


def statistics_of(tensor: Elements) -> Statistics | None:
    """Read a tensor, a few MiB at a time; None if its elements are no real numbers.

    Raises:
        UnsupportedModelError: It is malformed.
        IntegrityError: The file is damaged.
    """
    n = n_zeros = n_nan = n_infinite = n_finite = 0
    low, high = np.inf, -np.inf
    total = square = 0.0
    shift: float | None = None  # keeps the sum of squares from cancelling
    for block in tensor.blocks():
        values = _numbers(block)
        if values is None:
            return None
        finite = values[np.isfinite(values)]
        n += len(values)
        n_nan += int(np.isnan(values).sum())
        n_infinite += int(np.isinf(values).sum())
        n_zeros += int(np.count_nonzero(finite == 0))
        if len(finite):
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            shift = float(finite[0]) if shift is None else shift
            with np.errstate(over="ignore", invalid="ignore"):
                wide = finite.astype(np.float64) - shift
                total += float(wide.sum())
                square += float(np.dot(wide, wide))
            n_finite += len(finite)
    known = n_finite > 0 and shift is not None
    mean = total / n_finite if known else 0.0
    return Statistics(
        n_elements=n,
        n_zeros=n_zeros,
        n_nan=n_nan,
        n_infinite=n_infinite,
        min=low if known else None,
        max=high if known else None,
        mean=_finite(mean + (shift or 0.0)) if known else None,
        std=_finite(square / n_finite - mean * mean, root=True) if known else None,
    )


def _finite(value: float, *, root: bool = False) -> float | None:
    """Return a figure, or its root, unless it has overflown."""
    if not math.isfinite(value):
        return None
    return math.sqrt(max(value, 0.0)) if root else value


def histogram_of(tensor: Elements, statistics: Statistics, n_bins: int) -> Histogram | None:
    """Count the elements of a tensor in bins from its smallest to its largest.

    Args:
        tensor: The tensor.
        statistics: Of the same tensor.
        n_bins: Number of bins; fewer if the elements are integers in a smaller range.

    Returns:
        The histogram, or None if no element is finite.
    """
    if statistics.min is None or statistics.max is None:
        return None
    low, high = statistics.min, statistics.max
    if tensor.data_type.startswith(("INT", "UINT", "BOOL")):
        n_bins = int(min(n_bins, high - low + 1))
        step = -(-(high - low + 1) // n_bins)
        low, high = low - 0.5, low - 0.5 + step * n_bins
    elif low == high:
        room = max(0.5, abs(low) / 1024)  # that is more than where the next number lies
        low, high = max(low - room, -_LARGEST), min(high + room, _LARGEST)
    counts = np.zeros(n_bins, np.int64)
    width = high / n_bins - low / n_bins
    if not width:  # the smallest numbers that there are
        n_finite = statistics.n_elements - statistics.n_nan - statistics.n_infinite
        return Histogram(low=low, high=high, counts=(n_finite,))
    for block in tensor.blocks():
        values = _numbers(block)
        if values is not None:
            finite = values[np.isfinite(values)].astype(np.float64)
            index = np.clip((finite / width - low / width).astype(np.int64), 0, n_bins - 1)
            counts += np.bincount(index, minlength=n_bins)
    return Histogram(low=low, high=high, counts=tuple(counts.tolist()))


def _numbers(block: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Return real numbers as something that NumPy calculates with."""
    if block.dtype.kind in {"O", "c"}:
        return None
    if block.dtype.kind in {"i", "u", "f"} and block.dtype.itemsize >= 4:
        return block
    return block.astype(np.float32)
