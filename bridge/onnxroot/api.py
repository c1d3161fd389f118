"""The library's functions: what `onnxroot` exports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from onnxroot._address import (
    TIMEOUT_SECONDS,
    Address,
    is_remote,
    parse_address,
    refuse_remote,
)
from onnxroot._batches import columns_of
from onnxroot._deviation import dissect
from onnxroot._external import attach
from onnxroot._file_bytes import is_root_file
from onnxroot._join import Document
from onnxroot._limits import DEFAULT_LIMITS, Limits
from onnxroot._manifest import ExternalFile, Manifest
from onnxroot._ragged import are_equal
from onnxroot._records import Lists, long_lists
from onnxroot._schema import installed_schema
from onnxroot._sha256 import Sha256Sums
from onnxroot._source import Source, check_source, name_of, source_of
from onnxroot._spans import Buffers
from onnxroot._spec import FORMAT_VERSION
from onnxroot._transaction import Transaction
from onnxroot._version import __version__
from onnxroot.adapter import Options
from onnxroot.errors import (
    FormatError,
    IntegrityError,
    ModelExistsError,
    UnsupportedModelError,
)
from onnxroot.tables import Tables

if TYPE_CHECKING:
    from onnxroot._rntuple_write import ModelWriter
    from onnxroot._root_file import RootFile
    from onnxroot._stored import StoredModel
    from onnxroot._verify import Report
    from onnxroot.model import Model

__all__ = [
    "convert",
    "copy",
    "include_dir",
    "list_models",
    "open",
    "remove",
    "verify",
    "write",
]

U8 = npt.NDArray[np.uint8]


def write(  # noqa: PLR0913  (each by name)
    model: Any,
    destination: str | os.PathLike[str],
    *,
    replace: bool = False,
    compression: str = "zstd",
    external_data_dir: str | os.PathLike[str] | None = None,
    metadata: Mapping[str, str] | None = None,
    options: Options | None = None,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
) -> Manifest:
    """Store a model in a ROOT file as ONNX, provably so that every byte comes back.

    The file appears, or changes, only once the model was read back from it and compared with the
    original, and then at once: whoever reads it, or is killed, finds it as it was or with the whole
    model. Models and other objects that it holds stay where they are.

    Args:
        model: Path of an ``.onnx`` file, its bytes, an ``onnx.ModelProto`` or an
            ``onnx_ir.Model``; anything but a path is stored as its own serialization. Or a file,
            folder or object of another framework, if an adapter for it is installed.
        destination: ``file.root:dir/model``; ``file.root`` alone takes the ``.onnx`` file's name
            without its ending, or ``model``.
        replace: Replace a model that is there.
        compression: Of tensors: ``zstd``, ``lz4``, ``lzma``, each with a level if you like
            (``zstd:9``), or ``none``.
        external_data_dir: Folder of external data, where it is not that of the ``.onnx`` file.
        metadata: Keys and values of your own, kept in the manifest.
        options: What there is to say about a model of another framework, see `adapter.Options`.
        timeout: Seconds to wait for another onnxroot that writes to the same file.
        limits: How much the model may ask for, see `Limits`; to be read, it needs the same.

    Returns:
        The manifest of the stored model.

    Raises:
        FormatError: `model` is no ONNX model, or the destination no ROOT file.
        ModelExistsError: There is something at the destination.
        UnsupportedModelError: External data are missing, or can't be taken.
        IntegrityError: The model did not come back identical; nothing was written.
        LockedError: Another onnxroot is writing to the file.
        OSError: A file can't be read or written.
    """
    from onnxroot._store import Content, check_destination, put  # noqa: PLC0415  (uproot takes 0.3 s)

    address = parse_address(destination)
    refuse_remote(address)
    source = source_of(model, external_data_dir, options)
    address = Address(address.path, address.directory or name_of(source))
    check_destination(address, replace=replace)
    written: list[Manifest] = []
    lists: dict[str, Lists] = {}
    with Sha256Sums([source.data]) as sums:  # computed while the tables are made and written
        parts, files = _taken_apart(source, limits)
        sums.add([data for _, data in files])

        def write_model(writer: ModelWriter) -> None:
            if not parts:  # another writer's file came first, after they were let go of
                parts.extend(_taken_apart(source, limits)[0])
            tables, buffers = parts[0]
            lists.update(long_lists(tables))
            writer.write_tables(tables)
            writer.write_payloads(tables, buffers)
            if source.batches:
                writer.write_samples(columns_of(source.batches))
            manifest = Manifest(
                format_version=FORMAT_VERSION,
                nbytes=len(source.data),
                sha256=sums[0],
                external_files=tuple(
                    ExternalFile(location=location, nbytes=len(data), sha256=sums[i])
                    for i, (location, data) in enumerate(files, 1)
                ),
                tables=writer.tables,
                schema=tables.schema,
                provenance=_provenance(source),
                metadata={str(key): str(value) for key, value in (metadata or {}).items()},
            )
            writer.write_manifest(manifest.to_json())
            written.append(manifest)

        content = Content(
            write=write_model,
            prove=lambda file: _prove(file, address.directory, lists, source.data, dict(files)),
            compression=compression,
            nbytes=sum(t.nbytes + sum(map(len, buffers.arrays)) for t, buffers in parts),
            release=parts.clear,
        )
        put(address, content, replace=replace, timeout=timeout, limits=limits)
    return written[-1]


def open(  # noqa: A001  (the name users expect)
    address: str | os.PathLike[str],
    *,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
) -> Model:
    """Open a stored model; nothing but its manifest is read yet.

    Args:
        address: ``file.root:dir/model``, or ``file.root`` if it holds one model. The file may be
            on another machine: ``root://``, ``https://``, ``s3://`` or any other URL of fsspec.
        timeout: Seconds to wait for an answer of that machine.
        limits: How much the file may ask for, see `Limits`.

    Returns:
        The model, to be used in a ``with`` statement or closed.

    Raises:
        FormatError: Not a ROOT file, or a damaged one.
        ModelNotFoundError: No such model; the message lists those that are there.
        UnsupportedModelError: A newer onnxroot wrote it.
        RemoteError: The other machine refuses, or does not answer; also later, while it is read.
        MissingDependencyError: A package for such URLs is not installed.
        OSError: The file can't be opened.
    """
    from onnxroot.model import Model  # noqa: PLC0415  (uproot takes 0.3 s)

    return Model(_open_stored(address, timeout, limits))


def _open_stored(address: str | os.PathLike[str], timeout: float, limits: Limits) -> StoredModel:
    from onnxroot._root_file import RootFile  # noqa: PLC0415
    from onnxroot._store import directory_in  # noqa: PLC0415
    from onnxroot._stored import StoredModel  # noqa: PLC0415

    where = parse_address(address)
    file = RootFile(where.path, timeout=timeout, limits=limits)
    try:
        return StoredModel(file, directory_in(file, where))
    except BaseException:
        file.close()
        raise


def list_models(
    path: str | os.PathLike[str],
    *,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
) -> list[str]:
    """Return the directories of the models in a ROOT file, sorted.

    Args:
        path: The file, or its URL: see `open`.
        timeout: Seconds to wait for an answer of another machine.
        limits: How much the file may ask for, see `Limits`.

    Raises:
        FormatError: It is not a ROOT file.
        RemoteError: The other machine refuses, or does not answer.
        OSError: It can't be opened.
    """
    from onnxroot._root_file import RootFile  # noqa: PLC0415  (uproot takes 0.3 s)

    with RootFile(os.fspath(path), timeout=timeout, limits=limits) as file:
        return file.directories()


def verify(
    address: str | os.PathLike[str],
    *,
    run: bool = False,
    tensors: bool = False,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
) -> Report:
    """Check a stored model: every table, every tensor, and the rebuilt files.

    Args:
        address: As for `open`.
        run: Run it with onnxruntime too, on the samples that are stored with it, and compare its
            outputs with those of the framework that it is from.
        tensors: Say of each tensor whether it can be read: of a damaged file, what is left.
        timeout: Seconds to wait for an answer of another machine.
        limits: How much the file may ask for, see `Limits`.

    Returns:
        The report; damage within the model is in its ``problems``, not raised.

    Raises:
        FormatError: Not a ROOT file, or its manifest can't be read.
        ModelNotFoundError: No such model.
        UnsupportedModelError: It is to be run, and there are no samples.
        MissingDependencyError: It is to be run, and onnxruntime is not installed.
        RemoteError: The other machine refuses, or does not answer.
        OSError: The file can't be opened.
    """
    from onnxroot._replay import run_samples  # noqa: PLC0415  (uproot takes 0.3 s)
    from onnxroot._verify import verify_stored  # noqa: PLC0415

    stored = _open_stored(address, timeout, limits)
    with stored.file:
        report = verify_stored(stored, tensors=tensors)
        return run_samples(stored, report) if run else report


def copy(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    replace: bool = False,
    compression: str = "zstd",
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Copy a stored model, within a ROOT file or to another one.

    Every table is checked against its digest on the way, and the copy's SHA-256s before the file
    changes. A model that ``hadd`` has doubled comes out whole.

    Args:
        source: As for `open`.
        destination: ``file.root:dir/model``; ``file.root`` alone keeps the model's directory.
        replace: Replace a model that is there.
        compression: Of tensors: see `write`.
        timeout: Seconds to wait for another onnxroot that writes to the same file, and for an
            answer of the source's machine.
        limits: How much the source may ask for, see `Limits`.

    Raises:
        ModelNotFoundError: There is no such model.
        ModelExistsError: There is something at the destination.
        FormatError: A file is no ROOT file, or a damaged one.
        IntegrityError: The model is damaged.
        LockedError: Another onnxroot is writing to the file.
        RemoteError: The source's machine refuses, or does not answer.
        OSError: A file can't be read or written.
    """
    from onnxroot import _store  # noqa: PLC0415  (uproot takes 0.3 s)

    target = parse_address(destination)
    refuse_remote(target)
    stored = _open_stored(source, timeout, limits)
    with stored.file:
        _store.copy(stored, target, replace=replace, compression=compression, timeout=timeout)


def remove(address: str | os.PathLike[str], *, timeout: float = TIMEOUT_SECONDS) -> None:
    """Remove a model from a ROOT file; what it took is free for what is written next.

    Args:
        address: ``file.root:dir/model``, or ``file.root`` if it holds one model.
        timeout: Seconds to wait for another onnxroot that writes to the same file.

    Raises:
        ModelNotFoundError: There is no such model.
        UnsupportedModelError: Its directory holds objects that are not part of it, or it is the
            whole file.
        FormatError: The file is no ROOT file, or a damaged one.
        LockedError: Another onnxroot is writing to the file.
        OSError: The file can't be written.
    """
    from onnxroot import _store  # noqa: PLC0415  (uproot takes 0.3 s)

    target = parse_address(address)
    refuse_remote(target)
    _store.remove(target, timeout=timeout)


def convert(  # noqa: PLR0913  (each is a thing to say about a conversion)
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    replace: bool = False,
    embed: bool = False,
    compression: str = "zstd",
    external_data_dir: str | os.PathLike[str] | None = None,
    metadata: Mapping[str, str] | None = None,
    options: Options | None = None,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Convert between ``.onnx`` and ``.root``, whichever way the two names say; or copy.

    Args:
        source: An ``.onnx`` file, a model's address in a ROOT file (see `open`), or a file that an
            installed adapter accepts.
        destination: A ROOT file or an address in one, or an ``.onnx`` file.
        replace: Overwrite what is there.
        embed: To ``.onnx``: write external tensors into the file itself.
        compression: To ROOT: see `write`.
        external_data_dir: To ROOT: see `write`.
        metadata: To ROOT: see `write`.
        options: From another framework: see `write`.
        timeout: Seconds to wait for another onnxroot that writes to the same file, and for an
            answer of the source's machine.
        limits: How much the source may ask for, see `Limits`.

    Raises:
        FormatError: The source is not what its name says.
        ModelExistsError: The destination exists.
        UnsupportedModelError: There is no way from this source to this destination.
        LockedError: Another onnxroot is writing to the file.
        RemoteError: The source's machine refuses, or does not answer.
        OSError: A file can't be read or written.
    """
    origin, target = parse_address(source), parse_address(destination)
    refuse_remote(target)
    to_root = bool(target.directory) or target.path.lower().endswith(".root")
    from_root = bool(origin.directory) or _is_root(origin.path)
    if not to_root and not target.path.lower().endswith(".onnx"):
        raise UnsupportedModelError(
            f"{destination}: expected a name that ends in .root or .onnx, or file.root:model"
        )
    if from_root and to_root:
        if embed or metadata or external_data_dir is not None:
            raise UnsupportedModelError(
                f"{source} and {destination} are both in ROOT files: a copy is as the original, so "
                "embed, metadata and external_data_dir have no meaning; convert to .onnx in between"
            )
        copy(
            source,
            destination,
            replace=replace,
            compression=compression,
            timeout=timeout,
            limits=limits,
        )
        return
    if from_root:
        with open(source, timeout=timeout, limits=limits) as model:
            model.save(destination, replace=replace, embed=embed)
        return
    check_source(Path(origin.path))
    if to_root:
        write(
            origin.path,
            destination,
            replace=replace,
            compression=compression,
            external_data_dir=external_data_dir,
            metadata=metadata,
            options=options,
            timeout=timeout,
            limits=limits,
        )
        return
    if origin.path.lower().endswith(".onnx"):
        raise UnsupportedModelError(
            f"{source} and {destination} are both ONNX files: nothing to convert"
        )
    if not replace and os.path.lexists(target.path):
        raise ModelExistsError(f"{target.path} exists; choose another name or replace it")
    with Transaction() as transaction:
        new = transaction.create(Path(target.path), replace=replace)
        new.write_bytes(source_of(origin.path, None, options).data.tobytes())


# --- what was written ----------------------------------------------------------------------------


def _taken_apart(
    source: Source, limits: Limits
) -> tuple[list[tuple[Tables, Buffers]], list[tuple[str, U8]]]:
    """Return tables and payload, which the list of one alone holds, and the external files."""
    try:
        tables, buffers = dissect(source.data, installed_schema(), limits.depth)
    except FormatError as error:
        raise error.within(source.name or "the model") from error
    tables, files = attach(tables, buffers, source.folder)
    return [(tables, buffers)], files


def _provenance(source: Source) -> dict[str, str]:
    """Return what made the model file; no local path."""
    return {**_versions(), "file": source.name, **source.provenance}


@cache
def _versions() -> dict[str, str]:
    import onnx  # noqa: PLC0415  (it is there: it gave the schema)

    from onnxroot._rntuple_write import UPROOT_VERSION  # noqa: PLC0415

    return {
        "onnxroot": __version__,
        "onnx": onnx.__version__,
        "uproot": UPROOT_VERSION,
    }


def _prove(
    file: RootFile, directory: str, lists: dict[str, Lists], data: U8, files: dict[str, U8]
) -> None:
    """Rebuild the model from what was just written, and compare it with the original.

    Raises:
        IntegrityError: They differ.
    """
    from onnxroot._stored import StoredModel  # noqa: PLC0415  (uproot takes 0.3 s)

    stored = StoredModel(file, directory, lists, installed_schema())
    _compare(stored, stored.document(), data, "the ONNX file")
    for location, document in stored.files.items():
        _compare(stored, document, files[location], location)


def _compare(stored: StoredModel, document: Document, data: U8, what: str) -> None:
    same = document.nbytes == len(data)
    start = 0
    for window in stored.windows(document) if same else ():
        same = same and are_equal(window, data[start : start + len(window)])
        start += len(window)
    if not same:
        raise IntegrityError(
            f"{what} did not come back identical, so nothing was written: this is a bug of "
            "onnxroot, please report it with the model"
        )


def _is_root(path: str) -> bool:
    """Return whether a file begins as ROOT files do; a remote one is taken for such."""
    if is_remote(path):
        if path.lower().partition("?")[0].endswith(".onnx"):
            raise UnsupportedModelError(
                f"{path}: of remote files only ROOT files are read; download it and convert the "
                "copy"
            )
        return True
    if Path(path).is_dir():  # a SavedModel
        return False
    return is_root_file(path)


def include_dir() -> str:
    """Return the folder of ``onnxroot.hxx``, the C++ reader: what compilers want behind ``-I``."""
    return str(Path(__file__).with_name("include"))
