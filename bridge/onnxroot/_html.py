"""Tables in HTML, for pages and notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_table"]


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
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: Sequence[str], classes: Sequence[str]) -> str:
    cells = "".join(
        f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row[1:], classes[1:], strict=True)
    )
    return f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>\n'
