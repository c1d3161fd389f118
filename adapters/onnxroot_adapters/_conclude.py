"""From what an exporter made to a conversion: normal form, then proof."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from onnx import ModelProto

from onnxroot.adapter import Conversion, Options
from onnxroot_adapters._normalise import normalise
from onnxroot_adapters._prove import BATCH_SIZES, Input, Predict, prove

__all__ = ["conclude", "digest_of"]


def conclude(  # noqa: PLR0913  (all are named where it is called)
    model: ModelProto,
    *,
    inputs: Sequence[Input],
    predict: Predict,
    options: Options,
    provenance: Mapping[str, str],
    graph_name: str = "main",
    rename: bool = False,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    weight_names: Mapping[str, str] | None = None,
) -> Conversion:
    """Normalise and prove a model.

    Args:
        model: What the exporter made.
        inputs: What may be given to it.
        predict: What the framework makes of that.
        options: What the user says about it.
        provenance: Framework, exporter and source, see `onnxroot.adapter.Conversion`.
        graph_name: See `normalise`.
        rename: See `normalise`.
        batch_sizes: See `prove`.
        weight_names: See `normalise`.

    Raises:
        UnsupportedModelError: It is not valid, or not the same.
        FormatError: The user's samples do not fit.
        MissingDependencyError: onnxruntime is not installed.
    """
    normal = normalise(
        model,
        graph_name=graph_name,
        rename=rename,
        weight_names=weight_names,
        keep_debug_info=options.keep_debug_info,
    )
    batches = prove(normal, inputs, predict, options, batch_sizes=batch_sizes)
    return Conversion(model=normal, provenance=dict(provenance), batches=batches)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder, that of its files' names and digests in order."""
    digest = hashlib.sha256()
    if path.is_file():
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        return digest.hexdigest()
    for inner in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{inner.relative_to(path).as_posix()}\0{digest_of(inner)}\n".encode())
    return digest.hexdigest()
