"""Kernels of recurrent layers: each, in every tier, against a naive formula."""

import importlib
import inspect
from importlib.util import find_spec

import numpy as np
import pytest
from scipy.special import expit

from skbp import _kernels as kernels
from skbp._kernels import numpy_recurrent

TIERS = [numpy_recurrent]
if find_spec("numba") is not None:
    TIERS.append(importlib.import_module("skbp._kernels.numba_recurrent"))
TOLERANCE = {np.float64: 1e-13, np.float32: 2e-6}
SHAPES = [(1, 1), (2, 3), (0, 4), (5, 16), (3, 33)]
each_tier = pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.__name__.split(".")[-1])
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def draw(dtype, *shapes, scale=1.0):
    rng = np.random.default_rng(0)
    return [rng.normal(0, scale, shape).astype(dtype) for shape in shapes]


def wide(arrays):
    return [array.astype(np.float64) for array in arrays]


def check(got, expected, dtype):
    for index, (one, other) in enumerate(zip(got, expected, strict=True)):
        assert one.dtype == dtype
        np.testing.assert_allclose(
            one, other, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=f"array {index}"
        )


@pytest.mark.parametrize("name", kernels.RECURRENT)
def test_every_tier_has_every_kernel_with_the_same_arguments(name):
    expected = list(inspect.signature(getattr(numpy_recurrent, name)).parameters)
    for tier in TIERS:
        kernel = getattr(tier, name)
        assert list(inspect.signature(getattr(kernel, "py_func", kernel))
                    .parameters) == expected  # fmt: skip
    assert getattr(kernels, name) in [getattr(tier, name) for tier in TIERS]


def lstm(gates, product, bias, c):
    """Return the gates, and the new c, tanh(c) and h."""
    z = np.split(gates + product + bias, 4, axis=1)
    i, f, g, o = expit(z[0]), expit(z[1]), np.tanh(z[2]), expit(z[3])
    new = f * c + i * g
    return np.hstack([i, f, g, o]), new, np.tanh(new), o * np.tanh(new)


@each_dtype
@each_shape
@each_tier
def test_lstm_forward(tier, shape, dtype):
    (n, k), scale = shape, 2.0
    inputs = draw(dtype, (n, 4 * k), (n, 4 * k), (4 * k,), (n, k), scale=scale)
    expected_gates, new, tanh, h = lstm(*wide(inputs))
    gates, product, bias, c = (array.copy() for array in inputs)
    product.flags.writeable = bias.flags.writeable = False
    outputs = [np.full(shape, np.nan, dtype) for _ in range(3)]
    tier.lstm_forward(gates, product, bias, c, *outputs)
    check([gates, c, *outputs], [expected_gates, new, inputs[3], tanh, h], dtype)


def gru(gates, product, bias, bias_hidden, h):
    """Return r, u, n side by side, q, and the new h."""
    (z_r, z_u, z_n), (s_r, s_u, s_n) = np.split(gates + bias, 3, 1), np.split(product, 3, 1)
    r, u, q = expit(z_r + s_r), expit(z_u + s_u), s_n + bias_hidden
    n = np.tanh(z_n + r * q)
    return np.hstack([r, u, n]), q, (1 - u) * n + u * h


@each_dtype
@each_shape
@each_tier
def test_gru_forward(tier, shape, dtype):
    n, k = shape
    inputs = draw(dtype, (n, 3 * k), (n, 3 * k), (3 * k,), (k,), (n, k), scale=2.0)
    expected = gru(*wide(inputs))
    gates, product, bias, bias_hidden, h = (array.copy() for array in inputs)
    bias.flags.writeable = bias_hidden.flags.writeable = False
    tier.gru_forward(gates, product, bias, bias_hidden, h)
    check([gates, product[:, 2 * k :], h], expected, dtype)


def derivative(function, inputs, index, cotangents):
    """Differentiate the sum of outputs times cotangents by one of the inputs."""
    result = np.empty_like(inputs[index])
    for place in np.ndindex(result.shape):
        values = []
        for step in (1e-6, -1e-6):
            moved = [array.copy() for array in inputs]
            moved[index][place] += step
            values.append(sum((a * b).sum() for a, b in zip(
                function(*moved), cotangents, strict=True)))  # fmt: skip
        result[place] = (values[0] - values[1]) / 2e-6
    return result


@each_shape
@each_tier
def test_lstm_backward(tier, shape):
    n, k = shape
    inputs = draw(np.float64, (n, 4 * k), (n, 4 * k), (4 * k,), (n, k))
    dc, dh = draw(np.float64, shape, shape, shape)[1:]

    def outputs(*arrays):
        _, new, _, h = lstm(*arrays)
        return new, h

    expected = [derivative(outputs, inputs, index, (dc, dh)) for index in (0, 3)]
    gates, _, tanh, _ = lstm(*inputs)
    got_dc, frozen = dc.copy(), dh.copy()
    tier.lstm_backward(gates, inputs[3].copy(), tanh, frozen, got_dc)
    for got, wanted in zip((gates, got_dc), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-8)


@each_shape
@each_tier
def test_gru_backward(tier, shape):
    n, k = shape
    inputs = draw(np.float64, (n, 3 * k), (n, 3 * k), (3 * k,), (k,), (n, k))
    (dh,) = draw(np.float64, shape)
    expected = [
        derivative(lambda *arrays: gru(*arrays)[2:], inputs, index, [dh]) for index in (0, 1, 4)
    ]
    gates, q, _ = gru(*inputs)
    product, got_dh = np.hstack([inputs[1][:, : 2 * k], q]), dh.copy()
    tier.gru_backward(gates, product, inputs[4].copy(), got_dh)
    for got, wanted in zip((gates, product, got_dh), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-8)


@each_dtype
@each_tier
def test_sigmoids_over_the_whole_range(tier, dtype):
    top = 90 if dtype == np.float32 else 720  # where the exponential leaves the type's range
    z = np.concatenate([np.linspace(-top, top, 4001), np.linspace(-1, 1, 999) * 1e-3, [1e9, -1e9]])
    z = z.astype(dtype)[:, None]
    zero, ones = np.zeros_like(z), np.ones_like(z)
    gates = np.hstack([z] * 4)
    results = [np.empty_like(z) for _ in range(3)]
    tier.lstm_forward(gates, np.zeros_like(gates), np.zeros(4, dtype), zero, *results)
    exact = z.astype(np.float64)
    sigmoid, tanh = expit(exact), np.tanh(exact)
    # within a few roundings of 1
    tolerance = 4 * np.finfo(dtype).eps
    for column, expected in zip(gates.T, (sigmoid, sigmoid, tanh, sigmoid), strict=True):
        np.testing.assert_allclose(column, expected[:, 0], rtol=0, atol=tolerance)
    assert (abs(gates) <= ones).all()


@each_dtype
@each_tier
def test_not_a_number_and_infinity_come_through(tier, dtype):
    bad = np.array([[np.nan], [np.inf], [-np.inf], [0]], dtype)
    gates, product = np.hstack([bad] * 4), np.zeros((4, 4), dtype)
    c = np.ones((4, 1), dtype)
    results = [np.empty_like(c) for _ in range(3)]
    tier.lstm_forward(gates, product, np.zeros(4, dtype), c, *results)
    expected = lstm(*wide([np.hstack([bad] * 4), product, np.zeros(4), np.ones((4, 1))]))
    np.testing.assert_allclose(gates, expected[0], atol=1e-7)
    np.testing.assert_allclose(results[2], expected[3], atol=1e-6)
    gates, product, h = np.hstack([bad] * 3), np.zeros((4, 3), dtype), np.ones((4, 1), dtype)
    tier.gru_forward(gates, product, np.zeros(3, dtype), np.zeros(1, dtype), h)
    assert np.isnan(h[0, 0])
    np.testing.assert_allclose(h[1:, 0], [1, -1, 0.5], atol=1e-7)


@pytest.mark.parametrize("n_steps", [0, 1, 2500])  # more than are copied at a time
@pytest.mark.parametrize("form", ["batch first", "time first"])
@each_dtype
@each_tier
def test_steps_are_taken_and_put_back(tier, dtype, form, n_steps):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 50, 3)).astype(dtype)
    if form == "time first":
        x = x.transpose(1, 0, 2).copy().transpose(1, 0, 2)
    x.flags.writeable = False
    chosen = rng.permutation(3000)[:n_steps]
    rows, times = chosen // 50, chosen % 50
    out = np.full((n_steps, 3), np.nan, dtype)
    tier.take_steps(x, rows, times, out)
    np.testing.assert_array_equal(out, [x[i, t] for i, t in zip(rows, times, strict=True)]
                                  if n_steps else out)  # fmt: skip
    back = np.zeros((60, 50, 3), dtype)
    tier.put_steps(out, rows, times, back)
    expected = np.zeros_like(back)
    expected[rows, times] = x[rows, times]
    np.testing.assert_array_equal(back, expected)
