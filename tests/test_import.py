"""What ``import onnxroot`` brings in, and what it exports."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import onnxroot

HEAVY = (
    *("torch", "tensorflow", "keras", "sklearn", "xgboost", "lightgbm", "onnxruntime"),
    *("uproot", "awkward", "onnx", "google.protobuf", "click", "rich"),
)

PUBLIC = {
    *("FormatError", "IntegrityError", "LockedError", "MissingDependencyError"),
    *("Limits", "ModelExistsError", "ModelNotFoundError", "OnnxRootError", "RemoteError"),
    *(
        "UnsupportedModelError",
        "convert",
        "convert_many",
        "copy",
        "diff",
        "include_dir",
        "list_models",
        "open",
        "remove",
        "report",
        "verify",
        "write",
    ),
}


def test_public_names():
    assert set(onnxroot.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(onnxroot, name).__doc__
    assert onnxroot.__version__ == version("onnxroot")


USES = [
    "not {'numpy', 'onnxroot.api', 'onnxroot.errors'} & set(sys.modules)",
    "{*onnxroot.__all__, 'errors', '__doc__'} < set(dir(onnxroot))",
    "onnxroot.errors.FormatError is onnxroot.FormatError",
    "onnxroot.api.open is onnxroot.open is not open",
    "again(onnxroot.FormatError('why', offset=3)).args == ('byte 3: why',)",
    "again(onnxroot.write) is onnxroot.write",
    "again(onnxroot.Limits(depth=3)) == onnxroot.Limits(depth=3)",
    "all(getattr(onnxroot, name).__name__ == f'onnxroot.{name}' for name in modules)",
    "names('from onnxroot import write as w, open')['open'] is onnxroot.open",
    "names('from onnxroot.errors import FormatError')['FormatError'] is onnxroot.FormatError",
    "names('import onnxroot.many as m')['m'].convert_many is onnxroot.convert_many",
    "set(onnxroot.__all__) == names('from onnxroot import *').keys()",
    "not any(hasattr(onnxroot, name) for name in ('wirte', '_nothing', '__wrapped__'))",
    "inspect.getmodule(onnxroot.write) is onnxroot.api",
    "all(f' {name}(' in pydoc.render_doc(onnxroot) for name in onnxroot.__all__)",
]

USER = """
import inspect, pickle, pydoc, sys
import onnxroot
modules = ("adapter", "api", "errors", "many", "model", "tables")
def again(value):
    return pickle.loads(pickle.dumps(value))
def names(line):
    found = {}
    exec(line, found)
    del found["__builtins__"]
    return found
pydoc.plain_text = pydoc.TextDoc()
pydoc.TextDoc.bold = lambda self, text: text
print([use for use in sys.argv[1:] if not eval(use)])
"""


def test_names_that_are_imported_when_asked_for_can_be_used_in_every_way():
    command = [sys.executable, "-c", USER, *USES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'onnxroot' has no attribute 'wirte'"):
        onnxroot.wirte  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'wirte' from 'onnxroot'"):
        from onnxroot import wirte  # noqa: F401, PLC0415


def test_include_dir():
    """The folder has the C++ reader, and the command prints the same one."""
    folder = Path(onnxroot.include_dir())
    assert (folder / "onnxroot.hxx").is_file()
    assert (folder / "README.md").is_file()
    faces = re.findall('#include "(onnxroot/.*)"', (folder / "onnxroot.hxx").read_text())
    parts = {path.relative_to(folder).as_posix() for path in folder.rglob("onnxroot/*.hxx")}
    assert set(faces) < parts
    done = subprocess.run(
        [sys.executable, "-m", "onnxroot", "--include-dir"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{folder}\n"


def test_import_brings_in_nothing_heavy():
    code = f"import sys, onnxroot; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


DAMAGE = """
import sys, onnxroot
from pathlib import Path
whole, path = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
for position in range(64, len(whole), len(whole) // 60):
    damaged = bytearray(whole)
    damaged[position] ^= 0x40
    path.write_bytes(damaged)
    try:
        with onnxroot.open(path) as model:
            print(position, model.to_bytes())
    except (onnxroot.OnnxRootError, OSError) as error:
        print(position, type(error).__name__)
"""


@pytest.mark.sweep
def test_python_optimised_changes_nothing(tmp_path):
    """No check of ours is an assert: damage is found under -O as well."""
    onnxroot.write(b"\x08\x08", f"{tmp_path}/m.root:m")
    results = []
    for flags in ([], ["-O"]):
        command = [sys.executable, *flags, "-c", DAMAGE, f"{tmp_path}/m.root", f"{tmp_path}/d.root"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results.append(done.stdout)
    assert results[0] == results[1]
    assert "Error" in results[0]
    lines = results[0].splitlines()
    assert all(line.endswith(("Error", r"b'\x08\x08'")) for line in lines)
