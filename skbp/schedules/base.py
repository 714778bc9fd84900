"""What every schedule promises, and what it looks at."""

from dataclasses import dataclass

from skbp._component import Component, Named


@dataclass
class Progress:
    """How far training has come: all that a schedule may look at.

    Attributes
    ----------
    samples : int
        Training rows seen so far, repeats counted; as scikit-learn's ``t_``.
    epochs : int
        Finished passes over the training rows in this call of fit.
    plateaus : int
        How often training stood still for ``n_iter_no_change`` epochs (or the schedule's
        `patience`) and went on.
    updates : int
        Finished updates of the weights in this call of fit.
    total_updates : int
        Updates that all epochs of this call will take, at least 1.
    max_epochs : int
        The most epochs of this call, at least 1.
    """

    samples: int = 0
    epochs: int = 0
    plateaus: int = 0
    updates: int = 0
    total_updates: int = 1
    max_epochs: float = 1

    @property
    def share(self):
        """Finished updates as a share of all, in [0, 1]."""
        return min(self.updates / self.total_updates, 1.0)

    @property
    def updates_per_epoch(self):
        """Updates that one epoch takes."""
        return max(round(self.total_updates / self.max_epochs), 1)


class Schedule(Component):
    """A pure function from the progress of training to a learning rate.

    Attributes
    ----------
    per_update : bool
        Whether the rate is asked for before each update; else once, before each epoch.
    patience : int or None
        How many epochs without progress training bears before it counts a plateau; None means the
        estimator's ``n_iter_no_change``.
    ends_with_training : bool
        Whether the rate is meant to come down until the last epoch, so that to reach ``max_iter``
        is the plan and no reason to warn.
    """

    per_update = False
    patience: int | None = None

    @property
    def ends_with_training(self) -> bool:
        """See the class."""
        return False

    def __call__(self, progress, initial):
        """Return the learning rate of the next epoch or update.

        Parameters
        ----------
        progress : Progress
            How far training has come.
        initial : float
            The estimator's ``learning_rate_init``.

        Returns
        -------
        rate : float
            Not negative.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__")

    def survives_plateau(self, rate):
        """Whether training goes on from a plateau reached at this rate, by default not."""
        return False


#: The schedules known by name; the package's ``__init__`` fills it in. It stands here because a
#: schedule around another one (`WarmUp`) has to look up names.
SCHEDULES: dict[str, type[Schedule]] = {}
#: What a parameter `schedule` may be.
A_SCHEDULE = Named(SCHEDULES, Schedule)
