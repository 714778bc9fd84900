"""Rates that fall where training stands still."""

from skbp._component import Maybe, Range, Whole
from skbp.schedules.base import Schedule


class Adaptive(Schedule):
    """Divides the rate by 5 at each plateau, as scikit-learn's ``learning_rate="adaptive"``.

    Training stops at the first plateau whose rate is at most 1e-6.

    See Also
    --------
    ReduceOnPlateau : The same with a factor, a patience and a floor of one's own.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> Adaptive()(Progress(plateaus=2), 1.0)
    0.04
    """

    def __call__(self, progress, initial):
        return initial / 5**progress.plateaus

    def survives_plateau(self, rate):
        return rate > 1e-6


class ReduceOnPlateau(Schedule):
    """``max(min_rate, initial * factor**plateaus)``, but never more than the initial rate.

    A plateau is more than `patience` epochs in which the loss (with ``early_stopping`` the
    validation score) does not get better by ``tol``. Training stops at the first plateau at
    `min_rate`.

    Parameters
    ----------
    factor : float, default=0.1
        In (0, 1): what each plateau multiplies the rate by.
    patience : int or None, default=None
        Epochs without progress to bear, not negative; None means ``n_iter_no_change``.
    min_rate : float, default=1e-6
        The lowest rate, not negative.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun (2016), "Deep residual learning for image recognition", section
    3.4: the rate is divided by 10 when the error plateaus.

    Examples
    --------
    >>> from skbp.schedules import Progress
    >>> ReduceOnPlateau(0.5)(Progress(plateaus=2), 0.1)
    0.025
    """

    allowed = {
        "factor": Range(0, 1, low_open=True, high_open=True),
        "patience": Maybe(Whole(0)),
        "min_rate": Range(0),
    }

    def __init__(self, factor=0.1, patience=None, min_rate=1e-6):
        self.factor = factor
        self.patience = patience
        self.min_rate = min_rate

    def __call__(self, progress, initial):
        return min(initial, max(self.min_rate, initial * self.factor**progress.plateaus))

    def survives_plateau(self, rate):
        return rate > self.min_rate
