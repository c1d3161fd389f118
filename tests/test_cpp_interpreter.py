"""The C++ reader in ROOT's interpreter: in a macro, and from Python."""

import hashlib
import re
import sys

import pytest

import onnxroot
from tests.cxx import FOLDER, INCLUDE, needs_compiler, root_folder, run
from tests.golden import golden

pytestmark = needs_compiler

NO_SUCH = "tagger: expected an initializer 'hidden9.weight', found none of that name; TensorNames"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Write a model."""
    path = tmp_path_factory.mktemp("interpreter") / "models.root"
    onnxroot.write(golden("mlp_jet_tagger"), f"{path}:tagger")
    return path


def test_macro(file, tmp_path):
    """It runs without a warning of the interpreter."""
    call = f'{FOLDER / "macro.C"}("{file}", "tagger", "{tmp_path}/tagger.onnx")'
    done = run(
        *(root_folder() / "bin" / "root", "-l", "-b", "-q", call),
        environment={"ROOT_INCLUDE_PATH": str(INCLUDE)},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[:2000]
    assert (tmp_path / "tagger.onnx").read_bytes() == golden("mlp_jet_tagger").read_bytes()
    with onnxroot.open(file) as model:
        sizes = [f"{tensor.name} {tensor.size}" for tensor in model.tensors.values()]
    lines = done.stdout.splitlines()
    assert lines[-len(sizes) - 1 : -1] == sizes
    assert lines[-1].endswith("found FLOAT; ask for GetTensor<float>")


def test_from_python(file):
    done = run(
        *(sys.executable, "-W", "ignore::UserWarning", FOLDER.parent / "root" / "reader.py"),
        *(onnxroot.include_dir(), file, "tagger"),
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[:2000]
    with onnxroot.open(file) as model:
        expected = [model.manifest.sha256]
        for tensor in model.tensors.values():
            digest = hashlib.sha256(tensor.numpy()).hexdigest()
            expected.append(f"{tensor.name} {tensor.shape} {digest}")
        expected += [f"{value.name} {value.type} {list(value.shape)}" for value in model.inputs]
    lines = done.stdout.splitlines()
    assert lines[:-1] == expected
    assert re.search(NO_SUCH, lines[-1]), lines[-1]
