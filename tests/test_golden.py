"""The golden models: nothing is missing or changed, and each comes back bit for bit."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import onnxroot

FOLDER = Path(__file__).parent.parent / "golden_models"
CATALOGUE = json.loads((FOLDER / "catalogue.json").read_text())["models"]
"""Digests of the records: a golden model that is lost must fail, not shrink a loop."""
NAMES = sorted(CATALOGUE)


def record_of(name):
    return json.loads((FOLDER / name / "golden.json").read_text())


RUNNABLE = [name for name in NAMES if "samples" in record_of(name)]


def files_of(name):
    """Return the digests on record, by path within the model's folder."""
    return {path: entry["sha256"] for path, entry in record_of(name)["files"].items()}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def onnx_files(name):
    """Return the ONNX file and its external files: what must come back."""
    return [path for path in files_of(name) if not re.search(r"\.(root|npz)$|^source/", path)]


def check_restored(name, folder):
    for path in onnx_files(name):
        assert sha256(folder / path) == files_of(name)[path], path


def run(path, inputs):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [output.name for output in session.get_outputs()], session.run(None, inputs)


def flat(value):
    """Return an output as one array: maps by ascending key, as the samples have them."""
    if isinstance(value, list):
        value = np.array([[row[key] for key in sorted(row)] for row in value], np.float32)
    return value.astype(str) if value.dtype == object else value


def test_the_catalogue_is_whole():
    found = {path.parent.name: sha256(path) for path in FOLDER.glob("*/golden.json")}
    assert found == CATALOGUE
    assert {path.parent.name for path in FOLDER.glob("*/make.py")} == set(CATALOGUE)
    assert len(CATALOGUE) >= 30


def test_the_sources_are_of_every_kind():
    files = {
        Path(record_of(name)["source"]["file"]) for name in NAMES if "source" in record_of(name)
    }
    kinds = {
        ".pt2",
        ".pt",
        ".keras",
        ".h5",
        ".pb",
        ".tflite",
        ".skops",
        ".json",
        ".ubj",
        ".txt",
        ".cbm",
    }
    assert {path.suffix for path in files} == {*kinds, ""}  # a SavedModel is a folder


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_as_recorded(name):
    files = files_of(name)
    assert {f"{name}.onnx", f"{name}.v1.root"} <= set(files)
    there = {str(p.relative_to(FOLDER / name)) for p in (FOLDER / name).rglob("*") if p.is_file()}
    assert {p for p in there if "__pycache__" not in p} == {*files, "golden.json", "make.py"}
    for path, digest in files.items():
        assert sha256(FOLDER / name / path) == digest, path


@pytest.mark.parametrize("name", NAMES)
def test_onnx_to_root_to_onnx(name, tmp_path):
    onnxroot.write(FOLDER / name / f"{name}.onnx", tmp_path / "m.root:model")
    with onnxroot.open(tmp_path / "m.root:model") as model:
        model.save(tmp_path / f"{name}.onnx")
    check_restored(name, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_stored_root_to_onnx(name, tmp_path):
    """What an earlier version wrote must stay readable for ever."""
    stored = FOLDER / name / f"{name}.v1.root"
    assert onnxroot.verify(stored).ok
    with onnxroot.open(f"{stored}:model") as model:
        assert model.manifest.format_version == 1
        model.save(tmp_path / f"{name}.onnx")
    check_restored(name, tmp_path)


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_restored_model_runs_as_the_original(name, tmp_path):
    """Bit for bit, and as the framework that it is from."""
    with np.load(FOLDER / name / f"{name}.npz") as arrays:
        inputs = {k[6:]: v for k, v in arrays.items() if k.startswith("input.")}
        expected = {k[7:]: v for k, v in arrays.items() if k.startswith("output.")}
    with onnxroot.open(FOLDER / name / f"{name}.v1.root") as model:
        model.save(tmp_path / "model.onnx")
    names, restored = run(tmp_path / "model.onnx", inputs)
    _, original = run(FOLDER / name / f"{name}.onnx", inputs)
    tolerance = record_of(name)["samples"]
    assert set(expected) == set(names)
    for output, here, there in zip(names, restored, original, strict=True):
        found, again = flat(here), flat(there)
        assert found.dtype == again.dtype
        assert found.tobytes() == again.tobytes(), output
        if found.dtype.kind in "US":
            assert found.tolist() == expected[output].tolist()
        else:
            np.testing.assert_allclose(
                found, expected[output], rtol=tolerance["rtol"], atol=tolerance["atol"]
            )


def test_no_local_path_is_stored():
    for name in NAMES:
        with onnxroot.open(FOLDER / name / f"{name}.v1.root") as model:
            record = json.dumps([model.manifest.provenance, model.manifest.metadata])
        assert "/" not in record, name


def test_the_first_command_of_the_readme(tmp_path):
    """Run it as it stands, but for the installation: it ends in two identical SHA-256s."""
    readme = (FOLDER.parent / "README.md").read_text()
    line = next(line for line in readme.splitlines() if "onnxroot show" in line and "&&" in line)
    line = line[line.index("onnxroot convert") :].replace(".venv/", f"{tmp_path}/")
    line = re.sub(r"(?<!/)\bonnxroot (?=convert|show)", f"{sys.executable} -m onnxroot ", line)
    done = subprocess.run(
        ["bash", "-c", line], cwd=FOLDER.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    digests = [row.split()[0] for row in done.stdout.splitlines()[-2:]]
    assert len(digests[0]) == 64
    assert digests[0] == digests[1]
