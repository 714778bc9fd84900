"""Passes of small dense networks in one compiled call, against those of `Network`."""

from importlib.util import find_spec

import numpy as np
import pytest
from _common import pairs
from scipy.sparse import csr_array

from skbp import BackpropClassifier
from skbp import _kernels as kernels
from skbp._engine import dense_passes, member_passes
from skbp._engine.batches import Batch
from skbp._engine.dense_passes import DensePasses, dense_passes_of
from skbp._engine.member_passes import MemberPasses
from skbp._engine.network import Network
from skbp._engine.objective import Objective
from skbp._kernels import threads
from skbp.layers import Dense, Dropout, MemberDense, Reshape
from skbp.losses import LOSSES, Members
from skbp.losses.axes import _OwnTargets

pytestmark = pytest.mark.skipif(find_spec("numba") is None, reason="they need numba")

LOSS = LOSSES["squared_error"]()


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    from skbp._kernels.numba_dense import dense_passes as compiled_passes

    monkeypatch.setattr(kernels, "DENSE_PASSES", compiled_passes)


def objective_of(layers, dtype=np.float64, one_call=True, n_features=4, max_rows=9):
    network = Network(layers, (n_features,), dtype)
    network.params[...] = np.random.default_rng(0).normal(size=network.params.size)
    loss = LOSSES["squared_error"]()
    objective = Objective(network, loss, 0.1, max_rows)
    assert objective._passes is not None
    if not one_call:
        objective._passes = None
    return objective


def batch_of(n, k, dtype=np.float64, n_features=4):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, n_features)).astype(dtype), rng.normal(size=(n, k)).astype(dtype)
    return Batch(x, y, np.full(n, 1 / n, dtype), n)


@pairs(
    hidden=[(), (5,), (1,), (6, 3), (3, 1, 4), (7, 7, 7)], k=(1, 2, 5), n=(9, 4, 1),
    activation=("relu", "identity"), dtype=(np.float64, np.float32),
)  # fmt: skip
def test_value_and_gradient_are_those_of_the_network(hidden, k, n, activation, dtype):
    layers = [*(Dense(units, activation) for units in hidden), Dense(k, "identity")]
    one, other = (objective_of(layers, dtype, way) for way in (True, False))
    for objective in (one, other):  # buffers are those of a larger batch
        objective.value_and_grad(batch_of(9, k, dtype))
    batch = batch_of(n, k, dtype)
    values = [objective.value_and_grad(batch)[0] for objective in (one, other)]
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    assert values[0] == pytest.approx(values[1], rel=rtol)
    assert np.linalg.norm(other.grads) > 0.01
    np.testing.assert_allclose(one.grads, other.grads, rtol, rtol * abs(other.grads).max())


def test_the_last_layer_may_rectify():
    layers = [Dense(5, "relu"), Dense(1, "relu")]
    one, other = objective_of(layers), objective_of(layers, one_call=False)
    for objective in (one, other):
        objective.value_and_grad(batch_of(9, 1))
    np.testing.assert_allclose(one.grads, other.grads, 1e-12, 1e-12)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number_comes_through(bad, k):
    objective = objective_of([Dense(5, "identity"), Dense(k, "identity")])
    batch = batch_of(9, k)
    batch.x[2, 1] = bad
    assert not np.isfinite(objective.value_and_grad(batch)[0])
    assert not np.isfinite(objective.grads).all()


def test_rows_in_any_memory():
    objective, batch = objective_of([Dense(5), Dense(2, "identity")]), batch_of(9, 2)
    expected = objective.value_and_grad(batch), objective.grads.copy()
    readonly = batch.x.copy()
    readonly.flags.writeable = False
    for x in (readonly, np.asfortranarray(batch.x), batch.x.repeat(2, axis=0)[::2]):
        value = objective.value_and_grad(batch._replace(x=x))
        assert value == expected[0]
        np.testing.assert_array_equal(objective.grads, expected[1])


@pairs(
    shape=[(4,), (3, 4)], hidden=[(), (5,), (6, 2)], k=(1, 2), n=(9, 4), weights=(False, True),
    n_threads=(1, 2),
)  # fmt: skip
def test_members_are_those_of_the_network(shape, hidden, k, n, weights, n_threads, monkeypatch):
    monkeypatch.setattr(member_passes, "SHARED_BYTES", 0)
    monkeypatch.setattr(threads, "count", lambda: n_threads)
    layers = [*(MemberDense(u, 3) for u in hidden), MemberDense(k, 3, activation="identity")]
    rng = np.random.default_rng(0)
    loss = Members(LOSSES["squared_error"]())
    x, y = rng.normal(size=(n, *shape)), rng.normal(size=(n, k))
    if len(shape) == 2:
        loss, y = _OwnTargets(loss.of_one), rng.normal(size=(n, 3, k))
    weight = rng.random((n, 3)) if weights else np.full(n, 1 / n)
    results = []
    for one_call in (True, False):
        network = Network(layers, shape, np.float64)
        network.params[...] = np.random.default_rng(0).normal(size=network.params.size)
        objective = Objective(network, loss, 0.1, 9)
        assert isinstance(objective._passes, MemberPasses)
        assert len(objective._passes._shares) == n_threads
        if not one_call:
            objective._passes = None
        results.append((objective.value_and_grad(Batch(x, y, weight, n))[0], objective.grads))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], 1e-10, 1e-12)


@pytest.mark.parametrize("layers, n_features", [
    ([MemberDense(5, 2), MemberDense(2, 2, "tanh")], 4),
    ([Dense(5), MemberDense(2, 2, "identity")], 4),
    ([Dense(5, "tanh"), Dense(2, "identity")], 4),
    ([Dense(5, ntk=True), Dense(2, "identity")], 4),
    ([Dense(5), Dropout(0.1), Dense(2, "identity")], 4),
    ([Reshape((2, 2)), Dense(2, "identity")], 4),
    ([Dense(2000), Dense(2, "identity")], 400),
])  # fmt: skip
def test_what_they_do_not_suit(layers, n_features):
    assert dense_passes_of(Network(layers, (n_features,), np.float32), LOSS, 200, None) is None


def test_none_without_compiled_kernels(monkeypatch):
    network = Network([Dense(2, "identity")], (3,), np.float32)
    assert dense_passes_of(network, LOSS, 10, None) is not None
    for none in (None, lambda dtype: None):  # no compiler, no BLAS that is known
        monkeypatch.setattr(kernels, "DENSE_PASSES", none)
        assert dense_passes_of(network, LOSS, 10, None) is None


def test_threads_call_no_loss_of_somebody_s_own():
    class Own(type(LOSS)):
        """It may keep something between calls."""

    network = Network([MemberDense(2, 3, "identity")], (3,), np.float32)
    assert dense_passes_of(network, Members(LOSS), 10, None) is not None
    assert dense_passes_of(network, Members(Own()), 10, None) is None


def test_rows_that_they_would_misread():
    take, x = objective_of([Dense(5), Dense(2, "identity")])._passes.take, batch_of(9, 2).x
    assert take(x)
    for other in (x.astype(np.float32), x[:, :3], x[:, :, None], np.vstack([x, x]), csr_array(x)):
        assert not take(other)


def test_frozen_weights_stay_out_of_it():
    objective = objective_of([Dense(5), Dense(2, "identity")])
    x = batch_of(9, 2).x
    assert objective._passes.take(x)
    objective.network.freeze([0])
    assert not objective._passes.take(x)


def test_a_fit_is_the_same_to_rounding(monkeypatch):
    calls, real = [], DensePasses.value_and_grad
    monkeypatch.setattr(DensePasses, "value_and_grad", lambda *args: calls.append(1) or real(*args))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 6))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    net = BackpropClassifier((8, 8), batch_size=32, max_iter=10, dtype="float64", random_state=0)
    with pytest.warns(match="Maximum iterations"):
        losses = net.fit(X, y).loss_curve_
    assert len(calls) == 70  # updates
    monkeypatch.setattr(dense_passes, "MOST_BYTES", 0)
    with pytest.warns(match="Maximum iterations"):
        np.testing.assert_allclose(net.fit(X, y).loss_curve_, losses, rtol=1e-10)
    assert len(calls) == 70
