"""Tensors whose shape, type and bytes contradict each other."""

from _tensors import malformed_tensors as make

__all__ = ["make"]
