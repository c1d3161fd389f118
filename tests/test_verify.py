"""Damage: whatever is done to a file, it gives back the right bytes or says that it is damaged."""

import io
import json
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
import xxhash

import onnxroot
from onnxroot import api
from onnxroot._chunks import labels
from onnxroot._describe import describe
from onnxroot._manifest import Manifest
from onnxroot._rntuple_write import ModelWriter
from onnxroot._schema import installed_schema
from onnxroot.tables import NO_ROW, Column, Table, Tables
from tests.golden import golden
from tests.model_encodings import LEN, record
from tests.samples import linear_model

NAMES = ("mlp_jet_tagger", "control_flow", "data_types", "external_data", "non_canonical")

N_DAMAGES = 100
"""For each model; `tox -e fuzz` takes many more."""


# --- Random damage ----------------------------------------------------------------------------


def damaged(data: bytes, generator: random.Random) -> bytes:
    """Flip a bit, change a byte or several, or cut the file."""
    out = bytearray(data)
    position = generator.randrange(len(out))
    match generator.randrange(4):
        case 0:
            out[position] ^= 1 << generator.randrange(8)
        case 1:
            out[position] = generator.choice((0, 0x7F, 0x80, 0xFF, generator.randrange(256)))
        case 2:
            out[position : position + 8] = generator.randbytes(8)
        case 3:
            del out[position:]
    return bytes(out)


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Fail what takes longer, instead of waiting for it."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"still busy after {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def outcome(path: Path, expected: dict[str, bytes]) -> str:
    """Read the model; it must be the one that was stored, or an error of ours."""
    try:
        found = rebuilt(path)
    except (onnxroot.OnnxRootError, OSError) as error:
        return type(error).__name__
    assert found == expected
    return "identical"


def rebuilt(path: Path) -> dict[str, bytes]:
    """Return the ONNX file, under an empty name, and its external files, as `save` writes them."""
    found = {}
    with onnxroot.open(path) as model:
        stored = model._stored
        for location, document in {"": stored.document(), **stored.files}.items():
            out = io.BytesIO()
            stored.copy(document, out, location)
            found[location] = out.getvalue()
    return found


def sweep(name: str, folder: Path, seed: int, n_damages: int) -> Counter[str]:
    """Damage a stored model in many ways; count what comes of it."""
    path = folder / "model.root"
    onnxroot.write(golden(name), path)
    undamaged = path.read_bytes()
    expected = rebuilt(path)
    assert expected[""] == golden(name).read_bytes()
    generator = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(n_damages):
        path.write_bytes(damaged(undamaged, generator))
        with time_limit(30):
            found = outcome(path, expected)
            outcomes[found] += 1
            try:
                problems = onnxroot.verify(path).problems
            except (onnxroot.OnnxRootError, OSError):
                problems = ("can't be opened",)
            assert problems or found == "identical"
    return outcomes


@pytest.mark.sweep
@pytest.mark.parametrize("name", NAMES)
def test_random_damage(name: str, tmp_path: Path) -> None:
    outcomes = sweep(name, tmp_path, 1, N_DAMAGES)
    # Much of a small file is padding, statistics, and what others need: harmless.
    assert N_DAMAGES // 10 < outcomes["identical"] < N_DAMAGES // 2
    assert outcomes["FormatError"] > 0
    assert outcomes["IntegrityError"] > 0


@pytest.mark.fuzz
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(2, 6))
def test_fuzz_damage(name: str, seed: int, tmp_path: Path) -> None:
    sweep(name, tmp_path, seed, 5 * N_DAMAGES)


# --- Damage in given places -------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a file whose bytes are those of the model's, uncompressed."""
    path = tmp_path / "m.root"
    onnxroot.write(linear_model(), f"{path}:tagger", compression="none")
    return path


def test_verify_of_a_good_model(stored: Path) -> None:
    report = onnxroot.verify(stored)
    assert report.ok
    assert report.problems == ()
    assert report.address == f"{stored}:tagger"
    with onnxroot.open(stored) as model:
        assert report.sha256 == model.manifest.sha256
        assert report.n_tables == len(model.manifest.tables)
        assert report.n_clusters == len(model.manifest.tables)


def flip(path: Path, at: bytes) -> None:
    """Change one bit of the first byte of what is found in a file."""
    data = bytearray(path.read_bytes())
    assert data.count(at) == 1
    data[data.index(at)] ^= 1
    path.write_bytes(data)


def test_damaged_values_are_named(stored: Path) -> None:
    with onnxroot.open(stored) as model:
        bias = model.tensors["bias"].numpy()
    flip(stored, bias.tobytes())
    (problem,) = onnxroot.verify(stored).problems
    assert "tagger/tensors/float: cluster 0 has the digest" in problem
    assert problem.endswith("(values of 'weight', 'bias')")
    with onnxroot.open(stored) as model:
        assert len(model.nodes) == 2  # what is not damaged can be read
        for read in (model.to_bytes, model.tensors["bias"].numpy):
            with pytest.raises(onnxroot.IntegrityError, match="the file is damaged"):
                read()


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    model = linear_model()
    model.graph.node[0].name = "a_name_that_is_found"
    path = tmp_path / "m.root"
    onnxroot.write(model, path)
    flip(path, b"a_name_that_is_found")
    problems = onnxroot.verify(path).problems
    assert any("/NodeProto: cluster 0 has the digest" in problem for problem in problems)


def rename(name: str, columns: dict[str, Column]) -> None:
    """Change the first letter of the first name beside the values of a storage."""
    if name == "float":
        values = columns["name"].values.copy()
        values[0] ^= 1
        columns["name"] = replace(columns["name"], values=values)


def number_names(name: str, columns: dict[str, Column]) -> None:
    """Put numbers in the place of names."""
    if name == "float":
        columns["name"] = Column((), np.zeros(len(columns["name"]), np.uint8))


def leave_names_out(name: str, columns: dict[str, Column]) -> None:
    if name == "float":
        del columns["name"]


LABELS = {"renamed": rename, "numbered": number_names, "without": leave_names_out}


@pytest.mark.parametrize("change", LABELS)
def test_names_beside_the_values_are_checked(change: str, tmp_path: Path) -> None:
    """Readers of the payload alone rely on them, though they are not needed for the bytes."""
    model = linear_model()
    model.graph.initializer[0].name = "first"
    path = tmp_path / "m.root"
    with forging(columns=LABELS[change]):
        onnxroot.write(model, path)
    with onnxroot.open(path) as stored:
        assert stored.to_bytes() == model.SerializeToString()
    (problem,) = onnxroot.verify(path).problems
    assert "column name of cluster 0 contradicts the table Payload" in problem


def copy_ntuples(
    source: Path,
    target: Path,
    n_times: int,
    *,
    without: str = "",
    change: Callable[[str, ak.Array], ak.Array] = lambda _, array: array,
    second: Callable[[str, ak.Array], ak.Array] = lambda _, array: array,
) -> None:
    """Copy a model to a new file, the rows of every RNTuple n times: what hadd does.

    A table may be changed, or all copies of it but the first.
    """
    with uproot.open(source) as old, uproot.recreate(target, compression=None) as new:
        for key, kind in old["tagger"].classnames(cycle=False).items():
            if key == without:
                continue
            if kind == "TObjString":
                new[f"tagger/{key}"] = str(old[f"tagger/{key}"])
            elif kind == "ROOT::RNTuple":
                array = change(key, old[f"tagger/{key}"].arrays())
                head, _, tail = f"tagger/{key}".rpartition("/")
                ntuple = new.mkdir(head).mkrntuple(tail, array.layout.form)
                ntuple.extend(array)
                for _ in range(n_times - 1):
                    ntuple.extend(second(key, array))


@pytest.mark.parametrize("n_times", [2, 3])
def test_copies_that_hadd_would_merge(n_times: int, stored: Path, tmp_path: Path) -> None:
    """FORMAT §3.2: where all copies agree, the first is the model."""
    merged = tmp_path / "merged.root"
    copy_ntuples(stored, merged, n_times)
    with onnxroot.open(stored) as original, onnxroot.open(merged) as model:
        assert model.to_bytes() == original.to_bytes()
        assert model.nodes.to_list() == original.nodes.to_list()
        for name, tensor in original.tensors.items():
            assert np.array_equal(model.tensors[name].numpy(), tensor.numpy())
    report = onnxroot.verify(merged)
    assert (report.ok, report.n_copies) == (True, n_times)
    onnxroot.copy(merged, merged, replace=True)
    report = onnxroot.verify(merged)
    assert (report.ok, report.n_copies) == (True, 1)
    with onnxroot.open(stored) as original, onnxroot.open(merged) as model:
        assert model.to_bytes() == original.to_bytes()


@pytest.mark.parametrize("table", ["NodeProto", "tensors/float"])
def test_copies_that_differ_name_hadd(table: str, stored: Path, tmp_path: Path) -> None:
    def another(key: str, array: ak.Array) -> ak.Array:
        if key == "NodeProto":
            array["op_type"] = ["Sub", "Div"]
        elif key == "tensors/float":
            array["values"] = array["values"] + 1
        return array

    copy_ntuples(
        stored, tmp_path / "merged.root", 2, second=lambda k, a: another(k, a) if k == table else a
    )
    problems = onnxroot.verify(tmp_path / "merged.root").problems
    assert any(f"tagger/{table}: cluster 0 has the digest" in p for p in problems)
    assert all("merged with hadd, of models that differ: restore it" in p for p in problems)
    with (
        onnxroot.open(tmp_path / "merged.root") as model,
        pytest.raises(onnxroot.IntegrityError, match="merged with hadd, of models that differ"),
    ):
        model.to_bytes()


def test_more_rows_that_are_no_copy_name_hadd(stored: Path, tmp_path: Path) -> None:
    def twice(key: str, array: ak.Array) -> ak.Array:
        return ak.concatenate([array, array]) if key == "NodeProto" else array

    copy_ntuples(stored, tmp_path / "merged.root", 1, change=twice)
    assert_refused(
        tmp_path / "merged.root", "NodeProto: 4 rows, the manifest says 2; .*merged with hadd"
    )


def test_values_of_another_type(stored: Path, tmp_path: Path) -> None:
    """The bits, and so their digest, are the same."""

    def as_integers(key: str, array: ak.Array) -> ak.Array:
        if key == "tensors/float":
            counts = ak.num(array["values"])
            bits = ak.flatten(array["values"]).to_numpy().view(np.int32)
            array["values"] = ak.unflatten(bits, counts)
        return array

    copy_ntuples(stored, tmp_path / "copy.root", 1, change=as_integers)
    assert_refused(tmp_path / "copy.root", "tensors/float: holds int32")


def test_a_copy_by_other_means_is_the_same_model(stored: Path, tmp_path: Path) -> None:
    copy_ntuples(stored, tmp_path / "copy.root", 1)
    assert onnxroot.verify(tmp_path / "copy.root").ok


def test_without_a_manifest_there_is_no_model(stored: Path, tmp_path: Path) -> None:
    copy_ntuples(stored, tmp_path / "copy.root", 1, without="manifest")
    assert onnxroot.list_models(tmp_path / "copy.root") == []
    with pytest.raises(onnxroot.ModelNotFoundError, match=r"no manifest.*not written to the end"):
        onnxroot.open(f"{tmp_path}/copy.root:tagger")
    with pytest.raises(onnxroot.ModelNotFoundError, match="holds no models"):
        onnxroot.verify(tmp_path / "copy.root")


@pytest.mark.parametrize("table", ["NodeProto", "ModelProto", "Payload", "tensors/float"])
def test_a_missing_table_is_named(table: str, stored: Path, tmp_path: Path) -> None:
    copy_ntuples(stored, tmp_path / "copy.root", 1, without=table)
    problems = onnxroot.verify(tmp_path / "copy.root").problems
    assert any(f"tagger/{table}: the manifest lists it" in problem for problem in problems)
    with (
        onnxroot.open(tmp_path / "copy.root") as model,
        pytest.raises(onnxroot.FormatError, match=f"{table}: the manifest lists it, but it is not"),
    ):
        model.to_bytes()


# --- Forged files -----------------------------------------------------------------------------
# All digests fit: the tables contradict each other, as only a wrong program would write them.


@contextmanager
def forging(
    tables: Callable[[Tables], Tables] | None = None,
    columns: Callable[[str, dict[str, Column]], None] | None = None,
    manifest: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[None]:
    """Let `onnxroot.write` write something else, and not prove it."""
    to_json, dissect = Manifest.to_json, api.dissect

    def forged_json(self: Manifest) -> str:
        value = json.loads(to_json(self))
        if manifest:
            manifest(value)
        return with_digest(value)

    def forged_dissect(*arguments: Any) -> Any:
        found, buffers = dissect(*arguments)
        return (tables(found) if tables else found), buffers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "_prove", lambda *_: None)
        patch.setattr(api, "dissect", forged_dissect)
        patch.setattr(Manifest, "to_json", forged_json)
        if columns:
            patch.setattr(ModelWriter, "_write_one", forged_writer(columns))
            patch.setattr("onnxroot._rntuple_write.labels", forged_labels(columns))
        yield


def with_digest(manifest: dict[str, Any]) -> str:
    """Return the text of a manifest; it begins with its format and its digest."""
    rest = {key: manifest[key] for key in manifest if key not in {"format", "digest"}}
    value = {"format": "onnxroot", "digest": "0" * 16, **rest}
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("0" * 16, xxhash.xxh64(text.encode()).hexdigest(), 1)


def forged_writer(columns: Callable[[str, dict[str, Column]], None]) -> Any:
    write_one = ModelWriter._write_one

    def forged(self: ModelWriter, name: str, given: dict[str, Column]) -> None:
        columns(name, given)
        write_one(self, name, given)

    return forged


def forged_labels(columns: Callable[[str, dict[str, Column]], None]) -> Any:
    def forged(*arguments: Any) -> dict[str, Column]:
        found = labels(*arguments)
        columns("float", found)
        return found

    return forged


def assert_refused(path: Path, text: str) -> None:
    """Say that a model can't be read, nor verified; with an error of ours."""
    with pytest.raises(onnxroot.OnnxRootError, match=text):
        read_all(path)
    with suppress(onnxroot.OnnxRootError):
        assert onnxroot.verify(path).problems
    look_at(path)


def assert_no_other_error(path: Path) -> None:
    """Read a model that may be wrong in a way that does no harm to its bytes."""
    with suppress(onnxroot.OnnxRootError):
        read_all(path)
    with suppress(onnxroot.OnnxRootError):
        onnxroot.verify(path)
    look_at(path)


def look_at(path: Path) -> None:
    """Show a model that may be wrong, and compare it with another; with no errors but ours."""
    with suppress(onnxroot.OnnxRootError), onnxroot.open(path) as model:
        describe(model)
    with suppress(onnxroot.OnnxRootError):
        onnxroot.diff(path, golden("mlp_jet_tagger"))


def read_all(path: Path) -> None:
    rebuilt(path)
    with onnxroot.open(path) as model:
        for tensor in model.tensors.values():
            with suppress(onnxroot.UnsupportedModelError):  # some are malformed
                tensor.numpy()


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "newer version": (
        lambda m: m.update(format_version=2, provenance={"onnxroot": "9.9"}),
        "format version 2, but this onnxroot reads up to 1; .*onnxroot 9.9: install that version",
    ),
    "newer version by an unknown program": (
        lambda m: m.update(format_version=2, provenance=None),
        "written by a later onnxroot",
    ),
    "version 0": (lambda m: m.update(format_version=0), "format version 0"),
    "version in words": (lambda m: m.update(format_version="1"), "format version '1'"),
    "no digests": (lambda m: m.pop("tables"), "the manifest is damaged"),
    "negative rows": (lambda m: m["tables"]["NodeProto"].update(rows=-1), "-1 is not a count"),
    "rows that are true": (lambda m: m["tables"]["NodeProto"].update(rows=True), "not a count"),
    "no ONNX file": (lambda m: m.pop("onnx"), "the manifest is damaged"),
    "lists no metadata": (lambda m: m.update(metadata=[]), "the manifest is damaged"),
    "unknown label": (lambda m: m["schema"]["NodeProto"][0].__setitem__(3, "x"), "unknown label"),
    "unknown type": (lambda m: m["schema"]["NodeProto"][0].__setitem__(2, "x"), "unknown type"),
    "field number 0": (lambda m: m["schema"]["NodeProto"][0].__setitem__(0, 0), "field number 0"),
    "number in words": (lambda m: m["schema"]["NodeProto"][0].__setitem__(0, "1"), "schema"),
    "no fields": (lambda m: m["schema"].update(NodeProto=None), "schema can't be read"),
    "a field that is too short": (
        lambda m: m["schema"]["NodeProto"].append([7]),
        r"m\.root:model: the manifest's schema can't be read: NodeProto has \[7\] where \[number",
    ),
    "no schema": (lambda m: m.update(schema=[]), "schema can't be read"),
    "no ModelProto": (lambda m: m["schema"].pop("ModelProto"), "schema"),
    "no TensorProto": (lambda m: m["schema"].pop("TensorProto"), "schema"),
    "two fields of one number": (
        lambda m: m["schema"]["NodeProto"].append([1, "again", "string", "repeated"]),
        "",
    ),
    "too many fields": (
        lambda m: m["schema"]["NodeProto"].extend(
            [n, f"f{n}", "int32", "optional"] for n in range(100, 180)
        ),
        "over 64 optional fields",
    ),
    "another length": (lambda m: m["onnx"].update(nbytes=1), "the manifest says 1"),
    "another SHA-256": (lambda m: m["onnx"].update(sha256="0" * 64), "the SHA-256 is"),
    "unknown table": (lambda m: m["tables"].update(Other={"rows": 1, "digests": []}), ""),
    "unknown storage": (lambda m: m["tables"].update({"tensors/x": m["tables"]["NodeProto"]}), ""),
    "more clusters": (
        lambda m: m["tables"]["NodeProto"].update(digests=["0" * 16] * 2),
        "1 clusters, the manifest says 2",
    ),
    "fewer rows": (
        lambda m: m["tables"]["NodeProto"].update(rows=5),
        "2 rows, the manifest says 5; the file is damaged",
    ),
    "no values": (
        lambda m: m["tables"].pop("tensors/float"),
        "the manifest lists no tensors/float",
    ),
    "no model": (lambda m: m["tables"].pop("ModelProto"), "has no ModelProto table"),
    "no payloads": (lambda m: m["tables"].pop("Payload"), "the manifest says"),
    "no nodes": (lambda m: m["tables"].pop("NodeProto"), "the manifest says"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_forged_manifests(case: str, tmp_path: Path) -> None:
    change, text = MANIFESTS[case]
    with forging(manifest=change):
        onnxroot.write(linear_model(), tmp_path / "m.root")
    if text:
        assert_refused(tmp_path / "m.root", text)
    assert_no_other_error(tmp_path / "m.root")


@pytest.mark.parametrize(
    "text",
    [
        '{"format":"onnxroot"',
        '{"format":"onnxroot","format":"other"}',
        '{"format":"onnxroot"}',
        '{"format":"onnxroot",',
    ],
)
def test_manifests_that_are_cut(text: str, tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "m.root") as file:
        file["a/manifest"] = text
    with pytest.raises(onnxroot.FormatError, match=r"m\.root:a: the manifest"):
        onnxroot.open(tmp_path / "m.root")


@pytest.mark.parametrize("byte", [0x00, 0x22, 0x5C, 0x80, 0xFF])
def test_no_byte_of_a_manifest_is_free(byte: int, stored: Path, tmp_path: Path) -> None:
    path = tmp_path / "uncompressed.root"
    copy_ntuples(stored, path, 1)
    data = path.read_bytes()
    start = data.index(b'{"format":"onnxroot"')
    stop = data.index(b"]]}}", start) + 4
    for position in range(start + byte % 7, stop, 37):
        if data[position] == byte:
            continue
        path.write_bytes(data[:position] + bytes([byte]) + data[position + 1 :])
        with pytest.raises(onnxroot.OnnxRootError):
            read_all(path)


def change_table(name: str, **arrays: Callable[[Any], Any]) -> Callable[[Tables], Tables]:
    """Return a change of some arrays of a table."""

    def change(tables: Tables) -> Tables:
        table = tables.tables[name]
        changed = {key: make(getattr(table, key).copy()) for key, make in arrays.items()}
        return replace(tables, tables={**tables.tables, name: replace(table, **changed)})

    return change


def change_payloads(**arrays: Callable[[Any], Any]) -> Callable[[Tables], Tables]:
    """Return a change of some arrays of the index of payloads, in what is written alone."""

    def change(tables: Tables) -> Tables:
        changed = {key: make(getattr(tables.payloads, key).copy()) for key, make in arrays.items()}
        return replace(tables, payloads=replace(tables.payloads, **changed))

    return change


def put(index: int, value: int) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[index] = value
        return array

    return change


def without(*names: str) -> Callable[[Tables], Tables]:
    def change(tables: Tables) -> Tables:
        kept = {name: table for name, table in tables.tables.items() if name not in names}
        return replace(tables, tables=kept)

    return change


def twice(tables: Tables) -> Tables:
    """Give the model a second row."""
    table = tables.tables["ModelProto"]
    columns = {
        name: Column(
            tuple(np.append(o, o[-1]) for o in column.offsets), column.values, column.is_text
        )
        if column.offsets
        else Column((), np.repeat(column.values, 2))
        for name, column in table.columns.items()
    }
    doubled = Table(
        n_rows=2,
        parent=np.repeat(table.parent, 2),
        parent_field=np.repeat(table.parent_field, 2),
        presence=np.repeat(table.presence, 2),
        columns=columns,
    )
    return replace(tables, tables={**tables.tables, "ModelProto": doubled})


def code(message: str, field: str) -> int:
    return installed_schema()[message].by_name[field].code


TABLES: dict[str, tuple[Callable[[Tables], Tables], str]] = {
    "parent behind the end": (change_table("NodeProto", parent=put(0, 7)), "parent is no row"),
    "no parent": (change_table("NodeProto", parent=put(0, NO_ROW)), "parent is no row"),
    "unknown field": (change_table("NodeProto", parent_field=put(0, 60000)), "no such code"),
    "field of another type": (
        change_table("NodeProto", parent_field=put(0, code("GraphProto", "initializer"))),
        "GraphProto.initializer can't hold it",
    ),
    "field of no message": (
        change_table("NodeProto", parent_field=put(0, code("GraphProto", "name"))),
        "GraphProto.name can't hold it",
    ),
    "holder has no rows": (
        change_table("NodeProto", parent_field=put(0, code("FunctionProto", "node"))),
        "FunctionProto.node can't hold it",
    ),
    "two in a singular field": (
        change_table("TypeProto", parent=put(0, 1)),
        "one ValueInfoProto.type holds two",
    ),
    "two models": (twice, "a model has one ModelProto"),
    "no graph": (without("GraphProto"), "can't hold it"),
    "presence without a column": (
        change_table("NodeProto", presence=lambda bits: bits | np.uint64(0xFF)),
        "rows hold this field, but it has no column",
    ),
    "presence of unknown fields": (
        change_table("OperatorSetIdProto", presence=lambda bits: bits | np.uint64(1 << 63)),
        "",
    ),
    "payload that is absent": (
        change_table("TensorProto", presence=np.zeros_like),
        "2 payloads of rows without it",
    ),
    "deviation that is none": (lambda tables: replace(tables, deviation=b"\x01"), "deviation"),
    "deviation that copies too much": (
        lambda tables: replace(
            tables,
            deviation=b"".join(
                record(n, LEN, value)
                for n, value in enumerate((b"\x00", b"\x7f\x7f"[:1], b"\x00", b""), 1)
            ),
        ),
        "the manifest says|deviation",
    ),
    "length that differs": (
        lambda tables: replace(
            tables,
            deviation=b"".join(
                record(n, LEN, value) for n, value in enumerate((b"\x00", b"\x05", b"\x00", b""), 1)
            ),
        ),
        "5 bytes, the manifest says",
    ),
}


def test_a_cycle(tmp_path: Path) -> None:
    """A graph in an attribute of a node of that same graph."""

    def change(tables: Tables) -> Tables:
        graph = tables.tables["GraphProto"]
        assert graph.parent_field[1] == code("AttributeProto", "g")
        attribute = tables.tables["AttributeProto"]
        node = int(attribute.parent[int(graph.parent[1])])
        return change_table("NodeProto", parent=put(node, 1))(tables)

    with forging(tables=change):
        onnxroot.write(golden("control_flow"), tmp_path / "m.root")
    assert_refused(tmp_path / "m.root", "no model holds it: its parent .* leads nowhere")


def test_messages_that_nest_too_deep(tmp_path: Path) -> None:
    data = b""
    for level in reversed(range(1, 110)):
        data = record((6, 1, 5)[level % 3], LEN, data)
    data = record(7, LEN, data)
    with pytest.raises(
        onnxroot.FormatError, match=r"nest deeper than 100; .* raise the limit depth"
    ):
        onnxroot.write(data, tmp_path / "m.root")
    limits = onnxroot.Limits(depth=200)
    onnxroot.write(data, tmp_path / "m.root", limits=limits)
    with onnxroot.open(tmp_path / "m.root", limits=limits) as model:
        assert model.to_bytes() == data
    assert onnxroot.verify(tmp_path / "m.root", limits=limits).ok
    assert_refused(tmp_path / "m.root", "messages nest deeper than 100")


@pytest.mark.parametrize("case", TABLES)
def test_forged_tables(case: str, tmp_path: Path) -> None:
    change, text = TABLES[case]
    with forging(tables=change):
        onnxroot.write(linear_model(), tmp_path / "m.root")
    if text:
        assert_refused(tmp_path / "m.root", text)
    assert_no_other_error(tmp_path / "m.root")


def set_column(table: str, name: str, make: Callable[[Any], Any]) -> Any:
    """Return a change of the values of a column as it is written."""

    def change(written: str, columns: dict[str, Column]) -> None:
        if written == table:
            columns[name] = replace(columns[name], values=make(columns[name].values.copy()))

    return change


def drop_column(table: str, name: str) -> Any:
    def change(written: str, columns: dict[str, Column]) -> None:
        if written == table:
            del columns[name]

    return change


def add_column(table: str, name: str, values: Any) -> Any:
    def change(written: str, columns: dict[str, Column]) -> None:
        if written == table:
            columns[name] = Column((), np.resize(values, len(columns["presence"])))

    return change


COLUMNS: dict[str, tuple[Any, str]] = {
    "a parent far away": (
        set_column("OperatorSetIdProto", "parent", put(0, 1 << 62)),
        "a parent is no row of ModelProto",
    ),
    "a parent before the first": (
        set_column("NodeProto", "parent", put(0, (1 << 64) - 127)),
        "a parent is no row of GraphProto",
    ),
    "an unknown parent_field": (
        set_column("NodeProto", "parent_field", put(0, 60000)),
        "a parent_field is 60000: no such code",
    ),
    "a parent_field of a type without rows": (
        set_column("NodeProto", "parent_field", put(0, code("FunctionProto", "node"))),
        "can't hold it",
    ),
    "no presence": (drop_column("NodeProto", "presence"), "NodeProto"),
    "no parent": (drop_column("NodeProto", "parent"), "NodeProto"),
    "no parent_field": (drop_column("NodeProto", "parent_field"), "NodeProto"),
    "model with a parent": (
        add_column("ModelProto", "parent", np.zeros(1, np.uint64)),
        "ModelProto has a parent",
    ),
    "unknown column": (
        add_column("NodeProto", "x", np.zeros(1)),
        "column x is no field of NodeProto",
    ),
    "column of a message": (
        add_column("NodeProto", "attribute", np.zeros(1)),
        "column attribute is no field of NodeProto",
    ),
    "other type": (
        set_column("OperatorSetIdProto", "version", lambda v: v.astype(np.float32)),
        "column version holds float32 at depth 0, expected int64 at depth 0",
    ),
    "other presence": (
        set_column("NodeProto", "presence", lambda v: v.astype(np.int16)),
        "column presence holds int16",
    ),
    "other depth": (
        add_column("NodeProto", "name", np.zeros(1, np.uint8)),
        "column name holds uint8 at depth 0",
    ),
    "payload without rows": (drop_column("Payload", "row"), "column row is missing"),
    "payload without storage": (drop_column("Payload", "storage"), "column storage is missing"),
    "payload of an unknown storage": (set_column("Payload", "storage", put(0, 10)), "storage code"),
    "payload of an unknown field": (set_column("Payload", "field", put(0, 60000)), "field code"),
    "payload of a message's field": (
        set_column("Payload", "field", put(0, code("GraphProto", "node"))),
        "Payload|payload|GraphProto",
    ),
    "payload of a field without rows": (
        set_column("Payload", "field", put(0, code("FunctionProto", "name"))),
        "Payload|payload|FunctionProto",
    ),
    "payload without values": (set_column("Payload", "n_values", put(0, 0)), "a payload is empty"),
    "payload without bytes": (set_column("Payload", "nbytes", put(0, 0)), "a payload is empty"),
    "payload too long": (set_column("Payload", "nbytes", put(0, 2**63)), "a number too large"),
    "payload longer than its values": (
        set_column("Payload", "nbytes", put(0, 49)),
        "sizes of raw_data contradict each other",
    ),
    "more values than there are": (
        lambda name, columns: [
            set_column("Payload", "nbytes", put(1, 4000))(name, columns),
            set_column("Payload", "n_values", put(1, 1000))(name, columns),
        ],
        "the manifest says|ends before value",
    ),
    "payload of no tensor": (set_column("Payload", "tensor", put(0, 99)), "that does not exist"),
    "payload of a tensor before the first": (
        set_column("Payload", "tensor", put(0, -2)),
        "that does not exist",
    ),
    "payloads of one row": (set_column("Payload", "row", put(0, 1)), "don't exist, or twice"),
    "payload of no row": (set_column("Payload", "row", put(0, 9)), "don't exist, or twice"),
    "payloads in another order": (
        set_column("Payload", "row", lambda rows: rows[::-1].copy()),
        "do not stand in the order",
    ),
    "storage as a fraction": (
        set_column("Payload", "storage", lambda v: v.astype(np.float64)),
        "Payload",
    ),
    "rows as signed numbers": (set_column("Payload", "row", lambda v: v.astype(np.int8)), ""),
    "negative row": (
        set_column("Payload", "row", lambda v: -1 - v.astype(np.int64)),
        "don't exist, or twice|Payload",
    ),
    "payload in another storage": (
        set_column("Payload", "storage", put(0, 4)),
        "the manifest lists no tensors/uint32",
    ),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_forged_columns(case: str, tmp_path: Path) -> None:
    change, text = COLUMNS[case]
    with forging(columns=change):
        onnxroot.write(linear_model(), tmp_path / "m.root")
    if text:
        assert_refused(tmp_path / "m.root", text)
    assert_no_other_error(tmp_path / "m.root")


SEGMENTS: dict[str, tuple[Any, str]] = {
    "other rows": (
        set_column("Payload", "row", lambda rows: rows + np.uint64(1)),
        "don't exist, or twice|other rows than payloads",
    ),
    "not the last": (
        set_column("Payload", "field", lambda fields: fields[::-1].copy()),
        "external payloads are not the last|sizes of",
    ),
}


@pytest.mark.parametrize("case", SEGMENTS)
def test_forged_segments(case: str, tmp_path: Path) -> None:
    change, text = SEGMENTS[case]
    with forging(columns=change):
        onnxroot.write(golden("external_data"), tmp_path / "m.root")
    assert_refused(tmp_path / "m.root", text)


def test_files_whose_segments_are_scattered(tmp_path: Path) -> None:
    def swap(name: str, columns: dict[str, Column]) -> None:
        if name == "ExternalSegment":
            texts = columns["location"].to_list()
            texts[1] = texts[-1]
            encoded = [text.encode() for text in texts]
            columns["location"] = Column(
                (np.cumsum([0, *map(len, encoded)]),),
                np.frombuffer(b"".join(encoded), np.uint8),
                is_text=True,
            )

    with forging(columns=swap):
        onnxroot.write(golden("external_data"), tmp_path / "m.root")
    assert_refused(tmp_path / "m.root", "is not in one piece")


def test_an_object_in_the_place_of_a_table(stored: Path, tmp_path: Path) -> None:
    copy_ntuples(stored, tmp_path / "copy.root", 1, without="NodeProto")
    with uproot.update(tmp_path / "copy.root") as file:
        file["tagger/NodeProto"] = "no RNTuple"
    assert_refused(tmp_path / "copy.root", "NodeProto: is no RNTuple")
