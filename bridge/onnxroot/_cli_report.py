"""``onnxroot report``: a model as a page."""

from __future__ import annotations

from pathlib import Path

import click

from onnxroot import _look
from onnxroot._cli_shared import NAMES, address, limits, plain_errors, shown
from onnxroot._cli_shared import timeout as timeout_option

__all__ = ["report"]


@click.command(context_settings=NAMES)
@address("model", "MODEL")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The page to write.",
)
@click.option("--replace", is_flag=True, help="Replace the page that is there.")
@timeout_option
@plain_errors
def report(model: str, *, output: Path, replace: bool, timeout: float) -> None:
    """Write a page about a model: operators, distributions of weights, parameters, origin.

    It is one file of HTML, needs no network, prints well and suits screen readers.

    \b
    onnxroot report models.root:tagger -o tagger.html
    onnxroot report tagger.onnx -o tagger.html --replace
    """  # noqa: D301  (click's mark for lines as they are)
    with shown(f"reading {model}") as progress:
        _look.report(
            model, output, replace=replace, timeout=timeout, limits=limits(), progress=progress
        )
