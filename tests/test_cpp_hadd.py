"""Files that went through hadd: the C++ reader recovers the model where its copies agree."""

from itertools import pairwise

import numpy as np
import pytest
import uproot

import onnxroot
from tests.cxx import needs_compiler, output_of, root_folder
from tests.golden import golden
from tests.samples import graph_model, raw_tensor

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Write a model whose weights fill more than one cluster."""
    path = tmp_path_factory.mktemp("model") / "model.root"
    weights = np.random.default_rng(1).normal(size=2_200_000).astype(np.float32)
    tensors = [raw_tensor("first", weights), raw_tensor("second", weights[:7])]
    onnxroot.write(graph_model(tensors), f"{path}:m")
    return path


def merge(source, target, n_copies, *, changed="", cut=""):
    """Do what hadd is documented to do: append the clusters of every RNTuple, file by file.

    In the last copy the values of the RNTuple `changed` are others, and `cut` lacks its last row.
    """
    with uproot.open(source) as old, uproot.recreate(target) as new:
        for key, kind in old.classnames(cycle=False, recursive=True).items():
            if kind == "TObjString":
                new[key] = str(old[key])
            if kind != "ROOT::RNTuple":
                continue
            edges = np.cumsum([0, *(s.num_entries for s in old[key].cluster_summaries)]).tolist()
            array = old[key].arrays()
            head, _, tail = key.rpartition("/")
            ntuple = new.mkdir(head).mkrntuple(tail, array.layout.form)
            for copy in range(n_copies):
                if copy == n_copies - 1 and key == f"m/{changed}":
                    array["values"] = -array["values"]
                if copy == n_copies - 1 and key == f"m/{cut}":
                    edges[-1] -= 1
                for start, stop in pairwise(edges):
                    ntuple.extend(array[start:stop])


@pytest.mark.parametrize("n_copies", [2, 3])
def test_equal_copies_are_one_model(n_copies, probe, model, tmp_path):
    merge(model, tmp_path / "merged.root", n_copies)
    found = probe.ask("dump", tmp_path / "merged.root", "m")
    assert found[-1] == "done"
    assert found == probe.ask("dump", model, "m")


MERGED = "the file was probably merged with hadd, which left no copy that is whole, or copies that"


def test_copies_that_differ_are_refused(probe, model, tmp_path):
    path = tmp_path / "merged.root"
    merge(model, path, 2, changed="tensors/float")
    (answer,) = probe.ask("sha", path, "m")
    assert answer.startswith(f"Error {path}:m/tensors/float cluster 0: expected the digest ")
    assert MERGED in answer
    assert probe.ask("io", path, "m") == probe.ask("io", model, "m")  # which reads no weights


def test_other_numbers_of_rows_are_refused(probe, model, tmp_path):
    path = tmp_path / "merged.root"
    merge(model, path, 2, cut="TensorProto")
    (answer,) = probe.ask("sha", path, "m")
    assert answer.startswith(f"Error {path}:m/TensorProto: expected 2 rows, found 3; {MERGED}")


def test_what_hadd_itself_leaves(probe, tmp_path):
    """ROOT 6.40 empties RNTuples in folders, its own too, and keeps the manifest of each file."""
    sources = [tmp_path / "a.root", tmp_path / "b.root"]
    for source in sources:
        onnxroot.write(golden("mlp_jet_tagger"), f"{source}:models/tagger")
    path = tmp_path / "merged.root"
    output_of(root_folder() / "bin" / "hadd", "-v", "0", path, *sources)
    with uproot.open(path) as file:
        cycles = [key for key in file.keys(recursive=True) if "manifest" in key]
        assert cycles == ["models/tagger/manifest;2", "models/tagger/manifest;1"]
    assert probe.ask("list", path) == ["models/tagger", "done"]
    answer = probe.ask("sha", path, "models/tagger")[-1]
    with onnxroot.open(sources[0]) as model:
        right = model.manifest.sha256
    # A ROOT that merges them as documented is as good.
    assert answer == "done" or (f"Error {path}:models/tagger/" in answer and MERGED in answer)
    assert answer != "done" or probe.ask("sha", path, "models/tagger")[0] == right
