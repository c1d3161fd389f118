"""One attempt to export a scikit-learn estimator with skl2onnx."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from onnx import ModelProto

from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._bools import integers_for_bools
from onnxroot_adapters._errors import type_and_text
from onnxroot_adapters._forests import count_votes
from onnxroot_adapters._require import require
from onnxroot_adapters._sklearn_functions import numpy_functions
from onnxroot_adapters._sklearn_inputs import SINGLE, Signature

__all__ = ["GRAPH_NAME", "Attempt", "NoConverterError", "export", "inner_estimators"]

GRAPH_NAME = "sklearn"

_LOCK = threading.Lock()  # skl2onnx is changed for the time of an export


class NoConverterError(UnsupportedModelError):
    """skl2onnx does not know an estimator: other choices won't help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What may be chosen in an export.

    Attributes:
        dtype: ``f4`` or ``f8``, the type of numbers at the inputs.
        division: How StandardScaler and others divide: an option of skl2onnx.
        opset_ml: Version of the operator set ``ai.onnx.ml``; None for the exporter's choice.
        counted: The votes of a forest are added up before they are divided by their number, as
            scikit-learn does: a tie is a tie then, and the first class wins it.
    """

    dtype: str
    division: str = "div"
    opset_ml: int | None = None
    counted: bool = False

    def __str__(self) -> str:
        """Name it in a message."""
        parts = [{"f4": "float32", "f8": "float64"}[self.dtype]]
        if self.division != "div":
            parts.append(self.division)
        if self.opset_ml is not None:
            parts.append(f"ai.onnx.ml {self.opset_ml}")
        if self.counted:
            parts.append("votes counted")
        return ", ".join(parts)


def export(estimator: Any, signature: Signature, attempt: Attempt, opset: int | None) -> ModelProto:
    """Export an estimator.

    Raises:
        UnsupportedModelError: skl2onnx can't.
        MissingDependencyError: It is not installed.
    """
    skl2onnx = require("skl2onnx", extra="sklearn", what="the export of a scikit-learn model")
    _register_trees(estimator)
    types = _initial_types(signature, attempt)
    target: dict[str, int] | None = None
    if opset is not None or attempt.opset_ml is not None:
        target = {"": opset or skl2onnx.get_latest_tested_opset_version()}
        target["ai.onnx.ml"] = attempt.opset_ml or 3
    chosen = _options(estimator, attempt)
    forests: set[str] = set()
    try:
        with _LOCK, warnings.catch_warnings(), _cures(forests if attempt.counted else None):
            warnings.simplefilter("ignore")
            model: ModelProto = skl2onnx.convert_sklearn(
                estimator,
                name=GRAPH_NAME,
                initial_types=types,
                options=chosen,
                target_opset=target,
            )
    except Exception as error:
        raise _refusal(estimator, error) from error
    return count_votes(model, forests)


def _refusal(estimator: Any, error: Exception) -> UnsupportedModelError:
    """Say in one line why skl2onnx failed, and what can be done."""
    name = type(error).__name__
    text = type_and_text(error)
    if name in {"MissingShapeCalculator", "MissingConverter"} or "find alias" in text:
        known = [type(e).__name__ for e in inner_estimators(estimator) if _alias(e) is None]
        what = ", ".join(dict.fromkeys(known)) or type(estimator).__name__
        return NoConverterError(
            f"skl2onnx has no converter for {what}: replace it by one that has, or leave it out of "
            "the pipeline and do its work before; `skl2onnx.supported_converters()` lists those "
            "that have"
        )
    return UnsupportedModelError(f"skl2onnx can't export the {type(estimator).__name__}: {text}")


def _alias(estimator: Any) -> str | None:
    from skl2onnx._supported_operators import (  # noqa: PLC0415  (an extra)
        sklearn_operator_name_map,
    )

    if type(estimator).__name__ == "Pipeline" or type(estimator) in sklearn_operator_name_map:
        return str(sklearn_operator_name_map.get(type(estimator), "Pipeline"))
    names = {kind.__name__ for kind in sklearn_operator_name_map if kind is not None}
    container = type(estimator).__name__ in {"ColumnTransformer", "FeatureUnion"}
    return type(estimator).__name__ if container or type(estimator).__name__ in names else None


def inner_estimators(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and all that it holds, each once."""
    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, (list, tuple)):
            waiting.extend(item)
        elif isinstance(item, np.ndarray) and item.dtype == object:
            waiting.extend(item.ravel().tolist())
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif hasattr(item, "get_params") and not isinstance(item, type):
            yield item
            waiting.extend(vars(item).values())
        elif type(item).__module__.startswith("sklearn.") and hasattr(item, "estimators"):
            waiting.extend(vars(item).values())  # parts of CalibratedClassifierCV


# --- what skl2onnx is told -----------------------------------------------------------------------


def _initial_types(signature: Signature, attempt: Attempt) -> list[tuple[str, Any]]:
    from skl2onnx.common import data_types as types  # noqa: PLC0415  (an extra)

    numbers = types.FloatTensorType if attempt.dtype == "f4" else types.DoubleTensorType
    by_kind = {"f": numbers, "i": types.Int64TensorType, "O": types.StringTensorType}
    columns = signature.columns
    if signature.by_column:
        return [(column.name, by_kind[column.kind]([None, 1])) for column in columns]
    return [(SINGLE, by_kind[columns[0].kind]([None, len(columns)]))]


def _options(estimator: Any, attempt: Attempt) -> dict[int, dict[str, Any]]:
    """Return options of skl2onnx for each estimator that knows them."""
    from skl2onnx._supported_operators import sklearn_operator_name_map  # noqa: PLC0415
    from skl2onnx.common._registration import get_converter  # noqa: PLC0415

    result: dict[int, dict[str, Any]] = {}
    for inner in inner_estimators(estimator):
        if hasattr(inner, "steps"):
            continue  # skl2onnx hands the options of a pipeline to its last step, known or not
        alias = sklearn_operator_name_map.get(type(inner))
        try:
            allowed = get_converter(alias).get_allowed_options() or {}
        except ValueError:  # it has none, which the export will say
            continue
        chosen: dict[str, Any] = {}
        if "zipmap" in allowed:
            chosen["zipmap"] = False
        if "div" in allowed:
            chosen["div"] = attempt.division
        if "locale" in allowed:
            chosen["locale"] = "C"  # the exporter's choice, en_US, is not on every machine
        if "raw_scores" in allowed and inner is not estimator:
            chosen["raw_scores"] = False
        if "raw_scores" in allowed and not hasattr(inner, "predict_proba"):
            chosen["raw_scores"] = True
        if chosen:
            result[id(inner)] = chosen
    return result


def _register_trees(estimator: Any) -> None:
    """Make known to skl2onnx the estimators of XGBoost, LightGBM and CatBoost that are in it."""
    found = {type(e).__module__.partition(".")[0] for e in inner_estimators(estimator)}
    if found & {"xgboost", "lightgbm", "catboost"}:
        from onnxroot_adapters._trees_register import register  # noqa: PLC0415  (heavy)

        register(found)


# --- cures ---------------------------------------------------------------------------------------


@contextmanager
def _cures(forests: set[str] | None) -> Iterator[None]:
    """Make skl2onnx write the branch that missing values take in trees, and round as it should.

    It rounds thresholds of HistGradientBoosting to float32 up as well as down. Of other trees it
    writes no branch for missing values, which scikit-learn has had since 1.3.

    Args:
        forests: If given, the trees of forests weigh 1 each, and the names of their nodes are
            added to it.
    """
    import sys  # noqa: PLC0415

    from skl2onnx.common import tree_ensemble  # noqa: PLC0415  (an extra)

    key = "nodes_missing_value_tracks_true"
    hist = tree_ensemble.add_tree_to_attribute_pairs_hist_gradient_boosting
    plain = tree_ensemble.add_tree_to_attribute_pairs

    def with_rounding(
        attr_pairs: dict[str, Any], *args: Any, dtype: Any = None, **kwargs: Any
    ) -> None:
        rounds_down = dtype == np.float32  # the last of the positional arguments
        hist(attr_pairs, *args[:-1], rounds_down, dtype=dtype, **kwargs)

    def with_missing(
        attr_pairs: dict[str, Any],
        is_classifier: bool,
        tree: Any,
        tree_id: int,
        tree_weight: float,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if forests is not None and is_classifier and args[1] and "name" in attr_pairs:
            tree_weight = 1.0
            forests.add(str(attr_pairs["name"]))
        plain(attr_pairs, is_classifier, tree, tree_id, tree_weight, *args, **kwargs)
        nodes = tree.__getstate__()["nodes"]
        if "missing_go_to_left" in (nodes.dtype.names or ()):
            left = (nodes["missing_go_to_left"] != 0) & (nodes["left_child"] >= 0)
            attr_pairs[key][-tree.node_count :] = [int(value) for value in left]

    replaced: dict[str, Callable[..., None]] = {
        hist.__name__: with_rounding,
        plain.__name__: with_missing,
    }
    with integers_for_bools(), numpy_functions(), ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("skl2onnx."):
                for function, cured in replaced.items():
                    if function in vars(module):
                        stack.enter_context(mock.patch.object(module, function, cured))
        yield
