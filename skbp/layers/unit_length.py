"""Rows of length one."""

import numpy as np

from skbp.layers.base import KEEP, Layer


class UnitLength(Layer):
    """Divides each row by its Euclidean norm, ``y = x / ||x||``; zeros stay zeros.

    The norm is over the last axis: for sequences, shape (n, time, k), over that of each step.
    Products of such rows are cosines.

    With ``y`` as above ``dx = (dy - y sum(y dy)) / ||x||``; zero for a row of zeros, which has no
    direction to turn.

    Parameters
    ----------
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    LayerNorm : Standardises the values of a row.

    Notes
    -----
    Rows are divided by their largest absolute value first, so that squares neither overflow nor
    underflow.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import UnitLength
    >>> X = [[3.0, 4.0], [0.0, 0.0]]
    >>> net = BackpropRegressor(layers=[UnitLength()]).partial_fit(X, [0.0, 1.0])
    >>> HiddenFeatures(FrozenEstimator(net)).fit(X).transform(X)
    array([[0.6, 0.8],
           [0. , 0. ]])
    """

    absent = KEEP

    def __init__(self, name=None):
        self.name = name

    def work_shapes(self, input_shape, n, training=True):
        shapes = {"y": (n, *input_shape)}
        if training:
            shapes |= {"norm": (n, *input_shape[:-1], 1), "dx": (n, *input_shape)}
        return shapes

    def forward(self, x, p, w, ctx):
        largest = np.abs(x).max(axis=-1, keepdims=True)
        largest[largest == 0] = 1
        y = np.divide(x, largest, out=w["y"])
        norm = np.sqrt(np.vecdot(y, y)[..., None])
        norm[norm == 0] = 1
        y /= norm
        if "norm" in w:
            np.multiply(norm, largest, out=w["norm"])
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if not need_dx:
            return None
        y = w["y"]
        dx = np.multiply(y, np.vecdot(y, dy)[..., None], out=w["dx"])
        np.subtract(dy, dx, out=dx)
        dx /= w["norm"]
        dx[~y.any(axis=-1)] = 0
        return dx
