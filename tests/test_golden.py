"""The golden models: nothing is missing or changed, and each comes back bit for bit."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import onnxroot

FOLDER = Path(__file__).parent.parent / "golden_models"
NAMES = (
    "control_flow",
    "data_types",
    "external_data",
    "functions",
    "gradient_boosting",
    "malformed_tensors",
    "mlp_jet_tagger",
    "non_canonical",
    "sparse_training",
    "types_metadata",
)
"""The catalogue, spelled out: a golden model that is lost must fail, not shrink a loop."""


def files_of(name):
    """Return the digests on record, by path within the model's folder."""
    record = json.loads((FOLDER / name / "golden.json").read_text())
    return {path: entry["sha256"] for path, entry in record["files"].items()}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def onnx_files(name):
    """Return the ONNX file and its external files: what must come back."""
    return [path for path in files_of(name) if not re.search(r"\.(root|npz)$", path)]


def check_restored(name, folder):
    for path in onnx_files(name):
        assert sha256(folder / path) == files_of(name)[path], path


def test_the_catalogue_is_whole():
    assert sorted(path.parent.name for path in FOLDER.glob("*/golden.json")) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_as_recorded(name):
    files = files_of(name)
    assert {f"{name}.onnx", f"{name}.v1.root"} <= set(files)
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
