"""Boosted trees trained with scikit-learn and exported with skl2onnx; probabilities as maps."""

from __future__ import annotations

import numpy as np
from _golden import SEED, Golden, Samples, serialize
from _toys import draw_events

__all__ = ["make"]


def make() -> Golden:
    """Train boosted trees that find a signal, and export them with skl2onnx."""
    import skl2onnx  # noqa: PLC0415  (each model needs its own framework only)
    from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415

    events, labels = draw_events(4000, SEED)
    trees = GradientBoostingClassifier(n_estimators=50, max_depth=3, random_state=SEED)
    trees.fit(events, labels)
    sample, _ = draw_events(16, SEED + 1)
    opset = {"": 20, "ai.onnx.ml": 3}
    model = skl2onnx.to_onnx(trees, events[:1], name="gradient_boosting", target_opset=opset)
    return Golden(
        onnx=serialize(model),
        guards="trees: one node with long lists of ints, floats and strings; the ai.onnx.ml "
        "operators; an output that is a sequence of maps with string keys",
        made_by="skl2onnx.to_onnx of a GradientBoostingClassifier trained on synthetic events",
        packages=("numpy", "scikit-learn", "skl2onnx"),
        seed=SEED,
        samples=Samples(
            inputs={"X": sample},
            outputs={
                "output_label": trees.predict(sample).astype(str),
                "output_probability": trees.predict_proba(sample).astype(np.float32),
            },
            rtol=1e-5,
            atol=1e-6,
            source="scikit-learn",
        ),
    )
