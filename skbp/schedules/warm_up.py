"""A gentle start before any other schedule."""

from dataclasses import replace

from skbp._component import Maybe, Range, resolve
from skbp.schedules.base import A_SCHEDULE, SCHEDULES, Schedule


class WarmUp(Schedule):
    """A linear rise, then another schedule with what is left of the training.

    With W updates of warm-up, and n done: the other schedule's first rate times
    ``(n + 1) / (W + 1)`` while n < W. After that the other schedule sees `updates`,
    `total_updates`, `epochs` and `max_epochs` counted from the end of the warm-up on; `samples`
    and `plateaus` count all the same.

    Parameters
    ----------
    schedule : str or Schedule, default="constant"
        What follows: a name, or a schedule, whose parameters are reached as
        ``schedule__max_rate``.
    share : float, default=0.1
        In [0, 1]: W as a share of all updates, rounded.
    epochs : float or None, default=None
        Not negative: W in epochs, in place of `share`.

    References
    ----------
    P. Goyal et al. (2017), "Accurate, large minibatch SGD: training ImageNet in 1 hour", section
    2.2, "gradual warmup".

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> rise = WarmUp("cosine", share=0.5)
    >>> [round(rise(Progress(updates=n, total_updates=6), 0.4), 2) for n in range(6)]
    [0.1, 0.2, 0.3, 0.4, 0.3, 0.1]
    """

    per_update = True
    allowed = {
        "schedule": A_SCHEDULE,
        "share": Range(0, 1),
        "epochs": Maybe(Range(0)),
    }

    def __init__(self, schedule="constant", share=0.1, epochs=None):
        self.schedule = schedule
        self.share = share
        self.epochs = epochs

    @property
    def patience(self):  # type: ignore[override]  # of ReduceOnPlateau it is a hyperparameter
        """That of the other schedule."""
        return self._other().patience

    @property
    def ends_with_training(self):
        """That of the other schedule."""
        return self._other().ends_with_training

    def __call__(self, progress, initial):
        length = self._length(progress)
        rate = self._other()(self._after(progress, length), initial)
        return rate * min((progress.updates + 1) / (length + 1), 1.0)

    def survives_plateau(self, rate):
        return self._other().survives_plateau(rate)

    def _other(self):
        return resolve(self.schedule, SCHEDULES, "schedule")

    def _length(self, progress):
        """Return the number of updates in which the rate rises."""
        if self.epochs is None:
            return round(self.share * progress.total_updates)
        return min(round(self.epochs * progress.updates_per_epoch), progress.total_updates)

    @staticmethod
    def _after(progress, length):
        """Return the progress as it looks to a schedule that begins after the warm-up."""
        per_epoch = progress.updates_per_epoch
        total = max(progress.total_updates - length, 1)
        updates = max(progress.updates - length, 0)
        return replace(
            progress, updates=updates, total_updates=total, epochs=updates // per_epoch,
            max_epochs=total / per_epoch,
        )  # fmt: skip
