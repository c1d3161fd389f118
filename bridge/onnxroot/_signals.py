"""What signals do to the command: they break off its work, so that it cleans up.

Before and after the work there is nothing to clean up: then Ctrl-C ends the program without a word.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["end_at_once", "orderly_end"]

_PAUSE = 0.02  # seconds
_PAUSES = 50  # how many there are at most until an import is broken off


def end_at_once() -> None:
    """Let Ctrl-C end the program, as long as it is neither ignored nor somebody else's."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)  # before what is half imported can object


@contextmanager
def orderly_end() -> Iterator[None]:
    """Let a request to end the program break off a block: by KeyboardInterrupt, or SystemExit.

    It does so even where a library makes another exception of these, or can't raise any.
    """
    wanted: dict[int, object] = {signal.SIGINT: _end, signal.SIGTERM: signal.SIG_DFL}
    if hasattr(signal, "SIGHUP"):  # not on Windows
        wanted[signal.SIGHUP] = signal.SIG_DFL
    if threading.current_thread() is not threading.main_thread():
        wanted = {}  # others can't
    handlers = {number: signal.getsignal(number) for number in wanted}
    changed = {n: handler for n, handler in handlers.items() if handler == wanted[n]}
    breaker, hook = _Breaker(), sys.unraisablehook
    for number in changed:
        signal.signal(number, breaker.hear)
    sys.unraisablehook = breaker.hook
    try:
        yield
    except Exception as error:
        breaker.stop(error)
        raise
    finally:
        sys.unraisablehook = hook
        for number, handler in changed.items():
            signal.signal(number, handler)


class _Breaker:
    """Breaks off what the main thread does, when it has heard a signal."""

    def __init__(self) -> None:
        """Wait for a signal."""
        self._heard: int | None = None
        self._hook = sys.unraisablehook
        self._n_pauses = 0

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; let an import end, for libraries can't be broken off there."""
        self._heard = number
        if self._n_pauses < _PAUSES and _is_import(frame):
            self._n_pauses += 1
            self._repeat(number)
        else:
            self.stop()

    def stop(self, cause: Exception | None = None) -> None:
        """Raise what ends the program, if there was a signal."""
        if self._heard == signal.SIGINT:
            raise KeyboardInterrupt from cause
        if self._heard is not None:
            raise SystemExit(128 + self._heard) from cause

    def hook(self, report: sys.UnraisableHookArgs) -> None:
        """Try again, if it could not be raised: as where objects are deleted."""
        if self._heard and issubclass(report.exc_type, KeyboardInterrupt | SystemExit):
            self._repeat(self._heard)
        else:
            self._hook(report)

    def _repeat(self, number: int) -> None:
        threading.Timer(_PAUSE, _wake, [number]).start()


def _wake(number: int) -> None:
    """Send a signal to the main thread, also while it waits for something."""
    if hasattr(signal, "pthread_kill"):  # not on Windows
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def _is_import(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
