"""A convolutional network of Keras on calorimeter images."""

from _golden import SEED, Golden
from _keras_source import exported_keras, seeded, train
from _toys import draw_showers
from keras import Sequential, layers

__all__ = ["make"]


def make() -> Golden:
    """Train it, save it as .keras, and let the adapter export it."""
    seeded()
    model = Sequential(
        [
            layers.Input((12, 12, 1), name="image"),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3, activation="gelu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax", name="kind"),
        ]
    )
    images, labels = draw_showers(512, SEED)
    train(model, images[..., None], labels)
    sample, _ = draw_showers(5, SEED + 1)
    return exported_keras(
        "keras_cnn.keras",
        model,
        [sample[..., None]],
        guards="channels that come last, and the transpositions that tf2onnx adds",
    )
