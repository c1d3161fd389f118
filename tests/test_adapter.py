"""What the bridge does with an adapter, here one of the tests' own: models, samples, messages."""

import json
from dataclasses import replace
from pathlib import Path

import click.testing
import numpy as np
import onnx
import pytest
import uproot

import onnxroot
from onnxroot import _cli_convert, api, errors
from onnxroot._batches import batches_from, columns_of
from onnxroot.adapter import Batch, Conversion, Options, compare, default_tolerance
from onnxroot.cli import main
from tests.samples import linear_model

MODEL = linear_model()
FEATURES = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(3, 4)
WEIGHT, BIAS = (onnx.numpy_helper.to_array(t) for t in MODEL.graph.initializer)
SCORES = FEATURES @ WEIGHT + BIAS
BATCHES = tuple(
    Batch(
        inputs={"features": FEATURES[:n]},
        outputs={"scores": SCORES[:n]},
        tolerance={"scores": 1e-5},
    )
    for n in (1, 3)
)


class Text:
    """An adapter for models whose file begins with a word; as another distribution brings it."""

    name = "text"

    def __init__(self, batches=BATCHES):
        self.batches = batches
        self.options = None

    def describe(self, path):
        return "a text model" if path.is_file() and path.read_bytes()[:4] == b"text" else None

    def accepts(self, model):
        return isinstance(model, list)

    def convert(self, source, options):
        self.options = options
        if source == ["wrong"]:
            raise onnxroot.UnsupportedModelError("the layer Wrong has no translation; leave it out")
        return Conversion(model=MODEL, provenance={"framework": "text 1.0"}, batches=self.batches)


class EntryPoint:
    """What importlib.metadata gives of an adapter."""

    def __init__(self, adapter):
        self.name = adapter.name
        self.adapter = adapter

    def load(self):
        return self.adapter


@pytest.fixture
def adapter(monkeypatch):
    """Install the adapter."""
    adapter = Text()
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [EntryPoint(adapter)])
    return adapter


@pytest.fixture
def source(tmp_path):
    """Return a file that the adapter knows by its content alone."""
    path = tmp_path / "tagger.model"
    path.write_bytes(b"text and weights")
    return path


def test_a_file_by_its_content(adapter, source, tmp_path):
    root = tmp_path / "m.root"
    onnxroot.convert(source, root)
    onnxroot.convert(source, tmp_path / "tagger.onnx")
    onnxroot.write(source, f"{root}:again", options=Options(tolerance=0.5))
    assert adapter.options == Options(tolerance=0.5)
    assert (tmp_path / "tagger.onnx").read_bytes() == MODEL.SerializeToString()
    for name in ("tagger", "again"):
        with onnxroot.open(f"{root}:{name}") as model:
            assert model.to_bytes() == MODEL.SerializeToString()
            assert model.manifest.provenance["framework"] == "text 1.0"
            assert model.manifest.provenance["file"] == "tagger.model"
    with pytest.raises(onnxroot.ModelExistsError, match="exists"):
        onnxroot.convert(source, tmp_path / "tagger.onnx")
    onnxroot.convert(source, tmp_path / "tagger.onnx", replace=True)


@pytest.mark.usefixtures("adapter")
def test_an_object(tmp_path):
    onnxroot.write(["a", "model"], tmp_path / "m.root:m")
    with onnxroot.open(tmp_path / "m.root:m") as model:
        assert model.to_bytes() == MODEL.SerializeToString()
    before = (tmp_path / "m.root").read_bytes()
    with pytest.raises(onnxroot.UnsupportedModelError, match="a model of text: the layer"):
        onnxroot.write(["wrong"], tmp_path / "m.root:n")
    assert (tmp_path / "m.root").read_bytes() == before


@pytest.mark.usefixtures("adapter")
def test_what_no_adapter_knows(tmp_path):
    (tmp_path / "m.model").write_bytes(b"something else")
    with pytest.raises(onnxroot.UnsupportedModelError, match="no installed adapter knows it"):
        onnxroot.convert(tmp_path / "m.model", tmp_path / "m.root")
    with pytest.raises(TypeError, match="for which an adapter is installed"):
        onnxroot.write({"a": "model"}, tmp_path / "m.root")


def test_options_of_the_command(adapter, source, tmp_path):
    words = (
        "--allow-pickle --no-check --tolerance 0.01 --samples s.npz --opset 17 --input x:?,16 "
        "--input y: --dynamic x:1 --dynamic x:2 --architecture a.json --module a.b:c "
        "--custom-objects d.e --keep-debug-info"
    )
    arguments = ["convert", str(source), str(tmp_path / "m.root"), *words.split()]
    result = click.testing.CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert adapter.options == Options(
        allow_pickle=True,
        check=False,
        tolerance=0.01,
        samples=Path("s.npz"),
        opset=17,
        inputs={"x": (None, 16), "y": ()},
        dynamic={"x": (1, 2)},
        architecture=Path("a.json"),
        module="a.b:c",
        custom_objects="d.e",
        keep_debug_info=True,
    )


@pytest.mark.usefixtures("adapter")
@pytest.mark.parametrize("words", ["--input x", "--input x:a", "--dynamic x", "--dynamic x:-1"])
def test_wrong_options_of_the_command(words, source, tmp_path):
    arguments = ["convert", str(source), str(tmp_path / "m.root"), *words.split()]
    result = click.testing.CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "expected NAME:" in result.output
    assert not (tmp_path / "m.root").exists()


# --- samples ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("adapter")
def test_samples_are_stored_and_run(source, tmp_path):
    pytest.importorskip("onnxruntime")
    root = tmp_path / "m.root"
    onnxroot.write(source, f"{root}:m")
    onnxroot.copy(f"{root}:m", f"{root}:copy")
    for name in ("m", "copy"):
        report = onnxroot.verify(f"{root}:{name}", run=True)
        assert (report.ok, report.n_batches) == (True, 2)
        with onnxroot.open(f"{root}:{name}") as model:
            assert_same(model.samples, BATCHES)
    result = click.testing.CliRunner().invoke(main, ["verify", f"{root}:m", "--run"])
    assert "ok, " in result.output
    assert "the outputs of 2 sample batches come out again" in result.output
    onnxroot.remove(f"{root}:m")
    with uproot.open(root) as file:
        assert set(file["copy/samples"].keys(cycle=False)) == {"Sample"}
        assert file["copy/samples/Sample"].arrays()["name"].to_list() == ["features", "scores"] * 2


def test_outputs_that_do_not_come_out_again(adapter, source, tmp_path):
    pytest.importorskip("onnxruntime")
    wrong = SCORES.copy()
    wrong[1, 2] += 0.5
    adapter.batches = (replace(BATCHES[1], outputs={"scores": wrong}),)
    onnxroot.write(source, tmp_path / "m.root")
    assert onnxroot.verify(tmp_path / "m.root").ok
    (problem,) = onnxroot.verify(tmp_path / "m.root", run=True).problems
    assert "of sample batch 0, scores: 1 of 3 rows differ by up to 0." in problem
    arguments = ["verify", str(tmp_path / "m.root"), "--run", "--json"]
    result = click.testing.CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["batches_run"] == 1


def test_a_model_without_samples_is_not_run(tmp_path):
    onnxroot.write(MODEL, tmp_path / "m.root")
    with pytest.raises(onnxroot.UnsupportedModelError, match="holds no samples to run it on"):
        onnxroot.verify(tmp_path / "m.root", run=True)
    with onnxroot.open(tmp_path / "m.root") as model:
        assert model.samples == ()


@pytest.mark.usefixtures("adapter")
def test_damaged_samples(source, tmp_path):
    root = tmp_path / "m.root"
    onnxroot.write(source, root)
    data = bytearray(root.read_bytes())
    position = data.index(np.float32(SCORES[2, 1]).tobytes())
    data[position] ^= 1
    root.write_bytes(data)
    (problem,) = onnxroot.verify(root, run=True).problems
    assert "samples/Sample: cluster 0 has the digest" in problem
    with onnxroot.open(root) as model:  # the model itself is whole
        assert model.to_bytes() == MODEL.SerializeToString()
        with pytest.raises(onnxroot.IntegrityError, match="samples/Sample"):
            _ = model.samples


VALUES = {
    "float32": np.array([[np.nan, np.inf, -0.0, 1e-45]], np.float32),
    "float16": np.array([1, 2], np.float16),
    "float64": np.array(3.5),
    "int8": np.array([[[-128]]], np.int8),
    "uint64": np.array([2**64 - 1], np.uint64),
    "bool": np.array([True, False]),
    "complex64": np.array([1j], np.complex64),
    "strings": np.array([["a", ""], ["\u00fc", "b\n"]], dtype=object),
    "no rows": np.zeros((0, 3), np.int64),
    "no strings": np.array([], dtype=object),
}


def test_samples_of_all_types():
    batch = Batch(inputs=dict(VALUES), outputs=dict(VALUES), tolerance=dict.fromkeys(VALUES, 0.25))
    assert_same(batches_from(columns_of([batch, batch]), "here"), (batch, batch))
    assert batches_from(columns_of([]), "here") == ()


def assert_same(found, expected):
    assert len(found) == len(expected)
    for got, wanted in zip(found, expected, strict=True):
        assert got.tolerance == wanted.tolerance
        for values, others in ((got.inputs, wanted.inputs), (got.outputs, wanted.outputs)):
            assert list(values) == list(others)
            for name, value in values.items():
                assert value.dtype == others[name].dtype
                assert value.shape == others[name].shape
                assert value.tolist() == others[name].tolist() or (
                    value.tobytes() == others[name].tobytes()
                )


@pytest.mark.parametrize(
    ("found", "expected", "n_differing"),
    [
        ([1.0, 2.0], [1.0, 2.00001], 0),
        ([1.0, 2.0], [1.0, 2.1], 1),
        ([1e6, 2.0], [1e6 + 1, 2.1], 1),
        ([np.nan, np.inf], [np.nan, np.inf], 0),
        ([np.nan, -np.inf], [0.0, np.inf], 2),
        ([[1.0, 2.0], [3.0, 4.0]], [[0.0, 9.0], [3.0, 4.0]], 1),
    ],
)
def test_comparison_of_numbers(found, expected, n_differing):
    difference = compare("y", np.array(found), np.array(expected), 1e-4)
    assert (difference.n_differing if difference else 0) == n_differing
    assert difference is None or f"{n_differing} of 2 rows differ" in difference.text


def test_comparison_of_what_is_no_number():
    assert compare("y", np.array(["a", "b"]), np.array(["a", "b"]), 0) is None
    assert compare("y", np.array(["a", "c"]), np.array(["a", "b"]), 0).n_differing == 1
    assert compare("y", np.array([1, 2]), np.array([1, 3]), 9).n_differing == 1
    assert compare("y", np.float32(1), np.float32(2), 0.1).n_rows == 1
    assert "the shape (2,), expected (3,)" in compare("y", np.zeros(2), np.zeros(3), 1).text
    assert [default_tolerance(np.dtype(t)) for t in ("f2", "f4", "f8", "i4", "O")] == [
        1e-2,
        1e-4,
        1e-7,
        0,
        0,
    ]


@pytest.mark.parametrize("text", ["x:?,16", "x:?x16"])
def test_shapes_on_the_command_line(text):
    assert _cli_convert._parse_input(text) == ("x", (None, 16))


def test_a_folder_is_asked_of_the_adapters(tmp_path):
    with pytest.raises(errors.OnnxRootError, match="no installed adapter knows it"):
        api.convert(str(tmp_path), str(tmp_path / "model.onnx"))
