"""What to put in the place of operators of TensorFlow that tf2onnx leaves as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot_adapters._require import require

__all__ = ["handlers"]


def handlers() -> dict[str, tuple[Any, list[Any]]]:
    """Return what to put in the place of operators that tf2onnx leaves as they are."""
    return {
        "Bucketize": (_bucketize, []),
        "Erfc": (_erfc, []),
        "Expm1": (_expm1, []),
        "Log1p": (_log1p, []),
    }


def _replace(ctx: Any, node: Any, make: Callable[[Any, str, npt.DTypeLike], str]) -> None:
    """Remove a node, and put what `make` makes of its input in its place.

    Args:
        ctx: tf2onnx's graph.
        node: To be replaced; it has one input and one output.
        make: A function of the graph, the input and its NumPy type that returns an output.
    """
    utils = require("tf2onnx.utils", extra="tensorflow", what="a model of TensorFlow")
    given, output = node.input[0], node.output[0]
    dtype, shape = ctx.get_dtype(output), ctx.get_shape(output)
    of_input = utils.map_onnx_to_numpy_type(ctx.get_dtype(given))
    ctx.remove_node(node.name)
    made = make(ctx, given, of_input)
    ctx.make_node("Identity", [made], outputs=[output], shapes=[shape], dtypes=[dtype])


def _constant(ctx: Any, value: Any, dtype: npt.DTypeLike) -> str:
    utils = require("tf2onnx.utils", extra="tensorflow", what="a model of TensorFlow")
    made: str = ctx.make_const(utils.make_name("constant"), np.array(value, dtype)).output[0]
    return made


def _apply(ctx: Any, operator: str, *inputs: str, **attributes: Any) -> str:
    made: str = ctx.make_node(operator, list(inputs), attr=attributes).output[0]
    return made


def _erfc(ctx: Any, node: Any, _name: str, _args: Any) -> None:
    """1 - erf(x), which GELU needs."""
    _replace(ctx, node, lambda g, x, t: _apply(g, "Sub", _constant(g, 1, t), _apply(g, "Erf", x)))


def _log1p(ctx: Any, node: Any, _name: str, _args: Any) -> None:
    """log(1 + x)."""
    _replace(ctx, node, lambda g, x, t: _apply(g, "Log", _apply(g, "Add", x, _constant(g, 1, t))))


def _expm1(ctx: Any, node: Any, _name: str, _args: Any) -> None:
    """exp(x) - 1."""
    _replace(ctx, node, lambda g, x, t: _apply(g, "Sub", _apply(g, "Exp", x), _constant(g, 1, t)))


def _bucketize(ctx: Any, node: Any, _name: str, _args: Any) -> None:
    """How many boundaries are not above x."""
    boundaries = list(node.get_attr("boundaries").floats)

    def make(g: Any, x: str, dtype: npt.DTypeLike) -> str:
        wide = _apply(g, "Unsqueeze", x, _constant(g, [-1], np.int64))
        below = _apply(g, "Less", wide, _constant(g, boundaries, dtype))
        counted = _apply(g, "Cast", _apply(g, "Not", below), to=6)
        return _apply(g, "ReduceSum", counted, _constant(g, [-1], np.int64), keepdims=0)

    _replace(ctx, node, make)
