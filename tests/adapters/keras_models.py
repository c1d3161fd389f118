"""Keras models of the kinds that people train, small, with weights as if they had been."""

from collections.abc import Callable
from typing import Any

import numpy as np

MODELS: dict[str, Callable[[], Any]] = {}


def model(function: Callable[[], Any]) -> Callable[[], Any]:
    MODELS[function.__name__] = function
    return function


def keras() -> Any:
    import keras as found  # noqa: PLC0415  (not everywhere)

    return found


def trained(built: Any, seed: int = 5) -> Any:
    """Give a model weights as if it had been trained: no zeros; variances stay positive."""
    generator = np.random.default_rng(seed)
    for weight in built.weights:
        if "seed" in weight.path or not str(weight.dtype).startswith(("float", "bfloat")):
            continue
        values = generator.normal(size=weight.shape) * 0.3
        if "variance" in weight.path or "gamma" in weight.path:
            values = np.abs(values) + 0.5
        weight.assign(values.astype("float32"))
    return built


def sequential(shape: tuple[int | None, ...], *layers: Any, dtype: str | None = None) -> Any:
    k = keras()
    return trained(k.Sequential([k.Input(shape, dtype=dtype, name="features"), *layers]))


# --- dense ---------------------------------------------------------------------------------------


@model
def dense() -> Any:
    layers = keras().layers
    return sequential((7,), layers.Dense(16, "relu"), layers.Dense(3, "softmax", name="classes"))


@model
def dense_activations() -> Any:
    k = keras()
    x = first = k.Input((6,), name="features")
    for name in "elu selu gelu silu softplus softsign tanh sigmoid hard_sigmoid mish".split():
        x = k.layers.Dense(6, name, name=name)(x)
    return trained(k.Model(first, k.layers.LeakyReLU(negative_slope=0.2)(x)))


@model
def gelu_exact() -> Any:
    k = keras()
    first = k.Input((6,), name="features")
    x = k.layers.Dense(8)(first)
    return trained(k.Model(first, k.layers.Activation("gelu")(x)))


@model
def selu_alpha_dropout() -> Any:
    layers = keras().layers
    return sequential(
        (9,),
        layers.Dense(8, "selu", kernel_initializer="lecun_normal"),
        layers.AlphaDropout(0.2),
        layers.Dense(1, "sigmoid"),
    )


@model
def prelu() -> Any:
    layers = keras().layers
    return sequential((9,), layers.Dense(8), layers.PReLU(), layers.Dense(2))


@model
def batch_norm_dropout() -> Any:
    layers = keras().layers
    return sequential(
        (9,),
        layers.BatchNormalization(),
        layers.Dense(8, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dropout(0.3),
        layers.Dense(2),
    )


@model
def layer_norm() -> Any:
    layers = keras().layers
    return sequential((9,), layers.Dense(8), layers.LayerNormalization(), layers.Dense(2))


@model
def group_norm() -> Any:
    layers = keras().layers
    return sequential((4, 4, 8), layers.GroupNormalization(4), layers.Flatten(), layers.Dense(2))


@model
def unit_norm() -> Any:
    layers = keras().layers
    return sequential((9,), layers.Dense(8), layers.UnitNormalization(), layers.Dense(2))


@model
def normalization_adapted() -> Any:
    k = keras()
    normalization = k.layers.Normalization()
    normalization.adapt(np.random.default_rng(3).normal(5, 3, size=(100, 6)).astype("float32"))
    built = k.Sequential([k.Input((6,), name="features"), normalization, k.layers.Dense(3)])
    built.layers[-1].set_weights([np.full((6, 3), 0.2), np.array([1.0, 2.0, 3.0])])
    return built


@model
def normalization_constants() -> Any:
    k = keras()
    scale = k.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])
    return sequential((3,), scale, k.layers.Dense(2))


@model
def rescaling() -> Any:
    layers = keras().layers
    return sequential((5,), layers.Rescaling(1 / 255, offset=-0.5), layers.Dense(2))


@model
def float64() -> Any:
    layers = keras().layers
    return sequential(
        (5,),
        layers.Dense(8, "tanh", dtype="float64"),
        layers.Dense(2, dtype="float64"),
        dtype="float64",
    )


@model
def float16() -> Any:
    layers = keras().layers
    return sequential(
        (5,),
        layers.Dense(8, "relu", dtype="float16"),
        layers.Dense(2, dtype="float16"),
        dtype="float16",
    )


@model
def mixed_precision() -> Any:
    layers = keras().layers
    return sequential(
        (5,), layers.Dense(8, "relu", dtype="mixed_float16"), layers.Dense(2, dtype="float32")
    )


# --- convolution ---------------------------------------------------------------------------------


@model
def cnn_1d() -> Any:
    layers = keras().layers
    return sequential(
        (20, 3),
        layers.Conv1D(6, 3, activation="relu"),
        layers.MaxPooling1D(2),
        layers.Conv1D(4, 3, padding="causal", dilation_rate=2),
        layers.GlobalAveragePooling1D(),
        layers.Dense(2),
    )


@model
def cnn_2d() -> Any:
    layers = keras().layers
    return sequential(
        (12, 12, 2),
        layers.Conv2D(6, 3, activation="relu", padding="same"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Conv2D(4, 3, strides=2),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(5, "softmax"),
    )


@model
def cnn_3d() -> Any:
    layers = keras().layers
    return sequential(
        (6, 6, 6, 1), layers.Conv3D(3, 2), layers.GlobalMaxPooling3D(), layers.Dense(2)
    )


@model
def separable() -> Any:
    layers = keras().layers
    return sequential(
        (10, 10, 3),
        layers.SeparableConv2D(6, 3, padding="same"),
        layers.DepthwiseConv2D(3),
        layers.GlobalMaxPooling2D(),
        layers.Dense(2),
    )


@model
def separable_1d() -> Any:
    layers = keras().layers
    return sequential((10, 3), layers.SeparableConv1D(6, 3), layers.GlobalMaxPooling1D())


@model
def transposed() -> Any:
    layers = keras().layers
    return sequential(
        (5, 5, 3),
        layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        layers.UpSampling2D(2),
        layers.ZeroPadding2D(1),
        layers.Cropping2D(2),
        layers.Conv2D(1, 1),
    )


@model
def any_size() -> Any:
    """An image of any size."""
    layers = keras().layers
    return sequential((None, None, 2), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D())


@model
def residual() -> Any:
    k = keras()
    first = k.Input((8, 8, 4), name="image")
    x = k.layers.Conv2D(4, 3, padding="same")(first)
    x = k.layers.BatchNormalization()(x)
    x = k.layers.Add()([k.layers.ReLU()(x), first])
    return trained(k.Model(first, k.layers.Dense(3)(k.layers.Flatten()(x))))


@model
def unet() -> Any:
    k = keras()
    first = k.Input((16, 16, 1), name="image")
    down = k.layers.Conv2D(4, 3, padding="same", activation="relu")(first)
    low = k.layers.Conv2D(8, 3, padding="same")(k.layers.MaxPooling2D()(down))
    up = k.layers.Conv2DTranspose(4, 2, strides=2)(low)
    x = k.layers.Concatenate()([down, up])
    return trained(k.Model(first, k.layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x)))


# --- sequences -----------------------------------------------------------------------------------


@model
def gru() -> Any:
    layers = keras().layers
    return sequential((7, 4), layers.GRU(5, return_sequences=True), layers.GRU(3), layers.Dense(2))


@model
def gru_before() -> Any:
    layers = keras().layers
    return sequential((7, 4), layers.GRU(5, reset_after=False), layers.Dense(2))


@model
def lstm() -> Any:
    layers = keras().layers
    return sequential((7, 4), layers.LSTM(5), layers.Dense(2))


@model
def lstm_any_length() -> Any:
    layers = keras().layers
    return sequential((None, 4), layers.LSTM(5, return_sequences=True), layers.Dense(2))


@model
def lstm_unrolled() -> Any:
    layers = keras().layers
    return sequential((4, 3), layers.LSTM(5, unroll=True), layers.Dense(2))


@model
def simple_rnn() -> Any:
    layers = keras().layers
    return sequential((7, 4), layers.SimpleRNN(5), layers.Dense(2))


@model
def bidirectional() -> Any:
    layers = keras().layers
    return sequential(
        (7, 4),
        layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        layers.Bidirectional(layers.GRU(3), merge_mode="sum"),
        layers.Dense(2),
    )


@model
def masking() -> Any:
    layers = keras().layers
    return sequential((7, 4), layers.Masking(0.0), layers.LSTM(5), layers.Dense(2))


@model
def time_distributed() -> Any:
    layers = keras().layers
    return sequential(
        (7, 4),
        layers.TimeDistributed(layers.Dense(5, "relu")),
        layers.TimeDistributed(layers.Dense(3)),
        layers.GlobalAveragePooling1D(),
    )


@model
def embedding() -> Any:
    layers = keras().layers
    return sequential(
        (6,),
        layers.Embedding(11, 4),
        layers.GlobalAveragePooling1D(),
        layers.Dense(2),
        dtype="int32",
    )


@model
def embedding_masked_lstm() -> Any:
    layers = keras().layers
    return sequential(
        (6,),
        layers.Embedding(11, 4, mask_zero=True),
        layers.LSTM(3),
        layers.Dense(2),
        dtype="int32",
    )


@model
def conv_lstm() -> Any:
    layers = keras().layers
    return sequential((3, 6, 6, 1), layers.ConvLSTM2D(2, 3), layers.Flatten(), layers.Dense(2))


@model
def attention() -> Any:
    k = keras()
    first = k.Input((6, 8), name="tokens")
    x = k.layers.MultiHeadAttention(2, 4)(first, first)
    x = k.layers.LayerNormalization()(k.layers.Add()([x, first]))
    y = k.layers.Dense(8)(k.layers.Dense(16, "gelu")(x))
    x = k.layers.LayerNormalization()(k.layers.Add()([x, y]))
    return trained(k.Model(first, k.layers.Dense(2)(k.layers.GlobalAveragePooling1D()(x))))


@model
def dot_attention() -> Any:
    k = keras()
    query, value = k.Input((5, 4), name="query"), k.Input((6, 4), name="value")
    return trained(k.Model([query, value], k.layers.Attention()([query, value])))


# --- shapes --------------------------------------------------------------------------------------


@model
def several_inputs_and_outputs() -> Any:
    k = keras()
    jets, event = k.Input((10, 4), name="jets"), k.Input((3,), name="event")
    x = k.layers.Conv1D(6, 1, activation="relu")(jets)
    x = k.layers.Concatenate()([k.layers.GlobalMaxPooling1D()(x), event])
    tag = k.layers.Dense(3, "softmax", name="tag")(x)
    mass = k.layers.Dense(1, name="mass")(x)
    return trained(k.Model([jets, event], [tag, mass]))


@model
def dictionaries() -> Any:
    k = keras()
    inputs = {"pt": k.Input((2,), name="pt"), "eta": k.Input((3,), name="eta")}
    x = k.layers.Concatenate()([inputs["pt"], inputs["eta"]])
    return trained(k.Model(inputs, {"score": k.layers.Dense(2)(x), "other": k.layers.Dense(1)(x)}))


@model
def shared_layers() -> Any:
    k = keras()
    left, right = k.Input((5,), name="left"), k.Input((5,), name="right")
    tower = k.Sequential(
        [k.Input((5,)), k.layers.Dense(4, "relu"), k.layers.Dense(3)], name="tower"
    )
    distance = k.layers.Subtract()([tower(left), tower(right)])
    product = k.layers.Dot(axes=1, normalize=True)([tower(left), tower(right)])
    return trained(k.Model([left, right], [distance, product]))


@model
def merges() -> Any:
    k = keras()
    a, b = k.Input((5,), name="a"), k.Input((5,), name="b")
    both = [a, k.layers.Dense(5)(b)]
    found = [
        getattr(k.layers, name)()(both)
        for name in "Add Multiply Average Maximum Minimum Subtract".split()
    ]
    return trained(k.Model([a, b], k.layers.Concatenate()(found)))


@model
def reshapes() -> Any:
    layers = keras().layers
    return sequential(
        (12,),
        layers.Reshape((3, 4)),
        layers.Permute((2, 1)),
        layers.Flatten(),
        layers.RepeatVector(3),
        layers.Flatten(),
        layers.Dense(2),
    )


@model
def operations() -> Any:
    k = keras()
    first = k.Input((4,), name="features")
    x = k.ops.concatenate([k.ops.sin(first), k.ops.log1p(k.ops.abs(first))], axis=-1)
    x = k.ops.sum(k.layers.Dense(3)(x), axis=-1, keepdims=True) * 2.0 + k.ops.max(first)
    return trained(k.Model(first, x))


@model
def never_built() -> Any:
    k = keras()
    built = k.Sequential([k.layers.Dense(4, "relu"), k.layers.Dense(2)])
    built.build((None, 5))
    return trained(built)


@model
def subclassed() -> Any:
    k = keras()

    class Tower(k.Model):
        def __init__(self):
            super().__init__()
            self.first = k.layers.Dense(6, "relu")
            self.dropout = k.layers.Dropout(0.5)
            self.last = k.layers.Dense(2)

        def call(self, x, training=False):
            return self.last(self.dropout(self.first(x), training=training))

    built = Tower()
    built(np.zeros((1, 5), "float32"))
    return trained(built)


@model
def subclassed_dictionary() -> Any:
    k = keras()

    class Both(k.Model):
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(3)

        def call(self, inputs):
            x = self.dense(k.ops.concatenate([inputs["pt"], inputs["eta"]], axis=-1))
            return {"score": k.ops.sigmoid(x), "sum": k.ops.sum(x, axis=-1)}

    built = Both()
    built({"pt": np.zeros((1, 2), "float32"), "eta": np.zeros((1, 3), "float32")})
    return trained(built)


@model
def custom_layer() -> Any:
    k = keras()

    class Swap(k.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")

        def call(self, x):
            return k.ops.flip(x, axis=-1) * self.scale

    return sequential((5,), Swap(), k.layers.Dense(2))


@model
def data_dependent_loop() -> Any:
    k = keras()

    class Halve(k.layers.Layer):
        def call(self, x):
            condition = lambda y: k.ops.max(k.ops.abs(y)) > 1.0  # noqa: E731
            return k.ops.while_loop(condition, lambda y: (y / 2.0,), (x,))[0]

    return sequential((5,), Halve(), k.layers.Dense(2))


@model
def random_in_inference() -> Any:
    """Never the same twice."""
    k = keras()

    class Noise(k.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed = k.random.SeedGenerator(1)

        def call(self, x):
            return x + k.random.normal((5,), seed=self.seed)

    return sequential((5,), Noise(), k.layers.Dense(2))


@model
def lambda_object() -> Any:
    """A Lambda layer in memory is the user's own code, and runs already."""
    k = keras()
    return sequential((5,), k.layers.Lambda(lambda x: x * 2.0 + 1.0), k.layers.Dense(2))


@model
def category_encoding() -> Any:
    layers = keras().layers
    return sequential(
        (1,),
        layers.CategoryEncoding(num_tokens=6, output_mode="one_hot"),
        layers.Dense(2),
        dtype="int32",
    )


@model
def discretization() -> Any:
    layers = keras().layers
    return sequential((3,), layers.Discretization([-1.0, 0.0, 1.5]), layers.Rescaling(0.5))


@model
def einsum_dense() -> Any:
    layers = keras().layers
    return sequential((4, 6), layers.EinsumDense("abc,cd->abd", output_shape=(None, 3)))


@model
def top_k() -> Any:
    k = keras()
    first = k.Input((8,), name="features")
    values, indices = k.ops.top_k(k.layers.Dense(6)(first), 3)
    return trained(k.Model(first, [values, indices]))
