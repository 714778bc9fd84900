"""Gradient descent."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Flag, Range
from skbp.optimizers.base import SHARED, Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    ``v = momentum v - lr g``, then ``p = p + v``; with Nesterov's momentum
    ``p = p + momentum v - lr g``.

    Parameters
    ----------
    momentum : float, default=0.9
        In [0, 1]: the share of the last step that is kept.
    nesterovs_momentum : bool, default=True
        Whether to look ahead along the momentum.
    weight_decay, clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    I. Sutskever, J. Martens, G. Dahl, G. Hinton (2013), "On the importance of initialization and
    momentum in deep learning", section 2; in the rewriting that keeps the parameters at the
    look-ahead point.

    Examples
    --------
    >>> import numpy as np
    >>> p, sgd = np.array([1.0]), SGD(momentum=0.0)
    >>> sgd.step(p, np.array([1.0]), sgd.init_state(p), lr=0.25, t=1)
    >>> p
    array([0.75])
    """

    fused = True
    allowed = {"momentum": Range(0, 1), "nesterovs_momentum": Flag(), **SHARED}

    def __init__(self, momentum=0.9, nesterovs_momentum=True, weight_decay=0.0, clip_norm=None,
                 clip_value=None, ema_decay=None, groups=None):  # fmt: skip
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        super().__init__(weight_decay, clip_norm, clip_value, ema_decay, groups)

    def init_state(self, params):
        return {"velocity": np.zeros_like(params)}

    def step(self, params, grads, state, lr, t):
        self.penalized_step(params, grads, state, lr, t, 0.0)

    def penalized_step(self, params, grads, state, lr, t, strength, decay=1.0):
        if decay != 1:
            return super().penalized_step(params, grads, state, lr, t, strength, decay)
        return kernels.sgd_step(
            params, grads, state["velocity"], strength, lr,
            float(self.momentum), bool(self.nesterovs_momentum),
        )  # fmt: skip
