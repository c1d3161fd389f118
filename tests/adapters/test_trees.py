"""XGBoost, LightGBM, CatBoost -> ONNX: the conformance suite, files, pickles, errors."""

import json
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxmltools")

import catboost
import joblib
import lightgbm
import onnxruntime
import pandas as pd
import xgboost

from onnxroot.adapter import Options
from onnxroot.errors import FormatError, UnsupportedModelError
from onnxroot_adapters.trees import adapter, to_onnx
from tests.adapters.conformance import Case, judge, report
from tests.golden import golden

GENERATOR = np.random.default_rng(3)
N = 300
X = GENERATOR.normal(size=(N, 5))
SCORE = X[:, 0] * 2 + X[:, 1] ** 2 - X[:, 2] + 0.3 * GENERATOR.normal(size=N)
BINARY = (SCORE > 0).astype(int)
MANY = np.digitize(SCORE, [-1.0, 1.0])
TEXT_LABEL = np.array(["background", "signal"])[BINARY]
POSITIVE = np.abs(SCORE) + 0.1
TWO = np.stack([SCORE, X[:, 3] - SCORE], axis=1)
HOLES = np.where(GENERATOR.random(X.shape) < 0.1, np.nan, X)
CODES = np.c_[X[:, :4], GENERATOR.integers(0, 6, N)]
SHIFTED = SCORE + CODES[:, 4] % 3
GROUPS = [100, 100, 100]
NAMES = ["pt", "eta", "phi [rad]", "mass", "charge"]


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gblinear. is deprecated"),  # by XGBoost 3.4
    pytest.mark.filterwarnings("ignore:'force_all_finite' was renamed"),  # not in LightGBM 4.5
]


def xgb(objective, y, x=X, rounds=8, data=None, **parameters):
    matrix = xgboost.DMatrix(x, y, **(data or {}))
    return xgboost.train({"objective": objective, "max_depth": 3} | parameters, matrix, rounds)


def xgb_aft():
    matrix = xgboost.DMatrix(X)
    matrix.set_float_info("label_lower_bound", POSITIVE)
    matrix.set_float_info("label_upper_bound", POSITIVE)
    return xgboost.train({"objective": "survival:aft"}, matrix, 6)


def xgb_rank(objective):
    matrix = xgboost.DMatrix(X, MANY)
    matrix.set_group(GROUPS)
    return xgboost.train({"objective": objective}, matrix, 6)


def xgb_codes(**parameters):
    data = {"feature_types": ["q"] * 4 + ["c"], "enable_categorical": True}
    return xgb("reg:squarederror", SHIFTED, CODES, data=data, **parameters)


def xgb_stopped(y):
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2)
    return model.fit(X, y, eval_set=[(X[:90], y[:90][::-1])], verbose=False)


def lgb(objective, y, x=X, rounds=8, data=None, **parameters):
    base = {"objective": objective, "num_leaves": 6, "verbose": -1, "seed": 0}
    return lightgbm.train(base | parameters, lightgbm.Dataset(x, y, **(data or {})), rounds)


FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}


def cat(kind, y, x=X, **parameters):
    base = {"iterations": 8, "verbose": 0, "allow_writing_files": False, "random_seed": 0}
    fit = {"group_id": np.repeat([0, 1, 2], 100)} if kind == "CatBoostRanker" else {}
    return getattr(catboost, kind)(**base | parameters).fit(x, y, **fit)


# name: (what makes it, its inputs), for what exporters do to them.
CASES = {
    "xgboost squared error": lambda: xgb("reg:squarederror", SCORE),
    "xgboost reg:logistic": lambda: xgb("reg:logistic", BINARY),
    "xgboost binary:logistic": lambda: xgb("binary:logistic", BINARY),
    "xgboost multi:softprob": lambda: xgb("multi:softprob", MANY, num_class=3),
    "xgboost multi:softmax": lambda: xgb("multi:softmax", MANY, num_class=3),
    "xgboost hinge": lambda: xgb("binary:hinge", BINARY),
    "xgboost logitraw": lambda: xgb("binary:logitraw", BINARY),
    "xgboost Poisson": lambda: xgb("count:poisson", POSITIVE),
    "xgboost gamma": lambda: xgb("reg:gamma", POSITIVE),
    "xgboost Tweedie": lambda: xgb("reg:tweedie", POSITIVE),
    "xgboost absolute error": lambda: xgb("reg:absoluteerror", SCORE),
    "xgboost squared log error": lambda: xgb("reg:squaredlogerror", POSITIVE),
    "xgboost pseudo-Huber": lambda: xgb("reg:pseudohubererror", SCORE),
    "xgboost quantiles": lambda: xgb(
        "reg:quantileerror", SCORE, quantile_alpha=np.array([0.1, 0.5, 0.9])
    ),
    "xgboost Cox": lambda: xgb("survival:cox", POSITIVE),
    "xgboost AFT": xgb_aft,
    "xgboost dart": lambda: xgb(
        "binary:logistic", BINARY, rounds=20, booster="dart", rate_drop=0.5
    ),
    "xgboost dart, 3 classes": lambda: xgb(
        "multi:softprob", MANY, rounds=12, booster="dart", rate_drop=0.5, num_class=3
    ),
    "xgboost linear": lambda: xgb("reg:squarederror", SCORE, booster="gblinear"),
    "xgboost linear, 2 classes": lambda: xgb("binary:logistic", BINARY, booster="gblinear"),
    "xgboost linear, 3 classes": lambda: xgb(
        "multi:softprob", MANY, booster="gblinear", num_class=3
    ),
    "xgboost 2 targets": lambda: xgb("reg:squarederror", TWO),
    "xgboost 2 targets, vectors in leaves": lambda: xgb(
        "reg:squarederror", TWO, multi_strategy="multi_output_tree"
    ),
    "xgboost ranks": lambda: xgb_rank("rank:ndcg"),
    "xgboost ranks, pairwise": lambda: xgb_rank("rank:pairwise"),
    "xgboost named features": lambda: xgb(
        "binary:logistic", BINARY, data={"feature_names": [n.split(" ")[0] for n in NAMES]}
    ),
    "xgboost missing values": lambda: xgb("binary:logistic", BINARY, HOLES),
    "xgboost categories": lambda: xgb_codes(max_cat_to_onehot=1),
    "xgboost categories, one by one": lambda: xgb_codes(max_cat_to_onehot=10),
    "xgboost parallel trees": lambda: xgb(
        "multi:softprob", MANY, num_class=3, num_parallel_tree=3, subsample=0.5
    ),
    "XGBClassifier": lambda: xgboost.XGBClassifier(n_estimators=6).fit(X, BINARY),
    "XGBClassifier, base score": lambda: xgboost.XGBClassifier(n_estimators=6, base_score=0.8).fit(
        X, BINARY
    ),
    "XGBClassifier, many labels": lambda: xgboost.XGBClassifier(n_estimators=6).fit(
        X, np.stack([BINARY, (MANY > 1).astype(int)], axis=1)
    ),
    "XGBClassifier, stopped early": lambda: xgb_stopped(BINARY),
    "XGBClassifier, 3 classes, stopped early": lambda: xgb_stopped(MANY),
    "XGBRegressor, 0 is missing": lambda: xgboost.XGBRegressor(n_estimators=6, missing=0.0).fit(
        X.round(), SCORE
    ),
    "XGBRFClassifier": lambda: xgboost.XGBRFClassifier(n_estimators=6).fit(X, BINARY),
    "XGBRanker": lambda: xgboost.XGBRanker(n_estimators=6).fit(X, MANY, group=GROUPS),
    "lightgbm squared error": lambda: lgb("regression", SCORE),
    "lightgbm absolute error": lambda: lgb("l1", SCORE),
    "lightgbm quantile": lambda: lgb("quantile", SCORE, alpha=0.9),
    "lightgbm fair": lambda: lgb("fair", SCORE),
    "lightgbm Poisson": lambda: lgb("poisson", POSITIVE),
    "lightgbm gamma": lambda: lgb("gamma", POSITIVE),
    "lightgbm root": lambda: lgb("regression", POSITIVE, reg_sqrt=True),
    "lightgbm binary": lambda: lgb("binary", BINARY),
    "lightgbm steep binary": lambda: lgb("binary", BINARY, sigmoid=2.0),
    "lightgbm 3 classes": lambda: lgb("multiclass", MANY, num_class=3),
    "lightgbm one against all": lambda: lgb("multiclassova", MANY, num_class=3),
    "lightgbm cross entropy": lambda: lgb("cross_entropy", BINARY),
    "lightgbm cross entropy lambda": lambda: lgb("cross_entropy_lambda", BINARY),
    "lightgbm forest": lambda: lgb("binary", BINARY, **FOREST),
    "lightgbm forest, squared error": lambda: lgb("regression", SCORE, **FOREST),
    "lightgbm forest, 3 classes": lambda: lgb("multiclass", MANY, num_class=3, **FOREST),
    "lightgbm forest, Poisson": lambda: lgb("poisson", POSITIVE, **FOREST),
    "lightgbm dart": lambda: lgb("binary", BINARY, boosting="dart"),
    "lightgbm ranks": lambda: lgb("lambdarank", MANY, data={"group": GROUPS}),
    "lightgbm categories": lambda: lgb(
        "regression",
        SHIFTED,
        CODES,
        data={"categorical_feature": [4]},
        min_data_per_group=5,
        cat_smooth=1,
    ),
    "lightgbm missing values": lambda: lgb("regression", SCORE, HOLES),
    "lightgbm 0 is missing": lambda: lgb("regression", SCORE, X.round(), zero_as_missing=True),
    "lightgbm named features": lambda: lgb(
        "binary", BINARY, data={"feature_name": [n.split(" ")[0] for n in NAMES]}
    ),
    "LGBMClassifier, text": lambda: lightgbm.LGBMClassifier(n_estimators=6, verbose=-1).fit(
        X, TEXT_LABEL
    ),
    "LGBMClassifier, 3 classes": lambda: lightgbm.LGBMClassifier(n_estimators=6, verbose=-1).fit(
        X, MANY
    ),
    "LGBMClassifier, forest": lambda: lightgbm.LGBMClassifier(
        n_estimators=6, verbose=-1, boosting_type="rf", subsample=0.6, subsample_freq=1
    ).fit(X, BINARY),
    "LGBMRegressor": lambda: lightgbm.LGBMRegressor(n_estimators=6, verbose=-1).fit(X, SCORE),
    "catboost binary": lambda: cat("CatBoostClassifier", BINARY),
    "catboost binary, text": lambda: cat("CatBoostClassifier", TEXT_LABEL),
    "catboost 3 classes": lambda: cat("CatBoostClassifier", MANY),
    "catboost one against all": lambda: cat(
        "CatBoostClassifier", MANY, loss_function="MultiClassOneVsAll"
    ),
    "catboost squared error": lambda: cat("CatBoostRegressor", SCORE),
    "catboost Poisson": lambda: cat("CatBoostRegressor", POSITIVE, loss_function="Poisson"),
    "catboost Tweedie": lambda: cat(
        "CatBoostRegressor", POSITIVE, loss_function="Tweedie:variance_power=1.5"
    ),
    "catboost quantile": lambda: cat(
        "CatBoostRegressor", SCORE, loss_function="Quantile:alpha=0.9"
    ),
    "catboost 2 targets": lambda: cat("CatBoostRegressor", TWO, loss_function="MultiRMSE"),
    "catboost missing values": lambda: cat("CatBoostClassifier", BINARY, HOLES),
    "catboost ranks": lambda: cat("CatBoostRanker", MANY),
}

if xgboost.__version__ < "3.2":  # it says nothing of vectors in leaves
    del CASES["xgboost 2 targets, vectors in leaves"]

WORDS = [[str(int(v * 3)), w] for v, w in X[:, :2]]

REFUSED = {
    "lightgbm linear trees": (
        lambda: lgb("regression", SCORE, linear_tree=True),
        "train with linear_tree=False",
    ),
    "catboost categories": (
        lambda: cat("CatBoostRegressor", SCORE, WORDS, cat_features=[0]),
        "categorical features to ONNX: train with numbers",
    ),
    "catboost asymmetric trees": (
        lambda: cat("CatBoostRegressor", SCORE, grow_policy="Lossguide"),
        "train with grow_policy='SymmetricTree'",
    ),
    "not fitted": (xgboost.XGBClassifier, "is it fitted"),
}


def made(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CASES[name]()


def inputs_of(name):
    """Rows like those in training, not those at the splits that the adapter draws."""

    def inputs(seed):
        generator = np.random.default_rng(seed)
        base = CODES if "categories" in name else X.round() if "0 is missing" in name else X
        rows = base[generator.integers(0, N, size=500)]
        if base is X:
            rows = rows + generator.normal(size=rows.shape) * 0.3
            rows[generator.random(rows.shape) < 0.02] = np.nan
        return {"X": rows.astype(np.float32)}

    return inputs


def expected_of(model):
    """Ask the library by its plainest interface."""

    def classified(scores):
        scores = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
        return [scores.argmax(axis=1), scores]

    def expected(inputs):
        x = inputs["X"]
        if hasattr(model, "predict_proba"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                labels = np.asarray(model.predict(x))
                labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
                return [labels.astype(object), model.predict_proba(x)]
        if isinstance(model, xgboost.Booster):
            matrix = xgboost.DMatrix(
                x,
                feature_names=model.feature_names,
                feature_types=model.feature_types,
                enable_categorical=True,
            )
            found = model.predict(matrix)
            objective = json.loads(model.save_config())["learner"]["objective"]["name"]
            if objective == "multi:softmax":
                margins = np.exp(model.predict(matrix, output_margin=True))
                return [found.astype(int), margins / margins.sum(axis=1, keepdims=True)]
            if objective in {"binary:logistic", "binary:hinge", "multi:softprob"}:
                return classified(found)
        else:
            found = model.predict(x)
            text = model.model_to_string() if isinstance(model, lightgbm.Booster) else ""
            if re.search(r"^objective=(binary|multiclass)", text, re.MULTILINE):
                return classified(found)
        return [found.reshape(len(x), -1)]

    return expected


def case_of(name, model, refused=""):
    return Case(
        name=name,
        convert=lambda: adapter.convert(model, Options()),
        inputs=inputs_of(name),
        expected=expected_of(model),
        refused=refused,
    )


def test_conformance(record_property):
    results = {name: judge(case_of(name, made(name))) for name in CASES}
    for name, (make, pattern) in REFUSED.items():
        results[name] = judge(case_of(name, make(), pattern))
    report("trees", results, record_property, least_proven=len(CASES))
    assert all(results[name].startswith("refused") for name in REFUSED)


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("xgboost binary:logistic", "as it is"),
        ("xgboost reg:logistic", "score by score"),
        ("xgboost 2 targets", "score by score"),
        ("xgboost ranks", "score by score"),
        ("xgboost dart", "score by score"),
        ("xgboost linear", "as a linear model"),
        ("lightgbm forest", "score by score"),
        ("lightgbm binary", "with rounded thresholds"),
        ("catboost Poisson", "exponential"),
        ("catboost one against all", "logistic"),
    ],
)
def test_the_step_that_cures(name, attempt):
    assert adapter.convert(made(name), Options()).provenance["attempt"] == attempt


@pytest.mark.parametrize("name", ["lightgbm binary", "lightgbm forest, 3 classes"])
def test_rows_at_the_splits_of_lightgbm(name):
    """LightGBM's thresholds have 64 bits: rows of 32 bits right at them go the same way."""
    booster = made(name)
    thresholds = [
        float(value)
        for line in re.findall(r"^threshold=(.*)$", booster.model_to_string(), re.MULTILINE)
        for value in line.split()
    ]
    near = np.float32(thresholds)
    near = np.concatenate([near, np.nextafter(near, np.float32(-9)), np.nextafter(near, 9)])
    rows = np.random.default_rng(0).choice(near, size=(3000, 5)).astype(np.float32)
    found = session_of(to_onnx(booster)).run(["probabilities"], {"X": rows})[0]
    wanted = booster.predict(rows.astype(np.float64))
    wanted = np.stack([1 - wanted, wanted], axis=1) if wanted.ndim == 1 else wanted
    assert np.abs(found - wanted).max() < 1e-5


def session_of(model):
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


# --- files ---------------------------------------------------------------------------------------

FILES = {
    "m.json": ("xgboost named features", "XGBoost"),
    "m.ubj": ("XGBClassifier", "XGBoost"),
    "m.txt": ("lightgbm named features", "LightGBM"),
    "m.cbm": ("catboost binary, text", "CatBoost"),
    "regressor.cbm": ("catboost Poisson", "CatBoost"),
    "ranks.json": ("XGBRanker", "XGBoost"),
    "linear.ubj": ("xgboost linear", "XGBoost"),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("suffix", ["", ".model"])
def test_files(tmp_path, file, suffix):
    """The content counts, not the suffix."""
    name, library = FILES[file]
    made(name).save_model(str(tmp_path / file))
    path = (tmp_path / file).rename(tmp_path / (file + suffix))
    assert adapter.describe(path) == f"a model file of {library}"
    conversion = adapter.convert(path, Options())
    assert conversion.provenance["framework"] == library
    assert conversion.provenance["source"] == path.name
    assert len(conversion.provenance["source_sha256"]) == 64


@pytest.mark.parametrize("place", [12467, 12507, 12574])
def test_catboost_that_crashes(tmp_path, place):
    """On trees that split by what is not there: numbers that are far too large."""
    data = bytearray((golden("catboost_binary").parent / "source/catboost_binary.cbm").read_bytes())
    data[place] = 0x80
    (tmp_path / "m.cbm").write_bytes(data)
    with pytest.raises((FormatError, UnsupportedModelError), match=r"m\.cbm: "):
        adapter.convert(tmp_path / "m.cbm", Options())


def test_a_file_gives_what_the_object_gives(tmp_path):
    for file in ("m.ubj", "m.txt", "m.cbm"):
        model = made(FILES[file][0])
        model.save_model(str(tmp_path / file))
        rows = inputs_of("")(5)
        found, wanted = (
            session_of(adapter.convert(source, Options()).model).run(None, rows)
            for source in (tmp_path / file, model)
        )
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_names_of_features_are_kept():
    for name in ("xgboost named features", "lightgbm named features"):
        conversion = adapter.convert(made(name), Options())
        kept = ["pt", "eta", "phi", "mass", "charge"]
        assert json.loads(conversion.provenance["feature_names"]) == kept
        metadata = {entry.key: entry.value for entry in conversion.model.metadata_props}
        assert json.loads(metadata["feature_names"]) == kept


def test_opset_is_pinned():
    model = to_onnx(made("xgboost reg:logistic"), opset=18)
    assert {o.domain: o.version for o in model.opset_import}[""] == 18


def test_categories_by_name():
    """Of a data frame; ONNX takes their numbers, in the order of the categories."""
    frame = pd.DataFrame(
        {"pt": X[:, 0], "channel": pd.Categorical(np.array(["e", "mu", "t"])[MANY])}
    )
    for model in (
        xgboost.XGBClassifier(n_estimators=5, enable_categorical=True),
        lightgbm.LGBMClassifier(n_estimators=5, verbose=-1),
    ):
        model.fit(frame, BINARY)
        rows = np.stack([X[:, 0], frame["channel"].cat.codes], axis=1).astype(np.float32)
        label, scores = session_of(to_onnx(model)).run(None, {"X": rows})
        table = frame.assign(pt=rows[:, 0].astype(float))
        assert np.array_equal(label, model.predict(table))
        assert np.abs(scores - model.predict_proba(table)).max() < 1e-5


DETERMINISTIC = """
import sys, pathlib
from onnxroot.adapter import Options
from onnxroot_adapters.trees import adapter
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.m")):
    model = adapter.convert(path, Options()).model
    path.with_suffix(".onnx").write_bytes(model.SerializeToString(deterministic=True))
"""


def test_quantiles_cross_where_those_of_xgboost_do():
    """From 3.4 on they do not; in the training data they hardly ever would."""
    booster = CASES["xgboost quantiles"]()
    far = (3 * GENERATOR.normal(size=(4000, 5))).astype(np.float32)
    margins = booster.predict(xgboost.DMatrix(far), output_margin=True)
    assert (np.diff(margins, axis=1) < 0).any()
    session = onnxruntime.InferenceSession(to_onnx(booster).SerializeToString())
    (found,) = session.run(None, {session.get_inputs()[0].name: far})
    np.testing.assert_allclose(found, booster.predict(xgboost.DMatrix(far)), atol=1e-5)


@pytest.mark.sweep
def test_same_bytes_in_other_processes_and_folders(tmp_path):
    models = {file: made(name) for file, (name, _) in FILES.items()}
    contents = []
    for i, seed in enumerate(("1", "2")):
        folder = tmp_path / f"folder{i}"
        folder.mkdir()
        for file, model in models.items():
            model.save_model(str(folder / file))
            (folder / file).rename(folder / f"{file}.m")
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DETERMINISTIC, str(folder)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
        )
        contents.append({p.name: p.read_bytes() for p in folder.glob("*.onnx")})
    assert len(contents[0]) == len(FILES)
    assert contents[0] == contents[1]
    assert not any(str(tmp_path).encode() in data for data in contents[0].values())


@pytest.mark.parametrize("name", ["XGBClassifier", "lightgbm binary", "catboost binary"])
def test_pickles(name, tmp_path):
    path = tmp_path / "m.pkl"
    joblib.dump(made(name), path)
    assert adapter.describe(path).startswith("a pickle of ")
    with pytest.raises(UnsupportedModelError, match=r"m\.pkl is a pickle.*|m\.pkl: is a pickle.*"):
        adapter.convert(path, Options())
    assert adapter.convert(path, Options(allow_pickle=True)).batches


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def test_hostile_pickle_runs_nothing(tmp_path):
    ran, path = tmp_path / "ran", tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps([Hostile(ran), xgboost.XGBClassifier()]))
    assert adapter.describe(path) == "a pickle of XGBoost"
    with pytest.raises(UnsupportedModelError, match=r"--allow-pickle.*save_model"):
        adapter.convert(path, Options())
    assert not ran.exists()


def test_other_files_are_not_ours(tmp_path):
    for name, data in {
        "a.json": b'{"learners": 1}',
        "b.txt": b"tree of life",
        "c.cbm": b"",
        "d.ubj": b"{L",
        "e.pkl": pickle.dumps({"a": 1}),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert adapter.describe(tmp_path / name) is None
    assert adapter.describe(tmp_path) is None


ERRORS = {
    "m.json": (
        b'{"learner":{"attributes":{}}}',
        r"m\.json: not what XGBoost writes: 'learner_model_param'",
    ),
    "m.bst": (b"binf\0\0\0\0", r"m\.bst: XGBoost can't open it.*<3\.1.*save it as model\.json"),
    "m.txt": (b"tree\nversion=v4\n", r"m\.txt: not what LightGBM writes: the end of trees"),
    "m.cbm": (b"CBM1\x10\0\0\0", r"m\.cbm: CatBoost can't open it"),
}


@pytest.mark.parametrize("file", ERRORS)
def test_damaged_files(file, tmp_path):
    data, pattern = ERRORS[file]
    (tmp_path / file).write_bytes(data)
    assert adapter.describe(tmp_path / file)
    with pytest.raises(FormatError, match=pattern) as caught:
        adapter.convert(tmp_path / file, Options())
    assert "\n" not in str(caught.value)


def test_objects():
    assert adapter.accepts(xgboost.XGBClassifier())
    assert adapter.accepts(lightgbm.LGBMRegressor())
    assert adapter.accepts(made("xgboost squared error"))
    assert not adapter.accepts(np.zeros(3))
