"""Rows into batches: shuffling, and gathering rows (dense or CSR) into buffers."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import _sparsetools

from skbp import _kernels as kernels

#: A batch counts for at least this share of an average batch's weight when the penalty is divided
#: by it, so that rows of almost no weight cannot blow the penalty up.
SMALLEST_SHARE = 1e-3


#: Rows of like length are looked for among those of so many batches.
POOL = 50
#: Values that are cast at a time, where a batch is cast on its way into its buffer.
CAST_VALUES = 2**14


class CSR(NamedTuple):
    """The arrays of a CSR matrix: all that the kernels need, without scipy's checks per batch.

    `columns`, where known, lists the columns that have entries: what a lazy optimizer updates.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]
    columns: np.ndarray | None = None

    def with_columns(self):
        """Return the same matrix, with `columns` found."""
        occurs = np.zeros(self.shape[1], bool)
        occurs[self.indices] = True
        return self._replace(columns=np.flatnonzero(occurs))

    @classmethod
    def of(cls, matrix):
        """Take the arrays of a scipy CSR matrix (shared, not copied); arrays pass through."""
        if isinstance(matrix, np.ndarray):
            return matrix
        integer = np.promote_types(matrix.indices.dtype, matrix.indptr.dtype)
        return cls(
            matrix.data,
            matrix.indices.astype(integer, copy=False),
            matrix.indptr.astype(integer, copy=False),
            matrix.shape,
        )

    def astype(self, dtype):
        """Return the same matrix with values of another dtype."""
        return self._replace(data=self.data.astype(dtype))

    def take(self, rows):
        """Return the given rows, in the given order."""
        indptr = np.zeros(len(rows) + 1, self.indptr.dtype)
        np.cumsum(self.indptr[rows + 1] - self.indptr[rows], out=indptr[1:])
        indices = np.empty(indptr[-1], self.indices.dtype)
        data = np.empty(indptr[-1], self.data.dtype)
        _sparsetools.csr_row_index(
            len(rows), rows.astype(self.indices.dtype), self.indptr, self.indices, self.data,
            indices, data,
        )  # fmt: skip
        return CSR(data, indices, indptr, (len(rows), self.shape[1]))

    def between(self, start, stop):
        """Return the rows from start to stop; values and column indices are views."""
        first, last = self.indptr[start], self.indptr[stop]
        return CSR(
            self.data[first:last], self.indices[first:last],
            self.indptr[start : stop + 1] - first, (stop - start, self.shape[1]),
        )  # fmt: skip


class Deferred:
    """Rows of an array or `CSR` that are chosen and cast when they are taken, not all at once.

    Parameters
    ----------
    source : ndarray of shape (n_all, ...) or CSR
        Not copied, and not changed.
    dtype : numpy dtype
        Of what is taken.
    rows : ndarray of shape (n,), intp, or None
        The rows there are; None means all.
    """

    def __init__(self, source, dtype, rows=None):
        self.source, self.dtype, self._rows = source, np.dtype(dtype), rows

    @property
    def shape(self):
        """Shape of the rows there are."""
        n = self.source.shape[0] if self._rows is None else len(self._rows)
        return n, *self.source.shape[1:]

    def __len__(self):
        return self.shape[0]

    def take(self, rows):
        """Return the given rows, in the given order, as an array or `CSR`."""
        return self._cast(take_rows(self.source, self._places(rows)))

    def between(self, start, stop):
        """Return the rows from start to stop, as an array or `CSR`."""
        if self._rows is None:
            return self._cast(rows_between(self.source, start, stop))
        return self._cast(take_rows(self.source, self._rows[start:stop]))

    def gather(self, rows, out):
        """Copy the given rows of an array into `out`, which has their dtype."""
        places, source = self._places(rows), self.source
        if source.dtype == out.dtype:
            kernels.gather(source, places, out)
            return
        step = max(1, CAST_VALUES // max(1, out[:1].size))
        for start in range(0, len(out), step):
            part = slice(start, start + step)
            with np.errstate(over="ignore"):
                out[part] = source[places[part]]

    def _places(self, rows):
        return rows if self._rows is None else self._rows[rows]

    def _cast(self, x):
        if x.data.dtype == self.dtype if isinstance(x, CSR) else x.dtype == self.dtype:
            return x
        with np.errstate(over="ignore"):
            return x.astype(self.dtype)


def is_sparse(x):
    """Whether rows come as `CSR`."""
    return isinstance(x.source if isinstance(x, Deferred) else x, CSR)


def rows_between(x, start, stop):
    """Return rows of an array (a view), of a `CSR`, or of what is `Deferred`."""
    return x[start:stop] if isinstance(x, np.ndarray) else x.between(start, stop)


def take_rows(x, rows):
    """Return a copy of the given rows of an array, of a `CSR`, or of what is `Deferred`."""
    return x[rows] if isinstance(x, np.ndarray) else x.take(rows)


class Data(NamedTuple):
    """Validated training data.

    x : ndarray of shape (n, ...), CSR or Deferred; y : ndarray of shape (n,) or (n, k), as the loss
    wants it; weight : ndarray of shape (n,), float64, or None where every row counts one;
    class_weight : likewise, the factors by class, which multiply them; shares : ndarray of shape
    (n, members), by how much a row counts for each member, or None; n_orders : the number of
    members that go through the rows in an order of their own, or None. With both, shares are
    counts: so often a row is among a member's own; lengths : ndarray of shape (n,), intp, of how
    many steps a row needs, the first ones, or None; by_step : whether y has targets for each step.
    """

    x: np.ndarray | CSR | Deferred
    y: np.ndarray
    weight: np.ndarray | None = None
    class_weight: np.ndarray | None = None
    shares: np.ndarray | None = None
    n_orders: int | None = None
    lengths: np.ndarray | None = None
    by_step: bool = False

    @property
    def dtype(self):
        """Precision of x, and so of the computation."""
        return self.x.data.dtype if isinstance(self.x, CSR) else self.x.dtype

    def row_weights(self):
        """Return the product of both weights, or None where both are one."""
        if self.weight is None or self.class_weight is None:
            return self.class_weight if self.weight is None else self.weight
        return self.weight * self.class_weight


class Batch(NamedTuple):
    """What one step of training sees.

    x, y : the rows; where they have lengths, only the steps that the longest one needs; weight :
    shape (n,), sums to one (with class weights on average), or (n, members), where each member
    weighs rows in its own way; total : what the weights summed to before (the number of rows where
    there are none), by which penalties are divided. Where members have orders of their own, x and y
    have the shape (n, members, ...).
    """

    x: np.ndarray | CSR
    y: np.ndarray
    weight: np.ndarray
    total: float


class Batches:
    """Cuts rows into batches, anew each epoch.

    Rows of like length come together where rows have lengths: among those of 50 batches, so that
    they meet others in each epoch.

    Parameters
    ----------
    data : Data
        Everything there is to train on.
    rows : ndarray of shape (m,), intp, or None
        The rows to train on; None means all.
    batch_size : int
        Rows per batch, at most m; the last batch of an epoch may be smaller.
    shuffle : bool
        Whether each epoch goes through the rows in a new order.
    rng : numpy.random.RandomState
        Source of the order. It is drawn from as scikit-learn's MLP does: one shuffle of
        0 .. m - 1 each epoch, applied on top of the last order.
    find_columns : bool, default=False
        Whether CSR batches come with their `columns`.
    held_out : ndarray of intp, optional
        The rows kept back, if fit chose them.
    mean_factor : float, optional
        What class weights are divided by; by default their mean over the rows, which counts rows by
        their weights.

    Attributes
    ----------
    order : ndarray of shape (m,) or None
        The order of the rows in the last epoch.
    split : tuple of ndarray or None
        `rows` and `held_out`, if there are.
    """

    def __init__(self, data, rows, batch_size, shuffle, rng, find_columns=False, held_out=None,
                 mean_factor=None):  # fmt: skip
        self.split = None if held_out is None else (rows, held_out)
        self._data = data
        self.order = rows
        self.n_rows = len(data.y) if rows is None else len(rows)
        self.batch_size = batch_size
        self._shuffle = shuffle
        self.rng = rng
        self._sparse = is_sparse(data.x)
        self.lazy = find_columns and self._sparse
        chosen = slice(None) if rows is None else rows
        weight = None if data.weight is None else data.weight[chosen]
        factor = None if data.class_weight is None else data.class_weight[chosen]
        self._mean_weight = 1.0 if weight is None else weight.mean()
        if mean_factor is None:
            mean_factor = 1.0 if factor is None else float(np.average(factor, weights=weight))
        self._mean_factor = mean_factor
        if data.n_orders is None and (shuffle or rows is not None):
            self._y = np.empty((batch_size, *data.y.shape[1:]), data.y.dtype)
            if not self._sparse:
                self._x = np.empty((batch_size, *data.x.shape[1:]), data.dtype)
        self._uniform = {}
        self._own_rows = self._find_own_rows(rows)
        if self._own_rows is not None:
            self.n_rows = max(map(len, self._own_rows))

    def _find_own_rows(self, rows):
        """Return the rows of each member, where these have batches and rows of their own."""
        data = self._data
        if data.n_orders is None or data.shares is None:
            return None
        rows = np.arange(len(data.y)) if rows is None else rows
        counts = data.shares[rows].astype(np.intp)
        own = [np.repeat(rows, count) for count in counts.T]
        return [drawn if len(drawn) else rows for drawn in own]

    @property
    def per_epoch(self):
        """Number of batches in an epoch."""
        return -(-self.n_rows // self.batch_size)

    def epoch(self):
        """Yield the batches of one epoch; their arrays are overwritten by the next batch."""
        if self._shuffle and self._own_rows is None:
            permutation = np.arange(self.n_rows)
            self.rng.shuffle(permutation)
            self.order = permutation if self.order is None else self.order[permutation]
        if self._data.n_orders is not None:
            yield from self._own_batches()
            return
        if self._data.lengths is not None:
            self.order = self._by_length()
        for start in range(0, self.n_rows, self.batch_size):
            yield self._batch(start, min(start + self.batch_size, self.n_rows))

    def _by_length(self):
        """Return the order of the rows with those of like length in the same full batch."""
        size, lengths = self.batch_size, self._data.lengths
        order = np.arange(self.n_rows) if self.order is None else self.order
        order, rest = np.split(order, [self.n_rows // size * size])
        pools = [order[i : i + POOL * size] for i in range(0, len(order), POOL * size)]
        pools = [pool[np.argsort(lengths[pool], kind="stable")] for pool in pools]
        batches = np.concatenate([*pools, order[:0]]).reshape(-1, size)
        return np.concatenate([batches[self.rng.permutation(len(batches))].reshape(-1), rest])

    def _own_batches(self):
        """Yield batches in which each member has rows of its own."""
        data, own = self._data, self._own_rows
        if own is None:
            order = np.arange(self.n_rows) if self.order is None else self.order
            own = [order] * data.n_orders
        if self._shuffle:
            own = [rows[self.rng.permutation(len(rows))] for rows in own]
        orders = np.column_stack([np.resize(rows, self.n_rows) for rows in own])
        for start in range(0, self.n_rows, self.batch_size):
            rows = orders[start : start + self.batch_size]
            flat, shape = rows.reshape(-1), rows.shape
            x = take_rows(data.x, flat).reshape(*shape, *data.x.shape[1:])
            y = take_rows(data.y, flat).reshape(*shape, *data.y.shape[1:])
            weight, total = self._uniform_weight(len(rows)), float(len(rows))
            if data.weight is not None or data.class_weight is not None:
                own = [self._weights(column, len(rows)) for column in rows.T]
                weight = np.column_stack([one for one, _ in own])
                total = float(np.mean([one for _, one in own]))
            yield Batch(x, y, weight, total)

    def _batch(self, start, stop):
        data, n = self._data, stop - start
        rows = slice(start, stop) if self.order is None else self.order[start:stop]
        if self.order is None:
            x, y = rows_between(data.x, start, stop), data.y[rows]
        else:
            y = self._y[:n]
            kernels.gather(data.y, rows, y)
            if self._sparse:
                x = data.x.take(rows)
            else:
                x = self._x[:n]
                gather = data.x.gather if isinstance(data.x, Deferred) else self._gather
                gather(rows, x)
        if data.lengths is not None:
            steps = data.lengths[rows].max()
            x = np.ascontiguousarray(x[:, :steps])
            y = y[:, :steps] if data.by_step else y
        if self.lazy:
            x = x.with_columns()
        if data.weight is None and data.class_weight is None:
            weight, total = self._uniform_weight(n), n
        else:
            weight, total = self._weights(rows, n)
        return Batch(x, y, weight if data.shares is None else self._shared(weight, rows), total)

    def _shared(self, weight, rows):
        """Return weights for each member: the mean over its own rows, not over all."""
        shares = self._data.shares[rows]
        counted = weight @ shares
        return weight[:, None] * (shares * (weight.sum() / np.where(counted > 0, counted, 1)))

    def _gather(self, rows, out):
        kernels.gather(self._data.x, rows, out)

    def _weights(self, rows, n):
        """Return a batch's row weights, and the total by which penalties are divided.

        Sample weights are divided by their sum over the batch, as in scikit-learn's MLP. Class
        weights are divided by their mean over all rows: within a batch that happens to lack the
        heavy classes, light rows must not count for more. In a piece of the data, as partial_fit
        gets them, they are not divided, for the same reason.
        """
        data = self._data
        weight = np.ones(n) if data.weight is None else data.weight[rows]
        total = float(weight.sum())
        weight = weight / total
        if data.class_weight is not None:
            weight *= data.class_weight[rows] / self._mean_factor
        total = self._mean_factor * max(total, SMALLEST_SHARE * n * self._mean_weight)
        return weight.astype(data.dtype), total

    def _uniform_weight(self, n):
        if n not in self._uniform:
            self._uniform[n] = np.full(n, 1 / n, self._data.dtype)
        return self._uniform[n]
