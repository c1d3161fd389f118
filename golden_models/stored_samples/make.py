"""A classifier whose ROOT file holds samples beside it, as every converted model does."""

import skops.io
from _golden import SEED, Golden, exported
from _toys import draw_events
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

__all__ = ["make"]


def make() -> Golden:
    """Fit it, save it with skops, and let the adapter export it."""
    events, labels = draw_events(1000, SEED)
    model = QuadraticDiscriminantAnalysis().fit(events, labels)
    sample, _ = draw_events(8, SEED + 1)
    return exported(
        "stored_samples.skops",
        lambda path: skops.io.dump(model, path),
        inputs=[sample],
        outputs=[model.predict(sample).astype(str), model.predict_proba(sample)],
        framework="scikit-learn",
        guards="samples in the ROOT file, numbers and texts, and the provenance of a conversion",
        packages=("scikit-learn", "skl2onnx", "skops"),
        as_converted=True,
    )
