"""Compile C++ programs against the header of onnxroot and the ROOT of the wheel."""

import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import uproot
import xxhash

import onnxroot

FOLDER = Path(__file__).parent / "cpp"
INCLUDE = Path(onnxroot.__file__).parent / "include"
HEADERS = sorted(path.relative_to(INCLUDE).as_posix() for path in INCLUDE.rglob("*.hxx"))

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")

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


def compile_program(source, program, *options, libraries=()):
    """Compile and link a program; a warning is an error."""
    root = root_folder()
    output_of(
        *("g++", "-std=c++17", *WARNINGS, *options, f"-I{INCLUDE}", f"-isystem{root}/include"),
        *(FOLDER / source, "-o", program),
        *(f"-L{root}/lib", f"-Wl,-rpath,{root}/lib", "-lCore", "-lRIO", *libraries),
    )
    return program


def forge(path, directory, manifest, *, sealed=True):
    """Replace the manifest of a model; `sealed` gives it the digest that it ought to have."""
    if sealed:
        blank = manifest.replace(json.loads(manifest)["digest"], "0" * 16)
        manifest = blank.replace("0" * 16, xxhash.xxh64_hexdigest(blank.encode()), 1)
    with uproot.update(path) as file:
        del file[f"{directory}/manifest"]
        file[f"{directory}/manifest"] = manifest


class Probe:
    """The program in `cpp/probe.cxx`, which answers many commands; a context manager."""

    def __init__(self, program, **environment):
        self.program = program
        self._environment = {**os.environ, **environment}
        self._start()

    def _start(self):
        self._process = subprocess.Popen(
            [self.program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            text=True,
            errors="replace",
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def ask(self, *words):
        """Give a command; return the lines of its answer.

        The last is "done", "Error ...", "exception ..." or, where the program died, "crash ...".
        """
        self._process.stdin.write("\t".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        lines = []
        for line in self._process.stdout:
            lines.append(line.rstrip("\n"))
            if lines[-1].startswith(("done", "Error ", "exception ")):
                return lines
        code = self._process.wait()
        self._process.stdout.close()
        self._start()
        return [*lines, f"crash with code {code}"]
