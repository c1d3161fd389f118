"""A small network of scikit-learn that gives several numbers at once."""

import numpy as np
import skops.io
from _golden import SEED, Golden, exported
from _toys import draw_events
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer

__all__ = ["make"]


def make() -> Golden:
    """Train it, save it with skops, and let the adapter export it."""
    events, _ = draw_events(600, SEED)
    targets = np.column_stack([events[:, 0] / 100, np.sin(events[:, 4])])
    network = MLPRegressor(hidden_layer_sizes=(12,), solver="lbfgs", max_iter=60, random_state=SEED)
    pipeline = make_pipeline(PowerTransformer(), network).fit(events.astype(float), targets)
    sample, _ = draw_events(8, SEED + 1)
    sample = sample.astype(float)
    return exported(
        "multi_output.skops",
        lambda path: skops.io.dump(pipeline, path),
        inputs=[sample],
        outputs=[pipeline.predict(sample)],
        framework="scikit-learn",
        guards="float64 in scikit-learn, a transformation by powers, two targets",
        packages=("scikit-learn", "skl2onnx", "skops"),
        rtol=1e-6,
        atol=1e-6,
    )
