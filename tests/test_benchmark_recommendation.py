"""The benchmark of recommendation: its splits and its measures; nothing is downloaded."""

import zipfile

import numpy as np
import pytest
from _common import benchmarks
from sklearn.metrics import ndcg_score

from skbp.recommendation import TwoTowerRecommender


@pytest.fixture(scope="module")
def movielens():
    with benchmarks("movielens") as (module,):
        yield module


def test_the_last_ones_are_left_out(movielens):
    rng = np.random.default_rng(0)
    pairs = np.column_stack([rng.permutation(np.repeat(np.arange(6), 5)), np.arange(30)])
    for n in (1, 2):
        seen, target = movielens.leave_out_last(pairs, n)
        for user in range(6):
            own = pairs[pairs[:, 0] == user, 1]
            assert seen[seen[:, 0] == user, 1].tolist() == own[:-n].tolist()
            assert target[user] == own[-n]


def test_ranks_are_those_of_the_estimator(movielens):
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, [20, 12], (100, 2)), axis=0)
    model = TwoTowerRecommender(dim=4, max_iter=2, random_state=0).fit(rng.permutation(pairs))
    n = len(model.users_)
    scores = model.user_vectors(model.users_) @ model.item_vectors_.T + model.item_bias_
    seen = np.searchsorted(model.users_, pairs[:, 0]), np.searchsorted(model.items_, pairs[:, 1])
    target = rng.integers(0, len(model.items_), n)
    ranks = movielens.ranks_of(scores, np.column_stack(seen), target)
    expected = model.rank(np.column_stack([model.users_, model.items_[target]]))
    np.testing.assert_array_equal(ranks, expected)
    others = np.tile(np.arange(3), (n, 1))
    among = movielens.ranks_of(scores, np.empty((0, 2), int), np.full(n, 5), others)
    np.testing.assert_array_equal(among, 1 + (scores[:, :3] > scores[:, 5:6]).sum(axis=1))


def test_gain_is_that_of_scikit_learn(movielens):
    rng = np.random.default_rng(0)
    scores, relevant = rng.random((30, 25)), rng.random((30, 25)) < 0.3
    relevant[7] = False
    kept = relevant.any(axis=1)
    expected = ndcg_score(relevant[kept], scores[kept], k=10)
    assert movielens.gain(scores, relevant) == pytest.approx(expected)
    hits, gain = movielens.hits_and_gain(np.array([1, 10, 10.5, 2]))
    assert hits == 0.75
    assert gain == pytest.approx((1 + 1 / np.log2(11) + 1 / np.log2(3)) / 4)


def test_data_that_are_not_whole_are_refused(movielens, tmp_path):
    path = tmp_path / "wheel.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, line in (
            ("inter", "1\t7\t5\t10"), ("item", "7\tNet, The\t1995\tDrama"), ("user", "1\t20\tF\tx"),
        ):  # fmt: skip
            archive.writestr(movielens.FOLDER + name, f"header\n{line}\n")
    with pytest.raises(ValueError, match=r"holds 1 ratings, expected 100,000"):
        movielens.load(path)
    assert movielens._text("Net, The", "1995", "Drama") == "The Net (1995). Drama"
