"""An opened model: its parts against what onnx reads of the same file."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxroot
from onnxroot._describe import describe
from onnxroot._dtypes import ELEMENT_TYPES
from onnxroot._look import open_view
from onnxroot._rntuple_read import TableReader
from onnxroot._spec import CHUNK_NBYTES
from onnxroot.model import Model, Value
from tests.golden import GOLDEN_NAMES, golden
from tests.model_encodings import LEN, nested_types, record
from tests.samples import OLD_ONNX, OLD_PROTOBUF, files_in, graph_model, linear_model, raw_tensor


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with every golden model in a ROOT file."""
    folder = tmp_path_factory.mktemp("golden")
    for name in GOLDEN_NAMES:
        onnxroot.write(golden(name), folder / f"{name}.root")
    return folder


@pytest.fixture(params=GOLDEN_NAMES)
def pair(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Model, onnx.ModelProto]]:
    """Yield each golden model as we and as onnx read it."""
    with onnxroot.open(folder / f"{request.param}.root") as model:
        yield model, onnx.load(golden(request.param), load_external_data=False)


# --- The whole model --------------------------------------------------------------------------


def test_to_proto(pair: tuple[Model, onnx.ModelProto]) -> None:
    model, proto = pair
    assert model.to_proto().SerializeToString(deterministic=True) == proto.SerializeToString(
        deterministic=True
    )


def test_save(pair: tuple[Model, onnx.ModelProto], tmp_path: Path) -> None:
    model, _ = pair
    name = Path(model.path).stem
    model.save(tmp_path / f"{name}.onnx")
    expected = files_in(golden(name).parent)
    found = files_in(tmp_path)
    assert found == {path: expected[path] for path in found}
    assert len(found) == 1 + len(model.manifest.external_files)


def test_save_replaces_only_if_asked(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("mine")
    with onnxroot.open(folder / "functions.root") as model:
        with pytest.raises(onnxroot.ModelExistsError, match=r"m\.onnx exists"):
            model.save(tmp_path / "m.onnx")
        assert (tmp_path / "m.onnx").read_text() == "mine"
        model.save(tmp_path / "m.onnx", replace=True)
    assert (tmp_path / "m.onnx").read_bytes() == golden("functions").read_bytes()


def test_a_failing_save_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "external_data.onnx").write_text("mine")
    with onnxroot.open(folder / "external_data.root") as model:
        whole = model._stored.document().skeleton
        monkeypatch.setattr(
            "onnxroot._stored.join", lambda *_: pytest.fail("stop") if len(whole) else None
        )
        with pytest.raises(pytest.fail.Exception):
            model.save(tmp_path / "external_data.onnx", replace=True)
    assert files_in(tmp_path) == {"external_data.onnx": b"mine"}


def test_manifest_and_repr(folder: Path) -> None:
    with onnxroot.open(folder / "functions.root") as model:
        assert repr(model) == f"<Model {folder}/functions.root:functions>"
        assert model.address == f"{folder}/functions.root:functions"
        assert model.path == f"{folder}/functions.root"
        assert model.manifest.nbytes == golden("functions").stat().st_size
        assert model.manifest.format_version == 1
        assert model.manifest.provenance["file"] == "functions.onnx"


# --- Inputs, outputs, versions ----------------------------------------------------------------


def test_versions(pair: tuple[Model, onnx.ModelProto]) -> None:
    model, proto = pair
    assert model.opset_imports == {opset.domain: opset.version for opset in proto.opset_import}
    assert model.ir_version == proto.ir_version
    parts = [proto.producer_name, proto.producer_version]
    assert model.producer == " ".join(filter(None, parts))
    assert model.metadata == {entry.key: entry.value for entry in proto.metadata_props}


def expected_value(value: onnx.ValueInfoProto) -> Value:
    """Say of a ValueInfoProto what `Value` should."""
    kind = value.type.WhichOneof("value")
    if kind not in {"tensor_type", "sparse_tensor_type"}:
        return Value(value.name, expected_type(value.type), None)
    tensor = getattr(value.type, kind)
    name = ELEMENT_TYPES[tensor.elem_type].name if tensor.elem_type else "data_type 0"
    shape = None
    if tensor.HasField("shape"):
        fields = [dim.WhichOneof("value") for dim in tensor.shape.dim]
        shape = tuple(
            getattr(dim, field) if field else None
            for dim, field in zip(tensor.shape.dim, fields, strict=True)
        )
    return Value(value.name, "sparse " * (kind == "sparse_tensor_type") + name, shape)


def expected_type(proto: onnx.TypeProto) -> str:
    """Say of a type that holds others what `Value.type` should."""
    kind = proto.WhichOneof("value") or ""
    if kind in {"tensor_type", "sparse_tensor_type"}:
        value = onnx.ValueInfoProto(name="x", type=proto)
        return str(expected_value(value)).removeprefix("x: ")
    name = kind.removesuffix("_type")
    held = getattr(proto, kind) if kind else proto
    parts = [ELEMENT_TYPES[held.key_type].name] if name == "map" else []
    for field, child in held.ListFields() if name in {"map", "sequence", "optional"} else ():
        if field.name in {"elem_type", "value_type"}:
            parts.append(expected_type(child) or "?")
    return f"{name}({', '.join(parts)})" if parts else name


def test_types_that_hold_others(folder: Path) -> None:
    with onnxroot.open(folder / "types_metadata.root") as model:
        types = {value.name: value.type for value in model.inputs}
    map_type = "map(STRING, sequence(FLOAT[batch, ?, 3]))"
    assert types["sequence"] == "sequence(FLOAT[batch, ?, 3])"
    assert types["sequence_of_maps"] == f"sequence({map_type})"
    assert types["map"] == map_type
    assert types["optional"] == "optional(sequence(sequence(FLOAT[batch, ?, 3])))"
    assert types["opaque"] == "opaque"
    assert types["empty_sequence"] == "sequence"


def test_inputs_and_outputs(pair: tuple[Model, onnx.ModelProto]) -> None:
    model, proto = pair
    assert model.inputs == [expected_value(value) for value in proto.graph.input]
    assert model.outputs == [expected_value(value) for value in proto.graph.output]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value("x", "FLOAT", (1, "n", None)), "x: FLOAT[1, n, ?]"),
        (Value("x", "FLOAT", ()), "x: FLOAT[]"),
        (Value("x", "map", None), "x: map"),
        (Value("x", "", None), "x: ?"),
    ],
)
def test_values_as_text(value: Value, text: str) -> None:
    assert str(value) == text


def test_absent_is_not_empty(tmp_path: Path) -> None:
    """A version that is 0, a dimension of size 0: present all the same."""
    proto = onnx.ModelProto(ir_version=0)
    proto.graph.output.add(name="y")
    proto.graph.input.add(name="x").type.tensor_type.shape.dim.add(dim_value=0)
    onnxroot.write(proto, tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        assert model.ir_version == 0
        assert model.producer == ""
        assert model.inputs == [Value("x", "data_type 0", (0,))]
        assert model.outputs == [Value("y", "", None)]


# --- Nodes ------------------------------------------------------------------------------------


def as_text(value: str | bytes) -> str:
    """Decode what protobuf leaves as bytes because it is not UTF-8, as awkward does."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value


def test_nodes(pair: tuple[Model, onnx.ModelProto]) -> None:
    model, proto = pair
    found = model.nodes.to_list()
    assert len(found) == len(proto.graph.node)
    for node, expected in zip(found, proto.graph.node, strict=True):
        for field in ("name", "op_type", "domain", "overload"):
            assert node[field] == as_text(getattr(expected, field))
        assert node["input"] == list(expected.input)
        assert node["output"] == list(expected.output)


def test_nodes_without_inputs(tmp_path: Path) -> None:
    onnxroot.write(graph_model(nodes=[onnx.NodeProto(op_type="A")] * 2), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        nodes = model.nodes
        assert nodes["op_type"].to_list() == ["A", "A"]
        assert nodes["input"].to_list() == [[], []]
        assert nodes["name"].to_list() == ["", ""]


# --- Tensors ----------------------------------------------------------------------------------


def bits(array: np.ndarray) -> object:
    return array.tolist() if array.dtype == object else array.tobytes()


def test_tensors_of_the_main_graph(pair: tuple[Model, onnx.ModelProto]) -> None:
    model, proto = pair
    assert list(model.tensors)[: len(proto.graph.initializer)] == list(
        dict.fromkeys(tensor.name for tensor in proto.graph.initializer)
    )
    for name, expected in {t.name: t for t in reversed(proto.graph.initializer)}.items():
        tensor = model.tensors[name]
        assert (tensor.name, tensor.shape) == (name, tuple(expected.dims))
        known = ELEMENT_TYPES.get(expected.data_type)
        assert tensor.data_type == (known.name if known else f"data_type {expected.data_type}")
        assert repr(tensor) == f"<Tensor {name!r} {tensor.data_type} {list(expected.dims)}>"
        if expected.data_location != TensorProto.EXTERNAL:
            compare_with_onnx(model, expected)


CUT_BY_ONNX = {"uint8_out_of_range", "float16_over_16_bits", "uint32_over_32_bits"}
"""Some versions of onnx drop the bits that are too many; others raise an error, as we do."""


def compare_with_onnx(model: Model, expected: TensorProto) -> None:
    """Compare elements, where onnx can read them."""
    if OLD_ONNX:
        return  # it drops bits, or gives types of its own, for some of them
    try:
        array = numpy_helper.to_array(expected)
    except (KeyError, OverflowError, TypeError, ValueError):
        return
    if any(dim < 0 for dim in expected.dims):
        return  # onnx takes -1 for "whatever fits"
    if expected.name.endswith(("_over_16_bits", "_over_32_bits", "_out_of_range")):
        with pytest.raises(onnxroot.UnsupportedModelError, match=r"more than \d+ bits"):
            model.tensors[expected.name].numpy()  # onnx drops the higher bits
        return
    if expected.name in CUT_BY_ONNX:
        return
    found = model.tensors[expected.name].numpy()
    if OLD_PROTOBUF and len(expected.float_data):
        assert (quieted(found), found.shape) == (quieted(array), array.shape)
    else:
        assert (bits(found), found.shape) == (bits(array), array.shape)


def quieted(array: np.ndarray) -> bytes:
    """Return the bytes of an array, with signalling NaNs of 32 bits made quiet."""
    values = np.frombuffer(array.tobytes(), np.float32)
    return np.where(
        np.isnan(values), values.view(np.uint32) | 1 << 22, values.view(np.uint32)
    ).tobytes()


@pytest.fixture(scope="module")
def data_types(folder: Path) -> Iterator[Model]:
    with onnxroot.open(folder / "data_types.root") as model:
        yield model


TYPES = [element for element in ELEMENT_TYPES.values() if element.bits]


def test_types_that_nest_without_end(tmp_path: Path) -> None:
    """What a raised limit lets in is looked at without running out of stack."""
    data, limits = nested_types(1000), onnxroot.Limits(depth=10_000)
    onnxroot.write(data, tmp_path / "m.root", limits=limits)
    (tmp_path / "m.onnx").write_bytes(data)
    for path in (tmp_path / "m.root", tmp_path / "m.onnx"):
        with open_view(path, limits=limits) as model:
            (value,) = model.inputs
            assert value.type.startswith("sequence(sequence(")
            assert value.type.endswith("(..." + ")" * value.type.count("("))
    with onnxroot.open(tmp_path / "m.root", limits=limits) as model:
        assert model.to_bytes() == data
        with pytest.raises(onnxroot.UnsupportedModelError, match="protobuf does not take it"):
            model.to_proto()


@pytest.mark.parametrize("element", TYPES, ids=lambda element: element.name)
def test_every_data_type(element: object, data_types: Model) -> None:
    raw, typed = (data_types.tensors[f"{element.name}.{way}"].numpy() for way in ("raw", "typed"))
    dtype = getattr(ml_dtypes, element.numpy, None) or np.dtype(element.numpy)
    assert raw.dtype == typed.dtype == dtype
    assert raw.shape == typed.shape == (3, 5)
    assert bits(raw) == bits(typed)
    proto = onnx.load(golden("data_types"))
    (expected,) = (t.raw_data for t in proto.graph.initializer if t.name == f"{element.name}.raw")
    assert packed(raw, element.bits) == expected


def packed(array: np.ndarray, n_bits: int) -> bytes:
    """Put elements end to end, the first in the lowest bits: what raw_data holds."""
    if n_bits % 8 == 0:
        return array.tobytes()
    mask = (1 << n_bits) - 1
    total = sum((byte & mask) << i * n_bits for i, byte in enumerate(array.tobytes()))
    return total.to_bytes(-(-array.size * n_bits // 8), "little")


@pytest.mark.parametrize(
    "name",
    [
        "segment",
        "shape_over_bytes",
        "bytes_over_shape",
        "odd_number_of_bytes",
        "odd_number_of_bytes_wide",
        "negative_dim",
        "overflowing_dims",
        "no_elements",
        "no_dims_many_elements",
        "floats_in_an_int64",
        "raw_string",
        "doubles_in_a_string",
        *sorted(CUT_BY_ONNX),
        "no_type",
        "undefined_type",
        "future_type",
        "negative_type",
    ],
)
def test_malformed_tensors_are_not_interpreted(name: str, folder: Path) -> None:
    with onnxroot.open(folder / "malformed_tensors.root") as model:
        tensor = model.tensors[name]
        with pytest.raises(onnxroot.UnsupportedModelError, match=f"'{name}'.*malformed"):
            tensor.numpy()


@pytest.mark.parametrize("dims", [[1 << 40] * 10_000, [1 << 62, 4], [3] * 200])
def test_shapes_of_more_elements_than_any_file(dims: list[int], tmp_path: Path) -> None:
    """Their product has thousands of digits, which Python does not even print."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=bytes(4))
    onnxroot.write(graph_model([tensor]), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        assert (model.n_parameters, model.tensors["w"].size) == (0, 0)
        assert "parameters" in model._repr_html_()
        describe(model, statistics=True)
        with pytest.raises(onnxroot.UnsupportedModelError, match="its shape needs more than"):
            model.tensors["w"].numpy()


def test_a_shape_of_thousands_of_dimensions(tmp_path: Path) -> None:
    tensor = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[1] * 10_000, raw_data=bytes(4)
    )
    onnxroot.write(graph_model([tensor]), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        describe(model, statistics=True)
        with pytest.raises(onnxroot.UnsupportedModelError, match="malformed"):
            model.tensors["w"].numpy()


def test_tensor_as_a_mapping(folder: Path) -> None:
    with onnxroot.open(folder / "mlp_jet_tagger.root") as model:
        assert len(model.tensors) == len(list(model.tensors)) == 10
        assert "hidden1.weight" in model.tensors
        with pytest.raises(KeyError, match=r"no initializer 'absent' in .*mlp_jet_tagger"):
            model.tensors["absent"]
        tensor = model.tensors["hidden1.weight"]
        assert (tensor.size, tensor.nbytes) == (1024, 4096)


def test_tensors_outlive_the_file(tmp_path: Path) -> None:
    values = np.arange(100_000, dtype=np.float32)
    onnxroot.write(graph_model([raw_tensor("x", values)]), tmp_path / "m.root", compression="none")
    with onnxroot.open(tmp_path / "m.root") as model:
        found = model.tensors["x"].numpy()
    del model
    gc.collect()
    (tmp_path / "m.root").unlink()
    assert np.array_equal(found, values)


def test_main_graph_before_subgraphs(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [], "inner", [], [], [raw_tensor("x", np.ones(1)), raw_tensor("y", np.ones(1))]
    )
    outer = graph_model(
        [raw_tensor("x", np.zeros(1))], nodes=[helper.make_node("If", [], [], then_branch=inner)]
    )
    onnxroot.write(outer, tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        assert {name: tensor.numpy().tolist() for name, tensor in model.tensors.items()} == {
            "x": [0.0],
            "y": [1.0],
        }


SLICES = (slice(None), slice(1, 3), slice(None, None, -2), slice(5, 1), slice(-1, None), 0, -1)


@pytest.mark.parametrize("rows", SLICES, ids=str)
@pytest.mark.parametrize("name", ["data_types", "external_data", "mlp_jet_tagger"])
def test_slices_of_tensors(name: str, rows: slice | int, folder: Path) -> None:
    with onnxroot.open(folder / f"{name}.root") as model:
        for tensor in model.tensors.values():
            if not tensor.shape or (isinstance(rows, int) and not tensor.shape[0]):
                with pytest.raises(IndexError):
                    tensor[0]
                continue
            expected, found = np.asarray(tensor.numpy()[rows]), tensor[rows]
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            if expected.dtype == object:
                assert found.tolist() == expected.tolist()
            else:
                assert found.tobytes() == expected.tobytes()


def test_a_slice_reads_its_clusters_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(6 * CHUNK_NBYTES // 4, dtype=np.float32).reshape(6, -1)
    onnxroot.write(graph_model([raw_tensor("x", values)]).SerializeToString(), tmp_path / "m.root")
    read: list[int] = []
    of_cluster = TableReader.values
    monkeypatch.setattr(
        TableReader, "values", lambda self, n, *out: (read.append(n), of_cluster(self, n, *out))[1]
    )
    with onnxroot.open(tmp_path / "m.root") as model:
        assert np.array_equal(model.tensors["x"][2:4], values[2:4])
        assert sorted(read) == [2, 3]


def test_strings(tmp_path: Path) -> None:
    words = np.array([["jet", ""], ["Zürich", "nul\x00"]], object)
    onnxroot.write(graph_model([numpy_helper.from_array(words, "x")]), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        assert model.tensors["x"].numpy().tolist() == words.tolist()


def test_long_typed_fields(tmp_path: Path) -> None:
    n_values = 3_000_000  # more than a cluster of int64
    values = np.arange(n_values) * 7 - 1000
    tensor = TensorProto(name="x", data_type=TensorProto.INT64, dims=[n_values])
    tensor.int64_data.extend(values.tolist())
    onnxroot.write(graph_model([tensor, raw_tensor("y", values[::-1].copy())]), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        assert np.array_equal(model.tensors["x"].numpy(), values)
        assert np.array_equal(model.tensors["y"].numpy(), values[::-1])


def test_a_long_name_of_a_tensor_is_no_element(tmp_path: Path) -> None:
    """Names of 64 KiB become payloads, but not elements of their tensor."""
    tensor = raw_tensor("n" * 100_000, np.arange(3.0))
    tensor.doc_string = "d" * 100_000
    onnxroot.write(graph_model([tensor]), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        (found,) = model.tensors.values()
        assert found.nbytes == 24
        assert found.numpy().tolist() == [0.0, 1.0, 2.0]


# --- onnxruntime ------------------------------------------------------------------------------


def test_session(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    proto = linear_model()
    onnxroot.write(proto, tmp_path / "m.root")
    features = np.random.default_rng(5).normal(size=(10, 4)).astype(np.float32)
    weight, bias = map(numpy_helper.to_array, proto.graph.initializer)
    with onnxroot.open(tmp_path / "m.root") as model:
        session = model.session(providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"features": features})
    assert np.allclose(scores, features @ weight + bias, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["mlp_jet_tagger", "gradient_boosting", "control_flow", "functions", "external_data"]
)
def test_session_of_golden_models(name: str, folder: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    samples = np.load(golden(name).with_suffix(".npz"))
    inputs = {key[6:]: samples[key] for key in samples if key.startswith("input.")}
    options = {"providers": ["CPUExecutionProvider"]}
    expected = onnxruntime.InferenceSession(str(golden(name)), **options).run(None, inputs)
    with onnxroot.open(folder / f"{name}.root") as model:
        found = model.session(**options).run(None, inputs)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.array_equal(ours, theirs) or ours == theirs


def test_session_is_given_external_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that they may be larger than one protobuf: nothing is embedded."""
    runtime = pytest.importorskip("onnxruntime")
    if not hasattr(runtime.SessionOptions, "add_external_initializers_from_files_in_memory"):
        pytest.skip("this onnxruntime takes no files from memory")
    proto = linear_model(n_inputs=64, n_outputs=64)
    whole = proto.SerializeToString()
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin")
    onnxroot.write(tmp_path / "m.onnx", tmp_path / "m.root")
    monkeypatch.delattr(Model, "_embedded")
    features = {"features": np.ones((2, 64), np.float32)}
    with onnxroot.open(tmp_path / "m.root") as model:
        (found,) = model.session().run(None, features)
    (expected,) = runtime.InferenceSession(whole).run(None, features)
    assert np.array_equal(found, expected)


def test_session_without_onnxruntime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with (
        onnxroot.open(folder / "functions.root") as model,
        pytest.raises(onnxroot.MissingDependencyError, match=r"pip install 'onnxroot\[runtime\]'"),
    ):
        model.session()


# --- Files that were closed -------------------------------------------------------------------


def test_what_was_read_stays(tmp_path: Path) -> None:
    onnxroot.write(linear_model(), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        data = model.to_bytes()
    assert onnx.ModelProto.FromString(data) == linear_model()
    assert [value.name for value in model.inputs] == ["features"]


def test_nothing_more_is_read_from_a_closed_file(folder: Path) -> None:
    with onnxroot.open(folder / "mlp_jet_tagger.root") as model:
        tensor = model.tensors["hidden1.weight"]
        tensor.numpy()
    for read in (tensor.numpy, model.to_bytes, lambda: model.nodes):
        with pytest.raises(ValueError, match="is closed: read from the model before"):
            read()


def test_unknown_fields_do_not_disturb(tmp_path: Path) -> None:
    data = linear_model().SerializeToString() + record(4000, LEN, b"from the future")
    onnxroot.write(data, tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        assert model.to_bytes() == data
        assert set(model.tensors) == {"weight", "bias"}
