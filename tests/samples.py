"""Small models that several tests share, and which golden ones these look at."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from google.protobuf import __version__ as protobuf_version
from onnx import TensorProto, helper, numpy_helper

from onnxroot._dtypes import ELEMENT_TYPES
from tests.golden import GOLDEN_NAMES

OLD_ONNX = tuple(map(int, onnx.__version__.split(".")[:2])) < (1, 23)
"""Older versions of onnx read some element types into types of their own."""

OLD_PROTOBUF = int(protobuf_version.partition(".")[0]) < 7
"""Older versions of protobuf make signalling NaNs quiet when Python reads a `float` field."""

COUNTED = "came back identical"
"""Name of the property that a sweep records: (what, how many came back, of how many)."""


OUTCOMES = "outcomes"
"""Name of the property that a test of damage records: (what, how often which outcome)."""


SAID = "counted"
"""Name of the property with a line that a test has to say at the end of a run."""


PECULIAR = {"data_types", "external_data", "functions", "malformed_tensors", "types_metadata"}
"""Golden models that look least like others."""


def each_golden() -> list[object]:
    """Return the names of all golden models, for a test that one Python alone tries on them all."""
    return [
        name if name in PECULIAR else pytest.param(name, marks=pytest.mark.sweep)
        for name in GOLDEN_NAMES
    ]


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file in a folder and below, by path: to see what a call left."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def linear_model(*, n_inputs: int = 4, n_outputs: int = 3, seed: int = 1) -> onnx.ModelProto:
    """Make a model that a runtime can run: scores = features @ weight + bias."""
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(n_inputs, n_outputs)).astype(np.float32)
    bias = generator.normal(size=n_outputs).astype(np.float32)
    return graph_model(
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
        nodes=[
            helper.make_node("MatMul", ["features", "weight"], ["product"], name="multiply"),
            helper.make_node("Add", ["product", "bias"], ["scores"], name="add"),
        ],
        inputs=[helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", n_inputs])],
        outputs=[helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", n_outputs])],
    )


def graph_model(
    tensors: Iterable[TensorProto] = (),
    *,
    nodes: Iterable[onnx.NodeProto] = (),
    inputs: Iterable[onnx.ValueInfoProto] = (),
    outputs: Iterable[onnx.ValueInfoProto] = (),
) -> onnx.ModelProto:
    """Make a model of a graph's parts, versions fixed so that any runtime takes it."""
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(tensors))
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, ir_version=8, opset_imports=opsets, producer_name="tests")


def many_small_numbers() -> onnx.ModelProto:
    """Make a model with long lists of numbers and texts that leave most of their bytes 0."""
    random = np.random.default_rng(3)
    lists = {
        "nothing": [0] * 200_000,
        "signs": random.integers(-100, 100, 200_001).tolist(),
        "numbers": random.integers(0, 60_000, 200_002).tolist(),
        "last": [*[0] * 200_000, -(2**60)],
        "texts": ["BRANCH_LEQ", "LEAF"] * 80_000,
    }
    return graph_model(nodes=[helper.make_node("Trees", [], [], domain="tests", **lists)])


def raw_tensor(name: str, values: npt.NDArray[np.generic]) -> TensorProto:
    """Make a tensor whose elements are in `raw_data`."""
    return numpy_helper.from_array(values, name)


def small_tensor(name: str, values: npt.NDArray[np.generic]) -> TensorProto:
    """Make a tensor of a type of ml_dtypes, which old versions of onnx do not know."""
    kind = next(e for e in ELEMENT_TYPES.values() if e.numpy == values.dtype.name)
    data = values.view(np.uint8)
    if kind.bits == 4:
        padded = np.append(data & 15, np.zeros(len(data) % 2, np.uint8))
        data = padded[0::2] | padded[1::2] << 4
    return TensorProto(
        name=name, data_type=kind.data_type, dims=values.shape, raw_data=data.tobytes()
    )


def external_tensor(
    name: str, data_type: int, dims: Iterable[int], **entries: str | int
) -> TensorProto:
    """Make a tensor whose elements are in another file, whatever the entries say."""
    tensor = TensorProto(name=name, data_type=data_type, dims=list(dims))
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor
