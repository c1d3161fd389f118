"""What people see while a command takes more than a second: a bar on their terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import Protocol

from onnxroot._readable import visible

__all__ = ["Progress", "Shown", "busy"]

Progress = Callable[[int, int], None]
"""Is told how many bytes are done, and of how many."""


class Shown(Protocol):
    """What is seen; takes what `Progress` is told, and what is going on by now."""

    def __call__(self, done: int, total: int, what: str = "", /) -> None:
        """Say how far it is."""
        ...


_SECONDS = 1.0  # what takes less needs no bar


@contextmanager
def busy(what: str, *, quiet: bool = False, counts: bool = False) -> Iterator[Shown]:
    """Show a bar on standard error while the block runs, if it is a terminal.

    Args:
        what: What is going on, as ``reading tagger.onnx``.
        quiet: Show nothing.
        counts: It is told numbers of things instead of bytes.

    Yields:
        What to tell how far it is; until then the bar says only that something is going on.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _all, _what="", /: None
        return
    bar = _Bar(what, counts=counts)
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

    def __init__(self, what: str, *, counts: bool) -> None:
        self._counts = counts
        self._state: tuple[int, int | None, str] = (0, None, what)
        self._lock = Lock()
        self._stop: Callable[[], None] | None = None
        self._show: Callable[[int, int | None, str], None] | None = None
        self._ended = False

    def start(self) -> None:
        """Appear, unless it is over."""
        from rich.console import Console  # noqa: PLC0415  (0.1 s, if it is short)
        from rich.markup import escape  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress  # noqa: PLC0415

        number = MofNCompleteColumn() if self._counts else DownloadColumn()
        when = TimeRemainingColumn() if self._counts else TimeElapsedColumn()
        columns = (BarColumn(), number, when, "{task.description}")
        shown = RichProgress(*columns, console=Console(stderr=True), transient=True)
        with self._lock:
            if self._ended:
                return
            task = shown.add_task("")

            def show(done: int, total: int | None, what: str) -> None:
                text = escape(visible(what))
                shown.update(task, completed=done, total=total, description=text)

            show(*self._state)
            self._show = show
            self._stop = shown.stop
            shown.start()

    def update(self, done: int, total: int, what: str = "", /) -> None:
        """Say how far it is."""
        self._state = done, total, what or self._state[2]
        if self._show:
            self._show(*self._state)

    def stop(self) -> None:
        """Go away."""
        with self._lock:
            self._ended = True
            if self._stop:
                self._stop()
