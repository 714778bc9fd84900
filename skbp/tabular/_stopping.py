"""When a training in waves need not go on to the last one."""

import math

from skbp.callbacks import Callback


class StopBetweenWaves(Callback):
    """Ends training after the last wave but one, if that wave brought little.

    It looks at the epochs of this call of fit only, those before a checkpoint included.

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

    def on_epoch_end(self, epoch, memory, context):
        history = context.training.history
        records = history.records[len(history.records) - history.n_iter :]
        start, end = (self._end(wave) for wave in (self.waves - 2, self.waves - 1))
        if len(records) != end or not 0 < start < end:
            return False
        before, now = self._missing(records[:start]), self._missing(records)
        return not now < (1 - self.min_gain) * before

    def _end(self, wave):
        """Return the epoch with which a wave ends, from 1 on; 0 if there is none."""
        return round((2**wave - 1) / (2**self.waves - 1) * self.max_iter)

    def _missing(self, records):
        """Return how far from perfect the best of some epochs is."""
        scores = (record["validation_score"] for record in records)
        return self.perfect - max(score if score == score else -math.inf for score in scores)
