"""The command ``onnxroot``: parse, call `api`, print.

Exit codes: 0 done; 1 the check said no; 2 the input or the usage is wrong.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Any

import click

from onnxroot import _cli_convert, _cli_diff, _cli_look, _cli_report, _cli_shared, _cli_view, api
from onnxroot._address import Address, parse_address
from onnxroot._cli_shared import NAMES, plain_errors, shown
from onnxroot._limits import Limits
from onnxroot._output import print_json, say
from onnxroot._readable import readable
from onnxroot._version import __version__

__all__ = ["main"]


def _parse_limits(texts: tuple[str, ...]) -> Limits:
    try:
        return Limits.of_texts({name: text for name, _, text in (t.partition("=") for t in texts)})
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--limit") from error


def _print_include_dir(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        say(api.include_dir())
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
@click.option("-v", "--verbose", is_flag=True, help="Say what was written, and what it took.")
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
@click.version_option(__version__, message="onnxroot %(version)s")
def main(*, quiet: bool, verbose: bool, debug: bool, limits: Limits) -> None:
    """Keep trained models beside the data: ONNX models in ROOT files, exactly.

    A model's address is FILE.root:DIRECTORY, or FILE.root alone if the file holds one model.
    """
    del quiet, debug, limits  # `_cli_shared` looks them up
    if verbose:
        start = time.perf_counter()
        click.get_current_context().call_on_close(
            lambda: say(f"onnxroot: {_cost(time.perf_counter() - start)}", err=True)
        )


def _cost(seconds: float) -> str:
    """Return what the command has taken of the machine."""
    text = f"{seconds:.2f} s, {time.process_time():.2f} s of processors with the start"
    if sys.platform == "win32":
        return text
    import resource  # noqa: PLC0415  (not on Windows)

    unit = 1 if sys.platform == "darwin" else 1024
    nbytes = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{text}, {readable(nbytes)} of memory at most"


@main.command(context_settings=NAMES)
@_cli_shared.address("source", "SRC")
@_cli_shared.address("destination", "DST")
@click.option("--replace", is_flag=True, help="Replace the model that is there.")
@_cli_shared.compression
@_cli_shared.timeout
@plain_errors
def cp(source: str, destination: str, **options: Any) -> None:
    """Copy a model, within a ROOT file or to another one.

    \b
    onnxroot cp models.root:tagger analysis.root:models/tagger
    onnxroot cp models.root:tagger models.root:backup/tagger
    """  # noqa: D301  (click's mark for lines as they are)
    api.copy(source, destination, limits=_cli_shared.limits(), **options)
    _cli_shared.tell_of(source, destination)


@main.command(context_settings=NAMES)
@_cli_shared.address("models", "MODEL...", nargs=-1, required=True)
@_cli_shared.timeout
@plain_errors
def rm(models: tuple[str, ...], *, timeout: float) -> None:
    """Remove models from ROOT files; all else in the files stays.

    \b
    onnxroot rm analysis.root:models/tagger
    """  # noqa: D301  (click's mark for lines as they are)
    for model in models:
        api.remove(model, timeout=timeout)


@main.command(context_settings=NAMES)
@_cli_shared.address("model", "MODEL")
@click.option("--run", is_flag=True, help="Run it on its samples too, with onnxruntime.")
@click.option("--tensors", is_flag=True, help="List the tensors: which can be read, which not.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_cli_shared.timeout
@plain_errors
def verify(model: str, *, run: bool, tensors: bool, as_json: bool, timeout: float) -> None:
    """Check that a stored model is what was written; exit with 1 if it is not.

    Given a file that holds several models, checks all of them.

    \b
    onnxroot verify models.root
    onnxroot verify --tensors models.root:tagger
    """  # noqa: D301  (click's mark for lines as they are)
    with shown(f"verifying {model}"):
        reports = [
            api.verify(
                address, run=run, tensors=tensors, timeout=timeout, limits=_cli_shared.limits()
            )
            for address in _addresses(model, timeout)
        ]
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
                    **({"tensors": list(map(asdict, report.tensors))} if tensors else {}),
                }
                for report in reports
            ]
        )
    for report in reports:
        if report.ok and not as_json:
            say(
                f"{report.address}: ok, {report.n_tables} tables, {report.n_clusters} clusters, "
                f"{_that_were_run(report.n_batches)}sha256 {report.sha256}"
            )
            if report.n_copies > 1:
                say(
                    f"onnxroot: {report.address}: hadd merged {report.n_copies} copies of the "
                    f"model, which agree; to keep one: onnxroot cp --replace {report.address} "
                    f"{report.address}",
                    err=True,
                )
        for tensor in report.tensors if not as_json else ():
            state = "good   " if tensor.ok else "damaged"
            say(f"{state} {tensor.name} {tensor.data_type} {list(tensor.shape)}")
        for problem in report.problems:
            say(f"onnxroot: {problem}", err=True)
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
    names = api.list_models(address.path, timeout=timeout, limits=_cli_shared.limits())
    return [str(Address(address.path, name)) for name in names] or [model]


main.add_command(_cli_convert.convert)
main.add_command(_cli_look.ls)
main.add_command(_cli_look.show)
main.add_command(_cli_diff.diff)
main.add_command(_cli_diff.git_diff)
main.add_command(_cli_report.report)
main.add_command(_cli_view.view)
