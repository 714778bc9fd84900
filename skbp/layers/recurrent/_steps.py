"""The steps of a batch of sequences, without those that are absent."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from skbp import _kernels as kernels


class Steps(NamedTuple):
    """The present steps of a batch, lined up as the rows of one matrix.

    A sequence that carries its state over an absent step is one that lacks the step. So sequences
    are taken without their absent steps and sorted by what is left, the longest first; the matrix
    has the first step of each, then the second step of those that have two, and so on. At each
    step the sequences that still go on are the first ones, and their rows lie together.

    Attributes
    ----------
    blocks : list of slice
        The rows of each step.
    bounds : ndarray of shape (n_steps + 1,), intp
        Where they begin and end.
    rows, times : ndarray of shape (n_steps,), intp
        Where each row of the matrix comes from.
    order : ndarray of shape (n,), intp
        The sequences, sorted.
    whole : bool
        Whether no step is absent: then the matrix is the batch with time as its first axis.
    """

    blocks: list
    bounds: np.ndarray
    rows: np.ndarray
    times: np.ndarray
    order: np.ndarray
    whole: bool

    @staticmethod
    def work_shapes(n, time):
        """Shapes of the arrays that `find` fills and `of` reads."""
        shapes = {"rows": (n * time,), "times": (n * time,), "order": (n,), "counts": (time,)}
        return {name: (shape, np.intp) for name, shape in shapes.items()}

    @classmethod
    def find(cls, x, absent, w):
        """Line up the steps of x, shape (n, time, features), that are not absent."""
        n, time = x.shape[:2]
        rows, times = w["rows"], w["times"]
        if absent is not None:
            lengths = time - absent.sum(axis=1)
            w["order"][:] = order = np.argsort(-lengths, kind="stable")
            sequence, at = np.nonzero(~absent[order])
            lengths = lengths[order]
            step = np.arange(len(at)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            by_step = np.argsort(step, kind="stable")
            rows[: len(at)], times[: len(at)] = order[sequence[by_step]], at[by_step]
            w["counts"][:] = np.bincount(step, minlength=time)
        else:
            w["order"][:] = np.arange(n)
            rows.reshape(time, n)[:] = w["order"]
            times.reshape(time, n)[:] = np.arange(time)[:, None]
            w["counts"][:] = n
        return cls.of(w)

    @classmethod
    def of(cls, w):
        """Return what `find` found last."""
        counts = w["counts"]
        n_steps = int(np.count_nonzero(counts))
        bounds = np.zeros(n_steps + 1, np.intp)
        np.cumsum(counts[:n_steps], out=bounds[1:])
        ends = bounds.tolist()
        blocks = [slice(*pair) for pair in pairwise(ends)]
        rows, times = w["rows"][: ends[-1]], w["times"][: ends[-1]]
        return cls(blocks, bounds, rows, times, w["order"], ends[-1] == len(w["rows"]))

    def take(self, x, out):
        """Line up the steps of x, shape (n, time, k): in `out`, or as a view where they are so."""
        by_time, n_steps = x.transpose(1, 0, 2), len(self.rows)
        if not by_time.flags.c_contiguous:
            kernels.take_steps(x, self.rows, self.times, out[:n_steps])
        elif self.whole:
            return by_time.reshape(n_steps, -1)
        else:
            kernels.take_steps(by_time, self.times, self.rows, out[:n_steps])
        return out[:n_steps]

    def put(self, steps, out, fill):
        """Undo `take`: return steps as an array of shape (n, time, k), absent ones as `fill`.

        It is a view, with time as the first axis in memory, of `steps` or of `out`, whose shape is
        (time, n, k).
        """
        if self.whole:
            return steps.reshape(out.shape).transpose(1, 0, 2)
        out.fill(fill)
        kernels.put_steps(steps, self.times, self.rows, out)
        return out.transpose(1, 0, 2)
