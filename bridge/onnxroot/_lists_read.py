"""Long lists of a table that become records page by page, while the digest sees all columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from onnxroot._overlap import Turns
from onnxroot._records import SHORT_TEXT, Records, can_be_long, encoded, encoded_texts
from onnxroot._schema import Field

__all__ = ["PageOfList", "RecordTask", "are_long", "record_tasks"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
Arrays = Mapping[int, npt.NDArray[Any]]

_TEXTS: Final = 1 << 16  # texts that become records at once

RecordTask = Callable[[], list[tuple[int, U8]]]
"""Gives records of some elements of a field, as `_records.encoded` does; in any thread."""


class PageOfList(NamedTuple):
    """Some elements of a column: the first one, and what reads them."""

    first: int
    read: Callable[[], npt.NDArray[Any]]


def are_long(field: Field, rows: I64, n_elements: int, *texts: npt.NDArray[Any]) -> bool:
    """Return whether lists are better kept as records; not if they contradict each other.

    Args:
        field: Whose lists they are.
        rows: int64, shape (n_rows + 1,); their offsets, whatever they say.
        n_elements: How many elements there are.
        texts: Of texts, their offsets and their bytes.
    """
    if not len(rows) or rows[0] != 0 or rows[-1] != n_elements:
        return False
    lengths = np.diff(rows)
    if (lengths < 0).any() or not can_be_long(field, int(np.count_nonzero(lengths)), n_elements):
        return False
    if not texts:
        return True
    offsets, chars = texts
    if offsets[0] != 0 or offsets[-1] != len(chars):
        return False
    return all(
        np.diff(offsets[first : first + _TEXTS + 1]).view(np.uint64).max() < SHORT_TEXT
        for first in range(0, len(offsets) - 1, _TEXTS)
    )  # negative ones are large


def record_tasks(
    columns: Mapping[str, Sequence[int]],
    long: Mapping[str, Field],
    expected: Mapping[str, Records],
    arrays: Arrays,
    pages: Callable[[int], Sequence[PageOfList]],
    digest: xxhash.xxh64,
    turns: Turns,
) -> tuple[dict[str, list[RecordTask]], list[npt.NDArray[Any]]]:
    """Return what makes records of long lists, and lets the digest have all columns in order.

    Args:
        columns: By field, the numbers of its columns, outermost first.
        long: The fields whose lists are long.
        expected: By field, what its records should be, where that is known.
        arrays: The columns by number, but numbers in long lists.
        pages: Gives these, page by page, for the number of their column.
        digest: Of the table: FORMAT §3.4.
        turns: Of the tasks at the digest.

    Returns:
        Tasks by field, to be begun in their order; and the arrays that the digest is to have when
        they are done.
    """
    n_turns = count()

    def have(arrays: Iterable[npt.NDArray[Any]]) -> None:
        for array in arrays:
            digest.update(memoryview(array.view(np.uint8)))

    def records(
        field: Field, rows: I64, page: PageOfList, turn: int, before: list[npt.NDArray[Any]]
    ) -> list[tuple[int, U8]]:
        with turns.of(turn) as wait:
            values = page.read()
            wait()
            have([*before, values])
        return encoded(field, rows, page.first, values, expected.get(field.name))

    def first_texts(
        task: RecordTask, turn: int, before: list[npt.NDArray[Any]]
    ) -> list[tuple[int, U8]]:
        with turns.of(turn) as wait:
            wait()
            have(before)
        return task()

    tasks: dict[str, list[RecordTask]] = {}
    before: list[npt.NDArray[Any]] = []
    for name, (*lists, last) in columns.items():
        before += [arrays[number][1:] for number in lists]
        before += [arrays[last]] if last in arrays else []
        if name not in long:
            continue
        field, rows = long[name], arrays[lists[0]]
        if field.is_text:
            texts, known = (arrays[lists[1]], arrays[last]), expected.get(name)
            tasks[name] = [
                partial(encoded_texts, field, rows, *texts, slice(first, first + _TEXTS), known)
                for first in range(0, len(texts[0]) - 1, _TEXTS)
            ]
            tasks[name][0] = partial(first_texts, tasks[name][0], next(n_turns), before)
            before = []
            continue
        tasks[name] = []
        for page in pages(last):
            tasks[name].append(partial(records, field, rows, page, next(n_turns), before))
            before = []
    return tasks, before
