"""What is measured: one task in one fresh interpreter, as ``python tasks.py NAME ARGUMENT ...``.

A task is a generator. Up to its first ``yield`` it imports what it needs, and then waits for a
line on standard input. What it does up to its second ``yield`` is measured. What it yields last,
if anything, is its result: a check of what it did, off the clock.
"""

import json
import pkgutil
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from typing import Any

FRAMEWORKS = set("catboost jax keras lightgbm onnxruntime sklearn tensorflow torch xgboost".split())


def import_onnxroot() -> Iterator[Any]:
    """Import onnxroot; the result names the ML frameworks that came along."""
    yield
    import_module("onnxroot")
    yield
    yield sorted(FRAMEWORKS & set(sys.modules))


def load_and_save(source: str, target: str) -> Iterator[Any]:
    """Read and write an ONNX file with onnx itself."""
    onnx = import_module("onnx")
    yield
    onnx.save(onnx.load(source), target)
    yield


def load_tensor(source: str, name: str) -> Iterator[Any]:
    """Read an ONNX file, which is what onnx needs to give one of its tensors."""
    onnx = import_module("onnx")
    yield
    model = onnx.load(source)
    yield
    yield next(sha256(t.raw_data).hexdigest() for t in model.graph.initializer if t.name == name)


def write(source: str, address: str) -> Iterator[Any]:
    """Write an ONNX file to a ROOT file, proof included."""
    onnxroot = _all_of_onnxroot()
    yield
    onnxroot.write(source, address)
    yield


def read(address: str, target: str) -> Iterator[Any]:
    """Read a model from a ROOT file into an ONNX file."""
    onnxroot = _all_of_onnxroot()
    yield
    with onnxroot.open(address) as model:
        model.save(target)
    yield


def read_tensor(address: str, name: str) -> Iterator[Any]:
    """Open a model in a ROOT file and read one tensor."""
    onnxroot = _all_of_onnxroot()
    yield
    with onnxroot.open(address) as model:
        values = model.tensors[name].numpy()
    yield
    yield sha256(values).hexdigest()


def compare(old: str, new: str) -> Iterator[Any]:
    """Compare two models."""
    onnxroot = _all_of_onnxroot()
    yield
    found = onnxroot.diff(old, new)
    yield
    yield found.to_json()


def _all_of_onnxroot() -> Any:
    """Import onnxroot with the parts and packages that it imports when they are needed."""
    package = import_module("onnxroot")
    parts = [part.name for part in pkgutil.iter_modules(package.__path__, "onnxroot.")]
    for name in ["onnx", "ml_dtypes", *parts]:
        if name != "onnxroot.__main__":
            import_module(name)
    return package


TASKS = (import_onnxroot, load_and_save, load_tensor, write, read, read_tensor, compare)

if __name__ == "__main__":
    task = {task.__name__: task for task in TASKS}[sys.argv[1]](*sys.argv[2:])
    next(task)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    next(task)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "result": next(task, None)}), flush=True)
