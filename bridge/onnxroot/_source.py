"""ONNX models to be written: whatever a user has, as the bytes of an ONNX file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._batches import Batch
from onnxroot._locations import map_file
from onnxroot._sha256 import sha256_of
from onnxroot.adapter import Options, find_adapter
from onnxroot.errors import FormatError, UnsupportedModelError

__all__ = [
    "Source",
    "check_source",
    "is_onnx_by_name",
    "name_of",
    "origin_of",
    "source_of",
    "usable_name",
]

U8 = npt.NDArray[np.uint8]

_DEFAULT_NAME = "model"


@dataclass(frozen=True, slots=True)
class Source:
    """An ONNX file to be written.

    Attributes:
        data: Its bytes.
        folder: Where its external files are, or None.
        name: The name of the file it is from, or "" where it came from memory.
        provenance: What an adapter says of where it is from.
        batches: What an adapter has proven it with.
    """

    data: U8
    folder: Path | None
    name: str
    provenance: dict[str, str] = field(default_factory=dict)
    batches: tuple[Batch, ...] = ()


def source_of(
    model: Any,
    external_data_dir: str | os.PathLike[str] | None = None,
    options: Options | None = None,
) -> Source:
    """Return the bytes of whatever `onnxroot.write` was given, as an ONNX file.

    Args:
        model: The path of an ONNX file, or of a file or folder that an adapter knows; bytes, or
            an object of onnx, onnx_ir or a framework.
        external_data_dir: Folder of external data, where it is not that of the ONNX file.
        options: What the user says about a model of another framework.

    Raises:
        FormatError: It is another kind of file.
        UnsupportedModelError: An adapter can't convert it.
        TypeError: It is no model.
        OSError: The file can't be read.
    """
    folder = None if external_data_dir is None else Path(external_data_dir)
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        foreign = None if is_onnx_by_name(path) else _convert(path, path.name, options)
        if foreign:
            return foreign
        data = map_file(path)
        _refuse_other_files(path, data[:512].tobytes())
        return Source(data, folder or path.parent, path.name)
    if type(model).__module__.partition(".")[0] == "onnx_ir":
        import onnx_ir  # noqa: PLC0415  (only its own users have it)

        model = onnx_ir.to_proto(model)
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    if isinstance(model, (bytes, bytearray, memoryview)):
        return Source(np.frombuffer(model, np.uint8), folder, "")
    foreign = _convert(model, "", options)
    if foreign:
        return foreign
    raise TypeError(
        f"can't write a {type(model).__name__}: expected the path of a model file, the bytes of an "
        "ONNX file, an onnx.ModelProto, an onnx_ir.Model, or a model of a framework for which an "
        "adapter is installed"
    )


def check_source(path: Path) -> None:
    """Refuse a file that is neither an ONNX file by its name nor known to an adapter.

    Raises:
        UnsupportedModelError: It is neither.
        OSError: There is no such file.
    """
    path.stat()
    if not is_onnx_by_name(path) and find_adapter(path) is None:
        raise UnsupportedModelError(
            f"{path}: expected an .onnx file or a ROOT file, and no installed adapter knows it"
        )


def is_onnx_by_name(path: Path) -> bool:
    """Return whether a file is taken for an ONNX file."""
    return path.suffix.lower() == ".onnx"


def _convert(model: Any, name: str, options: Options | None) -> Source | None:
    """Let an adapter convert a model; None if none knows it."""
    found = find_adapter(model)
    if found is None:
        return None
    adapter, what = found
    try:
        conversion = adapter.convert(model, options or Options())
    except UnsupportedModelError as error:
        if str(error).startswith((f"{name}:", f"{model}:")):
            raise
        raise UnsupportedModelError(f"{name or what}: {error}") from error
    data = np.frombuffer(conversion.model.SerializeToString(), np.uint8)
    origin = origin_of(model, options or Options()) if isinstance(model, Path) else {}
    return Source(data, None, name, {**conversion.provenance, **origin}, conversion.batches)


def origin_of(path: Path, options: Options) -> dict[str, str]:
    """Return what tells whether a model of another framework was converted from just this.

    Args:
        path: Its file or folder.
        options: What the user says about it.

    Returns:
        For the provenance: ``source_sha256``, of the file, or of names and digests of all files in
        the folder; and ``options``, those that are not as they are by default, as JSON.

    Raises:
        OSError: A file can't be read.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = [f"{sha256_of(map_file(f))}  {f.relative_to(path).as_posix()}" for f in files]
        digest = sha256_of(np.frombuffer("\n".join(listed).encode(), np.uint8))
    else:
        digest = sha256_of(map_file(path))
    plain = Options()
    said = {
        item.name: value
        for item in fields(Options)
        if (value := getattr(options, item.name)) != getattr(plain, item.name)
    }
    return {
        "source_sha256": digest,
        "options": json.dumps(said, default=str, sort_keys=True) if said else "",
    }


def name_of(source: Source) -> str:
    """Return a directory name for a model that was given none."""
    return usable_name(Path(source.name).stem)


def usable_name(text: str) -> str:
    """Return a text as the name of a directory in a ROOT file."""
    usable = "".join(c if c.isalnum() or c in "_-+." else "_" for c in text).strip(".")
    return usable or _DEFAULT_NAME


def _refuse_other_files(path: Path, head: bytes) -> None:
    """Name files that are often mistaken for ONNX files."""
    what = ""
    if head.lstrip()[:1] == b"<":
        what = "it looks like an HTML or XML page; was the download refused?"
    elif head.startswith(b"version https://git-lfs"):
        what = "it is a Git LFS pointer; fetch the file with `git lfs pull`"
    elif head.startswith(b"root"):
        what = "it is a ROOT file"
    elif head.startswith(b"PK\x03\x04"):
        what = "it is a ZIP archive, as PyTorch and Keras write them"
    elif head.startswith(b"\x89HDF"):
        what = "it is an HDF5 file, as Keras writes them"
    elif head.startswith(b"\x80") and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        what = "it is a Python pickle"
    if what:
        raise FormatError(f"{path}: not an ONNX file: {what}")
