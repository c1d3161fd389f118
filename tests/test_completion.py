"""Shells complete the command, as the README says how."""

import os
import re
import shutil
import subprocess
import sys

import pytest

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
