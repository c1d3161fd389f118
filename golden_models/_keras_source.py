"""Networks of Keras: trained a little, and what they make of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from _golden import SEED, Array, Golden, exported

__all__ = ["PACKAGES", "exported_keras", "seeded", "train"]

PACKAGES = ("tensorflow-cpu", "keras", "tf2onnx")


def seeded() -> None:
    """Let Keras draw the same numbers every time."""
    keras.utils.set_random_seed(SEED)
    keras.backend.clear_session()


def train(model: keras.Model, inputs: Any, labels: Array, n_epochs: int = 2) -> keras.Model:
    """Fit probabilities, shape (n, n_classes), to class numbers; return the model."""
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(inputs, labels, epochs=n_epochs, batch_size=64, verbose=0, shuffle=False)
    return model


def exported_keras(
    file: str,
    model: keras.Model,
    sample: Sequence[Array],
    *,
    guards: str,
    save: Callable[[Path], Any] | None = None,
    **more: Any,
) -> Golden:
    """Return the golden model of a Keras model.

    Args:
        file: Name of the file or folder.
        model: The model.
        sample: Samples of its inputs, in order.
        guards: See `Golden`.
        save: Writes it; ``model.save`` by default.
        more: For `exported`.
    """
    found = model(list(sample) if len(sample) > 1 else sample[0], training=False)
    outputs = found if isinstance(found, (list, tuple)) else [found]
    return exported(
        file,
        save or model.save,
        inputs=sample,
        outputs=[np.asarray(value) for value in outputs],
        framework="Keras",
        guards=guards,
        packages=PACKAGES,
        **more,
    )
