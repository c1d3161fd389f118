"""Files of XGBoost and LightGBM that lie about what they count: refused before these believe it."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from onnxroot.errors import FormatError
from onnxroot_adapters._lightgbm_file import check_lightgbm
from onnxroot_adapters._ubjson import parse_ubjson
from onnxroot_adapters._xgboost_file import check_xgboost
from tests.golden import golden

MODELS = golden("mlp_jet_tagger").parents[1]
JSON = (MODELS / "xgboost_binary/source/xgboost_binary.json").read_bytes()
UBJSON = (MODELS / "xgboost_classes/source/xgboost_classes.ubj").read_bytes()
TEXT = (MODELS / "lightgbm_classes/source/lightgbm_classes.txt").read_bytes()

Json = dict[str, Any]


def test_what_the_libraries_write_passes() -> None:
    check_xgboost(JSON, "m.json")
    check_xgboost(UBJSON, "m.ubj")
    for name in ("lightgbm_classes", "lightgbm_regression"):
        check_lightgbm((MODELS / name / f"source/{name}.txt").read_bytes(), "m.txt")


# --- XGBoost ------------------------------------------------------------------------------------


def parameter(**values: str) -> Callable[[Json], None]:
    return lambda learner: learner["learner_model_param"].update(values)


def of_model(**values: Any) -> Callable[[Json], None]:
    return lambda learner: learner["gradient_booster"]["model"].update(values)


def of_tree(**values: Any) -> Callable[[Json], None]:
    """Return a change of the first tree: of all items of a list, or of a text."""

    def change(learner: Json) -> None:
        tree = learner["gradient_booster"]["model"]["trees"][0]
        for name, value in values.items():
            if isinstance(value, str):
                tree["tree_param"][name] = value
            elif isinstance(value, list):
                tree[name] = value
            else:
                tree[name] = [value] * len(tree[name])

    return change


XGBOOST: dict[str, tuple[Callable[[Json], None], str]] = {
    "features": (parameter(num_feature="2000000000"), "num_feature is 2000000000, expected"),
    "no number": (parameter(num_feature="many"), "invalid literal"),
    "classes": (parameter(num_class="2000000000"), "num_class is 2000000000, expected"),
    "targets": (parameter(num_target="-1"), "num_target is -1, expected"),
    "a class for each tree": (of_model(tree_info=[0]), "tree_info|is no list of"),
    "another class": (
        lambda m: m["gradient_booster"]["model"]["tree_info"].__setitem__(0, 9),
        "tree_info reach from 0 to 9, expected 0 to 1",
    ),
    "rounds": (of_model(iteration_indptr=[0, 1 << 30]), "iteration_indptr is no list from 0 to"),
    "no rounds": (of_model(iteration_indptr=[]), "iteration_indptr is no list from 0 to"),
    "weights of trees": (of_model(weight_drop=[1.0]), "weight_drop is no list of"),
    "children far away": (of_tree(left_children=99_999), "two parents"),
    "the root again": (of_tree(left_children=0, right_children=0), "two parents"),
    "one child": (of_tree(right_children=-1), "a node has one child"),
    "parents of others": (of_tree(parents=5), "parents are not those of the children"),
    "children below none": (of_tree(left_children=-2, right_children=-2), "a node has one child"),
    "no children": (of_tree(left_children=[]), "has no nodes"),
    "other features": (of_tree(split_indices=1 << 30), "split_indices reach from"),
    "few conditions": (of_tree(split_conditions=[0.5]), "split_conditions is no list of"),
    "few directions": (of_tree(default_left=[1]), "default_left is no list of"),
    "half a node": (of_tree(left_children=0.5), "are no integers"),
    "leaves of many values": (of_tree(size_leaf_vector="2000000000"), "base_weights is no list"),
    "leaves of less than none": (of_tree(size_leaf_vector="-1"), "size_leaf_vector is -1"),
    "a category of none": (of_tree(split_type=1), "are not those that split by categories"),
    "categories of no node": (of_tree(categories_nodes=[0]), "is no list of 1"),
}


@pytest.mark.parametrize("case", XGBOOST)
def test_xgboost(case: str) -> None:
    change, message = XGBOOST[case]
    document = json.loads(JSON)
    change(document["learner"])
    with pytest.raises(FormatError, match=rf"^m\.json: not what XGBoost writes: .*{message}"):
        check_xgboost(json.dumps(document).encode(), "m.json")


CATEGORIES: Json = {
    "categories_nodes": [0],
    "categories_segments": [0],
    "categories_sizes": [2],
    "categories": [0, 3],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, ""),
        ({"categories_sizes": [3]}, "categories_sizes reach|categories_segments reach"),
        ({"categories_segments": [-1]}, "categories_segments reach from -1"),
        ({"categories_segments": [1]}, "categories_segments reach from 3 to 3"),
        ({"categories": [0, 1 << 30]}, "categories reach from 0 to 1073741824"),
    ],
)
def test_categories_of_xgboost(change: Json, message: str) -> None:
    document = json.loads(JSON)
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree |= CATEGORIES | change
    tree["split_type"][0] = 1
    data = json.dumps(document).encode()
    if not message:
        check_xgboost(data, "m.json")
        return
    with pytest.raises(FormatError, match=message):
        check_xgboost(data, "m.json")


def test_a_key_twice() -> None:
    """XGBoost and Python need not take the same one."""
    twice = JSON.replace(b'"num_feature":', b'"num_feature":"1","num_feature":', 1)
    with pytest.raises(FormatError, match="a key is there twice"):
        check_xgboost(twice, "m.json")
    key = b"L" + (11).to_bytes(8, "big") + b"num_feature"
    one = b"SL" + (1).to_bytes(8, "big") + b"1"
    with pytest.raises(FormatError, match="'num_feature' is there twice"):
        check_xgboost(UBJSON.replace(key, key + one + key, 1), "m.ubj")


@pytest.mark.parametrize("data", [b'{"learner":' + b"[" * 300_000, b'{"learner":[]}', JSON[:5000]])
def test_other_json(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"m\.json: not what XGBoost writes: "):
        check_xgboost(data, "m.json")


def test_ubjson_is_what_json_is() -> None:
    document = parse_ubjson(UBJSON)
    learner = document["learner"]
    assert learner["objective"]["name"].startswith("multi:")
    trees = learner["gradient_booster"]["model"]["trees"]
    assert len(trees) == int(
        learner["gradient_booster"]["model"]["gbtree_model_param"]["num_trees"]
    )
    assert trees[0]["left_children"].dtype == np.dtype(">i4")


SMALL = {
    b"{}": {},
    b"{i\x01aTi\x01b[ZTF]}": {"a": True, "b": [None, True, False]},
    b"[#i\x02U\xffI\xff\xfe": [255, -2],
    b"{#i\x01i\x01aSi\x02xy": {"a": "xy"},
    b"{i\x01a[$CU#": None,
    b"[": None,
    b"{i\x01a": None,
    b"{i\xffa": None,
    b"{d\0\0\0\0": None,
    b"{}{}": None,
    b"?": None,
    b"[$L#L\x7f\0\0\0\0\0\0\0": None,
    b"[$Z#L\x7f\0\0\0\0\0\0\0": None,
    b"[$L": None,
    b"[" * 1000: None,
}


@pytest.mark.parametrize("data", SMALL)
def test_small_ubjson(data: bytes) -> None:
    if SMALL[data] is None:
        with pytest.raises(ValueError, match=r"\d|no length"):
            parse_ubjson(data)
    else:
        assert parse_ubjson(data) == SMALL[data]


def test_every_cut_of_ubjson() -> None:
    for length in range(1, len(UBJSON), 97):
        with pytest.raises(FormatError, match="not what XGBoost writes"):
            check_xgboost(UBJSON[:length].ljust(2, b"L"), "m.ubj")


# --- LightGBM -----------------------------------------------------------------------------------

LIGHTGBM = {
    "leaves": ("num_leaves", "2000000000", "leaf_value has .* numbers, expected 2000000000"),
    "no leaves": ("num_leaves", "-5", "leaf_value has .* numbers, expected 1"),
    "children": ("left_child", "0 0 0", "numbers, expected"),
    "features": ("split_feature", "99999999", "split_feature|numbers, expected"),
    "sets of categories": ("num_cat", "2000000000", "cat_boundaries"),
    "classes": ("num_class", "2000000000", "2000000000 classes and 5 scores"),
    "scores": ("num_tree_per_iteration", "2000000000", "scores of .* trees"),
    "no scores": ("num_tree_per_iteration", "0", "0 scores of .* trees"),
    "last feature": ("max_feature_idx", "2000000000", "max_feature_idx is 2000000000 of"),
    "sizes": ("tree_sizes", "1 2 3", "tree_sizes are not those"),
    "no weights": ("leaf_weight", "1", "leaf_weight has 1 numbers"),
    "no gains": ("split_gain", "1", "split_gain has 1 numbers"),
    "a number beyond all": ("left_child", "9" * 30, "too large|numbers, expected"),
    "linear": ("is_linear", "1", "'leaf_const' is missing"),
}


def lies(key: str, change: Callable[[bytes], bytes]) -> bytes:
    """Change the first line of a key; trees that change have no sizes that would tell."""
    text = TEXT if key == "tree_sizes" else re.sub(rb"tree_sizes=.*\n", b"", TEXT)
    pattern = rb"^(" + key.encode() + rb"=)(.*)$"
    found = re.search(pattern, text, re.MULTILINE)
    assert found
    return text[: found.start(2)] + change(found[2]) + text[found.end(2) :]


@pytest.mark.parametrize("case", LIGHTGBM)
def test_lightgbm(case: str) -> None:
    key, value, message = LIGHTGBM[case]
    with pytest.raises(FormatError, match=rf"^m\.txt: not what LightGBM writes: .*({message})"):
        check_lightgbm(lies(key, lambda _: value.encode()), "m.txt")


@pytest.mark.parametrize(
    ("key", "number", "message"),
    [
        ("left_child", b"0", "are no tree"),
        ("left_child", b"-1000", "are no tree"),
        ("right_child", b"1000", "are no tree"),
        ("split_feature", b"-7", "split_feature reach from -7"),
        ("split_feature", b"99999", "split_feature reach from . to 99999"),
        ("decision_type", b"1", "names other than 0 sets"),
        ("threshold", b"x", "could not convert"),
    ],
)
def test_numbers_of_lightgbm(key: str, number: bytes, message: str) -> None:
    """The first number of a list is another."""
    text = lies(key, lambda value: b" ".join([number, *value.split()[1:]]))
    with pytest.raises(FormatError, match=rf"tree 0: .*{message}"):
        check_lightgbm(text, "m.txt")


def test_cut_text() -> None:
    for end in (10, TEXT.find(b"\nTree=1"), TEXT.find(b"\nend of trees")):
        with pytest.raises(FormatError, match="not what LightGBM writes: the end of trees"):
            check_lightgbm(TEXT[:end], "m.txt")
    with pytest.raises(FormatError, match="'num_leaves' is there twice"):
        check_lightgbm(lies("num_leaves", lambda v: v + b"\nnum_leaves=3"), "m.txt")
