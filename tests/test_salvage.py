"""What is left of a damaged model can be read, and `verify` says what that is."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

import onnxroot
from tests.hostile import find_table, pages_of
from tests.samples import external_tensor, graph_model, raw_tensor
from tests.test_cli import run

SMALL = np.arange(6, dtype=np.float32).reshape(2, 3)
WHOLE = np.arange(20, dtype=np.int64)
LARGE = np.arange(7, 7 + (3 << 20), dtype=np.float32)  # over two clusters

TENSORS = {"small": SMALL, "whole": WHOLE, "large": LARGE}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a file with tensors in several clusters, and one in an external file."""
    tensors = [raw_tensor(name, values) for name, values in TENSORS.items()]
    tensors.append(external_tensor("outside", TensorProto.UINT8, [9], location="w"))
    (tmp_path / "w").write_bytes(b"123456789")
    (tmp_path / "m.onnx").write_bytes(graph_model(tensors).SerializeToString())
    onnxroot.write(tmp_path / "m.onnx", tmp_path / "m.root", compression="none")
    return tmp_path / "m.root"


def damage(path: Path, table: str, column: int = 0) -> None:
    """Flip a bit of the last page of a column."""
    data = bytearray(path.read_bytes())
    _, position, _ = pages_of(find_table(data, table).page_list())[column][-1]
    data[position] ^= 1
    path.write_bytes(data)


def damage_values(path: Path, values: bytes) -> None:
    data = bytearray(path.read_bytes())
    assert data.count(values) == 1
    data[data.index(values)] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "nodes": (lambda path: damage(path, "GraphProto"), set()),
    "model": (lambda path: damage(path, "ModelProto"), set()),
    "integers": (lambda path: damage_values(path, WHOLE.tobytes()), {"whole"}),
    "external bytes": (lambda path: damage_values(path, b"123456789"), {"outside"}),
    "end of a tensor": (lambda path: damage_values(path, LARGE[-64:].tobytes()), {"large"}),
    "a cluster of two": (lambda path: damage_values(path, SMALL.tobytes()), {"small", "large"}),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_good_tensors_are_read_and_bad_ones_named(case: str, stored: Path) -> None:
    change, expected = DAMAGES[case]
    change(stored)
    report = onnxroot.verify(stored, tensors=True)
    assert not report.ok
    assert {tensor.name for tensor in report.tensors} == {*TENSORS, "outside"}
    assert {tensor.name for tensor in report.tensors if not tensor.ok} == expected
    with onnxroot.open(stored) as model:
        for name, values in TENSORS.items():
            if name in expected:
                with pytest.raises(onnxroot.IntegrityError, match="the file is damaged"):
                    model.tensors[name].numpy()
            else:
                assert np.array_equal(model.tensors[name].numpy(), values)
        if "outside" not in expected:
            assert model.tensors["outside"].numpy().tobytes() == b"123456789"


def test_the_command_lists_them(stored: Path) -> None:
    done = run("verify", "--tensors", stored)
    assert done.exit_code == 0
    assert "good    small FLOAT [2, 3]\n" in done.stdout
    damage_values(stored, WHOLE.tobytes())
    done = run("verify", "--tensors", stored)
    assert done.exit_code == 1
    assert "good    small FLOAT [2, 3]\n" in done.stdout
    assert "damaged whole INT64 [20]\n" in done.stdout
    assert "(values of 'whole')" in done.stderr
    done = run("verify", "--tensors", "--json", stored)
    (report,) = json.loads(done.stdout)
    assert [t["name"] for t in report["tensors"] if t["problem"]] == ["whole"]


@pytest.mark.parametrize("table", ["TensorProto", "Payload"])
def test_without_the_table_of_tensors_none_is_listed(table: str, stored: Path) -> None:
    damage(stored, table)
    report = onnxroot.verify(stored, tensors=True)
    assert not report.ok
    assert not any(tensor.ok for tensor in report.tensors)
    assert any(f"/{table}: cluster 0 has the digest" in problem for problem in report.problems)
