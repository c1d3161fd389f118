"""Estimators that say the same in words that skl2onnx knows, and what it leaves out at the end."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto

from onnxroot_adapters._append import append, keep_missing, label_above
from onnxroot_adapters._tree_parts import compose

__all__ = ["Rewrite", "rewrites"]


def _as_it_is(model: ModelProto) -> ModelProto:
    return model


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What is exported for an estimator, and what is done to the ONNX model then."""

    estimator: Any
    text: str = ""
    finish: Callable[[ModelProto], ModelProto] = _as_it_is

    def __str__(self) -> str:
        """Name it in a message."""
        return f"{self.text}, " if self.text else ""


def rewrites(estimator: Any) -> Iterator[Rewrite]:
    """Yield what to export, in order: the estimator itself first."""
    if hasattr(estimator, "steps") and len(estimator.steps) > 1:
        boosted = list(_boosted(estimator))
        if boosted:
            yield from boosted
            return
    estimator = _without_text_imputers(estimator)
    yield Rewrite(estimator)
    if hasattr(estimator, "best_estimator_"):
        for inner in rewrites(estimator.best_estimator_):
            text = f"the best estimator, {inner.text}" if inner.text else "the best estimator"
            yield Rewrite(inner.estimator, text, inner.finish)
    yield from _equivalents(estimator)
    if hasattr(estimator, "steps") and len(estimator.steps) > 1:
        yield from _last_step(estimator)


def _equivalents(estimator: Any) -> Iterator[Rewrite]:
    """Yield what gives the same as an estimator that is no pipeline."""
    name = type(estimator).__name__
    if name in _PARAMETERS:
        other = copy.copy(estimator)
        vars(other).update(_PARAMETERS[name](estimator))
        yield Rewrite(other, "with dense output")
    if hasattr(estimator, "get_support"):
        yield _selected(estimator) if hasattr(estimator, "predict") else _columns(estimator)
    if getattr(estimator, "n_outputs_", 1) > 1 and hasattr(estimator, "predict_proba"):
        yield from _label_by_label(estimator)
    if name == "SelfTrainingClassifier":
        yield Rewrite(estimator.estimator_, "the classifier within")
    if name in {"AffinityPropagation", "MeanShift"}:
        yield Rewrite(_means(estimator), "as means")
    if name == "PowerTransformer":
        yield Rewrite(estimator, "missing values kept", keep_missing)
    linear = _linear(estimator)
    if linear is not None:
        yield Rewrite(linear, "as a linear map")
    link = type(getattr(getattr(estimator, "_loss", None), "link", None)).__name__
    if link == "LogLink" and name.startswith("HistGradientBoosting"):
        yield Rewrite(estimator, "exponential", lambda m: append(m, m.graph.output[0].name, "Exp"))
    if name in {"FixedThresholdClassifier", "TunedThresholdClassifierCV"}:
        yield from _thresholded(estimator)
    if name == "TransformedTargetRegressor":
        yield from _transformed(estimator)


def _without_text_imputers(estimator: Any) -> Any:
    """Leave imputers of texts out: a text in ONNX can't be missing, and the exporter has none."""
    if hasattr(estimator, "steps"):
        steps = [(name, _without_text_imputers(step)) for name, step in estimator.steps]
        if all(new is old for (_, new), (_, old) in zip(steps, estimator.steps, strict=True)):
            return estimator
        kept = [step for step in steps if not (isinstance(step[1], str) and len(steps) > 1)]
        other = copy.copy(estimator)
        other.steps = kept
        return other
    if hasattr(estimator, "transformers_"):
        parts = [(n, _without_text_imputers(t), w) for n, t, w in estimator.transformers_]
        if all(a[1] is b[1] for a, b in zip(parts, estimator.transformers_, strict=True)):
            return estimator
        other = copy.copy(estimator)
        other.transformers_ = parts
        other.transformers = [(n, t, w) for n, t, w in parts if n != "remainder"]
        return other
    statistics = getattr(estimator, "statistics_", None)
    if isinstance(statistics, np.ndarray) and statistics.dtype == object:
        return "passthrough"
    return estimator


def _selected(estimator: Any) -> Rewrite:
    """Feature elimination predicts with the features it selects: a pipeline says so."""
    from sklearn.pipeline import Pipeline  # noqa: PLC0415

    steps = [("select", _columns(estimator).estimator), ("estimator", estimator.estimator_)]
    return Rewrite(Pipeline(steps), "as a pipeline")


def _last_step(pipeline: Any) -> Iterator[Rewrite]:
    """What holds for an estimator holds for the last step of a pipeline."""
    from sklearn.pipeline import Pipeline  # noqa: PLC0415

    *steps, (name, last) = pipeline.steps
    for i, inner in enumerate(rewrites(last)):
        if i:
            estimator = Pipeline([*steps, (name, inner.estimator)])
            yield Rewrite(estimator, inner.text, inner.finish)


def _boosted(pipeline: Any) -> Iterator[Rewrite]:
    """A pipeline that ends in a model of a tree library: what is before it, then that."""
    from sklearn.pipeline import Pipeline  # noqa: PLC0415

    from onnxroot_adapters.trees import LIBRARIES, export_step, subject_of  # noqa: PLC0415

    *steps, (_, last) = pipeline.steps
    kinds = {kind.__module__.partition(".")[0] for kind in type(last).__mro__}
    if kinds.isdisjoint(LIBRARIES):
        return
    before = Pipeline([(name, "passthrough" if step is None else step) for name, step in steps])
    for step in subject_of(last).steps:
        trees = functools.partial(export_step, step)
        yield Rewrite(before, f"trees {step.text}", lambda m, t=trees: compose(m, t()))  # type: ignore[misc]


def _thresholded(estimator: Any) -> Iterator[Rewrite]:
    """The classifier within, and its label from the threshold."""
    inner = estimator.estimator_
    scorer = getattr(estimator, "_curve_scorer", None)
    label = scorer._get_pos_label() if scorer else estimator.pos_label  # noqa: SLF001
    classes = np.asarray(estimator.classes_)
    positive = 1 if label is None else list(classes).index(label)
    probable = hasattr(inner, "predict_proba") and estimator.response_method != "decision_function"
    threshold = getattr(estimator, "best_threshold_", getattr(estimator, "threshold", "auto"))
    if threshold == "auto":
        threshold = 0.5 if probable else 0.0

    def finish(model: ModelProto) -> ModelProto:
        label, scores = (output.name for output in model.graph.output)
        elem_type = model.graph.output[1].type.tensor_type.elem_type
        return label_above(
            model,
            scores=scores,
            label=label,
            column=positive,
            threshold=float(threshold),
            classes=classes[[1 - positive, positive]],
            elem_type=elem_type,
        )

    yield Rewrite(inner, "with its threshold", finish)


def _transformed(estimator: Any) -> Iterator[Rewrite]:
    """The regressor within, and the inverse function of its target."""
    operators: dict[Any, tuple[str, ...]] = {
        np.exp: ("Exp",),
        np.sqrt: ("Sqrt",),
        np.tanh: ("Tanh",),
        np.log: ("Log",),
    }
    if estimator.func is None and estimator.transformer is None:
        yield Rewrite(estimator.regressor_, "the regressor within")
    elif estimator.inverse_func in operators:
        found = operators[estimator.inverse_func]
        yield Rewrite(
            estimator.regressor_,
            "with the inverse of its target's function",
            lambda model: append(model, model.graph.output[0].name, *found),
        )


def _label_by_label(estimator: Any) -> Iterator[Rewrite]:
    """Trees of many labels as one estimator for each: the exporter loses all but the likeliest."""
    from sklearn.multioutput import MultiOutputClassifier  # noqa: PLC0415

    if not hasattr(estimator, "tree_") and not hasattr(estimator, "estimators_"):
        return
    parts = [_of_label(estimator, i) for i in range(estimator.n_outputs_)]
    other = MultiOutputClassifier(parts[0])
    other.estimators_ = parts
    other.classes_ = list(estimator.classes_)
    other.n_features_in_ = estimator.n_features_in_
    yield Rewrite(other, "label by label")


def _of_label(estimator: Any, label: int) -> Any:
    """Return a copy of a tree or a forest that knows one of its labels.

    It gets as many classes as the label with the most has, of probability 0.
    """
    other = copy.copy(estimator)
    other.n_outputs_ = 1
    other.n_classes_ = max(map(len, estimator.classes_))
    other.classes_ = _padded(np.asarray(estimator.classes_[label]), other.n_classes_)
    if hasattr(estimator, "estimators_"):
        other.estimators_ = [_of_label(tree, label) for tree in estimator.estimators_]
        return other
    tree = estimator.tree_
    n_classes = np.array([other.n_classes_], dtype=np.intp)
    other.tree_ = type(tree)(tree.n_features, n_classes, 1)
    values = np.ascontiguousarray(tree.value[:, label : label + 1])
    other.tree_.__setstate__(tree.__getstate__() | {"values": values})
    return other


def _padded(classes: Any, n_classes: int) -> Any:
    """Return labels with more behind them, which are never given."""
    missing = range(n_classes - len(classes))
    if classes.dtype.kind in "OUS":
        return np.array([*classes, *(f"no class {i}" for i in missing)], dtype=object)
    return np.array([*classes, *(max(classes) + 1 + i for i in missing)])


def _means(estimator: Any) -> Any:
    """Return k-means with the centres of another estimator that takes the nearest one."""
    from sklearn.cluster import KMeans  # noqa: PLC0415

    centres = np.asarray(estimator.cluster_centers_, dtype=np.float64)
    return KMeans(len(centres), init=centres, n_init=1, max_iter=1).fit(centres)


def _dense_bins(estimator: Any) -> dict[str, Any]:
    encoder = copy.copy(estimator._encoder)  # noqa: SLF001
    encoder.sparse_output = False
    return {"encode": "onehot-dense", "_encoder": encoder}


def _dense_embedding(estimator: Any) -> dict[str, Any]:
    encoder = copy.copy(estimator.one_hot_encoder_)
    encoder.sparse_output = False
    return {"sparse_output": False, "one_hot_encoder_": encoder}


_PARAMETERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "KBinsDiscretizer": _dense_bins,
    "RandomTreesEmbedding": _dense_embedding,
    "VotingClassifier": lambda _: {"flatten_transform": False},
}
"""What to change for the same numbers in a form that ONNX has: it knows no sparse tensors."""


def _columns(estimator: Any) -> Rewrite:
    """What selects columns, as a ColumnTransformer that passes them on."""
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415

    indices = [int(i) for i in estimator.get_support(indices=True)]
    mask = np.zeros((2, estimator.n_features_in_))
    selector = ColumnTransformer([("selected", "passthrough", indices)])
    return Rewrite(selector.fit(mask), "as its columns")


def _linear(estimator: Any) -> Any:
    """Return a linear estimator that gives the same as one of another kind, or None."""
    from sklearn.decomposition import PCA  # noqa: PLC0415
    from sklearn.linear_model import LinearRegression  # noqa: PLC0415

    name = type(estimator).__name__
    if name in {"CCA", "PLSCanonical", "PLSRegression"}:
        regressor = LinearRegression()
        regressor.coef_ = estimator.coef_
        regressor.intercept_ = estimator.intercept_ - estimator._x_mean @ estimator.coef_.T  # noqa: SLF001
        regressor.n_features_in_ = estimator.n_features_in_
        if len(estimator.coef_) == 1 and estimator._predict_1d:  # noqa: SLF001
            regressor.coef_ = regressor.coef_[0]
            regressor.intercept_ = float(np.ravel(regressor.intercept_)[0])
        return regressor
    components = None
    mean = getattr(estimator, "mean_", 0.0)
    if name == "FastICA":
        components = estimator.components_
    elif name == "FactorAnalysis":
        weights = estimator.components_ / estimator.noise_variance_
        inner = np.eye(len(estimator.components_)) + weights @ estimator.components_.T
        components = np.linalg.inv(inner) @ weights
    elif name == "SparseRandomProjection":
        components = estimator.components_
        components = components.toarray() if hasattr(components, "toarray") else components
    elif name == "PLSSVD":
        mean, components = estimator._x_mean, (estimator.x_weights_ / estimator._x_std[:, None]).T  # noqa: SLF001
    if components is None:
        return None
    projection = PCA(n_components=len(components))
    projection.components_ = components
    projection.mean_ = np.broadcast_to(mean, (components.shape[1],)).astype(np.float64)
    projection.n_features_in_ = components.shape[1]
    projection.n_components_ = len(components)
    projection.explained_variance_ = np.ones(len(components))
    return projection
