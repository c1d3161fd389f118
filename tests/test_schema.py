"""The codec knows protobuf, not ONNX: any scalar type, any label, from any schema."""

import random
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from onnxroot._deviation import dissect
from onnxroot._join import join
from onnxroot._schema import EXTERNAL_TYPE, Schema, _row, installed_schema
from onnxroot._spec import EXTERNAL_SEGMENT
from onnxroot.errors import FormatError
from onnxroot.tables import Tables
from tests.model_encodings import DEVIATIONS, split_records

Proto = descriptor_pb2.FieldDescriptorProto

INTEGERS = {
    **dict.fromkeys(("int32", "sint32", "sfixed32", "enum"), (-(2**31), 2**31 - 1)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), (-(2**63), 2**63 - 1)),
    **dict.fromkeys(("uint32", "fixed32"), (0, 2**32 - 1)),
    **dict.fromkeys(("uint64", "fixed64"), (0, 2**64 - 1)),
    "bool": (0, 1),
}

KINDS = (*INTEGERS, "float", "double", "string", "bytes")

LABELS = ("optional", "repeated", "packed")

FIELDS = [
    (kind, label)
    for kind in KINDS
    for label in LABELS
    if label != "packed" or kind not in {"string", "bytes"}
]
"""Field n is number n, from 1 on; those from 16 on have tags of two bytes."""


def make_class() -> Any:
    """Make protobuf's class of a message with all these fields."""
    file = descriptor_pb2.FileDescriptorProto(name="kinds.proto", package="kinds", syntax="proto2")
    file.enum_type.add(name="E").value.add(name="ZERO", number=0)
    message = file.message_type.add(name="ModelProto")
    for number, (kind, label) in enumerate(FIELDS, start=1):
        field = message.field.add(name=f"{kind}_{label}", number=number)
        field.type = Proto.TYPE_INT32 if kind == "enum" else getattr(Proto, f"TYPE_{kind.upper()}")
        field.label = Proto.LABEL_OPTIONAL if label == "optional" else Proto.LABEL_REPEATED
        field.options.packed = label == "packed"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("kinds.ModelProto"))


MESSAGE = make_class()

SCHEMA = Schema.from_json(
    {
        "ModelProto": [
            [number, f"{kind}_{label}", kind, label]
            for number, (kind, label) in enumerate(FIELDS, start=1)
        ],
        EXTERNAL_SEGMENT: [list(row[:4]) for row in EXTERNAL_TYPE],
    }
)


def value_of(kind: str, generator: random.Random) -> Any:
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        return generator.choice((low, high, 0, 1, generator.randint(low, high)))
    if kind in {"float", "double"}:
        return generator.choice((0.0, -0.0, 1.5, float("inf")))
    size = generator.choice((0, 1, 200))
    return "x" * size if kind == "string" else generator.randbytes(size)


def taken_apart(data: bytes) -> tuple[Tables, bytes]:
    tables, buffers = dissect(np.frombuffer(data, np.uint8), SCHEMA)
    document = join(tables, buffers)
    return tables, document.render(0, document.nbytes).tobytes()


@pytest.mark.parametrize("seed", range(20))
def test_every_scalar_type(seed: int) -> None:
    generator = random.Random(seed)
    message, expected = MESSAGE(), {}
    for kind, label in FIELDS:
        name = f"{kind}_{label}"
        if label == "optional" and generator.random() < 0.8:
            setattr(message, name, value_of(kind, generator))
            expected[name] = getattr(message, name)
        elif label != "optional":
            values = [value_of(kind, generator) for _ in range(generator.randrange(4))]
            getattr(message, name).extend(values)
            if values:
                expected[name] = list(getattr(message, name))
    data = message.SerializeToString(deterministic=True)
    tables, again = taken_apart(data)
    assert again == data
    assert tables.deviation == b""
    columns = tables.tables["ModelProto"].columns
    for name, value in expected.items():
        if "bytes" in name:
            joined = value if isinstance(value, bytes) else b"".join(value)
            assert columns[name].values.tobytes() == joined
        else:
            assert columns[name].to_list() == [value]


@pytest.mark.parametrize("seed", range(10))
def test_records_in_any_order(seed: int) -> None:
    generator = random.Random(seed)
    message = MESSAGE()
    for kind, label in FIELDS:
        if label == "optional":
            setattr(message, f"{kind}_{label}", value_of(kind, generator))
        else:
            values = [value_of(kind, generator) for _ in range(generator.randrange(4))]
            getattr(message, f"{kind}_{label}").extend(values)
    records = split_records(message.SerializeToString())
    generator.shuffle(records)
    data = b"".join(records)
    tables, again = taken_apart(data)
    assert again == data
    assert tables.deviation != b""


def test_the_schema_of_the_installed_onnx() -> None:
    schema = installed_schema()
    for name in ("ModelProto", "TensorProto", "TypeProto_Tensor", "TensorShapeProto_Dimension"):
        fields = schema[name].by_name
        proto = onnx
        for part in name.split("_"):
            proto = getattr(proto, part)
        assert {f.name: f.number for f in proto.DESCRIPTOR.fields} == {
            field.name: field.number for field in fields.values()
        }
    assert schema["TensorProto"].by_name["float_data"].label == "packed"
    assert schema["AttributeProto"].by_name["ints"].label == "repeated"
    assert Schema.from_json(schema.to_json()).to_json() == schema.to_json()
    assert [field.code for _, field in schema.fields] == list(range(len(schema.fields)))


def test_a_group_cannot_be_stored() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="groups.proto", package="groups")
    message = file.message_type.add(name="M")
    message.nested_type.add(name="G")
    message.field.add(
        name="g",
        number=1,
        type=Proto.TYPE_GROUP,
        label=Proto.LABEL_OPTIONAL,
        type_name=".groups.M.G",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    (field,) = pool.FindMessageTypeByName("groups.M").fields
    with pytest.raises(FormatError, match=r"groups\.M\.g is a group"):
        _row(field)


def test_bool_above_one_is_a_deviation() -> None:
    """The one deviation that the models of onnx cannot have: they have no bool field."""
    assert "bool_above_one" in DEVIATIONS
    data = MESSAGE(bool_optional=True).SerializeToString()[:-1] + b"\x05"
    tables, again = taken_apart(data)
    assert again == data
    assert tables.tables["ModelProto"].columns["bool_optional"].to_list() == [1]
    assert tables.deviation
