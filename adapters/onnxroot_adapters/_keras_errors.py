"""What Keras says where it can't open a file, in a line."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from onnxroot.adapter import Options
from onnxroot.errors import FormatError, OnnxRootError, UnsupportedModelError
from onnxroot_adapters._errors import in_one_line

__all__ = ["explained"]


@contextmanager
def explained(path: Path, options: Options) -> Iterator[None]:
    """Say in one line what is wrong where Keras raises."""
    try:
        yield
    except OnnxRootError:
        raise
    except (zipfile.BadZipFile, json.JSONDecodeError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise FormatError(f"{path}: damaged, Keras can't open it: {in_one_line(error)}") from error
    except Exception as error:
        name = _unknown(str(error))
        if name in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
            raise UnsupportedModelError(
                f"{path}: has operations of TensorFlow among its layers ({name}), which only Keras "
                "2 can open: pip install tf_keras, and convert it again"
            ) from error
        if name:
            given = f", and {options.custom_objects} has none" if options.custom_objects else ""
            raise UnsupportedModelError(
                f"{path}: needs the custom object {name}, which Keras does not have{given}: name "
                "the module that defines it (--custom-objects package.module, custom_objects=...)"
            ) from error
        raise UnsupportedModelError(
            f"{path}: Keras {_version()} can't open it: {in_one_line(error)}; open and save it "
            "with the version that wrote it, or install tf_keras for files of Keras 2"
        ) from error


def _version() -> str:
    return str(getattr(import_module("keras"), "__version__", "?"))


def _unknown(text: str) -> str | None:
    """Return the name of a class or function that Keras did not find, if that is the matter."""
    patterns = (
        r"Could not locate (?:class|function) '([^']+)'",
        r"Unknown [a-z ]+: '?([\w>.]+)'?",
        r"[Cc]ould not interpret (?:activation function )?identifier: (\w+)",
    )
    for pattern in patterns:
        found = re.search(pattern, text)
        if found:
            return found[1]
    return None
