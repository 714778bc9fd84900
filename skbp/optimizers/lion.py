"""Steps by the sign of a momentum."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Range
from skbp.optimizers.base import SHARED, Optimizer


class Lion(Optimizer):
    """Steps of one size: the sign of a mixture of momentum and gradient.

    ``p = (1 - lr weight_decay) p - lr sign(beta_1 m + (1 - beta_1) g)``, then
    ``m = beta_2 m + (1 - beta_2) g``. Every value moves by lr, so it wants a learning rate three to
    ten times smaller than Adam's, a weight decay as many times larger, and one that falls
    in the end. Half of Adam's memory. Biases do not decay.

    Parameters
    ----------
    beta_1 : float, default=0.9
        In [0, 1): share of the momentum in the step.
    beta_2 : float, default=0.99
        In [0, 1): decay rate of the momentum.
    weight_decay, clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    X. Chen, C. Liang, D. Huang, E. Real, K. Wang, H. Pham, X. Dong, T. Luong, C.-J. Hsieh, Y. Lu,
    Q. V. Le (2023), "Symbolic discovery of optimization algorithms", NeurIPS, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> p, lion = np.array([1.0, 1.0, 1.0]), Lion()
    >>> lion.step(p, np.array([5.0, -0.1, 0.0]), lion.init_state(p), lr=0.25, t=1)
    >>> p
    array([0.75, 1.25, 1.  ])
    """

    usual_rate = 0.0001
    fused = True
    allowed = {
        "beta_1": Range(0, 1, high_open=True),
        "beta_2": Range(0, 1, high_open=True),
        **SHARED,
    }

    def __init__(self, beta_1=0.9, beta_2=0.99, weight_decay=0.0, clip_norm=None, clip_value=None,
                 ema_decay=None, groups=None):  # fmt: skip
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        super().__init__(weight_decay, clip_norm, clip_value, ema_decay, groups)

    def init_state(self, params):
        return {"m": np.zeros_like(params)}

    def step(self, params, grads, state, lr, t):
        self.penalized_step(params, grads, state, lr, t, 0.0)

    def penalized_step(self, params, grads, state, lr, t, strength, decay=1.0):
        return kernels.lion_step(
            params, grads, state["m"], strength, lr, float(self.beta_1), float(self.beta_2), decay
        )
