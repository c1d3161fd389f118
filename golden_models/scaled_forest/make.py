"""A pipeline of scikit-learn: events are scaled, and a forest decides."""

import skops.io
from _golden import SEED, Golden, exported
from _toys import draw_events
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["make"]


def make() -> Golden:
    """Train it, save it with skops, and let the adapter export it."""
    events, labels = draw_events(1000, SEED)
    forest = RandomForestClassifier(12, max_depth=5, random_state=SEED, n_jobs=1)
    pipeline = make_pipeline(StandardScaler(), forest).fit(events, labels)
    sample, _ = draw_events(8, SEED + 1)
    return exported(
        "scaled_forest.skops",
        lambda path: skops.io.dump(pipeline, path),
        inputs=[sample],
        outputs=[pipeline.predict(sample).astype(str), pipeline.predict_proba(sample)],
        framework="scikit-learn",
        guards="a pipeline; labels that are texts",
        packages=("scikit-learn", "skl2onnx", "skops"),
        options={"allow_pickle": True},  # skops does not trust the trees of a forest by itself
    )
