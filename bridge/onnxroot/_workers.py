"""Who converts many models for the command, and what is seen of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from onnxroot.errors import MissingDependencyError, UnsupportedModelError
from onnxroot.many import Outcome

__all__ = ["Pool", "shown_progress", "workers"]


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
    """Processes that a Ctrl-C ends at once, each behind a model or before it, never within."""

    def __init__(self, n_processes: int) -> None:
        """Start no process yet.

        Args:
            n_processes: How many there will be.
        """
        context = multiprocessing.get_context("spawn")  # forks of programs with threads may hang
        super().__init__(n_processes, context, initializer=_end_on_interrupt)

    def submit(  # type: ignore[override]  # with less freedom
        self, function: Callable[..., Any], /, *arguments: Any
    ) -> Future[Any]:
        """Call a function in one of the processes."""
        return super().submit(_call, function, arguments)

    def __exit__(self, kind: object, error: object, traceback: object) -> bool | None:
        """Wait for the processes; behind an error, only for what they are at."""
        self.shutdown(wait=True, cancel_futures=kind is not None)
        return None


def _end_on_interrupt() -> None:
    """Let a Ctrl-C end a process that is waiting, without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _call(function: Callable[..., Any], arguments: Iterable[Any]) -> Any:
    """Call a function; on Ctrl-C let it clean up, and end the process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return function(*arguments)
    except KeyboardInterrupt:
        os._exit(130)
    finally:
        _end_on_interrupt()


@contextmanager
def shown_progress() -> Iterator[Callable[[int, int, Outcome], None] | None]:
    """Give a function that shows how far a conversion is; None if nobody would see it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415  (scripts need none)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), "{task.description}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(n_done: int, n_all: int, outcome: Outcome) -> None:
            failed = "[red]failed[/red] " if outcome.status == "failed" else ""
            name = outcome.source.rpartition(os.sep)[2].replace("[", r"\[")
            bar.update(task, completed=n_done, total=n_all, description=failed + name)

        yield show
