"""The tensors of a stored model, read one at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._dtypes import ELEMENT_TYPES
from onnxroot._external import ExternalTensor
from onnxroot._join import Document
from onnxroot._spec import TENSOR
from onnxroot._stored import StoredModel
from onnxroot.errors import UnsupportedModelError

__all__ = ["Tensor", "Tensors"]


class Tensor:
    """One tensor of a stored model; its elements are read by `numpy`.

    Attributes:
        name: Its name.
        data_type: Its element type in ONNX's terms, such as ``FLOAT``.
        shape: Its dimensions.
    """

    def __init__(self, stored: StoredModel, row: int) -> None:
        """Look the tensor up in its table.

        Args:
            stored: The model.
            row: Row of the tensor in the table of TensorProto.
        """
        table = stored.table(TENSOR)
        columns = table.columns if table else {}
        dims = columns.get("dims")
        self._stored, self._row = stored, row
        self.name = columns["name"].text(row) if "name" in columns else ""
        self._number = int(columns["data_type"].values[row]) if "data_type" in columns else 0
        element = ELEMENT_TYPES.get(self._number)
        self.data_type = element.name if element else f"data_type {self._number}"
        first, last = dims.offsets[0][row : row + 2].tolist() if dims else (0, 0)
        self.shape: tuple[int, ...] = tuple(dims.values[first:last].tolist()) if dims else ()

    def __repr__(self) -> str:
        """Return name, type and shape."""
        return f"<Tensor {self.name!r} {self.data_type} {list(self.shape)}>"

    @property
    def size(self) -> int:
        """Number of elements by its shape; 0 where a (malformed) dimension is negative."""
        return math.prod(self.shape) if all(dim >= 0 for dim in self.shape) else 0

    @property
    def nbytes(self) -> int:
        """Bytes its elements take in the ONNX file or the external file."""
        external = self._stored.external.get(self._row)
        if external is not None:
            return self._external_range(external)[1] - external.offset
        return int(self._stored.payloads.nbytes[self._payloads].sum())

    @property
    def _payloads(self) -> npt.NDArray[np.intp]:
        payloads = self._stored.payloads
        inside = np.isin(payloads.field, self._stored.tensor_codes)
        return np.flatnonzero((payloads.tensor == self._row) & inside)

    def numpy(self) -> npt.NDArray[Any]:
        """Read the elements.

        Returns:
            An array of the tensor's shape. Types that NumPy has not
            (bfloat16, float8, 4-bit ...) come as ml_dtypes; strings as objects.

        Raises:
            UnsupportedModelError: Shape and bytes disagree: the model is malformed, though stored.
            IntegrityError: The file is damaged.
        """
        external = self._stored.external.get(self._row)
        if external is not None:
            document, stop = self._external_range(external)
            return self._from_bytes(document.render(external.offset, stop))
        payloads = self._payloads
        if len(payloads) == 1:
            index = int(payloads[0])
            item = self._stored.manifest.schema.fields[int(self._stored.payloads.field[index])][1]
            if item.name == "raw_data":
                return self._from_bytes(
                    self._stored.wire_range(index, 0, int(self._stored.payloads.nbytes[index]))
                )
        return self._from_proto()

    def _external_range(self, external: ExternalTensor) -> tuple[Document, int]:
        document = self._stored.files[external.location]
        if external.length is None:
            return document, document.nbytes
        return document, external.offset + external.length

    def _from_bytes(self, data: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Give raw bytes the tensor's type and shape."""
        element = ELEMENT_TYPES.get(self._number)
        if element is None or not element.bits or element.bits % 8:
            return self._to_array(raw_data=data.tobytes())
        dtype = _dtype(element.numpy)
        if len(data) != self.size * dtype.itemsize:
            raise UnsupportedModelError(
                f"tensor {self.name!r}: its shape {list(self.shape)} needs "
                f"{self.size * dtype.itemsize} bytes, it has {len(data)}; the model is malformed"
            )
        # A copy: `data` may be a view of a memory map that goes when the file is closed.
        return data.view(dtype).reshape(self.shape).copy()

    def _from_proto(self) -> npt.NDArray[Any]:
        """Let onnx interpret the typed fields."""
        fields: dict[str, Any] = {}
        for index in self._payloads.tolist():
            item = self._stored.manifest.schema.fields[int(self._stored.payloads.field[index])][1]
            values = self._stored.values(index)
            if item.name == "raw_data":
                fields[item.name] = values.tobytes()
            elif item.dtype.kind == "f":
                fields[item.name] = values.view(item.dtype)
            else:
                fields[item.name] = values.astype(item.dtype)
        table = self._stored.table(TENSOR)
        texts = table.columns.get("string_data") if table else None
        if texts is not None:
            first, last = texts.offsets[0][self._row : self._row + 2].tolist()
            edges = texts.offsets[1][first : last + 1].tolist()
            data = texts.values.tobytes()
            if last > first:
                fields["string_data"] = [data[a:b] for a, b in pairwise(edges)]
        return self._to_array(**fields)

    def _to_array(self, **fields: Any) -> npt.NDArray[Any]:
        from onnx import TensorProto, numpy_helper  # noqa: PLC0415  (0.2 s, seldom needed)

        proto = TensorProto(dims=self.shape, data_type=self._number, **fields)
        try:
            return np.asarray(numpy_helper.to_array(proto))
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise UnsupportedModelError(
                f"tensor {self.name!r} ({self.data_type}, shape {list(self.shape)}): {error}; "
                "the model is malformed"
            ) from error


def _dtype(name: str) -> np.dtype[Any]:
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes  # noqa: PLC0415  (types that NumPy has not)

        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return found


class Tensors(Mapping[str, Tensor]):
    """The initializers of a model by name, those of the main graph before those of subgraphs."""

    def __init__(self, stored: StoredModel, main_graph: int) -> None:
        """List the names.

        Args:
            stored: The model.
            main_graph: Row of its graph in the table of GraphProto.
        """
        self._stored = stored
        table = stored.table(TENSOR)
        self._rows: dict[str, int] = {}
        if table is None or "name" not in table.columns:
            return
        code = stored.manifest.schema["GraphProto"].by_name["initializer"].code
        rows = np.flatnonzero(table.parent_field == code)
        rows = rows[np.argsort(table.parent[rows] != np.uint64(max(main_graph, 0)), kind="stable")]
        names = table.columns["name"]
        for row in rows.tolist():
            self._rows.setdefault(names.text(row), row)

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor by name."""
        if name not in self._rows:
            raise KeyError(f"no initializer {name!r} in {self._stored.where}")
        return Tensor(self._stored, self._rows[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Return the number of initializers."""
        return len(self._rows)
