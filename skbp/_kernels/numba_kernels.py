"""The hot loops, compiled by numba: the same functions as in ``numpy_kernels``, one pass each.

What NumPy or BLAS does as fast is taken from there. Compiled code is cached on disk where there is
a place to write; elsewhere it is compiled again in each process.
"""

from functools import partial

import numpy as np

from skbp._kernels.compiler import IN_ORDER, compiled
from skbp._kernels.numba_activations import *  # noqa: F403
from skbp._kernels.numba_attention import *  # noqa: F403
from skbp._kernels.numba_blocks import block_passes
from skbp._kernels.numba_dense import dense_passes
from skbp._kernels.numba_dropout import *  # noqa: F403
from skbp._kernels.numba_gelu import *  # noqa: F403
from skbp._kernels.numba_images import *  # noqa: F403
from skbp._kernels.numba_images import (
    channel_moments,
    standardize_channels,
    standardize_channels_backward,
    standardize_channels_sums,
)
from skbp._kernels.numpy_kernels import gather as gather

#: Gives, for a dtype, passes through dense layers in one call each.
BLOCK_PASSES, DENSE_PASSES = block_passes, dense_passes
#: One pass over the whole vector needs no blocks.
UPDATE_BLOCK = 2**62
#: Whether several threads can be in kernels at the same time.
CONCURRENT = True

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


# ---------------------------------------------------------------- normalisation


@partial(compiled, fastmath=IN_ORDER)
def _column_moments(x, mean, var):
    n, k = x.shape
    mean[:] = 0
    for i in range(1, n):
        for j in range(k):
            mean[j] += x[i, j] - x[0, j]
    for j in range(k):
        mean[j] = x[0, j] + mean[j] / n
    var[:] = 0
    for i in range(n):
        for j in range(k):
            d = x[i, j] - mean[j]
            var[j] += d * d
    for j in range(k):
        var[j] /= n


@compiled
def _standardize_columns(x, mean, scale, out):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - mean[j]) * scale[j]


@compiled
def _standardize_columns_sums(dz, x, mean, out):
    out[:] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[j] += dz[i, j] * (x[i, j] - mean[j])


@compiled
def _standardize_columns_backward(dz, x, mean, slope, constant, scale):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            dz[i, j] = (dz[i, j] - constant[j] - (x[i, j] - mean[j]) * slope[j]) * scale[j]


def moments(x, mean, var):
    """Mean and biased variance of each feature of x."""
    (channel_moments if x.ndim == 3 else _column_moments)(x, mean, var)


def standardize(x, mean, scale, out):
    """``out = (x - mean) * scale``."""
    (standardize_channels if x.ndim == 3 else _standardize_columns)(x, mean, scale, out)


def standardize_sums(dz, x, mean, out):
    """``out = sum(dz * (x - mean))`` for each feature."""
    sums = standardize_channels_sums if x.ndim == 3 else _standardize_columns_sums
    sums(dz, x, mean, out)


def standardize_backward(dz, x, mean, slope, constant, scale):
    """``dz = (dz - slope * (x - mean) - constant) * scale`` in place."""
    backward = standardize_channels_backward if x.ndim == 3 else _standardize_columns_backward
    backward(dz, x, mean, slope, constant, scale)


@compiled
def _standardize_rows(x, gamma, epsilon, mean, inv_std, out):
    n, k = x.shape
    one, width = x.dtype.type(1), x.dtype.type(k)
    for i in range(n):
        total = x.dtype.type(0)
        for j in range(k):
            total += x[i, j]
        m = total / width
        squares = x.dtype.type(0)
        for j in range(k):
            d = x[i, j] - m
            squares += d * d
        scale = one / np.sqrt(squares / width + epsilon)
        mean[i], inv_std[i] = m, scale
        for j in range(k):
            out[i, j] = (x[i, j] - m) * scale * gamma[j]


def standardize_rows(x, gamma, epsilon, mean, inv_std, out):
    """``out = gamma * (x - mean) * inv_std``, mean and inv_std those of each row."""
    _standardize_rows(x, gamma, x.dtype.type(epsilon), mean, inv_std, out)


@compiled
def standardize_rows_backward(dz, x, mean, inv_std, gamma, dgamma):
    """Gradients of what `standardize_rows` computed."""
    n, k = x.shape
    width = x.dtype.type(k)
    dgamma[:] = 0
    for i in range(n):
        m, scale = mean[i], inv_std[i]
        sum_h, sum_hx = x.dtype.type(0), x.dtype.type(0)
        for j in range(k):
            xhat = (x[i, j] - m) * scale
            h = dz[i, j] * gamma[j]
            dgamma[j] += dz[i, j] * xhat
            sum_h += h
            sum_hx += h * xhat
        constant, slope = sum_h / width, sum_hx / width
        for j in range(k):
            xhat = (x[i, j] - m) * scale
            dz[i, j] = (dz[i, j] * gamma[j] - constant - xhat * slope) * scale


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
def _adam_step(params, grads, m, v, strength, lr, beta_1, beta_2, epsilon, decay):
    squares = strength * 0
    for i in range(params.size):
        p = params[i]
        squares += p * p
        g = grads[i] + strength * p
        m_i = beta_1 * m[i] + g
        v_i = beta_2 * v[i] + g * g
        m[i] = m_i
        v[i] = v_i
        params[i] = decay * p - lr * m_i / (np.sqrt(v_i) + epsilon)
    return squares


@compiled
def _lion_step(params, grads, m, strength, lr, beta_1, share_1, beta_2, share_2, decay):
    squares = strength * 0
    zero = params.dtype.type(0)
    for i in range(params.size):
        p = params[i]
        squares += p * p
        g = grads[i] + strength * p
        mixture = beta_1 * m[i] + share_1 * g
        step = lr if mixture > zero else mixture  # in this form zero and NaN come through
        step = -lr if mixture < zero else step
        params[i] = decay * p - step
        m[i] = beta_2 * m[i] + share_2 * g
    return squares


@compiled
def _adam_rows(params, grads, m, v, rows, strength, lr, beta_1, beta_2, epsilon):
    growth, no_decay = 0.0, params.dtype.type(1)
    for row in rows:
        p = params[row]
        growth -= _adam_step(
            p, grads[row], m[row], v[row], strength, lr, beta_1, beta_2, epsilon, no_decay
        )
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


def adam_step(params, grads, m, v, strength, lr, beta_1, beta_2, epsilon, decay=1.0):
    """`l2`, then one Adam update of sums that leave out the factors (1 - beta)."""
    to = params.dtype.type
    squares = _adam_step(
        params, grads, m, v, to(strength), to(lr), to(beta_1), to(beta_2), to(epsilon), to(decay)
    )
    return float(squares) if strength else 0.0


def lion_step(params, grads, m, strength, lr, beta_1, beta_2, decay):
    """`l2`, then a step by the sign of a mixture of momentum and gradient."""
    to = params.dtype.type
    squares = _lion_step(
        params, grads, m, to(strength), to(lr),
        # (1 - beta) comes ready: in the loop it could be reassociated to g - beta g.
        to(beta_1), to(1 - beta_1), to(beta_2), to(1 - beta_2), to(decay),
    )  # fmt: skip
    return float(squares) if strength else 0.0


def adam_rows(params, grads, m, v, rows, strength, lr, beta_1, beta_2, epsilon):
    """`adam_step` for some rows of matrices; returns what the squares grow by."""
    to = params.dtype.type
    return float(
        _adam_rows(
            params, grads, m, v, rows, to(strength), to(lr), to(beta_1), to(beta_2), to(epsilon)
        )
    )
