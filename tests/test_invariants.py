"""The invariants of design section 5, items 4 to 10, on whole estimators."""

import copy
import gc
import pickle
import signal
import sys
import threading
import time
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from _common import each, pairs
from scipy.sparse import csr_array, random_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine.objective import Objective
from skbp._engine.workspace import Workspace
from skbp.activations import Activation
from skbp.schedules import Constant

ESTIMATORS = [BackpropClassifier, BackpropRegressor]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6))
LABELS = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 0.5)
NUMBERS = np.tanh(X[:, 0]) + X[:, 1] * X[:, 2]
for shared in (X, LABELS, NUMBERS):
    shared.flags.writeable = False


def target_of(estimator_class):
    return LABELS if estimator_class is BackpropClassifier else NUMBERS


def make(estimator_class, **params):
    defaults = {"hidden_layer_sizes": (8, 5), "max_iter": 4, "random_state": 0, "batch_size": 50}
    return estimator_class(**{**defaults, **params})


def fit(estimator, X=X, y=None, **kwargs):
    """Fit; these few epochs do not converge, and need not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, target_of(type(estimator)) if y is None else y, **kwargs)


def outputs(estimator, X=X):
    """Everything the estimator predicts."""
    if isinstance(estimator, BackpropClassifier):
        return np.hstack([estimator.predict_proba(X), estimator.predict(X)[:, None]])
    return estimator.predict(X)


def loss_of(estimator):
    """Return the training loss of the weights as they are."""
    if isinstance(estimator, BackpropClassifier):
        return -estimator.predict_log_proba(X)[np.arange(len(X)), LABELS].mean()
    return np.square(estimator.predict(X) - NUMBERS).mean() / 2


def assert_same_weights(a, b):
    for one, other in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        np.testing.assert_array_equal(one, other)


STOCHASTIC = [
    {"solver": "adam"},
    {"solver": "sgd", "learning_rate_init": 0.01},
    {"early_stopping": True},
    {"dropout": 0.3},
    {"normalization": "batch"},
    {"dtype": "float64"},
    {"dtype": "float32", "solver": "sgd"},
]
SETTINGS = [*STOCHASTIC, {"solver": "lbfgs"}, {"solver": "lbfgs", "dtype": "float32"}]


def joblib_copy(estimator, path, mmap_mode=None, **kwargs):
    joblib.dump(estimator, path / "model.joblib", **kwargs)
    return joblib.load(path / "model.joblib", mmap_mode=mmap_mode)


COPIES = {
    "pickle": lambda estimator, path: pickle.loads(pickle.dumps(estimator)),
    "pickle protocol 2": lambda estimator, path: pickle.loads(pickle.dumps(estimator, 2)),
    "deepcopy": lambda estimator, path: copy.deepcopy(estimator),
    "joblib": joblib_copy,
    "joblib compressed": lambda estimator, path: joblib_copy(estimator, path, compress=3),
    "joblib mapped": lambda estimator, path: joblib_copy(estimator, path, mmap_mode="r"),
    "pickle twice": lambda estimator, path: pickle.loads(
        pickle.dumps(pickle.loads(pickle.dumps(estimator)))
    ),
    "itself": lambda estimator, path: estimator,
}


def assert_views_alive(estimator):
    """The named views are parts of the two vectors, and cover them."""
    network = estimator._network
    views = [view for p in network.views for view in p.values()]
    assert sum(view.size for view in views) == network.params.size + network.state.size
    for view in views:
        assert np.shares_memory(view, network.params) or np.shares_memory(view, network.state)


# ------------------------------------------------------------ copies (item 4)


# Each way to copy, and in the three that differ in kind each setting.
@each(
    how=[*COPIES, *(how for how in ("pickle", "deepcopy", "joblib mapped") for _ in SETTINGS)],
    params=SETTINGS, estimator_class=ESTIMATORS,
)  # fmt: skip
def test_a_copy_predicts_the_same_and_goes_on_learning(estimator_class, params, how, tmp_path):
    estimator = fit(make(estimator_class, **params))
    before = outputs(estimator)
    twin = COPIES[how](estimator, tmp_path)
    np.testing.assert_array_equal(outputs(twin), before)
    assert_same_weights(twin, estimator)
    assert_views_alive(twin)
    if twin.solver == "lbfgs":
        again = fit(copy.deepcopy(estimator).set_params(warm_start=True, max_iter=3))
        np.testing.assert_array_equal(
            outputs(fit(twin.set_params(warm_start=True, max_iter=3))), outputs(again)
        )
        return
    weights, loss = [w.copy() for w in twin.coefs_], loss_of(twin)
    expected = copy.deepcopy(estimator)
    for model in (twin, expected):
        for _ in range(10):
            model.partial_fit(X, target_of(estimator_class))
            assert_views_alive(model)
    assert loss_of(twin) < loss
    for now, then in zip(twin.coefs_, weights, strict=True):
        assert not np.array_equal(now, then)
    np.testing.assert_array_equal(outputs(twin), outputs(expected))
    if how != "itself":  # the original has not moved
        np.testing.assert_array_equal(outputs(estimator), before)
        assert not np.shares_memory(twin._network.params, estimator._network.params)


@each(params=SETTINGS, estimator_class=ESTIMATORS)
def test_a_clone_is_unfitted_and_trains_to_the_same(estimator_class, params):
    estimator = fit(make(estimator_class, **params))
    twin = clone(estimator)
    assert not hasattr(twin, "coefs_")
    assert twin.get_params() == estimator.get_params()
    np.testing.assert_array_equal(outputs(fit(twin)), outputs(estimator))
    assert_views_alive(twin)


@each(params=STOCHASTIC, estimator_class=ESTIMATORS)
def test_partial_fit_from_the_start_learns(estimator_class, params):
    estimator, y = make(estimator_class, **params), target_of(estimator_class)
    first = {"classes": [0, 1, 2]} if estimator_class is BackpropClassifier else {}
    estimator.partial_fit(X, y, **first)
    loss = loss_of(estimator)
    for _ in range(30):
        estimator.partial_fit(X, y)
    assert loss_of(estimator) < 0.97 * loss


@each(params=SETTINGS, estimator_class=ESTIMATORS)
def test_size_of_a_pickle(estimator_class, params):
    estimator = fit(make(estimator_class, hidden_layer_sizes=(100, 50), max_iter=2, **params))
    state = estimator._history.optimizer.arrays or {}
    arrays = sum(value.nbytes for value in state.values() if isinstance(value, np.ndarray))
    weights = estimator._network.params.nbytes
    assert weights > 20_000
    assert len(pickle.dumps(estimator)) <= weights + arrays + 10_000


# ------------------------------------------------------------ workspaces, threads (item 5)


def reachable(root):
    """Yield every object that can be reached from `root`, classes and modules left out."""
    seen, todo = set(), [root]
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, type | type(sys)):
            continue
        seen.add(id(item))
        yield item
        todo.extend(gc.get_referents(item))


@each(params=SETTINGS, estimator_class=ESTIMATORS)
def test_no_workspace_in_a_fitted_estimator(estimator_class, params):
    estimator = fit(make(estimator_class, **params))
    outputs(estimator)
    if estimator.solver != "lbfgs":
        estimator.partial_fit(X, target_of(estimator_class))
    found = list(reachable(vars(estimator)))
    assert any(item is estimator._network for item in found)
    assert not [item for item in found if isinstance(item, Workspace | Objective)]
    assert not [item for item in found if isinstance(item, np.ndarray) and item.nbytes >= X.nbytes]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_concurrent_predict(estimator_class, sparse):
    estimator = fit(make(estimator_class, hidden_layer_sizes=(64,), dropout=0.2))
    parts = [RNG.normal(size=(rows, 6)) for rows in (1, 700, 1500, 3, 1100, 50) * 8]
    if sparse:
        parts = [csr_array(part) for part in parts]
    expected = [outputs(estimator, part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda part: outputs(estimator, part), parts))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# ------------------------------------------------------------ fit is a transaction (item 6)


class Faulty(Activation):
    """A tanh that calls `action` at its n-th gradient and at all later ones."""

    def __init__(self, n=10, action=None):
        self.n = n
        self.action = action

    def apply(self, z, out):
        np.tanh(z, out=out)

    def gradient(self, dy, y, z):
        if self.action is not None:
            counts.append(self)
            if len(counts) >= self.n:
                self.action()
        dy *= 1 - y**2


counts: list[Faulty] = []


@pytest.fixture(autouse=True)
def count_from_zero():
    counts.clear()


class ExpectedError(Exception):
    """Raised in the midst of training."""


def fail():
    raise ExpectedError


def leave():
    raise SystemExit(3)


def spoil(X, value):
    X = X.copy()
    X[-1, -1] = value
    return X


# What goes wrong: parameters to set first, then the arguments of fit.
FAILURES = {
    "nan in X": ({}, lambda X, y: (spoil(X, np.nan), y)),
    "X of strings": ({}, lambda X, y: ([["a"] * 6] * len(y), y)),
    "other features": ({}, lambda X, y: (X[:, :3], y[:-1])),
    "y too short": ({}, lambda X, y: (X, y[:-1])),
    "y of nan": ({}, lambda X, y: (X, np.full(len(y), np.nan))),
    "weights of zero": ({}, lambda X, y: (X, y, np.zeros(len(y)))),
    "bad parameter": ({"alpha": -1}, lambda X, y: (X, y)),
    "bad solver": ({"solver": "magic"}, lambda X, y: (X, y)),
    "error while training": ({"activation": Faulty(10, fail)}, lambda X, y: (X, y)),
    "exit while training": ({"activation": Faulty(10, leave)}, lambda X, y: (X, y)),
    "error in lbfgs": (
        {"activation": Faulty(10, fail), "solver": "lbfgs", "dropout": 0.0},
        lambda X, y: (X, y),
    ),
    "error with early stopping": (
        {"activation": Faulty(30, fail), "early_stopping": True},
        lambda X, y: (X, y),
    ),
    "divergence": (
        {"solver": "sgd", "learning_rate_init": 1e30, "activation": "identity"},
        lambda X, y: (X, y),
    ),
}
WARM_FAILURES = {
    "other hidden layers": ({"hidden_layer_sizes": (3,)}, lambda X, y: (X, y)),
    "other targets": ({}, lambda X, y: (X, np.c_[y, y, y] + 5)),
}


def assert_transaction(estimator, arguments, method="fit"):
    """Call a method that fails; the estimator must be as before, to the bit."""
    keys, hashed = list(vars(estimator)), joblib.hash(vars(estimator))
    fitted = hasattr(estimator, "coefs_")
    predictions = outputs(estimator) if fitted else None
    with pytest.raises((ValueError, TypeError, ExpectedError, SystemExit)):
        getattr(estimator, method)(*arguments)
    assert list(vars(estimator)) == keys
    assert joblib.hash(vars(estimator)) == hashed
    assert hasattr(estimator, "coefs_") == fitted
    if fitted:
        np.testing.assert_array_equal(outputs(estimator), predictions)
        assert_views_alive(estimator)


# Those of a warm start are no failures otherwise.
FAILING_FITS = [
    (failure, state) for failure in FAILURES for state in ("unfitted", "fitted", "warm")
]
FAILING_FITS += [(failure, "warm") for failure in WARM_FAILURES]


@each(case=FAILING_FITS, estimator_class=ESTIMATORS)
def test_fit_is_a_transaction(case, estimator_class):
    failure, state = case
    params, arguments = {**FAILURES, **WARM_FAILURES}[failure]
    y = target_of(estimator_class)
    estimator = make(estimator_class, dropout=0.1, warm_start=state == "warm")
    if state != "unfitted":
        fit(estimator)
    estimator.set_params(**params)
    assert_transaction(estimator, arguments(X, y))
    # and afterwards it is as good as ever
    good = make(estimator_class, dropout=0.1, warm_start=state == "warm").get_params()
    fit(estimator.set_params(**good))
    other = make(estimator_class, dropout=0.1, warm_start=state == "warm")
    for _ in range(2 if state == "warm" else 1):
        fit(other)
    np.testing.assert_array_equal(outputs(estimator), outputs(other))


@pairs(estimator_class=ESTIMATORS, state=("unfitted", "fitted"), failure=FAILURES | WARM_FAILURES)
def test_partial_fit_is_a_transaction(estimator_class, state, failure):
    params, arguments = {**FAILURES, **WARM_FAILURES}[failure]
    if params.get("solver") == "lbfgs":
        params = {**params, "solver": "adam"}
    if "activation" in params and params["activation"] != "identity":
        params = {**params, "activation": Faulty(3, params["activation"].action)}
    if failure in WARM_FAILURES:
        state = "fitted"
    estimator = make(estimator_class)
    if state == "fitted":
        fit(estimator)
    estimator.set_params(**params)
    X_, y, *weight = arguments(X, target_of(estimator_class))
    weight = weight[0] if weight else None
    classes = ([0, 1, 2],) if estimator_class is BackpropClassifier else ()
    assert_transaction(estimator, (X_, y, weight, *classes), "partial_fit")


def test_unseen_labels_are_a_transaction():
    estimator = fit(make(BackpropClassifier, warm_start=True))
    assert_transaction(estimator, (X, LABELS + 1))
    assert_transaction(estimator, (X, LABELS + 1), "partial_fit")
    assert_transaction(estimator, (X, LABELS, None, [0, 1, 2, 3]), "partial_fit")
    unfitted = make(BackpropClassifier)
    assert_transaction(unfitted, (X, LABELS, None, [0, 1]), "partial_fit")
    assert_transaction(unfitted, (X, LABELS), "partial_fit")


@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_a_refit_leaves_nothing_behind(estimator_class):
    expected = set(vars(fit(make(estimator_class, solver="lbfgs"))))
    estimator = fit(make(estimator_class, early_stopping=True))
    fit(estimator.set_params(solver="lbfgs", early_stopping=False))
    assert set(vars(estimator)) == expected
    fresh = fit(make(estimator_class))
    fit(estimator.set_params(solver="adam"))
    assert set(vars(estimator)) == set(vars(fresh))
    assert estimator.validation_scores_ is None
    assert estimator.loss_curve_ == fresh.loss_curve_


class Scaled(Activation):
    """A linear unit with a parameter."""

    def __init__(self, slope=1.0):
        self.slope = slope

    def apply(self, z, out):
        np.multiply(z, self.slope, out=out)

    def gradient(self, dy, y, z):
        dy *= self.slope


@each(params=STOCHASTIC, estimator_class=ESTIMATORS)
def test_predictions_hold_until_the_next_fit(estimator_class, params):
    estimator = fit(make(estimator_class, activation=Scaled(), **params))
    before = outputs(estimator)
    estimator.set_params(
        activation__slope=0.5, hidden_layer_sizes=(3,), dtype="float64", dropout=0.0,
        alpha=3.0, max_iter=1, learning_rate=Constant(),
    )  # fmt: skip
    np.testing.assert_array_equal(outputs(estimator), before)


# ------------------------------------------------------------ Ctrl-C (item 6)


@pytest.fixture
def ctrl_c():
    """Yield a function that does what Ctrl-C does; Python's own handler is in place."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, previous)


def once(action):
    """Return a function that acts at its first call only."""
    done = []

    def run():
        if not done:
            done.append(True)
            action()

    return run


def assert_usable(estimator):
    for weights in (*estimator.coefs_, *estimator.intercepts_):
        assert np.isfinite(weights).all()
    assert np.isfinite(outputs(estimator)).all()
    assert_views_alive(estimator)


INTERRUPTED = [
    {}, {"solver": "sgd"}, {"early_stopping": True}, {"dropout": 0.2, "dtype": "float64"},
    {"solver": "lbfgs"},
]  # fmt: skip


@pairs(params=INTERRUPTED, at=(1, 2, 40), estimator_class=ESTIMATORS)
def test_ctrl_c_in_fit(ctrl_c, params, at, estimator_class):
    activation = Faulty(at, once(ctrl_c))
    estimator = make(estimator_class, activation=activation, max_iter=1000, tol=0, **params)
    with pytest.warns(UserWarning, match="interrupted"):
        assert estimator.fit(X, target_of(estimator_class)) is estimator
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert_usable(estimator)
    assert estimator.n_iter_ < 40
    assert repr(estimator)
    if at == 40:
        for a, b in zip(estimator.coefs_, initial(estimator_class, params).coefs_, strict=True):
            assert not np.array_equal(a, b)
    if estimator.solver != "lbfgs":  # and goes on learning
        loss = loss_of(estimator)
        for _ in range(10):
            estimator.partial_fit(X, target_of(estimator_class))
        assert loss_of(estimator) < loss


def initial(estimator_class, params):
    """Fit with a rate so small that the weights stay the initial ones."""
    params = {**params, "learning_rate_init": 1e-300, "solver": "sgd", "max_iter": 1}
    return fit(make(estimator_class, activation="tanh", **params))


def test_ctrl_c_keeps_the_last_finished_update(ctrl_c):
    # Six batches an epoch, two hidden layers: the 26th gradient lies in the 13th update.
    params = {"shuffle": False, "dtype": "float64", "max_iter": 100, "tol": 0}
    estimator = make(BackpropRegressor, activation=Faulty(26, once(ctrl_c)), **params)
    with pytest.warns(UserWarning, match="after 2 finished epochs"):
        estimator.fit(X, NUMBERS)
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 2
    twelve = fit(make(BackpropRegressor, activation=Faulty(), **{**params, "max_iter": 2}))
    assert not np.array_equal(twelve.coefs_[0], estimator.coefs_[0])
    thirteen = twelve.partial_fit(X[:50], NUMBERS[:50])
    assert_same_weights(estimator, thirteen)


def test_a_second_ctrl_c_raises_and_leaves_the_estimator_alone(ctrl_c):
    estimator = fit(make(BackpropRegressor))
    before = joblib.hash(vars(estimator))
    predictions = outputs(estimator)

    def twice():
        ctrl_c()
        ctrl_c()

    estimator.set_params(activation=Faulty(5, twice), max_iter=1000, tol=0)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, NUMBERS)
    estimator.set_params(activation="relu", max_iter=4, tol=1e-4)
    assert joblib.hash(vars(estimator)) == before
    np.testing.assert_array_equal(outputs(estimator), predictions)


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}], ids=str)
def test_ctrl_c_from_outside(ctrl_c, params):
    def press():
        time.sleep(0.3)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    estimator = make(BackpropClassifier, max_iter=100_000, tol=0, n_iter_no_change=np.inf, **params)
    thread = threading.Thread(target=press)
    thread.start()
    with pytest.warns(UserWarning, match="interrupted"):
        estimator.fit(X, LABELS)
    thread.join()
    assert 0 < estimator.n_iter_ < 100_000
    assert_usable(estimator)


def test_ctrl_c_in_the_very_last_update_is_not_lost(ctrl_c):
    # One epoch of six batches, two hidden layers: the 12th gradient is of the last update.
    estimator = make(BackpropRegressor, activation=Faulty(12, once(ctrl_c)), max_iter=1)
    with pytest.warns(UserWarning, match="interrupted"):
        estimator.fit(X, NUMBERS)
    assert_usable(estimator)


class Pressed(BackpropRegressor):
    """Ctrl-C comes while the validation score of the last epoch is computed."""

    def _score_raw(self, y, raw, weight):
        signal.raise_signal(signal.SIGINT)
        return super()._score_raw(y, raw, weight)


def test_ctrl_c_while_scoring_the_last_epoch_is_not_lost(ctrl_c):
    estimator = make(Pressed, max_iter=1, early_stopping=True)
    with pytest.warns(UserWarning, match="interrupted"):
        estimator.fit(X, NUMBERS)
    assert_usable(estimator)


def test_another_handler_of_the_signal_is_left_alone():
    got = []
    previous = signal.signal(signal.SIGINT, lambda *args: got.append(args))
    try:
        handler = signal.getsignal(signal.SIGINT)
        activation = Faulty(3, once(lambda: signal.raise_signal(signal.SIGINT)))
        fit(make(BackpropRegressor, activation=activation))
        assert len(got) == 1
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, previous)


def test_the_handler_is_restored_after_an_error(ctrl_c):
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ExpectedError):
            make(BackpropRegressor, solver=solver, activation=Faulty(3, fail)).fit(X, NUMBERS)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_failed_refit_after_an_interruption_is_a_transaction(ctrl_c):
    estimator = make(
        BackpropRegressor, activation=Faulty(1, once(ctrl_c)), early_stopping=True, warm_start=True
    )
    with pytest.warns(UserWarning, match="interrupted"):
        estimator.fit(X, NUMBERS)
    assert estimator.validation_scores_ == []
    # six batches, two hidden layers: a good epoch, then an error in the second
    estimator.set_params(activation=Faulty(15, fail))
    scores = estimator.validation_scores_
    with pytest.raises(ExpectedError):
        estimator.fit(X, NUMBERS)
    assert estimator.validation_scores_ is scores
    assert scores == []


# ------------------------------------------------------------ same seed, same bits (item 8)


def weights_of(estimator_class, params):
    """Fit from scratch; return all weights in one vector."""
    estimator = fit(make(estimator_class, **params))
    return np.concatenate([w.ravel() for w in (*estimator.coefs_, *estimator.intercepts_)])


@each(params=SETTINGS, estimator_class=ESTIMATORS)
def test_same_seed_same_bits(estimator_class, params):
    first = weights_of(estimator_class, params)
    np.testing.assert_array_equal(weights_of(estimator_class, params), first)
    rng = {**params, "random_state": np.random.RandomState(0)}
    np.testing.assert_array_equal(weights_of(estimator_class, rng), first)
    assert not np.array_equal(weights_of(estimator_class, {**params, "random_state": 1}), first)


def quick_fit(estimator_class, params):
    """Fit until convergence, so that no thread has a warning to catch; return the weights."""
    if params.get("solver") == "lbfgs":
        params = {**params, "max_iter": 1000, "tol": 1e-2}
    else:
        params = {**params, "max_iter": 10, "tol": 1e6, "n_iter_no_change": 2}
    estimator = make(estimator_class, **params).fit(X, target_of(estimator_class))
    return estimator._network.params.copy()


def test_same_bits_in_threads():
    settings = [(cls, params) for cls in ESTIMATORS for params in SETTINGS]
    expected = [quick_fit(*setting) for setting in settings]
    with ThreadPoolExecutor(4) as pool:
        for got, weights in zip(
            pool.map(lambda setting: quick_fit(*setting), settings), expected, strict=True
        ):
            np.testing.assert_array_equal(got, weights)


def fit_in_process(X, y, params):
    """Fit in a worker process, which has not run the imports of this file."""
    import warnings

    from skbp import BackpropRegressor

    warnings.simplefilter("ignore")
    estimator = BackpropRegressor((8, 5), max_iter=4, random_state=0, batch_size=50, **params)
    return estimator.fit(X, y).coefs_[0].copy()


def test_same_bits_in_processes():
    settings = [{}, {"early_stopping": True}, {"dropout": 0.3}]
    expected = [fit(make(BackpropRegressor, **params)).coefs_[0].copy() for params in settings]
    function = joblib.wrap_non_picklable_objects(fit_in_process)
    got = joblib.Parallel(n_jobs=2)(
        joblib.delayed(function)(X, NUMBERS, params) for params in settings
    )
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("params", [{}, {"dtype": "float32", "solver": "sgd"}], ids=str)
def test_numpy_numbers_are_as_good_as_pythons(params):
    # A grid of np.logspace hands out np.float64, which must not change the precision.
    numbers = {
        "alpha": 1e-2, "learning_rate_init": 3e-3, "momentum": 0.7, "beta_1": 0.8, "beta_2": 0.99,
        "epsilon": 1e-6, "tol": 1e-5, "dropout": 0.3, "power_t": 0.4, "max_iter": 5,
        "hidden_layer_sizes": 7, "batch_size": 40, "n_iter_no_change": 3, "random_state": 3,
    }  # fmt: skip
    as_numpy = {
        key: np.float64(value) if isinstance(value, float) else np.int64(value)
        for key, value in numbers.items()
    }
    weight = RNG.uniform(0.5, 1.5, len(X))
    for kwargs in ({}, {"sample_weight": weight}):
        a = fit(make(BackpropClassifier, **{**params, **numbers}), **kwargs)
        b = fit(make(BackpropClassifier, **{**params, **as_numpy}), **kwargs)
        assert_same_weights(a, b)


# ------------------------------------------------------------ memory (item 9)


def peak_of(action):
    """Return the most memory, in bytes, that `action` had allocated at a time."""
    gc.collect()
    tracemalloc.start()
    try:
        result = action()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predict_needs_memory_for_a_chunk_only(dtype, sparse):
    n, hidden = 40_000, 300
    rng = np.random.default_rng(0)
    estimator = fit(make(BackpropRegressor, hidden_layer_sizes=(hidden,), max_iter=1, dtype=dtype))
    if sparse:
        many = csr_array(random_array((n, 6), density=0.5, format="csr", rng=rng))
    else:
        many = rng.normal(size=(n, 6))
    estimator.predict(many[:10])
    peak, prediction = peak_of(lambda: estimator.predict(many))
    # the finiteness check of scikit-learn takes a sum, not a copy; raw outputs in two dtypes
    bound = 3 * prediction.nbytes + 1024 * (hidden + 6) * 8 * 3 + 200_000
    assert peak < bound < n * hidden * 4 / 2


@pytest.mark.parametrize("params", [{}, {"solver": "lbfgs", "max_iter": 1}], ids=str)
def test_fit_needs_memory_for_batches_only(params):
    n, hidden = 30_000, 200
    rng = np.random.default_rng(0)
    many = rng.normal(size=(n, 6))
    y = many[:, 0]
    estimator = make(
        BackpropRegressor,
        hidden_layer_sizes=(hidden,),
        dtype="float64",
        **{"max_iter": 1, **params},
    )
    peak, _ = peak_of(lambda: fit(estimator, many, y))
    chunk = 4096 if "solver" in params else 50
    assert peak < 2.5 * many.nbytes + 4 * chunk * hidden * 8 + 3_000_000 < n * hidden * 8


# ------------------------------------------------------------ nothing of the caller's changes


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pairs(estimator_class=ESTIMATORS, params=SETTINGS, sparse=(False, True), read_only=(False, True))
def test_input_is_not_written_to(estimator_class, params, sparse, read_only):
    keep = frozen if read_only else np.copy
    dense, y = keep(X), keep(target_of(estimator_class))
    weight = keep(RNG.choice([0.5, 1.0, 2.5], len(X)))  # with zeros, X would be copied
    params = {**params, "hidden_layer_sizes": [8, 5]}
    is_classifier = estimator_class is BackpropClassifier
    if is_classifier:
        params["class_weight"] = {0: 1.0, 1: 3.0, 2: 0.5}
    inputs = [dense, y, weight]
    if sparse:
        matrix = csr_array(np.where(X > 0, X, 0))
        matrix.indices = keep(matrix.indices[::1])
        matrix.data, matrix.indptr = keep(matrix.data), keep(matrix.indptr)
        inputs += [matrix.data, matrix.indices, matrix.indptr]
    data = matrix if sparse else dense
    classes = [2, 0, 1]
    estimator = make(estimator_class, **params)
    arrays = [array.copy() for array in inputs]
    before = copy.deepcopy(estimator.get_params())
    given = estimator.get_params()
    fit(estimator, data, y, sample_weight=weight)
    outputs(estimator, data)
    estimator.score(data, y, sample_weight=weight)
    if estimator.solver != "lbfgs":
        extra = {"classes": classes} if is_classifier else {}
        estimator.partial_fit(data, y, sample_weight=weight, **extra)
    for array, copied in zip(inputs, arrays, strict=True):
        np.testing.assert_array_equal(array, copied)
    assert classes == [2, 0, 1]
    assert estimator.get_params() == before
    assert all(value is given[key] for key, value in estimator.get_params().items())


def test_multilabel_targets_are_not_written_to():
    y = (X[:, :3] > 0).astype(int)
    sparse = csr_array(y)
    for target in (frozen(y), sparse):
        arrays = [sparse.data.copy(), sparse.indices.copy(), y.copy()]
        estimator = fit(make(BackpropClassifier, class_weight="balanced"), X, target)
        estimator.partial_fit(X, target)
        for array, copied in zip([sparse.data, sparse.indices, y], arrays, strict=True):
            np.testing.assert_array_equal(array, copied)


def test_predictions_are_the_callers_to_change():
    estimator = fit(make(BackpropClassifier))
    expected = estimator.predict_proba(X).copy()
    for _ in range(2):
        p = estimator.predict_proba(X)
        np.testing.assert_array_equal(p, expected)
        p.fill(np.nan)
        estimator.predict(X).fill(9)
        estimator.predict_log_proba(X).fill(np.nan)


# ------------------------------------------------------------ weights are counts (item 7)


@pytest.mark.parametrize(
    "params",
    [{"solver": "lbfgs"}, {"solver": "adam"}, {"solver": "sgd"}, {"dtype": "float32"}],
    ids=str,
)
@pytest.mark.parametrize("estimator_class", ESTIMATORS)
def test_a_weight_is_a_number_of_copies_in_full_batch(estimator_class, params):
    y, counts_ = target_of(estimator_class), RNG.integers(0, 4, len(X))
    rows = np.repeat(np.arange(len(X)), counts_)
    params = {"dtype": "float64", "shuffle": False, "alpha": 0.1, **params}
    weighted = fit(
        make(estimator_class, **params, **{"batch_size": np.count_nonzero(counts_)}),
        sample_weight=counts_,
    )
    repeated = fit(make(estimator_class, **params, **{"batch_size": len(rows)}), X[rows], y[rows])
    tolerance = 1e-3 if params["dtype"] == "float32" else 1e-7
    for a, b in zip(weighted.coefs_, repeated.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance / 100)


@each(params=SETTINGS, estimator_class=ESTIMATORS)
def test_a_row_of_weight_zero_is_absent(estimator_class, params):
    y, weight = target_of(estimator_class), RNG.integers(0, 2, len(X)).astype(float)
    kept = weight > 0
    zero = fit(make(estimator_class, **params), sample_weight=weight)
    absent = fit(make(estimator_class, **params), X[kept], y[kept], sample_weight=weight[kept])
    assert_same_weights(zero, absent)
    if estimator_class is BackpropClassifier:
        weight = (LABELS != 2).astype(float)
        estimator = fit(make(estimator_class, **params), sample_weight=weight)
        np.testing.assert_array_equal(estimator.classes_, [0, 1])


def test_a_weight_is_a_number_of_copies_in_expectation():
    # In mini-batches: over many seeds (the same first weights, other batches) the mean
    # predictions agree. Batches of the same total weight make for as many updates.
    counts_ = np.tile([0, 1, 3], 100)
    rows = np.repeat(np.arange(len(X)), counts_)

    def predictions(rows, weight, batch_size):
        return np.array([
            fit(
                make(
                    BackpropRegressor, hidden_layer_sizes=(6,), random_state=seed, max_iter=20,
                    batch_size=batch_size, solver="sgd", learning_rate_init=2e-3, dtype="float64",
                    activation="tanh",
                ),
                X[rows], NUMBERS[rows], sample_weight=weight,
            ).predict(X)
            for seed in range(30)
        ])  # fmt: skip

    weighted = predictions(slice(None), counts_, 25).mean(axis=0)
    repeated = predictions(rows, None, 50).mean(axis=0)
    ignored = predictions(counts_ > 0, None, 25).mean(axis=0)
    # Not exactly: a batch is divided by its own total, which varies by a few per cent.
    assert np.linalg.norm(weighted - repeated) < 0.1 * np.linalg.norm(weighted - ignored)
