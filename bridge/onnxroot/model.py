"""A stored model, opened: everything is read when it is asked for, and only then."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from onnxroot._batches import Batch
from onnxroot._dtypes import ELEMENT_TYPES
from onnxroot._embed import embed
from onnxroot._join import Document
from onnxroot._locations import refuse_twins, relative_path
from onnxroot._manifest import Manifest
from onnxroot._spec import ROOT_MESSAGE
from onnxroot._stored import StoredModel
from onnxroot._tensors import Tensors
from onnxroot._transaction import Transaction
from onnxroot.errors import (
    MissingDependencyError,
    ModelExistsError,
    UnsupportedModelError,
)

if TYPE_CHECKING:
    import awkward as ak
    import onnx
    import onnxruntime

__all__ = ["Model", "Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of the model.

    Attributes:
        name: Its name.
        type: Element type in ONNX's terms, such as ``FLOAT``, or the kind of type, such as
            ``map``; empty where the model gives none.
        shape: A size, a name, or None for each dimension; None where the rank is unknown.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...] | None

    def __str__(self) -> str:
        """Return ``name: TYPE[d, d]``."""
        if self.shape is None:
            return f"{self.name}: {self.type or '?'}"
        dims = ", ".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.name}: {self.type or '?'}[{dims}]"


class Model:
    """A model in a ROOT file; a context manager.

    Reads tables and tensors when they are asked for. Not to be used from several threads at once.
    """

    def __init__(self, stored: StoredModel) -> None:
        """Wrap an open model; `onnxroot.open` is the way to get one."""
        self._stored = stored

    def __enter__(self) -> Model:
        """Return the model."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def __repr__(self) -> str:
        """Return the address."""
        return f"<Model {self.address}>"

    def close(self) -> None:
        """Close the ROOT file."""
        self._stored.file.close()

    @property
    def address(self) -> str:
        """Where the model is: ``file.root:directory``."""
        return self._stored.where

    @property
    def file_nbytes(self) -> int:
        """How long the ROOT file is."""
        return self._stored.file.nbytes

    @property
    def path(self) -> str:
        """The ROOT file."""
        return self._stored.file.path

    @property
    def manifest(self) -> Manifest:
        """What was recorded when it was written: digests, sizes, provenance, metadata."""
        return self._stored.manifest

    # --- the whole model -----------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return the ONNX file, checked against its SHA-256.

        Raises:
            IntegrityError: The bytes are not those that were stored.
        """
        out = io.BytesIO()
        self._stored.copy(self._stored.document(), out)
        return out.getvalue()

    def to_proto(self) -> onnx.ModelProto:
        """Return the model as onnx's own class; external data stay external."""
        import onnx  # noqa: PLC0415  (0.2 s that other readers need not spend)

        return onnx.ModelProto.FromString(self.to_bytes())

    def save(
        self, path: str | os.PathLike[str], *, replace: bool = False, embed: bool = False
    ) -> None:
        """Write the ONNX file, and its external files beside it, exactly as they were.

        Args:
            path: The ONNX file.
            replace: Overwrite files that exist.
            embed: Write one file instead, with external tensors inside: other bytes, same model.

        Raises:
            ModelExistsError: A file exists.
            IntegrityError: The bytes are not those that were stored.
            UnsupportedModelError: An external file would lie outside the folder, or the embedded
                file would pass 2 GiB.
        """
        target = Path(path)
        files = [] if embed else list(self.manifest.external_files)
        locations = [relative_path(f.location, "") for f in files]
        refuse_twins([target.name, *locations])
        places = [target.parent / location for location in locations]
        for place in [target, *places]:
            if not replace and os.path.lexists(place):
                raise ModelExistsError(f"{place} exists; choose another name or replace it")
            _refuse_links(target.parent, place)
        with Transaction() as transaction:
            for file, place in zip(files, places, strict=True):
                transaction.make_folder(place.parent)
                with transaction.create(place, replace=replace).open("wb") as out:
                    self._stored.copy(self._stored.files[file.location], out, file.location)
            with transaction.create(target, replace=replace).open("wb") as out:
                if embed and self.manifest.external_files:
                    for window in self._stored.windows(self._embedded()):
                        out.write(memoryview(window))
                else:
                    self._stored.copy(self._stored.document(), out)

    def session(self, **options: Any) -> onnxruntime.InferenceSession:
        """Return an onnxruntime session on the model; no file is written.

        External files, which may be larger than 2 GiB, are handed over as they are.

        Args:
            options: For ``onnxruntime.InferenceSession``, such as ``providers``. External files
                are added to ``sess_options``.

        Raises:
            MissingDependencyError: onnxruntime is not installed.
        """
        try:
            import onnxruntime  # noqa: PLC0415  (optional)
        except ImportError as error:
            raise MissingDependencyError(
                "a session needs onnxruntime: pip install 'onnxroot[runtime]'"
            ) from error
        if not self.manifest.external_files:
            return onnxruntime.InferenceSession(self.to_bytes(), **options)
        take_files = "add_external_initializers_from_files_in_memory"
        if not self._has_plain_files() or not hasattr(onnxruntime.SessionOptions, take_files):
            data = b"".join(window.tobytes() for window in self._stored.windows(self._embedded()))
            return onnxruntime.InferenceSession(data, **options)
        settings = options.setdefault("sess_options", onnxruntime.SessionOptions())
        files = [self._content(file.location) for file in self.manifest.external_files]
        names = [file.location for file in self.manifest.external_files]
        getattr(settings, take_files)(names, files, [len(file) for file in files])
        return onnxruntime.InferenceSession(self.to_bytes(), **options)

    def _has_plain_files(self) -> bool:
        """Whether onnxruntime finds all external tensors if it is given the files.

        It looks for those of the main graph alone, under the names that the model has for them.
        """
        rows = self._children("TensorProto", "GraphProto", "initializer", self._main_graph)
        external = self._stored.external
        as_given = all(tensor.given == tensor.location for tensor in external.values())
        return as_given and set(external) <= set(rows.tolist())

    def _content(self, location: str) -> memoryview:
        """Return an external file, checked against its SHA-256."""
        out = io.BytesIO()
        self._stored.copy(self._stored.files[location], out, location)
        return out.getbuffer()

    def _embedded(self) -> Document:
        return embed(self._stored.tables(), self._stored, self._stored.files)

    # --- its parts -----------------------------------------------------------------------------

    @cached_property
    def tensors(self) -> Tensors:
        """The initializers by name; reading one reads that tensor's pages alone."""
        return Tensors(self._stored)

    @property
    def samples(self) -> tuple[Batch, ...]:
        """Inputs that the model was proven with, and the source framework's outputs; often none."""
        return self._stored.batches

    @property
    def inputs(self) -> list[Value]:
        """The inputs of the main graph, initializers among them included."""
        return self._values("input")

    @property
    def outputs(self) -> list[Value]:
        """The outputs of the main graph."""
        return self._values("output")

    @cached_property
    def opset_imports(self) -> dict[str, int]:
        """Version of each operator set the model imports, by domain."""
        pairs = self._children("OperatorSetIdProto", ROOT_MESSAGE, "opset_import", 0)
        return {
            str(self._cell("OperatorSetIdProto", "domain", row) or ""): int(
                self._cell("OperatorSetIdProto", "version", row) or 0
            )
            for row in pairs.tolist()
        }

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The model's own ``metadata_props``."""
        rows = self._children("StringStringEntryProto", ROOT_MESSAGE, "metadata_props", 0)
        return {
            str(self._cell("StringStringEntryProto", "key", row) or ""): str(
                self._cell("StringStringEntryProto", "value", row) or ""
            )
            for row in rows.tolist()
        }

    @cached_property
    def nodes(self) -> ak.Array:
        """The nodes of the main graph in order, as an awkward array of records.

        Fields: ``name``, ``op_type``, ``domain``, ``overload`` (strings), ``input``, ``output``
        (lists of strings); those that no node has are empty.
        """
        import awkward as ak  # noqa: PLC0415  (0.3 s that other readers need not spend)

        rows = self._children("NodeProto", "GraphProto", "node", self._main_graph)
        table = self._stored.table("NodeProto")
        columns: dict[str, Any] = {}
        for name in ("name", "op_type", "domain", "overload", "input", "output"):
            column = table.columns.get(name) if table else None
            if column is None:
                is_list = name in {"input", "output"}
                columns[name] = ak.Array([[""][:0] if is_list else ""] * len(rows))
                continue
            char = ak.contents.NumpyArray(column.values, parameters={"__array__": "char"})
            content: Any = ak.contents.ListOffsetArray(
                ak.index.Index64(column.offsets[-1]), char, parameters={"__array__": "string"}
            )
            for offsets in column.offsets[:-1]:
                content = ak.contents.ListOffsetArray(ak.index.Index64(offsets), content)
            columns[name] = ak.Array(content)[rows]
        return ak.zip(columns, depth_limit=1)

    @property
    def producer(self) -> str:
        """Name and version of the program that made the model; empty where it gives none."""
        parts = [self._cell(ROOT_MESSAGE, f"producer_{part}", 0) for part in ("name", "version")]
        return " ".join(str(part) for part in parts if part)

    @property
    def ir_version(self) -> int | None:
        """The ONNX IR version, or None where the model gives none."""
        value = self._cell(ROOT_MESSAGE, "ir_version", 0)
        return None if value is None else int(value)

    @cached_property
    def _main_graph(self) -> int:
        rows = self._children("GraphProto", ROOT_MESSAGE, "graph", 0)
        return int(rows[0]) if len(rows) else -1

    def _children(self, name: str, holder: str, field: str, row: int) -> npt.NDArray[np.intp]:
        """Return the rows of the messages that a field of one message holds."""
        table = self._stored.table(name)
        if table is None or row < 0:
            return np.empty(0, np.intp)
        code = self.manifest.schema[holder].by_name[field].code
        return np.flatnonzero((table.parent_field == code) & (table.parent == np.uint64(row)))

    def _cell(self, name: str, field: str, row: int) -> str | int | None:
        """Return one value of a scalar or string column, None where it is absent."""
        table = self._stored.table(name)
        if table is None or field not in table.columns:
            return None
        kind = self.manifest.schema[name]
        bit = np.uint64(kind.optional.index(kind.by_name[field]))
        if not int(table.presence[row] >> bit) & 1:
            return None
        column = table.columns[field]
        return column.text(row) if column.is_text else int(column.values[row])

    def _values(self, field: str) -> list[Value]:
        rows = self._children("ValueInfoProto", "GraphProto", field, self._main_graph)
        return [self._value(row) for row in rows.tolist()]

    def _value(self, row: int) -> Value:
        name = str(self._cell("ValueInfoProto", "name", row) or "")
        for kind in self._children("TypeProto", "ValueInfoProto", "type", row).tolist():
            return Value(name, *self._type(kind))
        return Value(name, "", None)

    def _type(self, row: int) -> tuple[str, tuple[int | str | None, ...] | None]:
        for field in ("tensor_type", "sparse_tensor_type"):
            message = self.manifest.schema["TypeProto"].by_name[field].type
            for tensor in self._children(message, "TypeProto", field, row).tolist():
                number = int(self._cell(message, "elem_type", tensor) or 0)
                element = ELEMENT_TYPES.get(number)
                text = element.name if element else f"data_type {number}"
                sparse = "sparse " if field == "sparse_tensor_type" else ""
                return sparse + text, self._shape(message, tensor)
        for item in self.manifest.schema["TypeProto"].fields:
            if item.is_message and len(self._children(item.type, "TypeProto", item.name, row)):
                return item.name.removesuffix("_type"), None
        return "", None

    def _shape(self, message: str, row: int) -> tuple[int | str | None, ...] | None:
        for shape in self._children("TensorShapeProto", message, "shape", row).tolist():
            dims = "TensorShapeProto_Dimension"
            rows = self._children(dims, "TensorShapeProto", "dim", shape)
            return tuple(
                value
                if (value := self._cell(dims, "dim_value", d)) is not None
                else self._cell(dims, "dim_param", d)
                for d in rows.tolist()
            )
        return None


def _refuse_links(folder: Path, place: Path) -> None:
    """Refuse to write through a symbolic link below the folder."""
    for parent in place.relative_to(folder).parents:
        if (folder / parent).is_symlink() and str(parent) != ".":
            raise UnsupportedModelError(
                f"{folder / parent} is a symbolic link: external files are not written through it"
            )
