"""What the three tree libraries have in common: features, ways to export, what a model gives."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from onnxroot_adapters._bools import integers_for_bools
from onnxroot_adapters._sklearn_inputs import Column

__all__ = ["OPSET", "Step", "Subject", "quiet"]

Array = npt.NDArray[Any]

OPSET = 15
"""Version of ``ai.onnx``: the newest that the exporters of all three libraries know."""


@dataclass(frozen=True, slots=True)
class Step:
    """One way to export a model."""

    text: str
    export: Callable[[], ModelProto]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model of a tree library.

    Attributes:
        columns: Its features; categories are numbers.
        names: Their names, if they have any.
        kind: What it is, for provenance.
        steps: Ways to export it, in the order to try them.
        predict: What it gives for rows: ``variable`` (n, n_scores), or ``label`` and
            ``probabilities``.
    """

    columns: list[Column]
    names: tuple[str, ...]
    kind: str
    steps: Iterable[Step]
    predict: Callable[[Array], dict[str, Array]]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep exporters from warning, logging and printing, for the proof counts; take their bools."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            integers_for_bools(),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
