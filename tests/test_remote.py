"""Remote files: over HTTP, XRootD and fsspec, all of it from servers on this machine."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import fsspec
import numpy as np
import pytest

import onnxroot
from tests.golden import golden
from tests.http_server import FileServer, serving
from tests.samples import files_in, graph_model, linear_model, raw_tensor
from tests.test_cli import done, run

needs_http = pytest.mark.skipif(
    not find_spec("aiohttp"), reason="needs aiohttp: pip install 'onnxroot[remote]'"
)
needs_s3 = pytest.mark.skipif(
    not find_spec("s3fs"), reason="needs s3fs: pip install 'onnxroot[remote]'"
)
needs_xrootd = pytest.mark.skipif(
    not (find_spec("fsspec_xrootd") and find_spec("XRootD") and shutil.which("xrootd")),
    reason="needs a server, Debian's xrootd-server, and pip install 'onnxroot[remote]'",
)

HERE = Path(__file__).resolve().parents[1]
N_TENSORS = 6
MODEL = linear_model().SerializeToString()
SMALL = 1 << 18
"""More bytes than all metadata of `large.root` take, rounded up to what is read at once."""


def values(number: int) -> np.ndarray:
    """Return 4 MiB that can't be compressed: a chunk of the file has two such tensors."""
    return np.random.default_rng(number).integers(0, 1 << 32, (1024, 1024), np.uint32)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Make files in a folder that a server under another user can read."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        large = graph_model([raw_tensor(f"w{i}", values(i)) for i in range(N_TENSORS)])
        onnxroot.write(large, path / "large.root:dir/large", compression="none")
        onnxroot.write(MODEL, path / "small.root:tagger", metadata={"campaign": "2026"})
        onnxroot.write(golden("external_data"), path / "small.root:dir/external")
        (path / "page.root").write_text("<html></html>")
        (path / "empty.root").write_bytes(b"")
        yield path


@pytest.fixture(scope="module")
def http_server(folder: Path) -> Iterator[FileServer]:
    with serving(folder) as server:
        yield server


@pytest.fixture
def http(http_server: FileServer) -> FileServer:
    http_server.forget()
    return http_server


class XRootD:
    """A running server."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            port = listener.getsockname()[1]
        config = scratch / "xrootd.cfg"
        config.write_text(
            f"xrd.port {port}\nall.export {folder}\nall.adminpath {scratch}\n"
            f"all.pidpath {scratch}\nxrootd.monitor all off\n"
        )
        user = {}
        if os.geteuid() == 0:  # it refuses to run as root
            user = {"user": "nobody"}
            shutil.chown(scratch, "nobody")
        self.log = scratch / "log"
        with self.log.open("wb") as log:
            command = ["xrootd", "-c", str(config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=scratch, **user)
        self.url = f"root://127.0.0.1:{port}/{folder}"
        for _ in range(100):
            with closing(socket.socket()) as client:
                if not client.connect_ex(("127.0.0.1", port)):
                    return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running_xrootd(folder: Path) -> Iterator[XRootD]:
    with tempfile.TemporaryDirectory() as scratch:
        server = XRootD(folder, Path(scratch))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def xrootd(folder: Path) -> Iterator[XRootD]:
    with running_xrootd(folder) as server:
        yield server


@pytest.fixture(
    params=[
        pytest.param("http", marks=needs_http),
        pytest.param("root", marks=needs_xrootd),
        "memory",
    ]
)
def place(request: pytest.FixtureRequest, folder: Path) -> str:
    """Return the URL of the folder on each kind of server."""
    if request.param == "http":
        return request.getfixturevalue("http").url
    if request.param == "root":
        return request.getfixturevalue("xrootd").url
    memory = fsspec.filesystem("memory")
    for name, data in files_in(folder).items():
        memory.pipe(f"/models/{name}", data)
    return "memory://models"


# --- What works -------------------------------------------------------------------------------


def test_all_of_it(place: str, tmp_path: Path) -> None:
    url = f"{place}/small.root"
    assert onnxroot.list_models(url) == ["dir/external", "tagger"]
    with onnxroot.open(f"{url}:tagger") as model:
        assert model.address == f"{url}:tagger"
        assert model.manifest.metadata == {"campaign": "2026"}
        assert [str(value) for value in model.outputs] == ["scores: FLOAT[n, 3]"]
        assert model.tensors["weight"].shape == (4, 3)
        assert model.to_bytes() == MODEL
    assert onnxroot.verify(f"{url}:dir/external").ok
    onnxroot.convert(f"{url}:dir/external", tmp_path / "external_data.onnx")
    there = files_in(golden("external_data").parent)
    assert files_in(tmp_path) == {name: there[name] for name in files_in(tmp_path)}
    onnxroot.copy(f"{url}:tagger", tmp_path / "copy.root")
    assert onnxroot.list_models(tmp_path / "copy.root") == ["tagger"]


def test_the_command(place: str, tmp_path: Path) -> None:
    url = f"{place}/small.root"
    assert [line.split()[0] for line in done("ls", url).splitlines()[1:]] == [
        "dir/external",
        "tagger",
    ]
    assert f"model       {url}:tagger" in done("show", f"{url}:tagger")
    assert [line.split(": ")[0] for line in done("verify", url).splitlines()] == [
        f"{url}:dir/external",
        f"{url}:tagger",
    ]
    done("convert", f"{url}:tagger", tmp_path / "tagger.onnx", "--timeout", "30")
    assert (tmp_path / "tagger.onnx").read_bytes() == MODEL
    assert done("diff", tmp_path / "tagger.onnx", f"{url}:tagger").startswith("identical")
    done("report", f"{url}:tagger", "-o", tmp_path / "tagger.html", "--timeout", "30")
    assert "small.root:tagger" in (tmp_path / "tagger.html").read_text()


@needs_http
def test_a_tensor_costs_its_chunks_and_the_metadata(http: FileServer) -> None:
    with onnxroot.open(f"{http.url}/large.root") as model:
        assert np.array_equal(model.tensors["w3"].numpy(), values(3))
    assert 1 << 23 < http.n_bytes < (1 << 23) + SMALL
    assert http.n_requests <= 5


@needs_http
def test_a_look_costs_the_metadata(http: FileServer) -> None:
    done("show", f"{http.url}/large.root")
    done("ls", f"{http.url}/large.root")
    assert 0 < http.n_bytes < 2 * SMALL
    assert http.n_requests <= 8


@needs_http
def test_all_of_a_model_is_read_once(http: FileServer, folder: Path) -> None:
    with onnxroot.open(f"{http.url}/large.root") as model:
        model.to_bytes()
    assert http.n_bytes < (folder / "large.root").stat().st_size + SMALL


@needs_xrootd
def test_a_tensor_costs_its_chunks_from_xrootd(folder: Path) -> None:
    with running_xrootd(folder) as server:
        code = (
            "import onnxroot, sys\n"
            "with onnxroot.open(sys.argv[1]) as model:\n"
            "    print(model.tensors['w3'].numpy().sum())"
        )
        url = f"{server.url}/large.root"
        process = subprocess.run(
            [sys.executable, "-c", code, url], capture_output=True, text=True, check=True
        )
        assert int(process.stdout) == int(values(3).sum())
        assert 1 << 23 < bytes_read(server) < (1 << 23) + 2 * SMALL


def bytes_read(server: XRootD) -> int:
    """Return how many bytes a server has read, of files and requests, as the kernel counts it."""
    status = Path(f"/proc/{server.process.pid}/io").read_text().split()
    return int(status[status.index("rchar:") + 1])


@needs_http
def test_a_small_file_from_a_server_that_knows_no_ranges(http: FileServer) -> None:
    http.fault = "whole"
    with onnxroot.open(f"{http.url}/small.root:tagger") as model:
        assert model.to_bytes() == MODEL


@needs_http
def test_a_broken_connection_is_tried_again(http: FileServer) -> None:
    for number in (1, 3):
        http.faults[number] = "break"
    with onnxroot.open(f"{http.url}/large.root") as model:
        assert np.array_equal(model.tensors["w5"].numpy(), values(5))


def test_a_file_in_an_archive(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(folder / "small.root", "small.root")
    url = f"zip://small.root::file://{tmp_path}/a.zip"
    assert onnxroot.list_models(url) == ["dir/external", "tagger"]


@needs_s3
def test_s3(http: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"anon": True, "endpoint_url": http.url}
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    (http.folder / "bucket").mkdir(exist_ok=True)
    shutil.copy(http.folder / "small.root", http.folder / "bucket")
    with onnxroot.open("s3://bucket/small.root:tagger") as model:
        assert model.to_bytes() == MODEL


# --- What users see when something is wrong ---------------------------------------------------


@needs_http
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("404", "No such file"),
        ("403", "the server refuses to give the file (403 Forbidden)"),
        ("500", "the server says 500"),
        ("whole", "the server sends whole files, not parts of them"),
        ("break", "reading failed"),
        ("stall", "no answer within 0.2 s"),
        ("hang", "no answer within 0.2 s"),
        ("endless", "more bytes came than the"),
        ("packed", "the server sends compressed answers"),
        ("astray", "file:"),
    ],
)
@pytest.mark.parametrize("number", [1, 3])
def test_faults_of_http(fault: str, text: str, number: int, http: FileServer) -> None:
    """From the first request on, or while a tensor is read."""
    http.faults = dict.fromkeys(range(number, 10), fault)
    with pytest.raises((onnxroot.RemoteError, FileNotFoundError)) as caught:
        read_large(http.url, 0.2 if fault in {"hang", "stall"} else 20)
    assert f"{http.url}/large.root" in str(caught.value)
    assert text in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError) == (fault == "404")


@needs_http
@pytest.mark.parametrize("fault", ["short", "shifted", "sly", "long", "wide", "drip", "loop"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_answers_that_lie(fault: str, number: int, http: FileServer) -> None:
    """Whatever is wrong with them, it takes neither long nor much, and is no data."""
    http.faults = dict.fromkeys(range(number, 100), fault)
    start = time.monotonic()
    with pytest.raises(onnxroot.OnnxRootError, match=rf"{http.url}/large\.root"):
        read_large(http.url, 0.2 if fault == "drip" else 20)
    assert time.monotonic() - start < 30
    assert http.n_bytes < 3 * (http.folder / "large.root").stat().st_size


def read_large(place: str, timeout: float) -> None:
    with onnxroot.open(f"{place}/large.root", timeout=timeout) as model:
        model.tensors["w3"].numpy()


@needs_http
@pytest.mark.parametrize("command", ["ls", "show", "diff", "report", "view", "verify", "cp"])
def test_every_command_waits_no_longer(command: str, http: FileServer, tmp_path: Path) -> None:
    http.faults = dict.fromkeys(range(1, 10), "stall")
    more = {"diff": ["m.onnx"], "report": ["-o", tmp_path / "m.html"], "cp": [tmp_path / "m.root"]}
    result = run(command, f"{http.url}/small.root", *more.get(command, []), "--timeout", "0.2")
    assert result.exit_code == 2
    assert "no answer within 0.2 s" in result.stderr
    assert not any(tmp_path.iterdir())


@needs_http
def test_a_page_tells_no_keys(http: FileServer, tmp_path: Path) -> None:
    onnxroot.report(f"{http.url}/small.root:tagger?key=secret", tmp_path / "m.html")
    page = (tmp_path / "m.html").read_text()
    assert "<h1>tagger</h1>" in page
    assert "small.root:tagger" in page
    assert "secret" not in page
    assert http.url not in page


def test_no_such_file(place: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file.*missing\.root"):
        onnxroot.list_models(f"{place}/missing.root")
    result = run("show", f"{place}/missing.root:t")
    assert (result.exit_code, result.stderr) == (
        2,
        f"onnxroot: {place}/missing.root: No such file there; is the address right?\n",
    )


@pytest.mark.parametrize(("name", "text"), [("page", "HTML or XML page"), ("empty", "is empty")])
def test_other_files(place: str, name: str, text: str) -> None:
    with pytest.raises(onnxroot.FormatError, match=f"{name}.root: not a ROOT file: .*{text}"):
        onnxroot.open(f"{place}/{name}.root")


@needs_http
def test_a_remote_onnx_file(http: FileServer) -> None:
    """It is not read; the message says what to do."""
    (http.folder / "tagger.onnx").write_bytes(MODEL)
    result = run("show", f"{http.url}/tagger.onnx")
    assert result.exit_code == 2
    assert "of remote files only ROOT files are read: download it" in result.stderr


@pytest.mark.parametrize(
    "scheme", [pytest.param("http", marks=needs_http), pytest.param("root", marks=needs_xrootd)]
)
def test_nobody_listens(scheme: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}//m.root"
    with pytest.raises(onnxroot.RemoteError, match="can't connect"):
        onnxroot.open(url)


@needs_xrootd
def test_a_listener_that_is_no_server() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"root://127.0.0.1:{listener.getsockname()[1]}//m.root"
        with pytest.raises(onnxroot.RemoteError, match="no answer within 1 s"):
            onnxroot.open(url, timeout=1)


@needs_xrootd
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_server_of_xrootd_that_stops(number: int, folder: Path) -> None:
    with (
        running_xrootd(folder) as server,
        onnxroot.open(f"{server.url}/large.root", timeout=2) as model,
    ):
        tensor = model.tensors["w3"]
        server.process.send_signal(number)
        with pytest.raises(onnxroot.RemoteError, match=r"large\.root: (no answer|reading failed)"):
            tensor.numpy()


def test_a_file_that_changes(place: str, folder: Path) -> None:
    url = f"{place}/changing.root"
    change(place, folder, linear_model())
    with onnxroot.open(url) as model:
        names = list(model.tensors)
        change(place, folder, graph_model([raw_tensor(f"w{i}", values(i)) for i in range(2)]))
        assert names == ["weight", "bias"]
    with onnxroot.open(url) as model:
        tensor = model.tensors["w1"]
        change(place, folder, graph_model([raw_tensor(f"w{i}", values(9 - i)) for i in range(2)]))
        if place.startswith("root:"):  # the server has the old file open
            assert np.array_equal(tensor.numpy(), values(1))
            return
        with pytest.raises(onnxroot.OnnxRootError, match="changed"):
            tensor.numpy()


@pytest.mark.parametrize(
    "scheme", [pytest.param("http", marks=needs_http), pytest.param("root", marks=needs_xrootd)]
)
@pytest.mark.parametrize("nbytes", [0, 1000, 1 << 20])
def test_a_file_that_shrinks(
    scheme: str, nbytes: int, folder: Path, request: pytest.FixtureRequest
) -> None:
    """It is the same file to the server, which has it open."""
    place = request.getfixturevalue({"http": "http", "root": "xrootd"}[scheme]).url
    with shrinking(place, folder) as (model, path):
        os.truncate(path, nbytes)
        with pytest.raises(onnxroot.OnnxRootError, match=r"shrinking\.root"):
            model.tensors["w1"].numpy()
        with pytest.raises(onnxroot.OnnxRootError, match=r"shrinking\.root"):
            model.to_bytes()


@needs_xrootd
def test_bytes_that_change_behind_a_server(folder: Path, xrootd: XRootD) -> None:
    with shrinking(xrootd.url, folder) as (model, path):
        data = path.read_bytes()
        at = data.index(values(3).tobytes()[:64])
        with path.open("r+b") as file:
            file.seek(at + 1000)
            file.write(b"other bytes")
        with pytest.raises(onnxroot.IntegrityError, match=r"shrinking\.root"):
            model.tensors["w3"].numpy()
        assert np.array_equal(model.tensors["w0"].numpy(), values(0))


@contextmanager
def shrinking(place: str, folder: Path) -> Iterator[tuple[onnxroot.model.Model, Path]]:
    """Open a model, of which the metadata alone have been read."""
    path = folder / "shrinking.root"
    path.unlink(missing_ok=True)
    model = graph_model([raw_tensor(f"w{i}", values(i)) for i in range(4)])
    onnxroot.write(model, f"{path}:m", compression="none")
    with onnxroot.open(f"{place}/shrinking.root") as opened:
        assert len(opened.tensors) == 4
        yield opened, path


def change(place: str, folder: Path, model: object) -> None:
    """Write a file on a server anew, so that it has the same length each time."""
    path = folder / "changing.root"
    path.unlink(missing_ok=True)
    onnxroot.write(model, f"{path}:m", compression="none")
    if place.startswith("memory:"):
        fsspec.filesystem("memory").pipe("/models/changing.root", path.read_bytes())


@pytest.mark.parametrize(
    "words",
    ["convert {here}/m.onnx {there}", "convert {there}:tagger {away}", "cp {there}:tagger {there}",
     "rm {there}:tagger", "convert {there}:tagger https://host.invalid/m.onnx"],
)  # fmt: skip
def test_remote_files_are_not_written(words: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(MODEL)
    there, away = "root://host.invalid//m.root", "s3://bucket/m.root:t"
    result = run(*words.format(here=tmp_path, there=there, away=away).split())
    assert result.exit_code == 2
    assert "remote files are read, not written; write to a local file and copy" in result.stderr
    with pytest.raises(onnxroot.UnsupportedModelError, match="xrdcp"):
        onnxroot.write(MODEL, there)


def test_remote_files_that_are_no_root_files() -> None:
    result = run("convert", "https://host.invalid/m.onnx", "x.root")
    assert "of remote files only ROOT files are read; download it" in result.stderr


def test_urls_that_nobody_knows() -> None:
    with pytest.raises(onnxroot.FormatError, match="there are no such URLs as gopher"):
        onnxroot.open("gopher://host/m.root")


def test_the_extra_is_named() -> None:
    code = (
        "import sys\n"
        "for name in 'aiohttp', 'fsspec_xrootd', 's3fs':\n"
        "    sys.modules[name] = None\n"
        "import onnxroot._transports as transports\n"
        "transports._refuse_dead_hosts = lambda *_: None\n"
        "from tests.test_cli import run\n"
        "for scheme in 'https', 'root', 's3':\n"
        "    result = run('ls', scheme + '://host.invalid/m.root')\n"
        "    assert result.exit_code == 2\n"
        "    sys.stderr.write(result.stderr)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE
    )
    assert process.stderr.splitlines() == [
        f"onnxroot: {scheme}://host.invalid/m.root: needs packages for remote files: "
        "pip install 'onnxroot[remote]'"
        for scheme in ("https", "root", "s3")
    ]
