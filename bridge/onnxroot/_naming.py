"""Which source becomes which model, where many are converted at once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from onnxroot._address import Address, is_remote
from onnxroot._source import is_onnx_by_name, usable_name
from onnxroot.adapter import find_adapter
from onnxroot.errors import UnsupportedModelError

__all__ = ["Task", "is_file_of_models", "plan"]


@dataclass(frozen=True, slots=True)
class Task:
    """One model that is to be converted.

    Attributes:
        source: Its file or folder, as an absolute path; or its URL.
        address: Where it goes.
        part: Where it is written at first, if it is put in its place by someone else.
    """

    source: str
    address: Address
    part: Address | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """A source, and its name: the last so many parts of its path, with or without the ending.

    Where names of one folder are the same then, since not all letters can be in one, a number
    tells them apart.
    """

    path: Path
    n_parts: int
    with_ending: bool = False
    number: int = 1

    @property
    def name(self) -> tuple[str, ...]:
        last = self.path.name if self.with_ending else self.path.stem
        parts = tuple(map(usable_name, (*self.path.parts[1:-1], last)[-self.n_parts :]))
        return parts if self.number == 1 else (*parts[:-1], f"{parts[-1]}_{self.number}")


def is_file_of_models(destination: Address) -> bool:
    """Return whether many models are to go into one ROOT file, and not into a folder."""
    return bool(destination.directory) or destination.path.lower().endswith(".root")


def plan(sources: Iterable[str | os.PathLike[str]], destination: Address) -> list[Task]:
    """Find the models, and give each an address of its own.

    A model is named after its file, without the ending, and below a folder that was given after its
    path in there. Where names are the same, the ending stays, or the folder's name comes in front.

    Args:
        sources: Files, or folders in which to look for them.
        destination: A folder, whose ROOT files then have a model each; or one ROOT file, and
            possibly a directory in it.

    Raises:
        UnsupportedModelError: A folder holds no models.
        OSError: A folder can't be read.
    """
    found: dict[Path, _Found] = {}
    order: dict[str, None] = {}
    for given in sources:
        source = os.fspath(given)
        items = [] if is_remote(source) else list(_models_in(_absolute(source), source))
        for item in items:
            found.setdefault(item.path, item)
        order |= dict.fromkeys([str(item.path) for item in items] or [source])
    named = _distinct(list(found.values()))
    if is_file_of_models(destination):
        named = _side_by_side(named)
        top = (destination.directory,) if destination.directory else ()
        path = str(_absolute(destination.path))
        addresses = [Address(path, "/".join((*top, *item.name))) for item in named]
    else:
        folder = _absolute(destination.path)
        addresses = [
            Address(f"{folder.joinpath(*item.name)}.root", item.name[-1]) for item in named
        ]
    places = dict(zip((str(item.path) for item in named), addresses, strict=True))
    return [Task(source, places.get(source, destination)) for source in order]


def _absolute(path: str) -> Path:
    """Return a path that holds for workers too; links in it stay."""
    return Path(os.path.abspath(path))  # noqa: PTH100  (Path's own keeps "..")


def _models_in(path: Path, given: str) -> Iterator[_Found]:
    """Yield a file, or the models in a folder: ONNX files and what adapters know."""
    if not path.is_dir() or find_adapter(path):
        yield _Found(path, 1)
        return
    n_found = 0
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        own = [name for name in sorted(folders) if find_adapter(here / name)]
        folders[:] = sorted(name for name in folders if name not in own)
        models = [name for name in sorted(files) if is_onnx_by_name(Path(name))]
        others = [name for name in sorted(files) if name not in models]
        models += [name for name in others if find_adapter(here / name)]
        for name in own + models:
            n_found += 1
            yield _Found(here / name, len(here.relative_to(path).parts) + 1)
    if not n_found:
        raise UnsupportedModelError(f"{given}: holds no files with models")


def _distinct(found: list[_Found]) -> list[_Found]:
    """Lengthen names until no two are the same."""
    beside = Counter((item.path.parent, item.path.stem) for item in found)
    taken: Counter[tuple[Path, str]] = Counter()
    for n, item in enumerate(found):
        ending = beside[item.path.parent, item.path.stem] > 1
        found[n] = replace(item, with_ending=ending)
        key = item.path.parent, found[n].name[-1]
        taken[key] += 1
        found[n] = replace(found[n], number=taken[key])
    while True:
        counts = Counter(item.name for item in found)
        longer = [
            replace(item, n_parts=item.n_parts + 1)
            if counts[item.name] > 1 and item.n_parts < len(item.path.parts) - 1
            else item
            for item in found
        ]
        if longer == found:
            return found
        found = longer


def _side_by_side(found: list[_Found]) -> list[_Found]:
    """Give names their endings where another model would lie within the model's directory."""
    above = {item.name[:n] for item in found for n in range(1, len(item.name))}
    return [replace(item, with_ending=item.with_ending or item.name in above) for item in found]
