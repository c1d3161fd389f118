"""Zip archives of strangers, looked at before a framework unpacks them."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from onnxroot.errors import FormatError

__all__ = ["DAMAGED", "check_archive", "names_in"]

_FLOOR = 1 << 26  # bytes that an archive may always unpack to
_RATIO = 100  # times its own length; frameworks store weights as they are

DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(OSError, EOFError, ValueError, RuntimeError, OverflowError),
)
"""What zipfile raises of damaged archives, of passwords, and of methods that it does not have."""


def names_in(path: Path) -> list[str]:
    """Return the names of an archive's members; none if it is no archive, or damaged."""
    if not zipfile.is_zipfile(path):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except DAMAGED:
        return []


def check_archive(path: Path) -> None:
    """Check that an archive can be unpacked without harm.

    Raises:
        FormatError: It is damaged, unpacks to far more than it is, or has members whose names lead
            out of a folder, are links, or are there twice.
        OSError: It can't be read.
    """
    path.stat()
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except DAMAGED as error:
        raise FormatError(f"{path}: a damaged archive ({error}): get it again") from error
    names: set[str] = set()
    for member in members:
        name = member.filename
        leads_out = name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts
        if leads_out or stat.S_ISLNK(member.external_attr >> 16):
            raise FormatError(f"{path}: its member {name!r} leads out of the archive")
        if name.casefold() in names:
            raise FormatError(f"{path}: has two members of the name {name!r}")
        names.add(name.casefold())
    nbytes, most = sum(m.file_size for m in members), max(_FLOOR, _RATIO * path.stat().st_size)
    if nbytes > most:
        raise FormatError(
            f"{path}: says that it unpacks to {nbytes} bytes, expected {most} at most; if you "
            "trust its author, pack it again without compression"
        )
