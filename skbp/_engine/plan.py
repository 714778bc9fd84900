"""What training is told: how to minimise, and when to stop."""

from dataclasses import dataclass

from skbp.optimizers import Optimizer
from skbp.schedules import Schedule


@dataclass(frozen=True)
class Optimization:
    """How an objective is minimised.

    Attributes
    ----------
    optimizer : Optimizer or None
        None for L-BFGS.
    schedule : Schedule
    rate : float
        The learning rate that schedules start from.
    alpha, l1_ratio : float
        Strength of the penalty on the weights, not negative, and the share of the L1 norm in it.
    batch_size : int or "auto"
        Rows per update.
    shuffle : bool or "by_length"
        Whether each epoch goes through the rows in a new order; by length: in batches of rows of
        like length.
    frozen : tuple of str
        Names of parameters, or patterns, that are left as they are: see `Network.matching`.
    """

    optimizer: Optimizer | None
    schedule: Schedule
    rate: float
    alpha: float = 0.0
    l1_ratio: float = 0.0
    batch_size: int | str = "auto"
    shuffle: bool | str = True
    frozen: tuple[str, ...] = ()

    def rows_per_batch(self, n_rows):
        """Return how many of so many rows make a batch."""
        return min(200 if self.batch_size == "auto" else self.batch_size, n_rows)


@dataclass(frozen=True)
class Stopping:
    """When training ends, and which weights stand.

    Attributes
    ----------
    max_iter : int
        The most epochs.
    tol : float
        An epoch that does not better the best loss (or validation score) by this much counts as
        no improvement; for L-BFGS the largest component of the gradient at which to stop.
    patience : int or inf
        More epochs than this without improvement are a plateau, which ends training unless the
        schedule survives it.
    keep_best : bool
        Whether the validation score, not the training loss, decides when to stop; the best epoch's
        weights then stand.
    planned_epochs : int or None
        The epochs that the schedule plans for, by default `max_iter`.
    max_fun : int
        The most evaluations of the objective by L-BFGS.
    verbose : bool or int
        Whether to print a line an epoch.
    """

    max_iter: int
    tol: float
    patience: float
    keep_best: bool = False
    planned_epochs: int | None = None
    max_fun: int = 15000
    verbose: bool | int = False
