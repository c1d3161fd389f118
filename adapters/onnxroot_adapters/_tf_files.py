"""What files and folders of Keras and TensorFlow are, by their content; nothing is run."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from onnxroot.errors import FormatError
from onnxroot_adapters._archives import names_in

__all__ = [
    "ARCHITECTURE",
    "FULL_HDF5",
    "GRAPH_DEF",
    "KERAS_ARCHIVE",
    "SAVED_MODEL",
    "TFLITE",
    "WEIGHTS",
    "architecture_beside",
    "describe_file",
    "read_architecture",
]

KERAS_ARCHIVE = "a .keras archive"
FULL_HDF5 = "a Keras model in HDF5"
WEIGHTS = "weights of a Keras model in HDF5"
ARCHITECTURE = "the architecture of a Keras model, without weights"
SAVED_MODEL = "a TensorFlow SavedModel"
GRAPH_DEF = "a frozen TensorFlow graph"
TFLITE = "a TensorFlow Lite model"

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_HDF5_SUFFIXES = {".h5", ".hdf5", ".keras"}
_MOST_JSON_NBYTES = 1 << 26


def describe_file(path: Path) -> str | None:  # noqa: PLR0911  (one for each kind)
    """Return one of the descriptions above; None if it is something else."""
    if path.is_dir():
        return SAVED_MODEL if _is_saved_model(path) else None
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(1 << 12)
    if head[:2] == b"PK":
        return KERAS_ARCHIVE if _is_keras_archive(path) else None
    if head[:8] == _HDF5_MAGIC:
        return _describe_hdf5(path)
    if head[4:8] == b"TFL3":
        return TFLITE
    if path.name == "saved_model.pb" and head[:2] == b"\x08\x01":
        return SAVED_MODEL
    if head.lstrip()[:1] in (b"{", b'"') and path.suffix == ".json":
        with suppress(FormatError):
            return ARCHITECTURE if read_architecture(path) else None
        return None
    return GRAPH_DEF if _begins_like_graph_def(head) else None


def _is_saved_model(path: Path) -> bool:
    return (path / "saved_model.pb").is_file()


def _is_keras_archive(path: Path) -> bool:
    names = set(names_in(path))
    if not names:
        return path.suffix == ".keras"  # a damaged one: opening it says so
    return "config.json" in names and ("model.weights.h5" in names or "metadata.json" in names)


def _describe_hdf5(path: Path) -> str | None:
    try:
        import h5py  # noqa: PLC0415  (not everybody has it)
    except ImportError:
        return FULL_HDF5 if path.suffix in _HDF5_SUFFIXES else None
    try:
        with h5py.File(path, "r") as file:
            if "model_config" in file.attrs:
                return FULL_HDF5
            attributes, groups = set(file.attrs), set(file)
    except (OSError, KeyError, RuntimeError):
        return FULL_HDF5 if path.suffix in _HDF5_SUFFIXES else None
    legacy = any(name.startswith("layer_names") for name in attributes)
    if legacy or "model_weights" in groups or groups & {"layers", "_layer_checkpoint_dependencies"}:
        return WEIGHTS
    return None


# --- GraphDef ------------------------------------------------------------------------------------


def _begins_like_graph_def(head: bytes) -> bool:
    """Say whether bytes begin with ``node { name: ... op: ... }``, as a GraphDef does."""
    if head[:1] != b"\x0a":
        return False
    _, position = _varint(head, 1)
    if position is None or head[position : position + 1] != b"\x0a":
        return False
    size, position = _varint(head, position + 1)
    if position is None:
        return False
    name, rest = head[position : position + size], head[position + size :]
    if not name or not _is_word(name, b"_./-\\>") or rest[:1] != b"\x12":
        return False
    size, position = _varint(rest, 1)
    operator = rest[position : position + size] if position is not None else b""
    return bool(operator) and operator[:1].isalpha() and _is_word(operator, b"_>")


def _is_word(text: bytes, more: bytes) -> bool:
    return all(byte in more or bytes([byte]).isalnum() for byte in text)


def _varint(data: bytes, position: int) -> tuple[int, int | None]:
    value = 0
    for i, byte in enumerate(data[position : position + 5]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    return 0, None


# --- architectures -------------------------------------------------------------------------------


def read_architecture(path: Path) -> dict[str, Any]:
    """Return what a ``.json`` file says of a network.

    Raises:
        FormatError: It is not what Keras writes.
    """
    try:
        if path.stat().st_size > _MOST_JSON_NBYTES:
            raise FormatError(f"{path}: too large for the architecture of a network")
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, str):  # json.dump(model.to_json()) is text within text
            found = json.loads(found)
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict) or "class_name" not in found or "config" not in found:
        raise FormatError(
            f"{path}: not the architecture of a Keras model, which has class_name and config: "
            "write it with model.to_json()"
        )
    return found


def architecture_beside(path: Path) -> Path | None:
    """Find the architecture that belongs to a file of weights, under the usual names.

    ``model.h5`` and ``model_weights.h5`` belong to ``model.json``, ``model_arch.json`` and so on;
    failing that, to the only architecture in the folder.
    """
    stem = path.name
    for suffix in (".h5", ".hdf5", ".weights"):
        stem = stem.removesuffix(suffix)
    stems = [stem]
    lower = stem.lower()
    for word in ("weights", "weight"):
        if word in lower:
            start = lower.index(word)
            before, after = stem[:start], stem[start + len(word) :]
            stems += [before.rstrip("_-.") + after, before + after.lstrip("_-.")]
            stems += [before + other + after for other in ("architecture", "arch", "model")]
    endings = ("", "_architecture", "_arch", "_model", "_config", "-architecture", ".architecture")
    names = [f"{base}{ending}.json" for base in stems for ending in endings]
    names += ["architecture.json", "model.json", "arch.json", "model_architecture.json"]
    found = [path.parent / name for name in names if (path.parent / name).is_file()]
    found = found or sorted(path.parent.glob("*.json"))
    networks = [candidate for candidate in found if describe_file(candidate) == ARCHITECTURE]
    if networks and (len(networks) == 1 or networks[0].name in names):
        return networks[0]
    return None
