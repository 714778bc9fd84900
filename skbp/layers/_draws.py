"""Random numbers that depend on the row, not on how many threads share the batch."""

from math import prod

import numpy as np

from skbp import _kernels as kernels

#: Numbers that are drawn at a time only to be thrown away.
SCRATCH = 32768


class Draws:
    """Random numbers for some rows of a batch: those that they get when one thread has them all.

    All threads that share a batch begin with generators in the same state, and pass over what
    belongs to the rows of the others. So a row's numbers depend on the seed, the step and its place
    in the batch alone. In each method the first axis is that of the rows.

    Parameters
    ----------
    generator : numpy.random.Generator
        With a PCG64, as `numpy.random.default_rng` makes it; used by this thread alone.
    place : tuple of (int, int), optional
        Number of the first row in the batch, from 0, and of rows in the batch; by default the rows
        are the whole batch.
    """

    def __init__(self, generator, place=None):
        self._generator = generator
        self._place = place

    def random(self, shape):
        """Draw uniform numbers.

        Parameters
        ----------
        shape : tuple of int
            The first is the number of rows.

        Returns
        -------
        numbers : ndarray of that shape, float64
            In [0, 1).
        """
        before, after = self._others(shape)
        self._pass_over(before)
        numbers = self._generator.random(shape)
        self._pass_over(after)
        return numbers

    def standard_normal(self, out):
        """Draw from N(0, 1) into an array.

        Parameters
        ----------
        out : ndarray of shape (n, ...), float32 or float64, C-contiguous
            Overwritten.
        """
        # How many random words a normal number takes is not known before it is drawn.
        before, after = self._others(out.shape)
        self._throw_away(before, out.dtype)
        self._generator.standard_normal(dtype=out.dtype, out=out)
        self._throw_away(after, out.dtype)
        self._generator.bit_generator.advance(0)  # forget the half of a word that may be left

    def mask(self, rate, out):
        """Draw a mask of zeros, with probability `rate`, and ones.

        Parameters
        ----------
        rate : float
            In (0, 1), rounded to a multiple of 2**-16.
        out : ndarray of shape (n, ...), uint8
            Overwritten; in any order of memory.

        Returns
        -------
        kept : float
            The share that is kept.
        """
        key = self._generator.integers(0, 2**64, dtype=np.uint64)
        return kernels.dropout_mask(int(key), self._others(out.shape)[0], rate, out)

    def _others(self, shape):
        """Return how many numbers belong to the rows before these, and to those after them."""
        if self._place is None:
            return 0, 0
        first, n = self._place
        per_row = prod(shape[1:])
        return first * per_row, (n - first - shape[0]) * per_row

    def _pass_over(self, n_words):
        if n_words:
            self._generator.bit_generator.advance(n_words)

    def _throw_away(self, n, dtype):
        scratch = np.empty(min(n, SCRATCH), dtype)
        for start in range(0, n, SCRATCH):
            self._generator.standard_normal(dtype=dtype, out=scratch[: min(SCRATCH, n - start)])


__all__ = ["Draws"]
