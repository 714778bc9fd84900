"""What a call that fails leaves behind: nothing. And whom Ctrl-C is for."""

import os
import pickle
import signal

import numpy as np
import pytest
from robustness.helpers import Failing
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier
from sklearn.feature_selection import RFE
from sklearn.model_selection import (
    GridSearchCV,
    ShuffleSplit,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel
from skbp.callbacks import Callback

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
Y = np.arange(60) % 2
CODES = rng.integers(1, 5, (60, 6))
ESTIMATORS = {
    "classifier": (BackpropClassifier, (X, Y)),
    "regressor": (BackpropRegressor, (X, X[:, 0])),
    "sequences": (BackpropSequenceModel, (CODES,)),
}


def make(kind, **params):
    return ESTIMATORS[kind][0](**({"max_iter": 3, "random_state": 0} | params))


def given(kind):
    return ESTIMATORS[kind][1]


METHODS = [
    "start", "state_to_resume", "on_epoch_begin", "on_update_end", "on_epoch_end", "finish"
]  # fmt: skip
ERRORS = [ValueError("own"), KeyboardInterrupt(), SystemExit(3)]


def shown(estimator):
    return {name: pickle.dumps(value) for name, value in vars(estimator).items()}


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("where", METHODS)
@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("fitted", [False, True], ids=["new", "fitted"])
def test_a_callback_that_raises_changes_nothing(kind, where, error, fitted):
    estimator = make(kind, batch_size=20)
    if fitted:
        estimator.fit(*given(kind))
    estimator.set_callbacks(Failing(where, error))
    estimator.set_params(random_state=1)
    before, names = shown(estimator), list(vars(estimator))
    with pytest.raises(type(error)) as caught:
        estimator.fit(*given(kind))
    assert caught.value is error
    assert list(vars(estimator)) == names
    assert shown(estimator) == before
    estimator.set_callbacks().fit(*given(kind))


@pytest.mark.parametrize("where", ["on_epoch_begin", "on_epoch_end", "on_update_end"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_stop_iteration_of_a_callback_comes_through(solver, where):
    if solver == "lbfgs" and where == "on_update_end":
        pytest.skip("L-BFGS has iterations alone")
    error = StopIteration("mine")
    net = make("classifier", solver=solver, batch_size="auto" if solver == "lbfgs" else 20)
    net.set_callbacks(Failing(where, error))
    with pytest.raises(StopIteration) as caught:
        net.fit(X, Y)
    assert caught.value is error
    assert not hasattr(net, "loss_")


def test_a_callback_ends_lbfgs_as_before():
    class Second(Callback):
        def on_epoch_end(self, epoch, memory, context):
            return epoch["epoch"] == 2

    net = make("classifier", solver="lbfgs", max_iter=50).set_callbacks(Second()).fit(X, Y)
    assert net.n_iter_ == 2


# ------------------------------------------------------------ streams of random numbers


class Late(Callback):
    def on_epoch_end(self, epoch, memory, context):
        raise ValueError("too late")


def fail_by_callback(kind, **params):
    make(kind, **params).set_callbacks(Late()).fit(*given(kind))


def fail_by_validation_set(kind, **params):
    rows = given(kind)[0]
    second = {} if kind == "sequences" else {"y_val": np.zeros(3)}
    make(kind, **params).fit(*given(kind), X_val=rows[:2, :3], **second)


RUNAWAY = {"solver": "sgd", "learning_rate_init": 1e30, "max_iter": 20}


def fail_by_partial_fit(kind, **params):
    classes = {"classes": [0, 1]} if kind == "classifier" else {}
    # found out when the first weights are drawn
    make(kind, freeze=["nothing.*"], **params).partial_fit(*given(kind), **classes)


def fail_by_divergence(kind, **params):
    x, y = given(kind)
    make(kind, **(params | RUNAWAY)).fit(x * 1e30, y * 1e6)


FAILURES = [
    (fail, kind)
    for fail in (fail_by_callback, fail_by_validation_set, fail_by_partial_fit, fail_by_divergence)
    for kind in ESTIMATORS
    if kind != "sequences" or fail is not fail_by_divergence
]


@pytest.mark.parametrize("fail, kind", FAILURES)
def test_a_failed_fit_sets_the_callers_stream_back(fail, kind):
    stream = np.random.RandomState(5)
    stream.standard_normal()  # leaves half of a pair
    before = stream.get_state(legacy=False)
    with pytest.raises(ValueError):
        fail(kind, random_state=stream)
    np.testing.assert_equal(stream.get_state(legacy=False), before)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_that_of_a_splitter_too(kind):
    stream, other = np.random.RandomState(5), np.random.RandomState(6)
    net = make(
        kind, early_stopping=True, random_state=other,
        validation_fraction=ShuffleSplit(1, test_size=0.2, random_state=stream),
    )  # fmt: skip
    before = stream.get_state(legacy=False), other.get_state(legacy=False)
    with pytest.raises(ValueError, match="too late"):
        net.set_callbacks(Late()).fit(*given(kind))
    np.testing.assert_equal((stream.get_state(legacy=False), other.get_state(legacy=False)), before)
    net.set_callbacks().fit(*given(kind))
    assert stream.get_state(legacy=False)["state"]["pos"] != before[0]["state"]["pos"]
    assert not np.array_equal(
        other.get_state(legacy=False)["state"]["key"], before[1]["state"]["key"]
    ) or (other.get_state(legacy=False)["state"]["pos"] != before[1]["state"]["pos"])


def test_numpys_own_stream_is_left_alone():
    # Others draw from it meanwhile: to set it back would repeat their numbers.
    before = np.random.get_state(legacy=False)
    try:
        with pytest.raises(ValueError, match="too late"):
            make("classifier", random_state=None).set_callbacks(Late()).fit(X, Y)
        assert np.random.get_state(legacy=False)["state"]["pos"] != before["state"]["pos"]
    finally:
        np.random.set_state(before)


# ------------------------------------------------------------ Ctrl-C


class CtrlC(Callback):
    """Presses Ctrl-C at the end of an epoch of some fit, and counts fits."""

    fits = 0

    def __init__(self, at_fit=2):
        self.at_fit = at_fit

    def start(self, estimator, context):
        CtrlC.fits += 1

    def on_epoch_end(self, epoch, memory, context):
        if CtrlC.fits == self.at_fit:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def net():
    CtrlC.fits = 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    yield BackpropClassifier((3,), max_iter=4, random_state=0).set_callbacks(CtrlC())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Boostable(BackpropClassifier):
    """For `RFE`: a network with coefficients of its inputs."""

    @property
    def coef_(self):
        return np.abs(self.coefs_[0]).sum(axis=1)[None]


SEVERAL = {
    "search": lambda net: GridSearchCV(net, {"alpha": [0.1, 1]}, cv=3).fit(X, Y),
    "a search of pipelines": lambda net: GridSearchCV(
        make_pipeline(StandardScaler(), net), {"backpropclassifier__alpha": [0.1]}, cv=3
    ).fit(X, Y),
    "scores": lambda net: cross_val_score(net, X, Y, cv=3),
    "all scores": lambda net: cross_validate(net, X, Y, cv=3),
    "predictions": lambda net: cross_val_predict(net, X, Y, cv=3),
    "learning curve": lambda net: learning_curve(net, X, Y, cv=3, train_sizes=[0.5, 1.0]),
    "bagging": lambda net: BaggingClassifier(net, 3).fit(X, Y),
    "boosting": lambda net: AdaBoostClassifier(
        net.set_params(learning_rate_init=0.1), n_estimators=3, random_state=0
    ).fit(X, X[:, 0] * X[:, 1] > 0),
    "a model a class": lambda net: OneVsRestClassifier(net).fit(X, np.arange(60) % 3),
    "elimination": lambda net: RFE(
        Boostable(max_iter=3).set_callbacks(CtrlC()), n_features_to_select=1
    ).fit(X, Y),
}


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals here")
@pytest.mark.parametrize("several", SEVERAL)
def test_ctrl_c_ends_all_of_several_fits(several, net):
    with pytest.raises(KeyboardInterrupt):
        SEVERAL[several](net)
    assert CtrlC.fits == 2


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals here")
@pytest.mark.parametrize("alone", ["itself", "pipeline", "refit"])
def test_ctrl_c_ends_one_fit_and_keeps_it(alone, net):
    net.set_callbacks(CtrlC(7 if alone == "refit" else 1))
    model = {
        "itself": net,
        "pipeline": make_pipeline(StandardScaler(), net),
        "refit": GridSearchCV(net, {"alpha": [0.1, 1]}, cv=3),  # the results would be lost
    }[alone]
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, Y)
    assert model.predict(X).shape == (60,)
    if alone == "refit":
        assert len(model.cv_results_["params"]) == 2
