"""The loss of quantiles."""

from numbers import Real

import numpy as np
from scipy.special import expit

from skbp._component import Increasing, Range
from skbp.losses.base import Loss


def weighted_quantiles(y, weight, levels):
    """Return the smallest targets below or at which at least a share of the weight lies.

    Parameters
    ----------
    y : ndarray of shape (n, n_targets)
    weight : ndarray of shape (n,)
        Sums to one.
    levels : sequence of float
        In (0, 1).

    Returns
    -------
    quantiles : ndarray of shape (n_levels, n_targets), float64
    """
    order = np.argsort(y, axis=0)
    below = np.cumsum(weight[order], axis=0)
    # At the level itself, up to rounding, the lower of two targets counts.
    places = [(below < level - 1e-12).sum(axis=0) for level in levels]
    found = np.take_along_axis(y, order, axis=0)
    return np.take_along_axis(found, np.minimum(places, len(y) - 1), axis=0).astype(np.float64)


class Quantile(Loss):
    """Pinball loss of quantiles q of the targets, ``max(t (y - q), (t - 1) (y - q))`` at level t.

    Its mean is least where a share t of the targets lies below q. The gradient with respect to q
    is ``-t`` below y and ``1 - t`` above. Several levels are summed, and their quantiles never
    cross: each is the one below it plus an increment that cannot be negative.

    Raw outputs, for each target in turn: the quantile of the lowest level, then for each further
    level the number whose softplus ``log(1 + exp(z))`` is the increment. For m levels and 2
    targets these are 2 m outputs, the first m of them for the first target.

    Parameters
    ----------
    quantile : float or sequence of float, default=0.5
        The level or levels t, in (0, 1); several strictly increase. For a sequence predictions
        get a last axis of its length.

    See Also
    --------
    AbsoluteError : Twice the loss of the median.

    References
    ----------
    R. Koenker, G. Bassett (1978), "Regression quantiles".
    Y. Park, D. Maddix, F.-X. Aubet, K. Kan, J. Gasthaus, Y. Wang (2022), "Learning quantile
    functions without quantile crossing for distribution-free time series forecasting": increments.

    Examples
    --------
    >>> import numpy as np
    >>> loss = Quantile([0.1, 0.5, 0.9])
    >>> loss.n_outputs(2)
    6
    >>> loss.predict(np.array([[1.0, 0.0, 0.0]])).round(2)
    array([[[1.  , 1.69, 2.39]]])
    """

    allowed = {"quantile": Increasing(Range(0, 1, low_open=True, high_open=True))}

    def __init__(self, quantile=0.5):
        self.quantile = quantile

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels, as a tuple of float."""
        return tuple(float(level) for level in np.atleast_1d(self.quantile))

    def n_outputs(self, n_targets):
        return n_targets * len(self.levels)

    def losses(self, raw, y, grad=None):
        levels, parts = np.asarray(self.levels, raw.dtype), self._by_target(raw)
        excess = y[:, :, None] - self._quantiles(parts)
        if grad is not None:
            slope = self._by_target(grad)
            np.subtract(excess < 0, levels, out=slope)
            # A raw output moves its own quantile and all above it.
            slope[...] = np.cumsum(slope[..., ::-1], axis=-1)[..., ::-1]
            slope[..., 1:] *= expit(parts[..., 1:])
        return np.maximum(levels * excess, (levels - 1) * excess)

    def start(self, y, weight, n_targets):
        found = weighted_quantiles(y, weight, self.levels)  # (n_levels, n_targets)
        return self._raw_of(found.T).ravel()

    def predict(self, raw):
        quantiles = self._quantiles(self._by_target(raw))
        return quantiles[..., 0] if isinstance(self.quantile, Real) else quantiles

    def mix(self, raw):
        parts = raw.reshape(*raw.shape[:2], -1, len(self.levels))
        return self._raw_of(self._quantiles(parts).mean(axis=1)).reshape(len(raw), -1)

    @staticmethod
    def _raw_of(quantiles):
        """Return the raw outputs of quantiles, shape (..., n_levels), that do not fall."""
        steps = np.maximum(np.diff(quantiles, axis=-1), 1e-6)
        # The inverse of softplus, log(exp(step) - 1), without exponentials of large numbers.
        steps += np.log(-np.expm1(-steps))
        return np.concatenate([quantiles[..., :1], steps], axis=-1)

    def _by_target(self, raw):
        """View (n, n_targets * n_levels) as (n, n_targets, n_levels)."""
        return raw.reshape(len(raw), -1, len(self.levels))

    @staticmethod
    def _quantiles(parts):
        quantiles = parts.copy()
        quantiles[..., 1:] = np.logaddexp(0, parts[..., 1:])
        return np.cumsum(quantiles, axis=-1, out=quantiles)
