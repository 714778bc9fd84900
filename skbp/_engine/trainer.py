"""Training: epochs, stopping, best weights."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import Enum
from time import perf_counter
from typing import Any

import numpy as np

from skbp._engine.interrupt import Interruptible
from skbp._engine.regularization import Average, Clip, MaxNorm
from skbp._engine.resume import capture, put_back
from skbp._engine.updater import Changes, Updater
from skbp._engine.watch import LossWatch, ScoreWatch
from skbp.optimizers import Optimizer
from skbp.schedules import Progress, Schedule


class Outcome(Enum):
    """Why training ended."""

    CONVERGED = "converged"
    MAX_ITER = "max_iter"
    STOPPED = "stopped"  # by a callback
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


class DivergenceError(ValueError):
    """Training produced a loss or weights that are not finite."""

    def __init__(self, where, seen=""):
        self.where = where
        super().__init__(
            f"Training diverged in {where}. Solver produced "
            "non-finite parameter weights. The input data may contain large values and need to be "
            "preprocessed. Scale the features (StandardScaler), and the targets of a regression; "
            "lower learning_rate_init; or, for values beyond 1e38, use dtype=np.float64." + seen
        )


class Replay(Schedule):
    """Given rates, epoch by epoch."""

    def __init__(self, rates):
        self.rates = rates

    def __call__(self, progress, initial):
        return self.rates[min(progress.epochs, len(self.rates) - 1)]


@dataclass
class Trainer:
    """Runs epochs of stochastic training.

    Parameters
    ----------
    optimizer : Optimizer
    schedule : Schedule
    learning_rate : float
        The initial rate that the schedule starts from.
    max_iter : int
        The most epochs.
    tol : float
        An epoch that does not better the best loss (or validation score) by this much counts as
        no improvement.
    n_iter_no_change : int or inf
        More epochs than this without improvement are a plateau, which ends training unless the
        schedule survives it.
    verbose : bool or int, default=False
        Whether to print a line an epoch.
    early_stopping : bool, default=False
        Whether the validation score, not the training loss, decides when to stop; the best epoch's
        weights are then restored.
    clip : Clip or None, default=None
        Limits of the gradient.
    max_norm : float or None, default=None
        Limit of the norm of a hidden unit's weights.
    average : float or None, default=None
        Decay of a moving average of the weights, which stands in the end.
    multipliers : sequence of float, default=()
        Factors of the learning rate, one per layer of the network; empty where all are one.
    schedule_epochs : int or None, default=None
        The epochs that the schedule plans for, by default `max_iter`.
    frozen : sequence of list of int, default=()
        For each epoch the numbers of layers to leave as they are; empty for what callbacks say.
    """

    optimizer: Optimizer
    schedule: Schedule
    learning_rate: float
    max_iter: int
    tol: float
    n_iter_no_change: float
    verbose: bool | int = False
    early_stopping: bool = False
    clip: Clip | None = None
    max_norm: float | None = None
    average: float | None = None
    multipliers: Sequence[float] = ()
    schedule_epochs: int | None = None
    frozen: Sequence[list[int]] = ()

    def again(self, rates, frozen):
        """Return a trainer for as many epochs as there are rates, at just these rates.

        What callbacks froze is frozen again, epoch by epoch. A schedule that is asked before each
        update is asked again: it looks at nothing but the share of updates that are done.
        """
        return replace(
            self, max_iter=len(rates), n_iter_no_change=math.inf, verbose=False,
            early_stopping=False, schedule_epochs=self.schedule_epochs or self.max_iter,
            frozen=frozen,
            schedule=self.schedule if self.schedule.per_update else Replay(rates),
        )  # fmt: skip

    def train(self, objective, batches, history, validation=None, rng=None, hooks=None,
              resume=None):  # fmt: skip
        """Train until convergence, interruption, divergence or `max_iter`.

        Parameters
        ----------
        objective : Objective
            Its network is trained in place.
        batches : Batches
            The training rows.
        history : History
            Continued in place.
        validation : callable or None
            Returns a dict with "validation_loss" and "validation_score" (higher is better) of the
            network as it stands; its `unknown` is such a dict of NaN, for a network that diverged.
        rng : numpy.random.Generator, optional
            For layers that draw random numbers.
        hooks : object or None
            Its ``begin_epoch(run)`` and ``end_epoch(run)`` are called with the `Run` around each
            epoch; training ends if the latter returns True.
        resume : TrainingState or None
            To go on from; everything else is set to it.

        Returns
        -------
        outcome : Outcome

        Raises
        ------
        DivergenceError
            If the loss or the weights are not finite, and no epoch was good (a validation score
            tells which are).
        """
        if resume is None:
            history.n_iter = 0
        else:
            history.optimizer_name = type(self.optimizer).__name__
            put_back(resume, objective.network, history, batches, rng)
        run = Run(self, objective, batches, history, validation, rng, resume)
        # Overflow is found by looking at the loss, not by NumPy's warnings on the way.
        with Interruptible() as interrupt, np.errstate(over="ignore", invalid="ignore"):
            outcome = self._epochs(run, interrupt, hooks, resume is not None)
        restored = run.finish()
        if not restored and (outcome is Outcome.DIVERGED or not run.network.finite):
            raise DivergenceError(f"epoch {history.n_iter}, at learning rate {run.last_rate:g}")
        return outcome

    def _epochs(self, run, interrupt, hooks, resumed):
        history = run.history
        if resumed and history.no_improvement > self._patience():  # it had ended
            return Outcome.CONVERGED
        while history.n_iter < self.max_iter:
            if hooks is not None:
                hooks.begin_epoch(run)
            if not run.one_epoch(interrupt):
                return Outcome.INTERRUPTED
            improved = run.look()
            if self.verbose:
                print(run.line())
            if not math.isfinite(history.loss):
                return Outcome.DIVERGED
            history.no_improvement = 0 if improved else history.no_improvement + 1
            ends = self._plateau_ends(run)
            stopped = hooks is not None and hooks.end_epoch(run)
            if interrupt.requested:
                return Outcome.INTERRUPTED
            if ends:
                return Outcome.CONVERGED
            if stopped:
                return Outcome.STOPPED
        return Outcome.MAX_ITER

    def _plateau_ends(self, run):
        """Whether there is a plateau, and it ends training at the last epoch's rate."""
        history, patience = run.history, self._patience()
        if not history.no_improvement > patience:
            return False
        message = (
            f"{run.watch.what} did not improve more than tol={self.tol:f} "
            f"for {patience} consecutive epochs."
        )
        if not self.schedule.survives_plateau(run.last_rate):
            if self.verbose:
                print(f"{message} Stopping.")
            return True
        history.plateaus += 1
        history.no_improvement = 0
        if self.verbose:
            print(f"{message} Setting learning rate to {run.rate():f}")
        return False

    def _patience(self):
        patience = getattr(self.schedule, "patience", None)
        return self.n_iter_no_change if patience is None else patience


class Run:
    """One training as it goes: what callbacks may look at.

    Attributes
    ----------
    history : History
    last_rate : float
        Learning rate of the last update.
    """

    def __init__(self, trainer, objective, batches, history, validation, rng, resume):
        self._trainer = trainer
        self._objective = objective
        self._batches = batches
        self._validation = validation
        self._rng = rng
        self.history = history
        self.network = network = objective.network
        name = type(trainer.optimizer).__name__
        if history.optimizer_state is None or history.optimizer_name != name:
            history.optimizer_name, history.steps = name, 0
            history.optimizer_state = trainer.optimizer.init_state(network.params)
            history.missed = [0] * len(network.layers)
        self._average = None
        if trainer.average is not None:
            self._average = Average(network.params, trainer.average, history.average)
            history.average = self._average.average
        else:
            history.average = None
        history.raw = None
        if trainer.early_stopping:
            best = None if resume is None else resume.best
            self.watch: Any = ScoreWatch(history, network, best)
        else:
            self.watch = LossWatch(history)
        self._frozen: list[int] = []
        self._updater = self._make_updater()
        self._epochs = trainer.schedule_epochs or trainer.max_iter
        self._total_updates = self._epochs * batches.per_epoch
        self.last_rate = self.rate()

    @property
    def trainable(self):
        """Numbers of the layers that have parameters, and that no parameter of fit freezes."""
        factors = self._trainer.multipliers or [1.0] * len(self.network.layers)
        with_parameters = {parameter.layer for parameter in self.network.parameters}
        return [index for index in sorted(with_parameters) if factors[index]]

    def freeze(self, numbers):
        """Leave some layers as they are, from now on, beside those that parameters of fit freeze.

        Parameters
        ----------
        numbers : iterable of int
            Of layers of `network`, from 0; all others are trained, those frozen before too.
        """
        frozen = sorted(set(numbers))
        if frozen != self._frozen:
            self._frozen = frozen
            self._updater = self._make_updater()

    def _make_updater(self):
        trainer, history = self._trainer, self.history
        factors = tuple(trainer.multipliers)
        if self._frozen or any(history.missed):
            factors = factors or (1.0,) * len(self.network.layers)
            factors = tuple(0.0 if i in self._frozen else f for i, f in enumerate(factors))
        self._idle = [index for index, factor in enumerate(factors) if factor == 0]
        idle = set(self._idle)
        parameters = enumerate(self.network.parameters)
        self.network.freeze(i for i, parameter in parameters if parameter.layer in idle)
        return Updater(
            trainer.optimizer, self.network, self._objective.grads, history.optimizer_state,
            self._batches.lazy,
            Changes(trainer.clip, factors, tuple(history.missed), tuple(self._after(factors))),
        )  # fmt: skip

    def _after(self, factors) -> list[Callable[[], None]]:
        after: list[Callable[[], None]] = []
        if self._trainer.max_norm is not None:
            after.append(MaxNorm(self.network, self._trainer.max_norm, factors))
        if self._average is not None:
            average = self._average
            after.append(lambda: average.update(self.history.updates))
        return after

    def rate(self):
        """Return the learning rate that the schedule asks for now."""
        history, trainer = self.history, self._trainer
        progress = Progress(
            history.samples, history.epochs, history.plateaus, history.updates,
            self._total_updates, self._epochs,
        )  # fmt: skip
        return float(trainer.schedule(progress, trainer.learning_rate))

    def one_epoch(self, interrupt):
        """Go once over the rows and note it in the history; False if it was interrupted."""
        start = perf_counter()
        if self._trainer.frozen:
            self.freeze(self._trainer.frozen[self.history.epochs])
        history, objective, updater = self.history, self._objective, self._updater
        per_update = self._trainer.schedule.per_update
        rate, total = self.rate(), 0.0
        updater.begin_epoch()
        for batch in self._batches.epoch():
            data = objective.data_value_and_grad(batch, self._rng)
            if not math.isfinite(data):
                total = data
                break
            if per_update:
                rate = self.rate()
            history.steps += 1
            history.updates += 1
            l2, l1 = objective.penalty.strengths(batch.total)
            penalty = updater.step(rate, history.steps, l2, l1, batch.x)
            for index in self._idle:
                history.missed[index] += 1
            total += objective.reported(data, penalty) * len(batch.y)
            if interrupt.requested:
                return False
        self.last_rate = rate
        history.n_iter += 1
        history.epochs += 1
        history.samples += self._batches.n_rows
        history.loss = float(total / self._batches.n_rows)
        history.loss_curve.append(history.loss)
        history.frozen.append(self._frozen)
        record = {"epoch": len(history.records) + 1, "loss": history.loss, "learning_rate": rate}
        record["seconds"] = perf_counter() - start
        history.records.append(record)
        return True

    def look(self):
        """Validate, with the weights that will stand; returns whether the epoch is progress."""
        start, record = perf_counter(), self.history.records[-1]
        with self.standing():
            if self._validation is not None:
                finite = math.isfinite(self.history.loss)
                record |= self._validation() if finite else self._validation.unknown
            improved = self.watch.note(self._trainer.tol)
        record["seconds"] += perf_counter() - start
        return improved

    def standing(self):
        """While entered, the network has the weights that the last epoch is judged by."""
        return nullcontext() if self._average is None else self._average.in_place()

    def outcome(self):
        """Return a copy of the network as it would be if training ended now."""
        with self.standing():
            network = deepcopy(self.network)
        self.watch.restore(network)
        return network

    def state(self):
        """Return a `TrainingState`: all that is needed to go on from here with the same bits."""
        best = getattr(self.watch, "best", None)
        return capture(self.network, self.history, self._batches, self._rng, best)

    def line(self):
        """Return one line of text about the epoch that ended."""
        record = self.epoch
        parts = [f"Iteration {self.history.n_iter}, loss = {record['loss']:.8f}"]
        if "validation_loss" in record:
            parts.append(f"validation loss = {record['validation_loss']:.6g}")
            parts.append(f"validation score = {record['validation_score']:.6g}")
        parts.append(f"rate = {record['learning_rate']:.3g}")
        parts.append(f"{record['seconds']:.2g} s")
        return ", ".join(parts)

    @property
    def epoch(self):
        """The record of the last epoch: see `History.records`."""
        return self.history.records[-1]

    def finish(self):
        """Let the right weights stand; returns whether they are those of an earlier epoch."""
        restored = self.watch.restore(self.network)
        self.network.freeze(())
        if restored:
            self.history.average = None  # that of later epochs
        elif self._average is not None:
            self.history.raw = self.network.params.copy()
            self.network.params[...] = self._average.average
        return restored
