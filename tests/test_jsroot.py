"""JSROOT, which shows ROOT files in a browser, reads every table; here under Node."""

import json
import shutil
import struct
import subprocess
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import uproot

import onnxroot
from tests.samples import SAID, graph_model, many_small_numbers, raw_tensor
from tests.test_root import run_root
from tests.test_root_update import CREATE
from tests.test_update import add_objects

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("npm") is None, reason="Node and npm are not installed"),
]

HERE = Path(__file__).parent
GOLDEN = sorted((HERE.parent / "golden_models").glob("*/*.onnx"))
JSROOT = "jsroot@7.11.2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Install JSROOT; its optional parts need a compiler and a display."""
    folder = tmp_path_factory.mktemp("jsroot")
    npm = [shutil.which("npm"), "install", JSROOT, "--ignore-scripts", "--omit=optional"]
    done = subprocess.run(npm, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    shutil.copy(HERE / "jsroot" / "dump.mjs", folder)
    return folder


def test_every_metadata_table_reads_the_same(folder, tmp_path, record_property):
    path = tmp_path / "golden.root"
    for model in GOLDEN:
        onnxroot.write(model, f"{path}:models/{model.stem}")
    with uproot.open(path) as opened:
        names = [
            key
            for key, kind in opened.classnames(recursive=True, cycle=False).items()
            if kind == "ROOT::RNTuple" and "/tensors/" not in key
        ]
        expected = {}
        for name in names:
            columns = opened[name].keys()
            arrays = [as_javascript(opened[name][column].array()) for column in columns]
            expected[name] = columns, [list(row) for row in zip(*arrays, strict=True)]
    tables = [[name, columns] for name, (columns, _) in expected.items()]
    found = dict(zip(names, dump(folder, path, tables), strict=True))
    differing = [
        f"{name}.{column} row {i}: {got!r}, expected {wanted!r}"
        for name, (columns, rows) in expected.items()
        for i, (row, expected_row) in enumerate(zip(found[name], rows, strict=True))
        for column, got, wanted in zip(columns, row, expected_row, strict=True)
        if not same(got, wanted)
    ]
    assert not differing, "\n".join(differing[:20])
    record_property(
        SAID, f"JSROOT reads {len(names)} tables of {len(GOLDEN)} golden models as uproot does"
    )


def test_all_clusters_of_the_weights(folder, tmp_path, monkeypatch):
    """They are in one group: JSROOT looks into no other."""
    monkeypatch.setattr("onnxroot._chunks.CHUNK_NBYTES", 1 << 20)
    values = np.random.default_rng(3).normal(size=600_000).astype(np.float32)
    model = graph_model([raw_tensor("x", values)]).SerializeToString()
    onnxroot.write(model, tmp_path / "m.root")
    [rows] = dump(folder, tmp_path / "m.root", [["model/tensors/float", ["values"]]])
    assert len(rows) == 3
    assert np.array_equal(np.concatenate([row[0] for row in rows]).astype(np.float32), values)


def test_pages_that_end_in_zeros(folder, tmp_path):
    """Blocks that no compressor has made."""
    model = many_small_numbers()
    onnxroot.write(model, tmp_path / "m.root")
    [rows] = dump(folder, tmp_path / "m.root", [["model/AttributeProto", ["ints"]]])
    found = [list(map(float, row[0])) for row in rows]
    assert found == [list(map(float, a.ints)) for a in model.graph.node[0].attribute]


@pytest.mark.parametrize("writer", ["uproot", "ROOT"])
def test_models_beside_histograms(writer, folder, tmp_path):
    """What the file says of its other classes stays, or JSROOT could not read them."""
    path = tmp_path / "analysis.root"
    if writer == "uproot":
        add_objects(path)
        histogram = "plots/inner/histogram"
    elif find_spec("ROOT"):
        run_root("-c", CREATE, path)
        histogram = "before"
    else:
        pytest.skip("ROOT is not installed: it has no wheel for this Python")
    with uproot.open(path) as opened:
        bins = opened[histogram].values(flow=True).tolist()
    for name in ("models/a", "models/b"):
        onnxroot.write(GOLDEN[0], f"{path}:{name}")
    onnxroot.write(GOLDEN[0], f"{path}:models/a", replace=True)
    tables = [[histogram, None], ["models/a/NodeProto", ["op_type"]]]
    found, rows = dump(folder, path, tables)
    assert found == bins
    with uproot.open(path) as opened:
        expected = opened["models/a/NodeProto"].arrays()["op_type"].to_list()
    assert [row[0] for row in rows] == expected


def dump(folder, path, tables):
    """Return the rows of tables as JSROOT reads them."""
    (folder / "tables.json").write_text(json.dumps(tables))
    done = subprocess.run(
        ["node", "dump.mjs", str(path), "tables.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def as_javascript(array):
    """Return Python values; text as bytes."""
    layout = array.layout
    if layout.parameter("__array__") == "string":
        data, edges = layout.content.data.tobytes(), layout.offsets.data.tolist()
        return [data[a:b] for a, b in pairwise(edges)]
    if layout.is_list:
        return [as_javascript(row) for row in array]
    return array.to_list()


def same(got, wanted):
    """Compare what JSROOT gave with what it should be.

    JSROOT makes a character of each byte, sign-extended, and a double of each 64-bit integer.
    """
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    if isinstance(wanted, bytes):
        return bytes(ord(character) & 0xFF for character in got) == wanted
    return struct.pack("d", float(got)) == struct.pack("d", float(wanted))
