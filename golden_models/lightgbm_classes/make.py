"""Boosted trees of LightGBM that tell five kinds of jets apart."""

import lightgbm
import numpy as np
from _golden import SEED, Golden
from _toys import JET_CLASSES, draw_jets
from _tree_source import exported_trees

__all__ = ["make"]


def make() -> Golden:
    """Train them, save them as text, and let the adapter export them."""
    jets, labels = draw_jets(1500, SEED)
    settings = {
        "objective": "multiclass",
        "num_class": len(JET_CLASSES),
        "num_leaves": 6,
        "seed": SEED,
        "verbose": -1,
        "deterministic": True,
        "num_threads": 1,
    }
    booster = lightgbm.train(settings, lightgbm.Dataset(jets, labels), 8)
    sample, _ = draw_jets(8, SEED + 1)
    found = booster.predict(sample)
    return exported_trees(
        "lightgbm_classes.txt",
        booster.save_model,
        sample,
        [found.argmax(axis=1).astype(np.int64), found],
        framework="LightGBM",
        package="lightgbm",
        guards="LightGBM: several classes",
    )
