"""Run a stored model on the samples that are stored with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from onnxroot._batches import Batch, compare
from onnxroot._stored import StoredModel
from onnxroot._verify import Report
from onnxroot.errors import OnnxRootError, UnsupportedModelError
from onnxroot.model import Model

__all__ = ["run_samples"]


def run_samples(stored: StoredModel, report: Report) -> Report:
    """Compare onnxruntime's outputs with those of the framework that the model is from.

    Args:
        stored: An open model.
        report: What was found in it so far.

    Returns:
        The report, with what else was found.

    Raises:
        UnsupportedModelError: There are no samples.
        MissingDependencyError: onnxruntime is not installed.
    """
    try:
        batches = stored.batches
    except OnnxRootError:
        return report  # it says so already
    if not batches:
        raise UnsupportedModelError(
            f"{stored.where}: holds no samples to run it on; those that are converted from another "
            "framework do"
        )
    if report.problems:
        return report  # what is damaged can't be run
    session = Model(stored).session()
    problems = [
        f"{stored.where}: of sample batch {number}, {text}"
        for number, batch in enumerate(batches)
        for text in _differences(session, batch)
    ]
    return replace(report, n_batches=len(batches), problems=(*report.problems, *problems))


def _differences(session: object, batch: Batch) -> list[str]:
    names = list(batch.outputs)
    found = session.run(names, batch.inputs)  # type: ignore[attr-defined]  # has no types
    differences = [
        compare(name, np.asarray(value), batch.outputs[name], batch.tolerance.get(name, 0.0))
        for name, value in zip(names, found, strict=True)
    ]
    return [difference.text for difference in differences if difference]
