"""Damaged files never crash the C++ reader, and never give anything but the right bytes.

The reader is compiled with the sanitizers for addresses and undefined behaviour. ROOT is not, and
keeps until the end what looks like leaks: these are not looked for.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import onnxroot
from tests.cxx import Probe, compile_program, needs_compiler
from tests.golden import GOLDEN_NAMES, golden
from tests.hostile import find_table
from tests.samples import SAID, linear_model
from tests.test_damage import ROOTS, Patient, pairs_of_pages, sample, swapped
from tests.test_hostile import FILES, MANIFESTS, get_manifest, put_manifest, with_a_wrong_value
from tests.test_verify import COLUMNS, SEGMENTS, TABLES, forging, with_digest
from tests.test_verify import MANIFESTS as FORGED_MANIFESTS

pytestmark = needs_compiler

SANITIZED = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
"""Optimised, it takes three times as long to compile, and the files are small."""

COMMANDS = ("dump", "tensors", "io", "manifest")
"""The last three read parts of a file: the rest may be damaged without harm."""

N_FILES = 1000
SEEDS = (20, *(pytest.param(seed, marks=pytest.mark.sweep) for seed in range(4)))


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """Start the program, compiled with sanitizers."""
    program = compile_program("probe.cxx", tmp_path_factory.mktemp("cpp") / "probe", *SANITIZED)
    with Probe(program, ASAN_OPTIONS="detect_leaks=0") as started:
        yield started


def damaged(whole, generator):
    """Return a copy with a bit, a byte, several bytes or a range changed, or its end cut off."""
    data = bytearray(whole)
    place = generator.randrange(len(data))
    kind = generator.choice(["bit"] * 5 + ["byte"] * 3 + ["bytes", "range", "cut"])
    if kind == "bit":
        data[place] ^= 1 << generator.randrange(8)
    elif kind == "byte":
        data[place] = generator.choice([0, 1, 127, 128, 255, data[place] ^ 255])
    elif kind == "bytes":
        for _ in range(generator.randrange(2, 9)):
            data[generator.randrange(len(data))] = generator.randrange(256)
    elif kind == "range":
        length = min(generator.randrange(1, 64), len(data) - place)
        data[place : place + length] = bytes([generator.choice([0, 255])]) * length
    else:
        del data[place:]
    return bytes(data)


def outcome(answer, right):
    """Judge an answer; whatever came before an error must have been right as well."""
    last = answer[-1].split(" ")[0]
    if last == "done":
        return "identical" if answer == right else "wrong"
    if last == "Error":
        return "Error" if answer[:-1] == right[: len(answer) - 1] else "wrong"
    return last


@pytest.mark.parametrize("seed", SEEDS)
def test_damage_is_found(seed, probe, tmp_path, record_property):
    wholes = [
        path.read_bytes()
        for name in GOLDEN_NAMES
        for path in sorted(golden(name).parent.glob("*.root"))
    ]
    path = tmp_path / "damaged.root"
    right = {}
    for whole in wholes:
        path.write_bytes(whole)
        for command in COMMANDS:
            right[whole, command] = probe.ask(command, path, "")
            assert right[whole, command][-1] == "done"
    generator = random.Random(seed)
    outcomes, bad = Counter(), []
    for number in range(N_FILES):
        whole, command = generator.choice(wholes), generator.choice(COMMANDS)
        path.write_bytes(damaged(whole, generator))
        answer = probe.ask(command, path, "")
        found = outcome(answer, right[whole, command])
        outcomes[found] += 1
        if found not in {"identical", "Error"}:
            bad.append((number, command, answer[-1][:300]))
    counts = ", ".join(f"{n} {found}" for found, n in sorted(outcomes.items()))
    record_property(SAID, f"C++ reader on {N_FILES} damaged files, under sanitizers: {counts}")
    assert not bad
    assert outcomes["identical"]
    assert outcomes["Error"]


def test_hostile_files(probe, tmp_path):
    """Files that promise more than they hold, with checksums that fit."""
    whole, path = tmp_path / "whole.root", tmp_path / "hostile.root"
    onnxroot.write(linear_model(), f"{whole}:tagger", compression="none")
    for case, (change, _) in FILES.items():
        data = bytearray(whole.read_bytes())
        change(data)
        path.write_bytes(data)
        assert probe.ask("dump", path, "")[-1].startswith("Error "), case


def forged(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield models that contradict themselves, with digests that fit, and what they were."""
    plain, external = folder / "plain.root", golden("external_data")
    onnxroot.write(linear_model(), f"{plain}:tagger", compression="none")
    kinds = {"manifest": FORGED_MANIFESTS, "tables": TABLES, "columns": COLUMNS}
    for kind, cases in kinds.items():
        for case, (change, _) in cases.items():
            path = folder / "forged.root"
            path.unlink(missing_ok=True)  # what is forged can't be replaced
            with forging(**{kind: change}):
                onnxroot.write(linear_model(), f"{path}:tagger")
            yield f"{kind}: {case}", path, plain
    for case, (change, _) in SEGMENTS.items():
        onnxroot.write(external, folder / "whole.root", replace=True)
        (folder / "forged.root").unlink(missing_ok=True)
        with forging(columns=change):
            onnxroot.write(external, folder / "forged.root")
        yield f"segments: {case}", folder / "forged.root", folder / "whole.root"
    for case, (change_text, _) in MANIFESTS.items():
        path = folder / "text.root"
        path.write_bytes(plain.read_bytes())
        put_manifest(path, change_text(get_manifest(path)))
        yield f"manifest: {case}", path, plain
    wrong = list(with_a_wrong_value(json.loads(get_manifest(plain))))
    for number in sample(len(wrong), 10):
        case, manifest = wrong[number]
        path = folder / "value.root"
        path.write_bytes(plain.read_bytes())
        put_manifest(path, with_digest(manifest))
        yield f"manifest, {case}", path, plain


def test_forged_files(probe, tmp_path, record_property):
    """What Python refuses, this refuses too, or it gives the right bytes."""
    outcomes = Counter()
    for case, path, whole in forged(tmp_path):
        found = outcome(probe.ask("sha", path, ""), probe.ask("sha", whole, ""))
        assert found in {"identical", "Error"}, case
        for command in ("tensors", "io", "manifest", "list"):
            answer = probe.ask(command, path, "")[-1]
            assert answer.startswith(("done", "Error ")), (case, command, answer)
        outcomes[found] += 1
    counts = ", ".join(f"{n} {found}" for found, n in sorted(outcomes.items()))
    record_property(SAID, f"C++ reader on {outcomes.total()} forged files: {counts}")
    assert outcomes["Error"] > 50


def rearranged(patient: Patient) -> Iterator[bytes]:
    """Yield a file whose tables are dropped, doubled or exchanged, or whose pages are."""
    names = [name.rpartition("/")[2] for name in patient.tables]
    changes: list[Callable[[bytearray], None]] = []
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        changes.append(lambda data, n=name: find_table(data, n).double())

        def exchange(data: bytearray, name: str = name, other: str = other) -> None:
            table = find_table(data, name)
            table.members = find_table(data, other).members
            table.seal()

        changes.append(exchange)
    pairs = list(pairs_of_pages(patient))
    for number in sample(len(pairs), 40):
        name, a, b = pairs[number]
        changes.append(lambda data, n=name, a=a, b=b: swapped(find_table(data, n), a, b))
    for change in changes:
        data = bytearray(patient.data)
        change(data)
        yield bytes(data)


@pytest.mark.sweep
def test_rearranged_files(probe, tmp_path, record_property):
    """Tables and pages in other places, with the checksums that such a file ought to have."""
    outcomes = Counter()
    for root in ROOTS[::3]:
        patient = Patient(root, tmp_path)
        right = probe.ask("sha", root, "")
        for data in rearranged(patient):
            patient.path.write_bytes(data)
            found = outcome(probe.ask("sha", patient.path, ""), right)
            assert found in {"identical", "Error"}, root
            assert probe.ask("tensors", patient.path, "")[-1].startswith(("done", "Error "))
            outcomes[found] += 1
    counts = ", ".join(f"{n} {found}" for found, n in sorted(outcomes.items()))
    record_property(SAID, f"C++ reader on {outcomes.total()} rearranged files: {counts}")
    assert outcomes["identical"]
    assert outcomes["Error"]
