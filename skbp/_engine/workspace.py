"""The workspace: every buffer that a batch needs on its way through a network."""

from copy import copy
from math import prod

import numpy as np

from skbp.layers._pass import Arrays, Pass, allocate, shape_and_dtype


class Workspace:
    """The gradient vector and every buffer a batch needs, allocated once.

    Parameters
    ----------
    network : Network
        Whose buffers these are.
    max_rows : int
        The most rows a batch will have.
    training : bool, default=True
        Whether `backward` will be called; without, there is no gradient vector.
    grads : ndarray of shape (n_params,), optional
        Gradient vector to write to, by default a new one.
    memory : Turns, optional
        For inference: where arrays are, by default each has memory of its own.

    Attributes
    ----------
    grads : ndarray of shape (n_params,) or None
        Gradient of the loss with respect to the network's parameters.
    views : list of dict of str to ndarray
        Named views into `grads`, as `Network.views`.
    inputs : list
        The input of each layer in the last forward pass.
    ctx : Pass
        Of the last forward pass.
    tied : list of (ndarray, ndarray)
        For each tied parameter its gradient, and the owner's, to which it is added.
    """

    def __init__(self, network, max_rows, training=True, grads=None, memory=None):
        self._network = network
        self._training = training
        if training and grads is None:
            grads = np.zeros_like(network.params)
        self.grads = grads
        self.views = network.views_of(self.grads) if training else []
        self.tied = []
        for index, key, owner in network._ties if training else ():
            own = self.views[index][key] = np.zeros_like(network.views[index][key])
            self.tied.append((own, self.views[owner.layer][owner.key]))
        self.inputs = [None] * len(network.layers)
        self.ctx = Pass()
        self._most = memory.allocate(network, max_rows) if memory else self._allocate(max_rows)
        self._by_rows = {max_rows: self._most}

    def _allocate(self, n):
        network = self._network
        return [
            allocate(layer, shape, n, network.params.dtype, self._training)
            if index >= network.begin
            else Arrays()
            for index, (layer, shape) in enumerate(
                zip(network.layers, network.input_shapes, strict=True)
            )
        ]

    def of(self, network):
        """Return a workspace for the same network, bound to smaller rows, in the same memory."""
        other = copy(self)
        other._network, other._by_rows = network, {}
        other.inputs = [None] * len(network.layers)
        other.ctx.forget()
        return other

    def rows(self, n):
        """Return, for each layer, its buffers by name for a batch of n rows."""
        if n not in self._by_rows:
            network = self._network
            self._by_rows[n] = [
                Arrays(
                    (name, beginning(most[name], shape_and_dtype(spec, None)[0]))
                    for name, spec in layer.work_shapes(shape, n, self._training).items()
                    if name in most
                )
                for layer, shape, most in zip(
                    network.layers, network.input_shapes, self._most, strict=True
                )
            ]
        return self._by_rows[n]


def beginning(buffer, shape):
    """Return the beginning of a buffer's memory as an array of a smaller shape."""
    return buffer.reshape(-1)[: prod(shape)].reshape(shape)
