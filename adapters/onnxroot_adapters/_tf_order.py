"""tf2onnx in the same order every time.

Its optimizers take nodes as they find them, and what they find depends on that order: a reshape
whose shape is known becomes a constant or stays a computation. The order is that of sets of
objects, hence of their addresses, and of the names it makes, which it counts through the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from onnxroot_adapters._require import require

__all__ = ["in_order"]

_LOCK = threading.RLock()

_FIRST_NAME = 10**6
"""Where the count of names begins: no model makes it gain a digit, which would change the order."""


@contextmanager
def in_order() -> Iterator[None]:
    """Let tf2onnx take nodes by name, and count the names it makes anew.

    The last name comes first: that leaves less to compute than the other way round.
    """
    what = "a model of TensorFlow"
    graph = require("tf2onnx.graph", extra="tensorflow", what=what)
    utils = require("tf2onnx.utils", extra="tensorflow", what=what)
    with _LOCK, ExitStack() as patches:
        patches.enter_context(mock.patch.object(utils, "INTERNAL_NAME", _FIRST_NAME))
        for name in ("extract_sub_graph_nodes", "find_output_consumers"):
            find = _by_name(getattr(graph.Graph, name))
            patches.enter_context(mock.patch.object(graph.Graph, name, find))
        yield


def _by_name(find: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Return a method that returns what another does, sorted."""

    def sorted_by_name(*args: Any, **kwargs: Any) -> list[Any]:
        return sorted(find(*args, **kwargs), key=lambda node: node.name, reverse=True)

    return sorted_by_name
