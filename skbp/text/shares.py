"""Shares of texts, with intervals."""

import numpy as np
from scipy.stats import norm

from skbp._component import Range


def share_interval(count, n, *, confidence=0.95, sensitivity=1.0, specificity=1.0):
    """Estimate the share of texts of a kind, with an interval.

    The interval is Wilson's, which is good for few texts and for shares near 0 and 1 too. If a
    classifier has counted, what it reports is not the true share: with the share p it finds
    ``sensitivity * p + (1 - specificity) * (1 - p)``. Given these two rates, the estimate and the
    ends of the interval are turned back, and kept within [0, 1].

    Parameters
    ----------
    count : int or array-like of shape (...), >= 0
        Number of texts found to be of the kind, such as negative ones.
    n : int or array-like of shape (...), >= count
        Number of texts.
    confidence : float, default=0.95
        In (0, 1).
    sensitivity : float or array-like of shape (...), default=1.0
        Share of the texts of the kind that are found, in (0, 1].
    specificity : float or array-like of shape (...), default=1.0
        Share of the other texts that are not taken for such, in (0, 1].

    Returns
    -------
    share, low, high : ndarray of shape (...), float64
        Without texts NaN, 0 and 1.

    Raises
    ------
    ValueError
        If a number is out of range, or ``sensitivity + specificity`` is not above 1: the counts
        then say nothing about the share.

    See Also
    --------
    SurgeDetector : Tells when a share has risen.

    Notes
    -----
    The two rates are taken as known: the interval says nothing about their own error. They have to
    be measured on texts that the classifier was not trained on.

    References
    ----------
    E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    W. J. Rogan, B. Gladen (1978), "Estimating prevalence from the results of a screening test".

    Examples
    --------
    >>> from skbp.text import share_interval
    >>> [float(number.round(3)) for number in share_interval(12, 60)]
    [0.2, 0.118, 0.318]
    >>> found = share_interval(12, 60, sensitivity=0.8, specificity=0.9)
    >>> [float(number.round(3)) for number in found]
    [0.143, 0.026, 0.311]
    """
    if confidence not in Range(0, 1, low_open=True, high_open=True):
        raise ValueError(f"confidence must lie in (0, 1). Got {confidence!r} instead.")
    count, n = np.asarray(count, float), np.asarray(n, float)
    if not ((count >= 0) & (count <= n) & np.isfinite(n)).all():
        raise ValueError("count must be at least 0 and at most n, and some are not.")
    rates = [np.asarray(rate, float) for rate in (sensitivity, specificity)]
    for name, rate in zip(("sensitivity", "specificity"), rates, strict=True):
        if not ((rate > 0) & (rate <= 1)).all():
            raise ValueError(f"{name} must lie in (0, 1]. Got {rate.tolist()!r} instead.")
    gain = rates[0] + rates[1] - 1
    if not (gain > 0).all():
        raise ValueError(
            f"sensitivity + specificity must be above 1. Got {(gain + 1).tolist()!r}: such a "
            "classifier finds no more of the kind where there are more."
        )
    z = norm.isf((1 - confidence) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = count / n
        center = (count + z**2 / 2) / (n + z**2)
        half = z / (n + z**2) * np.sqrt(count * (n - count) / np.where(n > 0, n, 1) + z**2 / 4)
    ends = (share, center - half, center + half)
    return tuple(np.clip((end - (1 - rates[1])) / gain, 0, 1) for end in ends)
