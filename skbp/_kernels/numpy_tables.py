"""The hot loops of layers for tables, in NumPy: these functions are what the kernels mean."""

import numpy as np

#: Values that are worked on at a time, so that they stay in cache.
BLOCK = 2**16
TURN = 2 * np.pi
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _row_blocks(x):
    step = max(1, BLOCK // max(1, x.shape[1]))
    for start in range(0, len(x), step):
        yield slice(start, start + step)


def scale_backward(dy, x, scale, dscale):
    """Turn `dy` into the gradient of x, for ``y = scale * x``; `dscale` becomes that of the scale.

    dy and x of shape (n, k), scale of shape (k,).
    """
    dscale[:] = 0
    for rows in _row_blocks(x):
        dscale += np.einsum("nk,nk->k", dy[rows], x[rows])
        dy[rows] *= scale


# ---------------------------------------------------------------- activations with learned shares


def _selu(x):
    """Return f(x) and f'(x)."""
    below = SELU_SCALE * SELU_ALPHA * np.expm1(np.minimum(x, 0))
    positive = x > 0
    slope = np.where(positive, SELU_SCALE, below + SELU_SCALE * SELU_ALPHA)
    return np.where(positive, SELU_SCALE * x, below), slope


def _mish(x):
    """Return f(x) and f'(x), with ``tanh(log(1 + e)) = (e**2 + 2 e) / (e**2 + 2 e + 2)``."""
    e = np.exp(np.minimum(x, 20))  # beyond, the tangent is 1
    part = e * (e + 2)
    tangent = part / (part + 2)
    # d tangent / dx = 4 e (e + 1) / (part + 2)**2
    return x * tangent, tangent + x * (4 * e * (e + 1) / (part + 2) ** 2)


def _forward(function, x, share, y):
    for rows in _row_blocks(x):
        part = x[rows]
        y[rows] = part + share * (function(part)[0] - part)


def _backward(function, dy, x, share, dshare):
    dshare[:] = 0
    for rows in _row_blocks(x):
        part = x[rows]
        f, slope = function(part)
        dshare += (dy[rows] * (f - part)).sum(axis=0)
        dy[rows] *= 1 + share * (slope - 1)


def learned_selu(x, share, y):
    """``y = x + share (selu(x) - x)``; x and y of shape (n, k), share of shape (k,)."""
    _forward(_selu, x, share, y)


def learned_selu_backward(dy, x, share, dshare):
    """Turn `dy` into the gradient of x; `dshare` becomes that of the shares."""
    _backward(_selu, dy, x, share, dshare)


def learned_mish(x, share, y):
    """``y = x + share (mish(x) - x)``; x and y of shape (n, k), share of shape (k,)."""
    _forward(_mish, x, share, y)


def learned_mish_backward(dy, x, share, dshare):
    """Turn `dy` into the gradient of x; `dshare` becomes that of the shares."""
    _backward(_mish, dy, x, share, dshare)


# ---------------------------------------------------------------- waves of numbers


def _number_blocks(x, frequency):
    step = max(1, BLOCK // max(1, x.shape[1] * frequency.shape[1]))
    for start in range(0, len(x), step):
        yield slice(start, start + step)


def _angles(x, frequency, phase):
    angles = x[:, :, None] * (frequency * frequency.dtype.type(TURN))[:, None]
    angles += phase[:, None]
    return angles


def waves(x, frequency, phase, weight, out):
    """``out = cos(2 pi x w + b) V``, number by number.

    Parameters
    ----------
    x : ndarray of shape (numbers, n)
    frequency, phase : ndarray of shape (numbers, waves)
        w and b.
    weight : ndarray of shape (numbers, waves, units)
        V.
    out : ndarray of shape (numbers, units, n)
    """
    for part in _number_blocks(x, frequency):
        angles = _angles(x[part], frequency[part], phase[part])
        np.cos(angles, out=angles)
        np.matmul(weight[part].swapaxes(1, 2), angles.swapaxes(1, 2), out=out[part])


def waves_backward(dout, x, frequency, phase, weight, dfrequency, dphase, dweight, dx):
    """Fill the gradients of all but `x`, and that of x where `dx` has values.

    Parameters
    ----------
    dout : ndarray of shape (numbers, units, n)
    x, frequency, phase, weight
        As in `waves`.
    dfrequency, dphase, dweight : ndarray
        Overwritten.
    dx : ndarray of shape (numbers, n), or of shape (0, n) where it is not wanted
    """
    for part in _number_blocks(x, frequency):
        angles = _angles(x[part], frequency[part], phase[part])
        np.matmul(dout[part], np.cos(angles), out=dweight[part].swapaxes(1, 2))
        dangles = np.matmul(dout[part].swapaxes(1, 2), weight[part].swapaxes(1, 2))
        dangles *= np.sin(angles, out=angles)
        np.negative(dangles, out=dangles)
        np.sum(dangles, axis=1, out=dphase[part])
        turned = np.matmul(x[part, None], dangles)[:, 0]
        np.multiply(turned, TURN, out=dfrequency[part])
        if len(dx):
            turns = (frequency[part] * frequency.dtype.type(TURN))[:, :, None]
            dx[part] = np.matmul(dangles, turns)[..., 0]
