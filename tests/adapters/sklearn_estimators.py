"""All estimators of scikit-learn that can predict or transform, fitted."""

import itertools
import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances

TEXTS = ["the muon has momentum", "the electron has charge", "a jet is a cone", "jet of hadrons"]

NOT_OF_TABLES = {"KernelCenterer", "MultiLabelBinarizer"}
"""They take a kernel, and sets."""


def names() -> list[str]:
    """Return the names of all estimators that can predict or transform new data."""
    found = all_estimators()
    return [
        name
        for name, cls in found
        if (hasattr(cls, "predict") or hasattr(cls, "transform")) and name not in NOT_OF_TABLES
    ]


def fitted(name: str) -> tuple[BaseEstimator, np.ndarray]:
    """Return an estimator, and what it was fitted on."""
    cls = dict(all_estimators())[name]
    errors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        instances = list(_instances(name, cls))
    for instance in instances:
        if "random_state" in instance.get_params():
            instance.set_params(random_state=0)
    for instance, (x, y) in itertools.product(instances, _data(name)):
        reason = _fit(instance, x, y)
        if not reason:
            return instance, x
        errors.append(reason)
    raise AssertionError(f"{name}: {errors}")


def _fit(instance: BaseEstimator, x: object, y: object) -> str:
    """Fit, and return why that can't be; nothing if it can."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            instance.fit(x) if y is None else instance.fit(x, y)
    except Exception as error:  # noqa: BLE001  (other data may do)
        return f"{type(error).__name__}: {error}"
    return ""


def _instances(name: str, cls: type) -> Iterator[BaseEstimator]:
    if name == "ColumnTransformer":
        yield cls([("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), [2, 3])])
    elif name == "FeatureUnion":
        yield cls([("a", StandardScaler()), ("b", MinMaxScaler())])
    elif name == "Pipeline":
        yield cls([("a", StandardScaler()), ("b", LogisticRegression())])
    elif name in {"VotingClassifier", "StackingClassifier"}:
        yield cls([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))])
    elif name in {"VotingRegressor", "StackingRegressor"}:
        yield cls([("a", Ridge()), ("b", Ridge(alpha=3))])
    elif name == "SparseCoder":
        yield cls(np.eye(4))
    elif name.endswith("SearchCV"):
        yield cls(LogisticRegression(), {"C": [0.1, 1.0]})
    else:
        yield from _construct_instances(cls)


def _data(name: str) -> Iterator[tuple[object, object]]:
    generator = np.random.default_rng(5)
    x = generator.normal(size=(120, 4)) + np.array([0, 1, 2, -1])
    score = x @ [1.0, -0.5, 0.3, 0.2] + 0.3 * generator.normal(size=120)
    label = (score > 0).astype(int)
    many = np.digitize(score, [-1.0, 0.5])
    if name in {"DictVectorizer", "FeatureHasher"}:
        yield [{"a": 1.0, "b": 2.0}, {"b": 3.0}], None
    if "Vectorizer" in name or name == "TfidfTransformer":
        if name == "TfidfTransformer":
            yield generator.integers(0, 3, size=(60, 5)), None
        yield TEXTS, None
    if name in {"LabelEncoder", "LabelBinarizer"}:
        yield many, None
    if name == "MultiLabelBinarizer":
        yield [("a", "b"), ("b",)], None
    if name == "IsotonicRegression":
        yield x[:, 0], score
    if name == "CategoricalNB" or name.endswith("Encoder"):
        yield generator.integers(0, 3, size=(120, 4)), label
    if "Regress" in name or "SVR" in name or "CCA" in name or "PLS" in name:
        yield x, np.abs(score) + 0.1
        yield x, np.stack([score, -score], axis=1)
    if name.startswith("MultiOutput") or name in {"ClassifierChain", "RegressorChain"}:
        yield x, np.stack([label, many > 0], axis=1).astype(int)
    if name == "MultiTaskLasso" or name.startswith("MultiTask") or "Multi" in name:
        yield x, np.stack([score, -score], axis=1)
    for inputs in (x, np.abs(x), x[:, :1]):
        yield inputs, many
        yield inputs, label
        yield inputs, np.abs(score) + 0.1
        yield inputs, np.stack([score, -score], axis=1)
        yield inputs, None
