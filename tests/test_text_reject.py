"""What is out of scope: shares that are kept, and what is rejected, on planted clusters."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from skbp import BackpropClassifier
from skbp.text import RejectOption
from skbp.text.reject import threshold_of

CENTERS = np.array([[4.0, 0, 0], [0, 4, 0], [0, 0, 4], [-4, -4, 0]])
CRITERIA = ("max", "energy", "nearest")


def clusters(n, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    return CENTERS[y] + rng.normal(size=(n, 3)), y


X, Y = clusters(600, 0)
NEW, NEW_Y = clusters(4000, 1)
NAMES = np.array(["a", "b", "c", "d"])


def reject(criterion="max", keep=0.95, classifier=None, **params):
    return RejectOption(classifier or LogisticRegression(), keep, criterion, **params)


@pytest.mark.parametrize("keep", [0.8, 0.95])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_share_that_is_kept(criterion, keep):
    model = reject(criterion, keep).fit(X, Y)
    # four standard deviations: of the new rows' share, and of the threshold's rank
    margin = 4 * np.sqrt(keep * (1 - keep) * (1 / len(NEW) + 1 / len(X)))
    assert model.in_scope(NEW).mean() == pytest.approx(keep, abs=margin)


@pytest.mark.parametrize("criterion, far", [
    ("max", np.zeros((5, 3))), ("energy", np.zeros((5, 3))), ("nearest", np.full((5, 3), 30.0)),
])  # fmt: skip
def test_what_is_far_is_rejected(criterion, far):
    model = reject(criterion, classifier=LogisticRegression(C=100)).fit(X, Y)
    assert not model.in_scope(far).any()
    assert model.in_scope(CENTERS).all()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_monotone_in_keep(criterion):
    kept = [reject(criterion, keep).fit(X, Y).in_scope(NEW) for keep in (0.5, 0.8, 0.95, 1.0)]
    for fewer, more in pairwise(kept):
        assert more[fewer].all() and more.sum() > fewer.sum()


def test_threshold_by_hand():
    scores, weights = np.array([3.0, 1.0, 2.0, 5.0, 4.0]), np.ones(5)
    for keep, expected in [(0.2, 5), (0.21, 4), (0.4, 4), (0.8, 2), (0.81, 1), (1.0, 1)]:
        assert threshold_of(scores, weights, keep) == expected
    heavy = np.array([1.0, 0, 3, 1, 0])
    copies = np.repeat(scores, heavy.astype(int))
    for keep in (0.1, 0.2, 0.3, 0.4, 0.5, 1.0):
        assert threshold_of(scores, heavy, keep) == threshold_of(copies, np.ones(5), keep)
    assert threshold_of(scores, np.full(5, 0.1), 1.0) == 1


def test_folds_may_be_given_as_rows():
    pairs = list(KFold(3).split(X))
    weight = np.random.default_rng(9).integers(0, 2, len(X)).astype(float)
    for given in (None, weight):
        one = reject(cv=pairs).fit(X, Y, sample_weight=given)
        assert one.threshold_ == reject(cv=KFold(3)).fit(X, Y, sample_weight=given).threshold_
    # rows of weight 0 are neither trained on nor scored
    there = np.flatnonzero(weight)
    fewer = [tuple(np.flatnonzero(np.isin(there, rows)) for rows in pair) for pair in pairs]
    for keep in (0.2, 0.5, 0.7, 0.9):
        one = reject("nearest", keep, cv=pairs).fit(X, Y, sample_weight=weight)
        other = reject("nearest", keep, cv=fewer).fit(X[there], Y[there])
        assert one.threshold_ == other.threshold_


def test_threshold_comes_from_rows_held_out():
    model = reject("nearest", 0.9, cv=KFold(3)).fit(X, Y)
    distances = []
    for train, held_out in KFold(3).split(X):
        apart = np.linalg.norm(X[held_out][:, None] - X[train][None], axis=-1)
        distances.append(apart.min(axis=1))
    distances = np.sort(np.concatenate(distances))
    assert -model.threshold_ == pytest.approx(distances[int(0.9 * 600) - 1])
    assert (model.scope_score(X) == 0).all()


@pytest.mark.parametrize("y", [Y, Y % 2], ids=["four classes", "two classes"])
def test_scores_by_definition(y):
    model = LogisticRegression().fit(X, y)
    scores = model.decision_function(X[:9])
    if scores.ndim == 1:
        scores = np.stack([-scores / 2, scores / 2], axis=1)
    np.testing.assert_allclose(reject("max").fit(X, y).scope_score(X[:9]), scores.max(axis=1))
    np.testing.assert_allclose(
        reject("energy").fit(X, y).scope_score(X[:9]), logsumexp(scores, axis=1)
    )
    by_trees = reject("max", classifier=KNeighborsClassifier(5)).fit(X, y)
    shares = KNeighborsClassifier(5).fit(X, y).predict_proba(X[:9]).max(axis=1)
    np.testing.assert_allclose(by_trees.scope_score(X[:9]), np.log(shares))


def test_a_function_as_criterion():
    def size(model, X):
        return -np.abs(X).sum(axis=1) + 0 * model.classes_[0]

    model = reject(size, 0.9).fit(X, Y)
    np.testing.assert_array_equal(model.in_scope(NEW), size(model, NEW) >= model.threshold_)
    assert model.in_scope(X).mean() == 0.9
    with pytest.raises(ValueError, match=r"gave scores of shape \(120, 3\)"):
        reject(lambda model, X: X).fit(X, Y)
    with pytest.raises(ValueError, match="NaN"):
        reject(lambda model, X: np.full(len(X), np.nan)).fit(X, Y)


# ---------------------------------------------------------------- labels and weights


def test_predict_is_the_classifiers_unless_a_label_is_given():
    plain = LogisticRegression().fit(X, NAMES[Y])
    model = reject().fit(X, NAMES[Y])
    np.testing.assert_array_equal(model.predict(NEW), plain.predict(NEW))
    np.testing.assert_array_equal(model.predict_proba(NEW), plain.predict_proba(NEW))
    named = reject(outside="something else").fit(X, NAMES[Y])
    inside, found = named.in_scope(NEW), named.predict(NEW)
    np.testing.assert_array_equal(found[inside], plain.predict(NEW)[inside])
    assert set(found[~inside]) == {"something else"} and not inside.all()
    assert set(reject(outside=-1).fit(X, Y).predict(NEW)) == {-1, 0, 1, 2, 3}
    for y, outside in ((Y, "other"), (NAMES[Y], -1)):
        with pytest.raises(ValueError, match="does not go with labels"):
            reject(outside=outside).fit(X, y).predict(NEW)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_rows_of_weight_zero_are_absent(criterion):
    weight = np.random.default_rng(9).integers(0, 3, len(X)).astype(float)
    there = weight > 0
    one = reject(criterion).fit(X, Y, sample_weight=weight)
    other = reject(criterion).fit(X[there], Y[there], sample_weight=weight[there])
    assert one.threshold_ == other.threshold_
    np.testing.assert_array_equal(one.scope_score(NEW), other.scope_score(NEW))


def test_weights_count_in_the_share():
    y = np.zeros(len(X))
    y[::2] = 1
    weight = np.where(X[:, 0] > 2, 10.0, 1.0)
    score = lambda model, X: X[:, 0]  # noqa: E731
    model = reject(score, 0.6).fit(X, y, sample_weight=weight)
    kept = weight[model.in_scope(X)].sum() / weight.sum()
    assert 0.6 <= kept < 0.6 + 11 / weight.sum()
    assert model.threshold_ > reject(score, 0.6).fit(X, y).threshold_


def test_weights_for_those_who_take_none():
    with pytest.raises(ValueError, match="KNeighborsClassifier takes none"):
        reject(classifier=KNeighborsClassifier()).fit(X, Y, sample_weight=np.ones(len(X)))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    weight = np.linspace(0.1, 2, len(X))
    model = reject(classifier=pipeline).fit(X, Y, logisticregression__sample_weight=weight)
    alone = clone(pipeline).fit(X, Y, logisticregression__sample_weight=weight)
    np.testing.assert_array_equal(model.predict_proba(NEW), alone.predict_proba(NEW))


def test_metadata_routing():
    weight = np.linspace(0.1, 2, len(X))
    with config_context(enable_metadata_routing=True):
        step = LogisticRegression().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), step)
        model = reject(classifier=pipeline).fit(X, Y, sample_weight=weight)
        alone = clone(pipeline).fit(X, Y, sample_weight=weight)
        np.testing.assert_array_equal(model.predict_proba(NEW), alone.predict_proba(NEW))
    assert model.threshold_ != reject(classifier=pipeline).fit(X, Y).threshold_


# ---------------------------------------------------------------- texts, and scikit-learn

TEXTS = ["open an account", "open a new account", "block my card", "my card is lost"] * 10
LABELS = ["account", "account", "card", "card"] * 10


@pytest.mark.parametrize("classifier", [LogisticRegression(), LinearSVC()])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_texts(criterion, classifier):
    model = reject(
        criterion, classifier=make_pipeline(TfidfVectorizer(), classifier), outside="else"
    )
    model.fit(TEXTS, LABELS)
    found = model.predict(["a card", "an account is what i open", "will it rain in june"])
    assert found[2] == "else"
    assert model.in_scope(TEXTS).all()
    np.testing.assert_array_equal(model.classes_, ["account", "card"])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.scope_score(TEXTS), model.scope_score(TEXTS))


def test_in_a_search():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"keep": [0.5, 1.0], "classifier__logisticregression__C": [1e-6, 1.0]}
    search = GridSearchCV(RejectOption(pipeline, outside=-1), grid, cv=2).fit(X, Y)
    assert search.best_params_ == {"keep": 1.0, "classifier__logisticregression__C": 1.0}
    # a row out of scope has no right label here: half of them are wrong
    found = dict(zip(search.cv_results_["param_keep"], search.cv_results_["mean_test_score"],
                     strict=True))  # fmt: skip
    assert found[0.5] < 0.6 and found[1.0] > 0.95


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_network_as_classifier():
    net = BackpropClassifier((8,), max_iter=30, learning_rate_init=0.02, random_state=0,
                             n_iter_no_change=np.inf)  # fmt: skip
    model = reject("max", classifier=net, cv=2).fit(X, Y)
    best = model.classifier_.decision_function(X[:5]).max(axis=1)
    np.testing.assert_allclose(model.scope_score(X[:5]), best)
    assert model.in_scope(X).mean() > 0.9


class Plain(ClassifierMixin, BaseEstimator):
    """Says labels, and nothing of how sure it is."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


@pytest.mark.parametrize("params, message", [
    ({"keep": 0}, "keep"), ({"keep": 1.1}, "keep"), ({"criterion": "softmax"}, "criterion"),
    ({"cv": 1}, "cv"), ({"cv": "five"}, "cv"), ({"cv": []}, "no rows to score"),
    ({"criterion": "energy", "classifier": KNeighborsClassifier()}, "no decision_function"),
    ({"criterion": "max", "classifier": Plain()}, "no predict_proba, nor decision_function"),
])  # fmt: skip
def test_bad_parameters(params, message):
    model = reject(**params)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y)
    assert not hasattr(model, "threshold_") and not hasattr(model, "classes_")


def test_bad_data():
    with pytest.raises(ValueError, match="inconsistent"):
        reject().fit(X, Y[:-1])
    with pytest.raises(ValueError, match="Negative"):
        reject().fit(X, Y, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="non-zero"):
        reject().fit(X, Y, sample_weight=np.zeros(len(X)))
    with pytest.raises(ValueError, match="requires y"):
        reject().fit(X, None)
    fitted = reject().fit(X, Y)
    before = fitted.threshold_
    with pytest.raises(ValueError):
        fitted.fit(X[:3], [0, 0, 0])
    assert fitted.threshold_ == before


@parametrize_with_checks([
    RejectOption(LogisticRegression()), RejectOption(RidgeClassifier(), criterion="energy", cv=2),
    RejectOption(LogisticRegression(), criterion="nearest", cv=3),
])  # fmt: skip
def test_scikit_learn_check(estimator, check):
    check(estimator)
