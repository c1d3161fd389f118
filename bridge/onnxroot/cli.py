"""The command ``onnxroot``: parse, call `api`, print.

Exit codes: 0 done; 1 the check said no; 2 the input or the usage is wrong.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from onnxroot import api
from onnxroot._address import TIMEOUT_SECONDS, Address, parse_address
from onnxroot._limits import DEFAULT_LIMITS, Limits
from onnxroot._workers import shown_progress, workers
from onnxroot.adapter import Options
from onnxroot.errors import OnnxRootError
from onnxroot.many import are_many, convert_many

__all__ = ["main"]

P = ParamSpec("P")
R = TypeVar("R")

_NAMES = {"help_option_names": ["-h", "--help"]}


def _plain_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors of the library into one line and exit code 2."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with _orderly_end():
                return command(*args, **kwargs)
        except OnnxRootError as error:
            _fail(str(error), error)
        except KeyboardInterrupt as error:
            _fail("interrupted; nothing was changed, or all of it", error, code=130)
        except OSError as error:
            text = error.strerror or str(error)
            _fail(f"{error.filename}: {text}" if error.filename else str(error), error)
        except ValueError as error:
            _fail(str(error), error)

    return run


def _say(text: str, *, err: bool = False) -> None:
    """Print a line.

    Raises:
        OSError: It can't be written, to a pipe that nobody reads any more, or a full disk.
    """
    with _output():
        click.echo(_visible(text), err=err)


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let a request to end the program clean up, as Ctrl-C does."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        wanted = []  # others can't
    before = {number: signal.getsignal(number) for number in wanted}
    changed = [number for number in wanted if before[number] == signal.SIG_DFL]
    for number in changed:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])


@contextmanager
def _output() -> Iterator[None]:
    """Name standard output if it can't be written, and let what is left of it go nowhere."""
    try:
        yield
    except OSError as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        error.filename = "standard output"
        raise


def _visible(text: str) -> str:
    """Return a text without what a terminal would obey: names in files are other people's."""
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
    return "".join(escaped)


def _fail(message: str, error: BaseException, code: int = 2) -> NoReturn:
    context = click.get_current_context()
    if context.find_root().params.get("debug"):
        raise error
    line = " ".join(message.split())
    _say(f"onnxroot: {line}", err=True)
    context.exit(code)
    raise AssertionError  # pragma: no cover  (exit does not return)


_compression = click.option(
    "--compression",
    default="zstd",
    show_default=True,
    help="To .root: of tensors; zstd, lz4, lzma (zstd:9 sets a level) or none.",
)


_timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=TIMEOUT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a server's answer, or for another writer of the file.",
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


def _parse_limits(texts: tuple[str, ...]) -> Limits:
    try:
        return Limits.of_texts({name: text for name, _, text in (t.partition("=") for t in texts)})
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--limit") from error


def _print_json(value: object) -> None:
    _say(json.dumps(value, indent=2))


def _print_include_dir(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        _say(api.include_dir())
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
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    callback=lambda _context, _parameter, texts: _parse_limits(texts),
    help="Let a file that you trust ask for more: depth, table_nbytes, table_ratio, object_ratio, "
    "payload_ratio.",
)
@click.version_option(package_name="onnxroot", message="onnxroot %(version)s")
def main(*, debug: bool, limits: Limits) -> None:
    """Keep trained models beside the data: ONNX models in ROOT files, exactly.

    A model's address is FILE.root:DIRECTORY, or FILE.root alone if the file holds one model.
    """
    del debug, limits  # `_fail` and `_limits` look them up


def _limits() -> Limits:
    """Return what a file may ask for."""
    found = click.get_current_context().find_root().params.get("limits", DEFAULT_LIMITS)
    return found if isinstance(found, Limits) else DEFAULT_LIMITS


@main.command(context_settings=_NAMES)
@click.argument("sources", metavar="SRC...", nargs=-1, required=True)
@click.argument("destination", metavar="DST")
@click.option("--replace", is_flag=True, help="Overwrite the destination if it exists.")
@click.option("--embed", is_flag=True, help="To .onnx: put external data into the file itself.")
@_compression
@click.option(
    "--external-data-dir", metavar="DIR", help="To .root: where the external data files are."
)
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="To .root: a note of your own.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, help="Of many models: processes to use."
)
@click.option("--dask", metavar="ADDRESS", help="Of many models: a Dask scheduler to use.")
@_timeout
@_foreign
@_plain_errors
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
    options |= {"metadata": metadata, "options": foreign, "limits": _limits()}
    if not are_many(sources, destination):
        api.convert(sources[0], destination, **options)
        if as_json:
            _print_json({"source": sources[0], "destination": destination})
        return
    if options.pop("embed"):
        raise click.BadParameter("is for one model, to .onnx", param_hint="--embed")
    try:
        with workers(jobs, dask) as executor, shown_progress() as progress:
            report = convert_many(sources, destination, executor, progress=progress, **options)
    except KeyboardInterrupt:
        click.echo("onnxroot: interrupted; give the same command again to go on", err=True)
        sys.exit(130)
    if as_json:
        _print_json(report.to_json())
    else:
        counts = report.counts
        click.echo(
            f"{counts['converted']} converted, {counts['skipped']} there already, "
            f"{counts['failed']} failed"
        )
    for outcome in report.failed:
        click.echo(f"onnxroot: {outcome.error}", err=True)
    if not report.ok:
        sys.exit(2)


@main.command(context_settings=_NAMES)
@click.argument("file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_timeout
@_plain_errors
def ls(file: str, *, as_json: bool, timeout: float) -> None:
    """List the models in a ROOT file.

    \b
    onnxroot ls models.root
    onnxroot ls root://host.example//store/models.root
    """  # noqa: D301  (click's mark for lines as they are)
    from onnxroot._describe import readable, summarise_all  # noqa: PLC0415  (uproot takes 0.3 s)

    rows = summarise_all(file, timeout, _limits())
    if as_json:
        _print_json(rows)
        return
    if not rows:
        _say(f"{file}: holds no models", err=True)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        opset = f"opset {row['opset']}" if row["opset"] else "no opset"
        _say(
            f"{row['name']:{width}}  {row['nodes']} nodes  {row['parameters']} parameters  "
            f"{readable(row['onnx_nbytes'])} as ONNX  {opset}"
        )


@main.command(context_settings=_NAMES)
@click.argument("model", metavar="MODEL")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_timeout
@_plain_errors
def show(model: str, *, as_json: bool, timeout: float) -> None:
    """Show what a model is: inputs, outputs, operators, tensors, where it came from."""
    from onnxroot._describe import describe  # noqa: PLC0415  (uproot takes 0.3 s)

    with api.open(model, timeout=timeout, limits=_limits()) as opened:
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
        with _output():
            console.print(Text(_visible(f"{label:<11}{text}")), soft_wrap=True)

    def broken() -> NoReturn:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    console = Console(highlight=False)
    console.on_broken_pipe = broken  # type: ignore[method-assign]  # it would end with 1
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
        table.add_row(
            Text(_visible(tensor["name"])), tensor["type"], shape, readable(tensor["nbytes"])
        )
    with _output():
        console.print(table)


@main.command(context_settings=_NAMES)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--replace", is_flag=True, help="Replace the model that is there.")
@_compression
@_timeout
@_plain_errors
def cp(source: str, destination: str, **options: Any) -> None:
    """Copy a model, within a ROOT file or to another one.

    \b
    onnxroot cp models.root:tagger analysis.root:models/tagger
    onnxroot cp models.root:tagger models.root:backup/tagger
    """  # noqa: D301  (click's mark for lines as they are)
    api.copy(source, destination, limits=_limits(), **options)


@main.command(context_settings=_NAMES)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@_timeout
@_plain_errors
def rm(models: tuple[str, ...], *, timeout: float) -> None:
    """Remove models from ROOT files; all else in the files stays.

    \b
    onnxroot rm analysis.root:models/tagger
    """  # noqa: D301  (click's mark for lines as they are)
    for model in models:
        api.remove(model, timeout=timeout)


@main.command(context_settings=_NAMES)
@click.argument("model", metavar="MODEL")
@click.option("--run", is_flag=True, help="Run it on its samples too, with onnxruntime.")
@click.option("--tensors", is_flag=True, help="List the tensors: which can be read, which not.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_timeout
@_plain_errors
def verify(model: str, *, run: bool, tensors: bool, as_json: bool, timeout: float) -> None:
    """Check that a stored model is what was written; exit with 1 if it is not.

    Given a file that holds several models, checks all of them.
    """
    reports = [
        api.verify(address, run=run, tensors=tensors, timeout=timeout, limits=_limits())
        for address in _addresses(model, timeout)
    ]
    if as_json:
        _print_json(
            [
                {
                    "address": report.address,
                    "ok": report.ok,
                    "sha256": report.sha256,
                    "copies": report.n_copies,
                    "batches_run": report.n_batches,
                    "problems": list(report.problems),
                    **({"tensors": list(map(asdict, report.tensors))} if tensors else {}),
                }
                for report in reports
            ]
        )
    for report in reports:
        if report.ok and not as_json:
            _say(
                f"{report.address}: ok, {report.n_tables} tables, {report.n_clusters} clusters, "
                f"{_that_were_run(report.n_batches)}sha256 {report.sha256}"
            )
            if report.n_copies > 1:
                _say(
                    f"onnxroot: {report.address}: hadd merged {report.n_copies} copies of the "
                    f"model, which agree; to keep one: onnxroot cp --replace {report.address} "
                    f"{report.address}",
                    err=True,
                )
        for tensor in report.tensors if not as_json else ():
            state = "good   " if tensor.ok else "damaged"
            _say(f"{state} {tensor.name} {tensor.data_type} {list(tensor.shape)}")
        for problem in report.problems:
            _say(f"onnxroot: {problem}", err=True)
    if not all(report.ok for report in reports):
        sys.exit(1)


def _that_were_run(n_batches: int) -> str:
    if not n_batches:
        return ""
    return f"the outputs of {n_batches} sample batches come out again, "


def _addresses(model: str, timeout: float) -> list[str]:
    """Return the models that ``verify`` was asked for."""
    address = parse_address(model)
    if address.directory:
        return [model]
    names = api.list_models(address.path, timeout=timeout, limits=_limits())
    return [str(Address(address.path, name)) for name in names] or [model]
