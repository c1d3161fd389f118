"""Who converts many models for the command."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from onnxroot.errors import MissingDependencyError, UnsupportedModelError

__all__ = ["Pool", "workers"]


@contextmanager
def workers(n_processes: int, dask: str | None) -> Iterator[Executor | None]:
    """Give an executor: Dask's, or a pool of processes, or none for one process.

    Args:
        n_processes: How many processes of this machine.
        dask: Address of a scheduler, or None.

    Raises:
        MissingDependencyError: Dask is not installed.
        UnsupportedModelError: There is no such scheduler.
    """
    if dask is not None:
        with _dask(dask) as executor:
            yield executor
    elif n_processes > 1:
        with Pool(n_processes) as pool:
            yield pool
    else:
        yield None


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise MissingDependencyError(
            "--dask needs Dask: pip install 'onnxroot[dask]', here and where its workers are"
        ) from error
    try:
        client = Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        text = str(error).split("\n")[0]
        raise UnsupportedModelError(
            f"{address}: no Dask scheduler answers there: {text}"
        ) from error
    with client:
        yield client.get_executor(pure=False)


class Pool(ProcessPoolExecutor):
    """Processes that a Ctrl-C stops at once; what they are at is undone."""

    def __init__(self, n_processes: int) -> None:
        """Start no process yet.

        Args:
            n_processes: How many there will be.
        """
        context = multiprocessing.get_context("spawn")  # forks of programs with threads may hang
        super().__init__(n_processes, context, initializer=_get_ready)

    def submit(  # type: ignore[override]  # with less freedom
        self, function: Callable[..., Any], /, *arguments: Any
    ) -> Future[Any]:
        """Call a function in one of the processes.

        This may start one: until that is ready for a Ctrl-C, it must wait.
        """
        with _held_interrupts():
            return super().submit(_call, function, arguments)

    def __exit__(self, kind: object, error: object, traceback: object) -> bool | None:
        """Wait for the processes; behind an error, only for what they are at."""
        self.shutdown(wait=True, cancel_futures=kind is not None)
        return None


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Let a Ctrl-C wait, in this thread and in processes that are started in it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _get_ready() -> None:
    """Begin as a process of a pool."""
    signal.signal(signal.SIGINT, _stop)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _stop(*_: object) -> None:
    """Note that there was a Ctrl-C: a process that ignores it has stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _break_off(*_: object) -> None:
    """Note it, and break off what is going on."""
    _stop()
    raise KeyboardInterrupt


def _call(function: Callable[..., Any], arguments: Iterable[Any]) -> Any:
    """Call a function, unless there was a Ctrl-C; if there is one, let it clean up."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, _break_off)
    try:
        return function(*arguments)
    finally:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, _stop)
