"""The splitter of the last rows: which rows, and where it can stand."""

import copy
import pickle

import numpy as np
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    check_cv,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skbp import BackpropClassifier, BackpropRegressor
from skbp.model_selection import LastFraction

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 3))
Y = X @ [1.0, -2.0, 0.5]
LABELS = (Y > 0).astype(int)
SHOPS = np.array(["north", "east", "south"])[RNG.integers(0, 3, 100)]


def split(n, test_size=0.2, groups=None, mode="each"):
    ((train, held_out),) = LastFraction(test_size, mode).split(np.zeros((n, 2)), groups=groups)
    np.testing.assert_array_equal(np.sort(np.r_[train, held_out]), np.arange(n))
    for rows in (train, held_out):
        assert rows.dtype == np.intp
        assert (np.diff(rows) > 0).all()
    return held_out


@pytest.mark.parametrize("n, test_size, expected", [
    (10, 0.2, 2), (11, 0.2, 3), (30, 0.1, 3), (7, 3, 3), (2, 0.01, 1), (1000, 0.999, 999),
    (10, np.float32(0.2), 2), (10, np.int64(4), 4), (100, 0.07, 7),
])  # fmt: skip
def test_the_last_rows(n, test_size, expected):
    np.testing.assert_array_equal(split(n, test_size), np.arange(n - expected, n))


@pytest.mark.parametrize("test_size", [0.2, 0.5, 1, 7])
def test_the_last_rows_of_each_group(test_size):
    held_out = split(100, test_size, SHOPS)
    for shop in np.unique(SHOPS):
        rows = np.flatnonzero(shop == SHOPS)
        n = test_size if isinstance(test_size, int) else int(np.ceil(test_size * len(rows)))
        np.testing.assert_array_equal(np.intersect1d(held_out, rows), rows[-n:])


@pytest.mark.parametrize("labels", [
    [3, 3, 1, 1, 1, 2], ["c", "c", "a", "a", "a", "b"], [2.5, 2.5, 0.0, 0.0, 0.0, -1.5],
    np.array(["2024-03", "2024-03", "2024-01", "2024-01", "2024-01", "2024-02"], "datetime64[M]"),
], ids=str)  # fmt: skip
def test_groups_of_any_kind(labels):
    np.testing.assert_array_equal(split(6, 1, labels), [1, 4])  # a group of one row is trained on
    np.testing.assert_array_equal(split(6, 99, labels), [1, 3, 4])
    np.testing.assert_array_equal(split(6, 1, labels, "whole"), [5])  # in the order of first rows
    np.testing.assert_array_equal(split(6, 0.5, labels, "whole"), [2, 3, 4, 5])


def test_groups_as_a_whole_need_not_be_in_one_piece():
    np.testing.assert_array_equal(split(6, 1, [0, 1, 0, 1, 1, 0], "whole"), [1, 3, 4])


def test_rows_of_any_kind():
    pandas = pytest.importorskip("pandas")
    for rows in (list(range(10)), X[:10], csr_array(X[:10]), pandas.DataFrame(X[:10]), "abcdefghij",
                 X[:10].reshape(10, 3, 1)):  # fmt: skip
        ((train, held_out),) = LastFraction(0.3).split(rows)
        np.testing.assert_array_equal(held_out, [7, 8, 9])
        np.testing.assert_array_equal(train, np.arange(7))


@pytest.mark.parametrize("n, test_size, groups, mode, what", [
    (0, 0.2, None, "each", "validate on, of 0 rows"),
    (1, 0.2, None, "each", "train on, of 1 rows"),
    (5, 5, None, "each", "train on"),
    (5, 9, None, "each", "train on"),
    (5, 2, range(5), "each", "validate on, of 5 rows in 5 groups"),
    (5, 2, [0, 0, 0, 1, 1], "whole", "train on, of 5 rows in 2 groups"),
    (5, 0.9, [0, 0, 0, 1, 1], "whole", "train on"),
])  # fmt: skip
def test_nothing_left(n, test_size, groups, mode, what):
    with pytest.raises(ValueError, match=f"LastFraction.* leaves nothing to {what}"):
        split(n, test_size, groups, mode)


def test_groups_that_do_not_fit():
    with pytest.raises(ValueError, match=r"'whole'.*fit"):
        split(5, mode="whole")
    for mode in ("each", "whole"):
        with pytest.raises(ValueError, match="inconsistent numbers"):
            split(5, groups=[1, 2], mode=mode)


@pytest.mark.parametrize("params, name", [
    *(({"test_size": bad}, "test_size") for bad in (0, 1.0, -1, 1.5, True, "a", None, np.nan)),
    *(({"groups": bad}, "groups") for bad in ("all", None, ["each"])),
])  # fmt: skip
def test_what_parameters_may_be(params, name):
    with pytest.raises(ValueError, match=f"'{name}' parameter of LastFraction must be"):
        LastFraction(**params)


def test_the_protocol_of_a_splitter():
    cv = LastFraction(7, "whole")
    assert cv.get_n_splits() == cv.get_n_splits(X, Y, SHOPS) == 1
    assert check_cv(cv) is cv
    assert repr(cv) == "LastFraction(groups='whole', test_size=7)"
    for twin in (pickle.loads(pickle.dumps(cv)), copy.deepcopy(cv), clone(cv, safe=False)):
        assert repr(twin) == repr(cv)
    assert cv.get_metadata_routing().split.requests == {"groups": True}


# ------------------------------------------------------------ where it stands


@pytest.mark.parametrize("cls", [BackpropRegressor, BackpropClassifier])
@pytest.mark.parametrize("groups", [None, SHOPS])
def test_as_validation_fraction(cls, groups):
    y = LABELS if cls is BackpropClassifier else Y
    held_out = split(100, 0.25, groups)
    train = np.setdiff1d(np.arange(100), held_out)
    params = {"early_stopping": True, "max_iter": 5, "shuffle": False, "random_state": 0}
    net = cls((5,), validation_fraction=LastFraction(0.25), **params).fit(X, y, groups=groups)
    expected = cls((5,), **params).fit(X[train], y[train], X_val=X[held_out], y_val=y[held_out])
    assert net.validation_scores_ == expected.validation_scores_
    np.testing.assert_array_equal(net.coefs_[0], expected.coefs_[0])
    cls((5,), validation_fraction=LastFraction(0.5), **{**params, "early_stopping": "refit"}).fit(
        X, y
    )


@pytest.mark.parametrize("search", [GridSearchCV, RandomizedSearchCV])
def test_in_a_search_around_a_network_that_has_one_too(search):
    net = BackpropRegressor((5,), early_stopping=True, max_iter=3, random_state=0)
    model = make_pipeline(StandardScaler(), net)
    grid = {
        "backpropregressor__validation_fraction": [LastFraction(0.1), LastFraction(10)],
        "backpropregressor__alpha": [0.1, 1.0],
    }
    more = {"n_iter": 3, "random_state": 0} if search is RandomizedSearchCV else {}
    found = search(model, grid, cv=LastFraction(0.3), error_score="raise", **more).fit(X, Y)
    best = clone(model).set_params(**found.best_params_).fit(X[:70], Y[:70])
    assert found.best_score_ == pytest.approx(best.score(X[70:], Y[70:]), rel=1e-6)
    assert found.n_splits_ == 1


def test_in_cross_validation():
    expected = Ridge().fit(X[:80], Y[:80]).score(X[80:], Y[80:])
    np.testing.assert_allclose(cross_val_score(Ridge(), X, Y, cv=LastFraction()), [expected])
    held_out = split(100, 0.2, SHOPS)
    found = cross_validate(Ridge(), X, Y, groups=SHOPS, cv=LastFraction(), return_indices=True)
    np.testing.assert_array_equal(found["indices"]["test"][0], held_out)


@pytest.mark.parametrize("routing", [False, True])
def test_groups_reach_it_in_a_search(routing):
    seen = []

    class Seen(LastFraction):
        def split(self, X, y=None, groups=None):
            seen.append(groups)
            return super().split(X, y, groups)

    with sklearn.config_context(enable_metadata_routing=routing):
        net = BackpropRegressor(
            (5,), early_stopping=True, max_iter=2, random_state=0,
            validation_fraction=Seen(0.1),
        )  # fmt: skip
        if routing:
            net.set_fit_request(groups=True)
        search = GridSearchCV(net, {"alpha": [0.1]}, cv=Seen(0.2), error_score="raise")
        search.fit(X, Y, groups=SHOPS)
    assert len(seen) == 3  # of the search, of the candidate, of the last fit
    np.testing.assert_array_equal(seen[0], SHOPS)
    if routing:
        train = np.setdiff1d(np.arange(100), split(100, 0.2, SHOPS))
        np.testing.assert_array_equal(seen[1], SHOPS[train])
        np.testing.assert_array_equal(seen[2], SHOPS)
    else:
        assert seen[1:] == [None, None]
