"""Kernels of layers for tables: each, in every tier, against a naive formula."""

import importlib
import inspect
from importlib.util import find_spec

import numpy as np
import pytest

from skbp import _kernels as kernels
from skbp._kernels import numpy_tables

TIERS = [numpy_tables]
if find_spec("numba") is not None:
    TIERS.append(importlib.import_module("skbp._kernels.numba_tables"))
TOLERANCE = {np.float64: 1e-12, np.float32: 3e-6}
SHAPES = [(1, 1), (2, 3), (7, 33), (300, 300)]
each_tier = pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.__name__.split(".")[-1])
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def selu(x):
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))


def mish(x):
    return x * np.tanh(np.logaddexp(0, x))


def slope(function, x):
    return (function(x + 1e-6) - function(x - 1e-6)) / 2e-6


def draw(dtype, *shapes, scale=1.0):
    rng = np.random.default_rng(0)
    return [rng.normal(0, scale, shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("name", kernels.TABLES)
def test_every_tier_has_every_kernel_with_the_same_arguments(name):
    expected = list(inspect.signature(getattr(numpy_tables, name)).parameters)
    for tier in TIERS:
        kernel = getattr(tier, name)
        function = getattr(kernel, "py_func", kernel)
        assert list(inspect.signature(function).parameters) == expected
    assert getattr(kernels, name) in [getattr(tier, name) for tier in TIERS]


@each_tier
@each_dtype
@each_shape
def test_scale_backward(tier, dtype, shape):
    dy, x, scale, dscale = draw(dtype, shape, shape, shape[1:], shape[1:])
    wide, rows, factors = dy.astype(float), x.astype(float), scale.astype(float)
    tier.scale_backward(dy, x, scale, dscale)
    np.testing.assert_allclose(dy, wide * factors, rtol=TOLERANCE[dtype])
    size = np.abs(wide * rows).sum(axis=0)
    np.testing.assert_allclose(dscale / size, (wide * rows).sum(axis=0) / size,
                               atol=TOLERANCE[dtype])  # fmt: skip


@each_tier
@each_dtype
@each_shape
@pytest.mark.parametrize("function", [selu, mish])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_learned_activations(tier, dtype, shape, function, scale):
    (x,), (share, dy) = draw(dtype, shape, scale=scale), draw(dtype, shape[1:], shape)
    y, dshare = np.empty_like(x), np.empty_like(share)
    wide, wide_share = x.astype(float), share.astype(float)
    before = dy.astype(float)
    getattr(tier, f"learned_{function.__name__}")(x, share, y)
    expected = wide + wide_share * (function(wide) - wide)
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype] * scale}
    np.testing.assert_allclose(y, expected, **tolerance)
    getattr(tier, f"learned_{function.__name__}_backward")(dy, x, share, dshare)
    np.testing.assert_allclose(dshare, (before * (function(wide) - wide)).sum(axis=0),
                               rtol=1e-4 if dtype == np.float32 else 1e-10,
                               atol=tolerance["atol"] * shape[0])  # fmt: skip
    smooth = (abs(wide) > 1e-4) | (function is mish)  # SELU has a corner at zero
    expected = before * (1 + wide_share * (slope(function, wide) - 1))
    np.testing.assert_allclose(dy[smooth], expected[smooth], rtol=1e-5, atol=1e-6)


@each_tier
@each_dtype
@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("numbers, n, n_waves", [(1, 1, 1), (5, 40, 16), (70, 300, 16)])
def test_waves(tier, dtype, units, wanted, numbers, n, n_waves):
    x, frequency, weight, dout = draw(
        dtype, (numbers, n), (numbers, n_waves), (numbers, n_waves, units), (numbers, units, n)
    )
    phase = np.random.default_rng(1).uniform(-np.pi, np.pi, frequency.shape).astype(dtype)
    out = np.full((numbers, units, n), np.nan, dtype)
    tier.waves(x, frequency, phase, weight, out)
    wide = [array.astype(float) for array in (x, frequency, phase, weight, dout)]
    angles = 2 * np.pi * wide[0][:, :, None] * wide[1][:, None] + wide[2][:, None]
    expected = np.einsum("pnf,pfu->pun", np.cos(angles), wide[3])
    tolerance = (
        {"rtol": 1e-10, "atol": 1e-12} if dtype == np.float64 else {"rtol": 1e-4, "atol": 5e-5}
    )
    np.testing.assert_allclose(out, expected, **tolerance)
    grads = [np.full_like(array, np.nan) for array in (frequency, phase, weight)]
    dx = np.full((numbers if wanted else 0, n), np.nan, dtype)
    tier.waves_backward(dout, x, frequency, phase, weight, *grads, dx)
    dangles = -np.sin(angles) * np.einsum("pun,pfu->pnf", wide[4], wide[3])
    exact = [
        2 * np.pi * np.einsum("pnf,pn->pf", dangles, wide[0]),
        dangles.sum(axis=1),
        np.einsum("pnf,pun->pfu", np.cos(angles), wide[4]),
    ]
    if wanted:
        exact.append(2 * np.pi * np.einsum("pnf,pf->pn", dangles, wide[1]))
    for got, right in zip([*grads, dx], exact, strict=False):
        size = abs(right).max()
        np.testing.assert_allclose(
            got, right, rtol=tolerance["rtol"], atol=tolerance["atol"] * size
        )


@each_tier
@each_dtype
def test_what_is_not_finite_comes_through(tier, dtype):
    for bad in (np.nan, np.inf, -np.inf):
        x, y = np.array([[bad, 1.0]], dtype), np.empty((1, 2), dtype)
        frequency = np.ones((1, 2), dtype)
        out = np.empty((1, 1, 2), dtype)
        with np.errstate(all="ignore"):
            tier.waves(x, frequency, frequency, np.ones((1, 2, 1), dtype), out)
            assert np.isfinite(out[0, 0]).tolist() == [False, True]
            for name in ("selu", "mish"):
                getattr(tier, f"learned_{name}")(x, np.full(2, 0.5, dtype), y)
                assert np.isfinite(y).tolist() == [[False, True]]
