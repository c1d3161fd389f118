"""The command that makes and checks the golden models."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.golden import GOLDEN_FOLDER

ONE = "control_flow"


@pytest.fixture
def folder(tmp_path):
    """A copy of three of the golden models, with a catalogue of their own."""
    for path in GOLDEN_FOLDER.glob("*.py"):
        shutil.copy(path, tmp_path)
    catalogue = json.loads((GOLDEN_FOLDER / "catalogue.json").read_text())
    names = (ONE, "external_data", "cnn_calorimeter")
    for name in names:
        shutil.copytree(GOLDEN_FOLDER / name, tmp_path / name)
    kept = catalogue | {"models": {name: catalogue["models"][name] for name in names}}
    (tmp_path / "catalogue.json").write_text(json.dumps(kept))
    return tmp_path


def run(folder, *arguments):
    done = subprocess.run(
        [sys.executable, folder / "generate.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_is_whole_passes_and_stays(folder):
    assert run(folder, "--check") == (0, "all golden models are as recorded\n")
    assert run(folder)[0] == 0
    assert run(folder, "--check")[0] == 0


@pytest.mark.parametrize("file", ["control_flow.onnx", "control_flow.npz", "control_flow.v1.root"])
def test_a_byte_that_changed_and_a_file_that_is_lost_are_named(folder, file):
    path = folder / ONE / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    code, text = run(folder, "--check")
    assert (code, f"{ONE}/{file}: recorded as" in text) == (1, True), text
    path.unlink()
    assert run(folder, "--check") == (1, f"{ONE}/{file}: missing\n")


def test_a_model_or_a_record_that_is_lost_is_named(folder):
    (folder / ONE / "golden.json").unlink()
    assert f"{ONE}/golden.json: missing or unreadable" in run(folder, "--check")[1]
    shutil.rmtree(folder / ONE)
    assert run(folder, "--check") == (1, f"{ONE}: missing\n")


def test_nothing_is_made_while_something_is_lost(folder):
    """Or changed: the catalogue would take it for right."""
    shutil.copytree(folder / "external_data", folder / "another")
    for file in (folder / "another").iterdir():
        if file.is_file() and file.name != "make.py":
            file.unlink()
    before = (folder / "catalogue.json").read_bytes()
    record = (folder / ONE / "golden.json").read_bytes()
    for content in (record + b"\n", None):
        (folder / ONE / "golden.json").unlink()
        if content:
            (folder / ONE / "golden.json").write_bytes(content)
        for options in ((), ("--release", "1.0.0"), ("--replace", ONE), ("--only", "another")):
            code, text = run(folder, *options)
            assert (code, f"{ONE}" in text) == (1, True), text
            assert text.endswith("restore this from version control first\n")
        assert not (folder / "another" / "golden.json").exists()
        assert (folder / "catalogue.json").read_bytes() == before


@pytest.mark.parametrize("file", ["_golden.py", "generate.py"])
def test_a_module_that_changed_is_named(folder, file):
    with (folder / file).open("a") as module:
        module.write("\n")
    assert run(folder, "--check") == (1, f"{file}: not as catalogue.json has it\n")
    assert run(folder)[0] == 0
    assert run(folder, "--check")[0] == 0


def test_what_was_released_is_never_replaced(folder):
    assert run(folder, "--release", "1.0.0")[0] == 0
    assert run(folder, "--check")[0] == 0
    for option in ("--replace", "--replace-root"):
        code, text = run(folder, option, ONE)
        assert code != 0
        assert f"{ONE} was released with 1.0.0: it can't be replaced" in text
    assert run(folder, "--check")[0] == 0


def test_a_new_model_is_one_folder_and_one_command(folder):
    recipe = (folder / ONE / "make.py").read_text()
    (folder / "another").mkdir()
    (folder / "another" / "make.py").write_text(recipe)
    code, text = run(folder)
    if "No module named 'onnxruntime'" in text:
        pytest.skip("making a model that runs needs onnxruntime")
    assert code == 0, text
    assert "made another/another.v1.root" in text
    assert run(folder, "--check")[0] == 0
    assert "another" in json.loads((folder / "catalogue.json").read_text())["models"]
