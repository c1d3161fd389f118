"""``onnxroot convert``: one model, or many."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from onnxroot import api
from onnxroot._busy import Shown
from onnxroot._cli_shared import (
    NAMES,
    address,
    compression,
    limits,
    plain_errors,
    shown,
    tell_of,
    timeout,
)
from onnxroot._output import print_json, say
from onnxroot._workers import workers
from onnxroot.adapter import Options
from onnxroot.many import Outcome, are_many, convert_many

__all__ = ["convert"]

R = TypeVar("R")

_FOREIGN = (
    click.option(
        "--allow-pickle", is_flag=True, help="Open files that can run code; trust their author."
    ),
    click.option(
        "--no-check",
        "check",
        flag_value=False,
        default=True,
        help="Do not compare the outputs with those of the framework.",
    ),
    click.option("--tolerance", type=float, help="By how much outputs may differ."),
    click.option(
        "--samples",
        type=click.Path(path_type=Path),
        metavar="FILE.npz",
        help="Inputs to compare with, by name.",
    ),
    click.option("--opset", type=int, help="Version of the operator set."),
    click.option(
        "--input",
        "inputs",
        multiple=True,
        metavar="NAME:SHAPE",
        help="Shape of an input that the file does not give, as x:?x16; ? may vary.",
    ),
    click.option(
        "--dynamic",
        multiple=True,
        metavar="NAME:AXIS",
        help="An axis that may vary, beside the first.",
    ),
    click.option(
        "--architecture",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Where the network of a file of weights is described.",
    ),
    click.option(
        "--module",
        metavar="PACKAGE.MODULE:FUNCTION",
        help="What makes the network for a file of weights.",
    ),
    click.option(
        "--custom-objects", metavar="PACKAGE.MODULE", help="Your own layers and functions."
    ),
    click.option("--keep-debug-info", is_flag=True, help="Keep source lines and stack traces."),
)
"""What there is to say about a model of another framework."""


def _foreign(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command these options, as one argument."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> R:
        names = {item.name for item in fields(Options)}
        mine = {name: options.pop(name) for name in names}
        mine["inputs"] = dict(map(_parse_input, mine["inputs"]))
        mine["dynamic"] = _parse_dynamic(mine["dynamic"])
        return command(*arguments, foreign=Options(**mine), **options)

    for option in reversed(_FOREIGN):
        run = option(run)
    return run


def _parse_input(text: str) -> tuple[str, tuple[int | None, ...]]:
    name, mark, shape = text.rpartition(":")
    sizes = [part.strip() for part in shape.replace("x", ",").split(",") if part.strip()]
    if not mark or any(not size.isdigit() and size != "?" for size in sizes):
        raise click.BadParameter("expected NAME:SHAPE, such as x:?x16", param_hint="--input")
    return name, tuple(None if size == "?" else int(size) for size in sizes)


def _parse_dynamic(texts: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, mark, axis = text.rpartition(":")
        if not mark or not axis.isdigit():
            raise click.BadParameter("expected NAME:AXIS, such as x:1", param_hint="--dynamic")
        found[name] = (*found.get(name, ()), int(axis))
    return found


@click.command(context_settings=NAMES)
@address("sources", "SRC...", nargs=-1, required=True)
@address("destination", "DST")
@click.option("--replace", is_flag=True, help="Overwrite the destination if it exists.")
@click.option("--embed", is_flag=True, help="To .onnx: put external data into the file itself.")
@compression
@click.option(
    "--external-data-dir", metavar="DIR", help="To .root: where the external data files are."
)
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="To .root: a note of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, help="Of many models: processes to use."
)
@click.option("--dask", metavar="ADDRESS", help="Of many models: a Dask scheduler to use.")
@timeout
@_foreign
@plain_errors
def convert(
    sources: tuple[str, ...],
    destination: str,
    *,
    meta: tuple[str, ...],
    as_json: bool,
    foreign: Options,
    jobs: int,
    dask: str | None,
    **options: Any,
) -> None:
    """Convert a model from ONNX, or from another framework, to ROOT; or back to ONNX.

    Several models, or all in a folder, go into a folder, or into one ROOT file. Where one fails,
    the others go on, and the exit code is 2. To go on after a break, give the same command again:
    what is done is skipped.

    \b
    onnxroot convert tagger.onnx models.root:tagger
    onnxroot convert models.root:tagger tagger.onnx
    onnxroot convert https://host.example/models.root:tagger tagger.onnx
    onnxroot convert tagger.keras models.root:tagger
    onnxroot convert tagger.pt models.root:tagger --input x:?x16
    onnxroot convert a.onnx b.onnx models/ zoo.root
    onnxroot convert models/ zoo/ --jobs 4
    """  # noqa: D301  (click's mark for lines as they are)
    pairs = [pair.partition("=") for pair in meta]
    if any(not key or not mark for key, mark, _ in pairs):
        raise click.BadParameter("expected KEY=VALUE", param_hint="--meta")
    metadata = {key: value for key, _, value in pairs}
    options |= {"metadata": metadata, "options": foreign, "limits": limits()}
    if not are_many(sources, destination):
        with shown(f"converting {sources[0]}"):
            api.convert(sources[0], destination, **options)
        tell_of(sources[0], destination)
        if as_json:
            print_json({"source": sources[0], "destination": destination})
        return
    if options.pop("embed"):
        raise click.BadParameter("is for one model, to .onnx", param_hint="--embed")
    try:
        with workers(jobs, dask) as executor, shown("converting", counts=True) as bar:
            report = convert_many(sources, destination, executor, progress=_told(bar), **options)
    except KeyboardInterrupt:
        say("onnxroot: interrupted; give the same command again to go on", err=True)
        sys.exit(130)
    if as_json:
        print_json(report.to_json())
    else:
        counts = report.counts
        say(
            f"{counts['converted']} converted, {counts['skipped']} there already, "
            f"{counts['failed']} failed"
        )
    for outcome in report.failed:
        say(f"onnxroot: {outcome.error}", err=True)
    if not report.ok:
        sys.exit(2)


def _told(bar: Shown) -> Callable[[int, int, Outcome], None]:
    """Return what tells a bar what has become of a model."""

    def tell(n_done: int, n_all: int, outcome: Outcome) -> None:
        failed = "failed: " if outcome.status == "failed" else ""
        bar(n_done, n_all, failed + outcome.source.rpartition(os.sep)[2])

    return tell
