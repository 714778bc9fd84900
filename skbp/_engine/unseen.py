"""What a network said of rows that it was neither trained on nor chosen by."""

import numpy as np


class ChosenByOthers:
    """Raw outputs of held-out rows, each of the epoch that the other rows would choose.

    The epoch that stands is the one that suits the held-out rows best. So its errors on them are
    too small, the more so the fewer they are. A row that has no say in which epoch is taken tells
    what new rows would: its errors are fit for intervals.

    Parameters
    ----------
    least : ndarray of shape (n,), float64
        Of each row the least loss of the others so far, a sum.
    raw : ndarray of shape (n, k)
        Its raw outputs in that epoch.
    """

    def __init__(self, least, raw):
        self.least, self.raw = least, raw

    @classmethod
    def of(cls, n, k, dtype):
        """Return what there is before the first epoch."""
        return cls(np.full(n, np.inf), np.full((n, k), np.nan, dtype))

    def note(self, losses, weight, raw):
        """Look at an epoch.

        Parameters
        ----------
        losses : ndarray of shape (n,)
            Of each row, without its weight.
        weight : ndarray of shape (n,) or None
        raw : ndarray of shape (n, k)
            Not changed.
        """
        weighted = losses.astype(np.float64) if weight is None else losses * weight
        others = weighted.sum() - weighted
        better = others < self.least
        self.least[better], self.raw[better] = others[better], raw[better]

    def arrays(self):
        """Return copies of both arrays, for a state to go on from."""
        return self.least.copy(), self.raw.copy()
