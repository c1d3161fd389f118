"""UBJSON as XGBoost writes it (https://ubjson.org, draft 12), read within the bytes at hand."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["parse_ubjson"]

_NUMBERS = {b"i": "i1", b"U": "u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}
_DEPTH = 100


def parse_ubjson(data: bytes) -> Any:
    """Return what a document holds; typed arrays are NumPy arrays, views of it.

    Raises:
        ValueError: It is none, or a key is there twice.
    """
    reader = _Reader(data)
    value = reader.value(reader.take(1), 0)
    if reader.position != len(data):
        raise ValueError(f"something follows byte {reader.position}")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def take(self, n: int) -> bytes:
        """Return the next bytes, of which there must be enough."""
        found = self._data[self.position : self.position + n] if n >= 0 else b""
        if n < 0 or len(found) < n:
            raise ValueError(f"{n} bytes at byte {self.position} of {len(self._data)}")
        self.position += n
        return found

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > _DEPTH:
            raise ValueError(f"nested deeper than {_DEPTH}")
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker in _NUMBERS:
            return self._number(marker)
        if marker == b"S":
            return self._text(self.take(1))
        if marker == b"C":
            return self.take(1).decode("ascii")
        if marker == b"[":
            return self._array(depth)
        if marker == b"{":
            return self._object(depth)
        raise ValueError(f"{marker!r} at byte {self.position - 1}")

    def _number(self, marker: bytes) -> int | float:
        kind = np.dtype(_NUMBERS[marker])
        number: int | float = np.frombuffer(self.take(kind.itemsize), kind)[0].item()
        return number

    def _text(self, marker: bytes) -> str:
        return self.take(self._size(marker)).decode("utf-8")

    def _size(self, marker: bytes) -> int:
        if marker not in _NUMBERS or marker in b"dD":
            raise ValueError(f"no length at byte {self.position}")
        return int(self._number(marker))

    def _head(self) -> tuple[bytes, int | None, bytes]:
        """Return the type of all items, their number, and the first byte behind these."""
        kind, n, marker = b"", None, self.take(1)
        if marker == b"$":
            kind, marker = self.take(1), self.take(1)
        if marker == b"#":
            n, marker = self._size(self.take(1)), b""
        elif kind:
            raise ValueError(f"a type without a number at byte {self.position}")
        return kind, n, marker

    def _array(self, depth: int) -> Any:
        kind, n, marker = self._head()
        if kind in _NUMBERS and n is not None:
            dtype = np.dtype(_NUMBERS[kind])
            return np.frombuffer(self.take(n * dtype.itemsize), dtype)
        if kind and n is not None and n > len(self._data):
            raise ValueError(f"{n} items in {len(self._data)} bytes")
        if n is not None:
            return [self.value(kind or self.take(1), depth + 1) for _ in range(n)]
        found = []
        while marker != b"]":
            found.append(self.value(marker, depth + 1))
            marker = self.take(1)
        return found

    def _object(self, depth: int) -> dict[str, Any]:
        kind, n, marker = self._head()
        found: dict[str, Any] = {}
        while marker != b"}" if n is None else len(found) < n:
            key = self._text(marker or self.take(1))
            if key in found:
                raise ValueError(f"the key {key[:40]!r} is there twice")
            found[key] = self.value(kind or self.take(1), depth + 1)
            marker = b"" if n is not None else self.take(1)
        return found
