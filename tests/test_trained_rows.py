"""What frozen layers make of the rows is computed once: the same training all the same."""

import numpy as np
import pytest
from _sequences import CODES, LABELS, SERIES, K, N
from scipy.sparse import csr_matrix

import skbp.estimators._trained_rows as trained_rows
from skbp import BackpropClassifier, BackpropRegressor
from skbp import _kernels as kernels
from skbp.callbacks import Checkpoint, GradualUnfreezing
from skbp.layers import (
    GRU,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    SequencePool,
    TransformerEncoder,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
FLAT = RNG.normal(size=(N, 6))
BLOCK, NOISY = TransformerEncoder(2, 6, dropout=0, name="block"), TransformerEncoder(2, 6)
# Layers, rows, what is frozen, parameters; and how many layers are passed over.
CASES = {
    "dense": ([Dense(5, "gelu"), Dense(4)], FLAT, "dense_0", {}, 1),
    "sparse": ([Dense(5, "gelu"), Dense(4)], csr_matrix(FLAT), "dense_0", {}, 1),
    "convolution": (
        [Conv2D(2, 2), Flatten(), Dense(3)], RNG.normal(size=(N, 1, 4, 4)), "conv2d_0", {}, 2
    ),
    "statistics": ([Dense(5, "gelu"), BatchNorm(), Dense(4)], FLAT, ["d*_0", "b*"], {}, 2),
    "codes": ([Embedding(9, K, 0), BLOCK, GRU(3)], CODES, ["embedding_0", "block"], {}, 2),
    "by length": (
        [Embedding(9, K, 0), BLOCK, GRU(3)], CODES, ["embedding_0", "block"],
        {"shuffle": "by_length"}, 2,
    ),
    "series": (
        [BLOCK, Dense(4, "tanh"), SequencePool()], SERIES, "block", {"shuffle": "by_length"}, 1
    ),
    "dropout after it": ([BLOCK, NOISY, SequencePool()], SERIES, "block", {}, 1),
    "early stopping": ([BLOCK, GRU(3)], SERIES, "block", {"early_stopping": True}, 1),
    "refit": ([BLOCK, GRU(3)], SERIES, "block", {"early_stopping": "refit"}, 1),
    "lazy": ([Embedding(9, K, 0), GRU(3)], CODES, "embedding_0", {"solver": "lazy_adam"}, 1),
    # Where it is not done:
    "dropout": ([NOISY, SequencePool(), Dense(3)], SERIES, "transformerencoder_0", {}, 0),
    "noise first": ([Dropout(0.1), BLOCK, GRU(3)], SERIES, "block", {}, 0),
    "statistics that go on": (
        [Dense(5, "gelu"), BatchNorm(), Dense(4)], FLAT, ["dense_0.weight"], {}, 0
    ),
    "nothing to save": ([Flatten(), Dense(3)], SERIES[:, :1], "output", {}, 0),
}  # fmt: skip


def fitted(name, monkeypatch, once=True, cls=BackpropClassifier, callbacks=(), **more):
    layers, X, freeze, params, _ = CASES[name]
    if not once:
        monkeypatch.setattr(trained_rows, "MOST_BYTES", -1)
    net = cls(layers=layers, freeze=freeze, batch_size=8, max_iter=4, random_state=0,
              dtype=np.float64).set_params(**params, **more)  # fmt: skip
    net.set_callbacks(*callbacks).fit(X, LABELS)
    monkeypatch.undo()
    return net


@pytest.mark.parametrize("cls", [BackpropClassifier, BackpropRegressor])
@pytest.mark.parametrize("name", CASES)
def test_the_training_is_the_same(name, cls, monkeypatch):
    called, after = [], trained_rows.after_frozen

    def spy(network, depth, data):
        called.append(depth)
        return after(network, depth, data)

    whole = fitted(name, monkeypatch, once=False, cls=cls)
    monkeypatch.setattr(trained_rows, "after_frozen", spy)
    once = fitted(name, monkeypatch, cls=cls)
    depth = CASES[name][-1]
    assert called == ([depth] if depth else [])
    np.testing.assert_allclose(once.loss_curve_, whole.loss_curve_, rtol=1e-8)
    for key, array in whole.weights_.items():
        np.testing.assert_allclose(once.weights_[key], array, rtol=1e-6, atol=1e-8)


def test_small_dense_networks_keep_to_compiled_passes(monkeypatch):
    called, after = [], trained_rows.after_frozen
    monkeypatch.setitem(CASES, "dense", ([Dense(5), Dense(4)], *CASES["dense"][1:]))
    monkeypatch.setattr(trained_rows, "after_frozen", lambda *a: called.append(0) or after(*a))
    fitted("dense", monkeypatch)
    assert len(called) == (0 if kernels.CONCURRENT else 1)


def test_one_epoch_saves_nothing(monkeypatch):
    monkeypatch.setattr(trained_rows, "after_frozen", None)
    fitted("series", monkeypatch, max_iter=1)


def test_with_callbacks_and_checkpoints(tmp_path, monkeypatch):
    name = "by length"
    straight = fitted(name, monkeypatch, max_iter=6)
    fitted(name, monkeypatch, max_iter=3, callbacks=[Checkpoint(tmp_path / "a.npz")])
    resumed = fitted(
        name, monkeypatch, max_iter=6, callbacks=[Checkpoint(tmp_path / "a.npz", resume=True)]
    )
    for key, array in straight.weights_.items():
        np.testing.assert_array_equal(resumed.weights_[key], array)


def test_unfreezing_works_on_what_is_left(monkeypatch):
    callbacks = [GradualUnfreezing(every=1)]
    nets = [fitted("by length", monkeypatch, once, callbacks=callbacks) for once in (True, False)]
    np.testing.assert_allclose(nets[0].loss_curve_, nets[1].loss_curve_, rtol=1e-8)
