"""Truth values where protobuf wants integers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import onnx.helper

__all__ = ["integers_for_bools"]

_LOCK = threading.RLock()


@contextmanager
def integers_for_bools() -> Iterator[None]:
    """Let exporters give ``onnx.helper.make_attribute`` lists with bools in them.

    Protobuf 7 takes no bool for an integer any more, and some converters for trees hand it one.
    """
    make = onnx.helper.make_attribute

    def make_attribute(key: str, value: Any, *args: Any, **kwargs: Any) -> onnx.AttributeProto:
        if isinstance(value, (list, tuple)) and any(isinstance(v, (bool, np.bool_)) for v in value):
            value = [int(v) if isinstance(v, (bool, np.bool_)) else v for v in value]
        return make(key, value, *args, **kwargs)

    with _LOCK, mock.patch.object(onnx.helper, "make_attribute", make_attribute):
        yield
