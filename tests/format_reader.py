"""A second reader of onnxroot's files: FORMAT.md in plain Python, and nothing of onnxroot.

It is here to be read beside FORMAT.md, whose sections the comments name, and to show that the
document is enough. It holds a whole model in memory, as Python objects, and is slow.

A column is a list with one entry per row: an `int`, `bytes` for a string, or a list of these. A
float is an `int` too, that of its bits: Python's own floats do not keep all bits of a NaN.
"""

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from math import prod
from pathlib import Path
from typing import Any

import awkward as ak
import uproot
import xxhash

FORMAT_VERSION = 1
VARINT, FIXED64, LEN, FIXED32 = 0, 1, 2, 5  # wire types of protobuf

WIRE_TYPES = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64"), VARINT),
    **dict.fromkeys(("sint32", "sint64", "bool", "enum"), VARINT),
    **dict.fromkeys(("fixed64", "sfixed64", "double"), FIXED64),
    **dict.fromkeys(("fixed32", "sfixed32", "float"), FIXED32),
    **dict.fromkeys(("string", "bytes"), LEN),
}
"""By scalar type of protobuf."""

SIGNED = "std::int8_t std::int16_t std::int32_t std::int64_t".split()
UNSIGNED = "std::uint8_t std::uint16_t std::uint32_t std::uint64_t".split()
STRUCT_CODES = dict(zip([*SIGNED, *UNSIGNED, "float", "double"], "bhiqBHIQIQ", strict=True))
"""How the struct module names the types T (§2.2); a float is its bits."""

STORAGES = "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float double".split()
"""Names of the RNTuples in `tensors/` by number (§5.2)."""

SAMPLES = "samples/Sample"
"""The only RNTuple that is no part of the ONNX file (§8.1)."""

ELEMENT_CODES = dict(zip((1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13), "fBbHhiq?dIQ", strict=True))
"""How the struct module names a `TensorProto.DataType` (§8.2)."""
STRING = 8


class FormatReaderError(Exception):
    """A file is not as FORMAT.md says."""


def require(condition: bool, complaint: str) -> None:
    if not condition:
        raise FormatReaderError(complaint)


def read_model(path: Path, directory: str) -> tuple[bytes, dict[str, bytes]]:
    """Return the ONNX file, and the external files by location, once every digest was checked."""
    with uproot.open(path) as file:
        stored = StoredModel(file[directory])
    stored.check_tables()
    return Rebuilder(stored).rebuild()


def read_samples(path: Path, directory: str) -> list[dict[str, Any]]:
    """Return the rows of the table of samples, with the elements as `values` (§8.2)."""
    with uproot.open(path) as file:
        stored = StoredModel(file[directory])
    stored.check_tables()
    table = stored.tables[SAMPLES]
    rows = [table.row(row) for row in range(table.n_rows)]
    for row in rows:
        n_values, is_text = prod(row["dims"]), row["data_type"] == STRING
        require(not row["raw_data" if is_text else "string_data"], f"{SAMPLES}: both data")
        if is_text:
            row["values"] = row["string_data"]
            require(len(row["values"]) == n_values, f"{SAMPLES}: other dims than texts")
        else:
            code = ELEMENT_CODES[row["data_type"]]
            row["values"] = list(struct.unpack(f"<{n_values}{code}", row["raw_data"]))
        (row["tolerance"],) = struct.unpack("<d", struct.pack("<Q", row["tolerance"]))
    return rows


# --- tables (§2, §3) ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """A field of an RNTuple, with ROOT's name of its type."""

    type: str
    rows: list[Any]

    @property
    def value_type(self) -> str:
        return self.type.removeprefix("std::vector<").removesuffix(">")

    def pack(self, values: list[int]) -> bytes:
        return struct.pack(f"<{len(values)}{STRUCT_CODES[self.value_type]}", *values)

    def digested(self, first: int, end: int) -> Iterator[bytes]:
        """Yield what a digest covers of some rows: ends of lists, then values (§3.4)."""
        values = self.rows[first:end]
        if self.type != self.value_type:
            yield list_ends(values)
            values = list(chain.from_iterable(values))
        if self.value_type == "std::string":
            yield list_ends(values)
            yield b"".join(values)
        else:
            yield self.pack(values)


def list_ends(lists: list[Any]) -> bytes:
    return struct.pack(f"<{len(lists)}q", *accumulate(map(len, lists)))


def read_column(field: Any) -> Column:
    array = field.array()
    column = Column(field.typename, [])
    if column.value_type in ("float", "double"):
        bits = STRUCT_CODES[column.value_type]
        flat = ak.to_numpy(ak.flatten(array, axis=None)).view(bits)
        array = flat if column.type == column.value_type else ak.unflatten(flat, ak.num(array))
    column.rows.extend(as_bytes(array.tolist()) if "string" in column.type else array.tolist())
    return column


def as_bytes(strings: Any) -> Any:
    """Undo what Awkward Array does to the bytes of a string, also in lists (§2.2)."""
    if isinstance(strings, str):
        return strings.encode(errors="surrogateescape")
    return [as_bytes(string) for string in strings]


class Table:
    """An RNTuple: its columns in order, and its clusters as pairs of first row and end."""

    def __init__(self, ntuple: Any) -> None:
        names = ntuple.keys(recursive=False)
        self.columns = {name: read_column(ntuple[name]) for name in names}
        self.n_rows = ntuple.num_entries
        firsts = [cluster.num_first_entry for cluster in ntuple.cluster_summaries]
        self.clusters = list(pairwise([*firsts, self.n_rows]))

    def get(self, name: str, row: int, default: Any) -> Any:
        """Return a value, which is the default where there is no such column (§4.4)."""
        return self.columns[name].rows[row] if name in self.columns else default

    def row(self, row: int) -> dict[str, Any]:
        return {name: column.rows[row] for name, column in self.columns.items()}

    def digest(self, cluster: tuple[int, int], names: tuple[str, ...]) -> str:
        parts = [list(self.columns[name].digested(*cluster)) for name in names]
        if names == ("values",):
            parts = [parts[0][1:]]  # without the ends: in tensors/ they do not count
        return xxhash.xxh64_hexdigest(b"".join(chain.from_iterable(parts)))


class StoredModel:
    """What is in a directory: the manifest, and the tables by name."""

    def __init__(self, directory: Any) -> None:
        text = str(directory["manifest"])
        self.manifest = json.loads(text)
        require(self.manifest["format"] == "onnxroot", "not a model of onnxroot")
        require(self.manifest["format_version"] <= FORMAT_VERSION, "made by a later onnxroot")
        digest = self.manifest["digest"]
        blank = text.replace(digest, "0" * 16, 1)
        require(xxhash.xxh64_hexdigest(blank.encode()) == digest, "the manifest's digest is wrong")
        self.schema = self.manifest["schema"]
        fields = [(name, field[1]) for name in self.schema for field in self.schema[name]]
        self.codes = {field: code for code, field in enumerate(fields)}  # §3.3
        self.tables = {name: Table(directory[name]) for name in self.manifest["tables"]}

    def check_tables(self) -> None:
        """Compare rows, clusters and digests with the manifest (§3.2, §3.4)."""
        for name, expected in self.manifest["tables"].items():
            table = self.tables[name]
            require(table.n_rows == expected["rows"], f"{name}: {table.n_rows} rows")
            names = ("values",) if name.startswith("tensors/") else tuple(table.columns)
            digests = [table.digest(cluster, names) for cluster in table.clusters]
            require(digests == expected["digests"], f"{name}: other clusters or values")


# --- the canonical form (§4), payloads (§5), external files (§6) ----------------------------------


class Rebuilder:
    """Write a model from its tables, with one cursor for each (§4.1)."""

    def __init__(self, stored: StoredModel) -> None:
        self.stored = stored
        self.cursors: Counter[str] = Counter()
        self.values = {  # §5.3: the rows end to end
            name: list(chain.from_iterable(table.columns["values"].rows))
            for name, table in stored.tables.items()
            if name.startswith("tensors/")
        }

    def rebuild(self) -> tuple[bytes, dict[str, bytes]]:
        """Write everything, check that no row or value is left over, and compare digests."""
        data = self.message("ModelProto")
        deviation = self.stored.tables["ModelProto"].get("deviation", 0, None)
        if deviation is not None:
            data = deviate(data, deviation)
        files = self.external_files()
        for name, table in self.stored.tables.items():
            if name == SAMPLES:
                continue
            length = len(self.values[name]) if name in self.values else table.n_rows
            require(self.cursors[name] == length, f"{name}: something is left over")
        check_file("the ONNX file", data, self.stored.manifest["onnx"])
        for file in self.stored.manifest["external_files"]:
            check_file(file["location"], files[file["location"]], file)
        return data, files

    def message(self, type_name: str) -> bytes:
        """Write the message in the next row of a type's table (§4.4)."""
        row = self.cursors[type_name]
        self.cursors[type_name] += 1
        presence = self.stored.tables[type_name].get("presence", row, None)
        out = bytearray()
        for number, name, kind, label in self.stored.schema[type_name]:
            code = self.stored.codes[type_name, name]
            if kind in self.stored.schema:
                while self.is_next(kind, parent=row, parent_field=code):
                    out += record(number, LEN, self.message(kind))
                continue
            if label == "optional":
                presence, present = divmod(presence, 2)  # §4.3
                if not present:
                    continue
            values = self.field_values(type_name, row, name, kind, label)
            if label != "packed":
                out += b"".join(record(number, WIRE_TYPES[kind], value) for value in values)
            elif values:
                out += record(number, LEN, b"".join(values))
        require(presence == 0, f"{type_name}: row {row} has more bits in presence than fields")
        return bytes(out)

    def is_next(self, table_name: str, **expected: int) -> bool:
        """Whether there is a next row, and it holds these values (§4.2, §5.2)."""
        table, row = self.stored.tables.get(table_name), self.cursors[table_name]
        if table is None or row == table.n_rows:
            return False
        return all(table.columns[name].rows[row] == value for name, value in expected.items())

    def field_values(
        self, type_name: str, row: int, name: str, kind: str, label: str
    ) -> list[bytes]:
        """Return what the field's records hold; of a payload, all values as one."""
        if self.is_next("Payload", field=self.stored.codes[type_name, name], row=row):
            return [self.payload(kind)]
        if label == "optional":
            nothing = b"" if WIRE_TYPES[kind] == LEN else 0
            return [encode(kind, self.stored.tables[type_name].get(name, row, nothing))]
        return [encode(kind, value) for value in self.stored.tables[type_name].get(name, row, [])]

    def payload(self, kind: str) -> bytes:
        """Return the bytes of the next payload (§5.2)."""
        entry = self.stored.tables["Payload"].row(self.cursors["Payload"])
        self.cursors["Payload"] += 1
        storage = f"tensors/{STORAGES[entry['storage']]}"
        start = self.cursors[storage]
        self.cursors[storage] += entry["n_values"]
        values = self.values[storage][start : self.cursors[storage]]
        if WIRE_TYPES[kind] == VARINT:
            data = b"".join(encode(kind, value) for value in values)
        else:
            data = self.stored.tables[storage].columns["values"].pack(values)
        require(len(data) == entry["nbytes"], f"a payload of {len(data)} bytes: {entry}")
        return data

    def external_files(self) -> dict[str, bytes]:
        """Put the segments of the external files together (§6)."""
        files = {file["location"]: b"" for file in self.stored.manifest["external_files"]}
        for location in files:
            require({"", ".", ".."}.isdisjoint(location.split("/")), f"{location}: refused")
        while self.is_next("ExternalSegment"):
            row = self.cursors["ExternalSegment"]
            self.cursors["ExternalSegment"] += 1
            segment = self.stored.tables["ExternalSegment"].row(row)
            location = segment["location"].decode()
            require(segment["offset"] == len(files[location]), f"{location}: a gap")
            [data] = self.field_values("ExternalSegment", row, "values", "bytes", "optional")
            require(segment["nbytes"] == len(data), f"{location}: {segment}")
            files[location] += data
        return files


def check_file(name: str, data: bytes, expected: dict[str, Any]) -> None:
    """Compare with what the manifest says (§3.1)."""
    require(len(data) == expected["nbytes"], f"{name}: {len(data)} bytes")
    require(hashlib.sha256(data).hexdigest() == expected["sha256"], f"{name}: other bytes")


# --- protobuf (§4.4) ------------------------------------------------------------------------------


def record(number: int, wire_type: int, value: bytes) -> bytes:
    length = varint(len(value)) if wire_type == LEN else b""
    return varint(number * 8 + wire_type) + length + value


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def encode(kind: str, value: Any) -> bytes:
    """Return a value as it stands in a record, behind tag and length."""
    if WIRE_TYPES[kind] == LEN:
        return value
    if kind.startswith("sint"):
        value = 2 * value if value >= 0 else -2 * value - 1
    if WIRE_TYPES[kind] == VARINT:
        return varint(value % 2**64)
    n_bytes = 4 if WIRE_TYPES[kind] == FIXED32 else 8
    return (value % 2 ** (8 * n_bytes)).to_bytes(n_bytes, "little")


# --- the deviation (§7) ---------------------------------------------------------------------------


def deviate(canonical: bytes, deviation: bytes) -> bytes:
    """Return what the edits write."""
    *numbers, literals = deviation_fields(deviation)
    out, position = bytearray(), 0
    for start, n_bytes, n_literal in zip(*map(varints, numbers), strict=True):
        require(start + n_bytes <= len(canonical), "an edit copies what is not there")
        out += canonical[start : start + n_bytes]
        out += literals[position : position + n_literal]
        position += n_literal
    require(position == len(literals), "there are more literals than edits")
    return bytes(out)


def deviation_fields(data: bytes) -> Iterator[bytes]:
    """Yield the four fields, each a tag, a length and so many bytes (§7.2)."""
    position = 0
    for number in (1, 2, 3, 4):
        tag, position = read_varint(data, position)
        length, position = read_varint(data, position)
        require(tag == number * 8 + LEN and position + length <= len(data), "a broken deviation")
        yield data[position : position + length]
        position += length
    require(position == len(data), "bytes behind the deviation")


def varints(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = read_varint(data, position)
        yield value


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a varint, and the position behind it."""
    value = shift = 0
    while True:
        require(position < len(data), "a varint without an end")
        byte = data[position]
        value += byte % 128 << shift
        shift, position = shift + 7, position + 1
        if byte < 128:
            return value, position
