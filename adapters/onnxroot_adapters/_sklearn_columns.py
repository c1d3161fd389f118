"""Features, and values at which they matter: also those behind scalers, where trees split.

A row right at a split takes one branch or the other by how a scaler rounds. XGBoost splits at
values of its training data: a proof must go right there. Others split half-way between two values,
where data are as rare as anywhere: for these it goes near, to a hundred thousandth.
"""

from __future__ import annotations

from collections import UserList
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Column", "add", "indices", "learn_behind"]

Array = npt.NDArray[Any]

_ELEMENTWISE = {"PowerTransformer", "QuantileTransformer"}
_KEPT = {"SimpleImputer", "passthrough"}
_MOST_VALUES = 4000


@dataclass(slots=True)
class Column:
    """A feature: its kind, and values at which it matters.

    Attributes:
        name: As in the data frame the estimator was fitted on, or made up.
        kind: ``f`` for numbers, ``i`` for integers, ``O`` for strings.
        closed: Only values of the pool may be given.
        pool: Values seen in the estimator.
    """

    name: str
    kind: str = "f"
    closed: bool = False
    pool: list[Array] = field(default_factory=list)


def indices(where: Any, names: Sequence[str]) -> list[int]:
    """Return the columns that a part of a ColumnTransformer takes, as numbers."""
    if isinstance(where, UserList):  # of scikit-learn 1.5 and 1.6, which warn when it is read
        where = where.data
    if isinstance(where, slice):
        where = list(range(len(names)))[where] if not isinstance(where.start, str) else []
    items = [where] if isinstance(where, (str, int)) else list(where)
    if items and all(isinstance(item, (bool, np.bool_)) for item in items):
        return [i for i, item in enumerate(items) if item]
    return [list(names).index(item) if isinstance(item, str) else int(item) for item in items]


def add(column: Column, values: Array) -> None:
    """Add values to the pool of a column of numbers."""
    if (
        values.dtype.kind in "fi"
        and column.kind == "f"
        and sum(map(len, column.pool)) < _MOST_VALUES
    ):
        values = values[np.isfinite(values) & (np.abs(values) < 1e6)]
        column.pool.append(values.astype(np.float64))


# --- behind scalers ------------------------------------------------------------------------------


def learn_behind(
    steps: Sequence[Any], columns: list[Column], learn: Callable[[Any, list[Column]], None]
) -> None:
    """Add to columns what the last step of a pipeline learned, taken back through those before.

    Args:
        steps: Of the pipeline.
        columns: Its features.
        learn: Adds to features what one estimator learned of them.
    """
    *before, last = steps
    if not before:
        return
    n_inner = getattr(last, "n_features_in_", None)
    if not isinstance(n_inner, (int, np.integer)):
        return
    inner = [Column(f"inner{i}") for i in range(n_inner)]
    learn(last, inner)
    pools = [_values(column) for column in inner]
    for step in reversed(before):
        pools = _taken_back(step, pools)
    if len(pools) == len(columns):
        exactly = type(last).__module__.startswith("xgboost.")
        for column, values in zip(columns, pools, strict=True):
            add(column, values if exactly else _near(values))


def _near(values: Array) -> Array:
    if not len(values):
        return values
    step = 1e-5 * (np.abs(values) + np.std(values))
    return np.concatenate([values - step, values + step])


def _values(column: Column) -> Array:
    parts = [part for part in column.pool if part.dtype.kind in "fi"]
    values = np.unique(np.concatenate(parts)) if parts else np.empty(0)
    return values[np.abs(values) < 1e6].astype(np.float64)


def _taken_back(step: Any, pools: list[Array]) -> list[Array]:
    """Return values of the features of a step, for values of what it makes of them."""
    kind = "passthrough" if isinstance(step, str) else type(step).__name__
    if kind in _KEPT:
        return pools
    if kind.endswith("Scaler") or kind in _ELEMENTWISE:
        return [_inverse(step, i, values, len(pools)) for i, values in enumerate(pools)]
    if hasattr(step, "steps"):
        for _, inner in reversed(step.steps):
            pools = _taken_back(inner, pools)
        return pools
    if hasattr(step, "transformers_"):
        names = list(getattr(step, "feature_names_in_", range(step.n_features_in_)))
        result = [np.empty(0)] * len(names)
        for name, transformer, where in step.transformers_:
            found = _taken_back(transformer, pools[step.output_indices_[name]])
            if len(found) == len(indices(where, names)):
                for i, values in zip(indices(where, names), found, strict=True):
                    result[i] = values
        return result
    return []


def _inverse(step: Any, i: int, values: Array, n_columns: int) -> Array:
    """Return the values of one column that a scaler scales to others."""
    if not len(values):
        return values
    table = np.zeros((len(values), n_columns))
    table[:, i] = values
    result: Array = np.asarray(step.inverse_transform(table))[:, i]
    return result
