"""What pickles name, found without opening them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickletools
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

__all__ = ["NOT_ALLOWED", "modules_in", "pickle_head"]

NOT_ALLOWED = (
    "is a pickle, which runs whatever its author wrote when it is opened; if you trust its author, "
    "allow it (--allow-pickle, allow_pickle=True)"
)
"""What is said of a pickle that the user has not allowed; alternatives follow."""

_MOST_NAMES = 2000
_MOST_NBYTES = 1 << 24


_COMPRESSIONS: tuple[tuple[bytes, Callable[[Path], IO[bytes]]], ...] = (
    (b"\x1f\x8b", lambda path: cast("IO[bytes]", gzip.open(path))),  # noqa: SIM115
    (b"BZh", lambda path: cast("IO[bytes]", bz2.open(path))),  # noqa: SIM115
    (b"\xfd7zXZ", lambda path: cast("IO[bytes]", lzma.open(path))),  # noqa: SIM115
    (b"\x5d\x00", lambda path: cast("IO[bytes]", lzma.open(path, format=lzma.FORMAT_ALONE))),  # noqa: SIM115
    (b"\x78", lambda path: io.BytesIO(_inflate(path))),
)
"""How joblib compresses: first bytes, and how to read them."""


def _inflate(path: Path) -> bytes:
    with path.open("rb") as file:
        return zlib.decompressobj().decompress(file.read(_MOST_NBYTES), _MOST_NBYTES)


def _open(path: Path) -> IO[bytes]:
    """Open a file, decompressed if joblib compressed it."""
    with path.open("rb") as file:
        head = file.read(8)
    for start, opener in _COMPRESSIONS:
        if head.startswith(start):
            return opener(path)
    return path.open("rb")


def pickle_head(path: Path) -> bytes:
    """Return the first bytes of a file, decompressed if joblib compressed it."""
    try:
        with _open(path) as file:
            return file.read(1 << 16)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return b""


def modules_in(path: Path) -> set[str]:
    """Return the top-level modules that a pickle names; none if it is no pickle.

    In a zip archive, as torch writes it, those of its ``data.pkl`` count. Nothing is run.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("/data.pkl"):
                    with archive.open(name) as file:
                        return set(_modules(file))
        return set()
    if pickle_head(path)[:1] != b"\x80":
        return set()
    with _open(path) as file:
        return set(_modules(file))


def _modules(file: IO[bytes]) -> Iterator[str]:
    """Yield the modules of the globals in a pickle, up to where it is no pickle any more."""
    texts: list[str] = []
    n_names = 0
    try:
        for opcode, argument, position in pickletools.genops(file.read(_MOST_NBYTES)):
            if opcode.name == "GLOBAL":
                yield str(argument).partition(" ")[0].partition(".")[0]
                n_names += 1
            elif opcode.name == "STACK_GLOBAL" and len(texts) >= 2:
                yield texts[-2].partition(".")[0]
                n_names += 1
            elif isinstance(argument, str):
                texts = [*texts[-3:], argument]
            if n_names > _MOST_NAMES or (position or 0) > _MOST_NBYTES:
                return
    except Exception:  # noqa: BLE001  (pickletools raises of all kinds; what was found, counts)
        return
