"""A convolutional network that tells photons from pions by their showers."""

from _golden import SEED, Golden
from _torch_source import exported_program, seeded, train
from _toys import draw_showers
from torch import nn

__all__ = ["make"]


def make() -> Golden:
    """Train it and let the adapter to PyTorch export it."""
    seeded()
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 12, 3, stride=2),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 2),
    )
    images, labels = draw_showers(512, SEED)
    train(network, [images[:, None]], labels)
    sample, _ = draw_showers(5, SEED + 1)
    return exported_program(
        "cnn_calorimeter",
        network,
        {"input": sample[:, None]},
        guards="convolutions, pooling, and batch normalisation of images",
    )
