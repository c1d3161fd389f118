"""Keras and TensorFlow, by tf2onnx: files of Keras 1 to 3, SavedModels, frozen graphs, TFLite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._apart import convert_apart
from onnxroot_adapters._conclude import digest_of
from onnxroot_adapters._keras_files import choose_keras, open_keras
from onnxroot_adapters._keras_source import source_of
from onnxroot_adapters._require import require
from onnxroot_adapters._tf_export import Source, import_tensorflow, quiet, to_conversion
from onnxroot_adapters._tf_files import GRAPH_DEF, SAVED_MODEL, TFLITE, describe_file
from onnxroot_adapters._tf_frozen import source_of_frozen
from onnxroot_adapters._tf_lite import source_of_tflite
from onnxroot_adapters._tf_saved_model import source_of_loaded, source_of_saved_model

if TYPE_CHECKING:
    import onnx

__all__ = ["adapter", "to_onnx"]


class _TensorFlowAdapter:
    """See `onnxroot.adapter.Adapter`."""

    name = "Keras/TensorFlow"

    def describe(self, path: Path) -> str | None:
        """Say what a file or folder is, if it is one of Keras or TensorFlow."""
        return describe_file(path)

    def accepts(self, model: object) -> bool:
        """Say whether an object is a model of Keras or TensorFlow."""
        return _is_keras(model) or _is_tensorflow(model)

    def convert(self, source: Any, options: Options) -> Conversion:
        """Export a model to ONNX, and prove it.

        Args:
            source: A path, or a ``keras.Model``, ``tf.Module``, ``tf.function`` or what
                ``tf.saved_model.load`` returned.
            options: All but `module` and `keep_debug_info` count.
        """
        if not isinstance(source, Path):
            return to_conversion(_source_of_object(import_tensorflow(), source, options), options)
        if describe_file(source) == TFLITE:
            return convert_apart(convert_file, source, options, "TensorFlow Lite")
        return convert_file(source, options)


adapter = _TensorFlowAdapter()
"""The adapter, as the entry point gives it."""


def to_onnx(model: Any, **options: Any) -> onnx.ModelProto:
    """Export a model to ONNX, and prove it.

    Args:
        model: A path, or a ``keras.Model``, ``tf.Module``, ``tf.function`` or what
            ``tf.saved_model.load`` returned.
        **options: See `onnxroot.adapter.Options`.

    Returns:
        The model, checked, and compared with the framework's own outputs.

    Raises:
        UnsupportedModelError: It can't be exported, or is not the same; and what to do.
        FormatError: The file is damaged.
        MissingDependencyError: A package is not installed.
    """
    source = Path(model) if isinstance(model, str) else model
    return adapter.convert(source, Options(**options)).model


# --- which is it? --------------------------------------------------------------------------------


def _is_keras(model: object) -> bool:
    return any(
        base.__name__ == "Model" and base.__module__.partition(".")[0] in ("keras", "tf_keras")
        for base in type(model).__mro__
    )


def _is_tensorflow(model: object) -> bool:
    names = {"Module", "AutoTrackable", "ConcreteFunction", "Function", "PolymorphicFunction"}
    return any(
        base.__name__ in names and base.__module__.startswith("tensorflow.")
        for base in type(model).__mro__
    )


def convert_file(path: Path, options: Options) -> Conversion:
    """Open a file or folder, and convert what is in it.

    Raises:
        UnsupportedModelError: It can't be exported.
        FormatError: It can't be opened.
        MissingDependencyError: A package is not installed.
    """
    choose_keras(path, describe_file(path) or "", options)
    tf = import_tensorflow()
    with quiet():
        found = _source_of_file(tf, path, options)
    return to_conversion(found, options)


def _source_of_file(tf: Any, path: Path, options: Options) -> Source:
    what = describe_file(path)
    if what is None:
        raise UnsupportedModelError(f"{path}: not a model of Keras or TensorFlow")
    if what == SAVED_MODEL and path.is_file():
        path = path.parent
    origin = {"source": path.name, "source_kind": what, "source_sha256": digest_of(path)}
    if what == SAVED_MODEL:
        return source_of_saved_model(tf, path, options, origin)
    if what == GRAPH_DEF:
        return source_of_frozen(tf, path, options, origin)
    if what == TFLITE:
        return source_of_tflite(tf, path, origin)
    _check_backend()
    model, more = open_keras(path, what, options)
    return source_of(tf, model, options, origin | {f"source_{k}": v for k, v in more.items()})


def _source_of_object(tf: Any, model: Any, options: Options) -> Source:
    kind = {"source_kind": f"{type(model).__module__.partition('.')[0]}.{type(model).__name__}"}
    if not _is_keras(model):
        return source_of_loaded(tf, model, options, kind)
    if "tf_keras" not in {base.__module__.partition(".")[0] for base in type(model).__mro__}:
        _check_backend()
    return source_of(tf, model, options, kind)


def _check_backend() -> None:
    """Refuse Keras 3 that runs on something else.

    Raises:
        UnsupportedModelError: It does.
    """
    keras = require("keras", extra="tensorflow", what="a model of Keras")
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UnsupportedModelError(
            f"Keras runs on {backend} here, and is exported from TensorFlow: save the model as "
            ".keras, and convert that with KERAS_BACKEND=tensorflow in the environment"
        )
