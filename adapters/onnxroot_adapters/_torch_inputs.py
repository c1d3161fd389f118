"""What a PyTorch module is called with: its tensors by name, and batches of others like them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._errors import first_line

__all__ = ["Call", "Dim", "Drawer", "bind", "named_tensors", "output_names", "to_array"]

Array = npt.NDArray[Any]

Dim = int | str | Any
"""A size, the name of one that may vary, or SymPy's expression of such names."""

_SEED = 20261125
_MOST_ROWS = 1 << 14


def named_tensors(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the tensors in a value, however nested, with names that tell their place."""
    import torch  # noqa: PLC0415

    if isinstance(value, torch.Tensor):
        yield name, value
    else:
        for key, inner in _items(value):
            yield from named_tensors(inner, f"{name}_{key}" if name else key)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is in a container; nothing for what is none."""
    if isinstance(value, Mapping):
        yield from ((str(key), inner) for key, inner in value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, list | tuple):
        yield from ((str(i), inner) for i, inner in enumerate(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))


def output_names(value: Any, taken: Sequence[str]) -> list[str]:
    """Name a module's outputs: by their keys, or ``output``, ``output_0``, ``output_1`` ..."""
    keyed = isinstance(value, Mapping) or hasattr(value, "_fields")
    keyed = keyed or (dataclasses.is_dataclass(value) and not isinstance(value, type))
    names = [name for name, _ in named_tensors(value, "" if keyed else "output")]
    if not names:
        raise UnsupportedModelError(
            "the module returns no tensor: wrap it in one whose forward returns tensors"
        )
    found: list[str] = []
    for name in names:
        new = f"{name}_out" if name in taken else name
        found.append(f"{new}_{len(found)}" if new in found else new)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a module, with its tensors laid out in a row.

    Attributes:
        names: Of the tensors.
        tensors: Typical values.
        args: Positional arguments, as they were given.
        kwargs: Keyword arguments, as they were given.
    """

    names: tuple[str, ...]
    tensors: tuple[Any, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def batch_size(self) -> int:
        """The first dimension of the first tensor that has one; 0 if none has."""
        return next((int(tensor.shape[0]) for tensor in self.tensors if tensor.ndim), 0)

    def arguments(self, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with other tensors in place."""
        rest = iter(tensors)
        args = tuple(_replaced(value, rest) for value in self.args)
        return args, {name: _replaced(value, rest) for name, value in self.kwargs.items()}

    def with_tensors(self, tensors: Sequence[Any]) -> Call:
        """Return the same call with other tensors."""
        args, kwargs = self.arguments(tensors)
        return Call(names=self.names, tensors=tuple(tensors), args=args, kwargs=kwargs)


def bind(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """Lay out a call of a module; its tensors are named as its forward names them.

    Raises:
        UnsupportedModelError: The forward does not take these arguments.
    """
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise UnsupportedModelError(
            f"the module's forward does not take these example inputs: {error}"
        ) from error
    except ValueError:  # TorchScript's have a schema instead
        names = [argument.name for argument in module.forward.schema.arguments[1:]]
        named = [*zip(names, args, strict=False), *kwargs.items()]
        while len(args) < len(names) and names[len(args)] in kwargs:
            args = (*args, kwargs[names[len(args)]])
        kwargs = {name: value for name, value in kwargs.items() if name not in names[: len(args)]}
    else:
        named = []
        for name, value in bound.arguments.items():
            kind = bound.signature.parameters[name].kind
            spread = kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            named += (
                [(n if kind.name == "VAR_KEYWORD" else f"{name}_{n}", v) for n, v in _items(value)]
                if spread
                else [(name, value)]
            )
        args, kwargs = bound.args, bound.kwargs
    found = [pair for name, value in named for pair in named_tensors(value, name)]
    if not found:
        raise UnsupportedModelError("there is no tensor among the example inputs: give one")
    return Call(
        names=tuple(name for name, _ in found),
        tensors=tuple(tensor.detach().cpu() for _, tensor in found),
        args=tuple(args),
        kwargs=dict(kwargs),
    )


def _replaced(value: Any, rest: Iterator[Any]) -> Any:
    import torch  # noqa: PLC0415

    if isinstance(value, torch.Tensor):
        return next(rest)
    if isinstance(value, dict):
        return {key: _replaced(inner, rest) for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_replaced(inner, rest) for inner in value))
    if isinstance(value, list | tuple):
        return type(value)(_replaced(inner, rest) for inner in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{key: _replaced(inner, rest) for key, inner in _items(value)}
        )
    return value


def to_array(tensor: Any) -> Array:
    """Return a tensor as an array.

    Raises:
        UnsupportedModelError: NumPy has no such type.
    """
    try:
        array: Array = tensor.detach().cpu().resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:
        raise UnsupportedModelError(
            f"tensors of type {tensor.dtype} can't be compared: convert the module first, as with "
            "module.float()"
        ) from error
    return array


# --- other batches -------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Drawer:
    """Draws batches that a module accepts.

    Attributes:
        call: Typical inputs.
        shapes: Of each input.
        batch: Name of the size that is the batch; None if it is fixed.
        run: The module: tensors to tensors.
        rows: The user's own samples, by input; empty if there are none.
        tried: Values of each size that may vary, in the batches drawn so far.
        most: Largest values of these sizes, where there are any.
        ties: Whether equal values may be drawn: they have no order for argmax and its kin.
        n_drawn: How many batches that were.
        n_finite: How many of them gave finite outputs.
    """

    call: Call
    shapes: tuple[tuple[Dim, ...], ...]
    batch: str | None
    run: Callable[[Sequence[Any]], Sequence[Any]]
    rows: Mapping[str, Array] = field(default_factory=dict)
    tried: dict[str, set[int]] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    ties: bool = True
    n_drawn: int = 0
    n_finite: int = 0

    def hints(self) -> dict[str, int]:
        """Return the sizes of the typical inputs."""
        found: dict[str, int] = {}
        for shape, tensor in zip(self.shapes, self.call.tensors, strict=True):
            for dim, size in zip(shape, tensor.shape, strict=True):
                if isinstance(dim, str):
                    found.setdefault(dim, int(size))
        return found

    def draw(self, size: int) -> dict[str, Array]:
        """Return inputs by name; if the batch is fixed, for any number.

        Raises:
            UnsupportedModelError: The module accepts none that were tried.
        """
        second: tuple[dict[str, Array], dict[str, int]] | None = None
        fault: Exception | None = None
        for sizes in self._sizes(size):
            for spread in (bool(self.n_drawn), not self.n_drawn):
                inputs = self._inputs(sizes, size, spread=spread)
                try:
                    outputs = self.predict(inputs)
                except UnsupportedModelError:
                    raise
                except Exception as error:  # noqa: BLE001  (a module raises what it likes)
                    fault = error
                    continue
                if all(np.isfinite(v).all() for v in outputs if v.dtype.kind in "fc"):
                    self.n_finite += 1
                    return self._note(inputs, sizes)
                second = second or (inputs, sizes)
        if second is None:
            raise UnsupportedModelError(
                "the module accepts none of the inputs that were drawn for the proof "
                f"({first_line(fault)}): give typical ones (--samples FILE.npz)"
            ) from fault
        return self._note(*second)

    def beyond(self, most: Mapping[str, int]) -> Iterator[dict[str, Array]]:
        """Yield inputs that are larger than what they should be at most, if the module takes them.

        Args:
            most: Largest sizes, by name.
        """
        hints = self.hints()
        for name, end in most.items():
            if name not in hints or end > _MOST_ROWS:
                continue
            inputs = self._inputs({**hints, name: end + 1}, end, spread=True)
            with suppress(Exception):
                self.predict(inputs)
                yield inputs

    def predict(self, inputs: dict[str, Array]) -> list[Array]:
        """Return the module's outputs."""
        import torch  # noqa: PLC0415

        tensors = [torch.from_numpy(np.array(inputs[name])) for name in self.call.names]
        return [to_array(value) for value in self.run(tensors)]

    def _note(self, inputs: dict[str, Array], sizes: dict[str, int]) -> dict[str, Array]:
        self.n_drawn += 1
        for name, value in sizes.items():
            self.tried.setdefault(name, set()).add(value)
        return inputs

    def _sizes(self, size: int) -> Iterator[dict[str, int]]:
        """Yield sizes to try: all others than the typical ones first, the typical ones last."""
        for sizes in self._choices(size):
            if all(1 <= value <= self.most.get(name, value) for name, value in sizes.items()):
                yield sizes

    def _choices(self, size: int) -> Iterator[dict[str, int]]:
        hints = self.hints()
        others = {name: hint for name, hint in hints.items() if name != self.batch}
        batch = {} if self.batch is None else {self.batch: size}
        if self.n_drawn and others:
            once = self.n_drawn == 1
            yield {name: hint + 1 if once else 2 * hint for name, hint in others.items()} | batch
            yield {name: hint - 1 if once else hint // 2 for name, hint in others.items()} | batch
        yield others | batch
        if self.batch is not None and self.batch in self.most:
            yield others | {self.batch: min(size, self.most[self.batch])}
        yield hints

    def _inputs(self, sizes: dict[str, int], seed: int, *, spread: bool) -> dict[str, Array]:
        """Draw inputs: rows of the typical ones, or values spread around them."""
        generator = np.random.default_rng([_SEED, seed])
        count = sizes.get(self.batch or "", 1)
        n_rows = [len(rows) for rows in self.rows.values() if rows.ndim]
        n_rows += [self.hints()[self.batch]] if self.batch else [1]
        chosen = generator.integers(n_rows[0], size=count)  # together: rows belong together
        least = min(sizes.values(), default=0)
        found = {}
        for name, tensor, dims in zip(self.call.names, self.call.tensors, self.shapes, strict=True):
            typical = self.rows.get(name)
            typical = to_array(tensor) if typical is None else typical
            shape = tuple(_size_of(dim, sizes) for dim in dims)
            batched = bool(dims) and self.batch is not None and dims[0] == self.batch
            rows = typical[chosen % len(typical)] if batched else typical
            fits = rows.shape == shape
            keep = not spread or rows.dtype.kind == "b"
            if fits and keep:
                found[name] = np.array(rows)
                continue
            drawn = _spread(typical, shape, generator, least=least, ties=self.ties)
            if fits and batched and count > 8:  # some as they are, some not
                drawn[::2] = rows[::2]
            found[name] = drawn
        return found


def _spread(
    typical: Array,
    shape: tuple[int, ...],
    generator: np.random.Generator,
    *,
    least: int,
    ties: bool,
) -> Array:
    """Draw values like the typical ones: in their range, around them, and some at the edges."""
    kind = typical.dtype.kind
    low, high = (typical.min(), typical.max()) if typical.size else (0, 1)
    if kind == "b":
        return generator.integers(2, size=shape).astype(bool)
    if kind in "iu":
        if 0 < least <= int(high):  # as indices of what there are fewer of
            low, high = min(int(low), least - 1), least - 1
        return generator.integers(int(low), int(high) + 1, size=shape).astype(typical.dtype)
    if kind == "c":
        both = generator.normal(size=shape) + 1j * generator.normal(size=shape)
        return np.asarray(both, dtype=typical.dtype)
    low, high = float(low), float(high)
    if not np.isfinite([low, high]).all() or low == high:
        low, high = -1.0, 1.0
    within = generator.uniform(low, high, size=shape)
    scale = (high - low) / 4
    around = (low + high) / 2 + scale * generator.normal(size=shape)
    values = np.where(generator.random(shape) < 0.5, within, around) if shape else within
    values = np.array(values, dtype=np.float64)
    if low >= 0:  # what is never negative may be a mass
        values = np.abs(values)
    rows = values.reshape(len(values), -1) if values.ndim and len(values) > 4 else values[:0]
    edges = [0.0, low, high, 2 * high, 2 * low] if len(rows) else []
    for row, edge in zip(range(1, len(rows), 2), edges, strict=False):
        rows[row] = edge if ties else edge + scale * generator.normal(size=rows.shape[1])
    return values.astype(typical.dtype)


def _size_of(dim: Dim, sizes: Mapping[str, int]) -> int:
    if isinstance(dim, int):
        return dim
    if isinstance(dim, str):
        return sizes[dim]
    return int(dim.subs({symbol: sizes[str(symbol)] for symbol in dim.free_symbols}))
