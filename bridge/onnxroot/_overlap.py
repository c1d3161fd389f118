"""Work that is done ahead in threads, while the caller is busy with what comes before it.

Compressors, hash functions, NumPy's copies and file I/O let other threads run, so that the cores of
a machine share them. What is done ahead is bounded, and with it the memory it takes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from threading import Condition
from typing import Generic, TypeVar

__all__ = ["Ahead", "Turns", "in_order", "new_pool"]

T = TypeVar("T")
R = TypeVar("R")

_N_THREADS = min(os.cpu_count() or 1, 4)
_BACKLOG = _N_THREADS + 1  # results that may wait


def new_pool() -> ThreadPoolExecutor:
    """Return threads for `Ahead`: as many as there are cores, but only a few."""
    return ThreadPoolExecutor(_N_THREADS, thread_name_prefix="onnxroot")


def in_order(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Apply a function to items in threads.

    Args:
        function: Is called for several items at once.
        items: Are taken from their iterator in the caller's thread, a few ahead.

    Yields:
        The results, in the order of the items; an error takes the place of its result.
    """
    items = iter(items)
    first = list(islice(items, 2))
    if len(first) < 2:  # threads would take longer to start
        yield from map(function, first)
        return
    waiting: deque[Future[R]] = deque()
    pool = new_pool()
    try:
        for item in chain(first, items):
            waiting.append(pool.submit(function, item))
            if len(waiting) > _BACKLOG:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Turns:
    """Lets tasks that run in threads do a part of their work one after the other."""

    def __init__(self) -> None:
        """Begin with task 0."""
        self._next = 0
        self._changed = Condition()

    @contextmanager
    def of(self, number: int) -> Iterator[Callable[[], None]]:
        """Let a task have its turn; the next one's comes when it is through with this context.

        Args:
            number: Which task: each has one, without gaps, and those before it have begun.

        Yields:
            What waits until the tasks before this one are through with theirs.
        """

        def wait() -> None:
            with self._changed:
                self._changed.wait_for(lambda: self._next == number)

        try:
            yield wait
        finally:
            wait()
            with self._changed:
                self._next += 1
                self._changed.notify_all()


class Ahead(Generic[R]):
    """Results of a function of a number, asked for one number after the other."""

    def __init__(
        self, function: Callable[[int], R], pool: Callable[[], ThreadPoolExecutor]
    ) -> None:
        """Begin with nothing.

        Args:
            function: Is called for several numbers at once.
            pool: Gives the threads, once they are needed.
        """
        self._function = function
        self._pool = pool
        self._found: dict[int, Future[R]] = {}

    def get(self, number: int, stop: int) -> R:
        """Return the result for a number.

        Args:
            number: Which.
            stop: The numbers up to here will be asked for next.
        """
        wanted = range(number, min(number + _BACKLOG, stop))
        for old in [n for n in self._found if n not in wanted]:
            self._found.pop(old).cancel()
        if len(wanted) < 2 and number not in self._found:
            return self._function(number)
        for n in wanted:
            if n not in self._found:
                self._found[n] = self._pool().submit(self._function, n)
        return self._found.pop(number).result()
