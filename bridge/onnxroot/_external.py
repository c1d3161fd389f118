"""External data: the files that an ONNX file keeps tensors in. FORMAT.md §6.

Each file is cut where a tensor begins or ends; the pieces become payloads of the table
`_spec.EXTERNAL_SEGMENT`, typed by the tensor they belong to, gaps and padding as bytes.

Source: ``TensorProto.external_data`` in onnx.proto. Which paths are taken, `_locations` says.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from onnxroot._dtypes import STORAGES
from onnxroot._locations import map_inside, refuse_twins, relative_path
from onnxroot._ragged import distinct, group_starts
from onnxroot._spans import Buffers, Spans, storage_of_bytes
from onnxroot._spec import EXTERNAL_SEGMENT, TENSOR
from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot.tables import NO_ROW, Column, Payloads, Table, Tables

__all__ = ["ExternalTensor", "attach", "external_tensors"]

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

_EXTERNAL = 1  # TensorProto.DataLocation


@dataclass(frozen=True, slots=True)
class ExternalTensor:
    """Where the elements of one tensor are.

    Attributes:
        row: Its row in the table of TensorProto.
        name: Its name, for messages.
        location: Path of the file, relative, normalised.
        offset: First byte.
        length: Number of bytes, or None for all up to the end of the file.
        given: The path as the model has it.
    """

    row: int
    name: str
    location: str
    offset: int
    length: int | None
    given: str


def external_tensors(tables: Tables) -> list[ExternalTensor]:
    """Return the tensors whose elements are in other files, in the order of their rows.

    Raises:
        FormatError: An entry is missing or is no number.
        UnsupportedModelError: A location leaves the folder.
    """
    tensors = tables.tables.get(TENSOR)
    if tensors is None or "data_location" not in tensors.columns:
        return []
    rows = np.flatnonzero(tensors.columns["data_location"].values == _EXTERNAL)
    if not len(rows):
        return []
    entries = _entries(tables)
    names = tensors.columns.get("name")
    return [_tensor(row, names, entries.get(row, {})) for row in rows.tolist()]


def _entries(tables: Tables) -> dict[int, dict[str, str]]:
    """Return the ``external_data`` entries of each tensor."""
    code = tables.schema[TENSOR].by_name["external_data"].code
    table = tables.tables.get("StringStringEntryProto")
    found: dict[int, dict[str, str]] = defaultdict(dict)
    if table is None:
        return found
    for row in np.flatnonzero(table.parent_field == code).tolist():
        pair = (table.columns.get("key"), table.columns.get("value"))
        key, value = (column.text(row) if column else "" for column in pair)
        found[int(table.parent[row])][key] = value
    return found


def _tensor(row: int, names: Column | None, entries: dict[str, str]) -> ExternalTensor:
    name = names.text(row) if names else ""
    if not entries.get("location"):
        raise FormatError(f"tensor {name!r} is external but names no location")
    length = _number(name, "length", entries["length"]) if "length" in entries else None
    offset = _number(name, "offset", entries.get("offset", "0"))
    given = entries["location"]
    return ExternalTensor(row, name, relative_path(given, name), offset, length, given)


def _number(name: str, key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise FormatError(f"tensor {name!r}: external {key} is {text!r}, expected a byte count")
    return int(text)


def attach(
    tables: Tables, buffers: Buffers, folder: Path | None
) -> tuple[Tables, list[tuple[str, U8]]]:
    """Add the external files of a model to its tables.

    Args:
        tables: The model.
        buffers: Its bytes; the mapped files and their spans are added.
        folder: Where the files are, or None if that is not known.

    Returns:
        The tables with the segments of the files, and (location, bytes) of each file.

    Raises:
        FormatError: An entry can't be read.
        UnsupportedModelError: A file is missing, too short, or not below the folder.
    """
    tensors = external_tensors(tables)
    if not tensors:
        return tables, []
    if folder is None:
        raise UnsupportedModelError(
            f"tensor {tensors[0].name!r} is in the external file {tensors[0].location!r}, but the "
            "model came without a folder; give external_data_dir=, or write the .onnx file itself"
        )
    by_file: dict[str, list[ExternalTensor]] = defaultdict(list)
    for tensor in tensors:
        by_file[tensor.location].append(tensor)
    types = tables.tables[TENSOR].columns.get("data_type")
    files, rows = [], []
    refuse_twins(by_file)
    for location, members in by_file.items():
        data = map_inside(folder, location)
        number = buffers.add(data)
        files.append((location, data))
        rows += [(location, number, *segment) for segment in _segments(location, data, members)]
    segments, payloads, spans = _tabulate(tables, types, rows)
    buffers.spans = Spans.concatenate([buffers.spans, spans])
    tables = replace(
        tables,
        tables={**tables.tables, **segments},
        payloads=Payloads.concatenate([tables.payloads, payloads]),
    )
    return tables, files


def _segments(location: str, data: U8, tensors: list[ExternalTensor]) -> list[tuple[int, int, int]]:
    """Cut a file into (start, stop, tensor row or -1), without holes."""
    ranges = []
    for tensor in tensors:
        stop = len(data) if tensor.length is None else tensor.offset + tensor.length
        if stop > len(data) or tensor.offset > len(data):
            raise UnsupportedModelError(
                f"tensor {tensor.name!r}: external file {location!r} has {len(data)} bytes, but "
                f"the tensor ends at byte {max(stop, tensor.offset)}; the file was cut or replaced"
            )
        ranges.append((tensor.offset, stop, tensor.row))
    if not len(data):
        return []
    ends = [0, len(data), *(r[0] for r in ranges), *(r[1] for r in ranges)]
    edges = distinct(np.array(ends, np.int64))
    owner = np.full(len(edges) - 1, -1, np.int64)
    for start, stop, row in reversed(ranges):  # the first tensor wins
        lo, hi = np.searchsorted(edges, [start, stop])
        owner[lo:hi] = row
    first = np.flatnonzero(group_starts(owner))
    last = np.append(first[1:], len(owner))
    return list(
        zip(edges[first].tolist(), edges[last].tolist(), owner[first].tolist(), strict=True)
    )


def _tabulate(
    tables: Tables, types: Column | None, rows: list[tuple[str, int, int, int, int]]
) -> tuple[dict[str, Table], Payloads, Spans]:
    """Make the table of segments, its payloads and their spans."""
    n = len(rows)
    if not n:
        return {}, Payloads.empty(), Spans.empty()
    kind = tables.schema[EXTERNAL_SEGMENT]
    locations = [row[0].encode() for row in rows]
    buffer, start, stop, tensor = np.array([row[1:] for row in rows], np.int64).T
    data_type = np.zeros(n, np.int64)
    if types is not None:
        data_type = np.where(tensor < 0, 0, types.values[tensor])
    storage = storage_of_bytes(data_type, stop - start)
    itemsize = np.array([s.dtype.itemsize for s in STORAGES])
    n_values = (stop - start) // itemsize[storage]
    index = np.arange(n)
    offsets = np.cumsum([0, *map(len, locations)])
    table = Table(
        n_rows=n,
        parent=np.full(n, NO_ROW, np.uint64),
        parent_field=np.zeros(n, np.uint16),
        presence=np.full(n, (1 << len(kind.optional)) - 1, np.uint64),
        columns={
            "location": Column(
                (offsets,), np.frombuffer(b"".join(locations), np.uint8), is_text=True
            ),
            "offset": Column((), start.astype(np.uint64)),
            "nbytes": Column((), (stop - start).astype(np.uint64)),
        },
    )
    payloads = Payloads(
        field=np.full(n, kind.by_name["values"].code, np.uint16),
        row=index,
        storage=storage,
        n_values=n_values,
        nbytes=stop - start,
        tensor=tensor,
    )
    spans = Spans(
        row=index,
        buffer=buffer,
        start=start,
        nbytes=stop - start,
        storage=storage,
        n_values=n_values,
    )
    return {EXTERNAL_SEGMENT: table}, payloads, spans
