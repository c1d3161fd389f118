"""Text files of LightGBM, looked at before it opens them: it believes what they count."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from onnxroot.errors import FormatError

__all__ = ["check_lightgbm"]

Ints = npt.NDArray[np.int64]
Lines = Mapping[str, str]


def check_lightgbm(data: bytes, where: str) -> None:
    """Check what a file says of its trees.

    Args:
        data: The file.
        where: Its name, for messages.

    Raises:
        FormatError: Numbers are out of range, lists are too short, or trees are none.
    """
    try:
        _check(data)
    except (ValueError, KeyError, OverflowError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise FormatError(f"{where}: not what LightGBM writes: {what}") from error


def _check(data: bytes) -> None:
    starts = [found.start() + 1 for found in re.finditer(rb"\nTree=", data)]
    end = data.find(b"\nend of trees") + 1
    if not end or any(start > end for start in starts):
        raise ValueError("the end of trees is missing")
    header = _lines(data[: starts[0] if starts else end])
    if "tree_sizes" in header:
        sizes = np.diff([*starts, end]) if starts else np.zeros(0)
        if not np.array_equal(_integers(header, "tree_sizes"), sizes):
            raise ValueError("tree_sizes are not those of the trees")
    n_scores, n_classes = (int(header[name]) for name in ("num_tree_per_iteration", "num_class"))
    if not 1 <= n_scores <= max(1, len(starts)) or not 1 <= n_classes <= n_scores:
        raise ValueError(f"{n_classes} classes and {n_scores} scores of {len(starts)} trees")
    n_features = len(header["feature_names"].split())
    if int(header["max_feature_idx"]) != n_features - 1:
        raise ValueError(f"max_feature_idx is {header['max_feature_idx']} of {n_features} features")
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], end], strict=True)):
        try:
            _check_tree(_lines(data[start:stop]), n_features)
        except (ValueError, OverflowError) as error:  # noqa: PERF203  (it costs nothing beside)
            raise ValueError(f"tree {number}: {error}") from error


def _lines(text: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.decode("utf-8").splitlines():
        key, mark, value = line.strip().partition("=")
        if mark and key in found:
            raise ValueError(f"{key[:40]!r} is there twice")
        found[key] = value
    return found


def _check_tree(tree: Lines, n_features: int) -> None:
    n_leaves, n_inner = int(tree["num_leaves"]), int(tree["num_leaves"]) - 1
    _of_length("leaf_value", np.array(tree["leaf_value"].split()), max(n_leaves, 1))
    if n_leaves < 1:
        raise ValueError(f"num_leaves is {n_leaves}")
    for name in ("leaf_weight", "leaf_count"):
        if tree.get(name):
            _of_length(name, np.array(tree[name].split()), n_leaves)
    for name in ("split_gain", "internal_value", "internal_weight", "internal_count"):
        if tree.get(name):
            _of_length(name, np.array(tree[name].split()), n_inner)
    if int(tree.get("is_linear") or 0):
        _check_linear(tree, n_leaves, n_features)
    if not n_inner:
        return
    features, kinds = (
        _integers(tree, name, n_inner) for name in ("split_feature", "decision_type")
    )
    _within("split_feature", features, n_features)
    _check_categories(tree, kinds & 1 != 0)
    children = np.concatenate([_integers(tree, f"{s}_child", n_inner) for s in ("left", "right")])
    # Inner nodes are numbered from 0, the root; leaves from -1 on downwards.
    if not np.array_equal(np.sort(children), np.r_[-n_leaves:0, 1:n_inner]):
        raise ValueError("left_child and right_child are no tree")


def _check_categories(tree: Lines, coded: npt.NDArray[np.bool_]) -> None:
    """Check that each split by categories has a set of them, in words of 32 bits."""
    n_sets = int(tree.get("num_cat") or 0)
    thresholds = np.array(tree["threshold"].split(), np.float64)
    _of_length("threshold", thresholds, len(coded))
    if n_sets:
        bounds = _integers(tree, "cat_boundaries", n_sets + 1)
        n_words = len(tree["cat_threshold"].split())
        if bounds[0] or np.any(np.diff(bounds) < 0) or bounds[-1] != n_words:
            raise ValueError(f"cat_boundaries are no list from 0 to {n_words}")
    if not np.all((thresholds[coded] >= 0) & (thresholds[coded] < n_sets)):
        raise ValueError(f"threshold names other than {n_sets} sets of categories")


def _check_linear(tree: Lines, n_leaves: int, n_features: int) -> None:
    """Check the linear models in leaves."""
    _of_length("leaf_const", np.array(tree["leaf_const"].split()), n_leaves)
    n_terms = _integers(tree, "num_features", n_leaves)
    if n_terms.min() < 0:
        raise ValueError("num_features is negative")
    _within("leaf_features", _integers(tree, "leaf_features", int(n_terms.sum())), n_features)
    _of_length("leaf_coeff", np.array(tree["leaf_coeff"].split()), int(n_terms.sum()))


def _integers(lines: Lines, name: str, n: int | None = None) -> Ints:
    found = np.array(lines[name].split(), np.int64)
    if n is not None:
        _of_length(name, found, n)
    return found


def _of_length(name: str, values: npt.NDArray[np.generic], n: int) -> None:
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} numbers, expected {n}")


def _within(name: str, numbers: Ints, end: int) -> None:
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < end:
        raise ValueError(
            f"{name} reach from {numbers.min()} to {numbers.max()}, expected 0 to {end}"
        )
