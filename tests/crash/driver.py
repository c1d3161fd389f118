"""Change a ROOT file, and die at every write in turn; run by test_update.py.

Usage: driver.py CRASH.so FILE.root MODEL.onnx OTHER.onnx FOLDER OPERATIONS WAY...

CRASH.so is crash.c, preloaded. FILE.root holds the models ``models/a`` and ``models/b``, both
MODEL.onnx, and other objects. For each of the OPERATIONS (named with commas between), each way to
fail and each write, a copy of it suffers. WAYs are kill, part and full, as in crash.c, and leave.
FOLDER gets what is left, each content once. Prints JSON: by operation and way how many writes there
were, and what was left. The way leave kills too, but does not change the file again: somebody else
does.
"""

import ctypes
import hashlib
import json
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import onnxroot
from tests.layout import check_layout

WAYS = {"kill": 1, "part": 2, "full": 3, "leave": 1}
MOST = 500  # writes; an operation with more never ends

crash = ctypes.CDLL(sys.argv[1])
pristine, model, other, folder = map(Path, sys.argv[2:6])
OLD, NEW = model.read_bytes(), other.read_bytes()
seen: dict[tuple[str, str], tuple[str, str]] = {}

OPERATIONS = {
    # what is done, and which models are there if it was
    "add": (
        lambda path: onnxroot.write(NEW, f"{path}:models/new"),
        {"a": OLD, "b": OLD, "new": NEW},
    ),
    "add to top": (lambda path: onnxroot.write(NEW, f"{path}:new"), {"a": OLD, "b": OLD, "/": NEW}),
    "replace": (
        lambda path: onnxroot.write(NEW, f"{path}:models/a", replace=True),
        {"a": NEW, "b": OLD},
    ),
    "copy": (
        lambda path: onnxroot.copy(f"{path}:models/a", f"{path}:models/c"),
        {"a": OLD, "b": OLD, "c": OLD},
    ),
    "remove": (lambda path: onnxroot.remove(f"{path}:models/a"), {"b": OLD}),
}


def models_in(path: Path) -> dict[str, bytes]:
    """Read all models: by the last part of their directories, ``/`` for one at the top."""
    found = {}
    for name in onnxroot.list_models(path):
        with onnxroot.open(f"{path}:{name}") as stored:
            head, _, tail = name.rpartition("/")
            found[tail if head else "/"] = stored.to_bytes()
    return found


def run(name: str, way: str, at: int, path: Path) -> int:
    """Change the file in a child process, whose write number `at` fails; return its status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        crash.arm(os.fsencode(path), ctypes.c_long(at), WAYS[way])
        OPERATIONS[name][0](path)
        os._exit(1 if crash.counted() >= at else 0)  # 1: it went on all the same
    except OSError:
        os._exit(2)
    except BaseException:  # noqa: BLE001  (whatever it is, it is wrong)
        sys.excepthook(*sys.exc_info())
        os._exit(3)


def judge(name: str, path: Path, way: str, status: int) -> str:
    """Say what a file is after the failure, and after it was changed again."""
    if status not in ({signal.SIGKILL} if way != "full" else {0x100, 0x200}):
        return f"status {status:#x}"
    content = path.read_bytes()
    case = name, hashlib.sha256(content).hexdigest()[:16]
    if case not in seen:  # failures of different ways leave the same files
        (folder / f"{case[1]}.root").write_bytes(content)
        seen[case] = examine(name, path, again=way != "leave")
    outcome, fault = seen[case]
    if way == "full" and outcome != ("before" if status == 0x200 else "after"):
        outcome = f"{outcome}, although the error said otherwise"
    if way == "full" and status == 0x200 and content != pristine.read_bytes():
        outcome = "changed by an operation that failed"
    return fault or outcome


def examine(name: str, path: Path, *, again: bool) -> tuple[str, str]:
    """Look at a file, change it again, look once more; return what it was, and what is wrong."""
    before, after = {"a": OLD, "b": OLD}, OPERATIONS[name][1]
    found = models_in(path)
    outcome = "before" if found == before else "after" if found == after else "damaged"
    if not again:
        return outcome, ""
    try:
        check_layout(path)
        onnxroot.write(OLD, f"{path}:models/next")  # another change to the same directory
        check_layout(path)
        if outcome == "before":
            OPERATIONS[name][0](path)
            check_layout(path)
    except AssertionError as error:
        return outcome, f"damaged: {error}"
    if models_in(path) != {**after, "next": OLD}:
        return outcome, "damaged by the next change"
    return outcome, ""


def main() -> None:
    """Let every operation fail in every way at every write."""
    results = {}
    path = folder / "work.root"
    for name in sys.argv[6].split(","):
        operation, _ = OPERATIONS[name]
        shutil.copy(pristine, path)
        operation(path)  # whatever is imported late is imported now
        for way in sys.argv[7:]:
            outcomes: Counter[str] = Counter()
            for at in range(1, MOST):
                shutil.copy(pristine, path)
                status = run(name, way, at, path)
                if status == 0:
                    break
                outcomes[judge(name, path, way, status)] += 1
            results[f"{name}, {way}"] = outcomes
    path.unlink()
    print(json.dumps(results))


main()
