"""Recurrent layers: against torch, with absent steps, in stacks and in training."""

import copy
import itertools
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from _common import pairs

from skbp import _kernels as kernels
from skbp._engine.network import Network
from skbp._engine.objective import predict_raw
from skbp._engine.workspace import Workspace
from skbp.activations import ACTIVATIONS, Activation
from skbp.layers import GRU, LSTM, RNN, Dense, Layer
from skbp.layers.recurrent import _cell
from skbp.optimizers import Adam

GOLDENS = dict(np.load(Path(__file__).parent / "goldens" / "recurrent.npz"))
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}
DTYPES = list(TOLERANCE)
KINDS = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
UNITS, N, TIME, FEATURES = 2, 5, 4, 3
each_kind = pytest.mark.parametrize("kind", KINDS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def network_of(*layers, input_shape=(TIME, FEATURES), dtype=np.float64):
    network = Network(list(layers), input_shape, dtype)
    network.init(np.random.RandomState(0))
    return network


def with_gaps(x, lengths):
    """Return x with NaN after each sequence's length."""
    x = x.copy()
    for row, length in zip(x, lengths, strict=True):
        row[length:] = np.nan
    return x


def backward(network, workspace, dy):
    """Go back through a network of one layer; returns the gradient of its input."""
    x, (p,), (g,) = workspace.inputs[0], network.views, workspace.views
    work = workspace.rows(len(dy))[0]
    return network.layers[0].backward(dy, x, p, g, work, workspace.ctx)


# ------------------------------------------------------------ against torch


def cells_of_torch(flat, kind, levels, directions):
    """Yield prefix and parameters of each cell, in our layout, from torch's in one vector."""
    rest, width, units = flat, GATES[kind] * UNITS, UNITS
    for level in range(levels):
        inputs = directions * units if level else FEATURES
        for prefix in (f"{level}.", f"{level}_reverse.")[:directions]:
            parts = []
            for size in (inputs * width, units * width, width, width):
                parts.append(rest[:size])
                rest = rest[size:]
            weight_input, weight_hidden, bias, other = parts
            yield prefix, {
                "weight_input": weight_input.reshape(width, inputs).T,
                "weight_hidden": weight_hidden.reshape(width, units).T,
                "bias": bias, "other": other,
            }  # fmt: skip
    assert not len(rest)


def parameters_of_torch(flat, kind, levels, directions):
    """Return our parameters by name: two biases that are always added are one."""
    params = {}
    for prefix, cell in cells_of_torch(flat, kind, levels, directions):
        bias, other = cell["bias"].copy(), cell.pop("other")
        if kind == "gru":
            cell["bias_hidden"] = other[2 * UNITS :]
            bias[: 2 * UNITS] += other[: 2 * UNITS]
        else:
            bias += other
        params |= {prefix + name: value for name, value in (cell | {"bias": bias}).items()}
    return params


def gradients_of_torch(flat, kind, levels, directions):
    """Return gradients by our names."""
    grads = {}
    for prefix, cell in cells_of_torch(flat, kind, levels, directions):
        other = cell.pop("other")
        if kind == "gru":
            cell["bias_hidden"] = other[2 * UNITS :]
        grads |= {prefix + name: value for name, value in cell.items()}
    return grads


@pairs(
    case=list(itertools.product(KINDS, (1, 2), ("whole", "packed"))), levels=(1, 2),
    sequences=(True, False), dtype=DTYPES,
)  # fmt: skip
def test_it_is_torch(case, levels, sequences, dtype):
    kind, directions, lengths = case
    key, form = f"{kind}-{levels}-{directions}", (kind, levels, directions)
    layer = KINDS[kind](
        UNITS, return_sequences=sequences, bidirectional=directions == 2, num_layers=levels
    )
    network = network_of(layer, dtype=dtype)
    params = parameters_of_torch(GOLDENS[f"{key}-params"], *form)
    assert set(params) == set(network.views[0])
    for name, value in params.items():
        network.views[0][name][...] = value
    x = GOLDENS["x"].astype(dtype)
    if lengths == "packed":
        x = with_gaps(x, GOLDENS["lengths"])
    x.flags.writeable = False
    workspace = Workspace(network, N)
    expected = {
        name: GOLDENS[f"{key}-{lengths}-{name}"]
        for name in ("y", "last", "dy-x", "dy-params", "d_last-x", "d_last-params")
    }
    out, cotangent = ("y", "dy") if sequences else ("last", "d_last")
    y = network.forward(x, workspace)
    assert y.dtype == dtype
    absent = np.isnan(x).all(axis=2)
    if sequences:
        found = workspace.ctx.absent
        assert not absent.any() if found is None else np.array_equal(found, absent)
        y = np.where(absent[..., None], 0, y)
    tolerance = {"rtol": 0, "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(y, expected[out], **tolerance)
    dy = GOLDENS[cotangent][..., : directions * UNITS].astype(dtype)
    if sequences:
        dy[absent] = np.nan  # must not matter
    dx = backward(network, workspace, dy)
    np.testing.assert_allclose(dx, expected[f"{cotangent}-x"], **tolerance)
    assert not dx[absent].any()
    for name, grad in gradients_of_torch(expected[f"{cotangent}-params"], *form).items():
        np.testing.assert_allclose(workspace.views[0][name], grad, err_msg=name, **tolerance)
    inference = network.forward(x, Workspace(network, N, training=False))
    np.testing.assert_allclose(inference, expected[out], **tolerance)


@pytest.mark.parametrize(
    "n, units, width, whole",
    [(32, 64, 256, True), (32, 128, 512, False), (64, 128, 512, False), (64, 512, 128, True),
     (33, 130, 520, False), (33, 131, 393, True), (512, 128, 512, True)],
)  # fmt: skip
def test_the_product_of_a_step(n, units, width, whole):
    rng = np.random.default_rng(0)
    h, weight = rng.normal(size=(n, units)), rng.normal(size=(units, width))
    for form in (weight, np.asfortranarray(weight)):
        pieces = _cell.pieces_of(form, n, np.full(weight.shape, np.nan))
        out = np.full((n, width), np.nan)
        kernels.product(h, pieces, out)
        np.testing.assert_allclose(out, h @ weight, atol=1e-11)
        assert (len(pieces) == 1) == whole
        assert pieces.flags.c_contiguous
    assert np.shares_memory(_cell.pieces_of(weight, 1, np.empty_like(weight)), weight)


# ------------------------------------------------------------ absent steps


@pytest.mark.parametrize("bidirectional", [False, True])
@each_kind
def test_an_absent_step_may_be_anywhere_and_is_as_if_it_were_not_there(kind, bidirectional):
    x = np.random.default_rng(0).normal(size=(1, 3, FEATURES))
    spread = np.full((1, 7, FEATURES), np.nan)
    spread[0, [1, 2, 5]] = x[0]
    outputs = []
    for sequence in (x, spread):
        for sequences in (False, True):
            layer = KINDS[kind](4, return_sequences=sequences, bidirectional=bidirectional)
            network = network_of(layer, input_shape=sequence.shape[1:])
            outputs.append(network.forward(sequence, Workspace(network, 1)).copy())
    last, y, last_spread, y_spread = outputs
    np.testing.assert_allclose(last_spread, last, rtol=1e-12)
    np.testing.assert_allclose(y_spread[0, [1, 2, 5]], y[0], rtol=1e-12)
    assert np.isfinite(y_spread).all()


@pytest.mark.parametrize("sequences", [True, False])
@each_kind
def test_rows_do_not_depend_on_each_other(kind, sequences):
    # the batch is sorted by length: every row must come back to its place
    rng = np.random.default_rng(0)
    x = with_gaps(rng.normal(size=(9, TIME, FEATURES)), [4, 0, 2, 4, 1, 3, 3, 0, 4])
    x[3, 0] = np.nan
    network = network_of(
        KINDS[kind](UNITS, return_sequences=sequences, bidirectional=True, num_layers=2)
    )
    workspace = Workspace(network, 9)
    y = network.forward(x, workspace).copy()
    dy = rng.normal(size=y.shape)
    dx, grads = backward(network, workspace, dy.copy()).copy(), workspace.grads.copy()
    sums = np.zeros_like(grads)
    for i in range(9):
        row = network.forward(x[i : i + 1], workspace)
        np.testing.assert_allclose(row, y[i : i + 1], rtol=1e-12)
        own = backward(network, workspace, dy[i : i + 1].copy())
        np.testing.assert_allclose(own, dx[i : i + 1], rtol=1e-10, atol=1e-14)
        sums += workspace.grads
    np.testing.assert_allclose(grads, sums, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("sequences", [True, False])
@each_kind
def test_a_batch_without_any_step(kind, sequences):
    network = network_of(KINDS[kind](UNITS, return_sequences=sequences, num_layers=2, dropout=0.5))
    workspace = Workspace(network, N)
    y = network.forward(np.full((N, TIME, FEATURES), np.nan), workspace, np.random.default_rng(0))
    assert workspace.ctx.absent.all() if sequences else not y.any()
    assert np.isfinite(y).all()
    dx = backward(network, workspace, np.ones_like(y))
    assert dx.shape == (N, TIME, FEATURES)
    assert not dx.any()
    assert not workspace.grads.any()


@each_kind
def test_a_step_that_lacks_some_features_is_not_absent(kind):
    # what it means is not for the layer to guess: the result says that something is missing
    x = np.zeros((2, TIME, FEATURES))
    x[0, 1, :2] = np.nan
    x[1, 1, 1:] = np.nan
    network = network_of(KINDS[kind](UNITS))
    assert np.isnan(network.forward(x, Workspace(network, 2))).all()


@each_kind
def test_absent_steps_pass_on_through_a_stack(kind):
    x = with_gaps(GOLDENS["x"], GOLDENS["lengths"])
    make = KINDS[kind]
    stack = network_of(make(UNITS, return_sequences=True, bidirectional=True), make(UNITS))
    levels = network_of(make(UNITS, return_sequences=True, bidirectional=True, num_layers=1))
    twin = network_of(make(UNITS), input_shape=(TIME, 2 * UNITS))
    levels.params[...] = np.concatenate(_penalized_then_not(stack, 0))
    twin.params[...] = np.concatenate(_penalized_then_not(stack, 1))
    middle = levels.forward(x, Workspace(levels, N))
    middle[np.isnan(x[..., 0])] = np.nan
    expected = twin.forward(np.ascontiguousarray(middle), Workspace(twin, N))
    np.testing.assert_allclose(stack.forward(x, Workspace(stack, N)), expected, rtol=1e-12)


def _penalized_then_not(network, index):
    penalized = network.layers[index].penalized
    views = network.views[index]
    names = [*(name for name in views if name in penalized),
             *(name for name in views if name not in penalized)]  # fmt: skip
    return [views[name].ravel() for name in names]


# ------------------------------------------------------------ gradients


class Flatten(Layer):
    """Rows as vectors, with zeros for absent steps."""

    absent = "leave out"

    def output_shape(self, input_shape):
        return (int(np.prod(input_shape)),)

    def forward(self, x, p, w, ctx):
        ctx.cache[self], ctx.absent, y = ctx.absent, None, x.copy()
        if ctx.cache[self] is not None:
            y[ctx.cache[self]] = 0
        return np.ascontiguousarray(y).reshape(len(x), -1)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dx = dy.reshape(x.shape)
        if ctx.cache[self] is not None:
            dx[ctx.cache[self]] = 0
        return dx


class Square(Activation):
    """Its derivative needs z."""

    needs_input = True

    def apply(self, z, out):
        np.square(z, out=out)

    def gradient(self, dy, y, z):
        dy *= 2 * z


STACKS = {
    "last": lambda make: [make(4)],
    "sequences": lambda make: [make(3, return_sequences=True), Flatten()],
    "both ways": lambda make: [make(3, bidirectional=True)],
    "levels": lambda make: [make(3, num_layers=3, bidirectional=True, dropout=0.3)],
    "stack": lambda make: [
        make(3, return_sequences=True, num_layers=2, dropout=0.4), make(2, bidirectional=True),
    ],
    "stack both ways": lambda make: [
        make(3, return_sequences=True, bidirectional=True), make(2, return_sequences=True),
        Flatten(), Dense(4, "tanh"),
    ],
}  # fmt: skip


def directional_error(layers, x, seed=0):
    """Largest relative error of the derivative of a sum of squares, and of that by x."""
    network = network_of(*layers, Dense(2, "identity"), input_shape=x.shape[1:])
    rng = np.random.default_rng(seed)
    network.params[...] = rng.normal(0, 0.7, network.params.size)
    workspace = Workspace(network, len(x) + 2)
    network.forward(rng.normal(size=(len(x) + 2, *x.shape[1:])), workspace)  # stale buffers

    def value(params):
        network.params[...] = params
        y = network.forward(x, workspace, np.random.default_rng(5))
        return 0.5 * float((y**2).sum()), y

    start = network.params.copy()
    network.backward(value(start)[1].copy(), workspace)
    grad, worst = workspace.grads.copy(), 0.0
    for direction in (*rng.normal(size=(3, start.size)), grad / np.linalg.norm(grad)):
        step = 1e-6 * direction
        numeric = (value(start + step)[0] - value(start - step)[0]) / 2e-6
        worst = max(worst, abs(numeric - grad @ direction) / max(1e-3, abs(numeric)))
    return worst


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("stack", STACKS)
@each_kind
def test_gradients_in_stacks(kind, stack, gaps):
    x = np.random.default_rng(3).normal(size=(6, 5, 3))
    if gaps:
        x = with_gaps(x, [5, 2, 0, 4, 1, 5])
        x[0, 0] = x[3, 1] = np.nan
    assert directional_error(STACKS[stack](KINDS[kind]), x) < 1e-6


@pytest.mark.parametrize("activation", [*ACTIVATIONS, Square()], ids=str)
def test_gradient_of_rnn_with_each_activation(activation):
    x = with_gaps(np.random.default_rng(3).normal(size=(6, 3, 3)), [3, 2, 0, 1, 1, 3])
    assert directional_error([RNN(4, activation)], x) < 1e-6


@each_kind
def test_gradient_of_the_input(kind):
    x = with_gaps(GOLDENS["x"], GOLDENS["lengths"])
    network = network_of(KINDS[kind](UNITS, bidirectional=True, num_layers=2))
    workspace = Workspace(network, N)
    y = network.forward(x, workspace).copy()
    dx = backward(network, workspace, y.copy()).copy()
    direction = np.random.default_rng(0).normal(size=x.shape)
    values = [
        0.5 * (network.forward(x + step * direction, workspace) ** 2).sum()
        for step in (1e-6, -1e-6)
    ]
    assert (dx * direction).sum() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-7)
    assert network.layers[0].backward(
        y, x, network.views[0], workspace.views[0], workspace.rows(N)[0], workspace.ctx,
        need_dx=False,
    ) is None  # fmt: skip


# ------------------------------------------------------------ the contract


@pytest.mark.parametrize("shape", [(12,), (1, 28, 28)])
@each_kind
def test_the_wrong_shape_is_named(kind, shape):
    layer = KINDS[kind](3)
    message = rf"{type(layer).__name__} got rows of shape \({shape[0]},.*\(time, features\)"
    with pytest.raises(ValueError, match=message):
        layer.output_shape(shape)
    with pytest.raises(ValueError, match=message):
        Network([layer], shape, np.float64)


@pytest.mark.parametrize(
    "params",
    [{"units": 0}, {"units": 2.5}, {"num_layers": 0}, {"dropout": 1.0}, {"bidirectional": "yes"},
     {"return_sequences": 1}],
)  # fmt: skip
@each_kind
def test_invalid_parameters(kind, params):
    with pytest.raises(ValueError, match=f"{next(iter(params))!r} parameter of"):
        KINDS[kind](**{"units": 3, **params}).check()


@each_kind
def test_first_values(kind):
    network = network_of(KINDS[kind](8), input_shape=(TIME, 5))
    p = network.views[0]
    for gate in np.split(p["0.weight_hidden"], GATES[kind], axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(8), atol=1e-12)
    bound = np.sqrt(6 / (5 + 8))
    assert 0.9 * bound < abs(p["0.weight_input"]).max() < bound
    forget = np.repeat([0, 1, 0, 0], 8) if kind == "lstm" else 0
    np.testing.assert_array_equal(p["0.bias"], forget)
    assert network.n_penalized == p["0.weight_input"].size + p["0.weight_hidden"].size


@each_kind
def test_dropout_between_levels_acts_in_training_only(kind):
    x = GOLDENS["x"]
    dropped = network_of(KINDS[kind](4, num_layers=2, dropout=0.5))
    plain = network_of(KINDS[kind](4, num_layers=2))
    assert dropped.stochastic
    assert not plain.stochastic
    assert not KINDS[kind](4, dropout=0.5).stochastic  # there is nothing between
    workspace = Workspace(dropped, N)
    expected = plain.forward(x, Workspace(plain, N)).copy()
    np.testing.assert_array_equal(dropped.forward(x, workspace), expected)
    masked = dropped.forward(x, workspace, np.random.default_rng(0)).copy()
    assert abs(masked - expected).max() > 1e-3
    again = dropped.forward(x, workspace, np.random.default_rng(0))
    np.testing.assert_array_equal(again, masked)


@each_kind
def test_copies(kind):
    network = network_of(KINDS[kind](4, bidirectional=True, num_layers=2))
    y = network.forward(GOLDENS["x"], Workspace(network, N)).copy()
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        np.testing.assert_array_equal(twin.forward(GOLDENS["x"], Workspace(twin, N)), y)
        assert all(np.shares_memory(view, twin.params) for view in twin.views[0].values())


@pytest.mark.parametrize("form", ["batch first", "time first", "strided"])
@each_kind
def test_any_memory_order_is_read_and_none_written(kind, form):
    x = {
        "batch first": GOLDENS["x"].copy(),
        "time first": GOLDENS["x"].transpose(1, 0, 2).copy().transpose(1, 0, 2),
        "strided": np.repeat(GOLDENS["x"], 2, axis=2)[:, :, ::2],
    }[form]
    x.flags.writeable = False
    network = network_of(KINDS[kind](UNITS, return_sequences=True))
    workspace = Workspace(network, N)
    expected = network.forward(GOLDENS["x"], workspace).copy()
    np.testing.assert_array_equal(network.forward(x, workspace), expected)
    backward(network, workspace, np.ones_like(expected))


@each_kind
def test_a_batch_allocates_nothing_of_its_own_size(kind):
    layers = KINDS[kind](32, return_sequences=True, num_layers=2), KINDS[kind](32)
    network = network_of(*layers, input_shape=(20, 8), dtype=np.float32)
    workspace = Workspace(network, 128)
    x = np.random.default_rng(0).normal(size=(128, 20, 8)).astype(np.float32)
    for _ in range(2):
        tracemalloc.start()
        y = network.forward(x, workspace)
        network.backward(np.ones_like(y), workspace)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 128 * 20 * 32 * 4 / 3  # a third of one layer's states


@each_kind
def test_inference_keeps_no_step_s_gates(kind):
    network = network_of(KINDS[kind](32), input_shape=(20, 8), dtype=np.float32)
    sizes = [
        sum(array.nbytes for array in Workspace(network, 64, training).rows(64)[0].values())
        for training in (True, False)
    ]
    assert sizes[1] < sizes[0] / 5


@each_kind
def test_it_learns_what_happened_at_the_first_step(kind):
    rng = np.random.default_rng(0)
    x = with_gaps(rng.normal(size=(300, 6, 2)), rng.integers(1, 7, 300)).astype(np.float32)
    target = (x[:, 0, 0] > 0).astype(np.float32)[:, None]
    network = network_of(KINDS[kind](8), Dense(1, "identity"), input_shape=(6, 2), dtype=np.float32)
    workspace, optimizer = Workspace(network, 300), Adam()
    state = optimizer.init_state(network.params)
    for t in range(1, 121):
        dy = network.forward(x, workspace) - target
        network.backward(dy / 150, workspace)
        optimizer.step(network.params, workspace.grads, state, 0.03, t)
    right = (predict_raw(network, x) > 0.5) == target
    assert right.mean() > 0.95
