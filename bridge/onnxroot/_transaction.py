"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

__all__ = ["Transaction"]


class Transaction:
    """New files under temporary names, in the folders they are for.

    A context manager: left normally, it makes sure that their bytes are on the disk and gives them
    their names, replacing what has them; left by an exception, it deletes them.
    """

    def __init__(self) -> None:
        """Begin with no files."""
        self._pending: list[tuple[Path, Path]] = []

    def __enter__(self) -> Transaction:
        """Return the transaction."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the files their names, or delete them."""
        try:
            if kind is None:
                for path, _ in self._pending:
                    _sync(path)
                for path, place in self._pending:
                    path.replace(place)
                for folder in {place.parent for _, place in self._pending}:
                    _sync(folder)
        finally:
            for path, _ in self._pending:
                path.unlink(missing_ok=True)

    def create(self, place: Path, *, copy: bool = False) -> Path:
        """Make a file that will get the name `place`.

        Args:
            place: Its name once all is well.
            copy: Begin with the bytes of the file that has that name now.

        Returns:
            The temporary name to write it under.

        Raises:
            OSError: It can't be made.
        """
        if not place.parent.is_dir():
            raise FileNotFoundError(f"{place.parent}: no such folder")
        handle, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".tmp", dir=place.parent)
        path = Path(name)
        self._pending.append((path, place))
        os.close(handle)
        if copy:
            shutil.copyfile(place, path)
        if place.exists():
            shutil.copymode(place, path)
        else:
            mask = os.umask(0)
            os.umask(mask)
            path.chmod(0o666 & ~mask)
        return path


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
