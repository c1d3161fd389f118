"""The C++ reader rebuilds every golden model, compiled with g++ against real ROOT."""

import hashlib
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

import onnxroot

ROOT = find_spec("ROOT")
HERE = Path(__file__).parent
GOLDEN = sorted((HERE.parent / "golden_models").glob("*/*.onnx"))

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(ROOT is None, reason="ROOT is not installed: no wheel for this Python"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed"),
]


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """Compile the program that calls the reader."""
    program = tmp_path_factory.mktemp("cpp") / "probe"
    root = Path(ROOT.origin).parent
    header = Path(onnxroot.__file__).parent / "include"
    options = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{header}"]
    options += [f"-isystem{root}/include", f"-L{root}/lib", f"-Wl,-rpath,{root}/lib"]
    libraries = ["-lCore", "-lRIO", "-lROOTNTuple"]
    source = HERE / "cpp" / "probe.cxx"
    done = subprocess.run(
        ["g++", *options, str(source), "-o", str(program), *libraries],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return program


def test_every_golden_model_is_rebuilt(probe, tmp_path):
    path = tmp_path / "golden.root"
    for model in GOLDEN:
        onnxroot.write(model, f"{path}:models/{model.stem}")
    done = subprocess.run(
        [probe, "all", path], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found = dict(line.split("|") for line in done.stdout.splitlines() if "|" in line)
    assert found == {
        f"models/{model.stem}": hashlib.sha256(model.read_bytes()).hexdigest() for model in GOLDEN
    }
