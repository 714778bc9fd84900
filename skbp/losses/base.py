"""The contract of a loss."""

from skbp._component import Component


class Loss(Component):
    """A loss on raw outputs, with the output activation that belongs to it.

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
        prediction : ndarray of shape (n, n_targets) or (n, n_targets, n_levels), dtype of `raw`
        """
        return raw

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

    def reported(self, value, n_outputs):
        """Return the number that ``loss_curve_`` shows for `value`, by default `value` itself."""
        return value
