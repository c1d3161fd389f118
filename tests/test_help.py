"""What ``--help`` shows as examples works as it stands."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import onnxroot
from onnxroot.cli import main
from tests.golden import golden
from tests.test_cli import run

SEPARATE = {  # what needs more than a model, and is tested where that is
    "https://": "a server",
    "root://": "a server",
    "tagger.keras": "TensorFlow",
    "tagger.pt ": "PyTorch",
    "onnxroot view": "a browser, and waits",
    "git config": "git",
    "echo": "the shell",
}


def examples() -> Iterator[tuple[str, str]]:
    """Yield the examples of every command."""
    for name, command in main.commands.items():
        for line in (command.help or "").splitlines():
            if re.match(r"(onnxroot|git|echo) ", line.strip()):
                yield name, line.strip()


def test_every_command_has_examples() -> None:
    assert {name for name, _ in examples()} == set(main.commands)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which there is what the examples speak of."""
    tagger = golden("mlp_jet_tagger")
    for place in ("tagger.onnx", "a.onnx", "b.onnx", "models/c.onnx"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        shutil.copy(tagger, tmp_path / place)
    for name in ("tagger", "2025/tagger", "2026/tagger"):
        onnxroot.write(tagger, f"{tmp_path}/models.root:{name}")
    onnxroot.write(tagger, tmp_path / "analysis.root:models/tagger")
    (tmp_path / "tagger.html").write_text("an older one")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "example",
    [line for _, line in examples() if not any(mark in line for mark in SEPARATE)],
)
def test_example(example: str, folder: Path) -> None:
    _, *words = shlex.split(example.partition(" | ")[0].partition("  #")[0])
    if words[0] in {"convert", "cp", "report"} and not {"--replace", "--jobs"} & set(words):
        make_room(words[-1], folder)
    result = run(*words)
    assert result.exit_code == 0, result.stderr


def make_room(target: str, folder: Path) -> None:
    """Remove what a command is to write."""
    path, _, directory = target.partition(":")
    if not directory:
        (folder / path).unlink(missing_ok=True)
    elif (folder / path).exists() and directory in onnxroot.list_models(folder / path):
        onnxroot.remove(folder / target)
