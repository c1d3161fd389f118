"""Networks of PyTorch: trained a little, and saved as PyTorch saves them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from _golden import SEED, Array, Golden, exported

__all__ = ["PACKAGES", "exported_program", "predict", "seeded", "train"]

PACKAGES = ("torch", "onnxscript", "onnx-ir")


def seeded() -> None:
    """Let PyTorch draw and add up the same numbers every time."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)


def train(
    network: torch.nn.Module, inputs: Sequence[Array], labels: Array, n_steps: int = 40
) -> torch.nn.Module:
    """Fit scores, shape (n, n_classes), to class numbers; return the network, ready to be used."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    given, targets = [torch.from_numpy(array) for array in inputs], torch.from_numpy(labels)
    for _ in range(n_steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(*given), targets).backward()
        optimizer.step()
    return network.eval()


def predict(network: torch.nn.Module, inputs: Sequence[Array]) -> Array:
    """Return what a network makes of arrays."""
    with torch.no_grad():
        return network(*map(torch.from_numpy, inputs)).numpy()


def exported_program(
    name: str,
    network: torch.nn.Module,
    inputs: dict[str, Array],
    *,
    guards: str,
    dynamic: Any = None,
    **tolerance: float,
) -> Golden:
    """Return the golden model of a network that is saved with ``torch.export.save``.

    Args:
        name: Of the file, without its ending.
        network: In evaluation mode.
        inputs: Samples by name of the argument of ``forward``, in order.
        guards: See `Golden`.
        dynamic: Axes that may vary, as ``torch.export.export`` wants them; the first by default.
        tolerance: See `exported`.
    """
    axes = dynamic or {key: {0: torch.export.Dim("batch")} for key in inputs}
    example = tuple(map(torch.from_numpy, inputs.values()))
    program = torch.export.export(network, example, dynamic_shapes=axes)
    return exported(
        f"{name}.pt2",
        _saver(program),
        inputs=list(inputs.values()),
        outputs=[predict(network, list(inputs.values()))],
        framework="PyTorch",
        guards=guards,
        packages=PACKAGES,
        **tolerance,
    )


def _saver(program: torch.export.ExportedProgram) -> Callable[[Path], None]:
    """Return what saves a program without the source lines of the machine it was made on."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
                node.meta.pop("nn_module_stack", None)
    return lambda path: torch.export.save(program, path)
