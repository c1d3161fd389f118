"""A valid model in an encoding that no serializer writes, put together byte by byte.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import numpy as np
import onnx
from _golden import Golden, Samples, serialize
from _records import (
    float32,
    float64,
    group,
    integer,
    length_delimited,
    message,
    packed_floats,
    varint,
)

__all__ = ["make"]

_HIGHEST_FIELD = 2**29 - 1
_NOT_UTF8 = b"Z\xff\xc3 \xed\xa0\x80 boson"

_WEIGHT = ((1.0, -2.0), (0.5, 4.0), (-8.0, 0.25))
_BIAS = (10.0, -10.0)


def make() -> Golden:
    """Encode a linear layer in every way that the wire format allows but nobody chooses."""
    data = _model()
    parsed = onnx.load_from_string(data)
    if serialize(parsed) == data or serialize(onnx.load_from_string(serialize(parsed))) == data:
        raise RuntimeError("non_canonical: protobuf writes these very bytes")
    features = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]], np.float32)
    score = features @ np.array(_WEIGHT, np.float32) + np.array(_BIAS, np.float32)
    return Golden(
        onnx=data,
        guards="the deviation store: fields out of order, overlong varints, packed for unpacked "
        "and the reverse, singular fields given twice, submessages in pieces, both members of a "
        "oneof, unknown fields of every wire type with nested groups, an unknown enum value, "
        "strings that are not UTF-8",
        made_by="a byte writer in generate.py's folder",
        packages=("numpy",),
        samples=Samples(inputs={"features": features}, outputs={"score": score}, source="NumPy"),
    )


# --- the model -----------------------------------------------------------------------------------


def _unknown_fields(number: int) -> bytes:
    """Return fields that no message has, one of each wire type; groups nest and recur."""
    return message(
        integer(number, 2**64 - 1),
        integer(number, 5, nbytes=10),
        float32(number + 1, 0.5),
        float64(number + 2, -0.5),
        length_delimited(number + 3, b"\x00anything\xff", length_nbytes=4),
        group(
            number + 4,
            integer(1, 7),
            group(1, group(_HIGHEST_FIELD), length_delimited(2, "within")),
            float32(3, 1.0),
        ),
        group(number + 4),
    )


def _model() -> bytes:
    return message(
        _unknown_fields(1000),
        length_delimited(7, _graph_begin(), length_nbytes=5),  # graph, first piece
        length_delimited(2, "overwritten"),  # producer_name
        length_delimited(8, integer(2, 20, nbytes=3), length_delimited(1, "")),  # opset_import
        integer(1, 3),  # ir_version, overwritten
        length_delimited(7),  # graph, an empty piece
        integer(5, -1),  # model_version, overwritten
        length_delimited(14, length_delimited(2, "value first"), length_delimited(1, "order")),
        length_delimited(6, _NOT_UTF8, tag_nbytes=3),  # doc_string
        integer(1, 10, tag_nbytes=5, nbytes=10),  # ir_version
        length_delimited(7, _graph_end()),  # graph, last piece
        length_delimited(14, length_delimited(1, "twice"), length_delimited(1, "once")),
        length_delimited(14),  # metadata_props, an empty entry
        length_delimited(2, "onnxroot golden models"),  # producer_name
        integer(5, 2, nbytes=9),  # model_version
        length_delimited(_HIGHEST_FIELD, "the last field there can be"),
    )


def _graph_begin() -> bytes:
    return message(
        length_delimited(12, _value_info("score", _matrix_type(2))),  # output
        length_delimited(5, _weight()),  # initializer
        length_delimited(1, _multiply(), tag_nbytes=2, length_nbytes=3),  # node
        length_delimited(2, "overwritten"),  # name
        group(200, group(201), integer(202, 1)),
    )


def _graph_end() -> bytes:
    return message(
        length_delimited(11, _value_info_in_pieces()),  # input
        length_delimited(1, _add()),  # node
        length_delimited(2, "non_canonical"),  # name
        length_delimited(5, _bias()),  # initializer
        length_delimited(1, _custom_attributes()),  # node
        length_delimited(13, _value_info("product", _matrix_type(2))),  # value_info
        _unknown_fields(3000),
    )


def _multiply() -> bytes:
    return message(
        length_delimited(4, "Add"),  # op_type, overwritten
        length_delimited(2, "product"),  # output
        length_delimited(1, "features"),  # input
        length_delimited(3, _NOT_UTF8),  # name
        length_delimited(4, "MatMul", length_nbytes=2),  # op_type
        length_delimited(1, "weight", tag_nbytes=4),  # input
    )


def _add() -> bytes:
    return message(
        _unknown_fields(50),
        length_delimited(9, length_delimited(1, "note"), length_delimited(2, _NOT_UTF8)),
        length_delimited(4, "Add"),
        length_delimited(1, "product"),
        length_delimited(2, "score"),
        length_delimited(1, "bias"),
    )


def _custom_attributes() -> bytes:
    """Return a Constant that nobody uses; its attribute changes type twice, to floats at last."""
    values = message(
        integer(20, 99),  # type, a value that the enum lacks: protobuf keeps it as unknown
        length_delimited(7, packed_floats(1.0, 2.0)),  # floats are not packed by right
        integer(20, 7),  # type, overwritten
        float32(7, 3.0),
        length_delimited(7),
        length_delimited(7, packed_floats(4.0)),
        length_delimited(1, "value_floats"),
        integer(20, 6, nbytes=2),  # type
    )
    return message(
        length_delimited(5, values),  # attribute
        length_delimited(4, "Constant"),
        length_delimited(2, "unused"),
    )


def _weight() -> bytes:
    """Return a float tensor whose packed elements come in pieces, some of them unpacked."""
    numbers = [number for row in _WEIGHT for number in row]
    return message(
        length_delimited(4, packed_floats(*numbers[:3]), length_nbytes=5),  # float_data
        length_delimited(1, varint(3), varint(2, 4)),  # dims are not packed by right
        float32(4, numbers[3]),
        length_delimited(8, "weight"),
        length_delimited(4),
        float32(4, numbers[4]),
        length_delimited(4, packed_floats(*numbers[5:])),
        integer(2, 2**32 + 1),  # data_type: only its lower 32 bits count
    )


def _bias() -> bytes:
    """Return a float tensor whose raw_data is given twice, with fields out of order."""
    return message(
        length_delimited(9, b"overwritten"),  # raw_data
        length_delimited(8, "bias"),
        length_delimited(9, packed_floats(*_BIAS)),
        _unknown_fields(500),
        length_delimited(1, varint(2)),  # dims
        length_delimited(1),
        integer(2, 1),  # data_type
    )


def _value_info(name: str, tensor_type: bytes) -> bytes:
    return length_delimited(2, tensor_type) + length_delimited(1, name)


def _value_info_in_pieces() -> bytes:
    """Return a value whose TypeProto comes in four pieces.

    The second makes it a sequence, which by the rules of oneof drops the tensor type of the first,
    and then a tensor type again, to which the others add a shape, one dimension each.
    """
    rows = length_delimited(1, length_delimited(2, "batch"))
    columns = length_delimited(1, integer(1, 3))
    return message(
        length_delimited(2, length_delimited(1, length_delimited(2, columns))),
        length_delimited(1, "features"),
        length_delimited(2, length_delimited(4), length_delimited(1, integer(1, 16))),
        length_delimited(2, length_delimited(1, length_delimited(2, rows), integer(1, 1))),
        length_delimited(2, length_delimited(1, length_delimited(2, columns))),
    )


def _matrix_type(n_columns: int) -> bytes:
    """Return the TypeProto of a float matrix; its dimensions have both a number and a name."""
    rows = length_delimited(1, integer(1, 77), length_delimited(2, "batch"))
    columns = length_delimited(1, length_delimited(2, "columns"), integer(1, n_columns))
    shape = length_delimited(2, rows, columns)
    return length_delimited(1, shape, integer(1, 1, nbytes=6))
