"""An LSTM of Keras over tracks, in the HDF5 form of many analyses."""

from _golden import SEED, Golden
from _keras_source import exported_keras, seeded, train
from _toys import draw_tracks
from keras import Sequential, layers

__all__ = ["make"]


def make() -> Golden:
    """Train it, save it as .h5, and let the adapter export it."""
    seeded()
    model = Sequential(
        [
            layers.Input((8, 5), name="tracks"),
            layers.Masking(),
            layers.LSTM(10),
            layers.Dropout(0.1),
            layers.Dense(2, activation="softmax", name="flavour"),
        ]
    )
    tracks, _, labels = draw_tracks(512, 8, SEED)
    train(model, tracks, labels)
    sample, _, _ = draw_tracks(4, 8, SEED + 1)
    return exported_keras(
        "keras_lstm.h5",
        model,
        [sample],
        guards="a recurrent layer with a mask; a whole model in HDF5",
    )
