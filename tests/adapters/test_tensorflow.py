"""Keras and TensorFlow: files of every kind, objects, and what must be refused."""

# ruff: noqa: E402  (what is missing must skip the file before it is imported)

import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnxroot
from onnxroot.adapter import Options
from onnxroot.errors import FormatError, OnnxRootError, UnsupportedModelError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for needed in ("tensorflow", "tf2onnx", "h5py", "onnxruntime"):
    pytest.importorskip(needed)

import h5py
import keras
import onnxruntime
import tensorflow as tf

from onnxroot_adapters.tensorflow import adapter, to_onnx
from tests.adapters.conformance import Case, judge, report
from tests.adapters.keras_files import (
    dense_1,
    dense_2,
    draw,
    gates,
    hard_sigmoid,
    layer,
    run_conv_2d,
    run_gru,
    run_lstm,
    sequential_1,
    sequential_2,
    sigmoid,
    softmax,
    write_full,
    write_pair,
    write_weights,
)
from tests.adapters.keras_models import MODELS, trained
from tests.golden import golden

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own are not ours


def run(model: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(zip((i.name for i in session.get_inputs()), inputs, strict=True)))


def names_of(model: onnx.ModelProto) -> tuple[list[str], list[str]]:
    return [v.name for v in model.graph.input], [v.name for v in model.graph.output]


def refusal(source: Any, **options: Any) -> str:
    with pytest.raises(OnnxRootError) as caught:
        adapter.convert(source, Options(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- conformance ---------------------------------------------------------------------------------

REFUSED = {
    "random_in_inference": "another model",  # never the same twice
}
TOLERANCE = {"mixed_precision": 1e-2}


def case(name: str) -> Case:
    @cache
    def model() -> Any:
        return MODELS[name]()

    @cache
    def converted() -> Any:
        return adapter.convert(model(), Options())

    def inputs(seed: int) -> dict[str, np.ndarray]:
        generator = np.random.default_rng([seed, 77])
        found = {}
        for value in converted().model.graph.input:
            tensor = value.type.tensor_type
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            shape = [dim.dim_value or 9 for dim in tensor.shape.dim]
            if dtype.kind == "i":
                found[value.name] = generator.integers(5, size=shape).astype(dtype)
            else:
                found[value.name] = generator.normal(size=shape).astype(dtype)
        return found

    def expected(given: dict[str, np.ndarray]) -> list[np.ndarray]:
        by_name = name in ("dictionaries", "subclassed_dictionary")
        arguments: Any = given if by_name else list(given.values())
        if len(given) == 1:
            arguments = arguments[0]
        return [np.asarray(value) for value in keras.tree.flatten(model()(arguments))]

    return Case(
        name=name,
        convert=converted,
        inputs=inputs,
        expected=expected,
        refused=REFUSED.get(name, ""),
        tolerance=TOLERANCE.get(name),
    )


@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.sweep)])
def test_models(half, record_property):
    names = list(MODELS)[half::2]
    results = {name: judge(case(name)) for name in names}
    report(
        "Keras",
        results,
        record_property,
        least_proven=len(names) - sum(name in REFUSED for name in names),
    )


def test_names_are_those_of_the_layers():
    model = to_onnx(MODELS["several_inputs_and_outputs"]())
    assert names_of(model) == (["jets", "event"], ["tag", "mass"])
    weights = {tensor.name for tensor in model.graph.initializer}
    assert {"tag/kernel", "mass/kernel", "mass/bias"} <= weights
    assert [dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim] == [
        "batch",
        "",
        "",
    ]


def test_a_model_that_was_never_called():
    class Tower(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    assert "--input" in refusal(Tower())
    model = to_onnx(Tower(), inputs={"jets": (None, 4)})
    assert names_of(model) == (["jets"], ["output"])
    sequential = keras.Sequential([keras.layers.Dense(3)])
    assert "--input" in refusal(sequential)
    assert names_of(to_onnx(sequential, inputs={"x": (None, 4)}))[0] == ["x"]


def test_shapes_that_the_user_wants():
    model = keras.Sequential(
        [keras.Input((8, 8, 1), batch_size=1, name="image"), keras.layers.Conv2D(2, 3)]
    )
    shape = to_onnx(model).graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [1, 8, 8, 1]
    assert "image" in refusal(model, inputs={"picture": (1, 8, 8, 1)})
    network = keras.Sequential([keras.Input((None, 4), name="x"), keras.layers.LSTM(3)])
    fixed = to_onnx(network, inputs={"x": (None, 5, 4)}).graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in fixed.dim] == [0, 5, 4]


def test_opset():
    model = MODELS["dense"]()
    assert to_onnx(model, opset=13).opset_import[0].version == 13
    assert "--opset" in refusal(model, opset=25)


def test_without_check_nothing_is_drawn():
    assert adapter.convert(MODELS["dense"](), Options(check=False)).batches == ()


def test_provenance():
    provenance = adapter.convert(MODELS["dense"](), Options()).provenance
    assert provenance["exporter"] == "tf2onnx"
    assert provenance["framework_version"] == tf.__version__
    assert provenance["keras_version"] == keras.__version__


def test_settings_of_the_process_stay():
    before = dict(os.environ), logging.root.manager.disable, tf.executing_eagerly()
    to_onnx(MODELS["lstm"]())
    assert (dict(os.environ), logging.root.manager.disable, tf.executing_eagerly()) == before


# --- TensorFlow's own objects --------------------------------------------------------------------


class Scale(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(draw(4, 3), name="kernel")

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="jets")])
    def __call__(self, jets):
        return {"scores": tf.nn.softmax(jets @ self.kernel), "sum": tf.reduce_sum(jets, axis=1)}


def test_module():
    module = Scale()
    assert adapter.accepts(module)
    model = to_onnx(module)
    assert names_of(model) == (["jets"], ["scores", "sum"])
    x = draw(5, 4)
    found = run(model, x)
    np.testing.assert_allclose(found[0], softmax(x @ module.kernel.numpy()), rtol=1e-5)
    assert "kernel" in {tensor.name for tensor in model.graph.initializer}


def test_saved_model(tmp_path):
    module = Scale()
    tf.saved_model.save(module, str(tmp_path / "model"))
    assert adapter.describe(tmp_path / "model") == "a TensorFlow SavedModel"
    for source in (tmp_path / "model", tmp_path / "model" / "saved_model.pb"):
        model = to_onnx(source)
        assert names_of(model) == (["jets"], ["scores", "sum"])
    assert str(tmp_path).encode() not in model.SerializeToString()
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    assert adapter.accepts(loaded)
    assert names_of(to_onnx(loaded)) == (["jets"], ["scores", "sum"])


@pytest.mark.parametrize("name", ["dense", "cnn_2d", "lstm", "normalization_adapted", "attention"])
def test_saved_model_of_keras(tmp_path, name):
    built = MODELS[name]()
    built.export(str(tmp_path / "model"), verbose=False)
    model = to_onnx(tmp_path / "model")
    x = draw(6, *built.inputs[0].shape[1:])
    np.testing.assert_allclose(run(model, x)[0], built.predict_on_batch(x), atol=1e-4)


def test_saved_model_with_several_signatures(tmp_path):
    class Two(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], name="a")])
        def first(self, a):
            return {"twice": a * 2.0}

        @tf.function(input_signature=[tf.TensorSpec([None, 3], name="b")])
        def second(self, b):
            return {"half": b / 2.0}

    module = Two()
    signatures = {"first": module.first, "second": module.second}
    tf.saved_model.save(module, str(tmp_path / "two"), signatures=signatures)
    message = refusal(tmp_path / "two")
    assert "first(a)" in message
    assert "second(b)" in message
    assert names_of(to_onnx(tmp_path / "two", inputs={"b": (None, 3)})) == (["b"], ["half"])


def test_unknown_rank(tmp_path):
    class Unranked(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(None, name="x")])
        def __call__(self, x):
            return {"y": x * 2.0}

    tf.saved_model.save(Unranked(), str(tmp_path / "any"))
    assert "--input x:SHAPE" in refusal(tmp_path / "any")
    shape = to_onnx(tmp_path / "any", inputs={"x": (None, 7)}).graph.input[0]
    assert [dim.dim_value for dim in shape.type.tensor_type.shape.dim] == [0, 7]


def frozen(folder: Path, function: Callable[..., Any], *specs: Any, unknown: bool = False) -> Path:
    graph = tf.Graph()
    with graph.as_default():
        given = [
            tf.compat.v1.placeholder(s.dtype, None if unknown else s.shape, name=s.name)
            for s in specs
        ]
        function(*given)
    path = folder / "frozen.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


@pytest.mark.parametrize("unknown", [False, True])
def test_frozen_graph(tmp_path, unknown):
    kernel = draw(5, 3)

    def network(x):
        w = tf.constant(kernel, name="dense/kernel")
        tf.nn.softmax(tf.matmul(x, w), name="dense/Softmax")

    spec = tf.TensorSpec([None, 5], tf.float32, name="dense_input")
    path = frozen(tmp_path, network, spec, unknown=unknown)
    assert adapter.describe(path) == "a frozen TensorFlow graph"
    options: dict[str, Any] = {}
    if unknown:
        assert "--input dense_input:SHAPE" in refusal(path)
        options = {"inputs": {"dense_input": (None, 5)}}
    model = to_onnx(path, **options)
    assert names_of(model) == (["dense_input"], ["dense/Softmax"])
    assert "dense/kernel" in {tensor.name for tensor in model.graph.initializer}
    x = draw(4, 5)
    np.testing.assert_allclose(run(model, x)[0], softmax(x @ kernel), rtol=1e-5)
    assert "no input y" in refusal(path, inputs={"y": (1,), "dense_input": (None, 5)})


def test_frozen_graph_with_learning_phase(tmp_path):
    def network(x, phase):
        y = tf.cond(phase, lambda: x * 0.0, lambda: x * 3.0)
        tf.identity(y, name="y")

    with tf.Graph().as_default():
        specs = (
            tf.TensorSpec([None, 2], name="x"),
            tf.TensorSpec([], tf.bool, "keras_learning_phase"),
        )
        path = frozen(tmp_path, network, *specs)
    model = to_onnx(path)
    assert names_of(model) == (["x"], ["y"])
    np.testing.assert_allclose(run(model, np.ones((2, 2), "float32"))[0], 3.0)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (693, 0xFF),
        *(pytest.param(*at, marks=pytest.mark.sweep) for at in [(711, 0x80), (3587, 0x80)]),
        pytest.param(
            *(233, 0xFF),
            marks=[
                pytest.mark.sweep,
                pytest.mark.skipif(tf.__version__ < "2.21", reason="TensorFlow reads it, rightly"),
            ],
        ),
    ],
)
def test_tflite_that_crashes(tmp_path, place, value):
    """On numbers of tensors and bytes that are not there; it may also read something, and go on."""
    data = bytearray((golden("tflite_tagger").parent / "source/tflite_tagger.tflite").read_bytes())
    data[place] = value
    (tmp_path / "m.tflite").write_bytes(data)
    with pytest.raises((FormatError, UnsupportedModelError), match=r"m\.tflite: "):
        onnxroot.write(tmp_path / "m.tflite", tmp_path / "m.root")
    assert not (tmp_path / "m.root").exists()


@pytest.mark.parametrize("name", ["dense", "cnn_2d", "residual"])
def test_tflite(tmp_path, name):
    built = MODELS[name]()
    built.export(str(tmp_path / "saved"), verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert()
    (tmp_path / "model.tflite").write_bytes(data)
    assert adapter.describe(tmp_path / "model.tflite") == "a TensorFlow Lite model"
    model = to_onnx(tmp_path / "model.tflite")
    shape = [dim.dim_value or 3 for dim in model.graph.input[0].type.tensor_type.shape.dim]
    x = draw(*shape)
    np.testing.assert_allclose(run(model, x)[0], built.predict_on_batch(x), atol=1e-4)


# --- files of Keras 3 ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dense", "unet", "lstm", "shared_layers", "dictionaries"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_of_keras_3(tmp_path, name, suffix):
    if (name, suffix) == ("dictionaries", ".h5"):
        pytest.skip("HDF5 of Keras 3 does not keep dictionaries")
    built = MODELS[name]()
    path = tmp_path / f"model{suffix}"
    built.save(path)
    found = adapter.convert(path, Options())
    again = adapter.convert(built, Options())
    assert found.model.SerializeToString() == again.model.SerializeToString()
    assert found.provenance["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_of_keras_3_beside_their_architecture(tmp_path):
    built = MODELS["cnn_2d"]()
    built.save_weights(tmp_path / "net.weights.h5")
    assert adapter.describe(tmp_path / "net.weights.h5") == "weights of a Keras model in HDF5"
    (tmp_path / "net.json").write_text(built.to_json())
    model = to_onnx(tmp_path / "net.weights.h5")
    x = draw(3, 12, 12, 2)
    np.testing.assert_allclose(run(model, x)[0], built.predict_on_batch(x), atol=1e-5)


# --- files of Keras 1 and 2 ----------------------------------------------------------------------


def kernel_and_bias(name: str, kernel: np.ndarray, bias: np.ndarray, of: str = "2") -> list[Any]:
    if of == "1":
        return [(f"{name}_W", kernel), (f"{name}_b", bias)]
    return [(f"{name}/kernel:0", kernel), (f"{name}/bias:0", bias)]


def test_keras_1_dense(tmp_path):
    w = draw(5, 4), draw(4), draw(4, 2), draw(2)
    architecture = sequential_1(
        dense_1("dense_1", 4, "hard_sigmoid", batch_input_shape=[None, 5], input_dim=5),
        layer("Dropout", name="dropout_1", p=0.5, trainable=True),
        dense_1("dense_2", 2, "softmax", input_dim=None),
    )
    layers = {
        "dense_1": kernel_and_bias("dense_1", w[0], w[1], "1"),
        "dropout_1": [],
        "dense_2": kernel_and_bias("dense_2", w[2], w[3], "1"),
    }
    path = write_pair(tmp_path, architecture, layers)
    model = to_onnx(path)
    assert names_of(model) == (["dense_1_input"], ["dense_2"])
    x = draw(7, 5) * 5
    expected = softmax(hard_sigmoid(x @ w[0] + w[1]) @ w[2] + w[3])
    np.testing.assert_allclose(run(model, x)[0], expected, atol=1e-5)


def test_keras_1_recurrent(tmp_path):
    lstm, gru = gates("icfo", 3, 4), gates("zrh", 3, 4)
    x = draw(6, 5, 3) * 3
    for name, weights, expected in (
        ("LSTM", lstm, run_lstm(x, lstm)),
        ("GRU", gru, run_gru(x, gru)),
    ):
        architecture = sequential_1(
            layer(
                name,
                name="rnn",
                output_dim=4,
                init="glorot_uniform",
                inner_init="orthogonal",
                inner_activation="hard_sigmoid",
                activation="tanh",
                return_sequences=False,
                go_backwards=False,
                stateful=False,
                unroll=False,
                consume_less="cpu",
                dropout_W=0.0,
                dropout_U=0.0,
                W_regularizer=None,
                input_dim=3,
                input_length=5,
                batch_input_shape=[None, 5, 3],
            )
        )
        stored = {"rnn": [(f"rnn_{key}", value) for key, value in weights.items()]}
        folder = tmp_path / name
        folder.mkdir()
        model = to_onnx(write_pair(folder, architecture, stored))
        np.testing.assert_allclose(run(model, x)[0], expected, atol=1e-5)


@pytest.mark.parametrize("ordering", ["tf", "th"])
def test_keras_1_convolution(tmp_path, ordering):
    kernel, bias, w, b = draw(3, 3, 2, 4), draw(4), draw(4, 2), draw(2)
    shape = [None, 6, 6, 2] if ordering == "tf" else [None, 2, 6, 6]
    architecture = sequential_1(
        layer(
            "Convolution2D",
            name="conv",
            nb_filter=4,
            nb_row=3,
            nb_col=3,
            border_mode="valid",
            subsample=[1, 1],
            dim_ordering=ordering,
            activation="relu",
            bias=True,
            init="he_normal",
            batch_input_shape=shape,
        ),
        layer("GlobalMaxPooling2D", name="pool", dim_ordering=ordering),
        dense_1("dense", 2, "linear"),
    )
    stored = kernel.transpose(3, 2, 0, 1) if ordering == "th" else kernel
    layers = {
        "conv": kernel_and_bias("conv", stored, bias, "1"),
        "dense": kernel_and_bias("dense", w, b, "1"),
    }
    path = write_pair(tmp_path, architecture, layers)
    x = draw(3, 6, 6, 2)
    hidden = np.maximum(run_conv_2d(x, kernel, bias), 0).max(axis=(1, 2))
    given = x if ordering == "tf" else x.transpose(0, 3, 1, 2)
    if ordering == "th":
        # TensorFlow on a CPU has no convolution with the channels first: it can't be proven here
        try:
            model = to_onnx(path)
        except UnsupportedModelError:
            model = to_onnx(path, check=False)
    else:
        model = to_onnx(path)
    np.testing.assert_allclose(run(model, given)[0], hidden @ w + b, atol=1e-5)


def test_keras_1_convolution_1d_and_merge(tmp_path):
    kernel, bias = draw(3, 1, 2, 4), draw(4)
    inputs = [["a", 0, 0], ["b", 0, 0]]
    architecture = {
        "class_name": "Model",
        "keras_version": "1.1.0",
        "config": {
            "name": "model_1",
            "layers": [
                *(
                    {
                        "class_name": "InputLayer",
                        "name": name,
                        "config": {
                            "name": name,
                            "batch_input_shape": [None, 8, 2],
                            "input_dtype": "float32",
                            "sparse": False,
                        },
                        "inbound_nodes": [],
                    }
                    for name in "ab"
                ),
                {
                    "class_name": "Merge",
                    "name": "merge",
                    "config": {
                        "name": "merge",
                        "mode": "sum",
                        "concat_axis": -1,
                        "dot_axes": -1,
                        "output_shape": None,
                    },
                    "inbound_nodes": [inputs],
                },
                {
                    "class_name": "Convolution1D",
                    "name": "conv",
                    "config": {
                        "name": "conv",
                        "nb_filter": 4,
                        "filter_length": 3,
                        "border_mode": "valid",
                        "subsample_length": 1,
                        "activation": "linear",
                        "bias": True,
                        "init": "uniform",
                    },
                    "inbound_nodes": [[["merge", 0, 0]]],
                },
            ],
            "input_layers": inputs,
            "output_layers": [["conv", 0, 0]],
        },
    }
    path = write_pair(tmp_path, architecture, {"conv": kernel_and_bias("conv", kernel, bias, "1")})
    model = to_onnx(path)
    assert names_of(model) == (["a", "b"], ["conv"])
    a, b = draw(3, 8, 2), draw(3, 8, 2)
    expected = run_conv_2d((a + b)[:, :, None], kernel, bias)[:, :, 0]
    np.testing.assert_allclose(run(model, a, b)[0], expected, atol=1e-5)


def test_keras_1_maxout_and_highway(tmp_path):
    w, b, h = draw(3, 5, 4), draw(3, 4), [draw(4, 4), draw(4, 4), draw(4), draw(4)]
    architecture = sequential_1(
        layer(
            "MaxoutDense", name="m", output_dim=4, nb_feature=3, bias=True, input_dim=5, init="a"
        ),
        layer("Highway", name="h", activation="tanh", transform_bias=-2, bias=True, init="a"),
    )
    names = ("h_W", "h_W_carry", "h_b", "h_b_carry")
    layers = {"m": [("m_W", w), ("m_b", b)], "h": list(zip(names, h, strict=True))}
    model = to_onnx(write_pair(tmp_path, architecture, layers))
    x = draw(6, 5)
    y = (np.einsum("bi,fio->bfo", x, w) + b).max(axis=1)
    gate = sigmoid(y @ h[1] + h[3])
    expected = gate * np.tanh(y @ h[0] + h[2]) + (1 - gate) * y
    np.testing.assert_allclose(run(model, x)[0], expected, atol=1e-5)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("stated", ["batch_input_shape", "nothing", "InputLayer"])
def test_keras_2_sequential(tmp_path, stated, full):
    w = draw(5, 4), draw(4), draw(4, 2), draw(2)
    first = dense_2("dense_1", 4, "relu")
    layers = [first, dense_2("dense_2", 2, "hard_sigmoid")]
    if stated == "batch_input_shape":
        first["config"]["batch_input_shape"] = [None, 5]
    if stated == "InputLayer":
        shape = {"batch_input_shape": [None, 5], "dtype": "float32", "sparse": False}
        layers = [layer("InputLayer", name="dense_1_input", **shape), *layers]
    stored = {
        "dense_1": kernel_and_bias("dense_1", w[0], w[1]),
        "dense_2": kernel_and_bias("dense_2", w[2], w[3]),
    }
    if full:
        path = write_full(tmp_path / "m.h5", sequential_2(*layers), stored, version="2.2.4")
        assert adapter.describe(path) == "a Keras model in HDF5"
    else:
        path = write_pair(tmp_path, sequential_2(*layers), stored, keras_version=b"2.2.4")
        assert adapter.describe(path) == "weights of a Keras model in HDF5"
    model = to_onnx(path)
    assert names_of(model) == (["dense_1_input"], ["dense_2"])
    assert len(model.graph.input[0].type.tensor_type.shape.dim) == 2
    x = draw(7, 5) * 5
    expected = hard_sigmoid(np.maximum(x @ w[0] + w[1], 0) @ w[2] + w[3])
    np.testing.assert_allclose(run(model, x)[0], expected, atol=1e-5)


def test_keras_2_recurrent(tmp_path):
    """A GRU that says nothing of reset_after, and gates that are hard_sigmoid."""
    lstm, gru = gates("ifco", 3, 4), gates("zrh", 4, 4)

    def joined(weights: dict[str, np.ndarray], order: str) -> list[np.ndarray]:
        return [np.concatenate([weights[f"{k}_{g}"] for g in order], axis=-1) for k in "WUb"]

    common = {"units": 4, "activation": "tanh", "recurrent_activation": "hard_sigmoid"}
    architecture = sequential_2(
        layer("LSTM", name="lstm", implementation=1, unit_forget_bias=True, **common),
        layer("RepeatVector", name="repeat", n=3),
        layer("GRU", name="gru", implementation=1, **common),
    )
    suffixes = ("kernel:0", "recurrent_kernel:0", "bias:0")
    stored = {
        "lstm": list(zip(suffixes, joined(lstm, "ifco"), strict=True)),
        "gru": list(zip(suffixes, joined(gru, "zrh"), strict=True)),
    }
    model = to_onnx(write_pair(tmp_path, architecture, stored, keras_version=b"2.1.3"))
    x = draw(6, 5, 3) * 3
    h = np.repeat(run_lstm(x, lstm)[:, None], 3, axis=1)
    np.testing.assert_allclose(run(model, x)[0], run_gru(h, gru), atol=1e-5)


def test_keras_2_bidirectional(tmp_path):
    """The second layer is made from what the first says of itself, its activation too."""
    forward, backward = gates("ifco", 3, 4), gates("ifco", 3, 4)
    config = {"name": "lstm", "units": 4, "activation": "tanh", "time_major": False}
    inner = layer("LSTM", recurrent_activation="hard_sigmoid", implementation=2, **config)
    architecture = sequential_2(
        layer("Bidirectional", name="both", merge_mode="concat", layer=inner)
    )
    arrays = [
        np.concatenate([weights[f"{kind}_{gate}"] for gate in "ifco"], axis=-1)
        for weights in (forward, backward)
        for kind in "WUb"
    ]
    stored = {"both": [(f"w{i}:0", value) for i, value in enumerate(arrays)]}
    path = write_pair(tmp_path, architecture, stored, keras_version=b"2.3.1")
    model = to_onnx(path, inputs={"jets": (None, 5, 3)})
    x = draw(6, 5, 3) * 3
    expected = np.concatenate([run_lstm(x, forward), run_lstm(x[:, ::-1], backward)], axis=-1)
    np.testing.assert_allclose(run(model, x)[0], expected, atol=1e-5)


def test_keras_2_normalization(tmp_path):
    mean, variance = draw(4), np.abs(draw(4)) + 1
    given = {"batch_input_shape": [None, 4], "dtype": "float32"}
    architecture = sequential_2(
        layer("Normalization", name="n", axis=[-1], mean=None, variance=None, **given),
        version="2.12.0",
    )
    stored = {"n": [("mean:0", mean), ("variance:0", variance), ("count:0", np.int64(7))]}
    model = to_onnx(write_full(tmp_path / "m.h5", architecture, stored, version="2.12.0"))
    x = draw(3, 4)
    np.testing.assert_allclose(run(model, x)[0], (x - mean) / np.sqrt(variance), atol=1e-5)


def shared_tower() -> tuple[dict[str, Any], dict[str, Any], Callable[..., Any]]:
    """A Sequential and a Model that are called twice; the calls count from 1."""
    w, b, v, c = draw(3, 3), draw(3), draw(3, 2), draw(2)
    shape = {"batch_input_shape": [None, 3], "dtype": "float32", "sparse": False}
    tower = sequential_2(dense_2("d", 3, "tanh", batch_input_shape=[None, 3]))
    tower["config"]["name"] = "tower"
    head = {
        "class_name": "Model",
        "config": {
            "name": "head",
            "layers": [
                {**layer("InputLayer", name="i", **shape), "name": "i", "inbound_nodes": []},
                {
                    **dense_2("e", 2, "linear"),
                    "name": "e",
                    "inbound_nodes": [[["i", 0, 0, {}]]],
                },
            ],
            "input_layers": [["i", 0, 0]],
            "output_layers": [["e", 0, 0]],
        },
    }
    inputs = [
        {**layer("InputLayer", name=name, **shape), "name": name, "inbound_nodes": []}
        for name in "ab"
    ]
    architecture = {
        "class_name": "Model",
        "keras_version": "2.2.4",
        "config": {
            "name": "model_1",
            "layers": [
                *inputs,
                {**tower, "name": "tower", "inbound_nodes": [[[n, 0, 0, {}]] for n in "ab"]},
                {
                    **layer("Subtract", name="s"),
                    "name": "s",
                    "inbound_nodes": [[["tower", 1, 0, {}], ["tower", 2, 0, {}]]],
                },
                {**head, "name": "head", "inbound_nodes": [[["s", 0, 0, {}]]]},
            ],
            "input_layers": [["a", 0, 0], ["b", 0, 0]],
            "output_layers": [["head", 1, 0]],
        },
    }
    stored = {
        "tower": kernel_and_bias("d", w, b),
        "head": kernel_and_bias("e", v, c),
    }

    def compute(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (np.tanh(x @ w + b) - np.tanh(y @ w + b)) @ v + c

    return architecture, stored, compute


def test_keras_2_models_within_models(tmp_path):
    architecture, stored, compute = shared_tower()
    model = to_onnx(write_pair(tmp_path, architecture, stored, keras_version=b"2.2.4"))
    assert names_of(model) == (["a", "b"], ["head"])
    x, y = draw(4, 3), draw(4, 3)
    np.testing.assert_allclose(run(model, x, y)[0], compute(x, y), atol=1e-5)


def test_keras_2_archive(tmp_path):
    """What tf.keras 2.12 to 2.15 wrote as .keras."""
    w, b = draw(5, 2), draw(2)
    architecture = sequential_2(
        layer("InputLayer", name="x", batch_input_shape=[None, 5], sparse=False, ragged=False),
        dense_2("dense_7", 2, "hard_sigmoid", batch_input_shape=[None, 5]),
    )
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = w, b
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"module": "keras", **architecture}))
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.14.0"}))
        archive.write(tmp_path / "weights.h5", "model.weights.h5")
    model = to_onnx(tmp_path / "model.keras")
    x = draw(4, 5) * 5
    np.testing.assert_allclose(run(model, x)[0], hard_sigmoid(x @ w + b), atol=1e-5)


def test_keras_2_operations_need_tf_keras(tmp_path):
    operation = layer("TFOpLambda", name="tf.math.multiply", function="math.multiply")
    architecture = sequential_2(dense_2("d", 2, "linear"), operation)
    path = write_pair(tmp_path, architecture, {"d": kernel_and_bias("d", draw(5, 2), draw(2))})
    assert "tf_keras" in refusal(path)


def test_keras_2_weights_in_another_order(tmp_path):
    """Two layers of the same shape: their names tell which is which."""
    first, second = (draw(3, 3), draw(3)), (draw(3, 3), draw(3))
    architecture = sequential_2(
        dense_2("b", 3, "tanh", batch_input_shape=[None, 3]), dense_2("a", 3, "linear")
    )
    stored = {"a": kernel_and_bias("a", *second), "b": kernel_and_bias("b", *first)}
    model = to_onnx(write_pair(tmp_path, architecture, stored, keras_version=b"2.2.4"))
    x = draw(4, 3)
    expected = np.tanh(x @ first[0] + first[1]) @ second[0] + second[1]
    np.testing.assert_allclose(run(model, x)[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    "names",
    [
        ("model.json", "model.h5"),
        ("tagger_architecture.json", "tagger_weights.h5"),
        ("tagger.json", "tagger_weights.h5"),
        ("KERAS_3layer.json", "KERAS_3layer_weights.h5"),
        ("architecture.json", "weights.h5"),
        ("arch_v2.json", "weights_v2.hdf5"),
        ("anything.json", "else.h5"),
    ],
)
def test_architecture_is_found(tmp_path, names):
    w = draw(5, 2), draw(2)
    stored = {"d": kernel_and_bias("d", *w)}
    architecture = sequential_2(dense_2("d", 2, "linear"))
    path = write_pair(tmp_path, architecture, stored, names=names, keras_version=b"2.2.4")
    (tmp_path / "history.json").write_text('{"loss": [1, 2]}')
    x = draw(3, 5)
    np.testing.assert_allclose(run(to_onnx(path), x)[0], x @ w[0] + w[1], atol=1e-5)


def test_architecture_by_name(tmp_path):
    w = draw(5, 2), draw(2)
    architecture = sequential_2(dense_2("d", 2, "linear"))
    path = write_pair(tmp_path, architecture, {"d": kernel_and_bias("d", *w)})
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "model.json").rename(tmp_path / "elsewhere" / "network.json")
    assert "--architecture FILE" in refusal(path)
    to_onnx(path, architecture=moved)
    moved.write_text(json.dumps(json.dumps(architecture)))  # text within text
    to_onnx(path, architecture=moved)


# --- determinism ---------------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from onnxroot_adapters.tensorflow import to_onnx
for path in sys.argv[1:]:
    Path(path).with_suffix(".onnx").write_bytes(to_onnx(Path(path)).SerializeToString())
"""
VARYING = ("cnn_2d", "gru", "attention", "embedding_masked_lstm", "conv_lstm")


@pytest.mark.sweep
def test_the_same_bytes_in_two_processes_and_folders(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two" / "deeper"]
    for folder in folders:
        folder.mkdir(parents=True)
    for name in VARYING:
        MODELS[name]().save(folders[0] / f"{name}.keras")
        (folders[1] / f"{name}.keras").write_bytes((folders[0] / f"{name}.keras").read_bytes())
    MODELS["dense"]().export(str(folders[0] / "saved.model"), verbose=False)
    (folders[0] / "saved.model").rename(folders[0] / "saved")
    subprocess.run(["cp", "-r", folders[0] / "saved", folders[1]], check=True)
    runs = []
    for folder, step in zip(folders, (1, -1), strict=True):
        paths = [*(f"{name}.keras" for name in VARYING), "saved"][::step]
        runs.append(
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT, *paths],
                cwd=folder,
                env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
                stderr=subprocess.PIPE,
            )
        )
    for process in runs:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
        if tf.__version__ >= "2.21":  # before, its C++ log could not be turned down
            assert errors == b""
    for name in (*VARYING, "saved"):
        one, two = ((folder / f"{name}.onnx").read_bytes() for folder in folders)
        assert one == two, name
        assert not re.search(rb"/tmp|/home|\.py\b|unk__", one)


def test_the_same_bytes_whatever_the_order_of_the_exporter_s_sets(monkeypatch):
    model, made = MODELS["cnn_2d"](), set()
    graph, utils = (pytest.importorskip(f"tf2onnx.{name}") for name in ("graph", "utils"))
    extract, random = graph.Graph.extract_sub_graph_nodes, np.random.default_rng(11)
    for count in (0, *range(60, 100, 6)):  # of names: it gains a digit before or within the model

        def shuffled(*args, **kwargs):
            return random.permutation(extract(*args, **kwargs)).tolist()

        monkeypatch.setattr(graph.Graph, "extract_sub_graph_nodes", shuffled)
        monkeypatch.setattr(utils, "INTERNAL_NAME", count)
        made.add(to_onnx(model).SerializeToString())
    assert len(made) == 1


# --- hostile files -------------------------------------------------------------------------------


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A file that exists if code in a model ran."""
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "ran"
    yield target
    assert not target.exists()


def with_lambda(trap: Path) -> Any:
    source = f"lambda x: (__import__('pathlib').Path({str(trap)!r}).write_text('ran'), x)[1]"
    function = eval(source)
    built = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(function, output_shape=(3,))])
    trap.unlink(missing_ok=True)  # tracing ran it
    return built


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_layers_do_not_run(tmp_path, trap, suffix):
    path = tmp_path / f"model{suffix}"
    with_lambda(trap).save(path)
    trap.unlink(missing_ok=True)
    message = refusal(path)
    assert "Lambda" in message
    assert "--allow-pickle" in message


def test_lambda_layers_in_an_architecture_do_not_run(tmp_path, trap):
    built = with_lambda(trap)
    (tmp_path / "model.json").write_text(built.to_json())
    with h5py.File(tmp_path / "model.h5", "w") as file:
        write_weights(file, {})
    trap.unlink(missing_ok=True)
    assert "Lambda" in refusal(tmp_path / "model.h5")


def test_lambda_layers_run_with_the_user_s_word(tmp_path):
    built = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Lambda(lambda x: x * 2.0)])
    for suffix in (".keras", ".h5"):
        built.save(tmp_path / f"model{suffix}")
        model = to_onnx(tmp_path / f"model{suffix}", allow_pickle=True)
        np.testing.assert_allclose(run(model, np.ones((2, 3), "float32"))[0], 2.0)


def test_modules_that_a_file_names_are_not_imported(tmp_path, trap):
    (tmp_path / "planted.py").write_text(f"open({str(trap)!r}, 'w')")
    sys.path.insert(0, str(tmp_path))
    try:
        MODELS["dense"]().save(tmp_path / "model.keras")
        with zipfile.ZipFile(tmp_path / "model.keras") as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = members["config.json"].replace(b'"keras.layers"', b'"planted"', 1)
        members["config.json"] = config.replace(b'"InputLayer"', b'"Planted"', 1)
        with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        refusal(tmp_path / "model.keras")
    finally:
        sys.path.remove(str(tmp_path))


def test_saved_models_that_touch_files_are_not_opened(tmp_path, trap):
    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
        def __call__(self, x):
            tf.io.write_file(str(trap), "ran")
            return {"y": x}

    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
        def __call__(self, x):
            return {"y": x, "secret": tf.io.read_file("/etc/hostname")}

    for name, module, operator in (("w", Writer(), "WriteFile"), ("r", Reader(), "ReadFile")):
        tf.saved_model.save(module, str(tmp_path / name))
        assert operator in refusal(tmp_path / name)


def test_frozen_graphs_that_touch_files_are_not_run(tmp_path, trap):
    def network(x):
        with tf.control_dependencies([tf.io.write_file(str(trap), "ran")]):
            tf.identity(x, name="y")

    path = frozen(tmp_path, network, tf.TensorSpec([None, 2], name="x"))
    assert "WriteFile" in refusal(path)


def test_graphs_that_save_are_not_run(tmp_path, trap):
    """Saving is what every SavedModel can do, but not what computing may do."""

    def save(x):
        return tf.raw_ops.SaveV2(
            prefix=str(trap), tensor_names=["x"], shape_and_slices=[""], tensors=[x]
        )

    def network(x):
        with tf.control_dependencies([save(x)]):
            tf.identity(x, name="y")

    class Saver(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
        def __call__(self, x):
            save(x)
            return {"y": x}

    assert "SaveV2" in refusal(frozen(tmp_path, network, tf.TensorSpec([None, 2], name="x")))
    tf.saved_model.save(Saver(), str(tmp_path / "saver"))
    assert "SaveV2" in refusal(tmp_path / "saver")


def test_weights_that_lie_in_another_file_are_not_read(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel"] = draw(5, 2)
    architecture = sequential_2(dense_2("d", 2, "linear"))
    path = write_pair(tmp_path, architecture, {"d": kernel_and_bias("d", draw(5, 2), draw(2))})
    with h5py.File(path, "a") as file:
        del file["d/d/kernel:0"]
        file["d/d/kernel:0"] = h5py.ExternalLink(str(secret), "kernel")
    assert "link to elsewhere" in refusal(path)


def linked(file, name, secret):
    file[name] = h5py.ExternalLink(str(secret), "kernel")


def outside(file, name, secret):
    file.create_dataset(name, shape=(5, 2), dtype="f4", external=[(str(secret), 0, 40)])


def virtual(file, name, secret):
    layout = h5py.VirtualLayout(shape=(5, 2), dtype="f4")
    layout[:] = h5py.VirtualSource(str(secret), "kernel", shape=(5, 2))
    file.create_virtual_dataset(name, layout)


def empty(file, name, _):
    file.create_dataset(name, shape=(1 << 16, 1 << 16), dtype="f4")


def packed(file, name, _):
    shape = {"shape": (1 << 17, 1 << 17), "chunks": (1024, 1024), "compression": "gzip"}
    file.create_dataset(name, dtype="f4", **shape)


HDF5 = {
    linked: "is a link to elsewhere",
    outside: "lies in another file",
    virtual: "lies in another file",
    empty: "says that it has 17179869184 bytes, and 0 are stored",
    packed: "says that it has 68719476736 bytes, and 0 are stored",
}


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".weights.h5"])
@pytest.mark.parametrize("change", HDF5)
def test_hdf5_that_reaches_out_or_promises(change, suffix, tmp_path):
    """It is refused by us, whatever the version of Keras does about it."""
    secret = tmp_path / "elsewhere" / "secret.h5"
    secret.parent.mkdir()
    with h5py.File(secret, "w") as file:
        file["kernel"] = draw(5, 2)
    built = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2, name="d")])
    path = tmp_path / f"model{suffix}"
    built.save_weights(path) if suffix == ".weights.h5" else built.save(path)
    (tmp_path / "model.json").write_text(built.to_json())
    hdf5, members = path, {}
    if suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        hdf5 = tmp_path / "model.weights.h5"
        hdf5.write_bytes(members["model.weights.h5"])
    with h5py.File(hdf5, "r+") as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if "5, 2" in str(item) else None)
        del file[found[0]]
        change(file, found[0], secret)
    if members:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in (members | {"model.weights.h5": hdf5.read_bytes()}).items():
                archive.writestr(name, data)
    assert HDF5[change] in refusal(path)


@pytest.mark.parametrize("text", ["[1]", "[" * 100_000, '{"keras_version": []}', "", "{"])
def test_archives_that_say_nonsense(text, tmp_path):
    keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)]).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, data in (members | {"config.json": text.encode()}).items():
            archive.writestr(name, data)
    assert "m.keras" in refusal(tmp_path / "m.keras")


# --- what goes wrong -----------------------------------------------------------------------------


class Twice(keras.layers.Layer):
    def call(self, x):
        return x * 2.0


def test_custom_objects(tmp_path, monkeypatch):
    built = trained(keras.Sequential([keras.Input((3,), name="x"), Twice(), keras.layers.Dense(2)]))
    code = "import keras\nclass Twice(keras.layers.Layer):\n    call = lambda self, x: x * 2.0\n"
    (tmp_path / "my_layers_for_test.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"model{suffix}"
        built.save(path)
        message = refusal(path)
        assert "Twice" in message
        assert "--custom-objects" in message
        model = to_onnx(path, custom_objects="my_layers_for_test")
        x = draw(2, 3)
        np.testing.assert_allclose(run(model, x)[0], built.predict_on_batch(x), atol=1e-5)
    assert "nowhere" in refusal(path, custom_objects="nowhere.to.be_found")
    assert "my_layers_for_test has none" not in refusal(path)


def test_unsupported_operators_are_named():
    class Rare(keras.layers.Layer):
        def call(self, x):
            return tf.raw_ops.Betainc(a=tf.abs(x) + 1.0, b=tf.abs(x) + 1.0, x=tf.sigmoid(x))

    message = refusal(keras.Sequential([keras.Input((3,)), Rare()]))
    assert "Betainc" in message


def test_weights_of_another_network(tmp_path):
    stored = {"d": kernel_and_bias("d", draw(5, 2), draw(2))}
    architecture = sequential_2(dense_2("d", 3, "linear"))
    assert "--architecture" in refusal(write_pair(tmp_path, architecture, stored))
    architecture = sequential_2(dense_2("d", 2, "linear"), dense_2("e", 2, "linear"))
    assert "--architecture" in refusal(write_pair(tmp_path, architecture, stored))


def test_shape_is_needed(tmp_path):
    stored = {"d": kernel_and_bias("d", draw(6, 2), draw(2))}
    architecture = sequential_2(layer("Flatten", name="flat"), dense_2("d", 2, "linear"))
    path = write_pair(tmp_path, architecture, stored, keras_version=b"2.2.4")
    assert "--input flat_input:SHAPE" in refusal(path)
    model = to_onnx(path, inputs={"flat_input": (None, 3, 2)})
    assert len(model.graph.input[0].type.tensor_type.shape.dim) == 3


def test_batch_normalization_that_keras_dropped(tmp_path):
    architecture = sequential_1(
        layer("BatchNormalization", name="n", mode=2, axis=-1, epsilon=1e-3, input_dim=3)
    )
    assert "mode=2" in refusal(write_pair(tmp_path, architecture, {"n": [("g", draw(3))]}))


def test_damaged_files(tmp_path):
    MODELS["dense"]().save(tmp_path / "model.keras")
    MODELS["dense"]().save(tmp_path / "model.h5")
    for name in ("model.keras", "model.h5"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        assert adapter.describe(tmp_path / name)
        with pytest.raises(FormatError, match="damaged"):
            adapter.convert(tmp_path / name, Options())
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(FormatError):
        adapter.convert(tmp_path / "model.h5", Options(architecture=tmp_path / "model.json"))


def test_an_architecture_alone(tmp_path):
    (tmp_path / "net.json").write_text(MODELS["dense"]().to_json())
    assert adapter.describe(tmp_path / "net.json")
    assert "weights" in refusal(tmp_path / "net.json")


def test_other_files_are_nobody_s(tmp_path):
    for name, data in {
        "a.onnx": onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["": 15]> g (float[1] x) => (float[1] y) {y = Abs(x)}'
        ).SerializeToString(),
        "a.json": b'{"a": 1}',
        "a.txt": b"hello",
        "a.pb": b"",
        "a.root": b"root\x00\x00",
    }.items():
        (tmp_path / name).write_bytes(data)
        assert adapter.describe(tmp_path / name) is None, name
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["events"] = draw(3)
    assert adapter.describe(tmp_path / "data.h5") is None
    assert adapter.describe(tmp_path) is None
    assert adapter.describe(tmp_path / "missing") is None
    assert not adapter.accepts(object())


def test_nothing_is_imported_by_looking():
    code = (
        "import sys; from pathlib import Path; from onnxroot_adapters.tensorflow import adapter;"
        "adapter.describe(Path(sys.argv[1])); adapter.accepts(object());"
        "assert not {'tensorflow', 'keras', 'tf2onnx', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, __file__], check=True)
