"""Write a model's tables as RNTuples. With `_rntuple_read`, the only module that imports uproot.

Every metadata table is written with a single ``extend``, so it has one cluster; payload has one
cluster per ``extend``. The manifest comes last.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, BinaryIO

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot
import xxhash

from onnxroot._chunks import labels, storages_of, values_of
from onnxroot._dtypes import Storage
from onnxroot._manifest import TableInfo
from onnxroot._rntuple_read import TableReader
from onnxroot._spans import Buffers
from onnxroot._spec import (
    COLUMN_DEVIATION,
    COLUMN_PARENT,
    COLUMN_PARENT_FIELD,
    COLUMN_PRESENCE,
    EXTERNAL_SEGMENT,
    MANIFEST,
    PAYLOAD,
    ROOT_MESSAGE,
    SAMPLES,
    TENSORS,
)
from onnxroot._streamer_info import add_to_list
from onnxroot.errors import FormatError
from onnxroot.tables import Column, Payloads, Tables

__all__ = ["COMPRESSIONS", "ModelWriter", "add_streamer_info"]

COMPRESSIONS = ("zstd", "lz4", "lzma", "none")
"""Names of compressions; all but ``none`` take a level behind a colon."""

_METADATA = uproot.ZSTD(1)
_STORED = uproot.ZSTD(0)  # as it is; uproot before 5.7.7 takes no None for RNTuples
_SMALL = 1 << 10  # bytes of a table that take less time to store than to compress
_LEVELS = {"zstd": (uproot.ZSTD, 1, 22), "lz4": (uproot.LZ4, 1, 12), "lzma": (uproot.LZMA, 1, 9)}


def parse_compression(text: str) -> uproot.compression.Compression:
    """Return uproot's compression for a name such as ``zstd``, ``zstd:9`` or ``none``.

    Raises:
        ValueError: There is no such compression or level.
    """
    name, _, level = text.partition(":")
    if text == "none":
        return _STORED
    if name in _LEVELS:
        kind, low, high = _LEVELS[name]
        if not level:
            return kind(low)
        if level.isdigit() and low <= int(level) <= high:
            return kind(int(level))
    raise ValueError(
        f"no compression {text!r}: expected one of {', '.join(COMPRESSIONS)}, "
        "with a level if you like, such as zstd:9"
    )


class ModelWriter:
    """Writes one model into a ROOT file; a context manager."""

    def __init__(self, file: BinaryIO | io.RawIOBase, directory: str, *, compression: str) -> None:
        """Make the model's directory.

        Args:
            file: A ROOT file, open for reading and writing.
            directory: Path of the directory in it, which must not exist.
            compression: Of the payload.

        Raises:
            ValueError: There is no such compression.
            OSError: The file can't be written.
        """
        self._compression = parse_compression(compression)
        self._file = uproot.update(file)
        self._directory = _let_positions_be_large(self._file.mkdir(directory))
        self._tensors: uproot.WritableDirectory | None = None
        self._tables: dict[str, TableInfo] = {}

    def __enter__(self) -> ModelWriter:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the file."""
        self._file.close()

    def write_tables(self, tables: Tables) -> None:
        """Write every message table and the index of the payloads."""
        for name, table in tables.tables.items():
            columns: dict[str, Column] = {}
            if name not in {ROOT_MESSAGE, EXTERNAL_SEGMENT}:
                columns[COLUMN_PARENT] = Column((), table.parent)
                columns[COLUMN_PARENT_FIELD] = Column((), table.parent_field)
            columns[COLUMN_PRESENCE] = Column((), table.presence)
            columns |= table.columns
            if name == ROOT_MESSAGE and tables.deviation:
                columns[COLUMN_DEVIATION] = _text(tables.deviation)
            self._write_one(name, columns)
        if len(tables.payloads):
            self._write_one(PAYLOAD, _payload_columns(tables.payloads))

    def write_payloads(self, tables: Tables, buffers: Buffers) -> None:
        """Write the values of all payloads, storage by storage."""
        names = tables.tensor_names()
        for storage in storages_of(tables.payloads):
            self._write_storage(tables, buffers, storage, names)

    def write_samples(self, columns: dict[str, Column]) -> None:
        """Write the table of samples: FORMAT §8."""
        self._write_one(SAMPLES, columns)

    def copy_table(self, name: str, reader: TableReader) -> None:
        """Write a table that was read from another model, cluster by cluster.

        Raises:
            FormatError: It can't be read.
            IntegrityError: It is not what was written.
        """
        if not name.startswith(f"{TENSORS}/"):
            self._write_one(name, reader.all_columns())
            return
        self._write_clusters(name, map(reader.payload_columns, range(reader.n_clusters)))

    def write_manifest(self, text: str) -> None:
        """Write the manifest: the last thing, which makes the directory a model."""
        self._file.compression = _METADATA
        self._directory[MANIFEST] = text

    @property
    def tables(self) -> dict[str, TableInfo]:
        """What was written so far, for the manifest."""
        return self._tables

    def _write_one(self, name: str, columns: dict[str, Column]) -> None:
        array = _to_awkward(columns)
        self._file.compression = _METADATA if array.nbytes >= _SMALL else _STORED
        head, _, tail = name.rpartition("/")
        directory = (
            _let_positions_be_large(self._directory.mkdir(head)) if head else self._directory
        )
        ntuple = directory.mkrntuple(tail, array.layout.form)
        ntuple.extend(array)
        digest = xxhash.xxh64()
        for column in columns.values():
            digest_column(digest, column)
        self._tables[name] = TableInfo(n_rows=len(array), digests=(digest.hexdigest(),))

    def _write_storage(
        self, tables: Tables, buffers: Buffers, storage: Storage, names: Column
    ) -> None:
        def clusters() -> Iterator[dict[str, Column]]:
            for chunks, values in values_of(tables.schema, tables.payloads, buffers, storage):
                columns = labels(chunks, tables.payloads, names)
                columns["values"] = Column((columns["values"].values,), values)
                yield columns

        self._write_clusters(f"{TENSORS}/{storage.name}", clusters())

    def _write_clusters(self, name: str, clusters: Iterable[dict[str, Column]]) -> None:
        self._file.compression = self._compression
        if self._tensors is None:
            self._tensors = _let_positions_be_large(self._directory.mkdir(TENSORS))
        ntuple, n_rows, digests = None, 0, []
        for columns in clusters:
            array = _to_awkward(columns)
            if ntuple is None:
                ntuple = self._tensors.mkrntuple(name.rpartition("/")[2], array.layout.form)
            ntuple.extend(array)
            n_rows += len(array)
            digests.append(xxhash.xxh64(_bytes(columns["values"].values)).hexdigest())
        self._tables[name] = TableInfo(n_rows=n_rows, digests=tuple(digests))


def _let_positions_be_large(directory: uproot.WritableDirectory) -> uproot.WritableDirectory:
    """Let RNTuples be made in a directory beyond 2 GiB of a file.

    Uproot asks for keys with positions of 4 bytes for them, wherever they are; left to itself, it
    chooses what fits.
    """
    cascading = directory._cascading  # noqa: SLF001  (no public way)
    add_object = cascading.add_object

    def add(*arguments: Any, **options: Any) -> Any:
        options.pop("big", None)
        return add_object(*arguments, **options)

    cascading.add_object = add
    return directory


def add_streamer_info(record: tuple[int, bytes] | None) -> bytes | None:
    """Return a file's list of streamer infos with those of all that a model consists of.

    Args:
        record: Length of the list, and its bytes, which are compressed if there are fewer; None if
            the file has none.

    Returns:
        The new list, not compressed; None if the old one has them all.

    Raises:
        FormatError: It is damaged.
    """
    nbytes, data = record or (0, b"")
    if nbytes != len(data):
        chunk = uproot.source.chunk.Chunk.wrap(None, np.frombuffer(data, np.uint8))
        cursor = uproot.source.cursor.Cursor(0)
        try:
            found = uproot.compression.decompress(chunk, cursor, {}, len(data), nbytes)
        except Exception as error:
            raise FormatError(
                "the list of streamer infos can't be decompressed; the file is damaged"
            ) from error
        data = bytes(found.raw_data)
    others = uproot.models.TObjString.Model_TObjString.class_rawstreamers
    return add_to_list(data, {name: info for _, info, name, _ in others})


def digest_column(digest: xxhash.xxh64, column: Column) -> None:
    """Add a column to a digest as FORMAT §3.4 says: ends of lists, then values."""
    for offsets in column.offsets:
        digest.update(_bytes(offsets[1:]))
    digest.update(_bytes(column.values))


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    return memoryview(np.ascontiguousarray(array).view(np.uint8))


def _payload_columns(payloads: Payloads) -> dict[str, Column]:
    """Return the columns of the index of payloads: FORMAT §5.2."""
    return {
        "field": Column((), payloads.field),
        "row": Column((), payloads.row.astype(np.uint64)),
        "storage": Column((), payloads.storage),
        "n_values": Column((), payloads.n_values.astype(np.uint64)),
        "nbytes": Column((), payloads.nbytes.astype(np.uint64)),
        "tensor": Column((), payloads.tensor),
    }


def _text(value: bytes) -> Column:
    return Column((np.array([0, len(value)]),), np.frombuffer(value, np.uint8), is_text=True)


def _to_awkward(columns: dict[str, Column]) -> ak.Array:
    """Return a record array that shares the columns' memory."""
    contents = [_content(column) for column in columns.values()]
    return ak.Array(ak.contents.RecordArray(contents, list(columns)))


def _content(column: Column) -> ak.contents.Content:
    char = {"__array__": "char"} if column.is_text else None
    content: ak.contents.Content = ak.contents.NumpyArray(column.values, parameters=char)
    string = {"__array__": "string"} if column.is_text else None
    for offsets in reversed(column.offsets):
        content = ak.contents.ListOffsetArray(ak.index.Index64(offsets), content, parameters=string)
        string = None
    return content
