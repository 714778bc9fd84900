"""The fully connected layer."""

from skbp._component import resolve
from skbp._engine import kernels
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers.base import Layer


class Dense(Layer):
    """A fully connected layer, ``y = f(x W + b)``.

    With the loss's gradient dy at hand, and ``dz = dy * f'(z)`` at ``z = x W + b``:
    ``dW = x' dz``, ``db`` = column sums of dz, ``dx = dz W'``.

    Parameters
    ----------
    units : int
        Number of outputs, at least 1.
    activation : str or Activation, default="relu"
        The activation f.
    initializer : str or Initializer, default="glorot_uniform"
        Draws W, shape (n_inputs, units), and b, shape (units,).

    Examples
    --------
    >>> import numpy as np
    >>> p = {"weight": np.ones((2, 1)), "bias": np.array([-1.0])}
    >>> Dense(1).forward(np.array([[1.0, 2.0], [0.0, 0.5]]), p, {"y": np.empty((2, 1))})
    array([[2.],
           [0.]])
    """

    penalized = ("weight",)

    def __init__(self, units, activation="relu", initializer="glorot_uniform"):
        self.units = units
        self.activation = activation
        self.initializer = initializer

    def output_shape(self, input_shape):
        return (self.units,)

    def param_shapes(self, input_shape):
        (n_inputs,) = input_shape
        return {"weight": (n_inputs, self.units), "bias": (self.units,)}

    def work_shapes(self, input_shape, n, training=True):
        shapes = {"y": (n, self.units)}
        if training:
            shapes["dx"] = (n, *input_shape)
        if resolve(self.activation, ACTIVATIONS, "activation").needs_input:
            shapes["z"] = (n, self.units)
        return shapes

    def init(self, p, input_shape, rng):
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        (n_inputs,) = input_shape
        for name, draw in (("weight", initializer.weight), ("bias", initializer.bias)):
            p[name][...] = draw(p[name].shape, n_inputs, self.units, rng)

    def forward(self, x, p, w, rng=None):
        y = w["y"]
        z = w.get("z", y)
        kernels.matmul(x, p["weight"], z)
        resolve(self.activation, ACTIVATIONS, "activation").forward(z, p["bias"], y)
        return y

    def backward(self, dy, x, p, g, w, need_dx=True):
        y = w["y"]
        activation = resolve(self.activation, ACTIVATIONS, "activation")
        activation.backward(dy, y, w.get("z", y), g["bias"])
        kernels.matmul_transposed(x, dy, g["weight"])
        if not need_dx:
            return None
        kernels.matmul_by_transposed(dy, p["weight"], w["dx"])
        return w["dx"]
