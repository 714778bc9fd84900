"""Precision and allocation: float32 throughout, and nothing of a batch's size anew per batch."""

import tracemalloc

import numpy as np
import pytest
from _common import pairs
from scipy.sparse import random_array

from skbp import BackpropClassifier
from skbp._engine.batches import CSR, Batches, Data
from skbp._engine.network import Network
from skbp._engine.objective import Objective
from skbp._engine.updater import Updater
from skbp.activations import ACTIVATIONS
from skbp.layers import NORMALIZATIONS, Dense, Dropout, GaussianNoise
from skbp.losses import LOSSES
from skbp.optimizers import OPTIMIZERS

# A loss sees raw outputs only: every activation with two losses, every loss with one activation.
PAIRS = [
    (activation, loss)
    for activation in ACTIVATIONS
    for loss in LOSSES
    if loss in ("log_loss", "squared_error") or activation == "tanh"
]


def training(activation, loss, optimizer, n_rows=4096, n_features=64, hidden=128, dropout=0.0,
             norm=None):  # fmt: skip
    """Build the parts of a fit in float32; returns a function that runs one batch."""
    loss = LOSSES[loss]()
    several_classes = "multiclass" in loss.targets
    outputs = loss.n_outputs(5 if several_classes else 2)
    layers = [Dense(hidden, activation), Dropout(dropout), Dense(outputs, "identity")]
    if norm is not None:
        layers[0:1] = [GaussianNoise(0.1), Dense(hidden, "identity"), norm(activation)]
    network = Network(layers, (n_features,), np.float32)
    network.init(np.random.RandomState(0))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, n_features)).astype(np.float32)
    y = rng.integers(0, 2, n_rows)
    if not several_classes:
        y = np.column_stack([y, 1 - y]).astype(np.float32)
        y += loss.targets == ("numbers",)  # positive, where only numbers are expected
    batches = Batches(Data(X, y), None, 1024, True, np.random.RandomState(0))
    objective = Objective(network, loss, 1e-3, 1024)
    rule = OPTIMIZERS[optimizer]()
    state = rule.init_state(network.params)
    updater = Updater(rule, network, objective.grads, state)

    def step(batch):
        objective.data_value_and_grad(batch, rng)
        updater.step(1e-3, 1, *objective.penalty.strengths(batch.total), batch.x)

    return step, batches, objective, state


@pytest.mark.parametrize("norm", [None, *NORMALIZATIONS.values()])
@pytest.mark.parametrize("activation, loss", PAIRS)
def test_every_buffer_is_float32(activation, loss, norm):
    step, batches, objective, state = training(activation, loss, "adam", dropout=0.5, norm=norm)
    for batch in batches.epoch():
        step(batch)
        assert {batch.x.dtype, batch.weight.dtype} == {np.dtype(np.float32)}
    network = objective.network
    buffers = [objective.grads, network.params, network.state, *state.values()]
    for layer in objective._workspaces[0].rows(1024):
        buffers += [array for array in layer.values() if array.dtype.kind == "f"]
    assert {array.dtype for array in buffers} == {np.dtype(np.float32)}


@pairs(optimizer=OPTIMIZERS, activation=ACTIVATIONS, loss=LOSSES, dropout=(0.0, 0.5))
def test_a_batch_allocates_nothing_of_its_own_size(activation, loss, optimizer, dropout):
    assert_small_allocations(*training(activation, loss, optimizer, dropout=dropout)[:2])


@pytest.mark.parametrize("norm", NORMALIZATIONS.values())
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_normalisation_and_noise_allocate_nothing_of_a_batch_s_size(activation, norm):
    assert_small_allocations(*training(activation, "log_loss", "adam", norm=norm)[:2])


def assert_small_allocations(step, batches):
    epoch = batches.epoch()
    step(next(epoch))  # what is allocated once
    hidden_layer = 1024 * 128 * 4
    for batch in epoch:
        tracemalloc.start()
        step(batch)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Blocks of the flat vector, masks of a block, and the few output columns; a float64 copy
        # of one hidden layer would be twice `hidden_layer`.
        assert peak < 0.6 * hidden_layer


def test_memory_of_a_fit_on_float32_input_does_not_hold_the_data_twice():
    X = np.random.default_rng(0).standard_normal((20_000, 100)).astype(np.float32)
    y = X[:, 0] > 0
    net = BackpropClassifier((8,), max_iter=1, n_iter_no_change=1, tol=1e9, random_state=0)
    tracemalloc.start()
    net.partial_fit(X, y, classes=[False, True])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * X.nbytes


def test_values_of_sparse_batches_are_float32():
    X = CSR.of(random_array((50, 20), density=0.2, format="csr", dtype=np.float32, rng=0))
    batches = Batches(
        Data(X, np.zeros((50, 1), np.float32)), None, 7, True, np.random.RandomState()
    )
    for batch in batches.epoch():
        assert batch.x.data.dtype == batch.weight.dtype == np.float32
