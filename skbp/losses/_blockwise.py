"""Losses of unweighted rows, a few at a time."""

import numpy as np

from skbp.losses.base import Loss

#: Raw outputs that are worked on at a time: intermediate results then stay in cache, and do not
#: grow with the batch.
BLOCK = 16_384


def row_blocks(shape):
    """Yield slices of the rows of an array of this shape (n, k), of about `BLOCK` values each."""
    step = max(1, BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], step):
        yield slice(start, start + step)


class Blockwise(Loss):
    """Base class of losses that leave weights and reduction to it, and define `losses`."""

    def losses(self, raw, y, grad):
        """Compute losses and gradients of single rows, without weights.

        Parameters
        ----------
        raw, y, grad
            Some rows of what `value_and_grad` is given.

        Returns
        -------
        losses : ndarray of shape (n,) or (n, ...)
            By row, or by row and output.
        """
        raise NotImplementedError(f"{type(self).__name__} must define losses(...)")

    def value_and_grad(self, raw, y, weight, grad):
        """Compute the loss of a batch and its gradient: see `Loss`."""
        value = 0.0
        for rows in row_blocks(raw.shape):
            losses = self.losses(raw[rows], y[rows], grad[rows])
            grad[rows] *= weight[rows, None]
            value += float(np.tensordot(weight[rows], losses, 1).sum())
        return value
