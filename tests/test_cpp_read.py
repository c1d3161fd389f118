"""What the C++ reader gives equals what Python gives: every byte, tensor, input and output."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import onnxroot
from tests.corpus import wheel_paths
from tests.cxx import needs_compiler
from tests.golden import GOLDEN_NAMES, golden
from tests.model_encodings import nested_types, random_model
from tests.samples import COUNTED

pytestmark = needs_compiler

N_RANDOM = 150
FILES = {"weights.bin": 300_000, "empty.bin": 0, "folder/scales.bin": 17}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def elements(tensor):
    """Return the elements of a tensor the way the probe prints them."""
    try:
        array = tensor.numpy()
    except onnxroot.UnsupportedModelError:
        return "malformed"
    if array.dtype == object:
        texts = (text.encode() if isinstance(text, str) else text for text in array.ravel())
        return "".join(f"{text.hex()}," for text in texts)
    return digest(array.tobytes())


def dumped(address):
    """Return what the probe has to print of a model, by what Python reads."""
    lines = []
    with onnxroot.open(address) as model:
        lines.append(digest(model.to_bytes()))
        lines += [f"{file.location}|{file.sha256}" for file in model.manifest.external_files]
        for name, tensor in model.tensors.items():
            shape = "".join(f"{dim}," for dim in tensor.shape)
            text = f"{tensor.data_type}|{shape}|{elements(tensor)}"
            lines.append(f"{as_hex(name)}|{text}")
        lines += map(signature, model.inputs)
        lines.append("--")
        lines += map(signature, model.outputs)
        lines.append(model.manifest.to_json())
    return lines


def as_hex(text):
    return text.encode().hex()


def comparable(lines):
    """Bring an answer of the probe to what Python can say as well.

    Python gives names that are not UTF-8 with escapes; lists no tensors if none of them has a name;
    and has an order of its own where the model has no main graph.
    """

    def readable(match):
        return as_hex(bytes.fromhex(match[0]).decode(errors="backslashreplace"))

    texts = re.compile(r"(?:^|(?<=[|]))[0-9a-f]+(?=[|])|[0-9a-f]+(?=[?])")
    names = [texts.sub(readable, line) for line in lines]
    return sorted(line for line in names if not line.startswith("|"))


def signature(value):
    """Return an input or output the way the probe prints it."""
    shape = "*"
    if value.shape is not None:
        dims = (str(d) if isinstance(d, int) else f"{as_hex(d or '')}?" for d in value.shape)
        shape = "".join(f"{dim}," for dim in dims)
    return f"{as_hex(value.name)}|{as_hex(value.type)}|{shape}"


def check(probe, models, folder, record, what):
    """Write models, and compare what Python and C++ read."""
    different = []
    for name, model, data in models:
        path = folder / "model.root"
        path.unlink(missing_ok=True)
        onnxroot.write(model, f"{path}:m", external_data_dir=folder)
        found = probe.ask("dump", path, "m")
        if found[0] != digest(data) or comparable(found) != comparable([*dumped(path), "done"]):
            different.append(name)
    record(COUNTED, (f"C++: {what}", len(models) - len(different), len(models)))
    assert not different


def test_golden_models(probe, tmp_path, record_property):
    """As this version writes them."""
    different = []
    for name in GOLDEN_NAMES:
        path = tmp_path / f"{name}.root"
        onnxroot.write(golden(name), path)
        if probe.ask("dump", path, "") != [*dumped(path), "done"]:
            different.append(name)
    record_property(
        COUNTED, ("C++: golden models", len(GOLDEN_NAMES) - len(different), len(GOLDEN_NAMES))
    )
    assert not different


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_golden_files_of_every_version(name, probe):
    files = sorted(golden(name).parent.glob("*.root"))
    assert files
    for path in files:
        found = probe.ask("dump", path, "")
        assert found == [*dumped(path), "done"]
        assert found[0] == digest(golden(name).read_bytes())


def test_models_of_the_onnx_package(probe, tmp_path, record_property):
    models = [(name, path, path.read_bytes()) for name, path in wheel_paths()]
    assert len(models) >= 149
    check(probe, models, tmp_path, record_property, "models of the onnx package")


def test_random_encodings(probe, tmp_path, record_property):
    """Models with every message type, encoded in every way but the canonical one."""
    generator = np.random.default_rng(1)
    for location, nbytes in FILES.items():
        (tmp_path / location).parent.mkdir(exist_ok=True)
        (tmp_path / location).write_bytes(generator.bytes(nbytes))
    models = []
    for seed in range(N_RANDOM):
        data = random_model(seed, external_files=FILES if seed % 3 == 0 else None).data
        (tmp_path / f"{seed}.onnx").write_bytes(data)
        models.append((seed, Path(tmp_path / f"{seed}.onnx"), data))
    check(probe, models, tmp_path, record_property, "random encodings")


def test_types_that_nest(probe, tmp_path, record_property):
    models = [(n, data, data) for n in (4, 5, 50, 99, 100) for data in [nested_types(n)]]
    check(probe, models, tmp_path, record_property, "types in types")


def test_other_ways_to_get_the_bytes(probe, tmp_path):
    """By stream, and to memory of just that size."""
    data = golden("non_canonical").read_bytes()
    path = tmp_path / "model.root"
    onnxroot.write(golden("non_canonical"), path)
    assert probe.ask("stream", path, "", tmp_path / "m.onnx") == ["done"]
    assert (tmp_path / "m.onnx").read_bytes() == data
    assert probe.ask("buffer", path, "", len(data)) == [digest(data), "done"]
    for wrong in (len(data) - 1, len(data) + 1, 0):
        (answer,) = probe.ask("buffer", path, "", wrong)
        assert f"expected a buffer of {len(data)} bytes, found one of {wrong}; Manifest()" in answer
    (answer,) = probe.ask("stream", path, "", tmp_path / "none" / "m.onnx")
    assert "expected to write the model, found a failure of the stream" in answer
