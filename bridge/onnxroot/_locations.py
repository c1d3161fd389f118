"""Which files a model may name, and how they are opened.

A model that a stranger made names files. None may lead out of the model's folder, whatever the
file system does with the name: not when it is read, nor when it is written. A location is judged
by what it says first, the same on every system; then each part of it is opened in turn, following
no link, and what was opened is judged, not the name, which may stand for another file by then.

These checks answer CVE-2022-25882, CVE-2024-27318, CVE-2024-5187, CVE-2025-51480, CVE-2026-27489,
CVE-2026-34446 and CVE-2026-34447: FORMAT.md §6.1.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import numpy.typing as npt

from onnxroot._file_bytes import whole_file
from onnxroot.errors import UnsupportedModelError

__all__ = ["map_file", "map_inside", "refuse_twins", "relative_path"]

U8 = npt.NDArray[np.uint8]

_DEVICES: Final = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"]
)
"""Names that are devices on Windows, in every folder, with any ending."""

_LONGEST: Final = 4096  # bytes of a location, as Linux has it


def relative_path(location: str, name: str) -> str:
    """Return a location with ``.`` parts removed.

    Args:
        location: As the model gives it.
        name: The tensor's name, for messages.

    Raises:
        UnsupportedModelError: It is absolute, empty, leads out of the folder, or names a device.
    """
    path = PurePosixPath(location)
    parts = path.parts
    bad = not parts or path.is_absolute() or ".." in parts
    bad = bad or any(letter in location for letter in "\\:\0") or _is_no_text(location)
    if bad or len(location.encode()) > _LONGEST:
        raise UnsupportedModelError(
            f"tensor {name!r}: external file {location[:200]!r} is not below the model's folder; "
            "expected a relative path without '..', '\\' and ':'"
        )
    for part in parts:
        if part.partition(".")[0].rstrip(" ").casefold() in _DEVICES:
            raise UnsupportedModelError(
                f"tensor {name!r}: external file {location[:200]!r} names a device of Windows; "
                "rename the file, and the tensor's location"
            )
    return str(path)


def _is_no_text(location: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in location)


def refuse_twins(locations: Iterable[str]) -> None:
    """Refuse locations that some file systems take for one file, or a file and its folder.

    Args:
        locations: From `relative_path`, each once.

    Raises:
        UnsupportedModelError: Two of them differ in case or in how a letter is coded alone, or one
            is below another.
    """
    files: dict[tuple[str, ...], str] = {}
    folders: dict[tuple[str, ...], str] = {}
    for location in locations:
        parts = tuple(map(_folded, PurePosixPath(location).parts))
        above = [parts[:n] for n in range(1, len(parts))]
        twin = (
            files.get(parts)
            or folders.get(parts)
            or next(filter(None, map(files.get, above)), None)
        )
        if twin is not None:
            raise UnsupportedModelError(
                f"external files {twin!r} and {location!r} can't both be on every file system; "
                "rename one, and the locations of its tensors"
            )
        files[parts] = location
        folders.update(dict.fromkeys(above, location))


def _folded(part: str) -> str:
    return unicodedata.normalize("NFC", part).casefold().rstrip(" .") or part


def map_inside(folder: Path, location: str) -> U8:
    """Return the bytes of a regular file below a folder.

    Args:
        folder: The folder of the ONNX file.
        location: From `relative_path`.

    Returns:
        Its bytes, read only; uint8, shape (n_bytes,).

    Raises:
        UnsupportedModelError: It is missing, reached through a link, or not a regular file.
    """
    with ExitStack() as stack:
        try:
            handle = (_open_step_by_step if _HAS_STEPS else _open_by_name)(folder, location, stack)
            stack.callback(os.close, handle)
        except OSError as error:
            raise UnsupportedModelError(
                f"external file {location!r} not found in {folder}: {error.strerror}; "
                "put it beside the model"
            ) from error
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise UnsupportedModelError(f"external file {location!r} is not a regular file")
        _refuse_hard_links(status, location)
        return whole_file(handle, f"external file {location!r}")


_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
_FOLDER: Final = getattr(os, "O_DIRECTORY", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)
_HAS_STEPS: Final = {os.open, os.stat} <= os.supports_dir_fd and os.listdir in os.supports_fd


def _open_step_by_step(folder: Path, location: str, stack: ExitStack) -> int:
    """Open a file without following any link below the folder, whoever changes it meanwhile."""
    *parents, name = PurePosixPath(location).parts
    at = _open_folder(folder, None)
    stack.callback(os.close, at)
    for parent in parents:
        _refuse_link(parent, at, location)
        at = _open_folder(parent, at)
        stack.callback(os.close, at)
    before = _refuse_link(name, at, location)
    _refuse_hard_links(before, location)
    _refuse_other_case(name, at, location)
    # Without waiting, if it is a pipe by now.
    handle = os.open(name, os.O_RDONLY | _NO_LINK | _NO_WAIT, dir_fd=at)
    if not os.path.samestat(before, os.fstat(handle)):
        os.close(handle)
        raise UnsupportedModelError(f"external file {location!r} was exchanged meanwhile")
    return handle


def _open_by_name(folder: Path, location: str, _: ExitStack) -> int:
    """Open a file where folders can't be opened (Windows): its real name must be the one given."""
    path = os.path.join(os.path.realpath(folder), *PurePosixPath(location).parts)  # noqa: PTH118
    if os.path.lexists(path) and os.path.realpath(path) != path:
        raise UnsupportedModelError(
            f"external file {location!r}: {path} is a link, or has other letters, upper or lower "
            "case"
        )
    return os.open(path, os.O_RDONLY | _BINARY)


def _open_folder(name: str | Path, at: int | None) -> int:
    """Open a folder, by a link if it is the model's own."""
    return os.open(name, os.O_RDONLY | _FOLDER | (0 if at is None else _NO_LINK), dir_fd=at)


def _refuse_link(name: str, at: int, location: str) -> os.stat_result:
    """Say what is wrong with a link, which could not be opened; return what a name stands for.

    Raises:
        UnsupportedModelError: It is one.
        OSError: There is no such thing.
    """
    status = os.stat(name, dir_fd=at, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        raise UnsupportedModelError(
            f"external file {location!r}: {name!r} is a symbolic link, which could lead out of "
            "the folder; replace it by the file"
        )
    return status


def _refuse_hard_links(status: os.stat_result, location: str) -> None:
    """Refuse a file that has another name, too.

    Raises:
        UnsupportedModelError: It has.
    """
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        raise UnsupportedModelError(
            f"external file {location!r} has {status.st_nlink} hard links, one of which could "
            "be out of the folder; replace it by a copy"
        )


def _refuse_other_case(name: str, at: int, location: str) -> None:
    """Refuse a name that its folder has in other letters: elsewhere it would not be found.

    Raises:
        UnsupportedModelError: It has.
        OSError: The folder can't be listed.
    """
    with suppress(PermissionError):  # in a folder that can't be listed
        if name in os.listdir(at):
            return
        raise UnsupportedModelError(
            f"external file {location!r}: its folder has no {name!r} in these letters, upper or "
            "lower case; rename it"
        )


def map_file(path: Path | str) -> U8:
    """Return a file's bytes, not to be written to; uint8, shape (n_bytes,).

    Raises:
        FormatError: It is a pipe or a device.
        OSError: The file can't be opened.
    """
    handle = os.open(path, os.O_RDONLY | _NO_WAIT | _BINARY)
    try:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise IsADirectoryError(f"{path} is a folder; expected a file")
        return whole_file(handle, str(path))
    finally:
        os.close(handle)
