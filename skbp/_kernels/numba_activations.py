"""Activations, compiled by numba; see ``numba_kernels``."""

from skbp._kernels.compiler import compiled

__all__ = [
    "add_bias",
    "bias_hardswish",
    "bias_leaky_relu",
    "bias_relu",
    "column_sums",
    "hardswish_backward",
    "logistic_backward",
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
