"""The PyTorch adapter: typical networks, kinds of files, hostile files, and what is refused."""

import contextlib
import io
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from onnxroot.adapter import Options, find_adapter  # noqa: E402
from onnxroot.errors import FormatError, OnnxRootError, UnsupportedModelError  # noqa: E402
from onnxroot_adapters._torch_inputs import named_tensors  # noqa: E402
from onnxroot_adapters.torch import adapter, convert_module, to_onnx  # noqa: E402
from tests.adapters.conformance import Case, judge, report  # noqa: E402
from tests.adapters.torch_models import (  # noqa: E402
    NETWORKS,
    Attention,
    Cnn,
    DictIn,
    Embeddings,
    Mlp,
    Noise,
    Norms,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

# --- networks ------------------------------------------------------------------------------------


def case(name, network):
    torch.manual_seed(1)
    module = network.make()
    examples = network.inputs(network.size)

    def other_inputs(seed):
        torch.manual_seed(100 + seed)
        size = network.size if network.fixed else {1: 7, 2: 1}[seed]
        return {key: value.numpy() for key, value in network.inputs(size).items()}

    def expected(inputs):
        with torch.no_grad():
            found = module.eval()(*map(torch.from_numpy, inputs.values()))
        return [value.numpy() for _, value in named_tensors(found, "")]

    return Case(
        name=name,
        convert=lambda: convert_module(
            module, examples, Options(dynamic=network.dynamic, tolerance=network.tolerance)
        ),
        inputs=other_inputs,
        expected=expected,
        refused=network.refused,
        tolerance=network.tolerance,
    )


def script_case(name, network):
    """The same, of what ``torch.jit.trace`` makes of a network: it has a single path."""
    torch.manual_seed(1)
    examples = network.inputs(network.size)
    module = torch.jit.trace(network.make().eval(), tuple(examples.values()), check_trace=False)

    def other_inputs(seed):
        torch.manual_seed(100 + seed)
        return {key: value.numpy() for key, value in network.inputs({1: 7, 2: 2}[seed]).items()}

    def expected(inputs):
        with torch.no_grad():
            found = module(*map(torch.from_numpy, inputs.values()))
        return [value.numpy() for _, value in named_tensors(found, "")]

    options = Options(dynamic=network.dynamic, tolerance=network.tolerance)
    return Case(
        name=name,
        convert=lambda: convert_module(module, tuple(examples.values()), options),
        inputs=other_inputs,
        expected=expected,
        tolerance=network.tolerance,
    )


RESULTS: dict[str, dict[str, str]] = {"PyTorch": {}, "TorchScript": {}}
SCRIPTS = [
    "mlp", "cnn", "gru", "lstm cell", "causal transformer", "deep sets", "graph, index_add",
    "graph, mean", "edge convolution", "spline", "branch, if", "fake quantised", "fft", "norms",
    "boolean index",
]  # fmt: skip


BRIEF = {  # one of each kind; the others take a minute
    "mlp", "cnn", "lstm", "transformer, any length", "graph, index_add", "spline", "branch, cond",
    "fake quantised by channel", "many inputs and outputs", "eigenvalues",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in BRIEF else pytest.mark.sweep) for name in NETWORKS],
)
def test_network(name):
    result = RESULTS["PyTorch"][name] = judge(case(name, NETWORKS[name]))
    assert result.startswith("refused" if NETWORKS[name].refused else "proven"), result


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name):
    result = RESULTS["TorchScript"][name] = judge(script_case(name, NETWORKS[name]))
    assert result == "proven"


@pytest.mark.parametrize(("title", "least"), [("PyTorch", 45), ("TorchScript", 15)])
def test_report(title, least, record_property):
    """Of all networks, in the process that has tried them all."""
    if len(RESULTS[title]) < least:
        pytest.skip("the networks were tried in several processes, or only some of them")
    report(title, RESULTS[title], record_property, least_proven=least)


@pytest.mark.parametrize("name", ["branch on the batch", "branch on large batches"])
def test_a_batch_that_can_not_vary_is_fixed_and_told(name):
    network = NETWORKS[name]
    conversion = convert_module(network.make(), network.inputs(3), Options())
    assert conversion.provenance["batch"] == "fixed at 3"
    assert conversion.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3


def test_names_are_those_of_the_module():
    model = to_onnx(Attention(), NETWORKS["attention"].inputs(3))
    assert [value.name for value in model.graph.input] == ["particles", "mask"]
    assert [value.name for value in model.graph.output] == ["output"]
    sizes = [value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input]
    assert sizes == ["batch", "batch"]
    assert "attention.out_proj.weight" in {tensor.name for tensor in model.graph.initializer}
    model = to_onnx(NETWORKS["dict of outputs"].make(), torch.randn(3, 3))
    assert [value.name for value in model.graph.output] == ["logits", "probability"]
    model = to_onnx(DictIn(), ({"x": torch.randn(3, 3), "y": torch.randn(3, 4)},))
    assert [value.name for value in model.graph.input] == ["batch_x", "batch_y"]


def test_axes_that_vary_are_named():
    network = NETWORKS["deep sets"]
    model = to_onnx(network.make(), network.inputs(3), dynamic=network.dynamic)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["batch", "particles_1", 4]


def test_opset():
    model = to_onnx(Mlp(), torch.randn(3, 4), opset=18)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [18]


# --- nothing else changes ------------------------------------------------------------------------


def test_module_and_process_are_as_before(caplog, capfd):
    module = Norms().train()
    module.parts[0].eval()
    modes = [part.training for part in module.modules()]
    state = {name: value.clone() for name, value in module.state_dict().items()}
    random = torch.random.get_rng_state()
    filters = list(warnings.filters)
    disabled = logging.root.manager.disable
    capfd.readouterr()
    with caplog.at_level(logging.DEBUG):
        to_onnx(module, torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(1)))
        with pytest.raises(UnsupportedModelError):
            to_onnx(NETWORKS["branch, if"].make(), torch.ones(3, 3))
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert torch.is_grad_enabled()
    assert warnings.filters == filters
    assert logging.root.manager.disable == disabled
    assert capfd.readouterr() == ("", "")
    del random  # the branch is made with torch's own generator, so it has moved on


def test_random_state_is_as_before():
    module, x = Mlp(), torch.randn(3, 4)
    state = torch.random.get_rng_state()
    to_onnx(module, x)
    with pytest.raises(UnsupportedModelError, match="random numbers"):
        to_onnx(Noise(), x)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_debug_info_is_kept_on_demand():
    x = torch.randn(3, 4)
    assert b"stack_trace" not in to_onnx(Mlp(), x).SerializeToString()
    assert b"stack_trace" in to_onnx(Mlp(), x, keep_debug_info=True).SerializeToString()


SCRIPT = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from tests.adapters.torch_models import NETWORKS
from onnxroot_adapters.torch import to_onnx
for name in ("cnn", "graph, index_add"):
    torch.manual_seed(1)
    network = NETWORKS[name]
    module, inputs = network.make(), network.inputs(3)
    sys.stdout.buffer.write(
        to_onnx(module, inputs, dynamic=network.dynamic).SerializeToString()
    )
"""


@pytest.mark.sweep
def test_same_bytes_in_two_processes_and_folders(tmp_path):
    root = Path(__file__).parents[2]
    found = []
    for seed in ("1", "2"):
        folder = tmp_path / f"secret_folder_{seed}"
        folder.mkdir()
        (folder / "make.py").write_text(SCRIPT)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, "make.py", str(root)],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=True,
        )
        found.append(done.stdout)
    assert found[0] == found[1]
    assert not re.search(rb"/(home|root|tmp|usr)/|site-packages|\.py\b|secret_folder", found[0])


def test_importing_imports_no_framework():
    code = (
        "import sys, pathlib, onnxroot_adapters.torch as t;"
        "t.adapter.describe(pathlib.Path(t.__file__)); t.adapter.accepts(3);"
        "print([n for n in ('torch', 'onnxscript', 'safetensors') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


# --- files ---------------------------------------------------------------------------------------


def make_layers():
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.GELU(), torch.nn.Linear(6, 2))


def make_mlp():
    torch.manual_seed(3)
    return Mlp()


class Lightning(Mlp):
    example_input_array = torch.zeros(2, 4)


def save_safetensors(module, path):
    import safetensors.torch  # noqa: PLC0415

    safetensors.torch.save_file(module.state_dict(), path)


def save_pickle(module, path):
    path.write_bytes(pickle.dumps(module))


def save_program(module, path):
    batch = torch.export.Dim.AUTO
    program = torch.export.export(
        module.eval(), (torch.randn(3, 4),), dynamic_shapes=({0: batch},), strict=False
    )
    torch.export.save(program, path)


def save_static_program(module, path):
    torch.export.save(torch.export.export(module.eval(), (torch.randn(3, 4),)), path)


MODULE = f"{__name__}:make_mlp"
SHAPES = {"x": (None, 4)}

FILES = {
    # kind: (how it is saved, suffix, what it is, options)
    "program": (save_program, ".pt2", "exported program", {}),
    "program, fixed": (save_static_program, ".pt2", "exported program", {}),
    "program, other suffix": (save_program, ".pt", "exported program", {}),
    "script": (
        lambda m, p: torch.jit.save(torch.jit.script(m.eval()), p),
        ".pt",
        "TorchScript",
        {"inputs": SHAPES},
    ),
    "trace": (
        lambda m, p: torch.jit.save(torch.jit.trace(m.eval(), torch.randn(3, 4)), p),
        ".pt",
        "TorchScript",
        {"inputs": SHAPES},
    ),
    "weights": (
        lambda m, p: torch.save(m.state_dict(), p),
        ".pth",
        "state_dict",
        {"module": MODULE, "inputs": SHAPES},
    ),
    "weights, before 1.6": (
        lambda m, p: torch.save(m.state_dict(), p, _use_new_zipfile_serialization=False),
        ".pt",
        "state_dict",
        {"module": MODULE, "inputs": SHAPES},
    ),
    "checkpoint": (
        lambda m, p: torch.save(
            {
                "epoch": 3,
                "state_dict": {
                    **{f"model.{k}": v for k, v in m.state_dict().items()},
                    "loss.weight": torch.ones(3),  # beside the module, in Lightning
                },
            },
            p,
        ),
        ".ckpt",
        "state_dict",
        {"module": MODULE, "inputs": SHAPES},
    ),
    "safetensors": (
        save_safetensors, ".safetensors", "safetensors", {"module": MODULE, "inputs": SHAPES},
    ),
    "module": (torch.save, ".pt", "pickle", {"allow_pickle": True, "inputs": SHAPES}),
    "module, before 1.6": (
        lambda m, p: torch.save(m, p, _use_new_zipfile_serialization=False),
        ".pt",
        "pickle",
        {"allow_pickle": True, "inputs": SHAPES},
    ),
    "module, pickled": (save_pickle, ".pkl", "pickle", {"allow_pickle": True, "inputs": SHAPES}),
}  # fmt: skip


def outputs(model, **inputs):
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, inputs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FILES)
def test_file(kind, tmp_path):
    save, suffix, what, options = FILES[kind]
    module, path = make_mlp(), tmp_path / f"tagger{suffix}"
    save(module, path)
    found = find_adapter(path)
    assert found is not None
    assert found[0] is adapter
    assert what in found[1]
    conversion = adapter.convert(path, Options(**options))
    n = 3 if "fixed" in kind else 6
    x = torch.randn(n, 4)
    (y,) = outputs(conversion.model, **{conversion.model.graph.input[0].name: x.numpy()})
    np.testing.assert_allclose(y, module.eval()(x).detach().numpy(), atol=1e-5)
    assert conversion.batches
    assert conversion.provenance["source_file"] == path.name
    assert re.fullmatch("[0-9a-f]{64}", conversion.provenance["source_sha256"])
    assert str(tmp_path).encode() not in conversion.model.SerializeToString()


def test_layers_of_torch_need_no_word(tmp_path):
    path = tmp_path / "layers.pt"
    torch.save(make_layers(), path)
    conversion = adapter.convert(path, Options(inputs={"input": (None, 4)}))
    x = torch.randn(5, 4)
    (y,) = outputs(conversion.model, input=x.numpy())
    np.testing.assert_allclose(y, make_layers()(x).detach().numpy(), atol=1e-5)


def test_samples_give_the_inputs(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "samples.npz"
    kind, x = np.arange(10) + 1, np.ones((10, 2), np.float32)
    np.savez(path, kind=kind, x=x)
    module = Embeddings()
    conversion = adapter.convert(module, Options(samples=path))
    assert [value.name for value in conversion.model.graph.input] == ["kind", "x"]
    assert conversion.batches[0].inputs["kind"].dtype == np.int64


def test_indices_are_tried_where_numbers_fail():
    module = Embeddings()
    conversion = adapter.convert(module, Options(inputs={"kind": (None,), "x": (None, 2)}))
    assert conversion.batches[0].inputs["kind"].dtype == np.int64


@pytest.mark.filterwarnings("ignore")
def test_wrappers_are_taken_off():
    for wrap in (torch.compile, torch.nn.DataParallel):
        model = to_onnx(wrap(Mlp()), torch.randn(3, 4))
        assert [value.name for value in model.graph.input] == ["x"]


def test_lightning_brings_its_example():
    assert adapter.convert(Lightning(), Options()).batches


@pytest.mark.filterwarnings("ignore")
def test_script_that_is_refused_prints_nothing(capfd):
    script = torch.jit.trace(NETWORKS["eigenvalues"].make(), torch.randn(3, 3, 3))
    capfd.readouterr()
    with pytest.raises(UnsupportedModelError, match=r"operator aten::linalg_eigvalsh"):
        to_onnx(script, torch.randn(3, 3, 3))
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore")
def test_the_end_of_a_program_is_told():
    """It was exported for small batches: what it does for others is not its author's."""
    program = torch.export.export(
        NETWORKS["branch on the batch"].make(),
        (torch.randn(3, 3),),
        dynamic_shapes=({0: torch.export.Dim.AUTO},),
        strict=False,
    )
    assert convert_module(program, None, Options()).provenance["batch"] == "up to 20"


# --- hostile files -------------------------------------------------------------------------------


class Planted:
    """Leaves a file behind if it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (Path(self.mark),)


def changed(source, target, changes):
    """Copy an archive with other members: changes are by a pattern of their names."""
    used = set()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            for pattern, change in changes.items():
                if re.search(pattern, info.filename):
                    data = change(data)
                    used.add(pattern)
            new.writestr(info.filename, data)
    assert used == set(changes)


def saved(value, **kwargs):
    buffer = io.BytesIO()
    torch.save(value, buffer, **kwargs)
    return buffer.getvalue()


def replaced(old, new):
    def change(data):
        assert old in data
        return data.replace(old, new)

    return change


def pickled_weight(data):
    config = json.loads(data)
    next(iter(config["config"].values()))["use_pickle"] = True
    return json.dumps(config).encode()


def hostile_files(folder, mark):
    """Make files that would leave a mark, by name."""
    call = f"__import__('pathlib').Path('{mark}').touch()".encode()
    program = folder / "good.pt2"
    save_program(make_mlp(), program)
    planted = Planted(mark)
    torch.save(planted, folder / "pickle.pt")
    torch.save({"weight": torch.ones(2), "more": planted}, folder / "weights.pth")
    torch.save(planted, folder / "old.pt", _use_new_zipfile_serialization=False)
    (folder / "plain.pkl").write_bytes(pickle.dumps((torch.ones(2), planted)))
    programs = {
        "samples": {"sample_inputs/model.pt": lambda _: saved(((planted,), {}))},
        "old samples": {
            "sample_inputs/model.pt": lambda _: saved(
                ((planted,), {}), _use_new_zipfile_serialization=False
            )
        },
        "weight": {
            "weights_config.json": pickled_weight,
            "weights/weight_0": lambda _: saved(planted),
        },
        "shape": {
            "model.json": replaced(b"Symbol('s", call.replace(b'"', b"'") + b" or Symbol('s")
        },
        "target": {"model.json": replaced(b"torch.ops.aten.relu.default", b"torch.os.system")},
        "import": {
            "model.json": replaced(
                rb"\"context\": \"null\"",
                rb"\"context\": \"{\\\"__enum__\\\": 1, \\\"fqn\\\": \\\"antigravity:a\\\"}\"",
            )
        },
        "name": {
            "model.json": replaced(
                b'"forward_arg_names": ["x"', b'"forward_arg_names": ["x=' + call + b'"'
            )
        },
    }
    for name, changes in programs.items():
        changed(program, folder / f"{name}.pt2", changes)
    script = folder / "good.pt"
    torch.jit.save(torch.jit.script(make_mlp().eval()), script)
    changed(
        script,
        folder / "script.pt",
        {
            r"code/.*torch_models.*\.py$": replaced(
                b"    return ", f'    z = torch.from_file("{mark}", True, 4)\n    return '.encode()
            )
        },
    )
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith("good")]


@pytest.mark.filterwarnings("ignore")
def test_hostile_files_run_nothing(tmp_path):
    mark = tmp_path / "mark"
    folder = tmp_path / "files"
    folder.mkdir()
    files = hostile_files(folder, mark)
    assert len(files) == 12
    options = Options(inputs=SHAPES, module=MODULE)
    texts = {}
    for path in files:
        assert adapter.describe(path)
        with pytest.raises(UnsupportedModelError, match="allow") as caught:
            adapter.convert(path, options)
        texts[path.name] = str(caught.value)
        assert "\n" not in texts[path.name]
        assert texts[path.name].startswith(path.name)
        assert not mark.exists(), path.name
    assert "sample inputs" in texts["samples.pt2"]
    assert "torch.os.system" in texts["target.pt2"]
    assert "from_file" in texts["script.pt"]
    for name in ("good.pt", "good.pt2"):
        assert adapter.convert(folder / name, Options(inputs=SHAPES)).batches

    with pytest.raises(OnnxRootError):  # the mark is left with the user's word: the test can fail
        adapter.convert(folder / "pickle.pt", Options(allow_pickle=True))
    assert mark.exists()


def other_sizes(data):
    return data.replace(b'"as_int": 4', b'"as_int": 99999999')


DAMAGE = {
    "sizes": {"weights_config.json": other_sizes},
    "nested": {"model.json": lambda _: b"[" * 200_000},
    "a list": {"weights_config.json": lambda _: b"[3]"},
    "a cut graph": {"model.json": lambda data: data[: len(data) // 2]},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_told_in_one_line(case, tmp_path, capfd):
    """PyTorch logs tracebacks of its own."""
    save_program(make_mlp(), tmp_path / "good.pt2")
    changed(tmp_path / "good.pt2", tmp_path / "m.pt2", DAMAGE[case])
    with pytest.raises(OnnxRootError) as caught:
        adapter.convert(tmp_path / "m.pt2", Options(inputs=SHAPES))
    assert str(caught.value).startswith("m.pt2: ")
    assert "\n" not in str(caught.value)
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.filterwarnings("ignore")
def test_archives_that_claim_too_much(tmp_path):
    for name, save in (("m.pt2", save_program), ("m.pt", torch.save)):
        save(make_mlp(), tmp_path / name)
        data = bytearray((tmp_path / name).read_bytes())
        first = data.find(b"PK\x01\x02")
        data[first + 24 : first + 28] = b"\xf0\xff\xff\x7f"
        (tmp_path / name).write_bytes(data)
        with pytest.raises(OnnxRootError, match=r"unpacks to 2147\d+ bytes, expected|allow"):
            adapter.convert(tmp_path / name, Options(inputs=SHAPES))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["samples", "shape"])
def test_what_is_refused_would_have_run(name, tmp_path):
    mark = tmp_path / "mark"
    hostile_files(tmp_path, mark)
    with contextlib.suppress(OnnxRootError):
        adapter.convert(tmp_path / f"{name}.pt2", Options(allow_pickle=True))
    assert mark.exists()


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore")
def test_programs_of_all_networks_pass_the_check(tmp_path):
    """The lists are long enough for what torch itself writes."""
    for name in ("cnn", "transformer, any length", "branch, cond", "branch, item", "deep sets"):
        network = NETWORKS[name]
        inputs = tuple(network.inputs(3).values())
        auto = torch.export.Dim.AUTO
        shapes = tuple({0: auto, 1: auto} if value.ndim > 1 else {0: auto} for value in inputs)
        program = torch.export.export(
            network.make().eval(), inputs, dynamic_shapes=shapes, strict=False
        )
        path = tmp_path / "network.pt2"
        torch.export.save(program, path)
        assert adapter.convert(path, Options()).batches, name


# --- what is refused -----------------------------------------------------------------------------


def bad_factory():
    raise RuntimeError("no\nmore")


def not_a_module():
    return 3


def small_mlp():
    return Mlp(3, 3)


class Squared(torch.nn.Module):
    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def forward(self, x):
        return (self.sign * (x * x + 1)).log()


def saved_to(save, options, suffix=".pt"):
    def convert(folder):
        path = folder / f"model{suffix}"
        save(path)
        adapter.convert(path, Options(**options))

    return convert


def cut(save):
    """Return most of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.pt2"
        save(make_mlp(), path)
        return path.read_bytes()[:2000]


def weights(options):
    return saved_to(lambda path: torch.save(make_mlp().state_dict(), path), options)


def of_module(make, example, **options):
    return lambda _: convert_module(make(), example, Options(**options))


REFUSED = {
    "pickle": (
        saved_to(lambda path: torch.save(make_mlp(), path), {}),
        r"^model\.pt: .*--allow-pickle.*--module package",
    ),
    "weights alone": (weights({}), r"6? ?weights and no module: add --module package\.module:f"),
    "no such factory": (weights({"module": "nowhere.at.all:f"}), r"can't find nowhere.*PYTHONPATH"),
    "no such function": (weights({"module": f"{__name__}:nope"}), r"can't find .*nope"),
    "no function": (weights({"module": "tests"}), "names no function"),
    "factory fails": (weights({"module": f"{__name__}:bad_factory"}), "RuntimeError: no$"),
    "factory of others": (weights({"module": f"{__name__}:not_a_module"}), "makes a int, expected"),
    "other weights": (
        weights({"module": f"{__name__}:small_mlp"}), r"layers\.0\.weight is \(16, 4\), expected",
    ),
    "other names": (
        weights({"module": f"{__name__}:Norms"}), r"no parts\.0\.bias.*; unknown layers.",
    ),
    "shape": (of_module(Mlp, None), r"shape of x is needed.*--input x:SHAPE.*--samples"),
    "shape of some": (
        of_module(Embeddings, None, inputs={"x": (None, 2)}), r"shape of kind .*--input kind:SHAPE",
    ),
    "no such input": (of_module(Mlp, None, inputs={"y": (2, 4)}), "no input y; its inputs are x"),
    "no such axis": (of_module(Mlp, torch.ones(3, 4), dynamic={"x": (5,)}), "x has 2 axes"),
    "no such dynamic": (of_module(Mlp, torch.ones(3, 4), dynamic={"y": (1,)}), "inputs are x"),
    "axis that can't vary": (
        of_module(Mlp, torch.ones(3, 4), dynamic={"x": (1,)}), r"axis 1 can't vary.*--dynamic",
    ),
    "wrong shape": (
        of_module(Mlp, torch.ones(3, 5)), r"fails on its example inputs, x:3x5 float32",
    ),
    "wrong arguments": (of_module(Mlp, (torch.ones(3), 1, 2)), "does not take these"),
    "operator": (
        of_module(NETWORKS["eigenvalues"].make, torch.randn(3, 3, 3)),
        r"operator aten\._linalg",
    ),
    "branch": (
        of_module(NETWORKS["branch, if"].make, torch.ones(3, 3)), r"torch\.where or torch\.cond",
    ),
    "opset": (of_module(Mlp, torch.ones(3, 4), opset=5), "opset"),
    "no values": (of_module(lambda: Mlp().to("meta"), torch.ones(3, 4)), "load its weights"),
    "nothing but NaN": (
        of_module(lambda: Squared(-1), torch.rand(3, 4) + 1), "gives NaN or infinity.*--samples",
    ),
    "mismatch": (
        of_module(Mlp, torch.ones(3, 4), tolerance=1e-12), r"differ by up to .*\(--tolerance\)",
    ),
    "no module": (of_module(lambda: 3, torch.ones(3, 4)), "no torch.nn.Module"),
    "damaged": (
        saved_to(lambda path: path.write_bytes(cut(save_program)), {}),
        "not a file that PyTorch writes, or damaged",
    ),
    "no weights": (
        saved_to(lambda path: torch.save({"epoch": 3}, path), {}), "dict of epoch, and no weights",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_in_one_line(kind, tmp_path):
    convert, pattern = REFUSED[kind]
    with pytest.raises((UnsupportedModelError, FormatError), match=pattern) as caught:
        convert(tmp_path)
    assert "\n" not in str(caught.value)


def test_others_are_not_ours(tmp_path):
    cases = {
        "empty": b"",
        "text": b"hello",
        "plain.pkl": pickle.dumps({"a": 1}),
        "zip": None,
        "short": b"PK\x03\x04",
    }
    for name, data in cases.items():
        path = tmp_path / name
        if data is None:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a/b", "c")
        else:
            path.write_bytes(data)
        assert adapter.describe(path) is None, name
    assert adapter.describe(tmp_path) is None
    assert adapter.describe(tmp_path / "missing") is None
    assert not adapter.accepts(3)
    assert adapter.accepts(Cnn())
    assert adapter.accepts(torch.jit.script(Mlp()))
