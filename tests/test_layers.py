"""Normalising and noisy layers: against torch, at awkward input, and inside estimators."""

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.activations import Activation, Tanh
from skbp.layers import BatchNorm, Dense, Dropout, GaussianNoise, LayerNorm
from skbp.schedules import Schedule

GOLDENS = dict(np.load(Path(__file__).parent / "goldens" / "layers.npz"))
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}
DTYPES = list(TOLERANCE)
NORMS = {"batch_norm": BatchNorm, "layer_norm": LayerNorm}


def network_of(*layers, n_features=5, dtype=np.float64):
    network = Network(list(layers), np.atleast_1d(n_features), dtype)
    network.init(np.random.RandomState(0))
    return network


def golden_network(name, activation, dtype, input_shape=(5,)):
    more = {"momentum": 0.2} if name == "batch_norm" else {}
    network = network_of(
        NORMS[name](activation, epsilon=1e-4, **more), n_features=input_shape, dtype=dtype
    )
    for key in ("gamma", "beta"):
        network.views[0][key][...] = GOLDENS[key]
    return network


def close(got, key, dtype):
    assert got.dtype == dtype
    # float32: with a constant feature gradients are large, and what is left of their sums is not
    scale = max(1, abs(GOLDENS[key]).max())
    np.testing.assert_allclose(got, GOLDENS[key], rtol=0, atol=TOLERANCE[dtype] * scale)


def check_pass(network, workspace, x, dy, rng, key, dtype):
    """Run forward and backward, and compare all results with torch's of that key."""
    x, dy = x.astype(dtype), dy.astype(dtype)
    close(network.forward(x, workspace, rng), f"{key}-y", dtype)
    work, (g,) = workspace.rows(len(x))[0], workspace.views
    dx = network.layers[0].backward(dy, x, network.views[0], g, work, workspace.ctx)
    close(dx, f"{key}-dx", dtype)
    for name in ("gamma", "beta"):
        close(g[name], f"{key}-d{name}", dtype)


# ------------------------------------------------------------ against torch


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["identity", "relu"])
@pytest.mark.parametrize("name", NORMS)
def test_it_is_torch(name, activation, dtype):
    network = golden_network(name, activation, dtype)
    workspace, rng = Workspace(network, 20), np.random.default_rng(0)
    for i, (x, dy) in enumerate(zip(GOLDENS["x"], GOLDENS["dy"], strict=True)):
        check_pass(network, workspace, x, dy, rng, f"{activation}-{name}-{i}", dtype)
        if name == "batch_norm":
            for running in ("running_mean", "running_var"):
                close(network.views[0][running], f"{activation}-{name}-{i}-{running}", dtype)
    x, dy = GOLDENS["x"][0], GOLDENS["dy"][0]
    kind = "eval" if name == "batch_norm" else "0"  # layer normalisation knows no difference
    check_pass(network, workspace, x, dy, None, f"{activation}-{name}-{kind}", dtype)
    inference = network.forward(x.astype(dtype), Workspace(network, 11, training=False))
    close(inference, f"{activation}-{name}-{kind}-y", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_layer_norm_of_more_axes_is_torch(dtype):
    network = golden_network("layer_norm", "relu", dtype, (3, 5))
    check_pass(
        network, Workspace(network, 6), GOLDENS["cube"], GOLDENS["dcube"], None,
        "relu-layer_norm-cube", dtype,
    )  # fmt: skip


def test_batch_norm_of_more_axes_takes_each_place_for_a_row():
    x, rng = GOLDENS["cube"], np.random.default_rng(0)
    network, flat = network_of(BatchNorm(), n_features=(3, 5)), network_of(BatchNorm())
    y = network.forward(x, Workspace(network, 4), rng)
    expected = flat.forward(x.reshape(12, 5), Workspace(flat, 12), rng)
    np.testing.assert_array_equal(y.reshape(12, 5), expected)
    np.testing.assert_array_equal(network.state, flat.state)


class Square(Activation):
    """Its derivative needs z."""

    needs_input = True

    def apply(self, z, out):
        np.square(z, out=out)

    def gradient(self, dy, y, z):
        dy *= 2 * z


@pytest.mark.parametrize("norm", NORMS.values())
def test_an_activation_that_needs_its_input(norm):
    x, rng = GOLDENS["x"][0], np.random.default_rng(0)
    network, plain = network_of(norm(Square())), network_of(norm())
    for one in (network, plain):
        one.views[0]["beta"][...] = GOLDENS["beta"]
    workspace, plain_workspace = Workspace(network, 11), Workspace(plain, 11)
    z = plain.forward(x, plain_workspace, rng)
    np.testing.assert_array_equal(network.forward(x, workspace, rng), z**2)
    dy = GOLDENS["dy"][0]
    plain.backward(dy * 2 * z, plain_workspace)
    network.backward(dy.copy(), workspace)
    np.testing.assert_allclose(workspace.grads, plain_workspace.grads, rtol=1e-12)


# ------------------------------------------------------------ awkward input


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_of_one_row_uses_the_running_statistics_and_leaves_them(training):
    network, rng = network_of(BatchNorm()), np.random.default_rng(0)
    workspace = Workspace(network, 11)
    network.forward(GOLDENS["x"][0], workspace, rng)
    state, row = network.state.copy(), GOLDENS["x"][1][:1]
    y = network.forward(row, workspace, rng if training else None)
    p = network.views[0]
    expected = (row - p["running_mean"]) / np.sqrt(p["running_var"] + 1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_array_equal(network.state, state)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm", NORMS.values())
def test_constant_input_becomes_beta(norm, dtype):
    network, rng = network_of(norm(), dtype=dtype), np.random.default_rng(0)
    network.views[0]["beta"][...] = 2
    for size in (0, 1, 1e4, -1e20):
        workspace = Workspace(network, 9)
        y = network.forward(np.full((9, 5), size, dtype), workspace, rng)
        np.testing.assert_allclose(y, 2, atol=1e-5)
        network.backward(np.ones((9, 5), dtype), workspace)
        assert np.isfinite(workspace.grads).all()


@pytest.mark.parametrize("rows", [20, 256, 5000])
@pytest.mark.parametrize("norm", NORMS.values())
def test_large_offsets_in_float32(norm, rows):
    x = np.random.default_rng(0).normal(1e4, 1, (rows, 64)).astype(np.float32)
    network = network_of(norm(), n_features=64, dtype=np.float32)
    y = network.forward(x, Workspace(network, rows), np.random.default_rng(0))
    axis = 0 if norm is BatchNorm else 1
    wide = x.astype(np.float64)
    mean, var = wide.mean(axis=axis, keepdims=True), wide.var(axis=axis, keepdims=True)
    # float32 has steps of 1e-3 at 1e4: the mean cannot be nearer than half of that
    np.testing.assert_allclose(y, (wide - mean) / np.sqrt(var + 1e-5), atol=2e-3, rtol=2e-3)
    if norm is BatchNorm:
        expected = 0.9 + 0.1 * wide.var(axis=0, ddof=1)
        np.testing.assert_allclose(network.views[0]["running_var"], expected, rtol=1e-5)


def test_an_outlier_in_the_first_row():
    x = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    x[0] = 1e4
    network = network_of(BatchNorm(momentum=1), n_features=3, dtype=np.float32)
    network.forward(x, Workspace(network, 500), np.random.default_rng(0))
    p, wide = network.views[0], x.astype(np.float64)
    np.testing.assert_allclose(p["running_mean"], wide.mean(axis=0), atol=1e-5 * wide.std())
    np.testing.assert_allclose(p["running_var"], wide.var(axis=0, ddof=1), rtol=1e-4)


# ------------------------------------------------------------ noise


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian_noise(dtype):
    x = np.random.default_rng(1).normal(size=(400, 100)).astype(dtype)
    network = network_of(GaussianNoise(np.float64(0.3)), n_features=100, dtype=dtype)
    workspace = Workspace(network, 400)
    noise = network.forward(x, workspace, np.random.default_rng(0)) - x
    assert noise.dtype == dtype
    n = noise.size
    assert abs(noise.mean()) < 5 * 0.3 / np.sqrt(n)
    assert abs(noise.var() - 0.09) < 5 * 0.09 * np.sqrt(2 / n)
    again = network.forward(x, workspace, np.random.default_rng(0)) - x
    np.testing.assert_array_equal(again, noise)
    other = network.forward(x, workspace, np.random.default_rng(1)) - x
    assert abs(np.corrcoef(other.ravel(), noise.ravel())[0, 1]) < 5 / np.sqrt(n)
    assert network.forward(x, workspace) is x


def test_noise_for_sparse_input_is_refused_in_training_only():
    y = np.arange(30.0)
    X = csr_array(np.eye(30))
    layers = [GaussianNoise(0.1), Dense(3)]
    net = BackpropRegressor(layers=layers, max_iter=3, random_state=0)
    for method in (net.fit, net.partial_fit):
        for solver in ("adam", "lazy_adam"):
            net.set_params(solver=solver)
            with pytest.raises(ValueError, match=r"X is sparse.*toarray"):
                method(X, y)
    fit(net, X.toarray(), y)
    network = network_of(GaussianNoise(0.1), Dense(2), n_features=30)
    with pytest.raises(ValueError, match=r"GaussianNoise.*dense"):
        network.forward(X, Workspace(network, 30), np.random.default_rng(0))


# ------------------------------------------------------------ state in the network


def test_parameters_and_state_are_apart():
    network = network_of(GaussianNoise(0.1), Dense(4), BatchNorm("tanh"), Dropout(), Dense(2))
    assert network.params.size == 5 * 4 + 4 + 2 * 4 + 4 * 2 + 2
    assert network.n_penalized == 5 * 4 + 4 * 2
    np.testing.assert_array_equal(network.state, [0] * 4 + [1] * 4)
    np.testing.assert_array_equal(network.views[2]["gamma"], 1)
    np.testing.assert_array_equal(network.views[2]["beta"], 0)
    for name in ("running_mean", "running_var"):
        assert np.shares_memory(network.views[2][name], network.state)
    assert set(Workspace(network, 3).views[2]) == {"gamma", "beta"}


def test_normalisation_draws_nothing():
    plain, normed = network_of(Dense(4), Dense(2)), network_of(Dense(4), BatchNorm(), Dense(2))
    for i, j in ((0, 0), (1, 2)):
        np.testing.assert_array_equal(plain.views[i]["weight"], normed.views[j]["weight"])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_views_of_the_state_survive_copies(duplicate):
    network = network_of(Dense(4), BatchNorm(), Dense(2))
    twin = duplicate(network)
    for p in twin.views:
        for array in p.values():
            assert np.shares_memory(array, twin.params) or np.shares_memory(array, twin.state)
    x = GOLDENS["x"][0]
    for one in (network, twin):
        one.forward(x, Workspace(one, 11), np.random.default_rng(0))
    np.testing.assert_array_equal(network.state, twin.state)
    assert network.state[0] != 0
    assert not np.shares_memory(network.state, twin.state)


def test_snapshots():
    network = network_of(Dense(4), BatchNorm(), Dense(2))
    snapshot = network.snapshot()
    network.params += 1
    network.state += 1
    network.restore(snapshot)
    np.testing.assert_array_equal(network.state, [0] * 4 + [1] * 4)
    np.testing.assert_array_equal(network.params, network_of(*network.layers).params)
    assert not any(np.shares_memory(array, network.state) for array in snapshot)


def test_same_shapes():
    base = network_of(Dense(4), BatchNorm(), Dense(2))
    assert base.same_shapes(network_of(Dense(4), BatchNorm(), Dense(2)))
    assert base.same_shapes(network_of(GaussianNoise(1), Dense(4), BatchNorm(), Dense(2)))
    for others in ([Dense(4), LayerNorm(), Dense(2)], [Dense(4), Dense(2)]):
        assert not base.same_shapes(network_of(*others))
    assert network_of(BatchNorm()).finite
    base.state[0] = np.inf
    assert not base.finite


# ------------------------------------------------------------ estimators


RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6))
Y = np.tanh(X[:, 0]) + X[:, 1] * X[:, 2]


def fit(estimator, X=X, y=Y):
    """Fit; these few epochs do not converge, and need not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


def make(**params):
    defaults = {"max_iter": 5, "batch_size": 32, "random_state": 0, "normalization": "batch"}
    return BackpropRegressor((8, 5), **{**defaults, **params})


def states(estimator):
    """Return each layer's running mean and variance."""
    return [p[n] for p in estimator._network.views for n in p if n.startswith("running")]


def test_order_of_the_layers():
    net = fit(make(activation="tanh", dropout=0.1))
    layers = net._network.layers
    hidden = [Dense, BatchNorm, Dropout]
    assert [type(layer) for layer in layers] == [*hidden, *hidden, Dense]
    assert layers[0].activation == "identity"
    assert isinstance(layers[1].activation, Tanh)
    assert net.n_layers_ == 4
    assert [w.shape for w in net.coefs_] == [(6, 8), (8, 5), (5, 1)]
    assert [b.shape for b in net.intercepts_] == [(8,), (5,), (1,)]


@pytest.mark.parametrize(
    "name, component", [("batch", BatchNorm()), ("layer", LayerNorm("logistic"))]
)
def test_a_component_is_as_good_as_its_name(name, component):
    nets = [fit(make(normalization=norm, activation="tanh")) for norm in (name, component)]
    np.testing.assert_array_equal(*(net.predict(X) for net in nets))
    assert component.activation == ("identity" if name == "batch" else "logistic")  # untouched


def test_dropout_makes_up_for_what_it_leaves_out():
    x, layer = np.linspace(1.0, 2.0, 5000).reshape(1000, 5), Dropout(0.4)
    network = network_of(layer, dtype=np.float64)
    y = network.forward(x, Workspace(network, len(x)), np.random.default_rng(0))
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / 0.6, rtol=1e-4)
    assert kept.mean() == pytest.approx(0.6, abs=0.03)
    assert y.mean() == pytest.approx(x.mean(), rel=0.03)


def test_components_have_parameters_to_search_over():
    search = GridSearchCV(
        make(normalization=BatchNorm()), {"normalization__momentum": [0.1, 0.9]}, cv=2
    )
    assert np.ptp(fit(search).cv_results_["mean_test_score"]) > 0
    for bad in (BatchNorm(momentum=0), BatchNorm(epsilon=0.0), LayerNorm(epsilon=-1)):
        with pytest.raises(ValueError, match=r"'(momentum|epsilon)' parameter"):
            make(normalization=bad).fit(X, Y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls", [BatchNorm, LayerNorm])
def test_an_epsilon_that_is_zero_in_the_dtype(cls, dtype):
    # The variance of one unit, or of equal rows, is zero: epsilon alone is what it divides by.
    net = BackpropRegressor(
        layers=[Dense(1, "identity"), cls(epsilon=1e-300)], dtype=dtype, max_iter=3, random_state=0
    )
    assert np.isfinite(fit(net, np.ones_like(X)).predict(X)).all()


@pytest.mark.parametrize("bad", ["group", BatchNorm, Dropout(), 1])
def test_what_is_no_normalization(bad):
    with pytest.raises(ValueError, match="normalization"):
        make(normalization=bad).fit(X, Y)


@pytest.mark.parametrize(
    "params", [{"normalization": "batch"}, {"normalization": BatchNorm()}, {"dropout": 0.1}]
)
def test_what_needs_a_stochastic_solver(params):
    (name,) = params
    with pytest.raises(ValueError, match=rf"{name}=.*L-BFGS"):
        make(**{"normalization": None, **params}, solver="lbfgs").fit(X, Y)


def test_layer_norm_with_lbfgs():
    net = make(normalization="layer", solver="lbfgs", max_iter=300)
    assert fit(net).score(X, Y) > 0.95


def test_running_statistics_are_those_of_the_hidden_units():
    net = fit(make(max_iter=60, learning_rate_init=1e-4, dtype=np.float64))
    z = X @ net.coefs_[0] + net.intercepts_[0]
    mean, var = states(net)[:2]
    np.testing.assert_allclose(mean, z.mean(axis=0), atol=0.3 * z.std())
    np.testing.assert_allclose(var, z.var(axis=0), rtol=0.5)


@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
def test_statistics_go_on(how):
    net = fit(make(
        warm_start=True, normalization=BatchNorm(momentum=0.01), max_iter=1, learning_rate_init=1e-9
    ))  # fmt: skip
    first, before = states(net)[1].copy(), net._network
    frozen = before.state.copy()
    for _ in range(3):
        fit(net) if how == "warm_start" else net.partial_fit(X, Y)
    np.testing.assert_array_equal(before.state, frozen)  # what was fitted is not changed in place
    # From 1, a hundredth of the way to the batch's at each of seven updates an epoch.
    var = (X @ net.coefs_[0]).var(axis=0)
    expected = var + (1 - var) * 0.99**28
    assert abs(states(net)[1] - expected).max() < 0.3 * abs(first - expected).max()
    cold = fit(clone(net).set_params(warm_start=False))
    np.testing.assert_array_equal(states(cold)[1], first)


def test_a_warm_start_with_another_normalization_is_refused():
    net = fit(make(warm_start=True))
    with pytest.raises(ValueError, match="normalization or layers do not match"):
        net.set_params(normalization="layer").fit(X, Y)
    fit(net.set_params(normalization="batch", dropout=0.1))


class Explode(Schedule):
    """A sane rate for three epochs, then one that ruins the weights, but keeps them finite."""

    def __call__(self, progress, initial):
        return 0.01 if progress.epochs < 3 else 1e3


def test_early_stopping_restores_the_statistics_of_the_best_epoch():
    params = {"early_stopping": True, "learning_rate": Explode(), "dtype": np.float64}
    long, short = fit(make(**params, max_iter=8)), fit(make(**params, max_iter=3))
    assert int(np.argmax(long.validation_scores_)) == 2
    np.testing.assert_array_equal(long._network.state, short._network.state)
    np.testing.assert_array_equal(long.predict(X), short.predict(X))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_failed_fit_leaves_the_statistics(method):
    net = fit(make(warm_start=True))
    state, predictions = net._network.state.copy(), net.predict(X)
    net.set_params(solver="sgd", learning_rate_init=1e30)
    with pytest.raises(ValueError, match="diverged"):
        getattr(net, method)(X, Y)
    np.testing.assert_array_equal(net._network.state, state)
    np.testing.assert_array_equal(net.predict(X), predictions)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_deep_logistic_nets_learn(normalization):
    labels = Y > 0
    scores = {}
    for norm in (None, normalization):
        net = BackpropClassifier(
            (16,) * 5, "logistic", normalization=norm, max_iter=60, batch_size=32,
            learning_rate_init=0.003, random_state=0,
        )  # fmt: skip
        scores[norm] = fit(net, X, labels).score(X, labels)
    assert scores[normalization] > scores[None] + 0.2


def test_noise_smooths():
    flat, rough = (
        fit(BackpropRegressor(layers=[GaussianNoise(std), Dense(8), Dense(5)], max_iter=60,
                              alpha=0, learning_rate_init=0.01, batch_size=30, random_state=0))
        for std in (1.5, 0)
    )  # fmt: skip
    assert np.var(flat.predict(X)) < 0.5 * np.var(rough.predict(X))
