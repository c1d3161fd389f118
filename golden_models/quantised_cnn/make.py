"""A convolutional network in 8-bit integers, between QuantizeLinear and DequantizeLinear."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from _golden import SEED, Golden, Samples, serialize
from _toys import draw_showers
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

__all__ = ["make"]


class Showers(CalibrationDataReader):
    """Images to choose the scales by."""

    def __init__(self) -> None:
        self._images = iter(draw_showers(16, SEED)[0][:, None, None])

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image}


def make() -> Golden:
    """Let ONNX Runtime quantise a network."""
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "float.onnx", Path(folder) / "quantised.onnx"
        onnx.save(_network(), paths[0])
        quantize_static(*paths, Showers(), quant_format=QuantFormat.QDQ, per_channel=True)
        model = onnx.load(paths[1])
    sample = draw_showers(4, SEED + 1)[0][:, None]
    session = onnxruntime.InferenceSession(serialize(model))
    return Golden(
        onnx=serialize(model),
        guards="weights of int8 and int32 with scales per channel, QDQ pairs",
        made_by="onnxruntime.quantization.quantize_static of a drawn network",
        packages=("numpy", "onnxruntime"),
        seed=SEED,
        samples=Samples(
            inputs={"image": sample},
            outputs={"scores": session.run(None, {"image": sample})[0]},
            rtol=1e-3,
            atol=2e-2,  # one step of the last scale
            source="ONNX Runtime",
        ),
    )


def _network() -> onnx.ModelProto:
    random = np.random.default_rng(SEED)
    shapes = {"conv.weight": (6, 1, 3, 3), "conv.bias": (6,), "score.weight": (150, 2)}
    weights = [
        numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["image", "conv.weight", "conv.bias"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("MatMul", ["f", "score.weight"], ["scores"], name="score"),
    ]
    graph = helper.make_graph(
        nodes,
        "quantised_cnn",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 12, 12])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
