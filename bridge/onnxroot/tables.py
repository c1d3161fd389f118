"""A model as tables: one per message type, one row per message, one column per field.

FORMAT.md §4 in memory. `_split` makes a `Tables` of ONNX bytes, `_join` makes ONNX bytes of it; the
RNTuple modules store and fetch it. Nothing here reads or writes a file.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from onnxroot._dtypes import STORAGES
from onnxroot._limits import DEFAULT_LIMITS
from onnxroot._schema import Schema
from onnxroot._spec import TENSOR

__all__ = ["NO_ROW", "Column", "Payloads", "Sliced", "Table", "Tables"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

NO_ROW = 2**64 - 1
"""Stands for "no row" in `Table.parent`; in memory alone, no file holds it."""


class Sliced(Protocol):
    """An array of one dimension, or what can be sliced like one."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        ...

    @property
    def nbytes(self) -> int:
        """How many bytes all values take."""
        ...

    def __len__(self) -> int:
        """Return the number of values."""
        ...

    def __getitem__(self, where: slice, /) -> npt.NDArray[Any]:
        """Return some of the values."""
        ...


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    A scalar column has no offsets; a string or vector column one array, a column of vectors of
    strings two, outermost first. Offsets are int64, shape (n + 1,), begin with 0 and end with the
    length of the next level.

    Attributes:
        offsets: The levels of nesting, none to two.
        values: The innermost values; uint8 for text.
        is_text: Whether the innermost lists are strings.
    """

    offsets: tuple[I64, ...]
    values: npt.NDArray[Any]
    is_text: bool = False

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets[0]) - 1 if self.offsets else len(self.values)

    def levels(self) -> list[Sliced]:
        """Return what is stored: the ends of the lists of each level, and the values."""
        return [*(offsets[1:] for offsets in self.offsets), self.values]

    def text(self, row: int) -> str:
        """Return one value of a string column; bytes that are not UTF-8 are escaped."""
        first, last = self.offsets[-1][row : row + 2].tolist()
        return bytes(self.values[first:last]).decode(errors="backslashreplace")

    def to_list(self) -> list[Any]:
        """Return Python values, text as in `text`: for showing, not for storing."""
        offsets = list(self.offsets)
        values: list[Any]
        if self.is_text:
            data, edges = self.values.tobytes(), offsets.pop().tolist()
            values = [
                data[a:b].decode(errors="backslashreplace") for a, b in itertools.pairwise(edges)
            ]
        else:
            values = self.values.tolist()
        for edges in (level.tolist() for level in reversed(offsets)):
            values = [values[a:b] for a, b in itertools.pairwise(edges)]
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All messages of one type, in the order in which the canonical form writes them.

    Attributes:
        n_rows: How many there are.
        parent: uint64, shape (n_rows,); row of the holding message in its own table, or
            `NO_ROW` for a message that nothing holds.
        parent_field: uint16, shape (n_rows,); code of the field that holds it.
        presence: uint64, shape (n_rows,); bit i: the i-th optional scalar field is there.
        columns: One column per field that occurs, by name.
    """

    n_rows: int
    parent: U64
    parent_field: npt.NDArray[np.uint16]
    presence: U64
    columns: dict[str, Column]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payloads:
    """Values too large for a column, one entry per field of a message; arrays of shape (n,).

    They stand in the order of the bytes they belong to: first those of the ONNX file, then those
    of the external files. The values of one storage lie end to end in that order, so that
    `first_value` is a running sum.

    Attributes:
        field: uint16; code of the field.
        row: int64; row of the message in its table.
        storage: uint8; code in `_dtypes.STORAGES`.
        n_values: int64; number of values.
        nbytes: int64; bytes these values take in the ONNX file or the external file.
        tensor: int64; row of the TensorProto they are the elements of, or -1.
    """

    field: npt.NDArray[np.uint16]
    row: I64
    storage: U8
    n_values: I64
    nbytes: I64
    tensor: I64

    def __len__(self) -> int:
        """Return the number of payloads."""
        return len(self.row)

    @property
    def first_value(self) -> I64:
        """Where each payload begins among the values of its storage: int64, shape (n,)."""
        first = np.zeros(len(self), np.int64)
        for storage in STORAGES:
            here = self.storage == storage.code
            lengths = self.n_values[here]
            first[here] = np.cumsum(lengths) - lengths
        return first

    def select(self, index: npt.NDArray[Any]) -> Payloads:
        """Return the payloads at `index`, in its order."""
        return Payloads(**{name: getattr(self, name)[index] for name in self.__slots__})

    @classmethod
    def concatenate(cls, parts: list[Payloads]) -> Payloads:
        """Return all entries of `parts`, in order."""
        names = cls.__slots__
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})

    @classmethod
    def empty(cls) -> Payloads:
        """Return no payloads."""
        none = np.empty(0, np.int64)
        return cls(
            field=none.astype(np.uint16),
            row=none,
            storage=none.astype(np.uint8),
            n_values=none,
            nbytes=none,
            tensor=none,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """A whole model but for the values of its payloads.

    Attributes:
        schema: What the columns and codes mean.
        tables: The tables that have rows, by message type.
        payloads: Where the values are that stand in no column.
        deviation: How the ONNX bytes differ from the canonical form (FORMAT §7); empty if they
            don't.
        depth: How deep messages may nest.
    """

    schema: Schema
    tables: dict[str, Table]
    payloads: Payloads
    deviation: bytes = b""
    depth: int = DEFAULT_LIMITS.depth

    @property
    def nbytes(self) -> int:
        """Bytes of all columns, as arrays."""
        total = len(self.deviation)
        for table in self.tables.values():
            levels = [each for column in table.columns.values() for each in column.levels()]
            rows = (table.parent, table.parent_field, table.presence)
            total += sum(each.nbytes for each in (*levels, *rows))
        return total

    def tensor_names(self) -> Column:
        """Return the names of all tensors, by row; empty strings where they have none."""
        table = self.tables.get(TENSOR)
        n = table.n_rows if table else 0
        none = Column((np.zeros(n + 1, np.int64),), np.empty(0, np.uint8), is_text=True)
        return table.columns.get("name", none) if table else none
