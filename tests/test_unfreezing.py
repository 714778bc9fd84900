"""Frozen layers, and layers that join the training one after another."""

import pickle
from itertools import chain, pairwise

import numpy as np
import pytest
from scipy.sparse import random_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV

from skbp import BackpropClassifier
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.callbacks import Call, Callback, Checkpoint, GradualUnfreezing
from skbp.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, LayerNorm, MaxPool2D
from skbp.optimizers import SGD, Adam, Group

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FLAT, Y = load_digits(return_X_y=True)
FLAT, Y = FLAT[:300] / 16, Y[:300]
X = FLAT.reshape(-1, 1, 8, 8)
LAYERS = [
    Conv2D(4, 3, activation="identity"), BatchNorm("relu"), MaxPool2D(2), Flatten(), Dense(12),
    Dropout(0.2), Dense(10),
]  # fmt: skip
# Numbers of the layers that join together, from the top.
TURNS = [[7], [6], [4], [0, 1]]


def make(*callbacks, **params):
    return BackpropClassifier(**{
        "layers": LAYERS, "batch_size": 60, "max_iter": 6,
        "learning_rate_init": 0.01, "n_iter_no_change": np.inf, "random_state": 0, **params,
    }).set_callbacks(*callbacks)  # fmt: skip


def arrays_of(views):
    return [np.concatenate([array.ravel() for array in p.values()] or [[]]) for p in views]


class Weights(Callback):
    """Puts down each layer's arrays, those that are not trained too, after each epoch."""

    def __init__(self, seen):
        self.seen = seen

    def on_epoch_end(self, epoch, memory, context):
        self.seen.append(arrays_of(context.training.network.views))


def changes(unfreezing, **params):
    """Return for each epoch the numbers of the layers that it changed."""
    seen = []
    rows = X if "layers" not in params else FLAT
    net = make(Weights(seen), unfreezing, **params).fit(rows, Y)
    epochs = [arrays_of(start(net, rows).views), *seen]
    return [
        [i for i, (a, b) in enumerate(zip(*pair, strict=True)) if not np.array_equal(a, b)]
        for pair in pairwise(epochs)
    ]


def start(net, X=X):
    """Return the network with which a fit begins."""
    seen = []

    class First(Callback):
        def on_epoch_begin(self, memory, context):
            seen.append(pickle.loads(pickle.dumps(context.training.network)))

    clone(net).set_callbacks(First(), Call(lambda epoch: True)).fit(X, Y)
    return seen[0]


def expected(every, n_epochs=6):
    return [sorted(chain(*TURNS[: 1 + epoch // every])) for epoch in range(n_epochs)]


# ------------------------------------------------------------ who joins when


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("params", [
    {}, {"solver": "adamw"}, {"solver": "sgd"}, {"l1_ratio": 0.5, "alpha": 0.1},
    {"solver": Adam(clip_norm=0.1), "l1_ratio": 0.5}, {"dtype": "float64"},
], ids=str)  # fmt: skip
def test_layers_join_from_the_top(every, params):
    assert changes(GradualUnfreezing(every), **params) == expected(every)


def test_layers_with_limits_join_from_the_top():
    layers = [Dense(12, max_norm=0.1), Dropout(0.2), Dense(10, max_norm=0.1)]
    assert changes(GradualUnfreezing(), layers=layers) == [[3], [2, 3], *[[0, 2, 3]] * 4]


def test_a_schedule_by_name():
    unfreezing = GradualUnfreezing(schedule={"dense_*": 2, "dense_4": 3, "batchnorm_1": 5})
    assert changes(unfreezing) == [[0, 7], [0, 6, 7], *[[0, 4, 6, 7]] * 2, *[[0, 1, 4, 6, 7]] * 2]


def test_with_freeze_and_groups():
    turns = changes(GradualUnfreezing(), freeze="dense_4")
    assert turns == [[7], [6, 7], *[[0, 1, 6, 7]] * 4]
    solver = Adam(groups=[Group("dense_4", rate=0), Group("output", rate=0.5)])
    turns = changes(GradualUnfreezing(), solver=solver)
    assert turns == [[7], [6, 7], *[[0, 1, 6, 7]] * 4]


def test_a_pattern_that_names_no_layer():
    net = make(GradualUnfreezing(schedule={"dense_4": 2, "lstm_*": 3}))
    with pytest.raises(ValueError, match=r"no parameter's name fits 'lstm_\*'.*dense_4"):
        net.fit(X, Y)
    assert not hasattr(net, "classes_")


def test_no_solver_of_epochs():
    net = make(GradualUnfreezing(), layers=[Dense(4)], solver="lbfgs")
    with pytest.raises(ValueError, match="GradualUnfreezing needs a stochastic solver"):
        net.fit(X, Y)


def test_hidden_layer_sizes_with_normalization():
    params = {
        "layers": None, "hidden_layer_sizes": (8, 8), "normalization": "batch",
        "solver": Adam(groups=[Group("dense_0", rate=0.3)]),
    }  # fmt: skip
    turns = changes(GradualUnfreezing(2), **params)
    assert turns == [[4], [4], *[[2, 3, 4]] * 2, *[[0, 1, 2, 3, 4]] * 2]


# ------------------------------------------------------------ what a layer that joins is like


@pytest.mark.parametrize("solver", ["adam", "nadam", "adamw", "radam"])
def test_a_layer_that_joins_counts_its_own_steps(solver):
    # After a bias correction of its own a first step of Adam is at most the rate, however late.
    steps = []
    for epochs in (1, 3):
        seen = []
        plan = GradualUnfreezing(schedule={"dense_0": epochs})
        make(
            Weights(seen), plan, layers=[Dense(5)], batch_size=300, alpha=0.0, max_iter=epochs,
            solver=solver, learning_rate_init=1e-3, dtype="float64",
        ).fit(FLAT, Y)  # fmt: skip
        before = start(make(layers=[Dense(5)], dtype="float64"), FLAT)
        steps.append(np.abs(seen[-1][0] - arrays_of(before.views)[0]).max())
    np.testing.assert_allclose(steps[0], steps[1], rtol=0.5 if solver == "radam" else 0.05)


def test_the_same_as_two_fits():
    # Frozen for two epochs, then all: what partial_fit does with `freeze` set and taken back.
    params = {"layers": [Dense(9), LayerNorm(), Dense(8)], "shuffle": False}
    whole = make(GradualUnfreezing(schedule={"dense_0": 3}), **params).fit(FLAT, Y)
    parts = make(**params, freeze="dense_0")
    for epoch in range(6):
        parts.set_params(freeze="dense_0" if epoch < 2 else None).partial_fit(
            FLAT, Y, classes=range(10)
        )
    np.testing.assert_array_equal(whole._network.params, parts._network.params)


def test_the_average_of_a_layer_that_waits_is_the_layer():
    net = make(GradualUnfreezing(every=10), solver=Adam(ema_decay=0.9)).fit(X, Y)
    begun = start(net)
    for number in (0, 1, 4, 6):
        for name, array in begun.views[number].items():
            np.testing.assert_array_equal(net._network.views[number][name], array)
    assert (net._network.views[7]["weight"] != begun.views[7]["weight"]).any()


def test_the_first_layer_of_a_lazy_solver():
    sparse = random_array((300, 400), density=0.02, format="csr", rng=1)
    params = {"layers": [Dense(6)], "alpha": 0.0, "batch_size": 300}
    nets = [
        make(GradualUnfreezing(2), **params, max_iter=3, solver=solver).fit(sparse, Y)
        for solver in ("lazy_adam", "adam")
    ]
    for lazy, eager in zip(nets[0].coefs_, nets[1].coefs_, strict=True):
        np.testing.assert_allclose(lazy, eager, rtol=1e-4, atol=1e-6)
    frozen = make(GradualUnfreezing(9), **{**params, "alpha": 1.0}, solver="lazy_adam")
    first = start(make(**params), sparse).views[0]["weight"]
    np.testing.assert_array_equal(frozen.fit(sparse, Y).coefs_[0], first)
    # The penalty counts the weights that wait, too.
    eager = make(GradualUnfreezing(9), **{**params, "alpha": 1.0}, solver="adam").fit(sparse, Y)
    np.testing.assert_allclose(frozen.loss_curve_, eager.loss_curve_, rtol=1e-4)


# ------------------------------------------------------------ fits that are resumed, repeated ...


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("params", [
    {}, {"early_stopping": "refit"}, {"solver": Adam(ema_decay=0.9)}, {"solver": "lion"},
    {"freeze": "dense_4", "solver": Adam(clip_norm=0.5)},
], ids=str)  # fmt: skip
def test_resuming_gives_the_same_bits(stop, params, tmp_path):
    unfreezing = GradualUnfreezing()
    whole = make(unfreezing, **params).fit(X, Y)
    stopper = Call(lambda epoch: epoch["epoch"] == stop)
    make(unfreezing, Checkpoint(tmp_path), stopper, **params).fit(X, Y)
    again = make(unfreezing, Checkpoint(tmp_path, resume=True), **params).fit(X, Y)
    np.testing.assert_array_equal(again._network.params, whole._network.params)
    np.testing.assert_array_equal(again._network.state, whole._network.state)
    assert again.loss_curve_ == whole.loss_curve_


def test_each_fit_begins_anew():
    unfreezing = GradualUnfreezing(2)
    before = pickle.dumps(unfreezing)
    nets = [make(unfreezing, warm_start=True) for _ in range(2)]
    for net in nets:
        net.fit(X, Y)
    assert pickle.dumps(unfreezing) == before
    warm = nets[0]
    frozen = warm._network.views[0]["weight"].copy()
    warm.set_params(max_iter=2).fit(X, Y)
    np.testing.assert_array_equal(warm._network.views[0]["weight"], frozen)
    twin = pickle.loads(pickle.dumps(nets[1])).set_params(max_iter=2).fit(X, Y)
    np.testing.assert_array_equal(twin._network.params, warm._network.params)


def test_refit_unfreezes_as_the_first_training_did():
    net = make(GradualUnfreezing(10), early_stopping="refit").fit(X, Y)
    begun = start(net)
    np.testing.assert_array_equal(net._network.views[4]["weight"], begun.views[4]["weight"])
    assert (net._network.views[7]["weight"] != begun.views[7]["weight"]).any()


def test_in_a_search_from_other_weights():
    low = make(max_iter=3).fit(X[Y < 5], Y[Y < 5])
    net = make(GradualUnfreezing(), init_from=FrozenEstimator(low), max_iter=5)
    search = GridSearchCV(net, {"alpha": [0, 0.1]}, cv=2, error_score="raise").fit(
        X[Y >= 5], Y[Y >= 5]
    )
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# ------------------------------------------------------------ what frozen layers save, and keep


class CountedDense(Dense):
    """Counts the calls of backward, and those that ask for dx."""

    calls: list = []

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        self.calls.append((self.units, need_dx))
        return super().backward(dy, x, p, g, w, ctx, need_dx)


@pytest.mark.parametrize("frozen, calls", [
    ((), [(2, True), (3, True), (4, False)]),
    ((0,), [(2, True), (3, False)]),
    ((1,), [(2, True), (3, True), (4, False)]),
    ((0, 1), [(2, False)]),
    ((0, 1, 3), []),
])  # fmt: skip
def test_backward_ends_at_the_first_layer_that_is_trained(frozen, calls):
    layers = [CountedDense(4), CountedDense(3), Flatten(), CountedDense(2)]
    network = Network(layers, (5,), np.float64)
    network.init(np.random.RandomState(0))
    x, workspace = np.random.default_rng(0).normal(size=(6, 5)), Workspace(network, 6)
    network.forward(x, workspace)
    network.backward(np.ones((6, 2)), workspace)
    whole = [{k: v.copy() for k, v in g.items()} for g in workspace.views]
    parameters = enumerate(network.parameters)
    network.freeze(i for i, parameter in parameters if parameter.layer in frozen)
    CountedDense.calls.clear()
    network.forward(x, workspace)
    network.backward(np.ones((6, 2)), workspace)
    assert CountedDense.calls == calls
    for number, (g, expected) in enumerate(zip(workspace.views, whole, strict=True)):
        for name in () if number in frozen else g:
            np.testing.assert_array_equal(g[name], expected[name])
    # The gradient with respect to the input is that of the whole chain nevertheless.
    CountedDense.calls.clear()
    network.backward(np.ones((6, 2)), workspace, need_dx=True)
    assert CountedDense.calls == [(2, True), (3, True), (4, True)]


def test_frozen_running_means_stay():
    first = make(max_iter=2).fit(X, Y)
    kept = first._network.views[1]
    for params in (
        {"freeze": ["conv2d_0", "batchnorm_1"]},
        {"solver": Adam(groups=[Group("conv*", rate=0), Group("batch*", rate=0)])},
    ):
        net = make(init_from=FrozenEstimator(first), **params, max_iter=2).fit(X, Y)
        for name, array in kept.items():
            np.testing.assert_array_equal(net._network.views[1][name], array)
    net = make(init_from=FrozenEstimator(first), freeze="conv2d_0", max_iter=2).fit(X, Y)
    assert (net._network.views[1]["running_mean"] != kept["running_mean"]).any()


@pytest.mark.parametrize("frozen", ["dense_0", "dense_1"])
def test_gradients_of_frozen_layers_do_not_count_for_clipping(frozen):
    layers = [Dense(8), Dense(8)]
    params = {
        "layers": layers, "solver": SGD(momentum=0.0, clip_norm=1e-3), "alpha": 0.0,
        "max_iter": 1, "batch_size": 300, "freeze": frozen, "dtype": "float64",
        "learning_rate_init": 1.0,
    }  # fmt: skip
    net = make(**params)
    step = net.fit(FLAT, Y)._network.params - start(net, FLAT).params
    np.testing.assert_allclose(np.linalg.norm(step), 1e-3, rtol=1e-6)


def test_what_was_skipped_is_not_in_the_optimizers_count():
    seen = []

    class Counting(Adam):
        def step(self, params, grads, state, lr, t):
            seen.append(t)
            super().step(params, grads, state, lr, t)

    net = make(
        GradualUnfreezing(2), layers=[Dense(2)], batch_size=150, max_iter=3, solver=Counting()
    )
    net.fit(FLAT, Y)  # `step` is that of the biases
    assert seen == [1, 2, 3, 4, 1, 5, 2, 6]
    skipped = net._history.optimizer.skipped
    named = dict(zip((p.name for p in net._network.parameters), skipped, strict=True))
    assert named == {"dense_0.weight": 4, "dense_0.bias": 4, "output.weight": 0, "output.bias": 0}
