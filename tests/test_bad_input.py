"""Bad input: a clear error, and the estimator stays as it was."""

import inspect
import pickle
import subprocess
import sys
import textwrap
import warnings
from contextlib import contextmanager
from numbers import Real

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from skbp import BackpropClassifier, BackpropRegressor
from skbp._compat import Integer, Number
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers import Flatten
from skbp.losses import LOSSES
from skbp.optimizers import OPTIMIZERS, SGD
from skbp.schedules import SCHEDULES, Schedule

ESTIMATORS = [BackpropClassifier, BackpropRegressor]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
LABELS = (X[:, 0] > 0).astype(int)
NUMBERS = X @ [1.0, 2.0, -1.0] + 5
for shared in (X, LABELS, NUMBERS):
    shared.flags.writeable = False


def target_of(estimator_class):
    return LABELS if estimator_class is BackpropClassifier else NUMBERS


def make(estimator_class, **params):
    """Return an unfitted estimator that trains in a few milliseconds."""
    defaults = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    return estimator_class(**{**defaults, **params})


def fit(estimator, X, y, **kwargs):
    """Fit; these few epochs do not converge, and need not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y, **kwargs)


@contextmanager
def refused(estimator, *words, error=(ValueError, TypeError)):
    """Expect an error that says all `words`; the estimator is then as before, to the bit."""
    before = pickle.dumps(vars(estimator))
    fitted = hasattr(estimator, "coefs_")
    prediction = estimator.predict(X) if fitted else None
    with pytest.raises(error) as caught:
        yield caught
    message = str(caught.value)
    for word in words:
        assert word.lower() in message.lower(), f"{word!r} is not in {message!r}"
    assert pickle.dumps(vars(estimator)) == before
    if fitted:
        np.testing.assert_array_equal(estimator.predict(X), prediction)
    else:
        with pytest.raises(AttributeError):
            estimator.coefs_


def with_value(value):
    bad = X.copy()
    bad[7, 1] = value
    return bad


BAD_X = {
    "nan": (with_value(np.nan), "NaN"),
    "infinity": (with_value(np.inf), "infinity"),
    "minus infinity": (with_value(-np.inf), "infinity"),
    "nan in csr": (csr_array(with_value(np.nan)), "NaN"),
    "infinity in csr": (csr_array(with_value(np.inf)), "infinity"),
    "no rows": (np.empty((0, 3)), "0 sample(s)"),
    "one axis": (X[:, 0], "2D"),
    "one axis, sparse": (coo_array(X[:, 0]), "2D"),
    "three axes": (X[:, :, None], "dim 3"),
    "no axis": (np.float64(3), "2D"),
    "ragged": ([[1.0, 2.0, 3.0], [4.0]] * 20, "inhomogeneous"),
    "strings": ([["a", "b", "c"]] * 40, "'a'"),
    "object strings": (np.array([[1, "b", 3]] * 40, dtype=object), "'b'"),
    "complex": (X + 1j, "complex"),
    "datetime": (np.full((40, 3), "2020-01-01", "datetime64[D]"), "datetime64"),
    "timedelta": (np.full((40, 3), 1, "timedelta64[D]"), "timedelta64"),
    "none": (None, "2D"),
    "a dict": ({"a": 1}, "dict"),
}


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("case", BAD_X)
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_bad_X_in_fit(estimator_class, case, fitted):
    bad, word = BAD_X[case]
    y = target_of(estimator_class)
    estimator = make(estimator_class)
    if fitted:
        fit(estimator, X, y)
    with refused(estimator, word):
        estimator.fit(bad, y[:0] if case == "no rows" else y)


@pytest.mark.parametrize("case", BAD_X)
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_bad_X_in_partial_fit_and_predict(estimator_class, case):
    bad, word = BAD_X[case]
    y = target_of(estimator_class)
    estimator = fit(make(estimator_class), X, y)
    with refused(estimator, word):
        estimator.partial_fit(bad, y[:0] if case == "no rows" else y)
    with refused(estimator, word):
        estimator.predict(bad)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_no_features(estimator_class, method):
    y = target_of(estimator_class)
    estimator = make(estimator_class)
    with refused(estimator, "0 feature(s)"):
        getattr(estimator, method)(np.empty((40, 0)), y)


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_other_number_of_features(estimator_class):
    y = target_of(estimator_class)
    estimator = fit(make(estimator_class, warm_start=True), X, y)
    methods = ["predict"]
    methods += ["predict_proba", "predict_log_proba"] * hasattr(estimator_class, "predict_proba")
    for method in methods:
        for other in (X[:, :2], np.hstack([X, X]), csr_array(X[:, :2])):
            with refused(estimator, f"{other.shape[1]} features", "3 features"):
                getattr(estimator, method)(other)
    for method in ("fit", "partial_fit"):
        with refused(estimator, "2 features", "3 features"):
            getattr(estimator, method)(X[:, :2], y)


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_not_fitted(estimator_class):
    estimator = make(estimator_class)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(estimator_class, method):
            with refused(estimator, "fit", error=NotFittedError):
                getattr(estimator, method)(X)


# ------------------------------------------------------------ malformed sparse matrices

MALFORMED = textwrap.dedent(
    """
    import copy, sys, warnings
    import numpy as np
    import scipy.sparse as sp
    from skbp import BackpropClassifier, BackpropRegressor
    warnings.simplefilter("ignore")

    rng = np.random.default_rng(0)
    dense = np.where(rng.random((60, 5)) < .5, rng.normal(size=(60, 5)), 0)
    y = (dense[:, 0] > 0).astype(int)

    def out_of_range(m): m.indices[4] = 10**8
    def negative(m): m.indices[4] = -10**8
    def decreasing(m): m.indptr[2] = m.indptr[4]
    def late_start(m): m.indptr[0] = 2
    def beyond_the_data(m): m.indptr[-1] += 10**7
    def lengths_differ(m): m.indices = m.indices[:10]
    def short_data(m): m.data = m.data[:10]
    def short_indptr(m): m.indptr = m.indptr[:30]

    SIX = [out_of_range, negative, decreasing, late_start, beyond_the_data, lengths_differ,
           short_data, short_indptr]

    def spoiled():
        for make in (sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.csc_array):
            for spoil in SIX:
                matrix = make(dense)
                if spoil is short_indptr and matrix.format == "csc":
                    continue
                spoil(matrix)
                yield f"{make.__name__} {spoil.__name__}", matrix
        for make in (sp.coo_matrix, sp.coo_array):
            for axis in (0, 1):
                for value in (10**8, -10**8):
                    matrix = make(dense)
                    matrix.coords[axis][3] = value
                    yield f"{make.__name__} axis {axis} at {value}", matrix
        if EXTRA:
            for spoil in SIX[:5]:
                matrix = sp.bsr_array(sp.csr_array(dense), blocksize=(1, 1))
                spoil(matrix)
                yield f"bsr {spoil.__name__}", matrix

    models = [
        BackpropClassifier((4,), max_iter=2, random_state=0),
        BackpropClassifier((4,), max_iter=2, random_state=0, shuffle=False),
        BackpropClassifier((4,), max_iter=2, random_state=0, solver="lbfgs"),
        BackpropRegressor((4,), max_iter=2, random_state=0),
    ]
    for model in models:
        fitted = copy.deepcopy(model).fit(dense, y)
        expected = fitted.predict(dense)
        for name, matrix in spoiled():
            for method in ("fit", "partial_fit", "predict", "fit anew"):
                if method == "partial_fit" and model.solver == "lbfgs":
                    continue
                print(type(model).__name__, model.solver, name, method, end=": ", flush=True)
                estimator = copy.deepcopy(model) if method == "fit anew" else fitted
                args = (matrix,) if method == "predict" else (matrix, y)
                try:
                    getattr(estimator, method.split()[0])(*args)
                except ValueError as error:
                    known = "is not a valid" in str(error) and matrix.format.upper() in str(error)
                    print("refused" if known else f"unclear: {error}")
                except BaseException as error:
                    print(f"{type(error).__name__}: {error}")
                else:
                    print("accepted")
                assert (fitted.predict(dense) == expected).all()
    if EXTRA:
        labels = (dense > 0).astype(int)
        for spoil in SIX[:5]:
            matrix = sp.csr_array(labels)
            spoil(matrix)
            print("y", spoil.__name__, end=": ", flush=True)
            try:
                models[0].fit(dense, matrix)
            except ValueError as error:
                print("refused" if "y is not a valid" in str(error) else f"unclear: {error}")
            else:
                print("accepted")
    print("done")
    """
)


@pytest.mark.parametrize("extra", [False, True], ids=["csr, csc, coo", "bsr, and y"])
def test_malformed_sparse_matrices_are_refused(extra):
    # In a process of its own, which a wild index can kill.
    run = subprocess.run(
        [sys.executable, "-c", f"EXTRA = {extra}\n{MALFORMED}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    lines = run.stdout.splitlines()
    assert run.returncode == 0, f"died at {lines[-1:]}: {run.stderr[-500:]}"
    assert lines[-1] == "done"
    assert len(lines) > 400
    assert [line for line in lines[:-1] if not line.endswith(": refused")] == []


# ------------------------------------------------------------ targets

BAD_Y = {
    "too short": (lambda y: y[:-1], "inconsistent"),
    "none": (lambda y: None, "y"),
    "complex": (lambda y: y + 1j, "complex"),
    "three axes": (lambda y: np.zeros((40, 2, 2)), ""),
    "nan": (lambda y: np.where(np.arange(40) == 3, np.nan, y), "NaN"),
    "infinity": (lambda y: np.where(np.arange(40) == 3, np.inf, y), "infinity"),
}
BAD_LABELS = {
    "continuous": (NUMBERS, "continuous"),
    "mixed types": (np.array([1, "a"] * 20, dtype=object), "label"),
    "none among them": (np.array([None, "a"] * 20, dtype=object), "label"),
    "several columns": (np.c_[LABELS * 2, LABELS], "class"),
}
BAD_NUMBERS = {
    "strings": (np.array(["a"] * 40), "'a'"),
    "object strings": (np.array(["a"] * 40, dtype=object), "'a'"),
    "sparse": (csr_array(NUMBERS[:, None]), "dense"),
    "datetime": (np.full(40, "2020-01-01", "datetime64[D]"), "datetime64"),
    "timedelta": (np.full(40, 1, "timedelta64[D]"), "timedelta64"),
}


def refuses_target(estimator_class, y, word):
    """Check fit of an unfitted estimator, and fit and partial_fit of a fitted one."""
    estimator = make(estimator_class)
    with refused(estimator, word):
        estimator.fit(X, y)
    estimator = fit(make(estimator_class), X, target_of(estimator_class))
    for method in (estimator.fit, estimator.partial_fit):
        with refused(estimator, word):
            method(X, y)


@pytest.mark.parametrize("case", BAD_Y)
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_bad_targets(estimator_class, case):
    change, word = BAD_Y[case]
    refuses_target(estimator_class, change(target_of(estimator_class)), word)


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels(case):
    refuses_target(BackpropClassifier, *BAD_LABELS[case])


@pytest.mark.parametrize("case", BAD_NUMBERS)
def test_bad_numbers(case):
    refuses_target(BackpropRegressor, *BAD_NUMBERS[case])


def test_unseen_labels():
    three = LABELS + (X[:, 1] > 0)
    for y in (three, np.array(["a", "b"])[LABELS]):
        estimator = fit(make(BackpropClassifier), X, LABELS)
        with refused(estimator, "classes", str(sorted(set(y))[-1])):
            estimator.partial_fit(X, y)
    estimator = fit(make(BackpropClassifier, warm_start=True), X, LABELS)
    with refused(estimator, "same classes"):
        estimator.fit(X, three)
    with refused(estimator, "classes"):
        estimator.partial_fit(X, LABELS, classes=[0, 1, 2])
    estimator = make(BackpropClassifier)
    with refused(estimator, "classes"):
        estimator.partial_fit(X, LABELS)
    with refused(estimator, "[0 5]"):
        estimator.partial_fit(X, LABELS, classes=[0, 5])
    assert not hasattr(estimator, "classes_")


def test_other_kind_of_labels():
    indicators = (X > 0).astype(int)
    estimator = fit(make(BackpropClassifier, warm_start=True), X, LABELS)
    for method in (estimator.fit, estimator.partial_fit):
        with refused(estimator):
            method(X, indicators)
    estimator = fit(make(BackpropClassifier, warm_start=True), X, indicators)
    for y in (indicators[:, :2], LABELS):
        for method in (estimator.fit, estimator.partial_fit):
            with refused(estimator):
                method(X, y)


def test_several_columns_of_known_labels():
    for labels in (LABELS + 1, LABELS + (X[:, 1] > 0)):
        y = np.c_[labels, labels]
        estimator = fit(make(BackpropClassifier, warm_start=True), X, labels)
        for method in (estimator.fit, estimator.partial_fit):
            with refused(estimator):
                method(X, y)


@pytest.mark.parametrize("values", [(1, 2), (-1, 1), (0, 2)])
@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_multilabel_targets_are_zero_or_one(container, values):
    # As targets of a cross-entropy, a label of 2 has a loss without a lower bound.
    y = container(np.where(X > 0, *values[::-1]))
    estimator = make(BackpropClassifier)
    with refused(estimator, "0"):
        estimator.fit(X, y)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_other_number_of_outputs(method):
    two = np.c_[NUMBERS, NUMBERS]
    for first, then, words in (
        (NUMBERS, two, ["2 outputs", "has 1"]),
        (two, NUMBERS, ["1 outputs", "has 2"]),
        (two, np.c_[two, two], ["4 outputs", "has 2"]),
    ):
        estimator = fit(make(BackpropRegressor, warm_start=True), X, first)
        with refused(estimator, *words):
            getattr(estimator, method)(X, then)


def test_poisson_needs_targets_that_are_not_negative():
    y = np.abs(NUMBERS)
    estimator = fit(make(BackpropRegressor, loss="poisson"), X, y)
    for method in (estimator.fit, estimator.partial_fit):
        with refused(estimator, "poisson", "-3.5"):
            method(X, np.where(np.arange(40) == 3, -3.5, y))
    estimator = make(BackpropRegressor, loss="poisson")
    with refused(estimator, "poisson"):
        estimator.fit(X, -y)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "one number", "numbers"])
def test_a_loss_that_does_not_fit_the_targets(target, loss):
    # Either it trains something that predicts sensibly, or the error speaks of the loss.
    y = {
        "binary": LABELS,
        "multiclass": LABELS + (X[:, 1] > 0),
        "multilabel": (X > 0).astype(int),
        "one number": NUMBERS,
        "numbers": np.c_[NUMBERS, NUMBERS**2],
    }[target]
    numeric = target in ("one number", "numbers")
    estimator_class = BackpropRegressor if numeric else BackpropClassifier
    estimator = make(estimator_class, loss=LOSSES[loss]())
    try:
        fit(estimator, X, np.abs(y) if loss in ("poisson", "gamma", "tweedie") else y)
    except (ValueError, TypeError) as error:
        assert "loss" in str(error)
        assert not hasattr(estimator, "coefs_")
        return
    assert estimator.predict(X).shape == y.shape
    assert np.isfinite(estimator.predict(X)).all()
    if not numeric and estimator.loss.probabilistic:
        p = estimator.predict_proba(X)
        assert (p >= 0).all()
        assert (p <= 1).all()
        assert np.isfinite(estimator.predict_log_proba(X)).all()
        if target != "multilabel":
            np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)


# ------------------------------------------------------------ sample and class weights

BAD_WEIGHTS = {
    "negative": (np.where(np.arange(40) == 3, -0.5, 1), "negative"),
    "nan": (np.where(np.arange(40) == 3, np.nan, 1), "NaN"),
    "infinite": (np.where(np.arange(40) == 3, np.inf, 1), "infinity"),
    "too short": (np.ones(39), "(39,)"),
    "too long": (np.ones(41), "(41,)"),
    "a column": (np.ones((40, 1)), "1D"),
    "all zero": (np.zeros(40), "zero"),
    "zero": (0.0, "zero"),
    "minus one": (-1.0, "negative"),
    "strings": (np.array(["a"] * 40), "'a'"),
    "complex": (np.ones(40) + 1j, "complex"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_bad_sample_weights(estimator_class, case):
    weight, word = BAD_WEIGHTS[case]
    y = target_of(estimator_class)
    estimator = make(estimator_class)
    with refused(estimator, word):
        estimator.fit(X, y, sample_weight=weight)
    estimator = fit(make(estimator_class), X, y)
    for method in (estimator.fit, estimator.partial_fit):
        with refused(estimator, word):
            method(X, y, sample_weight=weight)


@pytest.mark.parametrize(
    "class_weight",
    [{0: -1, 1: 1}, {0: np.nan, 1: 1}, {0: np.inf, 1: 1}, {0: 0, 1: 0}, {0: "a", 1: 1},
     {7: 1, 8: 1}, [{0: 1, 1: 1}], {0: 1j, 1: 1}],
    ids=str,
)  # fmt: skip
def test_bad_class_weights(class_weight):
    estimator = make(BackpropClassifier, class_weight=class_weight)
    with refused(estimator, "class_weight"):
        estimator.fit(X, LABELS)
    estimator = fit(make(BackpropClassifier), X, LABELS).set_params(class_weight=class_weight)
    with refused(estimator, "class_weight"):
        estimator.fit(X, LABELS)


def test_bad_class_weights_for_multilabel():
    y = (X > 0).astype(int)
    for class_weight, words in (
        ({0: 1, 1: 2}, ["list"]),
        ([{0: 1, 1: 2}], ["1 elements", "3 labels"]),
        ([{0: 1, 1: -2}] * 3, ["class_weight"]),
    ):
        estimator = make(BackpropClassifier, class_weight=class_weight)
        with refused(estimator, *words):
            estimator.fit(X, y)


@pytest.mark.parametrize("weight", [1e-320, 1e-30, 0.1, 7.0, 1e30, 1e307])
@pytest.mark.parametrize(
    "params",
    [{}, {"batch_size": 7}, {"solver": "lbfgs"}, {"early_stopping": True}, {"solver": "sgd"}],
    ids=str,
)
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_equal_weights_are_like_weight_one(estimator_class, params, weight):
    y = target_of(estimator_class)
    # alpha=0: the penalty is divided by the sum of the weights, so that 7 differs from 1.
    params = {"dtype": "float64", "alpha": 0, "max_iter": 5, **params}
    one = fit(make(estimator_class, **params), X, y, sample_weight=np.ones(40))
    same = fit(make(estimator_class, **params), X, y, sample_weight=np.full(40, weight))
    for a, b in zip(same.coefs_, one.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12)
    assert same.loss_ == pytest.approx(one.loss_, rel=1e-9)
    if weight < 1e-9 or weight > 1e9:  # beyond reason: rescaled, so that the penalty is as well
        params["alpha"] = 1e-2
        one = fit(make(estimator_class, **params), X, y, sample_weight=np.ones(40))
        same = fit(make(estimator_class, **params), X, y, sample_weight=np.full(40, weight))
        np.testing.assert_allclose(same.coefs_[0], one.coefs_[0], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("low, high", [(1e-320, 1.0), (1e-320, 1e307), (1.0, 1e307)])
@pytest.mark.parametrize(
    "params", [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"batch_size": 3}], ids=str
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_weights_of_very_different_size(estimator_class, dtype, params, low, high):
    y = target_of(estimator_class)
    heavy = np.arange(40) % 2 == 0
    params = {"dtype": dtype, "max_iter": 200, "learning_rate_init": 0.02, **params}
    estimator = fit(make(estimator_class, **params), X, y, sample_weight=np.where(heavy, high, low))
    for weights in (*estimator.coefs_, *estimator.intercepts_):
        assert np.isfinite(weights).all()
    assert np.isfinite(estimator.loss_)
    if "early_stopping" in params:
        assert np.isfinite(estimator.validation_scores_).all()
    else:
        assert estimator.score(X[heavy], y[heavy]) > 0.8


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_rows_of_next_to_no_weight_are_next_to_absent(estimator_class):
    y = target_of(estimator_class)
    heavy = np.arange(40) % 2 == 0
    params = {"solver": "lbfgs", "max_iter": 5}
    mixed = fit(make(estimator_class, **params), X, y, sample_weight=np.where(heavy, 1, 1e-320))
    absent = fit(make(estimator_class, **params), X[heavy], y[heavy])
    for a, b in zip(mixed.coefs_, absent.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


# ------------------------------------------------------------ constructor parameters


def numeric_constraints(estimator_class):
    """Return each numeric parameter's constraint: also those of parameters yet to come."""
    return {
        name: next(c for c in constraints if isinstance(c, Number))
        for name, constraints in estimator_class._parameter_constraints.items()
        if any(isinstance(constraint, Number) for constraint in constraints)
    }


def bad_numbers(estimator_class):
    """Yield (parameter, value): every way for a number to be wrong."""
    for name, constraint in numeric_constraints(estimator_class).items():
        if name == "validation_fraction":
            continue  # may be a splitter, too: see test_bad_training.py
        yield from ((name, value) for value in (np.nan, -np.inf, True, False, np.True_, 1j))
        if None not in estimator_class._parameter_constraints[name]:
            yield name, None
        yield from ((name, value) for value in ("no such name", b"1", object()))
        if name != "n_iter_no_change":
            yield name, np.inf
        if name != "hidden_layer_sizes":
            yield from ((name, value) for value in ([1], (), np.array([1, 2]), {}))
        if constraint.left is not None:
            yield name, constraint.left - 1
            if constraint.closed in ("right", "neither"):
                yield name, constraint.left
        if constraint.right is not None:
            yield name, constraint.right + 1
            if constraint.closed in ("left", "neither"):
                yield name, constraint.right
        if isinstance(constraint, Integer):
            yield from ((name, value) for value in (2.5, 2.0, np.float32(2)))


def refuses_parameter(estimator_class, name, value):
    estimator = make(estimator_class, **{name: value})
    with refused(estimator, name):
        estimator.fit(X, target_of(estimator_class))
    estimator = fit(make(estimator_class), X, target_of(estimator_class))
    estimator.set_params(**{name: value})
    with refused(estimator, name):
        estimator.fit(X, target_of(estimator_class))


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_every_parameter_has_a_constraint(estimator_class):
    assert set(estimator_class._parameter_constraints) == set(estimator_class().get_params())
    # and one whose default is a number is known to be numeric, so that the tests below see it
    for name, value in estimator_class().get_params().items():
        if isinstance(value, Real) and not isinstance(value, bool):
            assert name in numeric_constraints(estimator_class)


@pytest.mark.parametrize(
    "estimator_class, name, value",
    [
        pytest.param(cls, name, value, id=f"{cls.__name__}-{name}-{value!r:.20}")
        for cls in ESTIMATORS
        for name, value in bad_numbers(cls)
    ],
)
def test_bad_numeric_parameter(estimator_class, name, value):
    refuses_parameter(estimator_class, name, value)


ODD_VALUES = [object(), 1j, b"adam", 3 + 0.5j, {"a"}, len, "no such name"]
# What may be right: a file that is missing, a callable, or an iterable of splits.
NOT_ODD = {
    "init_from": ["no such name"],  # a FileNotFoundError: see test_transfer.py
    "scoring": [len],
    "validation_fraction": [b"adam", {"a"}],
}


@pytest.mark.parametrize(
    "estimator_class, name, value",
    [
        (cls, name, value)
        for cls in ESTIMATORS
        for name in sorted(cls._parameter_constraints)
        for value in ODD_VALUES
        if value not in NOT_ODD.get(name, [])
    ],
)
def test_parameter_of_a_wrong_type(estimator_class, name, value):
    refuses_parameter(estimator_class, name, value)


@pytest.mark.parametrize(
    "name, value",
    [
        ("hidden_layer_sizes", value)
        for value in ([0], [-1], [2.5], [True], ["a"], [None], [[3, 4]], [np.nan], (4, 0), -3, 0,
                      np.array([2.0]))
    ]
    + [("random_state", value) for value in (-1, True, 2**32, 1.5, "a")]
    + [(name, value) for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping")
       for value in (None, "yes", 0.5, np.nan)]
    + [("verbose", value) for value in (None, "yes", -1, np.nan)]
    + [("dtype", value) for value in ("float16", np.float16, int, "f", complex, 32, np.nan)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_bad_parameter(estimator_class, name, value):
    refuses_parameter(estimator_class, name, value)


@pytest.mark.parametrize(
    "name, component",
    [
        (name, component)
        for name, registry in (
            ("activation", ACTIVATIONS),
            ("loss", LOSSES),
            ("solver", OPTIMIZERS),
            ("learning_rate", SCHEDULES),
            ("initializer", INITIALIZERS),
        )
        for component in registry.values()
    ],
)
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_a_class_where_an_instance_belongs(estimator_class, name, component):
    refuses_parameter(estimator_class, name, component)


@pytest.mark.parametrize("name", ["activation", "loss", "solver", "learning_rate", "initializer"])
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_a_component_of_another_kind(estimator_class, name):
    for other in (BackpropClassifier(), BaseEstimator()):
        refuses_parameter(estimator_class, name, other)


def bad_component_settings():
    """Yield (estimator's parameter, component, its own parameter): with a NaN or a string."""
    for name, registry in (
        ("activation", ACTIVATIONS),
        ("solver", OPTIMIZERS),
        ("learning_rate", SCHEDULES),
        ("initializer", INITIALIZERS),
        ("loss", LOSSES),
    ):
        for component in registry.values():
            for own, parameter in inspect.signature(component).parameters.items():
                if isinstance(parameter.default, Real) and not isinstance(parameter.default, bool):
                    for value in (np.nan, -np.inf, "text", True, None):
                        yield name, component, own, value


@pytest.mark.parametrize("name, component, own, value", list(bad_component_settings()))
def test_bad_parameter_of_a_component(name, component, own, value):
    estimator = make(BackpropRegressor, **{name: component(**{own: value})})
    with refused(estimator, own):
        estimator.fit(X, NUMBERS)


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_dropout_needs_a_stochastic_solver(estimator_class):
    estimator = make(estimator_class, solver="lbfgs", dropout=0.2)
    with refused(estimator, "dropout=0.2", "L-BFGS"):
        estimator.fit(X, target_of(estimator_class))


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_other_hidden_layers_in_a_warm_start(estimator_class):
    y = target_of(estimator_class)
    estimator = fit(make(estimator_class, warm_start=True), X, y)
    for sizes in ((5,), (4, 4), ()):
        estimator.set_params(hidden_layer_sizes=sizes)
        for method in (estimator.fit, estimator.partial_fit):
            with refused(estimator, "hidden_layer_sizes"):
                method(X, y)


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_too_few_rows_for_early_stopping(estimator_class):
    y = target_of(estimator_class)
    estimator = make(estimator_class, early_stopping=True)
    with refused(estimator, "early_stopping"):
        estimator.fit(X[:2], [0, 1])
    estimator = make(estimator_class, early_stopping=True, validation_fraction=0.99)
    with refused(estimator, "validation_fraction"):
        estimator.fit(X, y)


def test_a_class_of_one_row_with_early_stopping():
    estimator = make(BackpropClassifier, early_stopping=True)
    with refused(estimator, "early_stopping", "class"):
        estimator.fit(X, np.arange(40) == 3)


# ------------------------------------------------------------ divergence and overflow


class Explode(Schedule):
    """A sane rate for three epochs, an insane one from then on."""

    def __init__(self, sane=0.01):
        self.sane = sane

    def __call__(self, progress, initial):
        return self.sane if progress.epochs < 3 else 1e30


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_divergence_names_the_epoch_and_a_remedy(estimator_class, dtype):
    y = target_of(estimator_class)
    params = {
        "activation": "identity", "solver": SGD(), "learning_rate": Explode(), "max_iter": 60,
        "batch_size": 5, "dtype": dtype,
    }  # fmt: skip
    estimator = make(estimator_class, **params)
    with refused(estimator, "epoch", "learning_rate_init", "scale", error=ValueError) as caught:
        estimator.fit(X, y)
    if estimator_class is BackpropRegressor:  # whose loss explodes within the epoch
        assert "epoch 4" in str(caught.value)
    # and a refit that diverges leaves the fit before it
    fit(estimator.set_params(learning_rate="constant", max_iter=3), X, y)
    estimator.set_params(learning_rate=Explode(), max_iter=60)
    with refused(estimator, "epoch", error=ValueError):
        estimator.fit(X, y)
    with refused(estimator.set_params(warm_start=True), "epoch", error=ValueError):
        estimator.fit(X, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_with_early_stopping_keeps_the_best_weights(dtype):
    params = {
        "activation": "identity", "solver": SGD(), "learning_rate": Explode(), "dtype": dtype,
        "batch_size": 5, "early_stopping": True,
    }  # fmt: skip
    estimator = make(BackpropRegressor, **params, max_iter=60)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 4"):
        estimator.fit(X, NUMBERS)
    expected = fit(make(BackpropRegressor, **params, max_iter=3), X, NUMBERS)
    np.testing.assert_array_equal(estimator.predict(X), expected.predict(X))
    assert estimator.best_validation_score_ == expected.best_validation_score_
    assert np.isfinite(estimator.predict(X)).all()


def test_divergence_in_the_first_epoch_with_early_stopping_is_an_error():
    estimator = make(
        BackpropRegressor, solver="sgd", learning_rate_init=1e30, early_stopping=True,
        activation="identity", batch_size=5,
    )  # fmt: skip
    with refused(estimator, "epoch 1", "learning_rate_init", error=ValueError):
        estimator.fit(X, NUMBERS)


def test_divergence_in_partial_fit():
    estimator = fit(make(BackpropRegressor, activation="identity", solver="sgd"), X, NUMBERS)
    estimator.set_params(learning_rate_init=1e30, batch_size=5)
    with refused(estimator, "diverged", "learning_rate_init", error=ValueError):
        estimator.partial_fit(X, NUMBERS)


@pytest.mark.parametrize("container", [np.asarray, csr_array])
def test_features_beyond_float32(container):
    estimator = fit(make(BackpropRegressor, dtype="float32"), X, NUMBERS)
    huge = container(X * 1e100)
    for method in ("fit", "partial_fit"):
        with refused(estimator, "float32", "float64"):
            getattr(estimator, method)(huge, NUMBERS)
    with refused(estimator, "float32", "float64"):
        estimator.predict(huge)


def test_targets_beyond_float32():
    for estimator in (
        make(BackpropRegressor, dtype="float32"),
        fit(make(BackpropRegressor, dtype="float32"), X, NUMBERS),
    ):
        with refused(estimator, "float32", "y"):
            estimator.fit(X, NUMBERS * 1e100)


def test_float64_has_room_for_what_float32_has_not():
    estimator = fit(make(BackpropRegressor, dtype="float64", activation="tanh"), X * 1e100, NUMBERS)
    assert np.isfinite(estimator.predict(X * 1e100)).all()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_rows_of_another_shape_with_as_many_numbers(method):
    rows = np.random.default_rng(0).normal(size=(12, 1, 4, 6))
    net = BackpropClassifier(layers=[Flatten()], max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(rows, np.arange(12) % 2)
    with pytest.raises(ValueError, match="shape"):
        getattr(net, method)(rows.swapaxes(2, 3))
