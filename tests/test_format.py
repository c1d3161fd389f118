"""FORMAT.md is enough to write a reader, and what it says holds of the files that are written.

`format_reader` is that reader. What it must find comes from elsewhere: from the files on disk, and
from `model_encodings`, which knows the content of the models that it draws.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

import onnxroot
from tests.format_reader import (
    SAMPLES,
    STORAGES,
    WIRE_TYPES,
    FormatReaderError,
    Rebuilder,
    StoredModel,
    read_model,
    read_samples,
)
from tests.golden import GOLDEN_NAMES, WITH_SAMPLES, golden, roots_of
from tests.model_encodings import (
    LEN,
    SCHEMA,
    START_GROUP,
    VARINT,
    FieldType,
    Message,
    canonical,
    nested_types,
    random_model,
    record,
    varint,
)
from tests.samples import PECULIAR

N_RANDOM_MODELS = 60

PAYLOAD_FIELDS = {  # §5.1
    *("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"),
}
PAYLOAD_COLUMNS = {  # §5.2
    "field": "std::uint16_t",
    "row": "std::uint64_t",
    "storage": "std::uint8_t",
    "n_values": "std::uint64_t",
    "nbytes": "std::uint64_t",
    "tensor": "std::int64_t",
}
SAMPLE_COLUMNS = {  # §8.2
    "batch": "std::uint32_t",
    "is_output": "std::uint8_t",
    "name": "std::string",
    "data_type": "std::int32_t",
    "dims": "std::vector<std::int64_t>",
    "raw_data": "std::string",
    "string_data": "std::vector<std::string>",
    "tolerance": "double",
}
PARENT_COLUMNS = {"parent": "std::uint64_t", "parent_field": "std::uint16_t"}  # §4.2
PRESENCE_COLUMN = {"presence": "std::uint64_t"}  # §4.3
COLUMN_TYPES = {  # §4.4
    **{kind: f"std::{kind}_t" for kind in ("int64", "uint64", "int32", "uint32")},
    **dict.fromkeys(("string", "bytes"), "std::string"),
    "double": "double",
    "float": "float",
    "enum": "std::int32_t",
    "bool": "std::uint8_t",
}
VALUE_NBYTES = {name: int((re.findall(r"\d+", name) or [32])[0]) // 8 for name in STORAGES}
VALUE_NBYTES["double"] = 8

FLOAT, INT8, INT32, INT64, STRING, BOOL, FLOAT16 = 1, 3, 6, 7, 8, 9, 10
DOUBLE, UINT32, UINT64, COMPLEX64, COMPLEX128, BFLOAT16, INT4 = 11, 12, 13, 14, 15, 16, 22
DATA_TYPES_IN = {  # §5.2
    "uint8": [2, BOOL, *range(17, 29)],  # the last are those of 8 bits and less
    "int8": [INT8],
    "uint16": [4, FLOAT16, BFLOAT16],
    "int16": [5],
    "uint32": [UINT32],
    "int32": [INT32],
    "uint64": [UINT64, COMPLEX64, COMPLEX128],
    "int64": [INT64],
    "float": [FLOAT],
    "double": [DOUBLE],
}
STORAGE_OF_DATA_TYPE = {
    data_type: storage for storage, types in DATA_TYPES_IN.items() for data_type in types
}


# --- Files to look at -------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """A model in a ROOT file, and what should be read from there."""

    root: Path
    onnx: bytes
    external_files: dict[str, bytes]
    content: Message | None = None
    """What a parser finds in a random model, if to it an enum may be any number."""

    @cached_property
    def stored(self) -> StoredModel:
        """Manifest and tables."""
        return load(self.root)

    @cached_property
    def messages(self) -> "list[PlacedMessage]":
        """All messages of a random model, in order."""
        return list(place(self.content, None, 0, Counter()))


def load(root: Path) -> StoredModel:
    with uproot.open(root) as file:
        return StoredModel(file["model"])


def write(source: Path | bytes, folder: Path, **options: Any) -> Path:
    root = folder / "stored.root"
    onnxroot.write(source, f"{root}:model", **options)
    return root


def golden_roots() -> Iterator[tuple[str, str]]:
    """Yield each golden model as it is written today, and in the files of format versions."""
    for name in GOLDEN_NAMES:
        yield name, "today"
        yield from ((name, path.name) for path in sorted(golden(name).parent.glob("*.root")))


def sweep_unless(*, needed: bool) -> list[pytest.MarkDecorator]:
    return [] if needed else [pytest.mark.sweep]


GOLDEN = [
    pytest.param(
        (name, which),
        id=f"{name}-{which}",
        marks=sweep_unless(needed=which != "today" or name in PECULIAR),
    )
    for name, which in golden_roots()
]
RANDOM = [
    pytest.param(seed, id=f"seed{seed}", marks=sweep_unless(needed=seed < N_RANDOM_MODELS // 3))
    for seed in range(N_RANDOM_MODELS)
]

every_sample = pytest.mark.parametrize("sample", GOLDEN + RANDOM, indirect=True)
random_samples = pytest.mark.parametrize("sample", RANDOM, indirect=True)


@pytest.fixture(scope="module")
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("sample")
    if isinstance(request.param, int):
        model = random_model(request.param)
        return Sample(write(model.data, folder), model.data, {}, model.content)
    name, which = request.param
    path = golden(name)
    root = write(path, folder) if which == "today" else path.with_name(which)
    files = {file.relative_to(path.parent).as_posix(): file for file in path.parent.rglob("*.bin")}
    return Sample(
        root, path.read_bytes(), {name: file.read_bytes() for name, file in files.items()}
    )


def model_of(*tensors: bytes) -> bytes:
    """Encode a model whose graph has these initializers."""
    return record(7, LEN, b"".join(record(5, LEN, tensor) for tensor in tensors))


def tensor_of(data_type: int, *records: bytes) -> bytes:
    return record(2, VARINT, data_type) + b"".join(records)


def packed(*values: int) -> bytes:
    return b"".join(varint(value % 2**64) for value in values)


def external_tensor(data_type: int, **entries: str) -> bytes:
    pairs = (record(1, LEN, k.encode()) + record(2, LEN, v.encode()) for k, v in entries.items())
    return tensor_of(data_type, *(record(13, LEN, pair) for pair in pairs), record(14, VARINT, 1))


# --- The reader -------------------------------------------------------------------------------


@every_sample
def test_independent_reader_gives_the_original_bytes(sample: Sample) -> None:
    assert read_model(sample.root, "model") == (sample.onnx, sample.external_files)


def test_two_models_in_one_file_beside_another_object(tmp_path: Path) -> None:
    """§2.1."""
    root, models = tmp_path / "many.root", {"a/b": b"", "c": random_model(1).data}
    with uproot.recreate(root) as file:
        file["a/text"] = "not a model"
    for directory, model in models.items():
        onnxroot.write(model, f"{root}:{directory}")
    assert {directory: read_model(root, directory)[0] for directory in models} == models


@pytest.mark.parametrize("n_messages", [99, 100])
def test_messages_that_nest_deep(n_messages: int, tmp_path: Path) -> None:
    """§1.3."""
    data = nested_types(n_messages)
    assert read_model(write(data, tmp_path), "model")[0] == data


def test_messages_that_nest_too_deep(tmp_path: Path) -> None:
    """§1.3."""
    with pytest.raises(onnxroot.FormatError, match="deep"):
        write(nested_types(101), tmp_path)


CHANGES = {
    "rows": lambda stored: stored.manifest["tables"]["NodeProto"].update(rows=1),
    "cluster": lambda stored: stored.tables["NodeProto"].clusters.append((0, 1)),
    "int": lambda stored: add_one(stored.tables["OperatorSetIdProto"].columns["version"].rows),
    "string": lambda stored: add_text(stored.tables["NodeProto"].columns["op_type"].rows),
    "strings": lambda stored: add_text(stored.tables["NodeProto"].columns["input"].rows[0]),
    "between strings": lambda stored: shift(stored.tables["NodeProto"].columns["input"].rows[0]),
    "between lists": lambda stored: shift(stored.tables["NodeProto"].columns["input"].rows),
    "payload": lambda stored: add_one(stored.tables["tensors/float"].columns["values"].rows[0]),
}


def add_one(values: list[int]) -> None:
    values[0] += 1


def add_text(strings: list[bytes]) -> None:
    strings[0] += b"x"


def shift(lists: list[Any]) -> None:
    """Give the second list, or string, the last element of the first."""
    lists[0], lists[1] = lists[0][:-1], lists[0][-1:] + lists[1]


@pytest.mark.parametrize("change", CHANGES)
def test_digests_and_counts_cover(change: str, tmp_path: Path) -> None:
    """§3.2, §3.4."""
    stored = load(write(golden("mlp_jet_tagger"), tmp_path))
    stored.check_tables()
    CHANGES[change](stored)
    with pytest.raises(FormatReaderError):
        stored.check_tables()


# --- The layout and the manifest (§2, §3) -----------------------------------------------------


@every_sample
def test_layout(sample: Sample) -> None:
    """§2: names, classes and columns, and one cluster for what is not in tensors/."""
    with uproot.open(sample.root) as file:
        classes = file["model"].classnames(cycle=False)
        manifest = json.loads(str(file["model/manifest"]))
        for name in manifest["tables"]:
            ntuple = file["model"][name]
            assert len(ntuple.cluster_summaries) == 1 or name.startswith("tensors/")
            for column in ntuple.keys(recursive=False):
                assert re.fullmatch(
                    r"(std::vector<)?(std::(u?int(8|16|32|64)_t|string)|float|double)>?",
                    ntuple[column].typename,
                )
    directories = {"tensors": "TDirectory"} if "Payload" in manifest["tables"] else {}
    directories |= {"samples": "TDirectory"} if SAMPLES in manifest["tables"] else {}
    tables = dict.fromkeys(manifest["tables"], "ROOT::RNTuple")
    assert classes == {"manifest": "TObjString"} | directories | tables
    assert list(classes)[-1] == "manifest"  # §2.3
    kinds = {
        *manifest["schema"],
        "Payload",
        SAMPLES,
        *(f"tensors/{storage}" for storage in STORAGES),
    }
    assert kinds >= set(tables)


@every_sample
def test_manifest(sample: Sample) -> None:
    """§3.1 and §3.3."""
    with uproot.open(sample.root) as file:
        text = str(file["model/manifest"])
    assert text.isascii()
    assert text.startswith('{"format":"onnxroot"')
    manifest = json.loads(text)
    assert set(manifest) == {
        *("format", "digest", "format_version", "onnx", "external_files", "tables"),
        *("schema", "provenance", "metadata"),
    }
    assert manifest["format_version"] == 1
    assert set(manifest["onnx"]) == {"nbytes", "sha256"}
    assert all(set(file) == {"location", "nbytes", "sha256"} for file in manifest["external_files"])
    assert all(set(table) == {"rows", "digests"} for table in manifest["tables"].values())
    texts = [*manifest["provenance"].values(), *manifest["metadata"].values()]
    assert all(isinstance(value, str) for value in texts)
    for fields in manifest["schema"].values():
        assert fields == sorted(fields)
        for _, _, kind, label in fields:
            assert kind in manifest["schema"] or kind in WIRE_TYPES
            assert label in ("optional", "repeated", "packed")
            assert label != "packed" or WIRE_TYPES[kind] != LEN


def test_schema_is_that_of_onnx(tmp_path: Path) -> None:
    """§3.3."""
    schema = load(write(b"", tmp_path)).schema
    segment = schema.pop("ExternalSegment")
    assert [field[1] for field in segment] == ["location", "offset", "nbytes", "values"]
    assert schema == {
        short_name(name): [
            [field.number, field.name, kind(field), label(field)] for field in message.fields
        ]
        for name, message in SCHEMA.items()
    }


def short_name(full_name: str) -> str:
    return full_name.removeprefix("onnx.").replace(".", "_")


def kind(field: FieldType) -> str:
    return short_name(field.message) if field.message else field.kind


def label(field: FieldType) -> str:
    if field.packed:
        return "packed"
    return "repeated" if field.repeated else "optional"


def test_texts_of_the_user(tmp_path: Path) -> None:
    """§3.1."""
    texts = {"größe": "µ \U0001f600", "": '"\\\n'}
    path = tmp_path / "linear.onnx"
    path.write_bytes(b"")
    manifest = load(write(path, tmp_path, metadata=texts)).manifest
    assert manifest["metadata"] == texts
    assert manifest["provenance"]["file"] == "linear.onnx"


# --- The message tables (§4) ------------------------------------------------------------------


@dataclass(frozen=True)
class PlacedMessage:
    """A message, and where its row should be."""

    type: str
    row: int
    parent: int | None
    field: FieldType | None
    """Which field of the parent holds it."""
    parent_type: str | None
    content: Message

    @cached_property
    def values(self) -> dict[str, list[Any]]:
        """Values by the name of the field, those of messages too."""
        found = defaultdict(list)
        for field in self.content.fields:
            found[SCHEMA[self.content.type].by_number[field.number].name].append(field.value)
        return found


def place(
    content: Message, parent: PlacedMessage | None, number: int, n_rows: Counter[str]
) -> Iterator[PlacedMessage]:
    """Yield a message, then those that it holds, by field number and place in the list (§4.1)."""
    name = short_name(content.type)
    placed = PlacedMessage(
        type=name,
        row=n_rows[name],
        parent=parent.row if parent else None,
        field=SCHEMA[parent.content.type].by_number[number] if parent else None,
        parent_type=parent.type if parent else None,
        content=content,
    )
    n_rows[name] += 1
    yield placed
    for field in content.fields:
        if isinstance(field.value, Message):
            yield from place(field.value, placed, field.number, n_rows)


@every_sample
def test_columns(sample: Sample) -> None:
    """§4.2 to §4.4: in order, of the types listed, and used where presence says so."""
    for name, table in sample.stored.tables.items():
        types = {column: table.columns[column].type for column in table.columns}
        if name in (fixed := {"Payload": PAYLOAD_COLUMNS, SAMPLES: SAMPLE_COLUMNS}):
            assert list(types.items()) == list(fixed[name].items())
        elif not name.startswith("tensors/"):
            assert_columns(name, types, sample.stored)


def assert_columns(name: str, types: dict[str, str], stored: StoredModel) -> None:
    """Check a message table."""
    possible = {} if name in ("ModelProto", "ExternalSegment") else dict(PARENT_COLUMNS)
    possible |= PRESENCE_COLUMN
    table, bit = stored.tables[name], 0
    for _, field, kind, label in stored.schema[name]:
        if kind in stored.schema:
            continue
        if field not in PAYLOAD_FIELDS:
            value_type = COLUMN_TYPES[kind]
            possible[field] = value_type if label == "optional" else f"std::vector<{value_type}>"
        if label == "optional":
            present = [row >> bit & 1 for row in table.columns["presence"].rows]
            assert field not in types or any(present)
            values = table.columns[field].rows if field in types else []
            assert not any(
                value for value, there in zip(values, present, strict=False) if not there
            )
            bit += 1
    if name == "ModelProto":
        possible["deviation"] = "std::string"
    assert types == {column: possible[column] for column in types}
    assert list(types) == [column for column in possible if column in types]


@random_samples
def test_tables_hold_what_a_parser_finds(sample: Sample) -> None:
    """§4.1 to §4.4, and §7.3: rows in order, parents, presence, columns and their values."""
    tables: dict[str, list[PlacedMessage]] = defaultdict(list)
    for message in sample.messages:
        tables[message.type].append(message)
    stored = sample.stored
    others = ("Payload", "tensors/")
    assert {name for name in stored.tables if not name.startswith(others)} == set(tables)
    for name, messages in tables.items():
        columns = stored.tables[name].columns
        found = {
            name: (column.type, column.rows)
            for name, column in columns.items()
            if name != "deviation"
        }
        expected = expected_columns(messages, stored.codes)
        assert found == expected
        assert list(found) == list(expected)


def expected_columns(
    messages: list[PlacedMessage], codes: dict[tuple[str, str], int]
) -> dict[str, tuple[str, list[Any]]]:
    fields = SCHEMA[messages[0].content.type].fields
    optional = [field.name for field in fields if not field.repeated and not field.message]
    columns: dict[str, list[Any]] = {}
    if messages[0].type != "ModelProto":
        columns["parent"] = [message.parent for message in messages]
        columns["parent_field"] = [codes[m.parent_type, m.field.name] for m in messages]
    columns["presence"] = [
        sum(1 << bit for bit, name in enumerate(optional) if name in message.values)
        for message in messages
    ]
    types = PARENT_COLUMNS | PRESENCE_COLUMN
    for field in fields:
        unused = not any(field.name in message.values for message in messages)
        if field.message or field.name in PAYLOAD_FIELDS or unused:
            continue
        lists = [message.values.get(field.name, []) for message in messages]
        zero = b"" if WIRE_TYPES[field.kind] == LEN else 0
        columns[field.name] = lists if field.repeated else [(x or [zero])[0] for x in lists]
        value_type = COLUMN_TYPES[field.kind]
        types[field.name] = f"std::vector<{value_type}>" if field.repeated else value_type
    return {name: (types[name], rows) for name, rows in columns.items()}


def test_no_column_for_an_empty_record(tmp_path: Path) -> None:
    """§4.4: a field that no row has has no column."""
    stored = load(write(model_of(tensor_of(FLOAT, record(1, LEN, b""))), tmp_path))
    assert "dims" not in stored.tables["TensorProto"].columns


@random_samples
def test_canonical_form(sample: Sample) -> None:
    """§1.2, §4.4, §7.1: the tables alone give it; a deviation is there if the file differs."""
    expected = canonical(sample.content)
    assert Rebuilder(sample.stored).message("ModelProto") == expected
    columns = sample.stored.tables["ModelProto"].columns
    assert ("deviation" in columns) == (sample.onnx != expected)
    if "deviation" in columns:
        assert list(columns)[-1] == "deviation"
        assert columns["deviation"].type == "std::string"


@pytest.mark.parametrize(
    "data",
    [
        record(8, LEN, b"") + record(7, LEN, b""),  # no literals
        record(7, LEN, b"") + record(99, START_GROUP, b""),  # nothing but literals behind
        record(99, VARINT, 1),  # nothing to copy
    ],
)
def test_deviation_has_all_four_fields(data: bytes, tmp_path: Path) -> None:
    """§7.2: also those that are empty; `deviation_fields` refuses anything else."""
    root = write(data, tmp_path)
    assert "deviation" in load(root).tables["ModelProto"].columns
    assert read_model(root, "model")[0] == data


def test_empty_model(tmp_path: Path) -> None:
    """§4.1: there is a row of ModelProto in any case."""
    stored = load(write(b"", tmp_path))
    assert list(stored.tables) == ["ModelProto"]
    assert stored.tables["ModelProto"].row(0) == {"presence": 0}


# --- Payloads (§5) ----------------------------------------------------------------------------


@random_samples
def test_payloads_of_random_models(sample: Sample) -> None:
    """§5.1, §5.2: which there are, in which order, and their storages."""
    expected = [
        (message.row, *payload)
        for message in sample.messages
        if message.type == "TensorProto"
        for payload in payloads_of_tensor(message)
    ]
    assert list(payloads(sample.stored)) == expected


def payloads_of_tensor(message: PlacedMessage) -> Iterator[tuple[str, str, int, int, int]]:
    """Yield field, storage, number of values and of bytes, and tensor."""
    [data_type] = message.values.get("data_type", [0])
    for name, values in message.values.items():
        if name not in PAYLOAD_FIELDS or values == [b""]:
            continue
        if name == "raw_data":
            n_bytes = len(values[0])
        elif "int" in name:
            n_bytes = len(packed(*values))
        else:
            n_bytes = len(values) * VALUE_NBYTES[name.removesuffix("_data")]
        storage = expected_storage(name, data_type, values, n_bytes)
        n_values = len(values) if "int" in name else n_bytes // VALUE_NBYTES[storage]
        yield name, storage, n_values, n_bytes, message.row


def expected_storage(field: str, data_type: int, values: list[Any], n_bytes: int) -> str:
    by_type = STORAGE_OF_DATA_TYPE.get(data_type)
    if field == "raw_data":
        n_element = 16 if data_type == COMPLEX128 else VALUE_NBYTES.get(by_type, 1)
        return by_type if by_type and n_bytes % n_element == 0 else "uint8"
    if field in ("float_data", "double_data"):
        pairs = data_type == (COMPLEX64 if field == "float_data" else COMPLEX128)
        return "uint64" if pairs and len(values) % 2 == 0 else field.removesuffix("_data")
    if by_type and "int" in by_type and VALUE_NBYTES[by_type] <= 4:
        limits = np.iinfo(by_type)
        if all(limits.min <= value <= limits.max for value in values):
            return by_type
    return field.removesuffix("_data")


def payloads(stored: StoredModel) -> Iterator[tuple[int, str, str, int, int, int]]:
    """Yield the rows of the index: row, field, storage, number of values and of bytes, tensor."""
    table = stored.tables.get("Payload")
    names = {code: name for (_, name), code in stored.codes.items()}
    for index in range(table.n_rows if table else 0):
        row = table.row(index)
        storage = STORAGES[row["storage"]]
        yield (
            row["row"],
            names[row["field"]],
            storage,
            row["n_values"],
            row["nbytes"],
            row["tensor"],
        )


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        # (field, storage, number of values, bytes)
        (tensor_of(FLOAT, record(9, LEN, bytes(8))), ("raw_data", "float", 2, 8)),
        (tensor_of(FLOAT, record(9, LEN, bytes(7))), ("raw_data", "uint8", 7, 7)),
        (tensor_of(FLOAT16, record(9, LEN, bytes(8))), ("raw_data", "uint16", 4, 8)),
        (tensor_of(INT4, record(9, LEN, bytes(3))), ("raw_data", "uint8", 3, 3)),
        (tensor_of(STRING, record(9, LEN, bytes(8))), ("raw_data", "uint8", 8, 8)),
        (tensor_of(COMPLEX64, record(9, LEN, bytes(8))), ("raw_data", "uint64", 1, 8)),
        (tensor_of(COMPLEX128, record(9, LEN, bytes(16))), ("raw_data", "uint64", 2, 16)),
        (tensor_of(COMPLEX128, record(9, LEN, bytes(24))), ("raw_data", "uint8", 24, 24)),
        (tensor_of(FLOAT, record(4, LEN, bytes(12))), ("float_data", "float", 3, 12)),
        (tensor_of(COMPLEX64, record(4, LEN, bytes(16))), ("float_data", "uint64", 2, 16)),
        (tensor_of(COMPLEX64, record(4, LEN, bytes(12))), ("float_data", "float", 3, 12)),
        (tensor_of(COMPLEX128, record(10, LEN, bytes(16))), ("double_data", "uint64", 2, 16)),
        (tensor_of(COMPLEX128, record(10, LEN, bytes(8))), ("double_data", "double", 1, 8)),
        (tensor_of(INT8, record(5, LEN, packed(1, -2))), ("int32_data", "int8", 2, 11)),
        (tensor_of(INT8, record(5, LEN, packed(1, 300))), ("int32_data", "int32", 2, 3)),
        (tensor_of(BOOL, record(5, LEN, packed(1, 2))), ("int32_data", "uint8", 2, 2)),
        (tensor_of(FLOAT16, record(5, LEN, packed(1, 65535))), ("int32_data", "uint16", 2, 4)),
        (tensor_of(FLOAT, record(5, LEN, packed(1, 2))), ("int32_data", "int32", 2, 2)),
        (tensor_of(99, record(5, LEN, packed(1, 2))), ("int32_data", "int32", 2, 2)),
        (tensor_of(INT64, record(7, LEN, packed(1, -2))), ("int64_data", "int64", 2, 11)),
        (tensor_of(UINT32, record(11, LEN, packed(1, 2))), ("uint64_data", "uint32", 2, 2)),
        (tensor_of(UINT32, record(11, LEN, packed(2**32))), ("uint64_data", "uint64", 1, 5)),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_storages(tensor: bytes, expected: tuple[Any, ...], tmp_path: Path) -> None:
    """§5.2: also where type and values do not go together."""
    data = model_of(tensor)
    root = write(data, tmp_path)
    assert list(payloads(load(root))) == [(0, *expected, 0)]
    assert read_model(root, "model")[0] == data


@pytest.mark.parametrize(
    "values",
    [
        record(5, VARINT, 1) + record(5, VARINT, 300),  # unpacked
        record(5, LEN, b"\x81\x80\x00") + record(5, LEN, b"\xac\x02"),  # overlong, in pieces
    ],
)
def test_nbytes_are_those_of_the_canonical_form(values: bytes, tmp_path: Path) -> None:
    """§5.2, where the ONNX file has other bytes."""
    root = write(model_of(tensor_of(INT32, values)), tmp_path)
    assert list(payloads(load(root))) == [(0, "int32_data", "int32", 2, 3, 0)]


def test_payload_without_bytes_is_not_stored(tmp_path: Path) -> None:
    """§5.1: that the field is there is in presence."""
    root = write(model_of(tensor_of(FLOAT, record(9, LEN, b""))), tmp_path)
    tensor = load(root).tables["TensorProto"]
    assert tensor.row(0)["presence"] == 0b101  # data_type, name, raw_data
    assert "raw_data" not in tensor.columns
    assert "Payload" not in load(root).tables


@pytest.mark.parametrize("n_bytes", [65_535, 65_536])
def test_long_texts(n_bytes: int, tmp_path: Path) -> None:
    """§5.1: a payload if 65,536 bytes or more, but never in a list."""
    text = b"\xff" * n_bytes
    strings = model_of(tensor_of(STRING, record(6, LEN, text)))
    data = record(6, LEN, text) + strings
    root = write(data, tmp_path)
    stored = load(root)
    is_payload = n_bytes == 65_536
    expected = [(0, "doc_string", "uint8", n_bytes, n_bytes, -1)] if is_payload else []
    assert list(payloads(stored)) == expected
    assert stored.tables["ModelProto"].row(0)["doc_string"] == (b"" if is_payload else text)
    assert stored.tables["TensorProto"].row(0)["string_data"] == [text]
    assert read_model(root, "model")[0] == data


def test_long_text_of_a_tensor_is_not_its_elements(tmp_path: Path) -> None:
    """§5.2: `tensor` is -1."""
    root = write(model_of(tensor_of(STRING, record(12, LEN, bytes(65_536)))), tmp_path)
    assert list(payloads(load(root))) == [(0, "doc_string", "uint8", 65_536, 65_536, -1)]


@every_sample
def test_rows_of_tensors(sample: Sample) -> None:
    """§5.3."""
    assert_rows_of_tensors(sample.stored)


def assert_rows_of_tensors(stored: StoredModel) -> None:
    """Cut all payloads where clusters begin, and compare with the rows and clusters there are."""
    position: Counter[str] = Counter()
    expected: dict[str, list[tuple[int, int, bytes, int, int]]] = defaultdict(list)
    for _, _, storage, n_values, _, tensor in payloads(stored):
        name = stored.tables["TensorProto"].get("name", tensor, b"") if tensor >= 0 else b""
        n_cluster, offset = 8_388_608 // VALUE_NBYTES[storage], 0
        while offset < n_values:
            cluster, n_before = divmod(position[storage], n_cluster)
            n_part = min(n_values - offset, n_cluster - n_before)
            expected[f"tensors/{storage}"].append((cluster, tensor, name, offset, n_part))
            position[storage] += n_part
            offset += n_part
    tables = {name: table for name, table in stored.tables.items() if name.startswith("tensors/")}
    assert set(tables) == set(expected)
    for name, table in tables.items():
        value_type = name.removeprefix("tensors/")
        value_type = f"std::{value_type}_t" if "int" in value_type else value_type
        assert {column: table.columns[column].type for column in table.columns} == {
            "tensor": "std::int64_t",
            "name": "std::string",
            "offset": "std::uint64_t",
            "values": f"std::vector<{value_type}>",
        }
        found = [
            (cluster, *(table.row(row)[key] for key in ("tensor", "name", "offset")), n_part)
            for cluster, (first, end) in enumerate(table.clusters)
            for row in range(first, end)
            for n_part in [len(table.columns["values"].rows[row])]
        ]
        assert found == expected[name]


def test_clusters_of_a_large_model(tmp_path: Path) -> None:
    """§5.3: 20 MB of floats, of which one tensor ends with a cluster and one is in two of them."""
    sizes = {
        b"small": 1_000,
        b"to the end": 2_097_152 - 1_000,
        b"over": 2_500_000,
        b"last": 400_000,
    }
    values = np.random.default_rng(1).bytes(4 * sum(sizes.values()))
    tensors, start = [], 0
    for name, n_values in sizes.items():
        raw_data = values[start : start + 4 * n_values]
        tensors.append(tensor_of(FLOAT, record(8, LEN, name), record(9, LEN, raw_data)))
        start += 4 * n_values
    root = write(model_of(*tensors), tmp_path, compression="none")
    stored = load(root)
    stored.check_tables()
    assert_rows_of_tensors(stored)
    floats = stored.tables["tensors/float"]
    assert [row for row, _ in floats.clusters] == [0, 2, 3]
    assert [floats.row(row)["name"] for row in range(floats.n_rows)] == [
        *(b"small", b"to the end", b"over", b"over", b"last"),
    ]
    assert b"".join(map(floats.columns["values"].pack, floats.columns["values"].rows)) == values
    assert Rebuilder(stored).rebuild() == (model_of(*tensors), {})


# --- External files (§6) ----------------------------------------------------------------------


@dataclass(frozen=True)
class ExternalCase:
    """Files, the tensors that lie in them, and the tensor of each segment, with its size."""

    files: dict[str, bytes]
    tensors: list[bytes]
    segments: list[tuple[str, int, int]]


EXTERNAL_CASES = {
    "order": ExternalCase(
        {"b": bytes(8), "s/größe": bytes(range(11))},
        [external_tensor(INT8, location="s/größe"), external_tensor(DOUBLE, location="b")],
        [("s/größe", 11, 0), ("b", 8, 1)],
    ),
    "gaps": ExternalCase(
        {"a": bytes(range(20))},
        [external_tensor(FLOAT, location="a", offset="2", length="8")],
        [("a", 2, -1), ("a", 8, 0), ("a", 10, -1)],
    ),
    "file without bytes": ExternalCase(
        {"empty": b"", "a": bytes(3)},
        [external_tensor(FLOAT, location="empty"), external_tensor(INT8, location="a")],
        [("a", 3, 1)],
    ),
}


@pytest.mark.parametrize("name", EXTERNAL_CASES)
def test_external_files(name: str, tmp_path: Path) -> None:
    """§5.2 and §6.2: in the order of the manifest and of their bytes."""
    case, path = EXTERNAL_CASES[name], tmp_path / "model.onnx"
    path.write_bytes(model_of(*case.tensors))
    for location, data in case.files.items():
        (tmp_path / location).parent.mkdir(exist_ok=True)
        (tmp_path / location).write_bytes(data)
    root = write(path, tmp_path)
    assert read_model(root, "model") == (path.read_bytes(), case.files)
    assert [(place, n_bytes, tensor) for place, _, n_bytes, tensor in segments(load(root))] == (
        case.segments
    )


@pytest.mark.parametrize("sample", [("external_data", "today")], indirect=True)
def test_segments_and_tensors(sample: Sample) -> None:
    """§6.2: each segment is part of the tensor that it names, or of none."""
    stored = sample.stored
    table = stored.tables["ExternalSegment"]
    assert {name: column.type for name, column in table.columns.items()} == {
        "presence": "std::uint64_t",
        "location": "std::string",
        "offset": "std::uint64_t",
        "nbytes": "std::uint64_t",
    }
    parts = external_parts(stored)
    files = [file["location"] for file in stored.manifest["external_files"]]
    found = list(segments(stored))
    assert list(dict.fromkeys(location for location, *_ in found)) == files
    for location, start, n_bytes, tensor in found:
        around = [
            row
            for row, (place, first, length) in parts.items()
            if place == location and first <= start and start + n_bytes <= first + length
        ]
        assert tensor in around if around else tensor == -1
    fields = [field for _, field, *_ in payloads(stored)]
    assert fields == sorted(fields, key=lambda field: field == "values")  # external ones last


def segments(stored: StoredModel) -> Iterator[tuple[str, int, int, int]]:
    """Yield location, offset, bytes and tensor of each segment, which has one payload."""
    entries = [payload for payload in payloads(stored) if payload[1] == "values"]
    table = stored.tables["ExternalSegment"]
    assert [payload[0] for payload in entries] == list(range(table.n_rows))
    for row, _, _, _, n_bytes, tensor in entries:
        segment = table.row(row)
        assert segment["nbytes"] == n_bytes > 0
        yield segment["location"].decode(), segment["offset"], n_bytes, tensor


def external_parts(stored: StoredModel) -> dict[int, tuple[str, int, float]]:
    """Return location, offset and length of each external tensor, by row."""
    found: dict[int, dict[bytes, bytes]] = defaultdict(dict)
    table = stored.tables["StringStringEntryProto"]
    for row in map(table.row, range(table.n_rows)):
        if row["parent_field"] == stored.codes["TensorProto", "external_data"]:
            found[row["parent"]][row["key"]] = row["value"]
    return {
        row: (
            entries[b"location"].decode(),
            int(entries.get(b"offset", 0)),
            float(entries.get(b"length", "inf")),
        )
        for row, entries in found.items()
    }


@pytest.mark.parametrize("location", ["../a", "/a", "a/../b", "a//b", "./a", "", "."])
def test_reader_refuses_locations(location: str, tmp_path: Path) -> None:
    """§6.1."""
    stored = load(write(b"", tmp_path))
    file = {"location": location, "nbytes": 0, "sha256": ""}
    stored.manifest["external_files"].append(file)
    with pytest.raises(FormatReaderError, match="refused"):
        Rebuilder(stored).rebuild()


# --- Samples (§8) -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_SAMPLES)
def test_samples(name: str) -> None:
    """§8.2."""
    for root in roots_of(name):
        rows = read_samples(root, "model")
        assert [row["batch"] for row in rows] == sorted(row["batch"] for row in rows)
        with onnxroot.open(root) as model:
            assert {row["batch"] for row in rows} == set(range(len(model.samples)))
            for row in rows:
                batch, place = model.samples[row["batch"]], row["name"].decode()
                value = (batch.outputs if row["is_output"] else batch.inputs)[place]
                assert list(value.shape) == row["dims"]
                expected = [x.encode() if isinstance(x, str) else x for x in value.ravel().tolist()]
                assert row["values"] == expected
                assert row["tolerance"] == (batch.tolerance[place] if row["is_output"] else 0)
