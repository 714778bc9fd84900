"""Numbers of one column to numbers that a network takes: one small class a way.

Each is made from the sorted values of the training data that are not missing, and then maps any
values; NaN becomes 0, and so does a column of which there is but one value.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from skbp._forms import REAL, Array, Is, require
from skbp._plain import kept

#: Probabilities are kept so far from 0 and 1, as in scikit-learn's QuantileTransformer.
THRESHOLD = 1e-7
LOW = float(ndtri(THRESHOLD - np.spacing(1)))
HIGH = float(ndtri(1 - (THRESHOLD - np.spacing(1))))
#: The fewest quantiles, and the rows for each, that TabM's preparation takes.
FEWEST_QUANTILES, ROWS_A_QUANTILE = 10, 30
#: Further out the smooth clip is flat; its square is finite.
FLAT = 1e6


def quantiles_of(ordered: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return quantiles of sorted numbers, with linear interpolation, as ``np.quantile`` does."""
    position = shares * (len(ordered) - 1)
    below = np.floor(position).astype(np.intp)
    t = position - below
    low, high = ordered[below], ordered[np.minimum(below + 1, len(ordered) - 1)]
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low
        found = np.where(t < 0.5, low + width * t, high - width * (1 - t))
    found = np.where(np.isfinite(width), found, low * (1 - t) + high * t)
    return np.maximum.accumulate(found)


def _shifted(values, center, scale):
    """Return ``(values - center) / scale``; 0 for NaN, and everywhere for an infinite scale."""
    if np.isinf(scale):
        return np.zeros(len(values))
    with np.errstate(over="ignore", invalid="ignore"):
        shifted = (values - center) / scale
    shifted[np.isnan(values)] = 0
    return shifted


def _unshifted(values, center, scale):
    """Undo `_shifted`; a column without a scale becomes its center."""
    return values * (0.0 if np.isinf(scale) else scale) + center


@kept(name="RobustScale")
class Robust:
    """``z / sqrt(1 + (z / clip)^2)`` with ``z = (x - median) / scale``.

    Parameters
    ----------
    ordered : ndarray of shape (n,), float64
        Sorted, without NaN.
    clip : float
        Bound of the absolute value.
    """

    _form = {"clip": REAL, "center": REAL, "scale": REAL}

    def __init__(self, ordered, clip):
        self.clip = clip
        self.center, self.scale = 0.0, np.inf
        if len(ordered):
            q25, self.center, q75 = quantiles_of(ordered, np.array([0.25, 0.5, 0.75])).tolist()
            with np.errstate(over="ignore"):
                scale = float(q75 - q25 or (ordered[-1] - ordered[0]) / 2)
            # An infinite scale is that of a constant column; a range may be beyond all floats.
            self.scale = min(scale, np.finfo(np.float64).max) or np.inf

    def apply(self, values):
        """Return the numbers, in [-clip, clip]."""
        with np.errstate(over="ignore"):
            z = _shifted(values, self.center, self.scale) / self.clip
        z = np.clip(z, -FLAT, FLAT)
        return self.clip * (z / np.sqrt(1 + z * z))

    def undo(self, values):
        """Return the values that numbers come from; those at or beyond the bound far outside."""
        y = np.clip(values / self.clip, -1, 1)
        with np.errstate(divide="ignore"):
            z = self.clip * np.clip(y / np.sqrt((1 - y) * (1 + y)), -FLAT, FLAT)
        return _unshifted(z, self.center, self.scale)


@kept(name="QuantileScale")
class Quantile:
    """The quantile of the standard normal distribution at each value's own quantile.

    Parameters
    ----------
    ordered : ndarray of shape (n,), float64
        Sorted, without NaN.
    n_quantiles : int
        How many to interpolate between.
    """

    _form = dict.fromkeys(("shares", "quantiles", "repeated", "middle"), Array("f"))

    def __init__(self, ordered, n_quantiles):
        self.shares = np.linspace(0, 1, n_quantiles)
        self.quantiles = (
            quantiles_of(ordered, self.shares) if len(ordered) else np.zeros(n_quantiles)
        )
        # A value that is several quantiles at once: in the middle of their shares.
        self.repeated, first, count = np.unique(
            self.quantiles, return_index=True, return_counts=True
        )
        several = count > 1
        self.repeated, first, last = (
            part[several] for part in (self.repeated, first, first + count - 1)
        )
        self.middle = (self.shares[first] + self.shares[last]) / 2

    def _check_parts(self):
        fits = 0 < len(self.quantiles) == len(self.shares)
        fits = fits and len(self.repeated) == len(self.middle)
        fits = fits and bool((np.diff(self.quantiles) >= 0).all())
        require(fits, self, "quantiles that are none")

    def apply(self, values):
        """Return the numbers, in [-5.2, 5.2]."""
        low, high = self.quantiles[0], self.quantiles[-1]
        if low == high:
            return np.zeros(len(values))
        share = np.interp(values, self.quantiles, self.shares)
        if len(self.repeated):
            at = np.minimum(np.searchsorted(self.repeated, values), len(self.repeated) - 1)
            share = np.where(self.repeated[at] == values, self.middle[at], share)
        share[values <= low] = 0
        share[values >= high] = 1
        numbers = np.clip(ndtri(share), LOW, HIGH)
        numbers[np.isnan(values)] = 0
        return numbers

    def undo(self, values):
        """Return the values that numbers come from."""
        share = ndtr(values)
        found = np.interp(share, self.shares, self.quantiles)
        found[share < 1.01 * THRESHOLD] = self.quantiles[0]
        found[share > 1 - 1.01 * THRESHOLD] = self.quantiles[-1]
        return found


@kept(name="StandardScale")
class Standard:
    """``(x - mean) / standard deviation``."""

    _form = {"center": REAL, "scale": REAL}

    def __init__(self, ordered):
        self.center, self.scale = 0.0, np.inf
        largest = np.abs(ordered).max() if len(ordered) else 0.0
        if largest > 0:
            parts = ordered / largest  # neither the sum nor the squares overflow
            self.center = float(parts.mean() * largest)
            constant = ordered[0] == ordered[-1]
            self.scale = np.inf if constant else float(parts.std() * largest)

    def apply(self, values):
        """Return the numbers."""
        return _shifted(values, self.center, self.scale)


@kept(name="PlainScale")
class Plain:
    """The values as they are; NaN becomes 0."""

    def __init__(self, ordered):
        pass

    def apply(self, values):
        """Return the numbers."""
        return np.where(np.isnan(values), 0.0, values)


#: What scales there are.
SCALES = Is(Robust, Quantile, Standard, Plain)


def n_quantiles_for(n_rows: int, at_most: int) -> int:
    """Return how many quantiles to take of so many rows: one for 30 of them, 10 at least."""
    wanted = max(min(n_rows // ROWS_A_QUANTILE, at_most), FEWEST_QUANTILES)
    return max(1, min(wanted, at_most, n_rows))
