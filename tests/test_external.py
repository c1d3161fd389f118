"""External data: every byte of the files beside a model, and no byte of any other."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxroot
from onnxroot._spec import CHUNK_NBYTES
from tests.golden import golden
from tests.model_encodings import LEN, random_model, record, swap_pair
from tests.samples import OLD_ONNX, external_tensor, files_in, graph_model, raw_tensor

FLOAT, INT64, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8

BYTES = np.random.default_rng(6).bytes(4096)


def store(folder: Path, model: onnx.ModelProto | bytes, files: dict[str, bytes]) -> str:
    """Write a model and the files beside it, then store it; return its address."""
    source = folder / "source"
    source.mkdir()
    for name, data in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    data = model if isinstance(model, bytes) else model.SerializeToString()
    (source / "m.onnx").write_bytes(data)
    onnxroot.write(source / "m.onnx", folder / "m.root")
    return f"{folder}/m.root:m"


def assert_comes_back(address: str, folder: Path) -> None:
    """Save the model into a new folder; it must hold the same files."""
    (folder / "saved").mkdir()
    with onnxroot.open(address) as model:
        model.save(folder / "saved" / "m.onnx")
    assert files_in(folder / "saved") == files_in(folder / "source")
    report = onnxroot.verify(address)
    assert report.ok, report.problems


# --- There and back ---------------------------------------------------------------------------

LAYOUTS: dict[str, tuple[list[TensorProto], dict[str, bytes]]] = {
    # tensors, and the files that they are in
    "gap and padding": (
        [
            external_tensor("a", FLOAT, [4], location="w", offset=32, length=16),
            external_tensor("b", FLOAT, [2], location="w", offset=64, length=8),
        ],
        {"w": BYTES[:100]},
    ),
    "whole file": ([external_tensor("a", UINT8, [10], location="w")], {"w": BYTES[:10]}),
    "to the end": ([external_tensor("a", UINT8, [7], location="w", offset=3)], {"w": BYTES[:10]}),
    "tied": (
        [external_tensor(name, FLOAT, [4], location="w", length=16) for name in "abc"],
        {"w": BYTES[:16]},
    ),
    "overlapping": (
        [
            external_tensor("a", FLOAT, [4], location="w", offset=0, length=16),
            external_tensor("b", FLOAT, [4], location="w", offset=8, length=16),
            external_tensor("c", UINT8, [5], location="w", offset=3, length=5),
            external_tensor("d", INT64, [4], location="w", offset=4, length=32),
        ],
        {"w": BYTES[:40]},
    ),
    "unordered": (
        [
            external_tensor("a", FLOAT, [1], location="w", offset=8, length=4),
            external_tensor("b", FLOAT, [1], location="w", offset=0, length=4),
        ],
        {"w": BYTES[:12]},
    ),
    "several files": (
        [
            external_tensor("a", FLOAT, [1], location="w", length=4),
            external_tensor("b", FLOAT, [1], location="sub/dir/w", length=4),
            external_tensor("c", FLOAT, [1], location="./x", length=4),
            external_tensor("d", FLOAT, [1], location="w", offset=4, length=4),
            external_tensor("e", FLOAT, [1], location="sub/./dir//w", offset=4, length=4),
        ],
        {"w": BYTES[:8], "sub/dir/w": BYTES[8:16], "x": BYTES[16:30]},
    ),
    "nothing": (
        [
            external_tensor("a", FLOAT, [0], location="w", offset=0, length=0),
            external_tensor("b", FLOAT, [0], location="w", offset=5, length=0),
            external_tensor("c", FLOAT, [0], location="w", offset=10, length=0),
            external_tensor("d", FLOAT, [0], location="w", offset=10),
        ],
        {"w": BYTES[:10]},
    ),
    "empty file": ([external_tensor("a", FLOAT, [0], location="w", length=0)], {"w": b""}),
    "empty file among others": (
        [
            external_tensor("a", FLOAT, [1], location="w", length=4),
            external_tensor("b", FLOAT, [0], location="x"),
            external_tensor("c", FLOAT, [1], location="y", length=4),
        ],
        {"w": BYTES[:4], "x": b"", "y": BYTES[:4]},
    ),
    "beside raw_data": (
        [
            raw_tensor("a", np.arange(3, dtype=np.float32)),
            external_tensor("b", FLOAT, [2], location="w", length=8),
            raw_tensor("c", np.arange(5, dtype=np.float32)),
        ],
        {"w": BYTES[:8]},
    ),
    "odd names": (
        [
            external_tensor("a", UINT8, [1], location="ä b.bin"),
            external_tensor("b", UINT8, [1], location="..."),
        ],
        {"ä b.bin": b"x", "...": b"y"},
    ),
    "other entries": (
        [external_tensor("a", UINT8, [4], checksum="abc", length=4, offset=0, location="w")],
        {"w": BYTES[:4]},
    ),
    "shape and bytes disagree": (
        [external_tensor("a", FLOAT, [100], location="w", length=7)],
        {"w": BYTES[:9]},
    ),
    "across clusters": (
        [
            external_tensor("a", FLOAT, [3 * 2**20], location="w", offset=5, length=12 * 2**20),
            external_tensor("b", UINT8, [9 * 2**20], location="w", offset=12 * 2**20 + 5),
        ],
        {"w": BYTES * (21 * 2**8) + b"12345"},
    ),
    "nothing where a cluster begins": (
        [
            external_tensor("a", UINT8, [20 * 2**20], location="w"),
            external_tensor("b", UINT8, [0], location="w", offset=CHUNK_NBYTES, length=0),
            external_tensor("c", UINT8, [0], location="w", offset=2 * CHUNK_NBYTES, length=0),
        ],
        {"w": BYTES * (20 * 2**8)},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_come_back(layout: str, tmp_path: Path) -> None:
    tensors, files = LAYOUTS[layout]
    address = store(tmp_path, graph_model(tensors), files)
    assert_comes_back(address, tmp_path)
    with onnxroot.open(address) as model:
        assert [file.location for file in model.manifest.external_files] == list(files)
        assert [file.nbytes for file in model.manifest.external_files] == list(
            map(len, files.values())
        )


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if "disagree" not in name])
def test_tensors_are_read_from_the_files(layout: str, tmp_path: Path) -> None:
    tensors, files = LAYOUTS[layout]
    with onnxroot.open(store(tmp_path, graph_model(tensors), files)) as model:
        for tensor in tensors:
            expected = elements(tensor, files)
            found = model.tensors[tensor.name]
            assert found.nbytes == len(expected)
            assert found.numpy().tobytes() == expected
            assert found.numpy().shape == tuple(tensor.dims)


def elements(tensor: TensorProto, files: dict[str, bytes]) -> bytes:
    """Return the elements of a tensor as they lie in its file."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return bytes(tensor.raw_data)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    data = files[os.path.normpath(entries["location"])]
    start = int(entries.get("offset", 0))
    return data[start : start + int(entries["length"])] if "length" in entries else data[start:]


def test_golden_model(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    onnxroot.write(golden("external_data"), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        model.save(tmp_path / "saved" / "m.onnx")
    found = files_in(tmp_path / "saved")
    expected = files_in(golden("external_data").parent)
    assert found.pop("m.onnx") == expected["external_data.onnx"]
    assert found == {name: expected[name] for name in ("weights.bin", "calibration/scales.bin")}


def test_files_of_a_model_that_is_not_canonical(tmp_path: Path) -> None:
    tensors, files = LAYOUTS["overlapping"]
    data = swap_pair(graph_model(tensors).SerializeToString(), 0) + record(99, LEN, b"unknown")
    assert_comes_back(store(tmp_path, data, files), tmp_path)


@pytest.mark.parametrize("seed", range(0, 40, 8))
def test_random_models(seed: int, tmp_path: Path) -> None:
    files = {"weights.bin": BYTES[:100], "empty.bin": b""}
    sizes = {name: len(data) for name, data in files.items()}
    for number in range(seed, seed + 8):
        folder = tmp_path / str(number)
        folder.mkdir()
        data = random_model(number, external_files=sizes).data
        address = store(folder, data, files)
        with onnxroot.open(address) as model:
            used = {file.location for file in model.manifest.external_files}
        for name in set(files) - used:
            (folder / "source" / name).unlink()
        assert_comes_back(address, folder)


def test_external_data_dir(tmp_path: Path) -> None:
    data = golden("external_data").read_bytes()
    with pytest.raises(onnxroot.UnsupportedModelError, match="give external_data_dir="):
        onnxroot.write(data, tmp_path / "m.root:m")
    onnxroot.write(data, tmp_path / "m.root:m", external_data_dir=golden("external_data").parent)
    assert onnxroot.verify(tmp_path / "m.root").ok


def test_files_in_subgraphs_functions_and_sparse_tensors(tmp_path: Path) -> None:
    """Tensors are found wherever a message of their type can be."""
    tensors = [external_tensor(name, FLOAT, [1], location=name) for name in "abcdef"]
    inner = helper.make_graph([], "inner", [], [], [tensors[0]])
    model = graph_model(
        nodes=[
            helper.make_node("If", [], [], then_branch=inner),
            helper.make_node("Constant", [], ["c"], value=tensors[1]),
        ]
    )
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(tensors[2])
    sparse.indices.CopyFrom(tensors[3])
    function = model.functions.add(name="f")
    function.node.add(op_type="Constant").attribute.add(name="v").t.CopyFrom(tensors[4])
    model.training_info.add().algorithm.initializer.add().CopyFrom(tensors[5])
    files = {name: BYTES[i : i + 4] for i, name in enumerate("abcdef")}
    assert_comes_back(store(tmp_path, model, files), tmp_path)


# --- Refusals ---------------------------------------------------------------------------------


def plain(**entries: Any) -> list[TensorProto]:
    return [external_tensor("w", FLOAT, [4], **entries)]


REFUSED: dict[str, tuple[list[TensorProto], type[Exception], str]] = {
    # beside the model lie `w` of 16 bytes, and links to files outside
    "missing": (plain(location="no.bin"), onnxroot.UnsupportedModelError, "'no.bin' not found"),
    "in a missing folder": (plain(location="no/w"), onnxroot.UnsupportedModelError, "not found"),
    "below a file": (plain(location="w/x"), onnxroot.UnsupportedModelError, "'w/x' not found"),
    "too short": (
        plain(location="w", offset=4, length=16),
        onnxroot.UnsupportedModelError,
        "'w' has 16 bytes, but the tensor ends at byte 20",
    ),
    "offset behind the end": (
        plain(location="w", offset=17),
        onnxroot.UnsupportedModelError,
        "has 16 bytes, but the tensor ends at byte 17",
    ),
    "a folder": (plain(location="folder"), onnxroot.UnsupportedModelError, "not a regular file"),
    "absolute": (plain(location="/etc/hosts"), onnxroot.UnsupportedModelError, "not below"),
    "upwards": (plain(location="../secret"), onnxroot.UnsupportedModelError, "not below"),
    "up and down": (plain(location="folder/../w"), onnxroot.UnsupportedModelError, "not below"),
    "the folder itself": (plain(location="."), onnxroot.UnsupportedModelError, "not below"),
    "backslashes": (plain(location="..\\secret"), onnxroot.UnsupportedModelError, "not below"),
    "a drive": (plain(location="C:secret"), onnxroot.UnsupportedModelError, "not below"),
    "NUL": (plain(location="w\x00x"), onnxroot.UnsupportedModelError, "not below"),
    "a symbolic link": (plain(location="link"), onnxroot.UnsupportedModelError, "symbolic link"),
    "below a link": (plain(location="way/secret"), onnxroot.UnsupportedModelError, "symbolic link"),
    "a hard link": (plain(location="hard"), onnxroot.UnsupportedModelError, "2 hard links"),
    "no location": (plain(offset=0), onnxroot.FormatError, "names no location"),
    "empty location": (plain(location=""), onnxroot.FormatError, "names no location"),
    "no entries": (plain(), onnxroot.FormatError, "names no location"),
    "negative offset": (plain(location="w", offset=-1), onnxroot.FormatError, "offset is '-1'"),
    "length in words": (plain(location="w", length="all"), onnxroot.FormatError, "length is 'all'"),
    "length with a dot": (plain(location="w", length="4.0"), onnxroot.FormatError, "byte count"),
    "length in Arabic digits": (
        plain(location="w", length="٤"),
        onnxroot.FormatError,
        "byte count",
    ),
    "offset over 63 bits": (plain(location="w", offset=2**63), onnxroot.FormatError, "byte count"),
    "empty length": (plain(location="w", length=""), onnxroot.FormatError, "byte count"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    tensors, error, text = REFUSED[case]
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "w").write_bytes(BYTES[:16])
    (tmp_path / "secret").write_bytes(BYTES[:16])
    (source / "link").symlink_to(tmp_path / "secret")
    (source / "way").symlink_to(tmp_path)
    (source / "hard").hardlink_to(tmp_path / "secret")
    (source / "m.onnx").write_bytes(graph_model(tensors).SerializeToString())
    with pytest.raises(error, match=text) as caught:
        onnxroot.write(source / "m.onnx", tmp_path / "m.root")
    assert "tensor 'w'" in str(caught.value) or "external file" in str(caught.value)
    assert not list(tmp_path.glob("*m.root*"))


# --- Saving -----------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> str:
    tensors, files = LAYOUTS["several files"]
    return store(tmp_path, graph_model(tensors), files)


@pytest.mark.parametrize("existing", ["m.onnx", "w", "sub/dir/w"])
def test_no_file_is_overwritten(existing: str, stored: str, tmp_path: Path) -> None:
    place = tmp_path / "target" / existing
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    with onnxroot.open(stored) as model:
        with pytest.raises(onnxroot.ModelExistsError, match=f"{existing} exists"):
            model.save(tmp_path / "target" / "m.onnx")
        assert files_in(tmp_path / "target") == {existing: b"mine"}
        model.save(tmp_path / "target" / "m.onnx", replace=True)
    assert files_in(tmp_path / "target") == files_in(tmp_path / "source")


@pytest.mark.parametrize("replace", [False, True])
def test_nothing_is_written_through_a_link(stored: str, tmp_path: Path, *, replace: bool) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "target" / "sub").symlink_to(tmp_path / "outside")
    with (
        onnxroot.open(stored) as model,
        pytest.raises(onnxroot.UnsupportedModelError, match="symbolic link"),
    ):
        model.save(tmp_path / "target" / "m.onnx", replace=replace)
    assert not files_in(tmp_path / "outside")
    assert not files_in(tmp_path / "target")


def test_a_location_in_a_forged_manifest_stays_inside(stored: str, tmp_path: Path) -> None:
    """The ROOT file is not trusted either."""
    (tmp_path / "target").mkdir()
    with onnxroot.open(stored) as model:
        for file in model.manifest.external_files:
            object.__setattr__(file, "location", f"../{file.location}")
        with pytest.raises(onnxroot.UnsupportedModelError, match="not below"):
            model.save(tmp_path / "target" / "m.onnx")
    assert not files_in(tmp_path / "target")


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_failing_save_leaves_nothing(
    writes: int, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(self: Any, *arguments: Any) -> None:
        if len(copied) == writes:
            raise OSError(28, "No space left on device")
        copied.append(real(self, *arguments))

    copied: list[None] = []
    (tmp_path / "target").mkdir()
    with onnxroot.open(stored) as model:
        real = type(model._stored).copy
        monkeypatch.setattr(type(model._stored), "copy", copy)
        with pytest.raises(OSError, match="No space left"):
            model.save(tmp_path / "target" / "m.onnx")
    assert not files_in(tmp_path / "target")


# --- Embedding --------------------------------------------------------------------------------


def loaded(path: Path) -> dict[str, tuple[int, tuple[int, ...], bytes]]:
    """Return type, shape and elements of all initializers, as onnx reads them."""
    graph = onnx.load(path).graph
    return {
        tensor.name: (
            tensor.data_type,
            tuple(tensor.dims),
            numpy_helper.to_array(tensor).tobytes(),
        )
        for tensor in graph.initializer
    }


@pytest.mark.parametrize(
    "layout", ["gap and padding", "tied", "overlapping", "several files", "beside raw_data"]
)
def test_embedded_is_the_same_model(layout: str, tmp_path: Path) -> None:
    tensors, files = LAYOUTS[layout]
    address = store(tmp_path, graph_model(tensors), files)
    (tmp_path / "target").mkdir()
    with onnxroot.open(address) as model:
        model.save(tmp_path / "target" / "e.onnx", embed=True)
    assert set(files_in(tmp_path / "target")) == {"e.onnx"}
    assert loaded(tmp_path / "target" / "e.onnx") == loaded(tmp_path / "source" / "m.onnx")
    embedded = onnx.load(tmp_path / "target" / "e.onnx")
    assert not any(tensor.external_data for tensor in embedded.graph.initializer)
    expected = onnx.load(tmp_path / "source" / "m.onnx")
    for proto in (embedded, expected):
        del proto.graph.initializer[:]
    assert embedded == expected


@pytest.mark.skipif(OLD_ONNX, reason="onnx before 1.23 does not load this model itself")
def test_embedded_golden_model(tmp_path: Path) -> None:
    onnxroot.write(golden("external_data"), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        model.save(tmp_path / "e.onnx", embed=True)
    assert loaded(tmp_path / "e.onnx") == loaded(golden("external_data"))
    onnxroot.write(tmp_path / "e.onnx", tmp_path / "e.root")
    with onnxroot.open(tmp_path / "e.root") as model:
        assert not model.manifest.external_files


def test_embedding_a_model_without_files_changes_nothing(tmp_path: Path) -> None:
    onnxroot.write(golden("non_canonical"), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        model.save(tmp_path / "e.onnx", embed=True)
    assert (tmp_path / "e.onnx").read_bytes() == golden("non_canonical").read_bytes()


def test_embedding_refuses_what_is_in_two_places(tmp_path: Path) -> None:
    (tensor,) = plain(location="w")
    tensor.raw_data = b"\x01\x02\x03\x04"
    with onnxroot.open(store(tmp_path, graph_model([tensor]), {"w": BYTES[:16]})) as model:
        assert model.tensors["w"].numpy().tobytes() == BYTES[:16]
        with pytest.raises(onnxroot.UnsupportedModelError, match="raw_data too"):
            model.save(tmp_path / "e.onnx", embed=True)
    assert not (tmp_path / "e.onnx").exists()


def test_embedding_refuses_what_protobuf_cannot_hold(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxroot._embed._LIMIT", 50)
    with (
        onnxroot.open(stored) as model,
        pytest.raises(onnxroot.UnsupportedModelError, match="save it without embedding"),
    ):
        model.save(tmp_path / "e.onnx", embed=True)
    assert not (tmp_path / "e.onnx").exists()


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-1],
    "grown": lambda data: data + b"x",
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_length_of_each_file_is_checked(change: str, stored: str, tmp_path: Path) -> None:
    with onnxroot.open(stored) as model:
        assert model.manifest.external_files[0].nbytes == 8
        object.__setattr__(
            model.manifest.external_files[0], "nbytes", len(CHANGES[change](bytes(8)))
        )
        with pytest.raises(onnxroot.IntegrityError, match="m, w: 8 bytes, the manifest says"):
            model.save(tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
