"""GELU and the normal distribution in it, compiled by numba; see ``numpy_gelu``.

In float32 one loop does it all, in vector registers: a call of `exp` would keep it out of these.
"""

from functools import cache, partial

import numpy as np

from skbp._kernels import numba_exp, numpy_gelu
from skbp._kernels.compiler import compiled
from skbp._kernels.numba_activations import add_bias, column_sums
from skbp._kernels.numba_exp import exponential, in_halves
from skbp._kernels.numpy_gelu import PEAK, mills_ratio

__all__ = ["bias_gelu", "gelu_backward"]


@cache
def _mills_ratio_in_halves(dtype):
    return in_halves(mills_ratio(dtype))


@cache
def _coefficients():
    """Return those of the exponential and of Mills' ratio, in float32."""
    return *numba_exp.coefficients(), *_mills_ratio_in_halves(np.dtype(np.float32))


@compiled
def _gate_and_density(a, exp_high, exp_low, high, low):
    """Return P(a) and p(a) of a float32."""
    number = np.float32
    density = exponential(number(-0.5) * a * a, exp_high, exp_low) * number(PEAK)
    s = number(2) / (number(1) + number(0.3) * abs(a)) - number(1)
    tail = high[0]
    for j in range(1, len(high)):
        tail = tail * s + high[j]
    for j in range(len(low)):
        tail = tail * s + low[j]
    tail *= density
    return (number(1) - tail if a > number(0) else tail), density


@compiled
def _bias_gelu(z, bias, exp_high, exp_low, high, low, out):
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            value = z[i, j] + bias[j]
            gate, _ = _gate_and_density(value, exp_high, exp_low, high, low)
            z[i, j] = value
            out[i, j] = value * gate


@compiled
def _bias_gelu_in_place(z, bias, exp_high, exp_low, high, low):
    """Do it where `out` is `z`; loops over two arrays that may be one are slow."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            value = z[i, j] + bias[j]
            gate, _ = _gate_and_density(value, exp_high, exp_low, high, low)
            z[i, j] = value * gate


@compiled
def _gelu_backward(dy, z, exp_high, exp_low, high, low, dbias):
    dbias[:] = 0
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            value = z[i, j]
            gate, density = _gate_and_density(value, exp_high, exp_low, high, low)
            value = dy[i, j] * (gate + value * density)
            dy[i, j] = value
            dbias[j] += value


@compiled
def _finish(z, high, low, probability, density):
    """Compute both from ``exp(-z**2 / 2)`` in `density`."""
    one, two = z.dtype.type(1), z.dtype.type(2)
    stretch, peak = z.dtype.type(0.3), z.dtype.type(PEAK)
    for i in range(z.size):
        s = two / (one + stretch * abs(z[i])) - one
        tail = high[0]
        for j in range(1, len(high)):
            tail = tail * s + high[j]
        for j in range(len(low)):
            tail = tail * s + low[j]
        p = density[i] * peak
        density[i] = p
        tail *= p
        probability[i] = one - tail if z[i] > 0 else tail


def _normal_distribution(z, probability, density):
    """Compute P(z) and p(z) of float64 numbers."""
    np.square(z, out=density)
    density *= -0.5
    np.exp(density, out=density)
    _finish(z, *_mills_ratio_in_halves(z.dtype), probability, density)


def bias_gelu(z, bias, out):
    """``z += bias``; ``out = z P(z)``, P being the normal distribution. `out` may be `z`."""
    if z.dtype == np.float32:
        if out is z:
            _bias_gelu_in_place(z, bias, *_coefficients())
        else:
            _bias_gelu(z, bias, *_coefficients(), out)
        return
    add_bias(z, bias)
    numpy_gelu.in_blocks(partial(numpy_gelu.gelu, _normal_distribution), z, out)


def gelu_backward(dy, y, z, dbias):
    """``dy *= P(z) + z p(z)``, p being the density; ``dbias = dy.sum(axis=0)``."""
    if z.dtype == np.float32:
        _gelu_backward(dy, z, *_coefficients(), dbias)
        return
    numpy_gelu.in_blocks(numpy_gelu.slope, dy, y, z)
    column_sums(dy, dbias)
