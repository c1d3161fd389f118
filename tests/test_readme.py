"""The examples of the README run as they stand."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import onnxroot
from tests.golden import golden

README = Path(__file__).parents[1] / "README.md"

pytestmark = pytest.mark.skipif(not README.is_file(), reason="the README is not there")

BLOB = """
import sys, ROOT
data = open(sys.argv[1], "rb").read()
ROOT.gInterpreter.Declare(
    "void put(const char *data, size_t n) {"
    "  TFile file{\\"old.root\\", \\"RECREATE\\"};"
    "  std::vector<char> model{data, data + n};"
    "  file.WriteObject(&model, \\"model\\");"
    "}"
)
ROOT.put(data, len(data))
"""


def blocks(heading: str, language: str) -> list[str]:
    """Return the examples in one language below a heading."""
    section = re.search(rf"\n## {heading}\n(.*?)(\n## |\Z)", README.read_text(), re.DOTALL)
    assert section
    found = re.findall(rf"```{language}\n(.*?)```", section[1], re.DOTALL)
    assert found
    return found


def run(folder: Path, *command: str) -> str:
    """Run a program in a folder, with the command at hand."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(golden("mlp_jet_tagger"), tmp_path / "tagger.onnx")
    return tmp_path


@pytest.mark.sweep
def test_from_python(folder: Path) -> None:
    for name in ("onnxruntime", "matplotlib"):
        pytest.importorskip(name)
    run(folder, sys.executable, "-c", "\n".join(blocks("From Python", "python")))
    assert (folder / "again.onnx").read_bytes() == (folder / "tagger.onnx").read_bytes()
    assert (folder / "weights.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.sweep
@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_from_the_shell(folder: Path) -> None:
    lines = blocks("From the shell", "bash")[0].splitlines()
    lines = [line for line in lines if "onnxroot view" not in line]  # which waits for Ctrl-C
    models = folder / "golden_models" / "mlp_jet_tagger"
    models.mkdir(parents=True)
    (folder / "tagger.onnx").rename(models / "mlp_jet_tagger.onnx")
    said = run(folder, "bash", "-ec", "\n".join(lines))
    assert "identical: every byte is the same" in said
    assert (folder / "again.onnx").read_bytes() == (folder / "tagger.onnx").read_bytes()
    assert (folder / "tagger.html").is_file()


@pytest.mark.root
@pytest.mark.skipif(find_spec("ROOT") is None, reason="ROOT is not installed")
def test_from_bytes_in_a_file(folder: Path) -> None:
    run(folder, sys.executable, "-c", BLOB, "tagger.onnx")
    (code,) = blocks("Coming from", "python")
    run(folder, sys.executable, "-c", f"import onnxroot\n{code}")
    with onnxroot.open(folder / "models.root:from_blob") as model:
        assert model.to_bytes() == (folder / "tagger.onnx").read_bytes()
