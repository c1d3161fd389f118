"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

__all__ = ["near", "number_text", "readable", "shape_text", "visible"]


def readable(nbytes: int | None) -> str:
    """Return a size as people read it: ``1.5 MB``."""
    if nbytes is None:
        return "?"
    if nbytes < 1000:
        return f"{nbytes} B"
    power = min(int(math.log10(nbytes) // 3), 4)
    return f"{nbytes / 1000**power:.1f} {' kMGT'[power]}B"


def number_text(value: float | None, n_digits: int = 5) -> str:
    """Return a number with some digits; a dash where there is none."""
    return "-" if value is None else f"{value:.{n_digits}g}"


def shape_text(shape: Iterable[int]) -> str:
    """Return a shape as ``64 x 16``."""
    return " x ".join(map(str, shape)) or "scalar"


def visible(text: str) -> str:
    """Return a text without what a terminal would obey: names in files are other people's.

    That is the end of a line, too: a name could go on with lines that look like ours.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def near(name: str, names: Iterable[str], called: Mapping[str, str] | None = None) -> str:
    """Return a question with the names that look most like one that is not there, or nothing.

    Args:
        name: What is not there.
        names: What is there.
        called: What to say in place of a name, if not the name.
    """
    from difflib import get_close_matches  # noqa: PLC0415  (for an error alone)

    found = get_close_matches(name, list(names), n=3, cutoff=0.5)
    found = [called[one] for one in found] if called else found
    return f"; did you mean {', '.join(map(repr, found))}?" if found else ""
