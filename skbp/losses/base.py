"""The contract of a loss."""

import numpy as np
from scipy.optimize import minimize

from skbp._component import Component

#: Raw outputs that are worked on at a time: intermediate results then stay in cache, and do not
#: grow with the batch.
BLOCK = 16_384
#: The most rows that are looked at for raw outputs to start from, where there is no formula.
START_ROWS = 10_000


def row_blocks(shape):
    """Yield slices of the rows of an array of this shape (n, k), of about `BLOCK` values each."""
    step = max(1, BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], step):
        yield slice(start, start + step)


class Loss(Component):
    """A loss on raw outputs, with the output activation that belongs to it.

    A loss defines `losses`, of single rows; weights and reduction are left to this class. One with
    a faster way to both defines `value_and_grad` as well, or alone. It keeps nothing between calls:
    in convolutional and recurrent networks threads share a batch, and call it at the same time.

    Attributes
    ----------
    targets : tuple of str
        What it can be used for, of "numbers", "binary", "multiclass" and "multilabel".
    output_activation : str
        Name of the function that turns raw outputs into predictions, as scikit-learn's
        ``out_activation_`` names it.
    probabilistic : bool
        Whether `predict` returns probabilities of classes. Then `log_predict` returns their
        logarithms.
    has_std : bool
        Whether `predict_std` tells the spread of the targets around the prediction.
    """

    targets: tuple[str, ...] = ("numbers",)
    output_activation = "identity"
    probabilistic = False
    has_std = False

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels of the quantiles that `predict` estimates; empty if it estimates others."""
        return ()

    def for_targets(self, kind):
        """Return the loss to train with on targets of a kind, by default the loss itself.

        Parameters
        ----------
        kind : {"numbers", "binary", "multiclass", "multilabel"}

        Returns
        -------
        loss : Loss
            Made for `kind` if that is one of `targets`.
        """
        return self

    def n_outputs(self, n_targets):
        """Return how many raw outputs it takes to predict `n_targets` columns or classes."""
        return n_targets

    def losses(self, raw, y, grad=None):
        """Compute losses, and perhaps gradients, of single rows, without weights.

        Parameters
        ----------
        raw, y
            Some rows of what `value_and_grad` is given.
        grad : ndarray of shape (n, k), optional
            Overwritten with the gradients with respect to `raw`. None: no gradient is wanted.

        Returns
        -------
        losses : ndarray of shape (n,) or (n, ...)
            By row, or by row and output.
        """
        raise NotImplementedError(f"{type(self).__name__} must define losses(...)")

    def value_and_grad(self, raw, y, weight, grad):
        """Compute the loss of a batch and its gradient.

        Parameters
        ----------
        raw : ndarray of shape (n, k), float32 or float64
            Raw outputs of the network; not changed.
        y : ndarray of shape (n, n_targets), dtype of `raw`; for several classes (n,), intp
            Targets. Except where `n_outputs` says otherwise, n_targets is k.
        weight : ndarray of shape (n,), dtype of `raw`
            Row weights that sum to one.
        grad : ndarray of shape (n, k), dtype of `raw`
            Overwritten with the gradient of the returned value with respect to `raw`.

        Returns
        -------
        value : float
            Weighted mean over rows of the sum over outputs.
        """
        value = 0.0
        for rows in row_blocks(raw.shape):
            losses = self.losses(raw[rows], y[rows], grad[rows])
            grad[rows] *= weight[rows, None]
            value += float(np.tensordot(weight[rows], losses, 1).sum())
        return value

    def value(self, raw, y, weight):
        """Compute the loss of a batch without its gradient; as `value_and_grad`.

        Returns
        -------
        value : float
        """
        if type(self).losses is Loss.losses:  # there is but `value_and_grad`
            return self.value_and_grad(raw, y, weight, np.empty_like(raw))
        return sum(
            float(np.tensordot(weight[rows], self.losses(raw[rows], y[rows]), 1).sum())
            for rows in row_blocks(raw.shape)
        )

    def start(self, y, weight, n_targets):
        """Return the raw outputs that, the same for all rows, make the loss least.

        Class log-odds, the mean of the targets: where a network may start from.

        Parameters
        ----------
        y : ndarray
            Targets, as in `value_and_grad`, of any dtype.
        weight : ndarray of shape (n,), float64
            Row weights that sum to one.
        n_targets : int
            Columns of y, or classes.

        Returns
        -------
        raw : ndarray of shape (k,), float64
            Found by minimising the loss of at most 10,000 rows, where a loss has no formula.
        """
        rows = np.linspace(0, len(y) - 1, min(len(y), START_ROWS)).astype(np.intp)
        y, weight, k = y[rows], weight[rows] / weight[rows].sum(), self.n_outputs(n_targets)
        y = y if y.dtype.kind == "i" else y.astype(np.float64)
        grad = np.empty((len(y), k))

        def value_and_grad(constant):
            raw = np.broadcast_to(constant, grad.shape).copy()
            return self.value_and_grad(raw, y, weight, grad), grad.sum(axis=0)

        return minimize(value_and_grad, np.zeros(k), jac=True, method="L-BFGS-B").x

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
        prediction : ndarray of shape (n, n_targets) or (n, n_targets, n_levels), dtype of `raw`
        """
        return raw

    @property
    def of_one(self):
        """The loss of what `combine` returns: the raw outputs of one network."""
        return self

    def combine(self, raw):
        """Return the raw outputs, shape (n, k), that predictions are made of: here as they are."""
        return raw

    def mix(self, raw):
        """Return raw outputs whose prediction is the mean of the predictions of several members.

        Parameters
        ----------
        raw : ndarray of shape (n, members, k)
            Not changed.

        Returns
        -------
        mixed : ndarray of shape (n, k), dtype of `raw`
            By default the mean, which is right where predictions are linear in raw outputs.
        """
        return raw.mean(axis=1)

    def predict_std(self, raw):
        """Return the standard deviation around the prediction, if the loss `has_std`.

        Parameters
        ----------
        raw : ndarray of shape (n, k)
            Not changed.

        Returns
        -------
        std : ndarray of shape (n, n_targets), dtype of `raw`
        """
        raise NotImplementedError(f"{type(self).__name__} has no standard deviations")

    def reported(self, value, shape):
        """Return the number that ``loss_curve_`` shows for `value`, by default `value` itself.

        Parameters
        ----------
        value : float
        shape : tuple of int
            Of the raw outputs of a row.

        Returns
        -------
        shown : float
        """
        return value
