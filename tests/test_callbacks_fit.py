"""The callbacks on the real estimators."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier, BackpropRegressor
from skbp.callbacks import (
    Call,
    Callback,
    Checkpoint,
    EarlyStopping,
    TargetScore,
    TensorBoard,
    TimeLimit,
    latest,
    read_state,
    stopping,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4))
TARGETS = {
    BackpropClassifier: (X[:, 0] + X[:, 1] > 0).astype(int),
    BackpropRegressor: X @ [1.0, -2.0, 0.5, 0.0],
}
BOTH = pytest.mark.parametrize("cls", TARGETS)


def make(cls, *callbacks, **params):
    params = {
        "hidden_layer_sizes": (8,), "batch_size": 30, "max_iter": 12, "n_iter_no_change": 1000,
        "learning_rate_init": 0.01, "dtype": np.float64, "random_state": 0, **params,
    }  # fmt: skip
    return cls(**params).set_callbacks(*callbacks)


def fit(cls, *callbacks, **params):
    return make(cls, *callbacks, **params).fit(X, TARGETS[cls])


# ------------------------------------------------------------ what an epoch tells


@BOTH
@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_numbers_of_an_epoch(cls, early_stopping):
    told = []
    net = fit(cls, Call(told.append), early_stopping=early_stopping)
    assert [epoch["epoch"] for epoch in told] == list(range(1, 13))
    assert [epoch["loss"] for epoch in told] == net.loss_curve_
    assert all(epoch["seconds"] >= 0 and epoch["learning_rate"] == 0.01 for epoch in told)
    if early_stopping:
        assert [epoch["validation_score"] for epoch in told] == net.validation_scores_
        assert all(np.isfinite(epoch["validation_loss"]) for epoch in told)
    else:
        assert not any(name.startswith("validation") for name in told[0])


class Watch(Callback):
    """Looks at the state after each epoch."""

    def __init__(self, seen):
        self.seen = seen

    def on_epoch_end(self, epoch, memory, context):
        self.seen.append(context.training.state())


@BOTH
def test_states(cls):
    seen = []
    net = fit(cls, Watch(seen))
    assert [state.history["optimizer"]["steps"] for state in seen] == [
        4 * epoch for epoch in range(1, 13)
    ]
    assert [state.history["samples"] for state in seen] == [120 * epoch for epoch in range(1, 13)]
    weights = np.concatenate([w.ravel() for w in (*net.coefs_, *net.intercepts_)])
    assert np.array_equal(seen[-1].params, weights)
    # copies: an earlier state does not change with the training
    assert len({state.params.tobytes() for state in seen}) == 12
    assert len({str(state.rng_state["state"]) for state in seen}) > 1
    assert all(state.history["optimizer"]["name"] == "Adam" for state in seen)
    assert {len(state.order) for state in seen} == {120}


@BOTH
@pytest.mark.parametrize("params", [{}, {"dropout": 0.3}, {"early_stopping": True}], ids=str)
def test_callbacks_do_not_change_the_network(cls, params, tmp_path):
    plain = fit(cls, **params)
    watched = fit(cls, Checkpoint(tmp_path), Call(lambda epoch: None), TimeLimit(1e9), **params)
    for a, b in zip(plain.coefs_, watched.coefs_, strict=True):
        assert np.array_equal(a, b)
    assert plain.loss_curve_ == watched.loss_curve_


# ------------------------------------------------------------ stopping


@BOTH
def test_stopping(cls):
    y = TARGETS[cls]
    assert fit(cls, Call(lambda epoch: epoch["epoch"] == 3)).n_iter_ == 3
    assert fit(cls, TimeLimit(1e-9)).n_iter_ == 1
    assert fit(cls, EarlyStopping("loss", patience=2, min_delta=1e9)).n_iter_ == 3
    assert fit(cls, TargetScore(-100.0), early_stopping=True).n_iter_ == 1
    net = make(cls, EarlyStopping(patience=4, min_delta=1e9), early_stopping=True)
    assert net.fit(X, y).n_iter_ == net.fit(X, y).n_iter_ == 5
    assert len(net.loss_curve_) == 5


class Updates(Callback):
    """Ends training after so many looks between two updates."""

    per_update = True

    def __init__(self, n):
        self.n = n

    def start(self, estimator, context):
        return []

    def on_update_end(self, memory):
        memory.append(1)
        return len(memory) >= self.n


# Four batches an epoch, of which three have another after them; the fifth look is after the sixth
# update, when half of the second epoch is done.
@BOTH
@pytest.mark.parametrize("params", [
    {}, {"solver": "sgd"}, {"dropout": 0.2}, {"shuffle": False}, {"learning_rate": "one_cycle"}
], ids=str)  # fmt: skip
def test_training_ends_between_two_updates(cls, params):
    told = []
    net = fit(cls, Updates(5), Call(told.append), **params)
    assert net.n_iter_ == len(net.loss_curve_) == 2
    assert net.t_ == 120 + 60
    assert [epoch["epoch"] for epoch in told] == [1]  # of the part callbacks are not told
    whole = fit(cls, **params)
    assert net.loss_curve_[0] == whole.loss_curve_[0]
    assert (net.coefs_[0] != whole.coefs_[0]).any()
    if params == {"shuffle": False}:
        # The loss is that of the rows seen: two updates on half of the rows.
        half = make(cls, max_iter=1, warm_start=True, **params)
        X_half, y_half = X[:60], TARGETS[cls][:60]
        half.fit(X, TARGETS[cls]).fit(X_half, y_half)
        assert net.loss_curve_[1] == pytest.approx(half.loss_curve_[1], rel=0.05)


@BOTH
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_last_update_of_an_epoch_ends_it_as_ever(cls, n):
    net = fit(cls, Updates(n), batch_size=30)
    assert net.n_iter_ == (1 if n < 4 else 2)
    assert fit(cls, Updates(1), batch_size=120).n_iter_ == 12  # an epoch is one update


@BOTH
def test_the_part_of_an_epoch_is_validated(cls):
    net = fit(cls, Updates(5), early_stopping=True, validation_fraction=0.25, solver="sgd",
              batch_size=15)  # fmt: skip
    assert len(net.validation_scores_) == net.n_iter_ == 1
    net = fit(cls, Updates(9), early_stopping=True, validation_fraction=0.25, batch_size=15)
    assert len(net.validation_scores_) == net.n_iter_ == 2
    best = np.argmax(net.validation_scores_)
    assert net.best_epoch_ == best + 1
    assert net.best_validation_score_ == net.validation_scores_[best]


class Clock:
    """A clock that goes on by a second each time it is looked at."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(stopping, "time", Clock())


@BOTH
def test_the_time_limit_is_kept_within_an_epoch(cls, clock):
    net = fit(cls, TimeLimit(20), batch_size=1)  # an epoch takes 120 s
    assert net.n_iter_ == 1
    assert 15 < net.t_ < 25
    net.set_callbacks().partial_fit(X, TARGETS[cls])
    net.set_params(warm_start=True).set_callbacks(TimeLimit(20)).fit(X, TARGETS[cls])
    assert net.n_iter_ == 1


@BOTH
@pytest.mark.parametrize("seconds, kept", [(30, True), (65, True), (900, False)])
def test_the_time_limit_is_kept_in_a_refit(cls, seconds, kept, clock):
    params = {"early_stopping": "refit", "batch_size": 5, "max_iter": 3}
    net = make(cls, TimeLimit(seconds), **params)
    if not kept:
        return_of = net.fit(X, TARGETS[cls])
        expected = fit(cls, **params)
    else:
        with pytest.warns(UserWarning, match=r"refit.*ended the training on all rows.*are kept"):
            return_of = net.fit(X, TARGETS[cls])
        assert len(return_of.loss_curve_) == return_of.n_iter_
        expected = make(cls, TimeLimit(seconds), **{**params, "early_stopping": True})
        expected = expected.fit(X, TARGETS[cls])
    for a, b in zip(return_of.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore:partial_fit calls no callbacks")
def test_where_there_are_no_updates_to_look_between(clock):
    cls = BackpropRegressor
    assert fit(cls, TimeLimit(3), solver="lbfgs").n_iter_ <= 3
    make(cls, TimeLimit(1)).partial_fit(X, TARGETS[cls])


@BOTH
def test_the_network_of_a_fit_that_was_stopped(cls):
    stopped = fit(cls, Call(lambda epoch: epoch["epoch"] == 5))
    short = fit(cls, max_iter=5)
    for a, b in zip(stopped.coefs_, short.coefs_, strict=True):
        assert np.array_equal(a, b)


def test_stopping_on_purpose_is_no_failure_to_converge():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        fit(BackpropClassifier, Call(lambda epoch: epoch["epoch"] == 3))


@BOTH
def test_a_monitor_that_is_missing(cls):
    net = make(cls, EarlyStopping("validation_loss"))
    with pytest.raises(ValueError, match="Set early_stopping=True"):
        net.fit(X, TARGETS[cls])
    assert not hasattr(net, "coefs_")


@BOTH
def test_an_error_in_a_callback_leaves_the_estimator_as_it_was(cls):
    net = fit(cls)
    before = [w.copy() for w in net.coefs_]
    net.set_callbacks(Call(lambda epoch: 1 / (epoch["epoch"] - 2)))
    with pytest.raises(ZeroDivisionError):
        net.fit(X, TARGETS[cls])
    assert all(np.array_equal(a, b) for a, b in zip(before, net.coefs_, strict=True))
    assert net.set_callbacks().fit(X, TARGETS[cls]).n_iter_ == 12


def test_other_solvers_and_partial_fit():
    told = []
    y = TARGETS[BackpropClassifier]
    fit(BackpropClassifier, Call(told.append), solver="lbfgs")
    fit(BackpropClassifier, Call(told.append), solver="sgd", learning_rate="adaptive")
    net = make(BackpropClassifier, Call(told.append))
    told_in_fit = len(told)
    for _ in range(2):
        with pytest.warns(UserWarning, match="partial_fit calls no callbacks"):
            net.partial_fit(X, y, classes=[0, 1])
    assert len(told) == told_in_fit
    assert all(np.isfinite(epoch["loss"]) for epoch in told)


# ------------------------------------------------------------ checkpoints


@BOTH
def test_checkpoints(cls, tmp_path):
    net = fit(cls, Checkpoint(tmp_path, every=2, keep=2))
    assert {path.name for path in tmp_path.iterdir()} == {
        "best.npz", "epoch-00010.npz", "epoch-00012.npz",
    }  # fmt: skip
    state = read_state(tmp_path / "epoch-00012.npz")
    weights = np.concatenate([w.ravel() for w in (*net.coefs_, *net.intercepts_)])
    assert np.array_equal(state.params, weights)
    assert state.fingerprint
    assert state.history["optimizer"]["steps"] == 48


@BOTH
def test_the_best_checkpoint(cls, tmp_path):
    net = fit(cls, Checkpoint(tmp_path), early_stopping=True)
    weights = np.concatenate([w.ravel() for w in (*net.coefs_, *net.intercepts_)])
    assert np.array_equal(read_state(tmp_path / "best.npz").params, weights)


def test_a_pipeline_and_a_search(tmp_path):
    y = TARGETS[BackpropClassifier]
    net = make(BackpropClassifier, Checkpoint(tmp_path / "pipe", best=False), max_iter=3)
    make_pipeline(StandardScaler(), net).fit(X, y)
    assert latest(tmp_path / "pipe").name == "epoch-00003.npz"
    callback = Checkpoint(tmp_path / "search", best=False, keep=1)
    pipe = make_pipeline(StandardScaler(), net.set_callbacks(callback))
    grid = {"backpropclassifier__max_iter": [2, 3]}
    GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(X, y)
    found = sorted(str(p.relative_to(tmp_path / "search")) for p in tmp_path.rglob("search/**/*"))
    candidates = [name for name in found if name.startswith("0") and name.endswith(".npz")]
    assert candidates == [
        "0/0/epoch-00002.npz", "0/1/epoch-00002.npz", "0/2/epoch-00003.npz", "0/3/epoch-00003.npz",
    ]  # fmt: skip
    assert latest(tmp_path / "search").parent == tmp_path / "search"  # of the refit
    assert not callback._memories


def test_cross_validation_in_parallel(tmp_path):
    net = make(BackpropClassifier, Checkpoint(tmp_path / "cv", keep=1, best=False), max_iter=2)
    cross_val_score(net, X, TARGETS[BackpropClassifier], cv=3, n_jobs=2, error_score="raise")
    found = sorted(str(p.relative_to(tmp_path / "cv")) for p in tmp_path.rglob("*.npz"))
    assert found == ["epoch-00002.npz", "fit-2/epoch-00002.npz", "fit-3/epoch-00002.npz"]


# ------------------------------------------------------------ the rest


class Writer:
    def __init__(self):
        self.tags = []

    def add_scalar(self, tag, value, global_step):
        self.tags.append((tag, global_step))


def test_logging():
    writer = Writer()
    fit(BackpropRegressor, TensorBoard(writer), max_iter=2)
    assert {("loss", 1), ("loss", 2), ("learning_rate", 1), ("seconds", 2)} <= set(writer.tags)


@BOTH
def test_copies_of_an_estimator_with_callbacks(cls):
    net = fit(cls, EarlyStopping("loss", patience=2, min_delta=1e9), TimeLimit(60))
    back = pickle.loads(pickle.dumps(net))
    assert np.array_equal(back.predict(X), net.predict(X))
    assert back.fit(X, TARGETS[cls]).n_iter_ == 3
    assert clone(net).fit(X, TARGETS[cls]).n_iter_ == 3
