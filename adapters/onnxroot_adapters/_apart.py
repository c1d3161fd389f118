"""Conversions in a process of their own: of files that some frameworks crash on, if they lie.

CatBoost and TensorFlow Lite read and write wherever a file's numbers lead them, as XGBoost does in
a file of skops, and it takes an implementation of their formats to tell where that is. So another
process opens such a file, converts it and hands back what came of it; if it dies, we say so.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import FormatError, OnnxRootError

__all__ = ["convert_apart"]

_TASK, _RESULT = "task", "result"

_PROGRAM = """
import sys
sys.path[:] = {path!r}
from onnxroot_adapters._apart import _work
_work(sys.argv[1])
"""
"""Modules are looked for where this process does, and not in the current folder."""


def convert_apart(
    convert: Callable[[Path, Options], Conversion], path: Path, options: Options, framework: str
) -> Conversion:
    """Call a function in a process of its own.

    Args:
        convert: A function of a module.
        path: Its first argument, the file.
        options: Its second.
        framework: Its name, for messages.

    Returns:
        What it returns.

    Raises:
        FormatError: The process died.
        OnnxRootError: The function raised it.
    """
    with TemporaryDirectory(prefix="onnxroot-") as folder:
        task = (convert.__module__, convert.__qualname__, path, options)
        Path(folder, _TASK).write_bytes(pickle.dumps(task))
        done = subprocess.run(  # noqa: S603  (what it runs is ours)
            [sys.executable, "-c", _PROGRAM.format(path=list(map(str, sys.path))), folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        result = Path(folder, _RESULT)
        if done.returncode or not result.exists():
            raise FormatError(
                f"{path}: {framework} can't read this file, and {_end_of(done)}; it is damaged, or "
                "was made to do that. Nothing was converted"
            )
        found: Conversion | OnnxRootError = pickle.loads(result.read_bytes())  # noqa: S301  (ours)
    if isinstance(found, OnnxRootError):
        raise found
    return found


def _end_of(done: subprocess.CompletedProcess[bytes]) -> str:
    """Say how a process ended that should not have."""
    if done.returncode < 0:
        return f"died of {signal.Signals(-done.returncode).name}"
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
    return f"ended with status {done.returncode}" + (f" ({last})" if last else "")


def _work(folder: str) -> None:
    """Do what `convert_apart` asks for, in the other process."""
    task = Path(folder, _TASK).read_bytes()
    module, name, path, options = pickle.loads(task)  # noqa: S301  (our own)
    found: Conversion | OnnxRootError
    try:
        found = getattr(import_module(module), name)(path, options)
    except OnnxRootError as error:
        found = error
    Path(folder, _RESULT).write_bytes(pickle.dumps(found))
