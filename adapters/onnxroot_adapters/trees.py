"""XGBoost, LightGBM and CatBoost -> ONNX, by onnxmltools and CatBoost itself.

onnxmltools returns wrong numbers for some objectives and boosters without a word. So what it makes
is proven; where it fails, a regressor for each score is exported and these are put together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import FormatError, OnnxRootError, UnsupportedModelError
from onnxroot_adapters._apart import convert_apart
from onnxroot_adapters._append import declare_shapes, pin_opset, redeclare
from onnxroot_adapters._conclude import conclude, digest_of
from onnxroot_adapters._errors import type_and_text
from onnxroot_adapters._pickles import NOT_ALLOWED, modules_in, pickle_head
from onnxroot_adapters._prove import Input
from onnxroot_adapters._require import require, version_of
from onnxroot_adapters._sklearn_inputs import DOMAINS, draw
from onnxroot_adapters._tree_subject import Step, Subject

__all__ = ["LIBRARIES", "adapter", "export_step", "subject_of", "to_onnx"]

Array = npt.NDArray[Any]

LIBRARIES = ("xgboost", "lightgbm", "catboost")

GRAPH_NAME = "trees"
BATCH_SIZES = (1, 5, 64, 1000)
N_ROWS = 57
"""For a first look: no number of classes is likely to be the same."""


def to_onnx(booster: Any, *, options: Options | None = None, **choices: Any) -> ModelProto:
    """Convert a booster, or an estimator of a tree library, to ONNX, and prove it.

    Args:
        booster: Of XGBoost, LightGBM or CatBoost.
        options: What may be chosen, see `onnxroot.adapter.Options`.
        choices: Single fields of that, such as ``tolerance=1e-3``.

    Returns:
        A checked model, which gives what the booster gives: probabilities and labels for a
        classifier, in float32.

    Raises:
        UnsupportedModelError: It can't be exported, or is not the same; and what to do.
        FormatError: The user's samples do not fit.
        MissingDependencyError: A package is not installed.
    """
    return adapter.convert(booster, replace(options or Options(), **choices)).model


class TreesAdapter:
    """Boosters and estimators, as objects, in files of their libraries, and in pickles."""

    name = "trees"

    def describe(self, path: Path) -> str | None:
        """See `onnxroot.adapter.Adapter.describe`."""
        if not path.is_file():
            return None
        kind = _kind(path)
        if kind is not None:
            return f"a model file of {_PROPER[kind]}"
        library = _pickled(path)
        return f"a pickle of {_PROPER[library]}" if library else None

    def accepts(self, model: object) -> bool:
        """See `onnxroot.adapter.Adapter.accepts`."""
        return _library(model) is not None

    def convert(self, source: Any, options: Options) -> Conversion:
        """See `onnxroot.adapter.Adapter.convert`."""
        if not isinstance(source, Path):
            return _convert(source, options, {})
        if _kind(source) == "catboost":
            return convert_apart(convert_file, source, options, "CatBoost")
        return convert_file(source, options)


adapter = TreesAdapter()

_PROPER = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost"}


# --- files ---------------------------------------------------------------------------------------


def _kind(path: Path) -> str | None:
    """Return the library that a model file is of, from its first bytes."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"CBM1"):
        return "catboost"
    if re.match(rb"tree\r?\nversion=", head):
        return "lightgbm"
    if re.match(rb'\s*\{\s*"(learner|version|Config)"', head) and b'"learner"' in head:
        return "xgboost"
    if head.startswith(b"{") and b"\x07learner{" in head[:64]:
        return "xgboost"
    if head.startswith(b"binf") or path.suffix in {".bst", ".xgb"}:
        return "xgboost"
    return None


def _pickled(path: Path) -> str | None:
    """Return the library that a pickle names, if it is not one of scikit-learn's."""
    modules = modules_in(path)
    if modules & {"sklearn", "torch", "keras"}:
        return None
    return next((library for library in LIBRARIES if library in modules), None)


def _load(path: Path, options: Options) -> Any:
    """Open a file.

    Raises:
        UnsupportedModelError: It is a pickle, and these are not allowed.
        FormatError: The library can't open it.
        MissingDependencyError: It is not installed.
    """
    kind = _kind(path)
    if kind is None and not options.allow_pickle:
        raise UnsupportedModelError(
            f"{path}: {NOT_ALLOWED}; safer is a file that the library itself writes: "
            "model.save_model('model.json') of XGBoost, booster.save_model('model.txt') of "
            "LightGBM, model.save_model('model.cbm') of CatBoost"
        )
    try:
        if kind is None:
            joblib = require("joblib", extra="trees", what="a pickle of a tree library")
            return joblib.load(path)
        return _module(kind).load(str(path))
    except OnnxRootError:
        raise
    except Exception as error:
        hint = ""
        if pickle_head(path).startswith(b"binf") or path.suffix in {".bst", ".xgb"}:
            hint = (
                "; XGBoost 3.1 and later read no old binary files: open it with an older one "
                "(pip install 'xgboost-cpu<3.1') and save it as model.json"
            )
        what = _PROPER.get(kind or "", "the library it is of")
        raise FormatError(f"{path}: {what} can't open it: {type_and_text(error)}{hint}") from error


def _module(library: str) -> ModuleType:
    require(library, extra="trees", what=f"a model of {_PROPER[library]}")
    return import_module(f"onnxroot_adapters._{library}")


def _library(model: object) -> str | None:
    origins = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
    return next((library for library in LIBRARIES if library in origins), None)


# --- conversion ----------------------------------------------------------------------------------


def convert_file(path: Path, options: Options) -> Conversion:
    """Open a file, and convert what is in it.

    Raises:
        UnsupportedModelError: It can't be exported.
        FormatError: It can't be opened.
        MissingDependencyError: A package is not installed.
    """
    model = _load(path, options)
    origin = {"source": path.name, "source_sha256": digest_of(path)}
    try:
        return _convert(model, options, origin)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{path}: {error}") from error
    except FormatError as error:
        raise error.within(str(path)) from error


def subject_of(model: Any) -> Subject:
    """Return how to export a model of one of the libraries.

    Raises:
        UnsupportedModelError: It can't be exported, or is not fitted.
    """
    library = _library(model)
    if library is None:
        raise UnsupportedModelError(
            f"a {type(model).__name__} is no model of {', '.join(_PROPER.values())}"
        )
    try:
        found: Subject = _module(library).subject(model)
    except OnnxRootError:
        raise
    except Exception as error:
        raise UnsupportedModelError(
            f"the {type(model).__name__} can't be looked into: {type_and_text(error)}; "
            "is it fitted?"
        ) from error
    return found


def _convert(model: Any, options: Options, origin: Mapping[str, str]) -> Conversion:
    """Try all steps until one is proven.

    Raises:
        UnsupportedModelError: None is.
    """
    subject = subject_of(model)
    failures: dict[str, UnsupportedModelError] = {}
    inputs = [_input(subject)]
    for step in subject.steps:
        try:
            return _try(subject, step, inputs, options, origin)
        except UnsupportedModelError as error:  # noqa: PERF203  (a step takes seconds)
            failures[step.text] = error
    last = list(failures.values())[-1]
    if len(failures) == 1:
        raise last
    raise UnsupportedModelError(f"{last} (tried: {'; '.join(failures)})") from last


def export_step(step: Step) -> ModelProto:
    """Take a step.

    Raises:
        UnsupportedModelError: The exporter fails.
    """
    try:
        return redeclare(step.export())
    except OnnxRootError:
        raise
    except Exception as error:
        raise UnsupportedModelError(
            f"the exporter fails ({step.text}): {type_and_text(error)}"
        ) from error


def _try(
    subject: Subject,
    step: Step,
    inputs: list[Input],
    options: Options,
    origin: Mapping[str, str],
) -> Conversion:
    model = export_step(step)
    if options.opset is not None:
        pin_opset(model, options.opset)
    names = [output.name for output in model.graph.output]
    first = _ask(subject, np.asarray(inputs[0].examples)[:N_ROWS])
    declare_shapes(model, {name: np.shape(value) for name, value in first.items()}, N_ROWS)
    if subject.names:
        entry = model.metadata_props.add()
        entry.key, entry.value = "feature_names", json.dumps(subject.names)

    def predict(given: dict[str, Array]) -> list[Array]:
        found = _ask(subject, given[inputs[0].name])
        if set(found) != set(names):
            raise UnsupportedModelError(
                f"the exporter made the outputs {', '.join(names)}; the model gives "
                f"{', '.join(found)}"
            )
        return [_as_objects(found[name]) for name in names]

    library, _, kind = subject.kind.partition(".")
    provenance = {
        "framework": _PROPER[library],
        "exporter": "catboost" if library == "catboost" else "onnxmltools",
        "model": kind,
        "attempt": step.text,
    }
    if subject.names:
        provenance["feature_names"] = json.dumps(subject.names)
    versions = version_of(
        *("xgboost", "xgboost-cpu", "lightgbm", "catboost", "onnxmltools", "onnx", "numpy")
    )
    provenance |= {f"version.{name}": version for name, version in versions.items()}
    return conclude(
        model,
        inputs=inputs,
        predict=predict,
        options=options,
        provenance=provenance | dict(origin),
        graph_name=GRAPH_NAME,
        rename=True,
        batch_sizes=BATCH_SIZES,
    )


def _ask(subject: Subject, values: Array) -> dict[str, Array]:
    """Ask the library.

    Raises:
        UnsupportedModelError: It fails.
    """
    try:
        return subject.predict(values)
    except Exception as error:
        raise UnsupportedModelError(
            f"{subject.kind} itself fails with such inputs: {type_and_text(error)}; give "
            "it some of yours (--samples FILE.npz, with an array X)"
        ) from error


def _as_objects(values: Array) -> Array:
    return values.astype(object) if values.dtype.kind in "US" else values


def _input(subject: Subject) -> Input:
    """Return the input: typical values, values at splits, and missing ones."""
    drawn = [draw(column, i, DOMAINS[0]) for i, column in enumerate(subject.columns)]
    examples = np.stack(drawn, axis=1).astype(np.float32)
    generator = np.random.default_rng(len(drawn))
    rows = generator.permutation(len(examples))[:60]
    examples[rows, generator.integers(len(drawn), size=len(rows))] = np.nan
    shape = (None, len(drawn))
    return Input(name="X", dtype=np.dtype("f4"), shape=shape, examples=examples)
