"""An HTTP server on loopback that serves parts of files, counts them, and can misbehave."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_PACKED = gzip.compress(bytes(1 << 24))


class FileServer(ThreadingHTTPServer):
    """Serves the files of a folder.

    Attributes:
        url: Its address.
        n_requests: How many requests came.
        n_bytes: How many bytes of files went.
        faults: What to do wrong: see `Handler`. By number of the request, counted from 1.
        fault: What to do wrong with all other requests.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.released = threading.Event()
        self.forget()

    def forget(self) -> None:
        self.n_requests = self.n_bytes = 0
        self.faults: dict[int, str] = {}
        self.fault = ""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections are broken on purpose."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET with a range.

    Its faults: ``whole`` sends all of the file, ``break`` half of what is asked for, ``hang``
    nothing, ``stall`` half and then nothing, ``endless`` more than was asked for, for ever,
    ``packed`` a compressed answer, ``astray`` the way to a local file, ``loop`` the way to where
    the question came from; a number is a status. Answers that look as they should: ``short`` has
    fewer bytes, ``shifted`` the bytes behind, and says so, ``sly`` the same and does not,
    ``long`` and ``wide`` say that the file is longer, by far or by more digits than one can take,
    ``drip`` comes byte by byte.
    """

    protocol_version = "HTTP/1.1"
    server: FileServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        server = self.server
        server.n_requests += 1
        fault = server.faults.get(server.n_requests, server.fault)
        path = server.folder / self.path.partition("?")[0].lstrip("/")
        if fault == "hang":
            server.released.wait(60)
            return
        if fault.isdigit() or not path.is_file():
            self.send_error(int(fault) if fault.isdigit() else 404)
            return
        if fault in {"astray", "loop"}:
            self._redirect(f"file://{path}" if fault == "astray" else self.path)
            return
        data = path.read_bytes()
        bounds = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        whole = fault == "whole" or not bounds[0]
        start, stop = (0, len(data)) if whole else (int(bounds[0]), int(bounds[2] or len(data)) + 1)
        if not whole and start >= len(data):
            self.send_error(416)
            return
        self.send_response(200 if whole else 206)
        part = self._part(fault, data, start, stop)
        if fault == "packed":
            self.send_header("Content-Encoding", "gzip")
        if fault != "endless":
            self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        if not whole:
            start += 8 if fault == "shifted" else 0
            length = {"long": "1" + "0" * 18, "wide": "9" * 5000}.get(fault, str(len(data)))
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{length}")
        self.end_headers()
        if with_body:
            self._send(fault, part)

    def _redirect(self, url: str) -> None:
        self.send_response(302)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _part(self, fault: str, data: bytes, start: int, stop: int) -> bytes:
        """Return what an answer says that it has."""
        part = data[start:stop]
        if fault == "packed":
            return _PACKED
        if fault in {"shifted", "sly"}:
            return data[start + 8 : stop + 8].ljust(len(part), b"\0")
        return part[: len(part) // 2] if fault == "short" else part

    def _send(self, fault: str, part: bytes) -> None:
        """Send the body of an answer."""
        server = self.server
        part = part[: len(part) // 2] if fault in {"break", "stall"} else part
        for i in range(len(part) if fault == "drip" else 0):
            self.wfile.write(part[i : i + 1])
            if server.released.wait(0.02):
                return
        if fault != "drip":
            self.wfile.write(part)
        server.n_bytes += len(part)
        while fault == "endless" and not server.released.is_set():
            self.wfile.write(bytes(1 << 16))
        if fault == "stall":
            server.released.wait(60)
        if fault:
            self.close_connection = True


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    """Serve a folder while the context lasts."""
    server = FileServer(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
