"""Random ONNX models, and random encodings of them, to try the codec on.

Three layers, none of which uses protobuf's own messages:

1. *Content*: `Message` and `Field`, what a parser reports once it has merged and overridden.
   `Contents` draws it over every message type that the installed onnx package can reach from
   ModelProto.
2. *Scattering*: the same content with overridden scalars, submessages in pieces, alternating
   oneof members and unknown fields: what stands in the file, but as values yet.
3. *Encoding*: those values as bytes. Without deviations this is the canonical form: fields
   ascending by number, minimal varints, packed where the schema says so, nothing unknown.

Everything random comes from a `Source`: Hypothesis' draws, which shrink, or a seeded generator,
which is ten times faster. For both, smaller numbers mean simpler models.
"""

import random
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeAlias, TypeVar

import onnx
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from hypothesis import strategies as st

T = TypeVar("T")

ROOT = "onnx.ModelProto"
TENSOR = "onnx.TensorProto"
EXTERNAL = 1
"""TensorProto.DataLocation.EXTERNAL."""

VARINT, I64, LEN, START_GROUP, END_GROUP, I32 = range(6)
"""Protobuf's wire types."""

MAX_FIELD_NUMBER = 2**29 - 1
MAX_DEPTH = 64
"""Of submessages; protobuf's own limit is 100, unknown groups included."""

WIRE_TYPE_OF_KIND = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "bool", "enum"), VARINT),
    **dict.fromkeys(("double", "fixed64", "sfixed64"), I64),
    **dict.fromkeys(("string", "bytes", "message"), LEN),
    **dict.fromkeys(("float", "fixed32", "sfixed32"), I32),
}

DEVIATIONS: dict[str, str] = {
    "reordered": "fields out of the order of their numbers, or interleaved",
    "overlong_value": "a varint value in more bytes than it needs, up to 10",
    "overlong_tag": "a tag in more bytes than it needs, up to 5",
    "overlong_length": "a length in more bytes than it needs, up to 5",
    "short_negative": "a negative int32 or enum in 5 bytes rather than 10",
    "high_bits": "set bits that the field's type drops: above 32, or above 64 in the tenth byte",
    "bool_above_one": "true as another number than 1",
    "repacked": "a packed field unpacked, or an unpacked one packed",
    "split_packed": "one list in several records, packed ones and unpacked ones mixed",
    "empty_packed": "a packed record without elements",
    "overridden": "a singular scalar given more than once",
    "in_pieces": "a singular submessage given in pieces, to be merged",
    "oneof_alternating": "other members of the oneof before the one that counts",
    "unknown_field": "fields that the schema doesn't have, of wire types 0, 1, 2 and 5",
    "unknown_group": "unknown groups, nested ones too",
}
"""Every way in which an encoding may differ from the canonical one."""


# --- The schema, from onnx's descriptors ------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldType:
    """One field of a message type."""

    number: int
    name: str
    kind: str
    """Protobuf's name of the type: `int32`, `string`, `message` ..."""
    repeated: bool
    packed: bool
    oneof: str | None
    message: str | None
    """Full name of the submessage's type."""
    enum_values: tuple[int, ...]

    @property
    def wire_type(self) -> int:
        """The wire type of one value."""
        return WIRE_TYPE_OF_KIND[self.kind]

    @property
    def packable(self) -> bool:
        """Whether several values may share one record."""
        return self.repeated and self.wire_type != LEN

    @property
    def stream(self) -> object:
        """What this field must keep its order with: itself, or its whole oneof."""
        return self.oneof or self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageType:
    """One message type; fields ascend by number."""

    name: str
    by_number: Mapping[int, FieldType]

    @property
    def fields(self) -> tuple[FieldType, ...]:
        """All fields."""
        return tuple(self.by_number.values())

    def named(self, name: str) -> FieldType:
        """Return the field of that name."""
        return next(field for field in self.fields if field.name == name)


def _read_schema() -> dict[str, MessageType]:
    """Read the message types that ModelProto can hold, at any depth."""
    file = FileDescriptorProto()
    onnx.ModelProto.DESCRIPTOR.file.CopyToProto(file)
    messages: dict[str, Any] = {}
    enums: dict[str, tuple[int, ...]] = {}

    def collect(scope: str, holder: Any) -> None:
        for enum in holder.enum_type:
            enums[f"{scope}.{enum.name}"] = tuple(value.number for value in enum.value)
        nested = holder.message_type if holder is file else holder.nested_type
        for message in nested:
            messages[f"{scope}.{message.name}"] = message
            collect(f"{scope}.{message.name}", message)

    def field_type(owner: Any, field: Any) -> FieldType:
        kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        if kind not in WIRE_TYPE_OF_KIND:
            raise NotImplementedError(f"{owner.name}.{field.name}: no encoder for {kind}")
        type_name = field.type_name.removeprefix(".")
        return FieldType(
            number=field.number,
            name=field.name,
            kind=kind,
            repeated=field.label == FieldDescriptorProto.LABEL_REPEATED,
            packed=field.options.packed,
            oneof=owner.oneof_decl[field.oneof_index].name
            if field.HasField("oneof_index")
            else None,
            message=type_name if kind == "message" else None,
            enum_values=enums[type_name] if kind == "enum" else (),
        )

    collect(file.package, file)
    schema: dict[str, MessageType] = {}
    waiting = deque([ROOT])
    while waiting:
        name = waiting.popleft()
        if name not in schema:
            fields = sorted(messages[name].field, key=lambda field: field.number)
            types = {field.number: field_type(messages[name], field) for field in fields}
            schema[name] = MessageType(name=name, by_number=types)
            waiting.extend(field.message for field in types.values() if field.message)
    return schema


SCHEMA = _read_schema()
"""Every message type reachable from ModelProto, by full name."""


@cache
def _route(start: str, end: str) -> tuple[FieldType, ...] | None:
    """Find the shortest chain of one or more fields from one message type to another."""
    seen: set[str] = set()
    waiting: deque[tuple[str, tuple[FieldType, ...]]] = deque([(start, ())])
    while waiting:
        name, route = waiting.popleft()
        for field in SCHEMA[name].fields:
            if field.message == end:
                return (*route, field)
            if field.message and field.message not in seen:
                seen.add(field.message)
                waiting.append((field.message, (*route, field)))
    return None


# --- Content ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """A message: fields ascending by number, one entry per element of a repeated field."""

    type: str
    fields: "tuple[Field, ...]"


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a field: floats are bit patterns, strings are bytes."""

    number: int
    value: int | bytes | Message


@dataclass(frozen=True, slots=True)
class UnknownField:
    """A field outside the schema; the value of a group is a tuple of such fields."""

    number: int
    wire_type: int
    value: "int | bytes | tuple[UnknownField, ...]"


@dataclass(frozen=True, slots=True)
class Scattered:
    """A message as it stands in a file: overridden and unknown entries too, merging undone."""

    type: str
    entries: "tuple[Entry, ...]"


@dataclass(frozen=True, slots=True)
class ScatteredField:
    """One value of a scattered message."""

    number: int
    value: int | bytes | Scattered


Entry: TypeAlias = "ScatteredField | UnknownField"


def without_unknown_enum_values(message: Message) -> Message:
    """Drop the enum values that the schema doesn't list: to a parser those are unknown fields."""

    def kept(field: Field) -> bool:
        field_type = SCHEMA[message.type].by_number[field.number]
        return field_type.kind != "enum" or field.value in field_type.enum_values

    return Message(
        message.type,
        tuple(
            Field(field.number, without_unknown_enum_values(field.value))
            if isinstance(field.value, Message)
            else field
            for field in message.fields
            if kept(field)
        ),
    )


def walk(message: Message) -> Iterator[Message]:
    """Yield a message and everything inside it."""
    yield message
    for field in message.fields:
        if isinstance(field.value, Message):
            yield from walk(field.value)


# --- Randomness -------------------------------------------------------------------------------


class Source(Protocol):
    """Where choices come from; the simplest choice is the lowest."""

    def integer(self, low: int, high: int) -> int:
        """Choose from low to high, both included."""

    def blob(self, size: int) -> bytes:
        """Choose that many bytes."""


class SeededSource:
    """Choices of a pseudo-random generator: fast, for long runs."""

    def __init__(self, seed: int) -> None:
        """Start from a seed."""
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        """Choose from low to high, both included."""
        # randint costs four times as much, and most of this module's time is spent here.
        return low + int(self._random.random() * (high - low + 1))

    def blob(self, size: int) -> bytes:
        """Choose that many bytes."""
        return self._random.randbytes(size)


@cache
def _integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


@cache
def _blobs(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


class DrawnSource:
    """Choices of Hypothesis: slower, but a failure shrinks to a small model."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        """Choose with the function that `st.composite` hands out."""
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        """Choose from low to high, both included."""
        return int(self._draw(_integers(low, high)))

    def blob(self, size: int) -> bytes:
        """Choose that many bytes."""
        return bytes(self._draw(_blobs(size)))


def _choose(source: Source, options: Sequence[T]) -> T:
    return options[source.integer(0, len(options) - 1)]


def _several(source: Source, odds: int, most: int) -> Iterator[None]:
    """Go round about `odds` times; unlike a number drawn first, one round alone can shrink away."""
    for _ in range(most):
        if source.integer(0, odds) == 0:
            return
        yield


def _bits(source: Source, n_bits: int) -> int:
    """Choose n bits; unlike `integer`, exact for 64 of them from a seeded source too."""
    blob = source.blob((n_bits + 7) // 8)
    return int.from_bytes(blob, "little") & ((1 << n_bits) - 1)


# --- Random content ---------------------------------------------------------------------------

STRINGS = (
    b"x",
    b"",
    b"weight",
    b"Conv",
    b"ai.onnx.ml",
    b"/layer.1/MatMul_output_0",
    "größe_µ_重み".encode(),
    b"a\x00b",
    b"\xff\xfe\x80",  # not UTF-8
    b"\xed\xa0\x80",  # a lone surrogate, which is not UTF-8 either
    b"location",
    b"conv1.weight." * 16,
)
INTEGERS = (
    *(0, 1, 2, 3, -1, 7, 64, 127, 128, -128, 255, 16383, 16384, 2**21, 2**28),
    *(2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**32, 2**35, 2**56),
    *(2**63 - 1, -(2**63), 2**63, 2**64 - 1),
)
INTEGER_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
    "bool": (0, 1),
}
INTEGERS_OF_KIND = {
    kind: tuple(value for value in INTEGERS if low <= value <= high)
    for kind, (low, high) in INTEGER_RANGES.items()
}
FLOATS = (
    *(0x00000000, 0x3F800000, 0x80000000, 0x7F800000, 0xFF800000, 0x00000001),  # 0, 1, -0, inf...
    *(0x7FC00000, 0xFFC00000, 0x7FC12345, 0x7F800001, 0xFFA54321),  # NaNs; the last two signal
)
DOUBLES = (
    *(0x0000000000000000, 0x3FF0000000000000, 0x8000000000000000, 0x7FF0000000000000),
    *(0xFFF0000000000000, 0x0000000000000001, 0x7FF8000000000000, 0xFFF8000000012345),
    *(0x7FF0000000000001, 0xFFF4000000054321),
)
DATA_TYPE_FIELDS = {"data_type", "elem_type", "key_type"}
TYPED_FIELDS = {
    **dict.fromkeys(("FLOAT", "COMPLEX64"), "float_data"),
    **dict.fromkeys(("DOUBLE", "COMPLEX128"), "double_data"),
    **dict.fromkeys(("UINT32", "UINT64"), "uint64_data"),
    "INT64": "int64_data",
    "STRING": "string_data",
}
"""TensorProto's typed field for a data type; int32_data for all others."""


def _data_type_bits(name: str) -> int:
    """Return the width of one element, which is in all but three names."""
    digits = re.search(r"\d+", name)
    return {"FLOAT": 32, "DOUBLE": 64, "BOOL": 8}.get(name, int(digits[0]) if digits else 0)


class Contents:
    """Draw the content of one model.

    Args:
        source: Of the choices.
        budget: About how many messages to make.
        external_files: File names and sizes that external tensors may refer to; when empty, no
            tensor is EXTERNAL.
        unknown_enum_values: Whether an enum may hold a value that its type doesn't list.
    """

    def __init__(
        self,
        source: Source,
        *,
        budget: int = 24,
        external_files: Mapping[str, int] | None = None,
        unknown_enum_values: bool = False,
    ) -> None:
        """Keep the options."""
        self._source = source
        self._budget = budget
        self._files = dict(external_files or {})
        self._unknown_enum_values = unknown_enum_values

    def model(self) -> Message:
        """Draw a ModelProto; now and then an empty one."""
        if self._source.integer(0, 49) == 0:
            return Message(ROOT, ())
        return self._message(ROOT, self._path(), 1)

    def message(self, name: str) -> Message:
        """Draw a message of any type."""
        return self._message(name, (), 1)

    def scalar(self, field: FieldType) -> int | bytes:
        """Draw one value of a field that is no message."""
        source = self._source
        if field.kind in ("string", "bytes"):
            return self._string(field.kind)
        if field.kind in ("float", "double", "fixed32", "fixed64", "sfixed32", "sfixed64"):
            return self._float(32 if field.wire_type == I32 else 64)
        if field.kind == "enum":
            return self._enum(field)
        if field.name in DATA_TYPE_FIELDS and source.integer(0, 7) < 7:
            return source.integer(0, max(onnx.TensorProto.DataType.values()) + 1)
        return self._integer(field.kind)

    def _path(self) -> tuple[FieldType, ...]:
        """Choose a field of the schema that the model must have, and a way there.

        All fields are equally likely; free choices would rarely find the deep ones.
        """
        fields = [(name, field) for name, type_ in SCHEMA.items() for field in type_.fields]
        name, target = _choose(self._source, fields)
        path = (_route(ROOT, name) or ()) if name != ROOT else ()
        if self._source.integer(0, 15) == 15:
            path = self._with_loop(path)
        return (*path, target)

    def _with_loop(self, path: tuple[FieldType, ...]) -> tuple[FieldType, ...]:
        """Go round a recursion several times: types in types, graphs in graphs."""
        for i, field in enumerate(path):
            loop = _route(field.message, field.message) if field.message else None
            if loop:
                most = (MAX_DEPTH - len(path) - 8) // len(loop)
                return (*path[: i + 1], *loop * self._source.integer(1, most), *path[i + 1 :])
        return path

    def _message(self, name: str, path: tuple[FieldType, ...], depth: int) -> Message:
        """Draw a message that holds the first field of path, and others as they come."""
        if name == TENSOR and not path and self._source.integer(0, 1):
            return self._sound_tensor()
        chosen = {path[0].number: path[0]} if path else {}
        if self._budget > 0:
            self._budget -= 1
            for _ in _several(self._source, 3, 7):
                field = _choose(self._source, SCHEMA[name].fields)
                clash = any(f.oneof == field.oneof for f in chosen.values() if f.oneof)
                too_deep = field.message and (self._budget <= 0 or depth >= MAX_DEPTH)
                if not clash and not too_deep:
                    chosen.setdefault(field.number, field)
        fields: list[Field] = []
        for number, field in sorted(chosen.items()):
            rest = path[1:] if path and field is path[0] else ()
            fields += (Field(number, value) for value in self._values(field, rest, depth))
        return Message(name, tuple(fields))

    def _values(
        self, field: FieldType, path: tuple[FieldType, ...], depth: int
    ) -> Sequence[int | bytes | Message]:
        """Draw the value of a field, or all of a repeated one: at least one."""
        if field.message:
            return self._submessages(field, path, depth)
        if not field.repeated:
            return [self.scalar(field)]
        values = [self.scalar(field)]
        values += [self.scalar(field) for _ in _several(self._source, 2, 6)]
        # Now and then a long list, for lengths of two bytes, at the price of a short one.
        if self._source.integer(0, 29) == 29:
            values = values[:2] * self._source.integer(20, 80)
        return values

    def _submessages(
        self, field: FieldType, path: tuple[FieldType, ...], depth: int
    ) -> list[Message]:
        name = field.message or ""
        values = [self._message(name, path, depth + 1)]
        if field.repeated:
            more = _several(self._source, 1, 4 if self._budget > 0 else 0)
            values += [self._message(name, (), depth + 1) for _ in more]
            # Now and then many siblings, for code that takes them in lock step.
            if self._source.integer(0, 24) == 24 and not path and len(canonical(values[-1])) < 40:
                values += values[-1:] * self._source.integer(2, 40)
        return values

    def _sound_tensor(self) -> Message:
        """Draw a tensor whose data type, dims and elements agree."""
        source, schema = self._source, SCHEMA[TENSOR]
        name, data_type = _choose(source, onnx.TensorProto.DataType.items()[1:])
        dims = [source.integer(0, 3) for _ in range(source.integer(0, 3))]
        size = 1
        for dim in dims:
            size *= dim
        values: dict[str, list[int | bytes | Message]] = {
            "dims": list(dims),
            "data_type": [data_type],
            "name": [self._string("string")],
        }
        nbytes = (size * _data_type_bits(name) + 7) // 8
        if self._files and name != "STRING" and source.integer(0, 1):
            values |= self._external(nbytes)
        elif name != "STRING" and source.integer(0, 1):
            values["raw_data"] = [source.blob(nbytes)]
        else:
            typed = schema.named(TYPED_FIELDS.get(name, "int32_data"))
            n = size * 2 if name.startswith("COMPLEX") else size
            n = nbytes if name != "STRING" and _data_type_bits(name) < 8 else n
            values[typed.name] = [self.scalar(typed) for _ in range(n)]
        fields = [(f.number, values.get(f.name, ())) for f in schema.fields]
        return Message(TENSOR, tuple(Field(n, value) for n, many in fields for value in many))

    def _external(self, nbytes: int) -> dict[str, list[int | bytes | Message]]:
        """Draw a stretch of an external file; shorter than nbytes where the file is."""
        location, file_nbytes = _choose(self._source, sorted(self._files.items()))
        length = min(nbytes, file_nbytes)
        offset = self._source.integer(0, file_nbytes - length)
        texts = {"location": location, "offset": str(offset), "length": str(length)}
        name = SCHEMA[TENSOR].named("external_data").message or ""
        entries: list[int | bytes | Message] = [
            Message(name, (Field(1, key.encode()), Field(2, text.encode())))
            for key, text in texts.items()
        ]
        return {"external_data": entries, "data_location": [EXTERNAL]}

    def _string(self, kind: str) -> bytes:
        choice = self._source.integer(0, len(STRINGS) + 2)
        if choice < len(STRINGS):
            return STRINGS[choice]
        longest = 200 if kind == "bytes" and choice == len(STRINGS) else 12
        return self._source.blob(self._source.integer(0, longest))

    def _float(self, n_bits: int) -> int:
        special = FLOATS if n_bits == 32 else DOUBLES
        choice = self._source.integer(0, 2 * len(special))
        return special[choice] if choice < len(special) else _bits(self._source, n_bits)

    def _enum(self, field: FieldType) -> int:
        # An EXTERNAL tensor needs its file: only `_external` makes one.
        values = [v for v in field.enum_values if field.name != "data_location" or v != EXTERNAL]
        if self._unknown_enum_values and self._source.integer(0, 1):
            odd = [v for v in INTEGERS_OF_KIND["int32"] if v not in field.enum_values]
            return _choose(self._source, odd)
        return _choose(self._source, values)

    def _integer(self, kind: str) -> int:
        edges = INTEGERS_OF_KIND[kind]
        choice = self._source.integer(0, len(edges) + len(edges) // 2)
        if choice < len(edges):
            return edges[choice]
        low, high = INTEGER_RANGES[kind]
        value = _bits(self._source, self._source.integer(1, (high - low).bit_length()))
        return value if value <= high else value - (high - low + 1)


# --- The wire, by hand ------------------------------------------------------------------------


def varint(value: int, width: int | None = None) -> bytes:
    """Encode an unsigned varint, in width bytes if it is given and fits."""
    if value < 0x80 and not width:
        return bytes((value,))
    encoded = bytearray()
    while value > 0x7F or len(encoded) + 1 < (width or 1):
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def tag(number: int, wire_type: int, width: int | None = None) -> bytes:
    """Encode the tag of a field."""
    return varint(number << 3 | wire_type, width)


def record(
    number: int,
    wire_type: int,
    payload: int | bytes,
    *,
    tag_width: int | None = None,
    width: int | None = None,
) -> bytes:
    """Encode one field.

    Args:
        number: Of the field.
        wire_type: Any but END_GROUP.
        payload: The value: a number for VARINT (negative ones as int64), bytes for LEN (without
            their length), either for I32 and I64, the enclosed records for START_GROUP.
        tag_width: Bytes of the tag, of both tags for a group; as few as possible if None.
        width: Bytes of the varint or of the length; as few as possible if None.
    """
    head = tag(number, wire_type, tag_width)
    if isinstance(payload, int):
        if wire_type == VARINT:
            return head + varint(payload if payload >= 0 else payload + 2**64, width)
        nbytes = 8 if wire_type == I64 else 4
        return head + (payload % (1 << 8 * nbytes)).to_bytes(nbytes, "little")
    if wire_type == LEN:
        return head + varint(len(payload), width) + payload
    if wire_type == START_GROUP:
        return head + payload + tag(number, END_GROUP, tag_width)
    return head + payload


def nested_types(n_messages: int) -> bytes:
    """Encode a graph, its input, a type and the types of elements, each in the one before."""
    fields = [7, 11, 2] + [1 if index % 2 else 4 for index in range(n_messages - 3)]
    data = b""
    for field in reversed(fields):
        data = record(field, LEN, data)
    return data


def split_records(data: bytes) -> list[bytes]:
    """Cut a message into the records of its fields, groups whole; data must be well formed."""
    records, start = [], 0
    while start < len(data):
        end = _record_end(data, start)
        records.append(data[start:end])
        start = end
    return records


def swap_pair(data: bytes, index: int) -> bytes:
    """Exchange record `index` of a message with the one after it."""
    records = split_records(data)
    records[index : index + 2] = reversed(records[index : index + 2])
    return b"".join(records)


def _read_varint(data: bytes, start: int) -> tuple[int, int]:
    value, end = data[start] & 0x7F, start + 1
    while data[end - 1] & 0x80:
        value |= (data[end] & 0x7F) << 7 * (end - start)
        end += 1
    return value, end


def _record_end(data: bytes, start: int) -> int:
    key, end = _read_varint(data, start)
    if key & 7 == VARINT:
        return _read_varint(data, end)[1]
    if key & 7 == LEN:
        length, end = _read_varint(data, end)
        return end + length
    if key & 7 == START_GROUP:
        while _read_varint(data, end)[0] & 7 != END_GROUP:
            end = _record_end(data, end)
        return _read_varint(data, end)[1]
    return end + (8 if key & 7 == I64 else 4)


# --- Random deviations ------------------------------------------------------------------------


class Deviations:
    """Decide, whenever an encoder could deviate, whether it does, and count it.

    The gap to the next deviation of each kind is drawn, not every chance by itself: choices are
    then as many as deviations, and a canonical encoding costs none.

    Args:
        source: Of the choices.
        kinds: Of DEVIATIONS, those allowed.
        rarity: Mean number of chances passed over between two deviations of a kind.
    """

    def __init__(self, source: Source, kinds: Collection[str] = (), rarity: int = 0) -> None:
        """Draw the first gaps."""
        self.source = source
        self.used: Counter[str] = Counter()
        self._rarity = rarity
        self._gaps = {kind: self._gap() for kind in DEVIATIONS if kind in kinds}

    @classmethod
    def draw(cls, source: Source, kinds: Collection[str]) -> "Deviations":
        """Draw which of the kinds to allow, and how often."""
        options = [kind for kind in DEVIATIONS if kind in kinds]
        some = source.integer(0, 3)
        if some <= 1 and options:
            options = [_choose(source, options) for _ in range(some)]
        elif some == 2:
            options = [kind for kind in options if source.integer(0, 1)]
        return cls(source, options, _choose(source, (30, 8, 2, 0)) if options else 0)

    def due(self, kind: str) -> bool:
        """Whether to deviate here; the caller must then do it."""
        if kind not in self._gaps:
            return False
        if self._gaps[kind] > 0:
            self._gaps[kind] -= 1
            return False
        self._gaps[kind] = self._gap()
        self.used[kind] += 1
        return True

    def _gap(self) -> int:
        # Simplest is longest.
        return 2 * self._rarity - self.source.integer(0, 2 * self._rarity) if self._rarity else 0


class Scatterer:
    """Undo what a parser does: merging, overriding, skipping what it doesn't know."""

    def __init__(self, deviations: Deviations) -> None:
        """Deviate where that is due."""
        self._deviations = deviations
        self._source = deviations.source

    def scatter(self, message: Message) -> Scattered:
        """Turn content into entries that a parser turns back into it."""
        entries: list[Entry] = []
        for field in message.fields:
            field_type = SCHEMA[message.type].by_number[field.number]
            if field_type.oneof:
                entries += self._alternates(message.type, field_type)
            if not isinstance(field.value, Message):
                entries += self._overridden(field_type, field.value)
                entries.append(ScatteredField(field.number, field.value))
            elif field_type.repeated:
                entries.append(ScatteredField(field.number, self.scatter(field.value)))
            else:
                pieces = self._pieces(self.scatter(field.value))
                entries += (ScatteredField(field.number, piece) for piece in pieces)
        return Scattered(message.type, (*entries, *self._unknown_fields(message.type)))

    def _overridden(self, field: FieldType, value: int | bytes) -> Iterator[Entry]:
        """Draw values that a later one overrides.

        None come before an enum value outside the schema: a parser takes that for an unknown field,
        and the earlier value would stand.
        """
        odd = field.kind == "enum" and value not in field.enum_values
        if not field.repeated and not odd and self._deviations.due("overridden"):
            for _ in range(self._source.integer(1, 2)):
                yield ScatteredField(field.number, Contents(self._source).scalar(field))

    def _alternates(self, name: str, field: FieldType) -> Iterator[Entry]:
        """Draw other members of a oneof; the member that counts may come before them too."""
        others = [f for f in SCHEMA[name].fields if f.oneof == field.oneof and f is not field]
        if others and self._deviations.due("oneof_alternating"):
            members = [_choose(self._source, others)]
            if self._source.integer(0, 1):
                members.insert(0, field)
            for member in members:
                contents = Contents(self._source, budget=2)
                yield ScatteredField(
                    member.number,
                    as_scattered(contents.message(member.message))
                    if member.message
                    else contents.scalar(member),
                )

    def _pieces(self, message: Scattered) -> list[Scattered]:
        """Deal the entries out to several messages, each field in its order."""
        if not self._deviations.due("in_pieces"):
            return [message]
        n_pieces = self._source.integer(2, 3)
        dealt: list[list[Entry]] = [[] for _ in range(n_pieces)]
        reached: dict[object, int] = {}
        for entry in message.entries:
            stream = _stream(message.type, entry)
            reached[stream] = self._source.integer(reached.get(stream, 0), n_pieces - 1)
            dealt[reached[stream]].append(entry)
        return [Scattered(message.type, tuple(entries)) for entries in dealt]

    def _unknown_fields(self, name: str) -> Iterator[UnknownField]:
        known = SCHEMA[name].by_number
        if self._deviations.due("unknown_field"):
            for _ in range(self._source.integer(1, 3)):
                yield self._unknown(known)
        if self._deviations.due("unknown_group"):
            yield self._group(self._unknown_number(known), 3)

    def _unknown(self, known: Collection[int]) -> UnknownField:
        number = self._unknown_number(known)
        wire_type = _choose(self._source, (VARINT, LEN, I32, I64))
        if wire_type == LEN:
            return UnknownField(number, LEN, self._source.blob(self._source.integer(0, 12)))
        n_bits = {I32: 32, I64: 64}.get(wire_type) or self._source.integer(1, 64)
        return UnknownField(number, wire_type, _bits(self._source, n_bits))

    def _group(self, number: int, depth: int) -> UnknownField:
        """Draw a group; inside it no number is known, those of the schema neither."""
        fields: list[UnknownField] = []
        for _ in range(self._source.integer(0, 2)):
            if depth > 1 and self._source.integer(0, 1):
                fields.append(self._group(self._unknown_number(()), depth - 1))
            else:
                fields.append(self._unknown(()))
        return UnknownField(number, START_GROUP, tuple(fields))

    def _unknown_number(self, known: Collection[int]) -> int:
        ranges = ((1, 40), (1, 40), (41, 2047), (2048, 2**18), (19000, 19999), (2**18, 2**29 - 2))
        choice = self._source.integer(0, len(ranges))
        low, high = ranges[choice] if choice < len(ranges) else (MAX_FIELD_NUMBER,) * 2
        number = self._source.integer(low, high)
        while number in known:
            number += 1
        return number


def as_scattered(message: Message) -> Scattered:
    """Take content as it is."""
    return Scatterer(Deviations(SeededSource(0))).scatter(message)


def _stream(name: str, entry: Entry) -> object:
    """Name what an entry must keep its order with: its field, its oneof, the unknown fields."""
    if isinstance(entry, UnknownField):
        return "unknown fields"
    return SCHEMA[name].by_number[entry.number].stream


class Encoder:
    """Turn scattered messages into bytes."""

    def __init__(self, deviations: Deviations) -> None:
        """Deviate where that is due."""
        self._deviations = deviations
        self._source = deviations.source

    def encode(self, message: Scattered) -> bytes:
        """Encode a message without its own tag and length."""
        by_stream: dict[object, list[Entry]] = {}
        for entry in sorted(message.entries, key=lambda entry: entry.number):
            by_stream.setdefault(_stream(message.type, entry), [])
        for entry in message.entries:
            by_stream[_stream(message.type, entry)].append(entry)
        streams = {
            stream: self._records(SCHEMA[message.type], entries)
            for stream, entries in by_stream.items()
        }
        self._add_empty_packed(SCHEMA[message.type], streams)
        return b"".join(self._in_order(streams))

    def _records(self, message: MessageType, entries: list[Entry]) -> list[bytes]:
        """Encode one stream: it is one repeated field, one singular field or one oneof."""
        first = entries[0]
        if isinstance(first, ScatteredField) and message.by_number[first.number].packable:
            values = [entry.value for entry in entries if isinstance(entry.value, int)]
            return self._list(message.by_number[first.number], values)
        return [
            self._unknown(entry)
            if isinstance(entry, UnknownField)
            else self._single(message.by_number[entry.number], entry.value)
            for entry in entries
        ]

    def _single(self, field: FieldType, value: int | bytes | Scattered) -> bytes:
        if isinstance(value, Scattered):
            value = self.encode(value)
        if isinstance(value, bytes):
            return self._tag(field.number, LEN) + self._length(len(value)) + value
        return self._tag(field.number, field.wire_type) + self._number(field, value)

    def _list(self, field: FieldType, values: list[int]) -> list[bytes]:
        """Encode a repeated field of numbers."""
        if len(values) > 1 and self._deviations.due("split_packed"):
            cut = self._source.integer(1, len(values) - 1)
            # At least one half is packed: both as single records may be the canonical form.
            packed = self._source.integer(0, 2)
            return [
                *self._run(field, values[:cut], packed=packed != 1),
                *self._run(field, values[cut:], packed=packed != 2),
            ]
        repacked = self._deviations.due("repacked")
        return self._run(field, values, packed=field.packed != repacked)

    def _run(self, field: FieldType, values: list[int], *, packed: bool) -> list[bytes]:
        if not packed:
            return [self._single(field, value) for value in values]
        payload = b"".join(self._number(field, value) for value in values)
        return [self._tag(field.number, LEN) + self._length(len(payload)) + payload]

    def _number(self, field: FieldType, value: int) -> bytes:
        if field.wire_type == I32:
            return value.to_bytes(4, "little")
        if field.wire_type == I64:
            return value.to_bytes(8, "little")
        return self._value(self._respelled(field, value))

    def _respelled(self, field: FieldType, value: int) -> int:
        """Choose an unsigned number that a parser reads as the value."""
        if field.kind == "bool":
            return 2**40 if value and self._deviations.due("bool_above_one") else value
        n_bits = 32 if field.kind in ("int32", "uint32", "enum") else 64
        if n_bits == 32 and value < 0 and self._deviations.due("short_negative"):
            return value % 2**32
        if self._deviations.due("high_bits"):
            # Neither none of the bits nor all of them: those are what the type does itself.
            high = 1 + self._source.integer(0, 2**32 - 3 if n_bits == 32 else 61)
            return value % (1 << n_bits) + (high << n_bits)
        return value % 2**64

    def _value(self, value: int) -> bytes:
        return self._varint(value, 10, "overlong_value")

    def _length(self, length: int) -> bytes:
        return self._varint(length, 5, "overlong_length")

    def _tag(self, number: int, wire_type: int) -> bytes:
        return self._varint(number << 3 | wire_type, 5, "overlong_tag")

    def _varint(self, value: int, longest: int, kind: str) -> bytes:
        encoded = varint(value)
        if len(encoded) == longest or not self._deviations.due(kind):
            return encoded
        return varint(value, self._source.integer(len(encoded) + 1, longest))

    def _unknown(self, field: UnknownField) -> bytes:
        head = self._tag(field.number, field.wire_type)
        if isinstance(field.value, tuple):
            inner = b"".join(self._unknown(inner) for inner in field.value)
            return head + inner + self._tag(field.number, END_GROUP)
        if isinstance(field.value, bytes):
            return head + self._length(len(field.value)) + field.value
        if field.wire_type == VARINT:
            return head + self._value(field.value)
        return head + field.value.to_bytes(8 if field.wire_type == I64 else 4, "little")

    def _add_empty_packed(self, message: MessageType, streams: dict[object, list[bytes]]) -> None:
        fields = [field for field in message.fields if field.packable]
        if fields and self._deviations.due("empty_packed"):
            field = _choose(self._source, fields)
            records = streams.setdefault(field.stream, [])
            position = self._source.integer(0, len(records))
            records.insert(position, self._tag(field.number, LEN) + self._length(0))

    def _in_order(self, streams: dict[object, list[bytes]]) -> list[bytes]:
        """Put the records of all streams in one line; each stream keeps its own order."""
        line = [stream for stream, records in streams.items() for _ in records]
        borders = [i for i in range(1, len(line)) if line[i - 1] != line[i]]
        if borders and self._deviations.due("reordered"):
            if self._source.integer(0, 1):
                line = self._shuffled(line)
            else:
                i = _choose(self._source, borders)
                line[i - 1], line[i] = line[i], line[i - 1]
        remaining = {stream: iter(records) for stream, records in streams.items()}
        return [next(remaining[stream]) for stream in line]

    def _shuffled(self, line: list[object]) -> list[object]:
        shuffled = list(line)
        for i in range(len(line) - 1, 0, -1):
            j = i - self._source.integer(0, i)
            shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
        # It has to differ; the line turned round does, because it holds two streams at least and
        # each of them in one stretch.
        return shuffled if shuffled != line else line[::-1]


def canonical(content: Message) -> bytes:
    """Encode in the canonical form."""
    return Encoder(Deviations(SeededSource(0))).encode(as_scattered(content))


# --- Whole models -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedModel:
    """A model's content, one encoding of it, and how that deviates from the canonical one."""

    content: Message
    data: bytes
    used: Counter[str]
    """How often each kind of deviation was used."""


def encode(content: Message, deviations: Deviations) -> EncodedModel:
    """Encode with whatever deviations are due."""
    data = Encoder(deviations).encode(Scatterer(deviations).scatter(content))
    return EncodedModel(content=content, data=data, used=+deviations.used)


def _draw_content(source: Source, external_files: Mapping[str, int] | None = None) -> Message:
    odd = source.integer(0, 7) == 7
    return Contents(source, external_files=external_files, unknown_enum_values=odd).model()


def random_model(
    seed: int,
    *,
    kinds: Collection[str] = tuple(DEVIATIONS),
    external_files: Mapping[str, int] | None = None,
) -> EncodedModel:
    """Make the model that belongs to a seed; about 700 in a second."""
    source = SeededSource(seed)
    content = _draw_content(source, external_files)
    return encode(content, Deviations.draw(source, kinds))


def random_model_bytes(seed: int) -> bytes:
    """Make an encoding of a random model; the same one for the same seed."""
    return random_model(seed).data


@st.composite
def model_contents(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    *,
    external_files: Mapping[str, int] | None = None,
) -> Message:
    """Draw the content of a ModelProto."""
    return _draw_content(DrawnSource(draw), external_files)


@st.composite
def encoded_models(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    *,
    kinds: Collection[str] = tuple(DEVIATIONS),
    external_files: Mapping[str, int] | None = None,
) -> EncodedModel:
    """Draw a model and an encoding of it that deviates in some of the given ways."""
    source = DrawnSource(draw)
    content = _draw_content(source, external_files)
    return encode(content, Deviations.draw(source, kinds))


def encodings(*, kinds: Collection[str] = tuple(DEVIATIONS)) -> st.SearchStrategy[bytes]:
    """Draw any encoding of any ModelProto, restricted to some kinds of deviation if asked."""
    return encoded_models(kinds=kinds).map(lambda model: model.data)


def canonical_encodings() -> st.SearchStrategy[bytes]:
    """Draw a ModelProto in the canonical form."""
    return model_contents().map(canonical)
