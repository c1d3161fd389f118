"""The exceptions onnxroot raises on purpose.

::

    Exception
    └── OnnxRootError
        ├── FormatError            (ValueError)       not a model, or not one we can parse
        ├── IntegrityError         (ValueError)       the bytes are not those that were stored
        ├── UnsupportedModelError  (ValueError)       a valid model that can't be stored or built
        ├── ModelNotFoundError     (LookupError)      no model at that address
        ├── ModelExistsError       (FileExistsError)  something is there already
        ├── LockedError            (TimeoutError)     another program is writing to the file
        ├── RemoteError            (OSError)          another machine refuses, or does not answer
        └── MissingDependencyError (ImportError)      an optional package is not installed

A file that can't be opened at all raises Python's own ``OSError``.
"""

from __future__ import annotations

__all__ = [
    "FormatError",
    "IntegrityError",
    "LockedError",
    "MissingDependencyError",
    "ModelExistsError",
    "ModelNotFoundError",
    "OnnxRootError",
    "RemoteError",
    "UnsupportedModelError",
]


class OnnxRootError(Exception):
    """Base of every error that onnxroot raises on purpose."""


class FormatError(OnnxRootError, ValueError):
    """The input is not what it should be: not a ModelProto, or not a model in a ROOT file.

    Attributes:
        offset: Byte offset of the fault in the ONNX file, or None where it has none.
    """

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        """Keep the message and the offset.

        Args:
            message: Where, what was expected, what was found.
            offset: Byte offset of the fault; shown in front of the message.
        """
        super().__init__(message if offset is None else f"byte {offset}: {message}")
        self.offset = offset

    def within(self, where: str) -> FormatError:
        """Return the same error with a file's name in front."""
        error = FormatError(f"{where}: {self}")
        error.offset = self.offset
        return error


class IntegrityError(OnnxRootError, ValueError):
    """A digest, a size or a row count differs from what was stored."""


class UnsupportedModelError(OnnxRootError, ValueError):
    """A valid model that can't be stored or built, and why."""


class ModelNotFoundError(OnnxRootError, LookupError):
    """No model at the address; the message lists those that are there."""


class ModelExistsError(OnnxRootError, FileExistsError):
    """Something is at the destination already, and replacing it was not asked for."""


class LockedError(OnnxRootError, TimeoutError):
    """Another program has been writing to the file for too long."""


class RemoteError(OnnxRootError, OSError):
    """Another machine refuses to give a file, does not answer, or breaks off."""


class MissingDependencyError(OnnxRootError, ImportError):
    """An optional package is not installed; the message gives the pip command."""
