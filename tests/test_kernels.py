"""The kernels in C: they are there, can be switched off, do what NumPy does, and pass no end."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnxroot
from onnxroot import _kernels
from onnxroot._encodings import ENCODINGS, decode, encode
from onnxroot._ragged import exclusive_sum, gather, scatter
from onnxroot._runs import (
    FIXED64,
    LEN,
    VARINT,
    encode_fixed,
    encode_numbers,
    encode_texts,
    find_run,
    read_numbers,
    read_texts,
)
from onnxroot.errors import FormatError
from tests.model_encodings import I32, record, varint

PACKAGE = Path(onnxroot.__file__).parent
DRIVER = Path(__file__).parent / "cpp" / "kernels.c"
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
NUMBER = 8
"""A field with a tag of one byte."""

switched_off = os.environ.get(_kernels.SWITCH) == "0"
needed = pytest.mark.skipif(
    not _kernels.available(), reason="built without a compiler, or ONNXROOT_KERNELS is 0"
)


def compiler() -> str | None:
    """Return what the wheel is built with, if it is there."""
    first = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    return shutil.which(first) or shutil.which("cc")


@contextmanager
def numpy_alone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kernels, "available", lambda: False)
        yield


def bytes_of(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


# --- Whether they are there -------------------------------------------------------------------


@pytest.mark.skipif(switched_off or compiler() is None, reason="no compiler, or switched off")
def test_where_there_is_a_compiler_there_are_kernels() -> None:
    assert (PACKAGE / _kernels.LIBRARY).is_file()
    assert _kernels.available()


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_switch(value: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from onnxroot import _kernels; print(_kernels.available())"],
        env={**os.environ, _kernels.SWITCH: value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(value == "1" and (PACKAGE / _kernels.LIBRARY).is_file())


@pytest.mark.parametrize("content", [None, b"no library"], ids=["another version", "damaged"])
def test_a_library_that_does_not_fit_is_left_alone(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is None:
        monkeypatch.setattr(_kernels, "_VERSION", 0)
    else:
        (tmp_path / _kernels.LIBRARY).write_bytes(content)
        monkeypatch.setattr(_kernels, "__file__", str(tmp_path / "_kernels.py"))
    _kernels._library.cache_clear()
    try:
        assert not _kernels.available()
    finally:
        _kernels._library.cache_clear()


# --- They do what their twins do --------------------------------------------------------------

widths = st.integers(1, 70).flatmap(lambda bits: st.integers(0, min(2**bits, 2**64) - 1))
records = {
    VARINT: st.tuples(widths, st.sampled_from([0, 0, 0, 0, 1])).map(
        lambda pair: record(
            NUMBER, VARINT, varint(pair[0], min(len(varint(pair[0])) + pair[1], 10))
        )
    ),
    LEN: st.binary(max_size=130).map(lambda text: record(NUMBER, LEN, text)),
    I32: st.binary(min_size=4, max_size=4).map(lambda bits: record(NUMBER, I32, bits)),
    FIXED64: st.binary(min_size=8, max_size=8).map(lambda bits: record(NUMBER, FIXED64, bits)),
}


def read(data: np.ndarray, start: int, stop: int, tag: int) -> list[Any]:
    """Return all there is to know of a run."""
    runs = list(find_run(data, start, stop, tag))
    found: list[Any] = [sum(run.n_records for run in runs), all(run.minimal for run in runs)]
    found.append(runs[-1].stop if runs else start)
    for run in runs:
        if tag & 7 == LEN:
            arrays = np.empty((2, run.n_records), np.int64)
            read_texts(data, run, *arrays)
            found += arrays.T.tolist()
        else:
            arrays = np.empty(run.n_records, np.uint32 if tag & 7 == I32 else np.uint64)
            read_numbers(data, run, arrays)
            found += arrays.tolist()
    return found


@needed
@given(data=st.data(), kind=st.sampled_from(sorted(records)))
def test_runs(data: st.DataObject, kind: int) -> None:
    some = st.lists(st.one_of(records[kind], st.sampled_from([b"@\x05" * 20, b"@\x85\x05" * 9])))
    before, behind = data.draw(st.binary(max_size=9)), data.draw(st.binary(max_size=20))
    whole = bytes_of(before + b"".join(data.draw(some)) * data.draw(st.integers(1, 9)) + behind)
    stop = data.draw(st.integers(min(len(before), len(whole)), len(whole)))
    arguments = whole, len(before), stop, NUMBER << 3 | kind
    found = read(*arguments)
    with numpy_alone():
        assert found == read(*arguments)


@needed
@given(
    values=st.lists(widths, max_size=60),
    tag=st.binary(max_size=5),
    texts=st.lists(st.binary(max_size=200), max_size=30),
)
def test_writers(values: list[int], tag: bytes, texts: list[bytes]) -> None:
    numbers, head = np.array(values, np.uint64), bytes_of(tag)
    lengths = np.array([len(text) for text in texts], np.int64)

    def written() -> list[bytes]:
        return [
            encode_numbers(numbers, head).tobytes(),
            encode_fixed(numbers, head).tobytes(),
            encode_fixed(numbers.astype("<u4"), head).tobytes(),
            encode_texts(lengths, bytes_of(b"".join(texts)), head).tobytes(),
        ]

    found = written()
    with numpy_alone():
        assert found == written()


@needed
@given(
    order=st.permutations(range(12)),
    lengths=st.lists(st.integers(0, 40), min_size=12, max_size=12),
)
def test_pieces(order: list[int], lengths: list[int]) -> None:
    length = np.array(lengths, np.int64)
    start = np.empty(12, np.int64)
    start[order] = exclusive_sum(length[order] + 1)
    data = np.random.default_rng(1).integers(0, 256, sum(lengths) + 12, np.uint8)

    def moved() -> list[bytes]:
        out = np.zeros_like(data)
        pieces = gather(data, start, length)
        scatter(out, start, length, pieces)
        return [pieces.tobytes(), out.tobytes()]

    found = moved()
    with numpy_alone():
        assert found == moved()


@needed
@pytest.mark.parametrize("code", [code for code, e in ENCODINGS.items() if e.is_split])
@pytest.mark.parametrize("n", [0, 1, 1023, 1025, 70_000])
@pytest.mark.parametrize("n_bits", [1, 8, 15, 17, 33, 64])
def test_pages(code: int, n: int, n_bits: int) -> None:
    encoding = ENCODINGS[code]
    size = encoding.dtype.itemsize
    low = np.random.default_rng(n).integers(0, 2**64, n, np.uint64) >> np.uint64(64 - n_bits)
    values = low.astype(f"<u{size}").view(encoding.dtype)
    page = encode(values, encoding)
    dtype = np.dtype(np.int64) if encoding.is_index else encoding.dtype
    found, expected = np.zeros((2, n), dtype)
    whole = np.zeros(values.nbytes, np.uint8)
    whole[: len(page)] = page
    decode(whole, encoding, found)
    with numpy_alone():
        assert page.tobytes() == encode(values, encoding).tobytes()
        decode(whole, encoding, expected)
    assert found.tobytes() == expected.tobytes()


# --- They pass no end -------------------------------------------------------------------------


@needed
def test_what_is_not_inside_is_refused() -> None:
    data, tag = bytes_of(b"\x40\x05\x40\x85"), NUMBER << 3
    out = np.empty(2, np.uint64)
    one = np.ones(1, np.int64)
    with pytest.raises(FormatError, match="do not fit"):
        _kernels.read_varints(data, 0, 4, tag, out)
    with pytest.raises(FormatError, match="do not fit"):  # ends elsewhere
        _kernels.read_varints(data, 0, 4, tag, out[:1])
    with pytest.raises(FormatError, match="do not fit"):
        _kernels.read_texts(data, 0, 4, one, one.copy())
    with pytest.raises(FormatError, match="do not fit"):
        _kernels.read_fixed(data, 0, 4, out)
    with pytest.raises(FormatError, match="do not fit"):
        _kernels.write_texts(5 * one, data, data[:1])
    for start, length in ((-1, 1), (4, 1), (0, 5), (2**62, 2**62), (0, -1)):
        with pytest.raises(FormatError, match="do not fit"):
            scatter(np.empty(4, np.uint8), start * one, length * one, data)
    with pytest.raises(IndexError):
        _kernels.read_varints(data, 0, 5, tag, out)
    for n in (0, 3, 4, 1):  # a part of a byte each, one, or more than there are
        with pytest.raises(ValueError, match="a page of 4 bytes"):
            _kernels.join_values(data, 2, _kernels.ZIGZAG, np.empty(n, np.int16))
    with pytest.raises(TypeError, match="not for C"):
        _kernels.read_varints(data[::2], 0, 2, tag, out)
    with pytest.raises(TypeError, match="not for C"):
        _kernels.read_varints(data, 0, 2, tag, np.empty(1, np.int32))


def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    """Random and hostile arguments, arrays exactly as long as they are said to be."""
    found = compiler()
    if found is None:
        pytest.skip("no C compiler")
    program = tmp_path / "kernels"
    options = ["-std=c99", "-O1", "-g", *WARNINGS, *SANITIZERS, f"-I{PACKAGE}"]
    done = subprocess.run(
        [found, *options, str(DRIVER), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "sanitize" in done.stderr + done.stdout:
        pytest.skip("this compiler has no sanitizers")
    assert done.returncode == 0, done.stderr
    for seed in ("1", "2"):
        done = subprocess.run(
            [program, "2000", seed],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        )
        assert (done.returncode, done.stdout) == (0, "2000 rounds\n"), done.stderr[-3000:]
