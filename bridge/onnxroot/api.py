"""The library's functions: what `onnxroot` exports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from onnxroot._address import Address, parse_address
from onnxroot._deviation import dissect
from onnxroot._external import attach, map_file
from onnxroot._join import Document
from onnxroot._manifest import ExternalFile, Manifest
from onnxroot._schema import installed_schema
from onnxroot._sha256 import sha256_of
from onnxroot._spans import Buffers
from onnxroot._spec import CHUNK_NBYTES, FORMAT_VERSION
from onnxroot._transaction import Transaction
from onnxroot.adapter import find_adapter
from onnxroot.errors import (
    FormatError,
    IntegrityError,
    ModelExistsError,
    ModelNotFoundError,
    UnsupportedModelError,
)
from onnxroot.tables import Tables

if TYPE_CHECKING:
    from onnxroot._rntuple_read import RootFile
    from onnxroot._verify import Report
    from onnxroot.model import Model

__all__ = ["convert", "include_dir", "list_models", "open", "verify", "write"]

U8 = npt.NDArray[np.uint8]

_DEFAULT_NAME = "model"
_SMALL_NBYTES = 1 << 23  # files that are put together in memory


@dataclass(frozen=True, slots=True)
class _Source:
    """An ONNX file to be written.

    Attributes:
        data: Its bytes.
        folder: Where its external files are, or None.
        name: Its file name, or "" where it came from memory.
    """

    data: U8
    folder: Path | None
    name: str


def write(
    model: Any,
    destination: str | os.PathLike[str],
    *,
    replace: bool = False,
    compression: str = "zstd",
    external_data_dir: str | os.PathLike[str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Manifest:
    """Store an ONNX model in a ROOT file, provably so that every byte comes back.

    A file appears, or changes, only once the model was read back from it and compared with the
    original. Models and other objects that the file holds already stay; it is copied for that.

    Args:
        model: Path of an ``.onnx`` file, its bytes, an ``onnx.ModelProto`` or an
            ``onnx_ir.Model``. Anything but a path is stored as its own serialization.
        destination: ``file.root:dir/model``; ``file.root`` alone takes the ``.onnx`` file's name
            without its ending, or ``model``.
        replace: Replace a model that is there.
        compression: Of tensors: ``zstd``, ``lz4``, ``lzma``, each with a level if you like
            (``zstd:9``), or ``none``.
        external_data_dir: Folder of external data, where it is not that of the ``.onnx`` file.
        metadata: Keys and values of your own, kept in the manifest.

    Returns:
        The manifest of the stored model.

    Raises:
        FormatError: `model` is no ONNX model, or the destination no ROOT file.
        ModelExistsError: There is something at the destination.
        UnsupportedModelError: External data are missing, or can't be taken.
        IntegrityError: The model did not come back identical; nothing was written.
        OSError: A file can't be read or written.
    """
    source = _source_of(model, external_data_dir)
    address = parse_address(destination)
    address = Address(address.path, address.directory or _name_of(source))
    existing = _check_destination(address, replace=replace)
    try:
        tables, buffers = dissect(source.data, installed_schema())
    except FormatError as error:
        raise error.within(source.name or "the model") from error
    tables, files = attach(tables, buffers, source.folder)
    digests = [sha256_of(data) for data in (source.data, *(data for _, data in files))]
    external = tuple(
        ExternalFile(location=location, nbytes=len(data), sha256=digest)
        for (location, data), digest in zip(files, digests[1:], strict=True)
    )
    with Transaction() as transaction:
        path = str(transaction.create(Path(address.path), copy=existing == "add"))
        manifest = _write_into(
            path,
            address.directory,
            tables,
            buffers,
            Manifest(
                format_version=FORMAT_VERSION,
                nbytes=len(source.data),
                sha256=digests[0],
                external_files=external,
                tables={},
                schema=tables.schema,
                provenance=_provenance(source),
                metadata={str(key): str(value) for key, value in (metadata or {}).items()},
            ),
            compression,
            update=existing == "add",
        )
        _prove(path, address.directory, source.data, dict(files))
    return manifest


def open(address: str | os.PathLike[str]) -> Model:  # noqa: A001  (the name users expect)
    """Open a stored model; nothing but its manifest is read yet.

    Args:
        address: ``file.root:dir/model``, or ``file.root`` if it holds one model.

    Returns:
        The model, to be used in a ``with`` statement or closed.

    Raises:
        FormatError: Not a ROOT file, or a damaged one.
        ModelNotFoundError: No such model; the message lists those that are there.
        UnsupportedModelError: A newer onnxroot wrote it.
        OSError: The file can't be opened.
    """
    from onnxroot._rntuple_read import RootFile  # noqa: PLC0415  (uproot takes 0.3 s)
    from onnxroot._stored import StoredModel  # noqa: PLC0415
    from onnxroot.model import Model  # noqa: PLC0415

    where = parse_address(address)
    file = RootFile(where.path)
    try:
        return Model(StoredModel(file, _directory_in(file, where)))
    except BaseException:
        file.close()
        raise


def list_models(path: str | os.PathLike[str]) -> list[str]:
    """Return the directories of the models in a ROOT file, sorted.

    Args:
        path: The file.

    Raises:
        FormatError: It is not a ROOT file.
        OSError: It can't be opened.
    """
    from onnxroot._rntuple_read import RootFile  # noqa: PLC0415  (uproot takes 0.3 s)

    with RootFile(os.fspath(path)) as file:
        return file.directories()


def verify(address: str | os.PathLike[str]) -> Report:
    """Check a stored model: every table, every tensor, and the rebuilt files.

    Args:
        address: ``file.root:dir/model``, or ``file.root`` if it holds one model.

    Returns:
        The report; damage within the model is in its ``problems``, not raised.

    Raises:
        FormatError: Not a ROOT file, or its manifest can't be read.
        ModelNotFoundError: No such model.
        OSError: The file can't be opened.
    """
    from onnxroot._rntuple_read import RootFile  # noqa: PLC0415  (uproot takes 0.3 s)
    from onnxroot._stored import StoredModel  # noqa: PLC0415
    from onnxroot._verify import verify_stored  # noqa: PLC0415

    where = parse_address(address)
    with RootFile(where.path) as file:
        return verify_stored(StoredModel(file, _directory_in(file, where)))


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    replace: bool = False,
    embed: bool = False,
    compression: str = "zstd",
    external_data_dir: str | os.PathLike[str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Convert between ``.onnx`` and ``.root``, whichever way the two names say.

    Args:
        source: An ``.onnx`` file, a model's address in a ROOT file, or a file that an installed
            adapter accepts.
        destination: A ROOT file or an address in one, or an ``.onnx`` file.
        replace: Overwrite what is there.
        embed: To ``.onnx``: write external tensors into the file itself.
        compression: To ROOT: see `write`.
        external_data_dir: To ROOT: see `write`.
        metadata: To ROOT: see `write`.

    Raises:
        FormatError: The source is not what its name says.
        ModelExistsError: The destination exists.
        UnsupportedModelError: There is no way from this source to this destination.
        OSError: A file can't be read or written.
    """
    origin, target = parse_address(source), parse_address(destination)
    to_root = bool(target.directory) or target.path.lower().endswith(".root")
    from_root = bool(origin.directory) or _is_root(origin.path)
    if not to_root and not target.path.lower().endswith(".onnx"):
        raise UnsupportedModelError(
            f"{destination}: expected a name that ends in .root or .onnx, or file.root:model"
        )
    if from_root and to_root:
        raise UnsupportedModelError(
            f"{source} and {destination} are both in ROOT files; convert to .onnx in between"
        )
    if from_root:
        with open(source) as model:
            model.save(destination, replace=replace, embed=embed)
        return
    model = _import_foreign(origin.path)
    if to_root:
        write(
            model,
            destination,
            replace=replace,
            compression=compression,
            external_data_dir=external_data_dir,
            metadata=metadata,
        )
        return
    if model is origin.path:
        raise UnsupportedModelError(
            f"{source} and {destination} are both ONNX files: nothing to convert"
        )
    if not replace and os.path.lexists(target.path):
        raise ModelExistsError(f"{target.path} exists; choose another name or replace it")
    with Transaction() as transaction:
        new = transaction.create(Path(target.path))
        new.write_bytes(_source_of(model, None).data.tobytes())


# --- sources -----------------------------------------------------------------------------------


def _import_foreign(path: str) -> Any:
    """Return the path of an ONNX file as it is, or what an adapter makes of another file."""
    if path.lower().endswith(".onnx"):
        return path
    Path(path).stat()
    adapter = find_adapter(Path(path))
    if adapter is None:
        raise UnsupportedModelError(
            f"{path}: expected an .onnx file or a ROOT file, and no installed adapter knows it"
        )
    return adapter.to_onnx(Path(path))


def _source_of(model: Any, external_data_dir: str | os.PathLike[str] | None) -> _Source:
    """Return the bytes of whatever `write` was given."""
    folder = None if external_data_dir is None else Path(external_data_dir)
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        data = map_file(path)
        _refuse_other_files(path, data[:512].tobytes())
        return _Source(data, folder or path.parent, path.name)
    if type(model).__module__.partition(".")[0] == "onnx_ir":
        import onnx_ir  # noqa: PLC0415  (only its own users have it)

        model = onnx_ir.to_proto(model)
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    if isinstance(model, (bytes, bytearray, memoryview)):
        return _Source(np.frombuffer(model, np.uint8), folder, "")
    raise TypeError(
        f"can't write a {type(model).__name__}: expected the path of an .onnx file, its bytes, an "
        "onnx.ModelProto or an onnx_ir.Model"
    )


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


def _name_of(source: _Source) -> str:
    """Return a directory name for a model that was given none."""
    stem = Path(source.name).stem
    usable = "".join(c if c.isalnum() or c in "_-+." else "_" for c in stem).strip(".")
    return usable or _DEFAULT_NAME


def _provenance(source: _Source) -> dict[str, str]:
    """Return what made the model file; no local path."""
    return {**_versions(), "file": source.name}


@cache
def _versions() -> dict[str, str]:
    from importlib.metadata import version  # noqa: PLC0415  (20 ms that readers need not spend)

    return {name: version(name) for name in ("onnxroot", "onnx", "uproot")}


# --- destinations ------------------------------------------------------------------------------


def _check_destination(address: Address, *, replace: bool) -> str:
    """Say how the file is written: ``new``, or ``add`` to one that exists.

    Raises:
        ModelExistsError: There is something at the address.
    """
    from onnxroot._rntuple_read import RootFile  # noqa: PLC0415  (uproot takes 0.3 s)

    path = Path(address.path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a ROOT file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder")
    if not path.exists():
        return "new"
    with RootFile(address.path) as file:
        models = file.directories()
        around = [m for m in models if f"{address.directory}/".startswith(f"{m}/" if m else "")]
        other = file.not_a_directory(address.directory)
        if other:
            raise ModelExistsError(f"{address}: {other} is an object, no directory")
        if around and around != [address.directory]:
            raise ModelExistsError(
                f"{address} is inside the model {around[0] or address.path}; choose another name"
            )
        if not file.has(address.directory):
            return "add"
        if address.directory not in models:
            raise ModelExistsError(f"{address} exists and is no model; choose another name")
        if not replace:
            raise ModelExistsError(
                f"{address} exists; choose another name, or replace it (replace=True, --replace)"
            )
        if models == [address.directory] and file.holds_only(address.directory):
            return "new"
    raise UnsupportedModelError(
        f"{address} can't be replaced in a file that holds other objects too, in this version; "
        "write the model under another name, or into a file of its own"
    )


def _write_into(
    path: str,
    directory: str,
    tables: Tables,
    buffers: Buffers,
    manifest: Manifest,
    compression: str,
    *,
    update: bool,
) -> Manifest:
    """Write all RNTuples, then the manifest with what was written."""
    from dataclasses import replace as changed  # noqa: PLC0415

    from onnxroot._rntuple_write import ModelWriter  # noqa: PLC0415  (uproot takes 0.3 s)

    nbytes = Path(path).stat().st_size + sum(len(array) for array in buffers.arrays)
    with ModelWriter(
        path,
        directory,
        compression=compression,
        update=update,
        in_memory=nbytes < _SMALL_NBYTES,
    ) as writer:
        writer.write_tables(tables)
        writer.write_payloads(tables, buffers)
        manifest = changed(manifest, tables=writer.tables)
        writer.write_manifest(manifest)
    return manifest


def _prove(path: str, directory: str, data: U8, files: dict[str, U8]) -> None:
    """Rebuild the model from the file just written, and compare it with the original.

    Raises:
        IntegrityError: They differ.
    """
    from onnxroot._rntuple_read import RootFile  # noqa: PLC0415  (uproot takes 0.3 s)
    from onnxroot._stored import StoredModel  # noqa: PLC0415

    with RootFile(path) as file:
        stored = StoredModel(file, directory)
        _compare(stored.document(), data, "the ONNX file")
        for location, document in stored.files.items():
            _compare(document, files[location], location)


def _compare(document: Document, data: U8, what: str) -> None:
    same = document.nbytes == len(data)
    start = 0
    for window in document.windows(CHUNK_NBYTES) if same else ():
        same = same and np.array_equal(window, data[start : start + len(window)])
        start += len(window)
    if not same:
        raise IntegrityError(
            f"{what} did not come back identical, so nothing was written: this is a bug of "
            "onnxroot, please report it with the model"
        )


def _is_root(path: str) -> bool:
    """Return whether a file begins as ROOT files do."""
    with Path(path).open("rb") as file:
        return file.read(4) == b"root"


def _directory_in(file: RootFile, address: Address) -> str:
    """Return the model's directory: the one named, or the only one there is."""
    if address.directory:
        if file.has(f"{address.directory}/manifest"):
            return address.directory
        raise _not_found(file, address)
    found = file.directories()
    if len(found) == 1:
        return found[0]
    raise _not_found(file, address)


def _not_found(file: RootFile, address: Address) -> ModelNotFoundError:
    models = file.directories()
    if address.directory and file.has(f"{address.directory}/ModelProto"):
        return ModelNotFoundError(
            f"{address}: the model has no manifest, so it was not written to the end; write it anew"
        )
    if not models:
        return ModelNotFoundError(f"{address.path}: holds no models")
    listed = ", ".join(models)
    if address.directory:
        return ModelNotFoundError(f"{address}: no such model; {address.path} holds {listed}")
    return ModelNotFoundError(
        f"{address.path}: holds {len(models)} models; say which, as "
        f"{address.path}:{models[0]} ({listed})"
    )


def include_dir() -> str:
    """Return the folder of ``onnxroot.hxx``, the C++ reader: what compilers want behind ``-I``."""
    return str(Path(__file__).with_name("include"))
