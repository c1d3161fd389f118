"""The command ``onnxroot``: parse, call `api`, print.

Exit codes: 0 done; 1 the check said no; 2 the input or the usage is wrong.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from onnxroot import api
from onnxroot.errors import OnnxRootError

__all__ = ["main"]

P = ParamSpec("P")
R = TypeVar("R")

_NAMES = {"help_option_names": ["-h", "--help"]}


def _plain_errors(command: Callable[P, R]) -> Callable[P, R]:
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


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _print_include_dir(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(api.include_dir())
        context.exit()


@click.group(context_settings=_NAMES)
@click.option(
    "--include-dir",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_include_dir,
    help="Print the folder of the C++ reader, onnxroot.hxx, and exit.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="onnxroot", message="onnxroot %(version)s")
def main(*, debug: bool) -> None:
    """Keep trained models beside the data: ONNX models in ROOT files, exactly.

    A model's address is FILE.root:DIRECTORY, or FILE.root alone if the file holds one model.
    """
    del debug  # `_fail` looks it up


@main.command(context_settings=_NAMES)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--replace", is_flag=True, help="Overwrite the destination if it exists.")
@click.option("--embed", is_flag=True, help="To .onnx: put external data into the file itself.")
@click.option(
    "--compression",
    default="zstd",
    show_default=True,
    help="To .root: of tensors; zstd, lz4, lzma (zstd:9 sets a level) or none.",
)
@click.option(
    "--external-data-dir", metavar="DIR", help="To .root: where the external data files are."
)
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="To .root: a note of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_plain_errors
def convert(
    source: str, destination: str, *, meta: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Convert a model from ONNX to ROOT, or back.

    \b
    onnxroot convert tagger.onnx models.root:tagger
    onnxroot convert models.root:tagger tagger.onnx
    """  # noqa: D301  (click's mark for lines as they are)
    pairs = [pair.partition("=") for pair in meta]
    if any(not key or not mark for key, mark, _ in pairs):
        raise click.BadParameter("expected KEY=VALUE", param_hint="--meta")
    api.convert(source, destination, metadata={k: v for k, _, v in pairs}, **options)
    if as_json:
        _print_json({"source": source, "destination": destination})


@main.command(context_settings=_NAMES)
@click.argument("file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_plain_errors
def ls(file: str, *, as_json: bool) -> None:
    """List the models in a ROOT file."""
    from onnxroot._describe import readable, summarise  # noqa: PLC0415  (uproot takes 0.3 s)

    rows = []
    for name in api.list_models(file):
        with api.open(f"{file}:{name}" if name else file) as model:
            rows.append({"name": name, **summarise(model)})
    if as_json:
        _print_json(rows)
        return
    if not rows:
        click.echo(f"{file}: holds no models", err=True)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        opset = f"opset {row['opset']}" if row["opset"] else "no opset"
        click.echo(
            f"{row['name']:{width}}  {row['nodes']} nodes  {row['parameters']} parameters  "
            f"{readable(row['onnx_nbytes'])} as ONNX  {opset}"
        )


@main.command(context_settings=_NAMES)
@click.argument("model", metavar="MODEL")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_plain_errors
def show(model: str, *, as_json: bool) -> None:
    """Show what a model is: inputs, outputs, operators, tensors, where it came from."""
    from onnxroot._describe import describe  # noqa: PLC0415  (uproot takes 0.3 s)

    with api.open(model) as opened:
        found = describe(opened)
    if as_json:
        _print_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    """Print a description in words, with a table of the tensors."""
    from rich.console import Console  # noqa: PLC0415  (other commands need no tables)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from onnxroot._describe import readable  # noqa: PLC0415

    def line(label: str, text: str) -> None:
        console.print(Text(f"{label:<11}{text}"), soft_wrap=True)

    console = Console(highlight=False)
    line("model", found["address"])
    line(
        "onnx",
        f"{readable(found['onnx_nbytes'])}, IR version {found['ir_version']}, "
        f"by {found['producer'] or 'an unknown producer'}",
    )
    line("sha256", found["sha256"])
    opsets = [f"{name or 'ai.onnx'} {n}" for name, n in found["opset_imports"].items()]
    line("opsets", ", ".join(opsets) or "none")
    for key, label in (("inputs", "input"), ("outputs", "output")):
        for value in found[key]:
            line(label, value)
    operators = [f"{name} x {n}" for name, n in found["operators"].items()]
    line("operators", f"{found['nodes']} nodes: {', '.join(operators)}" if operators else "none")
    for file in found["external_files"]:
        line("external", f"{file['location']}, {readable(file['nbytes'])}")
    for key, label in (("model_metadata", "metadata"), ("metadata", "note")):
        for name, value in found[key].items():
            line(label, f"{name}: {value}")
    made = ", ".join(f"{name} {value}" for name, value in found["provenance"].items() if value)
    line("written by", made)
    if not found["tensors"]:
        return
    line("parameters", f"{found['parameters']} in {len(found['tensors'])} tensors")
    table = Table(box=None, pad_edge=False)
    for head, justify in (("name", "left"), ("type", "left"), ("shape", "left"), ("size", "right")):
        table.add_column(head, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for tensor in found["tensors"]:
        shape = " x ".join(map(str, tensor["shape"])) or "scalar"
        table.add_row(Text(tensor["name"]), tensor["type"], shape, readable(tensor["nbytes"]))
    console.print(table)


@main.command(context_settings=_NAMES)
@click.argument("model", metavar="MODEL")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_plain_errors
def verify(model: str, *, as_json: bool) -> None:
    """Check that a stored model is what was written; exit with 1 if it is not.

    Given a file that holds several models, checks all of them.
    """
    addresses = _addresses(model)
    reports = [api.verify(address) for address in addresses]
    if as_json:
        _print_json(
            [
                {
                    "address": report.address,
                    "ok": report.ok,
                    "sha256": report.sha256,
                    "problems": list(report.problems),
                }
                for report in reports
            ]
        )
    for report in reports:
        if report.ok and not as_json:
            click.echo(
                f"{report.address}: ok, {report.n_tables} tables, {report.n_clusters} clusters, "
                f"sha256 {report.sha256}"
            )
        for problem in report.problems:
            click.echo(f"onnxroot: {problem}", err=True)
    if not all(report.ok for report in reports):
        sys.exit(1)


def _addresses(model: str) -> list[str]:
    """Return the models that ``verify`` was asked for."""
    if not os.path.exists(model):  # noqa: PTH110  (an address, not a path)
        return [model]
    return [f"{model}:{name}" if name else model for name in api.list_models(model)] or [model]
