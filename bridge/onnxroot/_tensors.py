"""The tensors of a model, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from onnxroot._dtypes import ELEMENT_TYPES, ElementType
from onnxroot._elements import from_numbers, from_raw, from_texts, size_of
from onnxroot._external import ExternalTensor
from onnxroot._html import html_table
from onnxroot._join import Document
from onnxroot._parts import ModelParts
from onnxroot._plot import plot_tensor
from onnxroot._readable import readable, shape_text
from onnxroot._spec import CHUNK_NBYTES, TENSOR
from onnxroot._statistics import statistics_of
from onnxroot.errors import OnnxRootError, UnsupportedModelError

if TYPE_CHECKING:
    import awkward as ak
    from matplotlib.axes import Axes

__all__ = ["Tensor", "Tensors"]


class Tensor:
    """One tensor of a model; its elements are read by `numpy`, or in part by an index.

    Attributes:
        name: Its name.
        data_type: Its element type in ONNX's terms, such as ``FLOAT``.
        shape: Its dimensions.
    """

    def __init__(self, stored: ModelParts, row: int) -> None:
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
        """Number of elements by its shape; 0 where the shape is malformed, see `size_of`."""
        try:
            return size_of(self.shape)
        except ValueError:
            return 0

    @property
    def nbytes(self) -> int:
        """Bytes its elements take in the ONNX file or the external file."""
        external = self._stored.external.get(self._row)
        if external is not None and external.length is not None:
            return external.length  # known, even if the file is missing
        if external is not None:
            return self._external_range(external)[1] - external.offset
        return int(self._stored.payloads.nbytes[self._payloads].sum())

    @property
    def _payloads(self) -> npt.NDArray[np.intp]:
        return self._stored.payloads_of_tensors.of(self._row)

    def numpy(self) -> npt.NDArray[Any]:
        """Read the elements.

        Returns:
            A new array of the tensor's shape, bit for bit. Types that NumPy has not (bfloat16,
            float8, 4-bit ...) come as ml_dtypes; strings as objects, str or, where they are not
            UTF-8, bytes.

        Raises:
            UnsupportedModelError: Shape, type and bytes disagree: the model is malformed, though
                stored.
            IntegrityError: The file is damaged.
        """
        self._stored.check_open()
        element = ELEMENT_TYPES.get(self._number)
        if element is None:
            raise UnsupportedModelError(
                f"{self._named}: no such data type; the model is malformed, or newer than this "
                "version of onnxroot"
            )
        with self._wellformed():
            return self._read(element)

    @contextmanager
    def _wellformed(self) -> Iterator[None]:
        """Say of what can't be read that the model is malformed."""
        try:
            yield
        except OnnxRootError:
            raise
        except ValueError as error:
            message = f"{self._named}: {error}; the model is malformed"
            raise UnsupportedModelError(message) from error

    def _repr_html_(self) -> str:
        """Return a table for notebooks; the elements are not read."""
        row = [self.name, self.data_type, shape_text(self.shape), readable(self.nbytes)]
        return html_table("Tensor", _HEADS, [row])

    def plot(self, axes: Axes | None = None, *, bins: int = 50) -> Axes:
        """Draw how the elements are distributed, with matplotlib.

        Args:
            axes: Where to draw; a figure of its own if not given.
            bins: Number of bins.

        Returns:
            Where it was drawn.

        Raises:
            MissingDependencyError: matplotlib is not installed.
            UnsupportedModelError: There are no finite real numbers among the elements.
        """
        return plot_tensor(self, axes, bins)

    def __getitem__(self, rows: slice | int) -> npt.NDArray[Any]:
        """Read a part of the first axis: only the clusters that it lies in.

        Elements that can't be found without those before them are an exception: strings, and types
        that ONNX packs into other numbers.

        Args:
            rows: A slice, or a number, which takes the axis away.

        Returns:
            What the same index makes of the array that `numpy` returns.

        Raises:
            IndexError: There is no such row, or no axis.
            UnsupportedModelError: See `numpy`.
            IntegrityError: See `numpy`.
        """
        if not self.shape:
            raise IndexError(f"{self._named} is a scalar and has no first axis")
        if not isinstance(rows, slice):
            number = range(self.shape[0])[rows]
            (row,) = self[number : number + 1]
            return np.asarray(row)
        wanted = range(self.shape[0])[rows]
        if not wanted:
            return self.numpy()[:0] if self.size == 0 else self[:1][:0]
        first, last = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1]) + 1
        per_row = self.size // self.shape[0]
        part = self._part(first * per_row, last * per_row)
        if part is None:
            return self.numpy()[rows]
        return part.reshape(last - first, *self.shape[1:])[:: wanted.step]

    def blocks(self) -> Iterator[npt.NDArray[Any]]:
        """Read the elements in order, flat, a few MiB at a time: a tensor of any size passes.

        Yields:
            New arrays of shape (n,), of the dtype that `numpy` returns. The blocks of two tensors
            of one type and size end at the same elements.

        Raises:
            UnsupportedModelError: As `numpy`.
            IntegrityError: As `numpy`.
        """
        element = ELEMENT_TYPES.get(self._number)
        bits = element.bits if element else 0
        step = CHUNK_NBYTES // max(1, bits // 8)
        is_large = self.size * bits > 8 * CHUNK_NBYTES
        for start in range(0, self.size, step) if is_large else ():
            part = self._part(start, min(start + step, self.size))
            if part is None:  # so it is from the first on
                is_large = False
                break
            yield part
        if not is_large:
            yield self.numpy().reshape(-1)

    def stored_bytes(self) -> Iterator[memoryview]:
        """Yield the values as they are stored, whatever the type and shape say of them."""
        for payload in self._payloads.tolist():
            yield memoryview(np.ascontiguousarray(self._stored.values(payload)).view(np.uint8))

    def _part(self, start: int, stop: int) -> npt.NDArray[Any] | None:
        """Read some of the elements, flat; None if they can't be found without the others."""
        self._stored.check_open()
        element = ELEMENT_TYPES.get(self._number)
        if element is None or not element.bits or element.bits * start % 8:
            return None
        shape, edges = (stop - start,), (start, stop, self.size)
        first, last, nbytes = (-(-element.bits * edge // 8) for edge in edges)
        raw = self._raw_bytes(first, last, nbytes)
        if raw is not None:
            return from_raw(element, shape, raw)
        found = self._payloads.tolist()
        one_each = len(found) == 1 and self._stored.payloads.n_values[found[0]] == self.size
        if not one_each or element.bits < 8:
            return None
        values = self._stored.values(found[0], start, stop)
        with self._wellformed():
            return from_numbers(element, shape, self._field_of(found[0]), values)

    def _raw_bytes(self, start: int, stop: int, nbytes: int) -> npt.NDArray[np.uint8] | None:
        """Read some bytes of elements that are kept as bytes, and are so many bytes in all."""
        external = self._stored.external.get(self._row)
        if external is not None:
            document, end = self._external_range(external)
            at = external.offset
            return document.render(at + start, at + stop) if end - at == nbytes else None
        found = self._payloads.tolist()
        if [self._field_of(index) for index in found] != ["raw_data"]:
            return None
        exact = self._stored.payloads.nbytes[found[0]] == nbytes
        return self._stored.wire_range(found[0], start, stop) if exact else None

    @property
    def _named(self) -> str:
        return f"tensor {self.name!r} ({self.data_type}, shape {list(self.shape)})"

    def check(self) -> None:
        """Read the elements as they are stored, a window at a time, and keep none.

        Raises:
            FormatError: They can't be read.
            IntegrityError: The file is damaged.
        """
        stored = self._stored
        external = stored.external.get(self._row)
        if external is not None:
            document, end = self._external_range(external)
            for start in range(external.offset, end, CHUNK_NBYTES):
                document.render(start, min(start + CHUNK_NBYTES, end))
        for index in self._payloads.tolist():
            n_values = int(stored.payloads.n_values[index])
            for start in range(0, n_values, CHUNK_NBYTES):
                stored.values(index, start, min(start + CHUNK_NBYTES, n_values))

    def _read(self, element: ElementType) -> npt.NDArray[Any]:
        stored = self._stored
        external = stored.external.get(self._row)
        if external is not None:
            document, stop = self._external_range(external)
            return from_raw(element, self.shape, document.render(external.offset, stop))
        if not element.bits:
            return from_texts(self.shape, self._texts())
        found = {self._field_of(index): index for index in self._payloads.tolist()}
        if "raw_data" in found or not found:
            index = found.get("raw_data")
            raw = np.empty(0, np.uint8) if index is None else stored.values(index).view(np.uint8)
            return from_raw(element, self.shape, raw)
        if len(found) > 1:
            raise ValueError(f"its elements are in {' and '.join(sorted(found))}")
        ((field, index),) = found.items()
        return from_numbers(element, self.shape, field, stored.values(index))

    def _field_of(self, payload: int) -> str:
        code = int(self._stored.payloads.field[payload])
        return self._stored.schema.fields[code][1].name

    def _texts(self) -> list[bytes]:
        """Return the elements of `string_data`."""
        table = self._stored.table(TENSOR)
        column = table.columns.get("string_data") if table else None
        if column is None:
            return []
        first, last = column.offsets[0][self._row : self._row + 2].tolist()
        edges = column.offsets[1][first : last + 1].tolist()
        return [column.values[a:b].tobytes() for a, b in pairwise(edges)]

    def _external_range(self, external: ExternalTensor) -> tuple[Document, int]:
        document = self._stored.files[external.location]
        if external.length is None:
            return document, document.nbytes
        return document, external.offset + external.length


_HEADS = ("Name", "Type", "Shape", "Size>")
_MOST_ROWS = 60  # of a table in a notebook
_STATISTICS = {name: name for name in ("min", "max", "mean", "std")} | {"zeros": "n_zeros"}


class Tensors(Mapping[str, Tensor]):
    """The initializers of a model by name, those of the main graph before those of subgraphs."""

    def __init__(self, stored: ModelParts) -> None:
        """List the names.

        Args:
            stored: The model. Of its tables only that of the tensors is read.
        """
        self._stored = stored
        table = stored.table(TENSOR)
        self._rows: dict[str, int] = {}
        if table is None or "name" not in table.columns:
            return
        code = stored.schema["GraphProto"].by_name["initializer"].code
        rows = np.flatnonzero(table.parent_field == code)
        # The main graph, if there is one, is row 0 of its table: FORMAT §4.1.
        rows = rows[np.argsort(table.parent[rows] != np.uint64(0), kind="stable")]
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

    def table(self, *, statistics: bool = False) -> ak.Array:
        """Return all initializers as an awkward array of records; `ak.to_dataframe` takes it.

        Fields: ``name``, ``data_type``, ``shape`` (list), ``size`` (elements), ``nbytes``.

        Args:
            statistics: Read all of them, and add ``min``, ``max``, ``mean``, ``std`` and ``zeros``;
                None where they are no real numbers.

        Raises:
            UnsupportedModelError: One that is to be read is malformed.
            IntegrityError: One that is to be read is not what was stored.
        """
        import awkward as ak  # noqa: PLC0415  (0.3 s that other readers need not spend)

        columns: dict[str, list[Any]] = {
            name: [getattr(tensor, name) for tensor in self.values()]
            for name in ("name", "data_type", "size", "nbytes")
        }
        shapes = [list(tensor.shape) for tensor in self.values()]
        counts = [len(shape) for shape in shapes]
        flat = np.array([dim for shape in shapes for dim in shape], np.int64)
        arrays = {name: ak.Array(values) for name, values in columns.items()}
        arrays["shape"] = ak.unflatten(flat, counts)
        if statistics:
            found = [statistics_of(tensor) for tensor in self.values()]
            for name, attribute in _STATISTICS.items():
                values = [None if one is None else getattr(one, attribute) for one in found]
                arrays[name] = ak.Array(values)
        return ak.zip(arrays, depth_limit=1)

    def _repr_html_(self) -> str:
        """Return a table for notebooks; no elements are read."""
        rows = [
            [tensor.name, tensor.data_type, shape_text(tensor.shape), readable(tensor.nbytes)]
            for tensor in islice(self.values(), _MOST_ROWS)
        ]
        more = f", the first {_MOST_ROWS} of them here" if len(self) > _MOST_ROWS else ""
        return html_table(f"{len(self):,} tensors{more}", _HEADS, rows)
