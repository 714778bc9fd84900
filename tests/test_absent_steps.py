"""Sequences with absent steps, all NaN, in convolutions and pooling: as if each were alone."""

import numpy as np
import pytest

from skbp import BackpropClassifier
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.layers import (
    AvgPool1D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool1D,
    Parallel,
    Residual,
    SequencePool,
)

TIME, FEATURES = 12, 4
LENGTHS = [12, 9, 12, 6, 7, 4]
DTYPES = [np.float32, np.float64]
RNG = np.random.default_rng(0)

CONVOLUTIONS = {
    "same": Conv1D(3, 3, padding="same"),
    "same, even": Conv1D(3, 4, padding="same", activation="tanh"),
    "same, dilated, groups": Conv1D(4, 3, padding="same", dilation=2, groups=2, activation="gelu"),
    "valid": Conv1D(3, 3, activation="identity"),
    "valid, dilated": Conv1D(3, 2, dilation=3),
    "one step": Conv1D(3, 1),
    "a stride": Conv1D(3, 3, stride=2),
    "half of the padding": Conv1D(3, 4, padding=1, activation="silu"),
    "a stride and padding": Conv1D(3, 3, stride=2, padding=1),
    "more padding than window": Conv1D(3, 2, padding=2, activation="tanh"),
    "padding around one step": Conv1D(3, 1, padding=1, activation="tanh"),
}
POOLS = {
    "max": MaxPool1D(2), "average": AvgPool1D(2), "overlapping": MaxPool1D(3, 1, 1),
    "average with padding": AvgPool1D(3, 1, 1), "gaps between": AvgPool1D(1, 3),
    "long": MaxPool1D(5), "long average": AvgPool1D(5, 2, 2),
    "max over all": GlobalMaxPool(), "mean over all": GlobalAveragePool(),
}  # fmt: skip
NOTHING = np.full((1, TIME, FEATURES), np.nan)


def sequences(dtype=np.float64, at_the_end=True):
    x = RNG.normal(size=(len(LENGTHS), TIME, FEATURES)).astype(dtype)
    for row, length in zip(x, LENGTHS, strict=True):
        row[slice(length, None) if at_the_end else slice(TIME - length)] = np.nan
    return x


def run(layers, x, dy=None):
    """Return y, dx, the parameters' gradient, and the dy that was given."""
    network = Network(layers, x.shape[1:], x.dtype)
    network.init(np.random.RandomState(1))
    workspace = Workspace(network, len(x))
    y = network.forward(x, workspace).copy()
    if dy is None:
        dy = np.cos(np.arange(y.size)).reshape(y.shape).astype(x.dtype)
    assert np.isfinite(y).all()
    if workspace.ctx.absent is not None:  # what no layer asks for, and no gradient comes from
        y[workspace.ctx.absent], dy[workspace.ctx.absent] = np.nan, 0
    dx = network.backward(dy.copy(), workspace, need_dx=True).copy()
    return y, dx, workspace.grads.copy(), dy


# ------------------------------------------------------------ one layer


@pytest.mark.parametrize("at_the_end", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_each_sequence_as_if_alone(name, dtype, at_the_end):
    layer = CONVOLUTIONS[name]
    if not at_the_end and layer.stride > 1:
        pytest.skip("windows begin elsewhere")
    x = sequences(dtype, at_the_end)
    before = x.copy()
    y, dx, grads, dy = run([layer], x)
    np.testing.assert_array_equal(x, before)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-9}
    total = np.zeros_like(grads)
    for i, length in enumerate(LENGTHS):
        steps = slice(None, length) if at_the_end else slice(TIME - length, None)
        there = ~np.isnan(y[i, :, 0])
        alone, dx_alone, grads_alone, _ = run([layer], x[i : i + 1, steps], dy[i : i + 1, there])
        np.testing.assert_allclose(y[i : i + 1, there], alone, **tolerance)
        np.testing.assert_allclose(dx[i : i + 1, steps], dx_alone, **tolerance)
        assert not dx[i, np.isnan(x[i, :, 0])].any()
        total += grads_alone
    np.testing.assert_allclose(grads, total, **tolerance)


def test_same_keeps_the_steps_that_are_absent():
    x = sequences()
    x[0, 5] = np.nan  # in between, too
    for kernel in (1, 2, 3, 4):
        y = run([Conv1D(2, kernel, padding="same")], x)[0]
        np.testing.assert_array_equal(np.isnan(y[..., 0]), np.isnan(x[..., 0]))


def test_a_gap_in_between_is_zeros():
    layer, x = Conv1D(3, 3, padding="same", activation="tanh"), sequences()
    x[0, 5] = np.nan
    filled = np.nan_to_num(x)
    y, expected = run([layer], x)[0], run([layer], filled)[0]
    there = ~np.isnan(x[..., 0])
    np.testing.assert_allclose(y[there], expected[there], rtol=1e-12)


def window(layer, x, o):
    """Return the steps of x, (time, features), in window o, and how many zeros are around them."""
    if not hasattr(layer, "size"):
        return x, 0
    begin = o * (layer.stride or layer.size) - layer.padding
    part = x[max(begin, 0) : begin + layer.size]
    return part, layer.size - len(part)


def expected_pool(layer, x, n_out):
    y = np.full((len(x), n_out, x.shape[-1]), np.nan)
    for i, o in np.ndindex(y.shape[:2]):
        part, n_zeros = window(layer, x[i], o)
        part = part[~np.isnan(part[:, 0])]
        if len(part):
            largest = isinstance(layer, MaxPool1D | GlobalMaxPool)
            y[i, o] = part.max(axis=0) if largest else part.sum(axis=0) / (len(part) + n_zeros)
    return y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", POOLS)
def test_pooling_leaves_absent_steps_out(name, dtype):
    layer, x = POOLS[name], np.concatenate([sequences(), NOTHING]).astype(dtype)
    x[1, 4] = np.nan
    y, dx, _, dy = run([layer], x)
    everything = y.ndim == 2
    expected = expected_pool(layer, x, 1 if everything else y.shape[1])
    if everything:
        expected = np.nan_to_num(expected[:, 0])  # a sequence of nothing gives zeros
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert not dx[np.isnan(x[..., 0])].any()
    if dtype == np.float32:
        return
    for place in np.argwhere(~np.isnan(x))[::7]:
        high, low = x.copy(), x.copy()
        high[tuple(place)] += 1e-6
        low[tuple(place)] -= 1e-6
        numeric = np.nansum((run([layer], high, dy)[0] - run([layer], low, dy)[0]) * dy) / 2e-6
        assert abs(numeric - dx[tuple(place)]) < 1e-6


@pytest.mark.parametrize("layer", [*CONVOLUTIONS.values(), *POOLS.values()], ids=repr)
def test_whether_some_batch_has_absent_steps_does_not_matter(layer):
    x = sequences()
    full = np.nan_to_num(x)
    network = Network([layer], x.shape[1:], x.dtype)
    network.init(np.random.RandomState(1))
    workspace = Workspace(network, len(x))
    for batch in (full, x, full, x[:3], full[:4]):
        y = network.forward(batch, workspace).copy()
        dy = np.ones_like(y)
        if workspace.ctx.absent is not None:
            y[workspace.ctx.absent], dy[workspace.ctx.absent] = np.nan, 0
        network.backward(dy, workspace)
        fresh = run([layer], batch, np.ones_like(y))
        np.testing.assert_array_equal(y, fresh[0])
        np.testing.assert_array_equal(workspace.grads, fresh[2])


def test_images_are_left_alone():
    x = np.ones((2, 3, 5, 5))
    x[0, 0] = np.nan
    network = Network([Conv2D(2, 3)], x.shape[1:], x.dtype)
    workspace = Workspace(network, 2)
    y = network.forward(x, workspace)
    assert np.isnan(y[0]).any()
    assert not np.isnan(y[1]).any()
    assert workspace.ctx.absent is None


# ------------------------------------------------------------ networks


WINDOWS = [[Conv1D(6, width, padding="same"), GlobalMaxPool()] for width in (2, 3)]
STACKS = {
    "text cnn": [Conv1D(8, 3, padding="same"), SequencePool("max")],
    "several widths": [Parallel(WINDOWS)],
    "deep": [
        Conv1D(8, 3, padding="same"), Conv1D(8, 3, padding="same", dilation=2), MaxPool1D(2),
        Conv1D(8, 3, padding="same"), GlobalAveragePool(), Dense(5),
    ],
    "shortcuts": [
        Dense(8), Residual([Conv1D(8, 3, padding="same")]), Dropout(0.0), AvgPool1D(2),
        GlobalMaxPool(),
    ],
    "valid": [Conv1D(8, 3), Conv1D(8, 2), MaxPool1D(2), SequencePool()],
}  # fmt: skip


@pytest.mark.parametrize("name", STACKS)
def test_a_network_of_texts(name):
    # Even lengths less three for "valid", which leaves whole windows to the pooling.
    lengths = (11, 9, 7) if name == "valid" else (12, 8, 6)
    codes = RNG.integers(1, 20, (30, 12)).astype(float)
    layers = [Embedding(20, 5, padding_index=0), *STACKS[name], Dense(2, "identity")]
    for i, row in enumerate(codes):
        row[lengths[i % 3] :] = 0
    y, _, grads, dy = run(layers, codes)
    total = np.zeros_like(grads)
    for i, row in enumerate(codes):
        own = slice(i, i + 1)
        alone, _, grads_alone, _ = run(layers, row[None, : lengths[i % 3]], dy[own])
        np.testing.assert_allclose(y[own], alone, rtol=1e-9, atol=1e-12)
        total += grads_alone
    np.testing.assert_allclose(grads, total, rtol=1e-8, atol=1e-10)


def test_batch_norm_counts_the_steps_there_are():
    x, rng = sequences(), np.random.default_rng(0)
    there = ~np.isnan(x).all(axis=2)
    steps, alone = (Network([BatchNorm()], x.shape[i:], np.float64) for i in (1, 2))
    for network in (steps, alone):
        network.init(np.random.RandomState(0))
    expected = alone.forward(x[there], Workspace(alone, there.sum()), rng)
    y = steps.forward(x, Workspace(steps, len(x)), rng)
    np.testing.assert_allclose(y[there], expected, rtol=1e-12)
    np.testing.assert_allclose(steps.state, alone.state, rtol=1e-12)


def test_batch_norm_between():
    x, layers = sequences(), [Conv1D(4, 3, padding="same"), BatchNorm("relu"), SequencePool()]
    assert np.isfinite(run(layers, x)[0]).all()
    assert np.isfinite(run(layers, x)[2]).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_learns_texts():
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 12, (500, 14))
    for row, length in zip(codes, rng.integers(4, 15, 500), strict=True):
        row[length:] = 0
    y = ((codes[:, :-1] == 3) & (codes[:, 1:] == 5)).any(axis=1)  # two words, one after the other
    codes[:150, 1], codes[:150, 2], y[:150] = 3, 5, True
    net = BackpropClassifier(
        layers=[Embedding(12, 8, padding_index=0), Conv1D(16, 3, padding="same"), GlobalMaxPool()],
        batch_size=32, learning_rate="one_cycle", learning_rate_init=0.02, max_iter=15,
        random_state=0,
    ).fit(codes[::2], y[::2])  # fmt: skip
    assert net.score(codes[1::2], y[1::2]) > 0.95
    twice = np.pad(codes, ((0, 0), (0, 10)))
    other = BackpropClassifier(**{**net.get_params(), "max_iter": 1}).fit(twice[::2], y[::2])
    other._network.params[...] = net._network.params
    np.testing.assert_allclose(other.predict_proba(twice), net.predict_proba(codes), rtol=1e-4)


def test_flatten_does_not_take_them():
    with pytest.raises(ValueError, match="NaN"):
        BackpropClassifier(layers=[Flatten(), Dense(3)]).fit(sequences(), [0, 1] * 3)
