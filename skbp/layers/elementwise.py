"""Layers that work value by value, with parameters for each value of a row."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import resolve
from skbp.activations import ACTIVATIONS, SELU, Mish
from skbp.layers.base import AN_ACTIVATION, Layer


class Scale(Layer):
    """Multiplies each value of a row by a factor that is learned, ``y = s x``, at first 1.

    With a high learning rate it learns, before the first dense layer, which features matter.

    Parameters
    ----------
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", section 3: "scaling layer".

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import Scale
    >>> X, scale = [[3.0, 4.0]], {"scale_0.scale": [2.0, 0.5]}
    >>> net = BackpropRegressor(layers=[Scale()], init_from=scale, freeze="scale_0")
    >>> HiddenFeatures(FrozenEstimator(net.partial_fit(X, [1.0]))).fit(X).transform(X)
    array([[6., 2.]])
    """

    def __init__(self, name=None):
        self.name = name

    def param_shapes(self, input_shape):
        return {"scale": input_shape}

    def work_shapes(self, input_shape, n, training=True):
        return {"y": (n, *input_shape)}

    def init(self, p, input_shape, rng, x=None):
        p["scale"][...] = 1.0

    def forward(self, x, p, w, ctx):
        return np.multiply(x, p["scale"], out=w["y"])

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        # y is needed no more: its buffer holds the products.
        products = np.multiply(dy, x, out=w["y"])
        kernels.column_sums(products.reshape(len(dy), -1), g["scale"].reshape(-1))
        if not need_dx:
            return None
        dy *= p["scale"]
        return dy


class LearnedActivation(Layer):
    """An activation of which each unit learns how much it wants, ``y = x + a (f(x) - x)``.

    At first ``a = 1``: the activation f itself; ``a = 0`` would be no activation.

    Parameters
    ----------
    activation : str or Activation, default="selu"
        The activation f.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", section 3: "parametric activation functions".

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import LearnedActivation
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> y = np.maximum(X, [0, 0.5] * X).sum(axis=1)  # a relu, and one that leaks half
    >>> layers = [LearnedActivation("relu")]
    >>> net = BackpropRegressor(layers=layers, solver="lbfgs", alpha=0, random_state=0).fit(X, y)
    >>> net.weights_["learnedactivation_0.share"].round(1)
    array([1. , 0.5])
    """

    allowed = {"activation": AN_ACTIVATION}

    def __init__(self, activation="selu", name=None):
        self.activation = activation
        self.name = name

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._function = self._activation()
        layer._kernel = self._own_kernel()
        return layer

    def _activation(self):
        return resolve(self.activation, ACTIVATIONS, "activation")

    def _own_kernel(self):
        """Return functions for both passes that do all in one go, where there are such; or None."""
        activation = type(self._activation())
        if activation is SELU:
            return kernels.learned_selu, kernels.learned_selu_backward
        if activation is Mish:
            return kernels.learned_mish, kernels.learned_mish_backward
        return None

    def param_shapes(self, input_shape):
        return {"share": input_shape}

    def work_shapes(self, input_shape, n, training=True):
        shape = (n, *input_shape)
        if self._own_kernel() is not None:
            return {"y": shape}
        needs_input = self._activation().needs_input
        return {"y": shape, "f": shape} | ({"z": shape} if needs_input else {})

    def init(self, p, input_shape, rng, x=None):
        p["share"][...] = 1.0

    def forward(self, x, p, w, ctx):
        y, n = w["y"], len(x)
        if self._kernel is not None:
            x = ctx.cache[self] = ctx.contiguous(self, "x", x)
            self._kernel[0](x.reshape(n, -1), p["share"].reshape(-1), y.reshape(n, -1))
            return y
        f = w["f"]
        z = w.get("z", f)
        np.copyto(z, x)
        bias = np.zeros(p["share"].size, z.dtype)
        self._function.forward(z.reshape(n, -1), bias, f.reshape(n, -1))
        np.subtract(f, x, out=y)
        y *= p["share"]
        y += x
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        n = len(dy)
        if self._kernel is not None:
            x, dy = ctx.cache[self], ctx.contiguous(self, "dy", dy)
            flat = dy.reshape(n, -1), x.reshape(n, -1)
            self._kernel[1](*flat, p["share"].reshape(-1), g["share"].reshape(-1))
            return dy
        f, scratch = w["f"], w["y"]
        products = np.subtract(f, x, out=scratch)
        products *= dy
        kernels.column_sums(products.reshape(n, -1), g["share"].reshape(-1))
        if not need_dx:
            return None
        # dx = dy (1 - a) + a dy f'(x)
        through = np.multiply(dy, p["share"], out=scratch)
        dy -= through
        through_flat, *others = (array.reshape(n, -1) for array in (through, f, w.get("z", f)))
        self._function.backward(through_flat, *others, np.empty(p["share"].size, dy.dtype))
        dy += through
        return dy
