"""Tables in HTML, for pages and notebooks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["breakable", "html_table"]


def html_table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table that screen readers can read: with a caption and scoped heads.

    Args:
        caption: What the table shows.
        heads: Titles of the columns; one that ends in > is that of numbers.
        rows: Their cells; the first of a row is its head.
    """
    classes = [' class="n"' if head.endswith(">") else "" for head in heads]
    head = "".join(
        f'<th scope="col"{kind}>{escape(text.rstrip(">"))}</th>'
        for text, kind in zip(heads, classes, strict=True)
    )
    body = "".join(_row(row, classes) for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(row: Sequence[str], classes: Sequence[str]) -> str:
    cells = "".join(
        f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row[1:], classes[1:], strict=True)
    )
    return f'<tr><th scope="row">{breakable(row[0])}</th>{cells}</tr>\n'


def breakable(name: str) -> str:
    """Return a name as HTML that may go on in a new line behind its dots and the like."""
    return re.sub(r"(?<=\w)([./:_-]+)(?=\w)", r"\1<wbr>", escape(name))
