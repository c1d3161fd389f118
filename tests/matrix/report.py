"""The end of ``tox -m matrix``: one table of cells and what each can do, in three forms.

Usage, in the environment ``report`` of tox::

    python -m tests.matrix.report .tox CELL ...

Each cell's own Python checks the golden models and writes ROOT files; then each reads the files
that all the others wrote. The table is printed, and written to ``.tox/matrix.json`` and, if no cell
was left out that could be made, to ``golden_models/COMPATIBILITY.md``. Exit code 1: a cell can't do
what it should.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
PAGE = HERE / "golden_models" / "COMPATIBILITY.md"

CAPABILITIES = {
    "round trip": "ONNX to ROOT to ONNX, identical",
    "stored files": "the ROOT files of every format version, to identical ONNX files",
    "reads others": "the ROOT files that the other cells wrote, to identical ONNX files",
    "runs": "onnxruntime on the restored model, bits as on the original, numbers as the framework",
    "sources": "the framework's own file, converted with this cell's versions: the same outputs",
    "ROOT": "every table in RNTupleReader, and the ONNX bytes through the C++ reader",
    "JSROOT": "every message table under Node",
}

LEFT_OUT = "it was not asked for, or could not be made"

Cell = dict[str, Any]


def main(environments: str, *cells_of_tox: str) -> int:
    """Ask all cells, print and write the table; return the exit code."""
    folder, names = Path(environments).resolve(), [name.strip(",") for name in cells_of_tox]
    pythons = {name: folder / name / "bin" / "python" for name in names}
    absent = {name: why_absent(name) for name, python in pythons.items() if not python.exists()}
    there = [name for name in names if name not in absent]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        cells = dict(
            zip(there, pool.map(lambda n: ask_one(n, pythons[n], folder), there), strict=True)
        )
        list(pool.map(lambda n: cross(n, pythons[n], cells, folder), there))
    found = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{platform.system()} {platform.machine()}",
        "cells": cells,
        "absent": absent,
    }
    folder.mkdir(exist_ok=True)
    (folder / "matrix.json").write_text(json.dumps(found, indent=2) + "\n")
    print(text(found))
    if any(reason.startswith(LEFT_OUT) for reason in absent.values()):
        print(f"{PAGE.name} stays as it is: it takes all cells, `tox -m matrix`")
    else:
        PAGE.write_text(markdown(found), encoding="utf-8", newline="\n")
    return 1 if any(faults(cells)) else 0


def ask_one(name: str, python: Path, folder: Path) -> Cell:
    """Let a cell check the golden models."""
    return ask(python, "check", folder / "matrix" / name)


def cross(name: str, python: Path, cells: dict[str, Cell], folder: Path) -> None:
    """Let a cell read what the others wrote, and add that to what it can do."""
    others = [other for other in cells if other != name and "error" not in cells[other]]
    if "error" in cells[name] or not others:
        return
    answers = ask(python, "read", *(folder / "matrix" / other for other in others))
    if "error" in answers:
        cells[name]["error"] = answers["error"]
        return
    wrong = {
        f"{Path(other).name}: {model}": fault
        for other, answer in answers.items()
        for model, fault in answer["wrong"].items()
    }
    cells[name]["capabilities"]["reads others"] = {
        key: sum(answer[key] for answer in answers.values()) for key in ("passed", "total")
    } | {"wrong": wrong}


def ask(python: Path, *arguments: str | Path) -> Cell:
    """Run `cell` in an environment of tox; what it said, or the end of its error."""
    done = subprocess.run(
        [python, "-m", "tests.matrix.cell", *map(str, arguments)],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"error": " ".join(done.stderr.split())[-300:] or f"exit code {done.returncode}"}
    answer: Cell = json.loads(done.stdout.splitlines()[-1])
    return answer


def why_absent(name: str) -> str:
    """Return why tox has made no environment for a cell."""
    python = re.match(r"py3(\d+)", name)
    if python and shutil.which(f"python3.{python[1]}") is None:
        return f"there is no python3.{python[1]} on this machine"
    return f"{LEFT_OUT}: tox -e {name}"


def notes(cells: dict[str, Cell]) -> Iterable[str]:
    """Yield what is newer than a cell, and so not counted there, a line each."""
    for name, cell in cells.items():
        for capability, answer in cell.get("capabilities", {}).items():
            by_reason: dict[str, list[str]] = {}
            for model, reason in answer.get("beyond", {}).items():
                by_reason.setdefault(reason, []).append(model)
            for reason, models in by_reason.items():
                yield f"{name}, {capability}, without {', '.join(models)}: {reason}"


def faults(cells: dict[str, Cell]) -> Iterable[str]:
    """Yield what is wrong, a line each."""
    for name, cell in cells.items():
        if "error" in cell:
            yield f"{name}: {cell['error']}"
        for capability, answer in cell.get("capabilities", {}).items():
            yield from (f"{name}, {capability}, {m}: {f}" for m, f in answer["wrong"].items())


# --- the table -----------------------------------------------------------------------------------


def rows_of(found: dict[str, Any]) -> list[list[str]]:
    """Return the table, its head first."""
    rows = [["cell", "Python", "onnx", "protobuf", "uproot", *CAPABILITIES]]
    for name, cell in found["cells"].items():
        versions, can = cell.get("versions", {}), cell.get("capabilities", {})
        counts = [_count(can[key]) if key in can else "" for key in CAPABILITIES]
        packages = [versions.get(key, "") for key in ("python", "onnx", "protobuf", "uproot")]
        rows.append([name, *packages, *counts])
    return rows


def _count(answer: dict[str, Any]) -> str:
    return f"{answer['passed']}/{answer['total']}"


def text(found: dict[str, Any]) -> str:
    """Return the table for a terminal, then what is absent and what is wrong."""
    rows = rows_of(found)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines += [f"skipped {name}: {reason}" for name, reason in found["absent"].items()]
    return "\n".join([*lines, *notes(found["cells"]), *faults(found["cells"])])


def markdown(found: dict[str, Any]) -> str:
    """Return COMPATIBILITY.md."""
    head, *rows = rows_of(found)
    lines = [
        "# Compatibility",
        "",
        f"What `tox -m matrix` found on {found['date']} ({found['machine']}). It writes this page;",
        "the numbers are golden models that pass, of those that there are.",
        "",
        *(f"- **{name}**: {what}." for name, what in CAPABILITIES.items()),
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        *(f"- {name} was skipped: {reason}." for name, reason in found["absent"].items()),
        *(f"- {note}." for note in notes(found["cells"])),
        *(f"- Wrong: {fault}" for fault in faults(found["cells"])),
        "",
        "## Versions",
        "",
    ]
    for name, cell in found["cells"].items():
        versions = ", ".join(f"{key} {value}" for key, value in cell.get("versions", {}).items())
        lines.append(f"- {name}: {versions or cell['error']}")
    return sealed(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n")


def sealed(page: str) -> str:
    """Return a page with its digest at the end: nobody writes it but this program."""
    digest = hashlib.sha256(page.encode()).hexdigest()
    return f"{page}\n<!-- SHA-256 of what is above this line and the empty one: {digest} -->\n"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
