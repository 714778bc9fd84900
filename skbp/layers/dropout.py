"""Dropout."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Range
from skbp.layers.base import ENDLESS, KEEP, Layer, memory_order
from skbp.schedules import Scheduled
from skbp.schedules.scheduled import or_scheduled, value_at

#: What a rate of dropout may be.
RATES = or_scheduled(Range(0, 1, high_open=True))


def may_drop(rate):
    """Whether a rate of dropout is, or may become, more than zero."""
    return isinstance(rate, Scheduled) or rate > 0


class Dropout(Layer):
    """Sets a random share of its inputs to zero in training; scales the rest up to make up for it.

    In training ``y = x m / (1 - rate)`` with m = 0 or 1 drawn anew for each value and batch; in
    inference ``y = x``.

    Parameters
    ----------
    rate : float or Scheduled, default=0.5
        In [0, 1): the probability of a zero, rounded to a multiple of 2**-16.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov (2014), "Dropout: a
    simple way to prevent neural networks from overfitting", section 4; here in the inverted form,
    scaled in training.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import Dropout
    >>> X = np.random.default_rng(0).normal(size=(200, 1)) * [1, 1]  # a feature, and its copy
    >>> net = BackpropRegressor(layers=[Dropout(0.5)], batch_size=20, max_iter=15,
    ...                         learning_rate="one_cycle", learning_rate_init=0.05,
    ...                         n_iter_no_change=15, random_state=0)
    >>> net.fit(X, X[:, 0]).coefs_[0].ravel().round(1)  # both are used, with smaller weights
    array([0.3, 0.3])
    """

    stochastic = True
    absent = KEEP
    allowed = {"rate": RATES}

    def __init__(self, rate=0.5, name=None):
        self.rate = rate
        self.name = name

    def work_shapes(self, input_shape, n, training=True):
        shape = (n, *input_shape)
        return {"y": shape, "mask": (shape, np.uint8)} if training else {}

    def stepping(self, input_shape):
        return ENDLESS

    def forward(self, x, p, w, ctx):
        rate = value_at(self.rate, ctx.progress) if ctx.training else 0.0
        if rate == 0:
            ctx.cache[self] = 0.0  # tells `backward` to let everything pass
            return x
        order = memory_order(x)
        as_given = np.argsort(order)
        x = x.transpose(order)
        y, mask = w["y"].reshape(x.shape), w["mask"].reshape(x.shape)
        ctx.cache[self] = kept = ctx.rng.mask(rate, mask.transpose(as_given))
        kernels.masked_scale(x, mask, 1 / kept, y)
        return y.transpose(as_given)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        kept = ctx.cache[self]
        if not kept:
            return dy
        order = memory_order(x)
        dy = dy.transpose(order)
        if not dy.flags.c_contiguous:  # it came in another order; y is needed no more
            y = w["y"].reshape(dy.shape)
            np.copyto(y, dy)
            dy = y
        kernels.masked_scale(dy, w["mask"], 1 / kept, dy)
        return dy.transpose(np.argsort(order))
