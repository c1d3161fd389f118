"""Many models at once: in this process, in others, or on other machines."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any, Final

from onnxroot._address import TIMEOUT_SECONDS, Address, parse_address, refuse_remote
from onnxroot._converting import (
    CONVERTED,
    FAILED,
    SKIPPED,
    Outcome,
    Recipe,
    convert_task,
    convert_tasks,
    failure,
    put_in_place,
)
from onnxroot._limits import DEFAULT_LIMITS, Limits
from onnxroot._naming import Task, is_file_of_models, plan
from onnxroot.adapter import Options, find_adapter

__all__ = ["BatchReport", "Outcome", "are_many", "convert_many"]

_MOST: Final = 16  # models that go to a worker together
_ROUNDS: Final = 8  # how often a worker gets some, at least, so that all end at about one time


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What has become of many models.

    Attributes:
        outcomes: One for each, in the order of the sources.
    """

    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> list[Outcome]:
        """Those that failed."""
        return [outcome for outcome in self.outcomes if outcome.status == FAILED]

    @property
    def ok(self) -> bool:
        """Whether none failed."""
        return not self.failed

    @property
    def counts(self) -> dict[str, int]:
        """How many were ``converted``, ``skipped``, and ``failed``."""
        statuses = [outcome.status for outcome in self.outcomes]
        return {status: statuses.count(status) for status in (CONVERTED, SKIPPED, FAILED)}

    def to_json(self) -> dict[str, Any]:
        """Return counts and outcomes: JSON types only."""
        return {**self.counts, "models": [asdict(outcome) for outcome in self.outcomes]}


def convert_many(  # noqa: PLR0913  (each is a thing to say about a conversion)
    sources: Iterable[str | os.PathLike[str]],
    destination: str | os.PathLike[str],
    executor: Executor | None = None,
    *,
    replace: bool = False,
    compression: str = "zstd",
    external_data_dir: str | os.PathLike[str] | None = None,
    metadata: Mapping[str, str] | None = None,
    options: Options | None = None,
    timeout: float = TIMEOUT_SECONDS,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[int, int, Outcome], None] | None = None,
) -> BatchReport:
    """Convert many models to ROOT; where one fails, the rest goes on.

    It can be broken off and called again: what is there, made from the same bytes with the same
    options, is left as it is. A model is there only once it was read back and compared.

    Args:
        sources: Files that `convert` takes, and folders in which to look for such.
        destination: A folder, which gets a ROOT file for each model, under the name of its file
            and below its path within the folder that was given; or one ROOT file
            (``zoo.root``, ``zoo.root:dir``), in which these are the models' directories. Where
            names would be the same, they keep their endings, or folders' names come in front.
        executor: Where to convert; in this process if None. Any of ``concurrent.futures``, or
            ``distributed.Client(...).get_executor()``; files must have the same paths there. One
            ROOT file is put together in this process in any case.
        replace: Replace models that are there, made from something else.
        compression: See `write`.
        external_data_dir: See `write`.
        metadata: See `write`; the same for all.
        options: See `write`; the same for all.
        timeout: See `write`.
        limits: See `write`.
        progress: Called in this process after each model with how many are done, how many there
            are, and what became of it.

    Returns:
        What has become of each.

    Raises:
        FormatError: The destination can't be one.
        UnsupportedModelError: A folder holds no models, or the destination is on another machine.
        OSError: A folder can't be read, or the destination can't be made.
    """
    target = parse_address(destination)
    refuse_remote(target)
    in_one_file = is_file_of_models(target)
    tasks = plan(sources, target)
    if not in_one_file:
        Path(target.path).mkdir(exist_ok=True)
    recipe = Recipe(
        replace=replace,
        compression=compression,
        external_data_dir=None
        if external_data_dir is None
        else str(Path(external_data_dir).absolute()),
        metadata=dict(metadata or {}),
        options=options or Options(),
        timeout=timeout,
        limits=limits,
    )
    pairs: Iterable[tuple[Task, Outcome]]
    if executor is None:
        pairs = ((task, convert_task(task, recipe)) for task in tasks)
    elif in_one_file:
        pairs = _in_parts(tasks, target, recipe, executor)
    else:
        pairs = _spread(tasks, recipe, executor)
    found: dict[str, Outcome] = {}
    for task, outcome in pairs:
        found[task.source] = outcome
        if progress:
            progress(len(found), len(tasks), outcome)
    return BatchReport(tuple(found[task.source] for task in tasks))


def are_many(sources: Sequence[str], destination: str) -> bool:
    """Return whether `convert_many` is to be called, and not `convert`.

    That is so with several sources, a folder of models, or a folder as the destination.
    """
    return (
        len(sources) > 1
        or destination.endswith(("/", os.sep))
        or Path(destination).is_dir()
        or any(Path(path).is_dir() and not find_adapter(Path(path)) for path in sources)
    )


def _spread(
    tasks: list[Task], recipe: Recipe, executor: Executor
) -> Iterator[tuple[Task, Outcome]]:
    """Let workers convert models, several at a time; yield them in the order they are done in."""
    n = max(1, min(_MOST, len(tasks) // (_n_workers(executor) * _ROUNDS)))
    waiting: dict[Future[list[Outcome]], list[Task]] = {}
    try:
        for first in range(0, len(tasks), n):
            some = tasks[first : first + n]
            waiting[executor.submit(convert_tasks, some, recipe)] = some
        for future in as_completed(waiting):
            some = waiting[future]
            yield from zip(some, _result(future, some), strict=True)
    finally:
        for future in waiting:
            future.cancel()


def _n_workers(executor: Executor) -> int:
    """Return how many workers an executor has, as far as it tells."""
    n: int = getattr(executor, "_max_workers", 0)
    return n or os.cpu_count() or 1


def _result(future: Future[list[Outcome]], tasks: list[Task]) -> list[Outcome]:
    try:
        return future.result()
    except Exception as error:  # noqa: BLE001  (whatever it is, the other models go on)
        name = type(error).__name__
        why = RuntimeError(f"the worker ended before it was done ({name}: {error}); try it again")
        return [failure(task, why) for task in tasks]


def _in_parts(
    tasks: list[Task], target: Address, recipe: Recipe, executor: Executor
) -> Iterator[tuple[Task, Outcome]]:
    """Let workers write a file for each model, and put these into one as they come.

    So they need not wait for each other.
    """
    with _folder_beside(Path(target.path).absolute()) as folder:
        tasks = [
            changed(task, part=Address(str(folder / f"{number}.root"), task.address.directory))
            for number, task in enumerate(tasks)
        ]
        for task, outcome in _spread(tasks, recipe, executor):
            yield task, put_in_place(task, recipe, outcome)


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Make a folder that goes when it is left; beside a file, so that workers can reach it."""
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
