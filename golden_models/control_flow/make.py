"""If within If within Loop, and Scan, with names from the graphs around."""

from _hand_made import control_flow as make

__all__ = ["make"]
