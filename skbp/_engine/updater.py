"""Updates: the penalty's gradient and the optimizer's step, block by block."""

import numpy as np

from skbp._engine import kernels
from skbp._engine.kernels.numpy_kernels import UPDATE_BLOCK as CACHE_BLOCK

#: Up to so many parameters, fewer calls count for more than fewer passes.
FEW_PARAMETERS = 8192


class Updater:
    """Applies an optimizer to a network's parameters.

    Parameters
    ----------
    optimizer : Optimizer
        The rule.
    network : Network
        Whose `params` are changed in place.
    grads : ndarray of shape (n_params,)
        Where each step finds the gradient of the loss.
    state : dict of str to ndarray of shape (n_params,)
        The optimizer's state, changed in place.
    lazy : bool, default=False
        Whether batches are CSR matrices that know their columns, and the first layer's weight is
        to be updated in those rows only.
    """

    def __init__(self, optimizer, network, grads, state, lazy=False):
        self._optimizer = optimizer
        self._lazy = LazyRows(optimizer, network, grads, state) if lazy else None
        start = network.first_weight_size() if lazy else 0
        self._penalized_first = None
        # Weight decay is for the weights alone: their blocks, not one step for all.
        if network.params.size - start <= FEW_PARAMETERS and not optimizer.weight_decay:
            rest, penalized = slice(start, None), slice(start, network.n_penalized)
            self._penalized_first = network.params[penalized], grads[penalized]
            ranges = [(False, rest)]
        else:
            size = kernels.UPDATE_BLOCK if optimizer.fused else CACHE_BLOCK
            size = min(size, kernels.UPDATE_BLOCK) // network.params.itemsize
            ranges = [
                (last == network.n_penalized, slice(first, min(first + size, last)))
                for begin, last in (
                    (start, network.n_penalized),
                    (network.n_penalized, network.params.size),
                )
                for first in range(begin, last, size)
            ]
        self._blocks = [
            (
                penalized,
                network.params[part],
                grads[part],
                {name: array[part] for name, array in state.items()},
            )
            for penalized, part in ranges
        ]

    def step(self, lr, t, strength, x=None):
        """Take step number `t` at rate `lr`.

        Parameters
        ----------
        lr : float
            Learning rate.
        t : int
            Number of the step, from 1.
        strength : float
            Factor of the L2 penalty ``strength / 2 |W|**2``, whose gradient is added first.
        x : CSR, optional
            The batch, for a lazy update.

        Returns
        -------
        penalty : float
            The penalty before the step.
        """
        squares = 0.0
        if self._lazy:
            squares += self._lazy.step(lr, t, strength, x.columns)
        if self._penalized_first and strength:
            squares += kernels.l2(*self._penalized_first, strength)
        for penalized, params, grads, state in self._blocks:
            if penalized:
                squares += self._optimizer.penalized_step(params, grads, state, lr, t, strength)
            else:
                self._optimizer.step(params, grads, state, lr, t)
        return 0.5 * strength * squares


class LazyRows:
    """Updates only those rows of the first layer's weight whose inputs occur in a batch.

    The sum of squares that the penalty needs is kept up to date by the rows that change.
    """

    def __init__(self, optimizer, network, grads, state):
        shape = network.views[0]["weight"].shape
        part = slice(network.first_weight_size())
        self._optimizer = optimizer
        self._params, self._grads = network.params[part].reshape(shape), grads[part].reshape(shape)
        self._state = {name: array[part].reshape(shape) for name, array in state.items()}
        self._squares = float(np.einsum("ij,ij->i", self._params, self._params).sum())

    def step(self, lr, t, strength, columns):
        """Step the given rows; returns the sum of the squares of all rows before the step."""
        before = self._squares
        self._squares += self._optimizer.row_step(
            self._params, self._grads, self._state, columns, lr, t, strength
        )
        return before
