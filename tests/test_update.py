"""Changes to a ROOT file happen at once or not at all, whatever happens to the writer."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import uproot

import onnxroot
from onnxroot._file_locks import _alone_with, lock_file
from onnxroot._root_edit import RootEdit
from onnxroot._root_empty import empty_file
from onnxroot._root_free import FreeList
from onnxroot._root_records import BIG, Header, Key, KeyList
from tests.golden import golden
from tests.layout import check_layout
from tests.samples import SAID, files_in, graph_model, raw_tensor

HERE = Path(__file__).parent
MODELS = HERE.parent / "golden_models"
OLD = MODELS / "mlp_jet_tagger" / "mlp_jet_tagger.onnx"
NEW = MODELS / "control_flow" / "control_flow.onnx"

HISTOGRAM = np.histogram(np.arange(100.0), bins=20)
ROWS = np.arange(5000)


def add_objects(path):
    """Write objects of other kinds, as an analysis does."""
    with uproot.recreate(path) as file:
        file["histogram"] = HISTOGRAM
        file["plots/inner/histogram"] = HISTOGRAM
        file.mktree("tree", {"x": "float64", "n": "int32"})
        file["tree"].extend({"x": np.sqrt(ROWS), "n": ROWS.astype(np.int32)})


def assert_objects(path):
    """Check that all of these are there, and nothing lies on another."""
    check_layout(path)
    with uproot.open(path) as file:
        for name in ("histogram", "plots/inner/histogram"):
            assert np.array_equal(file[name].values(), HISTOGRAM[0])
        arrays = file["tree"].arrays(library="np")
        assert np.array_equal(arrays["x"], np.sqrt(ROWS))
        assert np.array_equal(arrays["n"], ROWS)


@pytest.fixture
def analysis(tmp_path):
    """Return a file with objects of other kinds, and two models."""
    path = tmp_path / "analysis.root"
    add_objects(path)
    for name in ("a", "b"):
        onnxroot.write(OLD, f"{path}:models/{name}")
    return path


def content(address):
    """Return the ONNX file of a stored model."""
    with onnxroot.open(address) as model:
        return model.to_bytes()


# --- every write is the last --------------------------------------------------------------------


OPERATIONS = ("add", "add to top", "replace", "copy", "remove")


def fail_at_every_write(analysis, folder, *ways, operations=OPERATIONS):
    """Run the driver, and return its results and what it left."""
    library = folder / "crash.so"
    compiler = [shutil.which("cc"), "-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
    source = str(HERE / "crash" / "crash.c")
    subprocess.run([*compiler, "-o", str(library), source, "-ldl"], check=True)
    left = folder / "left"
    left.mkdir()
    done = subprocess.run(
        [
            sys.executable,
            str(HERE / "crash" / "driver.py"),
            library,
            analysis,
            OLD,
            golden("transformer_tracks"),  # too large for the gaps that are there
            left,
            ",".join(operations),
            *ways,
        ],
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout), sorted(left.iterdir())


needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None,
    reason="needs Linux and a C compiler, to let a process die at each of its writes",
)


@needs_compiler
@pytest.mark.sweep
def test_every_write_is_the_last(analysis, tmp_path, record_property):
    results, left = fail_at_every_write(analysis, tmp_path, "kill", "part", "full")
    assert len(results) == 15
    for name, outcomes in results.items():
        assert set(outcomes) <= {"before", "after"}, f"{name}: {outcomes}"
        assert sum(outcomes.values()) >= 8, name
        assert outcomes.get("before") or name == "remove, full", name  # that needs no room
    for path in left:
        assert_objects(path)
    n_points = sum(sum(outcomes.values()) for outcomes in results.values())
    counts = "; ".join(
        f"{name}: {', '.join(f'{n} {kind}' for kind, n in outcomes.items())}"
        for name, outcomes in results.items()
    )
    record_property(SAID, f"{n_points} writes failed, 100% left the file whole ({counts})")


@pytest.mark.sweep
def test_no_turn_crosses_a_border(analysis, monkeypatch):
    """Wherever the directory's record is; where it would, the directory has moved.

    The write that turns it to its new key list could be cut short there.
    """
    turns = []
    turn = RootEdit._turn

    def note(edit):
        before = edit._place.record.position
        position, data = turn(edit)
        turns.append((before, position, len(data)))
        return position, data

    def n_moved():
        return sum(not before <= at < before + 60 for before, at, _ in turns)

    monkeypatch.setattr(RootEdit, "_turn", note)
    names = (f"{'x' * (1 + i % 90)}{i}" for i in range(300))
    made = []
    while n_moved() < 2:  # of twenty directories, one lies across a border
        made.append(next(names))
        onnxroot.write(NEW, f"{analysis}:{made[-1]}/m")
        onnxroot.write(OLD, f"{analysis}:{made[-1]}/n")
    check_layout(analysis)
    assert all(at // 512 == (at + n - 1) // 512 for _, at, n in turns)
    for name in made:
        assert content(f"{analysis}:{name}/m") == NEW.read_bytes()
        assert content(f"{analysis}:{name}/n") == OLD.read_bytes()
    assert_objects(analysis)


# --- two writers --------------------------------------------------------------------------------


def test_another_writer_makes_the_file_first(tmp_path, monkeypatch):
    """It appears while the model is proven: this one is put beside it."""
    path, prove, others = tmp_path / "new.root", onnxroot.api._prove, [OLD]

    def prove_slowly(*arguments):
        while others:
            onnxroot.write(others.pop(), f"{path}:other")
        prove(*arguments)

    monkeypatch.setattr(onnxroot.api, "_prove", prove_slowly)
    onnxroot.write(NEW, f"{path}:mine")
    for name, source in (("other", OLD), ("mine", NEW)):
        with onnxroot.open(f"{path}:{name}") as model:
            assert model.to_bytes() == source.read_bytes()


def test_a_writer_waits_for_another(analysis):
    file = lock_file(str(analysis), 0)
    threading.Timer(0.5, file.close).start()
    start = time.monotonic()
    onnxroot.write(NEW, f"{analysis}:new")
    assert time.monotonic() - start > 0.4
    assert content(f"{analysis}:new") == NEW.read_bytes()


def test_a_writer_that_waits_too_long_is_refused(analysis):
    before = files_in(analysis.parent)
    changes = (
        lambda: onnxroot.write(NEW, f"{analysis}:new", timeout=0.1),
        lambda: onnxroot.write(NEW, f"{analysis}:models/a", replace=True, timeout=0.1),
        lambda: onnxroot.copy(f"{analysis}:models/a", f"{analysis}:c", timeout=0.1),
        lambda: onnxroot.remove(f"{analysis}:models/a", timeout=0.1),
    )
    with lock_file(str(analysis), 0):
        for change in changes:
            with pytest.raises(onnxroot.LockedError, match="another program has been writing"):
                change()
        assert content(f"{analysis}:models/a") == OLD.read_bytes()  # readers need no lock
    assert files_in(analysis.parent) == before


WRITER = "import sys, onnxroot; onnxroot.write(sys.argv[1], sys.argv[2])"


@pytest.mark.parametrize("new", [True, pytest.param(False, marks=pytest.mark.sweep)])
def test_many_writers_lose_nothing(new, analysis):
    """Whether the file is there, or each of them begins to make it."""
    path = analysis.parent / "new.root" if new else analysis
    addresses = [f"{path}:many/{i}" for i in range(6)]
    command = [sys.executable, "-c", WRITER, str(NEW)]
    writers = [subprocess.Popen([*command, address]) for address in addresses]
    assert [writer.wait() for writer in writers] == [0] * len(writers)
    assert len(onnxroot.list_models(path)) == len(writers) + (0 if new else 2)
    for address in addresses:
        assert content(address) == NEW.read_bytes()
    if not new:
        assert_objects(path)


# --- replace, copy, remove ----------------------------------------------------------------------


def test_replace_beside_others(analysis):
    onnxroot.write(NEW, f"{analysis}:models/a", replace=True)
    assert content(f"{analysis}:models/a") == NEW.read_bytes()
    assert content(f"{analysis}:models/b") == OLD.read_bytes()
    assert_objects(analysis)


def test_what_was_replaced_makes_room(analysis):
    sizes = []
    for i in range(12):
        onnxroot.write(NEW if i % 2 else OLD, f"{analysis}:models/a", replace=True)
        sizes.append(analysis.stat().st_size)
    assert max(sizes[3:]) == max(sizes[:4])
    assert_objects(analysis)
    assert content(f"{analysis}:models/b") == OLD.read_bytes()


def test_what_was_removed_makes_room(analysis):
    sizes = [analysis.stat().st_size]
    for _ in range(4):
        onnxroot.write(NEW, f"{analysis}:models/new")
        assert onnxroot.list_models(analysis) == ["models/a", "models/b", "models/new"]
        sizes.append(analysis.stat().st_size)
        onnxroot.remove(f"{analysis}:models/new")
        assert onnxroot.list_models(analysis) == ["models/a", "models/b"]
    assert max(sizes) < sizes[1] + 2000
    if can_be_alone(analysis):
        assert analysis.stat().st_size < sizes[0] + 2000
    assert_objects(analysis)


def can_be_alone(path):
    """Return whether the file system tells that nobody else has a file open."""
    with path.open("rb+", buffering=0) as file, _alone_with(file) as alone:
        return alone


READER = """
import sys, onnxroot
with onnxroot.open(sys.argv[1]) as model:
    print("open", flush=True)
    sys.stdin.readline()
    try:
        print(len(model.to_bytes()))
    except onnxroot.OnnxRootError as error:
        print("changed" if "another program has changed the file" in str(error) else error)
"""


@pytest.mark.parametrize("change", ["nothing", "remove", "reuse"])
def test_a_reader_is_not_killed_by_a_writer(change, analysis):
    """It has mapped the file into memory, and the model is at its end."""
    onnxroot.write(NEW, f"{analysis}:models/new")
    command = [sys.executable, "-c", READER, f"{analysis}:models/new"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as reader:
        assert reader.stdout.readline() == "open\n"
        if change != "nothing":
            onnxroot.remove(f"{analysis}:models/new")
        if change == "reuse":
            onnxroot.write(OLD, f"{analysis}:models/other")
        answer = reader.communicate("go\n")[0].strip()
    assert reader.returncode == 0
    size = str(NEW.stat().st_size)  # what was only freed may still be read: it is proven right
    assert answer in ({size} if change == "nothing" else {size, "changed"})
    assert_objects(analysis)


def test_a_large_model_is_written_into_free_space(tmp_path):
    """One that is not put together in memory, and another that takes its place."""
    path = tmp_path / "large.root"
    values = np.random.default_rng(5).normal(size=5_000_000).astype(np.float32)
    large = graph_model([raw_tensor("x", values)]).SerializeToString()
    onnxroot.write(OLD, f"{path}:first")
    onnxroot.write(large, f"{path}:large", compression="none")
    onnxroot.write(OLD, f"{path}:last")
    nbytes = path.stat().st_size
    onnxroot.remove(f"{path}:large")
    smaller = graph_model([raw_tensor("x", values[:4_000_000])]).SerializeToString()
    onnxroot.write(smaller, f"{path}:smaller", compression="none")
    assert path.stat().st_size <= nbytes
    assert content(f"{path}:smaller") == smaller
    assert content(f"{path}:first") == content(f"{path}:last") == OLD.read_bytes()
    onnxroot.write(large, f"{path}:large", compression="none")
    assert all(onnxroot.verify(f"{path}:{name}").ok for name in onnxroot.list_models(path))


def test_a_free_segment_that_turns_out_too_short(tmp_path, monkeypatch):
    """What was expected to fit, and does not, is written behind the end."""
    path = tmp_path / "m.root"
    values = np.random.default_rng(5).normal(size=3_000_000).astype(np.float32)
    data = graph_model([raw_tensor("x", values)]).SerializeToString()
    for name in ("a", "b"):
        onnxroot.write(data, f"{path}:{name}", compression="none")
    onnxroot.remove(f"{path}:a")
    inside = RootEdit.region_inside
    monkeypatch.setattr(
        RootEdit, "region_inside", lambda edit, _, **options: inside(edit, 1 << 20, **options)
    )
    larger = graph_model([raw_tensor("x", np.append(values, values))]).SerializeToString()
    onnxroot.write(larger, f"{path}:c", compression="none")
    assert content(f"{path}:c") == larger
    assert content(f"{path}:b") == data
    assert onnxroot.verify(f"{path}:c").ok


@pytest.mark.parametrize("name", ["external_data", "non_canonical", "data_types", "types_metadata"])
def test_copies(name, analysis):
    onnxroot.write(golden(name), f"{analysis}:m", metadata={"note": "kept"})
    other = analysis.parent / "other.root"
    onnxroot.copy(f"{analysis}:m", f"{analysis}:backup/m")
    onnxroot.copy(f"{analysis}:backup/m", other, compression="lzma:3")
    onnxroot.convert(other, f"{other}:again")
    onnxroot.remove(f"{other}:backup/m")
    for address in (f"{analysis}:m", f"{analysis}:backup/m", f"{other}:again"):
        assert onnxroot.verify(address).ok
        with onnxroot.open(address) as model:
            assert model.to_bytes() == golden(name).read_bytes()
            assert model.manifest.metadata == {"note": "kept"}
    assert_objects(analysis)


def test_copies_that_cannot_be(analysis):
    before = analysis.read_bytes()
    with pytest.raises(onnxroot.ModelExistsError, match="models/b exists"):
        onnxroot.copy(f"{analysis}:models/a", f"{analysis}:models/b")
    with pytest.raises(onnxroot.ModelNotFoundError, match="no such model"):
        onnxroot.copy(f"{analysis}:models/c", f"{analysis}:d")
    with pytest.raises(onnxroot.UnsupportedModelError, match="a copy is as the original"):
        onnxroot.convert(f"{analysis}:models/a", f"{analysis}:d", metadata={"a": "b"})
    assert analysis.read_bytes() == before


def test_what_is_not_part_of_the_only_model_is_not_removed(tmp_path):
    path = tmp_path / "m.root"
    onnxroot.write(OLD, f"{path}:models/a")
    with uproot.update(path) as file:
        file["models/a/histogram"] = HISTOGRAM
    before = path.read_bytes()
    with pytest.raises(onnxroot.UnsupportedModelError, match="a/histogram is not part of the"):
        onnxroot.write(NEW, f"{path}:models/a", replace=True)
    assert path.read_bytes() == before


def test_hard_links_stay_together(tmp_path):
    path, other = tmp_path / "m.root", tmp_path / "same.root"
    onnxroot.write(OLD, f"{path}:a")
    other.hardlink_to(path)
    onnxroot.write(NEW, f"{path}:a", replace=True)
    assert content(f"{other}:a") == NEW.read_bytes()
    onnxroot.remove(f"{path}:a")
    assert onnxroot.list_models(other) == []


@pytest.mark.parametrize("length", [200, 255])
def test_long_names(length, analysis):
    name = "\u00fc" * (length // 2)
    onnxroot.write(NEW, f"{analysis}:{name}/{name}")
    assert content(f"{analysis}:{name}/{name}") == NEW.read_bytes()
    with pytest.raises(onnxroot.FormatError, match="expected at most 255"):
        onnxroot.write(NEW, f"{analysis}:{'x' * 256}/m")
    assert_objects(analysis)


def test_what_is_not_part_of_the_model_is_not_removed(analysis):
    with uproot.update(analysis) as file:
        file["models/a/histogram"] = HISTOGRAM
    before = analysis.read_bytes()
    for change in (
        lambda: onnxroot.remove(f"{analysis}:models/a"),
        lambda: onnxroot.write(NEW, f"{analysis}:models/a", replace=True),
    ):
        with pytest.raises(onnxroot.UnsupportedModelError, match="a/histogram is not part of the"):
            change()
    assert analysis.read_bytes() == before


def test_the_last_model_is_removed(tmp_path):
    path = tmp_path / "m.root"
    onnxroot.write(OLD, f"{path}:a")
    onnxroot.remove(path)
    assert onnxroot.list_models(path) == []
    assert path.stat().st_size < 1000
    onnxroot.write(NEW, f"{path}:b")
    assert content(path) == NEW.read_bytes()


def test_a_damaged_model_is_removed(analysis):
    """What can't be read any more is not freed, but the model is gone."""
    data = bytearray(analysis.read_bytes())
    with uproot.open(analysis) as file:
        for name in ("NodeProto", "ModelProto"):
            data[file["models/a"][name].member("fSeekFooter") + 20] ^= 1
    analysis.write_bytes(data)
    assert not onnxroot.verify(f"{analysis}:models/a").ok
    onnxroot.remove(f"{analysis}:models/a")
    assert onnxroot.list_models(analysis) == ["models/b"]
    onnxroot.write(NEW, f"{analysis}:models/a")
    assert content(f"{analysis}:models/b") == OLD.read_bytes()
    assert_objects(analysis)


def test_a_symbolic_link_stays_one(analysis):
    link = analysis.parent / "link.root"
    link.symlink_to(analysis.name)
    onnxroot.write(NEW, f"{link}:new")
    onnxroot.write(OLD, f"{link}:new", replace=True)
    onnxroot.remove(f"{link}:models/a")
    assert link.is_symlink()
    assert onnxroot.list_models(analysis) == ["models/b", "new"]


# --- files that are large, or not closed --------------------------------------------------------


def stretch(path, end):
    """Let a file end further behind; nobody says what is in between."""
    data = path.read_bytes()
    header = Header.parse(data[:100])
    key = Key.parse(data, header.seek_free)
    free = key.before(FreeList((), end).to_bytes(), end - 200)
    header = header._replace(seek_free=end - 200, nbytes_free=len(free), n_free=1, end=end)
    with path.open("r+b") as file:
        file.write(header.to_bytes())
        file.seek(end - 200)
        file.write(free)
        file.truncate(end)


ENDS = [BIG - 40_000, BIG - 12_345, BIG - 100, BIG + 300, 5_000_000_000]


@pytest.mark.parametrize(
    "end", [pytest.param(end, marks=pytest.mark.sweep) for end in ENDS[1:]] + ENDS[:1]
)
def test_files_beyond_two_gigabytes(end, analysis):
    """Positions take 8 bytes from there on; the file is sparse, so it takes no room."""
    stretch(analysis, end)
    onnxroot.write(NEW, f"{analysis}:models/new")
    onnxroot.write(NEW, f"{analysis}:other/new")
    onnxroot.write(NEW, f"{analysis}:other/new", replace=True)
    onnxroot.copy(f"{analysis}:models/a", f"{analysis}:other/a")
    onnxroot.remove(f"{analysis}:models/a")
    assert onnxroot.list_models(analysis) == ["models/b", "models/new", "other/a", "other/new"]
    assert content(f"{analysis}:models/b") == OLD.read_bytes()
    assert content(f"{analysis}:other/a") == OLD.read_bytes()
    for name in ("models/new", "other/new"):
        assert onnxroot.verify(f"{analysis}:{name}").ok
        assert content(f"{analysis}:{name}") == NEW.read_bytes()
    assert_objects(analysis)
    assert analysis.stat().st_size > end


def test_bytes_behind_the_end_do_no_harm(analysis):
    """A writer that was killed leaves them, and so does ROOT."""
    with analysis.open("ab") as file:
        file.write(os.urandom(100_000))
    onnxroot.write(NEW, f"{analysis}:models/new")
    assert content(f"{analysis}:models/new") == NEW.read_bytes()
    assert_objects(analysis)


def test_files_that_cannot_be_changed(analysis):
    whole = analysis.read_bytes()
    header = Header.parse(whole[:100])
    not_closed = header._replace(seek_free=0, nbytes_free=0).to_bytes()
    far = header._replace(end=header.end + 1000).to_bytes()
    nowhere = header._replace(seek_free=header.end - 10).to_bytes()
    cases = {
        not_closed
        + whole[len(not_closed) :]: "did not close it; open it once for update with ROOT",
        far + whole[len(far) :]: "its header says",
        nowhere + whole[len(nowhere) :]: "passes the end",
    }
    for data, text in cases.items():
        analysis.write_bytes(data)
        with pytest.raises(onnxroot.FormatError, match=text):
            onnxroot.write(NEW, f"{analysis}:new")
        assert analysis.read_bytes() == data


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_may_not_be_written(analysis):
    analysis.chmod(0o444)
    with pytest.raises(PermissionError):
        onnxroot.write(NEW, f"{analysis}:new")


# --- records ------------------------------------------------------------------------------------


def test_free_lists():
    free = FreeList((), 1000).release([(200, 300), (500, 600)])
    assert free.segments == ((200, 300), (500, 600))
    assert free.release([(300, 500)]).segments == ((200, 600),)
    assert free.release([(310, 490)]).segments == ((200, 600),)  # gaps too short for a key
    assert free.release([(350, 450)]).segments == ((200, 300), (350, 450), (500, 600))
    assert free.release([(600, 1000)]) == FreeList(((200, 300),), 500)
    assert free.allocate(100) == (200, FreeList(((500, 600),), 1000))
    assert free.allocate(60) == (200, FreeList(((260, 300), (500, 600)), 1000))
    assert free.allocate(101) == (1000, FreeList(free.segments, 1101))
    assert free.take(520, 540).segments == ((200, 300), (500, 520), (540, 600))
    assert free.take(1100, 1200) == FreeList((*free.segments, (1000, 1100)), 1200)


@pytest.mark.parametrize("end", [1000, BIG - 1, BIG, BIG + 1, 3 * BIG])
def test_records_come_back(end):
    free = FreeList(((150, 300), (400, BIG - 50)) if end > BIG else ((150, 300),), end)
    header = Header.parse(empty_file("x.root"))
    header = header._replace(end=end, n_free=len(free.segments) + 1)
    assert FreeList.parse(free.to_bytes(), header) == free
    parsed = Header.parse(header.to_bytes().ljust(100, b"\0"))
    assert parsed.to_bytes() == header.to_bytes()
    key = Key.parse(empty_file("x.root"), 100)
    record = KeyList(key, (key, key)).to_bytes(end)
    assert KeyList.parse(record).keys == (key, key)
    assert Key.parse(record).seek_key == end


def test_an_empty_file_is_a_root_file(tmp_path):
    (tmp_path / "x.root").write_bytes(empty_file("x.root"))
    with uproot.open(tmp_path / "x.root") as file:
        assert file.keys() == []
    with uproot.update(tmp_path / "x.root") as file:
        file["histogram"] = HISTOGRAM
    with uproot.open(tmp_path / "x.root") as file:
        assert file.keys(cycle=False) == ["histogram"]


def test_an_object_of_the_same_name_stays():
    """ROOT keeps both, as two cycles."""
    key = Key.parse(empty_file("x.root"), 100)._replace(name=b"a", cycle=1)
    directory = key._replace(class_name=b"TDirectory", cycle=2)
    keys = KeyList(key, (key, directory))
    assert keys.find(b"a") == directory
    assert keys.without_directory(b"a").keys == (key,)
    assert [keys.next_cycle(name) for name in (b"a", b"b")] == [3, 1]
