"""The one way in which the commands print: safely, and to say so where it can't be done."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress

import click

from onnxroot._readable import visible

__all__ = ["STANDARD_OUTPUT", "print_json", "say", "say_lines"]

STANDARD_OUTPUT = "standard output"
"""Its name in errors."""


def say(*parts: str | tuple[str, str], err: bool = False, nl: bool = True) -> None:
    """Print one line, without what a terminal would obey.

    Args:
        parts: Texts, or pairs of a text and how it looks: ``bold``, or the name of a colour. It
            looks so on terminals alone, unless the environment says otherwise.
        err: Print it to standard error.
        nl: End the line.

    Raises:
        OSError: It can't be written, to a pipe that nobody reads any more, or a full disk; it
            names standard output, and what is left of that goes nowhere.
    """
    _print("".join(map(_styled, parts)), err=err, nl=nl)


def say_lines(lines: Iterable[str]) -> None:
    """Print many lines at once: see `say`."""
    _print("\n".join(map(visible, lines)))


def print_json(value: object) -> None:
    """Print a value as JSON, in lines.

    Raises:
        OSError: See `say`.
    """
    text = json.dumps(value, indent=2)  # ASCII, and control characters escaped but for one
    _print(text.replace("\x7f", "\\u007f"))


def _print(text: str, *, err: bool = False, nl: bool = True) -> None:
    try:
        click.echo(text, err=err, nl=nl, color=_coloured())
    except OSError as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        error.filename = STANDARD_OUTPUT
        raise


def _coloured() -> bool | None:
    """Return what the environment says of colours: https://no-color.org, https://force-color.org."""
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR", "0") not in {"", "0"} else None


def _styled(part: str | tuple[str, str]) -> str:
    if isinstance(part, str):
        return visible(part)
    text, look = part
    if look == "bold":
        return click.style(visible(text), bold=True)
    return click.style(visible(text), fg=look)
