"""Boosted trees of XGBoost that tell five kinds of jets apart."""

import numpy as np
import xgboost
from _golden import SEED, Golden
from _toys import JET_CLASSES, draw_jets
from _tree_source import exported_trees

__all__ = ["make"]


def make() -> Golden:
    """Train them, save them as UBJSON, and let the adapter export them."""
    jets, labels = draw_jets(1500, SEED)
    settings = {
        "objective": "multi:softprob",
        "num_class": len(JET_CLASSES),
        "max_depth": 3,
        "seed": SEED,
        "nthread": 1,
    }
    booster = xgboost.train(settings, xgboost.DMatrix(jets, labels), 10)
    sample, _ = draw_jets(8, SEED + 1)
    found = booster.predict(xgboost.DMatrix(sample))
    return exported_trees(
        "xgboost_classes.ubj",
        booster.save_model,
        sample,
        [found.argmax(axis=1).astype(np.int64), found],
        framework="XGBoost",
        package="xgboost-cpu",
        guards="XGBoost: several classes, a binary file",
    )
