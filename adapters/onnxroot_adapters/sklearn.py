"""scikit-learn -> ONNX, by skl2onnx.

The exporter has choices that matter: the type of numbers, how scalers divide, the version of the
operator set for trees, an equivalent estimator where it knows only that. They are tried in a
stated order, until the ONNX model is proven to give what the estimator gives; if none is, the
estimator is refused with the figures.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from onnxroot.adapter import Conversion, Options
from onnxroot.errors import FormatError, OnnxRootError, UnsupportedModelError
from onnxroot_adapters._apart import convert_apart
from onnxroot_adapters._append import (
    declare_shapes,
    keep_outputs,
    redeclare,
    reshape,
    without_sequences,
)
from onnxroot_adapters._conclude import conclude, digest_of
from onnxroot_adapters._errors import type_and_text
from onnxroot_adapters._pickles import NOT_ALLOWED, modules_in
from onnxroot_adapters._prove import Input, run
from onnxroot_adapters._require import require, version_of
from onnxroot_adapters._sklearn_export import (
    GRAPH_NAME,
    Attempt,
    NoConverterError,
    export,
    inner_estimators,
)
from onnxroot_adapters._sklearn_inputs import DOMAINS, SINGLE, Signature, draw, signature_of
from onnxroot_adapters._sklearn_outputs import call, in_shape, meanings
from onnxroot_adapters._sklearn_rewrite import Rewrite, rewrites
from onnxroot_adapters._skops import is_skops, load_skops

__all__ = ["adapter", "to_onnx"]

Array = npt.NDArray[Any]

BATCH_SIZES = (1, 5, 64, 1000)
"""The last is for trees: few rows lie where rounding sends them to another branch."""

N_ROWS = 57
"""For a first look: no number of classes or features is likely to be the same."""

TREE_LIBRARIES = {"xgboost", "lightgbm", "catboost"}


def to_onnx(estimator: Any, *, options: Options | None = None, **choices: Any) -> ModelProto:
    """Convert an estimator or a pipeline to ONNX, and prove it.

    Args:
        estimator: It must be fitted.
        options: What may be chosen, see `onnxroot.adapter.Options`.
        choices: Single fields of that, such as ``tolerance=1e-3``.

    Returns:
        A checked model, which gives what the estimator gives.

    Raises:
        UnsupportedModelError: It can't be exported, or is not the same; and what to do.
        FormatError: The user's samples do not fit.
        MissingDependencyError: A package is not installed.
    """
    return adapter.convert(estimator, replace(options or Options(), **choices)).model


class SklearnAdapter:
    """Estimators and pipelines, as objects, in ``.skops`` files, and in pickles."""

    name = "scikit-learn"

    def describe(self, path: Path) -> str | None:
        """See `onnxroot.adapter.Adapter.describe`."""
        if not path.is_file():
            return None
        if is_skops(path):
            return "a skops file of scikit-learn"
        modules = modules_in(path)
        if "sklearn" in modules and not modules & {"torch", "keras", "tensorflow"}:
            return "a pickle of scikit-learn"
        return None

    def accepts(self, model: object) -> bool:
        """See `onnxroot.adapter.Adapter.accepts`."""
        origins = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
        return "sklearn" in origins and not TREE_LIBRARIES & set(origins)

    def convert(self, source: Any, options: Options) -> Conversion:
        """See `onnxroot.adapter.Adapter.convert`."""
        if not isinstance(source, Path):
            return _convert(source, options, {})
        if is_skops(source) and not (options.allow_pickle or options.custom_objects):
            return convert_apart(convert_file, source, options, "scikit-learn")
        return convert_file(source, options)


adapter = SklearnAdapter()


def convert_file(path: Path, options: Options) -> Conversion:
    """Open a file, and convert what is in it.

    Raises:
        UnsupportedModelError: It can't be exported, or must not be opened.
        FormatError: It can't be opened.
        MissingDependencyError: A package is not installed.
    """
    require("sklearn", extra="sklearn", what="a scikit-learn model")
    estimator = load_skops(path, options) if is_skops(path) else _unpickle(path, options)
    origin = {"source": path.name, "source_sha256": digest_of(path)}
    try:
        if TREE_LIBRARIES & {type(estimator).__module__.partition(".")[0]}:
            from onnxroot_adapters.trees import adapter as trees  # noqa: PLC0415

            conversion = trees.convert(estimator, options)
            return replace(conversion, provenance=conversion.provenance | origin)
        return _convert(estimator, options, origin)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{path}: {error}") from error
    except FormatError as error:
        raise error.within(str(path)) from error


def _unpickle(path: Path, options: Options) -> Any:
    """Open a pickle, if the user allows it.

    Raises:
        UnsupportedModelError: It is not allowed.
        FormatError: It can't be opened.
    """
    if not options.allow_pickle:
        raise UnsupportedModelError(
            f"{path}: {NOT_ALLOWED}; safer is a file written with skops.io.dump(estimator, "
            "'model.skops')"
        )
    joblib = require("joblib", extra="sklearn", what="a pickle of scikit-learn")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another version: the proof counts
            return joblib.load(path)
    except ImportError as error:
        raise UnsupportedModelError(
            f"{path}: needs a module that is not there: {error}: install what it was made with"
        ) from error
    except Exception as error:
        raise FormatError(
            f"{path}: can't be unpickled: {type_and_text(error)}; if it was made "
            "with another version of scikit-learn, install that one"
        ) from error


# --- attempts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Subject:
    """An estimator, its inputs, and examples for these as 64-bit numbers."""

    estimator: Any
    signature: Signature
    examples: dict[str, Array]


def _convert(estimator: Any, options: Options, origin: Mapping[str, str]) -> Conversion:
    """Try all attempts until one is proven.

    Raises:
        UnsupportedModelError: None is.
    """
    if not adapter.accepts(estimator):
        raise UnsupportedModelError(
            f"expected an estimator of scikit-learn, found a {type(estimator).__name__}; if it "
            "holds one, take it out and give that to onnxroot.convert, or save it alone"
        )
    subject = _subject(estimator, options)
    try:
        return _try_all(subject, options, origin)
    except NoConverterError:
        raise
    except UnsupportedModelError as error:
        complete = {name: _complete(values) for name, values in subject.examples.items()}
        if all(len(complete[name]) == len(subject.examples[name]) for name in complete):
            raise
        try:
            _try_all(replace(subject, examples=complete), options, origin)
        except UnsupportedModelError:
            raise error from None
        raise UnsupportedModelError(
            f"{error}; without missing values (NaN) it is the same: if it never gets any, prove it "
            "with samples of yours (--samples FILE.npz, with an array for each input: "
            f"{', '.join(complete)})"
        ) from error


def _complete(values: Array) -> Array:
    """Return the rows without missing values."""
    if values.dtype.kind != "f":
        return values
    rows: Array = values[~np.isnan(values).any(axis=1)]
    return rows


def _try_all(subject: _Subject, options: Options, origin: Mapping[str, str]) -> Conversion:
    """Try all attempts until one is proven.

    Raises:
        UnsupportedModelError: None is.
    """
    failures: dict[str, UnsupportedModelError] = {}
    for rewrite in rewrites(subject.estimator):
        for attempt in _attempts(subject, options):
            try:
                return _try(subject, rewrite, attempt, options, origin)
            except NoConverterError as error:  # noqa: PERF203  (an attempt takes seconds)
                failures.setdefault(str(rewrite), error)
                break
            except UnsupportedModelError as error:
                failures.setdefault(f"{rewrite}{attempt}", error)
    raise _worst(failures)


def _worst(failures: dict[str, UnsupportedModelError]) -> UnsupportedModelError:
    """Return one error for all attempts: the last that has figures, or else the last."""
    last = [error for error in failures.values() if "another model" in str(error)][-1:]
    last = last or list(failures.values())[-1:]
    if len(failures) == 1:
        return last[0]
    return UnsupportedModelError(f"{last[0]} (tried: {'; '.join(failures)})")


def _attempts(subject: _Subject, options: Options) -> Iterator[Attempt]:
    """Yield what to try: the usual float32 first, then what rounds less."""
    names = {type(e).__name__ for e in inner_estimators(subject.estimator)}
    trees = any(
        word in name for name in names for word in ("Forest", "Tree", "Boost", "XGB", "LGBM")
    )
    votes = any(name in {"RandomForestClassifier", "ExtraTreesClassifier"} for name in names)
    opset_ml = 3 if trees or options.opset is not None else None
    yield Attempt(dtype="f4", opset_ml=opset_ml, counted=votes)
    if any("Scaler" in name for name in names):
        yield Attempt(dtype="f4", division="div_cast", opset_ml=opset_ml, counted=votes)
    yield Attempt(dtype="f8", opset_ml=opset_ml, counted=votes)
    if opset_ml is None:
        yield Attempt(dtype="f8", opset_ml=3)


def _try(
    subject: _Subject,
    rewrite: Rewrite,
    attempt: Attempt,
    options: Options,
    origin: Mapping[str, str],
) -> Conversion:
    """Export once, and prove it."""
    estimator, signature = subject.estimator, subject.signature
    model = export(rewrite.estimator, signature, attempt, options.opset)
    model = redeclare(without_sequences(rewrite.finish(redeclare(model))))
    inputs = _inputs(subject, attempt)
    methods: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    if options.check:
        rows = {item.name: np.asarray(item.examples)[:N_ROWS] for item in inputs}
        found = run(model, rows)
        methods = meanings(estimator, signature, rows, found)
        if len(methods) < len(found):
            keep_outputs(model, list(methods))
        model = _in_shape(model, subject, rows, found, methods)
        shapes = {name: found[name].shape for name in methods}
        declare_shapes(model, shapes, N_ROWS)

    def predict(given: dict[str, Array]) -> list[Array]:
        try:
            return [
                in_shape(call(estimator, method, signature, given), shapes[name])
                for name, method in methods.items()
            ]
        except Exception as error:
            raise UnsupportedModelError(
                f"the {type(estimator).__name__} itself fails with such inputs: "
                f"{type_and_text(error)}"
            ) from error

    return conclude(
        _described(model, signature),
        inputs=inputs,
        predict=predict,
        options=options,
        provenance=_provenance(estimator, signature, attempt, rewrite, methods) | dict(origin),
        graph_name=GRAPH_NAME,
        rename=True,
        batch_sizes=BATCH_SIZES,
    )


def _in_shape(
    model: ModelProto,
    subject: _Subject,
    rows: Mapping[str, Array],
    found: dict[str, Array],
    methods: Mapping[str, str],
) -> ModelProto:
    """Give the first output the shape that the estimator's has, where the exporter confuses them.

    It gives some labels as a row or a column, and some targets of a row one below the other.
    """
    name, method = next(iter(methods.items()))
    expected = call(subject.estimator, method, subject.signature, rows)
    shape = np.shape(expected)
    wanted: tuple[int, ...] = ()
    if len(shape) == 1 and found[name].shape in {(1, shape[0]), (shape[0], 1)} and name == "label":
        wanted = (-1,)
    elif len(shape) == 2 and shape[1] > 1 and found[name].shape == (shape[0] * shape[1], 1):
        wanted = (-1, shape[1])
    if not wanted:
        return model
    found[name] = found[name].reshape(wanted)
    return reshape(model, name, wanted)


def _described(model: ModelProto, signature: Signature) -> ModelProto:
    """Add the names of features to the metadata, where inputs don't have them."""
    if signature.names and not signature.by_column:
        entry = model.metadata_props.add()
        entry.key, entry.value = "feature_names", json.dumps(signature.names)
    return model


def _provenance(
    estimator: Any,
    signature: Signature,
    attempt: Attempt,
    rewrite: Rewrite,
    methods: Mapping[str, str],
) -> dict[str, str]:
    kind = type(estimator)
    found = {
        "framework": "scikit-learn",
        "exporter": "skl2onnx",
        "model": f"{kind.__module__.partition('.')[0]}.{kind.__name__}",
        "attempt": f"{rewrite}{attempt}",
    }
    if methods:
        found["outputs"] = json.dumps(dict(methods))
    if signature.names:
        found["feature_names"] = json.dumps(signature.names)
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, np.ndarray):
        found["classes"] = json.dumps(classes.tolist(), default=str)
    versions = version_of("scikit-learn", "skl2onnx", "onnxmltools", "onnx", "numpy")
    return found | {f"version.{name}": version for name, version in versions.items()}


# --- inputs --------------------------------------------------------------------------------------


def _inputs(subject: _Subject, attempt: Attempt) -> list[Input]:
    numbers = np.dtype(attempt.dtype)
    result = []
    for name, values in subject.examples.items():
        dtype = numbers if values.dtype.kind == "f" else values.dtype
        examples = values.astype(dtype)
        shape = (None, values.shape[1])
        result.append(Input(name=name, dtype=dtype, shape=shape, examples=examples))
    return result


def _subject(estimator: Any, options: Options) -> _Subject:
    """Find out what an estimator takes, by asking it.

    Raises:
        UnsupportedModelError: It takes nothing that is drawn, or can do nothing with new data.
    """
    signature = signature_of(estimator, options)
    method = "predict" if hasattr(estimator, "predict") else "transform"
    if not hasattr(estimator, method):
        raise UnsupportedModelError(
            f"the {type(estimator).__name__} can neither predict nor transform new data: there is "
            "nothing to store; is it fitted?"
        )
    if not options.check:
        return _Subject(estimator, signature, _examples(signature, DOMAINS[0]))
    reason = ""
    for domain in DOMAINS:
        examples = _examples(signature, domain)
        reason = _complaint(estimator, method, signature, examples)
        if not reason:
            missing = _with_nan(examples)
            if not _complaint(estimator, method, signature, missing):
                examples = missing
            return _Subject(estimator, signature, examples)
    if options.samples is not None:
        return _Subject(estimator, signature, _examples(signature, DOMAINS[0]))
    raise UnsupportedModelError(
        f"the {type(estimator).__name__} itself refuses the samples it would be proven with: "
        f"{reason}; give it some of yours (--samples FILE.npz, with an array for each input: "
        f"{', '.join(_examples(signature, DOMAINS[0]))})"
    )


def _complaint(
    estimator: Any, method: str, signature: Signature, examples: Mapping[str, Array]
) -> str:
    """Return why an estimator refuses rows, or nothing."""
    rows = {name: values[:200] for name, values in examples.items()}
    try:
        found = call(estimator, method, signature, rows)
    except OnnxRootError:
        raise
    except Exception as error:  # noqa: BLE001  (any estimator's own)
        return type_and_text(error)
    array = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
    if array.dtype.kind == "f" and array.size and not np.isfinite(array).any():
        return "it gives nothing but NaN for them"
    return ""


def _examples(signature: Signature, domain: str) -> dict[str, Array]:
    drawn = [draw(column, i, domain) for i, column in enumerate(signature.columns)]
    if signature.by_column:
        names = [column.name for column in signature.columns]
        return {name: values[:, np.newaxis] for name, values in zip(names, drawn, strict=True)}
    return {SINGLE: np.stack(drawn, axis=1)}


def _with_nan(examples: Mapping[str, Array]) -> dict[str, Array]:
    """Return examples with a missing value in some rows."""
    generator = np.random.default_rng(len(examples))
    result = {}
    for name, values in examples.items():
        result[name] = values
        if values.dtype.kind == "f":
            result[name] = values.copy()
            rows = generator.permutation(len(values))[: max(len(values) // 30, 1)]
            result[name][rows, generator.integers(values.shape[1], size=len(rows))] = np.nan
            result[name][0, 0] = np.nan
    return result
