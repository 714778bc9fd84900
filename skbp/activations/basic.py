"""The identity, and the two sigmoids."""

import numpy as np
from scipy.special import expit

from skbp import _kernels as kernels
from skbp.activations.base import Activation


class Identity(Activation):
    """The identity, ``f(z) = z``: a linear layer.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[-1.0, 2.0]])
    >>> Identity().apply(z, out=z)
    >>> z
    array([[-1.,  2.]])
    """

    def apply(self, z, out):
        if out is not z:
            np.copyto(out, z)

    def gradient(self, dy, y, z):
        pass

    def forward_channels(self, z, bias, out):
        kernels.add_channel_bias(z, bias)  # `out` is `z`

    def backward_channels(self, dy, y, z, dbias):
        kernels.channel_sums(dy, dbias)


class Logistic(Activation):
    """The logistic sigmoid, ``f(z) = 1 / (1 + exp(-z))``.

    Its derivative is ``y (1 - y)`` with y = f(z).

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[0.0, 100.0]])
    >>> Logistic().apply(z, out=z)
    >>> z
    array([[0.5, 1. ]])
    """

    def apply(self, z, out):
        expit(z, out=out)

    def backward(self, dy, y, z, dbias):
        kernels.logistic_backward(dy, y, dbias)


class Tanh(Activation):
    """The hyperbolic tangent, ``f(z) = tanh(z)``.

    Its derivative is ``1 - y**2`` with y = f(z).

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[0.0, 100.0]])
    >>> Tanh().apply(z, out=z)
    >>> z
    array([[0., 1.]])
    """

    def apply(self, z, out):
        np.tanh(z, out=out)

    def backward(self, dy, y, z, dbias):
        kernels.tanh_backward(dy, y, dbias)
