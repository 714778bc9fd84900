"""Attention, positions, pooling, encoder blocks: against torch, and sequences of any length."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.activations import ACTIVATIONS
from skbp.layers import (
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    GaussianNoise,
    Layer,
    LayerNorm,
    MultiHeadAttention,
    PositionalEncoding,
    Residual,
    SequencePool,
    TransformerEncoder,
)

GOLDENS = dict(np.load(Path(__file__).parent / "goldens" / "attention.npz"))
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-5}
DTYPES = list(TOLERANCE)
X, DY, ABSENT = GOLDENS["x"], GOLDENS["dy"], GOLDENS["absent"]
N, TIME, K = X.shape
STEP = 1e-6


def network_of(*layers, input_shape=(TIME, K), dtype=np.float64):
    network = Network(list(layers), input_shape, dtype)
    network.init(np.random.RandomState(0))
    return network


def close(got, expected, dtype):
    assert got.dtype == dtype
    scale = max(1, np.nanmax(abs(expected)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


# ------------------------------------------------------------ against torch

TORCH_NAMES = {
    "weight_qkv": "in_proj_weight",
    "bias_qkv": "in_proj_bias",
    "weight_out": "out_proj.weight",
    "bias_out": "out_proj.bias",
}
# The chain's names by torch's; attention is what comes after the first normalisation.
ENCODERS = {
    "pre": {"0.0": "norm1", "0.1": "self_attn", "1.0": "norm2", "1.1": "linear1", "1.2": "linear2"},
    "post": {"0.0": "self_attn", "1": "norm1", "2.0": "linear1", "2.1": "linear2", "3": "norm2"},
}


def torch_name(name, encoder):
    """Return torch's name of a parameter of a block or of attention alone."""
    owner, _, own = name.rpartition(".")
    own = {"gamma": "weight", "beta": "bias"}.get(own, TORCH_NAMES.get(own, own))
    return f"{encoder[owner]}.{own}" if owner else own


def golden(case, prefix, name, encoder=None):
    """Return torch's array for a parameter; torch keeps weights as (outputs, inputs)."""
    return GOLDENS[f"{case}-{prefix}{torch_name(name, encoder)}"].T


def check_against_torch(layer, case, dtype, encoder=None):
    absent = ABSENT if "masked" in case else np.zeros_like(ABSENT)
    network = network_of(layer, dtype=dtype)
    for name, array in network.views[0].items():
        array[...] = golden(case.rsplit("-", 2)[0], "", name, encoder)
    x = np.where(absent[..., None], np.nan, X).astype(dtype)
    dy = np.where(absent[..., None], 0, DY).astype(dtype)
    workspace = Workspace(network, N + 2)
    y = network.forward(x, workspace, np.random.default_rng(0))
    expected = GOLDENS[f"{case}-y"]
    close(y[~absent], expected[~absent], dtype)
    assert np.isfinite(y).all()
    inference = network.forward(x, Workspace(network, N, training=False))
    close(inference[~absent], expected[~absent], dtype)
    (g,) = workspace.views
    close(network.backward(dy, workspace, need_dx=True), GOLDENS[f"{case}-dx"], dtype)
    for name, array in g.items():
        close(array, golden(case, "d", name, encoder), dtype)


MASKS = [f"{steps}-{sees}" for steps in ("whole", "masked") for sees in ("both", "causal")]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", MASKS)
def test_attention_is_torch(mask, dtype):
    layer = MultiHeadAttention(2, causal="causal" in mask)
    check_against_torch(layer, f"attention-{mask}", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm", ENCODERS)
def test_an_encoder_block_is_torch(norm, activation, mask, dtype):
    if activation not in ACTIVATIONS:
        pytest.skip(f"no activation {activation}")
    layer = TransformerEncoder(2, 7, activation, 0.0, norm, causal="causal" in mask)
    check_against_torch(layer, f"encoder-{norm}-{activation}-{mask}", dtype, ENCODERS[norm])


# ------------------------------------------------------------ absent steps


class TimeMajor(Layer):
    """Lets steps pass, as views of an array whose first axis is time."""

    absent = "keep"

    @staticmethod
    def _view(a):
        return a.transpose(1, 0, 2).copy().transpose(1, 0, 2)

    def forward(self, x, p, w, ctx):
        return self._view(x)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        return self._view(dy)


STACKS = {
    "dense": [Dense(6, "tanh"), Dense(3, "logistic")],
    "relu": [Dense(9, "relu"), Dense(9, "relu")],
    "layer_norm": [Dense(6), LayerNorm("tanh"), Dense(4)],
    "batch_norm": [Dense(6), BatchNorm("tanh"), Dense(4)],
    "attention": [MultiHeadAttention(2), MultiHeadAttention(1, causal=True)],
    "dropout": [Dense(6, "tanh"), Dropout(0.5), MultiHeadAttention(2, dropout=0.4)],
    "noise": [GaussianNoise(0.1), Residual([Dense(6, "tanh")]), Dense(3, "tanh")],
    "pre": [TransformerEncoder(2, 5, "tanh"), LayerNorm()],
    "post": [PositionalEncoding("learned"), TransformerEncoder(2, 5, "tanh", norm="post")],
    "time_major": [
        TimeMajor(), Dense(6, "tanh"), TimeMajor(), TransformerEncoder(2, 5, "tanh"), TimeMajor(),
        MultiHeadAttention(2), TimeMajor(), LayerNorm("tanh"), TimeMajor(),
        PositionalEncoding("learned", 9),
    ],
}  # fmt: skip
MODES = ["mean", "max", "last", "first"]


def value_and_grads(network, workspace, x, target, seed=1):
    """Half the squared distance of the pooled output to a target, and its gradient."""
    network.restore((network.params.copy(), np.ones_like(network.state)))
    y = network.forward(x, workspace, np.random.default_rng(seed))
    assert np.isfinite(y).all()
    dy = y - target
    value = 0.5 * np.square(dy).sum()
    network.backward(dy, workspace)
    return value, workspace.grads.copy()


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stack", STACKS)
def test_gradients_of_sequences(stack, mode, absent):
    network = network_of(*STACKS[stack], SequencePool(mode))
    network.params[...] = np.random.default_rng(1).normal(0, 0.6, network.params.size)
    workspace, rng = Workspace(network, N + 1), np.random.default_rng(0)
    x = np.where(ABSENT[..., None], np.nan, X) if absent else X.copy()
    if absent:
        x = np.concatenate([x, np.full((1, TIME, K), np.nan)])  # one that has no step at all
    x.flags.writeable = False
    target = rng.normal(size=(len(x), *network.output_shape))
    _, grads = value_and_grads(network, workspace, x, target)
    assert np.linalg.norm(grads) > 1e-3
    params = network.params.copy()
    for direction in (*rng.normal(size=(2, params.size)), grads / np.linalg.norm(grads)):
        values = []
        for sign in (1, -1):
            network.params[...] = params + sign * STEP * direction
            values.append(value_and_grads(network, workspace, x, target)[0])
        numeric = (values[0] - values[1]) / (2 * STEP)
        assert numeric == pytest.approx(grads @ direction, rel=2e-6, abs=1e-7)


@pytest.mark.parametrize("stack", STACKS)
def test_absent_steps_travel_and_change_nothing(stack):
    network = network_of(*STACKS[stack])
    whole = np.concatenate([X, np.full((N, 2, K), np.nan)], axis=1)
    if "position" in network.views[0]:
        longer = network_of(*STACKS[stack], input_shape=(TIME + 2, K))
        longer.views[0]["position"][:TIME] = network.views[0]["position"]
        for p, q in zip(network.views[1:], longer.views[1:], strict=True):
            for name in p:
                q[name][...] = p[name]
    else:
        longer = network_of(*STACKS[stack], input_shape=(TIME + 2, K))
        longer.params[...] = network.params
    y = network.forward(X, Workspace(network, N))
    workspace = Workspace(longer, N)
    padded = longer.forward(whole, workspace)
    np.testing.assert_allclose(padded[:, :TIME], y, rtol=1e-12, atol=1e-14)
    assert np.isfinite(padded).all()
    np.testing.assert_array_equal(workspace.ctx.absent, np.isnan(whole[..., 0]))


@pytest.mark.parametrize("stack", STACKS)
def test_gradients_at_absent_steps_are_zero(stack):
    network = network_of(Dense(K, "identity"), *STACKS[stack])
    workspace = Workspace(network, N)
    x = np.where(ABSENT[..., None], np.nan, X)
    y = network.forward(x, workspace, np.random.default_rng(0))
    np.testing.assert_array_equal(workspace.ctx.absent, ABSENT)
    # Not the same for all features: the gradient of a normalisation would be zero.
    dy = np.where(ABSENT[..., None], 0, np.random.default_rng(1).normal(size=y.shape))
    for index in range(len(network.layers) - 1, -1, -1):
        dy = network.layers[index].backward(
            dy, workspace.inputs[index], network.views[index], workspace.views[index],
            workspace.rows(N)[index], workspace.ctx,
        )  # fmt: skip
        assert not dy[ABSENT].any()
        assert np.isfinite(dy).all()
        assert index == 0 or dy[~ABSENT].any()


def test_a_step_with_some_features_missing_is_not_absent():
    x = X.copy()
    x[0, 0, 0] = np.nan
    network = network_of(Dense(2, "identity"))
    y = network.forward(x, Workspace(network, N))
    assert np.isnan(y[0, 0]).all()
    assert np.isfinite(y[0, 1:]).all()
    network = network_of(MultiHeadAttention(2))
    y = network.forward(x, Workspace(network, N))
    assert np.isnan(y[0]).all()  # all of its sequence see it
    assert np.isfinite(y[1:]).all()


def test_dense_on_sequences_is_dense_on_their_steps():
    sequences, steps = network_of(Dense(3, "tanh")), network_of(Dense(3, "tanh"), input_shape=(K,))
    np.testing.assert_array_equal(sequences.params, steps.params)
    workspaces = Workspace(sequences, N), Workspace(steps, N * TIME)
    y = sequences.forward(X, workspaces[0])
    np.testing.assert_array_equal(y.reshape(-1, 3), steps.forward(X.reshape(-1, K), workspaces[1]))
    dy = np.random.default_rng(0).normal(size=y.shape)
    sequences.backward(dy.copy(), workspaces[0])
    steps.backward(dy.reshape(-1, 3).copy(), workspaces[1])
    np.testing.assert_array_equal(workspaces[0].grads, workspaces[1].grads)


def test_batch_norm_counts_steps_that_are_there():
    network = network_of(BatchNorm(momentum=1))
    x = np.where(ABSENT[..., None], np.nan, X)
    network.forward(x, Workspace(network, N), np.random.default_rng(0))
    p = network.views[0]
    np.testing.assert_allclose(p["running_mean"], X[~ABSENT].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(p["running_var"], X[~ABSENT].var(axis=0, ddof=1), rtol=1e-12)


# ------------------------------------------------------------ attention


def test_causal_attention_does_not_see_what_is_later():
    network = network_of(MultiHeadAttention(2, causal=True))
    x = X.copy()
    y = network.forward(x, Workspace(network, N))
    x[:, 3:] = 7
    changed = network.forward(x, Workspace(network, N))
    np.testing.assert_allclose(changed[:, :3], y[:, :3], rtol=1e-12)
    assert abs(changed[:, 3:] - y[:, 3:]).min() > 1e-6


def test_dropout_of_attention_is_that_of_training_only():
    layers = MultiHeadAttention(2, dropout=0.5), MultiHeadAttention(2)
    assert [layer.stochastic for layer in layers] == [True, False]
    networks = [network_of(layer) for layer in layers]
    workspaces = [Workspace(network, N) for network in networks]
    rng = np.random.default_rng(0)
    with_it, without = (
        n.forward(X, w, rng).copy() for n, w in zip(networks, workspaces, strict=True)
    )
    assert abs(with_it - without).max() > 0.01
    np.testing.assert_array_equal(networks[0].forward(X, workspaces[0]), without)
    drawn = [networks[0].forward(X, workspaces[0], rng).copy() for _ in range(4000)]
    means = np.mean(drawn, axis=0)
    np.testing.assert_allclose(means, without, atol=0.1)


@pytest.mark.parametrize(
    "layer, shape, message",
    [
        (MultiHeadAttention(2), (5,), r"MultiHeadAttention.*\(5,\).*\(time, features\)"),
        (MultiHeadAttention(3), (5, 4), "MultiHeadAttention.*4 features.*3 heads"),
        (TransformerEncoder(3, 5, "relu"), (5, 4), "MultiHeadAttention.*4 features.*3 heads"),
        (TransformerEncoder(2, 5, "relu"), (4,), r"TransformerEncoder.*\(4,\)"),
        (PositionalEncoding(), (5,), "PositionalEncoding"),
        (PositionalEncoding(max_len=4), (5, 4), "5 steps.*max_len=4"),
        (SequencePool(), (5,), "SequencePool"),
    ],
)
def test_shapes_that_do_not_fit(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer.output_shape(shape)


@pytest.mark.parametrize(
    "layer",
    [
        MultiHeadAttention(0), MultiHeadAttention(2, causal=1), MultiHeadAttention(2, dropout=1),
        PositionalEncoding("fourier"), PositionalEncoding(max_len=0), SequencePool("median"),
        TransformerEncoder(2, 0), TransformerEncoder(2, 3, norm="both"),
    ],
)  # fmt: skip
def test_hyperparameters_that_are_not_allowed(layer):
    with pytest.raises(ValueError, match="parameter of"):
        layer.check()


# ------------------------------------------------------------ positions


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 4, 5])
def test_sinusoids(k, dtype):
    network = network_of(PositionalEncoding(), input_shape=(7, k), dtype=dtype)
    y = network.forward(np.zeros((2, 7, k), dtype), Workspace(network, 2))
    for t in range(7):
        for i in range(k):
            angle = t / 10000 ** (2 * (i // 2) / k)
            expected = np.cos(angle) if i % 2 else np.sin(angle)
            assert y[1, t, i] == pytest.approx(expected, abs=1e-6 if dtype is np.float32 else 1e-14)


def test_learned_positions():
    network = network_of(PositionalEncoding("learned", max_len=8))
    position = network.views[0]["position"]
    assert position.shape == (8, K)
    assert 0.01 < position.std() < 0.03
    assert network.n_penalized == 0
    workspace = Workspace(network, N)
    workspace.grads.fill(np.nan)
    np.testing.assert_array_equal(network.forward(X, workspace), X + position[:TIME])
    network.backward(DY.copy(), workspace)
    grads = workspace.views[0]["position"]
    np.testing.assert_allclose(grads[:TIME], DY.sum(axis=0), rtol=1e-12)
    assert not grads[TIME:].any()


# ------------------------------------------------------------ pooling


@pytest.mark.parametrize("mode", MODES)
def test_pooling(mode):
    network = network_of(SequencePool(mode))
    x = np.where(ABSENT[..., None], np.nan, X)
    x[1] = np.nan
    y = network.forward(x, Workspace(network, N))
    for i in (0, 2):
        there = X[i][~ABSENT[i]]
        expected = {
            "mean": there.mean(axis=0), "max": there.max(axis=0), "last": there[-1],
            "first": there[0],
        }[mode]  # fmt: skip
        np.testing.assert_allclose(y[i], expected, rtol=1e-12)
    np.testing.assert_array_equal(y[1], 0)


# ------------------------------------------------------------ learning


def test_order_can_be_learned():
    # Whether code 1 comes before code 2: without positions or a causal mask nobody could tell.
    rng = np.random.default_rng(0)
    x = np.full((256, 6), 3.0)
    where = np.argsort(rng.random((256, 6)), axis=1)[:, :2]
    x[np.arange(256), where[:, 0]], x[np.arange(256), where[:, 1]] = 1, 2
    x[np.maximum(where[:, 0], where[:, 1])[:, None] < np.arange(6)] = 0
    target = np.where(where[:, 0] < where[:, 1], 1.0, -1.0)[:, None]
    losses = {}
    for positions in (True, False):
        network = network_of(
            Embedding(4, 8, padding_index=0), *([PositionalEncoding()] if positions else []),
            TransformerEncoder(2, 16, "relu", 0.0), LayerNorm(), SequencePool(),
            Dense(1, "identity"), input_shape=(6,),
        )  # fmt: skip
        workspace = Workspace(network, 256)
        m, v = np.zeros_like(network.params), np.zeros_like(network.params)
        for _ in range(150):
            dy = network.forward(x, workspace) - target
            network.backward(dy / 256, workspace)
            m += 0.1 * (workspace.grads - m)
            v += 0.01 * (workspace.grads**2 - v)
            network.params -= 0.01 * m / (np.sqrt(v) + 1e-6)
        losses[positions] = np.square(dy).mean()
    assert losses[True] < 0.3
    assert losses[False] > 0.9


@pytest.mark.parametrize("norm", ENCODERS)
def test_a_batch_allocates_nothing_of_its_own_size(norm):
    network = network_of(
        Embedding(50, 32), PositionalEncoding("learned"),
        TransformerEncoder(4, 64, "relu", 0.1, norm), SequencePool(), Dense(2, "identity"),
        input_shape=(48,), dtype=np.float32,
    )  # fmt: skip
    workspace, rng = Workspace(network, 256), np.random.default_rng(0)
    x, dy = rng.integers(0, 50, (256, 48)).astype(np.float32), np.ones((256, 2), np.float32)
    for _ in range(2):
        tracemalloc.start()
        network.forward(x, workspace, rng)
        network.backward(dy.copy(), workspace)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 0.5 * 256 * 48 * 32 * 4  # half of the sequences


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_block_can_begin_as_the_identity(norm):
    block = TransformerEncoder(2, 8, dropout=0.0, norm=norm, output_initializer="zeros")
    network = Network([block], (5, 6), np.float64)
    network.init(np.random.RandomState(0))
    x = np.random.default_rng(0).normal(size=(3, 5, 6))
    y = network.forward(x, Workspace(network, 3))
    mean, std = x.mean(axis=-1, keepdims=True), x.std(axis=-1, keepdims=True)
    expected = x if norm == "pre" else (x - mean) / std
    np.testing.assert_allclose(y, expected, atol=1e-4)
    attention = Network([MultiHeadAttention(2, output_initializer="zeros")], (5, 6), np.float64)
    attention.init(np.random.RandomState(0))
    arrays = attention.views[0]
    assert arrays["weight_qkv"].any()
    assert not arrays["weight_out"].any()
    assert not arrays["bias_out"].any()
