"""What may be given to a scikit-learn estimator, found in what it has learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._sklearn_columns import Column, add, indices, learn_behind

__all__ = ["Column", "Domain", "Signature", "draw", "signature_of"]

Array = npt.NDArray[Any]

SINGLE = "X"
"""Name of the only input, unless columns have inputs of their own."""

Domain = str
"""Which numbers an estimator takes: one of `DOMAINS`, the first that it does not refuse."""

DOMAINS: tuple[Domain, ...] = ("real", "positive", "counts", "bits")

N_EXAMPLES = 2000
_MOST_VALUES = 400  # of a column's pool
_SEED = 20261126


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The inputs of an estimator.

    Attributes:
        columns: Its features.
        by_column: Each column is an input of its own, of shape (n, 1).
        flat: It takes a list of values, not a table.
        names: Names of the features in the data frame it was fitted on; empty if there was none.
    """

    columns: list[Column]
    by_column: bool = False
    flat: bool = False
    names: tuple[str, ...] = ()


def signature_of(estimator: Any, options: Options) -> Signature:
    """Return the inputs of an estimator.

    Raises:
        UnsupportedModelError: It does not say how many features it has.
    """
    if hasattr(estimator, "vocabulary_") or _first_has(estimator, "vocabulary_"):
        return _text(estimator)
    if _is_of_labels(estimator):
        column = Column("X", closed=True)
        _take_categories(column, np.asarray(estimator.classes_), closed=True)
        return Signature(columns=[column], flat=True)
    names = tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))
    n_columns = len(names) or _n_features(estimator, options)
    columns = [Column(names[i] if names else f"x{i}") for i in range(n_columns)]
    _learn(estimator, columns, set())
    kinds = {column.kind for column in columns}
    selects = bool(names) and any(
        "ColumnTransformer" in type(e).__name__ for e in _heads(estimator)
    )
    if selects:
        used = _used(estimator, names)
        columns = [column for column in columns if column.name in used]
    return Signature(columns=columns, by_column=selects or len(kinds) > 1, names=names)


def _n_features(estimator: Any, options: Options) -> int:
    found = getattr(estimator, "n_features_in_", None)
    if found is not None:
        return int(found)
    if SINGLE in options.inputs and options.inputs[SINGLE][-1]:
        return int(options.inputs[SINGLE][-1] or 0)
    if hasattr(estimator, "X_thresholds_"):  # of isotonic regression
        return 1
    raise UnsupportedModelError(
        f"the {type(estimator).__name__} does not say how many features it takes: is it fitted? "
        f"If it is, say so with --input {SINGLE}:?,N (Options.inputs)"
    )


def _is_of_labels(estimator: Any) -> bool:
    return type(estimator).__name__ in {"LabelEncoder", "LabelBinarizer"}


def _first_has(estimator: Any, attribute: str) -> bool:
    return any(hasattr(head, attribute) for head in _heads(estimator))


def _text(estimator: Any) -> Signature:
    """Return the inputs of what takes texts."""
    words: list[str] = []
    for head in (estimator, *_heads(estimator)):
        vocabulary = getattr(head, "vocabulary_", None)
        if vocabulary is not None:
            words = sorted(map(str, vocabulary))[:_MOST_VALUES]
            break
    generator = np.random.default_rng(_SEED)
    texts = [" ".join(generator.choice(words, size=n)) for n in generator.integers(1, 8, size=64)]
    column = Column(
        "X", kind="O", closed=True, pool=[np.array([*texts, "", "other"], dtype=object)]
    )
    return Signature(columns=[column], flat=True)


def _heads(estimator: Any) -> Iterator[Any]:
    """Yield the estimators that see the input first: of a pipeline, its first step, and so on."""
    yield estimator
    if hasattr(estimator, "steps") and estimator.steps:
        yield from _heads(estimator.steps[0][1])
    for name in ("best_estimator_", "estimator_", "calibrated_classifiers_", "estimators_"):
        inner = getattr(estimator, name, None)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if hasattr(inner, "get_params"):
            yield from _heads(inner)


def _used(estimator: Any, names: Sequence[str]) -> set[str]:
    """Return the columns that a ColumnTransformer hands on."""
    for head in _heads(estimator):
        if "ColumnTransformer" in type(head).__name__:
            used: set[str] = set()
            for _, transformer, where in head.transformers_:
                if not (isinstance(transformer, str) and transformer == "drop"):
                    used |= {names[i] for i in indices(where, names)}
            return used
    return set(names)


# --- what it has learned -------------------------------------------------------------------------


def _learn(estimator: Any, columns: list[Column], seen: set[int]) -> None:
    """Gather kinds and values of columns from an estimator and those in it."""
    if id(estimator) in seen or isinstance(estimator, str):
        return
    seen.add(id(estimator))
    if hasattr(estimator, "steps"):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        if steps:
            _learn(steps[0], columns, seen)
            learn_behind(steps, columns, _learn_last)
        return
    if hasattr(estimator, "transformers_"):
        names = [column.name for column in columns]
        for _, transformer, where in estimator.transformers_:
            _learn(transformer, [columns[i] for i in indices(where, names)], seen)
        return
    _learn_values(estimator, columns)
    for inner in _inner(estimator):
        if getattr(inner, "n_features_in_", len(columns)) == len(columns):
            _learn(inner, columns, seen)


def _learn_last(estimator: Any, columns: list[Column]) -> None:
    """Learn from the last step of a pipeline, which may be of a tree library."""
    kinds = {kind.__module__.partition(".")[0] for kind in type(estimator).__mro__}
    if kinds & {"xgboost", "lightgbm", "catboost"}:
        from onnxroot_adapters.trees import subject_of  # noqa: PLC0415  (it imports this module)

        for column, found in zip(columns, subject_of(estimator).columns, strict=True):
            column.pool.extend(found.pool)
    else:
        _learn(estimator, columns, set())


def _inner(estimator: Any) -> Iterator[Any]:
    """Yield fitted estimators within an estimator."""
    for value in list(getattr(estimator, "__dict__", {}).values()):
        items = value if isinstance(value, (list, tuple, np.ndarray)) else [value]
        if isinstance(value, np.ndarray) and value.dtype != object:
            continue
        for item in list(np.ravel(items) if isinstance(items, np.ndarray) else items)[:20]:
            if isinstance(item, tuple) and len(item) > 1:
                item = item[1]  # noqa: PLW2901  (a step of a union)
            if hasattr(item, "get_params") and not isinstance(item, type):
                yield item
            elif hasattr(item, "estimators") or hasattr(item, "estimator"):
                yield from _inner(item)


def _learn_values(estimator: Any, columns: list[Column]) -> None:
    attributes = getattr(estimator, "__dict__", {})
    closed = getattr(estimator, "handle_unknown", None) == "error"
    categories = attributes.get("categories_")
    if isinstance(categories, list) and len(categories) == len(columns):
        for column, values in zip(columns, categories, strict=True):
            _take_categories(column, np.asarray(values), closed=closed)
        return
    if getattr(getattr(attributes.get("statistics_"), "dtype", None), "kind", "") == "O":
        for column, value in zip(columns, attributes["statistics_"], strict=False):
            column.kind = "O"
            column.pool.append(np.array([value, "a", "b"], dtype=object))
        return
    for name, value in attributes.items():
        if name in {"coef_", "components_", "feature_importances_", "n_features_in_"}:
            continue
        _learn_array(value, columns)
    tree = attributes.get("tree_")
    if tree is not None:
        _learn_splits(tree.feature, tree.threshold, columns)
    for predictors in attributes.get("_predictors", ()):
        for predictor in predictors:
            nodes = predictor.nodes
            inner = nodes[nodes["is_leaf"] == 0]
            _learn_splits(inner["feature_idx"], inner["num_threshold"], columns)


def _take_categories(column: Column, values: Array, *, closed: bool) -> None:
    kind = values.dtype.kind
    text = kind in "US" or (kind == "O" and all(isinstance(v, str) for v in values))
    column.kind = "O" if text else "i" if kind in "iub" else column.kind
    column.closed = column.closed or closed
    known = [v for v in values if v is not None and v == v]  # noqa: PLR0124  (NaN is not itself)
    column.pool.append(np.array(known, dtype=object if text else None))
    if not column.closed:
        other = np.array(["", "other"], dtype=object) if text else np.array([-7, 99])
        column.pool.append(other)


def _learn_array(value: Any, columns: list[Column]) -> None:
    """Take an array for values of the columns if it has one value, or row, for each."""
    n_columns = len(columns)
    if isinstance(value, list) and len(value) == n_columns > 0:
        arrays = [v for v in value if isinstance(v, np.ndarray) and v.ndim == 1]
        if len(arrays) == n_columns:
            for column, array in zip(columns, arrays, strict=True):
                add(column, array)
        return
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fi" or not value.size:
        return
    if value.ndim == 1 and len(value) == n_columns > 1:
        value = value[np.newaxis]
    if value.ndim == 2 and value.shape[1] == n_columns:
        for i, column in enumerate(columns):
            add(column, value[:_MOST_VALUES, i])


def _learn_splits(features: Array, thresholds: Array, columns: list[Column]) -> None:
    for i, column in enumerate(columns):
        add(column, np.asarray(thresholds[features == i], dtype=np.float64))


# --- examples ------------------------------------------------------------------------------------


def draw(column: Column, position: int, domain: Domain) -> Array:
    """Draw typical values of a column, and edges; the same for the same column.

    Returns:
        float64, int64 or object, shape (N_EXAMPLES,).
    """
    generator = np.random.default_rng([_SEED, position])
    parts = [part for part in column.pool if len(part)]
    if column.kind == "O":
        words = np.concatenate(parts) if parts else np.array(["", "a", "electron"], dtype=object)
        return np.asarray(generator.choice(words, size=N_EXAMPLES), dtype=object)
    pool = np.unique(np.concatenate(parts)) if parts else np.empty(0)
    if column.kind == "i" or column.closed:
        chosen = generator.choice(pool if len(pool) else np.arange(3), size=N_EXAMPLES)
        return chosen.astype(np.int64) if column.kind == "i" else chosen
    return _within(_draw_numbers(pool, generator), domain)


def _draw_numbers(pool: Array, generator: np.random.Generator) -> Array:
    width = generator.choice([0.3, 1.0, 3.0], size=N_EXAMPLES)
    values: Array = generator.normal(size=N_EXAMPLES) * width
    if len(pool):
        spread = max(float(np.std(pool)), 1e-3)
        near = generator.choice(pool, size=N_EXAMPLES)
        jitter = generator.normal(size=N_EXAMPLES) * spread
        jitter *= generator.choice([0.0, 1e-3, 0.1, 1.0], size=N_EXAMPLES)
        values = np.where(generator.random(N_EXAMPLES) < 0.9, near + jitter, values)
    edges = generator.random(N_EXAMPLES) < 0.02
    values[edges] = generator.choice([0.0, -1.0, 1.0, 30.0, -30.0], size=int(edges.sum()))
    return values


def _within(values: Array, domain: Domain) -> Array:
    """Move values to where an estimator takes them."""
    if domain == "positive":
        return np.asarray(np.abs(values) + 1e-3)
    if domain == "counts":
        return np.asarray(np.minimum(np.floor(np.abs(values)), 2.0))
    if domain == "bits":
        return np.asarray(values > np.median(values), dtype=np.float64)
    return values
