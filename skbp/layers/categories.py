"""Embeddings of categories in rows that begin with other values."""

from math import prod

import numpy as np

from skbp import _kernels as kernels
from skbp._component import Range, Whole
from skbp.layers.base import Layer
from skbp.layers.compose import refuse_sparse
from skbp.layers.embedding import _Codes


class _Sizes:
    """A list of whole numbers, one for each column, at least one."""

    def __contains__(self, value):
        is_list = isinstance(value, list | tuple) and len(value) > 0
        return is_list and all(size in Whole(1) for size in value)

    def __str__(self):
        return f"a list with at least one item, each {Whole(1)}"


class _Units:
    """A number of units, or one for each column."""

    def __contains__(self, value):
        return value in Whole(1) or value in _Sizes()

    def __str__(self):
        return f"{Whole(1)}, or {_Sizes()}"


class CategoryEmbedding(Layer):
    """Looks up several values for each code at the end of a row; the values before stay.

    With a table W_j for each column j of codes, x becomes ``[x_1, ..., x_m, W_1[c_1], W_2[c_2],
    ...]``. Codes are whole numbers from 0, stored as floats, as `skbp.preprocessing.TableEncoder`
    writes them.

    Parameters
    ----------
    cardinalities : list of int
        How many codes each of the last columns may have, at least 1: they are 0 to that minus 1.
    units : int or list of int
        How many values a code becomes, at least 1: in all columns, or in each.
    std : float, default=1.0
        Standard deviation, > 0, of the first values of the tables, which are normal.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    Embedding : Rows of codes alone, to a sequence.
    PeriodicEmbedding : The same for numbers.

    Notes
    -----
    The parameter "weight" holds the tables one after the other: shape (sum of cardinalities,
    units), or flat, (sum of cardinality times units,), where units differ. In rows of several axes,
    such as (members, features), each row of the last axis has tables of its own, and the shape
    begins with these axes. A code that is not in its table raises ValueError. As a function of
    codes the output has no slope; dx there is the derivative by a factor of what was looked up.

    References
    ----------
    C. Guo, F. Berkhahn (2016), "Entity embeddings of categorical variables", section III.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skbp import BackpropRegressor, HiddenFeatures
    >>> from skbp.layers import CategoryEmbedding
    >>> X, layer = [[0.5, 1.0, 0.0]], CategoryEmbedding([2, 3], units=2)  # a number, two codes
    >>> table = {"categoryembedding_0.weight": np.arange(10).reshape(5, 2)}
    >>> net = BackpropRegressor(layers=[layer], init_from=table, freeze="categoryembedding_0")
    >>> HiddenFeatures(FrozenEstimator(net.partial_fit(X, [1.0]))).fit(X).transform(X)
    array([[0.5, 2. , 3. , 4. , 5. ]])
    """

    penalized = ("weight",)
    takes_codes = True
    tables = ("weight",)
    allowed = {
        "cardinalities": _Sizes(),
        "units": _Units(),
        "std": Range(0, low_open=True),
    }

    def __init__(self, cardinalities, units, std=1.0, name=None):
        self.cardinalities = cardinalities
        self.units = units
        self.std = std
        self.name = name

    def _widths(self):
        """Return how many values a code of each column becomes."""
        n_columns = len(self.cardinalities)
        if not isinstance(self.units, list | tuple):
            return [self.units] * n_columns
        if len(self.units) != n_columns:
            raise ValueError(
                f"CategoryEmbedding got {len(self.units)} units for {n_columns} columns of codes; "
                "give one for each of the cardinalities, or one int for all."
            )
        return list(self.units)

    def _n_before(self, input_shape):
        """Return how many values come before the codes."""
        n_before = input_shape[-1] - len(self.cardinalities)
        if n_before < 0:
            raise ValueError(
                f"CategoryEmbedding has {len(self.cardinalities)} cardinalities, but rows have "
                f"{input_shape[-1]} values, of which the last are the codes."
            )
        return n_before

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        widths, sizes = np.array(self._widths()), np.array(self.cardinalities)
        layer._before = self._n_before(input_shape)
        layer._sizes = sizes
        layer._starts = np.cumsum(widths) - widths
        layer._step = int(widths[0]) if (widths == widths[0]).all() else 1
        # Whole rows are looked up; where tables differ in width, single values. `_column` tells
        # of which column each is.
        rows = widths // layer._step
        layer._column = np.repeat(np.arange(len(sizes)), rows)
        layer._stride = rows[layer._column].astype(np.int32)
        ends = np.cumsum(sizes * rows)
        unit = np.concatenate([np.arange(n) for n in rows])
        first = (ends - sizes * rows)[layer._column] + unit
        own = np.arange(prod(input_shape[:-1])) * ends[-1]
        first = (own[:, None] + first).reshape(*input_shape[:-1], -1)
        layer._first = first.astype(np.int32)
        return layer

    def output_shape(self, input_shape):
        return *input_shape[:-1], self._n_before(input_shape) + sum(self._widths())

    def code_inputs(self, input_shape):
        codes = np.zeros(input_shape, bool)
        codes[..., self._n_before(input_shape) :] = True
        return codes

    def param_shapes(self, input_shape):
        widths, members = self._widths(), tuple(input_shape[:-1])
        if len(set(widths)) == 1:
            return {"weight": (*members, sum(self.cardinalities), widths[0])}
        return {"weight": (*members, int(np.dot(self.cardinalities, widths)))}

    def work_shapes(self, input_shape, n, training=True):
        widths = self._widths()
        looked_up = len(widths) if len(set(widths)) == 1 else sum(widths)
        places = n, *input_shape[:-1], looked_up
        shapes = {
            "y": (n, *self.output_shape(input_shape)),
            "made": (n, *input_shape[:-1], sum(widths)),
            "places": (places, np.int32),
        }
        if training:
            ones = {"ones": places, "indptr": ((prod(places) + 1,), np.int32)}
            shapes |= ones | {"dx": (n, *input_shape)}
        return shapes

    def init(self, p, input_shape, rng, x=None):
        p["weight"][...] = rng.normal(0.0, self.std, p["weight"].shape)

    def _read(self, x):
        """Return the codes at the end of rows, int32.

        Raises
        ------
        ValueError
            If a code is no whole number or not in its column's table.
        """
        refuse_sparse(x, self)
        given = x[..., self._before :]
        with np.errstate(invalid="ignore"):  # what is no number is found right below
            codes = given.astype(np.int32)
        valid = (codes == given) & (codes >= 0) & (codes < self._sizes)
        if not valid.all():
            place = tuple(np.argwhere(~valid)[0])
            column, size = self._before + place[-1], self._sizes[place[-1]]
            raise ValueError(
                f"CategoryEmbedding got the code {given[place]} in its column {column}; codes "
                f"there are whole numbers from 0 to {size - 1} "
                f"(cardinalities={self.cardinalities})."
            )
        return codes

    def forward(self, x, p, w, ctx):
        codes, places, made, y = self._read(x), w["places"], w["made"], w["y"]
        np.take(codes, self._column, axis=-1, out=places, mode="clip")
        places *= self._stride
        places += self._first
        table = p["weight"].reshape(-1, self._step)
        kernels.gather(table, places.reshape(-1), made.reshape(-1, self._step))
        y[..., : self._before] = x[..., : self._before]
        y[..., self._before :] = made
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        places, made, ones, indptr = w["places"].reshape(-1), w["made"], w["ones"], w["indptr"]
        ones.fill(1)
        indptr[...] = np.arange(len(indptr), dtype=np.int32)
        dmade = dy[..., self._before :]
        rows = np.ascontiguousarray(dmade).reshape(-1, self._step)
        table = g["weight"].reshape(-1, self._step)
        matrix = _Codes(ones.reshape(-1), places, indptr, (len(places), len(table)))
        kernels.matmul_transposed(matrix, rows, table)
        if not need_dx:
            return None
        dx = w["dx"]
        dx[..., : self._before] = dy[..., : self._before]
        made *= dmade
        np.add.reduceat(made, self._starts, axis=-1, out=dx[..., self._before :])
        return dx
