"""Columns as Python values."""

import numpy as np
import pytest

from onnxroot.tables import Column

TEXT = np.frombuffer(b"ab\xffc", np.uint8)

COLUMNS = {
    "numbers": (Column((), np.array([3, 1])), [3, 1]),
    "lists": (Column((np.array([0, 2, 2]),), np.array([3, 1])), [[3, 1], []]),
    "texts": (Column((np.array([0, 2, 2, 4]),), TEXT, is_text=True), ["ab", "", "\\xffc"]),
    "lists of texts": (
        Column((np.array([0, 0, 2]), np.array([0, 1, 4])), TEXT, is_text=True),
        [[], ["a", "b\\xffc"]],
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_to_list(kind: str) -> None:
    column, expected = COLUMNS[kind]
    assert column.to_list() == expected
    assert len(column) == len(expected)
    if kind == "texts":
        assert [column.text(row) for row in range(3)] == expected
