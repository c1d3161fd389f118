"""A network trained and exported with PyTorch."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from _golden import SEED, Array, Golden, Samples, serialize
from _toys import JET_CLASSES, JETS, draw_jets

if TYPE_CHECKING:
    from torch import nn

__all__ = ["make"]

_OPSET = 20


def make() -> Golden:
    """Train a small network that tells five kinds of jets apart, and export it with PyTorch."""
    features, labels = draw_jets(4096, SEED)
    network = _train_tagger(features, labels)
    sample, _ = draw_jets(8, SEED + 1)
    return Golden(
        onnx=_export_tagger(network, sample),
        guards="a typical physics network: float weights in raw_data, normalisation, a free batch "
        "axis, and the metadata that PyTorch's exporter adds",
        made_by="torch.onnx.export(dynamo=True) of a network trained on synthetic jets",
        packages=("numpy", "torch", "onnxscript", "onnx-ir"),
        seed=SEED,
        samples=Samples(
            inputs={"features": sample},
            outputs={"probabilities": _predict(network, sample)},
            rtol=1e-5,
            atol=1e-6,
            source="PyTorch",
        ),
    )


def _train_tagger(features: Array, labels: Array) -> nn.Sequential:
    """Return the trained network, in evaluation mode."""
    import torch  # noqa: PLC0415  (each model needs its own framework only)

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    network = _tagger_layers()
    inputs, targets = torch.from_numpy(features), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        scores = network[:-1](inputs)  # without the softmax, which this loss brings along
        torch.nn.functional.cross_entropy(scores, targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    network.eval()
    return network


def _tagger_layers() -> nn.Sequential:
    """Return the untrained network: 16 features, two hidden layers, 5 probabilities."""
    from torch import nn  # noqa: PLC0415

    layers: list[tuple[str, nn.Module]] = [
        ("scaling", nn.BatchNorm1d(len(JETS))),
        ("hidden1", nn.Linear(len(JETS), 64)),
        ("norm1", nn.BatchNorm1d(64)),
        ("relu1", nn.ReLU()),
        ("hidden2", nn.Linear(64, 32)),
        ("norm2", nn.BatchNorm1d(32)),
        ("relu2", nn.ReLU()),
        ("score", nn.Linear(32, len(JET_CLASSES))),
        ("softmax", nn.Softmax(dim=1)),
    ]
    return nn.Sequential(OrderedDict(layers))


def _export_tagger(network: nn.Sequential, sample: Array) -> bytes:
    """Return the ONNX bytes, without the stack traces that name local files."""
    import onnx_ir  # noqa: PLC0415  (each model needs its own framework only)
    import torch  # noqa: PLC0415
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass  # noqa: PLC0415

    program = torch.onnx.export(
        network,
        (torch.from_numpy(sample),),
        input_names=["features"],
        output_names=["probabilities"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:  # what torch's annotation allows when it writes a file itself
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model
    ClearMetadataAndDocStringPass()(model)
    model.graph.name = "mlp_jet_tagger"
    return serialize(onnx_ir.serde.serialize_model(model))


def _predict(network: nn.Sequential, sample: Array) -> Array:
    """Return the network's probabilities, float32 (n_jets, 5)."""
    import torch  # noqa: PLC0415  (each model needs its own framework only)

    with torch.no_grad():
        probabilities: Array = network(torch.from_numpy(sample)).numpy()
    return probabilities
