"""Real ROOT reads every table: all columns, all rows, through RNTupleReader and RDataFrame."""

import json
import struct
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

import onnxroot
from tests.samples import SAID, graph_model, many_small_numbers, raw_tensor

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        find_spec("ROOT") is None, reason="ROOT is not installed: it has no wheel for this Python"
    ),
]

HERE = Path(__file__).parent
GOLDEN = sorted((HERE.parent / "golden_models").glob("*/*.onnx"))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Write all golden models into one file."""
    path = tmp_path_factory.mktemp("root") / "golden.root"
    for model in GOLDEN:
        onnxroot.write(model, f"{path}:models/{model.stem}")
    return path


def run_root(*arguments):
    """Run a program with ROOT in a process of its own: a crash prints thousands of lines."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def columns_of(path, models):
    """Yield (table, column, C++ type, awkward array) of every RNTuple of some models in a file."""
    with uproot.open(path) as opened:
        for key, kind in opened.classnames(recursive=True, cycle=False).items():
            if kind == "ROOT::RNTuple" and key.split("/")[1] in models:
                arrays = opened[key].arrays()
                for name in arrays.fields:
                    yield key, name, opened[key][name].typename, arrays[name]


def as_bytes(array):
    """Serialize a column the way dump.py does."""
    layout = ak.to_packed(array).layout
    if layout.is_numpy:
        return layout.data.tobytes()
    if layout.parameter("__array__") == "string":
        data, edges = layout.content.data.tobytes(), np.asarray(layout.offsets).tolist()
        texts = [data[a:b] for a, b in pairwise(edges)]
        return b"".join(struct.pack("<Q", len(text)) + text for text in texts)
    return b"".join(struct.pack("<Q", len(row)) + as_bytes(row) for row in array)


def differing(path, columns, folder):
    """Return the columns that ROOT does not read as uproot does."""
    tables = [[i, table, name, kind] for i, (table, name, kind, _) in enumerate(columns)]
    (folder / "tables.json").write_text(json.dumps(tables))
    run_root(HERE / "root" / "dump.py", path, folder / "tables.json", folder)
    return [
        f"{table}.{name} by {ending}"
        for i, (table, name, _, array) in enumerate(columns)
        for ending in ("reader", "frame")
        if (folder / f"{i}.{ending}").read_bytes() != as_bytes(array)
    ]


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(n, marks=pytest.mark.sweep) for n in (1, 2, 3, 4))]
)
def test_every_column_reads_the_same(part, file, tmp_path, record_property):
    models = [path.stem for path in GOLDEN[part::5]]
    columns = list(columns_of(file, models))
    assert not differing(file, columns, tmp_path)
    assert len(columns) > 50 * len(models)
    record_property(
        SAID, f"ROOT reads {len(columns)} columns of {len(models)} golden models as uproot does"
    )


HISTOGRAMS = """
import json, sys, ROOT
counts = []
for table, low, high in json.load(open(sys.argv[2])):
    frame = ROOT.RDataFrame(table, sys.argv[1])
    drawn = frame.Histo1D(("h", "", 50, low, high), "values")
    counts.append([int(drawn.GetBinContent(i)) for i in range(52)])
print(json.dumps(counts))
"""


def test_histograms_of_all_weights(file, tmp_path, record_property):
    """RDataFrame draws the values of every storage of every model as numpy does."""
    tables = []
    with uproot.open(file) as opened:
        for key, kind in opened.classnames(recursive=True, cycle=False).items():
            if kind == "ROOT::RNTuple" and "/tensors/" in key:
                values = ak.flatten(opened[key].arrays(["values"])["values"]).to_numpy()
                with np.errstate(invalid="ignore"):  # signalling NaNs
                    tables.append((key, values.astype(np.float64)))
    bounds = []
    for _, values in tables:
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
        middle, width = low / 2 + high / 2, max(high / 2 - low / 2, 1e-3)
        # Odd bounds: no value lies on the border of two bins, where rounding decides.
        bounds.append((float(middle - 0.7137 * width), float(middle + 0.7211 * width)))
    requests = [[key, *b] for (key, _), b in zip(tables, bounds, strict=True)]
    (tmp_path / "tables.json").write_text(json.dumps(requests))
    counts = json.loads(run_root("-c", HISTOGRAMS, file, tmp_path / "tables.json"))
    for (key, values), (low, high), found in zip(tables, bounds, counts, strict=True):
        assert found == histogram(values, low, high), key
    with_values = set()
    for model in GOLDEN:
        with onnxroot.open(f"{file}:models/{model.stem}") as stored:
            if any(name.startswith("tensors/") for name in stored.manifest.tables):
                with_values.add(model.stem)
    assert {key.split("/")[1] for key, _ in tables} == with_values
    assert len(with_values) > 20
    record_property(SAID, f"RDataFrame draws {len(tables)} histograms of values as numpy does")


def histogram(values, low, high):
    """Count as a TH1 does: its bins are closed below and open above; NaN is above all."""
    below, inside = values < low, (values >= low) & (values < high)
    bins = np.floor(50 * (values[inside] - low) / (high - low)).astype(int)
    n_above = len(values) - np.count_nonzero(below) - len(bins)
    return [np.count_nonzero(below), *np.bincount(bins, minlength=50).tolist(), n_above]


SUMS = """
import sys
import ROOT

for storage in sys.argv[2:]:
    frame = ROOT.RDataFrame("model/tensors/" + storage, sys.argv[1])
    code = "double sum = 0; for (auto x : values) sum += x; return sum;"
    print(frame.Define("sum_", code).Sum("sum_").GetValue())
"""


def test_large_pages_of_noise(tmp_path):
    """ROOT refuses a page if a block of it did not shrink."""
    noise = np.random.default_rng(3).integers(-(2**20), 2**20, 600_000)
    arrays = [noise.astype(dtype) for dtype in ("float32", "float64", "int16", "int64")]
    tensors = [raw_tensor(str(array.dtype), array) for array in arrays]
    onnxroot.write(graph_model(tensors).SerializeToString(), tmp_path / "m.root")
    storages = ("float", "double", "int16", "int64")
    found = run_root("-W", "ignore", "-c", SUMS, tmp_path / "m.root", *storages).split()
    assert list(map(float, found)) == [float(array.astype("int64").sum()) for array in arrays]


def test_pages_that_end_in_zeros(tmp_path):
    """Small numbers leave most bytes 0; these are blocks that no compressor has made."""
    path = tmp_path / "m.root"
    onnxroot.write(many_small_numbers(), f"{path}:models/small")
    columns = [c for c in columns_of(path, ["small"]) if c[0] == "models/small/AttributeProto"]
    assert any(c[1] == "ints" and ak.count(c[3]) > 800_000 for c in columns)
    assert not differing(path, columns, tmp_path)
