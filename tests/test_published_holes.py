"""The holes in onnx that were published, one test each: none of them is here.

What each is about: the advisory of that number. In all of them a model names a file outside of its
folder.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import onnxroot
from onnxroot._locations import map_inside
from tests.samples import external_tensor, files_in, graph_model
from tests.test_verify import forging

SECRET = b"0123456789abcdef"

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need privileges there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a model's folder, beside a secret."""
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "model" / "below").mkdir(parents=True)
    (tmp_path / "model" / "w").write_bytes(bytes(16))
    return tmp_path / "model"


def refuse(folder: Path, location: str, text: str) -> None:
    """Store a model whose only tensor is at a location: nothing of it may be stored."""
    tensor = external_tensor("w", TensorProto.FLOAT, [4], location=location)
    (folder / "m.onnx").write_bytes(graph_model([tensor]).SerializeToString())
    with pytest.raises(onnxroot.UnsupportedModelError, match=text):
        onnxroot.write(folder / "m.onnx", folder / "m.root")
    assert not list(folder.glob("*m.root*"))


def forge(folder: Path, location: str) -> str:
    """Store a model whose ROOT file says that its external file is at a location."""
    tensor = external_tensor("w", TensorProto.FLOAT, [4], location="w")
    (folder / "m.onnx").write_bytes(graph_model([tensor]).SerializeToString())
    with forging(manifest=lambda m: m["external_files"][0].update(location=location)):
        onnxroot.write(folder / "m.onnx", folder / "m.root")
    return f"{folder}/m.root"


UPWARDS = ("../secret", "below/../../secret", "below/./../../secret", "..", "a/b/../../../secret")


@pytest.mark.parametrize("location", ["../secret", "../../secret", "/etc/hostname", "..\\secret"])
def test_cve_2022_25882_a_path_upwards_is_read(location: str, folder: Path) -> None:
    refuse(folder, location, "is not below the model's folder")


@pytest.mark.parametrize("location", UPWARDS)
def test_cve_2024_27318_a_path_down_and_upwards_is_read(location: str, folder: Path) -> None:
    refuse(folder, location, "is not below the model's folder")


@pytest.mark.parametrize("location", [*UPWARDS, "/tmp/x", "C:\\x", "\\\\host\\x"])
def test_cve_2024_5187_a_container_names_files_outside(location: str, folder: Path) -> None:
    """There, an archive with test data; here, a ROOT file that names the files to be made."""
    address = forge(folder, location)
    (folder / "target").mkdir()
    before = files_in(folder.parent)
    for replace in (False, True):
        with (
            onnxroot.open(address) as model,
            pytest.raises(onnxroot.UnsupportedModelError, match="is not below the model's folder"),
        ):
            model.save(folder / "target" / "m.onnx", replace=replace)
    assert files_in(folder.parent) == before


@pytest.mark.parametrize("location", ["../secret", "below/../../secret"])
def test_cve_2025_51480_saving_overwrites_a_file_outside(location: str, folder: Path) -> None:
    address = forge(folder, location)
    with (
        onnxroot.open(address) as model,
        pytest.raises(onnxroot.UnsupportedModelError, match="is not below"),
    ):
        model.save(folder / "again.onnx", replace=True)
    assert (folder.parent / "secret").read_bytes() == SECRET
    assert not (folder / "again.onnx").exists()


@needs_links
def test_cve_2026_27489_a_folder_above_is_a_symbolic_link(folder: Path) -> None:
    (folder / "way").symlink_to(folder.parent)
    (folder / "below" / "way").symlink_to(folder.parent)
    refuse(folder, "way/secret", "is a symbolic link")
    refuse(folder, "below/way/secret", "is a symbolic link")


@needs_links
def test_cve_2026_34446_a_hard_link(folder: Path) -> None:
    (folder / "hard").hardlink_to(folder.parent / "secret")
    refuse(folder, "hard", "has 2 hard links")


@needs_links
@pytest.mark.parametrize("target", ["../secret", "w", "nowhere"])
def test_cve_2026_34447_a_symbolic_link(target: str, folder: Path) -> None:
    (folder / "link").symlink_to(target)
    refuse(folder, "link", "is a symbolic link")


def test_cve_2026_34445_entries_that_onnx_does_not_know(folder: Path) -> None:
    """There, any key became an attribute of an object; here, unknown keys are kept as they are."""
    entries = {"location": "w", "basepath": "/etc", "__class__": "x", "length": 16}
    tensor = external_tensor("w", TensorProto.FLOAT, [4], **entries)
    data = graph_model([tensor]).SerializeToString()
    (folder / "m.onnx").write_bytes(data)
    onnxroot.write(folder / "m.onnx", folder / "m.root")
    with onnxroot.open(folder / "m.root") as model:
        assert model.to_bytes() == data
        assert np.array_equal(model.tensors["w"].numpy(), np.zeros(4, np.float32))


# --- Between the look and the opening -----------------------------------------------------------

SWAPS: dict[str, Callable[[Path], None]] = {
    "a symbolic link": lambda path: path.symlink_to("../secret"),
    "a hard link": lambda path: path.hardlink_to(path.parent.parent / "secret"),
    "a pipe": os.mkfifo,
}


@needs_links
@pytest.mark.parametrize("swap", SWAPS)
def test_a_file_that_is_exchanged_meanwhile(
    swap: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before it is opened, when its name was looked at: what was opened counts."""
    real = os.open

    def exchange_and_open(name: str, *arguments: Any, **options: Any) -> int:
        if name == "w":
            (folder / "w").unlink()
            SWAPS[swap](folder / "w")
        return real(name, *arguments, **options)

    monkeypatch.setattr(os, "open", exchange_and_open)
    with pytest.raises(onnxroot.UnsupportedModelError, match=r"exchanged|not found|regular file"):
        map_inside(folder, "w")


# --- Names that mean something elsewhere --------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    refuse(folder, "pipe", "is not a regular file")
    with pytest.raises(onnxroot.FormatError, match="is a pipe or a device"):
        onnxroot.write(folder / "pipe", folder / "m.root:m")
    with pytest.raises(onnxroot.FormatError, match="is a pipe"):
        onnxroot.open(folder / "pipe")


OTHERS = ("m.root", "m.keras", "m.pkl", "m")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
@pytest.mark.parametrize(
    "name", ["m.onnx", "m.pt", *(pytest.param(name, marks=pytest.mark.sweep) for name in OTHERS)]
)
def test_no_command_waits_for_a_pipe(name: str, folder: Path) -> None:
    os.mkfifo(folder / name)
    before = set(folder.rglob("*"))
    for words in (
        ("convert", folder / name, folder / "new.root"),
        ("convert", folder / name, folder / "w", folder / "zoo.root"),
        ("show", folder / name),
        ("diff", folder / name, folder / name),
        ("git-diff", name, folder / name, "x", "x", folder / name, "x", "x"),
    ):
        command = [sys.executable, "-m", "onnxroot", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == (0 if words[0] == "git-diff" else 2)
        assert "Traceback" not in done.stderr
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "location", ["con", "NUL", "aux.bin", "below/Com1.data", "lpt9", "COM¹", "nul .txt", "CONIN$"]
)
def test_devices_of_windows(location: str, folder: Path) -> None:
    refuse(folder, location, "names a device of Windows")


@pytest.mark.parametrize("location", ["w:stream", "below/x:y", "C:w", "", ".", "./", "/", "w\x00"])
def test_locations_that_are_no_paths(location: str, folder: Path) -> None:
    tensor = external_tensor("w", TensorProto.FLOAT, [4], location=location)
    (folder / "m.onnx").write_bytes(graph_model([tensor]).SerializeToString())
    with pytest.raises(onnxroot.OnnxRootError, match=r"not below the model's folder|no location"):
        onnxroot.write(folder / "m.onnx", folder / "m.root")


@pytest.mark.parametrize("length", [256, 4097, 60_000])
def test_long_locations(length: int, folder: Path) -> None:
    refuse(folder, "a" * length, "not found|is not below")


TWINS = (
    ("w", "W"),
    ("\u00e4", "a\u0308"),
    ("below/w", "Below/x"[:6] + "W"),
    ("w", "w/x"),
    ("w/x", "w"),
    ("w", "w."),
)


@pytest.mark.parametrize("twins", TWINS, ids=ascii)
def test_locations_that_differ_on_some_file_systems_alone(
    twins: tuple[str, str], folder: Path
) -> None:
    tensors = [
        external_tensor(f"t{i}", TensorProto.UINT8, [1], location=place)
        for i, place in enumerate(twins)
    ]
    (folder / "m.onnx").write_bytes(graph_model(tensors).SerializeToString())
    with pytest.raises(onnxroot.UnsupportedModelError, match="can't both be on every file system"):
        onnxroot.write(folder / "m.onnx", folder / "m.root")


@pytest.mark.parametrize("name", ["w", "W"])
def test_an_external_file_in_the_place_of_the_model(name: str, folder: Path) -> None:
    address = forge(folder, "w")
    (folder / "target").mkdir()
    for replace in (False, True):
        with (
            onnxroot.open(address) as model,
            pytest.raises(onnxroot.UnsupportedModelError, match="can't both be"),
        ):
            model.save(folder / "target" / name, replace=replace)
    assert not files_in(folder / "target")


def test_a_letter_that_is_no_text(folder: Path) -> None:
    address = forge(folder, "\ud800")
    with pytest.raises(onnxroot.FormatError, match="can't be the name of a file"):
        onnxroot.open(address)
