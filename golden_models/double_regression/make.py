"""A regression in float64."""

import numpy as np
from _golden import SEED, Golden
from _torch_source import exported_program, seeded
from _toys import draw_events
from torch import nn

__all__ = ["make"]


def make() -> Golden:
    """Let the adapter to PyTorch export it, as it was drawn."""
    seeded()
    network = nn.Sequential(nn.Linear(6, 16), nn.Softplus(), nn.Linear(16, 3)).double().eval()
    events, _ = draw_events(5, SEED)
    return exported_program(
        "double_regression",
        network,
        {"input": events.astype(np.float64)},
        guards="float64 throughout, several outputs in one",
        rtol=1e-12,
        atol=1e-12,
    )
