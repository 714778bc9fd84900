"""Recommendation: bags, vectors and ranks against plain loops, and what the towers learn."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split

from skbp.recommendation import RatingRegressor, TwoTowerRecommender
from skbp.recommendation import two_tower as module
from skbp.recommendation._features import Features
from skbp.recommendation._histories import Histories, bags
from skbp.recommendation._ids import Ids

SMALL = {"dim": 8, "max_iter": 3, "random_state": 0}


def interactions(n=300, n_users=20, n_items=12, seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.integers(0, n_users, n), rng.integers(0, n_items, n)])


def named(X):
    return [(f"user {user}", f"item {item:02}") for user, item in X]


X = interactions()
FEATURES = np.arange(15), np.random.default_rng(1).normal(size=(15, 4))  # three have no users


@pytest.fixture(scope="module")
def fitted():
    return TwoTowerRecommender(**SMALL).fit(X, item_features=FEATURES)


# ---------------------------------------------------------------- histories


@pytest.mark.parametrize("most", [1, 6, 10**15])
@pytest.mark.parametrize("decays", [(1.0,), (0.5,), (1.0, 0.5, 0.1)])
def test_bags(decays, most):
    users, items = X.T
    histories = Histories(users, items, 21)  # the last user did nothing
    rows = bags(histories.items, *histories.before(), 12, decays, most).toarray()
    number = 0
    for user in range(21):
        own = items[users == user]
        for end in range(len(own)):
            expected = np.zeros((len(decays), 12))
            for bag, decay in zip(expected, decays, strict=True):
                weights = [decay**age if decay**age >= 1e-3 else 0 for age in range(end)][:most]
                for age, weight in enumerate(weights):
                    bag[own[end - 1 - age]] += weight / np.linalg.norm(weights)
            np.testing.assert_allclose(rows[number], expected.ravel(), atol=2e-6)
            number += 1
    assert number == len(rows) == len(X)


def test_histories_of_users():
    histories = Histories(*X.T, 20)
    begins, ends = histories.whole(np.array([3, -1]))
    np.testing.assert_array_equal(histories.items[begins[0] : ends[0]], X[X[:, 0] == 3, 1])
    assert begins[1] == ends[1]
    again = Histories(*histories.pairs(), 20)
    np.testing.assert_array_equal(again.items, histories.items)
    np.testing.assert_array_equal(again.starts, histories.starts)


# ---------------------------------------------------------------- features


def test_features_are_principal_components():
    rows = np.random.default_rng(0).normal(size=(30, 6)) * [5, 4, 3, 2, 1, 0]
    features = Features((np.arange(30), rows), "item_features")
    for most in (2, 10):
        table = features.table(Ids(range(31)), most)
        expected = PCA(min(most, 5)).fit_transform(rows)
        expected /= np.sqrt(np.mean((expected**2).sum(axis=1)))
        np.testing.assert_allclose(table[:30] @ table[:30].T, expected @ expected.T, atol=1e-5)
        assert not table[30].any()  # nothing is known of it


def test_forms_of_features():
    pandas = pytest.importorskip("pandas")
    ids, rows = FEATURES
    order = np.random.default_rng(0).permutation(15)
    forms = [
        pandas.DataFrame(rows, index=ids),
        (ids.tolist(), csr_matrix(rows)),
        (ids[order], rows[order]),
    ]
    expected = Features(FEATURES, "item_features").table(Ids(range(15)), 4)
    for form in forms:
        got = Features(form, "item_features").table(Ids(range(15)), 4)
        np.testing.assert_allclose(got @ got.T, expected @ expected.T, atol=1e-5)


@pytest.mark.parametrize(("given", "message"), [
    ("text", "must be a DataFrame whose index holds the ids, or a pair"),
    (np.ones((3, 2)), "must be a DataFrame"),
    (([1, 2], [[1.0], [2.0], [3.0]]), "has 2 ids and 3 rows"),
    (([1, 2, 2], [[1.0], [2.0], [3.0]]), "more than one row for 2"),
    (([1, 2], [[1.0], [np.nan]]), "contains NaN"),
    (([1, None], [[1.0], [2.0]]), "the ids of item_features has a missing value at place 1"),
    (([0, 1], [[1.0, 7.0], [1.0, 7.0]]), "the same numbers in all rows"),
    (("ab", [[1.0], [2.0]]), "must be a list or an array of ids"),
])  # fmt: skip
@pytest.mark.parametrize("estimator", [TwoTowerRecommender(**SMALL), RatingRegressor(**SMALL)])
def test_wrong_features(estimator, given, message):
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(X, np.ones(len(X)), item_features=given)


# ---------------------------------------------------------------- ids


@pytest.mark.parametrize("form", ["list", "array", "objects", "pandas", "category", "polars"])
@pytest.mark.parametrize("cls", [TwoTowerRecommender, RatingRegressor])
def test_forms_of_pairs(cls, form):
    y, pairs = X.sum(axis=1) % 5, named(X)
    expected = cls(**SMALL).fit(pairs, y)
    given = pairs
    if form in ("array", "objects"):
        given = np.array(pairs, object if form == "objects" else None)
    elif form != "list":
        frames = pytest.importorskip("polars" if form == "polars" else "pandas")
        given = frames.DataFrame({"user": [u for u, _ in pairs], "item": [i for _, i in pairs]})
        given = given.astype("category") if form == "category" else given
    model = cls(**SMALL).fit(given, y)
    assert list(model.items_) == [f"item {item:02}" for item in range(12)]
    method = "predict" if cls is RatingRegressor else "decision_function"
    got, want = getattr(model, method)(given), getattr(expected, method)(pairs)
    np.testing.assert_array_equal(got, want)
    assert hasattr(model, "feature_names_in_") == (form in ("pandas", "category", "polars"))


def test_ids_of_several_types():
    pairs = [(user % 2 and str(user), (int(item), "x")) for user, item in X.tolist()]
    users = np.empty((len(pairs), 2), object)
    for row, pair in zip(users, pairs, strict=True):
        row[0], row[1] = pair
    model = TwoTowerRecommender(**SMALL).fit(users)
    items, _ = model.recommend([0, "1", 5.5], n=2)
    assert items.shape == (3, 2)
    assert items[0, 0] in {item for _, item in pairs}


@pytest.mark.parametrize(("given", "message"), [
    (np.ones((5, 3)), "X has 3 columns, expected two"),
    ([["a", "x"], ["b", None]], "no id of the item in row 1"),
    ([[np.nan, 1.0], [2.0, 3.0]], "no id of the user in row 0"),
    ([1, 2, 3], "Expected 2D array"),
    (np.empty((0, 2)), "0 sample"),
])  # fmt: skip
@pytest.mark.parametrize("estimator", [TwoTowerRecommender(**SMALL), RatingRegressor(**SMALL)])
def test_wrong_pairs(estimator, given, message):
    model = clone(estimator)
    with pytest.raises(ValueError, match=message):
        model.fit(given, np.ones(len(given)))
    with pytest.raises(NotFittedError):
        model.user_vectors([1]) if hasattr(model, "user_vectors") else model.predict(X)


@pytest.mark.parametrize(("params", "message"), [
    ({"dim": 0}, "'dim'"), ({"max_iter": 1.5}, "'max_iter'"), ({"verbose": "yes"}, "'verbose'"),
    ({"weight_decay": -1.0}, "'weight_decay'"), ({"n_components": 0}, "'n_components'"),
    ({"learning_rate_init": 0}, "'learning_rate_init'"), ({"batch_size": 0}, "'batch_size'"),
])  # fmt: skip
@pytest.mark.parametrize("cls", [TwoTowerRecommender, RatingRegressor])
def test_wrong_parameters(cls, params, message):
    with pytest.raises(ValueError, match=message):
        cls(**params).fit(X, np.ones(len(X)))


@pytest.mark.parametrize("decays", [(), (0.0,), (1.5,), 0.8, "ab"])
def test_wrong_decays(decays):
    with pytest.raises(ValueError, match="'decays' parameter of TwoTowerRecommender must be a tu"):
        TwoTowerRecommender(decays=decays).fit(X)


@pytest.mark.parametrize("params", [{"dropout": 1.0}, {"n_members": 0}])
def test_wrong_parameters_of_ratings(params):
    with pytest.raises(ValueError, match=str(*params)):
        RatingRegressor(**params).fit(X, np.ones(len(X)))


# ---------------------------------------------------------------- what comes next


@pytest.mark.parametrize("features", [None, FEATURES])
def test_vectors_are_those_of_the_network(features, monkeypatch):
    kept = []
    publish = TwoTowerRecommender._publish
    monkeypatch.setattr(
        TwoTowerRecommender, "_publish", lambda *args: kept.append(args[1]) or publish(*args)
    )
    model = TwoTowerRecommender(**SMALL).fit(X, item_features=features)
    users = np.arange(20)
    begins, ends = model._histories.whole(users)
    rows = bags(model._histories.items, begins, ends, len(model.items_), (1.0, 0.9, 0.5), 200)
    expected = kept[0].decision_function(rows)
    scores = model.user_vectors(users) @ model.item_vectors_.T + model.item_bias_
    np.testing.assert_allclose(scores[:, :12], expected, atol=1e-5)
    pairs = np.stack(np.meshgrid(users, model.items_, indexing="ij"), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(model.decision_function(pairs), scores.ravel(), atol=1e-5)


@pytest.mark.parametrize("candidates", [None, [3, 14, 5, 3]])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_recommended_are_the_best(fitted, exclude_seen, candidates, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 4 * 15 * 6)  # six users at a time
    users = [*range(20), 99]
    items, scores = fitted.recommend(users, 3, exclude_seen, candidates)
    among = np.unique(np.arange(15) if candidates is None else candidates)
    for user, found, values in zip(users, items, scores, strict=True):
        all_scores = fitted.decision_function([(user, item) for item in among])
        had = np.isin(among, X[X[:, 0] == user, 1])
        all_scores[had & exclude_seen] = -np.inf
        order = np.argsort(-all_scores, kind="stable")[:3]
        np.testing.assert_array_equal(found, among[order])
        np.testing.assert_allclose(values, all_scores[order], atol=1e-5)


@pytest.mark.parametrize("candidates", [None, np.arange(10)])
def test_ranks(fitted, candidates):
    pairs = np.array([(user, item) for user in (0, 5, 99) for item in range(10)])
    ranks = fitted.rank(pairs, candidates)
    among = np.arange(15) if candidates is None else candidates
    for (user, item), rank in zip(pairs, ranks, strict=True):
        left = [o for o in among if o == item or not (((user, o) == X).all(axis=1)).any()]
        scores = fitted.decision_function([(user, other) for other in left])
        assert rank == rankdata(-scores)[left.index(item)]


def test_ties_have_the_mean_rank(fitted):
    model = pickle.loads(pickle.dumps(fitted))
    model.item_vectors_[:] = model.item_bias_[:] = 0
    assert model.rank([(99, 3)]) == [8.0]
    assert model.recommend([99], n=100)[0].tolist() == [list(range(15))]


def test_order_counts():
    """Each item follows the one before it: only the last one tells which is next."""
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 10, 120)
    pairs = [(user, (start + t) % 10) for user, start in enumerate(starts) for t in range(8)]
    settings = {"dim": 16, "max_iter": 30, "random_state": 0, "learning_rate_init": 0.02}
    ordered = TwoTowerRecommender(decays=(1.0, 0.3), **settings).fit(pairs)
    best = ordered.recommend(np.arange(120), 1)[0][:, 0]
    assert np.mean(best == (starts + 8) % 10) > 0.95
    # a new user's behaviour needs no training
    ordered.partial_fit([("new", 4)])
    assert ordered.recommend(["new"], 1)[0] == [[5]]


@pytest.mark.parametrize("features", [None, (["milk", "rum", "tea"], [[1, 0], [0, 1], [0.9, 0]])])
def test_two_items_have_vectors_of_their_own(features):
    orders = ("milk", "rum", "milk"), ("rum", "milk", "rum")
    pairs = [(user, item) for user in range(40) for item in orders[user % 2]]
    model = TwoTowerRecommender(dim=4, weight_decay=0.0, max_iter=200, random_state=0)
    model.fit(pairs, item_features=features).partial_fit([("Ann", "milk"), ("Bob", "rum")])
    items, _ = model.recommend(["Ann", "Bob"], exclude_seen=False, candidates=["milk", "rum"])
    assert items[:, 0].tolist() == ["rum", "milk"]


@pytest.mark.parametrize("cls", [TwoTowerRecommender, RatingRegressor])
def test_features_of_other_ids_are_warned_of(cls):
    with pytest.warns(UserWarning, match="none of the ids of item_features, such as '0', is in X"):
        cls(**SMALL).fit(X, np.arange(len(X)), item_features=(list("012"), np.eye(3)))


def test_of_no_users_nothing_is_recommended(fitted):
    items, scores = fitted.recommend([], n=4)
    assert items.shape == scores.shape == (0, 4)
    assert fitted.user_vectors([]).shape == (0, 8)


def test_new_items_are_ranked_by_their_features():
    """Two tastes; the features tell which item is for whom; four items have no users."""
    rng = np.random.default_rng(0)
    kind = np.arange(24) % 2
    pairs = [(user, item) for user in range(60) for item in rng.permutation(20)[:12]
             if kind[item] == user % 2]  # fmt: skip
    rows = kind[:, None] + rng.normal(0, 0.3, (24, 3))
    model = TwoTowerRecommender(dim=8, max_iter=40, random_state=0)
    model.fit(pairs, item_features=(np.arange(24), rows))
    items, _ = model.recommend(np.arange(60), 2, candidates=[20, 21, 22, 23])
    np.testing.assert_array_equal(kind[items], np.arange(60)[:, None] % 2 * [1, 1])


def test_more_interactions(fitted):
    model = pickle.loads(pickle.dumps(fitted))
    more = np.array([(3, 14), ("Ann", 2), ("Ann", 1)], object)
    with pytest.warns(UserWarning, match="1 interactions .* such as 99, and are left out"):
        model.partial_fit([*more.tolist(), ("Ann", 99)])
    own = [*X[X[:, 0] == 3, 1], 14]
    weight, bias = model._user_weight, model._user_bias
    for user, history in ((3, own), ("Ann", [2, 1])):
        ends = np.array([len(history)])
        rows = bags(np.array(history), ends - ends, ends, 15, (1.0, 0.9, 0.5), 200)
        np.testing.assert_allclose(
            model.user_vectors([user]), np.tanh(rows @ weight + bias), atol=1e-6
        )
    assert list(model.users_) == [*range(20), "Ann"]
    np.testing.assert_array_equal(model.item_vectors_, fitted.item_vectors_)
    np.testing.assert_array_equal(model.user_vectors([4]), fitted.user_vectors([4]))
    with pytest.raises(NotFittedError):
        TwoTowerRecommender().partial_fit(X)


def test_a_user_who_is_new_gets_what_comes_first():
    pairs = [(user, item) for user in range(30) for item in ("first", "second", "third")]
    model = TwoTowerRecommender(dim=8, max_iter=40, random_state=0).fit(pairs)
    assert model.recommend(["nobody"], 1)[0] == [["first"]]


@pytest.mark.parametrize(("call", "message"), [
    (lambda model: model.recommend([1], n=0), "n must be a whole number of at least 1"),
    (lambda model: model.recommend("Ann"), "users must be a list or an array"),
    (lambda model: model.recommend([[1, 2]]), "hashed|one dimension"),
    (lambda model: model.recommend([1], candidates=[2, 77]), r"Not known: \[77\]"),
    (lambda model: model.recommend([1], candidates=[]), "candidates must be some of items_"),
    (lambda model: model.rank([(1, 77)]), "The item 77 of X is none of those to choose from"),
    (lambda model: model.rank([(1, 2)], candidates=[3]), "The item 2 of X is none"),
    (lambda model: model.decision_function([(1, 2, 3)]), "3 columns|3 features"),
    (lambda model: model.fit([(1, 2), (2, 2)]), "a single item"),
])  # fmt: skip
def test_wrong_calls(fitted, call, message):
    before = pickle.dumps(fitted)
    with pytest.raises((ValueError, TypeError), match=message):
        call(fitted)
    assert pickle.dumps(fitted) == before


def test_an_unknown_item_has_no_score(fitted):
    assert fitted.decision_function([(1, 99)]) == [-np.inf]


def test_the_same_seed_gives_the_same_model(fitted):
    again = clone(fitted).fit(X, item_features=FEATURES)
    np.testing.assert_array_equal(again.item_vectors_, fitted.item_vectors_)
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(restored.rank(X), fitted.rank(X))


# ---------------------------------------------------------------- ratings


def ratings(n=2500, seed=0):
    """Return pairs, ratings of three factors with noise of .3, and features of the items."""
    rng = np.random.default_rng(seed)
    taste, style = rng.normal(size=(60, 2)), rng.normal(size=(40, 2))
    users, items = rng.integers(0, 60, n), rng.integers(0, 40, n)
    y = 3 + 0.5 * (taste[users] * style[items]).sum(axis=1) + rng.normal(0, 0.3, n)
    return np.column_stack([users, items]), y, (np.arange(40), style)


SETTINGS = {
    "dim": 8, "n_members": 1, "batch_size": 100, "random_state": 0, "dropout": 0.3, "max_iter": 15,
    "learning_rate_init": 0.01,
}  # fmt: skip


def test_factors_are_learned():
    pairs, y, features = ratings()
    split = train_test_split(pairs, y, test_size=0.2, random_state=0)
    errors = {}
    for name, given in (("ids", None), ("features", features)):
        model = RatingRegressor(**SETTINGS).fit(split[0], split[2], item_features=given)
        errors[name] = root_mean_squared_error(split[3], model.predict(split[1]))
    assert errors["features"] < 0.36  # the noise is .3, the spread of y .75
    assert errors["ids"] < 0.45


def test_a_new_item_is_rated_by_its_features():
    pairs, y, features = ratings()
    new = pairs[:, 1] >= 32
    errors = {}
    for name, given in (("ids", None), ("features", features)):
        model = RatingRegressor(**SETTINGS).fit(pairs[~new], y[~new], item_features=given)
        errors[name] = root_mean_squared_error(y[new], model.predict(pairs[new]))
    assert errors["features"] < 0.6 * errors["ids"]


def test_a_new_user_is_rated_by_its_features():
    pairs, y, _ = ratings()
    y = y + np.where(pairs[:, 0] % 2, 1.0, -1.0)
    known = np.arange(60), np.arange(60)[:, None] % 2
    old = pairs[:, 0] < 50
    model = RatingRegressor(**SETTINGS).fit(pairs[old], y[old], user_features=known)
    means = [model.predict(pairs[~old & (pairs[:, 0] % 2 == odd)]).mean() for odd in (0, 1)]
    assert means[1] - means[0] > 1.2


def test_members_are_averaged_and_clipped():
    pairs, y, features = ratings(500)
    model = RatingRegressor(**SETTINGS | {"n_members": 2}).fit(pairs, y, features)
    assert len(model.estimators_) == 2
    assert model.range_ == (y.min(), y.max())
    rows = np.column_stack([pairs + 1, model._tables[1][pairs[:, 1]]])
    parts = [net.predict(rows.astype(np.float32)) for net in model.estimators_]
    expected = np.clip(y.mean() + y.std() * np.mean(parts, axis=0), y.min(), y.max())
    np.testing.assert_allclose(model.predict(pairs), expected, atol=1e-5)
    assert not np.array_equal(*parts)


def test_what_is_unknown_adds_nothing():
    pairs, y, _ = ratings(500)
    model = RatingRegressor(**SETTINGS).fit(pairs, y)
    nobody = model.predict([("?", "?"), ("!", "!")])
    bias = np.mean([net.weights_["output.bias"][0] for net in model.estimators_])
    np.testing.assert_allclose(nobody, y.mean() + y.std() * bias, atol=1e-5)


def test_it_is_an_estimator():
    pairs, y, features = ratings(600)
    model = RatingRegressor(**SETTINGS | {"max_iter": 5})
    assert len(cross_val_score(model, pairs, y, cv=3, params={"item_features": features})) == 3
    search = GridSearchCV(model, {"dropout": [0.0, 0.5]}, cv=2).fit(pairs, y)
    best = search.best_estimator_
    again = clone(best).fit(pairs, y)
    np.testing.assert_array_equal(again.predict(pairs), best.predict(pairs))
    restored = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(restored.predict(pairs), best.predict(pairs))


def test_wrong_ratings():
    model = RatingRegressor(**SETTINGS)
    for y, message in (
        (None, "requires y"), (np.ones(3), "inconsistent"), (np.full(len(X), np.nan), "NaN"),
        (["good"] * len(X), "could not convert"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            model.fit(X, y)
    constant = RatingRegressor(**SMALL).fit(X, np.full(len(X), 4.0))
    assert (constant.predict(X) == 4).all()


def test_ratings_that_are_none():
    ratings = np.linspace(1, 5, len(X))
    for y in (np.full(len(X), "2020-01-01", "M8[D]"), np.ma.MaskedArray(ratings, ratings > 3)):
        with pytest.raises(ValueError, match=r"date|mask"):
            RatingRegressor(**SMALL).fit(X, y)
    model = RatingRegressor(**SMALL, n_members=1).fit(X, 1e308 * (ratings / 5))
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("rows", [np.ones(15), np.ones((15, 0)), np.full((15, 2), 1j)])
def test_errors_name_the_features(rows):
    with pytest.raises(ValueError, match="item_features"):
        TwoTowerRecommender(**SMALL).fit(X, item_features=(np.arange(15), rows))
