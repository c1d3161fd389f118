"""Make and check the golden models.

A golden model is a small ONNX file that must keep coming back from a ROOT file bit for bit, and
the ROOT file that each format version wrote of it, which must stay readable for ever. Each has a
folder::

    golden_models/<name>/<name>.onnx        the model, and its external files where it has them
    golden_models/<name>/<name>.npz         sample inputs and expected outputs, if it is runnable
    golden_models/<name>/<name>.v1.root     what format version 1 writes; its name there: "model"
    golden_models/<name>/golden.json        sizes and digests of all of these, and their origin

=====================  ========================================================================
name                   what it is
=====================  ========================================================================
``mlp_jet_tagger``     a network trained and exported with PyTorch
``gradient_boosting``  boosted trees trained with scikit-learn, exported with skl2onnx
``control_flow``       If within If within Loop, and Scan, with names from the graphs around
``functions``          model-local functions: overloads, defaults, references to attributes
``data_types``         every tensor data type, in raw_data and in its typed field
``malformed_tensors``  tensors whose shape, type and bytes contradict each other
``external_data``      tensors in two external files: gaps, tied and overlapping tensors
``sparse_training``    sparse initializers, training information, quantization annotations
``types_metadata``     every kind of type, attribute and metadata; devices and sharding
``non_canonical``      a valid model in an encoding that no serializer writes
=====================  ========================================================================

Usage, from anywhere::

    python golden_models/generate.py                 make the models that are missing
    python golden_models/generate.py --roots         make the ROOT files that are missing
    python golden_models/generate.py --check         compare everything with its digests
    python golden_models/generate.py --only NAME     the same for some models (repeat it for more)
    python golden_models/generate.py --replace NAME  make this one again, though it is there
    python golden_models/generate.py --roots --replace NAME    make its ROOT file again

What was released is never replaced: a change of the format writes ``.v2.root`` beside ``.v1.root``.
Making models needs the packages that golden.json names, ``--roots`` needs onnxroot, ``--check``
needs Python alone. The same versions make the same ``.onnx`` again; ROOT files carry a date and
differ every time.

To add a model, write a function that returns a `Golden`, enter it in `CATALOGUE`, and run this
script twice, the second time with ``--roots``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _golden import Golden

__all__ = ["CATALOGUE", "check", "main", "make_model", "make_root"]

HERE = Path(__file__).resolve().parent

CATALOGUE = {
    "mlp_jet_tagger": "_exported",
    "gradient_boosting": "_exported",
    "control_flow": "_hand_made",
    "functions": "_hand_made",
    "data_types": "_tensors",
    "malformed_tensors": "_tensors",
    "external_data": "_tensors",
    "sparse_training": "_rare_messages",
    "types_metadata": "_rare_messages",
    "non_canonical": "_encodings",
}
"""Module by model; the function there has the model's name."""

RECORD = "golden.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; that of the process by default.

    Returns:
        Exit code: 0 done; 1 a check failed; 2 wrong usage (raised by argparse).
    """
    options = _parse_arguments(arguments)
    names = options.only or options.replace or list(CATALOGUE)
    if options.check:
        return _report(check(names, complete=not options.only))
    made = 0
    for name in names:
        make = make_root if options.roots else make_model
        done = make(name, replace=name in options.replace)
        if done:
            print(f"made {done.relative_to(HERE)}")
        made += bool(done)
    print(f"{made} made, {len(names) - made} kept")
    return 0


def make_model(name: str, *, replace: bool = False) -> Path | None:
    """Make one model, unless it is there.

    ROOT files of the model stay, if its bytes and those of its external files came out as before.

    Args:
        name: A key of `CATALOGUE`.
        replace: Whether to make it again.

    Returns:
        Its folder, or None if it was kept.
    """
    folder = HERE / name
    if folder.exists() and not replace:
        return None
    golden: Golden = getattr(importlib.import_module(CATALOGUE[name]), name)()
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=HERE) as staging:
        new = Path(staging) / name
        _write_files(new, name, golden)
        _check_model(new / f"{name}.onnx", golden)
        record = _describe(new, name, golden)
        _keep_roots(folder, new, record, golden)
        _write_record(new, record)
        if folder.exists():
            folder.rename(Path(staging) / "old")
        new.rename(folder)
    return folder


def make_root(name: str, *, replace: bool = False) -> Path | None:
    """Write the ROOT file of the present format version, unless it is there.

    One that golden.json records but that is gone is not written again unasked: it is lost.

    Args:
        name: A key of `CATALOGUE`.
        replace: Whether to write it again.

    Returns:
        The ROOT file, or None if it was kept.

    Raises:
        RuntimeError: A recorded file is missing or changed, or the model did not come back
            identical.
    """
    import onnxroot  # noqa: PLC0415  (models can be made and checked without it)
    from onnxroot._spec import FORMAT_VERSION  # noqa: PLC0415

    folder = HERE / name
    root = folder / f"{name}.v{FORMAT_VERSION}.root"
    if root.exists() and not replace:
        return None
    record = _read_record(folder)
    if problems := _compare(folder, record["files"], ignore=root.name if replace else None):
        raise RuntimeError("; ".join(problems) + ": restore it from version control first")
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=HERE) as staging:
        new = Path(staging) / root.name
        onnxroot.write(folder / f"{name}.onnx", f"{new}:model")
        back = Path(staging) / "back"
        back.mkdir()
        with onnxroot.open(f"{new}:model") as model:
            model.save(back / f"{name}.onnx")
        _check_restored(name, back, record["files"])
        record["files"][root.name] = _digest(new)
        record.setdefault("roots", {})[root.name] = {
            "format_version": FORMAT_VERSION,
            "versions": _versions(["onnxroot", "uproot", "awkward", "numpy", "onnx", "protobuf"]),
        }
        new.replace(root)
    _write_record(folder, record)
    return root


def check(names: Iterable[str], *, complete: bool = True) -> list[str]:
    """Compare models with their records.

    Args:
        names: Models to look at.
        complete: Whether to look for folders that are no golden models, too.

    Returns:
        What is wrong, one line each; empty if all is well.
    """
    problems = [problem for name in names for problem in _check_folder(HERE / name)]
    if complete:
        folders = {path.name for path in HERE.iterdir() if path.is_dir()}
        strange = sorted(folders - set(CATALOGUE) - {"__pycache__"})
        problems += [
            f"{name}: a folder that is not in the catalogue"
            for name in strange
            if not name.startswith(".")  # what tools leave behind
        ]
    return problems


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Make and check the golden models.",
        epilog="Without options, make the models that are missing.",
        allow_abbrev=False,
    )
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--check", action="store_true", help="compare all with its digests")
    modes.add_argument("--roots", action="store_true", help="make ROOT files instead of models")
    for option, help_text in {
        "--only": "this model, not all; may be repeated",
        "--replace": "make this model again, though it is there; may be repeated",
    }.items():
        parser.add_argument(
            option, action="append", default=[], choices=CATALOGUE, metavar="NAME", help=help_text
        )
    options = parser.parse_args(arguments)
    if options.check and options.replace:
        parser.error("--check replaces nothing")
    if options.only and not set(options.replace) <= set(options.only):
        parser.error("--only leaves out a model that --replace names")
    return options


def _report(problems: list[str]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print("all golden models are as recorded")
    return 1 if problems else 0


# --- making --------------------------------------------------------------------------------------


def _write_files(folder: Path, name: str, golden: Golden) -> None:
    folder.mkdir()
    for location, content in {f"{name}.onnx": golden.onnx, **golden.external}.items():
        path = folder / location
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    if golden.samples:
        golden.samples.save(folder / f"{name}.npz")


def _check_model(path: Path, golden: Golden) -> None:
    """Check the model as far as it goes: it parses, is valid, computes what it should.

    Raises:
        RuntimeError: It names a local path, or gives other outputs than expected.
    """
    import onnx  # noqa: PLC0415  (not needed for --check)

    for local in (str(Path.home()), str(HERE), sys.prefix, "site-packages"):
        if local.encode() in golden.onnx:
            raise RuntimeError(f"{path.name} contains the local path {local}")
    onnx.load(path)
    if golden.checkable:
        onnx.checker.check_model(path, full_check=golden.samples is not None)
    if golden.samples:
        golden.samples.check(path)


def _describe(folder: Path, name: str, golden: Golden) -> dict[str, Any]:
    """Return the content of golden.json."""
    import onnx  # noqa: PLC0415  (not needed for --check)

    model = onnx.load_from_string(golden.onnx)
    record: dict[str, Any] = {
        "name": name,
        "guards": golden.guards,
        "made_by": golden.made_by,
        "seed": golden.seed,
        "ir_version": model.ir_version,
        "opset": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        "platform": f"{platform.system().lower()}-{platform.machine()}",
        "versions": _versions(["onnx", "protobuf", *golden.packages]),
        "files": {
            path.relative_to(folder).as_posix(): _digest(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    if golden.samples:
        record["versions"] |= _versions(["onnxruntime"])
        record["samples"] = {
            "expected_from": golden.samples.source,
            "rtol": golden.samples.rtol,
            "atol": golden.samples.atol,
        }
    return record


def _keep_roots(old: Path, new: Path, record: dict[str, Any], golden: Golden) -> None:
    """Take over the ROOT files of the folder that is replaced, if they still hold this model."""
    if not (old / RECORD).exists():
        return
    previous = _read_record(old)
    locations = (f"{old.name}.onnx", *golden.external)
    if any(previous["files"].get(name) != record["files"][name] for name in locations):
        return
    for root in previous.get("roots", {}):
        shutil.copyfile(old / root, new / root)
        record["files"][root] = previous["files"][root]
    if previous.get("roots"):
        record["roots"] = previous["roots"]


def _check_restored(name: str, folder: Path, recorded: dict[str, Any]) -> None:
    """Compare the model that came back from a ROOT file, and its external files.

    Raises:
        RuntimeError: They are not identical.
    """
    stored = {
        file: digest for file, digest in recorded.items() if not file.endswith((".npz", ".root"))
    }
    if problems := _compare(folder, stored):
        raise RuntimeError(f"{name} did not come back identical: {'; '.join(problems)}")


def _versions(packages: Iterable[str]) -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def _digest(path: Path) -> dict[str, int | str]:
    content = path.read_bytes()
    return {"nbytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _read_record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8", newline="\n")


# --- checking ------------------------------------------------------------------------------------


def _check_folder(folder: Path) -> list[str]:
    """Return what is wrong with one model."""
    name = folder.name
    try:
        recorded = _read_record(folder)["files"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{name}/{RECORD}: missing or unreadable ({type(error).__name__})"]
    problems = _compare(folder, recorded)
    if f"{name}.onnx" not in recorded:
        problems.append(f"{name}/{RECORD}: records no {name}.onnx")
    if not any(file.endswith(".root") for file in recorded):
        problems.append(f"{name}/{RECORD}: records no ROOT file; make it with --roots")
    return problems


def _compare(folder: Path, recorded: dict[str, Any], *, ignore: str | None = None) -> list[str]:
    """Return what distinguishes the files that are there, but for one, from those recorded."""
    name = folder.name
    present = {
        path.relative_to(folder).as_posix(): _digest(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != RECORD
    }
    missing, strange = set(recorded) - set(present), set(present) - set(recorded)
    problems = [f"{name}/{file}: missing" for file in sorted(missing - {ignore})]
    problems += [f"{name}/{file}: not recorded" for file in sorted(strange - {ignore})]
    for file in sorted(set(present) & set(recorded) - {ignore}):
        if present[file] != recorded[file]:
            expected, found = recorded[file], present[file]
            problems.append(f"{name}/{file}: recorded as {expected}, found {found}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
