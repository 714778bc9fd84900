"""The loss of quantiles."""

from numbers import Real

import numpy as np
from scipy.special import expit

from skbp._component import Increasing, Range
from skbp.losses._blockwise import Blockwise


class Quantile(Blockwise):
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

    def losses(self, raw, y, grad):
        levels = np.asarray(self.levels, raw.dtype)
        parts, slope = self._by_target(raw), self._by_target(grad)
        excess = y[:, :, None] - self._quantiles(parts)
        np.subtract(excess < 0, levels, out=slope)
        # A raw output moves its own quantile and all above it.
        slope[...] = np.cumsum(slope[..., ::-1], axis=-1)[..., ::-1]
        slope[..., 1:] *= expit(parts[..., 1:])
        return np.maximum(levels * excess, (levels - 1) * excess)

    def predict(self, raw):
        quantiles = self._quantiles(self._by_target(raw))
        return quantiles[..., 0] if isinstance(self.quantile, Real) else quantiles

    def _by_target(self, raw):
        """View (n, n_targets * n_levels) as (n, n_targets, n_levels)."""
        return raw.reshape(len(raw), -1, len(self.levels))

    @staticmethod
    def _quantiles(parts):
        quantiles = parts.copy()
        quantiles[..., 1:] = np.logaddexp(0, parts[..., 1:])
        return np.cumsum(quantiles, axis=-1, out=quantiles)
