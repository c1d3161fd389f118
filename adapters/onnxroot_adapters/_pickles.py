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
from itertools import count, islice
from pathlib import Path
from typing import IO, cast

from onnxroot_adapters._archives import DAMAGED, names_in

__all__ = ["NOT_ALLOWED", "globals_in", "modules_in", "pickle_head"]

NOT_ALLOWED = (
    "is a pickle, which runs whatever its author wrote when it is opened; if you trust its author, "
    "allow it (--allow-pickle, allow_pickle=True)"
)
"""What is said of a pickle that the user has not allowed; alternatives follow."""

_MOST_NAMES = 2000
_MOST_OPCODES = 500_000  # a second's work
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
    """Return the top-level modules that a pickle names; see `globals_in`."""
    return {name.partition(".")[0] for name in globals_in(path)}


def globals_in(path: Path) -> list[str]:
    """Return the functions and classes that a pickle names, with their modules, in order.

    None if it is no pickle. In a zip archive, as torch writes it, those of its ``data.pkl`` count.
    Nothing is run. It tells what a file is, not what it does: a pickle can hide what it names.
    """
    if zipfile.is_zipfile(path):
        inner = [name for name in names_in(path) if name.endswith("/data.pkl")]
        if not inner:
            return []
        try:
            with zipfile.ZipFile(path) as archive, archive.open(inner[0]) as file:
                return list(dict.fromkeys(_globals(file)))
        except DAMAGED:
            return []
    if pickle_head(path)[:1] != b"\x80":
        return []
    try:
        with _open(path) as file:
            return list(dict.fromkeys(_globals(file)))
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return []


def _globals(file: IO[bytes]) -> Iterator[str]:
    """Yield the globals in pickles, one after the other, up to where there is none any more."""
    texts: list[str] = []
    n_names = 0
    data = io.BytesIO(file.read(_MOST_NBYTES))
    opcodes = (opcode for _ in count() for opcode in pickletools.genops(data))
    try:
        for opcode, argument, _ in islice(opcodes, _MOST_OPCODES):
            if opcode.name == "GLOBAL":
                yield str(argument).replace(" ", ".")
                n_names += 1
            elif opcode.name == "STACK_GLOBAL" and len(texts) >= 2:
                yield ".".join(texts[-2:])
                n_names += 1
            elif isinstance(argument, str):
                texts = [*texts[-3:], argument]
            if n_names > _MOST_NAMES:
                return
    except Exception:  # noqa: BLE001  (pickletools raises of all kinds; what was found, counts)
        return
