"""What is read of a model, whichever file it is in: the seam between files and what is shown.

`_stored.StoredModel` gives the parts of a model in a ROOT file, `_onnx_file.OnnxFile` those of an
ONNX file. What looks at models (`_model_view`, `_tensors`, `_diff`) knows this alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from onnxroot._external import ExternalTensor
from onnxroot._join import Document
from onnxroot._schema import Schema
from onnxroot._spec import PAYLOAD_FIELDS, TENSOR
from onnxroot.tables import Payloads, Table, Tables

__all__ = ["ModelParts", "PayloadsOfTensors", "tensor_codes_of"]

U8 = npt.NDArray[np.uint8]


class ModelParts(Protocol):
    """The parts of one model in one file, read when they are asked for."""

    @property
    def where(self) -> str:
        """The model's address, for messages too."""
        ...

    @property
    def path(self) -> str:
        """The file."""
        ...

    @property
    def schema(self) -> Schema:
        """What columns and field codes mean."""
        ...

    @property
    def depth(self) -> int:
        """How deep messages may nest."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of the ONNX file, under an empty name, and of each external file by location."""
        ...

    @property
    def payloads(self) -> Payloads:
        """The index of the payloads; those of external files may be missing."""
        ...

    @property
    def external(self) -> Mapping[int, ExternalTensor]:
        """The tensors whose elements are in external files, by row."""
        ...

    @property
    def files(self) -> Mapping[str, Document]:
        """The external files by location."""
        ...

    @property
    def payloads_of_tensors(self) -> PayloadsOfTensors:
        """The payloads of each tensor."""
        ...

    @property
    def tensor_codes(self) -> list[int]:
        """Codes of the fields that hold elements of tensors."""
        ...

    def table(self, name: str) -> Table | None:
        """Return the table of a message type, or None if the model has none of these."""
        ...

    def tables(self) -> Tables:
        """Return all message tables, without those of external files."""
        ...

    def values(self, payload: int, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return values of one payload, those from `start` up to `stop`.

        Returns:
            A new array, or one that can't be written to.
        """
        ...

    def wire_range(self, payload: int, start: int, stop: int) -> U8:
        """Return some of the bytes of one payload, as they are in an ONNX file: as `values`."""
        ...

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each of the files in `sizes`."""
        ...

    def documents(self) -> dict[str, Document]:
        """Return the bytes of each of the files in `sizes`, to be read in windows."""
        ...

    def stored_nbytes(self) -> int:
        """Return how many bytes of the file are the model's."""
        ...

    def written(self) -> datetime | None:
        """Return when it was written, in local time, without a time zone; None if unknown."""
        ...

    def check_open(self) -> None:
        """Refuse to read from a closed file.

        Raises:
            ValueError: It is closed.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class PayloadsOfTensors:
    """Finds the payloads with the elements of a tensor, of which there may be a million."""

    def __init__(self, payloads: Payloads, codes: list[int]) -> None:
        """Sort them.

        Args:
            payloads: The payloads of a model.
            codes: Codes of the fields that hold elements of tensors.
        """
        inside = np.flatnonzero(np.isin(payloads.field, codes))
        self._index = inside[np.argsort(payloads.tensor[inside], kind="stable")]
        self._tensors = payloads.tensor[self._index]

    def of(self, row: int) -> npt.NDArray[np.intp]:
        """Return the index of a tensor's payloads, ascending; none if they are elsewhere."""
        first, last = np.searchsorted(self._tensors, [row, row + 1])
        return self._index[first:last]


def tensor_codes_of(schema: Schema) -> list[int]:
    """Return the codes of the fields that hold elements of tensors."""
    kind = schema[TENSOR]
    return [kind.by_name[name].code for _, name in PAYLOAD_FIELDS if name in kind.by_name]
