"""The golden models: nothing is missing or changed, and each comes back bit for bit."""

import hashlib
import json
import re
import subprocess
import sys

import pytest

import onnxroot
from onnxroot.errors import MissingDependencyError
from tests.golden import (
    CATALOGUE,
    CATALOGUE_TEXT,
    GOLDEN_FOLDER,
    GOLDEN_NAMES,
    MODULES,
    RUNNABLE,
    WITH_SAMPLES,
    WITH_SOURCE,
    check_round_trip,
    check_run,
    check_stored,
    files_of,
    make_again,
    other_versions,
    roots_of,
    sha256,
    source_of,
)


def test_the_catalogue_is_whole():
    found = {path.parent.name: sha256(path) for path in GOLDEN_FOLDER.glob("*/golden.json")}
    assert found == CATALOGUE
    assert len(CATALOGUE) >= 30
    whole = {"models": CATALOGUE, "modules": MODULES}
    assert json.dumps(whole, indent=2) + "\n" == CATALOGUE_TEXT


def test_nothing_lies_beside_the_models():
    """But the modules that recipes import, and what makes all of it; as recorded."""
    there = {path.name for path in GOLDEN_FOLDER.iterdir()} - {"__pycache__"}
    texts = [path.read_text(encoding="utf-8") for path in GOLDEN_FOLDER.rglob("*.py")]
    modules = {
        found
        for text in texts
        for found in re.findall(r"^ *from (_[a-z]\w*) import", text, re.MULTILINE)
    }
    assert {"generate.py", *(f"{module}.py" for module in modules)} == set(MODULES)
    assert there == {*CATALOGUE, *MODULES, "COMPATIBILITY.md", "catalogue.json"}
    for module, digest in MODULES.items():
        assert sha256(GOLDEN_FOLDER / module) == digest, module


def test_the_sources_are_of_every_kind():
    kinds = ".pt2 .pt .keras .h5 .pb .tflite .skops .json .ubj .txt .cbm".split()
    assert {source_of(name).suffix for name in WITH_SOURCE} >= {*kinds, ""}  # a folder


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_every_file_is_as_recorded(name):
    files = files_of(name)
    assert {f"{name}.onnx", f"{name}.v1.root", "make.py"} <= set(files)
    folder = GOLDEN_FOLDER / name
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {p for p in there if "__pycache__" not in p} == {*files, "golden.json"}
    for path, digest in files.items():
        assert sha256(folder / path) == digest, path


@pytest.mark.parametrize("name", [name for name in GOLDEN_NAMES if name not in WITH_SOURCE])
def test_a_recipe_makes_its_model_again(name, monkeypatch):
    """Byte for byte, with the versions on record. `test_golden_sources` has those of frameworks."""
    monkeypatch.syspath_prepend(GOLDEN_FOLDER)
    if versions := other_versions(name):  # an older onnx may lack what it needs
        pytest.skip(f"made with {versions}")
    try:
        made = make_again(name)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert hashlib.sha256(made.onnx).hexdigest() == files_of(name)[f"{name}.onnx"]
    for location, content in made.external.items():
        assert hashlib.sha256(content).hexdigest() == files_of(name)[location]


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_onnx_to_root_to_onnx(name, tmp_path):
    assert not check_round_trip(name, tmp_path / "m.root")


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_stored_root_to_onnx(name):
    """What an earlier version wrote must stay readable for ever."""
    for stored in roots_of(name):
        assert onnxroot.verify(stored).ok
        assert not check_stored(name, stored)
        with onnxroot.open(stored) as model:
            version = int(re.search(r"\.v(\d+)\.root$", stored.name)[1])
            assert model.manifest.format_version == version


@pytest.mark.parametrize("name", WITH_SAMPLES)
def test_samples_are_stored_with_the_model(name):
    """And come back as onnxruntime takes inputs; outputs are in the types of the framework."""
    onnxruntime = pytest.importorskip("onnxruntime")
    for stored in roots_of(name):
        with onnxroot.open(stored) as model:
            assert model.samples
            session = onnxruntime.InferenceSession(model.to_bytes())
            for batch in model.samples:
                given = {value.name: value.type for value in session.get_inputs()}
                found = session.run(list(batch.outputs), batch.inputs)
                assert given.keys() == batch.inputs.keys()
                shapes = [expected.shape for expected in batch.outputs.values()]
                assert shapes == [value.shape for value in found]
        assert onnxroot.verify(stored, run=True).ok


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_restored_model_runs_as_the_original(name):
    """Bit for bit, and as the framework that it is from."""
    pytest.importorskip("onnxruntime")
    assert not check_run(name)


def test_no_local_path_is_stored():
    for name in GOLDEN_NAMES:
        with onnxroot.open(GOLDEN_FOLDER / name / f"{name}.v1.root") as model:
            record = json.dumps([model.manifest.provenance, model.manifest.metadata])
        assert "/" not in record, name


def test_the_first_command_of_the_readme(tmp_path):
    """Run it as it stands, but for the installation: it ends in two identical SHA-256s."""
    readme = (GOLDEN_FOLDER.parent / "README.md").read_text()
    line = next(line for line in readme.splitlines() if "onnxroot show" in line and "&&" in line)
    line = line[line.index("onnxroot convert") :].replace(".venv/", f"{tmp_path}/")
    line = re.sub(r"(?<!/)\bonnxroot (?=convert|show)", f"{sys.executable} -m onnxroot ", line)
    done = subprocess.run(
        ["bash", "-c", line], cwd=GOLDEN_FOLDER.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    digests = [row.split()[0] for row in done.stdout.splitlines()[-2:]]
    assert len(digests[0]) == 64
    assert digests[0] == digests[1]
