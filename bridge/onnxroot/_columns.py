"""Text in columns and labelled lines: as wide as the terminal, whole when piped.

Without a library: listings may have 100,000 lines, and these take a microsecond per cell.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from itertools import islice

from onnxroot._output import say, say_lines
from onnxroot._readable import visible

__all__ = [
    "bar",
    "columns",
    "fit",
    "folded",
    "is_terminal",
    "print_folded",
    "print_line",
    "print_lines",
    "terminal_width",
]

_LABEL = 12
_GAP = 2
_NARROWEST = 8  # of a column whose long cells stand in lines of their own
_NARROWEST_PROSE = 28
_INDENT = 4
_PIPED = 80
_LINES = 500  # printed at once
_BLOCKS = "█▏▎▍▌▋▊▉"
_JOINTS = "/.:_-,"  # behind these, long words are broken


def is_terminal() -> bool:
    """Return whether a person reads what is printed."""
    return sys.stdout.isatty()


def terminal_width() -> int:
    """Return how many characters fit into a line."""
    return shutil.get_terminal_size((_PIPED, 24)).columns if is_terminal() else _PIPED


def columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[list[str]]:
    """Lay out a table, as wide as the terminal; in a pipe, each row is one line.

    Where it is too wide, prose is folded in its column, and behind a long cell the row goes on in
    the next line. Where even that is too wide, a row is a line with its first text, and the rest
    below it.

    Args:
        heads: The columns' titles; one that ends in > is that of numbers, in ~ that of prose, which
            comes last.
        rows: Their cells; those at the end of a row may be missing.

    Returns:
        The lines of the heads, then those of each row.
    """
    kinds, titles, table, natural = _measured(heads, rows)
    if not is_terminal():
        return [_row(cells, natural, kinds, None) for cells in [titles, *table]]
    room = terminal_width()
    widths = _shrunk(natural, titles, kinds, room)
    if widths is None:
        return [[], *(_record(cells, titles, natural, kinds, room) for cells in table)]
    return [_row(cells, widths, kinds, room) for cells in [titles, *table]]


def fit(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Return whether a table needs no more than a line per row."""
    natural = _measured(heads, rows)[3]
    return not is_terminal() or _total(natural) <= terminal_width()


def _measured(
    heads: Sequence[str], rows: Iterable[Sequence[str]]
) -> tuple[list[str], list[str], list[list[str]], list[int]]:
    """Return the marks and titles of the columns, the cells, and how wide the columns are."""
    titles = [head.rstrip(">~") for head in heads]
    table = [[visible(cell) for cell in row] for row in rows]
    whole = [titles, *(row for row in table if len(row) == len(heads))]
    natural = [max(map(len, column)) for column in zip(*whole, strict=True)]
    return [head[-1] if head[-1] in ">~" else "" for head in heads], titles, table, natural


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _shrunk(
    natural: Sequence[int], titles: Sequence[str], kinds: Sequence[str], room: int
) -> list[int] | None:
    """Return widths that fit into the terminal, None if there are none."""
    widths = list(natural)
    name = next((i for i, kind in enumerate(kinds) if not kind), 0)
    every = range(len(widths))
    prose, text = [[i for i in every if kinds[i] == kind] for kind in ("~", "")]
    # In the end the names stand in lines of their own.
    for may, narrowest in ((prose, _NARROWEST_PROSE), (text, _NARROWEST), ([name], _INDENT)):
        least = [narrowest if i == name else max(narrowest, len(titles[i])) for i in every]
        while _total(widths) > room:
            wide = [i for i in may if widths[i] > least[i]]
            if not wide:
                break
            widths[max(wide, key=widths.__getitem__)] -= 1
    return widths if _total(widths) <= room else None


def _row(
    cells: Sequence[str], widths: Sequence[int], kinds: Sequence[str], room: int | None
) -> list[str]:
    """Return the lines of a row; without `room` it is one."""
    lines: list[str] = []
    line, start = "", 0
    for cell, width, kind in zip(cells, widths, kinds, strict=False):
        # The blanks in front of a number leave room for what is long on its left.
        place = start + (width - len(cell) if kind == ">" else 0)
        if start and place < len(line) + _GAP:
            lines.append(line)
            line = ""
        first, *below = folded(cell, room - place) if room and len(cell) > width else [cell]
        line = f"{line:<{place}}{first}"
        for text in below:
            lines.append(line)
            line = " " * place + text
        start += width + _GAP
    if line.strip() or not lines:
        lines.append(line)
    return [text.rstrip() for text in lines]


def _record(
    cells: Sequence[str],
    titles: Sequence[str],
    widths: Sequence[int],
    kinds: Sequence[str],
    room: int,
) -> list[str]:
    """Return a row where there is no room for columns: its first texts, and the rest below."""
    first = next((i for i, kind in enumerate(kinds) if kind != ">"), 0)
    head = "".join(f"{cell:>{widths[i]}}{' ' * _GAP}" for i, cell in enumerate(cells[:first]))
    name = cells[first]
    indent = len(head) + len(name) - len(name.lstrip()) + (0 if head else _INDENT)
    head += name
    rest = list(zip(titles, cells, kinds, strict=False))[first + 1 :]
    while rest and not rest[0][2] and len(head) + _GAP + len(rest[0][1]) <= room:
        head += " " * _GAP + rest.pop(0)[1]
    lines, line = folded(head, room), ""
    for title, cell, kind in rest:
        item = f"{title} {cell}" if kind == ">" else cell
        if line and kind != "~" and indent + len(line) + _GAP + len(item) <= room:
            line += " " * _GAP + item
            continue
        lines += [" " * indent + line] if line else []
        *whole, line = folded(item, max(10, room - indent))
        lines += [" " * indent + text for text in whole]
    return [*lines, " " * indent + line] if line else lines


def print_lines(rows: Iterable[Sequence[str]]) -> None:
    """Print a table from `columns`, its heads bold."""
    heads, *others = rows
    for line in heads:
        say((line, "bold"))
    lines = (line for row in others for line in row)
    while some := list(islice(lines, _LINES)):
        say_lines(some)


def print_line(label: str, text: str) -> None:
    """Print a label and text, which on a terminal goes on below itself where it is long."""
    text = visible(text)
    lines = folded(text, max(20, terminal_width() - _LABEL)) if is_terminal() else [text]
    for i, line in enumerate(lines):
        say((f"{'' if i else label:<{_LABEL}}", "bold"), line)


def print_folded(text: str, look: str = "") -> None:
    """Print a line, which on a terminal goes on below itself, further right, where it is long.

    Args:
        text: The line.
        look: How it looks, see `say`.
    """
    text = visible(text)
    lines = [text]
    if is_terminal() and len(text) > terminal_width():
        first, *_ = folded(text, terminal_width())
        rest = text[len(first) :].lstrip(" ")
        indent = " " * _INDENT
        lines = [first, *(indent + line for line in folded(rest, max(20, terminal_width() - 4)))]
    for line in lines:
        say((line, look) if look else line)


def folded(text: str, room: int) -> list[str]:
    """Break text into lines at spaces, and words that are too long where they have joints."""
    body = text.lstrip(" ")
    lines: list[str] = []
    line, begun = text[: len(text) - len(body)], False
    for word in body.split(" "):
        if begun and len(line) + 1 + len(word) <= room:
            line += f" {word}"
            continue
        if begun:
            lines.append(line)
            line = ""
        rest, begun = word, True
        while len(line) + len(rest) > room:
            most = max(1, room - len(line))
            at = 1 + max(rest.rfind(joint, most // 2, most) for joint in _JOINTS) or most
            lines.append(line + rest[:at])
            line, rest = "", rest[at:]
        line += rest
    return [*lines, line]


def bar(share: float, room: int) -> str:
    """Return a bar in eighths of a character; where the encoding has none, of #."""
    try:
        _BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return "#" * max(round(share * room), int(share > 0))
    eighths = max(round(share * room * 8), int(share > 0))
    return _BLOCKS[0] * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")
