"""The command ``onnxroot``: parse, call `api`, print.

Exit codes: 0 done; 1 the check said no; 2 the input or the usage is wrong.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from onnxroot import _cli_diff, _cli_look, _cli_report, _cli_view, api
from onnxroot._cli_shared import NAMES, plain_errors, print_json, shown
from onnxroot.adapter import Options

__all__ = ["main"]

R = TypeVar("R")

_compression = click.option(
    "--compression",
    default="zstd",
    show_default=True,
    help="To .root: of tensors; zstd, lz4, lzma (zstd:9 sets a level) or none.",
)


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
        help="Shape of an input that the file does not give, as x:?,16; ? may vary.",
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
    sizes = [part.strip() for part in shape.split(",") if part.strip()]
    if not mark or any(not size.isdigit() and size != "?" for size in sizes):
        raise click.BadParameter("expected NAME:SHAPE, such as x:?,16", param_hint="--input")
    return name, tuple(None if size == "?" else int(size) for size in sizes)


def _parse_dynamic(texts: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, mark, axis = text.rpartition(":")
        if not mark or not axis.isdigit():
            raise click.BadParameter("expected NAME:AXIS, such as x:1", param_hint="--dynamic")
        found[name] = (*found.get(name, ()), int(axis))
    return found


def _print_include_dir(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(api.include_dir())
        context.exit()


@click.group(context_settings=NAMES)
@click.option(
    "--include-dir",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_include_dir,
    help="Print the folder of the C++ reader, onnxroot.hxx, and exit.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option("-v", "--verbose", is_flag=True, help="Say at the end how long it took.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="onnxroot", message="onnxroot %(version)s")
def main(*, quiet: bool, verbose: bool, debug: bool) -> None:
    """Keep trained models beside the data: ONNX models in ROOT files, exactly.

    A model's address is FILE.root:DIRECTORY, or FILE.root alone if the file holds one model.
    """
    del quiet, debug  # `shown` and `_fail` look them up
    if verbose:
        start = time.perf_counter()
        click.get_current_context().call_on_close(
            lambda: click.echo(f"onnxroot: {time.perf_counter() - start:.2f} s", err=True)
        )


@main.command(context_settings=NAMES)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--replace", is_flag=True, help="Overwrite the destination if it exists.")
@click.option("--embed", is_flag=True, help="To .onnx: put external data into the file itself.")
@_compression
@click.option(
    "--external-data-dir", metavar="DIR", help="To .root: where the external data files are."
)
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="To .root: a note of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_foreign
@plain_errors
def convert(
    source: str,
    destination: str,
    *,
    meta: tuple[str, ...],
    as_json: bool,
    foreign: Options,
    **options: Any,
) -> None:
    """Convert a model from ONNX, or from another framework, to ROOT; or back to ONNX.

    \b
    onnxroot convert tagger.onnx models.root:tagger
    onnxroot convert models.root:tagger tagger.onnx
    onnxroot convert tagger.keras models.root:tagger
    onnxroot convert tagger.pt models.root:tagger --input x:?,16
    """  # noqa: D301  (click's mark for lines as they are)
    pairs = [pair.partition("=") for pair in meta]
    if any(not key or not mark for key, mark, _ in pairs):
        raise click.BadParameter("expected KEY=VALUE", param_hint="--meta")
    metadata = {key: value for key, _, value in pairs}
    with shown(f"converting {source}"):
        api.convert(source, destination, metadata=metadata, options=foreign, **options)
    if as_json:
        print_json({"source": source, "destination": destination})


@main.command(context_settings=NAMES)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--replace", is_flag=True, help="Replace the model that is there.")
@_compression
@plain_errors
def cp(source: str, destination: str, **options: Any) -> None:
    """Copy a model, within a ROOT file or to another one.

    \b
    onnxroot cp models.root:tagger analysis.root:models/tagger
    onnxroot cp models.root:tagger models.root:backup/tagger
    """  # noqa: D301  (click's mark for lines as they are)
    api.copy(source, destination, **options)


@main.command(context_settings=NAMES)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@plain_errors
def rm(models: tuple[str, ...]) -> None:
    """Remove models from ROOT files; all else in the files stays.

    \b
    onnxroot rm analysis.root:models/tagger
    """  # noqa: D301  (click's mark for lines as they are)
    for model in models:
        api.remove(model)


@main.command(context_settings=NAMES)
@click.argument("model", metavar="MODEL")
@click.option("--run", is_flag=True, help="Run it on its samples too, with onnxruntime.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plain_errors
def verify(model: str, *, run: bool, as_json: bool) -> None:
    """Check that a stored model is what was written; exit with 1 if it is not.

    Given a file that holds several models, checks all of them.
    """
    addresses = _addresses(model)
    with shown(f"verifying {model}"):
        reports = [api.verify(address, run=run) for address in addresses]
    if as_json:
        print_json(
            [
                {
                    "address": report.address,
                    "ok": report.ok,
                    "sha256": report.sha256,
                    "copies": report.n_copies,
                    "batches_run": report.n_batches,
                    "problems": list(report.problems),
                }
                for report in reports
            ]
        )
    for report in reports:
        if report.ok and not as_json:
            click.echo(
                f"{report.address}: ok, {report.n_tables} tables, {report.n_clusters} clusters, "
                f"{_that_were_run(report.n_batches)}sha256 {report.sha256}"
            )
            if report.n_copies > 1:
                click.echo(
                    f"onnxroot: {report.address}: hadd merged {report.n_copies} copies of the "
                    f"model, which agree; to keep one: onnxroot cp --replace {report.address} "
                    f"{report.address}",
                    err=True,
                )
        for problem in report.problems:
            click.echo(f"onnxroot: {problem}", err=True)
    if not all(report.ok for report in reports):
        sys.exit(1)


def _that_were_run(n_batches: int) -> str:
    if not n_batches:
        return ""
    return f"the outputs of {n_batches} sample batches come out again, "


def _addresses(model: str) -> list[str]:
    """Return the models that ``verify`` was asked for."""
    if not os.path.exists(model):  # noqa: PTH110  (an address, not a path)
        return [model]
    return [f"{model}:{name}" if name else model for name in api.list_models(model)] or [model]


main.add_command(_cli_look.ls)
main.add_command(_cli_look.show)
main.add_command(_cli_diff.diff)
main.add_command(_cli_diff.git_diff)
main.add_command(_cli_report.report)
main.add_command(_cli_view.view)
