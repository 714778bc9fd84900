"""Training: epochs, stopping, best weights."""

import math
from contextlib import nullcontext
from copy import deepcopy
from enum import Enum
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from skbp._engine.batches import rows_between
from skbp._engine.history import OptimizerMemory
from skbp._engine.interrupt import Interruptible
from skbp._engine.lines import duration, say
from skbp._engine.objective import predict_raw
from skbp._engine.regularization import Average, MaxNorm
from skbp._engine.resume import capture, put_back
from skbp._engine.unseen import ChosenByOthers
from skbp._engine.updater import Updater, rules_of
from skbp._engine.watch import LossWatch, ScoreWatch
from skbp.schedules import Progress, Schedule

#: Rows of the last batch that are predicted before a network is handed out.
ROWS_TO_TRY = 32


class Outcome(Enum):
    """Why training ended."""

    CONVERGED = "converged"
    MAX_ITER = "max_iter"
    STOPPED = "stopped"  # by a callback
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


class DivergenceError(ValueError):
    """Training produced a loss, weights or outputs that are not finite."""

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


class Training:
    """One training, epoch by epoch; callbacks look at it as it goes.

    Parameters
    ----------
    optimization : Optimization
    stopping : Stopping
    objective : Objective
        Its network is trained in place.
    batches : Batches
        The training rows.
    history : History
        Continued in place.
    validation : callable or None
        Returns a dict with "validation_loss" and "validation_score" (higher is better) of the
        network as it stands; its `unknown` is such a dict of NaN, for a network that diverged; its
        `score_name` says in words what the score is, "loss" if that is minus the loss.
    rng : numpy.random.Generator, optional
        For layers that draw random numbers.
    hooks : object or None
        Its ``begin_epoch(training)`` and ``end_epoch(training)`` are called around each epoch;
        training ends if the latter returns True. ``end_update()`` is called between two updates of
        an epoch; if it returns True, the epoch ends there, and training with it, without
        ``end_epoch``.
    resume : TrainingState or None
        To go on from, which has been checked; everything else is set to it.
    frozen : sequence of list of int, default=()
        For each epoch the numbers of parameters to leave as they are; empty for what callbacks say.
    identity : object, optional
        Its `fingerprint` is part of each state: see `skbp._engine.fingerprint`.

    Attributes
    ----------
    history, network
    last_rate : float
        Learning rate of the last update.
    """

    def __init__(self, optimization, stopping, objective, batches, history, validation=None,
                 rng=None, hooks=None, resume=None, frozen=(), identity=None):  # fmt: skip
        self._optimization, self._stopping = optimization, stopping
        self._objective, self._batches, self._validation = objective, batches, validation
        self._rng, self._hooks, self._frozen_by_epoch = rng, hooks, frozen
        self._identity = identity
        self._resumed = resume is not None
        self.history, self.network = history, objective.network
        self._always_frozen = {
            number for pattern in optimization.frozen for number in self.network.matching(pattern)
        }
        rules = rules_of(optimization.optimizer, self.network)
        self._always_frozen |= {number for number, rule in enumerate(rules) if rule.frozen}
        self._begin(resume)
        self._frozen: list[int] = []
        self._updater = self._make_updater()
        self._epochs = stopping.planned_epochs or stopping.max_iter
        self._progress = self._new_progress()
        self.last_rate = self.rate()

    def _begin(self, resume):
        """Set history and network to where training begins, or to a state to go on from."""
        history, network, optimizer = self.history, self.network, self._optimization.optimizer
        name = type(optimizer).__name__
        if resume is None:
            history.n_iter = 0
        else:
            put_back(resume, network, history, self._batches, self._rng)
            if resume.unseen is not None:
                self._validation.unseen = ChosenByOthers(*map(np.copy, resume.unseen))
        memory = history.optimizer
        if memory.arrays is None or memory.name != name:
            skipped = [0] * len(network.parameters)
            memory = history.optimizer = OptimizerMemory(
                name, 0, optimizer.init_state(network.params), skipped, memory.average
            )
        self._average = None
        if optimizer.ema_decay is not None:
            self._average = Average(network.params, optimizer.ema_decay, memory.average)
        memory.average = None if self._average is None else self._average.average
        memory.training_params = None
        if self._stopping.keep_best:
            best = None if resume is None else resume.best
            self.watch: Any = ScoreWatch(history, network, best, self._validation.score_name)
        else:
            self.watch = LossWatch(history)

    # ------------------------------------------------------------ training

    def run(self):
        """Train until convergence, interruption, divergence or the last epoch.

        Returns
        -------
        outcome : Outcome

        Raises
        ------
        DivergenceError
            If the loss, the weights or the outputs are not finite, and no epoch was good (a
            validation score tells which are).
        """
        history, stopping, hooks = self.history, self._stopping, self._hooks
        had_ended = self._resumed and history.call.no_improvement > self._patience()
        outcome = Outcome.CONVERGED if had_ended else None
        # Overflow is found by looking at the loss, not by NumPy's warnings on the way.
        with (
            np.errstate(over="ignore", invalid="ignore"),
            Interruptible() as interrupt,
            interrupt,
        ):
            while outcome is None:
                if history.n_iter >= stopping.max_iter:
                    outcome = Outcome.MAX_ITER
                    break
                if hooks is not None:
                    hooks.begin_epoch(self)
                if not self.one_epoch(interrupt):
                    outcome = Outcome.INTERRUPTED
                    break
                outcome = self._end_of_epoch(interrupt)
            sound = self._let_stand(outcome)
        if not sound:
            raise DivergenceError(f"epoch {history.n_iter}, at learning rate {self.last_rate:g}")
        return outcome

    def _end_of_epoch(self, interrupt):
        """Judge the epoch; return why training ends, or None if it goes on."""
        improved, history = self.look(), self.history
        if self._stopping.verbose:
            say(self.line())
        if not math.isfinite(history.loss):
            return Outcome.DIVERGED
        if self._cut_short:
            return Outcome.INTERRUPTED if interrupt.requested else Outcome.STOPPED
        history.call.no_improvement = 0 if improved else history.call.no_improvement + 1
        ends = self._plateau_ends()
        stopped = self._hooks is not None and self._hooks.end_epoch(self)
        if interrupt.requested:
            return Outcome.INTERRUPTED
        if ends:
            return Outcome.CONVERGED
        return Outcome.STOPPED if stopped else None

    def _plateau_ends(self):
        """Whether there is a plateau, and it ends training at the last epoch's rate."""
        call, patience, stopping = self.history.call, self._patience(), self._stopping
        if not call.no_improvement > patience:
            return False
        message = (
            f"{self.watch.what} did not improve more than tol={stopping.tol:f} "
            f"for {patience} consecutive epochs."
        )
        if not self._optimization.schedule.survives_plateau(self.last_rate):
            if stopping.verbose:
                say(f"{message} Stopping.")
            return True
        call.plateaus += 1
        call.no_improvement = 0
        if stopping.verbose:
            self._progress = self._new_progress()
            say(f"{message} Setting learning rate to {self.rate():f}")
        return False

    def _patience(self):
        patience = getattr(self._optimization.schedule, "patience", None)
        return self._stopping.patience if patience is None else patience

    def one_epoch(self, interrupt):
        """Go once over the rows and note it in the history; False if it was interrupted.

        An epoch that a callback cuts short is noted like others: its loss is that of the rows seen.
        """
        start = perf_counter()
        history, objective = self.history, self._objective
        call, memory = history.call, history.optimizer
        if self._frozen_by_epoch:
            self.freeze(self._frozen_by_epoch[call.epochs])
        updater, skipped = self._updater, memory.skipped
        per_update = self._optimization.schedule.per_update
        progress = self._progress = self._new_progress()
        rate, total, n_rows = self.rate(), 0.0, 0
        updater.begin_epoch()
        for batch in self._batches.epoch():
            if n_rows and self._hooks is not None and self._hooks.end_update():
                self._cut_short = True
                break
            data = objective.data_value_and_grad(batch, self._rng, progress)
            if not math.isfinite(data):
                total, n_rows = data, self._batches.n_rows
                break
            if per_update:
                rate = self.rate()
            memory.steps += 1
            l2, l1 = objective.penalty.strengths(batch.total)
            penalty = updater.step(rate, memory.steps, l2, l1, batch.x, progress)
            call.updates += 1
            progress.updates = call.updates
            for number in self.network.frozen:
                skipped[number] += 1
            n = len(batch.y)
            total += objective.reported(data, penalty) * n
            n_rows += n
            if interrupt.requested:
                return False
        self._last_batch = batch
        self.last_rate = rate
        history.n_iter += 1
        call.epochs += 1
        history.samples += n_rows
        history.loss = float(total / n_rows)
        history.loss_curve.append(history.loss)
        call.frozen.append(self._frozen)
        record = {"epoch": len(history.records) + 1, "loss": history.loss, "learning_rate": rate}
        record["seconds"] = perf_counter() - start
        history.records.append(record)
        return True

    def rate(self):
        """Return the learning rate that the schedule asks for now."""
        optimization = self._optimization
        rate = float(optimization.schedule(self._progress, optimization.rate))
        if rate < 0:
            raise ValueError(
                f"{optimization.schedule!r} returned the learning rate {rate:g}, expected one that "
                "is not negative."
            )
        return rate

    def _new_progress(self):
        call = self.history.call
        return Progress(
            self.history.samples, call.epochs, call.plateaus, call.updates,
            self._epochs * self._batches.per_epoch, self._epochs,
        )  # fmt: skip

    # ------------------------------------------------------------ freezing

    @property
    def trainable(self):
        """Numbers of the parameters that nothing but callbacks freezes."""
        numbers = range(len(self.network.parameters))
        return [number for number in numbers if number not in self._always_frozen]

    def freeze(self, numbers):
        """Leave some parameters as they are, from now on, beside those that fit's own say.

        Parameters
        ----------
        numbers : iterable of int
            Of parameters of `network`, from 0; all others are trained, those frozen before too.
        """
        frozen = sorted(set(numbers))
        if frozen != self._frozen:
            self._frozen = frozen
            self._updater = self._make_updater()

    def _make_updater(self):
        memory, optimization = self.history.optimizer, self._optimization
        self.network.freeze(self._always_frozen | set(self._frozen))
        limits, average = MaxNorm(self.network), self._average
        after: list[Any] = [limits] if limits else []
        if average is not None:
            after.append(partial(average.update_after, self.history.call))
        return Updater(
            optimization.optimizer, self.network, self._objective.grads, memory.arrays,
            self._batches.lazy, tuple(memory.skipped), optimization.rate, after,
        )  # fmt: skip

    # ------------------------------------------------------------ what stands

    def look(self):
        """Validate, with the weights that will stand; returns whether the epoch is progress."""
        start, record = perf_counter(), self.history.records[-1]
        with self.standing():
            if self._validation is not None:
                finite = math.isfinite(self.history.loss)
                record |= self._validation() if finite else self._validation.unknown
            improved = self.watch.note(self._stopping.tol)
        record["seconds"] += perf_counter() - start
        return improved

    def standing(self):
        """While entered, the network has the weights that the last epoch is judged by."""
        return nullcontext() if self._average is None else self._average.in_place()

    def outcome(self, network):
        """Return a copy of the network as it would be if training ended now.

        Parameters
        ----------
        network : Network
            The one whose parameters are trained: `network`, or what that is bound to other rows of.
        """
        with self.standing():
            network = deepcopy(network)
        self.watch.restore(network)
        return network

    def state(self):
        """Return a `TrainingState`: all that is needed to go on from here with the same bits."""
        best, unseen = getattr(self.watch, "best", None), getattr(self._validation, "unseen", None)
        fingerprint = None if self._identity is None else self._identity.fingerprint
        return capture(
            self.network, self.history, self._batches, self._rng, best, fingerprint,
            None if unseen is None else unseen.arrays(),
        )  # fmt: skip

    @property
    def epoch(self):
        """The record of the last epoch: see `History.records`."""
        return self.history.records[-1]

    def line(self):
        """Return one line of text about the epoch that ended."""
        record = self.epoch
        parts = [f"Iteration {self.history.n_iter}, loss = {record['loss']:.8f}"]
        if "validation_loss" in record:
            parts.append(f"validation loss = {record['validation_loss']:.6g}")
            if self._validation.score_name != "loss":
                score = record["validation_score"]
                parts.append(f"validation {self._validation.score_name} = {score:.6g}")
        parts.append(f"rate = {record['learning_rate']:.3g}")
        parts.append(duration(record["seconds"]))
        if self._cut_short:
            parts.append("ended by a callback before all rows were seen")
        return ", ".join(parts)

    _last_batch = None
    _cut_short = False  # whether a callback ended the last epoch between two updates

    def _let_stand(self, outcome):
        """Let the right weights stand; returns whether they may be handed out."""
        restored, memory = self.watch.restore(self.network), self.history.optimizer
        self.network.freeze(())
        if restored:
            memory.average = None  # that of later epochs
        elif self._average is not None:
            memory.training_params = self.network.params.copy()
            self.network.params[...] = self._average.average
        return (restored or outcome is not Outcome.DIVERGED) and self._sound()

    def _sound(self):
        """Whether the weights are finite, and what they make of rows of the last batch."""
        if not self.network.finite:
            return False
        if self._last_batch is None:
            return True
        x = self._last_batch.x
        rows = rows_between(x, 0, min(ROWS_TO_TRY, x.shape[0]))
        network = self._objective.network_for(x.shape[1:])
        return bool(np.isfinite(predict_raw(network, rows)).all())
