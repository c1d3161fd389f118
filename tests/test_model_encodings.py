"""The random models and encodings themselves, with protobuf as the judge."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import onnx
import pytest
from hypothesis import given

from tests.model_encodings import (
    DEVIATIONS,
    EXTERNAL,
    I32,
    I64,
    LEN,
    ROOT,
    SCHEMA,
    START_GROUP,
    TENSOR,
    VARINT,
    Deviations,
    EncodedModel,
    Field,
    Message,
    SeededSource,
    canonical,
    canonical_encodings,
    encode,
    encoded_models,
    encodings,
    random_model,
    random_model_bytes,
    record,
    split_records,
    swap_pair,
    tag,
    varint,
    walk,
    without_unknown_enum_values,
)

pytestmark = pytest.mark.sweep

N_SEEDS = 2000
FILES = {"weights.bin": 100, "empty.bin": 0}
KINDS = [kind for kind in DEVIATIONS if kind != "bool_above_one"]
"""ONNX has no bool field."""


def reserialized(data: bytes, *, keep_unknown: bool) -> bytes:
    """Send bytes through protobuf; the result compares NaNs too, unlike protobuf's messages."""
    model = onnx.ModelProto.FromString(data)
    if not keep_unknown:
        model.DiscardUnknownFields()
    return bytes(model.SerializeToString(deterministic=True))


def check(model: EncodedModel) -> None:
    """Compare what protobuf reads in an encoding with the content that it was made from."""
    plain = canonical(model.content)
    known = canonical(without_unknown_enum_values(model.content))
    assert reserialized(model.data, keep_unknown=False) == known
    if plain == known:
        assert reserialized(plain, keep_unknown=True) == plain
    else:
        # Protobuf moves enum values that it doesn't list behind the known fields.
        assert reserialized(plain, keep_unknown=False) == known
    assert (model.data != plain) == bool(model.used)


@cache
def models() -> tuple[EncodedModel, ...]:
    """Make the models that the coverage tests share."""
    return tuple(random_model(seed) for seed in range(N_SEEDS))


def fields() -> Iterator[tuple[Message, Field, str]]:
    """Yield every field of those models, with its message and its kind."""
    for model in models():
        for message in walk(model.content):
            for field in message.fields:
                yield message, field, SCHEMA[message.type].by_number[field.number].kind


# --- Against protobuf -------------------------------------------------------------------------


@given(encoded_models())
def test_protobuf_reads_the_content_back(model: EncodedModel) -> None:
    check(model)


@given(encodings())
def test_encodings_are_bytes_that_protobuf_reads(data: bytes) -> None:
    onnx.ModelProto.FromString(data)


@given(canonical_encodings())
def test_canonical_encodings_come_back_from_protobuf(data: bytes) -> None:
    # As long, in any case: unknown enum values change places only.
    assert len(reserialized(data, keep_unknown=True)) == len(data)


def test_protobuf_reads_seeded_models_back() -> None:
    for model in models():
        check(model)


@pytest.mark.parametrize("kind", KINDS)
def test_each_deviation_alone(kind: str) -> None:
    used: Counter[str] = Counter()
    for seed in range(60):
        content = random_model(seed).content
        model = encode(content, Deviations(SeededSource(seed), [kind]))
        check(model)
        used += model.used
    assert set(used) == {kind}


# --- Coverage ---------------------------------------------------------------------------------


def test_schema_holds_every_message_type_of_onnx() -> None:
    names: set[str] = set()
    waiting: list[Any] = [*onnx.ModelProto.DESCRIPTOR.file.message_types_by_name.values()]
    while waiting:
        message = waiting.pop()
        names.add(message.full_name)
        waiting += message.nested_types
    assert set(SCHEMA) == names


def test_every_field_of_every_message_type_occurs() -> None:
    found = {(message.type, field.number) for message, field, _ in fields()}
    wanted = {(name, number) for name, type_ in SCHEMA.items() for number in type_.by_number}
    assert found == wanted


def test_every_message_type_occurs_empty() -> None:
    found = {message.type for m in models() for message in walk(m.content) if not message.fields}
    assert found == set(SCHEMA)


def test_every_deviation_occurs() -> None:
    models_with = Counter(kind for model in models() for kind in model.used)
    assert set(models_with) == set(KINDS)
    assert min(models_with.values()) > N_SEEDS // 100
    assert sum(not model.used for model in models()) > N_SEEDS // 10


def test_awkward_values_occur() -> None:
    values: dict[str, set[int | bytes]] = {}
    for _, field, kind in fields():
        if not isinstance(field.value, Message):
            values.setdefault(kind, set()).add(field.value)
    assert values["float"] >= {0, 0x80000000, 0x7F800001, 0xFFA54321}
    assert values["double"] >= {0, 1 << 63, 0x7FF0000000000001}
    assert values["int32"] >= {0, -1, -(2**31), 2**31 - 1}
    assert values["int64"] >= {0, -1, -(2**63), 2**63 - 1}
    assert values["uint64"] >= {0, 2**64 - 1}
    assert values["string"] >= {b"", b"\xff\xfe\x80"}
    assert {value in range(20) for value in values["enum"]} == {True, False}
    assert {value in range(-(2**31), 0) for value in values["enum"]} == {True, False}


def test_every_data_type_occurs_and_unknown_ones() -> None:
    number = SCHEMA[TENSOR].named("data_type").number
    found = {f.value for message, f, _ in fields() if (message.type, f.number) == (TENSOR, number)}
    known = set(onnx.TensorProto.DataType.values())
    assert found > known


def test_empty_and_deep_models_occur() -> None:
    def depth(message: Message) -> int:
        inner = [depth(f.value) for f in message.fields if isinstance(f.value, Message)]
        return 1 + max(inner, default=0)

    depths = Counter(depth(model.content) for model in models())
    assert b"" in {model.data for model in models()}
    assert max(depths) > 40


def test_models_stay_small() -> None:
    sizes = sorted(len(model.data) for model in models())
    assert sizes[N_SEEDS // 2] < 1500
    assert sizes[N_SEEDS * 9 // 10] < 5000
    assert sizes[-1] < 100_000


# --- External data ----------------------------------------------------------------------------


def external_entries(content: Message) -> Iterator[dict[str, str]]:
    """Yield the external_data of each EXTERNAL tensor."""
    schema = SCHEMA[TENSOR]
    for message in walk(content):
        if Field(schema.named("data_location").number, EXTERNAL) in message.fields:
            assert message.type == TENSOR
            tensor = onnx.TensorProto.FromString(canonical(message))
            yield {entry.key: entry.value for entry in tensor.external_data}


def test_no_tensor_is_external_unless_asked() -> None:
    assert not any(entries for model in models() for entries in external_entries(model.content))


def test_external_tensors_lie_inside_their_files() -> None:
    found = Counter(
        entries["location"]
        for seed in range(300)
        for entries in external_entries(random_model(seed, external_files=FILES).content)
        if int(entries["offset"]) + int(entries["length"]) <= FILES[entries["location"]]
    )
    total = sum(
        1
        for seed in range(300)
        for _ in external_entries(random_model(seed, external_files=FILES).content)
    )
    assert set(found) == set(FILES)
    assert found.total() == total


# --- Seeds ------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_model_again() -> None:
    assert [random_model_bytes(seed) for seed in range(50)] == [
        model.data for model in models()[:50]
    ]


def test_seeds_give_different_models() -> None:
    assert len({model.data for model in models()}) > N_SEEDS * 9 // 10


def test_without_kinds_the_encoding_is_canonical() -> None:
    for seed in range(50):
        model = random_model(seed, kinds=())
        assert model.data == canonical(model.content)


# --- The wire by hand -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (varint(0), "00"),
        (varint(127), "7f"),
        (varint(300), "ac02"),
        (varint(1, 3), "818000"),
        (varint(300, 1), "ac02"),
        (varint(2**64 - 1), "ffffffffffffffffff01"),
        (tag(1, VARINT), "08"),
        (tag(1, LEN, 5), "8a80808000"),
        (tag(2**29 - 1, I32), "fdffffff0f"),
        (record(1, VARINT, 5), "0805"),
        (record(1, VARINT, -1), "08ffffffffffffffffff01"),
        (record(1, VARINT, 5, tag_width=2, width=3), "8800858000"),
        (record(2, LEN, b"ab"), "12026162"),
        (record(2, LEN, b"ab", width=2), "1282006162"),
        (record(2, I32, 1), "1501000000"),
        (record(2, I64, b"12345678"), "113132333435363738"),
        (record(2, START_GROUP, record(1, VARINT, 0)), "13080014"),
    ],
)
def test_varint_tag_and_record(made: bytes, expected: str) -> None:
    assert made.hex() == expected


def test_split_records_and_swap_pair() -> None:
    group = record(9, START_GROUP, record(9, START_GROUP, b"") + record(1, LEN, b"abc"))
    parts = [record(1, VARINT, 300), record(2, LEN, b"ab"), group, record(3, I32, 7)]
    parts.append(record(4, I64, 7, tag_width=5))
    assert split_records(b"".join(parts)) == parts
    assert swap_pair(b"".join(parts), 1) == b"".join([parts[0], parts[2], parts[1], *parts[3:]])


def test_canonical_of_hand_made_content() -> None:
    content = Message(ROOT, (Field(1, 10), Field(7, Message("onnx.GraphProto", (Field(2, b"g"),)))))
    assert canonical(content) == record(1, VARINT, 10) + record(7, LEN, record(2, LEN, b"g"))
