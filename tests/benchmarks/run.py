"""Measure time, memory and size beside what else a user could take; say if a bound is broken.

Every task runs in an interpreter of its own with its imports done, and all in turns (onnx, ours,
the others, onnx, ...), so that a busy machine slows all alike: trust ratios before seconds. They
stand behind the figures, and are to `onnx.load` and `onnx.save` together: seconds to seconds,
memory to memory, the file to the ONNX file. The ratios of writing and reading may be added.

- onnxroot: `onnxroot.write`, which proves the way back and waits until the disk has the file, and
  `Model.save`, which checks every digest and waits too. The others do neither.
- blob: PyROOT's `WriteObject` of a `std::vector<char>` with the bytes of the ONNX file.
- safetensors: the weights alone, from and to memory.
- cp: a copy of the ONNX file.

Memory is by how much anonymous memory grew at most. It takes a quarter of an hour, and 30 GB where
TMPDIR says. Linux only: memory comes from /proc.
"""

import argparse
import filecmp
import json
import os
import platform
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import models

MB = 10**6
TASKS = Path(__file__).with_name("tasks.py")
SAMPLING_SECONDS = 0.003
FIGURES = ("write", "read", "tensor", "memory", "size")

Figures = dict[str, float]
"""Seconds and bytes, by name of column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A way to keep a model.

    Attributes:
        name: In the table.
        tasks: What the names of its tasks begin with.
        suffix: Of its file.
        options: For its task that writes.
        needs: A package that it may lack.
        only_weights: Whether it keeps weights alone.
    """

    name: str
    tasks: str
    suffix: str
    options: tuple[str, ...] = ()
    needs: str = "onnx"
    only_weights: bool = False


RIVALS = (
    Rival(name="onnxroot", tasks="onnxroot", suffix=".root", options=("zstd",)),
    Rival(name="onnxroot, none", tasks="onnxroot", suffix=".root", options=("none",)),
    Rival(name="blob in ROOT", tasks="blob", suffix=".root", needs="ROOT"),
    Rival(
        name="safetensors",
        tasks="safetensors",
        suffix=".safetensors",
        needs="safetensors",
        only_weights=True,
    ),
    Rival(name="cp", tasks="cp", suffix=".onnx"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A model that all rivals keep.

    Attributes:
        name: In the table.
        make: Writes the model, given the path and the size.
        size: In nodes, trees or bytes.
        repeat: Number of rounds; of times the median counts, of memory the maximum.
        n_watched: Number of rounds before these, if memory is watched in them alone: that takes a
            twentieth of a core, which a task on all cores feels if it takes less than a second.
        has_weights: Whether there are tensors to read.
        fits: Whether it is one file of less than 1 GiB, which is the most a blob can be.
        bounds: What our figures may be at most, by rival and figure, as `judge` names them.
    """

    name: str
    make: Callable[[Path, int], None]
    size: int
    repeat: int = 3
    n_watched: int = 0
    has_weights: bool = False
    fits: bool = True
    bounds: dict[str, float]


MEMORY = {"onnxroot memory": 300 * MB, "onnxroot, none memory": 300 * MB}
ROWS = (
    Row(
        name="tiny",
        make=models.write_tiny,
        size=10,
        repeat=7,
        n_watched=2,
        bounds={"onnxroot write": 0.060, "onnxroot read": 0.060} | MEMORY,
    ),
    Row(
        name="nodes",
        make=models.write_nodes,
        size=100_000,
        repeat=5,
        bounds={"onnxroot ratio": 1.0} | MEMORY,
    ),
    Row(
        name="trees",
        make=models.write_trees,
        size=1000,
        repeat=9,
        n_watched=2,
        bounds={"onnxroot ratio": 1.0, "onnxroot size ratio": 0.5} | MEMORY,
    ),
    Row(
        name="weights",
        make=models.write_weights,
        size=1600 * MB,
        has_weights=True,
        fits=False,
        bounds={
            "onnxroot ratio": 1.5,
            "onnxroot, none ratio": 0.8,
            "onnxroot size ratio": 0.93,
        }
        | MEMORY,
    ),
    Row(
        name="external",
        make=models.write_external,
        size=6000 * MB,
        repeat=1,
        has_weights=True,
        fits=False,
        bounds={"onnxroot size ratio": 0.93} | MEMORY,
    ),
)
TENSORS = ((models.SMALL_TENSOR, "4 MiB", 0.02), (models.LARGE_TENSOR, "64 MiB", 0.06))
"""Tensors of the weights, and how long reading one may take, as a part of `onnx.load`."""
GROWTH = ((models.write_nodes, 1000, 3), (models.write_weights, 10 * MB, 3))
"""What is made ten times as large, and how many sizes there are."""
COMPRESSIONS = ("none", "lz4", "zstd", "zstd:3", "zstd:9", "lzma")


# --- one row --------------------------------------------------------------------------------------


def measure(row: Row, folder: Path) -> dict[str, Figures]:
    """Return the figures of all rivals that can keep a model."""
    source = folder / f"{row.name}.onnx"
    row.make(source, row.size)
    rounds: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as own:
        for number in range(row.n_watched + row.repeat):
            watched = number < row.n_watched or not row.n_watched
            how = row, source, Path(own), watched
            rounds.setdefault("onnx", []).append(with_onnx(*how))
            for rival in RIVALS:
                if can_keep(rival, row):
                    rounds.setdefault(rival.name, []).append(one(rival, *how))
    for file in (source, source.with_suffix(".bin")):
        file.unlink(missing_ok=True)
    return {
        name: {
            figure: median(each[figure] for each in found[row.n_watched :]) for figure in found[0]
        }
        | {"memory": max(each["memory"] for each in found)}
        for name, found in rounds.items()
    }


def can_keep(rival: Rival, row: Row) -> bool:
    """Whether there are figures for a rival."""
    if rival.only_weights and not row.has_weights:
        return False
    return find_spec(rival.needs) is not None and (rival.tasks != "blob" or row.fits)


def with_onnx(row: Row, source: Path, folder: Path, watched: bool) -> Figures:
    """Read and write a model with onnx."""
    target = folder / "copy.onnx"
    both = run_task("onnx_both", source, target, watched=watched)
    read = both["result"]
    figures = {"write": both["seconds"] - read, "read": read, "memory": both["memory"]}
    if row.has_weights:
        figures["tensor"] = read
    return figures | {"size": removed(folder)}


def one(rival: Rival, row: Row, source: Path, folder: Path, watched: bool) -> Figures:
    """Take a model to a rival's file and back."""
    kept, copy = folder / f"kept{rival.suffix}", folder / "back" / source.name
    write = run_task(f"{rival.tasks}_write", source, kept, *rival.options, watched=watched)
    figures = {"write": write["seconds"], "memory": write["memory"]}
    figures["size"] = sum(file.stat().st_size for file in folder.iterdir())
    copy.parent.mkdir()
    if rival.tasks == "cp":
        figures["read"] = run_task("cp_write", kept, copy)["seconds"]
    else:
        read = run_task(f"{rival.tasks}_read", kept, copy, watched=watched)
        figures |= {"read": read["seconds"], "memory": max(read["memory"], write["memory"])}
    if rival.tasks != "safetensors":
        require_same(source, copy)
    if row.has_weights and rival.tasks in {"onnxroot", "safetensors"}:
        figures["tensor"] = run_task(f"{rival.tasks}_tensor", kept, models.SMALL_TENSOR)["seconds"]
    removed(copy.parent)
    copy.parent.rmdir()
    removed(folder)
    return figures


def require_same(source: Path, copy: Path) -> None:
    """Stop where a model did not come back."""
    for suffix in (".onnx", ".bin"):
        before, after = source.with_suffix(suffix), copy.with_suffix(suffix)
        if before.exists() and not filecmp.cmp(before, after, shallow=False):
            sys.exit(f"{before.name} did not come back identical")


def removed(folder: Path) -> int:
    """Remove the files of a folder; return how long they were together."""
    files = [file for file in folder.iterdir() if file.is_file()]
    nbytes = sum(file.stat().st_size for file in files)
    for file in files:
        file.unlink()
    return nbytes


# --- more than a row ------------------------------------------------------------------------------


def tensors(folder: Path, scale: int) -> list[str]:
    """Say how long single tensors take, opening included, beside `onnx.load`; what is too long."""
    source, root = folder / "tensors.onnx", folder / "tensors.root"
    models.write_weights(source, 1600 * MB // scale)
    run_task("onnxroot_write", source, root, "zstd")
    wanted = source, models.SMALL_TENSOR
    load = median(run_task("onnx_tensor", *wanted, watched=False)["seconds"] for _ in range(3))
    broken = []
    for name, text, limit in TENSORS:
        expected = run_task("onnx_tensor", source, name)["result"]
        found = [run_task("onnxroot_tensor", root, name, watched=False) for _ in range(5)]
        if any(task["result"] != expected for task in found):
            sys.exit(f"{name} is not what onnx reads")
        seconds = median(task["seconds"] for task in found)
        line = f"one tensor of {text}: {show('read', seconds)}, {seconds / load:.1%} of onnx.load"
        print(line, flush=True)
        if scale == 1 and seconds > limit * load:
            broken.append(f"{line} > {limit:.0%}")
    removed(folder)
    return broken


def growth(folder: Path, scale: int) -> list[str]:
    """Say how much longer it takes for ten times the nodes or weights; what is too long."""
    broken = []
    for make, first, n_sizes in GROWTH:
        seconds = []
        for size in [first * 10**i for i in range(n_sizes if scale == 1 else 2)]:
            source, root, copy = (folder / f"growth{suffix}" for suffix in (".onnx", ".root", ".2"))
            make(source, size)
            times = []
            for _ in range(5 if size < 100 * first else 3):
                write = run_task("onnxroot_write", source, root, "zstd")
                read = run_task("onnxroot_read", root, copy.with_suffix(".2.onnx"))
                times.append(write["seconds"] + read["seconds"])
                root.unlink()
                copy.with_suffix(".2.onnx").unlink()
            seconds.append(min(times))
            removed(folder)
        ratios = [after / before for before, after in pairwise(seconds)]
        what = make.__name__.removeprefix("write_")
        steps = ", ".join(f"{ratio:.1f}" for ratio in ratios)
        print(f"ten times the {what}, from {first}: {steps} times as long", flush=True)
        broken += [f"{what}: {ratio:.1f} times as long > 11" for ratio in ratios if ratio > 11]
    return broken


def compressions(folder: Path, scale: int) -> None:
    """Print how small and how slow the compressions are, by type of weights, and for trees."""
    makers: dict[str, Callable[[Path], None]] = {
        name: lambda path, name=name: models.write_types(path, name, 64 * MB // scale)
        for name in models.TYPES
    }
    makers["trees"] = lambda path: models.write_trees(path, 1000 // scale)
    print("\n| | " + " | ".join(COMPRESSIONS) + " |\n" + "|---" * (len(COMPRESSIONS) + 1) + "|")
    for name, make in makers.items():
        source, root, copy = folder / "m.onnx", folder / "m.root", folder / "copy.onnx"
        make(source)
        cells = []
        for compression in COMPRESSIONS:
            write = run_task("onnxroot_write", source, root, compression)["seconds"]
            read = run_task("onnxroot_read", root, copy)["seconds"]
            ratio = root.stat().st_size / source.stat().st_size
            cells.append(f"{ratio:.3f}, {show('write', write)}, {show('read', read)}")
            root.unlink()
            copy.unlink()
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
        removed(folder)


def beside(folder: Path, scale: int) -> list[str]:
    """Add a model of 1 MiB to an analysis file of 2 GB."""
    analysis, source = folder / "analysis.root", folder / "matrix.onnx"
    models.write_analysis(analysis, 2000 * MB // scale)
    models.write_matrix(source, 512)
    before = analysis.stat().st_size
    times = [
        run_task("onnxroot_add", source, f"{analysis}:models/m{i}")["seconds"] for i in range(3)
    ]
    grown = (analysis.stat().st_size - before) / 3 / source.stat().st_size
    line = f"a model of 1 MiB into a file of 2 GB: {show('write', median(times))}, {grown:.2f} MiB"
    print(line, flush=True)
    removed(folder)
    return [line] if median(times) > 1.0 or grown > 1.2 else []


def compared(folder: Path, scale: int) -> list[str]:
    """Compare a model in a ROOT file with its ONNX file, in which some bytes differ."""
    source, root = folder / "compared.onnx", folder / "compared.root"
    models.write_weights(source, 1000 * MB // scale)
    run_task("onnxroot_write", source, root, "zstd")
    with source.open("r+b") as file:
        for at in range(1, 10):
            file.seek(at * source.stat().st_size // 10)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
    found = run_task("onnxroot_diff", root, source)
    if found["result"]["same_model"]:
        sys.exit(f"{source.name} differs, and is called the same")
    size, memory = show("size", source.stat().st_size), show("memory", found["memory"])
    line = f"diff of two models of {size}: {show('read', found['seconds'])}, {memory} of memory"
    print(line, flush=True)
    removed(folder)
    return [f"{line} > 300 MB"] if found["memory"] > 300 * MB else []


def commands(folder: Path, scale: int) -> list[str]:
    """Start the command, and list and show a model of 1.6 GB."""
    source, root = folder / "shown.onnx", folder / "shown.root"
    models.write_weights(source, 1600 * MB // scale)
    run_task("onnxroot_write", source, root, "zstd")
    start = min(seconds_of("--version") for _ in range(3))
    shown = max(seconds_of(*words) for words in (("ls", root), ("show", root), ("show", source)))
    line = f"the command starts in {show('read', start)}, ls and show take {show('read', shown)}"
    print(line, flush=True)
    removed(folder)
    return [line] if start > 0.7 or shown - start > 1.0 else []


def seconds_of(*arguments: Path | str) -> float:
    """Return how long the command takes, from its start to its end."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "onnxroot", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def importing(_folder: Path, _scale: int) -> list[str]:
    """Import onnxroot, and no ML framework with it."""
    tasks = [run_task("import_onnxroot") for _ in range(5)]
    if tasks[0]["result"]:
        sys.exit(f"import onnxroot imports {', '.join(tasks[0]['result'])}")
    line = f"import onnxroot: {show('read', median(task['seconds'] for task in tasks))}"
    print(line, flush=True)
    return [line] if median(task["seconds"] for task in tasks) > 0.6 else []


# --- tasks ----------------------------------------------------------------------------------------


def run_task(name: str, *arguments: Path | str, watched: bool = True) -> dict[str, Any]:
    """Run a task in a fresh interpreter; return its seconds, result and growth of memory.

    Args:
        name: Of the task.
        arguments: Its own.
        watched: Whether to watch its memory; if not, it is said to grow by nothing.
    """
    os.sync()  # what others wrote should not slow this one down
    command = [sys.executable, str(TASKS), name, *map(str, arguments)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as task:
        if not task.stdout.readline():
            sys.exit(f"{name} can't be prepared")
        idle = peak = anonymous_memory(task.pid)
        task.stdin.write("go\n")
        task.stdin.flush()
        while watched and not select.select([task.stdout], [], [], SAMPLING_SECONDS)[0]:
            peak = max(peak, anonymous_memory(task.pid))
        answer = task.stdout.read()
    if task.returncode:
        sys.exit(f"{name} failed with exit code {task.returncode}")
    return json.loads(answer) | {"memory": peak - idle}


def anonymous_memory(pid: int) -> int:
    """Return a process's RssAnon in bytes; 0 if it has just ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


# --- the table ------------------------------------------------------------------------------------


def judge(row: Row, figures: dict[str, Figures]) -> list[str]:
    """Return what is over its bound."""
    onnx = figures["onnx"]
    found: Figures = {}
    for name, ours in figures.items():
        found |= {f"{name} {figure}": value for figure, value in ours.items()}
        found[f"{name} ratio"] = (ours["write"] + ours["read"]) / (onnx["write"] + onnx["read"])
        found[f"{name} size ratio"] = ours["size"] / onnx["size"]
    return [
        f"{row.name}: {name}: {found[name]:.3g} > {limit:.3g}"
        for name, limit in row.bounds.items()
        if not found[name] <= limit
    ]


def lines_of(row: Row, figures: dict[str, Figures]) -> list[str]:
    """Return a row as lines of a table in Markdown."""
    onnx = figures["onnx"]
    total = onnx["write"] + onnx["read"]
    lines = []
    for name, each in figures.items():
        cells = []
        for figure in FIGURES:
            if figure not in each:
                cells.append("-")
                continue
            reference = onnx[figure] if figure in {"memory", "size"} else total
            ratio = each[figure] / reference if reference else float("inf")
            cells.append(f"{show(figure, each[figure])} ({ratio:.2g})")
        lines.append(f"| {row.name} | {name} | " + " | ".join(cells) + " |")
    return lines


def show(figure: str, value: float) -> str:
    """Return a figure with its unit."""
    if figure in {"memory", "size"}:
        return f"{value / MB:.0f} MB" if value >= 10 * MB else f"{value / 1000:.0f} kB"
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"


def machine() -> str:
    """Return what it was measured on, and when."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    names = ("onnxroot", "onnx", "uproot", "safetensors", "ROOT")
    packages = [f"{name} {version(name)}" for name in names if find_spec(name)]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{os.cpu_count()} cores of {cpu}, {memory:.0f} GiB, {platform.system()}"
    today = datetime.now(tz=timezone.utc).date()
    return ", ".join([f"{today}: {system}", f"Python {platform.python_version()}", *packages])


MORE = {
    "import": importing,
    "beside": beside,
    "diff": compared,
    "command": commands,
    "tensors": tensors,
    "growth": growth,
    "compressions": compressions,
}


def main() -> int:
    """Measure, print the tables, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*(row.name for row in ROWS), *MORE]
    parser.add_argument("--quick", action="store_true", help="a twentieth of the size: minutes")
    parser.add_argument("--only", choices=names, action="append", help="this part")
    parser.add_argument("--repeat", type=int, metavar="N", help="number of rounds of every row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    options = parser.parse_args()
    scale = 20 if options.quick else 1
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}\n")
    for rival in RIVALS:
        if find_spec(rival.needs) is None:
            print(f"{rival.name}: left out, {rival.needs} is not installed")
    print("blob in ROOT: not of files over 1 GiB, where ROOT's keys end\n")
    print("| model | kept by | " + " | ".join(f"{f} (ratio)" for f in FIGURES) + " |")
    print("|---" * (2 + len(FIGURES)) + "|", flush=True)
    broken, found = [], {}
    with tempfile.TemporaryDirectory(prefix="onnxroot-benchmark-") as folder:
        for row in ROWS:
            if options.only and row.name not in options.only:
                continue
            repeat = options.repeat or row.repeat
            size = max(10, row.size // scale)
            found[row.name] = measure(replace(row, size=size, repeat=repeat), Path(folder))
            print(*lines_of(row, found[row.name]), sep="\n", flush=True)
            broken += judge(row, found[row.name])
        print()
        for name, part in MORE.items():
            if not options.only or name in options.only:
                broken += part(Path(folder), scale) or []
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": found}, indent=2) + "\n")
    print("", *(f"BROKEN: {text}" for text in broken), sep="\n")
    print("" if broken else "all bounds kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
