"""Training: epochs, stopping, best weights, history."""

import math
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from skbp._engine.interrupt import Interruptible
from skbp.schedules import Progress


class Outcome(Enum):
    """Why training ended."""

    CONVERGED = "converged"
    MAX_ITER = "max_iter"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


class DivergenceError(ValueError):
    """Training produced a loss or weights that are not finite."""

    def __init__(self, epoch, rate):
        super().__init__(
            f"Training diverged in epoch {epoch}, at learning rate {rate:g}. Solver produced "
            "non-finite parameter weights. The input data may contain large values and need to be "
            "preprocessed. Scale the features (StandardScaler), and the targets of a regression; "
            "lower learning_rate_init; or, for values beyond 1e38, use dtype=np.float64."
        )


@dataclass
class History:
    """What training remembers from one call of fit or partial_fit to the next.

    The fields have the meaning of scikit-learn's fitted attributes of the same names;
    `samples` is its ``t_``, `no_improvement` counts epochs without progress, `optimizer_state` is
    that of the optimizer named `optimizer_name`; another optimizer starts afresh.
    """

    n_iter: int = 0
    samples: int = 0
    loss: float = math.nan
    loss_curve: list[float] = field(default_factory=list)
    best_loss: float | None = math.inf
    validation_scores: list[float] | None = None
    best_validation_score: float | None = None
    no_improvement: int = 0
    plateaus: int = 0
    optimizer_name: str = ""
    optimizer_state: dict | None = None

    def copy(self):
        """Return a copy that can be trained further without changing what was there."""
        state = self.optimizer_state
        return replace(
            self,
            loss_curve=list(self.loss_curve),
            validation_scores=self.validation_scores and list(self.validation_scores),
            optimizer_state=state
            and {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in state.items()},
        )

    def start_over(self):
        """Begin another call of fit: scores and losses go on, the optimizer starts afresh."""
        self.optimizer_state = None
        self.plateaus = 0


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
    verbose : bool or int
        Whether to print a line an epoch.
    """

    optimizer: object
    schedule: object
    learning_rate: float
    max_iter: int
    tol: float
    n_iter_no_change: float
    verbose: bool | int = False

    def train(self, objective, batches, history, score=None, rng=None):
        """Train until convergence, interruption, divergence or `max_iter`.

        Parameters
        ----------
        objective : Objective
            Its network is trained in place.
        batches : Batches
            The training rows.
        history : History
            Continued in place.
        score : callable or None
            Returns the validation score of the network as it stands, higher is better. If given, it
            decides when to stop, and the best epoch's weights are restored.
        rng : numpy.random.Generator, optional
            For layers that draw random numbers.

        Returns
        -------
        outcome : Outcome

        Raises
        ------
        DivergenceError
            If the loss or the weights are not finite, and no epoch was good (a validation score
            tells which are).
        """
        params = objective.network.params
        optimizer_name = type(self.optimizer).__name__
        if history.optimizer_state is None or history.optimizer_name != optimizer_name:
            history.optimizer_name = optimizer_name
            history.optimizer_state = self.optimizer.init_state(params)
        best = _BestWeights(params, history) if score is not None else None
        if best is None and history.best_loss is None:
            history.best_loss = math.inf
        history.n_iter = 0
        # Overflow is found by looking at the loss, not by NumPy's warnings on the way.
        with Interruptible() as interrupt, np.errstate(over="ignore", invalid="ignore"):
            outcome = self._epochs(objective, batches, history, score, best, rng, interrupt)
        if best is not None and best.found:
            params[...] = best.params
        elif outcome is Outcome.DIVERGED or not np.isfinite(params).all():
            raise DivergenceError(history.n_iter, self._rate(history))
        return outcome

    def _rate(self, history):
        progress = Progress(history.samples, history.n_iter, history.plateaus)
        return self.schedule(progress, self.learning_rate)

    def _epochs(self, objective, batches, history, score, best, rng, interrupt):
        while history.n_iter < self.max_iter:
            rate = self._rate(history)
            loss = self._epoch(objective, batches, history, rate, rng, interrupt)
            if loss is None:
                return Outcome.INTERRUPTED
            history.n_iter += 1
            history.samples += batches.n_rows
            history.loss = loss
            history.loss_curve.append(loss)
            self._say(f"Iteration {history.n_iter}, loss = {loss:.8f}")
            if best is None:
                improved = self._note_loss(history)
            else:
                improved = best.note(score() if math.isfinite(loss) else math.nan, self.tol)
                self._say(f"Validation score: {history.validation_scores[-1]:f}")
            if not math.isfinite(loss):
                return Outcome.DIVERGED
            history.no_improvement = 0 if improved else history.no_improvement + 1
            if history.no_improvement > self.n_iter_no_change:
                watched = "Training loss" if best is None else "Validation score"
                message = (
                    f"{watched} did not improve more than tol={self.tol:f} "
                    f"for {self.n_iter_no_change} consecutive epochs."
                )
                if not self.schedule.survives_plateau(rate):
                    self._say(f"{message} Stopping.")
                    return Outcome.CONVERGED
                history.plateaus += 1
                history.no_improvement = 0
                self._say(f"{message} Setting learning rate to {self._rate(history):f}")
        return Outcome.MAX_ITER

    def _epoch(self, objective, batches, history, rate, rng, interrupt):
        """One pass over the rows; returns the mean loss, or None if interrupted."""
        params, state = objective.network.params, history.optimizer_state
        total = 0.0
        for batch in batches.epoch():
            loss = objective.reported(*objective.value_and_grad(batch, rng))
            if not math.isfinite(loss):
                return loss
            total += loss * len(batch.y)
            self.optimizer.step(params, objective.grads, state, rate)
            if interrupt.requested:
                return None
        return total / batches.n_rows

    def _note_loss(self, history):
        # As scikit-learn has it: a loss that is not above best - tol counts as improvement.
        improved = not history.loss > history.best_loss - self.tol
        history.best_loss = min(history.best_loss, history.loss)
        return improved

    def _say(self, line):
        if self.verbose:
            print(line)


class _BestWeights:
    """Keeps a copy of the weights with the best validation score so far."""

    def __init__(self, params, history):
        self._source = params
        self._history = history
        self.params = params.copy()
        history.best_loss = None
        if history.validation_scores is None:
            history.validation_scores = []
            history.best_validation_score = -math.inf

    @property
    def found(self):
        return self._history.best_validation_score > -math.inf

    def note(self, score, tol):
        """Record an epoch's score; returns whether it bettered the best one by `tol`."""
        history = self._history
        history.validation_scores.append(score)
        improved = not score < history.best_validation_score + tol
        if score > history.best_validation_score:
            history.best_validation_score = score
            np.copyto(self.params, self._source)
        return improved
