"""Every model that the onnx package holds or generates, through a ROOT file and back."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

import onnxroot
from tests import corpus
from tests.samples import COUNTED

pytestmark = pytest.mark.corpus

SOURCES: dict[str, tuple[Callable[[], Iterator[tuple[str, bytes]]], int]] = {
    # what: the models, and into how many parts they are cut, for the workers to share
    "files of the onnx package": (corpus.wheel_models, 1),
    "models of onnx's test cases for operators": (corpus.node_models, 8),
    "models of onnx's other test cases": (corpus.example_models, 1),
}

PARTS = [(what, part) for what, (_, n_parts) in SOURCES.items() for part in range(n_parts)]


@pytest.mark.parametrize(("what", "part"), PARTS)
def test_models_come_back_identical(
    what: str, part: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    models, n_parts = SOURCES[what]
    n_models, differing = 0, []
    for name, data in islice(models(), part, None, n_parts):
        n_models += 1
        path = tmp_path / f"{n_models}.root"
        onnxroot.write(data, path)
        with onnxroot.open(path) as model:
            if model.to_bytes() != data:
                differing.append(name)
        path.unlink()
    record_property(COUNTED, (what, n_models - len(differing), n_models))
    assert n_models
    assert not differing
