"""The hot loops, compiled by numba: the same functions as in ``numpy_kernels``, one pass each.

What NumPy or BLAS does as fast is taken from there. Compiled code is cached on disk where there is
a place to write; elsewhere it is compiled again in each process.
"""

import math
from functools import cache
from typing import Any

import numba
import numpy as np

from skbp._engine.kernels.numpy_kernels import _mills_ratio
from skbp._engine.kernels.numpy_kernels import dropout_mask as dropout_mask
from skbp._engine.kernels.numpy_kernels import gather as gather

#: One pass over the whole vector needs no blocks.
UPDATE_BLOCK = 2**62

# Sums may be reordered (so that they run in vector registers) and products fused with sums;
# nothing else: NaN and infinity must come through, and roots and quotients stay exact.
FASTMATH = {"reassoc", "contract", "nsz"}


def compiled(function):
    """Compile a kernel when it is first called; cache it if that is possible."""
    options: Any = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no writable cache folder
        return numba.njit(**options)(function)


# ---------------------------------------------------------------- products with CSR


@compiled
def _csr_matmul(data, indices, indptr, weight, out):
    for row in range(len(out)):
        sums = out[row]
        sums[:] = 0
        for entry in range(indptr[row], indptr[row + 1]):
            value, source = data[entry], weight[indices[entry]]
            for j in range(len(sums)):
                sums[j] += value * source[j]


@compiled
def _csr_matmul_transposed(data, indices, indptr, dy, out):
    for row in range(len(dy)):
        source = dy[row]
        for entry in range(indptr[row], indptr[row + 1]):
            value, sums = data[entry], out[indices[entry]]
            for j in range(len(sums)):
                sums[j] += value * source[j]


@compiled
def _row_dots(x, weight, out):
    for i in range(x.shape[0]):
        total = x.dtype.type(0)
        for j in range(x.shape[1]):
            total += x[i, j] * weight[j, 0]
        out[i, 0] = total


def matmul(x, weight, out):
    """``out = x @ weight``, x dense or CSR."""
    if not isinstance(x, np.ndarray):
        _csr_matmul(x.data, x.indices, x.indptr, weight, out)
    elif weight.shape[1] == 1:  # row by row, so that a row's result never depends on the others
        _row_dots(x, weight, out)
    else:
        np.matmul(x, weight, out=out)


@compiled
def _clear_rows(out, rows):
    for row in rows:
        out[row, :] = 0


def matmul_transposed(x, dy, out):
    """``out = x.T @ dy``, x dense or CSR."""
    if isinstance(x, np.ndarray):
        np.matmul(x.T, dy, out=out)
    else:
        if x.columns is None:
            out.fill(0)
        else:
            _clear_rows(out, x.columns)
        _csr_matmul_transposed(x.data, x.indices, x.indptr, dy, out)


@compiled
def _outer(dy, weight, out):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = dy[i, 0] * weight[j, 0]


def matmul_by_transposed(dy, weight, out):
    """``out = dy @ weight.T``."""
    if weight.shape[1] == 1:
        _outer(dy, weight, out)
    else:
        np.matmul(dy, weight.T, out=out)


# ---------------------------------------------------------------- activations


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


# ---------------------------------------------------------------- dropout


@compiled
def _masked_scale(x, mask, scale, out):
    zero = x.dtype.type(0)
    for i in range(x.size):
        out[i] = x[i] * scale if mask[i] else zero


@compiled
def _masked_scale_in_place(x, mask, scale):
    zero = x.dtype.type(0)
    for i in range(x.size):
        x[i] = x[i] * scale if mask[i] else zero


def masked_scale(x, mask, scale, out):
    """``out = x * mask * scale``."""
    scale = x.dtype.type(scale)
    if out is x:  # told apart because the compiler does not vectorise over arrays that may overlap
        _masked_scale_in_place(x.reshape(-1), mask.reshape(-1), scale)
    else:
        _masked_scale(x.reshape(-1), mask.reshape(-1), scale, out.reshape(-1))


# ---------------------------------------------------------------- losses


@compiled
def _shift_by_largest(raw, target, weight, out):
    """``out = raw - max of the row``; returns the weighted sum of the classes' entries."""
    picked = 0.0
    for i in range(raw.shape[0]):
        largest = raw[i, 0]
        for j in range(1, raw.shape[1]):
            largest = max(largest, raw[i, j])
        for j in range(raw.shape[1]):
            out[i, j] = raw[i, j] - largest
        picked += weight[i] * out[i, target[i]]
    return picked


@compiled
def _normalize_exponentials(target, weight, grad):
    """Turn exponentials into the gradient; returns the weighted sum of their sums' logarithms."""
    logarithms = 0.0
    for i in range(grad.shape[0]):
        total = grad.dtype.type(0)
        for j in range(grad.shape[1]):
            total += grad[i, j]
        logarithms += weight[i] * np.log(total)
        scale = weight[i] / total
        for j in range(grad.shape[1]):
            grad[i, j] *= scale
        grad[i, target[i]] -= weight[i]
    return logarithms


def softmax_cross_entropy(raw, target, weight, grad):
    """Loss and gradient of the softmax cross-entropy on raw scores."""
    picked = _shift_by_largest(raw, target, weight, grad)
    np.exp(grad, out=grad)  # in vector registers; the compiled one would go number by number
    return _normalize_exponentials(target, weight, grad) - picked


@compiled
def sigmoid_cross_entropy(raw, target, weight, grad):
    """Loss and gradient of the binary cross-entropy on raw scores, summed over columns."""
    loss = 0.0
    zero, one = raw.dtype.type(0), raw.dtype.type(1)
    for i in range(raw.shape[0]):
        for j in range(raw.shape[1]):
            z, y = raw[i, j], target[i, j]
            small = np.exp(-abs(z))  # never overflows
            sigmoid = (one if z >= 0 else small) / (one + small)
            loss += weight[i] * (max(z, zero) + np.log1p(small) - y * z)
            grad[i, j] = weight[i] * (sigmoid - y)
    return loss


# ---------------------------------------------------------------- updates


@compiled
def _l2(params, grads, strength):
    squares = strength * 0
    for i in range(params.size):
        grads[i] += strength * params[i]
        squares += params[i] * params[i]
    return squares


@compiled
def _sgd_step(params, grads, velocity, strength, lr, momentum, nesterov):
    squares = strength * 0
    for i in range(params.size):
        p = params[i]
        squares += p * p
        step = lr * (grads[i] + strength * p)
        v = momentum * velocity[i] - step
        velocity[i] = v
        params[i] = p + (momentum * v - step if nesterov else v)
    return squares


@compiled
def _adam_step(params, grads, m, v, strength, lr, beta_1, beta_2, epsilon):
    squares = strength * 0
    for i in range(params.size):
        p = params[i]
        squares += p * p
        g = grads[i] + strength * p
        m_i = beta_1 * m[i] + g
        v_i = beta_2 * v[i] + g * g
        m[i] = m_i
        v[i] = v_i
        params[i] = p - lr * m_i / (np.sqrt(v_i) + epsilon)
    return squares


@compiled
def _adam_rows(params, grads, m, v, rows, strength, lr, beta_1, beta_2, epsilon):
    growth = 0.0
    for row in rows:
        p = params[row]
        growth -= _adam_step(p, grads[row], m[row], v[row], strength, lr, beta_1, beta_2, epsilon)
        squares = strength * 0
        for i in range(p.size):
            squares += p[i] * p[i]
        growth += squares
    return growth


# Scalars go in as the array's dtype: a float64 one would draw the whole loop into float64.


def l2(params, grads, strength):
    """``grads += strength * params``; returns the sum of the squares of `params`."""
    return float(_l2(params, grads, params.dtype.type(strength)))


def sgd_step(params, grads, velocity, strength, lr, momentum, nesterov):
    """`l2`, then gradient descent with momentum, with Nesterov's look-ahead if asked."""
    to = params.dtype.type
    squares = _sgd_step(params, grads, velocity, to(strength), to(lr), to(momentum), nesterov)
    return float(squares) if strength else 0.0


def adam_step(params, grads, m, v, strength, lr, beta_1, beta_2, epsilon):
    """`l2`, then one Adam update of sums that leave out the factors (1 - beta)."""
    to = params.dtype.type
    squares = _adam_step(
        params, grads, m, v, to(strength), to(lr), to(beta_1), to(beta_2), to(epsilon)
    )
    return float(squares) if strength else 0.0


def adam_rows(params, grads, m, v, rows, strength, lr, beta_1, beta_2, epsilon):
    """`adam_step` for some rows of matrices; returns what the squares grow by."""
    to = params.dtype.type
    return float(
        _adam_rows(
            params, grads, m, v, rows, to(strength), to(lr), to(beta_1), to(beta_2), to(epsilon)
        )
    )
