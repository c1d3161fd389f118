"""A transformer encoder over any number of tracks of any number of jets."""

import torch
from _golden import SEED, Golden
from _torch_source import exported_program, seeded, train
from _toys import draw_tracks
from torch import Tensor, nn

__all__ = ["make"]


class Tagger(nn.Module):
    """Attention where there are tracks, then the mean over these."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.score = nn.Linear(16, 2)

    def forward(self, tracks: Tensor, missing: Tensor) -> Tensor:
        found = self.encoder(self.embed(tracks), src_key_padding_mask=missing)
        there = (~missing).to(found.dtype)[..., None]
        return self.score((found * there).sum(dim=1) / there.sum(dim=1))


def make() -> Golden:
    """Train it and let the adapter to PyTorch export it."""
    seeded()
    tracks, there, labels = draw_tracks(256, 8, SEED)
    network = train(Tagger(), [tracks, ~there], labels, n_steps=15)
    sample, there, _ = draw_tracks(3, 7, SEED + 1)
    batch, n_tracks = torch.export.Dim("batch"), torch.export.Dim("n_tracks")
    return exported_program(
        "transformer_tracks",
        network,
        {"tracks": sample, "missing": ~there},
        guards="attention, two axes that may vary, an input of truth values",
        dynamic={"tracks": {0: batch, 1: n_tracks}, "missing": {0: batch, 1: n_tracks}},
        rtol=1e-4,
        atol=1e-5,
    )
