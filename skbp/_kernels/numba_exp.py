"""The exponential of float32 numbers, to inline into compiled loops.

A call of `exp` keeps a loop out of vector registers; these few operations do not.
"""

import math
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev

from skbp._kernels.compiler import compiled

HALF_LN2 = math.log(2) / 2
#: ln 2 in two parts, of which products of the first with small whole numbers are exact in float32.
LN2_HIGH, LN2_LOW = 0.693359375, math.log(2) - 0.693359375
#: Exponents up to it make 0.
LEAST = -87.0


def in_halves(coefficients):
    """Return two tuples: short enough that the compiler unrolls their loops."""
    half = len(coefficients) // 2
    return tuple(coefficients[:half]), tuple(coefficients[half:])


@cache
def coefficients():
    """Return those of a polynomial for exp(r), |r| <= ln(2) / 2, highest first, in halves."""
    points = chebyshev.chebpts1(7)
    series = chebyshev.chebfit(points, np.exp(points * HALF_LN2), 6)
    powers = chebyshev.cheb2poly(series) / HALF_LN2 ** np.arange(7)
    return in_halves(powers[::-1].astype(np.float32))


@compiled
def exponential(t, high, low):
    """Return exp(t), t <= 0 a float32; NaN for NaN.

    With n the whole number next to ``t / ln 2`` and r what is left, it is ``2**n exp(r)``; a
    float32 whose bits are n + 127 in the place of its exponent is ``2**n``.
    """
    number = np.float32
    inside = number(LEAST) if t < number(LEAST) else t
    n = np.int32(inside * number(1 / math.log(2)) - number(0.5))  # cut off towards 0, so rounded
    whole = number(n)
    r = inside - whole * number(LN2_HIGH)
    r -= whole * number(LN2_LOW)
    e = high[0]
    for j in range(1, len(high)):
        e = e * r + high[j]
    for j in range(len(low)):
        e = e * r + low[j]
    e *= np.int32(np.int32(n + np.int32(127)) << np.int32(23)).view(np.float32)
    return number(0) if t <= number(LEAST) else e
