"""What is fuzzed: each target takes bytes, and may raise nothing; `seeds` gives it a corpus.

Checksums would keep mutated bytes from getting far, so those of the ROOT file are not looked at:
what an attacker has sealed anew gets as far. The SHA-256 of what comes back still is.
"""

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import xxhash

import onnxroot
from onnxroot import _envelopes, _manifest, _page_map
from onnxroot._deviation import dissect
from onnxroot._edits import Edits
from onnxroot._external import attach
from onnxroot._join import join
from onnxroot._locations import refuse_twins, relative_path
from onnxroot._rntuple_read import TableReader
from onnxroot._schema import installed_schema
from tests.golden import GOLDEN_NAMES, golden
from tests.samples import external_tensor, graph_model, linear_model

__all__ = ["TARGETS", "seeds"]

SECRET = b"what is outside of the folder"
HERE = Path(tempfile.mkdtemp(prefix="onnxroot-fuzz-"))


def codec(data: bytes) -> None:
    """Take bytes apart and put them together again: the same, or no model."""
    whole = np.frombuffer(data, np.uint8)
    try:
        tables, buffers = dissect(whole, installed_schema())
    except onnxroot.FormatError:
        return
    document = join(tables, buffers)
    found = b"".join(window.tobytes() for window in document.windows(1000))
    assert found == data
    with suppress(onnxroot.FormatError):
        Edits.from_bytes(data, 1000)


def root(data: bytes) -> None:
    """Read all that a ROOT file may hold."""
    from onnxroot._describe import describe  # noqa: PLC0415

    path = HERE / "m.root"
    path.write_bytes(data)
    with suppress(onnxroot.OnnxRootError):
        onnxroot.verify(path, tensors=True)
    with suppress(onnxroot.OnnxRootError):
        onnxroot.diff(path, golden("mlp_jet_tagger"))
    with suppress(onnxroot.OnnxRootError), onnxroot.open(path) as model:
        for read in (lambda: describe(model), model.to_bytes, model._embedded):
            with suppress(onnxroot.OnnxRootError):
                read()
        with suppress(onnxroot.OnnxRootError):
            for tensor in list(model.tensors.values())[:20]:
                with suppress(onnxroot.OnnxRootError):
                    tensor.numpy()
        with suppress(onnxroot.OnnxRootError):
            for location, document in model._stored.files.items():
                model._stored.copy(document, io.BytesIO(), location)


def external(data: bytes) -> None:
    """Take external data where the bytes say: lines of location, offset and length."""
    folder = _folder()
    lines = [line.split(b"\t") for line in data[:5000].split(b"\n")[:20]]
    tensors = []
    for number, line in enumerate(lines):
        texts = [part.decode(errors="replace") for part in line]
        keys = ("location", "offset", "length", "checksum")
        entries = dict(zip(keys, texts, strict=False))
        tensors.append(external_tensor(f"t{number}", number % 24, [4], **entries))
    with suppress(onnxroot.OnnxRootError):
        model = np.frombuffer(graph_model(tensors).SerializeToString(), np.uint8)
        tables, buffers = dissect(model, installed_schema())
        _, files = attach(tables, buffers, folder)
        for location, content in files:
            assert SECRET not in content.tobytes()
            assert _is_below(location, folder)
    for line in lines:
        with suppress(onnxroot.OnnxRootError):
            location = relative_path(line[0].decode(errors="surrogateescape"), "")
            refuse_twins(["m.onnx", location])
            assert _is_below(location, folder)


def _is_below(location: str, folder: Path) -> bool:
    path = os.path.normpath(folder / location)
    return path.startswith(f"{folder}{os.sep}") and "\0" not in path


def _folder() -> Path:
    """Return a model's folder, with ways out of it."""
    folder = HERE / "model"
    if not folder.exists():
        (HERE / "secret").write_bytes(SECRET)
        (folder / "below").mkdir(parents=True)
        (folder / "w").write_bytes(bytes(1000))
        (folder / "below" / "w").write_bytes(bytes(1000))
        (folder / "link").symlink_to("../secret")
        (folder / "way").symlink_to("..")
        (folder / "below" / "way").symlink_to("../..")
        (folder / "hard").hardlink_to(HERE / "secret")
        os.mkfifo(folder / "pipe")
    return folder


TARGETS: dict[str, Callable[[bytes], None]] = {"codec": codec, "root": root, "external": external}

PATHS = (
    "w",
    "below/w\t100\t200",
    "./w\t0\t1000\nbelow//w\t5",
    "../secret",
    "/etc/hostname",
    "below/../../secret",
    "link",
    "way/secret",
    "hard\nw",
    "pipe",
    "W",
    "nul",
    "w:stream",
    "..\\secret",
    "w\t999999999999999999\t1",
    "w\nW\nw/x",
    "below/way/secret",
)


def seeds(name: str) -> Iterator[bytes]:
    """Yield inputs that a target finds good."""
    if name == "external":
        yield from (text.encode() for text in PATHS)
        return
    for model in GOLDEN_NAMES:
        if name == "codec":
            yield golden(model).read_bytes()
        else:
            yield from (p.read_bytes() for p in golden(model).parent.glob("*.root"))
    if name == "root":
        for model in (linear_model(), golden("external_data"), golden("non_canonical")):
            onnxroot.write(model, HERE / "seed.root", compression="none", replace=True)
            yield (HERE / "seed.root").read_bytes()


def look_at_no_checksum() -> None:
    """Let what an attacker would seal anew pass as it is."""

    class Unsealed:
        """Stands for xxhash where checksums are compared: every one is right."""

        def __getattr__(self, name: str) -> object:
            return (lambda _: _Any()) if name == "xxh3_64_intdigest" else getattr(xxhash, name)

    class _Any:
        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = None

        def __eq__(self, other: object) -> bool:
            return True

    _envelopes.xxhash = _page_map.xxhash = Unsealed()
    parse = _manifest.parse_manifest.__globals__
    parse["_digest"] = lambda _: _Any()
    TableReader._check = lambda *_: None
