"""Addresses: ``path/to/file.root:dir/model``, and ``root://host//file.root:dir/model``."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from onnxroot.errors import FormatError, UnsupportedModelError

__all__ = ["TIMEOUT_SECONDS", "Address", "is_remote", "parse_address", "refuse_remote"]

TIMEOUT_SECONDS: Final = 60.0
"""How long to wait for what is at an address: for a server's answer, or for another writer."""

_ALLOWED = re.compile(r"[^\x00-\x1f\x7f:;\\*?\[\]]+")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*(?:::|://))+")  # zip://a.root::https://host/b.zip
_HOST = re.compile(r".*(?:://|::)[^/?]*", re.DOTALL)
_DIRECTORY = re.compile(r"(.*\.root):(?!:)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is.

    Attributes:
        path: The ROOT file: a path, or a URL.
        directory: The directory in it, or "" where the address names none.
    """

    path: str
    directory: str

    def __str__(self) -> str:
        """Return the address as a user writes it."""
        if not self.directory:
            return self.path
        if is_remote(self.path):
            path, query = _parts(self.path)
            if path.endswith(".root"):
                return f"{path}:{self.directory}{query}"
        return f"{self.path}:{self.directory}"


def is_remote(path: str) -> bool:
    """Return whether a path is a URL; a single letter before the colon is a Windows drive."""
    found = _URL.match(path)
    return found is not None and len(found[1]) > len("c://")


def refuse_remote(address: Address) -> None:
    """Refuse to write to another machine.

    Raises:
        UnsupportedModelError: It is on one.
    """
    if is_remote(address.path):
        copy = "xrdcp" if address.path.startswith(("root:", "roots:")) else "the tool of that site"
        raise UnsupportedModelError(
            f"{address}: remote files are read, not written; write to a local file and copy that "
            f"there with {copy}"
        )


def parse_address(address: str | os.PathLike[str]) -> Address:
    """Split an address into file and directory.

    In a URL the directory stands before the query: ``https://host/file.root:dir/model?token=x``;
    or behind it where the file's name does: ``https://host/get?name=file.root:dir/model``.

    Args:
        address: ``file.root``, ``file.root:dir/model``, a path, or a URL in place of the path.

    Raises:
        FormatError: The directory's name can't be one.
    """
    text = os.fspath(address)
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://").removeprefix("localhost"))
    if is_remote(text):
        return _parse_url(text)
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


def _parts(url: str) -> tuple[str, str]:
    """Split a URL into what stands before its query, and the query with its question mark."""
    path, mark, query = url.partition("?")
    return path, mark + query


def _parse_url(url: str) -> Address:
    path, query = _parts(url)
    found = _DIRECTORY.fullmatch(path)
    if found:
        return Address(found[1] + query, _checked(found[2], url))
    found = _DIRECTORY.fullmatch(url)
    if found and query:
        return Address(found[1], _checked(found[2], url))
    host = _HOST.match(path)
    start = host.end() if host else 0
    head, colon, directory = path[start:].rpartition(":")
    if colon and not head.endswith(":"):
        return Address(path[:start] + head + query, _checked(directory, url))
    return Address(url, "")


def _checked(directory: str, text: str) -> str:
    parts = directory.strip("/").split("/")
    for part in parts if directory else []:
        if part in {"", ".", ".."} or not _ALLOWED.fullmatch(part):
            raise FormatError(
                f"{text}: {directory!r} can't be a directory in a ROOT file; expected names "
                "without . .. : ; \\ * ? [ ], separated by /"
            )
    return "/".join(parts)
