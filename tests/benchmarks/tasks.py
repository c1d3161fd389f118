"""What is measured: one task in one fresh interpreter, as ``python tasks.py NAME ARGUMENT ...``.

A task is a generator. Up to its first ``yield`` it imports what it needs, and then waits for a
line on standard input. What it does up to its second ``yield`` is measured. What it yields last,
if anything, is its result: a check of what it did, off the clock.
"""

import json
import os
import pkgutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

FRAMEWORKS = set("catboost jax keras lightgbm onnxruntime sklearn tensorflow torch xgboost".split())


def import_onnxroot() -> Iterator[Any]:
    """Import onnxroot; the result names the ML frameworks that came along."""
    yield
    import_module("onnxroot")
    yield
    yield sorted(FRAMEWORKS & set(sys.modules))


# --- onnx -------------------------------------------------------------------------------------


def onnx_both(source: str, target: str) -> Iterator[Any]:
    """Read and write: the measure of all others; the result is the time of reading."""
    onnx = import_module("onnx")
    beside = {}
    if Path(source).with_suffix(".bin").exists():
        name = Path(target).with_suffix(".bin").name
        beside = {"save_as_external_data": True, "location": name}
    yield
    start = time.perf_counter()
    model = onnx.load(source)
    seconds = time.perf_counter() - start
    onnx.save(model, target, **beside)
    yield
    yield seconds


def onnx_tensor(source: str, name: str) -> Iterator[Any]:
    """Read an ONNX file, which is what onnx needs to give one of its tensors."""
    onnx = import_module("onnx")
    yield
    model = onnx.load(source)
    yield
    yield next(sha256(t.raw_data).hexdigest() for t in model.graph.initializer if t.name == name)


# --- onnxroot ---------------------------------------------------------------------------------


def onnxroot_write(source: str, target: str, compression: str) -> Iterator[Any]:
    """Write an ONNX file to a ROOT file, proof included."""
    onnxroot = _all_of_onnxroot()
    yield
    onnxroot.write(source, f"{target}:models/model", compression=compression)
    yield


def onnxroot_read(source: str, target: str) -> Iterator[Any]:
    """Read a model from a ROOT file into an ONNX file."""
    onnxroot = _all_of_onnxroot()
    yield
    with onnxroot.open(source) as model:
        model.save(target)
    yield


def onnxroot_tensor(source: str, name: str) -> Iterator[Any]:
    """Open a model in a ROOT file and read one tensor."""
    onnxroot = _all_of_onnxroot()
    yield
    with onnxroot.open(source) as model:
        values = model.tensors[name].numpy()
    yield
    yield sha256(values).hexdigest()


def onnxroot_add(source: str, address: str) -> Iterator[Any]:
    """Write an ONNX file into a ROOT file that holds other things."""
    onnxroot = _all_of_onnxroot()
    yield
    onnxroot.write(source, address)
    yield


def onnxroot_diff(old: str, new: str) -> Iterator[Any]:
    """Compare two models."""
    onnxroot = _all_of_onnxroot()
    yield
    found = onnxroot.diff(old, new)
    yield
    yield found.to_json()


# --- what a user would pick instead -----------------------------------------------------------


def blob_write(source: str, target: str) -> Iterator[Any]:
    """Write the bytes of an ONNX file into a ROOT file with PyROOT."""
    root = _root()
    yield
    file = root.TFile.Open(target, "RECREATE")
    file.WriteObject(root.BytesOf(source), "model")
    file.Close()
    yield


def blob_read(source: str, target: str) -> Iterator[Any]:
    """Read those bytes, and write them into a file."""
    root = _root()
    yield
    file = root.TFile.Open(source)
    root.Save(file.Get("model"), target)
    file.Close()
    yield


def safetensors_write(source: str, target: str) -> Iterator[Any]:
    """Write the weights alone, which are in memory."""
    onnx, safetensors = import_module("onnx"), import_module("safetensors.numpy")
    initializers = onnx.load(source).graph.initializer
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in initializers}
    yield
    safetensors.save_file(arrays, target)
    yield


def safetensors_read(source: str, target: str) -> Iterator[Any]:
    """Read the weights into memory."""
    del target
    safetensors = import_module("safetensors.numpy")
    yield
    arrays = safetensors.load_file(source)
    yield
    yield len(arrays)


def safetensors_tensor(source: str, name: str) -> Iterator[Any]:
    """Open the file and read one tensor."""
    safetensors = import_module("safetensors")
    yield
    with safetensors.safe_open(source, "np") as file:
        values = file.get_tensor(name)
    yield
    yield sha256(values).hexdigest()


def cp_write(source: str, target: str) -> Iterator[Any]:
    """Copy the file, and the one beside it."""
    yield
    for suffix in (".onnx", ".bin"):
        beside = Path(source).with_suffix(suffix)
        if beside.exists():
            subprocess.run(["cp", beside, Path(target).with_suffix(suffix)], check=True)
    yield


BLOB = """
#include <fstream>
std::vector<char> BytesOf(const char *path)
{
   std::ifstream in(path, std::ios::binary | std::ios::ate);
   std::vector<char> bytes(in.tellg());
   in.seekg(0).read(bytes.data(), bytes.size());
   return bytes;
}
void Save(const std::vector<char> &bytes, const char *path)
{
   std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
}
"""


def _root() -> Any:
    """Import PyROOT, which can't make a ``std::vector<char>`` of bytes by itself."""
    warnings.simplefilter("ignore")  # the wheel says that it is new
    root = import_module("ROOT")
    root.gInterpreter.Declare(BLOB)
    root.Save(root.BytesOf(__file__), os.devnull)  # compiles them
    return root


def _all_of_onnxroot() -> Any:
    """Import onnxroot with the parts and packages that it imports when they are needed."""
    package = import_module("onnxroot")
    parts = [part.name for part in pkgutil.iter_modules(package.__path__, "onnxroot.")]
    for name in ["onnx", "ml_dtypes", *parts]:
        if name != "onnxroot.__main__":
            import_module(name)
    return package


if __name__ == "__main__":
    task = globals()[sys.argv[1]](*sys.argv[2:])
    next(task)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    next(task)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "result": next(task, None)}), flush=True)
