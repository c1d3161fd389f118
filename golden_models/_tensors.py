"""Models that hold tensors of every type, in every place, also where they make no sense."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from itertools import chain

import numpy as np
import onnx
from _golden import PRODUCER, SEED, Array, Golden, Samples, serialize
from _records import length_delimited
from onnx import TensorProto, helper, numpy_helper

__all__ = ["data_types", "external_data", "malformed_tensors"]

_DIMS = (3, 5)  # 15 elements fill no whole number of bytes in any of the narrow types

_FLOAT_FIELDS = {"float_data": 4, "double_data": 10}
"""Field numbers of the typed fields that hold floats."""

_TYPES = {
    # data type: (bits, typed field, bits of a signalling NaN or None)
    "FLOAT": (32, "float_data", 0x7F80_0001),
    "UINT8": (8, "int32_data", None),
    "INT8": (8, "int32_data", None),
    "UINT16": (16, "int32_data", None),
    "INT16": (16, "int32_data", None),
    "INT32": (32, "int32_data", None),
    "INT64": (64, "int64_data", None),
    "BOOL": (1, "int32_data", None),
    "FLOAT16": (16, "int32_data", 0x7C01),
    "DOUBLE": (64, "double_data", 0x7FF0_0000_0000_0001),
    "UINT32": (32, "uint64_data", None),
    "UINT64": (64, "uint64_data", None),
    "COMPLEX64": (32, "float_data", 0x7F80_0001),  # two of them are one element
    "COMPLEX128": (64, "double_data", 0x7FF0_0000_0000_0001),
    "BFLOAT16": (16, "int32_data", 0x7F81),
    "FLOAT8E4M3FN": (8, "int32_data", None),
    "FLOAT8E4M3FNUZ": (8, "int32_data", None),
    "FLOAT8E5M2": (8, "int32_data", 0x7D),
    "FLOAT8E5M2FNUZ": (8, "int32_data", None),
    "UINT4": (4, "int32_data", None),
    "INT4": (4, "int32_data", None),
    "FLOAT4E2M1": (4, "int32_data", None),
    "FLOAT8E8M0": (8, "int32_data", None),
    "UINT2": (2, "int32_data", None),
    "INT2": (2, "int32_data", None),
    "FLOAT6E2M3": (6, "int32_data", None),
    "FLOAT6E3M2": (6, "int32_data", None),
}
"""Every data type of onnx 1.23 but STRING, which has neither bits nor a choice of fields."""


# --- every data type -----------------------------------------------------------------------------


def data_types() -> Golden:
    """Store every data type in raw_data and in its typed field, with the bit patterns that hurt."""
    known = {name for name, number in TensorProto.DataType.items() if number}
    if known != {*_TYPES, "STRING"}:
        raise RuntimeError(f"data_types covers {sorted(_TYPES)}, onnx has {sorted(known)}")
    tensors = [*chain.from_iterable(map(_both_ways, _TYPES)), *_strings(), *_sizes()]
    for raw, typed in zip(tensors[0 : 2 * len(_TYPES) : 2], tensors[1::2], strict=False):
        if numpy_helper.to_array(raw).tobytes() != numpy_helper.to_array(typed).tobytes():
            raise RuntimeError(f"{raw.name} and {typed.name} differ")
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["FLOAT.raw"], ["out"]),
            helper.make_node("Constant", [], ["constant"], value=_both_ways("INT4")[0]),
            helper.make_node(
                "Tensors", [], ["unused"], domain="golden", tensors=_both_ways("FLOAT6E2M3")
            ),
        ],
        "data_types",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, _DIMS)],
        initializer=tensors,
    )
    return Golden(
        onnx=serialize(_make_model(graph, opset=28, ir_version=14)),
        guards="the table of element types: each one of onnx 1.23 in raw_data and in its typed "
        "field, NaN payloads, negative zeros, strings that are empty, hold NUL or are not UTF-8, "
        "scalars and empty tensors",
        made_by="onnx.helper and bit patterns in generate.py's folder",
    )


def _make_model(
    graph: onnx.GraphProto, *, opset: int = 20, ir_version: int = 10
) -> onnx.ModelProto:
    return helper.make_model(
        graph,
        producer_name=PRODUCER,
        ir_version=ir_version,
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("golden", 1)],
    )


def _both_ways(name: str) -> tuple[TensorProto, TensorProto]:
    """Return the same elements of this data type in raw_data and in the typed field."""
    bits, typed_field, _ = _TYPES[name]
    numbers = _patterns(name)
    raw = _tensor(f"{name}.raw", name, raw_data=_bit_stream(numbers, 8 if name == "BOOL" else bits))
    typed = _tensor(f"{name}.typed", name)
    if typed_field in _FLOAT_FIELDS:  # Python's floats would quiet the signalling NaN
        typed.MergeFromString(length_delimited(_FLOAT_FIELDS[typed_field], raw.raw_data))
    elif bits in {2, 4}:  # several elements share one int32, as they share one byte of raw_data
        typed.int32_data.extend(raw.raw_data)
    else:
        is_signed = name.startswith("INT")
        values = [_signed(number, bits) for number in numbers] if is_signed else numbers
        getattr(typed, typed_field).extend(values)
    return raw, typed


def _tensor(
    name: str,
    data_type: str,
    *,
    dims: Iterable[int] = _DIMS,
    raw_data: bytes | None = None,
) -> TensorProto:
    return TensorProto(
        name=name, data_type=TensorProto.DataType.Value(data_type), dims=dims, raw_data=raw_data
    )


def _patterns(name: str) -> list[int]:
    """Return the bits of each element, or of each half of a complex one."""
    bits, _, signalling_nan = _TYPES[name]
    mask = 2**bits - 1
    n = 15 * (2 if name.startswith("COMPLEX") else 1)
    special = [0, 1, mask, mask >> 1, 1 << (bits - 1), mask - 1]
    special += [] if signalling_nan is None else [signalling_nan, signalling_nan | 1 << (bits - 1)]
    spread = [i * 0x9E37_79B9_7F4A_7C15 >> (64 - bits) for i in range(len(special), n)]
    return [number & mask for number in [*special, *spread]]


def _bit_stream(numbers: Iterable[int], bits: int) -> bytes:
    """Pack numbers of so many bits, the first into the lowest bits of the first byte."""
    numbers = list(numbers)
    total = sum(number << (i * bits) for i, number in enumerate(numbers))
    return total.to_bytes(-(-len(numbers) * bits // 8), "little")


def _signed(number: int, bits: int) -> int:
    return number - (number >> (bits - 1) << bits)


def _strings() -> list[TensorProto]:
    words = _tensor("STRING.typed", "STRING", dims=[2, 3])
    texts = ["jet", "", "Zürich, ΔR < 0.4 🧲", "nul\x00inside", " "]
    words.string_data.extend([*(text.encode() for text in texts), b"\xff\xfe no UTF-8"])
    empty = _tensor("STRING.empty", "STRING", dims=[0])
    return [words, empty]


def _sizes() -> list[TensorProto]:
    """Return scalars, empty tensors, and raw_data that is present but empty."""
    scalar = _tensor("scalar", "DOUBLE", dims=[], raw_data=struct.pack("<d", 91.1876))
    scalar_typed = _tensor("scalar.typed", "INT64", dims=[])
    scalar_typed.int64_data.append(-(2**63))
    return [
        scalar,
        scalar_typed,
        _tensor("empty.raw", "FLOAT", dims=[0, 7], raw_data=b""),
        _tensor("empty.typed", "INT64", dims=[4, 0]),
        _tensor("many.dims", "UINT8", dims=[1] * 20, raw_data=b"\x2a"),
    ]


# --- malformed -----------------------------------------------------------------------------------


def malformed_tensors() -> Golden:
    """Store tensors that contradict themselves; they must come back as they are."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["shape_over_bytes"], ["out"])],
        "malformed_tensors",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        initializer=[*_wrong_sizes(), *_wrong_places(), *_wrong_values(), *_wrong_types()],
    )
    return Golden(
        onnx=serialize(_make_model(graph)),
        guards="tensors whose shape, type and bytes contradict each other: stored and returned "
        "without interpretation",
        made_by="onnx.helper in generate.py's folder",
        checkable=False,
    )


def _wrong_sizes() -> list[TensorProto]:
    segment = _tensor("segment", "FLOAT", dims=[4], raw_data=bytes(range(8)))
    segment.segment.begin, segment.segment.end = 2, 4
    return [
        segment,
        _tensor("shape_over_bytes", "FLOAT", dims=[100, 100], raw_data=bytes(range(16))),
        _tensor("bytes_over_shape", "INT16", dims=[2], raw_data=bytes(range(32))),
        _tensor("odd_number_of_bytes", "FLOAT", dims=[2], raw_data=bytes(range(7))),
        _tensor("odd_number_of_bytes_wide", "COMPLEX128", dims=[1], raw_data=bytes(range(13))),
        _tensor("negative_dim", "FLOAT", dims=[-1, 4], raw_data=bytes(range(16))),
        _tensor("overflowing_dims", "DOUBLE", dims=[2**62, 2**62, -(2**63)], raw_data=b""),
        _tensor("no_elements", "FLOAT", dims=[3]),
        _tensor("no_dims_many_elements", "INT32", dims=[], raw_data=bytes(range(24))),
        TensorProto(),
    ]


def _wrong_places() -> list[TensorProto]:
    """Return tensors whose elements stand in two fields, or in one of another type."""
    both = _tensor("raw_and_typed", "FLOAT", dims=[2], raw_data=struct.pack("<2f", 1.0, 2.0))
    both.float_data.extend([3.0, 4.0, 5.0])
    everywhere = _tensor("every_field", "INT32", dims=[1], raw_data=b"\x01\x02\x03\x04")
    everywhere.float_data.append(1.5)
    everywhere.int32_data.extend([-1, 2**31 - 1])
    everywhere.string_data.append(b"bytes")
    everywhere.int64_data.extend([-(2**63), 0, 2**63 - 1])
    everywhere.double_data.append(-0.0)
    everywhere.uint64_data.append(2**64 - 1)
    floats = _tensor("floats_in_an_int64", "INT64", dims=[2])
    floats.float_data.extend([1.0, -0.0])
    doubles = _tensor("doubles_in_a_string", "STRING", dims=[1])
    doubles.double_data.append(1.0)
    raw_string = _tensor("raw_string", "STRING", dims=[1], raw_data=b"text")
    entries = _tensor(
        "external_entries_of_an_internal_tensor", "UINT8", dims=[2], raw_data=b"\x01\x02"
    )
    entries.external_data.add(key="location", value="nowhere.bin")
    entries.data_location = TensorProto.DEFAULT
    return [both, everywhere, floats, doubles, raw_string, entries]


def _wrong_values() -> list[TensorProto]:
    """Return tensors whose elements don't fit their type."""
    uint8 = _tensor("uint8_out_of_range", "UINT8", dims=[4])
    uint8.int32_data.extend([256, -1, 2**31 - 1, -(2**31)])
    float16 = _tensor("float16_over_16_bits", "FLOAT16", dims=[2])
    float16.int32_data.extend([0x1_3C00, -0x3C00])
    uint32 = _tensor("uint32_over_32_bits", "UINT32", dims=[2])
    uint32.uint64_data.extend([2**32, 2**64 - 1])
    half_complex = _tensor("half_a_complex", "COMPLEX64", dims=[2])
    half_complex.float_data.extend([1.0, 2.0, 3.0])
    float6 = _tensor("float6_over_6_bits", "FLOAT6E3M2", dims=[2])
    float6.int32_data.extend([64, 0xFF])
    return [
        uint8,
        float16,
        uint32,
        half_complex,
        float6,
        _tensor("bool_of_2", "BOOL", dims=[3], raw_data=b"\x02\x00\xff"),
        _tensor("uint4_with_padding", "UINT4", dims=[3], raw_data=b"\x21\xf3"),
    ]


def _wrong_types() -> list[TensorProto]:
    """Return tensors of no type, of type UNDEFINED, and of types that nobody has defined."""
    return [
        TensorProto(name="no_type", dims=[2], raw_data=bytes(range(8))),
        TensorProto(name="undefined_type", data_type=0, dims=[2], raw_data=bytes(range(8))),
        TensorProto(name="future_type", data_type=1000, dims=[2], raw_data=bytes(range(6))),
        TensorProto(name="negative_type", data_type=-7, dims=[3], int32_data=[1, -1, 0]),
        TensorProto(name="same_name", data_type=1, dims=[1], float_data=[1.0]),
        TensorProto(name="same_name", data_type=7, dims=[1], int64_data=[1]),
    ]


# --- external data -------------------------------------------------------------------------------


_WEIGHTS, _SCALES = "weights.bin", "calibration/scales.bin"
_ALIGNMENT = 64


def external_data() -> Golden:
    """Lay tensors out in two external files, with gaps, tied tensors, and one in a subgraph."""
    random = np.random.default_rng(SEED)
    arrays: dict[str, Array] = {
        "weight": random.normal(size=(6, 6)).astype(np.float32),
        "bias": random.normal(size=6).astype(np.float32),
        "shift": np.arange(-3, 3, dtype=np.int64),
    }
    scales = random.uniform(0.5, 2.0, 6)
    files = {_WEIGHTS: _lay_out(arrays.values()), _SCALES: scales.tobytes()}
    features = random.normal(size=(4, 6)).astype(np.float32)
    samples = Samples(
        inputs={"features": features, "calibrate": np.array(1, np.bool_)},
        outputs={"score": _expected_score(features, arrays, scales)},
        rtol=1e-5,
        atol=1e-6,
        source="NumPy",
    )
    return Golden(
        onnx=serialize(_external_model(files)),
        guards="external files: padding that is not zero, tied and overlapping tensors, a tensor "
        "without offset or length, one in a subgraph, one in an attribute, a second file in a "
        "subfolder, an empty tensor, checksums, entries in any order, tensors of other types "
        "over the same bytes",
        made_by="onnx.helper in generate.py's folder",
        packages=("numpy",),
        seed=SEED,
        external=files,
        samples=samples,
    )


def _lay_out(arrays: Iterable[Array]) -> bytes:
    """Return the arrays at multiples of 64 bytes, amid a pattern that reaches past the last one."""
    out = bytearray(b"gap pattern: " * 64)
    for i, array in enumerate(arrays):
        start = _offset(i)
        out[start : start + array.nbytes] = array.tobytes()
    return bytes(out[: _offset(3) + 9])


def _offset(index: int) -> int:
    """Return where the array with this index lies; the first follows a gap, too."""
    return _ALIGNMENT * (1, 4, 6, 8)[index]


def _external(
    name: str, data_type: str, dims: Iterable[int], *entries: tuple[str, str | int]
) -> TensorProto:
    tensor = _tensor(name, data_type, dims=dims)
    for key, value in entries:
        tensor.external_data.add(key=key, value=str(value))
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def _range(location: str, offset: int, length: int) -> list[tuple[str, str | int]]:
    return [("location", location), ("offset", offset), ("length", length)]


def _external_model(files: dict[str, bytes]) -> onnx.ModelProto:
    checksum = hashlib.sha1(files[_WEIGHTS], usedforsecurity=False).hexdigest()
    weight, bias, shift = _offset(0), _offset(1), _offset(2)
    initializers = [
        _external(
            "weight", "FLOAT", [6, 6], *_range(_WEIGHTS, weight, 144), ("checksum", checksum)
        ),
        _external("tied_weight", "FLOAT", [6, 6], *reversed(_range(_WEIGHTS, weight, 144))),
        _external("first_row", "FLOAT", [6], *_range(_WEIGHTS, weight, 24)),
        _external("last_rows", "FLOAT", [3, 6], *_range(_WEIGHTS, weight + 72, 72)),
        _external("weight_bits", "UINT32", [36], *_range(_WEIGHTS, weight, 144)),
        _external("nothing", "FLOAT", [0], *_range(_WEIGHTS, bias, 0)),
        helper.make_tensor("inside", TensorProto.FLOAT, [1], [1.0]),
    ]
    bias_tensor = _external("", "FLOAT", [6], *_range(_WEIGHTS, bias, 24))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weight"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "tied_weight"], ["product"]),
            helper.make_node("Constant", [], ["bias"], value=bias_tensor),
            helper.make_node("Add", ["product", "bias"], ["shifted"]),
            helper.make_node("Add", ["shifted", "first_row"], ["raw_score"]),
            helper.make_node("If", ["calibrate"], ["score"], **_branches(shift)),
        ],
        "external_data",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 6]),
            helper.make_tensor_value_info("calibrate", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 6])],
        initializer=initializers,
    )
    return _make_model(graph)


def _branches(shift_offset: int) -> dict[str, onnx.GraphProto]:
    """Return the branches of the If: scale and shift with external numbers, or do nothing."""
    scale = _external("scale", "DOUBLE", [6], ("location", _SCALES))
    shift = _external("shift", "INT64", [6], *_range(_WEIGHTS, shift_offset, 48))
    scaled = helper.make_tensor_value_info("calibrated", TensorProto.FLOAT, ["batch", 6])
    then_branch = helper.make_graph(
        [
            helper.make_node("CastLike", ["scale", "raw_score"], ["scale_single"]),
            helper.make_node("CastLike", ["shift", "raw_score"], ["shift_single"]),
            helper.make_node("Mul", ["raw_score", "scale_single"], ["scaled"]),
            helper.make_node("Add", ["scaled", "shift_single"], ["calibrated"]),
        ],
        "calibrate_score",
        [],
        [scaled],
        initializer=[scale, shift],
    )
    same = helper.make_tensor_value_info("same", TensorProto.FLOAT, ["batch", 6])
    keep = helper.make_node("Identity", ["raw_score"], ["same"])
    else_branch = helper.make_graph([keep], "keep_score", [], [same])
    return {"then_branch": then_branch, "else_branch": else_branch}


def _expected_score(features: Array, arrays: dict[str, Array], scales: Array) -> Array:
    weight = arrays["weight"]
    raw_score = features @ weight @ weight + arrays["bias"] + weight[0]
    score: Array = raw_score * scales.astype(np.float32) + arrays["shift"].astype(np.float32)
    return score
