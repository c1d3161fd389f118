"""A stored model, opened: everything is read when it is asked for, and only then."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxroot._batches import Batch
from onnxroot._embed import embed
from onnxroot._join import Document
from onnxroot._locations import refuse_twins, relative_path
from onnxroot._manifest import Manifest
from onnxroot._model_view import ModelView, Value
from onnxroot._stored import StoredModel
from onnxroot._transaction import Transaction
from onnxroot._write_behind import NewFile
from onnxroot.errors import (
    MissingDependencyError,
    ModelExistsError,
    UnsupportedModelError,
)

if TYPE_CHECKING:
    import onnx
    import onnxruntime

__all__ = ["Model", "Value"]


class Model(ModelView):
    """A model in a ROOT file; a context manager.

    Reads tables and tensors when they are asked for. Not to be used from several threads at once.
    """

    def __init__(self, stored: StoredModel) -> None:
        """Wrap an open model; `onnxroot.open` is the way to get one."""
        super().__init__(stored)
        self._stored = stored

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
        """Return the model as onnx's own class; external data stay external.

        Raises:
            UnsupportedModelError: It is more than protobuf holds: over 2 GiB, or nested deeper.
        """
        import onnx  # noqa: PLC0415  (0.2 s that other readers need not spend)
        from google.protobuf.message import DecodeError  # noqa: PLC0415  (onnx imports it)

        try:
            return onnx.ModelProto.FromString(self.to_bytes())
        except DecodeError as error:
            raise UnsupportedModelError(
                f"{self.address}: protobuf does not take it ({error}); use to_bytes or save"
            ) from error

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
                with NewFile(transaction.create(place, replace=replace)) as out:
                    self._stored.copy(self._stored.files[file.location], out, file.location)
            with NewFile(transaction.create(target, replace=replace)) as out:
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
        rows = self._children("TensorProto", "GraphProto", "initializer", self.main_graph)
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

    @property
    def samples(self) -> tuple[Batch, ...]:
        """Inputs that the model was proven with, and the source framework's outputs; often none."""
        return self._stored.batches


def _refuse_links(folder: Path, place: Path) -> None:
    """Refuse to write through a symbolic link below the folder."""
    for parent in place.relative_to(folder).parents:
        if (folder / parent).is_symlink() and str(parent) != ".":
            raise UnsupportedModelError(
                f"{folder / parent} is a symbolic link: external files are not written through it"
            )
