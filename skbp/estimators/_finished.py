"""A training that has ended, as those see it who look for what went wrong."""

from typing import Any, NamedTuple

import numpy as np

from skbp._engine.history import History
from skbp._engine.network import Network
from skbp._engine.objective import predict_raw
from skbp._engine.plan import Stopping
from skbp._engine.training import Outcome
from skbp.losses import Loss

#: The most rows that are looked at.
SAMPLE = 1000
#: Share of what a network has learned that is much, if it is lost again.
LOST = 0.2
#: Share of the loss of a constant output above which a loss shows that hardly anything is learned.
HARDLY = 0.5


class Finished(NamedTuple):
    """A training that has ended.

    network : as it stands; loss, outcome, stopping; n_targets : columns of y, or classes;
    rows : the training rows as `Encoded`, or some of them; held_out : those validated on, or None,
    `given` saying that the caller gave them; history; schedule_ends : whether the schedule comes
    down as training ends; by_loss : whether the validation score is minus the loss.
    """

    network: Network
    loss: Loss
    outcome: Outcome
    stopping: Stopping
    n_targets: int
    rows: Any
    held_out: Any
    given: bool
    history: History
    schedule_ends: bool
    by_loss: bool

    @classmethod
    def of(cls, fit, estimator, plan, outcome, rows, held_out, given):
        """Return what there is to look at when a `Fit` has trained."""
        scoring = plan.held_out.scoring or ("loss" if estimator._judged_by_loss else "score")
        return cls(
            fit.network, fit.loss, outcome, plan.stopping, estimator._n_targets(rows.targets),
            rows, held_out, given, fit.history, plan.optimization.schedule.ends_with_training,
            scoring == "loss",
        )  # fmt: skip

    @property
    def epochs(self):
        """Records of the epochs of this call."""
        return self.history.records[len(self.history.records) - self.history.n_iter :]

    def curve(self, name):
        """Return a number of each epoch of this call; NaN where there is none."""
        return np.array([record.get(name, np.nan) for record in self.epochs], float)

    @property
    def sample(self):
        """The training rows that are looked at."""
        return some_of(self.rows)

    def losses(self, rows):
        """Return the loss of the network on some rows, and that of a constant output.

        The constant is the best one for the training rows. Both are as the loss has them, not as
        they are shown.
        """
        rows = some_of(rows)
        raw = predict_raw(self.network, rows.x)
        targets = _targets(rows)
        return self._loss_of(raw, *targets), self._loss_of(self._constant(raw), *targets)

    def constant_loss(self, rows):
        """Return what a constant output has as its loss on some rows, as the curves show losses."""
        targets, shares = _targets(rows)
        shape = self.network.output_shape
        like = np.empty((len(targets), *shape), self.network.params.dtype)
        value = self._loss_of(self._constant(like), targets, shares)
        return float(self.loss.reported(value, shape))

    def has_learned(self, loss, rows):
        """Whether a loss on some rows is far below that of a constant output."""
        return loss < HARDLY * self.constant_loss(rows)

    def forgot(self, before, after, rows):
        """Whether a loss on some rows that rose undid much of what had been learned.

        What is learned is measured from the best constant output on. A tiny loss that becomes a
        small one has risen many times, and yet nothing is lost.
        """
        return after - before > LOST * (self.constant_loss(rows) - before)

    def _constant(self, like):
        targets, shares = _targets(self.rows)
        start = self.loss.start(targets, shares, self.n_targets)
        return np.broadcast_to(start, like.shape).astype(like.dtype)

    def _loss_of(self, raw, targets, shares):
        return float(self.loss.value(raw, targets, shares.astype(raw.dtype)))


def spread(n):
    """Return the numbers of those of n rows that are looked at: the first may be of one class."""
    return np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.intp)


def some_of(rows):
    """Return the rows that are looked at, as `Encoded`, cast if they were not."""
    return rows.take(spread(len(rows.targets)))


def _targets(rows):
    """Return the targets that are looked at, and weights of them that sum to one."""
    numbers = spread(len(rows.targets))
    weight = np.ones(len(numbers)) if rows.weight is None else rows.weight[numbers]
    return rows.targets[numbers], weight / weight.sum()
