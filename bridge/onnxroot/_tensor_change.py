"""By how much two tensors differ: element by element, a few MiB at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._tensors import Tensor
from onnxroot.errors import UnsupportedModelError

__all__ = ["Difference", "difference"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the elements of two tensors of one type and shape differ.

    Attributes:
        n_elements: How many elements each has.
        n_different: How many of them are not the same bit for bit.
        max_abs: The largest difference; None where the elements are no numbers.
        max_relative: The largest difference divided by the first tensor's element, where that is
            not 0; None where there is none such.
        max_ulp: The largest number of floating-point numbers of the type from one to the other;
            None for other types.
        n_not_finite: How many of the different pairs hold a NaN or an infinity; they count in
            none of the figures before.
    """

    n_elements: int
    n_different: int
    max_abs: float | None = None
    max_relative: float | None = None
    max_ulp: int | None = None
    n_not_finite: int = 0


def difference(old: Tensor, new: Tensor) -> Difference | None:
    """Compare the elements of two tensors of one type and shape.

    Args:
        old: A tensor.
        new: The tensor it became.

    Returns:
        How they differ, or None where they are the same bit for bit.

    Raises:
        UnsupportedModelError: One of them has more or fewer elements than its shape says.
        IntegrityError: A file is damaged.
    """
    total: Difference | None = None
    for a, b in zip(old.blocks(), new.blocks(), strict=True):
        part = _compare(a, b)
        if part is not None:
            total = part if total is None else _merged(total, part)
    if total is None:
        return None
    return Difference(
        n_elements=old.size,
        **{name: getattr(total, name) for name in Difference.__slots__ if name != "n_elements"},
    )


def _compare(a: Array, b: Array) -> Difference | None:
    if a.dtype != b.dtype or len(a) != len(b):
        raise UnsupportedModelError("tensors of different types can't be compared")
    if a.dtype == object:
        n = sum(x != y for x, y in zip(a.tolist(), b.tolist(), strict=True))
        return Difference(n_elements=len(a), n_different=n) if n else None
    if not len(a):
        return None
    bits = a.view(np.uint8).reshape(len(a), -1) != b.view(np.uint8).reshape(len(a), -1)
    differs = np.flatnonzero(bits.any(axis=1)) if bits.any() else np.empty(0, np.intp)
    if not len(differs):
        return None
    a, b = a[differs], b[differs]
    if a.dtype == np.bool_:
        return Difference(n_elements=len(bits), n_different=len(a))
    wide_a, wide_b = _widened(a), _widened(b)
    finite = np.isfinite(wide_a) & np.isfinite(wide_b)
    wide_a, wide_b = wide_a[finite], wide_b[finite]
    with np.errstate(over="ignore"):
        distance = np.abs(wide_b - wide_a)
    if a.dtype.kind in {"i", "u"}:
        distance = _distances(a, b).astype(np.float64)
    base = np.abs(wide_a)
    known = base > 0
    relative = distance[known] / base[known]
    return Difference(
        n_elements=len(bits),
        n_different=len(a),
        max_abs=float(distance.max()) if len(distance) else None,
        max_relative=float(relative.max()) if len(relative) else None,
        max_ulp=_max_ulp(a[finite], b[finite]),
        n_not_finite=int(np.count_nonzero(~finite)),
    )


def _widened(values: Array) -> Array:
    """Return numbers as float64 or complex128: small types overflow when they are subtracted."""
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def _max_ulp(a: Array, b: Array) -> int | None:
    """Return the most steps between two floats of one type: their bits, in order, subtracted."""
    name = a.dtype.name
    if a.dtype.kind not in {"f", "V"} or not len(a) or name.startswith(("int", "uint")):
        return None
    if name.startswith("float8_e8m0"):  # has no sign
        return int(_distances(a.view(np.uint8), b.view(np.uint8)).max())
    sign = np.uint64(1 << (_bits(a.dtype) - 1))
    ordered = []
    for values in (a, b):
        pattern = values.view(f"u{a.dtype.itemsize}").astype(np.uint64)
        size = (pattern & (sign - np.uint64(1))).astype(np.int64)
        ordered.append(np.where(pattern & sign, -size, size))
    return int(_distances(*ordered).max())


def _distances(a: Array, b: Array) -> npt.NDArray[np.uint64]:
    """Return how far integers are apart, without an overflow."""
    distance: npt.NDArray[np.uint64]
    distance = np.maximum(a, b).astype(np.uint64) - np.minimum(a, b).astype(np.uint64)
    return distance


def _bits(dtype: np.dtype[Any]) -> int:
    """Return the bits of a float: ml_dtypes keeps those of 4 and 6 bits in a byte."""
    for name, bits in (("float4_", 4), ("float6_", 6)):
        if dtype.name.startswith(name):
            return bits
    return 8 * dtype.itemsize


def _merged(a: Difference, b: Difference) -> Difference:
    def largest(x: Any, y: Any) -> Any:
        return x if y is None else y if x is None else max(x, y)

    return Difference(
        n_elements=a.n_elements + b.n_elements,
        n_different=a.n_different + b.n_different,
        max_abs=largest(a.max_abs, b.max_abs),
        max_relative=largest(a.max_relative, b.max_relative),
        max_ulp=largest(a.max_ulp, b.max_ulp),
        n_not_finite=a.n_not_finite + b.n_not_finite,
    )
