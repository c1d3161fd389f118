"""A scripted network, as C++ programs with LibTorch have them."""

import zipfile
from pathlib import Path

import torch
from _golden import SEED, Golden, exported
from _torch_source import PACKAGES, predict, seeded, train
from _toys import JET_CLASSES, JETS, draw_jets
from torch import Tensor, nn

__all__ = ["make"]


class Tagger(nn.Module):
    """A dense network on scaled features."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(len(JETS), 20)
        self.score = nn.Linear(20, len(JET_CLASSES))

    def forward(self, features: Tensor) -> Tensor:
        return torch.softmax(self.score(torch.relu(self.hidden(features / 50.0))), dim=1)


def make() -> Golden:
    """Train it and let the adapter to PyTorch export the scripted file."""
    seeded()
    features, labels = draw_jets(1024, SEED)
    network = train(Tagger(), [features], labels)
    sample, _ = draw_jets(6, SEED + 1)
    return exported(
        "torchscript_tagger.pt",
        lambda path: _save(network, path),
        inputs=[sample],
        outputs=[predict(network, [sample])],
        framework="PyTorch",
        guards="TorchScript: what only PyTorch's older exporter takes",
        packages=PACKAGES,
        options={"inputs": {"features": [None, len(JETS)]}},
    )


def _save(network: nn.Module, path: Path) -> None:
    """Save it without the places in the source that PyTorch notes for error messages."""
    torch.jit.script(network).save(str(path))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if not name.endswith(".debug_pkl"):
                archive.writestr(name, content)
