"""Boosted trees of LightGBM that correct an energy."""

import lightgbm
from _golden import SEED, Golden
from _toys import draw_events
from _tree_source import exported_trees

__all__ = ["make"]


def make() -> Golden:
    """Train them, save them as text, and let the adapter export them."""
    events, _ = draw_events(2000, SEED)
    data = lightgbm.Dataset(events, events[:, 1] * 1.1 + 2)
    settings = {"objective": "regression", "num_leaves": 12, "seed": SEED, "verbose": -1}
    booster = lightgbm.train({**settings, "deterministic": True, "num_threads": 1}, data, 20)
    sample, _ = draw_events(8, SEED + 1)
    return exported_trees(
        "lightgbm_regression.txt",
        booster.save_model,
        sample,
        [booster.predict(sample)[:, None]],
        framework="LightGBM",
        package="lightgbm",
        guards="LightGBM: a regression",
    )
