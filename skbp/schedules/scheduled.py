"""Hyperparameters that change as training goes on."""

from skbp._component import AnyOf, Component, Range, resolve
from skbp.schedules.base import A_SCHEDULE, SCHEDULES


class Scheduled(Component):
    """A hyperparameter that a schedule changes as training goes on.

    Stands where a number would, such as a dropout rate or a weight decay:
    ``Dropout(Scheduled("cosine", 0.5))`` falls from 0.5 to 0.

    Parameters
    ----------
    schedule : str or Schedule
        What changes it; its parameters are reached as ``rate__schedule__final`` and the like.
    initial : float
        The value that the schedule starts from, as a learning rate would.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> falling = Scheduled("cosine", 0.5)
    >>> [falling.value(Progress(updates=n, total_updates=2)) for n in range(3)]
    [0.5, 0.25, 0.0]
    """

    allowed = {"schedule": A_SCHEDULE, "initial": Range()}

    def __init__(self, schedule, initial):
        self.schedule = schedule
        self.initial = initial

    def value(self, progress):
        """Return the value now.

        Parameters
        ----------
        progress : Progress or None
            How far training has come; None means the initial value.

        Returns
        -------
        value : float
        """
        if progress is None:
            return float(self.initial)
        return float(resolve(self.schedule, SCHEDULES, "schedule")(progress, self.initial))


class _ScheduledFrom:
    """`Scheduled` whose initial value is in a range."""

    def __init__(self, each):
        self.each = each

    def __contains__(self, value):
        if not isinstance(value, Scheduled) or value.initial not in self.each:
            return False
        value.check()
        return True

    def __str__(self):
        return "a Scheduled that starts from one"


def or_scheduled(each):
    """Return what a number may be that may be scheduled: in a range, or `Scheduled` from there."""
    return AnyOf(each, _ScheduledFrom(each))


def value_at(value, progress):
    """Return a number as it is, and the value of a `Scheduled` at some progress.

    Parameters
    ----------
    value : float or Scheduled
    progress : Progress or None

    Returns
    -------
    value : float
    """
    return value.value(progress) if isinstance(value, Scheduled) else float(value)
