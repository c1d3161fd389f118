"""ONNX models to be written: whatever a user has, as the bytes of an ONNX file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._external import map_file
from onnxroot.adapter import Options, find_adapter
from onnxroot.errors import FormatError, UnsupportedModelError

__all__ = ["Source", "import_foreign", "name_of", "source_of"]

U8 = npt.NDArray[np.uint8]

_DEFAULT_NAME = "model"


@dataclass(frozen=True, slots=True)
class Source:
    """An ONNX file to be written.

    Attributes:
        data: Its bytes.
        folder: Where its external files are, or None.
        name: Its file name, or "" where it came from memory.
    """

    data: U8
    folder: Path | None
    name: str


def source_of(model: Any, external_data_dir: str | os.PathLike[str] | None) -> Source:
    """Return the bytes of whatever `onnxroot.write` was given.

    Raises:
        FormatError: It is another kind of file.
        TypeError: It is no model.
        OSError: The file can't be read.
    """
    folder = None if external_data_dir is None else Path(external_data_dir)
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
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
    raise TypeError(
        f"can't write a {type(model).__name__}: expected the path of an .onnx file, its bytes, an "
        "onnx.ModelProto or an onnx_ir.Model"
    )


def import_foreign(path: str) -> Any:
    """Return the path of an ONNX file as it is, or what an adapter makes of another file.

    Raises:
        UnsupportedModelError: No adapter knows it.
        OSError: There is no such file.
    """
    if path.lower().endswith(".onnx"):
        return path
    Path(path).stat()
    found = find_adapter(Path(path))
    if found is None:
        raise UnsupportedModelError(
            f"{path}: expected an .onnx file or a ROOT file, and no installed adapter knows it"
        )
    return found[0].convert(Path(path), Options()).model


def name_of(source: Source) -> str:
    """Return a directory name for a model that was given none."""
    stem = Path(source.name).stem
    usable = "".join(c if c.isalnum() or c in "_-+." else "_" for c in stem).strip(".")
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
