"""Optimizers: trajectories of PyTorch, convergence, blocks, weight decay, extremes, going on."""

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skbp import BackpropClassifier, BackpropRegressor
from skbp import _kernels as kernels
from skbp._engine import updater
from skbp._engine.network import Network
from skbp._engine.updater import Updater
from skbp.layers import Conv2D, Dense, Flatten, LayerNorm
from skbp.optimizers import (
    OPTIMIZERS,
    SGD,
    Adadelta,
    AdamW,
    Group,
    LazyAdam,
    Lion,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
)
from skbp.optimizers.adam import _mu, _product_of_mu
from skbp.optimizers.muon import orthogonalized

FLOATS = [np.float32, np.float64]

# ------------------------------------------------------------ trajectories

GOLDEN = json.loads(
    (Path(__file__).parent / "goldens" / "optimizers.json").read_text(encoding="utf-8")
)
CASES = GOLDEN["cases"]


def name_of_case(case):
    return f"{case['name']}-{case['settings']}-{case['strength']}"


def golden_path(case, dtype):
    """Go the way that tests/goldens/make_optimizers.py went with PyTorch."""
    gradients, params = (np.array(GOLDEN[key], dtype) for key in ("gradients", "start"))
    optimizer, path = OPTIMIZERS[case["name"]](**case["settings"]), []
    state, lr = optimizer.init_state(params), case["lr"]
    for t, gradient in enumerate(gradients, 1):
        decay = 1 - lr * optimizer.weight_decay
        optimizer.penalized_step(params, gradient, state, lr, t, case["strength"], decay)
        if t in GOLDEN["steps"]:
            path.append(params.copy())
    assert params.dtype == dtype
    return path


@pytest.mark.parametrize("case", CASES, ids=name_of_case)
def test_trajectory_is_that_of_pytorch(case):
    expected = np.array(case["path"])
    scale = np.abs(expected).max()
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        path = np.array(golden_path(case, dtype))
        np.testing.assert_allclose(path, expected, rtol=tolerance, atol=tolerance * scale)


def test_the_trajectories_cover_what_pytorch_has():
    covered = {case["name"] for case in CASES}
    # "adam" and "lazy_adam" are scikit-learn's form, and PyTorch has no Lion: see textbook_lion
    # Muon: see test_muon
    assert covered == set(OPTIMIZERS) - {"adam", "lazy_adam", "lion", "muon"}


def textbook_lion(p, gradients, lr, beta_1, beta_2, weight_decay):
    """Chen et al. 2023, algorithm 2, number by number."""
    m = [0.0] * len(p)
    for g in gradients:
        for i in range(len(p)):
            c = beta_1 * m[i] + (1 - beta_1) * g[i]
            p[i] -= lr * ((c > 0) - (c < 0) + weight_decay * p[i])
            m[i] = beta_2 * m[i] + (1 - beta_2) * g[i]
    return p


@pytest.mark.parametrize("settings", [(0.9, 0.99, 0.0), (0.5, 0.9, 0.3), (0.0, 0.0, 1.0)], ids=str)
def test_trajectory_of_lion(settings):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=9), rng.normal(size=(50, 9))
    gradients[:, 0] = 0
    expected = textbook_lion(start.tolist(), gradients.tolist(), 0.05, *settings)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        lion, params = Lion(*settings), start.astype(dtype)
        state = lion.init_state(params)
        for t, g in enumerate(gradients.astype(dtype), 1):
            lion.penalized_step(params, g, state, 0.05, t, 0.0, 1 - 0.05 * lion.weight_decay)
        np.testing.assert_allclose(params, expected, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------ convergence

STEEPNESS = np.logspace(-2, 2, 10)


def parabola(p):
    """Return value and gradient; the condition number is 10,000, the value at 0 about 78."""
    return 0.5 * (STEEPNESS * (p - 1) ** 2).sum(), STEEPNESS * (p - 1)


def rosenbrock(p):
    """Return value and gradient of the curved valley, by 1/100; the value at the start is 0.24."""
    x, y = p
    slope = 2 * (y - x * x)
    return 0.01 * (1 - x) ** 2 + slope**2 / 4, np.array([0.02 * (x - 1) - 2 * x * slope, slope])


# (rate on the parabola, rate on Rosenbrock's function); both fall to nothing
RATES = {
    "sgd": (0.01, 0.1),
    "adagrad": (1.0, 1.0),
    "adadelta": (1.0, 1.0),
    "lion": (0.01, 0.01),
    "rmsprop": (0.01, 0.01),
}


@pytest.mark.parametrize("which", ["parabola", "Rosenbrock"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_convergence(name, which):
    function, start, bound = {
        "parabola": (parabola, np.zeros(10), 1e-3),
        "Rosenbrock": (rosenbrock, np.array([-1.2, 1.0]), 1e-4),
    }[which]
    rate = RATES.get(name, (0.05, 0.05))[which == "Rosenbrock"]
    optimizer, p, n_steps = OPTIMIZERS[name](), start.copy(), 4000
    state = optimizer.init_state(p)
    for t in range(1, n_steps + 1):
        optimizer.step(p, function(p)[1], state, rate * (1 - t / (n_steps + 1)), t)
    assert function(p)[0] < bound < function(start)[0] / 1000


# ------------------------------------------------------------ blocks

OTHER_SETTINGS = [
    AdamW(0.5), Lion(weight_decay=0.5), RMSprop(momentum=0.5, centered=True), NAdam(beta_1=0.0),
    RAdam(beta_2=0.5),
]  # fmt: skip
ALL = [*(rule() for rule in OPTIMIZERS.values()), *OTHER_SETTINGS]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_blocks_give_the_same_bits_as_the_whole(optimizer, dtype):
    rng, size, results = np.random.default_rng(0), 1001, []
    start = rng.normal(size=size).astype(dtype)
    gradients = rng.normal(size=(12, size)).astype(dtype)
    for step in (size, 7, 64):
        params, state = start.copy(), optimizer.init_state(start)
        for t, gradient in enumerate(gradients.copy(), 1):
            for first in range(0, size, step):
                part = slice(first, first + step)
                arrays = {name: array[part] for name, array in state.items()}
                optimizer.penalized_step(params[part], gradient[part], arrays, 0.01, t, 0.1)
        results.append((params, *state.values()))
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


class Recording(Optimizer):
    """Notes the sizes it is called with."""

    def __init__(self, fused=False, weight_decay=0.0):
        self.fused = fused
        self.weight_decay = weight_decay
        self.sizes = []

    def init_state(self, params):
        return {}

    def step(self, params, grads, state, lr, t):
        self.sizes.append(params.size)


@pytest.mark.parametrize("fused", [True, False])
def test_only_a_rule_of_one_pass_gets_the_whole_vector(fused, monkeypatch):
    network = Network([Dense(50)], (4000,), np.float32)
    for block in (2**62, updater.CACHE_BLOCK):  # what the two tiers say
        monkeypatch.setattr(kernels, "UPDATE_BLOCK", block, raising=False)
        rule = Recording(fused)
        Updater(rule, network, np.zeros_like(network.params), {}).step(0.1, 1, 0.0)
        assert sum(rule.sizes) == network.params.size
        if fused and block == 2**62:
            assert rule.sizes == [200_000, 50]
        else:
            assert max(rule.sizes) * 4 == updater.CACHE_BLOCK


# ------------------------------------------------------------ weight decay


@pytest.mark.parametrize("n_features", [3, 9000], ids=["few parameters", "many parameters"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", [r for r in OPTIMIZERS.values() if r is not LazyAdam])
def test_weights_decay_and_biases_do_not(rule, dtype, n_features):
    # All inputs are zero: the weights have no gradient, the bias has.
    X, y, lr, n_updates = np.zeros((10, n_features)), np.arange(10.0), 0.1, 3
    fitted = []
    for weight_decay in (0.0, 0.5):
        net = BackpropRegressor(
            (), solver=rule(weight_decay=weight_decay), alpha=0.0, learning_rate_init=lr,
            dtype=dtype, random_state=0,
        )  # fmt: skip
        for _ in range(n_updates):
            net.partial_fit(X, y)
        fitted.append(net)
    without, decayed = fitted
    np.testing.assert_allclose(
        decayed.coefs_[0], without.coefs_[0] * (1 - lr * 0.5) ** n_updates, rtol=1e-6
    )
    assert np.abs(without.coefs_[0]).max() > 0
    np.testing.assert_array_equal(decayed.intercepts_[0], without.intercepts_[0])
    untrained = BackpropRegressor((), random_state=0, learning_rate_init=1e-30).partial_fit(X, y)
    least = 1e-4 if rule is Adadelta else 0.01
    assert np.abs(decayed.intercepts_[0] - untrained.intercepts_[0]).min() > least


def test_who_has_weight_decay():
    with_decay = {name for name, rule in OPTIMIZERS.items() if rule().weight_decay}
    assert with_decay == {"adamw", "muon"}
    assert Optimizer.weight_decay == 0.0


def test_adamw_without_decay_is_adam_but_for_epsilon():
    rng, start = np.random.default_rng(0), np.ones(20)
    paths = []
    for optimizer in (OPTIMIZERS["adam"](epsilon=1e-30), AdamW(0.0, epsilon=1e-30)):
        params, rng = start.copy(), np.random.default_rng(0)
        state = optimizer.init_state(params)
        for t in range(1, 30):
            optimizer.penalized_step(params, rng.normal(size=20), state, 0.1, t, 0.1)
        paths.append(params)
    np.testing.assert_allclose(*paths, rtol=1e-12)


def test_an_optimizer_of_ones_own_has_the_settings_of_all():
    class Plain(Optimizer):
        def init_state(self, params):
            return {}

        def step(self, params, grads, state, lr, t):
            params -= lr * grads

    settings = {"weight_decay": 0.5, "clip_norm": 1.0, "groups": [Group("output", rate=0.1)]}
    one, other = (
        fit(make(solver, learning_rate_init=0.01)).coefs_
        for solver in (Plain(**settings), SGD(momentum=0.0, **settings))
    )
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


# ------------------------------------------------------------ Muon


def polar_factor(matrix):
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    return u @ v


@pytest.mark.parametrize("shape", [(8, 8), (5, 12), (12, 5), (1, 6), (6, 1)])
def test_orthogonalized_by_singular_values(shape):
    """The iteration is a polynomial of the singular values: here it is taken of each by itself."""
    a, b, c = 3.4445, -4.7750, 2.0315  # Jordan et al. 2024
    matrix = np.random.default_rng(0).normal(size=shape)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    s /= np.linalg.norm(s)
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    np.testing.assert_allclose(orthogonalized(matrix, 5), (u * s) @ v, rtol=1e-9, atol=1e-12)
    single = orthogonalized(matrix.astype(np.float32), 5)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, (u * s) @ v, rtol=1e-3, atol=1e-4)
    assert np.linalg.norm(orthogonalized(matrix, 5) - polar_factor(matrix), 2) < 0.4


def test_orthogonalized_at_the_ends_of_numbers():
    matrix = np.random.default_rng(0).normal(size=(4, 6))
    expected = orthogonalized(matrix, 5)
    for scale in (1e-200, 1e200):
        np.testing.assert_allclose(orthogonalized(matrix * scale, 5), expected, rtol=1e-9)
    assert not orthogonalized(np.zeros((3, 2)), 5).any()


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_muon(shape, nesterov):
    """By a reference in float64 whose directions come from singular values."""
    rng, (a, b, c) = np.random.default_rng(0), (3.4445, -4.7750, 2.0315)
    start, gradients = rng.normal(size=shape), rng.normal(size=(20, *shape))
    p, velocity, lr = start.copy(), np.zeros(shape), 0.02
    for gradient in gradients:
        p_before = p.copy()
        gradient = gradient + 0.3 * p
        velocity = 0.9 * velocity + gradient
        u, s, v = np.linalg.svd(gradient + 0.9 * velocity if nesterov else velocity, False)
        s /= np.linalg.norm(s)
        for _ in range(5):
            s = a * s + b * s**3 + c * s**5
        p = p_before * (1 - lr * 0.5) - lr * 0.2 * np.sqrt(max(shape)) * ((u * s) @ v)
    muon = Muon(momentum=0.9, nesterov=nesterov, weight_decay=0.5)
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 2e-3)):
        params, state = start.astype(dtype), muon.init_state(start.astype(dtype))
        for t, gradient in enumerate(gradients.astype(dtype), 1):
            muon.penalized_step(params, gradient, state, lr, t, 0.3, 1 - lr * 0.5)
        assert params.dtype == dtype
        np.testing.assert_allclose(params, p, rtol=tolerance, atol=tolerance)


def test_muon_gets_hidden_weights_as_matrices_and_all_else_flat():
    seen = []

    class Spy(Muon):
        def penalized_step(self, params, grads, state, lr, t, strength, decay=1.0):
            seen.append(params.shape)
            assert all(array.shape == params.shape for array in state.values())
            return super().penalized_step(params, grads, state, lr, t, strength, decay)

    layers = [Conv2D(4, 3), Flatten(), Dense(5), LayerNorm()]
    network = Network([*layers, Dense(2, "identity")], (2, 6, 6), np.float64)
    grads = np.ones_like(network.params)
    rule = Spy(groups=[Group("*.bias", weight_decay=0.1)])
    Updater(rule, network, grads, rule.init_state(network.params)).step(0.1, 1, 0.1)
    matrices = [shape for shape in seen if len(shape) > 1]
    assert matrices == [(18, 4), (64, 5)]
    assert sum(n for n, *rest in seen if not rest) == network.params.size - 18 * 4 - 64 * 5


# ------------------------------------------------------------ extremes


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_zero_gradients_do_no_harm(optimizer, dtype):
    params = np.linspace(-1, 1, 7, dtype=dtype)
    state = optimizer.init_state(params)
    for t in range(1, 4001):  # float32 averages underflow on the way
        grads = np.zeros(7, dtype)
        if t == 100:
            grads[:3] = 1
        optimizer.penalized_step(params, grads, state, 1e-3, t, 0.0)
    assert np.isfinite(params).all()
    for array in state.values():
        assert np.isfinite(array).all()
    np.testing.assert_array_equal(params[3:], np.linspace(-1, 1, 7, dtype=dtype)[3:])


# A centered variance is infinity minus infinity, in PyTorch too.
@pytest.mark.parametrize("optimizer", [o for o in ALL if not getattr(o, "centered", 0)], ids=repr)
def test_huge_gradients_do_not_make_nan(optimizer):
    params = np.ones(4, np.float32)
    state = optimizer.init_state(params)
    with np.errstate(over="ignore"):  # as the trainer
        for t in range(1, 51):
            grads = np.array([1e30, -1e30, 1e10, 1e-3], np.float32) if t < 20 else np.ones(4)
            optimizer.penalized_step(params, grads.astype(np.float32), state, 1e-3, t, 0.0)
            assert np.isfinite(params).all()


def test_a_variance_that_rounding_makes_negative_counts_as_zero():
    optimizer, params = RMSprop(rho=0.5, centered=True), np.ones(100, np.float32)
    state = optimizer.init_state(params)
    constant = np.random.default_rng(0).normal(size=100).astype(np.float32)
    for t in range(1, 200):
        optimizer.step(params, constant.copy(), state, 1e-9, t)
    variance = state["v"] - np.square(state["average"])
    assert variance.min() < 0
    assert np.isfinite(params).all()


def test_settings_may_be_numpy_numbers():
    for name, rule in OPTIMIZERS.items():
        settings = {
            key: np.float64(value) for key, value in rule().get_params().items()
            if isinstance(value, float)
        }  # fmt: skip
        results = []
        for optimizer in (rule(), rule(**settings)):
            params, rng = np.ones(50, np.float32), np.random.default_rng(0)
            state = optimizer.init_state(params)
            for t in range(1, 10):
                grads = rng.normal(size=50).astype(np.float32)
                optimizer.penalized_step(params, grads, state, 0.1, t, 0.1)
            results.append(params)
        np.testing.assert_array_equal(*results, err_msg=name)


# ------------------------------------------------------------ what depends on t


@pytest.mark.parametrize("beta_1", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("decay", [0.0, 4e-3, 0.5])
def test_the_product_of_the_momenta(beta_1, decay):
    product = 1.0
    for t in range(1, 6001):
        product *= _mu(beta_1, decay, t)
        if t in (1, 2, 3, 50, 354, 355, 356, 1000, 3000, 6000):
            assert 1 - _product_of_mu(beta_1, decay, t) == pytest.approx(1 - product, rel=1e-13)


def test_the_first_steps_of_radam_are_those_of_gradient_descent():
    # rho_t passes 5 in step 6
    assert [RAdam()._rectifier(t) > 0 for t in (1, 5, 6, 10_000)] == [False, False, True, True]
    assert RAdam()._rectifier(10**6) == pytest.approx(1, rel=1e-6)
    assert not RAdam(beta_2=0.5)._rectifier(10**6)


# ------------------------------------------------------------ in an estimator

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
LABELS = (X[:, 0] + X[:, 1] > 0).astype(int)
LEARNING_RATES = {"adadelta": 10.0, "adagrad": 0.1, "sgd": 0.05, "lion": 3e-3}


def make(solver, **parameters):
    name = solver if isinstance(solver, str) else type(solver).__name__.lower()
    settings = {
        "solver": solver, "learning_rate_init": LEARNING_RATES.get(name, 0.01), "batch_size": 16,
        "random_state": 0, "max_iter": 60,
    }  # fmt: skip
    return BackpropClassifier((8,), **{**settings, **parameters})


def fit(net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return net.fit(X, LABELS)


def assert_same_weights(one, other):
    for a, b in zip(
        [*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_by_name(name):
    net = fit(make(name))
    assert net.score(X, LABELS) > 0.9
    assert_same_weights(net, fit(make(OPTIMIZERS[name]())))  # the defaults are the same


@pytest.mark.parametrize("name", ["adam", "lazy_adam", "adamw", "nadam", "amsgrad", "radam"])
def test_a_name_takes_the_settings_of_the_estimator(name):
    settings = {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}
    by_name = fit(make(name, **settings))
    assert_same_weights(by_name, fit(make(OPTIMIZERS[name](**settings))))
    assert not np.array_equal(by_name.coefs_[0], fit(make(name)).coefs_[0])


@pytest.mark.parametrize("name", ["rmsprop", "adagrad", "adadelta", "lion"])
def test_a_name_has_its_own_defaults(name):
    settings = {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3, "momentum": 0.3}
    assert_same_weights(fit(make(name, **settings)), fit(make(name)))


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_partial_fit_goes_on_with_the_same_bits(optimizer):
    straight, parts = make(optimizer), make(optimizer)
    for _ in range(6):
        straight.partial_fit(X, LABELS, classes=[0, 1])
    for _ in range(3):
        for _ in range(2):
            parts.partial_fit(X, LABELS, classes=[0, 1])
        parts = pickle.loads(pickle.dumps(parts))
    assert_same_weights(straight, parts)


@pytest.mark.parametrize("optimizer", ALL, ids=repr)
def test_a_warm_start_goes_on(optimizer):
    net = make(optimizer, warm_start=True, max_iter=5, tol=0.0)
    first = fit(net).loss_
    twin = pickle.loads(pickle.dumps(net))
    assert fit(net).loss_ < first
    assert_same_weights(net, fit(twin))


def test_settings_may_change_between_two_calls():
    net = make(RMSprop()).partial_fit(X, LABELS, classes=[0, 1])
    net.set_params(solver=RMSprop(momentum=0.5, centered=True)).partial_fit(X, LABELS)
    net.set_params(solver=SGD()).partial_fit(X, LABELS)  # another rule starts afresh
    assert np.isfinite(net.loss_)


def test_a_search_over_weight_decay():
    search = GridSearchCV(
        make(AdamW(), max_iter=20), {"solver__weight_decay": [0.0, 100.0]}, cv=2, n_jobs=None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X, LABELS)
    assert search.best_params_ == {"solver__weight_decay": 0.0}
    assert search.best_estimator_.solver.weight_decay == 0.0
    sizes = [
        np.square(fit(make(AdamW(weight_decay))).coefs_[0]).sum() for weight_decay in (0.0, 10.0)
    ]
    assert sizes[1] < 0.1 * sizes[0]
