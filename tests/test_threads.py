"""Threads that share a batch: what they compute, and what they leave behind."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from skbp import BackpropClassifier
from skbp import _kernels as kernels
from skbp._engine import objective
from skbp._engine.batches import Batch
from skbp._engine.network import Network
from skbp._engine.objective import Objective, predict_raw
from skbp._kernels import threads
from skbp.callbacks import Checkpoint
from skbp.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    LoRA,
    MaxPool2D,
    PositionalEncoding,
    RandomErasing,
    RandomFlip,
    RandomShift,
    Reshape,
    Residual,
    SequencePool,
    TransformerEncoder,
)
from skbp.losses import LogLoss

N_CLASSES = 3
LAYERS = {
    "recurrent": ([LSTM(5, return_sequences=True), GRU(4, bidirectional=True)], (6, 3)),
    "images": ([Conv2D(4, 3), MaxPool2D(2), Flatten(), Dense(6)], (2, 7, 8)),
    "attention": (
        [
            Embedding(11, 8, padding_index=0), PositionalEncoding("learned"),
            TransformerEncoder(2, 12, dropout=0), LayerNorm(), SequencePool(),
        ],
        (6,),
    ),
    "nested": ([Residual([Conv1D(3, 3, padding="same")]), SequencePool("max")], (6, 3)),
}  # fmt: skip


def data_for(shape, n, name):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 11, (n, *shape)).astype(float) if name == "attention" else None
    x = rng.normal(size=(n, *shape)) if x is None else x
    if name == "recurrent":
        x[rng.random(x.shape[:2]) < 0.3] = np.nan  # steps that are absent
    weight = rng.random(n)
    return x, rng.integers(0, N_CLASSES, n), weight / weight.sum()


def build(name):
    layers, shape = LAYERS[name]
    network = Network([*layers, Dense(N_CLASSES, "identity")], shape, np.float64)
    network.init(np.random.RandomState(0))
    return network


@pytest.fixture
def with_threads(monkeypatch):
    """Return a function that sets the number of threads, and has everything shared."""
    monkeypatch.setattr(kernels, "CONCURRENT", True)
    monkeypatch.setattr(objective, "SHARED_BYTES", 0)
    return lambda n: monkeypatch.setattr(threads, "count", lambda: n)


@pytest.mark.parametrize("name", LAYERS)
def test_shares_sum_up_to_the_whole(name, with_threads, monkeypatch):
    network, n = build(name), 23
    x, y, weight = data_for(network.input_shape, n, name)
    x.flags.writeable = False
    loss, seen, results = LogLoss().for_targets("multiclass"), [], []
    run = threads.run
    monkeypatch.setattr(
        threads, "run", lambda task, args: seen.append(len(args)) or run(task, args)
    )
    for count in (1, 3):
        with_threads(count)
        whole = Objective(network, loss, 0.1, n)
        for rows in (slice(n), slice(9), slice(1)):  # a full batch, and the last of an epoch
            value = whole.value_and_grad(Batch(x[rows], y[rows], weight[rows], 5.0))
            results.append((*value, whole.grads.copy(), predict_raw(network, x[rows])))
    half = len(results) // 2
    for one, other in zip(results[:half], results[half:], strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert 3 in seen


@pytest.mark.parametrize("name", ["images", "sequences", "nested"])
def test_statistics_are_those_of_the_whole_batch(name, with_threads, monkeypatch):
    layers, shape = {
        "images": ([Conv2D(4, 3), BatchNorm("relu"), MaxPool2D(2), Flatten()], (2, 7, 8)),
        "sequences": ([BatchNorm(), LSTM(5), BatchNorm()], (6, 3)),
        "nested": ([Residual([Conv2D(2, 1), BatchNorm("tanh")]), Flatten()], (2, 4, 3)),
    }[name]
    x, y, weight = data_for(shape, 23, "recurrent" if name == "sequences" else name)
    x[:8] += 3  # what one share has differs from what the others have
    if name == "sequences":
        x[12:] = np.nan  # one share of two has nothing
    loss, seen, results = LogLoss().for_targets("multiclass"), [], []
    run = threads.run_together
    monkeypatch.setattr(
        threads, "run_together", lambda task, args: seen.append(len(args)) or run(task, args)
    )
    for count in (1, 2, 3):
        with_threads(count)
        network = Network([*layers, Dense(N_CLASSES, "identity")], shape, np.float64)
        network.init(np.random.RandomState(0))
        whole = Objective(network, loss, 0.1, len(x))
        found = []
        for rows in (slice(None), slice(9), slice(1)):
            value = whole.value_and_grad(
                Batch(x[rows], y[rows], weight[rows], 5.0), np.random.default_rng(0)
            )
            found += [*value, whole.grads.copy(), network.state.copy()]
        results.append([*found, predict_raw(network, x)])
    for others in results[1:]:
        for a, b in zip(results[0], others, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert seen == [2, 2, 3, 3]


class Centered(Dropout):
    """Couples rows, and asks nobody for the others."""

    couples_rows = True


class CenteredDense(Dense):
    """The same of a layer with weights."""

    couples_rows = True


def test_what_is_shared():
    def shares(*layers, training=True, compiled=True):
        return Network(list(layers), (1, 5, 5), float).threads_had_better_share(training, compiled)

    assert shares(Conv2D(2, 3), BatchNorm())
    assert shares(Residual([Conv2D(1, 1), BatchNorm()]), compiled=False)  # in large arrays
    assert not shares(Conv2D(2, 3), Centered())
    assert not shares(Residual([Conv2D(1, 1), BatchNorm(), Centered()]))
    assert shares(Conv2D(2, 3), Centered(), training=False)  # each row is for itself
    assert not shares(Conv2D(2, 3), Reshape((-1, 3)), LSTM(2), compiled=False)
    assert not shares(Flatten(), Dense(3))  # BLAS does it
    assert not shares(Conv2D(2, 3), Flatten(), LoRA(CenteredDense(3)))


@pytest.mark.parametrize("bad", [0, 1, 2])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_share_lets_those_that_wait_for_it_end(bad, error):
    ended = []

    def task(i, gather):
        assert gather(i) == [0, 1, 2]
        assert gather(10 * i) == [0, 10, 20]
        if i == bad:
            raise error("of a share")
        try:
            gather(i)
        finally:
            ended.append(i)

    before = blas_threads()
    with pytest.raises(error, match="of a share"):
        threads.run_together(task, [0, 1, 2])
    assert sorted(ended) == sorted({0, 1, 2} - {bad})
    assert blas_threads() == before


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("layers, shape", [
    ([LSTM(4), Dropout(0.5)], (6, 3)),
    ([RandomShift(1), RandomFlip(), RandomErasing(), Conv2D(3, 2)], (2, 5, 4)),
], ids=["dropout", "images"])  # fmt: skip
def test_the_same_seed_gives_the_same_bits_and_a_resumed_fit_too(
    layers, shape, with_threads, tmp_path
):
    with_threads(3)
    x, y, _ = data_for(shape, 40, "")
    params = {"layers": layers, "batch_size": 16, "random_state": 0}
    whole = BackpropClassifier(**params, max_iter=6).fit(x, y)
    again = BackpropClassifier(**params, max_iter=6).fit(x, y)
    np.testing.assert_array_equal(whole.predict_proba(x), again.predict_proba(x))
    first = BackpropClassifier(**params, max_iter=3)
    first.set_callbacks(Checkpoint(tmp_path)).fit(x, y)
    rest = BackpropClassifier(**params, max_iter=6)
    rest.set_callbacks(Checkpoint(tmp_path, resume=True)).fit(x, y)
    np.testing.assert_array_equal(whole.predict_proba(x), rest.predict_proba(x))


def blas_threads():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def test_blas_keeps_to_one_thread_meanwhile():
    with threadpool_limits(2, "blas"):
        before, seen = blas_threads(), []
        assert threads.count() == 2
        threads.run(lambda i: seen.append((i, set(blas_threads()), threads.count())), [0, 1, 2])
        assert sorted(seen) == [(i, {1}, 2) for i in range(3)]
        assert blas_threads() == before
        threads.run(lambda i: seen.append(blas_threads()), [0])  # alone, with all of them
        assert seen[-1] == before


def test_the_last_of_two_fits_side_by_side_restores_blas():
    both = threading.Barrier(2, timeout=60)
    first_left = threading.Event()
    seen = []

    def fit(number):
        def task(i):
            if i == 0:
                both.wait()  # both are at work, and the second stays longer
                if number == 1:
                    assert first_left.wait(60)
                    seen.append(set(blas_threads()))

        threads.run(task, [0, 1])
        if number == 0:
            first_left.set()

    with threadpool_limits(2, "blas"):
        before = blas_threads()
        fits = [threading.Thread(target=fit, args=(number,)) for number in (0, 1)]
        for one in fits:
            one.start()
        for one in fits:
            one.join()
        assert seen == [{1}]
        assert blas_threads() == before


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_comes_through_after_all_have_ended(bad):
    ended = []

    def task(i):
        if i == bad:
            raise ValueError(f"share {i}")
        ended.append(i)

    with threadpool_limits(2, "blas"), pytest.raises(ValueError, match=f"share {bad}"):
        threads.run(task, [0, 1])
    assert ended == [1 - bad]
    assert 1 not in blas_threads() or threads.count() == 1


def test_floating_point_settings_hold_in_every_thread():
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        threads.run(lambda i: np.sqrt(np.full(3, -float(i))), [0, 1])
    with np.errstate(invalid="ignore"):
        threads.run(lambda i: np.sqrt(np.full(3, -float(i))), [0, 1])


def test_even_shares():
    assert threads.even_shares(7, 3) == [slice(0, 2), slice(2, 4), slice(4, 7)]
    assert threads.even_shares(2, 3) == [slice(0, 1), slice(1, 2)]
    assert threads.even_shares(0, 3) == [slice(0, 0)]


FORK = """
import os, warnings
warnings.simplefilter("ignore")
from skbp._kernels import threads
done = []
threads.run(done.append, [0, 1])
child = os.fork()
if child == 0:
    threads.run(done.append, [2, 3])
    os._exit(0 if sorted(done) == [0, 1, 2, 3] else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_has_threads_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", FORK], check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "0"
