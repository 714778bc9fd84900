"""Schedules: how the learning rate changes while training goes on."""

from dataclasses import dataclass

from skbp._component import Component, Range

__all__ = ["SCHEDULES", "Adaptive", "Constant", "InverseScaling", "Progress", "Schedule"]


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
        How often training stood still for ``n_iter_no_change`` epochs and went on.
    updates, total_updates : int
        Finished updates in this call of fit, and how many ``max_iter`` epochs will take.
    max_epochs : int
        The most epochs.
    """

    samples: int = 0
    epochs: int = 0
    plateaus: int = 0
    updates: int = 0
    total_updates: int = 1
    max_epochs: int = 1


class Schedule(Component):
    """A pure function from the progress of training to a learning rate.

    Attributes
    ----------
    per_update : bool
        Whether it is asked before each update, not only before each epoch.
    """

    per_update = False

    def __call__(self, progress, initial):
        """Return the learning rate of the next epoch.

        Parameters
        ----------
        progress : Progress
            How far training has come.
        initial : float
            The estimator's ``learning_rate_init``.

        Returns
        -------
        rate : float
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__")

    def survives_plateau(self, rate):
        """Whether training goes on from a plateau reached at this rate, by default not."""
        return False


class Constant(Schedule):
    """The initial rate throughout.

    Examples
    --------
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
    >>> InverseScaling()(Progress(samples=99), 1.0)
    0.1
    """

    allowed = {"power_t": Range(0)}

    def __init__(self, power_t=0.5):
        self.power_t = power_t

    def __call__(self, progress, initial):
        return initial / (progress.samples + 1) ** self.power_t


class Adaptive(Schedule):
    """Divides the rate by 5 at each plateau, as scikit-learn's ``learning_rate="adaptive"``.

    Training stops at the first plateau whose rate is at most 1e-6.

    Examples
    --------
    >>> Adaptive()(Progress(plateaus=2), 1.0)
    0.04
    """

    def __call__(self, progress, initial):
        return initial / 5**progress.plateaus

    def survives_plateau(self, rate):
        return rate > 1e-6


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "invscaling": InverseScaling,
    "adaptive": Adaptive,
}
