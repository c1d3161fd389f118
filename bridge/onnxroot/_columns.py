"""Text in columns and labelled lines: as wide as the terminal, whole when piped.

Without a library: listings may have 100,000 lines, and these take a microsecond per cell.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from onnxroot._output import say
from onnxroot._readable import visible

__all__ = ["bar", "columns", "is_terminal", "print_line", "print_lines", "terminal_width"]

_LABEL = 12
_GAP = 2
_NARROWEST = 12
_PIPED = 80
_BLOCKS = "█▏▎▍▌▋▊▉"


def is_terminal() -> bool:
    """Return whether a person reads what is printed."""
    return sys.stdout.isatty()


def terminal_width() -> int:
    """Return how many characters fit into a line."""
    return shutil.get_terminal_size((_PIPED, 24)).columns if is_terminal() else _PIPED


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Lay out a table.

    Where it is wider than the terminal, the widest columns of text go on in the lines below.

    Args:
        heads: The columns' titles; one that ends in > is that of numbers, which stay whole.
        rows: Their cells.

    Returns:
        The lines of the heads, then those of each row.
    """
    right = [head.endswith(">") for head in heads]
    table = [
        [head.rstrip(">") for head in heads],
        *(
            [visible(cell) for cell in row] for row in rows
        ),  # as it is printed, so as it is measured
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    if is_terminal():
        _shrink(widths, right, terminal_width())
    return [_row(cells, widths, right) for cells in table]


def _shrink(widths: list[int], right: Sequence[bool], available: int) -> None:
    while sum(widths) + _GAP * (len(widths) - 1) > available:
        text = [i for i, is_number in enumerate(right) if not is_number]
        widest = max(text, key=lambda i: widths[i], default=None)
        if widest is None or widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    pieces = [
        [cell] if len(cell) <= width else _wrapped(cell, width)
        for cell, width in zip(cells, widths, strict=True)
    ]
    lines = []
    for i in range(max(map(len, pieces))):
        parts = [
            (piece[i] if i < len(piece) else "").rjust(width)
            if is_number
            else (piece[i] if i < len(piece) else "").ljust(width)
            for piece, width, is_number in zip(pieces, widths, right, strict=True)
        ]
        lines.append((" " * _GAP).join(parts).rstrip())
    return lines


def print_lines(rows: Sequence[Sequence[str]]) -> None:
    """Print a table from `columns`, its heads bold."""
    for i, lines in enumerate(rows):
        for line in lines:
            say(line if i else (line, "bold"))


def print_line(label: str, text: str) -> None:
    """Print a label and text, which on a terminal goes on below itself where it is long."""
    room = max(20, terminal_width() - _LABEL)
    text = visible(text)
    lines = [text]
    if is_terminal() and len(text) > room:
        lines = _wrapped(text, room)
    for i, line in enumerate(lines):
        say((f"{'' if i else label:<{_LABEL}}", "bold"), line)


def _wrapped(text: str, room: int) -> list[str]:
    """Break text at spaces, and words that are too long where they must."""
    lines = [""]
    for word in text.split(" "):
        rest = word
        if lines[-1] and len(lines[-1]) + 1 + len(rest) <= room:
            lines[-1] += f" {rest}"
            continue
        if lines[-1]:
            lines.append("")
        while len(rest) > room:
            lines[-1], rest = rest[:room], rest[room:]
            lines.append("")
        lines[-1] = rest
    return lines


def bar(share: float, room: int) -> str:
    """Return a bar in eighths of a character; where the encoding has none, of #."""
    try:
        _BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return "#" * max(round(share * room), int(share > 0))
    eighths = max(round(share * room * 8), int(share > 0))
    return _BLOCKS[0] * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
