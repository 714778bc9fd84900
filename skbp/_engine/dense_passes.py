"""Training passes of small dense networks, each in one compiled call."""

import numpy as np

from skbp import _kernels as kernels
from skbp.activations import Identity, ReLU
from skbp.layers import Dense

#: Batches of more bytes of workspace spend their time in products, which NumPy's BLAS does as fast.
MOST_BYTES = 2**21


class DensePasses:
    """Passes through a network of dense layers: what `Network` does, without what is in between.

    Parameters
    ----------
    network : Network
        That `suits`.
    max_rows : int
        The most rows a batch will have.
    grads : ndarray of shape (n_params,)
        Where `backward` writes to.
    """

    def __init__(self, network, max_rows, grads):
        self._network, self._grads = network, grads
        self._forward, self._backward = kernels.DENSE_PASSES
        places = {(one.layer, one.key): one.start for one in network.parameters}
        sizes = [network.input_shape[0], *(layer.units for layer in network.layers)]
        self._layers = np.array([
            (fan_in, units, places[i, "weight"], places[i, "bias"], type(layer._function) is ReLU)
            for i, (layer, fan_in, units) in enumerate(
                zip(network.layers, sizes[:-1], sizes[1:], strict=True)
            )
        ], np.int64)  # fmt: skip
        dtype, widest = network.params.dtype, max(sizes[1:-1], default=0)
        self._outputs = np.empty(max_rows * sum(sizes[1:]), dtype)
        self._scratch = np.empty((2, max_rows * widest), dtype)
        self._n_outputs, self._before = sizes[-1], sum(sizes[1:-1])

    @staticmethod
    def suits(network, max_rows):
        """Whether kernels are compiled, and a network is dense, small, and of rectifiers."""
        return (
            kernels.DENSE_PASSES is not None
            and len(network.input_shape) == 1
            and max_rows * network.bytes_per_row(training=True) <= MOST_BYTES
            and all(
                type(layer) is Dense
                and type(layer._function) in (ReLU, Identity)
                and layer._scale is None
                for layer in network.layers
            )
        )

    def take(self, x):
        """Whether the passes can be used for these rows now."""
        return isinstance(x, np.ndarray) and not self._network.frozen

    def forward(self, x):
        """Return raw outputs, shape (n, n_outputs), of an x of shape (n, n_features)."""
        if not (x.flags.c_contiguous and x.flags.writeable):  # so that one signature is compiled
            x = np.array(x, order="C")
        self._x, n = x, len(x)
        self._forward(x, self._network.params, self._layers, self._outputs)
        first = n * self._before
        return self._outputs[first : first + n * self._n_outputs].reshape(n, self._n_outputs)

    def backward(self, dy):
        """Fill the gradient vector; dy, shape (n, n_outputs), is overwritten."""
        self._backward(
            dy, self._x, self._network.params, self._layers, self._outputs, self._grads,
            *self._scratch,
        )  # fmt: skip
