"""Layers whose children stand side by side."""

import numpy as np

from skbp._component import OneOf
from skbp.layers._chains import check_paddings
from skbp.layers.base import KEEP, LEAVE_OUT, REFUSE, wanted
from skbp.layers.compose import _Composite, as_layer, laid_out_like, refuse_sparse


class _Branches(_Composite):
    """Base class of layers whose children stand side by side, and of how their outputs join."""

    _holder = "branches"
    allowed = {"join": OneOf(("concat", "sum", "product"))}

    @property
    def absent(self):
        """What becomes of absent steps: no branch may refuse them, and one must leave them out."""
        found = {child.absent for child in self._children().values()}
        return next((one for one in (REFUSE, LEAVE_OUT) if one in found), KEEP)

    def init(self, p, input_shape, rng, x=None):
        shapes = self._child_shapes(input_shape)
        for name, child in self._children().items():
            part = None if x is None else self._rows_of_child(x, name)
            child.init(p.part(name), shapes[name], rng, part)

    def _rows_of_child(self, x, name):
        """Return what a child gets of x, as an array of its own or a view."""
        return x

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

    def forward(self, x, p, w, ctx):
        inputs, outputs = [], []
        absent, absent_after = ctx.absent, None
        for name, child in self._bound.items():
            ctx.absent = absent
            if absent is not None and child.absent == REFUSE:
                ctx.refuse(child)
            inputs.append(self._child_input(x, name, w))
            outputs.append(child.forward(inputs[-1], p.part(name), w.part(name), ctx))
            if ctx.absent is not None:  # a step that one branch lacks is not whole
                absent_after = ctx.absent if absent_after is None else absent_after | ctx.absent
        ctx.absent = absent_after
        ctx.cache[self] = inputs, outputs
        y = laid_out_like(w["y"], outputs[0])
        if self.join == "concat":
            return np.concatenate(outputs, axis=-1, out=y)
        np.copyto(y, outputs[0])
        join = np.add if self.join == "sum" else np.multiply
        for output in outputs[1:]:
            join(y, output, out=y)
        return y

    products = _Composite.products  # `backward` leaves them to the children

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        inputs, outputs = ctx.cache[self]
        # Copies, for a child may overwrite what it gets; all of them first, since it may overwrite
        # its output too.
        parts = [w[f"dy_{i}"] for i in range(len(outputs))]
        self._divide(dy, outputs, parts)
        if need_dx:
            w["dx"].fill(0)
        for i, (name, child) in enumerate(self._bound.items()):
            dx = child.backward(
                parts[i], inputs[i], p.part(name), g.part(name), w.part(name), ctx, need_dx
            )
            if need_dx:
                self._add_to(w["dx"], wanted(dx, child, inputs[i]), name)
        return w["dx"] if need_dx else None

    def _divide(self, dy, outputs, parts):
        """Write to each of `parts` the gradient of that branch's output."""
        start = 0
        for i, part in enumerate(parts):
            if self.join == "concat":
                stop = start + part.shape[-1]
                np.copyto(part, dy[..., start:stop])
                start = stop
                continue
            np.copyto(part, dy)
            if self.join == "product":
                for other in outputs[:i] + outputs[i + 1 :]:
                    part *= other


class Parallel(_Branches):
    """Branches that get the same input, and whose outputs are joined.

    Parameters
    ----------
    branches : list of (Layer or list of Layer)
        A list is a chain.
    join : {"concat", "sum", "product"}, default="concat"
        Concatenate outputs on their last axis, add them up, or multiply them value by value. A
        product of zeros does not learn: use first values that are not all zero.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Residual : A branch and its input, added up.
    ColumnBranch : Branches that get columns of their own.

    Notes
    -----
    With "product" a branch that ends in "logistic" is a gate for the others.

    Examples
    --------
    >>> from skbp.layers import Dense
    >>> layer = Parallel([Dense(3), [Dense(8), Dense(2)]])
    >>> layer.output_shape((5,)), list(layer.param_shapes((5,)))[::2]
    ((5,), ['0.weight', '1.0.weight', '1.1.weight'])
    """

    def __init__(self, branches, join="concat", name=None):
        self.branches = branches
        self.join = join
        self.name = name

    def check(self):
        """Check the hyperparameters, and that all branches take one code for padding."""
        super().check()
        check_paddings(self._children().values())

    def absent_inputs(self, input_shape):
        if len(input_shape) == 2:
            return super().absent_inputs(input_shape)
        found = [child.absent_inputs(input_shape) for child in self._children().values()]
        return np.where(np.any([steps < 0 for steps in found], axis=0), -1, found[0])


class ColumnBranch(_Branches):
    """Hands columns of a table to different branches, and joins their outputs.

    Numbers here, codes there: each branch gets its columns as rows of shape (n_columns,), in the
    order given. A column may go to several branches, or to none.

    Parameters
    ----------
    branches : list of (columns, Layer or list of Layer)
        Columns are a slice or a list of int; a list of layers is a chain.
    join : {"concat", "sum", "product"}, default="concat"
        Concatenate outputs on their last axis, add them up, or multiply them value by value. A
        product of zeros does not learn: use first values that are not all zero.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Parallel : Branches that all get the same.

    References
    ----------
    X. He, L. Liao, H. Zhang, L. Nie, X. Hu, T.-S. Chua (2017), "Neural collaborative filtering",
    section 3.2: embeddings of user and item, joined by "product".

    Examples
    --------
    >>> from skbp.layers import Dense, EmbeddingBag
    >>> layer = ColumnBranch([(slice(0, 5), Dense(8)), ([5, 6], EmbeddingBag([10, 3], 4))])
    >>> layer.output_shape((7,))
    (12,)
    """

    def __init__(self, branches, join="concat", name=None):
        self.branches = branches
        self.join = join
        self.name = name

    def _items(self):
        items = super()._items()
        for item in items:
            if not (isinstance(item, list | tuple) and len(item) == 2):
                raise ValueError(
                    f"The 'branches' parameter of ColumnBranch must be a list of pairs (columns, "
                    f"layer). Got {item!r} among them."
                )
        return items

    def _child(self, item):
        return as_layer(item[1], self)

    def _replaced(self, item, layer):
        return item[0], layer

    def _columns(self, name):
        """Return the columns of a child: a slice, or an array of int."""
        columns = self.branches[list(self._children()).index(name)][0]
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
                f"ColumnBranch got columns {self._columns(name)!r} for branch {name}, and "
                f"rows of {n_features} columns; give a slice or a list of different int from 0 to "
                f"{n_features - 1}."
            )
        return n

    def _own_work_shapes(self, input_shape, n, training):
        shapes = super()._own_work_shapes(input_shape, n, training)
        inputs = {f"x_{k}": (n, *shape) for k, shape in self._child_shapes(input_shape).items()}
        return shapes | inputs

    def absent_inputs(self, input_shape):
        steps, seen = np.full(input_shape, -1), np.zeros(input_shape, bool)
        for i, (name, shape) in enumerate(self._child_shapes(input_shape).items()):
            columns, found = self._columns(name), self._children()[name].absent_inputs(shape)
            found = np.where(found < 0, -1, found + i * input_shape[0])  # numbers of its own
            refused = seen[columns] & (steps[columns] < 0)
            steps[columns] = np.where(refused, -1, found)
            seen[columns] = True
        return steps

    def _rows_of_child(self, x, name):
        return np.ascontiguousarray(x[:, self._columns(name)])

    def _child_input(self, x, name, w):
        refuse_sparse(x, self)
        columns, part = self._columns(name), w[f"x_{name}"]
        if isinstance(columns, slice):
            np.copyto(part, x[:, columns])
        else:
            x.take(columns, axis=1, out=part, mode="clip")  # in this mode straight into `part`
        return part

    def _add_to(self, dx, part, name):
        dx[:, self._columns(name)] += part
