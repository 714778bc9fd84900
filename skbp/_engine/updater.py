"""Updates: the penalty's gradient and the optimizer's step, block by block."""

from skbp._engine import kernels


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
    """

    def __init__(self, optimizer, network, grads, state):
        self._optimizer = optimizer
        size = kernels.UPDATE_BLOCK // network.params.itemsize
        self._blocks = []
        for first, last in ((0, network.n_penalized), (network.n_penalized, network.params.size)):
            for start in range(first, last, size):
                part = slice(start, min(start + size, last))
                self._blocks.append(
                    (
                        last == network.n_penalized,
                        network.params[part],
                        grads[part],
                        {name: array[part] for name, array in state.items()},
                    )
                )

    def step(self, lr, t, strength):
        """Take step number `t` at rate `lr`.

        Parameters
        ----------
        lr : float
            Learning rate.
        t : int
            Number of the step, from 1.
        strength : float
            Factor of the L2 penalty ``strength / 2 |W|**2``, whose gradient is added first.

        Returns
        -------
        penalty : float
            The penalty before the step.
        """
        squares = 0.0
        for penalized, params, grads, state in self._blocks:
            if penalized:
                squares += self._optimizer.penalized_step(params, grads, state, lr, t, strength)
            else:
                self._optimizer.step(params, grads, state, lr, t)
        return 0.5 * strength * squares
