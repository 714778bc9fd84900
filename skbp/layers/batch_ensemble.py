"""Layers of members that share their weights, and differ by factors of the values."""

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Maybe, OneOf, Whole, resolve
from skbp.activations import ACTIVATIONS
from skbp.initializers import INITIALIZERS
from skbp.layers._steps import as_rows
from skbp.layers.base import AN_ACTIVATION, AN_INITIALIZER, NO_STEPS, Layer
from skbp.layers.dense import Dense

#: What the first factors of the inputs may be.
FIRST = OneOf(("ones", "signs", "normal"))


class _Labels:
    """A whole number for each input."""

    def __contains__(self, value):
        is_list = isinstance(value, list | tuple | range | np.ndarray) and np.ndim(value) == 1
        return is_list and all(label in Whole(0) for label in value)

    def __str__(self):
        return f"a sequence with {Whole(0)} for each input"


class _OfMembers(Layer):
    """Base class: takes rows of shape (n_inputs,), which all members share, or of their own."""

    n_members: int

    def _inputs(self, input_shape):
        """Return the shape of a row, once each member has one."""
        shape = (self.n_members, input_shape[-1])
        if input_shape not in (shape[1:], shape):
            raise ValueError(
                f"{type(self).__name__} takes rows of shape (n_inputs,), or ({self.n_members}, "
                f"n_inputs) for n_members={self.n_members}. Got {input_shape}."
            )
        return shape


class _Factors(_OfMembers):
    """Base class: has factors of its inputs, in which members differ from the start."""

    first: str
    sections: object

    def _labels(self, n_inputs):
        """Return for each input the number of its section."""
        if self.sections is None:
            return np.arange(n_inputs)
        labels = np.unique(np.asarray(self.sections), return_inverse=True)[1]
        if labels.shape != (n_inputs,):
            raise ValueError(
                f"{type(self).__name__} got sections of shape {labels.shape} for {n_inputs} "
                "inputs: give one label for each."
            )
        return labels

    def _draw(self, factors, rng):
        """Fill the first factors, shape (n_members, n_inputs)."""
        if self.first == "ones":
            factors[...] = 1.0
            return
        labels = self._labels(factors.shape[1])
        shape = len(factors), labels.max(initial=-1) + 1
        drawn = rng.normal(size=shape) if self.first == "normal" else rng.choice([-1, 1], shape)
        factors[...] = drawn[:, labels]


def _multiply(x, factors, out):
    """Multiply rows, shared or each member's own, by factors of shape (members, inputs)."""
    return np.multiply(x if x.ndim == 3 else x[:, None], factors, out=out)


def _multiply_backward(dy, x, factors, dfactors, need_dx=True):
    """Turn the gradient of products into that of x, which is returned; fill that of the factors."""
    if x.ndim == 2:
        np.einsum("nkd,nd->kd", dy, x, out=dfactors)
        return np.einsum("nkd,kd->nd", dy, factors) if need_dx else None
    n = len(dy)
    flat = dy.reshape(n, -1), x.reshape(n, -1)
    kernels.scale_backward(*flat, factors.reshape(-1), dfactors.reshape(-1))
    return dy


class MemberScale(_Factors):
    """Hands each of several members the row, its values multiplied by factors of the member's own.

    ``y_i = r_i * x`` for member i; the factors r are learned. Before layers whose weights all
    members share (`SharedDense`), they are what makes members differ.

    Parameters
    ----------
    n_members : int
        Number of members, at least 1.
    first : {"signs", "normal", "ones"}, default="signs"
        First factors: 1 or -1 at random, from N(0, 1), or 1.
    sections : array-like of shape (n_inputs,), int, or None, default=None
        Labels: inputs of one label, such as those made of one column of a table, begin with the
        same factor. None: each has its own.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    Y. Gorishniy, A. Kotelnikov, A. Babenko (2024), "TabM: advancing tabular deep learning with
    parameter-efficient ensembling", section 3: the adapter of TabM-mini.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import MemberScale
    >>> X, factors = [[3.0, 4.0]], {"memberscale_0.factor": [[1.0, 1.0], [1.0, -1.0]]}
    >>> net = BackpropRegressor(layers=[MemberScale(2)], init_from=factors, freeze="memberscale_0")
    >>> net = FrozenEstimator(net.partial_fit(X, [1.0]))
    >>> HiddenFeatures(net, layer=0).fit(X).transform(X)  # two members
    array([[ 3.,  4.,  3., -4.]])
    """

    allowed = {"n_members": Whole(1), "first": FIRST, "sections": Maybe(_Labels())}

    def __init__(self, n_members, first="signs", sections=None, name=None):
        self.n_members = n_members
        self.first = first
        self.sections = sections
        self.name = name

    def output_shape(self, input_shape):
        self._labels(input_shape[-1])
        return self._inputs(input_shape)

    def param_shapes(self, input_shape):
        return {"factor": self._inputs(input_shape)}

    def work_shapes(self, input_shape, n, training=True):
        return {"y": (n, *self._inputs(input_shape))}

    def init(self, p, input_shape, rng, x=None):
        self._draw(p["factor"], rng)

    def forward(self, x, p, w, ctx):
        return _multiply(x, p["factor"], w["y"])

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dy, x = ctx.contiguous(self, "dy", dy), ctx.contiguous(self, "x", x)
        return _multiply_backward(dy, x, p["factor"], g["factor"], need_dx)


class BatchEnsemble(_Factors):
    """Dense layers of several networks side by side, which share W and differ by factors.

    Member i computes ``y_i = f(s_i * ((r_i * x_i) W) + b_i)``, with factors r_i of its inputs and
    s_i of its outputs. One product serves all members.

    Parameters
    ----------
    units : int
        Number of outputs of each member, at least 1.
    n_members : int
        Number of members, at least 1.
    activation : str or Activation, default="relu"
        The activation f.
    initializer : str or Initializer, default="glorot_uniform"
        Draws W, shape (n_inputs, units), and one row of biases, which all members begin with.
    first : {"ones", "signs", "normal"}, default="ones"
        First factors r: 1, or 1 and -1 at random, or from N(0, 1). The factors s begin as 1.
    sections : array-like of shape (n_inputs,), int, or None, default=None
        Labels: inputs of one label, such as those made of one column of a table, begin with the
        same factor. None: each has its own.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    MemberDense : Members with weights of their own.
    SharedDense : Members that share all.

    References
    ----------
    Y. Wen, D. Tran, J. Ba (2020), "BatchEnsemble: an alternative approach to efficient ensemble and
    lifelong learning", section 3.
    Y. Gorishniy, A. Kotelnikov, A. Babenko (2024), "TabM: advancing tabular deep learning with
    parameter-efficient ensembling", section 3: first factors and biases.

    Examples
    --------
    >>> from skbp.layers import BatchEnsemble
    >>> layer = BatchEnsemble(8, n_members=4)
    >>> layer.output_shape((20,))
    (4, 8)
    >>> layer.param_shapes((20,))  # one matrix, and factors for each member
    {'weight': (20, 8), 'bias': (4, 8), 'input_factor': (4, 20), 'output_factor': (4, 8)}
    """

    penalized = ("weight",)
    row_by_row = True
    allowed = {
        "units": Whole(1), "n_members": Whole(1), "activation": AN_ACTIVATION,
        "initializer": AN_INITIALIZER, "first": FIRST, "sections": Maybe(_Labels()),
    }  # fmt: skip

    def __init__(self, units, n_members, activation="relu", initializer="glorot_uniform",
                 first="ones", sections=None, name=None):  # fmt: skip
        self.units = units
        self.n_members = n_members
        self.activation = activation
        self.initializer = initializer
        self.first = first
        self.sections = sections
        self.name = name

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._function = resolve(self.activation, ACTIVATIONS, "activation")
        return layer

    def output_shape(self, input_shape):
        self._labels(input_shape[-1])
        return self._inputs(input_shape)[0], self.units

    def param_shapes(self, input_shape):
        inputs, outputs = self._inputs(input_shape), (self.n_members, self.units)
        weight = (inputs[1], self.units)
        return {"weight": weight, "bias": outputs, "input_factor": inputs, "output_factor": outputs}

    def work_shapes(self, input_shape, n, training=True):
        inputs, y = (n, *self._inputs(input_shape)), (n, self.n_members, self.units)
        shapes = {"y": y, "scaled": inputs}
        if training:
            shapes |= {"product": y, "dx": inputs}
        if resolve(self.activation, ACTIVATIONS, "activation").needs_input:
            shapes["z"] = y
        return shapes

    @property
    def needs_batch(self):
        return resolve(self.initializer, INITIALIZERS, "initializer").needs_batch

    def init(self, p, input_shape, rng, x=None):
        self._draw(p["input_factor"], rng)
        p["output_factor"][...] = 1.0
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        bias = np.empty(self.units, p["bias"].dtype)
        if initializer.needs_batch:
            scaled = np.empty((len(x), *p["input_factor"].shape), p["weight"].dtype)
            _multiply(x, p["input_factor"], scaled)
            initializer.from_batch(as_rows(scaled), p["weight"], bias, 1.0, rng)
        else:
            fan_in = input_shape[-1]
            initializer.fill("weight", p["weight"], fan_in, self.units, rng)
            initializer.fill("bias", bias, fan_in, self.units, rng)
        p["bias"][...] = bias

    def forward(self, x, p, w, ctx):
        y, n = w["y"], len(x)
        z = w.get("z", y)
        product = w.get("product", z)
        _multiply(x, p["input_factor"], w["scaled"])
        kernels.matmul(as_rows(w["scaled"]), p["weight"], as_rows(product))
        np.multiply(product, p["output_factor"], out=z)
        self._function.forward(z.reshape(n, -1), p["bias"].reshape(-1), y.reshape(n, -1))
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dy, x = ctx.contiguous(self, "dy", dy), ctx.contiguous(self, "x", x)
        y, dx, n = w["y"], w["dx"], len(dy)
        flat = dy.reshape(n, -1), y.reshape(n, -1), w.get("z", y).reshape(n, -1)
        self._function.backward(*flat, g["bias"].reshape(-1))
        _multiply_backward(dy, w["product"], p["output_factor"], g["output_factor"])
        kernels.matmul_transposed(as_rows(w["scaled"]), as_rows(dy), g["weight"])
        kernels.matmul_by_transposed(as_rows(dy), p["weight"], as_rows(dx))
        return _multiply_backward(dx, x, p["input_factor"], g["input_factor"], need_dx)


class SharedDense(_OfMembers, Dense):
    """A dense layer of several networks side by side, which share W and b.

    Parameters
    ----------
    units : int
        Number of outputs of each member, at least 1.
    n_members : int
        Number of members, at least 1.
    activation : str or Activation, default="relu"
        The activation.
    initializer : str or Initializer, default="glorot_uniform"
        Draws W, shape (n_inputs, units), and b, shape (units,).
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    MemberScale : What makes members differ.
    MemberDense : Members with weights of their own.

    References
    ----------
    Y. Gorishniy, A. Kotelnikov, A. Babenko (2024), "TabM: advancing tabular deep learning with
    parameter-efficient ensembling", section 3: TabM-mini.

    Examples
    --------
    >>> from skbp.layers import SharedDense
    >>> SharedDense(8, n_members=4).output_shape((4, 3))
    (4, 8)
    """

    row_by_row = True
    ntk, max_norm = False, None
    allowed = {
        "units": Whole(1), "n_members": Whole(1), "activation": AN_ACTIVATION,
        "initializer": AN_INITIALIZER,
    }  # fmt: skip

    def __init__(self, units, n_members, activation="relu", initializer="glorot_uniform",
                 name=None):  # fmt: skip
        self.units = units
        self.n_members = n_members
        self.activation = activation
        self.initializer = initializer
        self.name = name

    def output_shape(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(
                f"SharedDense takes rows of shape ({self.n_members}, n_inputs): members that share "
                f"all need rows of their own, such as MemberScale makes. Got {input_shape}."
            )
        return self._inputs(input_shape)[0], self.units

    def stepping(self, input_shape):
        return NO_STEPS  # the axis before the last is that of members
