"""Message types and fields, as frozen tables.

They come from the descriptors of the installed onnx package when a model is written, and from the
model's manifest when it is read: a new ONNX field needs no code here, and a reader needs no onnx.

Source: the ``.proto`` files of onnx; https://protobuf.dev/programming-guides/proto2/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from onnxroot._spec import EXTERNAL_SEGMENT, RELIED_ON, ROOT_MESSAGE
from onnxroot._wire import FIXED32, FIXED64, LEN, VARINT, FieldRules
from onnxroot.errors import FormatError

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

__all__ = ["EXTERNAL_TYPE", "Field", "MessageType", "Schema", "installed_schema", "tag_of"]

_SCALARS: Final = MappingProxyType(
    {
        # type: (wire type, dtype of its column)
        "double": (FIXED64, "<f8"),
        "float": (FIXED32, "<f4"),
        "int64": (VARINT, "<i8"),
        "uint64": (VARINT, "<u8"),
        "int32": (VARINT, "<i4"),
        "fixed64": (FIXED64, "<u8"),
        "fixed32": (FIXED32, "<u4"),
        "bool": (VARINT, "<u1"),
        "string": (LEN, "<u1"),
        "bytes": (LEN, "<u1"),
        "uint32": (VARINT, "<u4"),
        "enum": (VARINT, "<i4"),
        "sfixed32": (FIXED32, "<i4"),
        "sfixed64": (FIXED64, "<i8"),
        "sint32": (VARINT, "<i4"),
        "sint64": (VARINT, "<i8"),
    }
)

_PROTOBUF_TYPES: Final = (  # FieldDescriptor.type, from 1 on
    "double float int64 uint64 int32 fixed64 fixed32 bool string group message bytes uint32 enum "
    "sfixed32 sfixed64 sint32 sint64"
).split()

_LABELS: Final = ("optional", "repeated", "packed")


class Field(NamedTuple):
    """One field of a message type.

    Attributes:
        name: As in the ``.proto`` file.
        number: Its protobuf field number.
        type: A protobuf scalar type (``int64``, ``string``, ``enum``, ...) or the name of a
            message type.
        label: ``optional``, ``repeated``, or ``packed`` (repeated, in one record).
        code: Its place among all fields of the schema, as ``parent_field`` stores it (FORMAT §4.2).
        oneof: Name of the oneof it belongs to, or None.
    """

    name: str
    number: int
    type: str
    label: str
    code: int
    oneof: str | None = None

    @property
    def is_message(self) -> bool:
        """Whether its values are messages."""
        return self.type not in _SCALARS

    @property
    def is_repeated(self) -> bool:
        """Whether it may hold many values."""
        return self.label != "optional"

    @property
    def is_text(self) -> bool:
        """Whether its values are strings or bytes."""
        return self.type in {"string", "bytes"}

    @property
    def wire_type(self) -> int:
        """Wire type of one value."""
        return _SCALARS[self.type][0] if self.type in _SCALARS else LEN

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values in its column; uint8 for the bytes of text."""
        return np.dtype(_SCALARS[self.type][1])

    @property
    def record_type(self) -> int:
        """Wire type of its records in the canonical form."""
        return LEN if self.label == "packed" else self.wire_type


@cache
def tag_of(item: Field) -> npt.NDArray[np.uint8]:
    """Return the bytes of the tag in front of the field's canonical records.

    Returns:
        uint8, shape (1 to 5,); shared, not to be written to.
    """
    tag = item.number << 3 | item.record_type
    out = []
    while tag >= 0x80:
        out.append(tag & 0x7F | 0x80)
        tag >>= 7
    return np.array([*out, tag], np.uint8)


@dataclass(frozen=True)
class MessageType:
    """One message type: its name, and its fields in the order of their numbers."""

    name: str
    fields: tuple[Field, ...]

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """The fields by name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def optional(self) -> tuple[Field, ...]:
        """The optional scalar fields: bit i of ``presence`` belongs to the i-th (FORMAT §4.3)."""
        return tuple(f for f in self.fields if f.label == "optional" and not f.is_message)

    @cached_property
    def oneofs(self) -> tuple[tuple[int, ...], ...]:
        """The field numbers of each oneof."""
        groups: dict[str, list[int]] = {}
        for field in self.fields:
            if field.oneof:
                groups.setdefault(field.oneof, []).append(field.number)
        return tuple(map(tuple, groups.values()))

    @cached_property
    def rules(self) -> FieldRules:
        """What the wire format must know of the fields."""
        n = max((f.number for f in self.fields), default=0) + 2
        allowed, canonical = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
        recurs, holds_messages = np.zeros((2, n), np.bool_)
        for field in self.fields:
            allowed[field.number] = 1 << field.wire_type
            if field.is_repeated:
                allowed[field.number] |= 1 << LEN
            canonical[field.number] = field.record_type
            recurs[field.number] = field.label == "repeated"
            holds_messages[field.number] = field.is_message
        return FieldRules(
            allowed=allowed, canonical=canonical, recurs=recurs, holds_messages=holds_messages
        )


class Schema:
    """All message types of one ONNX version, in a fixed order.

    Attributes:
        messages: The message types by name; `_spec.EXTERNAL_SEGMENT` comes last.
        fields: ``(message type, field)`` by field code.
        tree: Names of the message types that a ModelProto is made of.
    """

    def __init__(self, messages: dict[str, MessageType]) -> None:
        """Keep the message types, whose field codes must count up from 0."""
        self.messages = messages
        self.fields = [(m, f) for m in messages.values() for f in m.fields]
        self.tree = frozenset(messages) - {EXTERNAL_SEGMENT}

    def __iter__(self) -> Iterator[MessageType]:
        """Iterate over the message types."""
        return iter(self.messages.values())

    def __getitem__(self, name: str) -> MessageType:
        """Return a message type by name."""
        return self.messages[name]

    def to_json(self) -> dict[str, list[list[int | str]]]:
        """Return what the manifest stores: FORMAT §3.3."""
        return {m.name: [[f.number, f.name, f.type, f.label] for f in m.fields] for m in self}

    @classmethod
    def from_json(cls, value: Any) -> Schema:
        """Build the schema that a manifest describes.

        Raises:
            FormatError: It is not one.
        """
        rows = {}
        try:
            for name, fields in value.items():
                rows[name] = [(*_field_row(row, name), None) for row in fields]
            schema = cls._build(rows)
        except (AttributeError, TypeError, ValueError) as error:
            message = f"the manifest's schema can't be read: {error}"
            raise FormatError(message) from error
        for message_type, field in schema.fields:
            where = f"the manifest's schema: {message_type.name}.{field.name}"
            if field.label not in _LABELS:
                raise FormatError(f"{where} has the unknown label {field.label!r}")
            if field.is_message and field.type not in schema.messages:
                raise FormatError(f"{where} has the unknown type {field.type!r}")
            if not 0 < field.number < 2**29:
                raise FormatError(f"{where} has the field number {field.number}")
        schema._check()  # noqa: SLF001
        return schema

    def _check(self) -> None:
        """Check that no name and no number means two things, and that there is a model.

        Raises:
            FormatError: It is otherwise.
        """
        for kind in self:
            for what in ({f.number for f in kind.fields}, kind.by_name):
                if len(what) < len(kind.fields):
                    raise FormatError(f"the manifest's schema: {kind.name} has a field twice")
        if ROOT_MESSAGE not in self.messages:
            raise FormatError(f"the manifest's schema has no {ROOT_MESSAGE}")

    def check_relied_on(self) -> None:
        """Check that what readers look up by name is there, and is what they take it for.

        Raises:
            FormatError: It is otherwise.
        """
        for name, expected in RELIED_ON.items():
            known = self.messages[name].by_name if name in self.messages else {}
            for field, (kind_name, label) in expected.items():
                found = known.get(field)
                if found is None or (found.type, found.label) != (kind_name, label):
                    raise FormatError(
                        f"the manifest's schema: expected {name}.{field} to be {label} {kind_name}"
                    )

    @classmethod
    def _build(cls, rows: dict[str, list[tuple[Any, ...]]]) -> Schema:
        messages, code = {}, 0
        for name, fields in rows.items():
            made = []
            for number, field, kind, label, oneof in sorted(fields):
                made.append(Field(field, number, kind, label, code, oneof))
                code += 1
            messages[name] = MessageType(name, tuple(made))
            if len(made) > 64 and len(messages[name].optional) > 64:
                raise FormatError(f"{name} has over 64 optional fields: `presence` has 64 bits")
        return cls(messages)


EXTERNAL_TYPE: Final = (
    (1, "location", "string", "optional", None),
    (2, "offset", "uint64", "optional", None),
    (3, "nbytes", "uint64", "optional", None),
    (4, "values", "bytes", "optional", None),
)
"""The fields of `_spec.EXTERNAL_SEGMENT`, as rows of the schema: FORMAT §6."""


@cache
def installed_schema() -> Schema:
    """Return the schema of the installed onnx package.

    Raises:
        FormatError: The package has a field type this version can't store.
    """
    from onnx import onnx_ml_pb2  # noqa: PLC0415  (0.2 s that a reader need not spend)

    rows: dict[str, list[tuple[Any, ...]]] = {}

    def add(descriptor: Descriptor) -> None:
        rows[_name(descriptor)] = [_row(field) for field in descriptor.fields]
        for nested in descriptor.nested_types:
            add(nested)

    for descriptor in onnx_ml_pb2.DESCRIPTOR.message_types_by_name.values():
        add(descriptor)
    rows[EXTERNAL_SEGMENT] = list(EXTERNAL_TYPE)
    return Schema._build(rows)  # noqa: SLF001


def _field_row(row: Any, message_type: str) -> tuple[int, str, str, str]:
    """Return a row that a manifest gives, if it is one of number, name, type and label."""
    match row:
        case [int(number), str(name), str(kind), str(label)] if not isinstance(number, bool):
            return number, name, kind, label
    message = f"{message_type} has {str(row)[:50]} where [number, name, type, label] is expected"
    raise TypeError(message)


def _name(descriptor: Descriptor) -> str:
    """Return the message type's name as the C++ classes have it: ``TypeProto_Tensor``."""
    return descriptor.full_name.removeprefix("onnx.").replace(".", "_")


def _row(field: FieldDescriptor) -> tuple[int, str, str, str, str | None]:
    kind = _PROTOBUF_TYPES[field.type - 1]
    message = field.message_type
    if kind == "group":
        raise FormatError(f"onnx field {field.full_name} is a group: this version can't store it")
    if message is not None:
        kind = _name(message)
    packed = bool(field.has_options and field.GetOptions().packed)
    label = ("packed" if packed else "repeated") if _is_repeated(field) else "optional"
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return field.number, field.name, kind, label, oneof


def _is_repeated(field: FieldDescriptor) -> bool:
    """Protobuf 7 replaced `label`, which older versions only have, by `is_repeated`."""
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(field.label == field.LABEL_REPEATED)  # type: ignore[attr-defined]
