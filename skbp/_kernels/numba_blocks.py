"""Passes through blocks of a dense layer, a learned activation and dropout, each in one call.

One member of several, in float32. What a block works on stays in cache, and the gradient of an
activation, with dropout, is a product with what the forward pass left.
"""

from functools import partial

import numpy as np

from skbp._kernels.compiler import compiled
from skbp._kernels.numba_activations import add_bias, column_sums
from skbp._kernels.numba_dense import PLAIN, TRANSPOSED, gemm_address, matrix_at, product
from skbp._kernels.numba_dropout import random_words
from skbp._kernels.numba_tables import (
    F32,
    FOUR,
    ONE,
    SCALE,
    SLOPE_AT_ZERO,
    TWO,
    ZERO,
    exp,
)  # fmt: skip

#: Activations by number.
IDENTITY, SELU, MISH = 0, 1, 2


@compiled
def _selu(y, bias, share, excess, slope):
    for j in range(y.size):
        v = y[j] + bias[j]
        below = SLOPE_AT_ZERO * exp(min(v, ZERO))
        more = (SCALE * v if v > ZERO else below - SLOPE_AT_ZERO) - v
        excess[j] = more
        slope[j] = ONE + share[j] * ((SCALE if v > ZERO else below) - ONE)
        y[j] = v + share[j] * more


@compiled
def _mish(y, bias, share, excess, slope):
    for j in range(y.size):
        v = y[j] + bias[j]
        e = exp(min(v, F32(20)))
        part = e * (e + TWO)
        inverse = ONE / (part + TWO)
        tangent = part * inverse
        more = v * tangent - v
        excess[j] = more
        of_f = tangent + v * (FOUR * e * (e + ONE)) * (inverse * inverse)
        slope[j] = ONE + share[j] * (of_f - ONE)
        y[j] = v + share[j] * more


@compiled
def _drop(units, cut, factor, y, excess, slope):
    for j in range(y.size):
        kept = factor if units[j] >= cut else ZERO
        y[j] *= kept
        excess[j] *= kept
        slope[j] *= kept


@compiled
def blocks_forward(gemm, x, params, blocks, scales, cuts, keys, place, memory):
    """Run the rows of a member through all blocks.

    A block is ``z = scale x W + b``, then ``y = z + a (f(z) - z)``, of which dropout keeps a part.

    Parameters
    ----------
    gemm : int
        `gemm_address` for float32.
    x : ndarray of shape (n, n_features), float32
    params : ndarray of shape (n_params,), float32
    blocks : ndarray of shape (n_blocks, 6), int64
        Of each: number of inputs and of outputs, where in `params` its weights, its biases and its
        shares a begin, and the number of its activation f.
    scales : ndarray of shape (n_blocks,), float32
    cuts : ndarray of shape (n_blocks,), uint16
        What a unit's 16 random bits must reach for it to be kept; 0 is no dropout.
    keys : ndarray of shape (n_blocks,), uint64
        Of the random numbers: see `dropout_mask`.
    place : tuple of (int, int)
        Number of the member, and of all members: units are counted over these.
    memory : ndarray, float32
        At least 3 n times the number of all units long. Of each block outputs, ``f(z) - z`` and
        dy / dz are left there, each of shape (n, units), the latter two with dropout.
    """
    n, start, source = x.shape[0], 0, x
    member, n_members = place
    for number in range(blocks.shape[0]):
        fan_in, units, at, bias_at, share_at, activation = blocks[number]
        size = n * units
        y, excess = matrix_at(memory, start, n, units), matrix_at(memory, start + size, n, units)
        slope = matrix_at(memory, start + 2 * size, n, units)
        bias, share = params[bias_at : bias_at + units], params[share_at : share_at + units]
        weight = matrix_at(params, at, fan_in, units)
        product(gemm, PLAIN, source, PLAIN, weight, scales[number], y)
        cut = cuts[number]
        factor = ONE / (ONE - F32(cut) / F32(65536))
        words = np.empty((units + 6) // 4, np.uint64)
        bits = words.view(np.uint16)
        if activation == IDENTITY:
            add_bias(y, bias)
        else:
            for i in range(n):
                if activation == SELU:
                    _selu(y[i], bias, share, excess[i], slope[i])
                else:
                    _mish(y[i], bias, share, excess[i], slope[i])
                if cut > 0:
                    first = (i * n_members + member) * units
                    skip = first & 3
                    random_words(keys[number], first >> 2, words)
                    _drop(bits[skip : skip + units], cut, factor, y[i], excess[i], slope[i])
        source = y
        start += 3 * size


@compiled
def _activation_backward(dy, excess, slope, dshare, dbias):
    dshare[:] = 0
    dbias[:] = 0
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            d = dy[i, j]
            dshare[j] += d * excess[i, j]
            d *= slope[i, j]
            dbias[j] += d
            dy[i, j] = d


@compiled
def blocks_backward(gemm, dy, x, params, blocks, scales, memory, grads, dx, first, second):
    """Fill `grads` and `dx`, given the gradient of the last outputs.

    Parameters
    ----------
    gemm, x, params, blocks, scales, memory
        As `blocks_forward` had and left them.
    dy : ndarray of shape (n, n_outputs), float32
        Overwritten.
    grads : ndarray of shape (n_params,), float32
    dx : ndarray of the shape of `x`, or of shape (0, 0) where it is not wanted
    first, second : ndarray, float32
        Scratch, at least n times the largest number of units between blocks long.
    """
    n, start = x.shape[0], 0
    for number in range(blocks.shape[0]):
        start += 3 * n * blocks[number, 1]
    for number in range(blocks.shape[0] - 1, -1, -1):
        fan_in, units, at, bias_at, share_at, activation = blocks[number]
        size = n * units
        start -= 3 * size
        dbias = grads[bias_at : bias_at + units]
        if activation == IDENTITY:
            column_sums(dy, dbias)
        else:
            excess = matrix_at(memory, start + size, n, units)
            slope = matrix_at(memory, start + 2 * size, n, units)
            dshare = grads[share_at : share_at + units]
            _activation_backward(dy, excess, slope, dshare, dbias)
        gradient, weight = matrix_at(grads, at, fan_in, units), matrix_at(params, at, fan_in, units)
        if number == 0:
            product(gemm, TRANSPOSED, x, PLAIN, dy, scales[number], gradient)
            if dx.shape[0] > 0:
                product(gemm, PLAIN, dy, TRANSPOSED, weight, scales[number], dx)
            return
        source = matrix_at(memory, start - 3 * n * fan_in, n, fan_in)
        dsource = matrix_at(first, 0, n, fan_in)
        product(gemm, TRANSPOSED, source, PLAIN, dy, scales[number], gradient)
        product(gemm, PLAIN, dy, TRANSPOSED, weight, scales[number], dsource)
        dy = dsource
        first, second = second, first


def block_passes(dtype):
    """Return `blocks_forward` and `blocks_backward`; None if not float32, or BLAS is unknown."""
    gemm = gemm_address(dtype) if np.dtype(dtype) == np.float32 else None
    return None if gemm is None else (partial(blocks_forward, gemm), partial(blocks_backward, gemm))
