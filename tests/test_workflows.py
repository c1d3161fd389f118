"""The public workflows: they run what `tox` runs, and take no rights but those they need."""

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]
WORKFLOWS = {path.name: path.read_text() for path in (HERE / ".github/workflows").glob("*.yml")}

pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="the workflows are not there")


def test_they_run_what_tox_runs() -> None:
    tox = ConfigParser(interpolation=None)
    tox.read(HERE / "tox.ini")
    listed = re.search(r"environment:\n((?: +- \S+\n)+)", WORKFLOWS["test.yml"])
    assert listed
    assert re.findall(r"- (\S+)", listed[1]) == re.findall(r"[\w-]+", tox["tox"]["env_list"])
    assert "tox run --installpkg dist/*manylinux*.whl -m matrix" in WORKFLOWS["test.yml"]
    assert "uses: ./.github/workflows/test.yml" in WORKFLOWS["release.yml"]


def test_both_kinds_of_wheels_are_tested() -> None:
    """One with kernels, and one for the machines that there is none for."""
    text = WORKFLOWS["test.yml"]
    built, tested = text[: text.index("\n  tox:\n")], text[text.index("\n  tox:\n") :]
    assert "python -m cibuildwheel" in built
    assert 'ONNXROOT_KERNELS: "0"' in built
    assert "tox run --installpkg dist/*manylinux*.whl -e" in tested
    without = re.search(r"--installpkg dist/\*-none-any\.whl .*\n +env:\n +(.*)\n", tested)
    assert without
    assert without[1] == 'ONNXROOT_KERNELS: "0"'


def test_they_are_pinned_and_may_do_little() -> None:
    for name, text in WORKFLOWS.items():
        used = re.findall(r"uses: (\S+)", text)
        assert used, name
        for action in used:
            assert action.startswith("./") or re.search(r"@[0-9a-f]{40}$", action), action
        assert "\npermissions: {}\n" in text, name
        jobs = text[text.index("\njobs:\n") :]
        rights = re.findall(r"^    permissions:\n((?:      .+\n)+)", jobs, re.MULTILINE)
        assert len(rights) == len(re.findall(r"^  \w+:$", jobs, re.MULTILINE)), name
        found = {right.split(" #")[0].strip() for lines in rights for right in lines.splitlines()}
        assert found <= {"contents: read", "id-token: write"}, name
        assert ("id-token: write" in found) == (name == "release.yml")
        assert "secrets." not in text
