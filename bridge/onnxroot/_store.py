"""Models in ROOT files: put there, replaced, copied, removed; each at once or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path

from onnxroot._address import Address
from onnxroot._file_locks import lock_file
from onnxroot._limits import DEFAULT_LIMITS, Limits
from onnxroot._overlap import Threads, called
from onnxroot._readable import near
from onnxroot._rntuple_write import ModelWriter, add_streamer_info
from onnxroot._root_edit import RootEdit
from onnxroot._root_empty import empty_file
from onnxroot._root_file import RootFile
from onnxroot._root_region import NoRoomError, Region
from onnxroot._spec import MANIFEST, SAMPLES, TENSORS
from onnxroot._stored import StoredModel
from onnxroot._transaction import Transaction, sync
from onnxroot.errors import (
    ModelExistsError,
    ModelNotFoundError,
    UnsupportedModelError,
)

__all__ = ["Content", "check_destination", "copy", "directory_in", "put", "remove"]

_SMALL_NBYTES = 1 << 23  # models that are put together in memory
_KEPT_NBYTES = 1 << 18  # room for the manifest and the metadata of RNTuples


_MOST_LISTED = 8  # models that a message names


class Destination(Enum):
    """How a model gets into a file."""

    NEW_FILE = auto()
    """There is no such file."""
    WHOLE_FILE = auto()
    """The file holds that model alone, and is replaced."""
    ADD = auto()
    """There is nothing at the address."""
    REPLACE = auto()
    """There is a model at the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A model that is to be put somewhere.

    Attributes:
        write: Writes its tables and its manifest.
        prove: Reads them back, before the file changes, and raises if anything is amiss.
        compression: Of the payload.
        nbytes: About how many bytes will be written, at most.
        release: Lets go of what was written, which is about to be read back.
    """

    write: Callable[[ModelWriter], None]
    prove: Callable[[RootFile], None]
    compression: str
    nbytes: int
    release: Callable[[], None] = lambda: None

    def fill(self, region: Region, directory: str) -> Region:
        """Write the model into a region, and return that.

        Raises:
            NoRoomError: It does not fit.
        """
        with region:
            self.write(ModelWriter(region, directory, compression=self.compression))
            region.complete()
        return region


def put(
    address: Address,
    content: Content,
    *,
    replace: bool,
    timeout: float,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Put a model into a ROOT file.

    Args:
        address: Where; with a directory.
        content: The model.
        replace: Replace a model that is there.
        timeout: Seconds to wait for another writer of the same file.
        limits: How much the new model may ask for when it is read back.

    Raises:
        ModelExistsError: There is something at the address.
        LockedError: Another program is writing to the file.
        FormatError: The file is damaged, or not a ROOT file.
        OSError: It can't be written.
    """
    address = _resolved(address)
    while True:
        destination = check_destination(address, replace=replace)
        if destination in {Destination.ADD, Destination.REPLACE}:
            with RootEdit(address.path, address.directory, timeout=timeout) as edit:
                if check_destination(address, replace=replace) is not Destination.ADD:
                    edit.release(_left_behind(edit, address))
                _put_into(edit, content, limits)
            return
        if destination is Destination.WHOLE_FILE:
            with lock_file(address.path, timeout):
                if check_destination(address, replace=replace) is destination:
                    _put_alone(address, content, limits, over=True)
                    return
        else:
            try:
                _put_alone(address, content, limits, over=False)
            except ModelExistsError:
                continue  # somebody else made it meanwhile: add to that
            return


def _put_alone(address: Address, content: Content, limits: Limits, *, over: bool) -> None:
    """Write a file that holds the model alone."""
    place = Path(address.path)
    with Transaction() as transaction:
        path = transaction.create(place, replace=over)
        path.write_bytes(empty_file(place.name))
        # Nobody sees that file yet: the transaction waits for the disk.
        with RootEdit(str(path), address.directory, timeout=0, durable=False) as edit:
            _put_into(edit, content, limits, meanwhile=partial(sync, path))


def _put_into(
    edit: RootEdit,
    content: Content,
    limits: Limits,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Put a model into a file that exists.

    Args:
        edit: The file.
        content: The model.
        limits: How much it may ask for when it is read back.
        meanwhile: What is to be done while it is proven.
    """
    small = content.nbytes < _SMALL_NBYTES
    edit.insert(_fill_small(edit, content) if small else _fill_large(edit, content))
    infos = add_streamer_info(edit.streamer_infos())
    if infos is not None:
        edit.replace_streamer_infos(infos)
    content.release()
    patches = edit.stage()
    with Threads[Callable[[], None], None](called, 1) as thread:
        thread.give(meanwhile)
        with RootFile(edit.path, patches=patches, limits=limits) as file:
            content.prove(file)
        thread.result(0)
    edit.commit()


def _fill_small(edit: RootEdit, content: Content) -> Region:
    """Put a model together in memory; if it would fit into the file, once more for that place."""
    region = content.fill(edit.region_at_end(in_memory=True), edit.inner)
    inside = edit.region_inside(region.nbytes, in_memory=True)
    return content.fill(inside, edit.inner) if inside else region


def _fill_large(edit: RootEdit, content: Content) -> Region:
    """Write a model where it should fit, or behind the end of the file."""
    inside = edit.region_inside(content.nbytes + _KEPT_NBYTES, in_memory=False)
    if inside:
        with suppress(NoRoomError):
            return content.fill(inside, edit.inner)
    return content.fill(edit.region_at_end(in_memory=False), edit.inner)


def remove(address: Address, *, timeout: float) -> None:
    """Remove a model from a ROOT file; what it took becomes free.

    Args:
        address: The model, with or without its directory.
        timeout: Seconds to wait for another writer.

    Raises:
        ModelNotFoundError: There is no such model.
        UnsupportedModelError: Its directory holds something that is not part of it.
        LockedError: Another program is writing to the file.
        FormatError: The file is damaged, or not a ROOT file.
        OSError: It can't be written.
    """
    with RootFile(address.path) as file:
        directory = directory_in(file, address)
    if not directory:
        raise UnsupportedModelError(
            f"{address.path} is itself the model, at the top of the file: delete the file"
        )
    address = _resolved(Address(address.path, directory))
    with RootEdit(address.path, directory, timeout=timeout) as edit:
        with RootFile(address.path) as file:
            directory_in(file, address)
        edit.release(_left_behind(edit, address))
        edit.remove()
        if edit.is_empty and _can_be_exchanged(Path(address.path)):
            # ROOT searches a file without keys for lost ones whenever it opens it, and then takes
            # what follows a free segment for free. So there must be none.
            with Transaction() as transaction:
                path = Path(address.path)
                transaction.create(path, replace=True).write_bytes(empty_file(path.name))
            return
        edit.stage()
        edit.commit()


def copy(
    source: StoredModel, address: Address, *, replace: bool, compression: str, timeout: float
) -> None:
    """Copy a model, table by table; every digest is checked.

    Args:
        source: An open model, which may be in the same file.
        address: Where the copy goes; without a directory, into the one it has now.
        replace: Replace a model that is there.
        compression: Of the payload.
        timeout: Seconds to wait for another writer of the same file.

    Raises:
        IntegrityError: The model is damaged.
        ModelExistsError: There is something at the address.
        LockedError: Another program is writing to the file.
        FormatError: A file is damaged, or not a ROOT file.
        OSError: A file can't be read or written.
    """
    address = Address(address.path, address.directory or source.directory or "model")

    def write(writer: ModelWriter) -> None:
        text = source.file.manifest(source.directory)
        for name in source.manifest.tables:
            writer.copy_table(name, source.reader(name))
        writer.write_manifest(text)

    nbytes = sum(length for _, length in source.file.blobs(source.directory))
    content = Content(
        write=write,
        prove=lambda file: StoredModel(file, address.directory).check_files(),
        compression=compression,
        nbytes=2 * nbytes,
    )
    put(address, content, replace=replace, timeout=timeout, limits=source.file.limits)


def _resolved(address: Address) -> Address:
    """Follow a symbolic link, which is to stay one."""
    if os.path.islink(address.path):  # noqa: PTH114
        return Address(os.path.realpath(address.path), address.directory)
    return address


def _left_behind(edit: RootEdit, address: Address) -> list[tuple[int, int]]:
    """Return the parts of the file that a model takes.

    Raises:
        UnsupportedModelError: Its directory holds something that is not part of it.
    """
    with RootFile(address.path) as file:
        _refuse_other_objects(file, address)
        blobs = [(start, start + length) for start, length in file.blobs(address.directory)]
    return [*edit.records(), *edit.with_keys(blobs)]


def _refuse_other_objects(file: RootFile, address: Address) -> None:
    """Refuse to remove or replace a model whose directory holds something else.

    Raises:
        UnsupportedModelError: It does.
    """
    manifest = StoredModel(file, address.directory).manifest
    mine = {MANIFEST, TENSORS, SAMPLES.partition("/")[0], *manifest.tables}
    for key in file.keys_below(address.directory):
        if key not in mine:
            raise UnsupportedModelError(
                f"{address}/{key} is not part of the model; move it elsewhere, or delete it with "
                "ROOT, before the model is removed or replaced"
            )


def _can_be_exchanged(path: Path) -> bool:
    """Return whether another file can take the place of one, and nobody would notice."""
    status = path.stat()
    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return status.st_nlink == 1 and mine and os.access(path.parent, os.W_OK)


def check_destination(address: Address, *, replace: bool) -> Destination:
    """Say how a model would get to an address.

    Args:
        address: With a directory.
        replace: Whether it may replace one that is there.

    Raises:
        ModelExistsError: There is something.
        UnsupportedModelError: It is to be replaced, and holds something else, too; or the file is
            new, and its name ends in .onnx.
        FormatError: The file is damaged, or not a ROOT file.
        OSError: It can't be read, or there is no such folder.
    """
    path = Path(address.path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a ROOT file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder")
    if not path.exists():
        if path.suffix.lower() == ".onnx":
            raise UnsupportedModelError(
                f"{path}: a ROOT file would be written, and its name is that of an ONNX file; "
                "choose one that ends in .root, or write an ONNX file: onnxroot convert, Model.save"
            )
        return Destination.NEW_FILE
    with RootFile(address.path) as file:
        other = file.not_a_directory(address.directory)
        if other:
            raise ModelExistsError(f"{address}: {other} is an object, no directory")
        parts = address.directory.split("/")
        for n in range(len(parts)):
            above = "/".join(parts[:n])
            if file.is_model(above):
                raise ModelExistsError(
                    f"{address} is inside the model {above or address.path}; choose another name"
                )
        if not file.has(address.directory):
            return Destination.ADD
        if not file.is_model(address.directory):
            raise ModelExistsError(f"{address} exists and is no model; choose another name")
        if not replace:
            raise ModelExistsError(
                f"{address} exists; choose another name, or replace it (replace=True, --replace)"
            )
        _refuse_other_objects(file, address)
        alone = file.holds_only(address.directory) and _can_be_exchanged(path)
        return Destination.WHOLE_FILE if alone else Destination.REPLACE


def directory_in(file: RootFile, address: Address) -> str:
    """Return the model's directory: the one named, or the only one there is.

    Raises:
        ModelNotFoundError: There is none, or there are several.
    """
    if address.directory:
        if file.has(f"{address.directory}/{MANIFEST}"):
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
        return ModelNotFoundError(f"{address.path}: holds no models; is it the right file?")
    listed = ", ".join(models[:_MOST_LISTED])
    if len(models) > _MOST_LISTED:
        listed += f" and {len(models) - _MOST_LISTED} more: onnxroot ls {address.path}"
    held = f"{address.path} holds {listed}"
    if address.directory:
        likely = _likely(address.directory, models)
        hint = f"{likely} onnxroot ls {address.path} lists all" if likely else f"; {held}"
        return ModelNotFoundError(f"{address}: no such model{hint}")
    return ModelNotFoundError(
        f"{address.path}: holds {len(models)} models; say which, as "
        f"{address.path}:{models[0]} ({listed})"
    )


def _likely(name: str, models: list[str]) -> str:
    """Return a question with the models that were perhaps meant: below it, or like it."""
    found = [model for model in models if f"/{model}".endswith(f"/{name}")]
    found += [model for model in models if model.startswith(f"{name}/")]
    if found:
        return f"; did you mean {', '.join(map(repr, found[:3]))}?"
    by_end = {model.rpartition("/")[2]: model for model in models}
    return near(name, models) or near(name, by_end, by_end)
