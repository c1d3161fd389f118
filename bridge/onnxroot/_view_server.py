"""The graph of a model in the browser: Netron's pages and the model's bytes, from memory.

Netron's own server reads the model as a whole and serves the folder around it; its page asks the
network where the user is, and reports what is opened. So only its pages are used. They come from
loopback, under a path that nobody can guess; the browser is told to let them talk to nothing else.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from onnxroot._join import Document
from onnxroot._model_view import ModelView
from onnxroot.errors import MissingDependencyError

__all__ = ["ViewServer"]

_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
}

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ViewServer:
    """Serves one model on loopback, in a thread of its own; a context manager.

    Attributes:
        url: The page to open.
    """

    def __init__(self, view: ModelView, port: int = 0) -> None:
        """Listen, but answer nothing yet.

        Args:
            view: The model, open as long as it is served.
            port: Where to listen; 0 takes one that is free.

        Raises:
            MissingDependencyError: Netron is not installed.
            OSError: The port is taken.
        """
        pages = _netron()
        files = view.parts.documents()
        name = _file_name(view)
        served = {location or name: file for location, file in files.items()}
        token = secrets.token_urlsafe(16)

        class Handler(_Handler):
            """Answers for this model."""

        handler = Handler
        handler.pages, handler.files, handler.name = pages, served, name
        handler.token, handler.lock = token, Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        listening = self._server.server_port
        handler.hosts = frozenset({f"127.0.0.1:{listening}", f"localhost:{listening}"})
        self.url = f"http://127.0.0.1:{listening}/{token}/"

    def __enter__(self) -> ViewServer:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _netron() -> Path:
    """Return the folder of Netron's pages."""
    spec = find_spec("netron")
    if spec is None or spec.origin is None:
        raise MissingDependencyError("the graph view needs Netron: pip install 'onnxroot[view]'")
    return Path(spec.origin).parent


def _file_name(view: ModelView) -> str:
    """Return what the model is called in the browser; Netron goes by the ending."""
    name = re.split(r"[/:\\]", view.address)[-1] or Path(view.path).name
    return name if name.lower().endswith(".onnx") else f"{name}.onnx"


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; `ViewServer` makes a class of it for each model."""

    pages: Path
    files: Mapping[str, Document]
    name: str
    token: str
    lock: Any
    hosts: frozenset[str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a page, or one of the model's files."""
        if self.headers.get("Host") not in self.hosts:
            self._refuse(HTTPStatus.FORBIDDEN)  # a foreign name that leads here
            return
        prefix = f"/{self.token}/"
        path = unquote(urlsplit(self.path).path)
        if not path.startswith(prefix):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        path = path[len(prefix) :] or "index.html"
        if path.startswith("data/"):
            self._send_file(path.removeprefix("data/"))
        else:
            self._send_page(path)

    do_HEAD = do_GET  # noqa: N815  (the name that http.server calls)

    def _send_file(self, name: str) -> None:
        found = self.files.get(name)
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        self._begin("application/octet-stream", found.nbytes)
        if self.command == "HEAD":
            return
        with self.lock:  # a model is read by one thread at a time
            for window in found.windows():
                self.wfile.write(memoryview(window))

    def _send_page(self, name: str) -> None:
        kind = _TYPES.get(Path(name).suffix)
        if kind is None or not re.fullmatch(r"[\w-]+\.\w+", name):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        try:
            data = (self.pages / name).read_bytes()
        except OSError:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        if name == "index.html":
            data = self._index(data.decode()).encode()
        self._begin(kind, len(data))
        if self.command != "HEAD":
            self.wfile.write(data)

    def _index(self, page: str) -> str:
        """Tell Netron which model to open, and not to report it to anyone.

        A version of 0.0.0 is one of its developers', which reports nothing. It refuses to work when
        it is half a year old: the date is today's.
        """
        name = escape(self.name, quote=True)
        tags = {
            "type": "Python",
            "version": "0.0.0",
            "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S}",
            "file": f"data/{quote(self.name)}",
            "name": name,
            "identifier": name,
        }
        page = re.sub(r'<meta name="(version|date)" content="[^"]*">\n?', "", page)
        told = "".join(f'<meta name="{key}" content="{text}">\n' for key, text in tags.items())
        return page.replace("<title>", f"{told}<title>", 1)

    def _begin(self, kind: str, nbytes: int) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(nbytes))
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        # It would ask for leave to report what it does not report.
        self.send_header("Set-Cookie", f"consent=1; Path=/{self.token}/; SameSite=Strict")
        self.end_headers()

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""
