"""Trainings that end as planned, and yet badly: the user is told the likeliest cause."""

import warnings

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler, scale

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine.network import Network
from skbp.estimators._diagnosis import dead_units
from skbp.layers import Dense
from skbp.losses import Huber, Poisson

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(400, 10))
Y = scale(NUMBERS @ RNG.normal(size=10) + 0.1 * RNG.normal(size=400))
IRIS, WINE, CANCER = (
    (scale(X), y)
    for X, y in (load(return_X_y=True) for load in (load_iris, load_wine, load_breast_cancer))
)
DIABETES = load_diabetes(return_X_y=True)


def classifier(**params):
    return BackpropClassifier(**{"random_state": 0, "early_stopping": True} | params)


def regressor(**params):
    return BackpropRegressor(**{"random_state": 0} | params)


def one_class():
    rest, held_out = np.arange(len(CANCER[1])) % 4 > 0, np.flatnonzero(CANCER[1] == 1)[::8]
    return (CANCER[0][rest], CANCER[1][rest]), {
        "X_val": CANCER[0][held_out], "y_val": CANCER[1][held_out]
    }  # fmt: skip


def raw_validation():
    X, y = load_breast_cancer(return_X_y=True)
    return (CANCER[0][:400], y[:400]), {"X_val": X[400:], "y_val": y[400:]}


def turned_around():
    return (NUMBERS[:300], Y[:300]), {"X_val": NUMBERS[300:], "y_val": -Y[300:]}


SITUATIONS = {
    "few rows, iris": ("score on 15 rows is coarse", classifier(), IRIS, {}),
    "few rows, wine": ("score on 18 rows is coarse", classifier(), WINE, {}),
    "few rows, iris in centimetres": (
        "score on 15 rows is coarse", classifier(), load_iris(return_X_y=True), {}
    ),
    "a coarse score": (
        "score on 57 rows is coarse", classifier(), load_breast_cancer(return_X_y=True), {}
    ),
    "diabetes": (r"y has a mean of 152 .*TransformedTargetRegressor", regressor(), DIABETES, {}),
    "large targets": (
        r"standard deviation of 1e\+06.*TransformedTargetR", regressor(), (NUMBERS, 1e6 * Y), {}
    ),
    "large targets, early stopping": (
        "TransformedTargetR", regressor(early_stopping=True), (NUMBERS, 1e6 * Y), {}
    ),
    "small targets, Huber": (
        "standard deviation of 1e-05", regressor(loss=Huber(1e-5), max_iter=20),
        (NUMBERS, 1e-5 * Y), {},
    ),
    "one of two targets": (
        "column 1 of y", regressor(max_iter=20), (NUMBERS, np.stack([Y, 1e4 + Y], axis=1)), {}
    ),
    "a schedule cut off": (
        "schedule was to bring .* within 200 epochs.*n_iter_no_change=np.inf",
        classifier(learning_rate="one_cycle"), CANCER, {},
    ),
    "validation rows as they came": (
        "another scale.*transform_input", classifier(), *raw_validation()
    ),
    "a score of one class": ("not a number in any of", classifier(scoring="roc_auc"), *one_class()),
    "R2 of one row": (
        "not a number .* one row", regressor(early_stopping=True), (NUMBERS[1:], Y[1:]),
        {"X_val": NUMBERS[:1], "y_val": Y[:1]},
    ),
    "the first epoch is the best": (
        "the first of .* epochs is the best", regressor(early_stopping=True), *turned_around()
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SITUATIONS)
def test_the_cause_is_named_once(name):
    words, net, data, validation = SITUATIONS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(*data, **validation)
    told = [str(one.message) for one in caught if "Training went badly" in str(one.message)]
    assert len(told) == 1
    with pytest.warns(ConvergenceWarning, match=words):
        warnings.warn(told[0], ConvergenceWarning, stacklevel=1)


@pytest.mark.filterwarnings("ignore")
def test_what_does_not_carry_over(monkeypatch):
    # As if the first epoch's validation loss had been no better than the others.
    monkeypatch.setattr("skbp.estimators._doubts.first_epoch", lambda finished: None)
    data, validation = turned_around()
    with pytest.warns(ConvergenceWarning, match="on the 100 rows held out .* does not carry over"):
        regressor(early_stopping=True).fit(*data, **validation)


GOOD = {
    "classes": (classifier(scoring="loss", learning_rate_init=0.01), CANCER, {}),
    "numbers": (regressor(early_stopping=True, learning_rate_init=0.01), (NUMBERS, Y), {}),
    "scaled targets": (
        TransformedTargetRegressor(regressor(early_stopping=True), transformer=StandardScaler()),
        (scale(DIABETES[0]), DIABETES[1]), {},
    ),
    "large counts": (
        regressor(loss=Poisson(), early_stopping=True, learning_rate_init=0.01),
        (NUMBERS, np.exp(Y + 3).round()), {},
    ),
    "a schedule to its end": (
        classifier(learning_rate="one_cycle", max_iter=40, n_iter_no_change=np.inf), CANCER, {}
    ),
    "a validation set": (
        classifier(scoring="loss", learning_rate_init=0.01), (CANCER[0][:400], CANCER[1][:400]),
        {"X_val": CANCER[0][400:], "y_val": CANCER[1][400:]},
    ),
    "few epochs, which is told otherwise": (
        classifier(early_stopping=False, max_iter=3, learning_rate="cosine"), CANCER, {}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_said_where_all_is_well(name):
    net, data, validation = GOOD[name]
    net.fit(*data, **validation)  # warnings are errors here


def test_a_unit_that_fires_in_some_chunk_is_not_dead(monkeypatch):
    network = Network([Dense(4), Dense(1, "identity")], (2,), np.float64)
    network.views[0]["weight"][...] = [[1, 1, 1, 0], [0, 0, 0, 1]]
    x = np.zeros((90, 2))
    x[:10] = 1  # in the first chunk only
    monkeypatch.setattr("skbp._engine.objective.PREDICT_BYTES", 1)  # chunks of 32 rows
    assert dead_units(network, x) is None
    assert "4 of the 4 units" in dead_units(network, -x)


def test_a_score_that_never_was_a_number_is_none():
    data, validation = one_class()
    with pytest.warns(ConvergenceWarning, match="not a number"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Only one class")
        net = classifier(scoring="roc_auc").fit(*data, **validation)
    assert np.isnan(net.best_validation_score_)
    assert net.best_epoch_ is None
    assert np.isfinite(net.predict_proba(CANCER[0])).all()


def test_worse_causes_come_first(monkeypatch):
    # What is found about the training itself is not followed by what would follow from it.
    net = classifier()
    monkeypatch.setattr("skbp.estimators._fit.findings", lambda *args: ["something else is wrong"])
    with pytest.warns(ConvergenceWarning) as caught:
        net.fit(*IRIS)
    assert ["something else" in str(one.message) for one in caught] == [True]
