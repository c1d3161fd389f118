"""Boosted trees of CatBoost that find a signal."""

import catboost
import numpy as np
from _golden import SEED, Golden
from _toys import draw_events
from _tree_source import exported_trees

__all__ = ["make"]


def make() -> Golden:
    """Train them, save them in CatBoost's format, and let the adapter export them."""
    events, labels = draw_events(2000, SEED)
    trees = catboost.CatBoostClassifier(
        iterations=20,
        depth=4,
        random_seed=SEED,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    ).fit(events, (labels == "signal").astype(np.int64))
    sample, _ = draw_events(8, SEED + 1)
    return exported_trees(
        "catboost_binary.cbm",
        trees.save_model,
        sample,
        [trees.predict(sample).astype(np.int64), trees.predict_proba(sample)],
        framework="CatBoost",
        package="catboost",
        guards="CatBoost: trees that ask the same question on each level",
    )
