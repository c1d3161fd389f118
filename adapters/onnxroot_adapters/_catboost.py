"""CatBoost's models: its own export to ONNX, and what that leaves out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto, helper

from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._append import append
from onnxroot_adapters._require import require
from onnxroot_adapters._sklearn_inputs import Column
from onnxroot_adapters._tree_parts import without_zipmap
from onnxroot_adapters._tree_subject import Step, Subject, quiet

__all__ = ["load", "subject"]

Array = npt.NDArray[Any]

LARGE = 1e30
"""Borders beyond are for missing values."""

EXPONENTIAL = {"Poisson", "Tweedie", "LogLinQuantile", "Cox"}


def load(path: str) -> Any:
    """Open a ``.cbm`` file."""
    catboost = require("catboost", extra="trees", what="a model of CatBoost")
    return catboost.CatBoost().load_model(path)


def subject(model: Any) -> Subject:
    """Return how to export a model, and what it gives.

    Raises:
        UnsupportedModelError: CatBoost can't export it.
    """
    if model.get_cat_feature_indices():
        raise UnsupportedModelError(
            "CatBoost exports no model with categorical features to ONNX: train with numbers, such "
            "as one-hot codes, in their place"
        )
    parameters = model.get_all_params()
    if parameters.get("grow_policy", "SymmetricTree") != "SymmetricTree":
        raise UnsupportedModelError(
            "CatBoost exports only symmetric trees to ONNX, and these were grown with grow_policy="
            f"'{parameters['grow_policy']}': train with grow_policy='SymmetricTree'"
        )
    loss = str(parameters.get("loss_function", "")).partition(":")[0]
    names = tuple(map(str, model.feature_names_ or ()))
    classes = np.asarray(model.classes_)
    return Subject(
        columns=_columns(model, len(names)),
        names=names if any(name != str(i) for i, name in enumerate(names)) else (),
        kind=f"catboost.{type(model).__name__} of {loss}",
        steps=_steps(model, loss),
        predict=_predictor(model, loss, classes),
    )


def _columns(model: Any, n_features: int) -> list[Column]:
    columns = [Column(f"x{i}") for i in range(n_features)]
    for i, borders in model.get_borders().items():
        found = np.asarray(borders, dtype=np.float64)
        columns[i].pool.append(found[np.abs(found) < LARGE])
    return columns


def _predictor(model: Any, loss: str, classes: Array) -> Any:
    def predict(values: Array) -> dict[str, Array]:
        if len(classes):
            label = np.asarray(model.predict(values, prediction_type="Class"))
            scores = np.asarray(model.predict(values, prediction_type="Probability"))
            return {"label": label.reshape(len(values), -1)[:, 0], "probabilities": scores}
        if loss in EXPONENTIAL:
            found = np.asarray(model.predict(values, prediction_type="Exponent"))
        else:
            found = np.asarray(model.predict(values))  # a ranker knows no types
        return {"variable": found.reshape(len(values), -1)}

    return predict


def _steps(model: Any, loss: str) -> Iterator[Step]:
    if loss in EXPONENTIAL:
        yield Step("exponential", lambda: append(_export(model), "variable", "Exp"))
    elif loss.startswith("Multi") and not len(model.classes_):
        yield Step("as a regressor", lambda: _regressor(_export(model)))
    elif loss == "MultiClassOneVsAll":
        yield Step("logistic", lambda: _logistic(_export(model)))
    else:
        yield Step("as it is", lambda: _export(model))


def _logistic(model: ModelProto) -> ModelProto:
    """Give each class a probability of its own: CatBoost's export makes them add up to 1."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "post_transform":
                attribute.s = b"LOGISTIC"
    return model


def _regressor(model: ModelProto) -> ModelProto:
    """Give back the scores of many targets: CatBoost exports a classifier of no classes."""
    (node,) = (node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kept = {
        name.replace("class_", "target_"): value
        for name, value in attributes.items()
        if not name.startswith("classlabels") and name != "post_transform"
    }
    n_targets = max(kept["target_ids"]) + 1
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    del result.graph.output[:]
    result.graph.node.append(
        helper.make_node(
            "TreeEnsembleRegressor",
            list(node.input),
            ["variable"],
            domain="ai.onnx.ml",
            n_targets=n_targets,
            **kept,
        )
    )
    result.graph.output.append(
        helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, n_targets])
    )
    return result


def _export(model: Any) -> ModelProto:
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder, "model.onnx")
        model.save_model(str(path), format="onnx", export_parameters={"onnx_graph_name": "trees"})
        exported = onnx.load(path)
    result = without_zipmap(exported)
    for node in result.graph.node:
        node.input[:] = ["X" if name == "features" else name for name in node.input]
        node.output[:] = ["variable" if name == "predictions" else name for name in node.output]
    for value in (*result.graph.input, *result.graph.output):
        value.name = {"features": "X", "predictions": "variable"}.get(value.name, value.name)
        if value.name == "variable":  # of many targets, it has no shape
            value.CopyFrom(
                helper.make_tensor_value_info("variable", TensorProto.FLOAT, [None, None])
            )
    return result
