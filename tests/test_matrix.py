"""The report of the matrix: what a cell can't do is counted, named, and fails."""

import json
import re
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.golden import GOLDEN_FOLDER, GOLDEN_NAMES
from tests.matrix import cell, report


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """Let the report write its page elsewhere; the cell ``here`` is the Python that tests."""
    (tmp_path / "golden_models").mkdir()
    monkeypatch.setattr(report, "PAGE", tmp_path / "golden_models" / "COMPATIBILITY.md")
    python = tmp_path / "tox" / "here" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return tmp_path


def answer(passed, wrong=()):
    return {"passed": passed, "total": passed + len(wrong), "wrong": dict(wrong)}


def test_a_cell_is_counted_and_an_absent_one_named(pages, monkeypatch, capsys):
    few = dict.fromkeys(GOLDEN_NAMES[:3])
    monkeypatch.setattr(report, "ask", lambda _python, *arguments: ask(*arguments))

    def ask(command, *folders):
        if command == "read":
            return {str(folder): answer(3) for folder in folders}
        found = {"round trip": cell.count(few, lambda _: ""), "stored files": answer(3)}
        return {"versions": {"python": "3.11.7", "onnx": "1.23.2"}, "capabilities": found}

    page = pages / "golden_models" / "COMPATIBILITY.md"
    assert report.main(str(pages / "tox"), "here,", "py399,", "sklearn") == 0
    shown = capsys.readouterr().out
    assert "here  3.11.7  1.23.2" in shown
    assert "3/3" in shown
    assert "skipped py399: there is no python3.99 on this machine" in shown
    assert "skipped sklearn: it was not asked for, or could not be made: tox -e sklearn" in shown
    assert "COMPATIBILITY.md stays as it is: it takes all cells" in shown
    assert not page.exists()
    assert report.main(str(pages / "tox"), "here,", "py399") == 0
    assert "| here | 3.11.7 | 1.23.2 |" in page.read_text()
    assert "py399 was skipped: there is no python3.99" in page.read_text()
    assert json.loads((pages / "tox" / "matrix.json").read_text())["cells"].keys() == {"here"}


def test_a_cell_that_fails_is_named_and_the_report_fails(pages, capsys, tmp_path):
    """The real thing, with a ROOT file that was cut where another cell reads it."""
    few = [name for name in GOLDEN_NAMES if name in {"control_flow", "functions"}]
    folder = tmp_path / "files"
    folder.mkdir()
    for name in few:
        data = Path(GOLDEN_FOLDER, name, f"{name}.v1.root").read_bytes()
        kept = len(data) // 2 if name == "functions" else len(data)
        (folder / f"{name}.root").write_bytes(data[:kept])
    found = cell.count(few, lambda name: cell.check_stored(name, folder / f"{name}.root"))
    assert (found["passed"], found["total"], list(found["wrong"])) == (1, 2, ["functions"])
    cells = {"here": {"versions": {}, "capabilities": {"reads others": found}}}
    (fault,) = report.faults(cells)
    assert fault.startswith("here, reads others, functions: ")
    assert "1/2" in report.text({"cells": cells, "absent": {}})
    assert report.main(str(pages / "none"), "here") == 0
    python = pages / "tox" / "here" / "bin" / "python"
    python.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    capsys.readouterr()
    assert report.main(str(pages / "tox"), "here") == 1
    assert "here: broken" in capsys.readouterr().out


def test_the_page_is_as_it_was_written():
    """It has all cells of tox.ini, each with all the models there were; and nobody touched it."""
    page = (GOLDEN_FOLDER / "COMPATIBILITY.md").read_bytes().decode()
    content = page[: page.rindex("\n<!-- SHA-256")]
    assert report.sealed(content) == page, "run `tox -m matrix`, or restore it"
    rows = [line.strip("| ").split(" | ") for line in content.splitlines() if line.startswith("| ")]
    assert rows[0][5:] == list(report.CAPABILITIES)
    skipped = re.findall(r"^- (\S+) was skipped: there is no python", content, re.MULTILINE)
    tox = ConfigParser(interpolation=None)
    tox.read(GOLDEN_FOLDER.parent / "tox.ini")
    kinds = re.findall(r"\[matrix\](\w+)\}", tox["matrix"]["cells"])
    cells = [name for kind in kinds for name in tox["matrix"][kind].replace(",", " ").split()]
    assert sorted([*(row[0] for row in rows[1:]), *skipped]) == sorted(cells)
    total = int(rows[1][5].split("/")[1])
    others = total * (len(rows) - 2)
    assert 30 <= total <= len(GOLDEN_NAMES)
    for row in rows[1:]:
        assert row[5:8] == [f"{total}/{total}", f"{total}/{total}", f"{others}/{others}"], row[0]
