"""Compression as ROOT has it: blocks, each behind a header that says how it was made.

Source: ROOT's ``core/zip/src/RZip.cxx``, and ``ZipLZ4.cxx`` for the checksum of LZ4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
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

    def __call__(self, data: U8, n_zeros: int = 0) -> list[Piece]:
        """Compress.

        Args:
            data: Some bytes.
            n_zeros: How many zeros follow them, which need not be in memory.

        Returns:
            Blocks, in pieces that belong end to end; or the bytes as they are, where compression
            would not be worth while.
        """
        if n_zeros and self.head == _ZSTD:
            pieces = self._blocks(data)
            if pieces or not len(data):
                return [*pieces, *_zeros(n_zeros)]
        if n_zeros:
            data = np.append(data, np.zeros(n_zeros, np.uint8))
        if not self.head or len(data) < _LEAST_NBYTES:
            return [memoryview(data)]
        pieces = self._blocks(data)
        worth_while = pieces and nbytes_of(pieces) + len(data) // _LEAST_GAIN < len(data)
        return pieces if worth_while else [memoryview(data)]

    def _blocks(self, data: U8) -> list[Piece]:
        """Return blocks; or none, if one did not shrink: ROOT does not read such ones."""
        pieces: list[Piece] = []
        for start in range(0, len(data), _MOST_NBYTES):
            some = data[start : start + _MOST_NBYTES]
            block = self._block(some)
            if nbytes_of(block) >= len(some):
                return []
            pieces += block
        return pieces

    def _block(self, data: U8) -> list[Piece]:
        content = memoryview(self.coder.compress(data))
        checksum = xxhash.xxh64_digest(content) if self.head == _LZ4 else b""
        return [_header(self.head, len(content) + len(checksum), len(data)) + checksum, content]


def _header(head: bytes, nbytes: int, nbytes_before: int) -> bytes:
    return head + nbytes.to_bytes(3, "little") + nbytes_before.to_bytes(3, "little")


@lru_cache(maxsize=64)
def _zeros(nbytes: int) -> list[bytes]:
    """Return zstd blocks of ROOT that unpack to zeros; whoever does that need but fill memory.

    Source: RFC 8878, 3.1.1: a frame of one segment, in which a block says a byte and how often.
    """
    found = []
    for start in range(0, nbytes, _MOST_NBYTES):
        n = min(_MOST_NBYTES, nbytes - start)
        frame = bytes.fromhex("28b52ffd a0") + n.to_bytes(4, "little")
        for at in range(0, n, _ZSTD_BLOCK):
            is_last = at + _ZSTD_BLOCK >= n
            block = is_last | 1 << 1 | min(_ZSTD_BLOCK, n - at) << 3
            frame += block.to_bytes(3, "little") + bytes(1)
        found += [_header(_ZSTD, len(frame), n), frame]
    return found


def decompressed(data: U8, nbytes: int, *, zeros_apart: bool = False, out: U8 | None = None) -> U8:
    """Decompress blocks of any of ROOT's kinds.

    Args:
        data: All of them, end to end.
        nbytes: How many bytes they must give; no memory is taken before they say so.
        zeros_apart: Leave out a block of zeros at the end, if there is one as we make them.
        out: Where they go, if not into a new array.

    Returns:
        What they give; `out`, if there is one.

    Raises:
        FormatError: They say something else. The libraries raise others where they are damaged.
    """
    blocks = parse_blocks(memoryview(data), nbytes)
    if zeros_apart and _are_zeros(data[blocks[-1].start :], blocks[-1].nbytes):
        nbytes -= blocks.pop().nbytes
    at = 0
    out = new_buffer(nbytes) if out is None else out
    for block in blocks:
        content, place = data[block.start : block.stop], out[at : at + block.nbytes]
        if _are_zeros(content, block.nbytes):
            place.fill(0)
            n = block.nbytes
        elif block.algorithm == _ZSTD[:2]:  # uproot would have it made elsewhere, and filled with 0
            n = cramjam.zstd.decompress_into(content, place)
        else:
            n = _decompress_into(block.algorithm, content, place)
        if n != block.nbytes:
            raise FormatError(f"a block unpacks to {n} bytes, its header says {block.nbytes}")
        at += block.nbytes
    return out


def _are_zeros(content: U8, nbytes: int) -> bool:
    """Return whether a block is what we make of zeros, which needs no library."""
    if len(content) > _LONGEST_OF_ZEROS or not _LEAST_NBYTES <= nbytes <= _MOST_NBYTES:
        return False
    return content.tobytes() == _zeros(nbytes)[1]


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
_ZSTD: Final = b"ZS\x01"
_ZSTD_BLOCK: Final = 1 << 17  # bytes: the most that its blocks have
_LONGEST_OF_ZEROS: Final = 9 + 4 * (_MOST_NBYTES // _ZSTD_BLOCK)
_CHECKSUM_NBYTES: Final = 8
_CODERS: Final = {b"L4": uproot.LZ4(1), b"XZ": uproot.LZMA(1), b"ZL": uproot.ZLIB(1)}
_KINDS: Final = {  # ROOT's number, the begin of a block, uproot's class, lowest and highest level
    "zstd": (5, _ZSTD, uproot.ZSTD, 1, 22),
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
