"""Keras 2 beside Keras 3 (tf_keras): what only that opens, and QKeras; `tox -e keras2`."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

for needed in ("tf_keras", "qkeras"):
    pytest.importorskip(needed)
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore")

# QKeras takes tf.keras, and which Keras that is can be chosen once for each process.
WRITE = """
import os, sys
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import numpy as np, qkeras, tf_keras, tensorflow as tf
layers = tf_keras.layers

def quantized():
    x = given = layers.Input((16,))
    bits = qkeras.quantized_bits(6, 0, alpha=1)
    for n in (32, 8):
        x = qkeras.QDense(n, kernel_quantizer=bits, bias_quantizer=bits)(x)
        x = qkeras.QActivation("quantized_relu(6)")(x)  # QKeras can't read back the object
    return tf_keras.Model(given, layers.Dense(3, activation="softmax")(x))

def quantized_images():
    x = given = layers.Input((16,))
    x = layers.Reshape((4, 4, 1))(x)
    x = qkeras.QConv2D(4, 3, kernel_quantizer="quantized_bits(4,0,1)")(x)
    x = qkeras.QBatchNormalization()(x)
    x = layers.Flatten()(qkeras.QActivation("quantized_relu(4)")(x))
    return tf_keras.Model(given, qkeras.QDense(3, kernel_quantizer="ternary()")(x))

def operations():
    given = layers.Input((16,))
    return tf_keras.Model(given, layers.Dense(3)(tf.sqrt(given * given + 1.0)[:, 2:9]))

name, folder, suffix = sys.argv[1:]
tf_keras.utils.set_random_seed(3)
model = globals()[name]()
if suffix == ".json":
    open(f"{folder}/model.json", "w").write(model.to_json())
    model.save_weights(f"{folder}/model.h5")
else:
    model.save(f"{folder}/model{suffix}")
x = np.random.default_rng(1).normal(size=(20, 16)).astype("float32")
np.savez(f"{folder}/arrays.npz", x=x, y=model.predict(x, verbose=0))
"""


def run(*arguments, **environment):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("suffix", [".h5", ".json", ".keras"])
@pytest.mark.parametrize("name", ["quantized", "quantized_images", "operations"])
def test_keras_2(tmp_path, name, suffix):
    written = run("-c", WRITE, name, tmp_path, suffix)
    assert written.returncode == 0, written.stderr
    source = tmp_path / f"model{'.h5' if suffix == '.json' else suffix}"
    custom = ["--custom-objects", "qkeras"] if name != "operations" else []
    command = ["-m", "onnxroot", "convert", source, tmp_path / "model.root", *custom]
    found = run(*command)
    assert found.returncode == 0, found.stderr
    shown = run("-m", "onnxroot", "show", tmp_path / "model.root", "--json")
    assert "tf_keras" in json.dumps(json.loads(shown.stdout))
    run("-m", "onnxroot", "convert", tmp_path / "model.root", tmp_path / "model.onnx")
    arrays = np.load(tmp_path / "arrays.npz")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (outputs,) = session.run(None, {session.get_inputs()[0].name: arrays["x"]})
    np.testing.assert_allclose(outputs, arrays["y"], atol=1e-4)
