"""scikit-learn -> ONNX: the conformance suite, every estimator there is, pickles, errors."""

import json
import os
import pickle
import re
import subprocess
import sys
import warnings
import zipfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skl2onnx")

import joblib
import onnxruntime
import pandas as pd
import skops.io
from sklearn import (
    calibration,
    cluster,
    compose,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from onnxroot.adapter import Options
from onnxroot.errors import FormatError, OnnxRootError, UnsupportedModelError
from onnxroot_adapters.sklearn import adapter, to_onnx
from tests.adapters import sklearn_estimators
from tests.adapters.conformance import Case, judge, report

GENERATOR = np.random.default_rng(2)
N = 300
X = GENERATOR.normal(size=(N, 5))
SCORE = X[:, 0] * 2 + X[:, 1] ** 2 - X[:, 2] + 0.3 * GENERATOR.normal(size=N)
BINARY = (SCORE > 0).astype(int)
MANY = np.digitize(SCORE, [-1.0, 1.0])
TEXT_LABEL = np.array(["background", "signal"])[BINARY]
POSITIVE = np.abs(SCORE) + 0.1
TWO = np.stack([SCORE, X[:, 3] - SCORE], axis=1)
HOLES = np.where(GENERATOR.random(X.shape) < 0.1, np.nan, X)
FRAME = pd.DataFrame(
    {
        "pt": X[:, 0] * 20 + 50,
        "eta": X[:, 1],
        "n_jets": GENERATOR.integers(0, 5, N),
        "channel": GENERATOR.choice(["e", "mu", "tau"], N),
        "year": GENERATOR.choice([2016, 2017, 2018], N),
    }
)
NUMBERS = ["pt", "eta"]


def scaled(*steps):
    return pipeline.make_pipeline(preprocessing.StandardScaler(), *steps)


def by_column(remainder="drop"):
    one_hot = preprocessing.OneHotEncoder(handle_unknown="ignore")
    parts = [
        ("numbers", preprocessing.StandardScaler(), NUMBERS),
        ("words", one_hot, ["channel", "year"]),
    ]
    return compose.ColumnTransformer(parts, remainder=remainder)


def imputed():
    numbers = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    words = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="most_frequent"),
        preprocessing.OneHotEncoder(handle_unknown="ignore"),
    )
    return compose.ColumnTransformer([("n", numbers, NUMBERS), ("w", words, ["channel"])])


def ordinal():
    return compose.ColumnTransformer(
        [
            ("n", "passthrough", NUMBERS),
            ("w", preprocessing.OrdinalEncoder(), ["channel", "year", "n_jets"]),
        ]
    )


def sliced():
    return compose.ColumnTransformer(
        [("a", preprocessing.StandardScaler(), slice(0, 2)), ("b", "passthrough", [3])]
    )


def boosted(library, kind, **parameters):
    extra = {"verbose": -1} if library == "lightgbm" else {}
    made = getattr(import_module(library), kind)
    return made(n_estimators=20, random_state=0, **extra, **parameters)


def seeded(cls, **parameters):
    return cls(random_state=0, **parameters)


# name: (estimator, inputs, target). Chosen for what exporters do to them, and what physicists use.
CASES = {
    "logistic regression": (linear_model.LogisticRegression(), X, BINARY),
    "logistic regression, 3 classes": (linear_model.LogisticRegression(), X, MANY),
    "logistic regression, labels of text": (linear_model.LogisticRegression(), X, TEXT_LABEL),
    "logistic regression, labels of bool": (linear_model.LogisticRegression(), X, BINARY > 0),
    "logistic regression, large numbers": (
        scaled(linear_model.LogisticRegression()),
        X * 1e5 + 3e6,
        BINARY,
    ),
    "linear regression": (linear_model.LinearRegression(), X, SCORE),
    "linear regression, 2 targets": (linear_model.LinearRegression(), X, TWO),
    "ridge of polynomials": (
        pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge()),
        X,
        SCORE,
    ),
    "lasso": (scaled(linear_model.Lasso(alpha=0.1)), X, SCORE),
    "Poisson regression": (linear_model.PoissonRegressor(), X, POSITIVE),
    "linear SVC": (scaled(svm.LinearSVC()), X, TEXT_LABEL),
    "SVC": (scaled(svm.SVC()), X, BINARY),
    "SVC, 3 classes": (scaled(svm.SVC()), X, MANY),
    "SVR": (scaled(svm.SVR()), X, SCORE),
    "decision tree": (seeded(tree.DecisionTreeClassifier), X, MANY),
    "decision tree, missing values": (seeded(tree.DecisionTreeClassifier), HOLES, BINARY),
    "decision tree, 2 targets": (seeded(tree.DecisionTreeRegressor), X, TWO),
    "random forest": (seeded(ensemble.RandomForestClassifier, n_estimators=20), X, BINARY),
    "random forest, 3 classes": (seeded(ensemble.RandomForestClassifier, n_estimators=30), X, MANY),
    "random forest, text": (
        seeded(ensemble.RandomForestClassifier, n_estimators=10),
        X,
        TEXT_LABEL,
    ),
    "random forest, 2 targets": (seeded(ensemble.RandomForestRegressor, n_estimators=10), X, TWO),
    "scaled random forest": (
        scaled(seeded(ensemble.RandomForestClassifier, n_estimators=20)),
        X,
        BINARY,
    ),
    "extra trees": (seeded(ensemble.ExtraTreesClassifier, n_estimators=20), X, MANY),
    "gradient boosting": (seeded(ensemble.GradientBoostingClassifier, n_estimators=20), X, MANY),
    "gradient boosting regression": (
        seeded(ensemble.GradientBoostingRegressor, n_estimators=20),
        X,
        SCORE,
    ),
    "histogram boosting": (seeded(ensemble.HistGradientBoostingClassifier, max_iter=10), X, MANY),
    "histogram boosting, missing values": (
        seeded(ensemble.HistGradientBoostingClassifier, max_iter=10),
        HOLES,
        BINARY,
    ),
    "histogram boosting, Poisson": (
        seeded(ensemble.HistGradientBoostingRegressor, max_iter=10, loss="poisson"),
        X,
        POSITIVE,
    ),
    "histogram boosting, gamma, scaled": (
        scaled(seeded(ensemble.HistGradientBoostingRegressor, max_iter=10, loss="gamma")),
        X,
        POSITIVE,
    ),
    "AdaBoost": (seeded(ensemble.AdaBoostClassifier, n_estimators=10), X, MANY),
    "bagging": (seeded(ensemble.BaggingClassifier, n_estimators=5), X, MANY),
    "isolation forest": (seeded(ensemble.IsolationForest, n_estimators=20), X, None),
    "neural network": (scaled(seeded(neural_network.MLPClassifier, max_iter=40)), X, TEXT_LABEL),
    "neural network regression": (scaled(seeded(neural_network.MLPRegressor, max_iter=40)), X, TWO),
    "neighbours of components": (
        pipeline.make_pipeline(decomposition.PCA(2), neighbors.KNeighborsClassifier()),
        X,
        MANY,
    ),
    "Gaussian naive Bayes": (naive_bayes.GaussianNB(), X, MANY),
    "quadratic discriminants": (
        discriminant_analysis.QuadraticDiscriminantAnalysis(),
        X[:, :3],
        MANY,
    ),
    "Gaussian process": (seeded(gaussian_process.GaussianProcessRegressor), X[:60], SCORE[:60]),
    "logarithm and power": (
        pipeline.make_pipeline(
            preprocessing.FunctionTransformer(np.log1p),
            preprocessing.PowerTransformer(),
            linear_model.Ridge(),
        ),
        np.abs(X),
        SCORE,
    ),
    "power, missing values": (preprocessing.PowerTransformer(), HOLES, None),
    "mean shift": (cluster.MeanShift(bandwidth=2.0), X, None),
    "k-means": (seeded(cluster.KMeans, n_clusters=4, n_init=2), X, None),
    "mixture": (seeded(mixture.GaussianMixture, n_components=2), X, None),
    "independent components": (seeded(decomposition.FastICA, n_components=3), X, None),
    "bins": (preprocessing.KBinsDiscretizer(4, strategy="uniform"), X, None),
    "robust scaling": (preprocessing.RobustScaler(), X, None),
    "selected features": (feature_selection.SelectKBest(k=2), X, BINARY),
    "feature elimination": (feature_selection.RFE(linear_model.LogisticRegression()), X, BINARY),
    "calibrated": (calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2), X, BINARY),
    "tuned threshold": (
        model_selection.TunedThresholdClassifierCV(linear_model.LogisticRegression(), cv=2),
        X,
        (SCORE > 1.5).astype(int),
    ),
    "fixed threshold, text": (
        model_selection.FixedThresholdClassifier(
            linear_model.LogisticRegression(), threshold=0.2, pos_label="background"
        ),
        X,
        TEXT_LABEL,
    ),
    "best of a grid": (
        model_selection.GridSearchCV(linear_model.LogisticRegression(), {"C": [0.1, 1]}, cv=2),
        X,
        BINARY,
    ),
    "logarithm of the target": (
        compose.TransformedTargetRegressor(
            linear_model.Ridge(), func=np.log, inverse_func=np.exp, check_inverse=False
        ),
        X,
        POSITIVE,
    ),
    "one against the rest": (
        multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
        X,
        MANY,
    ),
    "many labels": (
        multioutput.MultiOutputClassifier(linear_model.LogisticRegression()),
        X,
        np.stack([BINARY, MANY > 1], axis=1).astype(int),
    ),
    "tree of 2 labels": (
        seeded(tree.DecisionTreeClassifier, max_depth=3),
        X,
        np.stack([BINARY, 1 - BINARY], axis=1),
    ),
    "forest of 2 labels, of 2 and 3 classes": (
        seeded(ensemble.RandomForestClassifier, n_estimators=20, max_depth=4),
        X,
        np.stack([BINARY, MANY], axis=1),
    ),
    "columns": (
        pipeline.make_pipeline(by_column(), linear_model.LogisticRegression()),
        FRAME,
        BINARY,
    ),
    "columns, others passed through": (
        pipeline.make_pipeline(
            by_column("passthrough"),
            seeded(ensemble.RandomForestRegressor, n_estimators=10, max_depth=4),
        ),
        FRAME,
        SCORE,
    ),
    "columns, imputed": (
        pipeline.make_pipeline(imputed(), linear_model.LogisticRegression()),
        FRAME,
        TEXT_LABEL,
    ),
    "columns, ordinal codes": (
        pipeline.make_pipeline(
            ordinal(), seeded(ensemble.GradientBoostingClassifier, n_estimators=5)
        ),
        FRAME,
        BINARY,
    ),
    "columns by number": (pipeline.make_pipeline(sliced(), linear_model.Ridge()), X, SCORE),
    "frame of numbers": (scaled(linear_model.LogisticRegression()), FRAME[NUMBERS], BINARY),
    "codes of text": (preprocessing.OneHotEncoder(), FRAME[["channel"]], None),
    "words": (
        pipeline.make_pipeline(TfidfVectorizer(), linear_model.LogisticRegression()),
        ["muon and jet", "electron jet", "tau tau", "muon muon"] * 10,
        [0, 1, 0, 1] * 10,
    ),
}

BOOSTERS = all(find_spec(name) for name in ("lightgbm", "xgboost"))  # of another extra
with_boosters = pytest.mark.skipif(not BOOSTERS, reason="LightGBM and XGBoost are not installed")
if BOOSTERS:
    CASES |= {
        "stacked, with LightGBM": (
            ensemble.StackingClassifier(
                [
                    ("a", boosted("lightgbm", "LGBMClassifier")),
                    ("b", linear_model.LogisticRegression()),
                ],
                cv=2,
            ),
            X,
            BINARY,
        ),
        "vote, with XGBoost": (
            ensemble.VotingClassifier(
                [
                    ("a", boosted("xgboost", "XGBClassifier")),
                    ("b", linear_model.LogisticRegression()),
                ],
                voting="soft",
            ),
            X,
            BINARY,
        ),
        "scaled XGBoost": (scaled(boosted("xgboost", "XGBClassifier")), X, BINARY),
        "scaled XGBoost, reg:logistic": (
            scaled(boosted("xgboost", "XGBRegressor", objective="reg:logistic")),
            X,
            BINARY,
        ),
        "scaled XGBoost, 2 targets": (scaled(boosted("xgboost", "XGBRegressor")), X, TWO),
        "scaled LightGBM, text": (scaled(boosted("lightgbm", "LGBMClassifier")), X, TEXT_LABEL),
        "columns, XGBoost": (
            pipeline.make_pipeline(by_column(), boosted("xgboost", "XGBClassifier")),
            FRAME,
            BINARY,
        ),
    }

REFUSED = {
    "no converter": (cluster.Birch(), X, None, "no converter for Birch: replace it"),
    "no converter inside": (
        scaled(cluster.Birch()),
        X,
        None,
        "no converter for Birch: replace it",
    ),
    "categories of histograms": (
        seeded(ensemble.HistGradientBoostingClassifier, max_iter=10, categorical_features=[4]),
        np.c_[X[:, :4], GENERATOR.integers(0, 5, N)],
        BINARY,
        r"rows differ by up to .*--tolerance",
    ),
    "own function": (
        pipeline.make_pipeline(
            preprocessing.FunctionTransformer(np.sinc), linear_model.LogisticRegression()
        ),
        X,
        BINARY,
        "FunctionTransformer is not supported",
    ),
    "predicts nothing": (neighbors.LocalOutlierFactor(), X, None, "neither predict nor transform"),
}


def fit(estimator, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(x) if y is None else estimator.fit(x, y)


def case_of(name, estimator, x, y, refused=""):
    """Judge by rows near those it was fitted on, and by the methods that its outputs say."""
    model = fit(estimator, x, y)
    done = {}

    def convert():
        done["is"] = adapter.convert(model, Options())
        return done["is"]

    def inputs(seed):
        given = done["is"].model.graph.input
        types = {1: np.float32, 7: np.int64, 8: object, 11: np.float64}
        dtypes = [types[i.type.tensor_type.elem_type] for i in given]
        rows = np.random.default_rng(seed).integers(0, len(x), size=500)
        if isinstance(x, list):
            return {given[0].name: np.array(x, dtype=object)[rows][:, None]}
        if len(given) > 1:
            columns = [np.asarray(x[i.name])[rows][:, None] for i in given]
            return {i.name: c.astype(t) for i, c, t in zip(given, columns, dtypes, strict=True)}
        values = np.asarray(x)[rows]
        if values.dtype.kind == "f":
            noise = np.random.default_rng(seed).normal(size=values.shape)
            values = values + noise * 0.3 * np.nanstd(values, axis=0)
        return {given[0].name: values.astype(dtypes[0])}

    def expected(given):
        if isinstance(x, list):
            table = next(iter(given.values()))[:, 0]
        elif len(given) > 1:
            table = pd.DataFrame({name: values[:, 0] for name, values in given.items()})
            table = table.reindex(columns=list(x.columns), fill_value=0)
        else:
            table = next(iter(given.values()))
            table = table.astype(np.float64) if table.dtype == np.float32 else table
            if isinstance(x, pd.DataFrame):
                table = pd.DataFrame(table, columns=x.columns)
        methods = json.loads(done["is"].provenance["outputs"])
        can_predict = hasattr(model, "predict")
        assert next(iter(methods.values())) == ("predict" if can_predict else "transform")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = [getattr(model, method)(table) for method in methods.values()]
        outputs = done["is"].model.graph.output
        ranks = [len(output.type.tensor_type.shape.dim) for output in outputs]
        return [shaped(*pair) for pair in zip(found, methods, ranks, strict=True)]

    return Case(name=name, convert=convert, inputs=inputs, expected=expected, refused=refused)


def shaped(value, name, rank):
    """A column for a list, both signs of a single score, one array for many labels."""
    value = value.toarray() if hasattr(value, "toarray") else value
    if isinstance(value, list):
        most = max(v.shape[1] for v in value)
        value = [np.pad(v, ((0, 0), (0, most - v.shape[1]))) for v in value]
    value = np.asarray(value)
    if value.ndim == 1 and name == "probabilities":
        return np.stack([-value, value], axis=1)
    return value[:, None] if (value.ndim, rank) == (1, 2) else value


def test_conformance(record_property):
    results = {name: judge(case_of(name, *case)) for name, case in CASES.items()}
    results |= {name: judge(case_of(name, *case)) for name, case in REFUSED.items()}
    report("scikit-learn", results, record_property, least_proven=len(CASES))
    assert all(results[name].startswith("refused") for name in REFUSED)


@pytest.mark.sweep
def test_every_estimator(record_property):
    """All that can predict or transform, as far as the exporter knows them: never wrong."""
    names = sklearn_estimators.names()
    results = {}
    for name in names:
        estimator, x = sklearn_estimators.fitted(name)
        numbers = isinstance(x, np.ndarray) and x.ndim == 2
        if numbers and name not in SLOW:
            results[name] = judge(case_of_fitted(name, estimator, x))
            continue
        try:
            adapter.convert(estimator, Options())
            results[name] = "proven"
        except OnnxRootError as error:
            results[name] = f"refused: {error}"
    report(f"all {len(names)} estimators", results, record_property, least_proven=145)


SLOW = {"QuantileTransformer"}


class Fitted:
    """Hands on an estimator that is fitted already."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, *_):
        return self.estimator


def case_of_fitted(name, estimator, x):
    return case_of(name, Fitted(estimator), x, None)


# --- the steps that cure -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("histogram boosting, Poisson", "exponential, float32, ai.onnx.ml 3"),
        ("tuned threshold", "with its threshold, float32"),
        ("feature elimination", "as a pipeline, float32"),
        ("bins", "with dense output, float32"),
        ("independent components", "as a linear map, float32"),
        ("tree of 2 labels", "label by label, float32, ai.onnx.ml 3"),
        ("random forest", "float32, ai.onnx.ml 3, votes counted"),
        pytest.param(
            "scaled XGBoost, reg:logistic",
            "trees score by score, float64, ai.onnx.ml 3",
            marks=with_boosters,
        ),
    ],
)
def test_the_step_that_cures(name, attempt):
    conversion = adapter.convert(fit(*CASES[name]), Options())
    assert conversion.provenance["attempt"] == attempt


def test_ties_of_a_forest_go_to_the_first_class():
    """10 votes of 20: the exporter's sum of 10 times 1/20 in float32 is more than a half."""
    forest = fit(*CASES["random forest"])
    rows = np.random.default_rng(0).normal(size=(20000, 5)).astype(np.float32)
    probabilities = forest.predict_proba(rows.astype(np.float64))
    ties = probabilities[:, 0] == probabilities[:, 1]
    assert ties.sum() > 20
    session = session_of(to_onnx(forest))
    labels = session.run(["label"], {"X": rows})[0]
    assert np.array_equal(labels, forest.predict(rows.astype(np.float64)))


def session_of(model):
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


@with_boosters
@pytest.mark.parametrize("name", ["scaled XGBoost", "columns, XGBoost"])
def test_rows_at_the_splits_of_xgboost(name):
    """XGBoost splits at values of the training data; a scaler in float32 takes some across."""
    model, x, _ = CASES[name]
    model = fit(*CASES[name])
    onnx_model = to_onnx(model)
    if isinstance(x, pd.DataFrame):
        inputs = {i.name: x[i.name].to_numpy()[:, None] for i in onnx_model.graph.input}
        inputs = {n: v.astype(object) if v.dtype.kind not in "fi" else v for n, v in inputs.items()}
    else:
        inputs = {"X": x}
    label, probabilities = session_of(onnx_model).run(None, inputs)
    assert np.array_equal(label, model.predict(x))
    assert np.abs(probabilities - model.predict_proba(x)).max() < 1e-6


# --- what it looks like --------------------------------------------------------------------------


def test_columns_are_inputs_of_their_own_type():
    model = to_onnx(fit(*CASES["columns"]))
    found = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    assert found == {"pt": 1, "eta": 1, "channel": 8, "year": 7}
    assert [output.name for output in model.graph.output] == ["label", "probabilities"]


def test_names_of_features_are_kept():
    conversion = adapter.convert(fit(*CASES["frame of numbers"]), Options())
    assert json.loads(conversion.provenance["feature_names"]) == NUMBERS
    metadata = {entry.key: entry.value for entry in conversion.model.metadata_props}
    assert json.loads(metadata["feature_names"]) == NUMBERS
    assert conversion.provenance["classes"] == "[0, 1]"
    assert conversion.provenance["version.skl2onnx"]


def test_opset_is_pinned():
    model = to_onnx(fit(*CASES["neural network"]), opset=17)
    assert {o.domain: o.version for o in model.opset_import}[""] <= 17


def test_samples_of_the_user(tmp_path):
    model = fit(*CASES["linear regression"])
    np.savez(tmp_path / "s.npz", X=X[:50])
    conversion = adapter.convert(model, Options(samples=tmp_path / "s.npz"))
    rows = conversion.batches[1].inputs["X"]
    assert all((np.abs(X.astype(np.float32) - row).max(axis=1) == 0).any() for row in rows)
    np.savez(tmp_path / "s.npz", other=X)
    with pytest.raises(FormatError, match=r"the model's inputs are X"):
        adapter.convert(model, Options(samples=tmp_path / "s.npz"))


def test_without_proof():
    conversion = adapter.convert(fit(*CASES["SVC"]), Options(check=False))
    assert conversion.batches == ()


DETERMINISTIC = """
import sys, pathlib, joblib
from onnxroot.adapter import Options
from onnxroot_adapters.sklearn import adapter
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.joblib")):
    model = adapter.convert(path, Options(allow_pickle=True)).model
    path.with_suffix(".onnx").write_bytes(model.SerializeToString(deterministic=True))
"""


@pytest.mark.sweep
def test_same_bytes_in_other_processes_and_folders(tmp_path):
    chosen = ["SVC", "columns, imputed", "random forest", "words", "calibrated"]
    chosen += ["scaled XGBoost"] if BOOSTERS else []
    contents = []
    for i, seed in enumerate(("1", "2")):
        folder = tmp_path / f"folder{i}"
        folder.mkdir()
        for name in chosen:
            joblib.dump(fit(*CASES[name]), folder / f"{name}.joblib")
        run(DETERMINISTIC, str(folder), PYTHONHASHSEED=seed)
        contents.append({p.name: p.read_bytes() for p in folder.glob("*.onnx")})
    assert len(contents[0]) == len(chosen)
    assert contents[0] == contents[1]
    assert not any(str(tmp_path).encode() in data for data in contents[0].values())


def run(code, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture(name="model", scope="module")
def _model():
    return scaled(linear_model.LogisticRegression()).fit(X, BINARY)


def test_skops(model, tmp_path):
    skops.io.dump(model, tmp_path / "m.skops")
    assert adapter.describe(tmp_path / "m.skops") == "a skops file of scikit-learn"
    conversion = adapter.convert(tmp_path / "m.skops", Options())
    assert conversion.provenance["source"] == "m.skops"
    assert len(conversion.provenance["source_sha256"]) == 64


@with_boosters
def test_skops_with_xgboost(tmp_path):
    skops.io.dump(fit(*CASES["scaled XGBoost"]), tmp_path / "m.skops")
    assert adapter.convert(tmp_path / "m.skops", Options()).batches


@with_boosters
def test_skops_that_crashes(tmp_path):
    """It holds a booster of XGBoost whose first node has a child that is not there."""
    skops.io.dump(fit(*CASES["scaled XGBoost"]), tmp_path / "whole.skops")
    with (
        zipfile.ZipFile(tmp_path / "whole.skops") as whole,
        zipfile.ZipFile(tmp_path / "m.skops", "w") as forged,
    ):
        for name in whole.namelist():
            head, key, rest = whole.read(name).partition(b"left_children[$l#L")
            forged.writestr(
                name, head + key + rest[:8] + b"\x3f" * bool(key) + rest[8 + bool(key) :]
            )
    with pytest.raises(FormatError, match=r"m\.skops: scikit-learn can't read this .* SIG"):
        adapter.convert(tmp_path / "m.skops", Options())


def test_skops_with_untrusted_types(tmp_path):
    doubled = preprocessing.FunctionTransformer(json.dumps)
    model = pipeline.make_pipeline(doubled, linear_model.LogisticRegression())
    skops.io.dump(model, tmp_path / "m.skops")
    with pytest.raises(UnsupportedModelError, match=r"json\.dumps.*--allow-pickle.*custom-objects"):
        adapter.convert(tmp_path / "m.skops", Options())


@pytest.mark.parametrize("how", ["pkl", "joblib", "zlib", "gzip", "bz2", "xz"])
def test_pickles(model, tmp_path, how):
    path = tmp_path / f"m.{how}"
    if how == "pkl":
        path.write_bytes(pickle.dumps(model))
    else:
        joblib.dump(model, path, compress=0 if how == "joblib" else (how, 3))
    assert adapter.describe(path) == "a pickle of scikit-learn"
    with pytest.raises(UnsupportedModelError, match=r"m\..*is a pickle.*--allow-pickle.*skops"):
        adapter.convert(path, Options())
    assert adapter.convert(path, Options(allow_pickle=True)).batches


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


@pytest.mark.parametrize("how", ["pickle", "joblib", "zlib", "skops"])
def test_hostile_files_run_nothing(model, tmp_path, how):
    """The file ``ran`` would be there if code of the pickle had run."""
    ran, path = tmp_path / "ran", tmp_path / "m.pkl"
    data = pickle.dumps([model, Hostile(ran)])
    if how == "joblib":
        joblib.dump([model, Hostile(ran)], path)
    elif how == "zlib":
        joblib.dump([model, Hostile(ran)], path, compress=3)
    elif how == "skops":
        with zipfile.ZipFile(path, "w") as archive:
            schema = {"__class__": "Path", "__module__": "pathlib", "__loader__": "ReduceNode"}
            archive.writestr("schema.json", json.dumps(schema | {"protocol": 1}))
            archive.writestr("evil.pkl", data)
    else:
        path.write_bytes(data)
    assert "scikit-learn" in adapter.describe(path)
    with pytest.raises((UnsupportedModelError, FormatError)):
        adapter.convert(path, Options())
    assert not ran.exists()
    if how == "pickle":  # the trap works
        with pytest.raises(OnnxRootError):
            adapter.convert(path, Options(allow_pickle=True))
        assert ran.exists()


def test_other_files_are_not_ours(tmp_path):
    for name, data in {
        "a.pkl": pickle.dumps({"a": 1}),
        "b.skops": b"PK\x03\x04",
        "c.joblib": b"",
        "d.onnx": b"\x08\x0a",
        "e.pkl": pickle.dumps(re.compile("sklearn")),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert adapter.describe(tmp_path / name) is None
    assert adapter.describe(tmp_path) is None


def test_objects():
    assert adapter.accepts(linear_model.Ridge())
    assert not adapter.accepts(np.zeros(3))


@with_boosters
def test_boosters_are_of_another_adapter():
    assert not adapter.accepts(boosted("xgboost", "XGBClassifier"))


def test_import_brings_in_no_framework():
    code = (
        "import sys, onnxroot_adapters.sklearn, onnxroot_adapters.trees;"
        "print([m for m in ('sklearn', 'skl2onnx', 'xgboost', 'lightgbm', 'catboost', 'pandas',"
        "'onnxruntime', 'skops') if m in sys.modules])"
    )
    assert run(code).strip() == "[]"


# --- errors --------------------------------------------------------------------------------------


def damaged_skops(path):
    path.write_bytes(b"")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", "{}")


def truncated_pickle(path):
    path.write_bytes(pickle.dumps(linear_model.Ridge().fit(X, SCORE))[:-40])


def missing_module(path):
    path.write_bytes(pickle.dumps(linear_model.Ridge()).replace(b"_ridge", b"_rigde"))


ERRORS = {
    "damaged skops": (damaged_skops, FormatError, r"m\.f: skops can't open it"),
    "truncated": (truncated_pickle, FormatError, r"m\.f: can't be unpickled.*install that one"),
    "missing module": (missing_module, UnsupportedModelError, r"m\.f: needs a module.*install"),
    "not fitted": (
        lambda path: path.write_bytes(pickle.dumps(linear_model.Ridge())),
        UnsupportedModelError,
        r"m\.f: .*is it fitted.*--input",
    ),
    "not an estimator": (
        lambda path: path.write_bytes(pickle.dumps([tree.DecisionTreeClassifier()])),
        UnsupportedModelError,
        r"m\.f: expected an estimator of scikit-learn, found a list.*save it alone",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, tmp_path):
    make, kind, pattern = ERRORS[name]
    make(tmp_path / "m.f")
    with pytest.raises(kind, match=pattern) as caught:
        adapter.convert(tmp_path / "m.f", Options(allow_pickle=True))
    assert "\n" not in str(caught.value)


def test_refusal_says_the_figures_and_what_was_tried():
    with pytest.raises(UnsupportedModelError) as caught:
        to_onnx(fit(*REFUSED["categories of histograms"][:3]))
    assert re.search(r"\d+ of \d+ rows differ", str(caught.value))
    assert "tried: float32, ai.onnx.ml 3; float64" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_larger_tolerance():
    assert to_onnx(fit(*REFUSED["categories of histograms"][:3]), tolerance=1.0, check=False)


def test_count_vectorizer_of_letters():
    """Its lower case is that of ASCII: on few machines has onnxruntime the exporter's locale."""
    vectorizer = CountVectorizer().fit(["Muon jet", "tau"])
    session = session_of(to_onnx(vectorizer))
    texts = np.array([["MUON Muon"], ["tau jet"]], dtype=object)
    found = session.run(None, {"X": texts})[0]
    assert np.array_equal(found, vectorizer.transform(texts[:, 0]).toarray())
