"""Zip archives of strangers: none is unpacked that would do harm, and none surprises."""

import gzip
import stat
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import onnxroot
from onnxroot.adapter import find_adapter
from onnxroot_adapters._archives import check_archive, names_in
from onnxroot_adapters._pickles import globals_in
from tests.golden import golden

GOOD = {
    "config.json": b"{}",
    "metadata.json": b"{}",
    "a/data.pkl": b"\x80\x02}.",
    "schema.json": b"",
}


def archive(path: Path, more: dict[str, bytes] | None = None, link: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in (GOOD | (more or {})).items():
            file.writestr(name, data)
        if link:
            member = zipfile.ZipInfo(link)
            member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            file.writestr(member, "/etc/hostname")
    return path


def refused(path: Path) -> str:
    with pytest.raises(onnxroot.FormatError) as caught:
        check_archive(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "..\\x", "a/.."])
def test_members_that_lead_out(name: str, tmp_path: Path) -> None:
    assert "leads out of the archive" in refused(archive(tmp_path / "m.zip", {name: b"x"}))


def test_members_that_are_links_or_doubled(tmp_path: Path) -> None:
    assert "'l' leads out" in refused(archive(tmp_path / "m.zip", link="l"))
    assert "two members" in refused(archive(tmp_path / "m.zip", {"CONFIG.JSON": b"x"}))


def test_bombs(tmp_path: Path) -> None:
    check_archive(archive(tmp_path / "m.zip", {"zeros": bytes(1 << 25)}))
    message = refused(archive(tmp_path / "m.zip", {"zeros": bytes(1 << 27)}))
    assert "unpacks to 1342177" in message
    assert "without compression" in message
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:  # whatever is as large as it looks
        file.writestr("zeros", bytes(1 << 27))
    check_archive(tmp_path / "m.zip")


def in_directory(offset: int, value: bytes) -> Callable[[bytearray], None]:
    """Return a change of the entry of the first member."""

    def change(data: bytearray) -> None:
        start = data.find(b"PK\x01\x02") + offset
        data[start : start + len(value)] = value

    return change


def cut(data: bytearray) -> None:
    del data[data.find(b"PK\x01\x02") + 60 : data.rfind(b"PK\x05\x06")]


DAMAGE: dict[str, Callable[[bytearray], None]] = {
    "a version of zip to come": in_directory(6, b"\xff"),
    "a name that is no UTF-8": lambda data: (
        in_directory(9, b"\x08")(data),
        in_directory(46, b"\xff")(data),
    ),
    "a directory that is cut": cut,
}


@pytest.mark.parametrize("suffix", [".keras", ".pt", ".pt2", ".skops", ".pkl", ".npz"])
@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_archives(case: str, suffix: str, tmp_path: Path) -> None:
    """No adapter that looks whether a file is for it raises."""
    path = archive(tmp_path / f"m{suffix}")
    data = bytearray(path.read_bytes())
    DAMAGE[case](data)
    path.write_bytes(data)
    assert names_in(path) == []
    assert globals_in(path) == []
    assert "damaged archive" in refused(path)
    find_adapter(path)


@pytest.mark.parametrize(("offset", "value"), [(8, b"\x01"), (10, b"\x63"), (42, b"\xff\xff")])
def test_members_that_cannot_be_read(offset: int, value: bytes, tmp_path: Path) -> None:
    """A password, another method of compression, a place that is none."""
    path = archive(tmp_path / "m.pt")
    data = bytearray(path.read_bytes())
    start = 0
    for _ in GOOD:
        start = data.find(b"PK\x01\x02", start) + 1
        data[start - 1 + offset : start - 1 + offset + len(value)] = value
    path.write_bytes(data)
    assert globals_in(path) == []
    find_adapter(path)


def test_pickles_that_are_cut_or_go_on_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    pickle = b"\x80\x02csklearn.svm\nSVC\n"
    path.write_bytes(gzip.compress(pickle + b"N0" * (1 << 24)))
    start = time.process_time()
    assert globals_in(path) == ["sklearn.svm.SVC"]
    assert time.process_time() - start < 15
    path.write_bytes(gzip.compress(b"\x80\x02" + bytes(range(256)) * 4000)[:-2000])
    assert globals_in(path) == []


NESTED = b'{"class_name":' + b"[" * 200_000


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.json", NESTED),
        ("m.json", b'{"class_name":' + b"9" * 5000 + b"}"),
        ("m.safetensors", len(NESTED).to_bytes(8, "little") + NESTED),
    ],
)
def test_json_that_python_cannot_take(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(onnxroot.UnsupportedModelError, match="no installed adapter knows it"):
        onnxroot.convert(tmp_path / name, tmp_path / "m.root")


def test_what_frameworks_write_passes() -> None:
    folder = golden("mlp_jet_tagger").parents[1]
    found = [path for path in folder.rglob("source/*") if zipfile.is_zipfile(path)]
    assert {path.suffix for path in found} >= {".keras", ".pt", ".pt2", ".skops"}
    for path in found:
        check_archive(path)
