"""Save in C++ writes a model and its external files, all or none, and only below the folder."""

import pytest

import onnxroot
from tests.cxx import forge, needs_compiler, run
from tests.golden import golden
from tests.samples import files_in

pytestmark = needs_compiler

SOURCE = golden("external_data")
EXTERNAL = ("weights.bin", "calibration/scales.bin")
FILES = {name: (SOURCE.parent / name).read_bytes() for name in EXTERNAL}
SAVED = {"m.onnx": SOURCE.read_bytes(), **FILES}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Write a model with external files."""
    path = tmp_path_factory.mktemp("save") / "models.root"
    onnxroot.write(SOURCE, f"{path}:m", compression="none")  # a test damages values
    return path


def test_all_files_come_back(file, probe, tmp_path):
    assert probe.ask("save", file, "m", tmp_path / "m.onnx") == ["done"]
    assert files_in(tmp_path) == SAVED


@pytest.mark.parametrize("name", SAVED)
def test_a_file_that_exists_stays(name, file, probe, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    (answer,) = probe.ask("save", file, "m", tmp_path / "m.onnx")
    assert answer.startswith(f"Error {file}:m: expected no file {tmp_path / name}, found one; rem")
    assert files_in(tmp_path) == {name: b"mine"}
    assert probe.ask("save", file, "m", tmp_path / "m.onnx", "overwrite") == ["done"]
    assert files_in(tmp_path) == SAVED


def test_a_link_that_leads_nowhere_stays(file, probe, tmp_path):
    (tmp_path / "m.onnx").symlink_to(tmp_path / "elsewhere")
    (answer,) = probe.ask("save", file, "m", tmp_path / "m.onnx")
    assert "expected no file" in answer
    assert files_in(tmp_path) == {}


def test_a_link_is_replaced_and_not_written_through(file, probe, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "weights.bin").symlink_to(tmp_path / "mine")
    assert probe.ask("save", file, "m", tmp_path / "m.onnx", "overwrite") == ["done"]
    assert files_in(tmp_path) == {**SAVED, "mine": b"mine"}


def test_a_folder_that_is_a_link_is_refused(file, probe, tmp_path):
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "calibration").symlink_to(outside)
    (answer,) = probe.ask("save", file, "m", folder / "m.onnx", "overwrite")
    assert "expected folders at calibration/scales.bin, found a symbolic link" in answer
    assert files_in(tmp_path) == {}


LOCATIONS = ("../w", "/tmp/w", "a/../w", "a//w", "./w", "", "a/", r"a\\\\w", "C:w", "w\\u0000x")


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_bad_location_is_refused(location, file, probe, tmp_path):
    with onnxroot.open(file) as model:
        manifest = model.manifest.to_json()
    path, folder = tmp_path / "forged.root", tmp_path / "folder"
    folder.mkdir()
    path.write_bytes(file.read_bytes())
    forge(path, "m", manifest.replace('"weights.bin"', f'"{location}"'))
    (answer,) = probe.ask("save", path, "m", folder / "m.onnx")
    assert answer.startswith(f"Error {path}:m: expected an external file below the model's folder")
    assert answer.endswith("nothing is written")
    assert set(tmp_path.rglob("*")) == {path, folder}


def test_one_name_for_two_files_is_refused(file, probe, tmp_path):
    (answer,) = probe.ask("save", file, "m", tmp_path / "weights.bin")
    assert "expected a file for itself, found another of that name" in answer
    assert files_in(tmp_path) == {}


def test_a_folder_must_be_there(file, probe, tmp_path):
    (answer,) = probe.ask("save", file, "m", tmp_path / "none" / "m.onnx")
    assert f"expected a folder {tmp_path}/none, found none; make it first" in answer
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_of_a_damaged_model(file, probe, tmp_path):
    damaged = tmp_path / "damaged.root"
    data = bytearray(file.read_bytes())
    place = data.index(FILES["calibration/scales.bin"][:8])
    data[place] ^= 1
    damaged.write_bytes(data)
    folder = tmp_path / "folder"
    folder.mkdir()
    (answer,) = probe.ask("save", damaged, "m", folder / "m.onnx")
    assert "expected the digest" in answer
    assert list(folder.iterdir()) == []


def test_nothing_stays_where_the_disk_is_full(file, probe, tmp_path):
    """A limit on the size of files stands in for a small disk."""
    limited = 'trap "" XFSZ; ulimit -f 1; exec "$0" "$@"'
    done = run("sh", "-c", limited, probe.program, "save", file, "m", tmp_path / "m.onnx")
    assert done.returncode == 2
    assert "expected to write" in done.stderr
    assert "is the folder writable, the disk not full" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_another_writer_is_not_disturbed(file, probe, tmp_path):
    (tmp_path / "m.onnx.part").write_bytes(b"of another")
    (answer,) = probe.ask("save", file, "m", tmp_path / "m.onnx")
    assert f"expected to create {tmp_path}/m.onnx.part, found File exists" in answer
    assert files_in(tmp_path) == {"m.onnx.part": b"of another"}
