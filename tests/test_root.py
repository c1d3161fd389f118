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


def columns_of(path):
    """Yield (table, column, C++ type, awkward array) of every RNTuple in a file."""
    with uproot.open(path) as opened:
        for key, kind in opened.classnames(recursive=True, cycle=False).items():
            if kind == "ROOT::RNTuple":
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


def test_every_column_reads_the_same(file, tmp_path, capsys):
    columns = list(columns_of(file))
    tables = [[i, table, name, kind] for i, (table, name, kind, _) in enumerate(columns)]
    (tmp_path / "tables.json").write_text(json.dumps(tables))
    run_root(HERE / "root" / "dump.py", file, tmp_path / "tables.json", tmp_path)
    differing = [
        f"{table}.{name} by {ending}"
        for i, (table, name, _, array) in enumerate(columns)
        for ending in ("reader", "frame")
        if (tmp_path / f"{i}.{ending}").read_bytes() != as_bytes(array)
    ]
    assert not differing
    assert len(columns) > 500
    with capsys.disabled():
        print(f"\nROOT reads {len(columns)} columns of {len(GOLDEN)} golden models as uproot does")


HISTOGRAM = """
import sys, ROOT
frame = ROOT.RDataFrame("models/mlp_jet_tagger/tensors/float", sys.argv[1])
drawn = frame.Histo1D(("h", "", 50, -1.0, 1.0), "values")
print(*[int(drawn.GetBinContent(i)) for i in range(52)])
"""


def test_weights_histogram(file):
    counts = list(map(int, run_root("-c", HISTOGRAM, file).split()))
    with onnxroot.open(f"{file}:models/mlp_jet_tagger") as model:
        weights = np.concatenate(
            [t.numpy().ravel() for t in model.tensors.values() if t.data_type == "FLOAT"]
        )
    # ROOT's bins are closed below and open above, its axis in double precision.
    edges = np.linspace(-1.0, 1.0, 51)
    expected = np.bincount(np.digitize(weights.astype(np.float64), edges), minlength=52)
    assert counts == expected.tolist()
