"""Damage to the golden ROOT files: they give back the right bytes, or one of our errors.

By default a sample; `tox -e sweeps` takes more of it, `tox -e damage` every byte and every length.
What was done, how often, and what came of it is printed at the end of the run.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from pathlib import Path

import pytest

import onnxroot
from onnxroot._page_map import PageMap
from onnxroot._root_file import RootFile
from tests.golden import GOLDEN_NAMES, golden
from tests.hostile import Table, find_table, keys_of, page_list, pages_of
from tests.samples import OUTCOMES
from tests.test_verify import rebuilt, time_limit

SEED = 6


def golden_roots() -> list[Path]:
    """Return the golden ROOT files, of every version of the format."""
    found = [p for name in GOLDEN_NAMES for p in sorted(golden(name).parent.glob("*.root"))]
    assert len(found) >= len(GOLDEN_NAMES)
    return found


ROOTS = golden_roots()


class Patient:
    """A file that is damaged again and again, and what became of it each time."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.name = root.stem
        self.data = root.read_bytes()
        self.path = folder / "m.root"
        self.path.write_bytes(self.data)
        self.expected = rebuilt(self.path)
        assert self.expected[""] == root.with_name(f"{root.parent.name}.onnx").read_bytes()
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        with RootFile(str(self.path)) as file:
            (self.directory,) = file.directories()
            with onnxroot.open(self.path) as model:
                self.tables = list(model.manifest.tables)
            self.blobs = {
                name: PageMap(file.anchor(self.directory, name), file.read, file.limits).blobs()
                for name in self.tables
            }

    def read(self, data: bytes, what: str) -> str:
        """Read it, damaged as it is; anything but the right bytes or our errors is a failure.

        It is counted under what was done to it.
        """
        self.path.write_bytes(data)
        with time_limit(60):
            try:
                found = rebuilt(self.path)
            except onnxroot.OnnxRootError as error:
                outcome = type(error).__name__
            else:
                assert found == self.expected
                outcome = "identical"
        self.outcomes[what][outcome] += 1
        return outcome

    def verify(self, name: str) -> None:
        """Let `verify` name the table that is damaged."""
        problems = onnxroot.verify(self.path).problems
        assert any(f"/{name}" in problem for problem in problems), problems

    def table_at(self, position: int) -> str:
        """Return which table has a byte."""
        for name, blobs in self.blobs.items():
            if any(start <= position < start + nbytes for start, nbytes in blobs):
                return name
        return ""

    def report(self, record_property: Callable[[str, object], None]) -> None:
        for what, outcomes in self.outcomes.items():
            record_property(OUTCOMES, (f"golden ROOT files, {what}", dict(outcomes)))


def flip_bytes(patient: Patient, positions: Iterable[int]) -> None:
    """Change one byte after the other, in all or in one of its bits."""
    generator = random.Random(SEED)
    for position in positions:
        data = bytearray(patient.data)
        data[position] ^= generator.choice((0xFF, 1 << generator.randrange(8)))
        name = patient.table_at(position)
        outcome = patient.read(bytes(data), "bytes flipped")
        if outcome != "identical" and name and not generator.randrange(10):
            patient.verify(name)


def truncate(patient: Patient, lengths: Iterable[int]) -> None:
    for length in lengths:
        patient.read(patient.data[:length], "truncated")


def sample(n: int, share: int) -> list[int]:
    """Return every `share`-th number below n or so, drawn."""
    return sorted(random.Random(SEED).sample(range(n), n // share))


def patients(tmp_path: Path) -> Iterator[tuple[Path, Patient]]:
    for root in ROOTS:
        folder = tmp_path / root.stem
        folder.mkdir()
        yield root, Patient(root, folder)


def test_some_bytes_and_lengths(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    for _, patient in patients(tmp_path):
        flip_bytes(patient, sample(len(patient.data), 3000))
        truncate(patient, sample(len(patient.data), 8000))
        patient.report(record_property)
        outcomes = patient.outcomes["bytes flipped"]
        assert outcomes["identical"]
        assert outcomes["IntegrityError"] or outcomes["FormatError"]


@pytest.mark.sweep
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.stem)
def test_more_bytes_and_lengths(
    root: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    patient = Patient(root, tmp_path)
    flip_bytes(patient, sample(len(patient.data), 600))
    truncate(patient, sample(len(patient.data), 1000))
    patient.report(record_property)


@pytest.mark.fuzz
@pytest.mark.exhaustive
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.stem)
def test_every_byte(
    root: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    patient = Patient(root, tmp_path)
    flip_bytes(patient, range(len(patient.data)))
    patient.report(record_property)


@pytest.mark.fuzz
@pytest.mark.exhaustive
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.stem)
def test_every_length(
    root: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    patient = Patient(root, tmp_path)
    truncate(patient, range(len(patient.data)))
    patient.report(record_property)


# --- Pages and tables ---------------------------------------------------------------------------


def swapped(table: Table, a: tuple[int, int], b: tuple[int, int]) -> None:
    """Exchange two pages of a table, each given by its column and its place there."""
    columns = pages_of(table.page_list())
    columns[a[0]][a[1]], columns[b[0]][b[1]] = columns[b[0]][b[1]], columns[a[0]][a[1]]
    (n_rows,) = {pages[0][0] for pages in columns[:1]}
    table.set_page_list(page_list(n_rows, columns))


def pairs_of_pages(patient: Patient) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """Yield every two pages of each table."""
    for name in patient.tables:
        columns = pages_of(find_table(bytearray(patient.data), name.rpartition("/")[2]).page_list())
        places = [(i, k) for i, pages in enumerate(columns) for k in range(len(pages))]
        for a, b in combinations(places, 2):
            yield name.rpartition("/")[2], a, b


@pytest.mark.parametrize(
    "share",
    [
        pytest.param(40, id="some"),
        pytest.param(1, id="all", marks=[pytest.mark.fuzz, pytest.mark.exhaustive]),
    ],
)
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.stem)
def test_swapped_pages(
    root: Path, share: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The checksums are those that such a file ought to have."""
    patient = Patient(root, tmp_path)
    pairs = list(pairs_of_pages(patient))
    for number in sample(len(pairs), share):
        name, a, b = pairs[number]
        data = bytearray(patient.data)
        swapped(find_table(data, name), a, b)
        patient.read(bytes(data), "pages swapped")
    patient.report(record_property)


@pytest.mark.sweep
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.stem)
def test_dropped_tables(
    root: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each table loses its name, and so is not there; samples are no part of the ONNX file."""
    patient = Patient(root, tmp_path)
    for name in patient.tables:
        data = bytearray(patient.data)
        for position in keys_of(patient.data, name.rpartition("/")[2]):
            data[position + 15] ^= 0x20  # the first letter of its name
        outcome = patient.read(bytes(data), "tables dropped")
        assert outcome == ("identical" if name.startswith("samples/") else "FormatError")
        patient.verify(name)
    patient.report(record_property)


@pytest.mark.sweep
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.stem)
def test_a_table_in_the_place_of_another(
    root: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each table's anchor is that of another table."""
    patient = Patient(root, tmp_path)
    names = [name.rpartition("/")[2] for name in patient.tables]
    others = [*names[1:], names[0]]
    for whole_name, name, other in zip(patient.tables, names, others, strict=True):
        data = bytearray(patient.data)
        table = find_table(data, name)
        table.members = find_table(data, other).members
        table.seal()
        outcome = patient.read(bytes(data), "tables exchanged")
        assert (outcome == "identical") == whole_name.startswith("samples/")
        patient.verify(name)
    patient.report(record_property)


@pytest.mark.sweep
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.stem)
def test_doubled_tables(
    root: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each table has its only cluster group twice, and so its rows: of all tables, it alone."""
    patient = Patient(root, tmp_path)
    for name in patient.tables:
        data = bytearray(patient.data)
        find_table(data, name.rpartition("/")[2]).double()
        patient.read(bytes(data), "tables doubled")
    patient.report(record_property)
    outcomes = patient.outcomes["tables doubled"]
    assert outcomes == {"identical": len(patient.tables)}  # FORMAT §3.2
