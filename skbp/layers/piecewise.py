"""Piecewise linear embeddings of numbers."""

from math import prod

import numpy as np

from skbp._component import Flag, Maybe, Whole
from skbp.layers.numeric import _NumberEmbedding

#: A shorter bin counts as none: its inverse would leave the range of float32.
LEAST_LENGTH = 1e-30


class _Edges:
    """Increasing numbers, at least two; or such for each of several columns."""

    def __contains__(self, value):
        try:
            each = _by_column(value)
            edges = [np.asarray(one, np.float64) for one in each]
        except (TypeError, ValueError, IndexError, KeyError):
            return False
        return all(
            one.ndim == 1 and len(one) > 1 and np.isfinite(one).all() and _rises(one)
            for one in edges
        )

    def __str__(self):
        return "an increasing sequence of at least two numbers, or one for each column"


def _by_column(bins):
    """Return a list of sequences of edges: one for each column, or a single one for all."""
    values = list(bins)
    return values if np.ndim(values[0]) else [values]


def _rises(edges):
    """Whether each edge is larger than the one before it, by a finite length."""
    with np.errstate(over="ignore"):
        lengths = np.diff(edges)
    return bool((lengths > 0).all() and np.isfinite(lengths).all())


class PiecewiseLinearEmbedding(_NumberEmbedding):
    """Makes several values of each number, by linear functions between the edges of bins.

    With edges ``b_0 < b_1 < ... < b_T`` and ``e_t = (x - b_t-1) / (b_t - b_t-1)``, cut to [0, 1]
    (the first is not cut below, the last not above), x becomes ``x w + c + sum over t of e_t V_t``.
    So each value is a function of x that bends at the edges. V begins as zero.

    With `learned`, edges are trained too. The first and the last stay; a bin has the share
    ``d_t exp(s_t) / sum over u of d_u exp(s_u)`` of what lies between them, where d are the lengths
    that `bins` gives and s, zero at first, is trained. Shares are positive, so edges stay in order.

    Parameters
    ----------
    bins : array-like of float
        Edges, the same for all numbers; or a list with edges for each of them. Quantiles of the
        training rows are a good choice: ``np.unique(np.quantile(column, np.linspace(0, 1, 49)))``.
    units : int, default=16
        Number of values that each number becomes, at least 1.
    n_numeric : int or None, default=None
        How many values of the last axis are embedded, from the first on; the others follow as they
        are. None means all.
    learned : bool, default=False
        Whether edges are trained, for each number its own. Weight penalties leave them alone.
    name : str or None, default=None
        What the layer is called; see `Layer`.

    See Also
    --------
    PeriodicEmbedding : The same by waves.

    Notes
    -----
    In rows of several axes, such as (members, features), each value has parameters of its own.

    References
    ----------
    Y. Gorishniy, I. Rubachev, A. Babenko (2022), "On embeddings for numerical features in tabular
    deep learning", section 3.2: the encoding, followed by a linear layer.
    Y. Gorishniy, A. Kotelnikov, A. Babenko (2024), "TabM: advancing tabular deep learning with
    parameter-efficient ensembling": beside a linear function of x, with V at zero first.
    C. Durkan, A. Bekasov, I. Murray, G. Papamakarios (2019), "Neural spline flows", section 3.1:
    lengths of bins by a softmax. The embeddings above have fixed edges; to train them is ours.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp import BackpropRegressor
    >>> from skbp.layers import PiecewiseLinearEmbedding
    >>> X = np.linspace(0, 3, 50)[:, None]
    >>> layer = PiecewiseLinearEmbedding([0.0, 1.0, 3.0], units=1)
    >>> net = BackpropRegressor(layers=[layer], solver="lbfgs", alpha=0, random_state=0)
    >>> net.fit(X, abs(X[:, 0] - 1)).predict([[0.5], [2.0], [4.0]]).round(2)
    array([0.5, 1. , 3. ])
    """

    penalized = ("weight", "slope")
    allowed = {
        "bins": _Edges(),
        "units": Whole(1),
        "n_numeric": Maybe(Whole(0)),
        "learned": Flag(),
    }

    def __init__(self, bins, units=16, n_numeric=None, learned=False, name=None):
        self.bins = bins
        self.units = units
        self.n_numeric = n_numeric
        self.learned = learned
        self.name = name

    def _numbers(self, input_shape):
        shape = super()._numbers(input_shape)
        if np.ndim(next(iter(self.bins))) and len(self.bins) != shape[-1]:
            raise ValueError(
                f"PiecewiseLinearEmbedding has edges for {len(self.bins)} numbers, but rows have "
                f"{shape[-1]}. Give edges for each, or the same for all."
            )
        return shape

    @property
    def _width(self):
        """How many values a number becomes."""
        return self.units

    def _edges(self):
        """Return left edges and lengths of bins, each of shape (columns or 1, bins).

        Where a column has fewer bins than others, the last ones have no length.
        """
        each = _by_column(self.bins)
        most = max(map(len, each))
        edges = np.array([np.pad(one, (0, most - len(one)), "edge") for one in each], np.float64)
        return edges[:, :-1], np.diff(edges)

    def bind(self, input_shape):
        layer = super().bind(input_shape)
        left, length = self._edges()
        lead = prod(input_shape[:-1])
        columns = layer._shape[-1] // len(left)  # of one sequence of edges for all
        layer._left = np.tile(left, (lead * columns, 1))[:, None]
        layer._length = np.tile(length, (lead * columns, 1))[:, None]
        last = np.maximum(1, (length > 0).sum(axis=1)) - 1
        number = np.arange(left.shape[1])
        low = np.where(number == 0, -np.inf, 0.0)
        high = np.where(number == last[:, None], np.inf, 1.0)
        layer._low, layer._high = low, np.tile(high, (lead * columns, 1))[:, None]
        return layer

    def param_shapes(self, input_shape):
        shape, n_bins = self._numbers(input_shape), self._edges()[0].shape[1]
        shapes = {
            "weight": (*shape, n_bins, self.units),
            "slope": (*shape, self.units),
            "bias": (*shape, self.units),
        }
        return shapes | ({"stretch": (*shape, n_bins)} if self.learned else {})

    def init(self, p, input_shape, rng, x=None):
        if self.learned:
            p["stretch"][...] = 0.0
        bound = self.units**-0.5
        p["weight"][...] = 0.0
        p["slope"][...] = rng.uniform(-bound, bound, p["slope"].shape)
        p["bias"][...] = rng.uniform(-bound, bound, p["bias"].shape)

    def _embedded(self, y):
        """Return a view of the embeddings in y, shape (n, *numbers of a row, units)."""
        return y[..., : self._split].reshape(len(y), *self._shape, self.units)

    def _bins(self, p):
        """Return left edges and lengths of the bins, each of shape (numbers, 1, bins), float64."""
        if not self.learned:
            return self._left, self._length
        stretch = self._flat(p, "stretch")[:, None].astype(np.float64)
        stretch[self._length == 0] = -np.inf  # no bin, but what makes columns equally long
        parts = self._length * np.exp(stretch - stretch.max(axis=2, keepdims=True))
        total = self._length.sum(axis=2, keepdims=True)
        length = parts * (total / parts.sum(axis=2, keepdims=True))
        return self._left[:, :, :1] + np.cumsum(length, axis=2) - length, length

    def _stretch_gradient(self, slopes, places, length):
        """Return the gradient of "stretch", shape (numbers, bins).

        With left edge b and length d of a bin, ``e = (x - b) / d`` has ``de/db = -1 / d`` and
        ``de/dd = -e / d``. A length moves the edges of all bins after it. Shares of a softmax have
        ``dd_t/ds_u = d_t ([t = u] - d_u / sum of d)``.

        Parameters
        ----------
        slopes, places : ndarray of shape (numbers, n, bins)
            The gradient of e over d, and e.
        length : ndarray of shape (numbers, 1, bins)
        """
        dleft, dlength = -slopes.sum(axis=1), -(slopes * places).sum(axis=1)
        dlength += np.cumsum(dleft[:, ::-1], axis=1)[:, ::-1] - dleft
        length = length[:, 0]
        share = length / length.sum(axis=1, keepdims=True)
        return length * (dlength - (share * dlength).sum(axis=1, keepdims=True))

    def forward(self, x, p, w, ctx):
        y = w["y"]
        y[..., self._split :] = x[..., self._shape[-1] :]
        if self._split == 0:
            return y
        numbers = self._by_number(x)
        left, length = self._bins(p)
        inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > LEAST_LENGTH)
        inverse = inverse.astype(x.dtype)
        places = (numbers[:, :, None] - left.astype(x.dtype)) * inverse
        inside = (places > self._low) & (places < self._high)
        np.clip(places, self._low, self._high, out=places, casting="same_kind")
        made = np.matmul(places, self._flat(p, "weight"))
        made += numbers[:, :, None] * self._flat(p, "slope")[:, None]
        made += self._flat(p, "bias")[:, None]
        ctx.cache[self] = numbers, places, inside, inverse, length
        self._embedded(y)[...] = made.swapaxes(0, 1).reshape(len(x), *self._shape, self.units)
        return y

    def backward(self, dy, x, p, g, w, ctx, need_dx=True):
        if self._split == 0:
            return dy
        numbers, places, inside, inverse, length = ctx.cache[self]
        n, dx = len(dy), w["dx"]
        dmade = self._embedded(dy).reshape(n, len(numbers), self.units).swapaxes(0, 1)
        np.matmul(places.swapaxes(1, 2), dmade, out=self._flat(g, "weight"))
        np.einsum("mn,mnu->mu", numbers, dmade, out=self._flat(g, "slope"))
        np.sum(dmade, axis=1, out=self._flat(g, "bias"))
        if not (need_dx or self.learned):
            return None
        slopes = np.matmul(dmade, self._flat(p, "weight").swapaxes(1, 2)) * inside * inverse
        if self.learned:
            self._flat(g, "stretch")[...] = self._stretch_gradient(slopes, places, length)
        if not need_dx:
            return None
        dnumbers = slopes.sum(axis=2)
        dnumbers += np.einsum("mnu,mu->mn", dmade, self._flat(p, "slope"))
        dx[..., : self._shape[-1]] = dnumbers.T.reshape(n, *self._shape)
        dx[..., self._shape[-1] :] = dy[..., self._split :]
        return dx
