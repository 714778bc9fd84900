"""Losses of regression: one raw output per target."""

import numpy as np
from scipy.special import xlogy

from skbp._component import AnyOf, Range
from skbp.losses.base import Loss
from skbp.losses.quantile import weighted_quantiles

LOG_2 = float(np.log(2))


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

    def losses(self, raw, y, grad=None):
        error = np.subtract(raw, y, out=grad)
        return 0.5 * np.einsum("ij,ij->i", error, error)

    def start(self, y, weight, n_targets):
        return (weight @ y).astype(np.float64)

    def reported(self, value, shape):
        return value / shape[-1]


class AbsoluteError(Loss):
    """Absolute error ``|z - y|``, least at the median; the gradient is ``sign(z - y)``.

    See Also
    --------
    Huber : The same for large errors, smooth at zero.
    Quantile : Other quantiles than the median.

    References
    ----------
    R. Koenker, G. Bassett (1978), "Regression quantiles": the quantile at one half.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 1))
    >>> AbsoluteError().value_and_grad(np.array([[1.0]]), np.array([[4.0]]), np.ones(1), grad)
    3.0
    """

    def losses(self, raw, y, grad=None):
        error = raw - y
        if grad is not None:
            np.sign(error, out=grad)
        return np.abs(error, out=error)

    def start(self, y, weight, n_targets):
        return weighted_quantiles(y, weight, (0.5,))[0]


class Huber(Loss):
    """Half the squared error where it is small, linear in errors larger than delta.

    With ``e = z - y`` it is ``e**2 / 2`` for ``|e| <= delta`` and ``delta (|e| - delta / 2)``
    beyond; the gradient is e, cut off at delta.

    Parameters
    ----------
    delta : float, default=1.0
        Size of the error, in units of y, from which the loss is linear; > 0.

    References
    ----------
    P. J. Huber (1964), "Robust estimation of a location parameter", section 1.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 2))
    >>> Huber().value_and_grad(np.array([[1.0, 3.0]]), np.zeros((1, 2)), np.ones(1), grad)
    3.0
    >>> grad
    array([[1., 1.]])
    """

    allowed = {"delta": Range(0, low_open=True)}

    def __init__(self, delta=1.0):
        self.delta = delta

    def losses(self, raw, y, grad=None):
        delta = float(self.delta)
        error = raw - y
        cut = np.clip(error, -delta, delta, out=grad)
        # With c the cut error, both branches are c (e - c / 2).
        error -= cut / 2
        error *= cut
        return error


class LogCosh(Loss):
    """Logarithm of the hyperbolic cosine of the error e = z - y; the gradient is ``tanh(e)``.

    About ``e**2 / 2`` for small errors and ``|e| - log(2)`` for large ones, smooth throughout.

    References
    ----------
    R. A. Saleh, A. K. M. E. Saleh (2022), "Statistical properties of the log-cosh loss function
    used in machine learning".

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 1))
    >>> value = LogCosh().value_and_grad(np.array([[3.0]]), np.array([[0.0]]), np.ones(1), grad)
    >>> round(value, 4), round(grad.item(), 4)
    (2.3093, 0.9951)
    """

    def losses(self, raw, y, grad=None):
        error = raw - y
        if grad is not None:
            np.tanh(error, out=grad)
        # log((exp(e) + exp(-e)) / 2), without the exponentials of large numbers
        np.logaddexp(error, -error, out=error)
        error -= LOG_2
        return error


class _LogLink(Loss):
    """A loss whose raw output is the logarithm of the prediction."""

    output_activation = "exp"

    def start(self, y, weight, n_targets):
        mean = (weight @ y).astype(np.float64)
        return np.log(np.where(mean > 0, mean, 1e-6))  # the least for a mean of 0 is -inf

    def predict(self, raw):
        return np.exp(raw, out=raw)

    def mix(self, raw):
        return np.logaddexp.reduce(raw, axis=1) - float(np.log(raw.shape[1]))


class Poisson(_LogLink):
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

    def check_targets(self, y):
        _check_lowest(y, "'poisson'")

    def losses(self, raw, y, grad=None):
        mean = np.exp(raw, out=grad)
        loss = xlogy(y, y) - y * raw - y + mean
        mean -= y  # in place: it is the gradient, if that is wanted
        return loss


class Gamma(_LogLink):
    """Half the gamma deviance with a log link, ``z - log(y) + y exp(-z) - 1``, for y > 0.

    The gradient is ``1 - y exp(-z)``; the prediction is ``exp(z)``. Errors count relative to the
    size of the prediction.

    References
    ----------
    P. McCullagh, J. A. Nelder (1989), "Generalized Linear Models", 2nd edition, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 1))
    >>> Gamma().value_and_grad(np.array([[0.0]]), np.array([[1.0]]), np.ones(1), grad)
    0.0
    """

    def check_targets(self, y):
        _check_lowest(y, "'gamma'", positive=True)

    def losses(self, raw, y, grad=None):
        ratio = y * np.exp(-raw)
        if grad is not None:
            np.subtract(1, ratio, out=grad)
        ratio += raw
        ratio -= np.log(y)
        ratio -= 1
        return ratio


class Tweedie(_LogLink):
    """Half the Tweedie deviance with a log link: the variance grows as ``prediction**power``.

    With ``m = exp(z)``, the prediction, and the power p it is ``max(y, 0)**(2-p) / ((1-p) (2-p))
    - y m**(1-p) / (1-p) + m**(2-p) / (2-p)``; the gradient is ``m**(2-p) - y m**(1-p)``.

    Parameters
    ----------
    power : float, default=1.5
        Up to 0, or from 1 on. 0 is half the squared error of ``exp(z)``, 1 is `Poisson`, 2 is
        `Gamma`; between them are sums of Poisson many gamma amounts, which can be zero. Targets
        are y >= 0 for a power in [1, 2), y > 0 from 2 on, any up to 0.

    References
    ----------
    B. Jorgensen (1987), "Exponential dispersion models".

    Examples
    --------
    >>> import numpy as np
    >>> grad = np.empty((1, 1))
    >>> Tweedie().value_and_grad(np.array([[0.0]]), np.array([[0.0]]), np.ones(1), grad)
    2.0
    """

    allowed = {"power": AnyOf(Range(high=0), Range(1))}

    def __init__(self, power=1.5):
        self.power = power

    def check_targets(self, y):
        if self.power >= 1:
            _check_lowest(y, f"Tweedie(power={self.power})", positive=self.power >= 2)

    def losses(self, raw, y, grad=None):
        limit = {1: Poisson, 2: Gamma}.get(self.power)
        if limit is not None:
            return limit().losses(raw, y, grad)
        p = float(self.power)
        one, two = 1 - p, 2 - p
        # The smaller of two powers that both grow is a common factor: no difference of infinities.
        common = min(max(0.0, one), two)
        factor = np.exp(common * raw)
        # Where y is 0 its power is 0 too, however large the other factor.
        lower = y * np.exp((one - common) * np.where(y == 0, 0, raw))
        upper = np.exp((two - common) * raw)
        if grad is not None:
            np.multiply(factor, upper - lower, out=grad)
        base = np.abs(y) if p == 0 else np.maximum(y, 0)
        return base**two / (one * two) + factor * (upper / two - lower / one)


def _check_lowest(y, loss, positive=False):
    lowest = y.min()
    if lowest < 0 or (positive and lowest == 0):
        raise ValueError(
            f"loss={loss} needs targets y {'>' if positive else '>='} 0; the smallest given is "
            f"{lowest}. Use loss='squared_error', or shift the targets."
        )
