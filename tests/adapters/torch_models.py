"""Typical PyTorch networks of physics and elsewhere, small and seeded, with example inputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Mlp(nn.Module):
    def __init__(self, n_in: int = 4, n_out: int = 3):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 16), nn.ReLU(), nn.Linear(16, n_out))

    def forward(self, x):
        return self.layers(x).softmax(dim=-1)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, padding=1, groups=2), nn.GELU(), nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        self.head = nn.Linear(8, 2)

    def forward(self, image):
        return self.head(self.body(image).flatten(1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv1d(3, 8, 1)
        self.blocks = nn.ModuleList(nn.Conv1d(8, 8, 3, padding=1) for _ in range(3))
        self.norm = nn.GroupNorm(2, 8)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + functional.silu(self.norm(block(x)))
        return x.mean(dim=-1)


class Recurrent(nn.Module):
    def __init__(self, kind: str):
        super().__init__()
        self.cell = getattr(nn, kind)(5, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 1)

    def forward(self, tracks):
        return self.head(self.cell(tracks)[0][:, -1])


class RecurrentCell(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, x):
        h = c = x.new_zeros(x.shape[0], 4)
        for step in x.unbind(1):
            h, c = self.cell(step, (h, c))
        return h


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, particles, mask):
        return self.attention(particles, particles, particles, key_padding_mask=mask)[0]


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 3)

    def forward(self, particles):
        return self.head(self.encoder(particles).mean(dim=1))


class CausalTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(20, 8)
        self.positions = nn.Parameter(torch.randn(32, 8))
        self.query = nn.Linear(8, 24)
        self.head = nn.Linear(8, 20)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions[: tokens.shape[1]]
        q, k, v = self.query(x).chunk(3, dim=-1)
        x = x + functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(functional.layer_norm(x, (8,)))


class DeepSets(nn.Module):
    def __init__(self):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
        self.rho = nn.Linear(8, 2)

    def forward(self, particles, valid):
        weight = valid.to(particles.dtype).unsqueeze(-1)
        return self.rho((self.phi(particles) * weight).sum(dim=1))


class Graph(nn.Module):
    """Messages along edges, summed by what is given."""

    def __init__(self, how: str):
        super().__init__()
        self.how = how
        self.message = nn.Linear(6, 5)
        self.update = nn.Linear(8, 2)

    def forward(self, nodes, edges):
        source, target = edges[0], edges[1]
        message = self.message(torch.cat([nodes[source], nodes[target]], dim=-1)).relu()
        total = nodes.new_zeros(nodes.shape[0], 5)
        index = target.unsqueeze(-1).expand(-1, 5)
        if self.how == "index_add":
            total = total.index_add(0, target, message)
        elif self.how == "scatter_add":
            total = total.scatter_add(0, index, message)
        elif self.how == "index_put":
            total = total.index_put((target,), message, accumulate=True)
        else:
            total = total.scatter_reduce(0, index, message, reduce=self.how)
        return self.update(torch.cat([nodes, total], dim=-1))


class EdgeConv(nn.Module):
    """ParticleNet's: neighbours by distance."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.Conv2d(6, 4, 1)

    def forward(self, points):
        inner = 2 * points.transpose(1, 2) @ points
        norm = (points**2).sum(dim=1, keepdim=True)
        distance = norm.transpose(1, 2) - inner + norm
        index = distance.topk(4, dim=-1, largest=False)[1][:, :, 1:]
        n_batch, n_dims, n_points = points.shape
        flat = index.reshape(n_batch, 1, -1).expand(-1, n_dims, -1)
        neighbours = points.gather(2, flat).reshape(n_batch, n_dims, n_points, 3)
        centre = points.unsqueeze(-1).expand_as(neighbours)
        return self.mlp(torch.cat([centre, neighbours - centre], dim=1)).relu().mean(-1).mean(-1)


class Embeddings(nn.Module):
    def __init__(self):
        super().__init__()
        self.kind = nn.Embedding(11, 4, padding_idx=0)
        self.bag = nn.Linear(6, 3)

    def forward(self, kind, x):
        return self.bag(torch.cat([self.kind(kind), x], dim=-1))


class ManyInsAndOuts(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(5, 4)

    def forward(self, jets, leptons, scale: float = 2.0):
        x = self.a(jets) * scale + self.b(leptons)
        return x, x.sum(dim=-1), x.argmax(dim=-1)


class DictOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x):
        y = self.layer(x)
        return {"logits": y, "probability": y.sigmoid(), "note": None}


class DictIn(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, batch, shift=None):
        y = self.layer(batch["x"]) + batch["y"]
        return y if shift is None else y + shift


class Coupling(nn.Module):
    """A step of a normalising flow, with its log determinant."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, x):
        fixed, moved = x.chunk(2, dim=-1)
        shift, scale = self.net(fixed).chunk(2, dim=-1)
        return torch.cat([fixed, moved * scale.exp() + shift], dim=-1), scale.sum(dim=-1)


class Spline(nn.Module):
    """Bins looked up by searchsorted and gather, as in spline flows."""

    def __init__(self):
        super().__init__()
        self.register_buffer("edges", torch.linspace(-3, 3, 9))
        self.heights = nn.Parameter(torch.randn(10))

    def forward(self, x):
        return self.heights[torch.bucketize(x, self.edges)] * x


class Branch(nn.Module):
    def __init__(self, how: str):
        super().__init__()
        self.how = how
        self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x):
        if self.how == "where":
            return torch.where(x.sum(dim=-1, keepdim=True) > 0, self.a(x), self.b(x))
        if self.how == "cond":
            return torch.cond(x.sum() > 0, self.a, self.b, (x,))
        if self.how == "item":
            return self.a(x) * x.abs().max().item()
        return self.a(x) if x.sum() > 0 else self.b(x)


class ShapeBranch(nn.Module):
    """Another formula for large batches: an exporter sees one of them."""

    def forward(self, x):
        return x.exp() if x.shape[0] > 20 else x.sin()


class LateShapeBranch(nn.Module):
    """Another formula for batches larger than any that is tried by itself."""

    def forward(self, x):
        return x.exp() if x.shape[0] > 500 else x.sin()


class FakeQuantized(nn.Module):
    def __init__(self, per_channel: bool):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.per_channel = per_channel

    def forward(self, x):
        x = torch.fake_quantize_per_tensor_affine(x, 0.05, 3, -128, 127)
        weight = self.layer.weight
        if self.per_channel:
            scale, zero = torch.tensor([0.02, 0.03, 0.01]), torch.zeros(3, dtype=torch.int32)
            weight = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -128, 127)
        else:
            weight = torch.fake_quantize_per_tensor_affine(weight, 0.02, 0, -128, 127)
        return functional.linear(x, weight, self.layer.bias)


class Pointwise(nn.Module):
    def forward(self, x):
        y = [
            x.abs().sqrt(), x.tanh(), x.erf(), x.clamp(-1, 2), x.sign(), x.floor(),
            torch.atan2(x, x.flip(-1)), x.abs().log1p(), functional.softplus(x),
            functional.leaky_relu(x, 0.2), functional.elu(x), functional.hardswish(x),
            functional.mish(x), torch.logaddexp(x, x * 2), x.remainder(0.7), x.round(),
        ]  # fmt: skip
        return torch.stack(y, dim=-1)


class FourMomentum(nn.Module):
    """From (pt, eta, phi, m) to (E, px, py, pz), and the mass of the sum."""

    def forward(self, p4):
        pt, eta, phi, mass = p4.unbind(-1)
        px, py, pz = pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()
        energy = (px**2 + py**2 + pz**2 + mass**2).sqrt()
        total = torch.stack([energy, px, py, pz], dim=-1).sum(dim=1)
        return (total[:, 0] ** 2 - (total[:, 1:] ** 2).sum(dim=-1)).clamp(min=0).sqrt()


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.Sequential(
            nn.BatchNorm1d(6), nn.LayerNorm(8), nn.InstanceNorm1d(6), nn.GroupNorm(3, 6),
            nn.LocalResponseNorm(2), nn.RMSNorm(8),
        )  # fmt: skip
        self.parts[0].running_mean.uniform_(-1, 1)
        self.parts[0].running_var.uniform_(0.5, 2)

    def forward(self, x):
        return self.parts(x)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1)

    def forward(self, image):
        code = self.down(image).relu()
        grown = functional.interpolate(code, scale_factor=2, mode="bilinear", align_corners=False)
        return self.up(code), grown.mean(dim=(1, 2, 3))


class Conv3d(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(1, 2, 3), nn.PReLU(), nn.AvgPool3d(2), nn.Flatten())

    def forward(self, shower):
        return self.body(shower)


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair = nn.Bilinear(3, 3, 2)
        self.matrix = nn.Parameter(torch.randn(3, 3))

    def forward(self, x):
        return self.pair(x, x @ self.matrix), torch.einsum("bi,ij,bj->b", x, self.matrix, x)


class MixtureOfExperts(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(4, 3) for _ in range(4))
        self.gate = nn.Linear(4, 4)

    def forward(self, x):
        weight, index = self.gate(x).softmax(-1).topk(2, dim=-1)
        every = torch.stack([expert(x) for expert in self.experts], dim=1)
        chosen = every.gather(1, index.unsqueeze(-1).expand(-1, -1, 3))
        return (chosen * weight.unsqueeze(-1)).sum(dim=1)


class PairBias(nn.Module):
    """Attention with a bias from the distances of pairs, as in ParticleTransformer."""

    def __init__(self):
        super().__init__()
        self.embed, self.bias = nn.Linear(4, 16), nn.Conv2d(1, 2, 1)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, particles):
        bias = self.bias(torch.cdist(particles, particles).unsqueeze(1)).flatten(0, 1)
        x = self.embed(particles)
        return self.attention(x, x, x, attn_mask=bias, need_weights=False)[0].amax(dim=1)


class Leading(nn.Module):
    """The leading values, and which they are."""

    def forward(self, x):
        return torch.topk(x, 2)


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


class Nonzero(nn.Module):
    def forward(self, x):
        return x[x > 0].sum().reshape(1)


class NonzeroLoop(nn.Module):
    def forward(self, x):
        total = torch.zeros(2)
        for i in range(int(x.abs().sum())):
            total = total + i
        return total


class Fft(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x).abs()


class Unusual(nn.Module):
    """Uses an operator that ONNX has nothing for."""

    def forward(self, x):
        return torch.linalg.eigvalsh(x @ x.transpose(1, 2))


class HalfCast(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x.float()).half()


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network to convert.

    Attributes:
        make: Makes it.
        inputs: Makes other inputs of a size, by name, in the order of the forward's arguments.
        size: Of the example inputs.
        dynamic: Axes that may vary beside the batch.
        fixed: It takes no other size than that of the example.
        refused: Pattern of the reason why it must be refused.
        tolerance: None for the default.
    """

    make: Callable[[], Any]
    inputs: Callable[[int], dict[str, Any]]
    size: int = 3
    dynamic: dict[str, tuple[int, ...]] = field(default_factory=dict)
    fixed: bool = False
    refused: str = ""
    tolerance: float | None = None


def x(*shape, **kwargs):
    """Inputs of one tensor x."""
    return lambda n: {kwargs.get("name", "x"): torch.randn(n, *shape)}


def graph(n):
    return {
        "nodes": torch.randn(n + 4, 3),
        "edges": torch.randint(n + 4, (2, 3 * n)),
    }


def masked(n):
    mask = torch.rand(n, 6) < 0.3
    mask[:, 0] = False
    return {"particles": torch.randn(n, 6, 8), "mask": mask}


def flow(n):
    return {"x": torch.randn(n, 4)}


GRAPH = {"dynamic": {"edges": (1,)}}

NETWORKS = {
    "mlp": Network(make=Mlp, inputs=x(4)),
    "mlp, one event": Network(make=Mlp, inputs=x(4), size=1),
    "mlp, float64": Network(
        make=lambda: Mlp().double(), inputs=lambda n: {"x": torch.randn(n, 4).double()}
    ),
    "mlp, float16": Network(
        make=lambda: Mlp().half(), inputs=lambda n: {"x": torch.randn(n, 4).half()}
    ),
    "cast to float16": Network(make=HalfCast, inputs=x(4)),
    "cnn": Network(make=Cnn, inputs=x(1, 8, 8, name="image")),
    "residual": Network(make=Residual, inputs=x(3, 10)),
    "gru": Network(make=lambda: Recurrent("GRU"), inputs=x(6, 5, name="tracks")),
    "lstm": Network(make=lambda: Recurrent("LSTM"), inputs=x(6, 5, name="tracks")),
    "rnn": Network(make=lambda: Recurrent("RNN"), inputs=x(6, 5, name="tracks")),
    "lstm cell": Network(make=RecurrentCell, inputs=x(4, 3)),
    "attention": Network(make=Attention, inputs=masked),
    "transformer": Network(make=Transformer, inputs=x(6, 8, name="particles")),
    "transformer, any length": Network(
        make=Transformer,
        inputs=lambda n: {"particles": torch.randn(n, n + 4, 8)},
        dynamic={"particles": (1,)},
    ),
    "causal transformer": Network(
        make=CausalTransformer,
        inputs=lambda n: {"tokens": torch.randint(20, (n, n + 3))},
        dynamic={"tokens": (1,)},
    ),
    "deep sets": Network(
        make=DeepSets,
        inputs=lambda n: {
            "particles": torch.randn(n, n + 5, 4),
            "valid": torch.rand(n, n + 5) < 0.7,
        },
        dynamic={"particles": (1,), "valid": (1,)},
    ),
    "graph, index_add": Network(make=lambda: Graph("index_add"), inputs=graph, **GRAPH),
    "graph, scatter_add": Network(make=lambda: Graph("scatter_add"), inputs=graph, **GRAPH),
    "graph, index_put": Network(make=lambda: Graph("index_put"), inputs=graph, **GRAPH),
    "graph, amax": Network(make=lambda: Graph("amax"), inputs=graph, **GRAPH),
    "graph, mean": Network(make=lambda: Graph("mean"), inputs=graph, **GRAPH),
    "edge convolution": Network(make=EdgeConv, inputs=x(3, 7, name="points")),
    "embeddings": Network(
        make=Embeddings,
        inputs=lambda n: {"kind": torch.randint(11, (n,)), "x": torch.randn(n, 2)},
        size=8,
    ),
    "many inputs and outputs": Network(
        make=ManyInsAndOuts,
        inputs=lambda n: {"jets": torch.randn(n, 3), "leptons": torch.randn(n, 5)},
    ),
    "dict of outputs": Network(make=DictOut, inputs=x(3)),
    "coupling": Network(make=Coupling, inputs=flow),
    "spline": Network(make=Spline, inputs=flow),
    "branch, where": Network(make=lambda: Branch("where"), inputs=x(3)),
    "branch, cond": Network(make=lambda: Branch("cond"), inputs=x(3)),
    "branch, if": Network(
        make=lambda: Branch("if"), inputs=x(3), refused="data-dependent control flow"
    ),
    "branch, item": Network(make=lambda: Branch("item"), inputs=x(3)),
    "branch on the batch": Network(make=ShapeBranch, inputs=x(3), fixed=True),
    "branch on large batches": Network(make=LateShapeBranch, inputs=x(3), fixed=True),
    "fake quantised": Network(make=lambda: FakeQuantized(False), inputs=x(4), tolerance=0.06),
    "fake quantised by channel": Network(
        make=lambda: FakeQuantized(True), inputs=x(4), tolerance=0.06
    ),
    "pointwise": Network(make=Pointwise, inputs=x(5)),
    "four-momenta": Network(
        make=FourMomentum,
        inputs=lambda n: {"p4": torch.rand(n, 3, 4) * torch.tensor([50, 2, 3, 1])},
        tolerance=1e-3,
    ),
    "norms": Network(make=Norms, inputs=x(6, 8)),
    "autoencoder": Network(make=Autoencoder, inputs=x(1, 8, 8, name="image")),
    "conv3d": Network(make=Conv3d, inputs=x(1, 6, 6, 6, name="shower")),
    "bilinear": Network(make=Bilinear, inputs=x(3)),
    "mixture of experts": Network(make=MixtureOfExperts, inputs=x(4)),
    "pair bias": Network(
        make=PairBias,
        inputs=lambda n: {"particles": torch.randn(n, n + 3, 4)},
        dynamic={"particles": (1,)},
        tolerance=1e-3,  # cdist takes a less exact formula for more than 25 particles
    ),
    "leading": Network(make=Leading, inputs=x(5)),
    "fft": Network(make=Fft, inputs=x(8)),
    "boolean index": Network(make=Nonzero, inputs=x(3)),
    "noise": Network(make=Noise, inputs=x(3), refused="random numbers"),
    "loop over a value": Network(make=NonzeroLoop, inputs=x(3), refused="data-dependent"),
    "eigenvalues": Network(make=Unusual, inputs=x(3, 3), refused="operator"),
}
