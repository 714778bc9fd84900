"""The contract of an optimizer."""

from skbp import _kernels as kernels
from skbp._component import Component


class Optimizer(Component):
    """A rule that takes one step down the gradient, value by value.

    Since no value's step depends on another's, the engine calls `step` on one block of the
    parameters at a time, while they are in the cache.

    Attributes
    ----------
    lazy : bool
        Whether, on sparse input, only those weights of the first layer are stepped whose inputs
        occur in the batch.
    fused : bool
        Whether `step` and `penalized_step` run through their arrays once where kernels are
        compiled. Then they may be handed the whole vector there; else, always blocks that fit in
        the cache, which is also the size of their scratch arrays.
    weight_decay : float
        Decoupled weight decay: `penalized_step` multiplies the parameters by
        ``1 - lr weight_decay`` before it steps. The engine calls it for the weights and `step` for
        the biases, so biases do not decay. A rule that has it takes it as a hyperparameter.

    References
    ----------
    I. Loshchilov, F. Hutter (2019), "Decoupled weight decay regularization", ICLR, section 2. There
    the decay is multiplied by the schedule alone, here, as in PyTorch, by the whole learning rate.
    """

    lazy = False
    fused = False
    weight_decay: float = 0.0

    def init_state(self, params):
        """Return what is remembered before the first step.

        Parameters
        ----------
        params : ndarray of shape (n_params,), float32 or float64
            The parameters that will be trained; only shape and dtype are read.

        Returns
        -------
        state : dict of str to ndarray of shape (n_params,)
        """
        raise NotImplementedError(f"{type(self).__name__} must define init_state(params)")

    def step(self, params, grads, state, lr, t):
        """Change `params` and `state` in place.

        Parameters
        ----------
        params, grads : ndarray of shape (n,), float32 or float64
            A block of the parameters, and the gradient of the loss with respect to them; `grads`
            is scratch.
        state : dict of str to ndarray of shape (n,)
            The same block of the state, as the last step left it.
        lr : float
            Learning rate of this step.
        t : int
            Number of this step, from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(...)")

    def penalized_step(self, params, grads, state, lr, t, strength):
        """Add the gradient of ``strength / 2 |params|**2`` to `grads`, decay `params`, then step.

        Parameters
        ----------
        params, grads, state, lr, t
            As in `step`.
        strength : float
            Not negative.

        Returns
        -------
        squares : float
            Sum of the squares of `params` before the step; zero if `strength` is.
        """
        squares = kernels.l2(params, grads, strength) if strength else 0.0
        if self.weight_decay:
            params *= 1 - lr * float(self.weight_decay)
        self.step(params, grads, state, lr, t)
        return squares

    def row_step(self, params, grads, state, rows, lr, t, strength):
        """Take a penalised step for some rows of a matrix only; a `lazy` optimizer defines it.

        Parameters
        ----------
        params, grads : ndarray of shape (n, k)
            As in `step`, for a whole weight; `grads` is valid in `rows` only.
        state : dict of str to ndarray of shape (n, k)
        rows : ndarray of shape (m,), intp
            The rows to step, each once.
        lr, t, strength
            As in `penalized_step`.

        Returns
        -------
        growth : float
            What the sum of the squares of `params` grows by.
        """
        raise NotImplementedError(f"{type(self).__name__} must define row_step(...)")
