"""Convert one of many models: what is done already is left, what fails is reported."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onnxroot import api
from onnxroot._address import Address, is_remote, parse_address
from onnxroot._limits import Limits
from onnxroot._locations import map_file, relative_path
from onnxroot._manifest import Manifest
from onnxroot._naming import Task
from onnxroot._sha256 import sha256_of
from onnxroot._source import check_source, is_onnx_by_name, origin_of
from onnxroot._transaction import Transaction
from onnxroot.adapter import Options
from onnxroot.errors import ModelExistsError, OnnxRootError, UnsupportedModelError

__all__ = [
    "CONVERTED",
    "FAILED",
    "SKIPPED",
    "Outcome",
    "Recipe",
    "convert_task",
    "convert_tasks",
    "failure",
    "put_in_place",
]

CONVERTED: Final = "converted"
SKIPPED: Final = "skipped"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What has become of one model.

    Attributes:
        source: Its file or folder.
        address: Where it is, or should be.
        status: ``converted``; ``skipped`` where it was there already, made from the same bytes
            with the same options; or ``failed``.
        error: Why it failed, or nothing.
        seconds: How long it took.
    """

    source: str
    address: str
    status: str
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How all of them are converted: see `api.write`."""

    replace: bool
    compression: str
    external_data_dir: str | None
    metadata: Mapping[str, str]
    options: Options
    timeout: float
    limits: Limits


def convert_tasks(tasks: Iterable[Task], recipe: Recipe) -> list[Outcome]:
    """Convert some models, one after another: what a worker does."""
    return [convert_task(task, recipe) for task in tasks]


def convert_task(task: Task, recipe: Recipe) -> Outcome:
    """Convert one model; any error ends up in what is returned."""
    start = time.monotonic()
    try:
        status = SKIPPED if _is_done(task, recipe) else _convert(task, recipe)
    except Exception as error:  # noqa: BLE001  (whatever it is, the other models go on)
        return failure(task, error, time.monotonic() - start)
    return Outcome(
        source=task.source,
        address=str(task.address),
        status=status,
        seconds=time.monotonic() - start,
    )


def put_in_place(task: Task, recipe: Recipe, outcome: Outcome) -> Outcome:
    """Copy a model that a worker has converted from the part to its address.

    Returns:
        The outcome, or the failure.
    """
    if outcome.status != CONVERTED or task.part is None:
        return outcome
    try:
        api.copy(
            str(task.part),
            str(task.address),
            replace=recipe.replace,
            compression=recipe.compression,
            timeout=recipe.timeout,
            limits=recipe.limits,
        )
        Path(task.part.path).unlink()
    except Exception as error:  # noqa: BLE001  (as above)
        return failure(task, error, outcome.seconds)
    return outcome


def failure(task: Task, error: Exception, seconds: float = 0.0) -> Outcome:
    """Return the outcome of a model that an error has stopped, in words for users."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and not isinstance(error, OnnxRootError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    if not isinstance(error, (OnnxRootError, OSError)):
        text = f"{type(error).__name__}: {text}".rstrip(": ")
    return Outcome(
        source=task.source,
        address=str(task.address),
        status=FAILED,
        error=text,
        seconds=seconds,
    )


def _is_done(task: Task, recipe: Recipe) -> bool:
    """Return whether the model is there, made from the same bytes with the same options.

    A manifest is there only if the model was read back and compared before, so it is all that
    needs to be read here.

    Raises:
        UnsupportedModelError: The source is on another machine.
        OSError: It can't be read.
    """
    if is_remote(task.source):
        raise UnsupportedModelError(f"{task.source}: is on another machine; download it first")
    try:
        manifest = _manifest_at(task.address)
    except OnnxRootError:
        return False
    if manifest is None:
        return False
    source = Path(task.source)
    if not is_onnx_by_name(source):
        origin = origin_of(source, recipe.options)
        return origin.items() <= manifest.provenance.items()
    return manifest.sha256 == sha256_of(map_file(source)) and _has_files(manifest, source, recipe)


def _has_files(manifest: Manifest, source: Path, recipe: Recipe) -> bool:
    """Return whether the external files are as they were."""
    folder = Path(recipe.external_data_dir or source.parent)
    return all(
        file.sha256 == sha256_of(map_file(folder / relative_path(file.location, "")))
        for file in manifest.external_files
    )


def _convert(task: Task, recipe: Recipe) -> str:
    source, address = Path(task.source), task.part or task.address
    place = Path(address.path)
    _refuse_root(task.source)
    check_source(source)
    if task.part:
        _refuse_existing(task.address, recipe)
    place.parent.mkdir(parents=True, exist_ok=True)
    if recipe.replace and not task.part and _is_damaged(address):
        with Transaction() as transaction:
            path = transaction.create(place, replace=True)
            path.unlink()
            _write(source, Address(str(path), address.directory), recipe)
    else:
        _write(source, address, recipe)
    return CONVERTED


def _write(source: Path, address: Address, recipe: Recipe) -> None:
    api.write(
        source,
        str(address),
        replace=recipe.replace,
        compression=recipe.compression,
        external_data_dir=recipe.external_data_dir,
        metadata=recipe.metadata,
        options=recipe.options,
        timeout=recipe.timeout,
    )


def _manifest_at(address: Address) -> Manifest | None:
    """Return the manifest of the model that is there, or None.

    Raises:
        FormatError: The file is damaged, or not a ROOT file.
    """
    from onnxroot._root_file import RootFile  # noqa: PLC0415  (uproot takes 0.3 s)
    from onnxroot._stored import StoredModel  # noqa: PLC0415

    if not Path(address.path).exists():
        return None
    with RootFile(address.path) as file:
        if not file.is_model(address.directory):
            return None
        return StoredModel(file, address.directory).manifest


def _refuse_existing(address: Address, recipe: Recipe) -> None:
    """Say before the work what would otherwise be said behind it.

    Raises:
        ModelExistsError: There is a model.
    """
    if not recipe.replace and _manifest_at(address):
        raise ModelExistsError(
            f"{address} exists; choose another name, or replace it (replace=True, --replace)"
        )


def _is_damaged(address: Address) -> bool:
    """Return whether there is a file that can't be read, as an interrupted copy leaves it."""
    try:
        _manifest_at(address)
    except OnnxRootError:
        return True
    return False


def _refuse_root(source: str) -> None:
    """Refuse what is in a ROOT file.

    Raises:
        UnsupportedModelError: It is.
        OSError: There is no such file.
    """
    address = parse_address(source)
    path = Path(address.path)
    if path.is_dir():
        return
    with path.open("rb") as file:
        if address.directory or file.read(4) == b"root":
            raise UnsupportedModelError(
                f"{source}: is in a ROOT file already; copy it with onnxroot cp, or convert it "
                "alone to .onnx"
            )
