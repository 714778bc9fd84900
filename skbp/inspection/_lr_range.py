"""The learning rate range test: a short training at ever higher rates."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skbp._component import Range, Whole
from skbp._quiet import quiet
from skbp.inspection._common import axes, not_a_network

#: Weight of the past in the running mean of the loss that decides when to stop.
MEMORY = 0.9
#: Training stops once that mean is this many times its best.
TOO_MUCH = 4
#: The curve is smoothed over about this share of all updates to both sides.
BANDWIDTH = 0.03


@dataclass(frozen=True)
class LRRangeResult:
    """Losses of a learning rate range test.

    Attributes
    ----------
    rates : ndarray of shape (n,), float64
        Learning rate of each update that was taken.
    losses : ndarray of shape (n,), float64
        Loss of each batch before its update, penalty included.
    smoothed_losses : ndarray of shape (n,), float64
        The same, smoothed by a Gaussian window that does not shift the curve.
    suggestion : float or None
        The rate at which the smoothed loss falls most steeply, per factor in the rate; None if it
        falls nowhere.
    stopped_early : bool
        Whether the loss rose too much before the highest rate.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed_losses: np.ndarray
    suggestion: float | None
    stopped_early: bool


@quiet
def lr_range_test(
    estimator, X, y, *, sample_weight=None, min_rate=1e-6, max_rate=10.0, n_updates=100
):
    """Train at ever higher learning rates, and look when the loss falls and when it explodes.

    A copy of the estimator trains from new weights, update by update, on all rows; update k of n
    has the rate ``min_rate * (max_rate / min_rate)**(k / (n - 1))``, k from 0. It stops early once
    the running mean of the loss is 4 times its best value (one below a tenth of the first counts as
    a tenth), or not finite. The estimator itself is not changed.

    Parameters
    ----------
    estimator : BackpropClassifier or BackpropRegressor
        With a stochastic solver; or a pipeline that ends in one, whose first steps are fitted on X.
        Its learning rate, schedule, epochs, `early_stopping` and `warm_start` do not matter.
    X, y, sample_weight
        As in `fit`.
    min_rate, max_rate : float, default=1e-6 and 10.0
        The first and the last rate, positive.
    n_updates : int, default=100
        How many updates to take, at least 10.

    Returns
    -------
    result : LRRangeResult
        Its `suggestion` suits a constant rate; a peak for `OneCycle` may be up to ten times as
        high, if the loss still falls there. The first updates of Adam say less than those of SGD
        about rates for a long training: go lower where the loss curve is rough.

    Raises
    ------
    TypeError
        If the estimator is none of skbp.
    ValueError
        If a parameter or the data are not as described, the solver is not stochastic, or the loss
        is not finite from the start.

    See Also
    --------
    LRRangeDisplay : The picture.

    References
    ----------
    L. N. Smith (2017), "Cyclical learning rates for training neural networks", section 3.3; here
    with rates that grow exponentially, not linearly.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skbp import BackpropClassifier
    >>> from skbp.inspection import lr_range_test
    >>> X, y = load_iris(return_X_y=True)
    >>> net = BackpropClassifier(batch_size=32, random_state=0)
    >>> round(lr_range_test(net, X, y).suggestion, 2)
    0.01
    """
    rates = _rates(min_rate, max_rate, n_updates)
    if isinstance(estimator, Pipeline):
        if len(estimator) > 1:
            X = clone(estimator[:-1]).fit_transform(X, y)
        estimator = estimator[-1]
    if not hasattr(estimator, "_range_test"):
        raise not_a_network(estimator)
    losses, stopped = _until_too_much(clone(estimator)._range_test(X, y, sample_weight, rates))
    rates = rates[: len(losses)]
    smoothed = gaussian_filter1d(losses, BANDWIDTH * n_updates, mode="nearest")
    return LRRangeResult(rates, losses, smoothed, _steepest(rates, smoothed), stopped)


def _rates(low, high, n):
    for name, value in (("min_rate", low), ("max_rate", high)):
        if value not in Range(0, low_open=True):
            raise ValueError(f"{name} must be a finite number above 0. Got {value!r} instead.")
    if not low < high:
        raise ValueError(f"min_rate={low!r} must be below max_rate={high!r}.")
    if n not in Whole(10):
        raise ValueError(f"n_updates must be a whole number of at least 10. Got {n!r} instead.")
    return np.geomspace(low, high, n)


def _until_too_much(losses):
    """Collect losses until they have risen too much; return them, and whether they had."""
    seen: list[float] = []
    total, best = 0.0, math.inf
    for loss in losses:
        if not math.isfinite(loss):
            if not seen:
                raise ValueError(
                    "The loss is not finite from the start. The input data may contain large "
                    "values: scale the features (StandardScaler), and the targets of a regression."
                )
            return np.array(seen), True
        seen.append(loss)
        total = MEMORY * total + (1 - MEMORY) * loss
        mean = total / (1 - MEMORY ** len(seen))  # as if there were no zeros before the start
        best = min(best, mean)
        # For a positive best, best + 3 |best| is 4 times the best; losses may be negative, too.
        if mean > best + (TOO_MUCH - 1) * max(abs(best), 0.1 * abs(seen[0])):
            return np.array(seen), True
    return np.array(seen), False


def _steepest(rates, losses):
    """Return the rate of the steepest fall on the way to the lowest loss, or None."""
    end = int(losses.argmin()) + 1
    if end < 2:
        return None
    slopes = np.gradient(losses[:end], np.log(rates[:end]))
    return float(rates[slopes.argmin()])


class LRRangeDisplay:
    """The picture of a learning rate range test.

    Parameters
    ----------
    result : LRRangeResult
        From `lr_range_test`.
    name : str, default=None
        Name of the curve in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Contains the axes.
    line_, batch_line_ : matplotlib Line2D
        The smoothed loss, and the losses of the batches.
    suggestion_line_ : matplotlib Line2D or None
        The mark of the suggested rate.

    Examples
    --------
    >>> from skbp.inspection import LRRangeDisplay, lr_range_test
    >>> result = lr_range_test(net, X, y)  # doctest: +SKIP
    >>> LRRangeDisplay(result).plot()  # doctest: +SKIP
    """

    def __init__(self, result, *, name=None):
        self.result = result
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, ax=None, name=None, line_kw=None, **params):
        """Run the test and draw it.

        Parameters
        ----------
        estimator, X, y
            As in `lr_range_test`.
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.
        name : str, default=None
            Name of the curve in the legend.
        line_kw : dict, default=None
            As in `plot`.
        **params
            Further parameters of `lr_range_test`.

        Returns
        -------
        display : LRRangeDisplay
        """
        display = cls(lr_range_test(estimator, X, y, **params), name=name)
        return display.plot(ax, line_kw=line_kw)

    def plot(self, ax=None, *, name=None, line_kw=None):
        """Draw the losses over the rates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None means a new figure.
        name : str, default=None
            Name of the curve; None means that of the display.
        line_kw : dict, default=None
            Keywords of matplotlib's ``plot`` for the smoothed loss.

        Returns
        -------
        self : LRRangeDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.ax_ = ax = axes(ax, "LRRangeDisplay")
        self.figure_, result = ax.figure, self.result
        alone, before = not ax.lines, ax.get_ylim()
        name = name or self.name
        style = {"label": name or "Smoothed loss", **(line_kw or {})}
        (self.line_,) = ax.plot(result.rates, result.smoothed_losses, **style)
        color = self.line_.get_color()
        (self.batch_line_,) = ax.plot(result.rates, result.losses, color=color, alpha=0.3, lw=1)
        self.suggestion_line_ = None
        if result.suggestion is not None:
            label = f"{name}: suggestion" if name else "Suggestion"
            self.suggestion_line_ = ax.axvline(
                result.suggestion, color=color, ls=":", label=f"{label} {result.suggestion:.1e}"
            )
        ax.set(xscale="log", xlabel="Learning rate", ylabel="Loss")
        if result.suggestion is not None:
            low, high = _heights(result)
            ax.set_ylim(*((low, high) if alone else (min(low, before[0]), max(high, before[1]))))
        ax.legend()
        return self


def _heights(result):
    """Return the range of losses to show: the fall, and only the beginning of the explosion."""
    smoothed, losses = result.smoothed_losses, result.losses
    low, first = losses.min(), smoothed[: smoothed.argmin() + 1].max()
    margin = 0.25 * (first - low)
    return low - 0.2 * margin, min(losses.max(), first + margin) + 0.2 * margin
