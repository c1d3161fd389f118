"""ONNX bytes to tables and back: every byte, whatever the encoding."""

import random
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

import onnxroot
from onnxroot._deviation import dissect
from onnxroot._edits import Edits
from onnxroot._join import Document, join
from onnxroot._schema import Schema, installed_schema
from onnxroot._spec import CHUNK_NBYTES
from onnxroot.errors import FormatError
from onnxroot.tables import Tables
from tests.golden import GOLDEN_NAMES, golden
from tests.model_encodings import (
    LEN,
    VARINT,
    canonical_encodings,
    encodings,
    random_model_bytes,
    record,
    varint,
)

U8 = npt.NDArray[np.uint8]

pytestmark = pytest.mark.usefixtures("both_twins")

N_FUZZ, N_FUZZ_FILES, N_SLICES = 10_000, 1_000, 8


def taken_apart(data: bytes) -> tuple[Tables, Document, Document]:
    """Take bytes apart; return the tables, the document, and the document in canonical form."""
    tables, buffers = dissect(np.frombuffer(data, np.uint8), installed_schema())
    plain = Tables(schema=tables.schema, tables=tables.tables, payloads=tables.payloads)
    return tables, join(tables, buffers), join(plain, buffers)


def whole(document: Document) -> bytes:
    return document.render(0, document.nbytes).tobytes()


def known(data: bytes) -> bytes:
    """Return what protobuf knows of a model; bytes, so that NaNs are compared too."""
    model = onnx.ModelProto.FromString(data)
    model.DiscardUnknownFields()
    return bytes(model.SerializeToString(deterministic=True))


# --- Random models ----------------------------------------------------------------------------


@given(canonical_encodings())
def test_canonical_models_have_no_deviation(data: bytes) -> None:
    tables, document, _ = taken_apart(data)
    assert tables.deviation == b""
    assert whole(document) == data


@given(encodings())
def test_every_encoding_comes_back(data: bytes) -> None:
    _, document, _ = taken_apart(data)
    assert document.nbytes == len(data)
    assert whole(document) == data


@pytest.mark.sweep
@given(encodings())
def test_tables_hold_what_protobuf_reads(data: bytes) -> None:
    tables, _, plain = taken_apart(data)
    canonical = whole(plain)
    assert known(canonical) == known(data)
    again, _, _ = taken_apart(canonical)
    assert again.deviation == b""
    assert (tables.deviation != b"") == (canonical != data)


@given(encodings(), st.data())
@settings(max_examples=40)
def test_any_range_of_a_document(data: bytes, draw: st.DataObject) -> None:
    _, document, _ = taken_apart(data)
    edges = st.integers(0, len(data))
    for _ in range(10):
        start, stop = sorted((draw.draw(edges), draw.draw(edges)))
        assert document.render(start, stop).tobytes() == data[start:stop]
    nbytes = draw.draw(st.integers(1, len(data) + 1))
    assert b"".join(window.tobytes() for window in document.windows(nbytes)) == data


@given(encodings())
@settings(max_examples=30)
def test_the_schema_of_a_manifest_reads_the_same(data: bytes) -> None:
    """What `join` needs of the schema survives the manifest."""
    tables, buffers = dissect(np.frombuffer(data, np.uint8), installed_schema())
    schema = Schema.from_json(installed_schema().to_json())
    read = Tables(
        schema=schema, tables=tables.tables, payloads=tables.payloads, deviation=tables.deviation
    )
    assert whole(join(read, buffers)) == data


@pytest.mark.parametrize("seed", range(0, 400, 100))
def test_broken_models_are_refused_or_come_back(seed: int) -> None:
    """Agree with protobuf on what is a model; protobuf alone overlooks wire types that clash."""
    outcomes: Counter[str] = Counter()
    for number in range(seed, seed + 100):
        data = mutated(random_model_bytes(number), random.Random(number))
        if is_model(data):
            assert whole(taken_apart(data)[1]) == data
            outcomes["came back"] += 1
        else:
            with pytest.raises(FormatError) as caught:
                taken_apart(data)
            assert caught.value.offset is not None
            assert 0 <= caught.value.offset <= len(data)
            outcomes["refused"] += 1
    assert outcomes["refused"] > 20
    assert outcomes["came back"] > 5


def is_model(data: bytes) -> bool:
    """Ask protobuf, which reads a known field in a wrong wire type as an unknown one."""
    try:
        onnx.ModelProto.FromString(data)
        taken_apart(data)
    except DecodeError:
        return False
    except FormatError as error:
        return "can't have wire type" not in str(error)
    return True


def mutated(data: bytes, generator: random.Random) -> bytes:
    """Change, cut or insert bytes at random places."""
    out = bytearray(data)
    for _ in range(generator.randint(1, 2)):
        position = generator.randint(0, len(out))
        match generator.randrange(4):
            case 0:
                out[position : position + 1] = generator.randbytes(1)
            case 1:
                del out[position : position + generator.randint(1, 3)]
            case 2:
                out[position:position] = generator.randbytes(generator.randint(1, 12))
            case 3:
                del out[position:]
    return bytes(out)


# --- Given models -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_golden_models(name: str) -> None:
    data = golden(name).read_bytes()
    tables, document, plain = taken_apart(data)
    assert whole(document) == data
    assert known(whole(plain)) == known(data)
    assert bool(tables.deviation) == (name == "non_canonical")


def test_every_message_type_has_a_table() -> None:
    found: set[str] = set()
    for seed in range(60):
        found |= set(taken_apart(random_model_bytes(seed))[0].tables)
    assert found == set(installed_schema().tree)


@pytest.mark.parametrize(("depth", "allowed"), [(100, True), (101, False)])
def test_nesting(depth: int, *, allowed: bool) -> None:
    """A graph in an attribute in a node in a graph ... in the model."""
    data = b""
    for level in reversed(range(1, depth)):
        data = record((6, 1, 5)[level % 3], LEN, data)
    data = record(7, LEN, data)
    if allowed:
        assert onnx.ModelProto.FromString(data)
        assert whole(taken_apart(data)[1]) == data
    else:
        with pytest.raises(FormatError, match="messages nest deeper than 100"):
            taken_apart(data)


PACKED = {  # records of a tensor or an attribute that protobuf refuses, and the offset of the fault
    "floats of 5 bytes": (record(5, LEN, record(4, LEN, b"abcde")), 4),
    "doubles of 9 bytes": (record(5, LEN, record(10, LEN, b"abcdefghi")), 4),
    "integers cut": (record(5, LEN, record(7, LEN, b"\x01\x80")), 4),
    "integer too long": (record(5, LEN, record(7, LEN, b"\x01" + b"\x80" * 10 + b"\x01")), 7),
    "integer cut in the second record": (
        record(5, LEN, record(7, LEN, b"\x01\x80\x01") + record(7, LEN, b"\x80")),
        9,
    ),
}


@pytest.mark.parametrize("case", PACKED)
def test_packed_values_that_are_cut(case: str) -> None:
    graph, offset = PACKED[case]
    data = record(7, LEN, graph)
    with pytest.raises(DecodeError):
        onnx.ModelProto.FromString(data)
    with pytest.raises(FormatError) as caught:
        taken_apart(data)
    assert caught.value.offset == offset


ATTRIBUTE = {
    "floats of 5 bytes": record(7, LEN, b"abcde"),
    "integers cut": record(8, LEN, b"\x01\x80"),
    "integer too long": record(8, LEN, b"\x80" * 10 + b"\x01"),
    "integers cut before others": record(8, LEN, b"\x80") + record(8, LEN, b"\x01"),
    "floats of 2 and 2 bytes": record(7, LEN, b"ab") * 2,
}


@pytest.mark.parametrize("case", ATTRIBUTE)
def test_packed_attributes_that_are_cut(case: str) -> None:
    """Lists that stand in columns; protobuf would write them unpacked, but reads them so too."""
    data = record(7, LEN, record(1, LEN, record(5, LEN, ATTRIBUTE[case])))
    with pytest.raises(DecodeError):
        onnx.ModelProto.FromString(data)
    with pytest.raises(FormatError) as caught:
        taken_apart(data)
    assert caught.value.offset is not None
    assert 6 <= caught.value.offset <= len(data)


# --- The deviation is proportional ------------------------------------------------------------


def graph_of(n_nodes: int, *, swapped: int | None = None) -> bytes:
    """Make a model of many nodes, in canonical form but for two fields of one node."""
    nodes = []
    for number in range(n_nodes):
        parts = [
            record(1, LEN, b"x%d" % number),
            record(2, LEN, b"x%d" % (number + 1)),
            record(3, LEN, b"node_%d" % number),
            record(4, LEN, b"LeakyRelu"),
            record(5, LEN, record(1, LEN, b"alpha") + record(20, VARINT, 1)),
        ]
        if number == swapped:
            parts[2:4] = reversed(parts[2:4])
        nodes.append(record(1, LEN, b"".join(parts)))
    return record(1, VARINT, 10) + record(7, LEN, b"".join(nodes))


@pytest.mark.parametrize("swapped", [0, 10_000, 19_999])
def test_one_swapped_pair_of_20_000_nodes(swapped: int) -> None:
    data = graph_of(20_000, swapped=swapped)
    tables, document, plain = taken_apart(data)
    assert whole(document) == data
    assert whole(plain) == graph_of(20_000)
    assert len(tables.deviation) < 200


@pytest.mark.sweep
def test_one_swapped_pair_of_100_000_nodes_in_a_file(tmp_path: Path) -> None:
    nbytes = []
    for swapped in (None, 50_000):
        data = graph_of(100_000, swapped=swapped)
        path = tmp_path / f"{swapped}.root"
        onnxroot.write(data, path)
        with onnxroot.open(path) as model:
            assert model.to_bytes() == data
        nbytes.append(path.stat().st_size)
    assert nbytes[1] - nbytes[0] < 1000


OVERLONG = {"two_bytes": b"\x85\x00", "ten_bytes": b"\x85" + b"\x80" * 8 + b"\x00"}


@cache
def many_varints() -> tuple[bytes, ...]:
    return tuple(varint(value * value % 2**31) for value in range(600_000))


@pytest.mark.sweep
@pytest.mark.parametrize("overlong", OVERLONG)
@pytest.mark.parametrize("field", ["int32_data", "int64_data", "uint64_data"])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_an_overlong_varint_among_many(field: str, overlong: str, where: str) -> None:
    """All other varints of the field are copied, not spelled out."""
    number = onnx.TensorProto.DESCRIPTOR.fields_by_name[field].number
    values = list(many_varints())
    values[{"first": 0, "middle": 300_000, "last": -1}[where]] = OVERLONG[overlong]
    tensor = record(number, LEN, b"".join(values))
    data = record(7, LEN, record(5, LEN, tensor))
    tables, document, _ = taken_apart(data)
    assert whole(document) == data
    assert len(tables.deviation) < 200


DEVIATIONS = {
    "payload given in two records": lambda raw: record(9, LEN, b"gone") + record(9, LEN, raw),
    "name behind the payload": lambda raw: record(9, LEN, raw) + record(8, LEN, b"w"),
    "length of the payload overlong": lambda raw: record(9, LEN, raw, width=5),
    "tag of the payload overlong": lambda raw: record(9, LEN, raw, tag_width=3),
    "unknown field behind": lambda raw: record(9, LEN, raw) + record(999, LEN, b"unknown"),
    "floats in two records": lambda raw: record(4, LEN, raw) + record(4, LEN, raw),
    "other floats unpacked": lambda raw: record(4, 5, raw[:4]) + record(4, LEN, raw),
    "doubles packed around an unpacked one": lambda raw: (
        record(10, LEN, raw) + record(10, 1, raw[:8]) + record(10, LEN, raw)
    ),
    "integers in two records": lambda raw: (
        record(7, LEN, bytes(b & 0x7F for b in raw)) + record(7, LEN, b"\x01" * 1_000_000)
    ),
}


@pytest.mark.sweep
@pytest.mark.parametrize("kind", DEVIATIONS)
def test_large_payloads_are_copied(kind: str) -> None:
    raw = random.Random(1).randbytes(2 * CHUNK_NBYTES)
    tensor = DEVIATIONS[kind](raw)
    data = record(7, LEN, record(5, LEN, record(1, VARINT, 4) + tensor))
    tables, document, _ = taken_apart(data)
    assert len(tables.deviation) < 500
    position = 0
    for window in document.windows():
        assert window.tobytes() == data[position : position + len(window)]
        position += len(window)
    assert position == len(data)


def test_unpacked_numbers_cost_no_more_than_they_take() -> None:
    """Each value of an unpacked payload field has a tag of its own: nothing long to copy."""
    data = record(7, LEN, record(5, LEN, b"".join(record(7, VARINT, n) for n in range(50_000))))
    tables, document, _ = taken_apart(data)
    assert whole(document) == data
    assert len(tables.deviation) < 2 * len(data)


ATTRIBUTE_FIELDS = {field.name: field.number for field in onnx.AttributeProto.DESCRIPTOR.fields}
IN_A_RUN = {
    "nothing": b"",
    "overlong": record(ATTRIBUTE_FIELDS["ints"], VARINT, 5, width=3),
    "packed": record(ATTRIBUTE_FIELDS["ints"], LEN, b"\x05\x06"),
    "another field": record(ATTRIBUTE_FIELDS["i"], VARINT, 5),
    "unknown": record(999, VARINT, 5),
}


@pytest.mark.parametrize("between", IN_A_RUN)
def test_long_lists_of_attributes(between: str) -> None:
    """Trees have them: one message with hundreds of thousands of records."""
    random_ = random.Random(3)
    ints = [random_.randrange(-(2**63), 2**63) >> random_.randrange(64) for _ in range(16_000)]
    texts = [b"LEAF" if i % 3 else b"x" * (i % 300) for i in range(6_000)]
    half = len(ints) // 2
    data = b"".join(record(7, 5, random_.randbytes(4)) for _ in range(16_000))
    data += b"".join(record(8, VARINT, value % 2**64) for value in ints[:half])
    data += IN_A_RUN[between]
    data += b"".join(record(8, VARINT, value % 2**64) for value in ints[half:])
    data += b"".join(record(9, LEN, text) for text in texts)
    data = record(7, LEN, record(1, LEN, 2 * record(5, LEN, data)))
    tables, document, _ = taken_apart(data)
    assert whole(document) == data
    assert (tables.deviation == b"") == (between == "nothing")
    table = tables.tables["AttributeProto"]
    more = {"overlong": [5], "packed": [5, 6]}.get(between, [])
    assert table.columns["ints"].to_list() == 2 * [ints[:half] + more + ints[half:]]
    assert table.columns["strings"].to_list()[1] == [text.decode() for text in texts]
    assert table.columns["floats"].offsets[0].tolist() == [0, 16_000, 32_000]


RUNS_AND_PACKED = {
    "floats": (record(7, 5, b"abcd"), record(7, LEN, b"efghijkl")),
    "ints": (record(8, VARINT, 300), record(8, LEN, b"\x05\x06")),
}


@pytest.mark.parametrize("packed_first", [True, False])
@pytest.mark.parametrize("name", RUNS_AND_PACKED)
def test_a_field_may_be_packed_beside_a_long_run(name: str, packed_first: bool) -> None:
    one, packed = RUNS_AND_PACKED[name]
    content = packed + one * 200 if packed_first else one * 200 + packed
    data = record(7, LEN, record(1, LEN, record(5, LEN, content)))
    tables, document, _ = taken_apart(data)
    assert whole(document) == data
    column = tables.tables["AttributeProto"].columns[name]
    read = list(getattr(onnx.ModelProto.FromString(data).graph.node[0].attribute[0], name))
    assert column.to_list() == [read]


# --- Edits ------------------------------------------------------------------------------------


def test_edits_are_copies_and_literals() -> None:
    data = np.frombuffer(b"--copied++again!", np.uint8)
    edits = Edits.of_pieces(np.array([2, 10]), np.array([8, 15]), np.array([100, 7]), data)
    assert len(edits) == 3
    assert edits.copy_start.tolist() == [0, 100, 7]
    assert edits.copy_nbytes.tolist() == [0, 6, 5]
    assert edits.literal_nbytes.tolist() == [2, 2, 1]
    assert edits.literals.tobytes() == b"--++!"
    assert edits.nbytes == len(data)
    again = Edits.from_bytes(edits.to_bytes(), 106)
    assert again.to_bytes() == edits.to_bytes()


def test_neighbours_become_one_edit() -> None:
    edits = Edits.of_pieces(
        np.array([0, 4]), np.array([4, 9]), np.array([20, 24]), np.zeros(9, np.uint8)
    )
    assert edits.copy_nbytes.tolist() == [0, 9]


def stored_edits(*fields: bytes) -> bytes:
    return b"".join(record(number, LEN, field) for number, field in enumerate(fields, start=1))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "can't be read"),
        (record(2, LEN, b""), "can't be read"),
        (stored_edits(b"\x00", b"\x01", b"\x00"), "can't be read"),
        (stored_edits(b"\x00", b"\x01", b"\x00", b"")[:-1] + b"\x05", "cut"),
        (stored_edits(b"\x00\x00", b"\x01", b"\x00", b""), "differ in length"),
        (stored_edits(b"\x00", varint(2**63), b"\x00", b""), "too large"),
        (stored_edits(b"\x06", b"\x05", b"\x00", b""), "not there"),
        (stored_edits(b"\x00", b"\x05", b"\x02", b"x"), "not there"),
    ],
)
def test_damaged_edits(data: bytes, complaint: str) -> None:
    with pytest.raises(FormatError, match=f"the deviation is damaged: .*{complaint}"):
        Edits.from_bytes(data, 10)


# --- Longer -----------------------------------------------------------------------------------


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(N_SLICES))
def test_fuzz_codec(part: int) -> None:
    for seed in range(part, N_FUZZ, N_SLICES):
        data = random_model_bytes(seed)
        assert whole(taken_apart(data)[1]) == data, f"seed {seed}"


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(N_SLICES))
def test_fuzz_files(part: int, tmp_path: Path) -> None:
    path = tmp_path / "model.root"
    for seed in range(part, N_FUZZ_FILES, N_SLICES):
        data = random_model_bytes(seed)
        onnxroot.write(data, path, replace=True)
        with onnxroot.open(path) as model:
            assert model.to_bytes() == data, f"seed {seed}"


@pytest.mark.fuzz
@given(encodings())
def test_fuzz_encodings(data: bytes) -> None:
    _, document, plain = taken_apart(data)
    assert whole(document) == data
    assert known(whole(plain)) == known(data)
