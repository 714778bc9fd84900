"""Random numbers of a row: by seed, step and row, however many threads share the batch."""

from itertools import pairwise

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, cross_val_score
from threadpoolctl import threadpool_limits

from skbp import BackpropClassifier
from skbp import _kernels as kernels
from skbp._engine import objective
from skbp._engine.batches import Batch
from skbp._engine.network import Network
from skbp._engine.objective import Objective
from skbp._kernels import threads
from skbp.callbacks import Checkpoint
from skbp.layers import (
    GRU,
    LSTM,
    RNN,
    BatchNorm,
    CodeDropout,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    MaxPool2D,
    MultiHeadAttention,
    Parallel,
    RandomErasing,
    RandomFlip,
    RandomShift,
    Residual,
    SequencePool,
    TransformerEncoder,
)
from skbp.layers._draws import Draws
from skbp.losses import LogLoss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

#: A network of each kind of layer that draws, where threads share the batch; shape of its rows.
NETWORKS = {
    "images": ([Dropout(0.2), Conv2D(3, 3), Dropout(0.5), MaxPool2D(2), Flatten(), Dropout(0.3),
                Dense(5), Dropout(0.5)], (2, 7, 6)),
    "changed images": ([RandomShift(1), RandomFlip(), RandomErasing(), Conv2D(3, 2),
                        BatchNorm("relu"), Dropout(0.4), Flatten()], (3, 5, 4)),
    "windows": ([Conv1D(5, 3), Dropout(0.5), Conv1D(3, 2), Dropout(0.5), SequencePool()], (7, 3)),
    "lstm": ([LSTM(3, num_layers=3, dropout=0.5, bidirectional=True)], (5, 3)),
    "gru": ([GRU(5, num_layers=2, dropout=0.3, return_sequences=True), Dropout(0.3),
             SequencePool("max")], (5, 3)),
    "rnn": ([GaussianNoise(0.3), RNN(3, num_layers=2, dropout=0.5), GaussianNoise(0.2)], (5, 3)),
    "absent": ([LSTM(3, num_layers=2, dropout=0.5, return_sequences=True), Dropout(0.2),
                GRU(3, num_layers=2, dropout=0.5)], (6, 3)),
    "attention": ([MultiHeadAttention(2, dropout=0.5), TransformerEncoder(2, 6, dropout=0.3),
                   SequencePool()], (5, 4)),
    "codes": ([CodeDropout(0.5), Embedding(11, 4, padding_index=0), Dropout(0.3), GRU(3)], (5,)),
    "nested": ([Residual([Conv1D(3, 3, padding="same"), Dropout(0.5)]),
                Parallel([Dropout(0.5), [Conv1D(2, 1), GaussianNoise(1.0)]]), Flatten()], (5, 3)),
}  # fmt: skip


def data_for(name, n):
    rng, shape = np.random.default_rng(0), NETWORKS[name][1]
    x = rng.integers(0, 11, (n, *shape)).astype(float) if name == "codes" else None
    x = rng.normal(size=(n, *shape)) if x is None else x
    if name == "absent":
        x[rng.random(x.shape[:2]) < 0.4] = np.nan
    return x, rng.integers(0, 3, n)


@pytest.fixture
def with_threads(monkeypatch):
    """Return a function that sets the number of threads, and has everything shared."""
    monkeypatch.setattr(kernels, "CONCURRENT", True)
    monkeypatch.setattr(objective, "SHARED_BYTES", 0)
    return lambda n: monkeypatch.setattr(threads, "count", lambda: n)


def mask(draws, shape, dtype):
    out = np.full(shape, 7, np.uint8)
    draws.mask(0.4, out)
    return out


def last_axis_first(draws, shape, dtype):
    out = np.full((*shape[1:], shape[0]), 7, np.uint8)
    draws.mask(0.4, np.moveaxis(out, -1, 0))
    return np.moveaxis(out, -1, 0).copy()


def noise(draws, shape, dtype):
    out = np.empty(shape, dtype)
    draws.standard_normal(out)
    return out


def uniform(draws, shape, dtype):
    return draws.random(shape)


METHODS = [mask, last_axis_first, noise, uniform]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 2, 7, 13])
@pytest.mark.parametrize("row", [(1,), (3,), (2, 3), (5, 1, 7), (4, 9000)])
def test_parts_draw_what_the_whole_draws(row, n, dtype):
    if n * np.prod(row) > 100_000:
        n = 3
    whole = np.random.default_rng(5)
    expected = [method(Draws(whole), (n, *row), dtype) for method in METHODS * 2]
    for cuts in ([0, n], [0, n // 2, n], [0, n // 3, n // 3 + 1, n], list(range(n + 1))):
        for first, stop in pairwise(cuts):
            if first >= min(stop, n):
                continue
            own = np.random.default_rng(5)
            draws = Draws(own, (first, n))
            for method, numbers in zip(METHODS * 2, expected, strict=True):
                part = method(draws, (stop - first, *row), dtype)
                np.testing.assert_array_equal(part, numbers[first:stop])
            assert own.bit_generator.state == whole.bit_generator.state


def test_a_mask_in_another_order_of_memory_is_the_same_mask():
    shape = 13, 5, 7
    plain, other = np.random.default_rng(1), np.random.default_rng(1)
    expected = mask(Draws(plain), shape, None)
    np.testing.assert_array_equal(last_axis_first(Draws(other), shape, None), expected)
    assert set(np.unique(expected)) == {0, 1}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_the_same_with_any_number_of_threads(name, with_threads):
    layers, shape = NETWORKS[name]
    x, y = data_for(name, 23)
    weight, loss, found = np.full(23, 1 / 23), LogLoss().for_targets("multiclass"), []
    for count in (1, 2, 3, 5):
        with_threads(count)
        network = Network([*layers, Dense(3, "identity")], shape, np.float64)
        network.init(np.random.RandomState(0))
        steps, rng, results = Objective(network, loss, 0.0, 23), np.random.default_rng(3), []
        for rows in (slice(23), slice(9), slice(6), slice(1), slice(23)):
            value = steps.data_value_and_grad(Batch(x[rows], y[rows], weight[rows], 5.0), rng)
            results += [value, steps.grads.copy()]
        found.append(([*results, network.state.copy()], rng.bit_generator.state))
    for others, state in found[1:]:
        assert state == found[0][1]
        for one, other in zip(found[0][0], others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert np.abs(found[0][0][1]).max() > 0


def classifier(name, **params):
    params = {"batch_size": 16, "random_state": 0, "max_iter": 4, "dtype": np.float64} | params
    return BackpropClassifier(layers=NETWORKS[name][0], **params)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_gives_the_same_network(name, with_threads):
    x, y = data_for(name, 45)
    probabilities = []
    for count in (1, 1, 2, 2, 3):
        with_threads(count)
        net = classifier(name).fit(x, y)
        probabilities.append(net.predict_proba(x))
    one, again, two, two_again, three = probabilities
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(two, two_again)
    for other in (two, three):  # the sums of the shares' gradients are rounded otherwise
        np.testing.assert_allclose(other, one, rtol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_resumed_at_every_epoch(name, with_threads, tmp_path):
    with_threads(2)
    x, y = data_for(name, 45)
    expected = classifier(name).fit(x, y).predict_proba(x)
    for count in (2, 1):
        for epoch in range(1, 4):
            folder = tmp_path / f"{count}-{epoch}"
            with_threads(2)
            first = classifier(name, max_iter=epoch)
            first.set_callbacks(Checkpoint(folder)).fit(x, y)
            with_threads(count)
            rest = classifier(name).set_callbacks(Checkpoint(folder, resume=True)).fit(x, y)
            if count == 2:
                np.testing.assert_array_equal(rest.predict_proba(x), expected)
            else:
                np.testing.assert_allclose(rest.predict_proba(x), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["images", "lstm", "attention"])
def test_as_many_jobs_as_one_likes(name, monkeypatch):
    monkeypatch.setattr(kernels, "CONCURRENT", True)
    monkeypatch.setattr(objective, "SHARED_BYTES", 0)
    x, y = data_for(name, 60)
    net = classifier(name, max_iter=3, learning_rate_init=0.01)
    with threadpool_limits(2, "blas"):
        scores = [cross_val_score(net, x, y, cv=3, n_jobs=1, scoring="neg_log_loss")]
        with parallel_config("loky", inner_max_num_threads=1):  # as with n_jobs=2 on two cores
            scores.append(cross_val_score(net, x, y, cv=3, n_jobs=2, scoring="neg_log_loss"))
        with parallel_config("threading"):
            search = GridSearchCV(net, {"alpha": [1e-4]}, cv=3, n_jobs=2, scoring="neg_log_loss")
            found = search.fit(x, y).cv_results_
            scores.append([found[f"split{i}_test_score"][0] for i in range(3)])
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=1e-6)


def test_calls_of_partial_fit_draw_other_masks(monkeypatch):
    # With one whole number as the seed each call would leave out the same units.
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    seeds, make = [], np.random.default_rng
    monkeypatch.setattr(
        np.random, "default_rng", lambda seed: seeds.append(str(seed)) or make(seed)
    )
    net, calls = BackpropClassifier((4,), dropout=0.5, random_state=0), []
    for _ in range(3):
        net.partial_fit(X, y, classes=[0, 1])
        calls.append(tuple(seeds))
        seeds.clear()
    assert len(set(calls)) == 3
