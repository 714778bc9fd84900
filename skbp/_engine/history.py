"""What training remembers."""

import math
from dataclasses import dataclass, field, replace

import numpy as np


class Curves(dict):
    """Curves of a training, by name; each a list with one number an epoch.

    "loss", "learning_rate" and "seconds" are always there; "validation_loss",
    "validation_score" and "train_score" where there was validation, with NaN for epochs without.
    """

    @classmethod
    def of(cls, records):
        """Collect a list of dicts, one an epoch."""
        names = dict.fromkeys(name for record in records for name in record)
        names.pop("epoch", None)
        return cls({name: [record.get(name, math.nan) for record in records] for name in names})

    def as_frame(self):
        """Return the curves as a pandas DataFrame, one row an epoch, counted from 1.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("as_frame needs pandas: pip install pandas") from error
        length = max(map(len, self.values()), default=0)
        return pd.DataFrame(dict(self), index=pd.RangeIndex(1, length + 1, name="epoch"))


@dataclass
class History:
    """What training remembers from one call of fit or partial_fit to the next.

    The first fields have the meaning of scikit-learn's fitted attributes of the same names;
    `samples` is its ``t_``, `no_improvement` counts epochs without progress. `optimizer_state` is
    that of the optimizer named `optimizer_name` after `steps` updates; another one starts afresh.
    `missed` tells for each layer how many of these it was frozen for. `epochs` and `updates` count
    since the last call of fit, and `frozen` has for each of these epochs the numbers of the layers
    that a callback froze; `records` has a dict for each epoch ever. Where weights are averaged,
    `average` is the average and `raw` what training goes on from.
    """

    n_iter: int = 0
    samples: int = 0
    loss: float = math.nan
    loss_curve: list[float] = field(default_factory=list)
    best_loss: float | None = math.inf
    best_validation_score: float | None = None
    best_epoch: int | None = None
    no_improvement: int = 0
    plateaus: int = 0
    epochs: int = 0
    updates: int = 0
    optimizer_name: str = ""
    steps: int = 0
    optimizer_state: dict | None = None
    missed: list[int] = field(default_factory=list)
    frozen: list[list[int]] = field(default_factory=list)
    average: np.ndarray | None = None
    raw: np.ndarray | None = None
    records: list[dict] = field(default_factory=list)

    def copy(self):
        """Return a copy that can be trained further without changing what was there."""
        state = self.optimizer_state
        return replace(
            self,
            loss_curve=list(self.loss_curve),
            records=list(self.records),
            missed=list(self.missed),
            frozen=list(self.frozen),
            average=None if self.average is None else self.average.copy(),
            optimizer_state=None
            if state is None
            else {name: np.array(array) for name, array in state.items()},
        )

    def start_over(self):
        """Begin another call of fit: scores and losses go on, the optimizer starts afresh."""
        self.optimizer_state = self.average = self.best_epoch = None
        self.plateaus = self.epochs = self.updates = 0
        self.frozen = []

    def curve(self, name):
        """Return one number of each epoch that has it, or None if none has."""
        return [record[name] for record in self.records if name in record] or None
