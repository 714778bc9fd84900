"""The contract of an optimizer."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Component, Maybe, Range
from skbp.optimizers.group import Group
from skbp.schedules import Scheduled
from skbp.schedules.scheduled import or_scheduled


class _Groups:
    """None, or a list of `Group`."""

    def __contains__(self, value):
        if value is None:
            return True
        if not isinstance(value, list | tuple) or not all(isinstance(g, Group) for g in value):
            return False
        for group in value:
            group.check()
        return True

    def __str__(self):
        return "None or a list of Group"


#: What the hyperparameters that optimizers share may be.
SHARED = {
    "weight_decay": or_scheduled(Range(0)),
    "clip_norm": Maybe(Range(0, low_open=True)),
    "clip_value": Maybe(Range(0, low_open=True)),
    "ema_decay": Maybe(Range(0, 1, high_open=True)),
    "groups": _Groups(),
}


class Optimizer(Component):
    """A rule that takes one step down the gradient, value by value.

    Since no value's step depends on another's, the engine calls `step` on one block of the
    parameters at a time, while they are in the cache.

    Parameters
    ----------
    weight_decay : float or Scheduled, default=0.0
        Not negative: before a step, weights are multiplied by ``1 - lr weight_decay``. Biases do
        not decay, unless a group says so.
    clip_norm : float or None, default=None
        Limit, > 0, of the norm of the loss's gradient: a longer one is scaled down.
    clip_value : float or None, default=None
        Limit, > 0, of each value of that gradient; applied before `clip_norm`.
    ema_decay : float or None, default=None
        In [0, 1): the weights that stand, and are validated, are an exponential moving average over
        the updates, for example with 0.999.
    groups : list of Group or None, default=None
        Parameters with a rate, a weight decay or a schedule of their own.

    Attributes
    ----------
    usual_rate : float
        What ``learning_rate_init="auto"`` stands for.
    lazy : bool
        Whether, on sparse input, only those weights of the first layer are stepped whose inputs
        occur in the batch.
    fused : bool
        Whether `step` and `penalized_step` run through their arrays once where kernels are
        compiled. Then they may be handed the whole vector there; else, always blocks that fit in
        the cache, which is also the size of their scratch arrays.
    by_array : bool
        Whether the rule looks at whole matrices. Then the weights of hidden layers come whole, as
        matrices; all else comes flat, as for the other rules.

    References
    ----------
    I. Loshchilov, F. Hutter (2019), "Decoupled weight decay regularization", ICLR, section 2. There
    the decay is multiplied by the schedule alone, here, as in PyTorch, by the whole learning rate.
    R. Pascanu, T. Mikolov, Y. Bengio (2013), "On the difficulty of training recurrent neural
    networks", section 3.2: `clip_norm`.
    """

    usual_rate = 0.001
    lazy = False
    fused = False
    by_array = False
    allowed = SHARED
    # A subclass that takes none of these is without them.
    weight_decay: float | Scheduled = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None
    ema_decay: float | None = None
    groups: list[Group] | None = None

    def __init__(
        self, weight_decay=0.0, clip_norm=None, clip_value=None, ema_decay=None, groups=None
    ):
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.ema_decay = ema_decay
        self.groups = groups

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
            is scratch. If `by_array`, also of shape (n_inputs, n_units).
        state : dict of str to ndarray, shaped as `params`
            The same block of the state, as the last step left it.
        lr : float
            Learning rate of this step.
        t : int
            Number of this step, from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(...)")

    def penalized_step(self, params, grads, state, lr, t, strength, decay=1.0):
        """Add the gradient of ``strength / 2 |params|**2`` to `grads`, decay `params`, then step.

        Parameters
        ----------
        params, grads, state, lr, t
            As in `step`.
        strength : float
            Not negative.
        decay : float, default=1.0
            What `params` are multiplied by, after the penalty and before the step.

        Returns
        -------
        squares : float
            Sum of the squares of `params` before the step; zero if `strength` is.
        """
        squares = kernels.l2(np.ravel(params), np.ravel(grads), strength) if strength else 0.0
        if decay != 1:
            params *= decay
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
