"""Training passes of small dense networks, each in one compiled call."""

import numpy as np

from skbp import _kernels as kernels
from skbp._engine.member_passes import MemberPasses, may_share, takes
from skbp.activations import Identity, ReLU
from skbp.layers import Dense, MemberDense

#: A network with a larger workspace for its batch spends its time in products, which NumPy's BLAS
#: does as fast.
MOST_BYTES = 2**21


def dense_passes_of(network, loss, max_rows, grads):
    """Return what does the training passes of a network, or None if it has to do them itself.

    Parameters
    ----------
    network : Network
    loss : Loss
    max_rows : int
        The most rows a batch will have.
    grads : ndarray of shape (n_params,)
        The gradient, which a backward pass fills.

    Returns
    -------
    passes : DensePasses, MemberPasses or None
        None if kernels are not compiled, NumPy's BLAS is none that is known, or the network is too
        large or has other layers than dense ones with rectifiers. Of members None too if the loss
        is somebody's own: see `may_share`.
    """
    kind = type(network.layers[0])
    if kernels.DENSE_PASSES is None or kind not in (Dense, MemberDense):
        return None
    if kernels.DENSE_PASSES(network.params.dtype) is None:
        return None
    n_members = network.layers[0].n_members if kind is MemberDense else 1
    of_its_kind = all(
        type(layer) is kind
        and type(layer._function) in (ReLU, Identity)
        and layer._scale is None
        and getattr(layer, "n_members", 1) == n_members
        for layer in network.layers
    )
    size = max_rows * network.bytes_per_row(training=True)
    in_steps = kind is Dense and len(network.input_shape) > 1
    if not of_its_kind or in_steps or size > n_members * MOST_BYTES:
        return None
    if kind is Dense:
        return DensePasses(network, 0, max_rows, grads)
    if not may_share(loss):
        return None

    def make(members):
        return [DensePasses(network, member, max_rows, grads) for member in members]

    return MemberPasses(network, n_members, max_rows, make)


class DensePasses:
    """Passes through a network of dense layers: what `Network` does, without what is in between.

    Parameters
    ----------
    network : Network
        Of `Dense` layers, or of `MemberDense` layers of which one member is meant.
    member : int
        Number of the member.
    max_rows : int
        The most rows a batch will have.
    grads : ndarray of shape (n_params,)
        Where `backward` writes to.
    """

    def __init__(self, network, member, max_rows, grads):
        self._network, self._grads = network, grads
        self._forward, self._backward = kernels.DENSE_PASSES(network.params.dtype)
        places = {(one.layer, one.key): one.start for one in network.parameters}
        sizes = [network.input_shape[-1], *(layer.units for layer in network.layers)]
        table = []
        for i, layer in enumerate(network.layers):
            fan_in, units = sizes[i : i + 2]
            weight = places[i, "weight"] + member * fan_in * units
            bias = places[i, "bias"] + member * units
            table.append((fan_in, units, weight, bias, type(layer._function) is ReLU))
        self._layers = np.array(table, np.int64)
        dtype, widest = network.params.dtype, max(sizes[1:-1], default=0)
        self._outputs = np.empty(max_rows * sum(sizes[1:]), dtype)
        self._scratch = np.empty((2, max_rows * widest), dtype)
        self._dy = np.empty((max_rows, sizes[-1]), dtype)
        self._max_rows = max_rows
        self._n_outputs, self._before = sizes[-1], sum(sizes[1:-1])

    def take(self, x):
        """Whether the passes can be used for these rows now."""
        return takes(x, self._network, self._max_rows)

    def value_and_grad(self, loss, x, y, weight, rng=None, progress=None):
        """Return the loss of a batch, and fill the gradient vector.

        Parameters
        ----------
        loss : Loss
        x : ndarray of shape (n, n_features)
        y, weight, rng, progress
            As in `Objective.data_value_and_grad`.
        """
        raw, dy = self._run_forward(x), self._dy[: len(x)]
        value = loss.value_and_grad(raw, y, weight, dy)
        self._backward(
            dy, self._x, self._network.params, self._layers, self._outputs, self._grads,
            *self._scratch,
        )  # fmt: skip
        return value

    def _run_forward(self, x):
        if not (x.flags.c_contiguous and x.flags.writeable):  # so that one signature is compiled
            x = np.array(x, order="C")
        self._x, n = x, len(x)
        self._forward(x, self._network.params, self._layers, self._outputs)
        first = n * self._before
        return self._outputs[first : first + n * self._n_outputs].reshape(n, self._n_outputs)
