"""What the estimators do: labels, weights, containers, dtypes, meta-estimators."""

import copy
import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from _common import pairs
from scipy.sparse import coo_array, csc_array, csr_array, csr_matrix, issparse, lil_array
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.class_weight import compute_sample_weight

from skbp import BackpropClassifier, BackpropRegressor
from skbp.activations import ACTIVATIONS, Activation, ReLU, Tanh
from skbp.initializers import INITIALIZERS, GlorotUniform, HeNormal, Zeros
from skbp.losses import LOSSES, BinaryLogLoss, LogLoss, Poisson, SquaredError
from skbp.optimizers import SGD, Adam
from skbp.schedules import Adaptive, Constant, InverseScaling

ESTIMATORS = [BackpropClassifier, BackpropRegressor]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(250, 5))
BINARY = (X[:, 0] + X[:, 1] > 0).astype(int)
LABELS = BINARY + (X[:, 2] > 0.5)
NUMBERS = np.tanh(X[:, 0]) + X[:, 1]
INDICATORS = (X[:, :3] > 0).astype(int)


def target_of(estimator_class):
    return LABELS if estimator_class is BackpropClassifier else NUMBERS


def make(estimator_class, **params):
    defaults = {"hidden_layer_sizes": (8,), "max_iter": 6, "random_state": 0, "batch_size": 50}
    return estimator_class(**{**defaults, **params})


def fit(estimator, X=X, y=None, **kwargs):
    """Fit; these few epochs do not converge, and need not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, target_of(type(estimator)) if y is None else y, **kwargs)


def trained(estimator_class, y=None, **params):
    """Fit well enough for the score to mean something."""
    defaults = {"max_iter": 60, "learning_rate_init": 0.02}
    return fit(make(estimator_class, **{**defaults, **params}), y=y)


def assert_same_weights(a, b):
    assert len(a.coefs_) == len(b.coefs_)
    for one, other in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------ labels


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("names", [["no", "yes"], ["c", "a", "b"]], ids=str)
def test_string_labels(names, solver):
    codes = BINARY if len(names) == 2 else LABELS
    rate = {"learning_rate_init": 0.1} if solver == "sgd" else {}
    for dtype in (object, str):
        y = np.array(names, dtype=dtype)[codes]
        estimator = trained(BackpropClassifier, y, solver=solver, **rate)
        np.testing.assert_array_equal(estimator.classes_, sorted(names))
        assert estimator.score(X, y) > 0.85
        assert set(estimator.predict(X)) == set(names)
    as_list = trained(BackpropClassifier, list(y), solver=solver, **rate)
    assert_same_weights(as_list, estimator)


@pytest.mark.parametrize(
    "values", [(0, 1), (-1, 1), (5, 7), (False, True), (1.0, 2.0), (2, 10, 30)]
)
def test_labels_of_any_value(values):
    codes = BINARY if len(values) == 2 else LABELS
    estimator = trained(BackpropClassifier, np.array(values)[codes])
    plain = trained(BackpropClassifier, codes)
    assert_same_weights(estimator, plain)
    np.testing.assert_array_equal(estimator.classes_, values)
    np.testing.assert_array_equal(estimator.predict(X), np.array(values)[plain.predict(X)])
    assert estimator.predict(X).dtype == np.array(values).dtype


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("label", ["only", 3])
def test_one_class(label, solver):
    y = np.array([label] * 250)
    estimator = fit(make(BackpropClassifier, solver=solver), y=y)
    np.testing.assert_array_equal(estimator.classes_, [label])
    np.testing.assert_array_equal(estimator.predict(X), y)
    np.testing.assert_array_equal(estimator.predict_proba(X), np.ones((250, 1)))
    np.testing.assert_array_equal(estimator.predict_log_proba(X), np.zeros((250, 1)))
    assert estimator.score(X, y) == 1


def test_multilabel():
    X, y = make_multilabel_classification(400, 8, n_classes=4, n_labels=2, random_state=0)
    X = StandardScaler().fit_transform(X)
    params = {"max_iter": 100, "learning_rate_init": 0.02}
    dense = fit(make(BackpropClassifier, **params), X, y)
    assert dense.n_outputs_ == 4
    assert dense.out_activation_ == "logistic"
    prediction, p = dense.predict(X), dense.predict_proba(X)
    assert prediction.shape == p.shape == (400, 4)
    np.testing.assert_array_equal(prediction, p > 0.5)
    assert (prediction == y).mean() > 0.8
    assert dense.score(X, y) == (prediction == y).all(axis=1).mean()
    np.testing.assert_allclose(dense.predict_log_proba(X), np.log(p), rtol=1e-9, atol=1e-14)
    # one network per label would see other shapes, but a label's marginal is learnt as well
    single = fit(MultiOutputClassifier(make(BackpropClassifier, **params)), X, y)
    assert (single.predict(X) == prediction).mean() > 0.8
    for container in (csr_matrix, csr_array, csc_array, coo_array, lil_array):
        sparse = fit(make(BackpropClassifier, **params), X, container(y))
        assert_same_weights(sparse, dense)
        assert issparse(sparse.predict(X))
        np.testing.assert_array_equal(sparse.predict(X).toarray(), prediction)
        np.testing.assert_array_equal(sparse.predict_proba(X), p)
        assert sparse.score(X, container(y)) == dense.score(X, y)
    for same in (y.astype(bool), y.tolist(), y.astype(float)):
        assert_same_weights(fit(make(BackpropClassifier, **params), X, same), dense)
    dense.partial_fit(X, csr_array(y))


def test_multilabel_partial_fit_from_the_start():
    estimator = make(BackpropClassifier).partial_fit(X, INDICATORS, classes=[0, 1, 2])
    for _ in range(30):
        estimator.partial_fit(X, INDICATORS)
    assert estimator.predict(X).shape == INDICATORS.shape
    with pytest.raises(ValueError, match="classes"):
        make(BackpropClassifier).partial_fit(X, INDICATORS)


def test_early_stopping_with_every_kind_of_target():
    for y in (BINARY, LABELS, INDICATORS, csr_array(INDICATORS)):
        estimator = trained(BackpropClassifier, y, early_stopping=True)
        assert len(estimator.validation_scores_) == estimator.n_iter_
        assert estimator.best_validation_score_ == max(estimator.validation_scores_) > 0.4
        assert estimator.best_loss_ is None
    for y in (NUMBERS, np.c_[NUMBERS, -NUMBERS]):
        estimator = trained(BackpropRegressor, y, early_stopping=True)
        assert estimator.best_validation_score_ == max(estimator.validation_scores_) > 0.5


# ------------------------------------------------------------ numbers


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_several_outputs(solver):
    y = np.c_[NUMBERS, X[:, 2], -NUMBERS]
    estimator = trained(BackpropRegressor, y, solver=solver)
    assert estimator.n_outputs_ == 3
    assert estimator.predict(X).shape == (250, 3)
    assert (r2_score(y, estimator.predict(X), multioutput="raw_values") > 0.9).all()
    assert estimator.coefs_[-1].shape == (8, 3)


def test_one_output_has_one_axis():
    estimator = fit(make(BackpropRegressor))
    assert estimator.predict(X).shape == (250,)
    with pytest.warns(sklearn.exceptions.DataConversionWarning, match="column-vector"):
        column = make(BackpropRegressor, tol=1e6, n_iter_no_change=1).fit(X, NUMBERS[:, None])
    assert column.predict(X).shape == (250,)
    assert column.n_outputs_ == 1


def test_poisson():
    y = RNG.poisson(np.exp(X[:, 0] - 0.5 * X[:, 1]))
    estimator = trained(BackpropRegressor, y, loss="poisson", max_iter=150)
    assert estimator.out_activation_ == "exp"
    assert (estimator.predict(X) > 0).all()
    log_rate = np.log(estimator.predict(X))
    assert np.corrcoef(log_rate, X[:, 0] - 0.5 * X[:, 1])[0, 1] > 0.9
    # the mean is matched, as the canonical link has it
    assert estimator.predict(X).mean() == pytest.approx(y.mean(), rel=0.1)


@pytest.mark.parametrize("kind", [int, bool, np.float32, np.int8])
def test_targets_of_any_numeric_dtype(kind):
    y = (NUMBERS > 0).astype(kind)
    assert_same_weights(fit(make(BackpropRegressor), y=y),
                        fit(make(BackpropRegressor), y=y.astype(float)))  # fmt: skip


# ------------------------------------------------------------ weights


def assert_close_weights(a, b):
    for one, other in zip(a.coefs_, b.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


# In full batch a class weight is a sample weight. In mini-batches it is relative to its mean over
# all rows, not over the batch: see test_weight_equivalence.py.
FULL_BATCH = {"batch_size": 250, "dtype": "float64", "alpha": 0.1, "learning_rate_init": 0.01}


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", ["dict", "balanced", "dict of strings"])
def test_class_weight_is_a_sample_weight(kind, solver):
    y, params = LABELS, {**FULL_BATCH, "solver": solver}
    class_weight = {0: 0.5, 1: 2.0, 2: 5.0}
    if kind == "balanced":
        class_weight = "balanced"
    if kind == "dict of strings":
        y = np.array(["a", "b", "c"])[LABELS]
        class_weight = dict(zip("abc", class_weight.values(), strict=True))
    weight = compute_sample_weight(class_weight, y)
    by_class = fit(make(BackpropClassifier, class_weight=class_weight, **params), y=y)
    by_row = fit(make(BackpropClassifier, **params), y=y, sample_weight=weight)
    assert_close_weights(by_class, by_row)
    plain = fit(make(BackpropClassifier, **params), y=y)
    assert not np.allclose(by_class.coefs_[0], plain.coefs_[0], rtol=1e-3)
    if kind != "balanced":  # and both together multiply
        extra = RNG.uniform(0.5, 2, len(y))
        both = fit(make(BackpropClassifier, class_weight=class_weight, **params), y=y,
                   sample_weight=extra)  # fmt: skip
        product = fit(make(BackpropClassifier, **params), y=y, sample_weight=extra * weight)
        assert_close_weights(both, product)


def test_class_weight_for_multilabel():
    y = np.c_[BINARY, X[:, 2] > 1].astype(int)
    weights = [{0: 1.0, 1: 3.0}, {0: 2.0, 1: 0.5}]
    rows = np.array([1.0, 3.0])[y[:, 0]] * np.array([2.0, 0.5])[y[:, 1]]
    for class_weight, weight in (
        (weights, rows),
        ("balanced", compute_sample_weight("balanced", y)),
    ):
        assert_close_weights(
            fit(make(BackpropClassifier, class_weight=class_weight, **FULL_BATCH), y=y),
            fit(make(BackpropClassifier, **FULL_BATCH), y=y, sample_weight=weight),
        )


def test_balancing_raises_the_recall_of_a_rare_class():
    y = (X[:, 0] + RNG.normal(size=250) > 2.2).astype(int)
    assert 0 < y.mean() < 0.15
    recalls = [
        trained(BackpropClassifier, y, class_weight=class_weight, max_iter=20).predict(X)[y == 1]
        for class_weight in (None, "balanced")
    ]
    assert recalls[1].mean() > recalls[0].mean() + 0.2


def test_a_class_weight_of_zero_drops_the_class():
    estimator = trained(BackpropClassifier, class_weight={0: 1, 1: 1, 2: 0})
    np.testing.assert_array_equal(estimator.classes_, [0, 1, 2])
    assert (estimator.predict(X) != 2).mean() > 0.95


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_score_with_weights(estimator_class):
    y, weight = target_of(estimator_class), RNG.uniform(size=len(X))
    estimator = fit(make(estimator_class))
    metric = accuracy_score if estimator_class is BackpropClassifier else r2_score
    for w in (None, weight):
        assert estimator.score(X, y, sample_weight=w) == metric(
            y, estimator.predict(X), sample_weight=w
        )
    assert estimator.score(X, y) != estimator.score(X, y, sample_weight=weight)


def test_a_weight_may_be_one_number():
    assert_same_weights(
        fit(make(BackpropRegressor), sample_weight=2.0),
        fit(make(BackpropRegressor), sample_weight=np.full(len(X), 2.0)),
    )


# ------------------------------------------------------------ containers

FRAMES = {
    "pandas": lambda X, names: pd.DataFrame(X, columns=names),
    "polars": lambda X, names: pl.DataFrame(X, schema=names),
}
NAMES = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_data_frames(estimator_class, library):
    y = target_of(estimator_class)
    frame = FRAMES[library](X, NAMES)
    series = (pd if library == "pandas" else pl).Series(y)
    estimator = fit(make(estimator_class), frame, series)
    np.testing.assert_array_equal(estimator.feature_names_in_, NAMES)
    assert estimator.n_features_in_ == 5
    plain = fit(make(estimator_class))
    assert not hasattr(plain, "feature_names_in_")
    assert_same_weights(estimator, plain)
    np.testing.assert_array_equal(estimator.predict(frame), plain.predict(X))
    for names in (["a", "b", "c", "e", "d"], ["a", "b", "c", "d", "f"]):
        with pytest.raises(ValueError, match="feature names"):
            estimator.predict(FRAMES[library](X, names))
        with pytest.raises(ValueError, match="feature names"):
            estimator.partial_fit(FRAMES[library](X, names), y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        estimator.predict(X)
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        plain.predict(frame)
    fit(estimator)
    assert not hasattr(estimator, "feature_names_in_")


def test_string_labels_in_a_series():
    y = np.array(["x", "y", "z"])[LABELS]
    expected = fit(make(BackpropClassifier), y=y)
    for series in (pd.Series(y), pd.Series(y, dtype="category"), pl.Series(y)):
        got = fit(make(BackpropClassifier), y=series)
        assert_same_weights(got, expected)
        np.testing.assert_array_equal(got.predict(X), expected.predict(X))


CONTAINERS = [csr_array, csr_matrix, csc_array, coo_array, lil_array]


WAYS = [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"shuffle": False}, {"dropout": 0.2}]


@pairs(estimator_class=ESTIMATORS, params=WAYS, container=CONTAINERS)
def test_sparse_is_dense(estimator_class, params, container):
    dense = np.where(RNG.random(X.shape) < 0.4, X, 0)
    params = {"dtype": "float64", **params}
    a = fit(make(estimator_class, **params), dense)
    b = fit(make(estimator_class, **params), container(dense))
    for one, other in zip(a.coefs_, b.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(b.predict(container(dense)), b.predict(dense), rtol=1e-10)


def awkward_csr(kind):
    """Return a valid CSR matrix in an unusual form, and the same as a dense array."""
    dense = np.where(RNG.random((250, 5)) < 0.4, X, 0)
    dense[10:14] = 0
    matrix = csr_array(dense)
    if kind == "duplicates":
        half = csr_array(dense)
        row = np.repeat(np.arange(250), np.diff(half.indptr))
        matrix = csr_array(
            (np.repeat(half.data / 2, 2), np.repeat(half.indices, 2), 2 * half.indptr),
            shape=half.shape,
        )
        assert len(row) * 2 == matrix.nnz
    elif kind == "unsorted":
        for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
            matrix.indices[start:stop] = matrix.indices[start:stop][::-1].copy()
            matrix.data[start:stop] = matrix.data[start:stop][::-1].copy()
        matrix = csr_array((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
    elif kind == "explicit zeros":
        matrix.data[::3] = 0
        dense = matrix.toarray()
    elif kind == "spare room":
        matrix.data = np.concatenate([matrix.data, np.full(9, 7.0)])
        matrix.indices = np.concatenate([matrix.indices, np.full(9, 1, matrix.indices.dtype)])
    elif kind == "long indices":
        matrix.indices = matrix.indices.astype(np.int64)
        matrix.indptr = matrix.indptr.astype(np.int64)
    elif kind == "long indptr":
        matrix.indptr = matrix.indptr.astype(np.int64)
    elif kind == "long columns":
        matrix.indices = matrix.indices.astype(np.int64)
    elif kind == "whole numbers":
        dense = np.round(dense * 3)
        matrix = csr_array(dense.astype(np.int32))
    elif kind == "float32":
        dense = dense.astype(np.float32)
        matrix = csr_array(dense)
    elif kind == "all zero":
        dense = np.zeros((250, 5))
        matrix = csr_array(dense)
    return matrix, dense


@pytest.mark.parametrize(
    "kind",
    ["duplicates", "unsorted", "explicit zeros", "spare room", "long indices", "long indptr",
     "long columns", "whole numbers", "float32", "all zero"],
)  # fmt: skip
# Chosen rows, and rows one after the other.
@pytest.mark.parametrize("params", [{"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
def test_awkward_sparse_matrices(params, kind):
    matrix, dense = awkward_csr(kind)
    params = {"dtype": "float64", **params}
    a = fit(make(BackpropRegressor, **params), dense)
    b = fit(make(BackpropRegressor, **params), matrix)
    for one, other in zip(a.coefs_, b.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(b.predict(matrix), a.predict(dense), rtol=1e-6)
    if params.get("solver") != "lbfgs":
        b.partial_fit(matrix, NUMBERS)


@pytest.mark.parametrize(
    "form",
    [np.asfortranarray, lambda X: np.repeat(X, 2, axis=1)[:, ::2], list, lambda X: X[::-1][::-1]],
)
def test_any_memory_layout(form):
    assert_same_weights(fit(make(BackpropRegressor), form(X)), fit(make(BackpropRegressor)))


# ------------------------------------------------------------ dtypes


@pairs(
    container=(np.asarray, csr_array), given=(np.float32, np.float64),
    dtype=("auto", "float32", "float64"), estimator_class=ESTIMATORS,
)  # fmt: skip
def test_predictions_have_the_dtype_of_the_input(container, given, dtype, estimator_class):
    data = container(X.astype(given))
    estimator = fit(make(estimator_class, dtype=dtype), data)
    for array in (*estimator.coefs_, *estimator.intercepts_):
        assert array.dtype == given
    for asked in (np.float32, np.float64):
        ask = container(X.astype(asked))
        if estimator_class is BackpropClassifier:
            assert estimator.predict_proba(ask).dtype == asked
            assert estimator.predict_log_proba(ask).dtype == asked
        else:
            assert estimator.predict(ask).dtype == asked


def test_auto_dtype():
    def computes_in(X=X, **params):
        return fit(make(BackpropRegressor, **params), X, NUMBERS[: len(X)]).dtype_

    single = X.astype(np.float32)
    assert computes_in() == np.float32  # mini-batches
    assert computes_in(batch_size=len(X)) == np.float64
    assert computes_in(batch_size="auto") == np.float32  # 200 of 250 rows
    assert computes_in(X[:200], batch_size="auto") == np.float64
    assert computes_in(single, batch_size=len(X)) == np.float32
    assert computes_in(solver="lbfgs") == computes_in(single, solver="lbfgs") == np.float64
    for name, expected in (("float32", np.float32), (np.float64, np.float64)):
        for solver in ("adam", "lbfgs"):
            assert computes_in(dtype=name, solver=solver) == expected
    assert computes_in(X.astype(int), batch_size=len(X)) == np.float64
    assert computes_in(X.astype(np.float16), batch_size=len(X)) == np.float64


# ------------------------------------------------------------ probabilities


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("y, shape", [(BINARY, (250, 2)), (LABELS, (250, 3))], ids=["two", "three"])
def test_probabilities(y, shape, dtype):
    estimator = trained(BackpropClassifier, y, dtype=dtype)
    for scale in (1, 1e3):
        p = estimator.predict_proba(X * scale)
        assert p.shape == shape
        assert p.dtype == np.float64
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=0, atol=1e-12)
        assert (p > 0).all()
        assert (p < 1).all() or scale > 1
        np.testing.assert_array_equal(
            estimator.predict(X * scale), estimator.classes_[p.argmax(axis=1)]
        )
        log_p = estimator.predict_log_proba(X * scale)
        np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("y", [BINARY, LABELS, INDICATORS], ids=["two", "three", "multilabel"])
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_log_probabilities_are_finite(given, y):
    estimator = trained(BackpropClassifier, y)
    extreme = (X * 1e6).astype(given)
    log_p = estimator.predict_log_proba(extreme)
    assert np.isfinite(log_p).all()
    assert (log_p <= 0).all()
    assert log_p.min() < -80
    p = estimator.predict_proba(extreme)
    assert (p > 0).all()
    assert (p <= 1).all()


# ------------------------------------------------------------ components and names


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
@pytest.mark.parametrize(
    "named, given",
    [
        ({"solver": "adam", "beta_1": 0.8}, {"solver": Adam(beta_1=0.8)}),
        ({"solver": "sgd", "momentum": 0.5}, {"solver": SGD(0.5)}),
        ({"solver": "sgd", "nesterovs_momentum": False}, {"solver": SGD(nesterovs_momentum=False)}),
        (
            {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
            {"solver": SGD(), "learning_rate": InverseScaling(0.3)},
        ),
        (
            {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 1.0},
            {"solver": "sgd", "learning_rate": Adaptive(), "n_iter_no_change": 1, "tol": 1.0},
        ),
        ({}, {"learning_rate": Constant()}),
        ({}, {"activation": ReLU()}),
        ({"activation": "tanh"}, {"activation": Tanh()}),
        ({}, {"initializer": GlorotUniform(random_bias=True)}),
        ({"initializer": "he_normal"}, {"initializer": HeNormal()}),
    ],
    ids=str,
)
def test_a_component_is_as_good_as_its_name(named, given, estimator_class):
    a, b = fit(make(estimator_class, **named)), fit(make(estimator_class, **given))
    assert_same_weights(a, b)
    assert a.loss_curve_ == b.loss_curve_


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_by_name_and_as_component(name):
    a = trained(BackpropRegressor, activation=name)
    assert_same_weights(a, trained(BackpropRegressor, activation=ACTIVATIONS[name]()))
    assert a.score(X, NUMBERS) > 0.8


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_by_name_and_as_component(name):
    a = trained(BackpropRegressor, initializer=name)
    assert_same_weights(a, trained(BackpropRegressor, initializer=INITIALIZERS[name]()))
    assert a.score(X, NUMBERS) > 0.8 or name == "zeros"


def test_losses_by_name_and_as_component():
    y = np.abs(NUMBERS)
    for name, component in (("squared_error", SquaredError()), ("poisson", Poisson())):
        assert_same_weights(
            fit(make(BackpropRegressor, loss=name), y=y),
            fit(make(BackpropRegressor, loss=component), y=y),
        )
    for labels, component in ((BINARY, BinaryLogLoss()), (LABELS, LogLoss())):
        assert_same_weights(
            fit(make(BackpropClassifier), y=labels),
            fit(make(BackpropClassifier, loss=component), y=labels),
        )
    assert set(LOSSES) >= {"squared_error", "poisson", "log_loss", "binary_log_loss"}


def test_a_net_without_hidden_layers_is_a_linear_model():
    estimator = fit(
        make(BackpropRegressor, hidden_layer_sizes=(), solver="lbfgs", alpha=0, max_iter=500,
             initializer=Zeros(), tol=1e-10)
    )  # fmt: skip
    design = np.c_[X, np.ones(len(X))]
    solution = np.linalg.lstsq(design, NUMBERS, rcond=None)[0]
    np.testing.assert_allclose(estimator.coefs_[0][:, 0], solution[:-1], atol=1e-4)
    assert estimator.intercepts_[0][0] == pytest.approx(solution[-1], abs=1e-4)
    assert estimator.n_layers_ == 2


class Softplus(Activation):
    """``log(1 + exp(z))``: a user's own activation, which needs its input for the gradient."""

    needs_input = True

    def apply(self, z, out):
        np.logaddexp(0, z, out=out)

    def gradient(self, dy, y, z):
        dy /= 1 + np.exp(-z)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_activation_of_ones_own(solver):
    estimator = trained(BackpropRegressor, activation=Softplus(), solver=solver, dropout=0.0)
    assert estimator.score(X, NUMBERS) > 0.9
    assert trained(BackpropRegressor, activation=Softplus(), dropout=0.1).score(X, NUMBERS) > 0.8


# ------------------------------------------------------------ fitted attributes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_assigned_weights_are_used(estimator_class, dtype):
    estimator = fit(make(estimator_class, dtype=dtype))
    before = estimator.predict(X)
    other = fit(make(estimator_class, dtype=dtype, random_state=1))
    for i in range(2):
        estimator.coefs_[i] = other.coefs_[i]
        estimator.intercepts_[i] = other.intercepts_[i]
    assert not np.array_equal(before, other.predict(X))
    np.testing.assert_array_equal(estimator.predict(X), other.predict(X))
    assert_same_weights(estimator, other)
    estimator.coefs_[-1] = np.zeros_like(estimator.coefs_[-1])  # a negative index
    estimator.intercepts_[-1] = np.zeros_like(estimator.intercepts_[-1])
    assert len(np.unique(estimator.predict(X))) == 1
    with pytest.raises(ValueError, match="Got an array of shape"):
        estimator.coefs_[0] = np.zeros((2, 2))
    with pytest.raises(IndexError):
        estimator.coefs_[5] = np.zeros((2, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_assigned_slices_of_weights_are_used(dtype):
    estimator = fit(make(BackpropRegressor, hidden_layer_sizes=(8, 4), dtype=dtype))
    other = fit(make(BackpropRegressor, hidden_layer_sizes=(8, 4), dtype=dtype, random_state=1))
    estimator.coefs_[:] = other.coefs_
    estimator.intercepts_[:1] = other.intercepts_[:1]
    estimator.intercepts_[1:] = other.intercepts_[1:]
    np.testing.assert_array_equal(estimator.predict(X), other.predict(X))
    same_shape = fit(make(BackpropRegressor, hidden_layer_sizes=(5, 5), dtype=dtype))
    same_shape.coefs_[:2] = [np.zeros((5, 5))] * 2
    assert not same_shape.coefs_[0].any()
    assert not same_shape.coefs_[1].any()


def test_weights_edited_in_place():
    estimator = fit(make(BackpropRegressor, dtype="float64"))
    for weights in (*estimator.coefs_, *estimator.intercepts_):
        weights[...] = 0
    np.testing.assert_array_equal(estimator.predict(X), 0)
    copies = fit(make(BackpropRegressor, dtype="float32"))  # of float64 input
    for weights in (*copies.coefs_, *copies.intercepts_):
        with pytest.raises(ValueError, match="read-only"):
            weights[...] = 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lists_of_weights_can_be_copied(dtype):
    estimator = fit(make(BackpropRegressor, dtype=dtype))
    kept = copy.deepcopy(estimator.coefs_)
    before = [w.copy() for w in estimator.coefs_]
    estimator.coefs_[0] = np.zeros_like(before[0])
    for a, b in zip(kept, before, strict=True):
        np.testing.assert_array_equal(a, b)
    kept[0] = np.ones_like(before[0])  # a copy, which is nobody's network
    assert not estimator.coefs_[0].any()


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_fitted_attributes(estimator_class):
    estimator = make(estimator_class, hidden_layer_sizes=(7, 4))
    for name in ("coefs_", "intercepts_", "n_iter_", "loss_", "classes_", "n_features_in_"):
        assert not hasattr(estimator, name)
    fit(estimator)
    k = 3 if estimator_class is BackpropClassifier else 1
    assert [w.shape for w in estimator.coefs_] == [(5, 7), (7, 4), (4, k)]
    assert [b.shape for b in estimator.intercepts_] == [(7,), (4,), (k,)]
    assert estimator.n_layers_ == 4
    assert estimator.n_outputs_ == k
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 6
    assert estimator.t_ == 6 * len(X)
    assert estimator.loss_ == estimator.loss_curve_[-1]
    assert estimator.best_loss_ == min(estimator.loss_curve_)
    assert estimator.validation_scores_ is None
    assert estimator.best_validation_score_ is None
    assert estimator.out_activation_ == ("softmax" if k == 3 else "identity")
    lbfgs = fit(make(estimator_class, solver="lbfgs"))
    assert not hasattr(lbfgs, "loss_curve_")
    assert lbfgs.n_iter_ <= 6


@pytest.mark.parametrize("sizes", [7, (7,), [7], np.array([7]), np.int64(7), (np.int32(7),)])
def test_forms_of_hidden_layer_sizes(sizes):
    assert_same_weights(
        fit(make(BackpropRegressor, hidden_layer_sizes=sizes)),
        fit(make(BackpropRegressor, hidden_layer_sizes=(7,))),
    )


# ------------------------------------------------------------ training, again and further


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_warm_start(estimator_class, solver):
    estimator = make(estimator_class, warm_start=True, max_iter=3, solver=solver)
    losses = [fit(estimator).loss_ for _ in range(10)]
    assert losses[-1] < losses[0]
    if solver != "lbfgs":
        assert len(estimator.loss_curve_) == 30
        assert estimator.n_iter_ == 3
        assert estimator.t_ == 30 * len(X)
    cold = make(estimator_class, warm_start=False, max_iter=3, solver=solver)
    assert fit(cold).loss_ == fit(cold).loss_


def test_warm_start_begins_at_the_last_weights():
    estimator = fit(make(BackpropRegressor, warm_start=True))
    weights = [w.copy() for w in estimator.coefs_]
    fit(estimator.set_params(learning_rate_init=1e-30, solver="sgd"))
    for a, b in zip(estimator.coefs_, weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_partial_fit_is_there_for_stochastic_solvers_only(estimator_class):
    for solver in ("adam", "sgd", Adam(), SGD()):
        assert hasattr(make(estimator_class, solver=solver), "partial_fit")
    lbfgs = make(estimator_class, solver="lbfgs")
    assert not hasattr(lbfgs, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        lbfgs.partial_fit(X, target_of(estimator_class))


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_partial_fit_goes_once_over_the_rows(estimator_class):
    estimator, y = make(estimator_class, max_iter=50), target_of(estimator_class)
    extra = {"classes": [0, 1, 2]} if estimator_class is BackpropClassifier else {}
    for calls in (1, 2, 3):
        estimator.partial_fit(X, y, **extra)
        assert estimator.t_ == calls * len(X)
        assert estimator.n_iter_ == 1
        assert len(estimator.loss_curve_) == calls
        extra = {}


def test_partial_fit_knows_classes_that_have_not_come_yet():
    estimator = make(BackpropClassifier, learning_rate_init=0.02)
    estimator.partial_fit(X[LABELS == 1], LABELS[LABELS == 1], classes=[2, 0, 1])
    np.testing.assert_array_equal(estimator.classes_, [0, 1, 2])
    for _ in range(60):
        estimator.partial_fit(X, LABELS)
    assert estimator.score(X, LABELS) > 0.8


def test_verbose(capsys):
    estimator = fit(make(BackpropRegressor, verbose=True, max_iter=3))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for i, (line, loss) in enumerate(zip(lines, estimator.loss_curve_, strict=True), 1):
        assert line.startswith(f"Iteration {i}, loss = {loss:.8f}, rate = 0.001, ")
        assert re.search(r", [\d.]+ m?s$", line)
    estimator = fit(make(BackpropClassifier, verbose=1, max_iter=2, early_stopping=True))
    lines = capsys.readouterr().out.splitlines()
    scores = [float(re.search("validation accuracy = ([^,]*)", line)[1]) for line in lines]
    np.testing.assert_allclose(scores, estimator.validation_scores_, atol=1e-6)
    fit(make(BackpropRegressor, verbose=True, tol=1e6, n_iter_no_change=1, max_iter=9))
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"Training loss did not improve more than tol=.* Stopping\.", last)
    params = {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5}
    fit(make(BackpropRegressor, verbose=True, tol=1e6, n_iter_no_change=1, **params))
    assert "Setting learning rate to 0.1" in capsys.readouterr().out
    estimator = fit(make(BackpropRegressor, verbose=True, solver="lbfgs"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == estimator.n_iter_
    assert lines[0].startswith("Iteration 1, objective = ")
    fit(make(BackpropRegressor))
    assert capsys.readouterr().out == ""


def test_what_warns():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(6\)") as caught:
        make(BackpropRegressor).fit(X, NUMBERS)
    assert caught[0].filename == __file__  # the user's line, not one of ours
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge") as caught:
        make(BackpropRegressor, solver="lbfgs").fit(X, NUMBERS)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="batch_size=900") as caught:
        make(BackpropRegressor, batch_size=900, tol=1e6, n_iter_no_change=1).fit(X, NUMBERS)
    assert caught[0].filename == __file__


# ------------------------------------------------------------ scikit-learn's machinery


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_representations(estimator_class):
    estimator = make(estimator_class, solver=Adam(beta_1=0.8), activation=Tanh())
    for _ in range(2):
        html = estimator._repr_html_()
        assert estimator_class.__name__ in html
        assert "beta_1" in html
        assert "solver=Adam(beta_1=0.8)" in repr(estimator)
        fit(estimator)
    assert estimator_class.__name__ in make_pipeline(StandardScaler(), estimator)._repr_html_()


def test_tags():
    for estimator_class in ESTIMATORS:
        tags = get_tags(estimator_class())
        assert tags.input_tags.sparse
        assert not tags.input_tags.allow_nan
        assert tags.target_tags.required
        assert not tags.non_deterministic
    tags = get_tags(BackpropClassifier())
    assert tags.estimator_type == "classifier"
    assert tags.classifier_tags.multi_class
    assert tags.classifier_tags.multi_label
    tags = get_tags(BackpropRegressor())
    assert tags.estimator_type == "regressor"
    assert tags.target_tags.multi_output


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_metadata_routing(estimator_class):
    y, weight = target_of(estimator_class), RNG.uniform(0.5, 2, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        net = make(estimator_class).set_fit_request(sample_weight=True)
        net.set_score_request(sample_weight=True)
        model = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
        fit(model, y=y, sample_weight=weight)
        scaled = StandardScaler().fit_transform(X)
        assert_same_weights(model[-1], fit(make(estimator_class), scaled, y, sample_weight=weight))
        grid = {f"{type(net).__name__.lower()}__alpha": [1e-4, 1e2]}
        search = fit(GridSearchCV(model, grid, cv=2), y=y, sample_weight=weight)
        assert_same_weights(
            search.best_estimator_[-1],
            fit(
                make(estimator_class, alpha=next(iter(search.best_params_.values()))),
                scaled, y, sample_weight=weight,
            ),
        )  # fmt: skip
        net.set_partial_fit_request(sample_weight=True)
        with pytest.raises(Exception, match="sample_weight"):  # nobody asked for it
            fit(GridSearchCV(make(estimator_class), {"alpha": [1]}), y=y, sample_weight=weight)


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_search_over_parameters_of_components(estimator_class):
    y = target_of(estimator_class)
    estimator = make(estimator_class, solver=Adam(), learning_rate=InverseScaling())
    grid = {"solver__beta_1": [0.5, 0.95], "learning_rate__power_t": [0.0, 3.0]}
    search = fit(GridSearchCV(estimator, grid, cv=2), y=y)
    assert search.best_params_["learning_rate__power_t"] == 0  # the other one hardly learns
    assert estimator.solver.beta_1 == 0.9
    assert search.best_estimator_.solver.beta_1 == search.best_params_["solver__beta_1"]
    assert len(set(search.cv_results_["mean_test_score"])) > 2
    by_component = {"solver": [Adam(), SGD()], "activation": ["tanh", ReLU()]}
    search = fit(GridSearchCV(make(estimator_class), by_component, cv=2), y=y)
    assert len(search.cv_results_["params"]) == 4


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_cross_validation_of_a_pipeline(estimator_class):
    model = make_pipeline(
        StandardScaler(), make(estimator_class, max_iter=60, learning_rate_init=0.02)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = cross_val_score(model, X, target_of(estimator_class), cv=3)
    assert scores.min() > 0.75


def test_all_parameters_are_keywords_but_two():
    for estimator_class in ESTIMATORS:
        assert estimator_class((3,), "tanh").get_params()["activation"] == "tanh"
        with pytest.raises(TypeError, match="positional"):
            estimator_class((3,), "tanh", "adam")
