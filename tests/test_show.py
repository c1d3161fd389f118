"""What ``ls`` and ``show`` say of a model, and how it fits into a terminal."""

import json
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, TensorProto, helper

import onnxroot
from onnxroot._columns import bar, columns, folded
from onnxroot._describe import describe_tensor
from onnxroot._look import open_view
from tests.golden import golden
from tests.model_encodings import LEN, record
from tests.samples import graph_model, raw_tensor, small_tensor
from tests.test_cli import done, run


def model() -> ModelProto:
    tensors = [raw_tensor("w", np.float32([[0, 1, 2], [3, np.nan, -np.inf]]))]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="product"),
        helper.make_node("Gelu", ["m"], ["y"], domain="org.example", alpha=0.5, axes=[1, 2]),
        helper.make_node("Relu", ["m"], ["z"], name="unused"),
    ]
    return graph_model(
        tensors,
        nodes=nodes,
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )


@pytest.fixture(params=["onnx", "root"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a model in either kind of file."""
    (tmp_path / "m.onnx").write_bytes(model().SerializeToString())
    if request.param == "root":
        onnxroot.write(tmp_path / "m.onnx", tmp_path / "m.root:deep/down/m")
    return str(tmp_path / f"m.{request.param}")


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_nodes(address: str) -> None:
    assert words(done("show", address, "--nodes")) == [
        "# operator name values",
        "0 MatMul product x, w -> m",
        "1 org.example::Gelu - m -> y",
        "2 Relu unused m -> z",
    ]
    listed = json.loads(done("show", address, "--nodes", "--json"))
    assert listed[1]["operator"] == "org.example::Gelu"


@pytest.mark.parametrize("name", ["y"])
def test_node(address: str, name: str) -> None:
    """One that has no name goes by its output's."""
    assert words(done("show", address, "--node", name)) == [
        "node (no name), number 1",
        "operator org.example::Gelu",
        "attribute alpha = 0.5",
        "attribute axes = [1, 2]",
        "input m from MatMul 'product'",
        "output y to output of the graph",
    ]
    found = json.loads(done("show", address, "--node", "product", "--json"))
    assert [value["from"] for value in found["inputs"]] == ["input of the graph", "initializer"]
    assert found["outputs"] == [{"value": "m", "to": ["org.example::Gelu", "Relu 'unused'"]}]


def test_tensor(address: str) -> None:
    lines = words(done("show", address, "--tensor", "w"))
    assert lines[:10] == [
        "tensor w",
        "type FLOAT, 2 x 3, 24 B",
        "used by MatMul product input 1",
        "elements 6",
        "min 0",
        "mean 1.5",
        "max 3",
        "std 1.118",
        "zeros 1 (16.7%)",
        "NaN 1 (16.7%)",
    ]
    found = json.loads(done("show", address, "--tensor", "w", "--json"))
    assert found["statistics"]["n_infinite"] == 1
    assert sum(found["histogram"]["counts"]) == 4
    assert (found["histogram"]["low"], found["histogram"]["high"]) == (0.0, 3.0)


def test_statistics_of_all(address: str) -> None:
    assert words(done("show", address, "--stats"))[-1] == "w FLOAT 2 x 3 24 B 0 1.5 3 1 2"
    (row,) = json.loads(done("show", address, "--stats", "--json"))["tensors"]
    assert row["statistics"]["n_nan"] == 1


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--node", "produkt", "no node 'produkt'; did you mean 'product'?"),
        ("--tensor", "x", "no initializer 'x'"),
    ],
)
def test_what_is_not_there(address: str, option: str, name: str, message: str) -> None:
    result = run("show", address, option, name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_nodes_of_all_graphs() -> None:
    """With what leads to them; values come from the graphs around."""
    path = golden("control_flow")
    lines = words(done("show", path, "--nodes"))
    at = lines.index("@ Loop.body/If.then_branch")
    assert lines[at + 1] == "0 Greater - sum_so_far, limit -> is_full"
    n_nodes = json.loads(done("show", path, "--json"))
    assert n_nodes["nodes_inside"] == len(lines) - 1 - 5 - sum(x[0] == "@" for x in lines)
    found = json.loads(done("show", path, "--node", "boosted_pt", "--json"))
    assert found == {
        "name": "",
        "operator": "Max",
        "graph": "Loop.body/If.then_branch/If.else_branch",
        "position": 1,
        "inputs": [
            {"value": "raised_pt", "from": "Mul"},
            {"value": "floor", "from": "initializer"},
        ],
        "outputs": [{"value": "boosted_pt", "to": ["output of the graph"]}],
        "attributes": {},
    }
    assert "number 1 of Loop.body" in done("show", path, "--node", "boosted_pt")
    found = json.loads(done("show", path, "--node", "this_pt", "--json"))
    assert found["inputs"][1] == {"value": "track", "from": "input of the graph"}
    assert found["outputs"][0]["to"] == ["Greater", "Mul", "Mul"]


@pytest.mark.parametrize(
    ("name", "graph"),
    [
        ("functions", "function golden.calibration::Clip/If.then_branch"),
        ("sparse_training", "training 0 algorithm"),
    ],
)
def test_nodes_of_functions_and_training(name: str, graph: str) -> None:
    listed = json.loads(done("show", golden(name), "--nodes", "--json"))
    assert graph in {node["graph"] for node in listed}


def test_graphs_that_nest_without_end(tmp_path: Path) -> None:
    """A raised limit lets them in; the tables alone do not, nor do they use up the stack."""
    data = record(2, LEN, b"innermost")
    for _ in range(600):
        node = record(4, LEN, b"If") + record(5, LEN, record(1, LEN, b"b") + record(6, LEN, data))
        data = record(1, LEN, node)
    raised, paths = onnxroot.Limits(depth=2000), [tmp_path / "a.root", tmp_path / "b.root"]
    for path, name in zip(paths, (b"a", b"b"), strict=True):
        onnxroot.write(record(2, LEN, name) + record(7, LEN, data), path, limits=raised)
    for words in (["show", paths[0], "--nodes"], ["diff", *paths]):
        result = run(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "messages nest deeper than 100; if you trust" in result.stderr
    nodes = json.loads(done("--limit", "depth=2000", "show", paths[0], "--nodes", "--json"))
    assert len(nodes) == 600
    assert nodes[-1]["graph"] == "/".join(["If.b"] * 599)
    result = run("--limit", "depth=2000", "diff", *paths)
    assert result.exit_code == 2
    assert "their graphs nest too deep to be compared" in result.stderr


def test_one_view_at_a_time(address: str) -> None:
    assert "do not go together" in run("show", address, "--nodes", "--stats").stderr


def test_external_data_that_are_missing(tmp_path: Path) -> None:
    """The structure is in the ONNX file: it can be shown; the numbers can't."""
    (tmp_path / "m.onnx").write_bytes(golden("external_data").read_bytes())
    assert "operators" in done("show", tmp_path / "m.onnx")
    assert "not found in" in run("show", tmp_path / "m.onnx", "--tensor", "weight").stderr


# --- Statistics -------------------------------------------------------------------------------

VALUES = {
    "float": np.random.default_rng(1).normal(3, 2, 100_000).astype(np.float32),
    "far from zero": (1e6 + np.random.default_rng(1).normal(0, 1e-3, 1000)),
    "many blocks": np.arange(3_000_000, dtype=np.float64),
    "half": np.float16([1, 2, 4]),
    "bfloat16": np.array([1, 2, 4], ml_dtypes.bfloat16),
    "integers": np.array([-3, 0, 0, 9]),
    "int4": np.array([-8, 0, 7], ml_dtypes.int4),
    "booleans": np.array([True, False, True]),
    "one": np.float32([7]),
    "extremes": np.array([-1.7e308, 0, 1.7e308]),
}


@pytest.mark.parametrize("name", VALUES)
def test_statistics_are_those_of_numpy(name: str, tmp_path: Path) -> None:
    values = VALUES[name]
    make = small_tensor if values.dtype.kind == "V" else raw_tensor
    onnxroot.write(graph_model([make("t", values)]), tmp_path / "m.root")
    with open_view(tmp_path / "m.root") as view:
        found = describe_tensor(view, "t")
    wide = values.astype(np.float64)
    statistics = found["statistics"]
    assert statistics["n_elements"] == len(values)
    assert (statistics["min"], statistics["max"]) == (wide.min(), wide.max())
    assert statistics["n_zeros"] == np.count_nonzero(wide == 0)
    counts = found["histogram"]["counts"]
    assert sum(counts) == len(values)
    if name != "extremes":
        assert statistics["mean"] == pytest.approx(wide.mean(), rel=1e-12)
        assert statistics["std"] == pytest.approx(wide.std(), rel=1e-6)
        edges = np.linspace(found["histogram"]["low"], found["histogram"]["high"], len(counts) + 1)
        expected = np.histogram(wide, edges)[0]
        assert np.abs(np.array(counts) - expected).sum() <= 2e-5 * len(values)


EXTREMES: dict[str, npt.NDArray[np.generic]] = {
    "one large number": np.float32([1.7e22]),
    "the largest number": np.full(3, np.finfo(np.float64).max),
    "both ends": np.finfo(np.float64).max * np.array([-1, 0, 1]),
    "the smallest number": np.array([0, 5e-324]),
    "neighbours": np.nextafter(1e22, [0, np.inf]),
    "half precision": np.float16([65504, -65504]),
    "the ends of int64": np.iinfo(np.int64).max * np.array([-1, 1]),
    "uint64": np.array([0, (1 << 64) - 1], np.uint64),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_extreme_numbers(case: str, tmp_path: Path) -> None:
    values = EXTREMES[case]
    onnxroot.write(graph_model([raw_tensor("w", values)]), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as view:
        found = describe_tensor(view, "w")
    assert (found["statistics"]["min"], found["statistics"]["max"]) == (min(values), max(values))
    assert sum(found["histogram"]["counts"]) == len(values)
    assert -np.inf < found["histogram"]["low"] < found["histogram"]["high"] < np.inf
    assert done("show", "--tensor", "w", tmp_path / "m.root")
    done("report", tmp_path / "m.root", "-o", tmp_path / "m.html")


@pytest.mark.parametrize("values", [np.array(["a"], object), np.array([1j]), np.zeros((0, 3))])
def test_tensors_without_numbers(values: np.ndarray, tmp_path: Path) -> None:
    onnxroot.write(graph_model([raw_tensor("t", values)]), tmp_path / "m.root")
    done("show", tmp_path / "m.root", "--stats")
    done("show", tmp_path / "m.root", "--tensor", "t")


# --- Terminals --------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make it seem that a person reads, so many characters wide."""
    # The one that imports the other comes first: it has to be restored to the real one.
    monkeypatch.setattr("onnxroot._show_text.is_terminal", lambda: True)
    monkeypatch.setattr("onnxroot._columns.is_terminal", lambda: True)
    return lambda width: monkeypatch.setenv("COLUMNS", str(width))


@pytest.fixture
def narrow(terminal: Callable[[int], None]) -> None:
    terminal(40)


HEADS = ["name", "n>", "type", "text~"]
ROWS = [
    ["a" * 30, "1", "FLOAT", "one two, three four, five six, seven eight nine ten"],
    ["short", "1,000,000", "INT64", "one two"],
]
LAID_OUT = {
    None: [
        "name                                    n  type   text",
        f"{'a' * 30}          1  FLOAT  {ROWS[0][3]}",
        "short                           1,000,000  INT64  one two",
    ],
    88: [  # prose is folded
        "name                                    n  type   text",
        f"{'a' * 30}          1  FLOAT  one two, three four, five six, seven",
        f"{'':50}eight nine ten",
        "short                           1,000,000  INT64  one two",
    ],
    66: [  # behind a long name the row goes on below
        "name                        n  type   text",
        "a" * 30,
        f"{'':28}1  FLOAT  one two, three four, five",
        f"{'':38}six, seven eight nine ten",
        "short               1,000,000  INT64  one two",
    ],
    76: [  # unless the number leaves room
        "name                                  n  type   text",
        f"{'a' * 30}        1  FLOAT  one two, three four, five",
        f"{'':48}six, seven eight nine ten",
        "short                         1,000,000  INT64  one two",
    ],
    40: [  # no room for columns
        "a" * 30,
        "    n 1  FLOAT",
        "    one two, three four, five six, seven",
        "    eight nine ten",
        "short",
        "    n 1,000,000  INT64",
        "    one two",
    ],
}


@pytest.mark.parametrize("width", LAID_OUT)
def test_columns(width: int | None, terminal: Callable[[int], None]) -> None:
    if width:
        terminal(width)
        lines = [line for row in columns(HEADS, ROWS) for line in row]
        assert lines == LAID_OUT[width]


def test_a_pipe_gets_whole_lines() -> None:
    assert [line for row in columns(HEADS, ROWS) for line in row] == LAID_OUT[None]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
def test_every_width_loses_nothing(width: int, terminal: Callable[[int], None]) -> None:
    """Nothing is wider than the terminal, and all letters are there."""
    random = np.random.default_rng(width)
    kinds = ["", ">", ">", "", "~"]
    rows = [
        ["x.y" * random.integers(1, 30), f"{random.integers(10**9):,}", "7", "TYPE", "a, b " * n]
        for n in random.integers(0, 30, 20)
    ]
    terminal(width)
    lines = [line for row in columns([f"h{kind}" for kind in kinds], rows)[1:] for line in row]
    assert max(map(len, lines)) <= width
    kept = Counter("".join(lines)) - Counter("h" * 100)
    assert not Counter("".join(map("".join, rows))) - kept - Counter(" " * 10_000)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "three"]),
        ("  one two", ["  one", "two"]),
        ("encoder.layer", ["encoder.", "layer"]),
        ("0123456789abc", ["01234567", "89abc"]),
        ("one 0123456789abc", ["one", "01234567", "89abc"]),
        ("", [""]),
    ],
)
def test_folding(text: str, lines: list[str]) -> None:
    assert folded(text, 8) == lines


@pytest.mark.usefixtures("narrow")
def test_show_in_a_narrow_terminal(address: str) -> None:
    for option in ([], ["--nodes"], ["--node", "product"]):
        for line in done("show", address, *option).splitlines():
            assert len(line) <= 40


def test_a_list_on_a_terminal(terminal: Callable[[int], None], tmp_path: Path) -> None:
    """Models of one directory stand below its name; the rest of a long list below the model."""
    path = tmp_path / "m.root"
    for name in ("net", "2026/a", "2026/b", "only/one"):
        onnxroot.write(model(), f"{path}:{name}")
    for width in (40, 80, 200):
        terminal(width)
        lines = done("ls", "-l", path).splitlines()
        assert max(map(len, lines)) <= width
        names = [line for line in lines if not line.startswith("    ")]
        order = [line.split()[0] for line in names if line.split()[0] != "model"]
        assert order == ["net", "2026/", "a", "b", "only/one"]
        assert sum(sha256(model().SerializeToString()).hexdigest() in line for line in lines) == (
            4 if width > 70 else 0
        )
    assert "2026/a " not in done("ls", path)


def test_a_list_in_a_pipe_has_whole_names(tmp_path: Path) -> None:
    for name in ("2026/a", "2026/b"):
        onnxroot.write(model(), f"{tmp_path}/m.root:{name}")
    lines = done("ls", tmp_path / "m.root").splitlines()
    assert [line.split()[0] for line in lines] == ["model", "2026/a", "2026/b"]


def test_versions_of_other_operators(tmp_path: Path) -> None:
    onnxroot.write(golden("xgboost_classes"), tmp_path / "m.root:x")
    assert " ml 1  " in done("ls", tmp_path / "m.root")


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "0"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_in_a_pipe(
    variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert ("\x1b[" in done("show", golden("functions"))) == coloured


def test_no_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", text)
        assert ("\x1b[" in run("show", golden("functions"), color=True).output) == coloured


def test_bars_where_the_encoding_has_no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ascii:
        encoding = "ascii"

    assert bar(0.5, 10) == "█████"
    assert bar(1e-9, 10) == "▏"
    monkeypatch.setattr("sys.stdout", Ascii())
    assert (bar(0.5, 10), bar(1e-9, 10), bar(0, 10)) == ("#####", "#", "")
