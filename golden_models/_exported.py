"""Models that a framework trained and its own exporter wrote."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
from _golden import SEED, Array, Golden, Samples, serialize

if TYPE_CHECKING:
    from torch import nn

__all__ = ["gradient_boosting", "mlp_jet_tagger"]

_OPSET = 20

_JET_CLASSES = ("gluon", "quark", "W", "Z", "top")

_JETS = {
    # feature: (typical value for each class, spread)
    "log_pt": ((6.9, 6.9, 6.9, 6.9, 6.9), 0.1),
    "mass": ((95.0, 72.0, 88.0, 98.0, 176.0), 28.0),
    "groomed_mass": ((38.0, 27.0, 80.4, 91.2, 172.5), 14.0),
    "n_constituents": ((58.0, 39.0, 41.0, 42.0, 63.0), 11.0),
    "n_charged": ((34.0, 22.0, 23.0, 24.0, 36.0), 7.0),
    "charged_fraction": ((0.61, 0.62, 0.63, 0.61, 0.62), 0.09),
    "width": ((0.14, 0.09, 0.11, 0.12, 0.18), 0.05),
    "pt_dispersion": ((0.26, 0.38, 0.31, 0.31, 0.24), 0.08),
    "leading_fraction": ((0.13, 0.24, 0.17, 0.17, 0.12), 0.06),
    "displaced_tracks": ((0.3, 0.3, 0.4, 1.1, 1.9), 0.8),
    "tau1": ((0.16, 0.11, 0.12, 0.13, 0.20), 0.05),
    "tau21": ((0.68, 0.66, 0.36, 0.37, 0.58), 0.13),
    "tau32": ((0.77, 0.76, 0.74, 0.74, 0.48), 0.12),
    "c2": ((0.24, 0.19, 0.14, 0.15, 0.25), 0.06),
    "d2": ((2.3, 2.2, 1.2, 1.3, 1.9), 0.5),
    "n2": ((0.33, 0.32, 0.21, 0.22, 0.30), 0.05),
}
"""Sixteen jet observables of a toy simulation; the numbers are plausible, not measured."""


def mlp_jet_tagger() -> Golden:
    """Train a small network that tells five kinds of jets apart, and export it with PyTorch."""
    features, labels = _draw_jets(4096, SEED)
    network = _train_tagger(features, labels)
    sample, _ = _draw_jets(8, SEED + 1)
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


def gradient_boosting() -> Golden:
    """Train boosted trees that find a signal, and export them with skl2onnx."""
    import skl2onnx  # noqa: PLC0415  (each model needs its own framework only)
    from sklearn.ensemble import GradientBoostingClassifier  # noqa: PLC0415

    events, labels = _draw_events(4000, SEED)
    trees = GradientBoostingClassifier(n_estimators=50, max_depth=3, random_state=SEED)
    trees.fit(events, labels)
    sample, _ = _draw_events(16, SEED + 1)
    opset = {"": _OPSET, "ai.onnx.ml": 3}
    model = skl2onnx.to_onnx(trees, events[:1], name="gradient_boosting", target_opset=opset)
    return Golden(
        onnx=serialize(model),
        guards="trees: one node with long lists of ints, floats and strings; the ai.onnx.ml "
        "operators; an output that is a sequence of maps with string keys",
        made_by="skl2onnx.to_onnx of a GradientBoostingClassifier trained on synthetic events",
        packages=("numpy", "scikit-learn", "skl2onnx"),
        seed=SEED,
        samples=Samples(
            inputs={"X": sample},
            outputs={
                "output_label": trees.predict(sample).astype(str),
                "output_probability": trees.predict_proba(sample).astype(np.float32),
            },
            rtol=1e-5,
            atol=1e-6,
            source="scikit-learn",
        ),
    )


def _draw_jets(n_jets: int, seed: int) -> tuple[Array, Array]:
    """Return features, float32 (n_jets, 16), and class numbers, int64 (n_jets,)."""
    random = np.random.default_rng(seed)
    labels = random.integers(len(_JET_CLASSES), size=n_jets)
    typical = np.array([values for values, _ in _JETS.values()]).T
    spread = np.array([spread for _, spread in _JETS.values()])
    shared = random.normal(size=(n_jets, 1))  # what all features of one jet have in common
    noise = 0.4 * shared + 0.9 * random.normal(size=(n_jets, len(_JETS)))
    return (typical[labels] + spread * noise).astype(np.float32), labels


def _draw_events(n_events: int, seed: int) -> tuple[Array, Array]:
    """Return two-lepton events, float32 (n_events, 6), and ``signal`` or ``background``."""
    random = np.random.default_rng(seed)
    is_signal = random.random(n_events) < 0.4
    mass = np.where(
        is_signal, random.normal(125.0, 6.0, n_events), 60.0 + random.exponential(50.0, n_events)
    )
    lepton_pt = np.sort(random.gamma(3.0, 12.0 + 4.0 * is_signal[:, None], (n_events, 2)))[:, ::-1]
    missing_pt = random.exponential(20.0 + 15.0 * is_signal, n_events)
    angle = np.abs(random.normal(2.4 - 0.6 * is_signal, 0.5, n_events))
    n_jets = random.poisson(1.0 + is_signal, n_events)
    events = np.column_stack([mass, lepton_pt, missing_pt, angle, n_jets])
    return events.astype(np.float32), np.where(is_signal, "signal", "background")


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
        ("scaling", nn.BatchNorm1d(len(_JETS))),
        ("hidden1", nn.Linear(len(_JETS), 64)),
        ("norm1", nn.BatchNorm1d(64)),
        ("relu1", nn.ReLU()),
        ("hidden2", nn.Linear(64, 32)),
        ("norm2", nn.BatchNorm1d(32)),
        ("relu2", nn.ReLU()),
        ("score", nn.Linear(32, len(_JET_CLASSES))),
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
