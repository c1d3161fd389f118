"""``onnxroot view``: the graph in the browser."""

from __future__ import annotations

import time

import click

from onnxroot import _look
from onnxroot._cli_shared import NAMES, address, limits, plain_errors
from onnxroot._cli_shared import timeout as timeout_option
from onnxroot._output import say

__all__ = ["view"]


@click.command(context_settings=NAMES)
@address("model", "MODEL")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to listen.")
@timeout_option
@plain_errors
def view(model: str, *, no_browser: bool, port: int, timeout: float) -> None:
    """Show the graph of a model in the browser, with Netron, until Ctrl-C.

    The model is served from memory to this machine alone; nothing is written, and nothing is
    reported to anyone. Needs pip install 'onnxroot[view]'.

    \b
    onnxroot view models.root:tagger
    onnxroot view tagger.onnx --no-browser --port 8123   # for a tunnel: ssh -L 8123:localhost:8123
    """  # noqa: D301  (click's mark for lines as they are)
    from onnxroot._view_server import ViewServer  # noqa: PLC0415  (uproot takes 0.3 s)

    with (
        _look.open_view(model, timeout=timeout, limits=limits()) as opened,
        ViewServer(opened, port) as server,
    ):
        say(server.url)
        if not no_browser:
            click.launch(server.url)
        say("Ctrl-C ends it.", err=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass
