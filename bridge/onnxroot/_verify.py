"""Check a stored model against its manifest, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from onnxroot._chunks import cut, labels
from onnxroot._dtypes import STORAGES
from onnxroot._rntuple_read import TableReader
from onnxroot._spec import PAYLOAD, SAMPLES, TENSORS
from onnxroot._stored import StoredModel
from onnxroot._tensors import Tensors
from onnxroot.errors import IntegrityError, OnnxRootError, RemoteError
from onnxroot.tables import Column

__all__ = ["Report", "TensorState", "verify_stored"]

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TensorState:
    """What became of one tensor.

    Attributes:
        name: Its name.
        data_type: Its element type in ONNX's terms.
        shape: Its dimensions.
        problem: Why its elements can't be read; empty if they can.
    """

    name: str
    data_type: str
    shape: tuple[int, ...]
    problem: str

    @property
    def ok(self) -> bool:
        """Whether its elements are those that were written."""
        return not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `onnxroot.verify` found.

    Attributes:
        address: The model.
        sha256: SHA-256 of the ONNX file, as the manifest has it.
        n_tables: Number of RNTuples that were checked.
        n_clusters: Number of clusters that were checked.
        n_copies: How often each table is there: more than once where ``hadd`` has merged copies of
            the model. They agree if there are no problems.
        n_batches: How many batches of samples it was run on.
        problems: One line for each fault, naming the table or the tensors; empty if there is none.
        tensors: The initializers, if they were asked for. What `problem` they have, `problems` says
            too; the others can be read, whatever else is damaged.
    """

    address: str
    sha256: str
    n_tables: int
    n_clusters: int
    n_copies: int
    n_batches: int
    problems: tuple[str, ...]
    tensors: tuple[TensorState, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the model is what was written."""
        return not self.problems


def verify_stored(stored: StoredModel, *, tensors: bool = False) -> Report:
    """Check every table, every payload cluster, and the rebuilt files.

    Args:
        stored: An open model.
        tensors: Say of each tensor whether it can be read.

    Returns:
        What was found; damage is reported, not raised.
    """
    problems: list[str] = []
    for name in stored.manifest.tables:
        if name.startswith(f"{TENSORS}/"):
            problems += _check_storage(stored, name)
        elif name == PAYLOAD:
            problems += _attempt(lambda: stored.payloads)
        elif name == SAMPLES:
            problems += _attempt(lambda: stored.batches)
        else:
            problems += _attempt(partial(stored.table, name))
    if not problems:
        problems += _attempt(stored.check_files)
    states: list[TensorState] = []
    if tensors:
        found = _attempt(lambda: states.extend(_check_tensors(stored)))
        problems += [problem for problem in found if problem not in problems]
    infos = stored.manifest.tables.values()
    return Report(
        address=stored.where,
        sha256=stored.manifest.sha256,
        n_tables=len(infos),
        n_clusters=sum(len(info.digests) for info in infos),
        n_copies=stored.n_copies,
        n_batches=0,
        problems=tuple(problems),
        tensors=tuple(states),
    )


def _check_tensors(stored: StoredModel) -> Iterator[TensorState]:
    """Say of each tensor whether its elements can be read."""
    for tensor in Tensors(stored).values():
        problem = "".join(_attempt(tensor.check))
        yield TensorState(tensor.name, tensor.data_type, tensor.shape, problem)


def _attempt(check: Callable[[], object]) -> list[str]:
    """Return the message of the error that a check raises, or nothing."""
    try:
        check()
    except RemoteError:
        raise  # says nothing of the model
    except OnnxRootError as error:
        return [str(error)]
    return []


def _check_storage(stored: StoredModel, name: str) -> list[str]:
    """Check values and labels of one storage, cluster by cluster."""
    storage = next(s for s in STORAGES if f"{TENSORS}/{s.name}" == name)
    try:
        reader = stored.reader(name)
        clusters = list(cut(stored.payloads, storage))
        names = stored.tensor_names()
    except RemoteError:
        raise
    except OnnxRootError as error:
        return [str(error)]
    if len(clusters) != reader.n_clusters:
        return [f"{stored.where}/{name}: {reader.n_clusters} clusters, expected {len(clusters)}"]
    problems = []
    for number, chunks in enumerate(clusters):
        tensors = _some(names, stored.payloads.tensor[chunks.payload])
        found = _attempt(partial(reader.values, number))
        problems += [f"{problem} (values of {tensors})" for problem in found]
        expected = labels(chunks, stored.payloads, names)
        problems += _attempt(partial(_check_labels, reader, number, expected))
    return problems


def _check_labels(reader: TableReader, cluster: int, expected: dict[str, Column]) -> None:
    """Compare the columns beside the values with the index of payloads.

    Raises:
        IntegrityError: One differs.
    """
    found = reader.labels(cluster)
    for name, wanted in expected.items():
        column = found.get(name)
        if column is None or not _same(column, wanted):
            raise IntegrityError(
                f"{reader.where}: column {name} of cluster {cluster} contradicts the table "
                f"{PAYLOAD}; the file is damaged"
            )


def _same(a: Column, b: Column) -> bool:
    arrays = ((*a.offsets, a.values), (*b.offsets, b.values))
    if len(arrays[0]) != len(arrays[1]):
        return False
    return all(np.array_equal(x, y) for x, y in zip(*arrays, strict=True))


def _some(names: Column, tensors: npt.NDArray[np.int64]) -> str:
    """Return the names of the first few tensors of a cluster."""
    known = [names.text(row) for row in tensors[:_SHOWN].tolist() if row >= 0]
    more = f" and {len(tensors) - _SHOWN} more" if len(tensors) > _SHOWN else ""
    return (", ".join(map(repr, known)) or "no tensor") + more
