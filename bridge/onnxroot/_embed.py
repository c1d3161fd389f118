"""Put external tensors into the ONNX file itself: ``--embed``."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from onnxroot._external import ExternalTensor, external_tensors
from onnxroot._join import Document, PayloadSource, join
from onnxroot._layout import lay_out, payload_records
from onnxroot._ragged import scatter
from onnxroot._spec import TENSOR
from onnxroot.errors import UnsupportedModelError
from onnxroot.tables import Column, Payloads, Table, Tables

__all__ = ["embed"]

U8 = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.intp]

_LIMIT = 2**31 - 1  # protobuf's, for a message


def embed(tables: Tables, source: PayloadSource, files: dict[str, Document]) -> Document:
    """Return the ONNX file with the elements of external tensors in their ``raw_data``.

    Args:
        tables: The model, without the payloads of the external files.
        source: Gives its payloads.
        files: The external files by location.

    Returns:
        The file, in canonical form.

    Raises:
        UnsupportedModelError: It would pass protobuf's limit of 2 GiB.
    """
    tensors = external_tensors(tables)
    if not tensors:
        return join(tables, source)
    tables = _without_references(tables, np.array([t.row for t in tensors], np.int64))
    pieces = [_piece(tensor, files[tensor.location]) for tensor in tensors]
    added = [(tensor.row, piece) for tensor, piece in zip(tensors, pieces, strict=True)]
    added = [(row, piece) for row, piece in added if piece.stop > piece.start]
    n = len(added)
    payloads = Payloads(
        field=np.full(n, tables.schema[TENSOR].by_name["raw_data"].code, np.uint16),
        row=np.array([row for row, _ in added], np.int64),
        storage=np.zeros(n, np.uint8),
        n_values=np.array([piece.stop - piece.start for _, piece in added], np.int64),
        nbytes=np.array([piece.stop - piece.start for _, piece in added], np.int64),
        tensor=np.array([row for row, _ in added], np.int64),
    )
    n_own = len(tables.payloads)
    tables = replace(tables, payloads=Payloads.concatenate([tables.payloads, payloads]))
    order = np.argsort(payload_records(tables, lay_out(tables)), kind="stable")
    tables = replace(tables, payloads=tables.payloads.select(order))
    mixed = _Mixed(source, n_own, [p for _, p in added], order, tables.payloads.nbytes)
    document = join(tables, mixed)
    if document.nbytes > _LIMIT:
        raise UnsupportedModelError(
            f"with its external data the model takes {document.nbytes} bytes, over the 2 GiB that "
            "protobuf allows; save it without embedding"
        )
    return document


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some bytes of a file."""

    document: Document
    start: int
    stop: int


def _piece(tensor: ExternalTensor, document: Document) -> _Piece:
    stop = document.nbytes if tensor.length is None else tensor.offset + tensor.length
    return _Piece(document, tensor.offset, stop)


class _Mixed:
    """Payloads of the model and pieces of files in one order."""

    def __init__(
        self,
        source: PayloadSource,
        n_own: int,
        pieces: list[_Piece],
        order: Rows,
        nbytes: npt.NDArray[np.int64],
    ) -> None:
        self._source, self._n_own, self._pieces = source, n_own, pieces
        self._order, self._nbytes = order, nbytes

    def wire_bytes(self, first: int, last: int) -> U8:
        """See `_join.PayloadSource`."""
        nbytes = self._nbytes[first:last]
        out = np.empty(int(nbytes.sum()), np.uint8)
        start = np.cumsum(nbytes) - nbytes
        for i in range(last - first):
            piece = self.wire_range(first + i, 0, int(nbytes[i]))
            scatter(out, start[i : i + 1], nbytes[i : i + 1], piece)
        return out

    def wire_range(self, payload: int, start: int, stop: int) -> U8:
        """See `_join.PayloadSource`."""
        number = int(self._order[payload])
        if number < self._n_own:
            return self._source.wire_range(number, start, stop)
        piece = self._pieces[number - self._n_own]
        return piece.document.render(piece.start + start, piece.start + stop)


def _without_references(tables: Tables, rows: Rows) -> Tables:
    """Drop the external entries of tensors, and their own raw_data, which does not count."""
    kind = tables.schema[TENSOR]
    tensors = tables.tables[TENSOR]
    presence = tensors.presence.copy()
    location = np.uint64(1 << kind.optional.index(kind.by_name["data_location"]))
    raw = kind.by_name["raw_data"]
    presence[rows] &= ~location
    presence[rows] |= np.uint64(1 << kind.optional.index(raw))
    values = tensors.columns["data_location"].values.copy()
    values[rows] = 0
    columns = {**tensors.columns, "data_location": Column((), values)}
    entries = tables.tables["StringStringEntryProto"]
    drop = entries.parent_field == kind.by_name["external_data"].code
    drop &= np.isin(entries.parent.astype(np.int64), rows)
    payloads = tables.payloads
    own = (payloads.field == raw.code) & np.isin(payloads.row, rows)
    if own.any():
        raise UnsupportedModelError(
            f"{int(own.sum())} tensors are external and have raw_data too: which of them counts "
            "is not defined; save without embedding"
        )
    kept = np.flatnonzero(~drop)
    changed = {
        TENSOR: replace(tensors, presence=presence, columns=columns),
        "StringStringEntryProto": _select(entries, kept),
    }
    found = {name: changed.get(name, table) for name, table in tables.tables.items()}
    found = {name: table for name, table in found.items() if table.n_rows}
    return replace(tables, tables=found, deviation=b"")


def _select(table: Table, rows: Rows) -> Table:
    """Return some rows of a table whose columns are strings.

    Raises:
        UnsupportedModelError: One is not.
    """
    columns = {}
    for name, column in table.columns.items():
        if len(column.offsets) != 1 or not column.is_text:
            raise UnsupportedModelError(f"its entries have a field {name}, which is no string")
        texts = [
            column.values[a:b]
            for a, b in zip(column.offsets[0][rows], column.offsets[0][rows + 1], strict=True)
        ]
        offsets = np.cumsum([0, *map(len, texts)])
        values = np.concatenate([np.empty(0, np.uint8), *texts])
        columns[name] = Column((offsets,), values, is_text=True)
    return Table(
        n_rows=len(rows),
        parent=table.parent[rows],
        parent_field=table.parent_field[rows],
        presence=table.presence[rows],
        columns=columns,
    )
