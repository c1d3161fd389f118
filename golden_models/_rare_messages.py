"""Models with the messages that exporters seldom or never write."""

from __future__ import annotations

import onnx
from _golden import PRODUCER, Golden, serialize
from onnx import (
    AttributeProto,
    SparseTensorProto,
    TensorProto,
    TrainingInfoProto,
    TypeProto,
    helper,
)

__all__ = ["sparse_training", "types_metadata"]

_MADE_BY = "onnx.helper in generate.py's folder"

_FLOAT, _INT64, _STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


# --- sparse tensors, training, quantization ------------------------------------------------------


def sparse_training() -> Golden:
    """Describe a model with sparse weights, how it is trained, and how it is quantized."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "mask"], ["masked"]),
            helper.make_node("MatMul", ["masked", "weight"], ["product"]),
            helper.make_node("Add", ["product", "offset"], ["score"]),
            helper.make_node("Constant", [], ["sparse"], sparse_value=_sparse("", [0, 3], [4])),
        ],
        "sparse_training",
        [helper.make_tensor_value_info("features", _FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("score", _FLOAT, ["batch", 3])],
        initializer=[helper.make_tensor("weight", _FLOAT, [3, 3], [0.5] * 9)],
        sparse_initializer=[
            _sparse("mask", [[0, 0], [1, 1], [2, 0], [2, 2]], [3, 3]),
            _sparse("offset", [1], [3]),
            _sparse("all_zero", [], [2, 5]),
        ],
    )
    _annotate_quantization(graph)
    model = helper.make_model(graph, producer_name=PRODUCER, ir_version=10, opset_imports=_opsets())
    model.training_info.extend([_gradient_descent(), TrainingInfoProto()])
    return Golden(
        onnx=serialize(model),
        guards="SparseTensorProto with indices of one and two dimensions and without elements, "
        "TrainingInfoProto with both graphs and bindings, TensorAnnotation",
        made_by=_MADE_BY,
    )


def _opsets() -> list[onnx.OperatorSetIdProto]:
    training = helper.make_opsetid("ai.onnx.preview.training", 1)
    return [helper.make_opsetid("", 20), training, helper.make_opsetid("golden", 1)]


def _sparse(name: str, indices: list[int] | list[list[int]], dims: list[int]) -> SparseTensorProto:
    """Return a sparse tensor of 1.5, 2.5, ... at these indices, linear or one row per element."""
    n = len(indices)
    values = helper.make_tensor(name, _FLOAT, [n], [i + 1.5 for i in range(n)])
    linear = [index for index in indices if isinstance(index, int)]
    pairs = [number for index in indices if isinstance(index, list) for number in index]
    shape = [n, len(dims)] if pairs else [n]
    where = helper.make_tensor(f"{name}_indices", _INT64, shape, pairs or linear)
    return helper.make_sparse_tensor(values, where, dims)


def _annotate_quantization(graph: onnx.GraphProto) -> None:
    graph.initializer.extend(
        [
            helper.make_tensor("weight_scale", _FLOAT, [], [0.0125]),
            helper.make_tensor("weight_zero_point", TensorProto.INT8, [], [-3]),
        ]
    )
    annotation = graph.quantization_annotation.add(tensor_name="weight")
    entries = annotation.quant_parameter_tensor_names
    entries.add(key="SCALE_TENSOR", value="weight_scale")
    entries.add(key="ZERO_POINT_TENSOR", value="weight_zero_point")
    graph.quantization_annotation.add(tensor_name="features")


def _gradient_descent() -> TrainingInfoProto:
    """Return one step of gradient descent on `weight`, and what it starts from."""
    start = helper.make_graph(
        [helper.make_node("RandomNormal", [], ["start"], shape=[3, 3], seed=1.0)],
        "start_from_noise",
        [],
        [helper.make_tensor_value_info("start", _FLOAT, [3, 3])],
    )
    gradient = helper.make_node(
        "Gradient",
        ["weight", "features"],
        ["slope"],
        domain="ai.onnx.preview.training",
        xs=["weight"],
        zs=["features"],
        y="loss",
    )
    step = helper.make_graph(
        [
            helper.make_node("Sub", ["score", "target"], ["difference"]),
            helper.make_node("ReduceSumSquare", ["difference"], ["loss"], keepdims=0),
            gradient,
            helper.make_node("Mul", ["slope", "rate"], ["scaled_slope"]),
            helper.make_node("Sub", ["weight", "scaled_slope"], ["new_weight"]),
        ],
        "gradient_descent",
        [helper.make_tensor_value_info("target", _FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("new_weight", _FLOAT, [3, 3])],
        initializer=[helper.make_tensor("rate", _FLOAT, [], [0.01])],
    )
    return helper.make_training_info(step, [("weight", "new_weight")], start, [("weight", "start")])


# --- types, attributes, metadata, devices --------------------------------------------------------


def types_metadata() -> Golden:
    """Declare values of every kind of type, and describe everything that can be described."""
    graph = helper.make_graph(
        [_every_attribute(), _sharded_node()],
        "types_metadata",
        [helper.make_value_info(name, type_proto) for name, type_proto in _types().items()],
        [helper.make_tensor_value_info("y", _FLOAT, ["batch", None, 3])],
        initializer=[helper.make_tensor("w", _FLOAT, [3, 3], range(9))],
        doc_string="A graph that nothing can run.\nIt has *Markdown*, tabs\t, and a NUL: \x00.",
        value_info=[helper.make_tensor_value_info("hidden", _FLOAT, [])],
    )
    model = helper.make_model(
        graph,
        producer_name=PRODUCER,
        producer_version="1.0+golden",
        domain="org.example.golden",
        model_version=-(2**63),
        doc_string="Μοντέλο δοκιμής ☢",
        ir_version=14,
        opset_imports=_opsets(),
    )
    _add_metadata(model)
    _add_devices(model)
    return Golden(
        onnx=serialize(model),
        guards="TypeProto with its six kinds, nested; dimensions with values, names, denotations "
        "and nothing; AttributeProto with its fourteen kinds; metadata_props and doc_string "
        "wherever ONNX has them; device configurations and sharding",
        made_by=_MADE_BY,
        checkable=False,  # opaque types and operators of nobody's
    )


def _types() -> dict[str, TypeProto]:
    """Return a type of every kind, by the name of the graph input that has it."""
    tensor = helper.make_tensor_type_proto(_FLOAT, ["batch", None, 3])
    sequence = helper.make_sequence_type_proto(tensor)
    a_map = TypeProto()
    a_map.map_type.key_type = _STRING
    a_map.map_type.value_type.CopyFrom(sequence)
    opaque = TypeProto()
    opaque.opaque_type.domain, opaque.opaque_type.name = "org.example", "TrackCollection"
    return {
        "x": _denoted(),
        "scalar": helper.make_tensor_type_proto(TensorProto.DOUBLE, []),
        "any_rank": helper.make_tensor_type_proto(TensorProto.BFLOAT16, None),
        "sequence": sequence,
        "sequence_of_maps": helper.make_sequence_type_proto(a_map),
        "map": a_map,
        "optional": helper.make_optional_type_proto(helper.make_sequence_type_proto(sequence)),
        "sparse": helper.make_sparse_tensor_type_proto(_FLOAT, [1000, "n_hits"]),
        "opaque": opaque,
        "empty_sequence": TypeProto(sequence_type=TypeProto.Sequence()),
        "no_type": TypeProto(),
    }


def _denoted() -> TypeProto:
    """Return an image type whose type and dimensions say what they stand for."""
    shape: list[int | str | None] = ["batch", 1, 56, None]
    meanings = ["DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", ""]
    image = helper.make_tensor_type_proto(_FLOAT, shape, shape_denotation=meanings)
    image.denotation = "IMAGE"
    return image


def _every_attribute() -> onnx.NodeProto:
    """Return a node with an attribute of each type, one by reference, and one of no type."""
    tensor = helper.make_tensor("", TensorProto.INT8, [2], [-1, 1])
    sparse = _sparse("", [[0, 1], [1, 0]], [2, 2])
    kept = helper.make_tensor_value_info("kept", _FLOAT, None)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["kept"])], "g", [], [kept])
    a_type = helper.make_tensor_type_proto(_FLOAT, ["n"])
    values = {
        "float": 0.1,
        "int": -(2**63),
        "string": b"\xff bytes",
        "tensor": tensor,
        "graph": graph,
        "sparse_tensor": sparse,
        "type_proto": a_type,
        "floats": [float("inf"), -0.0, 1e-45],
        "ints": [0, -1, 2**63 - 1],
        "strings": ["", "a", b"\x00\xff"],
        "tensors": [tensor, tensor],
        "graphs": [graph, onnx.GraphProto()],
        "sparse_tensors": [sparse],
        "type_protos": [a_type, TypeProto()],
    }
    node = helper.make_node("EveryAttribute", ["x", "", "w"], ["hidden", ""], domain="golden")
    for name, value in values.items():
        node.attribute.append(helper.make_attribute(name, value, doc_string=f"a {name}"))
    node.attribute.append(
        AttributeProto(name="nothing", type=AttributeProto.INTS, doc_string="no values")
    )
    node.attribute.append(AttributeProto(name="untyped", f=float("nan"), i=0, s=b""))
    return node


def _add_metadata(model: onnx.ModelProto) -> None:
    """Attach metadata to the model, its graph, and the first of everything within."""
    graph = model.graph
    described = {
        "model": model,
        "graph": graph,
        "node": graph.node[0],
        "tensor": graph.initializer[0],
        "input": graph.input[0],
        "output": graph.output[0],
        "value": graph.value_info[0],
        "node within": graph.node[0].attribute[4].g.node[0],
    }
    for what, message in described.items():
        message.metadata_props.add(key="experiment", value="toy")
        message.metadata_props.add(key="what", value=what)
        message.metadata_props.add(key="", value="")
        message.metadata_props.add(key="experiment", value="again")
        if hasattr(message, "doc_string"):
            message.doc_string = message.doc_string or f"What this {what} is for."


def _add_devices(model: onnx.ModelProto) -> None:
    model.configuration.add(name="two_gpus", num_devices=2, device=["gpu:0", "gpu:1"])
    model.configuration.add(name="unnamed_devices", num_devices=4)


def _sharded_node() -> onnx.NodeProto:
    """Return a node with its tensors split over devices, by numbers and by names."""
    node = helper.make_node("MatMul", ["hidden", "w"], ["y"], name="last", overload="none")
    device = node.device_configurations.add(configuration_id="two_gpus", pipeline_stage=1)
    spec = device.sharding_spec.add(tensor_name="w", device=[0, 1, -1])
    spec.index_to_device_group_map.add(key=-1, value=[0, 1])
    spec.index_to_device_group_map.add(key=7)
    rows = spec.sharded_dim.add(axis=0)
    rows.simple_sharding.add(dim_value=3, num_shards=2)
    rows.simple_sharding.add(dim_param="batch", num_shards=0)
    spec.sharded_dim.add(axis=-1).simple_sharding.add(num_shards=2)
    device.sharding_spec.add(tensor_name="y")
    node.device_configurations.add(configuration_id="unnamed_devices", pipeline_stage=-1)
    return node
