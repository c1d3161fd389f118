"""A graph network over hits: messages along edges, added up where they arrive."""

import torch
from _golden import SEED, Golden
from _torch_source import exported_program, seeded
from _toys import draw_graphs
from torch import Tensor, nn

__all__ = ["make"]


class EdgeClassifier(nn.Module):
    """Two rounds of messages, then a score per edge."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.message = nn.ModuleList(nn.Linear(16, 8) for _ in range(2))
        self.score = nn.Linear(16, 1)

    def forward(self, hits: Tensor, edges: Tensor) -> Tensor:
        found = torch.tanh(self.embed(hits))
        for layer in self.message:
            pairs = torch.cat([found[edges[0]], found[edges[1]]], dim=1)
            sums = torch.zeros_like(found).index_add(0, edges[1], torch.relu(layer(pairs)))
            found = found + torch.tanh(sums)
        pairs = torch.cat([found[edges[0]], found[edges[1]]], dim=1)
        return torch.sigmoid(self.score(pairs))


def make() -> Golden:
    """Let the adapter to PyTorch export it, as it was drawn."""
    seeded()
    hits, edges = draw_graphs(9, 20, SEED)
    n_hits, n_edges = torch.export.Dim("n_hits"), torch.export.Dim("n_edges")
    return exported_program(
        "graph_network",
        EdgeClassifier().eval(),
        {"hits": hits, "edges": edges},
        guards="gather and scatter with integers as inputs, repeated places included",
        dynamic={"hits": {0: n_hits}, "edges": {1: n_edges}},
    )
