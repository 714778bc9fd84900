"""Steps of matrices whose directions are all equally long."""

import math

import numpy as np

from skbp._component import Flag, Range, Whole
from skbp.optimizers.adam import Adam
from skbp.optimizers.base import SHARED

#: Coefficients of the odd polynomial ``a s + b s**3 + c s**5`` that five times in a row takes
#: singular values from (0, 1] to about 1.
NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315


def orthogonalized(matrix, n_steps):
    """Return about ``U V'`` of a matrix ``U S V'``: its singular values become about 1.

    Parameters
    ----------
    matrix : ndarray of shape (n, k), float32 or float64
    n_steps : int
        Of the Newton-Schulz iteration, at least 1; after 5 singular values are from 0.7 to 1.2,
        save those that were smallest.

    Returns
    -------
    result : ndarray of shape (n, k)
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    largest = float(np.abs(x).max(initial=0.0))
    if not largest > 0:
        return np.zeros_like(matrix)
    x = x / largest
    x /= np.linalg.norm(x)
    for _ in range(n_steps):
        square = x @ x.T
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.T if tall else x


class Muon(Adam):
    """Momentum, made orthogonal, for the matrices of hidden layers; `AdamW` for all the rest.

    For a weight of n inputs and k units: ``v = momentum v + g``, ``u = momentum v + g`` (without
    Nesterov's momentum ``u = v``), ``p = p - lr 0.2 sqrt(max(n, k)) O(u)``, where O makes all
    singular values about 1 by the Newton-Schulz iteration. The factor gives steps the size that
    Adam's have, so that one learning rate serves both. Biases, the output layer, embeddings and
    what normalises get Adam's steps, with epsilon as in `AdamW`. The filters of a convolution are
    a matrix from all that a window holds to the channels.

    Parameters
    ----------
    momentum : float, default=0.95
        In [0, 1): the share of the last momentum that is kept.
    nesterov : bool, default=True
        Whether to look ahead along the momentum.
    n_steps : int, default=5
        Steps of the Newton-Schulz iteration, at least 1.
    weight_decay : float or Scheduled, default=0.1
        Not negative: the share of a weight that it loses a step is lr times this.
    beta_1, beta_2, epsilon : float
        As in `AdamW`, for what is no hidden layer's matrix.
    clip_norm, clip_value, ema_decay, groups : optional
        What all optimizers have: see `Optimizer`.

    References
    ----------
    K. Jordan, Y. Jin, V. Boza, J. You, F. Cesista, L. Newhouse, J. Bernstein (2024), "Muon: an
    optimizer for hidden layers in neural networks": the iteration and its coefficients.
    J. Liu et al. (2025), "Muon is scalable for LLM training", section 2.2: weight decay, and the
    factor of the rate.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp.optimizers import Muon
    >>> p, muon = np.zeros((2, 2)), Muon()
    >>> muon.step(p, np.diag([9.0, 1.0]), {"m": np.zeros((2, 2))}, lr=1.0, t=1)
    >>> bool((np.diag(p) < -0.15).all())  # both directions, though one gradient is far larger
    True
    """

    fused = False
    by_array = True
    epsilon_after_correction = True
    allowed = {
        **Adam.allowed,
        "momentum": Range(0, 1, high_open=True),
        "nesterov": Flag(),
        "n_steps": Whole(1),
        **SHARED,
    }

    def __init__(self, momentum=0.95, nesterov=True, n_steps=5, weight_decay=0.1, beta_1=0.9,
                 beta_2=0.999, epsilon=1e-8, clip_norm=None, clip_value=None, ema_decay=None,
                 groups=None):  # fmt: skip
        super().__init__(
            beta_1, beta_2, epsilon, weight_decay, clip_norm, clip_value, ema_decay, groups
        )
        self.momentum = momentum
        self.nesterov = nesterov
        self.n_steps = n_steps

    def step(self, params, grads, state, lr, t):
        self.penalized_step(params, grads, state, lr, t, 0.0)

    def penalized_step(self, params, grads, state, lr, t, strength, decay=1.0):
        if params.ndim < 2:
            return super().penalized_step(params, grads, state, lr, t, strength, decay)
        squares = 0.0
        if strength:
            squares = float(np.einsum("ij,ij->", params, params))
            grads += np.multiply(params, strength, dtype=params.dtype)
        params *= decay
        velocity, momentum = state["m"], float(self.momentum)
        velocity *= momentum
        velocity += grads
        if self.nesterov:
            grads += momentum * velocity
        direction = orthogonalized(grads if self.nesterov else velocity, self.n_steps)
        params -= lr * 0.2 * math.sqrt(max(params.shape)) * direction
        return squares
