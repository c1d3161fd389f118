"""Opening what Keras saved, of every version, without running what it may hold."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._archives import check_archive
from onnxroot_adapters._errors import in_one_line
from onnxroot_adapters._hdf5 import check_hdf5
from onnxroot_adapters._keras_archive import metadata_of, open_archive
from onnxroot_adapters._keras_config import major_version, runs_code
from onnxroot_adapters._keras_errors import explained
from onnxroot_adapters._keras_hdf5 import open_full, open_weights
from onnxroot_adapters._require import require
from onnxroot_adapters._tf_files import (
    ARCHITECTURE,
    FULL_HDF5,
    KERAS_ARCHIVE,
    WEIGHTS,
    architecture_beside,
    read_architecture,
)

__all__ = ["choose_keras", "custom_objects_of", "open_keras"]


def open_keras(path: Path, what: str, options: Options) -> tuple[Any, dict[str, str]]:
    """Open a file of Keras.

    Args:
        path: The file.
        what: What it is, as `describe_file` says.
        options: `allow_pickle`, `architecture`, `custom_objects` and `inputs` count.

    Returns:
        The model, and what the file says of its origin: texts.

    Raises:
        UnsupportedModelError: Something is missing; the message says what.
        FormatError: It is damaged.
    """
    keras = require("keras", extra="tensorflow", what="a model of Keras")
    custom = custom_objects_of(options)
    try:
        return _open_with(keras, path, what, custom, options)
    except UnsupportedModelError:
        former = open_with_keras_2(path, what, custom, options)
        if former is None:
            raise
        return former


def choose_keras(path: Path, what: str, options: Options) -> None:
    """Let ``tf.keras`` be the Keras that a file's custom objects were written for.

    TensorFlow decides that once, when it is first asked: call this before it is imported.
    """
    of_keras = what in (FULL_HDF5, KERAS_ARCHIVE, WEIGHTS)
    if not options.custom_objects or not of_keras or find_spec("tf_keras") is None:
        return
    if _written_by(path, what, options) < 3:
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")


def _written_by(path: Path, what: str, options: Options) -> int:
    """Return the major version of Keras that a file is from."""
    version: object = None
    if what == KERAS_ARCHIVE:
        with explained(path, options):
            check_archive(path)  # of the weights nothing is read before the archive is opened
            with zipfile.ZipFile(path) as archive:
                version = metadata_of(archive).get("keras_version")
        return major_version(version or "3")
    if what == WEIGHTS:
        where = options.architecture or architecture_beside(path)
        version = read_architecture(where).get("keras_version") if where else None
    h5py = require("h5py", extra="tensorflow", what="a model in HDF5")
    with explained(path, options), h5py.File(path, "r") as file:
        check_hdf5(file, str(path))
        group = file.get("model_weights", file)
        version = version or file.attrs.get("keras_version", group.attrs.get("keras_version"))
    return major_version(version)


def _open_with(
    keras: Any, path: Path, what: str, custom: dict[str, Any], options: Options
) -> tuple[Any, dict[str, str]]:
    """Open a file with Keras 3."""
    with explained(path, options):
        if what == KERAS_ARCHIVE:
            return open_archive(keras, path, custom, options)
        if what == ARCHITECTURE:
            raise UnsupportedModelError(
                f"{path}: says what the network is, and has no weights: convert the .h5 file with "
                f"its weights instead, with --architecture {path.name}"
            )
        h5py = require("h5py", extra="tensorflow", what="a model in HDF5")
        with h5py.File(path, "r") as file:
            check_hdf5(file, str(path))
            if what == WEIGHTS:
                return open_weights(keras, path, file, custom, options)
            return open_full(keras, path, file, custom, options)


def open_with_keras_2(
    path: Path, what: str, custom: dict[str, Any], options: Options
) -> tuple[Any, dict[str, str]] | None:
    """Open a file of Keras 2 with tf_keras, where that is installed; None if it can't, either."""
    try:
        former = import_module("tf_keras")
    except ImportError:
        return None
    try:
        if what == WEIGHTS:
            where = options.architecture or architecture_beside(path)
            config = read_architecture(where) if where else None
            if config is None or runs_code(config):
                return None
            model = former.models.model_from_json(json.dumps(config), custom_objects=custom)
            model.load_weights(str(path))
        elif what != ARCHITECTURE and not _runs_code_within(path, what):
            model = former.models.load_model(str(path), custom_objects=custom, compile=False)
        else:
            return None
    except Exception as error:
        if any("tf_keras" in _modules_of(value) for value in custom.values()):
            raise UnsupportedModelError(
                f"{path}: tf_keras {former.__version__}, which {options.custom_objects} is for, "
                f"can't open it: {in_one_line(error)}"
            ) from error
        return None  # what Keras 3 said is what the user gets
    return model, {"opened_with": f"tf_keras {former.__version__}"}


def _modules_of(value: object) -> set[str]:
    """Return the packages that a class, and what it is made from, are defined in."""
    bases = value.__mro__ if isinstance(value, type) else ()
    return {base.__module__.partition(".")[0] for base in bases}


def _runs_code_within(path: Path, what: str) -> bool:
    """Say whether an archive or a full HDF5 file holds what would run when it is opened."""
    if what == KERAS_ARCHIVE:
        with zipfile.ZipFile(path) as archive:
            return bool(runs_code(json.loads(archive.read("config.json"))))
    h5py = require("h5py", extra="tensorflow", what="a model in HDF5")
    with h5py.File(path, "r") as file:
        return bool(runs_code(json.loads(file.attrs["model_config"])))


def custom_objects_of(options: Options) -> dict[str, Any]:
    """Return what the user's module defines, by name.

    Raises:
        UnsupportedModelError: There is no such module.
    """
    if options.custom_objects is None:
        return {}
    try:
        module = import_module(options.custom_objects)
    except ImportError as error:
        raise UnsupportedModelError(
            f"the module {options.custom_objects} with custom objects can't be imported "
            f"({error}): give it as package.module, and its folder in PYTHONPATH"
        ) from error
    found = {name: value for name, value in vars(module).items() if callable(value)}
    declared = getattr(module, "custom_objects", None)
    return found | (dict(declared) if isinstance(declared, Mapping) else {})
