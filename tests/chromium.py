"""A real browser without a window, for pages that people will look at.

It is driven by the protocol of its developer tools, over a pair of pipes: JSON and a zero byte.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 60.0


class Chromium:
    """One page in Chromium, which reaches nothing but this machine; a context manager."""

    def __init__(self, profile: Path, width: int = 1200, height: int = 900) -> None:
        """Start it, or skip the test."""
        found = next(filter(None, map(shutil.which, _NAMES)), None)
        if found is None:
            pytest.skip("needs Chromium: apt-get install chromium")
        (their_in, self._out), (self._in, their_out) = os.pipe(), os.pipe()
        low = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (their_in, their_out)]

        def connect() -> None:
            os.dup2(low[0], 3)
            os.dup2(low[1], 4)

        self._process = subprocess.Popen(
            [
                *(found, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={profile}"),
                "--remote-debugging-pipe",
                *("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "about:blank"),
            ],
            close_fds=False,
            preexec_fn=connect,  # noqa: PLW1509  (no lock is held, and nothing else gives 3 and 4)
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (their_in, their_out, *low):
            os.close(fd)
        self._buffer = b""
        self._number = 0
        self._session = ""
        target = next(
            one["targetId"]
            for one in self.call("Target.getTargets")["targetInfos"]
            if one["type"] == "page"
        )
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                data = os.read(self._in, 1 << 16)
                assert data, "Chromium has ended"
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str, ready: str = "document.readyState == 'complete'") -> None:
        """Open a page, and wait until an expression is true."""
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + _SECONDS
        while not self.value(f"location.href != 'about:blank' && ({ready})"):
            assert time.monotonic() < deadline, f"{url}: {ready} did not become true"
            time.sleep(0.05)

    def value(self, expression: str) -> Any:
        """Return what an expression has as its value on the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def count(self, selector: str) -> int:
        """Count the elements that a CSS selector finds."""
        return int(self.value(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def screenshot(self, place: Path) -> int:
        """Take a picture of the whole page; return how many different pixels it has, about."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        place.write_bytes(base64.b64decode(found["data"]))
        return len(_pixels(place.read_bytes()))

    def print(self) -> bytes:
        """Return the page as PDF."""
        return base64.b64decode(self.call("Page.printToPDF")["data"])


def _pixels(png: bytes) -> set[bytes]:
    """Return the distinct filtered pixels of a PNG: a blank page has a handful."""
    assert png.startswith(b"\x89PNG")
    data, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    pixels = zlib.decompress(data)
    return {pixels[i : i + 3] for i in range(0, len(pixels) - 3, 3)}
