"""Deep sets of Keras as a SavedModel, a folder."""

from _golden import SEED, Golden
from _keras_source import exported_keras, seeded, train
from _toys import draw_tracks
from keras import Sequential, layers

__all__ = ["make"]


def make() -> Golden:
    """Train it, save it as a SavedModel, and let the adapter export it."""
    seeded()
    model = Sequential(
        [
            layers.Input((6, 5), name="particles"),
            layers.Dense(12, activation="relu"),
            layers.Dense(12, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2, activation="softmax", name="flavour"),
        ]
    )
    tracks, _, labels = draw_tracks(256, 6, SEED)
    train(model, tracks, labels)
    sample, _, _ = draw_tracks(4, 6, SEED + 1)
    return exported_keras(
        "saved_model",
        model,
        [sample],
        guards="a source that is a folder",
        save=lambda path: model.export(path, verbose=False),
    )
