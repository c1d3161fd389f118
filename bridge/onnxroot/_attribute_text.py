"""Attributes in words, as a line of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnxroot._parts import ModelParts
from onnxroot._tensors import Tensor

__all__ = ["attribute_text"]

_ATTRIBUTE = "AttributeProto"
_SINGLE = {1: "f", 2: "i", 3: "s"}  # AttributeProto.AttributeType
_LISTS = {6: "floats", 7: "ints", 8: "strings"}
_MESSAGES = {
    "t": ("TensorProto", "tensor"),
    "tensors": ("TensorProto", "tensor"),
    "g": ("GraphProto", "graph"),
    "graphs": ("GraphProto", "graph"),
    "sparse_tensor": ("SparseTensorProto", "sparse tensor"),
    "sparse_tensors": ("SparseTensorProto", "sparse tensor"),
    "tp": ("TypeProto", "type"),
    "type_protos": ("TypeProto", "type"),
}

ColumnOf = Callable[[str, str, Any], list[Any]]
HeldBy = Callable[[str, str, str, int], list[int]]


def attribute_text(column: ColumnOf, held: HeldBy, parts: ModelParts, row: int) -> str:
    """Return what an attribute holds: ``[3, 3]``, ``'SAME_UPPER'``, ``tensor FLOAT[2]``.

    Args:
        column: Gives the values of a column of a message type, by its name and a default.
        held: Gives the rows of the messages that a field of a message holds.
        parts: The model.
        row: Row of the attribute.
    """
    reference = column(_ATTRIBUTE, "ref_attr_name", "")[row]
    if reference:
        return f"the function's {reference}"
    kind = column(_ATTRIBUTE, "type", 0)[row]
    if kind in _SINGLE:
        value = column(_ATTRIBUTE, _SINGLE[kind], "" if kind == 3 else 0)[row]
        return repr(value) if kind == 3 else f"{value:.9g}" if kind == 1 else str(value)
    if kind in _LISTS:
        values = column(_ATTRIBUTE, _LISTS[kind], [])[row]
        texts = [f"{v:.9g}" if kind == 6 else repr(v) for v in values]
        return f"[{', '.join(texts)}]"
    found = []
    for field, (message, word) in _MESSAGES.items():
        for child in held(message, _ATTRIBUTE, field, row):
            if message == "TensorProto":
                tensor = Tensor(parts, child)
                found.append(f"tensor {tensor.data_type}[{', '.join(map(str, tensor.shape))}]")
            elif message == "GraphProto":
                found.append(f"graph {column(message, 'name', '')[child]!r}")
            else:
                found.append(word)
    return ", ".join(found) or "nothing"
