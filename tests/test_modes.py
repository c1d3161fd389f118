"""`python -O`, which drops asserts, and `python -X dev -W error` give the same results.

`tox -e optimised,strict` runs the whole suite so, for pytest keeps the asserts of tests.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import golden
from tests.hostile import find_table

MODES = {
    "plain": [],
    "without asserts": ["-O"],
    "for developers": ["-X", "dev", "-W", "error"],
}

PROGRAM = """
import json, sys
from pathlib import Path
import onnxroot
from onnxroot._describe import describe

found, folder = [], Path(sys.argv[1])
for path in sorted(folder.glob("*.root")):
    try:
        with onnxroot.open(path) as model:
            shown = describe(model)
            found.append([path.name, len(model.to_bytes()), shown["sha256"]])
            for tensor in model.tensors.values():
                try:
                    found.append(tensor.numpy().tobytes().hex()[:99])
                except onnxroot.UnsupportedModelError as error:
                    found.append(str(error))
            model.save(folder / f"{path.stem}.{len(found)}.onnx")
    except onnxroot.OnnxRootError as error:
        found.append([path.name, type(error).__name__, str(error)])
    try:
        found.append(onnxroot.verify(path, tensors=True).problems)
    except onnxroot.OnnxRootError as error:
        found.append(str(error))
for number, model in enumerate(sys.argv[2:]):
    onnxroot.write(model, folder / "new.root", replace=True)
    onnxroot.copy(folder / "new.root", f"{folder / 'new.root'}:more/model")
    onnxroot.remove(f"{folder / 'new.root'}:more/model")
print(json.dumps(found))
"""


@pytest.mark.sweep
def test_modes_agree(tmp_path: Path) -> None:
    whole = golden("mlp_jet_tagger").with_name("mlp_jet_tagger.v1.root").read_bytes()
    damages = {
        "good": lambda data: data.extend(b""),
        "anchor": lambda data: data.__setitem__(find_table(data, "NodeProto").position + 9, 7),
        "version": lambda data: data.__setitem__(find_table(data, "NodeProto").position - 1, 9),
        "page": lambda data: data.__setitem__(len(data) // 2, data[len(data) // 2] ^ 1),
        "cut": lambda data: data.__delitem__(slice(len(data) // 2, None)),
    }
    answers = {}
    for mode, options in MODES.items():
        folder = tmp_path / "work"
        folder.mkdir()
        for name, damage in damages.items():
            data = bytearray(whole)
            damage(data)
            (folder / f"{name}.root").write_bytes(data)
        command = [sys.executable, *options, "-c", PROGRAM, folder, golden("external_data")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert not done.stderr
        answers[mode] = json.loads(done.stdout)
        folder.rename(tmp_path / mode.replace(" ", "_"))
    assert len(answers["plain"]) > 10
    for mode in MODES:
        assert answers[mode] == answers["plain"], mode


def test_no_module_asserts() -> None:
    """Ruff checks this too (S101); what `-O` would drop must not be a check."""
    package = Path(pytest.importorskip("onnxroot").__file__).parent
    lines = [
        f"{path.name}:{number}"
        for path in package.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.strip().startswith("assert ")
    ]
    assert lines == []
