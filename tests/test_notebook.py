"""Models in notebooks: what they show of themselves, tables, and plots."""

import os
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import onnxroot
from onnxroot.model import Model
from tests.golden import golden
from tests.samples import graph_model, raw_tensor

NOTEBOOK = Path(__file__).parent / "notebooks" / "look.ipynb"


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    onnxroot.write(golden("mlp_jet_tagger"), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as opened:
        yield opened


def test_html(model: Model) -> None:
    shown = model._repr_html_()
    for words in ("features: FLOAT[batch, 16]", "7 nodes: Gemm x 3", "3,397 in 10 tensors"):
        assert words in shown
    assert "64 x 16" in model.tensors["hidden1.weight"]._repr_html_()
    assert model.tensors._repr_html_().count("<tr>") == 1 + 10


def test_long_lists_are_cut(tmp_path: Path) -> None:
    tensors = [raw_tensor(f"<t{i}>", np.ones(1)) for i in range(70)]
    onnxroot.write(graph_model(tensors), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        shown = model.tensors._repr_html_()
    assert "70 tensors, the first 60 of them here" in shown
    assert shown.count("&lt;t") == 60


def test_table(model: Model) -> None:
    table = model.tensors.table()
    assert set(ak.fields(table)) == {"name", "data_type", "shape", "size", "nbytes"}
    assert table.name.tolist() == list(model.tensors)
    assert ak.prod(table.shape, axis=1).tolist() == table["size"].tolist()
    table = model.tensors.table(statistics=True)
    for row in table.to_list():
        values = model.tensors[row["name"]].numpy().astype(np.float64)
        assert (row["min"], row["max"]) == (values.min(), values.max())
        assert row["mean"] == pytest.approx(values.mean())
        assert row["zeros"] == np.count_nonzero(values == 0)


def test_table_of_tensors_without_numbers(tmp_path: Path) -> None:
    tensors = [raw_tensor("s", np.array(["a"], object)), raw_tensor("x", np.float32(3))]
    onnxroot.write(graph_model(tensors), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        table = model.tensors.table(statistics=True)
    assert table["max"].tolist() == [None, 3.0]
    assert table["shape"].tolist() == [[1], []]


def test_plots(model: Model, tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  (optional)

    axes = model.tensors["hidden1.weight"].plot(bins=40)
    (stairs,) = axes.patches
    assert (len(stairs.get_data().values), stairs.get_data().values.sum()) == (40, 1024)
    figure = model.plot(most=3)
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles == ["hidden1.weight", "hidden2.weight", "score.weight"]
    figure.savefig(tmp_path / "plot.png")
    plt.close("all")


def test_what_can_not_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnxroot.write(graph_model([raw_tensor("s", np.array(["a"], object))]), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        with monkeypatch.context() as without:
            without.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
            with pytest.raises(onnxroot.MissingDependencyError, match=r"'onnxroot\[plot\]'"):
                model.tensors["s"].plot()
        pytest.importorskip("matplotlib").use("Agg")
        with pytest.raises(onnxroot.UnsupportedModelError, match=r"tensor 's' .* no distribution"):
            model.tensors["s"].plot()
        with pytest.raises(onnxroot.UnsupportedModelError, match="no tensor with a distribution"):
            model.plot()


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(os.environ, "ONNXROOT_EXAMPLE", str(golden("mlp_jet_tagger")))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    kinds = [set(out.get("data", {})) for out in outputs]
    assert sum("text/html" in kind for kind in kinds) == 3
    assert sum("image/png" in kind for kind in kinds) == 2
