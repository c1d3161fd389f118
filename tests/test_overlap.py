"""Work that is done ahead: in order, and bounded."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from queue import SimpleQueue
from threading import Event, Timer, get_ident
from time import sleep

import pytest

from onnxroot._overlap import Ahead, Threads, Turns, in_order, new_pool


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_results_come_in_order(n: int) -> None:
    assert list(in_order(lambda item: item * item, range(n))) == [i * i for i in range(n)]


def test_only_a_few_items_are_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    with closing(in_order(str, items())) as results:
        assert next(results) == "0"
        assert len(taken) < 20


def test_an_error_takes_the_place_of_its_result() -> None:
    results = in_order(lambda item: 1 // (3 - item), range(10))
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_threads_give_each_result_once() -> None:
    with Threads(str, 1) as threads:
        threads.give(5)
        threads.give(6)
        assert threads.result(1) == "6"
        assert threads.is_done(0)
        assert threads.result(0) == "5"
        for number in (0, 2):
            assert not threads.is_done(number)
            with pytest.raises(KeyError):
                threads.result(number)


def test_threads_that_are_left_end_what_they_have_begun() -> None:
    begun, go, done = Event(), Event(), []

    def work(number: int) -> None:
        begun.set()
        go.wait(10)
        done.append(number)

    def leave() -> None:
        with Threads(work, 1) as threads:
            for number in range(5):
                threads.give(number)
            assert begun.wait(10)
            Timer(0.05, go.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert done == [0]


def test_the_caller_works_too_and_an_interrupt_ends_it() -> None:
    callers, begun, go = set[int](), Event(), Event()

    def work(number: int) -> int:
        callers.add(get_ident())
        if get_ident() != me:
            begun.set()
            go.wait(10)
        elif number == 7:
            go.set()
            raise KeyboardInterrupt
        return number

    def fetch() -> None:
        with Threads(work, 1, caller_helps=True) as threads:
            for number in range(9):
                threads.give(number)
            assert begun.wait(10)
            threads.result(0)

    me = get_ident()
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert len(callers) == 2


def test_an_interrupt_that_loses_a_result_is_no_reason_to_wait_for_it() -> None:
    class Interrupted(Threads[int, str]):
        def _note(self, *_: object) -> None:
            raise KeyboardInterrupt

    def fetch() -> None:
        with Interrupted(str, 2) as threads:
            threads.give(1)
            threads.result(0)

    with pytest.raises(KeyboardInterrupt):
        fetch()


def test_a_turn_that_an_interrupt_takes_away_is_not_waited_for() -> None:
    """Ctrl-C may come when the caller has a task, and is not yet, or no longer, in its turn."""
    turns, me, begun = Turns(), get_ident(), SimpleQueue[int]()

    def work(number: int) -> None:
        if get_ident() == me:
            while begun.get(timeout=10) < number:
                pass
            raise KeyboardInterrupt  # while a thread waits for this turn
        begun.put(number)
        with turns.of(number) as wait:
            wait()

    with pytest.raises(KeyboardInterrupt):
        list(in_order(work, range(20), turns))


def test_an_interrupt_may_come_while_a_turn_is_waited_for() -> None:
    turns = Turns()
    with turns.of(0) as wait:
        wait()
        wait()
    with turns.of(1) as wait:
        wait()


def test_results_that_nobody_fetched_do_not_keep_python_from_its_end() -> None:
    code = "from onnxroot._overlap import in_order as f; held = f(str, range(99)); next(held)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_numbers_are_worked_out_ahead_but_not_behind_the_stop() -> None:
    done: list[int] = []
    last = Event()

    def square(number: int) -> int:
        done.append(number)
        if number == 2:
            last.set()
        return number * number

    with new_pool() as pool:
        ahead = Ahead(square, lambda: pool)
        assert ahead.get(0, 3) == 0
        assert last.wait(10)  # nobody has asked for it yet
        assert [ahead.get(number, 3) for number in (1, 2)] == [1, 4]
    assert sorted(done) == [0, 1, 2]


@pytest.mark.parametrize("fails", [None, 0, 3])
def test_turns_come_in_order(fails: int | None) -> None:
    turns, seen = Turns(), list[int]()

    def work(number: int) -> None:
        with turns.of(number) as wait:
            sleep((number % 3) / 1000)
            if number == fails:
                raise ValueError(number)
            wait()
            seen.append(number)

    with new_pool() as pool:
        tasks = [pool.submit(work, number) for number in range(20)]
    assert seen == [number for number in range(20) if number != fails]
    assert [number for number, task in enumerate(tasks) if task.exception()] == (
        [] if fails is None else [fails]
    )
