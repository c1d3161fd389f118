"""SHA-256 in a thread of its own: hashlib releases the GIL, so hashing overlaps with I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import TracebackType

import numpy as np
import numpy.typing as npt

from onnxroot._overlap import Threads

__all__ = ["Sha256", "Sha256Sums", "sha256_of"]

_BACKLOG = 2  # lists of windows that may wait; bounds the memory they hold
_WORTH_WHILE = 1 << 20  # bytes that are worth waking the thread
_BLOCK = 1 << 24


class Sha256:
    """A SHA-256 that is updated in the background; a context manager."""

    def __init__(self) -> None:
        """Start the thread."""
        self._digest = hashlib.sha256()
        self._thread = Threads(self._update, 1)
        self._n_given = self._n_done = 0
        self._next: list[memoryview] = []
        self._next_nbytes = 0

    def __enter__(self) -> Sha256:
        """Return the digest."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the thread."""
        self._thread.__exit__(kind, error, traceback)

    def update(self, window: npt.NDArray[np.uint8]) -> None:
        """Queue an array, which must not change until it was hashed."""
        self._next.append(memoryview(window))
        self._next_nbytes += len(window)
        if self._next_nbytes >= _WORTH_WHILE:
            self._submit()

    def _submit(self) -> None:
        """Let the thread have what was queued."""
        if self._n_given - self._n_done >= _BACKLOG:
            self._wait()
        self._thread.give(self._next)
        self._n_given += 1
        self._next, self._next_nbytes = [], 0

    def _wait(self) -> None:
        """Wait for the oldest part."""
        self._thread.result(self._n_done)
        self._n_done += 1

    def _update(self, windows: list[memoryview]) -> None:
        for window in windows:
            self._digest.update(window)

    def hexdigest(self) -> str:
        """Wait for all that was queued; return the digest in hexadecimal."""
        self._submit()
        while self._n_done < self._n_given:
            self._wait()
        return self._digest.hexdigest()


class Sha256Sums:
    """The SHA-256 of some arrays, computed in the background; a context manager."""

    def __init__(self, arrays: Sequence[npt.NDArray[np.uint8]]) -> None:
        """Start the thread.

        Args:
            arrays: What is to be hashed, one after the other.
        """
        self._stopped = False
        self._thread = Threads(self._sum, 1)
        self._sums: list[str] = []
        self.add(arrays)

    def __enter__(self) -> Sha256Sums:
        """Return the sums."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the thread."""
        self._stopped = True
        self._thread.__exit__(kind, error, traceback)

    def add(self, arrays: Sequence[npt.NDArray[np.uint8]]) -> None:
        """Hash more arrays, after the others."""
        for array in arrays:
            self._thread.give(array)

    def __getitem__(self, number: int) -> str:
        """Wait for the SHA-256 of that array; return it in hexadecimal."""
        while len(self._sums) <= number:
            self._sums.append(self._thread.result(len(self._sums)))
        return self._sums[number]

    def _sum(self, data: npt.NDArray[np.uint8]) -> str:
        digest = hashlib.sha256()
        for start in range(0, len(data), _BLOCK):
            if self._stopped:
                break
            digest.update(memoryview(data[start : start + _BLOCK]))
        return digest.hexdigest()


def sha256_of(data: npt.NDArray[np.uint8]) -> str:
    """Return the SHA-256 of an array in hexadecimal."""
    return hashlib.sha256(memoryview(data)).hexdigest()
