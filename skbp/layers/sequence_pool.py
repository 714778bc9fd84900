"""Sequences into rows of features."""

import numpy as np

from skbp._component import OneOf
from skbp.layers._steps import check_sequence
from skbp.layers.base import LEAVE_OUT, Layer


class SequencePool(Layer):
    """Puts the steps of a sequence together, (time, features) to (features,).

    Absent steps are left out. A sequence that has no steps gives zeros.

    Parameters
    ----------
    mode : {"mean", "max", "last", "first"}, default="mean"
        Mean or maximum over the steps, feature by feature; or the last or first step there is.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import SequencePool
    >>> sequences = [[[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan]]]  # one, whose last step is absent
    >>> net = BackpropRegressor(layers=[SequencePool("last")], solver="lbfgs")
    >>> HiddenFeatures(net).fit(sequences, [1.0]).transform(sequences)
    array([[3., 4.]])
    """

    absent = LEAVE_OUT
    allowed = {"mode": OneOf(("mean", "max", "last", "first"))}

    def __init__(self, mode="mean", name=None):
        self.mode = mode
        self.name = name

    def output_shape(self, input_shape):
        check_sequence(self, input_shape)
        return input_shape[1:]

    def work_shapes(self, input_shape, n, training=True):
        shapes = {"y": (n, input_shape[-1])}
        return shapes | {"dx": (n, *input_shape)} if training else shapes

    def forward(self, x, p, w, ctx):
        y, absent = w["y"], ctx.absent
        ctx.absent = None
        if self.mode == "mean":
            there = None if absent is None else ~absent[..., None]
            np.sum(x, axis=1, out=y, where=True if there is None else there)
            counts = self._counts(x, absent)
            ctx.cache[self] = absent, counts
            y /= counts
            return y
        # Which step each number comes from: of shape (n, 1, 1), or for "max" (n, 1, k).
        steps = self._steps(x, absent)
        ctx.cache[self] = absent, steps
        y[...] = np.take_along_axis(x, steps, axis=1)[:, 0]
        if absent is not None:
            y[absent.all(axis=1)] = 0
        return y

    @staticmethod
    def _counts(x, absent):
        if absent is None:
            return x.dtype.type(x.shape[1])
        return np.maximum(x.shape[1] - absent.sum(axis=1), 1).astype(x.dtype)[:, None]

    def _steps(self, x, absent):
        if self.mode == "max":
            values = x if absent is None else np.where(absent[..., None], -np.inf, x)
            return values.argmax(axis=1)[:, None]
        n, time = x.shape[:2]
        if absent is None:
            return np.full((n, 1, 1), time - 1 if self.mode == "last" else 0)
        order = absent[:, ::-1] if self.mode == "last" else absent
        first = order.argmin(axis=1)
        return (time - 1 - first if self.mode == "last" else first)[:, None, None]

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if not need_dx:
            return None
        dx, (absent, found) = w["dx"], ctx.cache[self]
        if self.mode == "mean":
            dy /= found
            np.copyto(dx, dy[:, None])
        else:
            dx.fill(0)
            np.put_along_axis(dx, found, dy[:, None], axis=1)
        if absent is not None:
            dx[absent] = 0
        return dx
