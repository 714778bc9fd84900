"""The fully connected layer."""

from skbp import _kernels as kernels
from skbp._component import Flag, Maybe, Range, Whole, resolve
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers._products import product_gradient
from skbp.layers._steps import as_rows, rows_of
from skbp.layers.base import AN_ACTIVATION, AN_INITIALIZER, ENDLESS, KEEP, NO_STEPS, Layer


class Dense(Layer):
    """A fully connected layer, ``y = f(x W + b)``.

    With the loss's gradient dy at hand, and ``dz = dy * f'(z)`` at ``z = x W + b``:
    ``dW = x' dz``, ``db`` = column sums of dz, ``dx = dz W'``.

    Of more than one axis, such as (time, features), it takes the last, with the same W at each
    step.

    Parameters
    ----------
    units : int
        Number of outputs, at least 1.
    activation : str or Activation, default="relu"
        The activation f.
    initializer : str or Initializer, default="glorot_uniform"
        Draws W, shape (n_inputs, units), and b, shape (units,).
    ntk : bool, default=False
        Whether the layer computes ``f(x W / sqrt(n_inputs) + b)``, the neural tangent
        parametrization: W is then drawn from N(0, 1), say, whatever the number of inputs.
    max_norm : float or None, default=None
        Limit, > 0, of the norm of each unit's incoming weights: after an update longer columns of W
        are scaled down to it.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    A. Jacot, F. Gabriel, C. Hongler (2018), "Neural tangent kernel: convergence and generalization
    in neural networks", section 2: `ntk`.
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov (2014), "Dropout: a
    simple way to prevent neural networks from overfitting", section 5.1: `max_norm`.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import Dense
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> net = BackpropRegressor(layers=[Dense(8)], solver="lbfgs", random_state=0)
    >>> net.fit(X, abs(X[:, 0])).predict([[-1.5, 0.0], [0.5, 0.0]]).round(1)
    array([1.5, 0.5])
    >>> net.weights_["dense_0.weight"].shape
    (2, 8)
    """

    penalized = products = ("weight",)
    matrices = {"weight": ("weight", 0, 1)}
    absent = KEEP
    allowed = {
        "units": Whole(1), "activation": AN_ACTIVATION, "initializer": AN_INITIALIZER,
        "ntk": Flag(), "max_norm": Maybe(Range(0, low_open=True)),
    }  # fmt: skip

    def __init__(self, units, activation="relu", initializer="glorot_uniform", ntk=False,
                 max_norm=None, name=None):  # fmt: skip
        self.units = units
        self.activation = activation
        self.initializer = initializer
        self.ntk = ntk
        self.max_norm = max_norm
        self.name = name

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._function = resolve(self.activation, ACTIVATIONS, "activation")
        layer._in_steps = len(input_shape) > 1
        layer._scale = float(input_shape[-1]) ** -0.5 if self.ntk else None
        return layer

    def output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def param_shapes(self, input_shape):
        return {"weight": (input_shape[-1], self.units), "bias": (self.units,)}

    def work_shapes(self, input_shape, n, training=True):
        y = (n, *self.output_shape(input_shape))
        shapes, function = {"y": y}, resolve(self.activation, ACTIVATIONS, "activation")
        if training:
            shapes["dx"] = (n, *input_shape)
        if function.needs_input and (training or not function.in_place):
            shapes["z"] = y
        return shapes

    @property
    def needs_batch(self):
        return resolve(self.initializer, INITIALIZERS, "initializer").needs_batch

    def init(self, p, input_shape, rng, x=None):
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        if initializer.needs_batch:
            scale = float(input_shape[-1]) ** -0.5 if self.ntk else 1.0
            initializer.from_batch(x.reshape(-1, x.shape[-1]), p["weight"], p["bias"], scale, rng)
            return
        for name in ("weight", "bias"):
            initializer.fill(name, p[name], input_shape[-1], self.units, rng)

    def stepping(self, input_shape):
        return ENDLESS if len(input_shape) == 2 else NO_STEPS

    def forward(self, x, p, w, ctx):
        out = w["y"]
        y = as_rows(out)
        z = as_rows(w["z"]) if "z" in w else y
        if self._in_steps:
            x = ctx.cache[self] = rows_of(x, self, ctx)
        kernels.matmul(x, p["weight"], z)
        if self._scale is not None:
            z *= self._scale
        self._function.forward(z, p["bias"], y)
        return out

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        y, dx = w["y"], w["dx"]
        z = w.get("z", y)
        dy = rows_of(dy, self, ctx, "dy")
        if self._in_steps:
            x, y, z, dx = ctx.cache[self], as_rows(y), as_rows(z), as_rows(dx)
        self._function.backward(dy, y, z, g["bias"])
        if self._scale is not None:
            dy *= self._scale
        product_gradient(x, dy, g, "weight")
        if not need_dx:
            return None
        kernels.matmul_by_transposed(dy, p["weight"], dx)
        return w["dx"]
