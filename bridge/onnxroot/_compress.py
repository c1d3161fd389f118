"""Compression as ROOT has it: blocks, each behind a header that says how it was made.

Source: ROOT's ``core/zip/src/RZip.cxx``, and ``ZipLZ4.cxx`` for the checksum of LZ4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import cramjam
import numpy as np
import numpy.typing as npt
import uproot
import xxhash

from onnxroot._blocks import parse_blocks
from onnxroot._memory import new_buffer
from onnxroot.errors import FormatError

__all__ = [
    "COMPRESSIONS",
    "METADATA",
    "Compression",
    "Piece",
    "decompressed",
    "nbytes_of",
    "parse_compression",
]

U8 = npt.NDArray[np.uint8]
Piece = bytes | memoryview

COMPRESSIONS = ("zstd", "lz4", "lzma", "none")
"""Names of compressions; all but ``none`` take a level behind a colon."""

_LEAST_NBYTES: Final = 1 << 9  # fewer bytes take less time to store than to compress
_LEAST_GAIN: Final = 64  # less than this part is not worth the time to decompress
_MOST_NBYTES: Final = 1 << 23  # of a block; the header has room for twice as many


@dataclass(frozen=True, slots=True)
class Compression:
    """A way to compress.

    Attributes:
        code: ROOT's number for it.
        head: What every block begins with; nothing if none is made.
        coder: Uproot's class, made for a level.
    """

    code: int
    head: bytes
    coder: Any

    def __call__(self, data: U8) -> list[Piece]:
        """Compress.

        Args:
            data: Some bytes.

        Returns:
            Blocks, in pieces that belong end to end; or the bytes as they are, where compression
            would not be worth while.
        """
        if not self.head or len(data) < _LEAST_NBYTES:
            return [memoryview(data)]
        pieces: list[Piece] = []
        for start in range(0, len(data), _MOST_NBYTES):
            some = data[start : start + _MOST_NBYTES]
            block = self._block(some)
            if nbytes_of(block) >= len(some):  # ROOT reads no block that did not shrink
                return [memoryview(data)]
            pieces += block
        worth_while = nbytes_of(pieces) + len(data) // _LEAST_GAIN < len(data)
        return pieces if worth_while else [memoryview(data)]

    def _block(self, data: U8) -> list[Piece]:
        content = memoryview(self.coder.compress(data))
        checksum = xxhash.xxh64_digest(content) if self.head == _LZ4 else b""
        sizes = (len(content) + len(checksum), len(data))
        return [self.head + b"".join(n.to_bytes(3, "little") for n in sizes) + checksum, content]


def decompressed(data: U8, nbytes: int) -> U8:
    """Decompress blocks of any of ROOT's kinds.

    Args:
        data: All of them, end to end.
        nbytes: How many bytes they must give; no memory is taken before they say so.

    Raises:
        FormatError: They say something else. The libraries raise others where they are damaged.
    """
    blocks = parse_blocks(memoryview(data), nbytes)
    out, at = new_buffer(nbytes), 0
    for block in blocks:
        content, place = data[block.start : block.stop], out[at : at + block.nbytes]
        if block.algorithm == b"ZS":  # uproot would have it made elsewhere, and filled with 0
            n = cramjam.zstd.decompress_into(content, place)
        else:
            n = _decompress_into(block.algorithm, content, place)
        if n != block.nbytes:
            raise FormatError(f"a block unpacks to {n} bytes, its header says {block.nbytes}")
        at += block.nbytes
    return out


def _decompress_into(algorithm: bytes, content: U8, out: U8) -> int:
    """Decompress one block; return how many bytes it gave, if there is room for them."""
    if algorithm == _LZ4[:2]:
        checksum, content = content[:_CHECKSUM_NBYTES], content[_CHECKSUM_NBYTES:]
        if xxhash.xxh64_digest(content) != checksum.tobytes():
            raise FormatError("the checksum of a block is wrong")
    found = np.frombuffer(_CODERS[algorithm].decompress(content, len(out)), np.uint8)
    if len(found) == len(out):
        out[:] = found
    return len(found)


def nbytes_of(pieces: Iterable[Piece]) -> int:
    """Return how many bytes some pieces have together."""
    return sum(map(len, pieces))


_LZ4: Final = b"L4\x01"
_CHECKSUM_NBYTES: Final = 8
_CODERS: Final = {b"L4": uproot.LZ4(1), b"XZ": uproot.LZMA(1), b"ZL": uproot.ZLIB(1)}
_KINDS: Final = {  # ROOT's number, the begin of a block, uproot's class, lowest and highest level
    "zstd": (5, b"ZS\x01", uproot.ZSTD, 1, 22),
    "lz4": (4, _LZ4, uproot.LZ4, 1, 12),
    "lzma": (2, b"XZ\x00", uproot.LZMA, 1, 9),
}


def parse_compression(text: str) -> Compression:
    """Return what a name such as ``zstd``, ``zstd:9`` or ``none`` means.

    Raises:
        ValueError: There is no such compression or level.
    """
    name, _, level = text.partition(":")
    if text == "none":
        return Compression(0, b"", None)
    if name in _KINDS:
        number, head, kind, low, high = _KINDS[name]
        if not level:
            level = str(low)
        if level.isdigit() and low <= int(level) <= high:
            return Compression(100 * number + int(level), head, kind(int(level)))
    raise ValueError(
        f"no compression {text!r}: expected one of {', '.join(COMPRESSIONS)}, "
        "with a level if you like, such as zstd:9"
    )


METADATA: Final = parse_compression("zstd")
"""Of all but the payload."""
