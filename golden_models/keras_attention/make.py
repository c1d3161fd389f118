"""A network of Keras with two inputs, attention and two outputs."""

from _golden import SEED, Golden
from _keras_source import exported_keras, seeded
from _toys import draw_jets, draw_tracks
from keras import Model, layers

__all__ = ["make"]


def make() -> Golden:
    """Save it as .keras, as it was drawn, and let the adapter export it."""
    seeded()
    tracks, jet = layers.Input((8, 5), name="tracks"), layers.Input((16,), name="jet")
    found = layers.Dense(12)(tracks)
    found = layers.LayerNormalization()(found + layers.MultiHeadAttention(3, 4)(found, found))
    found = layers.Concatenate()([layers.GlobalMaxPooling1D()(found), layers.Dense(8)(jet)])
    found = layers.Dense(16, activation="swish")(found)
    outputs = {
        "flavour": layers.Dense(3, activation="softmax", name="flavour")(found),
        "log_pt": layers.Dense(1, name="log_pt")(found),
    }
    model = Model([tracks, jet], list(outputs.values()))
    sample = [draw_tracks(4, 8, SEED)[0], draw_jets(4, SEED)[0] / 50]
    return exported_keras(
        "keras_attention.keras",
        model,
        sample,
        guards="two inputs and two outputs by name; attention as products of many axes",
        rtol=1e-4,
        atol=1e-5,
    )
