"""The hot loops, in NumPy: what each kernel means.

Every kernel works in place on C-contiguous float32 or float64 arrays that its caller allocated.
Element-wise work goes block by block, so that what one pass writes the next still finds in the
cache, and so that scratch memory is of the size of a block, not of a batch.
"""

import functools

import numpy as np
from scipy.sparse import _sparsetools  # public products allocate; these write in place

from skbp._kernels.numpy_attention import *  # noqa: F403
from skbp._kernels.numpy_dropout import *  # noqa: F403
from skbp._kernels.numpy_gelu import *  # noqa: F403
from skbp._kernels.numpy_images import *  # noqa: F403
from skbp._kernels.numpy_images import channel_sums
from skbp._kernels.numpy_losses import *  # noqa: F403

#: What gives, for a dtype, passes through several layers in one call each: there are none in NumPy.
BLOCK_PASSES = DENSE_PASSES = None
#: Elements per block: three or four such float32 arrays fit a core's L2 cache together.
BLOCK = 32768


def _blocks(size, n_scratch=1):
    """Cut `size` elements into blocks, the smaller the more arrays of scratch each one takes."""
    block = BLOCK // n_scratch
    return [slice(start, start + block) for start in range(0, size, block)]


# ---------------------------------------------------------------- rows and products


def gather(source, rows, out):
    """Copy ``source[rows]`` into `out`, row by row."""
    # mode="clip" lets NumPy write straight into `out`; the rows are known to be valid.
    source.take(rows, axis=0, out=out, mode="clip")


def matmul(x, weight, out):
    """``out = x @ weight``, x of shape (n, fan_in): an array, or a CSR matrix."""
    if isinstance(x, np.ndarray):
        if weight.shape[1] == 1:  # row by row, so that a row's result never depends on the others
            np.vecdot(x, weight[:, 0], out=out[:, 0])
        else:
            np.matmul(x, weight, out=out)
        return
    out.fill(0)
    _sparsetools.csr_matvecs(
        *x.shape, weight.shape[1], x.indptr, x.indices, x.data, weight.ravel(), out.ravel()
    )


def _start_sums(x, out):
    """Set those rows of `out` to zero that the transpose of a CSR matrix x will add to.

    That is all of them, unless x knows its columns: then the others keep what they had.
    """
    if x.columns is None:
        out.fill(0)
    else:
        out[x.columns] = 0


def matmul_transposed(x, dy, out):
    """``out = x.T @ dy``, the gradient of a weight; x of shape (n, fan_in), dense or CSR.

    Of a CSR matrix that knows its columns, only those rows of `out` are computed.
    """
    if isinstance(x, np.ndarray):
        np.matmul(x.T, dy, out=out)
        return
    # The transpose of a CSR matrix is the same three arrays read as CSC.
    _start_sums(x, out)
    _sparsetools.csc_matvecs(
        *x.shape[::-1], dy.shape[1], x.indptr, x.indices, x.data, dy.ravel(), out.ravel()
    )


def matmul_by_transposed(dy, weight, out):
    """``out = dy @ weight.T``, the gradient of a layer's input."""
    # For one output this is an outer product, which np.matmul does not hand to BLAS; np.dot does.
    np.dot(dy, weight.T, out=out)


@functools.lru_cache(maxsize=16)
def _ones(n, dtype):
    return np.ones(n, dtype)


def column_sums(a, out):
    """Sum the rows of `a`, shape (n, k), into `out`, shape (k,)."""
    np.matmul(_ones(len(a), a.dtype), a, out=out)  # a GEMV beats a.sum(axis=0)


# ---------------------------------------------------------------- activations
# The backward kernels also sum the columns of the result: the gradient of the bias.


def add_bias(z, bias):
    """``z += bias``, z of shape (n, k)."""
    np.add(z, bias, out=z)


def bias_relu(z, bias):
    """``z = max(z + bias, 0)``."""
    np.add(z, bias, out=z)
    np.clip(z, 0, np.inf, out=z)  # a scalar np.maximum has no vector loop; clip has


def relu_backward(dy, y, dbias):
    """Zero `dy` where the unit was off, ``y == 0``; ``dbias = dy.sum(axis=0)``."""
    flat_dy, flat_y = dy.reshape(-1), y.reshape(-1)
    for block in _blocks(flat_dy.size):
        part = flat_dy[block]
        np.multiply(part, flat_y[block] > 0, out=part)
    column_sums(dy, dbias)


def tanh_backward(dy, y, dbias):
    """``dy *= 1 - y**2``; ``dbias = dy.sum(axis=0)``."""
    flat_dy, flat_y = dy.reshape(-1), y.reshape(-1)
    for block in _blocks(flat_dy.size):
        slope = np.square(flat_y[block])
        np.subtract(1, slope, out=slope)
        flat_dy[block] *= slope
    column_sums(dy, dbias)


def logistic_backward(dy, y, dbias):
    """``dy *= y * (1 - y)``; ``dbias = dy.sum(axis=0)``."""
    flat_dy, flat_y = dy.reshape(-1), y.reshape(-1)
    for block in _blocks(flat_dy.size):
        slope = 1 - flat_y[block]
        slope *= flat_y[block]
        flat_dy[block] *= slope
    column_sums(dy, dbias)


def bias_leaky_relu(z, bias, slope):
    """``z += bias``, then ``z *= slope`` where z < 0."""
    np.add(z, bias, out=z)
    flat = z.reshape(-1)
    for block in _blocks(flat.size):
        part = flat[block]
        below = np.clip(part, -np.inf, 0)
        below *= slope
        np.clip(part, 0, np.inf, out=part)
        part += below


def rectifier_backward(dy, y, above, below, offset, dbias):
    """``dy *= above`` where y > 0, ``dy *= below * y + offset`` elsewhere; ``dbias`` as always."""
    flat_dy, flat_y = dy.reshape(-1), y.reshape(-1)
    for block in _blocks(flat_dy.size, 2):
        part = flat_y[block]
        slope = np.clip(part, -np.inf, 0)
        slope *= below
        slope += offset
        slope *= part <= 0  # a factor 0 or 1: choosing by mask costs several such passes
        slope += np.multiply(part > 0, above, dtype=slope.dtype)
        flat_dy[block] *= slope
    column_sums(dy, dbias)


def bias_hardswish(z, bias, out):
    """``z += bias``; ``out = z * min(max(z + 3, 0), 6) / 6``."""
    np.add(z, bias, out=z)
    flat_z, flat_out = z.reshape(-1), out.reshape(-1)
    for block in _blocks(flat_z.size):
        gate = flat_z[block] + 3
        np.clip(gate, 0, 6, out=gate)
        gate /= 6
        np.multiply(flat_z[block], gate, out=flat_out[block])


def hardswish_backward(dy, z, dbias):
    """``dy *= 0`` where z <= -3, 1 where z >= 3, ``(2 z + 3) / 6`` between; ``dbias`` as always."""
    flat_dy, flat_z = dy.reshape(-1), z.reshape(-1)
    for block in _blocks(flat_dy.size, 2):
        part = flat_z[block]
        slope = part * (np.abs(part) < 3)
        slope += np.clip(part, -3, 3)
        slope += 3
        slope /= 6
        flat_dy[block] *= slope
    column_sums(dy, dbias)


# ---------------------------------------------------------------- normalisation
# Sums are of differences from a row or a mean: a large offset must not swamp what varies.


def _row_blocks(a):
    size = max(1, BLOCK * len(a) // max(a.size, 1))
    return [slice(start, start + size) for start in range(0, len(a), size)]


# Where x has shape (n, k) or (r, k, m), the latter is an image's: see ``numpy_images``.


def moments(x, mean, var):
    """Mean and biased variance of each of the k features of x, shape (n, k) or (r, k, m)."""
    if x.ndim == 3:
        _channel_moments(x, mean, var)
        return
    shift, sums = x[0], np.empty_like(mean)
    mean.fill(0)
    for rows in _row_blocks(x):
        column_sums(x[rows] - shift, sums)
        mean += sums
    mean /= len(x)
    mean += shift
    var.fill(0)
    for rows in _row_blocks(x):
        part = x[rows] - mean
        column_sums(np.square(part, out=part), sums)
        var += sums
    var /= len(x)


def _channel_moments(x, mean, var):
    """Mean and biased variance of each channel of x, shape (r, k, m), into arrays (k,)."""
    shift, sums, n = x[0, :, :1].copy(), np.empty_like(mean), len(x) * x.shape[-1]
    mean.fill(0)
    for part in x:
        channel_sums((part - shift)[None], sums)
        mean += sums
    mean /= n
    mean += shift[:, 0]
    var.fill(0)
    for part in x:
        difference = part - mean[:, None]
        var += np.vecdot(difference, difference)
    var /= n


def standardize(x, mean, scale, out):
    """``out = (x - mean) * scale``, x of shape (n, k) or (r, k, m), mean and scale (k,)."""
    if x.ndim == 3:
        mean, scale = mean[:, None], scale[:, None]
    for rows in _row_blocks(x):
        part = out[rows]
        np.subtract(x[rows], mean, out=part)
        part *= scale


def standardize_sums(dz, x, mean, out):
    """``out = sum(dz * (x - mean))`` for each feature; dz, x of shape (n, k) or (r, k, m)."""
    if x.ndim == 3:
        channel_sums((x - mean[:, None]) * dz, out)
        return
    out.fill(0)
    sums = np.empty_like(out)
    for rows in _row_blocks(x):
        part = x[rows] - mean
        part *= dz[rows]
        column_sums(part, sums)
        out += sums


def standardize_backward(dz, x, mean, slope, constant, scale):
    """``dz = (dz - slope * (x - mean) - constant) * scale`` in place, all of them by feature.

    dz, x of shape (n, k) or (r, k, m), the others (k,). With ``xhat = (x - mean) * inv_std`` and
    means over all rows, ``slope = mean(dz * xhat) * inv_std``, ``constant = mean(dz)`` and ``scale
    = gamma * inv_std`` give the gradient of x; zeros for the first two where mean and inv_std are
    constants.
    """
    if x.ndim == 3:
        mean, slope, constant, scale = (a[:, None] for a in (mean, slope, constant, scale))
    for rows in _row_blocks(x):
        part = x[rows] - mean
        part *= slope
        part += constant
        dz[rows] -= part
        dz[rows] *= scale


def standardize_rows(x, gamma, epsilon, mean, inv_std, out):
    """``out = gamma * (x - mean) * inv_std``, x of shape (n, k), gamma of shape (k,).

    Mean and ``inv_std = 1 / sqrt(var + epsilon)``, var biased, are those of each row; they go into
    the arrays of shape (n,).
    """
    k = x.shape[1]
    ones = _ones(k, x.dtype)
    for rows in _row_blocks(x):
        part, part_mean, part_inv_std = out[rows], mean[rows], inv_std[rows]
        np.vecdot(x[rows], ones, out=part_mean)
        part_mean /= k
        np.subtract(x[rows], part_mean[:, None], out=part)
        np.vecdot(part, part, out=part_inv_std)
        part_inv_std /= k
        part_inv_std += epsilon
        np.sqrt(part_inv_std, out=part_inv_std)
        np.divide(1, part_inv_std, out=part_inv_std)
        part *= part_inv_std[:, None]
        part *= gamma


def standardize_rows_backward(dz, x, mean, inv_std, gamma, dgamma):
    """Gradients of what `standardize_rows` computed, xhat being its result without gamma.

    ``dgamma = sum(dz * xhat)`` over rows; with ``h = gamma * dz`` and means over columns, in place
    ``dz = (h - mean(h) - xhat * mean(h * xhat)) * inv_std``.
    """
    k = x.shape[1]
    ones = _ones(k, x.dtype)
    dgamma.fill(0)
    sums = np.empty_like(dgamma)
    for rows in _row_blocks(x):
        h, scale = dz[rows], inv_std[rows, None]
        xhat = x[rows] - mean[rows, None]
        xhat *= scale
        column_sums(xhat * h, sums)
        dgamma += sums
        h *= gamma
        xhat *= (np.vecdot(h, xhat) / k)[:, None]
        h -= (np.vecdot(h, ones) / k)[:, None]
        h -= xhat
        h *= scale


# ---------------------------------------------------------------- updates
# The caller hands these a block of the flat vector at a time, of UPDATE_BLOCK bytes: four
# such arrays fit a core's L2 cache, so that all passes over a block but the first find it there.

UPDATE_BLOCK = 262_144
CONCURRENT = False  # most of the time is the interpreter's


def l2(params, grads, strength):
    """``grads += strength * params``; returns the sum of the squares of `params`."""
    grads += strength * params
    return float(np.dot(params, params))


def sgd_step(params, grads, velocity, strength, lr, momentum, nesterov):
    """`l2`, then gradient descent with momentum, with Nesterov's look-ahead if asked."""
    squares = l2(params, grads, strength) if strength else 0.0
    grads *= lr
    velocity *= momentum
    velocity -= grads
    if nesterov:
        params -= grads
        params += momentum * velocity
    else:
        params += velocity
    return squares


def adam_step(params, grads, m, v, strength, lr, beta_1, beta_2, epsilon, decay=1.0):
    """`l2`, then one Adam update of sums that leave out the factors (1 - beta).

    ``m = beta_1 m + g``, ``v = beta_2 v + g**2``, ``p = decay p - lr m / (sqrt(v) + epsilon)``: the
    caller folds ``1 - beta`` and the bias corrections into `lr` and `epsilon`, which saves three
    passes.
    """
    squares = l2(params, grads, strength) if strength else 0.0
    m *= beta_1
    m += grads
    np.square(grads, out=grads)
    v *= beta_2
    v += grads
    np.sqrt(v, out=grads)
    grads += epsilon
    np.divide(m, grads, out=grads)
    grads *= lr
    if decay != 1:
        params *= decay
    params -= grads
    return squares


def lion_step(params, grads, m, strength, lr, beta_1, beta_2, decay):
    """`l2`, then ``p = decay p - lr sign(beta_1 m + (1 - beta_1) g)`` and the momentum's update.

    That is ``m = beta_2 m + (1 - beta_2) g``.
    """
    squares = l2(params, grads, strength) if strength else 0.0
    sign = m * beta_1
    sign += (1 - beta_1) * grads
    np.sign(sign, out=sign)
    sign *= lr
    if decay != 1:
        params *= decay
    params -= sign
    grads *= 1 - beta_2
    m *= beta_2
    m += grads
    return squares


def adam_rows(params, grads, m, v, rows, strength, lr, beta_1, beta_2, epsilon):
    """`adam_step` for some rows of matrices of shape (n, k); returns what the squares grow by."""
    growth, size = 0.0, max(1, UPDATE_BLOCK // (params.itemsize * params.shape[1]))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        p, g, m_part, v_part = (a.take(part, axis=0).reshape(-1) for a in (params, grads, m, v))
        growth -= float(np.dot(p, p))
        adam_step(p, g, m_part, v_part, strength, lr, beta_1, beta_2, epsilon)
        growth += float(np.dot(p, p))
        for matrix, flat in ((params, p), (m, m_part), (v, v_part)):
            matrix[part] = flat.reshape(len(part), -1)
    return growth
