"""Activations, compiled by numba; see ``numba_kernels``."""

import math
from functools import cache

import numpy as np

from skbp._kernels.compiler import compiled
from skbp._kernels.numpy_kernels import _mills_ratio

__all__ = [
    "add_bias",
    "bias_hardswish",
    "bias_leaky_relu",
    "bias_relu",
    "column_sums",
    "hardswish_backward",
    "logistic_backward",
    "normal_distribution",
    "rectifier_backward",
    "relu_backward",
    "tanh_backward",
]


@compiled
def column_sums(a, out):
    """Sum the rows of `a` into `out`."""
    out[:] = 0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[j] += a[i, j]


@compiled
def add_bias(z, bias):
    """``z += bias``."""
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] += bias[j]


@compiled
def bias_relu(z, bias):
    """``z = max(z + bias, 0)``."""
    zero = z.dtype.type(0)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            value = z[i, j] + bias[j]
            z[i, j] = zero if value <= zero else value  # in this form NaN comes through


@compiled
def relu_backward(dy, y, dbias):
    """Zero `dy` where the unit was off; ``dbias = dy.sum(axis=0)``."""
    zero = dy.dtype.type(0)
    dbias[:] = 0
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            value = dy[i, j] if y[i, j] > zero else zero
            dy[i, j] = value
            dbias[j] += value


@compiled
def tanh_backward(dy, y, dbias):
    """``dy *= 1 - y**2``; ``dbias = dy.sum(axis=0)``."""
    one = dy.dtype.type(1)
    dbias[:] = 0
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            value = dy[i, j] * (one - y[i, j] * y[i, j])
            dy[i, j] = value
            dbias[j] += value


@compiled
def logistic_backward(dy, y, dbias):
    """``dy *= y * (1 - y)``; ``dbias = dy.sum(axis=0)``."""
    one = dy.dtype.type(1)
    dbias[:] = 0
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            value = dy[i, j] * (y[i, j] * (one - y[i, j]))
            dy[i, j] = value
            dbias[j] += value


@compiled
def _bias_leaky_relu(z, bias, slope):
    zero = z.dtype.type(0)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            value = z[i, j] + bias[j]
            z[i, j] = value if value > zero else value * slope


def bias_leaky_relu(z, bias, slope):
    """``z += bias``, then ``z *= slope`` where z < 0."""
    _bias_leaky_relu(z, bias, z.dtype.type(slope))


@compiled
def _rectifier_backward(dy, y, above, below, offset, dbias):
    zero = dy.dtype.type(0)
    dbias[:] = 0
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            value = dy[i, j] * (above if y[i, j] > zero else below * y[i, j] + offset)
            dy[i, j] = value
            dbias[j] += value


def rectifier_backward(dy, y, above, below, offset, dbias):
    """``dy *= above`` where y > 0, ``dy *= below * y + offset`` elsewhere; ``dbias`` as always."""
    to = dy.dtype.type
    _rectifier_backward(dy, y, to(above), to(below), to(offset), dbias)


@compiled
def bias_hardswish(z, bias, out):
    """``z += bias``; ``out = z * min(max(z + 3, 0), 6) / 6``."""
    zero, three, six = z.dtype.type(0), z.dtype.type(3), z.dtype.type(6)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            value = z[i, j] + bias[j]
            z[i, j] = value
            out[i, j] = value * (min(max(value + three, zero), six) / six)


@compiled
def hardswish_backward(dy, z, dbias):
    """``dy *= 0`` where z <= -3, 1 where z >= 3, ``(2 z + 3) / 6`` between; ``dbias`` as always."""
    zero, one, three, six = dy.dtype.type(0), dy.dtype.type(1), dy.dtype.type(3), dy.dtype.type(6)
    dbias[:] = 0
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            at = z[i, j]
            slope = (at + at + three) / six
            slope = zero if at <= -three else one if at >= three else slope
            value = dy[i, j] * slope
            dy[i, j] = value
            dbias[j] += value


@compiled
def _normal_distribution(z, high, low, probability, density):
    one, two = z.dtype.type(1), z.dtype.type(2)
    stretch, norm = z.dtype.type(0.3), z.dtype.type(1 / math.sqrt(2 * math.pi))
    for i in range(z.size):
        s = two / (one + stretch * abs(z[i])) - one
        tail = high[0]
        for j in range(1, len(high)):
            tail = tail * s + high[j]
        for j in range(len(low)):
            tail = tail * s + low[j]
        p = density[i] * norm
        density[i] = p
        tail *= p
        probability[i] = one - tail if z[i] > 0 else tail


@cache
def _mills_ratio_in_halves(dtype):
    """Return the coefficients as two tuples: short enough that the compiler unrolls their loops."""
    coefficients = tuple(_mills_ratio(dtype))
    half = len(coefficients) // 2
    return coefficients[:half], coefficients[half:]


def normal_distribution(z, probability, density):
    """Compute the standard normal distribution P(z) and its density p(z)."""
    np.square(z, out=density)
    density *= -0.5
    np.exp(density, out=density)
    _normal_distribution(z, *_mills_ratio_in_halves(z.dtype), probability, density)
