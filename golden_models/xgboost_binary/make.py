"""Boosted trees of XGBoost that find a signal, with names for the features."""

import numpy as np
import xgboost
from _golden import SEED, Golden
from _toys import EVENTS, draw_events
from _tree_source import exported_trees

__all__ = ["make"]


def make() -> Golden:
    """Train them, save them as JSON, and let the adapter export them."""
    events, labels = draw_events(2000, SEED)
    data = xgboost.DMatrix(events, labels == "signal", feature_names=list(EVENTS))
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 4, "seed": SEED, "nthread": 1}, data, 25
    )
    sample, _ = draw_events(8, SEED + 1)
    found = booster.predict(xgboost.DMatrix(sample, feature_names=list(EVENTS)))
    return exported_trees(
        "xgboost_binary.json",
        booster.save_model,
        sample,
        [(found > 0.5).astype(np.int64), np.column_stack([1 - found, found])],
        framework="XGBoost",
        package="xgboost-cpu",
        guards="XGBoost: features with names, two classes",
    )
