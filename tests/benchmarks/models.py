"""The models that are measured; each function writes one, the same bytes every time.

They are valid and could be run, but were never trained.
"""

from itertools import cycle, islice
from pathlib import Path

import numpy as np
import uproot
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

SEED = 20261114
MIB = 2**20
SMALL_TENSOR = "table_4"
"""A tensor of 4 MiB in every model that `write_weights` makes."""

VERSION = {"ir_version": 10, "producer_name": "benchmark"}
OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("org.example", 1)]


def write_tiny(path: Path, n_nodes: int) -> None:
    """Write a small network: matrix products and activations in turn."""
    random = np.random.default_rng(SEED)
    graph = _graph("tiny", n_nodes, [1, 16])
    for i in range(n_nodes):
        op_type, inputs = "Relu", [f"value_{i}"]
        if i % 2 == 0:
            op_type, inputs = "MatMul", [f"value_{i}", f"layer_{i}.weight"]
            weight = random.standard_normal((16, 16), dtype=np.float32)
            graph.initializer.append(numpy_helper.from_array(weight, inputs[1]))
        graph.node.add(op_type=op_type, input=inputs, output=[f"value_{i + 1}"])
    _save(graph, path)


def write_nodes(path: Path, n_nodes: int) -> None:
    """Write a chain of nodes with three attributes each, and no weights."""
    graph = _graph("nodes", n_nodes, ["batch", "channel", "x", "y"])
    for i in range(n_nodes):
        names = {"input": [f"value_{i}"], "output": [f"value_{i + 1}"], "name": f"/layer_{i}/op"}
        if i % 2:
            node = graph.node.add(op_type="MaxPool", **names)
            values = {"auto_pad": "SAME_UPPER", "ceil_mode": i % 3, "kernel_shape": [1 + i % 5, 3]}
        else:
            node = graph.node.add(op_type="ScaledTanh", domain="org.example", **names)
            values = {"alpha": 1 / (1 + i), "axis": -i, "scales": [float(i), i / 7]}
        node.attribute.extend(helper.make_attribute(*item) for item in values.items())
    _save(graph, path)


def write_weights(path: Path, nbytes: int) -> None:
    """Write about so many bytes of float32 weights, in tensors of 4, 8, 12 and 16 MiB in turn.

    Only one tensor at a time is in memory, so the records around them are put together by hand:
    a message is its fields, one after the other, with the length of all in front.
    """
    n_tensors = -(-nbytes // (10 * MIB))
    sizes = list(islice(cycle(mib * MIB for mib in (4, 8, 12, 16)), n_tensors))
    starts = [_start_of_initializer(i, size) for i, size in enumerate(sizes)]
    graph = _graph("weights", 1, [1, 1024])
    rows = [f"row_{i}" for i in range(len(sizes))]
    for i, row in enumerate(rows):
        graph.node.add(op_type="Gather", input=[f"table_{i}", "index"], output=[row])
    graph.node.add(op_type="Sum", input=["value_0", *rows], output=["value_1"])
    graph.input.append(helper.make_tensor_value_info("index", TensorProto.INT64, [1]))
    head = GraphProto(node=graph.node, name=graph.name).SerializeToString()
    tail = GraphProto(input=graph.input, output=graph.output).SerializeToString()
    graph_nbytes = sum(map(len, [head, *starts, tail])) + sum(sizes)

    random = np.random.default_rng(SEED)
    with path.open("wb") as out:
        out.write(ModelProto(**VERSION).SerializeToString())
        out.write(_tag_and_length(ModelProto, "graph", graph_nbytes) + head)
        for start, size in zip(starts, sizes, strict=True):
            out.write(start)
            out.write(random.standard_normal(size // 4, dtype=np.float32) * np.float32(0.02))
        out.write(tail + ModelProto(opset_import=OPSETS).SerializeToString())


def write_matrix(path: Path, n_rows: int) -> None:
    """Write a product with one square matrix; with 512 rows it takes 1 MiB."""
    weight = np.random.default_rng(SEED).standard_normal((n_rows, n_rows), dtype=np.float32)
    graph = _graph("matrix", 1, ["batch", n_rows])
    graph.initializer.append(numpy_helper.from_array(weight, "weight"))
    graph.node.add(op_type="MatMul", input=["value_0", "weight"], output=["value_1"])
    _save(graph, path)


def write_analysis(path: Path, nbytes: int) -> None:
    """Write a ROOT file of about so many bytes: a TTree, and histograms in directories."""
    values = np.random.default_rng(SEED).standard_normal(MIB)
    with uproot.recreate(path, compression=None) as file:
        file.mktree("events", {"x": "float64"})
        for _ in range(nbytes // values.nbytes):
            file["events"].extend({"x": values})
        for i in range(100):
            file[f"plots_{i}/x"] = np.histogram(values[:1000])


def _start_of_initializer(i: int, size: int) -> bytes:
    """Return an initializer's record up to its values, which come last."""
    tensor = TensorProto(dims=[size // 4096, 1024], data_type=TensorProto.FLOAT, name=f"table_{i}")
    start = tensor.SerializeToString() + _tag_and_length(TensorProto, "raw_data", size)
    return _tag_and_length(GraphProto, "initializer", len(start) + size) + start


def _tag_and_length(message: type, field: str, nbytes: int) -> bytes:
    """Return what stands in front of the value of a field of bytes or of a message."""
    out = [message.DESCRIPTOR.fields_by_name[field].number << 3 | 2]
    while nbytes > 0x7F:
        out.append(nbytes & 0x7F | 0x80)
        nbytes >>= 7
    return bytes([*out, nbytes])


def _graph(name: str, end: int, shape: list[int | str]) -> GraphProto:
    """Return a graph from value_0 to the value of the given number, without nodes yet."""
    first, last = (
        helper.make_tensor_value_info(f"value_{i}", TensorProto.FLOAT, shape) for i in (0, end)
    )
    return GraphProto(name=name, input=[first], output=[last])


def _save(graph: GraphProto, path: Path) -> None:
    path.write_bytes(ModelProto(**VERSION, graph=graph, opset_import=OPSETS).SerializeToString())
