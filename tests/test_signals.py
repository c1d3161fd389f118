"""Ctrl-C, and other requests to end, at any moment between the start of the command and its end."""

import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import onnxroot
from onnxroot import _transaction
from onnxroot._transaction import Transaction
from tests.golden import golden
from tests.samples import files_in

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")

MODEL = golden("mlp_jet_tagger")
INTERRUPTED = "onnxroot: interrupted; nothing was changed, or all of it\n"
ENDED = {128 + signal.SIGINT, -signal.SIGINT}  # Python's choice: it is the same to a shell


def run(code: str, *words: str | Path) -> tuple[int, str]:
    """Run code, and then the command, which may be caught by a signal in any of both."""
    command = [sys.executable, "-c", f"{code}\nfrom onnxroot.__main__ import main\nmain()"]
    done = subprocess.run(
        [*command, *map(str, words)], capture_output=True, text=True, timeout=40, check=False
    )
    return done.returncode, done.stderr


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    onnxroot.write(MODEL, tmp_path / "m.root")
    return tmp_path / "m.root"


AT_IMPORT = """
import os, sys
class Press:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), {signal})
sys.meta_path.insert(0, Press())
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("onnxroot._signals", ""),
        ("signal", ""),
        ("onnxroot.cli", ""),
        ("click", ""),
        ("numpy", ""),
        ("onnxroot.api", ""),
        ("onnxroot._cli_view", ""),
        ("uproot", INTERRUPTED),
        ("awkward_cpp", INTERRUPTED),
    ],
)
def test_ctrl_c_at_an_import(name: str, said: str, stored: Path) -> None:
    code, errors = run(AT_IMPORT.format(name=name, signal=int(signal.SIGINT)), "ls", stored)
    assert code in ENDED
    assert errors in {"", said}  # it may be late, for imports are let end


def test_ctrl_c_at_the_end(stored: Path) -> None:
    press = "import atexit, os\natexit.register(lambda: os.kill(os.getpid(), 2))"
    assert run(press, "ls", stored) == (130, "")


AT_WORK = """
import os, time
from onnxroot import api
def list_models(*_, **__):
{what}
api.list_models = list_models
"""

TURNED = """
    try:
        os.kill(os.getpid(), {signal})
        time.sleep(60)
    except BaseException as error:
        raise ImportError('initialization failed')
"""

DROPPED = """
    class Deleted:
        def __del__(self):
            os.kill(os.getpid(), {signal})
            time.sleep(60)
    Deleted()
    time.sleep(60)
"""


@pytest.mark.parametrize("way", [TURNED, DROPPED])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_library_that_swallows_the_interrupt(way: str, number: signal.Signals) -> None:
    """As pybind11 does at imports, and Python wherever it deletes an object."""
    code, errors = run(AT_WORK.format(what=way.format(signal=int(number))), "verify", "m.root")
    assert code == 128 + number
    assert errors == (INTERRUPTED if number == signal.SIGINT else "")


def test_other_errors_stay_what_they_are() -> None:
    code, errors = run(AT_WORK.format(what="    raise ValueError('why')"), "verify", "m.root")
    assert (code, errors) == (2, "onnxroot: why\n")
    dropped = DROPPED.replace("os.kill(os.getpid(), {signal})", "raise KeyError")
    code, errors = run(AT_WORK.format(what=dropped.replace("60", "0")), "verify", "m.root")
    assert "KeyError" in errors


def test_ctrl_c_that_is_ignored(stored: Path) -> None:
    """As a shell without jobs starts what is in the background."""
    ignored = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)"
    press = AT_IMPORT.format(name="numpy", signal=int(signal.SIGINT))
    assert run(ignored + press, "ls", stored) == (0, "")


def test_an_interrupt_at_any_step_of_a_transaction(tmp_path: Path) -> None:
    """Between any two instructions, as Python allows: all of the files are there, or none.

    Python 3.12 does not always tell of instructions: there it is between lines.
    """
    step, least = ("line", 50) if sys.version_info[:2] == (3, 12) else ("opcode", 300)
    (tmp_path / "old").write_text("old")
    n_steps = 0
    while True:
        left = n_steps

        def press(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename != _transaction.__file__:
                return None
            frame.f_trace_opcodes = True
            left -= event == step
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            return press

        sys.settrace(press)
        try:
            with Transaction() as transaction:
                transaction.make_folder(tmp_path / "a" / "b")
                transaction.create(tmp_path / "a" / "b" / "new", replace=False).write_text("new")
                transaction.create(tmp_path / "old", replace=True).write_text("over")
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(None)
            with suppress(NameError):
                del transaction
        found = files_in(tmp_path)
        assert found.keys() <= {"old", "a/b/new"}
        assert found["old"] in {b"old", b"over"}
        assert found.get("a/b/new", b"new") == b"new"
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        (tmp_path / "old").write_text("old")
        n_steps += 1
    assert n_steps > least


FORMS = {
    "command": [sysconfig.get_path("scripts") + "/onnxroot"],
    "module": [sys.executable, "-m", "onnxroot"],
}


@pytest.mark.sweep
@pytest.mark.parametrize("form", FORMS)
def test_ctrl_c_after_any_time(form: str, tmp_path: Path) -> None:
    """Either the whole model is there, or nothing; of what comes before us Python may complain."""
    package = re.escape(str(Path(onnxroot.__file__).parent))
    words = [*FORMS[form], "convert", MODEL, tmp_path / "m.root"]
    ends = set()
    for milliseconds in range(60, 1200, 30):
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        code = 130 if process.returncode in ENDED else process.returncode
        ends.add(code)
        assert set(re.findall(rf"{package}/(\w+)", errors)) <= {"__init__", "__main__"}
        if "Traceback" not in errors:  # of Python's start
            assert (code, errors) in {(0, ""), (130, ""), (130, INTERRUPTED)}
        assert files_in(tmp_path).keys() <= {"m.root"}
        if files_in(tmp_path):
            assert onnxroot.verify(tmp_path / "m.root").ok
            (tmp_path / "m.root").unlink()
    assert 130 in ends
