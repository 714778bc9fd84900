"""Passes of members of blocks in compiled calls, against those of `Network`."""

from importlib.util import find_spec

import numpy as np
import pytest
from _common import pairs
from scipy.sparse import csr_array

from skbp import _kernels as kernels
from skbp._engine import member_passes, objective
from skbp._engine.batches import Batch
from skbp._engine.block_passes import BlockPasses, block_passes_of
from skbp._engine.network import Network
from skbp._engine.objective import Objective
from skbp._kernels import threads
from skbp.layers import (
    CategoryEmbedding,
    Dense,
    Dropout,
    GaussianNoise,
    Layer,
    LearnedActivation,
    MemberColumns,
    MemberDense,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    Scale,
)
from skbp.losses import LOSSES, Members
from skbp.losses.axes import _OwnTargets
from skbp.schedules import Progress, Scheduled
from skbp.tabular import RealMLP, TabularClassifier, TabularRegressor

pytestmark = pytest.mark.skipif(find_spec("numba") is None, reason="they need numba")

N, MEMBERS, FEATURES = 9, 3, 6
COLUMNS = MemberColumns([[0, 1, 2, 4, 5], [3, 2, 1, 4, 5], [2, 2, 0, 5, 4]])
BEFORE = {
    "nothing": [],
    "columns": [COLUMNS],
    "scale": [COLUMNS, Scale()],
    "numbers": [COLUMNS, PeriodicEmbedding(4, 2, 0.5, n_numeric=3), Scale()],
    "plr": [COLUMNS, PeriodicEmbedding(4, 2, 0.5, kind="plr")],
    "bins": [COLUMNS, PiecewiseLinearEmbedding([-0.5, 0.0, 0.8], n_numeric=3), Scale()],
    "codes": [COLUMNS, CategoryEmbedding([3, 2], 2), Scale()],
    "columns later": [COLUMNS, Scale(), MemberColumns([[0, 1], [2, 1], [3, 3]])],
}


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    from skbp._kernels.numba_blocks import block_passes as compiled_passes

    monkeypatch.setattr(kernels, "BLOCK_PASSES", compiled_passes)


def dense(units, activation="identity", ntk=True):
    return MemberDense(units, MEMBERS, activation, "glorot_uniform", ntk)


def layers_of(before="nothing", hidden=(5, 4), activation="selu", rates=(), k=2, ntk=True):
    layers = list(BEFORE[before])
    for i, units in enumerate(hidden):
        layers += [dense(units, ntk=ntk), LearnedActivation(activation)]
        layers += [Dropout(rate) for rate in rates[i : i + 1]]
    return [*layers, dense(k, ntk=ntk)]


def network_of(layers, own=False, dtype=np.float32, seed=0):
    network = Network(layers, (MEMBERS, FEATURES) if own else (FEATURES,), dtype)
    rng = np.random.RandomState(seed)
    network.init(rng, rows(own, 40, dtype) if network.needs_batch else None)
    network.params += 0.1 * rng.normal(size=network.params.size).astype(dtype)
    return network


def rows(own, n=N, dtype=np.float32):
    """Return rows whose last two columns are codes."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, MEMBERS, FEATURES) if own else (n, FEATURES)).astype(dtype)
    x[..., -2:] = rng.integers(0, 2, x[..., -2:].shape)
    return x


def batch_of(own=False, n=N, k=2, weights=False):
    rng = np.random.default_rng(n)
    y = rng.normal(size=(n, MEMBERS, k) if own else (n, k)).astype(np.float32)
    weight = rng.random((n, MEMBERS)) if weights else np.full(n, 1 / n)
    return Batch(rows(own, n), y, weight.astype(np.float32), n)


def both(network, batch, own=False, before=(), progress=None):
    """Return value, gradient and the generator's state after passes by blocks, and by layers."""
    one = LOSSES["squared_error"]()
    loss, found = _OwnTargets(one) if own else Members(one), []
    for by_blocks in (True, False):
        objective = Objective(network, loss, 0.0, 2 * N)
        assert isinstance(objective._passes, BlockPasses)
        if not by_blocks:
            objective._passes = None
        rng = np.random.default_rng(1)
        for earlier in before:
            objective.data_value_and_grad(earlier, rng, progress)
        value = objective.data_value_and_grad(batch, rng, progress)
        found.append((value, objective.grads.copy(), rng.bit_generator.state))
    return found


def assert_same(found):
    (value, grads, state), (expected, expected_grads, expected_state) = found
    assert value == pytest.approx(expected, rel=1e-5)
    assert np.linalg.norm(expected_grads) > 0.01
    scale = abs(expected_grads).max()
    np.testing.assert_allclose(grads, expected_grads, 1e-4, 2e-6 * scale)
    assert state == expected_state


@pairs(
    before=BEFORE, own=(False, True), activation=("selu", "mish"), rates=[(), (0.3, 0.6), (0.5,)],
    k=(1, 2), n=(N, 2 * N, 1), weights=(False, True), ntk=(True, False), n_threads=(1, 2),
)  # fmt: skip
def test_value_and_gradient_are_those_of_the_network(
    before, own, activation, rates, k, n, weights, ntk, n_threads, monkeypatch
):
    monkeypatch.setattr(member_passes, "SHARED_BYTES", 0)
    monkeypatch.setattr(threads, "count", lambda: n_threads)
    network = network_of(layers_of(before, (5, 4), activation, rates, k, ntk), own)
    batch = batch_of(own, n, k, weights)
    assert_same(both(network, batch, own, [batch_of(own, N, k, weights)]))


@pytest.mark.parametrize("units", [1, 3, 4, 6, 7, 33])
def test_masks_of_any_number_of_units(units):
    network = network_of(layers_of("columns", (units,), rates=(0.4,)))
    assert_same(both(network, batch_of()))


def test_dropout_that_is_scheduled():
    rate = Scheduled("flat_cosine", 0.5)
    network = network_of(layers_of("numbers", rates=(rate, rate)))
    for share in (0.0, 0.7, 1.0):
        progress = Progress(0, 0, 0, round(share * 100), 100, 10)
        assert_same(both(network, batch_of(), progress=progress))


def test_large_and_small_values():
    network, batch = network_of(layers_of("columns", activation="mish")), batch_of()
    network.params *= 30
    assert_same(both(network, batch))
    batch.x[0, 0] = np.nan
    (value, grads, _), _ = both(network, batch)
    assert np.isnan(value) and np.isnan(grads).any()


@pytest.mark.parametrize("layers", [
    [dense(4), dense(2)],  # nothing between them
    [dense(4, "relu"), dense(2)],
    [dense(4), LearnedActivation("relu"), dense(2)],
    [dense(4), LearnedActivation("selu"), dense(2, "tanh")],
    [dense(4), LearnedActivation("selu"), Dropout(0.1), Dropout(0.1), dense(2)],
    [Scale(), dense(4), LearnedActivation("selu"), dense(2)],  # one scale for all
    [Dense(4), dense(4), LearnedActivation("selu"), dense(2)],
    [GaussianNoise(0.1), dense(4), LearnedActivation("selu"), dense(2)],
    [COLUMNS, Dropout(0.1), dense(4), LearnedActivation("selu"), dense(2)],
    [dense(4), LearnedActivation("selu"), Scale(), dense(2)],
    [MemberDense(4, MEMBERS, "relu"), dense(4), LearnedActivation("selu"), dense(2)],
])  # fmt: skip
def test_what_they_do_not_suit(layers):
    loss = Members(LOSSES["squared_error"]())
    network = network_of(layers)
    assert block_passes_of(network, loss, N, np.zeros_like(network.params)) is None


def test_none_without_compiled_kernels_or_float32_or_with_a_loss_of_somebody_s_own(monkeypatch):
    class Own(LOSSES["squared_error"]):
        """It may keep something between calls."""

    loss = Members(LOSSES["squared_error"]())
    network, wide = (network_of(layers_of(), dtype=dtype) for dtype in (np.float32, np.float64))
    grads = np.zeros_like(network.params)
    assert block_passes_of(network, loss, N, grads) is not None
    assert block_passes_of(network, Members(Own()), N, grads) is None
    assert block_passes_of(network, loss.of_one, N, grads) is None
    assert block_passes_of(wide, loss, N, np.zeros_like(wide.params)) is None
    for none in (None, lambda dtype: None):  # no compiler, no BLAS that is known
        monkeypatch.setattr(kernels, "BLOCK_PASSES", none)
        assert block_passes_of(network, loss, N, grads) is None


def test_rows_that_they_would_misread():
    network = network_of(layers_of("columns"))
    loss = Members(LOSSES["squared_error"]())
    take, x = block_passes_of(network, loss, N, np.zeros_like(network.params)).take, rows(False)
    assert take(x)
    for other in (x.astype(float), x[:, :3], rows(True), np.vstack([x, x]), csr_array(x)):
        assert not take(other)
    network.freeze([0])
    assert not take(x)


@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_the_default_for_tables_is_trained_by_them(cls, monkeypatch):
    calls, real = [], BlockPasses.value_and_grad
    monkeypatch.setattr(BlockPasses, "value_and_grad", lambda *args: calls.append(1) or real(*args))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = X[:, 0] + X[:, 1] ** 2
    y = (y > 1).astype(int) if cls is TabularClassifier else y
    preset = RealMLP(n_members=2, hidden_layer_sizes=(16, 16), max_iter=3, min_updates=0)
    net = cls(preset, random_state=0).fit(X, y)
    assert len(calls) >= 3
    monkeypatch.setattr(objective, "block_passes_of", lambda *args: None)
    n_calls = len(calls)
    other = cls(preset, random_state=0).fit(X, y)
    assert len(calls) == n_calls
    np.testing.assert_allclose(net.predict(X), other.predict(X), rtol=1e-3, atol=1e-3)


class NoDropout(Dropout):
    """Lets everything pass."""

    def forward(self, x, p, w, ctx):
        ctx.cache[self] = 0.0
        return x


class Differences(Layer):
    """Shows each member how it differs from the others."""

    n_members = MEMBERS

    def forward(self, x, p, w, ctx):
        return x - x.mean(axis=1, keepdims=True)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return dy - dy.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("layers", [
    [dense(4), LearnedActivation("selu"), NoDropout(0.5), dense(2)],
    [COLUMNS, Differences(), dense(4), LearnedActivation("selu"), dense(2)],
])  # fmt: skip
def test_layers_of_somebody_s_own_are_not_passed_over(layers):
    network = network_of(layers)
    loss = Members(LOSSES["squared_error"]())
    assert block_passes_of(network, loss, N, np.zeros_like(network.params)) is None
