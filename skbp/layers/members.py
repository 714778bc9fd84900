"""Layers of networks that are trained side by side: members, each with weights of its own."""

import numpy as np

from skbp._component import Flag, Whole, resolve
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers.base import AN_ACTIVATION, AN_INITIALIZER, Layer


def by_member(x):
    """Return a view of shape (members, n, ...) of an array of shape (n, members, ...)."""
    return x.swapaxes(0, 1)


class MemberDense(Layer):
    """Fully connected layers of several networks side by side, ``y_i = f(x_i W_i + b_i)``.

    Member i reads row i of the input's first axis. Where the input has but one axis, all members
    read the same values. The products of all members are one call of ``np.matmul``.

    Parameters
    ----------
    units : int
        Number of outputs of each member, at least 1.
    n_members : int
        Number of members, at least 1.
    activation : str or Activation, default="relu"
        The activation f.
    initializer : str or Initializer, default="glorot_uniform"
        Draws the weights of one member after the other.
    ntk : bool, default=False
        Whether a member computes ``f(x W / sqrt(n_inputs) + b)``: see `Dense`.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Dense : One network's.
    skbp.losses.Members : The loss of raw outputs of several members.

    References
    ----------
    B. Lakshminarayanan, A. Pritzel, C. Blundell (2017), "Simple and scalable predictive uncertainty
    estimation using deep ensembles".

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import MemberDense
    >>> X, layer = [[3.0, 2.0]], MemberDense(1, n_members=2, activation="identity")
    >>> weights = {"memberdense_0.weight": [[[1.0], [1.0]], [[1.0], [-1.0]]]}  # sum, difference
    >>> net = BackpropRegressor(layers=[layer], init_from=weights, freeze="memberdense_0")
    >>> net = FrozenEstimator(net.partial_fit(X, [1.0]))
    >>> HiddenFeatures(net, layer=0).fit(X).transform(X).round(1)
    array([[5., 1.]])
    """

    penalized = ("weight",)
    allowed = {
        "units": Whole(1), "n_members": Whole(1), "activation": AN_ACTIVATION,
        "initializer": AN_INITIALIZER, "ntk": Flag(),
    }  # fmt: skip

    def __init__(self, units, n_members, activation="relu", initializer="glorot_uniform",
                 ntk=False, name=None):  # fmt: skip
        self.units = units
        self.n_members = n_members
        self.activation = activation
        self.initializer = initializer
        self.ntk = ntk
        self.name = name

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._function = resolve(self.activation, ACTIVATIONS, "activation")
        layer._shared = len(input_shape) == 1
        layer._scale = float(input_shape[-1]) ** -0.5 if self.ntk else None
        return layer

    def output_shape(self, input_shape):
        if len(input_shape) > 2 or (len(input_shape) == 2 and input_shape[0] != self.n_members):
            raise ValueError(
                f"MemberDense takes rows of shape (n_inputs,), or ({self.n_members}, n_inputs) for "
                f"n_members={self.n_members}. Got {input_shape}."
            )
        return self.n_members, self.units

    def param_shapes(self, input_shape):
        weight = self.n_members, input_shape[-1], self.units
        return {"weight": weight, "bias": (self.n_members, self.units)}

    def work_shapes(self, input_shape, n, training=True):
        y = (n, *self.output_shape(input_shape))
        shapes = {"y": y}
        if training:
            shapes["dx"] = (n, self.n_members, input_shape[-1])
        if resolve(self.activation, ACTIVATIONS, "activation").needs_input:
            shapes["z"] = y
        return shapes

    @property
    def needs_batch(self):
        return resolve(self.initializer, INITIALIZERS, "initializer").needs_batch

    def init(self, p, input_shape, rng, x=None):
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        fan_in = input_shape[-1]
        scale = float(fan_in) ** -0.5 if self.ntk else 1.0
        for member, (weight, bias) in enumerate(zip(p["weight"], p["bias"], strict=True)):
            if initializer.needs_batch:
                rows = x if x.ndim == 2 else x[:, member]
                initializer.from_batch(rows, weight, bias, scale, rng)
                continue
            initializer.fill("weight", weight, fan_in, self.units, rng)
            initializer.fill("bias", bias, fan_in, self.units, rng)

    def forward(self, x, p, w, ctx):
        y = w["y"]
        z = w.get("z", y)
        np.matmul(x if self._shared else by_member(x), p["weight"], out=by_member(z))
        if self._scale is not None:
            z *= self._scale
        n = len(z)
        self._function.forward(z.reshape(n, -1), p["bias"].reshape(-1), y.reshape(n, -1))
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dy = ctx.contiguous(self, "dy", dy)
        y, dx, n = w["y"], w["dx"], len(dy)
        z = w.get("z", y)
        flat = dy.reshape(n, -1), y.reshape(n, -1), z.reshape(n, -1)
        self._function.backward(*flat, g["bias"].reshape(-1))
        if self._scale is not None:
            dy *= self._scale
        transposed = x.T if self._shared else x.transpose(1, 2, 0)
        np.matmul(transposed, by_member(dy), out=g["weight"])
        if not need_dx:
            return None
        np.matmul(by_member(dy), p["weight"].swapaxes(1, 2), out=by_member(dx))
        return dx.sum(axis=1) if self._shared else dx


class MemberColumns(Layer):
    """Hands each of several members columns of its own, out of flat rows.

    Parameters
    ----------
    columns : array-like of shape (n_members, n_columns), int
        For each member the numbers of the inputs that it reads, in its order; a number may occur
        for several members. Where rows have the shape (n_members, n_inputs), each member has inputs
        of its own.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Examples
    --------
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import MemberColumns, MemberDense
    >>> X = [[5.0, 6.0, 7.0]]
    >>> layers = [MemberColumns([[0, 1], [0, 2]]), MemberDense(3, n_members=2)]
    >>> net = BackpropRegressor(layers=layers, solver="lbfgs")
    >>> HiddenFeatures(net, layer=0).fit(X, [1.0]).transform(X)  # two columns each
    array([[5., 6., 5., 7.]])
    """

    def __init__(self, columns, name=None):
        self.columns = columns
        self.name = name

    @property
    def n_members(self):
        """Number of members."""
        return len(self.columns)

    def check(self):
        """Check the columns; see `Component.check`."""
        super().check()
        try:
            numbers = np.asarray(self.columns)
        except ValueError:  # ragged
            numbers = np.empty(0)
        whole = numbers.dtype.kind in "iu" and numbers.ndim == 2 and numbers.size > 0
        if not whole or numbers.min() < 0:
            raise ValueError(
                "The 'columns' parameter of MemberColumns must be whole numbers >= 0 of shape "
                f"(n_members, n_columns). Got {self.columns!r} instead."
            )

    def of_member(self, number):
        return _Columns(np.asarray(self.columns, np.intp)[number])

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._columns = np.asarray(self.columns, np.intp)
        return layer

    def output_shape(self, input_shape):
        self.check()
        columns = np.asarray(self.columns)
        if input_shape[:-1] not in ((), (len(columns),)) or columns.max() >= input_shape[-1]:
            raise ValueError(
                f"MemberColumns of {len(columns)} members reads column {columns.max()}, of rows of "
                f"shape (n_inputs,) or ({len(columns)}, n_inputs). Got {input_shape}."
            )
        return columns.shape

    def work_shapes(self, input_shape, n, training=True):
        return {"y": (n, *np.shape(self.columns))}

    def forward(self, x, p, w, ctx):
        if x.ndim == 2:
            return np.take(x, self._columns, axis=1, out=w["y"], mode="clip")
        for member, columns in enumerate(self._columns):
            np.take(x[:, member], columns, axis=1, out=w["y"][:, member], mode="clip")
        return w["y"]

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if not need_dx:
            return None
        dx = np.zeros((*x.shape[:0:-1], len(x)), dy.dtype)
        for member, columns in enumerate(self._columns):
            own = dx if x.ndim == 2 else dx[:, member]
            np.add.at(own, columns, dy[:, member].T)
        return dx.T


class _Columns(Layer):
    """Some columns of flat rows: what `MemberColumns` is for a member alone."""

    def __init__(self, columns):
        self.columns = columns

    def output_shape(self, input_shape):
        return (len(self.columns),)

    def work_shapes(self, input_shape, n, training=True):
        return {"y": (n, len(self.columns))}

    def forward(self, x, p, w, ctx):
        return np.take(x, self.columns, axis=1, out=w["y"], mode="clip")

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if not need_dx:
            return None
        dx = np.zeros((x.shape[1], len(x)), dy.dtype)
        np.add.at(dx, self.columns, dy.T)
        return dx.T
