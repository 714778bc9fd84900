"""What can go wrong in training: a clear error, and the estimator is as it was, to the bit."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupKFold, PredefinedSplit

from skbp import BackpropClassifier, BackpropRegressor
from skbp.activations import ReLU
from skbp.callbacks import EarlyStopping
from skbp.layers import Dense
from skbp.optimizers import OPTIMIZERS, Adam, Group, LazyAdam
from skbp.schedules import Scheduled

ESTIMATORS = [BackpropClassifier, BackpropRegressor]
BOTH = pytest.mark.parametrize("cls", ESTIMATORS)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
LABELS = (X[:, 0] > 0).astype(int)
NUMBERS = X @ [1.0, 2.0, -1.0]
for shared in (X, LABELS, NUMBERS):
    shared.flags.writeable = False


def target_of(cls):
    return LABELS if cls is BackpropClassifier else NUMBERS


def make(cls, **params):
    defaults = {"hidden_layer_sizes": (4, 3), "max_iter": 3, "random_state": 0}
    return cls(**{**defaults, **params})


def fitted(cls, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make(cls, **params).fit(X, target_of(cls))


def refused(estimator, *words, method="fit", error=(ValueError, TypeError), **given):
    """Call a method that must fail; the estimator is then as before."""
    keys, before = list(vars(estimator)), pickle.dumps(vars(estimator))
    with pytest.raises(error) as caught:
        getattr(estimator, method)(**given)
    for word in words:
        assert word.lower() in str(caught.value).lower()
    assert list(vars(estimator)) == keys
    assert pickle.dumps(vars(estimator)) == before
    return caught.value


def refused_fitted_or_not(cls, *words, error=(ValueError, TypeError), params=(), **given):
    given = {"X": X, "y": target_of(cls), **given}
    for estimator in (make(cls), fitted(cls), fitted(cls, warm_start=True)):
        refused(estimator.set_params(**dict(params)), *words, error=error, **given)


# ------------------------------------------------------------ parameters


@pytest.mark.parametrize("name, value", [
    *[("activation", value) for value in (
        ["relu"], ["relu"] * 3, [], ("relu", "gelato"), ["relu", None], ["relu", ReLU],
        ["relu", ["tanh"]], [1, 2], np.array(["relu", "tanh"]), {"relu"})],
    *[("l1_ratio", value) for value in (-0.1, 1.1, np.nan, "0.5", None, [0.5])],
    *[("scoring", value) for value in ("no such scorer", 3, ["accuracy"], {"a": "r2"}, "")],
    *[("early_stopping", value) for value in (None, "yes", 1.0, 2)],
    *[("learning_rate_init", value) for value in ("automatic", None, 0, -1.0, np.nan, np.inf)],
    *[("freeze", value) for value in ("dense_7", ["dense_0", "dense_7"], "*.scale", 3)],
    *[("validation_fraction", value) for value in (-0.1, 1.0, 1, np.nan, "0.1", True, None, 1.5)],
], ids=lambda value: repr(value)[:30])  # fmt: skip
@BOTH
def test_parameters(cls, name, value):
    refused_fitted_or_not(cls, name, params={name: value})


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "lion", "muon", "rmsprop"])
@pytest.mark.parametrize("name, value", [
    *[(name, value) for name in ("clip_norm", "clip_value")
      for value in (0, -1.0, np.nan, np.inf, "1", True, [1.0])],
    *[("ema_decay", value) for value in (-0.1, 1.0, 2, np.nan, "0.9", True)],
    *[("weight_decay", value) for value in (-0.1, np.inf, np.nan, "0.9", True, None)],
    *[("groups", value) for value in (3, "output", [3], {"output": 2}, [Group("output", rate=-1)])],
], ids=lambda value: repr(value)[:30])  # fmt: skip
def test_settings_of_optimizers(solver, name, value):
    params = {"solver": OPTIMIZERS[solver](**{name: value})}
    refused_fitted_or_not(BackpropRegressor, params=params, error=ValueError)


@pytest.mark.parametrize("params", [
    {"l1_ratio": 0.5}, {"early_stopping": "refit"}, {"freeze": "dense_0"},
], ids=str)  # fmt: skip
@BOTH
def test_lbfgs_takes_no_part_in_it(cls, params):
    name = next(iter(params))
    refused_fitted_or_not(cls, name, "solver='adam'", params={"solver": "lbfgs", **params})


@pytest.mark.parametrize("solver", ["lazy_adam", LazyAdam()], ids=str)
@BOTH
def test_lazy_solvers_look_at_few_weights(cls, solver):
    refused_fitted_or_not(
        cls, "l1_ratio=0.5", "solver='adam'", params={"solver": solver, "l1_ratio": 0.5}
    )


@BOTH
def test_a_splitter_needs_early_stopping(cls):
    params = {"validation_fraction": 2}
    refused_fitted_or_not(cls, "validation_fraction=2", "early_stopping=True", params=params)


@pytest.mark.parametrize("name, value", [
    ("hidden_layer_sizes", (5,)), ("activation", "tanh"), ("dropout", 0.1),
    ("dropout", Scheduled("cosine", 0.5)), ("normalization", "layer"),
], ids=str)  # fmt: skip
@BOTH
def test_what_layers_take_the_place_of(cls, name, value):
    params = {"hidden_layer_sizes": (100,), "layers": [Dense(3)], name: value}
    refused_fitted_or_not(cls, name, "layers", params=params)


# ------------------------------------------------------------ validation sets


def with_value(value, X=X):
    X = X.copy()
    X[3, 1] = value
    return X


VALIDATION_SETS = {
    "nan": ({"X_val": with_value(np.nan)}, "NaN"),
    "infinity": ({"X_val": with_value(np.inf)}, "infinity"),
    "nan in csr": ({"X_val": csr_array(with_value(np.nan))}, "NaN"),
    "other features": ({"X_val": X[:, :2]}, "2 features"),
    "other length": ({"X_val": X[:-1]}, "inconsistent"),
    "no rows": ({"X_val": X[:0], "y_val": LABELS[:0]}, "0 sample"),
    "one axis": ({"X_val": X[0]}, "2D"),
    "strings": ({"X_val": np.full((40, 3), "a")}, "'a'"),
    "y of nan": ({"y_val": np.full(40, np.nan)}, "NaN"),
    "y of several columns": ({"y_val": np.zeros((40, 2))}, ""),
    "beyond float32": ({"X_val": with_value(1e300)}, "float32"),
    "negative weights": ({"sample_weight_val": -np.ones(40)}, "negative"),
    "weights of zero": ({"sample_weight_val": np.zeros(40)}, "zero"),
    "weights of another length": ({"sample_weight_val": np.ones(39)}, "sample_weight"),
    "weights of nan": ({"sample_weight_val": np.full(40, np.nan)}, "NaN"),
}


@pytest.mark.parametrize("case", VALIDATION_SETS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@BOTH
def test_validation_sets(cls, case, method):
    bad, word = VALIDATION_SETS[case]
    y = target_of(cls)
    given = {"X": X, "y": y, "X_val": X, "y_val": y, **bad}
    if case == "no rows":
        given["y_val"] = y[:0]
    classes = {"classes": [0, 1]} if method == "partial_fit" and cls is BackpropClassifier else {}
    for estimator in (make(cls, dtype="float32"), fitted(cls, dtype="float32")):
        refused(estimator, word, "validation set", method=method, **given, **classes)


@BOTH
def test_parts_of_a_validation_set(cls):
    y = target_of(cls)
    refused_fitted_or_not(cls, "X_val", "both", X_val=X)
    refused_fitted_or_not(cls, "without X_val", y_val=y)
    refused_fitted_or_not(cls, "without X_val", sample_weight_val=np.ones(40))
    refused_fitted_or_not(cls, "lbfgs", params={"solver": "lbfgs"}, X_val=X, y_val=y)


def test_labels_that_training_has_not():
    refused_fitted_or_not(BackpropClassifier, "validation set", "[2]", X_val=X, y_val=LABELS + 1)
    refused(fitted(BackpropClassifier), "validation set", "[2]", method="partial_fit", X=X,
            y=LABELS, X_val=X, y_val=LABELS + 1)  # fmt: skip
    refused_fitted_or_not(BackpropClassifier, "validation set", X_val=X, y_val=NUMBERS)


def test_numbers_that_the_loss_is_not_for():
    net = make(BackpropRegressor, loss="poisson")
    refused(net, "validation set", "poisson", X=X, y=NUMBERS**2, X_val=X, y_val=NUMBERS)


def test_other_feature_names():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    net = make(BackpropRegressor)
    given = {"y": NUMBERS, "y_val": NUMBERS}
    refused(net, "validation set", "feature names", X=frame, X_val=frame[["b", "a", "c"]], **given)


# ------------------------------------------------------------ splitters


class Splitter:
    """Yields what it was given."""

    def __init__(self, *splits):
        self.splits = splits

    def split(self, X, y=None, groups=None):
        yield from self.splits

    def get_n_splits(self, X=None, y=None, groups=None):
        return len(self.splits)


SPLITTERS = {
    "overlap": (Splitter((np.arange(30), np.arange(29, 40))), "both sets"),
    "no training rows": (Splitter(([], np.arange(40))), "at least one"),
    "no validation rows": (Splitter((np.arange(40), np.array([], int))), "at least one"),
    "beyond the end": (Splitter((np.arange(30), np.arange(30, 41))), "0 to 39"),
    "negative": (Splitter((np.arange(30), np.array([-1]))), "0 to 39"),
    "broken numbers": (Splitter((np.arange(30.0), np.array([31.5]))), "row numbers"),
    "two axes": (Splitter((np.arange(30)[:, None], np.array([[31]]))), "row numbers"),
    "mask too short": (Splitter((np.arange(30), np.ones(3, bool))), "row numbers"),
    "strings": (Splitter((np.array(["a"]), np.array(["b"]))), "row numbers"),
    "no split": (Splitter(), "no split"),
    "three parts": (Splitter((np.arange(3), np.arange(3), np.arange(3))), "cannot split"),
    "no pairs": ([1, 2], "cannot split"),
    "a number": ([3], "cannot split"),
    "empty list": ([], "validation_fraction"),
    "bytes": (b"ab", "cannot split"),
    "a dict": ({}, "validation_fraction"),
    "too many folds": (50, "cannot split"),
    "groups missing": (GroupKFold(3), "groups"),
    "predefined, too long": (PredefinedSplit(np.zeros(50, int)), "validation_fraction"),
}


@pytest.mark.parametrize("case", SPLITTERS)
@BOTH
def test_splitters(cls, case):
    splitter, word = SPLITTERS[case]
    params = {"early_stopping": True, "validation_fraction": splitter}
    refused_fitted_or_not(cls, "validation_fraction", word, params=params)


@BOTH
def test_a_splitter_that_leaves_only_rows_of_weight_zero(cls):
    weight = np.ones(40)
    weight[30:] = 0
    params = {"early_stopping": True, "validation_fraction": PredefinedSplit([-1] * 30 + [0] * 10)}
    refused_fitted_or_not(cls, "weight", params=params, sample_weight=weight)


@BOTH
def test_groups_of_another_length(cls):
    refused_fitted_or_not(cls, "inconsistent", groups=np.arange(39))


# ------------------------------------------------------------ scorers


class ExpectedError(Exception):
    """Raised on purpose."""


class Returns:
    """A scorer that returns just this; from the n-th call on it raises."""

    def __init__(self, value, n=np.inf):
        self.value = value
        self.n = n
        self.calls = 0

    def __call__(self, estimator, X, y):
        self.calls += 1
        if self.calls >= self.n:
            raise ExpectedError("no score today")
        return self.value

    def __getstate__(self):
        return self.value, self.n  # for `refused`, which compares all but the calls


def no_arguments():
    return 1.0


@pytest.mark.parametrize("scoring, words", [
    (Returns(1.0, 1), ["ExpectedError", "no score today"]),
    (Returns("good"), ["one number", "'good'"]),
    (Returns(None), ["one number", "None"]),
    (Returns(np.ones(2)), ["one number"]),
    (Returns(True), ["one number"]),
    (Returns(1j), ["one number"]),
    (Returns({"a": 1.0}), ["one number"]),
    (no_arguments, ["TypeError"]),
], ids=range(8))  # fmt: skip
@BOTH
def test_scorers(cls, scoring, words):
    y = target_of(cls)
    refused_fitted_or_not(cls, "scoring", *words, params={"scoring": scoring}, X_val=X, y_val=y)
    params = {"scoring": scoring, "early_stopping": True}
    refused_fitted_or_not(cls, "scoring", *words, params=params)
    refused(fitted(cls).set_params(scoring=scoring), "scoring", *words, method="partial_fit",
            X=X, y=y, X_val=X, y_val=y)  # fmt: skip


def test_scorers_for_other_targets():
    params = {"scoring": "roc_auc", "early_stopping": True}
    refused_fitted_or_not(BackpropRegressor, "scoring", params=params)
    params["scoring"] = accuracy_score  # a metric is no scorer
    refused_fitted_or_not(BackpropClassifier, "scor", params=params)
    params["scoring"] = "neg_mean_squared_log_error"
    refused_fitted_or_not(BackpropRegressor, "neg_mean_squared_log_error", params=params)


def test_a_scorer_that_fails_late():
    net = fitted(BackpropRegressor, warm_start=True)
    net.set_params(scoring=Returns(1.0, 4), solver=Adam(ema_decay=0.5))
    refused(net, "ExpectedError", X=X, y=NUMBERS, X_val=X, y_val=NUMBERS)


# ------------------------------------------------------------ callbacks


class Faulty:
    """A callback that raises in one of its hooks."""

    def __init__(self, hook, at="fit"):
        self.hook = hook
        self.at = at
        self.torn_down = 0

    def _call(self, hook, context=None):
        if hook == self.hook and (context is None or context.task_name == self.at):
            raise ExpectedError(hook)

    def setup(self, estimator, context):
        self._call("setup")

    def on_fit_task_begin(self, estimator, context):
        self._call("begin", context)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        fitted_estimator.predict(X)
        self._call("end", context)

    def teardown(self, estimator, context):
        self.torn_down += 1
        self._call("teardown")


@pytest.mark.parametrize("hook, at", [
    ("setup", ""), ("begin", "fit"), ("begin", "epoch"), ("end", "epoch"), ("end", "fit"),
])  # fmt: skip
@pytest.mark.parametrize("params", [
    {}, {"early_stopping": True}, {"solver": Adam(ema_decay=0.9)}, {"solver": "lbfgs"},
], ids=str)  # fmt: skip
@BOTH
def test_callbacks_that_raise(cls, hook, at, params):
    given = {"X": X, "y": target_of(cls)}
    for estimator in (make(cls), fitted(cls), fitted(cls, warm_start=True)):
        estimator.set_params(**params)
        first, last = Faulty("none"), Faulty(hook, at)
        before = pickle.dumps(vars(estimator))
        estimator.set_callbacks(first, last)
        with pytest.raises(ExpectedError, match=hook), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(**given)
        assert (first.torn_down, last.torn_down) == (1, 1)
        assert pickle.dumps(vars(estimator.set_callbacks())) == before


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_teardown_that_raises_undoes_the_fit():
    first, last = Faulty("teardown"), Faulty("none")
    net = make(BackpropRegressor).set_callbacks(first, last)
    with pytest.raises(ExpectedError, match="teardown"):
        net.fit(X, NUMBERS)
    assert last.torn_down == 1
    assert not net.__sklearn_is_fitted__()  # as it was before
    assert not [name for name in vars(net) if "callback" in name and name != "_skl_callbacks"]


@BOTH
def test_callbacks_are_torn_down_after_other_errors(cls):
    for wrong in ({"alpha": -1}, {"max_iter": "many"}, {"activation": ["relu"]}):
        callback = Faulty("none")
        estimator = make(cls, **wrong).set_callbacks(callback)
        with pytest.raises(ValueError, match=next(iter(wrong))):
            estimator.fit(X, target_of(cls))
        assert callback.torn_down == 1
        assert not hasattr(estimator, "coefs_")


def test_a_callback_of_ours_that_finds_nothing_to_look_at():
    net = make(BackpropRegressor).set_callbacks(EarlyStopping("train_score"))
    with pytest.raises(ValueError, match="train_score"):
        net.fit(X, NUMBERS)
    assert not hasattr(net, "coefs_")
