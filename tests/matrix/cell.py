"""One cell of the compatibility matrix: what the packages that are installed here can do.

Usage::

    python -m tests.matrix.cell check FOLDER     check the golden models; write ROOT files there
    python -m tests.matrix.cell read FOLDER ...  read the ROOT files that other cells wrote

The last line of the output is JSON: versions, and for each capability how many golden models have
it, of how many, and what is wrong with the others.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onnxroot.errors import MissingDependencyError
from tests.golden import (
    GOLDEN_NAMES,
    RUNNABLE,
    WITH_SOURCE,
    TooOldError,
    check_round_trip,
    check_run,
    check_source,
    check_stored,
    roots_of,
)
from tests.matrix.programs import jsroot_answers, root_answers

PACKAGES = (
    "onnxroot",
    "uproot",
    "awkward",
    "numpy",
    "onnx",
    "protobuf",
    "onnxruntime",
    "ROOT",
    "torch",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "tf_keras",
    "tf2onnx",
    "scikit-learn",
    "skl2onnx",
    "xgboost-cpu",
    "lightgbm",
    "catboost",
    "onnxmltools",
)


def main(command: str, *folders: str) -> None:
    """Run a command and print what came of it."""
    if command == "check":
        print(json.dumps({"versions": versions(), "capabilities": check(Path(folders[0]))}))
    else:
        print(json.dumps({folder: read(Path(folder)) for folder in folders}))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter and are there."""
    there = {item.name.lower(): item.version for item in distributions()}
    found = {name: there[name.lower()] for name in PACKAGES if name.lower() in there}
    return {"python": platform.python_version(), **found}


def check(folder: Path) -> dict[str, Any]:
    """Return what came of each capability that the packages here allow."""
    folder.mkdir(parents=True, exist_ok=True)
    roots = {name: folder / f"{name}.root" for name in GOLDEN_NAMES}
    for root in roots.values():
        root.unlink(missing_ok=True)
    found = {
        "round trip": count(GOLDEN_NAMES, lambda name: check_round_trip(name, roots[name])),
        "stored files": count(GOLDEN_NAMES, check_all_stored),
    }
    if find_spec("onnxruntime"):
        found["runs"] = count(RUNNABLE, check_run)
        sources = count(WITH_SOURCE, check_source)
        if sources["total"]:
            found["sources"] = sources
    if find_spec("ROOT"):
        found["ROOT"] = count_answers(lambda: root_answers(roots))
    if find_spec("ROOT") and shutil.which("npm"):
        found["JSROOT"] = count_answers(lambda: jsroot_answers(roots, folder / "jsroot"))
    return found


def check_all_stored(name: str) -> str:
    """Read the ROOT file of every format version."""
    return ", ".join(filter(None, (check_stored(name, root) for root in roots_of(name))))


def read(folder: Path) -> dict[str, Any]:
    """Return what came of reading the files that another cell wrote."""
    return count(GOLDEN_NAMES, lambda name: check_stored(name, folder / f"{name}.root"))


def count(names: Iterable[str], check_one: Callable[[str], str]) -> dict[str, Any]:
    """Count the models that pass; those whose framework is not there, or too old, do not count."""
    passed, wrong, beyond = 0, {}, {}
    for name in names:
        try:
            fault = check_one(name)
        except MissingDependencyError:
            continue
        except TooOldError as error:
            beyond[name] = str(error)
            continue
        except Exception as error:  # noqa: BLE001  (whatever it is, it is what this looks for)
            fault = " ".join(f"{type(error).__name__}: {error}".split())
        passed += not fault
        if fault:
            wrong[name] = fault
    return {"passed": passed, "total": passed + len(wrong), "wrong": wrong, "beyond": beyond}


def count_answers(ask: Callable[[], dict[str, str]]) -> dict[str, Any]:
    """Count what another program says of each model; nothing, if it fails."""
    try:
        answers = ask()
    except Exception as error:  # noqa: BLE001  (see `count`)
        fault = " ".join(f"{type(error).__name__}: {error}".split())
        answers = dict.fromkeys(GOLDEN_NAMES, fault)
    return count(answers, answers.__getitem__)


if __name__ == "__main__":
    main(*sys.argv[1:])
