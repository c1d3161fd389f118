"""Which method of a scikit-learn estimator each output of its ONNX model is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot.adapter import compare, default_tolerance
from onnxroot_adapters._sklearn_inputs import Signature

__all__ = ["call", "in_shape", "meanings"]

Array = npt.NDArray[Any]

OTHERS = ("predict_proba", "decision_function", "score_samples", "transform")
"""What further outputs may be, in this order."""


def call(estimator: Any, method: str, signature: Signature, inputs: Mapping[str, Array]) -> Any:
    """Call a method of an estimator with the inputs of its ONNX model."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return getattr(estimator, method)(_table(signature, inputs))


def _table(signature: Signature, inputs: Mapping[str, Array]) -> Any:
    """Return the inputs of the ONNX model as what the estimator was fitted on.

    Numbers as 64-bit ones: some estimators do not take others.
    """
    inputs = {
        name: values.astype(np.float64) if values.dtype.kind == "f" else values
        for name, values in inputs.items()
    }
    if signature.flat:
        (values,) = inputs.values()
        return values[:, 0]
    if signature.by_column:
        columns = {name: values[:, 0] for name, values in inputs.items()}
        if not signature.names:
            return np.array(list(columns.values()), dtype=object).T
        import pandas as pd  # noqa: PLC0415  (whoever fitted on a data frame has it)

        frame = pd.DataFrame(columns)
        for name in signature.names:
            if name not in frame:
                frame[name] = np.nan  # a column that is dropped
        return frame[list(signature.names)]
    (values,) = inputs.values()
    return values


def meanings(
    estimator: Any,
    signature: Signature,
    inputs: Mapping[str, Array],
    found: Mapping[str, Array],
) -> dict[str, str]:
    """Say which method each output is: the first that gives the same, or the first of its shape.

    The first output is `predict` of what can predict, and `transform` of what can't: an exporter
    that gives something else has not exported the estimator. Scores that the estimator itself does
    not have, such as the votes of a hard VotingClassifier, are left out.

    Args:
        estimator: The estimator.
        signature: Its inputs.
        inputs: Some rows.
        found: What the ONNX model makes of them.
    """
    methods = [name for name in OTHERS if hasattr(estimator, name)]
    if hasattr(estimator, "predict"):
        first, others = ["predict"], methods
    else:
        first, others = ["transform"], [name for name in methods if name != "transform"]
    result: dict[str, str] = {}
    scored = bool({"predict_proba", "decision_function"} & set(methods))
    for i, (name, value) in enumerate(found.items()):
        if i and (not others or (name == "probabilities" and not scored)):
            continue
        candidates = first if i == 0 else others
        same = (m for m in candidates if _agrees(estimator, m, signature, inputs, value))
        result[name] = next(same, candidates[0] if candidates else first[0])
        others = [method for method in others if method != result[name]]
    return result


def _agrees(
    estimator: Any, method: str, signature: Signature, inputs: Mapping[str, Array], found: Array
) -> bool:
    try:
        expected = in_shape(call(estimator, method, signature, inputs), found.shape)
    except Exception:  # noqa: BLE001  (any estimator's own)
        return False
    tolerance = max(default_tolerance(found.dtype), 1e-3 if found.dtype.kind == "f" else 0.0)
    return compare(method, found, expected, tolerance) is None


def in_shape(value: Any, shape: Sequence[int]) -> Array:
    """Return what a method gave as an array in the shape that ONNX gives it.

    A column for a list, both signs for the one score of two classes, one array for a list of them.
    """
    if hasattr(value, "toarray"):
        value = value.toarray()
    array = _stacked(value) if isinstance(value, list) else np.asarray(value)
    if array.dtype.kind in "US":
        array = array.astype(object)
    if array.ndim == 1 and len(shape) == 2 and shape[1] == 2:
        return np.stack([-array, array], axis=1)
    if array.ndim == 1 and len(shape) == 2:
        return array.reshape(-1, 1)
    if array.ndim == 2 and array.shape[1] == 1 and len(shape) == 1:
        return array.reshape(-1)
    return array


def _stacked(arrays: list[Array]) -> Array:
    """Return the probabilities of each of many labels as one array, 0 for classes a label lacks."""
    most = max(array.shape[1] for array in arrays)
    return np.stack([np.pad(a, ((0, 0), (0, most - a.shape[1]))) for a in arrays])
