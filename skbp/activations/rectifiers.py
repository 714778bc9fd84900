"""Rectifiers: units that pass what is above zero and hold back what is below.

The derivatives of all of them can be had from y alone.
"""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Range
from skbp.activations.base import Activation, blockwise


class ReLU(Activation):
    """The rectified linear unit, ``f(z) = max(0, z)``.

    Its derivative is 1 where z > 0 and 0 elsewhere, at z = 0 too.

    References
    ----------
    V. Nair, G. E. Hinton (2010), "Rectified linear units improve restricted Boltzmann machines",
    section 2.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[-1.0, 2.0]])
    >>> ReLU().forward(z, np.array([0.5, 0.0]), out=z)
    >>> z
    array([[0., 2.]])
    """

    def forward(self, z, bias, out):
        kernels.bias_relu(z, bias)  # `out` is `z`

    def backward(self, dy, y, z, dbias):
        kernels.relu_backward(dy, y, dbias)

    def forward_channels(self, z, bias, out):
        kernels.channel_bias_relu(z, bias)

    def backward_channels(self, dy, y, z, dbias):
        kernels.channel_relu_backward(dy, y, dbias)


class LeakyReLU(Activation):
    """The leaky rectified linear unit, ``f(z) = z`` where z > 0, ``negative_slope * z`` elsewhere.

    Its derivative is 1 where z > 0 and `negative_slope` elsewhere, at z = 0 too. So no unit dies:
    each keeps learning for every sample.

    Parameters
    ----------
    negative_slope : float, default=0.01
        Slope below zero, at least 0; with 0 this is `ReLU`.

    References
    ----------
    A. L. Maas, A. Y. Hannun, A. Y. Ng (2013), "Rectifier nonlinearities improve neural network
    acoustic models", section 2.

    See Also
    --------
    ELU : Bends smoothly to a floor below zero.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[-2.0, 2.0]])
    >>> LeakyReLU(0.1).forward(z, np.zeros(2), out=z)
    >>> z
    array([[-0.2,  2. ]])
    """

    allowed = {"negative_slope": Range(0)}

    def __init__(self, negative_slope=0.01):
        self.negative_slope = negative_slope

    def forward(self, z, bias, out):
        kernels.bias_leaky_relu(z, bias, float(self.negative_slope))  # `out` is `z`

    def backward(self, dy, y, z, dbias):
        kernels.rectifier_backward(dy, y, 1.0, 0.0, float(self.negative_slope), dbias)


def _elu(z, out, alpha):
    """``out = z`` where z > 0, ``alpha (exp(z) - 1)`` elsewhere, as the sum of the two parts."""

    def block(z, out, low):
        np.clip(z, -np.inf, 0.0, out=low)
        np.expm1(low, out=low)  # exp(z) - 1 would lose the digits of a small z
        low *= alpha
        np.clip(z, -0.0, np.inf, out=out)
        out += low

    blockwise(block, 1, z, out)


class ELU(Activation):
    """The exponential linear unit, ``f(z) = z`` where z > 0, ``alpha * (exp(z) - 1)`` elsewhere.

    Its derivative is 1 where z > 0 and ``alpha exp(z) = y + alpha`` elsewhere, with y = f(z).

    Parameters
    ----------
    alpha : float, default=1.0
        How far below zero the unit goes, at least 0. With 1 the derivative has no step.

    References
    ----------
    D.-A. Clevert, T. Unterthiner, S. Hochreiter (2016), "Fast and accurate deep network learning by
    exponential linear units (ELUs)", section 3.

    See Also
    --------
    SELU : Scaled so that a deep stack keeps mean 0 and variance 1.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[-100.0, 2.0]])
    >>> ELU().apply(z, out=z)
    >>> z
    array([[-1.,  2.]])
    """

    allowed = {"alpha": Range(0)}

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def apply(self, z, out):
        _elu(z, out, float(self.alpha))

    def backward(self, dy, y, z, dbias):
        kernels.rectifier_backward(dy, y, 1.0, 1.0, float(self.alpha), dbias)


class SELU(Activation):
    """The scaled exponential linear unit, `ELU` of alpha = 1.67326 times 1.05070.

    With these two numbers, mean 0 and variance 1 of a layer's inputs are a stable fixed point of
    its outputs, so that even a deep stack needs no normalisation. That holds for weights of mean 0
    and variance 1 / fan_in: use ``initializer="lecun_normal"``, and inputs scaled to mean 0 and
    variance 1.

    Its derivative is 1.05070 where z > 0 and ``y + 1.05070 * 1.67326`` elsewhere, with y = f(z).

    References
    ----------
    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter (2017), "Self-normalizing neural networks",
    equation 2, and the paragraph "Initialization".

    See Also
    --------
    skbp.initializers.LeCunNormal : The initialiser that goes with it.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[-100.0, 1.0]])
    >>> SELU().apply(z, out=z)
    >>> z.round(4)
    array([[-1.7581,  1.0507]])
    """

    _ALPHA = 1.6732632423543772
    _SCALE = 1.0507009873554805

    def apply(self, z, out):
        _elu(z, out, self._ALPHA)
        out *= self._SCALE

    def backward(self, dy, y, z, dbias):
        kernels.rectifier_backward(dy, y, self._SCALE, 1.0, self._SCALE * self._ALPHA, dbias)


class Softplus(Activation):
    """The softplus, ``f(z) = log(1 + exp(z))``: a smooth relu, above zero everywhere.

    Its derivative is the logistic sigmoid of z, ``1 - exp(-y)`` with y = f(z).

    References
    ----------
    C. Dugas, Y. Bengio, F. Bélisle, C. Nadeau, R. Garcia (2001), "Incorporating second-order
    functional knowledge for better option pricing".

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[-100.0, 0.0, 100.0]])
    >>> Softplus().apply(z, out=z)
    >>> z.round(4)
    array([[  0.    ,   0.6931, 100.    ]])
    """

    def apply(self, z, out):
        # max(z, 0) + log(1 + exp(-|z|)): the exponential never overflows.
        def block(z, out, rest):
            np.abs(z, out=rest)
            np.negative(rest, out=rest)
            np.exp(rest, out=rest)
            np.log1p(rest, out=rest)
            np.clip(z, 0.0, np.inf, out=out)
            out += rest

        blockwise(block, 1, z, out)

    def gradient(self, dy, y, z):
        def block(dy, y, slope):
            np.negative(y, out=slope)
            np.expm1(slope, out=slope)  # 1 - exp(-y) would lose the digits of a small y
            slope *= dy
            np.negative(slope, out=dy)

        blockwise(block, 1, dy, y)
