"""The bar that people see while a command takes its time, in a real pseudo-terminal."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import golden
from tests.test_cli import run

BEGIN = """
import time
import onnxroot._busy
from onnxroot._busy import busy
onnxroot._busy._SECONDS = 0.05
def wait_for_bar(progress):
    bar = getattr(progress, "__self__", None)  # there is none where nothing is shown
    while bar and not bar._show:
        time.sleep(0.01)
    time.sleep(1)  # it is drawn ten times a second
"""
SLOW = (
    BEGIN
    + """
with busy("reading [m].onnx", quiet={quiet}) as progress:
    progress(3_000_000, 8_000_000)
    wait_for_bar(progress)
{end}
"""
)


def seen(code: str) -> tuple[int, str]:
    """Run code whose standard error is a terminal; return what appears there."""
    main, other = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=other, env=environment)
    os.close(other)
    out = b""
    while True:
        try:
            data = os.read(main, 65536)
        except OSError:
            break
        if not data:
            break
        out += data
    os.close(main)
    return process.wait(), re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", out.decode())


@pytest.mark.sweep
def test_a_bar_that_goes_away() -> None:
    code, text = seen(SLOW.format(quiet=False, end=""))
    assert code == 0
    assert "3.0/8.0 MB" in text
    assert "reading [m].onnx" in text


@pytest.mark.sweep
def test_quiet() -> None:
    assert seen(SLOW.format(quiet=True, end="")) == (0, "")


@pytest.mark.sweep
def test_of_many_models_the_last_is_named() -> None:
    code, text = seen(
        BEGIN
        + """
with busy("looking", counts=True) as progress:
    wait_for_bar(progress)
    progress(3, 8, "failed: [b].onnx\\x1b]0;title")
    time.sleep(1)
"""
    )
    assert (code, "looking" in text, "3/8" in text) == (0, True, True)
    assert "failed: [b].onnx\\x1b]0;title" in text


def test_short_ones_show_nothing() -> None:
    code = "from onnxroot._busy import busy\nwith busy('x') as p: p(1, 2)"
    assert seen(code) == (0, "")


COST = r"onnxroot: \d+\.\d\d s, \d+\.\d\d s of processors with the start(, .* of memory at most)?\n"


def test_verbose(tmp_path: Path) -> None:
    """What was written is told, wherever it went."""
    root, onnx = tmp_path / "m.root", tmp_path / "again.onnx"
    result = run("-v", "convert", golden("functions"), root)
    told = r"onnxroot: .*m\.root:functions: 1\.8 kB of ONNX in 15\.\d kB; read again .*\n"
    assert re.fullmatch(told + COST, result.stderr)
    result = run("-v", "cp", root, f"{root}:copy")
    assert re.fullmatch(told.replace(":functions", ":copy") + COST, result.stderr)
    result = run("-v", "convert", f"{root}:copy", onnx)
    told = r"onnxroot: .*again\.onnx: 1\.8 kB, whose SHA-256 is that of the model\n"
    assert re.fullmatch(told + COST, result.stderr)


def test_nothing_in_a_pipe() -> None:
    result = run("--verbose", "show", golden("functions"), "--stats")
    assert re.fullmatch(COST, result.stderr)
    assert run("--quiet", "show", golden("functions"), "--stats").stderr == ""


@pytest.mark.sweep
def test_an_error_ends_it() -> None:
    code, text = seen(SLOW.format(quiet=False, end="").rstrip() + "\n    raise SystemExit(3)\n")
    assert (code, "3.0/8.0 MB" in text) == (3, True)
