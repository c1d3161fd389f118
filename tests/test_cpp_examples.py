"""The examples of the README files compile as they stand, run, and do what they say."""

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import onnxroot
from tests.cxx import FOLDER, INCLUDE, compile_program, needs_compiler, output_of, root_folder, run
from tests.golden import golden

pytestmark = needs_compiler

STAND_IN = FOLDER / "stand_in"
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Write a model."""
    path = tmp_path_factory.mktemp("examples") / "models.root"
    onnxroot.write(golden("mlp_jet_tagger"), f"{path}:tagger")
    return path


@pytest.mark.parametrize("name", ["session.cxx", "sofie.cxx"])
def test_the_page_shows_the_example(name):
    assert f"```c++\n{(FOLDER / name).read_text()}```" in (INCLUDE / "README.md").read_text()


def test_session(file, tmp_path):
    """ONNX Runtime's own library takes the bytes from memory; Python's binding computes with them.

    ONNXRUNTIME_INCLUDE_DIR may name the folder of its own header.
    """
    runtime = find_spec("onnxruntime")
    if runtime is None:
        pytest.skip("onnxruntime is not installed")
    (library,) = (Path(runtime.origin).parent / "capi").glob("libonnxruntime.so.*")
    (tmp_path / "libonnxruntime.so.1").symlink_to(library)
    header = os.environ.get("ONNXRUNTIME_INCLUDE_DIR", STAND_IN)
    program = compile_program(
        *("session.cxx", tmp_path / "session", f"-isystem{header}"),
        libraries=[f"-Wl,-rpath,{tmp_path}", tmp_path / "libonnxruntime.so.1"],
    )
    found = output_of(program, file, "tagger")
    with onnxroot.open(f"{file}:tagger") as model:
        assert found == f"{len(model.inputs)} inputs, {len(model.outputs)} outputs\n"
        session = model.session()
    values = np.load(golden("mlp_jet_tagger").with_suffix(".npz"))
    names = {value.name for value in session.get_inputs()}
    outputs = session.run(None, {name: values[f"input.{name}"] for name in names})
    for value, output in zip(session.get_outputs(), outputs, strict=True):
        np.testing.assert_allclose(output, values[f"output.{value.name}"], rtol=1e-5, atol=1e-6)


def test_sofie(file, tmp_path):
    program = compile_program("sofie.cxx", tmp_path / "sofie", f"-isystem{STAND_IN}")
    output_of(program, file, "tagger", tmp_path / "bytes")
    assert (tmp_path / "bytes").read_bytes() == golden("mlp_jet_tagger").read_bytes()


def test_readme(file, tmp_path):
    """Its ten lines of C++ and its command compile and run."""
    if not README.is_file():
        pytest.skip("the README is not there")
    section = re.search(r"## From ROOT\n(.*?)\n## ", README.read_text(), re.DOTALL)[1]
    (source,) = re.findall(r"```c\+\+\n(#include \"onnxroot.hxx\".*?)```", section, re.DOTALL)
    (command,) = re.findall(r"```bash\n(g\+\+ .*)\n```", section)
    assert source.count("\n") <= 12
    (tmp_path / "tagger.cxx").write_text(source)
    root = root_folder()  # whose root-config gives folders of the machine that built the wheel
    flags = f"-std=c++17 -I{root}/include -L{root}/lib -Wl,-rpath,{root}/lib -lCore -lRIO"
    config = tmp_path / "root-config"
    config.write_text(f"#!/bin/sh\necho {flags}\n")
    config.chmod(0o755)
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    output_of("env", "-C", tmp_path, "sh", "-c", command, environment={"PATH": path})
    (tmp_path / "models.root").symlink_to(file)
    done = run("env", "-C", tmp_path, "./tagger")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "tagger.onnx").read_bytes() == golden("mlp_jet_tagger").read_bytes()
    with onnxroot.open(f"{file}:tagger") as model:
        sizes = [f"{name}: {tensor.size}" for name, tensor in model.tensors.items()]
    assert done.stdout.splitlines() == sizes
