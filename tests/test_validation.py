"""Validation sets of the caller's own, splitters, scorers, refit, curves."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, fbeta_score, make_scorer, mean_pinball_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier, BackpropRegressor
from skbp.callbacks import Call
from skbp.losses import LogLoss
from skbp.optimizers import Adam
from skbp.schedules import Schedule

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 5))
WEIGHT = RNG.integers(0, 4, size=160).astype(float)
WEIGHT[:2] = 1
SCORE = X[:, 0] + 0.5 * X[:, 1] + 0.8 * RNG.normal(size=160)
TARGETS = {
    "binary": SCORE > 0,
    "strings": np.where(SCORE > 0, "yes", "no"),
    "multiclass": (SCORE > -0.5).astype(int) + (SCORE > 0.5),
    "multilabel": np.column_stack([SCORE > 0, X[:, 2] > 0]).astype(int),
    "numbers": SCORE,
    "several numbers": np.column_stack([SCORE, X[:, 2] ** 2]),
}
TRAIN, HELD_OUT = slice(0, 100), slice(100, 160)
ALL = pytest.mark.parametrize("kind", TARGETS)
BOTH = pytest.mark.parametrize("kind", ["multiclass", "numbers"])


def make(kind, **params):
    cls = BackpropRegressor if "numbers" in kind else BackpropClassifier
    defaults = {
        "hidden_layer_sizes": (7,), "max_iter": 5, "batch_size": 32, "random_state": 0,
        "dtype": "float64", "learning_rate_init": 0.01,
    }  # fmt: skip
    return cls(**{**defaults, **params})


def own(kind, X=X, weight=False):
    """Return the arguments of fit: training rows, and a validation set."""
    y = TARGETS[kind]
    given = {"X": X[TRAIN], "y": y[TRAIN], "X_val": X[HELD_OUT], "y_val": y[HELD_OUT]}
    if weight:
        given |= {"sample_weight": WEIGHT[TRAIN], "sample_weight_val": WEIGHT[HELD_OUT]}
    return given


def flat(net):
    return np.concatenate([w.ravel() for w in (*net.coefs_, *net.intercepts_)])


def loss_of(net, X, y, weight=None):
    """The mean loss over rows, without the penalty, from what predict and predict_proba say."""
    if isinstance(net, BackpropRegressor):
        rows = 0.5 * (net.predict(X).reshape(len(y), -1) - y.reshape(len(y), -1)) ** 2
        return np.average(rows.mean(axis=1), weights=weight)
    log_p = net.predict_log_proba(X)
    if y.ndim == 2:
        rows = -(y * log_p + (1 - y) * np.log1p(-net.predict_proba(X))).sum(axis=1)
    else:
        rows = -log_p[np.arange(len(y)), np.searchsorted(net.classes_, y)]
    return np.average(rows, weights=weight)


class Recorder:
    """A splitter that remembers what it was given and what it chose."""

    def __init__(self, splitter):
        self.splitter = splitter
        self.calls = []

    def split(self, X, y=None, groups=None):
        for train, test in self.splitter.split(X, y, groups):
            self.calls.append((X, y, groups, train, test))
            yield train, test

    def get_n_splits(self, X=None, y=None, groups=None):
        return self.splitter.get_n_splits(X, y, groups)


# ------------------------------------------------------------ a validation set of one's own


@ALL
@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize("form", ["dense", "sparse", "frame", "dense, then sparse", "float32"])
def test_recorded_are_loss_and_score_of_the_validation_set(kind, weight, form):
    given = own(kind, weight=weight)
    convert = {
        "sparse": csr_array,
        "frame": lambda X: pd.DataFrame(X, columns=list("abcde")),
        "float32": np.float32,
    }.get(form, lambda X: X)
    given |= {name: convert(given[name]) for name in ("X", "X_val")}
    if form == "dense, then sparse":
        given["X_val"] = csr_array(given["X_val"])
    net = make(kind).fit(**given)
    X_val, y_val, w = given["X_val"], given["y_val"], given.get("sample_weight_val")
    assert len(net.validation_scores_) == len(net.validation_loss_curve_) == 5
    rtol = 1e-5 if form == "float32" else 1e-9
    assert net.validation_scores_[-1] == pytest.approx(net.score(X_val, y_val, w), rel=rtol)
    expected = loss_of(net, X_val, y_val, w)
    assert net.validation_loss_curve_[-1] == pytest.approx(expected, rel=rtol)
    assert net.best_epoch_ is None
    assert net.best_validation_score_ is None


@ALL
def test_it_only_records(kind):
    given = own(kind, weight=True)
    net = make(kind, dropout=0.2).fit(**given)
    plain = make(kind, dropout=0.2).fit(given["X"], given["y"], given["sample_weight"])
    np.testing.assert_array_equal(flat(net), flat(plain))
    assert net.loss_curve_ == plain.loss_curve_
    assert plain.validation_loss_curve_ is plain.validation_scores_ is plain.train_score_ is None


@ALL
@pytest.mark.parametrize("scoring", [None, "loss"])
def test_early_stopping_restores_the_best_epoch(kind, scoring):
    params = {"scoring": scoring, "learning_rate_init": 0.1, "alpha": 0.0}
    net = make(kind, early_stopping=True, max_iter=40, **params).fit(**own(kind))
    scores = net.validation_scores_
    assert net.best_epoch_ == np.argmax(scores) + 1 < net.n_iter_
    assert net.best_validation_score_ == max(scores)
    assert len(scores) == net.n_iter_ == len(net.loss_curve_)
    short = make(kind, max_iter=net.best_epoch_, **params).fit(X[TRAIN], TARGETS[kind][TRAIN])
    np.testing.assert_array_equal(flat(net), flat(short))


@BOTH
def test_early_stopping_stops_when_the_score_stands_still(kind):
    net = make(kind, early_stopping=True, max_iter=60, n_iter_no_change=3, tol=10.0)
    assert (
        net.fit(**own(kind)).n_iter_ == 5
    )  # the first epoch, and more than three without progress


def test_rows_of_weight_zero_are_absent_from_the_validation_set():
    given = own("numbers", weight=True)
    one = make("numbers").fit(**given)
    rows = given["sample_weight_val"] > 0
    for name in ("X_val", "y_val", "sample_weight_val"):
        given[name] = given[name][rows]
    other = make("numbers").fit(**given)
    assert one.validation_scores_ == other.validation_scores_
    assert one.validation_loss_curve_ == other.validation_loss_curve_


def test_classes_of_the_validation_set_may_be_few():
    y = TARGETS["multiclass"]
    rows = np.flatnonzero(y[HELD_OUT] == 1) + 100
    net = make("multiclass").fit(X[TRAIN], y[TRAIN], X_val=X[rows], y_val=y[rows])
    assert net.validation_scores_[-1] == pytest.approx(net.score(X[rows], y[rows]))


def test_a_sparse_validation_set_of_multilabel_targets():
    given = own("multilabel")
    net = make("multilabel").fit(**given)
    given |= {"y": csr_array(given["y"]), "y_val": csr_array(given["y_val"])}
    assert make("multilabel").fit(**given).validation_loss_curve_ == net.validation_loss_curve_


@BOTH
def test_nothing_that_was_given_is_written_to(kind):
    given = own(kind, weight=True)
    copies = {name: value.copy() for name, value in given.items()}
    make(kind, early_stopping=True).fit(**given)
    for name in given:
        np.testing.assert_array_equal(given[name], copies[name])


# ------------------------------------------------------------ scorers


def callable_scorer(estimator, X, y):
    return -np.abs(estimator.predict(X) - y).mean()


def weighted_scorer(estimator, X, y, sample_weight=None):
    assert sample_weight is not None
    return accuracy_score(y, estimator.predict(X), sample_weight=sample_weight)


@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize(
    "kind, scoring",
    [
        ("binary", "roc_auc"), ("strings", "roc_auc"), ("multiclass", "neg_log_loss"),
        ("multiclass", "f1_macro"), ("multilabel", "f1_macro"),
        ("numbers", "neg_mean_absolute_error"), ("several numbers", "neg_mean_absolute_error"),
        ("strings", make_scorer(fbeta_score, beta=2, pos_label="yes")),
        ("numbers", make_scorer(mean_pinball_loss, alpha=0.9, greater_is_better=False)),
    ],
    ids=str,
)  # fmt: skip
def test_scorers(kind, scoring, weight):
    given = own(kind, weight=weight)
    net = make(kind, scoring=scoring).fit(**given)
    scorer = sklearn.metrics.get_scorer(scoring)
    for attribute, suffix in (("validation_scores_", "_val"), ("train_score_", "")):
        w = given.get("sample_weight" + suffix)
        weights = {} if w is None else {"sample_weight": w}
        x, y = (given["X_val"], given["y_val"]) if suffix else (given["X"], given["y"])
        found = getattr(net, attribute)
        assert len(found) == 5
        assert found[-1] == pytest.approx(scorer(net, x, y, **weights), rel=1e-9)
    assert net.history_["train_score"] == net.train_score_


def test_callables():
    given = own("numbers", weight=True)
    net = make("numbers", scoring=callable_scorer).fit(**given)
    expected = callable_scorer(net, given["X_val"][given["sample_weight_val"] > 0],
                               given["y_val"][given["sample_weight_val"] > 0])  # fmt: skip
    assert net.validation_scores_[-1] == pytest.approx(expected)
    given = own("multiclass", weight=True)
    net = make("multiclass", scoring=weighted_scorer).fit(**given)
    plain = make("multiclass").fit(**given)
    assert net.validation_scores_ == pytest.approx(plain.validation_scores_)


@BOTH
def test_the_loss_as_score(kind):
    net = make(kind, scoring="loss").fit(**own(kind))
    assert net.validation_scores_ == [-loss for loss in net.validation_loss_curve_]
    assert net.train_score_ is None
    assert make(kind).fit(**own(kind)).train_score_ is None


def test_without_a_validation_set_nothing_is_scored():
    net = make("binary", scoring="roc_auc").fit(X, TARGETS["binary"])
    assert net.train_score_ is net.validation_scores_ is None


def test_the_train_score_looks_at_some_rows_of_a_large_set(monkeypatch):
    monkeypatch.setattr("skbp.estimators._held_out.MOST_TRAINING_ROWS", 10)
    seen = []

    def scoring(estimator, rows, y):
        seen.append([int(np.flatnonzero((row == X).all(axis=1))[0]) for row in rows])
        return 0.0

    make("numbers", scoring=scoring, early_stopping=True).fit(X, SCORE)
    assert [len(rows) for rows in seen[:2]] == [16, 10]
    seen.clear()
    make("numbers", scoring=scoring).fit(**own("numbers"))
    rows = np.arange(len(X))[TRAIN]
    assert seen[1] == [rows[int(i * (len(rows) - 1) / 9)] for i in range(10)]  # first to last


def test_a_scorer_sees_the_labels_and_a_fitted_estimator():
    def scoring(estimator, X, y):
        assert set(y) == {"yes", "no"} == set(estimator.classes_) == set(estimator.predict(X))
        assert estimator.predict_proba(X).shape == (len(y), 2)
        return estimator.score(X, y)

    net = make("strings", scoring=scoring, early_stopping=True).fit(X, TARGETS["strings"])
    assert len(net.validation_scores_) == len(net.train_score_) == net.n_iter_


def test_a_score_of_nan_is_no_progress():
    net = make("numbers", scoring=lambda *_: np.nan, early_stopping=True, max_iter=50,
               n_iter_no_change=3)  # fmt: skip
    assert net.fit(X, SCORE).n_iter_ == 4
    assert np.isnan(net.validation_scores_).all()


def test_curves_of_a_training_that_diverged_have_one_length():
    class Explode(Schedule):
        def __call__(self, progress, initial):
            return 0.01 if progress.epochs < 3 else 1e200

    net = make("numbers", solver="sgd", learning_rate=Explode(), early_stopping=True, max_iter=9,
               activation="identity", scoring="r2")  # fmt: skip
    with pytest.warns(UserWarning, match="diverged"):
        net.fit(X, SCORE)
    assert len({len(curve) for curve in net.history_.values()}) == 1
    assert len(net.train_score_) == len(net.validation_scores_) == len(net.loss_curve_)
    assert net.best_epoch_ <= 3


# ------------------------------------------------------------ splitters


GROUPS = np.repeat(np.arange(20), 8)
FOLD = np.where(np.arange(160) % 5 == 0, 0, -1)
SPLITTERS = {
    "groups": GroupKFold(4),
    "time": TimeSeriesSplit(4),
    "stratified": StratifiedShuffleSplit(3, test_size=0.25, random_state=3),
    "predefined": PredefinedSplit(FOLD),
    "pairs": None,  # see below
    "int": 4,
}


@pytest.mark.parametrize(
    "kind, name",
    [
        (kind, name)
        for kind in ("multiclass", "strings", "numbers", "several numbers")
        for name in SPLITTERS
        if not (name == "stratified" and "numbers" in kind)  # which have no classes
    ],
)
def test_a_splitter_is_like_a_validation_set_of_ones_own(kind, name):
    y, splitter = TARGETS[kind], SPLITTERS[name]
    groups = GROUPS if name == "groups" else None
    if name == "pairs":
        splitter = [(np.arange(0, 160, 2), np.arange(1, 160, 2)), (np.arange(5), np.arange(5, 9))]
    cv = sklearn.model_selection.check_cv(splitter, y, classifier="numbers" not in kind)
    train, held_out = next(cv.split(X, y, groups))
    params = {"early_stopping": True, "shuffle": False, "max_iter": 8}
    net = make(kind, **params, validation_fraction=splitter).fit(X, y, groups=groups)
    given = make(kind, **params).fit(X[train], y[train], X_val=X[held_out], y_val=y[held_out])
    np.testing.assert_array_equal(flat(net), flat(given))
    assert net.validation_scores_ == given.validation_scores_
    assert net.validation_loss_curve_ == given.validation_loss_curve_


def test_no_group_is_in_both_sets():
    recorder = Recorder(GroupKFold(4))
    make("numbers", early_stopping=True, validation_fraction=recorder).fit(X, SCORE, groups=GROUPS)
    ((_, _, groups, train, held_out),) = recorder.calls  # only one split is asked for
    np.testing.assert_array_equal(groups, GROUPS)
    assert not set(GROUPS[train]) & set(GROUPS[held_out])
    assert len(train) + len(held_out) == 160


def test_masks_are_row_numbers():
    mask = FOLD == 0
    params = {"early_stopping": True, "shuffle": False}
    net = make("numbers", **params, validation_fraction=[(~mask, mask)]).fit(X, SCORE)
    other = make("numbers", **params, validation_fraction=PredefinedSplit(FOLD)).fit(X, SCORE)
    assert net.validation_scores_ == other.validation_scores_


@pytest.mark.parametrize("as_class_weight", [False, True])
def test_row_numbers_are_the_callers_also_beside_rows_of_weight_zero(as_class_weight):
    weight, y = np.ones(160), TARGETS["multiclass"]
    weight[:40] = 0
    params, given = {}, {"sample_weight": weight}
    if as_class_weight:
        y = np.where(weight > 0, y, 7)
        params, given = {"class_weight": {7: 0.0}}, {}
    recorder = Recorder(PredefinedSplit(FOLD))
    seen = []

    def scoring(estimator, X, y):
        seen.append(X)
        return 0.0

    make("multiclass", early_stopping=True, validation_fraction=recorder, scoring=scoring,
         **params).fit(X, y, **given)  # fmt: skip
    np.testing.assert_array_equal(recorder.calls[0][0], X)
    np.testing.assert_array_equal(seen[0], X[(FOLD == 0) & (weight > 0)])
    assert len(seen[1]) == 120 - len(seen[0])


@pytest.mark.parametrize("share", [0.25, np.float32(0.25), 0, 0.0])
def test_a_share_may_be_any_real_number(share):
    sizes = []

    def scoring(estimator, X, y):
        sizes.append(len(X))
        return 0.0

    make("numbers", early_stopping=True, validation_fraction=share, scoring=scoring).fit(X, SCORE)
    assert sizes[0] == max(2, 160 * share)


def test_groups_must_be_as_long_as_the_rows():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make("numbers").fit(X, SCORE, groups=GROUPS[:-1])


# ------------------------------------------------------------ refit


class Twice(Schedule):
    """Half the rate at each plateau."""

    def __call__(self, progress, initial):
        return initial / 2**progress.plateaus

    def survives_plateau(self, rate):
        return rate > 1e-5


@BOTH
@pytest.mark.parametrize("params", [
    {}, {"solver": "sgd"}, {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1},
    {"solver": Adam(ema_decay=0.9)}, {"learning_rate": Twice(), "n_iter_no_change": 1, "tol": 0.01},
], ids=str)  # fmt: skip
def test_refit(kind, params):
    """With a validation set of one's own all rows are the same: the epochs are repeated."""
    params = {"max_iter": 25, "shuffle": False, "learning_rate_init": 0.05, **params}
    one = make(kind, early_stopping=True, **params).fit(**own(kind))
    net = make(kind, early_stopping="refit", **params).fit(**own(kind))
    np.testing.assert_array_equal(flat(net), flat(one))
    assert net.best_epoch_ == one.best_epoch_ == net.n_iter_
    assert net.loss_ == net.loss_curve_[net.best_epoch_ - 1]


@BOTH
def test_refit_is_a_fit_on_all_rows(kind):
    params = {"shuffle": False, "learning_rate_init": 0.05}
    net = make(kind, early_stopping="refit", max_iter=25, **params).fit(X, TARGETS[kind])
    plain = make(kind, max_iter=net.best_epoch_, **params).fit(X, TARGETS[kind])
    np.testing.assert_array_equal(flat(net), flat(plain))
    assert net.loss_ == plain.loss_
    assert net.t_ == plain.t_ == 160 * net.best_epoch_
    assert len(net.loss_curve_) == len(net.validation_scores_) >= net.best_epoch_


@BOTH
def test_refit_shuffles_and_repeats_itself(kind):
    params = {"early_stopping": "refit", "dropout": 0.2, "max_iter": 8}
    one, other = (make(kind, **params).fit(X, TARGETS[kind]) for _ in range(2))
    np.testing.assert_array_equal(flat(one), flat(other))
    assert one.t_ == 160 * one.best_epoch_


def test_refit_goes_on_from_the_weights_of_a_warm_start():
    params = {"shuffle": False, "solver": "sgd", "momentum": 0.0, "warm_start": True}
    net = make("numbers", **params, max_iter=2).fit(X, SCORE)
    plain = make("numbers", **params, max_iter=2).fit(X, SCORE)
    net.set_params(early_stopping="refit", max_iter=6).fit(X, SCORE)
    plain.set_params(max_iter=net.best_epoch_).fit(X, SCORE)
    np.testing.assert_array_equal(flat(net), flat(plain))
    assert net.t_ == plain.t_


# ------------------------------------------------------------ more than one call


@BOTH
@pytest.mark.parametrize("early_stopping", [False, True])
def test_curves_grow_in_warm_starts(kind, early_stopping):
    net = make(kind, warm_start=True, early_stopping=early_stopping, n_iter_no_change=99)
    for call in (1, 2):
        net.fit(**own(kind))
        for name, curve in net.history_.items():
            assert len(curve) == 5 * call, name
        assert len(net.validation_scores_) == 5 * call
    # what stands is never worse than what was best
    score = net.score(X[HELD_OUT], TARGETS[kind][HELD_OUT])
    if early_stopping:
        assert score == pytest.approx(max(net.validation_scores_)) == net.best_validation_score_
    else:
        assert score == pytest.approx(net.validation_scores_[-1])


@BOTH
def test_partial_fit_with_a_validation_set(kind):
    given = own(kind, weight=True)
    classes = {} if kind == "numbers" else {"classes": [0, 1, 2]}
    net, plain = make(kind), make(kind)
    for call in (1, 2, 3):
        net.partial_fit(**given, **classes)
        plain.partial_fit(given["X"], given["y"], given["sample_weight"], **classes)
        assert len(net.validation_scores_) == len(net.loss_curve_) == call
        score = net.score(given["X_val"], given["y_val"], given["sample_weight_val"])
        assert net.validation_scores_[-1] == pytest.approx(score)
    np.testing.assert_array_equal(flat(net), flat(plain))


def test_scores_of_partial_fit_follow_those_of_fit():
    net = make("numbers", early_stopping=True).fit(**own("numbers"))
    net.partial_fit(**own("numbers"))
    assert len(net.validation_scores_) == len(net.history_["validation_score"]) == 6
    assert net.validation_scores_ == net.history_["validation_score"]


def test_epochs_without_validation_are_nan_in_the_history():
    net = make("numbers").fit(**own("numbers"))
    net.partial_fit(X, SCORE)
    assert len(net.validation_loss_curve_) == 5
    assert len(net.history_["validation_loss"]) == 6
    assert np.isnan(net.history_["validation_loss"][-1])


# ------------------------------------------------------------ the history


def test_names_and_lengths_of_the_history():
    always = ["loss", "learning_rate", "seconds"]
    names = {
        (): always,
        ("X_val",): [*always, "validation_loss", "validation_score"],
        ("X_val", "scoring"): [*always, "validation_loss", "validation_score", "train_score"],
    }
    for asked, expected in names.items():
        net = make("binary", scoring="roc_auc" if "scoring" in asked else None)
        given = own("binary")
        net.fit(**given if "X_val" in asked else {"X": given["X"], "y": given["y"]})
        assert set(net.history_) == set(expected)
        assert all(len(curve) == net.n_iter_ == 5 for curve in net.history_.values())
    frame = net.history_.as_frame()
    assert list(frame.columns) == list(net.history_)
    assert frame.index.name == "epoch"
    assert list(frame.index) == [1, 2, 3, 4, 5]
    assert list(frame["validation_loss"]) == net.validation_loss_curve_
    assert net.learning_rate_curve_ == [0.01] * 5
    assert all(seconds > 0 for seconds in net.epoch_seconds_)
    net.partial_fit(X, TARGETS["binary"])
    assert len(net.history_.as_frame()) == 6


@pytest.mark.parametrize("kind", ["multiclass", "numbers", "several numbers"])
def test_the_history_of_lbfgs(kind):
    net = make(kind, solver="lbfgs", max_iter=7).fit(X, TARGETS[kind])
    assert set(net.history_) == {"loss", "seconds"}
    assert len(net.history_["loss"]) == net.n_iter_ == 7
    assert net.history_["loss"][-1] == pytest.approx(net.loss_, rel=1e-9)
    assert sorted(net.history_["loss"], reverse=True) == net.history_["loss"]
    assert not hasattr(net, "validation_scores_")


def test_the_rate_of_each_epoch():
    net = make("numbers", solver="sgd", learning_rate="invscaling").fit(X, SCORE)
    expected = [0.01 / (160 * epoch + 1) ** 0.5 for epoch in range(5)]
    assert net.learning_rate_curve_ == pytest.approx(expected)


# ------------------------------------------------------------ in scikit-learn's tools


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_pipeline_transforms_the_validation_set(routing):
    y = TARGETS["multiclass"]
    scale = np.array([1e3, 1.0, 1e-2, 5.0, 1.0])
    net = make("multiclass", early_stopping=True).set_fit_request(
        X_val=True, y_val=True, sample_weight_val=True, sample_weight=True
    )
    pipe = Pipeline(
        [("scale", StandardScaler().set_fit_request(sample_weight=False)), ("net", net)],
        transform_input=["X_val"],
    )
    pipe.fit(
        X[TRAIN] * scale, y[TRAIN], sample_weight=WEIGHT[TRAIN], X_val=X[HELD_OUT] * scale,
        y_val=y[HELD_OUT], sample_weight_val=WEIGHT[HELD_OUT],
    )  # fmt: skip
    scaler = StandardScaler().fit(X[TRAIN] * scale)
    by_hand = make("multiclass", early_stopping=True).fit(
        scaler.transform(X[TRAIN] * scale), y[TRAIN], WEIGHT[TRAIN],
        scaler.transform(X[HELD_OUT] * scale), y[HELD_OUT], WEIGHT[HELD_OUT],
    )  # fmt: skip
    np.testing.assert_array_equal(flat(pipe["net"]), flat(by_hand))
    assert pipe["net"].validation_scores_ == by_hand.validation_scores_


def test_groups_are_routed_through_a_search(routing):
    recorder = Recorder(GroupKFold(3))
    net = make("numbers", early_stopping=True, validation_fraction=recorder)
    net.set_fit_request(groups=True)
    search = GridSearchCV(net, {"alpha": [0.0, 1.0]}, cv=GroupKFold(2))
    search.fit(X, SCORE, groups=GROUPS)
    assert search.best_estimator_.best_epoch_ >= 1


def test_search_over_scoring_and_validation_fraction():
    grid = {
        "scoring": [None, "loss", "roc_auc"],
        "validation_fraction": [0.2, KFold(3), ShuffleSplit(1, test_size=0.3, random_state=0)],
    }
    net = make("binary", early_stopping=True, max_iter=3, random_state=0)
    search = GridSearchCV(net, grid, cv=2, error_score="raise")
    search.fit(X, TARGETS["binary"])
    assert len(search.cv_results_["params"]) == 9
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_feature_names_bring_no_warning():
    frame = pd.DataFrame(X, columns=list("abcde"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        net = make("binary", early_stopping=True, scoring="roc_auc")
        net.fit(frame[TRAIN], TARGETS["binary"][TRAIN], X_val=frame[HELD_OUT],
                y_val=TARGETS["binary"][HELD_OUT])  # fmt: skip
        net.fit(frame, TARGETS["binary"])
        net.partial_fit(frame, TARGETS["binary"], X_val=frame, y_val=TARGETS["binary"])
    assert list(net.feature_names_in_) == list("abcde")


def test_other_losses():
    net = make("multiclass", loss=LogLoss(), early_stopping=True).fit(**own("multiclass"))
    plain = make("multiclass", early_stopping=True).fit(**own("multiclass"))
    assert net.validation_loss_curve_ == plain.validation_loss_curve_
    given = own("numbers")
    given |= {"y": np.exp(given["y"]), "y_val": np.exp(given["y_val"])}
    net = make("numbers", loss="poisson").fit(**given)
    assert net.validation_scores_[-1] == pytest.approx(net.score(given["X_val"], given["y_val"]))


def test_callbacks_are_told():
    told = []
    net = make("binary", scoring="roc_auc").set_callbacks(Call(told.append)).fit(**own("binary"))
    for name in ("validation_loss", "validation_score", "train_score"):
        assert [epoch[name] for epoch in told] == net.history_[name]


def test_the_best_epoch_is_one_of_the_last_call():
    rows = load_iris(return_X_y=True)
    net = BackpropClassifier((8,), early_stopping=True, warm_start=True, max_iter=6,
                             validation_fraction=0.3, random_state=0)  # fmt: skip
    assert net.fit(*rows).best_epoch_ is not None
    net.set_params(learning_rate_init=1e-300, max_iter=2)  # nothing gets better any more
    assert net.fit(*rows).best_epoch_ is None
