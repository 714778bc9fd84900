"""Dropout."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Range
from skbp.layers.base import Layer, memory_order


class Dropout(Layer):
    """Sets a random share of its inputs to zero in training; scales the rest up to make up for it.

    In training ``y = x m / (1 - rate)`` with m = 0 or 1 drawn anew for each value and batch; in
    inference ``y = x``.

    Parameters
    ----------
    rate : float, default=0.5
        In [0, 1): the probability of a zero, rounded to a multiple of 2**-16.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov (2014), "Dropout: a
    simple way to prevent neural networks from overfitting", section 4; here in the inverted form,
    scaled in training.

    Examples
    --------
    >>> import numpy as np
    >>> x, shapes = np.ones((1, 4)), Dropout(0.5).work_shapes((4,), 1)
    >>> w = {"y": np.empty((1, 4)), "mask": np.empty(*shapes["mask"]), "kept": np.empty(1)}
    >>> Dropout(0.5).forward(x, {}, w, rng=np.random.default_rng(4))
    array([[0., 2., 0., 2.]])
    >>> Dropout(0.5).forward(x, {}, w)
    array([[1., 1., 1., 1.]])
    """

    stochastic = True
    allowed = {"rate": Range(0, 1, high_open=True)}

    def __init__(self, rate=0.5):
        self.rate = rate

    def work_shapes(self, input_shape, n, training=True):
        shape = (n, *input_shape)
        return {"y": shape, "mask": (shape, np.uint8), "kept": (1,)} if training else {}

    def forward(self, x, p, w, rng=None):
        if rng is None or self.rate == 0:
            if "kept" in w:
                w["kept"][0] = 0  # tells `backward` to let everything pass
            return x
        w["kept"][0] = kept = kernels.dropout_mask(rng, self.rate, w["mask"])
        order = memory_order(x)
        x = x.transpose(order)
        y = w["y"].reshape(x.shape)
        kernels.masked_scale(x, w["mask"], 1 / kept, y)
        return y.transpose(np.argsort(order))

    def backward(self, dy, x, p, g, w, need_dx=True):
        kept = w["kept"][0]
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
