"""The house: hops of a fit, names and patterns, ties, schedules of hyperparameters, divergence."""

import copy
import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from skbp import BackpropClassifier, BackpropRegressor, BackpropSequenceModel
from skbp._engine.network import Network
from skbp._engine.training import DivergenceError
from skbp._engine.workspace import Workspace
from skbp.initializers import GlorotUniform, Initializer
from skbp.layers import (
    GRU,
    LSTM,
    BatchNorm,
    CodeDropout,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    Layer,
    LayerNorm,
    LoRA,
    MemberDense,
    MultiHeadAttention,
    Parallel,
    Pass,
    PositionalEncoding,
    Reshape,
    Residual,
    Scale,
    SequencePool,
    Sequential,
    Tied,
    TransformerEncoder,
)
from skbp.optimizers import Adam
from skbp.schedules import Progress, Schedule, Scheduled

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = scale(X)


# ------------------------------------------------------------ from fit to the network


def test_hops_from_fit_to_the_network(monkeypatch):
    hops = []

    def forward(*args, **kwargs):
        frame, names = sys._getframe(1), []
        while frame.f_code.co_name != "fit":
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        hops.append(names)
        return whole(*args, **kwargs)

    whole = Network.forward
    monkeypatch.setattr(Network, "forward", forward)
    BackpropClassifier(max_iter=1, random_state=0).fit(X, Y)
    calls = 1 + len(hops[0])  # those between, and the one that calls forward
    assert calls <= 7, hops[0]


# ------------------------------------------------------------ names


def network_of(*layers, shape=(4,), dtype=np.float64):
    network = Network(list(layers), shape, dtype)
    network.init(np.random.RandomState(0))
    return network


def names(network, numbers=None):
    numbers = range(len(network.parameters)) if numbers is None else numbers
    return [network.parameters[number].name for number in numbers]


NAMED = [
    Dense(5, name="head"), LayerNorm(), Residual([Dense(5, name="in"), Dense(5)], name="block"),
    Dense(3, "identity"),
]  # fmt: skip


@pytest.mark.parametrize("pattern, fitting", [
    ("head", ["head.weight", "head.bias"]),
    ("head.weight", ["head.weight"]),
    ("*.bias", ["head.bias", "block.in.bias", "block.1.bias", "output.bias"]),
    ("block", ["block.in.weight", "block.1.weight", "block.in.bias", "block.1.bias"]),
    ("block.in", ["block.in.weight", "block.in.bias"]),
    ("block.?.bias", ["block.1.bias"]),
    ("layernorm_*", ["layernorm_1.gamma", "layernorm_1.beta"]),
    ("out*", ["output.weight", "output.bias"]),
])  # fmt: skip
def test_patterns(pattern, fitting):
    network = network_of(*NAMED)
    assert sorted(names(network, network.matching(pattern))) == sorted(fitting)


@pytest.mark.parametrize("pattern", ["ead", "bias", "block.2", "head.", ""])
def test_patterns_that_fit_nothing(pattern):
    with pytest.raises(ValueError, match=r"no parameter's name fits.*block\.in\.weight"):
        network_of(*NAMED).matching(pattern)


def test_names_are_the_estimators():
    net = BackpropClassifier(layers=NAMED[:3], max_iter=2, random_state=0).fit(X, Y)
    assert sorted(net.weights_) == sorted(names(net._network))
    twin = clone(net).set_params(freeze=["block.in", "*.bias"], init_from=net.weights_).fit(X, Y)
    for name, array in twin.weights_.items():
        same = np.array_equal(array, net.weights_[name])
        assert same == (name.startswith("block.in") or name.endswith("bias")), name


@pytest.mark.parametrize("layers, message", [
    ([Dense(3, name="a"), Dense(3, name="a")], "two layers are named 'a'"),
    ([Sequential([Dense(3, name="a"), Dense(3, name="a")])], "two layers named 'a'"),
    ([Dense(3, name="a.b")], "'name' parameter of Dense"),
    ([Dense(3, name="1")], "'name' parameter of Dense"),
    ([Dense(3, name="")], "'name' parameter of Dense"),
])  # fmt: skip
def test_names_that_are_none(layers, message):
    with pytest.raises(ValueError, match=message):
        BackpropClassifier(layers=layers).fit(X, Y)


# ------------------------------------------------------------ ties


def tied(dtype=np.float64):
    return network_of(
        Embedding(6, 3, name="tokens"), Dense(3, "tanh"), Tied("tokens.weight", 6), shape=(4,),
        dtype=dtype,
    )  # fmt: skip


def test_a_tied_layer_has_the_gradient_of_both_uses():
    network, rng = tied(), np.random.default_rng(0)
    network.params[...] = rng.normal(size=network.params.size)
    codes, dy = rng.integers(0, 6, (5, 4)).astype(float), rng.normal(size=(5, 4, 6))
    workspace = Workspace(network, 5)

    def value(params):
        kept = network.params.copy()
        network.params[...] = params
        found = (network.forward(codes, workspace) * dy).sum()
        network.params[...] = kept
        return found

    for _ in range(2):  # what is left of the first pass must not count
        network.forward(codes, workspace)
        network.backward(dy.copy(), workspace)
    grads, params = workspace.grads.copy(), network.params.copy()
    for direction in (*rng.normal(size=(4, params.size)), grads):
        numeric = (value(params + 1e-6 * direction) - value(params - 1e-6 * direction)) / 2e-6
        assert numeric == pytest.approx(grads @ direction, rel=1e-6)


def test_a_tied_layer_before_its_owner_is_reached_where_all_else_is_frozen():
    network = network_of(
        Tied("late.weight", 5), Dense(5, "tanh"), Dense(4, name="late"), Dense(2, "identity")
    )
    network.init(np.random.RandomState(0))
    x, dy = np.random.default_rng(0).normal(size=(3, 4)), np.ones((3, 2))

    def gradient():
        workspace = Workspace(network, 3)
        network.forward(x, workspace)
        network.backward(dy.copy(), workspace)
        return workspace.views[2]["weight"].copy()

    whole, late = gradient(), set(network.matching("late.weight"))
    network.freeze(set(range(len(network.parameters))) - late)
    np.testing.assert_array_equal(gradient(), whole)


def test_a_tied_layer_stays_tied():
    for network in (tied(), pickle.loads(pickle.dumps(tied())), copy.deepcopy(tied())):
        network.views[0]["weight"][2] = 7.0
        np.testing.assert_array_equal(network.views[2]["table"][2], 7.0)
        assert "output.table" not in network.by_name()


@pytest.mark.parametrize("layer, message", [
    (Tied("tokens.weight", 7), r"output\.table is tied to tokens\.weight, of shape \(6, 3\)"),
    (Tied("token.weight", 6), r"output\.table is tied to 'token\.weight'.*tokens\.weight"),
])  # fmt: skip
def test_ties_that_do_not_fit(layer, message):
    with pytest.raises(ValueError, match=message):
        network_of(Embedding(6, 3, name="tokens"), layer)


def test_a_sequence_model_with_tied_symbols():
    rng = np.random.default_rng(0)
    codes = 1 + (np.arange(9) + rng.integers(4, size=(200, 1))) % 4
    layers = [
        Embedding(5, 12, name="tokens"),
        GRU(12, return_sequences=True),
        Tied("tokens.weight", 5),
    ]
    model = BackpropSequenceModel(
        layers, batch_size=20, learning_rate_init=0.01, max_iter=15, random_state=0
    ).fit(codes)
    assert model.perplexity(codes) < 1.3
    assert model.sample(start=[1, 2], n_steps=3, top_k=1).tolist() == [[1, 2, 3, 4, 1]]
    np.testing.assert_allclose(model.predict_proba(codes).sum(axis=1), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="5 symbols"):
        clone(model).set_params(layers=[*layers[:2], Tied("tokens.weight", 4)]).fit(codes)


# ------------------------------------------------------------ what changes as training goes on


class Note(Schedule):
    """Halves each epoch, and notes when it was asked."""

    def __init__(self, seen=None):
        self.seen = seen

    def __call__(self, progress, initial):
        SEEN.append((progress.epochs, progress.updates))
        return initial / 2**progress.epochs


SEEN: list = []


@pytest.mark.parametrize("layers", [
    [Dropout(Scheduled(Note(), 0.5))], [GaussianNoise(Scheduled(Note(), 0.5))],
    [CodeDropout(Scheduled(Note(), 0.5)), Embedding(200, 3), Flatten()],
    [Reshape((4, 1)), Dense(4), MultiHeadAttention(2, dropout=Scheduled(Note(), 0.5)), Flatten()],
    [Reshape((4, 1)), Dense(4), TransformerEncoder(2, 3, dropout=Scheduled(Note(), 0.5)),
     Flatten()],
    [Reshape((4, 1)), LSTM(3, num_layers=2, dropout=Scheduled(Note(), 0.5))],
], ids=lambda layers: type(layers[-2] if len(layers) > 1 else layers[0]).__name__)  # fmt: skip
def test_rates_that_fall(layers):
    SEEN.clear()
    rows = np.abs(np.floor(X * 10)) if isinstance(layers[0], CodeDropout) else X
    BackpropClassifier(layers=layers, batch_size=50, max_iter=2, random_state=0).fit(rows, Y)
    assert sorted(set(SEEN)) == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (1, 5)]


def test_a_scheduled_rate_is_the_rate():
    layer, x, rng = Dropout(Scheduled("polynomial", 0.8)), np.ones((400, 50)), np.random.default_rng
    network, workspace = (
        network_of(layer, shape=(50,)),
        Workspace(Network([layer], (50,), float), 400),
    )
    for updates, rate in ((0, 0.8), (5, 0.4), (10, 0.0)):
        progress = Progress(updates=updates, total_updates=10)
        y = network.forward(x, workspace, rng(0), progress)
        assert (y == 0).mean() == pytest.approx(rate, abs=0.02)
        assert y.mean() == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(network.forward(x, workspace), x)


@pytest.mark.parametrize("bad", [
    Scheduled("cosine", 1.0), Scheduled("cosine", -0.1), Scheduled("never", 0.5), "cosine", None,
    Scheduled(Scheduled, 0.5),
], ids=str)  # fmt: skip
def test_rates_that_are_none(bad):
    with pytest.raises(ValueError, match=r"'(rate|schedule)' parameter of (Dropout|Scheduled)"):
        Dropout(bad).check()


def test_a_schedule_of_weight_decay_by_hand():
    class Halves(Schedule):
        def __call__(self, progress, initial):
            return initial / 2**progress.updates

    params = {
        "hidden_layer_sizes": (), "alpha": 0.0, "batch_size": 150, "max_iter": 3,
        "learning_rate_init": 0.1, "random_state": 0, "dtype": "float64",
    }  # fmt: skip
    y = X[:, 0]
    solver = Adam(weight_decay=Scheduled(Halves(), 0.5), clip_norm=1e-300, epsilon=1.0)
    net = BackpropRegressor(**params, solver=solver).fit(X, y)
    start = BackpropRegressor(**{**params, "max_iter": 1, "learning_rate_init": 1e-300}).fit(X, y)
    factor = (1 - 0.1 * 0.5) * (1 - 0.1 * 0.25) * (1 - 0.1 * 0.125)
    np.testing.assert_allclose(net.coefs_[0], factor * start.coefs_[0], rtol=1e-10)


# ------------------------------------------------------------ what diverges is not handed out


class Overflow(Layer):
    """Lets everything pass; from the second epoch on it ruins weights, state or outputs."""

    stochastic = True

    def __init__(self, what, name=None):
        self.what = what
        self.name = name

    def param_shapes(self, input_shape):
        return {"weight": (1,)}

    def state_shapes(self, input_shape):
        return {"running": (1,)}

    def init(self, p, input_shape, rng, x=None):
        p["weight"][...], p["running"][...] = 1.0, 1.0

    def forward(self, x, p, w, ctx):
        if ctx.training and ctx.progress.samples:
            p["running"][...] = np.inf if self.what == "state" else -1
        if not ctx.training and self.what == "outputs" and p["running"][0] < 0:
            return x * np.inf
        return x.copy()

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        late = p["running"][0] < 0 and self.what == "weights"
        g["weight"][...] = np.inf if late else 0.0
        return dy


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("what", ["weights", "state", "outputs"])
@pytest.mark.parametrize("early_stopping", [False, True, "refit"])
def test_nothing_that_is_not_finite_is_handed_out(what, early_stopping, method):
    net = BackpropRegressor(
        layers=[Dense(5), Overflow(what)], batch_size=30, max_iter=5, random_state=0,
        early_stopping=early_stopping, solver="sgd", n_iter_no_change=99,
    )  # fmt: skip
    if early_stopping and method == "fit":  # the first epoch was good
        net.fit(X, X[:, 0])
        assert net.best_epoch_ == 1
        assert np.isfinite(net.predict(X)).all()
        return
    with pytest.raises(DivergenceError, match="diverged"):
        for _ in range(3):
            getattr(net, method)(X, X[:, 0])
    if method == "fit":
        assert not hasattr(net, "n_iter_")
    else:
        assert np.isfinite(net.predict(X)).all()  # as it was before


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("hidden", [
    [Dense(50), Dense(50)],
    [Reshape((4, 1)), Dense(4), TransformerEncoder(2, 8, norm="post"), SequencePool()],
    [Reshape((1, 2, 2)), Conv2D(3, 2, activation="identity"), BatchNorm("relu"), Flatten()],
], ids=["dense", "transformer", "convolution"])  # fmt: skip
@pytest.mark.parametrize("rate, scale_of_rows", [(1.0, 10), (1e9, 1), (1e30, 1)])
def test_a_rate_far_too_high(rate, scale_of_rows, hidden, early_stopping):
    rows = X * scale_of_rows
    net = BackpropRegressor(
        layers=hidden, solver="sgd", learning_rate_init=rate, max_iter=2, random_state=0,
        early_stopping=early_stopping, dtype="float32", batch_size=75,
    )  # fmt: skip
    try:
        net.fit(rows, 10 * X[:, 0])
    except DivergenceError:
        return
    with np.errstate(over="ignore"):
        assert np.isfinite(net.predict(rows)).all()


# ------------------------------------------------------------ merging, in any container


@pytest.mark.parametrize("hold", [
    lambda layer: [layer], lambda layer: [Residual([layer])],
    lambda layer: [Parallel([layer, Dense(4)])], lambda layer: [Sequential([Residual([layer])])],
    lambda layer: [Residual([Dense(4), Residual([layer, Dense(4, name="last")])])],
], ids=["alone", "residual", "parallel", "sequential", "nested"])  # fmt: skip
def test_merge_lora_reaches_every_container(hold):
    net = BackpropClassifier(
        layers=hold(LoRA(Dense(4), rank=2)), max_iter=5, random_state=0, learning_rate_init=0.05
    ).fit(X, Y)
    merged = net.merge_lora()
    assert "LoRA" not in repr(merged.layers)
    np.testing.assert_allclose(merged.predict_proba(X), net.predict_proba(X), rtol=1e-6)


# ------------------------------------------------------------ what a pass computes, and does not


def test_the_first_layer_computes_no_gradient_of_its_input():
    asked = []

    class Spy(Dense):
        def backward(self, dy, x, p, g, w, ctx, need_dx=True):
            asked.append(need_dx)
            return super().backward(dy, x, p, g, w, ctx, need_dx)

    for layers in (
        [Spy(3), Spy(3)], [Sequential([Spy(3), Spy(3)])], [Parallel([Spy(3)]), Spy(3)],
        [Sequential([Sequential([Spy(3)]), Spy(3)])],
    ):  # fmt: skip
        network, x = network_of(*layers), np.ones((2, 4))
        workspace = Workspace(network, 2)
        asked.clear()
        network.forward(x, workspace)
        network.backward(np.ones((2, 3)), workspace)
        assert asked == [True, False]


def test_absent_steps_are_found_once_and_refused_by_name():
    ctx = Pass()
    ctx.absent = np.array([[False, True], [False, False]])
    with pytest.raises(ValueError, match=r"PositionalEncoding.*row 0 of its batch, step 1"):
        ctx.refuse(PositionalEncoding())


def test_the_position_of_a_part_of_a_step_is_named():
    x = np.random.default_rng(0).normal(size=(6, 3, 2))
    net = BackpropClassifier(layers=[GRU(3)], max_iter=2).fit(x, [0, 1] * 3)
    x[4, 2, 1] = np.nan
    for method in (net.predict, lambda x: net.fit(x, [0, 1] * 3)):
        with pytest.raises(ValueError, match=r"a part of step 2 .*of row 4"):
            method(x)


def test_first_values_that_are_not_finite():
    layers = [Dense(1, initializer=GlorotUniform(factor=1e300))]
    net = BackpropRegressor(layers=layers, dtype="float32", random_state=0)
    with pytest.raises(ValueError, match=r"first values of 'dense_0\.weight' are not finite in fl"):
        net.fit(np.eye(2), [1, 2])


def test_warnings_are_those_of_convergence_only():
    with pytest.warns(ConvergenceWarning):
        BackpropClassifier(max_iter=1, random_state=0).fit(X, Y)


def test_state_counts_for_being_finite():
    network = Network([BatchNorm()], (2,), np.float64)
    network.init(np.random.RandomState(0))
    assert network.finite
    network.state[-1] = np.inf  # a running variance
    assert not network.finite
    network.state[-1], network.params[0] = 1.0, np.nan
    assert not network.finite


@pytest.mark.parametrize("layer", [Dense(3, "tanh", ntk=True), MemberDense(3, 2, "tanh", ntk=True)])
def test_gradients_in_the_neural_tangent_parametrization(layer):
    rng = np.random.default_rng(0)
    network = Network([Scale(), layer], (4,), np.float64)
    network.init(np.random.RandomState(0))
    x = rng.normal(size=(6, 4))
    workspace = Workspace(network, 6)
    dy = rng.normal(size=network.forward(x, workspace).shape)
    network.backward(dy.copy(), workspace)
    found, params = workspace.grads.copy(), network.params
    for i in range(params.size):
        values, at = [], params[i]
        for step in (1e-6, -1e-6):
            params[i] = at + step
            values.append(float((dy * network.forward(x, workspace)).sum()))
        params[i] = at
        assert found[i] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-6, abs=1e-8)


class Odd(Layer):
    """Says and returns what a test wants."""

    def __init__(self, shape=None, output=None, name=None):
        self.shape = shape
        self.output = output
        self.name = name

    def output_shape(self, input_shape):
        return self.shape(input_shape) if self.shape else input_shape

    def forward(self, x, p, w, ctx):
        return self.output(x) if self.output else x

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return dy


@pytest.mark.parametrize("shape", [None, 4, (4.5,), (-1,), (0,), "ab"], ids=repr)
@pytest.mark.parametrize("inside", [False, True])
def test_shapes_that_a_layer_cannot_mean(shape, inside):
    layer = Odd(shape=lambda _: shape)
    layers = [Residual([layer])] if inside else [layer]
    with pytest.raises(ValueError, match=r"Odd.*output_shape returned"):
        Network(layers, (3,), np.float64)


@pytest.mark.parametrize("output, told", [
    (lambda x: None, "NoneType"), (lambda x: x.tolist(), "list"), (lambda x: x[:, :1], "(4, 1)"),
    (lambda x: x.astype(object), "object"), (lambda x: x.astype(np.float16), "float16"),
    (lambda x: x[:1], "(1, 3)"),
])  # fmt: skip
def test_outputs_that_a_layer_did_not_promise(output, told):
    network = Network([Odd(output=output)], (3,), np.float64)
    with pytest.raises(ValueError, match=r"Odd.*forward returned") as error:
        network.forward(np.ones((4, 3)), Workspace(network, 4))
    assert told in str(error.value)


class Narrow(Initializer):
    """Draws one row for all, which NumPy would repeat."""

    def weight(self, shape, fan_in, fan_out, rng):
        return np.ones(shape[-1])


@pytest.mark.parametrize("layer, shape", [
    (Dense(2, initializer=Narrow()), (3,)), (Conv1D(2, 2, initializer=Narrow()), (5, 3)),
    (GRU(2, initializer=Narrow()), (5, 3)), (Embedding(4, 2, initializer=Narrow()), (5,)),
    (MemberDense(2, 4, initializer=Narrow()), (3,)),
    (LoRA(Dense(2), 1, initializer=Narrow()), (3,)),
])  # fmt: skip
def test_first_weights_are_not_repeated(layer, shape):
    network = Network([layer], shape, np.float64)
    with pytest.raises(ValueError, match=r"Narrow\(\): weight returned an array of shape"):
        network.init(np.random.RandomState(0))
