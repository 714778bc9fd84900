"""Low-rank adaptation: of a layer's matrices only a change of low rank is trained."""

import numpy as np

from skbp._component import Maybe, Whole, resolve
from skbp.initializers import INITIALIZERS
from skbp.layers._pass import Arrays
from skbp.layers._products import LowRank, Unwanted
from skbp.layers.base import AN_INITIALIZER, Layer, products_of, stepping_of


class _Names:
    """A sequence of names."""

    def __contains__(self, value):
        return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)

    def __str__(self):
        return "a list of names"


class LoRA(Layer):
    """A layer of whose matrices only a change of low rank is trained.

    It computes what `layer` does with ``W + A B`` in place of W: W of shape (n_in, n_out) stays as
    it is, as do all other parameters of the layer; A of shape (n_in, rank) and B of shape (rank,
    n_out) are trained. B begins at zero, so that training starts from the layer as it is.

    With dW the gradient of ``W + A B``: ``dA = dW B'``, ``dB = A' dW``. Where rows x are multiplied
    with the matrix, and dz is the gradient of the products, these are ``x' (dz B')`` and ``(x A)'
    dz``: what stays as it is then costs no gradient.

    Parameters
    ----------
    layer : Layer
        One with `matrices`, such as Dense, MultiHeadAttention or TransformerEncoder, or a
        Sequential of those. It draws the parameters where nothing else does; they are meant to come
        from an estimator's `init_from`.
    rank : int, default=4
        Rank of each change, at least 1.
    initializer : str or Initializer, default="he_uniform"
        Draws A.
    targets : list of str or None, default=None
        Which of the layer's matrices: of attention "q", "k", "v" and "out", of others "weight". In
        a layer of layers a name means all matrices that bear it, or, with a prefix such as
        "0.1.q", one. None: "q" and "v", as the paper has it, where there is attention, else all.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    skbp.BackpropClassifier.merge_lora : Adds the changes to the matrices for good.

    Notes
    -----
    For `init_from` it has the place of the layer it wraps. The change is added to W once a batch.
    Dense layers and attention compute no gradient of what stays as it is, which saves up to a
    third of a step; of other layers the gradient of W is on the way to those of A and B.

    References
    ----------
    E. J. Hu, Y. Shen, P. Wallis, Z. Allen-Zhu, Y. Li, S. Wang, L. Wang, W. Chen (2022), "LoRA:
    low-rank adaptation of large language models", sections 4.1 and 4.2; here with a scale of one.

    Examples
    --------
    >>> from skbp.layers import Dense, LoRA, MultiHeadAttention
    >>> layer = LoRA(Dense(10), rank=2)
    >>> layer.param_shapes((20,))  # what is trained: 60 numbers of 270
    {'weight.a': (20, 2), 'weight.b': (2, 10)}
    >>> layer.state_shapes((20,))
    {'weight': (20, 10), 'bias': (10,)}
    >>> list(LoRA(MultiHeadAttention(2)).param_shapes((5, 8)))
    ['q.a', 'q.b', 'v.a', 'v.b']
    """

    allowed = {"rank": Whole(1), "initializer": AN_INITIALIZER, "targets": Maybe(_Names())}

    def __init__(self, layer, rank=4, initializer="he_uniform", targets=None, name=None):
        self.layer = layer
        self.rank = rank
        self.initializer = initializer
        self.targets = targets
        self.name = name

    def bind(self, input_shape):
        bound = super().bind(input_shape)
        bound.layer = self.layer.bind(input_shape)
        bound._places, bound._products = self._chosen(), products_of(self.layer)
        return bound

    def check(self):
        """Check the hyperparameters, those of the layer too; see `Component.check`."""
        super().check()
        if not isinstance(self.layer, Layer) or not self.layer.matrices:
            raise ValueError(
                "LoRA is for layers with matrices, such as Dense, MultiHeadAttention and "
                f"TransformerEncoder. Got {self.layer!r}."
            )
        self.layer.check()
        self._chosen()

    def _chosen(self):
        """Return those of the layer's matrices that are changed, by name."""
        matrices, names = self.layer.matrices, self.targets
        last = {name: name.rpartition(".")[2] for name in matrices}
        if names is None:
            names = [n for n in matrices if last[n] in ("q", "v")] or list(matrices)
        for name in names:
            if name not in (*matrices, *last.values()):
                raise ValueError(
                    f"LoRA: {name!r} in targets={self.targets!r} is none of the matrices of "
                    f"{self.layer!r}; they are {list(matrices)}."
                )
        return {n: where for n, where in matrices.items() if n in names or last[n] in names}

    # What training differs in, and what is taken in, is the layer's.

    @property
    def penalized(self):
        """Names of the parameters that weight penalties (alpha) apply to: all."""
        return tuple(f"{name}.{factor}" for name in self._chosen() for factor in "ab")

    @property
    def stochastic(self):
        """Whether the layer's training differs from its inference."""
        return self.layer.stochastic

    @property
    def absent(self):
        """What the layer does with absent steps."""
        return self.layer.absent

    @property
    def needs_batch(self):
        """Whether the layer wants to see rows for its first weights."""
        return self.layer.needs_batch

    @property
    def takes_codes(self):
        """Whether the layer looks up whole numbers."""
        return self.layer.takes_codes

    @property
    def tables(self):
        """Names of the parameters whose rows are looked up."""
        return self.layer.tables

    @property
    def paddings(self):
        """The layer's padding codes."""
        return self.layer.paddings

    @property
    def couples_rows(self):
        """Whether a row's output in training depends on the other rows of the batch."""
        return self.layer.couples_rows

    @property
    def gathers(self):
        """Whether it gathers what it needs to know of the other rows."""
        return self.layer.gathers

    @property
    def by_whole_time(self):
        """Whether what the layer makes may differ with the absent steps behind a sequence."""
        return self.layer.by_whole_time

    @property
    def row_by_row(self):
        """Whether threads had better share the batch."""
        return self.layer.row_by_row

    @property
    def in_large_arrays(self):
        """Whether it works on large arrays."""
        return self.layer.in_large_arrays

    def code_inputs(self, input_shape):
        return self.layer.code_inputs(input_shape)

    def absent_inputs(self, input_shape):
        return self.layer.absent_inputs(input_shape)

    def output_shape(self, input_shape):
        return self.layer.output_shape(input_shape)

    def param_shapes(self, input_shape):
        shapes, of_layer = {}, self.layer.param_shapes(input_shape)
        for name, (parameter, _, n_parts) in self._chosen().items():
            *inputs, n_out = of_layer[parameter]
            shapes[f"{name}.a"] = (int(np.prod(inputs)), self.rank)
            shapes[f"{name}.b"] = (self.rank, n_out // n_parts)
        return shapes

    def state_shapes(self, input_shape):
        return self.layer.param_shapes(input_shape) | self.layer.state_shapes(input_shape)

    def work_shapes(self, input_shape, n, training=True):
        params = self.layer.param_shapes(input_shape)
        of_layer = self.layer.work_shapes(input_shape, n, training)
        shapes = {f"layer.{name}": shape for name, shape in of_layer.items()}
        for name in {parameter for parameter, *_ in self._chosen().values()}:
            shapes[f"changed.{name}"] = params[name]
        if training:
            formed = [name for name in params if name not in products_of(self.layer)]
            shapes |= {f"grads.{name}": params[name] for name in formed}
        return shapes

    def init(self, p, input_shape, rng, x=None):
        self.layer.init(self._of_layer(p), input_shape, rng, x)
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        for name in self._chosen():
            a, b = p[f"{name}.a"], p[f"{name}.b"]
            initializer.fill("weight", a, len(a), self.rank, rng)
            b[...] = 0

    def _of_layer(self, p):
        own = self.penalized
        return Arrays((name, array) for name, array in p.items() if name not in own)

    def _add_changes(self, p, out):
        """Set the matrices in `out` to the layer's with the changes added."""
        for parameter in out:
            np.copyto(out[parameter], p[parameter])
        for name, where in self._chosen().items():
            columns, weight = _columns(out, *where), _columns(p, *where)
            np.matmul(p[f"{name}.a"], p[f"{name}.b"], out=columns)
            columns += weight

    # The workspace: the layer's own, its matrices with the change added, and those of its gradients
    # that have to be formed.

    def forward(self, x, p, w, ctx):
        changed = w.part("changed")
        if self not in ctx.cache:
            ctx.cache[self] = Arrays(self._of_layer(p) | changed)
        self._add_changes(p, changed)
        return self.layer.forward(x, ctx.cache[self], w.part("layer"), ctx)

    def stepping(self, input_shape):
        return stepping_of(self.layer, input_shape)

    def step(self, x, p, past):
        _, arrays = past.once(self, lambda: self.merged(p))
        return self.layer.step(x, arrays, past)

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if (self, "grads") not in ctx.cache:
            ctx.cache[self, "grads"] = Arrays(w.part("grads") | self._handed_on(p, g))
        grads = ctx.cache[self, "grads"]
        dx = self.layer.backward(dy, x, ctx.cache[self], grads, w.part("layer"), ctx, need_dx)
        for name, where in self._places.items():
            if where[0] in self._products:
                continue
            dweight = _columns(grads, *where)
            np.matmul(dweight, p[f"{name}.b"].T, out=g[f"{name}.a"])
            np.matmul(p[f"{name}.a"].T, dweight, out=g[f"{name}.b"])
        return dx

    def _handed_on(self, p, g):
        """Return, in place of gradients of the layer's products, what makes those of A and B."""
        parts: dict[str, list] = {name: [] for name in self._products}
        for name, (parameter, part, n_parts) in self._places.items():
            if parameter in parts:
                width = p[parameter].shape[-1] // n_parts
                columns = slice(part * width, (part + 1) * width)
                arrays = (a[f"{name}.{factor}"] for a in (p, g) for factor in "ab")
                parts[parameter].append((columns, *arrays))
        return {name: LowRank(found) if found else Unwanted() for name, found in parts.items()}

    def merged(self, p):
        """Return the layer that computes the same, and its parameters and state by name."""
        arrays = self._of_layer(p)
        changed = {where[0]: arrays[where[0]].copy() for where in self._chosen().values()}
        self._add_changes(p, changed)
        return self.layer, Arrays(arrays | changed)


def _columns(arrays, parameter, part, n_parts):
    """View a part of a parameter as a matrix: all axes but the last are rows."""
    rows = arrays[parameter].reshape(-1, arrays[parameter].shape[-1])
    width = rows.shape[1] // n_parts
    return rows[:, part * width : (part + 1) * width]
