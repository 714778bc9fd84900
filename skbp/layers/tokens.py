"""Rows of a table as sequences: each column becomes a token, for layers of attention."""

from typing import Any

import numpy as np

from skbp._component import Whole
from skbp.initializers import GlorotUniform
from skbp.layers.base import Layer
from skbp.layers.compose import refuse_sparse
from skbp.layers.embedding import Embedding


class _Cardinalities:
    """A list of how many codes each column of codes has; an empty one is for none."""

    def __contains__(self, value):
        return isinstance(value, list | tuple) and all(size in Whole(1) for size in value)

    def __str__(self):
        return f"a list, each item {Whole(1)}"


class FeatureTokenizer(Layer):
    """Makes a token, `dim` values, of each number and each code of a row, and puts one before them.

    Of a number ``t_j = x_j w_j + b_j``, of a code ``t_j = W_j[x_j] + b_j``, with parameters of its
    own for each column j. The first token is the same for all rows: layers of attention gather in
    it what a prediction needs, and ``SequencePool("first")`` takes it out. It is often called
    [CLS]. Takes flat rows, (n_columns,), to (1 + n_columns, dim).

    Parameters
    ----------
    dim : int
        Length of a token, at least 1.
    cardinalities : list of int, default=()
        For each column of codes their number: codes are 0 to that minus 1. These columns are the
        last ones of a row, in this order, all before them are numbers.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Embedding : Codes alone; see there how they are given and checked.
    PeriodicEmbedding : Numbers as features, not as tokens.

    Notes
    -----
    Parameters are "cls", shape (dim,), "weight", shape (n_numbers, dim), "bias", shape
    (n_columns, dim), and "categories.weight", shape (sum of cardinalities, dim), the tables W_j one
    after the other. All are drawn from U(-a, a) with a = 1 / sqrt(dim). As a function of codes the
    output has no slope; dx there is the derivative by a factor of the code's row of W_j.

    References
    ----------
    Y. Gorishniy, I. Rubachev, V. Khrulkov, A. Babenko (2021), "Revisiting deep learning models for
    tabular data", section 3.3.

    Examples
    --------
    >>> from skbp.layers import FeatureTokenizer
    >>> layer = FeatureTokenizer(8, cardinalities=[3])
    >>> layer.output_shape((2,))  # tokens of the row, of a number and of a code
    (3, 8)
    >>> layer.param_shapes((2,))
    {'cls': (8,), 'weight': (1, 8), 'bias': (2, 8), 'categories.weight': (3, 8)}
    """

    allowed = {"dim": Whole(1), "cardinalities": _Cardinalities()}
    _lookup: Any = None

    def __init__(self, dim, cardinalities=(), name=None):
        self.dim = dim
        self.cardinalities = cardinalities
        self.name = name

    @property
    def takes_codes(self):
        """Whether there are columns of codes."""
        return len(self.cardinalities) > 0

    @property
    def tables(self):
        """Names of the parameters whose rows are looked up."""
        return ("categories.weight",) if self.takes_codes else ()

    @property
    def penalized(self):
        """Names of the parameters that weight penalties (alpha) apply to."""
        return ("weight", *self.tables)

    def _n_numbers(self, input_shape):
        n = input_shape[0] - len(self.cardinalities) if len(input_shape) == 1 else -1
        if n < 0:
            raise ValueError(
                f"FeatureTokenizer got rows of shape {tuple(input_shape)}, and needs flat ones, "
                f"(n_columns,), of which the last {len(self.cardinalities)} are codes "
                f"(cardinalities={self.cardinalities})."
            )
        return n

    def _categories(self):
        """Return the layer that looks up codes: a row of W is drawn from U(-a, a), as all is."""
        initializer = GlorotUniform((1 + self.dim) / self.dim)
        return Embedding(list(self.cardinalities), self.dim, initializer=initializer)

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        layer._numbers = self._n_numbers(input_shape)
        if self.takes_codes:
            layer._lookup = self._categories().bind((len(self.cardinalities),))
        return layer

    def output_shape(self, input_shape):
        self._n_numbers(input_shape)
        return 1 + input_shape[0], self.dim

    def code_inputs(self, input_shape):
        codes = np.zeros(input_shape, bool)
        codes[self._n_numbers(input_shape) :] = True
        return codes

    def param_shapes(self, input_shape):
        numbers, dim = self._n_numbers(input_shape), self.dim
        shapes: dict[str, tuple[int, ...]] = {"cls": (dim,)}
        if numbers:
            shapes["weight"] = (numbers, dim)
        shapes["bias"] = (*input_shape, dim)
        if self.takes_codes:
            shapes["categories.weight"] = (sum(self.cardinalities), dim)
        return shapes

    def work_shapes(self, input_shape, n, training=True):
        shapes = {"y": (n, *self.output_shape(input_shape))}
        if training:
            shapes["dx"] = (n, *input_shape)
        if self.takes_codes:
            inner = self._categories().work_shapes((len(self.cardinalities),), n, training)
            shapes |= {f"categories.{name}": shape for name, shape in inner.items()}
        return shapes

    def init(self, p, input_shape, rng, x=None):
        bound = self.dim**-0.5
        for name in ("cls", "weight", "bias"):
            if name in p:
                p[name][...] = rng.uniform(-bound, bound, p[name].shape)
        if self.takes_codes:
            self._categories().init(p.part("categories"), (len(self.cardinalities),), rng)

    def forward(self, x, p, w, ctx):
        refuse_sparse(x, self)
        y, end = w["y"], self._numbers
        y[:, 0] = p["cls"]
        if end:
            np.multiply(x[:, :end, None], p["weight"], out=y[:, 1 : 1 + end])
        if self._lookup is not None:
            parts = p.part("categories"), w.part("categories")
            y[:, 1 + end :] = self._lookup.forward(x[:, end:], *parts, ctx)
        y[:, 1:] += p["bias"]
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        dy, dx, end = ctx.contiguous(self, "dy", dy), w["dx"], self._numbers
        np.sum(dy[:, 0], axis=0, out=g["cls"])
        np.sum(dy[:, 1:], axis=0, out=g["bias"])
        if end:
            of_numbers = dy[:, 1 : 1 + end]
            # dw_j is the sum over rows of x_j dt_j: for each number a row times a matrix.
            by_number = of_numbers.transpose(1, 0, 2)
            columns = np.ascontiguousarray(x[:, :end].T)
            np.matmul(columns[:, None], by_number, out=g["weight"][:, None])
            if need_dx:
                np.vecdot(of_numbers, p["weight"], out=dx[:, :end])
        if self._lookup is not None:
            of_codes = ctx.copied(self, "of_codes", dy[:, 1 + end :])
            parts = (arrays.part("categories") for arrays in (p, g, w))
            dcodes = self._lookup.backward(of_codes, x[:, end:], *parts, ctx, need_dx)
            if need_dx:
                dx[:, end:] = dcodes
        return dx if need_dx else None
