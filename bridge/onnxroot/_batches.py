"""Inputs of a model with what should come out of it: kept, and compared with what does come out.

FORMAT.md §8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot.errors import FormatError
from onnxroot.tables import Column

__all__ = [
    "Batch",
    "Difference",
    "batches_from",
    "columns_of",
    "compare",
    "default_tolerance",
]

Array = npt.NDArray[Any]

_STRING = 8  # TensorProto.DataType


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Inputs that were given to a model, and what the source framework made of them.

    Attributes:
        inputs: By name in the ONNX model; strings in arrays of objects.
        outputs: By name in the ONNX model.
        tolerance: By how much outputs may differ, by name; see `compare`.
    """

    inputs: dict[str, Array]
    outputs: dict[str, Array]
    tolerance: dict[str, float]


# --- on disk ----------------------------------------------------------------------------------


def columns_of(batches: Iterable[Batch]) -> dict[str, Column]:
    """Return the columns of the table of samples: FORMAT §8.2."""
    from onnx.helper import np_dtype_to_tensor_dtype  # noqa: PLC0415  (0.1 s, seldom needed)

    rows = list(_rows_of(batches))
    types, raw, texts = [], [], []
    for _, _, _, value, _ in rows:
        is_text = value.dtype.kind in "OU"
        types.append(_STRING if is_text else np_dtype_to_tensor_dtype(value.dtype))
        raw.append(b"" if is_text else value.tobytes())
        texts.append([str(text).encode() for text in value.ravel()] if is_text else [])
    return {
        "batch": Column((), np.array([number for number, *_ in rows], np.uint32)),
        "is_output": Column((), np.array([is_output for _, is_output, *_ in rows], np.uint8)),
        "name": _texts([name.encode() for _, _, name, _, _ in rows]),
        "data_type": Column((), np.array(types, np.int32)),
        "dims": _lists([value.shape for _, _, _, value, _ in rows]),
        "raw_data": _texts(raw),
        "string_data": _lists_of_texts(texts),
        "tolerance": Column((), np.array([tolerance for *_, tolerance in rows], np.float64)),
    }


def _rows_of(batches: Iterable[Batch]) -> Iterator[tuple[int, bool, str, Array, float]]:
    for number, batch in enumerate(batches):
        for name, value in batch.inputs.items():
            yield number, False, name, np.asarray(value), 0.0
        for name, value in batch.outputs.items():
            yield number, True, name, np.asarray(value), batch.tolerance.get(name, 0.0)


def _offsets(lengths: list[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(lengths, np.int64))])


def _texts(texts: list[bytes]) -> Column:
    data = np.frombuffer(b"".join(texts), np.uint8)
    return Column((_offsets(list(map(len, texts))),), data, is_text=True)


def _lists(lists: list[tuple[int, ...]]) -> Column:
    flat = np.array([number for each in lists for number in each], np.int64)
    return Column((_offsets(list(map(len, lists))),), flat)


def _lists_of_texts(lists: list[list[bytes]]) -> Column:
    inner = _texts([text for each in lists for text in each])
    return Column((_offsets(list(map(len, lists))), *inner.offsets), inner.values, is_text=True)


def batches_from(columns: Mapping[str, Column], where: str) -> tuple[Batch, ...]:
    """Return the batches of a table of samples.

    Args:
        columns: As `columns_of` makes them.
        where: The table's address, for messages.

    Raises:
        FormatError: They contradict each other.
    """
    try:
        return _batches_from(columns)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise FormatError(f"{where}: is no table of samples ({error}); it is damaged") from error


def _batches_from(columns: Mapping[str, Column]) -> tuple[Batch, ...]:
    batches: list[Batch] = []
    dims = columns["dims"].to_list()
    texts = columns["string_data"].to_list()
    raw = columns["raw_data"]
    for row, number in enumerate(columns["batch"].values.tolist()):
        if number == len(batches):
            batches.append(Batch(inputs={}, outputs={}, tolerance={}))
        start, stop = raw.offsets[0][row : row + 2].tolist()
        value = _value(
            int(columns["data_type"].values[row]), raw.values[start:stop], texts[row], dims[row]
        )
        name = columns["name"].text(row)
        if columns["is_output"].values[row]:
            batches[number].outputs[name] = value
            batches[number].tolerance[name] = float(columns["tolerance"].values[row])
        else:
            batches[number].inputs[name] = value
    return tuple(batches)


def _value(data_type: int, raw: npt.NDArray[np.uint8], texts: list[str], dims: list[int]) -> Array:
    from onnx.helper import tensor_dtype_to_np_dtype  # noqa: PLC0415  (0.1 s, seldom needed)

    if data_type == _STRING:
        return np.array(texts, dtype=object).reshape(dims)
    value: Array = np.frombuffer(raw.tobytes(), tensor_dtype_to_np_dtype(data_type))
    return value.reshape(dims)


# --- the same outputs ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """How an output differs from what it should be.

    Attributes:
        name: The output.
        n_rows: How many rows there are; a row is what belongs to one value of the first dimension.
        n_differing: How many differ by more than the tolerance.
        largest: The largest difference, in units of the largest expected value, at least 1.
        text: One line that says so.
    """

    name: str
    n_rows: int
    n_differing: int
    largest: float
    text: str


def default_tolerance(dtype: np.dtype[Any]) -> float:
    """Return by how much outputs of a type may differ: 0 for what is not floating-point."""
    return {"f2": 1e-2, "f4": 1e-4, "f8": 1e-7}.get(dtype.str[1:], 0.0)


def compare(name: str, found: Array, expected: Array, tolerance: float) -> Difference | None:
    """Compare an output with what it should be.

    An element is the same if ``|found - expected| <= tolerance * max(1, |expected|)``; NaNs and
    infinities must be the same, and what is not floating-point must be equal.

    Args:
        name: The output.
        found: What onnxruntime gave.
        expected: What the source framework gave.
        tolerance: See above.

    Returns:
        The difference; None if there is none.
    """
    if found.shape != expected.shape:
        text = f"{name}: the shape {found.shape}, expected {expected.shape}"
        return Difference(name, len(expected) if expected.ndim else 1, -1, np.inf, text)
    if expected.dtype.kind != "f" or found.dtype.kind != "f":
        off = np.where(found == expected, 0.0, np.inf)
    else:
        a, b = found.astype(np.float64), expected.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            off = np.abs(a - b) / np.maximum(1.0, np.abs(b))
        off = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, off)
        off = np.where(np.isnan(off), np.inf, off)
    rows = off.reshape(len(off), -1).max(axis=1, initial=0.0) if off.ndim else off.reshape(1)
    n_differing = int(np.count_nonzero(rows > tolerance))
    if not n_differing:
        return None
    largest = float(rows.max())
    by = f"by up to {largest:.3g}, tolerance {tolerance:g}" if np.isfinite(largest) else "entirely"
    text = f"{name}: {n_differing} of {len(rows)} rows differ {by}"
    return Difference(name, len(rows), n_differing, largest, text)
