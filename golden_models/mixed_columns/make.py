"""Columns of a table, numbers and texts, each with an input of its own."""

import numpy as np
import pandas as pd
import skops.io
from _golden import SEED, Golden, exported
from _toys import draw_events
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

__all__ = ["make"]

_CHANNELS = ("ee", "mumu", "emu")


def make() -> Golden:
    """Train it, save it with skops, and let the adapter export it."""
    table, labels = _draw(800, SEED)
    columns = ColumnTransformer(
        [
            ("numbers", MinMaxScaler(), ["mass", "missing_pt"]),
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["channel"]),
        ]
    )
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=200)).fit(table, labels)
    sample, _ = _draw(8, SEED + 1)
    return exported(
        "mixed_columns.skops",
        lambda path: skops.io.dump(pipeline, path),
        inputs=[sample[[name]].to_numpy() for name in sample.columns],
        outputs=[pipeline.predict(sample), pipeline.predict_proba(sample)],
        framework="scikit-learn",
        guards="inputs by column; a tensor of texts as an input",
        packages=("scikit-learn", "skl2onnx", "skops", "pandas"),
    )


def _draw(n_events: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    events, labels = draw_events(n_events, seed)
    channels = np.random.default_rng(seed).choice(_CHANNELS, n_events).astype(object)
    table = pd.DataFrame({"mass": events[:, 0], "missing_pt": events[:, 3]})
    return table.assign(channel=channels.astype(object)), (labels == "signal").astype(np.int64)
