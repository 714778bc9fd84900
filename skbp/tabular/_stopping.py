"""When a training in waves need not go on to the last one."""

import math
from dataclasses import dataclass, field

from skbp.callbacks import Callback


@dataclass
class Ends:
    """The epochs at which waves end, and how far from perfect the best epoch was at each."""

    epochs: list[int]
    missing: list[float] = field(default_factory=list)
    best: float = math.inf


class StopBetweenWaves(Callback):
    """Ends training after the last wave but one, if that wave brought little.

    Parameters
    ----------
    max_iter : int
        Epochs of the whole training.
    waves : int
        Waves of the learning rate, each twice as long as the one before; see `LogCosine`.
    min_gain : float
        Share of what the best epoch missed of `perfect` that the wave must take away.
    perfect : float
        The largest validation score that there is.
    """

    def __init__(self, max_iter, waves, min_gain, perfect):
        self.max_iter = max_iter
        self.waves = waves
        self.min_gain = min_gain
        self.perfect = perfect

    def start(self, estimator, context):
        shares = [(2**wave - 1) / (2**self.waves - 1) for wave in range(1, self.waves)]
        return Ends([round(share * self.max_iter) for share in shares])

    def on_epoch_end(self, epoch, memory, context):
        memory.best = min(memory.best, self.perfect - epoch["validation_score"])
        if epoch["epoch"] not in memory.epochs:
            return False
        memory.missing.append(memory.best)
        if epoch["epoch"] < memory.epochs[-1] or len(memory.missing) < 2:
            return False
        before, now = memory.missing[-2:]
        return not now < (1 - self.min_gain) * before
