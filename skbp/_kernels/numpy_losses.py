"""The hot loops of losses, in NumPy: what each kernel means."""

import numpy as np
from scipy.special import expit

__all__ = ["sigmoid_cross_entropy", "softmax_cross_entropy"]


def softmax_cross_entropy(raw, target, weight, grad):
    """Loss and gradient of the softmax cross-entropy on raw scores.

    With p the softmax of a row z of `raw` and c its class, the row's loss is
    ``logsumexp(z) - z[c]`` and its gradient ``p - onehot(c)``; both times the row's weight.
    `weight` has shape (n,); returns the weighted sum of the losses.
    """
    rows = np.arange(len(raw))
    z = raw.T.copy()  # there, reductions over the classes run along whole rows
    z -= z.max(axis=0)
    picked = z[target, rows]
    np.exp(z, out=z)
    total = z.sum(axis=0)
    z *= weight / total
    z[target, rows] -= weight
    grad[...] = z.T
    return float(np.dot(weight, np.log(total) - picked))


def sigmoid_cross_entropy(raw, target, weight, grad):
    """Loss and gradient of the binary cross-entropy on raw scores, summed over columns.

    For a score z with target y in [0, 1] the loss is ``log(1 + exp(z)) - y z``, its gradient
    ``sigmoid(z) - y``. `weight` has shape (n,); returns the weighted sum of the losses.
    """
    loss = np.logaddexp(0, raw) - target * raw
    expit(raw, out=grad)
    grad -= target
    grad *= weight[:, None]
    return float(np.dot(weight, loss).sum())
