"""What goes wrong in a training is said; what only looks like it is not."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from skbp import BackpropClassifier
from skbp._engine.history import History
from skbp._engine.training import Outcome
from skbp.estimators._diagnosis import findings, low_rate, risen_loss
from skbp.estimators._doubts import coarse_score, first_epoch
from skbp.model_selection import LastFraction

DIGITS = load_digits(return_X_y=True)
DIGITS = scale(DIGITS[0])[:600], DIGITS[1][:600]
BLOBS = make_blobs(400, 5, centers=2, random_state=0)
BLOBS = scale(BLOBS[0]), BLOBS[1]


def classifier(**params):
    settings = {"batch_size": 32, "max_iter": 20, "n_iter_no_change": np.inf, "random_state": 0}
    return BackpropClassifier((32,), **{**settings, **params})


def told(net, X, y):
    """Fit; return what is said of trainings that went badly."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(X, y)
    found = [one for one in caught if "Training went badly" in str(one.message)]
    assert all(one.category is ConvergenceWarning for one in found)
    return " ".join(str(one.message) for one in found)


SITUATIONS = {
    "rate too high": ("the loss rose from .* Lower learning_rate_init", DIGITS,
                      {"solver": "sgd", "learning_rate_init": 0.4}),
    "rate far too high": ("the loss rose from", DIGITS,
                              {"solver": "sgd", "learning_rate_init": 0.5}),
    "rate too low": ("hardly fell, .* Raise learning_rate_init", DIGITS,
                     {"learning_rate_init": 1e-7}),
    "rate too low, once more": ("hardly fell", DIGITS,
                                {"learning_rate_init": 1e-7, "max_iter": 3}),
    "not scaled": ("feature 23 of X .* StandardScaler", load_breast_cancer(return_X_y=True),
                   {"solver": "sgd", "learning_rate_init": 0.01}),
    "dead units": ("32 of the 32 units of hidden layer 3 are dead", DIGITS,
                   {"hidden_layer_sizes": (32, 32, 32), "learning_rate_init": 0.3}),
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_what_went_wrong_is_said(name):
    words, data, params = SITUATIONS[name]
    assert re.search(words, told(classifier().set_params(**params), *data))


# ------------------------------------------------- what only looks as if something went wrong


@pytest.mark.parametrize("data", [BLOBS, (300 * BLOBS[0], BLOBS[1])], ids=["scaled", "large"])
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
def test_going_on_from_good_weights(data, rate):
    # A loss that is low from the first epoch on stands still, or rises from nothing to little.
    net = classifier(learning_rate_init=rate, warm_start=True)
    for _ in range(3):
        assert told(net, *data) == ""
    assert net.score(*data) == 1


def test_fine_tuning_at_a_low_rate():
    net = classifier(learning_rate_init=0.01, warm_start=True)
    assert told(net, *DIGITS) == ""
    assert told(net.set_params(learning_rate_init=1e-7), *DIGITS) == ""


@pytest.mark.parametrize("params", [
    {}, {"early_stopping": True, "scoring": "loss"},
    {"early_stopping": True, "scoring": "loss", "validation_fraction": LastFraction(0.3)},
], ids=["all", "drawn", "the last"])  # fmt: skip
def test_sorted_rows(finished_fits, params):
    # The first thousand rows are of one class, and a constant output is right for all of them.
    X, y = make_blobs([1500, 1500], 3, cluster_std=2.0, random_state=0)
    order = np.argsort(y, kind="stable")
    X, y = scale(X)[order], y[order]
    if "validation_fraction" in params:
        y[1500:2100:2] = 0  # both classes before the last ones
    net = classifier(learning_rate_init=0.01, max_iter=12).set_params(**params)
    told(net, X, y)
    labels = finished_fits[-1].sample.targets
    assert len(labels) == 1000
    assert len(np.unique(labels)) == 2
    assert 0.3 < finished_fits[-1].constant_loss(finished_fits[-1].rows) < 0.7


def test_validation_rows_of_a_trend_are_on_no_other_scale():
    x = np.linspace(-1, 1, 20_000)[:, None]
    y = (x[:, 0] > 0).astype(int)
    net = classifier(max_iter=2, batch_size=2000, learning_rate_init=0.01, scoring="loss")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(x, y, X_val=x[::7], y_val=y[::7])
    assert "another scale" not in " ".join(str(one.message) for one in caught)


@pytest.fixture(name="finished_fits")
def _finished_fits(monkeypatch):
    """Trainings as those see them who look at them."""
    seen = []
    monkeypatch.setattr("skbp.estimators._fit.findings", lambda one: seen.append(one) or [])
    return seen


@pytest.fixture(name="finished")
def _finished(finished_fits):
    """One of them, to be given other curves."""
    told(classifier(early_stopping=True, validation_fraction=0.2, max_iter=2), *DIGITS)
    return finished_fits[0]


def with_curves(finished, best=None, **curves):
    """Return it with other numbers of its epochs, after which it had converged."""
    history = History()
    names = [*curves, "learning_rate"]
    columns = zip(*curves.values(), [0.01] * len(next(iter(curves.values()))), strict=True)
    history.records = [dict(zip(names, row, strict=True)) for row in columns]
    history.n_iter = len(history.records)
    if best is not None:
        history.best.epoch, history.best.score = best
    return finished._replace(history=history, outcome=Outcome.CONVERGED, by_loss=False)


#: Ten classes: a constant output has a loss of 2.3.
@pytest.mark.parametrize("curve, is_said", [
    ([0.05, 0.01, 0.001, 0.02, 0.03, 0.03], False),  # from tiny to small
    ([2.0, 1e-6, 1e-3, 1e-3, 2e-3], False),
    ([0.1, 0.05, 0.1, 0.2, 0.3], False),
    ([0.1, 0.05, 0.4, 0.6, 0.9], False),  # not a fifth of it
    ([0.1, 0.05, 0.6, 0.6, 0.9], True),
    ([2.0, 1.0, 1.6, 1.7, 1.8], True),
    ([2.0, 1.0, 1.4, 1.4, 1.4], False),  # not half as much again
    ([90.0, 50.0, 200.0, 300.0, 400.0], True),  # never as good as a constant
    ([30.0, 20.0, 10.0, 5.0, 4.0], False),
], ids=str)  # fmt: skip
def test_a_loss_rose_if_much_of_what_was_learned_is_lost(finished, curve, is_said):
    assert bool(risen_loss(curve, finished)) is is_said


@pytest.mark.parametrize("curve, is_said", [
    ([0.01, 0.05, 0.1], False),  # the score was best at once, and is no worse for it
    ([0.2, 0.3, 0.4, 0.5], False),
    ([0.2, 0.5, 1.0], True),
    ([2.3, 2.6, 3.0], True),
], ids=str)  # fmt: skip
def test_the_first_epoch_was_best_and_the_loss_rose_from_tiny(finished, curve, is_said):
    one = with_curves(finished, best=(1, 0.95), validation_loss=curve)
    assert bool(first_epoch(one)) is is_said


#: Training rows are learned, better than by a constant output; or not yet.
LEARNED, NOT_YET = 1.5, 2.5


@pytest.mark.parametrize("curve, trained, score, is_said", [
    # At chance: what fell is the certainty of wrong answers.
    ([3.5, 3.2, 3.0, 2.8, 2.5, 2.4], LEARNED, 0.1, False),
    ([2.6, 2.5, 2.4, 2.35, 2.3, 2.28], LEARNED, 0.1, False),
    ([2.3, 2.29, 2.28, 2.27, 2.26, 2.25], LEARNED, 0.1, False),
    # Learning, though the score does not show it.
    ([3.5, 3.2, 3.0, 2.8, 2.5, 2.4], NOT_YET, 0.1, True),
    ([2.3, 2.2, 2.1, 2.0, 1.9, 1.8], LEARNED, 0.3, True),
    ([3.5, 3.0, 2.5, 2.0, 1.8, 1.7], LEARNED, 0.3, True),
    ([0.5, 0.45, 0.4, 0.35, 0.32, 0.3], LEARNED, 0.85, True),
    # Few errors are left, and would hardly be fewer.
    ([0.5, 0.45, 0.44, 0.43, 0.42, 0.41], LEARNED, 0.9, False),
    ([0.5, 0.45, 0.4, 0.35, 0.32, 0.3], LEARNED, 0.97, False),
    # It rises again.
    ([0.5, 0.3, 0.4, 0.5, 0.6, 0.7], LEARNED, 0.8, False),
], ids=str)  # fmt: skip
def test_a_score_is_coarse_if_it_hides_what_is_learned(finished, curve, trained, score, is_said):
    losses = {"validation_loss": curve, "loss": [trained] * len(curve)}
    assert bool(coarse_score(with_curves(finished, best=(1, score), **losses))) is is_said


def test_a_score_on_fewer_rows_hides_more(finished):
    curve = [0.5, 0.45, 0.4, 0.36, 0.34, 0.32]
    one = with_curves(finished, best=(1, 0.95), validation_loss=curve, loss=[0.1] * 6)
    assert coarse_score(one) is None
    few = one._replace(held_out=one.held_out.take(np.arange(15)))
    assert "a score on 15 rows is coarse" in coarse_score(few)


def test_a_loss_that_stands_still_is_low_or_not(finished):
    stands = with_curves(finished, loss=[2.3, 2.3, 2.3])
    low = with_curves(finished, loss=[0.002, 0.002, 0.002])
    rows = finished.sample
    kept = finished.network.params.copy()
    assert "too low" in low_rate(finished.network, finished.loss, rows, [2.3, 2.3], 1e-7)
    assert "too low" in " ".join(findings(stands))
    assert findings(low) == []
    assert (finished.network.params == kept).all()


def test_a_rate_is_not_too_high_and_too_low(finished):
    stopping = replace(finished.stopping, keep_best=False)
    one = with_curves(finished, loss=[0.85, 0.9, 2.0, 3.0, 4.5])._replace(stopping=stopping)
    (found,) = findings(one)
    assert "too high" in found
