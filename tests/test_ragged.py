"""Ragged pieces: gathered, scattered, counted, by index and by slice."""

import numpy as np
import pytest

from onnxroot._ragged import concatenate, distinct, exclusive_sum, gather, group_starts, scatter

pytestmark = pytest.mark.usefixtures("both_twins")

BLOCK = 1 << 20
"""Of indices; pieces are short below a mean length of 512."""

LENGTHS = {
    "none": [],
    "one": [5],
    "empty pieces": [0, 0, 0],
    "short": [1, 0, 3, 2],
    "long": [2000, 600, 0, 900],
    "short and long": [1] * 100 + [5000],
    "many blocks of short": [100, 3, 250, 0] * (2 * BLOCK // 353),
    "a piece longer than a block": [3 * BLOCK] + [1] * 10_000,
}


def pieces(lengths: list[int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an array, and pieces of it in a random order, with gaps."""
    generator = np.random.default_rng(seed)
    length = np.array(lengths, np.int64)
    order = generator.permutation(len(length))
    gaps = generator.integers(0, 3, len(length))
    start = np.empty(len(length), np.int64)
    start[order] = exclusive_sum((length + gaps)[order]) + gaps[order]
    size = int(length.sum() + gaps.sum()) + 7
    return generator.integers(0, 256, size, np.uint8), start, length


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_gather_and_scatter(lengths: list[int]) -> None:
    data, start, length = pieces(lengths, 1)
    expected = b"".join(data[s : s + n].tobytes() for s, n in zip(start, length, strict=True))
    gathered = gather(data, start, length)
    assert gathered.tobytes() == expected
    out = np.zeros_like(data)
    scatter(out, start, length, gathered)
    inside = np.zeros(len(data), np.bool_)
    for s, n in zip(start, length, strict=True):
        inside[s : s + n] = True
    assert np.array_equal(out, np.where(inside, data, 0))


@pytest.mark.parametrize("start", [[3], [0, 2, 2, 7]])
def test_neighbours_are_a_view(start: list[int]) -> None:
    data = np.arange(12, dtype=np.uint8)
    length = np.diff([*start, 10])
    found = gather(data, np.array(start), length)
    assert np.shares_memory(found, data)
    assert found.tolist() == list(range(start[0], 10))


def test_sums_and_groups() -> None:
    assert exclusive_sum(np.array([3, 0, 2], np.int64)).tolist() == [0, 3, 3]
    assert exclusive_sum(np.empty(0, np.int64)).tolist() == []
    assert group_starts(np.array([5, 5, 6, 5])).tolist() == [True, False, True, True]
    assert group_starts(np.empty(0, np.int64)).tolist() == []
    assert distinct(np.array([5, 1, 5, 3, 1])).tolist() == [1, 3, 5]
    assert distinct(np.empty(0, np.int64)).tolist() == []


def test_concatenate_copies_only_several() -> None:
    one = np.arange(3)
    assert concatenate([one]) is one
    assert concatenate([one, one]).tolist() == [0, 1, 2, 0, 1, 2]
