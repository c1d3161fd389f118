"""Opening what Keras saved, of every version, without running what it may hold."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onnxroot.adapter import Options
from onnxroot.errors import FormatError, OnnxRootError, UnsupportedModelError
from onnxroot_adapters._archives import check_archive
from onnxroot_adapters._hdf5 import check_hdf5
from onnxroot_adapters._keras_config import (
    major_version,
    modernise,
    resizes_as_tensorflow_1,
    runs_code,
    without_shapes,
)
from onnxroot_adapters._keras_input import with_input
from onnxroot_adapters._keras_layers import former_objects
from onnxroot_adapters._keras_merge import without_branches
from onnxroot_adapters._keras_weights import (
    LayerWeights,
    count_by_one,
    layers_of,
    read_layers,
    to_keras_3,
)
from onnxroot_adapters._require import require
from onnxroot_adapters._tf_files import (
    ARCHITECTURE,
    FULL_HDF5,
    KERAS_ARCHIVE,
    WEIGHTS,
    architecture_beside,
    read_architecture,
)

__all__ = ["choose_keras", "custom_objects_of", "first_line", "open_keras"]

_CODE_REFUSED = (
    "{path}: holds {what}, which runs its author's code when the model is opened; if you trust its "
    "author, allow it (--allow-pickle, allow_pickle=True), or replace it by a layer and save again"
)


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
        with _explained(path, options):
            check_archive(path)  # of the weights nothing is read before the archive is opened
            with zipfile.ZipFile(path) as archive:
                version = _metadata(archive).get("keras_version")
        return major_version(version or "3")
    if what == WEIGHTS:
        where = options.architecture or architecture_beside(path)
        version = read_architecture(where).get("keras_version") if where else None
    h5py = require("h5py", extra="tensorflow", what="a model in HDF5")
    with _explained(path, options), h5py.File(path, "r") as file:
        check_hdf5(file, str(path))
        group = file.get("model_weights", file)
        version = version or file.attrs.get("keras_version", group.attrs.get("keras_version"))
    return major_version(version)


def _open_with(
    keras: Any, path: Path, what: str, custom: dict[str, Any], options: Options
) -> tuple[Any, dict[str, str]]:
    """Open a file with Keras 3."""
    with _explained(path, options):
        if what == KERAS_ARCHIVE:
            return _open_archive(keras, path, custom, options)
        if what == ARCHITECTURE:
            raise UnsupportedModelError(
                f"{path}: says what the network is, and has no weights: convert the .h5 file with "
                f"its weights instead, with --architecture {path.name}"
            )
        h5py = require("h5py", extra="tensorflow", what="a model in HDF5")
        with h5py.File(path, "r") as file:
            check_hdf5(file, str(path))
            if what == WEIGHTS:
                return _open_weights(keras, path, file, custom, options)
            return _open_full(keras, path, file, custom, options)


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
                f"can't open it: {first_line(error)}"
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


# --- .keras --------------------------------------------------------------------------------------


def _open_archive(
    keras: Any, path: Path, custom: dict[str, Any], options: Options
) -> tuple[Any, dict[str, str]]:
    with _archive(path) as archive:
        config = json.loads(archive.read("config.json"))
        version = str(_metadata(archive).get("keras_version", "3"))
        _refuse_code(path, config, options)
        origin = {"keras_version": version}
        if major_version(version) >= 3 or runs_code(config):
            return _load(keras, path, custom, options), origin
        model = _build(keras, path, config, version, (), custom, options)
        listed = [
            layer["config"]["name"]
            for layer in config["config"]["layers"]
            if layer["class_name"] != "InputLayer" or "inbound_nodes" in layer
        ]
        if [layer.name for layer in model.layers] != listed:
            raise UnsupportedModelError(
                f"{path}: Keras 3 has the layers in another order, so that it is not certain which "
                "weights are whose: pip install tf_keras, and convert it again"
            )
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "model.weights.h5"
            weights.write_bytes(archive.read("model.weights.h5"))
            h5py = require("h5py", extra="tensorflow", what="a .keras archive")
            with h5py.File(weights, "r+") as file:
                count_by_one(file)
            model.load_weights(str(weights))
        return model, origin


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive, once it and the weights within have been looked at."""
    check_archive(path)
    h5py = require("h5py", extra="tensorflow", what="a .keras archive")
    with zipfile.ZipFile(path) as archive:
        if "model.weights.h5" in archive.namelist():
            with archive.open("model.weights.h5") as member, tempfile.TemporaryFile() as weights:
                shutil.copyfileobj(member, weights)
                with h5py.File(weights, "r") as file:
                    check_hdf5(file, f"{path}: model.weights.h5")
        yield archive


def _metadata(archive: zipfile.ZipFile) -> dict[str, Any]:
    if "metadata.json" not in archive.namelist():
        return {}
    found = json.loads(archive.read("metadata.json"))
    return found if isinstance(found, dict) else {}


def _load(keras: Any, path: Path, custom: dict[str, Any], options: Options) -> Any:
    return keras.models.load_model(
        str(path),
        custom_objects=former_objects(keras) | custom,
        compile=False,
        safe_mode=not options.allow_pickle,
    )


def _refuse_code(path: Path, config: object, options: Options) -> None:
    what = runs_code(config)
    if what and not options.allow_pickle:
        raise UnsupportedModelError(_CODE_REFUSED.format(path=path, what=what))


# --- HDF5 ----------------------------------------------------------------------------------------


def _open_full(
    keras: Any, path: Path, file: Any, custom: dict[str, Any], options: Options
) -> tuple[Any, dict[str, str]]:
    text = file.attrs["model_config"]
    config = json.loads(text)
    version = file.attrs.get("keras_version")
    if version is None and "model_weights" in file:
        version = file["model_weights"].attrs.get("keras_version")
    _refuse_code(path, config, options)
    if runs_code(config) or major_version(version) >= 3:
        return _load(keras, path, custom, options), {"keras_version": _text(version)}
    if "model_weights" not in file:
        raise FormatError(f"{path}: has no weights; the file is damaged: get it again")
    return _assemble(keras, path, config, file["model_weights"], custom, options)


def _open_weights(
    keras: Any, path: Path, file: Any, custom: dict[str, Any], options: Options
) -> tuple[Any, dict[str, str]]:
    where = options.architecture or architecture_beside(path)
    if where is None:
        raise UnsupportedModelError(
            f"{path}: holds weights only, and no file with the architecture lies beside it: give "
            "the .json that model.to_json() wrote (--architecture FILE, architecture=FILE)"
        )
    config = read_architecture(where)
    _refuse_code(where, config, options)
    group = file.get("model_weights", file)
    if any(name.startswith("layer_names") for name in group.attrs):
        return _assemble(keras, path, config, group, custom, options)
    if "module" not in config:
        raise UnsupportedModelError(
            f"{path}: weights of Keras 3, but {where} is the architecture of Keras 2: write it "
            "again with model.to_json() where the weights were saved"
        )
    model = keras.models.model_from_json(
        json.dumps(config), custom_objects=former_objects(keras) | custom
    )
    model.load_weights(str(path))
    return model, {"keras_version": "3", "architecture": where.name}


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "1")


def _assemble(
    keras: Any,
    path: Path,
    config: dict[str, Any],
    group: Any,
    custom: dict[str, Any],
    options: Options,
) -> tuple[Any, dict[str, str]]:
    """Build a network of Keras 1, 2 or 3, and give it the weights of a group of HDF5."""
    version = config.get("keras_version") or group.attrs.get("keras_version")
    layers = read_layers(group, str(path))
    model = _build(keras, path, config, version, layers, custom, options)
    entries = _entries(without_branches(config))
    made = {layer.name: layer for layer in model.layers}
    backend = _text(group.attrs["backend"]) if "backend" in group.attrs else None
    converted = [
        LayerWeights(
            name=layer.name,
            arrays=tuple(
                to_keras_3(
                    entries[layer.name],
                    layer.arrays,
                    layer=made.get(layer.name),
                    version=major_version(version),
                    backend=backend,
                )
                if layer.name in entries
                else layer.arrays
            ),
        )
        for layer in layers
    ]
    _assign(path, model, converted)
    return model, {"keras_version": _text(version)}


def _build(
    keras: Any,
    path: Path,
    config: dict[str, Any],
    version: object,
    layers: Sequence[LayerWeights],
    custom: dict[str, Any],
    options: Options,
) -> Any:
    """Build a network of Keras 1, 2 or 3 without its weights."""
    objects = former_objects(keras) | custom
    if "module" in config and major_version(version) >= 3:
        return keras.models.model_from_json(json.dumps(config), custom_objects=objects)
    if resizes_as_tensorflow_1(config, _text(version)):
        raise UnsupportedModelError(
            f"{path}: has UpSampling2D with bilinear interpolation, and Keras {_text(version)} did "
            "that in another way than today: convert the model where it was made"
        )
    modern = modernise(config, major_version(version))
    name = modern["class_name"]
    if name not in ("Sequential", "Functional") or "layers" not in modern["config"]:
        raise UnsupportedModelError(
            f"{path}: the architecture is a {name}, not a Sequential or Model: convert the model "
            "itself where it was made"
        )
    if name == "Sequential":
        modern["config"]["layers"] = with_input(path, modern["config"]["layers"], layers, options)
    kind = keras.Sequential if name == "Sequential" else keras.Model
    with keras.saving.custom_object_scope(objects):  # for layers within layers
        return kind.from_config(without_shapes(modern)["config"], custom_objects=objects)


def _entries(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the layers of an architecture by name, those of models within it left out."""
    return {
        str(entry.get("name") or entry["config"].get("name")): entry for entry in layers_of(config)
    }


def _assign(path: Path, model: Any, layers: Sequence[LayerWeights]) -> None:
    """Give weights to layers: by name, or in order where the names are not the same.

    Raises:
        UnsupportedModelError: They do not fit.
    """
    wanted = {layer.name: layer for layer in model.layers if layer.weights}
    found = {layer.name: layer for layer in layers}
    if set(wanted) == set(found):
        pairs = [(wanted[name], found[name]) for name in wanted]
    elif len(wanted) == len(layers):
        pairs = list(zip(wanted.values(), layers, strict=True))
    else:
        missing = sorted(set(wanted) ^ set(found))
        raise UnsupportedModelError(
            f"{path}: has weights of {len(layers)} layers, the architecture {len(wanted)} with "
            f"weights ({', '.join(missing[:5])} only in one of them): give the architecture that "
            "belongs to it (--architecture FILE)"
        )
    for layer, weights in pairs:
        variables = [*layer.trainable_weights, *layer.non_trainable_weights]
        shapes = [tuple(variable.shape) for variable in variables]
        given = [array.shape for array in weights.arrays]
        if shapes != given:
            raise UnsupportedModelError(
                f"{path}: layer {layer.name}: weights of shape {given}, the architecture says "
                f"{shapes}: give the architecture that belongs to it (--architecture FILE)"
            )
        for variable, array in zip(variables, weights.arrays, strict=True):
            variable.assign(array)
    for layer in _with_inner(model):
        if hasattr(layer, "finalize_state"):  # Normalization computes with what it makes of them
            layer.finalize_state()


def _with_inner(layer: Any) -> Iterator[Any]:
    """Yield a layer and all within it."""
    yield layer
    for inner in getattr(layer, "layers", None) or []:
        yield from _with_inner(inner)


# --- what Keras says -----------------------------------------------------------------------------


def first_line(error: BaseException) -> str:
    """Return what an exception says, in one line of at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


@contextmanager
def _explained(path: Path, options: Options) -> Iterator[None]:
    """Say in one line what is wrong where Keras raises."""
    try:
        yield
    except OnnxRootError:
        raise
    except (zipfile.BadZipFile, json.JSONDecodeError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise FormatError(f"{path}: damaged, Keras can't open it: {first_line(error)}") from error
    except Exception as error:
        name = _unknown(str(error))
        if name in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
            raise UnsupportedModelError(
                f"{path}: has operations of TensorFlow among its layers ({name}), which only Keras "
                "2 can open: pip install tf_keras, and convert it again"
            ) from error
        if name:
            given = f", and {options.custom_objects} has none" if options.custom_objects else ""
            raise UnsupportedModelError(
                f"{path}: needs the custom object {name}, which Keras does not have{given}: name "
                "the module that defines it (--custom-objects package.module, custom_objects=...)"
            ) from error
        raise UnsupportedModelError(
            f"{path}: Keras {_version()} can't open it: {first_line(error)}; open and save it with "
            "the version that wrote it, or install tf_keras for files of Keras 2"
        ) from error


def _version() -> str:
    return str(getattr(import_module("keras"), "__version__", "?"))


def _unknown(text: str) -> str | None:
    """Return the name of a class or function that Keras did not find, if that is the matter."""
    patterns = (
        r"Could not locate (?:class|function) '([^']+)'",
        r"Unknown [a-z ]+: '?([\w>.]+)'?",
        r"[Cc]ould not interpret (?:activation function )?identifier: (\w+)",
    )
    for pattern in patterns:
        found = re.search(pattern, text)
        if found:
            return found[1]
    return None
