"""Tensors in two external files: gaps, tied and overlapping tensors."""

from _tensors import external_data as make

__all__ = ["make"]
