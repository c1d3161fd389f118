"""A stored model's tables and payloads, read when they are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from onnxroot._address import Address
from onnxroot._batches import Batch, batches_from
from onnxroot._chunks import values_per_cluster
from onnxroot._dtypes import STORAGES
from onnxroot._external import ExternalTensor, external_tensors
from onnxroot._join import Document, PayloadSource, join
from onnxroot._layout import wire_values
from onnxroot._manifest import ExternalFile, Manifest, parse_manifest
from onnxroot._parts import PayloadsOfTensors, tensor_codes_of
from onnxroot._ragged import distinct, exclusive_sum, scatter
from onnxroot._records import Lists
from onnxroot._rntuple_read import TableReader, open_table
from onnxroot._root_file import RootFile
from onnxroot._schema import Field, Schema
from onnxroot._sha256 import Sha256
from onnxroot._spec import (
    EXTERNAL_SEGMENT,
    PAYLOAD,
    ROOT_MESSAGE,
    SAMPLES,
    TENSOR,
)
from onnxroot._tables_read import ValueReader, message_table, payload_table, tables_in
from onnxroot._varints import encode_varints
from onnxroot._wire import VARINT
from onnxroot.errors import FormatError, IntegrityError
from onnxroot.tables import Column, Payloads, Table, Tables

__all__ = ["StoredModel"]

U8 = npt.NDArray[np.uint8]

_BLOCK = 1 << 18  # values encoded at a time


class Writable(Protocol):
    """A file that is open for writing."""

    def write(self, data: memoryview, /) -> int:
        """Write all of some bytes."""
        ...


class StoredModel:
    """One model in an open ROOT file; implements `PayloadSource` and `ModelParts`.

    Attributes:
        file: The file.
        directory: The model's directory in it.
        manifest: Its manifest.
        n_copies: How often the tables that were read are there; see `TableReader`.
        reads_all: Whether payloads are being read to their end, so that reading ahead is no waste.
    """

    def __init__(
        self,
        file: RootFile,
        directory: str,
        expected: Mapping[str, Lists] = MappingProxyType({}),
        schema: Schema | None = None,
    ) -> None:
        """Read the manifest.

        Args:
            file: The file.
            directory: The model's directory in it.
            expected: What long lists of each message type may turn out to be: they are compared
                with it once they are read, and those that are the same take no memory.
            schema: The one it probably has.

        Raises:
            ModelNotFoundError: The directory has none.
            FormatError: It is damaged.
            UnsupportedModelError: A newer onnxroot wrote it.
        """
        self.file = file
        self.directory = directory
        self.manifest: Manifest = parse_manifest(file.manifest(directory), self.where, schema)
        sizes = (self.manifest.nbytes, *(f.nbytes for f in self.manifest.external_files))
        file.limits.check_payload(self.where, file.nbytes, sum(sizes))
        self.n_copies = 1
        self.reads_all = False
        self._expected = expected
        self._tables: dict[str, Table] = {}
        self._deviation = b""
        self._readers: dict[int, ValueReader] = {}
        self._cursor = (-1, 0, 0)  # payload, value and byte at which encoding goes on

    @property
    def where(self) -> str:
        """The model's address."""
        return (
            str(Address(self.file.path, self.directory)) if self.directory else f"{self.file.path}:"
        )

    @property
    def path(self) -> str:
        """The ROOT file."""
        return self.file.path

    @property
    def schema(self) -> Schema:
        """What columns and field codes mean."""
        return self.manifest.schema

    @property
    def depth(self) -> int:
        """How deep messages may nest."""
        return self.file.limits.depth

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of the ONNX file, under an empty name, and of each external file by location."""
        files = self.manifest.external_files
        return {"": self.manifest.nbytes} | {file.location: file.nbytes for file in files}

    def digests(self) -> dict[str, str]:
        """Return what the manifest says of the files in `sizes`."""
        files = self.manifest.external_files
        return {"": self.manifest.sha256} | {file.location: file.sha256 for file in files}

    @cached_property
    def _by_location(self) -> dict[str, ExternalFile]:
        return {file.location: file for file in self.manifest.external_files}

    def documents(self) -> dict[str, Document]:
        """Return the bytes of each of the files in `sizes`, to be read in windows."""
        return {"": self.document()} | self.files

    def stored_nbytes(self) -> int:
        """Return how many bytes of the file are the model's."""
        return sum(length for _, length in self.file.blobs(self.directory))

    def written(self) -> datetime | None:
        """Return when it was written."""
        return self.file.written(self.directory)

    def check_open(self) -> None:
        """See `ModelParts`."""
        self.file.check_open()

    def close(self) -> None:
        """Close the ROOT file."""
        self.file.close()

    def reader(self, name: str) -> TableReader:
        """Open the RNTuple of that name."""
        found = open_table(self.file, self.directory, name, self.manifest.tables[name])
        self.n_copies = max(self.n_copies, found.n_copies)
        return found

    def table(self, name: str) -> Table | None:
        """Return the table of a message type, or None if the model has none of these."""
        if name not in self._tables:
            if name not in self.manifest.tables:
                return None
            kind, expected = self.manifest.schema[name], self._expected.get(name, {})
            self._tables[name], deviation = message_table(self.reader(name), kind, expected)
            self._deviation = self._deviation or deviation
        return self._tables[name]

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """Inputs and outputs that are stored with the model, to check it with."""
        if SAMPLES not in self.manifest.tables:
            return ()
        reader = self.reader(SAMPLES)
        return batches_from(reader.all_columns(), reader.where)

    @cached_property
    def payloads(self) -> Payloads:
        """The index of the payloads."""
        if PAYLOAD not in self.manifest.tables:
            return Payloads.empty()
        payloads = payload_table(self.reader(PAYLOAD))
        where, file = f"{self.where}/{PAYLOAD}", self.file
        for numbers in (payloads.nbytes, payloads.n_values):  # their sums fit into 64 bits
            file.limits.check_payload(where, file.nbytes, int(numbers.sum(dtype=np.float64)))
        tensors = self.manifest.tables.get(TENSOR)
        if ((payloads.tensor < -1) | (payloads.tensor >= (tensors.n_rows if tensors else 0))).any():
            raise FormatError(f"{where}: a payload belongs to a tensor that does not exist")
        if (payloads.field >= len(self.manifest.schema.fields)).any():
            raise FormatError(f"{self.where}/{PAYLOAD}: a field code is unknown")
        for code in distinct(payloads.field).tolist():
            here = payloads.field == code
            item = self.manifest.schema.fields[code][1]
            self._check_sizes(item, payloads.select(here))
        return payloads

    def _check_sizes(self, item: Field, payloads: Payloads) -> None:
        """Check that values and bytes of one field's payloads agree."""
        itemsize = np.array([s.dtype.itemsize for s in STORAGES])[payloads.storage]
        if not item.is_message and item.wire_type == VARINT:
            wrong = (payloads.nbytes < payloads.n_values) | (
                payloads.nbytes > 10 * payloads.n_values
            )
        else:
            wrong = payloads.nbytes != payloads.n_values * itemsize
        if wrong.any():
            raise FormatError(f"{self.where}/{PAYLOAD}: sizes of {item.name} contradict each other")

    @cached_property
    def _first_value(self) -> npt.NDArray[np.int64]:
        return self.payloads.first_value

    def tables(self) -> Tables:
        """Read all message tables; those of external files, and their payloads, left out."""
        found = {}
        for name in tables_in(self.manifest):
            if name == EXTERNAL_SEGMENT:
                continue
            table = self.table(name)
            if table is not None:
                found[name] = table
        if ROOT_MESSAGE not in found:
            raise FormatError(f"{self.where}: has no {ROOT_MESSAGE} table; {self.file.fault}")
        return Tables(
            schema=self.manifest.schema,
            tables=found,
            payloads=self.payloads.select(np.arange(self._n_inside)),
            deviation=self._deviation,
            depth=self.depth,
        )

    def document(self) -> Document:
        """Return the ONNX file.

        Raises:
            FormatError: The tables contradict each other.
            IntegrityError: A table, or the length, is not what was stored.
        """
        try:
            return join(self.tables(), self)
        except FormatError as error:
            if str(error).startswith(self.where):
                raise
            raise FormatError(f"{self.where}: {error}; {self.file.fault}") from error

    @cached_property
    def _n_inside(self) -> int:
        """Number of payloads of the ONNX file; those of the external files follow."""
        kind = self.manifest.schema.messages.get(EXTERNAL_SEGMENT)
        codes = [item.code for item in kind.fields] if kind else []
        outside = np.isin(self.payloads.field, codes)
        if (outside[:-1] & ~outside[1:]).any():
            raise FormatError(f"{self.where}/{PAYLOAD}: external payloads are not the last ones")
        return int(np.count_nonzero(~outside))

    def external_documents(self) -> dict[str, Document]:
        """Return the external files by location.

        Raises:
            FormatError: The segments contradict each other.
        """
        table = self.table(EXTERNAL_SEGMENT)
        first = self._n_inside
        n_rows = table.n_rows if table else 0
        rows = self.payloads.row[first:]
        where = f"{self.where}/{EXTERNAL_SEGMENT}"
        if len(rows) != n_rows or (rows != np.arange(n_rows)).any():
            raise FormatError(f"{where}: has other rows than payloads; {self.file.fault}")
        if table and "location" not in table.columns:
            raise FormatError(f"{where}: column location is missing; {self.file.fault}")
        segments: dict[str, list[int]] = defaultdict(list)
        for i, location in enumerate(table.columns["location"].to_list() if table else []):
            segments[location].append(i)
        documents: dict[str, Document] = {}
        for file in self.manifest.external_files:
            mine = segments[file.location]
            if mine and mine != list(range(mine[0], mine[-1] + 1)):
                raise FormatError(f"{where}: {file.location} is not in one piece")
            nbytes = (
                self.payloads.nbytes[first + mine[0] : first + mine[-1] + 1] if mine else rows[:0]
            )
            documents[file.location] = Document(
                np.empty(0, np.uint8),
                np.zeros(len(nbytes), np.int64),
                nbytes,
                _From(self, first + mine[0] if mine else first),
                b"",
            )
        return documents

    @cached_property
    def files(self) -> dict[str, Document]:
        """The external files by location."""
        return self.external_documents()

    @cached_property
    def external(self) -> dict[int, ExternalTensor]:
        """The tensors whose elements are in external files, by row."""
        if not self.manifest.external_files:
            return {}
        names = (TENSOR, "StringStringEntryProto")  # no more: others may be damaged
        read = {name: table for name in names if (table := self.table(name))}
        tables = Tables(schema=self.manifest.schema, tables=read, payloads=Payloads.empty())
        found = {tensor.row: tensor for tensor in external_tensors(tables)}
        for tensor in found.values():
            document = self.files.get(tensor.location)
            stop = tensor.offset + (tensor.length or 0)
            if document is None or stop > document.nbytes:
                raise FormatError(
                    f"{self.where}: tensor {tensor.name!r} is in {tensor.location!r} up to byte "
                    f"{stop}, where no file of the model has any; {self.file.fault}"
                )
        return found

    @cached_property
    def payloads_of_tensors(self) -> PayloadsOfTensors:
        """The payloads of each tensor."""
        return PayloadsOfTensors(self.payloads, self.tensor_codes)

    @cached_property
    def tensor_codes(self) -> list[int]:
        """Codes of the fields that hold elements of tensors."""
        return tensor_codes_of(self.schema)

    def tensor_names(self) -> Column:
        """Return the names of all tensors, by row."""
        self.table(TENSOR)
        tables = Tables(schema=self.manifest.schema, tables=self._tables, payloads=Payloads.empty())
        return tables.tensor_names()

    def copy(self, document: Document, out: Writable | None, location: str = "") -> None:
        """Write a file's bytes, and check their length and SHA-256.

        Args:
            document: The ONNX file, or the external file at `location`.
            out: Where to write; None to check alone.
            location: The external file's, or nothing for the ONNX file.

        Raises:
            IntegrityError: They are not those that were stored.
        """
        where, nbytes, sha256 = self.where, self.manifest.nbytes, self.manifest.sha256
        file = self._by_location.get(location)
        if file is not None:
            where, nbytes, sha256 = f"{where}, {location}", file.nbytes, file.sha256
        if document.nbytes != nbytes:
            raise IntegrityError(
                f"{where}: {document.nbytes} bytes, the manifest says {nbytes}; {self.file.fault}"
            )
        with Sha256() as digest:
            for window in self.windows(document):
                digest.update(window)
                if out is not None:
                    out.write(memoryview(window))
            found = digest.hexdigest()
        if found != sha256:
            raise IntegrityError(
                f"{where}: the SHA-256 is {found}, the manifest says {sha256}; {self.file.fault}"
            )

    def windows(self, document: Document) -> Iterator[U8]:
        """Yield a whole file in order, as `Document.windows` does, while what follows is read."""
        self.reads_all = True
        try:
            yield from document.windows()
        finally:
            self.reads_all = False

    def check_files(self) -> None:
        """Rebuild the ONNX file and its external files, and check them.

        Raises:
            FormatError: The tables contradict each other.
            IntegrityError: The bytes are not those that were stored.
        """
        self.copy(self.document(), None)
        for location, document in self.files.items():
            self.copy(document, None, location)

    # --- PayloadSource -------------------------------------------------------------------------

    def values(self, payload: int, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return values of one payload, those from `start` up to `stop`."""
        end = int(self.payloads.n_values[payload]) if stop is None else stop
        first = int(self._first_value[payload])
        return self._read(int(self.payloads.storage[payload]), first + start, first + end)

    def wire_bytes(self, first: int, last: int) -> U8:
        """Return the bytes of the payloads from `first` up to `last`, end to end."""
        payloads = self.payloads
        key = payloads.storage[first:last].astype(np.int64) << 32 | payloads.field[first:last]
        nbytes = payloads.nbytes[first:last]
        kinds = distinct(key).tolist()
        if len(kinds) == 1 and len(distinct(payloads.storage[first:last])) == 1:
            return self._wire(kinds[0] & 0xFFFF, np.arange(first, last))
        out = np.empty(int(nbytes.sum()), np.uint8)
        target = exclusive_sum(nbytes)
        for kind in kinds:
            here = np.flatnonzero(key == kind)
            scatter(out, target[here], nbytes[here], self._wire(kind & 0xFFFF, here + first))
        return out

    def wire_range(self, payload: int, start: int, stop: int) -> U8:
        """Return some of the bytes of one payload."""
        item = self.manifest.schema.fields[int(self.payloads.field[payload])][1]
        if item.wire_type == VARINT:
            return self._coded_range(item, payload, start, stop)
        size = STORAGES[int(self.payloads.storage[payload])].dtype.itemsize
        first = start // size
        values = self.values(payload, first, -(-stop // size))
        return values.view(np.uint8)[start - first * size : stop - first * size]

    def _coded_range(self, item: Field, payload: int, start: int, stop: int) -> U8:
        """Encode values until bytes `start` to `stop` are there; later ones go on from there."""
        at, value, position = self._cursor
        if at != payload or position > start:
            value = position = 0
        n_values = int(self.payloads.n_values[payload])
        parts = []
        while value < n_values:
            block = self.values(payload, value, min(value + _BLOCK, n_values))
            out, _ = encode_varints(wire_values(item, block))
            parts.append(out[max(start - position, 0) : stop - position])
            if position + len(out) >= stop:
                break
            value, position = value + len(block), position + len(out)
        self._cursor = payload, value, position
        joined = np.concatenate(parts)
        if len(joined) != stop - start:
            raise FormatError(f"{self.where}: values of {item.name} end too early; damaged")
        return joined

    def _wire(self, code: int, which: npt.NDArray[np.intp]) -> U8:
        """Return the bytes of payloads of one field and one storage, end to end."""
        payloads = self.payloads
        storage = int(payloads.storage[which[0]])
        first, n = self._first_value[which], payloads.n_values[which]
        runs = np.split(np.arange(len(which)), np.flatnonzero(first[1:] != (first + n)[:-1]) + 1)
        parts = [self._read(storage, int(first[r[0]]), int(first[r[-1]] + n[r[-1]])) for r in runs]
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        item = self.manifest.schema.fields[code][1]
        if item.wire_type != VARINT:
            return values.view(np.uint8)
        out, widths = encode_varints(wire_values(item, values))
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(widths)])
        if (np.diff(ends[np.concatenate([[0], np.cumsum(n)])]) != payloads.nbytes[which]).any():
            raise FormatError(f"{self.where}: values of {item.name} have another length; damaged")
        return out

    def _read(self, storage: int, start: int, stop: int) -> npt.NDArray[Any]:
        if storage not in self._readers:
            self._readers[storage] = ValueReader(
                self.file, self.directory, self.manifest, STORAGES[storage]
            )
        per_cluster = values_per_cluster(STORAGES[storage])
        return self._readers[storage].read(start, stop, per_cluster, to_the_end=self.reads_all)


class _From:
    """A payload source that counts payloads from another number on."""

    def __init__(self, source: PayloadSource, first: int) -> None:
        self._source, self._first = source, first

    def wire_bytes(self, first: int, last: int) -> U8:
        """See `_join.PayloadSource`."""
        return self._source.wire_bytes(self._first + first, self._first + last)

    def wire_range(self, payload: int, start: int, stop: int) -> U8:
        """See `_join.PayloadSource`."""
        return self._source.wire_range(self._first + payload, start, stop)
