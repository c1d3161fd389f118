"""A network as TensorFlow Lite has it, for small devices."""

from pathlib import Path

import tensorflow as tf
from _golden import SEED, Golden
from _keras_source import exported_keras, seeded, train
from _toys import draw_showers
from keras import Model, Sequential, layers

__all__ = ["make"]


def make() -> Golden:
    """Train it, convert it to TensorFlow Lite, and let the adapter export it."""
    seeded()
    model = Sequential(
        [
            layers.Input((12, 12, 1), name="image"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(2, activation="softmax", name="kind"),
        ]
    )
    images, labels = draw_showers(256, SEED)
    train(model, images[..., None], labels)
    sample, _ = draw_showers(1, SEED + 1)
    return exported_keras(
        "tflite_tagger.tflite",
        model,
        [sample[..., None]],
        guards="a FlatBuffer as the source",
        save=lambda path: _save(model, path),
    )


def _save(model: Model, path: Path) -> None:
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
