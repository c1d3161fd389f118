"""Measure time and memory, beside onnx.load and onnx.save; exit with 1 if a bound is broken.

Everything runs in an interpreter of its own with its imports done, and in turns (onnx, write,
read, onnx, write, read, ...), so that a busy machine slows all alike: trust ratios before seconds.
The columns: "onnx" is onnx.load and onnx.save; "write" and "read" are ours, to ROOT and back;
"ratio" is ours to onnx, "file" the ROOT file's size to the ONNX file's; "mem" is the most by which
anonymous memory grew. onnxroot waits until the disk has what it wrote, onnx.save does not.

It takes minutes, and 6 GB where TMPDIR says. Linux only: memory comes from /proc.
"""

import argparse
import filecmp
import json
import os
import platform
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import models

MB = 10**6
TASKS = Path(__file__).with_name("tasks.py")
SAMPLING_SECONDS = 0.003
COLUMNS = "import,onnx,write,read,ratio,size,file,onnx mem,write mem,read mem".split(",")

Figures = dict[str, float]
"""Seconds, bytes and ratios, by name of column."""


def round_trip(source: Path, folder: Path) -> Figures:
    """Take a model to a ROOT file and back, beside onnx.load and onnx.save."""
    root, copy = folder / "model.root", folder / "copy.onnx"
    onnx = run_task("load_and_save", source, copy)
    copy.unlink()
    write = run_task("write", source, f"{root}:model")
    read = run_task("read", f"{root}:model", copy)
    if not filecmp.cmp(source, copy, shallow=False):
        sys.exit(f"{source.name} did not come back identical")
    figures = compare(source, onnx, write=write, read=read)
    figures["file"] = root.stat().st_size / figures["size"]
    copy.unlink()
    root.unlink()
    return figures


def one_tensor(source: Path, folder: Path) -> Figures:
    """Open a model and read one tensor of 4 MiB, beside onnx.load."""
    root, name = folder / "model.root", models.SMALL_TENSOR
    if not root.exists():
        run_task("write", source, f"{root}:model")
    onnx = run_task("load_tensor", source, name)
    read = run_task("read_tensor", f"{root}:model", name)
    if onnx["result"] != read["result"]:
        sys.exit(f"{name} of {source.name} is not what onnx reads")
    return compare(source, onnx, read=read)


def beside_others(source: Path, folder: Path) -> Figures:
    """Add a model to an analysis file of 2 GB; "file" is by how much that grew, to the model."""
    analysis = folder.parent / "analysis.root"
    if not analysis.exists():
        models.write_analysis(analysis, 2000 * MB)
    before = analysis.stat().st_size
    write = run_task("write", source, f"{analysis}:models/at_{before}")
    grown = analysis.stat().st_size - before
    figures = {"size": source.stat().st_size, "write": write["seconds"]}
    return figures | {"write mem": write["memory"], "file": grown / figures["size"]}


def compared(source: Path, folder: Path) -> Figures:
    """Compare a model in a ROOT file with its ONNX file, in which some bytes differ."""
    root, copy = folder / "model.root", folder / "changed.onnx"
    if not copy.exists():
        run_task("write", source, f"{root}:model")
        shutil.copyfile(source, copy)
        with copy.open("r+b") as file:
            for at in range(1, 10):
                file.seek(at * source.stat().st_size // 10)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 1]))
    read = run_task("compare", root, copy)
    if read["result"]["same_model"]:
        sys.exit(f"{copy.name} differs, and is called the same")
    return {"size": source.stat().st_size, "read": read["seconds"], "read mem": read["memory"]}


def commands(source: Path, folder: Path) -> Figures:
    """Start the command ("import"), and beyond that, list and show a model ("read")."""
    root = folder / "model.root"
    if not root.exists():
        run_task("write", source, f"{root}:model")
    start = min(_seconds("--version") for _ in range(3))
    shown = max(_seconds(*words) for words in (("ls", root), ("show", root), ("show", source)))
    return {"size": source.stat().st_size, "import": start, "read": shown - start}


def _seconds(*arguments: Path | str) -> float:
    """Return how long the command takes, from its start to its end."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "onnxroot", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def importing(_source: Path, _folder: Path) -> Figures:
    """Import onnxroot, and no ML framework with it."""
    task = run_task("import_onnxroot")
    if task["result"]:
        sys.exit(f"import onnxroot imports {', '.join(task['result'])}")
    return {"import": task["seconds"]}


def compare(source: Path, onnx: dict[str, Any], **ours: dict[str, Any]) -> Figures:
    """Return the figures of what onnx and what onnxroot did with a model."""
    figures = {"size": source.stat().st_size}
    for name, task in {"onnx": onnx, **ours}.items():
        figures |= {name: task["seconds"], f"{name} mem": task["memory"]}
    figures["ratio"] = sum(task["seconds"] for task in ours.values()) / onnx["seconds"]
    return figures


def run_task(name: str, *arguments: Path | str) -> dict[str, Any]:
    """Run a task in a fresh interpreter; return its seconds, result and growth of memory."""
    os.sync()  # what others wrote should not slow this one down
    command = [sys.executable, str(TASKS), name, *map(str, arguments)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as task:
        if not task.stdout.readline():
            sys.exit(f"{name} can't be prepared")
        idle = peak = anonymous_memory(task.pid)
        task.stdin.write("go\n")
        task.stdin.flush()
        while not select.select([task.stdout], [], [], SAMPLING_SECONDS)[0]:
            peak = max(peak, anonymous_memory(task.pid))
        answer = task.stdout.read()
    if task.returncode:
        sys.exit(f"{name} failed with exit code {task.returncode}")
    return json.loads(answer) | {"memory": peak - idle}


def anonymous_memory(pid: int) -> int:
    """Return a process's RssAnon in bytes; 0 if it has just ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row of the table.

    Attributes:
        run: Measures one round, given the model's path and a folder for its own files.
        make: Writes the model, given the path and the size.
        size: Of the model: nodes, or bytes.
        repeat: Number of rounds; of times and ratios the median counts, of memory the maximum.
        bounds: What figures may be at most.
    """

    name: str
    run: Callable[[Path, Path], Figures] = round_trip
    make: Callable[[Path, int], None] | None = None
    size: int = 0
    repeat: int = 7
    bounds: Figures


MEMORY = {"write mem": 300 * MB, "read mem": 300 * MB}
WRITE_MEMORY = {"write mem": 300 * MB}
TIMES = {"write": 0.060, "read": 0.060}
WEIGHTS = Case(name="weights", make=models.write_weights, size=1000 * MB, repeat=5, bounds=MEMORY)
CASES = (
    Case(name="import", run=importing, bounds={"import": 0.6}),
    Case(name="tiny", make=models.write_tiny, size=10, bounds=TIMES | MEMORY),
    Case(name="nodes", make=models.write_nodes, size=100_000, bounds={"ratio": 1.5} | MEMORY),
    WEIGHTS,
    Case(
        name="beside",
        run=beside_others,
        make=models.write_matrix,
        size=512,
        bounds={"write": 1.0, "file": 1.2} | WRITE_MEMORY,
    ),
    replace(WEIGHTS, name="tensor", run=one_tensor, bounds={"read mem": 300 * MB}),
    replace(WEIGHTS, name="diff", run=compared, repeat=3, bounds={"read mem": 300 * MB}),
    replace(WEIGHTS, name="command", run=commands, repeat=3, bounds={"import": 0.7, "read": 1.0}),
)


def main() -> int:
    """Run the cases, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the size: a minute")
    parser.add_argument("--only", choices=[c.name for c in CASES], action="append", help="this row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    parser.add_argument("--repeat", type=int, metavar="N", help="number of rounds of every row")
    options = parser.parse_args()

    packages = [f"{name} {version(name)}" for name in ("onnxroot", "onnx", "uproot")]
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    machine = ", ".join([system, f"Python {platform.python_version()}", *packages])
    print(f"{machine}\n\n{'':8}{''.join(f'{name:>10}' for name in COLUMNS)}  bounds", flush=True)
    rows, broken = {}, []
    with tempfile.TemporaryDirectory(prefix="onnxroot-benchmark-") as folder:
        for case in CASES:
            if options.only and case.name not in options.only:
                continue
            if options.quick:
                case = replace(case, size=max(10, case.size // 10), repeat=3)  # noqa: PLW2901
            rounds = measure(case, options.repeat or case.repeat, Path(folder))
            figures = {
                name: (max if name.endswith("mem") else median)(each[name] for each in rounds)
                for name in rounds[0]
            }
            cells = "".join(f"{show(name, figures.get(name)):>10}" for name in COLUMNS)
            bounds = [f"{name} <= {show(name, limit)}" for name, limit in case.bounds.items()]
            print(f"{case.name:8}{cells}  {', '.join(bounds)}", flush=True)
            broken += [
                f"BROKEN: {case.name}: {name}: {show(name, figures[name])} > {show(name, limit)}"
                for name, limit in case.bounds.items()
                if not figures[name] <= limit
            ]
            rows[case.name] = {"figures": figures, "bounds": case.bounds, "rounds": rounds}
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    print("", *broken or ["all bounds kept"], sep="\n")
    return 1 if broken else 0


def measure(case: Case, repeat: int, folder: Path) -> list[Figures]:
    """Make the case's model, unless a case before has, and run the rounds."""
    source = folder / f"{case.make.__name__}.onnx" if case.make else folder
    if case.make and not source.exists():
        case.make(source, case.size)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        return [case.run(source, Path(own)) for _ in range(repeat)]


def show(name: str, value: float | None) -> str:
    """Return a figure with its unit."""
    if value is None:
        return "-"
    if name.endswith("mem") or name == "size":
        return f"{value / MB:.0f} MB" if value >= MB else f"{value / 1000:.0f} kB"
    if name in {"ratio", "file"}:
        return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"


if __name__ == "__main__":
    sys.exit(main())
