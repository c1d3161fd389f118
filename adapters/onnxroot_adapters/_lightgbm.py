"""LightGBM: how onnxmltools exports its models, and what helps where it can't."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._lightgbm_file import check_lightgbm
from onnxroot_adapters._require import require
from onnxroot_adapters._sklearn_inputs import Column
from onnxroot_adapters._tree_parts import Head, assemble
from onnxroot_adapters._tree_subject import OPSET, Step, Subject, quiet

__all__ = ["load", "subject"]

Array = npt.NDArray[Any]

LINKS = {
    "binary": "Sigmoid",
    "multiclassova": "Sigmoid",
    "multiclass": "Softmax",
    "cross_entropy": "Sigmoid",
    "xentropy": "Sigmoid",
    "cross_entropy_lambda": "Softplus",
    "poisson": "Exp",
    "gamma": "Exp",
    "tweedie": "Exp",
}

ZERO = np.float32(1e-35)
"""LightGBM's kZeroThreshold."""


def load(path: str) -> Any:
    """Open a text file of LightGBM as a booster.

    Raises:
        FormatError: It contradicts itself.
    """
    lightgbm = require("lightgbm", extra="trees", what="a model of LightGBM")
    data = Path(path).read_bytes()
    check_lightgbm(data, path)
    return lightgbm.Booster(model_str=data.decode("utf-8"))


def subject(model: Any) -> Subject:
    """Return how to export a booster or an estimator, and what it gives.

    Raises:
        UnsupportedModelError: Its kind of trees can't be had in ONNX.
    """
    booster = model.booster_ if hasattr(model, "booster_") else model
    text = booster.model_to_string()
    if "\nis_linear=1" in text:
        raise UnsupportedModelError(
            "LightGBM's trees with linear models in their leaves (linear_tree=True) have no "
            "counterpart in ONNX, and the exporter leaves the linear parts out: train with "
            "linear_tree=False"
        )
    objective = _objective(text)
    return Subject(
        columns=_columns(booster),
        names=tuple(booster.feature_name()),
        kind=f"lightgbm.{type(model).__name__} of {objective}",
        steps=_steps(model, booster, text),
        predict=_predictor(model, booster, objective),
    )


def _objective(text: str) -> str:
    found = re.search(r"^objective=(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _columns(booster: Any) -> list[Column]:
    dump = booster.dump_model()
    columns = [Column(name) for name in booster.feature_name()]
    waiting = [tree["tree_structure"] for tree in dump["tree_info"]]
    while waiting:
        node = waiting.pop()
        if "split_feature" not in node:
            continue
        waiting += [node["left_child"], node["right_child"]]
        column = columns[node["split_feature"]]
        if node["decision_type"] == "==":
            codes = [float(code) for code in str(node["threshold"]).split("||")]
            column.closed = True
            column.pool = [np.unique([*np.concatenate([*column.pool, codes]), max(codes) + 1.0])]
        else:
            column.pool.append(np.array([node["threshold"]]))
    return columns


def _predictor(model: Any, booster: Any, objective: str) -> Any:
    kind = objective.partition(" ")[0]

    def predict(values: Array) -> dict[str, Array]:
        values = values.astype(np.float64)
        if hasattr(model, "predict_proba"):
            with quiet():
                label = np.asarray(model._le.inverse_transform(_best(booster, values)))  # noqa: SLF001
                return {"label": label, "probabilities": _both(booster.predict(values))}
        found = booster.predict(values)
        if kind in {"binary", "multiclass", "multiclassova"}:
            return {"label": _best(booster, values), "probabilities": _both(found)}
        return {"variable": found.reshape(len(values), -1)}

    return predict


def _both(found: Array) -> Array:
    return found if found.ndim == 2 else np.stack([1 - found, found], axis=1)


def _best(booster: Any, values: Array) -> Array:
    return np.asarray(_both(booster.predict(values)).argmax(axis=1))


# --- how to export it ----------------------------------------------------------------------------


def _steps(model: Any, booster: Any, text: str) -> Iterator[Step]:
    thresholds = _thresholds(booster)
    n_features = booster.num_feature()
    averaged = "\naverage_output" in text
    if not averaged:  # the exporter takes the sum for the average
        yield Step(
            "with rounded thresholds",
            lambda: _rounded(_export(model, n_features), thresholds),
        )
    yield Step("score by score", lambda: _by_score(model, booster, text, link=True))
    if averaged:
        yield Step("score by score, no link", lambda: _by_score(model, booster, text, link=False))


def _export(model: Any, n_features: int) -> ModelProto:
    onnxmltools = require("onnxmltools", extra="trees", what="the export of a model of LightGBM")
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415

    with quiet():
        exported: ModelProto = onnxmltools.convert_lightgbm(
            model,
            name="trees",
            initial_types=[("X", FloatTensorType([None, n_features]))],
            target_opset=OPSET,
            zipmap=False,
        )
    return exported


def _thresholds(booster: Any) -> list[tuple[int, float, str]]:
    """Return feature, threshold and kind of missing values of all splits by numbers."""
    found = []
    waiting = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    while waiting:
        node = waiting.pop()
        if "split_feature" in node:
            waiting += [node["left_child"], node["right_child"]]
            if node["decision_type"] == "<=":
                found.append(
                    (
                        int(node["split_feature"]),
                        float(node["threshold"]),
                        str(node["missing_type"]),
                    )
                )
    return found


def _rounded(model: ModelProto, splits: list[tuple[int, float, str]]) -> ModelProto:
    """Round thresholds down to float32: rows of float32 then take the branch of the exact ones.

    The exporter rounds to the nearest. Also, a missing value counts as 0 where no value was missing
    in training, and takes the branch of 0.
    """
    down: dict[tuple[int, float], tuple[float, int | None]] = {}
    for feature, threshold, missing in splits:
        nearest = np.float32(threshold)
        floor = nearest
        if -ZERO <= nearest < 0:  # LightGBM takes what is as small as that for 0
            floor = np.nextafter(-ZERO, np.float32(-np.inf))
        elif float(nearest) > threshold:
            floor = np.nextafter(nearest, np.float32(-np.inf))
        left = int(threshold >= 0.0) if missing == "None" else None
        down[feature, float(nearest)] = (float(floor), left)
    result = ModelProto()
    result.CopyFrom(model)
    for node in result.graph.node:
        if not node.op_type.startswith("TreeEnsemble"):
            continue
        attributes = {attribute.name: attribute for attribute in node.attribute}
        values = attributes["nodes_values"].floats
        tracks = attributes["nodes_missing_value_tracks_true"].ints
        modes = attributes["nodes_modes"].strings
        for i, feature in enumerate(attributes["nodes_featureids"].ints):
            known = down.get((feature, values[i])) if modes[i] == b"BRANCH_LEQ" else None
            if known:
                values[i] = known[0]
                tracks[i] = tracks[i] if known[1] is None else known[1]
    return result


def _by_score(model: Any, booster: Any, text: str, *, link: bool) -> ModelProto:
    """Export a regressor for each score, and put them together."""
    lightgbm = require("lightgbm", extra="trees", what="a model of LightGBM")
    objective = _objective(text)
    kind, *words = objective.split(" ") if objective else [""]
    parts = []
    n_trees = 0
    for part in _split(text):
        n_trees = part.count("\nTree=")
        one = lightgbm.Booster(model_str=part)
        exported = _export(one, booster.num_feature())
        parts.append(_rounded(exported, _thresholds(one)))
    sigmoid = next((float(w[8:]) for w in words if w.startswith("sigmoid:")), 1.0)
    name = LINKS.get(kind, "SignedSquare" if "sqrt" in words else "Identity")
    head = Head(
        link=name if link else "Identity",
        base=(0.0,) * len(parts),
        scale=sigmoid / (n_trees if "\naverage_output" in text else 1.0),
        classes=_classes(model, kind, len(parts)),
        missing=0.0 if any(split[2] == "Zero" for split in _thresholds(booster)) else None,
        missing_width=float(ZERO),
    )
    return assemble(parts, head, booster.num_feature())


def _split(text: str) -> Iterator[str]:
    """Yield the text of a plain regressor for each score."""
    header, *trees = text.partition("\nend of trees")[0].split("\nTree=")
    number = re.search(r"^num_tree_per_iteration=(\d+)$", header, re.MULTILINE)
    n_scores = int(number[1]) if number else 1
    header = re.sub(r"^num_class=.*$", "num_class=1", header, flags=re.MULTILINE)
    header = re.sub(
        r"^num_tree_per_iteration=.*$", "num_tree_per_iteration=1", header, flags=re.MULTILINE
    )
    header = re.sub(r"^objective=.*$", "objective=regression", header, flags=re.MULTILINE)
    if "\nobjective=" not in header:
        header = header.replace("\nmax_feature_idx=", "\nobjective=regression\nmax_feature_idx=")
    header = re.sub(r"^(average_output|tree_sizes=.*)\n?", "", header, flags=re.MULTILINE)
    for score in range(n_scores):
        own = [tree.partition("\n")[2] for tree in trees[score::n_scores]]
        body = "".join(f"\nTree={i}\n{tree}" for i, tree in enumerate(own))
        yield f"{header.rstrip()}\n{body}\nend of trees\n\npandas_categorical:null\n"


def _classes(model: Any, kind: str, n_scores: int) -> Array | None:
    if hasattr(model, "classes_"):
        return np.asarray(model.classes_)
    if kind == "binary":
        return np.arange(2)
    return np.arange(n_scores) if kind in {"multiclass", "multiclassova"} else None
