"""Looking at an ONNX file where it is: the same as at the model stored from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto

import onnxroot
from onnxroot._look import open_view
from onnxroot._model_view import ModelView
from tests.golden import golden
from tests.samples import each_golden, external_tensor, graph_model

TOLD = ("inputs", "outputs", "opset_imports", "metadata", "producer", "ir_version")


@pytest.fixture(params=each_golden())
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[ModelView, ModelView]]:
    """Yield each golden model as it is, and as it is stored."""
    onnxroot.write(golden(request.param), tmp_path / "m.root")
    with open_view(golden(request.param)) as plain, open_view(tmp_path / "m.root") as stored:
        yield plain, stored


def values_or_error(view: ModelView, name: str) -> object:
    tensor = view.tensors[name]
    try:
        values = tensor.numpy()
    except onnxroot.UnsupportedModelError as error:
        return str(error)
    if tensor.shape:
        assert content(tensor[1:3]) == content(values[1:3])
    return content(values)


def content(values: npt.NDArray[Any]) -> object:
    plain = values.tolist() if values.dtype == object else values.tobytes()
    return values.dtype, values.shape, plain


def test_the_same_in_both_files(pair: tuple[ModelView, ModelView]) -> None:
    plain, stored = pair
    assert [getattr(plain, name) for name in TOLD] == [getattr(stored, name) for name in TOLD]
    assert plain.nodes.to_list() == stored.nodes.to_list()
    assert plain._parts.sizes == stored._parts.sizes
    assert list(plain.tensors) == list(stored.tensors)
    for name, tensor in plain.tensors.items():
        assert repr(tensor) == repr(stored.tensors[name])
        assert tensor.nbytes == stored.tensors[name].nbytes
        assert values_or_error(plain, name) == values_or_error(stored, name)


@pytest.mark.parametrize("kind", ["FLOAT", "INT4", "FLOAT16", "UINT8"])
def test_blocks_are_the_whole(kind: str, tmp_path: Path) -> None:
    bits = {"FLOAT": 32, "INT4": 4, "FLOAT16": 16, "UINT8": 8}[kind]
    number, size = TensorProto.DataType.Value(kind), (9 << 23) // bits + 1
    data = np.random.default_rng(0).integers(0, 60, -(-size * bits // 8), np.uint8)
    data[-1] &= 15
    tensor = TensorProto(name="raw", data_type=number, dims=[size], raw_data=data.tobytes())
    onnxroot.write(graph_model([tensor]), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        blocks = list(model.tensors["raw"].blocks())
        whole = model.tensors["raw"].numpy()
    assert len(blocks) > 1
    assert np.concatenate(blocks).tobytes() == whole.tobytes()


def test_a_malformed_tensor_is_named(tmp_path: Path) -> None:
    """In part as in whole."""
    tensor = TensorProto(name="t", data_type=TensorProto.INT64, dims=[4], int32_data=[1, 2, 3, 4])
    (tmp_path / "m.onnx").write_bytes(graph_model([tensor]).SerializeToString())
    with (
        open_view(tmp_path / "m.onnx") as view,
        pytest.raises(onnxroot.UnsupportedModelError, match=r"tensor 't' .* malformed"),
    ):
        view.tensors["t"][1:2]


def test_limits_hold_for_onnx_files_too(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(golden("control_flow").read_bytes())
    with pytest.raises(onnxroot.FormatError, match="nest deeper than 3"):
        onnxroot.diff(tmp_path / "m.onnx", tmp_path / "m.onnx", limits=onnxroot.Limits(depth=3))


@pytest.mark.parametrize("field", ["int64_data", "float_data", "int32_data"])
def test_parts_of_a_payload(field: str, tmp_path: Path) -> None:
    """In whatever order they are asked for; varints in windows."""
    data_type = {"float_data": TensorProto.FLOAT, "int32_data": TensorProto.INT32}
    tensor = TensorProto(name="x", data_type=data_type.get(field, TensorProto.INT64))
    values = (np.arange(400_000) * 7919) % 2**31
    getattr(tensor, field).extend(values.tolist())
    tensor.dims.append(len(values))
    (tmp_path / "m.onnx").write_bytes(graph_model([tensor]).SerializeToString())
    with open_view(tmp_path / "m.onnx") as view:
        whole = view.tensors["x"].numpy()
        for start, stop in [(0, 5), (300_000, 300_007), (3, 399_999), (399_999, 400_000), (7, 7)]:
            assert np.array_equal(view._parts.values(0, start, stop), whole[start:stop])


def test_what_is_missing_is_said_when_it_is_needed(tmp_path: Path) -> None:
    tensor = external_tensor("w", TensorProto.FLOAT, [2], location="w.bin", length=8)
    (tmp_path / "m.onnx").write_bytes(graph_model([tensor]).SerializeToString())
    with open_view(tmp_path / "m.onnx") as view:
        assert (view.tensors["w"].shape, view.tensors["w"].nbytes) == ((2,), 8)
        with pytest.raises(onnxroot.UnsupportedModelError, match=r"'w\.bin' not found in"):
            view.tensors["w"].numpy()


def test_closed() -> None:
    with open_view(golden("functions")) as view:
        pass
    with pytest.raises(ValueError, match="is closed: read from the model before"):
        assert view.nodes is None


def test_a_root_file_by_another_name(tmp_path: Path) -> None:
    onnxroot.write(golden("functions"), tmp_path / "m.root:x")
    (tmp_path / "m.root").rename(tmp_path / "m.onnx")
    with open_view(tmp_path / "m.onnx") as view:
        assert view.address.endswith("m.onnx:x")
