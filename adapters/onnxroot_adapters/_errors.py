"""What the exceptions of frameworks say, in one line for a message of ours."""

from __future__ import annotations

__all__ = ["first_line", "in_one_line", "type_and_line", "type_and_text"]

_LONGEST = 300  # characters


def first_line(error: BaseException | None) -> str:
    """Return the first line; the exception's type if it says nothing."""
    return str(error).strip().split("\n")[0][:_LONGEST] or type(error).__name__


def in_one_line(error: BaseException) -> str:
    """Return all lines as one."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def type_and_line(error: BaseException) -> str:
    """Return the exception's type, and the first line if there is one."""
    return _with_type(error, first_line(error))


def type_and_text(error: BaseException) -> str:
    """Return the exception's type, and all lines as one if there are any."""
    return _with_type(error, in_one_line(error))


def _with_type(error: BaseException, text: str) -> str:
    name = type(error).__name__
    return name if text == name else f"{name}: {text}"
