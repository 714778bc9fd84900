"""Rates that stay, or fall along a curve: step, exponential, polynomial, inverse scaling."""

from collections.abc import Sequence

import numpy as np

from skbp._component import Range, Whole
from skbp.schedules.base import Schedule


class Constant(Schedule):
    """The initial rate throughout.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> Constant()(Progress(epochs=7), 0.1)
    0.1
    """

    def __call__(self, progress, initial):
        return initial


class InverseScaling(Schedule):
    """``initial / (samples + 1)**power_t``, as scikit-learn's ``learning_rate="invscaling"``.

    Parameters
    ----------
    power_t : float, default=0.5
        Not negative: how fast the rate falls.

    References
    ----------
    H. Robbins, S. Monro (1951), "A stochastic approximation method": rates whose sum diverges
    while that of their squares converges, which holds for 0.5 < power_t <= 1.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> InverseScaling()(Progress(samples=99), 1.0)
    0.1
    """

    allowed = {"power_t": Range(0)}

    def __init__(self, power_t=0.5):
        self.power_t = power_t

    def __call__(self, progress, initial):
        try:
            return initial / (progress.samples + 1) ** self.power_t
        except OverflowError:
            return 0.0  # what the quotient tends to


class _Milestones:
    """None, or numbers of epochs."""

    def __contains__(self, value):
        if value is None:
            return True
        if isinstance(value, np.ndarray):
            value = value.tolist()  # one without axes is no list
        is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return is_list and all(epoch in Whole(1) for epoch in value)

    def __str__(self):
        return "None or a list of whole numbers of at least 1"


class Step(Schedule):
    """``initial * factor**k``, where k counts the steps so far.

    A step is taken after each `every` epochs, or after the epochs listed in `milestones`.

    Parameters
    ----------
    factor : float, default=0.1
        In (0, 1]: what each step multiplies the rate by.
    every : int, default=30
        Epochs between two steps, at least 1.
    milestones : sequence of int or None, default=None
        Numbers of finished epochs, each at least 1, after which to step, in place of `every`.

    References
    ----------
    S. Zagoruyko, N. Komodakis (2016), "Wide residual networks", section 3: ``factor=0.2,
    milestones=[60, 120, 160]``.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> Step(0.5, milestones=[3, 5])(Progress(epochs=4), 0.1)
    0.05
    """

    allowed = {
        "factor": Range(0, 1, low_open=True),
        "every": Whole(1),
        "milestones": _Milestones(),
    }

    def __init__(self, factor=0.1, every=30, milestones=None):
        self.factor = factor
        self.every = every
        self.milestones = milestones

    def __call__(self, progress, initial):
        if self.milestones is None:
            steps = progress.epochs // self.every
        else:
            steps = sum(progress.epochs >= milestone for milestone in self.milestones)
        return initial * self.factor**steps


class Exponential(Schedule):
    """``initial * factor**epochs``.

    Parameters
    ----------
    factor : float, default=0.95
        In (0, 1]: what each epoch multiplies the rate by.

    References
    ----------
    A. Senior, G. Heigold, M. Ranzato, K. Yang (2013), "An empirical study of learning rates in deep
    neural networks for speech recognition": compares exponential, power and stepwise decay.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> Exponential(0.5)(Progress(epochs=3), 0.8)
    0.1
    """

    allowed = {"factor": Range(0, 1, low_open=True)}

    def __init__(self, factor=0.95):
        self.factor = factor

    def __call__(self, progress, initial):
        return initial * self.factor**progress.epochs


class Polynomial(Schedule):
    """``initial * (final + (1 - final) * (1 - updates / total_updates)**power)``.

    Falls from update to update over all epochs that ``max_iter`` allows; stays at its last rate
    beyond them.

    Parameters
    ----------
    power : float, default=1.0
        Positive; 1 is a straight line, more falls faster at first.
    final : float, default=0
        In [0, 1]: where the curve ends, as a share of the initial rate.

    See Also
    --------
    Cosine : Falls slowly at both ends.

    References
    ----------
    L.-C. Chen, G. Papandreou, I. Kokkinos, K. Murphy, A. L. Yuille (2018), "DeepLab", section 4.1,
    the "poly" policy with power 0.9; here with a `final` rate.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> Polynomial(2.0)(Progress(updates=50, total_updates=100), 0.1)
    0.025
    """

    per_update = True
    ends_with_training = True
    allowed = {"power": Range(0, low_open=True), "final": Range(0, 1)}

    def __init__(self, power=1.0, final=0):
        self.power = power
        self.final = final

    def __call__(self, progress, initial):
        return initial * (self.final + (1 - self.final) * (1 - progress.share) ** self.power)
