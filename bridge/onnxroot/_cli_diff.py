"""``onnxroot diff``, and the driver that lets ``git diff`` show models."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from onnxroot import _look, api
from onnxroot._address import Address
from onnxroot._cli_shared import NAMES, address, limits, plain_errors, shown
from onnxroot._cli_shared import timeout as timeout_option
from onnxroot._columns import print_folded
from onnxroot._output import print_json, say
from onnxroot.errors import OnnxRootError

if TYPE_CHECKING:
    from onnxroot._changes import ModelDiff

__all__ = ["diff", "git_diff"]

_LINES = 20
_COLOURS = {"+": "green", "-": "red", "~": "yellow", ">": "cyan", "@": "magenta"}


@click.command(context_settings=NAMES)
@address("old", "A")
@address("new", "B")
@click.option("--all", "everything", is_flag=True, help=f"Show more than {_LINES} lines of a kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@timeout_option
@plain_errors
def diff(old: str, new: str, *, everything: bool, as_json: bool, timeout: float) -> None:
    """Show how two models differ; each an .onnx file or in a ROOT file.

    Exit code 0: all bytes are the same, or the same model is encoded differently, and it says how.
    Exit code 1: they differ. Lines begin with + (only in B), - (only in A), ~ (changed) or >
    (renamed).

    \b
    onnxroot diff tagger.onnx models.root:tagger
    onnxroot diff models.root:2025/tagger models.root:2026/tagger --json
    """  # noqa: D301  (click's mark for lines as they are)
    with shown(f"comparing {new}"):
        found = _look.diff(old, new, timeout=timeout, limits=limits())
    if as_json:
        print_json(found.to_json())
    else:
        _print(found, None if everything else _LINES)
    if not found.same_model:
        sys.exit(1)


def _print(found: ModelDiff, limit: int | None, head: str = "") -> None:
    from onnxroot._diff_text import lines_of, summary  # noqa: PLC0415  (uproot takes 0.3 s)

    print_folded(f"{head}{summary(found)}")
    for line in lines_of(found, limit):
        print_folded(line, _COLOURS.get(line[0], ""))


@click.command("git-diff", hidden=True, context_settings=NAMES)
@click.argument("arguments", nargs=-1)
@plain_errors
def git_diff(arguments: tuple[str, ...]) -> None:
    """Show how the models in two versions of a file differ; git calls this.

    \b
    git config diff.onnxroot.command "onnxroot git-diff"
    echo '*.root diff=onnxroot' >> .gitattributes
    """  # noqa: D301  (click's mark for lines as they are)
    # path, old file, its digest and mode, new file, its digest and mode; twice more when renamed
    if len(arguments) < 7:
        raise click.UsageError("git calls this with seven arguments; did you mean onnxroot diff?")
    path, old, new = arguments[0], arguments[1], arguments[4]
    say((f"onnxroot diff {path}", "bold"))
    before, after = _models(old), _models(new)
    for name in sorted({*before, *after}):
        label = f"{path}:{name}" if name else path
        if name not in after:
            say((f"- model {label}", "red"))
        elif name not in before:
            say((f"+ model {label}", "green"))
        else:
            _try_print(before[name], after[name], f"{label}: ")
    if not before and not after:
        say("no models in either version")


def _try_print(old: str, new: str, head: str) -> None:
    """Compare two models; git stops at a driver that fails, so say what is wrong and go on."""
    try:
        _print(_look.diff(old, new, limits=limits()), _LINES, head)
    except (OnnxRootError, OSError) as error:
        print_folded(f"{head}can't be compared: {error}")


def _models(path: str) -> dict[str, str]:
    """Return the addresses of the models in one version of a file, by directory."""
    if path == os.devnull:
        return {}
    if path.lower().endswith(".onnx"):
        return {"": path}
    try:
        return {name: str(Address(path, name)) for name in api.list_models(path, limits=limits())}
    except OnnxRootError as error:
        say(f"{path}: {error}")
        return {}
