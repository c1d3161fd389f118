"""Make and check the golden models.

A golden model is a small ONNX file that must keep coming back from a ROOT file bit for bit, and
the ROOT file that each format version wrote of it, which must stay readable for ever. Each has a
folder::

    golden_models/<name>/make.py            makes it: a function `make` that returns a `Golden`
    golden_models/<name>/source/            what its framework wrote, if one did
    golden_models/<name>/<name>.onnx        the model, and its external files where it has them
    golden_models/<name>/<name>.npz         sample inputs and expected outputs, if it is runnable
    golden_models/<name>/<name>.v1.root     what format version 1 writes; its name there: "model"
    golden_models/<name>/golden.json        sizes and digests of all of these, and their origin

``catalogue.json`` has the digest of each golden.json, so that no model is lost unseen, and of each
module here. Nothing is made while a file of a model is missing or changed: restore it first.

Usage, from anywhere::

    python golden_models/generate.py                 make what is missing, and the catalogue
    python golden_models/generate.py --check         compare everything with its digests
    python golden_models/generate.py --only NAME     the same for some models (repeat it for more)
    python golden_models/generate.py --replace NAME  make this one again, though it is there
    python golden_models/generate.py --replace-root NAME   make its ROOT file again
    python golden_models/generate.py --release VERSION     seal all models: VERSION ships them

What was released is never replaced: a change of the format writes ``.v2.root`` beside ``.v1.root``.
Making models needs the packages that golden.json names, ``--check`` needs Python alone. The same
versions make the same ``.onnx`` again; ROOT files and sources carry dates and differ every time.

To add a model, write its make.py and run this script; CONTRIBUTING.md has an example.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _golden import Golden

__all__ = ["NotMadeError", "check", "main", "make_model", "make_root", "names"]

HERE = Path(__file__).resolve().parent

CATALOGUE = HERE / "catalogue.json"
RECIPE, RECORD = "make.py", "golden.json"


class NotMadeError(Exception):
    """A golden model is not made; the message says why, and what to do."""


def names() -> list[str]:
    """Return the models that have a recipe."""
    return sorted(path.parent.name for path in HERE.glob(f"*/{RECIPE}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; that of the process by default.

    Returns:
        Exit code: 0 done; 1 a check failed; 2 wrong usage (raised by argparse).
    """
    options = _parse_arguments(arguments)
    wanted = options.only or [*options.replace, *options.replace_root] or names()
    if options.check:
        return _report(check(wanted, complete=not options.only))
    replaced = {*options.replace, *options.replace_root}
    if problems := _changed(besides=replaced):
        return _report([*problems, "restore this from version control first"])
    if options.release:
        return _report(_seal(options.release))
    try:
        for name in wanted:
            _say_made(make_model(name, replace=name in options.replace))
            _say_made(make_root(name, replace=name in options.replace_root))
    except NotMadeError as error:
        return _report([str(error)])
    finally:
        _write_catalogue()
    return 0


def make_model(name: str, *, replace: bool = False) -> Path | None:
    """Make one model, unless it is there.

    ROOT files of the model stay, if its bytes and those of its external files came out as before.

    Args:
        name: Its folder's name.
        replace: Whether to make it again.

    Returns:
        Its folder, or None if it was kept.

    Raises:
        NotMadeError: It was released, or is not what it should be.
    """
    folder = HERE / name
    if (folder / RECORD).exists():
        if not replace:
            return None
        _refuse_released(folder)
    golden: Golden = _load(folder / RECIPE).make()
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=HERE) as staging:
        new = Path(staging) / name
        _write_files(new, name, golden)
        shutil.copyfile(folder / RECIPE, new / RECIPE)
        _check_model(new / f"{name}.onnx", golden)
        record = _describe(new, name, golden)
        _keep_roots(folder, new, record, golden)
        _write_record(new, record)
        folder.rename(Path(staging) / "old")
        new.rename(folder)
    return folder


def make_root(name: str, *, replace: bool = False) -> Path | None:
    """Write the ROOT file of the present format version, unless it is there.

    One that golden.json records but that is gone is not written again unasked: it is lost.

    Args:
        name: Its folder's name.
        replace: Whether to write it again.

    Returns:
        The ROOT file, or None if it was kept.

    Raises:
        NotMadeError: It was released; a recorded file is missing or changed; or the model did not
            come back identical.
    """
    import onnxroot  # noqa: PLC0415  (models can be made and checked without it)
    from onnxroot._spec import FORMAT_VERSION  # noqa: PLC0415

    folder = HERE / name
    root = folder / f"{name}.v{FORMAT_VERSION}.root"
    if root.exists():
        if not replace:
            return None
        _refuse_released(folder)
    record = _read_record(folder)
    if problems := _compare(folder, record["files"], ignore=root.name if replace else None):
        raise NotMadeError("; ".join(problems) + ": restore it from version control first")
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=HERE) as staging:
        new = Path(staging) / root.name
        _store(folder, record, f"{new}:model")
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
        complete: Whether to compare the catalogue too.

    Returns:
        What is wrong, one line each; empty if all is well.
    """
    problems = [problem for name in names for problem in _check_folder(HERE / name)]
    if complete:
        problems += _check_catalogue()
        new = sorted(set(_records()) - set(_recorded("models")))
        problems += [f"{name}: not in {CATALOGUE.name}" for name in new]
        recorded, found = _recorded("modules"), _modules()
        changed = {file for file in {*recorded, *found} if recorded.get(file) != found.get(file)}
        problems += [f"{file}: not as {CATALOGUE.name} has it" for file in sorted(changed)]
    return problems


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Make and check the golden models.",
        epilog="Without options, make the models that are missing.",
        allow_abbrev=False,
    )
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--check", action="store_true", help="compare all with its digests")
    modes.add_argument("--release", metavar="VERSION", help="seal all models: VERSION ships them")
    for option, help_text in {
        "--only": "this model, not all; may be repeated",
        "--replace": "make this model again, though it is there; may be repeated",
        "--replace-root": "make its ROOT file again; may be repeated",
    }.items():
        parser.add_argument(
            option, action="append", default=[], choices=names(), metavar="NAME", help=help_text
        )
    options = parser.parse_args(arguments)
    replaced = {*options.replace, *options.replace_root}
    if (options.check or options.release) and replaced:
        parser.error("--check and --release replace nothing")
    if options.only and not replaced <= set(options.only):
        parser.error("--only leaves out a model that is to be replaced")
    return options


def _say_made(path: Path | None) -> None:
    if path:
        print(f"made {path.relative_to(HERE)}", flush=True)


def _report(problems: list[str]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print("all golden models are as recorded")
    return 1 if problems else 0


def _changed(*, besides: set[str]) -> list[str]:
    """Return what is not as recorded; of models to be replaced, only their records count."""
    kept = sorted(set(_recorded("models")) & set(_records()) - besides)
    return check(kept, complete=False) + _check_catalogue()


def _seal(release: str) -> list[str]:
    """Note in every record that a release ships it; return what is in the way."""
    problems = check(names())
    if not problems:
        for name in names():
            record = _read_record(HERE / name)
            record.setdefault("released", release)
            _write_record(HERE / name, record)
        _write_catalogue()
    return problems


def _refuse_released(folder: Path) -> None:
    released = _read_record(folder).get("released")
    if released:
        raise NotMadeError(f"{folder.name} was released with {released}: it can't be replaced")


def _load(path: Path) -> Any:
    """Import a model's recipe; the modules beside this one are importable there."""
    sys.path[:0] = [] if str(HERE) in sys.path else [str(HERE)]
    spec = importlib.util.spec_from_file_location(f"make_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise NotMadeError(f"{path}: can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# --- making --------------------------------------------------------------------------------------


def _write_files(folder: Path, name: str, golden: Golden) -> None:
    folder.mkdir()
    source = {f"source/{place}": content for place, content in golden.source.items()}
    for location, content in {f"{name}.onnx": golden.onnx, **golden.external, **source}.items():
        path = folder / location
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if golden.samples:
        golden.samples.save(folder / f"{name}.npz")


def _check_model(path: Path, golden: Golden) -> None:
    """Check the model as far as it goes: it parses, is valid, computes what it should.

    Raises:
        NotMadeError: It names a local path, or gives other outputs than expected.
    """
    import onnx  # noqa: PLC0415  (not needed for --check)

    for file, content in {path.name: golden.onnx, **golden.source}.items():
        for member, inner in _members(file, content):
            for local in (f"{Path.home()}/", str(HERE.parent), sys.prefix, "site-packages"):
                if local.encode() in inner:
                    raise NotMadeError(f"{member} contains the local path {local}")
    onnx.load(path)
    if golden.checkable:
        onnx.checker.check_model(path, full_check=golden.samples is not None)
    if golden.samples:
        golden.samples.check(path)


def _members(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a file and, if it is a ZIP archive, the files within it."""
    yield name, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield f"{name}/{member}", archive.read(member)


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
    if golden.source:
        record["source"] = dict(golden.convert)
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


def _store(folder: Path, record: dict[str, Any], address: str) -> None:
    """Store the model alone, or what a conversion of its source makes."""
    import onnxroot  # noqa: PLC0415  (not needed for --check)
    from onnxroot.adapter import Options  # noqa: PLC0415

    source = record.get("source", {})
    if source.get("as_converted"):
        path = folder / "source" / source["file"]
        onnxroot.convert(path, address, options=Options(**source["options"]))
    else:
        onnxroot.write(folder / f"{folder.name}.onnx", address)


def _check_restored(name: str, folder: Path, recorded: dict[str, Any]) -> None:
    """Compare the model that came back from a ROOT file, and its external files.

    Raises:
        NotMadeError: They are not identical.
    """
    stored = {
        file: digest
        for file, digest in recorded.items()
        if not file.endswith((".npz", ".root", RECIPE)) and not file.startswith("source/")
    }
    if problems := _compare(folder, stored):
        raise NotMadeError(f"{name} did not come back identical: {'; '.join(problems)}")


def _versions(packages: Iterable[str]) -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def _digest(path: Path) -> dict[str, int | str]:
    content = path.read_bytes()
    return {"nbytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _read_record(folder: Path) -> dict[str, Any]:
    return _read_json(folder / RECORD)


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    _write_json(folder / RECORD, record)


def _read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def _records() -> dict[str, str]:
    """Return the digest of each record, by the name of the model."""
    paths = sorted(HERE.glob(f"*/{RECORD}"))
    return {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _modules() -> dict[str, str]:
    """Return the digest of each module here: they shape what recipes make."""
    paths = sorted(HERE.glob("*.py"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _recorded(kind: str) -> dict[str, str]:
    """Return the digests of the ``models`` or ``modules`` that the catalogue has."""
    digests: dict[str, str] = _read_json(CATALOGUE)[kind] if CATALOGUE.exists() else {}
    return digests


def _write_catalogue() -> None:
    _write_json(CATALOGUE, {"models": _records(), "modules": _modules()})


# --- checking ------------------------------------------------------------------------------------


def _check_catalogue() -> list[str]:
    """Return which models of the catalogue are gone, or have another record."""
    recorded, found = _recorded("models"), _records()
    return [f"{name}: missing" for name in sorted(set(recorded) - set(found))] + [
        f"{name}/{RECORD}: not as {CATALOGUE.name} has it"
        for name, digest in recorded.items()
        if found.get(name, digest) != digest
    ]


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
        problems.append(f"{name}/{RECORD}: records no ROOT file; run the script without options")
    return problems


def _compare(folder: Path, recorded: dict[str, Any], *, ignore: str | None = None) -> list[str]:
    """Return what distinguishes the files that are there, but for one, from those recorded."""
    name = folder.name
    present = {
        path.relative_to(folder).as_posix(): _digest(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != RECORD and path.suffix != ".pyc"
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
