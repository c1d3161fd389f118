"""Many models at once: names, failures, going on after a break, processes and Dask."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

import onnxroot
from onnxroot._address import Address
from onnxroot._naming import plan
from onnxroot._workers import Pool
from onnxroot.adapter import Options
from tests.golden import golden
from tests.samples import linear_model
from tests.test_cli import done, run

needs_dask = pytest.mark.skipif(
    not find_spec("distributed"), reason="needs Dask: pip install 'onnxroot[dask]'"
)
GOOD = ("a.onnx", "b.onnx", "sub/a.onnx", "sub/deep/c.onnx", "external_data.onnx")


def model(seed: int) -> bytes:
    return linear_model(seed=seed).SerializeToString()


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Make a folder with models, with others that are none, and one with external data."""
    folder = tmp_path / "zoo"
    (folder / "sub/deep").mkdir(parents=True)
    for seed, name in enumerate(GOOD[:4]):
        (folder / name).write_bytes(model(seed))
    for path in golden("external_data").parent.rglob("*"):
        if path.is_file() and path.suffix not in {".root", ".json"}:
            place = folder / path.relative_to(golden("external_data").parent)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    (folder / "notes.txt").write_text("no model")
    return folder


def results(path: Path) -> dict[str, bytes]:
    """Return the ONNX files in a ROOT file, or in all those of a folder, by name."""
    if path.is_dir():
        return {
            file.relative_to(path).with_suffix("").as_posix(): only(results(file))
            for file in path.rglob("*.root")
        }
    found = {}
    for name in onnxroot.list_models(path):
        with onnxroot.open(f"{path}:{name}") as stored:
            found[name] = stored.to_bytes()
    return found


def only(found: dict[str, bytes]) -> bytes:
    (value,) = found.values()
    return value


def expected(zoo: Path) -> dict[str, bytes]:
    return {name.removesuffix(".onnx"): (zoo / name).read_bytes() for name in GOOD}


# --- names ------------------------------------------------------------------------------------

NAMES = {  # sources: names
    "a.onnx b.onnx": "a b",
    "a.onnx a.onnx": "a",
    "x/a.onnx y/a.onnx": "x/a y/a",
    "x/a.onnx y/a.onnx y/b.onnx": "x/a y/a b",
    "q/x/a.onnx r/x/a.onnx": "q/x/a r/x/a",
    "x/a.onnx x/A.onnx": "a A",
    "x/a.onnx x/a.keras b.onnx": "a.onnx a.keras b",
    "my%model(1).onnx": "my_model_1_",
    "my%model.onnx my_model.onnx y/my_model.onnx": "X/my_model my_model_2 y/my_model",
}


@pytest.mark.parametrize("words", NAMES)
@pytest.mark.parametrize("destination", ["out", "out.root"])
def test_names(words: str, destination: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sources = [word.replace("%", " ") for word in words.split()]
    names = [
        task.address.directory
        if destination.endswith(".root")
        else os.path.relpath(task.address.path, "out").removesuffix(".root")
        for task in plan(sources, Address(destination, ""))
    ]
    assert names == NAMES[words].replace("X", tmp_path.name).split()


def test_a_model_beside_a_folder_of_its_name(tmp_path: Path) -> None:
    """In one file, a model can't lie within another one's directory."""
    for name in ("m/a.onnx", "m/a/b.onnx", "n/a.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(model(1))
    report = onnxroot.convert_many([tmp_path / "m"], tmp_path / "all.root:dir")
    assert report.ok, report
    assert onnxroot.list_models(tmp_path / "all.root") == ["dir/a.onnx", "dir/a/b"]
    onnxroot.convert_many([tmp_path / "m", tmp_path / "n"], tmp_path / "out")
    assert set(results(tmp_path / "out")) == {"m/a", "n/a", "a/b"}


# --- what comes out ---------------------------------------------------------------------------


@pytest.fixture(params=["here", "threads", pytest.param("processes", marks=pytest.mark.sweep)])
def executor(request: pytest.FixtureRequest):
    if request.param == "here":
        yield None
        return
    with Pool(2) if request.param == "processes" else ThreadPoolExecutor(2) as found:
        yield found


@pytest.mark.parametrize("name", ["out", "out.root"])
def test_a_folder(name: str, executor: Executor | None, zoo: Path, tmp_path: Path) -> None:
    (zoo / "bad.onnx").write_bytes(b"\xff" * 40)
    seen = []
    report = onnxroot.convert_many(
        [zoo], tmp_path / name, executor, progress=lambda *args: seen.append(args)
    )
    assert report.counts == {"converted": len(GOOD), "skipped": 0, "failed": 1}
    (failed,) = report.failed
    assert failed.source == str(zoo / "bad.onnx")
    assert failed.error.startswith("bad.onnx: byte 0: ")
    assert [n for n, _, _ in seen] == list(range(1, len(GOOD) + 2))
    assert {outcome for _, _, outcome in seen} == set(report.outcomes)
    assert results(tmp_path / name) == expected(zoo)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["zoo", name])


@pytest.mark.parametrize("name", ["out", "out.root"])
def test_going_on(name: str, zoo: Path, tmp_path: Path) -> None:
    """What is done is skipped; what has another content is refused, or replaced if it may be."""
    onnxroot.convert_many([zoo / "a.onnx", zoo / "sub/deep/c.onnx"], tmp_path / name)
    report = onnxroot.convert_many([zoo / "a.onnx", zoo / "b.onnx"], tmp_path / name)
    assert [outcome.status for outcome in report.outcomes] == ["skipped", "converted"]
    (zoo / "a.onnx").write_bytes(model(7))
    with ThreadPoolExecutor(2) as pool:
        report = onnxroot.convert_many([zoo / "a.onnx", zoo / "b.onnx"], tmp_path / name, pool)
    assert [outcome.status for outcome in report.outcomes] == ["failed", "skipped"]
    assert "exists; choose another name, or replace it" in report.failed[0].error
    assert results(tmp_path / name)["a"] == model(0)
    with ThreadPoolExecutor(2) as pool:
        report = onnxroot.convert_many([zoo / "a.onnx"], tmp_path / name, pool, replace=True)
    assert [outcome.status for outcome in report.outcomes] == ["converted"]
    assert results(tmp_path / name)["a"] == model(7)


def test_external_files_that_have_changed(zoo: Path, tmp_path: Path) -> None:
    source = zoo / "external_data.onnx"
    assert onnxroot.convert_many([source], tmp_path).counts["converted"] == 1
    assert onnxroot.convert_many([source], tmp_path).counts["skipped"] == 1
    (path,) = zoo.glob("*.bin")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert onnxroot.convert_many([source], tmp_path).counts["failed"] == 1


def test_half_a_result_is_made_anew(zoo: Path, tmp_path: Path) -> None:
    """Such as an interrupted copy leaves; without leave it is not touched."""
    onnxroot.convert_many([zoo], tmp_path / "out")
    half = tmp_path / "out/sub/a.root"
    half.write_bytes(half.read_bytes()[:1000])
    report = onnxroot.convert_many([zoo], tmp_path / "out")
    assert [outcome.address for outcome in report.failed] == [f"{half}:a"]
    assert half.stat().st_size == 1000
    report = onnxroot.convert_many([zoo], tmp_path / "out", replace=True)
    assert report.counts == {"converted": 1, "skipped": len(GOOD) - 1, "failed": 0}
    assert results(tmp_path / "out") == expected(zoo)


class Doubles:
    """An adapter whose models are files with a number: the seed of a model."""

    name = "numbers"

    def describe(self, path: Path) -> str | None:
        return "a number" if path.suffix == ".number" else None

    def accepts(self, _: object) -> bool:
        return False

    def convert(self, source: Path, _: Options) -> onnxroot.adapter.Conversion:
        if source.read_text() == "13":
            raise RuntimeError("unlucky")
        model = linear_model(seed=int(source.read_text()))
        return onnxroot.adapter.Conversion(model=model, provenance={"numbers": "1"})


def test_models_of_a_framework(zoo: Path, tmp_path: Path, monkeypatch) -> None:
    """They are found by content, and done if source and options are the same."""
    find = lambda source: (  # noqa: E731
        (Doubles(), "a number") if isinstance(source, Path) and source.suffix == ".number" else None
    )
    monkeypatch.setattr("onnxroot._source.find_adapter", find)
    monkeypatch.setattr("onnxroot._naming.find_adapter", find)
    for name in GOOD[:2]:
        (zoo / name).unlink()
    (zoo / "a.number").write_text("5")
    (zoo / "b.number").write_text("13")

    def statuses(**said: object) -> dict[str, str]:
        report = onnxroot.convert_many([zoo], tmp_path / "out", options=Options(**said))
        return {Path(o.source).name: f"{o.status} {o.error}".strip() for o in report.outcomes}

    assert statuses()["a.number"] == "converted"
    assert statuses()["b.number"] == "failed RuntimeError: unlucky"
    assert results(tmp_path / "out")["a"] == model(5)
    assert statuses()["a.number"] == "skipped"
    assert statuses(opset=17)["a.number"].startswith("failed")
    (zoo / "a.number").write_text("6")
    assert statuses()["a.number"].startswith("failed")


@pytest.mark.parametrize("kind", ["missing", "root", "model", "url", "empty"])
def test_sources_that_are_none(kind: str, zoo: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    onnxroot.write(model(1), tmp_path / "m.root")
    source, error = {
        "missing": (tmp_path / "missing.onnx", "No such file"),
        "root": (tmp_path / "m.root", "is in a ROOT file already"),
        "model": (f"{tmp_path}/m.root:model", "is in a ROOT file already"),
        "url": ("https://host.invalid/m.onnx", "download it first"),
        "empty": (tmp_path / "empty", "holds no files with models"),
    }[kind]
    if kind == "empty":
        with pytest.raises(onnxroot.UnsupportedModelError, match=error):
            onnxroot.convert_many([source, zoo / "a.onnx"], tmp_path / "out")
        return
    report = onnxroot.convert_many([source, zoo / "a.onnx"], tmp_path / "out")
    assert [outcome.status for outcome in report.outcomes] == ["failed", "converted"]
    assert error in report.failed[0].error


class Dying(ThreadPoolExecutor):
    """An executor of which every second worker dies."""

    n_calls = 0

    def submit(self, function, /, *arguments):
        self.n_calls += 1
        return super().submit(function if self.n_calls % 2 else os.stat, *arguments)


def test_workers_that_die(zoo: Path, tmp_path: Path) -> None:
    with Dying(1) as executor:
        report = onnxroot.convert_many([zoo], tmp_path / "out", executor)
    assert report.counts == {"converted": 3, "skipped": 0, "failed": 2}
    assert all("the worker ended before it was done" in o.error for o in report.failed)
    assert onnxroot.convert_many([zoo], tmp_path / "out").counts["converted"] == 2


# --- the command ------------------------------------------------------------------------------


def test_the_command(zoo: Path, tmp_path: Path) -> None:
    assert done("convert", zoo / "a.onnx", zoo / "sub", tmp_path / "out") == (
        "3 converted, 0 there already, 0 failed\n"
    )
    (zoo / "bad.onnx").write_bytes(b"\xff" * 40)
    result = run("convert", zoo, tmp_path / "out2", "--compression", "none", "--meta", "k=v")
    assert (result.exit_code, result.stdout) == (2, "5 converted, 0 there already, 1 failed\n")
    assert result.stderr.startswith("onnxroot: bad.onnx: byte 0: ")
    result = run("convert", zoo, tmp_path / "out2", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["skipped"], found["failed"]) == (2, 5, 1)
    assert {item["status"] for item in found["models"]} == {"skipped", "failed"}
    with onnxroot.open(tmp_path / "out2/sub/deep/c.root") as stored:
        assert stored.manifest.metadata == {"k": "v"}
    done("convert", zoo / "b.onnx", f"{tmp_path}/out/")
    assert (tmp_path / "out/b.root").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("convert {zoo} {out} --embed", "is for one model"),
        ("convert {zoo} {out} --jobs 0", "0 is not in the range"),
        ("convert {zoo} {out} --dask nowhere://x", "Dask"),
        ("convert {zoo} root://host//m.root", "remote files are read, not written"),
        ("convert {zoo} {out}/nowhere/out", "No such file or directory"),
    ],
)
def test_wrong_usage(words: str, text: str, zoo: Path, tmp_path: Path) -> None:
    result = run(*words.format(zoo=zoo, out=tmp_path / "out").split())
    assert result.exit_code == 2
    assert text in result.stderr


@pytest.mark.sweep
@pytest.mark.parametrize("destination", ["out", "out.root"])
def test_ctrl_c(destination: str, tmp_path: Path) -> None:
    """It ends all processes, leaves nothing half-written, and the next call goes on."""
    (tmp_path / "many").mkdir()
    for seed in range(80):
        (tmp_path / f"many/m{seed}.onnx").write_bytes(model(seed))
    command = [sys.executable, "-m", "onnxroot", "convert", "many", destination, "--jobs", "2"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    )
    there = tmp_path / destination
    while not (any(there.glob("*.root")) if destination == "out" else there.exists()):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "onnxroot: interrupted; give the same command again to go on\n"
    for _ in range(100):
        if not group_exists(process.pid):
            break
        time.sleep(0.1)
    assert not group_exists(process.pid)
    assert [path.name for path in tmp_path.rglob(".*")] == []
    n_done = len(results(there))
    assert 0 < n_done < 80
    found = json.loads(done("convert", tmp_path / "many", there, "--json"))
    assert (found["skipped"], found["failed"]) == (n_done, 0)


def group_exists(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


@needs_dask
@pytest.mark.parametrize("name", ["out", "out.root"])
def test_dask(name: str, zoo: Path, tmp_path: Path) -> None:
    from distributed import Client, LocalCluster  # noqa: PLC0415  (optional)

    (zoo / "bad.onnx").write_bytes(b"\xff" * 40)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        report = onnxroot.convert_many([zoo], tmp_path / name, client.get_executor())
        assert report.counts == {"converted": len(GOOD), "skipped": 0, "failed": 1}
        assert results(tmp_path / name) == expected(zoo)
        (zoo / "bad.onnx").unlink()
        address = cluster.scheduler_address
        assert done("convert", zoo, tmp_path / name, "--dask", address) == (
            f"0 converted, {len(GOOD)} there already, 0 failed\n"
        )
