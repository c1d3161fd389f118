"""Every model that the onnx package holds or generates: through tables, through a ROOT file."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import onnxroot
from onnxroot._deviation import dissect
from onnxroot._join import join
from onnxroot._schema import installed_schema
from tests import corpus
from tests.samples import COUNTED

pytestmark = pytest.mark.corpus

SOURCES: dict[str, tuple[Callable[[], Iterator[tuple[str, bytes]]], int]] = {
    # what: the models, and into how many parts they are cut: the first is for each run
    "files of the onnx package": (corpus.wheel_models, 4),
    "models of onnx's test cases for operators": (corpus.node_models, 8),
    "models of onnx's other test cases": (corpus.example_models, 1),
}

PARTS = [
    pytest.param(what, part, marks=[pytest.mark.sweep] if part else [])
    for what, (_, n_parts) in SOURCES.items()
    for part in range(n_parts)
]

Record = Callable[[str, object], None]


@pytest.mark.parametrize(("what", "part"), PARTS)
def test_models_come_back_from_root_files(
    what: str, part: int, tmp_path: Path, record_property: Record
) -> None:
    def through_root(data: bytes) -> bytes:
        path = tmp_path / "m.root"
        onnxroot.write(data, path, replace=True)
        with onnxroot.open(path) as model:
            return model.to_bytes()

    models, n_parts = SOURCES[what]
    there_and_back(what, through_root, islice(models(), part, None, n_parts), record_property)


@pytest.mark.parametrize("what", SOURCES)
def test_models_come_back_from_tables(what: str, record_property: Record) -> None:
    def through_tables(data: bytes) -> bytes:
        tables, buffers = dissect(np.frombuffer(data, np.uint8), installed_schema())
        document = join(tables, buffers)
        return document.render(0, document.nbytes).tobytes()

    models, _ = SOURCES[what]
    there_and_back(f"{what}, in memory", through_tables, models(), record_property)


def there_and_back(
    what: str,
    way: Callable[[bytes], bytes],
    models: Iterator[tuple[str, bytes]],
    record_property: Record,
) -> None:
    found = [(name, way(data) == data) for name, data in models]
    differing = [name for name, same in found if not same]
    record_property(COUNTED, (what, len(found) - len(differing), len(found)))
    assert found
    assert not differing
