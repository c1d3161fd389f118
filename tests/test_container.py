"""Models in ROOT files: what goes in, what stays, and what a failure leaves behind."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import uproot
from onnx import TensorProto

import onnxroot
from onnxroot import _stored, api
from onnxroot._dtypes import STORAGES, Storage
from onnxroot._join import Document
from onnxroot._rntuple_write import ModelWriter
from onnxroot._spec import CHUNK_NBYTES, SPILL_NBYTES
from tests.golden import golden
from tests.model_encodings import LEN, VARINT, record, swap_pair, varint
from tests.samples import files_in, graph_model, linear_model, raw_tensor

MODEL = linear_model().SerializeToString()
OTHER = linear_model(seed=2).SerializeToString()


def content(address: Any) -> bytes:
    """Read a stored model whole."""
    with onnxroot.open(address) as model:
        return model.to_bytes()


def assert_comes_back(data: bytes, folder: Path, **options: Any) -> None:
    """Store a model in a new file; read it again."""
    address = f"{folder / 'models.root'}:model"
    onnxroot.write(data, address, **options)
    assert content(address) == data
    report = onnxroot.verify(address)
    assert report.ok, report.problems


# --- Sources ----------------------------------------------------------------------------------


def as_path(folder: Path) -> Path:
    path = folder / "tagger.onnx"
    path.write_bytes(MODEL)
    return path


SOURCES: dict[str, tuple[Callable[[Path], Any], str]] = {  # and the name that is recorded
    "Path": (as_path, "tagger.onnx"),
    "str": (lambda folder: str(as_path(folder)), "tagger.onnx"),
    "bytes": (lambda _: MODEL, ""),
    "bytearray": (lambda _: bytearray(MODEL), ""),
    "memoryview": (lambda _: memoryview(MODEL), ""),
    "ModelProto": (lambda _: onnx.ModelProto.FromString(MODEL), ""),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_sources(kind: str, tmp_path: Path) -> None:
    make, file_name = SOURCES[kind]
    manifest = onnxroot.write(make(tmp_path), tmp_path / "models.root:x")
    assert content(f"{tmp_path}/models.root:x") == MODEL
    assert (manifest.nbytes, manifest.provenance["file"]) == (len(MODEL), file_name)


def test_onnx_ir_model(tmp_path: Path) -> None:
    onnx_ir = pytest.importorskip("onnx_ir")
    model = onnx_ir.from_proto(linear_model())
    onnxroot.write(model, tmp_path / "models.root:x")
    assert content(f"{tmp_path}/models.root:x") == onnx_ir.to_proto(model).SerializeToString()


@pytest.mark.parametrize("model", [3, None, ["tagger.onnx"]])
def test_what_is_no_source(model: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="expected the path of a model file, the bytes"):
        onnxroot.write(model, tmp_path / "models.root")
    assert not files_in(tmp_path)


@pytest.mark.parametrize("from_file", [True, False])
def test_an_empty_model(tmp_path: Path, *, from_file: bool) -> None:
    source = tmp_path / "empty.onnx"
    source.write_bytes(b"")
    onnxroot.write(source if from_file else b"", tmp_path / "models.root:x")
    with onnxroot.open(tmp_path / "models.root:x") as model:
        assert model.to_bytes() == b""
        assert model.to_proto() == onnx.ModelProto()
        assert (model.inputs, model.outputs, model.opset_imports, model.metadata) == (
            [],
            [],
            {},
            {},
        )
        assert len(model.nodes) == len(model.tensors) == 0


HEADS = {
    b"<!DOCTYPE html><html></html>": "HTML or XML page",
    b"\n  <?xml version='1.0'?>": "HTML or XML page",
    b"version https://git-lfs.github.com/spec/v1\n": "Git LFS pointer",
    b"root\x00\x00\xf7\x5c": "it is a ROOT file",
    b"PK\x03\x04rest": "ZIP archive",
    b"\x89HDF\r\n\x1a\n": "HDF5 file",
    b"\x80\x04\x95": "Python pickle",
}


@pytest.mark.parametrize("head", HEADS, ids=HEADS.values())
def test_files_that_are_taken_for_onnx(head: bytes, tmp_path: Path) -> None:
    source = tmp_path / "tagger.onnx"
    source.write_bytes(head)
    with pytest.raises(onnxroot.FormatError, match=f"not an ONNX file: .*{HEADS[head]}"):
        onnxroot.write(source, tmp_path / "models.root")
    assert set(files_in(tmp_path)) == {"tagger.onnx"}


def test_metadata_and_provenance(tmp_path: Path) -> None:
    notes = {"campaign": "2026", "note": 'quotes ", accents é, \n lines', "": "empty key"}
    returned = onnxroot.write(as_path(tmp_path), tmp_path / "m.root", metadata=notes)
    with onnxroot.open(tmp_path / "m.root") as model:
        assert model.manifest.metadata == returned.metadata == notes
        assert set(model.manifest.provenance) == {"onnxroot", "onnx", "uproot", "file"}
        assert str(tmp_path) not in str(model.manifest)


# --- Addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_name", "directory"),
    [
        ("tagger.onnx", "tagger"),
        ("b-tagger v2.1+é.onnx", "b-tagger_v2.1+é"),
        ("x;y:z*.onnx", "x_y_z_"),
        ("...", "model"),
        ("tagger", "tagger"),
    ],
)
def test_default_name(file_name: str, directory: str, tmp_path: Path) -> None:
    source = tmp_path / file_name
    source.write_bytes(MODEL)
    onnxroot.write(source, tmp_path / "models.root")
    assert onnxroot.list_models(tmp_path / "models.root") == [directory]
    assert content(tmp_path / "models.root") == MODEL


def test_default_name_of_bytes(tmp_path: Path) -> None:
    onnxroot.write(MODEL, tmp_path / "models.root")
    assert onnxroot.list_models(str(tmp_path / "models.root")) == ["model"]


@pytest.mark.parametrize(
    ("written", "opened"),
    [
        ("m.root:a", "m.root:a"),
        ("m.root:a/b/c", "m.root:/a/b/c/"),
        ("m.root:with blank/é", "m.root:with blank/é"),
        ("m.root:", "m.root:model"),
        ("m.root:a", "m.root"),
        ("no_ending", "no_ending:model"),
        ("no_ending:a", "no_ending:a"),
        ("x.root.root:a", "x.root.root:a"),
    ],
)
def test_addresses(written: str, opened: str, tmp_path: Path) -> None:
    onnxroot.write(MODEL, tmp_path / written)
    assert content(f"{tmp_path}/{opened}") == MODEL


@pytest.mark.parametrize(
    "directory", ["a//b", "a/../b", ".", "a;1", "a:b", "a*", "a?", "[a]", "a\n"]
)
def test_names_that_no_directory_can_have(directory: str, tmp_path: Path) -> None:
    with pytest.raises(onnxroot.FormatError, match="can't be a directory in a ROOT file"):
        onnxroot.write(MODEL, f"{tmp_path}/m.root:{directory}")
    assert not files_in(tmp_path)


def test_a_file_with_a_colon_in_its_name(tmp_path: Path) -> None:
    onnxroot.write(MODEL, tmp_path / "m.root:a")
    (tmp_path / "m.root").rename(tmp_path / "run:1.root")
    assert content(f"{tmp_path}/run:1.root") == content(f"{tmp_path}/run:1.root:a") == MODEL


# --- Several models ---------------------------------------------------------------------------


def test_adding_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "models.root"
    with uproot.recreate(path) as file:
        file["histogram"] = np.histogram([1.0, 2.0, 2.0], bins=3)
        file["events/note"] = "not a model"
    datas = {
        f"{folder}m{i}": linear_model(seed=i).SerializeToString()
        for i, folder in enumerate(("", "a/", "a/b/"))
    }
    for name, data in datas.items():
        onnxroot.write(data, f"{path}:{name}")
    assert onnxroot.list_models(path) == sorted(datas)
    for name, data in datas.items():
        assert content(f"{path}:{name}") == data
    with uproot.open(path) as file:
        assert file["histogram"].values().tolist() == [1.0, 0.0, 2.0]
        assert str(file["events/note"]) == "not a model"


def test_adding_keeps_the_permissions(tmp_path: Path) -> None:
    path = tmp_path / "models.root"
    onnxroot.write(MODEL, f"{path}:a")
    path.chmod(0o640)
    onnxroot.write(OTHER, f"{path}:b")
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    onnxroot.write(MODEL, tmp_path / "models.root")
    modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert modes["models.root"] == modes["usual"]


def test_a_manifest_of_someone_else_is_no_model(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "m.root") as file:
        file["shop/manifest"] = '{"format":"other"}'
        file["plain/manifest"] = "cargo"
    assert onnxroot.list_models(tmp_path / "m.root") == []
    with pytest.raises(onnxroot.ModelNotFoundError, match="holds no models"):
        onnxroot.open(tmp_path / "m.root")


def test_which_of_several_models(tmp_path: Path) -> None:
    for name in ("a", "b/c"):
        onnxroot.write(MODEL, f"{tmp_path}/m.root:{name}")
    with pytest.raises(onnxroot.ModelNotFoundError, match=r"holds 2 models.*m\.root:a \(a, b/c\)"):
        onnxroot.open(tmp_path / "m.root")
    with pytest.raises(onnxroot.ModelNotFoundError, match=r"no such model; did you mean 'b/c'\?"):
        onnxroot.open(tmp_path / "m.root:c")


# --- Replacing --------------------------------------------------------------------------------


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "m.root"
    onnxroot.write(MODEL, f"{path}:a/b")
    before = path.read_bytes()
    for directory in ("a/b", "a"):
        with pytest.raises(onnxroot.ModelExistsError, match="exists"):
            onnxroot.write(OTHER, f"{path}:{directory}")
    assert path.read_bytes() == before


def test_replacing_the_only_model(tmp_path: Path) -> None:
    address = f"{tmp_path}/m.root:a/b"
    onnxroot.write(MODEL, address)
    onnxroot.write(OTHER, address, replace=True)
    assert content(address) == OTHER
    assert onnxroot.list_models(tmp_path / "m.root") == ["a/b"]


def test_replacing_what_is_not_there(tmp_path: Path) -> None:
    onnxroot.write(MODEL, tmp_path / "m.root:a", replace=True)
    onnxroot.write(OTHER, tmp_path / "m.root:b", replace=True)
    assert content(f"{tmp_path}/m.root:a") == MODEL
    assert content(f"{tmp_path}/m.root:b") == OTHER


@pytest.mark.parametrize("replaced", ["a", "dir", "dir/b"])
def test_replacing_never_takes_other_models_along(replaced: str, tmp_path: Path) -> None:
    path = tmp_path / "m.root"
    for name in ("dir/b", "dir/c"):
        onnxroot.write(MODEL, f"{path}:{name}")
    before = path.read_bytes()
    if replaced == "dir":
        with pytest.raises(onnxroot.ModelExistsError, match="is no model"):
            onnxroot.write(OTHER, f"{path}:{replaced}", replace=True)
        assert path.read_bytes() == before
    else:
        onnxroot.write(OTHER, f"{path}:{replaced}", replace=True)
        assert content(f"{path}:{replaced}") == OTHER
    assert content(f"{path}:dir/b") == (OTHER if replaced == "dir/b" else MODEL)
    assert content(f"{path}:dir/c") == MODEL


# --- Destinations that can't be ---------------------------------------------------------------


def test_destinations_that_cannot_be(tmp_path: Path) -> None:
    onnxroot.write(MODEL, tmp_path / "m.root:a")
    (tmp_path / "text.root").write_text("hello")
    (tmp_path / "empty.root").touch()
    with uproot.recreate(tmp_path / "top.root") as file:
        file["manifest"] = '{"format":"onnxroot"}'
    before = files_in(tmp_path)
    cases = {
        "": (IsADirectoryError, "expected a ROOT file"),
        "missing/m.root": (FileNotFoundError, "no such folder"),
        "text.root:x": (onnxroot.FormatError, "not a ROOT file: it begins with b'hell'"),
        "empty.root:x": (onnxroot.FormatError, "not a ROOT file: it is empty"),
        "m.root:a/ModelProto/x": (onnxroot.OnnxRootError, "ModelProto"),
        "m.root:a/x": (onnxroot.ModelExistsError, "inside the model a"),
        "top.root:x": (onnxroot.ModelExistsError, "inside the model"),
    }
    for address, (error, text) in cases.items():
        with pytest.raises(error, match=text):
            onnxroot.write(OTHER, f"{tmp_path}/{address}")
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("compression", ["zip", "zstd:0", "zstd:23", "lzma:x", "none:1", ""])
def test_unknown_compressions(compression: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one of zstd, lz4, lzma, none"):
        onnxroot.write(MODEL, tmp_path / "m.root", compression=compression)
    assert not files_in(tmp_path)


# --- Failures ---------------------------------------------------------------------------------


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def damage_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every model come back with its last byte changed."""
    join = _stored.join

    def damaged(*arguments: Any) -> Document:
        document = join(*arguments)
        document.skeleton = document.skeleton.copy()
        document.skeleton[-1] ^= 1
        return document

    monkeypatch.setattr(_stored, "join", damaged)


def let_no_file_get_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_space)
    monkeypatch.setattr(Path, "rename", no_space)
    monkeypatch.setattr(Path, "replace", no_space)


FAILURES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], type[BaseException]]] = {
    "fsync": (lambda patch: patch.setattr(os, "fsync", no_space), OSError),
    "name": (let_no_file_get_its_name, OSError),
    "tables": (lambda patch: patch.setattr(ModelWriter, "write_tables", no_space), OSError),
    "payload": (lambda patch: patch.setattr(ModelWriter, "write_payloads", no_space), OSError),
    "manifest": (lambda patch: patch.setattr(ModelWriter, "write_manifest", no_space), OSError),
    "interrupt": (
        lambda patch: patch.setattr(ModelWriter, "write_payloads", interrupt),
        KeyboardInterrupt,
    ),
    "proof": (damage_what_is_read, onnxroot.IntegrityError),
}


@pytest.mark.parametrize("mode", ["new", "add", "replace"])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_changes_nothing(
    failure: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.root"
    if (failure, mode) == ("name", "add"):
        pytest.skip("the file has its name")
    if mode != "new":
        onnxroot.write(MODEL, f"{path}:a")
    before = files_in(tmp_path)
    fail, error = FAILURES[failure]
    with monkeypatch.context() as patch:
        fail(patch)
        with pytest.raises(error):
            onnxroot.write(
                OTHER, f"{path}:{'b' if mode == 'add' else 'a'}", replace=mode == "replace"
            )
    assert files_in(tmp_path) == before
    if mode != "new":
        assert content(path) == MODEL


def test_the_proof_covers_external_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(self: _stored.StoredModel) -> dict[str, Document]:
        documents = whole(self)
        for document in documents.values():
            document.nbytes += 1
        return documents

    whole = _stored.StoredModel.external_documents
    monkeypatch.setattr(_stored.StoredModel, "external_documents", damaged)
    with pytest.raises(onnxroot.IntegrityError, match=r"weights\.bin did not come back identical"):
        onnxroot.write(golden("external_data"), tmp_path / "m.root")
    assert not files_in(tmp_path)


KILLED = """
import os, sys
import onnxroot
from onnxroot._rntuple_write import ModelWriter

setattr({holder}, "{name}", lambda *_, **__: os._exit(9))
onnxroot.write(bytes.fromhex(sys.argv[1]), sys.argv[2], replace=sys.argv[3] == "replace")
"""


@pytest.mark.parametrize("mode", ["add", "replace"])
@pytest.mark.parametrize(
    ("holder", "name"),
    [("ModelWriter", "write_payloads"), ("ModelWriter", "write_manifest"), ("os", "fsync")],
)
def test_a_killed_writer_leaves_the_models_as_they_were(
    holder: str, name: str, mode: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.root"
    onnxroot.write(MODEL, f"{path}:a")
    script = KILLED.format(holder=holder, name=name)
    address = f"{path}:{'b' if mode == 'add' else 'a'}"
    done = subprocess.run([sys.executable, "-c", script, OTHER.hex(), address, mode], check=False)
    assert done.returncode == 9
    assert onnxroot.list_models(path) == ["a"]
    assert content(f"{path}:a") == MODEL
    onnxroot.write(OTHER, f"{path}:b")
    assert content(f"{path}:b") == OTHER


# --- Compression and large payloads -----------------------------------------------------------


@pytest.mark.parametrize("compression", ["zstd", "zstd:9", "lz4", "lz4:9", "lzma:1", "none"])
def test_compressions(compression: str, tmp_path: Path) -> None:
    values = np.arange(20_000, dtype=np.int64)
    data = graph_model([raw_tensor("x", values)]).SerializeToString()
    assert_comes_back(data, tmp_path, compression=compression)
    nbytes = (tmp_path / "models.root").stat().st_size
    assert (nbytes > values.nbytes) == (compression == "none")


DATA_TYPES = {  # of tensors whose raw_data go to a storage
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "uint16": TensorProto.BFLOAT16,
    "int16": TensorProto.INT16,
    "uint32": TensorProto.UINT32,
    "int32": TensorProto.INT32,
    "uint64": TensorProto.COMPLEX128,
    "int64": TensorProto.INT64,
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
}


def across_clusters(storage: Storage) -> list[int]:
    """Return lengths of tensors that begin and end on and around the clusters' edges."""
    per_cluster = CHUNK_NBYTES // storage.dtype.itemsize
    return [per_cluster - 2, 4, per_cluster - 2, per_cluster + 4, 2]


@pytest.mark.parametrize("storage", STORAGES, ids=lambda storage: storage.name)
def test_raw_data_across_clusters(storage: Storage, tmp_path: Path) -> None:
    model = graph_model()
    pattern = np.random.default_rng(1).bytes(5003)
    for number, n_values in enumerate(across_clusters(storage)):
        nbytes = n_values * storage.dtype.itemsize
        raw = (pattern * (nbytes // len(pattern) + 1))[:nbytes]
        model.graph.initializer.add(
            name=f"t{number}", data_type=DATA_TYPES[storage.name], raw_data=raw
        )
    assert_comes_back(model.SerializeToString(), tmp_path)
    with uproot.open(tmp_path / "models.root") as file:
        ntuple = file["model/tensors"][storage.name]
        assert len(ntuple.page_link_list) == 4
        assert ntuple["name"].array().tolist() == ["t0", "t1", "t1", "t2", "t3", "t3", "t4"]
        per_cluster = CHUNK_NBYTES // storage.dtype.itemsize
        assert ntuple["offset"].array().tolist() == [0, 0, 2, 0, 0, per_cluster, 0]


TYPED_FIELDS = {  # data type, and the storage that its values go to if they fit
    "int8": ("int32_data", TensorProto.INT8),
    "uint16": ("int32_data", TensorProto.FLOAT16),
    "int32": ("int32_data", TensorProto.INT32),
    "int64": ("int64_data", TensorProto.INT64),
    "uint32": ("uint64_data", TensorProto.UINT32),
    "uint64": ("uint64_data", TensorProto.UINT64),
}


@pytest.mark.parametrize(
    "storage",
    [
        pytest.param(s, id=s.name, marks=[] if s.name == "uint32" else pytest.mark.sweep)
        for s in STORAGES
        if s.name in TYPED_FIELDS
    ],
)
def test_varints_across_clusters(storage: Storage, tmp_path: Path) -> None:
    field, data_type = TYPED_FIELDS[storage.name]
    info = np.iinfo(storage.dtype)
    powers = (1 << k for k in range(0, 64, 5))
    edges = [info.min, info.max, 0, *(power for power in powers if power <= info.max)]
    pattern = b"".join(varint(value % 2**64) for value in edges) + bytes(100)
    n_pattern = len(edges) + 100
    lengths = across_clusters(storage)
    lengths[0] += lengths.pop(2)  # one that is longer than a cluster
    graph = b""
    for number, n_values in enumerate(lengths):
        stream = pattern * (n_values // n_pattern) + b"\x01" * (n_values % n_pattern)
        fields = {
            2: record(2, VARINT, data_type),
            8: record(8, LEN, b"t%d" % number),
            TensorProto.DESCRIPTOR.fields_by_name[field].number: record(
                TensorProto.DESCRIPTOR.fields_by_name[field].number, LEN, stream
            ),
        }
        graph += record(5, LEN, b"".join(fields[key] for key in sorted(fields)))
    assert_comes_back(record(7, LEN, graph), tmp_path)
    with uproot.open(tmp_path / "models.root") as file:
        assert len(file["model/tensors"][storage.name].page_link_list) == 4
        assert "deviation" not in file["model/ModelProto"].keys()  # noqa: SIM118  (no mapping)


@pytest.mark.parametrize("nbytes", [SPILL_NBYTES - 1, SPILL_NBYTES, 3 * CHUNK_NBYTES + 1])
def test_long_strings_spill(nbytes: int, tmp_path: Path) -> None:
    model = linear_model()
    model.doc_string = "x" * nbytes
    model.graph.node[0].doc_string = "y" * nbytes
    model.graph.node[1].attribute.add(name="a", s=b"\xff" * nbytes)
    assert_comes_back(model.SerializeToString(), tmp_path)
    with uproot.open(tmp_path / "models.root") as file:
        fields = file["model/Payload"]["field"].array().tolist()
        assert len(fields) == (5 if nbytes >= SPILL_NBYTES else 2)


def test_large_payload_of_a_file_that_is_not_canonical(tmp_path: Path) -> None:
    values = np.random.default_rng(3).bytes(2 * CHUNK_NBYTES + 3)
    data = graph_model([raw_tensor("x", np.frombuffer(values, np.uint8))]).SerializeToString()
    assert_comes_back(swap_pair(data, 0), tmp_path)
    assert (tmp_path / "models.root").stat().st_size < len(data) + 20_000


def test_many_tensors_of_all_storages_interleaved(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    model = graph_model()
    for number in range(3000):
        name = list(DATA_TYPES)[int(generator.integers(len(DATA_TYPES)))]
        raw = generator.bytes(16 * int(generator.integers(4)))
        model.graph.initializer.add(name=f"t{number}", data_type=DATA_TYPES[name], raw_data=raw)
        model.graph.initializer.add(name=f"u{number}", data_type=7, int64_data=[number, -number])
    assert_comes_back(model.SerializeToString(), tmp_path)


# --- convert ----------------------------------------------------------------------------------


def test_convert_both_ways(tmp_path: Path) -> None:
    onnxroot.convert(as_path(tmp_path), tmp_path / "m.root", metadata={"a": "b"}, compression="lz4")
    onnxroot.convert(tmp_path / "m.root", tmp_path / "again.onnx")
    onnxroot.convert(f"{tmp_path}/m.root:tagger", f"{tmp_path}/AGAIN.ONNX")
    assert (tmp_path / "again.onnx").read_bytes() == MODEL
    assert (tmp_path / "AGAIN.ONNX").read_bytes() == MODEL
    with onnxroot.open(tmp_path / "m.root:tagger") as model:
        assert model.manifest.metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("source", "destination", "error", "text"),
    [
        ("tagger.onnx", "n.onnx", onnxroot.UnsupportedModelError, "both ONNX files"),
        ("tagger.onnx", "n.txt", onnxroot.UnsupportedModelError, "ends in .root or .onnx"),
        ("m.root", "tagger.onnx", onnxroot.ModelExistsError, "exists"),
        ("tagger.onnx", "m.root", onnxroot.ModelExistsError, "exists"),
        ("text.txt", "n.root", onnxroot.UnsupportedModelError, "no installed adapter knows it"),
        ("missing.onnx", "n.root", FileNotFoundError, "missing"),
        ("missing.root", "n.onnx", FileNotFoundError, "missing"),
        ("missing.pt2", "n.root", FileNotFoundError, "missing"),
        ("m.root:no", "n.onnx", onnxroot.ModelNotFoundError, "holds tagger"),
    ],
)
def test_conversions_that_cannot_be(
    source: str, destination: str, error: type[Exception], text: str, tmp_path: Path
) -> None:
    onnxroot.convert(as_path(tmp_path), tmp_path / "m.root")
    (tmp_path / "text.txt").write_text("hello")
    before = files_in(tmp_path)
    with pytest.raises(error, match=re.escape(text)):
        onnxroot.convert(tmp_path / source, tmp_path / destination)
    assert files_in(tmp_path) == before


def test_the_api_is_what_the_package_exports() -> None:
    assert {name for name in api.__all__ if getattr(onnxroot, name) is getattr(api, name)} == {
        *api.__all__
    }
