"""Embeddings: rows of numbers for integer codes."""

from typing import NamedTuple

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Maybe, OneOf, Whole, resolve
from skbp.initializers import INITIALIZERS
from skbp.layers.base import AN_INITIALIZER, ENDLESS, NO_STEPS, Layer


class _Codes(NamedTuple):
    """Codes as a sparse matrix, which times the table is the embedding; fields as of CSR."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]
    columns: None = None


class _Sizes:
    """A number of codes, or one for each column."""

    def __contains__(self, value):
        sizes = value if isinstance(value, list | tuple) else [value]
        return len(sizes) > 0 and all(size in Whole(1) for size in sizes)

    def __str__(self):
        return f"{Whole(1)}, or a list of those, one for each column"


class _Lookup(Layer):
    """Base class of layers whose input are codes: whole numbers from 0, stored as floats.

    The parameter "weight" has a row for each code; what is drawn for it has fan_in 1, since each
    output reads one number of it. As a function of codes the output has no slope; dx is the
    derivative by a factor of the row that was looked up.
    """

    penalized: tuple[str, ...] = ("weight",)
    takes_codes = True
    tables: tuple[str, ...] = ("weight",)
    allowed = {
        "n_codes": _Sizes(), "dim": Whole(1), "padding_index": Maybe(Whole()),
        "initializer": AN_INITIALIZER,
    }  # fmt: skip

    def _sizes(self, n_columns):
        """Return the number of codes of each column's table; one int is one table for all."""
        if isinstance(self.n_codes, list | tuple):
            return list(self.n_codes)
        return [self.n_codes] * n_columns

    def _n_rows(self):
        return int(np.sum(self.n_codes))

    def _check_columns(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(
                f"{type(self).__name__} got rows of shape {tuple(input_shape)}, and needs rows of "
                "codes, (n_columns,)."
            )
        if isinstance(self.n_codes, list | tuple) and len(self.n_codes) != input_shape[0]:
            raise ValueError(
                f"{type(self).__name__} got rows of {input_shape[0]} columns, and n_codes has "
                f"{len(self.n_codes)} numbers; give one for each column, or one int for all."
            )

    def code_inputs(self, input_shape):
        return np.ones(input_shape, bool)

    def param_shapes(self, input_shape):
        return {"weight": (self._n_rows(), self.dim)}

    def work_shapes(self, input_shape, n, training=True):
        shape = (n, *input_shape)
        shapes = {
            "y": (n, *self.output_shape(input_shape)),
            "codes": (shape, np.int32),
            "data": shape,
            "indptr": ((n * input_shape[0] + 1,), np.int32),
        }
        return shapes | {"dx": shape} if training else shapes

    def init(self, p, input_shape, rng, x=None):
        initializer = resolve(self.initializer, INITIALIZERS, "initializer")
        initializer.fill("weight", p["weight"], 1, self.dim, rng)

    def _read(self, x, w):
        """Turn codes into row numbers of the weight, in ``w["codes"]``; return where is padding.

        Raises
        ------
        ValueError
            If a code is no whole number or not in its column's table.
        """
        if not isinstance(x, np.ndarray):
            raise ValueError(
                f"{type(self).__name__} was given a sparse matrix of codes; it takes dense ones: "
                "X.toarray()."
            )
        codes, sizes = w["codes"], np.asarray(self._sizes(x.shape[1]), np.int32)
        with np.errstate(invalid="ignore"):  # what is no number is found right below
            np.copyto(codes, x, casting="unsafe")
        valid = (codes == x) & (codes >= 0) & (codes < sizes)
        if not valid.all():
            self._refuse(x, ~valid, sizes)
        padding = None
        if self.padding_index is not None:
            padding = codes == self.padding_index
        if isinstance(self.n_codes, list | tuple):
            codes += (np.cumsum(sizes) - sizes).astype(np.int32)
        return padding

    def _refuse(self, x, bad, sizes):
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"{type(self).__name__} got the code {x[row, column]} in its column {column}; codes "
            f"there are whole numbers from 0 to {sizes[column] - 1} (n_codes={self.n_codes})."
        )

    def _matrix(self, w, step):
        """Return the codes as a matrix with `step` of them a row."""
        codes, n = w["codes"].reshape(-1), w["codes"].size // step
        indptr = w["indptr"][: n + 1]
        indptr[:] = np.arange(0, codes.size + 1, step, dtype=np.int32)
        return _Codes(w["data"].reshape(-1), codes, indptr, (n, self._n_rows()))


class Embedding(_Lookup):
    """Looks up a row of numbers for each code, ``y[c] = W[x[c]]``.

    Takes rows of codes, shape (n_columns,), to (n_columns, dim): a sequence for attention or a
    recurrent layer; `Flatten` after it makes a table's columns into features.

    Parameters
    ----------
    n_codes : int or list of int
        Number of codes, which are 0 to n_codes - 1. An int: all columns share one table, as words
        do. A list: the columns have tables of their own, as categories do.
    dim : int
        Length of a code's row, at least 1.
    padding_index : int or None, default=None
        The code of what is absent, as at the end of the shorter sequences: such a step has a row of
        zeros, which layers on sequences leave out. Layers that take steps for features (`Flatten`)
        refuse it: there it is better a code like others, or none.
    initializer : str or Initializer, default="lecun_normal"
        Draws W, shape (sum of n_codes, dim), with fan_in 1: by default from N(0, 1).
    name : str or None, default=None
        What the layer is called; see `Layer`.

    Notes
    -----
    Codes arrive as floats, as part of X; float32 holds whole numbers to 2**24. They are checked in
    each batch: a code that is not in the table raises ValueError. As a function of codes the output
    has no slope; dx is the derivative by a factor of the row, ``sum of y[c] * dy[c]``.

    References
    ----------
    Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin (2003), "A neural probabilistic language model",
    section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import Embedding
    >>> X, table = [[1.0, 0.0]], {"embedding_0.weight": np.arange(10).reshape(5, 2)}
    >>> layer = Embedding([2, 3], dim=2)  # the second column's rows come after the first one's
    >>> net = BackpropRegressor(layers=[layer], init_from=table, freeze="embedding_0")
    >>> net = FrozenEstimator(net.partial_fit(X, [1.0]))
    >>> HiddenFeatures(net, layer=0).fit(X).transform(X)
    array([[2., 3., 4., 5.]])
    """

    def __init__(self, n_codes, dim, padding_index=None, initializer="lecun_normal", name=None):
        self.n_codes = n_codes
        self.dim = dim
        self.padding_index = padding_index
        self.initializer = initializer
        self.name = name

    def output_shape(self, input_shape):
        self._check_columns(input_shape)
        return (*input_shape, self.dim)

    def stepping(self, input_shape):
        return NO_STEPS if isinstance(self.n_codes, list | tuple) else ENDLESS

    def forward(self, x, p, w, ctx):
        padding, y = self._read(x, w), w["y"]
        kernels.gather(p["weight"], w["codes"].reshape(-1), y.reshape(-1, self.dim))
        if padding is not None and not padding.any():
            padding = None
        if padding is not None:
            y[padding] = 0
        ctx.absent = ctx.cache[self] = padding
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if ctx.cache[self] is not None:
            dy[ctx.cache[self]] = 0
        w["data"].fill(1)
        rows = np.ascontiguousarray(dy).reshape(-1, self.dim)
        kernels.matmul_transposed(self._matrix(w, 1), rows, g["weight"])
        if not need_dx:
            return None
        return np.vecdot(dy, w["y"], out=w["dx"])


class EmbeddingBag(_Lookup):
    """The mean or sum of the rows of all codes, ``y = mean over c of W[x[c]]``.

    Takes rows of codes, shape (n_columns,), to (dim,): the words of a text without their order.

    Parameters
    ----------
    n_codes : int or list of int
        Number of codes, as in `Embedding`.
    dim : int
        Length of a code's row, at least 1.
    mode : {"mean", "sum"}, default="mean"
        How rows are put together.
    padding_index : int or None, default=None
        The code of what is absent: left out of mean and sum. A bag of nothing else gives zeros.
    initializer : str or Initializer, default="lecun_normal"
        Draws W, shape (sum of n_codes, dim), with fan_in 1: by default from N(0, 1).
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Embedding : The rows themselves; see there how codes are given and checked.

    References
    ----------
    A. Joulin, E. Grave, P. Bojanowski, T. Mikolov (2017), "Bag of tricks for efficient text
    classification", section 2.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import EmbeddingBag
    >>> X, layer = [[1.0, 2.0, 0.0]], EmbeddingBag(3, dim=2, padding_index=0)
    >>> table = {"embeddingbag_0.weight": [[0, 0], [2, 3], [4, 5]]}
    >>> net = BackpropRegressor(layers=[layer], init_from=table, freeze="embeddingbag_0")
    >>> HiddenFeatures(FrozenEstimator(net.partial_fit(X, [1.0]))).fit(X).transform(X)
    array([[3., 4.]])
    """

    allowed = {**_Lookup.allowed, "mode": OneOf(("mean", "sum"))}

    def __init__(self, n_codes, dim, mode="mean", padding_index=None, initializer="lecun_normal",
                 name=None):  # fmt: skip
        self.n_codes = n_codes
        self.dim = dim
        self.mode = mode
        self.padding_index = padding_index
        self.initializer = initializer
        self.name = name

    def output_shape(self, input_shape):
        self._check_columns(input_shape)
        return (self.dim,)

    def forward(self, x, p, w, ctx):
        padding, data = self._read(x, w), w["data"]
        data.fill(1)
        if padding is not None:
            data[padding] = 0
        if self.mode == "mean":
            data /= np.maximum(data.sum(axis=1, keepdims=True), 1)
        kernels.matmul(self._matrix(w, x.shape[1]), p["weight"], w["y"])
        return w["y"]

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        rows = np.ascontiguousarray(dy)
        kernels.matmul_transposed(self._matrix(w, x.shape[1]), rows, g["weight"])
        if not need_dx:
            return None
        np.vecdot(p["weight"][w["codes"]], dy[:, None], out=w["dx"])
        w["dx"] *= w["data"]
        return w["dx"]
