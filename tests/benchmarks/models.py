"""The models that are measured; each function writes one, the same bytes every time.

They are valid and could be run, but were never trained.
"""

from itertools import cycle, islice
from pathlib import Path

import ml_dtypes
import numpy as np
import uproot
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

SEED = 20261114
MIB = 2**20
SMALL_TENSOR, LARGE_TENSOR = "table_0", "table_1"
"""Tensors of 4 MiB, and in large models of 64 MiB, that `write_weights` makes."""

TYPES = {
    "float32": (np.dtype(np.float32), TensorProto.FLOAT),
    "float16": (np.dtype(np.float16), TensorProto.FLOAT16),
    "bfloat16": (np.dtype(ml_dtypes.bfloat16), TensorProto.BFLOAT16),
    "int8": (np.dtype(np.int8), TensorProto.INT8),
}
"""Types of weights, by the names that `write_types` takes."""

VERSION = {"ir_version": 10, "producer_name": "benchmark"}
OPSETS = [
    helper.make_opsetid("", 18),
    helper.make_opsetid("org.example", 1),
    helper.make_opsetid("ai.onnx.ml", 3),
]


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

    If that is much, the second has 64 MiB.

    Only one tensor at a time is in memory, so the records around them are put together by hand:
    a message is its fields, one after the other, with the length of all in front.
    """
    n_tensors = -(-nbytes // (10 * MIB))
    sizes = list(islice(cycle(mib * MIB for mib in (4, 8, 12, 16)), n_tensors))
    if nbytes > 1000 * MIB:
        sizes[1] = 64 * MIB
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


def write_external(path: Path, nbytes: int) -> None:
    """Write about so many bytes of float32 weights into a file beside the ONNX file."""
    graph = _graph("external", 1, [1, 1024])
    graph.node.add(op_type="Identity", input=["value_0"], output=["value_1"])
    random = np.random.default_rng(SEED)
    offset = 0
    with path.with_suffix(".bin").open("wb") as out:
        for i, mib in enumerate(islice(cycle((4, 8, 12, 16)), -(-nbytes // (10 * MIB)))):
            size = mib * MIB
            tensor = graph.initializer.add(dims=[size // 4096, 1024], name=f"table_{i}")
            tensor.data_type, tensor.data_location = TensorProto.FLOAT, TensorProto.EXTERNAL
            for key, value in (
                ("location", path.with_suffix(".bin").name),
                ("offset", str(offset)),
                ("length", str(size)),
            ):
                tensor.external_data.add(key=key, value=value)
            out.write(random.standard_normal(size // 4, dtype=np.float32) * np.float32(0.02))
            offset += size
    _save(graph, path)


def write_trees(path: Path, n_trees: int) -> None:
    """Write a regressor of full trees of depth 8, with 30 features and thresholds of float32."""
    inner, nodes = 255, 511
    random = np.random.default_rng(SEED)
    number = np.tile(np.arange(nodes), n_trees)
    tree = np.repeat(np.arange(n_trees), nodes)
    is_inner = number < inner
    leaves = ~is_inner
    thresholds = np.where(is_inner, random.standard_normal(len(number)), 0).astype(np.float32)
    attributes = {
        "n_targets": 1,
        "nodes_treeids": tree,
        "nodes_nodeids": number,
        "nodes_featureids": np.where(is_inner, random.integers(0, 30, len(number)), 0),
        "nodes_values": thresholds,
        "nodes_modes": np.where(is_inner, "BRANCH_LEQ", "LEAF"),
        "nodes_truenodeids": np.where(is_inner, 2 * number + 1, 0),
        "nodes_falsenodeids": np.where(is_inner, 2 * number + 2, 0),
        "nodes_missing_value_tracks_true": np.zeros(len(number), np.int64),
        "target_treeids": tree[leaves],
        "target_nodeids": number[leaves],
        "target_ids": np.zeros(leaves.sum(), np.int64),
        "target_weights": random.standard_normal(leaves.sum()).astype(np.float32),
    }
    graph = _graph("trees", 1, ["batch", 30])
    node = graph.node.add(op_type="TreeEnsembleRegressor", domain="ai.onnx.ml")
    node.input.append("value_0")
    node.output.append("value_1")
    for name, values in attributes.items():
        plain = values if isinstance(values, int) else values.tolist()
        node.attribute.append(helper.make_attribute(name, plain))
    _save(graph, path)


def write_types(path: Path, name: str, nbytes: int) -> None:
    """Write weights of one type, as they look in trained networks: normal, of several widths."""
    random = np.random.default_rng(SEED)
    dtype, data_type = TYPES[name]
    graph = _graph("types", 1, [1])
    graph.node.add(op_type="Identity", input=["value_0"], output=["value_1"])
    n = nbytes // 8 // dtype.itemsize
    for i in range(8):
        width = 0.01 * 2 ** (i / 2)
        values = random.standard_normal(n, dtype=np.float32) * np.float32(width)
        if dtype == np.int8:  # symmetric, to the largest value
            values = np.rint(values * (127 / np.abs(values).max()))
        raw = values.astype(dtype).tobytes()
        graph.initializer.add(name=f"w_{i}", dims=[n], data_type=data_type, raw_data=raw)
    _save(graph, path)


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
