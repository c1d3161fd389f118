"""Addresses: ``path/to/file.root:dir/model``."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from onnxroot.errors import FormatError

__all__ = ["Address", "parse_address"]

_ALLOWED = re.compile(r"[^\x00-\x1f\x7f:;\\*?\[\]]+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is.

    Attributes:
        path: The ROOT file.
        directory: The directory in it, or "" where the address names none.
    """

    path: str
    directory: str

    def __str__(self) -> str:
        """Return the address as a user writes it."""
        return f"{self.path}:{self.directory}" if self.directory else self.path


def parse_address(address: str | os.PathLike[str]) -> Address:
    """Split an address into file and directory.

    Args:
        address: ``file.root``, ``file.root:dir/model``, or a path.

    Raises:
        FormatError: The directory's name can't be one.
    """
    text = os.fspath(address)
    with suppress(OSError):  # a name that is too long for a file
        if Path(text).exists():
            return Address(text, "")
    head, mark, directory = text.rpartition(".root:")
    if mark:
        return Address(f"{head}.root", _checked(directory, text))
    head, colon, directory = text.rpartition(":")
    if colon and len(head) > 1:  # a single letter is a Windows drive
        return Address(head, _checked(directory, text))
    return Address(text, "")


def _checked(directory: str, text: str) -> str:
    parts = directory.strip("/").split("/")
    for part in parts if directory else []:
        if part in {"", ".", ".."} or not _ALLOWED.fullmatch(part):
            raise FormatError(
                f"{text}: {directory!r} can't be a directory in a ROOT file; expected names "
                "without . .. : ; \\ * ? [ ], separated by /"
            )
    return "/".join(parts)
