"""The elements of a tensor as a NumPy array, bit for bit.

Source: the comments of ``TensorProto`` in onnx.proto, which say where the elements of each data
type may lie, and how those of less than a byte are packed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from onnxroot._dtypes import ElementType
from onnxroot._ragged import distinct

__all__ = ["from_numbers", "from_raw", "from_texts", "size_of"]

U8 = npt.NDArray[np.uint8]

_MOST_ELEMENTS = (1 << 63) - 1
_STRAIGHT = {  # these fields hold the elements as raw_data would
    "float_data": {"FLOAT", "COMPLEX64"},
    "double_data": {"DOUBLE", "COMPLEX128"},
}


def from_raw(element: ElementType, shape: tuple[int, ...], data: U8) -> npt.NDArray[Any]:
    """Give the bytes of ``raw_data`` their type and shape.

    Args:
        element: The type, not STRING.
        shape: The dimensions.
        data: uint8, shape (n_bytes,); can be written to only if nobody else needs it.

    Returns:
        An array that can be written to: `data` itself, or a copy.

    Raises:
        ValueError: There are more or fewer bytes than the shape needs.
    """
    size = size_of(shape)
    nbytes = -(-size * element.bits // 8)
    if len(data) != nbytes:
        raise ValueError(f"its shape needs {nbytes} bytes, it has {len(data)}")
    if element.bits < 8:
        data = _unpack_6bit(data, size) if element.bits == 6 else _unpack(data, element.bits, size)
    return _own(data).view(_dtype(element.numpy)).reshape(shape)


def from_numbers(
    element: ElementType, shape: tuple[int, ...], field: str, values: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Give the values of a typed field, such as ``int32_data``, the tensor's type and shape.

    Args:
        element: The type, not STRING.
        shape: The dimensions.
        field: Name of the field.
        values: Its values, of any storage, shape (n,); can be written to only if nobody else needs
            them.

    Returns:
        An array that can be written to.

    Raises:
        ValueError: The field can't hold this type, or the values are too many, few or large.
    """
    if field in _STRAIGHT:
        if element.name not in _STRAIGHT[field]:
            raise ValueError(f"{field} does not hold this type")
        return from_raw(element, shape, values.view(np.uint8))
    allowed = {"int64_data": {"INT64"}, "uint64_data": {"UINT32", "UINT64"}}.get(field)
    floats = {"FLOAT", "DOUBLE", "COMPLEX64", "COMPLEX128"}
    wide = {"INT64", "UINT32", "UINT64"}
    if element.name not in allowed if allowed else element.name in floats | wide:
        raise ValueError(f"{field} does not hold this type")
    if element.name == "BOOL":
        values = values != 0
    bits = max(8, element.bits)  # packed ones come as bytes
    if values.dtype.itemsize * 8 > bits:
        extremes = distinct(values)[[0, -1]].tolist() if len(values) else [0, 0]
        if extremes[0] < -(1 << (bits - 1)) or extremes[1] >= 1 << bits:
            raise ValueError(f"{field} holds numbers of more than {bits} bits")
    data = values.astype(f"u{bits // 8}").view(np.uint8)
    if element.bits != 6:
        return from_raw(element, shape, data)
    if len(data) != size_of(shape):
        raise ValueError(f"its shape needs {size_of(shape)} elements, it has {len(data)}")
    return (data & np.uint8(0x3F)).view(_dtype(element.numpy)).reshape(shape)


def from_texts(shape: tuple[int, ...], texts: list[bytes]) -> npt.NDArray[Any]:
    """Return strings as an array of objects: str, or bytes where they are not UTF-8.

    Args:
        shape: The dimensions.
        texts: The elements of ``string_data``.

    Raises:
        ValueError: There are more or fewer than the shape needs.
    """
    if len(texts) != size_of(shape):
        raise ValueError(f"its shape needs {size_of(shape)} strings, it has {len(texts)}")
    out = np.empty(len(texts), object)
    out[:] = [_text(text) for text in texts]
    return out.reshape(shape)


def _own(data: U8) -> U8:
    return data if data.flags.writeable else data.copy()


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def size_of(shape: tuple[int, ...]) -> int:
    """Return how many elements a shape has.

    Raises:
        ValueError: The shape is malformed: a dimension is negative, or there are more elements
            than any file holds.
    """
    if any(dim < 0 for dim in shape):
        raise ValueError("a dimension is negative")
    if 0 in shape:
        return 0
    size = 1
    for dim in shape:  # there may be thousands, and their product then has as many digits
        size *= dim
        if size > _MOST_ELEMENTS:
            raise ValueError(f"its shape needs more than {_MOST_ELEMENTS} elements")
    return size


def _unpack(data: U8, bits: int, size: int) -> U8:
    """Unpack elements of 2 or 4 bits, the first in the lowest bits of a byte."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return ((data[:, None] >> shifts) & np.uint8((1 << bits) - 1)).reshape(-1)[:size]


def _unpack_6bit(data: U8, size: int) -> U8:
    """Unpack elements of 6 bits, four in three bytes, the first in the lowest bits."""
    groups = np.zeros((-(-len(data) // 3), 3), np.uint32)
    groups.reshape(-1)[: len(data)] = data
    joined = groups[:, 0] | groups[:, 1] << 8 | groups[:, 2] << 16
    shifts = np.arange(0, 24, 6, dtype=np.uint32)
    return ((joined[:, None] >> shifts) & 0x3F).astype(np.uint8).reshape(-1)[:size]


def _dtype(name: str) -> np.dtype[Any]:
    """Return a dtype by name, of NumPy or of ml_dtypes."""
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes  # noqa: PLC0415  (only for types that NumPy has not)

        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return found
