"""Files that Keras 1, Keras 2 and TensorFlow 1 wrote, and what these made of their inputs then.

`old_files/write.py` wrote them, with those versions themselves.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from onnxroot.adapter import Options

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for needed in ("tensorflow", "tf2onnx", "h5py"):
    pytest.importorskip(needed)
onnxruntime = pytest.importorskip("onnxruntime")

from onnxroot_adapters.tensorflow import adapter  # noqa: E402  (TensorFlow may be missing)

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own are not ours

FOLDER = Path(__file__).with_name("old_files")
MODELS = [path for path in sorted(FOLDER.glob("*/*")) if path.suffix in (".h5", ".keras", ".pb")]


def options_for(path):
    arguments = path.with_suffix(".txt")
    if not arguments.exists():
        return Options()
    name, _, shape = arguments.read_text().split()[1].partition(":")
    return Options(inputs={name: [None if dim == "?" else int(dim) for dim in shape.split("x")]})


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            id=f"{path.parent.name}/{path.name}",
            marks=pytest.mark.sweep if i % 3 else [],
        )
        for i, path in enumerate(MODELS)
    ],
)
def test_predictions_are_those_of_old(path):
    stem = path.name.partition(".")[0].removesuffix("_weights")
    arrays = np.load(path.parent / f"{stem}.npz")
    model = adapter.convert(path, options_for(path)).model
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(
        None, {item.name: arrays[f"in{i}"] for i, item in enumerate(session.get_inputs())}
    )
    expected = [arrays[name] for name in sorted(arrays) if name.startswith("out")]
    assert len(found) == len(expected)
    if path.suffix == ".pb":  # the outputs of a graph have no order of their own
        found, expected = (
            sorted(part, key=lambda array: array.shape) for part in (found, expected)
        )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
