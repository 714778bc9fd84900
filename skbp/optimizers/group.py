"""Groups of parameters."""

from skbp._component import Component, Maybe, Range
from skbp.schedules import SCHEDULES
from skbp.schedules.base import A_SCHEDULE
from skbp.schedules.scheduled import or_scheduled


class _Pattern:
    """A string that is not empty."""

    def __contains__(self, value):
        return isinstance(value, str) and value != ""

    def __str__(self):
        return "a name of parameters, or a pattern such as '*.bias'"


class Group(Component):
    """Parameters that an optimizer treats in a way of their own.

    Parameters
    ----------
    pattern : str
        Which: a pattern for their whole names, or for a beginning up to a dot, as
        ``weights_`` has them: ``"*.bias"``, ``"embedding_*"``, ``"head"``, ``"head.weight"``.
    rate : float or None, default=None
        Factor of the learning rate, >= 0; 0 keeps the parameters as they are. None: 1.
    weight_decay : float, Scheduled or None, default=None
        In place of the optimizer's, >= 0; for biases too. None: the optimizer's.
    schedule : str, Schedule or None, default=None
        In place of the estimator's `learning_rate`; it too starts from `learning_rate_init`, and
        is multiplied by `rate`. None: the estimator's.

    Notes
    -----
    Where several groups fit a parameter, each setting is that of the last one that has it.

    References
    ----------
    Parameter groups of PyTorch's optimizers; ``multi_transform`` of Optax.

    Examples
    --------
    A new output layer at the full rate, the layers below at a tenth:

    >>> from skbp.optimizers import AdamW, Group
    >>> AdamW(groups=[Group("*", rate=0.1), Group("output", rate=1.0)])
    AdamW(groups=[Group(pattern='*', rate=0.1), Group(pattern='output', rate=1.0)])
    """

    allowed = {
        "pattern": _Pattern(),
        "rate": Maybe(Range(0)),
        "weight_decay": Maybe(or_scheduled(Range(0))),
        "schedule": Maybe(A_SCHEDULE),
    }

    def __init__(self, pattern, rate=None, weight_decay=None, schedule=None):
        self.pattern = pattern
        self.rate = rate
        self.weight_decay = weight_decay
        self.schedule = schedule

    def own_schedule(self):
        """Return the schedule as an object, or None."""
        return SCHEDULES[self.schedule]() if isinstance(self.schedule, str) else self.schedule
