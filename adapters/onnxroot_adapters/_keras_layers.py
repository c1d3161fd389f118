"""Layers and functions that Keras 3 no longer has, or has with another meaning, for older files."""

from __future__ import annotations

from typing import Any

from onnxroot_adapters._keras_config import HARD_SIGMOID_2

__all__ = ["former_objects"]


def former_objects(keras: Any) -> dict[str, Any]:  # noqa: C901  (one simple layer after another)
    """Return them by name, as ``custom_objects`` of Keras.

    Args:
        keras: The module.
    """
    ops, layers = keras.ops, keras.layers

    def hard_sigmoid(x: Any) -> Any:
        return ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    # Bidirectional makes its second layer from what the first says of itself
    hard_sigmoid.__name__ = hard_sigmoid.__qualname__ = HARD_SIGMOID_2

    class ThresholdedReLU(layers.Layer):  # type: ignore[name-defined, misc]  # a module that is an argument
        def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.theta = theta

        def call(self, x: Any) -> Any:
            return x * ops.cast(x > self.theta, x.dtype)

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

    return {
        HARD_SIGMOID_2: hard_sigmoid,
        "ThresholdedReLU": ThresholdedReLU,
        "MaxoutDense": MaxoutDense,
        "Highway": Highway,
    }
