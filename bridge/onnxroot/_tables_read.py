"""Tables and payload values out of the RNTuples of a model, checked."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onnxroot._dtypes import STORAGES, Storage
from onnxroot._manifest import Manifest
from onnxroot._overlap import Ahead
from onnxroot._records import Records
from onnxroot._rntuple_read import TableReader, open_table
from onnxroot._root_file import RootFile
from onnxroot._schema import MessageType
from onnxroot._spec import (
    COLUMN_DEVIATION,
    COLUMN_PARENT,
    COLUMN_PARENT_FIELD,
    COLUMN_PRESENCE,
    PAYLOAD,
    ROOT_MESSAGE,
    TENSORS,
)
from onnxroot.errors import FormatError, IntegrityError
from onnxroot.tables import NO_ROW, Column, Payloads, Table

_PAYLOAD_TYPES: Final[dict[str, np.dtype[Any]]] = {  # FORMAT §5.2
    "field": np.dtype("<u2"),
    "row": np.dtype("<u8"),
    "storage": np.dtype("<u1"),
    "n_values": np.dtype("<u8"),
    "nbytes": np.dtype("<u8"),
    "tensor": np.dtype("<i8"),
}

_AT_ONCE: Final = 4  # clusters of a remote file that are fetched at the same time

__all__ = ["ValueReader", "message_table", "payload_table", "tables_in"]


def message_table(
    reader: TableReader, kind: MessageType, expected: Mapping[str, Records]
) -> tuple[Table, bytes]:
    """Read the table of one message type.

    Args:
        reader: Of its RNTuple.
        kind: The message type.
        expected: By field, records that long lists may turn out to be.

    Returns:
        The table, and the deviation that the model's own table may carry.

    Raises:
        FormatError: A column is missing or of another type.
        IntegrityError: It is not what was written.
    """
    columns = reader.all_columns(kind.by_name, expected)
    if COLUMN_PRESENCE not in columns:
        raise FormatError(f"{reader.where}: column {COLUMN_PRESENCE} is missing")
    n = reader.n_rows
    none = Column((), np.full(n, NO_ROW, np.uint64))
    parent = columns.pop(COLUMN_PARENT, none)
    zero = Column((), np.zeros(n, np.uint16))
    parent_field = columns.pop(COLUMN_PARENT_FIELD, zero)
    deviation = b""
    if kind.name == ROOT_MESSAGE and COLUMN_DEVIATION in columns:
        deviation = columns.pop(COLUMN_DEVIATION).values.tobytes()
    presence = columns.pop(COLUMN_PRESENCE)
    _check_type(reader, COLUMN_PARENT, parent, np.dtype("<u8"), 0)
    _check_type(reader, COLUMN_PARENT_FIELD, parent_field, np.dtype("<u2"), 0)
    _check_type(reader, COLUMN_PRESENCE, presence, np.dtype("<u8"), 0)
    for name, column in columns.items():
        item = kind.by_name.get(name)
        if item is None or item.is_message:
            raise FormatError(f"{reader.where}: column {name} is no field of {kind.name}")
        _check_type(reader, name, column, item.dtype, int(item.is_text) + int(item.is_repeated))
        if column.is_text != item.is_text:
            columns[name] = replace(column, is_text=item.is_text)
    table = Table(
        n_rows=n,
        parent=parent.values,
        parent_field=parent_field.values,
        presence=presence.values,
        columns=columns,
    )
    return table, deviation


def _check_type(
    reader: TableReader, name: str, column: Column, dtype: np.dtype[Any], depth: int
) -> None:
    *lists, values = column.levels()
    if values.dtype != dtype or len(lists) != depth:
        raise FormatError(
            f"{reader.where}: column {name} holds {values.dtype} at depth {len(lists)}, "
            f"expected {dtype} at depth {depth}"
        )


def payload_table(reader: TableReader) -> Payloads:
    """Read the index of the payloads.

    Raises:
        FormatError: It contradicts itself.
        IntegrityError: It is not what was written.
    """
    columns = reader.all_columns()
    arrays = {}
    for item in fields(Payloads):
        column = columns.get(item.name)
        if column is None:
            raise FormatError(f"{reader.where}: column {item.name} is missing")
        _check_type(reader, item.name, column, _PAYLOAD_TYPES[item.name], 0)
        values = column.values
        if values.dtype == np.uint64:
            if (values >= np.uint64(2**62)).any():
                raise FormatError(f"{reader.where}: column {item.name} holds a number too large")
            values = values.astype(np.int64)
        arrays[item.name] = values
    payloads = Payloads(**arrays)
    if (payloads.storage >= len(STORAGES)).any():
        raise FormatError(f"{reader.where}: a storage code is unknown")
    if (payloads.n_values <= 0).any() or (payloads.nbytes <= 0).any():
        raise FormatError(f"{reader.where}: a payload is empty")
    return payloads


class ValueReader:
    """The values of one storage of a model, read a cluster at a time."""

    def __init__(
        self, file: RootFile, directory: str, manifest: Manifest, storage: Storage
    ) -> None:
        """Open the storage's RNTuple.

        Raises:
            FormatError: It is missing or of another type.
            IntegrityError: It has other rows or clusters than the manifest says.
        """
        name = f"{TENSORS}/{storage.name}"
        if name not in manifest.tables:
            raise FormatError(f"{file.path}:{directory}: the manifest lists no {name}")
        self._file = file
        self.reader = open_table(file, directory, name, manifest.tables[name])
        self.storage = storage
        self._ahead = Ahead(self._checked, file.pool)
        self._cluster = -1
        self._fetched = 0  # clusters before this one have been asked for, from `_cluster` on
        self._bad: dict[int, FormatError | IntegrityError] = {}
        self._values: npt.NDArray[Any] = np.empty(0, storage.dtype)

    def read(
        self, start: int, stop: int, per_cluster: int, *, to_the_end: bool = False
    ) -> npt.NDArray[Any]:
        """Return values `start` to `stop` of the storage.

        Args:
            start: The first.
            stop: The end.
            per_cluster: How many values a cluster has.
            to_the_end: All that follow will be read too.

        Returns:
            A new array; or one that can't be written to, where one cluster has them all.

        Raises:
            FormatError: They can't be read.
            IntegrityError: They are not what was written.
        """
        self._file.check_open()
        if start == stop:
            return np.empty(0, self.storage.dtype)
        first, last = start // per_cluster, -(-stop // per_cluster)
        if last > self.reader.n_clusters:
            raise FormatError(f"{self.reader.where}: ends before value {stop}")
        if last - first == 1:
            return self._part(first, start, stop, per_cluster, last)
        out = np.empty(stop - start, self.storage.dtype)
        if not to_the_end:
            self._read_at_once(range(first, last), start, out, per_cluster)
            return out
        for cluster in range(first, last):
            a, b = max(start, cluster * per_cluster), min(stop, (cluster + 1) * per_cluster)
            out[a - start : b - start] = self._part(
                cluster, a, b, per_cluster, self.reader.n_clusters
            )
        return out

    def _read_at_once(
        self, clusters: range, start: int, out: npt.NDArray[Any], per_cluster: int
    ) -> None:
        """Read clusters in several threads, whole ones to where their values belong.

        Args:
            clusters: Those that have the values.
            start: The first value.
            out: The values; written to.
            per_cluster: How many values a cluster has.
        """

        def read(cluster: int) -> npt.NDArray[Any] | None:
            """Return the cluster, if only a part of it is wanted."""
            first = cluster * per_cluster - start
            here = out[max(first, 0) : first + per_cluster]
            if len(here) == per_cluster:
                self._checked(cluster, here)
                return None
            values = self._values if cluster == self._cluster else self._checked(cluster)
            skipped = max(-first, 0)
            if len(values) < skipped + len(here):
                raise FormatError(f"{self.reader.where}: ends before value {start + len(out)}")
            here[:] = values[skipped : skipped + len(here)]
            return values

        last = None
        waiting: deque[Future[npt.NDArray[Any] | None]] = deque()
        try:
            for begin in range(0, len(clusters), _AT_ONCE):
                some = clusters[begin : begin + _AT_ONCE]
                self.reader.prefetch(some)
                waiting += [self._file.pool().submit(read, cluster) for cluster in some]
                while len(waiting) > _AT_ONCE:
                    last = waiting.popleft().result()
            while waiting:
                last = waiting.popleft().result()
        finally:
            for task in waiting:  # behind one that failed
                task.cancel()
        if last is not None:  # what comes next begins there
            self._cluster, self._values = clusters[-1], last

    def _part(
        self, cluster: int, start: int, stop: int, per_cluster: int, end: int
    ) -> npt.NDArray[Any]:
        """Return values `start` to `stop`, which one cluster has; those up to `end` come next."""
        if cluster in self._bad:
            raise self._bad[cluster]
        if cluster != self._cluster:
            self._prefetch(cluster, min(cluster + _AT_ONCE, end))
            try:
                self._values = self._ahead.get(cluster, end)
            except (FormatError, IntegrityError) as error:
                self._bad[cluster] = error  # others ask for it, too
                raise
            self._cluster = cluster
        base = cluster * per_cluster
        part = self._values[start - base : stop - base]
        if len(part) != stop - start:
            raise FormatError(f"{self.reader.where}: ends before value {stop}")
        return part

    def _prefetch(self, start: int, stop: int) -> None:
        """Fetch clusters, but none twice: those behind the last one are under way, or read."""
        if start > self._cluster:
            start = max(start, self._fetched)
        self._fetched = max(start, stop)
        self.reader.prefetch(range(start, stop))

    def _checked(self, cluster: int, out: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        values = self.reader.values(cluster, out)
        if values.dtype != self.storage.dtype:
            raise FormatError(f"{self.reader.where}: holds {values.dtype}")
        if out is None:
            values.flags.writeable = False  # it is kept
        return values


def tables_in(manifest: Manifest) -> list[str]:
    """Return the names of the message tables that a manifest lists."""
    return [
        name for name in manifest.tables if name in manifest.schema.messages and name != PAYLOAD
    ]
