"""A real browser without a window, for pages that people will look at."""

import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def browse(url: str, profile: Path, *options: str, online: bool = False) -> str:
    """Open a page in Chromium, off the network unless asked; return what it prints."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    command = [found, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={profile}", "--disable-dev-shm-usage", "--no-first-run"]
    if not online:
        command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9"]
    done = subprocess.run(
        [*command, *options, url], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def dom(url: str, profile: Path, **options: bool) -> str:
    """Return the page as the browser has built it, scripts included."""
    return browse(url, profile, "--dump-dom", "--virtual-time-budget=10000", **options)


def screenshot(
    url: str, profile: Path, place: Path, width: int, height: int, **options: bool
) -> set:
    """Take a picture of a page; return the distinct colours of its rows of pixels, a sample."""
    size = f"--window-size={width},{height}"
    wait = "--virtual-time-budget=10000"
    browse(url, profile, f"--screenshot={place}", size, wait, **options)
    return _colours(place.read_bytes())


def _colours(png: bytes) -> set[bytes]:
    """Return the distinct filtered pixels of a PNG: a blank page has a handful."""
    assert png.startswith(b"\x89PNG")
    data, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    pixels = zlib.decompress(data)
    return {pixels[i : i + 4] for i in range(0, len(pixels) - 4, 4)}
