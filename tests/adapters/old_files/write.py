"""Write models with the old frameworks themselves; the only program here that needs them.

Each model comes with inputs, and what the framework that wrote it made of them. Run it where one
of these is installed, with Python 3.7 (3.10 for the last), to add models:

- ``tensorflow==1.15.5 Keras==1.2.2 h5py<3 numpy<1.19 protobuf<3.21`` (also writes frozen graphs)
- ``tensorflow==1.15.5 Keras==2.2.4 h5py<3 numpy<1.19 protobuf<3.21``
- ``tensorflow-cpu==2.13.1``
"""

# ruff: noqa: PLC0415, NPY002, B905, F811, UP031  (old Pythons and NumPys; one framework at a time)

import sys
from pathlib import Path

import numpy as np

CASES = {"keras_1": {}, "keras_2": {}, "tensorflow_1": {}}


def draw(*shape):
    return np.random.normal(size=shape).astype("float32")


def keras_1(case):
    CASES["keras_1"][case.__name__] = case
    return case


def keras_2(case):
    CASES["keras_2"][case.__name__] = case
    return case


def tensorflow_1(case):
    CASES["tensorflow_1"][case.__name__] = case
    return case


# --- Keras 1 -------------------------------------------------------------------------------------


@keras_1
def deepjet():
    ins = [
        layers.Input(shape=(15,), name="global"),
        layers.Input(shape=(25, 16), name="cpf"),
        layers.Input(shape=(25, 8), name="npf"),
        layers.Input(shape=(4, 12), name="vtx"),
        layers.Input(shape=(1,), name="reg"),
    ]
    c = layers.BatchNormalization(momentum=0.3)(ins[1])
    for n in (32, 16, 8):
        c = layers.Dropout(0.1)(layers.Convolution1D(n, 1, activation="relu")(c))
    n_ = layers.BatchNormalization()(ins[2])
    for n in (16, 4):
        n_ = layers.Convolution1D(n, 1, activation="relu")(n_)
    v = layers.Convolution1D(8, 1, activation="relu")(ins[3])
    c = layers.LSTM(20, go_backwards=True)(c)
    n_ = layers.LSTM(10, go_backwards=True, consume_less="gpu")(n_)
    v = layers.LSTM(10, go_backwards=True, consume_less="mem")(v)
    x = layers.merge([ins[0], c, n_, v], mode="concat")
    for n in (50, 30):
        x = layers.Dropout(0.1)(layers.Dense(n, activation="relu")(x))
    a = layers.Dense(6, activation="softmax", name="ID_pred")(x)
    b = layers.Dense(1, name="regression_pred")(layers.merge([a, ins[4]], mode="concat"))
    return (
        models.Model(input=ins, output=[a, b]),
        [draw(20, 15), draw(20, 25, 16), draw(20, 25, 8), draw(20, 4, 12), draw(20, 1)],
    )


@keras_1
def rnn_masked():
    m = models.Sequential()
    m.add(layers.Masking(mask_value=-999.0, input_shape=(15, 6)))
    m.add(layers.LSTM(25))
    m.add(layers.Dropout(0.2))
    m.add(layers.Dense(4, activation="softmax"))
    x = draw(20, 15, 6)
    for k in range(20):
        x[k, k % 15 :] = -999.0
    x[0] = draw(15, 6)
    x[15] = draw(15, 6)
    return (m, [x])


@keras_1
def bidirectional():
    m = models.Sequential(
        [
            layers.Bidirectional(layers.LSTM(8, return_sequences=True), input_shape=(7, 5)),
            layers.Bidirectional(layers.GRU(6), merge_mode="sum"),
            layers.Dense(2, activation="sigmoid"),
        ]
    )
    return (m, [draw(20, 7, 5)])


@keras_1
def cnn_th():
    m = models.Sequential()
    m.add(
        layers.Convolution2D(
            8, 3, 3, border_mode="same", input_shape=(1, 12, 12), dim_ordering="th"
        )
    )
    m.add(layers.Activation("relu"))
    m.add(layers.MaxPooling2D((2, 2), dim_ordering="th"))
    m.add(layers.Convolution2D(4, 2, 3, dim_ordering="th"))
    m.add(layers.BatchNormalization(axis=1))
    m.add(layers.Flatten())
    m.add(layers.Dense(3, activation="softmax"))
    return (m, [draw(10, 1, 12, 12)])


@keras_1
def bn_channels_same_as_width():
    return (
        models.Sequential(
            [
                layers.Convolution2D(
                    6, 3, 3, input_shape=(2, 8, 8), dim_ordering="th", activation="relu"
                ),
                layers.Convolution2D(4, 3, 3, dim_ordering="th"),
                layers.GlobalMaxPooling2D(dim_ordering="th"),
            ]
        ),
        [draw(6, 2, 8, 8)],
    )


@keras_1
def convlstm():
    m = models.Sequential(
        [
            layers.ConvLSTM2D(3, 2, 2, input_shape=(3, 5, 5, 1), dim_ordering="tf"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    return (m, [draw(10, 3, 5, 5, 1)])


@keras_1
def locally():
    m = models.Sequential(
        [layers.LocallyConnected1D(4, 3, input_shape=(8, 3)), layers.Flatten(), layers.Dense(2)]
    )
    return (m, [draw(10, 8, 3)])


@keras_1
def locally_th():
    return (
        models.Sequential(
            [
                layers.LocallyConnected2D(
                    3, 2, 3, input_shape=(2, 6, 6), dim_ordering="th", subsample=(2, 1)
                ),
                layers.Flatten(),
                layers.Dense(2),
            ]
        ),
        [draw(5, 2, 6, 6)],
    )


@keras_1
def srelu():
    m = models.Sequential([layers.Dense(8, input_dim=5), layers.SReLU(), layers.Dense(2)])
    return (m, [draw(10, 5)])


@keras_1
def parametric_softplus():
    m = models.Sequential(
        [layers.Dense(8, input_dim=5), layers.ParametricSoftplus(0.3, 1.2), layers.Dense(2)]
    )
    return (m, [draw(10, 5)])


@keras_1
def bn_mode1():
    m = models.Sequential(
        [layers.Dense(8, input_dim=5), layers.BatchNormalization(mode=1), layers.Dense(2)]
    )
    return (m, [draw(10, 5)])


@keras_1
def merge_branches():
    a = models.Sequential([layers.Dense(8, input_dim=5, activation="relu")])
    b = models.Sequential([layers.Dense(8, input_dim=7), layers.PReLU()])
    m = models.Sequential()
    m.add(layers.Merge([a, b], mode="concat"))
    m.add(layers.Dense(4))
    m.add(layers.Activation("softmax"))
    return (m, [draw(10, 5), draw(10, 7)])


@keras_1
def merge_deep():
    a = models.Sequential([layers.Dense(4, input_dim=3)])
    b = models.Sequential([layers.Dense(4, input_dim=3)])
    ab = models.Sequential()
    ab.add(layers.Merge([a, b], mode="mul"))
    ab.add(layers.Dense(4))
    c = models.Sequential([layers.Dense(4, input_dim=2)])
    m = models.Sequential()
    m.add(layers.Merge([ab, c], mode="max"))
    m.add(layers.Dense(2))
    return (m, [draw(5, 3), draw(5, 3), draw(5, 2)])


@keras_1
def merge_model_branch():
    i = layers.Input((3,))
    a = models.Model(i, layers.Dense(4)(i))
    c = models.Sequential([layers.Dense(4, input_dim=2)])
    m = models.Sequential()
    m.add(layers.Merge([a, c], mode="concat"))
    m.add(layers.Dense(2))
    return (m, [draw(5, 3), draw(5, 2)])


@keras_1
def time_distributed_model():
    inner = models.Sequential([layers.Dense(6, input_dim=4, activation="relu"), layers.Dense(3)])
    m = models.Sequential(
        [
            layers.TimeDistributed(inner, input_shape=(5, 4)),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )
    return (m, [draw(10, 5, 4)])


@keras_1
def nested_rnn():
    a = layers.Input((6, 4))
    inner = models.Model(
        a,
        layers.BatchNormalization()(
            layers.Dense(4)(
                layers.LSTM(5)(layers.GRU(5, return_sequences=True)(layers.BatchNormalization()(a)))
            )
        ),
    )
    i = layers.Input((6, 4))
    return (models.Model(i, layers.Dense(2)(inner(i))), [draw(6, 6, 4)])


@keras_1
def nested_th():
    inner = models.Sequential(
        [
            layers.Convolution2D(4, 3, 3, input_shape=(1, 8, 8), dim_ordering="th"),
            layers.BatchNormalization(axis=1),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    i, j = (layers.Input((1, 8, 8)), layers.Input((1, 8, 8)))
    return (
        models.Model([i, j], layers.Dense(2)(layers.merge([inner(i), inner(j)], mode="concat"))),
        [draw(6, 1, 8, 8), draw(6, 1, 8, 8)],
    )


@keras_1
def model_in_sequential():
    a = layers.Input((5,))
    inner = models.Model(a, layers.Dense(4, activation="relu")(a))
    m = models.Sequential()
    m.add(inner)
    m.add(layers.Dense(2))
    return (m, [draw(10, 5)])


@keras_1
def spatial_dropout():
    m = models.Sequential(
        [
            layers.Convolution1D(4, 1, input_shape=(5, 3)),
            layers.SpatialDropout1D(0.2),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ]
    )
    return (m, [draw(10, 5, 3)])


@keras_1
def frozen_nested():
    a = layers.Input((6,))
    x = layers.Dense(5)(a)
    x = layers.BatchNormalization()(x)
    inner = models.Model(a, layers.Dense(4)(x))
    inner.trainable = False
    i = layers.Input((6,))
    return (models.Model(i, layers.Dense(2)(inner(i))), [draw(6, 6)])


# --- Keras 2 -------------------------------------------------------------------------------------


@keras_2
def rnn_cells():
    return (
        models.Sequential(
            [
                layers.RNN(
                    [layers.LSTMCell(5), layers.GRUCell(4)]
                    if not old
                    else [layers.LSTMCell(5), layers.LSTMCell(4)],
                    input_shape=(8, 5),
                ),
                layers.Dense(2),
            ]
        ),
        [draw(10, 8, 5)],
    )


@keras_2
def return_state():
    i, h = (layers.Input((5, 3)), layers.Input((6, 2)))
    e, hh, c = layers.LSTM(4, return_state=True)(i)
    d = layers.LSTM(4)(h, initial_state=[hh, c])
    return (models.Model([i, h], layers.Concatenate()([d, e])), [draw(6, 5, 3), draw(6, 6, 2)])


@keras_2
def time_distributed_functional():
    a = layers.Input((4,))
    inner = models.Model(a, layers.Dense(3)(layers.Dense(5, activation="relu")(a)))
    i = layers.Input((6, 4))
    return (models.Model(i, layers.LSTM(3)(layers.TimeDistributed(inner)(i))), [draw(10, 6, 4)])


@keras_2
def unknown_length():
    i = layers.Input((None, 3))
    x = layers.TimeDistributed(layers.Dense(5, activation="relu"))(i)
    x = layers.GlobalMaxPooling1D()(x)
    return (models.Model(i, layers.Dense(2)(x)), [draw(5, 9, 3)])


@keras_2
def layernorm_attention():
    i = layers.Input((6, 8))
    x = layers.MultiHeadAttention(2, 4)(i, i)
    x = layers.LayerNormalization(epsilon=1e-06)(layers.Add()([x, i]))
    x = layers.Dense(8, activation="gelu")(x)
    return (models.Model(i, layers.GlobalAveragePooling1D()(x)), [draw(10, 6, 8)])


@keras_2
def dense():
    return (
        models.Sequential(
            [
                layers.Dense(
                    32,
                    input_dim=12,
                    kernel_initializer="lecun_uniform",
                    kernel_regularizer=keras.regularizers.l1_l2(0.0001, 0.0001),
                ),
                layers.Activation("relu"),
                layers.Dropout(0.2),
                layers.BatchNormalization(),
                layers.Dense(16, activation="tanh"),
                layers.Dense(3, activation="softmax"),
            ]
        ),
        [draw(40, 12)],
    )


@keras_2
def nested_sequential():
    return (
        models.Sequential(
            [
                models.Sequential([layers.Dense(5, input_shape=(4,)), layers.BatchNormalization()]),
                models.Sequential([layers.Dense(4), layers.PReLU()]),
                layers.Dense(2),
            ]
        ),
        [draw(10, 4)],
    )


@keras_2
def deepjet():
    ins = [
        layers.Input(shape=(15,), name="global"),
        layers.Input(shape=(25, 16), name="cpf"),
        layers.Input(shape=(25, 8), name="npf"),
        layers.Input(shape=(4, 12), name="vtx"),
        layers.Input(shape=(1,), name="reg"),
    ]
    c = layers.BatchNormalization(momentum=0.3, name="cpf_bn")(ins[1])
    for n in (32, 16, 8):
        c = layers.Dropout(0.1)(
            layers.Conv1D(n, 1, activation="relu", kernel_initializer="lecun_uniform")(c)
        )
    n_ = layers.Conv1D(4, 1, activation="relu")(layers.BatchNormalization()(ins[2]))
    v = layers.Conv1D(8, 1, activation="relu")(ins[3])
    kw = {} if old else {"implementation": 2}
    c = layers.LSTM(20, go_backwards=True, **kw)(c)
    n_ = layers.LSTM(10, go_backwards=True)(n_)
    v = layers.LSTM(10, go_backwards=True)(v)
    x = layers.Concatenate()([ins[0], c, n_, v])
    for n in (50, 30):
        x = layers.Dropout(0.1)(layers.Dense(n, activation="relu")(x))
    a = layers.Dense(6, activation="softmax", name="ID_pred")(x)
    return (
        models.Model(
            inputs=ins,
            outputs=[a, layers.Dense(1, name="regression_pred")(layers.Concatenate()([a, ins[4]]))],
        ),
        [draw(20, 15), draw(20, 25, 16), draw(20, 25, 8), draw(20, 4, 12), draw(20, 1)],
    )


@keras_2
def conv1d_th():
    return (
        models.Sequential(
            [
                layers.Conv1D(
                    4,
                    3,
                    data_format="channels_first" if not old else "channels_last",
                    input_shape=(6, 6),
                ),
                layers.Flatten(),
            ]
        ),
        [draw(5, 6, 6)],
    )


@keras_2
def locally2d():
    return (
        models.Sequential(
            [
                layers.LocallyConnected2D(4, 3, input_shape=(6, 6, 2)),
                layers.Flatten(),
                layers.Dense(2),
            ]
        ),
        [draw(10, 6, 6, 2)],
    )


# --- TensorFlow 1 --------------------------------------------------------------------------------


def weight(*shape):
    return tf.Variable(draw(*shape) * 0.4)


@tensorflow_1
def phase():
    x = tf.placeholder(tf.float32, [None, 6], name="x")
    ph = tf.placeholder(tf.bool, [], name="is_training")
    h = tf.layers.batch_normalization(tf.layers.dense(x, 8), training=ph)
    h = tf.layers.dropout(h, 0.3, training=ph)
    y = tf.nn.softmax(tf.layers.dense(h, 3), name="y")
    return {"ins": [x], "outs": [y], "vals": [draw(5, 6)], "feed": {ph: False}}


@tensorflow_1
def asserted():
    x = tf.placeholder(tf.float32, [None, 6], name="x")
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.shape(x)[1] > 3, [x]), tf.assert_rank(x, 2)]
    ):
        h = tf.identity(x)
    y = tf.nn.elu(tf.matmul(h, weight(6, 4)), name="y")
    return {"ins": [x], "outs": [y], "vals": [draw(5, 6)]}


@tensorflow_1
def dropout_ph_default():
    x = tf.placeholder(tf.float32, [None, 6], name="x")
    keep = tf.placeholder_with_default(1.0, [], name="keep_prob")
    h = tf.nn.dropout(tf.nn.relu(tf.matmul(x, weight(6, 8))), keep)
    y = tf.nn.softmax(tf.matmul(h, weight(8, 3)), name="y")
    return {"ins": [x], "outs": [y], "vals": [draw(5, 6)]}


@tensorflow_1
def gru_cell():
    x = tf.placeholder(tf.float32, [None, 7, 4], name="x")
    _o, s = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(5), x, dtype=tf.float32)
    y = tf.matmul(s, weight(5, 2), name="y")
    return {"ins": [x], "outs": [y], "vals": [draw(3, 7, 4)]}


@tensorflow_1
def edgeconv():
    p = tf.placeholder(tf.float32, [None, 8, 2], name="points")
    f = tf.placeholder(tf.float32, [None, 8, 3], name="features")
    r = tf.reduce_sum(p * p, axis=2, keepdims=True)
    layers.D = r - 2 * tf.matmul(p, tf.transpose(p, (0, 2, 1))) + tf.transpose(r, (0, 2, 1))
    _, idx = tf.nn.top_k(-layers.D, k=4)
    idx = idx[:, :, 1:]
    q = tf.shape(f)
    b = tf.tile(tf.reshape(tf.range(q[0]), (-1, 1, 1, 1)), (1, 8, 3, 1))
    ind = tf.concat([b, tf.expand_dims(idx, 3)], 3)
    n = tf.gather_nd(f, ind)
    c = tf.tile(tf.expand_dims(f, 2), (1, 1, 3, 1))
    x = tf.concat([c, n - c], -1)
    x = tf.nn.relu(tf.nn.conv2d(x, weight(1, 1, 6, 5), [1, 1, 1, 1], "SAME"))
    x = tf.reduce_mean(tf.reduce_mean(x, 2), 1)
    y = tf.nn.softmax(tf.matmul(x, weight(5, 3)), name="y")
    return {"ins": [p, f], "outs": [y], "vals": [draw(4, 8, 2), draw(4, 8, 3)]}


@tensorflow_1
def mlp_unknown():
    x = tf.placeholder(tf.float32, name="x")
    h = tf.nn.relu(tf.matmul(tf.reshape(x, [-1, 6]), weight(6, 8)) + weight(8))
    y = tf.nn.softmax(tf.matmul(h, weight(8, 3)), name="y")
    return {"ins": [x], "outs": [y], "vals": [draw(5, 6)], "args": ["--input", "x:?x6"]}


@tensorflow_1
def two_outputs():
    x = tf.placeholder(tf.float32, [None, 6], name="x")
    z = tf.placeholder(tf.float32, [None, 2], name="z")
    h = tf.concat([tf.tanh(tf.matmul(x, weight(6, 8))), z], 1)
    a = tf.nn.softmax(tf.matmul(h, weight(10, 3)), name="a")
    b = tf.squeeze(tf.matmul(h, weight(10, 1)), axis=1, name="b")
    return {"ins": [x, z], "outs": [a, b], "vals": [draw(5, 6), draw(5, 2)], "unordered": True}


# --- writing -------------------------------------------------------------------------------------


def write(folder, name, inputs, outputs, arguments=()):
    arrays = {"in%d" % i: array for i, array in enumerate(inputs)}
    arrays.update(("out%d" % i, array) for i, array in enumerate(outputs))
    np.savez(str(folder / (name + ".npz")), **arrays)
    if arguments:
        (folder / (name + ".txt")).write_text(" ".join(arguments))


def write_keras(folder, name, model, inputs, suffix):
    for layer in model.layers:
        changed = []
        for variable, array in zip(layer.weights, layer.get_weights()):
            positive = "moving_variance" in variable.name or "running_std" in variable.name
            noise = 0.3 * draw(*array.shape)
            changed.append(np.abs(noise) + 0.5 if positive else array + noise)
        layer.set_weights(changed)
    found = model.predict(inputs if len(inputs) > 1 else inputs[0])
    outputs = found if isinstance(found, list) else [found]
    path = str(folder / name)
    if suffix == ".json":
        Path(path + suffix).write_text(model.to_json())
        model.save_weights(path + "_weights.h5")
    else:
        model.save(path + suffix)
    write(folder, name, inputs, outputs)


def write_graph(folder, name, case):
    tf.reset_default_graph()
    made = case()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        feed = dict(zip(made["ins"], made["vals"]))
        feed.update(made.get("feed", {}))
        outputs = session.run(made["outs"], feed)
        ends = [tensor.op.name for tensor in made["outs"]]
        whole = tf.get_default_graph().as_graph_def()
        frozen = tf.graph_util.convert_variables_to_constants(session, whole, ends)
    (folder / (name + ".pb")).write_bytes(frozen.SerializeToString())
    write(folder, name, made["vals"], outputs, made.get("args", ()))


def main(folder):
    global keras, layers, models, K, tf, old  # noqa: PLW0603
    np.random.seed(1)
    import tensorflow as tf

    if tf.__version__[0] == "1":
        import keras
    else:
        keras = tf.keras
    layers, models, K = keras.layers, keras.models, keras.backend
    version = getattr(keras, "__version__", tf.__version__)
    old = not keras.__name__.startswith("tensorflow") and tf.__version__[0] == "1"
    kind = "keras_1" if version[0] == "1" else "keras_2"
    folder = Path(folder, "keras-" + version)
    folder.mkdir(exist_ok=True)
    for i, (name, case) in enumerate(sorted(CASES[kind].items())):
        if name == "layernorm_attention" and old:
            continue
        K.clear_session()
        as_archive = name in ("deepjet", "dense", "conv1d_th", "nested_sequential")
        suffix = ".keras" if as_archive and not old else (".json", ".h5")[i % 2]
        write_keras(folder, name, *case(), suffix=suffix)
    if kind == "keras_1":
        for name, case in CASES["tensorflow_1"].items():
            write_graph(folder, name, case)


if __name__ == "__main__":
    main(sys.argv[1])
