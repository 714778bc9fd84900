"""Drawing symbols with what earlier steps left, against the whole context; and which are drawn."""

import copy
import types
from itertools import islice

import numpy as np
import pytest

from skbp import BackpropSequenceModel
from skbp.estimators import _generation
from skbp.estimators._generation import Growth, Sampling
from skbp.estimators._sequences import draw
from skbp.layers import (
    GRU,
    ColumnBranch,
    Dense,
    Embedding,
    LayerNorm,
    PositionalEncoding,
    Residual,
    Tied,
    TransformerEncoder,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TIME, N_SYMBOLS = 10, 7


def blocks(positions=None):
    block = TransformerEncoder(2, 12, causal=True, dropout=0.1, positions=positions)
    return [block, block, LayerNorm()]


LAYERS = {
    "learned": [Embedding(7, 8, padding_index=0), PositionalEncoding("learned"), *blocks()],
    "sinusoidal": [Embedding(7, 8), PositionalEncoding(), *blocks()],
    "rotary": [Embedding(7, 8, padding_index=0), *blocks("rotary")],
    "tied": [Embedding(7, 8, name="e"), *blocks("rotary"), Tied("e.weight", 7)],
    "gru": None,
    "mixed": [
        Embedding(7, 8), Residual([LayerNorm(), Dense(8, "tanh")]), *blocks("rotary"),
        GRU(6, return_sequences=True, num_layers=2),
    ],
    # a layer without steps: all of the context, each time
    "whole": [ColumnBranch([(slice(0, TIME), Embedding(7, 6))]), GRU(8, return_sequences=True)],
}  # fmt: skip
ENDLESS = ("rotary", "tied", "gru", "mixed")


@pytest.fixture(scope="module")
def models():
    """A fitted model of each kind and dtype, made when it is first asked for."""
    rng = np.random.default_rng(0)
    X = rng.integers(1, N_SYMBOLS, (60, TIME))
    X[np.arange(TIME) >= rng.integers(4, TIME + 1, 60)[:, None]] = 0
    made = {}

    def model(name, dtype="float64"):
        if (name, dtype) not in made:
            fresh = BackpropSequenceModel(
                LAYERS[name], n_symbols=N_SYMBOLS, dtype=dtype, random_state=0, max_iter=3,
                learning_rate_init=0.02,
            )  # fmt: skip
            made[name, dtype] = fresh.fit(X)
        return made[name, dtype]

    return model


def whole(network, n):
    """Return rows that grow without what earlier steps left."""
    growth = Growth(network, n, 0)
    growth._stepper = None
    return growth


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("name", LAYERS)
def test_raw_outputs_are_those_of_the_whole_context(models, name, dtype, tolerance):
    network = models(name, dtype)._network
    codes = np.random.default_rng(1).integers(1, N_SYMBOLS, (5, 30))
    until = TIME - 1 if name in ENDLESS else 30
    for first in (1, 4, TIME - 1):
        one, other = Growth(network, 5, 0), whole(network, 5)
        assert (one._stepper is None) == (name == "whole")
        for piece in [codes[:, :first], *(codes[:, t : t + 1] for t in range(first, until))]:
            np.testing.assert_allclose(
                one.feed(piece), other.feed(piece), rtol=tolerance, atol=tolerance
            )
        assert (one._stepper is None) == (name not in ENDLESS)


@pytest.mark.parametrize("name", ENDLESS)
def test_past_the_context_steps_go_on(models, name):
    growth = Growth(models(name)._network, 2, 0)
    codes = np.random.default_rng(1).integers(1, N_SYMBOLS, (2, 40))
    growth.feed(codes[:, :3])
    raw = [growth.feed(codes[:, t : t + 1]) for t in range(3, 40)]
    assert growth._stepper.past.seen == 40 and np.isfinite(raw).all()


STARTS = [[1, 2, 3], [4], [5, 6, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5], [], [2, 2, 0, 0]]


@pytest.mark.parametrize("name", LAYERS)
def test_the_same_seed_draws_the_same(models, monkeypatch, name):
    model = models(name)
    params = {"start": STARTS, "n_steps": 5, "random_state": 3}
    drawn = model.sample(**params)
    np.testing.assert_array_equal(model.sample(**params), drawn)
    assert (model.sample(**{**params, "random_state": 4}) != drawn).any()
    if name not in ENDLESS:  # these see another past once a start was cut
        monkeypatch.setattr(_generation, "stepping", lambda network: "none")
        np.testing.assert_array_equal(model.sample(**params), drawn)


@pytest.mark.parametrize("name", LAYERS)
def test_starts_of_different_length(models, name):
    """Each row goes on as it does alone."""
    model, starts = models(name), [start for start in STARTS if start]
    together = model.sample(start=starts, n_steps=6, top_k=1)
    assert together.shape == (4, 13 + 6)
    for row, start in zip(together, starts, strict=True):
        alone = model.sample(start=start, n_steps=6, top_k=1)[0]
        np.testing.assert_array_equal(row[: len(alone)], alone)
        assert (row[len(alone) :] == 0).all()
    padded = [start + [0] * (13 - len(start)) for start in starts]
    np.testing.assert_array_equal(model.sample(start=padded, n_steps=6, top_k=1), together)


@pytest.mark.parametrize("name", ["learned", "sinusoidal", "whole"])
def test_the_last_codes_are_seen_where_places_are_counted(models, name):
    model, row = without_end(models(name)), [1, 2]
    for _ in range(2 * TIME):
        window = np.zeros((1, TIME), int)
        seen = row[-(TIME - 1) :]
        window[0, : len(seen)] = seen
        row.append(int(model.predict_proba(window)[0].argmax()))
    drawn = model.sample(start=[1, 2], n_steps=2 * TIME, top_k=1)[0]
    np.testing.assert_array_equal(drawn, row)


def without_end(model):
    """Return a copy of a model that never draws the end."""
    other = copy.deepcopy(model)
    other._network.views[-1]["bias"][0] = -1e3
    return other


def test_starts_may_be_empty_or_full(models):
    model = models("rotary")
    drawn = model.sample(start=[[], [1] * TIME, [3] * (TIME - 1)], random_state=0)
    assert drawn.shape == (3, TIME)
    assert (drawn[1] == 1).all() and (drawn[2, :-1] == 3).all()
    assert model.start_proba_[drawn[0, 0]] > 0
    first = [model.sample(start=[[], [1, 2]], random_state=seed)[0, 0] for seed in range(300)]
    shares = np.bincount(first, minlength=N_SYMBOLS) / 300
    np.testing.assert_allclose(shares, model.start_proba_, atol=4 * np.sqrt(0.25 / 300))


def test_rows_are_drawn_in_parts(models, monkeypatch):
    model = models("rotary")
    monkeypatch.setattr(_generation, "MOST_BYTES", 1)  # then it is 32 rows at a time
    drawn = model.sample(70, start=[1, 2], n_steps=4, random_state=0)
    assert drawn.shape == (70, 6) and (drawn[:, :2] == [1, 2]).all()
    rng = np.random.RandomState(0)
    parts = [model.sample(n, start=[1, 2], n_steps=4, random_state=rng) for n in (32, 32, 6)]
    np.testing.assert_array_equal(drawn, np.concatenate(parts))


# ---------------------------------------------------------------- which symbols are drawn


def test_top_p_keeps_the_fewest_that_reach_it():
    rows = np.array([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25], [0, 0, 1, 0]])
    for top_p, kept in [
        (0.4, [{1}, {0, 1}, {2}]), (0.41, [{1, 3}, {0, 1}, {2}]),
        (0.5, [{1, 3}, {0, 1}, {2}]), (0.51, [{1, 3}, {0, 1, 2}, {2}]),
        (0.7, [{1, 3}, {0, 1, 2}, {2}]), (1.0, [{0, 1, 2, 3}, {0, 1, 2, 3}, {2}]),
        (1e-9, [{1}, {0}, {2}]),
    ]:  # fmt: skip
        many = np.repeat(rows, 300, axis=0)
        drawn = draw(many, None, np.random.RandomState(0), top_p).reshape(3, 300)
        assert [set(row) for row in drawn] == kept
    # after top_k: of .4 and .3 the first has 4/7
    drawn = draw(np.repeat(rows[:1], 300, axis=0), 2, np.random.RandomState(0), 0.57)
    assert set(drawn) == {1}
    drawn = draw(np.repeat(rows[:1], 3000, axis=0), 2, np.random.RandomState(0), 0.58)
    assert np.bincount(drawn, minlength=4) / 3000 == pytest.approx([0, 4 / 7, 0, 3 / 7], abs=0.04)


def test_repetition_penalty_by_hand(models):
    model = models("gru")
    raw = np.array([[2.0, -1.0, 0.5, 1.0, 0.0, -2.0, 3.0]])
    used = np.array([[True, True, False, False, True, False, True]])
    changed = np.array([[2 / 1.5, -1.5, 0.5, 1.0, 0.0, -2.0, 2.0]]) / 0.7
    sampling = Sampling(temperature=0.7, repetition_penalty=1.5)
    expected = np.exp(changed) / np.exp(changed).sum()
    np.testing.assert_allclose(sampling.probability(raw, used, model._loss), expected)
    np.testing.assert_array_equal(raw[0, :2], [2, -1])


@pytest.mark.parametrize("name", ["gru", "rotary"])
def test_a_large_penalty_draws_each_symbol_once(models, name):
    model = without_end(models(name))
    model._network.views[-1]["bias"][1:] += 50  # all positive: the penalty makes them nothing
    drawn = model.sample(4, start=[3], n_steps=5, repetition_penalty=1e9, random_state=0)
    np.testing.assert_array_equal(np.sort(drawn, axis=1), np.tile(np.arange(1, 7), (4, 1)))


@pytest.mark.parametrize("name", ["learned", "gru"])
def test_stop_ends_what_is_drawn(models, name):
    model = without_end(models(name))
    plain = model.sample(20, start=[5, 2], n_steps=40, random_state=0)
    stopped = model.sample(20, start=[5, 2], n_steps=40, random_state=0, stop=[[2, 3], 6])
    lengths = (stopped != 0).sum(axis=1)
    assert lengths.min() < 8 < lengths.max()
    for row, n in zip(stopped, lengths, strict=True):
        assert (row[n:] == 0).all()
        pairs = zip([0, *row[2:n]], row[2:n], strict=False)
        ends = [2 + i for i, pair in enumerate(pairs) if pair[1] == 6 or pair == (2, 3)]
        assert ends == [n - 1] or (n == 42 and not ends)
    # up to the first end all rows draw alike
    n = lengths.min()
    np.testing.assert_array_equal(stopped[:, :n], plain[:, :n])


def test_without_padding_ends_are_minus_one():
    X = np.random.default_rng(0).integers(0, 4, (40, 6))
    model = BackpropSequenceModel(padding_index=None, max_iter=2, random_state=0).fit(X)
    drawn = model.sample(start=[[1, 2, 3], [0]], n_steps=4, random_state=0)
    assert (drawn[1, 5:] == -1).all() and (drawn[0] >= 0).all() and (drawn[1, :5] >= 0).all()
    drawn = model.sample(30, [0], n_steps=9, stop=[0], random_state=0)
    ends = (drawn == -1).argmax(axis=1)
    assert set(drawn[np.arange(30), ends - 1][ends > 0]) == {0}


# ---------------------------------------------------------------- streams


@pytest.mark.parametrize("name", LAYERS)
def test_stream_draws_what_sample_draws(models, name):
    model = models(name)
    for seed in range(4):
        params = {"start": [1, 2], "n_steps": 25, "random_state": seed, "top_p": 0.9}
        drawn = model.sample(**params)[0, 2:]
        stream = model.stream(**params)
        assert isinstance(stream, types.GeneratorType)
        assert list(stream) == drawn[drawn != 0].tolist()


def test_stream_waits_to_be_asked(models):
    model = without_end(models("rotary"))
    stream = model.stream([1], n_steps=10**9, random_state=0)
    with np.errstate(all="raise"):
        first = list(islice(stream, 30))
    assert len(first) == 30 and set(first) <= set(range(1, 7))
    stream.close()
    assert list(model.stream([1] * TIME)) == []


def test_drawing_changes_nothing(models):
    model, start = models("learned"), np.array([1, 2, 3])
    params = model._network.params.copy()
    model.sample(3, start=start, n_steps=30, repetition_penalty=1.3, random_state=0)
    np.testing.assert_array_equal(model._network.params, params)
    np.testing.assert_array_equal(start, [1, 2, 3])
