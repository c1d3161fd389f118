"""Bytes that go to the disk while more of them are written."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

import onnxroot
from onnxroot import _write_behind
from onnxroot._write_behind import NewFile, WriteBehind
from tests.benchmarks.models import write_matrix

STEP = _write_behind._STEP
SYNC = "fdatasync" if hasattr(os, "fdatasync") else "fsync"


def no_space(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how long the file was, for each time that it was sent to the disk."""
    sizes: list[int] = []
    sync = getattr(os, SYNC)

    def note(handle: int) -> None:
        sizes.append(os.fstat(handle).st_size)
        sync(handle)

    monkeypatch.setattr(os, SYNC, note)
    return sizes


def test_a_long_file(tmp_path: Path, synced: list[int]) -> None:
    data = np.random.default_rng(1).integers(0, 256, 3 * STEP, np.uint8)
    path = tmp_path / "long"
    with NewFile(path) as file:
        for start in range(0, len(data), STEP // 2):
            assert file.write(memoryview(data[start : start + STEP // 2])) == STEP // 2
    assert path.read_bytes() == data.tobytes()
    assert synced
    assert STEP <= synced[0] < len(data)


def test_a_short_file_starts_no_thread(tmp_path: Path, synced: list[int]) -> None:
    with NewFile(tmp_path / "short") as file:
        file.write(memoryview(b"abc"))
    assert (tmp_path / "short").read_bytes() == b"abc"
    assert not synced


def test_an_error_of_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, SYNC, no_space)
    data = memoryview(bytes(STEP))
    with pytest.raises(OSError, match="No space"), NewFile(tmp_path / "full") as file:
        file.write(data)
    with (
        (tmp_path / "full").open("wb") as file,
        pytest.raises(OSError, match="No space"),
        WriteBehind(file.fileno()) as behind,
    ):
        for _ in range(10_000):  # until the thread is done
            behind.wrote(STEP)


def test_another_error_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, SYNC, no_space)
    with pytest.raises(KeyError, match="first"), NewFile(tmp_path / "full") as file:
        file.write(memoryview(bytes(STEP)))
        raise KeyError("first")


@pytest.mark.parametrize("way", ["write", "save"])
def test_a_full_disk_leaves_nothing(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_matrix(tmp_path / "m.onnx", 1500)  # 9 MB
    if way == "save":
        onnxroot.write(tmp_path / "m.onnx", tmp_path / "m.root", compression="none")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(os, SYNC, no_space)
    with pytest.raises(OSError, match="No space"):
        if way == "write":
            onnxroot.write(tmp_path / "m.onnx", tmp_path / "m.root", compression="none")
        else:
            with onnxroot.open(tmp_path / "m.root") as model:
                model.save(tmp_path / "copy.onnx")
    assert sorted(tmp_path.iterdir()) == before
