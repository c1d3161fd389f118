"""Conversions in a process of their own: whatever becomes of it, there is a result or an error."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from onnxroot.adapter import Batch, Conversion, Options
from onnxroot.errors import FormatError, MissingDependencyError, OnnxRootError
from onnxroot_adapters._apart import convert_apart
from tests.samples import linear_model

needs_signals = pytest.mark.skipif(os.name != "posix", reason="Windows has other signals")


def tell(path: Path, options: Options) -> Conversion:
    """Return what the other process was given, and is."""
    print("a framework that talks")
    said = {"path": str(path), "opset": str(options.opset), "process": str(os.getpid())}
    values = np.array([["a"], [b"\xff"]], object)
    batch = Batch(inputs={"x": values}, outputs={"y": np.float32([1, np.nan])}, tolerance=0.5)
    return Conversion(model=linear_model(), provenance=said, batches=(batch,))


def refuse(path: Path, options: Options) -> Conversion:
    raise FormatError(f"{path}: {options.opset}", offset=7)


def lack(path: Path, options: Options) -> Conversion:
    raise MissingDependencyError(f"{path}: pip install {options.opset}")


def crash(path: Path, options: Options) -> Conversion:
    del path, options
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def leave(path: Path, options: Options) -> Conversion:
    del path, options
    os._exit(3)


def leave_as_if_done(path: Path, options: Options) -> Conversion:
    del path, options
    os._exit(0)


def fail(path: Path, options: Options) -> Conversion:
    raise ZeroDivisionError(f"of {path} {options}")


def test_a_result(capfd: pytest.CaptureFixture[str]) -> None:
    found = convert_apart(tell, Path("m.cbm"), Options(opset=17), "Framework")
    process = found.provenance.pop("process")
    assert found.provenance == {"path": "m.cbm", "opset": "17"}
    assert int(process) != os.getpid()
    assert found.model == linear_model()
    (batch,) = found.batches
    assert batch.inputs["x"].tolist() == [["a"], [b"\xff"]]
    assert batch.outputs["y"].dtype == np.float32
    assert capfd.readouterr() == ("", "")


def test_errors() -> None:
    with pytest.raises(FormatError, match=r"^byte 7: m\.cbm: 17$") as caught:
        convert_apart(refuse, Path("m.cbm"), Options(opset=17), "Framework")
    assert caught.value.offset == 7
    with pytest.raises(MissingDependencyError, match=r"^m\.cbm: pip install 17$"):
        convert_apart(lack, Path("m.cbm"), Options(opset=17), "Framework")


@needs_signals
def test_a_crash() -> None:
    with pytest.raises(FormatError, match=r"^m\.cbm: Framework can't read this .* of SIGSEGV;"):
        convert_apart(crash, Path("m.cbm"), Options(), "Framework")


@pytest.mark.parametrize(
    ("convert", "message"),
    [
        (leave, "ended with status 3; it is damaged"),
        (leave_as_if_done, "ended with status 0; it is damaged"),
        (fail, r"ended with status 1 \(ZeroDivisionError: of m\.cbm Options"),
    ],
)
def test_other_ends(convert: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        convert_apart(convert, Path("m.cbm"), Options(), "Framework")  # type: ignore[arg-type]


def test_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    convert_apart(tell, Path("m.cbm"), Options(), "Framework")
    with pytest.raises(OnnxRootError):
        convert_apart(leave, Path("m.cbm"), Options(), "Framework")
    assert list(tmp_path.iterdir()) == []


def test_modules_in_the_current_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pickle", "onnxroot_adapters", "onnx", "numpy", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('run', 'w')")
    monkeypatch.chdir(tmp_path)
    assert convert_apart(tell, Path("m.cbm"), Options(), "Framework").batches
    assert not (tmp_path / "run").exists()
