"""The golden models' sources, converted today: the same outputs, and how the bytes differ."""

import re
import shutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec

import pytest

pytest.importorskip("onnxruntime")

from onnxroot.adapter import find_adapter
from onnxroot.errors import MissingDependencyError
from tests.golden import (
    GOLDEN_FOLDER,
    WITH_SOURCE,
    convert,
    disagreement,
    golden,
    run,
    samples_of,
    source_of,
)
from tests.samples import SAID


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


@pytest.mark.parametrize("name", WITH_SOURCE)
def test_a_source_converted_today_gives_the_same_outputs(name, record_property):
    try:
        model = convert(name)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    record_property(SAID, f"{name}: {difference(model, golden(name).read_bytes())}")
    inputs, expected = samples_of(name)
    assert not disagreement(name, run(model.SerializeToString(), inputs), expected)


def test_every_source_has_an_adapter():
    for name in WITH_SOURCE:
        assert find_adapter(source_of(name)), name


@pytest.mark.skipif(not (find_spec("skops") and find_spec("skl2onnx")), reason="needs scikit-learn")
def test_a_new_model_as_the_documentation_has_it(tmp_path):
    """One folder and one command."""
    text = (GOLDEN_FOLDER.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    name = re.search(r"`golden_models/(\w+)/make.py`", text)[1]
    (recipe,) = re.findall(r"\n   ```python\n(.*?)   ```\n", text, re.DOTALL)
    for path in GOLDEN_FOLDER.glob("*.py"):
        shutil.copy(path, tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "make.py").write_text(textwrap.dedent(recipe), encoding="utf-8")
    made = []
    for options in ([], ["--check"], ["--replace", name]):
        command = [sys.executable, tmp_path / "generate.py", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        made.append((tmp_path / name / f"{name}.onnx").read_bytes())
    assert made[0] == made[2]
    assert {path.name for path in (tmp_path / name).iterdir()} - {"__pycache__"} == {
        *(f"{name}.onnx", f"{name}.npz", f"{name}.v1.root"),
        *("golden.json", "make.py", "source"),
    }
