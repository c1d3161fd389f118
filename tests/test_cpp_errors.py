"""Every error of the C++ reader says file, model, what was expected and found, and what to do."""

import re
import shutil

import pytest
import uproot

import onnxroot
from tests.cxx import forge, needs_compiler, run
from tests.golden import golden

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make files that are wrong, each in one way."""
    made = tmp_path_factory.mktemp("files")
    tagger = golden("mlp_jet_tagger")
    onnxroot.write(tagger, f"{made}/one.root:tagger")
    onnxroot.write(tagger, f"{made}/two.root:a/tagger")
    onnxroot.write(tagger, f"{made}/two.root:b")
    whole = (made / "one.root").read_bytes()
    (made / "cut.root").write_bytes(whole[:20_000])
    (made / "empty.root").write_bytes(b"")
    (made / "page.root").write_text("<!DOCTYPE html>" + " " * 200)
    (made / "pointer.root").write_text("version https://git-lfs.github.com/spec/v1\n" + " " * 80)
    (made / "zip.root").write_bytes(b"PK\x03\x04" + bytes(200))
    with uproot.recreate(made / "none.root") as file:
        file["text"] = "no model"
        file["other/manifest"] = "of somebody else"
    with onnxroot.open(made / "one.root") as model:
        manifest = model.manifest.to_json()
    changed = {
        "newer": manifest.replace('"format_version":1', '"format_version":2'),
        "touched": manifest.replace("NodeProto", "NodePRoto", 1),
        "rows": manifest.replace('"NodeProto":{"rows":', '"NodeProto":{"rows":1', 1),
        "schema": manifest.replace('"repeated"]', '"required"]', 1),
        "text": manifest[:-40],
    }
    for name, text in changed.items():
        shutil.copy(made / "one.root", made / f"{name}.root")
        forge(made / f"{name}.root", "tagger", text, sealed=name not in {"touched", "text"})
    shutil.copy(made / "one.root", made / "lost.root")
    with uproot.update(made / "lost.root") as file:
        del file["tagger"]["NodeProto"]
    return made


CASES = {
    "no file": ("absent.root", "m", "expected a ROOT file, found no file of that name; check"),
    "a folder": ("", "m", "expected a ROOT file, found a folder; name a file in it"),
    "an empty file": ("empty.root", "m", "begins with 'root', found an empty file; is it the"),
    "another format": ("zip.root", "m", r"begins with 'PK\.\.'; is it the right file\?"),
    "a web page": ("page.root", "m", "begins with '<!DO'; .*was the download refused"),
    "a pointer": ("pointer.root", "m", "found a Git LFS pointer; fetch .*`git lfs pull`"),
    "a file that is cut": ("cut.root", "", r"expected \d+ bytes, found 20000; .*copy it again"),
    "no model in the file": ("none.root", "", "expected a model in the file, found none; write"),
    "no such model": ("two.root", "c", ":c: expected a model, found no .*holds a/tagger, b"),
    "no such folder": ("two.root", "a/b/c", ":a/b/c: expected a model, .*holds a/tagger, b"),
    "a folder of models": ("two.root", "a", ":a: expected a model, .*holds a/tagger, b"),
    "a table": ("two.root", "b/NodeProto", ":b/NodeProto: expected a model, found no manifest"),
    "several models": ("two.root", "", "name of one of its models, found no name.*a/tagger, b"),
    "a newer format": (
        *("newer.root", "tagger"),
        r":tagger/manifest: expected a format version up to 1, found 2; .*onnxroot \d.*later one",
    ),
    "a changed manifest": ("touched.root", "", "manifest: expected the digest .*is damaged"),
    "a manifest that is cut": ("text.root", "", "manifest: expected .*, found .*is damaged"),
    "another number of rows": (
        *("rows.root", ""),
        r"tagger/NodeProto: expected 1\d+ rows, found \d+; the file is damaged",
    ),
    "an unknown label": ("schema.root", "", "manifest: expected .*labels of protobuf, found"),
    "a lost table": (
        *("lost.root", "tagger"),
        "lost.root:tagger/NodeProto: expected an RNTuple, found .*; it is missing or damaged",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_error(case, probe, folder):
    name, model, expected = CASES[case]
    (answer,) = probe.ask("sha", folder / name, model)
    assert answer.startswith(f"Error {folder / name}".rstrip("/"))
    assert re.search(expected, answer), answer


TENSORS = {
    ("double", "hidden1.weight"): "found FLOAT; ask for GetTensor<float>$",
    ("int64", "hidden1.weight"): "tensor hidden1.weight: expected elements of the type asked for",
    ("float", "hidden9.weight"): r"an initializer 'hidden9.weight', found none .*lists the \d+",
    ("string", ""): "expected an initializer '', found none of that name; TensorNames",
}


@pytest.mark.parametrize("wanted", TENSORS)
def test_error_of_a_tensor(wanted, probe, folder):
    (answer,) = probe.ask("tensor", folder / "one.root", "tagger", *wanted)
    assert answer.startswith(f"Error {folder}/one.root:tagger")
    assert re.search(TENSORS[wanted], answer), answer


def test_the_wrong_type_is_refused_for_every_element_type(probe, tmp_path):
    """Each initializer of the golden model of data types opens as one type of C++ alone."""
    path = tmp_path / "types.root"
    onnxroot.write(golden("data_types"), path)
    types = "float double string complex64 complex128".split()
    types += [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    with onnxroot.open(path) as model:
        names = [tensor.name for tensor in model.tensors.values() if tensor.size]
    assert len(names) > 50
    for name in names:
        answers = {kind: probe.ask("tensor", path, "", kind, name)[-1] for kind in types}
        fitting = [kind for kind, answer in answers.items() if answer == "done"]
        assert len(fitting) == 1
        for kind in types:
            if kind not in fitting:
                named = fitting[0].replace("complex64", "complex<float>")
                assert named.replace("complex128", "complex<double>") in answers[kind]


def test_models_are_listed(probe, folder):
    assert probe.ask("list", folder / "two.root") == ["a/tagger", "b", "done"]
    assert probe.ask("list", folder / "none.root") == ["done"]
    assert probe.ask("list", folder / "newer.root") == ["tagger", "done"]


NAMES = ("a b", "a#b", "a?b", "a%20b", "a$HOME", "~a", "a:b", "a;b", "a&b", r"a\b", "-a", "ä")


@pytest.mark.parametrize("name", NAMES)
def test_files_of_any_name_open(name, probe, folder, tmp_path):
    """ROOT itself takes some of these characters for those of an address."""
    shutil.copy(folder / "one.root", tmp_path / f"{name}.root")
    assert probe.ask("list", tmp_path / f"{name}.root") == ["tagger", "done"]


@pytest.mark.parametrize("address", ["file://{}", "$FOLDER_OF_MODELS/one.root"])
def test_addresses_that_root_resolves_open(address, probe, folder):
    done = run(
        *(probe.program, "list", address.format(folder / "one.root")),
        environment={"FOLDER_OF_MODELS": str(folder)},
    )
    assert (done.returncode, done.stdout) == (0, "tagger\n")


def test_what_root_cannot_open(probe):
    (answer,) = probe.ask("list", "nosuch://models.root")
    assert answer.startswith("Error nosuch://models.root: expected a ROOT file, found ")
