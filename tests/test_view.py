"""The graph in the browser: served whole, to nobody else, and drawn by a real Chromium."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import onnxroot
from onnxroot._look import open_view
from tests.chromium import Chromium
from tests.golden import golden
from tests.samples import files_in
from tests.test_cli import run

pytest.importorskip("netron", reason="needs Netron: pip install 'onnxroot[view]'")


def fetch(url: str, path: str = "", **headers: str) -> tuple[int, bytes]:
    """Get a path below the server's page, exactly as it is written."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=20)
    connection.request("GET", path if path.startswith("/") else parts.path + path, headers=headers)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


@pytest.fixture(params=["external_data", "mlp_jet_tagger"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the page's address and the golden model that is served from a ROOT file."""
    from onnxroot._view_server import ViewServer  # noqa: PLC0415  (netron is optional)

    path = golden(request.param)
    onnxroot.write(path, f"{tmp_path}/m.root:dir/{request.param}")
    with open_view(tmp_path / "m.root") as view, ViewServer(view) as server:
        yield server.url, path


def test_every_file_comes_whole(served: tuple[str, Path]) -> None:
    url, path = served
    status, page = fetch(url)
    file = re.search(rb'<meta name="file" content="(.*?)">', page)
    assert (status, file is not None) == (200, True)
    assert fetch(url, file[1].decode()) == (200, path.read_bytes())
    for name, data in files_in(path.parent).items():
        if name.endswith(".bin"):
            assert fetch(url, f"data/{name}") == (200, data)
    assert fetch(url, "view.js")[0] == 200


def test_nothing_else_does(served: tuple[str, Path]) -> None:
    url, _ = served
    assert fetch(url, "/")[0] == 404
    assert fetch(url, "/index.html")[0] == 404
    outside = ("../setup.py", "data/../../x", "%2e%2e/x.js", "server.py", "..%2fnetron/view.js")
    assert [fetch(url, path)[0] for path in outside] == [404] * len(outside)
    assert fetch(url, Host="evil.example")[0] == 403
    page = fetch(url)[1].decode()
    assert '<meta name="version" content="0.0.0">' in page
    assert page.count('<meta name="version"') == page.count('<meta name="date"') == 1


def test_without_netron(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxroot._view_server.find_spec", lambda _: None)
    result = run("view", golden("functions"), "--no-browser")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install 'onnxroot[view]'" in result.stderr


@pytest.mark.sweep
def test_command(tmp_path: Path) -> None:
    """It prints the address, answers, and ends without a word at Ctrl-C."""
    onnxroot.write(golden("functions"), tmp_path / "m.root")
    command = [sys.executable, "-m", "onnxroot", "view", f"{tmp_path}/m.root", "--no-browser"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        url = process.stdout.readline().strip()
        assert fetch(url)[0] == 200
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, "Ctrl-C ends it.\n")


@pytest.mark.sweep
def test_chromium_draws_the_graph(tmp_path: Path) -> None:
    """With no other host to be reached, and no question asked."""
    from onnxroot._view_server import ViewServer  # noqa: PLC0415  (netron is optional)

    drawn = "document.querySelector('.node') && !document.body.classList.contains('spinner')"
    with (
        open_view(golden("mlp_jet_tagger")) as view,
        ViewServer(view) as server,
        Chromium(tmp_path / "profile") as browser,
    ):
        browser.open(server.url, f"!!({drawn})")
        assert browser.count("g.graph-node") == 7
        words = browser.value("document.querySelector('svg.canvas, #canvas').textContent")
        assert all(word in words for word in ("Gemm", "Relu", "Softmax", "features"))
        assert "message" not in browser.value("document.body.className")
        assert browser.screenshot(tmp_path / "graph.png") > 100
        loaded = "performance.getEntriesByType('resource').map(entry => entry.name)"
        assert all(name.startswith(server.url) for name in browser.value(loaded))
