"""Rates along a cosine: one fall, falls with restarts, one rise and fall."""

import math

from skbp._component import Maybe, OneOf, Range, Whole
from skbp.schedules.base import Schedule


def _falling(share):
    """Half a cosine wave: 1 at share 0, 0 at share 1."""
    return 0.5 * (1 + math.cos(math.pi * share))


class Cosine(Schedule):
    """``initial * (final + (1 - final) * (1 + cos(pi * updates / total_updates)) / 2)``.

    Falls from update to update over all epochs that ``max_iter`` allows; stays at its last rate
    beyond them.

    Parameters
    ----------
    final : float, default=0
        In [0, 1]: where the curve ends, as a share of the initial rate.

    See Also
    --------
    CosineRestarts : Several falls, each from the initial rate.
    WarmUp : ``WarmUp("cosine")`` rises first.

    References
    ----------
    I. Loshchilov, F. Hutter (2017), "SGDR: stochastic gradient descent with warm restarts",
    equation 5, without restarts.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> [round(Cosine()(Progress(updates=n, total_updates=4), 0.1), 3) for n in range(5)]
    [0.1, 0.085, 0.05, 0.015, 0.0]
    """

    per_update = True
    ends_with_training = True
    allowed = {"final": Range(0, 1)}

    def __init__(self, final=0):
        self.final = final

    def __call__(self, progress, initial):
        return initial * (self.final + (1 - self.final) * _falling(progress.share))


class CosineRestarts(Schedule):
    """``initial * (final + (1 - final) * (1 + cos(pi * t / T)) / 2)``, again and again.

    Here t is the time since the last restart, in epochs, growing from update to update; at t = T
    the rate starts anew from the initial one, and T is multiplied by `multiplier`. Restarts go on
    whatever ``max_iter`` is; training best ends with a period, as after 10, 30, 70, 150 epochs.

    Parameters
    ----------
    period : float, default=10
        The first T, in epochs, at least 1.
    multiplier : float, default=2
        At least 1: how much longer each period is than the one before.
    final : float, default=0
        In [0, 1]: where each fall ends, as a share of the initial rate.

    References
    ----------
    I. Loshchilov, F. Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", section
    3, equation 5.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> falls = CosineRestarts(period=2)
    >>> [round(falls(Progress(0, 0, 0, n, 6, 6), 0.1), 3) for n in range(6)]
    [0.1, 0.05, 0.1, 0.085, 0.05, 0.015]
    """

    per_update = True
    allowed = {"period": Range(1), "multiplier": Range(1), "final": Range(0, 1)}

    def __init__(self, period=10, multiplier=2, final=0):
        self.period = period
        self.multiplier = multiplier
        self.final = final

    def __call__(self, progress, initial):
        time, period = progress.updates / progress.updates_per_epoch, self.period
        if self.multiplier == 1:
            time %= period
        while time >= period:
            time -= period
            period *= self.multiplier
        return initial * (self.final + (1 - self.final) * _falling(time / period))


class LogCosine(Schedule):
    """``initial * (1 - cos(2 pi log2(1 + (2**cycles - 1) t))) / 2``.

    The rate goes up from 0 and down to 0 in waves, each twice as long as the one before. Here t is
    the share of the updates that are done, in the middle of each update: none is at a rate of 0.

    Parameters
    ----------
    cycles : int, default=4
        Number of waves, at least 1.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", section 3, "coslog4".

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> [round(LogCosine(2)(Progress(updates=n, total_updates=6), 0.1), 3) for n in range(7)]
    [0.072, 0.032, 0.026, 0.098, 0.065, 0.008, 0.008]
    """

    per_update = True
    ends_with_training = True
    allowed = {"cycles": Whole(1)}

    def __init__(self, cycles=4):
        self.cycles = cycles

    def __call__(self, progress, initial):
        half = 0.5 / max(1, progress.total_updates)
        waves = math.log2(1 + (2**self.cycles - 1) * min(progress.share + half, 1 - half))
        return 0.5 * initial * (1 - math.cos(2 * math.pi * waves))


class FlatCosine(Schedule):
    """`initial` for a while, then down half a cosine wave to 0.

    With t = the share of updates that are done: ``initial`` up to t = flat, then
    ``initial * (1 + cos(pi (t - flat) / (1 - flat))) / 2``.

    Parameters
    ----------
    flat : float, default=0.5
        In [0, 1): the share of the updates for which the value stays.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", section 3, "flat_cos".

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> [round(FlatCosine()(Progress(updates=n, total_updates=4), 0.1), 3) for n in range(5)]
    [0.1, 0.1, 0.1, 0.05, 0.0]
    """

    per_update = True
    ends_with_training = True
    allowed = {"flat": Range(0, 1, high_open=True)}

    def __init__(self, flat=0.5):
        self.flat = flat

    def __call__(self, progress, initial):
        return initial * _falling(max(0.0, progress.share - self.flat) / (1 - self.flat))


class OneCycle(Schedule):
    """One rise to a high rate, then one long fall to nearly nothing.

    With ``start = max_rate / start_factor``, ``end = start / final_factor``, N = total_updates and
    n updates done: from `start` at n = 0 to `max_rate` at n = warm_up * N - 1 (0, if that is
    negative), from there to `end` at n = N - 1, and at `end` beyond. Between two rates a and b, at
    the share s of the way: ``b + (a - b) (1 + cos(pi s)) / 2``, or ``a + (b - a) s`` for "linear".

    Parameters
    ----------
    max_rate : float or None, default=None
        The peak, positive; None means the estimator's ``learning_rate_init``. `lr_range_test` helps
        to find one: some way above its suggestion.
    start_factor : float, default=25.0
        At least 1: how many times the first rate is below the peak.
    final_factor : float, default=10000.0
        At least 1: how many times the last rate is below the first.
    warm_up : float, default=0.3
        In [0, 1]: share of the updates in which the rate rises.
    anneal : {"cos", "linear"}, default="cos"
        Shape of rise and fall.

    See Also
    --------
    skbp.inspection.lr_range_test : Finds rates that are not too high.

    References
    ----------
    L. N. Smith, N. Topin (2017), "Super-convergence: very fast training of neural networks using
    large learning rates". The rates are those of PyTorch's OneCycleLR with two phases and as many
    steps as updates, save that a warm-up of less than one update starts at the peak. The momentum
    stays as it is.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> [round(OneCycle()(Progress(updates=n, total_updates=10), 1.0), 3) for n in (0, 2, 6, 9)]
    [0.04, 1.0, 0.389, 0.0]
    """

    per_update = True
    ends_with_training = True
    allowed = {
        "max_rate": Maybe(Range(0, low_open=True)),
        "start_factor": Range(1),
        "final_factor": Range(1),
        "warm_up": Range(0, 1),
        "anneal": OneOf(("cos", "linear")),
    }

    def __init__(
        self, max_rate=None, start_factor=25.0, final_factor=1e4, warm_up=0.3, anneal="cos"
    ):
        self.max_rate = max_rate
        self.start_factor = start_factor
        self.final_factor = final_factor
        self.warm_up = warm_up
        self.anneal = anneal

    def __call__(self, progress, initial):
        peak = initial if self.max_rate is None else self.max_rate
        start = peak / self.start_factor
        last = progress.total_updates - 1
        top, now = max(self.warm_up * progress.total_updates - 1, 0), min(progress.updates, last)
        if now <= top:
            return self._between(start, peak, now / top if top else 1.0)
        return self._between(peak, start / self.final_factor, (now - top) / (last - top))

    def _between(self, first, last, share):
        left = _falling(share) if self.anneal == "cos" else 1 - share
        return last + (first - last) * left
