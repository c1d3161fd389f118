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
    "PAYLOAD",
    "PAYLOAD_FIELDS",
    "RELIED_ON",
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

RELIED_ON = {
    "ModelProto": {
        "graph": ("GraphProto", "optional"),
        "opset_import": ("OperatorSetIdProto", "repeated"),
        "metadata_props": ("StringStringEntryProto", "repeated"),
        "producer_name": ("string", "optional"),
        "producer_version": ("string", "optional"),
        "ir_version": ("int64", "optional"),
    },
    "GraphProto": {
        "node": ("NodeProto", "repeated"),
        "initializer": ("TensorProto", "repeated"),
        "input": ("ValueInfoProto", "repeated"),
        "output": ("ValueInfoProto", "repeated"),
    },
    "NodeProto": {
        "name": ("string", "optional"),
        "op_type": ("string", "optional"),
        "domain": ("string", "optional"),
        "overload": ("string", "optional"),
        "input": ("string", "repeated"),
        "output": ("string", "repeated"),
    },
    "OperatorSetIdProto": {
        "domain": ("string", "optional"),
        "version": ("int64", "optional"),
    },
    "StringStringEntryProto": {
        "key": ("string", "optional"),
        "value": ("string", "optional"),
    },
    "TensorProto": {
        "dims": ("int64", "repeated"),
        "data_type": ("int32", "optional"),
        "name": ("string", "optional"),
        "raw_data": ("bytes", "optional"),
        "string_data": ("bytes", "repeated"),
        "external_data": ("StringStringEntryProto", "repeated"),
        "data_location": ("enum", "optional"),
        "float_data": ("float", "packed"),
        "int32_data": ("int32", "packed"),
        "int64_data": ("int64", "packed"),
        "double_data": ("double", "packed"),
        "uint64_data": ("uint64", "packed"),
    },
    "ValueInfoProto": {
        "name": ("string", "optional"),
        "type": ("TypeProto", "optional"),
    },
    "TypeProto": {
        "tensor_type": ("TypeProto_Tensor", "optional"),
        "sparse_tensor_type": ("TypeProto_SparseTensor", "optional"),
    },
    "TypeProto_Tensor": {
        "elem_type": ("int32", "optional"),
        "shape": ("TensorShapeProto", "optional"),
    },
    "TypeProto_SparseTensor": {
        "elem_type": ("int32", "optional"),
        "shape": ("TensorShapeProto", "optional"),
    },
    "TensorShapeProto": {
        "dim": ("TensorShapeProto_Dimension", "repeated"),
    },
    "TensorShapeProto_Dimension": {
        "dim_value": ("int64", "optional"),
        "dim_param": ("string", "optional"),
    },
    "ExternalSegment": {
        "location": ("string", "optional"),
        "offset": ("uint64", "optional"),
        "nbytes": ("uint64", "optional"),
        "values": ("bytes", "optional"),
    },
}
"""Fields that readers look up by name, with type and label: a schema without them is none."""
