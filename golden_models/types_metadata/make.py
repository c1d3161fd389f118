"""Every kind of type, attribute and metadata; devices and sharding."""

from _rare_messages import types_metadata as make

__all__ = ["make"]
