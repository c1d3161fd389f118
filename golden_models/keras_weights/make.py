"""Weights in HDF5 and the architecture beside them in JSON: how older analyses keep networks."""

from pathlib import Path

from _golden import SEED, Golden
from _keras_source import exported_keras, seeded, train
from _toys import JET_CLASSES, JETS, draw_jets
from keras import Model, Sequential, layers

__all__ = ["make"]


def make() -> Golden:
    """Train it, save architecture and weights, and let the adapter export them."""
    seeded()
    model = Sequential(
        [
            layers.Input((len(JETS),), name="features"),
            layers.BatchNormalization(),
            layers.Dense(24, activation="elu"),
            layers.Dense(len(JET_CLASSES), activation="softmax", name="kind"),
        ]
    )
    features, labels = draw_jets(1024, SEED)
    train(model, features, labels)
    sample, _ = draw_jets(5, SEED + 1)
    return exported_keras(
        "keras_weights.weights.h5",
        model,
        [sample],
        guards="weights that find their architecture beside them",
        save=lambda path: _save(model, path),
    )


def _save(model: Model, path: Path) -> None:
    model.save_weights(path)
    path.with_name("keras_weights.json").write_text(model.to_json())
