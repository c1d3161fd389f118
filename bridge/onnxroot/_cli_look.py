"""``onnxroot ls`` and ``onnxroot show``."""

from __future__ import annotations

import click

from onnxroot import _look
from onnxroot._cli_shared import NAMES, address, limits, plain_errors, shown
from onnxroot._cli_shared import timeout as timeout_option
from onnxroot._output import print_json, say

__all__ = ["ls", "show"]


@click.command(context_settings=NAMES)
@address("file", "FILE[:DIRECTORY]")
@click.option("-l", "--long", is_flag=True, help="IR version, producer and SHA-256, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@timeout_option
@plain_errors
def ls(file: str, *, long: bool, as_json: bool, timeout: float) -> None:
    """List the models in a ROOT file, in whatever directories they are.

    \b
    onnxroot ls models.root
    onnxroot ls models.root:2026
    onnxroot ls -l models.root
    onnxroot ls root://host.example//store/models.root
    onnxroot ls models.root --json | jq '.[] | select(.opset < 17) | .address'
    """  # noqa: D301  (click's mark for lines as they are)
    from onnxroot._describe import summarise_all  # noqa: PLC0415  (uproot takes 0.3 s)

    rows = summarise_all(file, timeout, limits())
    if as_json:
        print_json(rows)
    elif rows:
        from onnxroot._show_text import print_list  # noqa: PLC0415  (rich takes 0.1 s)

        print_list(rows, long=long)
    else:
        say(f"{file}: holds no models", err=True)


@click.command(context_settings=NAMES)
@address("model", "MODEL")
@click.option("--stats", is_flag=True, help="Read all tensors: min, mean, max and zeros of each.")
@click.option("--nodes", is_flag=True, help="List the nodes in order.")
@click.option("--node", metavar="NAME", help="One node: its attributes and neighbours.")
@click.option("--tensor", metavar="NAME", help="One tensor: its statistics and a histogram.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@timeout_option
@plain_errors
def show(
    model: str,
    *,
    stats: bool,
    nodes: bool,
    node: str | None,
    tensor: str | None,
    as_json: bool,
    timeout: float,
) -> None:
    """Show what a model is: inputs, outputs, operators, tensors, where it came from.

    MODEL is in a ROOT file, or an .onnx file. A node without a name goes by that of an output.

    \b
    onnxroot show models.root:tagger
    onnxroot show tagger.onnx --stats
    onnxroot show models.root:tagger --tensor hidden1.weight
    onnxroot show models.root:tagger --node node_Gemm_20 --json
    """  # noqa: D301  (click's mark for lines as they are)
    if sum([stats, nodes, node is not None, tensor is not None]) > 1:
        raise click.UsageError("--stats, --nodes, --node and --tensor do not go together")
    from onnxroot import _describe, _nodes, _show_text  # noqa: PLC0415  (uproot takes 0.3 s)

    with _look.open_view(model, timeout=timeout, limits=limits()) as view:
        if tensor is not None:
            found = _describe.describe_tensor(view, tensor)
            print_json(found) if as_json else _show_text.print_tensor(found)
        elif node is not None:
            found = _nodes.describe_node(view, node)
            print_json(found) if as_json else _show_text.print_node(found)
        elif nodes:
            listed = list(_nodes.list_nodes(view))
            print_json(listed) if as_json else _show_text.print_nodes(listed)
        else:
            with shown(f"reading {model}") as progress:
                found = _describe.describe(view, statistics=stats, progress=progress)
            print_json(found) if as_json else _show_text.print_model(found)
