"""Files of XGBoost, looked at before it opens them: it believes most of what they count."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot.errors import FormatError
from onnxroot_adapters._ubjson import parse_ubjson

__all__ = ["check_xgboost"]

_NOBODY = (-1, (1 << 31) - 1)  # the root's parent

Json = Mapping[str, Any]
Ints = npt.NDArray[np.int64]

_MOST = 1 << 16  # features, scores and categories that may always be; more take a longer file


def check_xgboost(data: bytes, where: str) -> None:
    """Check what a file, JSON or UBJSON, says of its trees; others are left to XGBoost.

    Args:
        data: The file.
        where: Its name, for messages.

    Raises:
        FormatError: Numbers are out of range, lists are too short, or trees are none.
    """
    if data.lstrip()[:1] != b"{":
        return
    try:
        if data[1:2] in b"LiUIl":
            document = parse_ubjson(data)
        else:
            document = json.loads(data, object_pairs_hook=_once)
        _check(document["learner"], max(_MOST, len(data)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise FormatError(f"{where}: not what XGBoost writes: {what}") from error


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _check(learner: Json, most: int) -> None:
    parameters = learner["learner_model_param"]
    n_features = _number(parameters, "num_feature", most)
    n_scores = max(
        _number(parameters, name, most)
        for name in ("num_class", "num_target")
        if name in parameters
    )
    machine = learner["gradient_booster"]
    drop = machine.get("weight_drop")
    machine = machine.get("gbtree", machine)
    if "trees" not in machine["model"]:  # a linear model
        n_weights = (n_features + 1) * max(n_scores, 1)
        _of_length("weights", machine["model"]["weights"], n_weights)
        return
    model = machine["model"]
    n_trees = len(model["trees"])
    _within("tree_info", _integers(model["tree_info"], n_trees), max(n_scores, 1))
    rounds = _integers(model.get("iteration_indptr", [0, n_trees]))
    if not rounds.size or rounds[0] or rounds[-1] != n_trees or np.any(np.diff(rounds) < 0):
        raise ValueError(f"iteration_indptr is no list from 0 to {n_trees}")
    for weights in (drop, model.get("weight_drop")):
        if weights is not None:
            _of_length("weight_drop", weights, n_trees)
    for number, tree in enumerate(model["trees"]):
        try:
            _check_tree(tree, n_features, most)
        except (ValueError, TypeError) as error:  # noqa: PERF203  (it costs nothing beside)
            raise ValueError(f"tree {number}: {error}") from error


def _number(texts: Json, name: str, most: int) -> int:
    value = int(texts[name])
    if not 0 <= value <= most:
        raise ValueError(f"{name} is {value}, expected {most} at most")
    return value


def _check_tree(tree: Json, n_features: int, most: int) -> None:
    n_nodes = len(tree["left_children"])
    if not n_nodes:
        raise ValueError("has no nodes")
    children = np.stack([_integers(tree[f"{s}_children"], n_nodes) for s in ("left", "right")])
    inner = children[0] >= 0
    below = children[:, inner].ravel()
    if np.any(children[:, ~inner] != -1) or len(np.unique(below)) < len(below):
        raise ValueError("a node has one child, or two parents")
    _within("children", below - 1, n_nodes - 1)  # the root is nobody's child
    parents = _integers(tree["parents"], n_nodes)
    if parents[0] not in _NOBODY or np.any(parents[children[:, inner]] != np.flatnonzero(inner)):
        raise ValueError("parents are not those of the children")
    _within("split_indices", _integers(tree["split_indices"], n_nodes)[inner], n_features)
    for name in ("split_conditions", "default_left"):
        _of_length(name, tree[name], n_nodes)
    n_values = int(tree["tree_param"].get("size_leaf_vector", 1))
    if n_values > 1:
        _of_length("base_weights", tree["base_weights"], n_nodes * n_values)
    elif n_values < 0:
        raise ValueError(f"size_leaf_vector is {n_values}")
    coded = inner & (_integers(tree.get("split_type", np.zeros(n_nodes)), n_nodes) != 0)
    _check_categories(tree, coded, most)


def _check_categories(tree: Json, coded: npt.NDArray[np.bool_], most: int) -> None:
    """Check that each node that splits by categories has some, and no other."""
    nodes = _integers(tree.get("categories_nodes", ()))
    starts = _integers(tree.get("categories_segments", ()), len(nodes))
    sizes = _integers(tree.get("categories_sizes", ()), len(nodes))
    categories = _integers(tree.get("categories", ()))
    if not np.array_equal(np.sort(nodes), np.flatnonzero(coded)):
        raise ValueError("categories_nodes are not those that split by categories")
    _within("categories", categories, most)
    _within("categories_segments", starts, len(categories) + 1)
    _within("categories_sizes", sizes, len(categories) + 1)
    _within("categories_segments", starts + sizes, len(categories) + 1)


def _integers(values: Any, n: int | None = None) -> Ints:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iub" and np.any(array != np.floor(array)):
        raise ValueError(f"{str(values)[:40]} are no integers")
    if n is not None:
        _of_length(str(values)[:40], array, n)
    return array.astype(np.int64)


def _of_length(name: str, values: Any, n: int) -> None:
    if np.ndim(values) != 1 or len(values) != n:
        raise ValueError(f"{name} is no list of {n}")


def _within(name: str, numbers: Ints, end: int) -> None:
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < end:
        raise ValueError(
            f"{name} reach from {numbers.min()} to {numbers.max()}, expected 0 to {end}"
        )
