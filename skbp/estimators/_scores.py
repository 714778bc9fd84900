"""How well numbers are predicted."""

import numpy as np
from sklearn.metrics import d2_pinball_score, r2_score


def score_predictions(loss, y, prediction, weight):
    """Return R2, or for quantiles the mean D2 pinball score over levels.

    Parameters
    ----------
    loss : Loss
    y : array-like of shape (n,) or (n, n_targets)
    prediction : ndarray of shape (n,) or (n, n_targets)
        What the loss predicts; of quantiles of shape (n, n_targets, n_levels), or without the last
        axis for a single level.
    weight : array-like of shape (n,) or None
    """
    if not loss.levels:
        return r2_score(y, prediction, sample_weight=weight)
    prediction = prediction.reshape(*prediction.shape[:2], -1)  # a single level has no axis
    scores = [
        d2_pinball_score(y, prediction[:, :, index], sample_weight=weight, alpha=level)
        for index, level in enumerate(loss.levels)
    ]
    return float(np.mean(scores))
