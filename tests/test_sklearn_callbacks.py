"""scikit-learn's own callbacks on the estimators, and its protocol."""

import numpy as np
import pytest
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier, BackpropRegressor
from skbp.optimizers import Adam

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
TARGETS = {
    BackpropClassifier: (X[:, 0] + RNG.normal(size=90) > 0).astype(int) + (X[:, 1] > 1),
    BackpropRegressor: np.column_stack([X[:, 0], X[:, 1] * X[:, 2]]) + RNG.normal(size=(90, 2)),
}
WEIGHT = RNG.uniform(size=90)
BOTH = pytest.mark.parametrize("cls", TARGETS)
KINDS = pytest.mark.parametrize("params", [
    {}, {"early_stopping": True}, {"solver": Adam(ema_decay=0.9)},
    {"dropout": 0.2, "normalization": "batch"}, {"solver": "lbfgs"}, {"warm_start": True},
    {"early_stopping": True, "solver": Adam(ema_decay=0.5)},
], ids=str)  # fmt: skip


def make(cls, **params):
    defaults = {
        "hidden_layer_sizes": (6,), "max_iter": 7, "batch_size": 25, "random_state": 0,
        "learning_rate_init": 0.05, "n_iter_no_change": 99,
    }  # fmt: skip
    return cls(**{**defaults, **params})


class Protocol:
    """Keeps what the hooks were given; ends a training after some epochs."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.calls = []
        self.estimators = []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.calls.append(("begin", context.task_name))
        self.given = X, y, metadata
        self.max_subtasks = context.max_subtasks

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.calls.append(("end", context.task_name))
        if context.task_name == "epoch":
            self.estimators.append(fitted_estimator)
            self.predictions = [*getattr(self, "predictions", []), fitted_estimator.predict(X)]
        return len(self.estimators) == self.stop_after

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))


# ------------------------------------------------------------ the protocol


@BOTH
def test_order_of_the_hooks(cls):
    callback, y = Protocol(), TARGETS[cls]
    make(cls, max_iter=2).set_callbacks(callback).fit(X, y, WEIGHT)
    assert callback.calls == [
        ("setup", "fit"), ("begin", "fit"), ("begin", "epoch"), ("end", "epoch"),
        ("begin", "epoch"), ("end", "epoch"), ("end", "fit"), ("teardown", "fit"),
    ]  # fmt: skip
    assert callback.given[0] is X
    assert callback.given[1] is y
    assert callback.given[2] == {"sample_weight": WEIGHT}


@BOTH
@KINDS
@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_hook_that_returns_true_ends_the_fit(cls, params, stop_after):
    callback = Protocol(stop_after)
    net = make(cls, **params).set_callbacks(callback).fit(X, TARGETS[cls])
    assert net.n_iter_ == stop_after == len(net.history_["loss"])
    short = make(cls, **{**params, "max_iter": stop_after})
    short.fit(X, TARGETS[cls])
    np.testing.assert_array_equal(net.predict(X), short.predict(X))
    np.testing.assert_array_equal(callback.predictions[-1], net.predict(X))


@BOTH
@KINDS
def test_the_fitted_estimator_is_that_of_a_fit_that_stopped_there(cls, params):
    callback, y = Protocol(), TARGETS[cls]
    net = make(cls, **params).set_callbacks(callback).fit(X, y)
    assert len(callback.estimators) == net.n_iter_
    for number, (seen, then) in enumerate(
        zip(callback.estimators, callback.predictions, strict=True), start=1
    ):
        short = make(cls, **{**params, "max_iter": number}).fit(X, y)
        np.testing.assert_array_equal(seen.predict(X), short.predict(X))
        np.testing.assert_array_equal(seen.predict(X), then)  # it has not changed since
        assert seen.score(X, y) == short.score(X, y)
        assert seen.n_iter_ == number
        assert seen.loss_ == pytest.approx(short.loss_, rel=1e-6)
        assert len(seen.history_["loss"]) == number
        for name in ("n_outputs_", "n_layers_", "out_activation_", "dtype_", "best_epoch_"):
            assert getattr(seen, name, None) == getattr(short, name, None)
    np.testing.assert_array_equal(callback.predictions[-1], net.predict(X))


@BOTH
def test_the_fitted_estimator_of_a_warm_start(cls):
    net = make(cls, warm_start=True, max_iter=2).fit(X, TARGETS[cls])
    before = net.predict(X)
    callback = Protocol()
    net.set_callbacks(callback).fit(X, TARGETS[cls])
    assert [len(seen.history_["loss"]) for seen in callback.estimators] == [3, 4]
    assert not np.array_equal(callback.predictions[0], before) or cls is BackpropClassifier


@BOTH
@KINDS
def test_hooks_do_not_change_the_network(cls, params):
    plain = make(cls, **params).fit(X, TARGETS[cls])
    net = make(cls, **params).set_callbacks(Protocol()).fit(X, TARGETS[cls])
    np.testing.assert_array_equal(net._network.params, plain._network.params)
    assert set(vars(net)) - set(vars(plain)) == {"_skl_callbacks"}


# ------------------------------------------------------------ ScoringMonitor


@BOTH
@KINDS
def test_scoring_monitor(cls, params):
    y = TARGETS[cls]
    scoring = "accuracy" if cls is BackpropClassifier else "r2"
    monitor = ScoringMonitor(scoring=scoring)
    net = make(cls, **params).set_callbacks(monitor).fit(X, y, WEIGHT)
    rows = monitor.get_logs().data
    epochs = [row for row in rows if row["task_name"] == "epoch"]
    assert [row["task_id"] for row in epochs] == list(range(net.n_iter_))
    final = check_scoring(net, scoring)(net, X, y, sample_weight=WEIGHT)
    assert epochs[-1][scoring] == pytest.approx(final)
    (whole,) = [row for row in rows if row["task_name"] != "epoch"]
    assert whole[scoring] == pytest.approx(final)


def test_scoring_monitor_with_several_scores():
    monitor = ScoringMonitor(scoring=["accuracy", "f1_macro"])
    make(BackpropClassifier).set_callbacks(monitor).fit(X, TARGETS[BackpropClassifier])
    frame = monitor.get_logs().data_as_pandas
    assert {"accuracy", "f1_macro"} <= set(frame.columns)
    assert len(frame) == 8


@BOTH
def test_scoring_monitor_in_a_pipeline(cls):
    scoring = "accuracy" if cls is BackpropClassifier else "r2"
    monitor = ScoringMonitor(scoring=scoring)
    net = make(cls).set_callbacks(monitor)
    pipe = make_pipeline(StandardScaler(), net).fit(X, TARGETS[cls])
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == 7
    assert rows[-1][scoring] == pytest.approx(pipe.score(X, TARGETS[cls]))


def test_scoring_monitor_in_a_search():
    cls = BackpropClassifier
    monitor = ScoringMonitor(scoring="accuracy")
    pipe = make_pipeline(StandardScaler(), make(cls, max_iter=2).set_callbacks(monitor))
    grid = {"backpropclassifier__alpha": [0.0, 1.0]}
    GridSearchCV(pipe, grid, cv=2, n_jobs=2, error_score="raise").fit(X, TARGETS[cls])
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == 2 * (2 * 2 + 1)
    assert len({row["parent_task_id_path"] for row in rows}) == 5


# ------------------------------------------------------------ ProgressBar


@BOTH
@KINDS
def test_progress_bar(cls, params, capsys):
    make(cls, **params).set_callbacks(ProgressBar()).fit(X, TARGETS[cls])
    assert cls.__name__ in capsys.readouterr().out


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_progress_bar_of_a_search(n_jobs, capsys):
    pipe = make_pipeline(StandardScaler(), make(BackpropClassifier, max_iter=2))
    grid = {"backpropclassifier__alpha": [0.0, 1.0]}
    search = GridSearchCV(pipe, grid, cv=2, n_jobs=n_jobs).set_callbacks(ProgressBar())
    search.fit(X, TARGETS[BackpropClassifier])
    assert "GridSearchCV" in capsys.readouterr().out
