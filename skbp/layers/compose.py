"""Layers that contain layers: chains, shortcuts, branches."""

import numpy as np

from skbp._component import OneOf
from skbp.layers.base import Layer


class _Composite(Layer):
    """Base class of layers that contain layers.

    A child's arrays bear its name before their own: ``"0.weight"``. A subclass says who the
    children are (`_children`), what each gets (`_child_shapes`), and what it needs for itself
    (`_own_work_shapes`).
    """

    _holder = "layers"  # the parameter that holds the children

    def _children(self):
        """Return the children by name, in order."""
        return {str(i): _as_layer(item, self) for i, item in enumerate(self._items())}

    def _items(self):
        return getattr(self, self._holder)

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
    def penalized(self):  # type: ignore[override]
        """Names of the parameters that weight penalties (alpha) apply to."""
        return tuple(f"{n}.{key}" for n, c in self._children().items() for key in c.penalized)

    @property
    def tables(self):  # type: ignore[override]
        """Names of the parameters whose rows are looked up."""
        return tuple(f"{n}.{key}" for n, c in self._children().items() for key in c.tables)

    @property
    def matrices(self):  # type: ignore[override]
        """The children's matrices; see `Layer.matrices`."""
        return {
            f"{name}.{key}": (f"{name}.{parameter}", *part)
            for name, child in self._children().items()
            for key, (parameter, *part) in child.matrices.items()
        }

    @property
    def stochastic(self):  # type: ignore[override]
        """Whether a child's training differs from its inference."""
        return any(child.stochastic for child in self._children().values())

    @property
    def missing(self):  # type: ignore[override]
        """Whether a child takes steps of a sequence that are all NaN as absent."""
        return any(child.missing for child in self._children().values())

    @property
    def takes_codes(self):  # type: ignore[override]
        """Whether a child looks up whole numbers, along which there is no gradient."""
        return any(child.takes_codes for child in self._children().values())

    @property
    def couples_rows(self):  # type: ignore[override]
        """Whether a child's output for a row depends on the other rows of the batch."""
        return any(child.couples_rows for child in self._children().values())

    @property
    def row_by_row(self):  # type: ignore[override]
        """Whether threads had better share the batch, for a child's sake."""
        return any(child.row_by_row for child in self._children().values())

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
        replaced = [name for name in params if name in self._children()]
        if replaced:
            items = list(self._items())
            for name in replaced:
                items[int(name)] = self._replaced(items[int(name)], params.pop(name))
            setattr(self, self._holder, items)
        return super().set_params(**params)

    def param_shapes(self, input_shape):
        return self._named(input_shape, "param_shapes")

    def state_shapes(self, input_shape):
        return self._named(input_shape, "state_shapes")

    def work_shapes(self, input_shape, n, training=True):
        own = self._own_work_shapes(input_shape, n, training)
        return own | self._named(input_shape, "work_shapes", n, training)

    def init(self, p, input_shape, rng):
        children, shapes = self._children(), self._child_shapes(input_shape)
        parts = _parts(p, children)
        for name, child in children.items():
            child.init(parts[name], shapes[name], rng)


def codes_of_chain(layers, input_shape):
    """Return where the rows of a chain hold codes: ndarray of shape input_shape, bool.

    Layers without parameters may come before those that look them up, such as a Reshape.
    """
    shape = input_shape
    for layer in layers:
        codes = layer.code_inputs(shape)
        if codes.any():
            return codes.reshape(input_shape)
        if layer.param_shapes(shape) or np.prod(layer.output_shape(shape)) != np.prod(shape):
            break
        shape = layer.output_shape(shape)
    return np.zeros(input_shape, bool)


def _as_layer(item, owner):
    """Turn a list of layers into a chain; let a layer through.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if isinstance(item, list | tuple):
        return Sequential(item)
    if not isinstance(item, Layer):
        hint = f"; give an instance, {item.__name__}(...)" if isinstance(item, type) else ""
        raise TypeError(f"{type(owner).__name__} was given {item!r} where a layer belongs{hint}")
    return item


def _parts(arrays, children):
    """Return, for each child, the dict of its arrays under their own names."""
    parts: dict[str, dict] = {name: {} for name in children}
    for name, array in arrays.items():
        child, dot, rest = name.partition(".")
        if dot:
            parts[child][rest] = array
    return parts


def _work_parts(w, children):
    """Return the children's workspaces: always the same dicts, for what children keep in them."""
    if "parts" not in w:
        w["parts"] = _parts(w, children)
    return w["parts"]


def _laid_out_like(buffer, x):
    """View a C-contiguous buffer as an array of its shape, with the axes in the order of x's."""
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    inverse = sorted(range(x.ndim), key=order.__getitem__)
    return buffer.reshape([buffer.shape[axis] for axis in order]).transpose(inverse)


class Sequential(_Composite):
    """A chain of layers, ``y = f_k(... f_2(f_1(x)))``, as one layer.

    Parameters
    ----------
    layers : list of Layer
        In forward order.

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

    def __init__(self, layers):
        self.layers = layers

    def _items(self):
        return self.layers if isinstance(self.layers, list | tuple) else [self.layers]

    def _child_shapes(self, input_shape):
        shapes = {}
        for name, child in self._children().items():
            shapes[name] = input_shape
            input_shape = child.output_shape(input_shape)
        return shapes

    def output_shape(self, input_shape):
        for child in self._children().values():
            input_shape = child.output_shape(input_shape)
        return input_shape

    def code_inputs(self, input_shape):
        return codes_of_chain(self._children().values(), input_shape)

    def forward(self, x, p, w, rng=None):
        children = self._children()
        params, work, inputs = _parts(p, children), _work_parts(w, children), {}
        for name, child in children.items():
            inputs[name] = x
            x = child.forward(x, params[name], work[name], rng)
        w["inputs"] = inputs
        return x

    def backward(self, dy, x, p, g, w, need_dx=True):
        children = self._children()
        params, grads, work = _parts(p, children), _parts(g, children), _work_parts(w, children)
        for name in reversed(children):
            dy = children[name].backward(
                dy, w["inputs"][name], params[name], grads[name], work[name],
                need_dx or name != "0",
            )  # fmt: skip
        return dy


class Residual(Sequential):
    """A chain of layers with a shortcut around it, ``y = x + f(x)``.

    Parameters
    ----------
    layers : Layer or list of Layer
        What f does; its output has the shape of its input.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun (2016), "Deep residual learning for image recognition",
    section 3.2, equation 1; without the projection of equation 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp._engine.network import Network, Workspace
    >>> from skbp.layers import Dense
    >>> network = Network([Residual(Dense(2))], (2,), np.float64)
    >>> network.forward(np.array([[1.0, 2.0]]), Workspace(network, 1))  # its weights are zeros
    array([[1., 2.]])
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

    def forward(self, x, p, w, rng=None):
        _refuse_sparse(x, self)
        y = _laid_out_like(w["y"], x)
        return np.add(x, super().forward(x, p, w, rng), out=y)

    def backward(self, dy, x, p, g, w, need_dx=True):
        if need_dx:  # `dy` is scratch to the chain
            dx = _laid_out_like(w["dx"], dy)
            np.copyto(dx, dy)
        inner = super().backward(dy, x, p, g, w, need_dx)
        return np.add(dx, inner, out=dx) if need_dx else None


class _Branches(_Composite):
    """Base class of layers whose children stand side by side, and of how their outputs join."""

    _holder = "branches"
    allowed = {"join": OneOf(("concat", "sum"))}

    def _output_shapes(self, input_shape):
        shapes = self._child_shapes(input_shape)
        return [c.output_shape(shapes[name]) for name, c in self._children().items()]

    def output_shape(self, input_shape):
        shapes = [tuple(shape) for shape in self._output_shapes(input_shape)]
        cut = -1 if self.join == "concat" else None
        if not shapes or len({(len(shape), shape[:cut]) for shape in shapes}) > 1:
            raise ValueError(
                f"{type(self).__name__}(join={self.join!r}) needs outputs of its branches that "
                f"{'agree in all axes but the last' if cut else 'have the same shape'}; their "
                f"shapes are {', '.join(map(str, shapes)) or 'none at all'}."
            )
        return shapes[0] if cut is None else (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def _own_work_shapes(self, input_shape, n, training):
        shapes = {"y": (n, *self.output_shape(input_shape))}
        if training:
            shapes["dx"] = (n, *input_shape)
            for i, shape in enumerate(self._output_shapes(input_shape)):
                shapes[f"dy_{i}"] = (n, *shape)
        return shapes

    def code_inputs(self, input_shape):
        shapes, codes = self._child_shapes(input_shape), np.zeros(input_shape, bool)
        for name, child in self._children().items():
            self._add_to(codes[None], child.code_inputs(shapes[name])[None], name)
        return codes

    def _child_input(self, x, name, w):
        """Return what a child gets of x."""
        return x

    def _add_to(self, dx, part, name):
        """Add the gradient of a child's input to that of the whole input."""
        dx += part

    def forward(self, x, p, w, rng=None):
        children = self._children()
        params, work = _parts(p, children), _work_parts(w, children)
        w["inputs"] = {name: self._child_input(x, name, w) for name in children}
        outputs = [
            child.forward(w["inputs"][name], params[name], work[name], rng)
            for name, child in children.items()
        ]
        y = _laid_out_like(w["y"], outputs[0])
        if self.join == "concat":
            return np.concatenate(outputs, axis=-1, out=y)
        np.copyto(y, outputs[0])
        for output in outputs[1:]:
            y += output
        return y

    def backward(self, dy, x, p, g, w, need_dx=True):
        children = self._children()
        params, grads, work = _parts(p, children), _parts(g, children), _work_parts(w, children)
        if need_dx:
            w["dx"].fill(0)
        start = 0
        for name, child in children.items():
            part = w[f"dy_{name}"]  # a copy: what a child gets it may overwrite
            if self.join == "concat":
                stop = start + part.shape[-1]
                np.copyto(part, dy[..., start:stop])
                start = stop
            else:
                np.copyto(part, dy)
            dx = child.backward(
                part, w["inputs"][name], params[name], grads[name], work[name], need_dx
            )
            if need_dx:
                self._add_to(w["dx"], dx, name)
        return w["dx"] if need_dx else None


class Parallel(_Branches):
    """Branches that get the same input, and whose outputs are joined.

    Parameters
    ----------
    branches : list of (Layer or list of Layer)
        A list is a chain.
    join : {"concat", "sum"}, default="concat"
        Concatenate outputs on their last axis, or add them up.

    See Also
    --------
    Residual : A branch and its input, added up.

    Examples
    --------
    >>> from skbp.layers import Dense
    >>> layer = Parallel([Dense(3), [Dense(8), Dense(2)]])
    >>> layer.output_shape((5,)), list(layer.param_shapes((5,)))[::2]
    ((5,), ['0.weight', '1.0.weight', '1.1.weight'])
    """

    def __init__(self, branches, join="concat"):
        self.branches = branches
        self.join = join


class ColumnBranch(_Branches):
    """Hands columns of a table to different branches, and joins their outputs.

    Numbers here, codes there: each branch gets its columns as rows of shape (n_columns,), in the
    order given. A column may go to several branches, or to none.

    Parameters
    ----------
    branches : list of (columns, Layer or list of Layer)
        Columns are a slice or a list of int; a list of layers is a chain.
    join : {"concat", "sum"}, default="concat"
        Concatenate outputs on their last axis, or add them up.

    Examples
    --------
    >>> from skbp.layers import Dense, EmbeddingBag
    >>> layer = ColumnBranch([(slice(0, 5), Dense(8)), ([5, 6], EmbeddingBag([10, 3], 4))])
    >>> layer.output_shape((7,))
    (12,)
    """

    def __init__(self, branches, join="concat"):
        self.branches = branches
        self.join = join

    def _children(self):
        return {str(i): _as_layer(layer, self) for i, (_, layer) in enumerate(self.branches)}

    def _replaced(self, item, layer):
        return item[0], layer

    def _columns(self, name):
        """Return the columns of a child: a slice, or an array of int."""
        columns = self.branches[int(name)][0]
        return columns if isinstance(columns, slice) else np.asarray(columns)

    def _child_shapes(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(
                f"ColumnBranch got rows of shape {tuple(input_shape)}, and needs flat ones, "
                "(n_columns,): put it first, or Flatten() before it."
            )
        return {name: (self._n_columns(name, *input_shape),) for name in self._children()}

    def _n_columns(self, name, n_features):
        columns = self._columns(name)
        if isinstance(columns, slice):
            n = len(range(*columns.indices(n_features)))
            fits = n > 0 and (columns.stop or 0) <= n_features
        else:
            n = columns.size
            fits = columns.ndim == 1 and n > 0 and columns.dtype.kind in "iu"
            fits = fits and columns.min() >= 0 and columns.max() < n_features
            fits = fits and len(np.unique(columns)) == n
        if not fits:
            raise ValueError(
                f"ColumnBranch got columns {self.branches[int(name)][0]!r} for branch {name}, and "
                f"rows of {n_features} columns; give a slice or a list of different int from 0 to "
                f"{n_features - 1}."
            )
        return n

    def _own_work_shapes(self, input_shape, n, training):
        shapes = super()._own_work_shapes(input_shape, n, training)
        inputs = {f"x_{k}": (n, *shape) for k, shape in self._child_shapes(input_shape).items()}
        return shapes | inputs

    def _child_input(self, x, name, w):
        _refuse_sparse(x, self)
        columns, part = self._columns(name), w[f"x_{name}"]
        if isinstance(columns, slice):
            np.copyto(part, x[:, columns])
        else:
            x.take(columns, axis=1, out=part, mode="clip")  # in this mode straight into `part`
        return part

    def _add_to(self, dx, part, name):
        dx[:, self._columns(name)] += part


def _refuse_sparse(x, layer):
    if not isinstance(x, np.ndarray):
        raise ValueError(
            f"{type(layer).__name__} was given a sparse matrix; it takes dense input: X.toarray()."
        )
