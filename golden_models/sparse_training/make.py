"""Sparse initializers, training information, quantization annotations."""

from _rare_messages import sparse_training as make

__all__ = ["make"]
