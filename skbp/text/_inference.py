"""Rows of codes of any length through an encoder, in batches of like length."""

import numpy as np
from joblib import effective_n_jobs

from skbp import _kernels as kernels
from skbp._engine.turns import Turns, sizes_of
from skbp._engine.workspace import Workspace
from skbp._kernels import threads
from skbp._quiet import quiet
from skbp.text._tokens import padded

#: The most bytes of memory that a batch takes, unless a single row takes more. With 2**28 the work
#: leaves the cache, and takes about a third longer.
BATCH_BYTES = 2**25


@quiet
def run(encoder, codes, after, batch_size, n_jobs=None, progress=None):
    """Return what an encoder, and layers after it, make of rows of codes.

    Long rows come first: a batch has rows of about the same length, and the memory for the first
    one suffices for all.

    Parameters
    ----------
    encoder : Encoder
    codes : list of ndarray of shape (length,), int32
    after : list of Layer
        Without parameters; the last one gives one vector a row.
    batch_size : int
        The most rows of a batch.
    n_jobs : int or None
        Threads, as joblib counts them; None for as many as BLAS was told to use.
    progress : Progress or None
        Told of each batch.

    Returns
    -------
    vectors : ndarray of shape (n, n_features), dtype of the encoder
    """
    vectors = np.empty((len(codes), encoder.n_features), encoder.dtype)
    n_threads = _n_threads(n_jobs)
    batches = list(_batches(encoder, codes, after, batch_size, n_threads))
    n_threads = min(n_threads, len(batches))

    def task(part):
        memory = Turns()
        for network, rows in batches[part::n_threads]:
            (n_steps,) = network.input_shape
            x = padded([codes[i] for i in rows], n_steps, encoder.padding_index)
            workspace = Workspace(network, len(rows), training=False, memory=memory)
            vectors[rows] = network.forward(x, workspace)
            if progress is not None:
                progress.add(len(rows))

    threads.run(task, range(n_threads))
    return vectors


def _n_threads(n_jobs):
    if n_jobs is None:
        return threads.count() if kernels.CONCURRENT else 1
    return effective_n_jobs(n_jobs)


def _batches(encoder, codes, after, batch_size, n_threads=1):
    """Yield a network for the longest row of a batch, and the numbers of its rows.

    Batches are of about the same size, and each thread has as many: so no thread waits for long.
    """
    order = sorted(range(len(codes)), key=lambda i: -len(codes[i]))
    start, made, network = 0, 0, None
    while start < len(order):
        longest = max(1, len(codes[order[start]]))
        if network is None or network.input_shape != (longest,):
            network = encoder._network(longest, *after)
            most = max(1, BATCH_BYTES // (sum(sizes_of(network, 32)) // 32))
        left = len(order) - start
        n_batches = -(-left // min(batch_size, most))
        n_batches = min(left, n_batches + -(made + n_batches) % n_threads)
        stop = start + -(-left // n_batches)
        yield network, order[start:stop]
        start, made = stop, made + 1
