"""Work that is done ahead in threads, while the caller is busy with what comes before it.

Compressors, hash functions, NumPy's copies and file I/O let other threads run, so that the cores of
a machine share them. What is done ahead is bounded, and with it the memory it takes.
"""

from __future__ import annotations

import os
import sys
from _thread import start_new_thread
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain, islice
from queue import Empty, SimpleQueue
from threading import Lock
from types import TracebackType
from typing import Generic, TypeVar, cast

__all__ = ["Ahead", "Threads", "Turns", "called", "in_order", "new_pool"]

T = TypeVar("T")
R = TypeVar("R")

_N_THREADS = min(os.cpu_count() or 1, 4)
_BACKLOG = _N_THREADS + 1  # results that may wait


def called(function: Callable[[], R]) -> R:
    """Call a function: for `in_order` and `Threads`, whose items may be functions."""
    return function()


def new_pool() -> ThreadPoolExecutor:
    """Return threads for `Ahead`: as many as there are cores, but only a few."""
    return ThreadPoolExecutor(_N_THREADS, thread_name_prefix="onnxroot")


def in_order(
    function: Callable[[T], R], items: Iterable[T], turns: Turns | None = None
) -> Iterator[R]:
    """Apply a function to items in threads, and in the caller's while it would wait for one.

    Args:
        function: Is called for several items at once.
        items: Are taken from their iterator in the caller's thread, a few ahead.
        turns: Those that the function takes, if it does: given up when an interrupt ends all.

    Yields:
        The results, in the order of the items; an error takes the place of its result.
    """
    items = iter(items)
    first = list(islice(items, 2))
    if len(first) < 2:  # threads would take longer to start
        yield from map(function, first)
        return
    n_given = n_yielded = 0
    with Threads(function, max(_N_THREADS - 1, 1), caller_helps=True) as threads:
        try:
            for item in chain(first, items):
                threads.give(item)
                n_given += 1
                if n_given - n_yielded > _BACKLOG:
                    yield threads.result(n_yielded)
                    n_yielded += 1
            for number in range(n_yielded, n_given):
                yield threads.result(number)
        finally:
            if turns is not None:
                turns.give_up()


class Threads(Generic[T, R]):
    """Threads that apply a function to items; a context manager.

    They cost 40 us to start and 5 us an item, a quarter of what `concurrent.futures` takes, which
    is felt where a result takes less than a millisecond. Nobody waits until a thread runs, or has
    ended: only for results. They do not keep Python from its end, should nobody have stopped them.
    """

    def __init__(
        self, function: Callable[[T], R], n_threads: int, *, caller_helps: bool = False
    ) -> None:
        """Start them.

        Args:
            function: Is called for several items at once, if there are several threads; what each
                of them begins is in the order of the items.
            n_threads: How many.
            caller_helps: Whether `result` works on items that no thread has begun, rather than wait
                for one that a thread has: who is woken for each result loses 20 us of it.
        """
        self._function = function
        self._tasks: SimpleQueue[tuple[int, T] | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._early: dict[int, tuple[R | None, BaseException | None]] = {}
        self._n_given = self._n_done = 0
        self._n_threads, self._caller_helps = n_threads, caller_helps
        for _ in range(n_threads):
            start_new_thread(self._work, ())

    def __enter__(self) -> Threads[T, R]:
        """Return the threads."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give up what no thread has begun, and wait for the rest.

        When Python itself ends, its threads have ended or stand still: none would ever be done.
        """
        if sys.is_finalizing():
            return
        with suppress(Empty):
            while True:
                self._tasks.get_nowait()
                self._n_given -= 1
        for _ in range(self._n_threads):
            self._tasks.put(None)
        if self._n_done < self._n_given:  # a thread works on it, or an interrupt came between
            for _ in range(self._n_threads):
                self._ended.get()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            done = self._applied(*task)
            del task  # nobody waits for this thread: what it holds may be closed
            self._done.put(done)
            del done
        self._ended.put(None)

    def _applied(self, number: int, item: T) -> tuple[int, R | None, BaseException | None]:
        try:
            return number, self._function(item), None
        except BaseException as error:  # noqa: BLE001  (the caller's thread raises it)
            return number, None, error

    def give(self, item: T) -> None:
        """Let a thread work on an item, when they are through with those before: 0, 1, ..."""
        self._tasks.put((self._n_given, item))
        self._n_given += 1

    def result(self, number: int) -> R:
        """Return the result for the item of that number, or raise its error; only once.

        Raises:
            KeyError: It was fetched before, or nobody gave such an item.
        """
        while not self.is_done(number) and self._n_done < self._n_given:
            if not (self._caller_helps and self._help()):
                self._note(*self._done.get())
        value, error = self._early.pop(number)
        if error is not None:
            raise error
        return cast("R", value)

    def _help(self) -> bool:
        """Work on the next item, if there is one; return whether there was."""
        try:
            task = self._tasks.get_nowait()
        except Empty:
            return False
        if task is None:
            return False
        number, value, error = self._applied(*task)
        self._note(number, value, error)
        if error is not None and not isinstance(error, Exception):  # the user wants all to end
            raise error
        return True

    def is_done(self, number: int) -> bool:
        """Return whether `result` need not wait for the item of that number."""
        while number not in self._early and not self._done.empty():
            self._note(*self._done.get())
        return number in self._early

    def _note(self, number: int, value: R | None, error: BaseException | None) -> None:
        self._early[number] = value, error
        self._n_done += 1


class Turns:
    """Lets tasks that run in threads do a part of their work one after the other."""

    def __init__(self) -> None:
        """Begin with task 0."""
        self._gates: dict[int, Lock] = {}
        self._are_given_up = False
        self._gate(0).release()

    def _gate(self, number: int) -> Lock:
        """Return the lock that is free once a task's turn has come."""
        lock = Lock()
        lock.acquire()
        return self._gates.setdefault(number, lock)

    @contextmanager
    def of(self, number: int) -> Iterator[Callable[[], None]]:
        """Let a task have its turn; the next one's comes when it is through with this context.

        Args:
            number: Which task: each has one, without gaps, and those before it have begun.

        Yields:
            What waits until the tasks before this one are through with theirs; it may be called
            again, as an interrupt in the midst of it makes necessary.
        """

        def wait() -> None:
            gate = self._gate(number)
            if not self._are_given_up:
                with gate:
                    pass

        try:
            yield wait
        finally:
            wait()
            self._gates.pop(number, None)
            self._open(number + 1)

    def _open(self, number: int) -> None:
        with suppress(RuntimeError):  # it is open
            self._gate(number).release()

    def give_up(self) -> None:
        """Let nobody wait any longer: a task may have been interrupted before it had its turn."""
        self._are_given_up = True
        for number in list(self._gates):
            self._open(number)


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
