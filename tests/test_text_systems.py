"""The parts of examples/customer_service.py and review_monitor.py, on made-up texts."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import HashingVectorizer


def example(name):
    path = Path(__file__).parent.parent / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


service, monitor = example("customer_service"), example("review_monitor")


class Hashed(TransformerMixin, BaseEstimator):
    """Dense counts of hashed words: vectors that need no fitting."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return HashingVectorizer(n_features=256).transform(X).toarray()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit, tags.input_tags.string = False, True
        return tags


ABOUT = {
    "card": "card lost stolen block pin", "loan": "loan rate interest borrow house",
    "app": "app login update screen crash", "fund": "fund shares invest stocks dividend",
}  # fmt: skip
COMMON = ["please", "my", "the", "now", "today", "help", "with", "about"]


def texts_about(topic, n, seed):
    rng, own = np.random.default_rng(seed), ABOUT[topic].split()
    return [
        " ".join([*rng.choice(own, 3, replace=False), *rng.choice(COMMON, 3)]) for _ in range(n)
    ]


def taught(topics, seed=0):
    texts = [text for topic in topics for text in texts_about(topic, 30, seed)]
    return texts, np.repeat(topics, 30)


@pytest.fixture
def desk():
    templates = {topic: f"about your {topic}" for topic in ABOUT}
    desk = service.Desk(Hashed(), templates)
    desk.archive(["opening hours are nine to five on weekdays", "our branch is at the market"])
    return desk.partial_fit(*taught(["card", "loan"]))


def test_who_answers(desk):
    told = desk.answer([
        "please block my lost card now", "loan interest rate about my house today",
        "what are opening hours on weekdays", "giraffes eat leaves",
    ])  # fmt: skip
    assert told[0] == ("template", "about your card")
    assert told[1] == ("template", "about your loan")
    assert told[2][0] == "documents" and "opening hours" in told[2][1][0]
    assert told[3] == ("person", None)


def test_new_intents_are_learned_and_old_ones_kept(desk):
    old, y = taught(["card", "loan"], seed=1)
    new, y_new = taught(["app", "fund"], seed=1)
    before = [answer for _, answer in desk.answer(old)]
    assert np.mean([who == "template" for who, _ in desk.answer(new)]) < 0.2
    desk.partial_fit(*taught(["app", "fund"]))
    after = [answer for _, answer in desk.answer(old)]
    right = [f"about your {topic}" for topic in y]
    assert np.mean([a == b for a, b in zip(before, right, strict=True)]) > 0.9
    assert np.mean([a == b for a, b in zip(after, right, strict=True)]) > 0.9
    found = [answer for _, answer in desk.answer(new)]
    assert np.mean([a == f"about your {b}" for a, b in zip(found, y_new, strict=True)]) > 0.9
    assert len(desk.examples.examples_) == 120


def test_typicality_is_the_mahalanobis_distance():
    from scipy.spatial.distance import mahalanobis
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    X = np.random.default_rng(0).normal(size=(60, 4)) + np.arange(60)[:, None] % 3
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(X, np.arange(60) % 3)
    inverse = np.linalg.inv(model.covariance_)
    expected = [-min(mahalanobis(x, mean, inverse) ** 2 for mean in model.means_) for x in X]
    np.testing.assert_allclose(service.typicality(model, X), expected)


# ------------------------------------------------------------ monitoring


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    truly = rng.random(3000) < 0.2
    observed = np.where(rng.random(3000) < 0.1, ~truly, truly)
    return pd.DataFrame({"topic": rng.choice(["a", "b"], 3000), "negative": observed,
                         "truly": truly, "text": "."})  # fmt: skip


def test_a_reader_learns_topics_that_are_known():
    texts, topics = taught(list(ABOUT))
    negative = np.arange(len(texts)) % 2 == 0
    texts = [f"{text} {'awful' if bad else 'good'}" for text, bad in zip(texts, negative)]  # noqa: B905
    known = np.where(np.arange(len(texts)) % 3 == 0, "", topics)
    reader = monitor.Reader(Hashed()).fit(texts, known, negative)
    found, bad = reader.predict(texts)
    assert (found == topics).mean() > 0.95 and (bad == negative).mean() > 0.95


def test_quiet_weeks_and_delays(table):
    rates, by_day = monitor.quiet_weeks(table, n_histories=20).T
    assert 0.1 < rates.mean() < 0.5 and 0.02 < by_day.mean() < 0.8  # set to .25
    slow, by_day = monitor.delays(table, 2.0, n_histories=3).T
    fast, _ = monitor.delays(table, 3.5, n_histories=3).T
    assert fast.mean() < slow.mean() < by_day.mean()


def test_a_surge_has_more_complaints(table):
    rng = np.random.default_rng(1)
    drawn = monitor.surge(table[table.topic == "a"], 3.0, 2000, rng)
    assert (drawn.topic == "a").all()
    assert drawn.truly.mean() == pytest.approx(0.6, abs=0.05)
    thinned = monitor.thinned(drawn, rng)
    assert thinned.truly.mean() == pytest.approx(0.25, abs=0.01)


def test_days_with_too_many(table):
    negative = np.zeros(500, bool)
    per_day = (table.topic == "a").mean() * 100
    assert monitor.bad_days(negative, table, "a") == []
    negative[110:140] = True
    assert monitor.bad_days(negative, table, "a") == [int(3 * per_day)]


def test_the_picture(table, tmp_path):
    pytest.importorskip("matplotlib")
    table = table.replace({"topic": {"a": "hotels", "b": "tops"}})
    monitor.picture(table, tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000
