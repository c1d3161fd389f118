"""An ONNX file, looked at where it is: memory-mapped, nothing copied, nothing converted."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._deviation import dissect
from onnxroot._dtypes import STORAGES
from onnxroot._external import ExternalTensor, attach, external_tensors
from onnxroot._join import Document
from onnxroot._limits import DEFAULT_LIMITS, Limits
from onnxroot._locations import map_file
from onnxroot._parts import PayloadsOfTensors, tensor_codes_of
from onnxroot._schema import Schema, installed_schema
from onnxroot._sha256 import sha256_of
from onnxroot._spans import Buffers, from_wire
from onnxroot._varints import read_varint_stream, varint_windows
from onnxroot._wire import VARINT
from onnxroot.errors import FormatError
from onnxroot.tables import Payloads, Table, Tables

__all__ = ["OnnxFile"]

U8 = npt.NDArray[np.uint8]

_WINDOW = 1 << 20


class OnnxFile:
    """The parts of the model in an ONNX file; implements `_parts.ModelParts`."""

    def __init__(self, path: str | Path, limits: Limits = DEFAULT_LIMITS) -> None:
        """Read the model's structure; the values of its tensors stay where they are.

        Args:
            path: The file.
            limits: How much it may ask for.

        Raises:
            FormatError: The file is no ONNX model.
            OSError: It can't be opened.
        """
        self.path = str(path)
        self.depth = limits.depth
        self.schema: Schema = installed_schema()
        self.data: U8 = map_file(path)
        try:
            self._tables, self._buffers = dissect(self.data, self.schema, limits.depth)
        except FormatError as error:
            raise error.within(self.path) from error
        self._closed = False
        self._cursor = (-1, 0, 0)  # payload, value and byte at which decoding goes on

    @property
    def where(self) -> str:
        """The path."""
        return self.path

    @property
    def sizes(self) -> dict[str, int]:
        """See `ModelParts`."""
        return {"": len(self.data)} | {name: file.nbytes for name, file in self.files.items()}

    @property
    def payloads(self) -> Payloads:
        """The payloads of the ONNX file; those of external files are in `files`."""
        return self._tables.payloads

    @cached_property
    def external(self) -> dict[int, ExternalTensor]:
        """See `ModelParts`."""
        return {tensor.row: tensor for tensor in external_tensors(self._tables)}

    @cached_property
    def files(self) -> dict[str, Document]:
        """The external files, beside the ONNX file.

        Raises:
            UnsupportedModelError: One is missing, too short, or not below the folder.
        """
        _, files = attach(self._tables, Buffers(self.data), Path(self.path).parent)
        return {name: self._whole(data) for name, data in files}

    def documents(self) -> dict[str, Document]:
        """See `ModelParts`."""
        return {"": self._whole(self.data)} | self.files

    def _whole(self, data: U8) -> Document:
        """Return a mapped file as it is."""
        none = np.empty(0, np.int64)
        return Document(data, none, none, self._buffers, b"")

    @cached_property
    def payloads_of_tensors(self) -> PayloadsOfTensors:
        """See `ModelParts`."""
        return PayloadsOfTensors(self.payloads, self.tensor_codes)

    @cached_property
    def tensor_codes(self) -> list[int]:
        """See `ModelParts`."""
        return tensor_codes_of(self.schema)

    def table(self, name: str) -> Table | None:
        """See `ModelParts`."""
        self.check_open()
        return self._tables.tables.get(name)

    def tables(self) -> Tables:
        """See `ModelParts`."""
        return self._tables

    def values(self, payload: int, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """See `ModelParts`; a view of the file where it has the values as they are."""
        self.check_open()
        end = int(self.payloads.n_values[payload]) if stop is None else stop
        if self.schema.fields[int(self.payloads.field[payload])][1].wire_type == VARINT:
            return self._coded(payload, start, end)
        dtype = STORAGES[int(self.payloads.storage[payload])].dtype
        size = dtype.itemsize
        return self.wire_range(payload, start * size, end * size).view(dtype)

    def _coded(self, payload: int, start: int, stop: int) -> npt.NDArray[Any]:
        """Decode varints in windows; values asked for later go on from there."""
        at, value, position = self._cursor
        if at != payload or value > start:
            value = position = 0
        field = self.schema.fields[int(self.payloads.field[payload])][1]
        dtype = STORAGES[int(self.payloads.storage[payload])].dtype
        wire = self.wire_range(payload, 0, int(self.payloads.nbytes[payload]))
        parts = [np.empty(0, dtype)]
        while value < stop:
            first, last = varint_windows(wire, position, len(wire), _WINDOW)[0]
            numbers, widths = read_varint_stream(wire[first:last])
            lo, hi = max(start - value, 0), stop - value
            parts.append(from_wire(field, numbers[lo:hi]).astype(dtype))
            if hi < len(numbers):
                last = first + int(widths[:hi].sum())
            value, position = value + min(hi, len(numbers)), last
        self._cursor = payload, value, position
        return np.concatenate(parts)

    def wire_range(self, payload: int, start: int, stop: int) -> U8:
        """See `ModelParts`."""
        self.check_open()
        return self._buffers.wire_range(payload, start, stop)

    def digests(self) -> dict[str, str]:
        """See `ModelParts`."""
        self.check_open()
        files = {name: file.skeleton for name, file in self.files.items()}
        return {name: sha256_of(data) for name, data in ({"": self.data} | files).items()}

    def stored_nbytes(self) -> int:
        """See `ModelParts`; external files, which may be missing, left out."""
        return len(self.data)

    def written(self) -> datetime | None:
        """Return when the file was last written, in local time."""
        return datetime.fromtimestamp(Path(self.path).stat().st_mtime)  # noqa: DTZ006  (as ROOT)

    def check_open(self) -> None:
        """See `ModelParts`."""
        if self._closed:
            raise ValueError(f"{self.path} is closed: read from the model before it is closed")

    def close(self) -> None:
        """Let nothing more be read; the map goes when the last array of it does."""
        self._closed = True
