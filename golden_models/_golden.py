"""What a golden model is made of, before it stands on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

__all__ = ["SEED", "Array", "Golden", "Samples", "exported", "serialize"]

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
        source: Contents of the files that the framework wrote, by relative path.
        convert: What `onnxroot.convert` is to be given: ``file``, one of these or their folder, and
            ``options``, as in `onnxroot.adapter.Options`. With ``as_converted``, the ROOT file is
            what it makes of the source: it holds provenance and samples besides the model.
        samples: For a runnable model.
        checkable: Whether ``onnx.checker`` must accept the model.
    """

    onnx: bytes
    guards: str
    made_by: str
    packages: tuple[str, ...] = ()
    seed: int | None = None
    external: Mapping[str, bytes] = field(default_factory=dict)
    source: Mapping[str, bytes] = field(default_factory=dict)
    convert: Mapping[str, Any] = field(default_factory=dict)
    samples: Samples | None = None
    checkable: bool = True


def exported(
    file: str,
    save: Callable[[Path], None],
    *,
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    framework: str,
    guards: str,
    packages: Sequence[str],
    options: Mapping[str, Any] | None = None,
    as_converted: bool = False,
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> Golden:
    """Let a framework write a model, and its adapter convert it as a user would.

    Args:
        file: Name of the file or folder that is to be converted.
        save: Writes it, and what belongs beside it, where it is told.
        inputs: Samples, in the order of the ONNX model's inputs.
        outputs: What the framework makes of them, in the order of the ONNX model's outputs; they
            are kept in the types of these.
        framework: Its name.
        guards: See `Golden`.
        packages: See `Golden`.
        options: For the conversion.
        as_converted: See `Golden.convert`.
        rtol: See `Samples`.
        atol: See `Samples`.
    """
    from onnxroot.adapter import Options, find_adapter  # noqa: PLC0415  (others are made without)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        save(path)
        found = find_adapter(path)
        if found is None:
            raise RuntimeError(f"no adapter knows {file}")
        given = Options(**dict(options or {}))
        conversion = found[0].convert(path, given)
        source = {
            place.relative_to(folder).as_posix(): place.read_bytes()
            for place in sorted(Path(folder).rglob("*"))
            if place.is_file()
        }
    how: dict[str, Any] = {"file": file, "options": dict(options or {})}
    if as_converted:
        how["as_converted"] = True
    graph = conversion.model.graph
    named = [
        {value.name: _typed(array, value) for value, array in zip(values, arrays, strict=True)}
        for values, arrays in ((graph.input, inputs), (graph.output, outputs))
    ]
    return Golden(
        onnx=serialize(conversion.model),
        guards=guards,
        made_by=f"the adapter to {framework}, of {file}",
        packages=("numpy", "onnxroot", *packages),
        seed=SEED,
        source=source,
        convert=how,
        samples=Samples(inputs=named[0], outputs=named[1], rtol=rtol, atol=atol, source=framework),
    )


def serialize(model: onnx.ModelProto) -> bytes:
    """Return the model's bytes, as the installed protobuf lays them out."""
    return bytes(model.SerializeToString(deterministic=True))


def _typed(array: Array, value: onnx.ValueInfoProto) -> Array:
    """Return an array in the type of an input or output; texts in NumPy's own type."""
    from onnx import TensorProto, helper  # noqa: PLC0415  (not needed for --check)

    element_type = value.type.tensor_type.elem_type
    if element_type == TensorProto.STRING:
        return array.astype(np.str_)
    return array.astype(helper.tensor_dtype_to_np_dtype(element_type))


def _as_array(value: Any) -> Array:
    """Return an output of onnxruntime as one array: see `Samples.outputs`."""
    if isinstance(value, list):
        return np.array([[row[key] for key in sorted(row)] for row in value], np.float32)
    return np.asarray(value)
