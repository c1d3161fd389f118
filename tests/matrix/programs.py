"""What ROOT and JSROOT make of the golden models' ROOT files; each in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import onnxroot
from tests.golden import golden, sha256

HERE = Path(__file__).resolve().parent

ROOT_PROGRAM = """
import hashlib, json, sys
import numpy as np
import ROOT
ROOT.gErrorIgnoreLevel = ROOT.kError
ROOT.gInterpreter.AddIncludePath(sys.argv[1])
assert ROOT.gInterpreter.Declare('#include "onnxroot.hxx"')
answers = {}
for name, (path, tables) in json.loads(sys.argv[2]).items():
    opened = {table: ROOT.RNTupleReader.Open("model/" + table, path) for table in tables}
    rows = {table: reader.GetNEntries() for table, reader in opened.items()}
    model = ROOT.onnxroot.Model(path, "model")
    onnx = np.empty(model.Manifest().fNBytes, np.uint8)
    model.SerializeTo(onnx, onnx.nbytes)
    answers[name] = [rows, hashlib.sha256(onnx).hexdigest()]
print(json.dumps(answers))
"""
"""Rows of each table, and the SHA-256 of what the C++ reader rebuilds."""

JSROOT = "jsroot@7.11.2"


def root_answers(roots: Mapping[str, Path]) -> dict[str, str]:
    """Return what is wrong when ROOT reads each file, and its C++ reader the model in it."""
    tables = {name: tables_of(root) for name, root in roots.items()}
    request = {name: (str(root), list(tables[name])) for name, root in roots.items()}
    command = [sys.executable, "-c", ROOT_PROGRAM, onnxroot.include_dir(), json.dumps(request)]
    answers = run(command)
    found = {}
    for name in roots:
        rows, digest = answers[name]
        wrong = [] if rows == tables[name] else ["other rows"]
        wrong += [] if digest == sha256(golden(name)) else ["other bytes"]
        found[name] = ", ".join(wrong)
    return found


def jsroot_answers(roots: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """Return what is wrong when JSROOT, installed with npm, reads each file's message tables."""
    folder.mkdir(exist_ok=True)
    shutil.copy(HERE.parent / "jsroot" / "dump.mjs", folder)
    npm = [shutil.which("npm"), "install", JSROOT, "--ignore-scripts", "--omit=optional"]
    subprocess.run(npm, cwd=folder, capture_output=True, timeout=600, check=True)
    found = {}
    for name, root in roots.items():
        tables = {t: n for t, n in tables_of(root).items() if not t.startswith("tensors/")}
        with onnxroot.open(root) as model:
            columns = {t: list(model._stored.reader(t).all_columns()) for t in tables}
        request = [[f"model/{table}", columns[table]] for table in tables]
        (folder / "tables.json").write_text(json.dumps(request))
        rows = run(["node", "dump.mjs", str(root), "tables.json"], cwd=folder)
        same = list(map(len, rows)) == list(tables.values())
        found[name] = "" if same else "other rows"
    return found


def tables_of(root: Path) -> dict[str, int]:
    """Return the number of rows of each table that the manifest lists."""
    with onnxroot.open(root) as model:
        return {name: info.n_rows for name, info in model.manifest.tables.items()}


def run(command: list[str], cwd: Path | None = None) -> object:
    """Run a program; return its output, which is JSON.

    Raises:
        RuntimeError: It failed; the message is the end of what it said.
    """
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    return json.loads(done.stdout.splitlines()[-1])
