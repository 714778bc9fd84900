"""Gradients: every layer, activation and loss, in stacks, against central differences."""

import inspect

import numpy as np
import pytest
from _common import pairs
from scipy.sparse import csr_array
from scipy.special import huber
from scipy.stats import norm
from sklearn.metrics import (
    hinge_loss,
    log_loss,
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
    mean_tweedie_deviance,
)

import skbp._engine.objective as objective_module
from skbp._engine.batches import CSR, Batch, Data
from skbp._engine.network import Network
from skbp._engine.objective import Objective
from skbp._engine.workspace import Workspace
from skbp.activations import ACTIVATIONS
from skbp.layers import (
    LAYERS,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LayerNorm,
    LoRA,
    MemberScale,
    Recurrent,
    Reshape,
    Sequential,
)
from skbp.layers._draws import Draws
from skbp.losses import LOSSES

STEP = 1e-6  # small enough that next to no relu kink lies within a step
TOLERANCE = 1e-6
ALPHA = 0.3
N_FEATURES = 4

# Every loss as it stands, with the kind of its targets; those of other faces behind a colon. The
# one for binary targets is that for multilabel ones.
FACES = {
    name: (loss(), "multiclass" if "multiclass" in loss.targets else loss.targets[-1])
    for name, loss in LOSSES.items()
}
FACES |= {
    f"{name}:multilabel": (LOSSES[name]().for_targets("multilabel"), "multilabel")
    for name in ("log_loss", "binary_log_loss", "focal", "hinge")
}
FACES |= {
    "log_loss:smoothed": (LOSSES["log_loss"](0.2), "multiclass"),
    "binary_log_loss:smoothed": (LOSSES["binary_log_loss"](0.2), "multilabel"),
    "quantile:several": (LOSSES["quantile"]([0.1, 0.5, 0.8]), "numbers"),
}

# A loss sees raw outputs only: every activation with two losses, every loss with one activation.
PAIRS = [
    (loss, activation)
    for loss in FACES
    for activation in ACTIVATIONS
    if loss in ("log_loss", "squared_error") or activation == "tanh"
]

# How to draw valid targets for n rows and k columns or classes: by kind, numbers by loss.
TARGETS = {
    "multiclass": lambda rng, n, k: rng.integers(0, k, n),
    "multilabel": lambda rng, n, k: rng.integers(0, 2, (n, k)).astype(float),
    "numbers": lambda rng, n, k: rng.normal(size=(n, k)),
    "binary_log_loss": lambda rng, n, k: rng.uniform(0, 1, (n, k)),
    "poisson": lambda rng, n, k: rng.poisson(1.5, (n, k)).astype(float),
    "gamma": lambda rng, n, k: rng.gamma(2, 0.5, (n, k)) + 0.1,
    "tweedie": lambda rng, n, k: rng.poisson(1.0, (n, k)) * rng.gamma(2, 0.5, (n, k)),
}


def draw_targets(rng, loss_name, n, k):
    kind = FACES[loss_name][1]
    return TARGETS[loss_name if kind == "numbers" and loss_name in TARGETS else kind](rng, n, k)


def by_column(metric, **settings):
    """Return a function that sums a metric of scikit-learn over columns."""
    return lambda y, p, w: sum(
        metric(y[:, j], p[:, j], sample_weight=w, **settings) for j in range(y.shape[1])
    )


def cross_entropy(q, p, w):
    return np.average(-(q * np.log(p)).sum(axis=1), weights=w)


def focal(p_right, w):
    losses = -((1 - p_right) ** 2) * np.log(p_right)
    return np.average(losses.reshape(len(w), -1).sum(axis=1), weights=w)


def hinge(y, scores, w):
    if scores.shape[1] == 2:
        return hinge_loss(y, scores[:, 1] - scores[:, 0], sample_weight=w, labels=[0, 1])
    return hinge_loss(y, scores, sample_weight=w, labels=np.arange(scores.shape[1]))


def pinball(levels):
    return lambda y, p, w: sum(
        by_column(mean_pinball_loss, alpha=level)(y, p.reshape(*y.shape, -1)[..., i], w)
        for i, level in enumerate(levels)
    )


# The loss as the textbook has it, from predictions, where possible by code that is not ours.
TEXTBOOK = {
    "log_loss": lambda y, p, w: log_loss(y, p, sample_weight=w, labels=np.arange(p.shape[1])),
    "log_loss:smoothed": lambda y, p, w: cross_entropy(
        0.8 * np.eye(p.shape[1])[y] + 0.2 / p.shape[1], p, w
    ),
    "binary_log_loss": lambda y, p, w: cross_entropy(np.c_[y, 1 - y], np.c_[p, 1 - p], w),
    "binary_log_loss:multilabel": by_column(log_loss, labels=[0, 1]),
    "log_loss:multilabel": by_column(log_loss, labels=[0, 1]),
    "binary_log_loss:smoothed": lambda y, p, w: cross_entropy(
        np.c_[0.8 * y + 0.1, 0.9 - 0.8 * y], np.c_[p, 1 - p], w
    ),
    "focal": lambda y, p, w: focal(p[np.arange(len(y)), y], w),
    "focal:multilabel": lambda y, p, w: focal(np.where(y > 0, p, 1 - p), w),
    "hinge": hinge,
    "hinge:multilabel": by_column(hinge_loss, labels=[0, 1]),
    "squared_error": lambda y, p, w: (
        mean_squared_error(y, p, sample_weight=w, multioutput="raw_values").sum() / 2
    ),
    "absolute_error": by_column(mean_absolute_error),
    "huber": lambda y, p, w: np.average(huber(1.0, y - p).sum(axis=1), weights=w),
    "log_cosh": lambda y, p, w: np.average(np.log(np.cosh(y - p)).sum(axis=1), weights=w),
    "quantile": pinball([0.5]),
    "quantile:several": pinball([0.1, 0.5, 0.8]),
    "poisson": lambda y, p, w: by_column(mean_poisson_deviance)(y, p, w) / 2,
    "gamma": lambda y, p, w: by_column(mean_gamma_deviance)(y, p, w) / 2,
    "tweedie": lambda y, p, w: by_column(mean_tweedie_deviance, power=1.5)(y, p, w) / 2,
    "gaussian_nll": lambda y, p, w: np.average(-norm.logpdf(y, p[0], p[1]).sum(axis=1), weights=w),
}


def of_loss(table, name):
    if name not in table:
        pytest.fail(f"the loss {name!r} is new: add it to TEXTBOOK in this file")
    return table[name]


class Shaped(Layer):
    """Gives rows another shape; the last `codes` values become codes, 0, 1 or 2."""

    def __init__(self, shape, codes=0):
        self.shape = shape
        self.codes = codes

    def output_shape(self, input_shape):
        return self.shape

    def forward(self, x, p, w, ctx):
        y = x.reshape(-1, *self.shape)
        if self.codes:
            y = y.copy()
            y[:, -self.codes :] = np.abs(np.round(3 * y[:, -self.codes :])) % 3
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dx = dy.reshape(x.shape)
        if self.codes:
            dx[:, -self.codes :] = 0  # rounding has no slope
        return dx


def shaped(name, layer):
    """Put a layer that takes codes, sequences or halves between others that make and read them."""
    if name in ("embedding", "token_embedding", "embedding_bag"):
        size = layer.dim * (1 if name == "embedding_bag" else 6)
        return Sequential([Dense(6), Shaped((6,), codes=6), layer, Shaped((size,))])
    if name == "category_embedding":
        return Sequential([Dense(5), Shaped((5,), codes=2), layer])
    if name == "feature_tokenizer":
        return Sequential([Dense(5), Shaped((5,), codes=2), layer, Shaped((6 * layer.dim,))])
    if name == "shared_dense":
        return Sequential([MemberScale(2), layer])
    if name == "glu":
        return Sequential([Dense(6, "tanh"), layer])
    if name in ("multi_head_attention", "positional_encoding", "transformer_encoder",
                "sequence_pool"):  # fmt: skip
        size = 4 if name == "sequence_pool" else 12
        return Sequential([Dense(12, "tanh"), Shaped((3, 4)), layer, Shaped((size,))])
    return layer


# All layers, save `Tied`, whose weights are those of another (tests/test_network.py); and `LoRA`
# around some, which has them itself around Dense; and branches that are multiplied.
NAMES = [
    *(name for name in LAYERS if name != "tied"),
    "lora:multi_head_attention",
    "lora:transformer_encoder",
    "lora:conv_2d",
    "learned:piecewise_linear_embedding",
    "product:parallel",
    "product:column_branch",
    "rotary:multi_head_attention",
    "rotary:transformer_encoder",
]


def make_layer(name, activation):
    """Build a layer of the registry from what its signature asks for."""
    kind, _, name = name.rpartition(":")
    given = {
        "units": 5, "activation": activation, "rate": 0.4, "std": 0.3, "filters": 2,
        "kernel_size": 2, "padding": 1, "axis": "vertical",
        "size": (2, 0) if name == "random_shift" else 2, "shape": (-1,), "n_heads": 2,
        "n_hidden": 3, "n_codes": 3, "dim": 2, "layer": Dense(5, activation),
        "layers": [LayerNorm(activation), Dropout(0.3)],
        "branches": [Dense(3, activation), [LayerNorm(activation), Dense(2, activation)]],
        "n_members": 2, "columns": [[0, 1, 0], [2, 0, 2]], "n_numeric": 3, "n_frequencies": 3,
        "cardinalities": [3, 3], "bins": [-1.0, -0.2, 0.3, 1.0],
    }  # fmt: skip
    if issubclass(LAYERS[name], Recurrent):
        del given["activation"]  # over many steps all but tanh explode
    if kind == "learned":
        given["learned"] = True
    if kind == "rotary":
        given["positions"] = "rotary"
    if kind == "product":
        given["join"] = "product"
        given["branches"] = [Dense(3, activation), [LayerNorm(), Dense(3)], Dense(3, "tanh")]
    if name == "column_branch":
        columns = [slice(0, 3), [2, 0], [1]][: len(given["branches"])]
        given["branches"] = list(zip(columns, given["branches"], strict=True))
    signature = inspect.signature(LAYERS[name]).parameters
    missing = [
        key
        for key, parameter in signature.items()
        if parameter.default is parameter.empty and key not in given
    ]
    if missing:
        pytest.fail(f"the layer {name!r} is new: tell make_layer in this file about {missing}")
    layer = LAYERS[name](**{key: value for key, value in given.items() if key in signature})
    if kind == "lora":
        layer = LoRA(layer, 2, targets=list(layer.matrices))
    return shaped(name, layer)


# What layers need that do not take flat rows: the shape of a row, for a Reshape before them.
RESHAPED = {
    "conv_2d": (1, -1, 1),
    "max_pool_2d": (1, -1, 1),
    "avg_pool_2d": (1, -1, 1),
    "conv_1d": (-1, 1),
    "max_pool_1d": (-1, 1),
    "avg_pool_1d": (-1, 1),
    "global_max_pool": (1, -1, 1),
    **dict.fromkeys(("random_flip", "random_shift", "random_erasing"), (1, -1, 1)),
    "global_average_pool": (-1, 1),
    **dict.fromkeys(
        ("member_dense", "member_columns", "member_scale", "batch_ensemble", "shared_dense"), (-1,)
    ),
    **dict.fromkeys(("rnn", "lstm", "gru"), (-1, 1)),
}


def make_layers(name, activation):
    """Build a layer of the registry, with what makes it take and return flat rows."""
    layer, shape = make_layer(name, activation), RESHAPED.get(name.rpartition(":")[2])
    return [Reshape(shape), layer, Flatten()] if shape else [layer]


def make_stack(stack, activation, k):
    """Build the layers of a network with k raw outputs; see STACKS."""
    kind, _, name = stack.partition(":")
    out = Dense(k, "identity")
    if kind == "linear":
        return [out]
    if kind == "plain":
        return [Dense(6, activation), Dense(5, activation), out]
    if kind == "first":
        return [*make_layers(name, activation), Dense(5, activation), out]
    middle = [make_layers(name, activation) for _ in range(2)]
    return [Dense(6, activation), *middle[0], Dense(5, activation), *middle[1], out]


STACKS = ["linear", "plain", *(f"{kind}:{name}" for name in NAMES for kind in ("first", "middle"))]


def is_tried(loss, activation, stack):
    """Whether a loss, an activation and a stack are tried together.

    Every loss and activation in plain stacks, every activation inside every layer that has one, two
    behind the others, every layer with a loss for numbers: not the product of all, which would take
    an hour.
    """
    if stack in ("linear", "plain"):
        return True
    layer = LAYERS[stack.rpartition(":")[2]]
    some = "activation" in inspect.signature(layer).parameters or activation in ("tanh", "gelu")
    if loss == "log_loss":
        return activation == "tanh" or (some and stack.startswith("middle"))
    return (loss, activation) == ("squared_error", "tanh")


TRIED = [
    (loss, activation, stack)
    for loss, activation in PAIRS
    for stack in STACKS
    if is_tried(loss, activation, stack)
]


def freeze(*arrays):
    for array in arrays:
        array.flags.writeable = False


def draw_batch(loss_name, n, k, *, weighted=False, sparse=False, seed=0, dtype=np.float64):
    """Draw n read-only rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, N_FEATURES)).astype(dtype)
    y = draw_targets(rng, loss_name, n, k)
    weight = rng.uniform(0.1, 3, n) if weighted else np.ones(n)
    total = weight.sum()
    weight = (weight / total).astype(dtype)
    y = y if y.dtype.kind == "i" else y.astype(dtype)
    freeze(y, weight)
    if not sparse:
        freeze(x)
        return Batch(x, y, weight, total)
    matrix = csr_array(np.where(rng.random(x.shape) < 0.6, x, 0))
    freeze(matrix.data, matrix.indices, matrix.indptr)
    return Batch(CSR.of(matrix), y, weight, total)


def make_objective(layers, loss_name, max_rows, *, alpha=ALPHA, seed=1, dtype=np.float64):
    network = Network(layers, (N_FEATURES,), dtype)
    network.init(np.random.RandomState(seed))  # for the state: running means and the like
    network.params[...] = np.random.default_rng(seed).normal(0, 0.6, network.params.size)
    return Objective(network, FACES[loss_name][0], alpha, max_rows)


def value_at(objective, batch, params):
    """The objective at other parameters, with the same random numbers each time."""
    kept = objective.network.params.copy()
    objective.network.params[...] = params
    value = sum(objective.value_and_grad(batch, np.random.default_rng(5)))
    objective.network.params[...] = kept
    return value


def gradient(objective, batch):
    objective.value_and_grad(batch, np.random.default_rng(5))
    return objective.grads.copy()


def worst_directional_error(objective, batch, n_random=2):
    """Largest relative error over random directions and that of the gradient itself."""
    params = objective.network.params.copy()
    grad = gradient(objective, batch)
    assert np.linalg.norm(grad) > 1e-3, "a gradient of zero shows nothing"
    rng = np.random.default_rng(2)
    directions = [*rng.normal(size=(n_random, params.size)), grad / np.linalg.norm(grad)]
    worst = 0.0
    for direction in directions:
        numeric = (
            value_at(objective, batch, params + STEP * direction)
            - value_at(objective, batch, params - STEP * direction)
        ) / (2 * STEP)
        analytic = grad @ direction
        # A direction can happen to be along a contour: then rounding is all there is.
        size = max(abs(numeric), abs(analytic), 0.01 * np.linalg.norm(grad))
        worst = max(worst, abs(numeric - analytic) / size)
    return worst


CASES = {
    "full": {},
    "weighted": {"weighted": True},
    "partial": {"n": 4, "weighted": True},
    "one_row": {"n": 1},
    "one_output": {"k": 1},
    "csr": {"sparse": True, "weighted": True},
    "csr_partial": {"n": 5, "sparse": True},
}


def cases_of(stack):
    """Return the names of the cases that tell something new: rows are weighted by the loss alone.

    Only Dense reads CSR; with other layers first, the case would be a dense one.
    """
    if stack in ("linear", "plain"):
        return list(CASES)
    return ["partial", "one_row", *(["csr_partial"] if stack.startswith("middle") else [])]


@pytest.mark.parametrize(
    "loss, activation, stack, case",
    [(*tried, case) for tried in TRIED for case in cases_of(tried[2])],
)
def test_directional_derivatives(loss, activation, stack, case):
    n, k, max_rows = 7, 3, 7
    settings = dict(CASES[case])
    n, k = settings.pop("n", n), settings.pop("k", k)
    if FACES[loss][1] == "multiclass":
        k = max(k, 2)  # the softmax of one output is constant
    layers = make_stack(stack, activation, FACES[loss][0].n_outputs(k))
    objective = make_objective(layers, loss, max_rows)
    if n < max_rows:  # fill the buffers with a larger batch's values first
        gradient(objective, draw_batch(loss, max_rows, k, seed=3))
    batch = draw_batch(loss, n, k, **settings)
    assert worst_directional_error(objective, batch) < TOLERANCE


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "loss, activation, layer",
    [
        (loss, activation, layer)
        for loss, activation in PAIRS
        for layer in NAMES
        if layer == "dense" or activation in ("tanh", "gelu")
        if layer == "dense" or loss in ("log_loss", "squared_error")
    ],
)
def test_every_coordinate_of_a_tiny_net(loss, activation, layer, sparse):
    out = Dense(FACES[loss][0].n_outputs(2), "identity")
    layers = [Dense(3, activation), *make_layers(layer, activation), out]
    objective = make_objective(layers, loss, 4)
    batch = draw_batch(loss, 4, 2, weighted=True, sparse=sparse)
    params, grad = objective.network.params.copy(), gradient(objective, batch)
    numeric = np.empty_like(grad)
    for i, step in enumerate(STEP * np.eye(len(params))):
        numeric[i] = value_at(objective, batch, params + step)
        numeric[i] -= value_at(objective, batch, params - step)
    numeric /= 2 * STEP
    assert abs(numeric - grad).max() < TOLERANCE * abs(grad).max()


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_dropout_after_tanh(rate):
    # tanh's derivative reads tanh's output, which is dropout's input: it must still be there.
    layers = [Dense(6, "tanh"), Dropout(rate), Dense(5, "tanh"), Dropout(rate), Dense(2, "tanh")]
    objective = make_objective(layers, "squared_error", 20)
    batch = draw_batch("squared_error", 20, 2, weighted=True)
    assert worst_directional_error(objective, batch, n_random=5) < TOLERANCE


def activate(function, z, bias):
    """Return y and, as the layer has it, the array that holds z + bias (or y again)."""
    z = z.copy()
    y = np.empty_like(z) if function.needs_input else z
    function.forward(z, bias, y)
    return y, z


@pytest.mark.parametrize("rows", [1, 2, 50])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivative_of_each_activation(activation, rows):
    function, rng = ACTIVATIONS[activation](), np.random.default_rng(0)
    z, bias, dy = rng.normal(0, 3, (rows, 7)), rng.normal(size=7), rng.normal(size=(rows, 7))
    y, kept_z = activate(function, z, bias)
    np.testing.assert_array_equal(y, activate(function, z + bias, np.zeros(7))[0])
    numeric = dy * (
        activate(function, z, bias + STEP)[0] - activate(function, z, bias - STEP)[0]
    ) / (2 * STEP)  # fmt: skip
    before, dbias = (y.copy(), kept_z.copy()), np.full(7, np.nan)
    function.backward(dy, y, kept_z, dbias)
    np.testing.assert_allclose(dy, numeric, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(dbias, dy.sum(axis=0), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal((y, kept_z), before)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [2, 1, 3])
@pytest.mark.parametrize("loss", FACES)
def test_value_is_the_textbook_formula(loss, k, weighted, sparse):
    if FACES[loss][1] == "multiclass" and k == 1:
        k = 4
    stack = make_stack("plain", "tanh", FACES[loss][0].n_outputs(k))
    objective = make_objective(stack, loss, 9)
    batch = draw_batch(loss, 9, k, weighted=weighted, sparse=sparse)
    data, penalty = objective.value_and_grad(batch)
    raw = objective.network.forward(batch.x, Workspace(objective.network, 9))
    predictions = objective.loss.predict(raw.copy())
    if objective.loss.has_std:
        predictions = predictions, objective.loss.predict_std(raw)
    assert data == pytest.approx(of_loss(TEXTBOOK, loss)(batch.y, predictions, batch.weight), 1e-12)
    weights = [p["weight"] for p in objective.network.views]
    expected = ALPHA / 2 * sum((w**2).sum() for w in weights) / batch.total
    assert penalty == pytest.approx(expected, 1e-12)
    assert objective.reported(data, penalty) == pytest.approx(
        data / (k if loss == "squared_error" else 1) + penalty, 1e-12
    )


def test_without_alpha_there_is_no_penalty():
    batch = draw_batch("squared_error", 5, 2)
    with_it, without = (
        make_objective(make_stack("plain", "tanh", 2), "squared_error", 5, alpha=alpha)
        for alpha in (ALPHA, 0.0)
    )
    assert without.value_and_grad(batch)[1] == 0
    with_it.value_and_grad(batch)
    network = with_it.network
    difference = with_it.grads - without.grads
    n = network.n_penalized
    np.testing.assert_allclose(difference[:n], ALPHA / 5 * network.params[:n], rtol=1e-10)
    np.testing.assert_array_equal(difference[n:], 0)
    assert n == sum(p["weight"].size for p in network.views)


def buffers_of(workspace, n):
    """Every buffer, as (index of its layer, name, array)."""
    return [
        (index, name, array)
        for index, work in enumerate(workspace.rows(n))
        for name, array in work.items()
        if isinstance(array, np.ndarray)  # a layer may keep something else in there
    ]


@pairs(activation=("relu", "tanh", "gelu", "softplus"), stack=STACKS, n=(6, 4, 1))
def test_a_layer_writes_only_to_its_own_workspace(activation, stack, n):
    network = Network(make_stack(stack, activation, 3), (N_FEATURES,), np.float64)
    network.init(np.random.RandomState(0))
    workspace, rng = Workspace(network, 6), np.random.default_rng(0)
    workspace.grads.fill(7.0)
    x = rng.normal(size=(n, N_FEATURES))
    freeze(x, network.params)
    for p in network.views:
        freeze(*(array for array in p.values() if np.shares_memory(array, network.params)))
    work, inputs = workspace.rows(n), []

    def run(index, call, scratch=()):
        """Call a method of a layer, and compare everything that is not its own."""
        foreign = [
            array
            for owner, _, array in buffers_of(workspace, n)
            if owner != index and not any(np.shares_memory(array, other) for other in scratch)
        ]
        foreign += [
            array for i, p in enumerate(network.views) if i != index for array in p.values()
        ]
        foreign += [g for i, views in enumerate(workspace.views) if i != index
                    for g in views.values()]  # fmt: skip
        before = [array.copy() for array in foreign]
        result = call()
        for array, copy in zip(foreign, before, strict=True):
            np.testing.assert_array_equal(array, copy)
        return result

    for _, _, array in buffers_of(workspace, n):
        array.fill(3)
    y, workspace.ctx.rng = x, Draws(rng)
    for index, layer in enumerate(network.layers):
        inputs.append((y, y.copy()))
        args = (y, network.views[index], work[index], workspace.ctx)
        y = run(index, lambda layer=layer, args=args: layer.forward(*args))
        np.testing.assert_array_equal(*inputs[index])
    dy = rng.normal(size=y.shape)
    for index in range(len(network.layers) - 1, -1, -1):
        y = inputs[index][0]
        args = (dy, y, network.views[index], workspace.views[index], work[index], workspace.ctx,
                index > 0)  # fmt: skip
        layer = network.layers[index]
        dy = run(index, lambda layer=layer, args=args: layer.backward(*args), scratch=[dy])
        for earlier in inputs[: index + 1]:  # a later layer's input may have been its scratch
            np.testing.assert_array_equal(*earlier)


@pytest.mark.parametrize("stack", STACKS)
def test_inference_draws_nothing_and_forward_is_repeatable(stack):
    network = Network(make_stack(stack, "tanh", 3), (N_FEATURES,), np.float64)
    network.init(np.random.RandomState(0))
    x = np.random.default_rng(0).normal(size=(5, N_FEATURES))
    first = network.forward(x, Workspace(network, 5)).copy()
    workspace = Workspace(network, 9)
    snapshot = network.snapshot()
    network.forward(x[:3], workspace, np.random.default_rng(1))
    network.restore(snapshot)
    np.testing.assert_array_equal(network.forward(x, workspace), first)


@pytest.mark.parametrize("stack", STACKS)
def test_backward_overwrites_the_gradient_of_the_last_batch(stack):
    objective = make_objective(make_stack(stack, "relu", 3), "squared_error", 6)
    batch = draw_batch("squared_error", 6, 3)
    first = gradient(objective, batch)
    gradient(objective, draw_batch("squared_error", 3, 3, seed=4))
    objective.grads.fill(np.nan)
    np.testing.assert_array_equal(gradient(objective, batch), first)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 5, 10, 100])
@pytest.mark.parametrize("loss", FACES)
def test_chunks_add_up_to_one_batch(monkeypatch, loss, chunk, weighted, sparse):
    monkeypatch.setattr(objective_module, "CHUNK", chunk)
    k = 3
    batch = draw_batch(loss, 10, k, weighted=weighted, sparse=sparse)
    stack = make_stack("plain", "tanh", FACES[loss][0].n_outputs(k))
    one = make_objective(stack, loss, 10)
    expected = one.value_and_grad(batch)
    chunked = make_objective(stack, loss, min(chunk, 10))
    data = Data(batch.x, batch.y, batch.weight * batch.total if weighted else None)
    for _ in range(2):  # twice: nothing is left over from the first time
        np.testing.assert_allclose(chunked.full_value_and_grad(data), expected, rtol=1e-12)
        np.testing.assert_allclose(chunked.grads, one.grads, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e3, -1e3, 1e30])
@pytest.mark.parametrize("loss", FACES)
def test_losses_at_extreme_raw_outputs(loss, size, dtype):
    rng = np.random.default_rng(0)
    shape = (40, FACES[loss][0].n_outputs(3))
    raw = (size * rng.choice([-1.0, 0.0, 1.0], size=shape)).astype(dtype)
    y = draw_targets(rng, loss, 40, 3)
    y = y if y.dtype.kind == "i" else y.astype(dtype)
    weight, grad = np.full(40, 1 / 40, dtype), np.empty_like(raw)
    with np.errstate(over="ignore"):  # as in training, where the loss itself is looked at
        value = FACES[loss][0].value_and_grad(raw, y, weight, grad)
        prediction = FACES[loss][0].predict(raw.copy())
    assert isinstance(value, float)
    assert not np.isnan(value)
    assert value > 0
    assert not np.isnan(grad).any()
    assert not np.isnan(prediction).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_losses_do_not_saturate(dtype):
    raw, weight = np.array([[1000.0, 0.0]], dtype), np.ones(1, dtype)
    grad = np.empty_like(raw)
    assert LOSSES["log_loss"]().value_and_grad(raw, np.array([1]), weight, grad) == 1000
    np.testing.assert_array_equal(grad, [[1, -1]])
    y = np.array([[0.0, 1.0]], dtype)
    value = LOSSES["binary_log_loss"]().value_and_grad(raw, y, weight, grad)
    assert value == pytest.approx(1000 + np.log(2), 1e-6)
    np.testing.assert_array_equal(grad, [[1, -0.5]])


@pytest.mark.parametrize("loss", FACES)
def test_a_loss_changes_only_its_gradient_buffer(loss):
    batch = draw_batch(loss, 6, 3, weighted=True)  # y and weight are read-only
    raw = np.random.default_rng(0).normal(size=(6, FACES[loss][0].n_outputs(3)))
    freeze(raw)
    grad, again = np.full_like(raw, np.nan), np.zeros_like(raw)
    value = FACES[loss][0].value_and_grad(raw, batch.y, batch.weight, grad)
    assert value == FACES[loss][0].value_and_grad(raw, batch.y, batch.weight, again)
    np.testing.assert_array_equal(grad, again)


@pytest.mark.parametrize("loss", FACES)
def test_a_loss_is_linear_in_the_weights(loss):
    batch = draw_batch(loss, 6, 3, weighted=True)
    raw = np.random.default_rng(0).normal(size=(6, FACES[loss][0].n_outputs(3)))
    one_by_one, grads = 0.0, []
    for i in range(6):
        grad = np.empty((1, raw.shape[1]))
        rows = slice(i, i + 1)
        one_by_one += FACES[loss][0].value_and_grad(
            raw[rows], batch.y[rows], batch.weight[rows], grad
        )
        grads.append(grad)
    grad = np.empty_like(raw)
    value = FACES[loss][0].value_and_grad(raw, batch.y, batch.weight, grad)
    assert value == pytest.approx(one_by_one, 1e-12)
    np.testing.assert_allclose(grad, np.vstack(grads), rtol=1e-12)


# NumPy draws other normal numbers in float32 than in float64.
@pytest.mark.parametrize(
    "loss, activation, stack", [tried for tried in TRIED if "noise" not in tried[2]]
)
def test_float32_agrees_with_float64(loss, activation, stack):
    results = []
    for dtype in (np.float32, np.float64):
        layers = make_stack(stack, activation, FACES[loss][0].n_outputs(3))
        objective = make_objective(layers, loss, 7, dtype=dtype)
        batch = draw_batch(loss, 7, 3, weighted=True, dtype=dtype)
        value = sum(objective.value_and_grad(batch, np.random.default_rng(5)))
        assert objective.grads.dtype == dtype
        results.append((value, objective.grads.copy()))
    (value, grads), (expected, expected_grads) = results
    assert value == pytest.approx(expected, rel=1e-5)
    size = max(1, abs(expected_grads).max())
    np.testing.assert_allclose(grads, expected_grads, rtol=1e-3, atol=1e-5 * size)
