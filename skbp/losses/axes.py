"""Losses of raw outputs with one axis more: members, or steps."""

import numpy as np

from skbp._component import Named
from skbp.losses.base import Loss


class _Around(Loss):
    """Base class of a loss around another one, whose kind it is of.

    Loss classes say their kind as class attributes, which the estimators read off the registry; the
    kind of these follows from a hyperparameter, hence properties, and what mypy is told.
    """

    loss: Loss
    allowed = {"loss": Named({}, Loss)}

    @property
    def targets(self):  # type: ignore[override]
        """Those of the other loss."""
        return self.loss.targets

    @property
    def output_activation(self):  # type: ignore[override]
        """That of the other loss."""
        return self.loss.output_activation

    @property
    def probabilistic(self):  # type: ignore[override]
        """Whether the other loss has probabilities."""
        return self.loss.probabilistic

    @property
    def has_std(self):  # type: ignore[override]
        """Whether the other loss has standard deviations."""
        return self.loss.has_std

    @property
    def levels(self):
        """Those of the other loss."""
        return self.loss.levels

    def n_outputs(self, n_targets):
        return self.loss.n_outputs(n_targets)

    def check_targets(self, y):
        self.loss.check_targets(y)


class Members(_Around):
    """The loss of several members that are trained side by side, each on the same targets.

    Raw outputs have the shape (n, members, k). The value is the sum over members, so that each has
    the gradient that it would have alone; ``loss_curve_`` shows the mean. Each member may weigh the
    rows in its own way, so that it may leave some out. A prediction is the mean
    of the members': of probabilities, of means, of quantiles. The spread around it is that of the
    mixture, the variance within members and between them.

    Parameters
    ----------
    loss : Loss
        That of a member.

    References
    ----------
    B. Lakshminarayanan, A. Pritzel, C. Blundell (2017), "Simple and scalable predictive uncertainty
    estimation using deep ensembles", section 2.4: how members are combined.

    Examples
    --------
    >>> import numpy as np
    >>> from skbp.losses import LogLoss, Members
    >>> raw = np.log([[[0.5, 0.5], [0.1, 0.9]]])  # a row, two members, two classes
    >>> Members(LogLoss()).predict(raw).round(2)
    array([[0.3, 0.7]])
    """

    def __init__(self, loss):
        self.loss = loss

    def for_targets(self, kind):
        return Members(self.loss.for_targets(kind))

    def value_and_grad(self, raw, y, weight, grad):
        """Compute the loss of a batch and its gradient; as `Loss.value_and_grad`.

        Parameters
        ----------
        raw : ndarray of shape (n, members, k)
        y : ndarray
            As in `Loss.value_and_grad`.
        weight : ndarray of shape (n,) or (n, members)
            Row weights that sum to one, for each member.
        grad : ndarray of shape (n, members, k), C-contiguous

        Returns
        -------
        value : float
            Sum over members.
        """
        raw, y, weight = self._by_member(raw, y, weight)
        return self.loss.value_and_grad(raw, y, weight, grad.reshape(-1, grad.shape[-1]))

    def value(self, raw, y, weight):
        return self.loss.value(*self._by_member(raw, y, weight))

    @staticmethod
    def _by_member(raw, y, weight):
        """Return raw outputs, targets and weights as if each member had rows of its own."""
        members = raw.shape[1]
        weight = np.repeat(weight, members) if weight.ndim == 1 else weight.reshape(-1)
        return raw.reshape(-1, raw.shape[-1]), np.repeat(y, members, axis=0), weight

    def of_member(self, number, y, weight):
        """Return the targets and weights of one member, shapes (n,) or (n, k), and (n,)."""
        return y, weight if weight.ndim == 1 else weight[:, number].copy()

    def start(self, y, weight, n_targets):
        return self.loss.start(y, weight, n_targets)

    @property
    def of_one(self):
        """The loss of a member."""
        return self.loss

    def combine(self, raw):
        """Return the raw outputs, shape (n, k), that stand for those of all members."""
        return self.loss.mix(raw)

    def reported(self, value, shape):
        return self.loss.reported(value / shape[0], shape[1:])

    def predict(self, raw):
        """Turn raw outputs, shape (n, members, k), into the mean of the members' predictions."""
        return self._each(self.loss.predict, raw).mean(axis=1)

    def log_predict(self, raw):
        """Return the logarithms of the mean of the members' probabilities."""
        logs = self._each(self.loss.log_predict, raw)
        return np.logaddexp.reduce(logs, axis=1) - float(np.log(raw.shape[1]))

    def predict_std(self, raw):
        within = self._each(self.loss.predict_std, raw) ** 2
        between = self._each(self.loss.predict, raw).var(axis=1)
        return np.sqrt(within.mean(axis=1) + between)

    @staticmethod
    def _each(function, raw):
        """Call a function of (n, k) for all members at once."""
        found = function(raw.reshape(-1, raw.shape[-1]).copy())
        return found.reshape(*raw.shape[:2], *found.shape[1:])


class _OwnTargets(Members):
    """The loss of members of which each has rows, and so targets, of its own.

    Targets have the shape (n, members) or (n, members, k).

    Parameters
    ----------
    loss : Loss
        That of a member.
    """

    @staticmethod
    def _by_member(raw, y, weight):
        members = raw.shape[1]
        weight = np.repeat(weight, members) if weight.ndim == 1 else weight.reshape(-1)
        return raw.reshape(-1, raw.shape[-1]), y.reshape(-1, *y.shape[2:]), weight

    def of_member(self, number, y, weight):
        y, weight = super().of_member(number, y, weight)
        return y[:, number].copy(), weight


def has_next(codes, padding_index, separator_index=None):
    """Return for each step but the last whether the next code is a target.

    The first padding code is one too: the end of the sequence.

    Parameters
    ----------
    codes : ndarray of shape (n, time)
    padding_index : int or None
    separator_index : int or None, default=None
        In rows that have this code, only what comes after it is a target.

    Returns
    -------
    there : ndarray of shape (n, time - 1), bool
    """
    before = codes[:, :-1]
    there = np.ones(before.shape, bool) if padding_index is None else before != padding_index
    if separator_index is not None:
        passed = np.logical_or.accumulate(before == separator_index, axis=1)
        there &= passed | ~passed[:, -1:]
    return there


class NextSymbolLoss(_Around):
    """The mean, over the steps of a row, of a loss of its next symbols.

    Where a row of the batch weighs as much as it has next symbols, the weighted mean over rows is
    the mean over symbols.

    Parameters
    ----------
    loss : Loss
        A loss for several classes: the symbols.
    padding_index : int or None
        The code after a row's last symbol.
    separator_index : int or None, default=None
        In rows that have this code, only what comes after it is predicted.
    """

    targets = ("multiclass",)

    def __init__(self, loss, padding_index, separator_index=None):
        self.loss = loss
        self.padding_index = padding_index
        self.separator_index = separator_index

    def value_and_grad(self, raw, y, weight, grad):
        """Compute the loss of a batch and its gradient.

        Parameters
        ----------
        raw : ndarray of shape (n, time, n_symbols)
        y : ndarray of shape (n, time)
            Codes, whole numbers; step t has its target in column t + 1, the last step has none.
        weight : ndarray of shape (n,)
        grad : ndarray of shape (n, time, n_symbols)

        Returns
        -------
        value : float
        """
        k = raw.shape[-1]
        targets, weights = self._by_step(y, weight)
        return self.loss.value_and_grad(raw.reshape(-1, k), targets, weights, grad.reshape(-1, k))

    def value(self, raw, y, weight):
        return self.loss.value(raw.reshape(-1, raw.shape[-1]), *self._by_step(y, weight))

    def start(self, y, weight, n_targets):
        targets, weights = self._by_step(y, weight)
        counted = weights > 0
        return self.loss.start(targets[counted], weights[counted], n_targets)

    def _by_step(self, y, weight):
        """Return the next symbol and the weight of each step, 0 where there is none."""
        there = has_next(y, self.padding_index, self.separator_index)
        share = weight / np.maximum(there.sum(axis=1), 1)
        targets, weights = np.zeros(y.shape, np.intp), np.zeros(y.shape, weight.dtype)
        targets[:, :-1][there] = y[:, 1:][there]
        weights[:, :-1] = there * share[:, None]
        return targets.reshape(-1), weights.reshape(-1)

    def predict(self, raw):
        return self.loss.predict(raw)

    def log_predict(self, raw):
        """Return the logarithms of the probabilities."""
        return self.loss.log_predict(raw)
