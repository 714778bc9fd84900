"""Gated linear units: one half of a layer's outputs says how much of the other half passes."""

import numpy as np

from skbp._component import resolve
from skbp.activations import ACTIVATIONS
from skbp.layers._steps import as_rows
from skbp.layers.base import AN_ACTIVATION, ENDLESS, KEEP, NO_STEPS, Layer


class GLU(Layer):
    """Multiplies the first half of a row by an activation of the second, ``y = a * f(b)``.

    ``x = [a, b]`` along the last axis, which y has half of. A `Dense` layer without activation
    before it makes both halves.

    The gradients are ``da = dy * f(b)`` and ``db = dy * a * f'(b)``.

    Parameters
    ----------
    activation : str or Activation, default="logistic"
        The activation f. "relu" makes it ReGLU, "gelu" GEGLU, "silu" SwiGLU.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    Y. N. Dauphin, A. Fan, M. Auli, D. Grangier (2017), "Language modeling with gated convolutional
    networks", section 2: the logistic gate, which is the second half there too.
    N. Shazeer (2020), "GLU variants improve transformer", section 2: other activations.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import GLU, Dense
    >>> X = np.random.default_rng(0).uniform(-2, 2, size=(100, 2))
    >>> layers = [Dense(8, "identity"), GLU("identity")]
    >>> net = BackpropRegressor(layers=layers, solver="lbfgs", alpha=0, random_state=0)
    >>> net.fit(X, X[:, 0] * X[:, 1]).predict([[1.5, 2.0], [5.0, 5.0]]).round(1)  # gates multiply
    array([ 3., 25.])
    """

    absent = KEEP
    allowed = {"activation": AN_ACTIVATION}

    def __init__(self, activation="logistic", name=None):
        self.activation = activation
        self.name = name

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._function = self._activation()
        layer._half = self.output_shape(input_shape)[-1]
        return layer

    def _activation(self):
        return resolve(self.activation, ACTIVATIONS, "activation")

    def output_shape(self, input_shape):
        if input_shape[-1] % 2:
            raise ValueError(
                f"GLU got rows of shape {tuple(input_shape)}, and needs an even number on the last "
                "axis: half of it are gates."
            )
        return *input_shape[:-1], input_shape[-1] // 2

    def work_shapes(self, input_shape, n, training=True):
        half = (n, *self.output_shape(input_shape))
        shapes = {"y": half, "f": half}
        if self._activation().needs_input:
            shapes["z"] = half
        return shapes | ({"dx": (n, *input_shape)} if training else {})

    def stepping(self, input_shape):
        return ENDLESS if len(input_shape) == 2 else NO_STEPS

    def forward(self, x, p, w, ctx):
        f = w["f"]
        z = w.get("z", f)
        np.copyto(z, x[..., self._half :])
        self._function.forward(as_rows(z), np.zeros(self._half, z.dtype), as_rows(f))
        return np.multiply(x[..., : self._half], f, out=w["y"])

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if not need_dx:
            return None
        f, dx = w["f"], w["dx"]
        z = w.get("z", f)
        np.multiply(dy, f, out=dx[..., : self._half])
        db = np.multiply(dy, x[..., : self._half], out=w["y"])  # y is needed no more
        rows = as_rows(db), as_rows(f), as_rows(z)
        self._function.backward(*rows, np.empty(self._half, db.dtype))
        dx[..., self._half :] = db
        return dx
