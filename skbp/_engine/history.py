"""What training remembers."""

import math
from dataclasses import dataclass, field, fields, is_dataclass, replace

import numpy as np

from skbp._component import Whole
from skbp._forms import REAL, TEXT, Array, Each, Is, Optionally
from skbp._plain import kept


@kept
class Curves(dict):
    """Curves of a training, by name; each a list with one number an epoch.

    "loss", "learning_rate" and "seconds" are always there; "validation_loss",
    "validation_score" and "train_score" where there was validation, with NaN for epochs without.
    """

    def _parts(self):
        return dict(self)

    @classmethod
    def _of_trusted(cls, parts):
        return cls(parts)

    @classmethod
    def _of_parts(cls, parts):
        return cls(parts)

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


#: Whole numbers.
COUNT = Whole()


@kept
@dataclass
class OptimizerMemory:
    """What is remembered for the optimizer named `name` after `steps` updates.

    arrays : its state, or None before the first step; skipped : for each parameter the number of
    steps it was frozen for, so that the optimizer counts its own; average : the average of the
    weights, where they are averaged, and training_params what training then goes on from.
    """

    _form = {
        "name": TEXT, "steps": COUNT, "arrays": Optionally(Is(dict)), "skipped": Each(COUNT),
        "average": Optionally(Array("f")), "training_params": Optionally(Array("f")),
    }  # fmt: skip

    name: str = ""
    steps: int = 0
    arrays: dict | None = None
    skipped: list[int] = field(default_factory=list)
    average: np.ndarray | None = None
    training_params: np.ndarray | None = None


@kept
@dataclass
class Progressing:
    """Where the last call of fit stands.

    epochs, updates, plateaus : counted from its beginning; no_improvement : epochs without
    progress; frozen : for each epoch the numbers of the parameters that a callback froze.
    """

    _form = {
        "epochs": COUNT, "updates": COUNT, "plateaus": COUNT, "no_improvement": COUNT,
        "frozen": Each(Each(COUNT)),
    }  # fmt: skip

    epochs: int = 0
    updates: int = 0
    plateaus: int = 0
    no_improvement: int = 0
    frozen: list[list[int]] = field(default_factory=list)


@kept
@dataclass
class Best:
    """The lowest loss, or the highest validation score and its epoch, from 1."""

    _form = dict.fromkeys(("loss", "score"), Optionally(REAL)) | {"epoch": Optionally(COUNT)}

    loss: float | None = math.inf
    score: float | None = None
    epoch: int | None = None


@kept
@dataclass
class History:
    """What training remembers from one call of fit or partial_fit to the next.

    n_iter : epochs of the last call; samples : training rows seen, scikit-learn's ``t_``; loss,
    loss_curve : of the last epoch, and of all; records : a dict for each epoch ever; then what is
    remembered for the optimizer, of this call of fit, and of the best epoch.
    """

    _form = {
        "n_iter": COUNT, "samples": COUNT, "loss": REAL, "loss_curve": Each(REAL),
        "records": Each(Is(dict)), "optimizer": Is(OptimizerMemory), "call": Is(Progressing),
        "best": Is(Best),
    }  # fmt: skip

    n_iter: int = 0
    samples: int = 0
    loss: float = math.nan
    loss_curve: list[float] = field(default_factory=list)
    records: list[dict] = field(default_factory=list)
    optimizer: OptimizerMemory = field(default_factory=OptimizerMemory)
    call: Progressing = field(default_factory=Progressing)
    best: Best = field(default_factory=Best)

    def copy(self):
        """Return a copy that can be trained further without changing what was there."""
        return copied(self)

    def start_over(self):
        """Begin another call of fit: losses and scores go on, the optimizer starts afresh."""
        self.optimizer = replace(self.optimizer, arrays=None, average=None)
        self.call = Progressing(no_improvement=self.call.no_improvement)
        self.best = replace(self.best, epoch=None)

    def curve(self, name):
        """Return one number of each epoch that has it, or None if none has."""
        return [record[name] for record in self.records if name in record] or None


def copied(value):
    """Copy dataclasses, lists, dicts and arrays through and through; let all else pass."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = {one.name: copied(getattr(value, one.name)) for one in fields(value)}
        return replace(value, **parts)
    if isinstance(value, list):
        return [copied(item) for item in value]
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return value.copy() if isinstance(value, np.ndarray) else value


__all__ = ["Best", "Curves", "History", "OptimizerMemory", "Progressing"]
