"""A network whose weights, input and output are float16."""

import numpy as np
from _golden import SEED, Golden
from _torch_source import exported_program, seeded, train
from _toys import JET_CLASSES, JETS, draw_jets
from torch import nn

__all__ = ["make"]


def make() -> Golden:
    """Train it in float32, round it, and let the adapter to PyTorch export it."""
    seeded()
    network = nn.Sequential(
        nn.Linear(len(JETS), 24), nn.Tanh(), nn.Linear(24, len(JET_CLASSES)), nn.Sigmoid()
    )
    features, labels = draw_jets(1024, SEED)
    train(network, [features / 100], labels, n_steps=20)
    sample, _ = draw_jets(6, SEED + 1)
    return exported_program(
        "half_precision",
        network.half(),
        {"input": (sample / 100).astype(np.float16)},
        guards="float16: weights, input and output that no column of ROOT has",
        rtol=1e-2,
        atol=1e-3,
    )
