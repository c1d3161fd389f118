"""Edits: how one byte string is made of another by copying and inserting. FORMAT.md §7.

Each edit copies a piece of the source, then inserts literal bytes. The edits of a model turn the
canonical form into the bytes that were written, so they say all that the tables cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onnxroot._ragged import concatenate, exclusive_sum, gather
from onnxroot._varints import decode_varints, encode_varints, read_varint_stream
from onnxroot._wire import LEN
from onnxroot.errors import FormatError

__all__ = ["Edits"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Edits:
    """A list of edits; the first three arrays have shape (n,).

    Attributes:
        copy_start: int64; where the piece to copy begins in the source.
        copy_nbytes: int64; its length, 0 for none.
        literal_nbytes: int64; how many bytes to insert behind it, 0 for none.
        literals: uint8; these bytes, of all edits end to end.
    """

    copy_start: I64
    copy_nbytes: I64
    literal_nbytes: I64
    literals: U8

    def __len__(self) -> int:
        """Return the number of edits."""
        return len(self.copy_start)

    @property
    def out_start(self) -> I64:
        """Where each edit's bytes begin in the result: int64, shape (n,)."""
        return exclusive_sum(self.copy_nbytes + self.literal_nbytes)

    @property
    def nbytes(self) -> int:
        """Length of the result."""
        return int(self.copy_nbytes.sum() + self.literal_nbytes.sum())

    @classmethod
    def of_pieces(cls, start: I64, stop: I64, source: I64, data: U8) -> Edits:
        """Make edits from the pieces of the result that can be copied.

        Args:
            start: int64, shape (n,); where each piece begins in the result, ascending.
            stop: int64, shape (n,); where it ends, at most the next start.
            source: int64, shape (n,); where it begins in the source.
            data: uint8; the whole result; what no piece covers becomes literal.

        Returns:
            The edits; neighbouring pieces that are neighbours in the source too are one.
        """
        joined = (start[1:] == stop[:-1]) & (source[1:] == (source + stop - start)[:-1])
        first = np.flatnonzero(np.concatenate([[True], ~joined])) if len(start) else start
        last = np.append(first[1:], len(start)) - 1
        start, source, stop = start[first], source[first], stop[last] if len(start) else stop
        # A literal before the first piece hangs on an edit that copies nothing.
        start, stop, source = (np.concatenate([[0], array]) for array in (start, stop, source))
        literal_nbytes = np.append(start[1:], len(data)) - stop
        return cls(source, stop - start, literal_nbytes, gather(data, stop, literal_nbytes).copy())

    def to_bytes(self) -> bytes:
        """Encode as a protobuf message: FORMAT §7.2."""
        parts = []
        for number, array in enumerate(
            (self.copy_start, self.copy_nbytes, self.literal_nbytes), start=1
        ):
            parts.append(_record(number, encode_varints(array.view(np.uint64))[0]))
        parts.append(_record(4, self.literals))
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes, source_nbytes: int) -> Edits:
        """Decode what `to_bytes` made, and check it.

        Args:
            data: The encoded edits.
            source_nbytes: Length of the source that they will be applied to.

        Raises:
            FormatError: They are damaged, or copy what the source does not have.
        """
        view = np.frombuffer(data, np.uint8)
        fields = []
        position = 0
        for number in range(1, 5):
            if position >= len(view) or view[position] != number << 3 | LEN:
                raise FormatError("the deviation is damaged: its fields can't be read")
            here = np.array([position + 1], np.int64)
            length, width, _ = decode_varints(view, here, np.array([len(view)], np.int64))
            start = position + 1 + int(width[0])
            position = start + int(length[0])
            if position > len(view):
                raise FormatError("the deviation is damaged: it is cut")
            fields.append(view[start:position])
        numbers = [read_varint_stream(stream)[0] for stream in fields[:3]]
        if len({len(array) for array in numbers}) != 1:
            raise FormatError("the deviation is damaged: its arrays differ in length")
        if any(np.any(array > np.uint64(2**62)) for array in numbers):
            raise FormatError("the deviation is damaged: a number is too large")
        copy_start, copy_nbytes, literal_nbytes = (array.astype(np.int64) for array in numbers)
        edits = cls(copy_start, copy_nbytes, literal_nbytes, fields[3])
        if np.any(copy_start + copy_nbytes > source_nbytes) or literal_nbytes.sum() != len(
            edits.literals
        ):
            raise FormatError("the deviation is damaged: it copies bytes that are not there")
        return edits


def _record(number: int, content: U8) -> bytes:
    length, _ = encode_varints(np.array([len(content)], np.uint64))
    return concatenate([np.array([number << 3 | LEN], np.uint8), length, content]).tobytes()
