"""What is different between two models: found, said in words, and nothing else is."""

import copy
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import onnxroot
from onnxroot._changes import Change, GraphDiff, ModelDiff
from onnxroot._diff_text import lines_of, summary
from onnxroot._node_match import align
from onnxroot._tensor_change import Difference
from tests.corpus import wheel_models
from tests.golden import GOLDEN_NAMES, golden
from tests.samples import each_golden, graph_model, linear_model, raw_tensor, small_tensor
from tests.test_cli import done, run

Edit = Callable[[ModelProto], object]


def network() -> ModelProto:
    """Return four layers of the same operators, a subgraph and a function."""
    generator = np.random.default_rng(7)
    tensors, nodes, value = [], [], "x"
    for i in range(4):
        weight = generator.normal(size=(4, 4)).astype(np.float32)
        tensors.append(raw_tensor(f"w{i}", weight))
        nodes += [
            helper.make_node("MatMul", [value, f"w{i}"], [f"m{i}"], name=f"product{i}"),
            helper.make_node("LeakyRelu", [f"m{i}"], [f"a{i}"], name=f"active{i}", alpha=0.1),
        ]
        value = f"a{i}"
    branches = {
        f"{word}_branch": helper.make_graph(
            [helper.make_node(op, [value], ["y"], name=op.lower())],
            word,
            [],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        )
        for word, op in (("then", "Abs"), ("else", "Neg"))
    }
    nodes.append(helper.make_node("If", ["flag"], ["out"], name="choice", **branches))
    model = graph_model(
        tensors,
        nodes=nodes,
        inputs=[
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
        ],
        outputs=[helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )
    body = [helper.make_node("Add", ["a", "b"], ["c"])]
    model.functions.append(
        helper.make_function(
            "local", "Sum2", ["a", "b"], ["c"], body, [helper.make_opsetid("", 17)]
        )
    )
    return model


def compared(folder: Path, old: ModelProto | bytes, new: ModelProto | bytes) -> ModelDiff:
    """Compare two models, the first in an ONNX file, the second in a ROOT file."""
    for name, model in (("old", old), ("new", new)):
        data = model if isinstance(model, bytes) else model.SerializeToString()
        (folder / f"{name}.onnx").write_bytes(data)
    onnxroot.write(folder / "new.onnx", folder / "new.root", replace=True)
    return onnxroot.diff(folder / "old.onnx", folder / "new.root")


def edited(edit: Edit) -> ModelProto:
    model = copy.deepcopy(network())
    edit(model)
    return model


def rename_all(model: ModelProto, *, interface: bool = False) -> None:
    """Give every value inside, and every node, another name; inputs and outputs too if asked."""
    ends = {value.name for value in [*model.graph.input, *model.graph.output]}
    kept = set() if interface else ends

    def new(name: str) -> str:
        return name if name in kept or not name else f"r_{name}"

    graphs = [model.graph]
    for graph in graphs:
        for node in graph.node:
            node.name = f"r_{node.name}" if node.name else ""
            node.input[:] = map(new, node.input)
            node.output[:] = map(new, node.output)
            graphs += [g for a in node.attribute for g in [*a.graphs, a.g] if g.ByteSize()]
        for value in [*graph.input, *graph.output, *graph.initializer, *graph.value_info]:
            value.name = new(value.name)
        for tensor in graph.sparse_initializer:
            tensor.values.name = new(tensor.values.name)


# --- The same ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", each_golden())
def test_a_model_and_its_copy_are_identical(name: str, tmp_path: Path) -> None:
    onnxroot.write(golden(name), tmp_path / "m.root")
    found = onnxroot.diff(golden(name), tmp_path / "m.root")
    assert (found.identical, found.same_model, list(lines_of(found))) == (True, True, [])


MIRRORED = {"added": "removed", "removed": "added"}


def facts(found: ModelDiff, *, mirrored: bool = False) -> Counter[tuple[Any, ...]]:
    """Return what is said of two models; mirrored, what should be said of them the other way."""

    def kind(one: Any) -> str:
        return MIRRORED.get(one.kind, one.kind) if mirrored else one.kind

    def turned(old: Any, new: Any) -> tuple[Any, Any]:
        return (new, old) if mirrored else (old, new)

    def fact(change: Change, names: dict[str, str] | None = None) -> tuple[Any, ...]:
        name = (names or {}).get(change.name, change.name)
        return kind(change), change.what, name, *turned(change.old, change.new)

    said: list[tuple[Any, ...]] = list(map(fact, found.changes))
    for graph in found.graphs:
        inside = bool(graph.where)  # it goes by the old name of a node
        for change in graph.changes:
            same = [c for c in graph.changes if (c.kind, c.what) == ("renamed", change.what)]
            names = {str(c.old): str(c.new) for c in same}  # things go by their old name,
            if change.what == "type":  # types by the new one of their value
                every = [c for c in graph.changes if c.kind == "renamed"]
                names = {str(c.new): str(c.old) for c in every}
                names |= {new: old for old, new in graph.renamed_values.items()}
                names |= {t.new_name: t.name for t in graph.tensors if t.name and t.new_name}
            said.append((inside, *fact(change, names if mirrored else None)))
        said += [(inside, *turned(*pair)) for pair in graph.renamed_values.items()]
        for node in graph.nodes:
            if node.changes:
                said.append((inside, node.kind, len(node.changes)))
                said += [(inside, node.kind, *fact(change)) for change in node.changes]
            else:
                one_sided = (kind(node), node.operator, node.name, node.inputs, node.outputs)
                said.append((inside, *one_sided))
        for tensor in graph.tensors:
            names = (tensor.name, tensor.new_name)
            if tensor.kind in MIRRORED:
                names = (tensor.name, tensor.name)
            n_different = tensor.difference.n_different if tensor.difference else None
            types = turned(tensor.old, tensor.new)
            said.append((inside, kind(tensor), *turned(*names), *types, n_different))
    return Counter(said)


@pytest.mark.parametrize("name", each_golden())
@pytest.mark.parametrize("step", [1, pytest.param(5, marks=pytest.mark.corpus)])
def test_any_two_models_can_be_compared_either_way(name: str, step: int) -> None:
    """And what one has more is what the other has less: the answers are mirror images."""
    old, new = golden(name), golden(GOLDEN_NAMES[GOLDEN_NAMES.index(name) - step])
    there, back = onnxroot.diff(old, new), onnxroot.diff(new, old)
    assert not there.same_model
    json.dumps(there.to_json(), allow_nan=False)
    assert facts(there) == facts(back, mirrored=True)
    assert sum(facts(there).values()) == sum(facts(back).values())


def reordered(model: ModelProto) -> bytes:
    """Return the fields of the model in another order."""
    graph = ModelProto(graph=model.graph).SerializeToString()
    rest = copy.deepcopy(model)
    rest.ClearField("graph")
    return graph + rest.SerializeToString()


def typed(model: ModelProto) -> ModelProto:
    tensor = model.graph.initializer[1]
    values = numpy_helper.to_array(tensor).ravel()
    tensor.ClearField("raw_data")
    tensor.float_data.extend(values)
    return model


def with_defaults(model: ModelProto) -> ModelProto:
    model.graph.node[0].domain = "ai.onnx"
    model.graph.node[1].doc_string = ""
    model.domain = ""
    return model


def in_another_order(model: ModelProto) -> ModelProto:
    tensors = list(model.graph.initializer)[::-1]
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)
    return model


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (reordered, "the records of protobuf stand in another order or form"),
        (typed, "1 tensors keep their elements in another field or file"),
        (with_defaults, "defaults are written out in one and left out in the other"),
        (in_another_order, "the initializers stand in another order"),
    ],
)
def test_encoded_differently(change: Callable, words: str, tmp_path: Path) -> None:
    found = compared(tmp_path, network(), change(network()))
    assert (found.identical, found.same_model) == (False, True)
    assert words in summary(found)


def test_external_or_inside(tmp_path: Path) -> None:
    onnxroot.write(golden("external_data"), tmp_path / "m.root")
    with onnxroot.open(tmp_path / "m.root") as model:
        model.save(tmp_path / "m.onnx", embed=True)
    found = onnxroot.diff(tmp_path / "m.root", tmp_path / "m.onnx")
    assert found.same_model, list(lines_of(found))
    assert "other external files" in summary(found)


def test_nodes_in_another_order(tmp_path: Path) -> None:
    nodes = [helper.make_node("Abs", ["x"], [f"y{i}"], name=f"n{i}") for i in range(3)]
    found = compared(tmp_path, graph_model(nodes=nodes), graph_model(nodes=nodes[::-1]))
    assert found.encoding == ("the nodes stand in another order",)


# --- Not the same -----------------------------------------------------------------------------


def insert(model: ModelProto, at: int, name: str) -> None:
    """Put a Relu behind the activation of a layer."""
    nodes = list(model.graph.node)
    new = helper.make_node("Relu", [f"a{at}"], [f"{name}_out"], name=name)
    nodes[2 * at + 2].input[0] = f"{name}_out"
    nodes.insert(2 * at + 2, new)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def nudge(model: ModelProto) -> None:
    tensor = model.graph.initializer[2]
    values = numpy_helper.to_array(tensor).copy()
    values[1, 2] = np.nextafter(values[1, 2], np.float32(np.inf))
    tensor.raw_data = values.tobytes()


def subgraph_edit(model: ModelProto) -> None:
    model.graph.node[-1].attribute[0].g.node[0].op_type = "Sqrt"


def bypass(model: ModelProto) -> None:
    model.graph.node[4].input[0] = "a0"


CHANGED: dict[str, tuple[Edit, list[str]]] = {
    "node added": (
        lambda m: insert(m, 1, "extra"),
        ["~ node MatMul 'product2': input 0: a1 ->", "+ node Relu 'extra' (a1) -> (extra_out)"],
    ),
    "attribute": (
        lambda m: setattr(m.graph.node[1].attribute[0], "f", 0.25),
        ["~ node LeakyRelu 'active0': attribute alpha: 0.100000001 -> 0.25"],
    ),
    "attribute removed": (
        lambda m: m.graph.node[1].ClearField("attribute"),
        ["~ node LeakyRelu 'active0': attribute alpha removed: 0.100000001"],
    ),
    "operator": (
        lambda m: setattr(m.graph.node[3], "op_type", "Elu"),
        ["~ node Elu 'active1': operator: LeakyRelu -> Elu"],
    ),
    "rewired": (bypass, ["~ node MatMul 'product2': input 0: a1 -> a0"]),
    "node renamed": (
        lambda m: setattr(m.graph.node[0], "name", "first"),
        ["> node MatMul 'product0': now 'first'"],
    ),
    "value renamed": (
        lambda m: (
            m.graph.node[0].output.__setitem__(0, "z"),
            m.graph.node[1].input.__setitem__(0, "z"),
        ),
        ["> value 'm0' -> 'z'"],
    ),
    "weight": (nudge, ["~ tensor 'w2' FLOAT[4, 4]: 1 of 16 elements differ, by at most"]),
    "weight renamed": (
        lambda m: (
            setattr(m.graph.initializer[0], "name", "v"),
            m.graph.node[0].input.__setitem__(1, "v"),
        ),
        ["> tensor 'w0' -> 'v' FLOAT[4, 4]"],
    ),
    "shape": (
        lambda m: m.graph.initializer[1].dims.__setitem__(slice(None), [2, 8]),
        ["~ tensor 'w1': FLOAT[4, 4] -> FLOAT[2, 8]"],
    ),
    "tensor added": (
        lambda m: m.graph.initializer.append(raw_tensor("more", np.ones(2))),
        ["+ tensor 'more' DOUBLE[2]"],
    ),
    "input type": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.DOUBLE),
        ["~ input 'x': FLOAT[n, 4] -> DOUBLE[n, 4]"],
    ),
    "input added": (
        lambda m: m.graph.input.add(name="mask"),
        ["+ input 'mask': "],
    ),
    "subgraph": (subgraph_edit, ["@ choice.else_branch", "~ node Sqrt 'neg': operator: Neg ->"]),
    "function": (
        lambda m: setattr(m.functions[0].node[0], "op_type", "Sub"),
        ["@ function local::Sum2", "~ node Sub -> (c): operator: Add -> Sub"],
    ),
    "function removed": (
        lambda m: m.ClearField("functions"),
        ["- function 'local::Sum2'"],
    ),
    "opset": (
        lambda m: setattr(m.opset_import[0], "version", 18),
        ["~ opset_import 'ai.onnx': 17 -> 18"],
    ),
    "ir": (lambda m: setattr(m, "ir_version", 9), ["~ ir_version: 8 -> 9"]),
    "metadata": (
        lambda m: m.metadata_props.add(key="run", value="3"),
        ["+ metadata 'run': 3"],
    ),
    "doc": (lambda m: setattr(m.graph, "doc_string", "new"), ["+ doc_string"]),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_changed_and_nothing_else(name: str, tmp_path: Path) -> None:
    edit, expected = CHANGED[name]
    found = compared(tmp_path, network(), edited(edit))
    lines = [line for line in lines_of(found) if line != "@ main graph"]
    assert len(lines) == len(expected), lines
    for line, start in zip(lines, expected, strict=True):
        assert line.startswith(start)
    assert not found.same_model
    assert summary(found).startswith("the models differ: ")
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["same_model"] is False


def test_graphs_of_training_steps(tmp_path: Path) -> None:
    old = onnx.load(golden("sparse_training"))
    new = copy.deepcopy(old)
    new.training_info[0].algorithm.node[0].op_type = "Other"
    (graph,) = compared(tmp_path, old, new).graphs
    assert graph.where == "training 0 algorithm"


def only_graph(found: ModelDiff) -> GraphDiff:
    return next(graph for graph in found.graphs if not graph.where)


@pytest.mark.parametrize("interface", [False, True])
def test_a_renaming_is_no_rewiring(interface: bool, tmp_path: Path) -> None:
    model = edited(lambda m: rename_all(m, interface=interface))
    found = compared(tmp_path, network(), model)
    graph = only_graph(found)
    assert {node.kind for node in graph.nodes} == {"renamed"}
    assert {tensor.kind for tensor in graph.tensors} == {"renamed"}
    assert len(graph.renamed_values) == 8
    assert [change.name for change in graph.changes] == (["x", "flag", "out"] if interface else [])
    assert len(found.graphs) == 3


@pytest.mark.corpus
def test_a_renaming_of_real_models_is_no_rewiring(tmp_path: Path) -> None:
    for name, data in wheel_models():
        if len(data) > 1_000_000:
            continue
        model = ModelProto.FromString(data)
        rename_all(model)
        (tmp_path / "old.onnx").write_bytes(data)
        (tmp_path / "new.onnx").write_bytes(model.SerializeToString())
        found = onnxroot.diff(tmp_path / "old.onnx", tmp_path / "new.onnx")
        lines = [line for line in lines_of(found) if line[0] not in ">@"]
        assert not lines, (name, lines)


def test_a_renaming_beside_new_weights(tmp_path: Path) -> None:
    """As two trainings of one network do whose exporter draws names."""

    def edit(model: ModelProto) -> None:
        rename_all(model)
        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor) + np.float32(1)
            tensor.raw_data = values.tobytes()

    graph = only_graph(compared(tmp_path, network(), edited(edit)))
    assert {node.kind for node in graph.nodes} == {"renamed"}
    assert [(t.kind, t.name, t.new_name) for t in graph.tensors] == [
        ("changed", f"w{i}", f"r_w{i}") for i in range(4)
    ]


def test_numbers_in_names_that_shift(tmp_path: Path) -> None:
    def chain(ops: list[str]) -> ModelProto:
        nodes = [helper.make_node(op, [f"v{i}"], [f"v{i + 1}"]) for i, op in enumerate(ops)]
        return graph_model(nodes=nodes)

    ops = ["Abs", "Relu", "Neg", "Relu"] * 5
    found = compared(tmp_path, chain(ops), chain([*ops[:6], "Sin", *ops[6:]]))
    graph = only_graph(found)
    assert [(node.kind, node.operator) for node in graph.nodes if node.kind == "added"] == [
        ("added", "Sin")
    ]
    assert sum(node.kind == "changed" for node in graph.nodes) == 1  # the one behind it
    assert graph.renamed_values["v7"] == "v8"


def test_another_node_makes_the_output(tmp_path: Path) -> None:
    new = linear_model()
    new.graph.node[1].output[0] = "sum"
    new.graph.node.append(helper.make_node("Softmax", ["sum"], ["scores"], name="soft"))
    lines = list(lines_of(compared(tmp_path, linear_model(), new)))
    assert "~ source of output 'scores': Add 'add' -> Softmax 'soft'" in lines
    assert "+ node Softmax 'soft' (sum) -> (scores)" in lines


# --- By how much ------------------------------------------------------------------------------


def tensors_compared(folder: Path, old: np.ndarray, new: np.ndarray) -> Difference:
    make = small_tensor if old.dtype.kind == "V" else raw_tensor
    models = [graph_model([make("t", values)]).SerializeToString() for values in (old, new)]
    (change,) = only_graph(compared(folder, *models)).tensors
    assert change.difference is not None
    return change.difference


MEASURED = {
    "float": (np.float32([1, 2, 0]), np.float32([1, np.nextafter(np.float32(2), 3), 0]), 1),
    "sign": (np.float32([0.0]), np.float32([-0.0]), 0),
    "across zero": (
        np.array([5e-324]),
        np.array([-5e-324]),
        2,
    ),
    "far": (np.array([-1.7e308]), np.array([1.7e308]), 2 * int(np.float64(1.7e308).view(np.int64))),
    "half": (np.float16([1, 1]), np.float16([1, 1.001]), 1),
    "bfloat16": (
        np.array([1, 2], ml_dtypes.bfloat16),
        np.array([1, 2.03], ml_dtypes.bfloat16),
        2,
    ),
    "float8": (
        np.array([1, -1], ml_dtypes.float8_e4m3fn),
        np.array([1, 1], ml_dtypes.float8_e4m3fn),
        2 * 0x38,
    ),
    "integers": (np.array([-(2**63), 1]), np.array([2**63 - 1, 1]), None),
    "complex": (np.array([1 + 1j]), np.array([1 + 2j]), None),
    "booleans": (np.array([True, False]), np.array([True, True]), None),
    "strings": (np.array(["a", "b"], object), np.array(["a", "c"], object), None),
}


@pytest.mark.parametrize("name", MEASURED)
def test_figures(name: str, tmp_path: Path) -> None:
    old, new, ulp = MEASURED[name]
    found = tensors_compared(tmp_path, old, new)
    assert (found.n_elements, found.n_different) == (len(old), 1)
    assert found.max_ulp == ulp
    if old.dtype.kind not in "bO":
        at = 0 if len(old) == 1 else int(np.flatnonzero(old != new)[0])
        wide = [complex(x[at]) if old.dtype.kind == "c" else float(x[at]) for x in (old, new)]
        assert found.max_abs == pytest.approx(abs(wide[1] - wide[0]))


def test_nan_and_infinity_count_apart(tmp_path: Path) -> None:
    old = np.float32([1, np.nan, np.inf, 3])
    found = tensors_compared(tmp_path, old, np.float32([1, 2, 4, 3.5]))
    assert (found.n_different, found.n_not_finite, found.max_abs) == (3, 2, 0.5)


def test_large_tensors_in_blocks(tmp_path: Path) -> None:
    old = np.zeros(5_000_000, np.float32)
    new = old.copy()
    new[[0, 2_500_000, 4_999_999]] = [1, 2, 3]
    found = tensors_compared(tmp_path, old, new)
    assert (found.n_elements, found.n_different, found.max_abs) == (5_000_000, 3, 3.0)


@pytest.mark.parametrize("seed", range(20))
def test_alignment_is_as_long_as_it_can_be(seed: int) -> None:
    generator = np.random.default_rng(seed)
    old, new = ("".join(generator.choice(list("abc"), size=12)) for _ in range(2))
    pairs = align(old, new)
    assert pairs == sorted(set(pairs))
    assert all(old[i] == new[j] for i, j in pairs)
    lengths = np.zeros((13, 13), int)
    for i in range(12):
        for j in range(12):
            longer = max(lengths[i, j + 1], lengths[i + 1, j])
            lengths[i + 1, j + 1] = lengths[i, j] + 1 if old[i] == new[j] else longer
    assert len(pairs) == lengths[12, 12]


# --- The command ------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "a.onnx").write_bytes(network().SerializeToString())
    (tmp_path / "same.onnx").write_bytes(typed(network()).SerializeToString())
    onnxroot.write(edited(nudge).SerializeToString(), tmp_path / "b.root:b")
    return tmp_path


def test_command(files: Path) -> None:
    assert done("diff", files / "a.onnx", files / "a.onnx").startswith("identical")
    assert done("diff", files / "a.onnx", files / "same.onnx").startswith("the same model, enc")
    result = run("diff", files / "a.onnx", f"{files}/b.root:b")
    assert (result.exit_code, result.stderr) == (1, "")
    head, _, line = result.stdout.splitlines()
    assert head == "the models differ: 1 tensor changed"
    assert line.startswith("~ tensor 'w2' FLOAT[4, 4]: 1 of 16 elements differ")
    result = run("diff", files / "a.onnx", files / "b.root", "--json")
    (graph,) = json.loads(result.stdout)["graphs"]
    assert graph["tensors"][0]["difference"]["max_ulp"] == 1
    result = run("diff", files / "a.onnx", files / "missing.onnx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"onnxroot: {files}/missing.onnx: No such file or directory\n"


def test_long_lists_are_cut(tmp_path: Path) -> None:
    tensors = [raw_tensor(f"t{i}", np.ones(1)) for i in range(30)]
    (tmp_path / "a.onnx").write_bytes(graph_model().SerializeToString())
    (tmp_path / "b.onnx").write_bytes(graph_model(tensors).SerializeToString())
    lines = run("diff", tmp_path / "a.onnx", tmp_path / "b.onnx").stdout.splitlines()
    assert lines[-1] == "  ... and 10 more; --all shows them"
    lines = run("diff", tmp_path / "a.onnx", tmp_path / "b.onnx", "--all").stdout.splitlines()
    assert len(lines) == 32


@pytest.mark.sweep
def test_git(tmp_path: Path) -> None:
    """A real repository, set up as the README says."""

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
        found = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=True, env=None
        )
        assert not found.stderr
        return found.stdout

    git("init", "-q")
    driver = f"{sys.executable} -m onnxroot git-diff"
    git("config", "diff.onnxroot.command", driver)
    (tmp_path / ".gitattributes").write_text("*.root diff=onnxroot\n*.onnx diff=onnxroot\n")
    onnxroot.write(network(), tmp_path / "models.root:tagger")
    onnxroot.write(network(), tmp_path / "models.root:old")
    (tmp_path / "other.root").write_text("no ROOT file")
    git("add", ".")
    git("commit", "-qm", "first")
    onnxroot.remove(tmp_path / "models.root:old")
    onnxroot.write(edited(nudge), tmp_path / "models.root:tagger", replace=True)
    (tmp_path / "new.onnx").write_bytes(network().SerializeToString())
    (tmp_path / "other.root").write_text("still none")
    git("add", ".")
    lines = git("diff", "--cached", "HEAD").splitlines()
    assert "- model models.root:old" in lines
    assert "models.root:tagger: the models differ: 1 tensor changed" in lines
    assert "+ model new.onnx" in lines
    assert "no models in either version" in lines
    git("commit", "-qm", "second")
    assert "1 of 16 elements differ" in git("log", "-p", "--ext-diff", "-1")
