"""Losses: what training minimises, with its gradient.

A loss works on the network's *raw* outputs z, shape (n, k), before any output activation: that way
the logarithms of log_loss never see a rounded probability. Value and gradient come from one
method, and the reduction is the same for all: **the weighted mean over rows of the sum over
outputs**; the caller's weights already sum to one.
"""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, xlogy

from skbp._component import Component
from skbp._engine import kernels

__all__ = ["LOSSES", "BinaryLogLoss", "LogLoss", "Loss", "Poisson", "SquaredError"]


class Loss(Component):
    """A loss on raw outputs, with the output activation that belongs to it.

    Attributes
    ----------
    targets : tuple of str
        What it can be used for, of "numbers", "binary", "multiclass" and "multilabel".
    output_activation : str
        Name of the function that turns raw outputs into predictions, as scikit-learn's
        ``out_activation_`` names it.
    """

    targets: tuple[str, ...] = ("numbers",)
    output_activation = "identity"

    def value_and_grad(self, raw, y, weight, grad):
        """Compute the loss of a batch and its gradient.

        Parameters
        ----------
        raw : ndarray of shape (n, k), float32 or float64
            Raw outputs of the network; not changed.
        y : ndarray of shape (n, k), dtype of `raw`; for `LogLoss` of shape (n,), intp
            Targets.
        weight : ndarray of shape (n,), dtype of `raw`
            Row weights that sum to one.
        grad : ndarray of shape (n, k), dtype of `raw`
            Overwritten with the gradient of the returned value with respect to `raw`.

        Returns
        -------
        value : float
            Weighted mean over rows of the sum over outputs.
        """
        raise NotImplementedError(f"{type(self).__name__} must define value_and_grad(...)")

    def check_targets(self, y):
        """Raise a ValueError if the loss is not defined for some of the targets."""

    def predict(self, raw):
        """Turn raw outputs into predictions: probabilities, or values on the target's scale.

        Parameters
        ----------
        raw : ndarray of shape (n, k)
            Overwritten where that saves memory.

        Returns
        -------
        prediction : ndarray of shape (n, k), dtype of `raw`
        """
        return raw

    def reported(self, value, n_outputs):
        """Return the number that ``loss_curve_`` shows for `value`, by default `value` itself."""
        return value


class SquaredError(Loss):
    """Half the squared error, ``(z - y)**2 / 2``; the gradient is ``z - y``.

    ``loss_curve_`` shows the *mean* over outputs, as scikit-learn's MLP does; the gradient is that
    of the *sum* over outputs, which its updates follow too. For one output they are the same.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 2))
    >>> SquaredError().value_and_grad(
    ...     np.array([[1.0, 3.0]]), np.array([[0.0, 1.0]]), np.ones(1), grad)
    2.5
    >>> grad
    array([[1., 2.]])
    """

    def value_and_grad(self, raw, y, weight, grad):
        np.subtract(raw, y, out=grad)
        squares = np.einsum("ij,ij->i", grad, grad)
        grad *= weight[:, None]
        return 0.5 * float(np.dot(weight, squares))

    def reported(self, value, n_outputs):
        return value / n_outputs


class Poisson(Loss):
    """Half the Poisson deviance with a log link, ``y log(y) - y z - y + exp(z)``, for y >= 0.

    The gradient is ``exp(z) - y``; the prediction is ``exp(z)``. ``0 log(0)`` counts as 0.

    References
    ----------
    P. McCullagh, J. A. Nelder (1989), "Generalized Linear Models", 2nd edition, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 1))
    >>> Poisson().value_and_grad(np.array([[0.0]]), np.array([[0.0]]), np.ones(1), grad)
    1.0
    """

    output_activation = "exp"

    def check_targets(self, y):
        if (y < 0).any():
            raise ValueError(
                f"loss='poisson' needs targets y >= 0; the smallest given is {y.min()}. Use "
                "loss='squared_error', or shift the targets."
            )

    def value_and_grad(self, raw, y, weight, grad):
        np.exp(raw, out=grad)
        loss = xlogy(y, y) - y * raw - y + grad
        grad -= y
        grad *= weight[:, None]
        return float(np.dot(weight, loss).sum())

    def predict(self, raw):
        return np.exp(raw, out=raw)


class LogLoss(Loss):
    """Softmax cross-entropy of one class among k, ``logsumexp(z) - z[class]``.

    The gradient is ``softmax(z) - onehot(class)``.

    References
    ----------
    J. S. Bridle (1990), "Probabilistic interpretation of feedforward classification network
    outputs", section 3.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 2))
    >>> value = LogLoss().value_and_grad(np.zeros((1, 2)), np.array([1]), np.ones(1), grad)
    >>> round(value, 4)
    0.6931
    >>> grad
    array([[ 0.5, -0.5]])
    """

    targets = ("multiclass",)
    output_activation = "softmax"

    def value_and_grad(self, raw, y, weight, grad):
        return kernels.softmax_cross_entropy(raw, y, weight, grad)

    def predict(self, raw):
        raw -= raw.max(axis=1, keepdims=True)
        np.exp(raw, out=raw)
        raw /= raw.sum(axis=1, keepdims=True)
        return np.maximum(raw, np.finfo(raw.dtype).tiny, out=raw)

    def log_predict(self, raw):
        """Return the logarithms of the probabilities, exact where those round to 0 or 1."""
        return log_softmax(raw, axis=1)


class BinaryLogLoss(Loss):
    """Cross-entropy of independent yes/no targets, ``log(1 + exp(z)) - y z``, y in [0, 1].

    For binary (k = 1) and multilabel (k labels) classification. The gradient is
    ``sigmoid(z) - y``. Predicted probabilities stay strictly inside (0, 1).

    References
    ----------
    C. M. Bishop (1995), "Neural Networks for Pattern Recognition", sections 6.7 and 6.8.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 1))
    >>> value = BinaryLogLoss().value_and_grad(np.zeros((1, 1)), np.ones((1, 1)), np.ones(1), grad)
    >>> round(value, 4)
    0.6931
    """

    targets = ("binary", "multilabel")
    output_activation = "logistic"

    def value_and_grad(self, raw, y, weight, grad):
        return kernels.sigmoid_cross_entropy(raw, y, weight, grad)

    def predict(self, raw):
        info = np.finfo(raw.dtype)
        expit(raw, out=raw)
        return np.clip(raw, info.tiny, 1 - info.epsneg, out=raw)

    def log_predict(self, raw):
        """Return the logarithms of the probabilities, exact where those round to 0 or 1."""
        return log_expit(raw)


LOSSES: dict[str, type[Loss]] = {
    "log_loss": LogLoss,
    "binary_log_loss": BinaryLogLoss,
    "squared_error": SquaredError,
    "poisson": Poisson,
}
