"""Architectures as Keras 1, 2 and 3 wrote them: what they would run, and what they mean today.

Keras 3 opens what Keras 2 wrote, but not all of it means the same: ``hard_sigmoid`` is another
function, GRU has another default, and a Sequential without InputLayer gets an axis too many. What
only training needs (initializers, regularizers, constraints) is left out, for the weights follow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from onnxroot.errors import UnsupportedModelError
from onnxroot_adapters._keras_calls import calls_of_keras_3
from onnxroot_adapters._keras_merge import without_branches

__all__ = [
    "CHANNELS_FIRST",
    "CONVOLUTIONS",
    "HARD_SIGMOID_2",
    "ROW_NORMALIZATION",
    "classes_in",
    "major_version",
    "modernise",
    "rename_hard_sigmoid",
    "resizes_as_tensorflow_1",
    "runs_code",
    "without_shapes",
]

CHANNELS_FIRST = "ChannelsFirst"
"""What comes before the name of a convolution whose second axis is the channels."""

CONVOLUTIONS = (
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose",
    "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
)  # fmt: skip

ROW_NORMALIZATION = "RowNormalization"
"""What BatchNormalization with mode=1 is called here: it normalizes each row for itself."""

HARD_SIGMOID_2 = "hard_sigmoid_of_keras_2"
"""What ``hard_sigmoid`` is called here in architectures of Keras 1 and 2."""

_RUN_CODE = {
    "Lambda": "a Lambda layer",
    "__lambda__": "a Python lambda",
    "TFSMLayer": "a TFSMLayer, which opens another SavedModel",
    "TorchModuleWrapper": "a pickled torch module",
}
_TRAINING_ONLY = ("_regularizer", "_constraint", "_initializer")
_TRAINING_ONLY_1 = {
    "init", "inner_init", "forget_bias_init", "beta_init", "gamma_init", "weights", "mode",
    "W_regularizer", "b_regularizer", "U_regularizer", "W_constraint", "b_constraint",
    "beta_regularizer", "gamma_regularizer", "consume_less", "input_dtype",
}  # fmt: skip
_RENAMED_1 = {
    "nb_filter": "filters",
    "bias": "use_bias",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "filter_length": "kernel_size",
    "pool_length": "pool_size",
    "stride": "strides",
    "atrous_rate": "dilation_rate",
    "inner_activation": "recurrent_activation",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "p": "rate",
    "sigma": "stddev",
    "length": "size",
}
_CLASSES_1 = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "TimeDistributedDense": "Dense",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "Model": "Functional",
}
_MERGES_1 = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
}
_MODULES = {"Sequential": "keras", "Functional": "keras.src.models.functional"}
_OF_KERAS_2 = (
    "implementation", "query_shape", "key_shape", "value_shape", "fused", "optional", "input_dtype",
)  # fmt: skip
_DEFAULTS_2 = {
    "groups": 1, "output_shape": None, "ragged": False, "renorm": False, "sparse": False,
    "softmax_robust_masking": False, "time_major": False, "virtual_batch_size": None,
}  # fmt: skip


def classes_in(architecture: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the classes that an architecture names, with what is said of each."""
    if isinstance(architecture, Mapping):
        name = architecture.get("class_name")
        if isinstance(name, str):
            yield name, architecture
        for value in architecture.values():
            yield from classes_in(value)
    elif isinstance(architecture, (list, tuple)):
        for value in architecture:
            yield from classes_in(value)


def runs_code(architecture: object) -> str | None:
    """Return what would run code or open other files in an architecture, if anything."""
    for name, entry in classes_in(architecture):
        if name in _RUN_CODE:
            inner = entry.get("config")
            layer = inner.get("name") if isinstance(inner, Mapping) else None
            return f"{_RUN_CODE[name]} ({layer})" if layer else _RUN_CODE[name]
    if '"__lambda__"' in json.dumps(architecture, default=str):
        return _RUN_CODE["__lambda__"]
    return None


def major_version(text: object) -> int:
    """Return 1, 2 or 3 of a version of Keras; what says nothing is from Keras 1."""
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    first = str(text or "1").partition(".")[0]
    return int(first) if first.isdigit() else 2


def resizes_as_tensorflow_1(architecture: object, version: str) -> bool:
    """Say whether a network resizes images with weights for which Keras 3 has others.

    TensorFlow 1, and Keras before 2.4 with it, took the corners of pixels for their centres.
    """
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    return numbers < [2, 4] and any(
        isinstance(entry.get("config"), Mapping)
        and entry["config"].get("interpolation", "nearest") != "nearest"
        for name, entry in classes_in(architecture)
        if name == "UpSampling2D"
    )


def rename_hard_sigmoid(architecture: Any) -> Any:
    """Return an architecture of Keras 1 or 2 in which ``hard_sigmoid`` is `HARD_SIGMOID_2`."""
    if isinstance(architecture, dict):
        return {
            key: HARD_SIGMOID_2
            if key.endswith("activation") and value == "hard_sigmoid"
            else rename_hard_sigmoid(value)
            for key, value in architecture.items()
        }
    if isinstance(architecture, list):
        return [rename_hard_sigmoid(value) for value in architecture]
    return architecture


# --- Keras 1 and 2 -------------------------------------------------------------------------------


def modernise(architecture: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Return an architecture of Keras 1 or 2 as Keras 3 takes it, and meaning what it meant.

    Args:
        architecture: As read from the file.
        version: Of Keras, 1 or 2.

    Raises:
        UnsupportedModelError: Keras 3 has nothing that does the same.
    """
    return _layer(rename_hard_sigmoid(dict(architecture)), version)


def _layer(entry: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Return one layer, or model, in the form of Keras 2."""
    entry = without_branches(entry)
    result = {key: value for key, value in entry.items() if key in ("name", "inbound_nodes")}
    name, config = str(entry["class_name"]), entry["config"]
    if isinstance(config, list):  # a Sequential, before Keras 2.2.3
        config = {"name": str(entry.get("name", "sequential")), "layers": config}
    config = dict(config)
    if isinstance(config.get("layers"), list):
        layers = [_layer(layer, version) for layer in config["layers"]]
        config["layers"] = layers
        if "output_layers" in config:
            config = calls_of_keras_3(config, layers)
        result.update(class_name=_CLASSES_1.get(name, name), config=config)
        return result
    for key in ("layer", "backward_layer", "cell"):
        if isinstance(config.get(key), Mapping):
            config[key] = _within_another(_layer(config[key], version))
    if isinstance(config.get("cells"), list):
        config["cells"] = [_within_another(_layer(cell, version)) for cell in config["cells"]]
    config = {key: value for key, value in config.items() if not key.endswith(_TRAINING_ONLY)}
    if _is_of_keras_1(name, config, version):
        config = _config_1(name, config)
    if name == "Merge":
        name, config = _merge(config)
    name = _CLASSES_1.get(name, name)
    config = _config_2(name, config)
    result.update(class_name=_former(name, config), config=config)
    return result


def _former(name: str, config: dict[str, Any]) -> str:
    """Return the class for a layer, which is one of ours where Keras 3 has none that is right."""
    if name == "BatchNormalization" and config.pop("mode", 0) == 1:
        return ROW_NORMALIZATION
    if name in CONVOLUTIONS and config.get("data_format") == "channels_first":
        return CHANNELS_FIRST + name
    return name


def _within_another(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layer as another holds it, which Keras 3 takes in its own form only."""
    function = {
        "class_name": "function",
        "config": HARD_SIGMOID_2,
        "module": "builtins",
        "registered_name": HARD_SIGMOID_2,
    }
    config = {
        key: function if value == HARD_SIGMOID_2 else value
        for key, value in entry["config"].items()
    }
    module = _MODULES.get(entry["class_name"], "keras.layers")
    return {"module": module, "registered_name": None, **entry, "config": config}


def _is_of_keras_1(name: str, config: Mapping[str, Any], version: int) -> bool:
    """Say whether a layer is in the form of Keras 1; some files claim a version they are not of."""
    marks = {"nb_filter", "inner_init", "inner_activation", "border_mode", "subsample", "init", "p"}
    return version < 2 and (
        bool(marks & set(config)) or name in _CLASSES_1 or "units" not in config
    )


def _config_1(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a layer of Keras 1 under the names of Keras 2.

    Raises:
        UnsupportedModelError: Keras 3 has nothing that does the same.
    """
    if name == "BatchNormalization" and config.get("mode", 0) not in (0, 1):
        raise UnsupportedModelError(
            f"layer {config.get('name')}: BatchNormalization with mode={config['mode']} uses the "
            "mean of each batch, so that what it returns for a row depends on the others: only "
            "mode=0 and mode=1 can be converted"
        )
    result = {
        _RENAMED_1.get(key, key): value
        for key, value in config.items()
        if key not in _TRAINING_ONLY_1 or (key == "mode" and (name == "Merge" or value == 1))
    }
    if "output_dim" in result and name not in ("Embedding", "MaxoutDense"):
        result["units"] = result.pop("output_dim")
    if "nb_row" in result:
        result["kernel_size"] = [result.pop("nb_row"), result.pop("nb_col")]
    if "kernel_dim1" in result:
        result["kernel_size"] = [result.pop(f"kernel_dim{i}") for i in (1, 2, 3)]
    if "dim_ordering" in result:
        ordering = result.pop("dim_ordering")
        result["data_format"] = "channels_first" if ordering == "th" else "channels_last"
    if name == "Embedding":
        result.pop("dropout", None)
    for key in ("output_shape", "concat_axis", "dot_axes"):
        if name != "Merge":
            result.pop(key, None)
    return result


def _merge(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the layer of Keras 2 that does what a Merge of Keras 1 does."""
    mode = config.get("mode", "sum")
    found: dict[str, Any] = {"name": config.get("name")}
    if mode == "concat":
        found["axis"] = config.get("concat_axis", -1)
    if mode in ("dot", "cos"):
        found.update(axes=config.get("dot_axes", -1), normalize=mode == "cos")
        mode = "dot"
    return _MERGES_1.get(mode, f"Merge({mode})"), found


def _config_2(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a layer of Keras 2 as Keras 3 means them."""
    result = dict(config)
    if name == "GRU":
        result.setdefault("reset_after", False)  # Keras 3 has True
    if name == "CuDNNGRU":
        result.update(reset_after=True)
    if name.startswith("SpatialDropout"):
        result = {key: result[key] for key in ("name", "rate", "data_format") if key in result}
    if name.startswith("LocallyConnected") and result.get("implementation", 1) != 1:
        raise UnsupportedModelError(
            f"layer {result.get('name')}: {name} with implementation={result['implementation']} "
            "keeps its weights in another form: make it with implementation=1, set its weights "
            "and save it again"
        )
    for key in _OF_KERAS_2:
        result.pop(key, None)
    for key, value in _DEFAULTS_2.items():
        if key in result and result[key] == value:
            del result[key]
    if isinstance(result.get("dtype"), Mapping):  # a policy
        inner = result["dtype"].get("config")
        result["dtype"] = inner.get("name", "float32") if isinstance(inner, Mapping) else "float32"
    return {key: value for key, value in result.items() if key != "batch_size"}


def without_shapes(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layer or model in which only InputLayers say the shape of what goes in."""
    name, config = entry["class_name"], dict(entry["config"])
    if isinstance(config.get("layers"), list):
        config["layers"] = [without_shapes(layer) for layer in config["layers"]]
    elif isinstance(config.get("layer"), Mapping):
        config["layer"] = without_shapes(config["layer"])
    if name != "InputLayer":
        needed = {"input_dim"} if name == "Embedding" else set()
        for key in {"batch_input_shape", "input_shape", "input_dim", "input_length"} - needed:
            config.pop(key, None)
    return {**entry, "config": config}
