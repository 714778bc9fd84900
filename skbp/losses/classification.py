"""Losses of classification."""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logit

from skbp import _kernels as kernels
from skbp._component import Range
from skbp.losses.base import Loss, row_blocks

#: Kinds of targets whose columns are yes/no questions of their own.
YES_NO = ("binary", "multilabel")


def shares_of(y, weight, n_classes):
    """Return the share of each class in the weight, at least that of half a row."""
    shares = np.maximum(np.bincount(y, weight, minlength=n_classes), 0.5 / len(y))
    return shares / shares.sum()


class _Softmax(Loss):
    """Probabilities of classes of which each row has one."""

    targets = ("binary", "multiclass", "multilabel")
    output_activation = "softmax"
    probabilistic = True

    def predict(self, raw):
        raw -= raw.max(axis=1, keepdims=True)
        np.exp(raw, out=raw)
        raw /= raw.sum(axis=1, keepdims=True)
        return np.maximum(raw, np.finfo(raw.dtype).tiny, out=raw)

    def log_predict(self, raw):
        """Return the logarithms of the probabilities, exact where those round to 0 or 1."""
        return log_softmax(raw, axis=1)

    def mix(self, raw):
        return np.logaddexp.reduce(log_softmax(raw, axis=2), axis=1) - float(np.log(raw.shape[1]))

    def start(self, y, weight, n_targets):
        odds = np.log(shares_of(y, weight, n_targets))
        return odds - odds.mean()


class _Sigmoid(Loss):
    """Probabilities of yes, column by column; strictly inside (0, 1)."""

    targets: tuple[str, ...] = YES_NO
    output_activation = "logistic"
    probabilistic = True

    def predict(self, raw):
        info = np.finfo(raw.dtype)
        expit(raw, out=raw)
        return np.clip(raw, info.tiny, 1 - info.epsneg, out=raw)

    def log_predict(self, raw):
        """Return the logarithms of the probabilities, exact where those round to 0 or 1."""
        return log_expit(raw)

    def mix(self, raw):
        yes, no = (np.logaddexp.reduce(log_expit(z), axis=1) for z in (raw, -raw))
        return yes - no

    def start(self, y, weight, n_targets):
        least = 0.5 / len(y)  # of what never occurs; its logarithm would be infinite
        return logit(np.clip((weight @ y).astype(np.float64), least, 1 - least))


class LogLoss(_Softmax):
    """Cross-entropy, for several classes of their softmax, ``logsumexp(z) - sum_j q_j z_j``.

    The target distribution q is ``(1 - s) onehot(class) + s / k`` with k classes and the smoothing
    s; the gradient is ``softmax(z) - q``. For two classes and for multilabel targets it is
    `BinaryLogLoss` with the same smoothing, which for two classes is the same loss of the
    difference of two scores.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        The share s of each target that is spread evenly over all classes, in [0, 1).

    See Also
    --------
    BinaryLogLoss : The loss of yes/no targets.

    References
    ----------
    J. S. Bridle (1990), "Probabilistic interpretation of feedforward classification network
    outputs", section 3.
    C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna (2016), "Rethinking the inception
    architecture for computer vision", section 7.

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

    allowed = {"label_smoothing": Range(0, 1, high_open=True)}

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    def for_targets(self, kind):
        return BinaryLogLoss(self.label_smoothing) if kind in YES_NO else self

    def value_and_grad(self, raw, y, weight, grad):
        value = kernels.softmax_cross_entropy(raw, y, weight, grad)
        if not self.label_smoothing:
            return value
        # Smoothing takes s (onehot - 1/k) from the target: the loss grows by that times z.
        share, rows = float(self.label_smoothing), np.arange(len(raw))
        weight = share * weight
        grad -= weight[:, None] / raw.shape[1]
        grad[rows, y] += weight
        return value + float(np.dot(weight, raw[rows, y] - raw.mean(axis=1)))

    def losses(self, raw, y, grad=None):
        share, rows = float(self.label_smoothing), np.arange(len(raw))
        log_p = log_softmax(raw, axis=1)
        if grad is not None:
            np.exp(log_p, out=grad)
            grad -= share / raw.shape[1]
            grad[rows, y] -= 1 - share
        return (share - 1) * log_p[rows, y] - share * log_p.mean(axis=1)

    def start(self, y, weight, n_targets):
        share = float(self.label_smoothing)
        odds = np.log((1 - share) * shares_of(y, weight, n_targets) + share / n_targets)
        return odds - odds.mean()


class BinaryLogLoss(_Sigmoid):
    """Cross-entropy of independent yes/no targets, ``log(1 + exp(z)) - q z``, y in [0, 1].

    For binary (k = 1) and multilabel (k labels) classification, and for the regression of shares.
    With smoothing s the target q is ``(1 - s) y + s / 2``. The gradient is ``sigmoid(z) - q``.
    Predicted probabilities stay strictly inside (0, 1).

    Parameters
    ----------
    label_smoothing : float, default=0.0
        The share s of each target that is replaced by one half, in [0, 1).

    References
    ----------
    C. M. Bishop (1995), "Neural Networks for Pattern Recognition", sections 6.7 and 6.8.
    C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna (2016), "Rethinking the inception
    architecture for computer vision", section 7: its smoothing, for two classes.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 1))
    >>> value = BinaryLogLoss().value_and_grad(np.zeros((1, 1)), np.ones((1, 1)), np.ones(1), grad)
    >>> round(value, 4)
    0.6931
    """

    targets = (*YES_NO, "numbers")
    allowed = {"label_smoothing": Range(0, 1, high_open=True)}

    def __init__(self, label_smoothing=0.0):
        self.label_smoothing = label_smoothing

    def check_targets(self, y):
        low, high = y.min(), y.max()
        if low < 0 or high > 1:
            raise ValueError(
                f"loss='binary_log_loss' needs targets in [0, 1]; those given go from {low} to "
                f"{high}. Divide by the largest possible value, or use loss='squared_error'."
            )

    def value_and_grad(self, raw, y, weight, grad):
        value = kernels.sigmoid_cross_entropy(raw, y, weight, grad)
        if not self.label_smoothing:
            return value
        # Smoothing takes s (y - 1/2) from the target: the loss grows by that times z.
        weight = float(self.label_smoothing) * weight[:, None]
        for rows in row_blocks(raw.shape):
            taken = weight[rows] * (y[rows] - 0.5)
            grad[rows] += taken
            value += float(np.einsum("ij,ij->", taken, raw[rows]))
        return value

    def losses(self, raw, y, grad=None):
        share = float(self.label_smoothing)
        q = (1 - share) * y + share / 2
        if grad is not None:
            np.subtract(expit(raw), q, out=grad)
        return -log_expit(-raw) - q * raw

    def start(self, y, weight, n_targets):
        share = float(self.label_smoothing)
        return super().start((1 - share) * y + share / 2, weight, n_targets)


class FocalLoss(_Softmax):
    """Cross-entropy with less weight on what is already right, ``-(1 - p)**gamma log(p)``.

    p is the probability of the right answer: for several classes of the softmax, for two classes
    and for each label of a multilabel target of the sigmoid. For rare classes among many easy rows.
    With ``gamma > 0`` the probabilities are less sure than the frequencies they stand for:
    calibrate them where their values matter.

    The gradient for several classes is ``f (softmax(z) - onehot(class))`` with
    ``f = (1 - p)**gamma - gamma p log(p) (1 - p)**(gamma - 1)``.

    Parameters
    ----------
    gamma : float, default=2.0
        How much less right answers count, >= 0; 0 is `LogLoss`.

    References
    ----------
    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar (2017), "Focal loss for dense object
    detection", section 3. Its balancing factor alpha is `class_weight` here.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 2))
    >>> value = FocalLoss().value_and_grad(np.zeros((1, 2)), np.array([1]), np.ones(1), grad)
    >>> round(value, 4)  # a quarter of the log loss
    0.1733
    """

    allowed = {"gamma": Range(0)}

    def __init__(self, gamma=2.0):
        self.gamma = gamma

    def for_targets(self, kind):
        return _BinaryFocalLoss(self.gamma) if kind in YES_NO else self

    def losses(self, raw, y, grad=None):
        rows, gamma = np.arange(len(raw)), float(self.gamma)
        p = np.subtract(raw, raw.max(axis=1, keepdims=True), out=grad)
        score = p[rows, y]
        np.exp(p, out=p)
        total = p.sum(axis=1)
        p /= total[:, None]
        right = p[rows, y]
        p[rows, y] = 0
        wrong = p.sum(axis=1)  # not 1 - right, which rounds to zero
        sure = -np.log1p(-np.minimum(wrong, 0.5))
        minus_log = np.where(wrong < 0.5, sure, np.log(total) - score)
        focus = wrong**gamma
        if grad is not None:
            # -log(p) / (1 - p) tends to 1: no power of 1 - p below gamma is taken.
            ratio = np.divide(minus_log, wrong, out=np.ones_like(wrong), where=wrong > 0)
            factor = focus * (1 + gamma * right * ratio)
            grad *= factor[:, None]
            grad[rows, y] = -factor * wrong
        return focus * minus_log

    def start(self, y, weight, n_targets):
        return Loss.start(self, y, weight, n_targets)  # the class shares are not the minimum


class _BinaryFocalLoss(_Sigmoid):
    """Focal loss of independent yes/no targets, y either 0 or 1."""

    allowed = FocalLoss.allowed

    def __init__(self, gamma):
        self.gamma = gamma

    def losses(self, raw, y, grad=None):
        gamma, sign = float(self.gamma), 2 * y - 1
        margin = sign * raw
        right, wrong = expit(margin), expit(-margin)
        minus_log = np.logaddexp(0, -margin)
        focus = wrong**gamma
        if grad is not None:
            np.multiply(-sign * focus, wrong + gamma * right * minus_log, out=grad)
        return focus * minus_log

    def start(self, y, weight, n_targets):
        return Loss.start(self, y, weight, n_targets)  # the shares are not the minimum


class Hinge(Loss):
    """Hinge loss of a support vector machine, ``max(0, 1 - margin)``; it has no probabilities.

    The margin of a row is, for several classes, the score of its class less the largest of the
    others; for two classes, and for each label of a multilabel target, the score z with its sign,
    ``z`` for yes and ``-z`` for no. The gradient with respect to the margin is -1 below 1, else 0.

    References
    ----------
    C. Cortes, V. Vapnik (1995), "Support-vector networks", section 3.
    K. Crammer, Y. Singer (2001), "On the algorithmic implementation of multiclass kernel-based
    vector machines", section 3.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 3))
    >>> Hinge().value_and_grad(np.array([[0.5, 2.0, 1.5]]), np.array([1]), np.ones(1), grad)
    0.5
    >>> grad
    array([[ 0., -1.,  1.]])
    """

    targets = ("binary", "multiclass", "multilabel")

    def for_targets(self, kind):
        return _BinaryHinge() if kind in YES_NO else self

    def losses(self, raw, y, grad=None):
        rows = np.arange(len(raw))
        grad = np.empty_like(raw) if grad is None else grad
        np.copyto(grad, raw)
        grad[rows, y] = -np.inf
        rival = grad.argmax(axis=1)
        loss = np.maximum(0, 1 - (raw[rows, y] - grad[rows, rival]))
        grad.fill(0)
        grad[rows, rival] = loss > 0
        grad[rows, y] -= loss > 0
        return loss

    def start(self, y, weight, n_targets):
        # A constant score is best where it says the largest class for all, by a margin of 1, or
        # says nothing, where that is wrong for more than half of the rows.
        shares = np.bincount(y, weight, minlength=n_targets)
        return (shares == shares.max()) * float(shares.max() > 0.5)


class _BinaryHinge(Loss):
    """Hinge loss of independent yes/no targets, y either 0 or 1."""

    targets = YES_NO

    def losses(self, raw, y, grad=None):
        sign = 2 * y - 1
        loss = np.maximum(0, 1 - sign * raw)
        if grad is not None:
            np.multiply(-sign, loss > 0, out=grad)
        return loss

    def start(self, y, weight, n_targets):
        return np.sign(2 * (weight @ y) - 1).astype(np.float64)
