"""Every name and code that stands on disk: FORMAT.md as constants."""

from __future__ import annotations

__all__ = [
    "CHUNK_NBYTES",
    "COLUMN_DEVIATION",
    "COLUMN_PARENT",
    "COLUMN_PARENT_FIELD",
    "COLUMN_PRESENCE",
    "EXTERNAL_SEGMENT",
    "FORMAT",
    "FORMAT_VERSION",
    "MANIFEST",
    "NO_ROW",
    "PAYLOAD",
    "PAYLOAD_FIELDS",
    "ROOT_MESSAGE",
    "SAMPLES",
    "SPILL_NBYTES",
    "TENSOR",
    "TENSORS",
]

FORMAT = "onnxroot"
"""Value of the manifest's ``format``."""

FORMAT_VERSION = 1
"""The version this package writes, and the newest it reads."""

MANIFEST = "manifest"
"""Name of the TObjString that makes a directory a model. FORMAT §3"""

ROOT_MESSAGE = "ModelProto"
"""The message type whose only row is the model. FORMAT §4"""

TENSOR = "TensorProto"
"""The message type whose elements go to `TENSORS`. FORMAT §5"""

TENSORS = "tensors"
"""Subdirectory with one RNTuple per storage type. FORMAT §5"""

COLUMN_PARENT = "parent"
"""Row of the message that holds this one. FORMAT §4.2"""

COLUMN_PARENT_FIELD = "parent_field"
"""Code of the field that holds this message. FORMAT §4.2"""

COLUMN_PRESENCE = "presence"
"""Bit mask of the optional fields that are present. FORMAT §4.3"""

COLUMN_DEVIATION = "deviation"
"""Column of ModelProto with what the tables cannot say. FORMAT §7"""

NO_ROW = 2**64 - 1
"""Stands for "no row" in a uint64 column."""

PAYLOAD = "Payload"
"""RNTuple that says which field each payload belongs to. FORMAT §5.2"""

PAYLOAD_FIELDS = {
    (TENSOR, "raw_data"),
    (TENSOR, "float_data"),
    (TENSOR, "int32_data"),
    (TENSOR, "int64_data"),
    (TENSOR, "double_data"),
    (TENSOR, "uint64_data"),
}
"""Fields whose values are always payload, whatever their size. FORMAT §5.1"""

SPILL_NBYTES = 1 << 16
"""Values of other bytes and string fields are payload from this size on. FORMAT §5.1"""

CHUNK_NBYTES = 1 << 23
"""Most payload bytes in one cluster. FORMAT §5.3"""

SAMPLES = "samples/Sample"
"""RNTuple with inputs and outputs to check the model with. FORMAT §8"""

EXTERNAL_SEGMENT = "ExternalSegment"
"""Table with the layout of the external files; a message type of our own. FORMAT §6"""
