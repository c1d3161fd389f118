"""Shells complete the command, as the README says how."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import onnxroot
from tests.golden import golden

CODE = "from onnxroot.cli import main; main(prog_name='onnxroot')"


def complete(shell: str, **variables: str) -> str:
    """Call the command as a shell does that completes."""
    environment = {**os.environ, "_ONNXROOT_COMPLETE": shell, **variables}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell: str) -> None:
    if shell == "bash" and not shutil.which("bash"):
        pytest.skip("needs bash, whose version it asks")
    script = complete(f"{shell}_source")
    assert f"_ONNXROOT_COMPLETE={shell}_complete" in script


def test_words() -> None:
    found = complete("bash_complete", COMP_WORDS="onnxroot sh", COMP_CWORD="1")
    assert re.findall("plain,(.*)", found) == ["show"]
    found = complete("bash_complete", COMP_WORDS="onnxroot show --st", COMP_CWORD="2")
    assert re.findall("plain,(.*)", found) == ["--stats"]


def test_files_and_models(tmp_path: Path) -> None:
    """The shell completes files, which it knows better; behind the colon come models."""
    for name in ("tagger", "2026/a"):
        onnxroot.write(golden("functions"), f"{tmp_path}/m.root:{name}")
    for words in ("show", "diff a.onnx", "rm", "cp a.root:x", "convert"):
        line = f"onnxroot {words} m.r"
        n_before = str(len(line.split()) - 1)
        found = complete("zsh_complete", COMP_WORDS=line, COMP_CWORD=n_before)
        assert found.splitlines()[:2] == ["file", "m.r"]
    start = f"{tmp_path}/m.root:t"
    found = complete("fish_complete", COMP_WORDS=f"onnxroot show {start}", COMP_CWORD=start)
    assert found.strip() == f"plain,{start}agger"
    found = complete("fish_complete", COMP_WORDS="onnxroot show x.root:", COMP_CWORD="x.root:")
    assert found == ""


SHELLS = {
    "bash": (
        'eval "$(_ONNXROOT_COMPLETE=bash_source onnxroot)"; COMP_WORDS=(onnxroot sh); '
        'COMP_CWORD=1; _onnxroot_completion onnxroot; echo "${COMPREPLY[@]}"'
    ),
    "zsh": (
        "autoload -U compinit; compinit -D; "
        'eval "$(_ONNXROOT_COMPLETE=zsh_source onnxroot)"; echo $_comps[onnxroot] show'
    ),
    "fish": "_ONNXROOT_COMPLETE=fish_source onnxroot | source; complete -C'onnxroot sh'",
}


@pytest.mark.sweep
@pytest.mark.parametrize("shell", SHELLS)
def test_real_shells(shell: str, tmp_path: Path) -> None:
    """They take the lines of the README."""
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [shell, "-c", SHELLS[shell]],
        env={**os.environ, "PATH": path, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "show" in done.stdout
