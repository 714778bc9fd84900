"""The contract of an activation, and how to compute one block by block."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Component

#: Elements per block: a handful of such arrays fit a core's L2 cache.
BLOCK = 16384


def blockwise(function, n_scratch, *arrays):
    """Call ``function(*arrays, *scratch)`` on one block of elements after the other.

    So each pass finds in the cache what the last one left there, and scratch memory is of the size
    of a block, not of a batch.

    Parameters
    ----------
    function : callable
        Works element by element and in place.
    n_scratch : int
        Number of scratch arrays it wants.
    *arrays : ndarray
        C-contiguous, of one shape and dtype; `function` gets one-dimensional views of them.
    """
    flat = [array.reshape(-1) for array in arrays]
    size = flat[0].size
    scratch = np.empty((n_scratch, min(size, BLOCK)), flat[0].dtype)
    for start in range(0, size, BLOCK):
        parts = [array[start : start + BLOCK] for array in flat]
        function(*parts, *scratch[:, : parts[0].size])


class Activation(Component):
    """An activation function f, applied element by element.

    A new activation writes `apply` and `gradient`. `forward` and `backward`, which a layer calls,
    deal with the bias too; an activation that can do so in the same pass overrides them instead.

    Attributes
    ----------
    needs_input : bool
        Whether `gradient` reads `z`. If not, the layer keeps no copy of `z`, and `z` is `y`.
    in_place : bool
        Whether `apply` may get `z` itself as `out` even so, which spares memory in inference.
    """

    needs_input = False
    in_place = False

    def apply(self, z, out):
        """Compute ``out = f(z)``.

        Parameters
        ----------
        z, out : ndarray of shape (n, k), float32 or float64
            The weighted sums, and where the result goes; `out` is `z` unless `needs_input`, and in
            inference if also `in_place`.
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
        """Compute ``z += bias; out = f(z)`` for images: z of shape (r, k, m), bias (k,)."""
        kernels.add_channel_bias(z, bias)
        flat, none = z.reshape(-1, z.shape[-1]), np.zeros(z.shape[-1], z.dtype)
        self.forward(flat, none, flat if out is z else out.reshape(flat.shape))

    def backward_channels(self, dy, y, z, dbias):
        """Compute ``dy *= f'(z)`` in place, and ``dbias = dy.sum(axis=(0, 2))``, for images."""
        shape, sums = (-1, dy.shape[-1]), np.empty(dy.shape[-1], dy.dtype)
        self.backward(dy.reshape(shape), y.reshape(shape), z.reshape(shape), sums)
        kernels.channel_sums(dy, dbias)
