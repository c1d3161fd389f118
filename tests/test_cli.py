"""The command: what it prints, how it exits, and what users see when something is wrong."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from click.testing import CliRunner, Result

import onnxroot
from onnxroot.cli import main
from tests.golden import golden
from tests.model_encodings import LEN, record
from tests.samples import each_golden, files_in, linear_model

MODEL = linear_model().SerializeToString()
OTHER = linear_model(seed=2).SerializeToString()
ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str | Path, **extra: Any) -> Result:
    """Run the command in this process; click before 8.2 mixes the streams unless told."""
    options: dict[str, Any] = {}
    if "mix_stderr" in signature(CliRunner).parameters:
        options["mix_stderr"] = False
    return CliRunner(**options).invoke(
        main, list(map(str, arguments)), prog_name="onnxroot", **extra
    )


def run_process(
    *arguments: str | Path, flags: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, *flags, "-m", "onnxroot", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def done(*arguments: str | Path) -> str:
    """Run a command that must succeed; return what it prints."""
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert result.exception is None
    assert not result.stderr
    return result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with files to try the command on."""
    (tmp_path / "tagger.onnx").write_bytes(MODEL)
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "page.onnx").write_text("<!DOCTYPE html>\n<html><body>Sign in</body></html>")
    (tmp_path / "pointer.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    (tmp_path / "cut.onnx").write_bytes(MODEL[:-3])
    (tmp_path / "noise.onnx").write_bytes(b"\xff" * 40)
    (tmp_path / "text.root").write_text("hello")
    (tmp_path / "page.root").write_text("<html></html>")
    (tmp_path / "pointer.root").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    (tmp_path / "cut.root").write_bytes(b"root\x00\x00\xf8")
    (tmp_path / "subfolder").mkdir()
    with uproot.recreate(tmp_path / "histograms.root") as file:
        file["h"] = np.histogram([1.0, 2.0], bins=3)
    onnxroot.write(MODEL, tmp_path / "one.root:tagger", metadata={"campaign": "2026"})
    onnxroot.write(MODEL, tmp_path / "two.root:a")
    onnxroot.write(OTHER, tmp_path / "two.root:dir/b")
    return tmp_path


# --- What it does -----------------------------------------------------------------------------


def test_there_and_back(folder: Path) -> None:
    assert done("convert", folder / "tagger.onnx", folder / "new.root:t", "--meta", "a=b=c") == ""
    assert done("convert", folder / "new.root", folder / "again.onnx") == ""
    assert (folder / "again.onnx").read_bytes() == MODEL
    with onnxroot.open(folder / "new.root:t") as model:
        assert model.manifest.metadata == {"a": "b=c"}


def test_convert_options(folder: Path) -> None:
    arguments = ("convert", folder / "tagger.onnx", folder / "one.root:tagger")
    found = json.loads(done(*arguments, "--replace", "--compression", "lzma:2", "--json"))
    assert found["destination"] == str(folder / "one.root:tagger")
    done("convert", golden("external_data"), folder / "e.root")
    done("convert", folder / "e.root", folder / "embedded.onnx", "--embed")
    done("convert", folder / "e.root", folder / "subfolder/external_data.onnx")
    expected = files_in(golden("external_data").parent)
    found = files_in(folder / "subfolder")
    assert found == {name: expected[name] for name in found}
    assert len(found) == 3
    (folder / "alone.onnx").write_bytes(expected["external_data.onnx"])
    where = golden("external_data").parent
    done("convert", folder / "alone.onnx", folder / "a.root", "--external-data-dir", where)
    assert b"weights.bin" not in (folder / "embedded.onnx").read_bytes()


def test_cp_and_rm(folder: Path) -> None:
    analysis = folder / "histograms.root"
    assert done("cp", folder / "one.root", f"{analysis}:models/tagger") == ""
    assert done("cp", f"{folder}/two.root:dir/b", analysis, "--compression", "none") == ""
    assert onnxroot.list_models(analysis) == ["dir/b", "models/tagger"]
    done("cp", "--replace", f"{analysis}:dir/b", f"{analysis}:models/tagger")
    done("convert", f"{analysis}:models/tagger", folder / "copied.onnx")
    assert (folder / "copied.onnx").read_bytes() == OTHER
    assert done("rm", f"{analysis}:dir/b", f"{analysis}:models/tagger") == ""
    assert onnxroot.list_models(analysis) == []
    with uproot.open(analysis) as file:
        assert file["h"].values().sum() == 2


def test_verify_of_copies_that_were_merged(folder: Path) -> None:
    path = folder / "merged.root"
    with uproot.open(folder / "one.root") as old, uproot.recreate(path) as new:
        for key, kind in old["tagger"].classnames(cycle=False).items():
            if kind == "TObjString":
                new[f"tagger/{key}"] = str(old[f"tagger/{key}"])
            elif kind == "ROOT::RNTuple":
                array = old[f"tagger/{key}"].arrays()
                head, _, tail = f"tagger/{key}".rpartition("/")
                ntuple = new.mkdir(head).mkrntuple(tail, array.layout.form)
                ntuple.extend(array)
                ntuple.extend(array)
    result = run("verify", path)
    assert (result.exit_code, result.stdout.count(": ok, ")) == (0, 1)
    assert "hadd merged 2 copies of the model, which agree; to keep one" in result.stderr
    assert json.loads(done("verify", path, "--json"))[0]["copies"] == 2
    done(*result.stderr.rpartition("onnxroot ")[2].split())
    assert run("verify", path).stderr == ""


def test_ls(folder: Path) -> None:
    _, first, second = done("ls", folder / "two.root").splitlines()
    assert first.split()[:3] == ["a", "2", "15"]
    assert f"{len(MODEL)} B     17  20" in first
    assert second.startswith("dir/b ")
    found = json.loads(done("ls", folder / "two.root", "--json"))
    assert [row["name"] for row in found] == ["a", "dir/b"]
    stored = found[0].pop("stored_nbytes")
    assert 1000 < stored < (folder / "two.root").stat().st_size / 2
    assert datetime.fromisoformat(found[0].pop("written")).year > 2025
    assert found[0] == {
        "name": "a",
        "address": f"{folder}/two.root:a",
        "nodes": 2,
        "parameters": 15,
        "onnx_nbytes": len(MODEL),
        "opset": 17,
        "opset_imports": {"": 17},
        "ir_version": 8,
        "producer": "tests",
        "sha256": sha256(MODEL).hexdigest(),
    }
    assert sha256(MODEL).hexdigest() in done("ls", "-l", folder / "two.root")
    (row,) = json.loads(done("ls", f"{folder}/two.root:dir", "--json"))
    assert row["name"] == "dir/b"


def test_ls_of_a_file_without_models(folder: Path) -> None:
    result = run("ls", folder / "histograms.root")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{folder}/histograms.root: holds no models\n"
    assert json.loads(done("ls", folder / "histograms.root", "--json")) == []


def test_show(folder: Path) -> None:
    lines = done("show", folder / "one.root").splitlines()
    words = [line.split(maxsplit=1) for line in lines]
    assert ["input", "features: FLOAT[n, 4]"] in words
    assert ["output", "scores: FLOAT[n, 3]"] in words
    assert ["operators", "2 nodes: MatMul x 1, Add x 1"] in words
    assert ["note", "campaign: 2026"] in words
    assert ["opsets", "ai.onnx 17"] in words
    assert ["parameters", "15 in 2 tensors"] in words
    assert lines[-2].split() == ["weight", "FLOAT", "4", "x", "3", "48", "B"]
    found = json.loads(done("show", folder / "one.root:tagger", "--json"))
    assert found["tensors"][1] == {"name": "bias", "type": "FLOAT", "shape": [3], "nbytes": 12}
    assert found["metadata"] == {"campaign": "2026"}
    assert found["operators"] == {"MatMul": 1, "Add": 1}
    assert found["format_version"] == 1


@pytest.mark.parametrize("name", each_golden())
def test_show_of_golden_models(name: str, tmp_path: Path) -> None:
    done("convert", golden(name), tmp_path / "m.root")
    assert done("show", tmp_path / "m.root").startswith(f"model       {tmp_path}/m.root:{name}\n")
    found = json.loads(done("show", tmp_path / "m.root", "--json"))
    assert {"inputs", "outputs", "tensors", "provenance", "sha256"} <= set(found)
    assert str(golden(name).parent) not in json.dumps(found["provenance"])


def test_show_of_a_model_without_anything(folder: Path) -> None:
    done("convert", folder / "empty.onnx", folder / "e.root")
    lines = done("show", folder / "e.root").splitlines()
    assert "opsets      none" in lines
    assert "operators   none" in lines
    assert done("ls", folder / "e.root").splitlines()[1].split()[:3] == ["empty", "0", "0"]


def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    """Square brackets are markup for some libraries that print tables."""
    model = linear_model()
    model.graph.initializer[0].name = "[bold]w[/bold]"
    model.graph.input[0].name = "[red]x"
    onnxroot.write(model, tmp_path / "m.root")
    shown = done("show", tmp_path / "m.root")
    assert "[bold]w[/bold]" in shown
    assert "[red]x: FLOAT" in shown


def test_verify(folder: Path) -> None:
    line = done("verify", folder / "one.root")
    assert line.startswith(f"{folder}/one.root:tagger: ok, ")
    assert len(done("verify", folder / "two.root").splitlines()) == 2
    found = json.loads(done("verify", folder / "two.root:dir/b", "--json"))
    assert [(report["address"], report["ok"], report["problems"]) for report in found] == [
        (f"{folder}/two.root:dir/b", True, [])
    ]


def test_verify_of_a_damaged_model(folder: Path) -> None:
    path = folder / "none.root"
    done("convert", folder / "tagger.onnx", path, "--compression", "none")
    with onnxroot.open(path) as model:
        weight = model.tensors["weight"].numpy().tobytes()
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(weight)] ^= 1
    path.write_bytes(damaged)
    result = run("verify", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"onnxroot: {path}:tagger/tensors/float: ")
    assert "'weight'" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    result = run("verify", path, "--json")
    (report,) = json.loads(result.stdout)
    assert (result.exit_code, report["ok"], len(report["problems"])) == (1, False, 1)
    process = run_process("verify", path)
    assert (process.returncode, process.stdout) == (1, "")
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["convert", "-h"], ["--version"], ["ls", "-h"]])
def test_help(arguments: list[str]) -> None:
    assert done(*arguments)


# --- What users see when something is wrong ---------------------------------------------------

WRONG = {  # arguments, in the folder of the fixture, and what the line must say
    "convert missing.onnx x.root": "missing.onnx: No such file",
    "convert missing.root x.onnx": "missing.root: No such file",
    "convert missing.pt2 x.root": "missing.pt2: No such file",
    "ls missing.root": "missing.root: No such file",
    "show missing.root:a": "missing.root: No such file",
    "verify missing.root": "missing.root: No such file",
    "ls tagger.onnx": "tagger.onnx: not a ROOT file: it begins with",
    "show text.root": "text.root: not a ROOT file: it begins with b'hell', expected b'root'",
    "show page.root:a": "page.root: not a ROOT file: it begins like an HTML or XML page",
    "verify pointer.root": "pointer.root: not a ROOT file: it is a Git LFS pointer",
    "verify cut.root": "cut.root",
    "convert text.root x.onnx": "text.root: expected an .onnx file or a ROOT file",
    "convert tagger.onnx text.root:a": "text.root: not a ROOT file",
    "show histograms.root": "histograms.root: holds no models",
    "verify histograms.root": "histograms.root: holds no models",
    "convert histograms.root x.onnx": "histograms.root: holds no models",
    "show histograms.root:h": "histograms.root: holds no models",
    "show two.root:c": "two.root:c: no such model; two.root holds a, dir/b",
    "verify two.root:dir": "no such model; did you mean 'dir/b'? onnxroot ls two.root lists all",
    "show two.root": "two.root: holds 2 models; say which, as two.root:a (a, dir/b)",
    "convert two.root x.onnx": "holds 2 models",
    "convert page.onnx x.root": "page.onnx: not an ONNX file: it looks like an HTML or XML page",
    "convert pointer.onnx x.root": "pointer.onnx: not an ONNX file: it is a Git LFS pointer",
    "convert cut.onnx x.root": "cut.onnx: byte ",
    "convert noise.onnx x.root": "noise.onnx: byte 0: ",
    "convert tagger.onnx one.root": "one.root:tagger exists",
    "convert tagger.onnx one.root:tagger": "one.root:tagger exists",
    "convert one.root tagger.onnx": "tagger.onnx exists",
    "convert tagger.onnx x.root --compression zip": "no compression 'zip': expected one of zstd",
    "cp one.root two.root:a": "two.root:a exists; choose another name, or replace it",
    "cp two.root:c x.root": "two.root:c: no such model; two.root holds a, dir/b",
    "cp text.root x.root": "text.root: not a ROOT file",
    "cp one.root x.root --compression zip": "no compression 'zip': expected one of zstd",
    "rm two.root": "two.root: holds 2 models; say which, as two.root:a (a, dir/b)",
    "rm missing.root:a": "missing.root: No such file",
    "rm histograms.root:h": "histograms.root: holds no models",
    "convert tagger.onnx nowhere/x.root": "nowhere: no such folder",
    "convert one.root nowhere/x.onnx": "nowhere: no such folder",
    "convert tagger.onnx x.txt": "ends in .root or .onnx",
    "convert tagger.onnx subfolder:x": "subfolder is a folder; expected a ROOT file",
    "convert subfolder x.root": "subfolder: holds no files with models",
    "ls subfolder": "subfolder: Is a directory; expected a file in it",
    "ls two.roo": "two.roo: No such file or directory; did you mean 'two.root'?",
    "ls two.root:x": "two.root:x: no such model; two.root holds a, dir/b",
    "ls two.root:b": "two.root:b: no such model; did you mean 'dir/b'?",
    "cp one.root x.onnx": "x.onnx: a ROOT file would be written",
    "convert tagger.onnx x.root:a//b": "can't be a directory in a ROOT file",
    "convert tagger.onnx one.root:tagger/GraphProto/x": "GraphProto",
    "convert tagger.onnx x.onnx": "both ONNX files",
}


def arguments_of(words: str, folder: Path) -> list[str]:
    """Put the folder in front of everything that names a file."""
    command, *rest = words.split()
    options = rest.index("--compression") if "--compression" in rest else len(rest)
    return [command, *(f"{folder}/{word}" for word in rest[:options]), *rest[options:]]


@pytest.mark.parametrize("words", WRONG)
def test_one_line_and_nothing_written(words: str, folder: Path) -> None:
    before = files_in(folder)
    result = run(*arguments_of(words, folder))
    assert (result.exit_code, result.stdout) == (2, "")
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("onnxroot: ")
    assert WRONG[words] in line.replace(f"{folder}/", "")
    assert files_in(folder) == before


WRONG_USAGE = {
    "": "Usage: onnxroot",
    "nonsense": "No such command 'nonsense'",
    "convert": "Missing argument 'SRC...'",
    "convert tagger.onnx": "Missing argument 'SRC...'",
    "ls one.root --nonsense": "No such option",
    "convert tagger.onnx x.root --meta a": "expected KEY=VALUE",
    "convert tagger.onnx x.root --meta =a": "expected KEY=VALUE",
}


@pytest.mark.parametrize("words", WRONG_USAGE)
def test_wrong_usage(words: str, folder: Path) -> None:
    before = files_in(folder)
    result = run(*(folder / word if "." in word else word for word in words.split()))
    # Without a command click before 8.2 prints the help as if it had been asked for.
    assert result.exit_code == 2 or not words
    assert WRONG_USAGE[words] in result.stderr or not words
    assert files_in(folder) == before


@pytest.mark.parametrize(
    "words", ["show missing.root", "show two.root:c", "convert cut.onnx x.root"]
)
def test_a_process_says_it_in_one_line(words: str, folder: Path) -> None:
    process = run_process(*arguments_of(words, folder))
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == run(*arguments_of(words, folder)).stderr
    assert len(process.stderr.splitlines()) == 1


def test_a_process_there_and_back(folder: Path) -> None:
    for arguments in (
        ("convert", folder / "tagger.onnx", folder / "p.root"),
        ("convert", folder / "p.root", folder / "p.onnx"),
    ):
        process = run_process(*arguments)
        assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert (folder / "p.onnx").read_bytes() == MODEL
    process = run_process("show", folder / "p.root")
    assert (process.returncode, process.stderr) == (0, "")
    assert "scores: FLOAT[n, 3]" in process.stdout


def test_main_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["onnxroot", "--version"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("onnxroot", run_name="__main__")
    assert caught.value.code == 0


def test_debug_shows_a_traceback(folder: Path) -> None:
    result = run("--debug", "show", folder / "two.root:c")
    assert isinstance(result.exception, onnxroot.ModelNotFoundError)
    process = run_process("--debug", "show", folder / "two.root:c")
    assert process.returncode != 0
    assert "Traceback (most recent call last)" in process.stderr
    assert "ModelNotFoundError" in process.stderr


# --- python -O --------------------------------------------------------------------------------

SCRIPT = """
import json, sys
from pathlib import Path
from tests.test_cli import outcomes

if __debug__:
    sys.exit("not optimised")
print(json.dumps(outcomes(Path(sys.argv[1]))))
"""


def outcomes(folder: Path) -> dict[str, Any]:
    """Return what each wrong command, and a few right ones, print; and how they exit."""
    right = ("ls two.root", "verify one.root", "show two.root:dir/b", "ls two.root")
    found = {}
    for words in (*WRONG, *right):
        result = run(*arguments_of(words, folder))
        found[words] = [result.exit_code, result.stdout, result.stderr]
    return found


@pytest.mark.sweep
def test_optimised_python_does_the_same(folder: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-O", "-c", SCRIPT, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == outcomes(folder)


CHECKS: dict[str, Callable[[bytes], bytes]] = {
    "damaged": lambda data: data.replace(b"root", b"toor", 1),
    "half": lambda data: data[: len(data) // 2],
}


@pytest.mark.sweep
@pytest.mark.parametrize("kind", CHECKS)
def test_optimised_python_finds_damage(kind: str, folder: Path) -> None:
    (folder / "bad.root").write_bytes(CHECKS[kind]((folder / "one.root").read_bytes()))
    process = run_process("verify", folder / "bad.root", flags=["-O"])
    assert process.returncode in {1, 2}
    assert len(process.stderr.splitlines()) == 1


# --- Names and limits that strangers choose -----------------------------------------------------


def test_names_do_not_steer_the_terminal(tmp_path):
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(MODEL)
    model = linear_model()
    model.graph.initializer[0].name = "w\x1b]0;title\x07\x1b[2J"
    model.graph.input[0].name = "\u202einput"
    onnxroot.write(model, tmp_path / "m.root", metadata={"note\x1b[31m": "\x9b31m"})
    for words in (["ls"], ["show"], ["show", "--nodes"], ["diff", plain], ["verify", "--tensors"]):
        done = run(*words, tmp_path / "m.root", color=True)
        assert done.exit_code == (words[0] == "diff")
        output = re.sub(r"\x1b\[(0|1|3[2356])m", "", done.output)  # bold and colours of our own
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(output)
    assert "w\\x1b]0;title\\x07\\x1b[2J FLOAT" in done.output
    with uproot.update(tmp_path / "m.root") as file:
        file["evil\x1b[2J/manifest"] = '{"format":"onnxroot"}'
    done = run("ls", tmp_path / "m.root", color=True)
    assert done.exit_code == 2
    assert "\x1b" not in done.output


def test_names_do_not_end_lines(tmp_path):
    """What stands behind the end of a line would look as if we had said it."""
    name = "w\ngood    x FLOAT [1]"
    model = linear_model()
    model.producer_name = model.doc_string = name
    model.graph.initializer[0].name = model.graph.node[0].name = model.graph.node[0].domain = name
    model.graph.input[0].name = model.graph.node[0].attribute.add(name=name, s=name.encode()).name
    model.metadata_props.add(key=name, value=name)
    path = tmp_path / "m.root"
    onnxroot.write(model, path, metadata={name: name})
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(MODEL)
    for words in (
        *(["show"], ["show", "--nodes"], ["show", "--node", name], ["show", "--tensor", name]),
        *(["show", "--json"], ["ls", "-l"], ["verify", "--tensors"], ["diff", "--all", plain]),
        ["git-diff", "m.root", plain, "x", "x", path, "x", "x"],
    ):
        done = run(*words, *([path] if words[0] != "git-diff" else []))
        assert done.exit_code == (words[0] == "diff"), done.output
        assert not [line for line in done.output.splitlines() if line.startswith("good    x")]


def test_limits_are_raised_by_an_option(tmp_path):
    data = b""
    for level in reversed(range(1, 110)):
        data = record((6, 1, 5)[level % 3], LEN, data)
    (tmp_path / "m.onnx").write_bytes(record(7, LEN, data))
    words = ["convert", str(tmp_path / "m.onnx"), str(tmp_path / "m.root")]
    done = run(*words)
    assert done.exit_code == 2
    assert "raise the limit depth" in done.stderr
    for more in (words, ["verify", words[2]], ["convert", words[2], str(tmp_path / "n.onnx")]):
        assert run("--limit", "depth=200", *more).exit_code == 0
    assert (tmp_path / "n.onnx").read_bytes() == record(7, LEN, data)
    assert run("verify", words[2]).exit_code == 1


@pytest.mark.parametrize("limit", ["depth", "depth=", "depth=x", "depth=-1", "width=3", "depth=0"])
def test_limits_that_are_none(limit):
    done = run("--limit", limit, "ls", "x.root")
    assert done.exit_code == 2
    assert "--limit" in done.stderr
