"""Bytes that go to the disk while more of them are written."""

import errno
import os
import time
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
    piece = np.random.default_rng(1).integers(0, 256, STEP // 2, np.uint8)
    path, n = tmp_path / "long", 2
    with NewFile(path) as file:
        assert file.write(memoryview(piece)) == len(piece)
        assert not synced
        file.write(memoryview(piece))
        while not synced and n < 1000:  # until the thread has begun
            time.sleep(0.01)
            file.write(memoryview(piece[: 1 << 10]))
            n += 1
    assert len(synced) <= 2
    assert synced[0] >= STEP
    assert path.read_bytes() == 2 * piece.tobytes() + (n - 2) * piece[: 1 << 10].tobytes()


def test_a_short_file_starts_no_thread(tmp_path: Path, synced: list[int]) -> None:
    with NewFile(tmp_path / "short") as file:
        file.write(memoryview(b"abc"))
    assert (tmp_path / "short").read_bytes() == b"abc"
    assert not synced


def test_an_error_of_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, SYNC, no_space)
    file = NewFile(tmp_path / "full")
    file.write(memoryview(bytes(STEP)))
    with pytest.raises(OSError, match="No space"):
        file.__exit__(None, None, None)


def test_it_is_told_while_more_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, SYNC, no_space)

    def write_on() -> None:
        for _ in range(1000):
            behind.wrote(STEP)
            time.sleep(0.01)  # until the thread is done

    with (tmp_path / "full").open("wb") as file:
        behind = WriteBehind(file.fileno())
        with pytest.raises(OSError, match="No space"):
            write_on()
        behind.__exit__(None, None, None)  # it was told


def test_another_error_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, SYNC, no_space)

    def fail() -> None:
        with NewFile(tmp_path / "full") as file:
            file.write(memoryview(bytes(STEP)))
            raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        fail()


@pytest.mark.parametrize("way", ["write", "save"])
def test_a_full_disk_leaves_nothing(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_matrix(tmp_path / "m.onnx", 1500)  # 9 MB
    if way == "save":
        onnxroot.write(tmp_path / "m.onnx", tmp_path / "m.root")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(os, SYNC, no_space)
    source, target = ("m.onnx", "m.root") if way == "write" else ("m.root", "copy.onnx")
    with pytest.raises(OSError, match="No space"):
        onnxroot.convert(tmp_path / source, tmp_path / target)
    assert sorted(tmp_path.iterdir()) == before
