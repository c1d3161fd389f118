"""What TensorFlow says of the inputs of a function or a graph, and what the user says of them."""

from __future__ import annotations

from typing import Any

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError

__all__ = ["Shape", "dims_of", "numpy_type", "shape_of"]

Shape = tuple[int | None, ...]


def dims_of(spec: Any) -> Shape | None:
    """Return the dimensions of a tensor, None for those that vary; None if it has no rank."""
    return None if spec.shape.rank is None else tuple(spec.shape.as_list())


def shape_of(name: str, spec: Any, options: Options, where: str) -> Shape:
    """Return the shape of an input: what the user says, or else what TensorFlow does.

    Args:
        name: The input.
        spec: Anything with a shape of TensorFlow.
        options: `inputs` and `dynamic` count.
        where: The file, for the message.

    Raises:
        UnsupportedModelError: Neither says how many dimensions it has.
    """
    found = tuple(options.inputs[name]) if name in options.inputs else dims_of(spec)
    if found is None:
        raise UnsupportedModelError(_shape_needed(where, name))
    free = options.dynamic.get(name, ())
    return tuple(None if axis in free else dim for axis, dim in enumerate(found))


def _shape_needed(where: str, name: str) -> str:
    return (
        f"{where}: does not say how many dimensions the input {name} has: give its shape "
        f"(--input {name}:SHAPE, such as --input {name}:?x16, inputs={{{name!r}: (None, 16)}})"
    )


def numpy_type(spec: Any) -> Any:
    """Return what `numpy.dtype` is made of for a tensor; strings are objects."""
    found = spec.dtype.as_numpy_dtype
    return object if found is str or found is bytes else found
