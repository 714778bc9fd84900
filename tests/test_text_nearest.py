"""Nearest examples: against scikit-learn's neighbours, and what is never forgotten."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from skbp.text import NearestExamples, RejectOption
from skbp.text import nearest as module

WORDS = ["red", "green", "blue", "one", "two", "three", "four", "cat", "dog", "bird", "fish",
         "tree", "house", "sea"]  # fmt: skip


def texts(n, seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(2, 7))) for _ in range(n)]


X, NEW = texts(80, 0), texts(30, 1)
Y = np.array(["animal" if set(t.split()) & {"cat", "dog", "bird", "fish"} else "none" for t in X])


def hashed(**params):
    return HashingVectorizer(n_features=2**10, **params)


@pytest.mark.parametrize("vectorizer", [
    TfidfVectorizer(), hashed(norm=None), make_pipeline(CountVectorizer(), TfidfTransformer()),
    make_pipeline(hashed(), FunctionTransformer(lambda rows: rows.toarray())),
])  # fmt: skip
@pytest.mark.parametrize("k", [1, 4, 80, 1000])
def test_neighbours_are_those_of_scikit_learn(vectorizer, k):
    model = NearestExamples(vectorizer, n_neighbors=k).fit(X, Y)
    distances, indices = model.kneighbors(NEW)
    vectorizer = clone(vectorizer).fit(X)
    rows, new = vectorizer.transform(X), vectorizer.transform(NEW)
    oracle = NearestNeighbors(n_neighbors=min(k, 80), metric="cosine").fit(rows)
    expected = oracle.kneighbors(new)[0]
    np.testing.assert_allclose(distances, expected, atol=1e-12)
    assert indices.shape == (30, min(k, 80))
    for row, found in zip(indices, distances, strict=True):
        assert len(set(row)) == len(row)
        assert (np.diff(row)[np.diff(found) == 0] > 0).all()  # of equal ones the earlier first


def test_votes():
    model = NearestExamples(hashed(), n_neighbors=5).fit(X, Y)
    distances, indices = model.kneighbors(NEW)
    votes = np.stack([((2 - distances) * (Y[indices] == c)).sum(axis=1) for c in model.classes_])
    np.testing.assert_allclose(model.predict_proba(NEW), (votes / votes.sum(axis=0)).T)
    np.testing.assert_array_equal(model.predict(NEW), model.classes_[votes.argmax(axis=0)])
    first = NearestExamples(hashed()).fit(X, Y)
    np.testing.assert_array_equal(first.predict(NEW), Y[first.kneighbors(NEW)[1][:, 0]])
    np.testing.assert_array_equal(first.predict(X), Y)


def test_parts_of_the_product(monkeypatch):
    whole = NearestExamples(hashed(), n_neighbors=3).fit(X, Y).kneighbors(NEW)
    monkeypatch.setattr(module, "MOST_BYTES", 8 * 80 * 7)
    parts = NearestExamples(hashed(), n_neighbors=3).fit(X, Y).kneighbors(NEW)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------- new examples


@pytest.mark.parametrize("vectorizer", [
    hashed(), FrozenEstimator(TfidfVectorizer().fit(X)), make_pipeline(hashed(), Normalizer()),
    make_pipeline(hashed(), FunctionTransformer(lambda rows: rows.toarray())),
])  # fmt: skip
def test_partial_fit_is_fit_of_all(vectorizer):
    whole = NearestExamples(vectorizer).fit(X, Y)
    parts = NearestExamples(vectorizer)
    for rows in (slice(0, 1), slice(1, 50), slice(50, 80)):
        parts.partial_fit(X[rows], Y[rows])
    for one, other in zip(whole.kneighbors(NEW, 7), parts.kneighbors(NEW, 7), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert parts.examples_ == X and (parts.labels_ == Y).all()


def test_new_examples_do_not_make_it_forget():
    model = NearestExamples(hashed()).fit(X, Y)
    other = [f"{word} winter summer" for word in WORDS]
    for _ in range(20):
        model.partial_fit(other, ["season"] * len(other))
    unique = [text for i, text in enumerate(X) if X.index(text) == i]
    assert (model.predict(unique) == [Y[X.index(text)] for text in unique]).all()
    assert (model.predict(other) == "season").all()
    np.testing.assert_array_equal(model.classes_, ["animal", "none", "season"])


@pytest.mark.parametrize("vectorizer", [
    TfidfVectorizer(), make_pipeline(hashed(), TfidfTransformer()),
])  # fmt: skip
def test_partial_fit_needs_vectors_of_one_kind(vectorizer):
    for model in (NearestExamples(vectorizer), NearestExamples(vectorizer).fit(X, Y)):
        with pytest.raises(ValueError, match="needs no fitting, such as HashingVectorizer"):
            model.partial_fit(X, Y)


def test_a_frozen_vectorizer_is_used_as_it_is():
    frozen = FrozenEstimator(TfidfVectorizer().fit(["red green"]))
    model = NearestExamples(frozen).fit(X, Y)
    assert model.vectors_.shape == (80, 2)
    assert NearestExamples(TfidfVectorizer().fit(["red"])).fit(X, Y).vectors_.shape[1] == 14


# ---------------------------------------------------------------- answers

TEMPLATES = {"card": ["I block the card now.", "A new card is on its way."], "account": "Go there."}
TALK = (["my card is lost", "i need a new card", "open an account"], ["card", "card", "account"])


def test_templates():
    model = NearestExamples(hashed(), TEMPLATES).fit(*TALK)
    answers = model.best_template(["lost my card, block it", "new card please", "open it"])
    assert answers == ["I block the card now.", "A new card is on its way.", "Go there."]
    plain = NearestExamples(hashed()).fit(*TALK)
    assert plain.best_template(["a new card", "open"]) == ["i need a new card", "open an account"]


@pytest.mark.parametrize("templates, message", [
    ({"card": "yes"}, "None for the label 'account'"), ({**TEMPLATES, "card": []}, "label 'card'"),
    ({**TEMPLATES, "card": [1]}, "label 'card'"), ("Hello.", "a dict of label"),
])  # fmt: skip
def test_bad_templates(templates, message):
    with pytest.raises(ValueError, match=message):
        NearestExamples(hashed(), templates).fit(*TALK)


def test_a_new_label_without_a_template_changes_nothing():
    model = NearestExamples(hashed(), TEMPLATES).fit(*TALK)
    with pytest.raises(ValueError, match="'weather'"):
        model.partial_fit(["will it rain"], ["weather"])
    assert len(model.examples_) == 3 and model.vectors_.shape[0] == 3
    assert list(model.classes_) == ["account", "card"]


# ---------------------------------------------------------------- bad input, scikit-learn


@pytest.mark.parametrize("call, message", [
    (lambda m: m.fit("a text", ["a"]), "single text"), (lambda m: m.fit(X, Y[:5]), "inconsistent"),
    (lambda m: m.fit([], []), "no rows|0 sample"), (lambda m: m.fit(X, None), "requires y"),
    (lambda m: m.fit(X, Y).predict("a text"), "single text"),
    (lambda m: m.fit(X, Y).kneighbors(NEW, 0), "n_neighbors"),
    (lambda m: m.fit(X, Y).partial_fit(["a"], [3]), "labels of one type"),
    (lambda m: m.set_params(n_neighbors=0).fit(X, Y), "n_neighbors"),
])  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(NearestExamples(hashed()))


def test_not_fitted():
    for method in ("predict", "predict_proba", "kneighbors", "best_template"):
        with pytest.raises(NotFittedError):
            getattr(NearestExamples(hashed()), method)(X)


def test_pickle_clone_and_scores():
    model = NearestExamples(hashed(), n_neighbors=3).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(NEW), model.predict_proba(NEW))
    assert clone(model).get_params()["vectorizer__n_features"] == 2**10
    assert cross_val_score(NearestExamples(TfidfVectorizer()), X, Y, cv=3).mean() > 0.6


def test_texts_like_no_example_are_rejected():
    def likeness(model, X):
        return -model.kneighbors(X, 1)[0][:, 0]

    model = RejectOption(NearestExamples(TfidfVectorizer()), 0.9, likeness, outside="ask a person")
    model.fit(X, Y)
    found = model.predict(["quantum chromodynamics", "cat dog bird"])
    assert list(found) == ["ask a person", "animal"]
