"""``.keras`` archives."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._archives import check_archive
from onnxroot_adapters._hdf5 import check_hdf5
from onnxroot_adapters._keras_build import build, load, refuse_code
from onnxroot_adapters._keras_config import major_version, runs_code
from onnxroot_adapters._keras_weights import count_by_one
from onnxroot_adapters._require import require

__all__ = ["metadata_of", "open_archive"]


def open_archive(
    keras: Any, path: Path, custom: dict[str, Any], options: Options
) -> tuple[Any, dict[str, str]]:
    """Open an archive: see `_keras_files.open_keras`."""
    with _archive(path) as archive:
        config = json.loads(archive.read("config.json"))
        version = str(metadata_of(archive).get("keras_version", "3"))
        refuse_code(path, config, options)
        origin = {"keras_version": version}
        if major_version(version) >= 3 or runs_code(config):
            return load(keras, path, custom, options), origin
        model = build(keras, path, config, version, (), custom, options)
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


def metadata_of(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return what an archive says of its origin, if it says anything."""
    if "metadata.json" not in archive.namelist():
        return {}
    found = json.loads(archive.read("metadata.json"))
    return found if isinstance(found, dict) else {}
