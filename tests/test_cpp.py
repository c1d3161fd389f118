"""The C++ reader rebuilds every golden model, compiled with g++ against real ROOT."""

import hashlib
import subprocess

import numpy as np
import pytest
import xxhash

import onnxroot
from tests.cxx import (
    FOLDER,
    HEADERS,
    INCLUDE,
    WARNINGS,
    compile_program,
    needs_compiler,
    output_of,
    root_folder,
)
from tests.samples import GOLDEN_NAMES, golden

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """Compile the program that calls the reader."""
    return compile_program(FOLDER / "probe.cxx", tmp_path_factory.mktemp("cpp") / "probe", "-O1")


def test_headers_are_short():
    lengths = {name: (INCLUDE / name).read_text().count("\n") for name in HEADERS}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


@pytest.mark.parametrize("header", HEADERS)
def test_each_header_stands_alone(header, tmp_path):
    source = tmp_path / "alone.cxx"
    source.write_text(f'#include "{header}"\n#include "{header}"\n')
    options = [f"-I{INCLUDE}", f"-isystem{root_folder()}/include"]
    output_of("g++", "-std=c++17", "-fsyntax-only", *WARNINGS, *options, source)


@pytest.mark.parametrize("option", ["-O2", "-DONNXROOT_PORTABLE"])
def test_digests(option, tmp_path):
    """All lengths up to past a block of XXH3, with the processor's instructions and without."""
    data = np.random.default_rng(1).bytes(2100)
    program = compile_program(FOLDER / "digests.cxx", tmp_path / "digests", option)
    done = subprocess.run([program], input=data, capture_output=True, check=True)
    heads = [data[:n] for n in range(len(data) + 1)]
    assert done.stdout.decode().splitlines() == [
        f"{xxhash.xxh64_hexdigest(head)} {xxhash.xxh3_64_hexdigest(head)} "
        f"{hashlib.sha256(head).hexdigest()}"
        for head in heads
    ]


def test_every_golden_model_is_rebuilt(probe, tmp_path):
    path = tmp_path / "golden.root"
    for name in GOLDEN_NAMES:
        onnxroot.write(golden(name), f"{path}:models/{name}")
    lines = output_of(probe, "all", path).splitlines()
    assert dict(line.split("|") for line in lines) == {
        f"models/{name}": hashlib.sha256(golden(name).read_bytes()).hexdigest()
        for name in GOLDEN_NAMES
    }
