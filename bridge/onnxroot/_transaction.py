"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from onnxroot.errors import ModelExistsError

__all__ = ["Transaction", "sync"]


class Transaction:
    """New files under temporary names, in the folders they are for.

    A context manager: left normally, it makes sure that their bytes are on the disk and gives them
    their names; left by an exception, it deletes them.
    """

    def __init__(self) -> None:
        """Begin with no files."""
        self._pending: list[tuple[Path, Path, bool]] = []
        self._made: list[Path] = []  # folders, and files that have their names
        self._done = False

    def __del__(self) -> None:
        """Clean up where a Ctrl-C came between the calls that would have."""
        if hasattr(self, "_done"):  # or it has not begun
            self._clean_up()

    def __enter__(self) -> Transaction:
        """Return the transaction."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the files their names, or delete them.

        Raises:
            ModelExistsError: A file that was not to be replaced has appeared.
            OSError: The disk is full, or the folder can't be written.
        """
        if isinstance(error, OSError) and error.errno and not error.filename and self._pending:
            error.filename = str(self._pending[-1][1])  # of a write, to say what did not work
        try:
            if kind is None:
                self._give_names()
        finally:
            self._clean_up()

    def _give_names(self) -> None:
        for path, _, _ in self._pending:
            sync(path)
        for path, place, replace in self._pending:
            if replace:
                path.replace(place)
            else:
                self._made.append(_name(path, place))
        self._done = True  # all have their names, and others may have seen them
        for folder in {place.parent for _, place, _ in self._pending}:
            sync(folder)

    def _clean_up(self) -> None:
        """Delete what is temporary, and what was made unless all was; again does no harm."""
        for path, _, _ in self._pending:
            path.unlink(missing_ok=True)
        for path in [] if self._done else reversed(self._made):
            with suppress(OSError):  # a folder that somebody else uses by now
                path.rmdir() if path.is_dir() else path.unlink()
        self._pending, self._made = [], []

    def make_folder(self, folder: Path) -> None:
        """Make a folder, and those above it; without what they are for they are removed again.

        Raises:
            OSError: It can't be made.
        """
        missing = [place for place in (folder, *folder.parents) if not place.is_dir()]
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            self._made.append(place)

    def create(self, place: Path, *, replace: bool) -> Path:
        """Make a file that will get the name `place`.

        Args:
            place: Its name once all is well.
            replace: Whether it may replace a file of that name.

        Returns:
            The temporary name to write it under.

        Raises:
            OSError: It can't be made.
        """
        if not place.parent.is_dir():
            raise FileNotFoundError(f"{place.parent}: no such folder")
        mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else None
        path = place.with_name(f".{place.name}.{os.urandom(5).hex()}.tmp")
        self._pending.append((path, place, replace))
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        os.close(os.open(path, flags, 0o666 if mode is None else 0o600))
        if mode is not None:
            path.chmod(mode)
        return path


def _name(path: Path, place: Path) -> Path:
    """Give a file a name that no file has, and return it.

    Raises:
        ModelExistsError: One has it.
    """
    try:
        os.link(path, place)  # unlike a rename, it replaces nothing
    except OSError as error:
        if os.path.lexists(place):
            raise ModelExistsError(f"{place} exists; choose another name or replace it") from error
        path.rename(place)  # on a file system without hard links
    return place


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk.

    Raises:
        OSError: It does not get there.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
