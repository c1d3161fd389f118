"""Files that promise more than they hold, with checksums that fit: refused, and no memory taken."""

import json
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import uproot
import xxhash
from onnx import TensorProto, helper

import onnxroot
from onnxroot._describe import describe
from onnxroot._manifest import parse_manifest
from onnxroot._varints import encode_varints
from tests.golden import golden
from tests.hostile import (
    append,
    block_header,
    find_table,
    nested_directories,
    page_list,
    pages_of,
    sealed,
    zipped_blocks,
)
from tests.model_encodings import LEN, record
from tests.samples import external_tensor, graph_model, linear_model, raw_tensor
from tests.test_verify import assert_refused, forging, set_column, with_digest

HUGE = (1 << 31) - 1


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a file that holds a model, nothing of it compressed."""
    path = tmp_path_factory.mktemp("stored") / "m.root"
    onnxroot.write(linear_model(), f"{path}:tagger", compression="none")
    return path.read_bytes()


def change_pages(table: str, change: Callable[[bytearray, list[Any]], list[Any]]) -> Any:
    """Return a change of the pages of a table: (number of elements, position, length) each."""

    def changed(data: bytearray) -> None:
        found = find_table(data, table)
        found.set_page_list(page_list(2, change(data, pages_of(found.page_list()))))

    return changed


def zeros(n_elements: int, n_pages: int = 1) -> Callable[[bytearray, list[Any]], list[Any]]:
    """Return a change of the first column to zeros of 8 bytes, which few bytes can hold."""

    def change(data: bytearray, columns: list[Any]) -> list[Any]:
        packed = zipped_blocks(bytes(8 * n_elements))
        page = (n_elements, append(data, packed), len(packed))
        return [[page] * n_pages, *columns[1:]]

    return change


def zero_values(data: bytearray, columns: list[Any]) -> list[Any]:
    packed = zipped_blocks(bytes(1 << 23))
    return [*columns[:-1], [(1 << 21, append(data, packed), len(packed))] * 100]


def promising_blocks(data: bytearray, columns: list[Any]) -> list[Any]:
    """Return a page whose first block is good, and whose others are headers alone."""
    packed = zipped_blocks(bytes(16)) + block_header(b"ZS", 0, 0xFFFFFF) * 500
    return [[(500 * (0xFFFFFF // 8), append(data, packed), len(packed))], *columns[1:]]


def blocks_that_end_early(data: bytearray, columns: list[Any]) -> list[Any]:
    packed = zipped_blocks(bytes(8))
    return [[(20, append(data, packed), len(packed))], *columns[1:]]


def change_anchor(**members: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        table = find_table(data, "NodeProto")
        for name, value in members.items():
            table.members[getattr(table, name)] = value
        table.seal()

    return change


def long_header(data: bytearray) -> None:
    table = find_table(data, "NodeProto")
    table.set_header(sealed(table.header()[:-8] + bytes(10 << 20) + bytes(8)), zipped=True)


def many_pages(data: bytearray) -> None:
    table = find_table(data, "NodeProto")
    columns = pages_of(table.page_list())
    empty = (0, columns[0][0][1], 0)
    table.set_page_list(page_list(2, [[empty] * 200_000, *columns[1:]]), zipped=True)


def many_rows(data: bytearray) -> None:
    table = find_table(data, "NodeProto")
    table.set_page_list(page_list(1 << 55, pages_of(table.page_list())))


def many_fields(data: bytearray) -> None:
    """Add fields in the footer."""
    table = find_table(data, "NodeProto")
    footer, n = table.footer(), 200_000
    field = struct.pack("<qIIIHH4I", 40, *[0] * 9)
    empty = struct.pack("<qI", -12, 0)
    content = struct.pack("<qI", -12 - len(field) * n, n) + field * n + empty * 3
    (size,) = struct.unpack_from("<q", footer, 24)
    extension = struct.pack("<q", 8 + len(content)) + content
    table.set_footer(sealed(footer[:24] + extension + footer[24 + size :]), zipped=True)


def keys_before_the_file(data: bytearray) -> None:
    begin, name_nbytes = (struct.unpack_from(">i", data, at)[0] for at in (8, 28))
    struct.pack_into(">i", data, begin + name_nbytes + 26, -16)


FILES: dict[str, tuple[Callable[[bytearray], None], str]] = {
    "a page of many elements": (
        change_pages("NodeProto", lambda _, cs: [[(HUGE, *c[0][1:])] for c in cs]),
        "NodeProto: .* bytes unpack to .* raise the limit table_ratio",
    ),
    "a page of zeros": (change_pages("NodeProto", zeros(1 << 20)), "NodeProto: cluster 0 has the"),
    "a page many times": (change_pages("NodeProto", zeros(1 << 14, 5000)), "NodeProto: .* unpack"),
    "values many times": (change_pages("float", zero_values), "838860800 bytes"),
    "promising blocks": (change_pages("NodeProto", promising_blocks), "NodeProto: .* unpack to"),
    "blocks that end early": (change_pages("NodeProto", blocks_that_end_early), "expected 160"),
    "a long header": (long_header, "NodeProto: its description: .* unpack to 104"),
    "a header of 4 TB": (
        change_anchor(LEN_HEADER=1 << 42),
        "NodeProto: its description: .* unpack",
    ),
    "a header of all bytes": (change_anchor(NBYTES_HEADER=1 << 62), "NodeProto: "),
    "a header far away": (
        change_anchor(SEEK_HEADER=(1 << 64) - 8),
        "NodeProto: the file ends within",
    ),
    "a footer that is the header": (change_anchor(SEEK_FOOTER=5000), "NodeProto: "),
    "keys before the file": (keys_before_the_file, "m.root: "),
    "many pages": (many_pages, "NodeProto: its description: .* unpack to"),
    "many rows": (many_rows, "36028797018963968"),
    "many fields": (many_fields, "NodeProto: its description: .* unpack to"),
    "directories in two places": (
        lambda data: nested_directories(data, 40, 2),
        "is in two places; the file is damaged",
    ),
    "directories within directories": (
        lambda data: nested_directories(data, 300, 1),
        "directories nest deeper than 100",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_hostile_files(case: str, stored: bytes, tmp_path: Path) -> None:
    change, text = FILES[case]
    data = bytearray(stored)
    change(data)
    (tmp_path / "m.root").write_bytes(data)
    assert_refused(tmp_path / "m.root", text)


MANIFESTS: dict[str, tuple[Callable[[str], str], str]] = {
    "lists in lists": (lambda t: nested(t, "[" * 50_000 + "]" * 50_000), "the manifest is no JSON"),
    "lists that never end": (lambda t: nested(t, "[" * 50_000), "the manifest is no JSON"),
    "objects in objects": (
        lambda t: nested(t, '{"a":' * 50_000 + "1" + "}" * 50_000),
        "the manifest is no JSON",
    ),
    "a number of 5,000 digits": (lambda t: nested(t, "9" * 5000), "a number of 5000 digits"),
    "no number": (lambda t: nested(t, "NaN"), "NaN is no number"),
    "infinity": (lambda t: nested(t, "-Infinity"), "-Infinity is no number"),
    "a key twice": (
        lambda t: t.replace('"onnx":{', '"onnx":{"nbytes":1},"onnx":{', 1),
        "has a key twice",
    ),
    "a file of 10**400 bytes": (
        lambda t: t.replace('"nbytes":', '"nbytes":1' + "0" * 400 + ',"n":', 1),
        "a number of 401 digits",
    ),
    "a file of 10**18 bytes": (
        lambda t: t.replace('"nbytes":', '"nbytes":1' + "0" * 18 + ',"n":', 1),
        "raise the limit payload_ratio",
    ),
    "a file without a name": (
        lambda t: t.replace('"external_files":[', f'"external_files":[{file_named("")}', 1),
        "can't be the name of a file",
    ),
    "a file twice": (
        lambda t: t.replace(
            '"external_files":[', f'"external_files":[{file_named("w")},{file_named("w")}', 1
        ),
        "an external file is there twice",
    ),
    "a fraction of a byte": (
        lambda t: t.replace('"nbytes":', '"nbytes":1e400,"n":', 1),
        "inf is not a count",
    ),
    "rows beyond all numbers": (
        lambda t: t.replace('"rows":2', '"rows":1' + "0" * 18, 1),
        "the manifest says 1000",
    ),
}


def file_named(location: str) -> str:
    return json.dumps({"location": location, "nbytes": 0, "sha256": ""})


def nested(text: str, value: str) -> str:
    return text.replace('"onnx":{', f'"other":{value},"onnx":{{', 1)


@pytest.mark.parametrize("case", MANIFESTS)
def test_hostile_manifests(case: str, stored: bytes, tmp_path: Path) -> None:
    change, text = MANIFESTS[case]
    path = tmp_path / "m.root"
    path.write_bytes(stored)
    put_manifest(path, change(get_manifest(path)))
    assert_refused(path, text)


def get_manifest(path: Path) -> str:
    with uproot.open(path) as file:
        return str(file["tagger/manifest"])


def put_manifest(path: Path, text: str) -> None:
    """Replace a manifest; its digest is that of a manifest without the change."""
    with uproot.update(path) as file:
        del file["tagger/manifest"]
        file["tagger/manifest"] = reseal(text)


def reseal(text: str) -> str:
    start = text.index('"digest":"') + 10
    blank = text[:start] + "0" * 16 + text[start + 16 :]
    return text[:start] + xxhash.xxh64(blank.encode()).hexdigest() + text[start + 16 :]


WRONG = (None, True, 0, -1, 1.5, 2**70, "", "x", "\ud800", [], {}, [[]], [None], [{}], {"a": None})


def with_a_wrong_value(manifest: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a manifest with each of its values left out, or exchanged for each of `WRONG`.

    Of the schema, all lists of fields, and all that is in one of them.
    """
    text = json.dumps(manifest)
    for path in places(manifest):
        if path[0] == "digest" or (
            path[0] == "schema" and path[1:2] != ("NodeProto",) and path[2:]
        ):
            continue
        for value in (*WRONG, ...):
            changed = json.loads(text)
            holder = reduce(getitem, path[:-1], changed)
            if value is ...:
                del holder[path[-1]]
            else:
                holder[path[-1]] = value
            if changed != manifest:
                yield f"{'.'.join(map(str, path))}: {value!r}", changed


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the keys and positions that lead to each value inside another, at any depth."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from places(one, (*path, key))


def test_manifests_with_a_wrong_value(stored: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.root"
    path.write_bytes(stored)
    outcomes: Counter[str] = Counter()
    for case, manifest in with_a_wrong_value(json.loads(get_manifest(path))):
        try:
            parse_manifest(with_digest(manifest), case)
        except onnxroot.OnnxRootError:
            outcomes["refused at once"] += 1
            continue
        path.write_bytes(stored)
        put_manifest(path, with_digest(manifest))
        try:
            look_at_all(path)
            outcomes["the same model"] += 1
        except onnxroot.OnnxRootError:
            outcomes["refused"] += 1
    assert outcomes["refused at once"] > 1500
    assert outcomes["refused"] > 20


def test_a_schema_without_what_readers_look_up(stored: bytes, tmp_path: Path) -> None:
    """Whatever is left out of it, the error is one of ours."""
    path = tmp_path / "m.root"
    path.write_bytes(stored)
    manifest = json.loads(get_manifest(path))
    n_refused = 0
    for kind, fields in manifest["schema"].items():
        for some in ([], fields[1:], fields[:-1], [*fields, fields[0]]):
            forged = {**manifest, "schema": {**manifest["schema"], kind: some}}
            path.write_bytes(stored)
            put_manifest(path, with_digest(forged))
            try:
                look_at_all(path)
            except onnxroot.OnnxRootError:
                n_refused += 1
    assert n_refused > 40


def look_at_all(path: Path) -> None:
    """Ask for all that a model can tell."""
    with onnxroot.open(path) as model:
        describe(model)
        assert model.to_bytes() == linear_model().SerializeToString()
        for tensor in model.tensors.values():
            tensor.numpy()


# --- Tables that contradict each other ----------------------------------------------------------


def edits(starts: Any, lengths: Any) -> bytes:
    """Encode a deviation that copies: FORMAT §7.2."""
    numbers = [np.asarray(n, np.uint64) for n in (starts, lengths, np.zeros(len(starts)))]
    fields = [encode_varints(array)[0].tobytes() for array in numbers]
    return b"".join(record(n, LEN, value) for n, value in enumerate([*fields, b""], 1))


def test_a_deviation_that_copies_again_and_again(tmp_path: Path) -> None:
    model = graph_model([raw_tensor("z", np.zeros(1 << 22, np.uint8))])
    n, nbytes = 1000, 1 << 22
    with forging(
        tables=lambda tables: replace(tables, deviation=edits([0] * n, [nbytes] * n)),
        manifest=lambda manifest: manifest["onnx"].update(nbytes=n * nbytes),
    ):
        onnxroot.write(model, tmp_path / "m.root")
    assert_refused(tmp_path / "m.root", "4194304000 bytes in a file of .* raise the limit payload")


def test_a_deviation_whose_copies_lie_far_apart(tmp_path: Path) -> None:
    """Copies that are near each other are rendered together, but only so many."""
    model = graph_model([raw_tensor("z", np.zeros(1 << 26, np.uint8))])
    n = 1 << 14
    with forging(
        tables=lambda tables: replace(tables, deviation=edits(np.arange(n) * 4000, [1] * n)),
        manifest=lambda manifest: manifest["onnx"].update(nbytes=n),
    ):
        onnxroot.write(model, tmp_path / "m.root")
    assert_refused(tmp_path / "m.root", "the SHA-256 is")


@pytest.mark.parametrize("numbers", [{"nbytes": 62}, {"nbytes": 61, "n_values": 59}])
def test_payloads_whose_sum_passes_64_bits(numbers: dict[str, int], tmp_path: Path) -> None:
    def change(name: str, columns: Any) -> None:
        for column, bits in numbers.items():
            most = (1 << bits) - 1
            set_column("Payload", column, lambda v, most=most: np.full_like(v, most))(name, columns)

    with forging(columns=change):
        onnxroot.write(linear_model(), tmp_path / "m.root")
    assert_refused(tmp_path / "m.root", "raise the limit payload_ratio|contradict each other")


# --- Limits -------------------------------------------------------------------------------------


def test_limits_can_be_raised(tmp_path: Path) -> None:
    model = linear_model()
    model.doc_string = "a" * 60_000
    for i in range(2000):
        model.graph.node.add(op_type="Identity", doc_string="b" * 100).input.append(f"{i}")
    onnxroot.write(model, tmp_path / "m.root")
    low = onnxroot.Limits(table_nbytes=10_000)
    with (
        onnxroot.open(tmp_path / "m.root", limits=low) as opened,
        pytest.raises(onnxroot.FormatError, match=r"raise the limit table_nbytes"),
    ):
        opened.to_bytes()
    with onnxroot.open(tmp_path / "m.root", limits=onnxroot.Limits()) as opened:
        assert opened.to_bytes() == model.SerializeToString()


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9"])
def test_limits_are_positive_numbers(value: Any) -> None:
    with pytest.raises(ValueError, match="expected a positive number"):
        onnxroot.Limits(depth=value)


# --- Memory -------------------------------------------------------------------------------------

READER = """
import resource, signal, sys
from contextlib import suppress
import onnxroot
onnxroot.verify(sys.argv[1])  # what is imported late is imported now
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000,) * 2)
for path in sys.argv[2:]:
    signal.alarm(60)
    for read in (onnxroot.list_models, onnxroot.verify, lambda p: onnxroot.open(p).to_bytes()):
        with suppress(onnxroot.OnnxRootError):
            read(path)
print("read", len(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_hostile_files_take_less_than_100_mb(stored: bytes, tmp_path: Path) -> None:
    (tmp_path / "good.root").write_bytes(stored)
    paths = []
    for number, (change, _) in enumerate(FILES.values()):
        data = bytearray(stored)
        change(data)
        paths.append(tmp_path / f"{number}.root")
        paths[-1].write_bytes(data)
    command = [sys.executable, "-c", READER, tmp_path / "good.root", *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == f"read {len(FILES)}\n", done.stderr[-2000:]


# --- Code in files ------------------------------------------------------------------------------


def test_streamer_infos_of_a_file_are_not_read(stored: bytes, tmp_path: Path) -> None:
    """Uproot would make Python code of them, for an object of a class that it does not know."""
    path = tmp_path / "m.root"
    path.write_bytes(stored.replace(b"\x0aTObjString\x08manifest", b"\x0aTMyStrings\x08manifest"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uproot.deserialization, "_actually_compile", pytest.fail)
        with pytest.raises(onnxroot.FormatError, match="manifest"):
            onnxroot.open(f"{path}:tagger")


def test_a_broken_object_is_not_read_by_the_file_s_own_rules(stored: bytes, tmp_path: Path) -> None:
    data = bytearray(stored)
    position = find_table(data, "NodeProto").position
    data[position - 6 : position] = b"\x40\x00\x00\x02\x00\x09"  # another length and version
    path = tmp_path / "m.root"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uproot.deserialization, "_actually_compile", pytest.fail)
        assert_refused(path, "NodeProto")


# --- Time ---------------------------------------------------------------------------------------


def typed(number: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(f"v{number}", TensorProto.FLOAT, ["n"])


def sparse(number: int) -> onnx.SparseTensorProto:
    parts = (np.ones(1, np.float32), np.zeros(1, np.int64))
    values, indices = (raw_tensor(f"s{number}", part) for part in parts)
    return helper.make_sparse_tensor(values, indices, [9])


MANY: dict[str, Callable[[int], onnx.ModelProto]] = {
    "inputs": lambda n: graph_model(inputs=map(typed, range(n))),
    "outputs": lambda n: graph_model(outputs=map(typed, range(n))),
    "initializers": lambda n: graph_model(raw_tensor(f"w{i}", np.zeros(1)) for i in range(n)),
    "integers": lambda n: graph_model(
        helper.make_tensor(f"w{i}", TensorProto.INT64, [1], [i]) for i in range(n)
    ),
    "attributes": lambda n: graph_model(
        nodes=[
            helper.make_node("X", [], [], **{f"a{i}": raw_tensor("", np.ones(1)) for i in range(n)})
        ]
    ),
    "sparse initializers": lambda n: with_sparse(graph_model(), n),
}


def with_sparse(model: onnx.ModelProto, n: int) -> onnx.ModelProto:
    model.graph.sparse_initializer.extend(map(sparse, range(n)))
    return model


@pytest.mark.sweep
@pytest.mark.parametrize("case", MANY)
def test_time_grows_no_faster_than_the_model(case: str, tmp_path: Path) -> None:
    """A few kilobytes unpack to a million of something: no loop over them holds another."""
    seconds = []
    for n in (1000, 16_000):
        path = tmp_path / f"{n}.root"
        onnxroot.write(MANY[case](n), path)
        start = time.process_time()
        with onnxroot.open(path) as model:
            describe(model, statistics=True)
        onnxroot.verify(path, tensors=True)
        onnxroot.diff(path, golden("mlp_jet_tagger"))
        seconds.append(time.process_time() - start)
    assert seconds[1] < 26 * seconds[0], seconds


@pytest.mark.sweep
def test_time_grows_no_faster_than_the_number_of_external_files(tmp_path: Path) -> None:
    seconds = []
    for n in (200, 3200):
        folder = tmp_path / f"{n}"
        folder.mkdir()
        tensors = []
        for i in range(n):
            (folder / f"f{i}").write_bytes(b"x")
            tensors.append(external_tensor(f"w{i}", TensorProto.UINT8, [1], location=f"f{i}"))
        (folder / "m.onnx").write_bytes(graph_model(tensors).SerializeToString())
        onnxroot.write(folder / "m.onnx", folder / "m.root")
        start = time.process_time()
        assert onnxroot.verify(folder / "m.root").ok
        seconds.append(time.process_time() - start)
    assert seconds[1] < 26 * seconds[0], seconds
