"""The golden models' sources, converted today: the same outputs, and how the bytes differ."""

import json
from pathlib import Path

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")

from onnxroot.adapter import Options, find_adapter  # noqa: E402
from onnxroot.errors import MissingDependencyError  # noqa: E402
from tests.samples import GOLDEN_FOLDER, GOLDEN_NAMES, SAID, golden  # noqa: E402

RECORDS = {
    name: json.loads((GOLDEN_FOLDER / name / "golden.json").read_text()) for name in GOLDEN_NAMES
}
NAMES = [name for name, record in RECORDS.items() if "source" in record]


def convert(name):
    """Convert a source; skip it where its framework is not installed."""
    source = RECORDS[name]["source"]
    path = GOLDEN_FOLDER / name / "source" / source["file"]
    adapter, _ = find_adapter(path)
    try:
        return adapter.convert(path, Options(**source["options"])).model
    except MissingDependencyError as error:
        pytest.skip(str(error))


def difference(found, expected):
    """Return how a model made today differs from the golden one, in a few words."""
    if found.SerializeToString(deterministic=True) == expected:
        return "the same bytes"
    import onnx  # noqa: PLC0415  (every adapter has it)

    old = onnx.ModelProto.FromString(expected)
    parts = [
        field.name
        for field in old.DESCRIPTOR.fields
        if getattr(found, field.name) != getattr(old, field.name) and field.name != "graph"
    ]
    for field in old.graph.DESCRIPTOR.fields:
        here, there = getattr(found.graph, field.name), getattr(old.graph, field.name)
        if here != there:
            parts.append(f"graph.{field.name}" + f" ({len(there)}, now {len(here)})")
    return f"other bytes: {', '.join(parts) or 'their order'}"


def flat(value):
    return value.astype(str) if value.dtype == object else value


@pytest.mark.parametrize("name", NAMES)
def test_a_source_converted_today_gives_the_same_outputs(name, record_property):
    model = convert(name)
    record_property(SAID, f"{name}: {difference(model, golden(name).read_bytes())}")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs = [output.name for output in session.get_outputs()]
    with np.load(GOLDEN_FOLDER / name / f"{name}.npz") as arrays:
        inputs = {k[6:]: v for k, v in arrays.items() if k.startswith("input.")}
        expected = {k[7:]: v for k, v in arrays.items() if k.startswith("output.")}
    assert sorted(outputs) == sorted(expected)
    samples = RECORDS[name]["samples"]
    for output, found in zip(outputs, session.run(None, inputs), strict=True):
        if expected[output].dtype.kind == "U":
            assert flat(found).tolist() == expected[output].tolist()
        else:
            np.testing.assert_allclose(
                found, expected[output], rtol=samples["rtol"], atol=samples["atol"]
            )


def test_every_source_has_an_adapter():
    for name in NAMES:
        path = Path(GOLDEN_FOLDER, name, "source", RECORDS[name]["source"]["file"])
        assert find_adapter(path), name
