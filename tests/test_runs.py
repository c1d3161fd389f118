"""Long runs of one field, read and written at once, against one record at a time."""

import random
from itertools import accumulate

import numpy as np
import pytest

from onnxroot._runs import (
    Run,
    encode_fixed,
    encode_numbers,
    encode_texts,
    find_run,
    read_numbers,
    read_texts,
    starts_of,
)
from tests.model_encodings import I32, I64, LEN, VARINT, record, tag, varint

pytestmark = pytest.mark.usefixtures("both_twins")

NUMBER = 8
"""A field with a tag of one byte; those of `WIDE` have two."""
WIDE = 20

WIDTHS = {
    "one byte": [1],
    "two bytes": [2],
    "three bytes": [3],
    "ten bytes": [10],
    "one or two": [1, 2],
    "one to three": [1, 2, 3],
    "any": list(range(1, 11)),
}
SIZES = (1, 2, 500, 15_000)
"""Numbers of records; the largest need several windows."""


def numbers(widths: list[int], n: int) -> list[int]:
    """Return numbers whose varints have these widths."""
    generator = random.Random(n)
    out = []
    for _ in range(n):
        width = generator.choice(widths)
        low = 1 << 7 * (width - 1) if width > 1 else 0
        out.append(generator.randrange(low, min(1 << 7 * width, 1 << 64)))
    return out


def found_in(data: bytes, first: int, *, start: int = 0, stop: int | None = None) -> list[Run]:
    return list(find_run(np.frombuffer(data, np.uint8), start, stop or len(data), first))


def starts_in(data: bytes, first: int, start: int = 0) -> list[int]:
    runs = find_run(np.frombuffer(data, np.uint8), start, len(data), first, with_starts=True)
    return [place for run in runs for place in starts_of(run).tolist()]


def values_of(data: bytes, runs: list[Run], dtype: str = "<u8") -> list[int]:
    found = []
    for run in runs:
        values = np.empty(run.n_records, dtype)
        read_numbers(np.frombuffer(data, np.uint8), run, values)
        found += values.tolist()
    return found


def texts_of(data: bytes, runs: list[Run]) -> list[bytes]:
    found = []
    for run in runs:
        starts, lengths = np.empty((2, run.n_records), np.int64)
        read_texts(np.frombuffer(data, np.uint8), run, starts, lengths)
        found += [data[s : s + n] for s, n in zip(starts, lengths, strict=True)]
    return found


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("case", WIDTHS)
def test_numbers(case: str, n: int) -> None:
    values = numbers(WIDTHS[case], n)
    records = [record(NUMBER, VARINT, value) for value in values]
    head = tag(NUMBER, VARINT)
    found = encode_numbers(np.array(values, np.uint64), np.frombuffer(head, np.uint8))
    assert found.tobytes() == b"".join(records)
    data = b"\xff" + found.tobytes() + b"\x01"
    runs = found_in(data, head[0], start=1)
    assert values_of(data, runs) == values
    assert starts_in(data, head[0], 1) == list(accumulate(map(len, records), initial=1))[:-1]
    assert runs[-1].stop == 1 + len(found)
    assert all(run.minimal for run in runs)


@pytest.mark.parametrize("case", WIDTHS)
@pytest.mark.parametrize("head", [b"", tag(WIDE, VARINT)], ids=["packed", "wide tag"])
def test_numbers_with_other_tags(head: bytes, case: str) -> None:
    values = numbers(WIDTHS[case], 500)
    found = encode_numbers(np.array(values, np.uint64), np.frombuffer(head, np.uint8))
    assert found.tobytes() == b"".join(head + varint(value) for value in values)


@pytest.mark.parametrize("kind", [I32, I64])
@pytest.mark.parametrize("n", SIZES)
def test_values_of_fixed_width(kind: int, n: int) -> None:
    dtype = np.dtype({I32: "<f4", I64: "<u8"}[kind])
    bits = np.random.default_rng(n).integers(0, 256, n * dtype.itemsize, np.uint8)
    for number in (NUMBER, WIDE):
        head = np.frombuffer(tag(number, kind), np.uint8)
        records = [record(number, kind, value.tobytes()) for value in bits.view(dtype)]
        assert encode_fixed(bits.view(dtype), head).tobytes() == b"".join(records)
    data = b"".join(record(NUMBER, kind, value.tobytes()) for value in bits.view(dtype))
    runs = found_in(data + b"\x00", tag(NUMBER, kind)[0])
    unsigned = f"<u{dtype.itemsize}"
    assert values_of(data, runs, unsigned) == bits.view(unsigned).tolist()
    assert starts_in(data, tag(NUMBER, kind)[0]) == list(range(0, len(data), 1 + dtype.itemsize))


TEXTS = {
    "two": [b"BRANCH_LEQ", b"LEAF"],
    "empty": [b"", b"x"],
    "tags within": [b"J\x04J\x04", b"JJJJ", b"LEAF", b"x" * 127],
    "many": [b"y" * i for i in range(128)],
}


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("case", TEXTS)
def test_texts(case: str, n: int) -> None:
    texts = random.Random(n).choices(TEXTS[case], k=n)
    head = tag(9, LEN)
    assert head == b"J"
    data = b"".join(record(9, LEN, text) for text in texts)
    lengths = np.array([len(text) for text in texts], np.int64)
    values = np.frombuffer(b"".join(texts), np.uint8)
    assert encode_texts(lengths, values, np.frombuffer(head, np.uint8)).tobytes() == data
    runs = found_in(data + b"\x08\x01", head[0])
    assert texts_of(data, runs) == texts
    before = accumulate((2 + len(text) for text in texts), initial=0)
    assert starts_in(data + b"\x08\x01", head[0]) == list(before)[:-1]
    assert runs[-1].stop == len(data)


def test_long_texts() -> None:
    """A reader leaves them to others: their lengths have several bytes."""
    texts = [b"a", b"b" * 300, b"c" * 20_000]
    data = b"".join(record(WIDE, LEN, text) for text in texts)
    lengths = np.array([len(text) for text in texts], np.int64)
    head = np.frombuffer(tag(WIDE, LEN), np.uint8)
    assert encode_texts(lengths, np.frombuffer(b"".join(texts), np.uint8), head).tobytes() == data
    data = b"".join(record(9, LEN, text) for text in texts)
    assert texts_of(data, found_in(data, ord("J"))) == texts[:1]


def test_nothing() -> None:
    empty = np.empty(0, np.uint8)
    assert encode_numbers(empty.astype(np.uint64), empty).tolist() == []
    assert encode_fixed(empty.astype(np.float32), empty).tolist() == []
    assert encode_texts(empty.astype(np.int64), empty, empty).tolist() == []


ENDS = {
    "another field": record(7, VARINT, 5),
    "a wider tag": record(NUMBER, VARINT, 5, tag_width=2),
    "a cut value": tag(NUMBER, VARINT) + b"\x80\x80",
    "a tag alone": tag(NUMBER, VARINT),
    "an overlong value": tag(NUMBER, VARINT) + b"\x80" * 10 + b"\x01",
    "noise": b"\xff" * 30,
}


@pytest.mark.parametrize("n", [0, 1, 100, 15_000])
@pytest.mark.parametrize("case", ENDS)
@pytest.mark.parametrize("widths", [[1], [2], [1, 2]], ids=str)
def test_what_ends_a_run(widths: list[int], case: str, n: int) -> None:
    values = numbers(widths, n)
    data = b"".join(record(NUMBER, VARINT, value) for value in values)
    data += ENDS[case]
    runs = found_in(data, tag(NUMBER, VARINT)[0])
    assert values_of(data, runs) == values
    assert (runs[-1].stop if runs else 0) == len(data) - len(ENDS[case])


def test_the_end_of_the_message_ends_a_run() -> None:
    for kind, value in ((VARINT, 300), (I32, b"abcd"), (I64, b"abcdefgh"), (LEN, b"abc")):
        one = record(NUMBER, kind, value)
        for n_missing in range(1, len(one)):
            stop = 100 * len(one) - n_missing
            runs = found_in(one * 200, tag(NUMBER, kind)[0], stop=stop)
            assert runs[-1].stop == 99 * len(one)
            assert sum(run.n_records for run in runs) == 99


@pytest.mark.parametrize("n_before", [0, 5000])
@pytest.mark.parametrize("n_behind", [0, 5000])
@pytest.mark.parametrize(
    ("bad", "value"),
    [(varint(5, 2), 5), (varint(5, 10), 5), (b"\xff" * 9 + b"\x03", 2**64 - 1)],
    ids=["a zero behind", "nine zeros behind", "too many bits"],
)
def test_what_is_not_minimal(bad: bytes, value: int, n_before: int, n_behind: int) -> None:
    """It is a part of the run, which says so: 66 bits are 64, as protobuf has it."""
    good = record(NUMBER, VARINT, 300)
    data = good * n_before + tag(NUMBER, VARINT) + bad + good * n_behind
    runs = found_in(data, 8 * NUMBER)
    assert values_of(data, runs) == [300] * n_before + [value] + [300] * n_behind
    assert [run.minimal for run in runs].count(False) == 1
