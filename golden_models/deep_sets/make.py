"""Deep sets: a sum over the particles that are there."""

from _golden import SEED, Golden
from _torch_source import exported_program, seeded, train
from _toys import draw_tracks
from torch import Tensor, nn

__all__ = ["make"]


class DeepSets(nn.Module):
    """A network for each particle, a sum, a network for the jet."""

    def __init__(self) -> None:
        super().__init__()
        self.particle = nn.Sequential(nn.Linear(5, 16), nn.SiLU(), nn.Linear(16, 16), nn.SiLU())
        self.jet = nn.Sequential(nn.Linear(16, 16), nn.ELU(), nn.Linear(16, 2))

    def forward(self, particles: Tensor, there: Tensor) -> Tensor:
        return self.jet((self.particle(particles) * there[..., None]).sum(dim=1))


def make() -> Golden:
    """Train it and let the adapter to PyTorch export it."""
    seeded()
    tracks, there, labels = draw_tracks(512, 12, SEED)
    network = train(DeepSets(), [tracks, there.astype("float32")], labels)
    sample, there, _ = draw_tracks(4, 12, SEED + 1)
    return exported_program(
        "deep_sets",
        network,
        {"particles": sample, "there": there.astype("float32")},
        guards="a network over sets, with a mask",
    )
