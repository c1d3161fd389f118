"""Records of protobuf messages, many messages at once, against one record at a time."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxroot._schema import Field, MessageType
from onnxroot._wire import MAX_DEPTH, Tokens, scan
from onnxroot.errors import FormatError
from tests.model_encodings import I32, I64, LEN, START_GROUP, VARINT, record, tag, varint

FIELDS = (
    (1, "int64", "optional"),
    (2, "string", "optional"),
    (3, "int64", "repeated"),
    (4, "float", "optional"),
    (5, "float", "packed"),
    (6, "double", "repeated"),
    (7, "Other", "repeated"),
    (15, "int32", "packed"),
    (16, "fixed32", "repeated"),
    (1000, "fixed64", "repeated"),
)

MESSAGE = MessageType(
    "Test",
    tuple(
        Field(name=f"f{number}", number=number, type=kind, label=label, code=code)
        for code, (number, kind, label) in enumerate(FIELDS)
    ),
)

BATCHES = (1, 47, 48, 200)
"""Numbers of messages around that from which on they are read in lock step."""


@dataclass(frozen=True)
class Record:
    """What `scan` must find: one of a message's records, by where it stands in it."""

    number: int
    wire_type: int
    start: int
    value_start: int
    stop: int
    value: int


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    width = 1 + next(i for i, byte in enumerate(data[at:]) if byte < 0x80)
    value = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(data[at : at + width]))
    return value % 2**64, at + width


def records_of(data: bytes) -> list[Record]:
    """Read a message one record at a time."""
    found, at = [], 0
    while at < len(data):
        start = at
        key, at = read_varint(data, at)
        value, value_start = 0, at
        match key & 7:
            case 0:
                value, at = read_varint(data, at)
            case 2:
                value, value_start = read_varint(data, at)
                at = value_start + value
            case 3:
                at = end_of_group(data, at)
            case wire_type:
                at += {I32: 4, I64: 8}[wire_type]
        found.append(Record(key >> 3, key & 7, start, value_start, at, value))
    return found


def end_of_group(data: bytes, at: int) -> int:
    """Return the end of a group, tag and all, whose content begins at `at`."""
    while True:
        key, behind = read_varint(data, at)
        if key & 7 == 4:
            return behind
        if key & 7 == START_GROUP:
            at = end_of_group(data, behind)
        elif key & 7 == VARINT:
            at = read_varint(data, behind)[1]
        elif key & 7 == LEN:
            value, at = read_varint(data, behind)
            at += value
        else:
            at = behind + {I32: 4, I64: 8}[key & 7]


def scanned(messages: Sequence[bytes]) -> tuple[list[list[Record]], bool]:
    """Scan messages that lie in one array with gaps; return the records of each."""
    data = b"\xff" + b"".join(message + b"\xff" for message in messages)
    length = np.array([len(message) for message in messages], np.int64)
    start = np.cumsum(length + 1) - length
    tokens, canonical = scan(np.frombuffer(data, np.uint8), start, start + length, MESSAGE.rules)
    return by_message(tokens, start), canonical


def by_message(tokens: Tokens, start: Any) -> list[list[Record]]:
    found: list[list[Record]] = [[] for _ in start]
    columns = (tokens.message, tokens.number, tokens.wire_type, tokens.tag_start)
    rest = (tokens.value_start, tokens.value_end, tokens.value)
    for message, number, wire_type, *positions, value in zip(
        *(column.tolist() for column in (*columns, *rest)), strict=True
    ):
        a, b, c = (position - int(start[message]) for position in positions)
        found[message].append(Record(number, wire_type, a, b, c, value))
    return found


# --- Messages of all kinds --------------------------------------------------------------------


def random_message(generator: random.Random) -> bytes:
    """Make a message of a few records, known and unknown, widths drawn as well."""
    parts = []
    for _ in range(generator.choice((0, 1, 1, 2, 3, 5, 30))):
        number, wire_types = generator.choice(
            [
                *((1, [VARINT]), (2, [LEN]), (3, [VARINT, LEN]), (4, [I32]), (5, [I32, LEN])),
                *((6, [I64, LEN]), (7, [LEN]), (15, [VARINT, LEN]), (16, [I32]), (1000, [I64])),
                *((number, [VARINT, LEN, I32, I64, START_GROUP]) for number in (8, 999, 2**29 - 1)),
            ]
        )
        parts.append(random_record(generator, number, generator.choice(wire_types)))
    return b"".join(parts)


def random_record(generator: random.Random, number: int, wire_type: int) -> bytes:
    widths = {"tag_width": generator.choice((None, None, None, 5))}
    if wire_type in {VARINT, LEN}:
        widths["width"] = generator.choice((None, None, None, 4))
    payload: int | bytes = generator.getrandbits(generator.choice((1, 7, 8, 32, 64)))
    if wire_type == LEN:
        payload = generator.randbytes(generator.choice((0, 1, 20, 200)))
    elif wire_type == START_GROUP:
        inner = generator.choices((VARINT, LEN, I32, I64, START_GROUP), k=generator.randrange(3))
        payload = b"".join(random_record(generator, 77, each) for each in inner)
    return record(number, wire_type, payload, **widths)


@pytest.mark.parametrize("n_messages", BATCHES)
def test_random_messages(n_messages: int) -> None:
    generator = random.Random(n_messages)
    messages = [random_message(generator) for _ in range(400)]
    for first in range(0, len(messages), n_messages):
        batch = messages[first : first + n_messages]
        assert scanned(batch)[0] == [records_of(message) for message in batch]


@given(st.lists(st.integers(0, 2**32), max_size=5), st.sampled_from(BATCHES))
def test_lock_step_finds_what_the_walk_finds(seeds: list[int], n_copies: int) -> None:
    messages = [random_message(random.Random(seed)) for seed in seeds]
    alone = [scanned([message]) for message in messages]
    together, canonical = scanned(messages * n_copies)
    assert together == [found for (found,), _ in alone] * n_copies
    assert canonical == all(flag for _, flag in alone)


def test_no_messages() -> None:
    assert scanned([]) == ([], True)
    assert scanned([b""] * 3) == ([[], [], []], True)


# --- The canonical form -----------------------------------------------------------------------

CANONICAL = {
    "empty": b"",
    "ascending": record(1, VARINT, 1) + record(2, LEN, b"x") + record(4, I32, 0),
    "repeated": record(3, VARINT, 1) + record(3, VARINT, 2) + record(7, LEN, b"") * 2,
    "packed": record(5, LEN, bytes(8)) + record(15, LEN, b"\x01\x02"),
    "large number": record(16, I32, 0) * 2 + record(1000, I64, 1) * 2,
}

DEVIATING = {
    "descending": record(2, LEN, b"x") + record(1, VARINT, 1),
    "singular twice": record(1, VARINT, 1) * 2,
    "packed twice": record(5, LEN, bytes(4)) * 2,
    "packed as unpacked": record(5, I32, 1),
    "unpacked as packed": record(3, LEN, b"\x01"),
    "unknown": record(8, VARINT, 1),
    "unknown between": record(1, VARINT, 1) + record(999, LEN, b"") + record(1000, I64, 1),
    "unknown behind": record(1, VARINT, 1) + record(1001, LEN, b""),
    "group": record(8, START_GROUP, record(1, VARINT, 1)),
    "overlong tag": record(1, VARINT, 1, tag_width=2),
    "overlong value": record(1, VARINT, 1, width=2),
    "overlong length": record(2, LEN, b"x", width=3),
    "overlong number with zero": record(1, VARINT, 0, width=10),
}


@pytest.mark.parametrize("n_messages", BATCHES)
@pytest.mark.parametrize("case", [*CANONICAL, *DEVIATING])
def test_what_is_canonical(case: str, n_messages: int) -> None:
    message = {**CANONICAL, **DEVIATING}[case]
    # One among canonical ones decides, wherever it stands.
    others = [record(1, VARINT, 5)] * (n_messages - 1)
    for batch in ([message, *others], [*others, message]):
        found, canonical = scanned(batch)
        assert canonical == (case in CANONICAL)
        assert found[batch.index(message)] == records_of(message)


def test_order_is_that_of_each_message() -> None:
    messages = [record(2, LEN, b"x"), record(1, VARINT, 1)] * 60
    assert scanned(messages)[1]


# --- Long runs of one field -------------------------------------------------------------------


def run_of(kind: int, n: int, seed: int = 1) -> bytes:
    """Make a run of an unpacked field, values of all widths."""
    generator = random.Random(seed)
    number = {VARINT: 3, I32: 5, I64: 6}[kind]
    return b"".join(
        record(number, kind, generator.getrandbits(generator.choice((1, 8, 30, 64))))
        for _ in range(n)
    )


@pytest.mark.parametrize("kind", [VARINT, I32, I64])
@pytest.mark.parametrize("n", [15, 16, 17, 18, 33, 15_000])
@pytest.mark.parametrize("tail", ["nothing", "other field", "wider tag", "again"])
def test_runs(kind: int, n: int, tail: str) -> None:
    message = run_of(kind, n)
    match tail:
        case "other field":
            message += record(7, LEN, b"abc") + record(2, LEN, b"")
        case "wider tag":
            message += record(3, VARINT, 1, tag_width=2) + record(1000, I64, 5) * 20
        case "again":
            message += record(1, VARINT, 7) + run_of(kind, n, seed=2)
    assert scanned([message])[0] == [records_of(message)]


def test_a_run_that_is_cut() -> None:
    message = run_of(I64, 1000)
    data = np.frombuffer(message, np.uint8)
    for n_missing in (1, 5, 8):
        with pytest.raises(FormatError, match="passes the end") as caught:
            scan(data, np.array([0]), np.array([len(data) - n_missing]), MESSAGE.rules)
        assert caught.value.offset == len(data) - 9


def test_a_run_with_an_overlong_value() -> None:
    message = run_of(VARINT, 1000)
    bad = message + tag(3, VARINT) + b"\x80" * 10 + b"\x01" + run_of(VARINT, 3)
    with pytest.raises(FormatError, match="passes ten bytes") as caught:
        scanned([bad])
    assert caught.value.offset == 1 + len(message) + 1


# --- Groups -----------------------------------------------------------------------------------


def nested_groups(depth: int) -> bytes:
    data = b""
    for level in range(depth):
        data = record(100 + level % 3, START_GROUP, data)
    return data


def test_groups_nest_to_the_limit() -> None:
    message = nested_groups(MAX_DEPTH)
    assert scanned([message])[0] == [records_of(message)]
    with pytest.raises(FormatError, match=f"groups nest deeper than {MAX_DEPTH}"):
        scanned([nested_groups(MAX_DEPTH + 1)])


# --- Errors -----------------------------------------------------------------------------------

END = tag(8, 4)
START = tag(8, START_GROUP)

ERRORS: dict[str, tuple[bytes, int, str]] = {  # message, offset in it, complaint
    "tag cut": (b"\x80", 0, "passes the end"),
    "tag over ten bytes": (b"\x88" + b"\x80" * 10 + b"\x00\x01", 0, "passes ten bytes"),
    "tag over 32 bits": (varint(2**35 | 8) + b"\x01", 0, "no such tag"),
    "field number 0": (b"\x00\x01", 0, r"no such tag \(field number 0, wire type 0\)"),
    "wire type 6": (b"\x0e\x01", 0, r"no such tag \(field number 1, wire type 6\)"),
    "wire type 7": (b"\x0f\x01", 0, r"no such tag \(field number 1, wire type 7\)"),
    "end of group without start": (END, 0, r"no such tag \(field number 8, wire type 4\)"),
    "no value": (tag(1, VARINT), 1, "passes the end"),
    "value cut": (tag(1, VARINT) + b"\x80\x80", 1, "passes the end"),
    "value over ten bytes": (tag(1, VARINT) + b"\x80" * 10 + b"\x01", 1, "passes ten bytes"),
    "no length": (tag(2, LEN), 1, "passes the end"),
    "string cut": (tag(2, LEN) + b"\x05abcd", 0, "passes the end"),
    "length over 64 bits": (tag(2, LEN) + varint(2**64 - 1), 0, "passes the end"),
    "length over 63 bits": (tag(2, LEN) + varint(2**63), 0, "passes the end"),
    "fixed32 cut": (tag(4, I32) + b"abc", 0, "passes the end"),
    "fixed64 cut": (tag(6, I64) + b"abcdefg", 0, "passes the end"),
    "varint as string": (record(1, LEN, b""), 0, "field 1 can't have wire type 2"),
    "string as varint": (record(2, VARINT, 1), 0, "field 2 can't have wire type 0"),
    "float as fixed64": (record(4, I64, 1), 0, "field 4 can't have wire type 1"),
    "packed float as varint": (record(5, VARINT, 1), 0, "field 5 can't have wire type 0"),
    "message as group": (record(7, START_GROUP, b""), 0, "field 7 can't have wire type 3"),
    "group without end": (START, 1, "no such tag"),
    "group cut": (START + tag(1, LEN) + b"\x05ab", 1, "passes the end"),
    "number in group cut": (START + tag(1, I64) + b"abc", 1, "passes the end"),
    "group with another end": (START + tag(9, 4), 1, r"field number 9, wire type 4\) in a group"),
    "field number 0 in group": (START + b"\x00\x01" + END, 1, "passes the end|no such tag"),
    "wire type 7 in group": (START + b"\x0f" + END, 1, "wire type 7"),
    "group ends twice": (START + END + END, 2, r"no such tag \(field number 8, wire type 4\)"),
}


@pytest.mark.parametrize("n_messages", BATCHES)
@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str, n_messages: int) -> None:
    bad, offset, complaint = ERRORS[case]
    head = record(3, VARINT, 300) * 2
    others = [record(3, VARINT, 1)] * (n_messages - 1)
    for message, at in ((bad, offset), (head + bad, len(head) + offset)):
        with pytest.raises(FormatError, match=complaint) as caught:
            scanned([*others, message])
        assert caught.value.offset == 1 + 3 * len(others) + at


@pytest.mark.parametrize("n_messages", BATCHES)
def test_a_record_ends_with_its_message(n_messages: int) -> None:
    """What follows the message would complete the record, but is not its own."""
    for whole in (record(1, VARINT, 300), record(2, LEN, b"abc"), record(4, I32, 1), START + END):
        message = record(3, VARINT, 1) + whole
        data = np.frombuffer(message * n_messages, np.uint8)
        start = np.arange(n_messages) * len(message)
        with pytest.raises(FormatError):
            scan(data, start, start + len(message) - 1, MESSAGE.rules)
