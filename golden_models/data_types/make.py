"""Every tensor data type, in raw_data and in its typed field."""

from _tensors import data_types as make

__all__ = ["make"]
