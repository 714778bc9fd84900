"""Kernels: every one, in every tier, against a naive formula."""

import importlib
import inspect
import os
import subprocess
import sys
from importlib.util import find_spec
from unittest import mock

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array
from scipy.stats import norm

from skbp import _kernels as kernels
from skbp._engine.batches import CSR, rows_between
from skbp._kernels import numpy_attention, numpy_kernels
from skbp.layers._windows import axis

KERNELS = [numpy_kernels]
if find_spec("numba") is not None:
    KERNELS.append(importlib.import_module("skbp._kernels.numba_kernels"))

BLOCK = 64  # for these tests; the shapes lie below, at and above it, and above a real block
SHAPES = [(1, 1), (1, 5), (2, 1), (3, 7), (8, 8), (13, 5), (16, 8), (65, 1), (1, 129), (70, 1001)]
REAL_BLOCK = numpy_kernels.BLOCK

CHECKS = {}


def check_of(name):
    """Register a function that runs a kernel and the formula; it returns pairs to compare."""

    def register(function):
        CHECKS[name] = function
        return function

    return register


def normal(rng, shape, dtype):
    return rng.normal(size=shape).astype(dtype)


def frozen(array):
    array.flags.writeable = False
    return array


def wide(array):
    """The same numbers, to compute the expected result in."""
    return array.astype(np.float64)


@check_of("gather")
def _(kernel, shape, dtype, rng):
    source = frozen(normal(rng, (50, shape[1]), dtype))
    rows = frozen(rng.integers(0, 50, shape[0]))
    out, flat = np.full(shape, np.nan, dtype), np.zeros(shape[0], dtype)
    kernel(source, rows, out)
    kernel(source[:, 0].copy(), rows, flat)
    labels, codes = rng.integers(0, 9, 50), np.zeros(shape[0], np.intp)
    kernel(labels, rows, codes)
    return (
        (out, [source[row] for row in rows]),
        (flat, source[rows, 0]),
        (codes, [labels[row] for row in rows]),
    )


@check_of("matmul")
def _(kernel, shape, dtype, rng):
    n, k = shape
    x, weight = frozen(normal(rng, (n, 6), dtype)), frozen(normal(rng, (6, k), dtype))
    dense, sparse = np.full(shape, np.nan, dtype), np.full(shape, np.nan, dtype)
    kernel(x, weight, dense)
    holes = np.where(rng.random(x.shape) < 0.4, x, 0)
    kernel(read_only_csr(holes), weight, sparse)
    return (dense, wide(x) @ wide(weight)), (sparse, wide(holes) @ wide(weight))


@check_of("matmul_transposed")
def _(kernel, shape, dtype, rng):
    n, k = shape
    x, dy = frozen(normal(rng, (n, 6), dtype)), frozen(normal(rng, (n, k), dtype))
    dense, sparse = np.full((6, k), np.nan, dtype), np.full((6, k), np.nan, dtype)
    kernel(x, dy, dense)
    holes = np.where(rng.random(x.shape) < 0.4, x, 0)
    kernel(read_only_csr(holes), dy, sparse)
    return (dense, wide(x).T @ wide(dy)), (sparse, wide(holes).T @ wide(dy))


@check_of("matmul_by_transposed")
def _(kernel, shape, dtype, rng):
    n, k = shape
    dy, weight = frozen(normal(rng, (n, k), dtype)), frozen(normal(rng, (6, k), dtype))
    out = np.full((n, 6), np.nan, dtype)
    kernel(dy, weight, out)
    return [(out, wide(dy) @ wide(weight).T)]


@check_of("column_sums")
def _(kernel, shape, dtype, rng):
    a, out = frozen(normal(rng, shape, dtype)), np.full(shape[1], np.nan, dtype)
    kernel(a, out)
    return [(out, wide(a).sum(axis=0))]


@check_of("add_bias")
def _(kernel, shape, dtype, rng):
    z, bias = normal(rng, shape, dtype), frozen(normal(rng, shape[1], dtype))
    expected = wide(z) + wide(bias)
    kernel(z, bias)
    return [(z, expected)]


@check_of("bias_relu")
def _(kernel, shape, dtype, rng):
    z, bias = normal(rng, shape, dtype), frozen(normal(rng, shape[1], dtype))
    z[0, 0] = -bias[0]  # exactly at the kink
    expected = np.maximum(wide(z) + wide(bias), 0)
    kernel(z, bias)
    assert not np.signbit(z).any()  # -0.0 would be a trap for whoever looks at signs
    return [(z, expected)]


@check_of("bias_leaky_relu")
def _(kernel, shape, dtype, rng):
    pairs = []
    for slope in (0.01, 0.0, 1.5):
        z, bias = normal(rng, shape, dtype), frozen(normal(rng, shape[1], dtype))
        expected = wide(z) + wide(bias)
        expected[expected < 0] *= slope
        kernel(z, bias, slope)
        pairs.append((z, expected))
    return pairs


@check_of("rectifier_backward")
def _(kernel, shape, dtype, rng):
    y = frozen(normal(rng, shape, dtype))
    pairs = []
    for above, below, offset in ((1.0, 0.0, 0.01), (1.05, 1.0, 1.7)):
        dy, dbias = normal(rng, shape, dtype), np.full(shape[1], np.nan, dtype)
        expected = wide(dy) * np.where(y > 0, above, below * wide(y) + offset)
        kernel(dy, y, above, below, offset, dbias)
        pairs += [(dy, expected), (dbias, expected.sum(axis=0))]
    return pairs


@check_of("bias_hardswish")
def _(kernel, shape, dtype, rng):
    z, bias = 3 * normal(rng, shape, dtype), frozen(normal(rng, shape[1], dtype))
    out, summed = np.full(shape, np.nan, dtype), wide(z) + wide(bias)
    kernel(z, bias, out)
    return (z, summed), (out, summed * np.clip(summed + 3, 0, 6) / 6)


@check_of("hardswish_backward")
def _(kernel, shape, dtype, rng):
    z, dy = 3 * normal(rng, shape, dtype), normal(rng, shape, dtype)
    z[0, 0], z[-1, -1] = -3, 3  # exactly at the kinks
    slope = np.where(z <= -3, 0, np.where(z >= 3, 1, (2 * wide(z) + 3) / 6))
    dbias, expected = np.full(shape[1], np.nan, dtype), wide(dy) * slope
    kernel(dy, frozen(z), dbias)
    return (dy, expected), (dbias, expected.sum(axis=0))


@check_of("bias_gelu")
def _(kernel, shape, dtype, rng):
    z, bias = 3 * normal(rng, shape, dtype), frozen(normal(rng, shape[1], dtype))
    z[0, 0], summed = -bias[0], wide(z) + wide(bias)
    out = np.full(shape, np.nan, dtype)
    summed[0, 0] = 0
    kernel(z, bias, out)
    same = z.copy()
    kernel(same, np.zeros_like(bias), same)
    return (z, summed), (out, summed * norm.cdf(summed)), (same, summed * norm.cdf(summed))


@check_of("gelu_backward")
def _(kernel, shape, dtype, rng):
    z, dy = 3 * normal(rng, shape, dtype), normal(rng, shape, dtype)
    z[0, 0] = 0
    slope = norm.cdf(wide(z)) + wide(z) * norm.pdf(wide(z))
    y = (wide(z) * norm.cdf(wide(z))).astype(dtype)
    dbias, expected = np.full(shape[1], np.nan, dtype), wide(dy) * slope
    kernel(dy, frozen(y), frozen(z), dbias)
    return (dy, expected), (dbias, expected.sum(axis=0))


def activation_backward(slope, draw):
    def check(kernel, shape, dtype, rng):
        dy, y = normal(rng, shape, dtype), frozen(draw(rng, shape).astype(dtype))
        dbias, expected = np.full(shape[1], np.nan, dtype), wide(dy) * slope(wide(y))
        kernel(dy, y, dbias)
        return (dy, expected), (dbias, expected.sum(axis=0))

    return check


CHECKS["relu_backward"] = activation_backward(
    lambda y: y > 0, lambda rng, shape: np.maximum(rng.normal(size=shape), 0)
)
CHECKS["tanh_backward"] = activation_backward(
    lambda y: 1 - y**2, lambda rng, shape: np.tanh(rng.normal(size=shape))
)
CHECKS["logistic_backward"] = activation_backward(
    lambda y: y * (1 - y), lambda rng, shape: rng.uniform(size=shape)
)


def draw_images(rng, shape, dtype):
    """Draw two arrays of shape (r, k, m) and one of shape (k,), from a shape (n, m)."""
    n, m = shape
    size = (1, n, m) if n % 2 else (2, n // 2, m)
    return normal(rng, size, dtype), normal(rng, size, dtype), frozen(normal(rng, size[1], dtype))


@check_of("channel_sums")
def _(kernel, shape, dtype, rng):
    a, _, bias = draw_images(rng, shape, dtype)
    out = np.full(bias.shape, np.nan, dtype)
    kernel(frozen(a), out)
    return [(out, wide(a).sum(axis=(0, 2)))]


@check_of("add_channel_bias")
def _(kernel, shape, dtype, rng):
    z, _, bias = draw_images(rng, shape, dtype)
    expected = wide(z) + wide(bias)[None, :, None]
    kernel(z, bias)
    return [(z, expected)]


@check_of("channel_bias_relu")
def _(kernel, shape, dtype, rng):
    z, _, bias = draw_images(rng, shape, dtype)
    z[0, 0, 0] = -bias[0]  # exactly at the kink
    expected = np.maximum(wide(z) + wide(bias)[None, :, None], 0)
    kernel(z, bias)
    assert not np.signbit(z).any()
    return [(z, expected)]


@check_of("channel_relu_backward")
def _(kernel, shape, dtype, rng):
    dy, y, bias = draw_images(rng, shape, dtype)
    y = frozen(np.maximum(y, 0))
    dbias, expected = np.full(bias.shape, np.nan, dtype), wide(dy) * (y > 0)
    kernel(dy, y, dbias)
    return (dy, expected), (dbias, expected.sum(axis=(0, 2)))


@check_of("fill_bands")
def _(kernel, shape, dtype, rng):
    x = frozen(normal(rng, (shape[0], 2, 3, shape[1]), dtype))
    bands, turned = (np.full((3, 2, shape[1], shape[0]), np.nan, dtype) for _ in range(2))
    kernel(x, bands)
    kernel(frozen(x[::-1]), turned)
    return (bands, wide(x).transpose(2, 1, 3, 0)), (turned, wide(x)[::-1].transpose(2, 1, 3, 0))


def place_windows(shape):
    """Windows over bands of a height of n + 2 and a width of 6, and the number of columns m."""
    n, m = min(shape[0], 20), min(shape[1], 70)
    return axis(n + 2, 3, 2, 1), axis(6, 2, 3, 0), (n + 2, 3, 6, m)


def places(vertical, horizontal):
    """Yield (row of windows, column of windows, i, j, row, column) of all that is no padding."""
    for o, p, i, j in np.ndindex(vertical.n_out, horizontal.n_out, vertical.size, horizontal.size):
        row = o * vertical.stride + i * vertical.dilation - vertical.before
        column = p * horizontal.stride + j * horizontal.dilation - horizontal.before
        if 0 <= row < vertical.n_in and 0 <= column < horizontal.n_in:
            yield o, p, i, j, row, column


@check_of("add_columns")
def _(kernel, shape, dtype, rng):
    n, m = min(shape[0], 20), min(shape[1], 70)
    vertical, horizontal, pairs = axis(n + 4, 3, 2, 1, 2), axis(5, 2, 2, 1, 3), []
    for begin, end in ((0, vertical.n_out), (vertical.n_out - 1, vertical.n_out)):
        columns = frozen(normal(rng, (3, end - begin, 3, 2, 2, horizontal.n_out, m), dtype))
        bands = normal(rng, (n + 4, 6, 5, m), dtype)
        expected = wide(bands)
        for o, p, i, j, row, column in places(vertical, horizontal):
            if begin <= o < end:
                expected[row, :, column] += columns[:, o - begin, i, j, :, p].reshape(6, m)
        kernel(columns, vertical, horizontal, begin, end, bands)
        pairs.append((bands, expected))
    return pairs


@check_of("max_pool")
def _(kernel, shape, dtype, rng):
    vertical, horizontal, size = place_windows(shape)
    x = frozen(normal(rng, size, dtype))
    y = np.full((vertical.n_out, size[1], horizontal.n_out, size[3]), np.nan, dtype)
    expected = np.full(y.shape, -np.inf)
    for o, p, _, _, row, column in places(vertical, horizontal):
        expected[o, :, p] = np.maximum(expected[o, :, p], x[row, :, column])
    kernel(x, vertical, horizontal, y)
    return [(y, expected)]


@check_of("max_pool_backward")
def _(kernel, shape, dtype, rng):
    vertical, horizontal, size = place_windows(shape)
    x = frozen(normal(rng, size, dtype).round())  # with ties
    y = np.empty((vertical.n_out, size[1], horizontal.n_out, size[3]), dtype)
    numpy_kernels.max_pool(x, vertical, horizontal, y)
    dy, dx, expected = normal(rng, y.shape, dtype), np.full(size, np.nan, dtype), np.zeros(size)
    rest = wide(dy)
    for o, p, _, _, row, column in places(vertical, horizontal):  # in the order of a window
        here = x[row, :, column] == y[o, :, p]
        expected[row, :, column] += np.where(here, rest[o, :, p], 0)
        rest[o, :, p] = np.where(here, 0, rest[o, :, p])
    kernel(dy, x, frozen(y), vertical, horizontal, dx)
    return [(dx, expected)]


@check_of("dropout_mask")
def _(kernel, shape, dtype, rng):
    # Deterministic by key, zeros and ones, the same for every tier; see also below.
    masks = [np.full(shape, 7, np.uint8) for _ in range(3)]
    for mask, key in zip(masks, (2**64 - 1, 2**64 - 1, 2), strict=True):
        kept = kernel(key, 5, 0.3, mask)
        assert kept == pytest.approx(0.7, abs=2**-16)
        assert mask.max() <= 1
    assert masks[0].size < 50 or not np.array_equal(masks[0], masks[2])
    reference = np.empty(shape, np.uint8)
    numpy_kernels.dropout_mask(2**64 - 1, 5, 0.3, reference)
    return (masks[0], masks[1]), (masks[0], reference)


@check_of("masked_scale")
def _(kernel, shape, dtype, rng):
    x, mask = normal(rng, shape, dtype), frozen(rng.integers(0, 2, shape).astype(np.uint8))
    out, expected = np.full(shape, np.nan, dtype), wide(x) * mask * 1.25
    kernel(frozen(x.copy()), mask, 1.25, out)
    kernel(x, mask, 1.25, x)  # in place
    return (out, expected), (x, expected)


def by_feature(shape):
    """Both layouts of features: rows, and an image's bands with 3 x as many places.

    Yields the shape, the axes that are no features, and what brings features to their axis.
    """
    yield shape, 0, slice(None)
    yield (3, shape[1], shape[0]), (0, 2), (slice(None), None)


@check_of("moments")
def _(kernel, shape, dtype, rng):
    pairs = []
    for layout, axes, _ in by_feature(shape):
        x = frozen(normal(rng, layout, dtype) + dtype(10))
        large = frozen(dtype(4096) + np.round(x))  # numbers that even float32 has exactly
        mean, var = (np.full(shape[1], np.nan, dtype) for _ in range(2))
        kernel(x, mean, var)
        pairs += [(mean, wide(x).mean(axis=axes)), (var, wide(x).var(axis=axes))]
        far, spread = (np.full(shape[1], np.nan, dtype) for _ in range(2))
        kernel(large, far, spread)
        pairs += [(far, wide(large).mean(axis=axes)), (spread, wide(large).var(axis=axes))]
    return pairs


@check_of("standardize")
def _(kernel, shape, dtype, rng):
    pairs = []
    for layout, _, spread in by_feature(shape):
        x, out = frozen(normal(rng, layout, dtype)), np.full(layout, np.nan, dtype)
        mean, scale = (frozen(normal(rng, shape[1], dtype)) for _ in range(2))
        kernel(x, mean, scale, out)
        pairs.append((out, (wide(x) - wide(mean)[spread]) * wide(scale)[spread]))
    return pairs


@check_of("standardize_sums")
def _(kernel, shape, dtype, rng):
    pairs = []
    for layout, axes, spread in by_feature(shape):
        dz, x = (frozen(normal(rng, layout, dtype)) for _ in range(2))
        mean, out = frozen(normal(rng, shape[1], dtype)), np.full(shape[1], np.nan, dtype)
        kernel(dz, x, mean, out)
        pairs.append((out, (wide(dz) * (wide(x) - wide(mean)[spread])).sum(axis=axes)))
    return pairs


@check_of("standardize_backward")
def _(kernel, shape, dtype, rng):
    pairs = []
    for layout, _, spread in by_feature(shape):
        dz, x = normal(rng, layout, dtype), frozen(normal(rng, layout, dtype))
        features = [frozen(normal(rng, shape[1], dtype)) for _ in range(4)]
        mean, slope, constant, scale = (wide(feature)[spread] for feature in features)
        expected = (wide(dz) - slope * (wide(x) - mean) - constant) * scale
        kernel(dz, x, *features)
        pairs.append((dz, expected))
    return pairs


@check_of("standardize_rows")
def _(kernel, shape, dtype, rng):
    x, gamma = frozen(normal(rng, shape, dtype)), frozen(normal(rng, shape[1], dtype))
    mean, inv_std = (np.full(shape[0], np.nan, dtype) for _ in range(2))
    out = np.full(shape, np.nan, dtype)
    kernel(x, gamma, 1e-3, mean, inv_std, out)
    expected_mean, expected = wide(x).mean(axis=1), 1 / np.sqrt(wide(x).var(axis=1) + 1e-3)
    xhat = (wide(x) - expected_mean[:, None]) * expected[:, None]
    return (mean, expected_mean), (inv_std, expected), (out, xhat * wide(gamma))


@check_of("standardize_rows_backward")
def _(kernel, shape, dtype, rng):
    x, gamma = frozen(normal(rng, shape, dtype)), frozen(normal(rng, shape[1], dtype))
    mean, inv_std = (frozen(rng.uniform(0.5, 2, shape[0]).astype(dtype)) for _ in range(2))
    dz, dgamma = normal(rng, shape, dtype), np.full(shape[1], np.nan, dtype)
    scale = wide(inv_std)[:, None]
    xhat, wide_dz, h = (wide(x) - wide(mean)[:, None]) * scale, wide(dz), wide(dz) * wide(gamma)
    kernel(dz, x, mean, inv_std, gamma, dgamma)
    means = h.mean(axis=1, keepdims=True), (h * xhat).mean(axis=1, keepdims=True)
    return (
        (dgamma, (wide_dz * xhat).sum(axis=0)),
        (dz, (h - means[0] - xhat * means[1]) * scale),
    )


def attention_cases(shape, rng):
    """Yield what is absent (or None), causal or not, and where a query sees a key."""
    n, time = shape[0], min(shape[1], 9)
    absent = rng.random((n, time)) < 0.4
    absent[0] = True  # a sequence without any step
    for gone in (None, frozen(absent)):
        for causal in (False, True):
            seen = np.ones((n, 2, time, time), dtype=bool)
            if gone is not None:
                seen &= ~gone[:, None, None, :]
            yield gone, causal, np.tril(seen) if causal else seen
            last = seen[:, :, : (time + 1) // 2]  # fewer queries, at the last steps of the keys
            yield gone, causal, np.tril(last, time - last.shape[2]) if causal else last


@check_of("attention_softmax")
def _(kernel, shape, dtype, rng):
    pairs = []
    for absent, causal, seen in attention_cases(shape, rng):
        scores = 3 * normal(rng, seen.shape, dtype)
        exp = np.exp(0.7 * wide(scores)) * seen
        total = exp.sum(axis=-1, keepdims=True)
        with mock.patch.object(numpy_attention, "BLOCK", 600):
            kernel(scores, 0.7, absent, causal)
        pairs.append((scores, exp / np.where(total > 0, total, 1)))
    return pairs


@check_of("attention_softmax_backward")
def _(kernel, shape, dtype, rng):
    time = min(shape[1], 9)
    d, p = (normal(rng, (shape[0], 2, time, time), dtype) for _ in range(2))
    expected = 0.7 * wide(p) * (wide(d) - (wide(d) * wide(p)).sum(axis=-1, keepdims=True))
    with mock.patch.object(numpy_attention, "BLOCK", 600):
        kernel(d, frozen(p), 0.7)
    return [(d, expected)]


@check_of("rotate")
def _(kernel, shape, dtype, rng):
    n, k = shape
    cases = []
    for back in (False, True):
        whole = normal(rng, (n, 3, 3, 2, 2, k), dtype)
        kept, pairs = whole.copy(), whole[:, :, :2]
        angle = normal(rng, (3, 1, 1, 1, k), np.float64)
        cos, sin = np.cos(angle), np.concatenate([-np.sin(angle), np.sin(angle)], axis=-2)
        turned = (wide(kept[..., 0, :]) + 1j * wide(kept[..., 1, :])) * np.exp(
            (-1j if back else 1j) * angle[..., 0, :]
        )
        expected = np.stack([turned.real, turned.imag], axis=-2)
        expected[:, :, 2] = kept[:, :, 2]
        scratch = np.empty(pairs.shape, dtype)
        kernel(pairs, frozen(cos.astype(dtype)), frozen(sin.astype(dtype)), scratch, back)
        cases.append((whole, expected))
    return cases


@check_of("softmax_cross_entropy")
def _(kernel, shape, dtype, rng):
    n, k = shape
    raw, target = frozen(3 * normal(rng, shape, dtype)), frozen(rng.integers(0, k, n))
    weight, grad = frozen(rng.uniform(0, 2, n).astype(dtype)), np.full(shape, np.nan, dtype)
    value = kernel(raw, target, weight, grad)
    exp = np.exp(wide(raw))
    p = exp / exp.sum(axis=1, keepdims=True)
    expected = -sum(weight[i] * np.log(p[i, target[i]]) for i in range(n))
    onehot = np.eye(k)[target]
    assert isinstance(value, float)
    return (value, expected), (grad, (p - onehot) * wide(weight)[:, None])


@check_of("sigmoid_cross_entropy")
def _(kernel, shape, dtype, rng):
    raw = frozen(3 * normal(rng, shape, dtype))
    target = frozen(rng.choice([0.0, 1.0, 0.3], shape).astype(dtype))
    weight = frozen(rng.uniform(0, 2, shape[0]).astype(dtype))
    grad = np.full(shape, np.nan, dtype)
    value = kernel(raw, target, weight, grad)
    p, y, w = 1 / (1 + np.exp(-wide(raw))), wide(target), wide(weight)[:, None]
    expected = -(w * (y * np.log(p) + (1 - y) * np.log(1 - p))).sum()
    assert isinstance(value, float)
    return (value, expected), (grad, (p - y) * w)


@check_of("l2")
def _(kernel, shape, dtype, rng):
    size = np.prod(shape)
    params, grads = frozen(normal(rng, size, dtype)), normal(rng, size, dtype)
    expected = wide(grads) + 0.3 * wide(params)
    squares = kernel(params, grads, 0.3)
    assert isinstance(squares, float)
    return (grads, expected), (squares, (wide(params) ** 2).sum())


def update(n_states, formula):
    """Check three steps of an update; `formula` changes a list [params, *states]."""

    def check(kernel, shape, dtype, rng, **settings):
        size, pairs = np.prod(shape), []
        arrays = [normal(rng, size, dtype), *(np.zeros(size, dtype) for _ in range(n_states))]
        expected = [wide(array) for array in arrays]
        for strength in (0.0, 0.2, 0.1):
            grads = normal(rng, size, dtype)
            squares = (expected[0] ** 2).sum() if strength else 0.0
            g = wide(grads) + strength * expected[0]
            formula(expected, g, **settings)
            value = kernel(arrays[0], grads, *arrays[1:], strength, *settings.values())
            pairs.append((value, squares))
        return [*pairs, *zip(arrays, expected, strict=True)]

    return check


def sgd_formula(arrays, g, lr, momentum, nesterov):
    p, v = arrays
    v[:] = momentum * v - lr * g
    p += momentum * v - lr * g if nesterov else v


def adam_formula(arrays, g, lr, beta_1, beta_2, epsilon, decay=1.0):
    p, m, v = arrays
    m[:] = beta_1 * m + g
    v[:] = beta_2 * v + g**2
    p[:] = decay * p - lr * m / (np.sqrt(v) + epsilon)


def lion_formula(arrays, g, lr, beta_1, beta_2, decay):
    p, m = arrays
    p[:] = decay * p - lr * np.sign(beta_1 * m + (1 - beta_1) * g)
    m[:] = beta_2 * m + (1 - beta_2) * g


@check_of("sgd_step")
def _(kernel, *args):
    check = update(1, sgd_formula)
    pairs = []
    for momentum in (0.0, 0.9):
        for nesterov in (False, True):
            pairs += check(kernel, *args, lr=0.1, momentum=momentum, nesterov=nesterov)
    return pairs


@check_of("adam_step")
def _(kernel, *args):
    check = update(2, adam_formula)
    return [
        *check(kernel, *args, lr=0.1, beta_1=0.9, beta_2=0.99, epsilon=1e-3),
        *check(kernel, *args, lr=0.1, beta_1=0.0, beta_2=0.0, epsilon=1e-8),
        *check(kernel, *args, lr=0.1, beta_1=0.9, beta_2=0.99, epsilon=1e-3, decay=0.7),
    ]


@check_of("lion_step")
def _(kernel, *args):
    check = update(1, lion_formula)
    return [
        *check(kernel, *args, lr=0.1, beta_1=0.9, beta_2=0.99, decay=1.0),
        *check(kernel, *args, lr=0.1, beta_1=0.0, beta_2=0.5, decay=0.7),
    ]


@check_of("adam_rows")
def _(kernel, shape, dtype, rng):
    rows = frozen(np.flatnonzero(rng.random(shape[0]) < 0.4))
    params, grads = normal(rng, shape, dtype), normal(rng, shape, dtype)
    m, v = normal(rng, shape, dtype), normal(rng, shape, dtype) ** 2
    expected = [wide(array) for array in (params, m, v)]
    part = [array[rows] for array in expected]
    before = (part[0] ** 2).sum()
    adam_formula(part, wide(grads)[rows] + 0.3 * part[0], 0.1, 0.9, 0.99, 1e-3)
    for array, values in zip(expected, part, strict=True):
        array[rows] = values
    growth = kernel(params, grads, m, v, rows, 0.3, 0.1, 0.9, 0.99, 1e-3)
    assert isinstance(growth, float)
    return (before + growth, (part[0] ** 2).sum()), *zip((params, m, v), expected, strict=True)


def read_only_csr(dense):
    matrix = csr_array(dense)
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return CSR.of(matrix)


def kernel_names():
    """Every kernel there is: also one that is new and has no check here yet."""
    return sorted(name for name in kernels.NAMES if callable(getattr(numpy_kernels, name)))


@pytest.mark.parametrize("name", kernel_names())
def test_every_tier_has_every_kernel_with_the_same_arguments(name):
    assert name in CHECKS, f"the kernel {name!r} is new: check it against a formula in this file"
    for tier in KERNELS:
        kernel = getattr(tier, name)
        function = getattr(kernel, "py_func", kernel)  # what numba compiled
        expected = inspect.signature(getattr(numpy_kernels, name))
        assert list(inspect.signature(function).parameters) == list(expected.parameters)


def test_no_check_of_a_kernel_that_is_gone():
    assert set(CHECKS) == set(kernel_names())
    public = {
        name for name, value in vars(numpy_kernels).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }  # fmt: skip
    assert public == set(kernel_names())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("tier", KERNELS, ids=lambda tier: tier.__name__.rpartition(".")[2])
def test_kernel_against_the_formula(tier, name, dtype, monkeypatch):
    # float32: errors of sums grow with their length
    tolerance = 1e-10 if dtype == np.float64 else 2e-5
    kernel, real_block = getattr(tier, name), numpy_kernels.BLOCK
    for shape in SHAPES:
        block = BLOCK if shape[0] * shape[1] < REAL_BLOCK else real_block
        monkeypatch.setattr(numpy_kernels, "BLOCK", block)
        for got, expected in CHECKS[name](kernel, shape, dtype, np.random.default_rng(0)):
            scale = np.abs(expected).max() if np.size(expected) else 0
            np.testing.assert_allclose(
                got, expected, tolerance, tolerance * (scale or 1), err_msg=str(shape)
            )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tier", KERNELS, ids=lambda tier: tier.__name__.rpartition(".")[2])
def test_not_a_number_comes_through(tier, dtype):
    # Divergence is found by looking at the loss and the weights: no kernel may swallow it.
    for bad in (np.nan, np.inf):
        z, bias = np.array([[bad, -1.0]], dtype), np.zeros(2, dtype)
        tier.bias_relu(z, bias)
        np.testing.assert_array_equal(z, [[bad, 0]])
        raw, weight, grad = (
            np.array([[bad, 0.0]], dtype),
            np.ones(1, dtype),
            np.empty((1, 2), dtype),
        )
        with np.errstate(invalid="ignore", over="ignore"):
            assert not np.isfinite(tier.softmax_cross_entropy(raw, np.array([1]), weight, grad))
            assert not np.isfinite(
                tier.sigmoid_cross_entropy(raw, np.zeros((1, 2), dtype), weight, grad)
            )
            params, grads = np.array([1.0, bad], dtype), np.ones(2, dtype)
            assert not np.isfinite(tier.l2(params, grads, 0.1))
            assert np.isfinite(grads).tolist() == [True, False]
            for step, n_states, settings in (
                (tier.sgd_step, 1, (0.1, 0.9, True)),
                (tier.adam_step, 2, (0.1, 0.9, 0.99, 1e-8)),
                (tier.adam_step, 2, (0.1, 0.9, 0.99, 1e-8, 0.9)),
                (tier.lion_step, 1, (0.1, 0.9, 0.99, 0.9)),
            ):
                params, grads = np.ones(2, dtype), np.array([1.0, bad], dtype)
                states = [np.zeros(2, dtype) for _ in range(n_states)]
                step(params, grads, *states, 0.0, *settings)
                # the sign of infinity is finite, the momentum is not
                changed = states[0] if step is tier.lion_step else params
                assert np.isfinite(changed).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tier", KERNELS, ids=lambda tier: tier.__name__.rpartition(".")[2])
def test_extreme_scores(tier, dtype):
    weight, grad = np.ones(1, dtype), np.empty((1, 2), dtype)
    for size in (1e3, 1e30):
        raw = np.array([[size, -size]], dtype)
        # A right answer: a loss of next to nothing; a wrong one: of the size of the score.
        assert tier.softmax_cross_entropy(raw, np.array([0]), weight, grad) == 0
        np.testing.assert_array_equal(grad, 0)
        value = tier.softmax_cross_entropy(raw, np.array([1]), weight, grad)
        assert value == pytest.approx(2 * size, rel=1e-6)
        np.testing.assert_array_equal(grad, [[1, -1]])
        assert tier.sigmoid_cross_entropy(raw, np.array([[1, 0]], dtype), weight, grad) == 0
        value = tier.sigmoid_cross_entropy(raw, np.array([[0, 1]], dtype), weight, grad)
        assert value == pytest.approx(2 * size, rel=1e-6)
        np.testing.assert_array_equal(grad, [[1, -1]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tier", KERNELS, ids=lambda tier: tier.__name__.rpartition(".")[2])
def test_digits_of_gelu(tier, dtype):
    z = np.linspace(-5, 5, 1000).astype(dtype)[:, None]
    exact, y, dy = wide(z), np.empty_like(z), np.ones_like(z)
    tier.bias_gelu(z, np.zeros(1, dtype), y)
    tier.gelu_backward(dy, y, z, np.empty(1, dtype))
    rtol = 2e-6 if dtype == np.float32 else 5e-14
    np.testing.assert_allclose(y, exact * norm.cdf(exact), rtol=rtol)
    slope = norm.cdf(exact) + exact * norm.pdf(exact)  # the two cancel near -0.75
    np.testing.assert_allclose(dy, slope, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tier", KERNELS, ids=lambda tier: tier.__name__.rpartition(".")[2])
def test_gelu_far_out(tier, dtype):
    z = np.array([[-1e30, -40, -1e-30, 0, 1e-30, 40, 1e30, np.nan]], dtype)
    y, dy, dbias = np.empty_like(z), np.ones_like(z), np.empty(z.shape[1], dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # as in training
        tier.bias_gelu(z, np.zeros(z.shape[1], dtype), y)
        tier.gelu_backward(dy, y, z, dbias)
    np.testing.assert_allclose(
        y[0], [0, 0, -5e-31, 0, 5e-31, 40, 1e30, np.nan], rtol=1e-6, atol=1e-37
    )
    np.testing.assert_allclose(dy[0], [0, 0, 0.5, 0.5, 0.5, 1, 1, np.nan], rtol=1e-6, atol=1e-37)
    np.testing.assert_array_equal(dbias, dy[0])


@pytest.mark.parametrize("rate", [0.0001, 0.1, 1 / 3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("tier", KERNELS, ids=lambda tier: tier.__name__.rpartition(".")[2])
def test_share_that_dropout_keeps(tier, rate):
    n = 400_001
    mask = np.empty(n, np.uint8)
    kept = tier.dropout_mask(12345, 0, rate, mask)
    assert 0 < kept < 1
    assert kept == pytest.approx(1 - rate, abs=2**-16)
    sigma = np.sqrt(kept * (1 - kept) / n)
    assert abs(mask.mean() - kept) < 5 * sigma
    # unbiased: scaled by what is returned, the mean of ones is one
    x, out = np.ones(n), np.empty(n)
    tier.masked_scale(x, mask, 1 / kept, out)
    assert abs(out.mean() - 1) < 5 * sigma / kept
    # neighbours, also across the four units that share a random word, are independent
    for lag in (1, 2, 3, 4):
        both = (mask[lag:] & mask[:-lag]).mean()
        assert abs(both - kept**2) < 5 * np.sqrt(kept**2 * (1 - kept**2) / n) * 2 + 1e-12


@pytest.mark.parametrize("tier", KERNELS, ids=lambda tier: tier.__name__.rpartition(".")[2])
def test_dropout_depends_on_the_seed_alone(tier, monkeypatch):
    masks = []
    for _ in range(2):
        mask = np.empty((50, 20), np.uint8)
        tier.dropout_mask(3, 0, 0.5, mask)
        masks.append(mask)
    np.testing.assert_array_equal(*masks)


# ------------------------------------------------------------ CSR


@pytest.fixture(params=[np.int32, np.int64], ids=["int32", "int64"])
def sparse(request):
    matrix = csr_array(random_array((40, 9), density=0.3, rng=np.random.default_rng(0)))
    matrix.data[:5] = 0  # explicit zeros
    matrix.indices = matrix.indices.astype(request.param)
    matrix.indptr = matrix.indptr.astype(request.param)
    return matrix


def dense_of(csr):
    return csr_array((csr.data, csr.indices, csr.indptr), shape=csr.shape).toarray()


@pytest.mark.parametrize(
    "rows",
    [[0], [39, 0, 0, 17], [], list(range(40)), [5] * 50],
    ids=["one", "some", "none", "all", "repeated"],
)
def test_csr_take(sparse, rows):
    rows = np.array(rows, np.intp)
    taken = CSR.of(sparse).take(rows)
    assert taken.shape == (len(rows), 9)
    assert taken.indices.dtype == sparse.indices.dtype
    np.testing.assert_array_equal(dense_of(taken), sparse.toarray()[rows])


@pytest.mark.parametrize("start, stop", [(0, 40), (0, 1), (7, 23), (39, 40), (5, 5)])
def test_csr_between(sparse, start, stop):
    csr = CSR.of(sparse)
    part = rows_between(csr, start, stop)
    assert part.shape == (stop - start, 9)
    np.testing.assert_array_equal(dense_of(part), sparse.toarray()[start:stop])
    if part.data.size:
        assert np.shares_memory(part.data, sparse.data)
    again = csr.between(3, 39).between(start % 9, start % 9 + 5)
    np.testing.assert_array_equal(dense_of(again), sparse.toarray()[3 + start % 9 : 8 + start % 9])


def test_rows_of_an_array_are_a_view():
    x = np.arange(12).reshape(6, 2)
    part = rows_between(x, 1, 3)
    np.testing.assert_array_equal(part, [[2, 3], [4, 5]])
    assert np.shares_memory(part, x)
    assert CSR.of(x) is x


def test_csr_of_another_dtype(sparse):
    csr = CSR.of(sparse)
    single = csr.astype(np.float32)
    assert single.data.dtype == np.float32
    assert csr.data.dtype == np.float64
    np.testing.assert_allclose(dense_of(single), sparse.toarray(), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 4, 17])
@pytest.mark.parametrize("tier", KERNELS, ids=lambda tier: tier.__name__.rpartition(".")[2])
def test_csr_products(tier, sparse, k, dtype):
    rng = np.random.default_rng(0)
    weight, dy = normal(rng, (9, k), dtype), normal(rng, (40, k), dtype)
    csr, matrix = CSR.of(sparse).astype(dtype), sparse.astype(dtype)
    for part, expected, rows in (
        (csr, matrix, slice(None)),
        (csr.between(7, 23), matrix[7:23], slice(7, 23)),
        (csr.take(np.arange(7, 23)), matrix[7:23], slice(7, 23)),
        (csr.between(7, 7), matrix[7:7], slice(7, 7)),
    ):
        out = np.full((part.shape[0], k), np.nan, dtype)
        tier.matmul(part, weight, out)
        np.testing.assert_allclose(out, expected @ weight, rtol=1e-5, atol=1e-6)
        out = np.full((9, k), np.nan, dtype)
        tier.matmul_transposed(part, dy[rows].copy(), out)
        np.testing.assert_allclose(out, expected.T @ dy[rows], rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------ the choice of a tier


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_the_tier_can_be_forced():
    code = "from skbp import _kernels as k; print(k.l2.__module__, k.chosen_tier())"
    run = run_python(code, SKBP_KERNELS="numpy")
    assert run.stdout.split() == ["skbp._kernels.numpy_kernels", "numpy"]
    run = run_python(code, SKBP_KERNELS="fortran")
    assert run.returncode != 0
    assert "SKBP_KERNELS='fortran'" in run.stderr
    run = run_python("import sys; sys.modules['numba'] = None\n" + code, SKBP_KERNELS="numba")
    assert run.returncode != 0
    if len(KERNELS) > 1:
        run = run_python(code, SKBP_KERNELS="numba")
        assert run.stdout.split()[-1] == "numba"
