"""A frozen graph of TensorFlow 1: constants, and placeholders as inputs."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from _golden import SEED, Array, Golden, exported
from _keras_source import PACKAGES
from _toys import draw_events

__all__ = ["make"]


def make() -> Golden:
    """Write the graph and let the adapter export it."""
    random = np.random.default_rng(SEED)
    kernels = [random.normal(0, 0.3, shape).astype(np.float32) for shape in ((6, 10), (10, 2))]
    sample = draw_events(5, SEED)[0] / 100
    hidden = np.tanh(sample @ kernels[0])
    return exported(
        "frozen_graph.pb",
        lambda path: _save(kernels, path),
        inputs=[sample],
        outputs=[1 / (1 + np.exp(-hidden @ kernels[1]))],
        framework="TensorFlow",
        guards="a source without a signature: inputs and outputs are found in the graph",
        packages=PACKAGES,
    )


def _save(kernels: list[Array], path: Path) -> None:
    with tf.Graph().as_default() as graph:
        events = tf.compat.v1.placeholder(tf.float32, [None, 6], name="events")
        hidden = tf.tanh(tf.matmul(events, tf.constant(kernels[0])))
        tf.sigmoid(tf.matmul(hidden, tf.constant(kernels[1])), name="scores")
    path.write_bytes(graph.as_graph_def().SerializeToString())
