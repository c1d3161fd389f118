"""The golden models: what is on record of them, and what a version of onnxroot must do with them.

Each check returns what is wrong, nothing if all is well: the tests assert that, and the matrix
counts it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from importlib.metadata import distributions
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

import onnxroot
from onnxroot.adapter import Options, find_adapter
from onnxroot.errors import MissingDependencyError, UnsupportedModelError

GOLDEN_FOLDER = Path(__file__).resolve().parents[1] / "golden_models"
CATALOGUE_TEXT = (GOLDEN_FOLDER / "catalogue.json").read_bytes().decode()
CATALOGUE: dict[str, str] = json.loads(CATALOGUE_TEXT)["models"]
"""Digests of the records: a golden model that is lost must fail, not shrink a loop."""
MODULES: dict[str, str] = json.loads(CATALOGUE_TEXT)["modules"]
"""Digests of what recipes share."""
GOLDEN_NAMES = tuple(CATALOGUE)

Arrays = dict[str, np.ndarray]


def golden(name: str) -> Path:
    """Return the path of a golden model."""
    return GOLDEN_FOLDER / name / f"{name}.onnx"


def record_of(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN_FOLDER / name / "golden.json").read_text())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_of(name: str) -> dict[str, str]:
    """Return the digests on record, by path within the model's folder."""
    return {path: entry["sha256"] for path, entry in record_of(name)["files"].items()}


def roots_of(name: str) -> list[Path]:
    """Return the ROOT files that format versions wrote."""
    return [GOLDEN_FOLDER / name / path for path in files_of(name) if path.endswith(".root")]


RUNNABLE = tuple(name for name in GOLDEN_NAMES if "samples" in record_of(name))
WITH_SOURCE = tuple(name for name in GOLDEN_NAMES if "source" in record_of(name))
WITH_SAMPLES = tuple(n for n in WITH_SOURCE if "as_converted" in record_of(n)["source"])
"""Those whose ROOT file holds samples, not the ``.npz`` beside it alone."""


def source_of(name: str) -> Path:
    return GOLDEN_FOLDER / name / "source" / record_of(name)["source"]["file"]


class TooOldError(Exception):
    """What is installed is older than the golden model, and can't take it."""


# --- checks --------------------------------------------------------------------------------------


def check_stored(name: str, root: Path) -> str:
    """Restore the ONNX file, and its external files, from a ROOT file."""
    with tempfile.TemporaryDirectory() as folder, onnxroot.open(root) as model:
        model.save(Path(folder) / f"{name}.onnx")
        expected = {
            path: digest
            for path, digest in files_of(name).items()
            if not re.search(r"\.(root|npz)$|^source/|^make\.py$", path)
        }
        differing = [p for p, digest in expected.items() if sha256(Path(folder) / p) != digest]
    return ", ".join(differing)


def check_round_trip(name: str, root: Path) -> str:
    """Write a model to a ROOT file, and restore it."""
    onnxroot.write(golden(name), f"{root}:model")
    return check_stored(name, root)


def check_run(name: str) -> str:
    """Run the restored model: bit for bit as the original, and as its framework."""
    inputs, expected = samples_of(name)
    original = _run_original(name, inputs)
    (root, *_) = roots_of(name)
    with tempfile.TemporaryDirectory() as folder, onnxroot.open(root) as model:
        model.save(Path(folder) / "model.onnx")
        restored = run(str(Path(folder) / "model.onnx"), inputs)
    for output, value in restored.items():
        if value.dtype != original[output].dtype or value.tobytes() != original[output].tobytes():
            return f"{output} differs from the original's"
    return disagreement(name, restored, expected)


def _run_original(name: str, inputs: Arrays) -> Arrays:
    try:
        return run(str(golden(name)), inputs)
    except Exception as error:
        raise TooOldError("its onnxruntime does not run the original") from error


def check_source(name: str) -> str:
    """Convert a source today: the same outputs.

    Raises:
        MissingDependencyError: Its framework is not installed.
        TooOldError: It is, but older than the one that wrote the source, which it can't open.
    """
    inputs, expected = samples_of(name)
    try:
        model = convert(name)
    except UnsupportedModelError as error:
        newer = _newer_packages(name)
        if newer:
            raise TooOldError(f"the source was written by newer packages: {newer}") from error
        raise
    return disagreement(name, run(model.SerializeToString(), inputs), expected)


def _newer_packages(name: str) -> str:
    """Return the packages on record that are older here."""
    here = {item.name.lower(): item.version for item in distributions()}
    return ", ".join(
        package
        for package, recorded in record_of(name)["versions"].items()
        if package.lower() in here and _numbers(here[package.lower()]) < _numbers(recorded)
    )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


# --- their parts ---------------------------------------------------------------------------------


def make_again(name: str) -> Any:
    """Let a recipe make its model; return the `Golden`. The folder has to be on `sys.path`.

    Raises:
        MissingDependencyError: The recipe needs a package that is not installed.
    """
    spec = spec_from_file_location(f"make_{name}", GOLDEN_FOLDER / name / "make.py")
    recipe = module_from_spec(spec)
    try:
        spec.loader.exec_module(recipe)
        return recipe.make()
    except ModuleNotFoundError as error:
        if error.name.startswith("_"):  # a module of the folder, which recipes share
            raise
        raise MissingDependencyError(f"the recipe needs {error.name}") from error


def other_versions(name: str) -> str:
    """Return the packages on record of which another version is installed."""
    here = {item.name.lower(): item.version for item in distributions()}
    return ", ".join(
        f"{package} {recorded}"
        for package, recorded in record_of(name)["versions"].items()
        if here.get(package.lower(), recorded) != recorded
    )


def convert(name: str) -> Any:
    """Let the adapter convert a source, as is on record; return the ModelProto."""
    path, options = source_of(name), record_of(name)["source"]["options"]
    found = find_adapter(path)
    assert found, f"no adapter knows {path.name}"
    return found[0].convert(path, Options(**options)).model


def samples_of(name: str) -> tuple[Arrays, Arrays]:
    """Return the inputs and the framework's outputs."""
    with np.load(GOLDEN_FOLDER / name / f"{name}.npz") as arrays:
        groups = [
            {key[len(kind) :]: value for key, value in arrays.items() if key.startswith(kind)}
            for kind in ("input.", "output.")
        ]
    return groups[0], groups[1]


def run(model: str | bytes, inputs: Arrays) -> Arrays:
    """Return what onnxruntime makes of inputs; maps by ascending key, as the samples have them."""
    import onnxruntime  # noqa: PLC0415  (not everywhere)

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(_flat, session.run(None, inputs)), strict=True))


def _flat(value: Any) -> np.ndarray:
    if isinstance(value, list):
        return np.array([[row[key] for key in sorted(row)] for row in value], np.float32)
    array = np.asarray(value)
    return array.astype(np.str_) if array.dtype == object else array


def disagreement(name: str, found: Arrays, expected: Arrays) -> str:
    """Return how outputs differ from the framework's by more than is on record."""
    if set(found) != set(expected):
        return f"outputs {sorted(found)}, expected {sorted(expected)}"
    allowed = record_of(name)["samples"]
    for output, wanted in expected.items():
        value = found[output]
        if wanted.dtype.kind == "U":
            same = value.tolist() == wanted.tolist()
        else:
            same = value.shape == wanted.shape and np.allclose(
                value, wanted, rtol=allowed["rtol"], atol=allowed["atol"], equal_nan=True
            )
        if not same:
            return f"{output} differs from what {allowed['expected_from']} gave"
    return ""
