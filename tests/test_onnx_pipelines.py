"""Converters for skl2onnx: networks in pipelines, and within other estimators of scikit-learn."""

import sys

import numpy as np
import pandas as pd
import pytest
from _onnx import onnx, onnxruntime
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skbp import BackpropClassifier, BackpropRegressor, HiddenFeatures
from skbp.layers import GRU, CategoryEmbedding, Dense, Reshape, SequencePool
from skbp.losses import Quantile
from skbp.persistence.onnx import register_converters
from skbp.preprocessing import QuantileNormal, RobustSmoothClip, TableEncoder
from skbp.tabular import RealMLP, TabularClassifier, TabularRegressor

skl2onnx = pytest.importorskip("skl2onnx", reason="needs skbp[test]")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = IRIS.astype(np.float32)
NAMES = np.array(["setosa", "versicolor", "virginica"])
DIABETES, PROGRESS = load_diabetes(return_X_y=True)
DIABETES, PROGRESS = DIABETES.astype(np.float32), PROGRESS / 100
LABELS = {
    "strings": NAMES[SPECIES],
    "codes": SPECIES * 2,
    "two strings": NAMES[np.minimum(SPECIES, 1)],
    "bool": SPECIES > 0,
    "multilabel": np.column_stack([SPECIES > 0, SPECIES < 2, SPECIES == 1]).astype(int),
}


@pytest.fixture(autouse=True, scope="module")
def converters():
    register_converters()


def classifier(*args, **params):
    sizes = args or ([] if "layers" in params else [(6,)])
    return BackpropClassifier(*sizes, **{
        "max_iter": 8, "batch_size": 32, "learning_rate_init": 0.02, "random_state": 0, **params
    })  # fmt: skip


def regressor(*args, **params):
    return BackpropRegressor(*args or [(6,)], **{
        "max_iter": 8, "batch_size": 32, "learning_rate_init": 0.02, "random_state": 0, **params
    })  # fmt: skip


def converted(model, X, **params):
    """Return a function that runs the ONNX form of a model, on an array or a frame."""
    proto = skl2onnx.to_onnx(model, X[:1], **{"target_opset": 18, **params})
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def run(X):
        if isinstance(X, pd.DataFrame):
            return session.run(None, {name: X[[name]].to_numpy() for name in X})
        return session.run(None, {"X": X})

    run.session = session
    return run


def check_classes(model, X, **params):
    """Check labels and probabilities of a classifier's ONNX form."""
    labels, found = converted(model, X, options={"zipmap": False}, **params)(X)
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("name", LABELS)
def test_pipelines(name):
    check_classes(make_pipeline(StandardScaler(), classifier()).fit(IRIS, LABELS[name]), IRIS)


@pytest.mark.parametrize("loss", ["squared_error", "poisson", Quantile([0.1, 0.5, 0.9])])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_pipelines_of_regression(loss, n_targets):
    y = np.column_stack([PROGRESS, DIABETES[:, 0] + 1])[:, :n_targets].squeeze()
    model = make_pipeline(StandardScaler(), regressor(loss=loss)).fit(DIABETES, y)
    (found,) = converted(model, DIABETES)(DIABETES)
    expected = model.predict(DIABETES)
    assert found.ndim == max(2, expected.ndim)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)


def test_float64_where_the_input_is():
    X = IRIS.astype(np.float64)
    net = make_pipeline(StandardScaler(), classifier(dtype="float64")).fit(X, SPECIES)
    _, found = converted(net, X, options={"zipmap": False})(X)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, net.predict_proba(X), atol=1e-12)


def test_options():
    model = classifier().fit(IRIS, NAMES[SPECIES])
    labels, maps = converted(model, IRIS)(IRIS)
    assert labels.tolist() == model.predict(IRIS).tolist()
    expected = model.predict_proba(IRIS)
    np.testing.assert_allclose([[one[n] for n in NAMES] for one in maps], expected, atol=1e-5)
    labels, *columns = converted(model, IRIS, options={"zipmap": "columns"})(IRIS)
    np.testing.assert_allclose(np.transpose(columns), expected, atol=1e-5)
    options = {"zipmap": False, "nocl": True}
    labels, _ = converted(model, IRIS, options=options)(IRIS)
    np.testing.assert_array_equal(NAMES[labels], model.predict(IRIS))
    options = {"zipmap": False, "output_class_labels": True}
    assert converted(model, IRIS, options=options)(IRIS)[2].tolist() == NAMES.tolist()


@pytest.mark.parametrize("name", ["strings", "two strings", "multilabel"])
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_raw_scores(name, loss):
    model = classifier(loss=loss).fit(IRIS, LABELS[name])
    options = {"zipmap": False, "raw_scores": True}
    labels, found = converted(model, IRIS, options=options)(IRIS)
    expected = model.decision_function(IRIS)
    expected = np.column_stack([-expected, expected]) if expected.ndim == 1 else expected
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(labels, model.predict(IRIS))


@pytest.mark.parametrize("opset", [13, 15, 18, 21])
def test_opsets(opset):
    check_classes(classifier().fit(IRIS, SPECIES), IRIS, target_opset=opset)


def test_an_opset_that_is_too_low():
    with pytest.raises(ValueError, match="13 or more"):
        skl2onnx.to_onnx(classifier().fit(IRIS, SPECIES), IRIS, target_opset=11)


def test_columns_of_a_frame():
    frame = pd.DataFrame(IRIS, columns=list("abcd"))
    frame["color"] = np.array(["red", "blue"], object)[np.arange(len(IRIS)) % 2]
    prepared = make_column_transformer(
        (StandardScaler(), list("abcd")), (OneHotEncoder(handle_unknown="ignore"), ["color"])
    )
    y = NAMES[np.maximum(SPECIES, frame["color"] == "red")]
    model = make_pipeline(prepared, classifier()).fit(frame, y)
    check_classes(model, frame)


ENSEMBLES = {
    "voting": lambda: VotingClassifier(
        [("a", classifier()), ("b", classifier((4,), "tanh")), ("c", LogisticRegression())],
        voting="soft",
        flatten_transform=False,
    ),
    "hard": lambda: VotingClassifier(
        [("a", classifier()), ("b", classifier((4,)))], flatten_transform=False
    ),
    "stacking": lambda: StackingClassifier(
        [("a", classifier()), ("b", LogisticRegression())], classifier((3,)), cv=2
    ),
    "sigmoid": lambda: CalibratedClassifierCV(classifier(), cv=2),
    "search": lambda: GridSearchCV(classifier(), {"alpha": [0.0, 0.1]}, cv=2),
}


@pytest.mark.parametrize("name", ENSEMBLES)
@pytest.mark.parametrize("labels", ["strings", "two strings"])
def test_ensembles(name, labels):
    model = make_pipeline(StandardScaler(), ENSEMBLES[name]()).fit(IRIS, LABELS[labels])
    if name == "hard":
        options = {"zipmap": False}
        found, _ = converted(model, IRIS, options=options)(IRIS)
        np.testing.assert_array_equal(found, model.predict(IRIS))
        return
    check_classes(model, IRIS)


@pytest.mark.parametrize("kind", [VotingRegressor, StackingRegressor])
def test_ensembles_of_regressors(kind):
    members = [("a", regressor()), ("b", regressor((4,), "tanh")), ("c", Ridge())]
    model = make_pipeline(StandardScaler(), kind(members)).fit(DIABETES, PROGRESS)
    (found,) = converted(model, DIABETES)(DIABETES)
    np.testing.assert_allclose(found[:, 0], model.predict(DIABETES), atol=1e-5)


def test_members_and_sequences():
    check_classes(classifier(n_members=3).fit(IRIS, SPECIES), IRIS)
    layers = [Reshape((2, 2)), GRU(3, return_sequences=True), SequencePool(), Dense(4)]
    model = make_pipeline(StandardScaler(), classifier(layers=layers)).fit(IRIS, SPECIES)
    check_classes(model, IRIS)


def test_hidden_features():
    net = FrozenEstimator(classifier((5, 4)).fit(IRIS, SPECIES))
    model = make_pipeline(HiddenFeatures(net, layer=0), LogisticRegression()).fit(IRIS, SPECIES)
    check_classes(model, IRIS)


@pytest.mark.parametrize("scaler", [QuantileNormal(), RobustSmoothClip(clip=2.0)])
def test_scales(scaler):
    X = IRIS.copy()
    X[::7, 1] = np.nan
    X = np.column_stack([X, np.full(len(X), 3.0)]).astype(np.float32)
    far = np.vstack([X, 100 * X, -X])
    run = converted(scaler.fit(X), X)
    np.testing.assert_allclose(run(far)[0], scaler.transform(far), atol=1e-6)
    check_classes(make_pipeline(scaler, classifier()).fit(X, SPECIES), X)


def table(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({
        "size": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)).astype(np.float32),
        "color": rng.choice(["red", "green", "blue", ""], n).astype(object),
        "age": rng.integers(20, 60, n),
        "new": rng.random(n) < 0.5,
        "rooms": pd.Categorical(rng.integers(1, 9, n)),
    })  # fmt: skip


def test_tables():
    X = table()
    y = (X["color"] == "red") | (X["size"] > 0.5)
    preset = RealMLP(n_members=2, max_iter=3, min_updates=0, hidden_layer_sizes=(16,))
    plain = table(seed=1).astype({"rooms": int})
    check_classes(TabularClassifier(preset, random_state=0).fit(X, y), plain)
    model = TabularRegressor(preset, random_state=0).fit(X, X["age"] / 10)
    (found,) = converted(model, plain)(plain)
    np.testing.assert_allclose(found[:, 0], model.predict(plain), atol=1e-5)


@pytest.mark.parametrize(
    "name, values, words",
    [
        ("size", "large", "'size' holds numbers, and comes in as strings"),
        ("color", 1.5, "'color' holds categories that are text, and comes in as float64"),
        ("rooms", "two", "'rooms' holds categories that are numbers, and comes in as strings"),
    ],
)
def test_columns_of_another_type_are_named(name, values, words):
    X = table()
    preset = RealMLP(n_members=2, max_iter=1, min_updates=0, hidden_layer_sizes=(16,))
    model = TabularRegressor(preset, random_state=0).fit(X, X["age"])
    with pytest.raises(ValueError, match=words):
        converted(model, X.astype({"rooms": int}).assign(**{name: values}))


def test_an_encoder_before_a_network():
    X = table()
    encoder = TableEncoder(numeric="both", one_hot_max=2)
    n_codes = encoder.fit(X).cardinalities_
    net = classifier(layers=[CategoryEmbedding(n_codes, 3), Dense(8)])
    model = make_pipeline(encoder, net).fit(X, X["color"])
    check_classes(model, table(seed=1).astype({"rooms": int}))


def test_a_matrix_of_columns():
    X = DIABETES.copy()
    X[::5, 2] = np.nan
    model = TabularRegressor(RealMLP(n_members=2, max_iter=2, min_updates=0), random_state=0)
    model.fit(X, PROGRESS)
    (found,) = converted(model, X)(X)
    np.testing.assert_allclose(found[:, 0], model.predict(X), atol=1e-5)
    with pytest.raises(ValueError, match="10 columns, and 9 come in"):
        skl2onnx.to_onnx(model, X[:1, :9], target_opset=18)


def test_a_network_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        skl2onnx.to_onnx(classifier(), IRIS[:1], options={"zipmap": False}, target_opset=18)
    with pytest.raises(NotFittedError):
        skl2onnx.to_onnx(regressor(), IRIS[:1], target_opset=18)


def test_without_skl2onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match="pip install skl2onnx"):
        register_converters()
