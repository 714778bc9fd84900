"""Random pieces of a running text as the rows of an epoch."""

import numpy as np

from skbp._engine.batches import Batch, Batches, Deferred


class Crops(Batches):
    """Batches of pieces that begin anywhere in a running text, anew each epoch.

    The rows of the data are that text, cut one after another. A piece has the length of a row. It
    begins at a place that is drawn, each with the same probability, and counts as much as the row
    that its middle is in. A piece never reaches into rows that are not to train on.

    Parameters
    ----------
    data : Data
        Dense x of shape (n, time), which are also the targets.
    rows, batch_size, shuffle, rng, find_columns, held_out, mean_factor
        As for `Batches`; the order is always random.
    n_crops : int
        Pieces of an epoch.

    References
    ----------
    A. Karpathy (2022), nanoGPT, https://github.com/karpathy/nanoGPT: `get_batch` of its training
    script.
    """

    def __init__(
        self, data, rows, batch_size, shuffle, rng, find_columns, held_out, mean_factor, n_crops
    ):
        super().__init__(data, rows, batch_size, False, rng, find_columns, held_out, mean_factor)
        n, self._time = data.x.shape
        x = data.x.source if isinstance(data.x, Deferred) else data.x
        self._text, self._steps = x.reshape(-1), np.arange(self._time)
        trained = np.zeros(n + 1, bool)
        trained[slice(n) if rows is None else rows] = True
        starts = np.zeros((n, self._time), bool)
        starts[:, 0] = trained[:-1]
        starts[trained[:-1] & trained[1:]] = True  # they reach into the row after theirs
        self._starts = np.flatnonzero(starts)
        self._crops = np.empty((batch_size, self._time), data.dtype)
        self.n_rows = n_crops

    def epoch(self):
        """Yield the batches of one epoch; their arrays are overwritten by the next batch."""
        starts = self._starts[self.rng.randint(len(self._starts), size=self.n_rows)]
        for first in range(0, self.n_rows, self.batch_size):
            yield self._crop(starts[first : first + self.batch_size])

    def _crop(self, starts):
        n = len(starts)
        x = self._crops[:n]
        x[...] = self._text[starts[:, None] + self._steps]
        if self._data.weight is None:
            return Batch(x, x, self._uniform_weight(n), n)
        weight, total = self._weights((starts + self._time // 2) // self._time, n)
        return Batch(x, x, weight, total)
