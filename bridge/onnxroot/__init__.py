"""Trained models beside the data: ONNX models in ROOT files, exactly.

::

    import onnxroot

    onnxroot.write("tagger.onnx", "models.root:tagger")
    with onnxroot.open("models.root:tagger") as model:
        model.tensors["conv1.weight"].numpy()
        model.save("tagger_again.onnx")  # the same bytes
"""

from __future__ import annotations

from onnxroot._limits import Limits
from onnxroot._look import diff, report
from onnxroot.api import (
    convert,
    copy,
    include_dir,
    list_models,
    open,  # noqa: A004
    remove,
    verify,
    write,
)
from onnxroot.errors import (
    FormatError,
    IntegrityError,
    LockedError,
    MissingDependencyError,
    ModelExistsError,
    ModelNotFoundError,
    OnnxRootError,
    RemoteError,
    UnsupportedModelError,
)
from onnxroot.many import convert_many

__all__ = [
    "FormatError",
    "IntegrityError",
    "Limits",
    "LockedError",
    "MissingDependencyError",
    "ModelExistsError",
    "ModelNotFoundError",
    "OnnxRootError",
    "RemoteError",
    "UnsupportedModelError",
    "convert",
    "convert_many",
    "copy",
    "diff",
    "include_dir",
    "list_models",
    "open",
    "remove",
    "report",
    "verify",
    "write",
]
