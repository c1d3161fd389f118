"""Look at models, whichever file they are in: what takes ONNX files and ROOT addresses alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from onnxroot import api
from onnxroot._address import TIMEOUT_SECONDS, is_remote, parse_address
from onnxroot._busy import Progress
from onnxroot._file_bytes import is_root_file
from onnxroot._limits import DEFAULT_LIMITS, Limits
from onnxroot._transaction import Transaction
from onnxroot.errors import ModelExistsError

if TYPE_CHECKING:
    from onnxroot._changes import ModelDiff
    from onnxroot._model_view import ModelView

__all__ = ["diff", "open_view", "report"]


def open_view(
    address: str | os.PathLike[str],
    *,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
) -> ModelView:
    """Open a model in a ROOT file or an ONNX file, to look at it.

    Args:
        address: As for `onnxroot.open`, or the path of an ``.onnx`` file, whose external files are
            beside it.
        timeout: Seconds to wait for an answer of another machine.
        limits: How much the file may ask for, see `Limits`.

    Returns:
        The model, to be used in a ``with`` statement or closed.

    Raises:
        FormatError: The file is neither, or damaged.
        ModelNotFoundError: A ROOT file has no such model.
        RemoteError: Another machine refuses, or does not answer.
        OSError: The file can't be opened.
    """
    where = parse_address(address)
    if where.directory or not _is_onnx(where.path):
        return api.open(address, timeout=timeout, limits=limits)
    from onnxroot._model_view import ModelView  # noqa: PLC0415  (onnx takes 0.2 s)
    from onnxroot._onnx_file import OnnxFile  # noqa: PLC0415

    return ModelView(OnnxFile(where.path, limits))


def diff(
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
) -> ModelDiff:
    """Compare two models, whichever files they are in.

    Memory stays bounded whatever the size of their tensors.

    Args:
        old: An ``.onnx`` file or a model's address in a ROOT file.
        new: Another.
        timeout: Seconds to wait for an answer of another machine.
        limits: How much a file may ask for, see `Limits`.

    Returns:
        Whether all bytes are the same (``identical``); or else the same model (``same_model``,
        with ``encoding`` to say in what the bytes differ); or else what changed, as plain data.

    Raises:
        FormatError: A file is neither ONNX nor ROOT, or damaged.
        IntegrityError: A tensor is not what was stored.
        ModelNotFoundError: A ROOT file has no such model.
        UnsupportedModelError: An external file is missing.
        RemoteError: Another machine refuses, or does not answer.
        OSError: A file can't be opened.
    """
    from onnxroot._diff import diff_models  # noqa: PLC0415  (uproot takes 0.3 s)

    with (
        open_view(old, timeout=timeout, limits=limits) as first,
        open_view(new, timeout=timeout, limits=limits) as second,
    ):
        return diff_models(first, second)


def report(
    model: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    replace: bool = False,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> None:
    """Write a page of HTML about a model: one file, which needs no network.

    Args:
        model: An ``.onnx`` file or a model's address in a ROOT file.
        path: The page.
        replace: Overwrite a file that exists.
        timeout: Seconds to wait for an answer of another machine.
        limits: How much the file may ask for, see `Limits`.
        progress: Is called with the number of bytes of tensors that are read, and of all.

    Raises:
        FormatError: The model's file is neither ONNX nor ROOT, or damaged.
        IntegrityError: A tensor is not what was stored.
        ModelExistsError: There is a file at `path`.
        ModelNotFoundError: A ROOT file has no such model.
        RemoteError: Another machine refuses, or does not answer.
        OSError: A file can't be read or written.
    """
    from onnxroot._report import report_pages  # noqa: PLC0415  (uproot takes 0.3 s)

    target = Path(path)
    if not replace and os.path.lexists(target):
        raise ModelExistsError(f"{target} exists; choose another name or replace it")
    with open_view(model, timeout=timeout, limits=limits) as view, Transaction() as transaction:
        new = transaction.create(target, replace=replace)
        with new.open("w", encoding="utf-8") as out:
            out.writelines(report_pages(view, progress))


def _is_onnx(path: str) -> bool:
    """Return whether a file is ONNX: by its name, unless it begins as ROOT files do."""
    if is_remote(path) or not path.lower().endswith(".onnx"):
        return False
    return not is_root_file(path)
