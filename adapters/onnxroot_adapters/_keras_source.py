"""A Keras model, of Keras 2 or 3, as a source for the exporter."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot.adapter import Options
from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._prove import Input
from onnxroot_adapters._tf_export import Source, export

__all__ = ["source_of"]

Array = npt.NDArray[Any]
Shape = tuple[int | None, ...]

_INDEXING = {"Embedding": "input_dim", "CategoryEncoding": "num_tokens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signature:
    """What a model is called with.

    Attributes:
        names: Of the inputs, flat.
        shapes: With the batch; None where a dimension may vary.
        dtypes: Names of types.
        pack: Flat inputs -> the arguments of the model.
    """

    names: Sequence[str]
    shapes: Sequence[Shape]
    dtypes: Sequence[str]
    pack: Callable[[Sequence[Any]], Sequence[Any]]


def source_of(tf: Any, model: Any, options: Options, what: Mapping[str, str]) -> Source:
    """Return a source for the exporter.

    Args:
        tf: The module.
        model: Of Keras.
        options: `inputs` and `dynamic` count.
        what: For the provenance.

    Raises:
        UnsupportedModelError: The shape of an input is needed.
    """
    signature = _signature(model, options)
    shapes = _shapes(signature, options)
    zeros = [
        tf.zeros(
            [2 if dim is None and axis == 0 else dim or 32 for axis, dim in enumerate(shape)], dtype
        )
        for shape, dtype in zip(shapes, signature.dtypes, strict=True)
    ]
    structure = _call(model, signature, zeros)
    outputs = _unique(_output_names(model, structure), signature.names)
    plain_inputs = [f"input_{i}" for i in range(len(shapes))]
    plain_outputs = [f"output_{i}" for i in range(len(outputs))]
    specs = [
        tf.TensorSpec(shape, dtype, name=name)
        for shape, dtype, name in zip(shapes, signature.dtypes, plain_inputs, strict=True)
    ]

    def function(*flat: Any) -> dict[str, Any]:
        found = tf.nest.flatten(_call(model, signature, flat))
        return dict(zip(plain_outputs, found, strict=True))

    def predict(flat: Sequence[Array]) -> Sequence[Any]:
        found: list[Any] = tf.nest.flatten(_call(model, signature, list(map(tf.constant, flat))))
        return found

    n_indices = _n_indices(model)
    return Source(
        inputs=[
            _input(name, shape, tf.dtypes.as_dtype(dtype).as_numpy_dtype, n_indices)
            for name, shape, dtype in zip(signature.names, shapes, signature.dtypes, strict=True)
        ],
        outputs=outputs,
        ways=export(tf, model, tf.function(function, input_signature=specs)),
        plain_inputs=plain_inputs,
        plain_outputs=plain_outputs,
        predict=predict,
        weights=_weights(model),
        what=what,
    )


def _call(model: Any, signature: _Signature, flat: Sequence[Any]) -> Any:
    return model(*signature.pack(flat), training=False)


def _weights(model: Any) -> dict[str, Array]:
    """Return the weights by the names of the layer, of layers within it, and of the weight.

    What Keras calls the path of a weight depends on where the layer was first called.
    """
    found = {}
    for layer in getattr(model, "layers", []):
        for weight in layer.weights:
            parts = _path_of(weight)
            if layer.name in parts:
                parts = parts[parts.index(layer.name) + 1 :]
            found["/".join([layer.name, *parts])] = np.asarray(weight)
    if not found:
        found = {"/".join(_path_of(weight)): np.asarray(weight) for weight in model.weights}
    return found


def _path_of(weight: Any) -> list[str]:
    path = str(getattr(weight, "path", None) or weight.name)
    return path.partition(":")[0].split("/")


# --- inputs --------------------------------------------------------------------------------------


def _signature(model: Any, options: Options) -> _Signature:
    tensors = getattr(model, "inputs", None)
    if tensors:
        return _symbolic(model, tensors)
    found = _seen(model)
    if found is not None:
        return found
    if not options.inputs:
        raise UnsupportedModelError(
            "the model has never been called, so the shapes of its inputs are not known: give them "
            "(--input NAME:SHAPE, such as --input features:?x16, inputs={'features': (None, 16)}), "
            "or call it once"
        )
    names, shapes = list(options.inputs), [tuple(shape) for shape in options.inputs.values()]
    floats = [str(getattr(model, "input_dtype", None) or "float32")] * len(names)
    return _Signature(names=names, shapes=shapes, dtypes=floats, pack=_packing(model, names))


def _symbolic(model: Any, tensors: Sequence[Any]) -> _Signature:
    """Return the signature of a Sequential or functional model."""
    structure = tensors[0]
    if type(model).__name__ != "Sequential":
        structure = getattr(model, "input", tensors)
    flat = _flat(structure)
    names = [str(tensor.name).partition(":")[0] for tensor in flat]
    if len(flat) == 1 and names[0].startswith("keras_tensor"):  # a name that is drawn
        layers = getattr(model, "layers", None)
        names = [f"{layers[0].name}_input" if layers else "input"]

    def pack(values: Sequence[Any]) -> Sequence[Any]:
        return [_packed(structure, iter(values))]

    return _Signature(
        names=names,
        shapes=[tuple(tensor.shape) for tensor in flat],
        dtypes=[_type_name(tensor.dtype) for tensor in flat],
        pack=pack,
    )


def _seen(model: Any) -> _Signature | None:
    """Return the signature that a model of one's own class was called with."""
    if hasattr(model, "save_spec"):  # Keras 2
        specs = model.save_spec()
        arguments = list(specs[0]) if specs else None
    else:
        arguments = _signature_of_keras_3(model)
    if not arguments:
        return None
    flat = [spec for argument in arguments for spec in _flat(argument)]
    names: list[str] = []
    for argument, parameter in zip(arguments, _parameters(model), strict=False):
        names += _names_of(argument, parameter)
    if len(names) != len(flat):
        names = [f"input_{i}" for i in range(len(flat))]

    def pack(values: Sequence[Any]) -> Sequence[Any]:
        rest = iter(values)
        return [_packed(argument, rest) for argument in arguments]

    return _Signature(
        names=_unique(names, ()),
        shapes=[(None, *tuple(spec.shape)[1:]) for spec in flat],
        dtypes=[_type_name(spec.dtype) for spec in flat],
        pack=pack,
    )


def _signature_of_keras_3(model: Any) -> list[Any] | None:
    try:
        from keras.src.export.export_utils import (  # noqa: PLC0415
            get_input_signature,  # there is no public way to ask
        )

        found = get_input_signature(model)
    except (ImportError, ValueError, TypeError, AttributeError):
        return None
    return list(found) if found else None


def _parameters(model: Any) -> list[str]:
    """Return the names of the arguments that are tensors."""
    names = [name for name in inspect.signature(model.call).parameters if name != "self"]
    return [name for name in names if name not in ("training", "mask")]


def _names_of(structure: Any, name: str) -> list[str]:
    if isinstance(structure, Mapping):
        return [inner for key in sorted(structure) for inner in _names_of(structure[key], key)]
    if isinstance(structure, (list, tuple)) and len(structure) > 1:
        return [
            inner for i, value in enumerate(structure) for inner in _names_of(value, f"{name}_{i}")
        ]
    if isinstance(structure, (list, tuple)):
        return [inner for value in structure for inner in _names_of(value, name)]
    return [name]


def _packing(model: Any, names: Sequence[str]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return how to call a model that was never called: by position, or with a dictionary."""
    if len(names) == 1 or set(names) <= set(_parameters(model)):
        return list
    return lambda values: [dict(zip(names, values, strict=True))]


def _flat(structure: Any) -> list[Any]:
    """Return the leaves of a structure, dictionaries in the order of their keys, as Keras does."""
    if isinstance(structure, Mapping):
        return [leaf for key in sorted(structure) for leaf in _flat(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for value in structure for leaf in _flat(value)]
    return [structure]


def _packed(structure: Any, values: Any) -> Any:
    """Return a structure with other leaves, in the order of `_flat`."""
    if isinstance(structure, Mapping):
        return {key: _packed(structure[key], values) for key in sorted(structure)}
    if isinstance(structure, (list, tuple)):
        return [_packed(value, values) for value in structure]
    return next(values)


def _type_name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


def _shapes(signature: _Signature, options: Options) -> list[Shape]:
    """Return the shapes, as the user wants them.

    Raises:
        UnsupportedModelError: There is no such input.
    """
    unknown = sorted((set(options.inputs) | set(options.dynamic)) - set(signature.names))
    if unknown:
        raise UnsupportedModelError(
            f"no input {', '.join(unknown)}; the model's inputs are "
            f"{', '.join(signature.names)}: name these with --input and --dynamic"
        )
    shapes = []
    for name, shape in zip(signature.names, signature.shapes, strict=True):
        given = tuple(options.inputs.get(name, shape))
        free = options.dynamic.get(name, ())
        shapes.append(tuple(None if axis in free else dim for axis, dim in enumerate(given)))
    return shapes


def _n_indices(model: Any) -> int | None:
    """Return how many indices all layers that take indices take; None if there is none."""
    flatten = getattr(model, "_flatten_layers", None)
    layers = list(flatten()) if callable(flatten) else list(getattr(model, "layers", []))
    found = [
        int(getattr(layer, _INDEXING[type(layer).__name__]) or 2)
        for layer in layers
        if type(layer).__name__ in _INDEXING
    ]
    return min(found) if found else None


def _input(name: str, shape: Shape, dtype: Any, n_indices: int | None) -> Input:
    """Return an input; where indices are floats, as in models of Keras 2, with typical ones."""
    below = n_indices or 2
    examples = None
    if n_indices and np.dtype(dtype).kind == "f" and len(shape) <= 2:
        dims = [64, *(dim or 32 for dim in shape[1:])]
        examples = np.random.default_rng(1).integers(below, size=dims).astype(dtype)
    return Input(name=name, dtype=np.dtype(dtype), shape=shape, examples=examples, below=below)


# --- outputs -------------------------------------------------------------------------------------


def _output_names(model: Any, structure: Any) -> list[str]:
    """Return the names of outputs, flat: keys of a dictionary, or the layers that make them."""
    if isinstance(structure, Mapping):
        return _names_of(structure, "output")
    n_outputs = len(_flat(structure))
    names = [str(name) for name in getattr(model, "output_names", None) or []]
    if type(model).__name__ == "Sequential":
        names = [str(model.layers[-1].name)]
    if len(names) == n_outputs:
        return names
    return ["output"] if n_outputs == 1 else [f"output_{i}" for i in range(n_outputs)]


def _unique(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return names, with a number behind those that are there already."""
    found: list[str] = []
    for name in names:
        new, i = name, 1
        while new in found or new in taken:
            new, i = f"{name}_{i}", i + 1
        found.append(new)
    return found
