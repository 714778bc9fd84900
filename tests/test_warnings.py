"""Warnings point at the line of whoever called."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier, BackpropRegressor
from skbp.callbacks import Call
from skbp.schedules import Schedule

X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


def net(cls=BackpropClassifier, **params):
    return cls(**{"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, **params})


def assert_here(caught, line, category=UserWarning):
    assert len(caught) >= 1
    for warning in caught:
        assert warning.filename == __file__
        assert warning.lineno == line
        assert issubclass(warning.category, category)


def next_line():
    return inspect.currentframe().f_back.f_lineno + 1


def search(estimator, **params):
    return GridSearchCV(estimator, {"max_iter": [2]}, cv=2, **params)


@pytest.mark.parametrize("estimator", [
    net(), net(BackpropRegressor), net(solver="lbfgs"), net().set_callbacks(Call(print)),
    make_pipeline(StandardScaler(), net()),
    make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), net())),
    search(net()),
], ids=range(7))  # fmt: skip
def test_no_convergence(estimator):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = next_line()
        estimator.fit(X, Y)
    assert_here(caught, line, ConvergenceWarning)


def test_other_ways_into_fit():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = next_line()
        cross_val_score(net(), X, Y, cv=2)
    assert_here(caught, line, ConvergenceWarning)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = next_line()
        [net().fit(X, Y) for _ in range(1)]
    assert_here(caught, line, ConvergenceWarning)


def test_large_batches():
    with pytest.warns(UserWarning, match="batch_size=99") as caught:
        line = next_line()
        net(batch_size=99, tol=10.0, max_iter=50).fit(X, Y)
    assert_here(caught, line)


class Explode(Schedule):
    def __call__(self, progress, initial):
        return 0.01 if progress.epochs < 2 else 1e30


def test_divergence():
    diverging = net(BackpropRegressor, solver="sgd", learning_rate=Explode(), max_iter=9,
                    early_stopping=True, activation="identity")  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="diverged") as caught:
        line = next_line()
        diverging.fit(X, Y)
    assert_here(caught, line)


def test_interruption(monkeypatch):
    from skbp._engine.interrupt import Interruptible

    always = property(lambda self: True, lambda self, value: None)
    monkeypatch.setattr(Interruptible, "requested", always, raising=False)
    for method in ("fit", "partial_fit"):
        with pytest.warns(UserWarning, match="interrupted") as caught:
            line = next_line()
            getattr(net(BackpropRegressor), method)(X, Y)
        assert_here(caught, line)


def test_ctrl_c_before_and_in_a_refit(monkeypatch):
    from skbp._engine.training import Training

    train, asked = Training.run, []

    def interrupted_at(number):
        def run(self):
            asked.append(number)
            outcome = train(self)
            return type(outcome).INTERRUPTED if len(asked) == number else outcome

        return run

    for number in (1, 2):
        asked.clear()
        monkeypatch.setattr(Training, "run", interrupted_at(number))
        with pytest.warns(UserWarning, match="interrupted") as caught:
            line = next_line()
            net(early_stopping="refit").fit(X, Y)
        assert_here(caught, line)
        assert len(asked) == number  # no refit after an interruption
