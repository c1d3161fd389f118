"""Compile C++ programs against the header of onnxroot and the ROOT of the wheel."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

import onnxroot

FOLDER = Path(__file__).parent / "cpp"
INCLUDE = Path(onnxroot.__file__).parent / "include"
HEADERS = sorted(path.relative_to(INCLUDE).as_posix() for path in INCLUDE.rglob("*.hxx"))

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")

needs_compiler = [
    pytest.mark.root,
    pytest.mark.skipif(
        find_spec("ROOT") is None, reason="ROOT is not installed: it has no wheel for this Python"
    ),
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed"),
]


def root_folder():
    """Return the folder of the wheel that ROOTSYS would name; importing it takes seconds."""
    return Path(find_spec("ROOT").origin).parent


def run(*command, text="", timeout=600, environment=None):
    """Run a program, whose failures are the caller's to judge."""
    return subprocess.run(
        list(map(str, command)),
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def output_of(*command, **options):
    """Run a program that has to succeed, and return what it prints; a crash prints a lot."""
    done = run(*command, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def compile_program(source, program, *options):
    """Compile and link a program; a warning is an error."""
    root = root_folder()
    output_of(
        *("g++", "-std=c++17", *WARNINGS, *options, f"-I{INCLUDE}", f"-isystem{root}/include"),
        *(source, "-o", program),
        *(f"-L{root}/lib", f"-Wl,-rpath,{root}/lib", "-lCore", "-lRIO"),
    )
    return program
