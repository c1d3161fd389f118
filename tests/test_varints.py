"""Varints, many at once, against one at a time."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxroot._varints import (
    decode_varints,
    encode_varints,
    read_varint_stream,
    varint_widths,
    varint_windows,
    write_varints,
)
from onnxroot.errors import FormatError
from tests.model_encodings import varint

EDGES = sorted({0, 2**64 - 1, *(2**k + d for k in range(7, 64, 7) for d in (-1, 0))})
"""The smallest and largest value of every width."""

values_and_widths = st.lists(
    st.tuples(st.integers(0, 2**64 - 1) | st.sampled_from(EDGES), st.integers(1, 10))
)


def u8(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def positions(parts: list[bytes], gap: int = 0) -> np.ndarray:
    """Return where each part begins when there are `gap` bytes behind each."""
    lengths = np.array([len(part) + gap for part in parts], np.int64)
    return np.cumsum(lengths) - lengths


# --- Encoding ---------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[], [0], [127, 0], [128], EDGES, [2**64 - 1], EDGES * 100])
def test_encode(values: list[int]) -> None:
    array = np.array(values, np.uint64)
    encoded, widths = encode_varints(array)
    parts = [varint(value) for value in values]
    assert encoded.tobytes() == b"".join(parts)
    assert widths.tolist() == varint_widths(array).tolist() == list(map(len, parts))


def test_write_touches_nothing_else() -> None:
    parts = [varint(value, 10) for value in EDGES]
    out = np.full(sum(map(len, parts)) + 3 * len(parts), 0xEE, np.uint8)
    widths = np.full(len(EDGES), 10, np.int64)
    write_varints(out, positions(parts, gap=3), np.array(EDGES, np.uint64), widths)
    assert out.tobytes() == b"".join(part + b"\xee\xee\xee" for part in parts)


# --- Decoding ---------------------------------------------------------------------------------


@given(values_and_widths)
def test_decode_any_width(cases: list[tuple[int, int]]) -> None:
    parts = [varint(value, width) for value, width in cases]
    data = u8(b"".join(part + b"\xff" for part in parts))
    start = positions(parts, gap=1)
    values, widths, minimal = decode_varints(data, start, start + list(map(len, parts)))
    assert values.tolist() == [value for value, _ in cases]
    assert widths.tolist() == list(map(len, parts))
    assert minimal == (parts == [varint(value) for value, _ in cases])


@given(values_and_widths)
def test_streams_of_any_width(cases: list[tuple[int, int]]) -> None:
    parts = [varint(value, width) for value, width in cases]
    values, widths = read_varint_stream(u8(b"".join(parts)))
    assert values.tolist() == [value for value, _ in cases]
    assert widths.tolist() == list(map(len, parts))


def test_bits_above_64_are_dropped() -> None:
    data = u8(b"\x85" + b"\x80" * 8 + b"\x7e")
    values, widths, minimal = decode_varints(data, np.array([0]), np.array([10]))
    assert (values.tolist(), widths.tolist(), minimal) == ([5], [10], False)
    assert read_varint_stream(data)[0].tolist() == [5]


ERRORS = {  # bytes, offset of the varint that is wrong, and the complaint
    "nothing": (b"", 0, "passes the end"),
    "cut": (b"\x80", 0, "passes the end"),
    "cut after ten": (b"\xff" * 10, 0, "passes ten bytes"),
    "eleven bytes": (b"\x80" * 10 + b"\x01", 0, "passes ten bytes"),
}


@pytest.mark.parametrize("case", ERRORS)
@pytest.mark.parametrize("n_before", [0, 3])
def test_decode_errors(case: str, n_before: int) -> None:
    bad, offset, complaint = ERRORS[case]
    parts = [varint(300)] * n_before + [bad]
    start = positions(parts)
    with pytest.raises(FormatError, match=complaint) as caught:
        decode_varints(u8(b"".join(parts)), start, start + list(map(len, parts)))
    assert caught.value.offset == offset + 2 * n_before
    assert str(caught.value).startswith(f"byte {offset + 2 * n_before}: ")


def test_decode_stops_at_the_end_of_the_message() -> None:
    data = u8(b"\x85\x01")
    assert decode_varints(data, np.array([0]), np.array([2]))[0].tolist() == [133]
    with pytest.raises(FormatError, match="passes the end"):
        decode_varints(data, np.array([0]), np.array([1]))


@pytest.mark.parametrize(
    ("stream", "offset", "complaint"),
    [
        (b"\x01\x80", 2, "cut at the end"),
        (b"\x80", 1, "cut at the end"),
        (b"\x01" + b"\x80" * 10 + b"\x01\x01", 1, "passes ten bytes"),
    ],
)
def test_stream_errors(stream: bytes, offset: int, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint) as caught:
        read_varint_stream(u8(stream))
    assert caught.value.offset == offset


# --- Windows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nbytes", [10, 11, 64, 1000, 10**6])
@pytest.mark.parametrize("n_values", [0, 1, 500])
def test_windows_end_between_varints(n_values: int, nbytes: int) -> None:
    generator = random.Random(n_values)
    parts = [varint(generator.choice(EDGES), generator.randint(1, 10)) for _ in range(n_values)]
    data = b"\xff" + b"".join(parts) + b"\xff"
    edges = {1, *(1 + np.cumsum([len(part) for part in parts])).tolist()}
    windows = varint_windows(u8(data), 1, len(data) - 1, nbytes)
    assert b"".join(data[a:b] for a, b in windows) == data[1:-1]
    assert all({a, b} <= edges and 0 < b - a <= nbytes for a, b in windows)
    assert all(b - a > nbytes - 10 for a, b in windows[:-1])


def test_windows_of_what_is_no_varint() -> None:
    data = u8(b"\x01" * 5 + b"\x80" * 30)
    with pytest.raises(FormatError, match="passes ten bytes") as caught:
        varint_windows(data, 0, len(data), 20)
    assert caught.value.offset == 10
