"""Callbacks that end training: no more progress, good enough, out of time."""

import math
import time
from dataclasses import dataclass

from skbp._component import Range
from skbp.callbacks.base import Callback, Whole

MODES = ("auto", "min", "max")


def direction(monitor, mode="auto"):
    """Return 1 if more of what is monitored is better, -1 if less.

    Parameters
    ----------
    monitor : str
    mode : {"auto", "min", "max"}
        "auto" tells by the name's end: more of a "score", less of a "loss" or of "seconds".

    Raises
    ------
    ValueError
        If the mode is "auto" and the name does not tell.
    """
    if mode != "auto":
        return 1 if mode == "max" else -1
    if monitor.endswith("score"):
        return 1
    if monitor.endswith(("loss", "seconds")):
        return -1
    raise ValueError(
        f"cannot tell whether more or less of {monitor!r} is better: give mode='max' or mode='min'"
    )


def monitored(epoch, monitor):
    """Return an epoch's number of that name; ValueError with what there is, if it is missing."""
    if monitor not in epoch:
        known = ", ".join(repr(name) for name in epoch)
        hint = (
            " Set early_stopping=True, which sets validation rows aside."
            if monitor.startswith("validation")
            else ""
        )
        raise ValueError(f"monitor={monitor!r} is not among the epoch's numbers: {known}.{hint}")
    return float(epoch[monitor])


@dataclass
class Best:
    """The best value so far, signed so that more is better, and the epochs since then."""

    value: float = -math.inf
    since: int = 0


class EarlyStopping(Callback):
    """Ends training when a number has not become better for some epochs.

    The last epoch's weights stand, unless the estimator's own `early_stopping` is on, which
    restores the best ones; `Checkpoint` keeps the best ones in a file.

    Parameters
    ----------
    monitor : str, default="validation_loss"
        One of the epoch's numbers: "loss", "validation_loss", "validation_score" ...
    patience : int, default=10
        Training ends after so many epochs in a row without progress, at least 1.
    min_delta : float, default=0.0
        Progress is a value that betters the best one by more than this; >= 0. NaN is none.
    mode : {"auto", "min", "max"}, default="auto"
        Whether less or more is better; "auto" tells by the name.

    Raises
    ------
    ValueError
        In fit, if a parameter is not allowed, or `monitor` is not among the epoch's numbers.

    References
    ----------
    L. Prechelt (1998), "Early stopping - but when?": the criterion UP, with one epoch a strip, and
    counted from the best epoch instead of the last.

    See Also
    --------
    TargetScore, TimeLimit

    Examples
    --------
    >>> stopping = EarlyStopping("loss", patience=2)
    >>> memory = stopping.start(None, None)
    >>> [stopping.on_epoch_end({"loss": loss}, memory, None) for loss in (3, 2, 2.5, 2)]
    [False, False, False, True]
    """

    allowed = {"patience": Whole(1), "min_delta": Range(0), "mode": MODES}

    def __init__(self, monitor="validation_loss", patience=10, min_delta=0.0, mode="auto"):
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode

    def check(self):
        """Check the parameters; see `Raises` of the class."""
        super().check()
        direction(self.monitor, self.mode)

    def start(self, estimator, context):
        return Best()

    def on_epoch_end(self, epoch, memory, context):
        value = direction(self.monitor, self.mode) * monitored(epoch, self.monitor)
        if value > memory.value + self.min_delta:
            memory.value, memory.since = value, 0
        else:
            memory.since += 1
        return memory.since >= self.patience


class TargetScore(Callback):
    """Ends training once a number is as good as asked for.

    Parameters
    ----------
    score : float
        Good enough: at least this, or, where less is better, at most this.
    monitor : str, default="validation_score"
        One of the epoch's numbers.
    mode : {"auto", "min", "max"}, default="auto"
        Whether less or more is better; "auto" tells by the name.

    Raises
    ------
    ValueError
        In fit, if a parameter is not allowed, or `monitor` is not among the epoch's numbers.

    See Also
    --------
    EarlyStopping, TimeLimit

    Examples
    --------
    >>> TargetScore(0.9).on_epoch_end({"validation_score": 0.91}, None, None)
    True
    >>> TargetScore(0.1, monitor="loss").on_epoch_end({"loss": 0.2}, None, None)
    False
    """

    allowed = {"score": Range(), "mode": MODES}

    def __init__(self, score, monitor="validation_score", mode="auto"):
        self.score = score
        self.monitor = monitor
        self.mode = mode

    def check(self):
        """Check the parameters; see `Raises` of the class."""
        super().check()
        direction(self.monitor, self.mode)

    def on_epoch_end(self, epoch, memory, context):
        sign = direction(self.monitor, self.mode)
        return sign * monitored(epoch, self.monitor) >= sign * self.score


class TimeLimit(Callback):
    """Ends training with the first update that ends past a limit of time.

    The clock of each fit runs from its beginning, preparation of the data included; in a search
    each candidate has the whole limit. The epoch under way ends there: it is validated, and its
    weights stand if they are the best, or without `early_stopping`. ("lbfgs": with the first
    iteration.)

    Parameters
    ----------
    seconds : float
        The limit, > 0, in seconds. Past it there is one validation at most.

    Raises
    ------
    ValueError
        In fit, if `seconds` is not allowed.

    See Also
    --------
    EarlyStopping, TargetScore

    Examples
    --------
    >>> limit = TimeLimit(60)
    >>> limit.on_epoch_end({"epoch": 1}, limit.start(None, None), None)
    False
    """

    per_update = True
    allowed = {"seconds": Range(0, low_open=True)}

    def __init__(self, seconds):
        self.seconds = seconds

    def start(self, estimator, context):
        return time.monotonic()

    def on_update_end(self, memory):
        return time.monotonic() - memory >= self.seconds

    def on_epoch_end(self, epoch, memory, context):
        return self.on_update_end(memory)
