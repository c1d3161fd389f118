"""Faults of the system: a clear error, nothing half-written, no temporary files."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxroot
from onnxroot import _file_bytes
from onnxroot._locations import map_file
from onnxroot._transaction import Transaction
from tests.golden import golden
from tests.samples import files_in, graph_model, linear_model, raw_tensor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="faults as Unix has them")

COMMAND = [sys.executable, "-m", "onnxroot"]
MODEL = golden("mlp_jet_tagger")


def run(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command; a traceback is never right."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    done = subprocess.run([*COMMAND, *map(str, words)], timeout=120, check=False, **options)
    assert "Traceback" not in (done.stderr or "")
    return done


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    onnxroot.write(MODEL, tmp_path / "m.root")
    return tmp_path / "m.root"


# --- Output that nobody takes -------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["ls"], ["show"], ["show", "--json"], ["verify"]])
def test_a_full_disk_behind_standard_output(words: list[str], stored: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*words, stored, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "onnxroot: standard output: No space left on device\n"


@pytest.mark.parametrize("words", [["ls"], ["show"], ["show", "--json"], ["verify"]])
def test_a_pipe_that_nobody_reads(words: list[str], stored: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(*words, stored, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_there_is_no_writing_to_standard_output(tmp_path: Path) -> None:
    done = run("convert", MODEL, "-", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "-: expected a name that ends in .root or .onnx" in done.stderr
    assert not files_in(tmp_path)


# --- Files that can't be written ----------------------------------------------------------------


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))


@pytest.mark.parametrize("target", ["new.root", "new.onnx"])
def test_no_room_for_a_file(target: str, stored: Path) -> None:
    """A limit on the size of files is met as a full disk is, in the middle of a write."""
    before = files_in(stored.parent)
    source = stored if target.endswith(".onnx") else MODEL
    done = run("convert", source, stored.parent / target, preexec_fn=limit_files)
    assert done.returncode == 2
    assert f"{target}: File too large" in done.stderr
    assert files_in(stored.parent) == before


@pytest.mark.skipif(hasattr(os, "geteuid") and not os.geteuid(), reason="root may do anything")
def test_what_may_not_be_read_or_written(stored: Path) -> None:
    folder = stored.parent / "closed"
    folder.mkdir(mode=0o500)
    done = run("convert", MODEL, folder / "m.root")
    assert (done.returncode, "Permission denied" in done.stderr) == (2, True)
    stored.chmod(0)
    for words in (["ls", stored], ["convert", stored, stored.with_name("o.onnx")]):
        done = run(*words)
        assert (done.returncode, "Permission denied" in done.stderr) == (2, True)
    assert not files_in(folder)


def test_what_got_its_name_before_a_failure_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    transaction = Transaction()
    transaction.make_folder(tmp_path / "x" / "y")
    for name in ("x/y/a", "a", "b"):
        transaction.create(tmp_path / name, replace=False).write_text("new")
    with pytest.raises(onnxroot.OnnxRootError, match="b exists"), transaction:
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["b"]
    assert (tmp_path / "b").read_text() == "mine"


# --- Signals ------------------------------------------------------------------------------------

INTERRUPTED = """
import os, sys
from onnxroot import cli, {module}
real = {module}.{name}
def at_the_end(*arguments, **options):
    os.kill(os.getpid(), {signal})
    return real(*arguments, **options)
{module}.{name} = at_the_end
cli.main(sys.argv[1:])
"""

MOMENTS = {
    # where the signal comes, in a module, by what is called there
    "as the model is read": ("_deviation", "split"),
    "before tables are written": ("_rntuple_write", "ModelWriter.write_tables"),
    "before the manifest is written": ("_rntuple_write", "ModelWriter.write_manifest"),
    "before the file gets its name": ("_transaction", "sync"),
}


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *((moment, signal.SIGINT) for moment in MOMENTS),
        ("before the manifest is written", signal.SIGTERM),
        ("before the file gets its name", signal.SIGHUP),
    ],
)
def test_a_signal(moment: str, number: signal.Signals, tmp_path: Path) -> None:
    module, name = MOMENTS[moment]
    code = INTERRUPTED.format(module=module, name=name, signal=int(number))
    command = [sys.executable, "-c", code, "convert", MODEL, tmp_path / "m.root"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr
    assert not files_in(tmp_path)


# --- Files that change while they are read ------------------------------------------------------


def test_an_onnx_file_that_is_cut_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat

    def cut(handle: int) -> os.stat_result:
        status = real(handle)
        os.truncate(tmp_path / "m.onnx", 100)
        return status

    (tmp_path / "m.onnx").write_bytes(MODEL.read_bytes())
    monkeypatch.setattr(os, "fstat", cut)
    with pytest.raises(onnxroot.FormatError, match="made it shorter meanwhile"):
        _file_bytes.whole_file(os.open(tmp_path / "m.onnx", os.O_RDONLY), "m.onnx")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets others wait")
def test_a_large_file_is_not_cut_while_it_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look at what is gone would kill the process."""
    path = tmp_path / "m.onnx"
    path.write_bytes(b"x" * 100_000)
    monkeypatch.setattr(_file_bytes, "_SMALL", 1000)
    data = map_file(path)
    code = f"import os; os.truncate({str(path)!r}, 10)"
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        time.sleep(0.5)
        if other.poll() is not None:
            pytest.skip("this file system has no leases")
        assert np.all(data == ord("x"))
        del data
        assert other.wait(timeout=40) == 0
    assert path.stat().st_size == 10


@pytest.mark.parametrize("length", [0, 100, 20_000])
def test_a_root_file_that_is_cut_while_it_is_read(length: int, tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=50_000).astype(np.float32)
    path = tmp_path / "m.root"
    onnxroot.write(graph_model([raw_tensor("w", values)]), path)
    with onnxroot.open(path) as model:
        assert len(model.nodes) == 0
        os.truncate(path, length)
        with pytest.raises(onnxroot.FormatError, match="another program has changed the file"):
            model.to_bytes()
        with pytest.raises(onnxroot.FormatError, match="another program has changed the file"):
            model.tensors["w"].numpy()


def test_a_root_file_that_is_replaced_while_it_is_read(stored: Path) -> None:
    with onnxroot.open(stored) as model:
        onnxroot.write(linear_model(), stored.with_name("other.root"))
        stored.with_name("other.root").replace(stored)
        assert model.to_bytes() == MODEL.read_bytes()  # the file that was opened
