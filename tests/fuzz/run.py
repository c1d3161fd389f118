"""Fuzz every target for a while, from a corpus of golden models; fail on whatever is found.

`python -m tests.fuzz.run [--seconds N] [--only TARGET] [--findings FOLDER]`. What is found lies in
the folder; `python -m tests.fuzz.fuzz TARGET FILE` shows it again. It becomes a test.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.targets import TARGETS, seeds

EXECUTED = re.compile(r"^(\d+) runs$|stat::number_of_executed_units: (\d+)", re.MULTILINE)
COVERED = re.compile(r" cov: (\d+) ft: (\d+)")
CPP = "cpp"
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # of ROOT's there are many
MOST_MB = 2000  # most of it takes what finds the faults; one input's memory is a test's to judge
SLOWEST = 20  # seconds for one input, on a busy machine
ROUND = 20_000  # runs of one process: atheris 3.0 keeps 15 kB for each, of our code or not


def fuzz(name: str, seconds: int, findings: Path) -> bool:
    """Fuzz a target; return whether nothing was found."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(seeds("root" if name == CPP else name)):
            (corpus / f"seed{number}").write_bytes(seed)
        program = [sys.executable, "-m", "tests.fuzz.fuzz", name]
        if name == CPP:
            if not find_spec("ROOT") or not (shutil.which("clang++") or shutil.which("g++")):
                print(f"{name}: left out, for there is no ROOT or no compiler")
                return True
            program = [str(Path(folder, "fuzz"))]
            compile_with_sanitizers(Path(program[0]))
        n_runs, covered, code = 0, "", 0
        end = time.monotonic() + seconds
        while code == 0 and (left := int(end - time.monotonic())) > 0:
            code, output = one_round(name, program, corpus, left, findings)
            if code and "ERROR: libFuzzer: timeout" in output and passes(program, output):
                code = 0
            n_runs += sum(int(n) for found in EXECUTED.findall(output) for n in found if n)
            covered = "".join(f", {c} edges, {f} features" for c, f in COVERED.findall(output)[-1:])
    print(f"{name}: {n_runs} runs in {seconds} s, exit code {code}{covered}", flush=True)
    if code:
        print(output[-6000:])
    return not code


def one_round(
    name: str, program: list[str], corpus: Path, seconds: int, findings: Path
) -> tuple[int, str]:
    """Fuzz until the time is up, or a round is over; return the exit code and what was said."""
    options = [
        *(f"-max_total_time={seconds}", f"-rss_limit_mb={MOST_MB}", f"-timeout={SLOWEST}"),
        *(f"-artifact_prefix={findings}/{name}-", "-print_final_stats=1", "-len_control=0"),
        *("-max_len=70000", str(corpus)),
    ]
    if name != CPP:
        options.insert(0, f"-runs={ROUND}")
    elif not shutil.which("clang++"):
        options = [str(seconds), str(time.time_ns() % 1000), *map(str, corpus.iterdir())]
    done = subprocess.run(
        [*program, *options],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**ENVIRONMENT, "TMPDIR": str(corpus.parent)},  # the target does not clean up
        cwd=findings if name == CPP else None,  # where the simple loop keeps its last file
    )
    return done.returncode, done.stdout + done.stderr


def passes(program: list[str], output: str) -> bool:
    """Return whether an input is quick by the processor's time: the machine was busy elsewhere."""
    (path,) = re.findall(r"Test unit written to (\S+)", output)[-1:]
    command = f"ulimit -t {SLOWEST}; exec " + shlex.join([*program, path])
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, env=ENVIRONMENT)
    if not done.returncode:
        Path(path).unlink()
    return not done.returncode


def compile_with_sanitizers(program: Path) -> None:
    """Compile the C++ target: for libFuzzer if there is clang, else with a simple loop."""
    from tests.cxx import FOLDER, INCLUDE, root_folder  # noqa: PLC0415

    root = root_folder()
    sanitizers = "address,undefined"
    compiler = ["g++", f"-fsanitize={sanitizers}"]
    if shutil.which("clang++"):
        compiler = ["clang++", "-DONNXROOT_LIBFUZZER", f"-fsanitize=fuzzer,{sanitizers}"]
    command = [
        *(*compiler, "-std=c++17", "-O1", "-g", "-fno-sanitize-recover=undefined"),
        *(f"-I{INCLUDE}", f"-isystem{root}/include", FOLDER / "fuzz.cxx", "-o", program),
        *(f"-L{root}/lib", f"-Wl,-rpath,{root}/lib", "-lCore", "-lRIO"),
    ]
    subprocess.run(list(map(str, command)), check=True)


def main() -> int:
    """Fuzz what was asked for."""
    parser = argparse.ArgumentParser(description="Fuzz onnxroot.")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--only", choices=[*TARGETS, CPP], action="append")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir(), "findings"))
    options = parser.parse_args()
    options.findings.mkdir(parents=True, exist_ok=True)
    names = options.only or [*TARGETS, CPP]
    good = [fuzz(name, options.seconds, options.findings.resolve()) for name in names]
    return 0 if all(good) else 1


sys.exit(main())
