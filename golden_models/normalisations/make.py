"""Layer, group and instance normalisation, one after the other."""

from _golden import SEED, Golden
from _torch_source import exported_program, seeded, train
from _toys import draw_showers
from torch import nn

__all__ = ["make"]


def make() -> Golden:
    """Train it and let the adapter to PyTorch export it."""
    seeded()
    network = nn.Sequential(
        nn.LayerNorm([1, 12, 12]),
        nn.Conv2d(1, 8, 3),
        nn.GroupNorm(4, 8),
        nn.Hardswish(),
        nn.Conv2d(8, 4, 3, stride=2),
        nn.InstanceNorm2d(4, affine=True),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(64, 2),
        nn.LogSoftmax(dim=1),
    )
    images, labels = draw_showers(256, SEED)
    train(network, [images[:, None]], labels, n_steps=20)
    sample, _ = draw_showers(4, SEED + 1)
    return exported_program(
        "normalisations",
        network,
        {"input": sample[:, None]},
        guards="the normalisations that batch normalisation is not",
        rtol=1e-4,
        atol=1e-5,
    )
