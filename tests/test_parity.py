"""In float64 the network is the one that scikit-learn's MLP trains.

Not comparable, because MLP is wrong there (docs/migrating.md): multiclass early stopping (its split
is not stratified), L-BFGS on several outputs of squared error (its gradient is n_outputs times too
large), sample weights of zero, the first epoch of "invscaling" after a warm start, and the weights
that early stopping restores after one.
"""

import inspect
import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.datasets import make_multilabel_classification
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skbp import BackpropClassifier, BackpropRegressor
from skbp.optimizers import OPTIMIZERS

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:A column-vector y was passed"),
    pytest.mark.filterwarnings("ignore:learning_rate=.* is for solver='sgd'"),
]

PAIRS = {
    "classifier": (MLPClassifier, BackpropClassifier),
    "regressor": (MLPRegressor, BackpropRegressor),
}

N_ROWS = 70
GRID = {
    "task": ("binary", "multiclass", "multilabel", "regression", "multi-output", "poisson"),
    "solver": ("adam", "sgd", "lbfgs"),
    "hidden_layer_sizes": ((6,), (5, 4)),
    "activation": ("identity", "logistic", "tanh", "relu"),
    "learning_rate": ("constant", "invscaling", "adaptive"),
    "learning_rate_init": (0.002, 0.01),
    "momentum": ((0.9, True), (0.9, False), (0.0, True), (0.5, True)),
    "betas": ((0.9, 0.999, 1e-8), (0.5, 0.9, 1e-3)),
    "power_t": (0.5, 0.2),
    "alpha": (1e-4, 0.0, 1.0),
    "batch_size": ("auto", 16, 9),
    "shuffle": (True, False),
    "weighted": (False, True),
    "early_stopping": (False, True),
    # Little patience stops training or lowers the rate of "adaptive"; without tolerance ties count.
    "patience": ((1e-4, 10), (0.02, 2), (0.0, 1)),
    "sparse": (False, True),
}


def comparable(point):
    if point.get("task") == "multiclass" and point.get("early_stopping"):
        return point.get("solver") == "lbfgs"
    return not (point.get("task") == "multi-output" and point.get("solver") == "lbfgs")


def sample_of_grid(n_points, n_candidates=40, seed=0):
    """Choose points one by one, each the random candidate with most pairs of values not yet seen.

    `comparable` is asked about whole points only, so a pair that never is comparable is not chosen.
    """
    rng = np.random.RandomState(seed)
    seen, points = set(), []
    while len(points) < n_points:
        candidates = [
            {name: values[rng.randint(len(values))] for name, values in GRID.items()}
            for _ in range(n_candidates)
        ]
        candidates = [point for point in candidates if comparable(point)]
        point = max(candidates, key=lambda point: len(pairs_of(point) - seen))
        seen |= pairs_of(point)
        points.append(point)
    return points


def pairs_of(point):
    return set(itertools.combinations(point.items(), 2))


POINTS = sample_of_grid(150)


def data_for(task, sparse=False):
    rng = np.random.RandomState(3)
    X = rng.normal(size=(N_ROWS, 5))
    X[rng.uniform(size=X.shape) < 0.3] = 0
    signal = X @ rng.normal(size=(5, 3)) + 0.5 * rng.normal(size=(N_ROWS, 3))
    if task == "multilabel":
        _, y = make_multilabel_classification(N_ROWS, 5, n_classes=3, random_state=3)
    else:
        y = {
            "binary": np.array(["no", "yes"])[(signal[:, 0] > 0).astype(int)],
            "multiclass": np.array([5, -1, 3])[signal.argmax(axis=1)],
            "regression": signal[:, 0],
            "multi-output": signal,
            "poisson": rng.poisson(np.exp(0.3 * signal[:, 0])).astype(float),
        }[task]
    return (csr_matrix(X) if sparse else X), y


def pair(task, **parameters):
    """Build scikit-learn's estimator for a task, and ours."""
    kind = "classifier" if task in ("binary", "multiclass", "multilabel") else "regressor"
    theirs, ours = PAIRS[kind]
    parameters = {"random_state": 7, **parameters}
    if task == "poisson":
        parameters["loss"] = "poisson"
    return theirs(**parameters), ours(dtype=np.float64, **parameters)


def parameters_of(point):
    momentum, nesterovs_momentum = point["momentum"]
    beta_1, beta_2, epsilon = point["betas"]
    tol, n_iter_no_change = point["patience"]
    shared = (
        "solver hidden_layer_sizes activation learning_rate learning_rate_init power_t alpha "
        "batch_size shuffle early_stopping"
    )
    return {
        **{name: point[name] for name in shared.split()},
        **{"momentum": momentum, "nesterovs_momentum": nesterovs_momentum},
        **{"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon},
        **{"tol": tol, "n_iter_no_change": n_iter_no_change, "validation_fraction": 0.2},
        "max_iter": 8 if point["solver"] == "lbfgs" else 20,
    }


def fitted_attributes(estimator):
    return {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_")
    }


def assert_equal_value(ours, theirs, name):
    if isinstance(theirs, list):
        assert len(ours) == len(theirs), name
        for one, other in zip(ours, theirs, strict=True):
            assert_equal_value(one, other, name)
    elif theirs is None or isinstance(theirs, str | int | np.integer):
        assert ours == theirs, name
    elif np.issubdtype(np.asarray(theirs).dtype, np.floating):
        rtol, atol = (1e-7, 0) if "loss" in name else (1e-6, 1e-9)
        assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=name)
    else:
        assert_array_equal(ours, theirs, err_msg=name)


def assert_same(theirs, ours, X):
    """Compare every fitted attribute that scikit-learn's has, and all predictions."""
    for name, value in fitted_attributes(theirs).items():
        assert_equal_value(getattr(ours, name), value, name)
    for method in ("predict", "predict_proba"):
        if hasattr(theirs, method):
            assert_equal_value(getattr(ours, method)(X), getattr(theirs, method)(X), method)


def test_the_sample_covers_every_comparable_pair_of_values():
    seen = set().union(*map(pairs_of, POINTS))
    for (name, values), (other, others) in itertools.combinations(GRID.items(), 2):
        for value, other_value in itertools.product(values, others):
            if comparable({name: value, other: other_value}):
                assert ((name, value), (other, other_value)) in seen


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point['task']}-{point['solver']}")
def test_same_network_as_mlp(point):
    X, y = data_for(point["task"], point["sparse"])
    weight = np.random.RandomState(5).uniform(0.2, 3, N_ROWS) if point["weighted"] else None
    theirs, ours = pair(point["task"], **parameters_of(point))

    theirs.fit(X, y, sample_weight=weight)
    ours.fit(X, y, sample_weight=weight)

    assert_same(theirs, ours, X)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression", "poisson"])
def test_warm_start(task, solver):
    X, y = data_for(task)
    theirs, ours = pair(
        task, solver=solver, hidden_layer_sizes=(6,), max_iter=6, batch_size=16,
        learning_rate_init=0.02, warm_start=True,
    )  # fmt: skip
    for n_rows in (N_ROWS, N_ROWS, N_ROWS - 10):
        theirs.fit(X[:n_rows], y[:n_rows])
        ours.fit(X[:n_rows], y[:n_rows])
        assert_same(theirs, ours, X)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_warm_start_with_early_stopping(task, solver):
    X, y = data_for(task)
    theirs, ours = pair(
        task, solver=solver, early_stopping=True, hidden_layer_sizes=(6,), max_iter=30,
        batch_size=16, learning_rate_init=0.02, warm_start=True, validation_fraction=0.3,
    )  # fmt: skip
    theirs.fit(X, y)
    ours.fit(X, y)
    assert_same(theirs, ours, X)
    best, coef = ours.best_validation_score_, ours.coefs_[0].copy()

    theirs.fit(X, y)
    ours.fit(X, y)
    for name in set(fitted_attributes(theirs)) - {"coefs_", "intercepts_"}:
        assert_equal_value(getattr(ours, name), getattr(theirs, name), name)
    # MLP goes on training in the arrays that hold its best weights, and so loses them.
    if ours.best_validation_score_ == best:
        assert_array_equal(ours.coefs_[0], coef)
        assert not np.allclose(theirs.coefs_[0], coef)
    else:
        assert not np.allclose(ours.coefs_[0], coef)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("task", ["multiclass", "multilabel", "multi-output", "poisson"])
def test_partial_fit_many_times(task, solver, learning_rate):
    X, y = data_for(task)
    theirs, ours = pair(
        task, solver=solver, learning_rate=learning_rate, hidden_layer_sizes=(6,), batch_size=9,
        learning_rate_init=0.01, tol=0.05, n_iter_no_change=1,
    )  # fmt: skip
    first = {"classes": np.unique(y)} if task == "multiclass" else {}
    first = {"classes": np.arange(3)} if task == "multilabel" else first
    for call in range(12):
        rows = slice(10 * (call % 3), 10 * (call % 3) + 35)
        weight = np.linspace(1, 2, 35) if call % 2 else None
        theirs.partial_fit(X[rows], y[rows], sample_weight=weight, **first)
        ours.partial_fit(X[rows], y[rows], sample_weight=weight, **first)
        first = {}
    assert_same(theirs, ours, X)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_fit_then_partial_fit_then_fit(task, solver):
    X, y = data_for(task)
    theirs, ours = pair(
        task, solver=solver, learning_rate="invscaling", power_t=0.1, hidden_layer_sizes=(6,),
        max_iter=7, batch_size=16, learning_rate_init=0.02,
    )  # fmt: skip
    for estimator in (theirs, ours):
        estimator.fit(X, y)
        estimator.partial_fit(X[:40], y[:40]).partial_fit(X[40:], y[40:])
    assert_same(theirs, ours, X)

    theirs.fit(X, y)
    ours.fit(X, y)
    assert_same(theirs, ours, X)


def test_random_state_object_is_drawn_from_alike():
    X, y = data_for("binary")
    theirs, ours = pair("binary", hidden_layer_sizes=(6,), max_iter=5, early_stopping=True)
    states = np.random.RandomState(0), np.random.RandomState(0)
    for estimator, state in zip((theirs, ours), states, strict=True):
        estimator.set_params(random_state=state).fit(X, y)
    assert_same(theirs, ours, X)
    assert states[0].randint(2**31) == states[1].randint(2**31)


@pytest.mark.parametrize("kind", PAIRS)
def test_every_parameter_of_mlp_with_its_default(kind):
    theirs, ours = (inspect.signature(Estimator).parameters for Estimator in PAIRS[kind])
    for name, parameter in theirs.items():
        assert name in ours
        if name == "loss":  # MLPRegressor's first positional one; "log_loss" is MLP's only other
            assert ours[name].default == getattr(PAIRS[kind][0](), "loss", "log_loss")
        elif name == "learning_rate_init":  # each optimizer's usual one
            usual = {OPTIMIZERS[solver].usual_rate for solver in ("adam", "sgd")}
            assert (ours[name].default, usual) == ("auto", {parameter.default})
        else:
            assert ours[name].default == parameter.default, name
    assert len(ours) <= (35 if kind == "classifier" else 34)
    positional = [p.name for p in theirs.values() if p.kind is not p.KEYWORD_ONLY]
    assert [p.name for p in ours.values() if p.kind is not p.KEYWORD_ONLY] == [
        name for name in positional if name != "loss"
    ]


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_fitted_attribute_and_method_of_mlp(task, early_stopping, solver):
    X, y = data_for(task)
    theirs, ours = pair(task, solver=solver, early_stopping=early_stopping, max_iter=3)
    for estimator in (theirs, ours):
        estimator.fit(X, y)
    names = {name for name in dir(theirs) if not name.startswith("_") and hasattr(theirs, name)}
    if solver == "lbfgs":  # MLPRegressor has it there by a slip, and would run L-BFGS to its end
        names -= {"partial_fit"}
        assert not hasattr(ours, "partial_fit")
    assert not {name for name in names if not hasattr(ours, name)}
