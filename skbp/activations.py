"""Activation functions: what a unit does with its weighted sum."""

import numpy as np
from scipy.special import expit

from skbp._component import Component
from skbp._engine import kernels

__all__ = ["ACTIVATIONS", "Activation", "Identity", "Logistic", "ReLU", "Tanh"]


class Activation(Component):
    """An activation function f, applied element by element.

    A new activation writes `apply` and `gradient`. `forward` and `backward`, which a layer calls,
    deal with the bias too; an activation that can do so in the same pass overrides them instead.

    Attributes
    ----------
    needs_input : bool
        Whether `gradient` reads `z`. If not, the layer keeps no copy of `z`, and `z` is `y`.
    """

    needs_input = False

    def apply(self, z, out):
        """Compute ``out = f(z)``.

        Parameters
        ----------
        z, out : ndarray of shape (n, k), float32 or float64
            The weighted sums, and where the result goes; `out` is `z` unless `needs_input`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define apply(z, out)")

    def gradient(self, dy, y, z):
        """Compute ``dy *= f'(z)`` in place.

        Parameters
        ----------
        dy : ndarray of shape (n, k)
            Gradient of the loss with respect to y; becomes that with respect to z.
        y, z : ndarray of shape (n, k)
            What `apply` returned and, if `needs_input`, what it was given.
        """
        raise NotImplementedError(f"{type(self).__name__} must define gradient(dy, y, z)")

    def forward(self, z, bias, out):
        """Compute ``z += bias; out = f(z)``, bias of shape (k,)."""
        kernels.add_bias(z, bias)
        self.apply(z, out)

    def backward(self, dy, y, z, dbias):
        """Compute ``dy *= f'(z)`` in place, and ``dbias = dy.sum(axis=0)``."""
        self.gradient(dy, y, z)
        kernels.column_sums(dy, dbias)

    def forward_channels(self, z, bias, out):
        """Compute ``z += bias; out = f(z)`` for images: z of shape (r, k, m), bias of shape (k,).

        Parameters
        ----------
        z, out : ndarray of shape (r, k, m)
            Rows of k channels; `out` is `z` unless `needs_input`.
        bias : ndarray of shape (k,)
        """
        kernels.add_channel_bias(z, bias)
        flat, none = z.reshape(-1, z.shape[-1]), np.zeros(z.shape[-1], z.dtype)
        self.forward(flat, none, flat if out is z else out.reshape(flat.shape))

    def backward_channels(self, dy, y, z, dbias):
        """Compute ``dy *= f'(z)`` in place, and ``dbias = dy.sum(axis=(0, 2))``, for images."""
        shape = -1, dy.shape[-1]
        sums = np.empty(dy.shape[-1], dy.dtype)
        self.backward(dy.reshape(shape), y.reshape(shape), z.reshape(shape), sums)
        kernels.channel_sums(dy, dbias)


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


ACTIVATIONS: dict[str, type[Activation]] = {
    "identity": Identity,
    "logistic": Logistic,
    "tanh": Tanh,
    "relu": ReLU,
}
