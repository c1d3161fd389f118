"""Inner loops in C, if the package was built with a compiler: twins of a few NumPy functions.

These say what the results are, and do the same where `available` says no. The library is plain C
and knows nothing of Python, so that one build serves every version of it; while it works, other
threads run.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onnxroot.errors import FormatError

__all__ = [
    "LIBRARY",
    "SWITCH",
    "Marks",
    "are_equal",
    "available",
    "find_fixed",
    "find_texts",
    "find_varints",
    "join_values",
    "move_pieces",
    "read_chars",
    "read_ends",
    "read_fixed",
    "read_some_varints",
    "read_texts",
    "read_varints",
    "skip_texts",
    "skip_varints",
    "split_values",
    "write_fixed",
    "write_texts",
    "write_varints",
]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

Marks = tuple[I64, I64]
"""Where some of the records of a run begin, the first one among them, and how many come before."""

SWITCH: Final = "ONNXROOT_KERNELS"
"""Environment variable; where it is 0, NumPy does it all."""

LIBRARY: Final = "_kernels.lib.dll" if sys.platform == "win32" else "_kernels.lib.so"
"""Name of the file; no name of a module, for it is none."""

_VERSION: Final = 4  # as _kernels.c has it: arguments are what this module thinks they are
_LONGEST: Final = 10  # bytes of a varint
_STEP: Final = 1 << 13  # records between two marks, at least
_ARRAY, _INT = c_void_p, c_int64
_RUN: Final = (_ARRAY, _INT, _INT, c_int)  # data, start, stop, tag
_FUNCTIONS: Final = {
    "find_varints": (*_RUN, _ARRAY, _ARRAY, _INT, _ARRAY),
    "read_varints": (*_RUN, _INT, _ARRAY, _INT),
    "write_varints": (_ARRAY, _INT, _ARRAY, _INT, _ARRAY, _INT),
    "find_texts": (*_RUN, _ARRAY, _ARRAY, _INT, _ARRAY),
    "read_texts": (_ARRAY, _INT, _INT, _ARRAY, _ARRAY, _INT),
    "read_ends": (_ARRAY, _INT, _INT, _INT, _INT, _ARRAY, _INT),
    "read_chars": (_ARRAY, _INT, _INT, _INT, _ARRAY, _INT),
    "write_texts": (_ARRAY, _INT, _ARRAY, _INT, _ARRAY, _INT, _ARRAY, _INT),
    "find_fixed": (*_RUN, _INT),
    "read_fixed": (_ARRAY, _INT, _INT, _INT, _ARRAY, _INT),
    "write_fixed": (_ARRAY, _INT, _INT, _ARRAY, _INT, _ARRAY, _INT),
    "move_pieces": (_ARRAY, _INT, _ARRAY, _ARRAY, _INT, _ARRAY, _ARRAY, _INT),
    "are_equal": (_ARRAY, _ARRAY, _INT),
    "split_values": (_ARRAY, _INT, _INT, c_int, _ARRAY),
    "join_values": (_ARRAY, _INT, _INT, _INT, c_int, _ARRAY, _INT),
}
"""Types of the arguments of each; all return an int64."""


@cache
def _library() -> Any:
    """Load the library; return None if it is not there, can't be loaded, or is not wanted."""
    path = Path(__file__).with_name(LIBRARY)
    if os.environ.get(SWITCH) == "0" or sys.byteorder != "little" or not path.exists():
        return None
    try:
        library = ctypes.CDLL(str(path))
        if library.kernels_version() != _VERSION:  # of a working copy, built a while ago
            return None
    except (OSError, AttributeError):  # of another machine, or where nothing may be executed
        return None
    for name, types in _FUNCTIONS.items():
        function = getattr(library, name)
        function.argtypes, function.restype = types, _INT
    return library


def available() -> bool:
    """Return whether the other functions of this module may be called."""
    return _library() is not None


def _at(array: npt.NDArray[Any], dtype: npt.DTypeLike | None = None) -> int:
    """Return the address of an array.

    Raises:
        TypeError: It has gaps, or another type.
    """
    if not array.flags.c_contiguous or (dtype is not None and array.dtype != dtype):
        raise TypeError(f"an array of {array.dtype} with strides {array.strides}: not for C")
    return array.ctypes.data


def _checked(found: int, expected: int | None = None) -> int:
    """Return what a function gave.

    Raises:
        FormatError: It would have passed an end, or ended elsewhere than its twin does.
    """
    if found < 0 or found != (found if expected is None else expected):
        raise FormatError("numbers do not fit what holds them; the file has changed, or is damaged")
    return found


# --- runs: the twins are in _runs -----------------------------------------------------------------


def find_varints(data: U8, start: int, stop: int, tag: int) -> tuple[int, int, bool, Marks]:
    """Count varints behind tags; see `_runs.read_run`.

    Args:
        data: uint8, shape (n_bytes,).
        start: Where the first tag is.
        stop: Where the message ends.
        tag: What is in front of each: one byte.

    Returns:
        How many there are, where the last one ends, whether all are as short as they can be, and
        marks among them.
    """
    found = (c_int64 * 3)()
    stop = min(stop, len(data))
    marks = _room_for_marks(stop - start)
    places = _at(marks[0]), _at(marks[1]), len(marks[0])
    n = _checked(_library().find_varints(_at(data, np.uint8), start, stop, tag, *places, found))
    return n, found[0], bool(found[1]), (marks[0, : found[2]], marks[1, : found[2]])


def read_varints(data: U8, start: int, stop: int, tag: int, out: U64) -> None:
    """Read as many varints behind tags as there is room for: exactly those up to `stop`.

    Raises:
        FormatError: They are not there.
    """
    _check_range(data, start, stop)
    at = _at(data, np.uint8), start, stop, tag
    _checked(_library().read_varints(*at, 0, _at(out, np.uint64), len(out)), stop)


def read_some_varints(data: U8, start: int, stop: int, tag: int, skip: int, out: U64) -> None:
    """Read varints behind the first `skip`, as many as there is room for; as `read_varints`."""
    _check_range(data, start, stop)
    at = _at(data, np.uint8), start, stop, tag
    _checked(_library().read_varints(*at, skip, _at(out, np.uint64), len(out)))


def skip_varints(data: U8, start: int, stop: int, tag: int, n: int) -> int:
    """Return where some varints behind tags end; as `read_some_varints`."""
    _check_range(data, start, stop)
    return _checked(_library().read_varints(_at(data, np.uint8), start, stop, tag, n, None, 0))


def write_varints(wire: U64, tag: U8) -> U8:
    """Write numbers as varints behind tags; see `_runs.encode_numbers`."""
    out = np.empty((len(tag) + _LONGEST) * len(wire), np.uint8)
    values, head = _at(wire, np.uint64), _at(tag, np.uint8)
    n = _library().write_varints(values, len(wire), head, len(tag), _at(out), len(out))
    return _begin(out, _checked(n))


def find_texts(data: U8, start: int, stop: int, tag: int) -> tuple[int, int, Marks]:
    """Count texts of less than 128 bytes behind tags.

    Returns:
        How many there are, where the last one ends, and marks among them.
    """
    found = (c_int64 * 2)()
    stop = min(stop, len(data))
    marks = _room_for_marks(stop - start)
    places = _at(marks[0]), _at(marks[1]), len(marks[0])
    n = _checked(_library().find_texts(_at(data, np.uint8), start, stop, tag, *places, found))
    return n, found[0], (marks[0, : found[1]], marks[1, : found[1]])


def read_texts(data: U8, start: int, stop: int, starts: I64, lengths: I64) -> None:
    """Find where texts begin behind tag and length, and how long they are; as `read_varints`."""
    _check_range(data, start, stop)
    out = _at(starts, np.int64), _at(lengths, np.int64), min(len(starts), len(lengths))
    _checked(_library().read_texts(_at(data, np.uint8), start, stop, *out), stop)


def read_ends(data: U8, start: int, stop: int, skip: int, base: int, out: I64) -> None:
    """Say where texts end among the bytes of all, as many as there is room for.

    Args:
        data: uint8, shape (n_bytes,).
        start: Where the tag of a text is.
        stop: Where the last one ends.
        skip: How many come before those that are wanted.
        base: How many bytes the texts before `start` have.
        out: int64, shape (n,); written to.

    Raises:
        FormatError: They are not there.
    """
    _check_range(data, start, stop)
    at = _at(data, np.uint8), start, stop, skip, base
    _checked(_library().read_ends(*at, _at(out, np.int64), len(out)))


def skip_texts(data: U8, start: int, stop: int, n: int) -> int:
    """Return where some texts end; as `read_ends`."""
    _check_range(data, start, stop)
    return _checked(_library().read_ends(_at(data, np.uint8), start, stop, n, 0, None, 0))


def read_chars(data: U8, start: int, stop: int, skip: int, out: U8) -> None:
    """Read the bytes of texts behind the first `skip` bytes; as `read_ends`."""
    _check_range(data, start, stop)
    at = _at(data, np.uint8), start, stop, skip
    _checked(_library().read_chars(*at, _at(out, np.uint8), len(out)))


def write_texts(lengths: I64, data: U8, tag: U8) -> U8:
    """Write texts behind tags and lengths; see `_runs.encode_texts`."""
    out = np.empty((len(tag) + _LONGEST) * len(lengths) + len(data), np.uint8)
    texts = _at(lengths, np.int64), len(lengths), _at(data, np.uint8), len(data)
    n = _library().write_texts(*texts, _at(tag, np.uint8), len(tag), _at(out), len(out))
    return _begin(out, _checked(n))


def find_fixed(data: U8, start: int, stop: int, tag: int, size: int) -> int:
    """Count values of 4 or 8 bytes behind tags."""
    stop = min(stop, len(data))
    return _checked(_library().find_fixed(_at(data, np.uint8), start, stop, tag, size))


def read_fixed(data: U8, start: int, stop: int, out: npt.NDArray[Any]) -> None:
    """Read values of 4 or 8 bytes behind tags; as `read_varints`."""
    _check_range(data, start, stop)
    values = out.dtype.itemsize, _at(out), len(out)
    _checked(_library().read_fixed(_at(data, np.uint8), start, stop, *values), stop)


def write_fixed(values: npt.NDArray[Any], tag: U8) -> U8:
    """Write values of 4 or 8 bytes behind tags; see `_runs.encode_fixed`."""
    size = values.dtype.itemsize
    out = np.empty((len(tag) + size) * len(values), np.uint8)
    head = _at(tag, np.uint8), len(tag)
    _checked(
        _library().write_fixed(_at(values), len(values), size, *head, _at(out), len(out)), len(out)
    )
    return out


def _begin(out: U8, n: int) -> U8:
    """Return the first bytes of a new array; what follows is free again, and nothing is copied."""
    out.resize(n, refcheck=False)  # nobody else has it
    return out


def _room_for_marks(nbytes: int) -> I64:
    """Return room for the marks in so many bytes: no record takes less than two."""
    return np.empty((2, max(nbytes, 0) // (2 * _STEP) + 1), np.int64)


def _check_range(data: U8, start: int, stop: int) -> None:
    if not 0 <= start <= stop <= len(data):
        raise IndexError(f"bytes {start} to {stop} of {len(data)}")


# --- pieces: the twin is in _ragged ---------------------------------------------------------------


def move_pieces(out: U8, target: I64 | None, data: U8, source: I64 | None, lengths: I64) -> None:
    """Copy pieces; see `_ragged.scatter`.

    Args:
        out: uint8, shape (n_bytes,); written to.
        target: int64, shape (n,); where each begins in `out`; None if they lie end to end.
        data: uint8, shape (n_bytes,).
        source: int64, shape (n,); where each begins in `data`; None if they lie end to end.
        lengths: int64, shape (n,).

    Raises:
        FormatError: One is not inside.
    """
    n = min(len(array) for array in (target, source, lengths) if array is not None)
    to, source_at = (None if a is None else _at(a, np.int64) for a in (target, source))
    pieces = _at(data, np.uint8), len(data), source_at, _at(lengths, np.int64), n
    _checked(_library().move_pieces(_at(out, np.uint8), len(out), to, *pieces))


def are_equal(a: U8, b: U8) -> bool:
    """Compare arrays; see `_ragged.are_equal`."""
    places = _at(a, np.uint8), _at(b, np.uint8)
    same_length = len(a) == len(b)
    return same_length and (places[0] == places[1] or _library().are_equal(*places, len(a)) == 1)


# --- pages: the twins are in _encodings -----------------------------------------------------------

AS_THEY_ARE, ZIGZAG, DIFFERENCES = range(3)
"""What is done to values before they are split."""


def split_values(values: npt.NDArray[Any], kind: int) -> tuple[U8, int]:
    """Split values of 2, 4 or 8 bytes; see `_encodings.encode`.

    Returns:
        Room for a page, and how much of it is filled: what follows is anything, and meant as 0.
    """
    out = np.empty(values.nbytes, np.uint8)
    n, size = len(values), values.dtype.itemsize
    n_filled = _checked(_library().split_values(_at(values), n, size, kind, _at(out)))
    return out, n_filled * n


def join_values(page: U8, size: int, kind: int, out: npt.NDArray[Any]) -> None:
    """Put split values of so many bytes together; see `_encodings.decode`.

    Args:
        page: uint8; the lowest bytes of all values, then the next ones, two of each at least: those
            that are missing are 0.
        size: How many bytes a value has in a page.
        kind: What was done to it.
        out: Written to.

    Raises:
        ValueError: The page has a part of them, or more than there are.
    """
    n = len(out)
    n_filled = len(page) // n if n else size
    if len(page) != n * n_filled or not 2 <= n_filled <= size:
        raise ValueError(f"a page of {len(page)} bytes for {n} values of {size}")
    wide = out.dtype.itemsize
    split = _at(page, np.uint8), n, size, n_filled, kind
    _checked(_library().join_values(*split, _at(out), wide))
