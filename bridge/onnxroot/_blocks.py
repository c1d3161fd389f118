"""Compressed pieces of a ROOT file, looked at before they are unpacked.

ROOT compresses in blocks of at most 16 MiB, each behind a header of 9 bytes that says how long it
is and how long it was. Whoever unpacks them makes room for what the headers say.

Source: ``core/zip/src/RZip.cxx`` in ROOT's repository.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from onnxroot.errors import FormatError

__all__ = ["Block", "parse_blocks"]

_HEADER_NBYTES: Final = 9
_MOST_RATIO: Final = 1 << 15  # zstd's: a run of 128 KiB in 4 bytes; the others do less
_ALGORITHMS: Final = frozenset({b"ZL", b"XZ", b"L4", b"ZS"})


class Block(NamedTuple):
    """A block: its algorithm, where its content is in the bytes, and how long it was."""

    algorithm: bytes
    start: int
    stop: int
    nbytes: int


def parse_blocks(data: memoryview, nbytes: int) -> list[Block]:
    """Find blocks that fill all of some bytes, and unpack to as many as are expected.

    Args:
        data: The blocks, end to end.
        nbytes: What they have to unpack to.

    Raises:
        FormatError: They do not.
    """
    found: list[Block] = []
    position = total = 0
    while position < len(data):
        header = bytes(data[position : position + _HEADER_NBYTES])
        if len(header) < _HEADER_NBYTES or header[:2] not in _ALGORITHMS:
            raise FormatError(f"no compressed block begins with {header[:2]!r}")
        stored = int.from_bytes(header[3:6], "little")
        unpacked = int.from_bytes(header[6:9], "little")
        if not stored or unpacked > stored * _MOST_RATIO:
            raise FormatError(f"a block of {stored} bytes can't unpack to {unpacked}")
        start = position + _HEADER_NBYTES
        position = start + stored
        total += unpacked
        found.append(Block(header[:2], start, position, unpacked))
    if position != len(data) or total != nbytes:
        raise FormatError(f"compressed blocks hold {total} bytes, expected {nbytes}")
    return found
