"""The loss of a mean and a spread."""

import numpy as np

from skbp._component import Range
from skbp.losses.base import Loss

HALF_LOG_2_PI = float(np.log(2 * np.pi) / 2)


class GaussianNLL(Loss):
    """Negative log likelihood of a normal distribution whose mean and spread both are learned.

    ``(log(2 pi) + log(s) + (y - m)**2 / s) / 2`` with mean m and variance ``s = exp(v) +
    min_std**2``. Raw outputs, for each target in turn: m, then v. The gradient with respect to m
    is ``(m - y) / s``, with respect to v ``exp(v) / s (1 - (y - m)**2 / s) / 2``.

    The floor under the variance keeps the loss finite: without one, a point that is met exactly
    makes it -inf as its variance goes to zero. The variance starts near one, so standardise
    targets whose spread is far from that (`sklearn.compose.TransformedTargetRegressor` does, but
    predicts means only). The loss can be negative.

    Parameters
    ----------
    min_std : float, default=1e-3
        The smallest standard deviation, in units of y; > 0.

    References
    ----------
    D. A. Nix, A. S. Weigend (1994), "Estimating the mean and variance of the target probability
    distribution". The floor is ours.

    Examples
    --------
    >>> import numpy as np
    >>> loss, raw = GaussianNLL(), np.array([[2.0, np.log(9.0)]])
    >>> loss.predict(raw), loss.predict_std(raw).round(4)
    (array([[2.]]), array([[3.]]))
    """

    has_std = True
    allowed = {"min_std": Range(0, 1e100, low_open=True)}  # its square is a float

    def __init__(self, min_std=1e-3):
        self.min_std = min_std

    def n_outputs(self, n_targets):
        return 2 * n_targets

    def losses(self, raw, y, grad=None):
        mean, log_exp = raw[:, ::2], raw[:, 1::2]
        log_variance = self._log_variance(raw)
        inverse_std = np.exp(-log_variance / 2)
        error = (mean - y) * inverse_std  # in standard deviations
        if grad is not None:
            np.multiply(error, inverse_std, out=grad[:, ::2])
            # share = sqrt(exp(v) / s), multiplied into the error before squaring: no 0 times inf
            share = np.exp((log_exp - log_variance) / 2)
            np.subtract(share**2, (share * error) ** 2, out=grad[:, 1::2])
            grad[:, 1::2] /= 2
        return HALF_LOG_2_PI + (log_variance + error**2) / 2

    def start(self, y, weight, n_targets):
        mean = weight @ y
        variance = weight @ (y - mean) ** 2 - self.min_std**2
        # Targets that are all the same would have the variance 0, whose logarithm there is not.
        least = np.maximum(1e-6, self.min_std**2)
        return np.column_stack([mean, np.log(np.maximum(variance, least))]).ravel()

    def predict(self, raw):
        return raw[:, ::2].copy()

    def mix(self, raw):
        # The mean and the variance of the mixture: variances within members, and between them.
        means, variances = raw[..., ::2], np.exp(self._log_variance(raw))
        mixed, least = np.empty_like(raw[:, 0]), self.min_std**2
        mixed[:, ::2] = means.mean(axis=1)
        variance = variances.mean(axis=1) + means.var(axis=1) - least
        mixed[:, 1::2] = np.log(np.maximum(variance, max(1e-6 * least, np.finfo(raw.dtype).tiny)))
        return mixed

    def predict_std(self, raw):
        return np.exp(self._log_variance(raw) / 2)

    def _log_variance(self, raw):
        return np.logaddexp(raw[..., 1::2], 2 * float(np.log(self.min_std)))
