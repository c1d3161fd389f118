"""What the commands have in common: errors in a line, exit codes, options, JSON, progress."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from onnxroot._address import TIMEOUT_SECONDS, is_remote, parse_address
from onnxroot._busy import Shown, busy
from onnxroot._limits import DEFAULT_LIMITS, Limits
from onnxroot._output import STANDARD_OUTPUT, say
from onnxroot._readable import readable
from onnxroot._signals import orderly_end
from onnxroot.errors import ModelNotFoundError, OnnxRootError

__all__ = [
    "NAMES",
    "address",
    "compression",
    "limits",
    "plain_errors",
    "shown",
    "tell_of",
    "timeout",
]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

NAMES = {"help_option_names": ["-h", "--help"]}


def _complete(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return what the tab key may add to an address: files by the shell, models by us."""
    path, mark, name = incomplete.rpartition(".root:")
    if not mark or is_remote(path):
        return [CompletionItem(incomplete, type="file")]
    from onnxroot import api  # noqa: PLC0415  (for completion alone)

    try:
        names = api.list_models(f"{path}.root")
    except (OnnxRootError, OSError):
        return []
    return [CompletionItem(f"{path}{mark}{one}") for one in names if one.startswith(name)]


def address(name: str, metavar: str, **more: Any) -> Callable[[F], F]:
    """Return an argument that is a file or an address, which the tab key completes."""
    return click.argument(name, metavar=metavar, shell_complete=_complete, **more)


compression = click.option(
    "--compression",
    default="zstd",
    show_default=True,
    help="To .root: of tensors; zstd, lz4, lzma (zstd:9 sets a level) or none.",
)

timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=TIMEOUT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a server's answer, or for another writer of the file.",
)


def plain_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors of the library into one line and exit code 2."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with orderly_end():
                return command(*args, **kwargs)
        except OnnxRootError as error:
            _fail(str(error), error)
        except KeyboardInterrupt as error:
            _fail("interrupted; nothing was changed, or all of it", error, code=130)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and error.filename == STANDARD_OUTPUT:
                _end_quietly(error)
            text = error.strerror or str(error)
            _fail(f"{error.filename}: {text}{_hint(error)}" if error.filename else text, error)
        except ValueError as error:
            _fail(str(error), error)

    return run


def _end_quietly(error: BrokenPipeError) -> NoReturn:
    """End as programs do whose reader has seen enough, such as `head`."""
    context = click.get_current_context()
    if context.find_root().params.get("debug"):
        raise error
    context.exit(128 + 13)  # SIGPIPE
    raise AssertionError  # pragma: no cover  (exit does not return)


def _hint(error: OSError) -> str:
    """Return what to do about a file that can't be opened."""
    path = Path(os.fsdecode(error.filename))
    if isinstance(error, IsADirectoryError):
        return "; expected a file in it (convert takes folders)"
    if isinstance(error, FileNotFoundError):
        from difflib import get_close_matches  # noqa: PLC0415  (for an error alone)

        with suppress(OSError):
            names = [other.name for other in path.parent.iterdir()]
            near = get_close_matches(path.name, names, n=1, cutoff=0.75)
            return f"; did you mean {str(path.with_name(near[0]))!r}?" if near else ""
    return ""


def _fail(message: str, error: BaseException, code: int = 2) -> NoReturn:
    context = click.get_current_context()
    if context.find_root().params.get("debug"):
        raise error
    line = " ".join(message.split())
    say(f"onnxroot: {line}", err=True)
    context.exit(code)
    raise AssertionError  # pragma: no cover  (exit does not return)


def limits() -> Limits:
    """Return what a file may ask for."""
    found = click.get_current_context().find_root().params.get("limits", DEFAULT_LIMITS)
    return found if isinstance(found, Limits) else DEFAULT_LIMITS


def shown(what: str, *, counts: bool = False) -> AbstractContextManager[Shown]:
    """Show a bar while a block takes its time, unless the user wants it quiet; see `busy`."""
    root = click.get_current_context().find_root()
    return busy(what, quiet=bool(root.params.get("quiet")), counts=counts)


def tell_of(source: str, destination: str) -> None:
    """Say what was written, if the user wants to know it."""
    if not click.get_current_context().find_root().params.get("verbose"):
        return
    from onnxroot import _look  # noqa: PLC0415  (as long as the command itself)

    origin, target = parse_address(source), parse_address(destination)
    name = target.directory or origin.directory or Path(origin.path).stem
    is_root = bool(target.directory) or target.path.lower().endswith(".root")
    try:
        view = _look.open_view(f"{target.path}:{name}" if is_root else destination)
    except ModelNotFoundError:  # it has the only name of a model, which is not known here
        view = _look.open_view(destination)
    with view:
        nbytes = readable(sum(view.sizes.values()))
        what = f"{nbytes}, whose SHA-256 is that of the model"
        if is_root:
            stored = readable(view.parts.stored_nbytes())
            what = f"{nbytes} of ONNX in {stored}; read again and compared before it was there"
        say(f"onnxroot: {view.address}: {what}", err=True)
