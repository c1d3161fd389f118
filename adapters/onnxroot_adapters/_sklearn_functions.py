"""Functions of NumPy in a FunctionTransformer, which skl2onnx refuses though ONNX has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

__all__ = ["numpy_functions"]

ALIAS = "SklearnFunctionTransformer"

FUNCTIONS: dict[Any, tuple[str, ...]] = {
    np.abs: ("Abs",),
    np.arccos: ("Acos",),
    np.arcsin: ("Asin",),
    np.arcsinh: ("Asinh",),
    np.arctan: ("Atan",),
    np.ceil: ("Ceil",),
    np.cos: ("Cos",),
    np.cosh: ("Cosh",),
    np.exp: ("Exp",),
    np.expm1: ("Exp", "-1"),
    np.floor: ("Floor",),
    np.log: ("Log",),
    np.log1p: ("+1", "Log"),
    np.negative: ("Neg",),
    np.reciprocal: ("Reciprocal",),
    np.rint: ("Round",),
    np.sign: ("Sign",),
    np.sin: ("Sin",),
    np.sinh: ("Sinh",),
    np.sqrt: ("Sqrt",),
    np.tan: ("Tan",),
    np.tanh: ("Tanh",),
}
"""Operators of ONNX for functions of one number; +1 and -1 are additions."""

Convert = Callable[[Any, Any, Any], None]


@contextmanager
def numpy_functions() -> Iterator[None]:
    """Let skl2onnx take the functions in `FUNCTIONS` for the time of an export."""
    from skl2onnx.common import _registration as registration  # noqa: PLC0415  (an extra)

    convert = registration.get_converter(ALIAS)
    calculate = registration.get_shape_calculator(ALIAS)

    def shape(operator: Any) -> None:
        transformer = operator.raw_operator
        function = transformer.func
        if _operators(transformer):
            transformer.func = None  # the shape is that of the identity
        try:
            calculate(operator)
        finally:
            transformer.func = function

    def convert_function(scope: Any, operator: Any, container: Any) -> None:
        operators = _operators(operator.raw_operator)
        if operators:
            _convert(scope, operator, container, operators)
        else:
            convert(scope, operator, container)

    wrapped = registration.RegisteredConverter(convert_function, {})
    with (
        mock.patch.dict(registration._converter_pool, {ALIAS: wrapped}),  # noqa: SLF001
        mock.patch.dict(registration._shape_calculator_pool, {ALIAS: shape}),  # noqa: SLF001
    ):
        yield


def _operators(transformer: Any) -> tuple[str, ...]:
    plain = isinstance(transformer.func, np.ufunc) and not transformer.kw_args
    return FUNCTIONS.get(transformer.func, ()) if plain else ()


def _convert(scope: Any, operator: Any, container: Any, operators: tuple[str, ...]) -> None:
    """Add the operators of a function."""
    from skl2onnx.common.data_types import DoubleTensorType  # noqa: PLC0415  (an extra)

    source = operator.inputs[0].full_name
    if len(operator.inputs) > 1:
        source = scope.get_unique_variable_name("columns")
        names = [value.full_name for value in operator.inputs]
        container.add_node("Concat", names, source, name=_name(scope, "Concat"), axis=1)
    elem_type = 11 if isinstance(operator.inputs[0].type, DoubleTensorType) else 1
    for i, kind in enumerate(operators):
        last = i == len(operators) - 1
        target = operator.outputs[0].full_name if last else scope.get_unique_variable_name("part")
        inputs = [source]
        if kind in {"+1", "-1"}:
            inputs.append(scope.get_unique_variable_name("one"))
            container.add_initializer(inputs[1], elem_type, [], [float(kind)])
            kind = "Add"  # noqa: PLW2901  (of a negative one, too)
        container.add_node(kind, inputs, target, name=_name(scope, kind), op_version=13)
        source = target


def _name(scope: Any, kind: str) -> Any:
    return scope.get_unique_operator_name(kind)
