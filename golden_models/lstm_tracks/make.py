"""An LSTM of two layers over the tracks of a jet."""

from _golden import SEED, Golden
from _torch_source import exported_program, seeded, train
from _toys import draw_tracks
from torch import Tensor, nn

__all__ = ["make"]


class Tagger(nn.Module):
    """What the last step has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.tracks = nn.LSTM(5, 8, num_layers=2, batch_first=True)
        self.score = nn.Linear(8, 2)

    def forward(self, tracks: Tensor) -> Tensor:
        return self.score(self.tracks(tracks)[0][:, -1])


def make() -> Golden:
    """Train it and let the adapter to PyTorch export it."""
    seeded()
    tracks, _, labels = draw_tracks(512, 8, SEED)
    network = train(Tagger(), [tracks], labels)
    sample, _, _ = draw_tracks(4, 8, SEED + 1)
    return exported_program(
        "lstm_tracks",
        network,
        {"tracks": sample},
        guards="recurrent operators one after the other, with initial states",
    )
