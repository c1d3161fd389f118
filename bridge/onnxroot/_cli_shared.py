"""What the commands have in common: errors in one line, exit codes, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import NoReturn, ParamSpec, TypeVar

import click

from onnxroot._busy import Progress, busy
from onnxroot.errors import OnnxRootError

__all__ = ["NAMES", "plain_errors", "print_json", "shown"]

P = ParamSpec("P")
R = TypeVar("R")

NAMES = {"help_option_names": ["-h", "--help"]}


def plain_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors of the library into one line and exit code 2."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except OnnxRootError as error:
            _fail(str(error), error)
        except OSError as error:
            text = error.strerror or str(error)
            _fail(f"{error.filename}: {text}" if error.filename else str(error), error)
        except ValueError as error:
            _fail(str(error), error)

    return run


def _fail(message: str, error: Exception) -> NoReturn:
    context = click.get_current_context()
    if context.find_root().params.get("debug"):
        raise error
    line = " ".join(message.split())
    click.echo(f"onnxroot: {line}", err=True)
    context.exit(2)
    raise AssertionError  # pragma: no cover  (exit does not return)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2))


def shown(what: str) -> AbstractContextManager[Progress]:
    """Show a bar while a block takes its time, unless the user wants it quiet."""
    root = click.get_current_context().find_root()
    return busy(what, quiet=bool(root.params.get("quiet")))
