"""What a golden model is made of, before it stands on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

__all__ = ["SEED", "Array", "Golden", "Samples", "serialize"]

Array = npt.NDArray[Any]

SEED = 20261123
"""Seed of everything that is drawn."""

PRODUCER = "onnxroot golden models"
"""The producer_name of the models that no exporter made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Sample inputs of a runnable model and what it must answer.

    Attributes:
        inputs: Arrays by name of the graph input.
        outputs: Arrays by name of the graph output. A sequence of maps stands as a float32 matrix:
            one row per map, one column per key, keys sorted.
        rtol: Largest relative difference that a runtime may show; 0 asks for equality.
        atol: Largest absolute difference on top of that.
        source: What computed the outputs.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    rtol: float = 0.0
    atol: float = 0.0
    source: str

    def save(self, path: Path) -> None:
        """Write a ``.npz`` with keys ``input.<name>`` and ``output.<name>``."""
        arrays = {f"input.{name}": array for name, array in self.inputs.items()}
        arrays |= {f"output.{name}": array for name, array in self.outputs.items()}
        np.savez_compressed(path, allow_pickle=False, **arrays)

    def check(self, path: Path) -> None:
        """Run the model in onnxruntime and compare.

        Args:
            path: The ``.onnx``; its external files lie beside it.

        Raises:
            RuntimeError: An output is not what was expected.
        """
        import onnxruntime  # noqa: PLC0415  (only runnable models need it)

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found = session.run(list(self.outputs), dict(self.inputs))
        for (name, expected), value in zip(self.outputs.items(), found, strict=True):
            actual = _as_array(value)
            if actual.shape != expected.shape or not self._agree(actual, expected):
                raise RuntimeError(f"{path.name}: {name} differs from what {self.source} gave")

    def _agree(self, actual: Array, expected: Array) -> bool:
        if expected.dtype.kind == "U":  # onnxruntime returns Python strings
            return bool(np.array_equal(actual.astype(np.str_), expected))
        same = actual.dtype == expected.dtype
        return same and bool(np.allclose(actual, expected, rtol=self.rtol, atol=self.atol))


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One golden model.

    Attributes:
        onnx: The bytes of the ``.onnx`` file.
        guards: What breaks when this model stops coming back identical.
        made_by: What made the bytes.
        packages: Distributions whose versions shaped the bytes, besides onnx and protobuf.
        seed: What random numbers started from, if any were drawn.
        external: Contents of the external files by relative path.
        samples: For a runnable model.
        checkable: Whether ``onnx.checker`` must accept the model.
    """

    onnx: bytes
    guards: str
    made_by: str
    packages: tuple[str, ...] = ()
    seed: int | None = None
    external: Mapping[str, bytes] = field(default_factory=dict)
    samples: Samples | None = None
    checkable: bool = True


def serialize(model: onnx.ModelProto) -> bytes:
    """Return the model's bytes, as the installed protobuf lays them out."""
    return bytes(model.SerializeToString(deterministic=True))


def _as_array(value: Any) -> Array:
    """Return an output of onnxruntime as one array: see `Samples.outputs`."""
    if isinstance(value, list):
        return np.array([[row[key] for key in sorted(row)] for row in value], np.float32)
    return np.asarray(value)
