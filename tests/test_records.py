"""Long lists that stay the records of an ONNX file, against the arrays that others become."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onnxroot
from onnxroot import _join, _kernels, _records, _wire
from onnxroot._deviation import dissect
from onnxroot._join import Document, join
from onnxroot._records import LongColumn, Records
from onnxroot._root_file import RootFile
from onnxroot._schema import installed_schema
from onnxroot._stored import StoredModel
from onnxroot.errors import IntegrityError
from onnxroot.tables import Column, Tables
from tests.model_encodings import canonical_encodings, encodings

pytestmark = pytest.mark.skipif(not _kernels.available(), reason="there are no kernels")

N = 150_000
"""Elements that are enough for a column to stay records."""


@pytest.fixture(scope="module")
def short_is_long() -> Iterator[None]:
    """Let lists of a few elements stay records."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_records, "_LONG", 2)
        patch.setattr(_records, "_LONG_LIST", 1)
        patch.setattr(_wire, "_RUN_MIN", 1)
        patch.setattr(_join, "_LONG", 4)
        yield


def ensemble(n: int = N, seed: int = 1) -> onnx.ModelProto:
    """Return a model with long lists of all kinds, and short ones between them."""
    rng = np.random.default_rng(seed)
    texts = np.array([b"", b"LEAF", b"BRANCH_LEQ", b"x" * 127], object)
    node = onnx.NodeProto(op_type="TreeEnsemble", domain="ai.onnx.ml", output=["y"])
    for k, bits in enumerate((7, 14, 64)):
        values = rng.integers(0, 2**63, n, np.int64) >> (64 - bits)
        values[::997] *= -1
        node.attribute.add(name=f"ints{k}", type=onnx.AttributeProto.INTS, ints=values.tolist())
        node.attribute.add(name=f"short{k}", type=onnx.AttributeProto.INTS, ints=[k, 300, -1])
    floats = rng.standard_normal(n).astype(np.float32)
    node.attribute.add(name="floats", type=onnx.AttributeProto.FLOATS, floats=floats)
    strings = rng.choice(texts, n).tolist()
    node.attribute.add(name="strings", type=onnx.AttributeProto.STRINGS, strings=strings)
    graph = onnx.GraphProto(name="g", node=[node])
    return onnx.ModelProto(ir_version=10, graph=graph)


def tables_of(data: bytes) -> tuple[Tables, Document]:
    tables, buffers = dissect(np.frombuffer(data, np.uint8), installed_schema())
    return tables, join(tables, buffers)


def arrays_of(column: Column) -> list[np.ndarray]:
    return [*column.offsets, column.values]


def long_columns(tables: Tables) -> dict[str, LongColumn]:
    return {
        f"{name}.{field}": column
        for name, table in tables.tables.items()
        for field, column in table.columns.items()
        if isinstance(column, LongColumn)
    }


def same(tables: Tables, others: Tables) -> bool:
    """Return whether columns hold the same, whatever they are."""
    assert tables.tables.keys() == others.tables.keys()
    for name, table in tables.tables.items():
        columns = others.tables[name].columns
        assert table.columns.keys() == columns.keys()
        for field, column in table.columns.items():
            pairs = list(zip(arrays_of(column), arrays_of(columns[field]), strict=True))
            assert all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs), field
            assert len(column) == len(columns[field])
    return True


# --- What they hold ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> bytes:
    return bytes(ensemble().SerializeToString())


@pytest.fixture(scope="module")
def eager(data: bytes) -> Tables:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kernels, "available", lambda: False)
        return tables_of(data)[0]


def test_long_lists_stay_records(data: bytes, eager: Tables) -> None:
    tables, document = tables_of(data)
    assert set(long_columns(tables)) == {
        f"AttributeProto.{x}" for x in ("ints", "floats", "strings")
    }
    assert not long_columns(eager)
    assert same(tables, eager)
    assert len(document.skeleton) < 1000
    assert b"".join(window.tobytes() for window in document.windows()) == data
    assert b"".join(window.tobytes() for window in document.windows(999)) == data


@pytest.mark.parametrize("field", ["ints", "floats", "strings"])
def test_any_part_can_be_had(field: str, data: bytes, eager: Tables) -> None:
    column = tables_of(data)[0].tables["AttributeProto"].columns[field]
    expected = eager.tables["AttributeProto"].columns[field].levels()
    rng = np.random.default_rng(2)
    for level, array in zip(column.levels(), expected, strict=True):
        assert (level.dtype, level.nbytes, len(level)) == (array.dtype, array.nbytes, len(array))
        places = [0, 1, N - 1, N, N + 1, len(array)]
        places += rng.integers(0, len(array) + 1, 40).tolist()
        for start, stop in pairwise(sorted(min(place, len(array)) for place in places)):
            assert np.array_equal(level[start:stop], array[start:stop]), (start, stop)
        assert np.array_equal(level[-5:], array[-5:])
        assert len(level[7:3]) == 0


@pytest.mark.parametrize("field", ["ints", "floats", "strings"])
def test_they_are_read_page_by_page(field: str, data: bytes, eager: Tables, tmp_path: Path) -> None:
    onnxroot.write(data, tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        assert model.to_bytes() == data
        stored = model._stored.tables()
    assert isinstance(stored.tables["AttributeProto"].columns[field], LongColumn)
    assert same(stored, eager)


def pieces_of(column: LongColumn) -> list[np.ndarray]:
    records = column.records
    return list(records.pieces(0, records.wire_before[-1]))


@pytest.mark.parametrize("field", ["ints", "floats", "strings"])
def test_what_is_as_expected_takes_no_memory(field: str, data: bytes, tmp_path: Path) -> None:
    onnxroot.write(data, tmp_path / "m.root")
    source = np.frombuffer(data, np.uint8)
    other = bytes(ensemble(seed=2).SerializeToString())
    for expected, is_there in ((data, True), (other, False)):
        tables, _ = dissect(
            source if is_there else np.frombuffer(expected, np.uint8), installed_schema()
        )
        with RootFile(str(tmp_path / "m.root")) as file:
            stored = StoredModel(file, "model", _records.long_lists(tables))
            column = stored.tables().tables["AttributeProto"].columns[field]
            document = stored.document()
        assert isinstance(column, LongColumn)
        pieces = pieces_of(column)
        assert any(np.shares_memory(piece, source) for piece in pieces) == is_there
        assert all(np.shares_memory(piece, source) for piece in pieces) == is_there
        assert not any(piece.flags.writeable for piece in pieces)
        assert b"".join(window.tobytes() for window in document.windows()) == data


def test_only_these_bytes_match(data: bytes) -> None:
    columns = long_columns(tables_of(data)[0])
    assert any(len(column.records.runs) > 1 for column in columns.values())
    for column in columns.values():
        records, whole = column.records, np.concatenate(pieces_of(column))
        for k in range(len(records.runs)):
            start, stop = records.wire_before[k], records.wire_before[k + 1]
            found = records.matching(records.before[k], whole[start:stop])
            assert found is not None
            assert found.tobytes() == whole[start:stop].tobytes()
            changed = whole[start:stop].copy()
            changed[-1] ^= 1
            assert records.matching(records.before[k], changed) is None
        assert records.matching(len(records), whole[:1]) is None


def test_a_list_is_one_run(data: bytes) -> None:
    """Though it is looked for only once a field has occurred a few times."""
    for column in long_columns(tables_of(data)[0]).values():
        records, (rows, *_) = column.records, column.levels()
        n_lists = len(set(rows.tolist()) - {0})
        assert [run.n_records for run in records.runs] == np.diff(
            sorted({0, *rows.tolist()})
        ).tolist()
        assert len(records.runs) == n_lists
        for run in records.runs:
            if run.marks is not None:
                places, before = run.marks
                assert (places[0], before[0]) == (run.start, 0)


def test_what_comes_back_otherwise_is_not_written(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(wire: np.ndarray, tag: np.ndarray) -> np.ndarray:
        records = _kernels.write_varints(wire, tag)
        records[-1] ^= 1
        return records

    monkeypatch.setattr(_records, "encode_numbers", wrong)
    with pytest.raises(IntegrityError, match="did not come back identical"):
        onnxroot.write(data, tmp_path / "m.root")
    assert not list(tmp_path.iterdir())


def test_without_kernels_there_are_none(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file is the same, but for the time that it tells."""
    onnxroot.write(data, tmp_path / "a.root")
    monkeypatch.setattr(_kernels, "available", lambda: False)
    onnxroot.write(data, tmp_path / "b.root")
    with onnxroot.open(tmp_path / "a.root") as a, onnxroot.open(tmp_path / "b.root") as b:
        assert a.manifest.tables == b.manifest.tables
        assert not long_columns(a._stored.tables())
        assert a.to_bytes() == b.to_bytes() == data
    sizes = {path.stat().st_size for path in tmp_path.iterdir()}
    assert max(sizes) - min(sizes) < 64


# --- What can't stay records ------------------------------------------------------------------


def test_a_long_text_makes_arrays_of_all() -> None:
    model = ensemble()
    model.graph.node[0].attribute.add(
        name="long", type=onnx.AttributeProto.STRINGS, strings=[b"y" * 128]
    )
    data = model.SerializeToString()
    tables, document = tables_of(data)
    assert set(long_columns(tables)) == {"AttributeProto.ints", "AttributeProto.floats"}
    assert document.render(0, document.nbytes).tobytes() == data


def test_lists_at_several_depths_are_put_in_order() -> None:
    model = ensemble()
    inner = onnx.NodeProto(op_type="If")
    inner.attribute.add(
        name="then_branch", type=onnx.AttributeProto.GRAPH, g=ensemble(seed=2).graph
    )
    model.graph.node.insert(0, inner)
    data = model.SerializeToString()
    tables, document = tables_of(data)
    assert document.render(0, document.nbytes).tobytes() == data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kernels, "available", lambda: False)
        assert same(tables, tables_of(data)[0])


def test_other_encodings_are_arrays(tmp_path: Path) -> None:
    """A file that is not in canonical form is traced, record by record."""
    data = ensemble().SerializeToString()
    data += b"\x08\x8a\x00"  # ir_version once more, with a byte too many
    tables, document = tables_of(data)
    assert tables.deviation
    assert not long_columns(tables)
    assert document.render(0, document.nbytes).tobytes() == data
    onnxroot.write(data, tmp_path / "m.root")  # but there, they are
    with onnxroot.open(tmp_path / "m.root") as model:
        assert long_columns(model._stored.tables())
        assert model.to_bytes() == data


# --- Any model --------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_is_long")
@given(canonical_encodings())
def test_any_model(data: bytes) -> None:
    tables, document = tables_of(data)
    assert b"".join(window.tobytes() for window in document.windows(50)) == data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kernels, "available", lambda: False)
        assert same(tables, tables_of(data)[0])


@pytest.mark.usefixtures("short_is_long")
@settings(max_examples=40)
@given(data=encodings(), seed=st.integers(0, 99))
def test_any_encoding(data: bytes, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "m.root"
    onnxroot.write(data, path)
    with onnxroot.open(path) as model:
        assert model.to_bytes() == data
        document = model._stored.document()
        edges = np.random.default_rng(seed).integers(0, len(data) + 1, 12)
        for start, stop in pairwise(sorted(edges.tolist())):
            assert document.render(start, stop).tobytes() == data[start:stop]


@pytest.mark.usefixtures("short_is_long")
def test_a_list_right_behind_that_of_an_inner_message() -> None:
    """Nothing stands between them that would tell which one comes first."""
    node = onnx.NodeProto(op_type="A")
    attribute = node.attribute.add(name="a", floats=[1, 2, 3], ints=[4, 5])
    attribute.g.initializer.add(dims=[6, 7, 8])
    data = onnx.ModelProto(graph=onnx.GraphProto(node=[node])).SerializeToString()
    tables, document = tables_of(data)
    assert set(long_columns(tables)) == {
        "AttributeProto.floats",
        "AttributeProto.ints",
        "TensorProto.dims",
    }
    assert b"".join(window.tobytes() for window in document.windows()) == data


@pytest.mark.usefixtures("short_is_long")
def test_some_lists_of_short_models_are_records() -> None:
    """What the two tests above rely on."""
    node = onnx.NodeProto(op_type="A")
    node.attribute.add(name="a", type=onnx.AttributeProto.INTS, ints=[1, 2, 300])
    model = onnx.ModelProto(graph=onnx.GraphProto(node=[node]))
    found = long_columns(tables_of(model.SerializeToString())[0])
    assert set(found) == {"AttributeProto.ints"}
    assert found["AttributeProto.ints"].values.tolist() == [1, 2, 300]


# --- Damage -----------------------------------------------------------------------------------


def test_a_wrong_digest_is_noticed(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnxroot.write(data, tmp_path / "m.root")
    numbers = Records.numbers
    with monkeypatch.context() as patch:

        def other(records: Records, start: int, stop: int) -> np.ndarray:
            found = numbers(records, start, stop)
            found[-1:] += 1
            return found

        patch.setattr(Records, "numbers", other)
        with pytest.raises(IntegrityError, match="did not come back identical"):
            onnxroot.write(data, tmp_path / "other.root")
    assert [path.name for path in tmp_path.iterdir()] == ["m.root"]
    encode = _records.encode_numbers
    monkeypatch.setattr(_records, "encode_numbers", lambda values, tag: encode(values ^ 1, tag))
    with (
        onnxroot.open(tmp_path / "m.root") as model,
        pytest.raises(IntegrityError, match="SHA-256"),
    ):
        model.to_bytes()
