"""Fuzz every target for a while, from a corpus of golden models; fail on whatever is found.

`python -m tests.fuzz.run [--seconds N] [--only TARGET] [--findings FOLDER]`. What is found lies in
the folder; `python -m tests.fuzz.fuzz TARGET FILE` shows it again. It becomes a test.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import TARGETS, seeds

EXECUTED = re.compile(r"Done (\d+) runs in (\d+) second|stat::number_of_executed_units: (\d+)")
MOST_MB = 700  # what Python, NumPy, awkward and the coverage of a run take is half of it
SLOWEST = 20  # seconds for one input, on a busy machine


def fuzz(name: str, seconds: int, findings: Path) -> bool:
    """Fuzz a target; return whether nothing was found."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds(name)):
            Path(folder, f"seed{number}").write_bytes(seed)
        command = [
            *(sys.executable, "-m", "tests.fuzz.fuzz", name),
            *(f"-max_total_time={seconds}", f"-rss_limit_mb={MOST_MB}", f"-timeout={SLOWEST}"),
            *(f"-artifact_prefix={findings}/{name}-", "-print_final_stats=1", "-len_control=0"),
            *("-max_len=70000", folder),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
    runs = [n for match in EXECUTED.finditer(done.stderr) for n in match.groups()[::2] if n]
    print(f"{name}: {runs[0] if runs else 'no'} runs in {seconds} s, exit code {done.returncode}")
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-6000:], sep="\n")
    return not done.returncode


def main() -> int:
    """Fuzz what was asked for."""
    parser = argparse.ArgumentParser(description="Fuzz onnxroot.")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--only", choices=TARGETS, action="append")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir(), "findings"))
    options = parser.parse_args()
    options.findings.mkdir(parents=True, exist_ok=True)
    names = options.only or list(TARGETS)
    good = [fuzz(name, options.seconds, options.findings.resolve()) for name in names]
    return 0 if all(good) else 1


sys.exit(main())
