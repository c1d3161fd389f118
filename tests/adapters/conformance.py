"""What every adapter must pass: each model is proven, or refused with a reason, and never wrong.

A case makes a model in its framework. It is converted, and then judged by other means than the
adapter's own proof: with other inputs, and the framework asked directly.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from onnxroot.adapter import Conversion, compare, default_tolerance
from onnxroot.errors import OnnxRootError
from tests.samples import SAID

KINDS = ("proven", "refused", "wrong")
PATHS = re.compile(rb"/(home|root|tmp|work|usr|var|opt|Users)/[\w.-]+|site-packages|\.py\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model to convert.

    Attributes:
        name: For the report.
        convert: Makes and converts it.
        inputs: Makes other inputs than the adapter drew, by name in the ONNX model, from a seed.
        expected: What the framework makes of these, in the order of the ONNX model's outputs.
        refused: Pattern of the reason, for a model that must be refused; empty if it must not.
        tolerance: By how much outputs may differ; None for the default of their type.
    """

    name: str
    convert: Callable[[], Conversion]
    inputs: Callable[[int], dict[str, np.ndarray]]
    expected: Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]]
    refused: str = ""
    tolerance: float | None = None


def judge(case: Case) -> str:
    """Return ``proven``, ``refused: REASON`` or ``wrong: WHY``."""
    try:
        conversion = case.convert()
    except OnnxRootError as error:
        text = f"{type(error).__name__}: {error}"
        if "\n" in str(error):
            return f"wrong: more than one line: {text}"
        if case.refused and not re.search(case.refused, str(error)):
            return f"wrong: another reason than {case.refused!r}: {text}"
        return f"refused: {text}"
    except Exception as error:  # noqa: BLE001  (a foreign exception is what is looked for)
        return f"wrong: {type(error).__name__}: {error}"
    return _fault(case, conversion) or "proven"


def _fault(case: Case, conversion: Conversion) -> str:
    """Return what is wrong with a conversion, or nothing."""
    data = conversion.model.SerializeToString()
    if case.refused:
        return "wrong: it should have been refused"
    if not conversion.batches:
        return "wrong: it was not proven"
    path = PATHS.search(data)
    if path:
        return f"wrong: it holds {path[0]!r}"
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for seed in (1, 2):
        inputs = case.inputs(seed)
        expected = [np.asarray(value) for value in case.expected(inputs)]
        if len(expected) != len(names):
            return f"wrong: {len(names)} outputs, expected {len(expected)}"
        for name, found, wanted in zip(names, session.run(None, inputs), expected, strict=True):
            types = (wanted.dtype, np.asarray(found).dtype)
            tolerance = case.tolerance or max(map(default_tolerance, types))
            difference = compare(name, np.asarray(found), wanted, tolerance)
            if difference:
                return f"wrong: {difference.text}"
    return ""


def report(
    title: str,
    results: dict[str, str],
    record_property: Callable[[str, object], None],
    *,
    least_proven: int,
) -> None:
    """Say what came of the cases, and check that nothing is wrong and enough is proven."""
    counts: Counter[Any] = Counter(result.partition(":")[0] for result in results.values())
    text = f"{title}: {', '.join(f'{counts[kind]} {kind}' for kind in KINDS)}"
    record_property(SAID, text)
    for name, result in results.items():
        if result != "proven":
            print(f"  {name}: {result}")
    assert not [f"{name}: {r}" for name, r in results.items() if r.startswith("wrong")]
    assert counts["proven"] >= least_proven
