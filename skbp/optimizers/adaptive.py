"""Steps scaled, value by value, by the size of the gradients so far."""

import numpy as np

from skbp._component import Flag, Range
from skbp.optimizers.base import SHARED, Optimizer


class RMSprop(Optimizer):
    """Steps divided by the root of a running average of the squared gradient.

    ``v = rho v + (1 - rho) g**2``, ``s = g / (sqrt(v) + epsilon)``,
    ``b = momentum b + s``, ``p = p - lr b``. If `centered`, v in s is replaced by the variance
    ``v - a**2`` with ``a = rho a + (1 - rho) g``.

    Parameters
    ----------
    rho : float, default=0.99
        In [0, 1): decay rate of the averages.
    epsilon : float, default=1e-8
        Positive; keeps the denominator from zero.
    momentum : float, default=0.0
        In [0, 1]: the share of the last step that is kept.
    centered : bool, default=False
        Whether to divide by the standard deviation of the gradients.
    weight_decay, clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    T. Tieleman, G. Hinton (2012), "Neural networks for machine learning", Coursera, lecture 6.5;
    centered: A. Graves (2013), "Generating sequences with recurrent neural networks", equations 38
    to 41. Epsilon is added to the root and the rate applied after the momentum, as in PyTorch. A
    variance that rounding makes negative counts as zero.

    Examples
    --------
    >>> import numpy as np
    >>> p, rmsprop = np.array([1.0]), RMSprop(rho=0.75)
    >>> rmsprop.step(p, np.array([5.0]), rmsprop.init_state(p), lr=0.25, t=1)
    >>> p.round(6)
    array([0.5])
    """

    allowed = {
        "rho": Range(0, 1, high_open=True),
        "epsilon": Range(0, low_open=True),
        "momentum": Range(0, 1),
        "centered": Flag(),
        **SHARED,
    }

    def __init__(self, rho=0.99, epsilon=1e-8, momentum=0.0, centered=False, weight_decay=0.0,
                 clip_norm=None, clip_value=None, ema_decay=None, groups=None):  # fmt: skip
        self.rho = rho
        self.epsilon = epsilon
        self.momentum = momentum
        self.centered = centered
        super().__init__(weight_decay, clip_norm, clip_value, ema_decay, groups)

    def init_state(self, params):
        # All three whatever the hyperparameters, which may change between two calls of partial_fit.
        return {name: np.zeros_like(params) for name in ("v", "average", "velocity")}

    def step(self, params, grads, state, lr, t):
        v, average, velocity = state["v"], state["average"], state["velocity"]
        rho, momentum = float(self.rho), float(self.momentum)
        root = np.square(grads)
        root *= 1 - rho
        v *= rho
        v += root
        if self.centered:
            np.multiply(grads, 1 - rho, out=root)
            average *= rho
            average += root
            np.square(average, out=root)
            np.subtract(v, root, out=root)
            np.maximum(root, 0, out=root)
            np.sqrt(root, out=root)
        else:
            np.sqrt(v, out=root)
        root += float(self.epsilon)
        grads /= root
        if momentum:
            velocity *= momentum
            velocity += grads
            np.multiply(velocity, lr, out=grads)
        else:
            grads *= lr
        params -= grads


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients.

    ``v = v + g**2``, ``p = p - lr g / (sqrt(v) + epsilon)``: the rate falls by itself, for each
    value as it is used. It wants a larger learning rate than Adam, 0.01 to 1.

    Parameters
    ----------
    epsilon : float, default=1e-10
        Positive; keeps the denominator from zero.
    weight_decay, clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    J. Duchi, E. Hazan, Y. Singer (2011), "Adaptive subgradient methods for online learning and
    stochastic optimization", Journal of Machine Learning Research 12, section 1.1, with the
    diagonal matrix; epsilon as in PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> p, adagrad = np.array([1.0]), Adagrad()
    >>> state = adagrad.init_state(p)
    >>> for t, gradient in enumerate((3.0, 4.0), 1):
    ...     adagrad.step(p, np.array([gradient]), state, lr=0.25, t=t)
    >>> p.round(6)
    array([0.55])
    """

    usual_rate = 0.01
    allowed = {"epsilon": Range(0, low_open=True), **SHARED}

    def __init__(self, epsilon=1e-10, weight_decay=0.0, clip_norm=None, clip_value=None,
                 ema_decay=None, groups=None):  # fmt: skip
        self.epsilon = epsilon
        super().__init__(weight_decay, clip_norm, clip_value, ema_decay, groups)

    def init_state(self, params):
        return {"v": np.zeros_like(params)}

    def step(self, params, grads, state, lr, t):
        v, root = state["v"], np.square(grads)
        v += root
        np.sqrt(v, out=root)
        root += float(self.epsilon)
        grads /= root
        grads *= lr
        params -= grads


class Adadelta(Optimizer):
    """Steps of the size of the steps before, in units of the parameters.

    ``v = rho v + (1 - rho) g**2``, ``s = g sqrt(u + epsilon) / sqrt(v + epsilon)``,
    ``u = rho u + (1 - rho) s**2``, ``p = p - lr s``. It finds its own step: the rate 1, which an
    estimator takes by default, is the paper's rule.

    Parameters
    ----------
    rho : float, default=0.9
        In [0, 1): decay rate of the two averages.
    epsilon : float, default=1e-6
        Positive; the first steps are about as large as its root.
    weight_decay, clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    M. D. Zeiler (2012), "ADADELTA: an adaptive learning rate method", algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> p, adadelta = np.array([1.0]), Adadelta(rho=0.75, epsilon=1e-4)
    >>> adadelta.step(p, np.array([5.0]), adadelta.init_state(p), lr=1.0, t=1)
    >>> p.round(4)
    array([0.98])
    """

    usual_rate = 1.0
    allowed = {"rho": Range(0, 1, high_open=True), "epsilon": Range(0, low_open=True), **SHARED}

    def __init__(self, rho=0.9, epsilon=1e-6, weight_decay=0.0, clip_norm=None, clip_value=None,
                 ema_decay=None, groups=None):  # fmt: skip
        self.rho = rho
        self.epsilon = epsilon
        super().__init__(weight_decay, clip_norm, clip_value, ema_decay, groups)

    def init_state(self, params):
        return {"v": np.zeros_like(params), "u": np.zeros_like(params)}

    def step(self, params, grads, state, lr, t):
        v, u = state["v"], state["u"]
        rho, epsilon = float(self.rho), float(self.epsilon)
        scratch = np.square(grads)
        scratch *= 1 - rho
        v *= rho
        v += scratch
        ratio = u + epsilon
        np.add(v, epsilon, out=scratch)
        np.sqrt(ratio, out=ratio)
        np.sqrt(scratch, out=scratch)
        ratio /= scratch  # first, as the gradient may be so large that v is infinite
        grads *= ratio
        np.square(grads, out=scratch)
        scratch *= 1 - rho
        u *= rho
        u += scratch
        grads *= lr
        params -= grads
