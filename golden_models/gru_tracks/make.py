"""A recurrent network over the tracks of a jet, both ways."""

from _golden import SEED, Golden
from _torch_source import exported_program, seeded, train
from _toys import draw_tracks
from torch import Tensor, nn

__all__ = ["make"]


class Tagger(nn.Module):
    """Two directions, and what the last step of each has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.tracks = nn.GRU(5, 12, batch_first=True, bidirectional=True)
        self.score = nn.Linear(24, 2)

    def forward(self, tracks: Tensor) -> Tensor:
        return self.score(self.tracks(tracks)[0].mean(dim=1))


def make() -> Golden:
    """Train it and let the adapter to PyTorch export it."""
    seeded()
    tracks, _, labels = draw_tracks(512, 10, SEED)
    network = train(Tagger(), [tracks], labels)
    sample, _, _ = draw_tracks(4, 10, SEED + 1)
    return exported_program(
        "gru_tracks",
        network,
        {"tracks": sample},
        guards="a recurrent operator with weights of several gates in one tensor",
    )
