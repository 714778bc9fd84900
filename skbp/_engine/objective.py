"""The objective: network, loss and penalty together, as a value and a gradient."""

from copy import deepcopy
from functools import cached_property

import numpy as np

from skbp import _kernels as kernels
from skbp._engine.batches import Batch, is_sparse, rows_between
from skbp._engine.block_passes import block_passes_of
from skbp._engine.dense_passes import dense_passes_of
from skbp._engine.regularization import Penalty, add_l1
from skbp._engine.workspace import Workspace, beginning
from skbp._kernels import threads

#: Rows that a full-batch pass works on at a time.
CHUNK = 4096
#: A second thread pays from so many bytes on of what training keeps of a batch, a measure of the
#: work there is; and from so many rows on.
SHARED_BYTES, SHARED_ROWS = 2**21, 8


def _n_threads(network, n, training):
    """Return how many threads are to share n rows."""
    if n < SHARED_ROWS or not network.threads_had_better_share(training, kernels.CONCURRENT):
        return 1
    if n * network.bytes_per_row(training=True) < SHARED_BYTES:
        return 1
    return threads.count()


class Objective:
    """What training minimises: the loss, and a penalty on the weights.

    The loss is a weighted mean over rows; the penalty is divided by the same total weight, so that
    for the whole training set ``total * objective = sum of losses + penalty``.

    Parameters
    ----------
    network : Network
        Trained in place.
    loss : Loss
        The loss on raw outputs.
    alpha : float
        Strength of the penalty on the weights (not the biases); not negative.
    max_rows : int
        The most rows a batch will have.
    l1_ratio : float, default=0.0
        In [0, 1]: the share of the L1 norm in the penalty.
    """

    def __init__(self, network, loss, alpha, max_rows, l1_ratio=0.0):
        self.network = network
        self.loss = loss
        self.penalty = Penalty(float(alpha), float(l1_ratio))
        self._max_rows = max_rows
        #: Gradient of the last `value_and_grad`, shape (n_params,).
        self.grads = np.zeros_like(network.params)
        arguments = network, loss, max_rows, self.grads
        self._passes = dense_passes_of(*arguments) or block_passes_of(*arguments)
        self._others = []  # generators of the threads but the first
        self._bound = {}  # the network and its workspaces for rows of other lengths, by shape

    @property
    def compiled(self):
        """Whether batches go through the network in compiled passes."""
        return self._passes is not None

    # What compiled passes do not need is made when they do not suit.

    @cached_property
    def _workspaces(self):
        network, most = self.network, self._max_rows
        parts = len(threads.even_shares(most, _n_threads(network, most, training=True)))
        rows = -(-most // parts)
        return [Workspace(network, rows, grads=None if i else self.grads) for i in range(parts)]

    @cached_property
    def _dy(self):
        return np.empty((self._max_rows, *self.network.output_shape), self.network.params.dtype)

    def data_value_and_grad(self, batch, rng=None, progress=None):
        """Compute the loss of a batch, without the penalty; leaves its gradient in `grads`.

        Parameters
        ----------
        batch : Batch
            Rows, targets, and weights.
        rng : numpy.random.Generator, optional
            For layers that draw random numbers.
        progress : Progress, optional
            For layers whose hyperparameters change as training goes on.

        Returns
        -------
        data : float
        """
        x, y, weight, _ = batch
        n = x.shape[0]
        if self._passes is not None and self._passes.take(x):
            return self._passes.value_and_grad(self.loss, x, y, weight, rng, progress)
        network, workspaces = self._for_rows(x.shape[1:])
        shares = threads.even_shares(n, len(workspaces))
        dy = beginning(self._dy, (n, *network.output_shape))
        if len(shares) == 1:
            ctx = workspaces[0].ctx
            ctx.exchange = ctx.place = None
            return self._share(network, x, y, weight, dy, workspaces[0], rng, progress)
        rngs = self._generators(rng, len(shares))
        values = [0.0] * len(shares)

        def task(i, exchange=None):
            rows, ctx = shares[i], workspaces[i].ctx
            ctx.exchange, ctx.place = exchange, (rows.start, n)
            values[i] = self._share(
                network, x[rows], y[rows], weight[rows], dy[rows], workspaces[i], rngs[i], progress
            )

        run = threads.run_together if self.network.gathers else threads.run
        try:
            run(task, range(len(shares)))
        except threads.NoThreads:  # none has begun: this thread does it alone, from now on
            self._workspaces = [Workspace(self.network, self._max_rows, grads=self.grads)]
            self._bound.clear()
            return self.data_value_and_grad(batch, rng, progress)
        grads = self.grads
        for workspace in self._workspaces[1 : len(shares)]:
            grads += workspace.grads
        return sum(values)

    def value_and_grad(self, batch, rng=None):
        """Compute loss and penalty of a batch; leaves the gradient of their sum in `grads`.

        Returns
        -------
        data, penalty : float
            The two terms of the objective.
        """
        data = self.data_value_and_grad(batch, rng)
        return data, self._penalty(batch.total)

    def full_value_and_grad(self, data):
        """Compute the objective of a whole data set, a chunk of rows at a time.

        Parameters
        ----------
        data : Data
            The training set.

        Returns
        -------
        data, penalty : float
            As `value_and_grad`; the gradient is in `grads`.
        """
        n = len(data.y)
        weights = data.row_weights()
        weights = np.ones(n) if weights is None else weights
        total = float(weights.sum())
        value, sums = 0.0, None
        for start in range(0, n, CHUNK):
            stop = min(start + CHUNK, n)
            part = (weights[start:stop] / total).astype(self.network.params.dtype)
            value += self.data_value_and_grad(
                Batch(rows_between(data.x, start, stop), data.y[start:stop], part, total)
            )
            if stop < n or sums is not None:
                sums = self.grads.copy() if sums is None else np.add(sums, self.grads, out=sums)
        if sums is not None:
            self.grads[...] = sums
        return value, self._penalty(total)

    def reported(self, data, penalty):
        """Return the number shown to people, from the two terms."""
        return self.loss.reported(data, self.network.output_shape) + penalty

    def _generators(self, rng, n):
        """Return a generator for each of n threads, all in the state of `rng`, which is the first.

        What its thread draws, and passes over, leaves `rng` as if it had drawn for all.
        """
        if rng is None:
            return [None] * n
        while len(self._others) < n - 1:
            self._others.append(deepcopy(rng))
        for other in self._others:
            other.bit_generator.state = rng.bit_generator.state
        return [rng, *self._others[: n - 1]]

    def _share(self, network, x, y, weight, dy, workspace, rng, progress):
        raw = network.forward(x, workspace, rng, progress)
        value = self.loss.value_and_grad(raw, y, weight, dy)
        network.backward(dy, workspace)
        return value

    def network_for(self, shape):
        """Return the network for rows of a shape: another one, if these are shorter."""
        network = self.network
        if shape == network.input_shape:
            return network
        if shape not in self._bound:
            bound = network.bound_to(shape)
            self._bound[shape] = bound, [one.of(bound) for one in self._workspaces]
        bound, _ = self._bound[shape]
        if bound.frozen is not network.frozen:
            bound.freeze(network.frozen)
        return bound

    def _for_rows(self, shape):
        """Return network and workspaces for rows of a shape."""
        network = self.network_for(shape)
        if network is self.network:
            return network, self._workspaces
        _, workspaces = self._bound[shape]
        for workspace in workspaces:
            workspace.ctx.forget()  # memory for copies would add up over the shapes
        return network, workspaces

    def _penalty(self, total):
        l2, l1 = self.penalty.strengths(total)
        penalized = slice(self.network.n_penalized)
        params, grads = self.network.params[penalized], self.grads[penalized]
        value = add_l1(params, grads, l1) if l1 else 0.0
        return value + 0.5 * l2 * kernels.l2(params, grads, l2)


#: The most rows, and bytes of workspace, that a prediction works on at a time.
PREDICT_ROWS, PREDICT_BYTES = 1024, 2**25


def predict_raw(network, x, depth=None):
    """Run rows through a network in inference, a chunk at a time.

    Chunks bound the memory, and keep the work in cache.

    Parameters
    ----------
    network : Network
    x : ndarray of shape (n, ...), CSR or Deferred, float32 or float64
        Chunks are converted to the network's dtype.
    depth : int, optional
        Only so many layers, from the first on.

    Returns
    -------
    raw : ndarray of shape (n, ...), dtype of the network
        Outputs of the last layer, shape (n, k), or of layer number `depth`.
    """
    x = network.rows_of(x)
    n, dtype = x.shape[0], network.params.dtype
    chunk = chunk_rows(network, n)
    shares = threads.even_shares(n, 1 if is_sparse(x) else _n_threads(network, n, training=False))
    if n <= chunk and len(shares) == 1:
        workspace = Workspace(network, n, training=False)
        return network.forward(_as_dtype(rows_between(x, 0, n), dtype), workspace, depth=depth)
    out = np.empty((n, *network.shape_after(depth)), dtype)

    def task(rows):
        workspace = Workspace(network, min(chunk, rows.stop - rows.start), training=False)
        for start in range(rows.start, rows.stop, chunk):
            stop = min(start + chunk, rows.stop)
            part = _as_dtype(rows_between(x, start, stop), dtype)
            out[start:stop] = network.forward(part, workspace, depth=depth)

    threads.run(task, shares)
    return out


def input_gradient(network, x, dy):
    """Compute the gradient of outputs, in inference, with respect to the rows that went in.

    Where these hold codes, it is with respect to a factor of what is looked up.

    Parameters
    ----------
    network : Network
    x : ndarray of shape (n, ...), float32 or float64
        Chunks are converted to the network's dtype.
    dy : ndarray of shape (n, *output_shape)
        What the raw outputs are multiplied with and summed up, row by row.

    Returns
    -------
    dx : ndarray of shape (n, *input_shape), dtype of the network
        Gradient of ``sum(dy * raw)``.
    """
    x = network.rows_of(x)
    n, dtype = len(x), network.params.dtype
    chunk = chunk_rows(network, n, training=True)
    # `backward` reads buffers of training; that `forward` has no rng makes it inference all the
    # same: dropout lets everything pass, and statistics of normalisation are constants.
    workspace = Workspace(network, min(n, chunk), training=True)
    dx = np.empty((n, *network.input_shape), dtype)
    for start in range(0, n, chunk):
        rows = slice(start, start + chunk)
        network.forward(x[rows].astype(dtype, copy=False), workspace)
        dx[rows] = network.backward(dy[rows].astype(dtype), workspace, need_dx=True)
    return dx


def chunk_rows(network, n, training=False):
    """Return how many rows to work on at a time."""
    if n <= 32:  # too few to matter
        return PREDICT_ROWS
    return min(PREDICT_ROWS, max(32, PREDICT_BYTES // network.bytes_per_row(training)))


def _as_dtype(x, dtype):
    if isinstance(x, np.ndarray):
        return x.astype(dtype, copy=False)
    return x if x.data.dtype == dtype else x.astype(dtype)


__all__ = ["Batch", "Objective", "chunk_rows", "input_gradient", "predict_raw"]
