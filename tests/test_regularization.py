"""Penalties, clipping, norms of units, averages, groups of parameters."""

import warnings

import numpy as np
import pytest
from scipy.sparse import random_array
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skbp import BackpropClassifier, BackpropRegressor
from skbp._engine.batches import Batch
from skbp._engine.network import Network
from skbp._engine.objective import Objective
from skbp._engine.regularization import Average, Clip, MaxNorm, Penalty, add_l1
from skbp.activations import Activation, ReLU, Tanh
from skbp.callbacks import Callback
from skbp.layers import GRU, Conv2D, Dense, Embedding, Flatten, Input, Residual
from skbp.losses import SquaredError
from skbp.optimizers import OPTIMIZERS, SGD, Adam, Group, LazyAdam
from skbp.schedules import Constant

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6))
Y = np.tanh(X[:, 0]) + X[:, 1]


def make(**params):
    defaults = {
        "hidden_layer_sizes": (8, 5), "max_iter": 4, "batch_size": 30, "random_state": 0,
        "dtype": "float64", "learning_rate_init": 0.01,
    }  # fmt: skip
    return BackpropRegressor(**{**defaults, **params})


def make_layers(layers, **params):
    return make(hidden_layer_sizes=(100,), layers=layers, **params)


def assert_same_weights(a, b):
    for one, other in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        np.testing.assert_array_equal(one, other)


def flat(net):
    return np.concatenate([w.ravel() for w in (*net.coefs_, *net.intercepts_)])


class Steps(Callback):
    """Keeps the raw parameters after each epoch."""

    def __init__(self, seen):
        self.seen = seen

    def on_epoch_end(self, epoch, memory, context):
        self.seen.append(context.training.state())


# ------------------------------------------------------------ L1


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
def test_value_and_gradient_of_the_penalty(l1_ratio):
    network = Network([Dense(5, "tanh"), Dense(2, "identity")], (6,), np.float64)
    network.init(np.random.RandomState(0))
    objective = Objective(network, SquaredError(), 3.0, 20, l1_ratio)
    y = np.column_stack([Y, -Y])[:20]
    batch = Batch(X[:20], y, np.full(20, 1 / 20), 20)
    value, penalty = objective.value_and_grad(batch)
    grads = objective.grads.copy()
    weights = network.params[: network.n_penalized]
    assert penalty == pytest.approx(
        3.0 / 20 * ((1 - l1_ratio) / 2 * (weights**2).sum() + l1_ratio * np.abs(weights).sum())
    )
    for index in range(network.params.size):
        ends = []
        for step in (1e-6, -2e-6):
            network.params[index] += step
            ends.append(sum(objective.value_and_grad(batch)))
        network.params[index] += 1e-6
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(grads[index], abs=1e-7)
    assert value > 0


def test_add_l1_block_by_block():
    params = np.array([1.5, -2.0, 0.0] * 9000, np.float32)
    grads = np.ones_like(params)
    assert add_l1(params, grads, 0.5) == pytest.approx(0.5 * 3.5 * 9000)
    np.testing.assert_array_equal(grads, np.tile([1.5, 0.5, 1.0], 9000))


def test_strengths_share_alpha():
    l2, l1 = Penalty(3.0, 0.25).strengths(10)
    assert (l2, l1) == (pytest.approx(0.225), pytest.approx(0.075))


@pytest.mark.parametrize("params", [{}, {"solver": "sgd"}, {"hidden_layer_sizes": (200, 60)}])
def test_loss_curve_has_the_penalty_before_the_update(params):
    # one update in the first epoch: the loss can be computed from the first weights
    net = make(alpha=2.0, l1_ratio=0.6, batch_size=120, max_iter=1, **params).fit(X, Y)
    first = make(alpha=2.0, l1_ratio=0.6, batch_size=120, max_iter=1, **params)
    first.set_params(learning_rate_init=1e-300).fit(X, Y)
    weights = np.concatenate([w.ravel() for w in first.coefs_])
    penalty = 2.0 * (0.4 / 2 * (weights**2).sum() + 0.6 * np.abs(weights).sum()) / len(X)
    data = 0.5 * np.mean((first.predict(X) - Y) ** 2)
    assert net.loss_curve_[0] == pytest.approx(data + penalty, rel=1e-10)


def test_l1_makes_more_weights_small_than_l2():
    noise = RNG.normal(size=(120, 20))
    data = np.hstack([X, noise])
    small = {}
    for l1_ratio in (0.0, 1.0):
        net = make(alpha=2.0, l1_ratio=l1_ratio, max_iter=150, n_iter_no_change=150).fit(data, Y)
        weights = np.concatenate([w.ravel() for w in net.coefs_])
        small[l1_ratio] = np.mean(np.abs(weights) < 5e-3)
    assert small[1.0] > small[0.0] + 0.3


# ------------------------------------------------------------ clipping


def clip(grads, **limits):
    grads = np.array(grads)
    with np.errstate(over="ignore", invalid="ignore"):
        Clip(**limits)(grads)
    return grads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("limit", [0.5, 3.0, 1e3])
def test_clip_by_norm(dtype, limit):
    # torch.nn.utils.clip_grad_norm_: times min(1, limit / norm), up to its epsilon of 1e-6
    grads = RNG.normal(size=50).astype(dtype)
    expected = grads * min(1.0, limit / np.linalg.norm(grads.astype(float)))
    np.testing.assert_allclose(clip(grads, max_norm=limit), expected, rtol=1e-6)
    if limit == 1e3:
        np.testing.assert_array_equal(clip(grads, max_norm=limit), grads)


def test_clip_by_value_comes_first():
    grads = np.array([3.0, -0.5, -7.0, 0.0])
    np.testing.assert_array_equal(clip(grads, max_value=2.0), [2.0, -0.5, -2.0, 0.0])
    both = np.array([2.0, -0.5, -2.0, 0.0])
    np.testing.assert_allclose(
        clip(grads, max_value=2.0, max_norm=1.0), both / np.linalg.norm(both)
    )


@pytest.mark.parametrize("limit", [1e-3, 1.0, 5.0, 1e30])
@pytest.mark.parametrize("scale, dtype", [(1e25, np.float32), (1e200, np.float64)])
def test_clip_where_the_square_overflows(scale, dtype, limit):
    direction = np.array([3.0, -4.0, 0.0, 1.0])
    grads = (direction * scale).astype(dtype)
    length = np.linalg.norm(direction)
    wanted = direction / length * min(limit, scale * length)
    np.testing.assert_allclose(clip(grads, max_norm=limit), wanted, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(bad):
    # so that divergence is seen
    assert not np.isfinite(clip([1.0, bad], max_norm=1.0)).all()
    assert not np.isfinite(clip([1.0, np.nan], max_norm=1.0, max_value=1.0)).all()


@pytest.mark.parametrize("limits", [
    {"clip_norm": 0.05}, {"clip_value": 0.01}, {"clip_norm": 0.02, "clip_value": 0.01},
], ids=str)  # fmt: skip
def test_sgd_with_clipped_gradients_by_hand(limits):
    """One epoch of full-batch steps; the gradient is recovered from an unclipped step."""
    params = {
        "solver": SGD(momentum=0.0), "batch_size": 120, "alpha": 0.0, "max_iter": 1,
        "shuffle": False, "learning_rate_init": 0.1,
    }  # fmt: skip
    start = flat(make(**{**params, "learning_rate_init": 1e-300}).fit(X, Y))
    grads = (start - flat(make(**params).fit(X, Y))) / 0.1
    if "clip_value" in limits:
        grads = np.clip(grads, -limits["clip_value"], limits["clip_value"])
    if "clip_norm" in limits:
        grads *= min(1.0, limits["clip_norm"] / np.linalg.norm(grads))
    params["solver"] = SGD(momentum=0.0, **limits)
    clipped = flat(make(**params).fit(X, Y))
    np.testing.assert_allclose(clipped, start - 0.1 * grads, rtol=1e-9, atol=1e-12)


def test_the_penalty_is_not_clipped():
    params = {
        "solver": SGD(momentum=0.0, clip_norm=1e-9), "batch_size": 120, "max_iter": 1,
        "alpha": 240.0,
    }  # fmt: skip
    start = make(**{**params, "learning_rate_init": 1e-300}).fit(X, Y)
    net = make(**params).fit(X, Y)  # w -= 0.01 * 240 / 120 * w
    for before, after in zip(start.coefs_, net.coefs_, strict=True):
        np.testing.assert_allclose(after, before * 0.98, atol=1e-9)


# ------------------------------------------------------------ norms of units


def norms(network):
    return [np.linalg.norm(p["weight"], axis=0) for p in network.views if "weight" in p]


def limited(*sizes, limit=0.3):
    return [Dense(size, max_norm=limit) for size in sizes]


@pytest.mark.parametrize("params", [
    {}, {"solver": "sgd", "learning_rate_init": 0.1}, {"solver": Adam(ema_decay=0.5)},
    {"dtype": "float32"},
], ids=str)  # fmt: skip
def test_max_norm_after_every_update(params, monkeypatch):
    longest = []
    after = MaxNorm.__call__

    def spy(self):
        after(self)
        longest.append(max(np.linalg.norm(w.astype(float), axis=0).max() for w, _ in self._weights))

    monkeypatch.setattr(MaxNorm, "__call__", spy)
    net = make_layers(limited(8, 5), **params).fit(X, 5 * Y)
    assert len(longest) == 4 * 4
    assert max(longest) <= 0.3 * (1 + 1e-6)
    *hidden, output = norms(net._network)
    assert max(n.max() for n in hidden) <= 0.3 * (1 + 1e-6)
    assert output.max() > 0.3


def test_max_norm_scales_only_columns_that_are_too_long():
    network = Network([Dense(2, max_norm=1.0), Dense(1, "identity")], (2,), np.float64)
    network.views[0]["weight"][...] = [[3.0, 0.1], [4.0, 0.2]]
    network.views[1]["weight"][...] = 9.0
    MaxNorm(network)()
    np.testing.assert_allclose(network.views[0]["weight"], [[0.6, 0.1], [0.8, 0.2]])
    assert (network.views[1]["weight"] == 9).all()


LIMIT = {"max_norm": 0.2}
LAYERS = {
    "images": [Input((1, 8, 8)), Conv2D(4, 3, **LIMIT), Flatten(), Dense(6, **LIMIT)],
    "sequences": [Input((8, 8)), GRU(5, bidirectional=True, **LIMIT), Dense(4, **LIMIT)],
    "nested": [Residual([Dense(9, **LIMIT), Dense(64, **LIMIT)])],
    "codes": [Embedding(17, 3), Flatten(), Dense(6, **LIMIT)],
}


@pytest.mark.parametrize("name", LAYERS)
def test_max_norm_holds_for_the_units_of_the_layers_that_have_it(name):
    X, y = load_digits(return_X_y=True)  # whole numbers, codes as well
    net = BackpropClassifier(layers=LAYERS[name], max_iter=2).fit(X[:200], y[:200])
    found = []
    for layer, p in zip(net._network.layers, net._network.views, strict=True):
        for parameter in layer.penalized:
            weight = p[parameter].reshape(-1, p[parameter].shape[-1])
            found.append((parameter in layer.tables, np.linalg.norm(weight, axis=0).max()))
    *hidden, (_, output) = found
    assert output > 0.2
    assert all(norm > 0.2 if is_table else norm < 0.2 * (1 + 1e-5) for is_table, norm in hidden)
    assert max(norm for is_table, norm in hidden if not is_table) > 0.199


# ------------------------------------------------------------ averages


@pytest.mark.parametrize("decay", [0.0, 0.6, 0.999])
def test_average_by_a_loop(decay):
    params = RNG.normal(size=20_000)
    average, expected = Average(params, decay), params.copy()
    for t in range(1, 30):
        params += RNG.normal(size=params.size)
        average.update(t)
        d = min(decay, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * params
    np.testing.assert_allclose(average.average, expected, rtol=1e-9, atol=1e-12)
    before = params.copy()
    with average.in_place():
        np.testing.assert_array_equal(params, average.average)
    np.testing.assert_array_equal(params, before)


@pytest.mark.parametrize("solver", ["adam", "sgd", "muon"])
def test_the_average_of_a_fit_by_a_loop(solver):
    """Full batches: an epoch is an update, so the raw weights can be watched."""
    seen = []
    params = {"batch_size": 120, "max_iter": 12, "solver": OPTIMIZERS[solver](ema_decay=0.7)}
    net = make(**params).set_callbacks(Steps(seen)).fit(X, Y)
    raw = flat(make(**{**params, "solver": OPTIMIZERS[solver]()}).fit(X, Y))
    np.testing.assert_array_equal(seen[-1].params, raw)  # averaging does not change the training
    first = {**params, "learning_rate_init": 1e-300, "max_iter": 1}
    expected = flat(make(**first).fit(X, Y))
    for t, state in enumerate(seen, start=1):
        d = min(0.7, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * state.params
    np.testing.assert_allclose(flat(net), expected, rtol=1e-9, atol=1e-12)


def test_the_average_is_what_is_validated_and_published():
    net = make(solver=Adam(ema_decay=0.9), max_iter=6).fit(X, Y, X_val=X[:40], y_val=Y[:40])
    assert net.validation_scores_[-1] == pytest.approx(net.score(X[:40], Y[:40]), rel=1e-12)
    raw = make(max_iter=6).fit(X, Y)
    assert net.loss_curve_ == raw.loss_curve_  # that of the weights that are trained
    assert abs(net.score(X[:40], Y[:40]) - raw.score(X[:40], Y[:40])) > 1e-6
    net = make(solver=Adam(ema_decay=0.9), max_iter=30, early_stopping=True)
    net.fit(X, Y, X_val=X[:40], y_val=Y[:40])
    assert net.best_validation_score_ == pytest.approx(net.score(X[:40], Y[:40]), rel=1e-12)


def test_partial_fit_goes_on_from_the_raw_weights():
    params = {"solver": Adam(ema_decay=0.9), "shuffle": False}
    longer = make(**params, max_iter=1).fit(X, Y)
    for _ in range(3):
        longer.partial_fit(X, Y)
    assert_same_weights(longer, make(**params, max_iter=4).fit(X, Y))


def test_a_warm_start_goes_on_from_the_raw_weights():
    # sgd without momentum has no state: two fits train like one; the average starts afresh
    params = {"solver": SGD(momentum=0.0), "shuffle": False}
    averaged = {**params, "solver": SGD(momentum=0.0, ema_decay=0.9)}
    net = make(**averaged, warm_start=True, max_iter=2).fit(X, Y)
    seen = []
    net.set_callbacks(Steps(seen)).fit(X, Y)
    np.testing.assert_array_equal(seen[-1].params, flat(make(**params, max_iter=4).fit(X, Y)))


def test_partial_fit_after_early_stopping_goes_on_from_the_best_epoch():
    net = make(solver=Adam(ema_decay=0.99), early_stopping=True, max_iter=60,
               n_iter_no_change=60, learning_rate_init=0.05, alpha=0.0)  # fmt: skip
    net.fit(X[:40], Y[:40], X_val=X[40:], y_val=RNG.normal(size=80))
    assert net.best_epoch_ < net.n_iter_ - 5
    best = flat(net)
    net.set_params(learning_rate_init=1e-300).partial_fit(X[:40], Y[:40])
    np.testing.assert_allclose(flat(net), best, rtol=1e-12)


def test_averaging_can_be_switched_off():
    net = make(solver=Adam(ema_decay=0.9), shuffle=False, max_iter=2).fit(X, Y)
    net.set_params(solver__ema_decay=None).partial_fit(X, Y)
    assert_same_weights(net, make(shuffle=False, max_iter=3).fit(X, Y))


# ------------------------------------------------------------ groups of parameters


def grouped(solver, *groups, **settings):
    return OPTIMIZERS[solver](groups=list(groups), **settings)


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "rmsprop", "lion", "muon"])
@pytest.mark.parametrize("params", [
    {}, {"l1_ratio": 0.5, "alpha": 1.0}, {"ema_decay": 0.5}, {"hidden_layer_sizes": (200, 60)},
    {"dropout": 0.3}, {"weight_decay": 0.5},
], ids=str)  # fmt: skip
def test_a_rate_of_zero_keeps_parameters(solver, params):
    params = dict(params)
    settings = {k: params.pop(k) for k in ("ema_decay", "weight_decay") if k in params}
    first = make(solver=solver, **params, learning_rate_init=1e-300, max_iter=1).fit(X, Y)
    groups = Group("dense_0", rate=0), Group("output.weight", rate=0.5)
    net = make(solver=grouped(solver, *groups, **settings), **params).fit(X, Y)
    np.testing.assert_array_equal(net.coefs_[0], first.coefs_[0])
    np.testing.assert_array_equal(net.intercepts_[0], first.intercepts_[0])
    for layer in (1, 2):
        assert not np.array_equal(net.coefs_[layer], first.coefs_[layer])


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "muon"])
def test_a_rate_of_one_changes_nothing(solver):
    one = make(solver=grouped(solver, Group("*", rate=1.0)), alpha=1.0).fit(X, Y)
    plain = make(solver=OPTIMIZERS[solver](), alpha=1.0).fit(X, Y)
    np.testing.assert_allclose(flat(one), flat(plain), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(one.loss_curve_, plain.loss_curve_, rtol=1e-12)


FACTORS = {"*": 0.25, "dense_0.bias": 7.0, "dense_2": 3.0, "dense_1.*": 3.0, "output": 0.5}


def factor_of(name):
    """Return the factor by hand: that of the last pattern that fits."""
    factors = [0.25]
    factors += [7.0] * (name == "dense_0.bias") + [3.0] * name.startswith(("dense_1", "dense_2"))
    return [*factors, *[0.5] * name.startswith("output")][-1]


@pytest.mark.parametrize("normalization", [None, "layer"])
def test_rates_are_those_of_sgd_by_hand(normalization):
    params = {
        "batch_size": 120, "max_iter": 1, "normalization": normalization, "alpha": 1.0,
        "solver": SGD(momentum=0.0),
    }  # fmt: skip
    not_there = "dense_2" if normalization is None else "dense_1.*"
    groups = [Group(name, rate=rate) for name, rate in FACTORS.items() if name != not_there]
    start = make(**{**params, "learning_rate_init": 1e-300}).fit(X, Y).weights_
    plain = make(**params).fit(X, Y).weights_
    scaled = make(**params).set_params(solver__groups=groups).fit(X, Y).weights_
    for name in start:
        expected = start[name] + factor_of(name) * (plain[name] - start[name])
        np.testing.assert_allclose(scaled[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_weight_decay_of_a_group_by_hand():
    # Without a gradient that counts, all that moves weights is the decay.
    still = {"clip_norm": 1e-300, "weight_decay": 0.5, "momentum": 0.0}
    groups = [Group("dense_1", weight_decay=2.0), Group("output", weight_decay=0)]
    start = make(learning_rate_init=1e-300, max_iter=1).fit(X, Y).weights_
    net = make(
        solver=SGD(**still, groups=groups), alpha=0.0, learning_rate_init=0.1, max_iter=3
    ).fit(X, Y)
    kept = {"dense_0.weight": 0.95, "dense_1.weight": 0.8, "dense_1.bias": 0.8}
    for name, array in net.weights_.items():
        expected = start[name] * kept.get(name, 1.0) ** (3 * 4)
        np.testing.assert_allclose(array, expected, rtol=1e-10, err_msg=name)


class Rates(Constant):
    """Half the rate in each epoch; keeps what it is asked."""

    def __call__(self, progress, initial):
        return initial / 2**progress.epochs


def test_a_schedule_of_a_group_by_hand():
    params = {"solver": SGD(momentum=0.0), "shuffle": False, "batch_size": 120, "alpha": 0.0}
    nets = [make(**params, max_iter=3).fit(X, Y)]
    nets.append(make(**params, max_iter=3).fit(X, Y))
    everything = make(**params, max_iter=3, learning_rate=Rates()).fit(X, Y)
    by_group = make(**params, max_iter=3)
    by_group.set_params(solver__groups=[Group("*", schedule=Rates())]).fit(X, Y)
    np.testing.assert_array_equal(flat(by_group), flat(everything))
    assert not np.array_equal(flat(by_group), flat(nets[0]))
    first = make(**params, max_iter=1).fit(X, Y)
    still = make(**params, max_iter=3)
    still.set_params(solver__groups=[Group("output", schedule=Once())]).fit(X, Y)
    np.testing.assert_array_equal(still.coefs_[-1], first.coefs_[-1])
    assert not np.array_equal(still.coefs_[0], first.coefs_[0])


class Once(Constant):
    """The rate in the first epoch, then none."""

    def __call__(self, progress, initial):
        return initial * (progress.epochs == 0)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_groups_reach_the_first_layer_of_a_lazy_solver(rate):
    sparse = random_array((120, 300), density=0.02, format="csr", rng=1)
    groups = [Group("dense_0", rate=rate)]
    nets = [
        make(solver=solver, alpha=0.0, batch_size=120, max_iter=1).fit(sparse, Y)
        for solver in (LazyAdam(groups=groups), Adam(groups=groups))
    ]
    for lazy, eager in zip(nets[0].coefs_, nets[1].coefs_, strict=True):
        np.testing.assert_allclose(lazy, eager, rtol=1e-9, atol=1e-12)


def test_groups_by_patterns_that_fit_nothing_and_settings_that_are_not_allowed():
    with pytest.raises(ValueError, match=r"no parameter's name fits 'conv'.*dense_0\.weight"):
        make(solver=Adam(groups=[Group("conv")])).fit(X, Y)
    for bad in (
        [Group("output", rate=-1)], [Group(1)], [Group("output", weight_decay="a")], {"output": 1},
        [Group("output", schedule="never")], Group("output"), ["output"],
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"parameter of (Group|Adam) must be"):
            make(solver=Adam(groups=bad)).fit(X, Y)


# ------------------------------------------------------------ an activation for each layer


@pytest.mark.parametrize("given", [["relu", "tanh"], ("relu", Tanh()), [ReLU(), "tanh"]], ids=str)
def test_activations_by_layer(given):
    net = make(activation=given).fit(X, Y)
    hidden = np.maximum(X @ net.coefs_[0] + net.intercepts_[0], 0)
    hidden = np.tanh(hidden @ net.coefs_[1] + net.intercepts_[1])
    np.testing.assert_allclose(net.predict(X), (hidden @ net.coefs_[2])[:, 0] + net.intercepts_[2])


def test_equal_activations_are_like_one():
    assert_same_weights(
        make(activation=["tanh", "tanh"]).fit(X, Y), make(activation="tanh").fit(X, Y)
    )


class Scaled(Activation):
    def __init__(self, factor=0.5):
        self.factor = factor

    def apply(self, z, out):
        np.multiply(z, self.factor, out=out)

    def gradient(self, dy, y, z):
        dy *= self.factor


def test_activations_are_copied_and_kept():
    given = [Scaled(), "relu"]
    net = make(activation=given).fit(X, Y)
    before = net.predict(X)
    given[0].factor = 3.0
    given[1] = "tanh"
    np.testing.assert_array_equal(net.predict(X), before)
    assert net.activation is given


def test_no_hidden_layers():
    assert make(hidden_layer_sizes=(), activation=[]).fit(X, Y).n_layers_ == 2


def test_everything_together():
    solver = Adam(clip_norm=1.0, clip_value=0.5, ema_decay=0.99, groups=[Group("output", rate=0.5)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net = BackpropClassifier(
            (16, 8), ["tanh", "relu"], max_iter=120, alpha=0.1, l1_ratio=0.5, dropout=0.1,
            random_state=0, early_stopping="refit", scoring="roc_auc", learning_rate_init=0.01,
            batch_size=30, solver=solver,
        ).fit(X, Y > 0)  # fmt: skip
    assert net.score(X, Y > 0) > 0.9
