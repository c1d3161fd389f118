"""How much a file may ask of whoever reads it.

A file of a thousand bytes can say that it holds a million rows. Nothing is believed that the bytes
at hand can't hold: what they unpack to is at most a multiple of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from onnxroot.errors import FormatError

__all__ = ["DEFAULT_LIMITS", "Limits", "too_deep"]

_FLOOR: Final = 1 << 16  # bytes that a piece may always unpack to


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that may be raised for files whose author one trusts.

    Attributes:
        depth: How deep messages nest in an ONNX file, the model itself not counted.
        table_nbytes: Bytes of one table, of a manifest, or of what describes an RNTuple, unpacked.
        table_ratio: How many times as long as it is in the file each of these may be, unpacked.
        payload_ratio: How many times as long as the ROOT file the ONNX file may be, with its
            external files. No compression that ROOT knows does more than the default.
    """

    depth: int = 100
    table_nbytes: int = 1 << 30
    table_ratio: int = 256
    payload_ratio: int = 1 << 15

    def __post_init__(self) -> None:
        """Refuse limits that nothing can keep.

        Raises:
            ValueError: One is no positive number.
        """
        for item in fields(self):
            value = getattr(self, item.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"the limit {item.name} is {value!r}, expected a positive number")

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> Limits:
        """Return limits that are given as words, as on a command line.

        Raises:
            ValueError: There is no such limit, or it is no number.
        """
        names = [item.name for item in fields(cls)]
        for name, text in texts.items():
            if name not in names or not (text.isascii() and text.isdigit() and len(text) < 19):
                raise ValueError(
                    f"no limit {name}={text}: expected NAME=NUMBER with one of {', '.join(names)}"
                )
        return replace(DEFAULT_LIMITS, **{name: int(text) for name, text in texts.items()})

    def check_table(self, what: str, stored: int, unpacked: int) -> None:
        """Check that some bytes may unpack to so many.

        Args:
            what: What they are, for the message.
            stored: How many there are in the file.
            unpacked: How many they are said to become.

        Raises:
            FormatError: That is too much.
        """
        most = min(self.table_nbytes, _FLOOR + self.table_ratio * stored)
        if unpacked > most:
            name = "table_nbytes" if most == self.table_nbytes else "table_ratio"
            raise FormatError(
                f"{what}: {stored} bytes unpack to {unpacked}, expected at most {most}; if "
                f"you trust the file, raise the limit {name}"
            )

    def check_payload(self, what: str, stored: int, unpacked: int) -> None:
        """Check that a ROOT file of so many bytes may hold so many; see `check_table`.

        Raises:
            FormatError: That is too much.
        """
        most = self.payload_ratio * stored
        if unpacked > most:
            raise FormatError(
                f"{what}: {unpacked} bytes in a file of {stored}, expected at most {most}; if you "
                "trust the file, raise the limit payload_ratio"
            )


DEFAULT_LIMITS: Final = Limits()
"""Limits for the files of strangers."""


def too_deep(depth: int) -> str:
    """Return what is said of messages that nest deeper than so many."""
    return f"messages nest deeper than {depth}; if you trust the file, raise the limit depth"
