"""Gated units: f(z) = z g(z), with a gate g that rises from 0 to 1.

Such a unit passes what is far above zero, blocks what is far below, and dips below zero between. It
is not monotone: its derivative, ``g(z) + z g'(z)``, cannot be had from y, so these keep z.
"""

import math

import numpy as np

from skbp import _kernels as kernels
from skbp._component import OneOf
from skbp.activations.base import Activation, blockwise

#: exp(85) is a float32 still; 1 / exp(85) = 1e-37 closes a gate for every z that occurs.
LARGEST_EXPONENT = 85.0


def _open(exponent):
    """Turn -x into ``exp(-x)``, in place, of which ``1 / (1 + exp(-x))`` is a sigmoid of x."""
    np.clip(exponent, -np.inf, LARGEST_EXPONENT, out=exponent)
    np.exp(exponent, out=exponent)


def _sigmoid_and_rest(exponent, gate):
    """Turn -x into ``1 - sigmoid(x)``, in place, with ``gate = sigmoid(x)``; both keep digits."""
    _open(exponent)
    np.add(exponent, 1.0, out=gate)
    np.divide(1.0, gate, out=gate)
    exponent *= gate


class SiLU(Activation):
    """The sigmoid linear unit, or swish, ``f(z) = z s(z)`` with ``s(z) = 1 / (1 + exp(-z))``.

    Its derivative is ``s(z) (1 + z (1 - s(z)))``.

    References
    ----------
    S. Elfwing, E. Uchibe, K. Doya (2018), "Sigmoid-weighted linear units for neural network
    function approximation in reinforcement learning".
    P. Ramachandran, B. Zoph, Q. V. Le (2017), "Searching for activation functions": the name
    swish, there with a factor on z inside of s, here 1.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[-1.0, 0.0, 1.0]])
    >>> SiLU().apply(z, out=z)
    >>> z.round(4)
    array([[-0.2689,  0.    ,  0.7311]])
    """

    needs_input = True

    def apply(self, z, out):
        def block(z, out, e):
            np.negative(z, out=e)
            _open(e)
            e += 1.0
            np.divide(z, e, out=out)

        blockwise(block, 1, z, out)

    def gradient(self, dy, y, z):
        def block(dy, z, rest, gate):
            np.negative(z, out=rest)
            _sigmoid_and_rest(rest, gate)
            rest *= z
            rest += 1.0
            rest *= gate
            dy *= rest

        blockwise(block, 2, dy, z)


#: ``2 sqrt(2 / pi)`` and the factor of the cube: 0.5 (1 + tanh(u)) is the sigmoid of 2u.
TANH_SCALE, TANH_CUBE = 2 * math.sqrt(2 / math.pi), 0.044715


class GELU(Activation):
    """The Gaussian error linear unit, ``f(z) = z P(z)``, P the standard normal distribution.

    ``P(z) = (1 + erf(z / sqrt(2))) / 2``. The derivative is ``P(z) + z p(z)`` with the density
    ``p(z) = exp(-z**2 / 2) / sqrt(2 pi)``.

    Parameters
    ----------
    approximate : {"none", "tanh"}, default="none"
        "tanh" takes ``(1 + tanh(sqrt(2 / pi) (z + 0.044715 z**3))) / 2`` for P(z), off by up to
        5e-4, and its derivative: the function that many published networks were trained with.

    References
    ----------
    D. Hendrycks, K. Gimpel (2016), "Gaussian error linear units (GELUs)", section 2.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[-1.0, 0.0, 1.0]])
    >>> GELU().apply(z, out=z)
    >>> z.round(4)
    array([[-0.1587,  0.    ,  0.8413]])
    """

    allowed = {"approximate": OneOf(["none", "tanh"])}
    needs_input = True

    def __init__(self, approximate="none"):
        self.approximate = approximate

    def apply(self, z, out):
        block, n_scratch = (_tanh_gelu, 1) if self.approximate == "tanh" else (_gelu, 2)
        blockwise(block, n_scratch, z, out)

    def gradient(self, dy, y, z):
        if self.approximate == "tanh":
            blockwise(_tanh_gelu_slope, 3, dy, z)
        else:
            blockwise(_gelu_slope, 2, dy, y, z)


def _gelu(z, out, gate, density):
    kernels.normal_distribution(z, gate, density)
    np.multiply(z, gate, out=out)


def _gelu_slope(dy, y, z, gate, density):
    # P(z) is y / z, which takes a fraction of the time of computing it once more.
    np.square(z, out=density)
    tiny = density == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        np.divide(y, z, out=gate)
    np.copyto(gate, 0.5, where=tiny)
    density *= -0.5
    np.exp(density, out=density)
    density *= z
    density *= 1 / math.sqrt(2 * math.pi)
    density += gate
    dy *= density


def _tanh_exponent(z, out):
    """``out = -2 u``, with u the argument of the tanh."""
    np.square(z, out=out)
    out *= TANH_CUBE
    out += 1.0
    out *= z
    out *= -TANH_SCALE


def _tanh_gelu(z, out, e):
    _tanh_exponent(z, e)
    _open(e)
    e += 1.0
    np.divide(z, e, out=out)


def _tanh_gelu_slope(dy, z, rest, gate, slope):
    # With s the sigmoid of x = 2u: (z s)' = s (1 + z (1 - s) x'), x' = scale (1 + 3 cube z**2).
    _tanh_exponent(z, rest)
    _sigmoid_and_rest(rest, gate)
    np.square(z, out=slope)
    slope *= 3 * TANH_CUBE
    slope += 1.0
    slope *= TANH_SCALE
    slope *= z
    slope *= rest
    slope += 1.0
    slope *= gate
    dy *= slope


#: Above it the gate of `Mish` is 1 to the last digit of a float64.
MISH_OPEN = 20.0


class Mish(Activation):
    """Mish, ``f(z) = z tanh(log(1 + exp(z)))``.

    With ``e = exp(z)`` and ``n = e (e + 2)`` the gate is ``n / (n + 2)``, the derivative
    ``(n + 4 z (n - e) / (n + 2)) / (n + 2)``.

    References
    ----------
    D. Misra (2020), "Mish: a self regularized non-monotonic activation function".

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[-1.0, 0.0, 1.0]])
    >>> Mish().apply(z, out=z)
    >>> z.round(4)
    array([[-0.3034,  0.    ,  0.8651]])
    """

    needs_input = True

    def apply(self, z, out):
        def block(z, out, e, n):
            np.clip(z, -np.inf, MISH_OPEN, out=e)
            np.exp(e, out=e)
            np.add(e, 2.0, out=n)
            n *= e
            np.add(n, 2.0, out=e)
            n /= e
            np.multiply(z, n, out=out)

        blockwise(block, 2, z, out)

    def gradient(self, dy, y, z):
        # tanh(log(1 + e)) = ((1 + e)**2 - 1) / ((1 + e)**2 + 1) = n / (n + 2); its derivative by e
        # is 4 (1 + e) / (n + 2)**2, times de/dz = e: 4 (n - e) / (n + 2)**2.
        def block(dy, z, e, n, bounded):
            np.clip(z, -np.inf, MISH_OPEN, out=bounded)
            np.exp(bounded, out=e)
            np.add(e, 2.0, out=n)
            n *= e
            np.subtract(n, e, out=e)
            e *= bounded
            e *= 4.0
            np.add(n, 2.0, out=bounded)
            e /= bounded
            e += n
            e /= bounded
            dy *= e

        blockwise(block, 3, dy, z)


class HardSwish(Activation):
    """Hard swish, ``f(z) = z min(max(z + 3, 0), 6) / 6``: `SiLU` in straight pieces.

    Its derivative is 0 where z <= -3, 1 where z >= 3, and ``(2 z + 3) / 6`` between.

    References
    ----------
    A. Howard et al. (2019), "Searching for MobileNetV3", section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> z, y = np.array([[-4.0, 1.5, 4.0]]), np.empty((1, 3))
    >>> HardSwish().forward(z, np.zeros(3), out=y)
    >>> y
    array([[-0.   ,  1.125,  4.   ]])
    """

    needs_input = True

    def forward(self, z, bias, out):
        kernels.bias_hardswish(z, bias, out)

    def backward(self, dy, y, z, dbias):
        kernels.hardswish_backward(dy, z, dbias)
