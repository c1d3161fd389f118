"""Models in files that ROOT wrote: it reads all of it, before and after, and appends."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import uproot

import onnxroot
from tests.samples import SAID
from tests.test_root import GOLDEN, pytestmark, run_root
from tests.test_update import OLD, fail_at_every_write, stretch

__all__ = ["pytestmark"]  # pytest looks at it: real ROOT is needed here too

# --- models beside other objects ----------------------------------------------------------------

CREATE = """
import sys, array, ROOT
file = ROOT.TFile(sys.argv[1], "RECREATE")
histogram = ROOT.TH1D("before", "", 10, 0, 1)
for _ in range(7): histogram.Fill(0.5)
tree = ROOT.TTree("tree", "")
number = array.array("d", [0.0])
tree.Branch("x", number, "x/D")
for i in range(1000):
    number[0] = i
    tree.Fill()
file.Write()
file.mkdir("folder/inner").cd()
ROOT.TNamed("name", "of the detector").Write()
file.Close()
ROOT.gInterpreter.Declare('''
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleWriter.hxx>
void Append(const char *path) {
   std::unique_ptr<TFile> file{TFile::Open(path, "UPDATE")};
   auto model = ROOT::RNTupleModel::Create();
   auto x = model->MakeField<std::vector<float>>("x");
   auto writer = ROOT::RNTupleWriter::Append(std::move(model), "ntuple", *file);
   for (int i = 0; i < 1000; ++i) { *x = std::vector<float>(i % 5, i); writer->Fill(); }
}
''')
ROOT.Append(sys.argv[1])
"""

READ = """
import sys, ROOT
ROOT.gInterpreter.Declare('''
#include <ROOT/RNTupleReader.hxx>
void LoadAll(const char *table, const char *path) {
   auto reader = ROOT::RNTupleReader::Open(table, path);
   for (auto row : *reader) reader->LoadEntry(row);
}
''')
ROOT.gErrorIgnoreLevel = ROOT.kInfo  # a file that ROOT had to recover would say so
def read(path):
    file = ROOT.TFile(path)
    assert not file.IsZombie() and not file.TestBit(ROOT.TFile.kRecovered)
    assert file.Get("before").GetEntries() == 7
    assert file.Get("folder/inner/name").GetTitle() == "of the detector"
    tree = file.Get("tree")
    assert sum(row.x for row in tree) == 499500
    values = ROOT.RDataFrame("ntuple", path).Sum("x").GetValue()
    assert values == sum(i * (i % 5) for i in range(1000)), values
    return sum(read_model(path, name) for name in ("models/a", "models/b", "models/new"))
def read_model(path, name):
    file = ROOT.TFile(path)
    if not file.GetDirectory(name): return 0
    for key in file.GetDirectory(name).GetListOfKeys():
        if key.GetClassName() == "ROOT::RNTuple":
            ROOT.LoadAll(f"{name}/{key.GetName()}", path)
    return 1
def append(path):
    file = ROOT.TFile(path, "UPDATE")
    for i in range(50): ROOT.TNamed(f"after{i}", "appended by ROOT " * i).Write()
    file.Close()
    assert ROOT.TFile(path).Get("after7").GetTitle() == "appended by ROOT " * 7
for path in sys.argv[1:] or map(str.strip, sys.stdin):
    n = read(path)
    append(path)
    assert read(path) == n
    print(n, flush=True)
"""


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    """Let ROOT write a file with objects of all kinds."""
    path = tmp_path_factory.mktemp("analysis") / "analysis.root"
    run_root("-c", CREATE, path)
    return path


def content(address):
    """Return the ONNX file of a stored model."""
    with onnxroot.open(address) as model:
        return model.to_bytes()


def test_models_beside_what_root_wrote(analysis, tmp_path):
    """After each change ROOT reads what it wrote, appends, and reads it again; so do we."""
    path = tmp_path / "analysis.root"
    shutil.copy(analysis, path)
    first, second = GOLDEN[0], GOLDEN[-1]
    changes = [
        (lambda: onnxroot.write(first, f"{path}:models/a"), 1),
        (lambda: onnxroot.write(second, f"{path}:models/b"), 2),
        (lambda: onnxroot.write(second, f"{path}:models/a", replace=True), 2),
        (lambda: onnxroot.copy(f"{path}:models/b", f"{path}:models/new"), 3),
        (lambda: onnxroot.copy(f"{path}:models/b", f"{path}:folder/inner/b"), 3),
        (lambda: onnxroot.remove(f"{path}:models/b"), 2),
        (lambda: onnxroot.write(first, f"{path}:models/b"), 3),
    ]
    # One process: it takes seconds to start.
    with subprocess.Popen([sys.executable, "-c", READ], stdin=-1, stdout=-1, text=True) as root:
        for change, n_models in changes:
            change()
            print(path, file=root.stdin, flush=True)
            assert root.stdout.readline() == f"{n_models}\n"
    assert root.returncode == 0
    expected = {"models/a": second, "models/b": first, "models/new": second}
    expected["folder/inner/b"] = second
    assert onnxroot.list_models(path) == sorted(expected)
    for name, model in expected.items():
        assert onnxroot.verify(f"{path}:{name}").ok
        assert content(f"{path}:{name}") == model.read_bytes()


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        (["replace"], {2}),
        pytest.param(["add", "add to top", "copy", "remove"], {1, 2, 3}, marks=pytest.mark.sweep),
    ],
)
def test_root_reads_all_that_a_writer_leaves_that_fails(
    operations, expected, analysis, tmp_path, record_property
):
    """Of each write that may be the last; `test_update` changes such files itself."""
    path = tmp_path / "analysis.root"
    shutil.copy(analysis, path)
    for name in ("a", "b"):
        onnxroot.write(OLD, f"{path}:models/{name}")
    results, left = fail_at_every_write(path, tmp_path, "leave", operations=operations)
    wrong = {k: v for k, v in results.items() if not set(v) <= {"before", "after"}}
    assert not wrong
    n_models = list(map(int, run_root("-c", READ, *left).split()))
    assert len(n_models) == len(left)
    assert set(n_models) == expected
    n_points = sum(sum(outcomes.values()) for outcomes in results.values())
    record_property(
        SAID, f"{n_points} writes failed; ROOT read all {len(left)} files they left, and appended"
    )


def test_beyond_two_gigabytes(analysis, tmp_path):
    path = tmp_path / "analysis.root"
    shutil.copy(analysis, path)
    stretch(path, 2_500_000_000)
    onnxroot.write(OLD, f"{path}:models/a")
    onnxroot.write(GOLDEN[0], f"{path}:models/b")
    assert run_root("-c", READ, path).split() == ["2"]
    assert content(f"{path}:models/a") == OLD.read_bytes()
    assert content(f"{path}:models/b") == GOLDEN[0].read_bytes()


EMPTY = """
import sys, ROOT
ROOT.gErrorIgnoreLevel = ROOT.kInfo
for option in ("READ", "UPDATE", "READ"):
    file = ROOT.TFile(sys.argv[1], option)
    print(len(file.GetListOfKeys()))
    file.Close()
"""


@pytest.mark.parametrize("names", ["a", "a b", "a models/b c"])
def test_what_was_removed_does_not_come_back(names, tmp_path):
    """ROOT searches a file whose top directory is empty for objects that got lost."""
    path = tmp_path / "m.root"
    for name in names.split():
        onnxroot.write(OLD, f"{path}:{name}")
        onnxroot.write(GOLDEN[0], f"{path}:{name}", replace=True)
    for name in names.split():
        onnxroot.remove(f"{path}:{name}")
    n_keys = names.count("/")  # the directory `models` stays
    assert run_root("-c", EMPTY, path).split() == [str(n_keys)] * 3
    onnxroot.write(OLD, f"{path}:a")
    assert content(f"{path}:a") == OLD.read_bytes()


# --- ROOT's commands ------------------------------------------------------------------------------

BIN = Path(find_spec("ROOT").origin).parent / "bin" if find_spec("ROOT") else Path()


@pytest.fixture
def stored(tmp_path):
    """Return a file with two models in directories."""
    path = tmp_path / "stored.root"
    for name in ("a", "b"):
        onnxroot.write(OLD, f"{path}:models/{name}")
    return path


def run_command(name, *arguments):
    """Run one of ROOT's commands."""
    command = [str(BIN / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_rootls(stored):
    done = run_command("rootls", "-r", "-l", f"{stored}:models/a")
    assert done.returncode == 0
    assert "ROOT::RNTuple" in done.stdout
    assert "NodeProto;1" in done.stdout


@pytest.mark.parametrize("other", [OLD, GOLDEN[0]], ids=["same", "another"])
def test_hadd_is_named(other, tmp_path):
    """It empties RNTuples that are in directories, and says that all went well."""
    onnxroot.write(OLD, f"{tmp_path}/a.root:models/m")
    onnxroot.write(other, f"{tmp_path}/b.root:models/m")
    merged = tmp_path / "merged.root"
    assert run_command("hadd", merged, tmp_path / "a.root", tmp_path / "b.root").returncode == 0
    assert not onnxroot.verify(merged).ok
    with (
        onnxroot.open(merged) as model,
        pytest.raises(onnxroot.FormatError, match="merged with hadd; copy the model from the orig"),
    ):
        model.to_bytes()


def test_hadd_can_leave_models_out(tmp_path):
    """As the README advises."""
    for name in ("a", "b"):
        path = tmp_path / f"{name}.root"
        run_root("-c", CREATE, path)
        onnxroot.write(OLD, f"{path}:models/m")
    (tmp_path / "skip.txt").write_text("models\n")
    merged = tmp_path / "merged.root"
    options = ["-L", tmp_path / "skip.txt", "-Ltype", "SkipListed"]
    done = run_command("hadd", *options, merged, tmp_path / "a.root", tmp_path / "b.root")
    assert done.returncode == 0, done.stderr[-2000:]
    assert onnxroot.list_models(merged) == []
    onnxroot.copy(f"{tmp_path}/a.root:models/m", f"{merged}:models/m")
    assert content(merged) == OLD.read_bytes()
    with uproot.open(merged) as opened:
        assert opened["tree"].num_entries == 2000


def test_rootcp_is_named(stored, tmp_path):
    """It copies the manifest, and no RNTuple."""
    copied = tmp_path / "copied.root"
    run_command("rootcp", "-r", f"{stored}:models", copied)
    (name, *_) = onnxroot.list_models(copied)
    with (
        onnxroot.open(f"{copied}:{name}") as model,
        pytest.raises(onnxroot.FormatError, match="rootcp copies no RNTuples, onnxroot cp does"),
    ):
        model.to_bytes()
