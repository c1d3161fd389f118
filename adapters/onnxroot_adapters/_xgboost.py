"""XGBoost: how onnxmltools exports its models, and what helps where it can't."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from onnxroot_adapters._require import require
from onnxroot_adapters._sklearn_inputs import Column
from onnxroot_adapters._tree_parts import Head, assemble
from onnxroot_adapters._tree_subject import OPSET, Step, Subject, quiet
from onnxroot_adapters._xgboost_file import check_xgboost

__all__ = ["load", "subject"]

Array = npt.NDArray[Any]
Json = dict[str, Any]

LINKS = {
    "binary:logistic": "Sigmoid",
    "reg:logistic": "Sigmoid",
    "multi:softprob": "Softmax",
    "multi:softmax": "Softmax",
    "binary:hinge": "Step",
    "count:poisson": "Exp",
    "reg:gamma": "Exp",
    "reg:tweedie": "Exp",
    "survival:cox": "Exp",
    "survival:aft": "Exp",
}


def load(path: str) -> Any:
    """Open a file of XGBoost, as the kind of estimator that wrote it, or as a booster.

    Raises:
        FormatError: It contradicts itself.
    """
    xgboost = require("xgboost", extra="trees", what="a model of XGBoost")
    data = bytearray(Path(path).read_bytes())  # of a path, the suffix would count
    check_xgboost(bytes(data), path)
    with quiet():
        booster = xgboost.Booster(model_file=data)
    kind = json.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type", "")
    classes = {
        "classifier": xgboost.XGBClassifier,
        "regressor": xgboost.XGBRegressor,
        "ranker": xgboost.XGBRanker,
    }
    if kind not in classes:
        return booster
    model = classes[kind]()
    with quiet():
        model.load_model(data)
    return model


def subject(model: Any) -> Subject:
    """Return how to export a booster or an estimator, and what it gives."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    document: Json = json.loads(bytes(booster.save_raw("json")))
    objective = document["learner"]["objective"]["name"]
    names = tuple(document["learner"]["feature_names"])
    missing = getattr(model, "missing", np.nan)
    return Subject(
        columns=_columns(document),
        names=names,
        kind=f"xgboost.{type(model).__name__} of {objective}",
        steps=_steps(model, booster, document, None if np.isnan(missing) else float(missing)),
        predict=_predictor(model, booster, objective),
    )


def _columns(document: Json) -> list[Column]:
    learner = document["learner"]
    n_features = int(learner["learner_model_param"]["num_feature"])
    types = learner["feature_types"] or ["float"] * n_features
    columns = [Column(f"f{i}") for i in range(n_features)]
    codes: list[set[int]] = [set() for _ in range(n_features)]
    for tree in _trees(document):
        features = np.array(tree["split_indices"])
        inner = np.array(tree["left_children"]) >= 0
        values = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
        numbers = inner & (np.array(tree["split_type"]) == 0)
        for i in np.unique(features[numbers]):
            columns[i].pool.append(values[numbers & (features == i)])
        for node, start, size in zip(
            tree["categories_nodes"],
            tree["categories_segments"],
            tree["categories_sizes"],
            strict=True,
        ):
            codes[features[node]] |= set(tree["categories"][start : start + size])
    for column, kind, found in zip(columns, types, codes, strict=True):
        if kind == "c":
            column.closed = True
            column.pool = [np.arange(max(found, default=0) + 2, dtype=np.float64)]
    return columns


def _trees(document: Json) -> list[Json]:
    machine = document["learner"]["gradient_booster"]
    machine = machine.get("gbtree", machine)
    trees: list[Json] = machine["model"].get("trees", [])
    return trees


# --- what it gives -------------------------------------------------------------------------------


def _predictor(model: Any, booster: Any, objective: str) -> Any:
    xgboost = require("xgboost", extra="trees", what="a model of XGBoost")

    def predict(values: Array) -> dict[str, Array]:
        if model is not booster:
            return _of_estimator(model, values)
        matrix = xgboost.DMatrix(
            values,
            feature_names=booster.feature_names,
            feature_types=booster.feature_types,
            enable_categorical=True,
        )
        if objective in {"multi:softprob", "multi:softmax"}:
            margins = booster.predict(matrix, output_margin=True).astype(np.float64)
            powers = np.exp(margins - margins.max(axis=1, keepdims=True))
            scores = powers / powers.sum(axis=1, keepdims=True)
            return {"label": scores.argmax(axis=1), "probabilities": scores}
        found = booster.predict(matrix)
        if objective in {"binary:logistic", "binary:hinge"} and found.ndim == 1:
            both = np.stack([1 - found, found], axis=1)
            return {"label": (found > 0.5).astype(np.int64), "probabilities": both}
        if objective == "binary:logistic":
            return {"label": (found > 0.5).astype(np.int64), "probabilities": found}
        return {"variable": found.reshape(len(values), -1)}

    return predict


def _of_estimator(model: Any, values: Array) -> dict[str, Array]:
    coded = "c" in (model.get_booster().feature_types or [])
    if hasattr(model, "predict_proba"):
        if coded:
            scores = _of_codes(model, values)
            scores = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
            return {"label": model.classes_[scores.argmax(axis=1)], "probabilities": scores}
        return {"label": np.asarray(model.predict(values)), "probabilities": _scores(model, values)}
    found = _of_codes(model, values) if coded else np.asarray(model.predict(values))
    return {"variable": found.reshape(len(values), -1)}


def _scores(model: Any, values: Array) -> Array:
    return np.asarray(model.predict_proba(values))


def _of_codes(model: Any, values: Array) -> Array:
    """Ask the booster: an estimator takes categories by name, and ONNX by number."""
    xgboost = require("xgboost", extra="trees", what="a model of XGBoost")
    booster = model.get_booster()
    matrix = xgboost.DMatrix(
        values,
        feature_names=booster.feature_names,
        feature_types=booster.feature_types,
        enable_categorical=True,
    )
    best = booster.attr("best_iteration")
    found = booster.predict(matrix, iteration_range=(0, 0 if best is None else int(best) + 1))
    return np.asarray(found)


# --- how to export it ----------------------------------------------------------------------------


def _steps(model: Any, booster: Any, document: Json, missing: float | None) -> Iterator[Step]:
    n_features = int(document["learner"]["learner_model_param"]["num_feature"])
    if document["learner"]["gradient_booster"]["name"] == "gblinear":
        yield Step("as a linear model", lambda: _linear(model, booster, document))
        return
    if not any(_n_leaf_values(tree) > 1 for tree in _trees(document)):
        yield Step("as it is", lambda: _export(_renamed(model, booster, document), n_features))
    yield Step("score by score", lambda: _by_score(model, booster, document, missing))


def _renamed(model: Any, booster: Any, document: Json) -> Any:
    """Return a copy whose features are called f0, f1 ..., as the exporter wants."""
    clean = copy.deepcopy(document)
    clean["learner"]["feature_names"] = []
    renamed = _booster(clean)
    if model is booster:
        return renamed
    other = copy.copy(model)
    other._Booster = renamed  # noqa: SLF001
    return other


def _booster(document: Json) -> Any:
    xgboost = require("xgboost", extra="trees", what="a model of XGBoost")
    return xgboost.Booster(model_file=bytearray(json.dumps(document).encode()))


def _export(model: Any, n_features: int) -> ModelProto:
    onnxmltools = require("onnxmltools", extra="trees", what="the export of a model of XGBoost")
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415

    with quiet():
        exported: ModelProto = onnxmltools.convert_xgboost(
            model,
            name="trees",
            initial_types=[("X", FloatTensorType([None, n_features]))],
            target_opset=OPSET,
        )
    return exported


def _by_score(model: Any, booster: Any, document: Json, missing: float | None) -> ModelProto:
    """Export a regressor for each score, and put them together."""
    n_features = int(document["learner"]["learner_model_param"]["num_feature"])
    objective = document["learner"]["objective"]["name"]
    documents = list(_split(document, _n_rounds(model, document)))
    parts = [_booster(part) for part in documents]
    head = Head(
        link=_link(objective),
        base=_base(model, booster, parts, n_features),
        classes=_classes(model, booster, objective, len(parts)),
        label_of_each=objective == "binary:logistic" and len(parts) > 1,
        missing=missing,
    )
    regressors = [_as_regressor(part) for part in documents]
    return assemble([_export(part, n_features) for part in regressors], head, n_features)


def _link(objective: str) -> str:
    """Return what makes predictions of scores; from 3.4 on quantiles do not cross: sorted."""
    xgboost = require("xgboost", extra="trees", what="a model of XGBoost")
    version = tuple(map(int, xgboost.__version__.split(".")[:2]))
    if objective == "reg:quantileerror" and version >= (3, 4):
        return "Sort"
    return LINKS.get(objective, "Identity")


def _as_regressor(document: Json) -> Any:
    """Return an estimator: what a booster is, older exporters guess wrong."""
    xgboost = require("xgboost", extra="trees", what="a model of XGBoost")
    regressor = xgboost.XGBRegressor()
    regressor.load_model(bytearray(json.dumps(document).encode()))
    return regressor


def _n_rounds(model: Any, document: Json) -> int:
    """Return how many rounds count: an estimator that stopped early takes its best ones."""
    best = document["learner"]["attributes"].get("best_iteration")
    machine = document["learner"]["gradient_booster"]
    n_rounds = len(machine.get("gbtree", machine)["model"]["iteration_indptr"]) - 1
    return n_rounds if best is None or not hasattr(model, "get_booster") else int(best) + 1


def _split(document: Json, n_rounds: int) -> Iterator[Json]:
    """Yield a document for each score, of its trees, as a plain regressor."""
    machine = document["learner"]["gradient_booster"]
    inner = machine.get("gbtree", machine)["model"]
    weights = machine.get("weight_drop", inner.get("weight_drop"))  # of dart; in 3.4 within
    n_trees = inner["iteration_indptr"][n_rounds]
    n_values = max(map(_n_leaf_values, inner["trees"]))
    for group in range(max(max(inner["tree_info"]) + 1, n_values)):
        trees: list[Json] = []
        for i in range(n_trees):
            if n_values > 1 or inner["tree_info"][i] == group:
                tree = _of_target(inner["trees"][i], group, n_values)
                tree["id"] = len(trees)
                _weigh(tree, 1.0 if weights is None else weights[i])
                trees.append(tree)
        yield _regressor(document, inner, trees)


def _n_leaf_values(tree: Json) -> int:
    return int(tree["tree_param"]["size_leaf_vector"])


def _of_target(tree: Json, target: int, n_targets: int) -> Json:
    """Return a copy of a tree, with one value in each leaf of those for all targets."""
    result = copy.deepcopy(tree)
    if n_targets == 1:
        return result
    result.pop("leaf_weights", None)
    result["tree_param"]["size_leaf_vector"] = "1"
    result["base_weights"] = tree["base_weights"][target::n_targets]
    for i, left in enumerate(tree["left_children"]):
        if left < 0:
            result["split_conditions"][i] = result["base_weights"][i]
    return result


def _regressor(document: Json, inner: Json, trees: list[Json]) -> Json:
    """Return a document like another, of some trees, whose score is the sum of these."""
    learner = {k: v for k, v in document["learner"].items() if k != "gradient_booster"}
    learner = copy.deepcopy(learner) | {
        "attributes": {},
        "feature_names": [],
        "objective": {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    parameters = learner["learner_model_param"]
    base_score = "[0E0]" if "[" in parameters["base_score"] else "0E0"
    parameters |= {"base_score": base_score, "num_class": "0", "num_target": "1"}
    size = {"num_parallel_tree": "1", "num_trees": str(len(trees))}
    model = {
        "trees": trees,
        "tree_info": [0] * len(trees),
        "iteration_indptr": list(range(len(trees) + 1)),
        "gbtree_model_param": size,
    }
    plain = {key: value for key, value in inner.items() if key != "weight_drop"}
    learner["gradient_booster"] = {"name": "gbtree", "model": plain | model}
    return {"version": document["version"], "learner": learner}


def _weigh(tree: Json, weight: float) -> None:
    """Multiply the leaves of a tree."""
    for i, left in enumerate(tree["left_children"]):
        if left < 0:
            tree["split_conditions"][i] *= weight
            tree["base_weights"][i] *= weight


def _base(model: Any, booster: Any, parts: list[Any], n_features: int) -> tuple[float, ...]:
    """Return what is added to each score: what a row has beside its trees."""
    xgboost = require("xgboost", extra="trees", what="a model of XGBoost")
    zeros = np.zeros((1, n_features), dtype=np.float32)
    types = booster.feature_types
    plain = xgboost.DMatrix(zeros, feature_types=types, enable_categorical=True)
    named = xgboost.DMatrix(
        zeros,
        feature_names=booster.feature_names,
        feature_types=types,
        enable_categorical=True,
    )
    stop = 0
    if model is not booster:
        stop = _n_rounds(model, json.loads(bytes(booster.save_raw("json"))))
    whole = booster.predict(named, output_margin=True, iteration_range=(0, stop)).reshape(-1)
    alone = [float(part.predict(plain)[0]) for part in parts]
    return tuple(float(a) - b for a, b in zip(whole, alone, strict=True))


def _classes(model: Any, booster: Any, objective: str, n_scores: int) -> Array | None:
    if model is not booster:
        if not hasattr(model, "predict_proba") or (n_scores > 1 and objective == "binary:logistic"):
            return None
        return np.asarray(model.classes_)
    if objective in {"multi:softprob", "multi:softmax"}:
        return np.arange(n_scores)
    single = objective in {"binary:logistic", "binary:hinge"} and n_scores == 1
    return np.arange(2) if single else None


def _linear(model: Any, booster: Any, document: Json) -> ModelProto:
    """Export a linear booster as the linear regression it is, with what is made of it behind."""
    n_features = int(document["learner"]["learner_model_param"]["num_feature"])
    objective = document["learner"]["objective"]["name"]
    skl2onnx = require("skl2onnx", extra="sklearn", what="a linear model of XGBoost")
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415
    from sklearn.linear_model import LinearRegression  # noqa: PLC0415

    weights = np.array(document["learner"]["gradient_booster"]["model"]["weights"])
    table = weights.reshape(n_features + 1, -1)
    parts = []
    for i in range(table.shape[1]):
        regressor = LinearRegression()
        regressor.coef_, regressor.intercept_ = table[:-1, i], 0.0
        regressor.n_features_in_ = n_features
        types = [("X", FloatTensorType([None, n_features]))]
        with quiet():
            parts.append(skl2onnx.convert_sklearn(regressor, "trees", types, target_opset=OPSET))
    xgboost = require("xgboost", extra="trees", what="a model of XGBoost")
    zeros = xgboost.DMatrix(
        np.zeros((1, n_features), dtype=np.float32), feature_names=booster.feature_names
    )
    head = Head(
        link=LINKS.get(objective, "Identity"),
        base=tuple(map(float, booster.predict(zeros, output_margin=True).reshape(-1))),
        classes=_classes(model, booster, objective, len(parts)),
        missing_is_zero=True,
    )
    return assemble(parts, head, n_features)
