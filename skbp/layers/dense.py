"""The fully connected layer."""

from skbp import _kernels as kernels
from skbp._component import resolve
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers._steps import as_rows, gradient_rows_of, mark_absent, rows_of
from skbp.layers.base import Layer


class Dense(Layer):
    """A fully connected layer, ``y = f(x W + b)``.

    With the loss's gradient dy at hand, and ``dz = dy * f'(z)`` at ``z = x W + b``:
    ``dW = x' dz``, ``db`` = column sums of dz, ``dx = dz W'``.

    Of more than one axis, such as (time, features), it takes the last, with the same W at each
    step; a step whose features are all NaN is absent, and so it is in the output.

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
    matrices = {"weight": ("weight", 0, 1)}

    def __init__(self, units, activation="relu", initializer="glorot_uniform"):
        self.units = units
        self.activation = activation
        self.initializer = initializer

    def output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def param_shapes(self, input_shape):
        return {"weight": (input_shape[-1], self.units), "bias": (self.units,)}

    def work_shapes(self, input_shape, n, training=True):
        y = (n, *self.output_shape(input_shape))
        shapes = {"y": y}
        if training:
            shapes["dx"] = (n, *input_shape)
        if resolve(self.activation, ACTIVATIONS, "activation").needs_input:
            shapes["z"] = y
        return shapes

    def init(self, p, input_shape, rng):
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        for name, draw in (("weight", initializer.weight), ("bias", initializer.bias)):
            p[name][...] = draw(p[name].shape, input_shape[-1], self.units, rng)

    def forward(self, x, p, w, rng=None):
        y, steps = w["y"], len(x.shape) > 2
        z = w.get("z", y)
        if steps:
            x, y, z = rows_of(x, w), as_rows(y), as_rows(z)
        kernels.matmul(x, p["weight"], z)
        resolve(self.activation, ACTIVATIONS, "activation").forward(z, p["bias"], y)
        return mark_absent(w["y"], w) if steps else y

    def backward(self, dy, x, p, g, w, need_dx=True):
        y, dx = w["y"], w["dx"]
        z = w.get("z", y)
        dy = gradient_rows_of(dy, w, y, z)
        if y.ndim > 2:
            x, y, z, dx = w["rows"], as_rows(y), as_rows(z), as_rows(dx)
        resolve(self.activation, ACTIVATIONS, "activation").backward(dy, y, z, g["bias"])
        kernels.matmul_transposed(x, dy, g["weight"])
        if not need_dx:
            return None
        kernels.matmul_by_transposed(dy, p["weight"], dx)
        return w["dx"]
