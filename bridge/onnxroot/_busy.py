"""What people see while a command takes more than a second: a bar on their terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Timer

__all__ = ["Progress", "busy"]

Progress = Callable[[int, int], None]
"""Is told how many bytes are done, and of how many."""

_SECONDS = 1.0  # what takes less needs no bar


@contextmanager
def busy(what: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Show a bar on standard error while the block runs, if it is a terminal.

    Args:
        what: What is going on, as ``reading tagger.onnx``.
        quiet: Show nothing.

    Yields:
        What to tell how far it is; until then the bar says only that something is going on.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    bar = _Bar(what)
    timer = Timer(_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield bar.update
    finally:
        timer.cancel()
        bar.stop()


class _Bar:
    """A bar that appears late, and is gone at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._state: tuple[int, int | None] = (0, None)
        self._lock = Lock()
        self._stop: Callable[[], None] | None = None
        self._show: Callable[[int, int | None], None] | None = None
        self._ended = False

    def start(self) -> None:
        """Appear, unless it is over."""
        from rich.console import Console  # noqa: PLC0415  (0.1 s, if it is short)
        from rich.markup import escape  # noqa: PLC0415
        from rich.progress import BarColumn, DownloadColumn, TimeElapsedColumn  # noqa: PLC0415
        from rich.progress import Progress as RichProgress  # noqa: PLC0415

        columns = (BarColumn(), DownloadColumn(), TimeElapsedColumn(), "{task.description}")
        shown = RichProgress(*columns, console=Console(stderr=True), transient=True)
        with self._lock:
            if self._ended:
                return
            done, total = self._state
            task = shown.add_task(escape(self._what), completed=done, total=total)
            self._show = lambda n, n_all: shown.update(task, completed=n, total=n_all)
            self._stop = shown.stop
            shown.start()

    def update(self, done: int, total: int) -> None:
        """Say how far it is."""
        self._state = done, total
        if self._show:
            self._show(done, total)

    def stop(self) -> None:
        """Go away."""
        with self._lock:
            self._ended = True
            if self._stop:
                self._stop()
