"""GELU and the normal distribution in it, in NumPy: what each kernel means."""

import math
from functools import cache, partial

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import erfcx

__all__ = ["bias_gelu", "gelu_backward"]

#: Elements per block: a few arrays of it fit a core's L2 cache.
BLOCK = 16384
#: Density of the normal distribution at 0.
PEAK = 1 / math.sqrt(2 * math.pi)


@cache
def mills_ratio(dtype):
    """Return the coefficients of Mills' ratio P(-x) / p(x), highest first.

    On x >= 0 it is as good as a polynomial in ``s = 2 / (1 + 0.3 x) - 1``, which runs from 1 down
    to -1: of degree 10 to the rounding of float32, of degree 22 to that of float64. With it the
    normal distribution takes one exponential and runs in vector registers; SciPy's erf goes number
    by number, which takes three times as long in float32.
    """

    def ratio(s):
        x = (2 / (1 + s) - 1) / 0.3
        return np.sqrt(np.pi / 2) * erfcx(x / np.sqrt(2))

    series = chebyshev.chebinterpolate(ratio, 10 if dtype == np.float32 else 22)
    return chebyshev.cheb2poly(series)[::-1].astype(dtype)


def normal_distribution(z, probability, density):
    """Compute the standard normal distribution P(z) and its density p(z).

    All three are one-dimensional; the caller hands in a block at a time.
    """
    s = np.abs(z)
    s *= 0.3
    s += 1
    np.divide(2, s, out=s)
    s -= 1
    first, *others = mills_ratio(z.dtype)
    probability.fill(first)
    for coefficient in others:
        probability *= s
        probability += coefficient
    np.square(z, out=density)
    density *= -0.5
    np.exp(density, out=density)
    density *= 1 / math.sqrt(2 * math.pi)
    probability *= density  # P(-|z|)
    np.subtract(z > 0, probability, out=probability)
    np.abs(probability, out=probability)


def in_blocks(function, *arrays):
    """Call a function on blocks of flat arrays, with two blocks of scratch memory."""
    flat = [array.reshape(-1) for array in arrays]
    scratch = np.empty((2, min(flat[0].size, BLOCK)), flat[0].dtype)
    for start in range(0, flat[0].size, BLOCK):
        parts = [array[start : start + BLOCK] for array in flat]
        function(*parts, *scratch[:, : parts[0].size])


def bias_gelu(z, bias, out):
    """``z += bias``; ``out = z P(z)``, P being the normal distribution. `out` may be `z`."""
    np.add(z, bias, out=z)
    in_blocks(partial(gelu, normal_distribution), z, out)


def gelu(distribution, z, out, gate, density):
    """``out = z P(z)``, a block; `distribution` computes P and p."""
    distribution(z, gate, density)
    np.multiply(z, gate, out=out)


def gelu_backward(dy, y, z, dbias):
    """``dy *= P(z) + z p(z)``, p being the density; ``dbias = dy.sum(axis=0)``."""
    in_blocks(slope, dy, y, z)
    np.sum(dy, axis=0, out=dbias)


def slope(dy, y, z, gate, density):
    """``dy *= P(z) + z p(z)``, a block, given y = z P(z)."""
    # P(z) is y / z, which takes a fraction of the time of computing it once more.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        np.square(z, out=density)
        np.divide(y, z, out=gate)
    np.copyto(gate, 0.5, where=density == 0)
    density *= -0.5
    np.exp(density, out=density)
    density *= z
    density *= PEAK
    density += gate
    dy *= density
