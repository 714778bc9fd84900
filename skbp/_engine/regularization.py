"""What happens to gradients before an update, and to weights after it."""

import math
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from skbp._kernels.numpy_kernels import BLOCK


def _blocks(size):
    return (slice(start, start + BLOCK) for start in range(0, size, BLOCK))


@dataclass(frozen=True)
class Penalty:
    """``alpha ((1 - l1_ratio) / 2 |W|**2 + l1_ratio |W|_1)``, over a total row weight.

    Parameters
    ----------
    alpha : float
        Strength, not negative.
    l1_ratio : float, default=0.0
        In [0, 1]: the share of the L1 norm.
    """

    alpha: float
    l1_ratio: float = 0.0

    def strengths(self, total):
        """Return the factors of ``|W|**2 / 2`` and of ``|W|_1`` for rows of this total weight."""
        strength = self.alpha / total
        return strength * (1 - self.l1_ratio), strength * self.l1_ratio


def add_l1(params, grads, strength):
    """``grads += strength * sign(params)``; returns ``strength * sum(|params|)``."""
    total = 0.0
    for block in _blocks(params.size):
        part = params[block]
        total += float(np.abs(part).sum())
        grads[block] += np.multiply(np.sign(part), part.dtype.type(strength))
    return strength * total


@dataclass(frozen=True)
class Clip:
    """Limits a gradient: first each value, then the norm of the whole vector.

    Parameters
    ----------
    max_value : float or None
        The largest absolute value of a component.
    max_norm : float or None
        The largest Euclidean norm; a longer vector is scaled down to it.

    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio (2013), "On the difficulty of training recurrent neural
    networks", section 3.2.
    """

    max_value: float | None = None
    max_norm: float | None = None

    def __bool__(self):
        return self.max_value is not None or self.max_norm is not None

    def __call__(self, grads):
        """Clip a vector in place; one that is not finite stays so."""
        if self.max_value is not None:
            np.clip(grads, -self.max_value, self.max_value, out=grads)
        if self.max_norm is not None:
            norm, scale = math.sqrt(float(np.dot(grads, grads))), 1.0
            if not math.isfinite(norm):  # its square may be too large where it is not
                scale = float(np.abs(grads).max())
                if not math.isfinite(scale):
                    return
                grads /= scale
                norm = math.sqrt(float(np.dot(grads, grads)))
            if norm * scale > self.max_norm:
                grads *= self.max_norm / norm
            elif scale != 1:
                grads *= scale


class MaxNorm:
    """Keeps the norms of units' incoming weights within what layers say (`Layer.norm_limits`).

    Those of each matrix for itself; a filter's weights are one unit's.

    Parameters
    ----------
    network : Network
        Its frozen parameters are left as they are.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov (2014), "Dropout: a
    simple way to prevent neural networks from overfitting", section 5.1.
    """

    def __init__(self, network):
        limits = [layer.norm_limits for layer in network.layers]
        self._weights = [
            (view.reshape(-1, view.shape[-1]), limits[one.layer][one.key])
            for number, one in enumerate(network.parameters)
            if one.key in limits[one.layer] and number not in network.frozen
            for view in [network.views[one.layer][one.key]]
        ]

    def __bool__(self):
        return bool(self._weights)

    def __call__(self):
        """Scale down, in place, the columns that are too long."""
        for weight, limit in self._weights:
            norms = np.sqrt(np.einsum("ij,ij->j", weight, weight))
            if (norms > limit).any():
                weight *= limit / np.maximum(norms, limit)


class Average:
    """An exponential moving average of the parameters.

    ``average += (1 - d) (params - average)`` after update t, with
    ``d = min(decay, (1 + t) / (10 + t))``, so that the first, random weights are soon forgotten.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        What training changes.
    decay : float
        In [0, 1).
    average : ndarray of shape (n_params,), optional
        To go on from; changed in place.

    References
    ----------
    B. Polyak, A. Juditsky (1992), "Acceleration of stochastic approximation by averaging"; with
    exponential weights as in D. P. Kingma, J. Ba (2015), "Adam", section 7.2.
    """

    def __init__(self, params, decay, average=None):
        self._params = params
        self._decay = decay
        self.average = params.copy() if average is None else average

    def update(self, t):
        """Take in the parameters after update number t of this fit, from 1."""
        rate = 1 - min(self._decay, (1 + t) / (10 + t))
        for block in _blocks(self._params.size):
            step = self._params[block] - self.average[block]
            step *= rate
            self.average[block] += step

    def update_after(self, call):
        """Take in the parameters after one more update than a `Progressing` has counted."""
        self.update(call.updates + 1)

    @contextmanager
    def in_place(self):
        """While entered, the parameters are the average."""
        raw = self._params.copy()
        self._params[...] = self.average
        try:
            yield
        finally:
            self._params[...] = raw
