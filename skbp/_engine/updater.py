"""Updates: the penalty's gradient and the optimizer's step, block by block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from skbp import _kernels as kernels
from skbp._engine.regularization import Clip, add_l1
from skbp._kernels.numpy_kernels import UPDATE_BLOCK as CACHE_BLOCK

#: Up to so many parameters, fewer calls count for more than fewer passes.
FEW_PARAMETERS = 8192


@dataclass(frozen=True)
class Changes:
    """What an update does besides the optimizer's step.

    clip : Clip or None, applied to the gradient of the loss, which for a layer that is not trained
    counts as zero; multipliers : for each layer a factor of the learning rate, empty where all are
    one; missed : for each layer the number of steps it was left out of, so that the optimizer
    counts its own; after : functions called after the step.
    """

    clip: Clip | None = None
    multipliers: Sequence[float] = ()
    missed: Sequence[int] = ()
    after: Sequence[Callable[[], None]] = ()


NO_CHANGES = Changes()


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
        to be updated in those rows only; then there are no changes but multipliers.
    changes : Changes, optional
        What else is to be done with gradients and weights.
    """

    def __init__(self, optimizer, network, grads, state, lazy=False, changes=NO_CHANGES):
        self._optimizer = optimizer
        self._clip, self._after = changes.clip, tuple(changes.after)
        self._penalized = network.params[: network.n_penalized], grads[: network.n_penalized]
        self._grads = grads
        self._lazy = LazyRows(optimizer, network, grads, state) if lazy else None
        self._lazy_factor = changes.multipliers[0] if changes.multipliers else 1.0
        self._lazy_missed = changes.missed[0] if changes.missed else 0
        start = network.first_weight_size() if lazy else 0
        segments = self._segments(network, start, changes)
        few = network.params.size - start <= FEW_PARAMETERS and not changes.multipliers
        self._penalized_first = None
        # Weight decay is for the weights alone: their blocks, not one step for all.
        if few and not optimizer.weight_decay:
            penalized = slice(start, network.n_penalized)
            self._penalized_first = network.params[penalized], grads[penalized]
            segments = [(False, start, network.params.size, 1.0, 0)]
        frozen = [(begin, end) for _, begin, end, factor, _ in segments if factor == 0]
        self._frozen_grads = [grads[begin:end] for begin, end in frozen]
        self._frozen_weights = [
            network.params[begin:end] for begin, end in frozen if end <= network.n_penalized
        ]
        size = kernels.UPDATE_BLOCK if optimizer.fused else CACHE_BLOCK
        size = min(size, kernels.UPDATE_BLOCK) // network.params.itemsize
        self._blocks = [
            (
                penalized,
                factor,
                missed,
                network.params[part],
                grads[part],
                {name: array[part] for name, array in state.items()},
            )
            for penalized, begin, end, factor, missed in segments
            if factor != 0
            for part in (slice(at, min(at + size, end)) for at in range(begin, end, size))
        ]

    @staticmethod
    def _segments(network, start, changes):
        """Return (penalised?, begin, end, factor of the rate, steps missed) of ranges."""
        if changes.multipliers:
            factors = changes.multipliers
            missed = changes.missed or [0] * len(factors)
            return [
                (p.penalized, p.start, p.stop, factors[p.layer], missed[p.layer])
                for p in network.parameters
                if p.start >= start
            ]
        middle, end = network.n_penalized, network.params.size
        return [(True, start, middle, 1.0, 0), (False, middle, end, 1.0, 0)]

    def begin_epoch(self):
        """Forget what came of earlier epochs but weights and state: a resumed fit has no more."""
        if self._lazy:
            self._lazy.sum_squares()

    def step(self, lr, t, l2, l1=0.0, x=None):
        """Take step number `t` at rate `lr`.

        Parameters
        ----------
        lr : float
            Learning rate.
        t : int
            Number of the step, from 1.
        l2, l1 : float
            Factors of the penalty ``l2 / 2 |W|**2 + l1 |W|_1``, whose gradient is added first.
        x : CSR, optional
            The batch, for a lazy update.

        Returns
        -------
        penalty : float
            The penalty before the step.
        """
        if self._clip:
            for part in self._frozen_grads:
                part.fill(0)
            self._clip(self._grads)
        penalty = add_l1(*self._penalized, l1) if l1 else 0.0
        squares = 0.0
        if self._lazy and self._lazy_factor:
            rate, own_t = lr * self._lazy_factor, t - self._lazy_missed
            squares += self._lazy.step(rate, own_t, l2, x.columns)
        elif self._lazy:
            squares += self._lazy.squares
        if self._penalized_first and l2:
            squares += kernels.l2(*self._penalized_first, l2)
        for weights in self._frozen_weights if l2 else ():
            squares += float(np.dot(weights, weights))
        for penalized, factor, missed, params, grads, state in self._blocks:
            rate, own_t = lr * factor, t - missed
            if penalized:
                squares += self._optimizer.penalized_step(params, grads, state, rate, own_t, l2)
            else:
                self._optimizer.step(params, grads, state, rate, own_t)
        for change in self._after:
            change()
        return penalty + 0.5 * l2 * squares


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
        self.sum_squares()

    def sum_squares(self):
        """Sum the squares anew, which also rids the sum of rounding errors."""
        self.squares = float(np.einsum("ij,ij->i", self._params, self._params).sum())

    def step(self, lr, t, strength, columns):
        """Step the given rows; returns the sum of the squares of all rows before the step."""
        before = self.squares
        self.squares += self._optimizer.row_step(
            self._params, self._grads, self._state, columns, lr, t, strength
        )
        return before
