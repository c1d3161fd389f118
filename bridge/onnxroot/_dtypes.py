"""The one table of element types: ONNX, NumPy and the RNTuple that stores them.

FORMAT.md §5.2 has the same table in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np

__all__ = ["ELEMENT_TYPES", "STORAGES", "ElementType", "Storage", "storage_of_dtype"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """One RNTuple of payload.

    Attributes:
        code: Its place in `STORAGES`.
        name: Name of the RNTuple in ``tensors/``.
        dtype: Of the ``values`` column, little-endian.
    """

    code: int
    name: str
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementType:
    """One ``TensorProto.DataType``.

    Attributes:
        data_type: ONNX's number.
        name: ONNX's name.
        storage: Name of the storage its elements go to.
        bits: Size of one element in ``raw_data``, in bits; 0 for strings.
        numpy: Name of the NumPy or ml_dtypes dtype that `Tensor.numpy` returns.
    """

    data_type: int
    name: str
    storage: str
    bits: int
    numpy: str


STORAGES: Final = tuple(
    Storage(code=code, name=name, dtype=np.dtype(dtype))
    for code, (name, dtype) in enumerate(
        {
            "uint8": "<u1",
            "int8": "<i1",
            "uint16": "<u2",
            "int16": "<i2",
            "uint32": "<u4",
            "int32": "<i4",
            "uint64": "<u8",
            "int64": "<i8",
            "float": "<f4",
            "double": "<f8",
        }.items()
    )
)
"""Every storage; uint8 takes whatever fits no other."""

_ROWS: Final = (
    (1, "FLOAT", "float", 32, "float32"),
    (2, "UINT8", "uint8", 8, "uint8"),
    (3, "INT8", "int8", 8, "int8"),
    (4, "UINT16", "uint16", 16, "uint16"),
    (5, "INT16", "int16", 16, "int16"),
    (6, "INT32", "int32", 32, "int32"),
    (7, "INT64", "int64", 64, "int64"),
    (8, "STRING", "uint8", 0, "object"),
    (9, "BOOL", "uint8", 8, "bool"),
    (10, "FLOAT16", "uint16", 16, "float16"),
    (11, "DOUBLE", "double", 64, "float64"),
    (12, "UINT32", "uint32", 32, "uint32"),
    (13, "UINT64", "uint64", 64, "uint64"),
    (14, "COMPLEX64", "uint64", 64, "complex64"),
    (15, "COMPLEX128", "uint64", 128, "complex128"),
    (16, "BFLOAT16", "uint16", 16, "bfloat16"),
    (17, "FLOAT8E4M3FN", "uint8", 8, "float8_e4m3fn"),
    (18, "FLOAT8E4M3FNUZ", "uint8", 8, "float8_e4m3fnuz"),
    (19, "FLOAT8E5M2", "uint8", 8, "float8_e5m2"),
    (20, "FLOAT8E5M2FNUZ", "uint8", 8, "float8_e5m2fnuz"),
    (21, "UINT4", "uint8", 4, "uint4"),
    (22, "INT4", "uint8", 4, "int4"),
    (23, "FLOAT4E2M1", "uint8", 4, "float4_e2m1fn"),
    (24, "FLOAT8E8M0", "uint8", 8, "float8_e8m0fnu"),
    (25, "UINT2", "uint8", 2, "uint2"),
    (26, "INT2", "uint8", 2, "int2"),
    (27, "FLOAT6E2M3", "uint8", 6, "float6_e2m3fn"),
    (28, "FLOAT6E3M2", "uint8", 6, "float6_e3m2fn"),
)

ELEMENT_TYPES: Final = MappingProxyType(
    {
        row[0]: ElementType(
            data_type=row[0], name=row[1], storage=row[2], bits=row[3], numpy=row[4]
        )
        for row in _ROWS
    }
)
"""Every data type by its number; a number that is not here is stored as uint8."""

_BY_DTYPE: Final = {storage.dtype: storage for storage in STORAGES}


def storage_of_dtype(dtype: np.dtype[Any]) -> Storage:
    """Return the storage whose values have this dtype."""
    return _BY_DTYPE[dtype]
