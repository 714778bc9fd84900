"""The sequence model: losses of next symbols, likelihoods in closed form, and what it draws."""

import pickle
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from skbp import BackpropClassifier, BackpropSequenceModel
from skbp._engine.batches import Batch
from skbp._engine.network import Network
from skbp._engine.objective import Objective
from skbp.callbacks import Call, Checkpoint
from skbp.estimators._sequences import StepOutput, check_steps, draw
from skbp.layers import (
    GRU,
    LSTM,
    ColumnBranch,
    Embedding,
    LayerNorm,
    MultiHeadAttention,
    PositionalEncoding,
    SequencePool,
    TransformerEncoder,
)
from skbp.losses import LogLoss, NextSymbolLoss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CHAIN = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.5, 0.25, 0.25]])  # of symbols 1, 2, 3


def markov(n=300, time=8, seed=0, shortest=1):
    """Rows of a Markov chain, of different length, filled up with zeros."""
    rng = np.random.default_rng(seed)
    X = np.zeros((n, time), int)
    X[:, 0] = rng.integers(1, 4, n)
    for t in range(1, time):
        level = rng.random((n, 1))
        X[:, t] = 1 + (CHAIN[X[:, t - 1] - 1].cumsum(axis=1) < level).sum(axis=1)
    X[np.arange(time) >= rng.integers(shortest, time + 1, n)[:, None]] = 0
    return X


def counts_of(X, k=4):
    """Return how often a code comes right after another; the end of a row is a code too."""
    counts = np.zeros((k, k))
    for row in X.astype(int):
        for before, after in pairwise(row):
            if before != 0:
                counts[before, after] += 1
    return counts


def bigrams(**params):
    """A model that sees one code back only: a table, which can be every Markov chain."""
    return BackpropSequenceModel(**{
        "layers": Embedding(4, 4), "n_symbols": 4, "solver": "lbfgs", "alpha": 0, "tol": 1e-7,
        "max_iter": 2000, "random_state": 0, **params,
    })  # fmt: skip


def gru(**params):
    return BackpropSequenceModel(**{
        "layers": [Embedding(4, 6), GRU(8, return_sequences=True)], "n_symbols": 4,
        "batch_size": 32, "learning_rate_init": 0.02, "max_iter": 5, "random_state": 0, **params,
    })  # fmt: skip


def transformer(padding_index=0, dropout=0.0, **params):
    return BackpropSequenceModel(**{
        "layers": [
            Embedding(4, 8, padding_index=padding_index), PositionalEncoding(),
            TransformerEncoder(2, 16, dropout=dropout, causal=True), LayerNorm(),
        ],
        "n_symbols": 4, "batch_size": 32, "max_iter": 3, "random_state": 0, **params,
    })  # fmt: skip


# ---------------------------------------------------------------- the loss


@pytest.mark.parametrize("loss", [LogLoss(), LogLoss(label_smoothing=0.2)])
@pytest.mark.parametrize("padding_index", [0, None])
def test_gradient(loss, padding_index):
    rng = np.random.default_rng(0)
    X = markov(7, 5).astype(float)
    layers = [
        Embedding(4, 6, padding_index=padding_index), PositionalEncoding("learned"),
        TransformerEncoder(2, 5, causal=True, dropout=0), StepOutput(4, "identity"),
    ]  # fmt: skip
    network = Network(layers, (5,), np.float64)
    network.init(np.random.RandomState(0))
    network.params += 0.1 * rng.standard_normal(network.params.shape)
    objective = Objective(network, NextSymbolLoss(loss, padding_index), 0.0, 7)
    weight = rng.random(7)
    batch = Batch(X, X, weight / weight.sum(), 1.0)
    objective.data_value_and_grad(batch)
    grad, params, step = objective.grads.copy(), network.params.copy(), 1e-6
    for _ in range(5):
        direction = rng.standard_normal(params.shape)
        values = []
        for sign in (1, -1):
            network.params[...] = params + sign * step * direction
            values.append(objective.data_value_and_grad(batch))
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(grad @ direction, rel=1e-6, abs=1e-9)


def test_loss_is_the_mean_over_next_symbols():
    rng = np.random.default_rng(0)
    y = np.array([[1.0, 2, 0, 0], [3, 3, 3, 3], [1, 0, 0, 0]])
    raw = rng.standard_normal((3, 4, 4))
    log_proba = raw - np.log(np.exp(raw).sum(axis=-1, keepdims=True))
    seen = [(0, 0, 2), (0, 1, 0), (1, 0, 3), (1, 1, 3), (1, 2, 3), (2, 0, 0)]
    expected = -np.mean([log_proba[place] for place in seen])
    grad = np.empty_like(raw)
    value = NextSymbolLoss(LogLoss(), 0).value_and_grad(raw, y, np.array([2, 3, 1]) / 6, grad)
    assert value == pytest.approx(expected)
    there = np.zeros((3, 4), bool)
    there[[place[0] for place in seen], [place[1] for place in seen]] = True
    assert (grad[~there] == 0).all() and (grad[there] != 0).all()


@pytest.mark.parametrize("model", [gru(), transformer(), transformer(None)])
def test_padding_carries_no_loss(model):
    """Columns of padding, which each row has already, change nothing."""
    X = markov(60)
    X[:, 6:] = 0
    more = np.hstack([X, np.zeros((60, 3), int)])
    short, long = clone(model).fit(X), clone(model).fit(more)
    np.testing.assert_allclose(short.loss_curve_, long.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(short.score_samples(X), long.score_samples(more), rtol=1e-3)
    by_steps = [row_by_steps(short, row) for row in X]
    np.testing.assert_allclose(short.score_samples(X), by_steps, rtol=1e-4, atol=1e-5)


def row_by_steps(model, row):
    """Return the log-likelihood of a row, step by step from `predict_proba`."""
    total, n = 0.0, int((row != 0).sum())
    for t in range(1, min(n + 1, len(row))):
        before = np.zeros_like(row)
        before[:t] = row[:t]
        total += np.log(model.predict_proba([before])[0, int(row[t])])
    return total


# ---------------------------------------------------------------- what it learns


def test_markov_chain_in_closed_form():
    X = markov()
    model = bigrams().fit(X)
    counts = counts_of(X)
    shares = counts[1:] / counts[1:].sum(axis=1, keepdims=True)
    rows = np.zeros((3, 8))
    rows[:, 0] = [1, 2, 3]
    np.testing.assert_allclose(model.predict_proba(rows), shares, atol=2e-4)
    expected = (counts[1:] * np.log(np.where(shares > 0, shares, 1))).sum() / counts.sum()
    assert model.score(X) == pytest.approx(expected, abs=1e-6)
    assert model.perplexity(X) == pytest.approx(np.exp(-expected), abs=1e-5)
    assert model.loss_ == pytest.approx(-model.score(X), abs=1e-6)
    first = np.bincount(X[:, 0], minlength=4) / len(X)
    np.testing.assert_allclose(model.start_proba_, first)
    np.testing.assert_allclose(model.predict_proba(np.zeros((1, 8)))[0], first)


def test_row_weights_are_copies():
    X = markov(80)
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    one, other = bigrams().fit(X, sample_weight=weight), bigrams().fit(np.repeat(X, weight, axis=0))
    rows = np.zeros((3, 8))
    rows[:, 0] = [1, 2, 3]
    np.testing.assert_allclose(one.predict_proba(rows), other.predict_proba(rows), atol=2e-4)
    np.testing.assert_allclose(one.start_proba_, other.start_proba_)


@pytest.mark.parametrize("model", [
    gru(max_iter=60),
    gru(layers=[Embedding(4, 6), LSTM(8, return_sequences=True)], max_iter=60),
    transformer(max_iter=80, learning_rate_init=0.01),
    gru(layers=None, max_iter=60),
    transformer(dropout=0.1, max_iter=80, learning_rate_init=0.01),
])  # fmt: skip
def test_learns_a_cycle(model):
    X = (np.arange(9) + np.arange(3)[:, None]) % 3 + 1
    X = np.repeat(X, 20, axis=0)
    assert model.fit(X).perplexity(X) < 1.05
    start = [[1, 2], [2, 3]]
    drawn = model.sample(2, start, n_steps=12, random_state=0, top_k=1)
    np.testing.assert_array_equal(drawn, (np.arange(14) + np.arange(2)[:, None]) % 3 + 1)


def test_early_stopping_and_validation_rows():
    X, held_out = markov(), markov(seed=1)
    model = gru(early_stopping=True, n_iter_no_change=3, max_iter=30).fit(X)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    model = gru().fit(X, X_val=held_out)
    assert model.validation_loss_curve_[-1] == pytest.approx(-model.score(held_out), rel=1e-4)
    by_hand = gru(scoring=lambda model, X, y: model.score(X)).fit(X, X_val=held_out)
    np.testing.assert_allclose(by_hand.validation_scores_, model.validation_scores_, rtol=1e-4)


def test_partial_fit():
    X = markov()
    model = gru()
    for _ in range(5):
        model.partial_fit(X[:150]).partial_fit(X[150:])
    assert model.score(X) > gru(max_iter=1).fit(X).score(X)
    np.testing.assert_allclose(model.start_proba_, bigrams().fit(X).start_proba_)
    with pytest.raises(ValueError, match="n_symbols=4"):
        model.partial_fit(X + 1)


# ---------------------------------------------------------------- sampling


def test_samples_have_the_distribution_that_was_learned():
    X = markov(600, shortest=3)
    model = bigrams().fit(X)
    drawn = model.sample(6000, random_state=0)
    assert drawn.shape == (6000, 8)
    counts, seen = counts_of(X), counts_of(drawn)
    shares = counts[1:] / counts[1:].sum(axis=1, keepdims=True)
    frequencies = seen[1:] / seen[1:].sum(axis=1, keepdims=True)
    deviation = np.sqrt(shares * (1 - shares) / seen[1:].sum(axis=1, keepdims=True))
    assert (np.abs(frequencies - shares) <= 4 * deviation + 1e-3).all()
    first = np.bincount(drawn[:, 0], minlength=4) / 6000
    assert np.abs(first - model.start_proba_).max() < 0.03
    assert ((drawn == 0).cumsum(axis=1)[drawn != 0] == 0).all()  # padding at the ends only


def test_sampling_is_reproducible():
    model = gru().fit(markov())
    one = model.sample(5, random_state=3)
    np.testing.assert_array_equal(one, model.sample(5, random_state=3))
    assert (one != model.sample(5, random_state=4)).any()
    longer = model.sample(4, [1, 2], n_steps=20, random_state=0)
    assert longer.shape == (4, 22) and (longer[:, :2] == [1, 2]).all()


def test_rows_that_are_full_lose_their_oldest_code():
    first = np.array(list(product([1, 2, 3], repeat=3)))
    X = np.column_stack([first, first[:, 0]])  # the fourth code is the first again
    model = gru(max_iter=300, learning_rate_init=0.05, batch_size=27).fit(X)
    assert (model.sample(27, first, n_steps=1, top_k=1)[:, 3] == first[:, 0]).all()
    older = np.column_stack([4 - first[:, 0], first])
    assert (model.predict_proba(older).argmax(axis=1) == first[:, 0]).all()
    assert (model.sample(27, older, n_steps=1, top_k=1)[:, 4] == first[:, 0]).all()


def test_temperature_and_top_k():
    model = bigrams().fit(markov())
    row = np.zeros((1, 8))
    row[0, 0] = 1
    probability = model.predict_proba(row)[0]
    top = model.sample(200, [1], n_steps=1, top_k=2, random_state=0)[:, 1]
    assert set(top) == set(np.argsort(probability)[-2:])
    for temperature, power in ((0.5, 2), (2.0, 0.5)):
        expected = probability**power / (probability**power).sum()
        drawn = model.sample(4000, [1], n_steps=1, temperature=temperature, random_state=0)[:, 1]
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, expected, atol=0.03)


def test_draw_never_takes_what_has_no_probability():
    probability = np.tile([0.0, 0.5, 0.0, 0.5, 0.0], (1000, 1))
    assert set(draw(probability, None, np.random.RandomState(0))) == {1, 3}


# ---------------------------------------------------------------- looking ahead


@pytest.mark.parametrize("layers", [
    [Embedding(4, 8), MultiHeadAttention(2)],
    [Embedding(4, 8), TransformerEncoder(2, 8)],
    [Embedding(4, 8, padding_index=0), TransformerEncoder(2, 8)],
    [Embedding(4, 8), GRU(8, return_sequences=True, bidirectional=True)],
])  # fmt: skip
def test_layers_that_look_ahead_are_refused(layers):
    model = gru(layers=layers)
    with pytest.raises(ValueError, match="look ahead"):
        model.fit(markov())
    assert not hasattr(model, "n_symbols_")


@pytest.mark.parametrize("padding_index", [0, None])
def test_check_of_steps_sees_one_step_ahead(padding_index):
    class Peek(MultiHeadAttention):
        def forward(self, x, p, w, ctx):
            y = super().forward(x, p, w, ctx)
            y[:, -2] += 1e-2 * x[:, -1]
            return y

    network = Network(
        [Embedding(4, 8), Peek(2, causal=True), StepOutput(4, "identity")], (6,), np.float32
    )
    network.init(np.random.RandomState(0))
    with pytest.raises(ValueError, match="first 5 steps"):
        check_steps(network, padding_index)


def test_outputs_do_not_depend_on_later_codes():
    model = transformer().fit(markov())
    rows = np.array([[1, 2, 3, 1, 0, 0, 0, 0], [1, 2, 3, 1, 3, 2, 0, 0]])
    raw = model._predict_raw(rows.astype(np.float32))
    np.testing.assert_allclose(raw[0, :4], raw[1, :4], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layers", [[Embedding(4, 8), SequencePool()], [Embedding(4, 8), GRU(8)]])
def test_layers_without_steps_are_refused(layers):
    with pytest.raises(ValueError, match="those of each step"):
        gru(layers=layers).fit(markov())


# ---------------------------------------------------------------- scikit-learn


def test_weights_start_a_classifier():
    X = markov(120)
    y = (X == 3).any(axis=1)
    body = transformer().layers
    model = transformer().fit(X)
    params = {"init_from": FrozenEstimator(model), "max_iter": 1, "learning_rate_init": 1e-9}
    net = BackpropClassifier(layers=[*body, SequencePool()], random_state=0, **params).fit(X, y)
    assert net.copied_layers_ == {
        "embedding_0": True, "transformerencoder_2": True, "layernorm_3": True, "output": False,
    }  # fmt: skip
    np.testing.assert_allclose(net.coefs_[0], model.coefs_[0], atol=1e-6)


def test_pickle_clone_and_search(tmp_path):
    X = markov(90)
    model = gru().fit(X)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.score_samples(X), model.score_samples(X))
    again = clone(model).fit(X)
    np.testing.assert_array_equal(again.sample(3, random_state=0), model.sample(3, random_state=0))
    search = GridSearchCV(gru(), {"learning_rate_init": [1e-5, 0.02]}, cv=2).fit(X)
    assert search.best_params_ == {"learning_rate_init": 0.02}
    assert search.best_estimator_.perplexity(X) < 4


def test_goes_on_from_a_checkpoint(tmp_path):
    X = markov(120)
    params = {"early_stopping": True, "max_iter": 6, "n_iter_no_change": 99}
    whole = transformer(dropout=0.2, **params).fit(X)
    stop = Call(lambda epoch: epoch["epoch"] == 3)
    transformer(dropout=0.2, **params).set_callbacks(Checkpoint(tmp_path), stop).fit(X)
    rest = transformer(dropout=0.2, **params)
    rest.set_callbacks(Checkpoint(tmp_path, resume=True)).fit(X)
    assert rest.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(rest._network.params, whole._network.params)


def test_fine_tuning_keeps_what_is_frozen():
    X = markov(120)
    model = gru(max_iter=1).fit(X)
    params = {"init_from": FrozenEstimator(model), "freeze": "embedding_0", "max_iter": 2}
    tuned = gru(**params).fit(X)
    assert all(tuned.copied_layers_.values())
    np.testing.assert_array_equal(tuned.coefs_[0], model.coefs_[0])
    assert (tuned.coefs_[1] != model.coefs_[1]).any()


def test_more_columns_than_one_a_step():
    layers = [ColumnBranch([(slice(0, 8), Embedding(4, 6))]), GRU(8, return_sequences=True)]
    assert gru(layers=layers).fit(markov()).score(markov()) < 0


# The checks' whole numbers are codes, but know of no padding; one check has other numbers.
NOT_CODES = {"check_sample_weight_equivalence_on_dense_data": "its X are no whole numbers"}


@parametrize_with_checks(
    [
        BackpropSequenceModel(padding_index=None, max_iter=3),
        BackpropSequenceModel(
            padding_index=None, max_iter=3, solver="lbfgs", layers=Embedding(99, 4)
        ),
    ],
    expected_failed_checks=lambda estimator: NOT_CODES,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


BAD = {
    "negative": ([[1, -1]], "Negative"),
    "no whole number": ([[1, 1.5]], "whole numbers"),
    "padding first": ([[0, 1, 2]], "end of a row only"),
    "padding between": ([[1, 0, 2]], "end of a row only"),
    "only padding": ([[0, 0]], "no symbols"),
    "one column": ([[1], [2]], "minimum of 2"),
    "NaN": ([[1, np.nan]], "NaN"),
    "too large": ([[1, 9]], "n_symbols=4"),
    "sparse": (csr_array(np.eye(3) + 1), "[Ss]parse"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_codes(name):
    X, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        gru().fit(X)
    with pytest.raises(ValueError, match=r"X_val \(the validation set\)"):
        gru().fit(markov(), X_val=[[0, 1, 2, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize("params, message", [
    ({"n_samples": 0}, "n_samples"),
    ({"n_steps": 0}, "n_steps"),
    ({"temperature": 0.0}, "temperature"),
    ({"top_k": 0}, "top_k"),
    ({"start": [0, 1]}, "padding"),
    ({"start": [1, 7]}, "n_symbols=4"),
    ({"start": [[1], [2]], "n_samples": 1}, "n_samples=1"),
    ({"start": 3}, "no sequence"),
    ({"start": []}, "no sequence"),
    ({"start": [[[1, 2]]]}, "shape"),
    ({"start": [[1, 0, 2], [1]]}, "end of a row only"),
    ({"start": [[1], [1.5]]}, "whole numbers"),
    ({"start": [[1], [np.nan]]}, "NaN"),
    ({"start": "12"}, "start is a str"),
    ({"top_p": 0.0}, "top_p"),
    ({"top_p": 1.5}, "top_p"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"stop": 3}, r"stop=\[code\]"),
    ({"stop": [[1, 9]]}, "an item of stop has 9"),
    ({"stop": [[]]}, "empty"),
])  # fmt: skip
def test_bad_sampling(params, message):
    model = gru(max_iter=1).fit(markov())
    with pytest.raises(ValueError, match=message):
        model.sample(**params)
    if "n_samples" not in params:
        with pytest.raises(ValueError, match=message):
            model.stream(**params)


def test_losses_without_probabilities_are_refused():
    with pytest.raises(ValueError, match="loss"):
        gru(loss="hinge").fit(markov())
