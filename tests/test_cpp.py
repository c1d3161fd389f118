"""The parts of the C++ reader, compiled with g++ against real ROOT."""

import hashlib
import subprocess

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
)
from tests.samples import golden

pytestmark = needs_compiler


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
