"""Files of skops: scikit-learn's estimators without pickle."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from onnxroot.adapter import Options
from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot_adapters._archives import check_archive, names_in
from onnxroot_adapters._errors import type_and_text
from onnxroot_adapters._require import require

__all__ = ["is_skops", "load_skops"]

KNOWN = frozenset(
    {
        "catboost.core.CatBoostClassifier",
        "catboost.core.CatBoostRegressor",
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRanker",
        "lightgbm.sklearn.LGBMRegressor",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRFClassifier",
        "xgboost.sklearn.XGBRFRegressor",
        "xgboost.sklearn.XGBRanker",
        "xgboost.sklearn.XGBRegressor",
    }
)
"""Types that skops does not trust of its own, and that parse data but run no code of the file."""


def is_skops(path: Path) -> bool:
    """Say whether a file is a zip archive with skops' schema in it."""
    return "schema.json" in names_in(path)


def load_skops(path: Path, options: Options) -> Any:
    """Open a file of skops, if all its types are trusted.

    Trusted are those that skops trusts, those in `KNOWN`, those of the module that the user named
    for custom objects, and all with `allow_pickle`.

    Raises:
        UnsupportedModelError: Some are not; the message names them.
        FormatError: It can't be opened, or must not be: see `check_archive`.
        MissingDependencyError: skops is not installed.
    """
    io = require("skops.io", extra="sklearn", what="a .skops file")
    check_archive(path)
    try:
        unknown = set(io.get_untrusted_types(file=path)) - KNOWN
    except Exception as error:
        raise _damaged(path, error) from error
    own = options.custom_objects
    untrusted = sorted(
        name
        for name in unknown
        if not (own and (name == own or name.startswith(f"{own}."))) and not options.allow_pickle
    )
    if untrusted:
        raise UnsupportedModelError(
            f"{path}: holds types that skops does not trust, for making them may run code: "
            f"{', '.join(untrusted)}; if you trust its author, allow it (--allow-pickle, "
            "allow_pickle=True), or name the module these types are in (--custom-objects)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return io.load(path, trusted=sorted(unknown | KNOWN))
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> FormatError:
    return FormatError(
        f"{path}: skops can't open it: {type_and_text(error)}; if it was made with another "
        "version of scikit-learn or skops, install that one"
    )
