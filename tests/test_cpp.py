"""The parts of the C++ reader, compiled with g++ against real ROOT."""

import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xxhash

import onnxroot
from tests.cxx import (
    HEADERS,
    INCLUDE,
    WARNINGS,
    compile_program,
    needs_compiler,
    output_of,
    root_folder,
    run,
)
from tests.golden import golden

pytestmark = needs_compiler


def test_headers_are_short():
    """Each is of a size to be read in one go."""
    lengths = {name: (INCLUDE / name).read_text().count("\n") for name in HEADERS}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


@pytest.mark.sweep
def test_each_header_stands_alone(tmp_path):
    """And may be included twice."""

    def compile_alone(header):
        source = tmp_path / f"{header.replace('/', '_')}.cxx"
        source.write_text(f'#include "{header}"\n' * 2)
        options = [f"-I{INCLUDE}", f"-isystem{root_folder()}/include"]
        return run("g++", "-std=c++17", "-fsyntax-only", *WARNINGS, *options, source).stderr

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = dict(zip(HEADERS, pool.map(compile_alone, HEADERS), strict=True))
    assert {header: text[:1000] for header, text in complaints.items() if text} == {}
    assert len(HEADERS) > 20


@pytest.mark.parametrize("option", ["-O2", "-DONNXROOT_PORTABLE"])
def test_digests(option, tmp_path):
    """All lengths up to past a block of XXH3, with the processor's instructions and without."""
    data = np.random.default_rng(1).bytes(2100)
    program = compile_program("digests.cxx", tmp_path / "digests", option)
    done = subprocess.run([program], input=data, capture_output=True, check=True)
    heads = [data[:n] for n in range(len(data) + 1)]
    assert done.stdout.decode().splitlines() == [
        f"{xxhash.xxh64_hexdigest(head)} {xxhash.xxh3_64_hexdigest(head)} "
        f"{hashlib.sha256(head).hexdigest()}"
        for head in heads
    ]


def test_threads(tmp_path):
    """Models in several threads at once, under the sanitizer for races."""
    path = tmp_path / "model.root"
    onnxroot.write(golden("external_data"), f"{path}:m")
    program = compile_program("threads.cxx", tmp_path / "threads", "-g", "-fsanitize=thread")
    assert output_of(program, path, "m") == "40 equal, 40 refused\n"
