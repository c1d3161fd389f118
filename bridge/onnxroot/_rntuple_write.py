"""Write a model: its tables as RNTuples, and the manifest, which comes last.

A metadata table has one cluster. Of the payload, clusters are digested and compressed in threads
while those before them are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import uproot
import xxhash

from onnxroot._chunks import labels, storages_of, values_of
from onnxroot._compress import METADATA, Compression, decompressed, parse_compression
from onnxroot._dtypes import Storage
from onnxroot._manifest import TableInfo
from onnxroot._ntuple_write import NTuple, Pages
from onnxroot._overlap import in_order
from onnxroot._rntuple_read import TableReader
from onnxroot._root_region import Region
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
from onnxroot._streamer_info import add_to_list, string_object
from onnxroot.errors import FormatError
from onnxroot.tables import Column, Payloads, Tables

__all__ = ["UPROOT_VERSION", "ModelWriter", "add_streamer_info"]

UPROOT_VERSION: Final = str(uproot.__version__)
"""Version of uproot, for the provenance."""


class ModelWriter:
    """Writes one model into a region of a ROOT file."""

    def __init__(self, region: Region, directory: str, *, compression: str) -> None:
        """Begin with no tables.

        Args:
            region: Where to write.
            directory: Path of the model's directory.
            compression: Of the payload.

        Raises:
            ValueError: There is no such compression.
        """
        self._compression = parse_compression(compression)
        self._region = region
        self._directory = directory
        self._tables: dict[str, TableInfo] = {}

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
        content = string_object(text.encode())
        data = b"".join(METADATA(np.frombuffer(content, np.uint8)))
        path = f"{self._directory}/{MANIFEST}"
        title = "Collectable string class"  # as ROOT has it
        self._region.add_object(path, "TObjString", data, title=title, nbytes=len(content))

    @property
    def tables(self) -> dict[str, TableInfo]:
        """What was written so far, for the manifest."""
        return self._tables

    def _write_one(self, name: str, columns: dict[str, Column]) -> None:
        ntuple = self._new_ntuple(name, columns, METADATA)
        digest = ntuple.add_table(columns)
        ntuple.close()
        self._tables[name] = TableInfo(n_rows=ntuple.n_rows, digests=(digest,))

    def _new_ntuple(
        self, name: str, columns: dict[str, Column], compression: Compression
    ) -> NTuple:
        return NTuple(self._region, f"{self._directory}/{name}", columns, compression)

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
        remaining = iter(clusters)
        first = next(remaining, None)
        if first is None:
            raise FormatError(f"{self._directory}/{name}: has no clusters to copy")
        ntuple = self._new_ntuple(name, first, self._compression)
        digests = []

        def prepared(columns: dict[str, Column]) -> tuple[Pages, str]:
            digest = xxhash.xxh64(_bytes(columns["values"].values)).hexdigest()
            return ntuple.pages_of(columns), digest

        for pages, digest in in_order(prepared, chain([first], remaining)):
            ntuple.add(pages)
            digests.append(digest)
        ntuple.close()
        self._tables[name] = TableInfo(n_rows=ntuple.n_rows, digests=tuple(digests))


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
        try:
            data = decompressed(np.frombuffer(data, np.uint8), nbytes).tobytes()
        except Exception as error:
            raise FormatError(
                "the list of streamer infos can't be decompressed; the file is damaged"
            ) from error
    others = uproot.models.TObjString.Model_TObjString.class_rawstreamers
    return add_to_list(data, {name: info for _, info, name, _ in others})


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
