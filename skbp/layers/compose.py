"""Layers that contain layers: chains and shortcuts."""

from typing import Any

import numpy as np

from skbp.layers._chains import absent_of_chain, check_paddings, codes_of_chain, init_chain
from skbp.layers.base import KEEP, REFUSE, Layer, checked_shape, least_stepping, products_of, wanted


class _Composite(Layer):
    """Base class of layers that contain layers.

    A child's arrays bear its name, or its number, before their own: ``"0.weight"``. A subclass says
    who the children are (`_child`), what each gets (`_child_shapes`), and what it needs for itself
    (`_own_work_shapes`).
    """

    _holder = "layers"  # the parameter that holds the children
    _bound: Any = None  # the children, bound, and the shapes of their inputs
    _bound_shapes: dict | None = None

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        shapes = self._child_shapes(input_shape)
        layer._bound_shapes = shapes
        layer._bound = {n: child.bind(shapes[n]) for n, child in self._children().items()}
        return layer

    def _children(self):
        """Return the children by name, in order."""
        if self._bound is not None:
            return self._bound
        children = {}
        for i, item in enumerate(self._items()):
            child = self._child(item)
            name = child.name or str(i)
            if name in children:
                raise ValueError(f"{type(self).__name__} has two layers named {name!r}.")
            children[name] = child
        return children

    def _child(self, item):
        """Return the layer that an item of the list stands for."""
        return as_layer(item, self)

    def _items(self):
        items = getattr(self, self._holder)
        if not isinstance(items, list | tuple):
            raise ValueError(
                f"The {self._holder!r} parameter of {type(self).__name__} must be a list. Got "
                f"{items!r} instead."
            )
        return items

    def _replaced(self, item, layer):
        """Return what stands in the list for a layer that takes the place of `item`'s."""
        return layer

    def _child_shapes(self, input_shape):
        """Return for each child, by name, the shape of a row of its input."""
        return dict.fromkeys(self._children(), input_shape)

    def _own_work_shapes(self, input_shape, n, training):
        return {}

    def _named(self, input_shape, method, *args):
        """Call a method of each child that returns a dict; put the child's name before each key."""
        shapes = self._child_shapes(input_shape)
        return {
            f"{name}.{key}": value
            for name, child in self._children().items()
            for key, value in getattr(child, method)(shapes[name], *args).items()
        }

    @property
    def penalized(self):
        """Names of the parameters that weight penalties (alpha) apply to."""
        return tuple(f"{n}.{key}" for n, c in self._children().items() for key in c.penalized)

    @property
    def tables(self):
        """Names of the parameters whose rows are looked up."""
        return tuple(f"{n}.{key}" for n, c in self._children().items() for key in c.tables)

    @property
    def matrices(self):
        """The children's matrices; see `Layer.matrices`."""
        return {
            f"{name}.{key}": (f"{name}.{parameter}", *part)
            for name, child in self._children().items()
            for key, (parameter, *part) in child.matrices.items()
        }

    @property
    def products(self):
        """The children's; see `Layer.products`."""
        return tuple(f"{n}.{key}" for n, c in self._children().items() for key in products_of(c))

    @property
    def stochastic(self):
        """Whether a child's training differs from its inference."""
        return any(child.stochastic for child in self._children().values())

    @property
    def ties(self):
        """The children's tied parameters; see `Layer.ties`."""
        return {f"{n}.{k}": to for n, c in self._children().items() for k, to in c.ties.items()}

    @property
    def norm_limits(self):
        """The children's limits of norms; see `Layer.norm_limits`."""
        children = self._children().items()
        return {f"{n}.{k}": limit for n, c in children for k, limit in c.norm_limits.items()}

    @property
    def takes_codes(self):
        """Whether a child looks up whole numbers, along which there is no gradient."""
        return any(child.takes_codes for child in self._children().values())

    @property
    def paddings(self):
        """The children's padding codes."""
        return set().union(*(child.paddings for child in self._children().values()))

    @property
    def couples_rows(self):
        """Whether a child's output for a row depends on the other rows of the batch."""
        return any(child.couples_rows for child in self._children().values())

    @property
    def gathers(self):
        """Whether all children that couple rows gather what they need of the others."""
        coupling = [child for child in self._children().values() if child.couples_rows]
        return bool(coupling) and all(child.gathers for child in coupling)

    @property
    def by_whole_time(self):
        """Whether what a child makes may differ with the absent steps behind a sequence."""
        return any(child.by_whole_time for child in self._children().values())

    @property
    def row_by_row(self):
        """Whether threads had better share the batch, for a child's sake."""
        return any(child.row_by_row for child in self._children().values())

    @property
    def in_large_arrays(self):
        """Whether all children for whose sake threads share the batch work on large arrays."""
        sharing = [child for child in self._children().values() if child.row_by_row]
        return bool(sharing) and all(child.in_large_arrays for child in sharing)

    def check(self):
        """Check the hyperparameters, those of the children too; see `Component.check`."""
        super().check()
        for child in self._children().values():
            child.check()

    def get_params(self, deep=True):
        """Return the parameters; with `deep` the children too, and theirs as ``0__units``."""
        params = super().get_params(deep)
        for name, child in self._children().items() if deep else ():
            params[name] = child
            params |= {f"{name}__{key}": value for key, value in child.get_params().items()}
        return params

    def set_params(self, **params):
        """Set parameters; ``0`` replaces a child, ``0__units`` sets a parameter of one."""
        if self._holder in params:
            super().set_params(**{self._holder: params.pop(self._holder)})
        numbers = {name: number for number, name in enumerate(self._children())}
        replaced = [name for name in params if name in numbers]
        if replaced:
            items = list(self._items())
            for name in replaced:
                items[numbers[name]] = self._replaced(items[numbers[name]], params.pop(name))
            setattr(self, self._holder, items)
        return super().set_params(**params)

    def param_shapes(self, input_shape):
        return self._named(input_shape, "param_shapes")

    def state_shapes(self, input_shape):
        return self._named(input_shape, "state_shapes")

    def tied_shapes(self, input_shape):
        return self._named(input_shape, "tied_shapes")

    def work_shapes(self, input_shape, n, training=True):
        own = self._own_work_shapes(input_shape, n, training)
        return own | self._named(input_shape, "work_shapes", n, training)

    @property
    def needs_batch(self):
        """Whether a child wants to see rows for its first weights."""
        return any(child.needs_batch for child in self._children().values())

    def merged(self, p):
        """Return the layer that computes the same without `LoRA`, and its arrays by name."""
        items = list(self._items())
        arrays: dict[str, np.ndarray] = {}
        for i, (name, child) in enumerate(self._children().items()):
            layer, part = child.merged(p.part(name))
            items[i] = self._replaced(items[i], layer)
            arrays |= {f"{layer.name or i}.{key}": array for key, array in part.items()}
        params = self.get_params(deep=False) | {self._holder: items}
        return type(self)(**params), arrays


def as_layer(item, owner):
    """Turn a list of layers into a chain; let a layer through.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if isinstance(item, list | tuple):
        return Sequential(item)
    if not isinstance(item, Layer):
        hint = f"; give an instance, {item.__name__}(...)" if isinstance(item, type) else ""
        raise ValueError(f"{owner!r} was given {item!r} where a layer belongs{hint}.")
    return item


class Sequential(_Composite):
    """A chain of layers, ``y = f_k(... f_2(f_1(x)))``, as one layer.

    Parameters
    ----------
    layers : list of Layer
        In forward order.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Notes
    -----
    Parameters of the layers are parameters of the chain under names that begin with the layer's
    number: ``set_params(**{"0__units": 5})``; ``{"0": layer}`` replaces one.

    Examples
    --------
    >>> from skbp.layers import Dense, Dropout
    >>> chain = Sequential([Dense(8), Dropout(0.1), Dense(4)])
    >>> chain.output_shape((3,)), list(chain.param_shapes((3,)))
    ((4,), ['0.weight', '0.bias', '2.weight', '2.bias'])
    >>> chain.set_params(**{"0__units": 5}).layers[0]
    Dense(units=5)
    """

    def __init__(self, layers, name=None):
        self.layers = layers
        self.name = name

    def check(self):
        """Check the hyperparameters, and that all layers take one code for padding."""
        super().check()
        check_paddings(self._children().values())

    def _items(self):
        return self.layers if isinstance(self.layers, list | tuple) else [self.layers]

    @property
    def absent(self):
        """What becomes of absent steps: the first child that does not keep them says so."""
        found = (c.absent for c in self._children().values() if c.absent != KEEP)
        return next(found, KEEP)

    def absent_inputs(self, input_shape):
        return absent_of_chain(self._children().values(), input_shape)

    def init(self, p, input_shape, rng, x=None):
        children, shapes = self._children(), self._child_shapes(input_shape)
        params = [p.part(name) for name in children]
        init_chain(children.values(), shapes.values(), params, rng, x if self.needs_batch else None)

    def _child_shapes(self, input_shape):
        shapes = {}
        for name, child in self._children().items():
            shapes[name] = input_shape
            input_shape = checked_shape(child.output_shape(input_shape), child)
        return shapes

    def output_shape(self, input_shape):
        for child in self._children().values():
            input_shape = checked_shape(child.output_shape(input_shape), child)
        return input_shape

    def code_inputs(self, input_shape):
        return codes_of_chain(self._children().values(), input_shape)

    def forward(self, x, p, w, ctx):
        inputs = []
        for name, child in self._bound.items():
            if ctx.absent is not None and child.absent == REFUSE:
                ctx.refuse(child)
            inputs.append(x)
            x = child.forward(x, p.part(name), w.part(name), ctx)
        ctx.cache[self] = inputs
        return x

    def stepping(self, input_shape):
        shapes = self._child_shapes(input_shape)
        return least_stepping(self._children().values(), shapes.values())

    def step(self, x, p, past):
        for name, child in self._bound.items():
            x = child.step(x, p.part(name), past)
        return x

    products = _Composite.products  # `backward` leaves them to the children

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        inputs = ctx.cache[self]
        for i, (name, child) in reversed(list(enumerate(self._bound.items()))):
            need = need_dx or i > 0
            dy = child.backward(dy, inputs[i], p.part(name), g.part(name), w.part(name), ctx, need)
            if need:
                wanted(dy, child, inputs[i])
        return dy


class Residual(Sequential):
    """A chain of layers with a shortcut around it, ``y = x + f(x)``.

    Parameters
    ----------
    layers : Layer or list of Layer
        What f does; its output has the shape of its input.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun (2016), "Deep residual learning for image recognition",
    section 3.2, equation 1; without the projection of equation 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import Dense, Residual
    >>> X, weights = [[1.0, 2.0]], {"residual_0.0.weight": np.eye(2), "residual_0.0.bias": [0, 0]}
    >>> net = BackpropRegressor(layers=[Residual(Dense(2))], init_from=weights, freeze="residual_0")
    >>> HiddenFeatures(FrozenEstimator(net.partial_fit(X, [1.0]))).fit(X).transform(X)
    array([[2., 4.]])
    """

    def output_shape(self, input_shape):
        shape = super().output_shape(input_shape)
        if tuple(shape) != tuple(input_shape):
            raise ValueError(
                f"Residual adds its input, of shape {tuple(input_shape)}, to the output of its "
                f"layers, of shape {tuple(shape)}: the two must be the same. End with a layer "
                "that gives that shape back."
            )
        return shape

    def _own_work_shapes(self, input_shape, n, training):
        shape = (n, *input_shape)
        return {"y": shape, "dx": shape} if training else {"y": shape}

    def forward(self, x, p, w, ctx):
        refuse_sparse(x, self)
        y = laid_out_like(w["y"], x)
        return np.add(x, super().forward(x, p, w, ctx), out=y)

    def stepping(self, input_shape):
        return super().stepping(input_shape)

    def step(self, x, p, past):
        return x + super().step(x, p, past)

    products = _Composite.products  # `backward` leaves them to the children

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if need_dx:  # `dy` is scratch to the chain
            dx = laid_out_like(w["dx"], dy)
            np.copyto(dx, dy)
        inner = super().backward(dy, x, p, g, w, ctx, need_dx)
        return np.add(dx, inner, out=dx) if need_dx else None


def laid_out_like(buffer, x):
    """View a C-contiguous buffer as an array of its shape, with the axes in the order of x's."""
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    inverse = sorted(range(x.ndim), key=order.__getitem__)
    return buffer.reshape([buffer.shape[axis] for axis in order]).transpose(inverse)


def refuse_sparse(x, layer):
    if not isinstance(x, np.ndarray):
        raise ValueError(
            f"{type(layer).__name__} was given a sparse matrix; it takes dense input: X.toarray()."
        )
