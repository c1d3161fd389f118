"""Layers and functions that Keras 3 no longer has, or has with another meaning, for older files.

They are made when Keras is at hand, which importing this module must not bring in.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from onnxroot_adapters._keras_config import (
    CHANNELS_FIRST,
    CONVOLUTIONS,
    HARD_SIGMOID_2,
    ROW_NORMALIZATION,
)

__all__ = ["former_objects"]


def former_objects(keras: Any) -> dict[str, Any]:
    """Return them by name, as ``custom_objects`` of Keras.

    Args:
        keras: The module.
    """
    return {
        **_activations(keras),
        **_dense(keras),
        **_normalization(keras),
        **_locally_connected(keras),
        **_time_distributed(keras),
        **_channels_first(keras),
    }


def _activations(keras: Any) -> dict[str, Any]:
    ops, layers = keras.ops, keras.layers

    def hard_sigmoid(x: Any) -> Any:
        return ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    # Bidirectional makes its second layer from what the first says of itself
    hard_sigmoid.__name__ = hard_sigmoid.__qualname__ = HARD_SIGMOID_2

    class ThresholdedReLU(layers.Layer):  # type: ignore[name-defined, misc]  # a module that is an argument
        def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.theta, self.supports_masking = theta, True

        def call(self, x: Any) -> Any:
            return x * ops.cast(x > self.theta, x.dtype)

    class Parametric(layers.Layer):  # type: ignore[name-defined, misc]  # a module that is an argument
        """An activation with numbers for each feature, that may be shared along axes."""

        parameters: tuple[str, ...] = ()

        def __init__(self, shared_axes: Any = None, **kwargs: Any) -> None:
            kept = {key: value for key, value in kwargs.items() if not key.endswith("_init")}
            super().__init__(**kept)
            axes = shared_axes if isinstance(shared_axes, (list, tuple)) else [shared_axes]
            self.shared_axes = [axis for axis in axes if axis is not None]
            self.supports_masking = True

        def build(self, shape: Any) -> None:
            dims = [
                1 if axis in self.shared_axes else dim for axis, dim in enumerate(shape) if axis
            ]
            for name in self.parameters:
                setattr(self, name, self.add_weight(shape=dims, name=name))

    class ParametricSoftplus(Parametric):
        """Of Keras 1."""

        parameters = ("alphas", "betas")

        def call(self, x: Any) -> Any:
            return ops.softplus(self.betas * x) * self.alphas

    class SReLU(Parametric):
        """Of Keras 1: linear, with another slope to the left and to the right."""

        parameters = ("t_left", "a_left", "t_right", "a_right")

        def call(self, x: Any) -> Any:
            right = self.t_left + ops.abs(self.t_right)
            above = ops.relu(x - self.t_left)
            center = ops.minimum(above, right - self.t_left)
            left = self.a_left * (x - self.t_left - above)
            return self.t_left + left + center + ops.relu(x - right) * self.a_right

    return {
        HARD_SIGMOID_2: hard_sigmoid,
        "ThresholdedReLU": ThresholdedReLU,
        "ParametricSoftplus": ParametricSoftplus,
        "SReLU": SReLU,
    }


def _dense(keras: Any) -> dict[str, Any]:
    ops, layers = keras.ops, keras.layers

    class MaxoutDense(layers.Layer):  # type: ignore[name-defined, misc]  # a module that is an argument
        """Of Keras 1: the largest of several dense layers."""

        def __init__(
            self,
            output_dim: int,
            nb_feature: int = 4,
            use_bias: bool = True,
            **kwargs: Any,
        ) -> None:
            kwargs.pop("input_dim", None)
            super().__init__(**kwargs)
            self.output_dim, self.nb_feature, self.use_bias = output_dim, nb_feature, use_bias

        def build(self, shape: Any) -> None:
            kernel = (self.nb_feature, shape[-1], self.output_dim)
            self.W = self.add_weight(shape=kernel, name="W")
            if self.use_bias:
                self.b = self.add_weight(shape=(self.nb_feature, self.output_dim), name="b")

        def call(self, x: Any) -> Any:
            y = ops.einsum("bi,fio->bfo", x, self.W)
            return ops.max(y + self.b if self.use_bias else y, axis=1)

    class Highway(layers.Layer):  # type: ignore[name-defined, misc]  # a module that is an argument
        """Of Keras 1: a dense layer, and a gate that says how much of it."""

        def __init__(self, activation: str = "linear", **kwargs: Any) -> None:
            for key in ("input_dim", "use_bias", "transform_bias"):
                kwargs.pop(key, None)
            super().__init__(**kwargs)
            self.activation = keras.activations.get(activation)

        def build(self, shape: Any) -> None:
            for name in ("W", "W_carry"):
                setattr(self, name, self.add_weight(shape=(shape[-1], shape[-1]), name=name))
            for name in ("b", "b_carry"):
                setattr(self, name, self.add_weight(shape=(shape[-1],), name=name))

        def call(self, x: Any) -> Any:
            gate = ops.sigmoid(ops.matmul(x, self.W_carry) + self.b_carry)
            return gate * self.activation(ops.matmul(x, self.W) + self.b) + (1.0 - gate) * x

    return {"MaxoutDense": MaxoutDense, "Highway": Highway}


def _normalization(keras: Any) -> dict[str, Any]:
    ops, layers = keras.ops, keras.layers

    class RowNormalization(layers.BatchNormalization):  # type: ignore[name-defined, misc]  # a module that is an argument
        """BatchNormalization of Keras 1 with mode=1: its moving averages are not used."""

        def call(self, x: Any, mask: Any = None, training: bool = False) -> Any:
            del mask, training
            centred = x - ops.mean(x, axis=-1, keepdims=True)
            deviation = ops.sqrt(ops.var(x, axis=-1, keepdims=True) + self.epsilon)
            return self.gamma * centred / (deviation + self.epsilon) + self.beta

    return {ROW_NORMALIZATION: RowNormalization}


def _locally_connected(keras: Any) -> dict[str, Any]:
    """Return convolutions whose kernel is another at each place; Keras 3 has none."""
    ops, layers = keras.ops, keras.layers

    class LocallyConnected(layers.Layer):  # type: ignore[name-defined, misc]  # a module that is an argument
        rank = 0

        def __init__(
            self,
            filters: int,
            kernel_size: Any,
            strides: Any = 1,
            activation: Any = None,
            use_bias: bool = True,
            data_format: str | None = None,
            padding: str = "valid",
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            if padding != "valid":
                raise ValueError(f"padding={padding} of a locally connected layer")
            self.filters, self.use_bias = filters, use_bias
            self.sizes, self.strides = self._each(kernel_size), self._each(strides)
            self.channels_first = data_format == "channels_first"
            self.activation = keras.activations.get(activation)

        def _each(self, value: Any) -> tuple[int, ...]:
            return tuple(value) if isinstance(value, (list, tuple)) else (value,) * self.rank

        def _places(self, shape: Any) -> list[int]:
            dims = shape[2:] if self.channels_first else shape[1:-1]
            return [
                (dim - size) // stride + 1
                for dim, size, stride in zip(dims, self.sizes, self.strides, strict=True)
            ]

        def build(self, shape: Any) -> None:
            places = self._places(shape)
            n_values = math.prod(self.sizes) * shape[1 if self.channels_first else -1]
            kernel = (math.prod(places), n_values, self.filters)
            self.kernel = self.add_weight(shape=kernel, name="kernel")
            if self.use_bias:
                self.bias = self.add_weight(shape=(*places, self.filters), name="bias")

        def call(self, x: Any) -> Any:
            places = self._places(x.shape)
            patches = []
            for place in itertools.product(*map(range, places)):
                window = tuple(
                    slice(at * stride, at * stride + size)
                    for at, stride, size in zip(place, self.strides, self.sizes, strict=True)
                )
                every = slice(None)
                patch = x[(every, every, *window) if self.channels_first else (every, *window)]
                patches.append(ops.reshape(patch, (-1, self.kernel.shape[1])))
            y = ops.einsum("bpi,pio->bpo", ops.stack(patches, axis=1), self.kernel)
            y = ops.reshape(y, (-1, *places, self.filters))
            bias = self.bias if self.use_bias else 0.0
            if self.channels_first:
                y = ops.moveaxis(y, -1, 1)
                # A new shape and no other order: so it was.
                bias = ops.reshape(bias, (1, self.filters, *places)) if self.use_bias else bias
            return self.activation(y + bias)

    class LocallyConnected1D(LocallyConnected):
        rank = 1

    class LocallyConnected2D(LocallyConnected):
        rank = 2

    return {"LocallyConnected1D": LocallyConnected1D, "LocallyConnected2D": LocallyConnected2D}


def _time_distributed(keras: Any) -> dict[str, Any]:
    """Return TimeDistributed as Keras 2 had it: all steps at once.

    Keras 3 makes one step after the other, which the exporter gets wrong if their number varies.
    """
    ops = keras.ops

    class TimeDistributed(keras.layers.TimeDistributed):  # type: ignore[misc]  # a module that is an argument
        def call(self, x: Any, training: bool = False, mask: Any = None) -> Any:
            del mask  # it says which steps count, and the layer sees one at a time
            given = {"training": training} if self.layer._call_has_training_arg else {}  # noqa: SLF001  (as the class above does)
            shape = ops.shape(x)
            y = self.layer.call(ops.reshape(x, (-1, *shape[2:])), **given)
            return ops.reshape(y, (-1, shape[1], *ops.shape(y)[1:]))

    return {"TimeDistributed": TimeDistributed}


def _channels_first(keras: Any) -> dict[str, Any]:
    """Return convolutions over (batch, channels, ...) that convolve over (batch, ..., channels).

    Keras 3 with TensorFlow adds the bias along the last axis if that is as long as the channels.
    """
    ops = keras.ops

    def made(base: Any) -> Any:
        class ChannelsFirst(base):  # type: ignore[misc]  # a class that is an argument
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **{**kwargs, "data_format": "channels_last"})
                self.is_inside = False

            def build(self, shape: Any) -> None:
                self.is_inside = True  # it asks itself for the shape of its output
                super().build((shape[0], *shape[2:], shape[1]))
                self.is_inside, self.input_spec = False, None

            def call(self, x: Any) -> Any:
                return ops.moveaxis(super().call(ops.moveaxis(x, 1, -1)), -1, 1)

            def compute_output_shape(self, shape: Any) -> Any:
                if self.is_inside:
                    return super().compute_output_shape(shape)
                found = super().compute_output_shape((shape[0], *shape[2:], shape[1]))
                return (found[0], found[-1], *found[1:-1])

        ChannelsFirst.__name__ = base.__name__  # by which a .keras archive calls its weights
        return ChannelsFirst

    return {CHANNELS_FIRST + name: made(getattr(keras.layers, name)) for name in CONVOLUTIONS}
