"""Intervals and sets: exact coverage where theory says so, and what is compared with what."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import betabinom
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import shuffle
from sklearn.utils.estimator_checks import parametrize_with_checks

from skbp import BackpropRegressor
from skbp.losses import Quantile
from skbp.tabular import RealMLP, TabularClassifier, TabularRegressor
from skbp.uncertainty import ConformalClassifier, ConformalRegressor
from skbp.uncertainty._calibration import quantile, rank
from skbp.uncertainty.classifier import class_scores

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3))
Y = X @ [1.0, -2.0, 0.5] + RNG.normal(size=150) * (1 + (X[:, 0] > 0))
LABELS = np.array(["a", "b", "c"])[np.digitize(Y, [-1.0, 1.0])]
GROUPS = np.where(X[:, 0] > 0, "noisy", "calm")
NEW = RNG.normal(size=(40, 3))
SMALL = RealMLP(n_members=4, hidden_layer_sizes=(24, 24), max_iter=30, batch_size=32)


class Spread(RegressorMixin, BaseEstimator):
    """Predicts the first column, and whatever else a method may ask for."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X, return_std=False):
        return (X[:, 0], 0.1 + np.abs(X[:, 1])) if return_std else X[:, 0]

    def predict_members(self, X):
        return X[:, 0] + np.outer([-1.0, 1.0], X[:, 1])


class Levels(Spread):
    """Predicts three quantiles."""

    def predict(self, X):
        return np.sort(X, axis=1)


class Known(ClassifierMixin, BaseEstimator):
    """Predicts the rows themselves, as probabilities."""

    classes_ = np.arange(3)

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        return X


def assert_covers(covered, n_calibration, confidence=0.9):
    """The share lies where rows drawn alike put all but one in ten thousand, on each side."""
    k = rank(n_calibration, confidence)
    law = betabinom(len(covered), k, n_calibration + 1 - k)
    low, high = law.ppf([1e-4, 1 - 1e-4])
    assert low <= covered.sum() <= high, (covered.mean(), low / len(covered), high / len(covered))


def inside(interval, y):
    return (interval[..., 0] <= y) & (y <= interval[..., 1])


def held(model, sets, y):
    return sets[np.arange(len(y)), np.searchsorted(model.classes_, y)]


# ------------------------------------------------------------ the quantile


@pytest.mark.parametrize(("n", "confidence", "expected"), [
    (9, 0.9, 9), (8, 0.9, 9), (99, 0.55, 55), (99, 0.9, 90), (100, 0.9, 91), (19, 0.95, 19),
    (1, 0.5, 1), (999_999, 0.9, 900_000),
])  # fmt: skip
def test_rank(n, confidence, expected):
    assert rank(n, confidence) == expected


def test_quantile_of_too_few_rows():
    scores = np.arange(1.0, 10.0)
    assert quantile(scores, 0.9) == 9.0
    assert quantile(scores, 0.5) == 5.0
    with pytest.warns(UserWarning, match=r"at least 10 calibration rows.*there are 9"):
        assert quantile(scores, 0.91 - 0.0015) == np.inf
    np.testing.assert_array_equal(quantile(np.array([[1.0, 5.0], [2.0, 6.0]]), 0.5), [2.0, 6.0])


# Of n + 1 rows each is left out in turn: as many are held as the quantile's rank says, no more.
@pytest.mark.parametrize("confidence", [0.5, 0.83, 0.9])
@pytest.mark.parametrize(("model", "method"), [
    (Spread(), "absolute"), (Spread(), "std"), (Levels(), "quantile"),
])  # fmt: skip
def test_exact_coverage_of_intervals(model, method, confidence):
    wrapper, n, count = ConformalRegressor(model.fit(X, Y), method), 40, 0
    for row in range(n + 1):
        others = np.delete(np.arange(n + 1), row)
        wrapper.calibrate(X[others], Y[others])
        count += inside(wrapper.predict_interval(X[[row]], confidence), Y[row])[0]
    assert count == rank(n, confidence)


@pytest.mark.parametrize("confidence", [0.5, 0.83, 0.9])
def test_exact_coverage_of_sets(confidence):
    rng, n, count = np.random.default_rng(1), 40, 0
    rows, y = rng.dirichlet([1, 1, 1], n + 1), rng.integers(0, 3, n + 1)
    for row in range(n + 1):
        others = np.delete(np.arange(n + 1), row)
        wrapper = ConformalClassifier(Known()).calibrate(rows[others], y[others])
        count += wrapper.predict_set(rows[[row]], confidence)[0, y[row]]
    assert count == rank(n, confidence)


# ------------------------------------------------------------ intervals


def test_the_quantile_of_absolute_errors():
    model = LinearRegression().fit(X[:50], Y[:50])
    wrapper = ConformalRegressor(model).calibrate(X[50:], Y[50:])
    errors = np.sort(np.abs(Y[50:] - model.predict(X[50:])))
    interval = wrapper.predict_interval(NEW, 0.8)
    assert interval.shape == (40, 2) and interval.dtype == np.float64
    center = model.predict(NEW)
    np.testing.assert_allclose(interval[:, 0], center - errors[80], rtol=1e-12)  # the 81st of 100
    np.testing.assert_allclose(interval[:, 1], center + errors[80], rtol=1e-12)
    np.testing.assert_array_equal(wrapper.predict(NEW), center)
    assert wrapper.estimators_[0] is model
    assert wrapper.n_features_in_ == 3


@pytest.mark.parametrize("method", ["std", "members"])
def test_wider_where_the_spread_is(method):
    wrapper = ConformalRegressor(Spread(), method, random_state=0).fit(X, Y)
    interval = wrapper.predict_interval(NEW)
    spread = np.abs(NEW[:, 1])
    if method == "std":
        spread = spread + 0.1
    else:
        calibration = np.sort(np.random.RandomState(0).permutation(150)[:38])
        spread = spread + np.abs(X[calibration, 1]).mean()
    ratio = (interval[:, 1] - interval[:, 0]) / spread
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert ratio[0] > 0


def test_a_spread_of_zero():
    flat = X * [1.0, 0.0, 1.0]
    for method in ("members", "std"):
        wrapper = ConformalRegressor(Spread().fit(X, Y), method).calibrate(flat, Y)
        assert np.isfinite(wrapper.predict_interval(flat)).all()
        assert inside(wrapper.predict_interval(flat), Y).mean() >= 0.9


def test_quantiles_are_shifted():
    model = Levels().fit(X, Y)
    wrapper = ConformalRegressor(model, "quantile").calibrate(X, Y)
    levels = model.predict(X)
    distance = np.sort(np.maximum(levels[:, 0] - Y, Y - levels[:, 2]))[rank(150, 0.9) - 1]
    found, new = wrapper.predict_interval(NEW), model.predict(NEW)
    np.testing.assert_allclose(found[:, 0], new[:, 0] - distance)
    np.testing.assert_allclose(found[:, 1], new[:, 2] + distance)
    np.testing.assert_array_equal(wrapper.predict(NEW), new[:, 1])


def test_a_band_that_is_too_wide_shrinks_to_a_point_at_most():
    rows = np.array([[-50.0, 0.0, 50.0]] * 30)
    wrapper = ConformalRegressor(Levels().fit(rows, rows[:, 1]), "quantile")
    wrapper.calibrate(rows, np.zeros(30))
    np.testing.assert_allclose(wrapper.predict_interval([[-1.0, 2.0, 9.0]]), [[4.0, 4.0]])
    np.testing.assert_allclose(wrapper.predict_interval(rows[:1]), [[0.0, 0.0]])


@pytest.mark.parametrize(("loss", "method"), [
    (Quantile([0.1, 0.5, 0.9]), "quantile"), ("gaussian_nll", "std"), ("squared_error", "members"),
])  # fmt: skip
def test_networks_that_know_their_spread(loss, method):
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, size=(1200, 1))
    y = np.sin(3 * rows[:, 0]) + rng.normal(size=1200) * np.where(rows[:, 0] > 0, 0.5, 0.05)
    net = BackpropRegressor((16,), loss=loss, n_members=4, learning_rate_init=0.01, max_iter=60,
                            batch_size=32, learning_rate="one_cycle", random_state=0)  # fmt: skip
    wrapper = ConformalRegressor(net, method, held_out=0.4, random_state=0).fit(rows[:800], y[:800])
    interval = wrapper.predict_interval(rows[800:], 0.9)
    assert_covers(inside(interval, y[800:]), 320)
    width, noisy = interval[:, 1] - interval[:, 0], rows[800:, 0] > 0
    if method != "members":  # these know the noise, and not their own errors alone
        assert width[noisy].mean() > 2 * width[~noisy].mean()


def test_predictions_of_members():
    net = BackpropRegressor((6,), n_members=3, max_iter=5, random_state=0)
    with pytest.warns(ConvergenceWarning):
        net.fit(X, np.column_stack([Y, -Y]))
    members = net.predict_members(NEW)
    assert members.shape == (3, 40, 2)
    np.testing.assert_allclose(members.mean(axis=0), net.predict(NEW), rtol=1e-4, atol=1e-5)
    assert (members.std(axis=0) > 0).all()
    assert not hasattr(BackpropRegressor(), "predict_members")
    with pytest.warns(ConvergenceWarning):
        alone = clone(net).set_params(n_members=1).fit(X, Y)
    assert not hasattr(alone, "predict_members")
    with pytest.raises(ValueError, match=r"predict_members.*n_members"):
        ConformalRegressor(alone, "members").calibrate(X, Y)


# ------------------------------------------------------------ sets


def test_scores_of_labels():
    probability = np.array([[0.3, 0.5, 0.2]])
    np.testing.assert_allclose(class_scores(probability, "score", None), [[0.7, 0.5, 0.8]])
    scores = class_scores(probability, "adaptive", np.array([0.5]))
    np.testing.assert_allclose(scores, [[0.5 + 0.15, 0.25, 0.8 + 0.1]])


def test_adaptive_scores_of_true_probabilities_are_uniform():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet([0.5, 1, 2], 20_000)
    y = (rng.random(20_000)[:, None] > np.cumsum(rows, axis=1)).sum(axis=1)
    scores = class_scores(rows, "adaptive", rng.random(20_000))[np.arange(20_000), y]
    for level in (0.1, 0.3, 0.5, 0.9):
        assert (scores <= level).mean() == pytest.approx(level, abs=0.011)  # 3 standard errors


@pytest.mark.parametrize("method", ["score", "adaptive"])
@pytest.mark.parametrize("held_out", [0.5, 4])
def test_coverage_of_sets_of_digits(method, held_out):
    # In their own order, the last rows are of other writers, for whom nothing is promised.
    rows, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    model = LogisticRegression(C=1e-4, max_iter=200)
    wrapper = ConformalClassifier(model, method, held_out=held_out, random_state=0)
    wrapper.fit(rows[:900], y[:900])
    sets = wrapper.predict_set(rows[900:], 0.9)
    assert sets.shape == (897, 10) and sets.dtype == bool
    assert held(wrapper, sets, y[900:]).mean() == pytest.approx(0.9, abs=0.04)
    assert (sets.sum(axis=1) < 4).mean() > 0.5
    # Larger confidence, larger sets.
    assert (sets <= wrapper.predict_set(rows[900:], 0.95)).all()
    np.testing.assert_array_equal(wrapper.predict_proba(rows[900:]).argmax(axis=1),
                                  wrapper.predict(rows[900:]))  # fmt: skip


def test_adaptive_sets_depend_on_the_seed_alone():
    def sets(seed):
        model = ConformalClassifier(LogisticRegression(), "adaptive", random_state=seed)
        model.fit(X, LABELS)
        found = model.predict_set(NEW)
        np.testing.assert_array_equal(found, model.predict_set(NEW))
        return found

    np.testing.assert_array_equal(sets(0), sets(0))
    assert (sets(0) != sets(1)).any()


def test_a_class_without_a_row_to_train_on():
    y = LABELS.astype(object)
    y[3] = "only here"
    wrapper = ConformalClassifier(LogisticRegression(), held_out=KFold(150)).fit(X, y)
    assert wrapper.classes_.tolist() == ["a", "b", "c", "only here"]
    assert wrapper.estimators_[3].classes_.tolist() == ["a", "b", "c"]
    assert wrapper.predict_proba(NEW).shape == wrapper.predict_set(NEW).shape == (40, 4)


def test_labels_of_a_fitted_classifier_in_another_order():
    class Backwards(Known):
        classes_ = np.array(["c", "b", "a"])

    rows = np.array([[0.7, 0.2, 0.1]] * 30)
    wrapper = ConformalClassifier(Backwards()).calibrate(rows, ["c"] * 25 + ["b"] * 5)
    assert wrapper.classes_.tolist() == ["c", "b", "a"]
    np.testing.assert_array_equal(wrapper.predict_set(rows[:1], 0.7), [[True, False, False]])
    np.testing.assert_array_equal(wrapper.predict_set(rows[:1], 0.95), [[True, True, False]])
    with pytest.raises(ValueError, match="'d'"):
        wrapper.calibrate(rows, ["d"] * 30)


# ------------------------------------------------------------ folds: CV+ by its definition


def test_intervals_of_folds():
    wrapper = ConformalRegressor(Ridge(), held_out=KFold(5)).fit(X, Y)
    assert len(wrapper.estimators_) == 5
    fold = np.arange(150) // 30
    errors = np.array([
        abs(Y[i] - wrapper.estimators_[fold[i]].predict(X[[i]])[0]) for i in range(150)
    ])  # fmt: skip
    found = wrapper.predict_interval(NEW, 0.85)
    for row in range(40):
        centers = np.array([model.predict(NEW[[row]])[0] for model in wrapper.estimators_])[fold]
        lower = np.sort(centers - errors)[math.floor(0.15 * 151) - 1]
        upper = np.sort(centers + errors)[math.ceil(0.85 * 151) - 1]
        np.testing.assert_allclose(found[row], [lower, upper])
    mean = np.mean([model.predict(NEW) for model in wrapper.estimators_], axis=0)
    np.testing.assert_allclose(wrapper.predict(NEW), mean)


def test_sets_of_folds():
    model = LogisticRegression()
    wrapper = ConformalClassifier(model, held_out=KFold(5)).fit(X, LABELS)
    fold, codes = np.arange(150) // 30, np.searchsorted(wrapper.classes_, LABELS)
    own = [one.predict_proba(X) for one in wrapper.estimators_]
    scores = np.array([1 - own[fold[i]][i, codes[i]] for i in range(150)])
    new = np.array([1 - one.predict_proba(NEW) for one in wrapper.estimators_])[fold]
    expected = (scores[:, None, None] < new).sum(axis=0) < 0.85 * 151
    np.testing.assert_array_equal(wrapper.predict_set(NEW, 0.85), expected)


def test_folds_by_number_are_shuffled_and_shares_are_drawn():
    rows = np.arange(20.0)[:, None]
    for held_out, n_models, n_rows in ((4, 4, 15), (0.25, 1, 15), (0.01, 1, 19)):
        wrapper = ConformalRegressor(Spread(), held_out=held_out, random_state=3)
        splits = wrapper._splits(rows, rows[:, 0], np.random.RandomState(3))
        assert [len(train) for train, _ in splits] == [n_rows] * n_models
        for train, test in splits:
            assert sorted([*train, *test]) == list(range(20))
        assert n_models == 1 or any(np.diff(test).max() > 1 for _, test in splits)
    assert not np.array_equal(
        ConformalRegressor(Ridge(), random_state=0).fit(X, Y).predict_interval(NEW),
        ConformalRegressor(Ridge(), random_state=1).fit(X, Y).predict_interval(NEW),
    )


# ------------------------------------------------------------ groups


@pytest.mark.parametrize("held_out", [0.3, KFold(3)])
def test_each_group_has_its_own_quantile(held_out):
    if held_out == 0.3:
        model = Ridge().fit(X[:50], Y[:50])
        wrapper = ConformalRegressor(model).calibrate(X[50:], Y[50:], GROUPS[50:])
        interval = wrapper.predict_interval(X[:50], groups=GROUPS[:50])
        for label in ("calm", "noisy"):
            rows = np.flatnonzero(GROUPS[50:] == label) + 50
            alone = ConformalRegressor(model).calibrate(X[rows], Y[rows])
            own = GROUPS[:50] == label
            np.testing.assert_allclose(interval[own], alone.predict_interval(X[:50])[own])
    wrapper = ConformalRegressor(Ridge(), held_out=held_out, random_state=0).fit(X, Y, GROUPS)
    width = np.diff(wrapper.predict_interval(X, groups=GROUPS), axis=1)[:, 0]
    assert width[GROUPS == "noisy"].mean() > 1.3 * width[GROUPS == "calm"].mean()


def test_sets_by_group_hold_in_each():
    rng = np.random.default_rng(0)
    rows = rng.dirichlet([1, 1, 1], 4000)
    groups, y = rng.integers(0, 2, 4000), rows.argmax(axis=1)
    # In one group, many labels are wrong.
    y = np.where((groups == 1) & (rng.random(4000) < 0.4), (y + 1) % 3, y)
    for grouped, expected in ((True, 0.9), (False, None)):
        wrapper = ConformalClassifier(Known())
        wrapper.calibrate(rows[:2000], y[:2000], groups[:2000] if grouped else None)
        sets = wrapper.predict_set(rows[2000:], groups=groups[2000:] if grouped else None)
        share = held(wrapper, sets, y[2000:])
        hard = share[groups[2000:] == 1].mean()
        assert hard == pytest.approx(expected, abs=0.03) if grouped else hard < 0.85


def test_groups_that_were_not_calibrated():
    wrapper = ConformalRegressor(Ridge().fit(X, Y)).calibrate(X, Y, GROUPS)
    with pytest.raises(ValueError, match=r"\['unheard'\].*\['calm', 'noisy'\].*unseen_groups"):
        wrapper.predict_interval(NEW, groups=["calm"] * 39 + ["unheard"])
    wrapper.set_params(unseen_groups="largest")
    found = wrapper.predict_interval(NEW[[0, 0, 0]], groups=["calm", "unheard", "noisy"])
    np.testing.assert_array_equal(found[1], found[2])
    assert np.diff(found[0]) < np.diff(found[1])
    with pytest.raises(ValueError, match=r"without groups.*with them"):
        wrapper.predict_interval(NEW)
    wrapper.calibrate(X, Y)
    with pytest.raises(ValueError, match=r"with groups.*without them"):
        wrapper.predict_interval(NEW, groups=["calm"] * 40)
    with pytest.raises(ValueError, match="149 labels for 150 rows"):
        wrapper.calibrate(X, Y, GROUPS[:-1])
    with pytest.raises(ValueError, match="groups contain NaN"):
        wrapper.calibrate(X, Y, np.where(X[:, 0] > 0, np.nan, 1.0))
    sets = ConformalClassifier(LogisticRegression().fit(X, LABELS), unseen_groups="largest")
    sets.calibrate(X, LABELS, GROUPS)
    union = [sets.predict_set(NEW, 0.8, [label] * 40) for label in ("calm", "noisy", "new")]
    np.testing.assert_array_equal(union[0] | union[1], union[2])


def test_groups_of_too_few_rows():
    groups = np.where(np.arange(150) < 5, 7, 8)
    wrapper = ConformalRegressor(Ridge().fit(X, Y)).calibrate(X, Y, groups)
    with pytest.warns(UserWarning, match="at least 9 calibration rows of group 7, and there are 5"):
        interval = wrapper.predict_interval(NEW[:2], 0.9, [7.0, 8.0])
    np.testing.assert_array_equal(interval[0], [-np.inf, np.inf])
    assert np.isfinite(interval[1]).all()
    sets = ConformalClassifier(LogisticRegression().fit(X, LABELS)).calibrate(X[:8], LABELS[:8])
    with pytest.warns(UserWarning, match="there are 8"):
        assert sets.predict_set(NEW).all()


# ------------------------------------------------------------ ways in


def test_fitted_frozen_and_unfitted():
    model = Ridge().fit(X[:50], Y[:50])
    before = pickle.dumps(model)
    expected = ConformalRegressor(model).calibrate(X[50:], Y[50:]).predict_interval(NEW)
    frozen = ConformalRegressor(FrozenEstimator(model)).fit(X[50:], Y[50:])
    np.testing.assert_array_equal(frozen.predict_interval(NEW), expected)
    assert pickle.dumps(model) == before
    with pytest.raises(NotFittedError, match="call fit"):
        ConformalRegressor(Ridge()).calibrate(X, Y)
    with pytest.raises(NotFittedError):
        ConformalRegressor(FrozenEstimator(Ridge())).fit(X, Y)
    with pytest.raises(NotFittedError):
        ConformalRegressor(model).predict_interval(X)
    # fit trains on a copy, and what it trained is calibrated anew.
    wrapper = ConformalRegressor(model, random_state=0).fit(X[50:], Y[50:])
    assert wrapper.estimators_[0] is not model
    trained = wrapper.estimators_[0]
    wrapper.calibrate(X[:50], Y[:50])
    assert wrapper.estimators_[0] is trained
    # Another estimator, set later, is what calibrate takes.
    wrapper.set_params(estimator=model).calibrate(X[:50], Y[:50])
    assert wrapper.estimators_[0] is trained
    other = Ridge(10.0).fit(X, Y)
    assert wrapper.set_params(estimator=other).calibrate(X, Y).estimators_[0] is other
    with pytest.raises(ValueError, match="3 models"):
        ConformalRegressor(Ridge(), held_out=3).fit(X, Y).calibrate(X, Y)


def test_frames_and_saved_wrappers():
    frame = pd.DataFrame(X, columns=list("abc"))
    wrapper = ConformalRegressor(Ridge(), random_state=0).fit(frame, pd.Series(Y), GROUPS)
    assert wrapper.feature_names_in_.tolist() == ["a", "b", "c"]
    new = pd.DataFrame(NEW, columns=list("abc"))
    again = pickle.loads(pickle.dumps(wrapper))
    groups = pd.Series(["calm"] * 40, dtype="category")
    np.testing.assert_array_equal(again.predict_interval(new, groups=groups),
                                  wrapper.predict_interval(new, groups=["calm"] * 40))  # fmt: skip


@pytest.mark.parametrize(("params", "message"), [
    ({"method": "relative"}, "'method'.*'absolute'"),
    ({"held_out": 1.0}, "'held_out'"), ({"held_out": 1}, "'held_out'"),
    ({"held_out": True}, "'held_out'"), ({"held_out": None}, "'held_out'"),
    ({"unseen_groups": "ignore"}, "'unseen_groups'"),
    ({"held_out": 200}, "200 folds are too many"),
    ({"held_out": 0.999}, "leaves none"),
    ({"held_out": ShuffleSplit(3, test_size=0.5, random_state=0)}, "several times"),
    ({"method": "quantile"}, "several quantiles"),
    ({"method": "std"}, "return_std"),
    ({"method": "members"}, "predict_members"),
])  # fmt: skip
def test_wrong_parameters(params, message):
    wrapper = ConformalRegressor(Ridge(), random_state=0).fit(X, Y)
    expected = wrapper.predict_interval(NEW)
    with pytest.raises(ValueError, match=message):
        clone(wrapper).set_params(**params).fit(X, Y)
    fitted, keep = wrapper.set_params(**params), wrapper.get_params()
    with pytest.raises(ValueError, match=message):
        fitted.fit(X, Y)
    assert fitted.get_params() == keep
    np.testing.assert_array_equal(fitted.predict_interval(NEW), expected)


def test_wrong_data():
    wrapper = ConformalRegressor(Ridge(), random_state=0).fit(X, Y)
    for confidence in (0, 1, 1.5, "0.9", None, np.nan, True):
        with pytest.raises(ValueError, match="confidence"):
            wrapper.predict_interval(NEW, confidence)
    with pytest.raises(ValueError, match="inconsistent"):
        wrapper.calibrate(X, Y[:-1])
    with pytest.raises(ValueError, match="NaN"):
        wrapper.calibrate(X, np.where(Y > 0, np.nan, Y))
    with pytest.raises(ValueError, match="1d array"):
        wrapper.fit(X, np.column_stack([Y, Y]))
    with pytest.raises(ValueError, match="dates"):
        wrapper.fit(X, np.array(["2024-01-01"] * 150, "M8[D]"))
    with pytest.raises(ValueError, match="no predict_proba"):
        ConformalClassifier(LinearSVC()).fit(X, LABELS)
    with pytest.raises(ValueError, match="missing labels"):
        ConformalClassifier(LogisticRegression()).fit(X, np.where(Y > 0, None, LABELS))
    with pytest.raises(ValueError, match="one number a row"):
        ConformalRegressor(Levels().fit(X, Y)).calibrate(X, Y)

    class Lost(Spread):
        def predict(self, X):
            return np.where(X[:, 0] > 0, np.nan, 0.0)

    with pytest.raises(ValueError, match="predicts NaN"):
        ConformalRegressor(Lost().fit(X, Y)).calibrate(X, Y)


@parametrize_with_checks([
    ConformalRegressor(Ridge()),
    ConformalRegressor(GaussianProcessRegressor(optimizer=None), "std", held_out=3),
    ConformalClassifier(LogisticRegression()),
    ConformalClassifier(LogisticRegression(), "adaptive", held_out=KFold(3)),
])  # fmt: skip
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


# ------------------------------------------------------------ the estimators for tables


def noisy(n, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.uniform(-1, 1, size=(n, 2))
    return rows, 10 * np.sin(3 * rows[:, 0]) + rng.normal(size=n)


def test_intervals_of_a_regressor_for_tables():
    rows, y = noisy(1000)
    model = TabularRegressor(SMALL, random_state=0).fit(rows, y)
    scores = model.calibration_scores_
    assert scores.shape == (100, 1) and scores.dtype == np.float64
    assert (np.diff(scores[:, 0]) >= 0).all()
    # They are errors of training rows; and of those that were set aside, so not the smallest ones.
    errors = np.abs(y - model.predict(rows))
    nearest = np.abs(errors[:, None] - scores[:, 0]).min(axis=0)
    assert np.mean(nearest < 1e-4) > 0.7  # the others are judged in another epoch than stands
    new, y_new = noisy(2000, seed=1)
    interval = model.predict_interval(new, 0.9)
    np.testing.assert_allclose(interval.mean(axis=1), model.predict(new))
    np.testing.assert_allclose(np.diff(interval, axis=1), 2 * scores[90, 0])  # the 91st of 100
    assert_covers(inside(interval, y_new), 100)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_interval(new), interval)
    assert not hasattr(model.network_, "_set_aside") or model.network_._set_aside is None


def test_members_of_a_regressor_for_tables():
    rows, y = noisy(300)
    model = TabularRegressor(SMALL, random_state=0).fit(rows, y)
    members = model.predict_members(rows)
    assert members.shape == (4, 300)
    middle = np.abs(model.predict(rows) - y.mean()) < 5  # far from the ends of the range
    np.testing.assert_allclose(members.mean(axis=0)[middle], model.predict(rows)[middle], rtol=1e-4)
    wrapper = ConformalRegressor(model, "members").calibrate(*noisy(200, 1))
    assert len(np.unique(np.diff(wrapper.predict_interval(rows), axis=1).round(6))) > 100


def test_intervals_of_several_outputs():
    rows, y = noisy(600)
    both = np.column_stack([y, 1000.0 * y])
    model = TabularRegressor(SMALL, random_state=0).fit(rows, both)
    interval = model.predict_interval(rows, 0.8)
    assert interval.shape == (600, 2, 2)
    width = np.diff(interval, axis=-1)[..., 0]
    assert model.calibration_scores_.shape == (60, 2)
    np.testing.assert_allclose(width, 2 * np.tile(model.calibration_scores_[48], (600, 1)))
    assert (inside(interval, both).mean(axis=0) > 0.7).all()
    assert model.predict_members(rows).shape == (4, 600, 2)


@pytest.mark.parametrize("n_folds", [8, None])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_sets_of_a_classifier_for_tables(n_folds, n_classes):
    rows, y = noisy(1000)
    labels = np.array(["u", "v", "w"])[np.digitize(y, [0.0, 5.0][: n_classes - 1])]
    preset = clone(SMALL).set_params(n_folds=n_folds)
    model = TabularClassifier(preset, random_state=0).fit(rows, labels)
    scores = model.calibration_scores_
    assert scores.shape == (500 if n_folds else 100,) and (np.diff(scores) >= 0).all()
    if n_folds:
        raw = model.oof_decision_function_.astype(float)
        seen_by_none = np.isfinite(raw).all(axis=1)
        raw = np.hstack([-raw / 2, raw / 2]) if n_classes == 2 else raw
        share = np.exp(raw[seen_by_none]) / np.exp(raw[seen_by_none]).sum(axis=1, keepdims=True)
        codes = np.searchsorted(model.classes_, labels[seen_by_none])
        expected = np.sort(1 - share[np.arange(500), codes])
        np.testing.assert_allclose(scores, expected, atol=1e-5)
    new, y_new = noisy(2000, seed=1)
    new_labels = np.array(["u", "v", "w"])[np.digitize(y_new, [0.0, 5.0][: n_classes - 1])]
    sets = model.predict_set(new, 0.9)
    assert sets.shape == (2000, n_classes) and sets.dtype == bool
    assert_covers(held(model, sets, new_labels), len(scores))
    largest = scores[rank(len(scores), 0.9) - 1]
    np.testing.assert_array_equal(sets, 1 - model.predict_proba(new).astype(float) <= largest)


def test_intervals_between_quantiles_of_a_table():
    rows, y = noisy(500)
    model = TabularRegressor(SMALL, loss=Quantile([0.1, 0.5, 0.9]), random_state=0).fit(rows, y)
    new, y_new = noisy(2000, seed=1)
    found, levels = model.predict_interval(new), model.predict(new)
    distance = model.calibration_scores_[45, 0]  # the 46th of 50
    np.testing.assert_allclose(found, levels[:, [0, 2]] + [-distance, distance])
    assert_covers(inside(found, y_new), 50)
    of_all = np.maximum(model.predict(rows)[:, 0] - y, y - model.predict(rows)[:, 2])
    nearest = np.abs(of_all[:, None] - model.calibration_scores_[:, 0]).min(axis=0)
    assert np.mean(nearest < 1e-4) > 0.7  # the others are judged in another epoch than stands
    model.calibration_scores_ -= 1000  # as of quantiles that are much too far apart
    np.testing.assert_allclose(model.predict_interval(new), levels[:, [0, 2]].mean(axis=1)[:, None]
                               + [[0, 0]])  # fmt: skip
    wrapper = ConformalRegressor(model, "quantile").calibrate(*noisy(500, 2))
    assert_covers(inside(wrapper.predict_interval(new), y_new), 500)
    np.testing.assert_array_equal(wrapper.predict(new), levels[:, 1])


def test_no_rows_that_training_did_not_see():
    rows, y = noisy(30)
    model = TabularRegressor(SMALL, random_state=0).fit(rows, y)
    assert model.calibration_scores_ is None
    with pytest.raises(ValueError, match="too few to leave any out"):
        model.predict_interval(rows)
    model = TabularClassifier(SMALL, random_state=0).fit(rows, y > 0)
    with pytest.raises(ValueError, match="too few to leave any out"):
        model.predict_set(rows)
    rows, y = noisy(200)
    labels = np.column_stack([y > 0, y > 5]).astype(int)
    several = TabularClassifier(SMALL, random_state=0).fit(rows, labels)
    with pytest.raises(ValueError, match="several labels"):
        several.predict_set(rows)
    with pytest.raises(NotFittedError):
        TabularRegressor().predict_interval(rows)


def test_confidence_of_an_estimator_for_tables():
    rows, y = noisy(100)
    model = TabularRegressor(SMALL, random_state=0).fit(rows, y)
    with pytest.raises(ValueError, match="confidence"):
        model.predict_interval(rows, 1.0)
    with pytest.warns(UserWarning, match="at least 19 .*there are 10"):
        assert np.isinf(model.predict_interval(rows, 0.95)).all()


def test_a_row_of_weight_zero_has_no_score():
    rows, y = noisy(400)
    weight = np.where(np.arange(400) < 200, 0.0, 1.0)
    spoiled = np.where(weight > 0, y, 1e6)
    one = TabularRegressor(SMALL, random_state=0).fit(rows[200:], y[200:])
    other = TabularRegressor(SMALL, random_state=0).fit(rows, spoiled, sample_weight=weight)
    np.testing.assert_allclose(other.calibration_scores_, one.calibration_scores_, rtol=1e-4)


# ------------------------------------------------------------ MAPIE


@pytest.fixture
def mapie():
    return pytest.importorskip("mapie", reason="needs MAPIE")


@pytest.mark.filterwarnings("ignore")
def test_mapie_says_the_same_of_numbers(mapie):
    from mapie.regression import SplitConformalRegressor

    rows, y = noisy(600)
    model = TabularRegressor(SMALL, random_state=0).fit(rows[:300], y[:300])
    theirs = SplitConformalRegressor(model, confidence_level=0.9, prefit=True)
    theirs.conformalize(rows[300:500], y[300:500])
    _, interval = theirs.predict_interval(rows[500:])
    ours = ConformalRegressor(model).calibrate(rows[300:500], y[300:500])
    np.testing.assert_allclose(interval[:, :, 0], ours.predict_interval(rows[500:]), rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_mapie_says_the_same_of_labels(mapie):
    from mapie.classification import SplitConformalClassifier

    rows, y = load_iris(return_X_y=True)
    order = np.random.RandomState(0).permutation(150)
    rows, y = rows[order, :2], y[order]
    model = TabularClassifier(SMALL, random_state=0).fit(rows[:70], y[:70])
    theirs = SplitConformalClassifier(model, confidence_level=0.85, prefit=True)
    theirs.conformalize(rows[70:120], y[70:120])
    _, sets = theirs.predict_set(rows[120:])
    ours = ConformalClassifier(model).calibrate(rows[70:120], y[70:120])
    np.testing.assert_array_equal(sets[:, :, 0], ours.predict_set(rows[120:], 0.85))


# ------------------------------------------------------------ pipelines


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("params", "method"), [
    ({"loss": "gaussian_nll"}, "std"), ({"n_members": 3}, "members"),
])  # fmt: skip
def test_pipelines_know_what_their_last_step_knows(params, method):
    rows, y = noisy(300)
    net = BackpropRegressor((8,), max_iter=20, random_state=0, **params)
    pipe = make_pipeline("passthrough", StandardScaler(), net)
    wrapper = ConformalRegressor(pipe, method, random_state=0).fit(rows, y)
    width = np.diff(wrapper.predict_interval(rows), axis=1)
    assert len(np.unique(width.round(6))) > 100  # each row its own
    fitted = pipe.fit(rows, y)
    frozen = ConformalRegressor(FrozenEstimator(fitted), method).fit(rows, y)
    assert np.diff(frozen.predict_interval(rows), axis=1).std() > 0


@pytest.mark.parametrize("method", ["std", "members"])
def test_what_a_pipeline_lacks_is_said_before_training(method):
    class Untouched(Ridge):
        def fit(self, X, y):
            raise AssertionError("trained")

    for model in (Untouched(), make_pipeline(StandardScaler(), Untouched())):
        with pytest.raises(ValueError, match=f"method='{method}'.*Untouched"):
            ConformalRegressor(model, method).fit(X, Y)
