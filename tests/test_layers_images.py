"""Layers for images and sequences: against torch, in all memory orders, at awkward input."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from _common import pairs
from sklearn.base import clone

from skbp import BackpropClassifier
from skbp._engine.network import Network
from skbp._engine.workspace import Workspace
from skbp.activations import Activation
from skbp.layers import (
    LAYERS,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    GlobalAveragePool,
    GlobalMaxPool,
    Input,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
    Reshape,
)

GOLDENS = dict(np.load(Path(__file__).parent / "goldens" / "images.npz"))
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
DTYPES = list(TOLERANCE)
STEP = 1e-6

CASES = {
    "conv_2d": Conv2D(4, 3, activation="tanh"),
    "conv_2d-sizes": Conv2D(3, (2, 4), (3, 2), (2, 1), activation="tanh"),
    "conv_2d-dilation": Conv2D(3, (3, 2), 2, 2, (2, 3), activation="tanh"),
    "conv_2d-same": Conv2D(3, (4, 3), padding="same", dilation=(1, 2), activation="tanh"),
    "conv_2d-groups": Conv2D(6, 3, 2, 1, groups=2, activation="tanh"),
    "conv_2d-depthwise": Conv2D(8, 3, padding=1, groups=4, activation="tanh"),
    "conv_2d-pointwise": Conv2D(3, 1, activation="tanh"),
    "conv_2d-steps": Conv2D(3, 1, 3, activation="tanh"),
    "conv_1d": Conv1D(4, 3, activation="tanh"),
    "conv_1d-stride": Conv1D(4, 4, 3, 2, activation="tanh"),
    "conv_1d-dilation": Conv1D(4, 3, padding="same", dilation=2, activation="tanh"),
    "conv_1d-groups": Conv1D(6, 2, groups=2, activation="tanh"),
    "max_pool_2d": MaxPool2D(2),
    "max_pool_2d-overlap": MaxPool2D((3, 2), (2, 1), (1, 1)),
    "max_pool_1d": MaxPool1D(3, 2, 1),
    "avg_pool_2d": AvgPool2D(2),
    "avg_pool_2d-overlap": AvgPool2D((3, 2), (2, 1), (1, 1)),
    "avg_pool_1d": AvgPool1D(3, 2, 1),
    "global_max_pool": GlobalMaxPool(),
    "global_max_pool-1d": GlobalMaxPool(),
    "global_average_pool": GlobalAveragePool(),
    "global_average_pool-1d": GlobalAveragePool(),
}


def golden(name, key, dtype=np.float64):
    return GOLDENS[f"{name}-{key}"].astype(dtype)


def reordered(array):
    """The same numbers, the batch last in memory."""
    return np.moveaxis(np.moveaxis(array, 0, -1).copy(), -1, 0)


def as_bands(array):
    """The same numbers, in the order in which these layers work."""
    order = (2, 1, 3, 0) if array.ndim == 4 else (1, 2, 0) if array.ndim == 3 else (0, 1)
    return array.transpose(order).copy().transpose(np.argsort(order))


ORDERS = {"rows": np.ascontiguousarray, "batch_last": reordered, "bands": as_bands}


def run(layer, x, dy, params, max_rows, dtype, need_dx=True):
    """Run a layer forward and backward; return its output and all gradients."""
    network = Network([layer], x.shape[1:], dtype)
    for key, value in params.items():
        network.views[0][key][...] = value
    workspace = Workspace(network, max_rows)
    if max_rows > len(x):  # leave something in the buffers
        more = np.ones((max_rows, *x.shape[1:]), dtype)
        y = network.forward(more, workspace, np.random.default_rng(0))
        network.backward(np.ones(y.shape, dtype), workspace)
    x.flags.writeable = False
    results = {"y": network.forward(x, workspace, np.random.default_rng(0)).copy()}
    work, (g,) = workspace.rows(len(x))[0], workspace.views
    workspace.grads.fill(np.nan)
    results["dx"] = network.layers[0].backward(
        dy, x, network.views[0], g, work, workspace.ctx, need_dx
    )
    return results | {f"d{key}": value for key, value in g.items()}


@pairs(name=CASES, dtype=DTYPES, order=ORDERS, max_rows=(3, 8))
def test_it_is_torch(name, dtype, order, max_rows):
    x, dy = (ORDERS[order](golden(name, key, dtype)) for key in ("x", "dy"))
    params = {key: golden(name, key) for key in ("weight", "bias") if f"{name}-{key}" in GOLDENS}
    results = run(CASES[name], x, dy, params, max_rows, dtype)
    assert set(results) == {"y", "dx", *(f"d{key}" for key in params)}
    for key, value in results.items():
        expected = golden(name, key)
        assert value.dtype == dtype
        scale = max(1, abs(expected).max())
        np.testing.assert_allclose(value, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("name", CASES)
def test_the_first_layer_computes_no_gradient_of_its_input(name):
    x, dy = golden(name, "x"), golden(name, "dy")
    params = {key: golden(name, key) for key in ("weight", "bias") if f"{name}-{key}" in GOLDENS}
    results = run(CASES[name], x, dy, params, 3, np.float64, need_dx=False)
    assert results.pop("dx") is None
    for key, value in results.items():
        np.testing.assert_allclose(value, golden(name, key), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_inference_needs_no_more_than_its_own_workspace(name):
    x = golden(name, "x")
    network = Network([CASES[name]], x.shape[1:], np.float64)
    for key in network.views[0]:
        network.views[0][key][...] = golden(name, key)
    y = network.forward(x, Workspace(network, 3, training=False))
    np.testing.assert_allclose(y, golden(name, "y"), rtol=1e-10, atol=1e-12)


def test_the_goldens_are_all_used():
    assert {key.rsplit("-", 1)[0] for key in GOLDENS} == set(CASES)
    tested = {name.partition("-")[0] for name in CASES}
    assert tested == {
        name for name in LAYERS if "conv" in name or ("pool" in name and name != "sequence_pool")
    }


@pytest.mark.parametrize("block", [1, 100, 500])
@pytest.mark.parametrize("name", [name for name in CASES if "conv" in name])
def test_blocks_of_any_size_give_the_same(name, block, monkeypatch):
    monkeypatch.setattr("skbp.layers.conv.BLOCK", block)
    test_it_is_torch(name, np.float64, "bands", 8)


# ------------------------------------------------------------ stacks


class Square(Activation):
    """Its derivative needs z, and it knows of no images."""

    needs_input = True

    def apply(self, z, out):
        np.square(z, out=out)

    def gradient(self, dy, y, z):
        dy *= 2 * z


class Half(Activation):
    """An own activation of the simplest kind."""

    def apply(self, z, out):
        np.multiply(z, 0.5, out=out)

    def gradient(self, dy, y, z):
        dy *= 0.5


IMAGE, SEQUENCE = (2, 6, 5), (9, 4)
STACKS = {
    "dropout": (IMAGE, [Conv2D(3, 3), Dropout(0.3), Flatten(), Dropout(0.3), Dense(4)]),
    "twice": (IMAGE, [Conv2D(3, 3, padding=1), MaxPool2D(2), Dropout(0.2), Conv2D(4, 2)]),
    "same": (IMAGE, [Conv2D(4, 3, 2, "same", activation="tanh"), AvgPool2D(2, 1), Flatten()]),
    "depthwise": (IMAGE, [Conv2D(4, 3, groups=2), Conv2D(3, 1), GlobalAveragePool(), Dense(3)]),
    "global": (IMAGE, [GaussianNoise(0.1), Conv2D(5, 2), Dropout(0.2), GlobalMaxPool(), Dense(3)]),
    "own": (IMAGE, [Conv2D(3, 3, activation=Square()), Conv2D(2, 2, activation=Half())]),
    "norm": (IMAGE, [Conv2D(3, 3), LayerNorm("tanh"), Conv2D(2, 2)]),
    "batch_norm": (IMAGE, [Conv2D(3, 3), BatchNorm("tanh"), MaxPool2D(2), Dropout(0.1)]),
    "first_pool": (IMAGE, [MaxPool2D(2), Conv2D(3, 2, activation="logistic"), Reshape((-1,))]),
    "sequence": (SEQUENCE, [Conv1D(3, 3), Dropout(0.2), MaxPool1D(2), Conv1D(4, 2), Flatten()]),
    "sequence_norm": (SEQUENCE, [Conv1D(3, 3, dilation=2), LayerNorm(), AvgPool1D(2), Dense(2)]),
    "to_images": (
        (24,),
        [Dense(24), Reshape((2, 3, 4)), Conv2D(3, 2), Flatten(), Dense(2, "tanh")],
    ),
}
STACKS["sequence_norm"][1].insert(-1, GlobalAveragePool())


@pytest.mark.parametrize("n", [6, 1])
@pytest.mark.parametrize("stack", STACKS)
def test_gradients_of_stacks(stack, n):
    shape, layers = STACKS[stack]
    network = Network([clone(layer) for layer in layers], shape, np.float64)
    network.init(np.random.RandomState(0))
    rng = np.random.default_rng(1)
    network.params[...] = rng.normal(0, 0.5, network.params.size)
    workspace = Workspace(network, 7)
    x = rng.normal(size=(n, *shape))
    x.flags.writeable = False
    weight = rng.normal(size=network.forward(x, workspace).shape)
    state = network.state.copy()

    def value():
        network.state[...] = state
        return float((network.forward(x, workspace, np.random.default_rng(5)) * weight).sum())

    value()
    network.backward(weight.copy(), workspace)
    grads, params = workspace.grads.copy(), network.params.copy()
    assert np.linalg.norm(grads) > 1e-3
    for direction in rng.normal(size=(4, params.size)):
        network.params[...] = params + STEP * direction
        above = value()
        network.params[...] = params - STEP * direction
        numeric, analytic = (above - value()) / (2 * STEP), grads @ direction
        assert abs(numeric - analytic) < 1e-6 * max(1, abs(numeric), np.linalg.norm(grads))


@pytest.mark.parametrize("layer", [Conv2D(3, 3, padding=1), Conv2D(4, 3, groups=2), MaxPool2D(2)])
def test_results_do_not_depend_on_other_rows(layer):
    x = np.random.default_rng(0).normal(size=(9, 2, 6, 5))
    network = Network([layer], (2, 6, 5), np.float64)
    network.init(np.random.RandomState(0))
    workspace = Workspace(network, 9, training=False)
    whole = network.forward(x, workspace).copy()
    np.testing.assert_allclose(network.forward(x[4:6], workspace), whole[4:6], rtol=1e-12)


def test_a_convolution_sees_the_activation_that_is_an_object():
    x = np.random.default_rng(0).normal(size=(3, *IMAGE))
    plain, half = (
        Network([Conv2D(3, 2, activation=activation)], IMAGE, np.float64)
        for activation in ("identity", Half())
    )
    plain.params[...] = half.params[...] = np.random.default_rng(1).normal(size=plain.params.size)
    expected = plain.forward(x, Workspace(plain, 3)) / 2
    np.testing.assert_allclose(half.forward(x, Workspace(half, 3)), expected, rtol=1e-12)


def test_a_window_in_nothing_but_padding():
    network = Network([Conv2D(1, 1, 20, 5, activation="identity")], (1, 9, 9), np.float64)
    network.params[...] = 2
    np.testing.assert_array_equal(network.forward(np.ones((2, 1, 9, 9)), Workspace(network, 2)), 2)


@pytest.mark.parametrize("size, stride, padding", [(1, 7, 2), (3, 1, 4), (2, 3, 1), (4, 9, 3)])
@pytest.mark.parametrize("layer, axes", [(Conv1D, (1,)), (Conv2D, (2, 3))])
def test_padding_is_zeros(layer, axes, size, stride, padding):
    x = np.random.default_rng(0).normal(size=(3, *((10, 2) if layer is Conv1D else (2, 10, 10))))
    padded = np.pad(x, [(padding, padding) if i in axes else (0, 0) for i in range(x.ndim)])
    results = []
    for given, pad in ((x, padding), (padded, 0)):
        network = Network([layer(3, size, stride, pad)], given.shape[1:], np.float64)
        network.params[...] = np.random.default_rng(1).normal(size=network.params.size)
        workspace = Workspace(network, 3)
        y = network.forward(given, workspace)
        network.backward(np.cos(y), workspace)
        results.append((y, workspace.grads))
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_a_batch_allocates_nothing_of_its_own_size():
    layers = [
        Reshape((1, 16, 16)), Conv2D(8, 3), MaxPool2D(2), Dropout(0.2), Conv2D(8, 3, padding=1),
        AvgPool2D(2), Flatten(), Reshape((3, 3, 8)), Conv2D(8, 1), GlobalAveragePool(),
    ]  # fmt: skip
    network = Network(layers, (256,), np.float32)
    network.init(np.random.RandomState(0))
    workspace, rng, n = Workspace(network, 512), np.random.default_rng(0), 512
    x, dy = rng.normal(size=(n, 256)).astype(np.float32), np.ones((n, 8), np.float32)
    network.forward(x, workspace, rng)  # what is allocated once
    network.backward(dy, workspace)
    tracemalloc.start()
    network.forward(x, workspace, rng)
    network.backward(dy, workspace)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Masks and scratch of a block or a row, and no copy of one of the smaller layers' output.
    assert peak < 0.6 * n * 8 * 7 * 7 * 4


# ------------------------------------------------------------ pooling


@pytest.mark.parametrize("layer", [MaxPool2D(2), MaxPool2D(3, 1, 1), GlobalMaxPool()])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_comes_through_max_pooling(layer, dtype):
    for place in range(12):
        x = np.arange(12, dtype=dtype).reshape(1, 1, 3, 4)
        x.reshape(-1)[place] = np.nan
        network = Network([layer], (1, 3, 4), dtype)
        y = network.forward(x, Workspace(network, 1))
        expected = place in (0, 1, 2, 3, 4, 5, 6, 7) or layer.__class__ is not MaxPool2D
        assert np.isnan(y).any() == (expected or layer.size == 3)


def test_padding_never_wins():
    x = np.full((2, 1, 4, 4), -5.0)
    network = Network([MaxPool2D(2, 2, 1)], (1, 4, 4), np.float64)
    np.testing.assert_array_equal(network.forward(x, Workspace(network, 2)), -5)


def test_a_stride_beyond_the_window_leaves_gaps():
    x = np.arange(50, dtype=float).reshape(2, 1, 5, 5)
    for layer in (MaxPool2D(1, 3), AvgPool2D(1, 3)):
        results = run(layer, x, np.ones((2, 1, 2, 2)), {}, 4, np.float64)
        np.testing.assert_array_equal(results["y"], x[:, :, ::3, ::3])
        expected = np.zeros_like(x)
        expected[:, :, ::3, ::3] = 1
        np.testing.assert_array_equal(results["dx"], expected)


# ------------------------------------------------------------ shapes and parameters


def test_weights_of_a_convolution():
    network = Network([Conv2D(6, (3, 2), groups=2)], (4, 8, 8), np.float64)
    network.init(np.random.RandomState(0))
    weight, bias = network.views[0]["weight"], network.views[0]["bias"]
    assert weight.shape == (3, 2, 2, 6)
    assert network.n_penalized == weight.size
    np.testing.assert_array_equal(bias, 0)
    bound = np.sqrt(6 / (12 + 6 * 3))  # fan_in 3 * 2 * 2, fan_out 3 * 2 * 3
    assert 0.9 * bound < abs(weight).max() < bound


@pytest.mark.parametrize(
    "layer, shape, text",
    [
        (Conv2D(3, 3), (784,), r"Conv2D.*\(784,\).*\(channels, height, width\).*Input"),
        (Conv1D(3, 3), (1, 2, 3), r"Conv1D.*\(1, 2, 3\).*\(time, features\)"),
        (MaxPool2D(2), (3, 4), r"MaxPool2D.*\(3, 4\).*\(channels, height, width\)"),
        (AvgPool1D(2), (3,), r"AvgPool1D.*\(3,\).*\(time, features\)"),
        (GlobalMaxPool(), (3,), r"GlobalMaxPool.*\(channels, height, width\) or \(time"),
        (Conv2D(3, 5), (1, 4, 9), r"Conv2D.*\(1, 4, 9\).*window of 5.*into 4"),
        (Conv1D(3, 3, dilation=4), (8, 2), r"Conv1D.*window of 9.*into 8"),
        (MaxPool2D(4), (1, 3, 9), r"MaxPool2D.*window of 4.*into 3"),
        (Conv2D(3, 3, groups=2), (4, 9, 9), r"Conv2D.*4 channels.*3 filters.*groups=2"),
        (Conv2D(4, 3, groups=2), (3, 9, 9), r"Conv2D.*3 channels.*groups=2"),
        (MaxPool2D(2, padding=2), (1, 9, 9), r"MaxPool2D.*padding=2.*size=2.*half"),
        (Reshape((2, 3)), (5,), r"Reshape.*\(5,\).*5 values.*\(2, 3\)"),
        (Reshape((-1, 3)), (5,), r"Reshape.*\(5,\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_training(layer, shape, text):
    with pytest.raises(ValueError, match=text):
        Network([layer, Flatten(), Dense(2)], shape, np.float32)


@pytest.mark.parametrize(
    "layer, name",
    [
        (Conv2D(0, 3), "filters"), (Conv2D(2.0, 3), "filters"), (Conv2D(2, (3,)), "kernel_size"),
        (Conv2D(2, 3, 0), "stride"), (Conv2D(2, 3, padding="valid"), "padding"),
        (Conv2D(2, 3, padding=-1), "padding"), (Conv2D(2, 3, dilation=True), "dilation"),
        (Conv1D(2, (3,)), "kernel_size"), (Conv1D(2, 3, groups=0), "groups"),
        (MaxPool2D(None), "size"), (MaxPool1D((2, 2)), "size"), (AvgPool2D(2, "same"), "stride"),
        (Reshape((-1, -1)), "shape"), (Reshape(4), "shape"), (Reshape((0, 2)), "shape"),
    ],
)  # fmt: skip
def test_what_a_hyperparameter_may_be(layer, name):
    with pytest.raises(ValueError, match=rf"'{name}' parameter of {type(layer).__name__}"):
        layer.check()


def test_sound_hyperparameters_pass():
    for layer in (
        *CASES.values(),
        Conv2D(np.int64(3), (1, np.int32(2)), padding="same"),
        Conv1D(1, 1, padding="same"),
        MaxPool2D(2, None),
        Reshape([2, -1]),
        Flatten(),
    ):
        layer.check()


def test_order_of_flattened_values():
    x = np.arange(48.0).reshape(2, 2, 3, 4)
    network = Network([MaxPool2D(1), Flatten()], (2, 3, 4), np.float64)
    workspace = Workspace(network, 2)
    y = network.forward(x, workspace)
    np.testing.assert_array_equal(y, np.arange(48).reshape(2, 24))
    again = network.forward(x, workspace)
    assert np.shares_memory(again, y)  # no copy that is allocated anew


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("n", [3, 7])
def test_rows_of_the_output_cut_into_pieces_give_the_same(n, groups, monkeypatch):
    layers = [Conv2D(4, 3, padding=1, groups=groups, activation="tanh"), Flatten(), Dense(2)]
    network = Network(layers, (2, 5, 6), np.float64)
    network.init(np.random.RandomState(0))
    x, dy = np.random.default_rng(0).normal(size=(n, 2, 5, 6)), np.ones((n, 2))
    results = []
    geometry = network.layers[0]._bound_geometry
    two_columns = 2 * n * geometry.window * geometry.filters
    for small, narrow, pieces in ((10**6, 1, 1), (two_columns, 1, 3), (two_columns, 10**3, 1)):
        monkeypatch.setattr("skbp.layers.conv.SMALL", small)
        monkeypatch.setattr("skbp.layers.conv.NARROW", narrow)
        assert geometry.n_pieces(n) == pieces
        workspace = Workspace(network, n)
        y = network.forward(x, workspace).copy()
        dx = network.backward(dy.copy(), workspace, need_dx=True).copy()
        results.append((y, dx, workspace.grads))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------ channels that come last


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("layers", "shape"), [
    ([Conv2D(2, 3, padding="same")], (8, 8, 3)), ([Conv2D(2, 1)], (6, 6, 1)),
    ([Input((8, 8, 1)), Conv2D(2, 1)], (64,)),
])  # fmt: skip
def test_images_whose_channels_seem_to_come_last(layers, shape):
    X, y = np.random.default_rng(0).normal(size=(20, *shape)), np.arange(20) % 2
    net = BackpropClassifier(layers=[*layers, Flatten()], max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match=r"8 channels of 8 x|6 channels of 6 x") as caught:
        net.fit(X, y)
    told = [one for one in caught if "transpose(0, 3, 1, 2)" in str(one.message)]
    assert len(told) == 1
    with pytest.warns(UserWarning) as caught:
        BackpropClassifier(layers=[Conv2D(2, 1), Flatten()], max_iter=1).fit(
            np.zeros((20, 3, 8, 8)) + np.arange(20)[:, None, None, None], y
        )
    assert not any("transpose" in str(one.message) for one in caught)


def test_windows_that_do_not_fit_into_channels():
    net = BackpropClassifier(layers=[Conv2D(2, 3), Flatten()])
    with pytest.raises(ValueError, match=r"does not fit.*transpose\(0, 3, 1, 2\)"):
        net.fit(np.zeros((4, 8, 8, 1)), [0, 1, 0, 1])
