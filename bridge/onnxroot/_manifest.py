"""The manifest of a stored model. FORMAT.md §3."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import xxhash

from onnxroot._dtypes import STORAGES
from onnxroot._schema import Schema
from onnxroot._spec import FORMAT, FORMAT_VERSION, PAYLOAD, SAMPLES, TENSORS
from onnxroot.errors import FormatError, UnsupportedModelError

__all__ = ["ExternalFile", "Manifest", "TableInfo", "parse_manifest"]

_NO_DIGEST = "0" * 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalFile:
    """One file that the ONNX file refers to.

    Attributes:
        location: Its path, relative to the ONNX file's folder, with forward slashes.
        nbytes: Its length.
        sha256: Its SHA-256, in hexadecimal.
    """

    location: str
    nbytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """What one RNTuple must hold.

    Attributes:
        n_rows: Its number of entries.
        digests: XXH64 of each cluster's columns, in hexadecimal (FORMAT §3.4).
    """

    n_rows: int
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a stored model says of itself; written last, so that without it a model is incomplete.

    Attributes:
        format_version: Version of FORMAT.md it was written by.
        nbytes: Length of the ONNX file.
        sha256: SHA-256 of the ONNX file, in hexadecimal.
        external_files: The files beside it.
        tables: Every RNTuple of the model by its name within the model's directory.
        schema: The message types.
        provenance: Who wrote it, with what, from which file.
        metadata: The user's own keys and values.
    """

    format_version: int
    nbytes: int
    sha256: str
    external_files: tuple[ExternalFile, ...]
    tables: dict[str, TableInfo]
    schema: Schema = field(repr=False)
    provenance: dict[str, str]
    metadata: dict[str, str]

    def to_json(self) -> str:
        """Return the manifest as it stands on disk: ASCII, one line."""
        value = {
            "format": FORMAT,
            "digest": _NO_DIGEST,
            "format_version": self.format_version,
            "onnx": {"nbytes": self.nbytes, "sha256": self.sha256},
            "external_files": [
                {"location": f.location, "nbytes": f.nbytes, "sha256": f.sha256}
                for f in self.external_files
            ],
            "tables": {
                name: {"rows": info.n_rows, "digests": list(info.digests)}
                for name, info in self.tables.items()
            },
            "provenance": self.provenance,
            "metadata": self.metadata,
            "schema": self.schema.to_json(),
        }
        text = json.dumps(value, separators=(",", ":"))
        return text.replace(_NO_DIGEST, _digest(text), 1)


def parse_manifest(text: str, where: str, known: Schema | None = None) -> Manifest:
    """Parse and check a manifest.

    Args:
        text: The JSON.
        where: The model's address, for messages.
        known: The schema that it probably has.

    Raises:
        FormatError: It is damaged, or not one of ours.
        UnsupportedModelError: A newer version of onnxroot wrote it.
    """
    if not text.isascii():
        raise FormatError(f"{where}: the manifest is not ASCII; the file is damaged")
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_number, parse_int=_whole
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: the manifest is no JSON: {error}; it is damaged") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise FormatError(f"{where}: the manifest is not one of {FORMAT}")
    version = value.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FormatError(f"{where}: the manifest has the format version {version!r}")
    if version > FORMAT_VERSION:
        program = _program_of(value)
        raise UnsupportedModelError(
            f"{where}: format version {version}, but this onnxroot reads up to {FORMAT_VERSION}; "
            f"it was written by {program}: install that version or a later one"
        )
    found = value.get("digest")
    if not isinstance(found, str) or _digest(text.replace(found, _NO_DIGEST, 1)) != found:
        raise FormatError(f"{where}: the manifest's digest is wrong; the file is damaged")
    try:
        return _from_value(value, known)
    except FormatError as error:
        raise error.within(where) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{where}: the manifest is damaged: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object: each key must be there once, or readers could differ in what counts.

    Raises:
        ValueError: One is there twice.
    """
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an object has a key twice")
    return value


def _whole(digits: str) -> int:
    """Return a number that other readers can hold, too.

    Raises:
        ValueError: It is longer than any of 64 bits.
    """
    if len(digits) > 20:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _no_number(name: str) -> None:
    """Refuse what Python takes for a number, and JSON does not.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"{name} is no number")


def _digest(text: str) -> str:
    """Return the XXH64 of a manifest whose own digest is all zeros: FORMAT §3.1."""
    return xxhash.xxh64(text.encode()).hexdigest()


def _program_of(value: dict[str, Any]) -> str:
    provenance = value.get("provenance")
    version = provenance.get("onnxroot") if isinstance(provenance, dict) else None
    return f"onnxroot {version}" if version else "a later onnxroot"


def _from_value(value: dict[str, Any], known: Schema | None) -> Manifest:
    schema = known
    if schema is None or schema.to_json() != value["schema"]:
        schema = Schema.from_json(value["schema"])
    schema.check_relied_on()
    names = {
        *schema.messages,
        PAYLOAD,
        SAMPLES,
        *(f"{TENSORS}/{storage.name}" for storage in STORAGES),
    }
    unknown = [name for name in value["tables"] if name not in names]
    if unknown:
        raise ValueError(f"no such table as {unknown[0]}")
    locations = [_location(f["location"]) for f in _list(value["external_files"])]
    if len(set(locations)) < len(locations):
        raise ValueError("an external file is there twice")
    return Manifest(
        format_version=value["format_version"],
        nbytes=_count(value["onnx"]["nbytes"]),
        sha256=_text(value["onnx"]["sha256"]),
        external_files=tuple(
            ExternalFile(
                location=_location(f["location"]),
                nbytes=_count(f["nbytes"]),
                sha256=_text(f["sha256"]),
            )
            for f in _list(value["external_files"])
        ),
        tables={
            str(name): TableInfo(
                n_rows=_count(info["rows"]), digests=tuple(map(_text, _list(info["digests"])))
            )
            for name, info in value["tables"].items()
        },
        schema=schema,
        provenance={str(k): str(v) for k, v in value["provenance"].items()},
        metadata={str(k): str(v) for k, v in value["metadata"].items()},
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:50]!r} is no text")  # noqa: TRY004  (of a file, not a type)
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{str(value)[:50]!r} is no list")  # noqa: TRY004
    return value


def _location(value: object) -> str:
    text = _text(value)
    if not text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{text!r} can't be the name of a file")
    return text


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value
