"""Model-local functions: overloads, defaults, references to attributes."""

from _hand_made import functions as make

__all__ = ["make"]
